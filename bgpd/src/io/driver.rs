//! The loop that turns time and actions into steps of the speaker.
//!
//! One turn: wait for whatever comes first (an input some task gave the speaker, a deadline, a
//! kernel event, a signal), let the tasks that are ready run, fire the timers that are due, settle
//! the RIB once for everything that came in, and carry out what the speaker asks for.
//!
//! **Gathering.** Settling after every read would pack few prefixes into each UPDATE and run the
//! decision process more often than needed. So the driver yields as long as other tasks keep
//! feeding the speaker, but never longer than [`SETTLE_DELAY_MAX`] after it woke: a quiet router
//! reacts at once, a busy one works in batches.
//!
//! **Stalls.** Timers fire only after the readers had a turn. When the process was held up (a
//! suspended machine, a long step), the KEEPALIVEs that already wait in the sockets are read
//! before any hold timer is judged, so our own delay does not end healthy sessions.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ctl::notify;
use ctl::signals::{Signal, Signals};
use rib::fib::{InterfaceChange, KernelEvent};

use super::connector;
use super::kernel::KernelEvents;
use super::node::Node;
use crate::speaker::SETTLE_DELAY_MAX;
use crate::speaker::port::Action;

/// How long the neighbors may take to be told goodbye.
const STOP_TIME_MAX: Duration = Duration::from_secs(4);
/// Longest sleep, so that the service watchdog is fed whatever happens.
const SLEEP_MAX: Duration = Duration::from_secs(5);
/// Pause before the kernel thread is offered a batch again that it had no room for.
const KERNEL_RETRY: Duration = Duration::from_millis(5);

/// What the loop does on SIGHUP.
pub type ReloadHook = Box<dyn Fn(&Rc<Node>)>;

/// Everything the loop listens to beside the node.
pub struct Driver {
    node: Rc<Node>,
    kernel: KernelEvents,
    signals: Signals,
    reload: ReloadHook,
    /// Set while the daemon says goodbye.
    stop_by: Option<Instant>,
}

impl Driver {
    /// Puts the loop together.
    #[must_use]
    pub fn new(node: Rc<Node>, kernel: KernelEvents, signals: Signals, reload: ReloadHook) -> Self {
        Self {
            node,
            kernel,
            signals,
            reload,
            stop_by: None,
        }
    }

    /// Runs until every neighbor was told goodbye after a stop signal.
    pub async fn run(&mut self) {
        self.carry_out();
        loop {
            self.wait().await;
            self.gather().await;
            self.take_kernel_events();
            self.node.peek(|speaker, now| {
                speaker.handle_timeout(now);
                speaker.settle(now);
            });
            self.carry_out();
            notify::watchdog();
            if let Some(stop_by) = self.stop_by
                && (self.node.conns.borrow().is_empty() || Instant::now() >= stop_by)
            {
                return;
            }
        }
    }

    /// Sleeps until there is something to do.
    async fn wait(&mut self) {
        let now = Instant::now();
        let due = self.node.peek(|speaker, _| speaker.poll_timeout());
        let retry = self
            .node
            .kernel
            .is_backlogged()
            .then_some(now + KERNEL_RETRY);
        let watchdog = notify::watchdog_interval().map_or(SLEEP_MAX, |every| every.min(SLEEP_MAX));
        let until = due
            .into_iter()
            .chain(retry)
            .chain(self.stop_by)
            .fold(now + watchdog, Ord::min);
        // Compared here because a timer wheel rounds up: what is due now is done now.
        if until <= now {
            return;
        }
        tokio::select! {
            () = self.node.wake.notified() => {}
            () = tokio::time::sleep_until(until.into()) => {}
            event = self.kernel.next() => self.take_kernel_event(event),
            signal = self.signals.next() => self.obey(signal),
        }
    }

    fn obey(&mut self, signal: Signal) {
        match signal {
            Signal::Reload => (self.reload)(&self.node),
            Signal::Dump => self.node.dump(),
            Signal::Stop if self.stop_by.is_some() => self.stop_by = Some(Instant::now()),
            Signal::Stop => {
                tracing::info!("stopping: telling the neighbors");
                notify::stopping();
                self.stop_by = Some(Instant::now() + STOP_TIME_MAX);
                self.node.listeners.close();
                self.node.peek(|speaker, now| speaker.shut_down(now));
            }
        }
    }

    /// Lets the ready tasks run, until they have nothing more for the speaker or time is up.
    async fn gather(&self) {
        let started = Instant::now();
        loop {
            let steps = self.node.steps();
            tokio::task::yield_now().await;
            let quiet = steps == self.node.steps();
            if quiet || started.elapsed() >= SETTLE_DELAY_MAX {
                return;
            }
        }
    }

    /// Takes what else the kernel thread has said; a thousand next hops change in one turn.
    fn take_kernel_events(&mut self) {
        if self.kernel.lost() {
            self.node.kernel.refresh();
        }
        while let Some(event) = self.kernel.try_next() {
            self.take_kernel_event(event);
        }
    }

    /// Only changes of interfaces are events; what there was at the start comes with the first
    /// dump.
    fn take_kernel_event(&self, event: KernelEvent) {
        let first = match (&event, self.node.kernel.handle()) {
            (KernelEvent::Ready { .. }, Some(handle)) => handle.interfaces(),
            _ => Arc::default(),
        };
        self.node.peek(|speaker, now| {
            for interface in first.iter().cloned() {
                let change = InterfaceChange::Present(interface);
                speaker.handle_kernel(now, KernelEvent::Interface(change));
            }
            speaker.handle_kernel(now, event);
        });
    }

    /// Does what the speaker asks for. Routes go to the kernel before anything else, so that
    /// "the tables are complete" is said after the tables.
    fn carry_out(&mut self) {
        let node = &self.node;
        node.kernel.update(node);
        while let Some(action) = node.peek(|speaker, _| speaker.poll_action()) {
            match action {
                Action::Connect(request) => connector::spawn(node, request),
                Action::Close {
                    conn,
                    farewell,
                    abort,
                } => node.close(conn, farewell, abort),
                Action::Listen(addresses) => node.listeners.set_addresses(node, &addresses),
                Action::ListenKey { prefix, key } => node.listeners.set_key(prefix, key),
                Action::TrackNextHop { address, on } => node.kernel.track(address, on),
                Action::Kernel(kernel) => node.kernel.reconfigure(kernel.as_ref()),
                Action::ResyncComplete => node.kernel.resync_complete(),
            }
        }
        while let Some(conn) = node.peek(|speaker, _| speaker.poll_ready()) {
            node.wake_writer(conn);
        }
        let mut sessions_changed = false;
        while let Some(event) = node.peek(|speaker, _| speaker.poll_event()) {
            sessions_changed |= event.is_up_or_down();
            node.events.publish(event);
        }
        if sessions_changed {
            let (up, all) = node.peek(|speaker, _| speaker.peers().count_up());
            notify::status(&format!("{up} of {all} neighbors established"));
        }
    }
}
