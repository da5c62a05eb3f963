//! Filters and the order of export, rule by rule.
//!
//! A route is a prefix with the attributes that the rule is about; what comes of it is `-` for
//! rejected, else LOCAL_PREF, path and communities.

use cluster::Link;
use ipnet::IpNet;
use proto_codec::bgp::{AttrEdit, NextHop, Origin};
use rib::Policy;
use rib::policy::{RpkiState, Subject};

use crate::scene::Scene;

const BASE: &str = "
    Node n1 10.0.0.10
    BGPConfiguration default { nodeToNodeMeshEnabled: false, \
    serviceClusterIPs: [{ cidr: 10.96.0.0/16 }] }
    IPPool pods { cidr: 192.168.0.0/16, ipipMode: Never }
    IPPool secret { cidr: 172.16.0.0/16, disableBGPExport: true }
    BlockAffinity one { cidr: 192.168.1.0/26, node: n1, state: confirmed }
";

/// A route under a policy.
fn verdict(policy: &Policy, net: &str, path: &[u32], pref: Option<u32>, own: bool) -> String {
    let mut edit = AttrEdit::new(Origin::Igp, NextHop::V4([198, 51, 100, 1].into()));
    edit.set_as_path(path);
    edit.set_local_pref(pref);
    let attrs = edit.finish();
    let net: IpNet = net.parse().unwrap();
    let subject = Subject {
        prefix: net,
        attrs: &attrs,
        neighbor: None,
        origin_source: own.then_some("cluster-ip"),
        is_learned: !own,
        rpki: RpkiState::NotFound,
        prepend_asn: 64_512,
        own_next_hop: None,
    };
    let (verdict, _) = policy.explain(subject);
    if !verdict.accept {
        return "-".into();
    }
    let set = verdict.changed.unwrap_or(attrs);
    let marks: Vec<String> = set
        .communities()
        .map(|one| format!("{}:{}", one >> 16, one & 0xffff))
        .collect();
    let pref = set
        .local_pref()
        .map_or(String::new(), |pref| pref.to_string());
    format!("{pref} [{}] {}", set.as_path(), marks.join(" "))
}

fn with_filter(rules: &str) -> Scene {
    let mut scene = Scene::new(BASE);
    scene.add(&format!("BGPFilter f {{ {rules} }}"));
    scene.add("BGPPeer tor { peerIP: 192.0.2.1, asNumber: 65000, filters: [f] }");
    scene.add("BGPPeer in { peerIP: 192.0.2.2, asNumber: 64512, filters: [f] }");
    scene
}

#[test]
fn every_match_of_a_filter_takes_and_leaves() {
    let cases = [
        (
            "cidr: 10.1.0.0/16, matchOperator: In",
            "10.1.2.0/24",
            "10.2.0.0/24",
        ),
        (
            "cidr: 10.1.0.0/16, matchOperator: NotIn",
            "10.2.0.0/24",
            "10.1.2.0/24",
        ),
        (
            "cidr: 10.1.0.0/16, matchOperator: Equal",
            "10.1.0.0/16",
            "10.1.2.0/24",
        ),
        (
            "cidr: 10.1.0.0/16, matchOperator: NotEqual",
            "10.1.2.0/24",
            "10.1.0.0/16",
        ),
        (
            "cidr: 10.1.0.0/16, matchOperator: In, prefixLength: { min: 20, max: 24 }",
            "10.1.2.0/24",
            "10.1.2.0/25",
        ),
        (
            "cidr: 10.1.0.0/16, matchOperator: NotIn, prefixLength: { min: 24 }",
            "10.1.2.0/23",
            "10.1.2.0/24",
        ),
    ];
    for (rule, taken, left) in cases {
        let rules = format!("importV4: [{{ {rule}, action: Accept }}, {{ action: Reject }}]");
        let policy = with_filter(&rules).policy("calico:import:v4:external:f");
        assert_eq!(verdict(&policy, taken, &[], None, false), " [] ", "{rule}");
        assert_eq!(verdict(&policy, left, &[], None, false), "-", "{rule}");
    }
}

