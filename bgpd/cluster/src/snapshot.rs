//! All objects, indexed by what rules ask for.
//!
//! A change says what it touches, so that the event of one service costs one service. What a
//! change does not alter (a heartbeat, a field nobody reads) touches nothing.
//!
//! Slices are kept with the service that their label names, never found by their own name: a
//! deleted slice, or one whose label was changed, makes the service it *belonged to* be looked at
//! again (Calico's confd looks up the slice's own name there and withdraws nothing). Several slices
//! of one family add up.
//!
//! An object that turns unreadable is listed under [`Snapshot::faults`], and what it said before
//! counts on: a broken edit takes no session down and withdraws nothing. What refuses routes or
//! protects a session (a filter, a secret) fails closed instead: it counts as gone.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::Fault;
use crate::dialect::{calico, metallb};
use crate::endpoints::Endpoints;
use crate::object::{
    ConfigMap, EndpointSlice, Key, Kind, Namespace, Node, Object, ObjectName, SecretData, Service,
    ServiceCidr,
};
use crate::slices::{NodeNumbers, Slices};

/// What happened to an object.
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "nearly every change is a Put, taken in at once and never stored"
)]
pub enum Change {
    /// It is there, or is different; unreadable ones are kept as their fault.
    Put(Key, Result<Object, Fault>),
    /// It is gone.
    Remove(Key),
}

/// What has to be looked at again after changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Neighbors, policies, networks of the node.
    pub peering: bool,
    /// Every service (a pool, a policy, a namespace changed).
    pub all_services: bool,
    /// These services.
    pub services: BTreeSet<ObjectName>,
    /// These nodes; that of ours is every service's business too.
    pub nodes: BTreeSet<Box<str>>,
    /// The list of faults.
    pub faults: bool,
}

impl Touched {
    /// Takes in what another change touched.
    pub fn merge(&mut self, other: Self) {
        self.peering |= other.peering;
        self.all_services |= other.all_services;
        self.services.extend(other.services);
        self.nodes.extend(other.nodes);
        self.faults |= other.faults;
    }

    /// Whether nothing has to be looked at.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// All objects.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    nodes: BTreeMap<Box<str>, Node>,
    /// Services, and slices of services that are (not yet or no longer) there.
    services: BTreeMap<ObjectName, Entry>,
    /// Which service a slice (by its own name) belongs to.
    slice_owners: BTreeMap<ObjectName, Box<str>>,
    namespaces: BTreeMap<Box<str>, Namespace>,
    service_cidrs: BTreeMap<Box<str>, ServiceCidr>,
    config_maps: BTreeMap<ObjectName, ConfigMap>,
    secrets: BTreeMap<ObjectName, SecretData>,
    metallb: BTreeMap<(metallb::Kind, ObjectName), metallb::Object>,
    calico: BTreeMap<(calico::Kind, ObjectName), calico::Object>,
    faults: BTreeMap<Key, Fault>,
    node_numbers: NodeNumbers,
    /// The name of our node: its endpoints are local.
    own_node: Box<str>,
    /// Secrets that were asked for, whether they are there or not.
    asked: RefCell<BTreeSet<ObjectName>>,
}

/// A service and its endpoints.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entry {
    pub service: Option<Box<Service>>,
    pub slices: Slices,
}

impl Entry {
    fn is_empty(&self) -> bool {
        self.service.is_none() && self.slices.is_empty()
    }
}

impl Snapshot {
    /// Takes a change in and says what it touches.
    pub fn apply(&mut self, change: Change) -> Touched {
        let (key, object) = match change {
            Change::Put(key, object) => (key, Some(object)),
            Change::Remove(key) => (key, None),
        };
        let (object, fault) = match object {
            Some(Ok(object)) => (Some(object), None),
            Some(Err(fault)) => (None, Some(fault)),
            None => (None, None),
        };
        let is_kept = fault.is_some() && !fails_closed(key.kind);
        let faults = match fault {
            Some(fault) => self.faults.insert(key.clone(), fault.clone()) != Some(fault),
            None => self.faults.remove(&key).is_some(),
        };
        let mut touched = match object {
            Some(object) => self.put(&key, object),
            None if is_kept => Touched::default(),
            None => self.remove(&key),
        };
        // A filter that was never readable is missed by those that name it.
        touched.peering |= faults && fails_closed(key.kind);
        touched.faults = faults;
        touched
    }

