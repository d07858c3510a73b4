//! The beginning of a statement: what the session must know about it, and what follows.

use super::{Current, Frame, Input, Locator, Purpose, Tok};
use crate::sql::{
    lex::Kind,
    word::Word,
    write::{Place, Verb},
};

/// Settings that decide what a name means, what the role may do or how a text is read.
const NAME_SETTINGS: &[&str] = &[
    "search_path",
    "role",
    "session_authorization",
    "row_security",
    "client_min_messages",
    "standard_conforming_strings",
    "client_encoding",
    "session_replication_role",
];

impl Locator<'_> {
    pub(super) fn start_statement(&mut self, tok: Tok) {
        self.input.set_config = false;
        self.current = Some(Current { start: tok.start, verb: Verb::Plain, changes_names: false, writes: Vec::new() });
        match tok.word {
            Word::With
            | Word::Insert
            | Word::Update
            | Word::Merge
            | Word::Select
            | Word::Values
            | Word::Table
            | Word::Delete => {
                self.begin(tok, Place::Top);
            }
            Word::Explain => self.explain(),
            Word::Prepare => self.prepare(),
            Word::Execute => self.execute(false),
            Word::Copy => self.copy(tok),
            Word::Create => self.create(),
            Word::Declare => self.frames.push(Frame::Until { word: Word::For, depth: 0 }),
            _ if tok.is(b'(') => {
                self.frames.push(Frame::Query);
                self.push_group(tok, Purpose::Plain, false);
            }
            _ => {
                let verb = self.simple_verb(tok);
                self.opaque(verb);
            }
        }
    }

    fn opaque(&mut self, verb: Verb) {
        self.set_verb(verb);
        self.frames.push(Frame::Opaque { depth: 0, atomic: 0 });
    }

    fn set_verb(&mut self, verb: Verb) {
        if let Some(current) = &mut self.current {
            current.verb = verb;
        }
    }

    fn simple_verb(&mut self, tok: Tok) -> Verb {
        match tok.word {
            Word::Begin | Word::Start => Verb::Begin,
            Word::Commit | Word::End if !self.input.peek_is(Word::Prepared) => Verb::Commit,
            Word::Rollback | Word::Abort => self.rollback(),
            Word::Savepoint => self.input.next_name().map_or(Verb::Plain, Verb::Savepoint),
            Word::Release => {
                self.skip_savepoint_word();
                self.input.next_name().map_or(Verb::Plain, Verb::Release)
            }
            Word::Deallocate => self.deallocate(),
            Word::Fetch => self.fetch(),
            Word::Discard if self.input.peek_is(Word::All) => {
                if let Some(current) = &mut self.current {
                    current.changes_names = true;
                }
                Verb::Deallocate(None)
            }
            Word::Set | Word::Reset => self.setting(),
            Word::Discard
            | Word::Alter
            | Word::Drop
            | Word::Grant
            | Word::Revoke
            | Word::Do
            | Word::Call
            | Word::Reassign
            | Word::Import => Verb::ChangesNames,
            _ => Verb::Plain,
        }
    }

    fn rollback(&mut self) -> Verb {
        if self.input.peek_is(Word::Prepared) {
            return Verb::Plain;
        }
        self.input.next_if(|t| matches!(t.word, Word::Work | Word::Transaction));
        if !self.input.next_is(Word::To) {
            return Verb::Rollback;
        }
        self.skip_savepoint_word();
        self.input.next_name().map_or(Verb::Plain, Verb::RollbackTo)
    }

    /// `SAVEPOINT` is optional before the name, and may be the name.
    fn skip_savepoint_word(&mut self) {
        if self.input.peek_is(Word::Savepoint) && self.input.peek_after(1).is_some_and(|t| t.is_name()) {
            self.input.next();
        }
    }

    fn deallocate(&mut self) -> Verb {
        if self.input.peek_is(Word::Prepare) && self.input.peek_after(1).is_some_and(|t| t.is_name()) {
            self.input.next();
        }
        if self.input.peek_is(Word::All) {
            return Verb::Deallocate(None);
        }
        self.input.next_name().map_or(Verb::Plain, |name| Verb::Deallocate(Some(name)))
    }

    /// After `FETCH`: whatever the direction, the name of the cursor is last.
    fn fetch(&mut self) -> Verb {
        let mut last = None;
        while let Some(tok) = self.input.next_if(|t| !t.is(b';')) {
            last = Some(tok);
        }
        last.and_then(|tok| self.input.name(tok)).map_or(Verb::Plain, Verb::Fetch)
    }

    /// After `SET` or `RESET`.
    fn setting(&mut self) -> Verb {
        while matches!(self.input.peek_word(), Word::Session | Word::Local)
            && self.input.peek_after(1).is_some_and(|t| t.is_name())
        {
            self.input.next();
        }
        let Some(tok) = self.input.peek() else { return Verb::Plain };
        match tok.word {
            Word::All | Word::Schema | Word::Names | Word::Role | Word::Session => return Verb::ChangesNames,
            _ => {}
        }
        match self.input.name(tok) {
            Some(name) if name == "authorization" => Verb::ChangesNames,
            Some(name) if !NAME_SETTINGS.contains(&name.as_str()) => Verb::Plain,
            _ => Verb::ChangesNames,
        }
    }

    fn prepare(&mut self) {
        if self.input.peek_is(Word::Transaction) && self.input.peek_after(1).is_some_and(|t| t.kind == Kind::Str) {
            return self.opaque(Verb::Commit);
        }
        let Some(name) = self.input.next_name() else { return self.opaque(Verb::Plain) };
        self.set_verb(Verb::Prepare(name));
        if self.input.peek_char(b'(') {
            self.skip_parentheses();
        }
        if self.input.next_is(Word::As) {
            self.statement_follows(Place::Top);
        } else {
            self.frames.push(Frame::Opaque { depth: 0, atomic: 0 });
        }
    }

    fn execute(&mut self, wrapped: bool) {
        match self.input.next_name() {
            Some(name) => self.opaque(Verb::Execute { name, wrapped }),
            None => self.opaque(Verb::Plain),
        }
    }

    fn explain(&mut self) {
        self.set_verb(Verb::Explain);
        let analyze = if self.input.peek_char(b'(') && !self.query_in_parentheses() {
            self.explain_options()
        } else {
            let analyze = self.input.next_if(|t| matches!(t.word, Word::Analyze | Word::Analyse)).is_some();
            self.input.next_is(Word::Verbose);
            analyze
        };
        if !analyze {
            return self.opaque(Verb::Explain);
        }
        match self.input.peek().map(|t| t.word) {
            Some(Word::Execute) => {
                self.input.next();
                self.execute(true);
            }
            Some(Word::Create) => {
                self.input.next();
                self.create();
                if !matches!(self.current.as_ref().map(|c| &c.verb), Some(Verb::Execute { .. })) {
                    self.set_verb(Verb::Explain);
                }
            }
            Some(Word::Declare) => {
                self.input.next();
                self.frames.push(Frame::Until { word: Word::For, depth: 0 });
            }
            _ => self.statement_follows(Place::Explain),
        }
    }

    /// `(name [value], …)`: is `ANALYZE` on? The last one counts.
    fn explain_options(&mut self) -> bool {
        self.input.next();
        let mut analyze = false;
        let mut depth = 1usize;
        let mut name = true;
        while let Some(tok) = self.input.next() {
            match tok.kind {
                Kind::Char(b'(') => depth += 1,
                Kind::Char(b')') => depth -= 1,
                Kind::Char(b',') => {
                    name = true;
                    continue;
                }
                _ if name && depth == 1 && self.input.name(tok).is_some_and(|n| n == "analyze" || n == "analyse") => {
                    analyze = !self.input.peek().is_some_and(|value| self.is_off(value));
                }
                _ => {}
            }
            name = false;
            if depth == 0 {
                break;
            }
        }
        analyze
    }

    fn is_off(&self, value: Tok) -> bool {
        let raw = &self.input.text()[value.start..value.end];
        let raw = raw.strip_prefix(b"'").and_then(|r| r.strip_suffix(b"'")).unwrap_or(raw);
        let raw = raw.strip_prefix(b"\"").and_then(|r| r.strip_suffix(b"\"")).unwrap_or(raw);
        raw.eq_ignore_ascii_case(b"off") || raw.eq_ignore_ascii_case(b"false") || raw == b"0"
    }

    /// After `CREATE`.
    fn create(&mut self) {
        self.set_verb(Verb::ChangesNames);
        if let Some(current) = &mut self.current {
            current.changes_names = true;
        }
        while self
            .input
            .next_if(|t| matches!(t.word, Word::Global | Word::Local | Word::Temporary | Word::Temp | Word::Unlogged))
            .is_some()
        {}
        if self.input.peek_is(Word::Table) || self.input.peek_is(Word::Materialized) {
            self.frames.push(Frame::Until { word: Word::As, depth: 0 });
        } else {
            self.frames.push(Frame::Opaque { depth: 0, atomic: 0 });
        }
    }

    /// Behind the `AS` of `CREATE TABLE` or the `FOR` of `DECLARE`.
    pub(super) fn query_follows(&mut self) {
        self.frames.pop();
        if self.input.next_is(Word::Execute) {
            self.execute(true);
        } else {
            self.statement_follows(Place::Consumed);
        }
    }

    /// A statement that can be prepared, explained or wrapped comes next.
    fn statement_follows(&mut self, place: Place) {
        match self.input.peek() {
            Some(tok) if !tok.is(b'(') && !tok.is(b';') => {
                self.input.next();
                self.begin(tok, place);
            }
            _ => self.frames.push(Frame::Query),
        }
    }

    /// The next token is `(`: takes everything up to its partner, or nothing of the rest if there is none.
    fn skip_parentheses(&mut self) {
        let mut depth = 0usize;
        while let Some(tok) = self.input.next() {
            match tok.kind {
                Kind::Char(b'(') => depth += 1,
                Kind::Char(b')') => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
}

/// Steps through a statement that is not looked into; `true` at the semicolon that ends it.
pub(super) fn opaque_ends(tok: Tok, before: Option<Tok>, depth: &mut usize, atomic: &mut usize) -> bool {
    match tok.kind {
        Kind::Char(b'(' | b'[') => *depth += 1,
        Kind::Char(b')' | b']') => *depth = depth.saturating_sub(1),
        Kind::Char(b';') => return *depth == 0 && *atomic == 0,
        Kind::Ident if !Input::after_dot_or_as(before) => match tok.word {
            Word::Atomic if *atomic == 0 && before.is_some_and(|t| t.word == Word::Begin) => *atomic = 1,
            Word::Case if *atomic > 0 => *atomic += 1,
            Word::End => *atomic = atomic.saturating_sub(1),
            _ => {}
        },
        _ => {}
    }
    false
}
