//! From changes to what has to be done: the pure function, run again only where something changed.
//!
//! Hand in [`Change`]s, [`Facts`] and [`Options`] as they come, then ask [`Planner::plan`] for the
//! difference since the last time, or [`Planner::desired`] for the whole. Both are cheap to ask at
//! any time: nothing is computed while changes are taken in, so a burst of a thousand events costs
//! one computation.
//!
//! ```text
//! planner.apply(change);            // any number, in any order
//! planner.set_facts(facts);         // no-op if equal
//! let delta = planner.plan();       // per prefix: what is announced now; empty = withdraw
//! if delta.peering_changed { reconfigure(&planner.desired()) }
//! ```
//!
//! Promise: after any sequence of changes the result equals that of a planner which was given the
//! last state at once. What an event costs: a service or a slice, its own addresses; this node's
//! object, a pool, a policy or the proxy's health, every service (milliseconds for thousands);
//! another node, the neighbors.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;

use crate::claim::{Claim, NodeVerdict, claims};
use crate::dialect::{Dialects, Peering, View};
use crate::eligible::drain_wish;
use crate::object::{ObjectName, Policy};
use crate::snapshot::Entry;
use crate::table::Table;
use crate::{Advertised, Announcement, Change, Desired, Facts, Fault, Options, Snapshot, Touched};

/// Faults kept of one service; whoever writes it decides how many there are.
const FAULTS_OF_SERVICE: usize = 16;

/// What changed since the last plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// Per prefix that changed, all that is announced for it now; empty: nothing, withdraw it.
    pub announcements: BTreeMap<IpNet, Vec<Announcement>>,
    /// Anything of [`Desired`] but announcements and faults: neighbors, policies, the router,
    /// ranges, static routes, tunnels, the wish to drain.
    pub peering_changed: bool,
    /// The list of faults.
    pub faults_changed: bool,
}

impl Delta {
    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.announcements.is_empty() && !self.peering_changed && !self.faults_changed
    }
}

/// What a service asks for; services that ask for nothing have none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Served {
    claims: Box<[Arc<Claim>]>,
    faults: Vec<Fault>,
}

/// Objects, options and facts, and what follows from them.
#[derive(Clone, Debug)]
pub struct Planner {
    snapshot: Snapshot,
    options: Options,
    facts: Facts,
    touched: Touched,
    /// Services ask for the same, but may no longer or again be eligible.
    judge_again: bool,
    /// Sessions are no longer as they were: a move may go on.
    stage_again: bool,
    dialects: Dialects,
    peering: Peering,
    drain: Option<Box<str>>,
    node: NodeVerdict,
    served: BTreeMap<ObjectName, Served>,
    table: Table,
    secrets: BTreeSet<ObjectName>,
}

impl Planner {
    /// A planner without objects; the first plan announces what the options alone say.
    #[must_use]
    pub fn new(options: Options, facts: Facts) -> Self {
        let mut snapshot = Snapshot::default();
        snapshot.set_own_node(&options.node_name);
        Self {
            snapshot,
            options,
            facts,
            touched: Touched {
                peering: true,
                all_services: true,
                ..Touched::default()
            },
            judge_again: false,
            stage_again: false,
            dialects: Dialects::default(),
            peering: Peering::default(),
            drain: None,
            node: NodeVerdict::default(),
            served: BTreeMap::new(),
            table: Table::default(),
            secrets: BTreeSet::new(),
        }
    }

    /// Takes a change of an object in. Whether anything has to be planned for it.
    pub fn apply(&mut self, change: Change) -> bool {
        let touched = self.snapshot.apply(change);
        let matters = !touched.is_empty();
        self.touched.merge(touched);
        matters
    }

