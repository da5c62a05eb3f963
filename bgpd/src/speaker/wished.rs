//! What the cluster wants of this speaker, put in force.
//!
//! A wish (neighbors, policies, the router) is laid over the file (`overlay`) and brought in force
//! like a reload: prepared as a whole or refused as a whole, with the old wish still in force
//! then. What is remarkable about the two together is said once, until it is no longer so.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use cluster::{Announcement, Facts, Link, StaticRoute};
use ipnet::IpNet;
use rib::PathKind;
use rib::fib::{FibChange, FibNextHop, FibRoute};

use super::Speaker;
use super::reload::{Prepared, ReloadError};
use crate::config::{Config, Plan};
use crate::overlay::{KernelRule, Remark, Wish};

/// The file, and what is laid over it.
#[derive(Debug)]
pub(super) struct Wished {
    /// The configuration as the file says it, apart from what waits for a restart.
    pub file: Config,
    /// What of the cluster is in force.
    pub wish: Arc<Wish>,
    /// The neighbors there were when routes were last told to some of them.
    pub neighbors: BTreeSet<IpAddr>,
    /// The cluster's routes, by prefix.
    pub routes: BTreeMap<IpNet, Vec<Announcement>>,
    /// How often they changed.
    pub revision: u64,
    /// Routes to neighbors that the kernel has yet to be told of.
    pub kernel: VecDeque<FibChange>,
    /// What was said already.
    remarks: BTreeSet<Remark>,
    /// Why the last wish was refused.
    refused: Option<String>,
}

impl Wished {
    /// A file alone.
    pub fn new(file: Config) -> Self {
        Self {
            file,
            wish: Arc::default(),
            neighbors: BTreeSet::new(),
            routes: BTreeMap::new(),
            revision: 0,
            kernel: VecDeque::new(),
            remarks: BTreeSet::new(),
            refused: None,
        }
    }
}

impl Speaker {
    /// The configuration of the file, without what the cluster adds.
    #[must_use]
    pub fn file(&self) -> &Config {
        &self.wished.file
    }

    /// What is remarkable about the cluster's wishes beside the file.
    pub fn remarks(&self) -> impl Iterator<Item = &Remark> {
        self.wished.remarks.iter()
    }

    /// Puts another wish of the cluster in force; answers with what that changes.
    ///
    /// # Errors
    /// It cannot be put in force: the old one stays, and the reason is said once.
    pub fn set_wish(&mut self, now: Instant, wish: Wish) -> Result<Plan, ReloadError> {
        if *self.wished.wish == wish {
            return Ok(Plan::default());
        }
        let file = self.wished.file.clone();
        let prepared = match self.prepare_with(file, Arc::new(wish)) {
            Ok(prepared) => prepared,
            Err(error) => {
                let text = format!("what the cluster wants is not put in force: {error}");
                if self.wished.refused.as_ref() != Some(&text) {
                    self.out.attention(None, text.clone());
                    self.wished.refused = Some(text);
                }
                return Err(error);
            }
        };
        self.wished.refused = None;
        let plan = self.bring_in_force(now, prepared);
        match plan.changes.len() {
            0 => {}
            changes => self.out.notice(None, format!("cluster: {changes} changes")),
        }
        Ok(plan)
    }

    /// What this node knows, as rules are told it; the gate's part is left out.
    #[must_use]
    pub fn facts(&self, now: Instant) -> Facts {
        let (sessions, stays) = self.cluster_sessions(now);
        let links = self.interfaces.iter().map(|interface| Link {
            name: interface.name.as_str().into(),
            subnets: interface.addresses.iter().map(IpNet::trunc).collect(),
        });
        Facts {
            asn: self.config.router.asn,
            router_id: Some(self.config.router.router_id),
            addresses: self.host.addresses.iter().map(|own| own.address).collect(),
            links: links.collect(),
            is_draining: self.drained,
            is_drained: self.is_withdrawn(),
            sessions,
            stays,
            ..Facts::default()
        }
    }

