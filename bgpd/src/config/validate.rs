//! What is wrong with a file as a whole: names, references, contradictions.
//!
//! Each check sees the raw sections, because a fault points at a place; none of them stops at
//! the first finding. Everything is looked up in ordered sets, so a file of ten thousand
//! neighbors costs a sort and not a product. `overlap` has the checks of what must not overlap.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Range;

use ctl::config::{At, Sink, did_you_mean};
use ipnet::IpNet;
use rib::policy::NextHopAction;

use super::host::Host;
use super::model::AsnRule;
use super::overlap::{check_advertised_twice, check_pools, check_ranges};
use super::policy::{RawPolicy, RawRule};
use super::raw::{Raw, RawKernel, RawMarks, RawNeighbor, RawRouter};
use super::resolve::THREADS_MAX;

/// Every check that concerns more than one value.
pub(super) fn validate(raw: &Raw, host: &Host, sink: &Sink) {
    match &raw.router {
        Some(router) => {
            // A cluster may say it: then the start waits for it.
            if !router.asn_written && raw.kubernetes.is_none() {
                let cure = "write asn = 64512, with your AS number";
                sink.error(&router.span, "`router` has no `asn`", cure);
            }
            check_router(router, host, sink);
        }
        None => sink.error(
            &(0..0),
            "there is no `[router]`",
            "begin with [router] and, under it, asn = 64512 with your AS number",
        ),
    }
    if let Some(kernel) = &raw.kernel {
        check_kernel(kernel, sink);
    }
    unique(
        sink,
        "policy",
        raw.policies
            .iter()
            .map(|policy| &policy.name)
            .filter(|name| !name.value.is_empty()),
    );
    unique(
        sink,
        "peer-group",
        raw.groups.iter().map(|group| &group.name),
    );
    unique(sink, "pool", raw.pools.iter().map(|pool| &pool.name));
    for neighbor in &raw.neighbors {
        check_neighbor(neighbor, sink);
    }
    check_duplicates(raw, sink);
    check_links(raw, sink);
    check_groups(raw, sink);
    check_ranges(raw, sink);
    check_mesh(raw, host, sink);
    check_pools(&raw.pools, sink);
    check_advertised_twice(raw, sink);
    let peers = Peers::of(raw);
    check_rules(raw, &peers, sink);
    check_next_hop_self(raw, sink);
    let marks = raw.advertise.iter().map(|block| &block.marks);
    for marks in marks.chain(raw.pools.iter().map(|pool| &pool.marks)) {
        check_marks(marks, &peers, sink);
    }
    check_threads(raw, sink);
    check_built(raw, sink);
}

fn check_router(router: &RawRouter, host: &Host, sink: &Sink) {
    for at in [&router.router_id, &router.cluster_id]
        .into_iter()
        .flatten()
    {
        if at.value.is_unspecified() {
            let cure = "write any other IPv4 address, unique in your AS";
            sink.error(&at.span, "0.0.0.0 identifies nobody (RFC 6286)", cure);
        }
    }
    if router.router_id.is_none() && host.default_router_id().is_none() {
        let message = "no `router-id`, and this machine has no IPv4 address to take it from";
        let span = router.asn.as_ref().map_or(0..0, |at| at.span.clone());
        sink.error(
            &span,
            message,
            "write router-id = \"10.0.0.11\" under [router]",
        );
    }
    let mut seen = BTreeSet::new();
    for at in router.listen.iter().flat_map(|list| &list.value) {
        // Port 0 is "any free port" and may be asked for more than once.
        if at.value.port() != 0 && !seen.insert(at.value) {
            sink.error(
                &at.span,
                format!("{} is listed twice", at.value),
                "remove one of them",
            );
        }
    }
}

