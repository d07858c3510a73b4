//! `require: {not_null, null}`: columns that must have a value, and columns that must have none.

use super::Judgement;
use crate::{
    guard::{Reason, row::Row, sql::any_of},
    rules::set::Require,
};

pub(super) fn judge(require: &Require, row: &Row<'_>) -> Result<Judgement, Reason> {
    let mut parts = Vec::new();
    let mut shown = Vec::new();
    for (columns, test) in [(&require.not_null, "IS NULL"), (&require.null, "IS NOT NULL")] {
        for column in columns {
            parts.push(format!("{} {test}", row.column(column)?));
            shown.push(row.shown(column)?);
        }
    }
    Ok(Judgement { violated: any_of(parts), shown, lookup: None })
}
