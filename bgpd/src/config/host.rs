//! What a configuration needs to know about the machine.
//!
//! Three facts enter a resolved configuration from outside the file: the addresses (router id
//! when none is given, and which mesh member this node is), the host name (node name when none
//! is given) and the number of cores. They are passed in, so that resolving stays a function of
//! its inputs; [`Host::probe`] is the one place that asks the system.

use std::net::{IpAddr, Ipv4Addr};

/// One address of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostAddress {
    /// The interface it is on.
    pub interface: String,
    /// Whether that interface is a loopback.
    pub loopback: bool,
    /// The address.
    pub address: IpAddr,
}

/// The machine, as far as a configuration depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// All addresses, in the order of the interfaces.
    pub addresses: Vec<HostAddress>,
    /// `$NODE_NAME`, else the host name.
    pub node_name: String,
    /// Cores we may run on.
    pub cores: usize,
}

impl Host {
    /// Asks the system. What cannot be found out is left empty; whoever needs it says so.
    pub fn probe() -> Self {
        let addresses = nix::ifaddrs::getifaddrs()
            .map(|list| {
                list.filter_map(|entry| {
                    let storage = entry.address?;
                    let address = storage
                        .as_sockaddr_in()
                        .map(|v4| IpAddr::V4(v4.ip()))
                        .or_else(|| storage.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))?;
                    let flags = entry.flags;
                    Some(HostAddress {
                        interface: entry.interface_name,
                        loopback: flags.contains(nix::net::if_::InterfaceFlags::IFF_LOOPBACK),
                        address,
                    })
                })
                .collect()
            })
            .unwrap_or_default();
        let node_name = std::env::var("NODE_NAME")
            .ok()
            .filter(|name| !name.is_empty());
        let host_name = || nix::unistd::gethostname().ok()?.into_string().ok();
        Self {
            addresses,
            node_name: node_name.or_else(host_name).unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// Whether `addr` is one of ours.
    pub fn owns(&self, addr: IpAddr) -> bool {
        self.addresses.iter().any(|own| own.address == addr)
    }

    /// The router id when none is given: the highest address of the loopback that is not
    /// 127.0.0.0/8, else the highest of the first interface that has one.
    pub fn default_router_id(&self) -> Option<Ipv4Addr> {
        let usable = |own: &HostAddress| match own.address {
            IpAddr::V4(v4) if !v4.is_loopback() && !v4.is_unspecified() && !v4.is_link_local() => {
                Some(v4)
            }
            _ => None,
        };
        let on_loopback = self
            .addresses
            .iter()
            .filter(|own| own.loopback)
            .filter_map(usable)
            .max();
        on_loopback.or_else(|| {
            let others = || self.addresses.iter().filter(|own| !own.loopback);
            let first = &others().find(|own| usable(own).is_some())?.interface;
            others()
                .filter(|own| own.interface == *first)
                .filter_map(usable)
                .max()
        })
    }
}
