//! The one loop that awaits both sockets of a session.
//!
//! Bytes are read into a buffer that all sessions of a thread share, looked at by the [`Exchange`], and written at once; only what a slow peer does not
//! take yet is kept with the session. An idle session holds no buffer.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::{SessionError, exchange::Exchange};
use crate::observe::Side;

/// How much is read at once.
const READ_BYTES: usize = 64 * 1024;

/// A side is not read while more than this waits to be written to the other one.
const HIGH_WATER_BYTES: usize = 256 * 1024;

/// A buffer that grew beyond this is given back once it is empty.
const KEEP_BYTES: usize = 1024 * 1024;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch { read: vec![0; READ_BYTES], to_client: Vec::new(), to_server: Vec::new() });
}

/// What all sessions of a thread share while they are polled.
struct Scratch {
    read: Vec<u8>,
    to_client: Vec<u8>,
    to_server: Vec<u8>,
}

impl Scratch {
    fn trim(buffer: &mut Vec<u8>) {
        buffer.clear();
        buffer.shrink_to(KEEP_BYTES);
    }
}

/// One way out: what a peer has not taken yet.
struct Outlet {
    side: Side,
    waiting: Vec<u8>,
    done: usize,
}

impl Outlet {
    fn new(side: Side) -> Self {
        Self { side, waiting: Vec::new(), done: 0 }
    }

    fn len(&self) -> usize {
        self.waiting.len() - self.done
    }

