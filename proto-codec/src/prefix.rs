//! Compact prefix keys: what the tables are indexed by.
//!
//! [`Prefix4`] is one word (address in the high part, length in the low octet) and [`Prefix6`] two
//! words and an octet. Both are always truncated: bits behind the length are zero, so equality is
//! equality of routes and the derived order is address first, then length. That holds because the
//! only constructors mask. `ipnet` types appear at the edges (configuration, kernel, display)
//! only.
//!
//! The wire form of a prefix is RFC 4271 §4.3: one octet of length in bits, then as many octets as
//! the length needs; bits behind the length are of no significance and are dropped on reading.

use std::fmt;
use std::fmt::{Debug, Display};
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use bytes::BytesMut;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// What tables, packers and policies need of a prefix, for either family.
pub trait PrefixKey:
    Copy + Eq + Ord + Hash + Debug + Display + Send + Sync + 'static + FromStr
{
    /// Length in bits, 0 to 32 or 128.
    fn prefix_len(self) -> u8;
    /// The network address.
    fn addr(self) -> IpAddr;
    /// The same prefix as an `ipnet` type.
    fn to_net(self) -> IpNet;
    /// `None` when `net` is of the other family. Host bits are dropped.
    fn from_net(net: IpNet) -> Option<Self>;
    /// The host route of `addr`; `None` when it is of the other family.
    fn from_addr(addr: IpAddr) -> Option<Self>;
    /// Whether `other` is this prefix or lies inside it.
    fn contains(self, other: Self) -> bool;
    /// The covering prefix of `len` bits; itself when `len` is not shorter.
    fn truncate(self, len: u8) -> Self;
    /// From wire octets; missing ones count as zero and surplus ones are not looked at. `len`
    /// beyond the family's maximum is taken as the maximum: the NLRI validator has refused it
    /// before.
    fn from_wire(len: u8, octets: &[u8]) -> Self;
    /// The wire form and how many octets of it count: the length octet first.
    fn to_wire(self) -> ([u8; 17], usize);
    /// Appends the wire form.
    #[inline]
    fn put_wire(self, out: &mut BytesMut) {
        let (wire, len) = self.to_wire();
        // The whole array and then back to what counts: one copy of a fixed size.
        let end = out.len() + len;
        out.extend_from_slice(&wire);
        out.truncate(end);
    }
}

/// An IPv4 prefix in one word: `address << 8 | length`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix4(u64);

impl Prefix4 {
    /// 0.0.0.0/0.
    pub const DEFAULT: Self = Self(0);

    /// Masks `addr` to `len` bits; lengths over 32 mean 32.
    #[inline]
    pub const fn new(addr: Ipv4Addr, len: u8) -> Self {
        Self::from_bits(addr.to_bits(), len)
    }

    #[inline]
    const fn from_bits(bits: u32, len: u8) -> Self {
        let len = if len > 32 { 32 } else { len };
        // A shift by 32 overflows, hence the widening.
        let mask = !((1u64 << (32 - len)) - 1);
        Self(((bits as u64 & mask) << 8) | len as u64)
    }

    /// The network address as an integer.
    #[inline]
    pub const fn bits(self) -> u32 {
        let [_, _, _, a, b, c, d, _] = self.0.to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }

    /// The word itself, for hashing and sorting.
    #[inline]
    pub const fn word(self) -> u64 {
        self.0
    }
}

impl PrefixKey for Prefix4 {
    #[inline]
    fn prefix_len(self) -> u8 {
        let [.., len] = self.0.to_be_bytes();
        len
    }

    fn addr(self) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(self.bits()))
    }

    fn to_net(self) -> IpNet {
        IpNet::V4(Ipv4Net::new_assert(
            Ipv4Addr::from_bits(self.bits()),
            self.prefix_len().min(32),
        ))
    }

    fn from_net(net: IpNet) -> Option<Self> {
        match net {
            IpNet::V4(net) => Some(Self::new(net.addr(), net.prefix_len())),
            IpNet::V6(_) => None,
        }
    }

    fn from_addr(addr: IpAddr) -> Option<Self> {
        match addr {
            IpAddr::V4(addr) => Some(Self::new(addr, 32)),
            IpAddr::V6(_) => None,
        }
    }

    fn contains(self, other: Self) -> bool {
        other.prefix_len() >= self.prefix_len() && other.truncate(self.prefix_len()) == self
    }

    #[inline]
    fn truncate(self, len: u8) -> Self {
        Self::from_bits(self.bits(), len.min(self.prefix_len()))
    }

    #[inline]
    fn from_wire(len: u8, octets: &[u8]) -> Self {
        if let Some(four) = octets.first_chunk::<4>() {
            return Self::from_bits(u32::from_be_bytes(*four), len);
        }
        let mut four = [0u8; 4];
        for (to, from) in four.iter_mut().zip(octets) {
            *to = *from;
        }
        Self::from_bits(u32::from_be_bytes(four), len)
    }

    #[inline]
    fn put_wire(self, out: &mut BytesMut) {
        let [a, b, c, d] = self.bits().to_be_bytes();
        let len = self.prefix_len();
        let end = out.len() + 1 + usize::from(len.div_ceil(8));
        out.extend_from_slice(&[len, a, b, c, d]);
        out.truncate(end);
    }

    #[inline]
    fn to_wire(self) -> ([u8; 17], usize) {
        let [a, b, c, d] = self.bits().to_be_bytes();
        let len = self.prefix_len();
        let mut wire = [0u8; 17];
        let [w0, w1, w2, w3, w4, ..] = &mut wire;
        (*w0, *w1, *w2, *w3, *w4) = (len, a, b, c, d);
        (wire, 1 + usize::from(len.div_ceil(8)))
    }
}

