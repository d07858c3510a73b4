//! Accepts client connections and spreads them over the relay threads: one single-threaded runtime per core, each session living on one of them.

use std::{
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use crate::{
    config::HostPort,
    observe::{ErrorKind, Side},
    session::{self, Context},
    wire::compose,
};

/// Binds an address for clients.
///
/// # Errors
/// The address does not resolve, or is in use.
pub fn bind(address: &HostPort) -> io::Result<TcpListener> {
    let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address");
    for candidate in (address.host.as_str(), address.port).to_socket_addrs()? {
        match TcpListener::bind(candidate) {
            Ok(listener) => {
                listener.set_nonblocking(true)?;
                return Ok(listener);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The threads that relay.
#[derive(Debug)]
pub struct Workers {
    workers: Vec<Worker>,
    stop: watch::Sender<Stop>,
    threads: Vec<JoinHandle<usize>>,
}

#[derive(Debug, Clone)]
struct Worker {
    connections: mpsc::UnboundedSender<(std::net::TcpStream, u64)>,
    sessions: Arc<AtomicUsize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// Sessions go on.
    No,
    /// They may end by themselves for so long.
    Within(Duration),
}

impl Workers {
    /// Starts `count` threads.
    ///
    /// # Errors
    /// A thread or a runtime cannot be had.
    pub fn start(count: usize, context: &Arc<Context>) -> io::Result<Self> {
        let (stop, stopped) = watch::channel(Stop::No);
        let mut workers = Vec::with_capacity(count);
        let mut threads = Vec::with_capacity(count);
        for number in 0..count.max(1) {
            let (connections, incoming) = mpsc::unbounded_channel();
            let sessions = Arc::new(AtomicUsize::new(0));
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let (context, counted, stopped) = (Arc::clone(context), Arc::clone(&sessions), stopped.clone());
            let thread = thread::Builder::new()
                .name(format!("relay-{number}"))
                .spawn(move || runtime.block_on(work(incoming, context, counted, stopped)))?;
            threads.push(thread);
            workers.push(Worker { connections, sessions });
        }
        Ok(Self { workers, stop, threads })
    }

    /// Accepts until `until` is done.
    ///
    /// # Errors
    /// The listener cannot be used.
    pub async fn accept(
        &self,
        listener: TcpListener,
        context: &Context,
        max_connections: usize,
        until: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let number = AtomicU64::new(0);
        tokio::pin!(until);
        loop {
            let accepted = tokio::select! {
                () = &mut until => return Ok(()),
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((client, peer)) => self.place(client, peer, context, max_connections, &number),
                Err(error) => {
                    // Out of file descriptors, most likely: sessions that end make room.
                    context.metrics.session_error(Side::Proxy, ErrorKind::Io);
                    tracing::error!(%error, "cannot accept");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Gives a connection to the thread with the fewest sessions.
    fn place(
        &self,
        client: tokio::net::TcpStream,
        peer: SocketAddr,
        context: &Context,
        max_connections: usize,
        number: &AtomicU64,
    ) {
        let open: usize = self.workers.iter().map(|w| w.sessions.load(Ordering::Relaxed)).sum();
        if open >= max_connections {
            context.metrics.session_error(Side::Proxy, ErrorKind::Refused);
            tracing::warn!(%peer, max_connections, "too many connections");
            refuse(client);
            return;
        }
        let number = number.fetch_add(1, Ordering::Relaxed);
        let Some(worker) = self.workers.iter().min_by_key(|w| w.sessions.load(Ordering::Relaxed)) else { return };
        worker.sessions.fetch_add(1, Ordering::Relaxed);
        let sent = client.into_std().map(|client| worker.connections.send((client, number)).is_ok());
        if !matches!(sent, Ok(true)) {
            worker.sessions.fetch_sub(1, Ordering::Relaxed);
            tracing::error!(%peer, "a connection could not be handed to its thread");
        }
    }

    /// Ends all sessions: by themselves within `grace`, then by closing their sockets. Returns how many had to be cut.
    pub fn drain(mut self, grace: Duration) -> usize {
        self.stop.send_replace(Stop::Within(grace));
        self.workers.clear();
        // A thread that panicked has told so; its sessions ended with it.
        self.threads.drain(..).map(|thread| thread.join().unwrap_or(0)).sum()
    }
}

/// PostgreSQL's own answer, `53300`. The client may still be about to send its first packet; it reads the answer then.
fn refuse(client: tokio::net::TcpStream) {
    let mut message = Vec::new();
    compose::write_error(&mut message, compose::info("FATAL", "53300", "sorry, too many clients already"));
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut client = client;
        let mut first = [0; 1024];
        let answer = async {
            let _ = client.read(&mut first).await?;
            client.write_all(&message).await?;
            client.shutdown().await
        };
        let _ = tokio::time::timeout(Duration::from_secs(5), answer).await;
    });
}

/// The life of a relay thread. Returns how many sessions were still open at its end.
async fn work(
    mut incoming: mpsc::UnboundedReceiver<(std::net::TcpStream, u64)>,
    context: Arc<Context>,
    open: Arc<AtomicUsize>,
    mut stop: watch::Receiver<Stop>,
) -> usize {
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            Some((client, number)) = incoming.recv() => {
                let (context, open) = (Arc::clone(&context), Counted(Arc::clone(&open)));
                let mut stop = stop.clone();
                let stopped = async move { drop(stop.wait_for(|s| *s != Stop::No).await) };
                sessions.spawn(async move {
                    let _open = open;
                    match tokio::net::TcpStream::from_std(client) {
                        Ok(client) => session::serve(client, number, context, stopped).await,
                        Err(error) => tracing::error!(%error, "a connection cannot be used"),
                    }
                });
            }
            Some(ended) = sessions.join_next(), if !sessions.is_empty() => {
                if let Err(error) = ended {
                    context.metrics.session_error(Side::Proxy, ErrorKind::Internal);
                    tracing::error!(%error, "a session panicked; the others go on");
                }
            }
            _ = stop.changed() => break,
        }
    }
    let Stop::Within(grace) = *stop.borrow() else { return 0 };
    let all = async { while sessions.join_next().await.is_some() {} };
    // What is left after that is cut when the runtime ends.
    let _ = tokio::time::timeout(grace, all).await;
    sessions.len()
}

/// One open session in its thread's count.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
