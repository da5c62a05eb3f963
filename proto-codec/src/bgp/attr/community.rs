//! Communities of the four kinds as text and as numbers.
//!
//! RFC 1997 communities read `65001:100` or by their well-known names (RFC 1997, 3765, 7611, 7999,
//! 8326, 9494); extended ones (RFC 4360, 5668) as FRR prints them, `RT:65001:1`, `SoO:10.0.0.1:5`,
//! `LB:65001:1250000`; large ones (RFC 8092 §4) `65001:1:2`. What has no name is shown in hex, so
//! that printing never fails and never hides an octet. Parsing accepts what printing gives for RFC
//! 1997 and RFC 8092 and for route targets and sites of origin.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

const WELL_KNOWN: [(u32, &str); 12] = [
    (0xffff_0000, "graceful-shutdown"),
    (0xffff_0001, "accept-own"),
    (0xffff_0002, "route-filter-translated-v4"),
    (0xffff_0003, "route-filter-v4"),
    (0xffff_0004, "route-filter-translated-v6"),
    (0xffff_0005, "route-filter-v6"),
    (0xffff_0006, "llgr-stale"),
    (0xffff_0007, "no-llgr"),
    (0xffff_029a, "blackhole"),
    (0xffff_ff01, "no-export"),
    (0xffff_ff02, "no-advertise"),
    (0xffff_ff03, "local-AS"),
];
// RFC 3765; kept apart because the table above is in the order FRR prints its help in.
const NO_PEER: (u32, &str) = (0xffff_ff04, "no-peer");

/// A community of RFC 1997.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Community(pub u32);

impl Community {
    /// RFC 8326.
    pub const GRACEFUL_SHUTDOWN: Self = Self(0xffff_0000);
    /// RFC 9494.
    pub const LLGR_STALE: Self = Self(0xffff_0006);
    /// RFC 9494.
    pub const NO_LLGR: Self = Self(0xffff_0007);
    /// RFC 7999.
    pub const BLACKHOLE: Self = Self(0xffff_029a);
    /// RFC 1997: not outside the AS or confederation.
    pub const NO_EXPORT: Self = Self(0xffff_ff01);
    /// RFC 1997: to no peer.
    pub const NO_ADVERTISE: Self = Self(0xffff_ff02);
    /// RFC 1997: not to external peers, confederation members included.
    pub const NO_EXPORT_SUBCONFED: Self = Self(0xffff_ff03);

    /// High half `asn`, low half `value`.
    pub const fn new(asn: u16, value: u16) -> Self {
        Self((asn as u32) << 16 | value as u32)
    }

    fn well_known() -> impl Iterator<Item = (u32, &'static str)> {
        WELL_KNOWN.into_iter().chain([NO_PEER])
    }
}

impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::well_known().find(|(value, _)| *value == self.0) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "{}:{}", self.0 >> 16, self.0 & 0xffff),
        }
    }
}

/// What is wrong with the text of a community.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a community: {0:?} ({1})")]
pub struct CommunityParseError(String, &'static str);

impl FromStr for Community {
    type Err = CommunityParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some((value, _)) = Self::well_known().find(|(_, name)| *name == text) {
            return Ok(Self(value));
        }
        let bad = || CommunityParseError(text.into(), "expected NUMBER:NUMBER, each to 65535");
        let (asn, value) = text.split_once(':').ok_or_else(bad)?;
        Ok(Self::new(
            asn.parse().map_err(|_| bad())?,
            value.parse().map_err(|_| bad())?,
        ))
    }
}

/// A large community, RFC 8092 §3.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LargeCommunity {
    /// Global Administrator: an AS number.
    pub global: u32,
    /// Local Data Part 1.
    pub local1: u32,
    /// Local Data Part 2.
    pub local2: u32,
}

