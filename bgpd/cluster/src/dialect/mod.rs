//! Whose objects say who peers with whom, and what an address of a service carries.
//!
//! A dialect is two functions. *Prepare* reads the objects that are not services once (pools,
//! peers, filters) and puts neighbors, policies and networks of the node into [`Peering`]. *Offer*
//! is then asked for each address of each service, and answers with the routes under which this
//! dialect would announce it, or why it would not. Whether the service may be announced here at all
//! (kube-proxy's rule, the gate, the node) is nobody's dialect: it is decided once, in front.
//!
//! Dialects run side by side. Where two make the same neighbor (equal address), the first in the
//! order of `sources` wins and the other is a fault of severity warning; announcements of one
//! prefix are united. How a running cluster gets to other neighbors without losing a route is
//! decided once as well, for those of all dialects together ([`crate::mesh`]).

pub mod calico;
pub mod kube_router;
pub mod metallb;
pub mod native;
mod unite;

use std::net::IpAddr;

use ipnet::IpNet;

use crate::object::{Node, ObjectName, Service};
use crate::{
    Announcement, DialectName, Facts, Fault, Marks, Neighbor, Options, OwnRanges, RouterWish,
    Snapshot, StaticRoute, Tunnel,
};
use rib::policy::PolicyDef;

/// What a dialect may look at.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// All objects.
    pub snapshot: &'a Snapshot,
    /// What the operator chose.
    pub options: &'a Options,
    /// What the node knows.
    pub facts: &'a Facts,
    /// This node's object, once it is there.
    pub node: Option<&'a Node>,
}

/// What a dialect asks for beside services.
#[derive(Clone, Debug, Default)]
pub struct Peering {
    /// Neighbors.
    pub neighbors: Vec<Neighbor>,
    /// Other nodes, as they would be in a mesh: a session with one may have to go on for a while.
    pub others: Vec<Neighbor>,
    /// The neighbors that are wanted, once `neighbors` are those on the way there.
    pub(crate) wanted: Vec<Neighbor>,
    /// The policies they name.
    pub policies: Vec<PolicyDef>,
    /// Routes of the node itself: pod CIDRs, blocks, ranges that every node announces.
    pub networks: Vec<Announcement>,
    /// What it says of the router.
    pub router: RouterWish,
    /// Ranges of the cluster.
    pub own_ranges: OwnRanges,
    /// Routes to neighbors.
    pub static_routes: Vec<StaticRoute>,
    /// Routes in tunnels.
    pub tunnels: Vec<Tunnel>,
    /// What is wrong with its objects.
    pub faults: Vec<Fault>,
}

/// Which sort of address of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AddressKind {
    /// `spec.clusterIPs`.
    Cluster,
    /// `spec.externalIPs`.
    External,
    /// `status.loadBalancer.ingress`.
    LoadBalancer,
}

/// An address of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceAddress {
    /// Where it comes from.
    pub kind: AddressKind,
    /// The address.
    pub address: IpAddr,
    /// Only what is on this node may answer, as the policy for this kind of address says.
    pub is_local: bool,
}

/// A route under which a dialect would announce an address, or why it would not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offer {
    /// It would.
    Announce {
        /// The address itself or an aggregate that covers it.
        prefix: IpNet,
        /// As [`Announcement::source`].
        source: Box<str>,
        /// What it carries.
        marks: Marks,
        /// Only these neighbors.
        neighbors: Option<Vec<IpAddr>>,
        /// The objects that say so, for `explain`: `IPAddressPool metallb-system/web`.
        because: Box<str>,
    },
    /// It would not; which rule, as one sentence for `explain`.
    Decline(Box<str>),
    /// The dialect announces it without any endpoint and whatever the node's state (an aggregate
    /// that every node announces); named for `explain` only, the route is one of the networks.
    Covered(Box<str>),
}

/// The dialects that are switched on, made ready, in the order of `sources`. What `offer` says may
/// depend on nothing else: when two preparations are equal, no service is looked at again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dialects {
    ready: Vec<Ready>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "there are at most four, and every address of every service goes through them"
)]
enum Ready {
    Native(native::Native),
    Metallb(metallb::Metallb),
    Calico(calico::Calico),
    KubeRouter(kube_router::KubeRouter),
}

impl Dialects {
    /// Reads all that is not a service.
    #[must_use]
    pub fn prepare(view: &View<'_>, out: &mut Peering) -> Self {
        use crate::DialectName as Name;
        let mut ready: Vec<Ready> = Vec::new();
        for dialect in &view.options.dialects {
            let mut peering = Peering::default();
            let one = match dialect {
                Name::Native => Ready::Native(native::Native::prepare(view, &mut peering)),
                Name::Metallb => Ready::Metallb(metallb::Metallb::prepare(view, &mut peering)),
                Name::Calico => Ready::Calico(calico::Calico::prepare(view, &mut peering)),
                Name::KubeRouter => {
                    Ready::KubeRouter(kube_router::KubeRouter::prepare(view, &mut peering))
                }
            };
            ready.push(one);
            out.unite(*dialect, peering);
        }
        Self { ready }
    }

    /// All offers for an address of a service, each with its dialect.
    pub fn offers(
        &self,
        service: &Service,
        address: &ServiceAddress,
        mut each: impl FnMut(DialectName, Offer),
    ) {
        use crate::DialectName as Name;
        for one in &self.ready {
            match one {
                Ready::Native(dialect) => {
                    dialect.offer(service, address, &mut |offer| each(Name::Native, offer));
                }
                Ready::Metallb(dialect) => {
                    dialect.offer(service, address, &mut |offer| each(Name::Metallb, offer));
                }
                Ready::Calico(dialect) => {
                    dialect.offer(service, address, &mut |offer| each(Name::Calico, offer));
                }
                Ready::KubeRouter(dialect) => {
                    dialect.offer(service, address, &mut |offer| each(Name::KubeRouter, offer));
                }
            }
        }
    }

    /// The pools that objects define.
    pub(crate) fn list_pools(&self, pools: &mut Vec<crate::PoolListed>) {
        for one in &self.ready {
            if let Ready::Metallb(dialect) = one {
                dialect.list_pools(pools);
            }
        }
    }

    /// What is wrong with the annotations of a service.
    pub(crate) fn service_faults(&self, name: &ObjectName, service: &Service) -> Vec<Fault> {
        let native = self.ready.iter().any(|one| matches!(one, Ready::Native(_)));
        match native {
            true => native::service_faults(name, service),
            false => Vec::new(),
        }
    }
}
