//! Every field of IPAddressPool, BGPAdvertisement, Community and L2Advertisement: what an address
//! of a service is announced as.

use super::*;

fn object(kind: &str, name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: metallb.io/v1beta1\nkind: {kind}\nmetadata: {{name: {name}, namespace: \
         metallb-system, labels: {{name: {name}}}}}\nspec: {{{spec}}}\n"
    )
}

fn pool(name: &str, spec: &str) -> String {
    object("IPAddressPool", name, spec)
}

fn ad(name: &str, spec: &str) -> String {
    object("BGPAdvertisement", name, spec)
}

fn peer(name: &str, address: &str) -> String {
    let spec = format!("myASN: 64512, peerASN: 64500, peerAddress: {address}");
    object("BGPPeer", name, &spec).replace("v1beta1", "v1beta2")
}

const WEB: &str = "addresses: [10.1.0.0/24, 'fd00::/64']";
const NODE: &str = "---\napiVersion: v1\nkind: Node\nmetadata: {name: node1, labels: {rack: a}}\n";

/// The routes of 10.1.0.5 without what made them.
fn short(scene: &Scene, labels: &[(&str, &str)]) -> Vec<String> {
    let lines = scene.routes("10.1.0.5", labels);
    let cut = |line: String| match line.split_once(" (") {
        Some((before, _)) => before.to_owned(),
        None => line,
    };
    lines.into_iter().map(cut).collect()
}

#[test]
fn each_field_of_an_advertisement_counts() {
    let rows: [(&str, &[&str]); 12] = [
        ("", &["10.1.0.5/32 pool:web"]),
        ("ipAddressPools: [web]", &["10.1.0.5/32 pool:web"]),
        (
            "ipAddressPoolSelectors: [{matchLabels: {name: web}}]",
            &["10.1.0.5/32 pool:web"],
        ),
        ("aggregationLength: 26", &["10.1.0.0/26 pool:web"]),
        ("aggregationLengthV6: 64", &["10.1.0.5/32 pool:web"]),
        ("localPref: 200", &["10.1.0.5/32 pool:web lp=200"]),
        ("localPref: 0", &["10.1.0.5/32 pool:web"]),
        (
            "communities: [lan, '64512:9', 'large:1:2:3', no-export, lan]",
            &["10.1.0.5/32 pool:web 64512:7 64512:9 65535:65281 large:1:2:3"],
        ),
        (
            "nodeSelectors: [{matchLabels: {rack: a}}]",
            &["10.1.0.5/32 pool:web"],
        ),
        ("peers: [tor1]", &["10.1.0.5/32 pool:web to 10.0.0.1"]),
        (
            "peers: [tor1, tor2]",
            &["10.1.0.5/32 pool:web to 10.0.0.1+10.0.0.2"],
        ),
        (
            "serviceSelectors: [{matchLabels: {app: web}}]",
            &["10.1.0.5/32 pool:web"],
        ),
    ];
    let alias = object(
        "Community",
        "names",
        "communities: [{name: lan, value: '64512:7'}]",
    );
    let peers = [peer("tor1", "10.0.0.1"), peer("tor2", "10.0.0.2")].concat();
    for (spec, want) in rows {
        let manifests = [NODE, &pool("web", WEB), &ad("ad", spec), &alias, &peers].concat();
        let scene = scene(&manifests);
        assert_eq!(short(&scene, &[("app", "web")]), want, "{spec}");
        assert_eq!(scene.fault_lines(), Vec::<String>::new(), "{spec}");
    }
}

#[test]
fn ipv6_has_its_own_length() {
    let scene = scene(&[pool("web", WEB), ad("ad", "aggregationLengthV6: 64")].concat());
    assert_eq!(
        scene.routes("fd00::5", &[]),
        ["fd00::/64 pool:web (IPAddressPool metallb-system/web, \
          BGPAdvertisement metallb-system/ad)"]
    );
}

