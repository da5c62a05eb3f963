//! Update groups as their members see them: sharing, own routes, slow readers, refresh.
//!
//! Each test drives a whole RIB and looks at the messages peers get.

mod lab;

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use lab::{ASN, Lab, config};
use proto_codec::afi::Family;
use proto_codec::bgp::{AttrEdit, AttrSet, NextHop, Origin};
use rib::policy::{MatchDef, PolicyDef, PrefixMatch, RuleDef, Then};
use rib::{AddPathTx, OriginRoute, PeerSlot, Policy, Role};

fn attrs(path: &[u32], last: u8) -> AttrSet {
    let next_hop = NextHop::V4([192, 0, 2, last].into());
    let mut edit = AttrEdit::new(Origin::Igp, next_hop);
    edit.set_as_path(path);
    edit.finish()
}

fn nets(range: std::ops::Range<u32>) -> Vec<IpNet> {
    range
        .map(|n| format!("10.{}.{}.0/24", n >> 8, n & 255).parse().unwrap())
        .collect()
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

#[test]
fn members_share_the_very_same_octets() {
    let mut lab = Lab::new(config());
    let feeder = lab.add(65001);
    let (one, two) = (lab.add(65002), lab.add(65003));
    lab.all_up();
    lab.drain();
    lab.announce(feeder, &nets(0..100), &attrs(&[65001], 1));
    lab.rib.settle();
    let (to_one, to_two) = (lab.rib.poll_transmit(one), lab.rib.poll_transmit(two));
    assert_eq!(to_one, to_two);
    assert_eq!(
        to_one.map(|bytes| bytes.as_ptr()),
        to_two.map(|bytes| bytes.as_ptr()),
        "encoded once"
    );
    assert_eq!(lab.rib.poll_transmit(feeder), None, "its own routes");
    assert_eq!(lab.rib.shared_stats().groups, 2, "one per family");
}

#[test]
fn a_peer_is_told_to_forget_what_its_own_route_replaced() {
    let mut lab = Lab::new(config());
    let (far, near) = (lab.add(65001), lab.add(65002));
    let other = lab.add(65003);
    lab.all_up();
    lab.announce(far, &nets(0..2), &attrs(&[65001, 1, 2], 1));
    lab.drain();
    assert_eq!(lab.nets(near).len(), 2);
    lab.announce(near, &nets(0..1), &attrs(&[65002], 2));
    lab.drain();
    assert_eq!(
        lab.nets(near),
        ["10.0.1.0/24"],
        "its own is best, so the other is gone"
    );
    assert_eq!(lab.nets(far), ["10.0.0.0/24"]);
    let path = |told: Option<Arc<AttrSet>>| told.map(|told| told.as_path().to_string());
    assert_eq!(
        path(lab.told(other, "10.0.0.0/24")).as_deref(),
        Some("65000 65002")
    );
    assert_eq!(
        path(lab.told(other, "10.0.1.0/24")).as_deref(),
        Some("65000 65001 1 2")
    );
    lab.withdraw(near, &nets(0..1));
    lab.drain();
    assert_eq!(lab.nets(near).len(), 2);
    assert!(lab.nets(far).is_empty());
}

/// A member that does not read while the log turns over many times catches up to the same table,
/// and holds up nobody.
#[test]
fn a_slow_member_catches_up_from_the_adj_rib_out() {
    let mut lab = Lab::new(config());
    let feeder = lab.add(65001);
    let (fast, slow) = (lab.add(65002), lab.add(65003));
    lab.all_up();
    lab.drain();
    for round in 0..200u32 {
        let metric = u8::try_from(round % 200).unwrap();
        lab.announce(feeder, &nets(0..20), &attrs(&[65001, round + 1], metric));
        lab.announce(feeder, &nets(20 + round..21 + round), &attrs(&[65001], 1));
        lab.withdraw(feeder, &nets(19 + round..20 + round));
        lab.rib.settle();
        while lab.read(fast, 100) {}
    }
    let stats = lab.rib.shared_stats();
    assert!(stats.detached > 0, "the log was shorter than that");
    assert!(lab.peer(slow).table.is_empty());
    let before = lab.peer(slow).updates;
    lab.drain();
    let (fast_table, slow_table) = (lab.peer(fast).table.clone(), lab.peer(slow).table.clone());
    assert_eq!(fast_table, slow_table);
    assert!(
        lab.peer(slow).updates - before < 20,
        "it is told the outcome, not the history"
    );
}

#[test]
fn a_slow_member_learns_of_what_went_meanwhile() {
    let mut lab = Lab::new(config());
    let feeder = lab.add(65001);
    let (fast, slow) = (lab.add(65002), lab.add(65003));
    lab.all_up();
    lab.announce(feeder, &nets(0..300), &attrs(&[65001], 1));
    lab.drain();
    assert_eq!(lab.nets(slow).len(), 300);
    for round in 0..300u32 {
        lab.withdraw(feeder, &nets(round..round + 1));
        lab.rib.settle();
        while lab.read(fast, 100) {}
    }
    lab.announce(feeder, &nets(5..6), &attrs(&[65001], 1));
    lab.drain();
    assert_eq!(lab.nets(slow), ["10.0.5.0/24"]);
    lab.withdraw(feeder, &nets(5..6));
    lab.drain();
    let stats = lab.rib.table_stats(Family::Ipv4Unicast);
    assert_eq!(
        stats.prefixes, 0,
        "tombstones go when everybody has read them"
    );
    assert_eq!(lab.rib.shared_stats().attr_sets, 0);
}

#[test]
fn the_first_dump_ends_with_end_of_rib() {
    let mut lab = Lab::new(config());
    let feeder = lab.add(65001);
    lab.up(feeder);
    lab.announce(feeder, &nets(0..1000), &attrs(&[65001], 1));
    lab.drain();
    assert_eq!(lab.peer(feeder).end_of_rib, [true; 2]);
    let late = lab.add(65002);
    lab.up(late);
    assert_eq!(lab.rib.poll_ready(), Some(late));
    assert_eq!(lab.rib.poll_ready(), None);
    let mut order = Vec::new();
    while let Some(bytes) = lab.rib.poll_transmit(late) {
        lab.peer(late).receive(&bytes);
        let routes = lab.peer(late).table.len();
        order.push((routes, lab.peer(late).end_of_rib));
    }
    assert_eq!(order.last(), Some(&(1000, [true; 2])));
    assert!(order.iter().all(|(routes, eor)| *routes == 1000 || !eor[0]));
}

/// A reflector whose clients come back at once encodes its table once.
#[test]
fn first_dumps_at_the_same_time_share_their_octets() {
    let mut lab = Lab::new(config());
    let feeder = lab.add(65001);
    let readers: Vec<PeerSlot> = (0..4).map(|n| lab.add(65002 + n)).collect();
    lab.up(feeder);
    for chunk in nets(0..20_000).chunks(500) {
        lab.announce(feeder, chunk, &attrs(&[65001], 1));
    }
    lab.rib.settle();
    for reader in &readers {
        lab.up(*reader);
    }
    let (one, two) = (readers[0], readers[1]);
    let mut pieces = 0;
    loop {
        let (to_one, to_two) = (lab.rib.poll_transmit(one), lab.rib.poll_transmit(two));
        let Some((to_one, to_two)) = to_one.zip(to_two) else {
            break;
        };
        if to_one.len() > 100 {
            assert_eq!(to_one.as_ptr(), to_two.as_ptr());
            pieces += 1;
        }
        lab.peer(one).receive(&to_one);
        lab.peer(two).receive(&to_two);
    }
    assert!(pieces > 2, "{pieces}");
    assert_eq!(lab.nets(one).len(), 20_000);
    // In the middle of the others' dump something changes, and one of them comes again.
    lab.read(readers[2], 1);
    lab.withdraw(feeder, &nets(19_990..20_000));
    lab.withdraw(feeder, &nets(0..10));
    lab.down(one);
    lab.rib.settle();
    lab.up(one);
    lab.drain();
    for reader in readers {
        assert_eq!(lab.nets(reader).len(), 19_980);
    }
}

/// Routes that come in between two clients do not make the second one's dump another one.
#[test]
fn a_cluster_that_announces_while_it_connects_shares_its_dumps() {
    let mut lab = Lab::new(config());
    let (feeder, early) = (lab.add(65001), lab.add(65002));
    let late: Vec<PeerSlot> = (0..20).map(|n| lab.add(65003 + n)).collect();
    lab.up(feeder);
    lab.up(early);
    for chunk in nets(0..20_000).chunks(500) {
        lab.announce(feeder, chunk, &attrs(&[65001], 1));
    }
    lab.drain();
    let mut firsts = Vec::new();
    for (n, slot) in (0..).zip(&late) {
        lab.up(*slot);
        let first = lab.rib.poll_transmit(*slot).expect("a piece of the dump");
        lab.peer(*slot).receive(&first);
        firsts.push(first.as_ptr());
        let more = nets(30_000 + n..30_001 + n);
        lab.announce(feeder, &more, &attrs(&[65001, 7], 1));
        lab.withdraw(feeder, &nets(n..n + 1));
        lab.rib.settle();
        while lab.read(early, 1) {}
    }
    firsts.dedup();
    assert!(firsts.len() <= 2, "{} first pieces", firsts.len());
    lab.drain();
    let wanted = lab.nets(early);
    assert_eq!(wanted.len(), 20_000);
    for slot in late {
        assert_eq!(lab.nets(slot), wanted);
    }
}

/// Time this thread has had a processor: other work on the machine does not count.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let spent = text.split(' ').next().expect("three numbers");
    Duration::from_nanos(spent.parse().expect("nanoseconds"))
}

