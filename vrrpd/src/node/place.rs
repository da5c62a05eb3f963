//! Where an instance lives: its link, the address it sends from, and what is wrong with either.
//!
//! An instance without an interface of its own takes the link whose subnet holds its first address,
//! the longest prefix first, and where there is none the link of the route to it. Virtual addresses
//! are never counted: neither as a subnet, or a router that is master would see its own address as
//! the reason to be where it is, nor as the address to send from. An owner's addresses (priority
//! 255) are real ones: they are left as they are, and it may send from them. Those of anybody else
//! that are on the link already, put there by others, are a fault: they would be taken off with
//! ours.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Instant;

use rib::netlink::hosts::{HostAddress, HostChange, HostLink};

use super::Slot;
use super::carrier::{Carriers, missing};
use crate::config::Place;
use crate::router::{Fault, Router, Settings};

/// Links and addresses of the host, without the virtual ones.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    links: BTreeMap<u32, HostLink>,
    addresses: Vec<HostAddress>,
    /// Links towards addresses that no subnet holds.
    routes: BTreeMap<IpAddr, u32>,
    /// The protocol number of virtual addresses.
    own_protocol: u8,
}

impl Hosts {
    /// From a snapshot; addresses of `own_protocol` are virtual ones.
    #[must_use]
    pub fn new(links: Vec<HostLink>, addresses: Vec<HostAddress>, own_protocol: u8) -> Self {
        let mut hosts = Self {
            own_protocol,
            ..Self::default()
        };
        for link in links {
            hosts.handle(HostChange::Link(link));
        }
        for address in addresses {
            hosts.handle(HostChange::Address(address));
        }
        hosts
    }

    /// Takes a change; `false`: nothing that matters is different.
    pub fn handle(&mut self, change: HostChange) -> bool {
        match change {
            HostChange::Link(link) => {
                let known = self.links.insert(link.index, link.clone());
                known != Some(link)
            }
            HostChange::LinkGone(index) => {
                self.addresses.retain(|one| one.index != index);
                self.routes.retain(|_, link| *link != index);
                self.links.remove(&index).is_some()
            }
            HostChange::Address(address) => {
                if address.protocol == self.own_protocol {
                    return false;
                }
                let known = self.position(&address);
                match known {
                    Some(at) if self.addresses.get(at) == Some(&address) => false,
                    Some(at) => {
                        if let Some(place) = self.addresses.get_mut(at) {
                            *place = address;
                        }
                        true
                    }
                    None => {
                        self.addresses.push(address);
                        true
                    }
                }
            }
            HostChange::AddressGone(address) => match self.position(&address) {
                Some(at) => {
                    self.addresses.remove(at);
                    true
                }
                None => false,
            },
            HostChange::Lost => false,
        }
    }

    /// The addresses of this host as seen from `link`: a link-local address is another one on
    /// another link. Virtual ones are whoever's turn it is.
    pub(super) fn own(&self, link: u32, virtual_addresses: &BTreeSet<IpAddr>) -> BTreeSet<IpAddr> {
        let all = self
            .addresses
            .iter()
            .map(|one| (one.index, one.network.addr()));
        all.filter(|(index, address)| *index == link || !is_link_local(*address))
            .map(|(_, address)| address)
            .filter(|address| !virtual_addresses.contains(address))
            .collect()
    }

    fn position(&self, address: &HostAddress) -> Option<usize> {
        self.addresses
            .iter()
            .position(|one| one.index == address.index && one.network == address.network)
    }

    /// Remembers the link towards an address that no subnet holds. While we hold the address the
    /// kernel has no answer but "here", so what was known `before` stays as long as its link.
    pub(super) fn learn_route(
        &mut self,
        place: &Place,
        before: &Self,
        towards: &mut dyn FnMut(IpAddr) -> Option<u32>,
    ) {
        let Place::RouteTo(address) = place else {
            return;
        };
        if self.subnet_of(*address).is_some() || self.routes.contains_key(address) {
            return;
        }
        let known = || {
            let link = before.routes.get(address).copied()?;
            self.links.contains_key(&link).then_some(link)
        };
        if let Some(link) = towards(*address).or_else(known) {
            self.routes.insert(*address, link);
        }
    }

    /// Whether `address` is on `link` and somebody else put it there.
    #[must_use]
    pub fn has_foreign(&self, link: u32, address: IpAddr) -> bool {
        let mut all = self.addresses.iter();
        all.any(|one| one.index == link && one.network.addr() == address)
    }

    /// Whether an address of `link` is one of this host wherever it is seen from.
    pub(super) fn has_global(&self, link: u32) -> bool {
        let mut all = self.addresses.iter().filter(|one| one.index == link);
        all.any(|one| !is_link_local(one.network.addr()))
    }

    /// Whether the host has an address of its own on `link` whose subnet holds `address`.
    pub(super) fn covers(&self, link: u32, address: IpAddr) -> bool {
        let mut all = self.addresses.iter().filter(|one| one.index == link);
        all.any(|one| one.network.addr() != address && one.network.contains(&address))
    }

    fn subnet_of(&self, address: IpAddr) -> Option<u32> {
        self.addresses
            .iter()
            .filter(|one| one.network.addr() != address && one.network.contains(&address))
            .max_by_key(|one| one.network.prefix_len())
            .map(|one| one.index)
    }

    /// Where the address itself is: an owner's.
    fn link_with(&self, address: IpAddr) -> Option<u32> {
        let mut all = self.addresses.iter();
        let found = all.find(|one| one.network.addr() == address);
        found.map(|one| one.index)
    }

