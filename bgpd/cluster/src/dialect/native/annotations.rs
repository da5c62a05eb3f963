//! Annotations of a service: `wayfare.dev/communities`, `local-pref`, `neighbors`.
//!
//! Lists are separated by commas. `communities` takes what policies take (`64500:100`, a number, a
//! well-known name) and large communities (`64500:1:2`). `neighbors` takes addresses; a pool's own
//! list can be narrowed by it, never widened. What cannot be read is left out and is a fault of the
//! service, with one exception: where nothing of a list of neighbors can be read, the service is
//! told to nobody rather than to everybody.
//!
//! `wayfare.dev/advertise` belongs to all dialects and is a rule of its own (`eligible`).

use std::net::IpAddr;

use rib::policy::{parse_community, parse_large};

use crate::object::{ObjectName, Service, address};
use crate::{Fault, Marks, Severity};

const ADVERTISE: &str = "wayfare.dev/advertise";
const COMMUNITIES: &str = "wayfare.dev/communities";
const LOCAL_PREF: &str = "wayfare.dev/local-pref";
const NEIGHBORS: &str = "wayfare.dev/neighbors";
/// Neighbors that a service may name; what comes after them is left out.
const NEIGHBORS_MAX: usize = 64;

/// What the annotations of a service say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wish {
    pub marks: Marks,
    pub neighbors: Option<Vec<IpAddr>>,
}

impl Wish {
    /// Whether the service wants to be told apart from the others of its pool or range.
    pub fn is_special(&self) -> bool {
        *self != Self::default()
    }
}

/// Whether a service asks by its annotation for its cluster address to be announced.
pub(super) fn asks_for_cluster_ip(service: &Service) -> bool {
    let list = service.meta.annotations.get(ADVERTISE);
    list.is_some_and(|list| list.split(',').any(|item| item.trim() == "cluster-ip"))
}

/// Reads them; `fault` hears of each part that is left out: annotation and part.
pub(super) fn read(service: &Service, fault: &mut dyn FnMut(&'static str, &str)) -> Wish {
    let annotations = &service.meta.annotations;
    let mut wish = Wish::default();
    if annotations.is_empty() {
        return wish;
    }
    for item in items(annotations.get(COMMUNITIES).map(AsRef::as_ref)) {
        if let Some(community) = parse_community(item) {
            wish.marks.communities.push(community);
        } else if let Some(community) = parse_large(item) {
            wish.marks.large_communities.push(community);
        } else {
            fault(COMMUNITIES, item);
        }
    }
    wish.marks.communities.sort_unstable();
    wish.marks.communities.dedup();
    wish.marks.large_communities.sort_unstable();
    wish.marks.large_communities.dedup();
    if let Some(text) = annotations.get(LOCAL_PREF) {
        match text.trim().parse() {
            Ok(value) => wish.marks.local_pref = Some(value),
            Err(_) => fault(LOCAL_PREF, text),
        }
    }
    if let Some(text) = annotations.get(NEIGHBORS) {
        let mut neighbors = Vec::new();
        for item in items(Some(text)) {
            match address(item) {
                Some(neighbor) if neighbors.len() < NEIGHBORS_MAX => neighbors.push(neighbor),
                _ => fault(NEIGHBORS, item),
            }
        }
        neighbors.sort_unstable();
        neighbors.dedup();
        wish.neighbors = Some(neighbors);
    }
    wish
}

fn items(list: Option<&str>) -> impl Iterator<Item = &str> {
    let items = list.unwrap_or_default().split(',').map(str::trim);
    items.filter(|item| !item.is_empty())
}

/// What is wrong with the annotations of a service.
pub(crate) fn service_faults(name: &ObjectName, service: &Service) -> Vec<Fault> {
    if service.meta.annotations.is_empty() {
        return Vec::new();
    }
    let mut faults = Vec::new();
    let mut fault = |key: &str, item: &str, expected: &str| {
        let shown: String = item.chars().take(80).collect();
        faults.push(Fault {
            object: format!("Service {name}").into(),
            path: format!("metadata.annotations[{key}]").into(),
            severity: Severity::Error,
            text: format!("\"{shown}\" is left out: {expected} expected").into(),
        });
    };
    read(service, &mut |key, item| {
        let expected = match key {
            COMMUNITIES => "a community such as 64500:100, 64500:1:2 or no-export",
            LOCAL_PREF => "a number",
            _ => "an address, one of at most 64,",
        };
        fault(key, item, expected);
    });
    let kinds = ["cluster-ip", "external-ip", "load-balancer-ip", "none"];
    let list = service.meta.annotations.get(ADVERTISE);
    for item in items(list.map(AsRef::as_ref)) {
        if !kinds.contains(&item) {
            let expected = "cluster-ip, external-ip, load-balancer-ip or none";
            fault(ADVERTISE, item, expected);
        }
    }
    faults
}
