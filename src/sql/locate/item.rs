//! One item of a `RETURNING` list: where its expression ends, and what its output column is called.
//!
//! Names follow the server's `FigureColname` (`src/backend/parser/parse_target.c`) as far as the text alone tells; what is not certain is said to be so.

use super::Tok;
use crate::sql::{
    lex::{Kind, Token},
    name,
    word::Word,
    write::{ItemKind, ReturningItem},
};

/// Tokens at the item's own level that are kept to read it; a longer item is only delimited.
const KEPT: usize = 48;

/// Collects an item; parentheses and brackets count as one token each, of the kind of the bracket that opens them.
#[derive(Debug, Default)]
pub(super) struct Builder {
    tokens: Vec<Tok>,
    /// The last three tokens, kept apart for items with more than `KEPT` of them.
    last: [Option<Tok>; 3],
}

impl Builder {
    pub(super) fn push(&mut self, tok: Tok) {
        if self.tokens.len() <= KEPT {
            self.tokens.push(tok);
        }
        self.last = [self.last[1], self.last[2], Some(tok)];
    }

    pub(super) fn push_group(&mut self, start: usize, close: Tok) {
        let kind = if close.is(b')') { Kind::Char(b'(') } else { Kind::Char(b'[') };
        self.push(Tok { kind, word: Word::Other, start, end: close.end });
    }

    /// `None`: it has no token.
    pub(super) fn finish(self, text: &[u8]) -> Option<ReturningItem> {
        let first = *self.tokens.first()?;
        let [expr_last, before, Some(last)] = self.last else { return None };
        let start = first.start;
        let span = start..last.end;
        let read = if self.tokens.len() > KEPT { None } else { Some(self.tokens.as_slice()) };
        if let (Some(expr_last), Some(Tok { word: Word::As, .. }), true) = (expr_last, before, last.is_name()) {
            let kind = read.map_or(ItemKind::Expr, |t| Reader::new(text, &t[..t.len() - 2]).whole().0);
            return Some(ReturningItem {
                expr: start..expr_last.end,
                span,
                // The alias delimits it, so an expression that was not understood is still one.
                kind: if kind == ItemKind::Unclear { ItemKind::Expr } else { kind },
                output_name: value(text, last),
                named: true,
            });
        }
        let Some(tokens) = read else {
            return Some(ReturningItem {
                expr: span.clone(),
                span,
                kind: ItemKind::Unclear,
                output_name: None,
                named: false,
            });
        };
        Some(unnamed_or_bare(text, tokens))
    }
}

fn value(text: &[u8], tok: Tok) -> Option<String> {
    name::value(text, Token { kind: tok.kind, start: tok.start, end: tok.end })
}

fn unnamed_or_bare(text: &[u8], tokens: &[Tok]) -> ReturningItem {
    let (first, last) = (tokens[0], tokens[tokens.len() - 1]);
    let span = first.start..last.end;
    let item = |kind, expr, output_name, named| ReturningItem { expr, span: span.clone(), kind, output_name, named };
    if let Some(star) = star(text, tokens) {
        return item(star, span.clone(), None, false);
    }
    let (kind, output_name) = Reader::new(text, tokens).whole();
    if kind != ItemKind::Unclear {
        return item(kind, span.clone(), output_name, false);
    }
    if tokens.len() > 1 && is_bare_label(&last) {
        let head = &tokens[..tokens.len() - 1];
        let (kind, _) = Reader::new(text, head).whole();
        if kind != ItemKind::Unclear {
            return item(kind, first.start..head[head.len() - 1].end, value(text, last), true);
        }
    }
    item(ItemKind::Unclear, span.clone(), None, false)
}

/// `*`, `t.*`, `s.t.*`.
fn star(text: &[u8], tokens: &[Tok]) -> Option<ItemKind> {
    let (last, head) = tokens.split_last()?;
    if !last.is(b'*') {
        return None;
    }
    let Some((dot, path)) = head.split_last() else { return Some(ItemKind::Star) };
    let dotted = path.iter().enumerate().all(|(i, t)| if i % 2 == 0 { t.is_name() } else { t.is(b'.') });
    if !dot.is(b'.') || !dotted || path.len() % 2 == 0 {
        return None;
    }
    Some(ItemKind::QualifiedStar(value(text, path[path.len() - 1])?))
}

