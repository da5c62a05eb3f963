//! Each rule of who wins, and what becomes of values that BGP cannot take.

use std::time::Duration;

use cluster::{Neighbor, NeighborRole, NextHopMode, PeerAsn, Secret};
use rib::policy::{MatchDef, PolicyDef, RuleDef, Then};

use super::*;
use crate::config::{AsnRule, GracefulRestart, Host, NeighborOrigin, PolicyRef, parse};

const FILE: &str = r#"
[router]
asn = 64512
router-id = "10.0.0.11"

[[peer-group]]
name = "cluster"
hold-time = "9s"
import = "accept-all"
export = "accept-all"

[[neighbor]]
address = "10.0.0.1"
asn = 64500
hold-time = "30s"
import = "accept-all"
export = "accept-all"

[kubernetes]
from = "dir:///manifests"
peer-group = "cluster"
service-cidrs = ["10.96.0.0/12"]
node-name = "node1"
"#;

fn file(text: &str) -> Config {
    let loaded = parse("bgpd.toml", text, &Host::default());
    loaded.expect("a good file").config
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn tor(at: &str) -> Neighbor {
    Neighbor::new(address(at), PeerAsn::Exact(64500), "BGPPeer tor")
}

fn wish(neighbors: Vec<Neighbor>) -> Wish {
    Wish {
        neighbors,
        ..Wish::default()
    }
}

/// The one neighbor of the cluster, resolved, and what was said.
fn resolved(neighbor: Neighbor) -> (crate::config::Neighbor, Vec<String>) {
    let (config, remarks) = lay(&file(FILE), &wish(vec![neighbor]));
    let neighbor = config.neighbors.last().cloned().expect("it was added");
    (neighbor, remarks.into_iter().map(|one| one.text).collect())
}

#[test]
fn without_the_table_a_file_stays_as_it_is() {
    let (before, _) = FILE.split_once("[kubernetes]").expect("it is there");
    let file = file(before);
    let (config, remarks) = lay(&file, &wish(vec![tor("10.0.0.2")]));
    assert_eq!((config, remarks), (file, Vec::new()));
}

#[test]
fn a_neighbor_of_the_file_keeps_its_block_and_it_is_said() {
    let (config, remarks) = lay(&file(FILE), &wish(vec![tor("10.0.0.1")]));
    assert_eq!(config.neighbors.len(), 1);
    assert_eq!(config.neighbors[0].origin, NeighborOrigin::Configured);
    assert_eq!(remarks[0].neighbor, Some(address("10.0.0.1")));
    assert!(remarks[0].text.contains("BGPPeer tor"), "{remarks:?}");
}

#[test]
fn the_group_gives_what_the_object_does_not_say() {
    let mut wanted = tor("10.0.0.2");
    wanted.ebgp_multihop = Some(3);
    wanted.next_hop = NextHopMode::Keep;
    wanted.graceful_restart = Some(Duration::from_secs(9999));
    let (neighbor, said) = resolved(wanted);
    let settings = &neighbor.settings;
    assert_eq!(settings.asn, AsnRule::Exact(64500));
    assert!(!settings.internal && settings.import_guard && settings.enforce_first_as);
    assert_eq!(settings.hold_time, Duration::from_secs(9));
    assert_eq!(settings.import, PolicyRef::Named("accept-all".to_owned()));
    assert_eq!(
        (settings.ebgp_multihop, settings.next_hop_keep),
        (Some(3), true)
    );
    assert_eq!(settings.graceful_restart, GracefulRestart::Full);
    assert_eq!(settings.graceful_restart_time, Duration::from_secs(4095));
    assert_eq!(neighbor.peer_group.as_deref(), Some("cluster"));
    assert!(said.is_empty(), "{said:?}");
}

#[test]
fn our_own_as_is_internal_and_so_is_one_we_show() {
    let mut inside = tor("10.0.0.2");
    inside.asn = PeerAsn::Exact(64512);
    inside.role = NeighborRole::Mesh;
    inside.ebgp_multihop = Some(2);
    let (neighbor, _) = resolved(inside);
    assert!(neighbor.settings.internal && !neighbor.settings.import_guard);
    assert_eq!(neighbor.settings.ebgp_multihop, None);
    let mut shown = tor("10.0.0.2");
    shown.local_asn = Some(64500);
    let (neighbor, _) = resolved(shown);
    assert_eq!(
        (neighbor.settings.internal, neighbor.settings.local_asn),
        (true, Some(64500))
    );
    let mut plain = tor("10.0.0.2");
    plain.local_asn = Some(64512);
    let (neighbor, _) = resolved(plain);
    assert_eq!(
        (neighbor.settings.internal, neighbor.settings.local_asn),
        (false, None)
    );
}

/// RFC 2385 protects a session or does not: it never runs without the key that was asked for.
#[test]
fn a_password_that_is_not_there_keeps_the_session_down() {
    let mut missing = tor("10.0.0.2");
    missing.password_missing = true;
    let mut long = tor("10.0.0.2");
    long.password = Some(Secret {
        object: "Secret ns/tor, key password".into(),
        key: vec![b'x'; 81],
    });
    for wanted in [missing, long] {
        let (neighbor, said) = resolved(wanted);
        assert!(neighbor.settings.shutdown && neighbor.settings.password.is_none());
        let held = neighbor.object.and_then(|object| object.held);
        assert!(held.is_some() && said[0].contains("stays down"), "{said:?}");
    }
    let mut there = tor("10.0.0.2");
    there.password = Some(Secret {
        object: "Secret ns/tor, key password".into(),
        key: b"geheim".to_vec(),
    });
    let (neighbor, _) = resolved(there);
    let key = neighbor.settings.password.map(|password| password.key);
    assert_eq!(
        (neighbor.settings.shutdown, key),
        (false, Some(b"geheim".to_vec()))
    );
}

#[test]
fn values_that_bgp_cannot_take_are_left_out_with_a_word() {
    let mut wanted = tor("10.0.0.2");
    wanted.hold_time = Some(Duration::from_secs(2));
    wanted.keepalive = Some(Duration::from_secs(60));
    wanted.local_address = Some(address("2001:db8::1"));
    wanted.ttl_security = Some(255);
    wanted.families = Some([false; 2]);
    wanted.route_reflector_client = true;
    wanted.import = Some("nothing-of-the-kind".into());
    let (neighbor, said) = resolved(wanted);
    assert_eq!(said.len(), 7, "{said:?}");
    let settings = &neighbor.settings;
    assert_eq!(settings.hold_time, Duration::from_secs(9));
    assert_eq!(
        (settings.local_address, settings.ttl_security),
        (None, None)
    );
    assert_eq!(settings.families, [true, false]);
    assert_eq!(settings.import, PolicyRef::Named("reject-all".to_owned()));
}

#[test]
fn a_policy_that_does_not_compile_lets_nothing_through() {
    let rule = |as_path: &str| RuleDef {
        matches: MatchDef {
            as_path: vec![as_path.to_owned()],
            ..MatchDef::default()
        },
        then: Then::Accept,
        ..RuleDef::default()
    };
    let policy = |name: &str, as_path| PolicyDef {
        name: name.to_owned(),
        rules: vec![rule(as_path)],
    };
    let wish = Wish {
        policies: vec![
            policy("calico:export:a", "("),
            policy("calico:export:b", "^1"),
        ],
        ..Wish::default()
    };
    let (config, remarks) = lay(&file(FILE), &wish);
    let rules: Vec<usize> = config.policies.iter().map(|def| def.rules.len()).collect();
    assert_eq!((rules, remarks.len()), (vec![0, 1], 1));
}

#[test]
fn of_the_router_the_file_wins_where_it_speaks() {
    let router = RouterWish {
        asn: Some(64999),
        router_id: Some(Ipv4Addr::new(10, 9, 9, 9)),
        cluster_id: Some(Ipv4Addr::new(244, 0, 0, 1)),
        listen_port: Some(1790),
        ..RouterWish::default()
    };
    let wish = Wish {
        router,
        ..Wish::default()
    };
    let (config, remarks) = lay(&file(FILE), &wish);
    assert_eq!(config.router.asn, 64512);
    assert_eq!(config.router.router_id, Ipv4Addr::new(10, 0, 0, 11));
    assert_eq!(config.router.cluster_id, Ipv4Addr::new(244, 0, 0, 1));
    assert!(config.router.listen.iter().all(|at| at.port() == 1790));
    assert_eq!(remarks.len(), 2, "{remarks:?}");
}

#[test]
fn own_ranges_are_those_of_objects_and_of_the_file() {
    let own_ranges = OwnRanges {
        pods: ["10.244.0.0/17", "10.244.128.0/17"]
            .map(|net| net.parse().expect("a prefix"))
            .to_vec(),
        ..OwnRanges::default()
    };
    let wish = Wish {
        own_ranges,
        ..Wish::default()
    };
    let (config, _) = lay(&file(FILE), &wish);
    let ranges: Vec<String> = config
        .cluster
        .own_ranges
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(ranges, ["10.96.0.0/12", "10.244.0.0/16"]);
}

/// kube-router without `--strict-external-ip-validation`, Calico with a range of everything.
#[test]
fn a_range_of_everything_guards_nothing_and_keeps_nothing_out_of_the_kernel() {
    let anywhere = ["0.0.0.0/0", "::/0"].map(|net| net.parse().expect("a prefix"));
    let tunnel = |range: &IpNet| Tunnel {
        range: *range,
        kind: cluster::TunnelKind::Plain,
        mode: cluster::TunnelMode::Always,
        device: None,
        subnets: Vec::new(),
    };
    let wish = Wish {
        own_ranges: OwnRanges {
            load_balancers: anywhere.to_vec(),
            ..OwnRanges::default()
        },
        tunnels: anywhere.iter().map(tunnel).collect(),
        ..Wish::default()
    };
    let (config, _) = lay(&file(FILE), &wish);
    let ranges: Vec<IpNet> = vec!["10.96.0.0/12".parse().expect("a prefix")];
    assert_eq!(config.cluster.own_ranges, ranges);
    assert_eq!(config.cluster.service_ranges, ranges);
    for learned in ["10.244.3.0/24", "fd00:244::/64"] {
        let learned = learned.parse().expect("a prefix");
        assert_eq!(config.cluster.kernel.of(&learned), None);
    }
}
