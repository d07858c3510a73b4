//! `transitions: {column, allow, initial}`: a state follows another only as allowed.

use super::Judgement;
use crate::{
    guard::{
        Reason,
        carry::state_text,
        old::Old,
        row::Row,
        sql::{C, op, string},
    },
    rules::set::Transitions,
};

/// Between two states of a pair: the first of these that is in no state named by the rule. The loader lets no control character into a state.
const BETWEEN: [char; 5] = ['>', '|', '/', '~', '\n'];

/// `old`: `None` where every row is new.
pub(super) fn judge(rule: &Transitions, row: &Row<'_>, old: Option<&Old<'_>>) -> Result<Judgement, Reason> {
    let column = &rule.column;
    let mut shown = vec![row.shown(column)?];
    if let Some(old) = old {
        shown.push(old.state_shown(column)?);
    }
    let violated = match (old, &rule.initial) {
        (Some(old), None) => old.of_updated(forbidden(rule, row, old)?),
        (Some(old), Some(initial)) => match old.exists() {
            None => forbidden(rule, row, old)?,
            Some(exists) => format!(
                "CASE WHEN {exists} THEN {} ELSE {} END",
                forbidden(rule, row, old)?,
                not_initial(column, initial, row)?
            ),
        },
        (None, Some(initial)) => not_initial(column, initial, row)?,
        (None, None) => return Err(Reason::OldRow),
    };
    Ok(Judgement { violated, shown, lookup: None })
}

/// The state changed in a way that is not allowed.
fn forbidden(rule: &Transitions, row: &Row<'_>, old: &Old<'_>) -> Result<String, Reason> {
    let changed = old.state_changed(&rule.column)?;
    let named = || rule.allow.iter().flat_map(|(from, to)| std::iter::once(from).chain(to));
    let between = BETWEEN.into_iter().find(|c| !named().any(|state| state.contains(*c))).unwrap_or('\n');
    let pairs: Vec<String> =
        rule.allow.iter().flat_map(|(from, to)| to.iter().map(move |to| format!("{from}{between}{to}"))).collect();
    if pairs.is_empty() {
        return Ok(changed);
    }
    let (from, to) = (old.state(&rule.column)?, state_text(row, &rule.column)?);
    let pair = format!("pg_catalog.concat({from},{},{to}){C}", string(&between.to_string()));
    Ok(format!("{changed} AND {}", none_of(&pair, &pairs)))
}

/// A new row begins in a state in which none may.
fn not_initial(column: &str, initial: &[String], row: &Row<'_>) -> Result<String, Reason> {
    let state = format!("{}{C}", state_text(row, column)?);
    Ok(format!("{} IS NOT NULL AND {}", row.column(column)?, none_of(&state, initial)))
}

fn none_of(text: &str, list: &[String]) -> String {
    let constants: Vec<String> = list.iter().map(|text| string(text)).collect();
    op(text, "<>", &format!("ALL (ARRAY[{}])", constants.join(",")))
}
