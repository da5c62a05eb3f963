//! Time: skew, learning, delays, handing over, and a process that stood still.

use proto_codec::vrrp::Version;

use super::super::super::event::Why;
use super::super::transit::LINGER;
use super::*;

/// RFC 9568 §6.1 in nanoseconds, RFC 3768 §6.1 in fractions of a second.
#[test]
fn skew_is_exact_at_every_interval() {
    let fast = Settings {
        interval: ms(10),
        ..settings()
    };
    assert_eq!(fast.skew(100, ms(10)), Duration::from_nanos(6_093_750));
    assert_eq!(fast.skew(255, ms(10)), Duration::from_nanos(39_062));
    assert_eq!(
        fast.down_interval(100, ms(10)),
        Duration::from_nanos(36_093_750)
    );
    let two = Settings {
        version: Version::V2,
        ..settings()
    };
    // Independent of the interval.
    assert_eq!(two.skew(100, 5 * SECOND), Duration::from_micros(609_375));
}

/// Skew follows the effective priority, which tracking lowers.
#[test]
fn a_lowered_priority_waits_longer() {
    let now = Instant::now();
    let (mut router, _) = in_state(State::Backup, settings(), now);
    weigh(&mut router, now, -50);
    assert_eq!(router.effective_priority(), 50);
    hear(&mut router, now, "10.0.0.3", 200);
    assert_eq!(
        router.timers.down,
        Some(now + 3 * SECOND + SECOND * 206 / 256)
    );
    weigh(&mut router, now, -500);
    assert_eq!(router.effective_priority(), 2, "1 is for who is sick");
    weigh(&mut router, now, 500);
    assert_eq!(router.effective_priority(), 254);
}

/// RFC 9568 §6.1: the master's interval is learned, also a changing one, without an election.
#[test]
fn the_interval_of_the_master_is_learned() {
    let mut now = Instant::now();
    let (mut router, _) = in_state(State::Backup, settings(), now);
    for interval in [10, 40_950, 300, 10, 2000] {
        let theirs = Settings {
            interval: ms(interval),
            ..settings()
        };
        let (envelope, message) = advert(&theirs, "10.0.0.3", 200);
        router.handle_advert(now, &envelope, &message);
        let expected = 3 * ms(interval) + ms(interval) * 156 / 256;
        assert_eq!(router.timers.down, Some(now + expected), "{interval} ms");
        now += ms(20);
        router.handle_timeout(now);
        assert_eq!(router.state(), State::Backup);
    }
}

/// Preemption waits for its delay, counted from the first advert of the worse master.
#[test]
fn a_worse_master_is_left_alone_for_the_preempt_delay() {
    let start = Instant::now();
    let delayed = Settings {
        preempt_delay: 10 * SECOND,
        ..settings()
    };
    let (mut router, _) = in_state(State::Backup, delayed, start);
    let mut now = start;
    while router.state() == State::Backup {
        hear(&mut router, now, "10.0.0.3", 50);
        now += SECOND;
        router.handle_timeout(now);
        assert!(now < start + 20 * SECOND, "it never preempts");
    }
    assert!(
        now >= start + 12 * SECOND,
        "not before the delay and a down interval"
    );
    let why = events(&mut router)
        .into_iter()
        .find_map(|event| match event {
            Event::Transition { why, .. } => Some(why),
            _ => None,
        });
    assert_eq!(why, Some(Why::Preempt(ip("10.0.0.3"))));
}

#[test]
fn a_start_delay_is_kept_and_faults_wait_for_it() {
    let start = Instant::now();
    let delayed = Settings {
        start_delay: 5 * SECOND,
        ..settings()
    };
    let mut router = started(delayed, start);
    router.hold(start);
    router.resume(start + SECOND);
    assert_eq!(router.state(), State::Initialize);
    router.handle_timeout(start + 5 * SECOND);
    assert_eq!(router.state(), State::Backup);
}

/// Make before break: the addresses stay until the successor is heard, and a little longer.
#[test]
fn a_stopping_master_waits_for_its_successor() {
    let (mut router, now) = in_state(State::Master, settings(), Instant::now());
    router.shut_down(now);
    assert_eq!(actions(&mut router), ["send 0"]);
    assert!(!router.is_idle());
    let heard = now + ms(609);
    hear(&mut router, heard, "10.0.0.1", 50);
    assert_eq!(router.poll_timeout(), Some(heard + LINGER));
    router.handle_timeout(heard + LINGER);
    assert_eq!(actions(&mut router), ["let go"]);
    assert!(router.is_idle());
}

