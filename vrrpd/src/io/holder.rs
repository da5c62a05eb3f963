//! Virtual addresses on links: put, refreshed, taken off.
//!
//! Each is given a lifetime of [`LIFETIME_S`] in the kernel and refreshed every [`REFRESH_EVERY`]:
//! a process that is killed or hangs leaves none behind, without any helper. What the kernel
//! refuses is said once and tried again with every refresh.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
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

/// The addresses that are held.
#[derive(Debug)]
pub struct Holder {
    writer: HostAddresses,
    held: BTreeMap<SlotId, (u32, Vec<IpNet>)>,
    next_refresh: Option<Instant>,
    /// What was refused and said.
    refused: BTreeSet<(u32, IpNet)>,
}

impl Holder {
    /// Opens the netlink socket.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            writer: HostAddresses::open(ADDRESS_PROTOCOL)?,
            held: BTreeMap::new(),
            next_refresh: None,
            refused: BTreeSet::new(),
        })
    }

    /// The socket, for the watch to mute and for questions.
    pub fn writer(&mut self) -> &mut HostAddresses {
        &mut self.writer
    }

    /// Takes off what an earlier process left behind.
    pub fn clean(&mut self, addresses: &[HostAddress]) {
        let list: Vec<(u32, IpNet)> = addresses
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
    pub fn take(&mut self, now: Instant, slot: SlotId, link: u32, networks: &[IpNet]) {
        let before = self.held.insert(slot, (link, networks.to_vec()));
        if let Some((old_link, old)) = before {
            let gone: Vec<(u32, IpNet)> = old
                .into_iter()
                .filter(|one| old_link != link || !networks.contains(one))
                .map(|one| (old_link, one))
                .collect();
            self.remove(&gone);
        }
        let list: Vec<(u32, IpNet)> = networks.iter().map(|one| (link, *one)).collect();
        self.put(&list);
        self.next_refresh.get_or_insert(now + REFRESH_EVERY);
    }

    /// Takes the addresses of a slot off.
    pub fn let_go(&mut self, slot: SlotId) {
        if let Some((link, networks)) = self.held.remove(&slot) {
            let list: Vec<(u32, IpNet)> = networks.into_iter().map(|one| (link, one)).collect();
            self.remove(&list);
        }
        if self.held.is_empty() {
            self.next_refresh = None;
        }
    }

    /// When the next refresh is due.
    #[must_use]
    pub fn next_refresh(&self) -> Option<Instant> {
        self.next_refresh
    }

    /// Refreshes what is held, when it is due.
    pub fn refresh(&mut self, now: Instant) {
        if self.next_refresh.is_none_or(|due| due > now) {
            return;
        }
        let list: Vec<(u32, IpNet)> = self
            .held
            .values()
            .flat_map(|(link, networks)| networks.iter().map(|one| (*link, *one)))
            .collect();
        self.put(&list);
        self.next_refresh = Some(now + REFRESH_EVERY);
    }

    /// Somebody took this address off: it comes back at once when it is held.
    pub fn restore(&mut self, link: u32, address: IpAddr) {
        let held = self.held.values().find_map(|(at, networks)| {
            let network = networks.iter().find(|one| one.addr() == address)?;
            (*at == link).then_some(*network)
        });
        if let Some(network) = held {
            self.put(&[(link, network)]);
        }
    }

    fn put(&mut self, list: &[(u32, IpNet)]) {
        let refused = match self.writer.put(list, LIFETIME_S) {
            Ok(refused) => refused,
            Err(error) => {
                tracing::error!(%error, "virtual addresses cannot be put: netlink fails");
                return;
            }
        };
        let mut still = BTreeSet::new();
        for (at, error) in refused {
            let Some((link, network)) = list.get(at).copied() else {
                continue;
            };
            still.insert((link, network));
            if !self.refused.contains(&(link, network)) {
                let reason = io::Error::from_raw_os_error(error.errno);
                let more = error.text.unwrap_or_default();
                tracing::error!(link, %network, %reason, more, "virtual address refused; retried");
            }
        }
        for key in list {
            if !still.contains(key) {
                self.refused.remove(key);
            }
        }
        self.refused.extend(still);
    }

    fn remove(&mut self, list: &[(u32, IpNet)]) {
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
