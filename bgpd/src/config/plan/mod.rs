//! What a new configuration would change, and what each change costs.
//!
//! `Plan::between` compares two resolved configurations and names every difference with its
//! impact, before anything is applied: `reload --check` prints it, `reload` prints and does it.
//! The speaker applies the new values; the plan tells it and the operator which sessions may
//! keep running.
//!
//! The classes follow one rule: **a session is reset only when it cannot go on as it is.** A
//! value that is only spoken in the OPEN (hold time, families, ADD-PATH, graceful restart) waits
//! for the next session and is marked pending; FRR, BIRD and GoBGP reset at once for most of
//! these. A value that identifies or protects the session (its AS, key, local address, TTL) resets
//! it, and the plan says so beforehand. Who this router is (AS, router id) takes a restart.
//!
//! Values are compared as resolved, not as written: a default written out, a value moved from
//! the neighbor to its group, and sections in another order are no changes.

mod settings;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use super::kubernetes::{Kubernetes, ObjectSource};
use super::model::{Config, Kernel, ListenRange, Neighbor, NeighborAddress, Settings};

/// What a change costs, cheapest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Impact {
    /// Nothing a neighbor could see beyond the change itself (routes come or go).
    Hitless,
    /// Routes received from the neighbor are evaluated again.
    SoftIn,
    /// Routes sent to the neighbor are evaluated again.
    SoftOut,
    /// Pending until the session is next established; `clear bgp` applies it now.
    NextSession,
    /// The session ends and, unless the neighbor is gone, comes back.
    SessionReset,
    /// Only a restart of the daemon applies it.
    Restart,
}

impl Impact {
    /// In words, for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Hitless => "no session is touched",
            Self::SoftIn => "received routes are evaluated again",
            Self::SoftOut => "sent routes are evaluated again",
            Self::NextSession => "pending until the next session",
            Self::SessionReset => "THE SESSION RESETS",
            Self::Restart => "takes a restart of the daemon",
        }
    }
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The difference in words: `hold-time 90s -> 30s`.
    pub what: String,
    /// What it costs.
    pub impact: Impact,
    /// The neighbor it concerns; `None` = the daemon, a range, or all neighbors: `what` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub neighbor: Option<IpAddr>,
}

/// All differences between two configurations. `Display` prints one line per change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The differences, in the order of the file's sections.
    pub changes: Vec<Change>,
}

impl Plan {
    /// What going from `old` to `new` means.
    pub fn between(old: &Config, new: &Config) -> Self {
        let mut plan = Self::default();
        plan.router(old, new);
        plan.kernel(old.kernel.as_ref(), new.kernel.as_ref());
        let policies = plan.policies(old, new);
        plan.neighbors(old, new, &policies);
        plan.ranges(old, new, &policies);
        plan.origins(old, new);
        plan.rest(old, new);
        plan
    }

    /// Whether the two mean the same.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The changes that only a restart of the daemon applies. Until then the old values run.
    pub fn restarts(&self) -> impl Iterator<Item = &Change> {
        self.changes
            .iter()
            .filter(|change| change.impact == Impact::Restart)
    }

    /// The changes that end a session.
    pub fn resets(&self) -> impl Iterator<Item = &Change> {
        self.changes
            .iter()
            .filter(|change| change.impact == Impact::SessionReset)
    }

    fn add(&mut self, impact: Impact, neighbor: Option<IpAddr>, what: String) {
        self.changes.push(Change {
            what,
            impact,
            neighbor,
        });
    }

    fn daemon(&mut self, differs: bool, impact: Impact, what: impl FnOnce() -> String) {
        if differs {
            self.add(impact, None, what());
        }
    }

    fn router(&mut self, old: &Config, new: &Config) {
        let (old, new) = (&old.router, &new.router);
        // Every session and every route of ours is built on these three, so they do not change
        // under a running daemon: neighbors would be internal that were external before.
        self.daemon(old.asn != new.asn, Impact::Restart, || {
            format!("router asn {} -> {}", old.asn, new.asn)
        });
        self.daemon(old.router_id != new.router_id, Impact::Restart, || {
            format!("router-id {} -> {}", old.router_id, new.router_id)
        });

        self.daemon(old.cluster_id != new.cluster_id, Impact::Restart, || {
            format!("cluster-id {} -> {}", old.cluster_id, new.cluster_id)
        });
        self.daemon(old.listen != new.listen, Impact::Hitless, || {
            let list = |all: &[_]| match all {
                [] => "nothing".to_owned(),
                _ => all
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(", "),
            };
            format!("listen {} -> {}", list(&old.listen), list(&new.listen))
        });
        let (a, b) = (old.default_local_pref, new.default_local_pref);
        self.daemon(a != b, Impact::Restart, || {
            format!("default-local-pref {a} -> {b}")
        });
        let (a, b) = (old.multipath_relax, new.multipath_relax);
        self.daemon(a != b, Impact::Restart, || {
            format!("multipath-relax {a} -> {b}")
        });
    }

