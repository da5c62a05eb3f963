//! RFC 7606 row by row, and what an UPDATE can be besides.
//!
//! Each test builds a message from attributes in wire form, breaks one thing and compares the
//! reaction with the section its name cites: routes withdrawn, attribute gone, session reset.

use std::net::Ipv6Addr;

use super::*;
use crate::bgp::attr::table;
use crate::error::Reaction;

const ORIGIN: &[u8] = &[0x40, 1, 1, 0];
const PATH: &[u8] = &[0x40, 2, 6, 2, 1, 0, 0, 0xfe, 0xb0];
const HOP: &[u8] = &[0x40, 3, 4, 192, 0, 2, 1];
const PREFIX: &[u8] = &[24, 198, 51, 100];
const PREFIX6: &[u8] = &[32, 0x20, 0x01, 0x0d, 0xb8];

fn body(withdrawn: &[u8], attrs: &[&[u8]], nlri: &[u8]) -> Vec<u8> {
    let attrs = attrs.concat();
    let len = |octets: &[u8]| u16::try_from(octets.len()).unwrap().to_be_bytes();
    [&len(withdrawn)[..], withdrawn, &len(&attrs), &attrs, nlri].concat()
}

fn attr(flags: u8, code: u8, value: &[u8]) -> Vec<u8> {
    let len = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&[flags | 0x10, code], &len[..], value].concat()
}

fn reach6(hop: &[u8], nlri: &[u8]) -> Vec<u8> {
    let hop_len = [u8::try_from(hop.len()).unwrap()];
    attr(
        0x80,
        14,
        &[&[0, 2, 1], &hop_len[..], hop, &[0], nlri].concat(),
    )
}

fn external() -> DecodeContext {
    DecodeContext {
        local_asn: 65000,
        peer_asn: 65200,
        ..DecodeContext::default()
    }
}

fn internal() -> DecodeContext {
    DecodeContext {
        ebgp: false,
        local_asn: 65000,
        peer_asn: 65000,
        ..DecodeContext::default()
    }
}

#[derive(Debug, PartialEq)]
enum Outcome {
    Accept,
    Discard,
    Withdraw,
    Reset(u8, u8),
}

fn outcome(body: &[u8], ctx: &DecodeContext) -> Outcome {
    match decode_update(body, ctx, &mut AttrCache::new()) {
        Err(error) => {
            let n = error.notification().unwrap();
            Outcome::Reset(n.code, n.subcode)
        }
        Ok(update) => match update.worst() {
            None => Outcome::Accept,
            Some(Reaction::Discard) => {
                assert!(!update.announce.is_empty());
                Outcome::Discard
            }
            Some(_) => {
                assert!(update.announce.is_empty());
                assert!(!update.withdraw.is_empty());
                Outcome::Withdraw
            }
        },
    }
}

fn with(extra: &[u8], ctx: &DecodeContext) -> Outcome {
    outcome(&body(&[], &[ORIGIN, PATH, HOP, extra], PREFIX), ctx)
}

#[test]
fn rfc7606_7_malformed_lengths_get_the_reaction_of_their_row() {
    use Outcome::{Discard, Withdraw};
    // code, flags, a length that is wrong, from external peers, from internal peers
    let rows: [(u8, u8, usize, Outcome, Outcome); 15] = [
        (4, 0x80, 3, Withdraw, Withdraw),
        (5, 0x40, 3, Discard, Withdraw),
        (6, 0x40, 1, Discard, Discard),
        (7, 0xc0, 6, Discard, Discard),
        (8, 0xc0, 5, Withdraw, Withdraw),
        (8, 0xc0, 0, Withdraw, Withdraw),
        (9, 0x80, 3, Discard, Withdraw),
        (10, 0x80, 5, Discard, Withdraw),
        (16, 0xc0, 9, Withdraw, Withdraw),
        (17, 0xc0, 3, Discard, Discard),
        (18, 0xc0, 7, Discard, Discard),
        (25, 0xc0, 21, Withdraw, Withdraw),
        (32, 0xc0, 13, Withdraw, Withdraw),
        (35, 0xc0, 1024, Withdraw, Withdraw),
        (40, 0xc0, 37, Discard, Discard),
    ];
    for (code, flags, len, from_external, from_internal) in rows {
        let extra = attr(flags, code, &vec![0; len]);
        assert_eq!(with(&extra, &external()), from_external, "attribute {code}");
        assert_eq!(with(&extra, &internal()), from_internal, "attribute {code}");
    }
}

