//! The receive ladder: whatever fails changes no timer and no state, and is counted by its reason.

use proptest::prelude::*;
use proto_codec::vrrp::Version;

use super::*;

/// State, timers and actions: what a discarded advert must not touch.
fn untouchable(router: &Router) -> (State, Vec<Option<Instant>>, usize) {
    let timers = &router.timers;
    let list = [
        timers.start,
        timers.advert,
        timers.down,
        timers.let_go,
        timers.announce,
    ];
    (router.state(), list.to_vec(), router.actions.len())
}

/// One advert per rung, with the counter it goes to.
fn rungs() -> Vec<(&'static str, Settings, Envelope, Vec<u8>)> {
    let three = settings();
    let two = Settings {
        version: Version::V2,
        auth: Auth::Pass(*b"secret\0\0"),
        ..settings()
    };
    let unicast = Settings {
        unicast_peers: vec![ip("10.0.0.9")],
        ..settings()
    };
    let mut rows = Vec::new();
    let mut row = |name, settings: &Settings, change: &dyn Fn(&mut Envelope, &mut Vec<u8>)| {
        let (mut envelope, mut message) = advert(settings, "10.0.0.3", 200);
        change(&mut envelope, &mut message);
        rows.push((name, settings.clone(), envelope, message));
    };
    row("hop-limit", &three, &|envelope, _| envelope.hop_limit = 254);
    row("destination", &three, &|envelope, _| {
        envelope.destination = ip(OWN);
    });
    row("destination", &unicast, &|_, _| {});
    row("unknown-peer", &unicast, &|envelope, _| {
        envelope.destination = ip(OWN);
    });
    row("truncated", &three, &|_, message| message.truncate(5));
    row("length", &three, &|_, message| message.truncate(11));
    row("checksum", &three, &|_, message| message[7] ^= 0x10);
    row("version", &three, &|envelope, message| {
        *message = advert(&two, "10.0.0.3", 200).1;
        let _ = envelope;
    });
    row("own-address", &three, &|envelope, message| {
        (*envelope, *message) = advert(&settings(), OWN, 200);
    });
    let other = |change: fn(&mut Settings)| {
        let mut settings = two.clone();
        change(&mut settings);
        advert(&settings, "10.0.0.3", 200).1
    };
    row("auth", &two, &|_, message| {
        *message = other(|it| it.auth = Auth::Pass(*b"wrong\0\0\0"));
    });
    row("auth", &two, &|_, message| {
        *message = other(|it| it.auth = Auth::None);
    });
    row("interval", &two, &|_, message| {
        *message = other(|it| it.interval = 2 * SECOND);
    });
    rows
}

#[test]
fn every_rung_discards_and_touches_nothing() {
    for (name, settings, envelope, message) in rungs() {
        for state in [State::Initialize, State::Backup, State::Master] {
            let (mut router, now) = in_state(state, settings.clone(), Instant::now());
            let before = untouchable(&router);
            for n in 0..1000 {
                router.handle_advert(now + ms(n), &envelope, &message);
            }
            assert_eq!(untouchable(&router), before, "{name} in {state}");
            assert_eq!(
                router.stats().discarded.get(name),
                Some(&1000),
                "{name} in {state}"
            );
            assert_eq!(router.stats().adverts_received, 0);
            // A thousand of them in a second are one line in the log, and one conflict where the
            // sender can only be on the segment.
            let anywhere = ["hop-limit", "destination", "unknown-peer"].contains(&name);
            let told = if anywhere { 1 } else { 2 };
            assert_eq!(events(&mut router).len(), told, "{name} in {state}");
        }
    }
}

