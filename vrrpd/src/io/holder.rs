//! Virtual addresses on links: put, refreshed, taken off.
//!
//! Each is given a lifetime of [`LIFETIME_S`] in the kernel and refreshed every [`REFRESH_EVERY`]:
//! a process that is killed or hangs leaves none behind, without any helper. What the kernel
//! refuses is said once and comes back to the caller: at once when an instance takes its addresses,
//! and when one that was there could not be refreshed for its whole lifetime.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use rib::netlink::hosts::{HostAddress, HostAddresses};

use crate::node::SlotId;

/// `IFA_PROTO` of virtual addresses: a restart knows its own by it.
pub const ADDRESS_PROTOCOL: u8 = 187;

/// Seconds an address lives without a refresh.
pub const LIFETIME_S: u32 = 2;

/// Four refreshes fit in a lifetime: a process may be late by a second and a half.
pub const REFRESH_EVERY: Duration = Duration::from_millis(500);

/// So many refusals in a row, and an address has reached the end of its lifetime.
const REFUSALS_MAX: u32 = 4;

/// An address on a link.
type Put = (u32, IpNet);

/// Who holds what. An address goes when the last one that holds it lets go.
#[derive(Debug)]
struct Held<I>(BTreeMap<I, Vec<Put>>);

impl<I: Ord + Copy> Held<I> {
    /// `who` holds `list` and nothing else; what is nobody's any more comes back.
    fn set(&mut self, who: I, list: Vec<Put>) -> Vec<Put> {
        let before = match list.is_empty() {
            true => self.0.remove(&who),
            false => self.0.insert(who, list),
        };
        let mut gone = before.unwrap_or_default();
        gone.retain(|one| !self.contains(one));
        gone
    }

    fn contains(&self, one: &Put) -> bool {
        self.0.values().any(|list| list.contains(one))
    }

    fn all(&self) -> Vec<Put> {
        let all: BTreeSet<Put> = self.0.values().flatten().copied().collect();
        all.into_iter().collect()
    }
}

/// The addresses that are held.
#[derive(Debug)]
pub struct Holder {
    writer: HostAddresses,
    held: Held<SlotId>,
    next_refresh: Option<Instant>,
    /// What is refused: how often in a row, and why.
    refused: BTreeMap<Put, (u32, String)>,
}