#[test]
fn rfc7606_3c_wrong_flags_withdraw_and_low_bits_are_ignored() {
    for row in table::ROWS
        .iter()
        .filter(|row| !matches!(row.code, 14 | 15 | 17 | 18 | 26 | 29))
    {
        let value = vec![
            1;
            match row.length {
                table::Length::Exact(len) | table::Length::MultipleOf(len) => len,
                table::Length::Aggregator => 8,
                table::Length::Any => 0,
            }
        ];
        let bad = attr(row.flags ^ 0x80, row.code, &value);
        let attrs: Vec<&[u8]> = [(1, ORIGIN), (2, PATH), (3, HOP)]
            .into_iter()
            .filter_map(|(code, attr)| (code != row.code).then_some(attr))
            .chain([&bad[..]])
            .collect();
        assert_eq!(
            outcome(&body(&[], &attrs, PREFIX), &internal()),
            Outcome::Withdraw,
            "{row:?}"
        );
    }
    let low_bits: &[u8] = &[0x4f & !0x10, 1, 1, 0];
    assert_eq!(
        outcome(&body(&[], &[low_bits, PATH, HOP], PREFIX), &external()),
        Outcome::Accept
    );
}

#[test]
fn rfc7606_3d_a_missing_mandatory_attribute_withdraws() {
    for attrs in [[PATH, HOP], [ORIGIN, HOP], [ORIGIN, PATH]] {
        assert_eq!(
            outcome(&body(&[], &attrs, PREFIX), &external()),
            Outcome::Withdraw
        );
    }
    // Without routes nothing is missing.
    assert_eq!(
        outcome(&body(&[], &[ORIGIN], &[]), &external()),
        Outcome::Accept
    );
    // MP_REACH_NLRI brings its own next hop.
    let reach = reach6(&[0x20; 16], PREFIX6);
    assert_eq!(
        outcome(&body(&[], &[ORIGIN, PATH, &reach], &[]), &external()),
        Outcome::Accept
    );
}

#[test]
fn rfc7606_3g_duplicates_keep_the_first_but_for_mp_attributes() {
    let twice = body(&[], &[ORIGIN, PATH, HOP, &[0x40, 1, 1, 2]], PREFIX);
    let ctx = external();
    let mut cache = AttrCache::new();
    let update = decode_update(&twice, &ctx, &mut cache).unwrap();
    assert_eq!(update.announce[0].attrs.origin(), crate::bgp::Origin::Igp);
    assert_eq!(update.errors[0].kind, ErrorKind::Duplicate);
    let flood = body(&[], &[ORIGIN, PATH, HOP, &ORIGIN.repeat(10_000)], PREFIX);
    let update = decode_update(&flood, &ctx, &mut cache).unwrap();
    assert_eq!((update.announce.len(), update.errors.len()), (1, 1));
    let reach = reach6(&[0x20; 16], PREFIX6);
    let twice = body(&[], &[ORIGIN, PATH, &reach, &reach], &[]);
    assert_eq!(outcome(&twice, &ctx), Outcome::Reset(3, 1));
}

#[test]
fn rfc7606_4_an_overrun_in_the_attributes_keeps_the_prefixes_found_by_total_length() {
    for tail in [
        &[0xc0][..],
        &[0xc0, 99],
        &[0xc0, 99, 200, 1, 2],
        &[0xd0, 99, 1],
    ] {
        assert_eq!(with(tail, &external()), Outcome::Withdraw, "{tail:?}");
    }
}

#[test]
fn rfc7606_5_2_errors_without_reachable_routes_reset() {
    let bad = attr(0x80, 4, &[0; 3]);
    assert_eq!(
        outcome(&body(&[], &[&bad], &[]), &external()),
        Outcome::Reset(3, 1)
    );
    assert_eq!(
        outcome(&body(PREFIX, &[&bad], &[]), &external()),
        Outcome::Reset(3, 1)
    );
    // Discard is weaker and does not.
    let odd = body(PREFIX, &[&attr(0x40, 6, &[1])], &[]);
    assert!(decode_update(&odd, &external(), &mut AttrCache::new()).is_ok());
}

#[test]
fn rfc7606_5_3_prefixes_that_cannot_be_read_reset_with_3_10() {
    for bad in [&[33, 1, 2, 3, 4, 5][..], &[24, 1, 2], &[255]] {
        let ctx = external();
        assert_eq!(outcome(&body(bad, &[], &[]), &ctx), Outcome::Reset(3, 10));
        assert_eq!(
            outcome(&body(&[], &[ORIGIN, PATH, HOP], bad), &ctx),
            Outcome::Reset(3, 10)
        );
    }
    let reach = reach6(&[0x20; 16], &[129, 1]);
    assert_eq!(
        outcome(&body(&[], &[ORIGIN, PATH, &reach], &[]), &external()),
        Outcome::Reset(3, 10)
    );
}

