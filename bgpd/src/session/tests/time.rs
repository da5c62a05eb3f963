//! Timers: RFC 4271 §4.4, §8.1.1, §8.1.3 and §10, RFC 9687 §4, and the congestion rule.
//!
//! Nothing waits here: the bench jumps from deadline to deadline, so a day of a quiet session takes
//! no longer than a second of it. Intervals with jitter are checked against both of their bounds.

use std::io::ErrorKind;

use super::*;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A session with these hold times; `None` keeps the default of that side.
fn session(config: PeerConfig, theirs: u16) -> (Bench, ConnId) {
    let (mut bench, conn) = Bench::dialled(config, State::OpenSent);
    let open = Open {
        hold_time_s: theirs,
        ..remote_open()
    };
    bench.frame(conn, &open.to_bytes());
    bench.frame(conn, &KEEPALIVE);
    assert_eq!(bench.peer.state(), State::Established);
    bench.sent(conn);
    bench.actions.clear();
    (bench, conn)
}

#[test]
fn the_smaller_hold_time_holds_rfc4271_4_2() {
    for (ours, theirs, agreed) in [(90, 30, 30), (9, 90, 9), (90, 90, 90)] {
        let (mut bench, _) = session(
            PeerConfig {
                hold_time_s: ours,
                ..config()
            },
            theirs,
        );
        bench.pass(secs(agreed) - Duration::from_millis(1));
        assert_eq!(bench.peer.state(), State::Established, "{ours} {theirs}");
        bench.pass(Duration::from_millis(1));
        assert_eq!(bench.peer.state(), State::Idle, "{ours} {theirs}");
        assert_eq!(code(bench.farewell()), Some((4, 0)));
    }
}

#[test]
fn every_message_restarts_the_hold_timer() {
    let (mut bench, conn) = session(config(), 90);
    for frame in [update(), KEEPALIVE.to_vec(), message(5, &[0, 1, 0, 1])] {
        bench.pass(secs(80));
        bench.frame(conn, &frame);
    }
    assert_eq!(bench.peer.state(), State::Established);
}

#[test]
fn hold_time_zero_means_no_timers_at_all_rfc4271_4_4_rfc9687_4_3() {
    for (ours, theirs) in [(0, 90), (90, 0)] {
        let (mut bench, conn) = session(
            PeerConfig {
                hold_time_s: ours,
                ..config()
            },
            theirs,
        );
        for timer in [Timer::Hold, Timer::Keepalive, Timer::SendHold] {
            assert_eq!(bench.peer.timer(timer), None, "{timer:?}");
        }
        bench.pass(secs(86_400));
        assert_eq!(bench.peer.state(), State::Established);
        assert!(bench.sent(conn).is_empty());
    }
}

#[test]
fn keepalives_come_each_third_of_the_hold_time_with_jitter_rfc4271_10() {
    let (mut bench, conn) = session(config(), 90);
    let mut gaps = Vec::new();
    for _ in 0..200 {
        let at = bench.peer.timer(Timer::Keepalive).expect("runs");
        gaps.push(at - bench.now);
        bench.pass(at - bench.now);
        bench.frame(conn, &KEEPALIVE);
        assert_eq!(bench.sent(conn), [&KEEPALIVE[..]]);
        bench
            .peer
            .handle_written(bench.now, conn, KEEPALIVE.len(), 0);
    }
    assert!(
        gaps.iter()
            .all(|gap| *gap >= secs(30) * 3 / 4 && *gap <= secs(30))
    );
    assert!(gaps.iter().max() != gaps.iter().min(), "jitter");
}

#[test]
fn keepalives_are_never_closer_than_a_second_rfc4271_4_4() {
    let (bench, _) = session(
        PeerConfig {
            hold_time_s: 3,
            ..config()
        },
        3,
    );
    assert_eq!(
        bench.peer.timer(Timer::Keepalive),
        Some(bench.now + secs(1))
    );
}

#[test]
fn configured_keepalive_shortens_but_never_lengthens_the_interval() {
    for (wanted, longest) in [(5, 5), (300, 30)] {
        let config = PeerConfig {
            keepalive: Some(secs(wanted)),
            ..config()
        };
        let (bench, _) = session(config, 90);
        let gap = bench.peer.timer(Timer::Keepalive).expect("runs") - bench.now;
        assert!(
            gap <= secs(longest) && gap >= secs(longest) * 3 / 4,
            "{wanted}: {gap:?}"
        );
    }
}

#[test]
fn blocked_socket_collects_one_keepalive_and_not_a_queue() {
    let (mut bench, conn) = session(config(), 90);
    for _ in 0..8 {
        bench.pass(secs(29));
        bench.frame(conn, &KEEPALIVE);
    }
    assert_eq!(bench.sent(conn).len(), 1);
}

