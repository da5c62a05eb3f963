//! One point of the grid: a router, its peers, and what they cost it.
//!
//! Stages are those a design with several threads would have: `decode` (frames and attributes),
//! `insert` (intern, import policy, table, decision), `offer` (export rules, Adj-RIB-Out) and
//! `encode` (pack, encode, hand the segments to every listener). Memory is what the process grew
//! by, with nothing of the feeds in it, and beside it what the tables say of themselves.

use std::process::Command;
use std::time::Duration;

use bytes::BytesMut;
use nix::time::{ClockId, clock_gettime};
use proto_codec::afi::Family;
use proto_codec::bgp::{AttrCache, Framer, HEADER_LEN, Update, decode_update};
use rib::Rib;

use crate::feed::{self, Shape};

/// Processor time one point may take over all its repetitions.
const BUDGET_NS: u64 = 400_000_000;
const REPETITIONS_MAX: u32 = 20;

/// What is varied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// Prefixes each peer sends.
    pub prefixes: u32,
    /// External peers, all of whom send the same prefixes and are told what the others sent.
    pub peers: u32,
    /// Clients of a reflector who only listen. With any, the peer that sends is a client too.
    pub clients: u32,
    /// Prefixes to an attribute set; 0 for five to eight.
    pub per_set: u32,
}

/// What a point cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measured {
    pub point: Point,
    /// Nanoseconds by stage: decode, insert, offer, encode.
    pub stages: [u64; 4],
    /// Octets handed to all listeners.
    pub sent: u64,
    /// Octets the process grew by.
    pub resident: u64,
    /// Octets of table and Adj-RIB-Out, and of attribute sets, as they say themselves.
    pub tables: u64,
    pub attrs: u64,
    /// Attribute sets.
    pub sets: u64,
    /// Nanoseconds until one peer's routes were gone, told to the others included.
    pub down: u64,
}

impl Default for Point {
    fn default() -> Self {
        Self::TABLE
    }
}

impl Point {
    /// One peer sends and one listens.
    pub const TABLE: Point = Point {
        prefixes: 100_000,
        peers: 1,
        clients: 0,
        per_set: 0,
    };

    /// Paths in the table at the end.
    pub fn paths(&self) -> u64 {
        u64::from(self.prefixes) * u64::from(self.peers)
    }

    fn words(&self) -> [String; 4] {
        [self.prefixes, self.peers, self.clients, self.per_set].map(|n| n.to_string())
    }

    /// The opposite of `words`.
    pub fn from_words(words: &[&str]) -> Option<Self> {
        let numbers: Vec<u32> = words.iter().filter_map(|word| word.parse().ok()).collect();
        let [prefixes, peers, clients, per_set] = numbers[..] else {
            return None;
        };
        Some(Self {
            prefixes,
            peers,
            clients,
            per_set,
        })
    }

    /// Measures in a process of its own.
    pub fn measure_apart(&self) -> Measured {
        let program = std::env::current_exe().expect("this program");
        let output = Command::new(program)
            .arg("point")
            .args(self.words())
            .output()
            .expect("it starts");
        let text = String::from_utf8_lossy(&output.stdout);
        Measured::from_line(*self, &text).unwrap_or_else(|| panic!("{self:?}: {output:?}"))
    }

    /// Runs until the budget is used up; the fastest run of each stage counts, memory is the
    /// first's.
    pub fn measure(&self) -> Measured {
        let mut octets = BytesMut::new();
        self.shape(0).encode_into(&mut octets);
        let first = self.once(&mut octets);
        let mut best = first;
        let mut spent: u64 = first.stages.iter().sum();
        for _ in 1..REPETITIONS_MAX {
            if spent > BUDGET_NS {
                break;
            }
            let next = self.once(&mut octets);
            spent += next.stages.iter().sum::<u64>() + next.down;
            best.down = best.down.min(next.down);
            for (least, stage) in best.stages.iter_mut().zip(next.stages) {
                *least = stage.min(*least);
            }
        }
        best
    }

    fn shape(&self, peer: u32) -> Shape {
        Shape {
            internal: self.clients > 0,
            per_set: self.per_set,
            ..Shape::new(self.prefixes, peer)
        }
    }

    fn once(&self, octets: &mut BytesMut) -> Measured {
        let resident = rss();
        let mut run = Run::new(self);
        for peer in 0..self.peers {
            let shape = self.shape(peer);
            octets.clear();
            shape.encode_into(octets);
            run.table_of(&shape, octets);
        }
        let mut measured = run.measured;
        // The buffer of the feed was there before, and so does not count.
        measured.resident = rss().saturating_sub(resident);
        let shared = run.rib.shared_stats();
        measured.tables = run.rib.table_stats(Family::Ipv4Unicast).memory as u64;
        (measured.attrs, measured.sets) = (shared.attr_memory as u64, shared.attr_sets as u64);
        measured.point = *self;
        let start = now();
        run.rib.peer_down(feed::slot(0), false);
        run.rib.settle();
        run.transmit();
        measured.down = now() - start;
        measured
    }
}