fn check_kernel(kernel: &RawKernel, sink: &Sink) {
    if let Some(at) = kernel
        .table
        .as_ref()
        .filter(|at| matches!(at.value, 0 | 255))
    {
        let message = format!("table {} belongs to the kernel", at.value);
        sink.error(&at.span, message, "write 254 (main) or a table of your own");
    }
    if let Some(at) = kernel.multipath.as_ref().filter(|at| at.value == 0) {
        sink.error(&at.span, "`multipath` is 0", "write 1 for no ECMP");
    }
    // Everything with our protocol number is taken for ours, also by `wayfare cleanup`.
    if let Some(at) = kernel.protocol.as_ref().filter(|at| at.value <= 4) {
        let message = format!(
            "protocol {} marks routes of the kernel or of `ip route`",
            at.value
        );
        sink.error(
            &at.span,
            message,
            "write 186 (bgp) or another number from 5 to 255",
        );
    }
}

fn unique<'r>(sink: &Sink, what: &str, names: impl Iterator<Item = &'r At<String>>) {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name.value.as_str()) {
            let message = format!("there are two of {what} `{}`", name.value);
            sink.error(&name.span, message, "rename or remove one of them");
        }
    }
}

fn check_neighbor(neighbor: &RawNeighbor, sink: &Sink) {
    let Some(at) = &neighbor.address else {
        if neighbor.anonymous {
            let message = "neighbor without `address`";
            sink.error(
                &neighbor.header.span,
                message,
                "write address = \"10.0.0.1\"",
            );
        }
        return;
    };
    let link_local = matches!(at.value, IpAddr::V6(v6) if v6.is_unicast_link_local());
    if at.value.is_unspecified() || at.value.is_multicast() {
        sink.error(
            &at.span,
            format!("{} is no neighbor's address", at.value),
            "write its address",
        );
    } else if link_local && neighbor.interface.is_none() {
        let message = "a link-local address says nothing without its interface";
        sink.error(&at.span, message, "add interface = \"eth0\"");
    } else if let Some(interface) = neighbor.interface.as_ref().filter(|_| !link_local) {
        let message = "`interface` is for a link-local address or instead of `address`";
        sink.error(&interface.span, message, "remove `interface` or `address`");
    }
}

fn check_duplicates(raw: &Raw, sink: &Sink) {
    let mut seen = BTreeSet::new();
    for neighbor in &raw.neighbors {
        let address = neighbor.address.as_ref().map(|at| at.value);
        let interface = neighbor.interface.as_ref().map(|at| at.value.as_str());
        if !seen.insert((address, interface)) && (address.is_some() || interface.is_some()) {
            let place = neighbor.address.as_ref().map(|at| &at.span);
            let place = place.or(neighbor.interface.as_ref().map(|at| &at.span));
            let name = address
                .map(|a| a.to_string())
                .or(interface.map(str::to_owned));
            let message = format!("neighbor {} is listed twice", name.unwrap_or_default());
            let span = place.unwrap_or(&neighbor.header.span);
            sink.error(span, message, "merge the two blocks into one");
        }
    }
}

/// The same link-local address can be in use on every link, but a neighbor is found by its address.
fn check_links(raw: &Raw, sink: &Sink) {
    let mut seen = BTreeMap::new();
    for neighbor in &raw.neighbors {
        let (Some(address), Some(interface)) = (&neighbor.address, &neighbor.interface) else {
            continue;
        };
        let first = *seen.entry(address.value).or_insert(&interface.value);
        if *first != interface.value {
            let message = format!("{} is a neighbor on {first} already", address.value);
            let cure = "give one of the two another link-local address";
            sink.error(&address.span, message, cure);
        }
    }
}

fn check_groups(raw: &Raw, sink: &Sink) {
    let known: BTreeSet<&str> = raw.groups.iter().map(|g| g.name.value.as_str()).collect();
    let used = raw.neighbors.iter().map(|neighbor| &neighbor.peer_group);
    let used = used.chain(raw.ranges.iter().map(|range| &range.peer_group));
    let used = used.chain(raw.mesh.iter().map(|mesh| &mesh.peer_group));
    let used = used.chain(raw.kubernetes.iter().map(|table| &table.peer_group));
    for at in used.flatten() {
        unknown(&at.value, &at.span, ("peer-group", &known), sink);
    }
}

