//! What exactly is wrong in a finding: the columns to blame and by how much. Repeats the rule's comparison over the values that came
//! along; the verdict itself is the server's.

use super::{Finding, Source, Value, time::Moment};
use crate::rules::set::{
    Duration, Kind, Monotonic, NearNow, Order, Parent, Plausible, Require, Rule, Transitions, Unit, WriteOnce,
};

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// `column` is before `other`.
    Before,
    /// `column` equals `other`, and must not.
    Equal,
    /// `column` comes too soon after `other`.
    TooSoon,
    /// `column` comes too late after `other`.
    TooLate,
    /// The stored duration `column` is not the distance of its times.
    WrongDuration,
    /// `column` is before now by more than allowed.
    Past,
    /// `column` is after now by more than allowed.
    Future,
    /// `column` is the epoch.
    Epoch,
    /// `column` is infinite.
    Infinite,
    /// `column` is outside of its range.
    OutOfRange,
    /// `column` has no value.
    Missing,
    /// `column` has a value.
    Unexpected,
    /// `column` equals the parent's `other`.
    Reused,
    /// `column` is before the parent's `other`.
    BeforeParent,
    /// `column` had another value before.
    Overwritten,
    /// `column` is before the time it had.
    Decreased,
    /// `column` is a smaller number than it was.
    Less,
    /// `column` came from a state that does not lead to this one.
    Transition,
    /// `column` is no state for a new row.
    NotInitial,
    /// The condition is false.
    False,
}

/// A fault with the columns to blame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offence {
    pub(super) fault: Fault,
    /// The column that the error names.
    pub(super) column: Option<String>,
    /// What it was compared with.
    pub(super) other: Option<String>,
    /// By how much, in nanoseconds: how far on the wrong side, for gaps how far from what is allowed. `None`: not finite, or no length.
    pub(super) by: Option<i128>,
    /// The whole distance of the two times, `column` minus `other`.
    pub(super) distance: Option<i128>,
}

impl Offence {
    fn of(fault: Fault, column: &str) -> Self {
        Self { fault, column: Some(column.to_owned()), other: None, by: None, distance: None }
    }
}

/// A finding together with its rule.
pub(super) struct Case<'a> {
    pub(super) rule: &'a Rule,
    pub(super) finding: &'a Finding,
}

