//! Who asks, and whether RBAC lets them: tokens, roles and bindings as a real server reads them.
//!
//! The rules are the objects in the store, so a test applies the manifests that are shipped and
//! nothing else. Verbs, groups, resources with subresources, resource names and the star are
//! understood; aggregated roles and paths that are no resources are not (the latter are open to
//! everybody who has a token).

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use super::faults::Refusal;
use super::lock;
use super::store::Store;

const RBAC: &str = "rbac.authorization.k8s.io/v1";

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// As in `subjects`.
    pub name: String,
    /// The groups they are in.
    pub groups: Vec<String>,
}

impl User {
    /// Who may do everything.
    pub fn administrator() -> User {
        User {
            name: "admin".to_owned(),
            groups: vec!["system:masters".to_owned()],
        }
    }
}

/// What is asked for, in RBAC's words.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `list`, `watch`, …
    pub verb: &'static str,
    /// The API group.
    pub group: String,
    /// The plural, with `/status` for the subresource.
    pub resource: String,
    /// Empty for all namespaces.
    pub namespace: String,
    /// Empty for all objects, unless a field selector names one.
    pub name: String,
}

/// Tokens.
#[derive(Debug, Default)]
pub struct Access {
    tokens: Mutex<BTreeMap<String, User>>,
    made: AtomicU64,
}

impl Access {
    /// A new token for this user.
    pub fn token(&self, name: &str, groups: &[&str]) -> String {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let token = format!("token-{number}-of-{}", name.replace([':', '/'], "-"));
        let user = User {
            name: name.to_owned(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        };
        lock(&self.tokens).insert(token.clone(), user);
        token
    }

    /// A token of the service account `NAMESPACE/NAME`.
    pub fn service_account(&self, account: &str) -> String {
        let (namespace, name) = account.split_once('/').unwrap_or(("default", account));
        let group = format!("system:serviceaccounts:{namespace}");
        self.token(
            &format!("system:serviceaccount:{namespace}:{name}"),
            &["system:serviceaccounts", &group, "system:authenticated"],
        )
    }

    /// Forgets them all.
    pub fn revoke(&self) {
        lock(&self.tokens).clear();
    }

    /// Who has this `Authorization`.
    ///
    /// # Errors
    /// 401.
    pub fn authenticate(&self, authorization: Option<&str>) -> Result<User, Refusal> {
        let token = authorization.and_then(|text| text.strip_prefix("Bearer "));
        token
            .and_then(|token| lock(&self.tokens).get(token.trim()).cloned())
            .ok_or_else(Refusal::unauthorized)
    }
}

/// Whether the roles in `store` let `user` do that.
///
/// # Errors
/// 403, with the sentence that `kubectl` prints.
pub fn authorize(store: &Store, user: &User, request: &Request) -> Result<(), Refusal> {
    if user.groups.iter().any(|group| group == "system:masters") || request.resource.is_empty() {
        return Ok(());
    }
    let mut bindings = store.objects(RBAC, "ClusterRoleBinding");
    let local = store.objects(RBAC, "RoleBinding");
    bindings.extend(local.into_iter().filter(|binding| {
        let namespace = binding["metadata"]["namespace"].as_str();
        !request.namespace.is_empty() && namespace == Some(request.namespace.as_str())
    }));
    let allowed = bindings
        .iter()
        .filter(|binding| names(binding, user))
        .any(|binding| {
            let role = &binding["roleRef"];
            let kind = role["kind"].as_str().unwrap_or_default();
            let namespace = match kind {
                "Role" => binding["metadata"]["namespace"]
                    .as_str()
                    .unwrap_or_default(),
                _ => "",
            };
            let name = role["name"].as_str().unwrap_or_default();
            let found = store.object(RBAC, kind, namespace, name);
            found.is_some_and(|role| {
                list(&role["rules"])
                    .iter()
                    .any(|rule| allows(rule, request))
            })
        });
    if allowed {
        return Ok(());
    }
    let place = match request.namespace.as_str() {
        "" => "at the cluster scope".to_owned(),
        namespace => format!("in the namespace \"{namespace}\""),
    };
    Err(Refusal::new(
        403,
        "Forbidden",
        format!(
            "{} is forbidden: User \"{}\" cannot {} resource \"{}\" in API group \"{}\" {place}",
            request.resource, user.name, request.verb, request.resource, request.group
        ),
    ))
}

fn names(binding: &Value, user: &User) -> bool {
    list(&binding["subjects"]).iter().any(|subject| {
        let name = subject["name"].as_str().unwrap_or_default();
        match subject["kind"].as_str() {
            Some("ServiceAccount") => {
                let namespace = subject["namespace"].as_str().unwrap_or_default();
                user.name == format!("system:serviceaccount:{namespace}:{name}")
            }
            Some("Group") => user.groups.iter().any(|group| group == name),
            _ => user.name == name,
        }
    })
}

fn allows(rule: &Value, request: &Request) -> bool {
    let has = |key: &str, wanted: &str| {
        list(&rule[key])
            .iter()
            .any(|word| word == "*" || word == wanted)
    };
    let named = list(&rule["resourceNames"]);
    has("verbs", request.verb)
        && has("apiGroups", &request.group)
        && has("resources", &request.resource)
        && (named.is_empty() || named.iter().any(|name| *name == request.name.as_str()))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
