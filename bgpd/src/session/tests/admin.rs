//! Commands, configuration changes, counters.
//!
//! Starting, stopping and starting again are judged by what the neighbor sees (the NOTIFICATION)
//! and by the state after; a configuration change by what it says it does to the session, and by
//! the session still being there.

use std::io::ErrorKind;

use proto_codec::afi::Family;
use proto_codec::bgp::{RefreshSubtype, RouteRefresh};

use super::*;

fn passive() -> PeerConfig {
    PeerConfig {
        passive: true,
        ..config()
    }
}

#[test]
fn passive_peer_waits_and_never_dials_rfc4271_8_2_1() {
    let mut bench = Bench::started(passive());
    assert_eq!(bench.peer.state(), State::Active);
    assert_eq!(bench.transitions()[0].cause.event.number(), 4);
    bench.pass(Duration::from_secs(3600));
    assert!(
        !bench
            .actions
            .iter()
            .any(|a| matches!(a, Action::Connect(_)))
    );
    let conn = bench.accept();
    bench.frame(conn, &remote_open().to_bytes());
    bench.frame(conn, &KEEPALIVE);
    assert_eq!(bench.peer.state(), State::Established);
    // Lost again: it listens at once, there is nothing to damp.
    bench.conn(conn, ConnEvent::Closed(None));
    assert_eq!(bench.peer.state(), State::Active);
}

#[test]
fn shutdown_communication_goes_out_and_comes_in_rfc9003_2() {
    let (mut bench, _) = Bench::established();
    bench.command(Command::Stop(shutdown("moving rack 7")));
    let farewell = bench.farewell().expect("a NOTIFICATION");
    assert_eq!(
        farewell.shutdown_message().as_deref(),
        Some("moving rack 7")
    );
    assert!(bench.peer.is_stopped());

    let (mut bench, conn) = Bench::established();
    bench.frame(conn, &shutdown("back at noon").to_bytes());
    let reason = bench.downs()[0].cause.reason.clone().expect("a reason");
    assert!(reason.to_string().contains("back at noon"), "{reason}");
    let received = bench.peer.stats().last_received.clone().expect("kept");
    assert_eq!(received.shutdown_message().as_deref(), Some("back at noon"));
}

#[test]
fn stop_empties_what_was_unsent_before_the_notification() {
    let mut bench = Bench::started(config());
    let conn = bench.peer.dial.expect("a dial");
    bench.open(conn, Direction::Outbound);
    bench.command(Command::Stop(shutdown("")));
    let Some(Action::Close { farewell, .. }) = bench
        .actions
        .iter()
        .find(|a| matches!(a, Action::Close { .. }))
    else {
        panic!("no close");
    };
    assert_eq!((farewell[18], farewell.len() > 21), (1, true), "OPEN first");
    assert_eq!(code(last_notification(farewell)), Some((6, 2)));
    assert_eq!(
        bench.peer.poll_timeout(),
        None,
        "a stopped peer has no timers"
    );
}

#[test]
fn reset_at_once_dials_again_without_any_backoff() {
    let (mut bench, _) = Bench::established();
    bench.command(Command::Reset(reset(), Restart::AtOnce));
    assert_eq!(code(bench.farewell()), Some((6, 4)));
    assert_eq!(bench.peer.state(), State::Connect);
    let steps: Vec<_> = bench
        .transitions()
        .iter()
        .map(|t| (t.from, t.to, t.cause.event.number()))
        .collect();
    assert_eq!(
        steps,
        [
            (State::Established, State::Idle, 8),
            (State::Idle, State::Connect, 3)
        ]
    );
}