/// All paths of a prefix are passed on without ranking each against each: thousands of path
/// identifiers on a few prefixes must not cost the square of their number with every change.
#[test]
fn a_flood_of_path_identifiers_is_passed_on_once_each() {
    let mut lab = Lab::new(config());
    let reader = lab.add(65002);
    let feeders = [65001, 65003, 65004, 65005].map(|asn| (lab.add(asn), asn));
    for (feeder, _) in feeders {
        lab.peer(feeder).add_path = true;
    }
    let session = &mut lab.peer(reader).session;
    session.add_path_tx = [AddPathTx::All; 2];
    session.encode.add_path_tx = [true; 2];
    lab.all_up();
    let paths: Vec<(u32, IpNet)> = (0..1024).map(|id| (id, net("10.0.0.0/24"))).collect();
    let before = processor_time();
    for (feeder, asn) in feeders {
        for some in paths.chunks(400) {
            lab.announce_paths(feeder, some, &attrs(&[asn], 1));
            lab.rib.settle();
        }
    }
    let took = processor_time().saturating_sub(before);
    assert!(
        took.as_secs() < 15,
        "ranking each against each takes longer: {took:?}"
    );
    lab.drain();
    assert_eq!(lab.peer(reader).table.len(), 4096);
}

/// RFC 7313 §4: the refresh stands between BoRR and EoRR and holds the whole Adj-RIB-Out.
#[test]
fn a_refresh_repeats_everything_between_its_markers() {
    let mut lab = Lab::new(config());
    let (feeder, peer) = (lab.add(65001), lab.add(65002));
    lab.all_up();
    lab.announce(feeder, &nets(0..50), &attrs(&[65001], 1));
    lab.drain();
    lab.peer(peer).table.clear();
    lab.rib.refresh_out(peer, Family::Ipv4Unicast, true);
    lab.drain();
    assert_eq!(lab.nets(peer).len(), 50);
    assert_eq!(lab.peer(peer).refreshes, [1, 2]);
    lab.peer(peer).table.clear();
    lab.rib.refresh_out(peer, Family::Ipv4Unicast, false);
    lab.drain();
    assert_eq!(lab.nets(peer).len(), 50);
    assert_eq!(lab.peer(peer).refreshes, [1, 2]);
}

