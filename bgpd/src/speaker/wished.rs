//! What the cluster wants of this speaker, put in force.
//!
//! A wish (neighbors, policies, the router) is laid over the file (`overlay`) and brought in force
//! like a reload: prepared as a whole or refused as a whole, with the old wish still in force then.
//! What is remarkable about the two together is said once, until it is no longer so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use cluster::{Announcement, Facts, Link};
use ipnet::IpNet;

use super::Speaker;
use super::reload::{Prepared, ReloadError};
use crate::config::{Config, Plan};
use crate::overlay::{Remark, Wish};

/// The file, and what is laid over it.
#[derive(Debug)]
pub(super) struct Wished {
    /// The configuration as the file says it, apart from what waits for a restart.
    pub file: Config,
    /// What of the cluster is in force.
    pub wish: Arc<Wish>,
    /// The cluster's routes, by prefix.
    pub routes: BTreeMap<IpNet, Vec<Announcement>>,
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
            routes: BTreeMap::new(),
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

    /// Keeps what was put in force, and says what is new to be said.
    pub(super) fn keep_wish(&mut self, prepared: Prepared) {
        let remarks: BTreeSet<Remark> = prepared.remarks.into_iter().collect();
        for remark in remarks.difference(&self.wished.remarks) {
            self.out.attention(remark.neighbor, remark.text.clone());
        }
        self.wished.file = prepared.file;
        self.wished.wish = prepared.wish;
        self.wished.remarks = remarks;
    }
}
