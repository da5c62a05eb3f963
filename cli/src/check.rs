//! `check FILE` for Kubernetes manifests: what the daemon would say of these objects.
//!
//! The readers are the daemon's own (`cluster`), so what passes here passes there: each object that
//! would be left out, and each that works otherwise than somebody may expect, with the path in it
//! and what to write instead. Objects are looked at together, as one cluster: what refers to an
//! object that is in none of the documents is a fault. Node selectors are tried with every Node of
//! the file.
//! Nothing is asked of an API server, and nothing of a running daemon.

use std::collections::BTreeSet;
use std::io::Write;

use cluster::dialect::{Dialects, Peering, View};
use cluster::object::{Kind, Object};
use cluster::{Change, DialectName, Facts, Fault, Options, Severity, Snapshot};

use crate::convert::cluster::manifest::{self, Document};

/// What was found.
#[derive(Default)]
struct Checked {
    faults: BTreeSet<Fault>,
    read: usize,
    passed_over: usize,
}

/// Whether `check` should take the text for manifests.
pub fn is_manifest(text: &str) -> bool {
    manifest::is_manifest(text)
}

/// Prints every fault of the manifests; `Ok(false)` when an object would be left out.
///
/// # Errors
/// The text is not YAML, or the output is gone.
pub fn run(file: &str, text: &str, out: &mut dyn Write) -> Result<bool, std::io::Error> {
    let documents = match manifest::documents(text) {
        Ok(documents) => documents,
        Err((line, text)) => {
            writeln!(out, "{file}:{line}: {text}")?;
            return Ok(false);
        }
    };
    let checked = look(&documents);
    let mut errors = 0;
    for fault in &checked.faults {
        let severity = match fault.severity {
            Severity::Error => {
                errors += 1;
                "error"
            }
            Severity::Warning => "warning",
        };
        let line = line_of(&documents, &fault.object);
        let place = match &*fault.path {
            "" => String::new(),
            path => format!(" {path}:"),
        };
        writeln!(
            out,
            "{file}:{line}: {severity}: {}:{place} {}",
            fault.object, fault.text
        )?;
    }
    let (read, over) = (checked.read, checked.passed_over);
    let warnings = checked.faults.len() - errors;
    writeln!(
        out,
        "{file}: {read} objects read, {over} passed over; {errors} errors, {warnings} warnings"
    )?;
    Ok(errors == 0)
}

fn look(documents: &[Document]) -> Checked {
    let mut checked = Checked::default();
    let mut snapshot = Snapshot::default();
    let mut dialects = BTreeSet::new();
    let mut nodes = BTreeSet::from([String::new()]);
    for document in documents {
        let api = document.body["apiVersion"].as_str().unwrap_or("");
        let Some(kind) = Kind::of(api, &document.kind) else {
            checked.passed_over += 1;
            continue;
        };
        match kind {
            Kind::Metallb(_) | Kind::ConfigMap => dialects.insert(DialectName::Metallb),
            Kind::Calico(_) => dialects.insert(DialectName::Calico),
            _ => dialects.insert(DialectName::Native),
        };
        match Object::decode(kind, document.body.to_string().as_bytes()) {
            Ok(object) => {
                checked.read += 1;
                let key = object.key();
                if kind == Kind::Node {
                    nodes.insert(key.name.name.to_string());
                }
                snapshot.apply(Change::Put(key, Ok(object)));
            }
            Err(fault) => drop(checked.faults.insert(fault)),
        }
    }
    for node in nodes {
        let mut options = Options::new(&node);
        options.dialects = dialects.iter().copied().collect();
        let view = View {
            snapshot: &snapshot,
            options: &options,
            facts: &Facts::default(),
            node: snapshot.node(&node),
        };
        let mut peering = Peering::default();
        let _ = Dialects::prepare(&view, &mut peering);
        checked.faults.extend(peering.faults);
    }
    checked
}

/// The line at which the document of an object begins.
fn line_of(documents: &[Document], object: &str) -> usize {
    let named = documents.iter().find(|document| document.name == object);
    named.map_or(1, |document| document.line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> (bool, String) {
        let mut out = Vec::new();
        let is_good = run("m.yaml", text, &mut out).expect("memory");
        (is_good, String::from_utf8(out).expect("text"))
    }

    const POOL: &str = "apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: web, namespace: metallb-system}
spec: {addresses: [10.0.0.0/24]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
";

    #[test]
    fn good_manifests_pass() {
        let (is_good, text) = checked(POOL);
        assert!(is_good, "{text}");
        assert_eq!(
            text,
            "m.yaml: 1 objects read, 1 passed over; 0 errors, 0 warnings\n"
        );
    }

    #[test]
    fn faults_have_line_object_path_and_cure() {
        let peer = "---
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: tor, namespace: metallb-system}
spec: {myASN: 64512, peerASN: 64500, peerAddress: 10.0.0.1, holdTime: 2s}
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: all, namespace: metallb-system}
spec: {peers: [tor2]}
";
        let (is_good, text) = checked(&format!("{POOL}{peer}"));
        assert!(!is_good);
        assert_eq!(
            text,
            "m.yaml:15: warning: BGPAdvertisement metallb-system/all: spec.peers[0]: no BGPPeer \
             \"tor2\" in metallb-system\n\
             m.yaml:10: error: BGPPeer metallb-system/tor: spec.holdTime: out of range; write \
             \"0s\" or \"3s\" to \"65535s\"\n\
             m.yaml: 2 objects read, 1 passed over; 1 errors, 1 warnings\n"
        );
    }

    #[test]
    fn what_is_no_yaml_is_named_with_its_line() {
        let (is_good, text) = checked("kind: x\n---\nkind: [\n");
        assert!(!is_good && text.starts_with("m.yaml:3: not YAML"), "{text}");
    }
}
