//! The report for programs.

use serde_json::{Value, json};

use super::report::Report;
use crate::cli::Error;

pub(super) fn to_json(report: &Report) -> Result<String, Error> {
    let tests: Vec<Value> = report
        .tested
        .iter()
        .map(|test| {
            let failures = test
                .failures
                .iter()
                .map(|f| json!({"about": f.about, "expected": f.expected, "found": f.found}))
                .collect::<Vec<_>>();
            json!({
                "name": test.name,
                "file": test.place.file.display().to_string(),
                "line": test.place.line,
                "column": test.place.column,
                "passed": test.passed(),
                "violations": test.violations,
                "failures": failures,
                "notes": test.notes,
                "seconds": test.took.as_secs_f64(),
            })
        })
        .collect();
    let coverage: Vec<Value> = report
        .coverage
        .0
        .iter()
        .map(|c| json!({"table": c.table, "rule": c.rule, "passed": c.passed, "violated": c.violated}))
        .collect();
    let all = json!({"tests": tests, "coverage": coverage, "failed": report.failed()});
    super::super::pretty(&all)
}
