//! `monitor vrrp` and `monitor log`: what happens, as it happens, until the caller leaves.
//!
//! A monitor is a cursor into a ring that holds the last [`crate::io::shared::EVENTS_KEPT`]: the
//! daemon waits for nobody, and a reader that is too slow is told how much it missed.

use ctl::server::{Gone, Replies};
use proto_codec::control::view::{Event, EventKind};
use proto_codec::control::{Tail, View};
use tokio::sync::broadcast::error::RecvError;

use super::{Answer, event_row};
use crate::io::shared::{Shared, epoch_ms};

/// `monitor vrrp`.
pub(super) async fn events(shared: &Shared, replies: &Replies) -> Answer {
    let mut events = shared.events();
    loop {
        let row = tokio::select! {
            () = replies.gone() => return Err(Gone),
            entry = events.recv() => match entry {
                Ok(entry) => event_row(&entry),
                Err(RecvError::Lagged(lost)) => lost_row(lost),
                Err(RecvError::Closed) => return Ok(Ok(Tail::default())),
            },
        };
        replies.row(row).await?;
    }
}

/// `monitor log`.
pub(super) async fn log(replies: &Replies) -> Answer {
    let mut lines = ctl::log::subscribe();
    loop {
        let row = tokio::select! {
            () = replies.gone() => return Err(Gone),
            line = lines.recv() => match line {
                Ok(text) => row(EventKind::Log, text),
                Err(RecvError::Lagged(lost)) => lost_row(lost),
                Err(RecvError::Closed) => return Ok(Ok(Tail::default())),
            },
        };
        replies.row(row).await?;
    }
}

fn lost_row(lost: u64) -> View {
    row(
        EventKind::Lost,
        format!("{lost} events were lost: this reader is too slow"),
    )
}

fn row(kind: EventKind, text: String) -> View {
    View::Event(Event {
        epoch_ms: epoch_ms(),
        kind,
        neighbor: None,
        prefix: None,
        text,
    })
}
