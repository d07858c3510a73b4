//! The clauses of a write, token by token.

use super::{Input, Locator, Open, Tok, item};
use crate::sql::{
    lex::Kind,
    name,
    word::Word,
    write::{ItemKind, Operation, Returning, Write},
};

/// Which clause of a write is being read.
#[derive(Debug)]
pub(super) enum Phase {
    /// Behind the column list of an INSERT.
    InsertBody {
        /// `SELECT`, `VALUES` or `TABLE` was read.
        started: bool,
        /// `JOIN`s whose `ON` or `USING` is still due.
        joins: usize,
        /// `CROSS` or `NATURAL` was read: the next `JOIN` has no condition.
        no_condition: bool,
    },
    /// Behind `ON CONFLICT`.
    Conflict { fresh: bool },
    /// In a `SET` list.
    Set {
        /// Whose.
        of: Setting,
        at_item: bool,
        /// `CASE`s that are open: their `WHEN` is none of a MERGE.
        cases: usize,
    },
    /// In the `FROM` of an UPDATE.
    From,
    /// In a `WHERE`.
    Where { start: Option<usize> },
    /// Behind the target of a MERGE.
    Merge,
    /// In a `RETURNING` list.
    Returning { item: item::Builder },
    /// Behind `COPY … FROM`.
    CopyOptions,
    /// In the `WHERE` of a COPY.
    CopyWhere { start: Option<usize> },
}

/// What a `SET` list belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Setting {
    Update,
    /// `ON CONFLICT DO UPDATE`.
    Conflict,
    /// An action of a MERGE.
    Merge,
}

/// Which names of the target's row were read in expressions.
#[derive(Debug, Default)]
pub(super) struct Reads {
    /// An unqualified one, which is the target's if no other relation is in scope.
    bare: bool,
    /// One qualified by the row's name.
    qualified: bool,
    /// A name whose next token decides what it is.
    candidate: Option<Tok>,
}

