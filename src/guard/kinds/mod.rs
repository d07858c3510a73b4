//! A file per kind of rule: from the rule and the row to SQL that says whether the row violates it.

mod check;
mod duration;
mod near_now;
mod order;
mod parent;
mod plausible;
mod require;

use super::{
    Reason,
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

/// Judges a row by a rule, its `when` apart.
///
/// # Errors
/// The relation cannot be judged by it.
pub(super) fn judge(rule: &Rule, row: &Row<'_>) -> Result<Judgement, Reason> {
    match &rule.kind {
        Kind::Order(order) => order::judge(rule, order, row),
        Kind::Duration(duration) => duration::judge(rule, duration, row),
        Kind::NearNow(near_now) => near_now::judge(rule, near_now, row),
        Kind::Plausible(plausible) => plausible::judge(rule, plausible, row),
        Kind::Require(require) => require::judge(require, row),
        Kind::Check(condition) => check::judge(condition, row),
        Kind::Parent(parent) => parent::judge(rule, parent, row),
        // The loader does not let them through yet.
        Kind::WriteOnce(_) | Kind::Monotonic(_) | Kind::Transitions(_) | Kind::AffectsRows(_) => {
            Err(Reason::Unreadable)
        }
    }
}
