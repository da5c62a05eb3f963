//! Every key of the old ConfigMap, and what happens to what MetalLB would refuse it for.

use std::time::Duration;

use super::*;

fn map(config: &str) -> String {
    let lines = config.lines().map(|line| format!("    {line}\n"));
    let text: String = lines.collect();
    format!(
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: config, namespace: \
         metallb-system}}\ndata:\n  config: |\n{text}"
    )
}

const FULL: &str = "
peers:
- my-asn: 64512
  peer-asn: 64500
  peer-address: 10.0.0.1
  peer-port: 1790
  source-address: 10.0.0.9
  hold-time: 120s
  keepalive-time: 1500ms
  router-id: 192.0.2.9
  password: 007
  bfd-profile: Fast_One
  ebgp-multihop: true
  node-selectors:
  - match-labels: {rack: y}
    match-expressions:
    - {key: arch, operator: In, values: [amd64, arm]}
- my-asn: 64512
  peer-asn: 64512
  peer-address: 10.0.0.2
  bfdProfile: fast-one
- my-asn: 64512
  peer-asn: 64501
  peer-address: 10.0.0.3
address-pools:
- name: Web_Space
  protocol: bgp
  addresses: [10.1.0.0/24, 10.2.0.5-10.2.0.9]
  avoid-buggy-ips: true
  auto-assign: no
  bgp-advertisements:
  - {aggregation-length: 32, localpref: 300, communities: [lan, '1:2']}
  - {aggregation-length: 24, aggregation-length-v6: 64}
bgp-communities:
  lan: 64512:7
bfd-profiles:
- name: fast-one
  receive-interval: 50
  transmit-interval: 60
  detect-multiplier: 4
  echo-interval: 100
  echo-mode: true
  passive-mode: true
  minimum-ttl: 200
";

const NODE: &str = "---\napiVersion: v1\nkind: Node\nmetadata: {name: node1, labels: {rack: 'y', \
                    arch: arm}}\n";

#[test]
fn every_key_counts() {
    let scene = scene(&format!("{NODE}{}", map(FULL)));
    let [one, two, three] = &*scene.peering.neighbors else {
        panic!("three neighbors: {:?}", scene.fault_lines());
    };
    assert_eq!(&*one.object, "BGPPeer metallb-system/peer1");
    assert_eq!(one.port, Some(1790));
    assert_eq!(one.local_address, Some("10.0.0.9".parse().unwrap()));
    assert_eq!(one.hold_time, Some(Duration::from_secs(120)));
    assert_eq!(one.keepalive, Some(Duration::from_secs(1)));
    assert_eq!(one.password.as_ref().unwrap().key, b"007");
    assert_eq!(one.ebgp_multihop, Some(255));
    let timers = (Duration::from_millis(60), Duration::from_millis(50), 4);
    assert_eq!((one.bfd, two.bfd), (Some(timers), Some(timers)));
    assert_eq!(two.hold_time, Some(Duration::from_secs(90)));
    assert_eq!((two.ebgp_multihop, three.ebgp_multihop), (None, Some(64)));
    assert_eq!(
        scene.peering.router.router_id,
        Some("192.0.2.9".parse().unwrap())
    );
    let routes = scene.routes("10.2.0.6", &[]);
    assert!(
        routes[0].starts_with("10.2.0.6/32 pool:web-space 1:2 64512:7 lp=300 ("),
        "{routes:?}"
    );
    assert_eq!(
        scene.routes("10.1.0.6", &[]).len(),
        1,
        "the second aggregates beyond the range"
    );
}

#[test]
fn an_unknown_key_is_a_warning_and_a_bad_entry_is_left_out_alone() {
    let config = "
peers:
- {my-asn: 1, peer-asn: 2, peer-address: tor}
- {my-asn: 1, peer-asn: 2, peer-address: 10.0.0.2, color: red}
address-pools:
- {name: a, protocol: bgp, addresses: [nonsense]}
- {name: b, protocol: bgp, addresses: [10.1.0.0/24], bgp-advertisements: [{local-pref: 3}]}
comment: hello
";
    let scene = scene_with(&map(config), &Options::new("node1"), 1);
    assert_eq!(scene.neighbor().address.to_string(), "10.0.0.2");
    assert!(scene.routes("10.1.0.1", &[])[0].starts_with("10.1.0.1/32 pool:b"));
    let faults: Vec<(&str, Severity)> = scene
        .faults
        .iter()
        .map(|fault| (&*fault.path, fault.severity))
        .collect();
    assert_eq!(
        faults,
        [
            ("config.peers[0].peer-address", Severity::Error),
            ("config.peers[1].color", Severity::Warning),
            ("config.address-pools[0].addresses[0]", Severity::Error),
            (
                "config.address-pools[1].bgp-advertisements[0].local-pref",
                Severity::Warning
            ),
            ("config.comment", Severity::Warning),
        ]
    );
}

#[test]
fn what_is_no_yaml_says_so_and_nothing_else_stops() {
    for config in ["peers: [", "- a list", "peers: 3", "a: &a [*a]"] {
        let scene = scene(&map(config));
        assert!(scene.peering.neighbors.is_empty());
        assert!(!scene.faults.is_empty(), "{config}");
    }
}

#[test]
fn custom_resources_win_over_the_config_map() {
    let pool = "---\napiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: p, \
                namespace: metallb-system}\nspec: {addresses: [10.9.0.0/24]}\n";
    let scene = scene(&format!("{NODE}{}{pool}", map(FULL)));
    assert!(scene.peering.neighbors.is_empty());
    assert_eq!(&*scene.faults[0].object, "ConfigMap metallb-system/config");
    assert!(scene.faults[0].text.contains("custom resources"));
}

#[test]
fn the_other_config_maps_of_metallb_are_passed_over() {
    let other = map("announcedInterfacesToExclude: ['^docker.*']")
        .replace("name: config", "name: metallb-excludel2");
    let scene = scene(&other);
    assert_eq!(scene.fault_lines(), Vec::<String>::new());
}

#[test]
fn a_broken_custom_resource_does_not_bring_the_config_map_back() {
    let pool = "---\napiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: p, \
                namespace: metallb-system}\nspec: {addresses: [nonsense]}\n";
    let scene = scene(&format!("{NODE}{}{pool}", map(FULL)));
    assert!(scene.peering.neighbors.is_empty());
    assert_eq!(scene.faults.len(), 2, "{:?}", scene.fault_lines());
}
