//! What befalls sessions, with each implementation: neighbors nobody configured one by one, too
//! many prefixes, a shutdown with a message, both sides connecting at once, a crash.

use std::time::Instant;

use interop::lab::Lab;
use interop::peers::{Feature, Kind};
use interop::scenario::{DUT_ASN, DUT_V4, Draft, PEER_ASN, PEER_V4, Pair};
use interop::{wait, with_each};

with_each!(
    listen_range,
    [],
    listen_range_with_bird = Bird,
    listen_range_with_frr = Frr
);
with_each!(listen_range, [], listen_range_with_gobgp = Gobgp);
with_each!(listen_range, [], listen_range_with_openbgpd = Openbgpd);
with_each!(
    max_prefixes,
    [],
    max_prefixes_with_bird = Bird,
    max_prefixes_with_frr = Frr
);
with_each!(max_prefixes, [], max_prefixes_with_gobgp = Gobgp);
with_each!(max_prefixes, [], max_prefixes_with_openbgpd = Openbgpd);
with_each!(shutdown_message, [], shutdown_message_with_bird = Bird);
with_each!(shutdown_message, [], shutdown_message_with_frr = Frr);
with_each!(shutdown_message, [], shutdown_message_with_gobgp = Gobgp);
with_each!(
    shutdown_message,
    [],
    shutdown_message_with_openbgpd = Openbgpd
);
with_each!(
    graceful_stop,
    [],
    graceful_stop_with_bird = Bird,
    graceful_stop_with_frr = Frr
);
with_each!(graceful_stop, [], graceful_stop_with_gobgp = Gobgp);
with_each!(graceful_stop, [], graceful_stop_with_openbgpd = Openbgpd);
with_each!(
    collision,
    [],
    collision_with_bird = Bird,
    collision_with_frr = Frr
);
with_each!(
    collision,
    [],
    collision_with_gobgp = Gobgp,
    collision_with_openbgpd = Openbgpd
);
with_each!(crash, [], crash_with_bird = Bird, crash_with_frr = Frr);
with_each!(
    crash,
    [],
    crash_with_gobgp = Gobgp,
    crash_with_openbgpd = Openbgpd
);

/// The peer is not in our configuration, its network is.
fn listen_range(lab: &mut Lab, kind: Kind) {
    let mut draft = Draft::new(lab, kind, PEER_ASN).peer_side(|n| n.only_ipv4());
    let neighbor = draft.dut.neighbors[0].clone();
    draft.dut.neighbors.clear();
    draft.dut = draft.dut.listen_range("10.99.0.0/25", PEER_ASN);
    let pair = draft.start();
    pair.dut.wait_established(neighbor.address);
    pair.peer.wait_established(neighbor.local);
    assert_eq!(pair.peer.wait_route(DUT_V4).as_path, [DUT_ASN]);
    pair.dut.wait_kernel(PEER_V4, &[neighbor.address]);
}

/// CEASE, Maximum Number of Prefixes Reached (RFC 4486 §4, 6/1).
fn max_prefixes(lab: &mut Lab, kind: Kind) {
    let mut draft = Draft::new(lab, kind, PEER_ASN).dut_side(|n| n.max_prefixes(2));
    draft.peer = draft
        .peer
        .network("203.0.113.64/26")
        .network("203.0.113.128/25");
    let pair = draft.start();
    let cease = cease(&pair, 1);
    wait::until_true("our CEASE 6/1", 20, || pair.capture.count(&cease) > 0);
    pair.dut.wait_down(pair.peer_address(), 10);
    assert_eq!(
        pair.dut.kernel_gateways(PEER_V4),
        Ok([].into()),
        "nothing of it stays"
    );
    pair.check_packets();
}

/// The peer's operator says why (RFC 9003); ours can read it.
fn shutdown_message(lab: &mut Lab, kind: Kind) {
    let pair = Draft::new(lab, kind, PEER_ASN).start();
    pair.wait_established();
    pair.dut.wait_route(PEER_V4);
    pair.peer
        .shut(pair.dut_address(), "line-card-swap")
        .expect("the peer takes the command");
    pair.dut.wait_down(pair.peer_address(), 10);
    pair.dut.wait_no_route(PEER_V4, 10);
    wait::until("the message at our side", 10, || {
        let text = pair.dut.neighbor_text(pair.peer_address())?;
        if text.contains("line-card-swap") {
            Ok(())
        } else {
            Err(text)
        }
    });
    pair.check_packets();
}

