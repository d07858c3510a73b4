//! A mistake in a rule file: where, what, what was expected instead; and the three ways to print it.
//!
//! Knows places and texts; knows nothing of what rules mean.

mod json;
mod sarif;
mod text;

use std::{fmt, sync::Arc};

use serde::Serialize;

use super::set::Place;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Loads, but deserves a look.
    Warning,
    /// Nothing is loaded.
    Error,
}

impl Severity {
    /// As printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What kind of mistake: a stable name to search for and to filter by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    /// The file cannot be read at all.
    Unreadable,
    /// Not YAML, or beyond the limits of a rule file.
    YamlSyntax,
    /// A key that means nothing here.
    UnknownKey,
    /// The same key twice in one mapping.
    DuplicateKey,
    /// A key that must be there.
    MissingKey,
    /// A list where a text is wanted, and the like.
    WrongType,
    /// The right type, a wrong value.
    BadValue,
    /// Keys that exclude or need each other.
    Conflict,
    /// Two rules with one name.
    DuplicateRule,
    /// Two entries for one table.
    DuplicateTable,
    /// A condition (`when`, `check`) that is not one boolean expression over the row.
    BadSql,
    /// Part of the rule language, but not of this version.
    NotSupportedYet,
    /// It loads but has no effect.
    NoEffect,
    /// A rule that rejects what ordinary code does.
    MonotonicRejects,
    /// A mixed-case name without quotes means the lower-case one.
    FoldedName,
    /// A condition that can raise an error of its own on a healthy row.
    CheckNotTotal,
    /// Non-ASCII text, which only UTF-8 sessions can be guarded by.
    NonAscii,
    /// Two rules of one table that no row passes, or hardly any.
    ContradictoryRules,
    /// Whatever violates the rule violates another one too.
    RedundantRule,
    /// A rule rejects, and no test names it.
    UntestedReject,
    /// An exemption that applies no longer.
    ExpiredExemption,
    /// An exemption that soon applies no longer.
    ExpiringExemption,
    /// An exemption that applies to nothing.
    UnusedExemption,
    /// The database has no such table.
    UnknownTable,
    /// The table has no such column.
    UnknownColumn,
    /// The column's type is none that the rule can judge.
    ColumnType,
    /// A number column without a unit.
    MissingUnit,
    /// `timestamp` or `date` meets `timestamptz` without a zone.
    MissingTimezone,
    /// No index on the parent's joined columns.
    ParentIndex,
    /// The rules are about a view: writes to its table are not judged by them.
    OnView,
    /// The rules are about a partition or child: writes to the table above are not judged by them.
    OnPartition,
    /// Writes to this relation cannot be guarded, or not all of them.
    Unguardable,
}

