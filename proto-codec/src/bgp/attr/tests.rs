//! Attribute sets: what editing keeps, what equality means, how big they are.
//!
//! The sets are made with [`AttrEdit`], the way routes that start here are, and read with the
//! accessors; the decoder's sets are compared with them in `update/tests.rs` and in the
//! properties.

use super::*;
use crate::bgp::{Community, ExtCommunity, LargeCommunity};

fn sample() -> AttrEdit {
    let mut edit = AttrEdit::new(Origin::Egp, NextHop::V4(Ipv4Addr::new(192, 0, 2, 1)));
    edit.set_as_path(&[65001, 4_200_000_000])
        .set_med(Some(7))
        .set_local_pref(Some(150))
        .set_atomic_aggregate(true)
        .set_aggregator(4_200_000_000, Ipv4Addr::new(10, 0, 0, 9))
        .add_community(Community::NO_EXPORT.0)
        .add_community(65001 << 16 | 100)
        .set_originator_id(Ipv4Addr::new(10, 0, 0, 1))
        .prepend_cluster_list(Ipv4Addr::new(10, 0, 0, 2))
        .prepend_cluster_list(Ipv4Addr::new(10, 0, 0, 3))
        .add_ext_community("RT:65001:1".parse().unwrap())
        .add_large_community(LargeCommunity {
            global: 1,
            local1: 2,
            local2: 3,
        })
        .set_aigp(Some(1000))
        .set_otc(Some(65001));
    edit
}

#[test]
fn every_accessor_reads_what_was_set() {
    let set = sample().finish();
    assert_eq!(
        set.to_string(),
        "origin EGP path [65001 4200000000] next-hop 192.0.2.1 med 7 local-pref 150 otc 65001 \
         atomic-aggregate aggregator 4200000000 10.0.0.9 no-export 65001:100 RT:65001:1 1:2:3 \
         originator 10.0.0.1 cluster 10.0.0.3 cluster 10.0.0.2 aigp 1000"
    );
    assert_eq!((set.hop_count(), set.first_as()), (2, Some(65001)));
    assert_eq!(set.origin_as(), Some(4_200_000_000));
    assert!(table::block_is_well_formed(set.wire_block()));
    let codes: Vec<u8> = set.attributes().map(|attr| attr.type_code).collect();
    assert!(codes.is_sorted(), "{codes:?}");
}

#[test]
fn a_set_is_64_octets_and_one_slice() {
    assert!(size_of::<AttrSet>() <= 64);
    let set = AttrEdit::new(Origin::Igp, NextHop::V4(Ipv4Addr::LOCALHOST)).finish();
    assert_eq!(set.heap_len(), 4 + 3 + 7);
}

#[test]
fn equality_and_hash_are_those_of_the_content() {
    let (one, same) = (sample().finish(), sample().finish());
    assert_eq!((&one, one.content_hash()), (&same, same.content_hash()));
    // The same block with another next hop is another set, also when the next hop is not in it.
    let hop = |last| NextHop::V6 {
        global: Ipv6Addr::from_bits(last),
        link_local: None,
    };
    let one = AttrEdit::new(Origin::Igp, hop(1)).finish();
    let other = AttrEdit::new(Origin::Igp, hop(2)).finish();
    assert_eq!(one.wire_block(), other.wire_block());
    assert_ne!(one, other);
}

#[test]
fn edits_are_idempotent_and_what_becomes_empty_goes() {
    let set = sample().finish();
    let mut edit = set.edit();
    assert_eq!(edit.finish(), set);
    edit.add_community(Community::NO_EXPORT.0)
        .add_community(65001 << 16 | 100);
    assert_eq!(edit.finish(), set);
    edit.remove_community(Community::NO_EXPORT.0)
        .remove_community(65001 << 16 | 100);
    edit.remove_large_community(LargeCommunity {
        global: 1,
        local1: 2,
        local2: 3,
    });
    edit.clear_ext_communities();
    let set = edit.finish();
    assert_eq!(
        (set.value(8), set.value(16), set.value(32)),
        (None, None, None)
    );
    assert!(table::block_is_well_formed(set.wire_block()));
    // What every route must have cannot be removed.
    edit.remove(1).remove(2).remove(3);
    assert_eq!(edit.finish(), set);
}

#[test]
fn rfc4456_8_rfc7311_3_1_rfc4360_6_border_crossing_leaves_internal_things_behind() {
    let local = ExtCommunity([0x40, 4, 0, 0, 0, 0, 0, 1]);
    let mut edit = sample();
    edit.add_ext_community(local).drop_non_transitive();
    let set = edit.finish();
    assert_eq!(
        (set.local_pref(), set.originator_id(), set.aigp()),
        (None, None, None)
    );
    assert_eq!(set.cluster_list().len(), 0);
    assert_eq!(set.ext_communities().len(), 1);
    assert_eq!((set.med(), set.otc()), (Some(7), Some(65001)));
}

#[test]
fn rfc4271_5_editing_never_clears_partial() {
    let block = [0xe0, 8, 4, 0xff, 0xff, 0, 1, 0xe0, 99, 1, 5];
    let (set, errors) = crate::bgp::decode_attributes(&block, &Default::default());
    assert!(errors.is_empty());
    let set = set.edit().add_community(1).prepend(65001, 2).finish();
    let flags: Vec<(u8, u8)> = set
        .attributes()
        .map(|attr| (attr.type_code, attr.flags))
        .collect();
    assert!(
        flags.contains(&(8, 0xe0)) && flags.contains(&(99, 0xe0)),
        "{flags:?}"
    );
}

#[test]
fn attributes_over_255_octets_get_the_extended_length() {
    let mut edit = sample();
    for value in 0..100 {
        edit.add_community(value);
    }
    let set = edit.finish();
    assert_eq!(set.communities().len(), 102);
    assert_eq!(set.otc(), Some(65001));
    assert!(table::block_is_well_formed(set.wire_block()));
}

#[test]
fn next_hops_of_every_form_come_back() {
    let global = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    let link_local = Some(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1));
    for hop in [
        NextHop::V4(Ipv4Addr::new(10, 0, 0, 1)),
        NextHop::V6 {
            global,
            link_local: None,
        },
        NextHop::V6 { global, link_local },
    ] {
        let set = sample().set_next_hop(hop).finish();
        assert_eq!(set.next_hop(), hop);
        assert_eq!(set.edit().finish(), set);
    }
}
