//! `order: [a, b, c]`: each time is not after the next one that is not null.

use super::Judgement;
use crate::{
    guard::{
        Reason,
        row::{Axis, Row, zone},
        sql::{any_of, op},
        time::seconds_constant,
    },
    rules::set::{Order, Rule},
};

pub(super) fn judge(rule: &Rule, order: &Order, row: &Row<'_>) -> Result<Judgement, Reason> {
    let times = order.columns.iter().map(|column| row.rule_time(rule, column)).collect::<Result<Vec<_>, _>>()?;
    let axis = Axis::new(&times, zone(rule)?)?;
    let mut parts = Vec::new();
    for (index, earlier) in axis.sql.iter().enumerate() {
        // COALESCE is what makes "the next one that is not null" cheap; the axis has one type.
        let next = match &axis.sql[index + 1..] {
            [] => break,
            [next] => next.clone(),
            rest => format!("COALESCE({})", rest.join(",")),
        };
        too_early(order, &axis, earlier, &next, &mut parts);
        if let Some(gap) = order.max_gap {
            // Compared first: the distance of two infinities is NaN, which is greater than everything.
            let far = op(&axis.distance(&next, earlier), ">", &seconds_constant(gap.nanos));
            parts.push(format!("{} AND {far}", op(&next, ">", earlier)));
        }
    }
    Ok(Judgement { violated: any_of(parts), shown: axis.shown(), lookup: None })
}

/// `next` comes too early after `earlier`.
fn too_early(order: &Order, axis: &Axis, earlier: &str, next: &str, parts: &mut Vec<String>) {
    let after = if order.strict { ">=" } else { ">" };
    if let Some(gap) = order.min_gap {
        // NaN, the distance of equal infinities, is not less than anything: not judged.
        parts.push(op(&axis.distance(next, earlier), "<", &seconds_constant(gap.nanos)));
        if axis.may_be_absurd() {
            parts.push(op(earlier, ">", next));
        }
    } else if order.tolerance.nanos > 0 {
        let beyond = op(&axis.distance(earlier, next), after, &seconds_constant(order.tolerance.nanos));
        parts.push(format!("{} AND {beyond}", op(earlier, ">", next)));
    } else {
        parts.push(op(earlier, after, next));
    }
}
