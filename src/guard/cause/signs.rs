//! A function per cause: what must be seen to claim it, and what the client is then told.

use super::{Cause, Evidence, Fault, Kind, Look, Operation, Source, shortened, write_once};
use crate::{
    guard::{
        Value,
        time::{Length, Moment, NANOS},
    },
    rules::set::Unit,
};

type Sign = fn(&Look<'_>) -> Option<Evidence>;

/// The strongest evidence first.
pub(super) const IN_ORDER: [Sign; 8] = [
    zero_sentinel,
    unit_mismatch,
    default_after_explicit,
    parent_copied,
    overwritten_start,
    timezone_offset,
    clock_skew,
    stale_copy,
];

const QUARTER_HOUR: i128 = 15 * 60 * NANOS;

/// The widest difference of a zone to UTC.
const WIDEST_ZONE: i128 = 14 * 3_600 * NANOS;

/// How long after the one event the other may have happened for the zone to show in their distance still.
///
/// Together with [`CLOCK_SLACK`] on the other side a distance that has nothing to do with zones is taken for one once in 400 times
/// (2.25 s of 15 min); twice the slack would be twice as often wrong, and writes rarely take longer than this.
const EVENT_SLACK: i128 = 2 * NANOS;

/// By how much two clocks may make a distance miss the zone's on the side that no passing of time explains.
const CLOCK_SLACK: i128 = NANOS / 4;

/// Hosts whose clocks are kept by NTP do not differ by more, by far.
const SKEW: i128 = NANOS;

/// What is called skew, and not a wrong time, where there is proof that another clock was read: Kerberos draws the line here.
///
/// Source: MIT Kerberos documentation, `krb5.conf`, `clockskew`, default 300 seconds.
const WIDEST_SKEW: i128 = 300 * NANOS;

/// A unit is another's thousand-, million- or milliardfold.
const FACTORS: [(i128, &str); 3] = [(1_000, "1,000"), (1_000_000, "1,000,000"), (1_000_000_000, "1,000,000,000")];

/// Epoch times of which one is right lie between 1990 and 2100; far smaller ones are as near to one as to a thousand times it.
const REAL_TIMES: std::ops::Range<i128> = 631_152_000 * NANOS..4_102_444_800 * NANOS;

fn zero_sentinel(look: &Look<'_>) -> Option<Evidence> {
    let (case, offence) = (look.case, look.offence);
    let own = |column: Option<&str>| {
        let column = column?;
        let value = case.value(Source::Row, column);
        is_zero(look, value, case.moment(Source::Row, column)?).then(|| (column.to_owned(), value))
    };
    let (column, value) = match (offence.fault, &case.rule.kind) {
        (
            Fault::Missing | Fault::Unexpected | Fault::Less | Fault::Transition | Fault::NotInitial | Fault::False,
            _,
        ) => None,
        (Fault::WrongDuration, Kind::Duration(duration)) => {
            own(offence.column.as_deref()).or_else(|| own(Some(&duration.start))).or_else(|| own(Some(&duration.end)))
        }
        (_, Kind::Parent(_)) => own(offence.column.as_deref()).or_else(|| {
            let (column, theirs) = look.pair()?;
            let value = case.value(Source::Parent, theirs);
            is_zero(look, value, case.parents_moment(column, theirs)?).then(|| (look.of_parent(theirs), value))
        }),
        _ => own(offence.column.as_deref()).or_else(|| own(offence.other.as_deref())),
    }?;
    let number = matches!(value, Value::Plain(_) | Value::Interval(_));
    Some(Evidence {
        cause: Cause::ZeroSentinel,
        text: format!("{column} is {}", if number { "0" } else { "the epoch" }),
        hint: format!("Zero is a time too; store NULL where {column} is not known."),
    })
}

/// Zero, the epoch, or for a time that was read in the rule's zone the epoch's midnight there.
fn is_zero(look: &Look<'_>, value: &Value, moment: Moment) -> bool {
    let zoned = look.case.rule.timezone.is_some() && matches!(value, Value::Instant(_));
    match moment {
        Moment::Finite(nanos) => nanos == 0 || zoned && nanos.abs() <= WIDEST_ZONE && nanos % QUARTER_HOUR == 0,
        _ => false,
    }
}

fn unit_mismatch(look: &Look<'_>) -> Option<Evidence> {
    let column = look.offence.column.as_deref()?;
    let own = finite(look.case.moment(Source::Row, column))?;
    let text = match (look.fault(), &look.case.rule.kind) {
        (Fault::WrongDuration, Kind::Duration(duration)) => {
            thousandfold((own, column), (look.offence.distance?, &format!("{} - {}", duration.end, duration.start)))
        }
        (Fault::OutOfRange, Kind::Plausible(plausible)) => {
            let range = plausible.after.as_nanosecond()..plausible.before.as_nanosecond();
            FACTORS.iter().find_map(|(factor, name)| {
                if range.contains(&(own / factor)) {
                    return Some(format!("{column} divided by {name} is in the range"));
                }
                // Within a second around the epoch a time is as good as zero in every unit.
                let scaled = own.abs() > NANOS && range.contains(&own.saturating_mul(*factor));
                scaled.then(|| format!("{name} times {column} is in the range"))
            })
        }
        (Fault::Past | Fault::Future, _) => {
            let now = finite(look.case.moment(Source::Server, "now"))?;
            real_times((own, column), (now, "the server's time"))
        }
        (Fault::BeforeParent, _) => {
            let theirs = look.offence.other.as_deref()?;
            let parents = finite(look.case.parents_moment(column, theirs))?;
            real_times((own, column), (parents, &look.of_parent(theirs)))
        }
        (Fault::Before | Fault::TooLate, _) => {
            let other = look.offence.other.as_deref()?;
            real_times((own, column), (finite(look.case.moment(Source::Row, other))?, other))
        }
        _ => None,
    }?;
    let hint = match look.case.unit(column) {
        Some(unit) => format!("The value of {column} looks like another unit; {} is expected.", unit_name(unit)),
        None => format!(
            "The value of {column} looks like a number of another unit (milliseconds taken for seconds, or the like)."
        ),
    };
    Some(Evidence { cause: Cause::UnitMismatch, text, hint })
}

fn finite(moment: Option<Moment>) -> Option<i128> {
    match moment {
        Some(Moment::Finite(nanos)) => Some(nanos),
        _ => None,
    }
}

/// [`thousandfold`] of two times, one of which is one that really happens.
fn real_times(a: (i128, &str), b: (i128, &str)) -> Option<String> {
    if REAL_TIMES.contains(&a.0) || REAL_TIMES.contains(&b.0) { thousandfold(a, b) } else { None }
}

/// One is 10³, 10⁶ or 10⁹ times the other, within 2 %: a duration is seldom computed from the very times that are stored. By chance that happens
/// to two numbers of any size less than once in 100 times.
fn thousandfold(a: (i128, &str), b: (i128, &str)) -> Option<String> {
    let (small, large) = if a.0.abs() < b.0.abs() { (a, b) } else { (b, a) };
    let near = |factor: i128| small.0.saturating_mul(factor).saturating_sub(large.0).abs() <= large.0.abs() / 50;
    let (_, factor) = FACTORS.iter().find(|(factor, _)| small.0 != 0 && near(*factor))?;
    Some(format!("{} is {factor} times {}", large.1, small.1))
}

fn unit_name(unit: Unit) -> &'static str {
    match unit {
        Unit::S => "seconds",
        Unit::Ms => "milliseconds",
        Unit::Us => "microseconds",
        Unit::Ns => "nanoseconds",
    }
}

