//! Writing a set as a peer is to get it, straight into octets.
//!
//! What a speaker does to a path before it passes it on is the same for every path of a session:
//! its AS in front, another next hop, some attributes left out, some added (RFC 4271 §5.1, RFC 4456
//! §8, RFC 9234 §5). Taking a set apart into an edit and building a new one for that, hash and all,
//! was a tenth of the cost of a full table. [`Outgoing`] names the changes, and
//! [`AttrSet::write_as`] walks the canonical octets once and writes the new ones; runs of
//! attributes that stay are copied as they lie.
//!
//! The result is canonical as well: [`AttrSet::from_block`] makes a set of it for whoever wants to
//! show what a peer is told. For two-octet peers that set is then narrowed.

use std::net::Ipv4Addr;

use super::read::Attributes;
use super::{AttrSet, NextHop, RawAttr, as_path, flag, put_attr};

/// Attributes of the AS that must not leave it: LOCAL_PREF (RFC 4271 §5.1.5), ORIGINATOR_ID and
/// CLUSTER_LIST (RFC 4456 §8), AIGP (RFC 7311 §3.1).
pub(super) const INTERNAL: [u8; 4] = [5, 9, 10, 26];

/// How a set is written for a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The next hop. An IPv6 one is not part of the octets: it goes into MP_REACH_NLRI.
    pub next_hop: NextHop,
    /// Prepended to AS_PATH, once.
    pub prepend: Option<u32>,
    /// Leave MULTI_EXIT_DISC out.
    pub drop_med: bool,
    /// Leave out what must not cross the border of the AS, non-transitive extended communities
    /// included.
    pub leaves_as: bool,
    /// LOCAL_PREF where there is none.
    pub local_pref: Option<u32>,
    /// ORIGINATOR_ID where there is none.
    pub originator_id: Option<Ipv4Addr>,
    /// Prepended to CLUSTER_LIST.
    pub cluster: Option<Ipv4Addr>,
    /// ONLY_TO_CUSTOMER where there is none.
    pub otc: Option<u32>,
}

impl Outgoing {
    /// Changes the next hop alone, if at all.
    pub const fn with_next_hop(next_hop: NextHop) -> Self {
        Self {
            next_hop,
            prepend: None,
            drop_med: false,
            leaves_as: false,
            local_pref: None,
            originator_id: None,
            cluster: None,
            otc: None,
        }
    }

    /// Whether an attribute stays as it is.
    fn keeps(&self, type_code: u8) -> bool {
        match type_code {
            2 => self.prepend.is_none(),
            // Written anew, in its place.
            3 => false,
            4 => !self.drop_med,
            16 | 25 => !self.leaves_as,
            10 if self.cluster.is_some() => false,
            code => !(self.leaves_as && INTERNAL.contains(&code)),
        }
    }

    /// Writes what becomes of an attribute that does not stay as it is.
    fn write(&self, attr: RawAttr<'_>, out: &mut Vec<u8>) {
        let mut put = |value: &[u8]| {
            put_attr(RawAttr { value, ..attr }, out);
        };
        match (attr.type_code, self.prepend, self.cluster) {
            (2, Some(asn), _) => put(&as_path::prepend(attr.value, asn, 1)),
            (10, _, Some(first)) if !self.leaves_as => {
                put(&[&first.octets(), attr.value].concat());
            }
            (16, ..) => put_transitive::<8>(attr.value, put),
            (25, ..) => put_transitive::<20>(attr.value, put),
            _ => {}
        }
    }

    /// What to write where `set` has nothing, by type code.
    fn missing(&self, set: &AttrSet) -> [Option<Missing>; 6] {
        let absent = |code: u8| !set.has(code);
        let next_hop = match self.next_hop {
            NextHop::V4(addr) => Some(addr),
            NextHop::V6 { .. } => None,
        };
        let path = self.prepend.filter(|_| absent(2));
        let local_pref = self.local_pref.filter(|_| absent(5));
        let originator = self.originator_id.filter(|_| absent(9));
        let cluster = self.cluster.filter(|_| absent(10));
        let otc = self.otc.filter(|_| absent(35));
        let transitive = flag::OPTIONAL | flag::TRANSITIVE;
        [
            path.map(Missing::first_hop),
            next_hop.map(|addr| Missing::new(3, flag::TRANSITIVE, addr.octets())),
            local_pref.map(|value| Missing::new(5, flag::TRANSITIVE, value.to_be_bytes())),
            originator.map(|id| Missing::new(9, flag::OPTIONAL, id.octets())),
            cluster.map(|id| Missing::new(10, flag::OPTIONAL, id.octets())),
            otc.map(|asn| Missing::new(35, transitive, asn.to_be_bytes())),
        ]
    }
}

