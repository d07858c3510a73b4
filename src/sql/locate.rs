//! Finds every write in a text: which relation, under which name, which columns, and where its clauses are.
//!
//! No tree is built. A pushdown automaton runs once over the tokens: parentheses, `WITH` lists and writes are frames on a heap stack, so neither the depth nor the length
//! of a text costs call stack, and the time is linear. What the server's grammar reserves is what this relies on: `RETURNING`, `FROM`, `WHERE`, `SET` (as the end of an
//! `UPDATE` target), `ON`, `WITH` and `INTO` can be no bare names where they are looked for; after `.` and `AS` any word is a name.
//!
//! Not looked into: `CREATE FUNCTION`/`PROCEDURE` (whose `BEGIN ATOMIC … END` has semicolons of its own), `CREATE RULE`, `TRIGGER`, `VIEW`, `SCHEMA`, `DO`, `EXPLAIN` without `ANALYZE`.
//! Where the text is no valid SQL the answer is only guaranteed to be in bounds: the server refuses such a text as a whole.
//!
//! Source: PostgreSQL `src/backend/parser/gram.y` (15 to 18).

use std::ops::Range;

use super::{
    lex::{Kind, Lexer, Token},
    name,
    word::{Word, word},
    write::{Cte, LexOptions, Operation, Place, Statement, Target, Verb, Write},
};

mod clause;
mod copy;
mod head;
mod item;
mod verb;

/// What a text holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Located {
    /// Its statements in order.
    pub statements: Vec<Statement>,
    /// `false`: the text ends inside a string, a quoted name or a comment, or its parentheses do not match; the server will refuse it.
    pub complete: bool,
    /// From the first token to the end of the last one, semicolons at the end excluded: the text without what may differ around it. Empty if there is no statement.
    pub body: Range<usize>,
}

/// Reads `text` and reports its statements and writes. Never fails: see [`Located::complete`] and [`Write::problem`].
pub fn locate(text: &[u8], options: LexOptions) -> Located {
    let mut locator = Locator {
        input: Input { lexer: Lexer::new(text, options), ahead: None, prev: None, set_config: false, complete: true },
        statements: Vec::new(),
        current: None,
        frames: Vec::new(),
        groups: 0,
        open: Vec::new(),
    };
    locator.run();
    let body = match (locator.statements.first(), locator.statements.last()) {
        (Some(first), Some(last)) => first.span.start..last.span.end,
        _ => 0..0,
    };
    Located { complete: locator.input.complete, statements: locator.statements, body }
}

/// A token with the keyword it is.
#[derive(Debug, Clone, Copy)]
struct Tok {
    kind: Kind,
    word: Word,
    start: usize,
    end: usize,
}

impl Tok {
    fn is(&self, c: u8) -> bool {
        self.kind == Kind::Char(c)
    }

    fn is_name(&self) -> bool {
        matches!(self.kind, Kind::Ident | Kind::Quoted | Kind::UnicodeIdent)
    }

    fn token(&self) -> Token {
        Token { kind: self.kind, start: self.start, end: self.end }
    }
}

/// The tokens, with one that may be looked at before it is taken.
struct Input<'t> {
    lexer: Lexer<'t>,
    ahead: Option<Tok>,
    prev: Option<Tok>,
    /// `set_config` was read since the statement began.
    set_config: bool,
    complete: bool,
}

