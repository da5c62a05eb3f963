//! Who speaks with whom.
//!
//! Nodes have the addresses 10.0.0.X; ours is n1 at 10.0.0.10. A neighbor outside is 192.0.2.X.

use std::time::Duration;

use cluster::{NeighborRole, NextHopMode, PeerAsn, SessionFact, Stage, Standing};

use crate::scene::Scene;

const NODES: &str = "
    Node n1 10.0.0.10
    Node n2 10.0.0.9
    Node n3 10.0.0.11
";

#[test]
fn the_mesh_is_everybody_and_the_text_of_addresses_says_who_waits() {
    let mut scene = Scene::new(NODES);
    assert_eq!(scene.addresses(), ["10.0.0.9", "10.0.0.11"]);
    // "10.0.0.9" is above "10.0.0.10" as text: that node dials, as its BIRD does.
    assert_eq!(scene.neighbor("10.0.0.9").passive, Some(true));
    assert_eq!(scene.neighbor("10.0.0.11").passive, Some(true));
    scene.add("Node n4 10.0.0.1");
    let dialled = scene.neighbor("10.0.0.1");
    assert_eq!(dialled.passive, Some(false));
    assert_eq!(dialled.asn, PeerAsn::Exact(64_512));
    assert_eq!(dialled.role, NeighborRole::Mesh);
    assert_eq!(dialled.local_address, Some([10, 0, 0, 10].into()));
    assert!(dialled.add_path);
    assert_eq!(dialled.graceful_restart, Some(Duration::from_secs(120)));
}

#[test]
fn a_mesh_of_two_families_has_two_sessions_per_node() {
    let mut scene = Scene::new(
        "Node n1 { bgp: { ipv4Address: 10.0.0.10/16, ipv6Address: 'fd00::10/64' } }
         Node n2 { bgp: { ipv4Address: 10.0.0.9/16, ipv6Address: 'fd00::9/64' } }
         Node n3 { bgp: { ipv6Address: 'fd00::11/64' } }",
    );
    assert_eq!(scene.addresses(), ["10.0.0.9", "fd00::9", "fd00::11"]);
    scene.add("Node n1 10.0.0.10");
    assert_eq!(scene.addresses(), ["10.0.0.9"], "no address, no session");
}

#[test]
fn annotations_of_a_kubernetes_node_are_as_good() {
    let mut scene = Scene::new("Node n1 10.0.0.10");
    scene.add(
        "CoreNode n2 { annotations: { projectcalico.org/IPv4Address: 10.0.0.7/24, \
         projectcalico.org/ASNumber: '64513' }, labels: { rack: a } }",
    );
    let neighbor = scene.neighbor("10.0.0.7");
    assert_eq!(neighbor.asn, PeerAsn::Exact(64_513));
    assert_eq!(neighbor.ebgp_multihop, Some(64));
    scene.add("BGPConfiguration default { nodeToNodeMeshEnabled: false }");
    assert!(scene.addresses().is_empty());
    scene.add("BGPPeer rack { peerSelector: \"rack == 'a'\" }");
    assert_eq!(scene.addresses(), ["10.0.0.7"]);
    // What Calico's own node says wins, value by value.
    scene.add("Node n2 { bgp: { ipv4Address: 10.0.0.8/24 } }");
    assert_eq!(scene.neighbor("10.0.0.8").asn, PeerAsn::Exact(64_513));
}

#[test]
fn a_node_that_reflects_leaves_the_mesh_and_has_clients() {
    let mut scene = Scene::new(NODES);
    scene.add("Node n2 { bgp: { ipv4Address: 10.0.0.9/16, routeReflectorClusterID: 10.0.0.1 } }");
    assert_eq!(scene.addresses(), ["10.0.0.11"]);
    scene.add("BGPPeer rr { nodeSelector: all(), peerIP: 10.0.0.9, asNumber: 64512 }");
    let reflector = scene.neighbor("10.0.0.9");
    assert_eq!(reflector.role, NeighborRole::Reflector);
    assert!(!reflector.route_reflector_client);
    // And from the reflector's side: the way back makes clients of everybody.
    scene.add("Node n1 { bgp: { ipv4Address: 10.0.0.10/16, routeReflectorClusterID: 10.0.0.2 } }");
    scene.add("BGPPeer us { nodeSelector: all(), peerIP: 10.0.0.10, asNumber: 64512 }");
    let client = scene.neighbor("10.0.0.11");
    assert!(client.route_reflector_client);
    assert_eq!(client.role, NeighborRole::Client);
    assert_eq!(
        scene.desired().router.cluster_id,
        Some([10, 0, 0, 2].into())
    );
}

