//! Hundreds of speakers in one process: the very `Speaker` of the daemon, and between them
//! connections that are queues with a delay of their own.
//!
//! Time goes in milliseconds and only where something happens. Within a millisecond all that
//! arrived at a speaker is handed over first, then it decides once, as the daemon does when no
//! input is waiting. Each connection has its own delay, so that a route through a reflector
//! overtakes the one that comes straight in some places and comes late in others. Octets of a
//! connection stay in order, and what is on its way when an end closes arrives before the end
//! does.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bgpd::config::{self, Host, HostAddress};
use bgpd::origin::PoolState;
use bgpd::speaker::port::{Action, Admission, ConnId};
use bgpd::speaker::{Environment, Speaker};
use bytes::Bytes;
use rib::fib::{FibChange, KernelEvent, NextHopState};

use crate::chance::Chance;

/// One end of a connection: which speaker, which of its connections.
pub type End = (usize, ConnId);

/// The longest way between two nodes.
const DELAY_MAX_MS: u64 = 30;

enum Event {
    Dial(End, SocketAddr),
    Octets(End, Bytes),
    Closed(End, Option<ErrorKind>),
    Wake(usize),
}

/// One speaker.
pub struct Member {
    pub address: IpAddr,
    pub speaker: Speaker,
    pub is_alive: bool,
    /// When it is woken next.
    wake: Option<u64>,
}

/// The speakers and what is between them.
pub struct Net {
    start: Instant,
    now_ms: u64,
    pub members: Vec<Member>,
    by_address: HashMap<IpAddr, usize>,
    links: HashMap<End, (End, u64)>,
    events: BTreeMap<u64, Vec<Event>>,
    dirty: BTreeSet<usize>,
    ports: u16,
    pub chance: Chance,
}

impl Net {
    pub fn new(seed: u64) -> Self {
        Self {
            start: Instant::now(),
            now_ms: 0,
            members: Vec::new(),
            by_address: HashMap::new(),
            links: HashMap::new(),
            events: BTreeMap::new(),
            dirty: BTreeSet::new(),
            ports: 40_000,
            chance: Chance::new(seed),
        }
    }