/// May be a name without `AS` behind a whole expression: no word that could continue the expression instead.
fn is_bare_label(tok: &Tok) -> bool {
    match tok.kind {
        Kind::Quoted | Kind::UnicodeIdent => true,
        Kind::Ident => !matches!(
            tok.word,
            Word::And
                | Word::Array
                | Word::As
                | Word::At
                | Word::Between
                | Word::Case
                | Word::Character
                | Word::Collate
                | Word::Create
                | Word::Day
                | Word::Default
                | Word::Distinct
                | Word::Else
                | Word::End
                | Word::Escape
                | Word::Except
                | Word::False
                | Word::Fetch
                | Word::Filter
                | Word::For
                | Word::From
                | Word::Grant
                | Word::Group
                | Word::Having
                | Word::Hour
                | Word::Ilike
                | Word::In
                | Word::Intersect
                | Word::Into
                | Word::Is
                | Word::Isnull
                | Word::Like
                | Word::Limit
                | Word::Minute
                | Word::Month
                | Word::Not
                | Word::Notnull
                | Word::Null
                | Word::Offset
                | Word::On
                | Word::Operator
                | Word::Or
                | Word::Order
                | Word::Over
                | Word::Overlaps
                | Word::Precision
                | Word::Returning
                | Word::Second
                | Word::Similar
                | Word::Then
                | Word::To
                | Word::True
                | Word::Uescape
                | Word::Union
                | Word::Varying
                | Word::When
                | Word::Where
                | Word::Window
                | Word::With
                | Word::Within
                | Word::Without
                | Word::Year
        ),
        _ => false,
    }
}

/// Reads an expression of simple build: operands with casts, subscripts and fields, joined by operators. Everything else is [`ItemKind::Unclear`].
struct Reader<'a> {
    text: &'a [u8],
    tokens: &'a [Tok],
    at: usize,
}

