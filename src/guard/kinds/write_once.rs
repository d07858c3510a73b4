//! `write_once: [a, b]`: a value stays what it is; NULL may become one.

use super::Judgement;
use crate::{
    guard::{Reason, old::Old, row::Row, sql::any_of},
    rules::set::WriteOnce,
};

pub(super) fn judge(rule: &WriteOnce, row: &Row<'_>, old: &Old<'_>) -> Result<Judgement, Reason> {
    let mut parts = Vec::new();
    let mut shown = Vec::new();
    for column in &rule.columns {
        parts.push(old.changed(column)?);
        shown.extend([row.shown(column)?, old.shown(column)?]);
    }
    Ok(Judgement { violated: old.of_updated(any_of(parts)), shown, lookup: None })
}
