//! Changing an attribute set: what policy, export rules and route origination do to a path.
//!
//! [`AttrEdit`] takes a set apart into parts, lets the caller change some and builds a new set;
//! the old one is untouched, as others may hold it. Adding what is there and removing what is not
//! change nothing, so an edit can be applied twice. The flags of parts that are not touched stay
//! as they came: the Partial bit is never cleared (RFC 4271 §5). Lists that become empty are
//! removed whole, because a list attribute of length zero is malformed (RFC 7606 §7.8).

use std::net::Ipv4Addr;

use smallvec::SmallVec;

use super::community::{ExtCommunity, LargeCommunity};
use super::{AttrSet, NextHop, Origin, RawAttr, as_path, flag};

const OPTIONAL_TRANSITIVE: u8 = flag::OPTIONAL | flag::TRANSITIVE;

#[derive(Clone, Debug)]
struct Part {
    flags: u8,
    type_code: u8,
    value: SmallVec<[u8; 32]>,
}

/// A set being changed. Methods return the edit, so that calls can be chained.
#[derive(Clone, Debug)]
pub struct AttrEdit {
    parts: SmallVec<[Part; 10]>,
    next_hop: NextHop,
}

impl AttrEdit {
    /// A path that starts here: empty AS_PATH, nothing optional.
    pub fn new(origin: Origin, next_hop: NextHop) -> Self {
        let mut edit = Self {
            parts: SmallVec::new(),
            next_hop,
        };
        edit.set_origin(origin);
        edit.put(2, flag::TRANSITIVE, &[]);
        edit
    }

    pub(crate) fn from_set(set: &AttrSet) -> Self {
        let parts = set
            .attributes()
            .filter(|attr| attr.type_code != 3)
            .map(|attr| Part {
                flags: attr.flags,
                type_code: attr.type_code,
                value: SmallVec::from_slice(attr.value),
            });
        Self {
            parts: parts.collect(),
            next_hop: set.next_hop(),
        }
    }

    /// The new set.
    pub fn finish(&self) -> AttrSet {
        let attrs = self.parts.iter().map(|part| RawAttr {
            flags: part.flags,
            type_code: part.type_code,
            value: &part.value,
        });
        AttrSet::build(attrs, self.next_hop)
    }

    /// The next hop as it is now.
    pub fn next_hop(&self) -> NextHop {
        self.next_hop
    }

    /// Sets ORIGIN.
    pub fn set_origin(&mut self, origin: Origin) -> &mut Self {
        self.put(1, flag::TRANSITIVE, &[origin.value()])
    }

    /// Sets the next hop.
    pub fn set_next_hop(&mut self, next_hop: impl Into<NextHop>) -> &mut Self {
        self.next_hop = next_hop.into();
        self
    }

    /// Sets or removes MULTI_EXIT_DISC.
    pub fn set_med(&mut self, med: Option<u32>) -> &mut Self {
        self.set_number(4, flag::OPTIONAL, med)
    }

    /// Sets or removes LOCAL_PREF.
    pub fn set_local_pref(&mut self, local_pref: Option<u32>) -> &mut Self {
        self.set_number(5, flag::TRANSITIVE, local_pref)
    }

    /// Sets or removes ONLY_TO_CUSTOMER, RFC 9234 §5.
    pub fn set_otc(&mut self, asn: Option<u32>) -> &mut Self {
        self.set_number(35, OPTIONAL_TRANSITIVE, asn)
    }

    /// Sets or removes the AIGP metric, RFC 7311 §3.
    pub fn set_aigp(&mut self, metric: Option<u64>) -> &mut Self {
        match metric {
            Some(metric) => {
                let mut value = [1, 0, 11, 0, 0, 0, 0, 0, 0, 0, 0];
                let [_, _, _, octets @ ..] = &mut value;
                *octets = metric.to_be_bytes();
                self.put(26, flag::OPTIONAL, &value)
            }
            None => self.remove(26),
        }
    }

    /// Prepends `asn` to AS_PATH, `times` times, RFC 4271 §5.1.2.
    pub fn prepend(&mut self, asn: u32, times: usize) -> &mut Self {
        let path = as_path::prepend(self.value(2), asn, times);
        self.put(2, flag::TRANSITIVE, &path)
    }

    /// Replaces AS_PATH by one AS_SEQUENCE of `asns`; empty for none.
    pub fn set_as_path(&mut self, asns: &[u32]) -> &mut Self {
        let mut path = Vec::new();
        for asn in asns.iter().rev() {
            path = as_path::prepend(&path, *asn, 1);
        }
        self.put(2, flag::TRANSITIVE, &path)
    }

    /// Sets ORIGINATOR_ID, RFC 4456 §8. Whether it may be overwritten is the reflector's rule.
    pub fn set_originator_id(&mut self, id: Ipv4Addr) -> &mut Self {
        self.put(9, flag::OPTIONAL, &id.octets())
    }

    /// Prepends to CLUSTER_LIST, RFC 4456 §8.
    pub fn prepend_cluster_list(&mut self, id: Ipv4Addr) -> &mut Self {
        let mut value: SmallVec<[u8; 32]> = SmallVec::from_slice(&id.octets());
        value.extend_from_slice(self.value(10));
        self.put(10, flag::OPTIONAL, &value)
    }

    /// Sets or removes ATOMIC_AGGREGATE.
    pub fn set_atomic_aggregate(&mut self, set: bool) -> &mut Self {
        if set {
            self.put(6, flag::TRANSITIVE, &[])
        } else {
            self.remove(6)
        }
    }

