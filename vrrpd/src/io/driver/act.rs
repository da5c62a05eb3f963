//! What routers ask for, carried out: addresses, announcements, adverts.
//!
//! The order of the acts of one router is the router's and is kept: addresses are taken before
//! they are announced, and announced before the advert that ends the mastership of another. The
//! address thread takes them; until it has, this router's acts wait, and nobody else's. Only the
//! adverts of who is known as master go on. Adverts leave together at the end, with one system call
//! for many.
//!
//! What the kernel refuses goes back into the node as a fault, and is tried again later.

use std::net::IpAddr;

use proto_codec::vrrp::announce::{Mac, announcement};
use proto_codec::vrrp::virtual_mac;

use super::{Driver, RETRY_REFUSED_AFTER, why};
use crate::io::holder::SILENT;
use crate::io::segment::Outgoing;
use crate::node::{Node, Output, SlotId};
use crate::router::{Action, Event};

/// Where a slot acts.
struct Whereabouts {
    link: u32,
    /// The link that carries its addresses.
    carrier: u32,
    /// The MAC address they are at.
    mac: Option<Mac>,
    /// The vrid, where that is the virtual one.
    virtual_mac_of: Option<u8>,
    ipv6: bool,
    source: Option<IpAddr>,
}

fn place(node: &Node, id: SlotId) -> Option<Whereabouts> {
    let slot = node.slot(id)?;
    let settings = &slot.instance.settings;
    let (link, ipv6) = (slot.link?, settings.ipv6());
    let own = node.hosts().link_at(link).and_then(|link| link.mac);
    Some(Whereabouts {
        link,
        carrier: node.carrier_of(id)?,
        mac: match settings.virtual_mac {
            false => own,
            true => Some(virtual_mac(settings.vrid, ipv6)),
        },
        virtual_mac_of: settings.virtual_mac.then_some(settings.vrid),
        ipv6,
        source: slot.router.primary(),
    })
}

impl Driver {
    pub(super) fn carry_out(&mut self) {
        loop {
            while let Some((id, output)) = self.shared.peek(|node, _| node.poll_output()) {
                match output {
                    Output::Do(action) => self.act(id, action),
                    Output::Tell(event) => {
                        // Telling takes its time: what was done goes out before.
                        self.flush();
                        if matches!(event, Event::Transition { .. }) {
                            self.moved();
                        }
                        self.tell(id, &event);
                    }
                }
            }
            if !self.flush() {
                break;
            }
        }
        self.tell_status();
    }

    /// Sends what waits; `true`: some of it did not leave, and the node has more to tell.
    fn flush(&mut self) -> bool {
        let mut failed = false;
        for line in self
            .segments
            .values_mut()
            .filter(|line| !line.out.is_empty())
        {
            for (at, error) in line.wire.send(&line.out) {
                let Some(one) = line.out.get(at) else {
                    continue;
                };
                let (id, text) = (one.id, error.to_string());
                self.shared.peek(|node, now| node.not_sent(now, id, &text));
                failed = true;
            }
            line.out.clear();
        }
        failed
    }

    fn act(&mut self, id: SlotId, action: Action) {
        let Some(place) = self.shared.peek(|node, _| place(node, id)) else {
            if action == Action::LetGo {
                self.let_go(id);
            }
            return;
        };
        match action {
            Action::LetGo => {
                // What it has said goes out before.
                self.flush();
                self.let_go(id);
            }
            Action::Keep => {
                let networks = self.shared.peek(|node, _| node.networks_to_put(id));
                let (host, now) = (&mut *self.host, self.shared.now());
                self.holder.keep(host, now, (id, place.carrier, networks));
                self.take_routes(id);
            }
            Action::Take => self.take(id, place.carrier),
            Action::Announce => {
                let addresses = self.shared.peek(|node, _| {
                    node.slot(id)
                        .map(|slot| slot.instance.settings.addresses.clone())
                });
                if let Some(mac) = place.mac {
                    self.announce(place.carrier, mac, &addresses.unwrap_or_default());
                }
            }
            Action::Send {
                destination,
                message,
            } => {
                let Some(source) = place.source else {
                    return;
                };
                if let Some(vrid) = place.virtual_mac_of
                    && destination.is_multicast()
                {
                    let from = (place.carrier, vrid);
                    return self.send_from_virtual_mac(id, from, source, &message);
                }
                if let Some(line) = self.segments.get_mut(&(place.link, place.ipv6)) {
                    line.out.push(Outgoing {
                        id,
                        source,
                        destination,
                        message,
                    });
                }
            }
        }
    }

    fn take(&mut self, id: SlotId, carrier: u32) {
        let networks = self.shared.peek(|node, _| node.networks_to_put(id));
        let now = self.shared.now();
        let (holder, host) = (&mut self.holder, &mut *self.host);
        match holder.take(host, now, (id, carrier, networks)) {
            Ok(false) => {}
            Ok(true) => self.shared.peek(|node, _| node.wait(id)),
            Err(text) => return self.refused(id, text),
        }
        self.take_routes(id);
    }

    fn take_routes(&mut self, id: SlotId) {
        let (routes, host) = (&mut self.routes, &mut *self.host);
        self.shared.peek(|node, now| {
            if let Some(slot) = node.slot(id) {
                routes.take(host, now, (id, slot, node.hosts()));
            }
        });
    }

    /// Routes go before the addresses they depend on.
    pub(super) fn let_go(&mut self, id: SlotId) {
        self.routes.let_go(&mut *self.host, id);
        self.holder.let_go(&mut *self.host, id);
    }

    pub(super) fn refused(&mut self, id: SlotId, text: &str) {
        let now = self.shared.now();
        let own_link = self.shared.peek(|node, _| {
            node.refuse(now, id, text);
            let slot = node.slot(id);
            slot.is_some_and(|slot| slot.instance.settings.virtual_mac)
        });
        if own_link {
            // Somebody may have removed it, and nobody told us.
            self.look_at_carriers = true;
            self.next_carry = Some(now);
        }
        self.retry_refused.get_or_insert(now + RETRY_REFUSED_AFTER);
    }

    /// The address thread is silent: what its masters hold has expired, and they are none.
    pub(super) fn judge_holders(&mut self) {
        if self.holder.is_failing() {
            for id in self.holder.holders().collect::<Vec<_>>() {
                self.refused(id, SILENT);
            }
        }
    }

    fn announce(&mut self, link: u32, mac: [u8; 6], addresses: &[IpAddr]) {
        let mut frame = Vec::new();
        for address in addresses {
            frame.clear();
            announcement(*address, mac, &mut frame);
            if let Err(error) = self.host.send_frame(link, &frame) {
                let text = why(&error);
                tracing::debug!(link, %address, "an announcement was not sent: {text}");
            }
        }
    }
}
