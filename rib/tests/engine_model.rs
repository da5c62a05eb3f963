//! The engine against the naive model: any sequence of announcements, withdrawals, sessions,
//! policies, next hops and slow readers must leave every peer with what the model says.
//!
//! What peers know is read from the messages they got, so decision, export, grouping, source
//! exclusion, catching up and encoding are all in between. When it is over, everything is
//! withdrawn, and nothing may be left: no attribute set, no prefix, no next hop.

mod lab;
mod model;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use lab::{ASN, Lab, config};
use model::{Facts, Model, ModelPolicy, OWN_ID};
use proptest::prelude::*;
use proto_codec::afi::Family;
use proto_codec::bgp::{AttrEdit, AttrSet, NextHop, Origin};
use rib::policy::{MatchDef, PolicyDef, PrefixMatch, RuleDef, SetDef, Then};
use rib::route::NextHopState;
use rib::{PeerKind, PeerSlot, Policy, RibConfig};

/// Peers of the lab: two of one AS, so that MED matters; clients and others.
const PEERS: [(u32, PeerKind); 7] = [
    (65001, PeerKind::External),
    (65002, PeerKind::External),
    (65001, PeerKind::External),
    (ASN, PeerKind::InternalClient),
    (ASN, PeerKind::InternalClient),
    (ASN, PeerKind::Internal),
    (ASN, PeerKind::Internal),
];

#[derive(Clone, Debug)]
enum Op {
    Announce {
        peer: u16,
        nets: Vec<u8>,
        attrs: Attrs,
    },
    Withdraw {
        peer: u16,
        nets: Vec<u8>,
    },
    Up(u16),
    Down(u16),
    Settle,
    Read {
        peer: u16,
        polls: usize,
    },
    Refresh(u16),
    Import {
        peer: u16,
        policy: ModelPolicy,
    },
    Export {
        peer: u16,
        policy: ModelPolicy,
    },
    NextHop {
        which: u8,
        reachable: bool,
    },
}

#[derive(Clone, Debug)]
struct Attrs {
    path: Vec<u32>,
    origin: u8,
    next_hop: u8,
    med: Option<u32>,
    local_pref: Option<u32>,
    communities: Vec<u32>,
    originator: Option<u8>,
    clusters: Vec<u8>,
}

fn attrs() -> impl Strategy<Value = Attrs> {
    // Mostly equal in length, origin and preference, so that the later steps have to decide.
    let hop = || prop_oneof![Just(64601u32), Just(64602)];
    let path = prop_oneof![
        6 => hop().prop_map(|hop| vec![hop]),
        1 => prop::collection::vec(hop(), 0..3),
    ];
    let community = prop_oneof![
        4 => Just(65000u32 << 16 | 1),
        2 => Just(65000 << 16 | 9),
        1 => Just(0xffff_ff01),
        1 => Just(0xffff_ff02),
        1 => Just(0xffff_0000),
    ];
    let origin = prop_oneof![6 => Just(1u8), 1 => 0u8..3];
    let plain = (path, origin, 0u8..3, prop::option::of(0u32..3));
    let others = (
        prop::option::of(prop_oneof![4 => Just(100u32), 1 => Just(200)]),
        prop::collection::vec(community, 0..2),
        prop::option::of(0u8..4),
        prop::collection::vec(0u8..4, 0..3),
    );
    (plain, others).prop_map(|((path, origin, next_hop, med), rest)| {
        let (local_pref, communities, originator, clusters) = rest;
        Attrs {
            path,
            origin: origin.saturating_sub(1),
            next_hop,
            med,
            local_pref,
            communities,
            originator,
            clusters,
        }
    })
}

fn op() -> impl Strategy<Value = Op> {
    let peer = || 0..u16::try_from(PEERS.len()).unwrap();
    let nets = || prop::collection::vec(prop_oneof![2 => 0u8..2, 1 => 0u8..10], 1..5);
    let policy = || {
        prop_oneof![
            Just(ModelPolicy::Accept),
            Just(ModelPolicy::Picky),
            Just(ModelPolicy::Reject)
        ]
    };
    prop_oneof![
        30 => (peer(), nets(), attrs())
            .prop_map(|(peer, nets, attrs)| Op::Announce { peer, nets, attrs }),
        12 => (peer(), nets()).prop_map(|(peer, nets)| Op::Withdraw { peer, nets }),
        3 => peer().prop_map(Op::Up),
        2 => peer().prop_map(Op::Down),
        20 => Just(Op::Settle),
        30 => (peer(), 1usize..4).prop_map(|(peer, polls)| Op::Read { peer, polls }),
        2 => peer().prop_map(Op::Refresh),
        2 => (peer(), policy()).prop_map(|(peer, policy)| Op::Import { peer, policy }),
        2 => (peer(), policy()).prop_map(|(peer, policy)| Op::Export { peer, policy }),
        2 => (0u8..3, any::<bool>())
            .prop_map(|(which, reachable)| Op::NextHop { which, reachable }),
    ]
}

