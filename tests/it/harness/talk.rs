//! A client that sends bytes and reads messages, blocking, and keeps a transcript.

use std::{
    fmt,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::Duration,
};

use super::{fe, message::Message};

/// How long a reply may take before the dialogue is called stuck.
const PATIENCE: Duration = Duration::from_secs(30);

/// What happened in a dialogue, in order.
pub type Transcript = Arc<Mutex<Vec<Entry>>>;

/// One event of a transcript.
#[derive(Clone, PartialEq, Eq)]
pub enum Entry {
    /// The script says what it does.
    Note(String),
    /// A message of the server, with the name of the connection.
    Received(String, Message),
    /// A byte outside of a message (`N` for `SSLRequest`).
    Byte(String, u8),
    /// The server closed the connection (or reset it: which of the two depends on what was still unread).
    Closed(String),
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Note(text) => write!(f, "-- {text}"),
            Self::Received(who, message) => write!(f, "{who} < {message}"),
            Self::Byte(who, byte) => write!(f, "{who} < byte {:?}", char::from(*byte)),
            Self::Closed(who) => write!(f, "{who} < closed"),
        }
    }
}

/// One connection.
pub struct Talk {
    stream: TcpStream,
    addr: SocketAddr,
    name: String,
    transcript: Transcript,
    /// Process id and secret of `BackendKeyData`.
    pub key: Option<(u32, Vec<u8>)>,
    one_byte: bool,
    writer: Option<JoinHandle<()>>,
}

impl Talk {
    /// Connects and sends nothing.
    pub fn connect(addr: SocketAddr) -> Self {
        Self::connect_as(addr, "client", Transcript::default())
    }

    /// Connects under a name, into a transcript.
    pub fn connect_as(addr: SocketAddr, name: &str, transcript: Transcript) -> Self {
        let stream = TcpStream::connect_timeout(&addr, PATIENCE).unwrap_or_else(|e| panic!("connect to {addr}: {e}"));
        Self::over(stream, addr, name, transcript)
    }

