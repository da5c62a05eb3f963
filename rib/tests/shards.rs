//! Any number of shards, whenever their mail is carried, leaves the same tables as one RIB.
//!
//! The same things happen to a `Rib` and to shards behind their front; the post between front and
//! shards is a simulator with tiny letter boxes and a random scheduler. When all is quiet, tables,
//! what peers have been told (read from the octets they got), the kernel's routes, next hops and
//! counters are the same. A failure names its seed.

mod lab;
mod sim;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::BytesMut;
use ipnet::IpNet;
use lab::{ASN, Lab, config};
use proto_codec::afi::{Family, V4, V6};
use proto_codec::bgp::{
    AttrCache, AttrEdit, AttrSet, DecodeContext, HEADER_LEN, NextHop, Origin, decode_update,
    encode_end_of_rib,
};
use rib::route::{FibRoute, NextHopState};
use rib::{OriginRoute, PeerKind, PeerSlot, Policy, RibConfig, ScanCursor};
use sim::parts::{NETS, encode, net, next_hop, picky, rows};
use sim::{Dice, World};

const PEERS: [(u32, PeerKind); 6] = [
    (65001, PeerKind::External),
    (65002, PeerKind::External),
    (65001, PeerKind::External),
    (ASN, PeerKind::InternalClient),
    (ASN, PeerKind::InternalClient),
    (ASN, PeerKind::Internal),
];
/// The peer that may not send more than so many prefixes of a family.
const LIMITED: (usize, u32) = (1, 8);
/// A RIB of its own and one in shards, to which the same happens.
struct Twins {
    dice: Dice,
    one: Lab,
    kernel: BTreeMap<IpNet, FibRoute>,
    many: World,
    /// Best paths may hang on the moment a next hop is heard of, so they must not be tied.
    tracks: bool,
    stale: [bool; PEERS.len()],
}

impl Twins {
    fn new(seed: u64, shards: usize) -> Self {
        let mut dice = Dice::new(seed);
        let tracks = dice.roll(2) == 0;
        let config = RibConfig {
            track_next_hops: tracks,
            fib: true,
            multipath: 1 + u16::from(!tracks) * 2,
            log_segments: 2,
            ..config()
        };
        let room = 1 + dice.roll(4);
        let mut twins = Self {
            dice,
            one: Lab::new(config.clone()),
            kernel: BTreeMap::new(),
            many: World::new(&config, shards, room),
            tracks,
            stale: [false; PEERS.len()],
        };
        for (index, (asn, kind)) in PEERS.into_iter().enumerate() {
            for lab in [&mut twins.one, &mut twins.many.lab] {
                let slot = lab.add(asn);
                let session = &mut lab.peer(slot).session;
                session.kind = kind;
                session.router_id = [10, 1, 1, 100 - slot.0 as u8].into();
                session.max_prefixes = (index == LIMITED.0).then_some(LIMITED.1);
            }
        }
        twins
    }

    fn is_up(&self, peer: usize) -> bool {
        self.one.peers[peer].up
    }

    fn up(&mut self, peer: usize) {
        let slot = slot(peer);
        let (import, export) = (self.policy(), self.policy());
        for lab in [&mut self.one, &mut self.many.lab] {
            let session = &mut lab.peer(slot).session;
            (session.import, session.export) = (Arc::clone(&import), Arc::clone(&export));
        }
        self.one.up(slot);
        self.many.peer(slot).begin();
        let session = self.many.peer(slot).session.clone();
        self.many.front.peer_up(session);
        self.stale[peer] = false;
    }

    fn down(&mut self, peer: usize, keep_stale: bool) {
        let slot = slot(peer);
        self.one.peer(slot).up = false;
        self.many.peer(slot).up = false;
        self.stale[peer] = keep_stale;
        // What is tied hangs on the moment a path goes, which steps leave open.
        if self.tracks && !keep_stale {
            self.one.rib.start_peer_down(slot);
            while self.one.rib.continue_peer_down(1000) {}
            self.many.front.start_peer_down(slot);
            return;
        }
        self.one.rib.peer_down(slot, keep_stale);
        self.many.front.peer_down(slot, keep_stale);
    }

