//! What there is to say about a text, and its JSON form: the contract of DESIGN 6.1.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::{
    catalog::facts::QualifiedName,
    guard::Skip,
    plan::{Fate, WritePlan},
    sql::{
        splice::{Edit, splice},
        write::{Verb, Write},
    },
};

/// Everything about a text.
#[derive(Debug)]
pub(super) struct Explanation {
    pub(super) statements: Vec<Explained>,
    /// There are rules, and no database was asked what they are about.
    pub(super) assumed: bool,
    /// `false`: the text ends inside a string, a quoted name or a comment, or its parentheses do not match.
    pub(super) complete: bool,
}

/// Who says what names mean.
#[derive(Debug)]
pub(super) enum Source {
    /// There is nothing to be said.
    NoRules,
    /// The rules themselves.
    Assumed,
    /// A database, in words.
    Database(String),
}

/// Everything about one statement.
#[derive(Debug)]
pub(super) struct Explained {
    pub(super) verb: Verb,
    pub(super) writes: Vec<WriteExplained>,
    /// The client's text of it.
    pub(super) text: Vec<u8>,
    /// What is changed of that text.
    pub(super) edits: Vec<Edit>,
}

/// Everything about one write.
#[derive(Debug)]
pub(super) struct WriteExplained {
    pub(super) write: Write,
    /// `None`: it is to no guarded table.
    pub(super) plan: Option<WritePlan>,
    pub(super) meaning: Meaning,
}

/// What the name of a write means.
#[derive(Debug)]
pub(super) struct Meaning {
    /// The relation; `Some(None)`: there is none of that name; `None`: no rules for anything of that name, so nobody was asked.
    pub(super) relation: Option<Option<QualifiedName>>,
    /// The guarded tables that have that name or are reached by it.
    pub(super) candidates: Vec<String>,
    /// It is only assumed.
    pub(super) assumed: bool,
    /// An earlier statement of the text may change it.
    pub(super) may_change: bool,
}

/// Which rules have a say in a text.
#[derive(Debug, Default)]
pub(in crate::cli) struct Judged {
    /// Those that judge one of its writes.
    pub(in crate::cli) rules: BTreeSet<String>,
    /// Those that cannot judge one that they should, each with the reason.
    pub(in crate::cli) left_out: BTreeSet<(String, &'static str)>,
}

impl Judged {
    pub(super) fn of(explanation: &Explanation) -> Self {
        let mut judged = Self::default();
        for write in explanation.statements.iter().flat_map(|statement| &statement.writes) {
            if let Some(reason) = write.unguardable() {
                judged.left_out.extend(write.rules().into_iter().map(|rule| (rule.to_owned(), reason)));
            } else {
                judged.rules.extend(write.rules().into_iter().map(str::to_owned));
                judged.left_out.extend(write.skipped().iter().map(|s| (s.rule.to_owned(), s.reason)));
            }
        }
        judged
    }
}

impl Explained {
    /// One of its writes is refused, and so nothing of it is done.
    pub(super) fn refused(&self) -> bool {
        self.writes.iter().any(|w| matches!(w.plan, Some(WritePlan { fate: Fate::Refused(_), .. })))
    }
}

impl WriteExplained {
    /// It has a guard, which stands in the text unless the statement is refused.
    pub(super) fn guarded(&self) -> bool {
        matches!(self.plan, Some(WritePlan { fate: Fate::Guarded(_), .. }))
    }

    /// The rules that apply: those in the guard, or those that would be if there were one.
    fn rules(&self) -> Vec<&str> {
        let Some(plan) = &self.plan else { return Vec::new() };
        let rules = &plan.table.rules;
        match &plan.fate {
            Fate::Guarded(guard) | Fate::Untouched(guard) => {
                let counted = guard.counted.iter().map(|(number, _)| *number);
                let judged = guard.judged.iter().map(|(number, _)| *number).chain(counted);
                judged.map(|number| rules[number].name.as_str()).collect()
            }
            Fate::Unguardable(_) | Fate::Refused(_) => rules.iter().map(|rule| rule.name.as_str()).collect(),
        }
    }

    /// Why the write as a whole cannot be guarded.
    fn unguardable(&self) -> Option<&'static str> {
        match self.plan.as_ref().map(|plan| &plan.fate) {
            Some(Fate::Unguardable(reason) | Fate::Refused(reason)) => Some(reason.as_str()),
            Some(Fate::Guarded(_) | Fate::Untouched(_)) => None,
            None => self.write.problem.map(|_| crate::guard::Reason::Unreadable.as_str()),
        }
    }

    /// The rules that the guard leaves out, and those that it judges more mildly, each with the reason.
    fn skipped(&self) -> Vec<SkippedJson<'_>> {
        let Some(WritePlan { fate: Fate::Guarded(guard), table, .. }) = &self.plan else { return Vec::new() };
        let skipped = guard.skipped.iter().filter_map(|(number, skip)| match skip {
            Skip::Unguardable(reason) => {
                Some(SkippedJson { rule: &table.rules[*number].name, reason: reason.as_str() })
            }
            Skip::Untouched => None,
        });
        skipped.collect()
    }
}

#[derive(Serialize)]
struct ExplanationJson<'a> {
    statements: Vec<StatementJson<'a>>,
    #[serde(skip_serializing_if = "is_false")]
    assumed: bool,
    #[serde(skip_serializing_if = "is_false")]
    incomplete: bool,
}

#[derive(Serialize)]
struct StatementJson<'a> {
    writes: Vec<WriteJson<'a>>,
    sql: String,
}

#[derive(Serialize)]
struct WriteJson<'a> {
    operation: &'static str,
    schema: Option<&'a str>,
    table: &'a str,
    alias: Option<&'a str>,
    guarded: bool,
    rules: Vec<&'a str>,
    unguardable: Option<&'static str>,
    #[serde(skip_serializing_if = "is_false")]
    refused: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    skipped: Vec<SkippedJson<'a>>,
}

#[derive(Serialize)]
struct SkippedJson<'a> {
    rule: &'a str,
    reason: &'static str,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Serialize for Explanation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ExplanationJson {
            statements: self.statements.iter().map(Explained::to_json).collect(),
            assumed: self.assumed,
            incomplete: !self.complete,
        }
        .serialize(serializer)
    }
}

impl Explained {
    fn to_json(&self) -> StatementJson<'_> {
        let sent = splice(&self.text, &self.edits).text;
        StatementJson {
            writes: self.writes.iter().map(|write| write.to_json(self.refused())).collect(),
            sql: String::from_utf8_lossy(&sent).into_owned(),
        }
    }
}

impl WriteExplained {
    fn to_json(&self, refused: bool) -> WriteJson<'_> {
        WriteJson {
            operation: self.write.operation.as_str(),
            schema: self.write.target.schema.as_deref(),
            table: &self.write.target.name,
            alias: self.write.alias.as_deref(),
            guarded: self.guarded() && !refused,
            rules: self.rules(),
            unguardable: self.unguardable(),
            refused,
            skipped: self.skipped(),
        }
    }
}
