//! A cluster for a lab: an API server, a node's agent that reads it, routers that see the result.
//!
//! The API server is one of four ([`Flavor`]): our own ([`crate::apiserver`]), which is always
//! there and fails on demand; a real one in two builds, when `kubeapi` lies under `WAYFARE_SHARED`
//! (`../shared` of the checkout) and is built; or whatever `WAYFARE_TEST_KUBECONFIG` names. Tests
//! are written once and name the flavors they play with; what is absent is skipped by name.
//!
//! Rooms: this file (which server), [`server`] (a real one, through `kubeapi` and `kubectl`),
//! `bridge` (to a cluster outside of the lab), [`objects`] (Nodes, Services, EndpointSlices in a
//! few words), [`rig`] (the lab: agent, routers,
//! and what must be in their tables), [`proxy`] (a kube-proxy that says what a test wants),
//! [`role`] (the RBAC that is shipped), [`load`] (the benchmark).

mod bridge;
pub mod load;
pub mod objects;
pub mod proxy;
pub mod rig;
pub mod role;
pub mod server;

use std::net::IpAddr;
use std::path::PathBuf;

use serde_json::Value;

pub use self::server::Credentials;
use self::server::{Kubeapi, Kubectl};
use crate::apiserver::ApiServer;
use crate::node::Node;

/// Where a node finds its kubeconfig, its token and the server's CA.
pub const KUBECONFIG: &str = "/run/node/kube/config";
const TOKEN: &str = "/run/node/kube/token";
const CA: &str = "/run/node/kube/ca.crt";

/// Which API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// Ours, in this process.
    Own,
    /// `kubeapi`, Kubernetes 1.36 libraries.
    Mini,
    /// `kubeapi`, kube-apiserver 1.20.
    Full,
    /// The cluster of `WAYFARE_TEST_KUBECONFIG`.
    Given,
}

impl Flavor {
    /// Its name in tests and messages.
    pub fn name(self) -> &'static str {
        match self {
            Flavor::Own => "own",
            Flavor::Mini => "mini",
            Flavor::Full => "full",
            Flavor::Given => "given",
        }
    }
}

/// One test per API server for a scenario `fn(&mut Lab, Cluster)`, named by the caller.
#[macro_export]
macro_rules! with_each_server {
    ($scenario:path, $($test:ident = $flavor:ident),+ $(,)?) => {
        $(
            #[test]
            fn $test() {
                $crate::kubernetes::play(
                    stringify!($test),
                    $crate::kubernetes::Flavor::$flavor,
                    $scenario,
                );
            }
        )+
    };
}

/// Plays one scenario in a lab of its own, or says by name why not.
pub fn play(test: &str, flavor: Flavor, scenario: impl FnOnce(&mut crate::lab::Lab, Cluster)) {
    if let Err(why) = Cluster::is_there(flavor) {
        return eprintln!("SKIPPED {test}: {why}");
    }
    if flavor == Flavor::Given && std::env::var_os("WAYFARE_LAB").is_none() {
        let bridged = Kubectl::given().and_then(|kubectl| {
            let server = kubectl.server()?;
            bridge::outside(test, &server).map_err(|error| error.to_string())
        });
        bridged.unwrap_or_else(|why| panic!("{test}: {why}"));
    }
    // Every step waits for other people's tools, and a real server takes seconds to start.
    let limit = std::time::Duration::from_secs(280);
    crate::lab::enter_within(limit, test, |lab| {
        let seat = crate::lab::OWN_ADDRESS.into();
        let started = match flavor {
            Flavor::Given => Cluster::bridged(test, seat),
            flavor => Cluster::start(flavor, seat),
        };
        match started {
            Ok(cluster) => scenario(lab, cluster),
            Err(why) => panic!("{}: {why}", flavor.name()),
        }
    });
}

