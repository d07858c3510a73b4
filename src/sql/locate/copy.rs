//! The options of a `COPY … FROM`: those that decide which line of its data a row was, and whether the rows may take another way into the relation.
//!
//! Source: PostgreSQL `src/backend/parser/gram.y`, `copy_opt_list` (without parentheses) and `copy_generic_opt_list`; `src/backend/commands/copy.c`,
//! `ProcessCopyOptions` (15 to 18).

use std::ops::Range;

use super::{Input, Tok};
use crate::sql::{lex::Kind, name, word::Word, write::CopySource};

impl Input<'_> {
    /// Reads what follows `FROM`, and takes none of it. `None`: nothing does.
    pub(super) fn copy_source(&mut self, relation: Range<usize>) -> Option<CopySource> {
        self.peek();
        let mut tail = Tail { ahead: self.ahead, lexer: self.lexer, last: None };
        let mut source = CopySource { relation, ..CopySource::default() };
        let tok = tail.next()?;
        match tok.word {
            Word::Program => drop(tail.next()?),
            _ => source.stdin = tok.kind == Kind::Ident,
        }
        if tail.peek().is_some_and(|tok| tok.word == Word::With) {
            tail.next();
        }
        if tail.peek().is_some_and(|tok| tok.is(b'(')) {
            tail.next();
            tail.options(&mut source);
        }
        tail.old_options(&mut source);
        while let Some(tok) = tail.next() {
            source.where_names.extend(name::value(tail.lexer.text(), tok.token()));
        }
        Some(source)
    }
}

/// The tokens of a statement from some place on, up to its semicolon.
struct Tail<'t> {
    ahead: Option<Tok>,
    lexer: crate::sql::lex::Lexer<'t>,
    last: Option<Tok>,
}

impl Tail<'_> {
    fn peek(&mut self) -> Option<Tok> {
        if self.ahead.is_none() {
            self.ahead = Input::lex(&mut self.lexer);
        }
        self.ahead.filter(|tok| !tok.is(b';'))
    }

    fn next(&mut self) -> Option<Tok> {
        let tok = self.peek()?;
        self.ahead = None;
        self.last = Some(tok);
        Some(tok)
    }

    /// The token in lower case, without the quotes of a simple string.
    fn value(&self, tok: Tok) -> String {
        let raw = String::from_utf8_lossy(&self.lexer.text()[tok.start..tok.end]).to_ascii_lowercase();
        raw.trim_matches(['\'', '"']).to_owned()
    }

    /// Behind `(`: `name [value]`, …, up to and with `)`.
    fn options(&mut self, source: &mut CopySource) {
        while let Some(tok) = self.next() {
            let option = self.value(tok);
            let mut value = None;
            let mut depth = 0_usize;
            let ended = loop {
                let Some(tok) = self.next() else { break true };
                match tok.kind {
                    Kind::Char(b'(') => depth += 1,
                    Kind::Char(b')') if depth == 0 => break true,
                    Kind::Char(b')') => depth -= 1,
                    Kind::Char(b',') if depth == 0 => break false,
                    _ if depth > 0 => source.option_names.extend(name::value(self.lexer.text(), tok.token())),
                    _ => value = value.or(Some(self.value(tok))),
                }
            };
            option_says(&option, value.as_deref(), source);
            if ended {
                return;
            }
        }
    }

    /// Up to and with `WHERE`: the options as they were written before 9.0, most of them still accepted.
    fn old_options(&mut self, source: &mut CopySource) {
        while let Some(tok) = self.next() {
            match self.value(tok).as_str() {
                _ if tok.word == Word::Where => return,
                "csv" if tok.kind == Kind::Ident => source.csv = true,
                "header" if tok.kind == Kind::Ident => source.header = true,
                "freeze" if tok.kind == Kind::Ident => source.particular = true,
                _ => {}
            }
        }
    }
}

fn option_says(option: &str, value: Option<&str>, source: &mut CopySource) {
    match option {
        "format" => source.csv = value == Some("csv"),
        // `match` too; a number, from PostgreSQL 19 on, is a number of lines.
        "header" => match value {
            None | Some("true" | "on" | "1" | "match") => source.header = true,
            Some("false" | "off" | "0") => source.header = false,
            Some(_) => source.particular = true,
        },
        "on_error" => source.skips = value != Some("stop"),
        "delimiter" | "null" | "quote" | "escape" | "force_not_null" | "force_null" | "force_quote" | "encoding"
        | "log_verbosity" | "reject_limit" => {}
        "freeze" if matches!(value, Some("false" | "off" | "0")) => {}
        _ => source.particular = true,
    }
}
