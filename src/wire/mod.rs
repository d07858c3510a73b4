//! Bytes ↔ messages of PostgreSQL's frontend/backend protocol, version 3. Knows no SQL and no rules, does no I/O.
//!
//! Messages that are not ours to change are forwarded as the bytes that came in; these modules only look at them. What chronoguard itself says
//! (hidden questions, refusals) is encoded by the message types of `pgwire`.
//!
//! Source of all formats: PostgreSQL docs, `protocol-message-formats.html`.

pub mod backend;
pub mod compose;
pub mod frame;
pub mod frontend;

/// What can be wrong with the bytes of a peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The length word of a message is below 4 or above what its kind may have.
    #[error("invalid message length {length} for message type {tag:?}")]
    Length {
        /// Message type byte; 0 for the start-up packet.
        tag: char,
        /// The length as it came.
        length: i64,
    },
    /// A length or count inside a message points past its end, or a string is not terminated.
    #[error("{message} message is malformed: {what}")]
    Malformed {
        /// Which message.
        message: &'static str,
        /// What did not fit.
        what: &'static str,
    },
    /// A message type that the protocol does not have.
    #[error("unknown message type {0:#04x}")]
    UnknownType(u8),
}
