//! Route refresh (RFC 2918, RFC 7313) with each implementation: asked by the peer we send all
//! again, asked by an operator of ours the peer does, and nothing is lost meanwhile.

use std::net::IpAddr;

use interop::capture::Capture;
use interop::lab::Lab;
use interop::peers::Kind;
use interop::scenario::{DUT_V4, Draft, PEER_ASN, PEER_V4};
use interop::{wait, with_each};

with_each!(
    asked_by_peer,
    [interop::peers::Feature::AskRefresh],
    refresh_asked_by_bird = Bird,
    refresh_asked_by_frr = Frr,
    refresh_asked_by_gobgp = Gobgp,
    refresh_asked_by_openbgpd = Openbgpd
);
with_each!(
    asked_by_us,
    [],
    refresh_with_bird = Bird,
    refresh_with_frr = Frr
);
with_each!(
    asked_by_us,
    [],
    refresh_with_gobgp = Gobgp,
    refresh_with_openbgpd = Openbgpd
);

fn asked_by_peer(lab: &mut Lab, kind: Kind) {
    let pair = Draft::new(lab, kind, PEER_ASN).start();
    pair.wait_established();
    pair.peer.wait_route(DUT_V4);
    let (us, them) = (pair.dut_address(), pair.peer_address());
    let before = announced(&pair.capture, us, DUT_V4);
    pair.peer
        .refresh_in(us)
        .expect("the peer takes the command");
    wait::until_true("the peer's ROUTE-REFRESH", 10, || {
        refreshes(&pair.capture, them) > 0
    });
    wait::until_true("our routes once more", 10, || {
        announced(&pair.capture, us, DUT_V4) > before
    });
    pair.peer.wait_route(DUT_V4);
    pair.check_packets();
}

fn asked_by_us(lab: &mut Lab, kind: Kind) {
    let pair = Draft::new(lab, kind, PEER_ASN).start();
    pair.wait_established();
    pair.dut.wait_route(PEER_V4);
    let (us, them) = (pair.dut_address(), pair.peer_address());
    let before = announced(&pair.capture, them, PEER_V4);
    pair.dut
        .refresh_in(them)
        .expect("our daemon takes the command");
    wait::until_true("our ROUTE-REFRESH", 10, || refreshes(&pair.capture, us) > 0);
    wait::until_true("the peer's routes once more", 10, || {
        announced(&pair.capture, them, PEER_V4) > before
    });
    pair.dut.wait_route(PEER_V4);
    pair.dut.wait_kernel(PEER_V4, &[them]);
    pair.check_packets();
}

fn refreshes(capture: &Capture, source: IpAddr) -> usize {
    capture.count(&format!("ip.src == {source} && bgp.type == 5"))
}

/// How many UPDATEs from `source` announced `prefix`.
fn announced(capture: &Capture, source: IpAddr, prefix: &str) -> usize {
    let (network, _) = prefix.split_once('/').expect("a prefix written in a test");
    let filter = format!("ip.src == {source} && bgp.type == 2 && bgp.nlri_prefix == {network}");
    capture.count(&filter)
}
