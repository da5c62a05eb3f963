//! The endpoints of a service, packed: four octets each, and counted as they come.
//!
//! Endpoints are what a cluster has most of. Of each one only this matters: which node it is on,
//! and whether it is ready or leaves while it serves. Names of nodes become numbers, which are
//! given back with the last endpoint on the node; no number ever leaves this room. The sum per
//! family ([`Endpoints`]) is kept with the service and made anew when one of its slices changes, so
//! a recompute of everything reads no endpoint at all.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::endpoints::Endpoints;
use crate::object::{Endpoint, EndpointSlice};

/// Bits below the node's number: ready, leaving.
const FLAG_BITS: u32 = 2;
const READY: u32 = 1;
const LEAVING: u32 = 2;
/// The number for no node, and for those beyond what the bits hold.
const NOWHERE: u32 = 0;

/// Numbers for the names of nodes, from 1.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeNumbers {
    numbers: BTreeMap<Arc<str>, u32>,
    /// By number: the name, and how many endpoints use it.
    names: Vec<(Arc<str>, usize)>,
    free: Vec<u32>,
}

impl NodeNumbers {
    /// The number of a node, for one more endpoint on it.
    fn take(&mut self, name: &str) -> u32 {
        if let Some(number) = self.get(name) {
            if let Some((_, count)) = self.names.get_mut(index(number)) {
                *count += 1;
            }
            return number;
        }
        let name: Arc<str> = name.into();
        let number = match self.free.pop() {
            Some(number) => number,
            None => {
                let next = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
                if next >= u32::MAX >> FLAG_BITS {
                    return NOWHERE;
                }
                self.names.push((Arc::clone(&name), 0));
                next + 1
            }
        };
        if let Some(slot) = self.names.get_mut(index(number)) {
            *slot = (Arc::clone(&name), 1);
        }
        self.numbers.insert(name, number);
        number
    }

    /// One endpoint less on a node.
    fn give_back(&mut self, number: u32) {
        if let Some((name, count)) = self.names.get_mut(index(number)) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.numbers.remove(name);
                self.free.push(number);
            }
        }
    }

    /// The number of a node on which there is an endpoint.
    fn get(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied()
    }
}

/// Where a number's name is; nowhere for [`NOWHERE`].
fn index(number: u32) -> usize {
    usize::try_from(number).map_or(usize::MAX, |number| number.wrapping_sub(1))
}

/// A slice, packed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Packed {
    name: Box<str>,
    is_ipv6: Option<bool>,
    endpoints: Box<[u32]>,
}

/// The slices of a service.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slices {
    /// By name.
    packed: Vec<Packed>,
    pub(crate) endpoints: Endpoints,
}

impl Slices {
    /// Puts a slice in, or in the place of the one of its name. Whether anything changed.
    pub(crate) fn put(&mut self, slice: &EndpointSlice, nodes: &mut NodeNumbers) -> bool {
        let pack = |endpoint: &Endpoint| {
            let node = endpoint.node.as_deref();
            let number = node.map_or(NOWHERE, |node| nodes.take(node));
            number << FLAG_BITS | flags(endpoint)
        };
        let new = Packed {
            name: slice.meta.name.clone(),
            is_ipv6: slice.is_ipv6,
            endpoints: slice.endpoints.iter().map(pack).collect(),
        };
        match self
            .packed
            .binary_search_by(|have| have.name.cmp(&new.name))
        {
            Ok(at) => {
                let Some(have) = self.packed.get_mut(at) else {
                    return false;
                };
                let changes = *have != new;
                let old = std::mem::replace(have, new);
                give_back(&old, nodes);
                changes
            }
            Err(at) => {
                self.packed.reserve_exact(1);
                self.packed.insert(at, new);
                true
            }
        }
    }

