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
//! before any hold timer is judged, so our own delay does not end healthy sessions. When a timer is
//! found long overdue, the readers get more time for that than in an ordinary turn.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ctl::notify;
use ctl::signals::{Signal, Signals};
use rib::fib::{InterfaceChange, KernelEvent};
use tokio::sync::Notify;

use super::cluster::ClusterPort;
use super::connector;
use super::kernel::KernelEvents;
use super::node::Node;
use crate::speaker::SETTLE_DELAY_MAX;
use crate::speaker::port::Action;

/// How long the neighbors may take to be told goodbye.
const STOP_TIME_MAX: Duration = Duration::from_secs(4);
/// Longest sleep, so that the service watchdog is fed whatever happens.
const SLEEP_MAX: Duration = Duration::from_secs(5);
/// A timer that is this late means that the process was held up.
const STALL_TIME_MIN: Duration = Duration::from_millis(250);
/// How long thousands of sockets may then be read before the timers are judged.
const STALL_PATIENCE: Duration = Duration::from_millis(500);
/// Pause before the kernel thread is offered a batch again that it had no room for.
const KERNEL_RETRY: Duration = Duration::from_millis(5);

/// What the loop does on SIGHUP.
pub type ReloadHook = Box<dyn Fn(&Rc<Node>)>;

/// What the loop listens to beside the node.
pub struct Sources {
    /// The kernel thread.
    pub kernel: KernelEvents,
    /// The operator's signals.
    pub signals: Signals,
    /// Signalled by the threads of the tables.
    pub tables: Arc<Notify>,
    /// The planner of the cluster's objects.
    pub cluster: ClusterPort,
}

/// The loop.
pub struct Driver {
    node: Rc<Node>,
    kernel: KernelEvents,
    signals: Signals,
    tables: Arc<Notify>,
    cluster: ClusterPort,
    reload: ReloadHook,
    /// The tables are complete, and the kernel thread is to hear of it.
    resync_due: bool,
    /// Set while the daemon says goodbye.
    stop_by: Option<Instant>,
    /// Set while routes are drained and withdrawn before that.
    leaving: bool,
    /// The planner has died.
    is_blind: bool,
}

impl Driver {
    /// Puts the loop together.
    #[must_use]
    pub fn new(node: Rc<Node>, sources: Sources, reload: ReloadHook) -> Self {
        Self {
            node,
            kernel: sources.kernel,
            signals: sources.signals,
            tables: sources.tables,
            cluster: sources.cluster,
            reload,
            resync_due: false,
            stop_by: None,
            leaving: false,
            is_blind: false,
        }
    }