/// A peer that asks again and again without reading is owed one beginning, not one per request.
#[test]
fn refreshes_asked_for_before_the_first_is_read_are_one() {
    let mut lab = Lab::new(config());
    let (feeder, peer) = (lab.add(65001), lab.add(65002));
    lab.all_up();
    lab.announce(feeder, &nets(0..50), &attrs(&[65001], 1));
    lab.drain();
    lab.peer(peer).table.clear();
    for _ in 0..1000 {
        lab.rib.refresh_out(peer, Family::Ipv4Unicast, true);
    }
    lab.drain();
    assert_eq!(lab.nets(peer).len(), 50);
    assert_eq!(lab.peer(peer).refreshes, [1, 2]);
}

#[test]
fn a_new_export_policy_sends_the_difference() {
    let mut lab = Lab::new(config());
    let feeder = lab.add(65001);
    let (peer, bystander) = (lab.add(65002), lab.add(65003));
    lab.all_up();
    lab.announce(feeder, &nets(0..300), &attrs(&[65001], 1));
    lab.drain();
    let only_low = PolicyDef {
        name: "low".into(),
        rules: vec![RuleDef {
            matches: MatchDef {
                prefix: vec![PrefixMatch {
                    net: net("10.0.0.0/16"),
                    ge: None,
                    le: Some(24),
                }],
                ..MatchDef::default()
            },
            then: Then::Accept,
            ..RuleDef::default()
        }],
    };
    let policy = Arc::new(Policy::compile(&only_low).unwrap());
    let before = lab.peer(bystander).octets;
    lab.rib.set_export(peer, Arc::clone(&policy));
    lab.drain();
    assert_eq!(lab.nets(peer).len(), 256);
    assert_eq!(lab.nets(bystander).len(), 300);
    assert_eq!(lab.peer(bystander).octets, before, "others notice nothing");
    assert_eq!(policy.hits(), [256]);
    lab.rib.set_export(peer, Policy::accept_all());
    lab.drain();
    assert_eq!(lab.nets(peer).len(), 300);
    lab.withdraw(feeder, &nets(0..300));
    lab.drain();
    assert!(lab.nets(peer).is_empty() && lab.nets(bystander).is_empty());
    assert_eq!(lab.rib.table_stats(Family::Ipv4Unicast).prefixes, 0);
}

