//! Packing: message sizes, what goes where, two-octet peers, what cannot be told.
//!
//! Whatever is packed is decoded again in the matching context, so that these tests hold encoder
//! and decoder to the same reading of the RFCs.

use super::*;
use crate::afi::{V4, V6};
use crate::bgp::{AttrCache, AttrEdit, DecodeContext, Origin, decode_update};
use crate::prefix::{Prefix4, Prefix6};

fn attrs(path: &[u32]) -> AttrSet {
    let hop = NextHop::V4(Ipv4Addr::new(192, 0, 2, 1));
    AttrEdit::new(Origin::Igp, hop).set_as_path(path).finish()
}

fn prefixes4(count: u32) -> impl Iterator<Item = (u32, Prefix4)> {
    (0..count).map(|n| {
        (
            n,
            Prefix4::new(Ipv4Addr::from_bits(0x0a00_0000 | n << 8), 24),
        )
    })
}

fn prefixes6(count: u128) -> impl Iterator<Item = (u32, Prefix6)> {
    let base = 0x2001_0db8_u128 << 96;
    (0..count).map(move |n| (0, Prefix6::new((base | n << 64).into(), 64)))
}

fn internal(ctx: &EncodeContext) -> DecodeContext {
    DecodeContext {
        ebgp: false,
        four_octet_as: ctx.four_octet_as,
        add_path_rx: ctx.add_path_tx,
        ext_next_hop: ctx.ext_next_hop,
        ..DecodeContext::default()
    }
}

fn messages(out: &[u8]) -> Vec<&[u8]> {
    let mut left = out;
    let mut messages = Vec::new();
    while !left.is_empty() {
        let len = usize::from(u16::from_be_bytes([left[16], left[17]]));
        messages.push(&left[..len]);
        left = &left[len..];
    }
    messages
}

#[test]
fn messages_are_filled_to_the_negotiated_size() {
    for (max_len, add_path) in [(4096, false), (65535, false), (4096, true)] {
        let ctx = EncodeContext {
            max_len,
            add_path_tx: [add_path; 2],
            ..Default::default()
        };
        let set = attrs(&[65001]);
        let mut out = BytesMut::new();
        let mut nlri = prefixes4(20_000).peekable();
        let mut sent = 0;
        while nlri.peek().is_some() {
            sent += encode_announce::<V4>(&ctx, &set, &mut nlri, &mut out).unwrap();
        }
        assert_eq!(sent, 20_000);
        let mut seen = Vec::new();
        let messages = messages(&out);
        for message in &messages {
            assert!(message.len() <= max_len);
            let mut cache = AttrCache::new();
            let update = decode_update(&message[19..], &internal(&ctx), &mut cache).unwrap();
            assert_eq!(*update.announce[0].attrs, set);
            seen.extend(update.announce[0].nlri.iter::<V4>());
        }
        let id = |n: u32| if add_path { n } else { 0 };
        assert!(
            seen.into_iter()
                .eq(prefixes4(20_000).map(|(n, prefix)| (id(n), prefix)))
        );
        // All but the last are full: no room for one more prefix.
        let full = messages
            .iter()
            .rev()
            .skip(1)
            .all(|message| message.len() + 8 > max_len);
        assert!(full);
    }
}

#[test]
fn ipv6_goes_in_mp_reach_which_comes_first_and_mapped_next_hops_serve_ipv4_ones() {
    let ctx = EncodeContext::default();
    let set = attrs(&[65001]);
    let mut out = BytesMut::new();
    let mut nlri = prefixes6(1000).peekable();
    while nlri.peek().is_some() {
        encode_announce::<V6>(&ctx, &set, &mut nlri, &mut out).unwrap();
    }
    let mut count = 0;
    for message in messages(&out) {
        assert_eq!(message[24], 14, "MP_REACH_NLRI is the first attribute");
        let mut cache = AttrCache::new();
        let update = decode_update(&message[19..], &internal(&ctx), &mut cache).unwrap();
        assert!(update.errors.is_empty());
        let hop = update.announce[0].attrs.next_hop();
        assert_eq!(hop.to_string(), "::ffff:192.0.2.1");
        count += update.announce[0].nlri.count();
    }
    assert_eq!(count, 1000);
}

#[test]
fn rfc8950_ipv4_with_an_ipv6_next_hop_only_for_peers_that_take_it() {
    let global = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    let set = attrs(&[])
        .edit()
        .set_next_hop(NextHop::V6 {
            global,
            link_local: None,
        })
        .finish();
    let mut out = BytesMut::new();
    let mut nlri = prefixes4(1).peekable();
    let ctx = EncodeContext::default();
    let refused = encode_announce::<V4>(&ctx, &set, &mut nlri, &mut out);
    assert_eq!((refused, out.len()), (Err(PackError::NextHopFamily), 0));
    let ctx = EncodeContext {
        ext_next_hop: true,
        ..ctx
    };
    assert_eq!(
        encode_announce::<V4>(&ctx, &set, &mut nlri, &mut out),
        Ok(1)
    );
    let mut cache = AttrCache::new();
    let update = decode_update(&out[19..], &internal(&ctx), &mut cache).unwrap();
    assert_eq!(*update.announce[0].attrs, set);
}

