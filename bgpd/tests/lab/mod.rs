//! Speakers in memory: a clock that jumps, connections that are queues, a kernel that is a map.
//!
//! Everything the driver in `bgpd::io` does with sockets is done here with data, so whole
//! scenarios (a restart, a reload, a limit) run in milliseconds and always the same way. Time
//! moves only when nobody has anything to do, and then straight to the next deadline.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bgpd::config::{self, Config, Host, HostAddress};
use bgpd::event::Event;
use bgpd::origin::PoolState;
use bgpd::session::State;
use bgpd::speaker::port::{Action, Admission, ConnId, ConnectRequest, Md5Key};
use bgpd::speaker::{Environment, Speaker};
use ipnet::IpNet;
use rib::fib::FibRoute;

/// Turns without progress in time before a scenario counts as hung.
const TURNS_MAX: usize = 100_000;

/// One speaker and its surroundings.
pub struct Node {
    pub address: IpAddr,
    pub speaker: Speaker,
    pub kernel: BTreeMap<IpNet, FibRoute>,
    pub events: Vec<Event>,
    pub resynced: bool,
    /// Prefixes asked for since the last start; the others are of an earlier life.
    asked: BTreeSet<IpNet>,
    /// What the listening sockets demand of whom.
    pub keys: BTreeMap<IpNet, Md5Key>,
    running: bool,
}

/// A bad line.
pub struct Noise {
    state: u64,
    /// One byte of this many is flipped; 0 = none.
    pub flip_one_in: u64,
}

impl Noise {
    /// Noise that is always the same for the same seed.
    pub fn new(seed: u64, flip_one_in: u64) -> Self {
        Self {
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            flip_one_in,
        }
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % limit.max(1)
    }

    fn spoil(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            if self.flip_one_in > 0 && self.below(self.flip_one_in) == 0 {
                *byte ^= 1 << self.below(8);
            }
        }
    }
}

/// One end of a connection.
type End = (usize, ConnId);

/// The speakers and what connects them.
pub struct Lab {
    pub now: Instant,
    pub nodes: Vec<Node>,
    links: BTreeMap<End, End>,
    /// Pairs of nodes between which nothing passes.
    cut: Vec<(usize, usize)>,
    /// Ends whose other end is gone without their knowledge, and where it was.
    half_open: BTreeMap<End, usize>,
    /// Bytes arrive in pieces of random size, and now and then one is flipped.
    pub noise: Option<Noise>,
    ports: u16,
}

/// Resolves a configuration as `address` would.
pub fn configuration(address: &str, text: &str) -> Config {
    let host = host(address);
    match config::parse("lab.toml", text, &host) {
        Ok(loaded) => loaded.config,
        Err(faults) => panic!("{faults}"),
    }
}

fn host(address: &str) -> Host {
    Host {
        addresses: vec![HostAddress {
            interface: "lab0".to_owned(),
            loopback: false,
            address: address.parse().expect("an address"),
        }],
        node_name: format!("node-{address}"),
        cores: 1,
    }
}

impl Lab {
    /// A lab without speakers.
    pub fn new() -> Self {
        Self {
            now: Instant::now(),
            nodes: Vec::new(),
            links: BTreeMap::new(),
            cut: Vec::new(),
            half_open: BTreeMap::new(),
            noise: None,
            ports: 40_000,
        }
    }

    /// Adds a speaker; answers with its number.
    pub fn add(&mut self, address: &str, text: &str) -> usize {
        let speaker = self.make(address, text, self.nodes.len());
        self.nodes.push(Node {
            address: address.parse().expect("an address"),
            speaker,
            kernel: BTreeMap::new(),
            events: Vec::new(),
            resynced: false,
            asked: BTreeSet::new(),
            keys: BTreeMap::new(),
            running: true,
        });
        self.nodes.len() - 1
    }

    fn make(&self, address: &str, text: &str, seed: usize) -> Speaker {
        let env = Environment {
            host: host(address),
            seed: seed as u64 + 1,
            pool_state: PoolState::default(),
        };
        Speaker::new(self.now, configuration(address, text), env).expect("a good configuration")
    }

    /// Kills a speaker without a word and starts it anew; its kernel routes stay.
    pub fn crash_and_restart(&mut self, at: usize, text: &str) {
        let ends: Vec<End> = self
            .links
            .keys()
            .copied()
            .filter(|end| end.0 == at)
            .collect();
        for end in ends {
            self.hang_up(end, true);
        }
        self.half_open.retain(|end, _| end.0 != at);
        let address = self.nodes[at].address.to_string();
        let speaker = self.make(&address, text, at + 100);
        let node = &mut self.nodes[at];
        node.speaker = speaker;
        node.keys.clear();
        node.resynced = false;
        node.asked.clear();
    }

    /// Kills a speaker for good.
    pub fn crash(&mut self, at: usize) {
        let ends: Vec<End> = self
            .links
            .keys()
            .copied()
            .filter(|end| end.0 == at)
            .collect();
        for end in ends {
            self.hang_up(end, true);
        }
        self.nodes[at].running = false;
    }