    fn over(stream: TcpStream, addr: SocketAddr, name: &str, transcript: Transcript) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, addr, name: name.into(), transcript, key: None, one_byte: false, writer: None }
    }

    /// Connects and logs in; panics unless the session becomes ready.
    pub fn login(addr: SocketAddr, user: &str, database: &str) -> Self {
        let mut talk = Self::connect(addr);
        talk.start(&[("user", user), ("database", database)]);
        talk
    }

    /// Sends a `StartupMessage` and reads up to the first `ReadyForQuery`.
    pub fn start(&mut self, parameters: &[(&str, &str)]) -> Vec<Message> {
        self.send(&fe::startup(parameters));
        self.ready()
    }

    /// From now on each byte goes in a segment of its own.
    pub fn byte_by_byte(&mut self) {
        self.one_byte = true;
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).unwrap_or_else(|e| panic!("{}: send: {e}", self.name));
    }

    /// Sends bytes; the peer may be gone already.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.one_byte {
            return self.stream.write_all(bytes);
        }
        bytes.iter().try_for_each(|byte| self.stream.write_all(&[*byte]))
    }

    /// Sends from a thread of its own, so that replies can be read meanwhile. [`Talk::sent`] waits for it.
    pub fn send_behind(&mut self, bytes: Vec<u8>) {
        let mut stream = self.stream.try_clone().unwrap();
        self.writer = Some(std::thread::spawn(move || stream.write_all(&bytes).expect("send behind")));
    }

    /// Waits until [`Talk::send_behind`] is through.
    pub fn sent(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.join().expect("the writer came through");
        }
    }

    /// Reads messages up to and with the first one whose tag is among `tags`.
    pub fn until(&mut self, tags: &[u8]) -> Vec<Message> {
        self.try_until(tags).unwrap_or_else(|e| {
            panic!(
                "{}: waiting for {:?}: {e}; so far:\n{}",
                self.name,
                String::from_utf8_lossy(tags),
                self.transcript()
            )
        })
    }

    /// As [`Talk::until`], with the error.
    pub fn try_until(&mut self, tags: &[u8]) -> io::Result<Vec<Message>> {
        let mut out = Vec::new();
        loop {
            let message = self.read()?;
            let last = tags.contains(&message.tag);
            out.push(message);
            if last {
                return Ok(out);
            }
        }
    }

    /// Reads up to the next `ReadyForQuery`.
    pub fn ready(&mut self) -> Vec<Message> {
        self.until(b"Z")
    }

    /// Reads exactly `n` messages.
    pub fn count(&mut self, n: usize) -> Vec<Message> {
        (0..n)
            .map(|i| {
                self.read().unwrap_or_else(|e| {
                    panic!("{}: message {} of {n}: {e}; so far:\n{}", self.name, i + 1, self.transcript())
                })
            })
            .collect()
    }

    /// Reads one message.
    ///
    /// # Errors
    /// `UnexpectedEof` if the server closed, `WouldBlock` if it keeps silent.
    pub fn read(&mut self) -> io::Result<Message> {
        let mut head = [0; 5];
        if let Err(error) = self.stream.read_exact(&mut head) {
            if is_end(&error) {
                self.log(Entry::Closed(self.name.clone()));
            }
            return Err(error);
        }
        let length = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
        assert!((4..1 << 30).contains(&length), "length {length} of message {:?}", char::from(head[0]));
        let mut body = vec![0; length - 4];
        self.stream.read_exact(&mut body)?;
        let message = Message { tag: head[0], body };
        if message.tag == b'K' {
            let pid = u32::from_be_bytes(message.body[..4].try_into().unwrap());
            self.key = Some((pid, message.body[4..].to_vec()));
        }
        self.log(Entry::Received(self.name.clone(), message.clone()));
        Ok(message)
    }

    /// Reads a byte that belongs to no message.
    pub fn byte(&mut self) -> u8 {
        let mut byte = [0];
        self.stream.read_exact(&mut byte).unwrap_or_else(|e| panic!("{}: waiting for one byte: {e}", self.name));
        self.log(Entry::Byte(self.name.clone(), byte[0]));
        byte[0]
    }

    /// Reads what still comes and expects the server to close then.
    pub fn closed(&mut self) -> Vec<Message> {
        let mut out = Vec::new();
        loop {
            match self.read() {
                Ok(message) => out.push(message),
                Err(error) if is_end(&error) => return out,
                Err(error) => {
                    panic!("{}: expected the end of the connection: {error}; so far:\n{}", self.name, self.transcript())
                }
            }
        }
    }

    /// Reads whatever comes; `false` at the end of the connection.
    pub fn read_raw(&mut self) -> bool {
        match self.stream.read(&mut [0; 4096]) {
            Ok(n) => n > 0,
            Err(error) if is_end(&error) => false,
            Err(error) => panic!("{}: expected the end of the connection: {error}", self.name),
        }
    }

    /// Reads bytes that are no messages (errors of protocol 2) up to the end of the connection.
    pub fn raw_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes).unwrap_or_else(|e| panic!("{}: {e}", self.name));
        self.note(&format!("raw {}", bytes.escape_ascii()));
        self.log(Entry::Closed(self.name.clone()));
        bytes
    }

    /// Nothing more is sent; what comes can still be read.
    pub fn finish_writing(&mut self) {
        self.stream.shutdown(std::net::Shutdown::Write).ok();
    }

    /// Simple query up to `ReadyForQuery`.
    pub fn query(&mut self, sql: impl AsRef<[u8]>) -> Vec<Message> {
        self.note(&format!("{}: {}", self.name, super::message::short(sql.as_ref())));
        self.send(&fe::query(sql));
        self.ready()
    }

    /// Simple query that must not fail.
    pub fn run(&mut self, sql: &str) -> Vec<Message> {
        let replies = self.query(sql);
        if let Some(error) = replies.iter().find(|m| m.tag == b'E') {
            panic!("{sql}: {error}");
        }
        replies
    }

    /// First value of the first row.
    pub fn value(&mut self, sql: &str) -> String {
        let rows = self.rows(sql);
        rows.first().and_then(|r| r.first()).unwrap_or_else(|| panic!("{sql}: no row")).clone()
    }

    /// Rows as texts, NULL as `NULL`.
    pub fn rows(&mut self, sql: &str) -> Vec<Vec<String>> {
        rows(&self.run(sql))
    }

    /// Messages in one go, a `Sync` behind, up to `ReadyForQuery`.
    pub fn pipeline(&mut self, messages: &[Vec<u8>]) -> Vec<Message> {
        self.send(&[messages.concat(), fe::sync()].concat());
        self.ready()
    }

    /// Asks the server, over a connection of its own, to cancel what runs here; waits until that connection is closed.
    pub fn cancel(&mut self) {
        let (pid, secret) = self.key.clone().expect("a session with a key");
        self.note("cancel");
        let mut other = Self::connect(self.addr);
        other.send(&fe::cancel_request(pid, &secret));
        let replies = other.closed();
        assert!(replies.is_empty(), "nothing answers a CancelRequest: {replies:?}");
    }

    /// `Terminate`, then the end of the connection.
    pub fn terminate(&mut self) {
        self.send(&fe::terminate());
        self.closed();
    }

    /// Puts a remark into the transcript.
    pub fn note(&mut self, text: &str) {
        self.log(Entry::Note(text.into()));
    }

    /// The transcript as text.
    pub fn transcript(&self) -> String {
        let entries = self.transcript.lock().unwrap();
        let skip = entries.len().saturating_sub(60);
        entries[skip..].iter().map(|e| format!("{e}\n")).collect()
    }

    fn log(&mut self, entry: Entry) {
        self.transcript.lock().unwrap().push(entry);
    }
}

/// Rows of all results as texts, NULL as `NULL`.
pub fn rows(messages: &[Message]) -> Vec<Vec<String>> {
    messages
        .iter()
        .filter(|m| m.tag == b'D')
        .map(|m| {
            let text = |v: Option<Vec<u8>>| v.map_or("NULL".into(), |v| String::from_utf8_lossy(&v).into_owned());
            m.values().into_iter().map(text).collect()
        })
        .collect()
}

/// Tags in order, equal neighbours folded: `TD*CZ`.
pub fn tags(messages: &[Message]) -> String {
    let mut out = String::new();
    for message in messages {
        let tag = char::from(message.tag);
        if out.ends_with('*') && out[..out.len() - 1].ends_with(tag) {
            continue;
        }
        if out.ends_with(tag) {
            out.push('*');
        } else {
            out.push(tag);
        }
    }
    out
}

/// The one error among the messages.
pub fn error(messages: &[Message]) -> &Message {
    let mut errors = messages.iter().filter(|m| m.tag == b'E');
    let first = errors.next().unwrap_or_else(|| panic!("no error among {messages:?}"));
    assert!(errors.next().is_none(), "more than one error: {messages:?}");
    first
}

fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}
