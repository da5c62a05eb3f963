//! Every field of a BGPPeer: what it makes of the neighbor, and each way to get it wrong.

use std::time::Duration;

use super::*;
use crate::PeerAsn;

/// A peer with these keys beside myASN 64512, peerASN 64500 and an address.
fn peer(spec: &str) -> String {
    named(
        "tor",
        &format!("myASN: 64512, peerASN: 64500, peerAddress: 10.0.0.1, {spec}"),
    )
}

fn named(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: metallb.io/v1beta2\nkind: BGPPeer\nmetadata: {{name: {name}, namespace: \
         metallb-system}}\nspec: {{{spec}}}\n"
    )
}

const NODE: &str = "---\napiVersion: v1\nkind: Node\nmetadata: {name: node1, labels: {rack: a}}\n";

fn secret(kind: &str, data: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: key, namespace: metallb-system}}\n\
         type: {kind}\nstringData: {{{data}}}\n"
    )
}

#[test]
fn a_bare_peer_leaves_everything_to_the_defaults() {
    let scene = scene(&peer(""));
    let mut want = Neighbor::new(
        "10.0.0.1".parse().unwrap(),
        PeerAsn::Exact(64500),
        "BGPPeer metallb-system/tor",
    );
    want.import = Some("metallb:import".into());
    want.export = Some("metallb:export".into());
    assert_eq!(*scene.neighbor(), want);
    assert_eq!(scene.fault_lines(), Vec::<String>::new());
    assert_eq!(scene.peering.router.asn, Some(64512));
    let import = &scene.peering.policies[0];
    assert_eq!((&*import.name, import.rules.len()), ("metallb:import", 0));
}

#[test]
fn each_field_reaches_the_neighbor() {
    let manifests = peer(
        "sourceAddress: 10.0.0.9, peerPort: 65535, holdTime: 30s, keepaliveTime: 5s, \
         connectTime: 7s, routerID: 192.0.2.9, password: geheim, ebgpMultiHop: true, \
         enableGracefulRestart: true, dualStackAddressFamily: true, localASN: 65010",
    );
    let scene = scene(&manifests);
    let have = scene.neighbor();
    assert_eq!(have.local_address, Some("10.0.0.9".parse().unwrap()));
    assert_eq!(have.port, Some(65535));
    assert_eq!(have.hold_time, Some(Duration::from_secs(30)));
    assert_eq!(have.keepalive, Some(Duration::from_secs(5)));
    assert_eq!(have.connect_retry, Some(Duration::from_secs(7)));
    assert_eq!(have.password.as_ref().unwrap().key, b"geheim");
    assert_eq!(have.ebgp_multihop, Some(255));
    assert_eq!(have.graceful_restart, Some(Duration::from_secs(120)));
    assert_eq!(have.families, Some([true, true]));
    assert_eq!(have.local_asn, Some(65010));
    assert_eq!(
        scene.peering.router.router_id,
        Some("192.0.2.9".parse().unwrap())
    );
    assert!(
        !format!("{have:?}").contains("geheim"),
        "a key is never shown"
    );
}

#[test]
fn timers_follow_each_other() {
    type Timers = Option<(u64, Option<u64>)>;
    let rows: [(&str, Timers); 6] = [
        ("", None),
        ("holdTime: 90s", Some((90, Some(30)))),
        ("keepaliveTime: 10s", Some((30, Some(10)))),
        ("holdTime: 9m0s, keepaliveTime: 0s", Some((540, None))),
        ("holdTime: 0s", Some((0, None))),
        ("holdTime: 3s, keepaliveTime: 3s", Some((3, Some(3)))),
    ];
    for (spec, want) in rows {
        let scene = scene(&peer(spec));
        let have = scene.neighbor();
        let seconds = |time: Duration| time.as_secs();
        let timers = have
            .hold_time
            .map(|hold| (seconds(hold), have.keepalive.map(seconds)));
        assert_eq!(timers, want, "{spec}");
    }
}

#[test]
fn the_remote_as_may_be_internal_or_external_or_32_bits() {
    let rows = [
        ("peerASN: 64512", PeerAsn::Exact(64512)),
        ("peerASN: 65536", PeerAsn::Exact(65536)),
        ("peerASN: 4294967295", PeerAsn::Exact(u32::MAX)),
        ("dynamicASN: external", PeerAsn::External),
        ("dynamicASN: internal", PeerAsn::Exact(64512)),
    ];
    for (spec, want) in rows {
        let spec = format!("myASN: 64512, peerAddress: 10.0.0.1, {spec}");
        assert_eq!(scene(&named("tor", &spec)).neighbor().asn, want, "{spec}");
    }
}

#[test]
fn another_as_of_ours_becomes_local_as_with_a_warning() {
    let scene = scene_with(&peer(""), &Options::new("node1"), 65000);
    assert_eq!(scene.neighbor().local_asn, Some(64512));
    assert_eq!(scene.faults[0].severity, Severity::Warning);
    assert_eq!(&*scene.faults[0].path, "spec.myASN");
}

