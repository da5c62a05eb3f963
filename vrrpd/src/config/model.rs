//! A resolved configuration: every default filled in, every value in range.
//!
//! What the protocol needs is a [`Settings`] of the router; what only the host needs (place, length
//! of subnets) stands beside it. Nothing here refers to the file any more, so that two of them can
//! be compared as resolved and not as written.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;

use super::check::Tracked;
use super::routes::VirtualRoute;
use crate::router::Settings;

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The virtual routers, in the order of the file.
    pub instances: Vec<Instance>,
    /// The sync groups, in the order of the file.
    pub groups: Vec<SyncGroup>,
    /// Where the exporter listens; `None`: there is none.
    pub metrics: Option<SocketAddr>,
}

/// Instances that are master together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncGroup {
    /// Its name; no instance has it.
    pub name: String,
    /// Its members, each in no other group.
    pub instances: Vec<String>,
    /// Who is told of the states that all members share.
    pub notify: Option<PathBuf>,
}

/// Where an instance lives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The interface of this name, which may appear later.
    Interface(String),
    /// The interface of the route to this address.
    RouteTo(IpAddr),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interface(name) => f.write_str(name),
            Self::RouteTo(address) => write!(f, "the interface towards {address}"),
        }
    }
}

/// One virtual router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its name, unique in the file.
    pub name: String,
    /// Where it lives.
    pub place: Place,
    /// What the protocol needs.
    pub settings: Settings,
    /// The virtual addresses with the length of their subnet, as they go on the interface; in the
    /// order of `settings.addresses`.
    pub networks: Vec<IpNet>,
    /// What is tracked.
    pub track: Vec<Tracked>,
    /// What it can reach while it is master.
    pub routes: Vec<VirtualRoute>,
    /// Who is told of every state.
    pub notify: Option<PathBuf>,
    /// Whether a master that does not own the addresses takes what is sent to them (Accept_Mode,
    /// RFC 9568 §6.1).
    pub accept: bool,
}

impl Instance {
    /// Whether `other` is the same virtual router with other settings. Place, vrid, version,
    /// family and the way of sending are what a virtual router is; changing them makes another.
    #[must_use]
    pub fn is_same_router(&self, other: &Self) -> bool {
        let identity = |one: &Self| {
            let settings = &one.settings;
            (
                one.place.clone(),
                settings.vrid,
                settings.version,
                settings.ipv6(),
                settings.is_owner(),
                settings.virtual_mac,
            )
        };
        identity(self) == identity(other)
    }
}