#[test]
fn rfc7606_7_11_a_next_hop_length_that_does_not_fit_resets() {
    for len in [0, 4, 12, 15, 17, 24, 48] {
        let reach = reach6(&vec![0x20; len], PREFIX6);
        let update = body(&[], &[ORIGIN, PATH, &reach], &[]);
        assert_eq!(outcome(&update, &external()), Outcome::Reset(3, 9), "{len}");
    }
}

#[test]
fn errors_point_at_the_octet_of_the_message() {
    let update = body(&[], &[ORIGIN, PATH, HOP, &[0x80, 4, 3, 0, 0, 0]], PREFIX);
    let ctx = external();
    let mut cache = AttrCache::new();
    let decoded = decode_update(&update, &ctx, &mut cache).unwrap();
    // Header 19, two lengths 4, attributes 4 + 9 + 7, then flags, type and length of the MED.
    assert_eq!(decoded.errors[0].offset, 19 + 4 + 20 + 3);
    let short = body(&[], &[ORIGIN, PATH, HOP], &[24, 1, 2, 3, 33]);
    let error = decode_update(&short, &ctx, &mut cache).unwrap_err();
    assert_eq!(error.offset, 19 + 4 + 20 + 4);
}

#[test]
fn rfc4724_2_end_of_rib_of_each_family() {
    let eor = |body: &[u8], ctx: &DecodeContext| {
        decode_update(body, ctx, &mut AttrCache::new())
            .unwrap()
            .end_of_rib
    };
    let v4 = body(&[], &[], &[]);
    let v6 = body(&[], &[&[0x80, 15, 3, 0, 2, 1]], &[]);
    assert_eq!(eor(&v4, &external()), Some(Family::Ipv4Unicast));
    assert_eq!(eor(&v6, &external()), Some(Family::Ipv6Unicast));
    let only_v4 = DecodeContext {
        families: [true, false],
        ..external()
    };
    assert_eq!(eor(&v6, &only_v4), None);
    // An attribute beside it makes it an empty update, not an End-of-RIB.
    assert_eq!(
        eor(
            &body(&[], &[&[0x80, 15, 3, 0, 2, 1], ORIGIN], &[]),
            &external()
        ),
        None
    );
    assert_eq!(eor(&body(&[], &[ORIGIN], &[]), &external()), None);
    assert_eq!(
        eor(&body(&[], &[&[0x80, 15, 3, 0, 2, 1]], PREFIX), &external()),
        None
    );
}

#[test]
fn one_message_may_carry_both_families_and_each_has_its_next_hop() {
    let reach = reach6(&[0x20; 16], PREFIX6);
    let message = body(&[8, 10], &[&reach, ORIGIN, PATH, HOP], PREFIX);
    let ctx = external();
    let mut cache = AttrCache::new();
    for _ in 0..2 {
        let update = decode_update(&message, &ctx, &mut cache).unwrap();
        assert_eq!(update.withdraw[0].nets()[0].1.to_string(), "10.0.0.0/8");
        let hops: Vec<String> = update
            .announce
            .iter()
            .map(|one| one.attrs.next_hop().to_string())
            .collect();
        assert_eq!(
            hops,
            ["192.0.2.1", "2020:2020:2020:2020:2020:2020:2020:2020"]
        );
    }
    assert_eq!(cache.stats(), (2, 2));
}

#[test]
fn rfc2545_3_link_local_next_hops_in_every_form_seen() {
    let link_local = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let hop = |octets: &[u8]| {
        let message = body(&[], &[ORIGIN, PATH, &reach6(octets, PREFIX6)], &[]);
        let update = decode_update(&message, &external(), &mut AttrCache::new()).unwrap();
        update.announce.first().map(|one| one.attrs.next_hop())
    };
    let alone = hop(&link_local).unwrap();
    assert_eq!(alone.link_local(), Some(Ipv6Addr::from(link_local)));
    assert_eq!(hop(&[link_local, link_local].concat()), Some(alone));
    assert_eq!(hop(&[[0; 16], link_local].concat()), Some(alone));
    let both = hop(&[[0x20; 16], link_local].concat()).unwrap();
    assert_eq!(both.addr(), Ipv6Addr::from([0x20; 16]));
    assert_eq!(both.link_local(), Some(Ipv6Addr::from(link_local)));
    assert_eq!(hop(&[0xff; 16]), None);
    assert_eq!(hop(&[0; 16]), None);
}

#[test]
fn rfc8950_4_ipv4_routes_with_ipv6_next_hops_need_the_capability() {
    let value = [&[0, 1, 1, 16][..], &[0x20; 16], &[0], PREFIX].concat();
    let message = body(&[], &[ORIGIN, PATH, &attr(0x80, 14, &value)], &[]);
    assert_eq!(outcome(&message, &external()), Outcome::Withdraw);
    let ctx = DecodeContext {
        ext_next_hop: true,
        ..external()
    };
    assert_eq!(outcome(&message, &ctx), Outcome::Accept);
}

