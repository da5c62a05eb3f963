//! What `show metrics` prints and the exporter serves, from the very rows of `show vrrp`.
//!
//! Rows are taken from the node in portions ([`show::all_rows`]); families are made of them
//! elsewhere ([`gather`]). A thousand instances are some 30,000 samples: making their text takes
//! longer than an interval of 10 ms lasts.
//!
//! The exporter is started, moved and stopped by [`serve`] as the configuration says. An address
//! that cannot be listened on is said once and tried again every [`RETRY_AFTER`]: it may be one
//! that this host gets later, and no reason to leave virtual addresses without their master.

mod families;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ctl::metrics::{Ask, Exporter};
use proto_codec::control::view::{MetricFamily, VrrpInstance};
use tokio::sync::mpsc;

use crate::control::show;
use crate::io::shared::Shared;
use crate::node::Stranger;

pub use families::families;

/// Between two tries to listen.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Questions of the exporter that wait; it asks one at a time.
const ASKS_MAX: usize = 4;

/// What is measured, as a copy.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The virtual routers.
    pub rows: Vec<VrrpInstance>,
    /// Virtual routers of others that were heard and are not ours.
    pub strangers: Vec<Stranger>,
    /// All adverts of those.
    pub unknown_vrid: u64,
    /// Seconds since the start.
    pub uptime: Duration,
    /// When the configuration was read, milliseconds since 1970.
    pub config_epoch_ms: u64,
}

impl Facts {
    /// Copies them, with a pause after each portion of the rows.
    pub async fn copy(shared: &Shared) -> Self {
        let rows = show::all_rows(shared).await;
        let (strangers, unknown_vrid) = shared.peek(|node, _| {
            let strangers = node.strangers().iter().cloned().collect();
            (strangers, node.strangers().total())
        });
        Self {
            rows,
            strangers,
            unknown_vrid,
            uptime: shared.started.elapsed(),
            config_epoch_ms: shared.config_epoch_ms(),
        }
    }
}

/// The families as they are now; they are put together on another thread.
pub async fn gather(shared: &Shared) -> Vec<MetricFamily> {
    let facts = Facts::copy(shared).await;
    let made = tokio::task::spawn_blocking(move || families(&facts));
    made.await.unwrap_or_default()
}

/// Keeps the exporter as the configuration wants it, and answers it; never ends.
pub async fn serve(shared: Rc<Shared>) {
    let (sender, mut asks) = mpsc::channel(ASKS_MAX);
    let mut exporter: Option<(SocketAddr, Exporter)> = None;
    let mut failed: Option<SocketAddr> = None;
    let mut retry = Instant::now();
    loop {
        let wanted = shared.peek(|node, _| node.config().metrics);
        if exporter.as_ref().map(|(at, _)| *at) != wanted && retry <= Instant::now() {
            // The old one lets go of its port first: the new one may be another address of it.
            if let Some((_, old)) = exporter.take() {
                old.stop().await;
            }
            let started = wanted.map(|at| (at, Exporter::start(at, sender.clone())));
            match started {
                Some((at, Ok(one))) => {
                    tracing::info!(address = %one.address(), "metrics are served");
                    exporter = Some((at, one));
                    failed = None;
                }
                Some((at, Err(error))) => {
                    retry = Instant::now() + RETRY_AFTER;
                    if failed.replace(at) != Some(at) {
                        tracing::error!(address = %at, %error, "metrics cannot be served; retried");
                    }
                }
                None => failed = None,
            }
        }
        let waits = exporter.as_ref().map(|(at, _)| *at) != wanted;
        tokio::select! {
            Some(ask) = asks.recv() => answer(&shared, ask).await,
            () = shared.reloaded.notified() => retry = Instant::now(),
            () = tokio::time::sleep(RETRY_AFTER), if waits => {}
        }
    }
}

async fn answer(shared: &Shared, ask: Ask) {
    // Whoever asked may be gone by now.
    match ask {
        Ask::Metrics(reply) => drop(reply.send(gather(shared).await)),
        Ask::Ready(reply) => drop(reply.send(ready(shared))),
    }
}

/// A daemon is ready while it takes part; an instance at fault says so in its own figures.
fn ready(shared: &Shared) -> Result<(), String> {
    match shared.peek(|node, _| node.is_stopping()) {
        true => Err("it is stopping".to_owned()),
        false => Ok(()),
    }
}
