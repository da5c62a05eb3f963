//! The speaker's side of the kernel thread.
//!
//! The thread (see `rib::netlink`) takes batches of wanted routes and reports what it sees of
//! next hops and interfaces. Both directions have a bound. Towards the kernel: when its queue is
//! full, the batch stays here and the RIB keeps the rest, where later changes of a prefix replace
//! earlier ones; so a slow kernel costs no memory and gets the latest. From the kernel: when
//! [`EVENTS_MAX`] events wait, further ones are dropped, and all next hops and interfaces are asked
//! for again once there is room: the answer is the state of now, which is all an event is good for.
//!
//! Without `[kernel]` in the configuration the thread only watches: a dead interface still
//! ends the sessions on it at once.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rib::fib::{FibChange, KernelConfig, KernelEvent};
use rib::netlink::KernelHandle;
use tokio::sync::mpsc;

use super::node::Node;
use crate::config;

/// Events waiting for the speaker; a full table of restored routes is told in part.
const EVENTS_MAX: usize = 16_384;
/// Routes handed over at a time.
const BATCH_MAX: usize = 1024;

/// The way to the kernel thread, for commands.
#[derive(Debug, Default)]
pub struct KernelPort {
    handle: Option<KernelHandle>,
    /// A batch the thread had no room for.
    pending: RefCell<Vec<FibChange>>,
    tracked: RefCell<BTreeSet<IpAddr>>,
}

/// The way from the kernel thread.
#[derive(Debug)]
pub struct KernelEvents {
    events: mpsc::Receiver<KernelEvent>,
    lost: Arc<AtomicBool>,
}

/// What the configuration says, in the words of the kernel thread.
#[must_use]
pub fn kernel_config(kernel: Option<&config::Kernel>) -> KernelConfig {
    match kernel {
        Some(kernel) => KernelConfig {
            table: kernel.table,
            metric: kernel.metric,
            multipath: kernel.multipath,
            protocol: kernel.protocol,
            default_route: kernel.default_route,
            ..KernelConfig::default()
        },
        None => KernelConfig {
            watch_only: true,
            ..KernelConfig::default()
        },
    }
}

impl KernelPort {
    /// Starts the thread. A kernel that gives us no netlink socket is said and lived without:
    /// sessions and routes to neighbors do not need it.
    #[must_use]
    pub fn start(kernel: Option<&config::Kernel>) -> (Self, KernelEvents) {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let lost = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&lost);
        let spawned = KernelHandle::spawn(kernel_config(kernel), move |event| {
            if sender.try_send(event).is_err() {
                flag.store(true, Ordering::Relaxed);
            }
        });
        let handle = match spawned {
            Ok(handle) => Some(handle),
            Err(error) => {
                tracing::error!(%error, "no netlink socket: nothing is written to the kernel");
                None
            }
        };
        (
            Self {
                handle,
                ..Self::default()
            },
            KernelEvents { events, lost },
        )
    }

    /// The thread itself, for `show ip route` and the figures.
    #[must_use]
    pub fn handle(&self) -> Option<&KernelHandle> {
        self.handle.as_ref()
    }

    /// Starts or stops watching a next hop.
    pub fn track(&self, address: IpAddr, on: bool) {
        if on {
            self.tracked.borrow_mut().insert(address);
        } else {
            self.tracked.borrow_mut().remove(&address);
        }
        if let Some(handle) = &self.handle {
            handle.track(address, on);
        }
    }

    /// Another table, metric or limit.
    pub fn reconfigure(&self, kernel: Option<&config::Kernel>) {
        if let Some(handle) = &self.handle {
            handle.reconfigure(kernel_config(kernel));
        }
    }

    /// What is left of the last life in the kernel may go.
    pub fn resync_complete(&self) {
        if let Some(handle) = &self.handle {
            handle.resync_complete();
        }
    }

    /// Hands over what the RIB wants written, as far as there is room.
    pub fn update(&self, node: &Rc<Node>) {
        loop {
            let mut batch = std::mem::take(&mut *self.pending.borrow_mut());
            if batch.is_empty() {
                node.peek(|speaker, _| {
                    while batch.len() < BATCH_MAX
                        && let Some(change) = speaker.poll_fib()
                    {
                        batch.push(change);
                    }
                });
            }
            if batch.is_empty() {
                return;
            }
            // Without a thread there is no kernel: what is wanted of it is dropped.
            let Some(handle) = &self.handle else { continue };
            if let Err(batch) = handle.try_update(batch) {
                *self.pending.borrow_mut() = batch;
                return;
            }
        }
    }

    /// Whether a batch waits for room.
    #[must_use]
    pub fn is_backlogged(&self) -> bool {
        !self.pending.borrow().is_empty()
    }

    /// Asks for the state of every next hop again, after events were lost.
    pub fn refresh(&self) {
        let Some(handle) = &self.handle else { return };
        for &address in self.tracked.borrow().iter() {
            handle.track(address, true);
        }
    }
}

impl KernelEvents {
    /// The next event. Cancel-safe.
    pub async fn next(&mut self) -> KernelEvent {
        match self.events.recv().await {
            Some(event) => event,
            // The thread is gone; it will not say anything any more.
            None => std::future::pending().await,
        }
    }

    /// What else is waiting, without waiting.
    pub fn try_next(&mut self) -> Option<KernelEvent> {
        self.events.try_recv().ok()
    }

    /// Whether events were lost since this was last asked.
    #[must_use]
    pub fn lost(&self) -> bool {
        self.lost.swap(false, Ordering::Relaxed)
    }
}
