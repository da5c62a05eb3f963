//! What is kept of an object: its JSON without what no rule can ever look at.
//!
//! The API server sends much that changes often and says nothing about routes: managed fields,
//! versions, images, heartbeats. It is dropped before anything else sees the object. What is left
//! has a digest, so an object that did not change costs nothing further, not even on a relist of
//! ten thousand; it is what the decoder reads, and it is what the snapshot on disk keeps, so that a
//! restart decodes the very bytes that the last run decoded.
//!
//! Only fields are named here that must go; a field that is new to Kubernetes stays. Annotations
//! are anybody's, up to 256 KiB of them, and only those stay whose prefix some rule reads.

use std::hash::{DefaultHasher, Hasher};

use cluster::object::{Kind, ObjectName, is_read_annotation};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::kinds::object_word;

/// `metadata` of every kind.
const META: &[&str] = &[
    "managedFields",
    "resourceVersion",
    "generation",
    "selfLink",
    "ownerReferences",
];
/// `status` of a Node.
const NODE_STATUS: &[&str] = &[
    "images",
    "nodeInfo",
    "capacity",
    "allocatable",
    "volumesInUse",
    "volumesAttached",
    "daemonEndpoints",
    "config",
    "runtimeHandlers",
    "features",
];
/// Each of `status.conditions` of a Node: when the kubelet was heard last.
const CONDITION: &[&str] = &["lastHeartbeatTime"];
/// Each endpoint of an EndpointSlice.
const ENDPOINT: &[&str] = &[
    "targetRef",
    "hints",
    "zone",
    "deprecatedTopology",
    "hostname",
];

/// An object, reduced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reduced {
    /// Its name.
    pub name: ObjectName,
    /// `kind`, where the object says so.
    pub kind: String,
    /// `metadata.resourceVersion`.
    pub version: String,
    /// What is left, as JSON.
    pub json: Vec<u8>,
    /// Equal for equal `json`.
    pub digest: u64,
}

/// Reduces an object of this kind and `apiVersion`.
///
/// # Errors
/// What is wrong with it: it is no object, or it has no name.
pub(super) fn reduce(
    (kind, api_version): (Kind, &str),
    mut object: Value,
) -> Result<Reduced, &'static str> {
    let fields = object.as_object_mut().ok_or("no JSON object")?;
    let word = text(fields.get("kind"));
    // Elements of a list lack both, events of a watch have them: made equal, at the same place.
    fields.shift_remove("kind");
    fields.shift_remove("apiVersion");
    fields.insert("apiVersion".into(), api_version.into());
    fields.insert("kind".into(), object_word(kind).into());
    let meta = fields.get_mut("metadata").and_then(Value::as_object_mut);
    let meta = meta.ok_or("no metadata")?;
    let version = text(meta.get("resourceVersion"));
    let name = ObjectName::new(&text(meta.get("namespace")), &text(meta.get("name")));
    if name.name.is_empty() {
        return Err("no metadata.name");
    }
    drop_keys(meta, META);
    let annotations = meta.get_mut("annotations").and_then(Value::as_object_mut);
    if let Some(annotations) = annotations {
        annotations.retain(|key, _| is_read_annotation(key));
    }
    match kind {
        Kind::Node => reduce_node(fields),
        Kind::EndpointSlice => each_of(fields, "endpoints", ENDPOINT),
        _ => {}
    }
    let json = serde_json::to_vec(&object).map_err(|_| "no JSON")?;
    Ok(Reduced {
        name,
        kind: word,
        version,
        digest: digest(&json),
        json,
    })
}

/// A digest: equal for equal bytes, in this run and the next.
pub(super) fn digest(json: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(json);
    hasher.finish()
}

fn reduce_node(fields: &mut Map<String, Value>) {
    if let Some(status) = fields.get_mut("status").and_then(Value::as_object_mut) {
        drop_keys(status, NODE_STATUS);
        each_of(status, "conditions", CONDITION);
    }
}