/// A flood from ever new addresses: neither log nor history grows with it, whatever its kind.
#[test]
fn ever_new_senders_are_counted_and_not_told() {
    for (name, settings, envelope, message) in rungs() {
        let (mut router, now) = in_state(State::Backup, settings, Instant::now());
        let mut told = 0;
        for n in 0..30_000u32 {
            let source = IpAddr::from((0x0a01_0000 + n % 20_000).to_be_bytes());
            let envelope = Envelope { source, ..envelope };
            router.timers.down = None;
            router.handle_advert(now + ms(u64::from(n)), &envelope, &message);
            told += events(&mut router).len();
        }
        // Half a minute: of each kind (the discard by its reason, the conflicts that begin and end)
        // a few in ten seconds.
        assert!(told <= 4 * (1 + 2 * 8), "{name}: {told}");
    }
}

/// The same with adverts that are accepted and differ, and a list too long to be told.
#[test]
fn ever_new_lists_are_counted_and_cut() {
    let (mut router, now) = in_state(State::Backup, settings(), Instant::now());
    let long = Settings {
        addresses: (1..=200).map(|n| IpAddr::from([10, 0, 1, n])).collect(),
        ..settings()
    };
    let mut told = Vec::new();
    for n in 0..100 {
        let (envelope, message) = advert(&long, &format!("10.0.2.{n}"), 200);
        router.handle_advert(now + ms(n), &envelope, &message);
        told.extend(events(&mut router));
    }
    assert_eq!(told.len(), 8);
    assert_eq!(router.untold_conflicts(), 92);
    let detail = router.conflicts().next().map(|one| one.detail.clone());
    let detail = detail.expect("the first is kept");
    assert!(detail.ends_with("10.0.1.8 and 192 more"), "{detail}");
}

/// Both readings of the checksum elect one master (test 3 of the design: no silent pair).
#[test]
fn the_other_checksum_is_heard_and_told() {
    let (mut router, now) = in_state(State::Backup, settings(), Instant::now());
    let other = Settings {
        checksum: ChecksumForm::Rfc9568,
        ..settings()
    };
    let (envelope, message) = advert(&other, "10.0.0.3", 200);
    router.handle_advert(now, &envelope, &message);
    assert_eq!(router.master().map(|it| it.priority), Some(200));
    assert_eq!(router.stats().other_checksum_received, 1);
    assert_eq!(
        router.conflicts().next().map(|it| it.kind.name()),
        Some("checksum-differs")
    );
}

/// Rolling out an address on one router after the other is no election (issue: logged, not fatal).
#[test]
fn another_address_list_is_told_and_obeyed() {
    for version in [Version::V2, Version::V3] {
        let own = Settings {
            version,
            ..settings()
        };
        let (mut router, now) = in_state(State::Backup, own.clone(), Instant::now());
        let other = Settings {
            addresses: vec![ip(VIP), ip("10.0.0.51")],
            ..own
        };
        let (envelope, message) = advert(&other, "10.0.0.3", 200);
        router.handle_advert(now, &envelope, &message);
        assert_eq!(router.master().map(|it| it.priority), Some(200));
        assert_eq!(
            router.conflicts().next().map(|it| it.kind.name()),
            Some("addresses-differ")
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// Test 1 of the design: mutations of a good advert in every state. What is not accepted
    /// touches nothing.
    #[test]
    fn no_mutation_that_is_discarded_touches_anything(
        flips in prop::collection::vec((0usize..12, 1u8..=255), 1..4),
        cut in prop::option::of(0usize..12),
        state in prop::sample::select(vec![State::Initialize, State::Backup, State::Master]),
    ) {
        let (mut router, now) = in_state(state, settings(), Instant::now());
        let before = untouchable(&router);
        let (envelope, mut message) = advert(&settings(), "10.0.0.3", 200);
        for (at, mask) in flips {
            message[at] ^= mask;
        }
        message.truncate(cut.unwrap_or(12));
        router.handle_advert(now + ms(200), &envelope, &message);
        if router.stats().adverts_received == 0 {
            prop_assert_eq!(untouchable(&router), before);
            prop_assert_eq!(router.stats().discarded_total(), 1);
        }
    }
}
