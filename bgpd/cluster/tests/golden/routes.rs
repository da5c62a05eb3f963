//! Routes: those that start here, and learned ones, under the filters of both sides.
//!
//! A learned route is made for each prefix at and around every prefix of the case, with the
//! preferences, communities, paths and next hops that its filters ask for. What BIRD does to a
//! route before its filters run is done here too: an eBGP neighbor's route has LOCAL_PREF 100, and
//! towards an eBGP neighbor our AS is in front already (our policies run before that, so it is put
//! in front of ours afterwards).

use std::net::IpAddr;

use cluster::{Announcement, Neighbor, PeerAsn, TunnelMode};
use ipnet::IpNet;
use proto_codec::bgp::{AttrEdit, AttrSet, LargeCommunity, NextHop, Origin};
use rib::Policy;
use rib::policy::{RpkiState, Subject};

use super::Scene;
use super::peers::{bgp, statics};
use super::scene::{LINKS, has_blocks};
use crate::bird::{Config, Route, Token, run};

/// What a route is once a side is done with it: nothing, or its attributes.
type Outcome = Option<(u32, Vec<u32>, Vec<[u32; 3]>, Vec<u32>)>;

fn outcome(route: &Route, accepted: bool, shows_pref: bool) -> Outcome {
    accepted.then(|| {
        let mut communities = route.communities.clone();
        let mut large = route.large.clone();
        communities.sort_unstable();
        large.sort_unstable();
        let pref = if shows_pref {
            route.local_pref.unwrap_or(100)
        } else {
            0
        };
        (pref, communities, large, route.path.clone())
    })
}

/// The same route as our attributes.
fn attrs(route: &Route) -> AttrSet {
    let next_hop = match route.next_hop {
        Some(IpAddr::V4(address)) => NextHop::V4(address),
        Some(IpAddr::V6(global)) => NextHop::V6 {
            global,
            link_local: None,
        },
        None => NextHop::V4([10, 0, 0, 1].into()),
    };
    let mut edit = AttrEdit::new(Origin::Igp, next_hop);
    edit.set_as_path(&route.path);
    edit.set_local_pref(route.local_pref);
    for community in &route.communities {
        edit.add_community(*community);
    }
    for [global, local1, local2] in route.large.iter().copied() {
        edit.add_large_community(LargeCommunity {
            global,
            local1,
            local2,
        });
    }
    edit.finish()
}

/// A route under one of our policies.
fn ours(policy: &Policy, route: &Route, source: Option<&str>, shows_pref: bool) -> Outcome {
    let attrs = attrs(route);
    let subject = Subject {
        prefix: route.net,
        attrs: &attrs,
        neighbor: None,
        origin_source: source,
        is_learned: source.is_none(),
        rpki: RpkiState::NotFound,
        prepend_asn: 64_512,
        own_next_hop: None,
    };
    let (verdict, _) = policy.explain(subject);
    let set = verdict.changed.unwrap_or(attrs);
    let mut after = route.clone();
    after.local_pref = set.local_pref();
    after.communities = set.communities().collect();
    let large = set.large_communities();
    after.large = large
        .map(|one| [one.global, one.local1, one.local2])
        .collect();
    let path = set.as_path().to_string();
    after.path = path
        .split_whitespace()
        .map(|asn| asn.parse().unwrap())
        .collect();
    outcome(&after, verdict.accept, shows_pref)
}

fn blank(net: IpNet, source: &'static str, ifname: &str) -> Route {
    Route {
        net,
        source,
        ifname: ifname.into(),
        next_hop: None,
        local_pref: None,
        metric: None,
        communities: Vec::new(),
        large: Vec::new(),
        path: Vec::new(),
        tunnel: None,
    }
}

/// A neighbor's two policies.
struct Side<'a> {
    neighbor: &'a Neighbor,
    import: Policy,
    export: Policy,
    is_internal: bool,
    own_asn: u32,
}

