//! What brings the row as it was before the write: the places for it in the client's text, see `guard::old`.

use super::{Edit, insert};
use crate::sql::{
    lex::{Kind, Lexer},
    name::{self, quote_ident},
    write::{LexOptions, Operation, Write},
};

/// What must stand in a write, beside its guard, so that the guard has the row as it was before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OldRow {
    /// PostgreSQL 18: `RETURNING WITH (OLD AS name)`; a name that the client's text has already given it needs no edit.
    Alias(String),
    /// A condition for the `WHERE` that is always true.
    Condition(String),
    /// An assignment for the end of each `SET` list.
    Assignment(String),
}

/// The name that PostgreSQL 18 gives the row before where nobody gives it another.
const OLD: &str = "old";

/// The name, as SQL, by which a `RETURNING` of PostgreSQL 18 can have the row before: the client's own for it, or else one of ours. `None`: ours would take
/// the name `old` from the client, who may mean something else by it.
///
/// Source: docs, `dml-returning.html`.
pub fn old_alias(text: &[u8], write: &Write, options: LexOptions) -> Option<String> {
    let returning = write.returning.as_ref();
    if let Some(alias) = returning.and_then(|returning| returning.old_alias.as_ref()) {
        return Some(quote_ident(alias).into_owned());
    }
    let names = |range: std::ops::Range<usize>, wanted: &str| {
        let part = text.get(range).unwrap_or_default();
        Lexer::new(part, options).any(|token| {
            matches!(token.kind, Kind::Ident | Kind::Quoted | Kind::UnicodeIdent)
                && name::value(part, token).is_none_or(|name| name == wanted)
        })
    };
    let head = write.span.start..returning.map_or(write.end, |returning| returning.start);
    if names(head.end..write.end, OLD) {
        return (!names(head, OLD)).then(|| OLD.to_owned());
    }
    ["cg_old", "cg_old2"].into_iter().find(|name| !names(write.span.clone(), name)).map(str::to_owned)
}

/// What a `RETURNING` of our own begins with.
pub(super) fn clause(old: &OldRow) -> String {
    match old {
        OldRow::Alias(name) => format!("WITH (OLD AS {name}) "),
        OldRow::Condition(_) | OldRow::Assignment(_) => String::new(),
    }
}

/// The edits that bring the row before, apart from a `RETURNING` that is not there yet.
pub(super) fn place(write: &Write, old: &OldRow) -> Vec<Edit> {
    match (old, &write.returning) {
        (OldRow::Assignment(assignment), _) => {
            write.set_ends.iter().map(|end| insert(*end, format!(", {assignment}"))).collect()
        }
        (OldRow::Condition(condition), _) => place_condition(write, condition),
        (OldRow::Alias(name), Some(returning)) if name != OLD && returning.old_alias.is_none() => {
            vec![match returning.options {
                Some(at) => insert(at, format!("OLD AS {name}, ")),
                None => insert(returning.start + "RETURNING".len(), format!(" WITH (OLD AS {name})")),
            }]
        }
        (OldRow::Alias(_), _) => Vec::new(),
    }
}

fn place_condition(write: &Write, condition: &str) -> Vec<Edit> {
    match (&write.condition, &write.returning) {
        (Some(client), _) if write.operation == Operation::Update => {
            vec![insert(client.start, "("), insert(client.end, format!(") AND {condition}"))]
        }
        // Evaluated only for rows that will be updated: nothing else overwrites it before the next row is judged.
        (Some(client), _) => {
            vec![insert(client.start, "CASE WHEN ("), insert(client.end, format!(") THEN {condition} ELSE false END"))]
        }
        (None, Some(returning)) => vec![insert(returning.start, format!("WHERE {condition} "))],
        (None, None) => vec![insert(write.end, format!(" WHERE {condition}"))],
    }
}
