//! Two rules of one table: everything that the one finds the other finds too, or no row passes both.

use crate::{
    rules::set::{AffectsRows, Condition, Duration, Kind, NearNow, Order, Parent, Plausible, Rule, Span, Transitions},
    sql::write::Operation,
};

const OPERATIONS: [Operation; 4] = [Operation::Insert, Operation::Update, Operation::Merge, Operation::Copy];

/// Whatever `b` finds and does, `a` finds and does: at least as much.
pub(super) fn implies(a: &Rule, b: &Rule) -> bool {
    covers(a, b) && judges_as_much(&a.kind, &b.kind)
}

/// Why no row, or hardly any, passes both.
pub(super) fn contradiction(a: &Rule, b: &Rule) -> Option<String> {
    if !meet(a.when.as_ref(), b.when.as_ref()) {
        return None;
    }
    match (&a.kind, &b.kind) {
        (Kind::Order(x), Kind::Order(y)) => orders(x, y),
        (Kind::Plausible(x), Kind::Plausible(y)) if x.before <= y.after || y.before <= x.after => {
            let column = x.columns.iter().find(|c| y.columns.contains(c))?;
            Some(format!("no value of `{column}` is plausible to both"))
        }
        (Kind::Require(x), Kind::Require(y)) => {
            let clash = |p: &[String], q: &[String]| p.iter().find(|c| q.contains(c)).cloned();
            let column = clash(&x.not_null, &y.null).or_else(|| clash(&x.null, &y.not_null))?;
            Some(format!("`{column}` is to be null and not null"))
        }
        (Kind::Duration(x), Kind::Duration(y)) => {
            (x.column == y.column && x.start == y.start && x.end == y.end && x.unit != y.unit)
                .then(|| format!("`{}` cannot count two units", x.column))
        }
        _ => None,
    }
}

/// Both judge some rows, as far as can be told: their conditions are the same, or one has none.
fn meet(a: Option<&Condition>, b: Option<&Condition>) -> bool {
    a.is_none() || b.is_none() || same_condition(a, b)
}

fn same_condition(a: Option<&Condition>, b: Option<&Condition>) -> bool {
    a.map(|when| plain(&when.text)) == b.map(|when| plain(&when.text))
}

/// Blanks do not matter, as far as they are not inside a constant.
fn plain(text: &str) -> String {
    if text.contains(['\'', '"']) { text.to_owned() } else { text.split_whitespace().collect::<Vec<_>>().join(" ") }
}

/// `a` judges every row that `b` judges, by the same reading of the columns, and acts as strictly.
fn covers(a: &Rule, b: &Rule) -> bool {
    let reads = |rule: &Rule, column: &str| rule.units.get(column).copied();
    let columns = b.columns();
    (a.when.is_none() || same_condition(a.when.as_ref(), b.when.as_ref()))
        && (a.always || !b.always)
        && a.timezone == b.timezone
        && columns.iter().all(|column| reads(a, column) == reads(b, column))
        && OPERATIONS.iter().all(|op| a.on_violation.action(*op) >= b.on_violation.action(*op))
        && (a.ramp.is_none() || a.ramp == b.ramp)
        && (a.since.is_none() || a.since == b.since)
}

fn judges_as_much(a: &Kind, b: &Kind) -> bool {
    match (a, b) {
        (Kind::Order(a), Kind::Order(b)) => order(a, b),
        (Kind::Duration(a), Kind::Duration(b)) => duration(a, b),
        (Kind::NearNow(a), Kind::NearNow(b)) => near_now(a, b),
        (Kind::Plausible(a), Kind::Plausible(b)) => plausible(a, b),
        (Kind::Require(a), Kind::Require(b)) => within(&b.not_null, &a.not_null) && within(&b.null, &a.null),
        (Kind::Check(a), Kind::Check(b)) => plain(&a.text) == plain(&b.text),
        (Kind::Parent(a), Kind::Parent(b)) => parent(a, b),
        (Kind::WriteOnce(a), Kind::WriteOnce(b)) => within(&b.columns, &a.columns),
        // What never changes never decreases.
        (Kind::WriteOnce(a), Kind::Monotonic(b)) => within(&b.columns, &a.columns),
        (Kind::Monotonic(a), Kind::Monotonic(b)) => within(&b.columns, &a.columns),
        (Kind::Transitions(a), Kind::Transitions(b)) => transitions(a, b),
        (Kind::AffectsRows(a), Kind::AffectsRows(b)) => affects_rows(a, b),
        _ => false,
    }
}

fn within<T: PartialEq>(few: &[T], many: &[T]) -> bool {
    few.iter().all(|one| many.contains(one))
}

fn duration(a: &Duration, b: &Duration) -> bool {
    (&a.column, &a.start, &a.end, a.unit) == (&b.column, &b.start, &b.end, b.unit) && a.tolerance <= b.tolerance
}

