//! Which virtual routers a pair runs: one, or hundreds over up to four links.
//!
//! Link `k` (from 1) has the network `10.(100+k).0.0/16`; the routers and the client have their
//! addresses at its start, virtual router `v` has `10.(100+k).1.v`. All are version 3 over IPv4.

use std::net::Ipv4Addr;
use std::time::Duration;

/// Most links of a plan.
pub const LINKS_MAX: u8 = 4;
/// Priority of the better router.
pub const BETTER: u8 = 200;
/// Priority of the one that takes over.
pub const WORSE: u8 = 100;

/// The virtual routers of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Between two adverts.
    pub interval_ms: u32,
    /// On how many links.
    pub links: u8,
    /// On each link.
    pub per_link: u8,
}

/// One virtual router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instance {
    /// From 1.
    pub link: u8,
    /// From 1.
    pub vrid: u8,
}

impl Instance {
    /// Its only address.
    #[must_use]
    pub fn address(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 100 + self.link, 1, self.vrid)
    }

    /// The link's name in a router.
    #[must_use]
    pub fn interface(self) -> String {
        format!("eth{}", self.link)
    }
}

impl Plan {
    /// A single virtual router.
    #[must_use]
    pub const fn one(interval_ms: u32) -> Self {
        Self {
            interval_ms,
            links: 1,
            per_link: 1,
        }
    }

    /// All virtual routers.
    pub fn instances(self) -> impl Iterator<Item = Instance> {
        (1..=self.links)
            .flat_map(move |link| (1..=self.per_link).map(move |vrid| Instance { link, vrid }))
    }

    /// Between two adverts.
    #[must_use]
    pub fn interval(self) -> Duration {
        Duration::from_millis(self.interval_ms.into())
    }

    /// How long the worse router waits after the last advert (RFC 9568 §6.1): three intervals and
    /// the skew of its priority.
    #[must_use]
    pub fn down_interval(self) -> Duration {
        self.interval() * 3 + self.interval() * u32::from(256 - u16::from(WORSE)) / 256
    }
}

#[cfg(test)]
mod tests {
    use super::Plan;

    #[test]
    fn down_intervals_are_those_of_the_rfc() {
        let ms = |interval| Plan::one(interval).down_interval().as_secs_f64() * 1e3;
        for (interval, expected) in [(1000, 3609.375), (100, 360.9375), (10, 36.09375)] {
            assert!((ms(interval) - expected).abs() < 0.001, "{interval}");
        }
    }

    #[test]
    fn a_thousand_have_addresses_of_their_own() {
        let plan = Plan {
            interval_ms: 100,
            links: 4,
            per_link: 250,
        };
        let addresses: std::collections::BTreeSet<_> =
            plan.instances().map(super::Instance::address).collect();
        assert_eq!(addresses.len(), 1000);
    }
}
