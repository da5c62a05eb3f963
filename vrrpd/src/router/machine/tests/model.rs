//! Every sequence of events up to a depth, against a second virtual router that is written from the
//! RFC's list alone: no shared arithmetic, plain nanoseconds, one `match` per paragraph.
//!
//! The table (`table.rs`) tries each event once in each state; here what one event leaves behind
//! (a learned interval, a shortened timer) meets what comes next. Both routers get the same events
//! at the same times; state, both timers, the learned interval and every priority that is sent must
//! agree after each. What is ours alone (letting go later, announcements) is held to invariants.

use super::super::super::timers::Timers;
use super::*;

/// What can happen; before each, 200 ms pass.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Input {
    Startup,
    Shutdown,
    /// Nothing, until the next timer.
    Quiet,
    /// Adverts: who (address), priority, interval in centiseconds.
    Advert(&'static str, u8, u64),
    /// An advert with a wrong checksum.
    Bad,
}

const LOWER: &str = "10.0.0.1";
const HIGHER: &str = "10.0.0.9";

const INPUTS: [Input; 13] = [
    Input::Startup,
    Input::Shutdown,
    Input::Quiet,
    Input::Advert(HIGHER, 0, 100),
    Input::Advert(HIGHER, PRIORITY - 1, 100),
    Input::Advert(LOWER, PRIORITY, 100),
    Input::Advert(HIGHER, PRIORITY, 100),
    Input::Advert(LOWER, PRIORITY + 1, 100),
    Input::Advert(LOWER, PRIORITY + 1, 4095),
    Input::Advert(LOWER, 255, 100),
    Input::Advert(HIGHER, 255, 100),
    // Erratum 8301: discarded.
    Input::Advert(LOWER, 255, 0),
    Input::Bad,
];

const PAUSE: u64 = 200_000_000;

/// RFC 9568 §6.4 and RFC 3768 §6.4. Times in nanoseconds from the start.
#[derive(Clone, Debug, PartialEq)]
struct Rfc {
    v3: bool,
    preempt: bool,
    priority: u64,
    /// Advertisement_Interval.
    interval: u64,
    state: State,
    now: u64,
    /// Adver_Timer.
    advert: Option<u64>,
    /// Active_Down_Timer.
    down: Option<u64>,
    /// Active_Adver_Interval.
    learned: u64,
    sent: Vec<u8>,
}

impl Rfc {
    /// Skew_Time: of the master's interval in version 3, of a second in version 2.
    fn skew(&self) -> u64 {
        let unit = if self.v3 { self.learned } else { 1_000_000_000 };
        (256 - self.priority) * unit / 256
    }

    fn send(&mut self, priority: u64) {
        self.sent.push(u8::try_from(priority).expect("a priority"));
    }

    /// "Set the Adver_Timer to Advertisement_Interval. Transition to Active."
    fn become_master(&mut self) {
        self.send(self.priority);
        self.down = None;
        self.advert = Some(self.now + self.interval);
        self.state = State::Master;
    }

    fn wait_for_master(&mut self) {
        self.advert = None;
        self.down = Some(self.now + 3 * self.learned + self.skew());
        self.state = State::Backup;
    }

    fn startup(&mut self) {
        if self.state != State::Initialize {
            return;
        }
        if self.priority == 255 {
            self.become_master();
        } else {
            self.learned = self.interval;
            self.wait_for_master();
        }
    }

    fn shutdown(&mut self) {
        if self.state == State::Master {
            self.send(0);
        }
        (self.advert, self.down) = (None, None);
        self.state = State::Initialize;
    }

    fn hears(&mut self, source: &str, priority: u8, interval: u64) {
        // Receiving (§7.1): interval 0; and in version 2 any other than ours.
        if interval == 0 || (!self.v3 && interval != self.interval) {
            return;
        }
        let priority = u64::from(priority);
        match (self.state, priority) {
            (State::Initialize, _) => {}
            (State::Backup, 0) => self.down = Some(self.now + self.skew()),
            (State::Backup, _) => {
                // The owner always preempts (§6.1).
                let preempts = self.preempt || self.priority == 255;
                if !preempts || priority >= self.priority {
                    self.learn(interval);
                    self.wait_for_master();
                }
            }
            (State::Master, 0) => {
                self.send(self.priority);
                self.advert = Some(self.now + self.interval);
            }
            (State::Master, _) => {
                let greater = source == HIGHER;
                if priority > self.priority || (priority == self.priority && greater) {
                    self.learn(interval);
                    self.wait_for_master();
                } else {
                    self.send(self.priority);
                }
            }
        }
    }

    fn learn(&mut self, interval: u64) {
        if self.v3 {
            self.learned = interval;
        }
    }

    /// Lets time pass; what is due is done at its time.
    fn pass(&mut self, until: u64) {
        while let Some(due) = self.advert.or(self.down).filter(|due| *due <= until) {
            self.now = due;
            match self.state {
                State::Master => {
                    self.send(self.priority);
                    self.advert = Some(due + self.interval);
                }
                _ => self.become_master(),
            }
        }
        self.now = until;
    }
}

/// Both routers, side by side.
#[derive(Clone)]
struct Pair {
    rfc: Rfc,
    ours: Router,
    start: Instant,
    /// The addresses are on the interface.
    taken: bool,
    /// Priorities that were sent in this step.
    sent: Vec<u8>,
    /// They were announced before that.
    early: bool,
}

impl Pair {
    fn new(settings: Settings, start: Instant) -> Self {
        let rfc = Rfc {
            v3: settings.version == Version::V3,
            preempt: settings.preempt,
            priority: u64::from(settings.priority),
            interval: 1_000_000_000,
            state: State::Initialize,
            now: 0,
            advert: None,
            down: None,
            learned: 1_000_000_000,
            sent: Vec::new(),
        };
        let mut ours = Router::new(settings, start);
        ours.set_primary(Some(ip(OWN)));
        Self {
            rfc,
            ours,
            start,
            taken: false,
            sent: Vec::new(),
            early: false,
        }
    }