impl Display for Prefix4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}",
            Ipv4Addr::from_bits(self.bits()),
            self.prefix_len()
        )
    }
}

impl Debug for Prefix4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl FromStr for Prefix4 {
    type Err = ipnet::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let net: Ipv4Net = text.parse()?;
        Ok(Self::new(net.addr(), net.prefix_len()))
    }
}

impl From<Ipv4Net> for Prefix4 {
    fn from(net: Ipv4Net) -> Self {
        Self::new(net.addr(), net.prefix_len())
    }
}

/// An IPv6 prefix in two words and an octet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix6 {
    hi: u64,
    lo: u64,
    len: u8,
}

impl Prefix6 {
    /// ::/0.
    pub const DEFAULT: Self = Self {
        hi: 0,
        lo: 0,
        len: 0,
    };

    /// Masks `addr` to `len` bits; lengths over 128 mean 128.
    #[inline]
    pub const fn new(addr: Ipv6Addr, len: u8) -> Self {
        Self::from_bits(addr.to_bits(), len)
    }

    #[inline]
    const fn from_bits(bits: u128, len: u8) -> Self {
        let len = if len > 128 { 128 } else { len };
        let mask = match u128::MAX.checked_shl(128 - len as u32) {
            Some(mask) => mask,
            None => 0,
        };
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = (bits & mask).to_be_bytes();
        Self {
            hi: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            lo: u64::from_be_bytes([i, j, k, l, m, n, o, p]),
            len,
        }
    }

    /// The network address as an integer.
    #[inline]
    pub const fn bits(self) -> u128 {
        ((self.hi as u128) << 64) | self.lo as u128
    }
}

impl PrefixKey for Prefix6 {
    #[inline]
    fn prefix_len(self) -> u8 {
        self.len
    }

    fn addr(self) -> IpAddr {
        IpAddr::V6(Ipv6Addr::from_bits(self.bits()))
    }

    fn to_net(self) -> IpNet {
        IpNet::V6(Ipv6Net::new_assert(
            Ipv6Addr::from_bits(self.bits()),
            self.len.min(128),
        ))
    }

    fn from_net(net: IpNet) -> Option<Self> {
        match net {
            IpNet::V6(net) => Some(Self::new(net.addr(), net.prefix_len())),
            IpNet::V4(_) => None,
        }
    }

    fn from_addr(addr: IpAddr) -> Option<Self> {
        match addr {
            IpAddr::V6(addr) => Some(Self::new(addr, 128)),
            IpAddr::V4(_) => None,
        }
    }

    fn contains(self, other: Self) -> bool {
        other.len >= self.len && other.truncate(self.len) == self
    }

    #[inline]
    fn truncate(self, len: u8) -> Self {
        Self::from_bits(self.bits(), len.min(self.len))
    }

    #[inline]
    fn from_wire(len: u8, octets: &[u8]) -> Self {
        if let Some(sixteen) = octets.first_chunk::<16>() {
            return Self::from_bits(u128::from_be_bytes(*sixteen), len);
        }
        let mut sixteen = [0u8; 16];
        for (to, from) in sixteen.iter_mut().zip(octets) {
            *to = *from;
        }
        Self::from_bits(u128::from_be_bytes(sixteen), len)
    }

    #[inline]
    fn to_wire(self) -> ([u8; 17], usize) {
        let mut wire = [0u8; 17];
        let [len, octets @ ..] = &mut wire;
        *len = self.len;
        *octets = self.bits().to_be_bytes();
        (wire, 1 + usize::from(self.len.div_ceil(8)))
    }
}

impl Display for Prefix6 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv6Addr::from_bits(self.bits()), self.len)
    }
}

impl Debug for Prefix6 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl FromStr for Prefix6 {
    type Err = ipnet::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let net: Ipv6Net = text.parse()?;
        Ok(Self::new(net.addr(), net.prefix_len()))
    }
}

impl From<Ipv6Net> for Prefix6 {
    fn from(net: Ipv6Net) -> Self {
        Self::new(net.addr(), net.prefix_len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_truncated_and_ordered_by_address_then_length() {
        let key: Prefix4 = "10.1.2.3/8".parse().unwrap();
        assert_eq!(key.to_string(), "10.0.0.0/8");
        assert!(key < "10.0.0.0/9".parse().unwrap());
        assert!(key < "11.0.0.0/8".parse().unwrap());
        let key: Prefix6 = "2001:db8:ffff::1/33".parse().unwrap();
        assert_eq!(key.to_string(), "2001:db8:8000::/33");
        assert!("2001:db8::/32".parse::<Prefix6>().unwrap().contains(key));
    }

    #[test]
    fn every_length_masks_and_comes_back_from_the_wire() {
        for len in 0..=32u8 {
            let key = Prefix4::new(Ipv4Addr::BROADCAST, len);
            let (wire, used) = key.to_wire();
            assert_eq!(Prefix4::from_wire(wire[0], &wire[1..used]), key);
            assert_eq!(Prefix4::from_net(key.to_net()), Some(key));
            assert_eq!(key.bits().count_ones(), u32::from(len));
        }
        for len in 0..=128u8 {
            let key = Prefix6::new(Ipv6Addr::from_bits(u128::MAX), len);
            let (wire, used) = key.to_wire();
            assert_eq!(Prefix6::from_wire(wire[0], &wire[1..used]), key);
            assert_eq!(key.bits().count_ones(), u32::from(len));
        }
    }
}
