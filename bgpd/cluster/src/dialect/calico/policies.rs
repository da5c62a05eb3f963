//! What is imported and exported: Calico's rules as policies.
//!
//! Export, in the order of the filters that Calico writes for BIRD, which is kept to the letter:
//!
//! 1. the neighbor's BGPFilters;
//! 2. pools that are not to be exported: reject;
//! 3. communities of ranges are added;
//! 4. blocks of this node: the block itself goes out, of what lies inside only routes of more than
//!    ordinary priority (a pod that moved in with its address);
//! 5. ranges of services that start here; what else starts here and is no pod's;
//! 6. on a reflector, ranges of load balancers and external addresses;
//! 7. pools; nothing else.
//!
//! Before 2, what leads into a device of Calico's is kept back, inside the cluster: such routes are
//! Felix's. BIRD has them from the kernel; we never do, so only learned ones are looked at.
//!
//! Import takes everything that the BGPFilters leave.
//!
//! A policy is named for what it depends on (family, inside or outside, filters), so that all nodes
//! of a mesh share one, and with it one update group.

use ipnet::IpNet;
use rib::policy::{MatchDef, PolicyDef, PrefixMatch, RuleDef, SetDef, Then};

use super::filter::{self, Place};
use super::gathered::{Gathered, Named};
use super::objects::BlockAffinity;
use super::peers::Peers;
use super::services::Ranges;
use crate::{Facts, Fault, PeerAsn, Severity};

/// The metric below which a route inside a block goes out beside it. Calico's own, and not
/// `ipv4NormalRoutePriority`.
const ELEVATED: u32 = 1_024;

/// Gives every neighbor its policies.
pub(super) fn assign(
    all: &Gathered<'_>,
    ranges: &Ranges,
    facts: &Facts,
    peers: &mut Peers,
) -> Vec<PolicyDef> {
    let mut policies: Vec<PolicyDef> = Vec::new();
    for neighbor in peers.neighbors.iter_mut().chain(&mut peers.others) {
        let filters = peers.filters.get(&neighbor.address);
        let filters = filters.map_or(&[][..], Vec::as_slice);
        let own_asn = neighbor.local_asn.unwrap_or_else(|| all.own_asn());
        let kind = Kind {
            is_ipv6: neighbor.address.is_ipv6(),
            is_internal: neighbor.asn == PeerAsn::Exact(own_asn),
            filters,
        };
        for is_import in [true, false] {
            let name = kind.name(is_import);
            if !policies.iter().any(|policy| *policy.name == *name) {
                let mut rules = kind.filter_rules(all, facts, is_import, &mut peers.faults);
                match is_import {
                    true => rules.push(then(MatchDef::default(), Then::Accept)),
                    false => {
                        rules.extend(kind.not_ours(all, facts));
                        rules.extend(export(all, ranges, usize::from(kind.is_ipv6)));
                    }
                }
                policies.push(PolicyDef {
                    name: name.clone(),
                    rules,
                });
            }
            let slot = match is_import {
                true => &mut neighbor.import,
                false => &mut neighbor.export,
            };
            *slot = Some(name.into());
        }
    }
    policies.sort_by(|one, other| one.name.cmp(&other.name));
    policies
}

/// What a policy depends on.
struct Kind<'a> {
    is_ipv6: bool,
    is_internal: bool,
    filters: &'a [Box<str>],
}

