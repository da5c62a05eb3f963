//! All virtual routers of this host as one step machine.
//!
//! A [`Node`] knows the links and addresses of the host (told by whoever watches the kernel),
//! places every instance on its interface, turns what is wrong with that into faults, hands each
//! advert to the routers it is for, and keeps one ordered set of deadlines, so that a thousand
//! instances cost what the due ones cost. It has no socket and no clock.
//!
//! Instances that were removed or replaced stay until they have handed over. What happened is kept
//! in a bounded [`History`].

mod carrier;
pub mod checks;
mod concern;
mod estate;
mod group;
mod health;
mod history;
mod look;
mod orders;
mod outputs;
mod place;
mod stranger;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proto_codec::vrrp::Envelope;

use crate::config::{Config, Instance, Place, Plan};
use crate::router::{Action, Event, Fault, Router, State};

use checks::Checks;
pub use estate::Left;
use group::Groups;

pub use carrier::{Carriers, WantedCarrier};
pub use history::{Entry, History};
pub use place::Hosts;
pub use stranger::{Stranger, Strangers};

/// An instance, for as long as it exists. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(u32);

/// Who hears an advert: link, family (`true` = IPv6), vrid.
type Key = (u32, bool, u8);

/// One instance and where it is.
#[derive(Debug)]
pub struct Slot {
    /// What the file says.
    pub instance: Instance,
    /// Its router.
    pub router: Router,
    /// The link it is on, when it is there.
    pub link: Option<u32>,
    /// It was removed or replaced and only hands over.
    pub leaving: bool,
    deadline: Option<Instant>,
    /// Its routes that cannot be put, and why.
    pub route_problems: Vec<String>,
    /// Its addresses are being taken: what it does next has to wait for that.
    waits: bool,
    /// Where an earlier process left it, until it begins.
    inherits: Option<estate::Inherits>,
}

/// Something for the world around to do, or to know.
#[derive(Debug)]
pub enum Output {
    /// What a router asks for.
    Do(Action),
    /// What a router tells.
    Tell(Event),
}

/// The virtual routers of this host.
#[derive(Debug, Default)]
pub struct Node {
    config: Config,
    slots: BTreeMap<SlotId, Slot>,
    next_id: u32,
    by_name: BTreeMap<String, SlotId>,
    heard_by: BTreeMap<Key, Vec<SlotId>>,
    deadlines: BTreeSet<(Instant, SlotId)>,
    /// Slots with outputs.
    ready: VecDeque<SlotId>,
    /// Those that have done what they had to, and may tell.
    telling: VecDeque<SlotId>,
    hosts: Hosts,
    groups: Groups,
    checks: Checks,
    /// The links of virtual MACs.
    carriers: Carriers,
    history: History,
    /// Adverts for virtual routers that are not here.
    strangers: Strangers,
    stopping: bool,
    /// The operator gave an order.
    ordered: bool,
    /// The system's clock as last read: when, and what it said.
    clock: Option<(Instant, Duration)>,
}

impl Node {
    /// Adds, changes and removes instances so that `config` is in force.
    pub fn apply(&mut self, now: Instant, config: Config) -> Plan {
        let plan = Plan::between(&self.config, &config);
        let wanted: BTreeMap<&str, &Instance> = config
            .instances
            .iter()
            .map(|one| (one.name.as_str(), one))
            .collect();
        let ids: Vec<SlotId> = self.by_name.values().copied().collect();
        for id in ids {
            let Some(slot) = self.slots.get_mut(&id) else {
                continue;
            };
            match wanted.get(slot.instance.name.as_str()) {
                Some(new) if slot.instance.is_same_router(new) => {
                    if slot.instance != **new {
                        let routes = slot.instance.routes != new.routes;
                        let lengths = slot.instance.networks != new.networks
                            && slot.instance.settings.addresses == new.settings.addresses;
                        slot.instance = (*new).clone();
                        slot.router.reconfigure(now, new.settings.clone());
                        if lengths || routes {
                            slot.router.take_again();
                        }
                    }
                }
                _ => {
                    slot.leaving = true;
                    slot.router.shut_down(now);
                    self.by_name.remove(&slot.instance.name);
                }
            }
            self.settle(id);
        }
        for instance in &config.instances {
            if !self.by_name.contains_key(&instance.name) {
                self.add(now, instance.clone());
            }
        }
        self.groups
            .replace(now, &config.groups, &self.by_name, &mut self.slots);
        self.config = config;
        self.place_all(now);
        self.set_checks(now);
        self.settle_groups(now);
        plan
    }