/// What others lent us: `WAYFARE_SHARED`, else `../shared` of the checkout.
pub fn shared() -> PathBuf {
    std::env::var_os("WAYFARE_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")),
        PathBuf::from,
    )
}

enum Server {
    Own(Box<ApiServer>),
    Real(Box<Kubeapi>),
    Given(Kubectl),
}

/// A running API server and a way to write to it.
pub struct Cluster {
    flavor: Flavor,
    server: Server,
}

impl Cluster {
    /// Whether this flavor can be had here.
    ///
    /// # Errors
    /// Why not.
    pub fn is_there(flavor: Flavor) -> Result<(), String> {
        match flavor {
            Flavor::Own => Ok(()),
            Flavor::Mini | Flavor::Full => Kubeapi::is_there(flavor),
            Flavor::Given => Kubectl::given().map(drop),
        }
    }

    /// Starts it on an address of this network namespace.
    ///
    /// # Errors
    /// What failed, with the words of who failed.
    pub fn start(flavor: Flavor, address: IpAddr) -> Result<Cluster, String> {
        let server = match flavor {
            Flavor::Own => {
                let server = ApiServer::start(address).map_err(|error| error.to_string())?;
                Server::Own(Box::new(server))
            }
            Flavor::Mini | Flavor::Full => Server::Real(Box::new(Kubeapi::start(flavor, address)?)),
            Flavor::Given => Server::Given(Kubectl::given()?),
        };
        Ok(Cluster { flavor, server })
    }

    /// The cluster that the environment names, from inside a lab.
    fn bridged(test: &str, address: IpAddr) -> Result<Cluster, String> {
        let local = bridge::inside(test, address).map_err(|error| error.to_string())?;
        let kubectl = Kubectl::given()?.through(local)?;
        Ok(Cluster {
            flavor: Flavor::Given,
            server: Server::Given(kubectl),
        })
    }

    /// Which one it is.
    pub fn flavor(&self) -> Flavor {
        self.flavor
    }

    /// A server that drops fields which came with Kubernetes 1.21 and later.
    pub fn is_old(&self) -> bool {
        let minor = |kubectl: &Kubectl| {
            let version = kubectl.get("/version").ok()?;
            let minor = version["minor"].as_str()?.trim_end_matches('+');
            minor.parse::<u32>().ok()
        };
        match &self.server {
            Server::Own(_) => false,
            Server::Real(_) => self.flavor == Flavor::Full,
            Server::Given(kubectl) => minor(kubectl).is_some_and(|minor| minor < 29),
        }
    }

    /// Ours, for faults that real servers do not have on demand.
    pub fn own(&self) -> Option<&ApiServer> {
        match &self.server {
            Server::Own(server) => Some(server),
            _ => None,
        }
    }

    /// Ours, in a test that plays with no other.
    ///
    /// # Panics
    /// When it is another.
    pub fn expect_own(&self) -> &ApiServer {
        self.own().expect("this test plays with our own server")
    }

    fn kubectl(&self) -> Option<&Kubectl> {
        match &self.server {
            Server::Own(_) => None,
            Server::Real(server) => Some(&server.kubectl),
            Server::Given(kubectl) => Some(kubectl),
        }
    }

    /// Makes or replaces an object, its status included.
    ///
    /// # Panics
    /// When the server refuses it.
    #[track_caller]
    pub fn apply(&self, object: &Value) {
        let outcome = match &self.server {
            Server::Own(server) => server.apply(object).map_err(|refusal| refusal.to_string()),
            _ => self
                .kubectl()
                .map_or(Ok(()), |kubectl| kubectl.apply(object)),
        };
        outcome.unwrap_or_else(|why| panic!("apply {object}: {why}"));
    }

    /// Applies every document of a manifest.
    ///
    /// # Panics
    /// When it is no YAML, or the server refuses an object.
    #[track_caller]
    pub fn manifest(&self, text: &str) {
        for object in objects::from_yaml(text) {
            self.apply(&object);
        }
    }