/// A router at work.
struct Run {
    rib: Rib,
    listeners: Vec<rib::PeerSlot>,
    measured: Measured,
}

impl Run {
    fn new(point: &Point) -> Self {
        let mut rib = Rib::new(feed::router());
        let mut listeners = Vec::new();
        // One peer alone needs somebody to listen.
        let extra = if point.clients == 0 && point.peers == 1 {
            1
        } else {
            point.clients
        };
        for peer in 0..point.peers + extra {
            let session = match point.clients {
                0 => feed::external(peer, &rib),
                _ => feed::client(peer, &rib),
            };
            rib.peer_up(session);
            listeners.push(feed::slot(peer));
        }
        let mut run = Self {
            rib,
            listeners,
            measured: Measured::default(),
        };
        run.transmit();
        run
    }

    /// Takes one peer's table in, read by read.
    fn table_of(&mut self, shape: &Shape, octets: &[u8]) {
        let context = feed::decode_context(shape);
        let (mut framer, mut cache) = (Framer::new(), AttrCache::new());
        for read in octets.chunks(feed::READ_OCTETS) {
            let read = BytesMut::from(read);
            let start = now();
            framer.push(read);
            let mut frames = Vec::new();
            while let Some(frame) = framer.next_frame().expect("whole messages") {
                frames.push(frame);
            }
            let decode = |frame| decode_update(frame, &context, &mut cache).expect("well-formed");
            let bodies = frames.iter().map(|frame| &frame[HEADER_LEN..]);
            let updates: Vec<Update<'_>> = bodies.map(decode).collect();
            let decoded = now();
            for update in &updates {
                self.rib.update(feed::slot(shape.peer), update);
            }
            let inserted = now();
            self.rib.settle();
            let offered = now();
            self.transmit();
            let encoded = now();
            let marks = [start, decoded, inserted, offered, encoded];
            for (stage, pair) in self.measured.stages.iter_mut().zip(marks.windows(2)) {
                *stage += pair[1] - pair[0];
            }
        }
    }

    /// Everybody reads all there is, one segment in turn.
    fn transmit(&mut self) {
        let mut left = self.listeners.clone();
        while !left.is_empty() {
            left.retain(|slot| match self.rib.poll_transmit(*slot) {
                Some(bytes) => {
                    self.measured.sent += bytes.len() as u64;
                    true
                }
                None => false,
            });
        }
        while self.rib.poll_ready().is_some() {}
    }
}

impl Measured {
    /// The head of the table.
    pub const HEADER: &'static str = "prefixes | peers | clients | sets | decode ns | insert ns | \
        offer ns | encode ns | octets sent | resident B | tables B | attributes B | peer down ns\n\
        --:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:";

    /// Stage times and memory by path, what was sent in total.
    pub fn to_row(self) -> String {
        let each = |value: u64| value as f64 / self.point.paths() as f64;
        let [decode, insert, offer, encode] = self.stages.map(each);
        let point = self.point;
        format!(
            "{} | {} | {} | {} | {decode:.1} | {insert:.1} | {offer:.1} | {encode:.1} | {} | \
             {:.0} | {:.0} | {:.0} | {:.1}",
            point.prefixes,
            point.peers,
            point.clients,
            self.sets,
            self.sent,
            each(self.resident),
            each(self.tables),
            each(self.attrs),
            self.down as f64 / f64::from(point.prefixes),
        )
    }

    /// For the process that asked.
    pub fn to_line(self) -> String {
        let [a, b, c, d] = self.stages;
        let rest = [
            self.sent,
            self.resident,
            self.tables,
            self.attrs,
            self.sets,
            self.down,
        ];
        let words: Vec<String> = [a, b, c, d]
            .iter()
            .chain(&rest)
            .map(u64::to_string)
            .collect();
        words.join(" ")
    }

    fn from_line(point: Point, line: &str) -> Option<Self> {
        let numbers: Vec<u64> = line
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        let [a, b, c, d, sent, resident, tables, attrs, sets, down] = numbers[..] else {
            return None;
        };
        Some(Self {
            point,
            stages: [a, b, c, d],
            sent,
            resident,
            tables,
            attrs,
            sets,
            down,
        })
    }
}

/// Nanoseconds this thread has been on a processor.
fn now() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("every Linux has it");
    let nanos = Duration::from(time).as_nanos();
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

/// Resident memory of this process, in octets.
fn rss() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
