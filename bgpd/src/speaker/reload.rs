//! From one configuration to the next, without disturbing what did not change.
//!
//! Two phases. [`Speaker::prepare`] does everything that can fail (policies are compiled, the plan
//! is made) and touches nothing; [`Speaker::commit`] cannot fail. So a reload happens as a whole
//! or not at all, and `reload --check` is a `prepare` whose result is thrown away.
//!
//! Commit compares what the parts are told, not what the file says: a neighbor whose machine, RIB
//! session, socket options and policies come out the same is not touched. What can change under a
//! running session does; what is only spoken in the OPEN waits for the next one; what identifies
//! the session (key, AS, source address) ends it with CEASE, Other Configuration Change
//! (RFC 4486 §4). The plan names those beforehand.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use ipnet::IpNet;
use proto_codec::bgp::Notification;
use proto_codec::bgp::notification::CeaseSubcode;
use rib::PeerSlot;

use super::assemble;
use super::peers::{Entry, Hold};
use super::policies::PolicyTable;
use super::port::Action;
use super::{Due, Speaker};
use crate::config::{Config, Impact, Kubernetes, Neighbor, NeighborOrigin, Plan};
use crate::overlay::{Remark, Wish, lay};
use crate::session::{Command, Restart};

/// Why a configuration cannot be put in force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReloadError {
    /// A policy does not compile.
    #[error("policy {name}: {text}")]
    Policy {
        /// Its name.
        name: String,
        /// What is wrong with it.
        text: String,
    },
    /// Addresses in use would be in no pool: their services would lose them.
    #[error("in use, and in no pool of the new file: {}; release them first", list(.0))]
    InUse(Vec<IpAddr>),
    /// Which neighbors are internal, and every path we sent, depends on it.
    #[error("router asn {0} -> {1}: only a restart of the daemon changes the AS")]
    Asn(u32, u32),
}

