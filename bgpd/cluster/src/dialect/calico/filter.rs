//! BGPFilter: its rules as rules of our policies.
//!
//! First match wins; a filter that runs out of rules leaves the decision to the next filter, and
//! after the last to Calico's own rules. That is our policies' own way, so a rule becomes a rule;
//! only an interface needs thought.
//!
//! A filter may ask over which *interface* a route goes. BIRD looks at the route's own: a route
//! that starts here as a block or a service has none (which `*` matches), the route of a pod has a
//! `cali…` one, and a learned route goes where its next hop is. For the last, the links of the
//! machine say which next hops lie behind which interface, longest prefix first; tunnels that
//! somebody else programs are not seen.
//!
//! Priority is Calico's word for the metric in the kernel, which travels as LOCAL_PREF: the
//! greatest signed number less the metric.

use ipnet::IpNet;
use rib::policy::{MatchDef, PrefixMatch, RuleDef, SetDef, Then};

use super::objects::{FilterRule, Operation, Operator};
use crate::Link;

/// BIRD's greatest integer.
const INT_MAX: u32 = 2_147_483_647;
/// Source of the routes of pods whose addresses lie in no block of ours.
pub(super) const POD_ADDRESS: &str = "pod-address";
/// An interface of a pod, as Calico names them.
const POD_INTERFACE: &str = "cali0123456789a";

/// The LOCAL_PREF that stands for a metric.
pub(super) fn local_pref(metric: u32) -> u32 {
    INT_MAX.wrapping_sub(metric)
}

/// Every LOCAL_PREF that stands for a metric below this one.
pub(super) fn local_prefs_below(metric: u32) -> (u32, u32) {
    (local_pref(metric).saturating_add(1), INT_MAX)
}

/// Where a filter is applied.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// Import, else export.
    pub is_import: bool,
    /// Towards a neighbor of our own AS.
    pub is_internal: bool,
    /// The links of this machine.
    pub links: &'a [Link],
}

/// The rules that a rule of a filter becomes.
pub(super) fn rules(rule: &FilterRule, place: Place<'_>) -> Vec<RuleDef> {
    if rule
        .internal
        .is_some_and(|internal| internal != place.is_internal)
    {
        return Vec::new();
    }
    let Some(matches) = matches(rule) else {
        return Vec::new();
    };
    let cases = match &rule.interface {
        None => vec![matches],
        Some(pattern) => over_interface(pattern, matches, place),
    };
    let then = if rule.accept {
        Then::Accept
    } else {
        Then::Reject
    };
    let into_rule = |matches| RuleDef {
        matches,
        set: set(&rule.operations),
        then,
    };
    cases.into_iter().map(into_rule).collect()
}

/// What a rule asks of a route, less its interface; `None` when nothing can satisfy it.
fn matches(rule: &FilterRule) -> Option<MatchDef> {
    let mut matches = MatchDef::default();
    if let Some((operator, net)) = rule.prefix {
        let exact = PrefixMatch {
            net,
            ge: None,
            le: None,
        };
        match (operator, inside(net, rule.lengths)) {
            (Operator::Equal, _) => matches.prefix.push(exact),
            (Operator::NotEqual, _) => matches.prefix_not.push(exact),
            (Operator::In, inside) => matches.prefix.push(inside?),
            (Operator::NotIn, inside) => matches.prefix_not.extend(inside),
        }
    }
    for community in &rule.communities {
        let list = match community.matches(':').count() {
            1 => &mut matches.community,
            _ => &mut matches.large_community,
        };
        list.push(community.to_string());
    }
    if !rule.as_path_prefix.is_empty() {
        let asns: Vec<String> = rule.as_path_prefix.iter().map(u32::to_string).collect();
        matches.as_path.push(format!("^{}( |$)", asns.join(" ")));
    }
    matches.learned = rule.is_learned.then_some(true);
    let wanted = rule.priority.map(local_pref);
    matches.local_pref = wanted.map(|wanted| (wanted, wanted));
    Some(matches)
}

/// A prefix and all inside it, of these lengths; `None` when no length fits.
fn inside(net: IpNet, (least, most): (Option<u8>, Option<u8>)) -> Option<PrefixMatch> {
    let least = least.unwrap_or(0).max(net.prefix_len());
    let most = most.unwrap_or_else(|| net.max_prefix_len());
    (least <= most).then_some(PrefixMatch {
        net,
        ge: Some(least),
        le: Some(most),
    })
}

/// The routes that go over an interface of this name, one match for each sort of route.
fn over_interface(pattern: &str, matches: MatchDef, place: Place<'_>) -> Vec<MatchDef> {
    let mut cases = Vec::new();
    let next_hop = behind(pattern, place.links);
    if !next_hop.is_empty() {
        cases.push(MatchDef {
            learned: Some(true),
            next_hop,
            ..matches.clone()
        });
    }
    if place.is_import || matches.learned == Some(true) {
        return cases;
    }
    if glob(pattern, "") {
        cases.push(MatchDef {
            learned: Some(false),
            ..matches
        });
    } else if glob(pattern, POD_INTERFACE) {
        cases.push(MatchDef {
            origin_source: vec![POD_ADDRESS.into()],
            ..matches
        });
    }
    cases
}

