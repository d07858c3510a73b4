//! Why a row is broken: a guess from a closed set, with the evidence that the write, the catalog and the values give.
//!
//! The causes are tried from the one with the strongest evidence to the weakest; what fits none is [`Cause::Other`].

use super::{
    Context, Source,
    assess::{Case, Fault, Offence},
    time::{Moment, NANOS},
};
use crate::{
    rules::set::{Kind, Order, Unit},
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

/// Zone offsets are multiples of this.
const QUARTER_HOUR: i128 = 15 * 60 * NANOS;
/// The widest difference of a zone to UTC.
const WIDEST_ZONE: i128 = 14 * 3_600 * NANOS;
/// How exactly a difference must be a zone's: an insert takes some time.
const ZONE_SLACK: i128 = 2 * NANOS;
/// Clocks kept by NTP do not differ by more.
const SKEW: i128 = NANOS;

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

/// Does the evidence speak for a cause?
type Test = fn(&Case<'_>, &Offence, &Context) -> bool;

pub(super) fn diagnose(case: &Case<'_>, offence: &Offence, context: &Context) -> Cause {
    let tests: [(Cause, Test); 8] = [
        (Cause::ZeroSentinel, zero_sentinel),
        (Cause::UnitMismatch, unit_mismatch),
        (Cause::DefaultAfterExplicit, |_, offence, context| default_after_explicit(offence, context).is_some()),
        (Cause::ParentCopied, |_, offence, _| offence.fault == Fault::Reused),
        (Cause::TimezoneOffset, |_, offence, _| timezone_offset(offence)),
        (Cause::OverwrittenStart, |_, offence, context| overwritten_start(offence, context)),
        (Cause::StaleCopy, |_, offence, _| stale_copy(offence)),
        (Cause::ClockSkew, |_, offence, _| clock_skew(offence)),
    ];
    tests.into_iter().find(|(_, test)| test(case, offence, context)).map_or(Cause::Other, |(cause, _)| cause)
}

/// The hint for a cause; the rule's own hint goes before it.
pub(super) fn hint(cause: Cause, case: &Case<'_>, offence: &Offence, context: &Context) -> Option<String> {
    let column = offence.column.as_deref().unwrap_or("the column");
    let other = offence.other.as_deref().unwrap_or("the other column");
    Some(match cause {
        Cause::DefaultAfterExplicit => {
            let (omitted, default) = default_after_explicit(offence, context)?;
            let source = if omitted == other { column } else { other };
            format!("{omitted} was not in the column list and took DEFAULT {default}; set it to {source}.")
        }
        Cause::ParentCopied => {
            format!("{column} was copied from the parent row; take the time at which this row's own event happened.")
        }
        Cause::OverwrittenStart => {
            format!(
                "{other} was set again although {column} was already there; write it once, for example SET {other} = COALESCE({other}, ...)."
            )
        }
        Cause::TimezoneOffset => {
            let hours = offence.by.unwrap_or_default();
            format!(
                "The difference, {}, looks like a time zone: a local time was stored as UTC or the other way round.",
                super::time::Length(round_to_quarter(hours))
            )
        }
        Cause::UnitMismatch => match case.unit(column) {
            Some(unit) => format!("The value of {column} looks like another unit; {} is expected.", unit_name(unit)),
            None => format!(
                "The value of {column} looks like a number of another unit (milliseconds taken for seconds, or the like)."
            ),
        },
        Cause::ZeroSentinel => format!("Zero is a time too; store NULL where {column} is not known."),
        Cause::ClockSkew => "The two times come from different clocks; take both from one of them.".to_owned(),
        Cause::StaleCopy => format!("{column} looks like it was copied from an earlier row or read long ago."),
        Cause::Other => return requirement(case, offence),
    })
}

/// Where no cause is seen: what the rule wants.
fn requirement(case: &Case<'_>, offence: &Offence) -> Option<String> {
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
        Fault::False => return case.rule.description.clone(),
    })
}

fn unit_name(unit: Unit) -> &'static str {
    match unit {
        Unit::S => "seconds",
        Unit::Ms => "milliseconds",
        Unit::Us => "microseconds",
        Unit::Ns => "nanoseconds",
    }
}

/// The omitted column and its default: the one that had to be earlier, but got a clock that is read last.
fn default_after_explicit<'a>(offence: &Offence, context: &'a Context) -> Option<(&'a str, &'a str)> {
    let omitted = match offence.fault {
        Fault::Before | Fault::Equal | Fault::TooSoon => offence.other.as_deref()?,
        Fault::TooLate => offence.column.as_deref()?,
        _ => return None,
    };
    let find = |name: &str| context.clock_defaults.iter().find(|(column, _)| column == name);
    let both = offence.column.as_deref().is_some_and(|column| find(column).is_some())
        && offence.other.as_deref().is_some_and(|other| find(other).is_some());
    find(omitted).filter(|_| !both).map(|(column, default)| (column.as_str(), default.as_str()))
}

