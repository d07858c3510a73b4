//! Puts our text into the client's: where the guard of a write goes, the text with it, and positions in that text back to the client's.

mod old;
mod wrap;

use std::borrow::Cow;

pub use self::old::{OldRow, old_alias};
use super::{
    name::quote_ident,
    write::{ItemKind, Operation, Place, Returning, ReturningItem, Write},
};

/// `MaxTupleAttributeNumber`: the most items of an output list.
pub const MAX_ITEMS: usize = 1664;

/// One change of a text: at `at`, `remove` bytes go and `insert` comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Offset in the text before any edit.
    pub at: usize,
    /// Bytes to drop.
    pub remove: usize,
    /// What comes in their place.
    pub insert: Vec<u8>,
}

/// Why a guard has no place in a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPlace {
    /// The write was not read to its end, see [`Write::problem`].
    Unreadable,
    /// No item of the `RETURNING` list of a CTE can carry the guard.
    CteReturning,
    /// The list has as many items as the server allows.
    TooManyColumns,
}

/// A text with edits applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spliced {
    /// What is sent.
    pub text: Vec<u8>,
    /// Runs of the client's bytes in `text`, in order.
    runs: Vec<Run>,
    client_len: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    spliced: usize,
    client: usize,
    len: usize,
}

/// How many bytes a character of the client's encoding has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CharWidth {
    /// UTF-8.
    Utf8,
    /// One byte each: LATIN*, WIN*, KOI8*, SQL_ASCII.
    Single,
}

/// Where an error position of the server points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Into the client's text: the position there, in characters from 1.
    Client(usize),
    /// Into our text.
    Guard,
}

/// Where the guard of one write goes: as the last item of its `RETURNING`, or into the `WHERE` of a COPY. Where readers must see no further column, the write is wrapped (see
/// `wrap`), or, where that cannot be, the guard is folded into one of the items.
///
/// `old`: what else it needs. `target_columns`: all columns of the target in order, needed only where a CTE has `RETURNING *`. In a [`Place::Cte`] or [`Place::Consumed`] the guard must work by side effect
/// and always be NULL. The expression may be anything; it is parenthesised where needed.
///
/// # Errors
/// [`NoPlace`], and then the statement must be treated as unguardable.
pub fn place_guard(
    text: &[u8],
    write: &Write,
    guard: &str,
    old: Option<&OldRow>,
    target_columns: &[&str],
) -> Result<Vec<Edit>, NoPlace> {
    if write.problem.is_some() {
        return Err(NoPlace::Unreadable);
    }
    if write.operation == Operation::Copy {
        return Ok(copy_where(write, guard));
    }
    let hidden = matches!(write.place, Place::Cte | Place::Consumed);
    // In the order of the text: several may stand at one offset.
    let mut edits = old.map_or_else(Vec::new, |old| old::place(write, old));
    match &write.returning {
        None => {
            let with = old.map_or_else(String::new, old::clause);
            edits.push(insert(write.end, format!(" RETURNING {with}{guard}")));
        }
        Some(returning) if hidden => edits.extend(match wrap::wrap(text, write, returning, guard, target_columns) {
            Some(wrapped) => wrapped,
            None => fold(text, write, returning, guard, target_columns)?,
        }),
        Some(returning) if returning.items.len() >= MAX_ITEMS => return Err(NoPlace::TooManyColumns),
        Some(_) => edits.push(insert(write.end, format!(", {guard}"))),
    }
    Ok(edits)
}

fn insert(at: usize, text: impl Into<String>) -> Edit {
    Edit { at, remove: 0, insert: text.into().into_bytes() }
}

/// The client's condition decides first: rows that it filters out are not judged, and `AND` promises no order.
fn copy_where(write: &Write, guard: &str) -> Vec<Edit> {
    match &write.copy_where {
        None => vec![insert(write.end, format!(" WHERE ({guard})"))],
        Some(client) => {
            vec![insert(client.start, "CASE WHEN ("), insert(client.end, format!(") THEN ({guard}) ELSE false END"))]
        }
    }
}

/// Folds the guard into one item. Both branches are the client's expression, so type modifier and collation stay.
fn fold(
    text: &[u8],
    write: &Write,
    returning: &Returning,
    guard: &str,
    target_columns: &[&str],
) -> Result<Vec<Edit>, NoPlace> {
    let best = returning
        .items
        .iter()
        .filter_map(|item| Some((cost(write, item, target_columns)?, item)))
        .min_by_key(|(cost, _)| *cost);
    let Some((_, item)) = best else { return Err(NoPlace::CteReturning) };
    if matches!(item.kind, ItemKind::Star | ItemKind::QualifiedStar(_)) {
        if returning.items.len() + target_columns.len() > MAX_ITEMS + 1 {
            return Err(NoPlace::TooManyColumns);
        }
        return Ok(vec![expanded_star(write, item, guard, target_columns)]);
    }
    let expr = text.get(item.expr.clone()).ok_or(NoPlace::Unreadable)?;
    let mut tail = b") ELSE (".to_vec();
    tail.extend_from_slice(expr);
    tail.extend_from_slice(b") END");
    if !item.named {
        let name = item.output_name.as_deref().ok_or(NoPlace::CteReturning)?;
        tail.extend_from_slice(b" AS ");
        tail.extend_from_slice(quote_ident(name).as_bytes());
    }
    Ok(vec![
        insert(item.expr.start, format!("CASE WHEN ({guard}) IS NULL THEN (")),
        Edit { at: item.expr.end, remove: 0, insert: tail },
    ])
}

