//! What all tests have shown, before it is printed in one form or another.

use std::{collections::BTreeMap, time::Duration};

use super::{coverage::Coverage, judge::Failure};
use crate::rules::set::Place;

/// All tests that were run.
#[derive(Debug)]
pub(super) struct Report {
    /// In the order they were run, those of a file together.
    pub tested: Vec<Tested>,
    pub coverage: Coverage,
}

/// One test.
#[derive(Debug)]
pub(super) struct Tested {
    pub name: String,
    pub place: Place,
    pub took: Duration,
    /// `false`: something kept it from being played.
    pub ran: bool,
    /// Rows that violated, by rule.
    pub violations: BTreeMap<String, u64>,
    /// None: it passed.
    pub failures: Vec<Failure>,
    /// What deserves a look all the same.
    pub notes: Vec<String>,
}

impl Report {
    pub(super) fn failed(&self) -> usize {
        self.tested.iter().filter(|test| !test.passed()).count()
    }
}

impl Tested {
    pub(super) fn passed(&self) -> bool {
        self.failures.is_empty()
    }

    /// `file:line:column`.
    pub(super) fn location(&self) -> String {
        format!("{}:{}:{}", self.place.file.display(), self.place.line, self.place.column)
    }
}
