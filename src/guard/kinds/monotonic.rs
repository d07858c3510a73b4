//! `monotonic: [a, b]`: a value is never less than it was.

use super::Judgement;
use crate::{
    guard::{Reason, old::Old, row::Row, sql::any_of},
    rules::set::Monotonic,
};

pub(super) fn judge(rule: &Monotonic, row: &Row<'_>, old: &Old<'_>) -> Result<Judgement, Reason> {
    let mut parts = Vec::new();
    let mut shown = Vec::new();
    for column in &rule.columns {
        parts.push(old.decreased(column)?);
        shown.extend([row.shown(column)?, old.shown(column)?]);
    }
    Ok(Judgement { violated: old.of_updated(any_of(parts)), shown, lookup: None })
}
