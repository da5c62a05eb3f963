//! MetalLB's dialect: its custom resources, and the ConfigMap of its first years.
//!
//! BGPPeers that select this node become neighbors; BGPAdvertisements that select it say what the
//! addresses of IPAddressPools are announced as. MetalLB's controller goes on giving addresses to
//! services; its speaker, and FRR beside it, are what this replaces. L2Advertisements are known, so
//! that a pool announced by ARP alone is not taken for a forgotten one.
//!
//! Where MetalLB refuses its whole configuration for one bad object, here that object alone is left
//! out, and of two that contradict each other the younger. Objects are looked up within a
//! namespace, as MetalLB does in its own. The ConfigMap counts only while that namespace has no
//! custom resources, so a half-done migration cannot announce twice.
//!
//! Rooms: `object` (kinds), `read` (paths of faults), `peer`, `pool`, `advertisement`, `bfd` (what
//! each says), `legacy` (the ConfigMap), `neighbor` and `plan` (what it comes to), `gather` (how
//! they find each other).

mod advertisement;
mod bfd;
mod gather;
mod legacy;
mod neighbor;
mod object;
mod peer;
mod plan;
mod pool;
mod read;
mod selector;

use std::net::IpAddr;

use ipnet::IpNet;
use rib::policy::{MatchDef, PolicyDef, RuleDef, Then};

pub use self::object::{Kind, Object};

use self::plan::{Ready, Route};
use self::pool::{Pool, PoolIndex};
use super::{AddressKind, Offer, Peering, ServiceAddress, View};
use crate::object::{ConfigMap, ObjectName, Service};
use crate::{DialectName, Fault};

/// The policy with which MetalLB's peers accept nothing.
const IMPORT: &str = "metallb:import";
/// The policy with which they are told of services.
const EXPORT: &str = "metallb:export";

/// The dialect, made ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metallb {
    pools: Vec<ReadyPool>,
    index: PoolIndex,
}

/// A pool with the advertisements that take it on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ReadyPool {
    label: Box<str>,
    /// `pool:NAME`.
    source: Box<str>,
    declared: Pool,
    ready: Vec<Ready>,
    /// The routes of an IPv4 and of an IPv6 address, unless they depend on the service.
    routes: Option<[Vec<Route>; 2]>,
    /// Why it is not announced here, when no advertisement takes it.
    why_not: Box<str>,
}

impl Metallb {
    /// Reads the objects that are not services.
    pub fn prepare(view: &View<'_>, out: &mut Peering) -> Self {
        let this = gather::gather(view, out);
        out.policies.push(PolicyDef {
            name: IMPORT.to_owned(),
            rules: Vec::new(),
        });
        out.policies.push(this.export(view));
        this
    }

    /// The pools, for `show`.
    pub(crate) fn list_pools(&self, pools: &mut Vec<crate::PoolListed>) {
        pools.extend(self.pools.iter().map(|pool| {
            let name = pool.source.strip_prefix("pool:").unwrap_or(&pool.source);
            let ranges = pool.declared.addresses.iter();
            let ranges = ranges.map(|range| (range.first, range.last)).collect();
            crate::PoolListed::new(name, &pool.label, ranges)
        }));
    }

    /// What MetalLB's peers are told: the services of its pools. When other dialects are on, the
    /// reason to have them in one daemon is one session per router, so that session carries what
    /// they start as well. Routes learned from others never pass.
    fn export(&self, view: &View<'_>) -> PolicyDef {
        let mut sources: Vec<String> = self
            .pools
            .iter()
            .map(|pool| String::from(&*pool.source))
            .collect();
        let others = view.options.dialects.iter();
        if others.into_iter().any(|name| *name != DialectName::Metallb) {
            let kinds = ["pod-cidr", "cluster-ip", "external-ip", "load-balancer-ip"];
            sources.extend(kinds.map(String::from));
            // Calico's pods whose address lies in no block of the node.
            sources.push("pod-address".to_owned());
            let pools = view.options.pools.iter();
            sources.extend(pools.map(|pool| format!("pool:{}", pool.name)));
        }
        sources.sort();
        sources.dedup();
        let rule = RuleDef {
            matches: MatchDef {
                origin_source: sources,
                ..MatchDef::default()
            },
            then: Then::Accept,
            ..RuleDef::default()
        };
        PolicyDef {
            name: EXPORT.to_owned(),
            // A rule without sources would match everything.
            rules: match rule.matches.origin_source.is_empty() {
                true => Vec::new(),
                false => vec![rule],
            },
        }
    }

