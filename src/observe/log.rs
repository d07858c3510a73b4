//! Where log lines go and how they look: text for people, one JSON object a line for machines, always to standard error.
//!
//! Lines are handed to a thread of their own. A session never waits for a full pipe: then lines are dropped, counted, and the count is
//! logged as soon as there is room again.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use serde_json::{Map, Value};
use tracing::{Event, Subscriber, field::Visit};
use tracing_subscriber::{
    EnvFilter,
    fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter, format::Writer},
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Lines that may wait for standard error before more are dropped.
const WAITING_LINES: usize = 8_192;

/// How long the end of the program waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The log of the process; dropping it writes what is still waiting.
#[must_use = "dropping it ends the log"]
#[derive(Debug)]
pub struct LogThread {
    lines: SyncSender<Line>,
}

enum Line {
    Text(Vec<u8>),
    /// Answer when everything before is written.
    Flush(SyncSender<()>),
}

/// Starts logging for the whole process. `filter` is a list of directives such as `info,chronoguard::session=debug`.
///
/// # Errors
/// A filter that cannot be read, or a second call in one process.
pub fn init(format: LogFormat, filter: &str) -> Result<LogThread, InitError> {
    let filter =
        EnvFilter::builder().parse(filter).map_err(|source| InitError::Filter { filter: filter.into(), source })?;
    let (lines, waiting) = sync_channel(WAITING_LINES);
    let dropped = Arc::new(AtomicU64::new(0));
    let writer = LineWriter { lines: lines.clone(), dropped: Arc::clone(&dropped) };
    thread::Builder::new()
        .name("log".into())
        .spawn(move || write_lines(&waiting, &dropped, format))
        .map_err(InitError::Thread)?;
    let registry = tracing_subscriber::registry().with(filter);
    let started = match format {
        LogFormat::Text => registry.with(text_layer(writer).with_ansi(io::stderr().is_terminal())).try_init(),
        LogFormat::Json => registry.with(json_layer(writer)).try_init(),
    };
    started.map_err(|_| InitError::Twice)?;
    Ok(LogThread { lines })
}

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The filter is not a list of directives.
    #[error("log filter {filter:?} cannot be read: expected directives such as \"info,chronoguard::session=debug\"")]
    Filter {
        /// As given.
        filter: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// No thread for the log.
    #[error("start the thread that writes the log")]
    Thread(#[source] io::Error),
    /// Something else in this process logs already.
    #[error("the log was started twice")]
    Twice,
}

impl Drop for LogThread {
    fn drop(&mut self) {
        let (written, done) = sync_channel(1);
        if self.lines.try_send(Line::Flush(written)).is_ok() {
            // A time-out means that standard error is stuck; there is nobody left to tell.
            let _ = done.recv_timeout(LAST_LINES);
        }
    }
}

/// Runs in the log's own thread until every writer is gone. Failing to write is not an error here: there is nowhere to report it.
fn write_lines(waiting: &Receiver<Line>, dropped: &AtomicU64, format: LogFormat) {
    let mut out = io::stderr().lock();
    while let Ok(line) = waiting.recv() {
        match line {
            Line::Text(bytes) => {
                let _ = out.write_all(&bytes);
            }
            Line::Flush(written) => {
                let _ = out.flush();
                let _ = written.send(());
            }
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ = match format {
                LogFormat::Text => writeln!(out, "WARN chronoguard::log: {lost} log lines dropped"),
                LogFormat::Json => writeln!(
                    out,
                    r#"{{"time":"{}","level":"WARN","target":"chronoguard::log","message":"log lines dropped","lines":{lost}}}"#,
                    jiff::Timestamp::now()
                ),
            };
        }
    }
}

/// Hands each line to the log's thread.
#[derive(Clone)]
struct LineWriter {
    lines: SyncSender<Line>,
    dropped: Arc<AtomicU64>,
}

impl Write for LineWriter {
    /// The formatting layer calls this once per event, with the whole line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.lines.try_send(Line::Text(line.to_vec())).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for LineWriter {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

type TextLayer<S, W> = tracing_subscriber::fmt::Layer<
    S,
    tracing_subscriber::fmt::format::DefaultFields,
    tracing_subscriber::fmt::format::Format<tracing_subscriber::fmt::format::Full>,
    W,
>;
type JsonLayer<S, W> = tracing_subscriber::fmt::Layer<S, tracing_subscriber::fmt::format::DefaultFields, JsonLine, W>;

fn text_layer<S, W>(writer: W) -> TextLayer<S, W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    tracing_subscriber::fmt::layer().with_writer(writer)
}

fn json_layer<S, W>(writer: W) -> JsonLayer<S, W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    tracing_subscriber::fmt::layer().event_format(JsonLine).with_writer(writer)
}