    /// Deletes an object.
    ///
    /// # Panics
    /// When it is not there.
    #[track_caller]
    pub fn delete(&self, object: &Value) {
        let outcome = match &self.server {
            Server::Own(server) => server.delete(object).map_err(|refusal| refusal.to_string()),
            _ => self
                .kubectl()
                .map_or(Ok(()), |kubectl| kubectl.delete(object)),
        };
        outcome.unwrap_or_else(|why| panic!("delete {object}: {why}"));
    }

    /// Serves the custom kinds of MetalLB and Calico; ours serves them anyway.
    ///
    /// # Errors
    /// Their definitions are not under `WAYFARE_SHARED`.
    pub fn custom_kinds(&self) -> Result<(), String> {
        match &self.server {
            Server::Real(server) => server.custom_kinds(),
            Server::Own(_) | Server::Given(_) => Ok(()),
        }
    }

    /// URL, token and CA certificate for a service account, which is made if need be.
    ///
    /// # Panics
    /// When the server gives none.
    #[track_caller]
    pub fn credentials(&self, account: &str) -> Credentials {
        let (namespace, name) = account.split_once('/').unwrap_or(("default", account));
        if let Server::Own(server) = &self.server {
            let url = format!("http://{}", server.address());
            return (url, server.service_account(account), None);
        }
        self.apply(&objects::namespace(namespace, &[]));
        self.apply(&objects::named("v1", "ServiceAccount", namespace, name));
        let given = match &self.server {
            Server::Real(server) => server.admit(account),
            Server::Given(kubectl) => kubectl.admit(namespace, name),
            Server::Own(_) => Err("answered above".to_owned()),
        };
        given.unwrap_or_else(|why| panic!("{account}: {why}"))
    }

    /// Gives a node the credentials of a service account, which is made if need be.
    ///
    /// # Panics
    /// When the server gives none.
    #[track_caller]
    pub fn admit(&self, node: &Node, account: &str) {
        let (url, token, ca) = self.credentials(account);
        let authority = match (&ca, &self.server) {
            (None, Server::Given(kubectl)) => kubectl.authority(),
            (Some(text), _) => {
                node.write(CA, text);
                format!(", certificate-authority: {CA}")
            }
            (None, _) => String::new(),
        };
        node.write(TOKEN, token);
        node.write(
            KUBECONFIG,
            format!(
                "apiVersion: v1\nkind: Config\n\
                 clusters: [{{name: lab, cluster: {{server: \"{url}\"{authority}}}}}]\n\
                 users: [{{name: agent, user: {{tokenFile: {TOKEN}}}}}]\n\
                 contexts: [{{name: lab, context: {{cluster: lab, user: agent}}}}]\n\
                 current-context: lab\n"
            ),
        );
    }

    /// Forgets all tokens; false where that cannot be asked for.
    pub fn revoke(&self) -> bool {
        match &self.server {
            Server::Own(server) => server.revoke(),
            Server::Real(server) if self.flavor == Flavor::Mini => server.revoke(),
            _ => return false,
        }
        true
    }

    /// Takes the server away; false where that cannot be done.
    pub fn stop(&self) -> bool {
        match &self.server {
            Server::Own(server) => server.stop(),
            Server::Real(server) => server.stop(),
            Server::Given(_) => return false,
        }
        true
    }

    /// Brings it back on the same port. Compacted: a watch from before is 410.
    ///
    /// # Panics
    /// When it does not come.
    #[track_caller]
    pub fn start_again(&self, compacted: bool) {
        let outcome = match &self.server {
            Server::Own(server) => {
                if compacted {
                    server.compact();
                }
                server.start_again().map_err(|error| error.to_string())
            }
            Server::Real(server) => server.start_again(compacted),
            Server::Given(_) => Ok(()),
        };
        outcome.unwrap_or_else(|why| panic!("{}: {why}", self.flavor.name()));
    }
}