#[test]
fn restricted_routes_go_to_the_neighbors_named() {
    let mut lab = Lab::new(config());
    let (one, two) = (lab.add(65001), lab.add(65002));
    lab.all_up();
    lab.drain();
    let route = |prefix: &str, neighbors: Option<PeerSlot>| OriginRoute {
        neighbors: neighbors.map(|slot| vec![lab::address(slot.0)]),
        ..OriginRoute::new(net(prefix))
    };
    let pool = vec![
        route("172.16.0.0/24", Some(one)),
        route("172.16.1.0/24", None),
    ];
    lab.rib.originate("pool:a", pool);
    lab.drain();
    assert_eq!(lab.nets(one), ["172.16.0.0/24", "172.16.1.0/24"]);
    assert_eq!(lab.nets(two), ["172.16.1.0/24"]);
    lab.rib
        .originate("pool:a", vec![route("172.16.0.0/24", Some(two))]);
    lab.drain();
    assert!(lab.nets(one).is_empty());
    assert_eq!(lab.nets(two), ["172.16.0.0/24"]);
    let told = lab.told(two, "172.16.0.0/24").unwrap();
    assert_eq!(told.as_path().to_string(), ASN.to_string());
    assert_eq!(told.next_hop(), NextHop::V4([10, 0, 0, 254].into()));
}

#[test]
fn with_add_path_every_usable_path_is_told_and_withdrawn_by_its_identifier() {
    let mut lab = Lab::new(config());
    let (one, two) = (lab.add(65001), lab.add(65002));
    let reader = lab.add(65003);
    let session = &mut lab.peer(reader).session;
    session.add_path_tx = [AddPathTx::All; 2];
    session.encode.add_path_tx = [true; 2];
    lab.all_up();
    lab.announce(one, &nets(0..3), &attrs(&[65001], 1));
    lab.announce(two, &nets(0..3), &attrs(&[65002, 1], 2));
    lab.drain();
    assert_eq!(lab.peer(reader).table.len(), 6);
    lab.withdraw(one, &nets(0..1));
    lab.drain();
    assert_eq!(lab.peer(reader).table.len(), 5);
    lab.announce(one, &nets(0..1), &attrs(&[65001, 7], 1));
    lab.drain();
    assert_eq!(lab.peer(reader).table.len(), 6);
    lab.down(one);
    lab.drain();
    assert_eq!(lab.peer(reader).table.len(), 3);
    lab.down(two);
    lab.drain();
    assert!(lab.peer(reader).table.is_empty());
    assert_eq!(lab.rib.shared_stats().attr_sets, 0);
}

/// RFC 8654 §4 and RFC 4271 §4: what fits no message is withdrawn, not sent cut off.
#[test]
fn attributes_too_large_for_the_peer_withdraw_the_route() {
    let mut lab = Lab::new(config());
    let feeder = lab.add(65001);
    let (small, large) = (lab.add(65002), lab.add(65003));
    lab.peer(large).session.encode.max_len = 65_535;
    lab.all_up();
    lab.announce(feeder, &nets(0..1), &attrs(&[65001], 1));
    lab.drain();
    assert_eq!(lab.nets(small).len(), 1);
    // Fits its own message, but not with our AS in front.
    let mut edit = attrs(&[65001], 1).edit();
    (0..1011).for_each(|n| {
        edit.add_community(65_001 << 16 | n);
    });
    lab.announce(feeder, &nets(0..1), &edit.finish());
    lab.drain();
    assert_eq!(lab.rib.shared_stats().unsendable, 1);
    assert!(lab.nets(small).is_empty());
    assert_eq!(lab.nets(large).len(), 1);
}

/// RFC 9234 §5, egress: added towards customers, kept from going up again.
#[test]
fn only_to_customer_is_added_and_obeyed() {
    let mut lab = Lab::new(config());
    let provider = lab.add(65001);
    let (customer, other) = (lab.add(65002), lab.add(65003));
    for (slot, role) in [
        (provider, Role::Customer),
        (customer, Role::Provider),
        (other, Role::Customer),
    ] {
        lab.peer(slot).session.role = Some(role);
    }
    lab.all_up();
    lab.announce(provider, &nets(0..1), &attrs(&[65001], 1));
    lab.announce(customer, &nets(1..2), &attrs(&[65002], 1));
    lab.drain();
    let otc = |told: Option<Arc<AttrSet>>| told.and_then(|told| told.otc());
    assert_eq!(
        otc(lab.told(customer, "10.0.0.0/24")),
        Some(65001),
        "added on the way in"
    );
    assert_eq!(
        lab.nets(other),
        ["10.0.1.0/24"],
        "the provider's route must not go up"
    );
    assert_eq!(lab.nets(provider), ["10.0.1.0/24"]);
}
