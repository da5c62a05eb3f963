//! Virtual addresses on links: put, refreshed, taken off.
//!
//! Each is given a lifetime of [`LIFETIME_S`] in the kernel and refreshed every [`REFRESH_EVERY`]:
//! a process that is killed or hangs leaves none behind, without any helper. The orders go to a
//! thread of their own ([`super::keeper`]), so nothing here waits; what the kernel refuses comes
//! back with the answers. It is said once and concerns the caller at once when an instance takes
//! its addresses, and when one that was there could not be refreshed for its whole lifetime.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use rib::netlink::hosts::HostAddress;

use super::host::Host;
use super::keeper::Order;
use crate::node::SlotId;

/// `IFA_PROTO` of virtual addresses and `RTA_PROTOCOL` of routes: a restart knows its own by it.
/// VRRP's IP protocol number, which no routing daemon has in the kernel's list (FRR's end at 199).
pub const ADDRESS_PROTOCOL: u8 = 112;

/// Seconds an address lives without a refresh. The kernel looks up to a quarter of a second later,
/// and nobody is to find the address of a dead process after two seconds.
pub const LIFETIME_S: u32 = 1;

/// Seconds an address lives when its process leaves it for a successor.
pub const LIFETIME_LEFT_S: u32 = 2;

/// Four refreshes fit in a lifetime: a process may be late by three quarters of a second.
pub const REFRESH_EVERY: Duration = Duration::from_millis(250);

/// So many refreshes in a row refused, or due without an answer to the last, and an address has
/// reached the end of its lifetime.
const REFUSALS_MAX: u32 = 4;

/// Why nothing can be put.
pub const SILENT: &str = "the address thread does not answer";

/// An address on a link.
pub type Put = (u32, IpNet);

/// Who holds what. An address goes when the last one that holds it lets go.
#[derive(Debug)]
struct Held<I>(BTreeMap<I, Vec<Put>>);

impl<I> Default for Held<I> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

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

/// Why addresses are being put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Take(SlotId),
    Refresh,
    /// The last refresh, for a successor.
    Leave,
}

/// What an answer of the address thread means for a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Its addresses are there, or not: why.
    Taken(SlotId, Option<String>),
    /// They were to be taken so long ago that nothing was done: does it still want them?
    TooLate(SlotId),
    /// One could not be refreshed for its whole lifetime.
    Lost(SlotId, String),
    /// The thread answers again after [`Holder::is_failing`].
    Back,
}

/// The addresses that are held.
#[derive(Debug, Default)]
pub struct Holder {
    held: Held<SlotId>,
    next_refresh: Option<Instant>,
    next_ticket: u64,
    under_way: BTreeMap<u64, (Purpose, Vec<Put>)>,
    /// What is refused: how often in a row, and why.
    refused: BTreeMap<Put, (u32, String)>,
    /// How often a refresh was due while the last had no answer.
    unanswered: u32,
}

impl Holder {
    /// Whether somebody holds this address.
    #[must_use]
    pub fn holds(&self, link: u32, network: IpNet) -> bool {
        self.held.contains(&(link, network))
    }

    /// Takes off what an earlier process left behind, but for what `kept` says.
    pub fn clean(host: &mut dyn Host, addresses: &[HostAddress], kept: &BTreeSet<Put>) {
        let list: Vec<Put> = addresses
            .iter()
            .filter(|one| one.protocol == ADDRESS_PROTOCOL)
            .map(|one| (one.index, one.network))
            .filter(|one| !kept.contains(one))
            .collect();
        for (link, network) in &list {
            tracing::info!(link, %network, "an earlier process left this address: taken off");
        }
        host.clean(&list);
    }

