//! What an operator can ask a daemon: one [`Request`] variant per command of the CLI.
//!
//! A request is complete: the daemon keeps no state between two requests of a connection, so a
//! command repeated means the same again. Requests that change something answer `true` to
//! [`Request::changes`]; the socket server lets only the admin group send those.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// An address family as operators name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Family {
    /// AFI 1, SAFI 1.
    Ipv4Unicast,
    /// AFI 2, SAFI 1.
    Ipv6Unicast,
}

/// One operator command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Request {
    /// `show bgp [FAMILY] summary`: per family a `SummaryFamily` row, then its `PeerSummary` rows.
    ShowBgpSummary {
        /// `None`: every family that is configured.
        family: Option<Family>,
    },
    /// `show bgp FAMILY`: `Route` rows in prefix order.
    ShowBgpTable {
        /// The table to walk.
        family: Family,
        /// Which prefixes of it.
        filter: TableFilter,
    },
    /// `show bgp PREFIX|ADDRESS`: one `RouteDetail` row, or a `NotFound` fault.
    ShowBgpPrefix {
        /// A prefix asks for exactly this one. A host prefix (`/32`, `/128`) that came from a bare
        /// address asks for the longest match, as `exact` says.
        prefix: IpNet,
        /// `false`: longest match of `prefix.addr()`.
        exact: bool,
        /// Which of its paths.
        paths: PathFilter,
    },
    /// `show bgp neighbors [ADDRESS]`: `Neighbor` rows.
    ShowBgpNeighbors {
        /// `None`: all.
        address: Option<IpAddr>,
    },
    /// `show bgp neighbors ADDRESS received-routes|routes|advertised-routes`: `Route` rows.
    ShowNeighborRoutes {
        /// The neighbor.
        address: IpAddr,
        /// Before policy, after policy, or what was sent.
        kind: AdjKind,
        /// The family; the CLI asks once per family.
        family: Family,
    },
    /// `show bgp advertisements`: `Advertisement` rows.
    ShowAdvertisements,
    /// `show ip route [bgp] [PREFIX]`, `show ipv6 route`: `IpRoute` rows.
    ShowIpRoute {
        /// The family.
        family: Family,
        /// Only routes this daemon wrote.
        bgp_only: bool,
        /// One prefix, or the longest match when it is a host prefix.
        prefix: Option<IpNet>,
    },
    /// `show version`: one `Version` row.
    ShowVersion,
    /// `show memory`: `Memory` rows.
    ShowMemory,
    /// `show metrics`: `MetricFamily` rows.
    ShowMetrics,
    /// `explain route PREFIX [to ADDRESS]`: `ExplainStep` rows in the order things are decided.
    ExplainRoute {
        /// The prefix; a host prefix that is not in the table asks for its longest match.
        prefix: IpNet,
        /// The neighbor whose export is explained; `None`: no export step.
        to: Option<IpAddr>,
    },
    /// `explain service NAMESPACE/NAME`: `ExplainStep` rows, one per address.
    ExplainService {
        /// The namespace.
        namespace: String,
        /// The name.
        name: String,
    },
    /// `show kubernetes`: one `KubernetesStatus` row, then `KubernetesFeed` and `KubernetesFault`
    /// rows.
    ShowKubernetes,
    /// `show kubernetes services|nodes|pools`: `KubernetesService`, `KubernetesNode` or
    /// `KubernetesPool` rows.
    ShowKubernetesObjects {
        /// Which.
        kind: KubernetesKind,
    },
    /// `clear bgp …`: one `Notice` row per neighbor touched.
    ClearBgp {
        /// Whom.
        target: ClearTarget,
        /// `None`: the session is reset (CEASE 4, RFC 4486).
        soft: Option<SoftDirection>,
    },
    /// `drain [undo]`: announces everything with GRACEFUL_SHUTDOWN (RFC 8326) and low preference.
    Drain {
        /// Take the drain back.
        undo: bool,
    },
    /// `reload [--check]`: `PlanChange` rows; applied unless `check_only`.
    Reload {
        /// Only say what would change.
        check_only: bool,
    },
    /// `pool use ADDRESS`: puts an address of a pool in use.
    PoolUse {
        /// The address.
        address: IpAddr,
    },
    /// `pool release ADDRESS`: gives it back.
    PoolRelease {
        /// The address.
        address: IpAddr,
    },
    /// `show bgp pools`: `Pool` rows.
    ShowPools,
    /// `show vrrp [INTERFACE [VRID]]`: `VrrpInstance` rows.
    ShowVrrp {
        /// `None`: all.
        interface: Option<String>,
        /// `None`: all of the interface.
        vrid: Option<u8>,
    },
    /// `show vrrp history`: `VrrpEvent` rows, oldest first.
    ShowVrrpHistory,
    /// `vrrp (release|hold|resume) NAME`: one `Notice` row.
    Vrrp {
        /// The instance.
        name: String,
        /// What to do with it.
        order: VrrpOrder,
    },
    /// `monitor …`: `Event` rows until the CLI closes the connection.
    Monitor {
        /// What to watch.
        topic: MonitorTopic,
    },
}

