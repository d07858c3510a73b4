//! The kinds of rules: a file per kind, with its keys and what is checked.
//!
//! **Adding one**: a file here with a [`Spec`], a line in [`KINDS`], a variant of [`Kind`], its SQL in the guard compiler, and its manual as
//! `docs/rules/<kind>.md`: the tests hold each page against the code.

mod affects_rows;
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
    condition::Owner,
    fields::{Context, Fields},
    set::Kind,
    yaml::Node,
};

/// How a kind is read.
pub struct Spec {
    /// The key of a rule that says it is of this kind.
    pub key: &'static str,
    /// Further keys of the rule that only this kind has.
    pub siblings: &'static [&'static str],
    /// Keys inside the kind's own mapping, for hints about misplaced ones.
    pub inner: &'static [&'static str],
    /// It judges points in time: `unit` and `timezone` mean something.
    pub judges_times: bool,
    /// Reads the value of the key, with the rule's other keys at hand.
    pub read: fn(&mut Context, &Node, &Fields<'_>, Owner<'_>) -> Option<Kind>,
}

/// Every kind that judges a write as it is done.
pub const KINDS: [Spec; 11] = [
    order::SPEC,
    duration::SPEC,
    near_now::SPEC,
    plausible::SPEC,
    require::SPEC,
    check::SPEC,
    parent::SPEC,
    write_once::SPEC,
    monotonic::SPEC,
    transitions::SPEC,
    affects_rows::SPEC,
];

/// Kinds of the rule language that need the auditor: their place is in the list above once they exist.
pub const LATER_KINDS: [&str; 1] = ["deadline"];

/// The columns of a kind that hold points in time, which a rule's `unit` is about.
pub fn time_columns(kind: &Kind) -> Vec<&str> {
    match kind {
        Kind::Order(r) => r.columns.iter().map(String::as_str).collect(),
        Kind::Duration(r) => vec![&r.start, &r.end],
        Kind::NearNow(r) => r.columns.iter().map(String::as_str).collect(),
        Kind::Plausible(r) => r.columns.iter().map(String::as_str).collect(),
        Kind::Parent(r) => r.not_reused.iter().chain(&r.not_before).map(|(own, _)| own.as_str()).collect(),
        Kind::Monotonic(r) => r.columns.iter().map(String::as_str).collect(),
        Kind::Require(_) | Kind::Check(_) | Kind::WriteOnce(_) | Kind::Transitions(_) | Kind::AffectsRows(_) => {
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests;
