//! The validated configuration: what the rest of the program uses.

use std::{path::PathBuf, time::Duration};

use super::{
    ConfigFile, Flags, HostPort, Mistakes,
    resolve::{Key, Resolver},
    value,
};
use crate::observe::log::LogFormat;

/// Everything that `chronoguard run` is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where clients connect.
    pub listen: HostPort,
    /// The PostgreSQL server.
    pub upstream: HostPort,
    /// Metrics, health and status page; `None`: switched off.
    pub admin: Option<HostPort>,
    /// Requests to the admin server that change something may come from other hosts.
    pub admin_changes_from_anywhere: bool,
    /// Rule files and directories of rule files.
    pub rules: Vec<PathBuf>,
    /// How often rule files are looked at for changes; `None`: never.
    pub watch_rules: Option<Duration>,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Filter directives for the log.
    pub log: String,
    /// Column values appear in the violation log and in the recent list.
    pub log_values: bool,
    /// So many violations of one statement are logged one by one.
    pub log_violations: u32,
    /// Threads that relay connections.
    pub threads: usize,
    /// Client connections at a time.
    pub max_connections: usize,
    /// A message that must be looked at and is larger than this is unguardable.
    pub message_cap: usize,
    /// How long connecting to the server may take.
    pub connect_timeout: Duration,
    /// How long a client may take for its StartupMessage.
    pub startup_timeout: Duration,
    /// How long sessions may go on after SIGTERM.
    pub drain_grace: Duration,
}

/// Every key of the file. `CHRONOGUARD_` and the name in capitals is its variable; some have a flag (see [`Flags`]).
#[rustfmt::skip]
pub(super) const KEYS: &[Key] = &[
    Key { name: "listen", list: false },
    Key { name: "upstream", list: false },
    Key { name: "admin", list: false },
    Key { name: "admin_changes", list: false },
    Key { name: "rules", list: true },
    Key { name: "watch_rules", list: false },
    Key { name: "log_format", list: false },
    Key { name: "log", list: false },
    Key { name: "log_values", list: false },
    Key { name: "log_violations", list: false },
    Key { name: "threads", list: false },
    Key { name: "max_connections", list: false },
    Key { name: "message_cap", list: false },
    Key { name: "connect_timeout", list: false },
    Key { name: "startup_timeout", list: false },
    Key { name: "drain_grace", list: false },
];

impl Default for Settings {
    fn default() -> Self {
        let local = |port| HostPort { host: "127.0.0.1".into(), port };
        Self {
            listen: local(6432),
            upstream: local(5432),
            admin: Some(local(9187)),
            admin_changes_from_anywhere: false,
            rules: vec!["rules".into()],
            watch_rules: Some(Duration::from_secs(1)),
            log_format: LogFormat::Text,
            log: "info".into(),
            log_values: true,
            log_violations: 10,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            max_connections: 10_000,
            message_cap: 16 << 20,
            connect_timeout: Duration::from_secs(5),
            startup_timeout: Duration::from_secs(30),
            drain_grace: Duration::from_secs(30),
        }
    }
}

impl Settings {
    /// Reads the process' environment and the file that `--config` or `CHRONOGUARD_CONFIG` names, then [`Settings::resolve`]s.
    ///
    /// # Errors
    /// Every mistake of flags, environment and file, all at once.
    pub fn from_process(flags: &Flags) -> Result<Self, Mistakes> {
        let variables: Vec<(String, String)> =
            std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect();
        let named = variables.iter().find(|(name, _)| name == "CHRONOGUARD_CONFIG").map(|(_, path)| path.into());
        let path: Option<PathBuf> = flags.config.clone().or(named);
        let file = path.map(|path| ConfigFile::read(&path));
        Self::resolve(flags, &variables, file.as_ref())
    }

    /// Flags over variables over the file over defaults. `variables` may hold foreign ones; only those named `CHRONOGUARD_…` are looked at.
    ///
    /// # Errors
    /// Every mistake of all three, also in values that a stronger source overrides.
    pub fn resolve(flags: &Flags, variables: &[(String, String)], file: Option<&ConfigFile>) -> Result<Self, Mistakes> {
        let mut r = Resolver::new(flags, variables, file);
        let default = Self::default();
        let ms = Duration::from_millis;
        let settings = Self {
            listen: r.one("listen", default.listen, |t| value::host_port(t, None)),
            upstream: r.one("upstream", default.upstream, upstream),
            admin: r.one("admin", default.admin, |t| {
                if t == "off" {
                    Ok(None)
                } else {
                    value::host_port(t, None).map(Some).map_err(|e| format!("{e}, or off"))
                }
            }),
            admin_changes_from_anywhere: r.one("admin_changes", default.admin_changes_from_anywhere, |t| match t {
                "local" => Ok(false),
                "anywhere" => Ok(true),
                _ => Err("expected local or anywhere".into()),
            }),
            rules: r.list("rules", default.rules, |t| {
                if t.is_empty() { Err("expected a path".into()) } else { Ok(t.into()) }
            }),
            watch_rules: r.one("watch_rules", default.watch_rules, |t| match t {
                "off" => Ok(None),
                t => value::duration(t, ms(50), ms(3_600_000)).map(Some).map_err(|e| format!("{e}, or off")),
            }),
            log_format: r.one("log_format", default.log_format, |t| match t {
                "text" => Ok(LogFormat::Text),
                "json" => Ok(LogFormat::Json),
                _ => Err("expected text or json".into()),
            }),
            log: r.one("log", default.log, log_filter),
            log_values: r.one("log_values", default.log_values, value::switch),
            log_violations: r.one("log_violations", default.log_violations, |t| {
                value::count(t, 0, 10_000).map(|n| u32::try_from(n).unwrap_or(u32::MAX))
            }),
            threads: r.one("threads", default.threads, |t| small(t, 1, 1_024)),
            max_connections: r.one("max_connections", default.max_connections, |t| small(t, 1, 1_000_000)),
            message_cap: r.one("message_cap", default.message_cap, |t| value::bytes(t, 64 << 10, 1 << 30)),
            connect_timeout: r
                .one("connect_timeout", default.connect_timeout, |t| value::duration(t, ms(10), ms(600_000))),
            startup_timeout: r
                .one("startup_timeout", default.startup_timeout, |t| value::duration(t, ms(10), ms(600_000))),
            drain_grace: r.one("drain_grace", default.drain_grace, |t| value::duration(t, ms(0), ms(86_400_000))),
        };
        r.finish().map(|()| settings)
    }
}

fn upstream(text: &str) -> Result<HostPort, String> {
    let address = value::host_port(text, Some(5432))?;
    if address.port == 0 { Err("a server has no port 0".into()) } else { Ok(address) }
}

fn log_filter(text: &str) -> Result<String, String> {
    let parsed = tracing_subscriber::EnvFilter::builder().parse(text);
    parsed.map(|_| text.to_owned()).map_err(|_| {
        "expected error, warn, info, debug, trace, or directives such as info,chronoguard::session=debug".into()
    })
}

fn small(text: &str, least: u64, most: u64) -> Result<usize, String> {
    value::count(text, least, most).map(|n| usize::try_from(n).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests;
