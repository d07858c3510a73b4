//! `chronoguard run`: the proxy.

use tokio::signal::unix::{SignalKind, signal};

use super::{Error, Exit, Outcome};
use crate::{
    config::{Flags, Settings},
    observe::log,
    rules::diagnostic::{self, Counts},
    run::{Proxy, StartError},
};

/// Flags win over `CHRONOGUARD_*` variables, those over the file. The variables are read with the file.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    flags: Flags,
}

pub(super) fn run(arguments: Arguments) -> Outcome {
    let settings = match Settings::from_process(&arguments.flags) {
        Ok(settings) => settings,
        Err(mistakes) => {
            eprintln!("{mistakes}");
            return Ok(Exit::Usage);
        }
    };
    let log = log::init(settings.log_format, &settings.log).map_err(|e| Error(e.to_string()))?;
    let signals = Signals::new().map_err(|e| Error(format!("handle signals: {e}")))?;
    let proxy = match Proxy::start(&settings) {
        Ok(proxy) => proxy,
        Err(StartError::Rules(mistakes)) => {
            drop(log);
            eprint!("{}", diagnostic::to_text(&mistakes, Counts::default()));
            return Ok(Exit::Failed);
        }
        Err(error) => return Err(Error(error.to_string())),
    };
    let name = signals.wait(|| proxy.reload());
    tracing::info!(signal = name, grace_seconds = settings.drain_grace.as_secs(), "draining: no new clients");
    let cut = proxy.drain(settings.drain_grace);
    if cut > 0 {
        tracing::warn!(sessions = cut, "sessions were still open and were cut");
    }
    tracing::info!("stopped");
    Ok(Exit::Done)
}

/// SIGTERM, SIGINT and SIGHUP, caught from the start, so that none is lost while everything is bound.
struct Signals {
    runtime: tokio::runtime::Runtime,
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let _context = runtime.enter();
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        let hangup = signal(SignalKind::hangup())?;
        drop(_context);
        Ok(Self { runtime, terminate, interrupt, hangup })
    }

    /// Waits for one that ends the program; calls `reload` at each SIGHUP.
    fn wait(mut self, reload: impl Fn()) -> &'static str {
        self.runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = self.terminate.recv() => return "SIGTERM",
                    _ = self.interrupt.recv() => return "SIGINT",
                    _ = self.hangup.recv() => reload(),
                }
            }
        })
    }
}