    /// What it offers for an address of a service: MetalLB announces addresses given by a load
    /// balancer and no others.
    pub fn offer(&self, service: &Service, address: &ServiceAddress, each: &mut dyn FnMut(Offer)) {
        if address.kind != AddressKind::LoadBalancer {
            return;
        }
        let found = self.index.find(address.address);
        let Some(pool) = found.and_then(|at| self.pools.get(at)) else {
            let text = format!("no IPAddressPool has {}", address.address);
            return each(Offer::Decline(text.into()));
        };
        if pool.ready.is_empty() {
            return each(Offer::Decline(pool.why_not.clone()));
        }
        let is_ipv6 = address.address.is_ipv6();
        let chosen;
        let routes: &[Route] = match &pool.routes {
            Some([v4, v6]) => match is_ipv6 {
                true => v6,
                false => v4,
            },
            None => match pool.choose(service, is_ipv6) {
                Ok(routes) => {
                    chosen = routes;
                    &chosen
                }
                Err(why_not) => return each(Offer::Decline(why_not)),
            },
        };
        if routes.is_empty() {
            let text = format!(
                "{}: none of the peers that its advertisements name is a neighbor of this node",
                pool.label
            );
            return each(Offer::Decline(text.into()));
        }
        for route in routes {
            if let Some(prefix) = covering(address.address, route.length) {
                each(Offer::Announce {
                    prefix,
                    source: pool.source.clone(),
                    marks: route.marks.clone(),
                    neighbors: route.neighbors.clone(),
                    because: format!("{}, {}", pool.label, route.because).into(),
                });
            }
        }
    }
}

impl ReadyPool {
    /// The routes for a service, where advertisements select services: those that select it, if
    /// they can stand together; when not, MetalLB announces nothing of the service, and so do we.
    fn choose(&self, service: &Service, is_ipv6: bool) -> Result<Vec<Route>, Box<str>> {
        let labels = &service.meta.labels;
        let chosen: Vec<&Ready> = self
            .ready
            .iter()
            .filter(|one| selector::any_matches(&one.declared.service_selectors, labels))
            .collect();
        if chosen.is_empty() {
            let text = format!("{}: no advertisement selects the service", self.label);
            return Err(text.into());
        }
        for (at, one) in chosen.iter().enumerate() {
            for other in chosen.iter().skip(at.saturating_add(1)) {
                if !one.declared.agrees_with(&other.declared, &self.declared) {
                    let text = format!(
                        "{} and {} give it different values of localPref; let one of them select \
                         other services, peers or lengths",
                        one.label, other.label
                    );
                    return Err(text.into());
                }
            }
        }
        Ok(plan::routes(&chosen, is_ipv6))
    }
}

fn covering(address: IpAddr, length: u8) -> Option<IpNet> {
    IpNet::new(address, length).ok().map(|net| net.trunc())
}

/// What MetalLB's old ConfigMap says, as the objects that its own converter makes of it, and what
/// is wrong with it. A ConfigMap without the key `config` says nothing.
#[must_use]
pub fn from_config_map(map: &ConfigMap) -> (Vec<Object>, Vec<Fault>) {
    let legacy = legacy::read(map).unwrap_or_default();
    (legacy.objects, legacy.faults)
}

impl Object {
    /// The secret that a BGPPeer names, for whoever has to watch it.
    #[must_use]
    pub fn secret(&self) -> Option<ObjectName> {
        match &self.spec {
            object::Spec::Peer(peer) => {
                let (name, _) = peer.password_secret.as_ref()?;
                Some(ObjectName::new(&self.meta().namespace, name))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