/// A small attribute to be added.
#[derive(Clone, Copy, Debug)]
struct Missing {
    type_code: u8,
    /// Header and value; of an AS_PATH six octets of value, else four.
    octets: [u8; 9],
    len: usize,
}

impl Missing {
    fn new(type_code: u8, flags: u8, [a, b, c, d]: [u8; 4]) -> Self {
        Self {
            type_code,
            octets: [flags, type_code, 4, a, b, c, d, 0, 0],
            len: 7,
        }
    }

    /// An AS_PATH of one AS.
    fn first_hop(asn: u32) -> Self {
        let ([a, b, c, d], sequence) = (asn.to_be_bytes(), as_path::SegmentKind::Sequence);
        Self {
            type_code: 2,
            octets: [flag::TRANSITIVE, 2, 6, sequence.value(), 1, a, b, c, d],
            len: 9,
        }
    }
}

/// Extended communities that may leave the AS (RFC 4360 §6, RFC 5701 §2).
fn put_transitive<const N: usize>(value: &[u8], mut put: impl FnMut(&[u8])) {
    let transitive = |item: &&[u8; N]| item.first().is_some_and(|kind| kind & 0x40 == 0);
    let (items, _) = value.as_chunks::<N>();
    if items.iter().all(|item| transitive(&item)) {
        return put(value);
    }
    let kept: Vec<u8> = items.iter().filter(transitive).flatten().copied().collect();
    if !kept.is_empty() {
        put(&kept);
    }
}

impl AttrSet {
    /// Appends the attributes of this set, with changes, in the form of a four-octet peer;
    /// `false`, and nothing useful appended, when they are more than any message can say.
    pub fn write_as(&self, how: &Outgoing, out: &mut Vec<u8>) -> bool {
        let block = self.wire_block();
        if self.is_oversize() || block.len() + LONGER > usize::from(u16::MAX) {
            return false;
        }
        out.reserve(block.len() + 64);
        let missing = how.missing(self);
        let mut due = missing.iter().flatten().peekable();
        let mut attributes = Attributes { octets: block };
        // Attributes between `from` and `at` stay and have not been written yet.
        let (mut from, mut at) = (0, 0);
        while let Some(attr) = attributes.next() {
            let start = at;
            at = block.len() - attributes.octets.len();
            let keeps = how.keeps(attr.type_code);
            let before = |due: &&Missing| due.type_code <= attr.type_code;
            if keeps && !due.peek().is_some_and(before) {
                continue;
            }
            out.extend_from_slice(block.get(from..start).unwrap_or_default());
            from = start;
            while let Some(due) = due.next_if(before) {
                out.extend_from_slice(due.octets.get(..due.len).unwrap_or_default());
            }
            if !keeps {
                how.write(attr, out);
                from = at;
            }
        }
        out.extend_from_slice(block.get(from..at).unwrap_or_default());
        for due in due {
            out.extend_from_slice(due.octets.get(..due.len).unwrap_or_default());
        }
        true
    }

    /// The set of canonical octets that [`write_as`](Self::write_as) has written, with the next
    /// hop of the same change.
    pub fn from_block(block: &[u8], next_hop: NextHop) -> Self {
        Self::build(Attributes { octets: block }, next_hop)
    }
}

