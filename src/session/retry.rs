//! The second run without the guard, of a statement that the guard may have broken (DESIGN section 4, circuit breaker).
//!
//! Only where nothing can have happened: outside a transaction, a single statement since the last `Sync`, nothing sent behind it. What the client
//! already got of the first run is not sent again.
//!
//! ```text
//! client   Parse Bind Describe Execute Sync
//! server   1     2    ErrorResponse ············ ReadyForQuery        held back and dropped
//! again    (Close) Parse Bind Describe Execute Sync                    without the guard
//! server   ·     ·    T        D C     ReadyForQuery                  goes to the client
//! ```

use super::exchange::Transaction;

/// Bytes of messages kept for a second run; a larger batch is not run again.
const KEEP_BYTES: usize = 1024 * 1024;

/// The messages since the last `Sync`, while a second run of them is thinkable.
#[derive(Debug, Default)]
pub(super) struct Batch {
    recording: Option<Recording>,
    /// The error of the first run, held back until the second one is decided.
    held_error: Option<Vec<u8>>,
    /// The first run failed and its `ReadyForQuery` is awaited: then the messages are sent again.
    pub(super) drains: bool,
}

#[derive(Debug, Default)]
struct Recording {
    messages: Vec<Vec<u8>>,
    bytes: usize,
    executes: u32,
    /// How many of them the server has answered, and the client has seen.
    answered: usize,
}

/// What is sent again.
#[derive(Debug)]
pub(super) struct Again {
    /// The client's messages, `Sync` excluded.
    pub(super) messages: Vec<Vec<u8>>,
    /// How many of them the client has its answers to.
    pub(super) answered: usize,
}

impl Batch {
    /// A `Query` with a guard in its text goes out; `alone`: nothing else is under way.
    pub(super) fn query(&mut self, transaction: Transaction, alone: bool, message: &[u8]) {
        self.recording = (alone && transaction == Transaction::Idle && message.len() <= KEEP_BYTES)
            .then(|| Recording { messages: vec![message.to_vec()], bytes: message.len(), ..Recording::default() });
    }

    /// A `Parse` or `Bind` of a guarded statement (or not) goes out: a new batch may begin.
    pub(super) fn start(&mut self, transaction: Transaction, alone: bool, pipeline_open: bool, guarded: bool) {
        if !pipeline_open {
            self.recording = (guarded && alone && transaction == Transaction::Idle).then(Recording::default);
        } else if !guarded {
            self.recording = None;
        }
    }

    /// A message of the batch.
    pub(super) fn message(&mut self, message: &[u8]) {
        if let Some(recording) = &mut self.recording {
            recording.bytes += message.len();
            recording.messages.push(message.to_vec());
            if recording.bytes > KEEP_BYTES {
                self.recording = None;
            }
        }
    }

    /// An `Execute` of the batch. A second one could do harm if the first was run again.
    pub(super) fn executes(&mut self) {
        if let Some(recording) = &mut self.recording {
            recording.executes += 1;
            if recording.executes > 1 {
                self.recording = None;
            }
        }
    }

    /// A message went out that is not recorded.
    pub(super) fn other(&mut self) {
        self.recording = None;
    }

    /// The server answered a message of the batch.
    pub(super) fn answered(&mut self) {
        if let Some(recording) = &mut self.recording {
            recording.answered += 1;
        }
    }

    /// The batch may be run again.
    pub(super) fn is_recorded(&self) -> bool {
        self.recording.is_some()
    }

    /// The error is held and the client has not sent `Sync` yet: what it sends is only recorded, the server ignores it anyway.
    pub(super) fn awaits_sync(&self) -> bool {
        self.held_error.is_some() && !self.drains
    }

    /// The first run failed. `ended`: its `Sync` is on its way.
    pub(super) fn hold(&mut self, error: &[u8], ended: bool) {
        self.held_error = Some(error.to_vec());
        self.drains = ended;
    }

    /// The client sent the `Sync` of the failed run.
    pub(super) fn ends(&mut self) {
        self.drains = true;
    }

    /// Gives the second run up; the error to be told.
    pub(super) fn release(&mut self) -> Option<Vec<u8>> {
        self.drains = false;
        self.recording = None;
        self.held_error.take()
    }

    /// The first run is over; what is to be sent again.
    pub(super) fn take(&mut self) -> Option<Again> {
        self.held_error = None;
        self.drains = false;
        let recording = self.recording.take()?;
        Some(Again { messages: recording.messages, answered: recording.answered })
    }
}
