//! What the kernel says about links and addresses, and the sockets that follow from it.
//!
//! A picture of everything is taken at the start, and again when notifications were lost; between
//! those the watch's changes are added one by one. The second kind is taken by the address thread,
//! because the kernel lets nobody look while somebody writes; what changed meanwhile makes one
//! more necessary. Every change places the instances anew and opens or closes the raw socket of
//! each link and family.
//!
//! An address of ours that somebody took off is put back, if the router is still master.

use std::collections::BTreeSet;
use std::net::IpAddr;

use rib::netlink::hosts::{HostAddress, HostChange, HostLink};

use super::{Driver, Line, RETRY_AFTER, why};
use crate::io::holder::{ADDRESS_PROTOCOL, Settled};
use crate::io::keeper::{Answer, Order};
use crate::node::Hosts;

impl Driver {
    /// Places every instance again on the links and addresses that are known.
    pub(super) fn place_again(&mut self) {
        self.retry = None;
        self.moved();
        let hosts = self.shared.peek(|node, _| node.hosts().clone());
        self.set_hosts(hosts);
    }

    /// Has a new picture taken.
    fn look(&mut self) {
        if self.looking.is_none() && self.host.order(Order::Look) {
            self.looking = Some(false);
        }
    }

    /// Notifications were lost; that a link of a virtual MAC has gone may be among them, and a
    /// picture of other links does not tell.
    fn look_everywhere(&mut self) {
        self.look();
        self.look_at_carriers = true;
        self.next_carry = Some(self.shared.now());
    }

    /// Takes a picture.
    pub(super) fn seen(&mut self, links: Vec<HostLink>, mut addresses: Vec<HostAddress>) {
        // Before Linux 5.18 nothing in the kernel says that they are ours.
        addresses.retain(|one| !self.holder.holds(one.index, one.network));
        self.set_hosts(Hosts::new(links, addresses, ADDRESS_PROTOCOL));
    }

    /// Takes what the address thread has done.
    pub(super) fn read_answers(&mut self) {
        while let Some(answer) = self.host.answer() {
            match answer {
                Answer::Put { ticket, refused } => {
                    let now = self.shared.now();
                    for settled in self.holder.answered(now, ticket, refused) {
                        self.settled(settled);
                    }
                }
                Answer::Carried { carriers, gate } => self.carried(carriers, gate),
                Answer::Routes(fates) => {
                    let now = self.shared.now();
                    if let Some(told) = self.routes.answered(now, fates.as_deref()) {
                        self.shared.peek(|node, _| node.set_route_problems(told));
                    }
                }
                Answer::Seen(outcome) => {
                    let stale = self.looking.take().unwrap_or_default();
                    match outcome {
                        Ok((links, addresses)) => self.seen(links, addresses),
                        Err(error) => {
                            tracing::error!(%error, "links and addresses cannot be read");
                        }
                    }
                    if stale {
                        self.look();
                    }
                }
            }
        }
    }

    fn settled(&mut self, settled: Settled) {
        match settled {
            Settled::Taken(id, refusal) => {
                if let Some(text) = refusal {
                    self.refused(id, &text);
                }
                self.shared.peek(|node, _| node.go_on(id));
            }
            Settled::TooLate(id) => {
                let wanted = self.shared.peek(|node, _| {
                    let slot = node.slot(id);
                    slot.is_some_and(|slot| slot.router.is_holding())
                });
                let now = self.shared.now();
                if !wanted || !self.holder.take_still(&mut *self.host, now, id) {
                    self.shared.peek(|node, _| node.go_on(id));
                }
            }
            Settled::Lost(id, text) => self.refused(id, &text),
            Settled::Back => self.retry_refused = Some(self.shared.now()),
        }
    }

    fn set_hosts(&mut self, hosts: Hosts) {
        let host = &mut self.host;
        let mut towards = |address: IpAddr| host.link_towards(address);
        self.shared
            .peek(|node, now| node.set_hosts(now, hosts, &mut towards));
        self.sync_segments();
        self.inform_due = true;
        self.next_carry = Some(self.shared.now());
        if self.shared.peek(|node, _| node.awaits_route()) {
            self.retry = Some(self.shared.now() + RETRY_AFTER);
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
            match self.host.open(&link, key.1) {
                Ok(wire) => {
                    let out = Vec::new();
                    self.segments.insert(key, Line { wire, out });
                    self.shared
                        .peek(|node, now| node.set_socket_fault(now, key, None));
                }
                Err(error) => {
                    let text = why(&error);
                    self.shared
                        .peek(|node, now| node.set_socket_fault(now, key, Some(&text)));
                    self.retry = Some(self.shared.now() + RETRY_AFTER);
                }
            }
        }
    }

    pub(super) fn read_kernel(&mut self) {
        let changes = match self.host.changes() {
            Ok(changes) if changes.is_empty() => return,
            Ok(changes) => changes,
            Err(error) => {
                tracing::error!(%error, "the watch of links and addresses failed");
                return self.look_everywhere();
            }
        };
        if self.looking.is_some() {
            self.looking = Some(true);
        }
        if changes.contains(&HostChange::Lost) {
            self.look_everywhere();
        }
        let mut hosts: Option<Hosts> = None;
        let mut different = false;
        let links_gone: Vec<u32> = changes
            .iter()
            .filter_map(|change| match change {
                HostChange::LinkGone(index) => Some(*index),
                _ => None,
            })
            .collect();
        for change in changes {
            if self.is_of_carrier(&change) {
                continue;
            }
            if let HostChange::AddressGone(gone) = &change
                // With its link: there is nothing to put it back on.
                && !links_gone.contains(&gone.index)
            {
                self.address_gone(gone.index, gone.network.addr());
            }
            if let HostChange::Address(one) = &change
                && self.holder.holds(one.index, one.network)
            {
                // Ours, whatever it says: the next refresh writes our number again.
                continue;
            }
            // Links of others come and go, hundreds at a time where containers do.
            if hosts.is_none() && self.shared.peek(|node, _| node.note_aside(&change)) {
                continue;
            }
            let known = || self.shared.peek(|node, _| node.hosts().clone());
            different |= hosts.get_or_insert_with(known).handle(change);
        }
        if let Some(hosts) = hosts.filter(|_| different) {
            self.set_hosts(hosts);
        }
    }
}
