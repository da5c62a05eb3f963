//! Logging of the daemons: structured events to standard error, once.
//!
//! Text for people, one line per event; JSON for collectors. Under the journal (systemd sets
//! JOURNAL_STREAM) the text form leaves out the time and starts each line with `<N>`, the syslog
//! level that the journal turns into PRIORITY, so nothing is written twice. The level comes from
//! `WAYFARE_LOG`: a level, or a list as `info,bgpd::session=debug`; default `info`.
//!
//! `monitor log` reads the same lines through [`subscribe`]: a bounded ring that forgets the oldest
//! lines for a reader who is too slow, because a log reader must never hold up the daemon.
//!
//! Standard error may be a pipe that nobody reads. A daemon that must not stand still calls
//! [`write_apart`]: a thread of its own writes then, from a bounded queue ([`queue`]), and what
//! does not fit is counted and said.

mod queue;

use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::sync::broadcast;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::{Format, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use queue::Queue;

/// Lines kept for readers of [`subscribe`] that lag behind; older ones are lost to them.
const TAIL_LINES_MAX: usize = 1024;

/// How events are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One line of text per event.
    #[default]
    Text,
    /// One JSON object per event.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(format!("`{other}` is neither `text` nor `json`")),
        }
    }
}

/// Starts logging. A second call changes nothing.
pub fn init(format: LogFormat) {
    // The client of the API server logs each attempt that fails; who called it says it once.
    let usual = || {
        let all = Targets::new().with_default(Level::INFO);
        all.with_target("kube_client", LevelFilter::OFF)
    };
    let filter = match std::env::var("WAYFARE_LOG").as_deref() {
        Ok(spec) => spec.parse().unwrap_or_else(|_| usual()),
        Err(_) => usual(),
    };
    let registry = tracing_subscriber::registry().with(filter);
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(Tee);
    // Fails only when logging has been started before, which is what the caller wants.
    let _ = match format {
        LogFormat::Json => registry
            .with(layer.json().flatten_event(true).with_target(false))
            .try_init(),
        LogFormat::Text if journal => registry.with(layer.event_format(Journal)).try_init(),
        LogFormat::Text => registry.with(layer.with_target(false)).try_init(),
    };
}

/// The queue, once there is one.
static QUEUE: OnceLock<Queue> = OnceLock::new();

/// From now on a thread of its own writes to standard error, and nobody who logs waits for it.
/// `format` is that of [`init`]. To be called when capabilities and scheduling are as they are to
/// stay, because threads inherit them.
///
/// # Errors
/// No thread is to be had; logging goes on as before.
pub fn write_apart(format: LogFormat) -> io::Result<()> {
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let note = move |lost: u64| {
        let text = format!("{lost} log lines were lost: standard error was not read");
        match format {
            LogFormat::Json => format!("{{\"level\":\"WARN\",\"message\":\"{text}\"}}\n"),
            LogFormat::Text if journal => format!("<4>{text}\n"),
            LogFormat::Text => format!("WARN {text}\n"),
        }
    };
    let queue = Queue::start(io::stderr(), note)?;
    // A second call changes nothing: the queue ends with its last owner.
    let _ = QUEUE.set(queue);
    Ok(())
}

/// Waits until what was logged is written, but no longer than `patience`.
pub fn flush(patience: Duration) {
    if let Some(queue) = QUEUE.get() {
        queue.flush(patience);
    }
}

/// The lines that are logged from now on, newline stripped.
#[must_use]
pub fn subscribe() -> broadcast::Receiver<String> {
    tail().subscribe()
}

fn tail() -> &'static broadcast::Sender<String> {
    static TAIL: OnceLock<broadcast::Sender<String>> = OnceLock::new();
    TAIL.get_or_init(|| broadcast::Sender::new(TAIL_LINES_MAX))
}

/// Writes each line to standard error and to the readers of the tail.
struct Tee;

impl<'a> MakeWriter<'a> for Tee {
    type Writer = Self;

    fn make_writer(&'a self) -> Self::Writer {
        Self
    }
}

impl Write for Tee {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if tail().receiver_count() > 0 {
            let text = String::from_utf8_lossy(line).trim_end().to_owned();
            // Fails when the last reader has just left.
            let _ = tail().send(text);
        }
        match QUEUE.get() {
            Some(queue) => queue.push(line),
            None => io::stderr().write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        // Standard error is not buffered.
        Ok(())
    }
}

/// `<6>message field=value`: what `journald` reads from standard error.
struct Journal;

impl<S, N> FormatEvent<S, N> for Journal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let priority = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        write!(writer, "<{priority}>")?;
        Format::default()
            .without_time()
            .with_level(false)
            .with_target(false)
            .with_ansi(false)
            .format_event(context, writer, event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reaches_the_tail() {
        let mut reader = subscribe();
        Tee.write_all(b"hello\n").unwrap();
        assert_eq!(reader.try_recv().unwrap(), "hello");
    }

    #[test]
    fn the_format_is_named_or_refused() {
        assert_eq!("json".parse(), Ok(LogFormat::Json));
        assert!("xml".parse::<LogFormat>().is_err());
    }
}