impl Scene {
    fn sides(&self, family: usize) -> Vec<Side<'_>> {
        let policy = |name: &Option<Box<str>>| {
            let name = name.as_deref().unwrap();
            let def = self.desired.policies.iter().find(|one| one.name == name);
            Policy::compile(def.unwrap()).unwrap()
        };
        let own_asn = self.desired.router.asn.unwrap();
        let side = |neighbor| {
            let own_asn = Neighbor::clone(neighbor).local_asn.unwrap_or(own_asn);
            Side {
                neighbor,
                import: policy(&neighbor.import),
                export: policy(&neighbor.export),
                is_internal: neighbor.asn == PeerAsn::Exact(own_asn),
                own_asn,
            }
        };
        self.neighbors(family).map(side).collect()
    }

    /// What starts here.
    pub fn compare_own(&self, out: &mut Vec<String>, probes: &mut usize) {
        for (family, config) in self.bird.iter().enumerate() {
            let theirs = self.own_of_bird(family);
            let mine = |net: IpNet| {
                let all = self.desired.announcements.iter();
                all.filter(|one| one.prefix == net)
                    .collect::<Vec<&Announcement>>()
            };
            for announcement in &self.desired.announcements {
                let is_v6 = matches!(announcement.prefix, IpNet::V6(_));
                let is_known = theirs.iter().any(|route| route.net == announcement.prefix);
                if usize::from(is_v6) == family && !is_known {
                    out.push(format!("{announcement:?} is ours alone"));
                }
            }
            for route in &theirs {
                if mine(route.net).is_empty() {
                    out.push(format!("{} starts only there", route.net));
                }
            }
            for side in self.sides(family) {
                let protocol = bgp(config);
                let protocol = protocol.iter().find(|(a, _)| *a == side.neighbor.address);
                let Some((_, protocol)) = protocol else {
                    continue;
                };
                for route in &theirs {
                    *probes += 1;
                    let expected = exported(config, &protocol.body.export, route, &side);
                    let got = mine(route.net).iter().find_map(|one| {
                        let mut route = blank(route.net, "", "");
                        route.local_pref = one.marks.local_pref;
                        let ours = ours(&side.export, &route, Some(&one.source), side.is_internal);
                        with_own_asn(ours, &side)
                    });
                    if got != expected {
                        let to = side.neighbor.address;
                        let net = route.net;
                        out.push(format!("own {net} to {to}: {got:?}, expected {expected:?}"));
                    }
                }
            }
        }
    }

    /// BIRD's table before it speaks with anybody.
    fn own_of_bird(&self, family: usize) -> Vec<Route> {
        let blackholes = statics(&self.bird[family])
            .into_iter()
            .filter(|(_, how)| matches!(how, [Token::Word(word)] if word == "blackhole"));
        let mut list: Vec<Route> = blackholes
            .map(|(net, _)| blank(net, "RTS_STATIC", ""))
            .collect();
        let single = has_blocks(&self.bird[0]).then(|| "10.2.0.1/32".parse().unwrap());
        for net in self.borrowed.iter().copied().chain(single) {
            if usize::from(matches!(net, IpNet::V6(_))) == family {
                let mut route = blank(net, "RTS_INHERIT", "cali0123456789a");
                // As Felix programs it.
                let priority = self.desired.router.metric.unwrap();
                route.metric = Some(if family == 0 {
                    priority
                } else {
                    self.v6_priority()
                });
                list.push(route);
            }
        }
        list
    }

    fn v6_priority(&self) -> u32 {
        let marks = self.desired.announcements.iter();
        let v6 = marks.filter(|one| matches!(one.prefix, IpNet::V6(_)));
        let pref = v6.filter_map(|one| one.marks.local_pref).next();
        2_147_483_647 - pref.unwrap_or(2_147_482_623)
    }

    /// Learned routes, on import and on export.
    pub fn compare_learned(&self, out: &mut Vec<String>, probes: &mut usize) {
        for (family, config) in self.bird.iter().enumerate() {
            let protocols = bgp(config);
            for side in self.sides(family) {
                let to = side.neighbor.address;
                let Some((_, protocol)) = protocols.iter().find(|(a, _)| *a == to) else {
                    continue;
                };
                for route in learned(config, family, side.is_internal) {
                    *probes += 1;
                    let mut after = route.clone();
                    after.local_pref = after.local_pref.or(Some(100));
                    let accepted = run(config, &protocol.body.import, &mut after);
                    let expected = outcome(&after, accepted, true);
                    let got = ours(&side.import, &route, None, true);
                    if got != expected {
                        out.push(format!(
                            "import {route:?} from {to}: {got:?}, not {expected:?}"
                        ));
                    }
                    let expected = exported(config, &protocol.body.export, &route, &side);
                    let got = ours(&side.export, &route, None, side.is_internal);
                    let got = with_own_asn(got, &side);
                    if got != expected {
                        out.push(format!(
                            "export {route:?} to {to}: {got:?}, not {expected:?}"
                        ));
                    }
                }
            }
        }
    }

    /// What the kernel gets: own blocks as discard routes, routes of others, and how.
    pub fn compare_kernel(&self, out: &mut Vec<String>, probes: &mut usize) {
        for (family, config) in self.bird.iter().enumerate() {
            let program = &config.filters["calico_kernel_programming"];
            for (net, how) in statics(config) {
                if !matches!(how, [Token::Word(_)]) {
                    continue;
                }
                *probes += 1;
                let mut route = blank(net, "RTS_STATIC", "");
                let expected = run(config, program, &mut route);
                let ours = self
                    .desired
                    .announcements
                    .iter()
                    .find(|one| one.prefix == net);
                if ours.is_some_and(|one| one.discard) != expected {
                    out.push(format!("{net}: discard {}, expected {expected}", !expected));
                }
            }
            for mut route in learned(config, family, true) {
                *probes += 1;
                let (net, next_hop) = (route.net, route.next_hop.unwrap());
                let accepted = run(config, program, &mut route);
                let expected = accepted.then(|| route.tunnel.clone().unwrap_or_default());
                let tunnels = self.desired.tunnels.iter();
                let tunnel = tunnels
                    .filter(|tunnel| tunnel.range.contains(&net))
                    .max_by_key(|tunnel| tunnel.range.prefix_len());
                let ours = match tunnel {
                    None => Some(String::new()),
                    Some(tunnel) => tunnel.device.as_deref().map(|device| {
                        let is_near = tunnel.subnets.iter().any(|net| net.contains(&next_hop));
                        match tunnel.mode {
                            TunnelMode::CrossSubnet if is_near => String::new(),
                            _ => device.to_owned(),
                        }
                    }),
                };
                if ours != expected {
                    out.push(format!(
                        "kernel {net} via {next_hop}: {ours:?}, not {expected:?}"
                    ));
                }
            }
        }
    }
}

