//! Nodes: annotations, the mesh, reflectors, routers outside, policies.

use std::net::IpAddr;

use super::super::flags::Flags;
use crate::dialect::{Dialects, Peering, View};
use crate::object::{Node, NodeAddress, Object};
use crate::{
    Change, DialectName, Facts, Link, NeighborRole, Options, Severity, Snapshot, TunnelMode,
};

/// A node of this name and address with these annotations.
fn node(name: &str, address: &str, annotations: &[(&str, &str)]) -> Node {
    let mut node = Node::default();
    node.meta.name = name.into();
    for (key, value) in annotations {
        let key = format!("kube-router.io/{key}");
        node.meta.annotations.insert(key.into(), (*value).into());
    }
    node.addresses.push(NodeAddress {
        kind: "InternalIP".into(),
        address: address.parse().expect("an address"),
    });
    node.pod_cidrs
        .push("10.244.1.0/24".parse().expect("a range"));
    node
}

/// What the first of the nodes wants.
fn prepared(flags: &str, nodes: &[Node]) -> Peering {
    let words: Vec<&str> = flags.split_whitespace().collect();
    let (flags, readings) = Flags::parse(&words);
    assert!(!format!("{readings:?}").contains("Refused"), "{readings:?}");
    let mut options = Options::new(&nodes[0].meta.name);
    options.dialects = vec![DialectName::KubeRouter];
    options.kube_router = flags;
    let mut snapshot = Snapshot::default();
    for node in nodes {
        let object = Object::Node(node.clone());
        snapshot.apply(Change::Put(object.key(), Ok(object)));
    }
    let link = |name: &str, subnet: &str| Link {
        name: name.into(),
        subnets: vec![subnet.parse().expect("a subnet")],
    };
    let facts = Facts {
        links: vec![link("eth0", "10.0.0.0/24"), link("eth1", "10.7.0.0/24")],
        ..Facts::default()
    };
    let view = View {
        snapshot: &snapshot,
        options: &options,
        facts: &facts,
        node: Some(&nodes[0]),
    };
    let mut out = Peering::default();
    let _dialects = Dialects::prepare(&view, &mut out);
    out
}

fn addresses(out: &Peering) -> Vec<String> {
    out.neighbors
        .iter()
        .map(|one| one.address.to_string())
        .collect()
}

fn faults(out: &Peering) -> Vec<String> {
    out.faults
        .iter()
        .map(|one| format!("{}: {}", one.path, one.text))
        .collect()
}

fn policy<'a>(out: &'a Peering, name: &str) -> &'a rib::policy::PolicyDef {
    let mut all = out.policies.iter();
    all.find(|policy| policy.name == name).expect(name)
}

#[test]
fn nodes_mesh_in_one_as() {
    let nodes = [
        node("a", "10.0.0.1", &[]),
        node("b", "10.0.0.2", &[("node.asn", "65009")]),
        node("c", "fd00::3", &[]),
    ];
    let out = prepared(
        "--cluster-asn=65001 --bgp-graceful-restart --bgp-port=1179",
        &nodes,
    );
    assert_eq!(
        addresses(&out),
        ["10.0.0.2"],
        "of our family, whatever its annotation"
    );
    let one = &out.neighbors[0];
    assert_eq!(one.asn, crate::PeerAsn::Exact(65001));
    assert_eq!(one.role, NeighborRole::Mesh);
    assert_eq!(one.port, Some(1179));
    assert_eq!(one.local_address, Some(IpAddr::from([10, 0, 0, 1])));
    assert_eq!(one.families, Some([true, false]));
    assert!(one.graceful_restart.is_some());
    assert_eq!(out.router.asn, Some(65001));
    assert_eq!(out.router.router_id, Some([10, 0, 0, 1].into()));
    assert_eq!(out.router.listen_port, Some(1179));
    assert_eq!(out.networks.len(), 1);
    assert!(addresses(&prepared("--enable-ibgp=false", &nodes)).is_empty());
    assert!(prepared("--run-router=false", &nodes).networks.is_empty());
}

