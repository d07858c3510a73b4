//! `parent: {table, join, not_reused, not_before}`: the row against its parent row.

use super::{Judgement, Lookup};
use crate::{
    catalog::facts::RelationFacts,
    guard::{
        Reason, Source,
        row::{Axis, Row, Shown, Type, zone},
        sql::{any_of, attribute, identifier, op},
        time::seconds_constant,
    },
    rules::set::{Parent, Rule},
};

/// Odd on purpose: with a target aliased `p` and `FROM jobs p` inside, the guard would compare the parent with itself.
const ALIAS: &str = "cg_p";

pub(super) fn judge(rule: &Rule, parent: &Parent, row: &Row<'_>) -> Result<Judgement, Reason> {
    let facts = facts(parent, row.relation)?;
    let alias = if row.name == ALIAS { "cg_p2" } else { ALIAS };
    let above = Row { relation: facts, name: alias, source: Source::Parent, inline_generated: false };
    let mut shown: Vec<Shown> = Vec::new();
    let mut show = |axis: Axis| {
        for new in axis.shown() {
            if !shown.iter().any(|old| old.slot == new.slot) {
                shown.push(new);
            }
        }
    };
    let mut parts = Vec::new();
    for (own, theirs) in &parent.not_reused {
        let axis = pair(rule, row, &above, own, theirs)?;
        parts.push(op(&axis.sql[1], "=", &axis.sql[0]));
        show(axis);
    }
    for (own, theirs) in &parent.not_before {
        let axis = pair(rule, row, &above, own, theirs)?;
        let mut part = op(&axis.sql[0], "<", &axis.sql[1]);
        if parent.tolerance.nanos > 0 {
            let off = axis.distance(&axis.sql[1], &axis.sql[0]);
            part = format!("{part} AND {}", op(&off, ">", &seconds_constant(parent.tolerance.nanos)));
        }
        parts.push(part);
        show(axis);
    }
    let on = parent.join.iter().map(|(own, theirs)| joined(row, &above, own, theirs)).collect::<Result<Vec<_>, _>>()?;
    let lookup = Lookup {
        from: format!("{}.{} {alias}", identifier(&parent.schema), attribute(&parent.table)),
        on: on.join(" AND "),
        lock: parent.lock_parent.then(|| format!("FOR SHARE OF {alias}")),
    };
    Ok(Judgement { violated: any_of(parts), shown, lookup: Some(lookup) })
}

/// The parent, if it can be looked at without harm: row security would hide rows silently, a lock needs a privilege.
fn facts<'a>(parent: &Parent, relation: &'a RelationFacts) -> Result<&'a RelationFacts, Reason> {
    let mut known = relation.parents.iter().chain([relation]);
    let facts = known
        .find(|facts| facts.name.schema == parent.schema && facts.name.name == parent.table)
        .ok_or(Reason::Parent)?;
    let lockable = matches!(facts.kind, 'r' | 'p') && facts.columns.iter().any(|column| column.can_update);
    if facts.row_security || parent.lock_parent && !lockable {
        return Err(Reason::Parent);
    }
    Ok(facts)
}

/// The two times, the row's first. A number of the parent has the unit of the row's, or else the one given for its own name.
fn pair(rule: &Rule, row: &Row<'_>, above: &Row<'_>, own: &str, theirs: &str) -> Result<Axis, Reason> {
    let unit = rule.units.get(own).copied();
    let theirs_unit = unit.or_else(|| rule.units.get(theirs).copied());
    let times = [row.time(own, unit)?, above.time(theirs, theirs_unit).map_err(parents_fault)?];
    Axis::new(&times, zone(rule)?)
}

/// Equality that the parent's index serves; only for types whose `=` is in `pg_catalog` for certain.
fn joined(row: &Row<'_>, above: &Row<'_>, own: &str, theirs: &str) -> Result<String, Reason> {
    let own_type = row.facts(own)?.type_name.as_str();
    let their_type = above.facts(theirs).map_err(parents_fault)?.type_name.as_str();
    let integers = Type::of(own_type) == Type::Integer && Type::of(their_type) == Type::Integer;
    let texts = [own_type, their_type].iter().all(|name| matches!(*name, "text" | "varchar"));
    if own_type.contains('.') || !(own_type == their_type || integers || texts) {
        return Err(Reason::ColumnType);
    }
    Ok(op(&above.column(theirs).map_err(parents_fault)?, "=", &row.column(own)?))
}

/// What is missing or forbidden is the parent's, which has its own reason.
fn parents_fault(reason: Reason) -> Reason {
    match reason {
        Reason::NoSelectPrivilege | Reason::ColumnMissing => Reason::Parent,
        other => other,
    }
}
