//! Is the server there? A round trip that needs no password: a StartupMessage, whose first answer tells.
//!
//! ```text
//! StartupMessage ─▶            an authentication request: the server would take clients
//!                 ◀─ 'R' …     57P03 cannot_connect_now: it is starting up, shutting down or recovering
//!                 or 'E' …     any other error (no such role, no pg_hba.conf entry): it answers, which is what was asked
//! ```
//! As `pg_isready` does it (PostgreSQL source, `src/interfaces/libpq/fe-connect.c`, `internal_ping`). The connection is closed before
//! any password is due; PostgreSQL logs nothing of it.

use std::{
    io,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Mutex,
};

use crate::config::HostPort;

/// An answer is good for this long, so that many who ask cost the server no more than one.
const FRESH: Duration = Duration::from_secs(1);

/// Largest answer that is read; an ErrorResponse before authentication has a few hundred bytes.
const LARGEST_ANSWER: usize = 8 * 1024;

/// Asks one server, at most once per [`FRESH`].
#[derive(Debug)]
pub(super) struct Probe {
    upstream: HostPort,
    timeout: Duration,
    last: Mutex<Option<(Instant, Result<(), String>)>>,
}

impl Probe {
    pub fn new(upstream: HostPort, timeout: Duration) -> Self {
        Self { upstream, timeout, last: Mutex::default() }
    }

    /// `Err`: why the server would not take a client now.
    pub async fn check(&self) -> Result<(), String> {
        let mut last = self.last.lock().await;
        if let Some((when, answer)) = &*last
            && when.elapsed() < FRESH
        {
            return answer.clone();
        }
        let answer = match tokio::time::timeout(self.timeout, round_trip(&self.upstream)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {:?}", self.timeout)),
        };
        let answer = answer.map_err(|reason| format!("server {}: {reason}", self.upstream));
        *last = Some((Instant::now(), answer.clone()));
        answer
    }
}

async fn round_trip(upstream: &HostPort) -> io::Result<Result<(), String>> {
    let mut server = TcpStream::connect((upstream.host.as_str(), upstream.port)).await?;
    server.write_all(&startup_message()).await?;
    let mut head = [0; 5];
    server.read_exact(&mut head).await?;
    let [tag, length @ ..] = head;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if !(4..=LARGEST_ANSWER).contains(&length) {
        return Ok(Err("it does not speak PostgreSQL's protocol".into()));
    }
    let mut body = vec![0; length - 4];
    server.read_exact(&mut body).await?;
    // Terminate, for a server that trusts us; another one has closed already.
    let _ = server.write_all(b"X\0\0\0\x04").await;
    Ok(verdict(tag, &body))
}

/// Source: PostgreSQL docs, `protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-STARTUPMESSAGE`.
fn startup_message() -> Vec<u8> {
    let body = b"\0\x03\0\0user\0postgres\0database\0postgres\0application_name\0chronoguard readiness\0\0";
    let length = u32::try_from(body.len() + 4).expect("the message is short");
    [length.to_be_bytes().as_slice(), body].concat()
}

fn verdict(tag: u8, body: &[u8]) -> Result<(), String> {
    const AUTHENTICATION: u8 = b'R';
    const NEGOTIATE_PROTOCOL_VERSION: u8 = b'v';
    const ERROR_RESPONSE: u8 = b'E';
    match tag {
        AUTHENTICATION | NEGOTIATE_PROTOCOL_VERSION => Ok(()),
        ERROR_RESPONSE if error_field(body, b'C').as_deref() == Some("57P03") => {
            Err(error_field(body, b'M').unwrap_or_else(|| "it accepts no connections".into()))
        }
        ERROR_RESPONSE => Ok(()),
        _ => Err("it does not speak PostgreSQL's protocol".into()),
    }
}

/// Fields of an ErrorResponse: a type byte and a text that ends with a zero byte.
fn error_field(body: &[u8], wanted: u8) -> Option<String> {
    body.split(|b| *b == 0).find_map(|field| {
        let (kind, text) = field.split_first()?;
        (*kind == wanted).then(|| String::from_utf8_lossy(text).into_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_cannot_connect_now_and_foreign_protocols_are_not_ready() {
        let starting = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0";
        assert_eq!(verdict(b'E', starting), Err("the database system is starting up".into()));
        assert_eq!(verdict(b'E', b"SFATAL\0C28000\0Mno pg_hba.conf entry\0\0"), Ok(()));
        assert_eq!(verdict(b'R', b"\0\0\0\x0a"), Ok(()));
        assert!(verdict(b'H', b"TTP/1.1").is_err());
    }

    #[test]
    fn the_startup_message_has_its_own_length() {
        let message = startup_message();
        let length = u32::from_be_bytes([message[0], message[1], message[2], message[3]]);
        assert_eq!(usize::try_from(length).unwrap(), message.len());
    }
}