#[test]
fn open_is_awaited_for_four_minutes_rfc4271_8_2_2() {
    let (mut bench, _) = Bench::dialled(config(), State::OpenSent);
    bench.pass(secs(239));
    assert_eq!(bench.peer.state(), State::OpenSent);
    bench.pass(secs(1));
    assert_eq!(code(bench.farewell()), Some((4, 0)));
}

#[test]
fn waiting_input_extends_an_expired_hold_timer_by_ten_seconds() {
    let (mut bench, conn) = session(config(), 90);
    bench.now += secs(89);
    assert!(
        !bench.peer.handle_input_pending(bench.now, conn),
        "not due yet"
    );
    bench.now += secs(1);
    assert!(bench.peer.handle_input_pending(bench.now, conn));
    bench.peer.handle_timeout(bench.now);
    assert_eq!(bench.peer.timer(Timer::Hold), Some(bench.now + secs(10)));
    // The input is read at last: an ordinary session again.
    bench.frame(conn, &update());
    assert_eq!(bench.peer.timer(Timer::Hold), Some(bench.now + secs(90)));
    // Nothing waits: the peer is gone.
    bench.pass(secs(90));
    assert_eq!(bench.peer.state(), State::Idle);
}

/// Keeps the peer's side alive until our bytes have been stuck for `time`.
fn stuck_for(bench: &mut Bench, conn: ConnId, time: Duration) {
    let end = bench.now + time;
    while bench.now < end {
        bench.pass(secs(1).min(end - bench.now));
        bench.frame(conn, &KEEPALIVE);
    }
}

#[test]
fn send_hold_timer_is_8_minutes_or_twice_the_hold_time_rfc9687_4_3() {
    for (hold_time_s, send_hold) in [(90, 480), (300, 600)] {
        let config = PeerConfig {
            hold_time_s,
            ..config()
        };
        let (mut bench, conn) = session(config, hold_time_s);
        stuck_for(&mut bench, conn, secs(send_hold - 1));
        assert_eq!(bench.peer.state(), State::Established);
        stuck_for(&mut bench, conn, secs(1));
        assert_eq!(bench.peer.state(), State::Idle);
        assert_eq!(code(bench.farewell()), Some((8, 0)));
        let abort = |a: &Action| matches!(a, Action::Close { abort: true, .. });
        assert!(
            bench.actions.iter().any(abort),
            "the peer does not read: reset"
        );
        assert_eq!(bench.downs()[0].cause.event.number(), 29);
    }
}

#[test]
fn each_write_restarts_the_send_hold_timer_rfc9687_4_3() {
    let (mut bench, conn) = session(config(), 90);
    for _ in 0..4 {
        stuck_for(&mut bench, conn, secs(400));
        bench.peer.handle_written(bench.now, conn, 1, 0);
    }
    assert_eq!(bench.peer.state(), State::Established);
    // A report of nothing written is none.
    stuck_for(&mut bench, conn, secs(400));
    bench.peer.handle_written(bench.now, conn, 0, 0);
    stuck_for(&mut bench, conn, secs(80));
    assert_eq!(bench.peer.state(), State::Idle);
}

#[test]
fn send_hold_timer_obeys_the_operator() {
    let own = PeerConfig {
        send_hold: Some(secs(20)),
        ..config()
    };
    let (mut bench, conn) = session(own, 90);
    stuck_for(&mut bench, conn, secs(20));
    assert_eq!(bench.peer.state(), State::Idle);
    let off = PeerConfig {
        send_hold: Some(Duration::ZERO),
        ..config()
    };
    let (bench, _) = session(off, 90);
    assert_eq!(bench.peer.timer(Timer::SendHold), None);
}

/// The times between dials while nobody answers.
fn dial_gaps(bench: &mut Bench, count: usize) -> Vec<Duration> {
    let mut gaps = Vec::new();
    for _ in 0..count {
        let at = bench.peer.timer(Timer::ConnectRetry).expect("dials");
        gaps.push(at - bench.now);
        bench.expire(Timer::ConnectRetry);
    }
    gaps
}

