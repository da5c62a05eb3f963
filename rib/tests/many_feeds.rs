//! Several feeds of the same table: the receiver ends with the best path of each prefix, whatever
//! was told in between and however much of it at a time.

mod lab;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net};
use lab::{Lab, config};
use proto_codec::bgp::{AttrEdit, AttrSet, NextHop, Origin};
use rib::PeerSlot;

const FEEDS: u32 = 10;
const PREFIXES: u32 = 3_000;

fn net(n: u32) -> IpNet {
    IpNet::V4(Ipv4Net::new(Ipv4Addr::from(0x1000_0000 + (n << 8)), 24).unwrap())
}

/// Hops of the path that a feed has for the prefixes of a set: all different, in another order for
/// each set.
fn hops(feed: u32, set: u32) -> u32 {
    (feed * 7 + set * 3) % FEEDS
}

fn attrs(feed: u32, set: u32) -> AttrSet {
    let hop = NextHop::V4(Ipv4Addr::from(0xc000_0201 + feed));
    let mut path = vec![65001 + feed];
    path.extend((0..hops(feed, set)).map(|n| 100_000 + set * 16 + n));
    let mut edit = AttrEdit::new(Origin::Igp, hop);
    edit.set_as_path(&path);
    edit.finish()
}

#[test]
fn the_last_word_is_the_best_path() {
    the_last_word(
        rib::RibConfig::new([10, 0, 0, 254].into(), lab::ASN).log_segments,
        1,
    );
}

/// A reader that is too slow for the log walks; one that never reads does at the end.
#[test]
fn a_slow_reader_gets_the_last_word_too() {
    for segments in [1, 2, 3, 5] {
        for every in [1, 2, 3, 7] {
            the_last_word(segments, every);
        }
    }
}

fn the_last_word(log_segments: usize, read_every: usize) {
    let mut lab = Lab::new(rib::RibConfig {
        log_segments,
        ..config()
    });
    let mut turn = 0;
    let reader = lab.add(64999);
    let feeds: Vec<PeerSlot> = (0..FEEDS).map(|n| lab.add(65001 + n)).collect();
    lab.all_up();
    // Sets of five to eight prefixes, read in turns of other lengths for each feed.
    let mut sets: Vec<Vec<IpNet>> = Vec::new();
    let mut made = 0;
    while made < PREFIXES {
        let size = 5 + u32::try_from(sets.len() % 4).unwrap();
        sets.push((made..made + size).map(net).collect());
        made += size;
    }
    let mut at = vec![0; feeds.len()];
    while at.iter().any(|at| *at < sets.len()) {
        for (feed, slot) in (0u32..).zip(&feeds) {
            let from = at[feed as usize];
            let to = (from + 40 + 17 * feed as usize).min(sets.len());
            for (set, nets) in (0u32..).zip(&sets).skip(from).take(to - from) {
                lab.announce(*slot, nets, &attrs(feed, set));
            }
            at[feed as usize] = to;
        }
        lab.rib.settle();
        turn += 1;
        if turn % read_every == 0 {
            lab.read(reader, 1);
        }
        lab.read(feeds[turn % feeds.len()], 1);
    }
    lab.drain();
    let mut wanted = BTreeMap::new();
    for (set, nets) in (0u32..).zip(&sets) {
        let best = (0..FEEDS).min_by_key(|feed| hops(*feed, set)).unwrap();
        wanted.extend(nets.iter().map(|net| (*net, 65001 + best)));
    }
    let table = &lab.peer(reader).table;
    let told: BTreeMap<IpNet, u32> = table
        .iter()
        .map(|((net, _), set)| (*net, set.as_path().asns().nth(1).unwrap()))
        .collect();
    let wrong = wanted
        .iter()
        .filter(|(net, asn)| told.get(net) != Some(asn));
    assert_eq!((told.len(), wrong.count()), (wanted.len(), 0));
}