    /// Loses everything between two speakers, without closing anything.
    pub fn cut(&mut self, a: usize, b: usize) {
        self.cut.push((a.min(b), a.max(b)));
    }

    /// Lets everything pass again. What was lost on the way is a broken connection at both ends.
    pub fn heal(&mut self) {
        let cut = std::mem::take(&mut self.cut);
        let pairs = self.links.iter().map(|(end, other)| (*end, *other));
        let broken: Vec<(End, End)> = pairs
            .filter(|(end, other)| cut.contains(&(end.0.min(other.0), end.0.max(other.0))))
            .collect();
        for (end, _) in broken {
            self.links.remove(&end);
            let reset = Some(std::io::ErrorKind::ConnectionReset);
            self.nodes[end.0]
                .speaker
                .handle_closed(self.now, end.1, reset);
        }
    }

    /// Puts a new configuration in force; answers with the plan's lines.
    pub fn reload(&mut self, at: usize, text: &str) -> Vec<String> {
        let node = &mut self.nodes[at];
        let config = configuration(&node.address.to_string(), text);
        let prepared = node.speaker.prepare(config).expect("it compiles");
        let plan = node.speaker.commit(self.now, prepared);
        plan.changes
            .iter()
            .map(|change| format!("{:?} {}", change.impact, change.what))
            .collect()
    }

    /// Why a new configuration is refused; nothing of it is in force then.
    pub fn refused(&self, at: usize, text: &str) -> Option<String> {
        let node = &self.nodes[at];
        let config = configuration(&node.address.to_string(), text);
        node.speaker
            .prepare(config)
            .err()
            .map(|error| error.to_string())
    }

    /// Puts an address of a pool in use.
    pub fn pool_use(&mut self, at: usize, address: &str) {
        let address = address.parse().expect("an address");
        let used = self.nodes[at].speaker.pool_use(self.now, address);
        used.expect("it is in a pool");
    }

    /// The state of a session.
    pub fn state(&self, at: usize, neighbor: &str) -> Option<State> {
        let address = neighbor.parse().expect("an address");
        Some(
            self.nodes[at]
                .speaker
                .peers()
                .by_address(address)?
                .peer
                .state(),
        )
    }

    /// How often a session has come up.
    pub fn ups(&self, at: usize, neighbor: &str) -> u64 {
        let address = neighbor.parse().expect("an address");
        let entry = self.nodes[at].speaker.peers().by_address(address);
        entry.map_or(0, |entry| entry.peer.stats().established)
    }