fn zero_sentinel(case: &Case<'_>, offence: &Offence, _: &Context) -> bool {
    let zero = |column: &Option<String>| {
        column.as_deref().is_some_and(|column| case.moment(Source::Row, column) == Some(Moment::Finite(0)))
    };
    match offence.fault {
        Fault::Epoch => true,
        Fault::WrongDuration => zero(&offence.column) || ends(case).iter().any(zero),
        Fault::Missing | Fault::Unexpected | Fault::False => false,
        _ => zero(&offence.column) || zero(&offence.other),
    }
}

fn ends(case: &Case<'_>) -> [Option<String>; 2] {
    match &case.rule.kind {
        Kind::Duration(duration) => [Some(duration.start.clone()), Some(duration.end.clone())],
        _ => [None, None],
    }
}

fn unit_mismatch(case: &Case<'_>, offence: &Offence, _: &Context) -> bool {
    let finite = |column: &Option<String>| match case.moment(Source::Row, column.as_deref()?) {
        Some(Moment::Finite(nanos)) => Some(nanos),
        _ => None,
    };
    match (offence.fault, &case.rule.kind) {
        (Fault::WrongDuration, _) => {
            finite(&offence.column).zip(offence.distance).is_some_and(|(stored, actual)| thousandfold(stored, actual))
        }
        (Fault::OutOfRange, Kind::Plausible(plausible)) => finite(&offence.column).is_some_and(|nanos| {
            let range = plausible.after.as_nanosecond()..plausible.before.as_nanosecond();
            [1_000, 1_000_000, 1_000_000_000].iter().any(|factor| {
                // Times that are their own zero in every unit (1970 and about) tell nothing.
                range.contains(&(nanos / factor))
                    || nanos.abs() > NANOS && range.contains(&nanos.saturating_mul(*factor))
            })
        }),
        (Fault::Before | Fault::TooLate, Kind::Order(Order { columns, .. }))
            if columns.iter().any(|c| case.unit(c).is_some()) =>
        {
            finite(&offence.column).zip(finite(&offence.other)).is_some_and(|(a, b)| thousandfold(a, b))
        }
        (Fault::Past | Fault::Future, _) => {
            let now = case.moment(Source::Server, "now");
            let now = now.and_then(|now| now.since(Moment::Finite(0)));
            finite(&offence.column).zip(now).is_some_and(|(value, now)| thousandfold(value, now))
        }
        _ => false,
    }
}

/// One is about 10³, 10⁶ or 10⁹ times the other (within 2 %).
fn thousandfold(a: i128, b: i128) -> bool {
    let (small, large) = if a.abs() < b.abs() { (a, b) } else { (b, a) };
    small != 0
        && [1_000, 1_000_000, 1_000_000_000].iter().any(|factor| {
            let scaled = small.saturating_mul(*factor);
            scaled.saturating_sub(large).abs() <= large.abs() / 50
        })
}

fn round_to_quarter(nanos: i128) -> i128 {
    (nanos + nanos.signum() * QUARTER_HOUR / 2) / QUARTER_HOUR * QUARTER_HOUR
}

fn timezone_offset(offence: &Offence) -> bool {
    let compared = matches!(
        offence.fault,
        Fault::Before | Fault::TooLate | Fault::Past | Fault::Future | Fault::BeforeParent | Fault::WrongDuration
    );
    let difference = if offence.fault == Fault::WrongDuration { offence.by } else { offence.distance };
    compared
        && difference.is_some_and(|nanos| {
            let zone = round_to_quarter(nanos).abs();
            (QUARTER_HOUR..=WIDEST_ZONE).contains(&zone) && (nanos.abs() - zone).abs() <= ZONE_SLACK
        })
}

/// The start was set by this statement, the end was not.
fn overwritten_start(offence: &Offence, context: &Context) -> bool {
    if !matches!(offence.fault, Fault::Before | Fault::Equal | Fault::TooSoon) {
        return false;
    }
    let (Some(end), Some(start)) = (&offence.column, &offence.other) else { return false };
    let has =
        |columns: &Option<Vec<String>>, name: &String| columns.as_ref().is_some_and(|columns| columns.contains(name));
    match context.operation {
        Operation::Update => has(&context.columns, start) && !has(&context.columns, end),
        // An end that the INSERT does not give can only be that of the row it met.
        Operation::Insert => {
            has(&context.conflict_columns, start)
                && !has(&context.conflict_columns, end)
                && context.columns.as_ref().is_some_and(|columns| !columns.contains(end))
        }
        Operation::Merge | Operation::Copy => false,
    }
}

fn stale_copy(offence: &Offence) -> bool {
    match offence.fault {
        Fault::BeforeParent | Fault::Past => offence.distance.is_none_or(|nanos| nanos.abs() > SKEW),
        _ => false,
    }
}

fn clock_skew(offence: &Offence) -> bool {
    matches!(offence.fault, Fault::Before | Fault::Future | Fault::BeforeParent)
        && offence.by.is_some_and(|nanos| 0 < nanos && nanos <= SKEW)
}

#[cfg(test)]
mod tests;
