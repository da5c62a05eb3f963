//! The values a key can hold, as text and as types.
//!
//! Each type reads itself and says, when it cannot, what to write instead. Addresses with host
//! bits in a prefix are refused with the prefix that was probably meant: silently masking them
//! hides a mistyped length; those of any file (durations, addresses, prefixes) read
//! themselves in `ctl::config`.

use std::net::IpAddr;

use ctl::config::{Field, Value, did_you_mean, parse_net};
use toml::de::DeValue;

use super::model::{
    AddPath, AddressRange, AdvertiseKind, AsnRule, GracefulRestart, PoolAdvertise, Role,
};

/// Well-known communities by name: RFC 1997, RFC 7999, RFC 8326, RFC 9494.
const WELL_KNOWN: [(&str, u32); 9] = [
    ("accept-own", 0xffff_0001),
    ("llgr-stale", 0xffff_0006),
    ("no-export", 0xffff_ff01),
    ("no-advertise", 0xffff_ff02),
    ("no-export-subconfed", 0xffff_ff03),
    ("no-peer", 0xffff_ff04),
    ("blackhole", 0xffff_029a),
    ("graceful-shutdown", 0xffff_0000),
    ("no-llgr", 0xffff_0007),
];

impl Value for AddressRange {
    fn read(field: &Field<'_>) -> Option<Self> {
        let cure = "write a prefix (\"10.0.50.0/24\") or a range (\"10.0.50.25-10.0.50.50\")";
        let text = field.text("a prefix or a range", cure)?;
        let Some((first, last)) = text.split_once('-') else {
            return match parse_net(text.trim()) {
                Ok(net) => Some(Self {
                    first: net.network(),
                    last: net.broadcast(),
                }),
                Err((message, cure)) => field.fault(message, &cure),
            };
        };
        match (
            first.trim().parse::<IpAddr>(),
            last.trim().parse::<IpAddr>(),
        ) {
            (Ok(first), Ok(last)) if first.is_ipv4() != last.is_ipv4() => field.fault(
                format!("\"{text}\" mixes IPv4 and IPv6"),
                "write two ranges",
            ),
            (Ok(first), Ok(last)) if first > last => field.fault(
                format!("\"{text}\" ends before it begins"),
                &format!("write \"{last}-{first}\""),
            ),
            (Ok(first), Ok(last)) => Some(Self { first, last }),
            _ => field.fault(format!("\"{text}\" is no range of addresses"), cure),
        }
    }
}

/// A community (RFC 1997).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Community(pub u32);

impl Value for Community {
    fn read(field: &Field<'_>) -> Option<Self> {
        let cure = "write AS:VALUE with both from 0 to 65535, such as \"64512:100\", or a name \
                    such as \"no-export\"";
        let text = field.text("a community", cure)?;
        match parse_community(text) {
            Some(value) => Some(Self(value)),
            None if text.matches(':').count() == 2 => field.fault(
                format!("\"{text}\" is a large community"),
                "write it under the `large-community` key",
            ),
            None => {
                let cure = did_you_mean(text, community_names(), || cure.to_owned());
                field.fault(format!("\"{text}\" is no community"), &cure)
            }
        }
    }
}

/// The names of well-known communities.
pub(super) fn community_names() -> impl Iterator<Item = &'static str> {
    WELL_KNOWN.iter().map(|(name, _)| *name)
}

/// `64512:100`, a number or a well-known name.
pub(super) fn parse_community(text: &str) -> Option<u32> {
    if let Some((_, value)) = WELL_KNOWN.iter().find(|(name, _)| *name == text) {
        return Some(*value);
    }
    let Some((high, low)) = text.split_once(':') else {
        return decimal(text).filter(|_| !text.is_empty());
    };
    let (high, low): (u16, u16) = (decimal(high)?, decimal(low)?);
    Some(u32::from(high) << 16 | u32::from(low))
}

/// A large community (RFC 8092).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LargeCommunity(pub [u32; 3]);

impl Value for LargeCommunity {
    fn read(field: &Field<'_>) -> Option<Self> {
        let cure = "write three numbers from 0 to 4294967295, such as \"64512:1:2\"";
        let text = field.text("a large community", cure)?;
        let parts: Vec<Option<u32>> = text.split(':').map(decimal).collect();
        match parts[..] {
            [Some(a), Some(b), Some(c)] => Some(Self([a, b, c])),
            _ => field.fault(format!("\"{text}\" is no large community"), cure),
        }
    }
}

/// Decimal digits only: `u32::from_str` would take a sign.
pub(super) fn decimal<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

/// An AS number: 0 (RFC 7607) and AS_TRANS (RFC 6793 §2) are nobody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asn(pub u32);

impl Value for Asn {
    fn read(field: &Field<'_>) -> Option<Self> {
        match u32::read(field)? {
            0 => field.fault("AS 0 is reserved (RFC 7607)", "write your AS number"),
            23456 => field.fault(
                "AS 23456 is AS_TRANS (RFC 6793)",
                "write the real AS number",
            ),
            asn => Some(Self(asn)),
        }
    }
}

impl Value for AsnRule {
    fn read(field: &Field<'_>) -> Option<Self> {
        match field.value.get_ref() {
            DeValue::String(text) if text.parse::<u32>().is_ok() => {
                field.wrong_kind("a number without quotes", &format!("write {text}"))
            }
            DeValue::String(_) => {
                field.word(&[("internal", Self::Internal), ("external", Self::External)])
            }
            _ => Asn::read(field).map(|asn| Self::Exact(asn.0)),
        }
    }
}

macro_rules! words {
    ($($kind:ty: $($word:literal => $value:expr),* ;)*) => {$(
        impl Value for $kind {
            fn read(field: &Field<'_>) -> Option<Self> {
                field.word(&[$(($word, $value)),*])
            }
        }
    )*};
}

/// An address family, as its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FamilyIndex(pub usize);

words! {
    FamilyIndex: "ipv4-unicast" => Self(0), "ipv6-unicast" => Self(1);
    AddPath:
        "off" => Self { send: false, receive: false },
        "send" => Self { send: true, receive: false },
        "receive" => Self { send: false, receive: true },
        "both" => Self { send: true, receive: true };
    GracefulRestart: "off" => Self::Off, "helper" => Self::Helper, "full" => Self::Full;
    Role: "provider" => Self::Provider, "rs" => Self::RouteServer,
        "rs-client" => Self::RouteServerClient, "customer" => Self::Customer, "peer" => Self::Peer;
    AdvertiseKind: "pod-cidr" => Self::PodCidr, "cluster-ip" => Self::ClusterIp,
        "external-ip" => Self::ExternalIp, "network" => Self::Network;
    PoolAdvertise: "in-use" => Self::InUse, "always" => Self::Always;
}

/// Whose metric names are served too.
#[derive(Clone, Copy, Debug)]
pub(super) struct MetricsCompat(pub &'static str);

impl Value for MetricsCompat {
    fn read(field: &Field<'_>) -> Option<Self> {
        field.word(&["metallb", "frr", "kube-router"].map(|w| (w, Self(w))))
    }
}
