//! BGPAdvertisement and L2Advertisement, and the communities that the first name.
//!
//! An advertisement says under which prefix length, with which attributes and to which peers the
//! addresses of some pools are announced. A community is `64512:1`, `large:64512:1:2` or an alias
//! of a Community object; beyond MetalLB, the well-known names work without an alias. One that
//! cannot be resolved takes its advertisement out: what was meant may be `no-export`, and a route
//! without it would leak.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::pool::Pool;
use super::read::{Table, Wrong};
use super::selector::{self, Labels};
use crate::{Marks, Selector};

/// Which pools an advertisement is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PoolChoice {
    pub(super) names: Vec<Box<str>>,
    pub(super) selectors: Vec<Selector>,
}

impl PoolChoice {
    fn read(spec: &mut Table<'_>, unknown: &mut Vec<Box<str>>) -> Result<Self, Wrong> {
        Ok(Self {
            names: spec.texts("ipAddressPools")?,
            selectors: selector::list(spec, "ipAddressPoolSelectors", unknown)?,
        })
    }

    /// Whether it takes this pool: named, or selected, or nothing was said at all.
    pub(super) fn takes(&self, name: &str, labels: &Labels) -> bool {
        self.names.is_empty() && self.selectors.is_empty()
            || self.names.iter().any(|wanted| **wanted == *name)
            || self
                .selectors
                .iter()
                .any(|selector| selector.matches(labels))
    }
}

/// A BGPAdvertisement as it is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Advertisement {
    pub(super) length_v4: u8,
    pub(super) length_v6: u8,
    pub(super) local_pref: Option<u32>,
    /// Texts: what an alias means depends on other objects.
    pub(super) communities: Vec<Box<str>>,
    pub(super) pools: PoolChoice,
    pub(super) node_selectors: Vec<Selector>,
    pub(super) service_selectors: Vec<Selector>,
    /// Names of BGPPeer objects; empty = all.
    pub(super) peers: Vec<Box<str>>,
}

impl Advertisement {
    /// Reads the `spec` of a custom resource, which may be missing altogether.
    pub(super) fn read(spec: &mut Table<'_>, unknown: &mut Vec<Box<str>>) -> Result<Self, Wrong> {
        let service_selectors = selector::list(spec, "serviceSelectors", unknown)?;
        let length_v4 = length(spec, "aggregationLength", 32)?;
        let length_v6 = length(spec, "aggregationLengthV6", 128)?;
        if !service_selectors.is_empty() && (length_v4, length_v6) != (32, 128) {
            let text = "stands beside an aggregation length: services that share an aggregate \
                        cannot be told apart; keep one of the two";
            return Err(spec.wrong("serviceSelectors", text));
        }
        Ok(Self {
            length_v4,
            length_v6,
            local_pref: local_pref(spec, "localPref")?,
            communities: spec.texts("communities")?,
            pools: PoolChoice::read(spec, unknown)?,
            node_selectors: selector::list(spec, "nodeSelectors", unknown)?,
            service_selectors,
            peers: spec.texts("peers")?,
        })
    }

    /// Reads an entry of `bgp-advertisements` of the pool of this name in the ConfigMap.
    pub(super) fn read_old(entry: &mut Table<'_>, pool: &str) -> Result<Self, Wrong> {
        Ok(Self {
            length_v4: length(entry, "aggregation-length", 32)?,
            length_v6: length(entry, "aggregation-length-v6", 128)?,
            local_pref: local_pref(entry, "localpref")?,
            communities: entry.texts("communities")?,
            ..Self::plain(pool)
        })
    }

    /// Reads an entry of `bgpAdvertisements` of an AddressPool.
    pub(super) fn read_inline(entry: &mut Table<'_>, pool: &str) -> Result<Self, Wrong> {
        Ok(Self {
            length_v4: length(entry, "aggregationLength", 32)?,
            length_v6: length(entry, "aggregationLengthV6", 128)?,
            local_pref: local_pref(entry, "localPref")?,
            communities: entry.texts("communities")?,
            ..Self::plain(pool)
        })
    }

    /// Each address of a pool to everybody, as it is.
    pub(super) fn plain(pool: &str) -> Self {
        Self {
            length_v4: 32,
            length_v6: 128,
            local_pref: None,
            communities: Vec::new(),
            pools: PoolChoice {
                names: vec![pool.into()],
                selectors: Vec::new(),
            },
            node_selectors: Vec::new(),
            service_selectors: Vec::new(),
            peers: Vec::new(),
        }
    }

