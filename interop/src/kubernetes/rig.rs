//! The lab of a node's agent: one node with `wayfare-bgpd`, routers beside it, an API server.
//!
//! What counts is what the routers hold: [`Rig::expect`] compares the whole table of each with what
//! must be there, prefix by prefix, so a route too many fails like one too few. [`Rig::updates`]
//! counts what each router was sent, for tests in which nothing may be sent at all.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::{Cluster, KUBECONFIG, role};
use crate::lab::Lab;
use crate::node::Node;
use crate::peers::{Family, Kind, Router, wayfare};
use crate::speaker::{Neighbor, Speaker};
use crate::wait;

/// The agent's AS.
pub const NODE_ASN: u32 = 64512;
/// The routers' AS.
pub const ROUTER_ASN: u32 = 64500;
/// The agent's node object.
pub const NODE: &str = "n1";
/// How long a change may take to reach a router's table on a busy machine. Speed is the
/// benchmark's matter, not the labs'.
const PATIENCE_S: u64 = 20;

/// What the agent is told beside its neighbors.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Lines of `[kubernetes]` beside `kubeconfig` and `node-name`.
    pub kubernetes: String,
    /// Tables after it (`[[pool]]`, `[[policy]]`).
    pub rest: String,
    /// Lines of each `[[neighbor]]`; `None`: the cluster's objects make the neighbors.
    pub neighbor: Option<String>,
    /// Who the routers are.
    pub routers: Vec<Kind>,
    /// The agent's AS.
    pub node_asn: u32,
    /// The routers' AS.
    pub router_asn: u32,
    /// `role::LEAST`, or the rules of the manifests that are shipped with their account.
    pub rules: Option<(Vec<Value>, String)>,
}

impl Default for Plan {
    fn default() -> Self {
        Plan {
            kubernetes: "gate = \"off\"\n".to_owned(),
            rest: String::new(),
            neighbor: Some(String::new()),
            routers: vec![Kind::Bird],
            node_asn: NODE_ASN,
            router_asn: ROUTER_ASN,
            rules: None,
        }
    }
}

/// The running lab.
pub struct Rig {
    /// The API server.
    pub cluster: Cluster,
    /// The node, 10.99.0.1.
    pub node: Node,
    /// The routers, 10.99.0.2 and on.
    pub routers: Vec<Router>,
    config: String,
    /// What a cluster that is not the lab's own announced before the first step.
    others: BTreeSet<IpNet>,
}

impl Rig {
    /// Starts routers and agent; returns before any session is up.
    pub fn start(lab: &mut Lab, cluster: Cluster, plan: &Plan) -> Rig {
        let rig = Rig::prepare(lab, cluster, plan);
        rig.start_agent();
        rig
    }

    /// The same without the agent.
    pub fn prepare(lab: &mut Lab, cluster: Cluster, plan: &Plan) -> Rig {
        let node = lab.node(NODE);
        let account = match &plan.rules {
            Some((rules, account)) => {
                rules.iter().for_each(|rule| cluster.apply(rule));
                account.clone()
            }
            None => {
                cluster.manifest(role::LEAST);
                role::ACCOUNT.to_owned()
            }
        };
        cluster.admit(&node, &account);
        let mut starts = Vec::new();
        for kind in &plan.routers {
            let host = lab.node(kind.name());
            let local = Lab::address(host.index());
            let neighbor = Neighbor::new(local, Lab::address(1), plan.node_asn);
            let speaker = Speaker::new(plan.router_asn, local).neighbor(neighbor);
            starts.push((*kind, host, speaker));
        }
        let config = config(plan);
        node.write(wayfare::CONFIG, &config);
        // Where the unit and the manifests give it a directory to remember things in.
        node.sh("mkdir -p /var/lib/wayfare");
        Rig {
            cluster,
            node,
            routers: Router::start_all(starts),
            config,
            others: BTreeSet::new(),
        }
    }

    /// Leaves out from now on what is announced already: a cluster that others use has services.
    #[track_caller]
    pub fn leave_out_others(&mut self) {
        // Two looks a second apart that agree, on every router.
        let mut last = None;
        self.others = wait::until("the table of the given cluster is at rest", 60, || {
            std::thread::park_timeout(std::time::Duration::from_secs(1));
            let mut now = BTreeSet::new();
            for router in &self.routers {
                now.extend(table(router)?);
            }
            match last.replace(now.clone()) == Some(now.clone()) {
                true => Ok(now),
                false => Err("it moves".to_owned()),
            }
        });
    }

    /// Starts the agent on the configuration already written.
    pub fn start_agent(&self) {
        wayfare::start(&self.node);
    }

    /// Kills the agent without a farewell; returns when it is gone.
    pub fn kill_agent(&self) {
        self.node.kill(&["wayfare-bgpd"]);
        wait::until_true("the agent is gone", 10, || {
            !self.node.has_process("wayfare-bgpd")
        });
    }

