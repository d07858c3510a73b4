use std::{path::PathBuf, sync::Arc};

use super::*;

fn place(line: u32, column: u32) -> Place {
    Place { file: Arc::new(PathBuf::from("rules/a b.yaml")), line, column }
}

fn example() -> Diagnostic {
    let mut d = Diagnostic::error(Code::UnknownKey, place(12, 9), "unknown key `tolerence`")
        .expected("one of `name`, `order`")
        .did_you_mean("tolerence", ["tolerance", "name"])
        .related(place(3, 1), "the table");
    d.length = 9;
    d.excerpt = Some("        tolerence: 5ms".into());
    d
}

#[test]
fn text_points_at_the_place() {
    assert_eq!(
        example().to_string(),
        "error[unknown-key]: unknown key `tolerence`\n  --> rules/a b.yaml:12:9\n   |\n12 |         tolerence: 5ms\n   |         ^^^^^^^^^\n   \
         = expected: one of `name`, `order`\n   = help: did you mean `tolerance`?\n   = note: the table (rules/a b.yaml:3:1)\n"
    );
}

#[test]
fn text_of_a_long_line_shows_the_part_around_the_place() {
    let mut d = Diagnostic::error(Code::BadValue, place(1, 5001), "too long");
    d.excerpt = Some("x".repeat(10_000).into());
    d.length = 9_000;
    let text = d.to_string();
    assert!(text.lines().all(|line| line.chars().count() < 130), "{text}");
    let caret = text.lines().nth(4).unwrap().find('^').unwrap();
    assert!(caret > 40, "{text}");
}

#[test]
fn text_never_moves_the_cursor() {
    let mut d = Diagnostic::error(Code::BadValue, place(1, 3), "bad \u{1b}[31m");
    d.excerpt = Some("a\tb\u{1b}[2J\u{7}".into());
    assert!(d.to_string().chars().all(|c| c == '\n' || !c.is_control()));
}

#[test]
fn a_place_past_the_line_has_a_caret_still() {
    for column in [0, 1, 4, 5, 500] {
        let mut d = Diagnostic::error(Code::BadValue, place(1, column), "x");
        d.excerpt = Some("abc".into());
        d.length = 0;
        assert!(d.to_string().contains('^'));
    }
}

#[test]
fn the_sum_counts_by_severity() {
    let warning = Diagnostic::warning(Code::NoEffect, place(1, 1), "w");
    let counts = Counts { files: 1, tables: 2, rules: 0 };
    assert!(to_text(&[], counts).ends_with("no mistakes (1 file, 2 tables, 0 rules)\n"));
    assert!(to_text(&[example(), warning.clone(), warning], counts).contains("1 error, 2 warnings ("));
}

#[test]
fn json_has_every_field() {
    let json = to_json(&[example()], Counts { files: 1, tables: 0, rules: 0 });
    assert_eq!(json["errors"], 1);
    let d = &json["diagnostics"][0];
    assert_eq!(d["code"], "unknown-key");
    assert_eq!(d["severity"], "error");
    assert_eq!((d["line"].as_u64(), d["column"].as_u64(), d["length"].as_u64()), (Some(12), Some(9), Some(9)));
    assert_eq!(d["help"], "did you mean `tolerance`?");
    assert_eq!(d["related"][0]["line"], 3);
}

/// What SARIF 2.1.0 demands of the parts that are written here.
///
/// Source: OASIS, `sarif-schema-2.1.0.json`: the `required` properties, minima and enumerations of `sarifLog`, `run`, `toolComponent`,
/// `reportingDescriptor`, `result`, `message`, `location`, `physicalLocation` and `region`.
pub(crate) fn assert_valid_sarif(log: &serde_json::Value) {
    assert_eq!(log["version"], "2.1.0");
    let runs = log["runs"].as_array().unwrap();
    for run in runs {
        assert!(["utf16CodeUnits", "unicodeCodePoints"].contains(&run["columnKind"].as_str().unwrap()));
        let driver = &run["tool"]["driver"];
        assert!(driver["name"].is_string() && driver["semanticVersion"].is_string(), "{driver}");
        let rules = driver["rules"].as_array().unwrap();
        assert!(rules.iter().all(|rule| rule["id"].is_string() && rule["shortDescription"]["text"].is_string()));
        for result in run["results"].as_array().unwrap() {
            assert!(!result["message"]["text"].as_str().unwrap().is_empty(), "{result}");
            assert!(["none", "note", "warning", "error"].contains(&result["level"].as_str().unwrap()), "{result}");
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(rules[index]["id"], result["ruleId"], "{result}");
            let related = result.get("relatedLocations").map_or(&[][..], |all| all.as_array().unwrap());
            let locations = result["locations"].as_array().unwrap();
            assert_eq!(locations.len(), 1, "{result}");
            locations.iter().chain(related).for_each(assert_valid_location);
        }
    }
}

fn assert_valid_location(location: &serde_json::Value) {
    let physical = &location["physicalLocation"];
    let uri = physical["artifactLocation"]["uri"].as_str().unwrap();
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~/%:".contains(&b);
    assert!(!uri.is_empty() && uri.bytes().all(allowed), "{uri}");
    if let Some(region) = physical.get("region") {
        let number = |key: &str| region[key].as_u64().unwrap();
        assert!(number("startLine") >= 1 && number("startColumn") >= 1, "{region}");
        assert!(number("endColumn") > number("startColumn"), "{region}");
    }
}

#[test]
fn sarif_points_at_the_rule_and_the_region() {
    let whole_file = Diagnostic::error(Code::Unreadable, place(0, 0), "no such file");
    let sarif = to_sarif(&[example(), whole_file]);
    assert_valid_sarif(&sarif);
    let run = &sarif["runs"][0];
    let result = &run["results"][0];
    let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
    assert_eq!(run["tool"]["driver"]["rules"][index]["id"], result["ruleId"]);
    let physical = &result["locations"][0]["physicalLocation"];
    assert_eq!(physical["artifactLocation"]["uri"], "rules/a%20b.yaml");
    assert_eq!(physical["region"]["startLine"], 12);
    assert_eq!(physical["region"]["endColumn"], 18);
    assert!(run["results"][1]["locations"][0]["physicalLocation"].get("region").is_none());
}

#[test]
fn suggestions_are_only_near_ones() {
    assert_eq!(nearest("Strcit", ["strict", "order"]), Some("strict"));
    assert_eq!(nearest("frobnicate", ["strict", "order"]), None);
    assert_eq!(nearest("as", ["us", "ms", "ns"]), Some("us"));
    assert_eq!(nearest(&"x".repeat(100_000), ["strict"]), None);
}

#[test]
fn the_manual_has_every_code_once() {
    let manual = include_str!("../../../docs/rules.md");
    let (_, rest) = manual.split_once("| code | severity | is about |").unwrap();
    let rows =
        rest.lines().skip(1).skip_while(|line| !line.starts_with("| `")).take_while(|line| line.starts_with("| `"));
    let mut named: Vec<&str> = rows
        .flat_map(|row| row.split(" | ").next().unwrap().trim_start_matches("| ").split(", "))
        .map(|code| code.trim_matches('`'))
        .collect();
    named.sort_unstable();
    let mut all: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    all.sort_unstable();
    assert_eq!(named, all);
}