/// The column that had to be earlier was left out, and got a clock that is read last; the other one was given.
fn default_after_explicit(look: &Look<'_>) -> Option<Evidence> {
    let (column, other) = look.pair()?;
    let (omitted, given) = match look.fault() {
        Fault::Before => (other, column),
        Fault::TooLate => (column, other),
        _ => return None,
    };
    let default = shortened(look.clock_default(omitted)?);
    // The row that an ON CONFLICT met has a value of its own.
    (look.new_row() && look.written(given)).then(|| Evidence {
        cause: Cause::DefaultAfterExplicit,
        text: format!("{omitted} is not in the column list, its default is {default}"),
        hint: format!("{omitted} was not in the column list and took DEFAULT {default}; set it to {given}."),
    })
}

fn parent_copied(look: &Look<'_>) -> Option<Evidence> {
    let (column, theirs) = look.pair()?;
    // A default that equals the parent's was filled in by the same transaction; and two rows of one day need not be copies.
    let day = matches!(look.case.value(Source::Row, column), Value::Date(_));
    let copied = look.fault() == Fault::Reused && look.clock_default(column).is_none() && !day;
    copied.then(|| Evidence {
        cause: Cause::ParentCopied,
        text: format!("{column} equals {}", look.of_parent(theirs)),
        hint: format!("{column} was copied from the parent row; take the time at which this row's own event happened."),
    })
}

