//! What is shipped for clusters: manifests, the chart, the image.
//!
//! The chart is rendered here with the part of Helm's language that it uses (`template`), and must
//! give what the plain manifests say. That roles give what the source asks for is a test of `bgpd`;
//! that an API server takes them is a lab.

#[path = "packaging/template.rs"]
mod template;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use bgpd::config::{Host, parse};
use serde_json::{Value, json};
use template::Scope;

const NAMESPACE: &str = "wayfare";

fn packaging(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../packaging")
        .join(path)
}

fn text(path: &str) -> String {
    std::fs::read_to_string(packaging(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The objects of a text, by `KIND NAMESPACE/NAME`.
fn objects(text: &str, from: &str) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for document in text.split("\n---\n") {
        let says = |line: &str| !line.trim().is_empty() && !line.starts_with('#');
        if !document.lines().any(says) {
            continue;
        }
        let object: Value =
            serde_saphyr::from_str(document).unwrap_or_else(|error| panic!("{from}: {error}"));
        let word = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let name = format!(
            "{} {}/{}",
            word("/kind").expect("a kind"),
            word("/metadata/namespace").unwrap_or_default(),
            word("/metadata/name").expect("a name")
        );
        assert!(
            all.insert(name.clone(), object).is_none(),
            "{name} twice in {from}"
        );
    }
    all
}

fn manifests(files: &[&str]) -> BTreeMap<String, Value> {
    let each = files.iter().map(|file| format!("kubernetes/{file}"));
    each.flat_map(|file| objects(&text(&file), &file)).collect()
}

fn values() -> Value {
    serde_saphyr::from_str(&text("helm/wayfare/values.yaml")).expect("YAML")
}

/// All objects of the chart under these values.
fn rendered(values: Value) -> BTreeMap<String, Value> {
    let chart: Value = serde_saphyr::from_str(&text("helm/wayfare/Chart.yaml")).expect("YAML");
    let scope = Scope {
        root: json!({
            "Values": values,
            "Release": { "Namespace": NAMESPACE, "Name": "wayfare" },
            "Chart": { "AppVersion": chart["appVersion"], "Version": chart["version"] },
        }),
    };
    let folder = packaging("helm/wayfare/templates");
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("templates") {
        let path = entry.expect("an entry").path();
        let name = path.display().to_string();
        let rendered = scope.render(&std::fs::read_to_string(&path).expect("text"));
        if name.ends_with(".yaml") {
            all.extend(objects(&rendered, &name));
        }
    }
    all
}

#[test]
fn the_chart_says_what_the_manifests_say() {
    let wanted = manifests(&["rbac.yaml", "config.yaml", "daemonset.yaml"]);
    assert_eq!(rendered(values()), wanted);

    let mut all = values();
    for key in [
        "metallb",
        "calico",
        "status",
        "podMonitor",
        "prometheusRule",
    ] {
        all[key]["enabled"] = json!(true);
    }
    let wanted = manifests(&[
        "rbac.yaml",
        "rbac-metallb.yaml",
        "rbac-calico.yaml",
        "rbac-status.yaml",
        "config.yaml",
        "daemonset.yaml",
        "podmonitor.yaml",
        "prometheusrule.yaml",
    ]);
    assert_eq!(rendered(all.clone()), wanted);

    all["metallb"]["passwordSecrets"] = json!(["tor"]);
    all["calico"]["passwordSecrets"] = json!(["mesh", "tor"]);
    all["configSecret"] = json!("keys");
    all["nodeSelector"] = json!({ "edge": "true" });
    all["image"]["tag"] = json!("1.2.3");
    let all = rendered(all);
    let role = &all["Role kube-system/wayfare-bgpd"];
    assert_eq!(role["rules"][0]["resourceNames"], json!(["mesh", "tor"]));
    assert_eq!(role["rules"][0]["verbs"], json!(["get", "watch"]));
    let role = &all["Role metallb-system/wayfare-bgpd"];
    assert_eq!(role["rules"][1]["resourceNames"], json!(["tor"]));
    let pod = &all["DaemonSet wayfare/wayfare-bgpd"]["spec"]["template"]["spec"];
    assert_eq!(pod["nodeSelector"]["edge"], "true");
    assert_eq!(
        pod["containers"][0]["image"],
        "ghcr.io/wayfare-routing/wayfare:1.2.3"
    );
    assert_eq!(pod["volumes"][1]["secret"]["secretName"], "keys");
}

/// Every value is in the schema and every property of the schema has a value.
#[test]
fn the_schema_knows_the_values() {
    let schema: Value =
        serde_json::from_str(&text("helm/wayfare/values.schema.json")).expect("JSON");
    let keys = |value: &Value| -> Vec<String> {
        let mut keys: Vec<String> = value.as_object().expect("a map").keys().cloned().collect();
        keys.sort();
        keys
    };
    let of = |property: &Value| -> Option<Value> {
        let name = property["$ref"]
            .as_str()
            .and_then(|name| name.rsplit('/').next());
        let found = name.map_or(property, |name| &schema["definitions"][name]);
        found.get("properties").cloned()
    };
    let values = values();
    let mut known = keys(&schema["properties"]);
    // Helm's own, given to every chart.
    known.retain(|key| key != "global");
    assert_eq!(keys(&values), known);
    for key in known {
        if let Some(properties) = of(&schema["properties"][&key]) {
            assert_eq!(keys(&values[&key]), keys(&properties), "{key}");
        }
    }
    for key in schema["required"].as_array().expect("a list") {
        assert!(!values[key.as_str().expect("text")].is_null());
    }
}

/// The pod has what it needs of the node and nothing else.
#[test]
fn the_pod_has_two_capabilities_and_a_read_only_root() {
    let all = manifests(&["daemonset.yaml", "namespace.yaml"]);
    let spec = &all["DaemonSet wayfare/wayfare-bgpd"]["spec"];
    let pod = &spec["template"]["spec"];
    let container = &pod["containers"][0];
    let security = &container["securityContext"];
    assert_eq!(security["capabilities"]["drop"], json!(["ALL"]));
    assert_eq!(
        security["capabilities"]["add"],
        json!(["NET_ADMIN", "NET_BIND_SERVICE"])
    );
    assert_eq!(security["readOnlyRootFilesystem"], true);
    assert_eq!(security["allowPrivilegeEscalation"], false);
    assert!(security.get("privileged").is_none() && pod.get("hostPID").is_none());
    assert_eq!(pod["hostNetwork"], true);
    assert_eq!(pod["priorityClassName"], "system-node-critical");
    assert_eq!(spec["updateStrategy"]["rollingUpdate"]["maxUnavailable"], 1);
    assert_eq!(pod["tolerations"], json!([{ "operator": "Exists" }]));
    for (probe, path) in [("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")] {
        assert_eq!(container[probe]["httpGet"]["path"], path);
        assert_eq!(container[probe]["httpGet"]["port"], "metrics");
    }
}

/// systemd gives the units' directories to the user `wayfare`: there the pod's root, which may not
/// override modes, could not write. So the pod has its own, at the places where the daemon looks.
#[test]
fn the_pod_shares_no_directory_with_the_units() {
    let all = manifests(&["daemonset.yaml"]);
    let pod = &all["DaemonSet wayfare/wayfare-bgpd"]["spec"]["template"]["spec"];
    let units = ["wayfare-bgpd.service", "wayfare-vrrpd.service"].map(text);
    let list = |value: &Value| value.as_array().expect("a list").clone();
    for (name, key, base) in [
        ("state", "StateDirectory", "/var/lib"),
        ("run", "RuntimeDirectory", "/run"),
    ] {
        let called = |entry: &&Value| entry["name"] == name;
        let volume = list(&pod["volumes"]);
        let volume = volume.iter().find(called).expect("a volume");
        let mounts = list(&pod["containers"][0]["volumeMounts"]);
        let mount = mounts.iter().find(called).expect("a mount");
        assert_eq!(mount["mountPath"], format!("{base}/wayfare"));
        for unit in &units {
            let line = |line: &str| line.strip_prefix(&format!("{key}=")).map(str::to_owned);
            for directory in unit.lines().filter_map(line) {
                let theirs = format!("{base}/{directory}");
                assert_ne!(volume["hostPath"]["path"], theirs.as_str(), "{key}");
            }
        }
    }
}

/// The configurations that are shipped are good to the daemon, and its metrics are where the probes
/// ask.
#[test]
fn the_configurations_are_taken_by_the_daemon() {
    let manifest = manifests(&["config.yaml"]);
    let shipped = &manifest["ConfigMap wayfare/wayfare-bgpd"]["data"]["bgpd.toml"];
    assert_eq!(*shipped, values()["config"]);
    let host = Host {
        node_name: "node".to_owned(),
        addresses: vec![bgpd::config::HostAddress {
            interface: "lo".to_owned(),
            loopback: true,
            address: [10, 0, 0, 1].into(),
        }],
        ..Host::default()
    };
    let loaded = parse("bgpd.toml", shipped.as_str().expect("text"), &host);
    let config = loaded.unwrap_or_else(|faults| panic!("{faults}")).config;
    let listen = config.metrics.expect("metrics").listen;
    assert_eq!(
        u64::from(listen.port()),
        values()["metricsPort"].as_u64().expect("a port")
    );
}

/// Runs a line of shell there.
fn shell(directory: &Path, script: &str) -> String {
    let mut command = Command::new("sh");
    let ran = command.args(["-c", script]).current_dir(directory).output();
    let ran = ran.expect("a shell");
    let told = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{script}: {told}");
    String::from_utf8(ran.stdout).expect("text")
}

/// The file of a descriptor, whose size is true.
fn blob(oci: &Path, descriptor: &Value) -> String {
    let digest = descriptor["digest"].as_str();
    let digest = digest.and_then(|it| it.strip_prefix("sha256:"));
    let path = format!("blobs/sha256/{}", digest.expect("a digest"));
    let size = std::fs::metadata(oci.join(&path)).expect("there").len();
    assert_eq!(descriptor["size"], size, "{path}");
    path
}

/// An image of one layer: every digest is true, and equal input gives equal output.
#[test]
fn the_image_is_what_its_digests_say() {
    let directory = std::env::temp_dir().join(format!("wayfare-image-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&directory);
    let root = directory.join("root");
    std::fs::create_dir_all(root.join("etc/wayfare")).expect("writable");
    std::fs::write(root.join("wayfare-bgpd"), "static").expect("writable");
    let script = packaging("image/oci.sh");
    let pack = |out: &str| {
        let line = format!("{} root {out} 1.2.3", script.display());
        shell(&directory, &line);
        std::fs::read(directory.join(out)).expect("packed")
    };
    assert_eq!(pack("a.tar"), pack("b.tar"), "not the same twice");

    let oci = directory.join("oci");
    shell(&directory, "mkdir oci && tar -xf a.tar -C oci");
    let sums = shell(&oci, "cd blobs/sha256 && sha256sum *");
    assert_eq!(sums.lines().count(), 3, "config, layer, manifest");
    for line in sums.lines() {
        let (sum, name) = line.split_once("  ").expect("a sum");
        assert_eq!(sum, name);
    }
    let read = |path: &str| -> Value {
        let text = std::fs::read_to_string(oci.join(path)).expect(path);
        serde_json::from_str(&text).expect(path)
    };
    let manifest = read(&blob(&oci, &read("index.json")["manifests"][0]));
    let config = read(&blob(&oci, &manifest["config"]));
    let layer = blob(&oci, &manifest["layers"][0]);
    assert_eq!(config["config"]["Entrypoint"], json!(["/wayfare-bgpd"]));
    let line = format!("gzip -dc {layer} | sha256sum | cut -d ' ' -f 1");
    let diff = format!("sha256:{}", shell(&oci, &line).trim());
    assert_eq!(config["rootfs"]["diff_ids"], json!([diff]));
    let names = shell(&oci, &format!("gzip -dc {layer} | tar -t"));
    assert!(names.contains("./wayfare-bgpd\n"), "{names}");
    assert_eq!(read("manifest.json")[0]["Layers"], json!([layer]));
    std::fs::remove_dir_all(&directory).expect("ours");
}
