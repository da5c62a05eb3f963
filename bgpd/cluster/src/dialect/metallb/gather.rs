//! How the objects find each other: peers their profiles and secrets, advertisements their pools,
//! peers and aliases.
//!
//! Objects are taken oldest first (then by name), so which of two that contradict each other stays
//! does not depend on the order in which they arrived. Everything that is left out is a fault with
//! the path of the key that did it. Objects outside of MetalLB's own namespace do not count: with
//! rights in a namespace of one's own nobody may steer the sessions of every node.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::advertisement::{Advertisement, Aliases, Layer2, PoolChoice, parse_community};
use super::legacy::{self, CONFIG};
use super::neighbor::{Declared, Profiles};
use super::object::{Object, Spec};
use super::plan::{self, Ready};
use super::selector::{Labels, any_matches};
use super::{Metallb, ReadyPool};
use crate::dialect::{Peering, View};
use crate::object::{Key, Kind as AnyKind};
use crate::{Fault, Severity};

/// An object and whether the ConfigMap made it.
type Entry<'a> = (&'a Object, bool);
/// Names within namespaces.
type Names<'a, T> = BTreeMap<(&'a str, &'a str), T>;

/// Reads all objects of MetalLB.
pub(super) fn gather(view: &View<'_>, out: &mut Peering) -> Metallb {
    let made = config_map(view, &mut out.faults);
    let mut entries: Vec<Entry<'_>> = own(view).map(|one| (one, false)).collect();
    strangers(view, &mut out.faults);
    entries.extend(made.iter().map(|one| (one, true)));
    entries.sort_by(|(a, _), (b, _)| {
        a.meta()
            .creation_timestamp
            .cmp(&b.meta().creation_timestamp)
    });
    for (object, _) in &entries {
        for path in &object.unknown {
            let text = "unknown key, not used; is it misspelt?";
            out.faults
                .push(fault(&object.label(), Severity::Warning, path, text));
        }
    }
    let empty = Labels::new();
    let labels = view.node.map_or(&empty, |node| &node.meta.labels);
    let mut gathering = Gathering {
        view,
        labels,
        entries,
        peers: Names::new(),
        this: Metallb::default(),
        out,
    };
    gathering.peers();
    gathering.pools();
    gathering.advertisements();
    gathering.finish();
    gathering.this
}

/// MetalLB's objects of its own namespace: it looks at no others.
fn own<'a>(view: &View<'a>) -> impl Iterator<Item = &'a Object> {
    let namespace = &view.options.metallb_namespace;
    let objects = view.snapshot.metallb();
    objects.filter(move |object| object.meta().namespace == *namespace)
}

/// One fault for each other namespace with such objects.
fn strangers(view: &View<'_>, faults: &mut Vec<Fault>) {
    let namespace = &view.options.metallb_namespace;
    let mut others: BTreeMap<&str, (&Object, usize)> = BTreeMap::new();
    for object in view.snapshot.metallb() {
        if object.meta().namespace != *namespace {
            let first = others.entry(&object.meta().namespace);
            let (_, count) = first.or_insert((object, 0));
            *count = count.saturating_add(1);
        }
    }
    for (other, (first, count)) in others {
        let text = format!(
            "not used, nor are the others of MetalLB's objects in {other} ({count} in all): only \
             those in {namespace} count, MetalLB's own namespace"
        );
        faults.push(fault(&first.label(), Severity::Warning, "", &text));
    }
}

/// The objects of the ConfigMap, which counts while its namespace has no custom resources, good or
/// bad: a bad one must not bring back what was said years ago.
fn config_map(view: &View<'_>, faults: &mut Vec<Fault>) -> Vec<Object> {
    let namespace = &view.options.metallb_namespace;
    let Some(map) = view.snapshot.config_map(namespace, CONFIG) else {
        return Vec::new();
    };
    let mut bad = view.snapshot.faults();
    let is_resource =
        |key: &Key| matches!(key.kind, AnyKind::Metallb(_)) && key.name.namespace == *namespace;
    if own(view).next().is_some() || bad.any(|(key, _)| is_resource(key)) {
        let text = "not used: this namespace has MetalLB's custom resources; delete the \
                    ConfigMap once they say all that it says";
        let label = format!("ConfigMap {namespace}/{CONFIG}");
        faults.push(fault(&label, Severity::Warning, "", text));
        return Vec::new();
    }
    let legacy = legacy::read(map).unwrap_or_default();
    faults.extend(legacy.faults);
    legacy.objects
}

