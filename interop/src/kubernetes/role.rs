//! The RBAC that is shipped, as objects, so that labs run with exactly those rights.
//!
//! Read from `packaging/kubernetes` of the checkout: the ClusterRoles, Roles and bindings of the
//! manifests, and the service account they name. A right that the daemon needs and the manifests do
//! not give shows as a lab that fails, which is the point.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::objects;

/// Where the manifests are.
pub fn folder() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../packaging/kubernetes"
    ))
}

/// The objects of `rbac.authorization.k8s.io` in the manifests, and `NAMESPACE/NAME` of the
/// service account that is bound.
///
/// # Errors
/// There are none.
pub fn shipped() -> Result<(Vec<Value>, String), String> {
    let mut rules = Vec::new();
    for file in manifests(&folder()) {
        let text = fs::read_to_string(&file).map_err(|error| error.to_string())?;
        rules.extend(objects::from_yaml(&text).into_iter().filter(|object| {
            let version = object["apiVersion"].as_str().unwrap_or_default();
            version.starts_with("rbac.authorization.k8s.io/")
        }));
    }
    let account = rules.iter().find_map(|object| {
        let subject = &object["subjects"][0];
        let namespace = subject["namespace"].as_str()?;
        Some(format!("{namespace}/{}", subject["name"].as_str()?))
    });
    let account = account.ok_or_else(|| format!("no role in {}", folder().display()))?;
    Ok((rules, account))
}

fn manifests(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    entries.sort();
    for path in entries {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("yaml" | "yml") => files.push(path),
            None if path.is_dir() => files.extend(manifests(&path)),
            _ => {}
        }
    }
    files
}

/// The rights a node's agent needs, in the least form: what labs use where a test is not about the
/// shipped manifests.
pub const LEAST: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: { name: wayfare-lab }
rules:
- { apiGroups: [""], resources: [nodes, services, namespaces], verbs: [get, list, watch] }
- { apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [get, list, watch] }
- { apiGroups: [networking.k8s.io], resources: [servicecidrs], verbs: [get, list, watch] }
- apiGroups: [crd.projectcalico.org, projectcalico.org]
  resources: [bgpconfigurations, bgppeers, bgpfilters, ippools, blockaffinities]
  verbs: [get, list, watch]
- apiGroups: [metallb.io]
  resources:
    [bgppeers, bgpadvertisements, ipaddresspools, l2advertisements, bfdprofiles, communities]
  verbs: [get, list, watch]
- { apiGroups: [""], resources: [configmaps], resourceNames: [config], verbs: [get, watch] }
- { apiGroups: [""], resources: [secrets], resourceNames: [tor], verbs: [get, watch] }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: { name: wayfare-lab }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: wayfare-lab }
subjects:
- { kind: ServiceAccount, name: wayfare-bgpd, namespace: kube-system }
"#;

/// The account that [`LEAST`] is bound to.
pub const ACCOUNT: &str = "kube-system/wayfare-bgpd";