    /// Replaces what the node knows.
    pub fn set_facts(&mut self, facts: Facts) {
        let before = std::mem::replace(&mut self.facts, facts);
        if before.proxy != self.facts.proxy || before.is_drained != self.facts.is_drained {
            self.judge_again = true;
        }
        if before.health_check != self.facts.health_check
            || before.health_check_silent != self.facts.health_check_silent
        {
            let answer = |facts: &Facts, port| {
                let is_silent = facts.health_check_silent.contains(&port);
                (facts.health_check.get(&port).copied(), is_silent)
            };
            for (name, service) in self.snapshot.services() {
                let port = service.health_check_node_port;
                if port.is_some_and(|port| answer(&before, port) != answer(&self.facts, port)) {
                    self.touched.services.insert(name.clone());
                }
            }
        }
        // What decides about services alone is no dialect's business, nor is how sessions do.
        let mut rest = before;
        self.stage_again |= rest.sessions != self.facts.sessions || rest.stays != self.facts.stays;
        rest.sessions.clone_from(&self.facts.sessions);
        rest.stays.clone_from(&self.facts.stays);
        rest.proxy = self.facts.proxy;
        rest.health_check.clone_from(&self.facts.health_check);
        let silent = &self.facts.health_check_silent;
        rest.health_check_silent.clone_from(silent);
        self.touched.peering |= rest != self.facts;
    }

    /// Replaces what the operator chose.
    pub fn set_options(&mut self, options: Options) {
        if self.options != options {
            self.snapshot.set_own_node(&options.node_name);
            self.options = options;
            self.touched.peering = true;
            self.touched.all_services = true;
            self.table.touch_all();
        }
    }

    /// All objects.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// What the operator chose.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// What the node knows.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The health-check node ports that are worth asking: of services whose traffic must stay on
    /// the node, and that have endpoints here. Those need not be ready: when they are, the port
    /// has answered already.
    #[must_use]
    pub fn health_check_ports(&self) -> BTreeSet<u16> {
        let port = |(_, entry): (&ObjectName, &Entry)| {
            let service = entry.service.as_deref()?;
            let endpoints = &entry.slices.endpoints;
            let mut families = [false, true].into_iter();
            let is_here = families.any(|is_ipv6| endpoints.family(is_ipv6).local > 0);
            let is_local = service.external_policy == Policy::Local;
            service
                .health_check_node_port
                .filter(|_| is_local && is_here)
        };
        self.snapshot.entries().filter_map(port).collect()
    }

    /// The secrets that objects name, there or not: what a source has to read, and nothing else.
    #[must_use]
    pub fn secrets(&self) -> BTreeSet<ObjectName> {
        self.secrets.clone()
    }

    /// Computes what changes call for; the difference to the last plan.
    pub fn plan(&mut self) -> Delta {
        let touched = std::mem::take(&mut self.touched);
        let mut delta = Delta {
            faults_changed: touched.faults,
            ..Delta::default()
        };
        let is_own = touched.nodes.contains(&self.options.node_name);
        let mut all = touched.all_services;
        let judge_again =
            std::mem::take(&mut self.judge_again) || is_own || self.is_node_list_new(&touched);
        let stage_again = std::mem::take(&mut self.stage_again);
        if touched.peering {
            all |= self.prepare(&mut delta);
        } else if stage_again {
            delta.peering_changed |= self.peering.stage(&self.facts);
        }
        if all || judge_again || touched.peering {
            self.node = NodeVerdict::of(&view(&self.snapshot, &self.options, &self.facts));
            let networks = self.peering.networks.iter();
            let networks =
                networks.filter(|network| is_announced(&self.options, self.node, network));
            self.table.set_networks(networks);
        }
        let scene = Scene {
            view: view(&self.snapshot, &self.options, &self.facts),
            dialects: &self.dialects,
            node: self.node,
        };
        let table = &mut self.table;
        if all {
            let before = std::mem::take(&mut self.served);
            let (served, faults) = scene.look_at_all(before, table);
            self.served = served;
            delta.faults_changed |= faults;
        } else {
            if judge_again {
                scene.judge_all(&mut self.served, table);
            }
            for name in &touched.services {
                let before = self.served.remove(name).unwrap_or_default();
                let service = self.snapshot.entry(name);
                let (after, faults) = scene.look_at(name, service, before, table);
                delta.faults_changed |= faults;
                if after != Served::default() {
                    self.served.insert(name.clone(), after);
                }
            }
        }
        let settled = self.table.settle(self.options.force_aggregates);
        delta.announcements = settled.routes;
        delta.faults_changed |= settled.faults;
        delta
    }

