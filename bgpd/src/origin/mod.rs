//! Which routes start here: advertised prefixes and address pools.
//!
//! A pure book-keeper between the configuration and the RIB. It knows which pool addresses are in
//! use, which aggregates follow, and hands the RIB one snapshot of routes per source; the RIB
//! finds the differences. Nothing here opens a file or a socket.

use ipnet::{IpNet, IpSubnets, Ipv4Subnets, Ipv6Subnets};

use crate::config::AddressRange;

/// The fewest prefixes that cover `range` exactly.
pub fn blocks(range: AddressRange) -> impl Iterator<Item = IpNet> {
    use std::net::IpAddr::{V4, V6};
    match (range.first, range.last) {
        (V4(first), V4(last)) => IpSubnets::V4(Ipv4Subnets::new(first, last, 0)),
        (V6(first), V6(last)) => IpSubnets::V6(Ipv6Subnets::new(first, last, 0)),
        // The reader makes no such range; an empty one is the harmless reading of it.
        _ => IpSubnets::V4(Ipv4Subnets::new(1.into(), 0.into(), 0)),
    }
}
