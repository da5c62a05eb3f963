//! Several routers on one simulated segment: random priorities, intervals, address lists, versions,
//! forms of the checksum, signatures, clocks, losses, stops, stalls and partitions from a seed.
//!
//! What must hold: once the segment is whole and quiet, exactly one master within two down
//! intervals, the best of those that run; its addresses and nobody else's are taken. The time is
//! the simulation's own, in steps of the next event.

use std::collections::VecDeque;

use super::super::super::signing::{Key, Mode, Signing};
use super::*;

/// A small generator (xorshift): the same seed gives the same run everywhere.
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

pub(super) struct Node {
    pub(super) router: Router,
    pub(super) address: IpAddr,
    /// Addresses on the interface.
    pub(super) taken: bool,
    pub(super) running: bool,
    pub(super) stalled_until: Instant,
    /// How many seconds the clock of its host is ahead.
    clock: i64,
}

/// The time of day at the start.
const NOON: Duration = Duration::from_secs(1_790_000_000);

fn signing() -> Signing {
    Signing {
        keys: vec![Key::new(1, vec![1; 32]).expect("long enough")],
        mode: Mode::Enforce,
        window: Some(5 * SECOND),
    }
}

fn any_interval(rng: &mut Rng, version: Version) -> Duration {
    match version {
        Version::V2 => SECOND,
        Version::V3 => [ms(10), ms(100), SECOND][usize::try_from(rng.next(3)).expect("small")],
    }
}

pub(super) struct Segment {
    pub(super) rng: Rng,
    start: Instant,
    pub(super) now: Instant,
    pub(super) nodes: Vec<Node>,
    /// Adverts under way: arrival, receiver, envelope, octets.
    wire: VecDeque<(Instant, usize, Envelope, Vec<u8>)>,
    /// Percent of adverts lost.
    loss: u64,
    /// Bit i * 8 + j: j does not hear i.
    cut: u64,
}

impl Segment {
    /// All routers advertise alike.
    pub(super) fn new(seed: u64) -> Self {
        Self::build(seed, false)
    }

    /// `mixed`: each may have an interval of its own.
    fn build(seed: u64, mixed: bool) -> Self {
        let mut rng = Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let now = Instant::now();
        let count = 2 + rng.next(3);
        let version = match rng.next(4) {
            0 => Version::V2,
            _ => Version::V3,
        };
        let signing = (version == Version::V3 && rng.next(3) == 0).then(signing);
        let common = any_interval(&mut rng, version);
        let nodes = (0..count)
            .map(|n| {
                let last = u8::try_from(n + 1).expect("small");
                let address = IpAddr::from([10, 0, 0, last]);
                // Version 2 is heard by its own interval only; in version 3 each may have another.
                let interval = match (version, rng.next(3)) {
                    (Version::V3, 0) if mixed => any_interval(&mut rng, version),
                    _ => common,
                };
                let mut addresses = vec![ip(VIP), ip("10.0.0.51")];
                addresses.truncate(usize::try_from(1 + rng.next(2)).expect("small"));
                let settings = Settings {
                    version,
                    addresses,
                    signing: signing.clone(),
                    // Equal priorities happen, to be decided by address.
                    priority: u8::try_from(1 + rng.next(4) * 84).expect("small"),
                    interval,
                    preempt: true,
                    checksum: match rng.next(2) {
                        0 => ChecksumForm::Rfc5798,
                        _ => ChecksumForm::Rfc9568,
                    },
                    ..settings()
                };
                let mut router = Router::new(settings, now);
                router.set_primary(Some(address));
                router.set_clock(now, NOON);
                Node {
                    router,
                    address,
                    taken: false,
                    running: false,
                    stalled_until: now,
                    clock: 0,
                }
            })
            .collect();
        Self {
            rng,
            start: now,
            now,
            nodes,
            wire: VecDeque::new(),
            loss: 0,
            cut: 0,
        }
    }

    /// Tells node `at` the time of day as its host has it.
    fn tell_time(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let time = (NOON + (self.now - self.start)).as_micros();
        let time = u64::try_from(time).expect("small");
        let time = time.saturating_add_signed(node.clock * 1_000_000);
        let time = Duration::from_micros(time);
        node.router.set_clock(self.now, time);
    }

    /// Carries out what node `at` wants.
    pub(super) fn drain(&mut self, at: usize) {
        while let Some(action) = self.nodes[at].router.poll_action() {
            match action {
                Action::Take | Action::Keep => self.nodes[at].taken = true,
                Action::LetGo => self.nodes[at].taken = false,
                Action::Announce => assert!(self.nodes[at].taken, "announced but not taken"),
                Action::Send { message, .. } => {
                    let envelope = Envelope::multicast(self.nodes[at].address);
                    for to in 0..self.nodes.len() {
                        let deaf = self.cut >> (at * 8 + to) & 1 == 1;
                        if to != at && !deaf && self.rng.next(100) >= self.loss {
                            let arrival = self.now + Duration::from_micros(200);
                            self.wire
                                .push_back((arrival, to, envelope, message.to_vec()));
                        }
                    }
                }
            }
        }
        while self.nodes[at].router.poll_event().is_some() {}
    }