fn near_now(a: &NearNow, b: &NearNow) -> bool {
    let narrower = |a: Option<Span>, b: Option<Span>| b.is_none_or(|b| a.is_some_and(|a| a <= b));
    within(&b.columns, &a.columns) && narrower(a.past, b.past) && narrower(a.future, b.future)
}

fn plausible(a: &Plausible, b: &Plausible) -> bool {
    within(&b.columns, &a.columns) && a.after >= b.after && a.before <= b.before
}

fn parent(a: &Parent, b: &Parent) -> bool {
    (&a.schema, &a.table) == (&b.schema, &b.table)
        && within(&a.join, &b.join)
        && within(&b.join, &a.join)
        && within(&b.not_reused, &a.not_reused)
        && within(&b.not_before, &a.not_before)
        && a.tolerance <= b.tolerance
        && (a.lock_parent || !b.lock_parent)
}

fn transitions(a: &Transitions, b: &Transitions) -> bool {
    let allowed = |machine: &Transitions, from: &String, to: &String| {
        machine.allow.iter().any(|(state, next)| state == from && next.contains(to))
    };
    let narrower = match (&a.initial, &b.initial) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(a), Some(b)) => within(a, b),
    };
    a.column == b.column && narrower && a.allow.iter().all(|(from, next)| next.iter().all(|to| allowed(b, from, to)))
}

fn affects_rows(a: &AffectsRows, b: &AffectsRows) -> bool {
    within(&b.operations, &a.operations) && a.min >= b.min
}

/// What an order demands of the distance of two of its columns.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bounds {
    /// The least distance in nanoseconds; `true`: and not that itself.
    least: (i128, bool),
    /// The greatest.
    most: Option<i128>,
}

impl Bounds {
    /// Of columns that are `steps` apart in its list, whichever of those between are null: what is demanded always.
    fn always(order: &Order, steps: usize) -> Self {
        let steps = i128::try_from(steps).unwrap_or(i128::MAX);
        let least = match order.min_gap {
            Some(gap) => (i128::from(gap.nanos), false),
            None => (-i128::from(order.tolerance.nanos).saturating_mul(steps), order.strict),
        };
        Self { least, most: order.max_gap.map(|gap| i128::from(gap.nanos).saturating_mul(steps)) }
    }

    /// Of neighbours.
    fn direct(order: &Order) -> Self {
        Self::always(order, 1)
    }

    /// The distance counted in the other direction.
    fn reversed(self) -> (Option<i128>, (i128, bool)) {
        (self.most.map(|most| -most), (-self.least.0, self.least.1))
    }
}

fn position(order: &Order, column: &str) -> Option<usize> {
    order.columns.iter().position(|c| c == column)
}

fn order(a: &Order, b: &Order) -> bool {
    // Equal infinities have no distance: `min_gap` lets them pass, `strict` does not.
    if b.strict && b.min_gap.is_none() && a.min_gap.is_some() {
        return false;
    }
    let places: Option<Vec<usize>> = b.columns.iter().map(|column| position(a, column)).collect();
    let Some(places) = places.filter(|places| places.is_sorted()) else { return false };
    let wanted = Bounds::direct(b);
    places.iter().enumerate().all(|(number, from)| {
        places[number + 1..].iter().all(|to| {
            let given = Bounds::always(a, to - from);
            let near_enough = wanted.most.is_none_or(|most| given.most.is_some_and(|own| own <= most));
            given.least >= wanted.least && near_enough
        })
    })
}

/// Why two orders cannot both hold.
fn orders(a: &Order, b: &Order) -> Option<String> {
    for (i, first) in a.columns.iter().enumerate() {
        for (j, second) in a.columns.iter().enumerate().skip(i + 1) {
            let (Some(k), Some(l)) = (position(b, first), position(b, second)) else { continue };
            let own = Bounds::always(a, j - i);
            if k < l {
                let other = Bounds::always(b, l - k);
                let apart = |x: Bounds, y: Bounds| y.most.is_some_and(|most| x.least.0 > most);
                if apart(own, other) || apart(other, own) {
                    return Some(format!(
                        "no distance from `{first}` to `{second}` is enough for one and not too much for the other"
                    ));
                }
                continue;
            }
            let (least, most) = Bounds::always(b, k - l).reversed();
            let too_much = least.is_some_and(|least| own.most.is_some_and(|most| least > most));
            let strictly = own.least.1 || most.1;
            if too_much || own.least.0 > most.0 || strictly && own.least.0 == most.0 {
                return Some(format!("no row has `{first}` before `{second}` and `{second}` before `{first}`"));
            }
            if own.least.0 == most.0 {
                return Some(format!("only rows whose `{first}` and `{second}` are equal pass both"));
            }
        }
    }
    None
}
