//! Links with virtual MACs, and closed addresses: asked for, and what became of them.
//!
//! The address thread makes and watches both. It is asked after every change of places and once a
//! second while there is something to watch; the node hears what came of it and puts at fault who
//! cannot be carried. What the kernel says about those links concerns their parents' instances.

use std::net::IpAddr;
use std::time::Duration;

use proto_codec::vrrp::frame::advert_frame;
use proto_codec::vrrp::virtual_mac;
use rib::netlink::hosts::HostChange;

use super::Driver;
use crate::io::keeper::Order;
use crate::node::{Carriers, SlotId};

/// How often links and settings are looked at.
const EVERY: Duration = Duration::from_secs(1);

/// Addresses that went from links of virtual MACs.
#[derive(Debug, Default)]
pub(super) struct Lost {
    heard: Vec<(u32, IpAddr)>,
    /// The kernel was asked whether the links are still there.
    asked: Vec<(u32, IpAddr)>,
}

impl Driver {
    /// Asks for links and closed addresses when it is time.
    pub(super) fn carry(&mut self) {
        let now = self.shared.now();
        if self.carrying || self.next_carry.is_none_or(|due| due > now) {
            return;
        }
        let (wanted, closed) = self
            .shared
            .peek(|node, _| (node.wanted_carriers(), node.closed_addresses()));
        let idle = wanted.is_empty() && closed.is_empty();
        self.next_carry = (!idle).then_some(now + EVERY);
        let look = std::mem::take(&mut self.look_at_carriers);
        self.lost.asked.append(&mut self.lost.heard);
        self.carrying = self.host.order(Order::Carry {
            wanted,
            closed,
            look,
        });
    }

    /// Takes what became of them.
    pub(super) fn carried(&mut self, carriers: Carriers, gate: Result<(), String>) {
        self.carrying = false;
        let first = !carriers.is_empty() && !std::mem::replace(&mut self.carried_once, true);
        self.shared.peek(|node, now| {
            node.set_carriers(now, carriers);
            node.set_filter_fault(now, gate.err().as_deref());
        });
        for (link, address) in std::mem::take(&mut self.lost.asked) {
            let parent = self.shared.peek(|node, _| node.parent_of(link));
            if parent != link {
                self.put_back(parent, address);
            }
        }
        self.end_waiting();
        if first {
            // After the addresses of heirs: a link that was taken over and got none is set down.
            self.next_carry = Some(self.shared.now());
        }
    }

    /// An address went from a link. On one of ours the link itself may be about to follow: then
    /// the addresses go on a new one, and not back.
    pub(super) fn address_gone(&mut self, link: u32, address: IpAddr) {
        if self
            .shared
            .peek(|node, _| node.is_carrying(link) && node.parent_of(link) != link)
        {
            self.lost.heard.push((link, address));
            self.look_at_carriers = true;
            self.next_carry = Some(self.shared.now());
        } else {
            self.put_back(link, address);
        }
    }

    fn put_back(&mut self, link: u32, address: IpAddr) {
        let back = self
            .shared
            .peek(|node, now| node.addresses_lost(now, link, address));
        if back {
            tracing::warn!(%address, "a virtual address was taken off: put back");
        }
    }

    /// Whether a change is of a link that carries a virtual MAC: no instance is placed on those.
    pub(super) fn is_of_carrier(&mut self, change: &HostChange) -> bool {
        let (index, usable) = match change {
            HostChange::Link(link) => (link.index, link.usable),
            HostChange::LinkGone(index) => (*index, false),
            _ => return false,
        };
        let (ours, carrying) = self.shared.peek(|node, _| {
            let ours = node.parent_of(index) != index;
            (ours, ours && node.is_carrying(index))
        });
        // One that is down and carries nothing is as it should be, but it may be gone.
        if ours && !usable && (carrying || matches!(change, HostChange::LinkGone(_))) {
            self.look_at_carriers = true;
            self.next_carry = Some(self.shared.now());
        }
        ours
    }

    /// Sends an advert from the virtual MAC, at once: it follows what was announced.
    pub(super) fn send_from_virtual_mac(
        &mut self,
        id: SlotId,
        (carrier, vrid): (u32, u8),
        source: IpAddr,
        message: &[u8],
    ) {
        let mut frame = Vec::new();
        let mac = virtual_mac(vrid, source.is_ipv6());
        advert_frame(source, mac, message, &mut frame);
        if let Err(error) = self.host.send_frame(carrier, &frame) {
            let text = error.to_string();
            self.shared.peek(|node, now| node.not_sent(now, id, &text));
        }
    }
}