    fn add(&mut self, now: Instant, instance: Instance) {
        let id = SlotId(self.next_id);
        self.next_id += 1;
        let mut router = Router::new(instance.settings.clone(), now);
        // Until the links are known it is nowhere; placing it clears what does not hold.
        router.set_fault(now, place::nowhere(&instance.place));
        router.start(now);
        self.by_name.insert(instance.name.clone(), id);
        let slot = Slot {
            instance,
            router,
            link: None,
            leaving: false,
            deadline: None,
            route_problems: Vec::new(),
            waits: false,
            inherits: None,
        };
        self.slots.insert(id, slot);
        self.settle(id);
    }

    /// The system's clock says `time` since 1970; signed adverts carry it. To be told in every
    /// turn, before what was read is handed in.
    pub fn set_clock(&mut self, now: Instant, time: Duration) {
        self.clock = Some((now, time));
    }

    /// The links and addresses of the host as they are now. `towards` answers which link packets
    /// to an address leave through; it is asked when no subnet holds the address.
    pub fn set_hosts(
        &mut self,
        now: Instant,
        hosts: Hosts,
        towards: &mut dyn FnMut(IpAddr) -> Option<u32>,
    ) {
        let before = std::mem::replace(&mut self.hosts, hosts);
        for slot in self.slots.values() {
            let place = &slot.instance.place;
            self.hosts.learn_route(place, &before, towards);
        }
        self.place_all(now);
        self.look_at_links(now);
        self.settle_groups(now);
    }

    /// Whether an instance waits for a route that shows where it belongs: nobody tells of those.
    #[must_use]
    pub fn awaits_route(&self) -> bool {
        let by_route = |slot: &Slot| matches!(slot.instance.place, Place::RouteTo(_));
        let mut slots = self.slots.values();
        slots.any(|slot| slot.link.is_none() && !slot.leaving && by_route(slot))
    }

    /// The kernel does not take an address of this slot.
    pub fn refuse(&mut self, now: Instant, id: SlotId, text: &str) {
        if let Some(slot) = self.slots.get_mut(&id)
            && slot.router.state() == State::Master
        {
            slot.router.refuse(now, text.to_owned());
            self.settle(id);
            self.settle_groups(now);
        }
    }