impl<'t> Input<'t> {
    fn text(&self) -> &'t [u8] {
        self.lexer.text()
    }

    fn lex(lexer: &mut Lexer<'_>) -> Option<Tok> {
        let Token { kind, start, end } = lexer.next()?;
        let word = if kind == Kind::Ident { word(&lexer.text()[start..end]) } else { Word::Other };
        Some(Tok { kind, word, start, end })
    }

    fn peek(&mut self) -> Option<Tok> {
        if self.ahead.is_none() {
            self.ahead = Self::lex(&mut self.lexer);
        }
        self.ahead
    }

    /// The `n`th token after the next one, `n` from 1. Small `n` only: it is lexed again later.
    fn peek_after(&mut self, n: usize) -> Option<Tok> {
        self.peek()?;
        let mut lexer = self.lexer;
        let mut tok = None;
        for _ in 0..n {
            tok = Self::lex(&mut lexer);
        }
        tok
    }

    fn next(&mut self) -> Option<Tok> {
        let tok = self.peek()?;
        self.ahead = None;
        self.prev = Some(tok);
        match tok.kind {
            Kind::Unterminated => self.complete = false,
            Kind::Ident => self.set_config |= tok.word == Word::SetConfig,
            Kind::Quoted => self.set_config |= &self.text()[tok.start..tok.end] == b"\"set_config\"",
            // Rare enough not to be worth decoding.
            Kind::UnicodeIdent => self.set_config = true,
            _ => {}
        }
        Some(tok)
    }

    fn next_if(&mut self, wanted: impl FnOnce(&Tok) -> bool) -> Option<Tok> {
        if wanted(&self.peek()?) { self.next() } else { None }
    }

    fn next_is(&mut self, word: Word) -> bool {
        self.next_if(|t| t.word == word).is_some()
    }

    fn peek_is(&mut self, word: Word) -> bool {
        self.peek().is_some_and(|t| t.word == word)
    }

    fn peek_char(&mut self, c: u8) -> bool {
        self.peek().is_some_and(|t| t.is(c))
    }

    fn name(&self, tok: Tok) -> Option<String> {
        name::value(self.text(), tok.token())
    }

    /// The next token as a name; nothing is taken if it is none.
    fn next_name(&mut self) -> Option<String> {
        let tok = self.peek().filter(Tok::is_name)?;
        let name = self.name(tok)?;
        self.next();
        Some(name)
    }

    fn prev_end(&self) -> usize {
        self.prev.map_or(0, |t| t.end)
    }

    /// The token before makes any word a name.
    fn after_dot_or_as(before: Option<Tok>) -> bool {
        before.is_some_and(|t| t.is(b'.') || t.word == Word::As)
    }
}

/// What stands on the stack.
#[derive(Debug)]
enum Frame {
    /// `(…)` or `[…]`.
    Group(Group),
    /// A statement of no further interest up to its end: `SELECT`, `DELETE`, `VALUES`, ….
    Query,
    /// A list of common table expressions.
    With {
        state: With,
        /// Where a write that follows the list stands; `None`: what follows belongs to the frame below.
        main: Option<Place>,
        /// The entry that is being read.
        entry: Entry,
    },
    /// The last of `Locator::open`.
    Write,
    /// A statement that is not looked into; `atomic` counts open `BEGIN ATOMIC` and `CASE`.
    Opaque { depth: usize, atomic: usize },
    /// `CREATE TABLE`, `DECLARE`: the word after which a query follows, outside parentheses.
    Until { word: Word, depth: usize },
}

/// An entry of a `WITH` list, as far as it was read.
#[derive(Debug, Default)]
struct Entry {
    name: Option<Tok>,
    /// Offset behind its name or its column list.
    head_end: usize,
    /// The write that is its body, by its index.
    body: Option<usize>,
}

#[derive(Debug)]
struct Group {
    start: usize,
    purpose: Purpose,
    /// No token of it was read yet.
    fresh: bool,
    /// It is part of an expression over the row of the innermost open write, outside any sub-select.
    row_scope: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Plain,
    CteBody,
    /// `COPY (…) TO`.
    Consumed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum With {
    /// A name or its column list or `AS [NOT] MATERIALIZED` is due.
    Name,
    /// `AS` was read: the next `(` opens the body.
    Body,
    /// Behind a body.
    After,
    /// In `SEARCH …`, up to `SET name`.
    Search,
    /// In `CYCLE …`, up to `USING name`.
    Cycle,
    /// The name after `SET` or `USING`.
    LastName,
}

/// A write that is being read.
#[derive(Debug)]
struct Open {
    /// Its index in the statement's writes.
    index: usize,
    phase: clause::Phase,
    reads: clause::Reads,
}

/// A statement that is being read.
#[derive(Debug)]
struct Current {
    start: usize,
    verb: Verb,
    changes_names: bool,
    writes: Vec<Write>,
}

struct Locator<'t> {
    input: Input<'t>,
    statements: Vec<Statement>,
    current: Option<Current>,
    frames: Vec<Frame>,
    /// Number of `Frame::Group` in `frames`.
    groups: usize,
    /// Writes being read, the innermost last; one per `Frame::Write`.
    open: Vec<Open>,
}

