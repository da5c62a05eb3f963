//! The internet checksum, with and without the pseudo header.
//!
//! Version 2 and, by RFC 9568 §5.2.8, version 3 over IPv4 sum the VRRP message alone. Version 3
//! over IPv6 puts the pseudo header of RFC 8200 §8.1 in front. keepalived and FRR read RFC 5798 as
//! asking for a pseudo header over IPv4 too (source, destination, zero, protocol, length), and
//! that is what most IPv4 routers on earth send.

use std::net::{IpAddr, Ipv6Addr};

use super::{Envelope, PROTOCOL};

/// Which reading of version 3 over IPv4 a checksum follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ChecksumForm {
    /// With a pseudo header, as keepalived and FRR read RFC 5798.
    #[default]
    Rfc5798,
    /// Without, as RFC 9568 §5.2.8 says.
    Rfc9568,
}

impl ChecksumForm {
    /// The word of the configuration.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Rfc5798 => "rfc5798",
            Self::Rfc9568 => "rfc9568",
        }
    }
}

/// The sum of 16-bit words, an odd octet padded with zero.
fn sum(octets: &[u8]) -> u64 {
    let (words, rest) = octets.as_chunks::<2>();
    let tail = rest.first().map_or(0, |octet| u64::from(*octet) << 8);
    words
        .iter()
        .map(|word| u64::from(u16::from_be_bytes(*word)))
        .sum::<u64>()
        + tail
}

/// The one's complement of the folded sum.
fn complement(mut total: u64) -> u16 {
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    !u16::try_from(total).unwrap_or(u16::MAX)
}

/// The sum of the pseudo header before a message of `len` octets.
fn pseudo_header(ends: (IpAddr, IpAddr), protocol: u8, len: usize) -> u64 {
    let address = |address: IpAddr| match address {
        IpAddr::V4(v4) => sum(&v4.octets()),
        IpAddr::V6(v6) => sum(&v6.octets()),
    };
    let len = u64::try_from(len).unwrap_or_default();
    address(ends.0) + address(ends.1) + u64::from(protocol) + len
}

/// The checksum over `message` alone, whose checksum field must hold `found`, which is left out.
pub(super) fn plain(message: &[u8], found: u16) -> u16 {
    complement(sum(message).saturating_sub(u64::from(found)))
}

/// The checksum with the pseudo header of `envelope`; see [`plain`].
pub(super) fn with_pseudo_header(message: &[u8], found: u16, envelope: &Envelope) -> u16 {
    let body = sum(message).saturating_sub(u64::from(found));
    let ends = (envelope.source, envelope.destination);
    complement(body + pseudo_header(ends, PROTOCOL, message.len()))
}

/// The checksum of an ICMPv6 message whose field is zero (RFC 4443 §2.3).
pub(super) fn icmpv6(message: &[u8], (from, to): (Ipv6Addr, Ipv6Addr), protocol: u8) -> u16 {
    complement(sum(message) + pseudo_header((from.into(), to.into()), protocol, message.len()))
}

/// Whether two checksums mean the same: 0 and 0xffff are both zero in one's complement.
pub(super) fn same(one: u16, other: u16) -> bool {
    let zero = |sum| sum == 0 || sum == u16::MAX;
    one == other || (zero(one) && zero(other))
}