/// SIGTERM says farewell: CEASE, Administrative Shutdown (6/2), and the peer lets go at once.
fn graceful_stop(lab: &mut Lab, kind: Kind) {
    let pair = Draft::new(lab, kind, PEER_ASN).start();
    pair.wait_established();
    pair.peer.wait_route(DUT_V4);
    let started = Instant::now();
    for program in ["wayfare-bgpd", "bird"] {
        pair.dut.node.signal("TERM", program);
    }
    pair.peer.wait_no_route(DUT_V4, 10);
    let took = started.elapsed();
    let farewell = format!("ip.src == {} && bgp.type == 3", pair.dut_address());
    assert!(
        pair.capture.count(&farewell) > 0,
        "no NOTIFICATION on SIGTERM"
    );
    wait::until_true("the daemon's end", 10, || {
        !pair.dut.node.has_process("wayfare-bgpd") && !pair.dut.node.has_process("bird")
    });
    eprintln!(
        "MEASURED graceful stop, {}: withdrawn in {} ms",
        kind.name(),
        took.as_millis()
    );
    pair.check_packets();
}

/// Both sides connect at the same instant (RFC 4271 §6.8); one session comes out of it.
///
/// The wire is cut while both start: their SYNs wait for an answer to ARP. Once it is mended, the
/// first ARP packet resolves both ways at once and both SYNs leave within microseconds.
fn collision(lab: &mut Lab, kind: Kind) {
    let mut draft = Draft::new(lab, kind, PEER_ASN);
    for speaker in [&mut draft.dut, &mut draft.peer] {
        speaker
            .networks
            .retain(|network| network.prefix.addr().is_ipv4());
    }
    let port = Lab::port(&draft.peer_node, "eth0");
    lab.ip(&format!("link set {port} nomaster"));
    let pair = draft.start();
    let mut collided = false;
    for _ in 0..10 {
        wait::until_true("both sides are connecting", 30, || {
            [&pair.dut, &pair.peer]
                .iter()
                .all(|r| sockets(&r.node, "syn-sent") > 0)
        });
        lab.ip(&format!("link set {port} master br0"));
        pair.wait_established();
        collided = streams_with_open(&pair) >= 2;
        if collided {
            break;
        }
        lab.ip(&format!("link set {port} nomaster"));
        restart_both(&pair);
    }
    assert!(collided, "in ten tries the two connections never crossed");
    pair.peer.wait_route(DUT_V4);
    pair.dut.wait_route(PEER_V4);
    wait::until_true("a single connection", 10, || {
        sockets(&pair.dut.node, "established") == 1
    });
    assert_eq!(pair.dut.is_established(pair.peer_address()), Ok(true));
    pair.check_packets();
}

fn restart_both(pair: &Pair) {
    for router in [&pair.dut, &pair.peer] {
        router.kill();
    }
    for router in [&pair.dut, &pair.peer] {
        router.start_again();
    }
}

/// BGP sockets of a node in the state named.
fn sockets(node: &interop::node::Node, state: &str) -> usize {
    let text = node.sh(&format!(
        "ss -Htn state {state} '( sport = :179 or dport = :179 )'"
    ));
    text.lines().count()
}

/// On how many TCP connections we sent an OPEN.
fn streams_with_open(pair: &Pair) -> usize {
    let filter = format!("ip.src == {} && bgp.type == 1", pair.dut_address());
    let mut streams = pair.capture.fields(&filter, &["tcp.stream"]);
    streams.sort();
    streams.dedup();
    streams.len()
}

/// The peer dies without a word and comes back.
fn crash(lab: &mut Lab, kind: Kind) {
    let pair = Draft::new(lab, kind, PEER_ASN).start();
    pair.wait_established();
    let peer = pair.peer_address();
    pair.dut.wait_kernel(PEER_V4, &[peer]);
    let started = Instant::now();
    pair.peer.kill();
    pair.dut.wait_no_route(PEER_V4, 10);
    pair.dut.wait_kernel(PEER_V4, &[]);
    let took = started.elapsed().as_millis();
    eprintln!(
        "MEASURED crash of {}: routes gone in {took} ms",
        kind.name()
    );
    pair.peer.start_again();
    pair.wait_established();
    pair.dut.wait_kernel(PEER_V4, &[peer]);
    if kind.lacks(Feature::KernelTable).is_none() {
        pair.peer.wait_kernel(DUT_V4, &[pair.dut_address()]);
    }
    pair.check_packets();
}

/// Display filter for our NOTIFICATION 6/SUBCODE.
fn cease(pair: &Pair, subcode: u8) -> String {
    format!(
        "ip.src == {} && bgp.notify.major_error == 6 && bgp.notify.minor_error_cease == {subcode}",
        pair.dut_address()
    )
}
