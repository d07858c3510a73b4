//! How a connection begins: encryption requests, `CancelRequest`, `StartupMessage`.
//!
//! Source: PostgreSQL docs, `protocol-flow.html#PROTOCOL-FLOW-START-UP` and `protocol-message-formats.html`.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::SessionError;
use crate::{observe::Side, wire::WireError};

const CANCEL_REQUEST: u32 = 80_877_102;
const SSL_REQUEST: u32 = 80_877_103;
const GSSENC_REQUEST: u32 = 80_877_104;

/// Longest start-up packet (`MAX_STARTUP_PACKET_LENGTH`, `src/include/libpq/pqcomm.h`).
const LONGEST: u32 = 10_000;

/// What a connection is for.
#[derive(Debug)]
pub(super) enum Startup {
    /// A session; the packet as it came.
    Session(Vec<u8>),
    /// A `CancelRequest`; the packet as it came.
    Cancel(Vec<u8>),
    /// The client went away before it said anything, as health checks do.
    Nothing,
}

/// Reads packets until one says what the connection is for. Encryption is declined: `N`.
///
/// # Errors
/// [`SessionError::StartupTimeout`], a broken connection, or a packet that is none.
pub(super) async fn receive(client: &mut TcpStream, limit: Duration) -> Result<Startup, SessionError> {
    tokio::time::timeout(limit, first_packet(client))
        .await
        .unwrap_or(Err(SessionError::StartupTimeout(limit.as_secs())))
}

async fn first_packet(client: &mut TcpStream) -> Result<Startup, SessionError> {
    loop {
        let Some(packet) = packet(client).await? else { return Ok(Startup::Nothing) };
        let code = packet.get(4..8).and_then(|c| c.try_into().ok()).map_or(0, u32::from_be_bytes);
        match code {
            SSL_REQUEST | GSSENC_REQUEST if packet.len() == 8 => {
                client.write_all(b"N").await.map_err(|source| SessionError::Write { side: Side::Client, source })?;
            }
            CANCEL_REQUEST => return Ok(Startup::Cancel(packet)),
            // Any other major version is for the server to refuse.
            _ => return Ok(Startup::Session(packet)),
        }
    }
}

/// One packet: `Int32` length, then the rest. `None`: the client closed the connection at its beginning.
async fn packet(client: &mut TcpStream) -> Result<Option<Vec<u8>>, SessionError> {
    let broken = |source| SessionError::Read { side: Side::Client, source };
    let mut length = [0; 4];
    match client.read(&mut length[..1]).await.map_err(broken)? {
        0 => return Ok(None),
        _ => client.read_exact(&mut length[1..]).await.map_err(broken)?,
    };
    let announced = u32::from_be_bytes(length);
    if !(8..=LONGEST).contains(&announced) {
        let source = WireError::Length { tag: '\0', length: i64::from(announced.cast_signed()) };
        return Err(SessionError::Protocol { side: Side::Client, source });
    }
    let mut packet = vec![0; announced as usize];
    packet[..4].copy_from_slice(&length);
    client.read_exact(&mut packet[4..]).await.map_err(broken)?;
    Ok(Some(packet))
}

/// Major version of the protocol that a `StartupMessage` asks for.
pub(super) fn major_version(packet: &[u8]) -> u16 {
    packet.get(4..6).and_then(|v| v.try_into().ok()).map_or(0, u16::from_be_bytes)
}

/// The parameters of a `StartupMessage`, as far as they are readable; the server judges the packet.
pub(super) fn parameters(packet: &[u8]) -> Vec<(String, String)> {
    let mut body = packet.get(8..).unwrap_or_default();
    let mut parameters = Vec::new();
    while let (Some(name), Some(value)) =
        (crate::wire::frame::take_cstr(&mut body), crate::wire::frame::take_cstr(&mut body))
    {
        if name.is_empty() {
            break;
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        parameters.push((text(name), text(value)));
    }
    parameters
}

/// Connects to the server, each address of the name in turn.
///
/// # Errors
/// [`SessionError::Connect`] with the last address' error.
pub(super) async fn connect(upstream: &str, limit: Duration) -> Result<TcpStream, SessionError> {
    let failed = |source| SessionError::Connect { upstream: upstream.to_owned(), source };
    let timeout = || io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", limit.as_secs_f64()));
    let server = tokio::time::timeout(limit, TcpStream::connect(upstream))
        .await
        .unwrap_or_else(|_| Err(timeout()))
        .map_err(failed)?;
    server.set_nodelay(true).map_err(failed)?;
    Ok(server)
}

/// Passes a `CancelRequest` on. The server answers by closing the connection; so do we, when it has.
///
/// # Errors
/// As for a session.
pub(super) async fn cancel(
    client: &mut TcpStream,
    packet: &[u8],
    upstream: &str,
    limit: Duration,
) -> Result<(), SessionError> {
    let mut server = connect(upstream, limit).await?;
    server.write_all(packet).await.map_err(|source| SessionError::Write { side: Side::Server, source })?;
    // Whoever waits for the end of this connection knows that the signal was sent.
    let mut end = [0; 1];
    let _ = tokio::time::timeout(limit, server.read(&mut end)).await;
    let _ = client.shutdown().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_a_startup_message() {
        let packet = b"\0\0\0\x29\0\x03\0\0user\0alice\0database\0jobs\0\0";
        let expected = [("user", "alice"), ("database", "jobs")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(parameters(packet), expected);
        assert_eq!(parameters(&packet[..packet.len() - 3]).len(), 1);
        assert!(parameters(b"\0\0\0\x08").is_empty());
    }
}
