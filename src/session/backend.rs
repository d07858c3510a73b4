//! What the server answers: forwarded as it came, but for the replies to guarded statements and to questions of our own.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    SessionError,
    exchange::{Exchange, Transaction, by},
    names::{About, Question},
    owed::{Entry, Owed},
    plan::Column,
    running::Teller,
};
use crate::{
    catalog::question,
    observe::{RetryReason, Side, WriteResult},
    wire::{
        WireError,
        backend::{self, tag},
        frame,
    },
};

/// How long a session waits with a question about related names that failed.
const RELATED_PAUSE: Duration = Duration::from_secs(5);

/// How a message is handled.
enum Look {
    /// Forward it as it comes.
    Forward,
    /// Drop it as it comes.
    Drop,
    /// Handle it when all of it is here.
    Whole,
}

impl Exchange {
    /// Takes bytes from the server, appends to `to_client` what goes on, and to `to_server` what is sent a second time.
    ///
    /// # Errors
    /// Bytes that are no message of the protocol, or a message that answers nothing, end the session.
    pub(super) fn backend(
        &mut self,
        input: &[u8],
        to_client: &mut Vec<u8>,
        to_server: &mut Vec<u8>,
    ) -> Result<(), SessionError> {
        self.bytes.to_client(input.len());
        if self.identity.opaque {
            to_client.extend_from_slice(input);
            return Ok(());
        }
        let mut pending = std::mem::take(&mut self.from_server.pending);
        if pending.is_empty() {
            let used = self.backend_frames(input, to_client, to_server)?;
            pending.extend_from_slice(&input[used..]);
        } else {
            pending.extend_from_slice(input);
            let used = self.backend_frames(&pending, to_client, to_server)?;
            if used > 0 {
                pending.drain(..used);
                pending.shrink_to(frame::SMALL_LENGTH as usize);
            }
        }
        self.from_server.pending = pending;
        Ok(())
    }

