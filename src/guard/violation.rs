//! A finding in the words of the contract: what the client, the log and the metrics are told.

use std::sync::Arc;

use super::{
    Cause, Context, Decided, Finding, Guard, Slot, Source, Value,
    assess::{Case, Fault, Offence},
    cause::{self, Evidence},
    time::{Length, Moment, Style},
};
use crate::{
    catalog::facts::QualifiedName,
    rules::set::{Action, Exemption, Kind, Rule, Span, TableRules, Transitions},
    sql::write::Operation,
};

/// SQLSTATE of a refused row: `check_violation`.
pub const SQLSTATE_REJECTED: &str = "23514";
/// SQLSTATE of the notice that a warning sends: `warning`.
pub const SQLSTATE_WARNED: &str = "01000";

/// One violation, with everything that is said about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Violation {
    /// The rule's name; field `n` (constraint) of the error.
    pub rule: String,
    /// What was done.
    pub action: Action,
    /// [`Action::Exempt`]: by which exemption.
    pub exemption: Option<Arc<Exemption>>,
    /// Kind of the write.
    pub operation: Operation,
    /// The relation written; fields `s` and `t` of the error.
    pub relation: QualifiedName,
    /// The column to blame; field `c` of the error.
    pub column: Option<String>,
    /// The diagnosis.
    pub cause: Cause,
    /// What speaks for it; `None` only for [`Cause::Other`].
    pub evidence: Option<String>,
    /// By how much, in seconds, if that is a length of time.
    pub by_seconds: Option<f64>,
    /// Primary message.
    pub message: String,
    /// Detail.
    pub detail: String,
    /// Hint: the rule's own, or the one of the cause.
    pub hint: Option<String>,
    /// Key of the row, for the log: names and values.
    pub key: Vec<(String, String)>,
    /// The values the rule looked at, for the log; the parent's as `parent.column`.
    pub values: Vec<(String, String)>,
    /// Those of the same columns before the write, where the rule looked at them.
    pub old_values: Vec<(String, String)>,
}

impl Violation {
    /// Words a finding. `None`: `table` has no such rule (the rules were replaced by others).
    pub fn new(finding: &Finding, guard: &Guard, table: &TableRules) -> Option<Self> {
        let rule = table.rules.get(finding.rule)?;
        let case = Case { rule, finding };
        let offence = case.offence();
        let context = &guard.context;
        let (cause, evidence, advice) = match cause::diagnose(&case, &offence, context, table) {
            Some(Evidence { cause, text, hint }) => (cause, Some(text), Some(hint)),
            None => (Cause::Other, None, cause::requirement(&case, &offence, context)),
        };
        Some(Self {
            rule: rule.name.clone(),
            action: finding.action,
            exemption: finding.exemption.clone(),
            operation: context.operation,
            relation: context.relation.clone(),
            column: offence.column.clone(),
            cause,
            evidence,
            by_seconds: offence.by.map(seconds),
            message: format!(
                "new row for relation \"{}\" violates timestamp rule \"{}\"",
                context.relation.name, rule.name
            ),
            detail: detail(&case, &offence),
            hint: rule.hint.clone().or(advice),
            key: finding.key.iter().map(|(name, value)| (name.clone(), value.display())).collect(),
            values: values(finding, false, Slot::name),
            old_values: values(finding, true, |slot| slot.column.clone()),
        })
    }
}

/// Names and values of a finding: those before the write, or all others.
fn values(finding: &Finding, old: bool, name: fn(&Slot) -> String) -> Vec<(String, String)> {
    let wanted = finding.values.iter().filter(|(slot, _)| (slot.source == Source::Old) == old);
    wanted.map(|(slot, value)| (name(slot), value.display())).collect()
}