/// An event as one flat JSON object: `time`, `level`, `target`, `message` and the event's fields. Own code, because the violation log
/// has fields that are lists ([`NESTED`]), which the stock format can only show as strings.
struct JsonLine;

/// Fields that are given as the display of a JSON text.
const NESTED: &[&str] = &["columns", "key"];

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = Map::new();
        line.insert("time".into(), jiff::Timestamp::now().to_string().into());
        line.insert("level".into(), event.metadata().level().as_str().into());
        line.insert("target".into(), event.metadata().target().into());
        event.record(&mut Fields(&mut line));
        writeln!(writer, "{}", Value::Object(line))
    }
}

struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn put(&mut self, field: &tracing::field::Field, value: Value) {
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &tracing::field::Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &tracing::field::Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &tracing::field::Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &tracing::field::Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_error(&mut self, field: &tracing::field::Field, error: &(dyn std::error::Error + 'static)) {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        self.put(field, text.into());
    }

    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        let nested = NESTED.contains(&field.name()).then(|| serde_json::from_str(&text).ok()).flatten();
        self.put(field, nested.unwrap_or_else(|| text.into()));
    }
}

/// What `body` logs, as text. The log is the calling thread's alone.
#[cfg(test)]
pub(super) fn capture(format: LogFormat, body: impl FnOnce()) -> String {
    let (lines, waiting) = sync_channel(10_000);
    let writer = LineWriter { lines, dropped: Arc::default() };
    let registry = tracing_subscriber::registry();
    match format {
        LogFormat::Text => tracing::subscriber::with_default(registry.with(text_layer(writer).with_ansi(false)), body),
        LogFormat::Json => tracing::subscriber::with_default(registry.with(json_layer(writer)), body),
    }
    let bytes =
        waiting.try_iter().filter_map(|l| if let Line::Text(t) = l { Some(t) } else { None }).flatten().collect();
    String::from_utf8(bytes).expect("log lines are UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_logged_with_its_sources() {
        let error = InitError::Thread(io::Error::other("no more threads"));
        let text = capture(LogFormat::Json, || {
            tracing::error!(error = &error as &(dyn std::error::Error + 'static), count = 3, ok = false, "start");
        });
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["error"], "start the thread that writes the log: no more threads");
        assert_eq!((&line["count"], &line["ok"], &line["level"]), (&3.into(), &false.into(), &"ERROR".into()));
    }

    #[test]
    fn only_the_named_fields_are_read_as_json() {
        let text = capture(LogFormat::Json, || tracing::info!(columns = %"[1]", key = %"not json", user = %"[1]"));
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["columns"], serde_json::json!([1]));
        assert_eq!(line["key"], "not json");
        assert_eq!(line["user"], "[1]");
    }

    #[test]
    fn a_full_queue_drops_lines_and_counts_them() {
        let (lines, waiting) = sync_channel(1);
        let mut writer = LineWriter { lines, dropped: Arc::default() };
        for _ in 0..3 {
            writer.write_all(b"line\n").unwrap();
        }
        assert_eq!(waiting.try_iter().count(), 1);
        assert_eq!(writer.dropped.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_bad_filter_is_refused() {
        let error = init(LogFormat::Text, "info,=,").unwrap_err();
        assert!(error.to_string().contains("cannot be read"), "{error}");
    }
}
