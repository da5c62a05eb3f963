//! Octets that made other BGP speakers crash, leak or reset, and what must happen instead.
//!
//! Each row is one published bug: what it was, the octets, the right reaction. The rest of the
//! message is well-formed, so nothing but the octets in question decides. Rows that are about what
//! is passed on check the octets a peer would get.

use proto_codec::Reaction;
use proto_codec::bgp::attr::table;
use proto_codec::bgp::{
    AttrCache, Capability, DecodeContext, Notification, Open, RouteRefresh, decode_update,
};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Expect {
    /// Accepted and passed on as these octets.
    PassedOn(&'static str),
    Dropped,
    Discarded,
    Withdrawn,
    Reset(u8, u8),
}

use Expect::{Discarded, Dropped, PassedOn, Reset, Withdrawn};

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(octet).collect()
}

fn context(ebgp: bool) -> DecodeContext {
    DecodeContext {
        ebgp,
        aigp: !ebgp,
        ..DecodeContext::default()
    }
}

fn outcome(body: &[u8], attr: u8, ctx: &DecodeContext) -> Expect {
    let mut cache = AttrCache::new();
    let update = match decode_update(body, ctx, &mut cache) {
        Ok(update) => update,
        Err(error) => {
            let n = error.notification().unwrap();
            return Reset(n.code, n.subcode);
        }
    };
    for announce in &update.announce {
        assert!(table::block_is_well_formed(announce.attrs.wire_block()));
    }
    let kept = update
        .announce
        .iter()
        .any(|one| one.attrs.value(attr).is_some());
    match update.worst() {
        Some(Reaction::TreatAsWithdraw) => Withdrawn,
        Some(_) => Discarded,
        None if kept => PassedOn(""),
        None => Dropped,
    }
}

/// ORIGIN, AS_PATH, NEXT_HOP, then `extra`, then 198.18.7.0/24.
fn with(extra: &[u8]) -> Vec<u8> {
    let base = unhex("40010100 4002060201 0000feb0 4003040a010109");
    let len = u16::try_from(base.len() + extra.len())
        .unwrap()
        .to_be_bytes();
    [&[0, 0], &len[..], &base, extra, &[24, 198, 18, 7]].concat()
}

#[test]
fn attributes_that_broke_others() {
    let zeros = |head: &str, count: usize| [unhex(head), vec![0; count]].concat();
    let rows = [
        (
            "encapsulation cut in its tunnel TLV",
            unhex("c01703 000700"),
            Withdrawn,
        ),
        (
            "encapsulation cut in a sub-TLV",
            unhex("c01705 0007000401"),
            Withdrawn,
        ),
        (
            "encapsulation sub-TLV too long",
            unhex("c01706 0007000401ff"),
            Withdrawn,
        ),
        (
            "MED too short, more behind it",
            unhex("800403000000 c00804ffff0001"),
            Withdrawn,
        ),
        ("Prefix-SID of 37 zeros", zeros("c02825", 37), Discarded),
        ("OTC of 1024 octets", zeros("d0230400", 1024), Withdrawn),
        ("entropy label, empty", unhex("c01c00"), PassedOn("e01c00")),
        (
            "entropy label, partial",
            unhex("e01c03000000"),
            PassedOn("e01c03000000"),
        ),
        ("attribute 255", unhex("c0ff020001"), PassedOn("e0ff020001")),
        (
            "length beyond the message",
            unhex("d06310000102"),
            Withdrawn,
        ),
        ("AIGP of one octet", unhex("801a0101"), Discarded),
        (
            "SRv6 service TLV too short",
            unhex("c02804 05000100"),
            Discarded,
        ),
        ("ORIGIN twice", unhex("40010102"), Discarded),
        ("unknown, non-transitive", unhex("806204deadbeef"), Dropped),
        (
            "8-octet community that looks like one of 20",
            unhex("c01008000b20010db80000"),
            PassedOn("c01008000b20010db80000"),
        ),
        ("communities, empty", unhex("c00800"), Withdrawn),
    ];
    for (name, extra, expected) in rows {
        for ebgp in [true, false] {
            let ctx = context(ebgp);
            let body = with(&extra);
            let found = outcome(&body, extra[1], &ctx);
            let PassedOn(octets) = expected else {
                assert_eq!(found, expected, "{name}");
                continue;
            };
            let mut cache = AttrCache::new();
            let update = decode_update(&body, &ctx, &mut cache).unwrap();
            let block = update.announce[0].attrs.wire_block();
            assert!(block.ends_with(&unhex(octets)), "{name}: {block:02x?}");
        }
    }
}

#[test]
fn messages_that_broke_others() {
    let rows = [
        (
            "MP_REACH next hop longer than the attribute",
            "0000 000f 800e0c 000201 10 20010db800000000",
            Reset(3, 9),
        ),
        (
            "MP_REACH next hop of length 0",
            "0000 001c 40010100 40020602010000feb0 800e0c 00020100003020010db82001",
            Reset(3, 9),
        ),
        (
            "MP_UNREACH and IPv4 routes without attributes",
            "0000 0006 800f03000201 18c61200",
            Withdrawn,
        ),
        (
            "withdrawn length ends inside a prefix",
            "0001 18 0000 c61200",
            Reset(3, 10),
        ),
        (
            "NEXT_HOP of two octets",
            "0000 0012 40010100 40020602010000feb0 4003020a01 18c61207",
            Withdrawn,
        ),
        (
            "ORIGIN without its transitive flag",
            "0000 0014 00010100 40020602010000feb0 4003040a010109 18c61207",
            Withdrawn,
        ),
    ];
    for (name, hex, expected) in rows {
        let found = outcome(&unhex(hex), 0, &context(true));
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn opens_that_broke_others() {
    let head = "04 feb0 00b4 0a010109";
    for parameters in [
        "ff",
        "ffff",
        "ffff00",
        "ffff00020200",
        "0902074103000000410104",
        "0502030201ff",
        "0702054703000101",
        "060204 4b02ff41",
        "050203 400100",
        "040202 4100",
        "090207 030500010001ff",
    ] {
        let body = unhex(&format!("{head}{parameters}"));
        let error = Open::decode(&body).expect_err(parameters);
        assert_eq!(
            error.notification().map(|n| (n.code, n.subcode)),
            Some((2, 0)),
            "{error}"
        );
    }
    let body = unhex(&format!("{head} 050203 4b0100"));
    let open = Open::decode(&body).unwrap();
    assert_eq!(open.capabilities, [Capability::SoftwareVersion(vec![])]);
    // A role nobody defined is no error by itself.
    assert!(Open::decode(&unhex(&format!("{head} 050203 090109"))).is_ok());
}

#[test]
fn notifications_and_refreshes_that_broke_others() {
    let n = Notification::decode(&unhex("0602ff68656c6c6f")).unwrap();
    assert_eq!(n.shutdown_message().as_deref(), Some("hello"));
    let n = Notification::decode(&unhex("0609")).unwrap();
    assert_eq!((n.is_hard_reset(), n.inner()), (true, None));
    // A route refresh with an ORF longer than the message: the ORF is not ours to read.
    assert!(RouteRefresh::decode(&unhex("0001 00 01 01 40 ffff")).is_ok());
}
