//! IPAddressPool, the older AddressPool, and a pool of the old ConfigMap: which addresses it has.
//!
//! Giving addresses to services is the work of MetalLB's controller, which goes on running; what
//! only it needs (`autoAssign`, `avoidBuggyIPs`, `serviceAllocation`) is read, checked and not
//! used. We need to know which pool an address belongs to. MetalLB refuses its whole configuration
//! when two pools overlap; here the older pool keeps the addresses and the younger one is told.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv4Subnets, Ipv6Net, Ipv6Subnets};

use super::read::{Table, Wrong};
use super::selector;
use crate::desired::short;

/// One line of `addresses`: what was written, and the blocks that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Addresses {
    pub(super) first: IpAddr,
    pub(super) last: IpAddr,
    /// The length of its largest block: no advertisement may aggregate beyond it.
    pub(super) shortest: u8,
}

impl Addresses {
    /// Parses `10.0.0.0/24`, `10.0.0.5-10.0.0.9` or, as no MetalLB does, one address.
    fn parse(path: &str, text: &str) -> Result<Self, Wrong> {
        let wrong = |what: &str| {
            let cure = "write \"10.0.0.0/24\" or \"10.0.0.5-10.0.0.9\"";
            Wrong::new(path, format!("\"{}\" {what}; {cure}", short(text)))
        };
        if let Some((first, last)) = text.split_once('-') {
            let ends = (first.trim().parse(), last.trim().parse());
            let (Ok(first), Ok(last)) = ends else {
                return Err(wrong("has an end that is no address"));
            };
            let shortest = match (first, last) {
                (IpAddr::V4(a), IpAddr::V4(b)) if a <= b => {
                    Ipv4Subnets::new(a, b, 0).map(|net| net.prefix_len()).min()
                }
                (IpAddr::V6(a), IpAddr::V6(b)) if a <= b => {
                    Ipv6Subnets::new(a, b, 0).map(|net| net.prefix_len()).min()
                }
                (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => {
                    return Err(wrong("ends before it starts"));
                }
                _ => return Err(wrong("has ends of two families")),
            };
            return Ok(Self {
                first,
                last,
                shortest: shortest.unwrap_or(if first.is_ipv4() { 32 } else { 128 }),
            });
        }
        let net: IpNet = match text.trim().parse() {
            Ok(net) => net,
            Err(_) => return Err(wrong("is neither a prefix nor a range")),
        };
        Ok(Self {
            first: net.network(),
            last: net.broadcast(),
            shortest: net.prefix_len(),
        })
    }

    /// Its blocks, for the ranges of the cluster.
    pub(super) fn blocks(&self) -> Vec<IpNet> {
        match (self.first, self.last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => Ipv4Subnets::new(first, last, 0)
                .map(|net: Ipv4Net| IpNet::V4(net))
                .collect(),
            (IpAddr::V6(first), IpAddr::V6(last)) => Ipv6Subnets::new(first, last, 0)
                .map(|net: Ipv6Net| IpNet::V6(net))
                .collect(),
            _ => Vec::new(),
        }
    }
}

/// A pool as it is declared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pool {
    pub(super) addresses: Vec<Addresses>,
}

impl Pool {
    /// Reads the `spec` of an IPAddressPool.
    pub(super) fn read(spec: &mut Table<'_>, unknown: &mut Vec<Box<str>>) -> Result<Self, Wrong> {
        spec.flag("autoAssign")?;
        spec.flag("avoidBuggyIPs")?;
        let mut allocation = spec.table("serviceAllocation")?;
        allocation.number("priority", u32::MAX)?;
        allocation.texts("namespaces")?;
        selector::list(&mut allocation, "namespaceSelectors", unknown)?;
        selector::list(&mut allocation, "serviceSelectors", unknown)?;
        allocation.unknown(unknown);
        Self::addresses(spec)
    }

    /// Reads `addresses`, which all kinds of pool have.
    pub(super) fn addresses(table: &mut Table<'_>) -> Result<Self, Wrong> {
        let path = table.path("addresses");
        let addresses: Vec<Addresses> = table
            .texts("addresses")?
            .iter()
            .enumerate()
            .map(|(at, text)| Addresses::parse(&format!("{path}[{at}]"), text))
            .collect::<Result<_, _>>()?;
        if addresses.is_empty() {
            return Err(Wrong::new(
                path,
                "missing; write prefixes or ranges such as \"10.0.0.0/24\"",
            ));
        }
        Ok(Self { addresses })
    }

    /// Whether it has addresses of a family: IPv4, IPv6.
    pub(super) fn families(&self) -> [bool; 2] {
        let has = |is_ipv4| self.addresses.iter().any(|a| a.first.is_ipv4() == is_ipv4);
        [has(true), has(false)]
    }
}

