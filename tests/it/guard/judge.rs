//! Rules evaluated without SQL: what the guard's verdicts are compared with.

use std::collections::BTreeMap;

use chronoguard::rules::set::{Kind, NearNow, Order, Rule, TableRules};

use super::values::{At, NANOS, Row, ZONE, distance};

/// The rules, evaluated without SQL.
pub(super) struct Judge<'a> {
    pub(super) rules: &'a TableRules,
    pub(super) parents: &'a BTreeMap<String, Row>,
    pub(super) now: i128,
}

impl Judge<'_> {
    /// Names of the rules that the row violates, in file order.
    pub(super) fn violated(&self, row: &Row) -> Vec<String> {
        let rules = self.rules.rules.iter();
        rules.filter(|rule| self.applies(rule, row) && self.breaks(rule, row)).map(|rule| rule.name.clone()).collect()
    }

    fn applies(&self, rule: &Rule, row: &Row) -> bool {
        let state = row["st"].text.as_deref();
        match rule.when.as_ref().map(|when| when.text.as_str()) {
            None => true,
            Some("st = 'done'") => state == Some("done"),
            Some("st IN ('done', 'failed')") => matches!(state, Some("done" | "failed")),
            Some(other) => panic!("{other}"),
        }
    }

    fn breaks(&self, rule: &Rule, row: &Row) -> bool {
        let at = |column: &str| row[column].at;
        match &rule.kind {
            Kind::Order(order) => self.order(rule, order, row),
            Kind::Duration(duration) => {
                let (start, end) = (instant(rule, row, &duration.start), instant(rule, row, &duration.end));
                let (Some(stored), Some(start), Some(end)) = (at(&duration.column), start, end) else { return false };
                let tolerance = i128::from(duration.tolerance.nanos);
                match (stored.bounded(), distance(end, start)) {
                    (_, None) => false,
                    (At { rank: 0, nanos }, Some(Ok(actual))) => (nanos - actual).abs() > tolerance,
                    (At { rank, .. }, Some(Err(sign))) => rank.signum() != sign,
                    (_, Some(Ok(_))) => true,
                }
            }
            Kind::NearNow(near_now) => self.near_now(rule, near_now, row),
            Kind::Plausible(plausible) => plausible.columns.iter().filter_map(|column| at(column)).any(|at| {
                let range = plausible.after.as_nanosecond()..plausible.before.as_nanosecond();
                at.rank != 0 || at.nanos == 0 || !range.contains(&at.nanos)
            }),
            Kind::Require(require) => {
                let null = |column: &String| row[column.as_str()].literal == "NULL";
                require.not_null.iter().any(null) || !require.null.iter().all(null)
            }
            Kind::WriteOnce(_) | Kind::Monotonic(_) | Kind::Transitions(_) | Kind::AffectsRows(_) => {
                panic!("a row alone does not tell: {rule:?}")
            }
            Kind::Check(_) => {
                let less = at("i").zip(at("j")).map(|(i, j)| i < j);
                row["st"].text.is_some() && less == Some(false)
            }
            Kind::Parent(parent) => {
                let Some(above) = row["job"].text.as_ref().and_then(|job| self.parents.get(job)) else { return false };
                let pair = |(own, theirs): &(String, String)| at(own).zip(above[theirs.as_str()].at);
                parent.not_reused.iter().filter_map(pair).any(|(own, theirs)| own == theirs)
                    || parent.not_before.iter().filter_map(pair).any(|(own, theirs)| match distance(theirs, own) {
                        Some(Ok(nanos)) => nanos > i128::from(parent.tolerance.nanos),
                        Some(Err(sign)) => sign > 0,
                        None => false,
                    })
            }
        }
    }

    fn order(&self, rule: &Rule, order: &Order, row: &Row) -> bool {
        let own_scale = order.columns.iter().all(|column| kind_of(column) == kind_of(&order.columns[0]));
        let present: Vec<At> = order
            .columns
            .iter()
            .filter_map(
                |column| if own_scale { row[column.as_str()].at } else { Some(instant(rule, row, column)?.bounded()) },
            )
            .collect();
        present.windows(2).any(|pair| {
            let (earlier, later) = (pair[0], pair[1]);
            let gap = distance(later, earlier);
            let early = match (order.min_gap, order.tolerance.nanos) {
                (Some(least), _) => {
                    later < earlier || matches!(gap, Some(Ok(nanos)) if nanos < i128::from(least.nanos))
                }
                (None, 0) if order.strict => later <= earlier,
                (None, 0) => later < earlier,
                (None, tolerance) => {
                    let beyond = i128::from(tolerance) + i128::from(!order.strict);
                    later < earlier && !matches!(gap, Some(Ok(nanos)) if -nanos < beyond)
                }
            };
            let late = order.max_gap.is_some_and(|most| {
                later > earlier && !matches!(gap, Some(Ok(nanos)) if nanos <= i128::from(most.nanos))
            });
            early || late
        })
    }

    fn near_now(&self, rule: &Rule, near_now: &NearNow, row: &Row) -> bool {
        near_now.columns.iter().filter_map(|column| Some(instant(rule, row, column)?.bounded())).any(|at| {
            let old = near_now.past.is_some_and(|past| match at.rank {
                0 => self.now - at.nanos > i128::from(past.nanos),
                rank => rank < 0,
            });
            let early = near_now.future.is_some_and(|future| match at.rank {
                0 => at.nanos - self.now > i128::from(future.nanos),
                rank => rank > 0,
            });
            old || early
        })
    }
}

fn kind_of(column: &str) -> &'static str {
    match column {
        "a" | "b" | "c" => "timestamptz",
        "l" | "m" => "timestamp",
        "d" | "e" => "date",
        "i" | "j" => "us",
        "s" => "s",
        "n" | "o" => "ms",
        "f" | "g" => "f8",
        _ => "f4",
    }
}

/// The column as an instant: wall times in the rule's zone, except some hours from the ends of the range.
fn instant(rule: &Rule, row: &Row, column: &str) -> Option<At> {
    let at = row[column].at?;
    let wall = matches!(kind_of(column), "timestamp" | "date");
    let convertible = -210_000_000_000 * NANOS < at.nanos && at.nanos < 9_215_000_000_000 * NANOS;
    let zoned = wall && rule.timezone.is_some() && at.rank == 0 && convertible;
    Some(if zoned { At::finite(at.nanos - ZONE) } else { at.extracted() })
}
