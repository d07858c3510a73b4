//! Which rules the tests have seen pass and be violated.

use std::collections::BTreeSet;

use super::play::Played;
use crate::rules::set::{Rule, RuleSet};

/// The rules in the order of their files.
#[derive(Debug)]
pub(super) struct Coverage(pub(super) Vec<Covered>);

/// How many tests have seen a rule.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Covered {
    pub rule: String,
    /// `schema.table`.
    pub table: String,
    /// It judged rows that were written, and was not violated.
    pub passed: u32,
    /// It was violated.
    pub violated: u32,
}

impl Coverage {
    /// Of the rules that `of` lets through.
    pub(super) fn new(set: &RuleSet, of: impl Fn(&Rule) -> bool) -> Self {
        let tables = set.tables.iter();
        let rules = tables.flat_map(|table| table.rules.iter().map(|rule| (table.label(), rule)));
        let rules = rules.filter(|(_, rule)| of(rule)).map(|(table, rule)| (table, &rule.name));
        Self(rules.map(|(table, rule)| Covered { rule: rule.clone(), table, passed: 0, violated: 0 }).collect())
    }

    /// Adds a test. One that could not be played has shown nothing.
    pub(super) fn add(&mut self, played: &Result<Played, String>) {
        let Ok(played) = played else { return };
        let violations = played.violations();
        let written = played.replies.iter().filter(|(reply, _)| reply.result.as_ref().is_ok_and(|rows| *rows > 0));
        let judging: BTreeSet<&String> = written.flat_map(|(_, judged)| &judged.rules).collect();
        for covered in &mut self.0 {
            if violations.contains_key(&covered.rule) {
                covered.violated += 1;
            } else if judging.contains(&covered.rule) {
                covered.passed += 1;
            }
        }
    }

    /// How many rules were seen both ways.
    pub(super) fn both(&self) -> usize {
        self.0.iter().filter(|covered| covered.passed > 0 && covered.violated > 0).count()
    }
}