/// Without a successor it waits for the slowest backup there can be, not for ever.
#[test]
fn a_stopping_master_without_a_backup_lets_go() {
    let (mut router, now) = in_state(State::Master, settings(), Instant::now());
    router.shut_down(now);
    let due = router.poll_timeout().expect("it waits");
    assert_eq!(due, now + ms(1100));
    router.handle_timeout(due);
    assert!(router.is_idle());
}

/// A master that is back before its addresses went does not touch them.
#[test]
fn a_master_that_returns_within_the_linger_keeps_its_addresses() {
    let (mut router, now) = in_state(State::Master, settings(), Instant::now());
    hear(&mut router, now + ms(200), "10.0.0.3", 200);
    hear(&mut router, now + ms(201), "10.0.0.3", 0);
    router.timers.down = Some(now + ms(205));
    router.handle_timeout(now + ms(205));
    let all = actions(&mut router);
    assert_eq!(all, ["announce", "send 100"], "neither let go nor taken");
    assert_eq!(router.timers.let_go, None);
}

/// Release hands over and does not preempt until resume, though this router is better.
#[test]
fn a_released_master_leaves_the_successor_alone() {
    let (mut router, mut now) = in_state(State::Master, settings(), Instant::now());
    assert!(router.release(now));
    for _ in 0..20 {
        now += ms(700);
        hear(&mut router, now, "10.0.0.3", 50);
        router.handle_timeout(now);
        assert_eq!(router.state(), State::Backup);
    }
    router.resume(now);
    for _ in 0..6 {
        now += ms(700);
        hear(&mut router, now, "10.0.0.3", 50);
        router.handle_timeout(now);
    }
    assert_eq!(router.state(), State::Master);
}

/// Test 11 of the design: a resumed master notices before it sends anything.
#[test]
fn a_master_that_stood_still_yields_before_it_speaks() {
    for through_advert in [false, true] {
        let (mut router, now) = in_state(State::Master, settings(), Instant::now());
        let later = now + 5 * SECOND;
        if through_advert {
            hear(&mut router, later, "10.0.0.3", 50);
        } else {
            router.handle_timeout(later);
        }
        assert_eq!(router.state(), State::Backup);
        let sent = actions(&mut router);
        assert!(
            sent.iter().all(|action| !action.starts_with("send")),
            "{sent:?}"
        );
        assert!(sent.contains(&"let go".to_owned()));
    }
}

/// Nor does it announce or put back what expired meanwhile, whatever it comes to know first: the
/// kernel's word that the addresses went, or a reload.
#[test]
fn a_master_that_stood_still_announces_nothing() {
    let (mut router, now) = in_state(State::Master, settings(), Instant::now());
    assert!(router.take_back(now + SECOND), "taken off by hand");
    assert!(router.take_back(now + SECOND), "a second address");
    assert_eq!(actions(&mut router), ["take", "announce"]);
    assert!(!router.take_back(now + 5 * SECOND));
    assert_eq!(router.state(), State::Backup);
    assert_eq!(actions(&mut router), ["let go"]);

    let (mut router, now) = in_state(State::Master, settings(), Instant::now());
    let other = Settings {
        addresses: vec![ip(VIP), ip("10.0.0.51")],
        ..settings()
    };
    router.reconfigure(now + 5 * SECOND, other);
    assert_eq!(actions(&mut router), ["let go"]);

    // One that was handing over when it was stopped: its time is over too.
    let (mut router, now) = in_state(State::Master, settings(), Instant::now());
    router.release(now);
    assert_eq!(actions(&mut router), ["send 0"]);
    assert!(router.take_back(now + ms(10)), "still answering");
    assert_eq!(actions(&mut router), ["take"]);
    assert!(!router.take_back(now + 5 * SECOND));
    assert_eq!(actions(&mut router), Vec::<String>::new());
}