/// Reports `word` unless it is one of `known`.
fn unknown(word: &str, span: &Range<usize>, (what, known): (&str, &BTreeSet<&str>), sink: &Sink) {
    if known.contains(word) {
        return;
    }
    let cure = did_you_mean(word, known.iter().copied(), || match known.len() {
        0 => format!("add [[{what}]] with name = \"{word}\""),
        _ => format!(
            "known: {}",
            known.iter().copied().collect::<Vec<_>>().join(", ")
        ),
    });
    sink.error(span, format!("there is no {what} `{word}`"), &cure);
}

fn check_mesh(raw: &Raw, host: &Host, sink: &Sink) {
    let Some(mesh) = &raw.mesh else { return };
    let mut seen = BTreeSet::new();
    for member in &mesh.members.value {
        if !seen.insert(member.value) {
            let message = format!("{} is listed twice", member.value);
            sink.error(&member.span, message, "remove one of them");
        }
        if member.value.is_unspecified() || member.value.is_multicast() {
            let message = format!("{} is no node's address", member.value);
            sink.error(&member.span, message, "write the node's address");
        }
    }
    let own = mesh
        .members
        .value
        .iter()
        .any(|member| host.owns(member.value));
    if !own && !host.addresses.is_empty() {
        let message = "none of the members is an address of this machine";
        let cure = "add this node's address; until then it speaks to all members";
        sink.warning(&mesh.members.span, message, cure);
    }
    let group = mesh.peer_group.as_ref().map(|at| &at.value);
    let group = raw.groups.iter().find(|g| Some(&g.name.value) == group);
    if let Some(asn) = group.and_then(|group| group.settings.asn.as_ref()) {
        let own = raw.router.as_ref().and_then(|router| router.asn.as_ref());
        let inside = match asn.value {
            AsnRule::Internal => true,
            AsnRule::External => false,
            AsnRule::Exact(asn) => own.is_none_or(|own| own.value.0 == asn),
        };
        if !inside {
            let message = "the mesh is iBGP, but its peer-group has another AS";
            sink.error(&asn.span, message, "write asn = \"internal\"");
        }
    }
}

fn check_rules(raw: &Raw, peers: &Peers, sink: &Sink) {
    let groups: BTreeSet<&str> = raw.groups.iter().map(|g| g.name.value.as_str()).collect();
    let pools: Vec<String> = raw
        .pools
        .iter()
        .map(|p| format!("pool:{}", p.name.value))
        .collect();
    let mut sources: BTreeSet<&str> = pools.iter().map(String::as_str).collect();
    sources.extend([
        "pod-cidr",
        "cluster-ip",
        "external-ip",
        "load-balancer-ip",
        "network",
        "*",
    ]);
    for rule in raw.policies.iter().flat_map(|policy| &policy.rules) {
        for at in &rule.origin_sources {
            unknown(&at.value, &at.span, ("source", &sources), sink);
        }
        check_rule_neighbors(rule, &groups, peers, sink);
        if let Some(at) = &rule.rpki {
            let message = "`rpki` is not built in this version: every route is \"not-found\"";
            sink.warning(
                &at.span,
                message,
                "a rule for \"valid\" or \"invalid\" never applies",
            );
        }
    }
}