    fn link(&self, place: &Place) -> Option<&HostLink> {
        let index = match place {
            Place::Interface(name) => return self.link_named(name),
            Place::RouteTo(address) => self
                .subnet_of(*address)
                .or_else(|| self.routes.get(address).copied())
                .or_else(|| self.link_with(*address))?,
        };
        self.links.get(&index)
    }

    /// Nobody has told yet: every host has a link.
    pub(super) fn is_unknown(&self) -> bool {
        self.links.is_empty()
    }

    /// The link of this name.
    #[must_use]
    pub fn link_named(&self, name: &str) -> Option<&HostLink> {
        self.links.values().find(|link| link.name == *name)
    }

    /// The link with this index.
    #[must_use]
    pub fn link_at(&self, index: u32) -> Option<&HostLink> {
        self.links.get(&index)
    }

    /// What adverts over `link` are sent from: the first IPv4 address, or the first link-local
    /// IPv6 address (RFC 9568 §5.1.1.1, §5.1.2.1). Towards unicast peers, which may be beyond
    /// the link, the first IPv6 address that is not link-local.
    fn primary(
        &self,
        link: u32,
        (ipv6, unicast): (bool, bool),
        virtual_addresses: &BTreeSet<IpAddr>,
    ) -> Option<IpAddr> {
        let own = self.addresses.iter().filter(|one| {
            one.index == link
                && one.usable
                && one.network.addr().is_ipv6() == ipv6
                && !virtual_addresses.contains(&one.network.addr())
        });
        let mut own = own.map(|one| one.network.addr());
        match ipv6 {
            false => own.next(),
            true => own.find(|address| match address {
                IpAddr::V6(v6) => v6.is_unicast_link_local() != unicast,
                IpAddr::V4(_) => false,
            }),
        }
    }
}

/// Whether an address means another host on another link.
pub(super) fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// The fault of an instance whose link is not there.
pub(super) fn nowhere(place: &Place) -> Fault {
    Fault::NoInterface(place.to_string())
}

/// Puts a slot where it belongs and brings its faults up to date.
pub(super) fn settle(
    now: Instant,
    slot: &mut Slot,
    (hosts, carriers): (&Hosts, &Carriers),
    (virtual_addresses, taken): (&BTreeSet<IpAddr>, &mut Taken),
) {
    let settings = &slot.instance.settings;
    let kind = (settings.ipv6(), !settings.unicast_peers.is_empty());
    let link = hosts.link(&slot.instance.place);
    let primary = link.and_then(|link| hosts.primary(link.index, kind, virtual_addresses));
    let fault = match (link, primary) {
        (None, _) => Some(nowhere(&slot.instance.place)),
        (Some(link), _) if !link.usable => Some(Fault::InterfaceDown(link.name.clone())),
        (Some(link), _) => same_id(slot, link.index, taken)
            .or_else(|| not_ours(settings, hosts, link.index))
            .or_else(|| {
                let nowhere = primary.is_none();
                let fault = nowhere.then(|| Fault::NoPrimaryAddress(link.name.clone()));
                fault.or_else(|| missing(slot, link.index, carriers))
            }),
    };
    let moved = slot.link.is_some() && link.map(|link| link.index) != slot.link;
    if moved {
        // The addresses went with the link they were on.
        slot.router.set_fault(now, nowhere(&slot.instance.place));
    }
    slot.link = link.map(|link| link.index);
    if slot
        .inherits
        .take_if(|old| Some(old.link) != slot.link)
        .is_some()
    {
        slot.router.disinherit();
    }
    if primary.is_some() {
        slot.router.set_primary(primary);
    }
    if let Some(fault) = &fault {
        slot.router.set_fault(now, fault.clone());
    }
    slot.router.retain_faults(now, |one| match one {
        Fault::NoInterface(_)
        | Fault::InterfaceDown(_)
        | Fault::NoPrimaryAddress(_)
        | Fault::SameId(_)
        | Fault::NotOurs(_)
        | Fault::VirtualMac(_) => Some(one) == fault.as_ref(),
        // What was refused on a link that went is tried at once when it is back.
        Fault::Refused(_) => fault.is_none(),
        // That of another link's sockets says nothing about this one's.
        Fault::Socket(_) => !moved,
        Fault::Filter(_) | Fault::Held | Fault::Group { .. } => true,
    });
}

/// Who has a vrid on a link.
pub(super) type Taken = BTreeMap<(u32, bool, u8), String>;

/// Two instances that live where their routes lead may meet. The one that is here longer stays;
/// the other would answer its adverts, and both would have one virtual MAC.
fn same_id(slot: &Slot, link: u32, taken: &mut Taken) -> Option<Fault> {
    if slot.leaving {
        return None;
    }
    let settings = &slot.instance.settings;
    let name = &slot.instance.name;
    let key = (link, settings.ipv6(), settings.vrid);
    let first = taken.entry(key).or_insert_with(|| name.clone());
    (first != name).then(|| Fault::SameId(first.clone()))
}

/// An address that is there already would become ours, and be gone when we let go. Only the owner
/// finds its addresses there, and leaves them alone.
fn not_ours(settings: &Settings, hosts: &Hosts, link: u32) -> Option<Fault> {
    let mut addresses = settings.addresses.iter().filter(|_| !settings.is_owner());
    let found = addresses.find(|address| hosts.has_foreign(link, **address))?;
    Some(Fault::NotOurs(found.to_string()))
}

/// Brings the fault of the sockets up to date.
pub(super) fn socket_fault(now: Instant, router: &mut Router, fault: Option<&str>) {
    let fault = fault.map(|text| Fault::Socket(text.to_owned()));
    if let Some(fault) = &fault {
        router.set_fault(now, fault.clone());
    }
    router.retain_faults(now, |one| {
        !matches!(one, Fault::Socket(_)) || Some(one) == fault.as_ref()
    });
}
