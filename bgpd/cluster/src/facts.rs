//! What the node itself knows, beside the objects: the dataplane's health, sessions, addresses.
//!
//! Facts enter the pure function like objects do, so that "announced because the proxy answered"
//! is a row of a table and not a race in a task.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

/// What kube-proxy's health endpoint said last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyHealth {
    /// The gate is off: nobody asks.
    #[default]
    Ungated,
    /// Nobody has answered yet: nothing of a service is announced.
    Unknown,
    /// 200: services are programmed.
    Healthy,
    /// 503, or no answer for longer than is tolerated.
    Unhealthy,
}

/// What is known of the session with a neighbor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionFact {
    /// Established.
    pub is_up: bool,
    /// End-of-RIB came for every family, ours was sent, and nothing waits to be sent.
    pub is_in_sync: bool,
    /// All routes the neighbor sends on this session carry GRACEFUL_SHUTDOWN (RFC 8326): its side
    /// is ready to lose the session.
    pub peer_retires: bool,
}

/// A link of this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Its name, as `eth0`.
    pub name: Box<str>,
    /// Prefixes of its addresses and of routes over it without BGP.
    pub subnets: Vec<IpNet>,
}

/// What the node itself knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Our AS, as `[router]` says.
    pub asn: u32,
    /// Our BGP Identifier.
    pub router_id: Option<Ipv4Addr>,
    /// The addresses of this machine.
    pub addresses: Vec<IpAddr>,
    /// The links of this machine and the subnets behind each, default routes as `/0`: what a
    /// filter means that names an interface (Calico's BGPFilter).
    pub links: Vec<Link>,
    /// kube-proxy's own verdict.
    pub proxy: ProxyHealth,
    /// What the health-check node port of a service answered: `true` = it has local endpoints. A
    /// port that was not asked is absent, and then the endpoints alone decide.
    pub health_check: BTreeMap<u16, bool>,
    /// The operator drains the node, or it is stopping.
    pub is_draining: bool,
    /// Sessions by the neighbor's address.
    pub sessions: BTreeMap<IpAddr, SessionFact>,
    /// Workload routes of the kernel (device `cali*`) outside the node's own blocks: addresses that
    /// this node borrowed (Calico).
    pub borrowed: Vec<IpNet>,
}
