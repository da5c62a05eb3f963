//! `monitor`: events as they happen, until the client goes away.
//!
//! A monitor is a cursor into a ring. It holds nothing of the daemon and the daemon holds
//! nothing for it: one that reads too slowly is told how many events it missed and goes on from
//! what is still there.

use ctl::server::Replies;
use proto_codec::control::view::{Event, EventKind};
use proto_codec::control::{Fault, FaultKind, MonitorTopic, Tail, View};
use tokio::sync::broadcast::error::RecvError;

use super::{Answer, Context};
use crate::event;
use crate::io::events::epoch_ms;
use crate::speaker::Speaker;

/// `monitor (bgp | routes | log)`; virtual routers are another daemon's.
pub(super) async fn watch(context: &Context, replies: &Replies, topic: MonitorTopic) -> Answer {
    match topic {
        MonitorTopic::Vrrp => {
            let text = "this is bgpd; virtual routers are vrrpd's";
            Ok(Err(Fault::new(FaultKind::Unsupported, text)))
        }
        MonitorTopic::Log => log(replies).await,
        MonitorTopic::Bgp => events(context, replies, EventKind::Session).await,
        MonitorTopic::Routes if context.node.peek(|speaker, _| follows_no_routes(speaker)) => {
            let text = "changes of best paths are followed for the kernel: add [kernel]";
            Ok(Err(Fault::new(FaultKind::Refused, text)))
        }
        MonitorTopic::Routes => events(context, replies, EventKind::Route).await,
    }
}

/// Without a kernel table nobody is told what a prefix is from now on.
fn follows_no_routes(speaker: &Speaker) -> bool {
    speaker.config().kernel.is_none()
}

async fn events(context: &Context, replies: &Replies, wanted: EventKind) -> Answer {
    let hub = &context.node.events;
    let routes = wanted == EventKind::Route;
    let _watch = routes.then(|| RouteWatch::new(context));
    let mut cursor = hub.end();
    loop {
        let (lost, events) = tokio::select! {
            news = hub.read(&mut cursor) => news,
            () = replies.gone() => return Ok(Ok(Tail::default())),
        };
        if lost > 0 {
            replies.row(lost_row(lost)).await?;
        }
        for stamped in events {
            let is_route = matches!(stamped.event, event::Event::Route { .. });
            if is_route != routes {
                continue;
            }
            replies
                .row(View::Event(Event {
                    epoch_ms: stamped.epoch_ms,
                    kind: wanted,
                    neighbor: stamped.event.neighbor(),
                    prefix: stamped.event.prefix(),
                    text: stamped.event.to_string(),
                }))
                .await?;
        }
    }
}

/// Route events are only made while somebody watches.
struct RouteWatch<'a>(&'a Context);

impl<'a> RouteWatch<'a> {
    fn new(context: &'a Context) -> Self {
        context.node.peek(|speaker, _| speaker.watch_routes(true));
        Self(context)
    }
}

impl Drop for RouteWatch<'_> {
    fn drop(&mut self) {
        self.0.node.peek(|speaker, _| speaker.watch_routes(false));
    }
}

async fn log(replies: &Replies) -> Answer {
    let mut lines = ctl::log::subscribe();
    loop {
        let line = tokio::select! {
            line = lines.recv() => line,
            () = replies.gone() => return Ok(Ok(Tail::default())),
        };
        let row = match line {
            Ok(text) => View::Event(Event {
                epoch_ms: epoch_ms(),
                kind: EventKind::Log,
                neighbor: None,
                prefix: None,
                text,
            }),
            Err(RecvError::Lagged(lost)) => lost_row(lost),
            Err(RecvError::Closed) => return Ok(Ok(Tail::default())),
        };
        replies.row(row).await?;
    }
}

fn lost_row(lost: u64) -> View {
    View::Event(Event {
        epoch_ms: epoch_ms(),
        kind: EventKind::Lost,
        neighbor: None,
        prefix: None,
        text: format!("{lost} events were lost: this reader is too slow"),
    })
}