impl Locator<'_> {
    /// A token at the write's own level.
    pub(super) fn write_token(&mut self, tok: Tok, before: Option<Tok>) {
        let word = if Input::after_dot_or_as(before) { Word::Other } else { tok.word };
        if self.in_row_scope() {
            self.observe_row(tok, before);
        }
        let Some(open) = self.open.last_mut() else { return };
        if word == Word::Returning
            && !matches!(open.phase, Phase::Returning { .. } | Phase::CopyOptions | Phase::CopyWhere { .. })
        {
            return self.start_returning(tok, before);
        }
        match &mut open.phase {
            Phase::InsertBody { started, joins, no_condition } => match word {
                Word::With if !*started => self.with(None),
                Word::Select | Word::Values | Word::Table => *started = true,
                Word::Cross | Word::Natural => *no_condition = true,
                Word::Join => *joins += usize::from(!std::mem::take(no_condition)),
                Word::On if *joins > 0 => *joins -= 1,
                Word::Using => *joins = joins.saturating_sub(1),
                Word::On if self.input.next_is(Word::Conflict) => open.phase = Phase::Conflict { fresh: true },
                _ => {}
            },
            Phase::Conflict { fresh } => {
                let fresh = std::mem::take(fresh);
                match word {
                    Word::On if fresh => self.conflict_target(),
                    Word::Do if self.input.next_is(Word::Update) => {
                        self.input.next_is(Word::Set);
                        self.start_set(Setting::Conflict);
                    }
                    _ => {}
                }
            }
            Phase::Set { .. } => self.set_token(tok, word, before),
            Phase::From if word == Word::Where => open.phase = Phase::Where { start: None },
            Phase::Where { start } => {
                if start.is_none() && word == Word::Current && self.input.next_is(Word::Of) {
                    self.input.next();
                    self.note_sub_select();
                } else {
                    start.get_or_insert(tok.start);
                }
            }
            Phase::Merge if word == Word::Update && self.input.next_is(Word::Set) => self.start_set(Setting::Merge),
            Phase::Returning { item } if tok.is(b',') => {
                let item = std::mem::take(item);
                self.finish_item(item);
            }
            Phase::Returning { item } => item.push(tok),
            Phase::CopyOptions if word == Word::Where => open.phase = Phase::CopyWhere { start: None },
            Phase::CopyWhere { start } => {
                start.get_or_insert(tok.start);
            }
            Phase::From | Phase::Merge | Phase::CopyOptions => {}
        }
    }

    fn start_set(&mut self, of: Setting) {
        let Some(open) = self.open.last_mut() else { return };
        open.phase = Phase::Set { of, at_item: true, cases: 0 };
        let index = open.index;
        if let Some(write) = self.write(index) {
            write.conflict_columns.get_or_insert_default();
        }
    }

    /// A token in a `SET` list.
    fn set_token(&mut self, tok: Tok, word: Word, before: Option<Tok>) {
        let Some(Phase::Set { of, at_item, cases }) = self.open.last_mut().map(|open| &mut open.phase) else { return };
        let of = *of;
        if std::mem::replace(at_item, tok.is(b',')) {
            return self.assigned(tok, of);
        }
        match word {
            Word::Case => *cases += 1,
            Word::End => *cases = cases.saturating_sub(1),
            Word::When if of == Setting::Merge && *cases == 0 => self.end_set(before, Phase::Merge),
            Word::Where => self.end_set(before, Phase::Where { start: None }),
            Word::From if of == Setting::Update && before.is_none_or(|t| t.word != Word::Distinct) => {
                self.end_set(before, Phase::From);
                let Some(index) = self.open.last().map(|open| open.index) else { return };
                if let Some(write) = self.write(index) {
                    write.joined = true;
                }
            }
            _ => {}
        }
    }

    /// The `SET` list ended with the token before.
    fn end_set(&mut self, before: Option<Tok>, next: Phase) {
        let Some(open) = self.open.last_mut() else { return };
        open.phase = next;
        let index = open.index;
        if let (Some(write), Some(before)) = (self.write(index), before) {
            write.set_ends.push(before.end);
        }
    }

    /// The `WHERE` that is being read has a sub-select.
    pub(super) fn note_sub_select(&mut self) {
        let Some(Open { index, phase: Phase::Where { .. }, .. }) = self.open.last() else { return };
        let index = *index;
        if let Some(write) = self.write(index) {
            write.sub_select = true;
        }
    }

    /// A group opens at the write's own level. `true`: it was read here.
    pub(super) fn write_opens(&mut self, tok: Tok) -> bool {
        if self.in_row_scope() {
            self.observe_row(tok, None);
        }
        let Some(open) = self.open.last_mut() else { return false };
        match &mut open.phase {
            Phase::InsertBody { started, .. } => *started = true,
            Phase::Conflict { fresh: fresh @ true } => {
                *fresh = false;
                self.conflict_target();
            }
            Phase::Set { of, at_item: at_item @ true, .. } if tok.is(b'(') => {
                *at_item = false;
                let (index, of) = (open.index, *of);
                let mut problem = None;
                let columns = self.column_list(&mut problem);
                if let Some(write) = self.write(index) {
                    write.problem = write.problem.or(problem);
                    set_columns(write, of).extend(columns);
                }
                return true;
            }
            Phase::CopyWhere { start } | Phase::Where { start } => {
                start.get_or_insert(tok.start);
            }
            _ => {}
        }
        false
    }

    /// A group that began at `start` closed at the write's own level.
    pub(super) fn write_closes(&mut self, start: usize, tok: Tok) {
        if let Some(Phase::Returning { item }) = self.open.last_mut().map(|o| &mut o.phase) {
            item.push_group(start, tok);
        }
    }

    fn conflict_target(&mut self) {
        let Some(index) = self.open.last().map(|o| o.index) else { return };
        if let Some(write) = self.write(index) {
            write.conflict_target = true;
        }
    }

    fn assigned(&mut self, tok: Tok, of: Setting) {
        let Some(index) = self.open.last().map(|o| o.index) else { return };
        let name = self.input.name(tok);
        let Some(write) = self.write(index) else { return };
        match name {
            Some(name) => set_columns(write, of).push(name),
            None => write.problem = write.problem.or(Some("column expected in SET")),
        }
    }

    fn start_returning(&mut self, tok: Tok, before: Option<Tok>) {
        let mut returning =
            Returning { start: tok.start, options: None, old_alias: None, new_alias: None, items: Vec::new() };
        let mut problem = None;
        if self.input.peek_word() == Word::With && self.input.peek_after(1).is_some_and(|t| t.is(b'(')) {
            self.input.next();
            returning.options = self.input.next().map(|parenthesis| parenthesis.end);
            problem = self.returning_options(&mut returning);
        }
        let Some(open) = self.open.last_mut() else { return };
        let ended = std::mem::replace(&mut open.phase, Phase::Returning { item: item::Builder::default() });
        let index = open.index;
        if let Some(write) = self.write(index) {
            ended.end(write, before.map_or(tok.start, |t| t.end));
            write.returning = Some(returning);
            write.problem = write.problem.or(problem);
        }
    }

    /// Behind `RETURNING WITH (`: `OLD AS o, NEW AS n)`.
    fn returning_options(&mut self, returning: &mut Returning) -> Option<&'static str> {
        loop {
            let which = self.input.next().map_or(Word::Other, |t| t.word);
            let named = self.input.next_is(Word::As);
            let alias = self.input.next_name().filter(|_| named);
            match (which, alias) {
                (Word::Old, Some(alias)) => returning.old_alias = Some(alias),
                (Word::New, Some(alias)) => returning.new_alias = Some(alias),
                _ => return Some("options of RETURNING could not be read"),
            }
            if self.input.next_if(|t| t.is(b',')).is_some() {
                continue;
            }
            return if self.input.next_if(|t| t.is(b')')).is_some() {
                None
            } else {
                Some("options of RETURNING could not be read")
            };
        }
    }

    fn finish_item(&mut self, item: item::Builder) {
        let Some(index) = self.open.last().map(|o| o.index) else { return };
        let item = item.finish(self.input.text());
        let Some(write) = self.write(index) else { return };
        match (item, &mut write.returning) {
            (Some(item), Some(returning)) => returning.items.push(item),
            _ => write.problem = write.problem.or(Some("expression expected in RETURNING")),
        }
    }

    /// The innermost open write ends just before `end`.
    pub(super) fn finish_write(&mut self, end: usize) {
        if self.in_row_scope() {
            self.decide_candidate(None);
        }
        if let Some(Phase::Returning { item }) = self.open.last_mut().map(|o| &mut o.phase) {
            let item = std::mem::take(item);
            self.finish_item(item);
        }
        let Some(open) = self.open.pop() else { return };
        let complete = self.input.complete;
        let Some(write) = self.write(open.index) else { return };
        write.end = end.max(write.span.start);
        write.span.end = write.end;
        open.phase.end(write, write.end);
        if !complete {
            write.problem = write.problem.or(Some("the text is not complete"));
        }
        write.reads_target = open.reads.qualified
            || (open.reads.bare && write.operation == Operation::Update && !write.joined)
            || returns_target(write);
    }

    /// The write's current clause is an expression over its row.
    pub(super) fn in_row_scope(&self) -> bool {
        self.open.last().is_some_and(|open| {
            matches!(open.phase, Phase::Set { .. } | Phase::Where { .. } | Phase::Merge | Phase::Returning { .. })
        })
    }

    /// Notes names of the row in an expression. `before`: the token before, `None` for a bracket that opens.
    pub(super) fn observe_row(&mut self, tok: Tok, before: Option<Tok>) {
        let Some(open) = self.open.last() else { return };
        if open.reads.qualified {
            return;
        }
        self.decide_candidate(Some(tok));
        let Some(open) = self.open.last_mut() else { return };
        let assigned = matches!(open.phase, Phase::Set { at_item: true, .. });
        if tok.is_name() && !assigned && before.is_some_and(|b| operand_follows(&b)) {
            open.reads.candidate = Some(tok);
        }
    }

    fn decide_candidate(&mut self, next: Option<Tok>) {
        let Some(open) = self.open.last_mut() else { return };
        let Some(candidate) = open.reads.candidate.take() else { return };
        let index = open.index;
        let Some(name) = self.input.name(candidate) else { return };
        let qualified = match next {
            Some(t) if t.is(b'.') => true,
            Some(t) if ends_name(&t) => false,
            None => false,
            Some(_) => return,
        };
        let is_row =
            self.write(index).is_some_and(|w| qualified && *w.alias.as_ref().unwrap_or(&w.target.name) == name);
        let Some(open) = self.open.last_mut() else { return };
        if qualified {
            open.reads.qualified |= is_row;
        } else if candidate.kind != Kind::Ident || !name::is_restricted_keyword(&name) {
            open.reads.bare = true;
        }
    }
}