    fn kernel(&mut self, old: Option<&Kernel>, new: Option<&Kernel>) {
        let show = |kernel: Option<&Kernel>| match kernel {
            None => "nothing written".to_owned(),
            Some(k) => format!(
                "table {} metric {} multipath {} protocol {}",
                k.table, k.metric, k.multipath, k.protocol
            ),
        };
        // The decision process is made for a number of next hops, and for writing routes or not.
        let made_for = |kernel: Option<&Kernel>| kernel.map(|kernel| kernel.multipath);
        let impact = match made_for(old) == made_for(new) {
            true => Impact::Hitless,
            false => Impact::Restart,
        };
        self.daemon(old != new, impact, || {
            format!("kernel: {} -> {}", show(old), show(new))
        });
    }

    /// Lists changed policies and returns their names.
    fn policies<'c>(&mut self, old: &'c Config, new: &'c Config) -> BTreeSet<&'c str> {
        let index = |config: &'c Config| -> BTreeMap<&'c str, _> {
            config
                .policies
                .iter()
                .map(|policy| (policy.name.as_str(), policy))
                .collect()
        };
        let (before, after) = (index(old), index(new));
        let mut changed = BTreeSet::new();
        for (name, policy) in &after {
            match before.get(name) {
                None => self.add(Impact::Hitless, None, format!("policy {name} added")),
                Some(other) if other != policy => {
                    changed.insert(*name);
                    self.add(Impact::Hitless, None, format!("policy {name} changed"));
                }
                Some(_) => {}
            }
        }
        for name in before.keys().filter(|name| !after.contains_key(*name)) {
            self.add(Impact::Hitless, None, format!("policy {name} removed"));
        }
        changed
    }

    fn neighbors(&mut self, old: &Config, new: &Config, policies: &BTreeSet<&str>) {
        let index = |config: &Config| -> BTreeMap<NeighborAddress, Neighbor> {
            let pairs = config
                .neighbors
                .iter()
                .map(|n| (n.address.clone(), n.clone()));
            pairs.collect()
        };
        let (before, after) = (index(old), index(new));
        for (address, neighbor) in &after {
            let Some(other) = before.get(address) else {
                self.add(
                    Impact::Hitless,
                    address.addr(),
                    named(address, "added".to_owned()),
                );
                continue;
            };
            if other.peer_group != neighbor.peer_group {
                let show = |group: &Option<String>| group.clone().unwrap_or("none".to_owned());
                let what = format!(
                    "peer-group {} -> {}",
                    show(&other.peer_group),
                    show(&neighbor.peer_group)
                );
                self.add(Impact::Hitless, address.addr(), named(address, what));
            }
            for (what, impact) in differences(&other.settings, &neighbor.settings, policies) {
                self.add(impact, address.addr(), named(address, what));
            }
        }
        for address in before.keys().filter(|address| !after.contains_key(address)) {
            let what = named(address, "removed".to_owned());
            self.add(Impact::SessionReset, address.addr(), what);
        }
    }

    fn ranges(&mut self, old: &Config, new: &Config, policies: &BTreeSet<&str>) {
        let find = |config: &Config, range: &ListenRange| {
            config
                .listen_ranges
                .iter()
                .find(|other| other.prefix == range.prefix)
                .cloned()
        };
        for range in &new.listen_ranges {
            let title = format!("listen-range {}", range.prefix);
            let Some(other) = find(old, range) else {
                self.add(Impact::Hitless, None, format!("{title} added"));
                continue;
            };
            if other.max_neighbors != range.max_neighbors {
                let (a, b) = (other.max_neighbors, range.max_neighbors);
                self.add(
                    Impact::Hitless,
                    None,
                    format!("{title}: max-neighbors {a} -> {b}"),
                );
            }
            for (what, impact) in differences(&other.settings, &range.settings, policies) {
                self.add(impact, None, format!("{title}: {what}"));
            }
        }
        for range in old
            .listen_ranges
            .iter()
            .filter(|range| find(new, range).is_none())
        {
            let what = format!("listen-range {} removed: its sessions end", range.prefix);
            self.add(Impact::SessionReset, None, what);
        }
    }

