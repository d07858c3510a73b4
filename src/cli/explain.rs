//! `chronoguard explain`: every write in a text, and what is done about it.

use std::path::PathBuf;

use clap::ValueEnum;

use super::{Error, Outcome};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A rule file, or a directory of them; may be repeated
    #[arg(long, value_name = "PATH")]
    pub(super) rules: Vec<PathBuf>,
    /// Ask this database what the names mean, e.g. postgresql://app@127.0.0.1/app
    #[arg(long, value_name = "URL")]
    pub(super) database: Option<String>,
    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) format: Format,
    /// One JSON object {"sql": …} per line of standard input, one answer per line
    #[arg(long)]
    pub(super) batch: bool,
    /// The statements; `-` reads them from standard input
    #[arg(value_name = "SQL", required_unless_present = "batch", conflicts_with = "batch")]
    pub(super) sql: Option<String>,
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Text,
    Json,
}

pub(super) fn explain(_: Arguments) -> Outcome {
    Err(Error("`explain` is not built yet".to_owned()))
}