    fn backend_frames(
        &mut self,
        bytes: &[u8],
        to_client: &mut Vec<u8>,
        to_server: &mut Vec<u8>,
    ) -> Result<usize, SessionError> {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            if self.from_server.forward > 0 {
                let n = rest.len().min(self.from_server.forward);
                to_client.extend_from_slice(&rest[..n]);
                self.from_server.forward -= n;
                at += n;
                continue;
            }
            if self.from_server.discard > 0 {
                let n = rest.len().min(self.from_server.discard);
                self.from_server.discard -= n;
                at += n;
                continue;
            }
            let Some((tag, length)) = frame::header(rest).map_err(by(Side::Server))? else { break };
            match self.backend_look(tag)? {
                Look::Forward => self.from_server.forward = length,
                Look::Drop => self.from_server.discard = length,
                Look::Whole if rest.len() < length => break,
                Look::Whole => {
                    self.backend_message(&rest[..length], to_client, to_server)?;
                    at += length;
                }
            }
        }
        Ok(at)
    }

    /// Decides how a message is handled, and notes what it answers if its type alone tells all.
    fn backend_look(&mut self, tag: u8) -> Result<Look, SessionError> {
        match tag {
            tag::ERROR_RESPONSE | tag::NOTICE_RESPONSE | tag::PARAMETER_STATUS | tag::READY_FOR_QUERY => {
                return Ok(Look::Whole);
            }
            tag::NOTIFICATION_RESPONSE | tag::AUTHENTICATION | tag::NEGOTIATE_PROTOCOL_VERSION => {
                return Ok(Look::Forward);
            }
            tag::BACKEND_KEY_DATA => return Ok(Look::Whole),
            _ => {}
        }
        let Some(Entry { kind, hidden }) = self.queue.head() else { return Err(unexpected(tag, "nothing")) };
        let hidden = *hidden;
        let shown = if hidden { Look::Drop } else { Look::Forward };
        match (tag, kind) {
            (_, Owed::Question(_)) => return Ok(Look::Whole),
            (tag::DATA_ROW, Owed::Query(None) | Owed::Execute(None)) => return Ok(shown),
            (tag::COPY_DATA | tag::COPY_DONE, Owed::Query(_) | Owed::Execute(_)) => return Ok(shown),
            (tag::ROW_DESCRIPTION | tag::DATA_ROW, Owed::Query(Some(running)) | Owed::Execute(Some(running))) => {
                return Ok(if running.column() == Column::None { shown } else { Look::Whole });
            }
            (tag::ROW_DESCRIPTION, Owed::Query(None)) => return Ok(shown),
            (tag::COMMAND_COMPLETE, Owed::Query(Some(_)) | Owed::Execute(Some(_))) => return Ok(Look::Whole),
            (tag::COMMAND_COMPLETE | tag::EMPTY_QUERY_RESPONSE, Owed::Query(None)) => return Ok(shown),
            (tag::EMPTY_QUERY_RESPONSE, Owed::Query(Some(_))) => return Ok(shown),
            (tag::COPY_IN_RESPONSE, Owed::Query(_) | Owed::Execute(_)) => {
                self.queue.copy_in_started();
                // The client sends its data only once: nothing is run again from here on.
                self.batch.other();
                if self.behind_copy.is_some() {
                    self.waiting = false;
                }
                return Ok(shown);
            }
            // Those of the statements around a staged COPY; the client has had its own.
            (tag::PARSE_COMPLETE | tag::BIND_COMPLETE | tag::CLOSE_COMPLETE, Owed::Execute(Some(running)))
                if running.staged().is_some() =>
            {
                return Ok(Look::Drop);
            }
            (tag::COPY_OUT_RESPONSE | tag::COPY_BOTH_RESPONSE, Owed::Query(_) | Owed::Execute(_)) => return Ok(shown),
            (tag::FUNCTION_CALL_RESPONSE, Owed::FunctionCall) => return Ok(shown),
            (tag::PARAMETER_DESCRIPTION, Owed::Describe(_)) => return Ok(shown),
            (tag::ROW_DESCRIPTION, Owed::Describe(Some(_))) => return Ok(Look::Whole),
            (tag::ROW_DESCRIPTION | tag::NO_DATA, Owed::Describe(_))
            | (tag::PARSE_COMPLETE, Owed::Parse(_))
            | (tag::BIND_COMPLETE, Owed::Bind(_))
            | (tag::CLOSE_COMPLETE, Owed::Close(_))
            | (tag::COMMAND_COMPLETE | tag::EMPTY_QUERY_RESPONSE | tag::PORTAL_SUSPENDED, Owed::Execute(None)) => {}
            (tag::EMPTY_QUERY_RESPONSE | tag::PORTAL_SUSPENDED, Owed::Execute(Some(_))) => return Ok(Look::Whole),
            (tag, owed) => return Err(unexpected(tag, owed.name())),
        }
        self.answered();
        Ok(shown)
    }

    /// The head has its whole answer.
    fn answered(&mut self) -> Option<Entry> {
        let entry = self.queue.pop();
        if entry.as_ref().is_some_and(|e| !e.hidden) {
            self.batch.answered();
        }
        entry
    }

    fn backend_message(
        &mut self,
        message: &[u8],
        to_client: &mut Vec<u8>,
        to_server: &mut Vec<u8>,
    ) -> Result<(), SessionError> {
        match message[0] {
            tag::ERROR_RESPONSE => return self.error(message, to_client),
            tag::NOTICE_RESPONSE => return self.notice(message, to_client),
            tag::PARAMETER_STATUS => {
                self.parameter_status(message).map_err(by(Side::Server))?;
                to_client.extend_from_slice(message);
                return Ok(());
            }
            tag::BACKEND_KEY_DATA => {
                self.identity.server_pid = message
                    .get(frame::HEADER..frame::HEADER + 4)
                    .and_then(|pid| pid.try_into().ok())
                    .map(i32::from_be_bytes);
                to_client.extend_from_slice(message);
                return Ok(());
            }
            tag::READY_FOR_QUERY => return self.ready_for_query(message, to_client, to_server),
            _ => {}
        }
        match self.queue.head() {
            Some(Entry { kind: Owed::Question(_), .. }) => self.question_reply(message, to_server),
            Some(Entry { kind: Owed::Describe(prepared), hidden }) => {
                let column = prepared.as_ref().map_or(Column::None, |p| p.planned.body.column);
                let hidden = *hidden;
                if !hidden {
                    describe(column, message, to_client).map_err(by(Side::Server))?;
                }
                self.answered();
                Ok(())
            }
            Some(Entry { kind: Owed::Query(Some(_)) | Owed::Execute(Some(_)), .. }) => {
                self.running_reply(message, to_client).map_err(by(Side::Server))
            }
            other => Err(unexpected(message[0], other.map_or("nothing", |e| e.kind.name()))),
        }
    }

    /// A row or the end of a statement of interest.
    fn running_reply(&mut self, message: &[u8], to_client: &mut Vec<u8>) -> Result<(), WireError> {
        let Self { queue, context, identity, lex, writes, .. } = self;
        let Some(entry) = queue.head() else { return Ok(()) };
        let hidden = entry.hidden;
        let (running, portal) = match &mut entry.kind {
            Owed::Query(Some(running)) => (running, false),
            Owed::Execute(Some(running)) => (running, true),
            _ => return Ok(()),
        };
        let mut teller = Teller { context, identity, lex: *lex, writes };
        if matches!(message[0], tag::ROW_DESCRIPTION | tag::DATA_ROW) {
            return running.row(message, &mut teller, (!hidden).then_some(to_client));
        }
        if !running.complete(message, &mut teller, to_client) {
            return Ok(());
        }
        for suspect in running.again.take().iter().flat_map(|s| s.iter()) {
            // The client's own statement is fine: it was the guard that broke it.
            context.breakers.open(suspect);
            context.metrics.retry(RetryReason::GuardFailed);
            let table = suspect.metrics.name();
            tracing::error!(session = identity.session, table, "a guard broke a statement, which ran without it");
        }
        if portal {
            self.answered();
        }
        Ok(())
    }

    fn question_reply(&mut self, message: &[u8], to_server: &mut Vec<u8>) -> Result<(), SessionError> {
        let Some(Entry { kind: Owed::Question(question), .. }) = self.queue.head() else { return Ok(()) };
        match message[0] {
            tag::DATA_ROW => {
                question.answer = backend::single_column(message).map_err(by(Side::Server))?.map(<[u8]>::to_vec);
            }
            tag::CLOSE_COMPLETE => question.closed += 1,
            tag::PARSE_COMPLETE | tag::BIND_COMPLETE | tag::COMMAND_COMPLETE => {}
            tag => return Err(unexpected(tag, "a question of chronoguard")),
        }
        if question.closed == question.closes() && !question.ends_with_sync() {
            self.question_answered(to_server);
        }
        Ok(())
    }

    /// The last reply to a question was seen. What it answers may lead to another question.
    fn question_answered(&mut self, to_server: &mut Vec<u8>) {
        self.waiting = false;
        let Some(Entry { kind: Owed::Question(question), .. }) = self.queue.pop() else { return };
        if question.in_vain() && !question.repeated {
            // A cancel request that was meant for the client's statement, or one for the statement before, may have met the question.
            self.ask_once_more(question.about, true, to_server);
            return;
        }
        match self.learn(*question) {
            Ok(None) => {}
            Ok(Some(next)) => self.ask(next, to_server),
            Err(error) => {
                self.unanswerable = true;
                tracing::warn!(session = self.identity.session, %error, "a question of chronoguard failed");
            }
        }
    }

    fn learn(&mut self, question: Question) -> Result<Option<About>, QuestionError> {
        let in_vain = question.in_vain();
        let database = &self.identity.database;
        let answer = question.answer.map(|a| String::from_utf8_lossy(&a).into_owned());
        match question.about {
            About::Preparation(again) if in_vain => {
                self.shelves.undo(again.undo);
                Err(QuestionError::NotPrepared)
            }
            About::Preparation(_) => Ok(None),
            About::Related(rules) => {
                let related = answer.ok_or(QuestionError::NoAnswer).and_then(|a| Ok(question::decode_related(&a)?));
                match related {
                    Ok(related) => {
                        self.database = self.context.databases.learn(database, &rules, related);
                        Ok(None)
                    }
                    Err(error) => {
                        // What was known stays; this session does not ask again for every statement.
                        self.related_pause = Some(Instant::now() + RELATED_PAUSE);
                        Err(QuestionError::Related(error.to_string()))
                    }
                }
            }
            About::Identity(inquiry) => {
                let identified =
                    question::decode_identified(&answer.ok_or(QuestionError::NoAnswer)?, &inquiry.asked())?;
                let known: Option<Vec<_>> =
                    identified.iter().map(|i| self.context.databases.facts(database, i)).collect();
                let Some(known) = known else { return Ok(Some(About::Facts(inquiry, identified))) };
                for ((key, _), resolved) in inquiry.0.into_iter().zip(known) {
                    self.names.learn(key, resolved);
                }
                Ok(None)
            }
            About::Facts(inquiry, identified) => {
                let resolved = question::decode_resolved(&answer.ok_or(QuestionError::NoAnswer)?, &inquiry.asked())?;
                for (((key, _), identified), resolved) in inquiry.0.into_iter().zip(identified).zip(resolved) {
                    let resolved = self.context.databases.keep(database, identified, resolved);
                    self.names.learn(key, resolved);
                }
                Ok(None)
            }
        }
    }

    fn notice(&mut self, message: &[u8], to_client: &mut Vec<u8>) -> Result<(), SessionError> {
        let Self { queue, context, identity, lex, writes, .. } = self;
        if let Some(Entry { kind: Owed::Query(Some(running)) | Owed::Execute(Some(running)), .. }) = queue.head() {
            let mut teller = Teller { context, identity, lex: *lex, writes };
            if running.takes_notice(message, &mut teller).map_err(by(Side::Server))? {
                return Ok(());
            }
            if let Some(staged) = running.staged() {
                let fields = backend::fields(message).map_err(by(Side::Server))?;
                backend::write_fields(to_client, tag::NOTICE_RESPONSE, &staged.notice(&fields));
                return Ok(());
            }
        }
        to_client.extend_from_slice(message);
        Ok(())
    }

    fn parameter_status(&mut self, message: &[u8]) -> Result<(), crate::wire::WireError> {
        let (name, value) = backend::parameter_status(message)?;
        match name {
            b"standard_conforming_strings" => self.lex.standard_conforming_strings = value == b"on",
            b"client_encoding" => {
                self.ascii_safe = ascii_safe(value);
                self.utf8 = value == b"UTF8";
            }
            b"application_name" => self.identity.application_name = String::from_utf8_lossy(value).into_owned(),
            // Reported from PostgreSQL 18.
            b"search_path" => self.names.forget(),
            _ => {}
        }
        Ok(())
    }

    fn ready_for_query(
        &mut self,
        message: &[u8],
        to_client: &mut Vec<u8>,
        to_server: &mut Vec<u8>,
    ) -> Result<(), SessionError> {
        let status = message.get(frame::HEADER).copied().unwrap_or(b'I');
        let before = self.transaction;
        self.transaction = match status {
            b'T' => Transaction::Open,
            b'E' => Transaction::Failed,
            _ => Transaction::Idle,
        };
        match self.queue.head() {
            Some(Entry { kind: Owed::Question(_), .. }) => {
                self.transaction = before;
                self.question_answered(to_server);
                return Ok(());
            }
            Some(Entry { kind: Owed::Sync | Owed::Query(_) | Owed::FunctionCall, .. }) => {}
            other => return Err(unexpected(tag::READY_FOR_QUERY, other.map_or("nothing", |e| e.kind.name()))),
        }
        if self.batch.drains {
            self.queue.pop();
            self.run_again(to_server, to_client);
            return Ok(());
        }
        self.queue.pop();
        let failed = std::mem::take(&mut self.failed_since_ready);
        if !self.started {
            self.started = true;
            self.open.opened();
        }
        if self.transaction == Transaction::Idle {
            let taken_back = before == Transaction::Failed || failed;
            self.writes.end(if taken_back { WriteResult::RolledBack } else { WriteResult::Committed });
            if std::mem::take(&mut self.names_changed) {
                self.names.forget();
            }
            if std::mem::take(&mut self.relations_changed) {
                self.context.databases.forget(&self.identity.database);
            }
        }
        to_client.extend_from_slice(message);
        Ok(())
    }
}

