//! What the codec costs: octets to prefixes and attributes, and back.
//!
//! `cargo bench -p proto-codec`, or `make bench-micro` for a table in nanoseconds. A bench counts
//! prefixes, or messages where the cost is one of the message; its name says which. "hit" and
//! "miss" are about the cache of attribute blocks.

use std::net::Ipv4Addr;

use bytes::{Bytes, BytesMut};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use proto_codec::afi::{Family, V4, V6};
use proto_codec::bgp::{
    AttrCache, AttrEdit, AttrSet, DecodeContext, EncodeContext, Framer, HEADER_LEN, NextHop, Nlri,
    Origin, decode_attributes, decode_update, encode_announce, encode_withdraw,
};
use proto_codec::prefix::{Prefix4, Prefix6, PrefixKey};

/// Prefixes of a full message.
const MANY: usize = 500;
/// Prefixes of a usual message.
const FEW: usize = 6;
/// Different attribute sets.
const SETS: usize = 1_000;
const CONTEXT: EncodeContext = EncodeContext {
    four_octet_as: true,
    add_path_tx: [false; 2],
    ext_next_hop: false,
    max_len: 4096,
};

fn main() {
    divan::main();
}

/// The real mix: mostly of length 24, some shorter.
fn prefix4(n: usize) -> Prefix4 {
    let n = u32::try_from(n).expect("few");
    let length = if n % 10 < 6 {
        24
    } else {
        20 + n.to_le_bytes()[0] % 3
    };
    Prefix4::new(Ipv4Addr::from(0x1400_0000 + (n << 12)), length)
}

fn prefix6(n: usize) -> Prefix6 {
    let net: ipnet::IpNet = format!("2001:db8:{n:x}::/48").parse().expect("a prefix");
    Prefix6::from_net(net).expect("of IPv6")
}

/// Six attributes, five hops, two communities.
fn attrs(n: usize) -> AttrSet {
    let n = u32::try_from(n).expect("few");
    AttrEdit::new(Origin::Igp, NextHop::V4(Ipv4Addr::new(192, 0, 2, 1)))
        .set_as_path(&[65001, 3356, 1299, 1000 + n, 64500])
        .set_med(Some(n))
        .add_community(0x0d1c_0001)
        .add_community(0x0d1c_1000 + n)
        .finish()
}

fn announce(prefixes: usize, set: usize) -> Bytes {
    let mut out = BytesMut::new();
    let mut nlri = (0..prefixes).map(|n| (0, prefix4(n))).peekable();
    encode_announce::<V4>(&CONTEXT, &attrs(set), &mut nlri, &mut out).expect("it fits");
    assert!(nlri.peek().is_none());
    out.freeze()
}

fn octets<A: proto_codec::afi::AddressFamily>(prefix: impl Fn(usize) -> A::Prefix) -> Vec<u8> {
    let mut octets = Vec::new();
    for n in 0..MANY {
        let (wire, len) = prefix(n).to_wire();
        octets.extend_from_slice(&wire[..len]);
    }
    octets
}

fn context() -> DecodeContext {
    DecodeContext {
        local_asn: 65000,
        peer_asn: 65001,
        ..DecodeContext::default()
    }
}

#[divan::bench]
fn nlri_check_v4(bencher: Bencher<'_, '_>) {
    let octets = octets::<V4>(prefix4);
    bencher
        .counter(ItemsCount::new(MANY))
        .bench_local(|| Nlri::new(Family::Ipv4Unicast, false, black_box(&octets)));
}

#[divan::bench]
fn nlri_read_v4(bencher: Bencher<'_, '_>) {
    let octets = octets::<V4>(prefix4);
    let nlri = Nlri::new(Family::Ipv4Unicast, false, &octets).expect("well-formed");
    bencher.counter(ItemsCount::new(MANY)).bench_local(|| {
        for prefix in black_box(nlri).iter::<V4>() {
            black_box(prefix);
        }
    });
}

#[divan::bench]
fn nlri_read_v6(bencher: Bencher<'_, '_>) {
    let octets = octets::<V6>(prefix6);
    let nlri = Nlri::new(Family::Ipv6Unicast, false, &octets).expect("well-formed");
    bencher.counter(ItemsCount::new(MANY)).bench_local(|| {
        for prefix in black_box(nlri).iter::<V6>() {
            black_box(prefix);
        }
    });
}

