//! A private, throwaway PostgreSQL from the machine's own binaries, for `chronoguard demo`, `chronoguard test` and the integration tests.
//!
//! Owns: finding the binaries, `initdb`, one postmaster and its directory. Knows nothing of the proxy, and needs no client library.
//!
//! ```text
//! this process ──spawns──▶ postgres        (own process group: a Ctrl-C in the terminal does not reach it)
//!      └───pipe────────▶ watcher (sh)      reads until the pipe closes; if we died without a word, it ends postgres and removes the directory
//! ```
//! So nothing is left behind when a test process is killed, or when the [`Cluster`] sits in a `static` that is never dropped.

use std::{
    fs,
    io::{self, Write as _},
    net::{Ipv4Addr, TcpListener},
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

pub use self::binaries::Binaries;

mod binaries;

/// Name of the superuser of every scratch cluster.
pub const SUPERUSER: &str = "postgres";

/// How long a start may take: `initdb` is apart. Generous, for busy machines.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long an immediate shutdown may take before SIGKILL.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// How many ports are tried: another process may take the one we found free.
const PORT_ATTEMPTS: u32 = 10;

/// Durability is of no use to a cluster that is thrown away; everything else stays as PostgreSQL ships it.
const SETTINGS: &[(&str, &str)] = &[
    ("fsync", "off"),
    ("synchronous_commit", "off"),
    ("full_page_writes", "off"),
    ("max_connections", "200"),
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
    ("listen_addresses", "127.0.0.1"),
];

/// Why there is no scratch cluster.
#[derive(Debug, thiserror::Error)]
pub enum ScratchError {
    /// No directory has both `initdb` and `postgres`.
    #[error(
        "no PostgreSQL server binaries (initdb, postgres) found; looked in: {looked}. \
         Install them (Debian, Ubuntu: apt-get install postgresql) or point CHRONOGUARD_PG_BIN to the directory that has them"
    )]
    NoBinaries {
        /// The places, for people.
        looked: String,
    },
    /// `initdb` refuses root, and there is no other user to run it as.
    #[error(
        "running as root, and PostgreSQL refuses that: no user \"postgres\" or \"nobody\" in /etc/passwd to run it as"
    )]
    NoUser,
    /// A program could not be started or a file not written.
    #[error("{doing}: {source}")]
    Io {
        /// What was tried.
        doing: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A program ended with an error.
    #[error("{program} failed ({status}): {output}")]
    Failed {
        /// Its name.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote to standard error.
        output: String,
    },
    /// The server ended, or did not get ready in time.
    #[error("the scratch PostgreSQL did not start: {reason}; its log:\n{log}")]
    NotStarted {
        /// Ended or timed out.
        reason: String,
        /// The end of the server's log.
        log: String,
    },
    /// The path of a Unix socket is limited to about 100 bytes.
    #[error(
        "the temporary directory {path} is too long for a Unix socket (limit 107 bytes); set TMPDIR to a shorter one"
    )]
    SocketPath {
        /// The directory.
        path: PathBuf,
    },
}

fn io_error(doing: impl Into<String>) -> impl FnOnce(io::Error) -> ScratchError {
    move |source| ScratchError::Io { doing: doing.into(), source }
}

/// What a caller may wish of a scratch cluster.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The programs to use; found if `None`.
    pub binaries: Option<Binaries>,
    /// More settings for `postgresql.conf`; they win over ours.
    pub settings: Vec<(String, String)>,
    /// Lines for `pg_hba.conf`, before ours, which trust everybody on this machine.
    pub hba: Vec<String>,
    /// Parent of the cluster's directory; the system's temporary directory if `None`.
    pub parent_dir: Option<PathBuf>,
}

/// A running throwaway server. Dropping it ends the server and removes its directory.
#[derive(Debug)]
pub struct Cluster {
    binaries: Binaries,
    dir: tempfile::TempDir,
    port: u16,
    postmaster: Child,
    watcher: Watcher,
}

impl Cluster {
    /// Makes a new database cluster and starts its server: TCP on 127.0.0.1 at a free port, and a Unix socket in its directory.
    /// Blocks for about a second.
    ///
    /// # Errors
    /// No binaries, no user to run them as, `initdb` failed, or the server did not start.
    pub fn start(options: Options) -> Result<Self, ScratchError> {
        let binaries = match options.binaries {
            Some(binaries) => binaries,
            None => Binaries::find()?,
        };
        let owner = Owner::choose()?;
        let dir = make_dir(options.parent_dir.as_deref(), owner)?;
        initdb(&binaries, dir.path(), owner)?;
        configure(dir.path(), &options.settings, &options.hba)?;
        let watcher = Watcher::start(dir.path())?;
        for _ in 1..PORT_ATTEMPTS {
            let port = free_port()?;
            match start_postmaster(&binaries, dir.path(), owner, port) {
                Ok(postmaster) => return Ok(Self { binaries, dir, port, postmaster, watcher }),
                Err(ScratchError::NotStarted { log, .. }) if port_was_taken(&log) => {}
                Err(error) => return Err(error),
            }
        }
        let port = free_port()?;
        let postmaster = start_postmaster(&binaries, dir.path(), owner, port)?;
        Ok(Self { binaries, dir, port, postmaster, watcher })
    }