#[test]
fn what_is_not_announced_says_why() {
    let other = pool("other", "addresses: [10.9.0.0/24]");
    let web = pool("web", WEB);
    let rows = [
        (String::new(), "no IPAddressPool has 10.1.0.5"),
        (web.clone(), "no BGPAdvertisement takes"),
        (
            format!("{web}{}", object("L2Advertisement", "l2", "")),
            "by ARP and NDP",
        ),
        (
            format!("{web}{other}{}", ad("ad", "ipAddressPools: [other]")),
            "no BGPAdvertisement",
        ),
        (
            format!(
                "{web}{}",
                ad("ad", "nodeSelectors: [{matchLabels: {rack: z}}]")
            ),
            "is for other nodes",
        ),
        (
            format!("{web}{}", ad("ad", "peers: [gone]")),
            "none of the peers",
        ),
        (
            format!(
                "{web}{}",
                ad("ad", "serviceSelectors: [{matchLabels: {app: x}}]")
            ),
            "no advertisement selects the service",
        ),
        (
            format!("{web}{}", ad("ad", "communities: [secret-name]")),
            "no BGPAdvertisement takes",
        ),
        (
            format!("{web}{}", ad("ad", "aggregationLength: 23")),
            "no BGPAdvertisement takes",
        ),
    ];
    for (manifests, text) in rows {
        let routes = scene(&format!("{NODE}{manifests}")).routes("10.1.0.5", &[]);
        assert_eq!(routes.len(), 1, "{manifests}");
        assert!(
            routes[0].starts_with("no: ") && routes[0].contains(text),
            "{routes:?}"
        );
    }
}

#[test]
fn an_unlabelled_node_is_not_selected_and_an_unknown_one_neither() {
    let manifests = [
        pool("web", WEB),
        ad("ad", "nodeSelectors: [{matchLabels: {rack: a}}]"),
    ]
    .concat();
    let routes = scene(&manifests).routes("10.1.0.5", &[]);
    assert!(routes[0].contains("is for other nodes"), "{routes:?}");
}

#[test]
fn several_advertisements_of_a_pool_stand_together() {
    let manifests = [
        pool("web", WEB),
        peer("tor1", "10.0.0.1"),
        peer("tor2", "10.0.0.2"),
        ad("all", "communities: ['1:1']"),
        ad("more", "communities: ['1:2'], peers: [tor2]"),
        ad(
            "wide",
            "aggregationLength: 24, aggregationLengthV6: 64, localPref: 7",
        ),
    ]
    .concat();
    assert_eq!(
        short(&scene(&manifests), &[]),
        [
            "10.1.0.5/32 pool:web 1:1",
            "10.1.0.5/32 pool:web 1:1 1:2 to 10.0.0.2",
            "10.1.0.0/24 pool:web lp=7",
        ]
    );
}

#[test]
fn of_two_values_of_local_pref_the_older_stays() {
    let dated = |name: &str, spec: &str, date: &str| {
        let stamp = format!("metadata: {{creationTimestamp: '{date}', name");
        ad(name, spec).replace("metadata: {name", &stamp)
    };
    let manifests = [
        pool("web", WEB),
        dated("a", "localPref: 1", "2024-01-02T00:00:00Z"),
        dated("b", "localPref: 2", "2024-01-01T00:00:00Z"),
    ]
    .concat();
    let scene = scene(&manifests);
    assert_eq!(short(&scene, &[]), ["10.1.0.5/32 pool:web lp=2"]);
    assert_eq!(scene.faults.len(), 1);
    assert_eq!(
        &*scene.faults[0].object,
        "BGPAdvertisement metallb-system/a"
    );
    assert_eq!(&*scene.faults[0].path, "spec.localPref");
}

/// With service selectors the contradiction is the service's, which MetalLB then does not announce.
#[test]
fn a_service_that_two_values_select_is_not_announced() {
    let manifests = [
        pool("web", WEB),
        ad(
            "a",
            "localPref: 1, serviceSelectors: [{matchLabels: {app: x}}]",
        ),
        ad(
            "b",
            "localPref: 2, serviceSelectors: [{matchLabels: {tier: back}}]",
        ),
    ]
    .concat();
    let scene = scene(&manifests);
    assert_eq!(
        short(&scene, &[("app", "x")]),
        ["10.1.0.5/32 pool:web lp=1"]
    );
    assert_eq!(
        short(&scene, &[("tier", "back")]),
        ["10.1.0.5/32 pool:web lp=2"]
    );
    let both = short(&scene, &[("app", "x"), ("tier", "back")]);
    assert!(
        both[0].contains("different values of localPref"),
        "{both:?}"
    );
}

