//! The command line of `chronoguard run`.

use std::path::PathBuf;

/// Flags of `chronoguard run`. They are texts here: [`super::Settings`] judges flags, variables and file by the same rules and reports
/// all their mistakes together.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct Flags {
    /// Configuration file (YAML)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where clients connect [default: 127.0.0.1:6432]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// The PostgreSQL server [default: 127.0.0.1:5432]
    #[arg(long, value_name = "HOST:PORT")]
    pub upstream: Option<String>,
    /// Rule file, or directory with rule files; may be given more than once [default: rules/]
    #[arg(long, value_name = "PATH")]
    pub rules: Vec<String>,
    /// Metrics, health and status page, or "off" [default: 127.0.0.1:9187]
    #[arg(long, value_name = "ADDR")]
    pub admin: Option<String>,
    /// Log lines as "text" or "json" [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// What is logged: a level, or directives such as "info,chronoguard::session=debug" [default: info]
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
    /// Threads that relay connections [default: one per core]
    #[arg(long, value_name = "N")]
    pub threads: Option<String>,
}

impl Flags {
    /// The value of a setting, if the command line has it. Settings that have no flag are never there.
    pub(super) fn value(&self, key: &str) -> Option<Vec<String>> {
        let one = |value: &Option<String>| value.clone().map(|v| vec![v]);
        match key {
            "listen" => one(&self.listen),
            "upstream" => one(&self.upstream),
            "rules" => Some(self.rules.clone()).filter(|r| !r.is_empty()),
            "admin" => one(&self.admin),
            "log_format" => one(&self.log_format),
            "log" => one(&self.log),
            "threads" => one(&self.threads),
            _ => None,
        }
    }
}