#[test]
fn attributes_without_room_for_a_prefix_are_refused_whole() {
    let mut edit = attrs(&[65001]).edit();
    for value in 0..1015 {
        edit.add_community(value);
    }
    let ctx = EncodeContext::default();
    let mut out = BytesMut::from(&b"before"[..]);
    let mut nlri = prefixes4(1).peekable();
    let refused = encode_announce::<V4>(&ctx, &edit.finish(), &mut nlri, &mut out);
    assert!(
        matches!(refused, Err(PackError::AttrsTooLarge { .. })),
        "{refused:?}"
    );
    assert_eq!((&out[..], nlri.peek().is_some()), (&b"before"[..], true));
    let ctx = EncodeContext {
        max_len: 65535,
        ..ctx
    };
    assert_eq!(
        encode_announce::<V4>(&ctx, &edit.finish(), &mut nlri, &mut out),
        Ok(1)
    );
}

#[test]
fn withdrawals_and_end_of_rib_of_both_families() {
    let ctx = EncodeContext::default();
    let mut out = BytesMut::new();
    let mut nlri = prefixes4(2000).peekable();
    while encode_withdraw::<V4>(&ctx, &mut nlri, &mut out) > 0 {}
    let mut nlri = prefixes6(2000).peekable();
    while encode_withdraw::<V6>(&ctx, &mut nlri, &mut out) > 0 {}
    let mut counts = [0, 0];
    for message in messages(&out) {
        assert!(message.len() <= 4096);
        let mut cache = AttrCache::new();
        let update = decode_update(&message[19..], &internal(&ctx), &mut cache).unwrap();
        for nlri in &update.withdraw {
            counts[nlri.family().index()] += nlri.count();
        }
    }
    assert_eq!(counts, [2000, 2000]);
    for family in Family::ALL {
        let mut out = BytesMut::new();
        encode_end_of_rib(family, &mut out);
        let mut cache = AttrCache::new();
        let update = decode_update(&out[19..], &internal(&ctx), &mut cache).unwrap();
        assert_eq!(update.end_of_rib, Some(family));
    }
}

#[test]
fn rfc6793_4_2_wide_numbers_survive_a_two_octet_peer() {
    let ctx = EncodeContext {
        four_octet_as: false,
        ..Default::default()
    };
    let paths: [&[u32]; 4] = [&[], &[1, 2], &[4_200_000_000], &[1, 70000, 2, 80000]];
    for path in paths {
        for aggregator in [3, 90000] {
            let mut edit = attrs(path).edit();
            edit.set_aggregator(aggregator, Ipv4Addr::new(10, 0, 0, 1))
                .add_community(5);
            let set = edit.finish();
            let mut out = BytesMut::new();
            let mut nlri = prefixes4(1).peekable();
            encode_announce::<V4>(&ctx, &set, &mut nlri, &mut out).unwrap();
            let mut cache = AttrCache::new();
            let update = decode_update(&out[19..], &internal(&ctx), &mut cache).unwrap();
            assert!(update.errors.is_empty(), "{:?}", update.errors);
            assert_eq!(*update.announce[0].attrs, set, "{path:?}");
        }
    }
}

#[test]
fn rfc6793_4_2_3_as4_path_with_more_hops_is_ignored_and_order_does_not_matter() {
    let ctx = DecodeContext {
        four_octet_as: false,
        ebgp: false,
        ..Default::default()
    };
    let path = [0x40, 2, 8, 2, 3, 0, 1, 0x5b, 0xa0, 0x5b, 0xa0];
    let decode = |as4: &[u8], first: bool| {
        let block = if first {
            [as4, &path].concat()
        } else {
            [&path[..], as4].concat()
        };
        crate::bgp::decode_attributes(&block, &ctx)
            .0
            .as_path()
            .to_string()
    };
    let two = [0xc0, 17, 10, 2, 2, 0, 1, 0, 0, 0, 2, 0, 0];
    let four: Vec<u8> = [&[0xc0, 17, 18, 2, 4][..], &[0, 1, 0, 0].repeat(4)].concat();
    for first in [true, false] {
        assert_eq!(decode(&two, first), "1 65536 131072");
        assert_eq!(decode(&four, first), "1 23456 23456");
        assert_eq!(decode(&[], first), "1 23456 23456");
    }
}