#[test]
fn without_the_full_mesh_only_an_equal_as_peers() {
    let nodes = [
        node("a", "10.0.0.1", &[("node.asn", "65001")]),
        node("b", "10.0.0.2", &[("node.asn", "65001")]),
        node("c", "10.0.0.3", &[("node.asn", "65002")]),
        node("d", "10.0.0.4", &[]),
        node("e", "10.0.0.5", &[("node.asn", "x")]),
    ];
    assert_eq!(
        addresses(&prepared("--nodes-full-mesh=false", &nodes)),
        ["10.0.0.2"]
    );
    let own_is = |annotations: &[(&str, &str)]| {
        prepared(
            "--nodes-full-mesh=false",
            &[node("a", "10.0.0.1", annotations)],
        )
    };
    assert!(faults(&own_is(&[]))[0].contains("node.asn"));
    assert!(faults(&own_is(&[("node.asn", "0")]))[0].contains("reserved"));
}

#[test]
fn clients_speak_to_reflectors_alone() {
    let nodes = |own: &[(&str, &str)]| {
        [
            node("a", "10.0.0.1", own),
            node("b", "10.0.0.2", &[("rr.server", "42")]),
            node("c", "10.0.0.3", &[("rr.client", "42")]),
            node("d", "10.0.0.4", &[]),
        ]
    };
    use NeighborRole::{Client, Mesh, Reflector};
    for (own, wanted) in [
        (vec![], vec![("10.0.0.2", Mesh), ("10.0.0.4", Mesh)]),
        (vec![("rr.client", "42")], vec![("10.0.0.2", Reflector)]),
        (
            vec![("rr.server", "0.0.0.42")],
            vec![("10.0.0.2", Mesh), ("10.0.0.3", Client), ("10.0.0.4", Mesh)],
        ),
    ] {
        let out = prepared("", &nodes(&own));
        let roles: Vec<(String, NeighborRole)> = out
            .neighbors
            .iter()
            .map(|one| (one.address.to_string(), one.role))
            .collect();
        let wanted: Vec<(String, NeighborRole)> = wanted
            .iter()
            .map(|(ip, role)| ((*ip).to_owned(), *role))
            .collect();
        assert_eq!(roles, wanted, "{own:?}");
        let reflects = out
            .neighbors
            .iter()
            .filter(|one| one.route_reflector_client);
        assert!(reflects.into_iter().all(|one| one.role == Client));
        // Sessions with them may have to go on for a while.
        let others = out.others.iter().map(|one| one.address.to_string());
        let all = addresses(&out).len() + others.len();
        assert_eq!(all, 3, "{own:?}: {others:?}");
        if own.first().is_some_and(|(name, _)| *name == "rr.server") {
            assert_eq!(out.router.cluster_id, Some([0, 0, 0, 42].into()));
            let rules = &policy(&out, "kube-router:export:internal").rules;
            assert_eq!(rules.len(), 3, "a reflector passes on what it learned");
        }
    }
    let out = prepared("", &nodes(&[("rr.client", "x")]));
    assert!(faults(&out)[0].contains("no cluster identifier"));
}

#[test]
fn routers_outside_are_of_the_flags_or_else_of_the_node() {
    let annotated = node(
        "a",
        "10.0.0.1",
        &[
            (
                "peers",
                "- remoteip: 192.0.2.1\n  remoteasn: 65000\n  port: 1179\n  localip: 10.0.0.9\n  \
                   password: U2VjcmV0\n  bfd:\n    enabled: true\n    detection_multiplier: 2\n\
                   - remoteip: 192.0.2.2\n  remoteasn: '65000'\n\
                   - remoteip: 192.0.2.3\n\
                   - remoteip: 192.0.2.4\n  remoteasn: 65000\n  password: \"%\"\n",
            ),
            ("peer.ips", "192.0.2.9"),
            ("peer.asns", "65000"),
        ],
    );
    let out = prepared(
        "--override-nexthop --peer-router-multihop-ttl=3",
        std::slice::from_ref(&annotated),
    );
    assert_eq!(addresses(&out), ["192.0.2.1", "192.0.2.2", "192.0.2.4"]);
    let first = &out.neighbors[0];
    assert_eq!(first.port, Some(1179));
    assert_eq!(first.local_address, Some(IpAddr::from([10, 0, 0, 9])));
    assert_eq!(first.bfd.map(|bfd| bfd.2), Some(2));
    assert_eq!(first.ebgp_multihop, Some(3));
    assert_eq!(first.next_hop, crate::NextHopMode::SelfAddr);
    assert!(first.password.is_some() && !first.password_missing);
    assert!(out.neighbors[2].password_missing, "fails closed");
    let told = faults(&out);
    assert!(
        told[0].contains("entry 2: remoteasn is missing"),
        "{told:?}"
    );
    assert!(
        told[1].contains("entry 3") && !told[1].contains('%'),
        "{told:?}"
    );

    let flags = "--peer-router-ips=198.51.100.1 --peer-router-asns=65000 --enable-bfd";
    let out = prepared(flags, &[annotated]);
    assert_eq!(addresses(&out), ["198.51.100.1"]);
    assert!(out.neighbors[0].bfd.is_some());
    assert_eq!(&*out.neighbors[0].object, "flag --peer-router-ips");
}

