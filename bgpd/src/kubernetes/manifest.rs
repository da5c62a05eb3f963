//! Objects out of a manifest: YAML with any number of documents, JSON, and lists of objects.
//!
//! A manifest is what `kubectl apply -f` takes. Documents of kinds that no rule looks at are passed
//! over, since a folder may hold deployments too; an object without a namespace is in `default`, as
//! `kubectl` has it. A file that is no YAML is refused as a whole with the line, since a document
//! that was cut off may be valid and mean less than its author meant.

use cluster::dialect::{calico, metallb};
use cluster::object::{Key, Kind};
use serde::Deserialize;
use serde_json::Value;

use super::reduce::reduce;

/// Lists in lists, at most.
const DEPTH_MAX: u8 = 3;

/// Documents of one file, at most.
const DOCUMENTS_MAX: usize = 100_000;
/// Values and keys of one file, at most.
const NODES_MAX: usize = 10_000_000;

/// Why a manifest cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    /// The line, from 1; 0 = the whole file.
    pub line: u64,
    /// What is wrong.
    pub text: String,
}

/// An object of a manifest, reduced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Which object.
    pub key: Key,
    /// It, as JSON.
    pub json: Vec<u8>,
    /// Equal for equal `json`.
    pub digest: u64,
}

/// All objects of a manifest, in order.
///
/// # Errors
/// Where it is no YAML or JSON, or which of its documents is no object.
pub(super) fn read(text: &str, is_json: bool) -> Result<Vec<Entry>, Unreadable> {
    let documents: Vec<Value> = if is_json {
        let read = serde_json::Deserializer::from_str(text).into_iter();
        read.collect::<Result<_, _>>().map_err(|error| Unreadable {
            line: error.line() as u64,
            text: error.to_string(),
        })?
    } else {
        // As kubectl reads it, `y` and `n` are letters.
        let options = serde_saphyr::options! {
            strict_booleans: true,
            budget: serde_saphyr::budget! {
                max_documents: DOCUMENTS_MAX,
                max_nodes: NODES_MAX,
                max_events: 2 * NODES_MAX,
            },
        };
        serde_saphyr::from_multiple_with_options(text, options).map_err(|error| Unreadable {
            line: error.location().map_or(0, |location| location.line()),
            text: first_line(&error.without_snippet().to_string()),
        })?
    };
    let mut entries = Vec::new();
    for (index, document) in documents.into_iter().enumerate() {
        take(document, DEPTH_MAX, &mut entries).map_err(|text| Unreadable {
            line: 0,
            text: format!("document {}: {text}", index + 1),
        })?;
    }
    Ok(entries)
}

fn take(document: Value, depth: u8, entries: &mut Vec<Entry>) -> Result<(), String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    #[derive(Default)]
    struct Head {
        api_version: String,
        kind: String,
    }
    if document.is_null() {
        return Ok(());
    }
    let head = Head::deserialize(&document).map_err(|_| "it is no Kubernetes object")?;
    if head.kind.is_empty() || head.api_version.is_empty() {
        return Err("it has no apiVersion and kind".into());
    }
    if head.kind.ends_with("List") {
        return take_list(document, &head.kind, depth, entries);
    }
    let Some(kind) = Kind::of(&head.api_version, &head.kind) else {
        return Ok(());
    };
    let mut document = document;
    if is_namespaced(kind) {
        let meta = document.get_mut("metadata").and_then(Value::as_object_mut);
        if let Some(meta) = meta {
            let namespace = meta.entry("namespace").or_insert("default".into());
            if namespace.as_str().is_none_or(str::is_empty) {
                *namespace = "default".into();
            }
        }
    }
    let object = reduce((kind, &head.api_version), document)
        .map_err(|wrong| format!("{}: {wrong}", head.kind))?;
    entries.push(Entry {
        key: Key {
            kind,
            name: object.name,
        },
        digest: object.digest,
        json: object.json,
    });
    Ok(())
}