/// What one operand is, as far as its name goes.
struct Operand {
    kind: ItemKind,
    name: Option<String>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a [u8], tokens: &'a [Tok]) -> Self {
        Self { text, tokens, at: 0 }
    }

    fn peek(&self) -> Option<&'a Tok> {
        self.tokens.get(self.at)
    }

    fn take(&mut self, wanted: impl FnOnce(&Tok) -> bool) -> Option<&'a Tok> {
        let tok = self.peek().filter(|t| wanted(t))?;
        self.at += 1;
        Some(tok)
    }

    fn whole(mut self) -> (ItemKind, Option<String>) {
        let unclear = (ItemKind::Unclear, None);
        let mut operators = 0;
        loop {
            while self.take(|t| t.kind == Kind::Op || t.is(b'-') || t.is(b'+') || t.word == Word::Not).is_some() {
                operators += 1;
            }
            let Some(operand) = self.operand() else { return unclear };
            match self.peek() {
                None if operators == 0 => return (operand.kind, operand.name),
                None => return (ItemKind::Expr, Some("?column?".into())),
                Some(_) if self.take(is_binary).is_some() => operators += 1,
                Some(_) => return unclear,
            }
        }
    }

    fn operand(&mut self) -> Option<Operand> {
        let mut operand = self.primary()?;
        loop {
            if self.take(|t| t.is(b'[')).is_some() {
                operand.kind = ItemKind::Expr;
            } else if self.take(|t| t.is(b'.')).is_some() {
                let field = self.take(Tok::is_name)?;
                operand = Operand { kind: ItemKind::Expr, name: value(self.text, *field) };
            } else if self.take(|t| t.kind == Kind::Typecast).is_some() {
                self.type_name()?;
                // A constant with a cast is called after the type, by its internal name.
                let keeps = operand.kind != ItemKind::Literal;
                operand = Operand { kind: ItemKind::Expr, name: operand.name.filter(|_| keeps) };
            } else {
                return Some(operand);
            }
        }
    }

    fn primary(&mut self) -> Option<Operand> {
        let tok = *self.peek()?;
        self.at += 1;
        let literal = |name: Option<&str>| Some(Operand { kind: ItemKind::Literal, name: name.map(str::to_owned) });
        match tok.kind {
            Kind::Str | Kind::Number | Kind::Param => literal(Some("?column?")),
            // `(a)` is called `a`, `(SELECT …)` after its column.
            Kind::Char(b'(') => Some(Operand { kind: ItemKind::Expr, name: None }),
            // Before 15 booleans are called `bool`.
            Kind::Ident if matches!(tok.word, Word::True | Word::False | Word::Null) => literal(Some("?column?")),
            Kind::Ident | Kind::Quoted | Kind::UnicodeIdent => self.path(tok),
            _ => None,
        }
    }

    /// A column, a function call or a typed constant that begins with this name.
    fn path(&mut self, first: Tok) -> Option<Operand> {
        if first.kind == Kind::Ident && self.peek().is_some_and(|t| t.is(b'[')) && first.word == Word::Array {
            self.at += 1;
            return Some(Operand { kind: ItemKind::Expr, name: Some("array".into()) });
        }
        let mut last = first;
        let mut parts = 1;
        while self.peek().is_some_and(|t| t.is(b'.')) && self.tokens.get(self.at + 1).is_some_and(Tok::is_name) {
            last = self.tokens[self.at + 1];
            self.at += 2;
            parts += 1;
        }
        let name = value(self.text, last);
        if self.take(|t| t.is(b'(')).is_some() {
            let special = first.kind == Kind::Ident
                && matches!(
                    first.word,
                    Word::Cast | Word::Trim | Word::Treat | Word::Extract | Word::Operator | Word::In | Word::Interval
                );
            return match self.peek() {
                // An aggregate or window clause, or a typed constant with a modifier.
                Some(t) if matches!(t.word, Word::Filter | Word::Over | Word::Within) || t.kind == Kind::Str => None,
                _ => Some(Operand { kind: ItemKind::Expr, name: name.filter(|_| !special) }),
            };
        }
        if self.take(|t| t.kind == Kind::Str).is_some() {
            return Some(Operand { kind: ItemKind::Expr, name: None });
        }
        let keyword =
            first.kind == Kind::Ident && name.as_deref().is_some_and(name::is_restricted_keyword) && parts == 1;
        if keyword {
            let value_function = name.as_deref().is_some_and(|n| {
                n.starts_with("current_") || n.starts_with("local") || n.ends_with("_user") || n == "user"
            });
            return value_function.then_some(Operand { kind: ItemKind::Expr, name });
        }
        Some(Operand { kind: ItemKind::Column, name })
    }

    /// The name of a type behind `::`.
    fn type_name(&mut self) -> Option<()> {
        let first = self.take(Tok::is_name)?;
        while self.peek().is_some_and(|t| t.is(b'.')) {
            self.at += 1;
            self.take(Tok::is_name)?;
        }
        let raw = &self.text[first.start..first.end];
        if first.word == Word::Interval || raw.eq_ignore_ascii_case(b"setof") {
            return None;
        }
        if raw.eq_ignore_ascii_case(b"double") {
            self.take(|t| t.word == Word::Precision)?;
        }
        self.take(|t| t.word == Word::Varying);
        self.take(|t| t.is(b'('));
        if raw.eq_ignore_ascii_case(b"timestamp") || raw.eq_ignore_ascii_case(b"time") {
            let zone = self.take(|t| matches!(t.word, Word::With | Word::Without)).is_some();
            for _ in 0..if zone { 2 } else { 0 } {
                self.take(|t| t.kind == Kind::Ident)?;
            }
        }
        while self.take(|t| t.is(b'[')).is_some() {}
        Some(())
    }
}

/// An operator between two operands.
fn is_binary(t: &Tok) -> bool {
    matches!(t.kind, Kind::Op | Kind::Char(b'+' | b'-' | b'*' | b'/' | b'%' | b'^' | b'<' | b'>' | b'='))
        || matches!(t.word, Word::And | Word::Or)
}
