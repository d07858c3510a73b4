//! Why a row is broken: a diagnosis from a closed set, by evidence that is stated with it.
//!
//! There is no cause without [`Evidence`]; what has none is [`Cause::Other`]. What the statement and the catalog say outright (a column was left
//! out, a start was set after the end) goes before what only the numbers suggest (a whole number of hours), and that before mere nearness.
//! Only a zero and a factor of 1,000 come first: no other cause makes those.

mod signs;

use std::fmt::Write as _;

use super::{
    Context, Source,
    assess::{Case, Fault, Offence},
};
use crate::{
    rules::set::{Kind, TableRules},
    sql::write::Operation,
};

/// A diagnosed cause. Label of `violations_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    /// A column was left out and took its default, the server's clock, after the application had taken the other time.
    DefaultAfterExplicit,
    /// A time was copied from the parent row.
    ParentCopied,
    /// A start was written again when the end was there already.
    OverwrittenStart,
    /// Off by a time zone.
    TimezoneOffset,
    /// Milliseconds for seconds, and the like.
    UnitMismatch,
    /// Zero stands for "not known".
    ZeroSentinel,
    /// Two clocks that differ a little.
    ClockSkew,
    /// A time from an older row or an earlier read.
    StaleCopy,
    /// None of these.
    Other,
}

impl Cause {
    /// Every cause, for the metrics.
    pub const ALL: [Self; 9] = [
        Self::DefaultAfterExplicit,
        Self::ParentCopied,
        Self::OverwrittenStart,
        Self::TimezoneOffset,
        Self::UnitMismatch,
        Self::ZeroSentinel,
        Self::ClockSkew,
        Self::StaleCopy,
        Self::Other,
    ];

    /// The metric label and log field.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DefaultAfterExplicit => "default_after_explicit",
            Self::ParentCopied => "parent_copied",
            Self::OverwrittenStart => "overwritten_start",
            Self::TimezoneOffset => "timezone_offset",
            Self::UnitMismatch => "unit_mismatch",
            Self::ZeroSentinel => "zero_sentinel",
            Self::ClockSkew => "clock_skew",
            Self::StaleCopy => "stale_copy",
            Self::Other => "other",
        }
    }
}

/// What speaks for a cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Evidence {
    pub(super) cause: Cause,
    /// What was seen. Names of columns and lengths of time, no values: those may be kept out of the log.
    pub(super) text: String,
    /// What the client should do.
    pub(super) hint: String,
}

/// The evidence for the likeliest cause. `None`: there is none for any.
pub(super) fn diagnose(case: &Case<'_>, offence: &Offence, context: &Context, table: &TableRules) -> Option<Evidence> {
    let look = Look { case, offence, context, table };
    signs::IN_ORDER.iter().find_map(|sign| sign(&look))
}

/// Everything that is known of a violation.
struct Look<'a> {
    case: &'a Case<'a>,
    offence: &'a Offence,
    context: &'a Context,
    table: &'a TableRules,
}

impl<'a> Look<'a> {
    fn fault(&self) -> Fault {
        self.offence.fault
    }

    /// The column to blame and the one it was compared with.
    fn pair(&self) -> Option<(&'a str, &'a str)> {
        Some((self.offence.column.as_deref()?, self.offence.other.as_deref()?))
    }

    /// The row is new, and so is every value in it.
    fn new_row(&self) -> bool {
        matches!(self.context.operation, Operation::Insert | Operation::Copy) && self.context.conflict_columns.is_none()
    }

    /// The statement itself says what is in the column, whichever row it met.
    fn written(&self, column: &str) -> bool {
        let has = |columns: &Option<Vec<String>>| columns.as_ref().is_some_and(|c| c.iter().any(|name| name == column));
        match self.context.operation {
            Operation::Insert | Operation::Copy if self.new_row() => {
                self.context.columns.is_none() || has(&self.context.columns)
            }
            Operation::Insert => has(&self.context.columns) && has(&self.context.conflict_columns),
            Operation::Update => has(&self.context.columns),
            Operation::Merge | Operation::Copy => false,
        }
    }

