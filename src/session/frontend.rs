//! What the client sends: forwarded as it came, but for texts that write a guarded table and the messages that bind and run them.

use std::{sync::Arc, time::Instant};

use super::{
    SessionError,
    exchange::{Exchange, Transaction, by},
    follow::Freshness,
    names::{About, Question},
    owed::Owed,
    plan::{Column, Plan, Planned},
    planner::Planning,
    prepared::{Prepared, Shelf, Step, Undo},
    running::Running,
};
use crate::{
    catalog::{facts::QualifiedName, question},
    guard::Reason,
    observe::{Side, metrics::UNKNOWN_TABLE},
    wire::{
        WireError,
        compose::{self, Ending},
        frame::{self, HEADER},
        frontend::{self, Named, tag},
    },
};

/// Longest pair of names at the front of a `Bind` that is waited for; PostgreSQL cuts names to 63 bytes, but takes longer ones.
const NAMES_BYTES: usize = 4 * 1024;

/// What became of a message.
pub(super) enum Sent {
    /// It is on its way.
    Yes,
    /// It waits for the answer to a question that now goes first.
    Held,
}

/// How a message is to be handled.
enum Look {
    /// Forward it as it comes.
    Forward,
    /// Handle it when all of it is here.
    Whole,
    /// More bytes are needed to tell.
    More,
}

impl Exchange {
    /// Takes bytes from the client, appends to `to_server` what goes on.
    ///
    /// # Errors
    /// Bytes that are no message of the protocol end the session.
    pub(super) fn frontend(
        &mut self,
        input: &[u8],
        to_server: &mut Vec<u8>,
        to_client: &mut Vec<u8>,
    ) -> Result<(), SessionError> {
        self.bytes.to_server(input.len());
        // A message that waited for an answer goes by the rules that it began with.
        if !self.from_client.held {
            self.follow_control();
        }
        if self.identity.opaque {
            to_server.extend_from_slice(input);
            return Ok(());
        }
        let mut pending = std::mem::take(&mut self.from_client.pending);
        self.from_client.held = false;
        if pending.is_empty() {
            let used = self.frontend_frames(input, to_server, to_client)?;
            pending.extend_from_slice(&input[used..]);
        } else {
            pending.extend_from_slice(input);
            let used = self.frontend_frames(&pending, to_server, to_client)?;
            if used > 0 {
                pending.drain(..used);
                pending.shrink_to(frame::SMALL_LENGTH as usize);
            }
        }
        self.from_client.pending = pending;
        Ok(())
    }