/// The start had a value; or the statement set the start and not the end, so that the end was there before.
fn overwritten_start(look: &Look<'_>) -> Option<Evidence> {
    if look.fault() == Fault::Overwritten {
        let column = look.offence.column.as_deref()?;
        return look.is_start(column).then(|| Evidence {
            cause: Cause::OverwrittenStart,
            text: format!("{column} had another value already when the statement set it"),
            hint: write_once(column, &look.context.relation.name),
        });
    }
    if !matches!(look.fault(), Fault::Before | Fault::Equal | Fault::TooSoon) {
        return None;
    }
    let (end, start) = look.pair()?;
    let has =
        |columns: &Option<Vec<String>>, name: &str| columns.as_ref().is_some_and(|c| c.iter().any(|own| own == name));
    let (columns, conflict) = (&look.context.columns, &look.context.conflict_columns);
    let overwritten = match look.context.operation {
        Operation::Update => has(columns, start) && !has(columns, end),
        // An end that the INSERT does not give can only be that of the row it met.
        Operation::Insert => has(conflict, start) && !has(conflict, end) && columns.is_some() && !has(columns, end),
        Operation::Merge | Operation::Copy => false,
    };
    overwritten.then(|| Evidence {
        cause: Cause::OverwrittenStart,
        text: format!("{end} was set already when the statement set {start}"),
        hint: format!(
            "{start} was set again although {end} was already there; write it once, for example SET {start} = COALESCE({start}, ...)."
        ),
    })
}

/// The distance is a whole number of quarter hours, as the offsets of zones are.
fn timezone_offset(look: &Look<'_>) -> Option<Evidence> {
    let offence = look.offence;
    // On which side of the zone's offset the time that passes between two events moves their distance.
    let (difference, less, more) = match offence.fault {
        Fault::Before | Fault::BeforeParent | Fault::Future | Fault::Decreased => {
            (offence.distance, EVENT_SLACK, CLOCK_SLACK)
        }
        Fault::TooLate | Fault::Past => (offence.distance, CLOCK_SLACK, EVENT_SLACK),
        // Rounded to seconds at most.
        Fault::WrongDuration => (offence.by, NANOS, NANOS),
        _ => return None,
    };
    let difference = difference?.abs();
    let zone = (difference + QUARTER_HOUR / 2) / QUARTER_HOUR * QUARTER_HOUR;
    let off = difference - zone;
    if !(QUARTER_HOUR..=WIDEST_ZONE).contains(&zone) || !(-less..=more).contains(&off) {
        return None;
    }
    let slack = if off < 0 { less } else { more };
    Some(Evidence {
        cause: Cause::TimezoneOffset,
        text: format!("differs by {}, a whole number of quarter hours within {}", Length(difference), Length(slack)),
        hint: format!(
            "The difference, {}, looks like a time zone: a local time was stored as UTC or the other way round.",
            Length(zone)
        ),
    })
}

/// Two times that one statement writes are a moment apart and in the wrong order, or one is ahead of the server's own clock.
fn clock_skew(look: &Look<'_>) -> Option<Evidence> {
    let by = look.offence.distance.or(look.offence.by)?.abs();
    if look.fault() == Fault::Future {
        let column = look.offence.column.as_deref()?;
        return (by <= WIDEST_SKEW && look.written(column)).then(|| Evidence {
            cause: Cause::ClockSkew,
            text: format!("{column} is {} ahead of the server's clock, within {}", Length(by), Length(WIDEST_SKEW)),
            hint: format!(
                "{column} comes from a clock that is ahead of the server's; keep the clocks by NTP, or let the server fill it in."
            ),
        });
    }
    let (column, other) = look.pair()?;
    let (other, whose) = match look.fault() {
        Fault::Before => (other.to_owned(), "both new in this statement"),
        Fault::BeforeParent => (look.of_parent(other), "the one new in this statement, the other stored before"),
        _ => return None,
    };
    // In an UPDATE the earlier value may have come at any time and from anywhere: their nearness proves nothing.
    (0 < by && by <= SKEW && look.new_row()).then(|| Evidence {
        cause: Cause::ClockSkew,
        text: format!("{column} is {} before {other}, within {}, {whose}: two clocks", Length(by), Length(SKEW)),
        hint: format!("{column} and {other} come from different clocks; take both from one of them."),
    })
}

/// The statement wrote a time that was over long before.
fn stale_copy(look: &Look<'_>) -> Option<Evidence> {
    let column = look.offence.column.as_deref()?;
    if !look.written(column) || look.clock_default(column).is_some() {
        return None;
    }
    let age = look.offence.distance?.abs();
    let text = match look.fault() {
        Fault::Past => format!("the statement wrote {column}, which was {} old", Length(age)),
        Fault::BeforeParent if age > SKEW => {
            let theirs = look.of_parent(look.offence.other.as_deref()?);
            format!("the statement wrote {column}, which is {} before {theirs}", Length(age))
        }
        _ => return None,
    };
    Some(Evidence {
        cause: Cause::StaleCopy,
        text,
        hint: format!("{column} looks like it was copied from an earlier row or read long ago."),
    })
}