    fn policy(&mut self) -> Arc<Policy> {
        match self.dice.roll(6) {
            0 => Policy::reject_all(),
            1 | 2 => Arc::new(Policy::compile(&picky()).unwrap()),
            _ => Policy::accept_all(),
        }
    }

    /// Prefixes of one family.
    fn nets(&mut self) -> Vec<IpNet> {
        let first = self.dice.roll(NETS);
        let count = 1 + self.dice.roll(8);
        let nets = (first..NETS).take(count).map(net);
        let v6 = matches!(net(first), IpNet::V6(_));
        nets.filter(|net| matches!(net, IpNet::V6(_)) == v6)
            .collect()
    }

    fn attrs(&mut self, peer: usize, v6: bool) -> AttrSet {
        let dice = &mut self.dice;
        let hop = next_hop(v6, dice.roll(3));
        let mut edit = AttrEdit::new(Origin::Igp, NextHop::from(hop));
        let (asn, kind) = PEERS[peer];
        let mut path: Vec<u32> = Vec::new();
        if kind == PeerKind::External {
            path.push(asn);
        } else {
            edit.set_local_pref(Some(100));
        }
        // Of another length for each peer where nothing may be tied.
        let hops = match self.tracks {
            true => peer + PEERS.len() * dice.roll(2),
            false => dice.roll(2),
        };
        let missing = (1 + hops).saturating_sub(path.len());
        path.extend(std::iter::repeat_n(64601, missing));
        edit.set_as_path(&path);
        edit.set_med((dice.roll(3) == 0).then_some(dice.roll(3) as u32));
        if dice.roll(4) == 0 {
            edit.add_community(65000 << 16 | 1);
        }
        edit.finish()
    }

    /// Something happens to both.
    fn happen(&mut self) {
        let peer = self.dice.roll(PEERS.len());
        if !self.is_up(peer) {
            if self.dice.roll(3) == 0 {
                self.up(peer);
            } else if self.stale[peer] && self.dice.roll(4) == 0 {
                self.down(peer, false);
            }
            return;
        }
        let family = Family::ALL[self.dice.roll(2)];
        let slot = slot(peer);
        match self.dice.roll(40) {
            0 => self.down(peer, false),
            1 => self.down(peer, true),
            2 => {
                let mut message = BytesMut::new();
                encode_end_of_rib(family, &mut message);
                self.feed(peer, &message);
            }
            3 => {
                self.one.rib.refresh_out(slot, family, true);
                self.many.front.refresh_out(slot, family, true);
            }
            4 => {
                self.one.rib.refresh_out(slot, family, false);
                self.many.front.refresh_out(slot, family, false);
            }
            5 => {
                self.one.rib.begin_refresh_in(slot, family);
                self.many.front.begin_refresh_in(slot, family);
            }
            6 => {
                self.one.rib.end_refresh_in(slot, family);
                self.many.front.end_refresh_in(slot, family);
            }
            7 => {
                let policy = self.policy();
                self.one.rib.set_import(slot, Arc::clone(&policy));
                self.many.front.set_import(slot, policy);
            }
            8 => {
                let policy = self.policy();
                self.one.rib.set_export(slot, Arc::clone(&policy));
                self.many.front.set_export(slot, policy);
            }
            9 => self.originate(),
            10 | 11 => self.next_hop(),
            12..20 => self.routes(peer, false),
            _ => self.routes(peer, true),
        }
        if self.dice.roll(3) == 0 {
            self.one.rib.settle();
            self.many.front.settle();
        }
    }

    fn routes(&mut self, peer: usize, announce: bool) {
        let nets = self.nets();
        let v6 = matches!(nets[0], IpNet::V6(_));
        let attrs = announce.then(|| self.attrs(peer, v6));
        let message = match v6 {
            false => encode::<V4>(&nets, attrs.as_ref()),
            true => encode::<V6>(&nets, attrs.as_ref()),
        };
        self.feed(peer, &message);
    }