    /// Our identifier may come with the objects too, as long as nobody was told another one: it is
    /// one for all neighbors (RFC 4271 §4.2).
    pub(super) fn follow_router_id(&mut self, prepared: &mut Prepared) {
        let table = prepared.file.kubernetes.as_ref();
        let is_fixed = table.is_none_or(|table| table.file_gives.router_id);
        let own = self.config.router.router_id;
        let wanted = prepared.wish.router.router_id;
        let Some(wanted) = wanted.filter(|id| !is_fixed && *id != own) else {
            return;
        };
        if !self.peers.is_empty() {
            let text = format!("the cluster says router-id {wanted} too late, {own} is in force");
            prepared.remarks.push(Remark::of(None, text));
            return;
        }
        self.rib.set_router_id(wanted);
        prepared.config.router.router_id = wanted;
        self.out.notice(None, format!("router-id {wanted}"));
    }

    /// The cluster that we reflect for comes and goes with the objects: it is no reason to restart.
    pub(super) fn follow_cluster_id(&mut self, prepared: &mut Prepared) {
        let table = prepared.file.kubernetes.as_ref();
        if table.is_none_or(|table| table.file_gives.cluster_id) {
            return;
        }
        // It follows our identifier unless somebody says another one.
        let own = prepared.config.router.router_id;
        let wanted = prepared.wish.router.cluster_id.unwrap_or(own);
        if wanted != self.config.router.cluster_id {
            self.rib.set_cluster_id(wanted);
        }
        prepared.config.router.cluster_id = wanted;
    }

    /// Brings the routes to neighbors behind gateways into the kernel, if we write there at all.
    fn follow_static_routes(&mut self, new: &[StaticRoute]) {
        if self.config.kernel.is_none() {
            return;
        }
        let by_prefix = |routes: &[StaticRoute]| -> BTreeMap<IpNet, BTreeSet<IpAddr>> {
            let mut all: BTreeMap<IpNet, BTreeSet<IpAddr>> = BTreeMap::new();
            for route in routes {
                all.entry(route.prefix).or_default().insert(route.via);
            }
            all
        };
        let (old, new) = (by_prefix(&self.wished.wish.static_routes), by_prefix(new));
        for prefix in old.keys().filter(|prefix| !new.contains_key(*prefix)) {
            let (prefix, route) = (*prefix, None);
            self.wished.kernel.push_back(FibChange { prefix, route });
        }
        for (prefix, vias) in new {
            if old.get(&prefix) != Some(&vias) {
                let hop = |via: &IpAddr| FibNextHop {
                    gateway: *via,
                    interface: None,
                    device: None,
                    weight: 1,
                };
                let route = Some(FibRoute::Unicast(vias.iter().map(hop).collect()));
                self.wished.kernel.push_back(FibChange { prefix, route });
            }
        }
    }

    /// Why nothing is written to the kernel for the best path of a prefix, if that is so.
    #[must_use]
    pub fn left_out(&self, prefix: &IpNet) -> Option<String> {
        if self.config.kernel.is_none() {
            return Some("there is no [kernel] in the configuration".to_owned());
        }
        let rule = self.config.cluster.kernel.of(prefix)?;
        let route = self.rib.lookup(*prefix)?;
        let best = route.paths.iter().find(|path| path.best)?;
        if best.kind == PathKind::Local {
            return None;
        }
        if let KernelRule::Leave(reason) = rule {
            return Some(reason.to_string());
        }
        let device = rule.device_to(&best.attrs.next_hop().addr())?;
        let mut interfaces = self.interfaces.iter();
        match interfaces.find(|interface| interface.name == device.as_str()) {
            None => Some(format!("waits: there is no device {}", device.as_str())),
            Some(interface) if !interface.usable => {
                Some(format!("waits: device {} is down", device.as_str()))
            }
            Some(_) => None,
        }
    }

    /// Lays the wish over the file once more: what could not be put in force then may be now.
    pub(super) fn wish_again(&mut self, now: Instant) {
        let (file, wish) = (self.wished.file.clone(), Arc::clone(&self.wished.wish));
        if let Ok(prepared) = self.prepare_with(file, wish) {
            self.bring_in_force(now, prepared);
        }
    }

    /// Keeps what was put in force, and says what is new to be said.
    pub(super) fn keep_wish(&mut self, prepared: Prepared) {
        self.follow_static_routes(&prepared.wish.static_routes);
        let remarks: BTreeSet<Remark> = prepared.remarks.into_iter().collect();
        for remark in remarks.difference(&self.wished.remarks) {
            self.out.attention(remark.neighbor, remark.text.clone());
        }
        self.wished.file = prepared.file;
        self.wished.wish = prepared.wish;
        self.wished.remarks = remarks;
    }
}
