//! A list of prefixes with ranges of lengths, compiled for lookup.
//!
//! An entry `NET ge G le L` takes every prefix inside `NET` whose length is within the range; as
//! in FRR a bare `NET` takes that length only, and `ge` without `le` reaches down to host routes.
//! A lookup truncates the prefix to each length some entry has and asks a hash table, so a list
//! of ten thousand entries costs as many probes as it has distinct lengths, not ten thousand
//! comparisons.

use ipnet::IpNet;

use super::ast::PrefixMatch;
use crate::hash::{Seed, SeededMap};

/// The compiled list.
#[derive(Debug)]
pub(crate) struct PrefixSet {
    entries: SeededMap<IpNet, Vec<(u8, u8)>>,
    /// Lengths of the entries, per family, ascending.
    lengths: [Vec<u8>; 2],
}

impl PrefixSet {
    /// Compiles; the error is the offending entry.
    pub fn compile(list: &[PrefixMatch]) -> Result<Self, PrefixMatch> {
        let mut set = Self {
            // Prefixes of a configuration, not of a peer: a fixed seed will do.
            entries: Seed::new(0).map(),
            lengths: [Vec::new(), Vec::new()],
        };
        for entry in list {
            let net = entry.net.trunc();
            let least = entry.ge.unwrap_or(net.prefix_len());
            let most = match (entry.le, entry.ge) {
                (Some(le), _) => le,
                (None, Some(_)) => net.max_prefix_len(),
                (None, None) => net.prefix_len(),
            };
            if least < net.prefix_len() || most < least || most > net.max_prefix_len() {
                return Err(*entry);
            }
            set.entries.entry(net).or_default().push((least, most));
            let lengths = set.lengths_of_mut(&net);
            if let Err(at) = lengths.binary_search(&net.prefix_len()) {
                lengths.insert(at, net.prefix_len());
            }
        }
        Ok(set)
    }

    fn lengths_of_mut(&mut self, net: &IpNet) -> &mut Vec<u8> {
        let [v4, v6] = &mut self.lengths;
        match net {
            IpNet::V4(_) => v4,
            IpNet::V6(_) => v6,
        }
    }

    /// Whether the list is empty, which a rule takes as "any prefix".
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether some entry takes `prefix`.
    pub fn contains(&self, prefix: IpNet) -> bool {
        let [v4, v6] = &self.lengths;
        let lengths = match prefix {
            IpNet::V4(_) => v4,
            IpNet::V6(_) => v6,
        };
        lengths
            .iter()
            .take_while(|len| **len <= prefix.prefix_len())
            .filter_map(|len| IpNet::new(prefix.addr(), *len).ok())
            .filter_map(|cover| self.entries.get(&cover.trunc()))
            .flatten()
            .any(|(least, most)| (*least..=*most).contains(&prefix.prefix_len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(net: &str, ge: Option<u8>, le: Option<u8>) -> PrefixMatch {
        PrefixMatch {
            net: net.parse().unwrap(),
            ge,
            le,
        }
    }

    #[test]
    fn lengths_are_taken_as_in_frr() {
        let cases = [
            (entry("10.0.0.0/8", None, None), "10.0.0.0/8", true),
            (entry("10.0.0.0/8", None, None), "10.1.0.0/16", false),
            (entry("10.0.0.0/8", None, Some(24)), "10.0.0.0/8", true),
            (entry("10.0.0.0/8", None, Some(24)), "10.1.2.0/24", true),
            (entry("10.0.0.0/8", None, Some(24)), "10.1.2.0/25", false),
            (entry("10.0.0.0/8", Some(16), None), "10.1.0.0/16", true),
            (entry("10.0.0.0/8", Some(16), None), "10.0.0.0/8", false),
            (entry("10.0.0.0/8", Some(16), None), "10.1.2.3/32", true),
            (entry("10.0.0.0/8", Some(16), None), "11.1.2.3/32", false),
            (entry("0.0.0.0/0", None, Some(32)), "192.0.2.0/24", true),
            (entry("0.0.0.0/0", None, Some(32)), "2001:db8::/32", false),
            (
                entry("2001:db8::/32", None, Some(48)),
                "2001:db8:1::/48",
                true,
            ),
        ];
        for (entry, prefix, expected) in cases {
            let set = PrefixSet::compile(&[entry]).unwrap();
            assert_eq!(
                set.contains(prefix.parse().unwrap()),
                expected,
                "{entry:?} {prefix}"
            );
        }
    }

    #[test]
    fn impossible_ranges_are_refused() {
        for bad in [
            entry("10.0.0.0/8", Some(7), None),
            entry("10.0.0.0/8", None, Some(33)),
            entry("10.0.0.0/8", Some(24), Some(16)),
        ] {
            assert_eq!(PrefixSet::compile(&[bad]).err(), Some(bad));
        }
    }
}