fn fault(label: &str, severity: Severity, path: &str, text: &str) -> Fault {
    Fault {
        object: label.into(),
        path: path.into(),
        severity,
        text: text.into(),
    }
}

struct Gathering<'a, 'o> {
    view: &'a View<'a>,
    /// Those of this node.
    labels: &'a Labels,
    entries: Vec<Entry<'a>>,
    /// All peers, with their address where they run here.
    peers: Names<'a, Option<IpAddr>>,
    this: Metallb,
    out: &'o mut Peering,
}

impl<'a> Gathering<'a, '_> {
    fn warn(&mut self, label: &str, path: &str, text: &str) {
        let fault = fault(label, Severity::Warning, path, text);
        self.out.faults.push(fault);
    }

    fn error(&mut self, label: &str, path: &str, text: &str) {
        let fault = fault(label, Severity::Error, path, text);
        self.out.faults.push(fault);
    }

    fn profiles(&self) -> Profiles<'a> {
        let profile = |(object, _): &Entry<'a>| match &object.spec {
            Spec::Bfd(profile) => Some((name_of(object), profile)),
            _ => None,
        };
        self.entries.iter().filter_map(profile).collect()
    }

    /// Neighbors, and what they say of the router.
    fn peers(&mut self) {
        let profiles = self.profiles();
        let mut first: BTreeMap<IpAddr, (Box<str>, &super::peer::Peer)> = BTreeMap::new();
        let mut ours = BTreeSet::new();
        let mut router_ids = BTreeSet::new();
        for (object, is_old) in self.entries.clone() {
            let Spec::Peer(peer) = &object.spec else {
                continue;
            };
            self.peers.insert(name_of(object), None);
            if !any_matches(&peer.node_selectors, self.labels) {
                continue;
            }
            let label = object.label();
            let declared = Declared {
                label: &label,
                meta: object.meta(),
                peer,
                is_old,
            };
            let made = declared.neighbor(self.view, &profiles, &mut self.out.faults);
            let Some(neighbor) = made else {
                continue;
            };
            // What is announced to the second of two names goes to the same machine as well.
            self.peers.insert(name_of(object), Some(neighbor.address));
            if let Some((other, same)) = first.get(&neighbor.address) {
                let address = neighbor.address;
                let text = format!("{other} has this address already, {address}");
                match *same == &**peer {
                    true => self.warn(&label, "spec.peerAddress", &text),
                    false => self.error(&label, "spec.peerAddress", &text),
                }
                continue;
            }
            first.insert(neighbor.address, (label, peer));
            ours.insert(peer.my_asn);
            router_ids.extend(peer.router_id);
            self.out.neighbors.push(neighbor);
        }
        // What all agree on is the router's own; where they differ it is for each session alone.
        // A node that no peer selects is one of the same cluster.
        if ours.is_empty() {
            let all = self
                .entries
                .iter()
                .filter_map(|(object, _)| match &object.spec {
                    Spec::Peer(peer) => Some(peer.my_asn),
                    _ => None,
                });
            ours.extend(all);
        }
        if let (Some(asn), 1) = (ours.first(), ours.len()) {
            self.out.router.asn = Some(*asn);
        }
        if let Some(id) = router_ids.first() {
            self.out.router.router_id = Some(*id);
        }
        if router_ids.len() > 1 {
            let shown: Vec<String> = router_ids.iter().map(ToString::to_string).collect();
            let text = format!("one router has one identifier, here {}", shown.join(", "));
            self.warn("BGPPeer", "spec.routerID", &text);
        }
    }

    fn pools(&mut self) {
        let mut seen = BTreeSet::new();
        for (object, _) in self.entries.clone() {
            let (Spec::Pool(pool) | Spec::OldPool(pool, _)) = &object.spec else {
                continue;
            };
            let (label, meta) = (object.label(), object.meta());
            if !seen.insert(name_of(object)) {
                self.error(&label, "metadata.name", "another pool has this name");
                continue;
            }
            let at = self.this.pools.len();
            for (place, line) in pool.addresses.iter().enumerate() {
                self.out.own_ranges.load_balancers.extend(line.blocks());
                let taken = self.this.index.add(at, line).filter(|taken| *taken != at);
                if let Some(other) = taken.and_then(|taken| self.this.pools.get(taken)) {
                    let text = format!("overlaps with {}, which keeps the addresses", other.label);
                    self.error(&label, &format!("spec.addresses[{place}]"), &text);
                }
            }
            self.this.pools.push(ReadyPool {
                why_not: format!("no BGPAdvertisement takes {label}").into(),
                label,
                source: format!("pool:{}", meta.name).into(),
                declared: pool.clone(),
                ready: Vec::new(),
                routes: None,
            });
        }
    }

    fn aliases(&mut self, namespace: &str) -> Aliases {
        let mut aliases = Aliases::new();
        for (object, is_old) in self.entries.clone() {
            let Spec::Communities(list) = &object.spec else {
                continue;
            };
            if &*object.meta().namespace != namespace {
                continue;
            }
            let label = object.label();
            for (at, (name, value)) in list.iter().enumerate() {
                let path = match is_old {
                    true => format!("bgp-communities.{name}"),
                    false => format!("spec.communities[{at}].value"),
                };
                let Some(community) = parse_community(value) else {
                    let cure = "write \"64512:1\" or \"large:64512:1:2\"";
                    self.error(
                        &label,
                        &path,
                        &format!("\"{value}\" is no community; {cure}"),
                    );
                    continue;
                };
                let before = *aliases.entry(name.clone()).or_insert(community);
                if before != community {
                    let text = format!("\"{name}\" has another value already, which stays");
                    self.error(&label, &path, &text);
                }
            }
        }
        aliases
    }

    fn advertisements(&mut self) {
        let entries = self.entries.iter();
        let namespaces: BTreeSet<&str> = entries.map(|(object, _)| name_of(object).0).collect();
        let mut aliases: BTreeMap<&str, Aliases> = BTreeMap::new();
        for namespace in namespaces {
            let found = self.aliases(namespace);
            aliases.insert(namespace, found);
        }
        for (object, is_old) in self.entries.clone() {
            let namespace = &*object.meta().namespace;
            let inline;
            let list: &[Advertisement] = match &object.spec {
                Spec::Advertisement(one) => {
                    inline = [Advertisement::clone(one)];
                    &inline
                }
                Spec::OldPool(_, Some(list)) => list,
                Spec::OldPool(_, None) => {
                    self.layer2(object, &Layer2::plain(&object.meta().name));
                    continue;
                }
                Spec::Layer2(layer2) => {
                    self.layer2(object, layer2);
                    continue;
                }
                _ => continue,
            };
            let label = object.label();
            for declared in list {
                let marks = match aliases.get(namespace).map(|known| declared.marks(known)) {
                    Some(Ok(marks)) => marks,
                    Some(Err(text)) => {
                        self.error(&label, "spec.communities", &text);
                        continue;
                    }
                    None => continue,
                };
                self.check_names(&label, namespace, declared);
                self.check_old(&label, is_old, declared);
                let ready = Ready {
                    peers: self.addresses(namespace, &declared.peers),
                    label: label.clone(),
                    declared: declared.clone(),
                    marks,
                };
                self.attach(namespace, &ready);
            }
        }
    }

    /// Names that lead nowhere: MetalLB passes over them in silence.
    fn check_names(&mut self, label: &str, namespace: &str, declared: &Advertisement) {
        for (at, name) in declared.peers.iter().enumerate() {
            if !self.peers.contains_key(&(namespace, &**name)) {
                let text = format!("no BGPPeer \"{name}\" in {namespace}");
                self.warn(label, &format!("spec.peers[{at}]"), &text);
            }
        }
        let pools: BTreeSet<(&str, &str)> = self
            .entries
            .iter()
            .filter(|(object, _)| matches!(object.spec, Spec::Pool(_) | Spec::OldPool(..)))
            .map(|(object, _)| name_of(object))
            .collect();
        for (at, name) in declared.pools.names.iter().enumerate() {
            if !pools.contains(&(namespace, &**name)) {
                let text = format!("no IPAddressPool \"{name}\" in {namespace}");
                self.warn(label, &format!("spec.ipAddressPools[{at}]"), &text);
            }
        }
    }

    /// MetalLB's own speaker, which read the ConfigMap, sent LOCAL_PREF 0 over iBGP when none was
    /// written; another value may move traffic in a mixed cluster.
    fn check_old(&mut self, label: &str, is_old: bool, declared: &Advertisement) {
        let ours = self.view.facts.asn;
        let is_inside = |neighbor: &crate::Neighbor| {
            let shown = neighbor.local_asn.unwrap_or(ours);
            neighbor.asn == crate::PeerAsn::Exact(shown)
        };
        if is_old && declared.local_pref.is_none() && self.out.neighbors.iter().any(is_inside) {
            let text = "not written: LOCAL_PREF is 100 here, as with FRR; MetalLB's own speaker \
                        sent 0, so routers prefer this node while both run";
            self.warn(label, "localpref", text);
        }
    }

    fn addresses(&self, namespace: &str, names: &[Box<str>]) -> Option<BTreeSet<IpAddr>> {
        let address = |name: &str| self.peers.get(&(namespace, name)).copied().flatten();
        let found = names.iter().filter_map(|name| address(name));
        (!names.is_empty()).then(|| found.collect())
    }

    /// Gives an advertisement to the pools that it takes.
    fn attach(&mut self, namespace: &str, ready: &Ready) {
        let is_here = any_matches(&ready.declared.node_selectors, self.labels);
        let taken = self.taken(namespace, &ready.declared.pools);
        for at in taken {
            let Some(pool) = self.this.pools.get_mut(at) else {
                continue;
            };
            if !is_here {
                if pool.ready.is_empty() {
                    let text = format!("{}: {} is for other nodes", pool.label, ready.label);
                    pool.why_not = text.into();
                }
                continue;
            }
            let label = pool.label.clone();
            if let Some((first, key)) = ready.declared.too_short_for(&pool.declared) {
                let path = format!("spec.{key}");
                let text = format!(
                    "would announce more than {label} has at {first}; not announced under this \
                     advertisement. Write at least the length of the pool's prefixes"
                );
                self.error(&ready.label, &path, &text);
                continue;
            }
            let clash = pool.ready.iter().find(|other| {
                ready.declared.service_selectors.is_empty()
                    && other.declared.service_selectors.is_empty()
                    && !other.declared.agrees_with(&ready.declared, &pool.declared)
            });
            if let Some(other) = clash {
                let text = format!(
                    "{} gives addresses of {label} another value, which stays; let one of the two \
                     take other pools, peers or lengths",
                    other.label
                );
                self.error(&ready.label, "spec.localPref", &text);
                continue;
            }
            pool.ready.push(ready.clone());
        }
    }

    /// An L2Advertisement is why a pool without a BGPAdvertisement is none that was forgotten.
    fn layer2(&mut self, object: &Object, layer2: &Layer2) {
        let namespace = &*object.meta().namespace;
        for at in self.taken(namespace, &layer2.pools) {
            if let Some(pool) = self.this.pools.get_mut(at) {
                let text = format!(
                    "{}: announced by ARP and NDP ({}), by no BGPAdvertisement",
                    pool.label,
                    object.label()
                );
                pool.why_not = text.into();
            }
        }
    }

    /// The places of the pools of a namespace that are taken.
    fn taken(&self, namespace: &str, choice: &PoolChoice) -> Vec<usize> {
        let mut taken = Vec::new();
        let mut at = 0_usize;
        let mut seen = BTreeSet::new();
        for (object, _) in &self.entries {
            if !matches!(object.spec, Spec::Pool(_) | Spec::OldPool(..))
                || !seen.insert(name_of(object))
            {
                continue;
            }
            let meta = object.meta();
            if &*meta.namespace == namespace && choice.takes(&meta.name, &meta.labels) {
                taken.push(at);
            }
            at = at.saturating_add(1);
        }
        taken
    }

    fn finish(&mut self) {
        for pool in &mut self.this.pools {
            let depends = |one: &Ready| !one.declared.service_selectors.is_empty();
            if !pool.ready.iter().any(depends) {
                let ready: Vec<&Ready> = pool.ready.iter().collect();
                pool.routes = Some([plan::routes(&ready, false), plan::routes(&ready, true)]);
            }
        }
        // IPv4 first, then by address: what is printed does not depend on the order of objects.
        self.out.own_ranges.load_balancers.sort_unstable();
        self.out.own_ranges.load_balancers.dedup();
    }
}

fn name_of(object: &Object) -> (&str, &str) {
    (&object.meta().namespace, &object.meta().name)
}