impl Locator<'_> {
    fn run(&mut self) {
        loop {
            let before = self.input.prev;
            let Some(tok) = self.input.next() else { break };
            if self.current.is_some() {
                self.step(tok, before);
            } else if !tok.is(b';') {
                self.start_statement(tok);
            }
        }
        if self.groups > 0 {
            self.input.complete = false;
        }
        let end = self.input.prev_end();
        self.finish_statement(end);
    }

    fn step(&mut self, tok: Tok, before: Option<Tok>) {
        match self.frames.last_mut() {
            Some(Frame::Opaque { depth, atomic }) => {
                if verb::opaque_ends(tok, before, depth, atomic) {
                    self.finish_statement(before.map_or(tok.start, |t| t.end));
                }
                return;
            }
            Some(Frame::Until { word, depth }) => {
                let word = *word;
                match tok.kind {
                    Kind::Char(b'(' | b'[') => *depth += 1,
                    Kind::Char(b')' | b']') => *depth = depth.saturating_sub(1),
                    Kind::Char(b';') if *depth == 0 => self.finish_statement(before.map_or(tok.start, |t| t.end)),
                    _ if *depth == 0 && tok.word == word => self.query_follows(),
                    _ => {}
                }
                return;
            }
            _ => {}
        }
        match tok.kind {
            Kind::Char(b'(' | b'[') => self.open_group(tok),
            Kind::Char(b')' | b']') => self.close_group(tok, before),
            Kind::Char(b';') if self.groups == 0 => self.finish_statement(before.map_or(tok.start, |t| t.end)),
            _ => self.plain(tok, before),
        }
    }

    /// A token that opens and closes nothing.
    fn plain(&mut self, tok: Tok, before: Option<Tok>) {
        match self.frames.last_mut() {
            Some(Frame::Group(group)) => {
                let (fresh, purpose) = (std::mem::take(&mut group.fresh), group.purpose);
                if fresh {
                    if matches!(tok.word, Word::Select | Word::With | Word::Values | Word::Table)
                        && std::mem::take(&mut group.row_scope)
                    {
                        self.note_sub_select();
                    }
                    match purpose {
                        Purpose::CteBody => return self.begin(tok, Place::Cte),
                        Purpose::Consumed => return self.begin(tok, Place::Consumed),
                        Purpose::Plain if tok.word == Word::With => return self.with(None),
                        Purpose::Plain => {}
                    }
                }
                if let Some(Frame::Group(Group { row_scope: true, .. })) = self.frames.last() {
                    self.observe_row(tok, before);
                } else {
                    self.note_into(tok, before);
                }
            }
            Some(Frame::With { state, main, entry }) => {
                let main = *main;
                entry.read(*state, tok);
                match state.step(tok) {
                    Some(next) => *state = next,
                    None => {
                        self.frames.pop();
                        match main {
                            Some(place) => self.begin(tok, place),
                            None if matches!(self.frames.last(), Some(Frame::Write)) => self.write_token(tok, before),
                            None => {}
                        }
                    }
                }
            }
            Some(Frame::Write) => self.write_token(tok, before),
            Some(Frame::Query) => self.note_into(tok, before),
            Some(Frame::Opaque { .. } | Frame::Until { .. }) | None => {}
        }
    }

    /// `SELECT … INTO` creates a table.
    fn note_into(&mut self, tok: Tok, before: Option<Tok>) {
        if tok.word == Word::Into
            && !Input::after_dot_or_as(before)
            && let Some(current) = &mut self.current
        {
            current.changes_names = true;
        }
    }

    /// `tok` begins a statement that can be run inside another or by itself.
    fn begin(&mut self, tok: Tok, place: Place) {
        match tok.word {
            Word::With => self.with(Some(place)),
            Word::Insert => self.insert(tok, place),
            Word::Update => self.update(tok, place),
            Word::Merge => self.merge(tok, place),
            _ => self.frames.push(Frame::Query),
        }
    }

    /// A `WITH` list follows; `main`: where a write that follows it stands.
    fn with(&mut self, main: Option<Place>) {
        self.frames.push(Frame::With { state: With::Name, main, entry: Entry::default() });
    }

    fn push_group(&mut self, tok: Tok, purpose: Purpose, row_scope: bool) {
        self.groups += 1;
        self.frames.push(Frame::Group(Group { start: tok.start, purpose, fresh: true, row_scope }));
    }

    fn open_group(&mut self, tok: Tok) {
        let (purpose, row_scope) = match self.frames.last_mut() {
            Some(Frame::Group(group)) => {
                group.fresh = false;
                let row_scope = group.row_scope;
                if row_scope {
                    self.observe_row(tok, None);
                }
                (Purpose::Plain, row_scope)
            }
            Some(Frame::With { state: With::Body, .. }) if tok.is(b'(') => (Purpose::CteBody, false),
            Some(Frame::With { state: With::After, main, .. }) => {
                // The statement after the list is in parentheses: a query.
                let main = *main;
                self.frames.pop();
                if main.is_some() {
                    self.frames.push(Frame::Query);
                }
                (Purpose::Plain, false)
            }
            Some(Frame::Write) => {
                if self.write_opens(tok) {
                    return;
                }
                (Purpose::Plain, self.in_row_scope())
            }
            _ => (Purpose::Plain, false),
        };
        self.push_group(tok, purpose, row_scope);
    }

    fn close_group(&mut self, tok: Tok, before: Option<Tok>) {
        if self.groups == 0 {
            self.input.complete = false;
            return;
        }
        let end = before.map_or(tok.start, |t| t.end);
        while let Some(frame) = self.frames.pop() {
            match frame {
                Frame::Group(group) => {
                    self.groups -= 1;
                    if group.row_scope {
                        self.observe_row(tok, before);
                    }
                    self.closed(&group, tok);
                    return;
                }
                Frame::Write => self.finish_write(end),
                _ => {}
            }
        }
    }

    /// What the frame below a group does when it closes.
    fn closed(&mut self, group: &Group, tok: Tok) {
        match self.frames.last_mut() {
            Some(Frame::With { state, entry, .. }) if group.purpose == Purpose::CteBody => {
                *state = With::After;
                let body = entry.body;
                if let Some(cte) = body.and_then(|index| self.write(index)?.cte.as_mut()) {
                    cte.end = tok.end;
                }
            }
            Some(Frame::With { state: With::Name, entry, .. }) => entry.head_end = tok.end,
            Some(Frame::Write) => self.write_closes(group.start, tok),
            _ => {}
        }
    }

    fn finish_statement(&mut self, end: usize) {
        while let Some(frame) = self.frames.pop() {
            if matches!(frame, Frame::Write) {
                self.finish_write(end);
            }
        }
        self.groups = 0;
        let set_config = std::mem::take(&mut self.input.set_config);
        let Some(Current { start, mut verb, mut changes_names, writes }) = self.current.take() else { return };
        if set_config && verb == Verb::Plain {
            verb = Verb::ChangesNames;
        }
        changes_names |= set_config || verb == Verb::ChangesNames;
        self.statements.push(Statement { span: start..end.max(start), verb, changes_names, writes });
    }

    fn write(&mut self, index: usize) -> Option<&mut Write> {
        self.current.as_mut()?.writes.get_mut(index)
    }

    /// Adds a write and its frame.
    fn push_write(&mut self, mut write: Write, phase: clause::Phase) {
        let text = self.input.text();
        let Some(current) = &mut self.current else { return };
        if let [.., Frame::With { entry, .. }, Frame::Group(Group { purpose: Purpose::CteBody, .. })] =
            &mut self.frames[..]
        {
            write.cte = entry.cte(text);
            entry.body = Some(current.writes.len());
        }
        self.open.push(Open { index: current.writes.len(), phase, reads: clause::Reads::default() });
        current.writes.push(write);
        self.frames.push(Frame::Write);
    }
}

