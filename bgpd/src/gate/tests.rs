//! The judge, row by row.

use super::*;

const UP_LONG: Duration = Duration::from_secs(86_400);

fn after(now: Instant, seconds: u64) -> Instant {
    now + Duration::from_secs(seconds)
}

/// Answers of the proxy at seconds after the start, and the verdict after each.
fn play(mode: GateMode, uptime: Duration, rows: &[(u64, Answer, ProxyHealth)]) {
    let start = Instant::now();
    let mut gate = Gate::new(mode, start, uptime);
    for (at, answer, wanted) in rows {
        let before = gate.verdicts().proxy;
        let changed = gate.handle_answer(after(start, *at), Question::Proxy, *answer);
        assert_eq!(gate.verdicts().proxy, *wanted, "{answer:?} at {at}");
        assert_eq!(changed, before != *wanted, "{answer:?} at {at}");
    }
}

use Answer::{Refused, Silent, Status};
use ProxyHealth::{Healthy, Ungated, Unhealthy, Unknown};

#[test]
fn the_proxys_own_words_act_at_once() {
    play(
        GateMode::Auto,
        UP_LONG,
        &[
            (0, Status(200), Healthy),
            (1, Status(503), Unhealthy),
            (2, Status(200), Healthy),
        ],
    );
}

#[test]
fn a_proxy_that_restarts_is_forgiven_and_one_that_is_gone_is_not() {
    for answer in [Refused, Silent, Status(404)] {
        play(
            GateMode::Auto,
            UP_LONG,
            &[
                (0, Status(200), Healthy),
                (1, answer, Healthy),
                (31, answer, Healthy),
                (32, answer, Unhealthy),
                (40, Status(200), Healthy),
                (50, answer, Healthy),
            ],
        );
    }
}

#[test]
fn silence_does_not_open_what_a_503_closed() {
    play(
        GateMode::Auto,
        UP_LONG,
        &[
            (0, Status(503), Unhealthy),
            (1, Refused, Unhealthy),
            (60, Refused, Unhealthy),
        ],
    );
}

#[test]
fn a_node_without_kube_proxy_has_no_gate_once_it_has_booted() {
    play(GateMode::Auto, UP_LONG, &[(0, Refused, Ungated)]);
    let booting = Duration::from_secs(20);
    play(
        GateMode::Auto,
        booting,
        &[
            (0, Refused, Unknown),
            (279, Refused, Unknown),
            (280, Refused, Ungated),
            (300, Status(200), Healthy),
            (310, Refused, Healthy),
        ],
    );
}

#[test]
fn one_that_listens_and_does_not_answer_is_not_absent() {
    play(
        GateMode::Auto,
        UP_LONG,
        &[(0, Silent, Unknown), (900, Silent, Unknown)],
    );
}

#[test]
fn a_strict_gate_waits() {
    play(
        GateMode::On,
        UP_LONG,
        &[(0, Refused, Unknown), (9_999, Refused, Unknown)],
    );
}

#[test]
fn a_gate_that_is_off_asks_nobody() {
    let now = Instant::now();
    let mut gate = Gate::new(GateMode::Off, now, UP_LONG);
    gate.set_ports(now, &BTreeSet::from([30_000]));
    assert_eq!(gate.verdicts().proxy, Ungated);
    assert_eq!(gate.poll_question(now), None);
    assert_eq!(gate.poll_timeout(), None);
}

#[test]
fn a_node_port_says_yes_no_or_nothing() {
    let now = Instant::now();
    let mut gate = Gate::new(GateMode::Auto, now, UP_LONG);
    gate.set_ports(now, &BTreeSet::from([30_000]));
    let mut step = |answer| {
        let changed = gate.handle_answer(now, Question::Port(30_000), answer);
        (changed, gate.verdicts().ports.get(&30_000).copied())
    };
    assert_eq!(step(Refused), (true, None), "it was asked");
    assert_eq!(step(Refused), (false, None));
    assert_eq!(step(Status(503)), (true, Some(false)));
    assert_eq!(step(Silent), (false, Some(false)));
    assert_eq!(step(Status(200)), (true, Some(true)));
    assert_eq!(step(Status(200)), (false, Some(true)));
    assert_eq!(step(Refused), (true, None));
    // A late answer of a port that is no longer asked.
    gate.set_ports(now, &BTreeSet::new());
    assert!(!gate.handle_answer(now, Question::Port(30_000), Status(200)));
    assert!(gate.verdicts().ports.is_empty() && gate.verdicts().silent.is_empty());
}

#[test]
fn many_ports_share_the_ration() {
    let start = Instant::now();
    let mut gate = Gate::new(GateMode::Auto, start, UP_LONG);
    let ports: BTreeSet<u16> = (30_000..31_000).collect();
    gate.set_ports(start, &ports);
    let mut asked: BTreeMap<u16, u32> = BTreeMap::new();
    let mut proxy = 0;
    // The first round comes at once; then ten seconds of the ration.
    let end = start + Duration::from_secs(10);
    let mut now = start;
    while now < end {
        while let Some(question) = gate.poll_question(now) {
            match question {
                Question::Proxy => proxy += 1,
                Question::Port(port) => *asked.entry(port).or_default() += 1,
            }
        }
        now = gate.poll_timeout().expect("it is on");
    }
    assert_eq!(asked.len(), 1_000, "each in its turn");
    let all: u32 = asked.values().sum();
    assert!(all <= 1_000 + 10 * QUESTIONS_PER_S, "{all}");
    assert!((99..=101).contains(&proxy), "{proxy}");
}