impl Case<'_> {
    pub(super) fn value(&self, source: Source, column: &str) -> &Value {
        let slot = self.finding.values.iter().find(|(slot, _)| slot.source == source && slot.column == column);
        slot.map_or(&Value::Null, |(_, value)| value)
    }

    pub(super) fn moment(&self, source: Source, column: &str) -> Option<Moment> {
        self.value(source, column).moment(self.unit(column))
    }

    pub(super) fn unit(&self, column: &str) -> Option<Unit> {
        match &self.rule.kind {
            Kind::Duration(duration) if duration.column == column => Some(duration.unit),
            _ => self.rule.units.get(column).copied(),
        }
    }

    /// The parent's value beside `own`.
    pub(super) fn parents_moment(&self, own: &str, theirs: &str) -> Option<Moment> {
        self.value(Source::Parent, theirs).moment(self.unit(own).or_else(|| self.unit(theirs)))
    }

    /// What is wrong. If the values do not show it (they were cut), just that something is.
    pub(super) fn offence(&self) -> Offence {
        let found = match &self.rule.kind {
            Kind::Order(order) => self.order(order),
            Kind::Duration(duration) => Some(self.duration(duration)),
            Kind::NearNow(near_now) => self.near_now(near_now),
            Kind::Plausible(plausible) => self.plausible(plausible),
            Kind::Require(require) => self.require(require),
            Kind::WriteOnce(write_once) => self.write_once(write_once),
            Kind::Monotonic(monotonic) => self.monotonic(monotonic),
            Kind::Transitions(transitions) => Some(self.transition(transitions)),
            Kind::Check(_) | Kind::AffectsRows(_) => None,
            Kind::Parent(parent) => self.parent(parent),
        };
        found.unwrap_or_else(|| {
            let column = self.finding.values.first().map(|(slot, _)| slot.column.clone());
            Offence { fault: Fault::False, column, other: None, by: None, distance: None }
        })
    }

    fn order(&self, order: &Order) -> Option<Offence> {
        let mut present = order.columns.iter().filter_map(|column| Some((column, self.moment(Source::Row, column)?)));
        let mut earlier = present.next()?;
        for later in present {
            if let Some((fault, by)) = misplaced(order, earlier.1, later.1) {
                return Some(Offence {
                    other: Some(earlier.0.clone()),
                    by,
                    distance: later.1.since(earlier.1),
                    ..Offence::of(fault, later.0)
                });
            }
            earlier = later;
        }
        None
    }

    fn duration(&self, duration: &Duration) -> Offence {
        let distance = (|| {
            let end = self.moment(Source::Row, &duration.end)?;
            end.since(self.moment(Source::Row, &duration.start)?)
        })();
        let stored = match self.moment(Source::Row, &duration.column) {
            Some(Moment::Finite(nanos)) => Some(nanos),
            _ => None,
        };
        let by = stored.zip(distance).map(|(stored, distance)| (stored - distance).abs());
        Offence { by, distance, ..Offence::of(Fault::WrongDuration, &duration.column) }
    }

    fn near_now(&self, near_now: &NearNow) -> Option<Offence> {
        let (now, clock) = (self.moment(Source::Server, "now")?, self.moment(Source::Server, "clock_timestamp")?);
        near_now.columns.iter().find_map(|column| {
            let at = self.moment(Source::Row, column)?;
            let outside = |fault, limit: Option<crate::rules::set::Span>, distance: Option<i128>, beyond: Moment| {
                let limit = i128::from(limit?.nanos);
                let wrong = distance.map_or(at == beyond, |distance| distance > limit);
                wrong.then(|| Offence {
                    by: distance.map(|distance| distance - limit),
                    distance,
                    ..Offence::of(fault, column)
                })
            };
            outside(Fault::Past, near_now.past, now.since(at), Moment::NegInfinity)
                .or_else(|| outside(Fault::Future, near_now.future, at.since(clock), Moment::Infinity))
        })
    }

    fn plausible(&self, plausible: &Plausible) -> Option<Offence> {
        let range = plausible.after.as_nanosecond()..plausible.before.as_nanosecond();
        let fault = |column: &String| match self.moment(Source::Row, column)? {
            Moment::Finite(0) => Some(Fault::Epoch),
            Moment::Finite(nanos) => (!range.contains(&nanos)).then_some(Fault::OutOfRange),
            _ => Some(Fault::Infinite),
        };
        plausible.columns.iter().find_map(|column| Some(Offence::of(fault(column)?, column)))
    }

    fn require(&self, require: &Require) -> Option<Offence> {
        let null = |column: &&String| *self.value(Source::Row, column) == Value::Null;
        let missing = require.not_null.iter().find(null).map(|column| Offence::of(Fault::Missing, column));
        missing.or_else(|| {
            let unexpected = require.null.iter().find(|column| !null(column));
            unexpected.map(|column| Offence::of(Fault::Unexpected, column))
        })
    }

    fn write_once(&self, rule: &WriteOnce) -> Option<Offence> {
        let overwritten = |column: &&String| {
            let (new, old) = (self.value(Source::Row, column), self.value(Source::Old, column));
            *old != Value::Null && !old.same(new)
        };
        let column = rule.columns.iter().find(overwritten)?;
        let (new, old) = (self.moment(Source::Row, column), self.moment(Source::Old, column));
        let distance = new.zip(old).and_then(|(new, old)| new.since(old));
        Some(Offence { by: distance.map(i128::abs), distance, ..Offence::of(Fault::Overwritten, column) })
    }

    fn monotonic(&self, rule: &Monotonic) -> Option<Offence> {
        rule.columns.iter().find_map(|column| {
            let (new, old) = (self.value(Source::Row, column), self.value(Source::Old, column));
            if let Some((new, old)) = self.moment(Source::Row, column).zip(self.moment(Source::Old, column)) {
                let distance = new.since(old);
                return (new < old).then(|| Offence {
                    by: distance.map(|nanos| -nanos),
                    distance,
                    ..Offence::of(Fault::Decreased, column)
                });
            }
            // A number without a unit: only its order counts.
            let (new, old) = (new.moment(Some(Unit::S))?, old.moment(Some(Unit::S))?);
            (new < old).then(|| Offence::of(Fault::Less, column))
        })
    }

    fn transition(&self, rule: &Transitions) -> Offence {
        let new = *self.value(Source::Old, &rule.column) == Value::Null;
        Offence::of(if new { Fault::NotInitial } else { Fault::Transition }, &rule.column)
    }

    fn parent(&self, parent: &Parent) -> Option<Offence> {
        let against = |fault, (own, theirs): &(String, String), distance| Offence {
            other: Some(theirs.clone()),
            by: distance,
            distance: distance.map(|nanos: i128| -nanos),
            ..Offence::of(fault, own)
        };
        let reused = parent.not_reused.iter().find_map(|pair| {
            let same = self.moment(Source::Row, &pair.0)? == self.parents_moment(&pair.0, &pair.1)?;
            same.then(|| against(Fault::Reused, pair, None))
        });
        reused.or_else(|| {
            parent.not_before.iter().find_map(|pair| {
                let (own, theirs) = (self.moment(Source::Row, &pair.0)?, self.parents_moment(&pair.0, &pair.1)?);
                let distance = theirs.since(own);
                let wrong = distance.map_or(own < theirs, |nanos| nanos > i128::from(parent.tolerance.nanos));
                wrong.then(|| against(Fault::BeforeParent, pair, distance))
            })
        })
    }
}

/// How two neighbours of an order violate it, and by how much.
fn misplaced(order: &Order, earlier: Moment, later: Moment) -> Option<(Fault, Option<i128>)> {
    let distance = later.since(earlier);
    let least = order.min_gap.map_or(-i128::from(order.tolerance.nanos), |gap| i128::from(gap.nanos));
    let strict = order.strict && order.min_gap.is_none();
    let early = distance
        .map_or(later < earlier || strict && later == earlier, |nanos| nanos < least || strict && nanos <= least);
    if early {
        return Some(match distance {
            Some(0) if order.min_gap.is_none() => (Fault::Equal, Some(0)),
            None if later == earlier => (Fault::Equal, None),
            Some(nanos) if nanos >= 0 => (Fault::TooSoon, Some(least - nanos)),
            _ => (Fault::Before, distance.map(|nanos| -nanos)),
        });
    }
    let most = i128::from(order.max_gap?.nanos);
    let late = distance.map_or(later > earlier, |nanos| nanos > most);
    late.then(|| (Fault::TooLate, distance.map(|nanos| nanos - most)))
}
