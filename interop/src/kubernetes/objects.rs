//! Objects in a few words, as tests and the demo want them.
//!
//! Everything that a real API server insists on is written out (ports, addresses of endpoints), and
//! nothing that it fills in by itself, but for cluster addresses, which tests choose so that they
//! know what to look for.

use serde_json::{Value, json};

/// All documents of a manifest; empty ones are left out.
///
/// # Panics
/// When it is no YAML.
pub fn from_yaml(text: &str) -> Vec<Value> {
    let mut objects: Vec<Value> = serde_saphyr::from_multiple(text)
        .unwrap_or_else(|error| panic!("a manifest that is no YAML: {error}\n{text}"));
    objects.retain(|object| !object.is_null());
    objects
}

/// An object with nothing but its name.
pub fn named(api_version: &str, kind: &str, namespace: &str, name: &str) -> Value {
    let mut object = json!({
        "apiVersion": api_version, "kind": kind, "metadata": { "name": name },
    });
    if !namespace.is_empty() {
        object["metadata"]["namespace"] = json!(namespace);
    }
    object
}

/// A namespace.
pub fn namespace(name: &str, labels: &[(&str, &str)]) -> Value {
    let mut object = named("v1", "Namespace", "", name);
    for (key, value) in labels {
        object["metadata"]["labels"][key] = json!(value);
    }
    object
}

/// A node with an internal address and its part of the pod network.
pub fn node(name: &str, address: &str, pod_cidrs: &[&str]) -> Value {
    let mut object = named("v1", "Node", "", name);
    object["status"]["addresses"] = json!([
        { "type": "InternalIP", "address": address },
        { "type": "Hostname", "address": name },
    ]);
    if let Some(first) = pod_cidrs.first() {
        object["spec"] = json!({ "podCIDR": first, "podCIDRs": pod_cidrs });
    }
    object
}

/// Sets a label, an annotation or any other value: `with(node, "/metadata/labels/x", "y")`.
#[must_use]
pub fn with(mut object: Value, pointer: &str, value: impl Into<Value>) -> Value {
    let mut place = &mut object;
    for key in pointer.trim_start_matches('/').split('/') {
        // As in JSON pointers, ~1 is a slash.
        place = &mut place[key.replace("~1", "/")];
    }
    *place = value.into();
    object
}

/// A service of type ClusterIP with these cluster addresses, in namespace `default`.
pub fn service(name: &str, cluster_ips: &[&str]) -> Value {
    let mut object = named("v1", "Service", "default", name);
    let families: Vec<&str> = cluster_ips
        .iter()
        .map(|address| {
            if address.contains(':') {
                "IPv6"
            } else {
                "IPv4"
            }
        })
        .collect();
    let policy = match families.len() {
        0 | 1 => "SingleStack",
        _ => "RequireDualStack",
    };
    object["spec"] = json!({
        "type": "ClusterIP",
        "clusterIP": cluster_ips.first(),
        "clusterIPs": cluster_ips,
        "ipFamilies": families,
        "ipFamilyPolicy": policy,
        "ports": [{ "name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080 }],
    });
    object
}

/// The same as a LoadBalancer that was given these addresses.
pub fn load_balancer(name: &str, cluster_ips: &[&str], given: &[&str]) -> Value {
    let mut object = service(name, cluster_ips);
    object["spec"]["type"] = json!("LoadBalancer");
    object["spec"]["externalTrafficPolicy"] = json!("Cluster");
    let ingress: Vec<Value> = given
        .iter()
        .map(|address| json!({ "ip": address }))
        .collect();
    object["status"] = json!({ "loadBalancer": { "ingress": ingress } });
    object
}

/// The same with `externalTrafficPolicy: Local`.
#[must_use]
pub fn local(object: Value) -> Value {
    with(object, "/spec/externalTrafficPolicy", "Local")
}

/// An endpoint on a node (empty: nowhere) with its conditions.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// `nodeName`.
    pub node: &'a str,
    /// `conditions.ready`; absent means yes.
    pub ready: Option<bool>,
    /// `conditions.serving`.
    pub serving: Option<bool>,
    /// `conditions.terminating`.
    pub terminating: Option<bool>,
}

/// A ready endpoint there.
pub fn ready(node: &str) -> End<'_> {
    End {
        node,
        ready: Some(true),
        serving: Some(true),
        terminating: Some(false),
    }
}

/// One that is not ready, nor serving.
pub fn unready(node: &str) -> End<'_> {
    End {
        ready: Some(false),
        serving: Some(false),
        ..ready(node)
    }
}

/// One that is leaving and still serves.
pub fn leaving(node: &str) -> End<'_> {
    End {
        ready: Some(false),
        terminating: Some(true),
        ..ready(node)
    }
}

/// A slice of a service, named `SERVICE-SUFFIX`; a suffix that ends in `6` is of IPv6.
pub fn slice(service: &str, suffix: &str, ends: &[End<'_>]) -> Value {
    let is_v6 = suffix.ends_with('6');
    let name = format!("{service}-{suffix}");
    let mut object = named("discovery.k8s.io/v1", "EndpointSlice", "default", &name);
    object["metadata"]["labels"] = json!({ "kubernetes.io/service-name": service });
    object["addressType"] = json!(if is_v6 { "IPv6" } else { "IPv4" });
    object["ports"] = json!([{ "name": "http", "port": 8080, "protocol": "TCP" }]);
    let endpoints: Vec<Value> = ends
        .iter()
        .enumerate()
        .map(|(i, end)| {
            let address = match is_v6 {
                true => format!("fd00:10:244:99::{:x}", i + 1),
                false => format!("10.244.99.{}", i + 1),
            };
            let mut endpoint = json!({ "addresses": [address], "conditions": {} });
            if !end.node.is_empty() {
                endpoint["nodeName"] = json!(end.node);
            }
            for (key, value) in [
                ("ready", end.ready),
                ("serving", end.serving),
                ("terminating", end.terminating),
            ] {
                if let Some(value) = value {
                    endpoint["conditions"][key] = json!(value);
                }
            }
            endpoint
        })
        .collect();
    object["endpoints"] = json!(endpoints);
    object
}