    /// Takes a slice out.
    pub(crate) fn remove(&mut self, name: &str, nodes: &mut NodeNumbers) {
        self.packed.retain(|have| {
            let is_it = *have.name == *name;
            if is_it {
                give_back(have, nodes);
            }
            !is_it
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.packed.is_empty()
    }

    /// Counts the endpoints, as this node sees them.
    pub(crate) fn count(&mut self, nodes: &NodeNumbers, node: &str) {
        let here = nodes.get(node);
        let mut endpoints = Endpoints::default();
        for slice in &self.packed {
            let Some(is_ipv6) = slice.is_ipv6 else {
                continue;
            };
            for packed in &slice.endpoints {
                let is_here = here == Some(packed >> FLAG_BITS);
                let (ready, leaving) = (packed & READY != 0, packed & LEAVING != 0);
                endpoints.add(is_ipv6, is_here, ready, leaving);
            }
        }
        self.endpoints = endpoints;
    }

    /// The names of the slices.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.packed.iter().map(|slice| &*slice.name)
    }

    /// The slices as objects, as far as they were kept.
    #[cfg(test)]
    pub(crate) fn objects<'a>(
        &'a self,
        service: &'a crate::object::ObjectName,
        nodes: &'a NodeNumbers,
    ) -> impl Iterator<Item = EndpointSlice> {
        self.packed.iter().map(|slice| EndpointSlice {
            meta: crate::object::Meta {
                namespace: service.namespace.clone(),
                name: slice.name.clone(),
                ..Default::default()
            },
            service: Some(service.name.clone()),
            is_ipv6: slice.is_ipv6,
            endpoints: slice
                .endpoints
                .iter()
                .map(|packed| unpack(*packed, nodes))
                .collect(),
        })
    }
}

fn give_back(slice: &Packed, nodes: &mut NodeNumbers) {
    for packed in &slice.endpoints {
        nodes.give_back(packed >> FLAG_BITS);
    }
}

fn flags(endpoint: &Endpoint) -> u32 {
    let is_ready = endpoint.ready != Some(false);
    let is_serving = endpoint.serving.unwrap_or(is_ready);
    let is_leaving = !is_ready && is_serving && endpoint.terminating == Some(true);
    match (is_ready, is_leaving) {
        (true, _) => READY,
        (false, true) => LEAVING,
        (false, false) => 0,
    }
}

#[cfg(test)]
fn unpack(packed: u32, nodes: &NodeNumbers) -> Endpoint {
    let is_leaving = packed & LEAVING != 0;
    Endpoint {
        node: nodes
            .names
            .get(index(packed >> FLAG_BITS))
            .map(|(name, _)| name.as_ref().into()),
        ready: Some(packed & READY != 0),
        serving: Some(is_leaving),
        terminating: Some(is_leaving),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(name: &str, nodes: &[&str]) -> EndpointSlice {
        let endpoints = nodes.iter().map(|node| Endpoint {
            node: Some((*node).into()),
            ..Endpoint::default()
        });
        let mut slice = EndpointSlice {
            endpoints: endpoints.collect(),
            is_ipv6: Some(false),
            ..EndpointSlice::default()
        };
        slice.meta.name = name.into();
        slice
    }

    /// Whoever may write slices may write names of nodes that do not exist, again and again.
    #[test]
    fn names_of_nodes_are_forgotten_with_their_last_endpoint() {
        let (mut nodes, mut slices) = (NodeNumbers::default(), Slices::default());
        for round in 0..1_000 {
            let name = format!("made-up-{round}");
            assert!(slices.put(&slice("a", &[&name, "n1"]), &mut nodes));
            assert!(!slices.put(&slice("a", &[&name, "n1"]), &mut nodes));
            assert_eq!(
                (nodes.numbers.len(), nodes.names.len()),
                (2, nodes.names.len().min(3))
            );
        }
        slices.count(&nodes, "n1");
        assert_eq!(slices.endpoints.family(false).local_ready, 1);
        slices.remove("a", &mut nodes);
        assert!(slices.is_empty() && nodes.numbers.is_empty());
    }
}
