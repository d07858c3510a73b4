//! `chronoguard check`: the mistakes in rule files, all at once.

mod database;
mod judge;

use std::path::PathBuf;

use clap::ValueEnum;

use super::{Exit, Outcome, pretty};
use crate::rules::{
    diagnostic::{Code, Diagnostic, tally, to_json, to_sarif, to_text},
    lint,
    load::{Inspected, inspect},
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Rule files, or directories of them
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Check tables, columns and types against this database too, e.g. postgresql://app@127.0.0.1/app
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Ask as this role, the one that the application uses; the user of the URL must be a member of it
    #[arg(long, value_name = "NAME", requires = "database")]
    role: Option<String>,
    /// Warnings count: exit with 3 if there are only warnings
    #[arg(long)]
    strict: bool,
    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Sarif,
}

pub(super) fn check(arguments: Arguments) -> Outcome {
    let Inspected { set, mut diagnostics, counts, sources } = inspect(&arguments.paths);
    let asked = arguments
        .database
        .as_deref()
        .map_or(Ok(Vec::new()), |url| database::check(url, arguments.role.as_deref(), &set, &sources));
    diagnostics.extend(lint::rules(&set));
    diagnostics.extend(lint::untested(&set));
    diagnostics.extend(lint::exemptions(&set, jiff::Timestamp::now()));
    if let Ok(found) = &asked {
        diagnostics.extend(found.iter().cloned());
    }
    sources.arrange(&mut diagnostics);
    let output = match arguments.format {
        Format::Text => to_text(&diagnostics, counts),
        Format::Json => pretty(&to_json(&diagnostics, counts))?,
        Format::Sarif => pretty(&to_sarif(&diagnostics))?,
    };
    super::print(&output)?;
    if let Err(error) = asked {
        // The files are checked all the same.
        eprintln!("chronoguard: {error}");
        return Ok(Exit::Usage);
    }
    Ok(exit(&diagnostics, arguments.strict))
}

fn exit(diagnostics: &[Diagnostic], strict: bool) -> Exit {
    match tally(diagnostics) {
        _ if diagnostics.iter().any(|d| d.code == Code::Unreadable) => Exit::Usage,
        (0, 0) => Exit::Done,
        (0, _) if strict => Exit::OnlyWarnings,
        (0, _) => Exit::Done,
        _ => Exit::Failed,
    }
}
