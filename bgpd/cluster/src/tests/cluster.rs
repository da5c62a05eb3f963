//! A small cluster in words: objects are made from short texts, and results read as short texts.

use crate::object::{Key, Kind, Object, ObjectName};
use crate::{Announcement, Change, Facts, Options, Planner};

/// A planner on node `n1` with what a test adds.
pub(super) struct Cluster {
    pub planner: Planner,
}

impl Cluster {
    pub fn new(options: Options) -> Self {
        Self {
            planner: Planner::new(options, Facts::default()),
        }
    }

    /// The native dialect on node `n1`.
    pub fn native() -> Self {
        let mut cluster = Self::new(Options::new("n1"));
        cluster.put(Kind::Node, &node("n1", "{}", "{}"));
        cluster
    }

    pub fn put(&mut self, kind: Kind, json: &str) {
        self.planner.apply(put(kind, json));
    }

    pub fn remove(&mut self, kind: Kind, name: &str) {
        let name = parse(name);
        self.planner.apply(Change::Remove(Key { kind, name }));
    }

    /// All that is announced, as `PREFIX SOURCE`.
    pub fn routes(&mut self) -> Vec<String> {
        self.planner.plan();
        self.planner
            .desired()
            .announcements
            .iter()
            .map(shown)
            .collect()
    }

    /// The text of all faults.
    pub fn faults(&mut self) -> Vec<String> {
        self.planner.plan();
        let faults = self.planner.faults();
        let shown = faults
            .iter()
            .map(|f| format!("{} {}: {}", f.object, f.path, f.text));
        shown.collect()
    }

    pub fn facts(&mut self, change: impl FnOnce(&mut Facts)) {
        let mut facts = self.planner.facts().clone();
        change(&mut facts);
        self.planner.set_facts(facts);
    }

    pub fn options(&mut self, change: impl FnOnce(&mut Options)) {
        let mut options = self.planner.options().clone();
        change(&mut options);
        self.planner.set_options(options);
    }
}

/// A change as a source hands it in.
pub(super) fn put(kind: Kind, json: &str) -> Change {
    let object = Object::decode(kind, json.as_bytes());
    let key = match &object {
        Ok(object) => object.key(),
        Err(_) => {
            let value: serde_json::Value = serde_json::from_str(json).unwrap();
            let text = |key: &str| value["metadata"][key].as_str().unwrap_or("").to_owned();
            let name = ObjectName::new(&text("namespace"), &text("name"));
            Key { kind, name }
        }
    };
    Change::Put(key, object)
}

pub(super) fn parse(name: &str) -> ObjectName {
    let (namespace, name) = name.split_once('/').unwrap_or(("", name));
    ObjectName::new(namespace, name)
}

pub(super) fn shown(route: &Announcement) -> String {
    let mut text = format!("{} {}", route.prefix, route.source);
    if let Some(neighbors) = &route.neighbors {
        text += &format!(" to {neighbors:?}");
    }
    if !route.marks.communities.is_empty() {
        let parts = route.marks.communities.iter();
        let parts: Vec<String> = parts
            .map(|c| format!("{}:{}", c >> 16, c & 0xffff))
            .collect();
        text += &format!(" {}", parts.join(","));
    }
    text
}

/// A node: `meta` and `spec` are JSON.
pub(super) fn node(name: &str, meta: &str, spec: &str) -> String {
    with_meta(meta, "", name, &format!(r#""spec":{spec}"#))
}

/// A service of namespace `shop`.
pub(super) fn service(name: &str, meta: &str, spec: &str, ingress: &str) -> String {
    let rest = format!(r#""spec":{spec},"status":{{"loadBalancer":{{"ingress":{ingress}}}}}"#);
    with_meta(meta, "shop", name, &rest)
}

/// A service of type LoadBalancer with these addresses.
pub(super) fn balanced(name: &str, policy: &str, addresses: &[&str]) -> String {
    let entries = addresses
        .iter()
        .map(|address| format!(r#"{{"ip":"{address}"}}"#));
    let ingress = format!("[{}]", entries.collect::<Vec<_>>().join(","));
    let spec = format!(r#"{{"type":"LoadBalancer","externalTrafficPolicy":"{policy}"}}"#);
    service(name, "{}", &spec, &ingress)
}

/// A slice of a service of namespace `shop`; endpoints are `NODE[:CONDITION…]`: `n1`, `n1:!ready`,
/// `n1:!ready:serving:terminating`, `-` (no node).
pub(super) fn slice(name: &str, service: &str, family: &str, endpoints: &[&str]) -> String {
    let endpoints = endpoints.iter().map(|text| {
        let mut parts = text.split(':');
        let node = match parts.next() {
            None | Some("-") => String::new(),
            Some(node) => format!(r#""nodeName":"{node}","#),
        };
        let conditions = parts.map(|part| match part.strip_prefix('!') {
            Some(not) => format!(r#""{not}":false"#),
            None => format!(r#""{part}":true"#),
        });
        let conditions = conditions.collect::<Vec<_>>().join(",");
        format!(r#"{{{node}"conditions":{{{conditions}}}}}"#)
    });
    let endpoints = endpoints.collect::<Vec<_>>().join(",");
    let meta = format!(r#"{{"labels":{{"kubernetes.io/service-name":"{service}"}}}}"#);
    let rest = format!(r#""addressType":"{family}","endpoints":[{endpoints}]"#);
    with_meta(&meta, "shop", name, &rest)
}

fn with_meta(meta: &str, namespace: &str, name: &str, rest: &str) -> String {
    let mut meta: serde_json::Value = serde_json::from_str(meta).unwrap();
    meta["name"] = name.into();
    if !namespace.is_empty() {
        meta["namespace"] = namespace.into();
    }
    format!(r#"{{"metadata":{meta},{rest}}}"#)
}