impl Phase {
    /// The clause ends at `end`: notes where it was.
    fn end(self, write: &mut Write, end: usize) {
        match self {
            Self::Set { .. } => write.set_ends.push(end),
            Self::Where { start: Some(start) } => write.condition = Some(start..end),
            Self::CopyWhere { start: Some(start) } => write.copy_where = Some(start..end),
            // `CURRENT OF`.
            Self::Where { start: None } if write.sub_select => {}
            Self::Where { start: None } | Self::CopyWhere { start: None } => {
                write.problem = write.problem.or(Some("condition expected after WHERE"));
            }
            _ => {}
        }
    }
}

fn set_columns(write: &mut Write, of: Setting) -> &mut Vec<String> {
    let list = if of == Setting::Update { &mut write.columns } else { &mut write.conflict_columns };
    list.get_or_insert_default()
}

/// An operand of an expression may follow this token.
fn operand_follows(before: &Tok) -> bool {
    match before.kind {
        Kind::Op | Kind::Char(b'(' | b'[' | b',' | b'+' | b'-' | b'*' | b'/' | b'%' | b'^' | b'<' | b'>' | b'=') => {
            true
        }
        Kind::Ident => matches!(
            before.word,
            Word::And
                | Word::Or
                | Word::Not
                | Word::Where
                | Word::When
                | Word::Then
                | Word::Else
                | Word::Case
                | Word::Returning
                | Word::On
        ),
        _ => false,
    }
}

/// After a lone name, this token shows that the name was a whole operand (no function, type or keyword of special syntax).
fn ends_name(next: &Tok) -> bool {
    match next.kind {
        Kind::Op | Kind::Typecast => true,
        Kind::Char(c) => !matches!(c, b'(' | b'.' | b':' | b'$'),
        Kind::Ident => matches!(
            next.word,
            Word::And
                | Word::Or
                | Word::Is
                | Word::In
                | Word::Not
                | Word::Like
                | Word::Ilike
                | Word::Between
                | Word::Similar
                | Word::Isnull
                | Word::Notnull
                | Word::Collate
                | Word::At
                | Word::When
                | Word::Then
                | Word::Else
                | Word::End
                | Word::Where
                | Word::Returning
        ),
        _ => false,
    }
}

/// The client's `RETURNING` names a column of the target.
fn returns_target(write: &Write) -> bool {
    let Some(returning) = &write.returning else { return false };
    returning.items.iter().any(|item| match &item.kind {
        ItemKind::Star => true,
        ItemKind::QualifiedStar(name) => name == write.alias.as_ref().unwrap_or(&write.target.name),
        ItemKind::Column => !write.joined,
        _ => false,
    })
}
