use std::path::Path;

use super::*;

fn file(text: &str) -> ConfigFile {
    ConfigFile::parse(Path::new("chronoguard.yaml"), text)
}

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn mistakes(flags: &Flags, vars: &[(&str, &str)], text: &str) -> Vec<String> {
    let error = Settings::resolve(flags, &variables(vars), Some(&file(text))).unwrap_err();
    error.to_string().lines().map(str::to_owned).collect()
}

#[test]
fn without_any_source_the_defaults_of_the_contract_hold() {
    let settings = Settings::resolve(&Flags::default(), &[], None).unwrap();
    assert_eq!(settings.listen.to_string(), "127.0.0.1:6432");
    assert_eq!(settings.upstream.to_string(), "127.0.0.1:5432");
    assert_eq!(settings.admin.unwrap().to_string(), "127.0.0.1:9187");
    assert_eq!(settings.rules, [PathBuf::from("rules")]);
    assert_eq!(settings.message_cap, 16 * 1024 * 1024);
}

#[test]
fn a_file_may_set_everything() {
    let text = "
listen: '[::]:7000'
upstream: db.internal
admin: off
admin_changes: anywhere
rules: [team-a.yaml, team-b]
watch_rules: off
log_format: json
log: warn,chronoguard::violation=info
log_values: false
log_violations: 3
threads: 4
max_connections: 200
message_cap: 1MiB
connect_timeout: 750ms
startup_timeout: 5s
drain_grace: 2m
";
    let settings = Settings::resolve(&Flags::default(), &[], Some(&file(text))).unwrap();
    let expected = Settings {
        listen: HostPort { host: "::".into(), port: 7000 },
        upstream: HostPort { host: "db.internal".into(), port: 5432 },
        admin: None,
        admin_changes_from_anywhere: true,
        rules: vec!["team-a.yaml".into(), "team-b".into()],
        watch_rules: None,
        log_format: LogFormat::Json,
        log: "warn,chronoguard::violation=info".into(),
        log_values: false,
        log_violations: 3,
        threads: 4,
        max_connections: 200,
        message_cap: 1 << 20,
        connect_timeout: Duration::from_millis(750),
        startup_timeout: Duration::from_secs(5),
        drain_grace: Duration::from_secs(120),
    };
    assert_eq!(settings, expected);
}

#[test]
fn every_key_is_a_field_of_the_file_and_a_variable() {
    for key in KEYS {
        let bad = "\u{1}";
        let by_file = mistakes(&Flags::default(), &[], &format!("{}: {{}}", key.name));
        assert!(by_file[0].contains(key.name), "{by_file:?}");
        if key.name == "rules" {
            continue; // any text is a path
        }
        let variable = format!("CHRONOGUARD_{}", key.name.to_uppercase());
        let by_variable = mistakes(&Flags::default(), &[(&variable, bad)], "");
        assert!(by_variable[0].starts_with(&format!("{variable}: ")), "{by_variable:?}");
    }
}

#[test]
fn flags_win_over_variables_over_the_file() {
    let flags = Flags { listen: Some("127.0.0.1:1".into()), rules: vec!["flag".into()], ..Flags::default() };
    let vars = variables(&[
        ("CHRONOGUARD_LISTEN", "127.0.0.1:2"),
        ("CHRONOGUARD_UPSTREAM", "variable:2"),
        ("CHRONOGUARD_RULES", "a, b"),
    ]);
    let file = file("{listen: '127.0.0.1:3', upstream: 'file:3', admin: '127.0.0.1:3', rules: file}");
    let settings = Settings::resolve(&flags, &vars, Some(&file)).unwrap();
    assert_eq!(settings.listen.port, 1);
    assert_eq!(settings.upstream.port, 2);
    assert_eq!(settings.admin.as_ref().unwrap().port, 3);
    assert_eq!(settings.rules, [PathBuf::from("flag")]);
    let settings = Settings::resolve(&Flags::default(), &vars, Some(&file)).unwrap();
    assert_eq!(settings.rules, [PathBuf::from("a"), PathBuf::from("b")]);
}

#[test]
fn all_mistakes_are_reported_with_their_places() {
    let flags = Flags { threads: Some("0".into()), ..Flags::default() };
    let vars = [("CHRONOGUARD_ADMIN", "nine"), ("CHRONOGUARD_UPSTRAEM", "x"), ("CHRONOGUARD_PORT_6432_TCP", "tcp://x")];
    let text = "
listen: nonsense
upsteam: db
message_cap: 3
threads: 4
drain_grace:
log: [info, debug]
listen: twice
colour: red
";
    assert_eq!(
        mistakes(&flags, &vars, text),
        [
            "--threads: \"0\": expected a whole number from 1 to 1024",
            "CHRONOGUARD_UPSTRAEM: unknown variable: did you mean CHRONOGUARD_UPSTREAM?",
            "CHRONOGUARD_ADMIN: \"nine\": expected HOST:PORT, such as 127.0.0.1:6432 or [::1]:6432, or off",
            "chronoguard.yaml:2:1: listen: \"nonsense\": expected HOST:PORT, such as 127.0.0.1:6432 or [::1]:6432",
            "chronoguard.yaml:3:1: unknown key \"upsteam\": did you mean \"upstream\"?",
            "chronoguard.yaml:4:1: message_cap: \"3\": expected a size from 64KiB to 1GiB",
            "chronoguard.yaml:6:1: drain_grace: expected a value, found none",
            "chronoguard.yaml:7:1: log: expected one value, found a list",
            "chronoguard.yaml:8:1: listen is set twice",
            "chronoguard.yaml:9:1: unknown key \"colour\": known are listen, upstream, admin, admin_changes, rules, watch_rules, log_format, log, log_values, \
             log_violations, threads, max_connections, message_cap, connect_timeout, startup_timeout, drain_grace",
        ]
    );
}

#[test]
fn a_file_that_is_no_mapping_is_refused() {
    for text in ["- a", "just text", "a: [", "? [x]\n: y"] {
        let found = mistakes(&Flags::default(), &[], text);
        assert!(found[0].starts_with("chronoguard.yaml:1:"), "{text}: {found:?}");
    }
    assert!(Settings::resolve(&Flags::default(), &[], Some(&file("# nothing\n"))).is_ok());
}

#[test]
fn a_missing_file_is_a_mistake() {
    let missing = ConfigFile::read(Path::new("/nonexistent/chronoguard.yaml"));
    let error = Settings::resolve(&Flags::default(), &[], Some(&missing)).unwrap_err().to_string();
    assert!(error.starts_with("/nonexistent/chronoguard.yaml: the configuration file cannot be read: "), "{error}");
}

#[test]
fn the_shipped_file_says_the_defaults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/chronoguard.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(Settings::resolve(&Flags::default(), &[], Some(&file(&text))).unwrap(), Settings::default());
    for key in KEYS {
        assert!(text.contains(&format!("{}: ", key.name)), "{} is not in it", key.name);
    }
}
