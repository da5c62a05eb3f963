//! The implementations on the other side, and ours, behind one face.
//!
//! [`Kind`] names an implementation, [`Router`] is one running in a node. Each submodule owns one
//! implementation: it writes the configuration for a [`Speaker`], starts the programs in the order
//! they need, and reads sessions and tables back. Reading always goes through the implementation's
//! own tool in its most structured form (vtysh, gobgp and bgpctl as JSON, birdc as text, because
//! BIRD has nothing else).
//!
//! What an implementation lacks is a fact of the world and part of the result: [`Kind::lacks`]
//! names it, and a scenario that needs it is skipped with that sentence.

pub mod bird;
pub mod exabgp;
pub mod frr;
pub mod gobgp;
pub mod openbgpd;
pub mod wayfare;

use std::collections::BTreeSet;
use std::env;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::lab::Lab;
use crate::node::Node;
use crate::speaker::{Path, Speaker};
use crate::wait;

/// Address families of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4 unicast.
    V4,
    /// IPv6 unicast.
    V6,
}

impl Family {
    /// The family of a prefix.
    pub fn of(prefix: &IpNet) -> Family {
        match prefix {
            IpNet::V4(_) => Family::V4,
            IpNet::V6(_) => Family::V6,
        }
    }

    /// `ipv4` or `ipv6`.
    pub fn word(self) -> &'static str {
        match self {
            Family::V4 => "ipv4",
            Family::V6 => "ipv6",
        }
    }
}

/// What a scenario asks of the other side beyond plain BGP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// It holds a kernel table.
    KernelTable,
    /// It runs with one user id.
    SingleUser,
    /// Usable IPv6 next hops on an IPv4 session.
    Ipv6NextHopOverIpv4,
    /// A command that sends ROUTE-REFRESH.
    AskRefresh,
}

/// An implementation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// BIRD 3.
    Bird,
    /// FRR 10.
    Frr,
    /// GoBGP 4.
    Gobgp,
    /// OpenBGPD 9.
    Openbgpd,
    /// `wayfare-bgpd` of this checkout.
    Wayfare,
}

impl Kind {
    /// The one under test: `wayfare-bgpd`, or who `WAYFARE_DUT` says, to try a scenario itself.
    pub fn under_test() -> Kind {
        match env::var("WAYFARE_DUT").as_deref() {
            Ok("bird") => Kind::Bird,
            Ok("frr") => Kind::Frr,
            Ok("gobgp") => Kind::Gobgp,
            Ok("openbgpd") => Kind::Openbgpd,
            _ => Kind::Wayfare,
        }
    }

    /// Its name as used in node names and messages.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Bird => "bird",
            Kind::Frr => "frr",
            Kind::Gobgp => "gobgp",
            Kind::Openbgpd => "openbgpd",
            Kind::Wayfare => "wayfare",
        }
    }

    /// The reason why this implementation cannot play a scenario that needs `feature`.
    pub fn lacks(self, feature: Feature) -> Option<&'static str> {
        match (self, feature) {
            (Kind::Gobgp, Feature::KernelTable) => Some("GoBGP writes no kernel routes"),
            (Kind::Gobgp, Feature::Ipv6NextHopOverIpv4) => {
                Some("GoBGP sends IPv4-mapped next hops for IPv6 over an IPv4 session")
            }
            (Kind::Gobgp, Feature::AskRefresh) => {
                Some("GoBGP re-reads its own Adj-RIB-In instead of asking the neighbor")
            }
            (Kind::Frr | Kind::Openbgpd, Feature::SingleUser) => {
                Some("it drops privileges to a user that plain `unshare -r` cannot map (uidmap)")
            }
            _ => None,
        }
    }

    fn implementation(self) -> &'static dyn Implementation {
        match self {
            Kind::Bird => &bird::Bird,
            Kind::Frr => &frr::Frr,
            Kind::Gobgp => &gobgp::Gobgp,
            Kind::Openbgpd => &openbgpd::Openbgpd,
            Kind::Wayfare => &wayfare::Wayfare,
        }
    }
}

