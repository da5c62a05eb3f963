//! The loop of the daemon: read, do what is due, carry out, sleep.
//!
//! A flood is read in portions of [`PACKETS_PER_TURN`], and timers are judged after each, so that
//! packets nobody wants cannot hold up an advert. What the kernel says about links and addresses
//! is taken between two turns. A stop ends when every router has handed over, after
//! [`STOP_TIME_MAX`], or at the second request.
//!
//! - [`kernel`] hears of links and addresses and opens sockets,
//! - [`act`] carries out what routers ask for,
//! - [`tell`] passes on what they tell.

mod act;
mod kernel;
mod tell;

use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ctl::notify;
use ctl::signals::{Signal, Signals};
use rib::netlink::hosts::{HostWatch, snapshot};

use super::alarm::Alarm;
use super::holder::Holder;
use super::segment::Segment;
use super::shared::Shared;
use super::sockopt::{FrameSocket, Readable};
use crate::node::SlotId;

/// Packets read from one socket before timers are judged.
const PACKETS_PER_TURN: usize = 64;
/// Longest sleep: a clock that jumps or a wake-up that is lost costs at most this.
const SLEEP_MAX: Duration = Duration::from_secs(10);
/// Sockets that could not be opened are tried again after this.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Addresses that were refused are tried again after this: each try is a short mastership.
const RETRY_REFUSED_AFTER: Duration = Duration::from_secs(10);
/// Longest wait for successors; the longest skew of version 3 is 41 s, and no operator waits that.
const STOP_TIME_MAX: Duration = Duration::from_secs(5);

/// Everything the loop holds.
#[derive(Debug)]
pub struct Driver {
    shared: Rc<Shared>,
    holder: Holder,
    watch: Readable<HostWatch>,
    segments: BTreeMap<(u32, bool), Segment>,
    frames: Option<FrameSocket>,
    alarm: Alarm,
    signals: Signals,
    reload: fn(&Rc<Shared>),
    retry: Option<Instant>,
    /// Refused addresses are tried again.
    retry_refused: Option<Instant>,
    stop_by: Option<Instant>,
    /// A socket holds more than one turn reads.
    backlog: bool,
}

impl Driver {
    /// Opens what can only be opened once and looks at the host.
    ///
    /// # Errors
    /// Netlink or timers are not to be had: nothing can be done without.
    pub fn new(shared: Rc<Shared>, signals: Signals, reload: fn(&Rc<Shared>)) -> io::Result<Self> {
        let mut holder = Holder::open()?;
        let watch = Readable::new(HostWatch::open(holder.writer())?)?;
        let (_, addresses) = snapshot()?;
        holder.clean(&addresses);
        let mut driver = Self {
            shared,
            holder,
            watch,
            segments: BTreeMap::new(),
            frames: None,
            alarm: Alarm::new()?,
            signals,
            reload,
            retry: None,
            retry_refused: None,
            stop_by: None,
            backlog: false,
        };
        driver.shared.tell_time();
        driver.look_again();
        Ok(driver)
    }

    /// Runs until the daemon is asked to stop and everybody has handed over.
    pub async fn run(&mut self) {
        loop {
            self.shared.tell_time();
            if self.shared.take_replaced() || self.retry.is_some_and(|at| at <= Instant::now()) {
                self.look_again();
            }
            self.read_kernel();
            self.read_adverts();
            if self
                .retry_refused
                .take_if(|at| *at <= Instant::now())
                .is_some()
            {
                self.shared.peek(|node, now| node.retry_refused(now));
            }
            self.shared.peek(|node, now| node.handle_timeout(now));
            self.carry_out();
            for (id, text) in self.holder.refresh(Instant::now()) {
                self.refused(id, &text);
                self.carry_out();
            }
            let idle = self.shared.peek(|node, _| node.is_idle());
            let late = self.stop_by.is_some_and(|by| by <= Instant::now());
            if idle || late {
                self.let_everything_go();
                return;
            }
            self.sleep().await;
        }
    }

    async fn sleep(&mut self) {
        notify::watchdog();
        let now = Instant::now();
        let watchdog = notify::watchdog_interval().map_or(SLEEP_MAX, |every| every.min(SLEEP_MAX));
        let until = self
            .shared
            .peek(|node, _| node.poll_timeout())
            .into_iter()
            .chain(self.holder.next_refresh())
            .chain(self.retry)
            .chain(self.retry_refused)
            .chain(self.stop_by)
            .fold(now + watchdog, Ord::min);
        if self.backlog || until <= now {
            // The runtime must see its sockets and signals between two turns.
            tokio::task::yield_now().await;
            return;
        }
        tokio::select! {
            () = self.shared.wake.notified() => {}
            () = self.alarm.wait_until(until) => {}
            _ = self.watch.wait() => {}
            signal = self.signals.next() => self.obey(signal),
        }
    }

    fn obey(&mut self, signal: Signal) {
        match signal {
            Signal::Reload => (self.reload)(&self.shared),
            Signal::Dump => self.dump(),
            Signal::Stop if self.stop_by.is_some() => self.stop_by = Some(Instant::now()),
            Signal::Stop => {
                tracing::info!("stopping: handing over");
                notify::stopping();
                self.stop_by = Some(Instant::now() + STOP_TIME_MAX);
                self.shared.peek(|node, now| node.shut_down(now));
            }
        }
    }

    fn read_adverts(&mut self) {
        self.backlog = false;
        for segment in self.segments.values() {
            self.backlog |= segment.read(PACKETS_PER_TURN, |link, envelope, message| {
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
            self.holder.let_go(id);
        }
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