    /// The node rules ask whether any Node object is there at all, if ours is not.
    fn is_node_list_new(&self, touched: &Touched) -> bool {
        !touched.nodes.is_empty() && self.snapshot.node(&self.options.node_name).is_none()
    }

    /// Prepares the dialects again; whether services have to be looked at for it.
    fn prepare(&mut self, delta: &mut Delta) -> bool {
        self.snapshot.take_asked();
        let view = view(&self.snapshot, &self.options, &self.facts);
        let mut peering = Peering::default();
        let dialects = Dialects::prepare(&view, &mut peering);
        own_ranges(&view, &mut peering);
        self.secrets = self.snapshot.take_asked();
        peering.settle(&self.facts);
        let drain = view.node.and_then(drain_wish);
        let before = std::mem::replace(&mut self.peering, peering);
        let after = &self.peering;
        delta.faults_changed |= before.faults != after.faults;
        delta.peering_changed |= before.neighbors != after.neighbors
            || before.policies != after.policies
            || before.router != after.router
            || before.own_ranges != after.own_ranges
            || before.static_routes != after.static_routes
            || before.tunnels != after.tunnels
            || self.drain != drain;
        self.drain = drain;
        let is_new = dialects != self.dialects;
        self.dialects = dialects;
        is_new
    }

    /// The whole result, as of the last [`Planner::plan`].
    #[must_use]
    pub fn desired(&self) -> Desired {
        let mut announcements: Vec<Announcement> = self.table.routes().cloned().collect();
        announcements.sort();
        let peering = self.peering.clone();
        Desired {
            announcements,
            neighbors: peering.neighbors,
            policies: peering.policies,
            router: peering.router,
            own_ranges: peering.own_ranges,
            static_routes: peering.static_routes,
            tunnels: peering.tunnels,
            drain: self.drain.clone(),
            faults: self.faults(),
        }
    }

    /// What is wrong with objects, sorted; as of the last plan.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults: Vec<Fault> = self.each_fault().cloned().collect();
        faults.sort();
        faults.dedup();
        faults
    }

    /// The same, as they are kept: some may come twice.
    pub fn each_fault(&self) -> impl Iterator<Item = &Fault> {
        let unreadable = self.snapshot.faults().map(|(_, fault)| fault);
        unreadable
            .chain(&self.peering.faults)
            .chain(self.served.values().flat_map(|served| &served.faults))
            .chain(self.table.faults())
    }

    /// What rules look at.
    pub(crate) fn view(&self) -> View<'_> {
        view(&self.snapshot, &self.options, &self.facts)
    }

    pub(crate) fn dialects(&self) -> &Dialects {
        &self.dialects
    }

    /// Routes of the node itself, whether they are announced or not.
    pub(crate) fn networks(&self) -> &[Announcement] {
        &self.peering.networks
    }

    pub(crate) fn table(&self) -> &Table {
        &self.table
    }
}

/// What decides about services, while nothing of it changes.
struct Scene<'a> {
    view: View<'a>,
    dialects: &'a Dialects,
    node: NodeVerdict,
}

