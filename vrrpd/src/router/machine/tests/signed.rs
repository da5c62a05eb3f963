//! Signed adverts between routers of ours: who is heard, what a clock that jumps does, replays.

use super::super::super::signing::{Key, Mode, Signing};
use super::super::inherit::Gap;
use super::*;

const OTHER: &str = "10.0.0.9";
/// A time of day, since 1970.
const NOON: Duration = Duration::from_secs(1_790_000_000);
const HOUR: Duration = Duration::from_secs(3600);

fn key(id: u8) -> Key {
    Key::new(id, vec![id; 32]).expect("long enough")
}

fn signed(keys: &[u8], mode: Mode) -> Settings {
    Settings {
        signing: Some(Signing {
            keys: keys.iter().map(|id| key(*id)).collect(),
            mode,
            window: Some(5 * SECOND),
        }),
        ..settings()
    }
}

/// A router at `address` that was told the time.
fn router(settings: Settings, address: &str, now: Instant, time: Duration) -> Router {
    let mut router = Router::new(settings, now);
    router.set_primary(Some(ip(address)));
    router.set_clock(now, time);
    router.start(now);
    router
}

/// The adverts that wait to be sent.
fn adverts(router: &mut Router) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| router.poll_action())
        .filter_map(|action| match action {
            Action::Send { message, .. } => Some(message.to_vec()),
            _ => None,
        })
        .collect()
}

/// A master with `settings`, and what it sends when it takes over.
fn master(settings: Settings, now: Instant, time: Duration) -> (Router, Vec<u8>) {
    let priority = Settings {
        priority: 200,
        ..settings
    };
    let mut other = router(priority, OTHER, now, time);
    // Its own wait does not count here.
    let due = other.timers.down.take().expect("a backup waits");
    other.timers.down = Some(now);
    assert!(due > now);
    other.handle_timeout(now);
    let first = adverts(&mut other).pop().expect("an advert");
    (other, first)
}

fn hears(router: &mut Router, now: Instant, message: &[u8]) -> bool {
    let before = router.stats().adverts_received;
    router.handle_advert(now, &Envelope::multicast(ip(OTHER)), message);
    router.stats().adverts_received > before
}

/// The reasons of what was discarded.
fn reasons(router: &Router) -> Vec<&'static str> {
    router.stats().discarded.keys().copied().collect()
}

#[test]
fn each_mode_hears_what_it_says() {
    let now = Instant::now();
    let unsigned = settings();
    let enforce = signed(&[1], Mode::Enforce);
    let permissive = signed(&[1], Mode::Permissive);
    let receive_only = signed(&[1], Mode::ReceiveOnly);
    // Rows send, columns hear.
    let modes = [unsigned, receive_only, permissive, enforce];
    let table = [
        [true, true, true, false],
        [true, true, true, false],
        [false, true, true, true],
        [false, true, true, true],
    ];
    for (sender, row) in modes.iter().zip(table) {
        for (receiver, heard) in modes.iter().zip(row) {
            let (_, message) = master(sender.clone(), now, NOON);
            let mut backup = router(receiver.clone(), OWN, now, NOON);
            let what = (&sender.signing, &receiver.signing);
            assert_eq!(hears(&mut backup, now, &message), heard, "{what:?}");
        }
    }
}

/// A key is handed out everywhere before it signs anywhere, and taken away last.
#[test]
fn keys_are_changed_without_a_gap() {
    let now = Instant::now();
    for (sender, receiver, reason) in [
        (vec![1], vec![1, 2], None),
        (vec![2, 1], vec![1, 2], None),
        (vec![2], vec![2, 1], None),
        (vec![2], vec![1], Some("auth-unknown-key")),
    ] {
        let (_, message) = master(signed(&sender, Mode::Enforce), now, NOON);
        let mut backup = router(signed(&receiver, Mode::Enforce), OWN, now, NOON);
        assert_eq!(hears(&mut backup, now, &message), reason.is_none());
        assert_eq!(reasons(&backup), Vec::from_iter(reason));
    }
}

/// The next process, with a clock that went back meanwhile: its numbers go on.
#[test]
fn numbers_go_on_after_a_restart() {
    let now = Instant::now();
    let mut settings = signed(&[1], Mode::Enforce);
    if let Some(signing) = &mut settings.signing {
        signing.window = None;
    }
    let (old, first) = master(settings.clone(), now, NOON);
    let mut backup = router(settings.clone(), OWN, now, NOON);
    assert!(hears(&mut backup, now, &first));
    let mut heir = Router::new(settings, now);
    heir.set_primary(Some(ip(OTHER)));
    heir.set_clock(now, NOON - HOUR);
    let gap = Gap {
        written: ms(10),
        silent: None,
    };
    assert!(heir.inherit(now, &old.legacy(now), gap));
    heir.start(now);
    heir.handle_timeout(now);
    let next = adverts(&mut heir).pop().expect("an advert");
    assert!(hears(&mut backup, now, &next), "{:?}", reasons(&backup));
}

