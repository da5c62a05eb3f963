//! Every state with every event, against a table written from the RFC's list and not from the code.
//!
//! The table says what is sent, whether the addresses are taken, kept or let go, the state after it
//! and what becomes of the two timers. Preemption on and off, versions 2 and 3.

use proto_codec::vrrp::Version;

use super::super::super::event::Fault;
use super::*;

/// Everything that can happen to a virtual router.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Input {
    Startup,
    Shutdown,
    InterfaceDown,
    Hold,
    Release,
    AdvertTimer,
    DownTimer,
    Zero,
    Worse,
    EqualLowerAddress,
    EqualHigherAddress,
    Better,
    Owner,
    Bad,
}

const INPUTS: [Input; 14] = [
    Input::Startup,
    Input::Shutdown,
    Input::InterfaceDown,
    Input::Hold,
    Input::Release,
    Input::AdvertTimer,
    Input::DownTimer,
    Input::Zero,
    Input::Worse,
    Input::EqualLowerAddress,
    Input::EqualHigherAddress,
    Input::Better,
    Input::Owner,
    Input::Bad,
];

/// What becomes of a timer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Timer {
    Unset,
    Kept,
    In(Duration),
}

#[derive(Debug, PartialEq)]
struct Outcome {
    state: State,
    actions: Vec<String>,
    advert: Timer,
    down: Timer,
    /// The addresses go after so long, unless something happens before.
    let_go: Timer,
}

impl Outcome {
    fn stay(state: State) -> Self {
        let timer = |own| {
            if state == own {
                Timer::Kept
            } else {
                Timer::Unset
            }
        };
        Self {
            state,
            actions: Vec::new(),
            advert: timer(State::Master),
            down: timer(State::Backup),
            let_go: Timer::Unset,
        }
    }

    fn doing(mut self, actions: &[&str]) -> Self {
        self.actions = actions.iter().map(|&one| one.to_owned()).collect();
        self
    }

    fn initialize() -> Self {
        Self::stay(State::Initialize)
    }

    fn backup(down: Duration) -> Self {
        Self {
            down: Timer::In(down),
            ..Self::stay(State::Backup)
        }
    }

    fn master(advert: Duration) -> Self {
        Self {
            advert: Timer::In(advert),
            ..Self::stay(State::Master)
        }
    }

    fn letting_go(mut self, after: Duration) -> Self {
        self.let_go = Timer::In(after);
        self
    }
}

/// The RFC's list. Priority 100 and one second: skew 156/256 s in both versions, down interval
/// 3.609375 s. A master hands over for at most one second (the skew of priority 0) and 100 ms.
fn expected(state: State, input: Input, preempt: bool) -> Outcome {
    let skew = Duration::from_micros(609_375);
    let down = 3 * SECOND + skew;
    let successor = ms(1100);
    let linger = ms(20);
    let take = ["take", "announce", "send 100"];
    match (state, input) {
        (State::Initialize, Input::Startup) => Outcome::backup(down),
        (State::Initialize, _) => Outcome::initialize(),

        (State::Backup, Input::Shutdown | Input::InterfaceDown | Input::Hold) => {
            Outcome::initialize()
        }
        (State::Backup, Input::DownTimer) => Outcome::master(SECOND).doing(&take),
        (State::Backup, Input::Zero) => Outcome::backup(skew),
        (State::Backup, Input::Worse) if !preempt => Outcome::backup(down),
        // RFC 9568 §6.4.2: no tie-break by address in Backup.
        (
            State::Backup,
            Input::EqualLowerAddress | Input::EqualHigherAddress | Input::Better | Input::Owner,
        ) => Outcome::backup(down),
        (
            State::Backup,
            Input::Startup | Input::Release | Input::AdvertTimer | Input::Worse | Input::Bad,
        ) => Outcome::stay(State::Backup),

        (State::Master, Input::Shutdown | Input::Hold) => Outcome::initialize()
            .doing(&["send 0"])
            .letting_go(successor),
        (State::Master, Input::InterfaceDown) => Outcome::initialize().doing(&["let go"]),
        (State::Master, Input::Release) => Outcome::backup(down)
            .doing(&["send 0"])
            .letting_go(successor),
        (State::Master, Input::AdvertTimer) => Outcome::master(SECOND).doing(&["send 100"]),
        (State::Master, Input::Zero) => Outcome::master(SECOND).doing(&["send 100"]),
        // RFC 9568 §6.4.3: answered at once; preemption is not asked for here.
        (State::Master, Input::Worse | Input::EqualLowerAddress) => {
            Outcome::stay(State::Master).doing(&["send 100", "announce"])
        }
        (State::Master, Input::EqualHigherAddress | Input::Better | Input::Owner) => {
            Outcome::backup(down).letting_go(linger)
        }
        (State::Master, Input::Startup | Input::DownTimer | Input::Bad) => {
            Outcome::stay(State::Master)
        }
    }
}