impl Code {
    /// Every code, for lists of them.
    pub const ALL: [Self; 32] = [
        Self::Unreadable,
        Self::YamlSyntax,
        Self::UnknownKey,
        Self::DuplicateKey,
        Self::MissingKey,
        Self::WrongType,
        Self::BadValue,
        Self::Conflict,
        Self::DuplicateRule,
        Self::DuplicateTable,
        Self::BadSql,
        Self::NotSupportedYet,
        Self::NoEffect,
        Self::MonotonicRejects,
        Self::FoldedName,
        Self::CheckNotTotal,
        Self::NonAscii,
        Self::ContradictoryRules,
        Self::RedundantRule,
        Self::UntestedReject,
        Self::ExpiredExemption,
        Self::ExpiringExemption,
        Self::UnusedExemption,
        Self::UnknownTable,
        Self::UnknownColumn,
        Self::ColumnType,
        Self::MissingUnit,
        Self::MissingTimezone,
        Self::ParentIndex,
        Self::OnView,
        Self::OnPartition,
        Self::Unguardable,
    ];

    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::YamlSyntax => "yaml-syntax",
            Self::UnknownKey => "unknown-key",
            Self::DuplicateKey => "duplicate-key",
            Self::MissingKey => "missing-key",
            Self::WrongType => "wrong-type",
            Self::BadValue => "bad-value",
            Self::Conflict => "conflict",
            Self::DuplicateRule => "duplicate-rule",
            Self::DuplicateTable => "duplicate-table",
            Self::BadSql => "bad-sql",
            Self::NotSupportedYet => "not-supported-yet",
            Self::NoEffect => "no-effect",
            Self::MonotonicRejects => "monotonic-rejects",
            Self::FoldedName => "folded-name",
            Self::CheckNotTotal => "check-not-total",
            Self::NonAscii => "non-ascii",
            Self::ContradictoryRules => "contradictory-rules",
            Self::RedundantRule => "redundant-rule",
            Self::UntestedReject => "untested-reject",
            Self::ExpiredExemption => "expired-exemption",
            Self::ExpiringExemption => "expiring-exemption",
            Self::UnusedExemption => "unused-exemption",
            Self::UnknownTable => "unknown-table",
            Self::UnknownColumn => "unknown-column",
            Self::ColumnType => "column-type",
            Self::MissingUnit => "missing-unit",
            Self::MissingTimezone => "missing-timezone",
            Self::ParentIndex => "parent-index",
            Self::OnView => "on-view",
            Self::OnPartition => "on-partition",
            Self::Unguardable => "unguardable",
        }
    }

    /// One sentence on what it is about.
    pub fn summary(self) -> &'static str {
        match self {
            Self::Unreadable => "The rule file cannot be read.",
            Self::YamlSyntax => "The file is not YAML, or exceeds a limit of rule files.",
            Self::UnknownKey => "A key that means nothing in this place.",
            Self::DuplicateKey => "The same key stands twice in one mapping.",
            Self::MissingKey => "A required key is missing.",
            Self::WrongType => "The value has the wrong type.",
            Self::BadValue => "The value is not one that is allowed here.",
            Self::Conflict => "Keys or values that exclude or need each other.",
            Self::DuplicateRule => "Two rules have the same name.",
            Self::DuplicateTable => "Two entries are about the same table.",
            Self::BadSql => "A condition is not one boolean SQL expression over the row.",
            Self::NotSupportedYet => "A part of the rule language that this version does not have yet.",
            Self::NoEffect => "Something that has no effect.",
            Self::MonotonicRejects => {
                "A `monotonic` rule rejects what ordinary code does: wait for a lock with an older now()."
            }
            Self::FoldedName => "A mixed-case name without quotes means the lower-case one.",
            Self::CheckNotTotal => "A condition may raise an error of its own on a healthy row.",
            Self::NonAscii => "Non-ASCII text can only guard sessions whose client_encoding is UTF8.",
            Self::ContradictoryRules => "Two rules of a table contradict each other.",
            Self::RedundantRule => "A rule finds nothing that another one does not find.",
            Self::UntestedReject => "A rule rejects, and no test shows what.",
            Self::ExpiredExemption => "An exemption is over.",
            Self::ExpiringExemption => "An exemption ends within 14 days.",
            Self::UnusedExemption => "An exemption applies to nothing.",
            Self::UnknownTable => "The database has no such table.",
            Self::UnknownColumn => "The table has no such column.",
            Self::ColumnType => "The column has a type that the rule cannot judge.",
            Self::MissingUnit => "A number column needs a unit.",
            Self::MissingTimezone => "A column without a zone meets one with a zone, and the rule names no zone.",
            Self::ParentIndex => "The parent table has no index for the rule's join.",
            Self::OnView => "The rules are about a view, and not about the table below.",
            Self::OnPartition => "The rules are about a partition or child, and not about the table above.",
            Self::Unguardable => "Writes to this relation cannot be guarded, or not all of them.",
        }
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One finding about a rule file.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of mistake.
    pub code: Code,
    /// Where. Line 0: the file as a whole.
    pub place: Place,
    /// How many characters are meant, from the place on; at least 1.
    pub length: u32,
    /// What is wrong. Lower case, no full stop.
    pub message: String,
    /// What would have been right.
    pub expected: Option<String>,
    /// What to do, e.g. "did you mean …?".
    pub help: Option<String>,
    /// Other places that have to do with it.
    pub related: Vec<(Place, String)>,
    /// The line of the file that the place is in.
    pub excerpt: Option<Arc<str>>,
}

