//! `duration: {column, start, end}`: a stored duration is the end minus the start.

use super::Judgement;
use crate::{
    guard::{
        Reason,
        row::{Axis, Number, Row, Type, zone},
        sql::op,
        time::seconds_constant,
    },
    rules::set::{Duration, Rule},
};

pub(super) fn judge(rule: &Rule, duration: &Duration, row: &Row<'_>) -> Result<Judgement, Reason> {
    let times = [row.rule_time(rule, &duration.start)?, row.rule_time(rule, &duration.end)?];
    let axis = Axis::new(&times, zone(rule)?)?;
    let column = row.column(&duration.column)?;
    let count = |number: Number| number.seconds(&column, duration.unit);
    let stored = match Type::of(&row.facts(&duration.column)?.type_name) {
        Type::Interval => format!("extract(epoch from {column})"),
        Type::Integer => count(Number::Integer),
        Type::Numeric => count(Number::Numeric),
        Type::Float4 => count(Number::Float4),
        Type::Float8 => count(Number::Float8),
        _ => return Err(Reason::ColumnType),
    };
    let off =
        format!("pg_catalog.abs({})", op(&stored, "-", &format!("({})", axis.distance(&axis.sql[1], &axis.sql[0]))));
    // Negated, so that NaN (a distance between equal infinities) is not "less": it is not judged.
    let violated = op(&format!("0 OPERATOR(pg_catalog.-) {off}"), "<", &negative(duration.tolerance.nanos));
    let mut shown = vec![row.shown(&duration.column)?];
    shown.extend(axis.shown());
    Ok(Judgement { violated, shown, lookup: None })
}

fn negative(nanos: u64) -> String {
    format!("(-{})", seconds_constant(nanos))
}