#[test]
fn selectors_choose_the_node() {
    let rows = [
        ("nodeSelectors: []", true),
        ("nodeSelectors: [{}]", true),
        ("nodeSelectors: [{matchLabels: {rack: a}}]", true),
        ("nodeSelectors: [{matchLabels: {rack: b}}]", false),
        (
            "nodeSelectors: [{matchLabels: {rack: b}}, {matchLabels: {rack: a}}]",
            true,
        ),
        (
            "nodeSelectors: [{matchExpressions: [{key: rack, operator: NotIn, values: [a]}]}]",
            false,
        ),
        (
            "nodeSelectors: [{matchExpressions: [{key: gpu, operator: DoesNotExist}]}]",
            true,
        ),
    ];
    for (spec, is_here) in rows {
        let scene = scene(&format!("{NODE}{}", peer(spec)));
        assert_eq!(
            scene.peering.neighbors.len(),
            usize::from(is_here),
            "{spec}"
        );
    }
}

#[test]
fn a_password_that_is_not_there_keeps_the_session_down() {
    let basic = "kubernetes.io/basic-auth";
    let wanted = peer("passwordSecret: {name: key}");
    let long = "x".repeat(81);
    let rows = [
        (String::new(), Err("is not there")),
        (secret(basic, "password: geheim"), Ok(())),
        (
            secret(basic, "username: u"),
            Err("key password is not there"),
        ),
        (
            secret("Opaque", "password: geheim"),
            Err("kubernetes.io/basic-auth expected"),
        ),
        (secret(basic, "password: ''"), Err("0 octets")),
        (
            secret(basic, &format!("password: {long}")),
            Err("81 octets"),
        ),
    ];
    for (secret, want) in rows {
        let scene = scene(&format!("{wanted}{secret}"));
        let have = scene.neighbor();
        match want {
            Ok(()) => {
                assert!(!have.password_missing);
                assert_eq!(have.password.as_ref().unwrap().key, b"geheim");
            }
            Err(text) => {
                assert!(have.password_missing && have.password.is_none(), "{secret}");
                assert!(
                    scene.faults[0].text.contains(text),
                    "{:?}",
                    scene.fault_lines()
                );
                assert_eq!(scene.faults[0].severity, Severity::Error);
            }
        }
    }
    let elsewhere = peer("passwordSecret: {name: key, namespace: kube-system}");
    let scene = scene(&format!("{elsewhere}{}", secret(basic, "password: geheim")));
    assert!(scene.neighbor().password_missing);
}

#[test]
fn bfd_is_passed_on_with_a_warning() {
    let profile = "---\napiVersion: metallb.io/v1beta1\nkind: BFDProfile\nmetadata: {name: fast, \
                   namespace: metallb-system}\nspec: {receiveInterval: 50, transmitInterval: 60, \
                   detectMultiplier: 4, echoMode: true, minimumTtl: 250}\n";
    let wanted = peer("bfdProfile: fast");
    let there = scene(&format!("{wanted}{profile}"));
    let millis = Duration::from_millis;
    assert_eq!(there.neighbor().bfd, Some((millis(60), millis(50), 4)));
    assert!(there.faults[0].text.contains("echo mode, minimum TTL"));
    assert_eq!(there.faults[0].severity, Severity::Warning);
    let absent = scene(&wanted);
    assert_eq!(absent.neighbor().bfd, None);
    assert_eq!(absent.faults[0].severity, Severity::Error);
}

#[test]
fn one_address_is_one_neighbor() {
    let same = "myASN: 64512, peerASN: 64500, peerAddress: 10.0.0.1";
    let twice = scene(&format!("{}{}", named("a", same), named("b", same)));
    assert_eq!(&*twice.neighbor().object, "BGPPeer metallb-system/a");
    assert_eq!(twice.faults[0].severity, Severity::Warning);
    let other = format!("{same}, holdTime: 9s");
    let differs = scene(&format!("{}{}", named("a", &other), named("b", same)));
    assert_eq!(differs.neighbor().hold_time, Some(Duration::from_secs(9)));
    assert_eq!(differs.faults[0].severity, Severity::Error);
    assert_eq!(&*differs.faults[0].object, "BGPPeer metallb-system/b");
}