#[test]
fn too_many_prefixes_keep_the_peer_down_as_long_as_configured_rfc4486_4() {
    let cease = maximum_prefixes(Family::Ipv6Unicast, 1000);
    assert_eq!(cease.data.as_ref(), [0, 2, 1, 0, 0, 3, 0xe8]);
    let (mut bench, _) = Bench::established();
    let restart = Restart::After(Duration::from_secs(600));
    bench.command(Command::Reset(cease.clone(), restart));
    assert_eq!(code(bench.farewell()), Some((6, 1)));
    bench.pass(Duration::from_secs(599));
    assert_eq!(bench.peer.state(), State::Idle);
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.peer.state(), State::Connect);

    let (mut bench, _) = Bench::established();
    bench.command(Command::Reset(cease, Restart::Never));
    bench.pass(Duration::from_secs(36_000));
    assert_eq!(
        (bench.peer.state(), bench.peer.is_stopped()),
        (State::Idle, false)
    );
    bench.command(Command::Start);
    assert_eq!(
        bench.peer.state(),
        State::Connect,
        "a start clears the hold-down"
    );
}

#[test]
fn bfd_down_resets_with_damping_rfc9384_3() {
    let (mut bench, _) = Bench::established();
    let cease = Notification::cease(CeaseSubcode::BfdDown);
    bench.command(Command::Reset(cease, Restart::Damped));
    assert_eq!(code(bench.farewell()), Some((6, 10)));
    assert_eq!(bench.peer.state(), State::Idle);
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.peer.state(), State::Connect);
}

#[test]
fn reset_of_a_stopped_peer_changes_nothing() {
    let mut bench = Bench::new(config());
    bench.command(Command::Reset(reset(), Restart::AtOnce));
    assert_eq!(bench.peer.state(), State::Idle);
    assert!(bench.actions.is_empty());
}

#[test]
fn capability_and_hold_time_changes_wait_for_the_next_open() {
    let (mut bench, _) = Bench::established();
    let mut new = config();
    new.hold_time_s = 30;
    new.offer.families = [true, true];
    new.connect_retry = Duration::from_secs(9);
    let effect = bench.peer.update_config(bench.now, new.clone());
    assert_eq!(
        effect.next_session,
        [ConfigField::HoldTime, ConfigField::Capabilities]
    );
    assert_eq!(effect.now, [ConfigField::ConnectRetry]);
    assert!(effect.reset.is_empty());
    assert_eq!(bench.peer.state(), State::Established);
    let pending = bench.peer.pending_changes();
    let hold_time = format!("hold time {} s", new.hold_time_s);
    assert_eq!(pending, [hold_time.as_str(), "multiprotocol ipv6-unicast"]);
    let effect = bench.peer.update_config(bench.now, config());
    assert_eq!(effect.next_session.len(), 2);
    assert!(bench.peer.pending_changes().is_empty(), "changed back");
    let mut fewer = config();
    fewer.offer.extended_messages = false;
    bench.peer.update_config(bench.now, fewer);
    assert_eq!(bench.peer.pending_changes(), ["no extended-message"]);
}

#[test]
fn configuration_that_contradicts_the_session_is_named_but_not_enforced() {
    let (mut bench, _) = Bench::established();
    let other = PeerConfig {
        remote_asn: AsnRule::Exact(1),
        ..config()
    };
    let effect = bench.peer.update_config(bench.now, other);
    assert_eq!(effect.reset, [ConfigField::RemoteAsn]);
    assert_eq!(bench.peer.state(), State::Established);
    // A rule that the present peer satisfies is no contradiction.
    let external = PeerConfig {
        remote_asn: AsnRule::External,
        ..config()
    };
    let effect = bench.peer.update_config(bench.now, external);
    assert_eq!(
        (effect.now, effect.reset),
        (vec![ConfigField::RemoteAsn], vec![])
    );
}

