//! The rows of an answer: raw facts, one struct per kind of thing an operator looks at.
//!
//! Times are milliseconds (`*_ms`) or wall-clock milliseconds since 1970 (`*_epoch_ms`), counts are
//! integers, names are the operator's own. Optional facts are absent rather than empty, so that
//! a row of a million-route table stays small. Nothing here is formatted: the CLI turns a view
//! into FRR's columns or FRR's JSON field names.

mod kernel;
mod kubernetes;
mod metric;
mod neighbor;
mod path;
mod summary;
mod system;
mod vrrp;

use serde::{Deserialize, Serialize};

pub use kernel::{IpRoute, IpRouteHop, IpRouteState, RouteSource};
pub use kubernetes::{
    KubernetesFault, KubernetesFeed, KubernetesNode, KubernetesPool, KubernetesService,
    KubernetesStatus,
};
pub use metric::{MetricFamily, MetricKind, MetricSample};
pub use neighbor::{
    AddPathState, CapabilityState, Endpoint, FamilyState, LastReset, MessageCounters, Neighbor,
    PrefixCounters, RestartState, Timers,
};
pub use path::{
    AttrView, ExplainStep, Path, PathKind, PeerRef, Route, RouteDetail, RuleVerdict, UnknownAttr,
};
pub use summary::{PeerState, PeerSummary, SummaryFamily};
pub use system::{
    Advertisement, Event, EventKind, Memory, Notice, PlanChange, PlanImpact, Pool, Version,
};
pub use vrrp::{
    VrrpCheck, VrrpConflict, VrrpCounters, VrrpEvent, VrrpInstance, VrrpState, VrrpStranger,
    VrrpTransitions,
};

/// One row of an answer. Each variant has one renderer arm in the CLI.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum View {
    /// Starts the block of a family in the summary.
    SummaryFamily(SummaryFamily),
    /// A neighbor in the summary block above it.
    PeerSummary(PeerSummary),
    /// A prefix of a table, with its paths.
    Route(Route),
    /// A prefix in full.
    RouteDetail(RouteDetail),
    /// A neighbor in full.
    Neighbor(Box<Neighbor>),
    /// A route that starts here.
    Advertisement(Advertisement),
    /// A route of the kernel.
    IpRoute(IpRoute),
    /// The daemon.
    Version(Version),
    /// What some part of the daemon holds.
    Memory(Memory),
    /// One step of `explain route`.
    ExplainStep(ExplainStep),
    /// A sentence about something done.
    Notice(Notice),
    /// One change of a reload.
    PlanChange(PlanChange),
    /// An address pool.
    Pool(Pool),
    /// Something that happened.
    Event(Event),
    /// A virtual router.
    VrrpInstance(Box<VrrpInstance>),
    /// Something that happened to a virtual router.
    VrrpEvent(VrrpEvent),
    /// A virtual router of others.
    VrrpStranger(VrrpStranger),
    /// Something measured.
    MetricFamily(MetricFamily),
    /// The Kubernetes source as a whole.
    KubernetesStatus(Box<KubernetesStatus>),
    /// The reading of one kind.
    KubernetesFeed(Box<KubernetesFeed>),
    /// What is wrong with an object.
    KubernetesFault(KubernetesFault),
    /// An address of a service.
    KubernetesService(Box<KubernetesService>),
    /// A node.
    KubernetesNode(Box<KubernetesNode>),
    /// A pool for services.
    KubernetesPool(KubernetesPool),
}