    fn put(&mut self, key: &Key, object: Object) -> Touched {
        let name = key.name.clone();
        match object {
            Object::Node(node) => {
                let was = self.nodes.insert(name.name.clone(), node);
                node_touched(name.name, was.as_ref() == self.nodes.get(&key.name.name))
            }
            Object::Service(service) => {
                let entry = self.services.entry(name.clone()).or_default();
                let is_same = entry.service.as_deref() == Some(&service);
                entry.service = Some(Box::new(service));
                service_touched(name, is_same)
            }
            Object::EndpointSlice(slice) => self.put_slice(name, slice),
            Object::Namespace(namespace) => {
                let is_same = self.namespaces.get(&name.name) == Some(&namespace);
                self.namespaces.insert(name.name, namespace);
                everything(is_same)
            }
            Object::ServiceCidr(cidr) => {
                let is_same = self.service_cidrs.get(&name.name) == Some(&cidr);
                self.service_cidrs.insert(name.name, cidr);
                everything(is_same)
            }
            Object::ConfigMap(map) => {
                let is_same = self.config_maps.get(&name) == Some(&map);
                self.config_maps.insert(name, map);
                everything(is_same)
            }
            Object::Secret(secret) => {
                let is_same = self.secrets.get(&name) == Some(&secret);
                self.secrets.insert(name, secret);
                peering(is_same)
            }
            Object::Metallb(object) => {
                let at = (object.kind(), name);
                let is_same = self.metallb.get(&at) == Some(&object);
                self.metallb.insert(at, object);
                everything(is_same)
            }
            Object::Calico(object) => {
                let at = (object.kind(), name);
                let is_same = self.calico.get(&at) == Some(&object);
                self.calico.insert(at, object);
                everything(is_same)
            }
        }
    }

    fn remove(&mut self, key: &Key) -> Touched {
        let name = &key.name;
        match key.kind {
            Kind::Node => {
                let is_same = self.nodes.remove(&name.name).is_none();
                node_touched(name.name.clone(), is_same)
            }
            Kind::Service => {
                let entry = self.services.get_mut(name);
                let was = entry.and_then(|entry| entry.service.take());
                self.tidy(name);
                service_touched(name.clone(), was.is_none())
            }
            Kind::EndpointSlice => {
                let mut touched = Touched::default();
                touched.services.extend(self.take_slice(name));
                touched
            }
            Kind::Namespace => everything(self.namespaces.remove(&name.name).is_none()),
            Kind::ServiceCidr => everything(self.service_cidrs.remove(&name.name).is_none()),
            Kind::ConfigMap => everything(self.config_maps.remove(name).is_none()),
            Kind::Secret => peering(self.secrets.remove(name).is_none()),
            Kind::Metallb(kind) => everything(self.metallb.remove(&(kind, name.clone())).is_none()),
            Kind::Calico(kind) => everything(self.calico.remove(&(kind, name.clone())).is_none()),
        }
    }

    fn put_slice(&mut self, name: ObjectName, slice: EndpointSlice) -> Touched {
        let owner = slice.service.clone();
        let mut touched = Touched::default();
        if self.slice_owners.get(&name) != owner.as_ref() {
            touched.services.extend(self.take_slice(&name));
        }
        if let Some(owner) = owner {
            let service = ObjectName {
                namespace: name.namespace.clone(),
                name: owner.clone(),
            };
            let entry = self.services.entry(service.clone()).or_default();
            if entry.slices.put(&slice, &mut self.node_numbers) {
                entry.slices.count(&self.node_numbers, &self.own_node);
                touched.services.insert(service);
            }
            self.slice_owners.insert(name, owner);
        }
        touched
    }

    /// Takes a slice out; the service it belonged to.
    fn take_slice(&mut self, name: &ObjectName) -> Option<ObjectName> {
        let service = self.slice_owners.remove(name)?;
        let owner = ObjectName {
            namespace: name.namespace.clone(),
            name: service,
        };
        if let Some(entry) = self.services.get_mut(&owner) {
            entry.slices.remove(&name.name, &mut self.node_numbers);
            entry.slices.count(&self.node_numbers, &self.own_node);
            self.tidy(&owner);
        }
        Some(owner)
    }

    /// Forgets a service of which nothing is left.
    fn tidy(&mut self, name: &ObjectName) {
        if self.services.get(name).is_some_and(Entry::is_empty) {
            self.services.remove(name);
        }
    }

    /// Says which node is ours: its endpoints count as local.
    pub(crate) fn set_own_node(&mut self, name: &str) {
        if *self.own_node != *name {
            self.own_node = name.into();
            for entry in self.services.values_mut() {
                entry.slices.count(&self.node_numbers, name);
            }
        }
    }

