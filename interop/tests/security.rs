//! TCP-MD5 (RFC 2385) and GTSM (RFC 5082) with each implementation: the right key and distance
//! bring a session up, a wrong key never does, and what came up is what was asked for on the wire.

use interop::lab::Lab;
use interop::peers::Kind;
use interop::scenario::{DUT_V4, Draft, PEER_ASN, PEER_V4};
use interop::{wait, with_each};

with_each!(md5, [], md5_with_bird = Bird, md5_with_frr = Frr);
with_each!(
    md5,
    [],
    md5_with_gobgp = Gobgp,
    md5_with_openbgpd = Openbgpd
);
with_each!(
    md5_ipv6,
    [],
    md5_ipv6_with_bird = Bird,
    md5_ipv6_with_frr = Frr
);
with_each!(
    md5_ipv6,
    [],
    md5_ipv6_with_gobgp = Gobgp,
    md5_ipv6_with_openbgpd = Openbgpd
);
with_each!(
    wrong_key,
    [],
    wrong_key_with_bird = Bird,
    wrong_key_with_frr = Frr
);
with_each!(
    wrong_key,
    [],
    wrong_key_with_gobgp = Gobgp,
    wrong_key_with_openbgpd = Openbgpd
);
with_each!(gtsm, [], gtsm_with_bird = Bird, gtsm_with_frr = Frr);
with_each!(
    gtsm,
    [],
    gtsm_with_gobgp = Gobgp,
    gtsm_with_openbgpd = Openbgpd
);

/// RFC 2385: every segment carries the digest option.
fn md5(lab: &mut Lab, kind: Kind) {
    let draft = Draft::new(lab, kind, PEER_ASN).both_sides(|n| n.password("s3cret of tor-1"));
    check_md5(draft);
}

fn md5_ipv6(lab: &mut Lab, kind: Kind) {
    let draft = Draft::new(lab, kind, PEER_ASN).over_ipv6();
    check_md5(draft.both_sides(|n| n.password("s3cret of tor-1")));
}

fn check_md5(draft: Draft) {
    let draft = draft.both_sides(|mut n| {
        // Spaces are legal in a key, but not in everybody's configuration file.
        n.password = n.password.map(|key| key.replace(' ', "-"));
        n
    });
    let pair = draft.start();
    pair.wait_established();
    pair.peer.wait_route(if pair.dut_address().is_ipv4() {
        DUT_V4
    } else {
        interop::scenario::DUT_V6
    });
    let unsigned = pair
        .capture
        .count("tcp.flags.syn == 0 && tcp.flags.reset == 0 && !tcp.options.md5");
    assert_eq!(unsigned, 0, "segments without a digest");
    assert!(
        pair.capture.count("tcp.options.md5") > 0,
        "no digest at all"
    );
    pair.check_packets();
}

fn wrong_key(lab: &mut Lab, kind: Kind) {
    let pair = Draft::new(lab, kind, PEER_ASN)
        .dut_side(|n| n.password("right-key"))
        .peer_side(|n| n.password("wrong-key"))
        .start();
    // Either side has tried: its SYNs are on the wire, and none was answered.
    let syns = "tcp.flags.syn == 1 && tcp.flags.ack == 0";
    wait::until_true("both sides try", 20, || pair.capture.count(syns) >= 3);
    assert_eq!(
        pair.capture
            .count("tcp.flags.syn == 1 && tcp.flags.ack == 1"),
        0
    );
    assert_eq!(pair.dut.is_established(pair.peer_address()), Ok(false));
    assert_eq!(pair.peer.is_established(pair.dut_address()), Ok(false));
}

/// RFC 5082 §3: packets leave with TTL 255.
fn gtsm(lab: &mut Lab, kind: Kind) {
    let pair = Draft::new(lab, kind, PEER_ASN)
        .both_sides(interop::speaker::Neighbor::ttl_security)
        .start();
    pair.wait_established();
    pair.peer.wait_route(DUT_V4);
    pair.dut.wait_route(PEER_V4);
    let source = pair.dut_address();
    let open = format!("ip.src == {source} && bgp.type == 1");
    assert!(pair.capture.count(&open) > 0);
    assert_eq!(
        pair.capture
            .count(&format!("ip.src == {source} && bgp && ip.ttl != 255")),
        0
    );
    pair.check_packets();
}