    /// Runs until `end`.
    pub(super) fn run(&mut self, end: Instant) {
        while self.step(end) {}
    }

    /// Runs until the next thing happens; `false`: nothing does before `end`.
    pub(super) fn step(&mut self, end: Instant) -> bool {
        let timers = self
            .nodes
            .iter()
            .filter(|node| node.running)
            .filter_map(|node| Some(node.router.poll_timeout()?.max(node.stalled_until)));
        let arrival = self.wire.front().map(|(arrival, ..)| *arrival);
        let Some(next) = timers.chain(arrival).min().filter(|next| *next <= end) else {
            self.now = end;
            return false;
        };
        self.now = self.now.max(next);
        self.deliver();
        for at in 0..self.nodes.len() {
            let node = &mut self.nodes[at];
            if node.running && node.stalled_until <= self.now {
                node.router.handle_timeout(self.now);
                self.drain(at);
            }
        }
        true
    }

    fn deliver(&mut self) {
        while self
            .wire
            .front()
            .is_some_and(|(arrival, ..)| *arrival <= self.now)
        {
            let Some((_, to, envelope, message)) = self.wire.pop_front() else {
                return;
            };
            self.tell_time(to);
            let node = &mut self.nodes[to];
            // A stopped machine loses what arrives; a stopped process would find it in its socket.
            if node.running && node.stalled_until <= self.now {
                node.router.handle_advert(self.now, &envelope, &message);
                self.drain(to);
            }
        }
    }

    /// Something happens to somebody.
    fn disturb(&mut self) {
        let at = usize::try_from(self.rng.next(self.nodes.len() as u64)).expect("small");
        let stall = ms(self.rng.next(6000));
        match self.rng.next(7) {
            0 if self.nodes[at].running => {
                // A crash: the addresses go by their lifetime, nothing is said.
                let settings = self.nodes[at].router.settings().clone();
                let address = self.nodes[at].address;
                self.nodes[at].router = Router::new(settings, self.now);
                self.nodes[at].router.set_primary(Some(address));
                self.nodes[at].clock = 0;
                self.nodes[at].running = false;
                self.nodes[at].taken = false;
            }
            0 | 1 if !self.nodes[at].running => {
                self.nodes[at].running = true;
                self.nodes[at].router.start(self.now);
            }
            2 => self.nodes[at].stalled_until = self.now + stall,
            3 => self.cut = self.rng.next(u64::MAX),
            4 => self.loss = self.rng.next(80),
            5 => self.nodes[at].clock = [-3600, 0, 3600][stall.subsec_millis() as usize % 3],
            _ => {
                self.nodes[at].router.release(self.now);
                self.nodes[at].router.resume(self.now);
            }
        }
        self.drain(at);
    }

    pub(super) fn heal(&mut self) {
        self.cut = 0;
        self.loss = 0;
        for at in 0..self.nodes.len() {
            self.nodes[at].stalled_until = self.now;
            // Who started with a wrong clock and keeps it cannot be told from a replay.
            self.nodes[at].clock = 0;
            if !self.nodes[at].running {
                self.nodes[at].running = true;
                self.nodes[at].router.start(self.now);
                self.drain(at);
            }
        }
    }
}

fn one_run(seed: u64) {
    let mut segment = Segment::build(seed, true);
    let disturbances = 5 + segment.rng.next(30);
    for _ in 0..disturbances {
        segment.disturb();
        let pause = ms(segment.rng.next(3000));
        segment.run(segment.now + pause);
    }
    segment.heal();
    let intervals = segment.nodes.iter();
    let intervals = intervals.map(|node| node.router.settings().interval);
    let interval = intervals.max().expect("nodes");
    // Two down intervals: one until somebody is master, one until the best has preempted; a
    // backup that excuses a stall takes one more.
    segment.run(segment.now + 3 * (4 * interval) + ms(2000));
    for _ in 0..10 {
        segment.run(segment.now + interval / 2);
        let masters: Vec<usize> = (0..segment.nodes.len())
            .filter(|at| segment.nodes[*at].router.state() == State::Master)
            .collect();
        assert_eq!(masters.len(), 1, "seed {seed}: masters {masters:?}");
        let best = segment
            .nodes
            .iter()
            .map(|it| it.router.effective_priority());
        let master = &segment.nodes[masters[0]];
        assert_eq!(
            Some(master.router.effective_priority()),
            best.max(),
            "seed {seed}: the best is master"
        );
        let holders = segment.nodes.iter().filter(|node| node.taken).count();
        assert_eq!((master.taken, holders), (true, 1), "seed {seed}: addresses");
    }
}

#[test]
fn a_healed_segment_has_one_master() {
    for seed in 1..400 {
        one_run(seed);
    }
}
