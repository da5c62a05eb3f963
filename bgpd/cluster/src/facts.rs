//! What the node itself knows, beside the objects: the dataplane's health, sessions, addresses.
//!
//! Facts enter the pure function like objects do, so that "announced because the proxy answered"
//! is a row of a table and not a race in a task.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use crate::Standing;

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
    /// It sent routes on this session, and all of them carry GRACEFUL_SHUTDOWN (RFC 8326): its
    /// side is ready to lose the session. True of routes kept from a session that it has ended,
    /// too.
    pub peer_retires: bool,
    /// As what the session is configured now; `None`: not by the cluster.
    pub standing: Option<Standing>,
    /// Every usable route of the neighbor is here by another way too: by a neighbor whose session
    /// stays ([`Facts::stays`]), or because it starts here. Of a neighbor that stops reflecting
    /// only the reflected routes count. Judged while the session stood as `standing` says.
    pub is_covered: bool,
    /// It sends routes of others (with ORIGINATOR_ID, RFC 4456 §8). This, `is_covered` and
    /// `peer_retires` are looked at while some session stands in a move, and else only defaults.
    pub reflects: bool,
    /// It is configured and has not been in sync for longer than anybody waits for it, a minute.
    pub is_late: bool,
    /// It has stood as `standing` says for longer than a neighbor is waited for that says nothing,
    /// five minutes.
    pub has_waited: bool,
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
    /// What the health-check node port of a service answered: `true` = it has local endpoints.
    pub health_check: BTreeMap<u16, bool>,
    /// Those that were asked and said nothing: the endpoints alone decide. A port that is in
    /// neither has yet to be asked, and its service waits for that if `proxy` is healthy.
    pub health_check_silent: BTreeSet<u16>,
    /// The operator drains the node, or it is stopping: everything carries GRACEFUL_SHUTDOWN, and
    /// nothing is withdrawn yet.
    pub is_draining: bool,
    /// The wait after a drain (the operator's, or [`crate::Desired::drain`]'s) is over: what
    /// services ask for is withdrawn. Pod routes stay until the daemon stops.
    pub is_drained: bool,
    /// Sessions by the neighbor's address.
    pub sessions: BTreeMap<IpAddr, SessionFact>,
    /// The neighbors whose sessions stayed when `is_covered` was judged, sorted.
    pub stays: Vec<IpAddr>,
    /// Workload routes of the kernel (device `cali*`) outside the node's own blocks: addresses
    /// that this node borrowed (Calico).
    pub borrowed: Vec<IpNet>,
}