    /// Writes what waits. `Ready`: nothing waits any more.
    fn poll_flush(&mut self, socket: &mut TcpStream, cx: &mut Context<'_>) -> Poll<Result<(), SessionError>> {
        while self.done < self.waiting.len() {
            self.done += ready!(poll_write(socket, cx, &self.waiting[self.done..])).map_err(|e| self.error(e))?;
        }
        if self.done > 0 {
            self.waiting = Vec::new();
            self.done = 0;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes `bytes` behind what waits, as far as the peer takes them, and keeps the rest.
    fn write(&mut self, socket: &mut TcpStream, cx: &mut Context<'_>, mut bytes: &[u8]) -> Result<(), SessionError> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.len() == 0 {
            while !bytes.is_empty() {
                match poll_write(socket, cx, bytes) {
                    Poll::Ready(Ok(n)) => bytes = &bytes[n..],
                    Poll::Ready(Err(e)) => return Err(self.error(e)),
                    Poll::Pending => break,
                }
            }
        }
        self.waiting.extend_from_slice(bytes);
        Ok(())
    }

    fn error(&self, source: io::Error) -> SessionError {
        SessionError::Write { side: self.side, source }
    }
}

fn poll_write(socket: &mut TcpStream, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
    match ready!(Pin::new(socket).poll_write(cx, bytes)) {
        Ok(0) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        other => Poll::Ready(other),
    }
}

fn poll_read(
    socket: &mut TcpStream,
    cx: &mut Context<'_>,
    buffer: &mut [u8],
    side: Side,
) -> Poll<Result<usize, SessionError>> {
    let mut buffer = ReadBuf::new(buffer);
    match ready!(Pin::new(socket).poll_read(cx, &mut buffer)) {
        Ok(()) => Poll::Ready(Ok(buffer.filled().len())),
        Err(source) => Poll::Ready(Err(SessionError::Read { side, source })),
    }
}

/// Both sockets of a session and what is between them.
pub(super) struct Relay {
    client: TcpStream,
    server: TcpStream,
    exchange: Exchange,
    to_client: Outlet,
    to_server: Outlet,
    client_open: bool,
    server_open: bool,
    /// Ready once chronoguard is to stop; `None` from then on.
    stop: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Relay {
    pub(super) fn new(
        client: TcpStream,
        server: TcpStream,
        exchange: Exchange,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        Self {
            client,
            server,
            exchange,
            to_client: Outlet::new(Side::Client),
            to_server: Outlet::new(Side::Server),
            client_open: true,
            server_open: true,
            stop: Some(Box::pin(stop)),
        }
    }

    /// Relays until one side has closed and all that it sent was delivered.
    ///
    /// # Errors
    /// [`SessionError`] says which side failed, and how. The client has been told, where there was a way to.
    ///
    /// # Cancel safety
    /// All state is in `self`; bytes read were either written or are kept.
    pub(super) async fn run(&mut self) -> Result<(), SessionError> {
        let result = std::future::poll_fn(|cx| self.poll(cx)).await;
        self.exchange.end();
        if let Err(error) = &result {
            self.tell(error).await;
        }
        result
    }

    /// What the session knows of itself, for the log.
    pub(super) fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SessionError>> {
        SCRATCH.with_borrow_mut(|scratch| {
            loop {
                let server_free = self.to_server.poll_flush(&mut self.server, cx)?.is_ready();
                let client_free = self.to_client.poll_flush(&mut self.client, cx)?.is_ready();
                if !self.server_open && client_free {
                    return Poll::Ready(Ok(()));
                }
                let moved = self.server_turn(cx, scratch)? | self.client_turn(cx, scratch, server_free)?;
                if !moved {
                    return if self.may_stop(cx) { Poll::Ready(Err(SessionError::Stopped)) } else { Poll::Pending };
                }
            }
        })
    }

    /// chronoguard is to stop, and nobody waits for anything in this session.
    fn may_stop(&mut self, cx: &mut Context<'_>) -> bool {
        if let Some(stop) = &mut self.stop {
            if stop.as_mut().poll(cx).is_pending() {
                return false;
            }
            self.stop = None;
        }
        self.exchange.is_idle() && self.to_client.len() == 0 && self.to_server.len() == 0
    }

    /// Reads from the server once. While a question of ours is open the client's side is not read, so the replies before its answer must have a
    /// way in, however slow the client is.
    fn server_turn(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch) -> Result<bool, SessionError> {
        if !self.server_open || (self.to_client.len() > HIGH_WATER_BYTES && !self.exchange.is_waiting()) {
            return Ok(false);
        }
        let Poll::Ready(n) = poll_read(&mut self.server, cx, &mut scratch.read, Side::Server)? else {
            return Ok(false);
        };
        if n == 0 {
            self.server_open = false;
            let left = self.exchange.server_closed(&mut scratch.to_client);
            self.deliver(cx, scratch)?;
            // A client that went away without Terminate is why the server went too.
            return if self.client_open { left.map(|()| true) } else { Ok(true) };
        }
        let seen = self.exchange.backend(&scratch.read[..n], &mut scratch.to_client, &mut scratch.to_server);
        self.deliver(cx, scratch)?;
        seen.map(|()| true)
    }

    /// Takes up what was held for a question, then reads from the client once.
    fn client_turn(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut Scratch,
        server_free: bool,
    ) -> Result<bool, SessionError> {
        if self.exchange.is_waiting() {
            return Ok(false);
        }
        if self.exchange.holds_frontend() {
            let seen = self.exchange.frontend(&[], &mut scratch.to_server, &mut scratch.to_client);
            self.deliver(cx, scratch)?;
            return seen.map(|()| true);
        }
        if !self.client_open || !server_free {
            return Ok(false);
        }
        let Poll::Ready(n) = poll_read(&mut self.client, cx, &mut scratch.read, Side::Client)? else {
            return Ok(false);
        };
        if n == 0 {
            self.client_open = false;
            self.exchange.client_closed();
            // The server reads to the end of what was sent, then ends the session, as it does with a direct client.
            let _ = rustix::net::shutdown(&self.server, rustix::net::Shutdown::Write);
            return Ok(true);
        }
        let seen = self.exchange.frontend(&scratch.read[..n], &mut scratch.to_server, &mut scratch.to_client);
        self.deliver(cx, scratch)?;
        seen.map(|()| true)
    }

    fn deliver(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch) -> Result<(), SessionError> {
        let written = self.to_server.write(&mut self.server, cx, &scratch.to_server).and(self.to_client.write(
            &mut self.client,
            cx,
            &scratch.to_client,
        ));
        Scratch::trim(&mut scratch.to_server);
        Scratch::trim(&mut scratch.to_client);
        written
    }

    /// Says to the client why its session ends, if bytes of ours can still stand at the boundary of a message.
    async fn tell(&mut self, error: &SessionError) {
        use tokio::io::AsyncWriteExt;
        if !self.exchange.may_speak() {
            return;
        }
        let Some(message) = error.for_client() else { return };
        let farewell = async {
            if matches!(error, SessionError::Stopped) {
                // Terminate: the server need not report a client that went away without a word.
                self.server.write_all(&[b'X', 0, 0, 0, 4]).await?;
            }
            self.client.write_all(&self.to_client.waiting[self.to_client.done..]).await?;
            self.client.write_all(&message).await?;
            self.client.shutdown().await
        };
        // A peer that takes no bytes must not hold the session's sockets.
        let _ = tokio::time::timeout(std::time::Duration::from_secs(5), farewell).await;
    }
}
