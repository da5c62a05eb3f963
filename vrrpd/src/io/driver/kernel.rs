//! What the kernel says about links and addresses, and the sockets that follow from it.
//!
//! A picture of everything is taken at the start, after a reload, and when notifications were
//! lost; between those the watch's changes are added one by one. Every picture places the
//! instances anew and opens or closes the raw socket of each link and family.
//!
//! An address of ours that somebody took off is put back, if the router is still master.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Instant;

use rib::netlink::hosts::{HostChange, snapshot};

use super::{Driver, RETRY_AFTER, why};
use crate::io::holder::ADDRESS_PROTOCOL;
use crate::io::segment::Segment;
use crate::node::Hosts;

impl Driver {
    /// Takes a new picture of links and addresses, places every instance and opens its sockets.
    pub(super) fn look_again(&mut self) {
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

    pub(super) fn read_kernel(&mut self) {
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
}
