//! A BGP speaker's configuration in neutral words, and a route as anybody sees it.
//!
//! Scenarios are written against these types and run with every implementation. They hold what the
//! scenarios need and nothing else: a peculiarity of one implementation belongs in its module below
//! [`crate::peers`], which translates these words. What an implementation cannot do is not hidden
//! here either; the scenario names it (`crate::peers::Kind::lacks`).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

/// One speaker.
#[derive(Clone, Debug)]
pub struct Speaker {
    /// Its AS.
    pub asn: u32,
    /// Its BGP identifier.
    pub router_id: Ipv4Addr,
    /// What starts here.
    pub networks: Vec<Network>,
    /// Whom it speaks to.
    pub neighbors: Vec<Neighbor>,
    /// From where it accepts neighbors it was not told of.
    pub listen_ranges: Vec<ListenRange>,
    /// iBGP full mesh of these addresses, its own among them (`wayfare-bgpd` only; the others get
    /// plain neighbors).
    pub mesh: Vec<IpAddr>,
    /// Most next hops of one route in the kernel; 1 = no ECMP.
    pub multipath: u16,
    /// Whether best paths go to the kernel.
    pub kernel: bool,
    /// Threads for the tables (`wayfare-bgpd` only); `None` is its default, or what the environment
    /// variable `WAYFARE_THREADS` says.
    pub threads: Option<u16>,
}

impl Speaker {
    /// A speaker with nothing to say and nobody to say it to.
    pub fn new(asn: u32, router_id: Ipv4Addr) -> Speaker {
        Speaker {
            asn,
            router_id,
            networks: Vec::new(),
            neighbors: Vec::new(),
            listen_ranges: Vec::new(),
            mesh: Vec::new(),
            multipath: 1,
            kernel: true,
            threads: None,
        }
    }

    /// Adds a network that starts here.
    pub fn network(mut self, prefix: &str) -> Speaker {
        self.networks.push(Network::new(prefix));
        self
    }

    /// Adds a network with communities of all three kinds.
    pub fn network_with(mut self, network: Network) -> Speaker {
        self.networks.push(network);
        self
    }

    /// Adds a neighbor.
    pub fn neighbor(mut self, neighbor: Neighbor) -> Speaker {
        self.neighbors.push(neighbor);
        self
    }

    /// Accepts neighbors of `asn` from `prefix`.
    pub fn listen_range(mut self, prefix: &str, asn: u32) -> Speaker {
        let prefix = prefix.parse().expect("a prefix written in a test");
        self.listen_ranges.push(ListenRange { prefix, asn });
        self
    }

    /// Installs up to `paths` next hops.
    pub fn multipath(mut self, paths: u16) -> Speaker {
        self.multipath = paths;
        self
    }

    /// Whether a neighbor is in another AS.
    pub fn is_external(&self, neighbor: &Neighbor) -> bool {
        neighbor.asn != self.asn
    }
}

/// Neighbors that come without being configured one by one.
#[derive(Clone, Debug)]
pub struct ListenRange {
    /// From where.
    pub prefix: IpNet,
    /// Their AS.
    pub asn: u32,
}

/// A route that starts at a speaker.
#[derive(Clone, Debug)]
pub struct Network {
    /// Its prefix.
    pub prefix: IpNet,
    /// RFC 1997, `65000:1`.
    pub communities: Vec<String>,
    /// RFC 8092, `65000:1:2`.
    pub large_communities: Vec<String>,
    /// RFC 4360 route targets, `65000:1`.
    pub route_targets: Vec<String>,
    /// MED.
    pub med: Option<u32>,
}

impl Network {
    /// A network without communities.
    pub fn new(prefix: &str) -> Network {
        Network {
            prefix: prefix.parse().expect("a prefix written in a test"),
            communities: Vec::new(),
            large_communities: Vec::new(),
            route_targets: Vec::new(),
            med: None,
        }
    }
}

/// ADD-PATH as configured on one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AddPath {
    /// Not offered.
    #[default]
    Off,
    /// This side sends several paths.
    Send,
    /// This side takes several paths.
    Receive,
    /// Both.
    Both,
}

impl AddPath {
    /// Whether this side sends.
    pub fn sends(self) -> bool {
        matches!(self, AddPath::Send | AddPath::Both)
    }

    /// Whether this side receives.
    pub fn receives(self) -> bool {
        matches!(self, AddPath::Receive | AddPath::Both)
    }
}

