//! A file per kind of rule: from the rule and the row to SQL that says whether the row violates it.

mod check;
mod duration;
mod monotonic;
mod near_now;
mod order;
mod parent;
mod plausible;
mod require;
mod transitions;
mod write_once;

use super::{
    Reason,
    old::Old,
    row::{Row, Shown},
};
use crate::rules::set::{Kind, Rule};

/// What a kind makes of a rule. Independent of how the verdict leaves the server.
#[derive(Debug)]
pub(super) struct Judgement {
    /// Boolean SQL over the row, and over the parent row if there is a lookup: true for a violation, false or NULL for none.
    pub(super) violated: String,
    /// What a finding shows.
    pub(super) shown: Vec<Shown>,
    /// The rule looks at another table.
    pub(super) lookup: Option<Lookup>,
}

/// Where the parent row is.
#[derive(Debug)]
pub(super) struct Lookup {
    /// `schema.table alias`
    pub(super) from: String,
    /// The join condition.
    pub(super) on: String,
    /// `FOR SHARE OF alias` if the rule locks the parent.
    pub(super) lock: Option<String>,
}

/// Judges a row by a rule, its `when` apart. `old`: the row before, if there is one and the kind needs it.
///
/// # Errors
/// The relation cannot be judged by it.
pub(super) fn judge(rule: &Rule, row: &Row<'_>, old: Option<&Old<'_>>) -> Result<Judgement, Reason> {
    match &rule.kind {
        Kind::Order(order) => order::judge(rule, order, row),
        Kind::Duration(duration) => duration::judge(rule, duration, row),
        Kind::NearNow(near_now) => near_now::judge(rule, near_now, row),
        Kind::Plausible(plausible) => plausible::judge(rule, plausible, row),
        Kind::Require(require) => require::judge(require, row),
        Kind::Check(condition) => check::judge(condition, row),
        Kind::Parent(parent) => parent::judge(rule, parent, row),
        Kind::WriteOnce(write_once) => write_once::judge(write_once, row, old.ok_or(Reason::OldRow)?),
        Kind::Monotonic(monotonic) => monotonic::judge(monotonic, row, old.ok_or(Reason::OldRow)?),
        Kind::Transitions(transitions) => transitions::judge(transitions, row, old),
        // The loader does not let it through yet.
        Kind::AffectsRows(_) => Err(Reason::Unreadable),
    }
}