impl Kind<'_> {
    fn name(&self, is_import: bool) -> String {
        let direction = if is_import { "import" } else { "export" };
        let family = if self.is_ipv6 { "v6" } else { "v4" };
        let side = if self.is_internal {
            "internal"
        } else {
            "external"
        };
        let mut name = format!("calico:{direction}:{family}:{side}");
        for filter in self.filters {
            name.push(':');
            name.push_str(filter);
        }
        name
    }

    /// Routes that lead into Calico's own devices are Felix's, and their owner announces them.
    fn not_ours(&self, all: &Gathered<'_>, facts: &Facts) -> Option<RuleDef> {
        let mut devices = vec!["bpf*.cali"];
        if self.is_internal {
            devices.extend(["*.cali", "*.calico"]);
            let programs = all.cluster().programs.unwrap_or_default();
            devices.extend((!programs.ipip).then_some("tunl0"));
        }
        let devices = devices.into_iter();
        let next_hop: Vec<IpNet> = devices
            .flat_map(|device| filter::behind(device, &facts.links))
            .collect();
        let matches = MatchDef {
            learned: Some(true),
            next_hop,
            ..MatchDef::default()
        };
        (!matches.next_hop.is_empty()).then(|| then(matches, Then::Reject))
    }

    fn filter_rules(
        &self,
        all: &Gathered<'_>,
        facts: &Facts,
        is_import: bool,
        faults: &mut Vec<Fault>,
    ) -> Vec<RuleDef> {
        let place = Place {
            is_import,
            is_internal: self.is_internal,
            links: &facts.links,
        };
        let mut rules = Vec::new();
        for name in self.filters {
            let text = match all.filter(name) {
                Named::Filter(filter) => {
                    let lists = if is_import {
                        &filter.import
                    } else {
                        &filter.export
                    };
                    let list = lists.get(usize::from(self.is_ipv6));
                    let list = list.map_or(&[][..], Vec::as_slice);
                    rules.extend(list.iter().flat_map(|rule| filter::rules(rule, place)));
                    let asks = list.iter().any(|rule| rule.interface.is_some());
                    if !asks || !facts.links.is_empty() {
                        continue;
                    }
                    "the links of this machine are not known: rules with `interface` match no \
                     learned route"
                }
                Named::Absent => "there is no such filter: it is skipped, as Calico does",
                // To leave a guard out would let through what it is there to stop.
                Named::Broken => {
                    rules.push(then(MatchDef::default(), Then::Reject));
                    "the filter cannot be read: its neighbors exchange nothing"
                }
            };
            let is_broken = matches!(all.filter(name), Named::Broken);
            let fault = Fault {
                object: format!("BGPFilter {name}").into(),
                path: "".into(),
                severity: if is_broken {
                    Severity::Error
                } else {
                    Severity::Warning
                },
                text: text.into(),
            };
            if !faults.contains(&fault) {
                faults.push(fault);
            }
        }
        rules
    }
}

/// Calico's own rules of export.
fn export(all: &Gathered<'_>, ranges: &Ranges, family: usize) -> Vec<RuleDef> {
    let is_ipv6 = family == 1;
    let of_family = |net: &IpNet| matches!(net, IpNet::V6(_)) == is_ipv6;
    let mut rules = Vec::new();
    let pools = |exported: bool| -> Vec<IpNet> {
        let pools = all
            .pools
            .iter()
            .filter(|pool| pool.is_unexported != exported);
        pools.map(|pool| pool.cidr).filter(of_family).collect()
    };
    push(&mut rules, within(pools(false)), Then::Reject);
    for (range, communities) in all.advertisements(family) {
        let mut set = SetDef::default();
        communities
            .iter()
            .for_each(|one| filter::add_community(&mut set, one));
        rules.push(RuleDef {
            matches: within(vec![range]),
            set,
            then: Then::Next,
        });
    }
    let blocks = own_blocks(all).map(|block| block.cidr);
    let blocks: Vec<IpNet> = blocks.filter(of_family).collect();
    push(&mut rules, exactly(&blocks), Then::Accept);
    let elevated = MatchDef {
        local_pref: Some(filter::local_prefs_below(ELEVATED)),
        ..within(blocks.clone())
    };
    push(&mut rules, elevated, Then::Accept);
    push(&mut rules, within(blocks), Then::Reject);
    let started: Vec<IpNet> = ranges.started().filter(of_family).collect();
    push(&mut rules, within(started), Then::Accept);
    // Addresses of services, and what other dialects and the file start here.
    let own = MatchDef {
        learned: Some(false),
        ..MatchDef::default()
    };
    rules.push(then(own, Then::Accept));
    if all.own_cluster_id().is_some() {
        let passed_on: Vec<IpNet> = ranges.reflected().filter(of_family).collect();
        push(&mut rules, within(passed_on), Then::Accept);
    }
    push(&mut rules, within(pools(true)), Then::Accept);
    rules
}

/// The blocks that are this node's.
pub(super) fn own_blocks<'a>(all: &'a Gathered<'a>) -> impl Iterator<Item = &'a BlockAffinity> {
    let ours = all.blocks.iter().copied();
    ours.filter(|block| block.is_confirmed && *block.node == *all.own_name)
}

/// A rule, unless its list is empty: an empty list would match everything.
fn push(rules: &mut Vec<RuleDef>, matches: MatchDef, verdict: Then) {
    if !matches.prefix.is_empty() {
        rules.push(then(matches, verdict));
    }
}

fn then(matches: MatchDef, then: Then) -> RuleDef {
    RuleDef {
        matches,
        set: SetDef::default(),
        then,
    }
}

fn exactly(nets: &[IpNet]) -> MatchDef {
    let one = |net: &IpNet| PrefixMatch {
        net: *net,
        ge: None,
        le: None,
    };
    MatchDef {
        prefix: nets.iter().map(one).collect(),
        ..MatchDef::default()
    }
}

fn within(nets: Vec<IpNet>) -> MatchDef {
    let one = |net: IpNet| PrefixMatch {
        net,
        ge: Some(net.prefix_len()),
        le: None,
    };
    MatchDef {
        prefix: nets.into_iter().map(one).collect(),
        ..MatchDef::default()
    }
}
