//! The links that carry virtual MAC addresses: one macvlan per virtual router, on its parent.
//!
//! A link is up exactly while addresses of ours are on it: set up before the first is put there,
//! set down before the last is taken off. So a backup's is deaf, and nothing the kernel says on
//! letting go (leaving a multicast group) can leave from the virtual MAC and turn a switch back.
//! It all runs on the address thread, in the order of the orders.
//!
//! The kernel's defaults would make every link of a host answer ARP for every address. So the
//! macvlan answers for its own addresses alone (`arp_ignore`), is no proxy for others
//! (`medium_id`), and takes packets whose way back is another link (`rp_filter`). The parent must
//! neither answer for a virtual address nor ask for somebody in its name, or clients learn the
//! physical MAC (RFC 9568 §8.1.2): its `arp_ignore` and `arp_announce` are set, watched, and given
//! back at the end. What they were stands in the alias of the link, where a killed daemon's
//! successor finds it.
//!
//! A killed daemon leaves links without addresses, and may leave one unfinished. The next start
//! takes over those it wants and removes the others; `cleanup vrrp` removes all.

mod settings;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

use ipnet::IpNet;
use proto_codec::vrrp::virtual_mac;
use rib::netlink::links::{
    FoundLink, Macvlan, SettingsOf, VirtualLinks, alias, carrier_name, settings_before,
};

use settings::{Guard, keep_ipv6_quiet, of_a_virtual_link};

use super::holder::Put;
use crate::node::{Carriers, WantedCarrier};

/// Links whose settings are looked at with each call of [`Vmacs::sync`].
const CHECKED_AT_ONCE: usize = 4;

/// Parent, family (`true` = IPv6), vrid.
type Key = (u32, bool, u8);

/// A link that is there.
#[derive(Debug)]
struct Made {
    index: u32,
    name: String,
    up: bool,
    /// The addresses on it.
    on: BTreeSet<IpNet>,
    /// An earlier process made it, and it is not known yet whether its addresses are ours.
    adopted: bool,
}

/// The links of virtual routers.
#[derive(Debug, Default)]
pub struct Vmacs {
    writer: Option<VirtualLinks>,
    made: BTreeMap<Key, Made>,
    guards: BTreeMap<u32, Guard>,
    /// What an earlier process left behind was looked for.
    looked: bool,
    /// Where the next look at settings begins.
    check_from: usize,
}

impl Vmacs {
    /// Makes what is wanted and not there, removes what is not wanted, and looks whether the
    /// settings are still as they must be. `look` asks the kernel which links are there: somebody
    /// may have removed or changed one.
    pub fn sync(&mut self, wanted: &[WantedCarrier], look: bool) -> Carriers {
        if wanted.is_empty() && self.made.is_empty() && self.looked {
            return Carriers::new();
        }
        match self.try_sync(wanted, look) {
            Ok(carried) => carried,
            Err(error) => {
                let text = format!("netlink fails: {error}");
                tracing::warn!("links of virtual MACs cannot be looked at: {text}");
                // What was there is there as far as anybody knows: an address that cannot be
                // refreshed will tell.
                let outcome = |want: &WantedCarrier| {
                    let there = self.made.get(&want.key).map(|made| made.index);
                    (want.key, there.ok_or_else(|| text.clone()))
                };
                wanted.iter().map(outcome).collect()
            }
        }
    }

