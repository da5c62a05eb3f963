//! Address families: what can be on the wire, and what this suite routes.
//!
//! [`AfiSafi`] is any pair of numbers a peer may send (RFC 4760 §6); [`Family`] is one of those the
//! suite carries in its tables. The conversion from the first to the second is the only place where
//! "we do not speak that" is decided. [`AddressFamily`] is the compile-time form: tables, NLRI
//! iterators and encoders are generic over [`V4`] and [`V6`], so there is one code path for both.

use std::fmt;
use std::fmt::Debug;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::prefix::{Prefix4, Prefix6, PrefixKey};

/// An (AFI, SAFI) pair as it is on the wire, RFC 4760 §3. Any value is possible.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct AfiSafi {
    /// Address Family Identifier: 1 IPv4, 2 IPv6, 25 L2VPN, 16388 BGP-LS, …
    pub afi: u16,
    /// Subsequent Address Family Identifier: 1 unicast, 2 multicast, 4 labelled, 128 VPN, 133
    /// flow, …
    pub safi: u8,
}

impl AfiSafi {
    /// IPv4 unicast, the family of the UPDATE's own NLRI field.
    pub const IPV4_UNICAST: Self = Self { afi: 1, safi: 1 };
    /// IPv6 unicast.
    pub const IPV6_UNICAST: Self = Self { afi: 2, safi: 1 };
}

impl fmt::Display for AfiSafi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let afi = match self.afi {
            1 => "ipv4",
            2 => "ipv6",
            25 => "l2vpn",
            16388 => "bgp-ls",
            other => return write!(f, "afi{other}-safi{}", self.safi),
        };
        match self.safi {
            1 => write!(f, "{afi}-unicast"),
            2 => write!(f, "{afi}-multicast"),
            4 => write!(f, "{afi}-labeled-unicast"),
            5 => write!(f, "{afi}-mvpn"),
            65 => write!(f, "{afi}-vpls"),
            66 => write!(f, "{afi}-mdt"),
            70 => write!(f, "{afi}-evpn"),
            71 => write!(f, "{afi}-ls"),
            72 => write!(f, "{afi}-ls-vpn"),
            73 => write!(f, "{afi}-sr-policy"),
            85 => write!(f, "{afi}-mup"),
            128 => write!(f, "{afi}-vpn"),
            132 => write!(f, "{afi}-rtc"),
            133 => write!(f, "{afi}-flow"),
            134 => write!(f, "{afi}-flow-vpn"),
            other => write!(f, "{afi}-safi{other}"),
        }
    }
}

/// A family the suite carries in its tables.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// AFI 1, SAFI 1.
    #[serde(rename = "ipv4-unicast")]
    Ipv4Unicast,
    /// AFI 2, SAFI 1.
    #[serde(rename = "ipv6-unicast")]
    Ipv6Unicast,
}

impl Family {
    /// Both families, in the order of [`Family::index`].
    pub const ALL: [Self; 2] = [Self::Ipv4Unicast, Self::Ipv6Unicast];

    /// The numbers on the wire.
    pub const fn afi_safi(self) -> AfiSafi {
        match self {
            Self::Ipv4Unicast => AfiSafi::IPV4_UNICAST,
            Self::Ipv6Unicast => AfiSafi::IPV6_UNICAST,
        }
    }

    /// `None` for every family the suite does not carry.
    pub const fn from_afi_safi(pair: AfiSafi) -> Option<Self> {
        match (pair.afi, pair.safi) {
            (1, 1) => Some(Self::Ipv4Unicast),
            (2, 1) => Some(Self::Ipv6Unicast),
            _ => None,
        }
    }

    /// 0 or 1: the place of this family in a `[T; 2]`.
    pub const fn index(self) -> usize {
        match self {
            Self::Ipv4Unicast => 0,
            Self::Ipv6Unicast => 1,
        }
    }

    /// This family's entry of a per-family pair, without indexing.
    pub fn pick<T: Copy>(self, pair: [T; 2]) -> T {
        let [v4, v6] = pair;
        match self {
            Self::Ipv4Unicast => v4,
            Self::Ipv6Unicast => v6,
        }
    }

    /// The family a unicast prefix belongs to.
    pub const fn of(net: &IpNet) -> Self {
        match net {
            IpNet::V4(_) => Self::Ipv4Unicast,
            IpNet::V6(_) => Self::Ipv6Unicast,
        }
    }

    /// Longest prefix length: 32 or 128.
    pub const fn bits(self) -> u8 {
        match self {
            Self::Ipv4Unicast => 32,
            Self::Ipv6Unicast => 128,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4Unicast => "ipv4-unicast",
            Self::Ipv6Unicast => "ipv6-unicast",
        })
    }
}

/// A family at compile time.
pub trait AddressFamily: Copy + Debug + Send + Sync + 'static {
    /// The run-time name of this family.
    const FAMILY: Family;
    /// Longest prefix length.
    const BITS: u8;
    /// The compact key of this family's tables.
    type Prefix: PrefixKey;
}

/// IPv4 unicast.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct V4;

/// IPv6 unicast.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct V6;

impl AddressFamily for V4 {
    const FAMILY: Family = Family::Ipv4Unicast;
    const BITS: u8 = 32;
    type Prefix = Prefix4;
}

impl AddressFamily for V6 {
    const FAMILY: Family = Family::Ipv6Unicast;
    const BITS: u8 = 128;
    type Prefix = Prefix6;
}