fn list(addresses: &[IpAddr]) -> String {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

/// A configuration that can be put in force.
#[derive(Debug)]
pub struct Prepared {
    /// The file, and what of the cluster is laid over it.
    pub(super) file: Config,
    pub(super) wish: Arc<Wish>,
    pub(super) remarks: Vec<Remark>,
    /// Both together.
    pub(super) config: Config,
    policies: PolicyTable,
    /// The file was read again, and the machine looked at.
    is_reload: bool,
    /// What it changes.
    pub plan: Plan,
}

impl Speaker {
    /// Makes a configuration ready and says what it would change.
    ///
    /// # Errors
    /// What keeps it from being put in force; nothing has changed.
    pub fn prepare(&self, file: Config) -> Result<Prepared, ReloadError> {
        let wish = Arc::clone(&self.wished.wish);
        let prepared = self.prepare_with(file, wish)?;
        Ok(Prepared {
            is_reload: true,
            ..prepared
        })
    }

    /// The same, with another wish of the cluster laid over the file.
    pub(super) fn prepare_with(
        &self,
        file: Config,
        wish: Arc<Wish>,
    ) -> Result<Prepared, ReloadError> {
        let (config, remarks) = lay(&file, &wish);
        let (running, wanted) = (self.config.router.asn, config.router.asn);
        if running != wanted {
            return Err(ReloadError::Asn(running, wanted));
        }
        let orphans = self.book.orphans(&config.pools);
        if !orphans.is_empty() {
            return Err(ReloadError::InUse(orphans));
        }
        let policies = PolicyTable::compile(&config, Some(&self.policies))?;
        let plan = Plan::between(&self.config, &config);
        Ok(Prepared {
            file,
            wish,
            config,
            remarks,
            policies,
            plan,
            is_reload: false,
        })
    }

    /// Puts a prepared configuration in force.
    pub fn commit(&mut self, now: Instant, prepared: Prepared) -> Plan {
        let plan = self.bring_in_force(now, prepared);
        let changes = plan.changes.len();
        self.out
            .notice(None, format!("configuration reloaded, {changes} changes"));
        plan
    }

    /// The same, without a word.
    pub(super) fn bring_in_force(&mut self, now: Instant, mut prepared: Prepared) -> Plan {
        let old = Arc::clone(&self.config);
        keep_until_restart(&old, &mut prepared.config);
        keep_until_restart(&self.wished.file, &mut prepared.file);
        self.keep_needed(now, &mut prepared.config);
        self.follow_router_id(&mut prepared);
        self.follow_cluster_id(&mut prepared);
        self.config = Arc::new(prepared.config.clone());
        self.policies = prepared.policies.clone().drained(self.drained);
        let new = Arc::clone(&self.config);
        self.bring_neighbors_over(now, &prepared);
        self.follow_neighbors(now);
        self.set_range_keys(&old.listen_ranges, &new.listen_ranges);
        if old.router.listen != new.router.listen {
            self.out
                .actions
                .push_back(Action::Listen(new.router.listen.clone()));
        }
        if old.kernel != new.kernel {
            self.out
                .actions
                .push_back(Action::Kernel(new.kernel.clone()));
        }
        let otherwise = old.cluster.kernel.changed(&new.cluster.kernel);
        if !otherwise.is_empty() {
            self.rib.resync_fib_within(&otherwise);
        }
        if prepared.is_reload {
            for address in self.book.reconfigure(&new.pools) {
                let text = format!("{address} was in use and is in no pool any more: released");
                self.out.attention(None, text);
            }
            self.originate(now);
        }
        self.touch(now);
        let plan = std::mem::take(&mut prepared.plan);
        self.keep_wish(prepared);
        plan
    }

    /// Brings all neighbors over: those that are gone, those that stay, those that are new.
    fn bring_neighbors_over(&mut self, now: Instant, prepared: &Prepared) {
        let new = Arc::clone(&self.config);
        let resets: BTreeSet<IpAddr> = prepared
            .plan
            .changes
            .iter()
            .filter(|change| change.impact == Impact::SessionReset)
            .filter_map(|change| change.neighbor)
            .collect();
        let listed: BTreeMap<IpAddr, &Neighbor> = new
            .neighbors
            .iter()
            .filter_map(|neighbor| Some((neighbor.address.addr()?, neighbor)))
            .collect();
        for slot in self.peers.slots() {
            let Some(entry) = self.peers.get(slot) else {
                continue;
            };
            let listed = listed.get(&entry.address).copied();
            // A machine whose addresses are the same has nothing new to tell this neighbor.
            let policies = self.policies.of(&entry.neighbor.settings);
            let same = listed == Some(&entry.neighbor) && entry.policies.is(&policies);
            if prepared.is_reload || !same {
                let reset = resets.contains(&entry.address);
                self.bring_over(now, slot, listed, reset);
            }
        }
        for neighbor in &new.neighbors {
            let known = neighbor
                .address
                .addr()
                .is_none_or(|address| self.peers.slot_of(address).is_some());
            if !known {
                self.add_neighbor(now, neighbor.clone());
            }
        }
    }

    /// Brings one neighbor from the old configuration to the new one.
    fn bring_over(&mut self, now: Instant, slot: PeerSlot, listed: Option<&Neighbor>, reset: bool) {
        let Some(entry) = self.peers.get(slot) else {
            return;
        };
        let address = entry.address;
        match self.configured(address, listed, entry.neighbor.origin) {
            None => self.remove_neighbor(now, slot, CeaseSubcode::PeerDeconfigured),
            Some(neighbor) => self.change_neighbor(now, slot, neighbor, reset),
        }
    }

    /// What the configuration in force says of an address.
    fn configured(
        &self,
        address: IpAddr,
        listed: Option<&Neighbor>,
        origin: NeighborOrigin,
    ) -> Option<Neighbor> {
        if let Some(neighbor) = listed {
            return Some(neighbor.clone());
        }
        if origin != NeighborOrigin::Dynamic {
            return None;
        }
        let ranges = self.config.listen_ranges.iter();
        let range = ranges
            .filter(|range| range.prefix.contains(&address))
            .max_by_key(|range| range.prefix.prefix_len())?;
        Some(range.neighbor(address))
    }

    fn change_neighbor(&mut self, now: Instant, slot: PeerSlot, new: Neighbor, planned: bool) {
        let machine = self.machine_config(&new);
        let policies = self.policies.of(&new.settings);
        let Some(entry) = self.peers.get_mut(slot) else {
            return;
        };
        let address = entry.address;
        let old = std::mem::replace(&mut entry.neighbor, new.clone());
        if old.settings.standing != new.settings.standing {
            entry.times.standing = now;
        }
        let effect = entry.peer.update_config(now, machine);
        let before = std::mem::replace(&mut entry.policies, policies.clone());
        let up = entry.is_up();
        if up && !Arc::ptr_eq(&before.import, &policies.import) {
            self.rib.set_import(slot, Arc::clone(&policies.import));
        }
        if up && !Arc::ptr_eq(&before.export, &policies.export) {
            self.rib.set_export(slot, Arc::clone(&policies.export));
        }
        self.follow_up(now, slot);
        // One that was made by a listen range had the range's key, which may go.
        let own_key = old.settings.password != new.settings.password
            || (old.origin == NeighborOrigin::Dynamic && new.settings.password.is_some());
        if own_key && new.origin != NeighborOrigin::Dynamic {
            let key = assemble::socket_options(&new).md5_key;
            let prefix = IpNet::from(address);
            self.out
                .actions
                .push_back(Action::ListenKey { prefix, key });
        }
        if self.follow_shutdown(now, slot, old.settings.shutdown) {
            return;
        }
        let sockets_differ = assemble::socket_options(&old) != assemble::socket_options(&new)
            || old.settings.local_address != new.settings.local_address
            || old.settings.internal != new.settings.internal;
        if planned || sockets_differ || !effect.reset.is_empty() {
            self.reset_for_config(now, slot);
        } else if up {
            self.update_rib_session(slot);
        }
    }

    /// Obeys a change of `shutdown`; `true` if there was one.
    fn follow_shutdown(&mut self, now: Instant, slot: PeerSlot, was_down: bool) -> bool {
        let Some(entry) = self.peers.get_mut(slot) else {
            return true;
        };
        let is_down = entry.neighbor.settings.shutdown;
        if is_down == was_down {
            return is_down;
        }
        let command = if is_down {
            entry.hold = Hold::Admin;
            Command::Stop(Notification::cease(CeaseSubcode::AdministrativeShutdown))
        } else {
            entry.hold = Hold::None;
            Command::Start
        };
        self.command(now, slot, command);
        true
    }

    fn reset_for_config(&mut self, now: Instant, slot: PeerSlot) {
        // Without a session there is none to end, and what is kept for one that restarts still
        // needs its deadline.
        if self.peers.get(slot).is_some_and(Entry::is_up) {
            self.deadlines.set(Due::Stale(slot), None);
        }
        let cease = Notification::cease(CeaseSubcode::OtherConfigurationChange);
        self.command(now, slot, Command::Reset(cease, Restart::AtOnce));
    }

    /// Tells the RIB what changed about a session that goes on.
    fn update_rib_session(&mut self, slot: PeerSlot) {
        let Some(entry) = self.peers.get(slot) else {
            return;
        };
        let Some(up) = &entry.up else { return };
        let policies = entry.policies.clone();
        let session =
            assemble::peer_session(slot, &entry.neighbor, &up.established, &self.host, policies);
        self.rib.peer_changed(session);
    }
}

/// What sessions, routes and tables are built on stays as it is until the daemon starts anew; the
/// plan says so.
fn keep_until_restart(old: &Config, new: &mut Config) {
    new.router.asn = old.router.asn;
    new.router.router_id = old.router.router_id;
    new.router.cluster_id = old.router.cluster_id;
    new.router.default_local_pref = old.router.default_local_pref;
    new.router.multipath_relax = old.router.multipath_relax;
    new.engine.clone_from(&old.engine);
    keep_source(old.kubernetes.as_ref(), &mut new.kubernetes);
    new.metrics.clone_from(&old.metrics);
    match (&old.kernel, &mut new.kernel) {
        (Some(old), Some(new)) => new.multipath = old.multipath,
        (old, new) => new.clone_from(old),
    }
}

/// The rules of `[kubernetes]` change at once; who reads, asks and writes is made at the start.
fn keep_source(old: Option<&Kubernetes>, new: &mut Option<Kubernetes>) {
    match (old, new) {
        (Some(old), Some(new)) => new.keep_until_restart(old),
        (old, new) => *new = old.cloned(),
    }
}
