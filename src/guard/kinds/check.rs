//! `check: "…"`: boolean SQL over the row. Violated when false; NULL is not a violation, as in a `CHECK` constraint.

use super::Judgement;
use crate::{
    guard::{Reason, condition, row::Row},
    rules::set::Condition,
};

/// A finding shows at most so many of the columns.
const SHOWN: usize = 8;

pub(super) fn judge(check: &Condition, row: &Row<'_>) -> Result<Judgement, Reason> {
    let violated = format!("({}) IS FALSE", condition::over(check, row)?);
    let shown = check.columns.iter().take(SHOWN).map(|column| row.shown(column)).collect::<Result<Vec<_>, _>>()?;
    Ok(Judgement { violated, shown, lookup: None })
}