    /// Advertised prefixes and pools: routes come and go, sessions stay.
    fn origins(&mut self, old: &Config, new: &Config) {
        let list = |config: &Config| -> BTreeMap<String, String> {
            let blocks = config.advertise.iter().flat_map(|block| {
                let marks = format!("{:?}", block.marks);
                let key = |p| format!("{} {p}", block.kind.name());
                block
                    .prefixes
                    .iter()
                    .map(move |prefix| (key(prefix), marks.clone()))
            });
            let pools = config.pools.iter();
            let pools = pools.map(|pool| (format!("pool {}", pool.name), format!("{pool:?}")));
            blocks.chain(pools).collect()
        };
        let (before, after) = (list(old), list(new));
        for (name, value) in &after {
            match before.get(name) {
                None => self.add(Impact::Hitless, None, format!("{name} added")),
                Some(other) if other != value => {
                    self.add(Impact::Hitless, None, format!("{name} changed"));
                }
                Some(_) => {}
            }
        }
        for name in before.keys().filter(|name| !after.contains_key(*name)) {
            self.add(Impact::Hitless, None, format!("{name} removed"));
        }
    }

    /// Rules change at once; who reads, asks and writes is made at the start.
    fn kubernetes(&mut self, old: Option<&Kubernetes>, new: Option<&Kubernetes>) {
        let (old, new) = match (old, new) {
            (None, None) => return,
            (Some(_), None) => return self.at_restart("removed"),
            (None, Some(_)) => return self.at_restart("added"),
            (Some(old), Some(new)) => (old, new),
        };
        for (differs, what) in [
            (source_of(old) != source_of(new), "source of objects"),
            (old.gate != new.gate, "gate"),
            (old.proxy_health != new.proxy_health, "proxy-health"),
            (old.sync_time != new.sync_time, "sync-time"),
            (old.status != new.status, "status"),
            (old.events != new.events, "events"),
        ] {
            if differs {
                self.at_restart(&format!("{what} changed"));
            }
        }
        let mut rest = new.clone();
        rest.keep_until_restart(old);
        if rest != *old {
            let what = "kubernetes: rules changed".to_owned();
            self.add(Impact::Hitless, None, what);
        }
    }

    fn at_restart(&mut self, what: &str) {
        self.add(Impact::Restart, None, format!("kubernetes: {what}"));
    }

    fn rest(&mut self, old: &Config, new: &Config) {
        let (a, b) = (old.engine.threads, new.engine.threads);
        self.daemon(a != b, Impact::Restart, || {
            format!("engine threads {a} -> {b}")
        });
        self.kubernetes(old.kubernetes.as_ref(), new.kubernetes.as_ref());
        let differs = old.metrics != new.metrics;
        self.daemon(differs, Impact::Restart, || "metrics changed".to_owned());
    }
}

/// What a source of objects is made with; the rest of the table is only rules.
fn source_of(table: &Kubernetes) -> (&ObjectSource, &str, &[cluster::DialectName]) {
    let options = &table.options;
    (&table.from, &options.node_name, &options.dialects)
}

/// A neighbor without an address is named in the text.
fn named(address: &NeighborAddress, what: String) -> String {
    match address {
        NeighborAddress::Address(_) => what,
        _ => format!("{address}: {what}"),
    }
}

/// The differing keys, and the policies that kept their names and changed their rules.
fn differences(old: &Settings, new: &Settings, policies: &BTreeSet<&str>) -> Vec<(String, Impact)> {
    let mut all = settings::differences(old, new);
    for (key, a, b, impact) in [
        ("import", &old.import, &new.import, Impact::SoftIn),
        ("export", &old.export, &new.export, Impact::SoftOut),
    ] {
        if a.name() == b.name() && policies.contains(b.name()) {
            all.push((format!("{key} policy {} changed", b.name()), impact));
        }
    }
    all
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "nothing changes");
        }
        for change in &self.changes {
            if let Some(neighbor) = change.neighbor {
                write!(f, "neighbor {neighbor}: ")?;
            }
            writeln!(f, "{} ({})", change.what, change.impact.words())?;
        }
        match self.restarts().count() {
            0 => {}
            1 => writeln!(f, "1 change takes a restart of the daemon")?,
            more => writeln!(f, "{more} changes take a restart of the daemon")?,
        }
        match self.resets().count() {
            0 => writeln!(f, "no session resets"),
            1 => writeln!(f, "1 change resets sessions"),
            more => writeln!(f, "{more} changes reset sessions"),
        }
    }
}
