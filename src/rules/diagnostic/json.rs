//! Findings for programs.

use serde_json::{Value, json};

use super::{Counts, Diagnostic, tally};
use crate::rules::set::Place;

pub(super) fn all(diagnostics: &[Diagnostic], counts: Counts) -> Value {
    let (errors, warnings) = tally(diagnostics);
    json!({
        "errors": errors,
        "warnings": warnings,
        "files": counts.files,
        "tables": counts.tables,
        "rules": counts.rules,
        "diagnostics": diagnostics.iter().map(one).collect::<Vec<_>>(),
    })
}

fn one(d: &Diagnostic) -> Value {
    json!({
        "severity": d.severity,
        "code": d.code,
        "file": file(&d.place),
        "line": d.place.line,
        "column": d.place.column,
        "length": d.length,
        "message": d.message,
        "expected": d.expected,
        "help": d.help,
        "related": d.related.iter().map(|(place, message)| json!({
            "file": file(place), "line": place.line, "column": place.column, "message": message,
        })).collect::<Vec<_>>(),
    })
}

fn file(place: &Place) -> String {
    place.file.display().to_string()
}
