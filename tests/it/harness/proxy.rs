//! The proxy as a process.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use super::{Talk, cluster::file, metrics};

/// `chronoguard run`, killed when dropped.
pub struct Proxy {
    /// Where clients connect.
    pub addr: SocketAddr,
    /// Metrics and control.
    pub admin: SocketAddr,
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    /// The directory of the rule file, and the file.
    rules: (tempfile::TempDir, PathBuf),
}

impl Proxy {
    /// Before the shared cluster, with these rules.
    pub fn start(rules: &str) -> Self {
        Self::before(super::cluster().addr, rules)
    }

    /// Before any server.
    pub fn before(upstream: SocketAddr, rules: &str) -> Self {
        Self::with(upstream, rules, &[])
    }

    /// With more arguments. The rule file is not watched.
    pub fn with(upstream: SocketAddr, rules: &str, arguments: &[&str]) -> Self {
        let rules = file("rules.yaml", rules);
        Self::on(upstream, rules, arguments, "off")
    }

    /// Before the shared cluster, watching its rule file.
    pub fn watching(rules: &str) -> Self {
        Self::on(super::cluster().addr, file("rules.yaml", rules), &[], "50ms")
    }

    fn on(upstream: SocketAddr, rules: (tempfile::TempDir, PathBuf), arguments: &[&str], watch: &str) -> Self {
        // Another build of the program (a release build) may be put to the same tests.
        let program = std::env::var_os("CHRONOGUARD_IT_BINARY").unwrap_or(env!("CARGO_BIN_EXE_chronoguard").into());
        let mut child = Command::new(program)
            .args(["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--upstream", &upstream.to_string()])
            .arg("--rules")
            .arg(&rules.1)
            .args(arguments)
            .env("CHRONOGUARD_WATCH_RULES", watch)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start chronoguard");
        let log = Arc::new(Mutex::new(Vec::new()));
        let (lines, received) = mpsc::channel();
        collect(child.stdout.take().unwrap(), log.clone(), lines.clone());
        collect(child.stderr.take().unwrap(), log.clone(), lines);
        let (mut addr, mut admin) = (None, None);
        while addr.is_none() || admin.is_none() {
            let Ok(line) = received.recv_timeout(Duration::from_secs(20)) else {
                child.kill().ok();
                panic!("chronoguard did not say where it listens:\n{}", log.lock().unwrap().join("\n"));
            };
            if let Some(at) = field(&line, "addr") {
                *(if line.contains("admin") { &mut admin } else { &mut addr }) = Some(at);
            }
        }
        Self { addr: addr.unwrap(), admin: admin.unwrap(), child, log, rules }
    }

    /// Replaces the rule file, which alone does nothing.
    pub fn write_rules(&self, rules: &str) {
        std::fs::write(&self.rules.1, rules).unwrap();
    }

    /// Where the rule file is.
    pub fn rules_path(&self) -> &std::path::Path {
        &self.rules.1
    }

    /// `POST /-/reload`: status and body.
    pub fn reload(&self) -> (u16, serde_json::Value) {
        let (status, body) = metrics::http(self.admin, "POST", "/-/reload");
        (status, serde_json::from_str(&body).unwrap_or_else(|e| panic!("{e}: {body}")))
    }

    /// Puts other rules into force.
    pub fn use_rules(&self, rules: &str) {
        self.write_rules(rules);
        let (status, body) = self.reload();
        assert_eq!((status, &body["changed"]), (200, &true.into()), "{body}");
    }

    /// Throws the kill switch, or lifts it.
    pub fn observe_only(&self, on: bool) {
        let (status, body) = metrics::http(self.admin, if on { "POST" } else { "DELETE" }, "/-/observe");
        assert_eq!(status, 200, "{body}");
    }

    /// A session as superuser through the proxy.
    pub fn login(&self, database: &str) -> Talk {
        Talk::login(self.addr, "postgres", database)
    }

    /// One scrape.
    pub fn metrics(&self) -> metrics::Samples {
        metrics::scrape(self.admin)
    }

    /// Scrapes until the sum of a metric is `value`.
    pub fn await_metric(&self, name: &str, labels: &[(&str, &str)], value: f64) -> metrics::Samples {
        let what = format!("{name}{labels:?} = {value}");
        metrics::await_samples(self.admin, &what, |s| (s.sum(name, labels) - value).abs() < 0.5)
    }

    /// Peak resident memory in KiB.
    pub fn peak_memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|l| l.starts_with("VmHWM:")).expect("VmHWM");
        line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number of kB")
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// Waits until the log holds what is wanted: its lines come by a thread of their own.
    pub fn await_log(&self, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let log = self.log();
            if wanted(&log) {
                return log;
            }
            assert!(Instant::now() < deadline, "never logged:\n{log}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// It still runs.
    pub fn alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            eprintln!("--- log of chronoguard\n{}", self.log());
        }
    }
}

fn collect(from: impl std::io::Read + Send + 'static, log: Arc<Mutex<Vec<String>>>, lines: mpsc::Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            log.lock().unwrap().push(line.clone());
            lines.send(line).ok();
        }
    });
}

/// The value of a field in a log line of either format, if it is an address.
fn field(line: &str, name: &str) -> Option<SocketAddr> {
    if let Some((_, rest)) = line.split_once(&format!("\"{name}\":\"")) {
        return rest.split('"').next()?.parse().ok();
    }
    line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
}