    /// Runs until every neighbor was told goodbye after a stop signal.
    ///
    /// # Errors
    /// The planner has died. What it last wanted would be announced for ever; who starts anew says
    /// what is true, and its neighbors keep its routes until then (RFC 4724).
    pub async fn run(&mut self) -> Result<(), &'static str> {
        self.carry_out();
        loop {
            self.wait().await;
            if self.is_blind && self.stop_by.is_none() {
                return Err("the planner of the cluster's objects has died");
            }
            let patience = self.patience();
            gather(|| self.node.steps(), patience).await;
            self.take_kernel_events();
            self.node.peek(|speaker, now| {
                speaker.absorb(now);
                speaker.handle_timeout(now);
                speaker.settle(now);
            });
            if self.leaving && self.node.peek(|speaker, _| speaker.has_left()) {
                self.say_goodbye();
            }
            self.node.pass_turn();
            self.carry_out();
            notify::watchdog();
            if let Some(stop_by) = self.stop_by
                && (self.node.conns.borrow().is_empty() || Instant::now() >= stop_by)
            {
                return Ok(());
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
            .chain(self.cluster.due(&self.node))
            .fold(now + watchdog, Ord::min);
        // Compared here because a timer wheel rounds up: what is due now is done now.
        if until <= now {
            return;
        }
        tokio::select! {
            () = self.node.wake.notified() => {}
            () = self.tables.notified() => {}
            () = tokio::time::sleep_until(until.into()) => {}
            event = self.kernel.next() => self.take_kernel_event(event),
            signal = self.signals.next() => self.obey(signal),
            news = self.cluster.next(), if !self.is_blind => match news {
                Some(news) => self.cluster.take(&self.node, news),
                None => self.is_blind = true,
            },
        }
    }

    /// How long the readers may go on before timers are judged.
    fn patience(&self) -> Duration {
        let due = self.node.peek(|speaker, _| speaker.poll_timeout());
        let stalled = due.is_some_and(|due| due.elapsed() >= STALL_TIME_MIN);
        if stalled {
            STALL_PATIENCE
        } else {
            SETTLE_DELAY_MAX
        }
    }

    fn obey(&mut self, signal: Signal) {
        match signal {
            Signal::Reload => (self.reload)(&self.node),
            Signal::Dump => self.node.dump(),
            Signal::Stop if self.stop_by.is_some() => self.stop_by = Some(Instant::now()),
            // Said twice means now.
            Signal::Stop if self.leaving => self.say_goodbye(),
            Signal::Stop => {
                notify::stopping();
                match self.node.step(|speaker, now| speaker.begin_leaving(now)) {
                    Some(time) => {
                        tracing::info!(?time, "stopping in stages: announcing for draining");
                        notify::extend_stop(time + STOP_TIME_MAX + SLEEP_MAX);
                        self.leaving = true;
                    }
                    None => self.say_goodbye(),
                }
            }
        }
    }

    /// The last stage of a stop: neighbors are told, and nobody may connect any more.
    fn say_goodbye(&mut self) {
        tracing::info!("stopping: telling the neighbors");
        notify::stopping();
        self.leaving = false;
        self.stop_by = Some(Instant::now() + STOP_TIME_MAX);
        self.node.listeners.close();
        self.node.peek(|speaker, now| speaker.shut_down(now));
    }

    /// Takes what else the kernel thread has said; a thousand next hops change in one turn.
    fn take_kernel_events(&mut self) {
        let lost = self.kernel.lost();
        if lost {
            self.node.kernel.refresh();
        }
        while let Some(event) = self.kernel.try_next() {
            self.take_kernel_event(event);
        }
        // Only now: what waited in the queue is older than the state of now.
        if lost && let Some(handle) = self.node.kernel.handle() {
            let all = handle.interfaces();
            self.node
                .peek(|speaker, now| speaker.handle_interfaces(now, &all));
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
                Action::ResyncComplete => self.resync_due = true,
            }
        }
        // Behind the last route: what the kernel thread has not been told of would go.
        if self.resync_due && !node.kernel.is_backlogged() {
            self.resync_due = false;
            node.kernel.resync_complete();
        }
        while let Some(conn) = node.peek(|speaker, _| speaker.poll_ready()) {
            node.wake_writer(conn);
        }
        let mut sessions_changed = false;
        while let Some(event) = node.peek(|speaker, _| speaker.poll_event()) {
            sessions_changed |= event.is_up_or_down();
            node.events.publish(event);
        }
        self.cluster.tell(&self.node, sessions_changed);
        if sessions_changed {
            let (up, all) = node.peek(|speaker, _| speaker.peers().count_up());
            notify::status(&format!("{up} of {all} neighbors established"));
        }
    }
}

/// Lets the ready tasks run, until they have nothing more for the speaker or time is up.
///
/// Each time it yields twice: the runtime asks the kernel which sockets have something when it has
/// nothing else to run, and resumes this task before the readers it has just woken.
async fn gather(steps: impl Fn() -> u64, patience: Duration) {
    let started = Instant::now();
    loop {
        let before = steps();
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        let quiet = steps() == before;
        if quiet || started.elapsed() >= patience {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::Write;

    use super::*;

    /// After a long step nobody has asked the kernel yet which sockets have something: the
    /// KEEPALIVEs that came meanwhile must be read before any hold timer is judged.
    #[tokio::test(flavor = "current_thread")]
    async fn what_waits_in_a_socket_is_read_before_timers_fire() {
        let tasks = tokio::task::LocalSet::new();
        tasks
            .run_until(async {
                let steps = Rc::new(Cell::new(0));
                let (mut peer, ours) = std::os::unix::net::UnixStream::pair().expect("a pair");
                ours.set_nonblocking(true).expect("a socket");
                let ours = tokio::net::UnixStream::from_std(ours).expect("a socket");
                let read = Rc::clone(&steps);
                tokio::task::spawn_local(async move {
                    let mut buffer = [0; 16];
                    while ours.readable().await.is_ok() {
                        if matches!(ours.try_read(&mut buffer), Ok(1..)) {
                            read.set(read.get() + 1);
                        }
                    }
                });
                // The reader waits for its socket before the long step begins.
                gather(|| steps.get(), SETTLE_DELAY_MAX).await;
                peer.write_all(b"KEEPALIVE").expect("room");
                gather(|| steps.get(), SETTLE_DELAY_MAX).await;
                assert_eq!(steps.get(), 1, "read before gather returns");
            })
            .await;
    }
}