impl Violation {
    /// Of a statement that wrote `rows` rows, which is less than the rule's `min`.
    pub fn too_few_rows(rule: &Rule, min: u64, rows: u64, decided: Decided<'_>, context: &Context) -> Self {
        let (verb, table) = (context.operation.verb(), &context.relation.name);
        let plural = |n: u64| if n == 1 { "row" } else { "rows" };
        let unmet = match context.operation {
            Operation::Update | Operation::Merge => "The row may not be there yet, or no longer match the condition",
            Operation::Insert | Operation::Copy => "The rows may be there already, or be filtered out",
        };
        Self {
            rule: rule.name.clone(),
            action: decided.action,
            exemption: decided.exemption.cloned(),
            operation: context.operation,
            relation: context.relation.clone(),
            column: None,
            cause: Cause::Other,
            evidence: None,
            by_seconds: None,
            message: format!("{verb} of relation \"{table}\" violates timestamp rule \"{}\"", rule.name),
            detail: format!(
                "It wrote {rows} {}; at least {min} {} required.",
                plural(rows),
                if min == 1 { "is" } else { "are" }
            ),
            hint: rule.hint.clone().or_else(|| {
                Some(format!(
                    "{unmet}. Look at the number of rows that the statement reports, and do not take it for done."
                ))
            }),
            key: Vec::new(),
            values: vec![("rows".to_owned(), rows.to_string())],
            old_values: Vec::new(),
        }
    }
}