    /// A node by its name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.get(name)
    }

    /// All nodes, by name.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// A service.
    #[must_use]
    pub fn service(&self, name: &ObjectName) -> Option<&Service> {
        self.services.get(name)?.service.as_deref()
    }

    /// All services, by namespace and name.
    pub fn services(&self) -> impl Iterator<Item = (&ObjectName, &Service)> {
        let entries = self.services.iter();
        entries.filter_map(|(name, entry)| Some((name, entry.service.as_deref()?)))
    }

    /// A service with its endpoints.
    pub(crate) fn entry(&self, name: &ObjectName) -> Option<&Entry> {
        self.services.get(name)
    }

    /// All of them, by namespace and name; some only have slices.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&ObjectName, &Entry)> {
        self.services.iter()
    }

    /// How many endpoints of a service answer, as this node sees it.
    #[must_use]
    pub fn endpoints(&self, service: &ObjectName) -> Endpoints {
        let entry = self.services.get(service);
        entry.map_or_else(Endpoints::default, |entry| entry.slices.endpoints)
    }

    /// A namespace.
    #[must_use]
    pub fn namespace(&self, name: &str) -> Option<&Namespace> {
        self.namespaces.get(name)
    }

    /// All namespaces, by name.
    pub fn namespaces(&self) -> impl Iterator<Item = &Namespace> {
        self.namespaces.values()
    }

    /// The ranges of cluster addresses, by name.
    pub fn service_cidrs(&self) -> impl Iterator<Item = &ServiceCidr> {
        self.service_cidrs.values()
    }

    /// A config map.
    #[must_use]
    pub fn config_map(&self, namespace: &str, name: &str) -> Option<&ConfigMap> {
        self.config_maps.get(&ObjectName::new(namespace, name))
    }

    /// A secret.
    #[must_use]
    pub fn secret(&self, namespace: &str, name: &str) -> Option<&SecretData> {
        let name = ObjectName::new(namespace, name);
        if let Ok(mut asked) = self.asked.try_borrow_mut() {
            asked.insert(name.clone());
        }
        self.secrets.get(&name)
    }

    /// The secrets that were asked for since this was last called: what has to be read.
    pub(crate) fn take_asked(&self) -> BTreeSet<ObjectName> {
        self.asked.take()
    }

    /// The objects of MetalLB, by kind and name.
    pub fn metallb(&self) -> impl Iterator<Item = &metallb::Object> {
        self.metallb.values()
    }

    /// The objects of Calico, by kind and name.
    pub fn calico(&self) -> impl Iterator<Item = &calico::Object> {
        self.calico.values()
    }

    /// All of it, as changes that make it.
    #[cfg(test)]
    pub(crate) fn changes(&self) -> Vec<Change> {
        let mut objects: Vec<Object> = Vec::new();
        objects.extend(self.nodes.values().cloned().map(Object::Node));
        objects.extend(
            self.services()
                .map(|(_, service)| Object::Service(service.clone())),
        );
        for (name, entry) in &self.services {
            let slices = entry.slices.objects(name, &self.node_numbers);
            objects.extend(slices.map(Object::EndpointSlice));
        }
        objects.extend(self.namespaces.values().cloned().map(Object::Namespace));
        objects.extend(
            self.service_cidrs
                .values()
                .cloned()
                .map(Object::ServiceCidr),
        );
        objects.extend(self.config_maps.values().cloned().map(Object::ConfigMap));
        objects.extend(self.secrets.values().cloned().map(Object::Secret));
        objects.extend(self.metallb.values().cloned().map(Object::Metallb));
        objects.extend(self.calico.values().cloned().map(Object::Calico));
        let good = objects
            .into_iter()
            .map(|object| Change::Put(object.key(), Ok(object)));
        let bad = self.faults.iter();
        let bad = bad.map(|(key, fault)| Change::Put(key.clone(), Err(fault.clone())));
        good.chain(bad).collect()
    }

    /// What could not be read, by kind and name.
    pub fn faults(&self) -> impl Iterator<Item = (&Key, &Fault)> {
        self.faults.iter()
    }
}

/// Whether an object of the kind counts as gone once it is unreadable.
fn fails_closed(kind: Kind) -> bool {
    matches!(kind, Kind::Secret | Kind::Calico(calico::Kind::BgpFilter))
}

fn node_touched(name: Box<str>, is_same: bool) -> Touched {
    let mut touched = peering(is_same);
    if !is_same {
        touched.nodes.insert(name);
    }
    touched
}

fn service_touched(name: ObjectName, is_same: bool) -> Touched {
    let mut touched = Touched::default();
    if !is_same {
        touched.services.insert(name);
    }
    touched
}

fn peering(is_same: bool) -> Touched {
    Touched {
        peering: !is_same,
        ..Touched::default()
    }
}

fn everything(is_same: bool) -> Touched {
    Touched {
        peering: !is_same,
        all_services: !is_same,
        ..Touched::default()
    }
}
