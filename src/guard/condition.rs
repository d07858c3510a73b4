//! Raw boolean SQL of a rule file (`check`, `when`) as an expression over a row.
//!
//! Bare column names get the row's name in front, by edits of the text as it was written. What cannot be qualified that way (sub-selects,
//! `table.column`) is judged in a sub-select whose only row has the columns. Its operators and functions resolve by the client's
//! `search_path`: that cannot be prevented and is documented.

use std::ops::{ControlFlow, Range};

use sqlparser::{
    ast::{Expr, Ident, Query, Visit as _, Visitor},
    dialect::PostgreSqlDialect,
    parser::Parser,
    tokenizer::{Location, Span, Token, Tokenizer, Whitespace},
};

use super::{
    Reason,
    row::Row,
    sql::{attribute, identifier},
};
use crate::rules::set::Condition;

/// The condition over the row.
///
/// # Errors
/// It names a column that is missing or unreadable, or needs a sub-select where none is allowed (COPY).
pub(super) fn over(condition: &Condition, row: &Row<'_>) -> Result<String, Reason> {
    // Whatever form it takes, what it reads must be there and readable.
    for column in &condition.columns {
        row.facts(column)?;
    }
    let text = &condition.text;
    let mut edits = harmless_edits(text)?;
    let names = names(text)?;
    if names.needs_scope {
        if row.inline_generated {
            return Err(Reason::CopySubquery);
        }
        return scoped(condition, row, &apply(text, edits));
    }
    for name in &names.columns {
        let column = folded(name);
        let replacement = row.column(&column)?;
        match range(text, name.span).filter(|range| spells(&text[range.clone()], name)) {
            Some(range) => edits.push((range, replacement)),
            None if row.inline_generated => return Err(Reason::Unreadable),
            None => return scoped(condition, row, &apply(text, edits)),
        }
    }
    Ok(apply(text, edits))
}

/// `(SELECT … FROM (SELECT row.a AS a, …) AS table)`: one Result node, no relation.
fn scoped(condition: &Condition, row: &Row<'_>, text: &str) -> Result<String, Reason> {
    let columns = condition
        .columns
        .iter()
        .map(|column| Ok(format!("{} AS {}", row.column(column)?, attribute(column))))
        .collect::<Result<Vec<_>, Reason>>()?;
    let table = identifier(&row.relation.name.name);
    Ok(format!("(SELECT {text} FROM (SELECT {}) AS {table})", columns.join(",")))
}

/// The identifiers of a condition.
#[derive(Default)]
struct Names {
    columns: Vec<Ident>,
    needs_scope: bool,
}

impl Visitor for Names {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.needs_scope = true;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(name) => self.columns.push(name.clone()),
            Expr::CompoundIdentifier(_) => self.needs_scope = true,
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn names(text: &str) -> Result<Names, Reason> {
    let expr = Parser::new(&PostgreSqlDialect {})
        .try_with_sql(text)
        .and_then(|mut parser| parser.parse_expr())
        .map_err(|_| Reason::Unreadable)?;
    let mut names = Names::default();
    let _ = expr.visit(&mut names);
    Ok(names)
}

/// Comments go (one at the end would swallow what follows), and a backslash in a plain constant is written so that it means the same
/// under every `standard_conforming_strings`.
fn harmless_edits(text: &str) -> Result<Vec<(Range<usize>, String)>, Reason> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, text)
        .with_unescape(false)
        .tokenize_with_location()
        .map_err(|_| Reason::Unreadable)?;
    let mut edits = Vec::new();
    for token in tokens {
        let replacement = match &token.token {
            Token::Whitespace(Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_)) => " ".to_owned(),
            Token::SingleQuotedString(raw) if raw.contains('\\') => format!("E'{}'", raw.replace('\\', "\\\\")),
            _ => continue,
        };
        edits.push((range(text, token.span).ok_or(Reason::Unreadable)?, replacement));
    }
    Ok(edits)
}

/// Replaces the ranges, which do not overlap.
fn apply(text: &str, mut edits: Vec<(Range<usize>, String)>) -> String {
    edits.sort_by_key(|(range, _)| range.start);
    let mut out = String::with_capacity(text.len() + 16 * edits.len());
    let mut at = 0;
    for (range, replacement) in edits {
        out.push_str(&text[at..range.start]);
        out.push_str(&replacement);
        at = range.end;
    }
    out.push_str(&text[at..]);
    out.trim().to_owned()
}

