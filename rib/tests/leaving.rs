//! Peers that go down with many routes: in steps, together, and with many paths of one prefix.

mod lab;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};
use lab::{Lab, config};
use proto_codec::afi::Family;
use proto_codec::bgp::{AttrEdit, AttrSet, NextHop, Origin};

fn attrs(path: &[u32]) -> AttrSet {
    let hop = NextHop::V4(Ipv4Addr::new(192, 0, 2, 1));
    let mut edit = AttrEdit::new(Origin::Igp, hop);
    edit.set_as_path(path);
    edit.finish()
}

fn nets(range: std::ops::Range<u32>) -> Vec<IpNet> {
    let net = |n: u32| Ipv4Net::new(Ipv4Addr::from(0x1000_0000 + (n << 8)), 24).unwrap();
    range.map(|n| IpNet::V4(net(n))).collect()
}

fn announce_all(lab: &mut Lab, slot: rib::PeerSlot, count: u32, path: &[u32]) {
    for some in nets(0..count).chunks(500) {
        lab.announce(slot, some, &attrs(path));
    }
}

/// Time this thread has had a processor: other work on the machine does not count.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let spent = text.split(' ').next().expect("three numbers");
    Duration::from_nanos(spent.parse().expect("nanoseconds"))
}

/// The first replacements go out while most routes of the dead peer are still there.
#[test]
fn replacements_are_told_step_by_step() {
    let mut lab = Lab::new(config());
    let (better, other, reader) = (lab.add(65001), lab.add(65002), lab.add(65003));
    lab.all_up();
    announce_all(&mut lab, better, 10_000, &[65001]);
    announce_all(&mut lab, other, 10_000, &[65002, 64512]);
    lab.drain();
    lab.peer(better).up = false;
    lab.rib.start_peer_down(better);
    assert!(lab.rib.has_leaving_peers());
    let replaced = |lab: &mut Lab| {
        let table = &lab.peer(reader).table;
        let by_other = |set: &&std::sync::Arc<AttrSet>| set.as_path().contains(65002);
        table.values().filter(by_other).count()
    };
    assert!(lab.rib.continue_peer_down(10_000), "more is left");
    lab.drain();
    let first = replaced(&mut lab);
    assert!((1_000..2_000).contains(&first), "{first}");
    let mut steps = 0;
    while lab.rib.continue_peer_down(10_000) {
        steps += 1;
        lab.drain();
    }
    lab.drain();
    assert!((6..10).contains(&steps), "{steps}");
    assert_eq!(replaced(&mut lab), 10_000);
    assert_eq!(lab.rib.peers().count(), 2, "the slot is free");
}

/// Many peers that go at once are taken out in about two walks, and a new session in a slot does
/// not find the routes of the old one.
#[test]
fn peers_that_leave_together_share_the_walk() {
    let mut lab = Lab::new(config());
    let holder = lab.add(64512);
    let peers: Vec<_> = (0..50).map(|n| lab.add(65001 + n)).collect();
    lab.all_up();
    announce_all(&mut lab, holder, 20_000, &[64512]);
    for (n, slot) in (0u32..).zip(&peers) {
        let own = nets(n * 400..n * 400 + 20);
        lab.announce(*slot, &own, &attrs(&[65001 + n]));
    }
    lab.drain();
    let mut steps = 0;
    for slot in &peers {
        lab.peer(*slot).up = false;
        lab.rib.start_peer_down(*slot);
        lab.rib.continue_peer_down(500);
        steps += 1;
    }
    while lab.rib.continue_peer_down(500) {
        steps += 1;
    }
    // 20,000 destinations, twice at most, and 1,000 removals.
    assert!(steps < 50 + (2 * 20_000 + 8 * 1_000) / 500, "{steps}");
    lab.drain();
    assert_eq!(lab.rib.peers().count(), 1);
    assert_eq!(lab.rib.table_stats(Family::Ipv4Unicast).paths, 20_000);

    let again = peers[7];
    lab.up(again);
    lab.announce(again, &nets(0..10), &attrs(&[65008]));
    lab.drain();
    lab.rib.start_peer_down(again);
    lab.up(again);
    lab.drain();
    let stats = lab.rib.peer_stats(again).unwrap();
    assert_eq!((stats.received, stats.restarting), ([0, 0], false));
    assert_eq!(lab.rib.table_stats(Family::Ipv4Unicast).paths, 20_000);
}

/// A neighbor that is back does not have to wait for the routes of others that left with it.
#[test]
fn who_is_back_does_not_finish_the_others() {
    let mut lab = Lab::new(config());
    let (first, second) = (lab.add(65001), lab.add(65002));
    lab.all_up();
    announce_all(&mut lab, first, 5_000, &[65001]);
    announce_all(&mut lab, second, 5_000, &[65002]);
    lab.drain();
    for slot in [first, second] {
        lab.peer(slot).up = false;
        lab.rib.start_peer_down(slot);
    }
    lab.up(first);
    let family = Family::Ipv4Unicast;
    assert_eq!(lab.rib.table_stats(family).paths, 5_000, "the other's");
    assert!(lab.rib.has_leaving_peers());
    while lab.rib.continue_peer_down(1_000) {}
    lab.drain();
    assert_eq!(lab.rib.table_stats(family).paths, 0);
    assert_eq!(lab.rib.peers().count(), 1);
}

/// With ADD-PATH thousands of paths of one prefix can be equal in all but their identifier.
/// Taking them out one by one must not decide among all that are left each time.
#[test]
fn tied_paths_of_one_prefix_go_without_deciding_each_time() {
    let mut lab = Lab::new(config());
    let reader = lab.add(65000);
    let feeders: Vec<_> = (0..4).map(|_| lab.add_client()).collect();
    for slot in &feeders {
        lab.peer(*slot).add_path = true;
    }
    lab.all_up();
    let nets = nets(0..8);
    let before = processor_time();
    for round in 0..2 {
        for slot in &feeders {
            for net in &nets {
                let paths: Vec<(u32, IpNet)> = (0..1000).map(|id| (id, *net)).collect();
                for some in paths.chunks(400) {
                    lab.announce_paths(*slot, some, &attrs(&[65001]));
                }
            }
        }
        lab.drain();
        assert_eq!(lab.nets(reader).len(), nets.len());
        for slot in &feeders {
            if round == 1 {
                lab.down(*slot);
                continue;
            }
            for net in &nets {
                // The best path first: the lowest identifier wins.
                let paths: Vec<(u32, IpNet)> = (0..1000).map(|id| (id, *net)).collect();
                for some in paths.chunks(400) {
                    lab.withdraw_paths(*slot, some);
                }
            }
        }
        lab.drain();
        assert_eq!(lab.nets(reader).len(), 0);
    }
    let took = processor_time().saturating_sub(before);
    let address: Vec<IpAddr> = lab.rib.peers().map(|peer| peer.address).collect();
    assert_eq!(address.len(), 1);
    assert!(took.as_secs() < 12, "{took:?}");
}
