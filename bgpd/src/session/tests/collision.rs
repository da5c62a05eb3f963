//! Two connections at once: RFC 4271 §6.8, RFC 6286 §2.3, and the loser that waits.
//!
//! Every order of the messages on the two connections is played by hand here, one side only; that
//! both sides come to the same answer is what `sim` shows. Our identifier lies between
//! [`low_id`] (our dial survives) and [`high_id`] (the neighbor's does).

use super::*;

/// Our dial and the peer's connection, both in OpenSent; the peer's identifier decides.
fn both_open() -> (Bench, ConnId, ConnId) {
    let (mut bench, ours) = Bench::dialled(config(), State::OpenSent);
    let theirs = bench.accept();
    bench.sent(theirs);
    bench.actions.clear();
    (bench, ours, theirs)
}

fn open_from(router_id: Ipv4Addr) -> Vec<u8> {
    Open {
        router_id,
        ..remote_open()
    }
    .to_bytes()
    .to_vec()
}

#[test]
fn connection_of_the_higher_identifier_survives_whichever_open_comes_first_rfc4271_6_8() {
    for (id, ours_survives) in [(low_id(), true), (high_id(), false)] {
        for ours_first in [true, false] {
            let (mut bench, ours, theirs) = both_open();
            let order = if ours_first {
                [ours, theirs]
            } else {
                [theirs, ours]
            };
            bench.frame(order[0], &open_from(id));
            assert!(
                !bench.closed(ours) && !bench.closed(theirs),
                "one OPEN decides nothing"
            );
            bench.frame(order[1], &open_from(id));
            assert_eq!(bench.closed(theirs), ours_survives, "{id} {ours_first}");
            assert_eq!(bench.closed(ours), !ours_survives, "{id} {ours_first}");
            assert_eq!(code(bench.farewell()), Some((6, 7)));
            assert_eq!(bench.peer.stats().collisions, 1);
            let survivor = if ours_survives { ours } else { theirs };
            bench.frame(survivor, &KEEPALIVE);
            assert_eq!(bench.ups()[0].conn, survivor);
        }
    }
}

#[test]
fn equal_identifiers_go_by_the_as_number_rfc6286_2_3() {
    // Ours is 64512, the higher one.
    let (mut bench, ours, theirs) = both_open();
    bench.frame(ours, &open_from(local_id()));
    bench.frame(theirs, &open_from(local_id()));
    assert!(bench.closed(theirs) && !bench.closed(ours));
}

/// The loser has its OPEN and KEEPALIVE; the winner has shown nothing yet.
fn loser_confirmed() -> (Bench, ConnId, ConnId) {
    let (mut bench, ours, theirs) = both_open();
    bench.frame(theirs, &open_from(low_id()));
    bench.frame(theirs, &KEEPALIVE);
    assert_eq!(bench.peer.state(), State::OpenConfirm, "the loser waits");
    (bench, ours, theirs)
}

#[test]
fn waiting_loser_gives_way_when_the_winner_shows_its_open() {
    let (mut bench, ours, theirs) = loser_confirmed();
    bench.frame(ours, &open_from(low_id()));
    assert!(bench.closed(theirs));
    bench.frame(ours, &KEEPALIVE);
    assert_eq!(bench.ups()[0].conn, ours);
    assert_eq!(bench.ups()[0].direction, Direction::Outbound);
}

#[test]
fn waiting_loser_takes_over_when_the_winner_ends() {
    for event in [
        ConnEvent::Closed(None),
        ConnEvent::Closed(Some(std::io::ErrorKind::TimedOut)),
    ] {
        let (mut bench, ours, theirs) = loser_confirmed();
        bench.conn(ours, event);
        assert_eq!(bench.ups()[0].conn, theirs);
    }
}

#[test]
fn waiting_loser_takes_over_when_time_is_up() {
    let (mut bench, ours, theirs) = loser_confirmed();
    bench.pass(Duration::from_secs(3));
    assert_eq!(bench.ups()[0].conn, theirs);
    assert!(bench.closed(ours), "a winner that never spoke is closed");
    assert_eq!(code(bench.farewell()), Some((6, 7)));
}

#[test]
fn waiting_loser_takes_over_when_the_peer_sends_routes_on_it() {
    for (frame, kind) in [(update(), 2), (message(5, &[0, 1, 0, 1]), 5)] {
        let (mut bench, ours, theirs) = loser_confirmed();
        assert!(
            !bench.frame(theirs, &frame),
            "message {kind} reaches the caller"
        );
        assert_eq!(bench.ups()[0].conn, theirs);
        assert!(bench.closed(ours));
    }
}