    pub fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.now_ms)
    }

    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// Adds a speaker; answers with its number.
    pub fn add(&mut self, address: IpAddr, text: &str) -> usize {
        let at = self.members.len();
        let host = Host {
            addresses: vec![HostAddress {
                interface: "eth0".to_owned(),
                loopback: false,
                address,
            }],
            node_name: format!("node{at}"),
            cores: 1,
        };
        let config = match config::parse("node.toml", text, &host) {
            Ok(loaded) => loaded.config,
            Err(faults) => panic!("{faults}"),
        };
        let env = Environment {
            host,
            seed: at as u64 + 1,
            pool_state: PoolState::default(),
        };
        let speaker = Speaker::new(self.now(), config, env).expect("a good configuration");
        self.members.push(Member {
            address,
            speaker,
            is_alive: true,
            wake: None,
        });
        self.by_address.insert(address, at);
        self.dirty.insert(at);
        at
    }

    /// A speaker that was told something has to be looked after.
    pub fn touched(&mut self, at: usize) {
        self.dirty.insert(at);
    }

    /// Power off: nobody says anything, connections break.
    pub fn kill(&mut self, at: usize) {
        self.members[at].is_alive = false;
        let mut ends: Vec<End> = self
            .links
            .keys()
            .filter(|end| end.0 == at)
            .copied()
            .collect();
        ends.sort_unstable();
        for end in ends {
            if let Some((other, delay)) = self.links.remove(&end) {
                self.later(
                    delay,
                    Event::Closed(other, Some(ErrorKind::ConnectionReset)),
                );
            }
        }
    }

    /// Everything up to a moment; `told` sees each route that a speaker writes to its kernel.
    pub fn run_to(&mut self, end_ms: u64, told: &mut dyn FnMut(usize, u64, &FibChange)) {
        loop {
            self.look_after_all(told);
            let next = self.events.keys().next().copied();
            let Some(next) = next.filter(|next| *next <= end_ms) else {
                self.now_ms = end_ms;
                return;
            };
            self.now_ms = next;
            for event in self.events.remove(&next).unwrap_or_default() {
                self.happen(event);
            }
        }
    }

    fn later(&mut self, delay_ms: u64, event: Event) {
        let at = self.now_ms + delay_ms.max(1);
        self.events.entry(at).or_default().push(event);
    }

    fn happen(&mut self, event: Event) {
        let now = self.now();
        match event {
            Event::Wake(at) => {
                if self.members[at].wake == Some(self.now_ms) {
                    self.members[at].wake = None;
                    self.dirty.insert(at);
                }
            }
            Event::Octets(end, octets) => {
                if self.members[end.0].is_alive {
                    self.members[end.0]
                        .speaker
                        .handle_bytes(now, end.1, &octets);
                    self.dirty.insert(end.0);
                }
            }
            Event::Closed(end, error) => {
                self.links.remove(&end);
                if self.members[end.0].is_alive {
                    self.members[end.0].speaker.handle_closed(now, end.1, error);
                    self.dirty.insert(end.0);
                }
            }
            Event::Dial(end, remote) => self.dial(end, remote),
        }
    }

    fn dial(&mut self, end: End, remote: SocketAddr) {
        let now = self.now();
        let from = self.members[end.0].address;
        if !self.members[end.0].is_alive {
            return;
        }
        self.dirty.insert(end.0);
        self.ports = self.ports.checked_add(1).unwrap_or(40_000);
        let local = SocketAddr::new(from, self.ports);
        let to = self.by_address.get(&remote.ip()).copied();
        let to = to.filter(|to| self.members[*to].is_alive);
        let admitted = to.map(|to| {
            self.dirty.insert(to);
            (
                to,
                self.members[to].speaker.handle_accept(now, remote, local),
            )
        });
        let Some((to, Admission::Accepted { conn, .. })) = admitted else {
            let refused = ErrorKind::ConnectionRefused;
            let speaker = &mut self.members[end.0].speaker;
            return speaker.handle_connect_failed(now, end.1, refused);
        };
        let delay = 1 + self.chance.below(DELAY_MAX_MS);
        self.links.insert(end, ((to, conn), delay));
        self.links.insert((to, conn), (end, delay));
        let speaker = &mut self.members[end.0].speaker;
        speaker.handle_connected(now, end.1, local, remote);
    }

    fn look_after_all(&mut self, told: &mut dyn FnMut(usize, u64, &FibChange)) {
        while let Some(at) = self.dirty.pop_first() {
            if self.members[at].is_alive {
                self.look_after(at, told);
            }
        }
    }

    fn look_after(&mut self, at: usize, told: &mut dyn FnMut(usize, u64, &FibChange)) {
        let now = self.now();
        let now_ms = self.now_ms;
        for _ in 0..1_000 {
            let member = &mut self.members[at];
            member.speaker.handle_timeout(now);
            member.speaker.settle(now);
            let mut progress = false;
            while let Some(change) = member.speaker.poll_fib() {
                told(at, now_ms, &change);
            }
            while member.speaker.poll_event().is_some() {}
            while let Some(action) = self.members[at].speaker.poll_action() {
                progress = true;
                self.act(at, action);
            }
            while let Some(conn) = self.members[at].speaker.poll_ready() {
                while let Some(octets) = self.members[at].speaker.poll_transmit(conn) {
                    progress = true;
                    let speaker = &mut self.members[at].speaker;
                    speaker.handle_written(now, conn, octets.len());
                    if let Some((other, delay)) = self.links.get(&(at, conn)).copied() {
                        self.later(delay, Event::Octets(other, octets));
                    }
                }
            }
            if !progress {
                break;
            }
        }
        self.wake_later(at);
    }

    fn wake_later(&mut self, at: usize) {
        let Some(due) = self.members[at].speaker.poll_timeout() else {
            return;
        };
        let ms = due.saturating_duration_since(self.start).as_millis() as u64 + 1;
        let ms = ms.max(self.now_ms + 1);
        if self.members[at].wake.is_none_or(|wake| ms < wake) {
            self.members[at].wake = Some(ms);
            self.events.entry(ms).or_default().push(Event::Wake(at));
        }
    }

    fn act(&mut self, at: usize, action: Action) {
        match action {
            Action::Connect(request) => {
                let delay = 1 + self.chance.below(DELAY_MAX_MS);
                self.later(delay, Event::Dial((at, request.conn), request.remote));
            }
            Action::Close {
                conn,
                farewell,
                abort,
            } => {
                let Some((other, delay)) = self.links.remove(&(at, conn)) else {
                    return;
                };
                if !abort && !farewell.is_empty() {
                    self.later(delay, Event::Octets(other, farewell));
                }
                self.later(delay, Event::Closed(other, None));
            }
            Action::TrackNextHop { address, on: true } => {
                let state = NextHopState {
                    reachable: true,
                    igp_metric: 0,
                };
                let event = KernelEvent::NextHop {
                    addr: address,
                    state,
                };
                let now = self.now();
                self.members[at].speaker.handle_kernel(now, event);
            }
            _ => {}
        }
    }
}
