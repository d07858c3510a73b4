//! Raw boolean SQL of a rule file (`check`, `when`) as an expression over a row.
//!
//! Column names get the row's name in front, by edits of the text as it was written; what the rule loader accepts has no sub-selects, so
//! every name is a column of the row. Its operators and functions resolve by the client's `search_path`: that cannot be prevented and is
//! documented.

use std::ops::{ControlFlow, Range};

use sqlparser::{
    ast::{Expr, Ident, Query, Visit as _, Visitor},
    dialect::PostgreSqlDialect,
    parser::Parser,
    tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer, Whitespace},
};

use super::{Reason, row::Row};
use crate::rules::set::Condition;

/// The condition over the row.
///
/// # Errors
/// It names a column that is missing or unreadable, or has a form that the rule loader refuses.
pub(super) fn over(condition: &Condition, row: &Row<'_>) -> Result<String, Reason> {
    // Also what the parser would not call an identifier.
    for column in &condition.columns {
        row.facts(column)?;
    }
    let text = &condition.text;
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, text)
        .with_unescape(false)
        .tokenize_with_location()
        .map_err(|_| Reason::Unreadable)?;
    let mut edits = harmless_edits(text, &tokens)?;
    for name in names(tokens)? {
        let (Some(first), Some(column)) = (name.first(), name.last()) else { continue };
        let start = spelled(text, first).ok_or(Reason::Unreadable)?.start;
        let end = spelled(text, column).ok_or(Reason::Unreadable)?.end;
        edits.push((start..end, row.column(&folded(column))?));
    }
    Ok(apply(text, edits))
}

/// The column names of a condition, with their qualifiers.
#[derive(Default)]
struct Names(Vec<Vec<Ident>>);

impl Visitor for Names {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        ControlFlow::Break(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(name) => self.0.push(vec![name.clone()]),
            Expr::CompoundIdentifier(parts) => self.0.push(parts.clone()),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn names(tokens: Vec<TokenWithSpan>) -> Result<Vec<Vec<Ident>>, Reason> {
    let mut parser = Parser::new(&PostgreSqlDialect {}).with_tokens_with_locations(tokens);
    let expr = parser.parse_expr().map_err(|_| Reason::Unreadable)?;
    let mut names = Names::default();
    match expr.visit(&mut names) {
        ControlFlow::Continue(()) => Ok(names.0),
        ControlFlow::Break(()) => Err(Reason::Unreadable),
    }
}

/// Comments go (one at the end would swallow what follows), and a backslash in a plain constant is written so that it means the same
/// under every `standard_conforming_strings`.
fn harmless_edits(text: &str, tokens: &[TokenWithSpan]) -> Result<Vec<(Range<usize>, String)>, Reason> {
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

/// Where the identifier stands: the parser's word, and the text there as the proof.
fn spelled(text: &str, name: &Ident) -> Option<Range<usize>> {
    let range = range(text, name.span)?;
    let there = &text[range.clone()];
    let same = match name.quote_style {
        None => there == name.value,
        Some(_) => there.strip_prefix('"')?.strip_suffix('"')? == name.value,
    };
    same.then_some(range)
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
            ("executions.a > Public.\"executions\" . \"B c\"", &["a", "B c"], "x.a > x.\"B c\""),
            ("status /* a */ is not null", &["status"], "x.status   is not null"),
        ] {
            assert_eq!(over_x(text, columns).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn names_what_is_missing() {
        assert_eq!(over_x("nope > 1", &["nope"]), Err(Reason::ColumnMissing));
        assert_eq!(over_x("status = ", &["status"]), Err(Reason::Unreadable));
        assert_eq!(over_x("a > (select max(a) from t)", &["a"]), Err(Reason::Unreadable));
    }

    #[test]
    fn writes_generated_columns_out_in_copy() {
        let mut relation = facts();
        relation.columns[3].generated = true;
        relation.columns[3].default = Some("length(status)".to_owned());
        let row = Row { relation: &relation, name: "x", source: Source::Row, inline_generated: true };
        assert_eq!(over(&testing::condition("gen > 3", &["gen"]), &row).as_deref(), Ok("(length(status)) > 3"));
    }
}
