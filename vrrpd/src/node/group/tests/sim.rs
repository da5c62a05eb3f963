//! Two hosts with two segments between them, in simulated time.
//!
//! Each host is a whole [`Node`] with a group of two instances. Packets take between 20 and 520 µs,
//! may be lost, and stop at a segment that is cut in their direction. Everything random comes from
//! one seed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proto_codec::vrrp::Envelope;
use rib::netlink::hosts::{HostAddress, HostLink};

use super::super::super::{Hosts, Node, Output};
use crate::config::parse;
use crate::router::{Action, State};

/// Links of a host: segment 0 and segment 1.
const LINKS: [u32; 2] = [2, 3];

/// What differs between worlds.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Priority by host and segment.
    pub priority: [[u8; 2]; 2],
    /// Last octet of the host's address by host and segment.
    pub octet: [[u8; 2]; 2],
    /// Interval by segment, in units of 10 ms.
    pub interval: [u16; 2],
    pub preempt: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            priority: [[200, 200], [100, 100]],
            octet: [[1, 1], [2, 2]],
            interval: [10, 10],
            preempt: true,
        }
    }
}

/// A packet under way.
#[derive(Debug)]
struct Packet {
    to: usize,
    segment: usize,
    envelope: Envelope,
    message: Bytes,
}

/// The two hosts and what is between them.
#[derive(Debug)]
pub struct World {
    pub now: Instant,
    pub nodes: [Node; 2],
    plan: Plan,
    packets: BTreeMap<(Instant, u64), Packet>,
    sent: u64,
    seed: u64,
    /// In microseconds, at least and at most.
    pub latency: (u64, u64),
    /// In percent.
    pub loss: u64,
    /// By receiver and segment.
    pub cut: [[bool; 2]; 2],
    /// By host and segment.
    pub down: [[bool; 2]; 2],
    /// Who has the addresses, by host and segment.
    pub holds: [[bool; 2]; 2],
    /// Actions in the order they were asked for.
    pub log: Vec<(usize, usize, Action)>,
}

impl World {
    pub fn new(plan: Plan, seed: u64) -> Self {
        let now = Instant::now();
        let mut world = Self {
            now,
            nodes: [Node::default(), Node::default()],
            plan,
            packets: BTreeMap::new(),
            sent: 0,
            seed: seed | 1,
            latency: (20, 520),
            loss: 0,
            cut: [[false; 2]; 2],
            down: [[false; 2]; 2],
            holds: [[false; 2]; 2],
            log: Vec::new(),
        };
        for host in 0..2 {
            world.start(host);
        }
        world
    }

    /// A fresh daemon on `host`.
    pub fn start(&mut self, host: usize) {
        let plan = &self.plan;
        let mut text = String::new();
        for segment in 0..2 {
            text += &format!(
                "[[instance]]\nname = \"seg{segment}\"\ninterface = \"eth{segment}\"\n\
                 addresses = [\"10.{segment}.0.50\"]\npriority = {}\npreempt = {}\n\
                 advertise-interval = \"{}ms\"\n",
                plan.priority[host][segment],
                plan.preempt,
                u32::from(plan.interval[segment]) * 10,
            );
        }
        text += "[[sync-group]]\nname = \"edge\"\ninstances = [\"seg0\", \"seg1\"]\n";
        let config = parse("vrrpd.toml", &text).expect("a good file").config;
        self.nodes[host] = Node::default();
        self.holds[host] = [false; 2];
        self.nodes[host].apply(self.now, config);
        self.look(host);
    }

    /// Tells a host the state of its links.
    pub fn look(&mut self, host: usize) {
        let link = |segment: usize| HostLink {
            index: LINKS[segment],
            name: format!("eth{segment}"),
            usable: !self.down[host][segment],
            mac: Some([2, 0, 0, 0, 0, 1]),
        };
        let address = |segment: usize| HostAddress {
            index: LINKS[segment],
            network: format!("10.{segment}.0.{}/24", self.plan.octet[host][segment])
                .parse()
                .expect("an address"),
            protocol: 0,
            usable: true,
        };
        let hosts = Hosts::new(vec![link(0), link(1)], vec![address(0), address(1)], 112);
        self.nodes[host].set_hosts(self.now, hosts, &mut |_| None);
        self.drain(host);
    }

    /// xorshift64
    pub fn random(&mut self, below: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % below
    }

    pub fn run(&mut self, length: Duration) {
        let end = self.now + length;
        loop {
            let timers = self.nodes.iter().filter_map(Node::poll_timeout);
            let packets = self.packets.keys().next().map(|(at, _)| *at);
            let Some(next) = timers.chain(packets).min().filter(|next| *next <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            while let Some((key, _)) = self.packets.first_key_value()
                && key.0 <= self.now
            {
                let (_, packet) = self.packets.pop_first().expect("it was there");
                self.deliver(&packet);
            }
            for host in 0..2 {
                self.nodes[host].handle_timeout(self.now);
                self.drain(host);
            }
        }
    }

    fn deliver(&mut self, packet: &Packet) {
        let (to, segment) = (packet.to, packet.segment);
        let lost = self.loss > 0 && self.random(100) < self.loss;
        if !lost && !self.cut[to][segment] && !self.down[to][segment] {
            let link = LINKS[segment];
            self.nodes[to].handle_packet(self.now, link, &packet.envelope, &packet.message);
        }
    }

    /// Carries out what a host asks for.
    pub fn drain(&mut self, host: usize) {
        while let Some((id, output)) = self.nodes[host].poll_output() {
            let slot = self.nodes[host].slot(id).expect("it is there");
            let segment = usize::from(slot.instance.name == "seg1");
            let source = slot.router.primary();
            let Output::Do(action) = output else {
                continue;
            };
            self.log.push((host, segment, action.clone()));
            match action {
                Action::Take | Action::Keep => self.holds[host][segment] = true,
                Action::LetGo => self.holds[host][segment] = false,
                Action::Announce => {}
                Action::Send { message, .. } => {
                    if self.down[host][segment] {
                        continue;
                    }
                    let source = source.expect("it has one");
                    let (least, most) = self.latency;
                    let delay = least + self.random(most - least + 1);
                    let delay = Duration::from_micros(delay);
                    self.sent += 1;
                    let packet = Packet {
                        to: 1 - host,
                        segment,
                        envelope: Envelope::multicast(source),
                        message,
                    };
                    self.packets.insert((self.now + delay, self.sent), packet);
                }
            }
        }
    }

    pub fn state(&self, host: usize, segment: usize) -> State {
        let name = format!("seg{segment}");
        let mut slots = self.nodes[host].slots();
        let found = slots.find(|(_, slot)| slot.instance.name == name);
        found.expect("it exists").1.router.state()
    }

    /// The host that is the only master of both segments.
    pub fn master(&self) -> Option<usize> {
        (0..2).find(|host| {
            let is = |host, segment| self.state(host, segment) == State::Master;
            is(*host, 0) && is(*host, 1) && !is(1 - host, 0) && !is(1 - host, 1)
        })
    }

    /// Members of one host never differ, whatever happens between the hosts.
    pub fn assert_together(&self) {
        for host in 0..2 {
            assert_eq!(
                self.state(host, 0),
                self.state(host, 1),
                "host {host}: members differ"
            );
        }
    }

    /// The longest down interval.
    pub fn down_interval(&self) -> Duration {
        let longest = self.plan.interval.iter().max().copied().unwrap_or(1);
        Duration::from_millis(u64::from(longest) * 40)
    }
}