impl LargeCommunity {
    /// From its twelve octets.
    pub fn from_wire(octets: [u8; 12]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = octets;
        Self {
            global: u32::from_be_bytes([a, b, c, d]),
            local1: u32::from_be_bytes([e, f, g, h]),
            local2: u32::from_be_bytes([i, j, k, l]),
        }
    }

    /// Its twelve octets.
    pub fn to_wire(self) -> [u8; 12] {
        let [a, b, c, d] = self.global.to_be_bytes();
        let [e, f, g, h] = self.local1.to_be_bytes();
        let [i, j, k, l] = self.local2.to_be_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l]
    }
}

impl fmt::Display for LargeCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.global, self.local1, self.local2)
    }
}

impl FromStr for LargeCommunity {
    type Err = CommunityParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || CommunityParseError(text.into(), "expected NUMBER:NUMBER:NUMBER");
        let mut parts = text.split(':').map(|part| part.parse().map_err(|_| bad()));
        let mut next = || parts.next().ok_or_else(bad)?;
        let parsed = Self {
            global: next()?,
            local1: next()?,
            local2: next()?,
        };
        if parts.next().is_some() {
            return Err(bad());
        }
        Ok(parsed)
    }
}

/// An extended community, RFC 4360 §2. Eight opaque octets; only printing looks inside.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ExtCommunity(pub [u8; 8]);

impl ExtCommunity {
    /// The T bit, RFC 4360 §2: unset means it may cross AS boundaries (§6).
    pub const fn is_transitive(self) -> bool {
        let [kind, ..] = self.0;
        kind & 0x40 == 0
    }

    /// Route target of a two- or four-octet AS, or of an address, by what fits.
    pub fn route_target(asn: u32, value: u32) -> Option<Self> {
        Self::of_as(asn, value, 0x02)
    }

    fn of_as(asn: u32, value: u32, subtype: u8) -> Option<Self> {
        if let Ok(asn) = u16::try_from(asn) {
            let ([a, b], [c, d, e, f]) = (asn.to_be_bytes(), value.to_be_bytes());
            return Some(Self([0x00, subtype, a, b, c, d, e, f]));
        }
        let ([a, b, c, d], [e, f]) = (asn.to_be_bytes(), u16::try_from(value).ok()?.to_be_bytes());
        Some(Self([0x02, subtype, a, b, c, d, e, f]))
    }

    fn of_address(addr: Ipv4Addr, value: u16, subtype: u8) -> Self {
        let ([a, b, c, d], [e, f]) = (addr.octets(), value.to_be_bytes());
        Self([0x01, subtype, a, b, c, d, e, f])
    }
}

impl fmt::Display for ExtCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [kind, subtype, a, b, c, d, e, g] = self.0;
        let name = match (kind, subtype) {
            (0x00..=0x02, 0x02) => "RT",
            (0x00..=0x02, 0x03) => "SoO",
            (0x00 | 0x40, 0x04) => "LB",
            (0x03, 0x0b) => "Color",
            (0x03, 0x0c) => "Encapsulation",
            (0x43, 0x00) => "OVS",
            _ => return hex(&self.0, f),
        };
        let low4 = u32::from_be_bytes([c, d, e, g]);
        match (kind, subtype) {
            // Bytes per second as a float; NaN and infinities print as such and weigh nothing.
            (_, 0x04) => {
                let rate = f32::from_bits(low4);
                write!(f, "{name}:{}:{rate}", u16::from_be_bytes([a, b]))
            }
            (0x03, 0x0b) => write!(f, "{name}:{low4}"),
            (0x03, 0x0c) => write!(f, "{name}:{}", u16::from_be_bytes([e, g])),
            (0x43, 0x00) => match g {
                0 => write!(f, "{name}:valid"),
                1 => write!(f, "{name}:not-found"),
                2 => write!(f, "{name}:invalid"),
                other => write!(f, "{name}:{other}"),
            },
            (0x00, _) => write!(f, "{name}:{}:{low4}", u16::from_be_bytes([a, b])),
            (0x01, _) => {
                let addr = Ipv4Addr::new(a, b, c, d);
                write!(f, "{name}:{addr}:{}", u16::from_be_bytes([e, g]))
            }
            _ => {
                let asn = u32::from_be_bytes([a, b, c, d]);
                write!(f, "{name}:{asn}:{}", u16::from_be_bytes([e, g]))
            }
        }
    }
}

