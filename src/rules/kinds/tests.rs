//! The pages of the manual against the kinds. That the SQL they show is what is sent, `tests/explain.rs` proves.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::*;
use crate::rules::load::load_texts;

const MANUAL: &str = include_str!("../../../docs/rules.md");

/// What every page has, in this order.
const HEADINGS: [&str; 6] = ["What it finds", "Why it hurts", "Example", "Options", "SQL it becomes", "Limits"];

/// The pages by the kinds they are named for.
fn pages() -> BTreeMap<String, String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules");
    let paths = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    paths
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(&path).unwrap()))
        .collect()
}

/// The text below a heading, up to the next one.
fn section<'p>(page: &'p str, heading: &str) -> &'p str {
    let (_, rest) = page.split_once(&format!("\n## {heading}\n")).unwrap();
    rest.split("\n## ").next().unwrap()
}

/// The code span that the first cell of each row of the tables is.
fn keys(section: &str) -> Vec<&str> {
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| row.split_once("` |").expect("one key in the first cell").0).collect()
}

#[test]
fn every_kind_has_a_page_and_a_line_in_the_manual() {
    let pages = pages();
    let kinds: BTreeSet<&str> = KINDS.iter().map(|spec| spec.key).collect();
    assert_eq!(pages.keys().map(String::as_str).collect::<BTreeSet<_>>(), kinds);
    for (kind, page) in &pages {
        assert!(page.starts_with(&format!("# `{kind}`: ")), "{kind}");
        assert!(page.contains("](../rules.md#kinds)"), "{kind}");
        assert!(MANUAL.contains(&format!("| [`{kind}`](rules/{kind}.md) | ")), "{kind}");
        let headings: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        assert_eq!(headings, HEADINGS, "{kind}");
    }
}

#[test]
fn the_options_of_a_page_are_the_keys_of_its_kind() {
    for spec in &KINDS {
        // A kind that is no mapping has its say in the value of its key.
        let own = if spec.inner.is_empty() { &[spec.key][..] } else { spec.inner };
        let expected: Vec<&str> = own.iter().chain(spec.siblings).copied().collect();
        assert_eq!(keys(section(&pages()[spec.key], "Options")), expected, "{}", spec.key);
    }
}

#[test]
fn the_example_of_a_page_is_a_rule_file_without_mistakes() {
    for (kind, page) in pages() {
        let (_, rest) = section(&page, "Example").split_once("```yaml\n").unwrap();
        let (example, _) = rest.split_once("```").unwrap();
        let loaded = load_texts([("rules.yaml", example)]).unwrap_or_else(|all| panic!("{kind}: {all:#?}"));
        assert!(loaded.warnings.is_empty(), "{kind}: {:#?}", loaded.warnings);
        let rules = loaded.set.tables.iter().flat_map(|table| &table.rules);
        assert!(rules.clone().count() > 0 && rules.clone().all(|rule| rule.kind.as_str() == kind), "{kind}");
    }
}
