//! The head of a write, up to where its clauses begin: target, alias, column list.

use super::{
    Frame, Input, Locator, Purpose, Tok, blank_write,
    clause::{Phase, Setting},
};
use crate::sql::{
    lex::Kind,
    word::Word,
    write::{Operation, Place, Target, Verb, Write},
};

impl Locator<'_> {
    pub(super) fn insert(&mut self, tok: Tok, place: Place) {
        let mut write = blank_write(Operation::Insert, place, tok.start);
        if !self.input.next_is(Word::Into) {
            write.problem = Some("INTO expected after INSERT");
        }
        self.qualified_name(&mut write);
        if self.input.next_is(Word::As) {
            self.alias(&mut write);
        }
        if self.input.peek_char(b'(') && !self.query_in_parentheses() {
            self.input.next();
            write.columns = Some(self.column_list(&mut write.problem));
        }
        self.push_write(write, Phase::InsertBody { started: false, joins: 0, no_condition: false });
        if self.input.next_is(Word::With) {
            self.with(None);
        }
    }

    pub(super) fn update(&mut self, tok: Tok, place: Place) {
        let mut write = blank_write(Operation::Update, place, tok.start);
        self.relation_expr(&mut write, Word::Set);
        if !self.input.next_is(Word::Set) {
            write.problem = write.problem.or(Some("SET expected after the target of UPDATE"));
        }
        write.columns = Some(Vec::new());
        self.push_write(write, Phase::Set { of: Setting::Update, at_item: true, cases: 0 });
    }

    pub(super) fn merge(&mut self, tok: Tok, place: Place) {
        let mut write = blank_write(Operation::Merge, place, tok.start);
        if !self.input.next_is(Word::Into) {
            write.problem = Some("INTO expected after MERGE");
        }
        self.relation_expr(&mut write, Word::Using);
        write.joined = true;
        self.push_write(write, Phase::Merge);
    }

    pub(super) fn copy(&mut self, tok: Tok) {
        if let Some(current) = &mut self.current {
            current.verb = Verb::Copy;
        }
        if self.input.peek_char(b'(') {
            if let Some(open) = self.input.next() {
                self.frames.push(Frame::Query);
                self.push_group(open, Purpose::Consumed, false);
            }
            return;
        }
        let mut write = blank_write(Operation::Copy, Place::Top, tok.start);
        self.input.next_is(Word::Binary);
        let start = self.input.peek().map_or(tok.end, |t| t.start);
        self.qualified_name(&mut write);
        let relation = start..self.input.prev_end();
        if self.input.peek_char(b'(') {
            self.input.next();
            write.columns = Some(self.column_list(&mut write.problem));
        }
        if self.input.next_is(Word::To) {
            self.frames.push(Frame::Query);
            return;
        }
        if !self.input.next_is(Word::From) {
            write.problem = write.problem.or(Some("FROM or TO expected in COPY"));
        }
        write.copy = self.input.copy_source(relation);
        if write.copy.is_none() {
            write.problem = write.problem.or(Some("source expected after FROM"));
        }
        self.push_write(write, Phase::CopyOptions);
    }

    /// `t`, `t *`, `ONLY t`, `ONLY (t)`, then an alias with or without `AS`, unless the word is `end`.
    fn relation_expr(&mut self, write: &mut Write, end: Word) {
        write.target.only = self.input.next_is(Word::Only);
        let enclosed = write.target.only && self.input.next_if(|t| t.is(b'(')).is_some();
        self.qualified_name(write);
        if enclosed && self.input.next_if(|t| t.is(b')')).is_none() {
            write.problem = write.problem.or(Some("closing parenthesis expected after the target"));
        }
        if !write.target.only {
            self.input.next_if(|t| t.is(b'*'));
        }
        if self.input.next_is(Word::As) || self.input.peek().is_some_and(|t| t.is_name() && t.word != end) {
            self.alias(write);
        }
    }

    fn alias(&mut self, write: &mut Write) {
        write.alias = self.input.next_name();
        if write.alias.is_none() {
            write.problem = write.problem.or(Some("alias expected after AS"));
        }
    }

    /// `[[catalog.]schema.]name`.
    fn qualified_name(&mut self, write: &mut Write) {
        let mut parts = [None, None, None];
        let mut n = 0;
        loop {
            match self.input.next_name() {
                Some(part) if n < 3 => parts[n] = Some(part),
                _ => {
                    write.problem = write.problem.or(Some("name of a relation expected"));
                    break;
                }
            }
            n += 1;
            if self.input.next_if(|t| t.is(b'.')).is_none() {
                break;
            }
        }
        let [first, second, third] = parts;
        let only = write.target.only;
        write.target = match (first, second, third) {
            (catalog, schema, Some(name)) => Target { catalog, schema, name, only },
            (schema, Some(name), None) => Target { catalog: None, schema, name, only },
            (name, None, None) => Target { catalog: None, schema: None, name: name.unwrap_or_default(), only },
        };
    }

    /// Behind `(`: the first identifier of each item (`a.b` and `a[1]` write `a`), up to and with `)`.
    pub(super) fn column_list(&mut self, problem: &mut Option<&'static str>) -> Vec<String> {
        let mut columns = Vec::new();
        let mut at_item = true;
        let mut depth = 0usize;
        while let Some(tok) = self.input.next() {
            match tok.kind {
                Kind::Char(b'(' | b'[') => depth += 1,
                Kind::Char(b')' | b']') if depth > 0 => depth -= 1,
                Kind::Char(b')') => return columns,
                Kind::Char(b',') if depth == 0 => {
                    at_item = true;
                    continue;
                }
                _ if at_item => match self.input.name(tok) {
                    Some(name) => columns.push(name),
                    None => *problem = problem.or(Some("column name expected")),
                },
                _ => {}
            }
            at_item = false;
        }
        *problem = problem.or(Some("column list is not closed"));
        columns
    }

    /// The next token is `(`: does a query follow, rather than a list of names? `values` may be a column.
    pub(super) fn query_in_parentheses(&mut self) -> bool {
        match self.input.peek_after(1) {
            Some(t) if t.is(b'(') => true,
            Some(Tok { word: Word::Select | Word::With | Word::Table, .. }) => true,
            Some(Tok { word: Word::Values, .. }) => self.input.peek_after(2).is_some_and(|t| t.is(b'(')),
            _ => false,
        }
    }
}

impl Input<'_> {
    /// The word that the next token is.
    pub(super) fn peek_word(&mut self) -> Word {
        self.peek().map_or(Word::Other, |t| t.word)
    }
}
