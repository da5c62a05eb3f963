//! Graceful restart as the session sees it: which routes may stay (RFC 4724 §4.2, RFC 8538 §4).
//!
//! Sessions of all four combinations of the N bit are ended in every way there is; the `Down` that
//! follows must keep exactly what the neighbor listed, or nothing. Then the other half: a peer that
//! comes back while its old session still stands.

use proto_codec::bgp::capability::{GracefulRestart, GracefulRestartFamily};

use super::*;

/// A session in which the neighbor offered graceful restart for IPv4 with 120 s.
fn graceful(ours_n: bool, theirs_n: bool) -> (Bench, ConnId) {
    let mut config = config();
    config.offer.families = [true, true];
    config.offer.graceful_restart = Some(GracefulRestartOffer {
        restart_time_s: 0,
        restarting: false,
        notification: ours_n,
        families: [None, None],
    });
    let mut open = remote_open();
    open.capabilities
        .push(Capability::Multiprotocol(AfiSafi::IPV6_UNICAST));
    let families = vec![GracefulRestartFamily {
        afi_safi: AfiSafi::IPV4_UNICAST,
        forwarding: true,
    }];
    open.capabilities
        .push(Capability::GracefulRestart(GracefulRestart {
            restarting: false,
            notification: theirs_n,
            restart_time_s: 120,
            families,
        }));
    let (mut bench, conn) = Bench::dialled(config, State::OpenSent);
    bench.frame(conn, &open.to_bytes());
    bench.frame(conn, &KEEPALIVE);
    bench.actions.clear();
    (bench, conn)
}

fn kept(bench: &Bench) -> [bool; 2] {
    let downs = bench.downs();
    assert_eq!(downs.len(), 1);
    if downs[0].stale.any() {
        assert_eq!(downs[0].stale.restart_time, Duration::from_secs(120));
    }
    downs[0].stale.keep
}

#[test]
fn lost_connection_keeps_the_families_the_peer_listed_rfc4724_4_2() {
    for event in [
        ConnEvent::Closed(None),
        ConnEvent::Closed(Some(std::io::ErrorKind::TimedOut)),
    ] {
        let (mut bench, conn) = graceful(false, false);
        bench.conn(conn, event);
        assert_eq!(kept(&bench), [true, false]);
    }
    let (mut bench, conn) = Bench::established();
    bench.conn(conn, ConnEvent::Closed(None));
    assert_eq!(kept(&bench), [false, false], "not negotiated");
}

#[test]
fn notification_keeps_routes_only_with_both_n_bits_rfc8538_4() {
    for (ours, theirs) in [(false, false), (true, false), (false, true), (true, true)] {
        let both = ours && theirs;
        let (mut bench, conn) = graceful(ours, theirs);
        bench.frame(conn, &Notification::new(6, 6).to_bytes());
        assert_eq!(kept(&bench), [both, false], "received, {ours} {theirs}");
        let (mut bench, _) = graceful(ours, theirs);
        bench.expire(Timer::Hold);
        assert_eq!(kept(&bench), [both, false], "hold timer, {ours} {theirs}");
    }
}

#[test]
fn hard_reset_always_removes_rfc8538_3_1() {
    let (mut bench, conn) = graceful(true, true);
    let hard = Notification::hard_reset(&shutdown("gone"));
    bench.frame(conn, &hard.to_bytes());
    assert_eq!(kept(&bench), [false, false]);
}

#[test]
fn shutdown_goes_out_as_a_hard_reset_where_it_is_understood_rfc8538_5() {
    let (mut bench, _) = graceful(true, true);
    bench.command(Command::Stop(shutdown("for good")));
    let farewell = bench.farewell().expect("a NOTIFICATION");
    assert!(farewell.is_hard_reset());
    assert_eq!(farewell.inner(), Some(shutdown("for good")));
    assert_eq!(kept(&bench), [false, false]);

    let (mut bench, _) = graceful(true, false);
    bench.command(Command::Stop(shutdown("for good")));
    assert_eq!(bench.farewell(), Some(shutdown("for good")));
    // A change of configuration is no farewell: the routes may wait.
    let (mut bench, _) = graceful(true, true);
    let change = Notification::cease(CeaseSubcode::OtherConfigurationChange);
    bench.command(Command::Reset(change.clone(), Restart::AtOnce));
    assert_eq!(
        (bench.farewell(), kept(&bench)),
        (Some(change), [true, false])
    );
}

#[test]
fn new_connection_of_a_graceful_peer_takes_over_rfc4724_4_2() {
    let (mut bench, old) = graceful(false, false);
    let late = bench.accept();
    assert!(
        bench.closed(late) && !bench.closed(old),
        "a collision's tail, not a restart"
    );
    bench.actions.clear();
    bench.pass(Duration::from_secs(10));
    let new = bench.accept();
    assert!(bench.closed(old) && !bench.closed(new));
    assert_eq!(kept(&bench), [true, false]);
    assert_eq!(bench.downs()[0].cause.reason, Some(DownReason::Reconnected));
    assert_eq!(
        bench.farewell(),
        None,
        "no NOTIFICATION: the peer must not see an error"
    );
    assert_eq!(bench.peer.state(), State::OpenSent);
    bench.frame(new, &remote_open().to_bytes());
    bench.frame(new, &KEEPALIVE);
    assert_eq!(bench.ups().len(), 1);
}

#[test]
fn new_connection_of_an_established_peer_is_refused_otherwise_rfc4271_6_8() {
    let (mut bench, old) = Bench::established();
    let new = bench.accept();
    assert!(bench.closed(new) && !bench.closed(old));
    assert_eq!(code(bench.farewell()), Some((6, 7)));
    assert_eq!(
        (bench.peer.state(), bench.peer.stats().refused),
        (State::Established, 1)
    );
    // Unless the operator wants it so even with graceful restart.
    let (mut bench, old) = graceful(false, false);
    let refuse = EstablishedCollision::Refuse;
    let config = PeerConfig {
        established_collision: refuse,
        ..bench.peer.config().clone()
    };
    bench.peer.update_config(bench.now, config);
    bench.pass(Duration::from_secs(10));
    let new = bench.accept();
    assert!(bench.closed(new) && !bench.closed(old));
}
