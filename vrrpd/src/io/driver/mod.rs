//! The loop of the daemon: read, do what is due, carry out, sleep.
//!
//! A flood is read in portions of [`PACKETS_PER_TURN`], and timers are judged after each, so that
//! packets nobody wants cannot hold up an advert. What the kernel says about links and addresses
//! is taken between two turns. A stop ends when every router has handed over, after
//! [`STOP_TIME`], or at the second request.
//!
//! - [`kernel`] hears of links and addresses and opens sockets,
//! - [`act`] carries out what routers ask for,
//! - [`carry`] asks for links with virtual MACs,
//! - [`leave`] is for a restart that nobody notices,
//! - [`tell`] passes on what they tell, [`inform`] to the programs of `notify`.

mod act;
mod carry;
mod inform;
mod kernel;
mod leave;
mod tell;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ctl::notify;
use ctl::signals::{Signal, Signals};
use tokio::signal::unix::{Signal as UnixSignal, SignalKind, signal};
use tokio::sync::Notify;

use leave::Estate;

use super::alarm::Alarm;
use super::estate::{EstateFile, Found};
use super::holder::{Holder, Put};
use super::host::{Host, Linux, Wire};
use super::keeper::Order;
use super::notices::Notices;
use super::routes::Routes;
use super::segment::Outgoing;
use super::shared::Shared;
use crate::node::{Slot, SlotId};
use crate::router::State;

/// Packets read from one socket before timers are judged.
const PACKETS_PER_TURN: usize = 64;
/// Longest sleep: a clock that jumps or a wake-up that is lost costs at most this.
const SLEEP_MAX: Duration = Duration::from_secs(10);
/// Sockets that could not be opened are tried again after this.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Addresses that were refused are tried again after this: each try is a short mastership.
const RETRY_REFUSED_AFTER: Duration = Duration::from_secs(10);
/// Shortest and longest wait for successors: the largest skew of the instances decides. That of
/// version 3 can be 41 s, and no operator waits that; the unit's `TimeoutStopSec=` is 20 s.
const STOP_TIME: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(15));

/// A socket, and what goes out through it at the end of the turn.
#[derive(Debug)]
struct Line {
    wire: Box<dyn Wire>,
    out: Vec<Outgoing>,
}

/// Everything the loop holds.
#[derive(Debug)]
pub struct Driver {
    shared: Rc<Shared>,
    host: Box<dyn Host>,
    holder: Holder,
    routes: Routes,
    segments: BTreeMap<(u32, bool), Line>,
    /// A picture of the host is being taken; `true`: it is out of date already.
    looking: Option<bool>,
    retry: Option<Instant>,
    /// Refused addresses are tried again.
    retry_refused: Option<Instant>,
    stop_by: Option<Instant>,
    /// When links of virtual MACs and closed addresses are asked for.
    next_carry: Option<Instant>,
    /// They were asked for, and there is no answer yet.
    carrying: bool,
    /// There was an answer.
    carried_once: bool,
    /// Somebody changed one of those links.
    look_at_carriers: bool,
    lost: carry::Lost,
    /// A socket holds more than one turn reads.
    backlog: bool,
    /// The status line is no longer true.
    status_due: bool,
    /// When the service manager wants to hear of us next.
    next_watchdog: Option<Instant>,
    notices: Option<Notices>,
    /// Somebody may rest in a state that no event told.
    inform_due: bool,
    /// What a successor finds.
    estate: Option<Estate>,
    /// Addresses of those that begin as heirs once their links are found.
    waiting: BTreeSet<Put>,
    /// Everything stays as it is, for a successor.
    left: bool,
}

/// What the loop waits for besides the node's deadlines.
#[derive(Debug)]
pub struct Waits {
    alarm: Alarm,
    signals: Signals,
    /// SIGUSR2: leave for a successor.
    leave: UnixSignal,
    reload: fn(&Rc<Shared>),
    wake: Arc<Notify>,
}

impl Waits {
    /// Timers and signals; from here on SIGUSR2 does not kill. `reload` is called for SIGHUP.
    ///
    /// # Errors
    /// No timer is to be had.
    pub fn new(shared: &Shared, signals: Signals, reload: fn(&Rc<Shared>)) -> io::Result<Self> {
        Ok(Self {
            alarm: Alarm::new()?,
            signals,
            leave: signal(SignalKind::user_defined2())?,
            reload,
            wake: Arc::clone(&shared.wake),
        })
    }
}

