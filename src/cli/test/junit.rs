//! The report as JUnit XML, which CI systems show test by test.
//!
//! Source: the elements that Jenkins and GitLab read, <https://github.com/testmoapp/junitxml>.

use std::fmt::Write as _;

use super::{
    judge::Failure,
    report::{Report, Tested},
};

pub(super) fn to_junit(report: &Report) -> String {
    let files = report.tested.chunk_by(|a, b| a.place.file == b.place.file);
    let suites: String = files.map(suite).collect();
    let totals = totals(&report.tested);
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"chronoguard\" {totals}>\n{suites}</testsuites>\n"
    )
}

fn totals(tests: &[Tested]) -> String {
    let errors = tests.iter().filter(|test| !test.ran).count();
    let failures = tests.iter().filter(|test| test.ran && !test.passed()).count();
    let time: f64 = tests.iter().map(|test| test.took.as_secs_f64()).sum();
    format!("tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\" time=\"{time:.3}\"", tests.len())
}

fn suite(tests: &[Tested]) -> String {
    let file = tests.first().map(|test| test.place.file.display().to_string()).unwrap_or_default();
    let cases: String = tests.iter().map(|test| case(test, &file)).collect();
    format!("  <testsuite name=\"{}\" {}>\n{cases}  </testsuite>\n", escaped(&file), totals(tests))
}

fn case(test: &Tested, file: &str) -> String {
    let (name, file, time) = (escaped(&test.name), escaped(file), test.took.as_secs_f64());
    let line = test.place.line;
    let mut out = format!(
        "    <testcase name=\"{name}\" classname=\"{file}\" file=\"{file}\" line=\"{line}\" time=\"{time:.3}\""
    );
    if test.passed() && test.notes.is_empty() {
        out += "/>\n";
        return out;
    }
    out += ">\n";
    if let Some(first) = test.failures.first() {
        out += &failed(test, first);
    }
    if !test.notes.is_empty() {
        let _ = writeln!(out, "      <system-out>{}</system-out>", escaped(&test.notes.join("\n")));
    }
    out + "    </testcase>\n"
}

/// One element for all that failed, since some readers look at the first one only.
fn failed(test: &Tested, first: &Failure) -> String {
    let element = if test.ran { "failure" } else { "error" };
    let message = format!("{}: {}", first.about, first.found);
    let mut text = test.location();
    for Failure { about, expected, found } in &test.failures {
        text += &match expected.as_str() {
            "" => format!("\n{about}: {found}"),
            _ => format!("\n{about}\n  expected: {expected}\n  found:    {found}"),
        };
    }
    let (about, message, text) = (escaped(first.about), escaped(&message), escaped(&text));
    format!("      <{element} type=\"{about}\" message=\"{message}\">{text}</{element}>\n")
}

/// As text or as the value of an attribute. Characters that XML 1.0 does not have become U+FFFD.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\n' | '\t' => out.push(c),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn any_text_becomes_xml() {
        assert_eq!(super::escaped("a<b> & \"c\"\n\u{1}ä"), "a&lt;b&gt; &amp; &quot;c&quot;\n\u{fffd}ä");
    }
}