    fn feed(&mut self, peer: usize, message: &[u8]) {
        let context = DecodeContext {
            ebgp: PEERS[peer].1 == PeerKind::External,
            local_asn: ASN,
            peer_asn: PEERS[peer].0,
            enforce_first_as: false,
            ..DecodeContext::default()
        };
        let mut cache = AttrCache::new();
        let update = decode_update(&message[HEADER_LEN..], &context, &mut cache).unwrap();
        let outcome = self.one.rib.update(slot(peer), &update);
        self.many.front.update(slot(peer), &update);
        if outcome.max_prefix_exceeded.is_some() {
            // The sum is known when the shards have done their parts, without any further input.
            self.many.rest();
            assert_eq!(self.many.exceeded, [slot(peer)], "said once");
            self.many.exceeded.clear();
            self.down(peer, false);
        }
    }

    fn originate(&mut self) {
        let name = ["pool:a", "pool:b"][self.dice.roll(2)];
        let neighbors = match self.dice.roll(3) {
            0 => None,
            which => Some(vec![lab::address(which as u16)]),
        };
        let count = self.dice.roll(4);
        let mut routes = Vec::new();
        for _ in 0..count {
            let mut route = OriginRoute::new(net(self.dice.roll(NETS)));
            route.neighbors = neighbors.clone();
            routes.push(route);
        }
        self.one.rib.originate(name, routes.clone());
        self.many.front.originate(name, routes);
    }

    fn next_hop(&mut self) {
        if !self.tracks {
            return;
        }
        let addr = next_hop(self.dice.roll(2) == 0, self.dice.roll(3));
        let state = NextHopState {
            reachable: self.dice.roll(3) > 0,
            igp_metric: 0,
        };
        self.many.states.insert(addr, state);
        self.one.rib.next_hop_changed(addr, state);
        self.many.front.next_hop_changed(addr, state);
    }

    /// Everything comes to rest, and both are the same.
    fn compare(&mut self) {
        self.many.rest();
        self.one_rests();
        assert!(self.many.exceeded.is_empty(), "{:?}", self.many.exceeded);
        self.compare_queries();
        assert_eq!(self.many.kernel, self.kernel, "routes for the kernel");
        for peer in 0..PEERS.len() {
            if !self.is_up(peer) {
                continue;
            }
            let (one, many) = (&self.one.peers[peer], &self.many.lab.peers[peer]);
            for (many, one) in many.table.iter().zip(&one.table) {
                assert_eq!(many, one, "told to peer {peer}");
            }
            assert_eq!(many.table.len(), one.table.len(), "told to peer {peer}");
            assert_eq!((many.end_of_rib, many.ends), ([true; 2], 2), "peer {peer}");
            let of = |subtype| many.refreshes.iter().filter(|one| **one == subtype).count();
            assert_eq!(of(1), of(2), "each BoRR has its EoRR");
        }
    }

    fn compare_queries(&self) {
        for family in Family::ALL {
            let (one, many) = (
                self.one.rib.table_stats(family),
                self.many.front.table_stats(family),
            );
            assert_eq!((many.prefixes, many.paths), (one.prefixes, one.paths));
            let cursors = || {
                let of_peers = (0..PEERS.len()).flat_map(move |peer| {
                    [
                        ScanCursor::received(family, slot(peer)),
                        ScanCursor::accepted(family, slot(peer)),
                        ScanCursor::advertised(family, slot(peer)),
                    ]
                });
                std::iter::once(ScanCursor::table(family)).chain(of_peers)
            };
            for (mut one, mut many) in cursors().zip(cursors()) {
                let one = rows(|max, row| self.one.rib.scan(&mut one, max, row));
                let many = rows(|max, row| self.many.front.scan(&mut many, max, row));
                for (many, one) in many.iter().zip(&one) {
                    assert_eq!(many, one, "rows of {family}");
                }
                assert_eq!(many.len(), one.len(), "rows of {family}");
            }
        }
        for peer in 0..PEERS.len() {
            let stats = |stats: Option<rib::PeerStats>| {
                let stats = stats.map(|stats| rib::PeerStats {
                    group: [None; 2],
                    ..stats
                });
                stats.unwrap_or_default()
            };
            let one = stats(self.one.rib.peer_stats(slot(peer)));
            let many = stats(self.many.front.peer_stats(slot(peer)));
            assert_eq!(many, one, "counters of peer {peer}");
        }
        for number in 0..NETS {
            let (one, many) = (&self.one.rib, &self.many.front);
            assert_eq!(many.lookup(net(number)), one.lookup(net(number)));
            assert_eq!(
                many.advertised_to(net(number)),
                one.advertised_to(net(number))
            );
            let addr = net(number).addr();
            assert_eq!(many.longest_match(addr), one.longest_match(addr));
            assert_eq!(
                many.explain(net(number), Some(slot(3))),
                one.explain(net(number), Some(slot(3)))
            );
        }
    }