    /// Handles as many frames as are here; returns how many bytes are done with.
    fn frontend_frames(
        &mut self,
        bytes: &[u8],
        to_server: &mut Vec<u8>,
        to_client: &mut Vec<u8>,
    ) -> Result<usize, SessionError> {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            if self.from_client.forward > 0 {
                let n = rest.len().min(self.from_client.forward);
                to_server.extend_from_slice(&rest[..n]);
                self.from_client.forward -= n;
                at += n;
                continue;
            }
            let Some((tag, length)) = frame::header(rest).map_err(by(Side::Client))? else { break };
            if !tag::known(tag) {
                return Err(by(Side::Client)(WireError::UnknownType(tag)));
            }
            if extended(tag) || tag == tag::QUERY {
                self.close_own(to_server);
            }
            match self.look(tag, length, rest) {
                Look::More => break,
                Look::Forward => {
                    self.forwarded(tag, to_client);
                    self.from_client.forward = length;
                }
                Look::Whole if rest.len() < length => break,
                Look::Whole => match self.frontend_message(&rest[..length], to_server, to_client) {
                    Sent::Yes => at += length,
                    Sent::Held => {
                        self.from_client.held = true;
                        break;
                    }
                },
            }
        }
        Ok(at)
    }

    /// Decides how a message is handled, from its header and what is here of its body.
    fn look(&mut self, tag: u8, length: usize, rest: &[u8]) -> Look {
        if self.batch.awaits_sync() {
            return Look::Whole;
        }
        // What is prepared while there are no rules may concern those of a reload.
        let idle = !self.guards() && self.shelves.is_empty() && !matches!(tag, tag::PARSE | tag::CLOSE);
        if idle || self.identity.opaque || self.queue.skipping() {
            return Look::Forward;
        }
        let here = &rest[..rest.len().min(length)];
        match tag {
            tag::QUERY | tag::PARSE if length > self.context.message_cap => self.too_large(tag, here),
            tag::QUERY | tag::PARSE => Look::Whole,
            tag::COPY_DONE if self.behind_copy.is_some() => Look::Whole,
            tag::CLOSE if !self.shelves.nothing_to_close() => Look::Whole,
            _ if self.shelves.is_empty() => Look::Forward,
            tag::BIND => match frontend::bind_names(here) {
                Ok((portal, statement)) if self.shelves.concerns(portal, statement) => Look::Whole,
                Ok(_) => Look::Forward,
                // A name without an end: the server will say so.
                Err(_) if here.len() == length || here.len() > NAMES_BYTES => Look::Forward,
                Err(_) => Look::More,
            },
            tag::DESCRIBE | tag::EXECUTE => Look::Whole,
            _ => Look::Forward,
        }
    }

    /// A text above the cap goes through unread; that it may have written a guarded table is counted.
    fn too_large(&mut self, tag: u8, here: &[u8]) -> Look {
        // The first part tells the relation of any ordinary statement.
        if here.len() < NAMES_BYTES {
            return Look::More;
        }
        if self.database.scan(here).names {
            self.context.metrics.table(UNKNOWN_TABLE).unguardable(Reason::MessageTooLarge);
            tracing::warn!(
                session = self.identity.session,
                cap = self.context.message_cap,
                "a statement above the cap went through unread"
            );
        }
        if tag == tag::PARSE
            && let Some(name) = frame::take_cstr(&mut &here[HEADER..])
        {
            self.shelves.set(Shelf::Statements, name, None, &mut Undo::default());
        }
        Look::Forward
    }

    /// A message is forwarded as it comes: only what it awaits is noted.
    fn forwarded(&mut self, tag: u8, to_client: &mut Vec<u8>) {
        let owed = match tag {
            tag::QUERY => Owed::Query(None),
            tag::PARSE => Owed::Parse(None),
            tag::BIND => Owed::Bind(None),
            tag::DESCRIBE => Owed::Describe(None),
            tag::EXECUTE => Owed::Execute(None),
            tag::CLOSE => Owed::Close(None),
            tag::FUNCTION_CALL => Owed::FunctionCall,
            tag::COPY_DONE => Owed::CopyEnd,
            tag::COPY_FAIL => {
                self.behind_copy = None;
                Owed::CopyEnd
            }
            tag::SYNC => {
                self.pipeline_open = false;
                self.queue.push(Owed::Sync, false);
                return;
            }
            tag::FLUSH => return self.release_held_error(to_client),
            tag::TERMINATE => {
                self.identity.terminated = true;
                return;
            }
            _ => return,
        };
        self.pipeline_open |= extended(tag);
        self.batch.other();
        self.queue.push(owed, false);
    }

    /// Handles one whole message that may concern a guarded table.
    pub(super) fn frontend_message(
        &mut self,
        message: &[u8],
        to_server: &mut Vec<u8>,
        to_client: &mut Vec<u8>,
    ) -> Sent {
        if self.batch.awaits_sync() {
            self.held_up(message, to_server, to_client);
            return Sent::Yes;
        }
        self.looked_at(message, to_server, to_client).unwrap_or_else(|malformed| {
            // The server refuses it too, and goes on at the next Sync.
            tracing::debug!(session = self.identity.session, error = %malformed, "a malformed message of the client");
            self.forwarded(message[0], to_client);
            to_server.extend_from_slice(message);
            Sent::Yes
        })
    }

    /// Handles a message that may concern a guarded table.
    fn looked_at(
        &mut self,
        message: &[u8],
        to_server: &mut Vec<u8>,
        to_client: &mut Vec<u8>,
    ) -> Result<Sent, WireError> {
        match message[0] {
            tag::COPY_DONE => return Ok(self.copy_done(message, to_server, to_client)),
            tag::QUERY => {
                let text = frontend::query_text(message)?;
                return Ok(self.query_message(message, text, to_server));
            }
            tag::PARSE => {
                let parse = frontend::parse(message)?;
                return Ok(self.parse_message(message, parse, to_server));
            }
            tag::BIND => return self.bind_message(message, to_server),
            tag::DESCRIBE => {
                let prepared = match frontend::named(message)? {
                    Named::Statement(name) => self.shelves.statement(name),
                    Named::Portal(name) => self.shelves.portal(name),
                }
                .cloned();
                self.send(message, message, Owed::Describe(prepared), to_server);
            }
            tag::EXECUTE => self.execute_message(message, to_server)?,
            tag::CLOSE => {
                let mut undo = Undo::default();
                match frontend::named(message)? {
                    Named::Statement(name) => self.shelves.set(Shelf::Statements, name, None, &mut undo),
                    Named::Portal(name) => self.shelves.set(Shelf::Portals, name, None, &mut undo),
                }
                self.send(message, message, Owed::Close(undo.boxed()), to_server);
            }
            tag => return Err(WireError::UnknownType(tag)),
        }
        Ok(Sent::Yes)
    }

    /// The batch has failed and may run again: until its `Sync` the server ignores what the client sends, so it is only kept.
    fn held_up(&mut self, message: &[u8], to_server: &mut Vec<u8>, to_client: &mut Vec<u8>) {
        match message[0] {
            tag::SYNC => {
                self.pipeline_open = false;
                self.queue.push(Owed::Sync, true);
                self.batch.ends();
                self.waiting = true;
                to_server.extend_from_slice(message);
            }
            tag if extended(tag) => {
                self.batch.message(message);
                if !self.batch.is_recorded() {
                    self.release_held_error(to_client);
                }
            }
            tag => {
                self.release_held_error(to_client);
                self.forwarded(tag, to_client);
                to_server.extend_from_slice(message);
            }
        }
    }

    /// Sends a message of the extended protocol: the client's, as `sent`.
    fn send(&mut self, message: &[u8], sent: &[u8], owed: Owed, to_server: &mut Vec<u8>) {
        self.pipeline_open = true;
        self.batch.message(message);
        to_server.extend_from_slice(sent);
        self.queue.push(owed, self.hiding);
    }

    fn query_message(&mut self, message: &[u8], text: &[u8], to_server: &mut Vec<u8>) -> Sent {
        let started = Instant::now();
        let mut undo = Vec::new();
        let Ok(plan) = self.planning(text, Some(&mut undo), to_server) else { return Sent::Held };
        let Some(plan) = plan else {
            self.batch.other();
            to_server.extend_from_slice(message);
            self.queue.push(Owed::Query(None), false);
            return Sent::Yes;
        };
        match &plan.spliced {
            Some(spliced) => {
                self.batch.query(self.transaction, self.queue.is_empty(), message);
                frontend::write_query(to_server, &spliced.text);
            }
            None => {
                self.batch.other();
                to_server.extend_from_slice(message);
            }
        }
        self.context.metrics.overhead(started.elapsed());
        let mut running = Box::new(Running::query(plan, undo, started));
        running.again = self.second_run.clone();
        self.queue.push(Owed::Query(Some(running)), false);
        Sent::Yes
    }

    pub(super) fn parse_message(
        &mut self,
        message: &[u8],
        parse: frontend::Parse<'_>,
        to_server: &mut Vec<u8>,
    ) -> Sent {
        let started = Instant::now();
        let Ok(plan) = self.planning(parse.query, None, to_server) else { return Sent::Held };
        // A text of several statements is refused by the server.
        let prepared = plan.filter(|plan| plan.statements.len() == 1).map(|plan| {
            let planned = plan.statements[0].clone();
            Arc::new(Prepared::new(planned, Some(plan), parse.query.to_vec(), parse.types.to_vec()))
        });
        let spliced = prepared.as_ref().and_then(|p| p.plan.as_ref()?.spliced.as_ref());
        self.batch.start(self.transaction, self.queue.is_empty(), self.pipeline_open, spliced.is_some());
        let mut sent = Vec::new();
        if let Some(spliced) = spliced {
            frontend::write_parse(&mut sent, parse.name, &spliced.text, parse.types);
            self.context.metrics.overhead(started.elapsed());
        }
        let mut undo = Undo::default();
        self.shelves.set(Shelf::Statements, parse.name, prepared.clone(), &mut undo);
        if prepared.is_none() && !parse.name.is_empty() && may_write(parse.query) {
            let later = Prepared::new(Planned::nothing(), None, parse.query.to_vec(), parse.types.to_vec());
            self.shelves.keep_dormant(parse.name, Arc::new(later), &mut undo);
        }
        let sent = if sent.is_empty() { message } else { &sent };
        self.send(message, sent, Owed::Parse(Step::boxed(undo, prepared)), to_server);
        Sent::Yes
    }

    pub(super) fn bind_message(&mut self, message: &[u8], to_server: &mut Vec<u8>) -> Result<Sent, WireError> {
        let view = frontend::bind(message)?;
        if !self.hiding && self.second_run.is_none() {
            match self.freshness(view.statement) {
                Freshness::Current => {}
                Freshness::Outdated => self.prepare_again(message, to_server),
                Freshness::Unknown(about) => {
                    self.ask(about, to_server);
                    return Ok(Sent::Held);
                }
            }
        }
        let prepared = self.shelves.statement(view.statement).map(Prepared::bound);
        let body = prepared.as_ref().map(|p| Arc::clone(&p.planned.body));
        let guarded = body.as_ref().is_some_and(|b| b.has_guard());
        self.batch.start(self.transaction, self.queue.is_empty(), self.pipeline_open, guarded);
        let mut undo = Undo::default();
        self.shelves.set(Shelf::Portals, view.portal, prepared.clone(), &mut undo);
        let column = body.map_or(Column::None, |b| b.column);
        let widened = column == Column::Last && view.result_format_count >= 2;
        let owed = Owed::Bind(Step::boxed(undo, prepared).map(|step| Box::new(Step { widened, ..*step })));
        match column {
            Column::None => self.send(message, message, owed, to_server),
            column => {
                let mut sent = Vec::with_capacity(message.len() + 4);
                frontend::write_bind(&mut sent, message, &view, column == Column::Whole);
                self.send(message, &sent, owed, to_server);
            }
        }
        Ok(Sent::Yes)
    }

    fn execute_message(&mut self, message: &[u8], to_server: &mut Vec<u8>) -> Result<(), WireError> {
        let (portal, limit) = frontend::execute(message)?;
        let Some(prepared) = self.shelves.portal(portal).cloned() else {
            self.batch.other();
            self.send(message, message, Owed::Execute(None), to_server);
            return Ok(());
        };
        let mut undo = Undo::default();
        self.apply(&prepared.planned, &mut undo);
        let mut running = Box::new(Running::portal(&prepared, vec![undo], limit));
        running.again = self.second_run.clone();
        let stage = prepared.planned.body.stage.as_deref();
        for sql in stage.iter().flat_map(|stage| &stage.before) {
            compose::write_statement(to_server, sql, &[]);
        }
        let owed = Owed::Execute(Some(running));
        if prepared.planned.body.column == Column::Whole {
            if self.shelves.spend(portal) && self.transaction != Transaction::Failed {
                // With the guard's result the server could run it again, and would say that nothing was written.
                compose::write_spent_portal(to_server, portal);
                for owed in [Owed::Close(None), Owed::Parse(None), Owed::Bind(None), Owed::Execute(None)] {
                    self.queue.push(owed, true);
                }
            }
            // A statement without a result cannot be suspended; with the guard column it could. No limit, then.
            let mut sent = message.to_vec();
            let at = sent.len() - 4;
            sent[at..].fill(0);
            self.send(message, &sent, owed, to_server);
        } else {
            self.send(message, message, owed, to_server);
        }
        if let Some(stage) = stage {
            let mut behind = Vec::new();
            for sql in &stage.after {
                compose::write_statement(&mut behind, sql, &[]);
            }
            match stage.stdin {
                true => self.behind_copy = Some(behind),
                false => self.send_behind(behind, to_server),
            }
        }
        self.batch.executes();
        Ok(())
    }

    /// Sends the statements behind a staged COPY. Their replies belong to its `Execute`, up to the last `CommandComplete`; two `CloseComplete`s follow.
    fn send_behind(&mut self, mut behind: Vec<u8>, to_server: &mut Vec<u8>) {
        to_server.append(&mut behind);
        self.queue.push(Owed::Close(None), true);
        self.queue.push(Owed::Close(None), true);
    }

    /// The end of the data of a staged COPY: what is to be done with the rows follows. Not before the server has said that it takes data, since
    /// else it may have failed, and be at the client's next messages already.
    fn copy_done(&mut self, message: &[u8], to_server: &mut Vec<u8>, to_client: &mut Vec<u8>) -> Sent {
        if self.behind_copy.is_some() && !self.queue.copying_in() {
            self.waiting = true;
            return Sent::Held;
        }
        self.forwarded(message[0], to_client);
        to_server.extend_from_slice(message);
        if let Some(behind) = self.behind_copy.take() {
            self.send_behind(behind, to_server);
        }
        Sent::Yes
    }

    /// The plan for a text, or a question to the server that must be answered first.
    fn planning(
        &mut self,
        text: &[u8],
        undo: Option<&mut Vec<Undo>>,
        to_server: &mut Vec<u8>,
    ) -> Result<Option<Arc<Plan>>, Held> {
        // In a failed transaction nothing can be asked, and nothing be written, until the client rolls back.
        let answerable = self.transaction != Transaction::Failed || !self.queue.is_empty();
        let asked_in_vain = std::mem::take(&mut self.unanswerable);
        let may_ask = answerable && !asked_in_vain;
        if may_ask && self.related_wanted() {
            self.ask(About::Related(Arc::clone(&self.in_force.rules)), to_server);
            return Err(Held);
        }
        match self.plan(text, undo, may_ask) {
            Planning::Plain => Ok(None),
            Planning::Ready(plan) => Ok(Some(plan)),
            Planning::Ask(about) => {
                self.ask(about, to_server);
                Err(Held)
            }
        }
    }

    /// Asks the server. The client's message at hand waits.
    pub(super) fn ask(&mut self, about: About, to_server: &mut Vec<u8>) {
        self.ask_once_more(about, false, to_server);
    }

    pub(super) fn ask_once_more(&mut self, about: About, repeated: bool, to_server: &mut Vec<u8>) {
        self.close_own(to_server);
        let ending = if self.pipeline_open { Ending::Flush } else { Ending::Sync };
        let mut ask = |sql, parameter: String| compose::write_question(to_server, sql, &[&parameter], ending);
        match &about {
            About::Related(rules) => {
                let tables: Vec<QualifiedName> = rules.tables.iter().map(|t| t.qualified_name()).collect();
                ask(question::RELATED, question::encode_names(&tables));
            }
            About::Identity(inquiry) => ask(question::IDENTIFY, question::encode_asked(&inquiry.asked())),
            About::Facts(inquiry, _) => ask(question::RESOLVE, question::encode_asked(&inquiry.asked())),
            About::Preparation(again) => {
                compose::write_preparation(to_server, &again.name, &again.text, again.types.as_deref(), ending);
            }
        }
        self.queue.push(Owed::Question(Question::new(about, ending, repeated)), true);
        self.waiting = true;
    }

    /// Closes what an error has left of a statement of ours, as soon as the server listens again.
    fn close_own(&mut self, to_server: &mut Vec<u8>) {
        if self.unclosed && !self.queue.skipping() {
            self.unclosed = false;
            compose::write_close_own(to_server);
            self.queue.push(Owed::Close(None), true);
        }
    }
}

/// The message at hand waits for an answer.
struct Held;

/// Whether a statement may write anything. It may not if it begins with `SELECT`, as nearly all that do not do.
fn may_write(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    !text.get(..6).is_some_and(|word| word.eq_ignore_ascii_case(b"select"))
}

/// Messages that await an answer only at `Sync` or `Flush`.
fn extended(tag: u8) -> bool {
    matches!(tag, tag::PARSE | tag::BIND | tag::DESCRIBE | tag::EXECUTE | tag::CLOSE)
}