    /// What its routes carry.
    pub(super) fn marks(&self, aliases: &Aliases) -> Result<Marks, Box<str>> {
        let mut marks = Marks {
            local_pref: self.local_pref,
            ..Marks::default()
        };
        for text in &self.communities {
            let community = match aliases.get(text) {
                Some(community) => *community,
                None => parse_community(text).ok_or_else(|| -> Box<str> {
                    format!(
                        "community \"{text}\" is no value and no Community object has this alias; \
                         nothing is announced under this advertisement until one has"
                    )
                    .into()
                })?,
            };
            match community {
                AnyCommunity::Plain(value) => marks.communities.push(value),
                AnyCommunity::Large(value) => marks.large_communities.push(value),
            }
        }
        marks.communities.sort_unstable();
        marks.communities.dedup();
        marks.large_communities.sort_unstable();
        marks.large_communities.dedup();
        Ok(marks)
    }

    /// The first of the pool's addresses that the lengths would aggregate beyond, and the key that
    /// does it.
    pub(super) fn too_short_for(&self, pool: &Pool) -> Option<(IpAddr, &'static str)> {
        let beyond = |line: &&super::pool::Addresses| match line.first.is_ipv4() {
            true => self.length_v4 < line.shortest,
            false => self.length_v6 < line.shortest,
        };
        pool.addresses.iter().find(beyond).map(|line| {
            let key = match line.first.is_ipv4() {
                true => "aggregationLength",
                false => "aggregationLengthV6",
            };
            (line.first, key)
        })
    }

    /// Whether two advertisements of one pool can stand together on one node. They cannot when they
    /// give one update two values of LOCAL_PREF: the same length in a family that the pool has, a
    /// peer in common, different values. The rule is MetalLB's; it compares the nodes too, which
    /// both have in common here.
    pub(super) fn agrees_with(&self, other: &Self, pool: &Pool) -> bool {
        if self.local_pref == other.local_pref {
            return true;
        }
        let differs = match pool.families() {
            [true, false] => self.length_v4 != other.length_v4,
            [false, true] => self.length_v6 != other.length_v6,
            _ => self.length_v4 != other.length_v4 && self.length_v6 != other.length_v6,
        };
        let apart = !self.peers.is_empty()
            && !other.peers.is_empty()
            && !self.peers.iter().any(|peer| other.peers.contains(peer));
        differs || apart
    }
}

fn length(table: &mut Table<'_>, key: &'static str, most: u8) -> Result<u8, Wrong> {
    let length = table.number(key, u32::from(most))?;
    Ok(length.map_or(most, |length| u8::try_from(length).unwrap_or(most)))
}

/// LOCAL_PREF; 0 is unset. MetalLB's native speaker would send the 0, its FRR modes leave the
/// attribute to the router, which says 100; we do as those.
fn local_pref(table: &mut Table<'_>, key: &'static str) -> Result<Option<u32>, Wrong> {
    Ok(table.number(key, u32::MAX)?.filter(|value| *value != 0))
}

/// An L2Advertisement: nothing of it is ours but that its pools need not be announced by BGP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Layer2 {
    pub(super) pools: PoolChoice,
}

impl Layer2 {
    /// Reads the `spec`.
    pub(super) fn read(spec: &mut Table<'_>, unknown: &mut Vec<Box<str>>) -> Result<Self, Wrong> {
        selector::list(spec, "nodeSelectors", unknown)?;
        selector::list(spec, "serviceSelectors", unknown)?;
        spec.texts("interfaces")?;
        spec.list("preferredNodeSelectors")?;
        Ok(Self {
            pools: PoolChoice::read(spec, unknown)?,
        })
    }

    /// Of one pool of the ConfigMap.
    pub(super) fn plain(pool: &str) -> Self {
        Self {
            pools: Advertisement::plain(pool).pools,
        }
    }
}

/// A community of either size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnyCommunity {
    Plain(u32),
    Large([u32; 3]),
}

/// What the Community objects of a namespace call things.
pub(super) type Aliases = BTreeMap<Box<str>, AnyCommunity>;

/// Parses `64512:1`, `large:64512:1:2` or a well-known name (RFC 1997, RFC 3765, RFC 7999,
/// RFC 8326).
pub(super) fn parse_community(text: &str) -> Option<AnyCommunity> {
    const WELL_KNOWN: [(&str, u32); 7] = [
        ("graceful-shutdown", 0xffff_0000),
        ("blackhole", 0xffff_029a),
        ("no-export", 0xffff_ff01),
        ("no-advertise", 0xffff_ff02),
        ("no-export-subconfed", 0xffff_ff03),
        ("local-as", 0xffff_ff03),
        ("no-peer", 0xffff_ff04),
    ];
    if let Some((_, value)) = WELL_KNOWN.iter().find(|(name, _)| *name == text) {
        return Some(AnyCommunity::Plain(*value));
    }
    let mut parts = text.split(':');
    let community = match parts.next()? {
        "large" => {
            let mut part = || parts.next()?.parse::<u32>().ok();
            AnyCommunity::Large([part()?, part()?, part()?])
        }
        high => {
            let (high, low): (u16, u16) = (high.parse().ok()?, parts.next()?.parse().ok()?);
            AnyCommunity::Plain(u32::from(high) << 16 | u32::from(low))
        }
    };
    parts.next().is_none().then_some(community)
}