    /// Sets AGGREGATOR.
    pub fn set_aggregator(&mut self, asn: u32, id: Ipv4Addr) -> &mut Self {
        let ([a, b, c, d], [e, f, g, h]) = (asn.to_be_bytes(), id.octets());
        self.put(7, OPTIONAL_TRANSITIVE, &[a, b, c, d, e, f, g, h])
    }

    /// Adds a community at the end, unless it is there.
    pub fn add_community(&mut self, community: u32) -> &mut Self {
        self.add_item(8, community.to_be_bytes())
    }

    /// Removes a community wherever it is.
    pub fn remove_community(&mut self, community: u32) -> &mut Self {
        let octets = community.to_be_bytes();
        self.retain_communities(|one| one.to_be_bytes() != octets)
    }

    /// Keeps the communities for which `keep` says so.
    pub fn retain_communities(&mut self, keep: impl Fn(u32) -> bool) -> &mut Self {
        self.retain_items::<4>(8, |octets| keep(u32::from_be_bytes(*octets)))
    }

    /// Removes COMMUNITIES.
    pub fn clear_communities(&mut self) -> &mut Self {
        self.remove(8)
    }

    /// Adds an extended community at the end, unless it is there.
    pub fn add_ext_community(&mut self, community: ExtCommunity) -> &mut Self {
        self.add_item(16, community.0)
    }

    /// Removes an extended community wherever it is.
    pub fn remove_ext_community(&mut self, community: ExtCommunity) -> &mut Self {
        self.retain_ext_communities(|one| one != community)
    }

    /// Keeps the extended communities for which `keep` says so.
    pub fn retain_ext_communities(&mut self, keep: impl Fn(ExtCommunity) -> bool) -> &mut Self {
        self.retain_items::<8>(16, |octets| keep(ExtCommunity(*octets)))
    }

    /// Removes EXTENDED COMMUNITIES.
    pub fn clear_ext_communities(&mut self) -> &mut Self {
        self.remove(16)
    }

    /// Adds a large community at the end, unless it is there.
    pub fn add_large_community(&mut self, community: LargeCommunity) -> &mut Self {
        self.add_item(32, community.to_wire())
    }

    /// Removes a large community wherever it is.
    pub fn remove_large_community(&mut self, community: LargeCommunity) -> &mut Self {
        self.retain_large_communities(|one| one != community)
    }

    /// Keeps the large communities for which `keep` says so.
    pub fn retain_large_communities(&mut self, keep: impl Fn(LargeCommunity) -> bool) -> &mut Self {
        self.retain_items::<12>(32, |octets| keep(LargeCommunity::from_wire(*octets)))
    }

    /// Removes LARGE_COMMUNITY.
    pub fn clear_large_communities(&mut self) -> &mut Self {
        self.remove(32)
    }

    /// Removes an optional attribute. ORIGIN, AS_PATH and the next hop always stay.
    pub fn remove(&mut self, type_code: u8) -> &mut Self {
        if type_code > 3 {
            self.parts.retain(|part| part.type_code != type_code);
        }
        self
    }

    /// Leaves out what must not cross the border of the AS: LOCAL_PREF (RFC 4271 §5.1.5),
    /// ORIGINATOR_ID and CLUSTER_LIST (RFC 4456 §8), AIGP (RFC 7311 §3.1), non-transitive extended
    /// communities (RFC 4360 §6, RFC 5701 §2). MED is the caller's (RFC 4271 §5.1.4).
    pub fn drop_non_transitive(&mut self) -> &mut Self {
        for type_code in super::outgoing::INTERNAL {
            self.remove(type_code);
        }
        self.retain_ext_communities(ExtCommunity::is_transitive);
        self.retain_items::<20>(25, |[kind, ..]| kind & 0x40 == 0)
    }

    fn value(&self, type_code: u8) -> &[u8] {
        let part = self.parts.iter().find(|part| part.type_code == type_code);
        part.map(|part| part.value.as_slice()).unwrap_or_default()
    }

    fn set_number(&mut self, type_code: u8, flags: u8, value: Option<u32>) -> &mut Self {
        match value {
            Some(value) => self.put(type_code, flags, &value.to_be_bytes()),
            None => self.remove(type_code),
        }
    }

    // A part that exists keeps its flags: only its value changes.
    fn put(&mut self, type_code: u8, flags: u8, value: &[u8]) -> &mut Self {
        let value = SmallVec::from_slice(value);
        let at = self
            .parts
            .partition_point(|part| part.type_code < type_code);
        match self
            .parts
            .get_mut(at)
            .filter(|part| part.type_code == type_code)
        {
            Some(part) => part.value = value,
            None => self.parts.insert(
                at,
                Part {
                    flags,
                    type_code,
                    value,
                },
            ),
        }
        self
    }

    fn add_item<const N: usize>(&mut self, type_code: u8, item: [u8; N]) -> &mut Self {
        let (items, _) = self.value(type_code).as_chunks::<N>();
        if items.contains(&item) {
            return self;
        }
        let mut value: SmallVec<[u8; 32]> = SmallVec::from_slice(self.value(type_code));
        value.extend_from_slice(&item);
        self.put(type_code, OPTIONAL_TRANSITIVE, &value)
    }

    fn retain_items<const N: usize>(
        &mut self,
        type_code: u8,
        keep: impl Fn(&[u8; N]) -> bool,
    ) -> &mut Self {
        let (items, _) = self.value(type_code).as_chunks::<N>();
        if items.iter().all(&keep) {
            return self;
        }
        let kept: SmallVec<[u8; 32]> = items
            .iter()
            .filter(|item| keep(item))
            .flatten()
            .copied()
            .collect();
        if kept.is_empty() {
            return self.remove(type_code);
        }
        self.put(type_code, OPTIONAL_TRANSITIVE, &kept)
    }
}
