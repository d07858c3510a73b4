//! `ErrorResponse`s: verdicts are translated, positions are those of the client's text, and a statement that the guard may have broken runs again
//! without it (see `retry`).

use std::sync::Arc;

use super::{
    SessionError,
    breaker::Suspect,
    exchange::{Exchange, by},
    names::About,
    owed::{Alone, Entry, Owed},
    plan::{Body, Column},
    prepared::{Step, Undo},
    running::{Running, Teller},
    staged::Staged,
};
use crate::{
    observe::Side,
    sql::splice::{CharWidth, Position},
    wire::{
        backend::{self, tag},
        compose,
        frontend::{self, tag as frontend_tag},
    },
};

impl Exchange {
    /// Handles an `ErrorResponse`.
    ///
    /// # Errors
    /// A malformed message.
    pub(super) fn error(&mut self, message: &[u8], to_client: &mut Vec<u8>) -> Result<(), SessionError> {
        let fields = backend::fields(message).map_err(by(Side::Server))?;
        let severity = backend::field(&fields, b'V').or_else(|| backend::field(&fields, b'S')).unwrap_or_default();
        let sqlstate = backend::field(&fields, b'C').unwrap_or_default();
        self.fatal |= matches!(severity, b"FATAL" | b"PANIC");
        self.failed_since_ready = true;
        if let Some(Entry { kind: Owed::Question(question), .. }) = self.queue.head()
            && question.ends_with_sync()
            && !self.fatal
        {
            // Its ReadyForQuery follows; the client has nothing to do with it.
            self.unclosed = true;
            return Ok(());
        }
        if self.translated(&fields, to_client) {
            self.drop_failed();
            return Ok(());
        }
        let (at, position) = self.client_position(&fields);
        if !self.fatal && self.guard_suspected(at, sqlstate) && self.second_run_follows(message) {
            return Ok(());
        }
        let widened = sqlstate == b"08P01"
            && matches!(self.queue.head(), Some(Entry { kind: Owed::Bind(Some(step)), .. }) if step.widened);
        self.settle(at, sqlstate);
        match position {
            None if widened => write_narrowed(to_client, &fields),
            None if self.staged().is_none() => to_client.extend_from_slice(message),
            position => {
                let position = position.unwrap_or(0);
                let text = position.to_string();
                let fields: Vec<(u8, &[u8])> = fields
                    .iter()
                    .filter(|(kind, _)| *kind != b'P' || position > 0)
                    .map(|(kind, value)| (*kind, if *kind == b'P' { text.as_bytes() } else { *value }))
                    .collect();
                match self.staged() {
                    Some(staged) => backend::write_fields(to_client, tag::ERROR_RESPONSE, &staged.error(&fields)),
                    None => backend::write_fields(to_client, tag::ERROR_RESPONSE, &fields),
                }
            }
        }
        self.drop_failed();
        Ok(())
    }

    /// The staged COPY that replies now.
    fn staged(&mut self) -> Option<&Staged> {
        match &self.queue.head()?.kind {
            Owed::Query(Some(running)) | Owed::Execute(Some(running)) => running.staged(),
            _ => None,
        }
    }

    /// Writes what the client gets if the error is a verdict of a guard.
    fn translated(&mut self, fields: &[(u8, &[u8])], to_client: &mut Vec<u8>) -> bool {
        let Self { queue, context, identity, lex, writes, .. } = self;
        let Some(entry) = queue.head() else { return false };
        let mut made;
        let running = match &mut entry.kind {
            Owed::Query(Some(running)) | Owed::Execute(Some(running)) => running,
            // A refused statement already fails while it is analyzed.
            Owed::Parse(Some(step)) | Owed::Bind(Some(step)) => match &step.prepared {
                Some(prepared) => {
                    made = Running::portal(prepared, Vec::new(), 0);
                    &mut made
                }
                None => return false,
            },
            _ => return false,
        };
        let mut teller = Teller { context, identity, lex: *lex, writes };
        let refused = running.refusal(fields, &mut teller, to_client);
        if refused {
            running.failed(b"23514", true);
        }
        refused
    }

