//! Findings as SARIF.
//!
//! Source: OASIS, Static Analysis Results Interchange Format 2.1.0, sections 3.13 (`sarifLog`), 3.27 (`result`) and 3.29 (`physicalLocation`).

use serde_json::{Value, json};

use super::{Code, Diagnostic, Severity};
use crate::rules::set::Place;

pub(super) fn all(diagnostics: &[Diagnostic]) -> Value {
    let rules: Vec<Value> = Code::ALL
        .iter()
        .map(|code| json!({"id": code.as_str(), "shortDescription": {"text": code.summary()}}))
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "chronoguard",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            // Columns are counted in characters, not in UTF-16 code units.
            "columnKind": "unicodeCodePoints",
            "results": diagnostics.iter().map(result).collect::<Vec<_>>(),
        }],
    })
}

fn result(d: &Diagnostic) -> Value {
    let level = match d.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let mut text = d.message.clone();
    for (label, more) in [("expected", &d.expected), ("help", &d.help)] {
        if let Some(more) = more {
            text.push_str(&format!("; {label}: {more}"));
        }
    }
    let mut out = json!({
        "ruleId": d.code.as_str(),
        "ruleIndex": Code::ALL.iter().position(|c| *c == d.code),
        "level": level,
        "message": {"text": text},
        "locations": [{"physicalLocation": physical(&d.place, d.length)}],
    });
    if !d.related.is_empty() {
        out["relatedLocations"] = d
            .related
            .iter()
            .map(|(place, message)| json!({"physicalLocation": physical(place, 1), "message": {"text": message}}))
            .collect();
    }
    out
}

fn physical(place: &Place, length: u32) -> Value {
    let mut out = json!({"artifactLocation": {"uri": uri(place)}});
    if place.line > 0 {
        out["region"] = json!({
            "startLine": place.line, "startColumn": place.column, "endColumn": place.column.saturating_add(length.max(1)),
        });
    }
    out
}

/// A relative reference, or `file://` for an absolute path; what is no unreserved character is percent-encoded.
fn uri(place: &Place) -> String {
    let path = place.file.to_string_lossy();
    let mut out = String::from(if path.starts_with('/') { "file://" } else { "" });
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => out.push(byte.into()),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
