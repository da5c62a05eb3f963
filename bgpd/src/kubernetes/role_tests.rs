//! The rights that `packaging/kubernetes` gives are those that the feeds need: none is missing, and
//! none is there that nobody asks for.
//!
//! Lists are asked for whole (`get`, `list`, `watch`); ConfigMaps by name (`get`, `watch`). Secrets
//! are named by whoever has passwords, so the manifests give none. What may be written stands in a
//! file of its own, for two switches that are off by default.

use std::collections::BTreeSet;
use std::path::Path;

use cluster::DialectName;
use serde_json::Value;

use super::kinds::{FeedSpec, feeds};

/// Group, resource, namespace and name (both empty: all), verb.
type Right = (String, String, String, String, String);

fn rights(files: &[&str]) -> BTreeSet<Right> {
    let mut all = BTreeSet::new();
    for file in files {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/kubernetes");
        let text = std::fs::read_to_string(path.join(file)).expect(file);
        let documents = text.split("\n---\n");
        for document in documents {
            let object: Value = serde_saphyr::from_str(document).expect(file);
            let namespace = word(&object["metadata"]["namespace"]);
            if ["Role", "ClusterRole"].contains(&word(&object["kind"]).as_str()) {
                let rules = object["rules"].as_array().expect("rules");
                all.extend(rules.iter().flat_map(|rule| of_rule(rule, &namespace)));
            }
        }
    }
    all
}

fn of_rule(rule: &Value, namespace: &str) -> Vec<Right> {
    let words = |key: &str| -> Vec<String> {
        let list = rule[key].as_array();
        list.into_iter().flatten().map(word).collect()
    };
    let mut names = words("resourceNames");
    if names.is_empty() {
        names.push(String::new());
    }
    let mut all = Vec::new();
    for group in words("apiGroups") {
        for resource in words("resources") {
            for name in &names {
                for verb in words("verbs") {
                    let place = (namespace.to_owned(), name.clone());
                    all.push((group.clone(), resource.clone(), place.0, place.1, verb));
                }
            }
        }
    }
    all
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn needed(feed: &FeedSpec) -> Vec<Right> {
    let group = feed.root.strip_prefix("/apis/");
    let group = group
        .and_then(|rest| rest.split('/').next())
        .unwrap_or_default();
    let verbs: &[&str] = match feed.only {
        Some(_) => &["get", "watch"],
        None => &["get", "list", "watch"],
    };
    let (namespace, name) = feed.only.as_ref().map_or(Default::default(), |only| {
        (only.namespace.to_string(), only.name.to_string())
    });
    let right = |verb: &&str| {
        let place = (namespace.clone(), name.clone());
        (
            group.to_owned(),
            feed.plural.to_owned(),
            place.0,
            place.1,
            (*verb).to_owned(),
        )
    };
    verbs.iter().map(right).collect()
}

#[test]
fn the_roles_give_what_each_source_asks_for_and_nothing_else() {
    use DialectName::{Calico, KubeRouter, Metallb, Native};
    for (dialects, files) in [
        (vec![Native], vec!["rbac.yaml"]),
        (vec![KubeRouter], vec!["rbac.yaml"]),
        (vec![Metallb], vec!["rbac.yaml", "rbac-metallb.yaml"]),
        (vec![Calico], vec!["rbac.yaml", "rbac-calico.yaml"]),
        (
            vec![Native, Metallb, Calico, KubeRouter],
            vec!["rbac.yaml", "rbac-metallb.yaml", "rbac-calico.yaml"],
        ),
    ] {
        let feeds = feeds(&dialects);
        let needed: BTreeSet<Right> = feeds.iter().flat_map(needed).collect();
        assert_eq!(rights(&files), needed, "{dialects:?}");
    }
}

#[test]
fn nothing_is_written_without_its_own_role() {
    let reading = ["get", "list", "watch"];
    let read = rights(&["rbac.yaml", "rbac-metallb.yaml", "rbac-calico.yaml"]);
    assert!(read.iter().all(|right| reading.contains(&right.4.as_str())));
    assert!(
        read.iter().all(|right| right.1 != "secrets"),
        "secrets are named by who has them"
    );
    let written = rights(&["rbac-status.yaml"]);
    assert!(
        written
            .iter()
            .all(|right| right.1 != "nodes" && right.1 != "services")
    );
}
