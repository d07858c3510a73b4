//! `plausible: {columns, after, before}`: a time lies in a range; infinity, NaN and the epoch itself never do.

use super::Judgement;
use crate::{
    guard::{
        Reason,
        row::{Row, Shape, Time, zone},
        sql::{any_of, literal, op},
        time::{Moment, Style, decimal_constant},
    },
    rules::set::{Plausible, Rule},
};

pub(super) fn judge(rule: &Rule, plausible: &Plausible, row: &Row<'_>) -> Result<Judgement, Reason> {
    let zone = zone(rule)?;
    let (after, before) = (plausible.after.as_nanosecond(), plausible.before.as_nanosecond());
    let mut parts = Vec::new();
    let mut shown = Vec::new();
    for column in &plausible.columns {
        let time = row.rule_time(rule, column)?;
        parts.push(op(&time.sql, "<", &bound(&time, after, zone)));
        parts.push(op(&time.sql, ">=", &bound(&time, before, zone)));
        if after <= 0 && 0 < before {
            // The epoch as the column's own zero, whatever the zone.
            parts.push(op(&time.sql, "=", &bound(&time, 0, None)));
        }
        shown.push(row.shown(column)?);
    }
    Ok(Judgement { violated: any_of(parts), shown, lookup: None })
}

/// The instant as a constant that compares directly with the column. Wall times are read in `zone`, or as UTC.
fn bound(time: &Time, nanos: i128, zone: Option<&str>) -> String {
    let instant = || format!("pg_catalog.timestamptz '{}'", Style::Instant.format(Moment::Finite(micros(nanos))));
    match (time.shape, zone) {
        (Shape::Instant, _) => instant(),
        (Shape::Timestamp | Shape::Date, None) => {
            format!("timestamp '{}'", Style::Wall.format(Moment::Finite(micros(nanos))))
        }
        (Shape::Timestamp | Shape::Date, Some(zone)) => {
            format!("pg_catalog.timezone({},{})", literal(zone), instant())
        }
        (Shape::Count(unit, _), _) => decimal_constant(nanos, 1_000_000_000 / i128::from(unit.per_second())),
    }
}

/// PostgreSQL's times end at microseconds.
fn micros(nanos: i128) -> i128 {
    nanos.div_euclid(1_000) * 1_000
}