fn each_of(fields: &mut Map<String, Value>, list: &str, dropped: &[&str]) {
    let elements = fields.get_mut(list).and_then(Value::as_array_mut);
    for element in elements.into_iter().flatten() {
        if let Some(element) = element.as_object_mut() {
            drop_keys(element, dropped);
        }
    }
}

fn drop_keys(fields: &mut Map<String, Value>, dropped: &[&str]) {
    fields.retain(|key, _| !dropped.contains(&key.as_str()));
}

fn text(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The name in the beginning of an object that is too large or broken, if it is there: the API
/// server writes `metadata` first.
pub(super) fn name_in(head: &[u8]) -> Option<ObjectName> {
    #[derive(Deserialize)]
    struct Meta {
        #[serde(default)]
        namespace: String,
        name: String,
    }
    let key = b"\"metadata\":";
    let at = head.windows(key.len()).position(|window| window == key)?;
    let rest = head.get(at + key.len()..)?;
    let end = metadata_end(rest)?;
    let meta: Meta = serde_json::from_slice(rest.get(..end)?).ok()?;
    (!meta.name.is_empty()).then(|| ObjectName::new(&meta.namespace, &meta.name))
}

/// Where the JSON object at the start of `bytes` ends.
fn metadata_end(bytes: &[u8]) -> Option<usize> {
    let (mut depth, mut in_string, mut is_escaped) = (0u32, false, false);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: (Kind, &str) = (Kind::Node, "v1");

    fn node(json: &str) -> Reduced {
        let object = serde_json::from_str(json).expect("JSON");
        reduce(NODE, object).expect("an object")
    }

    #[test]
    fn a_heartbeat_is_no_change_and_a_condition_is() {
        let status = |version: u32, beat: u32, ready: &str| {
            node(&format!(
                "{{\"metadata\":{{\"name\":\"n1\",\"resourceVersion\":\"{version}\",\
                 \"managedFields\":[{version}]}},\"status\":{{\"images\":[{beat}],\"conditions\":\
                 [{{\"type\":\"Ready\",\"status\":\"{ready}\",\
                 \"lastHeartbeatTime\":\"{beat}\"}}]}}}}"
            ))
        };
        let first = status(1, 1, "True");
        assert_eq!(first.version, "1");
        assert_eq!(first.digest, status(2, 2, "True").digest);
        assert_ne!(first.digest, status(3, 3, "False").digest);
    }

    #[test]
    fn annotations_that_no_rule_reads_are_not_kept() {
        let object = node(
            r#"{"metadata":{"name":"n1","annotations":{"a.example/b":"x","wayfare.dev/asn":"1",
               "kubectl.kubernetes.io/last-applied-configuration":"{}","plain":"y"}}}"#,
        );
        let kept: Value = serde_json::from_slice(&object.json).expect("JSON");
        let annotations = &kept["metadata"]["annotations"];
        assert_eq!(*annotations, serde_json::json!({"wayfare.dev/asn": "1"}));
    }

    #[test]
    fn a_list_and_a_watch_show_the_same_object() {
        let listed = node(r#"{"metadata":{"name":"n1"}}"#);
        let watched = node(r#"{"kind":"Node","apiVersion":"v1","metadata":{"name":"n1"}}"#);
        assert_eq!(listed.json, watched.json);
    }

    #[test]
    fn what_has_no_name_is_refused() {
        for json in [
            "[]",
            "{}",
            r#"{"metadata":{}}"#,
            r#"{"metadata":{"name":1}}"#,
        ] {
            let object = serde_json::from_str(json).expect("JSON");
            reduce(NODE, object).expect_err(json);
        }
    }

    #[test]
    fn the_name_is_found_in_a_beginning() {
        let head = br#"{"type":"ADDED","object":{"metadata":{"labels":{"a":"}\""},
            "name":"x","namespace":"y"},"spec":{"#;
        assert_eq!(name_in(head), Some(ObjectName::new("y", "x")));
        for length in 0..head.len() {
            let _ = name_in(&head[..length]);
        }
        assert_eq!(name_in(b"{\"metadata\":}}}"), None);
    }
}
