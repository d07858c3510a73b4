//! `chronoguard explain`: every write in a text, and what is done about it.
//!
//! The same planning as in a session ([`crate::plan`]); only who says what a name means differs.

mod assumed;
mod explanation;
mod ground;
mod text;
mod words;

use std::{
    io::{self, BufRead as _, Read as _, Write as _},
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

pub(in crate::cli) use self::{explanation::Judged, ground::Ground};
use super::{Error, Exit, Outcome};
use crate::rules::{
    diagnostic::{Code, Counts, to_text},
    load::load,
    set::RuleSet,
};

/// Where `run` looks for rules too.
const DEFAULT_RULES: &str = "rules";

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A rule file, or a directory of them; may be repeated [default: rules/ if there is one]
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
    #[arg(value_name = "SQL", required_unless_present = "batch", conflicts_with = "batch", allow_hyphen_values = true)]
    pub(super) sql: Option<String>,
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Text,
    Json,
}

pub(super) fn explain(arguments: Arguments) -> Outcome {
    let rules = match rules(arguments.rules) {
        Ok(rules) => rules,
        Err(exit) => return Ok(exit),
    };
    let ground = match &arguments.database {
        None => Ok(Ground::assumed(rules)),
        Some(url) => Ground::asked(rules, url),
    };
    let mut ground = match ground {
        Ok(ground) => ground,
        Err(error) => {
            eprintln!("chronoguard: {error}");
            return Ok(Exit::Usage);
        }
    };
    match arguments.sql.as_deref() {
        None => batch(&mut ground),
        Some("-") => {
            let mut sql = Vec::new();
            io::stdin().lock().read_to_end(&mut sql).map_err(|e| Error(format!("read standard input: {e}")))?;
            one(&mut ground, &sql, arguments.format)
        }
        Some(sql) => one(&mut ground, sql.as_bytes(), arguments.format),
    }
}

/// The rules, or how the command ends because they have mistakes.
fn rules(mut paths: Vec<PathBuf>) -> Result<RuleSet, Exit> {
    if paths.is_empty() && Path::new(DEFAULT_RULES).is_dir() {
        paths.push(DEFAULT_RULES.into());
    }
    match load(&paths) {
        Ok(loaded) => Ok(loaded.set),
        Err(mistakes) => {
            eprint!("{}", to_text(&mistakes, Counts::default()));
            let unreadable = mistakes.iter().any(|mistake| mistake.code == Code::Unreadable);
            Err(if unreadable { Exit::Usage } else { Exit::Failed })
        }
    }
}

fn one(ground: &mut Ground, sql: &[u8], format: Format) -> Outcome {
    let explanation = match ground.explain(sql) {
        Ok(explanation) => explanation,
        Err(error) => {
            eprintln!("chronoguard: {error}");
            return Ok(Exit::Usage);
        }
    };
    let output = match format {
        Format::Text => text::to_text(&explanation, &ground.source()),
        Format::Json => {
            serde_json::to_string_pretty(&explanation).map_err(|e| Error(format!("write JSON: {e}")))? + "\n"
        }
    };
    super::print(&output)?;
    Ok(Exit::Done)
}

/// A line of a batch.
#[derive(Deserialize)]
struct Request {
    sql: String,
}

/// The answer to a line that is none.
#[derive(Serialize)]
struct Failure {
    error: String,
}

/// One line in, one line out, at once: whoever asks may wait for each answer.
fn batch(ground: &mut Ground) -> Outcome {
    let mut input = io::stdin().lock();
    let mut output = io::stdout().lock();
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = input.read_until(b'\n', &mut line).map_err(|e| Error(format!("read standard input: {e}")))?;
        if read == 0 {
            return Ok(Exit::Done);
        }
        let mut answer = answer(ground, &line).map_err(|e| Error(format!("write JSON: {e}")))?;
        answer.push(b'\n');
        match output.write_all(&answer).and_then(|()| output.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Exit::Done),
            done => done.map_err(|e| Error(format!("write to standard output: {e}")))?,
        }
    }
}

fn answer(ground: &mut Ground, line: &[u8]) -> serde_json::Result<Vec<u8>> {
    let failure = |error: String| serde_json::to_vec(&Failure { error });
    match serde_json::from_slice::<Request>(line) {
        Err(error) => failure(format!("not {{\"sql\": …}}: {error}")),
        Ok(Request { sql }) => match ground.explain(sql.as_bytes()) {
            Ok(explanation) => serde_json::to_vec(&explanation),
            Err(error) => failure(error.to_string()),
        },
    }
}