/// A route under BIRD's export filter, prepared as BIRD does before it runs.
fn exported(
    config: &Config,
    program: &[crate::bird::Stmt],
    route: &Route,
    side: &Side<'_>,
) -> Outcome {
    let mut after = route.clone();
    after.local_pref = after.local_pref.or(Some(100));
    if !side.is_internal {
        after.path.insert(0, side.own_asn);
    }
    let accepted = run(config, program, &mut after);
    outcome(&after, accepted, side.is_internal)
}

fn with_own_asn(outcome: Outcome, side: &Side<'_>) -> Outcome {
    outcome.map(|(pref, communities, large, mut path)| {
        if !side.is_internal {
            path.insert(0, side.own_asn);
        }
        (pref, communities, large, path)
    })
}

/// Learned routes around everything that a configuration mentions.
fn learned(config: &Config, family: usize, is_internal: bool) -> Vec<Route> {
    let mut nets = Vec::new();
    for net in &config.nets {
        if usize::from(matches!(net, IpNet::V6(_))) == family {
            around(*net, &mut nets);
        }
    }
    let other = ["203.0.113.0/24", "2001:db8:ffff::/48"][family];
    nets.push(other.parse().unwrap());
    nets.sort();
    nets.dedup();
    let prefs: &[Option<u32>] = match is_internal {
        true => &[
            None,
            Some(2_147_482_623),
            Some(2_147_483_135),
            Some(2_147_483_391),
        ],
        false => &[None],
    };
    let marks = [
        (vec![], vec![]),
        (vec![65000 << 16 | 100], vec![]),
        (vec![65000 << 16 | 42], vec![[65000, 100, 200]]),
    ];
    let paths: [&[u32]; 4] = [&[], &[65000], &[65000, 65001, 7], &[650, 65000]];
    let mut routes = Vec::new();
    for (at, net) in nets.into_iter().enumerate() {
        for pref in prefs.iter().copied().chain(special_prefs(is_internal)) {
            for (communities, large) in &marks {
                for path in paths {
                    // All links over the run, and not each with everything.
                    let (ifname, subnets) = LINKS[(at + routes.len()) % LINKS.len()];
                    let mut route = blank(net, "RTS_BGP", ifname);
                    route.next_hop = Some(behind(subnets[family], ifname, family));
                    route.local_pref = pref;
                    route.communities.clone_from(communities);
                    route.large.clone_from(large);
                    route.path = path.to_vec();
                    routes.push(route);
                }
            }
        }
    }
    routes
}

/// Preferences that stand for the priorities 100 and 200.
fn special_prefs(is_internal: bool) -> Vec<Option<u32>> {
    let all = [Some(2_147_483_547), Some(2_147_483_447)];
    all.into_iter().filter(|_| is_internal).collect()
}

/// A next hop behind a link; that of everything lies in the node's own subnet.
fn behind(subnet: &str, ifname: &str, family: usize) -> IpAddr {
    if ifname == "eth0" {
        return ["10.192.0.77", "2001::77"][family].parse().unwrap();
    }
    let net: IpNet = subnet.parse().unwrap();
    net.hosts().nth(6).unwrap()
}

/// The prefix, the one above, halves, a sibling, the first and last address.
fn around(net: IpNet, out: &mut Vec<IpNet>) {
    out.push(net);
    out.extend(net.supernet());
    if let Some(above) = net.supernet() {
        out.extend(above.subnets(net.prefix_len()).unwrap());
    }
    if net.prefix_len() < net.max_prefix_len() {
        out.extend(net.subnets(net.prefix_len() + 1).unwrap());
        out.push(IpNet::from(net.network()));
        out.push(IpNet::from(net.broadcast()));
    }
}
