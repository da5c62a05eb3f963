//! What one service asks for: a route for one of its addresses, with all that decides about it.
//!
//! Claims are made per service and compared by value, so an event that changes nothing of them ends
//! there. They are ranked: networks of the node come first (they stand without any service), then
//! the oldest service, by name where age is equal or unknown, then the order of `sources`. The
//! first claim of a prefix says what the route carries.

use std::cmp::Ordering;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::dialect::{AddressKind, Dialects, Offer, View};
use crate::eligible::{addresses, all_hold, endpoint_rules, is_local, service_rules};
use crate::endpoints::Endpoints;
use crate::object::{ObjectName, Service};
use crate::{DialectName, Marks};

/// The service behind claims.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub name: ObjectName,
    /// As `Service shop/web`.
    pub text: Box<str>,
    /// `None` is younger than all.
    pub created: Option<Box<str>>,
    /// MetalLB's permission to share an address: services with the same key may.
    pub sharing: Option<Box<str>>,
}

/// A route that a service asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub owner: Arc<Owner>,
    /// Its place among those of the service.
    pub order: u16,
    pub kind: AddressKind,
    pub dialect: DialectName,
    /// The address.
    pub host: IpNet,
    /// What is announced for it: the address or an aggregate.
    pub prefix: IpNet,
    pub source: Box<str>,
    pub marks: Marks,
    pub neighbors: Option<Vec<IpAddr>>,
    /// All rules hold here.
    pub is_eligible: bool,
    /// It must be served on this node.
    pub is_local: bool,
}

impl Claim {
    /// Which of two claims counts.
    pub(crate) fn rank(&self, other: &Self) -> Ordering {
        let (ours, theirs) = (&self.owner, &other.owner);
        if !Arc::ptr_eq(ours, theirs) {
            let by_age = match (&ours.created, &theirs.created) {
                (Some(ours), Some(theirs)) => ours.cmp(theirs),
                (ours, theirs) => ours.is_none().cmp(&theirs.is_none()),
            };
            let order = by_age.then_with(|| ours.name.cmp(&theirs.name));
            if order != Ordering::Equal {
                return order;
            }
        }
        self.order.cmp(&other.order)
    }

    /// Whether it is eligible as things stand now.
    pub(crate) fn judge(
        &self,
        view: &View<'_>,
        node: NodeVerdict,
        (service, endpoints): (&Service, &Endpoints),
    ) -> bool {
        let is_ipv6 = self.host.addr().is_ipv6();
        let case = (self.kind, is_ipv6, self.is_local);
        let counts = endpoints.family(is_ipv6);
        node.allows(self.kind) && all_hold(|say| endpoint_rules(view, service, &counts, case, say))
    }

    /// Whether it asks for more than its own address.
    pub(crate) fn is_aggregate(&self) -> bool {
        self.prefix != self.host
    }
}

/// What the node's own rules say for each kind of address, found once for all services.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NodeVerdict {
    pub cluster: bool,
    pub external: bool,
    pub balanced: bool,
}

impl NodeVerdict {
    pub(crate) fn of(view: &View<'_>) -> Self {
        let holds = |kind| all_hold(|say| crate::eligible::node_rules(view, kind, say));
        Self {
            cluster: holds(AddressKind::Cluster),
            external: holds(AddressKind::External),
            balanced: holds(AddressKind::LoadBalancer),
        }
    }

    fn allows(self, kind: AddressKind) -> bool {
        match kind {
            AddressKind::Cluster => self.cluster,
            AddressKind::External => self.external,
            AddressKind::LoadBalancer => self.balanced,
        }
    }
}

/// All that a service asks for.
pub(crate) fn claims(
    view: &View<'_>,
    dialects: &Dialects,
    node: NodeVerdict,
    (name, service, endpoints): (&ObjectName, &Service, &Endpoints),
) -> Vec<Claim> {
    let mut claims: Vec<Claim> = Vec::new();
    let mut known: Option<Arc<Owner>> = None;
    for asked in addresses(service) {
        if !all_hold(|say| service_rules(view, service, &asked, say)) {
            continue;
        }
        let address = &asked.address;
        let host = IpNet::from(address.address);
        let start = claims.len();
        dialects.offers(service, address, |dialect, offer| {
            let Offer::Announce {
                prefix,
                source,
                marks,
                neighbors,
                ..
            } = offer
            else {
                return;
            };
            let is_local = is_local(dialect, service, address);
            let mut claim = Claim {
                owner: Arc::clone(known.get_or_insert_with(|| Arc::new(owner(name, service)))),
                order: 0,
                kind: address.kind,
                dialect,
                host,
                prefix: prefix.trunc(),
                source,
                marks,
                neighbors: neighbors.map(sorted),
                is_eligible: false,
                is_local,
            };
            claim.is_eligible = claim.judge(view, node, (service, endpoints));
            claims.push(claim);
        });
        // What names neighbors counts before what is for all.
        let place = |claim: &Claim| {
            let mut sources = view.options.dialects.iter();
            sources.position(|dialect| *dialect == claim.dialect)
        };
        if let Some(new) = claims.get_mut(start..)
            && new.len() > 1
        {
            new.sort_by_key(|claim| (place(claim), claim.neighbors.is_none()));
        }
    }
    for (order, claim) in (0..).zip(&mut claims) {
        claim.order = order;
    }
    claims
}

fn sorted(mut neighbors: Vec<IpAddr>) -> Vec<IpAddr> {
    neighbors.sort_unstable();
    neighbors.dedup();
    neighbors
}

fn owner(name: &ObjectName, service: &Service) -> Owner {
    let annotations = &service.meta.annotations;
    let sharing = [
        "metallb.io/allow-shared-ip",
        "metallb.universe.tf/allow-shared-ip",
    ];
    let sharing = sharing.iter().find_map(|key| annotations.get(*key));
    Owner {
        name: name.clone(),
        text: format!("Service {name}").into(),
        created: service.meta.creation_timestamp.clone(),
        sharing: sharing.filter(|key| !key.is_empty()).cloned(),
    }
}