    /// Puts the addresses of a slot on its link; what it held before and does not any more goes.
    /// `true`: wait for [`Settled::Taken`] before anybody is told.
    ///
    /// # Errors
    /// The thread does not answer, so nothing can be taken.
    pub fn take(
        &mut self,
        host: &mut dyn Host,
        now: Instant,
        (slot, link, networks): (SlotId, u32, Vec<IpNet>),
    ) -> Result<bool, &'static str> {
        let list: Vec<Put> = networks.into_iter().map(|one| (link, one)).collect();
        let gone = self.held.set(slot, list.clone());
        self.remove(host, gone);
        if list.is_empty() {
            return Ok(false);
        }
        self.next_refresh.get_or_insert(now + REFRESH_EVERY);
        if self.is_failing() || !self.put(host, now, (Purpose::Take(slot), list)) {
            return Err(SILENT);
        }
        Ok(true)
    }

    /// The thread has not answered for the lifetime of what is held: it is gone by now.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.unanswered >= REFUSALS_MAX
    }

    /// Who holds addresses.
    pub fn holders(&self) -> impl Iterator<Item = SlotId> {
        self.held.0.keys().copied()
    }

    /// The addresses of a slot are there already, by another process: they are refreshed from now
    /// on, and nobody waits for it.
    pub fn keep(
        &mut self,
        host: &mut dyn Host,
        now: Instant,
        (slot, link, networks): (SlotId, u32, Vec<IpNet>),
    ) {
        let list: Vec<Put> = networks.into_iter().map(|one| (link, one)).collect();
        let gone = self.held.set(slot, list.clone());
        self.remove(host, gone);
        if !list.is_empty() {
            self.next_refresh.get_or_insert(now + REFRESH_EVERY);
            self.put(host, now, (Purpose::Refresh, list));
        }
    }

    /// The same once more, after [`Settled::TooLate`].
    pub fn take_still(&mut self, host: &mut dyn Host, now: Instant, slot: SlotId) -> bool {
        let list = self.held.0.get(&slot).cloned().unwrap_or_default();
        !list.is_empty() && self.put(host, now, (Purpose::Take(slot), list))
    }

    /// Takes the addresses of a slot off.
    pub fn let_go(&mut self, host: &mut dyn Host, slot: SlotId) {
        let gone = self.held.set(slot, Vec::new());
        self.remove(host, gone);
        if self.held.0.is_empty() {
            self.next_refresh = None;
        }
    }

    /// When the next refresh is due.
    #[must_use]
    pub fn next_refresh(&self) -> Option<Instant> {
        self.next_refresh
    }

    /// Refreshes what is held, when it is due. While the thread is still at the last time nothing
    /// is added: orders must not pile up behind a kernel that is slow.
    pub fn refresh(&mut self, host: &mut dyn Host, now: Instant) {
        if self.next_refresh.is_none_or(|due| due > now) {
            return;
        }
        self.next_refresh = Some(now + REFRESH_EVERY);
        let mut purposes = self.under_way.values().map(|(purpose, _)| *purpose);
        if !purposes.any(|one| one == Purpose::Refresh) {
            let all = self.held.all();
            self.put(host, now, (Purpose::Refresh, all));
            return;
        }
        self.unanswered = self.unanswered.saturating_add(1);
        if self.unanswered == REFUSALS_MAX {
            tracing::error!("{SILENT}: virtual addresses have expired");
        }
    }

    /// Refreshes what is held once more before nobody does.
    pub fn refresh_now(&mut self, host: &mut dyn Host, now: Instant) {
        let all = self.held.all();
        self.put(host, now, (Purpose::Leave, all));
    }

    /// Takes the answer to an order; `refused` is `None` when it came too late to be carried out.
    pub fn answered(
        &mut self,
        now: Instant,
        ticket: u64,
        refused: Option<Vec<(Put, String)>>,
    ) -> Vec<Settled> {
        let Some((purpose, list)) = self.under_way.remove(&ticket) else {
            return Vec::new();
        };
        let mut settled = Vec::new();
        // What was not done has refreshed nothing, but a thread that says so is there again.
        if purpose == Purpose::Refresh && (refused.is_some() || self.is_failing()) {
            settled.extend(self.is_failing().then_some(Settled::Back));
            self.unanswered = 0;
        }
        let Some(refused) = refused else {
            self.next_refresh = self.next_refresh.map(|due| due.min(now));
            if let Purpose::Take(slot) = purpose {
                settled.push(Settled::TooLate(slot));
            }
            return settled;
        };
        self.note(&list, refused.into_iter().collect());
        match purpose {
            Purpose::Leave => {}
            Purpose::Take(slot) => {
                settled.push(Settled::Taken(slot, self.refusal_of(&list, 1)));
            }
            Purpose::Refresh => {
                let held = self.held.0.iter();
                let lost = |(slot, list): (&SlotId, &Vec<Put>)| {
                    Some(Settled::Lost(*slot, self.refusal_of(list, REFUSALS_MAX)?))
                };
                settled.extend(held.filter_map(lost));
            }
        }
        settled
    }

    /// The first of `list` that was refused so often in a row.
    fn refusal_of(&self, list: &[Put], times: u32) -> Option<String> {
        list.iter().find_map(|one| {
            let (count, reason) = self.refused.get(one)?;
            (*count >= times).then(|| format!("{}: {reason}", one.1.addr()))
        })
    }

    /// `false`: the thread has ended, for good, which is told once; what is held expires.
    fn put(
        &mut self,
        host: &mut dyn Host,
        given: Instant,
        (purpose, list): (Purpose, Vec<Put>),
    ) -> bool {
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        let order = Order::Put {
            ticket,
            given,
            lifetime_s: match purpose {
                Purpose::Leave => LIFETIME_LEFT_S,
                Purpose::Take(_) | Purpose::Refresh => LIFETIME_S,
            },
            list: list.clone(),
        };
        let given = host.order(order);
        if given {
            self.under_way.insert(ticket, (purpose, list));
        } else if self.unanswered < REFUSALS_MAX {
            self.unanswered = REFUSALS_MAX;
            tracing::error!("the address thread has ended: virtual addresses expire");
        }
        given
    }

    fn note(&mut self, list: &[Put], answers: BTreeMap<Put, String>) {
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

    fn remove(&mut self, host: &mut dyn Host, list: Vec<Put>) {
        for key in &list {
            self.refused.remove(key);
        }
        if !list.is_empty() {
            host.order(Order::Remove(list));
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
