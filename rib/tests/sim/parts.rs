//! Prefixes, messages and policies that the sessions of the simulation use.

use std::net::IpAddr;

use bytes::{Bytes, BytesMut};
use ipnet::IpNet;
use proto_codec::afi::AddressFamily;
use proto_codec::bgp::{AttrSet, EncodeContext, encode_announce, encode_withdraw};
use proto_codec::prefix::PrefixKey;
use rib::RouteView;
use rib::policy::{MatchDef, PolicyDef, PrefixMatch, RuleDef, SetDef, Then};

/// Prefixes there are.
pub const NETS: usize = 32;

/// One of them.
pub fn net(number: usize) -> IpNet {
    let text = match number {
        0..16 => format!("10.{number}.0.0/16"),
        16..24 => format!("172.{}.{number}.0/24", number % 5),
        _ => format!("2001:db8:{}00::/40", number - 20),
    };
    text.parse().unwrap()
}

/// A next hop.
pub fn next_hop(v6: bool, number: usize) -> IpAddr {
    let text = match v6 {
        false => format!("192.0.2.{}", number + 1),
        true => format!("2001:db8:ffff::{}", number + 1),
    };
    text.parse().unwrap()
}

/// All rows of a scan.
pub fn rows(mut scan: impl FnMut(usize, &mut dyn FnMut(RouteView)) -> bool) -> Vec<RouteView> {
    let mut rows = Vec::new();
    while !scan(3, &mut |row| rows.push(row)) {}
    rows
}

/// One UPDATE: announced with `attrs`, or withdrawn.
pub fn encode<A: AddressFamily>(nets: &[IpNet], attrs: Option<&AttrSet>) -> Bytes {
    let context = EncodeContext::default();
    let mut nlri = nets
        .iter()
        .map(|net| (0, A::Prefix::from_net(*net).unwrap()))
        .peekable();
    let mut out = BytesMut::new();
    match attrs {
        Some(attrs) => encode_announce::<A>(&context, attrs, &mut nlri, &mut out).unwrap(),
        None => encode_withdraw::<A>(&context, &mut nlri, &mut out),
    };
    out.freeze()
}

/// Refuses some prefixes and prefers some routes.
pub fn picky() -> PolicyDef {
    let rule = |matches, set, then| RuleDef { matches, set, then };
    let inside = PrefixMatch {
        net: "10.1.0.0/16".parse().unwrap(),
        ge: None,
        le: Some(32),
    };
    let by_prefix = MatchDef {
        prefix: vec![inside],
        ..MatchDef::default()
    };
    let marked = MatchDef {
        community: vec!["65000:1".into()],
        ..MatchDef::default()
    };
    let prefer = SetDef {
        local_pref: Some(300),
        ..SetDef::default()
    };
    PolicyDef {
        name: "picky".into(),
        rules: vec![
            rule(by_prefix, SetDef::default(), Then::Reject),
            rule(marked, prefer, Then::Accept),
            rule(MatchDef::default(), SetDef::default(), Then::Accept),
        ],
    }
}