#[test]
fn the_deprecated_lists() {
    let out = |more: &[(&str, &str)]| {
        let mut all = vec![
            ("peer.ips", "192.0.2.1, 192.0.2.2"),
            ("peer.asns", "65000,65001"),
        ];
        all.extend_from_slice(more);
        prepared("", &[node("a", "10.0.0.1", &all)])
    };
    let good = out(&[
        ("peer.ports", "179,1179"),
        ("peer.passwords", "U2VjcmV0,"),
        ("peer.localips", ",10.0.0.9"),
    ]);
    assert_eq!(addresses(&good), ["192.0.2.1", "192.0.2.2"]);
    assert!(good.neighbors[0].password.is_some() && good.neighbors[1].password.is_none());
    assert_eq!(good.neighbors[1].port, Some(1179));
    assert_eq!(
        good.neighbors[1].local_address,
        Some(IpAddr::from([10, 0, 0, 9]))
    );
    for (name, value) in [
        ("peer.asns", "65000"),
        ("peer.asns", "x,65000"),
        ("peer.ips", "y,192.0.2.2"),
        ("peer.ports", "1"),
        ("peer.passwords", "U2VjcmV0"),
    ] {
        let bad = out(&[(name, value)]);
        assert!(bad.neighbors.is_empty(), "{name}={value}");
        assert_eq!(bad.faults.len(), 1, "{name}={value}");
    }
    let bad = out(&[("peer.passwords", "%,")]);
    assert!(bad.neighbors[0].password_missing);
    assert!(!bad.neighbors[1].password_missing);
}

#[test]
fn what_leaves_and_what_comes_in() {
    let own = [
        ("node.bgp.communities", "65000:100,no-export,4294967042,x"),
        ("path-prepend.as", "64512"),
        ("path-prepend.repeat-n", "5"),
        (
            "node.bgp.customimportreject",
            "10.9.0.0/16, bad, 192.168.1.0/24",
        ),
        ("bgp-local-addresses", "10.0.0.1,10.0.0.9"),
        ("pod-cidrs", "10.245.0.0/24,fd00:245::/64"),
    ];
    let flags = "--service-cluster-ip-range=10.96.0.0/12 --loadbalancer-ip-range=192.0.2.0/24 \
                 --enable-ipv6";
    let out = prepared(flags, &[node("a", "10.0.0.1", &own)]);
    assert_eq!(out.router.listen_addresses.len(), 2);
    let prefixes: Vec<String> = out
        .networks
        .iter()
        .map(|it| it.prefix.to_string())
        .collect();
    assert_eq!(prefixes, ["10.245.0.0/24", "fd00:245::/64"]);
    let rule = &policy(&out, "kube-router:export:external").rules[0];
    assert_eq!(
        rule.set.community_add,
        ["65000:100", "65535:65281", "65535:65282"]
    );
    assert_eq!(rule.set.prepend_path, [64512; 5]);
    let import = &policy(&out, "kube-router:import").rules[0];
    let refused: Vec<String> = import
        .matches
        .prefix
        .iter()
        .map(|it| it.net.to_string())
        .collect();
    assert_eq!(
        refused,
        [
            "0.0.0.0/0",
            "::/0",
            "10.96.0.0/12",
            "192.0.2.0/24",
            "10.9.0.0/16",
            "192.168.1.0/24"
        ]
    );
    assert_eq!(import.matches.prefix[0].le, None, "the default route alone");
    let told = faults(&out);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(out.faults.iter().all(|it| it.severity == Severity::Error));

    let out = prepared("--advertise-pod-cidr=false", &[node("a", "10.0.0.1", &[])]);
    let rules = &policy(&out, "kube-router:export:external").rules;
    assert_eq!(rules[0].matches.origin_source, ["pod-cidr"]);
    assert_eq!(rules[0].then, rib::policy::Then::Reject);
    let rules = &policy(&out, "kube-router:export:internal").rules;
    assert_eq!(
        rules.len(),
        1,
        "nodes are told the pod CIDR and nothing else"
    );
}

