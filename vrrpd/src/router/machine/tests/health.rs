//! Health: who hands over, who returns, and three routers whose checks come and go at random.

use super::sim::Segment;
use super::*;
use crate::router::Why;

fn health(sick: bool, unsure: bool, offset: i32) -> Health {
    Health {
        offset,
        sick: sick.then(|| "check".to_owned()),
        unsure,
    }
}

fn set(router: &mut Router, now: Instant, sick: bool) {
    router.set_health(now, health(sick, false, 0), Vec::new());
}

fn whys(router: &mut Router) -> Vec<Why> {
    let why = |event| match event {
        Event::Transition { why, .. } => Some(why),
        _ => None,
    };
    events(router).into_iter().filter_map(why).collect()
}

/// The check is wrong everywhere, or nobody else is there: the addresses never leave.
#[test]
fn a_sick_master_without_a_successor_is_back_as_last_resort() {
    let (mut router, now) = in_state(State::Master, settings(), Instant::now());
    set(&mut router, now, true);
    assert_eq!(actions(&mut router), ["send 0"]);
    assert_eq!(router.state(), State::Backup);
    assert_eq!(router.effective_priority(), 1);
    // Skew of priority 1: 255/256 s, and 30 ms.
    let back = router.poll_timeout().expect("it waits");
    assert_eq!(
        back - now,
        Duration::from_micros(996_093) + ms(30) + Duration::from_nanos(750)
    );
    router.handle_timeout(back);
    assert_eq!(actions(&mut router), ["announce", "send 1"], "never let go");
    let said = whys(&mut router);
    assert_eq!(said, [Why::Unhealthy("check".to_owned()), Why::LastResort]);
    set(&mut router, back + ms(500), false);
    assert_eq!(actions(&mut router), ["send 100"], "told at once");
    assert_eq!(router.state(), State::Master);
}

#[test]
fn a_sick_master_lets_go_once_a_healthy_one_is_heard() {
    let (mut router, now) = in_state(State::Master, settings(), Instant::now());
    set(&mut router, now, true);
    actions(&mut router);
    hear(&mut router, now + ms(700), "10.0.0.3", 80);
    router.handle_timeout(now + ms(720));
    assert_eq!(actions(&mut router), ["let go"]);
    assert_eq!(router.state(), State::Backup);
}

/// The addresses stay where they are when all are sick: who is sick waits until the old master has
/// returned; but not so long that a master that stops for good has let go before.
#[test]
fn a_sick_backup_waits_for_the_old_master_to_return() {
    let (mut router, now) = in_state(State::Backup, settings(), Instant::now());
    set(&mut router, now, true);
    hear(&mut router, now, "10.0.0.3", 0);
    let due = router.poll_timeout().expect("it waits") - now;
    let returned = SECOND * 255 / 256 + ms(30);
    let let_go = SECOND + ms(100);
    assert!(returned + ms(20) < due && due + ms(20) < let_go, "{due:?}");
}

/// Healthy beats sick, then priority; `preempt = false` protects who is healthy.
#[test]
fn a_last_resort_is_displaced_whatever_preempt_says() {
    let careful = Settings {
        preempt: false,
        preempt_delay: 60 * SECOND,
        ..settings()
    };
    for (theirs, sick, unsure, displaced) in [
        (1, false, false, true),
        (2, false, false, false),
        (99, false, false, false),
        (1, true, false, false),
        (1, false, true, false),
    ] {
        let (mut router, mut now) = in_state(State::Backup, careful.clone(), Instant::now());
        router.set_health(now, health(sick, unsure, 0), Vec::new());
        for _ in 0..8 {
            now += ms(500);
            hear(&mut router, now, "10.0.0.3", theirs);
            router.handle_timeout(now);
        }
        let got = router.state() == State::Master;
        assert_eq!(got, displaced, "{theirs} sick {sick} unsure {unsure}");
    }
}

/// Until the first verdict a router displaces nobody, and takes over from nobody there.
#[test]
fn who_is_unsure_neither_displaces_nor_hides() {
    let (mut router, mut now) = in_state(State::Backup, settings(), Instant::now());
    router.set_health(now, health(false, true, 0), Vec::new());
    for _ in 0..8 {
        now += ms(500);
        hear(&mut router, now, "10.0.0.3", 50);
        router.handle_timeout(now);
    }
    assert_eq!(router.state(), State::Backup);
    let due = router.poll_timeout().expect("it waits");
    router.handle_timeout(due);
    assert_eq!(router.state(), State::Master);
    assert_eq!(router.effective_priority(), 100);
}

/// Weights: the lower priority is told at once; an owner is what it is.
#[test]
fn a_weight_changes_what_is_told_at_once() {
    let (mut router, now) = in_state(State::Master, settings(), Instant::now());
    weigh(&mut router, now, -30);
    assert_eq!(actions(&mut router), ["send 70"]);
    weigh(&mut router, now, -30);
    assert!(actions(&mut router).is_empty(), "nothing changed");
    let owner = Settings {
        priority: 255,
        ..settings()
    };
    let mut router = started(owner, now);
    actions(&mut router);
    router.set_health(now, health(true, false, -30), Vec::new());
    assert_eq!((router.state(), router.is_sick()), (State::Master, false));
    assert!(actions(&mut router).is_empty());
}