#[test]
fn paths_priorities_and_operations_are_said_in_our_words() {
    let rules = "importV4: [
        { asPathPrefix: [65000, 65001], action: Accept,
          operations: [{ setPriority: { value: 100 } }] },
        { priority: 512, action: Accept, operations: [{ addCommunity: { value: '65000:7' } }] },
        { peerType: iBGP, action: Accept,
          operations: [{ prependASPath: { prefix: [64512, 64513] } }] },
        { action: Reject }]";
    let rules = rules.replace('\n', " ");
    let mut scene = with_filter(&rules);
    let outside = scene.policy("calico:import:v4:external:f");
    let inside = scene.policy("calico:import:v4:internal:f");
    let net = "10.1.0.0/24";
    let taken = verdict(&outside, net, &[65_000, 65_001, 9], None, false);
    assert_eq!(taken, "2147483547 [65000 65001 9] ");
    assert_eq!(verdict(&outside, net, &[65_000, 65_0012], None, false), "-");
    let urgent = Some(2_147_483_647 - 512);
    assert_eq!(
        verdict(&inside, net, &[], urgent, false),
        "2147483135 [] 65000:7"
    );
    assert_eq!(
        verdict(&inside, net, &[7], None, false),
        " [64512 64513 7] "
    );
}

#[test]
fn a_filter_that_cannot_be_read_lets_nothing_through() {
    let mut scene = with_filter("importV4: [{ action: Perhaps }]");
    for name in ["import", "export"] {
        let policy = scene.policy(&format!("calico:{name}:v4:external:f"));
        assert_eq!(
            verdict(&policy, "192.168.1.0/26", &[], None, true),
            "-",
            "{name}"
        );
    }
    // One that is not there at all is skipped, as Calico does; somebody is told.
    let mut scene = Scene::new(BASE);
    scene.add("BGPPeer tor { peerIP: 192.0.2.1, asNumber: 65000, filters: [none] }");
    let policy = scene.policy("calico:export:v4:external:none");
    assert_ne!(verdict(&policy, "192.168.1.0/26", &[], None, true), "-");
    assert!(scene.faults()[0].contains("there is no such filter"));
}

#[test]
fn an_interface_is_the_link_that_the_next_hop_lies_behind() {
    let mut scene = with_filter("importV4: [{ interface: 'eth*', action: Reject }]");
    let policy = scene.policy("calico:import:v4:external:f");
    assert_ne!(
        verdict(&policy, "10.1.0.0/24", &[], None, false),
        "-",
        "no links are known"
    );
    assert!(scene.faults()[0].contains("links of this machine are not known"));
    scene.facts(|facts| {
        facts.links = vec![Link {
            name: "eth1".into(),
            subnets: vec!["198.51.100.0/24".parse().unwrap()],
        }];
    });
    let policy = scene.policy("calico:import:v4:external:f");
    assert_eq!(verdict(&policy, "10.1.0.0/24", &[], None, false), "-");
}

#[test]
fn export_keeps_calicos_order() {
    let mut scene = Scene::new(BASE);
    scene.add(
        "BGPConfiguration node.n1 { prefixAdvertisements: [{ cidr: 192.168.0.0/16, communities: \
         ['64512:1'] }] }",
    );
    scene.add("BGPPeer tor { peerIP: 192.0.2.1, asNumber: 65000 }");
    let policy = scene.policy("calico:export:v4:external");
    let plain = Some(2_147_482_623);
    let urgent = Some(2_147_482_624);
    let cases = [
        ("192.168.1.0/26", plain, true, "2147482623 [] 64512:1"),
        ("192.168.1.5/32", plain, false, "-"),
        ("192.168.1.5/32", urgent, false, "2147482624 [] 64512:1"),
        ("192.168.2.0/26", plain, false, "2147482623 [] 64512:1"),
        ("172.16.1.0/26", plain, true, "-"),
        ("172.16.1.0/26", plain, false, "-"),
        ("10.96.0.0/16", plain, true, "2147482623 [] "),
        ("10.96.0.7/32", plain, false, "2147482623 [] "),
        ("203.0.113.0/24", plain, false, "-"),
    ];
    for (net, pref, own, expected) in cases {
        assert_eq!(
            verdict(&policy, net, &[], pref, own),
            expected,
            "{net} {own}"
        );
    }
}