/// Does `input` to a router in `state`; 200 ms after it got there unless a timer says when.
fn observed(state: State, input: Input, settings: Settings) -> Outcome {
    let start = Instant::now();
    let (mut router, entered) = in_state(state, settings, start);
    let before = (router.timers.advert, router.timers.down);
    let mut now = entered + ms(150);
    match input {
        Input::Startup => router.start(now),
        Input::Shutdown => router.shut_down(now),
        Input::InterfaceDown => router.set_fault(now, Fault::InterfaceDown("eth0".to_owned())),
        Input::Hold => router.hold(now),
        Input::Release => assert_eq!(router.release(now), state == State::Master),
        Input::AdvertTimer => {
            now = before.0.unwrap_or(now);
            router.timers.announce = None;
            router.handle_timeout(now);
        }
        Input::DownTimer => {
            now = before.1.unwrap_or(now);
            router.handle_timeout(now);
        }
        Input::Zero => hear(&mut router, now, "10.0.0.3", 0),
        Input::Worse => hear(&mut router, now, "10.0.0.3", PRIORITY - 1),
        Input::EqualLowerAddress => hear(&mut router, now, "10.0.0.1", PRIORITY),
        Input::EqualHigherAddress => hear(&mut router, now, "10.0.0.3", PRIORITY),
        Input::Better => hear(&mut router, now, "10.0.0.1", PRIORITY + 1),
        Input::Owner => hear(&mut router, now, "10.0.0.1", 255),
        Input::Bad => {
            let (envelope, mut message) = advert(router.settings(), "10.0.0.3", 200);
            message[6] ^= 1;
            router.handle_advert(now, &envelope, &message);
        }
    }
    let timer = |timer: Option<Instant>, before: Option<Instant>| match timer {
        None => Timer::Unset,
        Some(_) if timer == before => Timer::Kept,
        Some(due) => Timer::In(due - now),
    };
    Outcome {
        state: router.state(),
        actions: actions(&mut router),
        advert: timer(router.timers.advert, before.0),
        down: timer(router.timers.down, before.1),
        let_go: timer(router.timers.let_go, None),
    }
}

/// RFC 9568 §6.4 and RFC 3768 §6.4, every pair.
#[test]
fn every_state_answers_every_event_as_the_table_says() {
    let mut wrong = Vec::new();
    for version in [Version::V2, Version::V3] {
        for preempt in [true, false] {
            for state in [State::Initialize, State::Backup, State::Master] {
                for input in INPUTS {
                    let settings = Settings {
                        version,
                        preempt,
                        ..settings()
                    };
                    let got = observed(state, input, settings);
                    let want = expected(state, input, preempt);
                    if got != want {
                        wrong.push(format!(
                            "{version:?} preempt {preempt}, {state} + {input:?}:\n  \
                             got  {got:?}\n  want {want:?}"
                        ));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// RFC 9568 §6.4.1 (115): an owner is master at once.
#[test]
fn an_owner_starts_as_master() {
    let now = Instant::now();
    let mut router = started(
        Settings {
            priority: 255,
            ..settings()
        },
        now,
    );
    assert_eq!(router.state(), State::Master);
    assert_eq!(actions(&mut router), ["take", "announce", "send 255"]);
    router.set_health(
        now,
        Health {
            offset: -100,
            sick: Some("check".to_owned()),
            unsure: false,
        },
        Vec::new(),
    );
    assert_eq!(router.effective_priority(), 255);
}

/// RFC 9568 §6.1: whatever its preempt flag says; only the operator's release is stronger.
#[test]
fn an_owner_always_preempts() {
    let owner = Settings {
        priority: 255,
        preempt: false,
        ..settings()
    };
    let mut now = Instant::now();
    let mut router = started(owner, now);
    router.handle_timeout(now + 5 * SECOND);
    assert_eq!(router.state(), State::Backup, "it stood still");
    now += 5 * SECOND;
    for _ in 0..5 {
        now += ms(900);
        hear(&mut router, now, "10.0.0.9", 200);
        router.handle_timeout(now);
    }
    assert_eq!(router.state(), State::Master);
}

/// Erratum 8298: two owners are resolved by their addresses, and told.
#[test]
fn two_owners_end_with_one() {
    let now = Instant::now();
    let owner = Settings {
        priority: 255,
        ..settings()
    };
    let mut router = started(owner, now);
    hear(&mut router, now + ms(200), "10.0.0.9", 255);
    assert_eq!(router.state(), State::Backup);
    let told = events(&mut router)
        .into_iter()
        .filter(|event| matches!(event, Event::Conflict(one) if one.kind.name() == "two-owners"));
    assert_eq!(told.count(), 1);
}