fn net(number: u8) -> IpNet {
    let text = match number {
        0..7 => format!("10.{number}.0.0/16"),
        _ => format!("2001:db8:{number}::/48"),
    };
    text.parse().unwrap()
}

fn next_hop(v6: bool, number: u8) -> IpAddr {
    let text = match v6 {
        false => format!("192.0.2.{}", number + 1),
        true => format!("2001:db8:ffff::{}", number + 1),
    };
    text.parse().unwrap()
}

fn attr_set(attrs: &Attrs, peer: u16, v6: bool) -> AttrSet {
    let origin = Origin::from_value(attrs.origin).unwrap();
    let mut edit = AttrEdit::new(origin, NextHop::from(next_hop(v6, attrs.next_hop)));
    let (asn, kind) = PEERS[usize::from(peer)];
    let mut path = attrs.path.clone();
    if kind == PeerKind::External {
        path.insert(0, asn);
    } else {
        edit.set_local_pref(Some(attrs.local_pref.unwrap_or(100)));
        // One in four is ourselves: a loop.
        let id = |n: u8| if n == 3 { OWN_ID } else { [10, 9, 9, n].into() };
        if let Some(originator) = attrs.originator {
            edit.set_originator_id(id(originator));
        }
        for cluster in &attrs.clusters {
            edit.prepend_cluster_list(id(*cluster));
        }
    }
    edit.set_as_path(&path);
    edit.set_med(attrs.med);
    for community in &attrs.communities {
        edit.add_community(*community);
    }
    edit.finish()
}

fn policy(which: ModelPolicy) -> Arc<Policy> {
    match which {
        ModelPolicy::Accept => Policy::accept_all(),
        ModelPolicy::Reject => Policy::reject_all(),
        ModelPolicy::Picky => Arc::new(Policy::compile(&picky()).unwrap()),
    }
}

fn picky() -> PolicyDef {
    let rule = |matches, set, then| RuleDef { matches, set, then };
    let community = |text: &str| MatchDef {
        community: vec![text.into()],
        ..MatchDef::default()
    };
    let inside = PrefixMatch {
        net: "10.1.0.0/16".parse().unwrap(),
        ge: None,
        le: Some(32),
    };
    let by_prefix = MatchDef {
        prefix: vec![inside],
        ..MatchDef::default()
    };
    let prefer = SetDef {
        local_pref: Some(300),
        med: Some(7),
        ..SetDef::default()
    };
    PolicyDef {
        name: "picky".into(),
        rules: vec![
            rule(by_prefix, SetDef::default(), Then::Reject),
            rule(community("65000:9"), SetDef::default(), Then::Reject),
            rule(community("65000:1"), prefer, Then::Accept),
            rule(MatchDef::default(), SetDef::default(), Then::Accept),
        ],
    }
}

struct World {
    lab: Lab,
    model: Model,
}

impl World {
    fn new() -> Self {
        let mut lab = Lab::new(RibConfig {
            track_next_hops: true,
            log_segments: 2,
            ..config()
        });
        for (asn, kind) in PEERS {
            let slot = lab.add(asn);
            let session = &mut lab.peer(slot).session;
            session.kind = kind;
            // The other way round than addresses, so that the two steps can be told apart.
            session.router_id = [10, 1, 1, 100 - u8::try_from(slot.0).unwrap()].into();
        }
        let sessions = lab.peers.iter().map(|peer| peer.session.clone()).collect();
        let mut world = Self {
            lab,
            model: Model::new(sessions),
        };
        for slot in [0, 1, 3, 5] {
            world.run(&Op::Up(slot));
        }
        world
    }

    fn answer_next_hops(&mut self) {
        while let Some((addr, wanted)) = self.lab.rib.poll_next_hop_interest() {
            if wanted {
                let reachable = !self.model.dead.contains(&addr);
                self.report(addr, reachable);
            }
        }
        self.lab.rib.settle();
    }

    fn report(&mut self, addr: IpAddr, reachable: bool) {
        let state = NextHopState {
            reachable,
            igp_metric: 0,
        };
        self.lab.rib.next_hop_changed(addr, state);
    }

