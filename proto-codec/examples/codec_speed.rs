//! How fast the hot paths are: `cargo run --release -p proto-codec --example codec_speed`.
//!
//! Four figures, each the best of several rounds: nanoseconds per prefix for validating and
//! reading NLRI, per message for decoding an UPDATE of one prefix with its attributes cached and
//! not cached, and per prefix for packing. The attributes are those of an ordinary Internet route:
//! path of five, MED, six communities, two large ones.

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use proto_codec::bgp::{
    AttrCache, AttrEdit, DecodeContext, EncodeContext, LargeCommunity, NextHop, Nlri, Origin,
    decode_update, encode_announce,
};
use proto_codec::{Family, Prefix4, Prefix6, V4, V6};

const ROUNDS: usize = 20;

fn best(mut round: impl FnMut() -> u64) -> f64 {
    let mut best = Duration::MAX;
    let mut items = 1;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        items = round();
        best = best.min(started.elapsed());
    }
    best.as_nanos() as f64 / items as f64
}

fn attrs(n: u32) -> proto_codec::bgp::AttrSet {
    let hop = NextHop::V4(Ipv4Addr::new(192, 0, 2, 1));
    let mut edit = AttrEdit::new(Origin::Igp, hop);
    edit.set_as_path(&[65200, 3356, 1299, 64500 + n % 1000, 396_982])
        .set_med(Some(n));
    for value in 0..6 {
        edit.add_community(65200 << 16 | value);
    }
    for local2 in 0..2 {
        edit.add_large_community(LargeCommunity {
            global: 65200,
            local1: n,
            local2,
        });
    }
    edit.finish()
}

fn prefixes4(count: u32) -> impl Iterator<Item = (u32, Prefix4)> {
    (0..count).map(|n| {
        (
            0,
            Prefix4::new(
                Ipv4Addr::from_bits(0x0b00_0000 + (n << 8)),
                20 + (n % 5) as u8,
            ),
        )
    })
}

fn main() {
    let encode = EncodeContext::default();
    let mut octets = BytesMut::new();
    let set = attrs(0);
    println!(
        "AttrSet: {} octets and {} on the heap",
        size_of_val(&set),
        set.heap_len()
    );
    let mut nlri = prefixes4(1_000_000).peekable();
    let packing = best(|| {
        octets.clear();
        nlri = prefixes4(1_000_000).peekable();
        while nlri.peek().is_some() {
            encode_announce::<V4>(&encode, &set, &mut nlri, &mut octets).expect("it fits");
        }
        1_000_000
    });
    println!("pack IPv4:               {packing:6.2} ns per prefix");

    measure_nlri();
    measure_updates();
}

fn measure_nlri() {
    let wire: Vec<u8> = prefixes4(1_000_000)
        .flat_map(|(_, prefix)| {
            let (wire, len) = proto_codec::PrefixKey::to_wire(prefix);
            wire[..len].to_vec()
        })
        .collect();
    let reading = best(|| {
        let nlri = Nlri::new(Family::Ipv4Unicast, false, black_box(&wire)).expect("valid");
        let sum: u64 = nlri
            .iter::<V4>()
            .map(|(_, prefix)| prefix.word())
            .fold(0, u64::wrapping_add);
        black_box(sum);
        1_000_000
    });
    println!("validate and read IPv4:  {reading:6.2} ns per prefix");

    let wire6: Vec<u8> = (0..1_000_000u128)
        .flat_map(|n| {
            let prefix = Prefix6::new((0x2001_0db8_u128 << 96 | n << 80).into(), 48);
            let (wire, len) = proto_codec::PrefixKey::to_wire(prefix);
            wire[..len].to_vec()
        })
        .collect();
    let reading = best(|| {
        let nlri = Nlri::new(Family::Ipv6Unicast, false, black_box(&wire6)).expect("valid");
        let sum = nlri
            .iter::<V6>()
            .map(|(_, prefix)| prefix.bits())
            .fold(0, u128::wrapping_add);
        black_box(sum);
        1_000_000
    });
    println!("validate and read IPv6:  {reading:6.2} ns per prefix");
}

fn measure_updates() {
    let (ctx, encode) = (DecodeContext::default(), EncodeContext::default());
    let messages: Vec<BytesMut> = (0..20_000)
        .map(|n| {
            let mut out = BytesMut::new();
            let mut one = prefixes4(1).peekable();
            encode_announce::<V4>(&encode, &attrs(n), &mut one, &mut out).expect("it fits");
            out
        })
        .collect();
    let parsing = best(|| {
        let mut cache = AttrCache::new();
        for message in &messages {
            black_box(decode_update(&message[19..], &ctx, &mut cache).expect("valid"));
        }
        20_000
    });
    println!("decode UPDATE, not seen: {parsing:6.0} ns per message");
    let mut cache = AttrCache::new();
    let hitting = best(|| {
        for _ in 0..20 {
            for message in &messages[..1000] {
                black_box(decode_update(&message[19..], &ctx, &mut cache).expect("valid"));
            }
        }
        20_000
    });
    println!("decode UPDATE, cached:   {hitting:6.0} ns per message");
}
