//! How a session ends badly: who failed, and what the client may be told.

use std::io;

use crate::{
    observe::{ErrorKind, Side},
    wire::{WireError, compose},
};

/// Why a session ended before both sides were done.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// Reading from a side failed.
    #[error("read from the {}: {source}", side.as_str())]
    Read {
        /// Which side.
        side: Side,
        /// What the socket said.
        source: io::Error,
    },
    /// Writing to a side failed.
    #[error("write to the {}: {source}", side.as_str())]
    Write {
        /// Which side.
        side: Side,
        /// What the socket said.
        source: io::Error,
    },
    /// The upstream server could not be reached.
    #[error("connect to the server {upstream}: {source}")]
    Connect {
        /// Its address.
        upstream: String,
        /// What the socket said.
        source: io::Error,
    },
    /// A side sent bytes that are no message of the protocol.
    #[error("protocol violation by the {}: {source}", side.as_str())]
    Protocol {
        /// Which side.
        side: Side,
        /// What was wrong.
        source: WireError,
    },
    /// The server sent a message that answers nothing.
    #[error("the server sent message type {tag:?}, expected the answer to {expected}")]
    Unexpected {
        /// Type byte.
        tag: char,
        /// What was owed.
        expected: String,
    },
    /// The client sent no start-up packet in time.
    #[error("the client sent no start-up packet within {0} s")]
    StartupTimeout(u64),
    /// chronoguard stops, and the session was idle.
    #[error("chronoguard stops")]
    Stopped,
    /// The server went away without a word.
    #[error("the server closed the connection unexpectedly")]
    ServerClosed,
}

impl SessionError {
    /// Metric labels: who failed and how.
    pub fn labels(&self) -> (Side, ErrorKind) {
        match self {
            Self::Read { side, .. } => (*side, ErrorKind::Io),
            Self::Write { side, .. } => (*side, ErrorKind::Io),
            Self::Connect { .. } => (Side::Server, ErrorKind::Connect),
            Self::Protocol { side, .. } => (*side, ErrorKind::Protocol),
            Self::Unexpected { .. } => (Side::Server, ErrorKind::Protocol),
            Self::StartupTimeout(_) => (Side::Client, ErrorKind::Timeout),
            Self::ServerClosed => (Side::Server, ErrorKind::Closed),
            Self::Stopped => (Side::Proxy, ErrorKind::Closed),
        }
    }

    /// The `ErrorResponse` for the client, where there is something to say to it.
    pub fn for_client(&self) -> Option<Vec<u8>> {
        let (sqlstate, message) = match self {
            Self::Read { side: Side::Client, .. } | Self::Write { side: Side::Client, .. } => return None,
            Self::Read { .. } | Self::Write { .. } => ("08006", "connection to the server was lost".to_owned()),
            Self::Connect { upstream, source } => {
                ("08001", format!("could not connect to the server at \"{upstream}\": {source}"))
            }
            Self::Protocol { side: Side::Client, source } => ("08P01", source.to_string()),
            Self::Protocol { .. } | Self::Unexpected { .. } => {
                ("08P01", "the server sent a message that chronoguard did not expect".to_owned())
            }
            Self::StartupTimeout(_) => ("08P01", "no start-up packet was received in time".to_owned()),
            Self::Stopped => ("57P01", "terminating connection due to administrator command".to_owned()),
            Self::ServerClosed => ("08006", "the server closed the connection unexpectedly".to_owned()),
        };
        let mut out = Vec::new();
        compose::write_error(&mut out, compose::info("FATAL", sqlstate, message));
        Some(out)
    }
}