    /// The agent's configuration.
    pub fn config(&self) -> &str {
        &self.config
    }

    /// Waits until every router has a session with the agent.
    #[track_caller]
    pub fn wait_established(&self) {
        for router in &self.routers {
            router.wait_established(Lab::address(1));
        }
    }

    /// Waits until every router's table holds exactly these prefixes.
    #[track_caller]
    pub fn expect(&self, step: &str, prefixes: &[&str]) {
        let wanted: BTreeSet<IpNet> = prefixes
            .iter()
            .map(|text| {
                text.parse()
                    .unwrap_or_else(|_| panic!("{text} is no prefix"))
            })
            .collect();
        for router in &self.routers {
            let what = format!("{step}: table of {}", router.node.name());
            wait::until(&what, PATIENCE_S, || {
                let mut found = table(router)?;
                found.retain(|prefix| !self.others.contains(prefix));
                match found == wanted {
                    true => Ok(()),
                    false => Err(difference(&found, &wanted) + &self.explain()),
                }
            });
        }
        eprintln!("ok {step}");
    }

    /// What the agent says it announces and why, for a step that failed.
    fn explain(&self) -> String {
        let shown = wayfare::wayfare(&self.node, "show bgp advertisements");
        format!("\n{}", shown.unwrap_or_else(|why| why))
    }

    /// How many announcements and withdrawals each router was sent by the agent.
    #[track_caller]
    pub fn updates(&self) -> Vec<u64> {
        let count = |router: &Router| match updates(router) {
            Ok(count) => count,
            Err(why) => panic!("{}: {why}", router.node.name()),
        };
        self.routers.iter().map(count).collect()
    }

    /// The agent's answer to `show … json`.
    ///
    /// # Errors
    /// What the command said.
    pub fn show(&self, command: &str) -> Result<Value, String> {
        wayfare::show(&self.node, command)
    }

    /// The agent's log.
    pub fn log(&self) -> String {
        self.node.read("/run/node/bgpd.log")
    }
}

fn config(plan: &Plan) -> String {
    let access = match plan.kubernetes.contains("dir://") {
        true => String::new(),
        false => format!("kubeconfig = \"{KUBECONFIG}\"\n"),
    };
    let mut text = format!(
        "[router]\nasn = {}\nrouter-id = \"10.99.0.1\"\n\n[kernel]\n\n[kubernetes]\n\
         {access}node-name = \"{NODE}\"\n{}{}",
        plan.node_asn, plan.kubernetes, plan.rest
    );
    for index in 2..plan.routers.len() + 2 {
        let Some(lines) = &plan.neighbor else { break };
        let _ = write!(
            text,
            "\n[[neighbor]]\naddress = \"10.99.0.{index}\"\nasn = {}\nconnect-retry = \"1s\"\n\
             families = [\"ipv4-unicast\", \"ipv6-unicast\"]\nimport = \"accept-all\"\n\
             export = \"accept-all\"\n{lines}",
            plan.router_asn
        );
    }
    text
}

/// Everything in a router's table.
///
/// # Errors
/// What its tool said.
pub fn table(router: &Router) -> Result<BTreeSet<IpNet>, String> {
    let mut found = router.prefixes(Family::V4)?;
    found.extend(router.prefixes(Family::V6)?);
    Ok(found)
}

fn difference(found: &BTreeSet<IpNet>, wanted: &BTreeSet<IpNet>) -> String {
    let missing: Vec<String> = wanted.difference(found).map(ToString::to_string).collect();
    let extra: Vec<String> = found.difference(wanted).map(ToString::to_string).collect();
    format!("missing {missing:?}, too many {extra:?}")
}

/// Announcements and withdrawals that a router has counted from the agent.
fn updates(router: &Router) -> Result<u64, String> {
    let agent: IpAddr = Lab::address(1).into();
    match router.kind {
        Kind::Bird => {
            let text = router.neighbor_text(agent)?;
            let counted = text.lines().filter_map(|line| {
                let line = line.trim();
                let rest = line
                    .strip_prefix("Import updates:")
                    .or_else(|| line.strip_prefix("Import withdraws:"))?;
                rest.split_whitespace().next()?.parse::<u64>().ok()
            });
            Ok(counted.sum())
        }
        Kind::Frr => {
            let words = ["-c", "show bgp neighbors 10.99.0.1 json"];
            let shown = router.node.json("vtysh", &words)?;
            let counted = &shown["10.99.0.1"]["messageStats"]["updatesRecv"];
            counted
                .as_u64()
                .ok_or_else(|| format!("no counter in {shown}"))
        }
        other => Err(format!("{} is not asked for counters", other.name())),
    }
}