    fn run(&mut self, op: &Op) {
        match op {
            Op::Announce { peer, nets, attrs } if self.is_up(*peer) => {
                for v6 in [false, true] {
                    let nets = self.nets(nets, v6);
                    if nets.is_empty() {
                        continue;
                    }
                    let set = attr_set(attrs, *peer, v6);
                    self.learn_next_hop(set.next_hop().addr());
                    self.lab.announce(PeerSlot(*peer), &nets, &set);
                    for net in nets {
                        self.model.announce(PeerSlot(*peer), net, &set);
                    }
                }
            }
            Op::Withdraw { peer, nets } if self.is_up(*peer) => {
                for v6 in [false, true] {
                    let nets = self.nets(nets, v6);
                    if !nets.is_empty() {
                        self.lab.withdraw(PeerSlot(*peer), &nets);
                    }
                    for net in nets {
                        self.model.withdraw(PeerSlot(*peer), net);
                    }
                }
            }
            Op::Up(peer) if !self.is_up(*peer) => {
                self.model.peers[usize::from(*peer)].up = true;
                let slot = PeerSlot(*peer);
                let of_model = &self.model.peers[usize::from(*peer)];
                let (import, export) = (policy(of_model.import), policy(of_model.export));
                let session = &mut self.lab.peer(slot).session;
                (session.import, session.export) = (import, export);
                self.lab.up(slot);
            }
            Op::Down(peer) if self.is_up(*peer) => {
                self.lab.down(PeerSlot(*peer));
                self.model.down(PeerSlot(*peer));
            }
            Op::Settle => self.lab.rib.settle(),
            Op::Read { peer, polls } if self.is_up(*peer) => {
                self.lab.read(PeerSlot(*peer), *polls);
            }
            Op::Refresh(peer) => {
                let slot = PeerSlot(*peer);
                self.lab.rib.refresh_out(slot, Family::Ipv4Unicast, true);
            }
            Op::Import {
                peer,
                policy: which,
            } => {
                self.model.peers[usize::from(*peer)].import = *which;
                self.lab.rib.set_import(PeerSlot(*peer), policy(*which));
                self.model.decide_all();
            }
            Op::Export {
                peer,
                policy: which,
            } => {
                self.model.peers[usize::from(*peer)].export = *which;
                self.lab.rib.set_export(PeerSlot(*peer), policy(*which));
            }
            Op::NextHop { which, reachable } => self.flip(*which, *reachable),
            _ => {}
        }
    }

    fn flip(&mut self, which: u8, reachable: bool) {
        self.lab.rib.settle();
        for v6 in [false, true] {
            let addr = next_hop(v6, which);
            self.model.dead.retain(|dead| *dead != addr);
            if !reachable {
                self.model.dead.push(addr);
            }
            self.report(addr, reachable);
        }
        self.lab.rib.settle();
        self.model.decide_all();
    }

    /// Lets the engine know a next hop before a route names it, so that both decide once.
    fn learn_next_hop(&mut self, addr: IpAddr) {
        self.answer_next_hops();
        let probe = rib::OriginRoute {
            attrs: Arc::new(AttrEdit::new(Origin::Igp, NextHop::from(addr)).finish()),
            ..rib::OriginRoute::new("203.0.113.0/24".parse().unwrap())
        };
        self.lab.rib.originate(
            &format!("keep {addr}"),
            vec![rib::OriginRoute {
                neighbors: Some(Vec::new()),
                ..probe
            }],
        );
        self.answer_next_hops();
    }

    fn is_up(&self, peer: u16) -> bool {
        self.model.peers[usize::from(peer)].up
    }

    fn nets(&self, numbers: &[u8], v6: bool) -> Vec<IpNet> {
        let mut nets: Vec<IpNet> = numbers.iter().map(|number| net(*number)).collect();
        nets.retain(|net| matches!(net, IpNet::V6(_)) == v6);
        nets.sort_unstable();
        nets.dedup();
        nets
    }

    fn compare(&mut self) {
        self.lab.drain();
        for peer in 0..PEERS.len() {
            let slot = PeerSlot(u16::try_from(peer).unwrap());
            if !self.is_up(slot.0) {
                continue;
            }
            let got: BTreeMap<IpNet, Facts> = self
                .lab
                .peer(slot)
                .table
                .iter()
                .map(|((net, _), set)| (*net, Facts::of(set)))
                .collect();
            assert_eq!(got, self.model.expected(slot), "told to peer {peer}");
        }
    }

    /// Withdraws everything; nothing may be left behind.
    fn end(&mut self) {
        for peer in 0..u16::try_from(PEERS.len()).unwrap() {
            self.run(&Op::Down(peer));
        }
        let names: Vec<String> = self
            .lab
            .rib
            .origins()
            .map(|(name, _)| name.into())
            .collect();
        for name in names {
            self.lab.rib.originate(&name, Vec::new());
        }
        self.lab.rib.settle();
        let shared = self.lab.rib.shared_stats();
        assert_eq!((shared.attr_sets, shared.groups), (0, 0), "left behind");
        for family in Family::ALL {
            assert_eq!(self.lab.rib.table_stats(family).prefixes, 0, "{family}");
        }
        while self.lab.rib.poll_next_hop_interest().is_some() {}
        assert_eq!(self.lab.rib.shared_stats().next_hops, 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        max_shrink_iters: 20_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_peer_knows_what_the_model_says(ops in prop::collection::vec(op(), 1..400)) {
        let mut world = World::new();
        for (number, op) in ops.iter().enumerate() {
            world.run(op);
            if number % 97 == 96 {
                world.compare();
            }
        }
        world.compare();
        world.end();
    }

    /// Some peers read nothing for so long that the logs of their groups move on without them.
    #[test]
    fn those_who_hardly_read_end_up_with_the_same(
        ops in prop::collection::vec(op(), 1000..1500),
    ) {
        let mut world = World::new();
        let slow = |op: &Op| matches!(op, Op::Read { peer: 2 | 4 | 6, .. });
        for op in ops.iter().filter(|op| !slow(op)) {
            world.run(op);
        }
        world.compare();
        world.end();
    }
}
