//! Which of BGP's routes the kernel is given, and which somebody else writes.
//!
//! A cluster has ranges that are not BGP's affair in the kernel although BGP carries their routes:
//! addresses of services, whose packets kube-proxy takes before any route is looked at, and pools
//! that Felix programs (VXLAN, and today IP in IP). A route that lies inside such a range is left
//! out: the longest range decides, and a route that is wider than every range is BGP's own.
//!
//! Routes of pools that BGP writes as IP in IP go into the tunnel's device with the node at the
//! far end as their next hop, `via NODE dev tunl0 onlink`; where the pool says `CrossSubnet`, only
//! those whose node is in no subnet of ours. While nobody knows our subnets, that is none.
//!
//! Only what was learned is left out. A discard route of our own was asked for by whoever knows
//! who writes the rest, and stays.

use std::collections::BTreeSet;
use std::net::IpAddr;

use cluster::{Tunnel, TunnelKind, TunnelMode};
use ipnet::IpNet;
use rib::fib::{Device, FibChange, FibNextHop, FibRoute};

/// What is done with routes inside a range.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KernelRule {
    /// Nothing is written, and why.
    Leave(Box<str>),
    /// They enter a tunnel, but for next hops in one of these subnets.
    Tunnel(Device, Vec<IpNet>),
    /// They are ordinary routes.
    Plain,
}

impl KernelRule {
    /// The tunnel towards a next hop.
    #[must_use]
    pub fn device_to(&self, next_hop: &IpAddr) -> Option<Device> {
        match self {
            Self::Tunnel(device, subnets) => {
                let is_near = subnets.iter().any(|subnet| subnet.contains(next_hop));
                (!is_near).then_some(*device)
            }
            Self::Leave(_) | Self::Plain => None,
        }
    }
}

/// What is done with routes, by range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelRules {
    /// The longest first, each range once.
    rules: Vec<(IpNet, KernelRule)>,
}

impl KernelRules {
    /// The rules that tunnels and ranges of services make. Cluster addresses are left out whoever
    /// wrote their range down; of two that name one range, the services' counts.
    #[must_use]
    pub fn new(tunnels: &[Tunnel], services: &[IpNet]) -> Self {
        let mut rules: Vec<(IpNet, KernelRule)> = Vec::new();
        for range in services {
            let text = "left to kube-proxy: cluster addresses, ";
            rules.push((range.trunc(), leave(text, range)));
        }
        for tunnel in tunnels {
            rules.push((tunnel.range.trunc(), rule(tunnel)));
        }
        // "Anywhere" is nobody's range: with it the kernel would get no route at all.
        rules.retain(|(range, _)| range.prefix_len() != 0);
        // Stable: of equal ranges the first stays.
        rules.sort_by_key(|(range, _)| (std::cmp::Reverse(range.prefix_len()), *range));
        rules.dedup_by_key(|(range, _)| *range);
        Self { rules }
    }

    /// Whether anything enters a tunnel: then nodes of other subnets are next hops, and most are
    /// reached by the default route.
    #[must_use]
    pub fn has_tunnel(&self) -> bool {
        let mut rules = self.rules.iter();
        rules.any(|(_, rule)| matches!(rule, KernelRule::Tunnel(..)))
    }

    /// The rule of the longest range that a prefix lies in.
    #[must_use]
    pub fn of(&self, prefix: &IpNet) -> Option<&KernelRule> {
        let found = self.rules.iter().find(|(range, _)| range.contains(prefix));
        found.map(|(_, rule)| rule)
    }

    /// What the kernel is to hold for what the tables want.
    #[must_use]
    pub fn apply(&self, change: FibChange) -> FibChange {
        let Some(FibRoute::Unicast(hops)) = &change.route else {
            return change;
        };
        let prefix = change.prefix;
        let route = match self.of(&prefix) {
            None | Some(KernelRule::Plain) => return change,
            Some(KernelRule::Leave(_)) => None,
            Some(rule) => {
                let through = |hop: &FibNextHop| FibNextHop {
                    device: rule.device_to(&hop.gateway),
                    ..*hop
                };
                Some(FibRoute::Unicast(hops.iter().map(through).collect()))
            }
        };
        FibChange { prefix, route }
    }

    /// The ranges whose routes another set of rules treats otherwise.
    #[must_use]
    pub fn changed(&self, other: &Self) -> Vec<IpNet> {
        let (old, new): (BTreeSet<_>, BTreeSet<_>) =
            (self.rules.iter().collect(), other.rules.iter().collect());
        let ranges = old.symmetric_difference(&new).map(|(range, _)| *range);
        IpNet::aggregate(&ranges.collect())
    }
}

fn leave(who: &str, range: &IpNet) -> KernelRule {
    KernelRule::Leave(format!("{who}{range}").into())
}