    fn try_sync(&mut self, wanted: &[WantedCarrier], look: bool) -> io::Result<Carriers> {
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => VirtualLinks::open()?,
        };
        let found = match look || !self.looked {
            true => writer.list()?,
            false => Vec::new(),
        };
        if look || !self.looked {
            self.compare(&found);
        }
        let keys: BTreeSet<Key> = wanted.iter().map(|want| want.key).collect();
        self.remove_unwanted(&mut writer, &keys, &found);
        self.looked = true;
        // What an earlier call took over: heirs put their addresses after its answer.
        self.settle_adopted(&mut writer);
        let mut carried = Carriers::new();
        for want in wanted {
            let there = self.made.get(&want.key).map(|made| made.index);
            let outcome = match there {
                Some(index) => Ok(index),
                None => self.make(&mut writer, want, &found),
            };
            carried.insert(want.key, outcome);
        }
        self.check(&mut writer);
        self.writer = Some(writer);
        Ok(carried)
    }

    /// What we think of and the kernel does not have is forgotten; what was set down is set up
    /// with the next refresh of its addresses.
    fn compare(&mut self, found: &[FoundLink]) {
        self.made.retain(|_, made| {
            let it = found.iter().find(|one| one.index == made.index);
            made.up &= it.is_some_and(|one| one.up);
            it.is_some()
        });
    }

    fn remove_unwanted(
        &mut self,
        writer: &mut VirtualLinks,
        wanted: &BTreeSet<Key>,
        found: &[FoundLink],
    ) {
        let gone = self.made.extract_if(.., |key, _| !wanted.contains(key));
        for (_, made) in gone.collect::<Vec<_>>() {
            remove(writer, made.index, &made.name);
        }
        for left in found.iter().filter(|_| !self.looked) {
            let mut wanted = wanted.iter();
            // Removed or taken over: in both cases this is known by the guards alone.
            let settings = settings_before(&left.link.alias);
            let parent = settings.first().map_or(0, |(parent, _)| *parent);
            for (link, before) in settings {
                let guard = self.guards.entry(link);
                guard.or_insert_with(|| Guard::remembered(parent, before));
            }
            if !wanted.any(|key| is(*key, left)) {
                tracing::info!(link = left.link.name, "an earlier process left it: removed");
                remove(writer, left.index, &left.link.name);
            }
        }
        let parents = wanted.iter().filter(|key| !key.1);
        let parents: BTreeSet<u32> = parents.map(|key| key.0).collect();
        let idle = self
            .guards
            .extract_if(.., |_, guard| !parents.contains(&guard.parent()));
        for (link, guard) in idle.collect::<Vec<_>>() {
            guard.give_back(writer, link);
        }
    }

    fn make(
        &mut self,
        writer: &mut VirtualLinks,
        want: &WantedCarrier,
        found: &[FoundLink],
    ) -> Result<u32, String> {
        let (parent, ipv6, vrid) = want.key;
        let name = carrier_name(parent, ipv6, vrid);
        let below = writer.below(parent).map_err(|error| error.to_string())?;
        if below.as_ref().is_some_and(|below| !below.talks) {
            let text = "is a macvlan that hears no other: make its mode bridge or vepa";
            return Err(format!("{} {text}", want.parent));
        }
        let over_macvlan = below.is_some();
        let before = match ipv6 {
            // ARP is IPv4's.
            true => Vec::new(),
            // What the parent is a macvlan of is on the same segment.
            false => {
                let mut links = vec![(parent, want.parent.clone())];
                links.extend(below.and_then(|below| below.link));
                self.guard(writer, links)?
            }
        };
        if let Some(there) = found.iter().find(|one| is(want.key, one)) {
            self.adopt(want.key, there);
            return Ok(there.index);
        }
        let link = Macvlan {
            name: name.clone(),
            parent,
            mac: virtual_mac(vrid, ipv6),
            over_macvlan,
            alias: alias(&want.instance, &before),
        };
        let settings = of_a_virtual_link(&want.parent)?;
        writer
            .create(&link, &settings)
            .map_err(|error| why(error.errno, error.text, &want.parent))?;
        let all = writer.list().unwrap_or_default();
        let there = all.into_iter().find(|one| one.link.name == name);
        let index = there.map(|one| one.index);
        let index = index.ok_or_else(|| format!("{name} was removed at once"))?;
        keep_ipv6_quiet(&name, &want.parent);
        tracing::info!(
            link = name,
            parent = want.parent,
            "link of a virtual MAC made"
        );
        let made = Made {
            index,
            name,
            up: false,
            on: BTreeSet::new(),
            adopted: false,
        };
        self.made.insert(want.key, made);
        Ok(index)
    }

    /// Sets the settings of a parent, the first, and of what is under it. Comes back with what
    /// they were.
    fn guard(
        &mut self,
        writer: &mut VirtualLinks,
        links: Vec<(u32, String)>,
    ) -> Result<Vec<SettingsOf>, String> {
        let parent = links.first().map_or(0, |(parent, _)| *parent);
        let mut before = Vec::new();
        for (link, name) in links {
            let guard = self.guards.entry(link);
            let guard = match guard {
                Entry::Occupied(there) => there.into_mut(),
                Entry::Vacant(free) => free.insert(Guard::begin(parent, &name)?),
            };
            guard.set(writer, (link, &name))?;
            before.push((link, guard.before()));
        }
        Ok(before)
    }

    fn adopt(&mut self, key: Key, there: &FoundLink) {
        let name = there.link.name.clone();
        tracing::info!(link = name, "link of a virtual MAC taken over");
        let made = Made {
            index: there.index,
            name,
            up: there.up,
            on: BTreeSet::new(),
            adopted: there.up,
        };
        self.made.insert(key, made);
    }

    /// A link that was taken over and still has no addresses of ours is a backup's.
    fn settle_adopted(&mut self, writer: &mut VirtualLinks) {
        for made in self.made.values_mut().filter(|made| made.adopted) {
            if !std::mem::replace(&mut made.adopted, false) || !made.on.is_empty() {
                continue;
            }
            if writer.set_up(made.index, false).is_ok() {
                made.up = false;
            }
        }
    }

    fn check(&mut self, writer: &mut VirtualLinks) {
        for (parent, guard) in &mut self.guards {
            guard.check(writer, *parent);
        }
        let count = self.made.len().max(1);
        let names = self.made.values().map(|made| (made.index, &made.name));
        let some = names.cycle().skip(self.check_from % count);
        for (index, name) in some.take(CHECKED_AT_ONCE.min(self.made.len())) {
            settings::check_virtual_link(writer, index, name);
        }
        self.check_from = (self.check_from + CHECKED_AT_ONCE) % count;
    }

    /// Sets up the links among those that addresses are put on. Comes back with what cannot be.
    pub fn before_put(&mut self, list: &[Put]) -> Vec<(Put, String)> {
        let mut refused = BTreeMap::new();
        let writer = &mut self.writer;
        for made in self.made.values_mut() {
            let mut here = list.iter().filter(|(link, _)| *link == made.index);
            if here.clone().next().is_none() {
                continue;
            }
            if !made.up {
                match set_up(writer, made, true) {
                    Ok(()) => made.up = true,
                    Err(text) => {
                        refused.insert(made.index, text);
                        continue;
                    }
                }
            }
            made.on.extend(here.by_ref().map(|(_, network)| *network));
        }
        let of = |one: &Put| Some((*one, refused.get(&one.0)?.clone()));
        list.iter().filter_map(of).collect()
    }

    /// Sets down the links that these addresses are the last of.
    pub fn before_remove(&mut self, list: &[Put]) {
        let writer = &mut self.writer;
        for made in self.made.values_mut() {
            let mut here = list.iter().filter(|(link, _)| *link == made.index);
            let any = here.any(|(_, network)| made.on.remove(network));
            for (_, network) in here {
                made.on.remove(network);
            }
            if any && made.on.is_empty() {
                match set_up(writer, made, false) {
                    Ok(()) => made.up = false,
                    Err(text) => tracing::error!(link = made.name, "it stays up: {text}"),
                }
            }
        }
    }
}