/// A session of the mesh, in sync, that stands as these say.
fn of_mesh(stage: Stage, retires: bool) -> SessionFact {
    let role = NeighborRole::Mesh;
    SessionFact {
        is_up: true,
        is_in_sync: true,
        standing: Some(Standing {
            role,
            stage,
            retires,
        }),
        ..SessionFact::default()
    }
}

#[test]
fn a_mesh_that_is_switched_off_goes_on_until_reflectors_have_it_all() {
    let mut scene = Scene::new(NODES);
    let mesh = scene.neighbor("10.0.0.11");
    scene.add(
        "Node n2 { bgp: { ipv4Address: 10.0.0.9/16, routeReflectorClusterID: 10.0.0.1 } }
         BGPPeer rr { nodeSelector: all(), peerIP: 10.0.0.9, asNumber: 64512 }",
    );
    let (reflector, other) = ([10, 0, 0, 9].into(), [10, 0, 0, 11].into());
    scene.facts(|facts| {
        facts.sessions.insert(other, of_mesh(Stage::Stays, false));
    });
    scene.add("BGPConfiguration default { nodeToNodeMeshEnabled: false }");
    let ending = scene.neighbor("10.0.0.11");
    assert_eq!(ending.stage, Stage::Ends);
    // Nothing else of it changes, so nothing resets it.
    let stage = mesh.stage;
    assert_eq!(cluster::Neighbor { stage, ..ending }, mesh);
    // Both ends have said that they can do without, and the reflector is in sync.
    scene.facts(|facts| {
        let mut last = of_mesh(Stage::Ends, true);
        (last.is_covered, last.peer_retires) = (true, true);
        facts.sessions.insert(other, last);
        let mut first = of_mesh(Stage::Stays, false);
        first.standing = first.standing.map(|it| Standing {
            role: NeighborRole::Reflector,
            ..it
        });
        facts.sessions.insert(reflector, first);
        facts.stays = vec![reflector];
    });
    assert_eq!(scene.addresses(), ["10.0.0.9"]);
}

#[test]
fn every_field_of_a_peer_reaches_the_session() {
    let mut scene = Scene::new(NODES);
    scene.add("BGPConfiguration default { nodeToNodeMeshEnabled: false, listenPort: 1790 }");
    scene.add(
        "BGPPeer tor { node: n1, peerIP: '192.0.2.1:1179', asNumber: '1.10', localASNumber: 65001, \
         nextHopMode: Self, sourceAddress: None, maxRestartTime: 90s, keepaliveTime: 1m, \
         numAllowedLocalASNumbers: 2, reachableBy: 10.0.0.254 }
         BGPPeer tor-2 { peerIP: 192.0.2.2, asNumber: 65000, ttlSecurity: 3, \
         keepOriginalNextHop: true }
         BGPPeer other { node: n2, peerIP: 192.0.2.3, asNumber: 65000 }",
    );
    let tor = scene.neighbor("192.0.2.1");
    assert_eq!((tor.port, tor.asn), (Some(1179), PeerAsn::Exact(65_546)));
    assert_eq!(tor.local_asn, Some(65_001));
    assert_eq!(tor.next_hop, NextHopMode::SelfAddr);
    assert_eq!(tor.local_address, None);
    assert_eq!(tor.graceful_restart, Some(Duration::from_secs(90)));
    assert_eq!(tor.keepalive, Some(Duration::from_secs(60)));
    assert_eq!(tor.allow_own_as, 2);
    assert_eq!(tor.passive, Some(false));
    let second = scene.neighbor("192.0.2.2");
    assert_eq!((second.port, second.ttl_security), (None, Some(3)));
    assert_eq!(
        (second.ebgp_multihop, second.next_hop),
        (None, NextHopMode::Keep)
    );
    let desired = scene.desired();
    assert_eq!(desired.neighbors.len(), 2, "the third is for n2");
    assert_eq!(
        desired.static_routes[0].prefix,
        "192.0.2.1/32".parse().unwrap()
    );
    assert_eq!(desired.router.listen_port, Some(1790));
}

