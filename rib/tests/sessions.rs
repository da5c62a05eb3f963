//! Sessions that restart, flood or refresh, next hops that come and go, and what the kernel gets.

mod lab;

use std::net::IpAddr;

use ipnet::IpNet;
use lab::{Lab, config};
use proto_codec::afi::Family;
use proto_codec::bgp::{AttrEdit, AttrSet, NextHop, Origin};
use rib::policy::Policy;
use rib::route::{FibNextHop, FibRoute, NextHopState};
use rib::{OriginRoute, Reason, Reject, Rib, RibConfig, ScanCursor, Stage};

fn attrs(path: &[u32], last: u8) -> AttrSet {
    let next_hop = NextHop::V4([192, 0, 2, last].into());
    let mut edit = AttrEdit::new(Origin::Igp, next_hop);
    edit.set_as_path(path);
    edit.finish()
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn hop(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

/// The wanted kernel routes, as a table would hold them.
fn fib(rib: &mut Rib) -> Vec<String> {
    rib.settle();
    let mut changes = Vec::new();
    while let Some(change) = rib.poll_fib() {
        let route = match change.route {
            None => "-".to_owned(),
            Some(FibRoute::Discard) => "discard".to_owned(),
            Some(FibRoute::Unicast(hops)) => {
                let hops: Vec<String> = hops
                    .iter()
                    .map(|hop: &FibNextHop| hop.gateway.to_string())
                    .collect();
                hops.join("+")
            }
        };
        changes.push(format!("{} {route}", change.prefix));
    }
    changes
}

/// RFC 4724 §4.2: routes stay while the peer restarts, and what it does not send again goes with
/// its End-of-RIB.
#[test]
fn stale_routes_stay_until_end_of_rib() {
    let mut lab = Lab::new(config());
    let (feeder, reader) = (lab.add(65001), lab.add(65002));
    lab.all_up();
    let (kept, gone) = (net("10.0.0.0/24"), net("10.0.1.0/24"));
    lab.announce(feeder, &[kept, gone], &attrs(&[65001], 1));
    lab.drain();
    lab.rib.peer_down(feeder, true);
    lab.drain();
    assert_eq!(lab.nets(reader).len(), 2);
    assert!(lab.rib.lookup(kept).unwrap().paths[0].stale);
    assert!(lab.rib.peer_stats(feeder).unwrap().restarting);
    lab.up(feeder);
    lab.announce(feeder, &[kept], &attrs(&[65001], 1));
    let before = lab.peer(reader).updates;
    lab.drain();
    assert_eq!(lab.peer(reader).updates, before, "nobody notices");
    lab.feed(feeder, &END_OF_RIB);
    lab.drain();
    assert_eq!(lab.nets(reader), ["10.0.0.0/24"]);
    assert!(!lab.rib.lookup(kept).unwrap().paths[0].stale);
    lab.rib.peer_down(feeder, true);
    lab.rib.sweep_stale(feeder, Family::Ipv4Unicast);
    lab.drain();
    assert!(lab.nets(reader).is_empty(), "patience has an end");
    lab.rib.peer_down(feeder, false);
    assert_eq!(lab.rib.peer_stats(feeder), None);
}

/// RFC 4724 §4.2: what is stale from the last restart does not survive another one, or a neighbor
/// that goes up and down would keep its old routes alive for ever.
#[test]
fn stale_routes_do_not_survive_a_second_restart() {
    let mut lab = Lab::new(config());
    let feeder = lab.add(65001);
    lab.all_up();
    let (kept, gone) = (net("10.0.0.0/24"), net("10.0.1.0/24"));
    lab.announce(feeder, &[kept, gone], &attrs(&[65001], 1));
    lab.drain();
    lab.rib.peer_down(feeder, true);
    lab.up(feeder);
    lab.announce(feeder, &[kept], &attrs(&[65001], 1));
    lab.rib.peer_down(feeder, true);
    lab.drain();
    assert!(
        lab.rib
            .lookup(gone)
            .is_none_or(|route| route.paths.is_empty())
    );
    assert!(
        lab.rib.lookup(kept).unwrap().paths[0].stale,
        "sent again in between"
    );
}

/// A session that ends in the middle of an enhanced refresh is a first restart: nothing of it is
/// old.
#[test]
fn a_refresh_cut_short_by_a_restart_loses_nothing() {
    let mut lab = Lab::new(config());
    let feeder = lab.add(65001);
    lab.all_up();
    let kept = net("10.0.0.0/24");
    lab.announce(feeder, &[kept], &attrs(&[65001], 1));
    lab.rib.begin_refresh_in(feeder, Family::Ipv4Unicast);
    lab.rib.peer_down(feeder, true);
    lab.drain();
    assert!(lab.rib.lookup(kept).unwrap().paths[0].stale);
}

const END_OF_RIB: [u8; 23] = {
    let mut message = [0xff; 23];
    message[16] = 0;
    message[17] = 23;
    message[18] = 2;
    (message[19], message[20], message[21], message[22]) = (0, 0, 0, 0);
    message
};

/// RFC 7313 §4.
#[test]
fn what_an_enhanced_refresh_does_not_repeat_goes() {
    let mut lab = Lab::new(config());
    let feeder = lab.add(65001);
    lab.all_up();
    lab.announce(
        feeder,
        &[net("10.0.0.0/24"), net("10.0.1.0/24")],
        &attrs(&[65001], 1),
    );
    lab.rib.begin_refresh_in(feeder, Family::Ipv4Unicast);
    lab.announce(feeder, &[net("10.0.1.0/24")], &attrs(&[65001], 1));
    lab.rib.end_refresh_in(feeder, Family::Ipv4Unicast);
    assert!(lab.rib.lookup(net("10.0.0.0/24")).is_none());
    assert!(lab.rib.lookup(net("10.0.1.0/24")).is_some());
}

#[test]
fn too_many_prefixes_are_reported_and_loops_counted() {
    let mut lab = Lab::new(config());
    let feeder = lab.add(65001);
    lab.peer(feeder).session.max_prefixes = Some(2);
    lab.all_up();
    let nets: Vec<IpNet> = ["10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24"]
        .map(net)
        .into();
    let fine = lab.announce(feeder, &nets[..2], &attrs(&[65001], 1));
    assert_eq!((fine.announced, fine.max_prefix_exceeded), (2, None));
    let again = lab.announce(feeder, &nets[..2], &attrs(&[65001, 7], 1));
    assert_eq!(again.max_prefix_exceeded, None, "replacing is not adding");
    let over = lab.announce(feeder, &nets, &attrs(&[65001], 1));
    assert_eq!(over.max_prefix_exceeded, Some(Family::Ipv4Unicast));
    let looped = lab.announce(feeder, &nets[..1], &attrs(&[65001, 65000], 1));
    assert_eq!(looped.rejected, Some((Reject::AsLoop, 1)));
    assert!(
        lab.rib.lookup(nets[0]).is_none(),
        "what loops replaces what did not"
    );
    assert_eq!(lab.rib.peer_stats(feeder).unwrap().rejects.total(), 1);
}

#[test]
fn multipath_reaches_the_kernel_and_shrinks_with_a_next_hop() {
    let mut lab = Lab::new(RibConfig {
        multipath: 4,
        multipath_relax: true,
        track_next_hops: true,
        fib: true,
        ..config()
    });
    let peers = [lab.add(65001), lab.add(65002), lab.add(65003)];
    lab.all_up();
    let prefix = net("10.0.0.0/24");
    for (last, peer) in (1..).zip(peers) {
        let asn = 65001 + u32::from(peer.0);
        lab.announce(peer, &[prefix], &attrs(&[asn], last));
    }
    assert!(
        fib(&mut lab.rib).is_empty(),
        "nothing is known of the next hops"
    );
    let mut interest = Vec::new();
    while let Some((addr, wanted)) = lab.rib.poll_next_hop_interest() {
        assert!(wanted);
        interest.push(addr);
    }
    assert_eq!(interest, [hop(1), hop(2), hop(3)]);
    let up = |reachable| NextHopState {
        reachable,
        igp_metric: 10,
    };
    for last in 1..=3 {
        lab.rib.next_hop_changed(hop(last), up(true));
    }
    assert_eq!(
        fib(&mut lab.rib),
        ["10.0.0.0/24 192.0.2.1+192.0.2.2+192.0.2.3"]
    );
    lab.rib.next_hop_changed(hop(2), up(false));
    assert_eq!(fib(&mut lab.rib), ["10.0.0.0/24 192.0.2.1+192.0.2.3"]);
    let far = NextHopState {
        reachable: true,
        igp_metric: 20,
    };
    lab.rib.next_hop_changed(hop(1), far);
    assert_eq!(fib(&mut lab.rib), ["10.0.0.0/24 192.0.2.3"]);
    lab.rib.next_hop_changed(hop(1), up(true));
    lab.rib.next_hop_changed(hop(2), up(true));
    let view = lab.rib.lookup(prefix).unwrap();
    assert_eq!(view.paths.len(), 3);
    assert_eq!(
        fib(&mut lab.rib),
        ["10.0.0.0/24 192.0.2.1+192.0.2.2+192.0.2.3"]
    );
    let view = lab.rib.lookup(prefix).unwrap();
    assert!(view.paths.iter().all(|path| path.multipath) && view.paths[0].best);
    for peer in peers {
        lab.down(peer);
    }
    assert_eq!(fib(&mut lab.rib), ["10.0.0.0/24 -"]);
    assert_eq!(lab.rib.poll_next_hop_interest(), Some((hop(1), false)));
}

#[test]
fn without_relax_only_equal_as_paths_are_used_together() {
    let mut lab = Lab::new(RibConfig {
        multipath: 4,
        fib: true,
        ..config()
    });
    let peers = [lab.add(65001), lab.add(65002), lab.add(65001)];
    lab.all_up();
    for (last, peer) in (1..).zip(peers) {
        let asn = if peer.0 == 1 { 65002 } else { 65001 };
        lab.announce(peer, &[net("10.0.0.0/24")], &attrs(&[asn], last));
    }
    assert_eq!(fib(&mut lab.rib), ["10.0.0.0/24 192.0.2.1+192.0.2.3"]);
}

#[test]
fn local_routes_win_and_only_aggregates_reach_the_kernel() {
    let mut lab = Lab::new(RibConfig {
        fib: true,
        ..config()
    });
    let feeder = lab.add(65001);
    lab.all_up();
    let nets = [net("10.0.0.0/24"), net("10.0.1.0/24")];
    lab.announce(feeder, &nets, &attrs(&[65001], 1));
    assert_eq!(
        fib(&mut lab.rib),
        ["10.0.0.0/24 192.0.2.1", "10.0.1.0/24 192.0.2.1"]
    );
    let aggregate = OriginRoute {
        discard: true,
        ..OriginRoute::new(nets[0])
    };
    lab.rib
        .originate("network", vec![aggregate, OriginRoute::new(nets[1])]);
    assert_eq!(fib(&mut lab.rib), ["10.0.0.0/24 discard", "10.0.1.0/24 -"]);
    let view = lab.rib.lookup(nets[0]).unwrap();
    assert_eq!(view.paths[0].reason, Some(Reason::LocalRoute));
    assert_eq!(view.paths[0].origin_source.as_deref(), Some("network"));
    assert_eq!((view.paths[0].weight, view.paths.len()), (32768, 2));
    lab.rib.originate("network", Vec::new());
    assert_eq!(
        fib(&mut lab.rib),
        ["10.0.0.0/24 192.0.2.1", "10.0.1.0/24 192.0.2.1"]
    );
    lab.rib.resync_fib();
    assert_eq!(fib(&mut lab.rib).len(), 2);
}

#[test]
fn a_scan_is_sorted_whatever_the_order_of_arrival() {
    let mut lab = Lab::new(config());
    let (feeder, reader) = (lab.add(65001), lab.add(65002));
    lab.all_up();
    let mut nets: Vec<IpNet> = (0..20_000u32)
        .map(|n| {
            let n = n.wrapping_mul(7919) % 20_000;
            net(&format!("10.{}.{}.0/24", n >> 8, n & 255))
        })
        .collect();
    for chunk in nets.chunks(500) {
        lab.announce(feeder, chunk, &attrs(&[65001], 1));
    }
    lab.drain();
    nets.sort_unstable();
    let walk = |mut cursor: ScanCursor| {
        let mut seen = Vec::new();
        while !lab.rib.scan(&mut cursor, 999, |row| seen.push(row.prefix)) {}
        seen
    };
    assert_eq!(walk(ScanCursor::table(Family::Ipv4Unicast)), nets);
    assert_eq!(
        walk(ScanCursor::received(Family::Ipv4Unicast, feeder)),
        nets
    );
    assert_eq!(
        walk(ScanCursor::advertised(Family::Ipv4Unicast, reader)),
        nets
    );
    assert!(walk(ScanCursor::advertised(Family::Ipv4Unicast, feeder)).is_empty());
    assert!(walk(ScanCursor::table(Family::Ipv6Unicast)).is_empty());
    let inside = ScanCursor::table(Family::Ipv4Unicast).within(net("10.3.0.0/16"));
    assert_eq!(walk(inside).len(), 256);
    let longest = lab.rib.longest_match("10.3.7.9".parse().unwrap()).unwrap();
    assert_eq!(longest.prefix, net("10.3.7.0/24"));
    assert!(lab.rib.longest_match("11.0.0.1".parse().unwrap()).is_none());
    assert_eq!(lab.rib.peer_stats(reader).unwrap().advertised[0], 20_000);
    assert_eq!(lab.rib.peer_stats(feeder).unwrap().advertised[0], 0);
    assert_eq!(lab.rib.advertised_to(nets[0]), [reader]);
}

/// RFC 4271 §3.2: what import policy refuses is in the Adj-RIB-In and not in the Loc-RIB.
#[test]
fn refused_routes_are_shown_as_received_only() {
    let mut lab = Lab::new(config());
    let feeder = lab.add(65001);
    lab.all_up();
    lab.announce(feeder, &[net("10.0.0.0/8")], &attrs(&[65001], 1));
    lab.drain();
    lab.rib.set_import(feeder, Policy::reject_all());
    lab.drain();
    let walk = |mut cursor: ScanCursor| {
        let mut seen = Vec::new();
        while !lab.rib.scan(&mut cursor, 9, |row| seen.push(row.prefix)) {}
        seen.len()
    };
    assert_eq!(walk(ScanCursor::received(Family::Ipv4Unicast, feeder)), 1);
    assert_eq!(walk(ScanCursor::accepted(Family::Ipv4Unicast, feeder)), 0);
    assert_eq!(walk(ScanCursor::table(Family::Ipv4Unicast)), 0);
    assert!(lab.rib.longest_match("10.0.0.1".parse().unwrap()).is_none());
    assert!(
        lab.rib
            .lookup(net("10.0.0.0/8"))
            .unwrap()
            .accepted()
            .is_none()
    );
}

#[test]
fn an_explanation_names_the_rule_and_the_reason() {
    let mut lab = Lab::new(config());
    let (one, two) = (lab.add(65001), lab.add(65002));
    let reader = lab.add(65003);
    lab.all_up();
    let prefix = net("10.0.0.0/24");
    lab.announce(one, &[prefix], &attrs(&[65001, 7], 1));
    let mut edit = attrs(&[65002], 2).edit();
    edit.add_community(0xffff_ff01);
    lab.announce(two, &[prefix], &edit.finish());
    lab.drain();
    let steps = lab.rib.explain(prefix, Some(reader));
    let verdicts: Vec<(Stage, &str)> = steps
        .iter()
        .map(|step| (step.stage, step.verdict.as_str()))
        .collect();
    assert_eq!(
        verdicts,
        [
            (Stage::Import, "accepted by rule 1"),
            (Stage::Import, "accepted by rule 1"),
            (Stage::BestPath, "the path from 10.0.0.2 is best (AS Path)"),
            (Stage::Export, "not told: community no-export"),
        ]
    );
    let own = lab.rib.explain(prefix, Some(two));
    assert_eq!(own[3].verdict, "not told: it is the neighbor's own route");
    let none = lab.rib.explain(net("10.9.0.0/24"), None);
    assert_eq!(none[0].verdict, "no path in the table");
}