/// `next-hop = "self"` is about what we announce; where it is only imported by, it does nothing.
fn check_next_hop_self(raw: &Raw, sink: &Sink) {
    let settings = raw.neighbors.iter().map(|neighbor| &neighbor.settings);
    let settings = settings.chain(raw.groups.iter().map(|group| &group.settings));
    let settings = settings.chain(raw.ranges.iter().map(|range| &range.settings));
    let (mut imports, mut exports) = (BTreeSet::new(), BTreeSet::new());
    for one in settings {
        imports.extend(one.import.iter().map(|at| at.value.as_str()));
        exports.extend(one.export.iter().map(|at| at.value.as_str()));
    }
    for RawPolicy { name, rules } in &raw.policies {
        let sets_self = |rule: &RawRule| rule.def.set.next_hop == Some(NextHopAction::SelfAddr);
        let import_only =
            imports.contains(name.value.as_str()) && !exports.contains(name.value.as_str());
        if import_only && rules.iter().any(sets_self) {
            let message = format!(
                "policy `{}` sets next-hop \"self\", which import leaves alone",
                name.value
            );
            let cure = "write it in an export policy, or next-hop-self = true at the neighbor";
            sink.warning(&name.span, message, cure);
        }
    }
}

fn check_rule_neighbors(rule: &RawRule, groups: &BTreeSet<&str>, peers: &Peers, sink: &Sink) {
    for at in &rule.neighbors {
        match at.value.parse::<IpAddr>() {
            Ok(addr) if peers.covers(addr) => {}
            Ok(addr) => {
                let message = format!("{addr} is no neighbor of this file");
                sink.warning(
                    &at.span,
                    message,
                    "the rule never applies; check the address",
                );
            }
            Err(_) => unknown(
                &at.value,
                &at.span,
                ("neighbor or peer-group", groups),
                sink,
            ),
        }
    }
}

fn check_marks(marks: &RawMarks, peers: &Peers, sink: &Sink) {
    for at in marks.neighbors.iter().flat_map(|list| &list.value) {
        if !peers.covers(at.value) {
            let message = format!("{} is no neighbor of this file", at.value);
            let cure = "add a [[neighbor]] with this address, or remove it here";
            sink.error(&at.span, message, cure);
        }
    }
}

/// Who can be a neighbor at all.
struct Peers {
    addresses: BTreeSet<IpAddr>,
    ranges: BTreeMap<u8, BTreeSet<IpNet>>,
}

impl Peers {
    fn of(raw: &Raw) -> Self {
        let listed = raw
            .neighbors
            .iter()
            .filter_map(|neighbor| neighbor.address.as_ref());
        let mesh = raw.mesh.iter().flat_map(|mesh| &mesh.members.value);
        let mut ranges = BTreeMap::<u8, BTreeSet<IpNet>>::new();
        for range in &raw.ranges {
            let net = range.prefix.value;
            ranges.entry(net.prefix_len()).or_default().insert(net);
        }
        Self {
            addresses: listed.chain(mesh).map(|at| at.value).collect(),
            ranges,
        }
    }

    fn covers(&self, addr: IpAddr) -> bool {
        let within = |(length, nets): (&u8, &BTreeSet<IpNet>)| {
            IpNet::new(addr, *length).is_ok_and(|net| nets.contains(&net.trunc()))
        };
        self.addresses.contains(&addr) || self.ranges.iter().any(within)
    }
}

fn check_threads(raw: &Raw, sink: &Sink) {
    let Some(at) = raw.threads.as_ref() else {
        return;
    };
    if at.value == 0 {
        sink.error(&at.span, "`threads` is 0", "write 1 or more");
    } else if at.value > THREADS_MAX {
        let message = format!("`threads` is {}", at.value);
        sink.error(&at.span, &message, &format!("write {THREADS_MAX} or less"));
    }
}

/// Names what this version accepts but does not do.
fn check_built(raw: &Raw, sink: &Sink) {
    for neighbor in raw
        .neighbors
        .iter()
        .filter(|neighbor| neighbor.address.is_none())
    {
        if let Some(at) = &neighbor.interface {
            let message = "a neighbor by `interface` alone is not built in this version: it stays \
                           idle";
            sink.warning(
                &at.span,
                message,
                "add its link-local address = \"fe80::...\"",
            );
        }
    }
}