impl Request {
    /// Whether the command changes something and so needs the admin right.
    #[must_use]
    pub fn changes(&self) -> bool {
        match self {
            Self::ClearBgp { .. }
            | Self::Drain { .. }
            | Self::PoolUse { .. }
            | Self::PoolRelease { .. }
            | Self::Vrrp { .. } => true,
            Self::Reload { check_only } => !check_only,
            Self::ShowBgpSummary { .. }
            | Self::ShowBgpTable { .. }
            | Self::ShowBgpPrefix { .. }
            | Self::ShowBgpNeighbors { .. }
            | Self::ShowNeighborRoutes { .. }
            | Self::ShowAdvertisements
            | Self::ShowIpRoute { .. }
            | Self::ShowVersion
            | Self::ShowMemory
            | Self::ShowMetrics
            | Self::ExplainRoute { .. }
            | Self::ExplainService { .. }
            | Self::ShowKubernetes
            | Self::ShowKubernetesObjects { .. }
            | Self::ShowPools
            | Self::ShowVrrp { .. }
            | Self::ShowVrrpHistory
            | Self::Monitor { .. } => false,
        }
    }

    /// Whether it is for the VRRP daemon alone; [`Request::is_common`] is for both, the rest for
    /// bgpd.
    #[must_use]
    pub fn is_vrrp(&self) -> bool {
        matches!(
            self,
            Self::ShowVrrp { .. }
                | Self::ShowVrrpHistory
                | Self::Vrrp { .. }
                | Self::Monitor {
                    topic: MonitorTopic::Vrrp
                }
        )
    }

    /// Whether every daemon of the suite answers it, each for itself.
    #[must_use]
    pub fn is_common(&self) -> bool {
        matches!(
            self,
            Self::ShowVersion
                | Self::ShowMemory
                | Self::ShowMetrics
                | Self::Reload { .. }
                | Self::Monitor {
                    topic: MonitorTopic::Log
                }
        )
    }
}

/// Which objects `show kubernetes` lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum KubernetesKind {
    /// Addresses of services.
    Services,
    /// Nodes.
    Nodes,
    /// Pools.
    Pools,
}

/// What an operator orders a virtual router to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum VrrpOrder {
    /// Hand over, and leave the successor alone.
    Release,
    /// Take no part.
    Hold,
    /// Take both back.
    Resume,
}

/// Which prefixes of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TableFilter {
    /// Only this prefix and those inside it (`longer-prefixes`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<IpNet>,
}

/// Which paths of a prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PathFilter {
    /// All of them.
    #[default]
    All,
    /// Only the best path.
    Best,
    /// The best path and those used beside it.
    Multipath,
}

/// Which side of a neighbor's RIB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AdjKind {
    /// Adj-RIB-In before policy (`received-routes`).
    Received,
    /// What import policy let through (`routes`).
    Accepted,
    /// Adj-RIB-Out as sent (`advertised-routes`).
    Advertised,
}

/// Whom `clear bgp` is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ClearTarget {
    /// `*`.
    All,
    /// One neighbor.
    Neighbor(IpAddr),
    /// `peer-group NAME`.
    PeerGroup(String),
}

/// `soft [in|out]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SoftDirection {
    /// Import again.
    In,
    /// Export again.
    Out,
    /// Both.
    Both,
}

/// What `monitor` watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MonitorTopic {
    /// Sessions: state changes, errors, notifications.
    Bgp,
    /// Best-path changes.
    Routes,
    /// Virtual routers: transitions, conflicts.
    Vrrp,
    /// Log lines as they are written.
    Log,
}
