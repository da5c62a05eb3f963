//! A route server of many peers with full tables, on many cores: arithmetic from what was measured.
//!
//! Each stage is taken from the measured point with the most paths and carried to the wanted size
//! by the exponents of the curves. Work is laid out as the daemon does with engine threads: one
//! thread reads sockets, decodes, deals prefixes out by /16 and writes sockets; each of the others
//! is a shard that inserts, decides, offers, packs and encodes for its blocks. Shards share
//! nothing, so their time divides; the first thread's does not. What no measurement here covers is
//! a named constant with its origin.

use std::fmt::Write as _;

use crate::fit::{self, Cost, Power};
use crate::point::Measured;

/// Nanoseconds to deal one prefix to its shard: 14 with 2 shards, 38 with 8, 52 with 62 (the
/// benches `deal_to_*`, whose prefixes are scattered: hardly two of an UPDATE go to one shard).
fn dealing_ns(shards: f64) -> f64 {
    10.0 + 7.0 * shards.log2()
}
/// The kernel's part of reading or writing one octet: 2.5 GB/s of loopback TCP on one core.
const SOCKET_NS_PER_OCTET: f64 = 0.4;
/// Octets of a shard's own entry for an attribute set; the set itself is shared by all shards.
const SET_ENTRY_OCTETS: f64 = 57.0;
/// Most loaded shard over the mean, /16 blocks of a real table: 1.04 at 8 shards, 1.18 at 64.
fn imbalance(shards: f64) -> f64 {
    1.0 + 0.18 * (shards / 64.0).min(1.0).sqrt()
}
/// UPDATEs when shards pack on their own, over UPDATEs packed together: 1.45 at 4 shards, 1.9 at
/// 16, 2.1 at 64, real feeds of 5 to 6 prefixes a set.
fn splitting(shards: f64) -> f64 {
    (1.0 + 0.225 * shards.log2()).min(2.1)
}

/// A power law through one measured point.
#[derive(Clone, Copy, Debug)]
struct Carried {
    anchor: f64,
    prefixes: f64,
    peers: f64,
    by_prefixes: f64,
    by_peers: f64,
}

impl Carried {
    fn at(&self, prefixes: f64, peers: f64) -> f64 {
        self.anchor
            * (prefixes / self.prefixes).powf(self.by_prefixes)
            * (peers / self.peers).powf(self.by_peers)
    }
}

/// What the model knows.
struct Model {
    /// Decode, insert, offer, encode, in nanoseconds.
    stages: [Carried; 4],
    sent: Carried,
    /// Octets per path, of the largest point.
    resident: f64,
    /// Nanoseconds per attribute set in decode, insert and encode; octets of memory.
    per_set: [f64; 3],
    set_octets: f64,
    octets_in: f64,
}

const STAGES: [Cost; 4] = [
    |row| row.stages[0] as f64,
    |row| row.stages[1] as f64,
    |row| row.stages[2] as f64,
    |row| row.stages[3] as f64,
];

impl Model {
    fn new(rows: &[Measured]) -> Option<Self> {
        let usual = |row: &&Measured| row.point.clients == 0 && row.point.per_set == 0;
        let anchor = rows
            .iter()
            .filter(usual)
            .max_by_key(|row| (row.point.paths(), row.point.prefixes))?;
        let curve = |cost: Cost, x: fn(&Measured) -> u32, keep: &dyn Fn(&Measured) -> bool| {
            let points: Vec<(f64, f64)> = rows
                .iter()
                .filter(usual)
                .filter(|row| keep(row))
                .map(|row| (f64::from(x(row)), cost(row)))
                .collect();
            fit::power(&points)
        };
        // Where peers matter: a few of them fit the caches of a processor.
        let peers = |cost: Cost| -> Option<Power> {
            let many = |row: &Measured| row.point.prefixes == 10_000 && row.point.peers >= 100;
            curve(cost, |row| row.point.peers, &many)
        };
        let prefixes = |cost: Cost| -> Option<Power> {
            curve(cost, |row| row.point.prefixes, &|row| row.point.peers == 1)
        };
        let carried = |cost: Cost| -> Option<Carried> {
            Some(Carried {
                anchor: cost(anchor),
                prefixes: f64::from(anchor.point.prefixes),
                peers: f64::from(anchor.point.peers),
                by_prefixes: prefixes(cost)?.exponent,
                by_peers: peers(cost)?.exponent,
            })
        };
        let sets: Vec<&Measured> = rows.iter().filter(|row| row.point.per_set > 0).collect();
        let per_set = |cost: Cost| -> Option<f64> {
            let points: Vec<(f64, f64)> = sets
                .iter()
                .map(|row| (row.sets as f64, cost(row)))
                .collect();
            Some(fit::line(&points)?.slope)
        };
        let stages = STAGES.map(carried);
        let [Some(a), Some(b), Some(c), Some(d)] = stages else {
            return None;
        };
        let full = rows.iter().find(|row| row.point.paths() == 1_000_000)?;
        Some(Self {
            stages: [a, b, c, d],
            sent: carried(|row| row.sent as f64)?,
            resident: anchor.resident as f64 / anchor.point.paths() as f64,
            per_set: [
                per_set(STAGES[0])?,
                per_set(STAGES[1])?,
                per_set(STAGES[3])?,
            ],
            set_octets: per_set(|row| row.resident as f64)?,
            octets_in: full.sent as f64 / full.point.paths() as f64,
        })
    }
}