#[divan::bench]
fn frames_cut_per_message(bencher: Bencher<'_, '_>) {
    let read: Vec<u8> = (0..SETS).flat_map(|n| announce(FEW, n)).collect();
    bencher
        .counter(ItemsCount::new(SETS))
        .with_inputs(|| BytesMut::from(read.as_slice()))
        .bench_local_values(|read| {
            let mut framer = Framer::new();
            framer.push(read);
            while let Ok(Some(frame)) = framer.next_frame() {
                black_box(&frame);
            }
        });
}

fn decode_all(messages: &[Bytes], cache: &mut AttrCache) {
    let context = context();
    for message in messages {
        black_box(decode_update(&message[HEADER_LEN..], &context, cache)).expect("well-formed");
    }
}

fn messages(prefixes: usize) -> Vec<Bytes> {
    (0..SETS).map(|n| announce(prefixes, n)).collect()
}

fn hit(bencher: Bencher<'_, '_>, prefixes: usize, count: usize) {
    let messages = messages(prefixes);
    let mut cache = AttrCache::new();
    decode_all(&messages, &mut cache);
    bencher
        .counter(ItemsCount::new(count))
        .bench_local(|| decode_all(&messages, &mut cache));
}

fn miss(bencher: Bencher<'_, '_>, prefixes: usize, count: usize) {
    let messages = messages(prefixes);
    bencher
        .counter(ItemsCount::new(count))
        .with_inputs(AttrCache::new)
        .bench_local_refs(|cache| decode_all(&messages, cache));
}

#[divan::bench]
fn decode_of_1_hit_per_message(bencher: Bencher<'_, '_>) {
    hit(bencher, 1, SETS);
}

#[divan::bench]
fn decode_of_1_miss_per_message(bencher: Bencher<'_, '_>) {
    miss(bencher, 1, SETS);
}

#[divan::bench]
fn decode_of_6_miss(bencher: Bencher<'_, '_>) {
    miss(bencher, FEW, SETS * FEW);
}

#[divan::bench]
fn decode_of_500_hit(bencher: Bencher<'_, '_>) {
    hit(bencher, MANY, SETS * MANY);
}

#[divan::bench]
fn attributes_parse_per_block(bencher: Bencher<'_, '_>) {
    let sets: Vec<AttrSet> = (0..SETS).map(attrs).collect();
    let context = context();
    bencher.counter(ItemsCount::new(SETS)).bench_local(|| {
        for set in &sets {
            black_box(decode_attributes(set.wire_block(), &context));
        }
    });
}

fn encode(bencher: Bencher<'_, '_>, prefixes: usize) {
    let prefixes: Vec<(u32, Prefix4)> = (0..prefixes).map(|n| (0, prefix4(n))).collect();
    let attrs = attrs(0);
    bencher
        .counter(ItemsCount::new(prefixes.len()))
        .with_inputs(|| BytesMut::with_capacity(4096))
        .bench_local_refs(|out| {
            let mut nlri = prefixes.iter().copied().peekable();
            encode_announce::<V4>(&CONTEXT, &attrs, &mut nlri, out)
        });
}

#[divan::bench]
fn encode_of_1(bencher: Bencher<'_, '_>) {
    encode(bencher, 1);
}

#[divan::bench]
fn encode_of_6(bencher: Bencher<'_, '_>) {
    encode(bencher, FEW);
}

#[divan::bench]
fn encode_of_500(bencher: Bencher<'_, '_>) {
    encode(bencher, MANY);
}

#[divan::bench]
fn encode_withdrawals_of_500(bencher: Bencher<'_, '_>) {
    let prefixes: Vec<(u32, Prefix4)> = (0..MANY).map(|n| (0, prefix4(n))).collect();
    bencher
        .counter(ItemsCount::new(MANY))
        .with_inputs(|| BytesMut::with_capacity(4096))
        .bench_local_refs(|out| {
            let mut nlri = prefixes.iter().copied().peekable();
            encode_withdraw::<V4>(&CONTEXT, &mut nlri, out)
        });
}
