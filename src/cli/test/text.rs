//! The report for people.

use super::{
    coverage::{Coverage, Covered},
    judge::Failure,
    report::Report,
};

pub(super) fn to_text(report: &Report) -> String {
    let mut out = String::new();
    for test in &report.tested {
        let verdict = if test.passed() { "ok    " } else { "FAILED" };
        out += &format!("{verdict}  {}  {}\n", test.location(), test.name);
        for failure in &test.failures {
            out += &failed(failure);
        }
        for note in &test.notes {
            out += &format!("          note: {note}\n");
        }
    }
    out += &coverage(&report.coverage);
    let (all, failed) = (report.tested.len(), report.failed());
    let tests = if all == 1 { "test" } else { "tests" };
    let (both, rules) = (report.coverage.both(), report.coverage.0.len());
    out + &format!("\n{all} {tests}, {failed} failed; {both} of {rules} rules seen both passed and violated\n")
}

fn failed(failure: &Failure) -> String {
    let Failure { about, expected, found } = failure;
    if expected.is_empty() {
        return format!("        {about}: {found}\n");
    }
    format!("        {about}\n          expected: {expected}\n          found:    {found}\n")
}

/// Rules by tests that have seen them.
fn coverage(coverage: &Coverage) -> String {
    let width = |of: fn(&Covered) -> &str, title: &str| {
        coverage.0.iter().map(|covered| of(covered).chars().count()).max().unwrap_or(0).max(title.len())
    };
    let (table, rule) = (width(|c| &c.table, "table"), width(|c| &c.rule, "rule"));
    let mut out = format!("\n{:table$}  {:rule$}  passed  violated\n", "table", "rule");
    for covered in &coverage.0 {
        let number = |n: u32| if n == 0 { "-".to_owned() } else { n.to_string() };
        let (passed, violated) = (number(covered.passed), number(covered.violated));
        out += &format!("{:table$}  {:rule$}  {passed:>6}  {violated:>8}\n", covered.table, covered.rule);
    }
    out
}