/// Octets by which one attribute can grow.
const LONGER: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bgp::{AttrEdit, ExtCommunity, Origin};
    use proptest::prelude::*;

    /// The same changes by way of an edit.
    fn edited(set: &AttrSet, how: &Outgoing) -> AttrSet {
        let mut edit = set.edit();
        edit.set_next_hop(how.next_hop);
        if let Some(asn) = how.prepend {
            edit.prepend(asn, 1);
        }
        if how.drop_med {
            edit.set_med(None);
        }
        if how.leaves_as {
            edit.drop_non_transitive();
        }
        if let (Some(value), None) = (how.local_pref, set.local_pref()) {
            edit.set_local_pref(Some(value));
        }
        if let (Some(id), None) = (how.originator_id, set.originator_id()) {
            edit.set_originator_id(id);
        }
        if let Some(id) = how.cluster {
            edit.prepend_cluster_list(id);
        }
        if let (Some(asn), None) = (how.otc, set.otc()) {
            edit.set_otc(Some(asn));
        }
        edit.finish()
    }

    fn some_set() -> impl Strategy<Value = AttrSet> {
        let number = || prop::option::of(any::<u32>());
        let path = prop_oneof![
            4 => prop::collection::vec(1u32..70_000, 0..6),
            1 => Just(vec![7; 255]),
        ];
        let lists = (
            prop::collection::vec(any::<u32>(), 0..80),
            prop::collection::vec(any::<[u8; 8]>(), 0..4),
            prop::collection::vec(any::<u32>(), 0..3),
        );
        let v6 = any::<bool>();
        (path, lists, [number(), number(), number(), number()], v6).prop_map(
            |(path, (plain, extended, clusters), [med, pref, originator, otc], v6)| {
                let hop = match v6 {
                    true => NextHop::from(std::net::IpAddr::from([0x2001, 0, 0, 0, 0, 0, 0, 1])),
                    false => NextHop::V4([192, 0, 2, 1].into()),
                };
                let mut edit = AttrEdit::new(Origin::Egp, hop);
                edit.set_as_path(&path).set_med(med).set_local_pref(pref);
                edit.set_otc(otc);
                for one in plain {
                    edit.add_community(one);
                }
                for one in extended {
                    edit.add_ext_community(ExtCommunity(one));
                }
                for one in clusters {
                    edit.prepend_cluster_list(one.into());
                }
                if let Some(id) = originator {
                    edit.set_originator_id(id.into());
                }
                edit.finish()
            },
        )
    }

    fn some_change() -> impl Strategy<Value = Outgoing> {
        let number = || prop::option::of(any::<u32>());
        let flags = any::<[bool; 4]>();
        (flags, [number(), number(), number(), number(), number()]).prop_map(
            |([v6, drop_med, leaves_as, _], [prepend, local_pref, originator, cluster, otc])| {
                let hop = match v6 {
                    true => NextHop::from(std::net::IpAddr::from([0x2001, 0, 0, 0, 0, 0, 0, 9])),
                    false => NextHop::V4([192, 0, 2, 9].into()),
                };
                let internal = |value: Option<u32>| value.filter(|_| !leaves_as);
                Outgoing {
                    prepend,
                    drop_med,
                    leaves_as,
                    local_pref: internal(local_pref),
                    originator_id: internal(originator).map(Ipv4Addr::from),
                    cluster: internal(cluster).map(Ipv4Addr::from),
                    otc,
                    ..Outgoing::with_next_hop(hop)
                }
            },
        )
    }

    proptest! {
        /// Octet for octet what taking the set apart and building it anew gives.
        #[test]
        fn what_is_written_is_what_an_edit_gives(set in some_set(), how in some_change()) {
            let wanted = edited(&set, &how);
            let mut block = Vec::new();
            prop_assert!(set.write_as(&how, &mut block));
            prop_assert_eq!(&block[..], wanted.wire_block());
            prop_assert_eq!(AttrSet::from_block(&block, how.next_hop), wanted);
        }
    }

    #[test]
    fn a_path_that_is_missing_is_begun() {
        let hop = NextHop::V4([192, 0, 2, 1].into());
        let set = AttrSet::from_block(&[0x40, 1, 1, 0], hop);
        let how = Outgoing {
            prepend: Some(65001),
            ..Outgoing::with_next_hop(hop)
        };
        let mut block = Vec::new();
        assert!(set.write_as(&how, &mut block));
        let set = AttrSet::from_block(&block, hop);
        assert_eq!(
            set.to_string(),
            "origin IGP path [65001] next-hop 192.0.2.1"
        );
    }
}
