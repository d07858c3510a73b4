//! The guard of a write in a `WITH` list, where its readers must see no further column: the write moves into an entry of ours, and the client's name selects the
//! client's columns from it.
//!
//! ```text
//! WITH x AS (UPDATE t SET a = 1 RETURNING id) …
//! WITH cg_x(c1,cg) AS (UPDATE t SET a = 1 RETURNING id, guard), x AS NOT MATERIALIZED (SELECT c1 AS id FROM cg_x) …
//! ```
//! A column read through it keeps its type, its type modifier, its collation and its origin (table and attribute number in `RowDescription`).

use super::{Edit, MAX_ITEMS, insert};
use crate::sql::{
    name::{MAX_NAME_BYTES, quote_ident},
    write::{Cte, ItemKind, Returning, ReturningItem, Write},
};

/// `None`: the names of its columns are not all known, or ours would not be unique.
pub(super) fn wrap(
    text: &[u8],
    write: &Write,
    returning: &Returning,
    guard: &str,
    target_columns: &[&str],
) -> Option<Vec<Edit>> {
    let cte = write.cte.as_ref().filter(|cte| cte.end > 0)?;
    let ours = our_name(text, cte)?;
    let mut names: Vec<Option<&str>> = Vec::new();
    let mut edits = Vec::new();
    for item in &returning.items {
        if is_star(item) {
            if !stands_for_target(write, item) || target_columns.is_empty() {
                return None;
            }
            names.extend(target_columns.iter().copied().map(Some));
            edits.push(expanded(write, item, target_columns));
        } else {
            names.push(item.output_name.as_deref());
        }
    }
    let readable = |(at, name): (usize, &Option<&str>)| match name {
        Some(name) => !name.contains(char::REPLACEMENT_CHARACTER),
        None => at < cte.columns,
    };
    if names.len() >= MAX_ITEMS || cte.columns > names.len() || !names.iter().enumerate().all(readable) {
        return None;
    }
    let columns: Vec<String> = (1..=names.len()).map(|n| format!("c{n}")).collect();
    let selected: Vec<String> = columns
        .iter()
        .zip(&names)
        .map(|(column, name)| name.map_or_else(|| column.clone(), |name| format!("{column} AS {}", quote_ident(name))))
        .collect();
    let mut reader = b", ".to_vec();
    reader.extend_from_slice(text.get(cte.head.clone())?);
    reader.extend(format!(" AS NOT MATERIALIZED (SELECT {} FROM {ours})", selected.join(", ")).into_bytes());
    let head = format!("{ours}({},cg)", columns.join(","));
    edits.push(Edit { at: cte.head.start, remove: cte.head.len(), insert: head.into_bytes() });
    edits.push(insert(write.end, format!(", {guard}")));
    edits.push(Edit { at: cte.end, remove: 0, insert: reader });
    Some(edits)
}

/// A name for our entry that means nothing else in the text, and that the server does not cut with a notice.
fn our_name(text: &[u8], cte: &Cte) -> Option<String> {
    let name = format!("cg_{}", cte.name);
    if name.len() > MAX_NAME_BYTES || name.contains(char::REPLACEMENT_CHARACTER) {
        return None;
    }
    let is_ours = |at: usize| text[at..].get(..name.len()).is_some_and(|b| b.eq_ignore_ascii_case(name.as_bytes()));
    let taken = memchr::memchr2_iter(b'c', b'C', text).any(is_ours);
    (!taken).then(|| quote_ident(&name).into_owned())
}

fn is_star(item: &ReturningItem) -> bool {
    matches!(item.kind, ItemKind::Star | ItemKind::QualifiedStar(_))
}

/// The columns that a `*` stands for are the target's and no others.
pub(super) fn stands_for_target(write: &Write, item: &ReturningItem) -> bool {
    match &item.kind {
        ItemKind::Star => !write.joined,
        ItemKind::QualifiedStar(name) => name == write.alias.as_ref().unwrap_or(&write.target.name),
        _ => false,
    }
}

/// Written out, so that a column that is added later does not take another's place.
fn expanded(write: &Write, item: &ReturningItem, target_columns: &[&str]) -> Edit {
    let row = write.row_name();
    let list: Vec<String> = target_columns.iter().map(|column| format!("{row}.{}", quote_ident(column))).collect();
    Edit { at: item.span.start, remove: item.span.len(), insert: list.join(", ").into_bytes() }
}