/// One configured neighbor.
#[derive(Clone, Debug)]
pub struct Neighbor {
    /// Where it is.
    pub address: IpAddr,
    /// Where this side speaks from.
    pub local: IpAddr,
    /// Its AS.
    pub asn: u32,
    /// IPv4 unicast on this session.
    pub ipv4: bool,
    /// IPv6 unicast on this session.
    pub ipv6: bool,
    /// TCP-MD5 key (RFC 2385).
    pub password: Option<String>,
    /// GTSM for a direct neighbor (RFC 5082).
    pub ttl_security: bool,
    /// This side reflects for it (RFC 4456).
    pub reflector_client: bool,
    /// Set the next hop to this side also for iBGP.
    pub next_hop_self: bool,
    /// RFC 7911.
    pub add_path: AddPath,
    /// CEASE above this number of prefixes of one family.
    pub max_prefixes: Option<u32>,
    /// Wait for the other side to connect.
    pub passive: bool,
    /// Hold time offered, seconds.
    pub hold_time_s: u16,
}

impl Neighbor {
    /// A neighbor with both families and nothing special.
    pub fn new(local: impl Into<IpAddr>, address: impl Into<IpAddr>, asn: u32) -> Neighbor {
        Neighbor {
            address: address.into(),
            local: local.into(),
            asn,
            ipv4: true,
            ipv6: true,
            password: None,
            ttl_security: false,
            reflector_client: false,
            next_hop_self: false,
            add_path: AddPath::Off,
            max_prefixes: None,
            passive: false,
            hold_time_s: 90,
        }
    }

    /// The same without IPv6 unicast.
    pub fn only_ipv4(mut self) -> Neighbor {
        self.ipv6 = false;
        self
    }

    /// The same with a TCP-MD5 key.
    pub fn password(mut self, key: &str) -> Neighbor {
        self.password = Some(key.to_owned());
        self
    }

    /// The same with GTSM.
    pub fn ttl_security(mut self) -> Neighbor {
        self.ttl_security = true;
        self
    }

    /// The same as a client of this reflector.
    pub fn reflector_client(mut self) -> Neighbor {
        self.reflector_client = true;
        self
    }

    /// The same with the next hop set to this side.
    pub fn next_hop_self(mut self) -> Neighbor {
        self.next_hop_self = true;
        self
    }

    /// The same with ADD-PATH.
    pub fn add_path(mut self, add_path: AddPath) -> Neighbor {
        self.add_path = add_path;
        self
    }

    /// The same with a limit.
    pub fn max_prefixes(mut self, limit: u32) -> Neighbor {
        self.max_prefixes = Some(limit);
        self
    }

    /// The same, never connecting out.
    pub fn passive(mut self) -> Neighbor {
        self.passive = true;
        self
    }

    /// The same with another hold time.
    pub fn hold_time(mut self, seconds: u16) -> Neighbor {
        self.hold_time_s = seconds;
        self
    }
}

/// One path of a prefix as a speaker shows it, in one shape for all of them.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Path {
    /// Next hop addresses; link-local ones are left out.
    pub next_hops: Vec<IpAddr>,
    /// The AS path, sets flattened.
    pub as_path: Vec<u32>,
    /// `IGP`, `EGP` or `incomplete`.
    pub origin: String,
    /// MED if shown.
    pub med: Option<u32>,
    /// LOCAL_PREF if shown.
    pub local_pref: Option<u32>,
    /// `65000:1`; well-known ones by number.
    pub communities: BTreeSet<String>,
    /// `65000:1:2`.
    pub large_communities: BTreeSet<String>,
    /// Route targets, `65000:1`.
    pub route_targets: BTreeSet<String>,
    /// RFC 4456.
    pub originator: Option<Ipv4Addr>,
    /// RFC 4456.
    pub cluster_list: Vec<Ipv4Addr>,
    /// Whether it was selected.
    pub best: bool,
}

impl Path {
    /// The AS path as text, `65001 65002`.
    pub fn as_path_text(&self) -> String {
        let words: Vec<String> = self.as_path.iter().map(u32::to_string).collect();
        words.join(" ")
    }
}

/// Digits of a text as numbers: `"65001 {65002,65003}"` gives three.
pub fn numbers(text: &str) -> Vec<u32> {
    text.split(|c: char| !c.is_ascii_digit())
        .filter_map(|word| word.parse().ok())
        .collect()
}