const FAULTS: &[(&str, &str, &str)] = &[
    ("peerASN: 1, peerAddress: 10.0.0.1", "spec.myASN", "missing"),
    ("myASN: 1, peerAddress: 10.0.0.1", "spec.peerASN", "missing"),
    (
        "myASN: 1, peerASN: 2, dynamicASN: external",
        "spec.peerASN",
        "keep one",
    ),
    (
        "myASN: 1, dynamicASN: both",
        "spec.dynamicASN",
        "neither internal nor external",
    ),
    ("myASN: 1, peerASN: 2", "spec.peerAddress", "missing"),
    (
        "myASN: 1, peerASN: 2, peerAddress: tor1",
        "spec.peerAddress",
        "not an IP address",
    ),
    (
        "myASN: 1, peerASN: 4294967296",
        "spec.peerASN",
        "0 to 4294967295",
    ),
    ("{}, interface: eth0", "spec.interface", "keep one"),
    (
        "myASN: 1, peerASN: 2, interface: eth0",
        "spec.interface",
        "not built",
    ),
    ("{}, vrf: red", "spec.vrf", "not built"),
    ("{}, peerPort: 65536", "spec.peerPort", "0 to 65535"),
    (
        "{}, sourceAddress: 'fd00::1'",
        "spec.sourceAddress",
        "two families",
    ),
    ("{}, holdTime: 2s", "spec.holdTime", "write"),
    ("{}, holdTime: 90", "spec.holdTime", "expected a text"),
    ("{}, holdTime: soon", "spec.holdTime", "not a duration"),
    (
        "{}, holdTime: 3s, keepaliveTime: 4s",
        "spec.keepaliveTime",
        "longer",
    ),
    (
        "{}, connectTime: 500ms",
        "spec.connectTime",
        "whole seconds",
    ),
    ("{}, routerID: 'fd00::1'", "spec.routerID", "IPv4"),
    (
        "{}, password: a, passwordSecret: {name: b}",
        "spec.password",
        "keep one",
    ),
    (
        "{}, nodeSelectors: [{matchExpressions: [{key: a, operator: Is}]}]",
        "spec.nodeSelectors[0]",
        "operator",
    ),
    (
        "myASN: 1, peerASN: 1, peerAddress: 10.0.0.1, ebgpMultiHop: true",
        "spec.ebgpMultiHop",
        "eBGP",
    ),
];

/// What takes one object out leaves the others alone.
#[test]
fn each_fault_takes_its_own_object_out_and_names_path_and_cure() {
    let base = "myASN: 64512, peerASN: 64500, peerAddress: 10.0.0.1";
    for (spec, path, text) in FAULTS {
        let bad = named("bad", &spec.replacen("{}", base, 1));
        let good = named("good", &base.replace("10.0.0.1", "10.0.0.2"));
        let scene = scene(&format!("{bad}{good}"));
        assert_eq!(scene.neighbor().address.to_string(), "10.0.0.2", "{spec}");
        let fault = &scene.faults[0];
        assert_eq!(&*fault.object, "BGPPeer metallb-system/bad", "{spec}");
        assert_eq!(
            (&*fault.path, fault.severity),
            (*path, Severity::Error),
            "{spec}"
        );
        assert!(fault.text.contains(text), "{spec}: {}", fault.text);
    }
}

#[test]
fn an_unknown_key_is_a_warning() {
    let scene = scene(&peer("peerAdress: 10.0.0.3"));
    assert_eq!(scene.peering.neighbors.len(), 1);
    assert_eq!(&*scene.faults[0].path, "spec.peerAdress");
    assert_eq!(scene.faults[0].severity, Severity::Warning);
}

#[test]
fn the_older_version_reads_alike() {
    let text = peer("holdTime: 30s, bfdProfile: ''").replace("v1beta2", "v1beta1");
    assert_eq!(
        scene(&text).neighbor().hold_time,
        Some(Duration::from_secs(30))
    );
}

/// Who has rights in a namespace of his own must not steer the sessions of every node.
#[test]
fn objects_of_other_namespaces_do_not_count() {
    let foreign = peer("").replace("metallb-system", "tenant");
    let scene = scene(&foreign);
    assert!(scene.peering.neighbors.is_empty());
    assert_eq!(scene.faults.len(), 1, "{:?}", scene.fault_lines());
    assert_eq!(&*scene.faults[0].object, "BGPPeer tenant/tor");
    let mut options = Options::new("node1");
    options.metallb_namespace = "tenant".into();
    let scene = scene_with(&foreign, &options, 64512);
    assert_eq!(scene.peering.neighbors.len(), 1);
    assert_eq!(scene.faults.len(), 0, "{:?}", scene.fault_lines());
}

#[test]
fn the_as_is_known_on_a_node_that_no_peer_selects() {
    let elsewhere = peer("nodeSelectors: [{matchLabels: {rack: b}}]");
    let asn = |manifests: &str| scene(manifests).peering.router.asn;
    assert_eq!(asn(&elsewhere), Some(64512));
    let other = named(
        "other",
        "myASN: 64513, peerASN: 64500, peerAddress: 10.0.0.2, nodeSelectors: [{matchLabels: \
         {rack: b}}]",
    );
    assert_eq!(asn(&format!("{elsewhere}{other}")), None);
}
