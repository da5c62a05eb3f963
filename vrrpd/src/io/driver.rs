//! The loop of the daemon: read, do what is due, carry out, sleep.
//!
//! A flood is read in portions of [`PACKETS_PER_TURN`], and timers are judged after each, so that
//! packets nobody wants cannot hold up an advert. What the kernel says about links and addresses
//! is taken between two turns. A stop ends when every router has handed over, after
//! [`STOP_TIME_MAX`], or at the second request.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ctl::notify;
use ctl::signals::{Signal, Signals};
use proto_codec::vrrp::announce::announcement;
use rib::netlink::hosts::{HostChange, HostWatch, snapshot};

use super::alarm::Alarm;
use super::holder::{ADDRESS_PROTOCOL, Holder};
use super::segment::Segment;
use super::shared::{Shared, epoch_ms};
use super::sockopt::{FrameSocket, Readable};
use crate::node::{Entry, Hosts, Output, SlotId};
use crate::router::{Action, Event, State};

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
        driver.look_again();
        Ok(driver)
    }

    /// Runs until the daemon is asked to stop and everybody has handed over.
    pub async fn run(&mut self) {
        loop {
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

    /// Takes a new picture of links and addresses, places every instance and opens its sockets.
    fn look_again(&mut self) {
        self.retry = None;
        match snapshot() {
            Ok((links, mut addresses)) => {
                // Before Linux 5.18 nothing in the kernel says that they are ours.
                addresses.retain(|one| !self.holder.holds(one.index, one.network));
                self.set_hosts(Hosts::new(links, addresses, ADDRESS_PROTOCOL));
            }
            Err(error) => {
                tracing::error!(%error, "links and addresses cannot be read");
                self.retry = Some(Instant::now() + RETRY_AFTER);
            }
        }
    }

    fn set_hosts(&mut self, hosts: Hosts) {
        let writer = self.holder.writer();
        let mut towards = |address: IpAddr| writer.link_towards(address).ok().flatten();
        self.shared
            .peek(|node, now| node.set_hosts(now, hosts, &mut towards));
        self.sync_segments();
        if self.shared.peek(|node, _| node.awaits_route()) {
            self.retry = Some(Instant::now() + RETRY_AFTER);
        }
    }

    /// One socket per link and family that an instance needs.
    fn sync_segments(&mut self) {
        let wanted: BTreeSet<(u32, bool)> = self.shared.peek(|node, _| {
            node.slots()
                .filter_map(|(_, slot)| Some((slot.link?, slot.instance.settings.ipv6())))
                .collect()
        });
        self.segments.retain(|key, _| wanted.contains(key));
        for key in wanted {
            if self.segments.contains_key(&key) {
                continue;
            }
            let link = self
                .shared
                .peek(|node, _| node.hosts().link_at(key.0).cloned());
            let Some(link) = link else {
                continue;
            };
            match Segment::open(&link, key.1, &self.shared.wake) {
                Ok(segment) => {
                    self.segments.insert(key, segment);
                    self.shared
                        .peek(|node, now| node.set_socket_fault(now, key, None));
                }
                Err(error) => {
                    let text = why(&error);
                    self.shared
                        .peek(|node, now| node.set_socket_fault(now, key, Some(&text)));
                    self.retry = Some(Instant::now() + RETRY_AFTER);
                }
            }
        }
    }

    fn read_kernel(&mut self) {
        let changes = match self.watch.get_mut().read() {
            Ok(changes) if changes.is_empty() => return,
            Ok(changes) => changes,
            Err(error) => {
                tracing::error!(%error, "the watch of links and addresses failed");
                self.retry = Some(Instant::now() + RETRY_AFTER);
                return;
            }
        };
        if changes.contains(&HostChange::Lost) {
            return self.look_again();
        }
        let mut hosts = self.shared.peek(|node, _| node.hosts().clone());
        let mut different = false;
        for change in changes {
            if let HostChange::AddressGone(gone) = &change {
                let address = gone.network.addr();
                let ours = self
                    .shared
                    .peek(|node, now| node.addresses_lost(now, gone.index, address));
                if ours {
                    tracing::warn!(%address, "a virtual address was taken off: put back");
                }
            }
            if let HostChange::Address(one) = &change
                && self.holder.holds(one.index, one.network)
            {
                // Ours, whatever it says: the next refresh writes our number again.
                continue;
            }
            different |= hosts.handle(change);
        }
        if different {
            self.set_hosts(hosts);
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

    fn carry_out(&mut self) {
        while let Some((id, output)) = self.shared.peek(|node, _| node.poll_output()) {
            match output {
                Output::Do(action) => self.act(id, action),
                Output::Tell(event) => self.tell(id, &event),
            }
        }
    }

    fn act(&mut self, id: SlotId, action: Action) {
        let place = self.shared.peek(|node, _| {
            let slot = node.slot(id)?;
            let link = slot.link?;
            let mac = node.hosts().link_at(link).and_then(|link| link.mac);
            Some((
                link,
                slot.instance.settings.ipv6(),
                slot.router.primary(),
                mac,
            ))
        });
        let Some((link, ipv6, primary, mac)) = place else {
            if action == Action::LetGo {
                self.holder.let_go(id);
            }
            return;
        };
        match action {
            Action::LetGo => self.holder.let_go(id),
            Action::Take => {
                let networks = self.shared.peek(|node, _| node.networks_to_put(id));
                let refused = self.holder.take(Instant::now(), id, (link, networks));
                if let Some(text) = refused {
                    self.refused(id, &text);
                }
            }
            Action::Announce => {
                let addresses = self.shared.peek(|node, _| {
                    node.slot(id)
                        .map(|slot| slot.instance.settings.addresses.clone())
                });
                if let Some(mac) = mac {
                    self.announce(link, mac, &addresses.unwrap_or_default());
                }
            }
            Action::Send {
                destination,
                message,
            } => {
                let (Some(segment), Some(source)) = (self.segments.get(&(link, ipv6)), primary)
                else {
                    return;
                };
                if let Err(error) = segment.send(source, destination, &message) {
                    let text = error.to_string();
                    self.shared.peek(|node, now| node.not_sent(now, id, &text));
                }
            }
        }
    }

    fn refused(&mut self, id: SlotId, text: &str) {
        self.shared.peek(|node, now| node.refuse(now, id, text));
        self.retry_refused
            .get_or_insert(Instant::now() + RETRY_REFUSED_AFTER);
    }

    fn announce(&mut self, link: u32, mac: [u8; 6], addresses: &[IpAddr]) {
        if self.frames.is_none() {
            match FrameSocket::open() {
                Ok(frames) => self.frames = Some(frames),
                Err(error) => {
                    let text = why(&error);
                    tracing::error!("addresses cannot be announced: {text}");
                    return;
                }
            }
        }
        let Some(frames) = &self.frames else {
            return;
        };
        let mut frame = Vec::new();
        for address in addresses {
            frame.clear();
            announcement(*address, mac, &mut frame);
            if let Err(error) = frames.send(link, &frame) {
                tracing::debug!(link, %address, %error, "an announcement was not sent");
            }
        }
    }

    fn tell(&self, id: SlotId, event: &Event) {
        let Some(name) = self
            .shared
            .peek(|node, _| node.slot(id).map(|slot| slot.instance.name.clone()))
        else {
            return;
        };
        let text = match event {
            Event::Transition { from, to, why } => format!("{from} -> {to}: {why}"),
            Event::Conflict(conflict) => format!("conflict: {conflict}"),
            Event::Resolved(conflict) => format!("resolved: {conflict}"),
            Event::Excused(late) => format!(
                "stood still for {} ms: waits once more for the master",
                late.as_millis()
            ),
            Event::Unsent { reason, count } => {
                tracing::warn!(instance = name, count, "advert not sent: {reason}");
                return;
            }
            Event::Discarded {
                source,
                reason,
                count,
            } => {
                tracing::warn!(instance = name, %source, count, "advert discarded: {reason}");
                return;
            }
        };
        if matches!(event, Event::Transition { .. } | Event::Resolved(_)) {
            tracing::info!(instance = name, "{text}");
        } else {
            tracing::warn!(instance = name, "{text}");
        }
        let entry = Entry {
            epoch_ms: epoch_ms(),
            instance: name,
            text,
        };
        let (masters, all) = self.shared.peek(|node, _| {
            node.history_mut().push(entry);
            let states = node.slots().map(|(_, slot)| slot.router.state());
            states.fold((0, 0), |(masters, all), state| {
                (masters + u32::from(state == State::Master), all + 1)
            })
        });
        if matches!(event, Event::Transition { .. }) {
            notify::status(&format!("master of {masters} of {all} virtual routers"));
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
