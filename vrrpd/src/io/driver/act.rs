//! What routers ask for, carried out: addresses, announcements, adverts.
//!
//! The order of the acts of one router is the router's and is kept: addresses are taken before
//! they are announced, and announced before the advert that ends the mastership of another.
//! What the kernel refuses goes back into the node as a fault, and is tried again later.

use std::net::IpAddr;
use std::time::Instant;

use proto_codec::vrrp::announce::announcement;

use super::{Driver, RETRY_REFUSED_AFTER, why};
use crate::io::sockopt::FrameSocket;
use crate::node::{Output, SlotId};
use crate::router::Action;

impl Driver {
    pub(super) fn carry_out(&mut self) {
        while let Some((id, output)) = self.shared.peek(|node, _| node.poll_output()) {
            match output {
                Output::Do(action) => self.act(id, action),
                Output::Tell(event) => self.tell(id, &event),
            }
        }
    }

    fn act(&mut self, id: SlotId, action: Action) {
        let place = self.shared.peek(|node, _| {
            let slot = node.slot(id)?;
            let link = slot.link?;
            let mac = node.hosts().link_at(link).and_then(|link| link.mac);
            Some((
                link,
                slot.instance.settings.ipv6(),
                slot.router.primary(),
                mac,
            ))
        });
        let Some((link, ipv6, primary, mac)) = place else {
            if action == Action::LetGo {
                self.holder.let_go(id);
            }
            return;
        };
        match action {
            Action::LetGo => self.holder.let_go(id),
            Action::Take => {
                let networks = self.shared.peek(|node, _| node.networks_to_put(id));
                let refused = self.holder.take(Instant::now(), id, (link, networks));
                if let Some(text) = refused {
                    self.refused(id, &text);
                }
            }
            Action::Announce => {
                let addresses = self.shared.peek(|node, _| {
                    node.slot(id)
                        .map(|slot| slot.instance.settings.addresses.clone())
                });
                if let Some(mac) = mac {
                    self.announce(link, mac, &addresses.unwrap_or_default());
                }
            }
            Action::Send {
                destination,
                message,
            } => {
                let (Some(segment), Some(source)) = (self.segments.get(&(link, ipv6)), primary)
                else {
                    return;
                };
                if let Err(error) = segment.send(source, destination, &message) {
                    let text = error.to_string();
                    self.shared.peek(|node, now| node.not_sent(now, id, &text));
                }
            }
        }
    }

    pub(super) fn refused(&mut self, id: SlotId, text: &str) {
        self.shared.peek(|node, now| node.refuse(now, id, text));
        self.retry_refused
            .get_or_insert(Instant::now() + RETRY_REFUSED_AFTER);
    }

    fn announce(&mut self, link: u32, mac: [u8; 6], addresses: &[IpAddr]) {
        if self.frames.is_none() {
            match FrameSocket::open() {
                Ok(frames) => self.frames = Some(frames),
                Err(error) => {
                    let text = why(&error);
                    tracing::error!("addresses cannot be announced: {text}");
                    return;
                }
            }
        }
        let Some(frames) = &self.frames else {
            return;
        };
        let mut frame = Vec::new();
        for address in addresses {
            frame.clear();
            announcement(*address, mac, &mut frame);
            if let Err(error) = frames.send(link, &frame) {
                tracing::debug!(link, %address, %error, "an announcement was not sent");
            }
        }
    }
}
