//! kube-router's dialect: its flags and its annotations of nodes and services.
//!
//! It has no objects of its own; the flags are given in `[kubernetes]` or by `wayfare convert`
//! from the manifest of its DaemonSet. `flags` reads the command line, `annotations` and `peers`
//! what a node says, `policy` has the filters that kube-router programs.
//!
//! What differs from kube-router, on purpose: annotations count as soon as they are seen, not after
//! a restart; a node with an unreadable annotation goes on with the rest; two nodes that cannot
//! peer (a client and one that is no reflector) do not try; a service's endpoints count by
//! kube-proxy's rule (in front of the dialect) and not by their place alone.

mod annotations;
mod flags;
mod node;
mod peers;
mod policy;
mod rows;
mod secret;
mod values;

#[cfg(test)]
mod tests;

use ipnet::IpNet;

use super::{AddressKind, Offer, Peering, ServiceAddress, View};
use crate::Marks;
use crate::object::Service;

pub use flags::{Flags, PeerFlag, Reading, RouterId, Verdict};

use secret::password;

/// The dialect, made ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KubeRouter {
    flags: Flags,
}

impl KubeRouter {
    /// Reads the objects that are not services.
    pub fn prepare(view: &View<'_>, out: &mut Peering) -> Self {
        let flags = view.options.kube_router.clone();
        if flags.run_router {
            node::prepare(view, &flags, out);
        }
        Self { flags }
    }

    /// What it offers for an address of a service.
    pub fn offer(&self, service: &Service, address: &ServiceAddress, each: &mut dyn FnMut(Offer)) {
        each(match self.declined(service, address) {
            Ok(because) => Offer::Announce {
                prefix: IpNet::from(address.address),
                source: source(address.kind).into(),
                marks: Marks::default(),
                neighbors: None,
                because: because.into(),
            },
            Err(why) => Offer::Decline(why.into()),
        });
    }

    /// What asks for the address, or why it stays.
    fn declined(&self, service: &Service, address: &ServiceAddress) -> Result<String, String> {
        let flags = &self.flags;
        if !flags.run_router {
            return Err("--run-router=false".to_owned());
        }
        let (flag, annotation, is_on) = match address.kind {
            AddressKind::Cluster => (
                "--advertise-cluster-ip",
                "service.advertise.clusterip",
                flags.advertise_cluster_ip,
            ),
            AddressKind::External => (
                "--advertise-external-ip",
                "service.advertise.externalip",
                flags.advertise_external_ip,
            ),
            AddressKind::LoadBalancer => (
                "--advertise-loadbalancer-ip",
                "service.advertise.loadbalancerip",
                flags.advertise_loadbalancer_ip,
            ),
        };
        let said = annotations::flag(&service.meta, annotation);
        let because = match said {
            Some(true) => format!("annotation kube-router.io/{annotation}"),
            Some(false) => return Err(format!("kube-router.io/{annotation} is not true")),
            None if is_on => format!("flag {flag}"),
            None => return Err(format!("neither {flag} nor kube-router.io/{annotation}")),
        };
        let skips = annotations::of(&service.meta, "service.skiplbips").is_some();
        if skips && address.kind == AddressKind::LoadBalancer {
            return Err("kube-router.io/service.skiplbips (deprecated) is there".to_owned());
        }
        self.outside(address).map_or(Ok(because), Err)
    }

    /// Why the address is in no range of its kind.
    fn outside(&self, address: &ServiceAddress) -> Option<String> {
        let flags = &self.flags;
        let (ranges, is_strict, flag) = match address.kind {
            AddressKind::Cluster => return None,
            AddressKind::External => (flags.external_ranges(), true, "--service-external-ip-range"),
            AddressKind::LoadBalancer => (
                flags.load_balancer_ranges.clone(),
                flags.strict == Some(true),
                "--loadbalancer-ip-range",
            ),
        };
        let is_inside = ranges.iter().any(|range| range.contains(&address.address));
        let is_checked = flags.strict != Some(false) && (is_strict || !ranges.is_empty());
        (is_checked && !is_inside).then(|| match ranges.is_empty() {
            true => format!("no {flag} (--strict-external-ip-validation)"),
            false => format!("outside {flag}"),
        })
    }
}

/// What policies know the address by.
fn source(kind: AddressKind) -> &'static str {
    match kind {
        AddressKind::Cluster => "cluster-ip",
        AddressKind::External => "external-ip",
        AddressKind::LoadBalancer => "load-balancer-ip",
    }
}