    /// Runs until `done`, or for `limit` of the lab's time; answers whether it came to that.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&Lab) -> bool) -> bool {
        let end = self.now + limit;
        for _ in 0..TURNS_MAX {
            self.settle();
            if done(self) {
                return true;
            }
            let next = self.nodes.iter_mut().filter(|node| node.running);
            let next = next.filter_map(|node| node.speaker.poll_timeout()).min();
            match next {
                Some(next) if next <= end => self.now = next.max(self.now),
                _ => {
                    self.now = end;
                    return false;
                }
            }
            for node in self.nodes.iter_mut().filter(|node| node.running) {
                node.speaker.handle_timeout(self.now);
                node.speaker.settle(self.now);
            }
        }
        panic!("no progress after {TURNS_MAX} turns");
    }

    /// Runs for a time.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    /// Carries out and delivers until nobody has anything to do.
    fn settle(&mut self) {
        for _ in 0..TURNS_MAX {
            let mut progress = false;
            for at in 0..self.nodes.len() {
                if self.nodes[at].running {
                    progress |= self.carry_out(at);
                }
            }
            progress |= self.deliver();
            for node in &mut self.nodes {
                node.speaker.settle(self.now);
            }
            if !progress {
                return;
            }
        }
        panic!("the speakers never come to rest");
    }

    fn carry_out(&mut self, at: usize) -> bool {
        let mut progress = false;
        let node = &mut self.nodes[at];
        while let Some(change) = node.speaker.poll_fib() {
            progress = true;
            node.asked.insert(change.prefix);
            match change.route {
                Some(route) => node.kernel.insert(change.prefix, route),
                None => node.kernel.remove(&change.prefix),
            };
        }
        while let Some(event) = self.nodes[at].speaker.poll_event() {
            self.nodes[at].events.push(event);
        }
        while let Some(action) = self.nodes[at].speaker.poll_action() {
            progress = true;
            self.act(at, action);
        }
        progress
    }

    fn act(&mut self, at: usize, action: Action) {
        match action {
            Action::Connect(request) => self.connect(at, request),
            Action::Close {
                conn,
                farewell,
                abort,
            } => {
                if let Some(&(other, peer)) = self.links.get(&(at, conn))
                    && !abort
                    && !self.is_cut(at, other)
                {
                    self.nodes[other]
                        .speaker
                        .handle_bytes(self.now, peer, &farewell);
                }
                self.hang_up((at, conn), false);
                self.half_open.remove(&(at, conn));
            }
            Action::ListenKey { prefix, key } => {
                match key {
                    Some(key) => self.nodes[at].keys.insert(prefix, key),
                    None => self.nodes[at].keys.remove(&prefix),
                };
            }
            Action::ResyncComplete => {
                let node = &mut self.nodes[at];
                node.resynced = true;
                node.kernel.retain(|prefix, _| node.asked.contains(prefix));
            }
            Action::TrackNextHop { address, on: true } => {
                let state = rib::fib::NextHopState {
                    reachable: true,
                    igp_metric: 0,
                };
                let event = rib::fib::KernelEvent::NextHop {
                    addr: address,
                    state,
                };
                self.nodes[at].speaker.handle_kernel(self.now, event);
            }
            Action::TrackNextHop { .. } | Action::Listen(_) | Action::Kernel(_) => {}
        }
    }

    fn connect(&mut self, at: usize, request: ConnectRequest) {
        let from = self.nodes[at].address;
        let listener = self
            .nodes
            .iter()
            .position(|node| node.address == request.remote.ip());
        let refused = std::io::ErrorKind::ConnectionRefused;
        let Some(to) = listener.filter(|to| self.nodes[*to].running) else {
            return self.nodes[at]
                .speaker
                .handle_connect_failed(self.now, request.conn, refused);
        };
        let key = self.nodes[to]
            .keys
            .iter()
            .find(|(prefix, _)| prefix.contains(&from));
        // A wrong key is silence, not a refusal: the SYN is dropped.
        if key.map(|(_, key)| key) != request.options.md5_key.as_ref() || self.is_cut(at, to) {
            let silence = std::io::ErrorKind::TimedOut;
            return self.nodes[at]
                .speaker
                .handle_connect_failed(self.now, request.conn, silence);
        }
        self.ports += 1;
        let local = SocketAddr::new(from, self.ports);
        match self.nodes[to]
            .speaker
            .handle_accept(self.now, request.remote, local)
        {
            Admission::Accepted { conn, .. } => {
                self.links.insert((at, request.conn), (to, conn));
                self.links.insert((to, conn), (at, request.conn));
            }
            Admission::Refused => {}
        }
        let speaker = &mut self.nodes[at].speaker;
        speaker.handle_connected(self.now, request.conn, local, request.remote);
        if !self.links.contains_key(&(at, request.conn)) {
            self.nodes[at]
                .speaker
                .handle_closed(self.now, request.conn, None);
        }
    }

    fn is_cut(&self, a: usize, b: usize) -> bool {
        self.cut.contains(&(a.min(b), a.max(b)))
    }

    /// Moves what everybody has to send.
    fn deliver(&mut self) -> bool {
        let mut progress = false;
        let ends: Vec<End> = self.links.keys().copied().collect();
        for end in ends {
            while let Some(bytes) = self.nodes[end.0].speaker.poll_transmit(end.1) {
                progress = true;
                self.nodes[end.0]
                    .speaker
                    .handle_written(self.now, end.1, bytes.len());
                if let Some(&(other, peer)) = self.links.get(&end)
                    && !self.is_cut(end.0, other)
                {
                    self.arrive((other, peer), &bytes);
                }
            }
        }
        progress | self.answer_half_open()
    }

    /// Hands bytes to a speaker, in pieces and with errors if there is noise.
    fn arrive(&mut self, end: End, bytes: &[u8]) {
        let Some(noise) = &mut self.noise else {
            return self.nodes[end.0]
                .speaker
                .handle_bytes(self.now, end.1, bytes);
        };
        let mut bytes = bytes.to_vec();
        noise.spoil(&mut bytes);
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let len = 1 + noise.below(rest.len() as u64) as usize;
            let (piece, behind) = rest.split_at(len);
            self.nodes[end.0]
                .speaker
                .handle_bytes(self.now, end.1, piece);
            rest = behind;
        }
    }

    /// A kernel answers data for a connection it does not know with a reset.
    fn answer_half_open(&mut self) -> bool {
        let mut progress = false;
        for (end, other) in std::mem::take(&mut self.half_open) {
            let mut sent = false;
            while self.nodes[end.0].speaker.poll_transmit(end.1).is_some() {
                sent = true;
            }
            if sent && !self.is_cut(end.0, other) {
                let reset = Some(std::io::ErrorKind::ConnectionReset);
                self.nodes[end.0]
                    .speaker
                    .handle_closed(self.now, end.1, reset);
            } else {
                self.half_open.insert(end, other);
            }
            progress |= sent;
        }
        for node in &mut self.nodes {
            while node.speaker.poll_ready().is_some() {}
        }
        progress
    }

    /// Ends a connection at one end; the other sees it close, or break.
    fn hang_up(&mut self, end: End, broken: bool) {
        let Some(other) = self.links.remove(&end) else {
            return;
        };
        self.links.remove(&other);
        if self.is_cut(end.0, other.0) {
            self.half_open.insert(other, end.0);
        } else {
            let error = broken.then_some(std::io::ErrorKind::ConnectionReset);
            self.nodes[other.0]
                .speaker
                .handle_closed(self.now, other.1, error);
        }
    }
}