    /// The TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Directory of the Unix socket (`.s.PGSQL.<port>`).
    pub fn socket_dir(&self) -> &Path {
        self.dir.path()
    }

    /// A connection URL for the superuser over TCP.
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://{SUPERUSER}@127.0.0.1:{}/{database}", self.port)
    }

    /// The programs it runs on.
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// Process id of the postmaster.
    pub fn pid(&self) -> u32 {
        self.postmaster.id()
    }

    /// What the server has logged so far.
    pub fn log(&self) -> String {
        read_log(self.dir.path())
    }

    /// Runs SQL with `psql` over the Unix socket as the superuser, stopping at the first error, and gives its output (unaligned, tuples only).
    ///
    /// # Errors
    /// [`ScratchError::Failed`] with what `psql` said.
    pub fn psql(&self, database: &str, sql: &str) -> Result<String, ScratchError> {
        let mut command = Command::new(self.binaries.program("psql"));
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", SUPERUSER, "-d", database, "-f", "-"]);
        command.arg("-h").arg(self.dir.path()).arg("-p").arg(self.port.to_string());
        command.env_remove("PGOPTIONS").env_remove("PGSERVICE");
        run_with_input(&mut command, sql)
    }

    /// Ends the server and removes its directory. The same happens on drop.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        end(&mut self.postmaster);
        self.watcher.dismiss();
        // Then the directory goes, as a field.
    }
}

/// The user the server runs as, where that is not us.
#[derive(Debug, Clone, Copy)]
struct Owner(Option<(u32, u32)>);

impl Owner {
    /// PostgreSQL refuses to run as root: then `postgres`, else `nobody`.
    fn choose() -> Result<Self, ScratchError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self(None));
        }
        let passwd = fs::read_to_string("/etc/passwd").map_err(io_error("read /etc/passwd"))?;
        let ids = ["postgres", "nobody"].iter().find_map(|user| passwd_ids(&passwd, user));
        ids.map(|ids| Self(Some(ids))).ok_or(ScratchError::NoUser)
    }

    fn command(self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some((uid, gid)) = self.0 {
            command.uid(uid).gid(gid);
        }
        // The server's messages must not depend on the machine: the port check reads them.
        command.env("LC_ALL", "C").current_dir("/");
        command
    }
}

/// `name:x:uid:gid:…`
fn passwd_ids(passwd: &str, user: &str) -> Option<(u32, u32)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == user).then_some(())?;
        let uid = fields.nth(1)?.parse().ok()?;
        Some((uid, fields.next()?.parse().ok()?))
    })
}

fn make_dir(parent: Option<&Path>, owner: Owner) -> Result<tempfile::TempDir, ScratchError> {
    let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
    let dir = tempfile::Builder::new()
        .prefix("chronoguard-pg-")
        .tempdir_in(&parent)
        .map_err(io_error(format!("make a directory in {}", parent.display())))?;
    if dir.path().as_os_str().len() + "/.s.PGSQL.65535".len() > 107 {
        return Err(ScratchError::SocketPath { path: dir.path().to_owned() });
    }
    if let Some((uid, gid)) = owner.0 {
        chown(dir.path(), Some(uid), Some(gid)).map_err(io_error("chown the scratch directory"))?;
    }
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700))
        .map_err(io_error("chmod the scratch directory"))?;
    debug_assert!(owner.0.is_none_or(|(uid, _)| fs::metadata(dir.path()).is_ok_and(|m| m.uid() == uid)));
    Ok(dir)
}

fn initdb(binaries: &Binaries, dir: &Path, owner: Owner) -> Result<(), ScratchError> {
    let mut command = owner.command(&binaries.dir().join("initdb"));
    command.args(["--username", SUPERUSER, "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync"]);
    command.arg("-D").arg(dir.join("data"));
    run(&mut command).map(|_| ())
}

fn configure(dir: &Path, settings: &[(String, String)], hba: &[String]) -> Result<(), ScratchError> {
    let mut conf = fs::OpenOptions::new()
        .append(true)
        .open(dir.join("data/postgresql.conf"))
        .map_err(io_error("open postgresql.conf"))?;
    let socket_dir = dir.display().to_string();
    let ours = SETTINGS.iter().copied().chain([("unix_socket_directories", socket_dir.as_str())]);
    let theirs = settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in ours.chain(theirs) {
        writeln!(conf, "{name} = '{}'", value.replace('\'', "''")).map_err(io_error("write postgresql.conf"))?;
    }
    let mut lines = hba.to_vec();
    for kind in
        ["local all all", "host all all 127.0.0.1/32", "local replication all", "host replication all 127.0.0.1/32"]
    {
        lines.push(format!("{kind} trust"));
    }
    // Truncating keeps the file's owner.
    fs::write(dir.join("data/pg_hba.conf"), lines.join("\n") + "\n").map_err(io_error("write pg_hba.conf"))
}

