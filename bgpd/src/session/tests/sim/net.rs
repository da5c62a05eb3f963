//! The model network: virtual time, TCP as two ordered byte streams, and trouble by seed.
//!
//! A link is one TCP connection. Its bytes arrive in order, after a random delay, in random
//! chunks. What ends it travels behind the bytes (a close) or at once (a reset). A machine that
//! crashes forgets its links without a word; whoever then sends on one gets a reset, as from a
//! kernel that does not know the connection.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proto_codec::bgp::{Framer, Notification};

use super::super::super::backoff::Jitter;
use super::*;

/// What goes wrong, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Troubles {
    pub lasting: Duration,
    /// One of so many dials is lost or refused; 0 = none.
    pub dial_one_in: u64,
    /// Mean time between disturbances of a kind chosen at random; zero = none.
    pub every: Duration,
}

impl Troubles {
    pub const NONE: Troubles = Troubles {
        lasting: Duration::ZERO,
        dial_one_in: 0,
        every: Duration::ZERO,
    };
    pub const ALL: Troubles = Troubles {
        lasting: Duration::from_secs(900),
        dial_one_in: 3,
        every: Duration::from_secs(20),
    };
}

#[derive(Clone, Debug)]
enum Event {
    /// The dial reaches the other side.
    Syn(usize),
    /// The answer reaches the dialler.
    SynAck(usize),
    DialFails(usize, ErrorKind),
    /// Bytes for this side of the link.
    Data(usize, usize, Bytes),
    /// The end of the stream for this side; `true` = reset.
    End(usize, usize, bool),
    Disturb,
}

/// One side of one link.
#[derive(Default)]
struct End {
    id: Option<ConnId>,
    open: bool,
    framer: Framer,
    /// When the last byte sent to this side arrives: the next may not overtake it.
    last_arrival: Option<Instant>,
}

struct Link {
    dialler: usize,
    ends: [End; 2],
}

pub struct World {
    start: Instant,
    now: Instant,
    random: Jitter,
    troubles: Troubles,
    configs: [PeerConfig; 2],
    peers: [Peer; 2],
    links: Vec<Link>,
    /// Ordered by time, then by order of creation.
    queue: BTreeMap<(Instant, u64), Event>,
    scheduled: u64,
    lives: u64,
    pub crashes: u64,
    seen: [u64; 2],
    seen_collisions: u64,
    story: Vec<String>,
}

impl World {
    pub fn new(configs: [PeerConfig; 2], seed: u64, troubles: Troubles) -> World {
        let start = Instant::now();
        let peer = |n: usize| Peer::new(configs[n].clone(), 1, seed * 2 + n as u64);
        World {
            start,
            now: start,
            random: Jitter::new(seed ^ 0x5eed),
            troubles,
            peers: [peer(0), peer(1)],
            configs,
            links: Vec::new(),
            queue: BTreeMap::new(),
            scheduled: 0,
            lives: 0,
            crashes: 0,
            seen: [0; 2],
            seen_collisions: 0,
            story: Vec::new(),
        }
    }

    pub fn start(&mut self) {
        for side in 0..2 {
            self.peers[side].handle_command(self.now, Command::Start);
            self.pump(side);
        }
        if !self.troubles.every.is_zero() {
            self.after(self.troubles.every, Event::Disturb);
        }
    }

