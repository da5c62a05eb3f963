//! Objects by the thousand, with what real ones carry beside the fields that anybody reads.
//!
//! A Node brings conditions, images and managed fields, a Service its applied configuration, a
//! slice three endpoints with references: an agent must read past all of it, and pays for it at
//! every list. Numbers make names and addresses, so that the benchmark knows each route.

use std::net::Ipv4Addr;

use ipnet::IpNet;
use serde_json::{Value, json};

use super::super::objects::{self, load_balancer, ready, unready};
use super::super::rig::NODE;

/// The services' addresses.
pub const POOL: &str = "172.16.0.0/16";
/// As many images as a kubelet reports lies above this; fifty is its default.
const IMAGES: usize = 20;

/// Node `index`; the first is the agent's own.
pub fn node(index: usize) -> Value {
    let name = match index {
        0 => NODE.to_owned(),
        index => format!("node-{index}"),
    };
    let pods = format!("10.{}.{}.0/24", 128 + index / 256, index % 256);
    let address = format!("10.99.{}.{}", 1 + index / 250, 1 + index % 250);
    let mut node = objects::node(&name, &address, &[&pods]);
    node["metadata"]["labels"] = json!({
        "kubernetes.io/hostname": name, "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64", "topology.kubernetes.io/zone": format!("z{}", index % 3),
    });
    node["metadata"]["managedFields"] = managed(&["f:metadata", "f:spec", "f:status"]);
    let condition = |kind: &str| {
        json!({
            "type": kind, "status": "False", "reason": "KubeletHasNoSuchPressure",
            "message": "kubelet has no such pressure",
            "lastHeartbeatTime": "2026-01-01T00:00:00Z",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    };
    node["status"]["conditions"] = json!([
        condition("MemoryPressure"),
        condition("DiskPressure"),
        condition("PIDPressure"),
    ]);
    let image = |number: usize| {
        json!({
            "names": [format!("registry.example.com/team/app-{number}@sha256:{number:064x}")],
            "sizeBytes": 100_000_000 + number,
        })
    };
    node["status"]["images"] = (0..IMAGES).map(image).collect();
    node
}

/// The same node with another heartbeat: nothing that an agent acts upon.
pub fn heartbeat(index: usize, beat: usize) -> Value {
    let mut node = node(index);
    let time = format!(
        "2026-01-01T{:02}:{:02}:{:02}Z",
        beat / 3600 % 24,
        beat / 60 % 60,
        beat % 60
    );
    node["status"]["conditions"][0]["lastHeartbeatTime"] = json!(time);
    node
}

/// Service `index`, a load balancer with an address of [`POOL`].
pub fn service(index: usize) -> Value {
    let cluster_ip = format!("10.96.{}.{}", index / 250, 1 + index % 250);
    let given = address(index).to_string();
    let mut service = load_balancer(&name(index), &[&cluster_ip], &[&given]);
    service["metadata"]["labels"] = json!({ "app": name(index), "team": "lab" });
    service["metadata"]["annotations"] = json!({
        "kubectl.kubernetes.io/last-applied-configuration": service["spec"].to_string(),
    });
    service["metadata"]["managedFields"] = managed(&["f:metadata", "f:spec", "f:status"]);
    service
}

/// Its slice: one endpoint on the agent's node, ready or not, and two elsewhere.
pub fn slice(index: usize, is_ready: bool) -> Value {
    let own = if is_ready { ready(NODE) } else { unready(NODE) };
    let others = if is_ready {
        ready("node-1")
    } else {
        unready("node-1")
    };
    let mut slice = objects::slice(&name(index), "x", &[own, others, others]);
    for (number, endpoint) in slice["endpoints"]
        .as_array_mut()
        .into_iter()
        .flatten()
        .enumerate()
    {
        endpoint["targetRef"] = json!({
            "kind": "Pod", "namespace": "default", "name": format!("{}-{number}", name(index)),
            "uid": format!("00000000-0000-4000-9000-{index:012x}"),
        });
        endpoint["zone"] = json!("z1");
    }
    slice["metadata"]["managedFields"] = managed(&["f:metadata", "f:endpoints", "f:ports"]);
    slice
}

/// The route of service `index`.
pub fn route(index: usize) -> IpNet {
    IpNet::from(std::net::IpAddr::V4(address(index)))
}

fn name(index: usize) -> String {
    format!("service-{index}")
}

fn address(index: usize) -> Ipv4Addr {
    let low = u8::try_from(1 + index % 250).unwrap_or(1);
    Ipv4Addr::new(172, 16, u8::try_from(index / 250).unwrap_or(0), low)
}

fn managed(fields: &[&str]) -> Value {
    let one = |field: &&str| {
        json!({
            "manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1",
            "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1",
            "fieldsV1": { *field: { ".": {}, "f:a": {}, "f:b": {}, "f:c": {}, "f:d": {} } },
        })
    };
    fields.iter().map(one).collect()
}