impl Entry {
    /// A token of the list outside of parentheses.
    fn read(&mut self, state: With, tok: Tok) {
        match state {
            // `RECURSIVE` is no name, but what follows it is.
            With::Name if tok.is_name() && tok.word != Word::As => {
                *self = Self { name: Some(tok), head_end: tok.end, body: None };
            }
            With::After => *self = Self::default(),
            _ => {}
        }
    }

    fn cte(&self, text: &[u8]) -> Option<Cte> {
        let tok = self.name?;
        let list = text.get(tok.end..self.head_end)?;
        // Names only: each comma outside of quotes stands between two.
        let mut lexer = Lexer::new(list, LexOptions::default());
        let kinds = std::iter::from_fn(|| lexer.next());
        let columns = kinds.filter(|t| matches!(t.kind, Kind::Ident | Kind::Quoted | Kind::UnicodeIdent)).count();
        Some(Cte { name: name::value(text, tok.token())?, head: tok.start..self.head_end, columns, end: 0 })
    }
}

impl With {
    /// `None`: the list is over and the token belongs to what follows.
    fn step(self, tok: Tok) -> Option<Self> {
        Some(match (self, tok.word) {
            (Self::Name, Word::As) => Self::Body,
            (Self::After, _) if tok.is(b',') => Self::Name,
            (Self::After, Word::Search) => Self::Search,
            (Self::After, Word::Cycle) => Self::Cycle,
            (Self::After, _) => return None,
            (Self::Search, Word::Set) | (Self::Cycle, Word::Using) => Self::LastName,
            (Self::LastName, _) => Self::After,
            (state, _) => state,
        })
    }
}

/// A write of which nothing but its kind is known yet.
fn blank_write(operation: Operation, place: Place, start: usize) -> Write {
    Write {
        operation,
        target: Target { catalog: None, schema: None, name: String::new(), only: false },
        alias: None,
        place,
        cte: None,
        span: start..start,
        columns: None,
        conflict_columns: None,
        conflict_target: false,
        joined: false,
        reads_target: false,
        set_ends: Vec::new(),
        condition: None,
        sub_select: false,
        returning: None,
        copy_where: None,
        copy: None,
        end: start,
        problem: None,
    }
}

#[cfg(test)]
mod tests;