    /// No further trouble, and every operator wants the session.
    pub fn calm_down(&mut self) {
        self.troubles = Troubles::NONE;
        for side in 0..2 {
            self.peers[side].handle_command(self.now, Command::Start);
            self.pump(side);
        }
    }

    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let timer = self.peers.iter().filter_map(Peer::poll_timeout).min();
            let event = self.queue.first_key_value().map(|((at, _), _)| *at);
            let Some(next) = timer.into_iter().chain(event).min().filter(|&at| at <= end) else {
                break;
            };
            self.now = self.now.max(next);
            if event.is_some_and(|at| at <= self.now) {
                if let Some((_, event)) = self.queue.pop_first() {
                    self.happen(event);
                }
            } else {
                for side in 0..2 {
                    self.peers[side].handle_timeout(self.now);
                    self.pump(side);
                }
            }
        }
        self.now = end;
    }

    /// How often each side has been Established, over all its lives.
    pub fn established(&self) -> [u64; 2] {
        [0, 1].map(|side| self.seen[side] + self.peers[side].stats().established)
    }

    pub fn collisions(&self) -> u64 {
        self.seen_collisions + self.peers.iter().map(|p| p.stats().collisions).sum::<u64>()
    }

    /// Every transition of both sides, for comparing runs.
    pub fn story(self) -> Vec<String> {
        self.story
    }

    pub fn check_one_session(&self, when: &str) {
        let open: Vec<&Link> = self
            .links
            .iter()
            .filter(|link| link.ends.iter().any(|end| end.open))
            .collect();
        let tail = || {
            self.story
                .iter()
                .rev()
                .take(30)
                .rev()
                .cloned()
                .collect::<Vec<_>>()
                .join("\n")
        };
        assert_eq!(open.len(), 1, "{when}: open links\n{}", tail());
        for side in 0..2 {
            let view = self.peers[side].view();
            assert_eq!(
                self.peers[side].state(),
                State::Established,
                "{when}\n{}",
                tail()
            );
            assert_eq!(
                view.map(|v| v.conn),
                open[0].ends[side].id,
                "{when}: one session each"
            );
        }
    }

    fn after(&mut self, delay: Duration, event: Event) {
        self.at(self.now + delay, event);
    }

    fn at(&mut self, at: Instant, event: Event) {
        self.scheduled += 1;
        self.queue.insert((at, self.scheduled), event);
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random.next_u64() % bound.max(1)
    }

    /// Up to 300 ms, most often little.
    fn latency(&mut self) -> Duration {
        let most = [1, 5, 50, 300][self.below(4) as usize];
        Duration::from_micros(self.below(most * 1000))
    }

    /// Does what a machine wants done, until it wants nothing more.
    fn pump(&mut self, side: usize) {
        while let Some(action) = self.peers[side].poll_action() {
            match action {
                Action::Connect(id) => self.dial(side, id),
                Action::Close {
                    conn,
                    farewell,
                    abort,
                } => {
                    if let Some(link) = self.link_of(side, conn) {
                        self.links[link].ends[side].open = false;
                        self.links[link].ends[side].id = None;
                        if !abort {
                            self.send(link, side, farewell);
                        }
                        self.end(link, 1 - side, abort);
                    }
                }
                Action::Transition(t) => {
                    let at = (t.at - self.start).as_millis();
                    self.story
                        .push(format!("{at} {side}: {} to {}: {}", t.from, t.to, t.cause));
                }
                // As a speaker without routes does: an End-of-RIB at once.
                Action::Up(up) => {
                    self.flush(side);
                    if let Some(link) = self.link_of(side, up.conn) {
                        self.send(link, side, Bytes::from(super::super::update()));
                    }
                }
                Action::Down(_) => {}
            }
        }
        self.flush(side);
    }

    fn flush(&mut self, side: usize) {
        for link in 0..self.links.len() {
            let Some(id) = self.links[link].ends[side].id else {
                continue;
            };
            while let Some(message) = self.peers[side].poll_transmit(id) {
                self.peers[side].handle_written(self.now, id, message.len(), 0);
                self.send(link, side, message);
            }
        }
    }

    fn link_of(&self, side: usize, conn: ConnId) -> Option<usize> {
        self.links
            .iter()
            .position(|link| link.ends[side].id == Some(conn))
    }

    fn dial(&mut self, side: usize, id: ConnId) {
        let mut ends = [End::default(), End::default()];
        ends[side].id = Some(id);
        self.links.push(Link {
            dialler: side,
            ends,
        });
        let link = self.links.len() - 1;
        let delay = self.latency();
        if self.troubles.dial_one_in > 0 && self.below(self.troubles.dial_one_in) == 0 {
            // Refused, or never answered.
            if self.below(2) == 0 {
                self.after(delay, Event::DialFails(link, ErrorKind::ConnectionRefused));
            }
            return;
        }
        self.after(delay, Event::Syn(link));
    }

    /// Sends bytes to the other side in random chunks, each no earlier than the one before.
    fn send(&mut self, link: usize, from: usize, mut bytes: Bytes) {
        let to = 1 - from;
        while !bytes.is_empty() {
            let len = 1 + self.below(bytes.len() as u64) as usize;
            let chunk = bytes.split_to(len);
            let at = self.arrival(link, to);
            self.at(at, Event::Data(link, to, chunk));
        }
    }

    /// Ends the stream towards `to`: behind the bytes, or as a reset at once.
    fn end(&mut self, link: usize, to: usize, reset: bool) {
        let at = if reset {
            self.now + self.latency()
        } else {
            self.arrival(link, to)
        };
        self.at(at, Event::End(link, to, reset));
    }

    fn arrival(&mut self, link: usize, to: usize) -> Instant {
        let at = self.now + self.latency();
        let end = &mut self.links[link].ends[to];
        let at = end.last_arrival.map_or(at, |last| last.max(at));
        end.last_arrival = Some(at);
        at
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Syn(link) => {
                let to = 1 - self.links[link].dialler;
                let id = self.peers[to].accept_id();
                self.links[link].ends[to].id = Some(id);
                // The handshake goes before any byte.
                let at = self.arrival(link, 1 - to);
                self.at(at, Event::SynAck(link));
                self.opened(link, to, Direction::Inbound);
            }
            Event::SynAck(link) => {
                let dialler = self.links[link].dialler;
                match self.links[link].ends[dialler].id {
                    Some(_) => self.opened(link, dialler, Direction::Outbound),
                    // Given up meanwhile: that kernel answers with a reset.
                    None => self.end(link, 1 - dialler, true),
                }
            }
            Event::DialFails(link, kind) => {
                let dialler = self.links[link].dialler;
                if let Some(id) = self.links[link].ends[dialler].id.take() {
                    self.peers[dialler].handle_conn(self.now, id, ConnEvent::Failed(kind));
                    self.pump(dialler);
                }
            }
            Event::Data(link, to, bytes) => self.data(link, to, &bytes),
            Event::End(link, to, reset) => {
                let end = &mut self.links[link].ends[to];
                end.open = false;
                if let Some(id) = end.id.take() {
                    let kind = reset.then_some(ErrorKind::ConnectionReset);
                    self.peers[to].handle_conn(self.now, id, ConnEvent::Closed(kind));
                    self.pump(to);
                }
            }
            Event::Disturb => self.disturb(),
        }
    }

    fn opened(&mut self, link: usize, side: usize, direction: Direction) {
        let end = &mut self.links[link].ends[side];
        end.open = true;
        let Some(id) = end.id else { return };
        let at = |n: u8| SocketAddr::from(([10, 0, 0, n], 179));
        let event = ConnEvent::Opened {
            direction,
            local: at(1),
            remote: at(2),
        };
        self.peers[side].handle_conn(self.now, id, event);
        self.pump(side);
    }

    fn data(&mut self, link: usize, to: usize, bytes: &[u8]) {
        let end = &mut self.links[link].ends[to];
        let Some(id) = end.id else {
            // Nobody there: the sender learns it by a reset.
            return self.end(link, 1 - to, true);
        };
        end.framer.push_slice(bytes);
        loop {
            match self.links[link].ends[to].framer.next_frame() {
                Ok(Some(frame)) => {
                    self.peers[to].handle_frame(self.now, id, &frame);
                }
                Ok(None) => break,
                Err(error) => panic!("the model network does not corrupt: {error}"),
            }
        }
        self.pump(to);
    }

    /// One disturbance, and the time of the next.
    fn disturb(&mut self) {
        if self.troubles.every.is_zero() {
            return;
        }
        let side = self.below(2) as usize;
        let admin = |subcode| Notification::cease(subcode);
        use proto_codec::bgp::notification::CeaseSubcode as Cease;
        match self.below(6) {
            0 | 1 => {
                let sides = self.below(3);
                self.break_a_link(sides);
            }
            2 => self.crash(side),
            3 => {
                let stop = Command::Stop(admin(Cease::AdministrativeShutdown));
                self.peers[side].handle_command(self.now, stop);
            }
            4 => {
                let reset = Command::Reset(admin(Cease::AdministrativeReset), Restart::AtOnce);
                self.peers[side].handle_command(self.now, reset);
            }
            _ => self.peers[side].handle_command(self.now, Command::Start),
        }
        for side in 0..2 {
            self.pump(side);
        }
        let wait = self.below(2 * self.troubles.every.as_millis() as u64);
        self.after(Duration::from_millis(wait), Event::Disturb);
    }

    /// A reset that this side sees; with 2, both do, at different times.
    pub fn break_a_link(&mut self, sides: u64) {
        let open: Vec<usize> = (0..self.links.len())
            .filter(|&link| self.links[link].ends.iter().any(|end| end.open))
            .collect();
        if open.is_empty() {
            return;
        }
        let link = open[self.below(open.len() as u64) as usize];
        for side in 0..2 {
            if sides == 2 || sides == side as u64 {
                self.end(link, side, true);
            }
        }
    }

    /// A machine dies and a new one takes its place; its links are forgotten without a word.
    fn crash(&mut self, side: usize) {
        self.crashes += 1;
        self.lives += 1;
        for link in &mut self.links {
            link.ends[side] = End::default();
        }
        self.seen[side] += self.peers[side].stats().established;
        self.seen_collisions += self.peers[side].stats().collisions;
        let config = self.configs[side].clone();
        // Ids must not repeat: late events of the last life would meet the new one.
        let key = 100 + u32::try_from(self.lives).expect("few lives");
        self.peers[side] = Peer::new(config, key, self.lives);
        self.peers[side].handle_command(self.now, Command::Start);
        self.story.push(format!("{side} crashed"));
    }
}