/// The `RowDescription` of a guarded statement, as the client's own statement would have had it.
fn describe(column: Column, message: &[u8], to_client: &mut Vec<u8>) -> Result<(), crate::wire::WireError> {
    match column {
        Column::None => to_client.extend_from_slice(message),
        Column::Whole => to_client.extend_from_slice(&backend::NO_DATA),
        Column::Last => backend::cut_row_description(to_client, message)?,
    }
    Ok(())
}

/// Whether every byte below 0x80 in this encoding is the ASCII character it looks like. The others are client-only encodings.
///
/// Source: PostgreSQL docs, `multibyte.html#CHARSET-TABLE`, column "Server?".
fn ascii_safe(encoding: &[u8]) -> bool {
    !matches!(encoding, b"SJIS" | b"SHIFT_JIS_2004" | b"BIG5" | b"GBK" | b"GB18030" | b"UHC" | b"JOHAB")
}

fn unexpected(tag: u8, expected: &str) -> SessionError {
    SessionError::Unexpected { tag: tag as char, expected: expected.to_owned() }
}

/// Why an answer about the catalog is of no use.
#[derive(Debug, thiserror::Error)]
enum QuestionError {
    /// The server answered with an error, or with no row.
    #[error("the server gave no answer")]
    NoAnswer,
    /// Names that lead to guarded tables stay unknown for a while.
    #[error("partitions and views of guarded tables are unknown: {0}")]
    Related(String),
    /// The server goes on with the old text, or has none any more.
    #[error("a statement could not be prepared anew for the rules in force")]
    NotPrepared,
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] question::CatalogError),
}