/// One route server.
#[derive(Clone, Copy)]
struct Server {
    prefixes: f64,
    peers: f64,
    per_set: f64,
    shards: f64,
    readers: f64,
}

/// Seconds of the busiest thread of each kind, and memory.
struct Load {
    decode: f64,
    deal: f64,
    sockets: f64,
    insert: f64,
    export: f64,
    gigabytes: f64,
}

impl Load {
    fn reader(&self) -> f64 {
        self.decode + self.deal + self.sockets
    }

    fn shard(&self) -> f64 {
        self.insert + self.export
    }
}

impl Model {
    fn load(&self, server: Server) -> Load {
        let Server {
            prefixes,
            peers,
            per_set,
            shards,
            readers,
        } = server;
        let paths = prefixes * peers;
        let [decode, insert, offer, encode] = self.stages.map(|stage| stage.at(prefixes, peers));
        // Sets beyond the usual six and a half prefixes to one.
        let more = paths / per_set - paths / 6.5;
        let [d, i, e] = self.per_set.map(|ns| ns * more);
        let octets = self.octets_in * paths + self.sent.at(prefixes, peers) * splitting(shards);
        let each = imbalance(shards) / shards / 1e9;
        let read = 1.0 / readers / 1e9;
        Load {
            decode: (decode + d) * read,
            deal: dealing_ns(shards) * paths * read,
            sockets: SOCKET_NS_PER_OCTET * octets * read,
            insert: (insert + i) * each,
            export: (offer + (encode + e).max(0.0) * splitting(shards)) * each,
            gigabytes: (self.resident * paths
                + self.set_octets * more
                + SET_ENTRY_OCTETS * (splitting(shards) - 1.0) * paths / per_set)
                / 1e9,
        }
    }
}

impl Server {
    const fn of([prefixes, peers, per_set, shards, readers]: [f64; 5]) -> Self {
        Self {
            prefixes,
            peers,
            per_set,
            shards,
            readers,
        }
    }
}

/// Prefixes, peers, prefixes to a set, shards, readers: the server asked for on fewer cores, …
const BY_CORES: [(&str, [f64; 5]); 5] = [
    ("4 cores", [1e6, 1e3, 6.5, 2.0, 1.0]),
    ("8 cores", [1e6, 1e3, 6.5, 6.0, 1.0]),
    ("16 cores", [1e6, 1e3, 6.5, 14.0, 1.0]),
    ("32 cores", [1e6, 1e3, 6.5, 30.0, 1.0]),
    ("64 cores", [1e6, 1e3, 6.5, 62.0, 1.0]),
];
/// … and on 64 of them under other assumptions.
const SENSITIVITY: [(&str, [f64; 5]); 8] = [
    ("as above, 64 cores", [1e6, 1e3, 6.5, 62.0, 1.0]),
    ("100 peers", [1e6, 100.0, 6.5, 62.0, 1.0]),
    ("300 peers", [1e6, 300.0, 6.5, 62.0, 1.0]),
    ("250,000 prefixes", [250e3, 1e3, 6.5, 62.0, 1.0]),
    ("3 prefixes to a set", [1e6, 1e3, 3.0, 62.0, 1.0]),
    ("1 prefix to a set", [1e6, 1e3, 1.0, 62.0, 1.0]),
    ("4 readers, 58 shards", [1e6, 1e3, 6.5, 58.0, 4.0]),
    ("16 readers, 46 shards", [1e6, 1e3, 6.5, 46.0, 16.0]),
];

fn row(name: &str, load: &Load) -> String {
    let wall = load.reader().max(load.shard());
    let first = if load.reader() > load.shard() {
        "reader"
    } else {
        "shards"
    };
    format!(
        "{name} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {wall:.0} | {first} | {:.0}",
        load.decode, load.deal, load.sockets, load.insert, load.export, load.gigabytes
    )
}

const HEADER: &str = "route server | decode s | deal s | sockets s | insert s | export s | \
    until done s | saturates first | GB\n--|--:|--:|--:|--:|--:|--:|--|--:";

/// The tables of the model.
pub fn report(rows: &[Measured]) -> String {
    let Some(model) = Model::new(rows) else {
        return "too few points for the model".to_owned();
    };
    let mut text =
        "\n## 1,000 peers with full tables\n\ncarried by | prefixes^ | peers^\n--|--:|--:\n"
            .to_owned();
    let named = ["decode", "insert", "offer", "encode"]
        .into_iter()
        .zip(model.stages);
    for (name, stage) in named.chain([("octets sent", model.sent)]) {
        let _ = writeln!(
            text,
            "{name} | {:.3} | {:.3}",
            stage.by_prefixes, stage.by_peers
        );
    }
    let [d, i, e] = model.per_set;
    let _ = writeln!(
        text,
        "\nper attribute set: decode {d:.0} ns, insert {i:.0} ns, encode {e:.0} ns, {:.0} octets; \
         per path {:.0} octets\n\n{HEADER}",
        model.set_octets, model.resident
    );
    for (name, numbers) in BY_CORES {
        let _ = writeln!(text, "{}", row(name, &model.load(Server::of(numbers))));
    }
    let _ = writeln!(text, "\n{HEADER}");
    for (name, numbers) in SENSITIVITY {
        let _ = writeln!(text, "{}", row(name, &model.load(Server::of(numbers))));
    }
    text
}
