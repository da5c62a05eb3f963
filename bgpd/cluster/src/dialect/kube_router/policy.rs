//! The policies that kube-router programs into its GoBGP, in our words.
//!
//! Export: to other nodes our pod CIDR alone; to routers outside what starts here (the pod CIDR
//! under `--advertise-pod-cidr`), with the node's communities, prepends and next hop. Import:
//! everything but addresses of services, the default route and what the node's annotation names.
//! A reflector passes on what it learned, too.
//!
//! kube-router lists every address of every service in its import policy and replaces the policy
//! with each service; here the ranges that services live in do the same once.

use ipnet::IpNet;
use rib::policy::{MatchDef, NextHopAction, PolicyDef, PrefixMatch, RuleDef, SetDef, Then};

use super::flags::Flags;
use crate::OwnRanges;

/// To other nodes.
pub(super) const EXPORT_INTERNAL: &str = "kube-router:export:internal";
/// To routers outside.
pub(super) const EXPORT_EXTERNAL: &str = "kube-router:export:external";
/// From everybody.
pub(super) const IMPORT: &str = "kube-router:import";
/// What policies know the pod CIDRs by.
pub(super) const POD_CIDR: &str = "pod-cidr";

/// What the node's annotations add to routes that leave the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outbound {
    pub(super) communities: Vec<String>,
    pub(super) prepend: Option<(u32, u8)>,
}

/// To other nodes; a reflector passes on what others told it.
pub(super) fn internal(is_reflector: bool) -> PolicyDef {
    let mut rules = vec![accept(from_here(&[POD_CIDR]), SetDef::default())];
    if is_reflector {
        rules.push(reject(from_here(&["*"])));
        rules.push(accept(MatchDef::default(), SetDef::default()));
    }
    named(EXPORT_INTERNAL, rules)
}

/// To routers outside.
pub(super) fn external(flags: &Flags, outbound: &Outbound, is_reflector: bool) -> PolicyDef {
    let set = SetDef {
        community_add: outbound.communities.clone(),
        prepend_path: prepended(outbound.prepend),
        next_hop: flags.override_nexthop.then_some(NextHopAction::SelfAddr),
        ..SetDef::default()
    };
    let mut rules = Vec::new();
    if !flags.advertise_pod_cidr {
        rules.push(reject(from_here(&[POD_CIDR])));
    }
    rules.push(accept(from_here(&["*"]), set.clone()));
    if is_reflector {
        rules.push(accept(MatchDef::default(), set));
    }
    named(EXPORT_EXTERNAL, rules)
}

/// From everybody.
pub(super) fn import(own: &OwnRanges, rejected: &[IpNet]) -> PolicyDef {
    let exact = |net: &str| net.parse::<IpNet>().ok().map(|net| only(net, false));
    let mut prefix: Vec<PrefixMatch> = ["0.0.0.0/0", "::/0"]
        .into_iter()
        .filter_map(exact)
        .collect();
    let below = [&own.services, &own.load_balancers].into_iter().flatten();
    // The widest range stands for "any external address" and must not refuse all routes.
    let below = below.filter(|range| range.prefix_len() > 0);
    prefix.extend(below.chain(rejected).map(|range| only(*range, true)));
    let matches = MatchDef {
        prefix,
        ..MatchDef::default()
    };
    let rules = vec![
        reject(matches),
        accept(MatchDef::default(), SetDef::default()),
    ];
    named(IMPORT, rules)
}

/// The prefix, or also everything in it.
fn only(net: IpNet, longer: bool) -> PrefixMatch {
    PrefixMatch {
        net,
        ge: None,
        le: longer.then_some(net.max_prefix_len()),
    }
}

fn prepended(prepend: Option<(u32, u8)>) -> Vec<u32> {
    prepend.map_or_else(Vec::new, |(asn, count)| vec![asn; count.into()])
}

fn from_here(sources: &[&str]) -> MatchDef {
    MatchDef {
        origin_source: sources.iter().map(|&source| source.to_owned()).collect(),
        ..MatchDef::default()
    }
}

fn accept(matches: MatchDef, set: SetDef) -> RuleDef {
    RuleDef {
        matches,
        set,
        then: Then::Accept,
    }
}

fn reject(matches: MatchDef) -> RuleDef {
    RuleDef {
        matches,
        set: SetDef::default(),
        then: Then::Reject,
    }
}

fn named(name: &str, rules: Vec<RuleDef>) -> PolicyDef {
    PolicyDef {
        name: name.to_owned(),
        rules,
    }
}
