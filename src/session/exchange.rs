//! The protocol state of one session between its two sockets: bytes in, bytes out, no I/O.
//!
//! `frontend` handles what the client sends, `backend` what the server answers; both forward what is not theirs to change as it came.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    SessionError,
    breaker::Suspect,
    context::{Context, Identity},
    names::{DatabaseNames, KnownNames},
    owed::{Owed, Queue},
    pending::PendingWrites,
    planner::Delivery,
    prepared::Shelves,
    retry::Batch,
};
use crate::{
    control::InForce,
    observe::{ByteCounts, OpenSession, Side},
    rules::set::Exemption,
    sql::write::LexOptions,
    wire::WireError,
};

/// Transaction status as `ReadyForQuery` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transaction {
    /// `I`: none is open.
    Idle,
    /// `T`: one is open.
    Open,
    /// `E`: one is open and has failed.
    Failed,
}

/// Where a stream of frames stands.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// Received and not yet handled: a part of a frame, or all that is behind a held message.
    pub(super) pending: Vec<u8>,
    /// Bytes of the current frame that are still to be forwarded as they come.
    pub(super) forward: usize,
    /// Bytes of the current frame that are still to be dropped.
    pub(super) discard: usize,
    /// A whole message in `pending` waited for an answer of the server.
    pub(super) held: bool,
}

impl Stream {
    /// No frame is in the middle of being forwarded.
    fn at_boundary(&self) -> bool {
        self.forward == 0
    }
}

/// One session's protocol state.
pub(super) struct Exchange {
    pub(super) context: Arc<Context>,
    pub(super) identity: Identity,
    /// The rules that the session goes by, and whether they act.
    pub(super) in_force: Arc<InForce>,
    /// The exemptions among them that may be for this session.
    pub(super) exemptions: Arc<[Arc<Exemption>]>,
    pub(super) database: Arc<DatabaseNames>,
    pub(super) names: KnownNames,
    /// What a name means changed inside the open transaction: its end may change it back.
    pub(super) names_changed: bool,
    /// A DDL statement that may have made or renamed relations is under way.
    pub(super) relations_changed: bool,
    pub(super) queue: Queue,
    pub(super) shelves: Shelves,
    pub(super) transaction: Transaction,
    /// Extended-protocol messages were sent since the last `Sync`.
    pub(super) pipeline_open: bool,
    /// How the text that is being planned comes to the server.
    pub(super) delivery: Delivery,
    /// What is sent behind the client's `CopyDone`, for a staged COPY in the extended protocol that takes data, or will.
    pub(super) behind_copy: Option<Vec<u8>>,
    /// An error has come between a statement of ours and its `Close`: prepared statements outlive it.
    pub(super) unclosed: bool,
    /// A question of ours is open; the client's next message waits for its answer.
    pub(super) waiting: bool,
    /// Until then the question about related names is not asked again.
    pub(super) related_pause: Option<Instant>,
    /// The last question got no answer: the message at hand goes on without one.
    pub(super) unanswerable: bool,
    pub(super) batch: Batch,
    /// The guards that may have broken the statement that is to run again.
    pub(super) suspects: Arc<[Suspect]>,
    /// Set while the messages of a second run are sent.
    pub(super) second_run: Option<Arc<[Suspect]>>,
    /// What is sent now is no message of the client, or one that it has its answer to.
    pub(super) hiding: bool,
    /// An error was seen since the last ReadyForQuery.
    pub(super) failed_since_ready: bool,
    pub(super) writes: PendingWrites,
    pub(super) lex: LexOptions,
    /// `client_encoding` keeps ASCII bytes to themselves, so that a text can be searched and edited by bytes.
    pub(super) ascii_safe: bool,
    /// `client_encoding` is UTF-8: positions in errors count characters of more than one byte.
    pub(super) utf8: bool,
    pub(super) from_client: Stream,
    pub(super) from_server: Stream,
    /// The session's first ReadyForQuery was seen.
    pub(super) started: bool,
    /// The client has closed its side.
    pub(super) client_gone: bool,
    /// The server said goodbye (FATAL) already.
    pub(super) fatal: bool,
    pub(super) open: OpenSession,
    pub(super) bytes: ByteCounts,
}

impl Exchange {
    /// A session whose StartupMessage goes to the server now.
    pub(super) fn new(context: Arc<Context>, identity: Identity, open: OpenSession) -> Self {
        let in_force = context.control.in_force();
        let exemptions = identity.exemptions(&in_force.rules);
        let database = context.databases.names(&identity.database, &in_force.rules);
        let bytes = context.metrics.byte_counts();
        let mut queue = Queue::default();
        // Start-up ends with the first ReadyForQuery, as if it were asked for by a Sync.
        queue.push(Owed::Sync, false);
        Self {
            context,
            identity,
            in_force,
            exemptions,
            database,
            names: KnownNames::default(),
            names_changed: false,
            relations_changed: false,
            queue,
            shelves: Shelves::default(),
            transaction: Transaction::Idle,
            pipeline_open: false,
            delivery: Delivery::Parse,
            behind_copy: None,
            unclosed: false,
            waiting: false,
            related_pause: None,
            unanswerable: false,
            batch: Batch::default(),
            suspects: Arc::default(),
            second_run: None,
            hiding: false,
            failed_since_ready: false,
            writes: PendingWrites::default(),
            lex: LexOptions::default(),
            ascii_safe: true,
            utf8: true,
            from_client: Stream::default(),
            from_server: Stream::default(),
            started: false,
            client_gone: false,
            fatal: false,
            open,
            bytes,
        }
    }

    /// Whether the client's messages are looked at: there are rules, and the connection is no replication stream.
    pub(super) fn guards(&self) -> bool {
        !self.in_force.rules.tables.is_empty() && !self.identity.opaque
    }

    /// Who the session is.
    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Nobody waits for anything, and no transaction is open.
    pub(super) fn is_idle(&self) -> bool {
        self.started
            && self.transaction == Transaction::Idle
            && self.queue.is_empty()
            && !self.pipeline_open
            && self.from_client.pending.is_empty()
            && self.from_client.forward == 0
    }

    /// A question of ours is open.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// Bytes of the client are here whose turn has come.
    pub(super) fn holds_frontend(&self) -> bool {
        !self.waiting && self.from_client.held
    }

    /// Whether bytes of ours to the client would stand between two messages.
    pub(super) fn may_speak(&self) -> bool {
        self.from_server.at_boundary() && !self.fatal
    }

    /// The server closed its side.
    ///
    /// # Errors
    /// [`SessionError::ServerClosed`] if it had not said why and the client may be told so.
    pub(super) fn server_closed(&mut self, to_client: &mut Vec<u8>) -> Result<(), SessionError> {
        self.release_held_error(to_client);
        if self.fatal || self.identity.terminated || self.identity.opaque || self.client_gone {
            return Ok(());
        }
        Err(SessionError::ServerClosed)
    }

    /// The client closed its side.
    pub(super) fn client_closed(&mut self) {
        self.client_gone = true;
    }

    /// The session is over.
    pub(super) fn end(&mut self) {
        self.writes.lost();
        self.bytes.flush();
    }
}

/// Names the side whose bytes were wrong.
pub(super) fn by(side: Side) -> impl Fn(WireError) -> SessionError {
    move |source| SessionError::Protocol { side, source }
}
