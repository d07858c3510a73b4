use super::*;

#[test]
fn starts_answers_and_leaves_nothing_behind() {
    let cluster =
        Cluster::start(Options { settings: vec![("cluster_name".into(), "it's a test".into())], ..Options::default() })
            .unwrap();
    let dir = cluster.socket_dir().to_owned();
    let said = cluster.psql("postgres", "select 6 * 7, current_setting('fsync'), current_setting('cluster_name')");
    assert_eq!(said.unwrap().trim(), "42|off|it's a test");
    assert!(cluster.psql("postgres", "select 1/0").unwrap_err().to_string().contains("division by zero"));
    let (port, pid) = (cluster.port(), cluster.pid());
    std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    cluster.stop();
    assert!(!dir.exists());
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn the_watcher_cleans_up_after_a_process_that_vanished() {
    let mut cluster = Cluster::start(Options::default()).unwrap();
    let dir = cluster.socket_dir().to_owned();
    drop(cluster.watcher.pipe.take()); // as the kernel does when we die
    cluster.watcher.process.wait().unwrap();
    assert!(!dir.exists());
    let status = cluster.postmaster.wait().unwrap();
    assert!(!status.success() || status.code() == Some(0));
}

#[test]
fn a_bad_setting_is_reported_with_the_servers_own_words() {
    let options = Options { settings: vec![("max_connections".into(), "many".into())], ..Options::default() };
    let error = Cluster::start(options).unwrap_err().to_string();
    assert!(error.contains("max_connections"), "{error}");
}

#[test]
fn missing_binaries_say_what_to_install() {
    let error = Binaries::in_dir(Path::new("/nonexistent")).unwrap_err().to_string();
    assert!(error.contains("/nonexistent") && error.contains("apt-get install postgresql"), "{error}");
}

#[test]
fn a_taken_port_is_recognised() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let owner = Owner::choose().unwrap();
    let binaries = Binaries::find().unwrap();
    let dir = make_dir(None, owner).unwrap();
    initdb(&binaries, dir.path(), owner).unwrap();
    configure(dir.path(), &[], &[]).unwrap();
    let port = taken.local_addr().unwrap().port();
    match start_postmaster(&binaries, dir.path(), owner, port) {
        Err(ScratchError::NotStarted { log, .. }) => assert!(port_was_taken(&log), "{log}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn passwd_lines_are_read() {
    let passwd = "root:x:0:0:root:/root:/bin/bash\npostgres:x:101:104:,,,:/var/lib/postgresql:/bin/bash\n";
    assert_eq!(passwd_ids(passwd, "postgres"), Some((101, 104)));
    assert_eq!(passwd_ids(passwd, "post"), None);
}
