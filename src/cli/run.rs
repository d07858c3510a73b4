//! `chronoguard run`: the proxy.

use std::path::PathBuf;

use clap::ValueEnum;

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
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Where clients connect [default: 127.0.0.1:6432]
    #[arg(long, value_name = "ADDR")]
    pub(super) listen: Option<String>,
    /// The PostgreSQL server [default: 127.0.0.1:5432]
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) upstream: Option<String>,
    /// A rule file, or a directory of them; may be repeated [default: rules/]
    #[arg(long, value_name = "PATH")]
    pub(super) rules: Vec<PathBuf>,
    /// Where metrics and the status page are served [default: 127.0.0.1:9187]
    #[arg(long, value_name = "ADDR")]
    pub(super) admin: Option<String>,
    /// How log lines look [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub(super) log_format: Option<LogFormat>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    Text,
    Json,
}

pub(super) fn run(arguments: Arguments) -> Outcome {
    let settings = match Settings::from_process(&flags(&arguments)) {
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
    let name = signals.wait();
    tracing::info!(signal = name, grace_seconds = settings.drain_grace.as_secs(), "draining: no new clients");
    let cut = proxy.drain(settings.drain_grace);
    if cut > 0 {
        tracing::warn!(sessions = cut, "sessions were still open and were cut");
    }
    tracing::info!("stopped");
    Ok(Exit::Done)
}

fn flags(arguments: &Arguments) -> Flags {
    Flags {
        config: arguments.config.clone(),
        listen: arguments.listen.clone(),
        upstream: arguments.upstream.clone(),
        rules: arguments.rules.iter().map(|p| p.to_string_lossy().into_owned()).collect(),
        admin: arguments.admin.clone(),
        log_format: arguments.log_format.map(|f| {
            match f {
                LogFormat::Text => "text",
                LogFormat::Json => "json",
            }
            .to_owned()
        }),
        ..Flags::default()
    }
}

/// SIGTERM and SIGINT, caught from the start, so that none is lost while everything is bound.
struct Signals {
    runtime: tokio::runtime::Runtime,
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let _context = runtime.enter();
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        drop(_context);
        Ok(Self { runtime, terminate, interrupt })
    }

    fn wait(mut self) -> &'static str {
        self.runtime.block_on(async {
            tokio::select! {
                _ = self.terminate.recv() => "SIGTERM",
                _ = self.interrupt.recv() => "SIGINT",
            }
        })
    }
}
