//! The core path, one shape at a time, for a machine that counts instructions.
//!
//! `make bench-check` runs this under callgrind and compares the count with a baseline. Only what
//! happens inside `measured` is collected: from octets as read from a socket (frames, decode,
//! intern, insert, decide) to octets for one (export, pack, encode). Input is fixed, there is one
//! thread, no clock and no file; what was read and what was sent are checked at the end, so that
//! a path that stops doing its work is not taken for a fast one.
//!
//! `core_path s1|s2|s3|s4|s5|churn`
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use bytes::{Bytes, BytesMut};
use proto_codec::afi::Family;
use proto_codec::bgp::{AttrCache, DecodeContext, Framer, HEADER_LEN, decode_update};
use rib::{PeerSlot, Rib};

#[path = "../benches/feed/mod.rs"]
mod feed;

use feed::Shape;

/// A peer that sends: its octets in reads, and what the daemon holds for it.
struct Feeder {
    slot: PeerSlot,
    context: DecodeContext,
    reads: std::vec::IntoIter<BytesMut>,
    framer: Framer,
    cache: AttrCache,
}

/// A router, who sends and who listens.
struct Stage {
    rib: Rib,
    feeders: Vec<Feeder>,
    receivers: Vec<PeerSlot>,
    read_octets: usize,
    sent: usize,
}

impl Stage {
    fn new() -> Self {
        Self {
            rib: Rib::new(feed::router()),
            feeders: Vec::new(),
            receivers: Vec::new(),
            read_octets: feed::READ_OCTETS,
            sent: 0,
        }
    }

    fn receivers(&mut self, peers: std::ops::Range<u32>, clients: bool) {
        for n in peers {
            let session = match clients {
                true => feed::client(n, &self.rib),
                false => feed::external(n, &self.rib),
            };
            self.rib.peer_up(session);
            self.receivers.push(feed::slot(n));
        }
        self.transmit();
    }

    fn feeder(&mut self, shape: &Shape, messages: &[Bytes]) {
        let session = match shape.internal {
            true => feed::client(shape.peer, &self.rib),
            false => feed::external(shape.peer, &self.rib),
        };
        if !self.rib.peers().any(|peer| peer.slot == session.slot) {
            self.rib.peer_up(session);
        }
        let octets = messages.concat();
        let reads: Vec<BytesMut> = octets
            .chunks(self.read_octets)
            .map(BytesMut::from)
            .collect();
        self.feeders.push(Feeder {
            slot: feed::slot(shape.peer),
            context: feed::decode_context(shape),
            reads: reads.into_iter(),
            framer: Framer::new(),
            cache: AttrCache::new(),
        });
    }

    /// One read of each peer, then what follows from it, until nothing is left to read.
    fn run(&mut self) {
        while self.read() {
            self.rib.settle();
            self.transmit();
        }
    }

    fn read(&mut self) -> bool {
        let mut any = false;
        for peer in &mut self.feeders {
            let Some(read) = peer.reads.next() else {
                continue;
            };
            any = true;
            peer.framer.push(read);
            while let Some(frame) = peer.framer.next_frame().expect("whole messages") {
                let update = decode_update(&frame[HEADER_LEN..], &peer.context, &mut peer.cache);
                self.rib.update(peer.slot, &update.expect("well-formed"));
            }
        }
        any
    }

    fn transmit(&mut self) {
        for slot in &self.receivers {
            while let Some(bytes) = self.rib.poll_transmit(*slot) {
                self.sent += bytes.len();
            }
        }
    }

    /// What went through, after a check that it did.
    fn report(&self, name: &str, prefixes: usize, told: u64) {
        let stats = self.rib.table_stats(Family::Ipv4Unicast);
        assert_eq!(stats.prefixes, prefixes, "{name}: prefixes in the table");
        for slot in &self.receivers {
            let peer = self.rib.peer_stats(*slot).expect("a receiver");
            assert_eq!(peer.advertised[0], told, "{name}: prefixes told");
        }
        println!(
            "{name}: {} prefixes, {} paths, {} octets sent",
            stats.prefixes, stats.paths, self.sent
        );
    }
}

/// What is counted. Never inlined, because callgrind finds it by its name.
#[inline(never)]
fn measured(stage: &mut Stage, work: fn(&mut Stage)) {
    work(stage);
}

