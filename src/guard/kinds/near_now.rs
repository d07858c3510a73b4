//! `near_now: {columns, past, future}`: a time is close to the server's clock.

use super::Judgement;
use crate::{
    guard::{
        Reason, Slot, Source,
        row::{Axis, Row, Shape, Shown, Time, zone},
        sql::{Pieces, any_of, op},
        time::seconds_constant,
    },
    rules::set::{NearNow, Rule, Span},
};

/// Age counts from the start of the transaction, so that a default `now()` in a long one is not old.
const START: &str = "pg_catalog.now()";
/// The future begins at the clock itself. Volatile: a COPY with this rule loses its multi-row inserts, but `statement_timestamp()`
/// would refuse the rows of a COPY that goes on for hours.
const CLOCK: &str = "pg_catalog.clock_timestamp()";

pub(super) fn judge(rule: &Rule, near_now: &NearNow, row: &Row<'_>) -> Result<Judgement, Reason> {
    let times = near_now.columns.iter().map(|column| row.rule_time(rule, column)).collect::<Result<Vec<_>, _>>()?;
    let axis = Axis::instants(&times, zone(rule)?)?;
    let mut parts = Vec::new();
    for (time, seconds) in times.iter().zip(&axis.sql) {
        if let Some(past) = near_now.past {
            parts.push(beyond(time, seconds, START, past, false));
        }
        if let Some(future) = near_now.future {
            parts.push(beyond(time, seconds, CLOCK, future, true));
        }
    }
    let mut shown = axis.shown();
    shown.push(clock("now", START));
    shown.push(clock("clock_timestamp", CLOCK));
    Ok(Judgement { violated: any_of(parts), shown, lookup: None })
}

fn beyond(time: &Time, seconds: &str, clock: &str, span: Span, future: bool) -> String {
    let (sign, compare) = if future { ("+", ">") } else { ("-", "<") };
    // Up to PostgreSQL 14 the seconds of an interval are an `int4`.
    let plain = span.nanos.is_multiple_of(1_000) && span.nanos / 1_000_000_000 <= u64::from(i32::MAX.unsigned_abs());
    if time.shape == Shape::Instant && plain {
        // The clock is far from the ends of the range: this cannot overflow, and costs less than numeric.
        let limit = op(clock, sign, &format!("interval '{} s'", seconds_constant(span.nanos)));
        return op(&time.sql, compare, &format!("({limit})"));
    }
    let limit = op(&format!("extract(epoch from {clock})"), sign, &seconds_constant(span.nanos));
    op(seconds, compare, &format!("({limit})"))
}

fn clock(name: &str, sql: &str) -> Shown {
    let mut pieces = Pieces::default();
    pieces.constant("t");
    pieces.sql(format!("extract(epoch from {sql})"));
    Shown { slot: Slot { source: Source::Server, column: name.to_owned() }, pieces }
}
