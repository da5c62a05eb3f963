//! Changes of the host that concern nobody here.
//!
//! Where containers come and go, so do links, hundreds in a second. Placing every instance anew for
//! each of them would cost a thousand instances the time of their adverts. A link concerns those
//! that are on it or name it, and those whose check does; every link and address concerns whoever
//! is placed by a route. An address concerns everybody, because who sends from it is this host,
//! unless it is link-local on a link that nobody is on. All of it is remembered.

use rib::netlink::hosts::HostChange;

use super::place::is_link_local;
use super::{Node, Slot};
use crate::config::Place;
use crate::config::check::Probe;

impl Node {
    /// Remembers a change that concerns nobody. `false`: it may concern somebody, and nothing was
    /// done.
    pub fn note_aside(&mut self, change: &HostChange) -> bool {
        let (link, name) = match change {
            HostChange::Link(link) => (link.index, Some(link.name.as_str())),
            HostChange::LinkGone(index) if !self.hosts.has_global(*index) => (*index, None),
            HostChange::Address(one) | HostChange::AddressGone(one)
                if is_link_local(one.network.addr()) =>
            {
                (one.index, None)
            }
            _ => return false,
        };
        let before = self.hosts.link_at(link).map(|link| link.name.as_str());
        let names = [before, name];
        if self.is_concerned(link, |one| names.contains(&Some(one))) {
            return false;
        }
        self.hosts.handle(change.clone());
        true
    }

    fn is_concerned(&self, link: u32, is_named: impl Fn(&str) -> bool) -> bool {
        let there = |slot: &Slot| {
            slot.link == Some(link)
                || match &slot.instance.place {
                    Place::Interface(name) => is_named(name),
                    Place::RouteTo(_) => true,
                }
        };
        let looked_at = |probe: &Probe| matches!(probe, Probe::Interface(name) if is_named(name));
        self.slots.values().any(there) || self.checks.probes().any(looked_at)
    }
}