/// Manifests with a fault, its path and a part of its text.
fn faulty() -> Vec<(String, &'static str, &'static str)> {
    vec![
        (pool("p", ""), "spec.addresses", "missing"),
        (
            pool("p", "addresses: [10.0.0.1]"),
            "spec.addresses[0]",
            "neither a prefix",
        ),
        (
            pool("p", "addresses: [10.0.0.9-10.0.0.1]"),
            "spec.addresses[0]",
            "ends before",
        ),
        (
            pool("p", "addresses: [1.0.0.0/8], autoAssign: 1"),
            "spec.autoAssign",
            "true or false",
        ),
        (
            ad("p", "aggregationLength: 33"),
            "spec.aggregationLength",
            "0 to 32",
        ),
        (
            ad("p", "aggregationLengthV6: 129"),
            "spec.aggregationLengthV6",
            "0 to 128",
        ),
        (
            ad("p", "aggregationLength: 24, serviceSelectors: [{}]"),
            "spec.serviceSelectors",
            "keep one",
        ),
        (
            ad("p", "communities: ['1:2:3']"),
            "spec.communities",
            "no value",
        ),
        (
            ad("p", "ipAddressPools: [gone]"),
            "spec.ipAddressPools[0]",
            "no IPAddressPool",
        ),
        (ad("p", "peers: [gone]"), "spec.peers[0]", "no BGPPeer"),
        (
            object(
                "Community",
                "p",
                "communities: [{name: a, value: '70000:1'}]",
            ),
            "spec.communities[0].value",
            "no community",
        ),
        (
            object("BFDProfile", "p", "receiveInterval: 9"),
            "spec.receiveInterval",
            "10 to 60000",
        ),
        (
            object("AddressPool", "p", "addresses: [1.0.0.0/8]"),
            "spec.protocol",
            "bgp or layer2",
        ),
    ]
}

#[test]
fn faults_of_pools_advertisements_and_aliases_name_their_path() {
    for (manifests, path, text) in faulty() {
        let scene = scene(&manifests);
        let fault = scene
            .faults
            .first()
            .unwrap_or_else(|| panic!("no fault: {manifests}"));
        assert!(
            fault.object.ends_with("metallb-system/p"),
            "{}",
            fault.object
        );
        assert_eq!(&*fault.path, path, "{manifests}");
        assert!(fault.text.contains(text), "{}", fault.text);
    }
}

#[test]
fn overlapping_pools_share_nothing() {
    let manifests = [
        pool("a", "addresses: [10.1.0.0/25]"),
        pool("b", "addresses: [10.1.0.0/24]"),
        ad("ad", ""),
    ]
    .concat();
    let scene = scene(&manifests);
    assert!(scene.routes("10.1.0.5", &[])[0].contains("pool:a"));
    assert!(scene.routes("10.1.0.200", &[])[0].contains("pool:b"));
    assert_eq!(&*scene.faults[0].object, "IPAddressPool metallb-system/b");
    assert_eq!(&*scene.faults[0].path, "spec.addresses[0]");
}

#[test]
fn the_address_pool_of_0_13_has_its_advertisements_inside() {
    let bgp = "protocol: bgp, addresses: [10.1.0.0/24], bgpAdvertisements: \
               [{aggregationLength: 24, communities: ['1:1'], localPref: 5}]";
    let lan = "protocol: layer2, addresses: [10.1.1.0/24]";
    let plain = "protocol: bgp, addresses: [10.1.2.0/24]";
    let manifests = [
        object("AddressPool", "bgp", bgp),
        object("AddressPool", "lan", lan),
        object("AddressPool", "plain", plain),
    ]
    .concat();
    let scene = scene(&manifests);
    assert_eq!(short(&scene, &[]), ["10.1.0.0/24 pool:bgp 1:1 lp=5"]);
    assert!(scene.routes("10.1.1.1", &[])[0].contains("by ARP and NDP"));
    assert!(scene.routes("10.1.2.1", &[])[0].starts_with("10.1.2.1/32 pool:plain"));
}

#[test]
fn namespaces_do_not_see_each_other() {
    let manifests = [
        pool("web", WEB),
        ad("ad", "ipAddressPools: [web]").replace("namespace: metallb-system", "namespace: other"),
    ]
    .concat();
    assert!(scene(&manifests).routes("10.1.0.5", &[])[0].contains("no BGPAdvertisement takes"));
}

#[test]
fn export_names_the_pools_and_with_other_dialects_what_they_start() {
    let manifests = [pool("web", WEB), ad("ad", "")].concat();
    let sources = |options: &Options| {
        let scene = scene_with(&manifests, options, 64512);
        scene.peering.policies[1].rules[0]
            .matches
            .origin_source
            .clone()
    };
    assert_eq!(sources(&Options::new("node1")), ["pool:web"]);
    let mut both = Options::new("node1");
    both.dialects = vec![DialectName::Native, DialectName::Metallb];
    assert_eq!(
        sources(&both),
        [
            "cluster-ip",
            "external-ip",
            "load-balancer-ip",
            "pod-address",
            "pod-cidr",
            "pool:web"
        ]
    );
    assert!(scene("").peering.policies[1].rules.is_empty());
}
