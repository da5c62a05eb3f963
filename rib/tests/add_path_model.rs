//! ADD-PATH (RFC 7911) against a map: what peers sent is what a reader of all paths knows.
//!
//! Senders name their paths by identifiers of their own; the reader gets others, but each path
//! exactly once, whatever was announced, replaced, withdrawn or lost with its session in between,
//! and however seldom the reader reads. A reader of the best two gets the best one and one more.

mod lab;

use std::collections::BTreeMap;

use ipnet::IpNet;
use lab::{ASN, Lab, config};
use proptest::prelude::*;
use proto_codec::bgp::{AttrEdit, AttrSet, NextHop, Origin};
use rib::{AddPathTx, PeerKind, PeerSlot, RibConfig};

const SENDERS: u16 = 3;

#[derive(Clone, Debug)]
enum Op {
    Announce {
        peer: u16,
        path_id: u32,
        net: u8,
        hops: u32,
    },
    Withdraw {
        peer: u16,
        path_id: u32,
        net: u8,
    },
    Flap(u16),
    Settle,
    Read(u16),
}

fn op() -> impl Strategy<Value = Op> {
    let path = || (0..SENDERS, 1u32..4, 0u8..4);
    prop_oneof![
        8 => (path(), 0u32..4).prop_map(|((peer, path_id, net), hops)| Op::Announce {
            peer,
            path_id,
            net,
            hops,
        }),
        4 => path().prop_map(|(peer, path_id, net)| Op::Withdraw { peer, path_id, net }),
        1 => (0..SENDERS).prop_map(Op::Flap),
        4 => Just(Op::Settle),
        4 => (SENDERS..SENDERS + 3).prop_map(Op::Read),
    ]
}

fn net(number: u8) -> IpNet {
    format!("10.{number}.0.0/16").parse().unwrap()
}

/// Attributes that tell who sent the path, and which of its paths it is.
fn attrs(peer: u16, path_id: u32, hops: u32) -> AttrSet {
    let last = u8::try_from(path_id).unwrap();
    let mut edit = AttrEdit::new(Origin::Igp, NextHop::V4([192, 0, 2, last].into()));
    let mut path = vec![65001 + u32::from(peer)];
    path.extend((0..hops).map(|hop| 64600 + hop));
    edit.set_as_path(&path);
    edit.finish()
}

fn lab() -> Lab {
    let mut lab = Lab::new(RibConfig {
        log_segments: 2,
        ..config()
    });
    for peer in 0..SENDERS {
        let slot = lab.add(65001 + u32::from(peer));
        lab.peer(slot).add_path = true;
    }
    for tx in [AddPathTx::All, AddPathTx::Best(2), AddPathTx::Off] {
        let slot = lab.add(ASN);
        let session = &mut lab.peer(slot).session;
        session.kind = PeerKind::InternalClient;
        session.add_path_tx = [tx; 2];
        session.encode.add_path_tx = [tx != AddPathTx::Off; 2];
    }
    lab.all_up();
    lab
}

type Sent = BTreeMap<(IpNet, u16, u32), AttrSet>;

fn run(lab: &mut Lab, sent: &mut Sent, op: &Op) {
    match *op {
        Op::Announce {
            peer,
            path_id,
            net: number,
            hops,
        } => {
            let set = attrs(peer, path_id, hops);
            lab.announce_paths(PeerSlot(peer), &[(path_id, net(number))], &set);
            sent.insert((net(number), peer, path_id), set);
        }
        Op::Withdraw {
            peer,
            path_id,
            net: number,
        } => {
            lab.withdraw_paths(PeerSlot(peer), &[(path_id, net(number))]);
            sent.remove(&(net(number), peer, path_id));
        }
        Op::Flap(peer) => {
            lab.down(PeerSlot(peer));
            lab.up(PeerSlot(peer));
            sent.retain(|(_, of, _), _| *of != peer);
        }
        Op::Settle => lab.rib.settle(),
        Op::Read(peer) => {
            lab.read(PeerSlot(peer), 1);
        }
    }
}

/// What a reader knows of a prefix, as text: path and next hop.
fn known(lab: &mut Lab, reader: u16, prefix: IpNet) -> Vec<String> {
    let table = &lab.peer(PeerSlot(reader)).table;
    let of_prefix = table.iter().filter(|((net, _), _)| *net == prefix);
    let mut known: Vec<String> = of_prefix.map(|(_, set)| words(set)).collect();
    known.sort();
    known
}

fn words(set: &AttrSet) -> String {
    format!("{} via {}", set.as_path(), set.next_hop())
}

fn compare(lab: &mut Lab, sent: &Sent) {
    lab.drain();
    for number in 0..4 {
        let prefix = net(number);
        let of_prefix = sent.iter().filter(|((net, ..), _)| *net == prefix);
        let mut expected: Vec<String> = of_prefix.map(|(_, set)| words(set)).collect();
        expected.sort();
        assert_eq!(known(lab, SENDERS, prefix), expected, "all of {prefix}");
        let two = known(lab, SENDERS + 1, prefix);
        assert_eq!(two.len(), expected.len().min(2), "two of {prefix}");
        let best = known(lab, SENDERS + 2, prefix);
        assert_eq!(best.len(), expected.len().min(1), "best of {prefix}");
        assert!(
            best.iter().all(|best| two.contains(best)),
            "{best:?} in {two:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_reader_of_all_paths_knows_every_path_once(ops in prop::collection::vec(op(), 1..300)) {
        let mut lab = lab();
        let mut sent = Sent::new();
        for op in &ops {
            run(&mut lab, &mut sent, op);
        }
        compare(&mut lab, &sent);
        for peer in 0..SENDERS + 3 {
            lab.down(PeerSlot(peer));
        }
        lab.rib.settle();
        assert_eq!(lab.rib.shared_stats().attr_sets, 0, "left behind");
    }
}