fn rule(tunnel: &Tunnel) -> KernelRule {
    if let Some(name) = &tunnel.device {
        let (subnets, is_known) = match tunnel.mode {
            TunnelMode::Always => (Vec::new(), true),
            TunnelMode::CrossSubnet => (tunnel.subnets.clone(), !tunnel.subnets.is_empty()),
        };
        // IP in IP carries IPv4 alone; a name that Linux cannot have is no device.
        let is_ipip = tunnel.kind == TunnelKind::Ipip;
        let is_possible = is_known && (!is_ipip || tunnel.range.addr().is_ipv4());
        return match Device::new(name).filter(|_| is_possible) {
            Some(device) => KernelRule::Tunnel(device, subnets),
            None => KernelRule::Plain,
        };
    }
    let who = match tunnel.kind {
        TunnelKind::Services => "left to kube-proxy: addresses of services, ",
        TunnelKind::Plain => "left to Felix: pool ",
        TunnelKind::Ipip => "left to Felix: IP in IP pool ",
        TunnelKind::Vxlan => "left to Felix: VXLAN pool ",
    };
    leave(who, &tunnel.range)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cluster::TunnelMode;
    use rib::fib::FibNextHop;

    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn left(range: &str, kind: TunnelKind) -> Tunnel {
        Tunnel {
            range: net(range),
            kind,
            mode: TunnelMode::Always,
            device: None,
            subnets: Vec::new(),
        }
    }

    fn rules() -> KernelRules {
        let ours = Tunnel {
            device: Some("tunl0".into()),
            ..left("10.8.4.0/24", TunnelKind::Ipip)
        };
        let tunnels = [
            left("10.8.0.0/16", TunnelKind::Vxlan),
            ours,
            left("10.8.4.128/25", TunnelKind::Ipip),
            left("10.9.0.0/16", TunnelKind::Plain),
            left("172.40.0.0/16", TunnelKind::Services),
            left("10.96.0.0/12", TunnelKind::Plain),
            left("fd00:8::/32", TunnelKind::Vxlan),
        ];
        KernelRules::new(&tunnels, &[net("10.96.0.0/12")])
    }

    fn change(prefix: &str, route: FibRoute) -> FibChange {
        FibChange {
            prefix: net(prefix),
            route: Some(route),
        }
    }

    fn learned(prefix: &str) -> FibChange {
        learned_by(prefix, "10.0.0.2")
    }

    fn learned_by(prefix: &str, gateway: &str) -> FibChange {
        let hop = FibNextHop {
            gateway: gateway.parse().unwrap(),
            interface: None,
            device: None,
            weight: 1,
        };
        change(prefix, FibRoute::Unicast(Arc::new([hop])))
    }

    #[test]
    fn the_longest_range_decides() {
        let rules = rules();
        let cases = [
            ("10.8.1.0/26", "left to Felix: VXLAN pool 10.8.0.0/16"),
            ("10.8.0.0/16", "left to Felix: VXLAN pool 10.8.0.0/16"),
            ("10.8.4.0/26", ""),
            ("10.8.4.0/24", ""),
            (
                "10.8.4.192/26",
                "left to Felix: IP in IP pool 10.8.4.128/25",
            ),
            ("10.9.1.1/32", "left to Felix: pool 10.9.0.0/16"),
            (
                "172.40.1.1/32",
                "left to kube-proxy: addresses of services, 172.40.0.0/16",
            ),
            (
                "10.96.0.10/32",
                "left to kube-proxy: cluster addresses, 10.96.0.0/12",
            ),
            ("fd00:8:1::/64", "left to Felix: VXLAN pool fd00:8::/32"),
            // Wider than every range, or beside them.
            ("10.0.0.0/8", ""),
            ("0.0.0.0/0", ""),
            ("10.7.0.0/16", ""),
            ("fd00:9::/32", ""),
        ];
        for (prefix, expected) in cases {
            let said = match rules.of(&net(prefix)) {
                Some(KernelRule::Leave(text)) => text.as_ref(),
                _ => "",
            };
            assert_eq!(said, expected, "{prefix}");
            let written = rules.apply(learned(prefix)).route.is_some();
            assert_eq!(written, expected.is_empty(), "{prefix}");
        }
    }

    #[test]
    fn the_mode_and_the_subnet_of_the_node_choose_the_way() {
        let far = Device::new("tunl0");
        let subnets = ["10.0.0.0/24", "192.168.7.0/24"];
        let cases = [
            (TunnelMode::Always, "10.0.0.2", far),
            (TunnelMode::Always, "10.5.0.2", far),
            (TunnelMode::CrossSubnet, "10.0.0.2", None),
            (TunnelMode::CrossSubnet, "192.168.7.9", None),
            (TunnelMode::CrossSubnet, "10.0.1.2", far),
        ];
        for (mode, gateway, expected) in cases {
            let tunnel = Tunnel {
                mode,
                device: Some("tunl0".into()),
                subnets: subnets.map(net).to_vec(),
                ..left("10.8.0.0/16", TunnelKind::Ipip)
            };
            let rules = KernelRules::new(&[tunnel], &[]);
            let Some(FibRoute::Unicast(hops)) =
                rules.apply(learned_by("10.8.1.0/26", gateway)).route
            else {
                panic!("{mode:?} {gateway}: no route");
            };
            assert_eq!(hops[0].device, expected, "{mode:?} {gateway}");
            let beside = learned_by("10.9.1.0/26", gateway);
            assert_eq!(rules.apply(beside.clone()), beside);
        }
    }

    #[test]
    fn discard_routes_stay() {
        let own = change("10.8.1.0/26", FibRoute::Discard);
        assert_eq!(rules().apply(own.clone()), own);
    }

    #[test]
    fn what_other_rules_change_is_known() {
        let fewer = KernelRules::new(&[left("10.8.0.0/16", TunnelKind::Vxlan)], &[]);
        let changed = rules().changed(&fewer);
        assert!(changed.contains(&net("10.96.0.0/12")));
        assert!(!changed.contains(&net("10.8.0.0/16")), "{changed:?}");
        assert!(fewer.changed(&fewer).is_empty());
        let other = [left("10.8.0.0/16", TunnelKind::Ipip)];
        let other = KernelRules::new(&other, &[]);
        assert_eq!(fewer.changed(&other), [net("10.8.0.0/16")]);
    }
}
