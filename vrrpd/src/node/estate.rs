//! What all virtual routers of this host leave to those of the next process.
//!
//! An instance has an heir when the configuration still says the same of it, it lives on the same
//! link, and, if it was master, its addresses are still there and still ours. What is doubtful
//! starts as if nobody had been before. The file that carries it is the business of
//! [`crate::io::estate`].

use std::collections::BTreeSet;
use std::time::Instant;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::checks::Kept;
use super::{Node, Slot, SlotId};
use crate::config::Instance;
use crate::router::{Gap, Legacy, State};

/// What one instance leaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    name: String,
    /// What the configuration said of it, as far as others can notice.
    identity: String,
    /// The link it was on.
    link: Option<u32>,
    /// The one that carried its addresses.
    carrier: Option<u32>,
    /// What it put there.
    addresses: Vec<IpNet>,
    /// How its checks stood.
    #[serde(default)]
    checks: Vec<Kept>,
    router: Legacy,
}

/// What an instance that has not begun is to find.
#[derive(Debug)]
pub(super) struct Inherits {
    /// The link it was on.
    pub(super) link: u32,
    /// What carried its addresses.
    carrier: u32,
    addresses: Vec<IpNet>,
}

impl Slot {
    /// It is to begin where an earlier process ended, and has not.
    #[must_use]
    pub fn is_to_inherit(&self) -> bool {
        self.inherits.is_some() && self.router.is_heir()
    }
}

impl Node {
    /// What the instances leave. One that has not begun leaves what it was to inherit.
    #[must_use]
    pub fn estate(&self, now: Instant) -> Vec<Left> {
        let staying = self.slots.iter().filter(|(_, slot)| !slot.leaving);
        staying
            .map(|(id, slot)| {
                let inherits = slot.inherits.as_ref().filter(|_| slot.router.is_heir());
                let (link, carrier, addresses) = match inherits {
                    Some(it) => (Some(it.link), Some(it.carrier), it.addresses.clone()),
                    None => (slot.link, self.carrier_of(*id), self.networks_to_put(*id)),
                };
                Left {
                    name: slot.instance.name.clone(),
                    identity: identity(&slot.instance),
                    link,
                    carrier,
                    addresses,
                    checks: self.checks.verdicts(&slot.instance.track),
                    router: slot.router.legacy(now),
                }
            })
            .collect()
    }

    /// Makes the instances, which have not begun, heirs of an earlier process; `ours` are the
    /// addresses it left on links. How many begin where it ended; they do so when links and
    /// addresses are told next.
    pub fn inherit(
        &mut self,
        now: Instant,
        estate: &[Left],
        (gap, ours): (Gap, &BTreeSet<(u32, IpNet)>),
    ) -> usize {
        let mut heirs = 0;
        for left in estate {
            let slot = self.by_name.get(&left.name);
            let Some(slot) = slot.and_then(|id| self.slots.get_mut(id)) else {
                continue;
            };
            if identity(&slot.instance) != left.identity {
                // Another virtual router, but the operator meant this name.
                slot.router.inherit_orders(now, &left.router);
                continue;
            }
            let fresh = slot.router.inherit(now, &left.router, gap);
            let none = slot.instance.settings.is_owner() || left.router.state() != State::Master;
            let here = |carrier: u32| {
                let mut put = left.addresses.iter();
                none || (!left.addresses.is_empty()
                    && put.all(|one| ours.contains(&(carrier, *one))))
            };
            if fresh && left.carrier.is_some_and(here) {
                slot.inherits = left.link.zip(left.carrier).map(|(link, carrier)| Inherits {
                    link,
                    carrier,
                    addresses: left.addresses.clone(),
                });
                self.checks.restore(now, &slot.instance.track, &left.checks);
                heirs += 1;
            } else {
                slot.router.disinherit();
            }
        }
        self.judge_all(now);
        heirs
    }

    /// Whoever has not begun by now has nothing to inherit any more; `all`: nor have those whose
    /// links with virtual MACs are still to be found, nor members of their groups.
    pub fn end_inheritance(&mut self, all: bool) {
        let on_its_way = |id: &SlotId| {
            let slot = self.slots.get(id);
            slot.is_some_and(|slot| slot.instance.settings.virtual_mac && slot.router.is_heir())
        };
        let waits = |id: &SlotId| self.groups.with(*id).iter().any(on_its_way);
        let ids: Vec<SlotId> = self.slots.keys().copied().collect();
        let ended = ids.into_iter().filter(|id| all || !waits(id));
        for id in ended.collect::<Vec<_>>() {
            if let Some(slot) = self.slots.get_mut(&id) {
                slot.inherits = None;
                slot.router.disinherit();
            }
        }
    }

    /// The addresses of those that are still to begin as heirs.
    #[must_use]
    pub fn still_to_inherit(&self) -> BTreeSet<(u32, IpNet)> {
        let heirs = self.slots.values().filter(|slot| slot.is_to_inherit());
        let heirs = heirs.filter_map(|slot| slot.inherits.as_ref());
        heirs
            .flat_map(|heir| heir.addresses.iter().map(|one| (heir.carrier, *one)))
            .collect()
    }

    /// Every master says so now: it is about to be silent for the time of a restart.
    pub fn advertise(&mut self, now: Instant) {
        let ids: Vec<_> = self.slots.keys().copied().collect();
        for id in ids {
            if let Some(slot) = self.slots.get_mut(&id) {
                slot.router.advertise(now);
            }
            self.settle(id);
        }
    }

    /// Those that have addresses and are not master: they hand over, and have no heirs.
    #[must_use]
    pub fn lingering(&self) -> Vec<SlotId> {
        let lingers = |slot: &Slot| {
            slot.router.is_holding() && (slot.leaving || slot.router.state() != State::Master)
        };
        let slots = self.slots.iter().filter(|(_, slot)| lingers(slot));
        slots.map(|(id, _)| *id).collect()
    }
}

/// The same text means the same virtual router to everybody else.
fn identity(instance: &Instance) -> String {
    let settings = &instance.settings;
    let networks = instance.networks.iter().map(ToString::to_string);
    let peers = settings.unicast_peers.iter().map(ToString::to_string);
    format!(
        "{} vrid {} version {} priority {} every {} ns: {}; peers {}; {}; virtual MAC {}",
        instance.place,
        settings.vrid,
        settings.version.number(),
        settings.priority,
        settings.interval.as_nanos(),
        networks.collect::<Vec<_>>().join(" "),
        peers.collect::<Vec<_>>().join(" "),
        settings.checksum.word(),
        settings.virtual_mac
    )
}