/// What is forged, changed or repeated touches neither timer nor state.
#[test]
fn what_is_not_proven_changes_nothing() {
    let now = Instant::now();
    let (mut other, first) = master(signed(&[1], Mode::Enforce), now, NOON);
    let mut backup = router(signed(&[1], Mode::Enforce), OWN, now, NOON);
    assert!(hears(&mut backup, now, &first));
    let timers = |router: &Router| (router.state(), router.timers.clone());
    let before = timers(&backup);
    let later = now + ms(300);

    assert!(!hears(&mut backup, later, &first), "repeated");
    let mut forged = Settings {
        signing: Some(Signing {
            keys: vec![Key::new(1, vec![9; 32]).expect("long enough")],
            mode: Mode::Enforce,
            window: None,
        }),
        ..settings()
    };
    forged.priority = 254;
    let (_, forged) = master(forged, later, NOON);
    assert!(!hears(&mut backup, later, &forged), "forged");
    let (_, old) = master(signed(&[1], Mode::Enforce), later, NOON - 60 * SECOND);
    assert!(!hears(&mut backup, later, &old), "old");
    let (_, unsigned) = master(settings(), later, NOON);
    assert!(!hears(&mut backup, later, &unsigned), "unsigned");
    assert_eq!(format!("{:?}", timers(&backup)), format!("{before:?}"));
    assert_eq!(
        reasons(&backup),
        ["auth-hmac", "auth-missing", "auth-replay", "auth-stale"]
    );

    other.handle_timeout(now + SECOND);
    let next = adverts(&mut other).pop().expect("the next");
    assert!(hears(&mut backup, now + SECOND, &next));
}

/// Test 12 of the design. The clock of the master or of the backup jumps by an hour, forth or back;
/// the backup must go on hearing.
#[test]
fn a_clock_that_jumps_makes_no_second_master() {
    for (master_jumps, backup_jumps, back) in [
        (true, false, false),
        (true, false, true),
        (false, true, false),
        (false, true, true),
        (true, true, false),
        (true, true, true),
    ] {
        let start = Instant::now();
        let jumped = |jumps: bool, time: Duration| match (jumps, back) {
            (false, _) => time,
            (true, false) => time + HOUR,
            (true, true) => time - HOUR,
        };
        let settings = signed(&[1], Mode::Enforce);
        let (mut other, first) = master(settings.clone(), start, NOON);
        let mut backup = router(settings, OWN, start, NOON);
        assert!(hears(&mut backup, start, &first));
        for second in 1..30 {
            let now = start + second * SECOND;
            let time = NOON + second * SECOND;
            let jump = second >= 10;
            other.set_clock(now, jumped(jump && master_jumps, time));
            backup.set_clock(now, jumped(jump && backup_jumps, time));
            other.handle_timeout(now);
            let sent = adverts(&mut other);
            assert!(!sent.is_empty());
            for message in sent {
                assert!(hears(&mut backup, now, &message), "at {second} s");
            }
        }
        assert_eq!(backup.state(), State::Backup);
    }
}

/// A host that started with a wrong clock is put right later: it goes over to the right time with
/// the first advert that proves that the others live there.
#[test]
fn a_wrong_start_is_put_right_by_the_first_advert() {
    let now = Instant::now();
    let settings = signed(&[1], Mode::Enforce);
    let mut late = router(settings.clone(), OWN, now, NOON - HOUR);
    let (_, first) = master(settings.clone(), now, NOON);
    assert!(!hears(&mut late, now, &first), "an hour apart");
    // The clock of the host is corrected.
    let later = now + 2 * SECOND;
    late.set_clock(later, NOON + 2 * SECOND);
    let (_, second) = master(settings, later, NOON + 2 * SECOND);
    assert!(hears(&mut late, later, &second));
    // From here on it speaks the right time too.
    late.timers.down = Some(later);
    late.handle_timeout(later);
    let (_, trailer) = Advert::decode_signed(
        adverts(&mut late).last().expect("an advert"),
        &Envelope::multicast(ip(OWN)),
    )
    .map(|(advert, trailer)| (advert.vrid, trailer.map(|it| it.seconds())))
    .expect("well formed");
    assert_eq!(trailer.map(u64::from), Some((NOON + 2 * SECOND).as_secs()));
}

/// Adverts within one tick of the clock, and with a clock that stands, still grow.
#[test]
fn numbers_grow_whatever_the_clock_does() {
    let now = Instant::now();
    let (mut other, first) = master(signed(&[1], Mode::Enforce), now, NOON);
    let mut backup = router(signed(&[1], Mode::Enforce), OWN, now, NOON);
    assert!(hears(&mut backup, now, &first));
    for _ in 0..100 {
        other.send_adverts(now, 200);
        let message = adverts(&mut other).pop().expect("an advert");
        assert!(hears(&mut backup, now, &message));
    }
}

/// Before a peer is refused for its clock, it is named.
#[test]
fn a_clock_that_is_nearly_too_far_is_told() {
    let now = Instant::now();
    let (_, message) = master(signed(&[1], Mode::Enforce), now, NOON - 4 * SECOND);
    let mut backup = router(signed(&[1], Mode::Enforce), OWN, now, NOON);
    assert!(hears(&mut backup, now, &message));
    let told: Vec<String> = backup.conflicts().map(ToString::to_string).collect();
    let expected = "10.0.0.9: its clock is 4 s behind ours; beyond 5 s it is not heard";
    assert!(told.iter().any(|one| one == expected), "{told:?}");
}
