//! `chronoguard test`: the tests of rule files, through the guard itself.
//!
//! ```text
//! client ──▶ proxy in this process, with the rules ──▶ PostgreSQL: a copy of the file's database for each test
//!    └ what it got: rows, errors, notices    └ what it counted            └ setup before, `landed` after, straight to the server
//! ```
//! The server is a private throwaway one, or that of `--database`, where only databases of our own are written, which go again.

mod client;
mod coverage;
mod json;
mod judge;
mod junit;
mod play;
mod report;
mod server;
mod text;

use std::{path::PathBuf, pin::pin, sync::Arc, time::Instant};

use clap::ValueEnum;
use regex::Regex;

use self::{
    coverage::Coverage,
    play::Stage,
    report::{Report, Tested},
    server::Sources,
};
use super::{Error, Exit, Outcome};
use crate::rules::{
    diagnostic::{Code, Diagnostic, Severity, to_text},
    load::{Inspected, inspect},
    rule_tests::{FileTests, RuleTest},
    set::RuleSet,
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Rule files, or directories of them
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Test in copies of this database, made on its server, instead of on a private throwaway server
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Only the tests whose `FILE: NAME` matches
    #[arg(long, value_name = "REGEX")]
    run: Option<Regex>,
    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Junit,
}

pub(super) fn test(arguments: Arguments) -> Outcome {
    let Inspected { set, diagnostics, counts, sources: files } = inspect(&arguments.paths);
    if diagnostics.iter().any(|d| d.severity == Severity::Error) {
        // Standard output is for what reads results.
        eprint!("{}", to_text(&diagnostics, counts));
        return Ok(if diagnostics.iter().any(|d| d.code == Code::Unreadable) { Exit::Usage } else { Exit::Failed });
    }
    let chosen = chosen(&set, arguments.run.as_ref());
    if chosen.is_empty() {
        let which = arguments.run.map_or(String::new(), |run| format!(" that matches `{run}`"));
        eprintln!("chronoguard: there is no test{which} in these files");
        return Ok(Exit::Usage);
    }
    let sources = match Sources::read(chosen.iter().map(|(file, _)| *file)) {
        Ok(sources) => sources,
        Err(unreadable) => return Ok(refuse(&unreadable)),
    };
    let set = Arc::new(set);
    let chosen = self::chosen(&set, arguments.run.as_ref());
    let stage = match Stage::set(files.files(), arguments.database.as_deref(), &set, sources) {
        Ok(stage) => stage,
        Err(error) => {
            eprintln!("chronoguard: {error}");
            return Ok(Exit::Usage);
        }
    };
    // Who chooses tests asks about their files; who does not, about all.
    let files: Vec<_> = chosen.iter().map(|(file, _)| &file.file).collect();
    let coverage = Coverage::new(&set, |rule| arguments.run.is_none() || files.contains(&&rule.place.file));
    let report = run(&stage, &set, &chosen, coverage)?;
    super::print(&match arguments.format {
        Format::Text => text::to_text(&report),
        Format::Json => json::to_json(&report)?,
        Format::Junit => junit::to_junit(&report),
    })?;
    Ok(if report.failed() == 0 { Exit::Done } else { Exit::Failed })
}

fn refuse(unreadable: &[Diagnostic]) -> Exit {
    for diagnostic in unreadable {
        eprint!("{diagnostic}");
    }
    Exit::Usage
}

/// The tests that are to be run, by file.
fn chosen<'s>(set: &'s RuleSet, run: Option<&Regex>) -> Vec<(&'s FileTests, Vec<&'s RuleTest>)> {
    let wanted = |file: &FileTests, test: &RuleTest| {
        run.is_none_or(|run| run.is_match(&format!("{}: {}", file.file.display(), test.name)))
    };
    let files = set.tests.iter().map(|file| (file, file.tests.iter().filter(|test| wanted(file, test)).collect()));
    files.filter(|(_, tests): &(_, Vec<_>)| !tests.is_empty()).collect()
}

/// Runs them one after the other: what the proxy counts belongs to the one that runs.
fn run(
    stage: &Stage,
    set: &RuleSet,
    chosen: &[(&FileTests, Vec<&RuleTest>)],
    coverage: Coverage,
) -> Result<Report, Error> {
    let mut report = Report { tested: Vec::new(), coverage };
    let mut interrupt = pin!(tokio::signal::ctrl_c());
    for (file, tests) in chosen {
        let database = stage.server().prepare(file, set);
        for test in tests {
            if stage.ready_now(interrupt.as_mut()) {
                return Err(Error("interrupted".to_owned()));
            }
            let started = Instant::now();
            let played = match &database {
                Ok(database) => stage.play(database, test),
                Err(why) => Err(why.clone()),
            };
            report.coverage.add(&played);
            let (failures, notes) = judge::judge(&test.expect, &played, &stage.rules);
            let name = test.name.clone();
            let (place, took) = (test.place.clone(), started.elapsed());
            let violations = played.as_ref().map(|p| p.violations()).unwrap_or_default();
            let ran = played.is_ok();
            report.tested.push(Tested { name, place, took, ran, violations, failures, notes });
        }
    }
    Ok(report)
}