#[test]
fn waiting_loser_without_keepalive_still_refuses_routes() {
    let (mut bench, _, theirs) = both_open();
    bench.frame(theirs, &open_from(low_id()));
    assert!(bench.frame(theirs, &update()));
    assert_eq!(code(bench.farewell()), Some((5, 2)));
    assert_eq!(
        bench.peer.state(),
        State::OpenSent,
        "the other connection lives on"
    );
}

#[test]
fn loser_waits_for_a_winner_that_arrives_after_its_open_too() {
    let (mut bench, ours) = Bench::dialled(config(), State::OpenSent);
    bench.frame(ours, &open_from(high_id()));
    let theirs = bench.accept();
    bench.frame(ours, &KEEPALIVE);
    assert_eq!(bench.peer.state(), State::OpenConfirm);
    bench.frame(theirs, &open_from(high_id()));
    assert!(bench.closed(ours));
    bench.frame(theirs, &KEEPALIVE);
    assert_eq!(bench.ups()[0].conn, theirs);
}

#[test]
fn winner_waits_for_nobody() {
    let (mut bench, ours, theirs) = both_open();
    bench.frame(theirs, &open_from(high_id()));
    bench.frame(theirs, &KEEPALIVE);
    assert_eq!(bench.ups()[0].conn, theirs);
    assert!(bench.closed(ours));
}

#[test]
fn keepalives_while_waiting_do_not_prolong_the_wait() {
    let (mut bench, _, theirs) = loser_confirmed();
    for _ in 0..2 {
        bench.pass(Duration::from_secs(1));
        bench.frame(theirs, &KEEPALIVE);
    }
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.ups()[0].conn, theirs);
}

#[test]
fn accepted_open_ends_a_dial_under_way() {
    let mut bench = Bench::started(config());
    let dial = bench.peer.dial.expect("a dial");
    let theirs = bench.accept();
    assert!(!bench.closed(dial), "an open connection alone may be dead");
    bench.frame(theirs, &open_from(low_id()));
    assert!(bench.closed(dial));
    // Its late success is closed too.
    bench.actions.clear();
    bench.open(dial, Direction::Outbound);
    assert!(bench.closed(dial));
    bench.frame(theirs, &KEEPALIVE);
    assert_eq!(bench.ups()[0].conn, theirs);
}

#[test]
fn second_accepted_connection_replaces_the_first() {
    let (mut bench, ours, first) = both_open();
    let second = bench.accept();
    assert!(bench.closed(first) && !bench.closed(second) && !bench.closed(ours));
    assert_eq!(bench.peer.conns.len(), 2);
    bench.frame(second, &open_from(high_id()));
    bench.frame(second, &KEEPALIVE);
    assert_eq!(bench.ups()[0].conn, second);
}

#[test]
fn peer_that_closes_our_loser_leaves_us_listening_for_its_winner() {
    // Its Cease overtakes its own dial, which must not find us in Idle.
    let (mut bench, ours) = Bench::dialled(config(), State::OpenConfirm);
    let cease = Notification::cease(CeaseSubcode::ConnectionCollision);
    bench.frame(ours, &cease.to_bytes());
    assert_eq!(bench.peer.state(), State::Active);
    let theirs = bench.accept();
    bench.frame(theirs, &open_from(high_id()));
    bench.frame(theirs, &KEEPALIVE);
    assert_eq!(bench.peer.state(), State::Established);
}

#[test]
fn peer_that_turns_our_dial_away_finds_us_listening() {
    let (mut bench, ours) = Bench::dialled(config(), State::OpenSent);
    let cease = Notification::cease(CeaseSubcode::ConnectionRejected);
    bench.frame(ours, &cease.to_bytes());
    assert_eq!(bench.peer.state(), State::Active);
    // An established session that ends like this is damped as any other.
    let (mut bench, conn) = Bench::established();
    bench.frame(conn, &cease.to_bytes());
    assert_eq!(bench.peer.state(), State::Idle);
}

#[test]
fn events_of_a_forgotten_connection_are_ignored() {
    let (mut bench, ours, theirs) = both_open();
    bench.frame(ours, &open_from(low_id()));
    bench.frame(theirs, &open_from(low_id()));
    bench.frame(ours, &KEEPALIVE);
    bench.actions.clear();
    bench.frame(theirs, &KEEPALIVE);
    bench.conn(theirs, ConnEvent::Closed(None));
    bench
        .peer
        .send_notification(bench.now, theirs, Notification::new(3, 1));
    bench.peer.handle_written(bench.now, theirs, 100, 5);
    assert!(bench.actions.is_empty());
    assert_eq!(bench.peer.poll_transmit(theirs), None);
    assert_eq!(bench.peer.stats().sent.update, 0);
}