impl Scene<'_> {
    /// Looks at every service again, side by side with what it asked for before; the second value:
    /// whether faults changed.
    fn look_at_all(
        &self,
        before: BTreeMap<ObjectName, Served>,
        table: &mut Table,
    ) -> (BTreeMap<ObjectName, Served>, bool) {
        let mut before = before.into_iter().peekable();
        let mut after = Vec::with_capacity(before.len());
        let mut faults_changed = false;
        for (name, entry) in self.view.snapshot.entries() {
            while let Some((gone, served)) = before.next_if(|(other, _)| other < name) {
                faults_changed |= self.look_at(&gone, None, served, table).1;
            }
            let (key, old) = match before.next_if(|(other, _)| other == name) {
                Some((key, old)) => (Some(key), old),
                None => (None, Served::default()),
            };
            let (new, changes) = self.look_at(name, Some(entry), old, table);
            faults_changed |= changes;
            if new != Served::default() {
                after.push((key.unwrap_or_else(|| name.clone()), new));
            }
        }
        for (gone, served) in before {
            faults_changed |= self.look_at(&gone, None, served, table).1;
        }
        (after.into_iter().collect(), faults_changed)
    }

    /// Judges every claim again: what services ask for is the same.
    fn judge_all(&self, served: &mut BTreeMap<ObjectName, Served>, table: &mut Table) {
        let mut entries = self.view.snapshot.entries().peekable();
        for (name, served) in served {
            while entries.next_if(|(other, _)| *other < name).is_some() {}
            let entry = entries.next_if(|(other, _)| *other == name);
            let Some((_, entry)) = entry else {
                continue;
            };
            let Some(service) = &entry.service else {
                continue;
            };
            for claim in &mut served.claims {
                let subject = (&**service, &entry.slices.endpoints);
                let is_eligible = claim.judge(&self.view, self.node, subject);
                if claim.is_eligible != is_eligible {
                    let new = Arc::new(Claim {
                        is_eligible,
                        ..Claim::clone(claim)
                    });
                    table.replace(claim, &new);
                    *claim = new;
                }
            }
        }
    }

    /// Looks at one service again.
    fn look_at(
        &self,
        name: &ObjectName,
        entry: Option<&Entry>,
        mut served: Served,
        table: &mut Table,
    ) -> (Served, bool) {
        let (mut new, mut faults) = (Vec::new(), Vec::new());
        if let Some(entry) = entry
            && let Some(service) = &entry.service
        {
            let subject = (name, &**service, &entry.slices.endpoints);
            new = claims(&self.view, self.dialects, self.node, subject);
            faults = self.dialects.service_faults(name, service);
            faults.truncate(FAULTS_OF_SERVICE);
        }
        let faults_changed = served.faults != faults;
        served.faults = faults;
        let same = served.claims.iter().map(AsRef::as_ref).eq(&new);
        if !same {
            for claim in &served.claims {
                table.remove(claim);
            }
            served.claims = new.into_iter().map(Arc::new).collect();
            for claim in &served.claims {
                table.insert(claim);
            }
        }
        (served, faults_changed)
    }
}

fn view<'a>(snapshot: &'a Snapshot, options: &'a Options, facts: &'a Facts) -> View<'a> {
    View {
        snapshot,
        options,
        facts,
        node: snapshot.node(&options.node_name),
    }
}

/// Which sort of route comes from here; `None`: of no service and no pod, always announced.
pub(crate) fn sort_of(source: &str) -> Option<Advertised> {
    match source {
        "pod-cidr" => Some(Advertised::PodCidr),
        "cluster-ip" => Some(Advertised::ClusterIp),
        "external-ip" => Some(Advertised::ExternalIp),
        "load-balancer-ip" => Some(Advertised::LoadBalancerIp),
        pool if pool.starts_with("pool:") => Some(Advertised::LoadBalancerIp),
        _ => None,
    }
}

/// Whether a network is announced: the operator announces its sort, and where it stands for
/// services, the node may announce them.
fn is_announced(options: &Options, node: NodeVerdict, network: &Announcement) -> bool {
    let Some(what) = sort_of(&network.source) else {
        return true;
    };
    let is_fit = match what {
        Advertised::PodCidr => true,
        Advertised::ClusterIp => node.cluster,
        Advertised::ExternalIp => node.external,
        Advertised::LoadBalancerIp => node.balanced,
    };
    is_fit && options.advertises(what)
}

/// The ranges that the configuration and the cluster itself name, whatever the dialects.
fn own_ranges(view: &View<'_>, out: &mut Peering) {
    let options = view.options;
    let ranges = &mut out.own_ranges;
    ranges.pods.extend(&options.pod_cidrs);
    ranges.services.extend(&options.service_cidrs);
    for object in view.snapshot.service_cidrs() {
        ranges.services.extend(&object.cidrs);
    }
    ranges.load_balancers.extend(&options.external_ranges);
    for pool in &options.pools {
        ranges.load_balancers.extend(&pool.blocks);
    }
}