/// What each implementation's module provides.
pub(crate) trait Implementation: Sync {
    /// Writes the configuration files.
    fn configure(&self, node: &Node, speaker: &Speaker);
    /// Starts the programs; returns once they take questions.
    fn start(&self, node: &Node, speaker: &Speaker);
    /// Program names, for killing.
    fn programs(&self) -> &'static [&'static str];
    /// The neighbors whose session is Established.
    fn established(&self, node: &Node, speaker: &Speaker) -> Result<BTreeSet<IpAddr>, String>;
    /// Every path of one prefix, selected or not.
    fn paths(&self, node: &Node, prefix: &IpNet) -> Result<Vec<Path>, String>;
    /// All prefixes of the table.
    fn prefixes(&self, node: &Node, family: Family) -> Result<BTreeSet<IpNet>, String>;
    /// Asks the neighbor to send everything again (RFC 2918).
    fn refresh_in(&self, node: &Node, speaker: &Speaker, neighbor: IpAddr) -> Result<(), String>;
    /// Takes one session down by hand with a message (RFC 9003).
    fn shut(&self, node: &Node, speaker: &Speaker, peer: IpAddr, why: &str) -> Result<(), String>;
    /// Everything the implementation tells about one neighbor, as text.
    fn neighbor_text(&self, node: &Node, speaker: &Speaker, peer: IpAddr)
    -> Result<String, String>;
}

/// A router: an implementation that runs in a node.
pub struct Router {
    /// Which implementation.
    pub kind: Kind,
    /// Where.
    pub node: Node,
    /// As what.
    pub speaker: Speaker,
}

impl Router {
    /// Configures and starts `speaker` in `node`.
    pub fn start(kind: Kind, node: &Node, speaker: Speaker) -> Router {
        let implementation = kind.implementation();
        implementation.configure(node, &speaker);
        implementation.start(node, &speaker);
        Router {
            kind,
            node: node.clone(),
            speaker,
        }
    }

    /// Starts several at once.
    pub fn start_all(plan: Vec<(Kind, Node, Speaker)>) -> Vec<Router> {
        let starts: Vec<_> = plan
            .into_iter()
            .map(|(kind, node, speaker)| {
                std::thread::spawn(move || Router::start(kind, &node, speaker))
            })
            .collect();
        starts
            .into_iter()
            .map(|start| start.join().expect("a router starts"))
            .collect()
    }

    /// Kills all its programs without a farewell.
    pub fn kill(&self) {
        self.node.kill(self.kind.implementation().programs());
    }

    /// Starts it again after [`Router::kill`], from the same configuration.
    pub fn start_again(&self) {
        self.kind.implementation().start(&self.node, &self.speaker);
    }

    /// Whether the session with `neighbor` is Established.
    pub fn is_established(&self, neighbor: impl Into<IpAddr>) -> Result<bool, String> {
        let up = self
            .kind
            .implementation()
            .established(&self.node, &self.speaker)?;
        Ok(up.contains(&neighbor.into()))
    }

    /// Waits for the session.
    #[track_caller]
    pub fn wait_established(&self, neighbor: impl Into<IpAddr>) {
        let neighbor = neighbor.into();
        let what = format!("{}: session with {neighbor}", self.node.name());
        wait::until(&what, 25, || match self.is_established(neighbor) {
            Ok(true) => Ok(()),
            Ok(false) => Err("not Established".to_owned()),
            Err(why) => Err(why),
        });
    }

    /// Waits until the session is gone.
    #[track_caller]
    pub fn wait_down(&self, neighbor: impl Into<IpAddr>, seconds: u64) {
        let neighbor = neighbor.into();
        let what = format!("{}: end of the session with {neighbor}", self.node.name());
        wait::until(&what, seconds, || match self.is_established(neighbor) {
            Ok(false) => Ok(()),
            Ok(true) => Err("still Established".to_owned()),
            Err(why) => Err(why),
        });
    }

    /// Every path of `prefix`.
    pub fn paths(&self, prefix: &str) -> Result<Vec<Path>, String> {
        let prefix = prefix.parse().map_err(|e| format!("{prefix}: {e}"))?;
        self.kind.implementation().paths(&self.node, &prefix)
    }

