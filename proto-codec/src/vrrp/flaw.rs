//! Why an advert is discarded.
//!
//! One variant per rung of the receive ladder that the octets alone decide (RFC 9568 §7.1,
//! RFC 3768 §7.1). The reaction is always the same: discard, count under [`Flaw::name`], log at a
//! limited rate, and touch neither timer nor state. Rungs that need the receiving router (hop
//! limit, unknown virtual router, other interval in version 2) belong to its state machine.

use std::net::Ipv6Addr;

/// What is wrong with an advert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Shorter than the fixed part.
    #[error("{found} octets, at least 8 expected")]
    Truncated {
        /// Octets there are.
        found: usize,
    },
    /// Neither 2 nor 3, or 2 over IPv6.
    #[error("version {0} is not spoken here")]
    Version(u8),
    /// Not an ADVERTISEMENT (RFC 9568 §5.2.2).
    #[error("type {0} is unknown, 1 expected")]
    Type(u8),
    /// No address (RFC 9568 §5.2.5, erratum 8299).
    #[error("no address in the advert")]
    NoAddresses,
    /// Octets do not match the number of addresses (RFC 9568 §7.1).
    #[error("{found} octets, {expected} expected for {count} addresses")]
    Length {
        /// Addresses announced.
        count: u8,
        /// Octets they need with the header.
        expected: usize,
        /// Octets there are.
        found: usize,
    },
    /// The checksum is right in no reading.
    #[error("checksum {found:#06x}, {expected:#06x} expected")]
    Checksum {
        /// As received.
        found: u16,
        /// What the prevailing reading wants: with pseudo header in version 3.
        expected: u16,
    },
    /// Version 2 wraps the advert in an IPsec header (RFC 2338 §5.3.6.3), which nobody speaks now.
    #[error("authentication by IPsec AH (type 2) is not supported: use PASS or version 3")]
    AuthHeader,
    /// An authentication type that no RFC knows.
    #[error("authentication type {0} is unknown")]
    AuthType(u8),
    /// Interval 0 would make every backup a master (erratum 8301).
    #[error("interval 0")]
    ZeroInterval,
    /// The first IPv6 address of a multicast advert must be link-local (RFC 9568 §5.2.9, erratum
    /// 8300).
    #[error("first address {0} is not link-local")]
    NotLinkLocal(Ipv6Addr),
}

impl Flaw {
    /// A short name for counters, stable.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Truncated { .. } => "truncated",
            Self::Version(_) => "version",
            Self::Type(_) => "type",
            Self::NoAddresses => "no-addresses",
            Self::Length { .. } => "length",
            Self::Checksum { .. } => "checksum",
            Self::AuthHeader | Self::AuthType(_) => "auth-type",
            Self::ZeroInterval => "zero-interval",
            Self::NotLinkLocal(_) => "not-link-local",
        }
    }
}
