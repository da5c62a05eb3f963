//! What a member that does not read costs: a constant, however long it is silent and whatever
//! changes meanwhile.
//!
//! Two reflectors live through the same changes; in one of them a single client of a hundred never
//! reads. The difference between the two is what that client costs. No sockets and no clock: what
//! the I/O in front of it may hold on top is a constant of its own (see `bgpd::io::writer`).

mod lab;

use ipnet::IpNet;
use lab::{Lab, config};
use proto_codec::afi::Family;
use proto_codec::bgp::{AttrEdit, AttrSet, NextHop, Origin};
use rib::PeerSlot;

const CLIENTS: u16 = 100;
/// Prefixes that are there all the time.
const PREFIXES: u32 = 2000;
/// What the silent client may cost: the log of the update group (4 MiB at most) and as much again
/// for what the table itself keeps on its account.
const COST_MAX: usize = 8 << 20;

fn attrs(path: u32) -> AttrSet {
    let mut edit = AttrEdit::new(Origin::Igp, NextHop::V4([192, 0, 2, 1].into()));
    edit.set_as_path(&[65001, path]);
    edit.set_local_pref(Some(100));
    edit.finish()
}

fn nets(range: std::ops::Range<u32>) -> Vec<IpNet> {
    range
        .map(|n| format!("10.{}.{}.0/24", n >> 8, n & 255).parse().unwrap())
        .collect()
}

/// Vectors that have grown by a doubling more or less.
const SLACK: usize = 64 << 10;

/// A reflector with its clients; the first feeds, the last is the one in question.
struct Reflector {
    lab: Lab,
    feeder: PeerSlot,
    clients: Vec<PeerSlot>,
    suspect: PeerSlot,
}

impl Reflector {
    fn new() -> Self {
        let mut lab = Lab::new(config());
        let feeder = lab.add_client();
        let mut clients: Vec<PeerSlot> = (1..CLIENTS).map(|_| lab.add_client()).collect();
        lab.all_up();
        let suspect = clients.pop().unwrap();
        let mut this = Self {
            lab,
            feeder,
            clients,
            suspect,
        };
        for chunk in nets(0..PREFIXES).chunks(500) {
            this.lab.announce(feeder, chunk, &attrs(1));
        }
        this.lab.drain();
        this
    }

    /// One round of changes: a quarter of the table with new paths, a few prefixes that go and
    /// come. Everybody but the suspect reads what is there.
    fn churn(&mut self, round: u32, suspect_reads: bool) {
        let at = round % 4 * (PREFIXES / 4);
        self.lab
            .announce(self.feeder, &nets(at..at + 500), &attrs(round + 2));
        self.lab.withdraw(self.feeder, &nets(at..at + 20));
        self.read(suspect_reads);
        self.lab
            .announce(self.feeder, &nets(at..at + 20), &attrs(round + 3));
        self.read(suspect_reads);
    }

    fn read(&mut self, suspect_reads: bool) {
        self.lab.rib.settle();
        let suspect = suspect_reads.then_some(self.suspect);
        let readers = [self.feeder].into_iter().chain(suspect);
        for slot in readers.chain(self.clients.iter().copied()) {
            while let Some(bytes) = self.lab.rib.poll_transmit(slot) {
                let peer = self.lab.peer(slot);
                // One of them looks into what it gets; that all get the same is tested elsewhere.
                match slot == self.clients[0] || slot == self.suspect {
                    true => peer.receive(&bytes),
                    false => peer.octets += bytes.len(),
                }
            }
        }
    }

    fn memory(&self) -> usize {
        let table = self.lab.rib.table_stats(Family::Ipv4Unicast);
        table.memory + self.lab.rib.shared_stats().attr_memory
    }
}

#[test]
fn a_member_that_never_reads_costs_a_constant() {
    let (mut with, mut without) = (Reflector::new(), Reflector::new());
    let first_table = with.lab.peer(with.suspect).octets;
    let mut costs = Vec::new();
    for round in 0..1600 {
        with.churn(round, false);
        without.churn(round, true);
        if round % 400 == 399 {
            costs.push(with.memory().saturating_sub(without.memory()));
        }
    }
    assert!(costs.iter().all(|cost| *cost <= COST_MAX), "{costs:?}");
    assert!(
        costs[3] <= costs[0] + SLACK,
        "it grows with time: {costs:?}"
    );
    assert_eq!(
        with.lab.rib.shared_stats().segments,
        without.lab.rib.shared_stats().segments,
        "it makes no work for the others"
    );

    // It reads on: it is told the outcome, not the history.
    let before = with.lab.peer(with.suspect).octets;
    with.lab.withdraw(with.feeder, &nets(0..7));
    with.read(true);
    let caught_up = with.lab.peer(with.suspect).octets - before;
    assert!(caught_up <= 2 * first_table, "{caught_up}, {first_table}");
    let table = with.lab.peer(with.suspect).table.clone();
    assert_eq!(table.len() as u32, PREFIXES - 7);
    assert_eq!(table, with.lab.peer(with.clients[0]).table);
    assert!(
        with.memory() <= without.memory() + SLACK,
        "all is given back"
    );
}

/// One that reads a message now and then is always behind, and ends where the others are.
#[test]
fn a_member_that_reads_a_little_costs_no_more_than_one_that_never_reads() {
    let (mut with, mut without) = (Reflector::new(), Reflector::new());
    for round in 0..800 {
        with.churn(round, false);
        without.churn(round, true);
        if round % 16 == 0 {
            with.lab.read(with.suspect, 1);
        }
        let cost = with.memory().saturating_sub(without.memory());
        assert!(cost <= COST_MAX, "{cost} in round {round}");
    }
    with.read(true);
    let table = with.lab.peer(with.suspect).table.clone();
    assert_eq!(table, with.lab.peer(with.clients[0]).table);
}