impl super::Slot {
    /// `column`, `parent.column`, `old.column`, or `now`.
    pub fn name(&self) -> String {
        match self.source {
            Source::Parent => format!("parent.{}", self.column),
            Source::Old => format!("old.{}", self.column),
            Source::Row | Source::Server => self.column.clone(),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a length for a histogram")]
fn seconds(nanos: i128) -> f64 {
    nanos as f64 / 1e9
}

/// One sentence on what is wrong, with the values.
fn detail(case: &Case<'_>, offence: &Offence) -> String {
    let column = offence.column.as_deref().unwrap_or_default();
    let other = offence.other.as_deref().unwrap_or_default();
    let this = || shown(case, Source::Row, column, column);
    let that = || shown(case, Source::Row, other, other);
    let by = match offence.by {
        Some(nanos) => Length(nanos).to_string() + " ",
        None => String::new(),
    };
    let distance = |fallback: &str| offence.distance.map_or(fallback.to_owned(), |nanos| Length(nanos).to_string());
    match (offence.fault, &case.rule.kind) {
        (Fault::Before, Kind::Order(order)) => match order.min_gap {
            Some(gap) => format!("{} is {by}before {}; it must be at least {} after it.", this(), that(), length(gap)),
            None => format!("{} is {by}before {}.", this(), that()),
        },
        (Fault::Equal, _) => format!("{} is equal to {}; it must be after it.", this(), other),
        (Fault::TooSoon, Kind::Order(order)) => format!(
            "{} is {} after {}; at least {} is required.",
            this(),
            distance("too soon"),
            that(),
            length(order.min_gap.unwrap_or_default())
        ),
        (Fault::TooLate, Kind::Order(order)) => format!(
            "{} is {} after {}; at most {} is allowed.",
            this(),
            distance("infinitely long"),
            that(),
            length(order.max_gap.unwrap_or_default())
        ),
        (Fault::WrongDuration, Kind::Duration(duration)) => {
            let actual = offence.distance.map_or("not finite".to_owned(), |nanos| Length(nanos).signed());
            format!("{} is off: {} - {} is {actual}.", this(), duration.end, duration.start)
        }
        (Fault::Past, Kind::NearNow(near_now)) => format!(
            "{} is {} before the server's time; at most {} is allowed.",
            this(),
            distance("infinitely long"),
            length(near_now.past.unwrap_or_default())
        ),
        (Fault::Future, Kind::NearNow(near_now)) => format!(
            "{} is {} after the server's time; at most {} is allowed.",
            this(),
            distance("infinitely long"),
            length(near_now.future.unwrap_or_default())
        ),
        (Fault::Epoch, _) => format!("{} is the epoch.", this()),
        (Fault::Infinite, _) => format!("{} is not finite.", this()),
        (Fault::OutOfRange, Kind::Plausible(range)) => {
            format!("{} is not between {} and {}.", this(), instant(range.after), instant(range.before))
        }
        (Fault::Missing, _) => format!("{column} is null."),
        (Fault::Unexpected, _) => format!("{} is not null.", this()),
        (Fault::Reused, Kind::Parent(parent)) => {
            format!("{} is the same as {other} of the row in \"{}\" that it belongs to.", this(), parent.table)
        }
        (Fault::BeforeParent, Kind::Parent(parent)) => {
            let theirs = shown(case, Source::Parent, other, column);
            format!("{} is {by}before {theirs} of the row in \"{}\" that it belongs to.", this(), parent.table)
        }
        (Fault::Overwritten, _) => {
            format!("{} was {} before; it may be written only once.", this(), before(case, column))
        }
        (Fault::Decreased, _) => format!("{} is {by}before {}, which it was before.", this(), before(case, column)),
        (Fault::Less, _) => format!("{} is less than {}, which it was before.", this(), before(case, column)),
        (Fault::Transition, Kind::Transitions(transitions)) => transition(case, column, transitions),
        (Fault::NotInitial, Kind::Transitions(transitions)) => {
            let initial = transitions.initial.as_deref().unwrap_or_default();
            format!("{} is no state for a new row; it begins as {}.", this(), listed(initial))
        }
        _ => everything(case.rule, case.finding),
    }
}

/// The value that the column had.
fn before(case: &Case<'_>, column: &str) -> String {
    case.value(Source::Old, column).display()
}

fn transition(case: &Case<'_>, column: &str, rule: &Transitions) -> String {
    let (from, to) = (before(case, column), case.value(Source::Row, column).display());
    let followers = rule.allow.iter().find(|(state, _)| *state == from).map(|(_, to)| to.as_slice());
    match followers.unwrap_or_default() {
        [] => format!("{column} was {from} and is {to}; nothing may follow {from}."),
        some => format!("{column} was {from} and is {to}; only {} may follow {from}.", listed(some)),
    }
}

/// `a, b or c`
fn listed(states: &[String]) -> String {
    match states {
        [] => String::new(),
        [one] => one.clone(),
        [some @ .., last] => format!("{} or {last}", some.join(", ")),
    }
}

/// All values: for conditions, which only their author can explain.
fn everything(rule: &Rule, finding: &Finding) -> String {
    let values: Vec<String> =
        finding.values.iter().map(|(slot, value)| format!("{} = {}", slot.name(), value.display())).collect();
    match &rule.kind {
        Kind::Check(check) if values.is_empty() => format!("The condition {} is false.", check.text),
        Kind::Check(check) => format!("The condition {} is false: {}.", check.text, values.join(", ")),
        _ => format!("The row has {}.", values.join(", ")),
    }
}

/// `column (value)`, a number that is a time with that time. The unit is that of `unit_of`.
fn shown(case: &Case<'_>, source: Source, column: &str, unit_of: &str) -> String {
    let value = case.value(source, column);
    let duration = matches!(&case.rule.kind, Kind::Duration(duration) if duration.column == column);
    match (value, value.moment(case.unit(unit_of))) {
        (Value::Plain(text), Some(Moment::Finite(nanos))) if duration => {
            format!("{column} ({text}, {})", Length(nanos).signed())
        }
        (Value::Plain(text), Some(moment)) => format!("{column} ({text}, {})", Style::Instant.format(moment)),
        _ => format!("{column} ({})", value.display()),
    }
}

fn length(span: Span) -> Length {
    Length(i128::from(span.nanos))
}

fn instant(at: jiff::Timestamp) -> String {
    Style::Instant.format(Moment::Finite(at.as_nanosecond()))
}

#[cfg(test)]
mod tests;