    /// The default of a column that was left out, if that reads the server's clock.
    fn clock_default(&self, column: &str) -> Option<&'a str> {
        let find = |(name, default): &'a (String, String)| (name == column).then_some(default.as_str());
        self.context.clock_defaults.iter().find_map(find)
    }

    /// A rule of the table takes the column for a time before another.
    fn is_start(&self, column: &str) -> bool {
        self.table.rules.iter().any(|rule| match &rule.kind {
            Kind::Order(order) => {
                order.columns.split_last().is_some_and(|(_, starts)| starts.iter().any(|c| c == column))
            }
            Kind::Duration(duration) => duration.start == column,
            _ => false,
        })
    }

    /// The parent's column with the parent's name.
    fn of_parent(&self, column: &str) -> String {
        match &self.case.rule.kind {
            Kind::Parent(parent) => format!("{}.{}.{column}", parent.schema, parent.table),
            _ => column.to_owned(),
        }
    }
}

/// The longest default that evidence and hints repeat.
const LONGEST_DEFAULT: usize = 80;

/// A default's text, cut if it is a whole program.
fn shortened(default: &str) -> String {
    let mut out: String = default.chars().take(LONGEST_DEFAULT).collect();
    if out.len() < default.len() {
        let _ = write!(out, "…");
    }
    out
}

/// Does a column default read the server's clock?
pub(super) fn reads_clock(default: &str) -> bool {
    const CLOCKS: [&str; 8] = [
        "now()",
        "current_timestamp",
        "transaction_timestamp()",
        "statement_timestamp()",
        "clock_timestamp()",
        "localtimestamp",
        "current_date",
        "timeofday()",
    ];
    let default = default.to_ascii_lowercase();
    CLOCKS.iter().any(|clock| default.contains(clock))
}

/// What the rule wants, where no cause is seen.
pub(super) fn requirement(case: &Case<'_>, offence: &Offence, context: &Context) -> Option<String> {
    let table = &context.relation.name;
    let column = offence.column.as_deref().unwrap_or("the column");
    let other = offence.other.as_deref().unwrap_or("the other column");
    Some(match offence.fault {
        Fault::Before => format!("{column} must not be before {other}; look where the two are set."),
        Fault::Equal => format!("{column} must be after {other}; look where the two are set."),
        Fault::TooSoon | Fault::TooLate => format!("Look where {column} and {other} are set."),
        Fault::WrongDuration => format!("{column} must be the end minus the start; compute it where both are known."),
        Fault::Past | Fault::Future => {
            format!("{column} must be close to the time of the write; look where it is set.")
        }
        Fault::Epoch | Fault::Infinite | Fault::OutOfRange => format!("Look where {column} is set, and in which unit."),
        Fault::Missing => format!("Set {column} in the same statement."),
        Fault::Unexpected => format!("Set {column} to NULL in the same statement."),
        Fault::Reused | Fault::BeforeParent => format!("{column} must be the time of this row's own event."),
        Fault::Overwritten => write_once(column, table),
        Fault::Decreased => format!(
            "A transaction that waits for a row brings a now() from before the wait; SET {column} = GREATEST({table}.{column}, ...), or take clock_timestamp()."
        ),
        Fault::Less => {
            format!("Compute {column} from the stored value, or SET {column} = GREATEST({table}.{column}, ...).")
        }
        Fault::Transition => format!(
            "Name the expected state in WHERE, and look at how many rows were updated: another session may have changed {column} first."
        ),
        Fault::NotInitial => format!("Insert the row in the state it begins in, and update {column} later."),
        Fault::False => return case.rule.description.clone(),
    })
}

fn write_once(column: &str, table: &str) -> String {
    format!(
        "{column} was set again although it was already there; write it once, for example SET {column} = COALESCE({table}.{column}, ...)."
    )
}

#[cfg(test)]
mod tests;