impl Driver {
    /// The driver of this host.
    ///
    /// # Errors
    /// Netlink is not to be had: nothing can be done without.
    pub fn open(shared: Rc<Shared>, file: EstateFile) -> io::Result<Self> {
        let host = Linux::open(&shared.wake)?;
        let mut estate = Estate::new(file);
        let found = estate.take();
        let mut driver = Self::new(shared, Box::new(host), found.as_ref())?;
        driver.estate = Some(estate);
        Ok(driver)
    }

    /// Looks at the host, and at what an earlier process left.
    ///
    /// # Errors
    /// Links and addresses cannot be read.
    pub fn new(shared: Rc<Shared>, host: Box<dyn Host>, found: Option<&Found>) -> io::Result<Self> {
        let mut driver = Self {
            shared,
            host,
            holder: Holder::default(),
            routes: Routes::default(),
            segments: BTreeMap::new(),
            looking: None,
            retry: None,
            retry_refused: None,
            stop_by: None,
            next_carry: None,
            carrying: false,
            carried_once: false,
            look_at_carriers: false,
            lost: carry::Lost::default(),
            backlog: false,
            status_due: false,
            next_watchdog: None,
            notices: None,
            inform_due: false,
            estate: None,
            left: false,
            waiting: BTreeSet::new(),
        };
        driver.shared.tell_time();
        let (links, addresses) = driver.host.picture()?;
        if let Some(found) = found {
            driver.inherit(found, &addresses);
        }
        driver.seen(links, addresses.clone());
        driver.shared.peek(|node, _| node.end_inheritance(false));
        let (mut kept, waiting) = (driver.inherited(), driver.still_to_inherit());
        kept.extend(&waiting);
        driver.waiting = waiting;
        Holder::clean(&mut *driver.host, &addresses, &kept);
        driver.clean_routes();
        Ok(driver)
    }

    /// Takes out routes of an earlier process. Of a master that goes on where that one was, those
    /// stay that it still is to have.
    fn clean_routes(&mut self) {
        let kept = self.shared.peek(|node, _| {
            let heir = |slot: &Slot| slot.router.inherited_state() == Some(State::Master);
            let masters = node.slots().map(|(_, slot)| slot);
            let masters = masters.filter(|slot| slot.router.is_holding() || heir(slot));
            let routes = masters.flat_map(|slot| Routes::of(slot, node.hosts()));
            routes.collect()
        });
        self.host.order(Order::CleanRoutes(kept));
    }

    /// Runs until the daemon is asked to stop and everybody has handed over.
    pub async fn run(&mut self, waits: &mut Waits) {
        while self.turn() {
            self.sleep(waits).await;
        }
    }

    /// One turn: reads, judges what is due, carries out. `false`: it was the last.
    pub fn turn(&mut self) -> bool {
        if self.left {
            return false;
        }
        self.shared.tell_time();
        let now = self.shared.now();
        let again = self.retry.is_some_and(|at| at <= now);
        if self.shared.take_replaced() || again {
            self.place_again();
        }
        let due = self.is_due();
        self.read(due);
        if !due && self.is_due() {
            self.read(true);
        }
        if self.retry_refused.take_if(|at| *at <= now).is_some() {
            self.shared.peek(|node, now| node.retry_refused(now));
        }
        // Before anything is sent, and before answers let anything go out: who stood still yields.
        self.shared.peek(|node, now| node.handle_timeout(now));
        self.read_answers();
        self.judge_holders();
        self.carry_out();
        self.inform_all();
        self.carry();
        self.holder.refresh(&mut *self.host, self.shared.now());
        self.routes.refresh(&mut *self.host, self.shared.now());
        let idle = self.shared.peek(|node, _| node.is_idle());
        let late = self.stop_by.is_some_and(|by| by <= self.shared.now());
        if idle || late {
            self.let_everything_go();
            self.end_estate();
            return false;
        }
        if self.shared.peek(|node, _| node.take_ordered()) {
            self.moved();
        }
        self.keep_estate();
        true
    }

