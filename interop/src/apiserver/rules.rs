//! What the server itself writes into an object: names, versions, times, defaults of a Service.
//!
//! The part that an agent can tell: a Service gets its cluster address, its families and its
//! health-check node port; `status` is not taken from a request for the whole, nor anything else
//! from a request for the status. Admission and validation beyond that are a real server's.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::faults::Refusal;
use super::resources::RESOURCES;
use super::store::Name;

static ALLOCATED: AtomicU64 = AtomicU64::new(0);

fn next() -> u64 {
    ALLOCATED.fetch_add(1, Ordering::Relaxed)
}

/// RFC 3339, whole seconds, as the API writes times.
pub(super) fn now() -> String {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = elapsed.map_or(0, |elapsed| elapsed.as_secs());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01, in eras of 400 years: the leap day is the last of its year.
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{date:02}T{:02}:{:02}:{:02}Z",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

/// Where an object lives; a missing namespace is `default`.
pub(super) fn name_of(resource: usize, value: &mut Value) -> Result<Name, Refusal> {
    let metadata = &mut value["metadata"];
    if metadata.is_null() {
        return Err(Refusal::invalid("metadata: Required value"));
    }
    if metadata["name"].is_null()
        && let Some(prefix) = metadata["generateName"].as_str()
    {
        metadata["name"] = json!(format!("{prefix}{:05x}", next()));
    }
    let Some(name) = metadata["name"].as_str().map(str::to_owned) else {
        return Err(Refusal::invalid("metadata.name: Required value"));
    };
    if !RESOURCES[resource].namespaced {
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.remove("namespace");
        }
        return Ok((String::new(), name));
    }
    if metadata["namespace"].is_null() {
        metadata["namespace"] = json!("default");
    }
    let namespace = metadata["namespace"].as_str().unwrap_or("default");
    Ok((namespace.to_owned(), name))
}

/// A new object.
pub(super) fn fill_in_new(resource: usize, value: &mut Value, version: u64) {
    let kind = &RESOURCES[resource];
    value["apiVersion"] = json!(kind.api_version());
    value["kind"] = json!(kind.kind);
    let metadata = &mut value["metadata"];
    metadata["uid"] = json!(format!("00000000-0000-4000-8000-{version:012x}"));
    metadata["creationTimestamp"] = json!(now());
    metadata["generation"] = json!(1);
    // A node is made by who knows its status; all else gets one from its controller.
    if kind.has_status
        && kind.kind != "Node"
        && let Some(object) = value.as_object_mut()
    {
        object.remove("status");
    }
    if kind.kind == "Service" {
        service(value, None);
        value["status"] = json!({ "loadBalancer": {} });
    }
}

/// A change of an object: what is not the writer's is taken from before.
pub(super) fn fill_in_change(
    resource: usize,
    old: &Value,
    value: &mut Value,
    status: bool,
) -> Result<(), Refusal> {
    let kind = &RESOURCES[resource];
    if status {
        let new = value["status"].take();
        *value = old.clone();
        value["status"] = new;
        return Ok(());
    }
    value["apiVersion"] = old["apiVersion"].clone();
    value["kind"] = old["kind"].clone();
    for key in [
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "generation",
        "resourceVersion",
    ] {
        let before = old["metadata"][key].clone();
        if !before.is_null() {
            value["metadata"][key] = before;
        }
    }
    if kind.has_status {
        value["status"] = old["status"].clone();
        if value["status"].is_null()
            && let Some(object) = value.as_object_mut()
        {
            object.remove("status");
        }
    }
    match kind.kind {
        "Service" => service(value, Some(old)),
        "Node" if is_moved(&old["spec"], &value["spec"]) => {
            return Err(Refusal::invalid(
                "spec.podCIDRs: node updates may not change it",
            ));
        }
        _ => {}
    }
    let is_changed = value["spec"] != old["spec"];
    if is_changed && let Some(generation) = old["metadata"]["generation"].as_u64() {
        value["metadata"]["generation"] = json!(generation + 1);
    }
    Ok(())
}

fn is_moved(old: &Value, new: &Value) -> bool {
    !old["podCIDRs"].is_null() && old["podCIDRs"] != new["podCIDRs"]
}

/// Held until the last finalizer is gone.
pub(super) fn has_finalizers(value: &Value) -> bool {
    let finalizers = value["metadata"]["finalizers"].as_array();
    finalizers.is_some_and(|finalizers| !finalizers.is_empty())
}

/// Marked for deletion, and nothing holds it any more.
pub(super) fn is_finished(value: &Value) -> bool {
    !value["metadata"]["deletionTimestamp"].is_null() && !has_finalizers(value)
}

fn service(value: &mut Value, old: Option<&Value>) {
    let Some(spec) = value["spec"].as_object_mut() else {
        return;
    };
    let default = |spec: &mut Map<String, Value>, key: &str, with: Value| {
        spec.entry(key).or_insert(with);
    };
    default(spec, "type", json!("ClusterIP"));
    default(spec, "sessionAffinity", json!("None"));
    default(spec, "internalTrafficPolicy", json!("Cluster"));
    let kind = spec["type"].as_str().unwrap_or_default().to_owned();
    if kind == "ExternalName" {
        return;
    }
    for key in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        let before = old.map(|old| old["spec"][key].clone());
        if let Some(before) = before.filter(|before| !before.is_null()) {
            default(spec, key, before);
        }
    }
    let number = next();
    let address = format!("10.96.{}.{}", 200 + number / 250 % 50, 1 + number % 250);
    let first = spec.get("clusterIPs").map(|all| all[0].clone());
    default(spec, "clusterIP", first.unwrap_or_else(|| json!(address)));
    let address = spec["clusterIP"].clone();
    default(spec, "clusterIPs", json!([address]));
    let families: Vec<&str> = spec["clusterIPs"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(|text| if text.contains(':') { "IPv6" } else { "IPv4" })
        .collect();
    let families = json!(families);
    default(spec, "ipFamilies", families);
    default(spec, "ipFamilyPolicy", json!("SingleStack"));
    let is_outside = matches!(kind.as_str(), "NodePort" | "LoadBalancer");
    if is_outside {
        default(spec, "externalTrafficPolicy", json!("Cluster"));
    }
    if kind == "LoadBalancer" && spec["externalTrafficPolicy"] == "Local" {
        let before = old.map(|old| old["spec"]["healthCheckNodePort"].clone());
        let port = before.filter(|port| !port.is_null());
        let port = port.unwrap_or_else(|| json!(30_000 + next() % 2_000));
        default(spec, "healthCheckNodePort", port);
    } else {
        spec.remove("healthCheckNodePort");
    }
}

/// RFC 7386, but for directives of strategic merge patches, which are left out.
pub(super) fn merge(into: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    let Some(into) = into.as_object_mut() else {
        return;
    };
    for (key, value) in patch.iter().filter(|(key, _)| !key.starts_with('$')) {
        if value.is_null() {
            into.remove(key);
        } else {
            merge(into.entry(key.as_str()).or_insert(Value::Null), value);
        }
    }
}