/// How good an item is to carry the guard, the lowest first; `None`: it cannot.
fn cost(write: &Write, item: &ReturningItem, target_columns: &[&str]) -> Option<u8> {
    let named = item.named || item.output_name.is_some();
    match &item.kind {
        ItemKind::Column if named => Some(0),
        ItemKind::Expr if item.named => Some(1),
        ItemKind::Expr if named => Some(2),
        ItemKind::Star | ItemKind::QualifiedStar(_) => {
            (!target_columns.is_empty() && wrap::stands_for_target(write, item)).then_some(3)
        }
        ItemKind::Literal if named => Some(4),
        _ => None,
    }
}

fn expanded_star(write: &Write, item: &ReturningItem, guard: &str, target_columns: &[&str]) -> Edit {
    let row = write.row_name();
    let mut list = String::new();
    for (i, column) in target_columns.iter().enumerate() {
        let name: Cow<'_, str> = quote_ident(column);
        if i + 1 < target_columns.len() {
            list.push_str(&format!("{row}.{name}, "));
        } else {
            list.push_str(&format!(
                "CASE WHEN ({guard}) IS NULL THEN ({row}.{name}) ELSE ({row}.{name}) END AS {name}"
            ));
        }
    }
    Edit { at: item.span.start, remove: item.span.len(), insert: list.into_bytes() }
}

/// The text with `edits` applied, in any order. They must lie in bounds and not overlap: those of the writes of one text never do.
pub fn splice(text: &[u8], edits: &[Edit]) -> Spliced {
    splice_at(text, 0, edits)
}

/// As [`splice`], for edits whose offsets count from `base`.
pub fn splice_at(text: &[u8], base: usize, edits: &[Edit]) -> Spliced {
    let mut sorted: Vec<&Edit> = edits.iter().collect();
    sorted.sort_by_key(|e| e.at);
    let added: usize = edits.iter().map(|e| e.insert.len()).sum();
    let mut out = Spliced { text: Vec::with_capacity(text.len() + added), runs: Vec::new(), client_len: text.len() };
    let mut done = 0;
    for edit in sorted {
        let at = base + edit.at;
        debug_assert!(done <= at && at + edit.remove <= text.len(), "edits overlap or are out of bounds");
        let at = at.clamp(done, text.len());
        out.copy(text, done, at);
        out.text.extend_from_slice(&edit.insert);
        done = (at + edit.remove).min(text.len());
    }
    out.copy(text, done, text.len());
    out
}

impl Spliced {
    fn copy(&mut self, text: &[u8], from: usize, to: usize) {
        if from < to {
            self.runs.push(Run { spliced: self.text.len(), client: from, len: to - from });
            self.text.extend_from_slice(&text[from..to]);
        }
    }

    /// Maps the server's error position (field `P`: characters of the sent text, from 1) to the client's text, which is `client`.
    ///
    /// Source: docs, `protocol-error-fields.html`.
    pub fn position(&self, client: &[u8], position: usize, width: CharWidth) -> Position {
        let Some(offset) = offset_of(&self.text, position, width) else {
            return Position::Client(count(client, width) + 1);
        };
        if offset == self.text.len() {
            return Position::Client(count(client, width) + 1);
        }
        match self.runs.iter().find(|run| (run.spliced..run.spliced + run.len).contains(&offset)) {
            Some(run) => {
                let at = (run.client + offset - run.spliced).min(self.client_len).min(client.len());
                Position::Client(count(&client[..at], width) + 1)
            }
            None => Position::Guard,
        }
    }
}

fn starts_char(b: u8) -> bool {
    b & 0xC0 != 0x80
}

fn count(text: &[u8], width: CharWidth) -> usize {
    match width {
        CharWidth::Single => text.len(),
        CharWidth::Utf8 => text.iter().filter(|b| starts_char(**b)).count(),
    }
}

/// Byte offset of the `position`th character, counted from 1; `None` past the end.
fn offset_of(text: &[u8], position: usize, width: CharWidth) -> Option<usize> {
    let n = position.saturating_sub(1);
    match width {
        CharWidth::Single => (n <= text.len()).then_some(n),
        CharWidth::Utf8 => {
            let mut starts = text.iter().enumerate().filter(|(_, b)| starts_char(**b)).map(|(i, _)| i);
            starts.nth(n)
        }
    }
}

#[cfg(test)]
mod tests;