/// Sets a link up or down. A writer that failed was given up: there may be another.
fn set_up(writer: &mut Option<VirtualLinks>, made: &Made, up: bool) -> Result<(), String> {
    let writer = match writer {
        Some(writer) => writer,
        None => {
            let another = VirtualLinks::open();
            writer.insert(another.map_err(|error| format!("netlink fails: {error}"))?)
        }
    };
    let outcome = writer.set_up(made.index, up);
    outcome.map_err(|error| why(error.errno, error.text, &made.name))
}

fn remove(writer: &mut VirtualLinks, index: u32, name: &str) {
    if let Err(error) = writer.remove(index) {
        let text = why(error.errno, error.text, name);
        tracing::error!(link = name, "cannot be removed: {text}");
    }
}

/// Whether a link is the one that belongs to `key`, as we would make it. The name has the parent's
/// index, with which it would have gone.
fn is(key: Key, there: &FoundLink) -> bool {
    let same = there.link.mac == virtual_mac(key.2, key.1);
    let whole = there.is_as_made() && !there.is_unfinished();
    same && whole && there.link.name == carrier_name(key.0, key.1, key.2)
}

/// The refusal, and what it mostly means.
fn why(errno: i32, text: Option<String>, link: &str) -> String {
    let hint = match errno {
        libc::EOPNOTSUPP => " (this kernel has no macvlan)",
        libc::EPERM => " (CAP_NET_ADMIN is missing)",
        libc::EBUSY => " (another link has its MAC, or uses its parent for something else)",
        _ => "",
    };
    let reason = io::Error::from_raw_os_error(errno);
    let more = text.map_or_else(String::new, |text| format!(": {text}"));
    format!("{link}: {reason}{more}{hint}")
}