#[test]
fn rfc7911_3_path_identifiers_are_read_when_negotiated() {
    let ctx = DecodeContext {
        add_path_rx: [true, false],
        ..external()
    };
    let nlri = [&[0, 0, 0, 7][..], PREFIX].concat();
    let message = body(&[], &[ORIGIN, PATH, HOP], &nlri);
    let mut cache = AttrCache::new();
    let update = decode_update(&message, &ctx, &mut cache).unwrap();
    assert_eq!(update.announce[0].nlri.nets()[0].0, 7);
}

#[test]
fn unknown_attributes_by_their_flags() {
    let ctx = external();
    let mut cache = AttrCache::new();
    let decode = |extra: &[u8]| body(&[], &[ORIGIN, PATH, HOP, extra], PREFIX).to_vec();
    let transitive = decode(&[0xc0, 99, 2, 1, 2]);
    let update = decode_update(&transitive, &ctx, &mut cache).unwrap();
    let others: Vec<_> = update.announce[0].attrs.others().collect();
    assert_eq!(
        (others[0].flags, others[0].type_code, others[0].value),
        (0xe0, 99, &[1, 2][..])
    );
    let local = decode(&[0x80, 99, 2, 1, 2]);
    let update = decode_update(&local, &ctx, &mut cache).unwrap();
    assert_eq!(
        (
            update.announce[0].attrs.others().count(),
            update.errors.len()
        ),
        (0, 0)
    );
    assert_eq!(with(&[0x40, 99, 0], &ctx), Outcome::Withdraw);
}

#[test]
fn rfc9774_and_first_as_follow_the_context() {
    let set: &[u8] = &[0x40, 2, 12, 2, 1, 0, 0, 0xfe, 0xb0, 1, 1, 0, 0, 0, 9];
    let message = body(&[], &[ORIGIN, set, HOP], PREFIX);
    assert_eq!(outcome(&message, &external()), Outcome::Withdraw);
    let lenient = DecodeContext {
        reject_as_sets: false,
        ..external()
    };
    assert_eq!(outcome(&message, &lenient), Outcome::Accept);
    let other = DecodeContext {
        peer_asn: 65201,
        ..external()
    };
    assert_eq!(
        outcome(&body(&[], &[ORIGIN, PATH, HOP], PREFIX), &other),
        Outcome::Withdraw
    );
    let lenient = DecodeContext {
        enforce_first_as: false,
        ..other
    };
    assert_eq!(
        outcome(&body(&[], &[ORIGIN, PATH, HOP], PREFIX), &lenient),
        Outcome::Accept
    );
}

#[test]
fn a_family_that_was_not_negotiated_is_skipped_with_a_report() {
    let flow = attr(0x80, 14, &[0, 1, 133, 0, 0, 3, 1, 8, 10]);
    let message = body(&[], &[ORIGIN, PATH, HOP, &flow], PREFIX);
    assert_eq!(outcome(&message, &external()), Outcome::Discard);
    let only_v6 = DecodeContext {
        families: [false, true],
        ..external()
    };
    let update = decode_update(&message, &only_v6, &mut AttrCache::new()).unwrap();
    assert!(update.announce.is_empty() && update.withdraw.is_empty());
    assert_eq!(update.errors.len(), 2);
}

#[test]
fn a_flow_specification_that_cannot_be_cut_out_resets_though_not_negotiated() {
    for nlri in [
        &[0][..],
        &[4, 1, 8, 10],
        &[0xf0, 0],
        &[3, 1, 8, 10, 0],
        &[0xf1, 0, 1],
    ] {
        let reach = attr(0x80, 14, &[&[0, 1, 133, 0, 0], nlri].concat());
        let unreach = attr(0x80, 15, &[&[0, 2, 134], nlri].concat());
        for mp in [&reach, &unreach] {
            let message = body(&[], &[ORIGIN, PATH, HOP, mp], PREFIX);
            assert_eq!(
                outcome(&message, &external()),
                Outcome::Reset(3, 10),
                "{nlri:02x?}"
            );
        }
    }
    let long = [&[0xf0, 240][..], &[1; 240], &[1, 1]].concat();
    let reach = attr(0x80, 14, &[&[0, 1, 133, 0, 0], &long[..]].concat());
    let message = body(&[], &[ORIGIN, PATH, HOP, &reach], PREFIX);
    assert_eq!(outcome(&message, &external()), Outcome::Discard);
}