fn hex(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("0x")?;
    octets.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
}

impl FromStr for ExtCommunity {
    type Err = CommunityParseError;

    /// `RT:ASN:VALUE`, `RT:ADDRESS:VALUE`, the same with `SoO`, or `0x` and sixteen hex digits.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || CommunityParseError(text.into(), "expected RT:ASN:NUMBER, SoO:… or 0x…");
        if let Some(digits) = text.strip_prefix("0x").filter(|digits| digits.len() == 16) {
            return u64::from_str_radix(digits, 16)
                .map(|n| Self(n.to_be_bytes()))
                .map_err(|_| bad());
        }
        let (name, rest) = text.split_once(':').ok_or_else(bad)?;
        let subtype = match name.to_ascii_lowercase().as_str() {
            "rt" => 0x02,
            "soo" => 0x03,
            _ => return Err(bad()),
        };
        let (admin, value) = rest.split_once(':').ok_or_else(bad)?;
        let value: u32 = value.parse().map_err(|_| bad())?;
        if let Ok(addr) = admin.parse::<Ipv4Addr>() {
            let value = u16::try_from(value).map_err(|_| bad())?;
            return Ok(Self::of_address(addr, value, subtype));
        }
        Self::of_as(admin.parse().map_err(|_| bad())?, value, subtype).ok_or_else(bad)
    }
}

/// An IPv6 address specific extended community, RFC 5701 §2.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ipv6ExtCommunity(pub [u8; 20]);

impl fmt::Display for Ipv6ExtCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [_, subtype, addr @ .., hi, lo] = self.0;
        let name = match subtype {
            0x02 => "RT",
            0x03 => "SoO",
            _ => return hex(&self.0, f),
        };
        let addr = std::net::Ipv6Addr::from(addr);
        write!(f, "{name}:[{addr}]:{}", u16::from_be_bytes([hi, lo]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_both_ways() {
        for text in [
            "65001:100",
            "no-export",
            "no-peer",
            "graceful-shutdown",
            "0:0",
        ] {
            assert_eq!(text.parse::<Community>().unwrap().to_string(), text);
        }
        for text in ["65001:1:2", "4294967295:0:4294967295"] {
            assert_eq!(text.parse::<LargeCommunity>().unwrap().to_string(), text);
        }
        for text in [
            "RT:65001:1",
            "RT:4200000000:7",
            "SoO:10.0.0.1:5",
            "0x0b0c000000000001",
        ] {
            assert_eq!(text.parse::<ExtCommunity>().unwrap().to_string(), text);
        }
        for text in ["65536:1", "1", "1:2:3", "-1:2", "RT:1"] {
            assert!(text.parse::<Community>().is_err(), "{text}");
        }
        assert!("1:2".parse::<LargeCommunity>().is_err());
        assert!("1:2:3:4".parse::<LargeCommunity>().is_err());
        assert!("RT:4200000000:70000".parse::<ExtCommunity>().is_err());
    }

    #[test]
    fn link_bandwidth_prints_whatever_float_comes() {
        let nan = ExtCommunity([0x40, 4, 0xfe, 0xb0, 0x7f, 0xc0, 0, 0]);
        assert_eq!(nan.to_string(), "LB:65200:NaN");
        let rate = ExtCommunity([0x40, 4, 0xfe, 0xb0, 0x49, 0x98, 0x96, 0x80]);
        assert_eq!(rate.to_string(), "LB:65200:1250000");
    }
}