#[test]
fn peer_that_becomes_active_starts_dialling() {
    let mut bench = Bench::started(passive());
    assert_eq!(bench.peer.poll_timeout(), None);
    let effect = bench.peer.update_config(bench.now, config());
    assert_eq!(effect.now, [ConfigField::Passive]);
    bench.pass(Duration::from_secs(5));
    assert_eq!(bench.peer.state(), State::Connect);
    // And back: the dial under way may finish, but no further one begins.
    bench.peer.update_config(bench.now, passive());
    let dial = bench.peer.dial.expect("a dial");
    bench.conn(dial, ConnEvent::Failed(ErrorKind::TimedOut));
    bench.actions.clear();
    bench.pass(Duration::from_secs(3600));
    assert!(bench.actions.is_empty());
}

#[test]
fn messages_are_counted_by_type_both_ways() {
    let (mut bench, conn) = Bench::established();
    bench.frame(conn, &update());
    bench.frame(conn, &KEEPALIVE);
    bench.frame(conn, &message(5, &[0, 1, 0, 1]));
    bench.peer.handle_written(bench.now, conn, 500, 3);
    bench.command(Command::Stop(shutdown("")));
    let stats = bench.peer.stats();
    let (sent, received) = (stats.sent, stats.received);
    assert_eq!(
        (sent.open, sent.keepalive, sent.update, sent.notification),
        (1, 1, 3, 1)
    );
    assert_eq!(
        (received.open, received.keepalive, received.update),
        (1, 2, 1)
    );
    assert_eq!(
        (received.route_refresh, received.total(), sent.total()),
        (1, 5, 6)
    );
    assert_eq!(
        (stats.established, stats.dropped, stats.bytes_sent),
        (1, 1, 500)
    );
}

#[test]
fn history_keeps_the_last_transitions_only() {
    let mut bench = Bench::started(config());
    bench.pass(Duration::from_secs(7200));
    let history: Vec<_> = bench.peer.stats().history().collect();
    assert_eq!(history.len(), HISTORY_MAX);
    assert!(history.windows(2).all(|pair| pair[0].at <= pair[1].at));
}

fn refresh(family: Family, subtype: RefreshSubtype) -> RouteRefresh {
    RouteRefresh {
        afi_safi: family.afi_safi(),
        subtype,
    }
}

#[test]
fn refresh_is_sent_only_where_negotiated_rfc2918_4() {
    let request = refresh(Family::Ipv4Unicast, RefreshSubtype::Request);
    let (mut bench, conn) = Bench::established();
    assert_eq!(bench.peer.send_refresh(request), Ok(()));
    assert_eq!(bench.sent(conn)[0][18], 5);
    for not_negotiated in [
        refresh(Family::Ipv6Unicast, RefreshSubtype::Request),
        // The neighbor did not offer RFC 7313.
        refresh(Family::Ipv4Unicast, RefreshSubtype::Begin),
    ] {
        let refused = bench.peer.send_refresh(not_negotiated);
        assert_eq!(refused, Err(RefreshRefused::NotNegotiated));
    }
    for _ in 0..OUTBOX_MAX {
        assert_eq!(bench.peer.send_refresh(request), Ok(()));
    }
    assert_eq!(
        bench.peer.send_refresh(request),
        Err(RefreshRefused::QueueFull)
    );
    let mut idle = Bench::new(config());
    assert_eq!(
        idle.peer.send_refresh(request),
        Err(RefreshRefused::NotEstablished)
    );
}

#[test]
fn received_refresh_is_handed_on_or_ignored_and_counted() {
    let (mut bench, conn) = Bench::established();
    assert!(!bench.frame(conn, &message(5, &[0, 1, 0, 1])));
    // Another family, a demarcation without RFC 7313, an unknown subtype.
    for body in [[0, 2, 0, 1], [0, 1, 1, 1], [0, 1, 77, 1]] {
        assert!(bench.frame(conn, &message(5, &body)));
    }
    assert_eq!(bench.peer.stats().refresh_ignored, 3);
    assert_eq!(bench.peer.state(), State::Established);
    bench.frame(conn, &message(5, &[0, 1, 1, 1, 9]));
    assert_eq!(code(bench.farewell()), Some((7, 1)), "RFC 7313 §5");
}