/// A full table, a tenth of its size: one external feeder, one external receiver.
fn s1() {
    const PREFIXES: u32 = 100_000;
    let mut stage = Stage::new();
    let shape = Shape::new(PREFIXES, 0);
    stage.feeder(&shape, &feed::announcements(&shape));
    stage.receivers(1..2, false);
    measured(&mut stage, Stage::run);
    stage.report("s1", PREFIXES as usize, u64::from(PREFIXES));
}

/// Best paths: ten feeders with the same prefixes and paths of their own.
fn s2() {
    const PREFIXES: u32 = 10_000;
    let mut stage = Stage::new();
    for peer in 0..10 {
        let shape = Shape::new(PREFIXES, peer);
        stage.feeder(&shape, &feed::announcements(&shape));
    }
    stage.receivers(10..11, false);
    measured(&mut stage, Stage::run);
    stage.report("s2", PREFIXES as usize, u64::from(PREFIXES));
}

/// A route reflector: one client sends, a hundred others are told.
fn s3() {
    const PREFIXES: u32 = 50_000;
    let mut stage = Stage::new();
    let shape = Shape {
        internal: true,
        ..Shape::new(PREFIXES, 0)
    };
    stage.feeder(&shape, &feed::announcements(&shape));
    stage.receivers(1..101, true);
    measured(&mut stage, Stage::run);
    stage.report("s3", PREFIXES as usize, u64::from(PREFIXES));
}

/// A cluster's start: two hundred clients, each with four prefixes of its own and fifty that all
/// of them have.
fn s4() {
    const CLIENTS: u32 = 200;
    const SHARED: u32 = 50;
    let mut stage = Stage::new();
    for peer in 0..CLIENTS {
        let shared = Shape {
            internal: true,
            per_set: SHARED,
            ..Shape::new(SHARED, peer)
        };
        let own = Shape {
            first: SHARED + peer * 4,
            prefixes: 4,
            ..shared
        };
        let messages = [feed::announcements(&shared), feed::announcements(&own)].concat();
        stage.feeder(&shared, &messages);
        stage.receivers.push(feed::slot(peer));
    }
    stage.transmit();
    measured(&mut stage, Stage::run);
    let prefixes = (SHARED + CLIENTS * 4) as usize;
    assert_eq!(
        stage.rib.table_stats(Family::Ipv4Unicast).prefixes,
        prefixes
    );
    println!("s4: {prefixes} prefixes, {} octets sent", stage.sent);
}

/// Failover: two feeders with the same prefixes, the better one goes. Counted from there on.
fn s5() {
    const PREFIXES: u32 = 50_000;
    let mut stage = Stage::new();
    for (peer, extra_hops) in [(0, 0), (1, 4)] {
        let shape = Shape {
            extra_hops,
            ..Shape::new(PREFIXES, peer)
        };
        stage.feeder(&shape, &feed::announcements(&shape));
    }
    stage.receivers(2..3, false);
    stage.run();
    measured(&mut stage, |stage| {
        stage.rib.peer_down(feed::slot(0), false);
        stage.rib.settle();
        stage.transmit();
    });
    stage.report("s5", PREFIXES as usize, u64::from(PREFIXES));
}

/// Churn: on top of a table, every tenth prefix goes, comes back and changes, a few at a time.
fn churn() {
    const PREFIXES: u32 = 50_000;
    const RUN: u32 = 50;
    let mut stage = Stage::new();
    let shape = Shape::new(PREFIXES, 0);
    stage.feeder(&shape, &feed::announcements(&shape));
    stage.receivers(1..2, false);
    stage.run();
    let mut messages = Vec::new();
    for first in (0..PREFIXES).step_by(10 * RUN as usize) {
        messages.extend(feed::withdrawals(first, RUN));
        for version in 1..4 {
            messages.extend(feed::announcements(&Shape {
                first,
                prefixes: RUN,
                version,
                ..shape
            }));
        }
    }
    stage.feeders.clear();
    stage.read_octets = 2 << 10;
    stage.feeder(&shape, &messages);
    measured(&mut stage, Stage::run);
    stage.report("churn", PREFIXES as usize, u64::from(PREFIXES));
}

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("s1") => s1(),
        Some("s2") => s2(),
        Some("s3") => s3(),
        Some("s4") => s4(),
        Some("s5") => s5(),
        Some("churn") => churn(),
        other => {
            println!("core_path s1|s2|s3|s4|s5|churn, not {other:?}");
            std::process::exit(2);
        }
    }
}