impl Holder {
    /// Opens the netlink socket.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            writer: HostAddresses::open(ADDRESS_PROTOCOL)?,
            held: Held(BTreeMap::new()),
            next_refresh: None,
            refused: BTreeMap::new(),
        })
    }

    /// The socket, for the watch to mute and for questions.
    pub fn writer(&mut self) -> &mut HostAddresses {
        &mut self.writer
    }

    /// Whether somebody holds this address.
    #[must_use]
    pub fn holds(&self, link: u32, network: IpNet) -> bool {
        self.held.contains(&(link, network))
    }

    /// Takes off what an earlier process left behind.
    pub fn clean(&mut self, addresses: &[HostAddress]) {
        let list: Vec<Put> = addresses
            .iter()
            .filter(|one| one.protocol == ADDRESS_PROTOCOL)
            .map(|one| (one.index, one.network))
            .collect();
        for (link, network) in &list {
            tracing::info!(link, %network, "an earlier process left this address: taken off");
        }
        self.remove(&list);
    }

    /// Puts the addresses of a slot on its link; what it held before and does not any more goes.
    /// Comes back with what is refused, and why.
    pub fn take(
        &mut self,
        now: Instant,
        slot: SlotId,
        (link, networks): (u32, Vec<IpNet>),
    ) -> Option<String> {
        let list: Vec<Put> = networks.into_iter().map(|one| (link, one)).collect();
        let gone = self.held.set(slot, list.clone());
        self.remove(&gone);
        self.put(&list);
        self.next_refresh.get_or_insert(now + REFRESH_EVERY);
        self.refusal_of(&list, 1)
    }

    /// Takes the addresses of a slot off.
    pub fn let_go(&mut self, slot: SlotId) {
        let gone = self.held.set(slot, Vec::new());
        self.remove(&gone);
        if self.held.0.is_empty() {
            self.next_refresh = None;
        }
    }

    /// When the next refresh is due.
    #[must_use]
    pub fn next_refresh(&self) -> Option<Instant> {
        self.next_refresh
    }

    /// Refreshes what is held, when it is due. Comes back with those who have lost an address.
    pub fn refresh(&mut self, now: Instant) -> Vec<(SlotId, String)> {
        if self.next_refresh.is_none_or(|due| due > now) {
            return Vec::new();
        }
        self.put(&self.held.all());
        self.next_refresh = Some(now + REFRESH_EVERY);
        let held = self.held.0.iter();
        held.filter_map(|(slot, list)| Some((*slot, self.refusal_of(list, REFUSALS_MAX)?)))
            .collect()
    }

    /// The first of `list` that was refused so often in a row.
    fn refusal_of(&self, list: &[Put], times: u32) -> Option<String> {
        list.iter().find_map(|one| {
            let (count, reason) = self.refused.get(one)?;
            (*count >= times).then(|| format!("{}: {reason}", one.1.addr()))
        })
    }

    fn put(&mut self, list: &[Put]) {
        let answers: BTreeMap<Put, String> = match self.writer.put(list, LIFETIME_S) {
            Ok(refused) => refused
                .into_iter()
                .filter_map(|(at, error)| {
                    let reason = io::Error::from_raw_os_error(error.errno);
                    let more = error
                        .text
                        .map_or_else(String::new, |text| format!(": {text}"));
                    Some((*list.get(at)?, format!("{reason}{more}")))
                })
                .collect(),
            Err(error) => {
                let text = format!("netlink fails: {error}");
                list.iter().map(|one| (*one, text.clone())).collect()
            }
        };
        for one in list {
            let Some(reason) = answers.get(one) else {
                self.refused.remove(one);
                continue;
            };
            let count = self.refused.get(one).map_or(0, |(count, _)| *count);
            if count == 0 {
                let (link, network) = one;
                tracing::error!(link, %network, reason, "virtual address refused; retried");
            }
            self.refused.insert(*one, (count + 1, reason.clone()));
        }
    }

    fn remove(&mut self, list: &[Put]) {
        for key in list {
            self.refused.remove(key);
        }
        match self.writer.remove(list) {
            Ok(refused) => {
                for (at, error) in refused {
                    let reason = io::Error::from_raw_os_error(error.errno);
                    let network = list.get(at).map(|(_, network)| network.to_string());
                    tracing::error!(network, %reason, "virtual address stays until it expires");
                }
            }
            Err(error) => tracing::error!(%error, "virtual addresses stay until they expire"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn puts(list: &[(u32, &str)]) -> Vec<Put> {
        let one = |(link, text): &(u32, &str)| (*link, text.parse().expect("a network"));
        list.iter().map(one).collect()
    }

    /// Two virtual routers may have the same address on the same link: one of them hands over to
    /// the other, or a reload moved the address from one to the other.
    #[test]
    fn an_address_goes_with_the_last_that_holds_it() {
        let mut held = Held(BTreeMap::new());
        let (both, one) = (
            &[(2, "10.0.0.50/24"), (2, "10.0.0.51/24")],
            &[(2, "10.0.0.50/24")],
        );
        assert_eq!(held.set(1, puts(both)), []);
        assert_eq!(held.set(2, puts(one)), []);
        assert_eq!(held.all(), puts(both));
        assert_eq!(held.set(1, Vec::new()), puts(&[(2, "10.0.0.51/24")]));
        assert_eq!(held.set(2, Vec::new()), puts(one));
        assert!(held.0.is_empty());
    }

    #[test]
    fn another_link_or_length_is_another_address() {
        let mut held = Held(BTreeMap::new());
        let steps = [
            (2, "10.0.0.50/24"),
            (3, "10.0.0.50/24"),
            (3, "10.0.0.50/32"),
        ];
        held.set(1, puts(&steps[..1]));
        for (before, after) in steps.iter().zip(&steps[1..]) {
            assert_eq!(held.set(1, puts(&[*after])), puts(&[*before]));
        }
    }
}
