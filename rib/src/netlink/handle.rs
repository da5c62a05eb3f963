//! The daemon's side of the kernel thread.
//!
//! Every method returns at once, except that [`KernelHandle::update`] waits for room when the
//! command queue is full. The thread merges commands into its table between two batches of
//! writes, so the wait is a few milliseconds at most, never the time that writing takes.

use std::io::Write;
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::{fmt, io};

use arc_swap::ArcSwap;

use crate::fib::{
    FibChange, Interface, KernelConfig, KernelEvent, KernelStats, RoutePage, RouteQuery,
};

use super::worker::{self, Command, Inbox};

/// Commands in the queue: a batch of changes each. When it is full the caller waits until the
/// thread has merged one, see the module's essay.
const COMMANDS_MAX: usize = 256;

/// What the thread shows to others without being asked: values that never change, each replaced as
/// a whole by the next, so that nobody ever waits to read or to write.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub(super) stats: ArcSwap<KernelStats>,
    pub(super) interfaces: ArcSwap<Vec<Interface>>,
}

/// The kernel thread has ended (only after [`KernelHandle::shutdown`], or if its callback
/// panicked). The caller stops writing routes and says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelGone;

impl fmt::Display for KernelGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the kernel thread has ended")
    }
}

impl std::error::Error for KernelGone {}

/// The running kernel thread. Dropping it stops the thread and leaves the routes.
#[derive(Debug)]
pub struct KernelHandle {
    commands: SyncSender<Command>,
    waker: UnixStream,
    shown: Arc<Shown>,
    thread: Option<JoinHandle<()>>,
}

impl KernelHandle {
    /// Opens the sockets in the calling thread's network namespace and starts the thread.
    ///
    /// `on_event` runs on that thread and must not block: hand the event on and return. Events
    /// about next hops and interfaces keep their order.
    ///
    /// # Errors
    /// The netlink sockets cannot be opened: the daemon says so and goes on without a kernel
    /// table, or exits, as its configuration demands. Lack of `CAP_NET_ADMIN` shows later, as
    /// [`KernelEvent::Failed`] with `EPERM`.
    pub fn spawn(
        config: KernelConfig,
        on_event: impl FnMut(KernelEvent) + Send + 'static,
    ) -> io::Result<Self> {
        let (commands, receiver) = sync_channel(COMMANDS_MAX);
        let (waker, woken) = UnixStream::pair()?;
        waker.set_nonblocking(true)?;
        woken.set_nonblocking(true)?;
        let shown = Arc::new(Shown::default());
        let inbox = Inbox {
            commands: receiver,
            woken,
            shown: Arc::clone(&shown),
        };
        let thread = worker::spawn(config, inbox, on_event)?;
        Ok(Self {
            commands,
            waker,
            shown,
            thread: Some(thread),
        })
    }

    /// Hands over wanted routes; a later change of a prefix replaces an earlier one.
    ///
    /// # Errors
    /// The thread has ended.
    pub fn update(&self, changes: Vec<FibChange>) -> Result<(), KernelGone> {
        self.send(Command::Update(changes))
    }

    /// As [`update`](Self::update), but gives the changes back instead of waiting for room.
    ///
    /// # Errors
    /// The queue is full: keep the changes (they coalesce by prefix) and offer them again.
    pub fn try_update(&self, changes: Vec<FibChange>) -> Result<(), Vec<FibChange>> {
        match self.commands.try_send(Command::Update(changes)) {
            Ok(()) => {
                self.wake();
                Ok(())
            }
            Err(TrySendError::Full(command) | TrySendError::Disconnected(command)) => match command
            {
                Command::Update(changes) => Err(changes),
                _ => Ok(()),
            },
        }
    }

    /// The tables are back after a restart (End-of-RIB from all, or the deferral deadline):
    /// routes of the earlier run that nobody asked for are removed. Without this call they go
    /// six minutes after the start.
    pub fn resync_complete(&self) {
        self.tell(Command::ResyncComplete);
    }

    /// Starts (true) or stops tracking an address; each start is answered by a
    /// [`KernelEvent::NextHop`].
    pub fn track(&self, addr: IpAddr, on: bool) {
        self.tell(Command::Track(addr, on));
    }

    /// Changes table, metric, limits or protocol; routes are moved without a gap.
    pub fn reconfigure(&self, config: KernelConfig) {
        self.tell(Command::Reconfigure(config));
    }

    /// Answers one page of routes through `reply`, which runs on the kernel thread (hand it a
    /// one-shot channel). Not called if the thread ends first.
    pub fn routes(&self, query: RouteQuery, reply: impl FnOnce(RoutePage) + Send + 'static) {
        self.tell(Command::Routes(query, Box::new(reply)));
    }

    /// Counters and gauges as of the last turn of the thread.
    #[must_use]
    pub fn stats(&self) -> KernelStats {
        **self.shown.stats.load()
    }

    /// Interfaces and their addresses as of the last turn of the thread; empty until
    /// [`KernelEvent::Ready`]. Changes are told as [`KernelEvent::Interface`].
    #[must_use]
    pub fn interfaces(&self) -> Arc<Vec<Interface>> {
        self.shown.interfaces.load_full()
    }

    /// Writes what is still pending (a second at most), ends the thread and waits for it. All
    /// routes stay in the kernel.
    pub fn shutdown(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        self.tell(Command::Shutdown);
        if let Some(thread) = self.thread.take() {
            // A panic of the callback was printed by the panic hook already.
            let _ = thread.join();
        }
    }

    fn tell(&self, command: Command) {
        // A thread that has ended has nothing to do with the command: `update` reports that.
        let _ = self.send(command);
    }

    fn send(&self, command: Command) -> Result<(), KernelGone> {
        self.commands.send(command).map_err(|_| KernelGone)?;
        self.wake();
        Ok(())
    }

    fn wake(&self) {
        // A full pipe means that the thread has yet to see an earlier byte: it will look.
        let _ = (&self.waker).write(&[1]);
    }
}

impl Drop for KernelHandle {
    fn drop(&mut self) {
        self.stop();
    }
}