fn take_list(
    mut list: Value,
    word: &str,
    depth: u8,
    entries: &mut Vec<Entry>,
) -> Result<(), String> {
    let depth = depth.checked_sub(1).ok_or("lists in lists in lists")?;
    let api_version = list.get("apiVersion").cloned().unwrap_or_default();
    let items = list.get_mut("items").map(Value::take).unwrap_or_default();
    let Value::Array(items) = items else {
        return Ok(());
    };
    let element = word.strip_suffix("List").unwrap_or_default();
    for mut item in items {
        // The elements of a ServiceList need not say that they are services.
        if let Some(fields) = item.as_object_mut().filter(|_| !element.is_empty()) {
            fields.entry("apiVersion").or_insert(api_version.clone());
            fields.entry("kind").or_insert(element.into());
        }
        take(item, depth, entries)?;
    }
    Ok(())
}

fn is_namespaced(kind: Kind) -> bool {
    match kind {
        Kind::Service | Kind::EndpointSlice | Kind::ConfigMap | Kind::Secret | Kind::Metallb(_) => {
            true
        }
        Kind::Node | Kind::Namespace | Kind::ServiceCidr | Kind::Calico(_) => false,
    }
}

/// Whether a folder's objects of this kind are read, beside those that the API serves: calicoctl's
/// own Node, MetalLB's older pools, and secrets, which are not asked for by name here.
pub(super) fn is_of_files_only(kind: Kind) -> bool {
    match kind {
        Kind::Secret => true,
        Kind::Calico(kind) => kind == calico::Kind::Node,
        Kind::Metallb(kind) => kind == metallb::Kind::AddressPool,
        _ => false,
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let read = read(text, false).expect("readable");
        let name = |e: Entry| format!("{:?} {}", e.key.kind, e.key.name);
        read.into_iter().map(name).collect()
    }

    #[test]
    fn documents_lists_and_foreign_kinds_are_told_apart() {
        let text = "\
---
apiVersion: v1
kind: Service
metadata: {name: web}
---
# nothing
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
---
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Node
  metadata: {name: n1, namespace: ''}
- apiVersion: metallb.io/v1beta2
  kind: BGPPeer
  metadata: {name: tor, namespace: metallb-system}
---
apiVersion: v1
kind: NamespaceList
items: [{metadata: {name: blue}}]
";
        let expected = [
            "Service default/web",
            "Node n1",
            "Metallb(BgpPeer) metallb-system/tor",
            "Namespace blue",
        ];
        assert_eq!(names(text), expected);
    }

    #[test]
    fn letters_are_no_booleans() {
        let text = "{apiVersion: v1, kind: Node, metadata: {name: n, labels: {l: y}}, x: true}";
        let read = read(text, false).expect("readable");
        let json = String::from_utf8_lossy(&read[0].json).into_owned();
        assert!(
            json.contains("\"l\":\"y\"") && json.contains("\"x\":true"),
            "{json}"
        );
    }

    #[test]
    fn json_may_hold_several_objects_and_equal_objects_have_equal_digests() {
        let json = r#"{"apiVersion":"v1","kind":"Node","metadata":{"name":"n1"}}
            {"kind":"Node","apiVersion":"v1","metadata":{"name":"n2"}}"#;
        let from_json = read(json, true).expect("readable");
        assert_eq!(from_json.len(), 2);
        let yaml = read("{apiVersion: v1, kind: Node, metadata: {name: n1}}", false);
        assert_eq!(yaml.expect("readable")[0], from_json[0]);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let wrong = read("a: b\nkind: [1,\n", false).expect_err("no YAML");
        assert!(wrong.line >= 2, "{wrong:?}");
        let wrong = read("{\"kind\": \n }", true).expect_err("no JSON");
        assert_eq!(wrong.line, 2, "{wrong:?}");
        let wrong = read("a: b\n---\nc: d\n", false).expect_err("no objects");
        assert_eq!(wrong.text, "document 1: it has no apiVersion and kind");
        let wrong = read("apiVersion: v1\nkind: Node\n", false).expect_err("no metadata");
        assert_eq!(wrong.text, "document 1: Node: no metadata");
        let deep = format!("{}[]{}", "{a: ".repeat(3000), "}".repeat(3000));
        read(&deep, false).expect_err("too deep, and no stack overflow");
    }
}