    fn one_rests(&mut self) {
        loop {
            self.one.drain();
            let Some((addr, on)) = self.one.rib.poll_next_hop_interest() else {
                break;
            };
            if let (true, Some(state)) = (on, self.many.states.get(&addr)) {
                self.one.rib.next_hop_changed(addr, *state);
            }
        }
        while let Some(change) = self.one.rib.poll_fib() {
            match change.route {
                Some(route) => self.kernel.insert(change.prefix, route),
                None => self.kernel.remove(&change.prefix),
            };
        }
    }

    /// Takes everything away: nothing is left.
    fn end(&mut self) {
        for peer in 0..PEERS.len() {
            self.down(peer, false);
        }
        for name in ["pool:a", "pool:b"] {
            self.many.front.originate(name, Vec::new());
        }
        self.many.rest();
        let shared = self.many.front.shared_stats();
        assert_eq!(
            (shared.attr_sets, shared.groups, shared.next_hops),
            (0, 0, 0)
        );
        assert!(self.many.watched.values().all(|on| !on), "still watched");
        assert!(self.many.kernel.is_empty());
    }
}

fn slot(peer: usize) -> PeerSlot {
    PeerSlot(u16::try_from(peer).unwrap())
}

/// Runs `play` for many seeds and names the one that fails.
fn for_seeds(seeds: std::ops::Range<u64>, play: impl Fn(u64, usize) + std::panic::RefUnwindSafe) {
    for seed in seeds {
        let shards = [1, 2, 3, 4, 8][usize::try_from(seed % 5).unwrap()];
        if let Err(panic) = std::panic::catch_unwind(|| play(seed, shards)) {
            eprintln!("seed {seed} with {shards} shards");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn any_number_of_shards_is_like_one_rib() {
    for_seeds(0..200, |seed, shards| {
        let mut twins = Twins::new(seed, shards);
        for step in 0..200 {
            twins.happen();
            let ticks = twins.dice.roll(4);
            for _ in 0..ticks {
                twins.many.tick(&mut twins.dice);
            }
            if step == 99 {
                twins.compare();
            }
        }
        twins.compare();
        twins.end();
    });
}

/// RFC 4724 §2: End-of-RIB marks the completion of the initial update, of all shards' parts.
#[test]
fn end_of_rib_is_behind_the_whole_table() {
    for_seeds(0..100, |seed, shards| {
        let mut twins = Twins::new(seed, shards);
        twins.tracks = false;
        for peer in [3, 4] {
            twins.up(peer);
            for _ in 0..12 {
                twins.routes(peer, true);
            }
        }
        twins.one_rests();
        twins.many.rest();
        twins.up(5);
        twins.one_rests();
        let expected = twins.one.peers[5].table.clone();
        for _ in 0..100_000 {
            twins.many.tick(&mut twins.dice);
            let peer = &twins.many.lab.peers[5];
            for family in Family::ALL.into_iter().filter(|f| f.pick(peer.end_of_rib)) {
                let of = |net: &IpNet| Family::of(net) == family;
                let told = peer.table.keys().filter(|(net, _)| of(net));
                let all = expected.keys().filter(|(net, _)| of(net));
                assert!(told.eq(all), "{family}");
            }
            if peer.ends == 2 {
                return;
            }
        }
        panic!("no End-of-RIB");
    });
}