    fn at(&self, time: u64) -> Instant {
        self.start + Duration::from_nanos(time)
    }

    fn step(&mut self, input: Input) {
        let mut until = self.rfc.now + PAUSE;
        if input == Input::Quiet {
            until = self.rfc.advert.or(self.rfc.down).unwrap_or(until);
        }
        self.rfc.sent.clear();
        self.rfc.pass(until);
        while let Some(due) = self
            .ours
            .poll_timeout()
            .filter(|due| *due <= self.at(until))
        {
            self.ours.handle_timeout(due);
            self.act();
        }
        let now = self.at(until);
        match input {
            Input::Startup => {
                self.rfc.startup();
                self.ours.start(now);
            }
            Input::Shutdown => {
                self.rfc.shutdown();
                self.ours.shut_down(now);
            }
            Input::Quiet => {}
            Input::Advert(source, priority, units) => {
                self.rfc.hears(source, priority, units * 10_000_000);
                let (envelope, message) = self.advert(source, priority, units);
                self.ours.handle_advert(now, &envelope, &message);
            }
            Input::Bad => {
                let (envelope, mut message) = self.advert(LOWER, 255, 100);
                message[7] ^= 0x55;
                self.ours.handle_advert(now, &envelope, &message);
            }
        }
    }

    fn advert(&self, source: &str, priority: u8, units: u64) -> (Envelope, Vec<u8>) {
        let settings = Settings {
            interval: Duration::from_millis(units * 10),
            ..self.ours.settings().clone()
        };
        let (envelope, mut message) = advert(&settings, source, priority);
        if units == 0 {
            // The encoder writes no interval 0: it is put there, and the sum made right.
            let at = if settings.version == Version::V3 {
                4
            } else {
                5
            };
            let gone = u16::from_be_bytes([message[4], message[5]]);
            message[at..6].fill(0);
            let left = u16::from_be_bytes([message[4], message[5]]);
            let sum = !u16::from_be_bytes([message[6], message[7]]);
            let sum = u32::from(sum) + u32::from(!gone) + u32::from(left);
            let folded = (sum & 0xffff) + (sum >> 16);
            let folded = u16::try_from((folded & 0xffff) + (folded >> 16)).expect("folded");
            message[6..8].copy_from_slice(&(!folded).to_be_bytes());
        }
        (envelope, message)
    }

    /// Carries out what is asked for. Between two events: whoever steps down says nothing of what
    /// it has not said yet.
    fn act(&mut self) {
        while let Some(action) = self.ours.poll_action() {
            match action {
                Action::Take | Action::Keep => self.taken = true,
                Action::LetGo => self.taken = false,
                Action::Announce => self.early |= !self.taken,
                Action::Send { message, .. } => self.sent.push(message[2]),
            }
        }
    }

    /// What differs, in words.
    fn differs(&mut self) -> Option<String> {
        self.act();
        let sent = std::mem::take(&mut self.sent);
        if self.early {
            return Some("announced and not taken".to_owned());
        }
        while self.ours.poll_event().is_some() {}
        let since = |timer: Option<Instant>| {
            let nanos = timer.map(|due| (due - self.start).as_nanos());
            nanos.map(|nanos| u64::try_from(nanos).expect("small"))
        };
        let Timers {
            advert,
            down,
            let_go,
            ..
        } = &self.ours.timers;
        if (self.ours.state() == State::Master || let_go.is_some()) != self.taken {
            return Some(format!("addresses taken: {}", self.taken));
        }
        let ours = (self.ours.state(), since(*advert), since(*down), sent);
        let rfc = &self.rfc;
        let theirs = (rfc.state, rfc.advert, rfc.down, rfc.sent.clone());
        // The learned interval counts only while it is waited by.
        let learned = self.ours.intervals().0.as_nanos();
        let waits = rfc.state == State::Backup && learned != u128::from(rfc.learned);
        (ours != theirs || waits).then(|| format!("ours {ours:?}, the RFC {theirs:?}"))
    }
}

/// Tries everything behind `pair`; the number of steps taken.
fn explore(pair: &Pair, depth: usize, path: &mut Vec<Input>) -> u64 {
    if depth == 0 {
        return 0;
    }
    let mut steps = 0;
    for input in INPUTS {
        path.push(input);
        let mut next = pair.clone();
        next.step(input);
        if let Some(difference) = next.differs() {
            panic!("{path:?}:\n  {difference}");
        }
        steps += 1 + explore(&next, depth - 1, path);
        path.pop();
    }
    steps
}

fn check(version: Version, preempt: bool, priority: u8, depth: usize) {
    let settings = Settings {
        version,
        preempt,
        priority,
        ..settings()
    };
    let pair = Pair::new(settings, Instant::now());
    let every = (1..=u32::try_from(depth).expect("small"))
        .map(|length| u64::try_from(INPUTS.len().pow(length)).expect("fits"))
        .sum::<u64>();
    assert_eq!(explore(&pair, depth, &mut Vec::new()), every);
}

/// All sequences of four events, for a backup and for an owner, in both versions.
#[test]
fn every_sequence_goes_as_the_rfc_says() {
    for version in [Version::V2, Version::V3] {
        for preempt in [true, false] {
            for priority in [PRIORITY, 255] {
                check(version, preempt, priority, 4);
            }
        }
    }
}

/// Five events where most can happen: version 3 with preemption.
#[test]
fn longer_sequences_go_as_the_rfc_says() {
    check(Version::V3, true, PRIORITY, 5);
}
