//! What several dialects ask for, made one.
//!
//! The first in the order of `sources` wins where two want the same thing differently, and the
//! loser is a fault of severity warning, so that nobody has to guess which object counts. Ranges,
//! static routes and tunnels add up.

use std::collections::BTreeMap;

use super::Peering;
use crate::{DialectName, Facts, Fault, RouterWish, Severity, mesh};

impl Peering {
    /// Takes in what the next dialect asks for.
    pub(super) fn unite(&mut self, dialect: DialectName, other: Self) {
        let Self {
            neighbors,
            others,
            wanted: _,
            policies,
            networks,
            router,
            own_ranges,
            static_routes,
            tunnels,
            faults,
        } = other;
        self.faults.extend(faults);
        self.others.extend(others);
        let have = self.neighbors.iter();
        let mut objects: BTreeMap<_, _> = have
            .map(|have| (have.address, have.object.clone()))
            .collect();
        for neighbor in neighbors {
            let address = neighbor.address;
            match objects.get(&address) {
                None => {
                    objects.insert(address, neighbor.object.clone());
                    self.neighbors.push(neighbor);
                }
                Some(object) if *object == neighbor.object => {}
                Some(object) => {
                    let text =
                        format!("neighbor {address} is also asked for by {object}, which counts");
                    self.faults.push(warning(&neighbor.object, &text));
                }
            }
        }
        for policy in policies {
            if self.policies.iter().all(|have| have.name != policy.name) {
                self.policies.push(policy);
            }
        }
        self.networks.extend(networks);
        self.unite_router(dialect, router);
        self.own_ranges.pods.extend(own_ranges.pods);
        self.own_ranges.services.extend(own_ranges.services);
        let balanced = own_ranges.load_balancers;
        self.own_ranges.load_balancers.extend(balanced);
        self.static_routes.extend(static_routes);
        self.tunnels.extend(tunnels);
    }

    fn unite_router(&mut self, dialect: DialectName, other: RouterWish) {
        let mut losers: Vec<&str> = Vec::new();
        let have = &mut self.router;
        let first = [
            ("the AS", take(&mut have.asn, other.asn)),
            ("the router id", take(&mut have.router_id, other.router_id)),
            (
                "the cluster id",
                take(&mut have.cluster_id, other.cluster_id),
            ),
            ("the port", take(&mut have.listen_port, other.listen_port)),
            ("the metric", take(&mut have.metric, other.metric)),
        ];
        losers.extend(
            first
                .iter()
                .filter(|(_, lost)| *lost)
                .map(|(what, _)| *what),
        );
        if have.listen_addresses.is_empty() {
            have.listen_addresses = other.listen_addresses;
        } else if !other.listen_addresses.is_empty()
            && have.listen_addresses != other.listen_addresses
        {
            losers.push("the addresses to listen on");
        }
        for what in losers {
            let text = format!("asks for another value of {what} than a source listed before it");
            self.faults.push(warning(dialect.as_str(), &text));
        }
    }

    /// Everything is in: sorts it, and looks how far its neighbors can be gone over to.
    pub(crate) fn settle(&mut self, facts: &Facts) {
        self.sort();
        self.wanted = std::mem::take(&mut self.neighbors);
        self.stage(facts);
    }

    /// Which neighbors are configured now, on the way to those that are wanted; whether they are
    /// others than before.
    pub(crate) fn stage(&mut self, facts: &Facts) -> bool {
        let staged = mesh::stage(self.wanted.clone(), &self.others, facts);
        let is_new = self.neighbors != staged;
        self.neighbors = staged;
        is_new
    }

    /// Sorts all of it, each thing once.
    fn sort(&mut self) {
        self.neighbors.sort_by_key(|neighbor| neighbor.address);
        self.policies.sort_by(|a, b| a.name.cmp(&b.name));
        self.networks.sort();
        self.networks.dedup();
        for ranges in [
            &mut self.own_ranges.pods,
            &mut self.own_ranges.services,
            &mut self.own_ranges.load_balancers,
        ] {
            ranges.sort();
            ranges.dedup();
        }
        self.static_routes.sort();
        self.static_routes.dedup();
        self.tunnels.sort_by_key(|tunnel| tunnel.range);
        self.tunnels.dedup();
        self.faults.sort();
        self.faults.dedup();
    }
}

/// Takes a wish unless there is one; whether it lost against a different one.
fn take<T: PartialEq>(have: &mut Option<T>, other: Option<T>) -> bool {
    match (&have, &other) {
        (Some(have), Some(other)) => have != other,
        (None, Some(_)) => {
            *have = other;
            false
        }
        (_, None) => false,
    }
}

fn warning(object: &str, text: &str) -> Fault {
    Fault {
        object: object.into(),
        path: "".into(),
        severity: Severity::Warning,
        text: text.into(),
    }
}