/// Which pool an address belongs to: disjoint ranges, sorted, each with the pool's place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PoolIndex {
    ranges: Vec<Range>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Range {
    is_ipv6: bool,
    first: u128,
    last: u128,
    pool: usize,
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

impl PoolIndex {
    /// Gives the addresses to this pool, but for those that another one has; returns the first
    /// other one that has some.
    pub(super) fn add(&mut self, pool: usize, addresses: &Addresses) -> Option<usize> {
        let is_ipv6 = addresses.first.is_ipv6();
        let (first, last) = (bits(addresses.first), bits(addresses.last));
        let mut taken: Option<usize> = None;
        let mut added = Vec::new();
        // The lowest address not yet looked at; none once the last is passed.
        let mut from = Some(first);
        for range in self
            .ranges
            .iter()
            .filter(|range| range.is_ipv6 == is_ipv6 && range.first <= last && range.last >= first)
        {
            taken = taken.or(Some(range.pool));
            if let Some(low) = from
                && let Some(end) = range.first.checked_sub(1)
                && low <= end
            {
                added.push(Range {
                    is_ipv6,
                    first: low,
                    last: end,
                    pool,
                });
            }
            from = range.last.checked_add(1);
        }
        if let Some(low) = from
            && low <= last
        {
            added.push(Range {
                is_ipv6,
                first: low,
                last,
                pool,
            });
        }
        self.ranges.extend(added);
        self.ranges.sort_unstable();
        taken
    }

    /// The pool that has this address.
    pub(super) fn find(&self, address: IpAddr) -> Option<usize> {
        let (is_ipv6, value) = (address.is_ipv6(), bits(address));
        let after = self
            .ranges
            .partition_point(|range| (range.is_ipv6, range.first) <= (is_ipv6, value));
        let range = self.ranges.get(after.checked_sub(1)?)?;
        (range.is_ipv6 == is_ipv6 && value <= range.last).then_some(range.pool)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(text: &str) -> Addresses {
        Addresses::parse("a", text).unwrap()
    }

    #[test]
    fn prefixes_and_ranges_are_taken() {
        let rows = [
            ("10.0.0.0/24", "10.0.0.0", "10.0.0.255", 24),
            ("10.0.0.7/24", "10.0.0.0", "10.0.0.255", 24),
            ("10.0.0.5 - 10.0.0.9", "10.0.0.5", "10.0.0.9", 31),
            ("10.0.0.9-10.0.0.9", "10.0.0.9", "10.0.0.9", 32),
            ("fd00::/124", "fd00::", "fd00::f", 124),
            ("fd00::1-fd00::4", "fd00::1", "fd00::4", 127),
            ("0.0.0.0-255.255.255.255", "0.0.0.0", "255.255.255.255", 0),
        ];
        for (text, first, last, shortest) in rows {
            let have = addresses(text);
            assert_eq!(have.first.to_string(), first, "{text}");
            assert_eq!(have.last.to_string(), last, "{text}");
            assert_eq!(have.shortest, shortest, "{text}");
        }
        for text in [
            "10.0.0.0",
            "x",
            "10.0.0.9-10.0.0.5",
            "10.0.0.1-fd00::1",
            "10.0.0.1-",
            "",
        ] {
            assert!(Addresses::parse("a", text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_first_pool_keeps_addresses_of_two() {
        let mut index = PoolIndex::default();
        assert_eq!(index.add(0, &addresses("10.0.0.16-10.0.0.31")), None);
        assert_eq!(index.add(1, &addresses("10.0.0.64/26")), None);
        assert_eq!(index.add(2, &addresses("10.0.0.0/24")), Some(0));
        assert_eq!(index.add(3, &addresses("fd00::/64")), None);
        assert_eq!(index.add(4, &addresses("0.0.0.0-255.255.255.255")), Some(2));
        let rows = [
            ("10.0.0.0", 2),
            ("10.0.0.16", 0),
            ("10.0.0.31", 0),
            ("10.0.0.32", 2),
            ("10.0.0.64", 1),
            ("10.0.0.127", 1),
            ("10.0.0.128", 2),
            ("10.0.1.0", 4),
            ("0.0.0.0", 4),
            ("255.255.255.255", 4),
            ("fd00::ffff", 3),
        ];
        for (address, pool) in rows {
            assert_eq!(
                index.find(address.parse().unwrap()),
                Some(pool),
                "{address}"
            );
        }
        for address in ["fd00:0:0:1::", "::", "::a00:10"] {
            assert_eq!(index.find(address.parse().unwrap()), None, "{address}");
        }
    }
}
