//! A cluster written as manifests, and what MetalLB's dialect makes of it on `node1`.
//!
//! The rooms: `konvoy` (the documents' own snippets), `peers` and `services` (every field, on
//! manifests of our own), `legacy` (the old ConfigMap), `hostile` (random objects). MetalLB's own
//! files are read by the crate's test `metallb`.

mod hostile;
mod konvoy;
mod legacy;
mod peers;
mod services;

use std::net::IpAddr;

use serde_json::Value;

use super::Metallb;
use crate::dialect::{AddressKind, Offer, Peering, ServiceAddress, View};
use crate::object::{Key, Kind, Object, ObjectName, Service};
use crate::{Change, DialectName, Facts, Fault, Neighbor, Options, Severity, Snapshot};

/// The documents of a text of YAML.
fn documents(text: &str) -> Vec<Value> {
    let all: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    all.into_iter().filter(|one| !one.is_null()).collect()
}

/// The kind that a document is of.
fn kind_of(document: &Value) -> Option<Kind> {
    let text = |key| document.get(key).and_then(Value::as_str).unwrap_or("");
    Kind::of(text("apiVersion"), text("kind"))
}

/// The object that a document is.
fn object_of(kind: Kind, document: &Value) -> Result<Object, Fault> {
    Object::decode(kind, &serde_json::to_vec(document).unwrap())
}

/// What came of a cluster.
struct Scene {
    metallb: Metallb,
    peering: Peering,
    /// Of objects that could not be read at all, and then those of the dialect.
    faults: Vec<Fault>,
}

/// The cluster that the manifests are, seen from `node1`, whose router has AS 64512.
fn scene(manifests: &str) -> Scene {
    scene_with(manifests, &Options::new("node1"), 64512)
}

fn scene_with(manifests: &str, options: &Options, asn: u32) -> Scene {
    let mut snapshot = Snapshot::default();
    let mut faults = Vec::new();
    for document in documents(manifests) {
        let kind = kind_of(&document).unwrap_or_else(|| panic!("no kind: {document}"));
        let object = object_of(kind, &document);
        let key = match &object {
            Ok(object) => object.key(),
            Err(fault) => {
                faults.push(fault.clone());
                let meta = |key: &str| document["metadata"][key].as_str().unwrap_or("");
                Key {
                    kind,
                    name: ObjectName::new(meta("namespace"), meta("name")),
                }
            }
        };
        snapshot.apply(Change::Put(key, object));
    }
    let mut options = options.clone();
    if options.dialects == [DialectName::Native] {
        options.dialects = vec![DialectName::Metallb];
    }
    let facts = Facts {
        asn,
        ..Facts::default()
    };
    let mut peering = Peering::default();
    let view = View {
        snapshot: &snapshot,
        options: &options,
        facts: &facts,
        node: snapshot.node("node1"),
    };
    let metallb = Metallb::prepare(&view, &mut peering);
    faults.extend(peering.faults.clone());
    Scene {
        metallb,
        peering,
        faults,
    }
}

impl Scene {
    /// The routes of an address of a service with these labels, as lines.
    fn routes(&self, address: &str, labels: &[(&str, &str)]) -> Vec<String> {
        let mut service = Service::default();
        for (key, value) in labels {
            service.meta.labels.insert((*key).into(), (*value).into());
        }
        let address = ServiceAddress {
            kind: AddressKind::LoadBalancer,
            address: address.parse().unwrap(),
            is_local: false,
        };
        let mut lines = Vec::new();
        self.metallb.offer(&service, &address, &mut |offer| {
            lines.push(line(&offer));
        });
        lines
    }

    /// The one neighbor that there is.
    fn neighbor(&self) -> &Neighbor {
        assert_eq!(self.peering.neighbors.len(), 1, "{:?}", self.faults);
        &self.peering.neighbors[0]
    }

    /// The faults, as lines.
    fn fault_lines(&self) -> Vec<String> {
        self.faults.iter().map(fault_line).collect()
    }
}

fn fault_line(fault: &Fault) -> String {
    let severity = match fault.severity {
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    format!(
        "{severity}: {}: {}: {}",
        fault.object, fault.path, fault.text
    )
}

fn line(offer: &Offer) -> String {
    match offer {
        Offer::Announce {
            prefix,
            source,
            marks,
            neighbors,
            because,
        } => {
            let mut line = format!("{prefix} {source}");
            for community in &marks.communities {
                line.push_str(&format!(" {}:{}", community >> 16, community & 0xffff));
            }
            for [a, b, c] in &marks.large_communities {
                line.push_str(&format!(" large:{a}:{b}:{c}"));
            }
            if let Some(value) = marks.local_pref {
                line.push_str(&format!(" lp={value}"));
            }
            if let Some(list) = neighbors {
                let list: Vec<String> = list.iter().map(IpAddr::to_string).collect();
                line.push_str(&format!(" to {}", list.join("+")));
            }
            format!("{line} ({because})")
        }
        Offer::Decline(text) => format!("no: {text}"),
        Offer::Covered(text) => format!("covered: {text}"),
    }
}