/// A port nobody listened on a moment ago. Somebody else may take it before the server does: see [`port_was_taken`].
fn free_port() -> Result<u16, ScratchError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(io_error("find a free port"))?;
    Ok(listener.local_addr().map_err(io_error("find a free port"))?.port())
}

fn port_was_taken(log: &str) -> bool {
    log.contains("could not bind IPv4 address") || log.contains("could not create any TCP/IP sockets")
}

fn start_postmaster(binaries: &Binaries, dir: &Path, owner: Owner, port: u16) -> Result<Child, ScratchError> {
    let log = fs::File::create(dir.join("server.log")).map_err(io_error("create the server's log"))?;
    let mut command = owner.command(&binaries.dir().join("postgres"));
    command.arg("-D").arg(dir.join("data")).arg("-p").arg(port.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0);
    let mut postmaster = command.spawn().map_err(io_error("start postgres"))?;
    match wait_until_ready(&mut postmaster, dir) {
        Ok(()) => Ok(postmaster),
        Err(reason) => {
            end(&mut postmaster);
            Err(ScratchError::NotStarted { reason, log: read_log(dir) })
        }
    }
}

/// Waits for line 8 of `postmaster.pid` to say `ready`, as `pg_ctl` does; line 1 is its process id.
///
/// Source: PostgreSQL `src/include/utils/pidfile.h`, `LOCK_FILE_LINE_PM_STATUS`.
fn wait_until_ready(postmaster: &mut Child, dir: &Path) -> Result<(), String> {
    let pid = postmaster.id().to_string();
    let until = Instant::now() + START_LIMIT;
    while Instant::now() < until {
        if let Ok(Some(status)) = postmaster.try_wait() {
            return Err(format!("it ended ({status})"));
        }
        let text = fs::read_to_string(dir.join("data/postmaster.pid")).unwrap_or_default();
        let mut lines = text.lines();
        if lines.next() == Some(pid.as_str()) && lines.nth(6).is_some_and(|status| status.trim() == "ready") {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(10));
    }
    Err(format!("not ready within {} s", START_LIMIT.as_secs()))
}

fn read_log(dir: &Path) -> String {
    let bytes = fs::read(dir.join("server.log")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Immediate shutdown (SIGQUIT), SIGKILL if that takes too long, and reaping.
fn end(postmaster: &mut Child) {
    if matches!(postmaster.try_wait(), Ok(Some(_))) {
        return;
    }
    if let Some(pid) = i32::try_from(postmaster.id()).ok().and_then(Pid::from_raw) {
        // It is our child and not reaped yet, so the id cannot belong to anybody else.
        let _ = kill_process(pid, Signal::QUIT);
    }
    let until = Instant::now() + STOP_LIMIT;
    while Instant::now() < until {
        if matches!(postmaster.try_wait(), Ok(Some(_)) | Err(_)) {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    let _ = postmaster.kill();
    let _ = postmaster.wait();
}

/// Cleans up after a process that died without doing so itself: its end of the pipe closes, whatever killed it.
#[derive(Debug)]
struct Watcher {
    process: Child,
    pipe: Option<ChildStdin>,
}

/// `$1` is the scratch directory. Reads one word: anything is a dismissal, end of file is our death.
const WATCHER_SCRIPT: &str = r#"
read -r word && exit 0
pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null) && kill -QUIT "$pid" 2>/dev/null
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    [ -e "$1/data/postmaster.pid" ] && kill -0 "$pid" 2>/dev/null || break
    sleep 0.25
done
[ -e "$1/data/postmaster.pid" ] && kill -KILL "$pid" 2>/dev/null
rm -rf "$1"
"#;

impl Watcher {
    fn start(dir: &Path) -> Result<Self, ScratchError> {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(WATCHER_SCRIPT).arg("chronoguard-scratch").arg(dir).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let mut process = command.spawn().map_err(io_error("start the watcher (/bin/sh)"))?;
        let pipe = process.stdin.take();
        Ok(Self { process, pipe })
    }

    /// We clean up ourselves.
    fn dismiss(&mut self) {
        if let Some(mut pipe) = self.pipe.take() {
            let _ = pipe.write_all(b"done\n");
        }
        let _ = self.process.wait();
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.dismiss();
    }
}

fn run(command: &mut Command) -> Result<String, ScratchError> {
    run_with_input(command, "")
}

fn run_with_input(command: &mut Command, input: &str) -> Result<String, ScratchError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let doing = format!("run {program}");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(io_error(&doing))?;
    let pipe = child.stdin.take();
    let output = thread::scope(|scope| {
        scope.spawn(move || {
            // A program that ends early closes the pipe; its exit status tells the story.
            let _ = pipe.map(|mut pipe| pipe.write_all(input.as_bytes()));
        });
        child.wait_with_output()
    })
    .map_err(io_error(&doing))?;
    if !output.status.success() {
        let output_text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(ScratchError::Failed { program, status: output.status, output: output_text });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests;
