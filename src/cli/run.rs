//! `chronoguard run`: the proxy.

use std::path::PathBuf;

use clap::ValueEnum;

use super::{Error, Outcome};

/// Flags win over `CHRONOGUARD_*` variables, those over the file. The variables are read with the file.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Where clients connect [default: 127.0.0.1:6432]
    #[arg(long, value_name = "ADDR")]
    pub(super) listen: Option<String>,
    /// The PostgreSQL server [default: 127.0.0.1:5432]
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) upstream: Option<String>,
    /// A rule file, or a directory of them; may be repeated [default: rules/]
    #[arg(long, value_name = "PATH")]
    pub(super) rules: Vec<PathBuf>,
    /// Where metrics and the status page are served [default: 127.0.0.1:9187]
    #[arg(long, value_name = "ADDR")]
    pub(super) admin: Option<String>,
    /// How log lines look [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub(super) log_format: Option<LogFormat>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    Text,
    Json,
}

pub(super) fn run(_: Arguments) -> Outcome {
    Err(Error("`run` is not built yet".to_owned()))
}
