//! A scripted backend: each connection is handed to a closure that reads frontend messages and answers what it likes.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

/// Starts a backend that runs `script` on each connection in a thread of its own.
pub fn backend(script: impl Fn(&mut Backend) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let script = Arc::new(script);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let script = script.clone();
            stream.set_nodelay(true).ok();
            stream.set_read_timeout(Some(Duration::from_secs(20))).ok();
            thread::spawn(move || script(&mut Backend { stream, startup: None }));
        }
    });
    addr
}

/// One connection of a scripted backend.
pub struct Backend {
    stream: TcpStream,
    startup: Option<Vec<u8>>,
}

impl Backend {
    /// Reads the `StartupMessage` (its body, protocol number included); `None` at the end of the connection.
    pub fn startup(&mut self) -> Option<Vec<u8>> {
        self.startup.take().or_else(|| self.body())
    }

    /// The next [`Backend::startup`] gives this.
    pub fn unread_startup(&mut self, startup: &[u8]) {
        self.startup = Some(startup.to_vec());
    }

    /// Reads one tagged message; `None` at the end of the connection.
    pub fn read(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut tag = [0];
        self.stream.read_exact(&mut tag).ok()?;
        Some((tag[0], self.body()?))
    }

    /// Reads up to the next `Query`; questions that the proxy asks of its own are answered with an error. `None` at the end of the connection.
    pub fn query(&mut self) -> Option<Vec<u8>> {
        let mut failed = false;
        loop {
            match self.read()? {
                (b'Q', text) => return Some(text),
                // Before the first message that fails.
                (b'C', _) if !failed => self.message(b'3', &[]),
                (b'P', _) => failed = true,
                (b'S', _) => {
                    failed = false;
                    self.message(b'E', b"SERROR\0VERROR\0C0A000\0Mno catalog here\0\0");
                    self.message(b'Z', b"I");
                }
                (b'X', _) => return None,
                _ => {}
            }
        }
    }

    /// Sends bytes; the peer may be gone.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).ok();
    }

    /// Sends a message.
    pub fn message(&mut self, tag: u8, body: &[u8]) {
        self.send(&super::fe::message(tag, body));
    }

    /// Plays a whole log-in: startup read, `AuthenticationOk`, a few parameters, key, ready.
    pub fn log_in(&mut self) -> Option<()> {
        self.startup()?;
        self.message(b'R', &[0, 0, 0, 0]);
        for (name, value) in
            [("server_version", "15.0"), ("client_encoding", "UTF8"), ("standard_conforming_strings", "on")]
        {
            self.message(b'S', format!("{name}\0{value}\0").as_bytes());
        }
        self.message(b'K', &[0, 0, 0, 1, 0, 0, 0, 2]);
        self.message(b'Z', b"I");
        Some(())
    }

    /// Waits until the peer closes.
    pub fn drain(&mut self) {
        let mut buffer = [0; 4096];
        while let Ok(1..) = self.stream.read(&mut buffer) {}
    }

    fn body(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).ok()?;
        let mut body = vec![0; (u32::from_be_bytes(length) as usize).checked_sub(4)?];
        self.stream.read_exact(&mut body).ok()?;
        Some(body)
    }
}
