//! The topology as objects say it, row by row.

use super::*;
use crate::object::{Meta, NodeAddress, Taint};

fn node(name: &str, addresses: &[&str]) -> Node {
    let addresses = addresses.iter().map(|address| NodeAddress {
        kind: "InternalIP".into(),
        address: address.parse().expect("an address"),
    });
    Node {
        meta: Meta {
            name: name.into(),
            ..Meta::default()
        },
        addresses: addresses.collect(),
        ..Node::default()
    }
}

fn annotated(mut node: Node, key: &str, value: &str) -> Node {
    node.meta.annotations.insert(key.into(), value.into());
    node
}

fn labelled(mut node: Node, key: &str, value: &str) -> Node {
    node.meta.labels.insert(key.into(), value.into());
    node
}

/// What node `a` is asked for: `ADDRESS role`, then the others in brackets, then the faults.
fn seen(nodes: &[Node], reflectors: &str) -> String {
    let mut options = Options::new("a");
    options.reflectors = reflectors.into();
    let facts = Facts {
        asn: 64512,
        ..Facts::default()
    };
    let mut faults = Vec::new();
    let wished = wished(nodes.iter(), &options, &facts, &mut faults);
    let wanted = wished.neighbors.iter().map(|it| {
        assert_eq!(
            it.route_reflector_client,
            it.role == NeighborRole::Client,
            "clients are reflected to"
        );
        format!("{} {:?}", it.address, it.role)
    });
    let others = wished.others.iter().map(|it| format!("[{}]", it.address));
    let faults = faults
        .iter()
        .map(|it| format!("! {}: {}", it.object, it.text));
    let lines: Vec<String> = wanted.chain(others).chain(faults).collect();
    lines.join(", ")
}

fn four() -> [Node; 4] {
    [
        node("a", &["10.0.0.1", "2001:db8::1"]),
        node("b", &["10.0.0.2", "2001:db8::2"]),
        node("c", &["10.0.0.3"]),
        node("d", &["10.0.0.10"]),
    ]
}

#[test]
fn without_reflectors_everybody_meets_everybody_once_per_family() {
    assert_eq!(
        seen(&four(), ""),
        "10.0.0.2 Mesh, 10.0.0.3 Mesh, 10.0.0.10 Mesh, 2001:db8::2 Mesh"
    );
}

#[test]
fn the_order_of_objects_plays_no_part() {
    let mut nodes = four();
    let forwards = seen(&nodes, "");
    nodes.reverse();
    assert_eq!(seen(&nodes, ""), forwards);
}

#[test]
fn a_node_without_address_is_left_out_and_one_that_is_being_deleted_is_not() {
    let [a, b, mut c, d] = four();
    c.meta.deletion_timestamp = Some("2026-01-01T00:00:00Z".into());
    let d = Node {
        addresses: Vec::new(),
        ..d
    };
    let wanted = "10.0.0.2 Mesh, 10.0.0.3 Mesh, 2001:db8::2 Mesh";
    assert_eq!(seen(&[a, b, c, d], ""), wanted);
}

#[test]
fn without_our_own_node_there_is_no_mesh() {
    let [_, b, c, d] = four();
    assert_eq!(seen(&[b, c, d], ""), "");
}

#[test]
fn an_annotation_names_the_address() {
    let [a, b, c, d] = four();
    let b = annotated(b, ADDRESS, "172.16.0.2");
    let c = annotated(c, ADDRESS, "c.example");
    assert_eq!(
        seen(&[a, b, c, d], ""),
        "10.0.0.3 Mesh, 10.0.0.10 Mesh, 172.16.0.2 Mesh, 2001:db8::2 Mesh, \
         ! Node c: c.example is no address; its InternalIP is used"
    );
}

#[test]
fn two_nodes_with_one_address_are_told() {
    let [a, b, _, _] = four();
    assert_eq!(
        seen(&[a, b, node("e", &["10.0.0.2"])], ""),
        "10.0.0.2 Mesh, 2001:db8::2 Mesh, \
         ! Node e: 10.0.0.2 is another node's too; the first by name keeps it"
    );
}

#[test]
fn a_node_of_another_as_is_no_internal_neighbor() {
    let [a, b, c, d] = four();
    let (b, c) = (annotated(b, ASN, "64999"), annotated(c, ASN, "64512"));
    assert_eq!(seen(&[a, b, c, d], ""), "10.0.0.3 Mesh, 10.0.0.10 Mesh");
}

/// RFC 4456 §6: reflectors are meshed, clients speak with reflectors.
#[test]
fn reflectors_change_who_speaks_with_whom() {
    let [a, b, c, d] = four();
    let reflector = labelled(c.clone(), CLUSTER_ID, "244.0.0.1");
    let from_client = [a.clone(), b.clone(), reflector.clone(), d.clone()];
    assert_eq!(
        seen(&from_client, ""),
        "10.0.0.3 Reflector, [10.0.0.2], [10.0.0.10], [2001:db8::2]"
    );
    let own = annotated(a.clone(), CLUSTER_ID, "244.0.0.1");
    assert_eq!(
        seen(&[own, b.clone(), reflector, d.clone()], ""),
        "10.0.0.2 Client, 10.0.0.3 Reflector, 10.0.0.10 Client, 2001:db8::2 Client"
    );
    let mut tainted = c;
    tainted.taints.push(Taint {
        key: "dedicated".into(),
        value: "route-reflector".into(),
    });
    let labelled_d = labelled(d, "dedicated", "database");
    assert_eq!(
        seen(&[a, b, tainted, labelled_d], "dedicated=route-reflector"),
        "10.0.0.3 Reflector, [10.0.0.2], [10.0.0.10], [2001:db8::2]"
    );
}

#[test]
fn a_mark_that_says_no_makes_no_reflector() {
    for (text, expected) in [
        ("false", "10.0.0.3 Mesh"),
        ("No", "10.0.0.3 Mesh"),
        ("0", "10.0.0.3 Mesh"),
        ("true", "10.0.0.3 Reflector"),
        ("", "10.0.0.3 Reflector"),
        ("1", "10.0.0.3 Reflector"),
        (
            "rack-a",
            "10.0.0.3 Mesh, ! Node c: rack-a is no cluster identifier; the node does not reflect",
        ),
    ] {
        let [a, _, c, _] = four();
        let marked = annotated(c, CLUSTER_ID, text);
        assert_eq!(seen(&[a, marked], ""), expected, "{text}");
    }
}

#[test]
fn our_end_is_the_address_that_others_know() {
    let nodes = four();
    let mut facts = Facts {
        asn: 64512,
        ..Facts::default()
    };
    let mut faults = Vec::new();
    let of = |facts: &Facts, faults: &mut Vec<Fault>| {
        wished(nodes.iter(), &Options::new("a"), facts, faults).neighbors
    };
    let own: IpAddr = "10.0.0.1".parse().expect("an address");
    assert_eq!(of(&facts, &mut faults)[0].local_address, Some(own));
    facts.addresses = vec!["192.0.2.1".parse().expect("an address")];
    assert_eq!(of(&facts, &mut faults)[0].local_address, None);
}