    /// Waits for a selected path of `prefix` and returns it.
    #[track_caller]
    pub fn wait_route(&self, prefix: &str) -> Path {
        let what = format!("{}: route {prefix}", self.node.name());
        wait::until(&what, 20, || {
            let paths = self.paths(prefix)?;
            paths
                .iter()
                .find(|path| path.best)
                .cloned()
                .ok_or_else(|| format!("no best path among {paths:?}"))
        })
    }

    /// Waits until `prefix` has no path at all.
    #[track_caller]
    pub fn wait_no_route(&self, prefix: &str, seconds: u64) {
        let what = format!("{}: {prefix} withdrawn", self.node.name());
        wait::until(&what, seconds, || match self.paths(prefix)? {
            paths if paths.is_empty() => Ok(()),
            paths => Err(format!("{paths:?}")),
        });
    }

    /// Waits until `prefix` has exactly `count` paths.
    #[track_caller]
    pub fn wait_paths(&self, prefix: &str, count: usize) -> Vec<Path> {
        let what = format!("{}: {count} paths of {prefix}", self.node.name());
        wait::until(&what, 20, || match self.paths(prefix)? {
            paths if paths.len() == count => Ok(paths),
            paths => Err(format!("{} paths: {paths:?}", paths.len())),
        })
    }

    /// All prefixes of one family.
    pub fn prefixes(&self, family: Family) -> Result<BTreeSet<IpNet>, String> {
        self.kind.implementation().prefixes(&self.node, family)
    }

    /// Asks `neighbor` for everything again.
    pub fn refresh_in(&self, neighbor: impl Into<IpAddr>) -> Result<(), String> {
        self.kind
            .implementation()
            .refresh_in(&self.node, &self.speaker, neighbor.into())
    }

    /// Takes the session with `neighbor` down by hand.
    pub fn shut(&self, neighbor: impl Into<IpAddr>, why: &str) -> Result<(), String> {
        self.kind
            .implementation()
            .shut(&self.node, &self.speaker, neighbor.into(), why)
    }

    /// What it tells about `neighbor`, its log included.
    pub fn neighbor_text(&self, neighbor: impl Into<IpAddr>) -> Result<String, String> {
        self.kind
            .implementation()
            .neighbor_text(&self.node, &self.speaker, neighbor.into())
    }

    /// The gateways its kernel uses for `prefix`; empty = no such route.
    pub fn kernel_gateways(&self, prefix: &str) -> Result<BTreeSet<IpAddr>, String> {
        let net: IpNet = prefix.parse().map_err(|e| format!("{prefix}: {e}"))?;
        let option = if net.addr().is_ipv6() { "-6 " } else { "" };
        let routes = self.node.routes(&format!("{option}{prefix}"))?;
        let mut gateways = BTreeSet::new();
        for route in &routes {
            let hops = route["nexthops"].as_array().cloned().unwrap_or_default();
            for hop in hops.iter().chain([route]) {
                let gateway = hop["gateway"]
                    .as_str()
                    .or_else(|| hop["via"]["host"].as_str());
                gateways.extend(gateway.and_then(|text| text.parse::<IpAddr>().ok()));
            }
        }
        Ok(gateways)
    }

    /// Waits until the kernel's gateways for `prefix` are exactly these.
    #[track_caller]
    pub fn wait_kernel(&self, prefix: &str, gateways: &[IpAddr]) {
        let expected: BTreeSet<IpAddr> = gateways.iter().copied().collect();
        let what = format!("{}: kernel route {prefix}", self.node.name());
        wait::until(&what, 20, || match self.kernel_gateways(prefix)? {
            found if found == expected => Ok(()),
            found => Err(format!("via {found:?}, expected {expected:?}")),
        });
    }
}

/// Whether `kind` can play in this lab at all; says so when not.
pub fn playable(lab: &Lab, test: &str, kind: Kind, features: &[Feature]) -> bool {
    let single = (!lab.can_drop_privileges()).then_some(Feature::SingleUser);
    for feature in features.iter().copied().chain(single) {
        if let Some(why) = kind.lacks(feature) {
            eprintln!("SKIPPED {test}: {}: {why}", kind.name());
            return false;
        }
    }
    true
}
