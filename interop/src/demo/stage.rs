//! The demo's lab: who is there, who speaks to whom, and what can be seen of it.
//!
//! Addresses follow the lab's rule: `tor1` is 10.99.0.1, `tor2` .2, the nodes .3 to .5, the
//! stranger .6, the control plane's nodes .7 and .8. The nodes' files show what an operator of such
//! a rack writes: a mesh, two neighbors, a pod CIDR, a pool.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::cluster::{self, Api};
use super::probe::Report;
use super::vip::Vip;
use crate::lab::Lab;
use crate::peers::{Kind, Router, wayfare};
use crate::speaker::{Neighbor, Speaker};

/// AS of the nodes.
pub const NODES_ASN: u32 = 64512;
/// AS of the routers.
pub const ROUTER_ASNS: [u32; 2] = [65001, 65002];
/// The address of a service.
pub const SERVICE: &str = "172.40.100.10";
/// Key of the sessions with `tor1`.
const KEY: &str = "rack-7-key";

/// What every node announces besides its pod CIDR, and that it announces nothing else.
const ORIGINS: &str = r#"
[[policy]]
name = "own"
rules = [{ match = { origin-source = ["pod-cidr", "pool:services"] }, then = "accept" }]

[[pool]]
name = "services"
addresses = ["172.40.100.0/24"]
community = ["64512:20"]
"#;

/// The running lab.
pub struct Stage {
    /// `tor1` (FRR) and `tor2` (BIRD).
    pub routers: Vec<Router>,
    /// `node1` to `node3`.
    pub nodes: Vec<Router>,
    /// Speaks from outside the rack with a key of its own.
    pub stranger: Router,
    /// The cluster's API server.
    pub api: Api,
    /// The control plane's nodes and its client.
    pub vip: Vip,
    /// Keeps the nodes alive, and holds the switch.
    pub lab: Lab,
}

/// What can be seen at one moment.
#[derive(Clone, Debug, Default)]
pub struct Sight {
    /// Router, node, whether their session is Established.
    pub sessions: Vec<(String, String, bool)>,
    /// Router, prefix, the gateways its kernel uses.
    pub routes: Vec<(String, String, BTreeSet<IpAddr>)>,
    /// Node of the control plane, its state, whether its kernel has the address.
    pub vip: Vec<(String, String, bool)>,
    /// The client's last second.
    pub stream: Report,
}

impl Stage {
    /// Starts everything; returns before any session is up.
    pub fn build(mut lab: Lab) -> Stage {
        let hosts: Vec<_> = ["tor1", "tor2", "node1", "node2", "node3", "stranger"]
            .map(|n| lab.node(n))
            .into();
        let mut plan = Vec::new();
        for (index, kind) in [(1, Kind::Frr), (2, Kind::Bird)] {
            let local = Lab::address(index);
            let asn = ROUTER_ASNS[usize::from(index) - 1];
            let mut speaker = Speaker::new(asn, local).multipath(8);
            for node in 3..=6 {
                let mut neighbor = Neighbor::new(local, Lab::address(node), NODES_ASN).only_ipv4();
                if index == 1 {
                    neighbor = neighbor.password(KEY);
                }
                if index == 1 || node != 6 {
                    speaker = speaker.neighbor(neighbor);
                }
            }
            plan.push((kind, hosts[usize::from(index) - 1].clone(), speaker));
        }
        let mut nodes = Vec::new();
        let api = Api::start();
        for index in 3..=6 {
            let host = &hosts[usize::from(index) - 1];
            let key = if index == 6 { "a-guess" } else { KEY };
            let speaker = node_speaker(index, key);
            // The neutral words cover all but what is ours alone: pod CIDR and pool.
            // A node answers for itself: what the mesh taught it is not its to announce.
            let text = wayfare::config(&speaker).replace(
                "export = \"accept-all\"",
                if index == 6 {
                    "export = \"accept-all\""
                } else {
                    "export = \"own\""
                },
            ) + &origins(index);
            let text = match index {
                6 => text,
                index => text + &api.admit(host, index),
            };
            wayfare::write(host, &speaker, &text);
            wayfare::start(host);
            nodes.push(Router {
                kind: Kind::Wayfare,
                node: host.clone(),
                speaker,
            });
        }
        let routers = Router::start_all(plan);
        let vip = Vip::start(&mut lab);
        let stranger = nodes.pop().expect("four were made");
        Stage {
            routers,
            nodes,
            stranger,
            api,
            vip,
            lab,
        }
    }

    /// Looks at all routers once. What does not answer is shown as absent.
    pub fn look(&self) -> Sight {
        let mut sight = Sight::default();
        for router in &self.routers {
            for node in &self.nodes {
                let up = router.is_established(address(node)).unwrap_or(false);
                let names = (router.node.name().to_owned(), node.node.name().to_owned());
                sight.sessions.push((names.0, names.1, up));
            }
            for prefix in prefixes() {
                let gateways = router.kernel_gateways(&prefix).unwrap_or_default();
                sight
                    .routes
                    .push((router.node.name().to_owned(), prefix, gateways));
            }
        }
        sight.vip = self.vip.look();
        sight.stream = self.vip.probe.lately();
        sight
    }
}

/// The node's own address on the rack's wire.
pub fn address(node: &Router) -> IpAddr {
    IpAddr::V4(node.speaker.router_id)
}

/// The pod CIDR of the node at 10.99.0.`index`.
pub fn pod_cidr(index: u8) -> String {
    format!("10.244.{}.0/24", index - 2)
}

/// What is to appear on the routers.
pub fn prefixes() -> Vec<String> {
    let mut prefixes: Vec<String> = (3..=5).map(pod_cidr).collect();
    prefixes.push(format!("{SERVICE}/32"));
    prefixes.push(format!("{}/32", cluster::ADDRESS));
    prefixes
}

fn node_speaker(index: u8, key: &str) -> Speaker {
    let local = Lab::address(index);
    let mut speaker = Speaker::new(NODES_ASN, local).multipath(8);
    speaker.mesh = if index == 6 {
        Vec::new()
    } else {
        (3..=5).map(|node| Lab::address(node).into()).collect()
    };
    let tor1 = Neighbor::new(local, Lab::address(1), ROUTER_ASNS[0])
        .only_ipv4()
        .password(key);
    let tor2 = Neighbor::new(local, Lab::address(2), ROUTER_ASNS[1]).only_ipv4();
    speaker = speaker.neighbor(tor1);
    if index == 6 {
        speaker
    } else {
        speaker.neighbor(tor2)
    }
}

fn origins(index: u8) -> String {
    if index == 6 {
        return "\n[[advertise]]\nkind = \"network\"\nprefixes = [\"172.40.100.10/32\"]\n"
            .to_owned();
    }
    format!(
        "{ORIGINS}\n[[advertise]]\nkind = \"pod-cidr\"\nprefixes = [\"{}\"]\n",
        pod_cidr(index)
    )
}