    /// Where the error points: whether into our text, and the position in the client's text if it is not the one in the message (0: nowhere).
    fn client_position(&mut self, fields: &[(u8, &[u8])]) -> (At, Option<usize>) {
        let position = backend::field(fields, b'P').and_then(|p| std::str::from_utf8(p).ok()?.parse::<usize>().ok());
        let width = if self.utf8 { CharWidth::Utf8 } else { CharWidth::Single };
        let sqlstate = backend::field(fields, b'C').unwrap_or_default();
        if self.staged().is_some_and(|staged| staged.broke(sqlstate)) {
            return (At::Guard, Some(0));
        }
        let (Some(position), Some(entry)) = (position, self.queue.head()) else { return (At::Unknown, None) };
        let mapped = match &entry.kind {
            Owed::Query(Some(running)) | Owed::Execute(Some(running)) => running.position(position, width),
            Owed::Parse(Some(step)) | Owed::Bind(Some(step)) => {
                step.prepared.as_ref().and_then(|p| p.plan.as_ref()).and_then(|plan| plan.position(position, width))
            }
            Owed::Describe(Some(prepared)) => prepared.plan.as_ref().and_then(|plan| plan.position(position, width)),
            _ => None,
        };
        match mapped {
            None => (At::Unknown, None),
            Some(Position::Client(p)) => (At::Client, Some(p)),
            Some(Position::Guard) => (At::Guard, Some(0)),
        }
    }

    /// What failed.
    fn failed_body(&mut self) -> Option<Arc<Body>> {
        let prepared = match self.queue.head().map(|e| &e.kind)? {
            Owed::Query(Some(running)) | Owed::Execute(Some(running)) => return running.body(),
            Owed::Parse(Some(step)) | Owed::Bind(Some(step)) => step.prepared.as_ref()?,
            Owed::Describe(Some(prepared)) => prepared,
            _ => return None,
        };
        Some(Arc::clone(&prepared.planned.body))
    }

    /// The guards in what failed.
    fn failed_guards(&mut self) -> Vec<Suspect> {
        self.failed_body().map(|body| body.guards()).unwrap_or_default()
    }

    /// Whether the guard may be to blame: the catalog changed under it, a privilege is gone, a rule's own text raised. What the client's own text
    /// did wrong it does wrong again in the second run.
    fn guard_suspected(&mut self, at: At, sqlstate: &[u8]) -> bool {
        if at == At::Client || self.failed_guards().is_empty() {
            return false;
        }
        if self.staged().is_some_and(|staged| staged.may_be_left_out(sqlstate)) {
            return true;
        }
        // With a RETURNING of its own the client's statement fails in the same way ("cached plan must not change result type").
        if sqlstate == b"0A000" && self.failed_body().is_some_and(|body| body.column == Column::Last) {
            return false;
        }
        let class = sqlstate.get(..2).unwrap_or_default();
        // What the compiler writes raises on no value; what a rule file says may.
        let raised = class == b"22" && self.failed_body().is_some_and(|body| body.has_raw_sql());
        at == At::Guard || raised || matches!(class, b"42" | b"0A" | b"54") || sqlstate == b"XX000"
    }

    /// Holds the error back if the client's own statement can be run again without harm.
    fn second_run_follows(&mut self, message: &[u8]) -> bool {
        if !self.batch.is_recorded() {
            return false;
        }
        let running_alone = match self.queue.head().map(|e| &e.kind) {
            Some(Owed::Query(Some(running)) | Owed::Execute(Some(running))) => running.alone(),
            _ => true,
        };
        let alone = self.queue.alone();
        if !running_alone || alone == Alone::No {
            return false;
        }
        self.suspects = self.failed_guards().into();
        self.batch.hold(message, alone == Alone::Ends);
        self.drop_failed();
        // Until the first run is over nothing of the client may overtake the second one.
        self.waiting = alone == Alone::Ends;
        true
    }

    /// An error that goes to the client: what it says about guards and statistics.
    fn settle(&mut self, at: At, sqlstate: &[u8]) {
        if at == At::Guard {
            for suspect in self.failed_guards() {
                self.context.breakers.open(&suspect);
                let table = suspect.metrics.name();
                tracing::error!(session = self.identity.session, table, "a guard broke a statement in a transaction");
            }
        }
        if sqlstate.starts_with(b"42") {
            self.names.forget();
        }
        let Some(Entry { kind: Owed::Query(Some(running)) | Owed::Execute(Some(running)), .. }) = self.queue.head()
        else {
            return;
        };
        running.failed(sqlstate, false);
        // A second run that fails too: the guard was not to blame.
        running.again = None;
    }

