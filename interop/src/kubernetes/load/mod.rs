//! The benchmark of the Kubernetes side: how fast, how large, how calm.
//!
//! One node with `wayfare-bgpd`, our API server with thousands of objects of a real cluster's shape
//! ([`crowd`]), and a router that takes notes: a player that reads every UPDATE strictly and knows
//! when it came. Four cases ([`cases`]), one per bar; what they find becomes a record and tables
//! ([`figures`]). The time of an event runs from the write at the API server, which is in this
//! process, to the moment in which the router has read the UPDATE: decoding, decision, the other
//! objects and the session are all inside.

pub mod cases;
pub mod crowd;
pub mod figures;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, TcpStream};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use super::rig::{NODE, NODE_ASN, ROUTER_ASN};
use super::{KUBECONFIG, objects};
use crate::apiserver::ApiServer;
use crate::lab::{Lab, OWN_ADDRESS};
use crate::node::Node;
use crate::peers::wayfare;
use crate::player::Player;
use crate::scenario;
use crate::wait;

/// The first address that the router speaks from; each session has one of its own.
const FIRST_ROUTER: u8 = 201;
/// How many sessions there may be in one benchmark.
const ROUTERS: u8 = 50;
/// The longest that all routes may take to arrive; far above any bar.
pub const ALL_LIMIT: Duration = Duration::from_secs(60);
const STATE: &str = "/var/lib/wayfare";

/// The lab of the benchmark.
pub struct Ground {
    lab: Lab,
    /// Where the agent runs.
    pub node: Node,
    next: AtomicU8,
}

/// What `/proc` says of the agent's memory, in MiB.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Memory {
    /// Now.
    pub resident: f64,
    /// The largest it was.
    pub peak: f64,
}

impl Ground {
    /// Makes the node.
    pub fn new(mut lab: Lab) -> Ground {
        let node = lab.node(NODE);
        Ground {
            lab,
            node,
            next: AtomicU8::new(FIRST_ROUTER),
        }
    }

    /// A server with this crowd; the node has its credentials.
    ///
    /// # Errors
    /// Those of the sockets, or an object that the server does not take.
    pub fn server(&self, nodes: usize, services: usize) -> Result<ApiServer, String> {
        let server = ApiServer::start(IpAddr::V4(OWN_ADDRESS)).map_err(|e| e.to_string())?;
        for object in objects::from_yaml(super::role::LEAST) {
            server
                .apply(&object)
                .map_err(|refusal| refusal.to_string())?;
        }
        for index in 0..nodes {
            server
                .apply(&crowd::node(index))
                .map_err(|refusal| refusal.to_string())?;
        }
        for index in 0..services {
            for object in [crowd::service(index), crowd::slice(index, true)] {
                server
                    .apply(&object)
                    .map_err(|refusal| refusal.to_string())?;
            }
        }
        let token = server.service_account(super::role::ACCOUNT);
        self.node.write(KUBECONFIG, server.kubeconfig(&token));
        Ok(server)
    }

    /// Starts the agent without anything it remembers; does not wait for it.
    pub fn start_agent(&self, with_kubernetes: bool) {
        self.node.sh(&format!("rm -rf {STATE}; mkdir -p {STATE}"));
        self.node.write(wayfare::CONFIG, config(with_kubernetes));
        drop(self.node.spawn(
            "bgpd.log",
            "/opt/wayfare/wayfare-bgpd",
            &["--config", wayfare::CONFIG],
        ));
    }

    /// Ends the agent; returns when it is gone.
    pub fn stop_agent(&self) {
        self.node.kill(&["wayfare-bgpd"]);
        wait::until_true("the agent is gone", 20, || {
            !self.node.has_process("wayfare-bgpd")
        });
    }

    /// A router with a session to the agent, as soon as that listens.
    pub fn router(&self) -> Player {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let agent: IpAddr = Lab::address(self.node.index()).into();
        // The player spins until somebody listens, which would cost the agent its processor.
        while TcpStream::connect((agent, 179)).is_err() {
            std::thread::park_timeout(Duration::from_millis(2));
        }
        scenario::speak(&self.lab, number, agent, ROUTER_ASN, true)
    }

    /// The agent's memory.
    ///
    /// # Errors
    /// It is not running.
    pub fn memory(&self) -> Result<Memory, String> {
        let text = self
            .node
            .output("sh", &["-c", "cat /proc/$(pidof wayfare-bgpd)/status"])?;
        let fields: BTreeMap<&str, &str> = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .collect();
        let mib = |name: &str| {
            let kib = fields.get(name)?.split_whitespace().next()?.parse::<f64>();
            Some(kib.ok()? / 1024.0)
        };
        let memory = || {
            Some(Memory {
                resident: mib("VmRSS")?,
                peak: mib("VmHWM")?,
            })
        };
        memory().ok_or_else(|| format!("no memory in {text}"))
    }

    /// The last of the agent's log, for a case that failed.
    pub fn last_words(&self) -> String {
        self.node.last_words()
    }
}

fn config(with_kubernetes: bool) -> String {
    let mut text = format!("[router]\nasn = {NODE_ASN}\nrouter-id = \"10.99.0.1\"\n");
    if with_kubernetes {
        let _ = write!(
            text,
            "\n[kubernetes]\nkubeconfig = \"{KUBECONFIG}\"\nnode-name = \"{NODE}\"\n\
             gate = \"off\"\nadvertise = [\"pod-cidr\", \"load-balancer-ip\"]\n\
             \n[[pool]]\nname = \"crowd\"\naddresses = [\"{}\"]\n",
            crowd::POOL
        );
    }
    for number in FIRST_ROUTER..FIRST_ROUTER + ROUTERS {
        let _ = write!(
            text,
            "\n[[neighbor]]\naddress = \"{}\"\nasn = {ROUTER_ASN}\npassive = true\n\
             families = [\"ipv4-unicast\", \"ipv6-unicast\"]\nimport = \"accept-all\"\n\
             export = \"accept-all\"\n",
            Lab::address(number)
        );
    }
    text
}