    /// When the next turn is due, whatever comes in.
    #[must_use]
    pub fn next_turn(&self) -> Option<Instant> {
        self.shared
            .peek(|node, _| node.poll_timeout())
            .into_iter()
            .chain(self.holder.next_refresh())
            .chain(self.routes.next_refresh())
            .chain(self.retry)
            .chain(self.retry_refused)
            .chain(self.stop_by)
            .chain(self.next_carry.filter(|_| !self.carrying))
            .chain(self.estate_due())
            .min()
    }

    async fn sleep(&mut self, waits: &mut Waits) {
        let now = self.shared.now();
        self.feed_watchdog(now);
        let until = self.next_turn().into_iter().chain(self.next_watchdog);
        let until = until.fold(now + SLEEP_MAX, Ord::min);
        let signal = if self.backlog || until <= now {
            // The runtime must see its sockets between two turns, and a flood must not keep the
            // operator's signals waiting.
            tokio::select! {
                biased;
                signal = waits.signals.next() => signal,
                _ = waits.leave.recv() => return self.leave(),
                () = tokio::task::yield_now() => return,
            }
        } else {
            tokio::select! {
                () = waits.wake.notified() => return,
                () = waits.alarm.wait_until(until) => return,
                signal = waits.signals.next() => signal,
                _ = waits.leave.recv() => return self.leave(),
            }
        };
        match signal {
            Signal::Reload => (waits.reload)(&self.shared),
            Signal::Dump => self.dump(),
            Signal::Stop => self.stop(),
        }
    }

    /// Feeds the service manager's watchdog when it is hungry, not with every packet.
    fn feed_watchdog(&mut self, now: Instant) {
        if self.next_watchdog.is_none_or(|due| due <= now) {
            notify::watchdog();
            self.next_watchdog = Some(now + notify::watchdog_interval().unwrap_or(SLEEP_MAX));
        }
    }

    /// Begins to hand over; asked for once more it ends at once.
    pub fn stop(&mut self) {
        let now = self.shared.now();
        if self.stop_by.is_some() {
            self.stop_by = Some(now);
            return;
        }
        tracing::info!("stopping: handing over");
        notify::stopping();
        let skew = self.shared.peek(|node, _| node.longest_skew());
        let patience = (skew + RETRY_AFTER).clamp(STOP_TIME.0, STOP_TIME.1);
        self.stop_by = Some(now + patience);
        self.shared.peek(|node, now| node.shut_down(now));
        self.inform_due = true;
    }

    /// Whether a timer of a router has run out.
    fn is_due(&self) -> bool {
        self.shared
            .peek(|node, now| node.poll_timeout().is_some_and(|due| due <= now))
    }

    /// Reads what has come. Where nothing is due the runtime's word is enough, which spares a
    /// system call per socket and turn; else every socket is asked, for what lies in one unread
    /// must not be taken for silence.
    fn read(&mut self, all: bool) {
        if all || self.host.has_rung() {
            self.read_kernel();
        }
        self.read_adverts(all);
    }

    fn read_adverts(&mut self, all: bool) {
        self.backlog = false;
        for line in self.segments.values() {
            if !all && !line.wire.has_rung() {
                continue;
            }
            self.backlog |= line
                .wire
                .read(PACKETS_PER_TURN, &mut |link, envelope, message| {
                    self.shared
                        .peek(|node, now| node.handle_packet(now, link, envelope, message));
                });
        }
    }

    /// Whoever has not handed over by now loses its addresses all the same.
    fn let_everything_go(&mut self) {
        let ids: Vec<SlotId> = self
            .shared
            .peek(|node, _| node.slots().map(|(id, _)| id).collect());
        for id in ids {
            self.let_go(id);
        }
        self.host.order(Order::Carry {
            wanted: Vec::new(),
            closed: BTreeSet::new(),
            look: false,
        });
    }

    fn dump(&self) {
        self.shared.peek(|node, now| {
            for (_, slot) in node.slots() {
                let since = now.saturating_duration_since(slot.router.since());
                tracing::info!(
                    instance = slot.instance.name,
                    state = %slot.router.state(),
                    since_s = since.as_secs(),
                    priority = slot.router.effective_priority(),
                    untold_conflicts = slot.router.untold_conflicts(),
                    "dump"
                );
            }
        });
    }
}

/// The error, and what it mostly means.
fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => format!("{error} (CAP_NET_RAW is missing)"),
        _ => error.to_string(),
    }
}