    /// The head has failed; in a pipeline everything up to `Sync` with it.
    fn drop_failed(&mut self) {
        if let Some(Entry { kind: Owed::Query(Some(running)), .. }) = self.queue.head() {
            for undo in running.undone().into_iter().rev() {
                self.shelves.undo(undo);
            }
            return;
        }
        for entry in self.queue.fail().into_iter().rev() {
            match entry.kind {
                Owed::Parse(Some(step)) | Owed::Bind(Some(step)) => self.shelves.undo(step.undo),
                Owed::Close(Some(undo)) => self.shelves.undo(*undo),
                Owed::Execute(Some(mut running)) => {
                    if running.staged().is_some() {
                        self.unclosed = true;
                        // A CopyDone may have waited for the server to take data.
                        if self.behind_copy.take().is_some() {
                            self.waiting = false;
                        }
                    }
                    for undo in running.undone().into_iter().rev() {
                        self.shelves.undo(undo);
                    }
                }
                Owed::Question(question) => {
                    self.unclosed = true;
                    self.waiting = false;
                    if let About::Preparation(again) = question.about {
                        self.shelves.undo(again.undo);
                    }
                }
                _ => {}
            }
        }
    }

    /// The error of a first run goes to the client after all.
    pub(super) fn release_held_error(&mut self, to_client: &mut Vec<u8>) {
        if let Some(message) = self.batch.release() {
            to_client.extend_from_slice(&message);
        }
    }

    /// The first run is over: the client's messages are sent again, without the guard.
    pub(super) fn run_again(&mut self, to_server: &mut Vec<u8>, to_client: &mut Vec<u8>) {
        self.waiting = false;
        let Some(again) = self.batch.take() else { return };
        self.second_run = Some(std::mem::take(&mut self.suspects));
        self.unanswerable = true;
        let extended = again.messages.first().is_some_and(|m| m[0] != frontend_tag::QUERY);
        for (number, message) in again.messages.iter().enumerate() {
            self.hiding = number < again.answered;
            match message[0] {
                frontend_tag::BIND if number == 0 => self.prepare_again(message, to_server),
                frontend_tag::PARSE if self.hiding => {
                    if let Ok(parse) = frontend::parse(message)
                        && !parse.name.is_empty()
                    {
                        compose::write_close_statement(to_server, parse.name);
                        self.queue.push(Owed::Close(None), true);
                    }
                }
                _ => {}
            }
            self.unanswerable = true;
            self.frontend_message(message, to_server, to_client);
        }
        self.hiding = false;
        self.second_run = None;
        self.unanswerable = false;
        // What broke the guard is asked anew for the next statement.
        self.names.forget();
        if extended {
            self.pipeline_open = false;
            self.queue.push(Owed::Sync, false);
            to_server.extend_from_slice(&[frontend_tag::SYNC, 0, 0, 0, 4]);
        }
    }

    /// Makes the plan of the statement that a `Bind` names anew, and prepares it anew where another text comes of it. A statement whose text stays is left
    /// alone: the server keeps its plan, and its answer where the result type has changed.
    pub(super) fn prepare_again(&mut self, bind: &[u8], to_server: &mut Vec<u8>) {
        let Ok((_, name)) = frontend::bind_names(bind) else { return };
        let Some(prepared) = self.shelves.statement(name).cloned() else { return };
        // One prepared by SQL is prepared anew by a question, before this.
        if prepared.plan.is_none() {
            return;
        }
        let plan = self.plan(&prepared.text, None, false);
        let (made, text) = self.remade(&prepared, plan);
        if let Some(text) = &text {
            if !name.is_empty() {
                compose::write_close_statement(to_server, name);
                self.queue.push(Owed::Close(None), true);
            }
            frontend::write_parse(to_server, name, text, &prepared.types);
        }
        let mut undo = Undo::default();
        self.shelves.shelve(name, Arc::clone(&made), &mut undo);
        if text.is_some() {
            self.pipeline_open = true;
            self.queue.push(Owed::Parse(Step::boxed(undo, Some(made))), true);
        }
    }
}

/// "bind message has 3 result formats but query has 4 columns", in whatever language: the guard column and its format are not the client's.
fn write_narrowed(to_client: &mut Vec<u8>, fields: &[(u8, &[u8])]) {
    let message = backend::field(fields, b'M').unwrap_or_default();
    let mut text = Vec::with_capacity(message.len());
    for run in message.chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit()) {
        match std::str::from_utf8(run).ok().and_then(|digits| digits.parse::<u64>().ok()) {
            Some(number) => text.extend_from_slice(number.saturating_sub(1).to_string().as_bytes()),
            None => text.extend_from_slice(run),
        }
    }
    let fields: Vec<(u8, &[u8])> = fields.iter().map(|(k, v)| (*k, if *k == b'M' { &text[..] } else { *v })).collect();
    backend::write_fields(to_client, tag::ERROR_RESPONSE, &fields);
}

/// Whose text an error points into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// It does not say, or nothing was spliced.
    Unknown,
    /// The client's own.
    Client,
    /// Ours.
    Guard,
}