/// A process that stood still finds the verdict before it finds that it is late.
#[test]
fn who_is_late_yields_before_it_says_anything() {
    let (mut router, now) = in_state(State::Master, settings(), Instant::now());
    set(&mut router, now + 5 * SECOND, true);
    assert_eq!(actions(&mut router), ["let go"]);
}

/// What must hold at every moment while only health changes.
struct Watch {
    /// Somebody was master once.
    begun: bool,
    double_since: Option<Instant>,
}

impl Watch {
    fn look(&mut self, segment: &Segment, seed: u64) {
        let masters = masters(segment).len();
        self.begun |= masters > 0;
        let held = segment.nodes.iter().any(|node| node.taken);
        assert!(held || !self.begun, "seed {seed}: nobody has the addresses");
        if masters < 2 {
            self.double_since = None;
            return;
        }
        let since = *self.double_since.get_or_insert(segment.now);
        // The way of an advert is 0.2 ms.
        let long = segment.now - since;
        assert!(long <= ms(1), "seed {seed}: two masters for {long:?}");
    }

    fn run(&mut self, segment: &mut Segment, for_so_long: Duration, seed: u64) {
        let end = segment.now + for_so_long;
        while segment.step(end) {
            self.look(segment, seed);
        }
    }
}

fn masters(segment: &Segment) -> Vec<usize> {
    let nodes = segment.nodes.iter().enumerate();
    nodes
        .filter(|(_, node)| node.router.state() == State::Master)
        .map(|(at, _)| at)
        .collect()
}

fn flip(segment: &mut Segment) {
    let at = usize::try_from(segment.rng.next(3)).expect("small");
    let (sick, weight) = (segment.rng.next(2) == 0, segment.rng.next(3) == 0);
    let offset = if weight { -40 } else { 0 };
    let now = segment.now;
    let state = health(sick, segment.rng.next(10) == 0, offset);
    segment.nodes[at].router.set_health(now, state, Vec::new());
    segment.drain(at);
}

fn three_with_random_health(seed: u64) {
    let mut segment = Segment::new(seed);
    while segment.nodes.len() != 3 {
        let again = segment.rng.next(u64::MAX);
        segment = Segment::new(again);
    }
    let preempt = segment.rng.next(2) == 0;
    for node in &mut segment.nodes {
        let settings = Settings {
            preempt,
            // 1 is the last resort's.
            priority: node.router.settings().priority.max(2),
            ..node.router.settings().clone()
        };
        node.router.reconfigure(segment.now, settings);
    }
    segment.heal();
    let interval = segment.nodes[0].router.settings().interval;
    let mut watch = Watch {
        begun: false,
        double_since: None,
    };
    for _ in 0..40 {
        flip(&mut segment);
        let pause = interval * u32::try_from(segment.rng.next(80)).expect("small") / 10;
        watch.run(&mut segment, pause, seed);
    }
    for at in 0..3 {
        let mut settled = segment.nodes[at].router.health().clone();
        settled.unsure = false;
        let now = segment.now;
        segment.nodes[at]
            .router
            .set_health(now, settled, Vec::new());
        segment.drain(at);
    }
    // One down interval until a healthy one displaces a last resort, one more until the best has
    // displaced a worse one, and the wait of a release.
    watch.run(&mut segment, 3 * (4 * interval) + ms(200), seed);
    let found = masters(&segment);
    assert_eq!(found.len(), 1, "seed {seed}: masters {found:?}");
    let routers = segment.nodes.iter().map(|node| &node.router);
    let healthy = routers.filter(|router| !router.is_sick()).count();
    let master = &segment.nodes[found[0]].router;
    assert_eq!(
        master.is_sick(),
        healthy == 0,
        "seed {seed}: healthy beats sick"
    );
    let holders = segment.nodes.iter().filter(|node| node.taken).count();
    assert_eq!(holders, 1, "seed {seed}: holders");
}

#[test]
fn a_healthy_router_is_master_if_there_is_one_and_one_is_in_any_case() {
    for seed in 1..1000 {
        three_with_random_health(seed);
    }
}

/// All become sick, as when the check is wrong: nothing moves. Their checks run at different times
/// of an interval, so all have got a bad answer before the first counts to the end.
#[test]
fn all_unhealthy_keeps_the_current_master() {
    for seed in 1..300 {
        let mut segment = Segment::new(seed);
        segment.heal();
        let interval = segment.nodes[0].router.settings().interval;
        let end = segment.now + 20 * interval + ms(2000);
        segment.run(end);
        let before = masters(&segment);
        let mut watch = Watch {
            begun: true,
            double_since: None,
        };
        for sick in [false, true] {
            for at in 0..segment.nodes.len() {
                let now = segment.now;
                let state = health(sick, !sick, 0);
                segment.nodes[at].router.set_health(now, state, Vec::new());
                segment.drain(at);
                let pause = interval * u32::try_from(segment.rng.next(20)).expect("small") / 10;
                watch.run(&mut segment, pause, seed);
            }
        }
        watch.run(&mut segment, 20 * interval, seed);
        assert_eq!(masters(&segment), before, "seed {seed}");
    }
}
