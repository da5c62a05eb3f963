//! Addresses that become the router's own while it runs (RFC 4271 §5.1.3).

mod lab;

use std::net::Ipv4Addr;

use lab::{Lab, config};
use proto_codec::afi::Family;
use proto_codec::bgp::{AttrEdit, AttrSet, NextHop, Origin};
use rib::Reject;

fn through(hop: [u8; 4], path: &[u32]) -> AttrSet {
    let mut edit = AttrEdit::new(Origin::Igp, NextHop::V4(Ipv4Addr::from(hop)));
    edit.set_as_path(path);
    edit.finish()
}

/// RFC 4271 §5.1.3: a route with one of our addresses as its next hop is not used.
#[test]
fn routes_through_an_address_that_becomes_ours_go() {
    let mut lab = Lab::new(config());
    let (near, far, reader) = (lab.add(65001), lab.add(65002), lab.add(65003));
    lab.all_up();
    let nets = ["198.51.100.0/24", "203.0.113.0/24"].map(|net| net.parse().unwrap());
    lab.announce(near, &nets, &through([192, 0, 2, 1], &[65001]));
    lab.announce(far, &nets[..1], &through([192, 0, 2, 9], &[65002, 64512]));
    lab.drain();
    assert_eq!(lab.nets(reader).len(), 2);

    let ours = [
        Ipv4Addr::new(192, 0, 2, 1).into(),
        Ipv4Addr::new(10, 9, 9, 9).into(),
    ];
    lab.rib.set_own_addresses(ours.to_vec());
    lab.drain();
    assert_eq!(
        lab.nets(reader),
        ["198.51.100.0/24"],
        "the other way is left"
    );
    let told = lab.told(reader, "198.51.100.0/24").unwrap();
    assert!(told.as_path().contains(65002));
    let stats = lab.rib.peer_stats(near).unwrap();
    assert_eq!(Family::Ipv4Unicast.pick(stats.received), 0);
    let refused = stats
        .rejects
        .iter()
        .find(|(why, _)| *why == Reject::NextHop);
    assert_eq!(refused, Some((Reject::NextHop, 2)));

    // And what comes later is refused at once.
    lab.announce(near, &nets, &through([192, 0, 2, 1], &[65001]));
    lab.drain();
    assert_eq!(lab.nets(reader), ["198.51.100.0/24"]);
}
