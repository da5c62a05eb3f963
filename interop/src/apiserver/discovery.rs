//! What kubectl asks before it does anything: versions, groups, resources, health.
//!
//! Enough for `kubectl get`, and for `kubectl apply --validate=false`: there is no OpenAPI here.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::http::Answer;
use super::resources::{RESOURCES, Resource, group_version};
use super::{Shared, lock};

/// The answer to a path that names no object; `None` when it does.
pub(super) fn answer(shared: &Shared, path: &str) -> Option<Answer> {
    let words: Vec<&str> = path.trim_matches('/').split('/').collect();
    let absent = lock(&shared.settings).absent_groups.clone();
    let is_there = |resource: &&Resource| !absent.iter().any(|group| group == resource.group);
    match words.as_slice() {
        ["healthz" | "readyz" | "livez"] => Some(Answer::text("ok")),
        ["version"] => Some(Answer::value(
            200,
            &json!({ "major": "1", "minor": "33", "gitVersion": "v1.33.0", "platform": "test" }),
        )),
        ["api"] => Some(Answer::value(
            200,
            &json!({ "kind": "APIVersions", "versions": ["v1"] }),
        )),
        ["apis"] => {
            let there = RESOURCES.iter().filter(is_there);
            let groups: BTreeSet<&str> = there.map(|resource| resource.group).collect();
            let groups: Vec<Value> = groups
                .into_iter()
                .filter(|g| !g.is_empty())
                .map(group)
                .collect();
            let list = json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups });
            Some(Answer::value(200, &list))
        }
        ["api", version] => Some(resources("", version, &is_there)),
        ["apis", group, version] => Some(resources(group, version, &is_there)),
        _ => None,
    }
}

fn group(name: &str) -> Value {
    let mut versions: Vec<&str> = Vec::new();
    for resource in RESOURCES.iter().filter(|resource| resource.group == name) {
        for version in resource.versions {
            if !versions.contains(version) {
                versions.push(version);
            }
        }
    }
    let version = |version: &&str| {
        let both = group_version(name, version);
        json!({ "groupVersion": both, "version": version })
    };
    let versions: Vec<Value> = versions.iter().map(version).collect();
    json!({ "name": name, "versions": versions, "preferredVersion": versions[0] })
}

fn resources(group: &str, version: &str, is_there: &dyn Fn(&&Resource) -> bool) -> Answer {
    let mut list = Vec::new();
    let fitting =
        |resource: &&Resource| resource.group == group && resource.versions.contains(&version);
    for resource in RESOURCES.iter().filter(fitting).filter(is_there) {
        list.push(json!({
            "name": resource.plural, "singularName": resource.kind.to_lowercase(),
            "namespaced": resource.namespaced, "kind": resource.kind,
            "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"],
        }));
        if resource.has_status {
            list.push(json!({
                "name": format!("{}/status", resource.plural), "singularName": "",
                "namespaced": resource.namespaced, "kind": resource.kind,
                "verbs": ["get", "patch", "update"],
            }));
        }
    }
    if list.is_empty() {
        let refusal = super::Refusal::not_found("the server could not find the resource:");
        return Answer::refusal(&refusal);
    }
    let list = json!({
        "kind": "APIResourceList", "apiVersion": "v1",
        "groupVersion": group_version(group, version), "resources": list,
    });
    Answer::value(200, &list)
}
