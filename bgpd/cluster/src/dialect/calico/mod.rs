//! Calico's dialect: BGPConfiguration, BGPPeer, BGPFilter, IPPool, BlockAffinity, node annotations.
//!
//! What Calico's `confd` writes into BIRD's configuration is here said in our words, so that a node
//! of ours and a node with BIRD are the same to their neighbors: the same sessions (who dials,
//! ports, passwords, reflectors), the same routes with the same LOCAL_PREF, the same filters in the
//! same order. `docs/from-calico.md` lists what differs on purpose.
//!
//! Rooms: `objects` and `decode` (what is read), `selector` (which nodes), `gathered` (all objects,
//! by what rules ask for), `peers` (whom we speak with), `filter` and `policies` (what is told and
//! taken), `services` (ranges and addresses), `kernel` (blocks, tunnels, who writes which route).

mod decode;
mod decode_filter;
mod filter;
mod gathered;
mod kernel;
mod objects;
mod peers;
mod policies;
pub mod selector;
mod services;

use super::{Offer, Peering, ServiceAddress, View};
use crate::object::Service;
use crate::{OwnRanges, RouterWish};

pub use self::objects::{
    BgpConfiguration, BgpFilter, BgpPeer, BlockAffinity, CalicoNode, Encapsulation, FilterRule,
    HopMode, IpPool, Kind, Object, Operation, Operator, PrefixAdvertisement, Programs, SecretRef,
};

use self::gathered::Gathered;
use self::peers::Peers;
use self::services::Ranges;

/// The dialect, made ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calico {
    ranges: Ranges,
}

impl Calico {
    /// Reads the objects that are not services.
    pub fn prepare(view: &View<'_>, out: &mut Peering) -> Self {
        let all = Gathered::of(view);
        let ranges = Ranges::of(&all, view);
        let mut peers = Peers::of(&all);
        out.policies
            .extend(policies::assign(&all, &ranges, view.facts, &mut peers));
        out.networks.extend(ranges.networks());
        out.networks.extend(kernel::blocks(&all, view, &ranges));
        out.tunnels.extend(kernel::tunnels(&all, &ranges));
        out.router = router(&all);
        if is_closed(&all) {
            out.own_ranges = own_ranges(&all, &ranges);
        }
        out.neighbors.extend(peers.neighbors);
        out.others.extend(peers.others);
        out.static_routes.extend(peers.static_routes);
        out.faults.extend(peers.faults);
        out.faults.extend(kernel::faults(&all));
        out.faults.extend(all.faults);
        Self { ranges }
    }

    /// What it offers for an address of a service.
    pub fn offer(&self, service: &Service, address: &ServiceAddress, each: &mut dyn FnMut(Offer)) {
        each(self.ranges.offer(service, address));
    }
}

fn router(all: &Gathered<'_>) -> RouterWish {
    let addresses = (0..2).filter_map(|family| all.own_address(family));
    let v4 = all.own_address(0);
    RouterWish {
        // Calico's default AS counts where Calico is: before its objects are read, nobody said it.
        asn: all.is_known().then(|| all.own_asn()),
        router_id: v4.and_then(|address| match address {
            std::net::IpAddr::V4(address) => Some(address),
            std::net::IpAddr::V6(_) => None,
        }),
        cluster_id: all.own_cluster_id().and_then(gathered::cluster_id),
        listen_port: all.port(all.own_name),
        listen_addresses: match all.cluster().binds_node_ip {
            true => addresses.collect(),
            false => Vec::new(),
        },
        metric: Some(all.priority(0)),
    }
}

/// Whether all that is the cluster's comes over iBGP. Where racks have their own AS, or reflectors
/// stand outside, pods of other nodes come from eBGP neighbors and must be let in.
fn is_closed(all: &Gathered<'_>) -> bool {
    let own = all.own_asn();
    all.cluster().mesh.unwrap_or(true) && all.nodes.values().all(|node| all.asn(node) == own)
}

fn own_ranges(all: &Gathered<'_>, ranges: &Ranges) -> OwnRanges {
    let pools = all.pools.iter().filter(|pool| !pool.is_for_services);
    OwnRanges {
        pods: pools.map(|pool| pool.cidr).collect(),
        services: ranges.cluster().to_vec(),
        load_balancers: ranges.reflected().collect(),
    }
}