#[test]
fn sessions_by_selector_go_both_ways_unless_somebody_says_manual() {
    let mut scene = Scene::new(NODES);
    scene.add("BGPConfiguration default { nodeToNodeMeshEnabled: false }");
    let peer = "BGPPeer way { node: n2, peerSelector: \"has(us)\", reversePeering: ";
    scene.put(
        "apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: { name: n1, labels: { us: x } }\n\
         spec: { bgp: { ipv4Address: 10.0.0.10/16 } }\n",
    );
    scene.add(&format!("{peer}Auto }}"));
    assert_eq!(scene.addresses(), ["10.0.0.9"]);
    scene.add(&format!("{peer}Manual }}"));
    assert!(scene.addresses().is_empty());
    scene.add("BGPPeer way { peerSelector: 'has(us' }");
    assert!(
        scene.faults()[0].contains("expected `)` at the end"),
        "{:?}",
        scene.faults()
    );
}

#[test]
fn a_password_that_is_not_there_keeps_the_session_down() {
    let mut scene = Scene::new(NODES);
    let key = "{ secretKeyRef: { name: bgp, key: mesh } }";
    scene.add(&format!(
        "BGPConfiguration default {{ nodeMeshPassword: {key} }}"
    ));
    let neighbor = scene.neighbor("10.0.0.9");
    assert!(neighbor.password_missing && neighbor.password.is_none());
    assert!(scene.faults()[0].contains("key mesh of Secret bgp is not there"));
    scene.add("Secret bgp { stringData: { mesh: sesame } }");
    let neighbor = scene.neighbor("10.0.0.9");
    assert_eq!(neighbor.password.unwrap().key, b"sesame");
    assert!(!neighbor.password_missing && scene.faults().is_empty());
}

#[test]
fn what_cannot_be_read_is_one_fault_with_its_path() {
    let mut scene = Scene::new(NODES);
    scene.add(
        "BGPPeer a { peerIP: nowhere }
         BGPPeer b { peerIP: 192.0.2.1, reachableBy: 'fd00::1' }
         IPPool c { cidr: 10.0.0.0/33 }
         BGPFilter d { importV4: [{ action: Perhaps }] }
         BGPConfiguration default { asNumber: AS1 }",
    );
    let faults = scene.faults();
    let paths = [
        ("BGPConfiguration default", "spec.asNumber"),
        ("BGPFilter d", "spec.importV4[0].action"),
        ("BGPPeer a", "spec.peerIP"),
        ("BGPPeer b", "spec.reachableBy"),
        ("IPPool c", "spec.cidr"),
    ];
    for (object, path) in paths {
        let start = format!("{object} {path}: ");
        assert!(
            faults.iter().any(|one| one.starts_with(&start)),
            "{start} in {faults:?}"
        );
    }
    assert_eq!(scene.addresses().len(), 2, "the rest works");
}

#[test]
fn calicos_default_as_counts_where_calico_is() {
    assert_eq!(Scene::new("").desired().router.asn, None);
    assert_eq!(
        Scene::new("Node n1 10.0.0.1").desired().router.asn,
        Some(64512)
    );
    let mut scene = Scene::new("BGPConfiguration default {}");
    assert_eq!(scene.desired().router.asn, Some(64512));
}

#[test]
fn annotations_that_cannot_be_read_are_told() {
    let mut scene = Scene::new("");
    scene.put(
        "apiVersion: v1\nkind: Node\nmetadata:\n  name: n2\n  annotations:\n    \
         projectcalico.org/IPv4Address: here\n    projectcalico.org/ASNumber: '0'\n",
    );
    let faults = scene.desired().faults;
    let paths: Vec<&str> = faults.iter().map(|fault| &*fault.path).collect();
    assert_eq!(
        paths,
        [
            "metadata.annotations[projectcalico.org/ASNumber]",
            "metadata.annotations[projectcalico.org/IPv4Address]"
        ]
    );
}