impl Diagnostic {
    /// An error at a place, to be filled in with the methods below.
    pub fn error(code: Code, place: Place, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            place,
            length: 1,
            message: message.into(),
            expected: None,
            help: None,
            related: Vec::new(),
            excerpt: None,
        }
    }

    /// A warning at a place.
    pub fn warning(code: Code, place: Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, place, message) }
    }

    /// It is more than a warning.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Says what would have been right.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Suggests the nearest of the names, if one is near enough.
    #[must_use]
    pub fn did_you_mean<'n>(mut self, wrong: &str, names: impl IntoIterator<Item = &'n str>) -> Self {
        if let Some(near) = nearest(wrong, names) {
            self.help = Some(format!("did you mean `{near}`?"));
        }
        self
    }

    /// How many characters are meant.
    #[must_use]
    pub fn over(mut self, text: &str) -> Self {
        self.length = u32::try_from(text.chars().count()).unwrap_or(u32::MAX).max(1);
        self
    }

    /// Names another place that has to do with it.
    #[must_use]
    pub fn related(mut self, place: Place, message: impl Into<String>) -> Self {
        self.related.push((place, message.into()));
        self
    }

    /// As `file:line:column`, or the file alone.
    pub fn location(&self) -> String {
        location(&self.place)
    }
}

/// As `text` prints it, without colours.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write(self, f)
    }
}

/// What was looked at, for the last line of the text and for the JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Rule files.
    pub files: usize,
    /// Tables with rules.
    pub tables: usize,
    /// Rules.
    pub rules: usize,
}

/// All findings for people: excerpts with carets, then one line that sums up.
pub fn to_text(diagnostics: &[Diagnostic], counts: Counts) -> String {
    text::all(diagnostics, counts)
}

/// All findings as one JSON object.
pub fn to_json(diagnostics: &[Diagnostic], counts: Counts) -> serde_json::Value {
    json::all(diagnostics, counts)
}

/// All findings as SARIF 2.1.0, which code hosts show beside the changed lines.
pub fn to_sarif(diagnostics: &[Diagnostic]) -> serde_json::Value {
    sarif::all(diagnostics)
}

fn location(place: &Place) -> String {
    let file = place.file.display();
    if place.line == 0 { file.to_string() } else { format!("{file}:{}:{}", place.line, place.column) }
}

/// How many findings of each severity: errors, warnings.
pub fn tally(diagnostics: &[Diagnostic]) -> (usize, usize) {
    let errors = diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
    (errors, diagnostics.len() - errors)
}

/// The nearest of the names, if a person could have meant it.
pub fn nearest<'n>(wrong: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    // Longer texts are no typing mistakes, and the distance costs their product.
    const LONGEST: usize = 64;
    if wrong.len() > LONGEST {
        return None;
    }
    // `µs` is how people write `us`.
    let folded = wrong.to_lowercase().replace(['\u{b5}', '\u{3bc}'], "u");
    let reach = (folded.chars().count() / 3).max(1);
    names
        .into_iter()
        .filter(|name| name.len() <= LONGEST)
        .map(|name| (strsim::damerau_levenshtein(&folded, &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= reach)
        // Of equally near ones, the one of the same length: a letter is mistaken more often than missed.
        .min_by_key(|(distance, name)| (*distance, name.chars().count().abs_diff(folded.chars().count())))
        .map(|(_, name)| name)
}

#[cfg(test)]
pub(super) mod tests;