/// The addresses that lie behind interfaces of this name: their subnets, less those that lie in a
/// longer subnet of another.
pub(super) fn behind(pattern: &str, links: &[Link]) -> Vec<IpNet> {
    let subnets = |wanted: bool| {
        let links = links.iter();
        let links = links.filter(move |link| glob(pattern, &link.name) == wanted);
        links.flat_map(|link| link.subnets.iter().map(IpNet::trunc))
    };
    let holes: Vec<IpNet> = subnets(false).collect();
    let mut nets: Vec<IpNet> = Vec::new();
    for net in subnets(true) {
        cut(net, &holes, &mut nets);
    }
    IpNet::aggregate(&nets)
}

/// `net` without the `holes` in it, into `out`.
fn cut(net: IpNet, holes: &[IpNet], out: &mut Vec<IpNet>) {
    let longer = |hole: &IpNet| hole.prefix_len() > net.prefix_len() && net.contains(hole);
    let within: Vec<IpNet> = holes.iter().copied().filter(longer).collect();
    if within.is_empty() {
        out.push(net);
        return;
    }
    let Ok(halves) = net.subnets(net.prefix_len().saturating_add(1)) else {
        return;
    };
    for half in halves {
        if !within.contains(&half) {
            cut(half, &within, out);
        }
    }
}

/// Whether a name fits a pattern in which `*` stands for any text and `?` for one letter.
/// Only the last `*` is ever tried again, so the time is bounded by the product of the lengths.
fn glob(pattern: &str, name: &str) -> bool {
    let (mut pattern, mut name) = (pattern.chars(), name.chars());
    // What follows the last `*`, and where in the name the next try begins.
    let mut again = None;
    loop {
        let mut rest = name.clone();
        let letter = rest.next();
        let mut after = pattern.clone();
        match (after.next(), letter) {
            (None, None) => return true,
            (Some('*'), _) => {
                again = Some((after.clone(), name.clone()));
                pattern = after;
                continue;
            }
            (Some(wanted), Some(letter)) if wanted == '?' || wanted == letter => {
                (pattern, name) = (after, rest);
                continue;
            }
            _ => {}
        }
        let Some((tail, mut from)) = again.take() else {
            return false;
        };
        if from.next().is_none() {
            return false;
        }
        (pattern, name) = (tail.clone(), from.clone());
        again = Some((tail, from));
    }
}

fn set(operations: &[Operation]) -> SetDef {
    let mut set = SetDef::default();
    for operation in operations {
        match operation {
            Operation::AddCommunity(text) => add_community(&mut set, text),
            // Each one goes in front of those before it.
            Operation::Prepend(path) => {
                set.prepend_path = path.iter().chain(&set.prepend_path).copied().collect();
            }
            Operation::SetPriority(priority) => set.local_pref = Some(local_pref(*priority)),
        }
    }
    set
}

/// Adds a community of two or of three parts.
pub(super) fn add_community(set: &mut SetDef, text: &str) {
    let list = match text.matches(':').count() {
        1 => &mut set.community_add,
        _ => &mut set.large_community_add,
    };
    list.push(text.to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(name: &str, subnets: &[&str]) -> Link {
        Link {
            name: name.into(),
            subnets: subnets.iter().map(|net| net.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn a_name_fits_a_pattern_as_in_bird() {
        for (pattern, name, fits) in [
            ("eth0", "eth0", true),
            ("eth0", "eth01", false),
            ("eth*", "eth0", true),
            ("*.calico", "vxlan.calico", true),
            ("*.calico", "vxlan.calicox", false),
            ("some*iface", "some-other-iface", true),
            ("*", "", true),
            ("eth?", "eth0", true),
            ("cali*", "", false),
            ("*a*b", "xaxbxb", true),
            ("*a*b", "xaxbxc", false),
            ("e**0", "eth0", true),
            ("", "", true),
            ("", "e", false),
        ] {
            assert_eq!(glob(pattern, name), fits, "{pattern} {name}");
        }
        // Would take longer than anyone waits if every `*` were tried with every tail.
        let many = "*a".repeat(5_000);
        assert!(!glob(&many, &"a".repeat(4_999)));
    }

    #[test]
    fn the_longest_subnet_says_which_interface_is_meant() {
        let links = [
            link("eth0", &["10.0.0.1/24", "0.0.0.0/0"]),
            link("eth1", &["10.1.0.0/16"]),
        ];
        assert_eq!(behind("eth1", &links), ["10.1.0.0/16".parse().unwrap()]);
        let over_first = behind("eth0", &links);
        let takes = |text: &str| {
            let addr: std::net::IpAddr = text.parse().unwrap();
            over_first.iter().any(|net| net.contains(&addr))
        };
        assert!(takes("10.0.0.7") && takes("192.0.2.1") && takes("10.2.0.1"));
        assert!(!takes("10.1.2.3"));
        assert!(behind("wlan0", &links).is_empty());
    }
}
