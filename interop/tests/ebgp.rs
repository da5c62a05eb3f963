//! eBGP and iBGP, IPv4 and IPv6 in one session, with each implementation: sessions come up, both
//! tables hold the other's networks with the right AS path and next hop, kernels forward.

use std::net::IpAddr;

use interop::lab::Lab;
use interop::peers::{Feature, Kind};
use interop::scenario::{DUT_ASN, DUT_V4, DUT_V6, Draft, PEER_ASN, PEER_V4, PEER_V6, Pair};
use interop::with_each;

with_each!(ebgp, [], ebgp_with_bird = Bird, ebgp_with_frr = Frr);
with_each!(
    ebgp,
    [],
    ebgp_with_gobgp = Gobgp,
    ebgp_with_openbgpd = Openbgpd
);
with_each!(ibgp, [], ibgp_with_bird = Bird, ibgp_with_frr = Frr);
with_each!(
    ibgp,
    [],
    ibgp_with_gobgp = Gobgp,
    ibgp_with_openbgpd = Openbgpd
);
with_each!(
    ipv6_session,
    [],
    ipv6_session_with_bird = Bird,
    ipv6_session_with_frr = Frr
);
with_each!(ipv6_session, [], ipv6_session_with_openbgpd = Openbgpd);
with_each!(ipv6_session, [], ipv6_session_with_gobgp = Gobgp);

fn ebgp(lab: &mut Lab, kind: Kind) {
    let pair = Draft::new(lab, kind, PEER_ASN).start();
    pair.wait_established();
    let at_peer = pair.peer.wait_route(DUT_V4);
    assert_eq!(at_peer.as_path, [DUT_ASN]);
    assert_eq!(at_peer.origin, "IGP");
    assert_eq!(at_peer.next_hops, [IpAddr::V4(Lab::address(1))]);
    let at_peer = pair.peer.wait_route(DUT_V6);
    assert_eq!(at_peer.as_path, [DUT_ASN]);
    assert_eq!(at_peer.next_hops, [IpAddr::V6(Lab::address6(1))]);
    assert_eq!(pair.dut.wait_route(PEER_V4).as_path, [PEER_ASN]);
    check_kernels(&pair, kind);
    pair.check_packets();
}

fn ibgp(lab: &mut Lab, kind: Kind) {
    let pair = Draft::new(lab, kind, DUT_ASN).start();
    pair.wait_established();
    let at_peer = pair.peer.wait_route(DUT_V4);
    assert!(
        at_peer.as_path.is_empty(),
        "iBGP does not prepend: {at_peer:?}"
    );
    assert_eq!(
        at_peer.local_pref,
        Some(100),
        "LOCAL_PREF is mandatory in iBGP"
    );
    assert_eq!(at_peer.next_hops, [IpAddr::V4(Lab::address(1))]);
    let at_peer = pair.peer.wait_route(DUT_V6);
    assert_eq!(at_peer.next_hops, [IpAddr::V6(Lab::address6(1))]);
    check_kernels(&pair, kind);
    pair.check_packets();
}

fn ipv6_session(lab: &mut Lab, kind: Kind) {
    let pair = Draft::new(lab, kind, PEER_ASN)
        .over_ipv6()
        .both_sides(|n| n)
        .start();
    pair.wait_established();
    let at_peer = pair.peer.wait_route(DUT_V6);
    assert_eq!(at_peer.as_path, [DUT_ASN]);
    assert_eq!(
        at_peer.next_hops.first(),
        Some(&IpAddr::V6(Lab::address6(1)))
    );
    pair.dut.wait_route(PEER_V6);
    pair.dut.wait_kernel(PEER_V6, &[Lab::address6(2).into()]);
    pair.check_packets();
}

/// Both kernels forward to the other side, as far as the other side has a kernel table.
fn check_kernels(pair: &Pair, kind: Kind) {
    pair.dut.wait_kernel(PEER_V4, &[Lab::address(2).into()]);
    if kind.lacks(Feature::Ipv6NextHopOverIpv4).is_none() {
        pair.dut.wait_route(PEER_V6);
        pair.dut.wait_kernel(PEER_V6, &[Lab::address6(2).into()]);
    }
    if kind.lacks(Feature::KernelTable).is_none() {
        pair.peer.wait_kernel(DUT_V4, &[Lab::address(1).into()]);
    }
}