    /// An advert of this slot did not leave the host.
    pub fn not_sent(&mut self, now: Instant, id: SlotId, reason: &str) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.router.not_sent(now, reason);
            self.settle(id);
        }
    }

    /// Those whose addresses were refused try again.
    pub fn retry_refused(&mut self, now: Instant) {
        let ids: Vec<SlotId> = self.slots.keys().copied().collect();
        for id in ids {
            if let Some(slot) = self.slots.get_mut(&id) {
                let other = |one: &Fault| !matches!(one, Fault::Refused(_));
                slot.router.retain_faults(now, other);
            }
            self.settle(id);
        }
    }

    /// Links and addresses as last told.
    #[must_use]
    pub fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    fn place_all(&mut self, now: Instant) {
        self.heard_by.clear();
        // Those of an owner are its real ones (RFC 9568 §6.1): it sends from them.
        let addresses = |owner: bool| -> BTreeSet<IpAddr> {
            let settings = self.slots.values().map(|slot| &slot.instance.settings);
            let those = settings.filter(|it| it.is_owner() == owner);
            those.flat_map(|it| it.addresses.iter().copied()).collect()
        };
        let virtual_addresses = &addresses(false) - &addresses(true);
        let mut own = BTreeMap::new();
        let mut taken = BTreeMap::new();
        let ids: Vec<SlotId> = self.slots.keys().copied().collect();
        for id in ids {
            if let Some(slot) = self.slots.get_mut(&id) {
                tell_time(slot, self.clock);
                let around = (&self.hosts, &self.carriers);
                let here = (&virtual_addresses, &mut taken);
                place::settle(now, slot, around, here);
                if let Some(link) = slot.link {
                    let own = own
                        .entry(link)
                        .or_insert_with(|| Arc::new(self.hosts.own(link, &virtual_addresses)));
                    slot.router.set_own(Arc::clone(own));
                    let settings = &slot.instance.settings;
                    let key = (link, settings.ipv6(), settings.vrid);
                    self.heard_by.entry(key).or_default().push(id);
                }
            }
            self.settle(id);
        }
    }

    /// The kernel refuses sockets on a link, or has them again (`None`).
    pub fn set_socket_fault(
        &mut self,
        now: Instant,
        (link, ipv6): (u32, bool),
        fault: Option<&str>,
    ) {
        let ids: Vec<SlotId> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.link == Some(link) && slot.instance.settings.ipv6() == ipv6)
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            if let Some(slot) = self.slots.get_mut(&id) {
                place::socket_fault(now, &mut slot.router, fault);
            }
            self.settle(id);
        }
    }

    /// An IP packet of protocol 112 that came over `link`.
    pub fn handle_packet(&mut self, now: Instant, link: u32, envelope: &Envelope, message: &[u8]) {
        let vrid = message.get(1).copied().unwrap_or_default();
        let key = (link, envelope.source.is_ipv6(), vrid);
        let Some(ids) = self.heard_by.get(&key).cloned() else {
            let hosts = &self.hosts;
            let name = || {
                hosts
                    .link_at(link)
                    .map_or_else(String::new, |it| it.name.clone())
            };
            self.strangers.see(now, key, envelope.source, name);
            return;
        };
        for id in ids {
            if let Some(slot) = self.slots.get_mut(&id) {
                tell_time(slot, self.clock);
                slot.router.handle_advert(now, envelope, message);
                self.settle(id);
            }
        }
    }

    /// A virtual address went from a link: `true` when it is ours and is put back.
    pub fn addresses_lost(&mut self, now: Instant, link: u32, address: IpAddr) -> bool {
        let holds = |slot: &&mut Slot| {
            slot.link == Some(link)
                && slot.router.is_holding()
                && slot.instance.settings.addresses.contains(&address)
        };
        let found = self.slots.iter_mut().find_map(|(id, slot)| {
            Some(slot)
                .filter(holds)
                .map(|slot| (*id, slot.router.take_back(now)))
        });
        if let Some((id, _)) = found {
            self.settle(id);
        }
        found.is_some_and(|(_, back)| back)
    }

    /// When [`Node::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let next = self.deadlines.first().map(|(due, _)| *due);
        next.into_iter()
            .chain(self.groups.due())
            .chain(self.checks.poll_timeout())
            .min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.handle_check_timeout(now);
        while let Some((due, id)) = self.deadlines.first().copied()
            && due <= now
        {
            if let Some(slot) = self.slots.get_mut(&id) {
                tell_time(slot, self.clock);
                slot.router.handle_timeout(now);
            } else {
                self.deadlines.pop_first();
            }
            self.settle(id);
        }
        self.settle_groups(now);
    }

    /// Moves together what is to move together.
    fn settle_groups(&mut self, now: Instant) {
        for id in self.groups.settle(now, &mut self.slots) {
            self.file(id);
        }
    }

    /// After an input: its deadline and its outputs are known again, and its group looks at it.
    fn settle(&mut self, id: SlotId) {
        if let Some(slot) = self.slots.get(&id) {
            self.groups.touch(id, &slot.router);
        }
        self.file(id);
    }

    fn file(&mut self, id: SlotId) {
        let Some(slot) = self.slots.get_mut(&id) else {
            return;
        };
        let due = slot.router.poll_timeout();
        if due != slot.deadline {
            if let Some(old) = slot.deadline {
                self.deadlines.remove(&(old, id));
            }
            if let Some(new) = due {
                self.deadlines.insert((new, id));
            }
            slot.deadline = due;
        }
        if self.ready.back() != Some(&id) {
            self.ready.push_back(id);
        }
    }

    /// Everybody hands over.
    pub fn shut_down(&mut self, now: Instant) {
        self.stopping = true;
        let ids: Vec<SlotId> = self.slots.keys().copied().collect();
        for id in ids {
            if let Some(slot) = self.slots.get_mut(&id) {
                slot.router.shut_down(now);
            }
            self.settle(id);
        }
    }

    /// The longest skew any backup of ours can have.
    #[must_use]
    pub fn longest_skew(&self) -> Duration {
        let skews = self
            .slots
            .values()
            .map(|slot| slot.router.settings().skew_max());
        skews.max().unwrap_or_default()
    }

    /// After [`Node::shut_down`]: all have handed over.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.stopping && self.slots.values().all(|slot| slot.router.is_idle())
    }
}

/// Only who signs asks for the time of day.
fn tell_time(slot: &mut Slot, clock: Option<(Instant, Duration)>) {
    if let Some((now, time)) = clock
        && slot.instance.settings.signing.is_some()
    {
        slot.router.set_clock(now, time);
    }
}