#[test]
fn dials_back_off_to_the_cap_and_start_over_after_a_session() {
    let (mut bench, conn) = session(config(), 90);
    bench.conn(conn, ConnEvent::Closed(None));
    bench.expire(Timer::IdleHold);
    for _ in 0..2 {
        for (gap, base) in dial_gaps(&mut bench, 6)
            .into_iter()
            .zip([5, 10, 20, 40, 60, 60])
        {
            assert!(
                gap <= secs(base) && gap >= secs(base) * 3 / 4,
                "{gap:?} of {base}"
            );
        }
        let dial = bench.peer.dial.expect("a dial");
        bench.open(dial, Direction::Outbound);
        bench.frame(dial, &remote_open().to_bytes());
        bench.frame(dial, &KEEPALIVE);
        bench.conn(dial, ConnEvent::Closed(None));
        bench.expire(Timer::IdleHold);
    }
}

#[test]
fn dial_that_hangs_is_given_up_for_the_next() {
    let mut bench = Bench::started(config());
    let first = bench.peer.dial.expect("a dial");
    bench.expire(Timer::ConnectRetry);
    assert!(bench.closed(first));
    assert_ne!(bench.peer.dial, Some(first));
    // It succeeds after all, too late.
    bench.actions.clear();
    bench.open(first, Direction::Outbound);
    assert!(bench.closed(first));
    assert_eq!(bench.peer.state(), State::Connect);
}

#[test]
fn silent_accepted_connection_does_not_stop_our_dialling() {
    let mut bench = Bench::started(config());
    let dial = bench.peer.dial.expect("a dial");
    bench.conn(dial, ConnEvent::Failed(ErrorKind::ConnectionRefused));
    let silent = bench.accept();
    bench.pass(secs(5));
    let dial = bench.peer.dial.expect("dials again");
    bench.open(dial, Direction::Outbound);
    bench.frame(dial, &remote_open().to_bytes());
    bench.frame(dial, &KEEPALIVE);
    assert_eq!(bench.peer.state(), State::Established);
    assert!(bench.closed(silent));
}

/// Fails a session with an error and returns how long the peer stays down.
fn fail(bench: &mut Bench) -> Duration {
    let conn = bench.peer.dial.expect("a dial");
    bench.open(conn, Direction::Outbound);
    bench.frame(conn, &remote_open().to_bytes());
    bench.frame(conn, &KEEPALIVE);
    bench.frame(conn, &remote_open().to_bytes());
    assert_eq!(bench.peer.state(), State::Idle);
    let held = bench.peer.timer(Timer::IdleHold).expect("damped") - bench.now;
    bench.expire(Timer::IdleHold);
    held
}

#[test]
fn errors_hold_the_peer_down_longer_each_time_rfc4271_8_1_1() {
    let mut bench = Bench::started(config());
    for base in [1, 2, 4, 8, 16, 32, 60, 60] {
        let held = fail(&mut bench);
        assert!(
            held <= secs(base) && held >= secs(base) * 3 / 4,
            "{held:?} of {base}"
        );
    }
    assert_eq!(bench.peer.stats().connect_retry_counter, 8);
    // A session that lasts is forgiven everything.
    let conn = bench.peer.dial.expect("a dial");
    bench.open(conn, Direction::Outbound);
    bench.frame(conn, &remote_open().to_bytes());
    bench.frame(conn, &KEEPALIVE);
    bench.pass(secs(60));
    assert_eq!(bench.peer.stats().connect_retry_counter, 0);
    bench.conn(conn, ConnEvent::Closed(None));
    let held = bench.peer.timer(Timer::IdleHold).expect("damped") - bench.now;
    assert!(held <= secs(1));
}

#[test]
fn held_down_peer_refuses_connections_until_event_13() {
    let (mut bench, conn) = session(config(), 90);
    bench.conn(conn, ConnEvent::Closed(None));
    assert_eq!(bench.peer.state(), State::Idle);
    let refused = bench.accept();
    assert!(bench.closed(refused));
    assert_eq!(code(bench.farewell()), Some((6, 5)));
    bench.actions.clear();
    bench.expire(Timer::IdleHold);
    assert_eq!(bench.peer.state(), State::Connect);
    assert_eq!(bench.transitions()[0].cause.event.number(), 13);
}

#[test]
fn peer_without_damping_starts_again_at_once() {
    let (mut bench, conn) = session(
        PeerConfig {
            damping: None,
            ..config()
        },
        90,
    );
    bench.conn(conn, ConnEvent::Closed(None));
    bench.pass(Duration::ZERO);
    assert_eq!(bench.peer.state(), State::Connect);
}

#[test]
fn timeouts_handled_late_lose_nothing() {
    // The driver was away for an hour: one pass settles everything that fell due.
    let (mut bench, _) = session(config(), 90);
    bench.now += secs(3600);
    bench.peer.handle_timeout(bench.now);
    bench.collect();
    assert_eq!(code(bench.farewell()), Some((4, 0)));
    assert!(bench.peer.poll_timeout().is_some_and(|at| at > bench.now));
}
