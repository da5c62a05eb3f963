//! What carries the addresses of an instance: the link itself, or one with its virtual MAC.
//!
//! The links of virtual MACs are made by whoever writes to the kernel; the node says which are
//! wanted ([`Node::wanted_carriers`]) and is told what became of them. An instance whose link is
//! not there (yet) is at fault.
//!
//! Lengths of subnets are decided here too. Where the host has an address of the same subnet on
//! the link, an address goes there alone, as /32 or /128: with its length the kernel would make one
//! of the two IPv4 addresses a secondary of the other and take it off with it, and for IPv6 would
//! let the subnet's route die with the address that is not refreshed. A link-local address on a
//! link of its own brings the route to its neighbors with it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Instant;

use ipnet::IpNet;

use super::{Key, Node, Slot, SlotId};
use crate::router::Fault;

/// Length of the subnet of link-local addresses (RFC 4291 §2.5.6).
const LINK_LOCAL_LEN: u8 = 64;

/// An instance that needs a link with its virtual MAC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedCarrier {
    /// Parent, family (`true` = IPv6), vrid.
    pub key: Key,
    /// The parent's name.
    pub parent: String,
    /// The instance's name.
    pub instance: String,
}

/// The links of virtual MACs: their indexes, or why there is none.
pub type Carriers = BTreeMap<Key, Result<u32, String>>;

impl Node {
    /// What a slot puts on its link. An owner's addresses that are there already stay as they are.
    #[must_use]
    pub fn networks_to_put(&self, id: SlotId) -> Vec<IpNet> {
        let Some((slot, link)) = self.slots.get(&id).and_then(|it| Some((it, it.link?))) else {
            return Vec::new();
        };
        let own_link = slot.instance.settings.virtual_mac;
        let networks = slot.instance.networks.iter().copied();
        networks
            .filter(|one| !self.hosts.has_foreign(link, one.addr()))
            .map(|one| match one.addr() {
                IpAddr::V6(v6) if own_link && v6.is_unicast_link_local() => {
                    IpNet::new(one.addr(), LINK_LOCAL_LEN).unwrap_or(one)
                }
                address if self.hosts.covers(link, address) => IpNet::from(address),
                _ => one,
            })
            .collect()
    }

    /// Every instance that needs a link with its virtual MAC, now.
    #[must_use]
    pub fn wanted_carriers(&self) -> Vec<WantedCarrier> {
        let gone = |slot: &Slot| slot.leaving && slot.router.is_idle();
        let slots = self.slots.values().filter(|slot| !gone(slot));
        let mut wanted: Vec<WantedCarrier> = slots
            .filter_map(|slot| {
                let key = key(slot)?;
                Some(WantedCarrier {
                    key,
                    parent: self.hosts.link_at(key.0)?.name.clone(),
                    instance: slot.instance.name.clone(),
                })
            })
            .collect();
        wanted.sort_by_key(|one| one.key);
        // The one that leaves and the one that replaces it share their link.
        wanted.dedup_by_key(|one| one.key);
        wanted
    }

    /// What became of them.
    pub fn set_carriers(&mut self, now: Instant, carriers: Carriers) {
        if self.carriers == carriers {
            return;
        }
        let before = std::mem::replace(&mut self.carriers, carriers);
        for slot in self.slots.values_mut() {
            let made = key(slot).map(|key| (before.get(&key), self.carriers.get(&key)));
            if let Some((Some(Ok(old)), Some(Ok(new)))) = made
                && old != new
            {
                // Somebody removed the link: the addresses go on the new one.
                slot.router.take_again();
            }
        }
        self.place_all(now);
        // Heirs of a group wait for the last link of it.
        self.settle_groups(now);
    }

    /// Whether somebody holds addresses on the link of a virtual MAC.
    #[must_use]
    pub fn is_carrying(&self, link: u32) -> bool {
        let mut slots = self.slots.iter();
        slots.any(|(id, slot)| slot.router.is_holding() && self.carrier_of(*id) == Some(link))
    }

    /// The link that carries a slot's addresses, when it is there.
    #[must_use]
    pub fn carrier_of(&self, id: SlotId) -> Option<u32> {
        let slot = self.slots.get(&id)?;
        match slot.instance.settings.virtual_mac {
            false => slot.link,
            true => self.carriers.get(&key(slot)?)?.as_ref().ok().copied(),
        }
    }

    /// The addresses that nothing is taken for (`accept = false`).
    #[must_use]
    pub fn closed_addresses(&self) -> BTreeSet<IpAddr> {
        let slots = self.slots.values().filter(|slot| is_closed(slot));
        slots
            .flat_map(|slot| slot.instance.settings.addresses.iter().copied())
            .collect()
    }

    /// They cannot be closed, or can again (`None`).
    pub fn set_filter_fault(&mut self, now: Instant, fault: Option<&str>) {
        let fault = fault.map(|text| Fault::Filter(text.to_owned()));
        let ids: Vec<SlotId> = self.slots.keys().copied().collect();
        for id in ids {
            let Some(slot) = self.slots.get_mut(&id) else {
                continue;
            };
            let fault = fault.clone().filter(|_| is_closed(slot));
            if let Some(fault) = &fault {
                slot.router.set_fault(now, fault.clone());
            }
            let kept =
                |one: &Fault| !matches!(one, Fault::Filter(_)) || Some(one) == fault.as_ref();
            slot.router.retain_faults(now, kept);
            self.settle(id);
        }
        self.settle_groups(now);
    }

    /// The parent of a link of ours; any other link is its own.
    #[must_use]
    pub fn parent_of(&self, link: u32) -> u32 {
        let mut carriers = self.carriers.iter();
        let found = carriers.find(|(_, made)| made.as_ref() == Ok(&link));
        found.map_or(link, |(key, _)| key.0)
    }
}

/// RFC 9568 §6.1: an owner accepts whatever Accept_Mode says.
fn is_closed(slot: &Slot) -> bool {
    !slot.instance.accept && !slot.instance.settings.is_owner()
}

fn key(slot: &Slot) -> Option<Key> {
    let settings = &slot.instance.settings;
    let key = (slot.link?, settings.ipv6(), settings.vrid);
    settings.virtual_mac.then_some(key)
}

/// Why an instance with a virtual MAC has no link to carry it.
pub(super) fn missing(slot: &Slot, link: u32, carriers: &Carriers) -> Option<Fault> {
    let settings = &slot.instance.settings;
    if !settings.virtual_mac {
        return None;
    }
    match carriers.get(&(link, settings.ipv6(), settings.vrid)) {
        Some(Ok(_)) => None,
        Some(Err(text)) => Some(Fault::VirtualMac(text.clone())),
        None => Some(Fault::VirtualMac("its link is being made".to_owned())),
    }
}