/// What the kernel did not send is not counted as sent, and told once.
#[test]
fn adverts_that_did_not_leave_are_told() {
    let (mut router, now) = in_state(State::Master, settings(), Instant::now());
    let before = router.stats().adverts_sent;
    for n in 1..=5 {
        router.handle_timeout(now + n * SECOND);
        router.not_sent(now + n * SECOND, "Operation not permitted");
    }
    assert_eq!(router.stats().adverts_sent, before);
    let told = events(&mut router);
    assert!(
        matches!(&told[..], [Event::Unsent { count: 1, .. }]),
        "{told:?}"
    );
}

/// A small delay is no reason to yield: no backup has taken over yet.
#[test]
fn a_master_that_is_a_little_late_goes_on() {
    let (mut router, now) = in_state(State::Master, settings(), Instant::now());
    router.timers.announce = None;
    router.handle_timeout(now + 3 * SECOND);
    assert_eq!(router.state(), State::Master);
    assert_eq!(actions(&mut router), ["send 100"]);
    // Not three adverts for the three that are missing.
    assert_eq!(router.timers.advert, Some(now + 4 * SECOND));
}

/// A backup that stood still waits once more, and only once.
#[test]
fn a_backup_that_stood_still_does_not_blame_the_master() {
    let now = Instant::now();
    let (mut router, _) = in_state(State::Backup, settings(), now);
    let late = now + 20 * SECOND;
    router.handle_timeout(late);
    assert_eq!(router.state(), State::Backup);
    router.handle_timeout(late + 20 * SECOND);
    assert_eq!(router.state(), State::Master);
}

/// An advert changes nothing but what it must: adverts keep their beat under a flood of answers.
#[test]
fn answers_to_a_deaf_peer_are_bounded() {
    let (mut router, now) = in_state(State::Master, settings(), Instant::now());
    router.timers.announce = None;
    let mut all = Vec::new();
    for n in 1..1000 {
        hear(&mut router, now + ms(n), "10.0.0.1", 50);
        all.extend(actions(&mut router));
    }
    let count = |word| all.iter().filter(|action| action.as_str() == word).count();
    assert!(count("send 100") <= 8, "{}", count("send 100"));
    assert!(count("announce") <= 10, "{}", count("announce"));
    assert_eq!(router.timers.advert, Some(now + SECOND));
    let kinds: Vec<_> = router.conflicts().map(|one| one.kind.name()).collect();
    assert_eq!(kinds, ["two-masters"]);
}

/// The burst after a transition counts among the ten: at 199 ms a peer is answered, at 200 ms the
/// next of the burst is due.
#[test]
fn answers_and_bursts_together_are_bounded() {
    let (mut router, now) = in_state(State::Master, settings(), Instant::now());
    router.timers.announce = Some(now + ms(200));
    let mut told = 0;
    for n in 199..1199 {
        router.handle_timeout(now + ms(n));
        hear(&mut router, now + ms(n), "10.0.0.1", 50);
        let all = actions(&mut router);
        told += all.iter().filter(|action| *action == "announce").count();
    }
    assert!(told <= 10, "{told} announcements in a second");
}

/// Conflicts end when they are not seen any more.
#[test]
fn a_conflict_is_resolved_when_it_is_gone() {
    let (mut router, now) = in_state(State::Backup, settings(), Instant::now());
    let other = Settings {
        interval: ms(300),
        ..settings()
    };
    let (envelope, message) = advert(&other, "10.0.0.3", 200);
    router.handle_advert(now, &envelope, &message);
    events(&mut router);
    hear(&mut router, now + 11 * SECOND, "10.0.0.3", 200);
    let resolved = events(&mut router);
    assert!(
        matches!(&resolved[..], [Event::Resolved(one)] if one.kind.name() == "interval-differs")
    );
    assert_eq!(router.conflicts().count(), 0);
}

/// A reload of priority, interval or addresses is no election.
#[test]
fn other_settings_move_nothing() {
    let (mut router, now) = in_state(State::Master, settings(), Instant::now());
    let other = Settings {
        priority: 150,
        interval: ms(100),
        addresses: vec![ip(VIP), ip("10.0.0.51")],
        ..settings()
    };
    router.reconfigure(now, other);
    assert_eq!(router.state(), State::Master);
    assert_eq!(actions(&mut router), ["take", "announce"]);
    router.handle_timeout(now + ms(100));
    assert_eq!(actions(&mut router), ["send 150"]);
}
