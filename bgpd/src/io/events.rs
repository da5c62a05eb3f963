//! Where events go: the log, and monitors.
//!
//! Every event of the speaker is stamped with wall-clock time once, written to the log at its own
//! level, and kept in a ring for `monitor`. Writing is all this does; what an event means and how
//! loud it is was decided where it arose.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;

use crate::event::{Event, EventRing, Level, Stamped};

/// The ring of events and who waits for it.
#[derive(Debug, Default)]
pub struct EventHub {
    ring: RefCell<EventRing>,
    news: Notify,
}

impl EventHub {
    /// Logs an event and tells the monitors.
    pub fn publish(&self, event: Event) {
        write_log(&event);
        self.ring.borrow_mut().push(epoch_ms(), event);
        self.news.notify_waiters();
    }

    /// Where a new reader starts.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.ring.borrow().end()
    }

    /// The events from `cursor` on, waiting for the first; with how many were lost before them.
    /// Cancel-safe: the cursor moves only when there is an answer.
    pub async fn read(&self, cursor: &mut u64) -> (u64, Vec<Stamped>) {
        loop {
            let news = self.news.notified();
            let (lost, events) = self.ring.borrow().read(cursor);
            if lost > 0 || !events.is_empty() {
                return (lost, events);
            }
            news.await;
        }
    }
}

/// Milliseconds since 1970.
#[must_use]
pub fn epoch_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn write_log(event: &Event) {
    let neighbor = event.neighbor().map(tracing::field::display);
    let prefix = event.prefix().map(tracing::field::display);
    match event.level() {
        Level::Warn => tracing::warn!(neighbor, "{event}"),
        Level::Info => tracing::info!(neighbor, "{event}"),
        Level::Debug => tracing::debug!(neighbor, prefix, "{event}"),
    }
}
