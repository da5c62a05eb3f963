//! The workloads. Each file is one, named after what happens in it.
//!
//! All speakers of a shape come from [`ground::speaker`], so the order of their numbers is the
//! order of their router ids. What they send is built with the shape, once for all daemons and
//! runs.

pub mod best_path;
pub mod churn;
pub mod cold_start;
pub mod failover;
pub mod fan_out;
pub mod full_table;
pub mod kernel_failover;
pub mod kernel_write;
pub mod show;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;

use super::dialect::ASN;
use super::expect::{self, Expected};
use super::ground;
use crate::player::feed::{self, Feeder};
use crate::player::rib_file::Attributes;

/// The first external speaker's AS; speaker `i` is in `FIRST_ASN + i` unless a shape says
/// otherwise.
pub const FIRST_ASN: u32 = 65001;

/// A speaker that sends a table, and what becomes of it.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// Its address, router id and next hop.
    pub address: Ipv4Addr,
    /// The AS it puts in front of its paths.
    pub asn: u32,
    /// Its session is internal, and its routes are reflected.
    pub internal: bool,
}

impl Source {
    /// External speaker number `index`.
    pub fn external(index: usize) -> Self {
        let offset = u32::try_from(index).expect("fewer speakers than AS numbers");
        Self {
            address: ground::speaker(index),
            asn: FIRST_ASN + offset,
            internal: false,
        }
    }

    /// Internal speaker number `index`.
    pub fn internal(index: usize) -> Self {
        Self {
            internal: true,
            ..Self::external(index)
        }
    }

    /// The AS of its session.
    pub fn session_asn(&self) -> u32 {
        if self.internal { ASN } else { self.asn }
    }

    /// UPDATEs that announce `routes`.
    pub fn announce(&self, routes: &[(IpNet, Attributes)]) -> Arc<[u8]> {
        let feeder = Feeder {
            asn: self.asn,
            next_hop: self.address,
            next_hop_v6: Ipv6Addr::LOCALHOST,
        };
        feeder.announce(routes).0.into()
    }

    /// Registers what receivers have to get of `routes`.
    pub fn expect(&self, routes: &[(IpNet, Attributes)], expected: &mut Expected) {
        let mut last: Option<(&Attributes, u32)> = None;
        for (net, attributes) in routes {
            let block = match last {
                Some((known, block)) if Arc::ptr_eq(known, attributes) => block,
                _ => expected.block(&self.arrives(attributes)),
            };
            last = Some((attributes, block));
            expected.insert(*net, block, self.address);
        }
    }

    /// Its attributes as a receiver of the daemon gets them.
    fn arrives(&self, attributes: &Attributes) -> Vec<crate::player::rib_file::Attribute> {
        let path = attributes.iter().find(|(_, code, _)| *code == 2);
        let sent = feed::prepend(path.map_or(&[], |(_, _, value)| value), self.asn);
        if !self.internal {
            return expect::passed_on(attributes, &sent);
        }
        let mut found = expect::reflected(attributes, self.address);
        for (_, code, value) in &mut found {
            if *code == 2 {
                value.clone_from(&sent);
            }
        }
        found
    }
}

/// "1,000,000".
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Likely octets of `prefixes` routes on the wire.
pub(crate) fn octets_of(prefixes: usize) -> usize {
    prefixes * 28
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [(7, "7"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(super::grouped(number), text);
        }
    }
}
