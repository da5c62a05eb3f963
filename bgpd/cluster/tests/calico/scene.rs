//! A cluster as manifests, and what is wanted of its node `n1`.
//!
//! Manifests are written short: `KIND NAME spec` with the specification as YAML in braces, one per
//! line, so that a case shows only what it is about. Nodes stand as `Node NAME ADDRESS`.

use cluster::object::{Key, Kind, Object, ObjectName};
use cluster::{Change, Desired, DialectName, ExcludeLabel, Facts, Neighbor, Options, Planner};
use rib::Policy;

/// A cluster seen from `n1`.
pub struct Scene {
    pub planner: Planner,
}

impl Scene {
    /// A cluster of lines.
    pub fn new(lines: &str) -> Self {
        let mut options = Options::new("n1");
        options.dialects = vec![DialectName::Calico];
        options.exclude_label = ExcludeLabel::default_for(&options.dialects);
        let mut scene = Self {
            planner: Planner::new(options, Facts::default()),
        };
        scene.add(lines);
        scene
    }

    /// Adds or replaces objects.
    pub fn add(&mut self, lines: &str) {
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (kind, rest) = line.split_once(' ').expect("KIND NAME spec");
            let (name, spec) = rest.split_once(' ').unwrap_or((rest, "{}"));
            let text = match kind {
                "Node" if !spec.starts_with('{') => format!(
                    "apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {{ name: {name} }}\n\
                     spec: {{ bgp: {{ ipv4Address: {spec}/16 }} }}\n"
                ),
                "Service" | "EndpointSlice" | "Secret" | "CoreNode" => core(kind, name, spec),
                _ => format!(
                    "apiVersion: crd.projectcalico.org/v1\nkind: {kind}\n\
                     metadata: {{ name: {name} }}\nspec: {spec}\n"
                ),
            };
            self.put(&text);
        }
    }

    /// Adds an object as a manifest.
    pub fn put(&mut self, text: &str) {
        let document: serde_json::Value = serde_saphyr::from_str(text).unwrap();
        let field = |key: &str| document[key].as_str().unwrap_or_default();
        let kind = Kind::of(field("apiVersion"), field("kind")).unwrap();
        let meta = |key: &str| document["metadata"][key].as_str().unwrap_or_default();
        let key = Key {
            kind,
            name: ObjectName::new(meta("namespace"), meta("name")),
        };
        let object = Object::decode(kind, &serde_json::to_vec(&document).unwrap());
        self.planner.apply(Change::Put(key, object));
    }

    /// Changes what the machine knows.
    pub fn facts(&mut self, change: impl FnOnce(&mut Facts)) {
        let mut facts = self.planner.facts().clone();
        change(&mut facts);
        self.planner.set_facts(facts);
    }

    /// What is wanted.
    pub fn desired(&mut self) -> Desired {
        self.planner.plan();
        self.planner.desired()
    }

    /// The neighbor at an address.
    pub fn neighbor(&mut self, address: &str) -> Neighbor {
        let address: std::net::IpAddr = address.parse().unwrap();
        let desired = self.desired();
        let found = desired.neighbors.iter().find(|one| one.address == address);
        found
            .unwrap_or_else(|| panic!("no neighbor {address}"))
            .clone()
    }

    /// The addresses of all neighbors.
    pub fn addresses(&mut self) -> Vec<String> {
        let desired = self.desired();
        desired
            .neighbors
            .iter()
            .map(|one| one.address.to_string())
            .collect()
    }

    /// What starts here.
    pub fn announced(&mut self) -> Vec<String> {
        let desired = self.desired();
        desired
            .announcements
            .iter()
            .map(|one| one.prefix.to_string())
            .collect()
    }

    /// A policy by its name.
    pub fn policy(&mut self, name: &str) -> Policy {
        let desired = self.desired();
        let def = desired.policies.iter().find(|one| one.name == name);
        let def = def.unwrap_or_else(|| {
            let names: Vec<&str> = desired.policies.iter().map(|one| &*one.name).collect();
            panic!("no policy {name} among {names:?}")
        });
        Policy::compile(def).unwrap()
    }

    /// The texts of what is wrong.
    pub fn faults(&mut self) -> Vec<String> {
        let desired = self.desired();
        let text =
            |fault: &cluster::Fault| format!("{} {}: {}", fault.object, fault.path, fault.text);
        desired.faults.iter().map(text).collect()
    }
}

/// Kinds of Kubernetes itself; the braces hold what stands beside the metadata.
fn core(kind: &str, name: &str, body: &str) -> String {
    let (api, kind, namespace) = match kind {
        "EndpointSlice" => ("discovery.k8s.io/v1", kind, "default"),
        "Secret" => ("v1", kind, "calico-system"),
        "CoreNode" => ("v1", "Node", ""),
        _ => ("v1", kind, "default"),
    };
    let labels = match kind {
        // `web-2` is a slice of `web`.
        "EndpointSlice" => {
            let service = name.split('-').next().unwrap_or(name);
            format!(", labels: {{ kubernetes.io/service-name: {service} }}")
        }
        _ => String::new(),
    };
    let body = body.trim_start_matches('{').trim_end_matches('}');
    if kind == "Node" {
        return format!("apiVersion: {api}\nkind: {kind}\nmetadata: {{ name: {name},{body} }}\n");
    }
    format!(
        "{{ apiVersion: {api}, kind: {kind}, \
         metadata: {{ name: {name}, namespace: \"{namespace}\"{labels} }},{body} }}\n"
    )
}
