//! How much a peer has still to be sent: what `show` calls its output queue.

mod lab;

use ipnet::IpNet;
use lab::{Lab, config};
use proto_codec::afi::Family;
use proto_codec::bgp::{AttrEdit, AttrSet, NextHop, Origin};
use rib::PeerSlot;

fn attrs() -> AttrSet {
    let mut edit = AttrEdit::new(Origin::Igp, NextHop::V4([192, 0, 2, 1].into()));
    edit.set_as_path(&[65001]);
    edit.finish()
}

fn nets(range: std::ops::Range<u32>) -> Vec<IpNet> {
    range
        .map(|n| format!("10.{}.{}.0/24", n >> 8, n & 255).parse().unwrap())
        .collect()
}

fn waiting(lab: &Lab, slot: PeerSlot) -> u64 {
    let stats = lab.rib.peer_stats(slot).unwrap();
    Family::Ipv4Unicast.pick(stats.waiting)
}

#[test]
fn it_is_what_was_not_read_yet_and_nothing_in_the_end() {
    let mut lab = Lab::new(config());
    let (feeder, fast, slow) = (lab.add(65001), lab.add(65002), lab.add(65003));
    lab.all_up();
    lab.drain();
    assert_eq!(waiting(&lab, slow), 0, "an empty table is soon told");

    for chunk in nets(0..20_000).chunks(500) {
        lab.announce(feeder, chunk, &attrs());
    }
    lab.rib.settle();
    let all = waiting(&lab, slow);
    assert!((20..200).contains(&all), "20,000 routes, {all} messages");
    while lab.read(fast, 1) {}
    assert_eq!(waiting(&lab, fast), 0);
    let in_log = waiting(&lab, slow);
    assert!((20..200).contains(&in_log), "now in the log: {in_log}");
    while lab.read(slow, 1) {}
    assert_eq!(waiting(&lab, slow), 0);

    // Somebody who joins has the whole table before him.
    let late = lab.add(65004);
    lab.up(late);
    assert!(waiting(&lab, late) >= 20);
    lab.drain();
    assert_eq!(waiting(&lab, late), 0);
}