fn range(text: &str, span: Span) -> Option<Range<usize>> {
    let (start, end) = (offset(text, span.start)?, offset(text, span.end)?);
    (start < end).then_some(start..end)
}

/// Byte offset of a line and column, both in characters from 1.
fn offset(text: &str, at: Location) -> Option<usize> {
    let line = usize::try_from(at.line.checked_sub(1)?).ok()?;
    let column = usize::try_from(at.column.checked_sub(1)?).ok()?;
    let start = match line {
        0 => 0,
        _ => text.match_indices('\n').nth(line - 1)?.0 + 1,
    };
    text[start..].char_indices().map(|(offset, _)| start + offset).chain([text.len()]).nth(column)
}

/// The text there is that identifier: spans are the parser's word, this is the proof.
fn spells(text: &str, name: &Ident) -> bool {
    match name.quote_style {
        None => text == name.value,
        Some(_) => text.trim_matches('"').replace("\"\"", "\"") == name.value.replace("\"\"", "\""),
    }
}

/// As PostgreSQL stores it.
fn folded(name: &Ident) -> String {
    match name.quote_style {
        None => name.value.to_ascii_lowercase(),
        Some(_) => name.value.replace("\"\"", "\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalog::facts::RelationFacts,
        guard::{Source, testing},
    };

    fn facts() -> RelationFacts {
        testing::relation(
            "executions",
            &[("status", "text"), ("a", "timestamptz"), ("B c", "timestamptz"), ("gen", "int4")],
        )
    }

    fn over_x(text: &str, columns: &[&str]) -> Result<String, Reason> {
        let relation = facts();
        let row = Row { relation: &relation, name: "x", source: Source::Row, inline_generated: false };
        over(&testing::condition(text, columns), &row)
    }

    #[test]
    fn qualifies_bare_columns() {
        for (text, columns, expected) in [
            ("status = 'a'", &["status"][..], "x.status = 'a'"),
            (
                "STATUS IN ('a','b') AND \"B c\" > a",
                &["status", "B c", "a"],
                "x.status IN ('a','b') AND x.\"B c\" > x.a",
            ),
            (
                "a - \"B c\" < interval '1 day'\n  and\n é(status)",
                &["a", "B c", "status"],
                "x.a - x.\"B c\" < interval '1 day'\n  and\n é(x.status)",
            ),
            ("extract(epoch from a) > 5 -- why", &["a"], "extract(epoch from x.a) > 5"),
            ("a > now() and status ~ '^\\d'", &["a", "status"], "x.a > now() and x.status ~ E'^\\\\d'"),
            ("date(a) = current_date", &["a"], "date(x.a) = current_date"),
            ("coalesce(status, '''a') = 'é'", &["status"], "coalesce(x.status, '''a') = 'é'"),
            ("a::date = date '2000-01-01'", &["a"], "x.a::date = date '2000-01-01'"),
            ("status /* a */ is not null", &["status"], "x.status   is not null"),
        ] {
            assert_eq!(over_x(text, columns).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn gives_sub_selects_a_scope_of_their_own() {
        assert_eq!(
            over_x("executions.a > (select max(a) from t)", &["a"]).unwrap(),
            "(SELECT executions.a > (select max(a) from t) FROM (SELECT x.a AS a) AS \"executions\")"
        );
    }

    #[test]
    fn names_what_is_missing() {
        assert_eq!(over_x("nope > 1", &["nope"]), Err(Reason::ColumnMissing));
        assert_eq!(over_x("status = ", &["status"]), Err(Reason::Unreadable));
    }

    #[test]
    fn writes_generated_columns_out_in_copy() {
        let mut relation = facts();
        relation.columns[3].generated = true;
        relation.columns[3].default = Some("length(status)".to_owned());
        let row = Row { relation: &relation, name: "x", source: Source::Row, inline_generated: true };
        assert_eq!(over(&testing::condition("gen > 3", &["gen"]), &row).as_deref(), Ok("(length(status)) > 3"));
        assert_eq!(over(&testing::condition("(select true)", &[]), &row), Err(Reason::CopySubquery),);
    }
}