#[test]
fn each_broken_annotation_is_a_fault_of_its_own() {
    for (annotations, text) in [
        (vec![("path-prepend.as", "1")], "path-prepend.repeat-n"),
        (
            vec![("path-prepend.as", "x"), ("path-prepend.repeat-n", "1")],
            "not an AS",
        ),
        (
            vec![("path-prepend.as", "1"), ("path-prepend.repeat-n", "999")],
            "0 to 255",
        ),
        (
            vec![("bgp-local-addresses", "x")],
            "all addresses are listened on",
        ),
        (vec![("pod-cidr", "x")], "the node's own podCIDRs count"),
        (vec![("peers", "remoteip: 192.0.2.1")], "not a list in YAML"),
        (
            vec![("peers", "- remoteip: fd00::1\n  remoteasn: 1")],
            "of the other family",
        ),
        (
            vec![(
                "peers",
                "- remoteip: 192.0.2.1\n  remoteasn: 1\n  pasword: x",
            )],
            "`pasword`",
        ),
    ] {
        let out = prepared("", &[node("a", "10.0.0.1", &annotations)]);
        let told = faults(&out);
        assert!(
            told.len() == 1 && told[0].contains(text),
            "{annotations:?}: {told:?}"
        );
        assert_eq!(out.networks.len(), 1, "the rest goes on");
    }
    let mut lost = node("a", "10.0.0.1", &[]);
    lost.addresses.clear();
    assert!(faults(&prepared("", &[lost]))[0].contains("status.addresses"));
}

#[test]
fn tunnels_to_other_subnets() {
    let nodes = [
        node("a", "10.0.0.1", &[]),
        node("b", "10.0.0.2", &[("pod-cidr", "10.244.2.0/24")]),
    ];
    let out = prepared("", &nodes);
    assert_eq!(out.tunnels.len(), 1);
    assert_eq!(out.tunnels[0].range.to_string(), "10.244.2.0/24");
    assert_eq!(out.tunnels[0].mode, TunnelMode::CrossSubnet);
    assert_eq!(out.tunnels[0].subnets, ["10.0.0.0/24".parse().unwrap()]);
    let out = prepared("--overlay-type=full --cluster-cidr=10.244.0.0/16", &nodes);
    assert_eq!(out.tunnels[0].range.to_string(), "10.244.0.0/16");
    assert_eq!(out.tunnels[0].mode, TunnelMode::Always);
    assert!(
        prepared("--enable-overlay=false", &nodes)
            .tunnels
            .is_empty()
    );
    let out = prepared("--overlay-encap=fou", &nodes);
    assert!(out.tunnels.is_empty() && faults(&out)[0].contains("FoU"));
}

#[test]
fn the_generated_identifier_is_kube_routers() {
    let out = prepared("--router-id=generate", &[node("a", "fd00::1", &[])]);
    // FNV-1a of the 16 octets of fd00::1.
    assert_eq!(
        out.router.router_id,
        Some(super::super::node::generated(
            "fd00::1".parse().expect("it")
        ))
    );
    let out = prepared("", &[node("a", "fd00::1", &[])]);
    assert_eq!(out.router.router_id, None);
}
