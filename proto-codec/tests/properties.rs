//! Properties of every wire type: truncation, bit flips, mutations, round trips.
//!
//! The generators make valid messages of every kind; each is then cut at every octet, flipped in
//! every bit and damaged at random, and the checks the fuzz targets use must hold for whatever
//! comes out. A valid message must decode to what it was made from.

use std::net::{Ipv4Addr, Ipv6Addr};

use bytes::BytesMut;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proto_codec::bgp::capability::{
    AddPathMode, GracefulRestart, GracefulRestartFamily, LlgrFamily, Role,
};
use proto_codec::bgp::{
    AttrCache, AttrEdit, AttrSet, Capability, EncodeContext, ExtCommunity, KEEPALIVE,
    LargeCommunity, NextHop, Notification, Open, Origin, RefreshSubtype, RouteRefresh,
    decode_update, encode_announce, encode_withdraw,
};
use proto_codec::{AfiSafi, Prefix4, Prefix6, V4, V6};

#[path = "../fuzz/src/check.rs"]
mod check;

/// Few cases each, so that the suite stays quick; `PROPTEST_CASES` asks for more, and the fuzz
/// targets do the long runs.
fn config() -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok());
    ProptestConfig {
        cases: asked.unwrap_or(16),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

prop_compose! {
    fn numbers()(
        origin in 0u8..3,
        med in option::of(any::<u32>()),
        local_pref in option::of(any::<u32>()),
        aggregator in option::of((1u32.., any::<u32>())),
        otc in option::of(any::<u32>()),
        aigp in option::of(any::<u64>()),
        originator in option::of(any::<u32>()),
        atomic in any::<bool>(),
    ) -> AttrEdit {
        let hop = NextHop::V4(Ipv4Addr::new(192, 0, 2, 1));
        let mut edit = AttrEdit::new(Origin::from_value(origin).unwrap(), hop);
        edit.set_med(med).set_local_pref(local_pref).set_otc(otc).set_aigp(aigp);
        edit.set_atomic_aggregate(atomic);
        if let Some((asn, id)) = aggregator {
            edit.set_aggregator(asn, id.into());
        }
        if let Some(id) = originator {
            edit.set_originator_id(id.into());
        }
        edit
    }
}

prop_compose! {
    fn attrs()(
        edit in numbers(),
        path in vec(1u32.., 0..300),
        clusters in vec(any::<u32>(), 0..4),
        communities in vec(any::<u32>(), 0..80),
        ext in vec(any::<[u8; 8]>(), 0..5),
        large in vec(any::<[u8; 12]>(), 0..5),
    ) -> AttrSet {
        let mut edit = edit;
        edit.set_as_path(&path);
        for id in clusters {
            edit.prepend_cluster_list(id.into());
        }
        for community in communities {
            edit.add_community(community);
        }
        for community in ext {
            edit.add_ext_community(ExtCommunity(community));
        }
        for community in large {
            edit.add_large_community(LargeCommunity::from_wire(community));
        }
        edit.finish()
    }
}

fn prefixes4() -> impl Strategy<Value = Vec<(u32, Prefix4)>> {
    let prefix = (any::<u32>(), any::<u32>(), 0u8..=32);
    vec(
        prefix.prop_map(|(id, addr, len)| (id, Prefix4::new(addr.into(), len))),
        1..40,
    )
}

fn prefixes6() -> impl Strategy<Value = Vec<(u32, Prefix6)>> {
    let prefix = (any::<u32>(), any::<u128>(), 0u8..=128);
    vec(
        prefix.prop_map(|(id, addr, len)| (id, Prefix6::new(addr.into(), len))),
        1..20,
    )
}

fn family() -> impl Strategy<Value = AfiSafi> {
    prop_oneof![
        Just(AfiSafi::IPV4_UNICAST),
        Just(AfiSafi::IPV6_UNICAST),
        (any::<u16>(), any::<u8>()).prop_map(|(afi, safi)| AfiSafi { afi, safi }),
    ]
}

fn capability() -> impl Strategy<Value = Capability> {
    let restart = (
        any::<bool>(),
        any::<bool>(),
        0u16..4096,
        vec((family(), any::<bool>()), 0..4),
    );
    prop_oneof![
        family().prop_map(Capability::Multiprotocol),
        Just(Capability::RouteRefresh),
        Just(Capability::ExtendedMessage),
        Just(Capability::EnhancedRouteRefresh),
        vec((family(), any::<u16>()), 0..4).prop_map(Capability::ExtendedNextHop),
        any::<u8>().prop_map(|value| Capability::Role(Role::from_value(value))),
        vec((family(), 1u8..4), 0..4).prop_map(|tuples| {
            let mode = |value| AddPathMode::from_value(value).unwrap();
            Capability::AddPath(
                tuples
                    .into_iter()
                    .map(|(of, value)| (of, mode(value)))
                    .collect(),
            )
        }),
        restart.prop_map(|(restarting, notification, restart_time_s, families)| {
            let family = |(afi_safi, forwarding)| GracefulRestartFamily {
                afi_safi,
                forwarding,
            };
            Capability::GracefulRestart(GracefulRestart {
                restarting,
                notification,
                restart_time_s,
                families: families.into_iter().map(family).collect(),
            })
        }),
        vec((family(), any::<bool>(), 0u32..1 << 24), 0..4).prop_map(|families| {
            let family = |(afi_safi, forwarding, stale_time_s)| LlgrFamily {
                afi_safi,
                forwarding,
                stale_time_s,
            };
            Capability::LongLivedGracefulRestart(families.into_iter().map(family).collect())
        }),
        (vec(any::<u8>(), 0..64), vec(any::<u8>(), 0..64))
            .prop_map(|(host, domain)| Capability::Fqdn { host, domain }),
        vec(any::<u8>(), 0..64).prop_map(Capability::SoftwareVersion),
        (128u8.., vec(any::<u8>(), 0..255))
            .prop_map(|(code, value)| Capability::Unknown { code, value }),
    ]
}

prop_compose! {
    fn open()(
        asn in 1u32..,
        hold_time_s in prop_oneof![Just(0u16), 3u16..],
        router_id in 1u32..,
        capabilities in vec(capability(), 0..8),
    ) -> Open {
        let mut capabilities = capabilities;
        capabilities.push(Capability::FourOctetAs(asn));
        Open { asn, hold_time_s, router_id: router_id.into(), capabilities }
    }
}

/// Every cut and every flipped bit of a body (of its first octets, when it is long).
fn damage(body: &[u8], check: impl Fn(&[u8])) {
    check(body);
    let len = body.len().min(96);
    for cut in 0..len {
        check(&body[..cut]);
    }
    let mut flipped = body.to_vec();
    for bit in 0..len * 8 {
        flipped[bit / 8] ^= 1 << (bit % 8);
        check(&flipped);
        flipped[bit / 8] ^= 1 << (bit % 8);
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn updates_of_ipv4_round_trip_and_survive_damage(
        set in attrs(), nlri in prefixes4(), pick in 1u8..4,
    ) {
        let ctx = check::context(pick);
        let encode = EncodeContext {
            four_octet_as: ctx.four_octet_as,
            add_path_tx: ctx.add_path_rx,
            ..EncodeContext::default()
        };
        let mut out = BytesMut::new();
        let mut left = nlri.iter().copied().peekable();
        let sent = encode_announce::<V4>(&encode, &set, &mut left, &mut out).unwrap();
        let mut cache = AttrCache::new();
        let update = decode_update(&out[19..], &ctx, &mut cache).unwrap();
        prop_assert!(update.errors.is_empty());
        prop_assert_eq!(&*update.announce[0].attrs, &set);
        let id = |id: u32| if encode.add_path_tx[0] { id } else { 0 };
        let expected = nlri.iter().take(sent).map(|(path, prefix)| (id(*path), *prefix));
        prop_assert!(update.announce[0].nlri.iter::<V4>().eq(expected));
        damage(&out[19..], |body| check::update(body, &ctx));
    }

    #[test]
    fn updates_of_ipv6_round_trip_and_survive_damage(
        set in attrs(), nlri in prefixes6(), hop in (0x2000_u128 << 112).., link in any::<bool>(),
    ) {
        prop_assume!(!Ipv6Addr::from(hop).is_multicast());
        let link_local = link.then_some(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1));
        let hop = NextHop::V6 { global: hop.into(), link_local };
        let set = set.edit().set_next_hop(hop).finish();
        let ctx = check::context(1);
        let mut out = BytesMut::new();
        let mut left = nlri.iter().copied().peekable();
        encode_announce::<V6>(&EncodeContext::default(), &set, &mut left, &mut out).unwrap();
        let mut cache = AttrCache::new();
        let attrs = decode_update(&out[19..], &ctx, &mut cache).unwrap().announce[0].attrs.clone();
        prop_assert_eq!(&*attrs, &set);
        damage(&out[19..], |body| check::update(body, &ctx));
        out.clear();
        let mut left = nlri.iter().copied().peekable();
        encode_withdraw::<V6>(&EncodeContext::default(), &mut left, &mut out);
        damage(&out[19..], |body| check::update(body, &ctx));
    }

    #[test]
    fn any_octets_as_attributes_of_an_update(
        block in vec(any::<u8>(), 0..80), nlri in vec(any::<u8>(), 0..12), pick in any::<u8>(),
    ) {
        let len = u16::try_from(block.len()).unwrap().to_be_bytes();
        let body = [&[0, 0][..], &len, &block, &nlri].concat();
        check::update(&body, &check::context(pick));
        check::attributes(&block, &check::context(pick));
    }

    #[test]
    fn opens_round_trip_and_survive_damage(open in open()) {
        let message = open.to_bytes();
        prop_assert_eq!(Open::decode(&message[19..]), Ok(open));
        damage(&message[19..], check::open);
    }

    #[test]
    fn capabilities_survive_damage(capability in capability()) {
        let mut out = BytesMut::new();
        proto_codec::bgp::capability::encode_capability(&capability, &mut out);
        damage(&out, check::capabilities);
    }

    #[test]
    fn notifications_survive_damage(code: u8, subcode: u8, data in vec(any::<u8>(), 0..300)) {
        let notification = Notification::with_data(code, subcode, &data);
        let message = notification.to_bytes();
        prop_assert_eq!(Notification::decode(&message[19..]), Ok(notification));
        damage(&message[19..], check::notification);
    }

    #[test]
    fn refreshes_survive_damage(afi_safi in family(), subtype: u8) {
        let subtype = RefreshSubtype::from_value(subtype);
        let message = RouteRefresh { afi_safi, subtype }.to_bytes();
        damage(&message[19..], check::refresh);
    }

    #[test]
    fn streams_survive_damage(open in open(), refresh in family()) {
        let refresh = RouteRefresh::request(refresh).to_bytes();
        let stream = [&KEEPALIVE[..], &refresh, &open.to_bytes(), &KEEPALIVE].concat();
        check::stream(&stream);
        damage(&stream[..60.min(stream.len())], check::stream);
    }
}
