//! The demo's cluster: a Service and its endpoints, made through the API, seen on the routers.
//!
//! The API server is the lab's own; `kubectl` writes to it where the machine has one, else the
//! demo does so itself. The nodes' daemons read Nodes, Services and EndpointSlices with a service
//! account's token and the least rights. What is waited for is the gateways in the routers'
//! kernels.

use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use super::script;
use super::stage::Stage;
use crate::apiserver::ApiServer;
use crate::kubernetes::objects::{self, load_balancer, local, ready, slice};
use crate::kubernetes::{KUBECONFIG, role};
use crate::lab::{Lab, OWN_ADDRESS};
use crate::node::Node;

/// The address that the Service was given.
pub const ADDRESS: &str = "172.40.100.20";

/// The API server and how it is written to.
pub struct Api {
    server: ApiServer,
    /// A kubeconfig of the administrator's, where there is a `kubectl` to use it.
    kubeconfig: Option<PathBuf>,
}

impl Api {
    /// Starts the server, with the nodes' objects and the rights of their daemons.
    pub fn start() -> Api {
        let server = ApiServer::start(IpAddr::V4(OWN_ADDRESS)).expect("a lab has free ports");
        for object in objects::from_yaml(role::LEAST) {
            server.apply(&object).expect("a role that labs use");
        }
        for index in 3..=5 {
            let address = Lab::address(index).to_string();
            let node = objects::node(&name(index), &address, &[]);
            server.apply(&node).expect("a new object");
        }
        server.configure(|settings| settings.is_open = true);
        let has_kubectl = Command::new("kubectl")
            .args(["version", "--client"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        let file = std::env::var_os("WAYFARE_LAB").map(|dir| PathBuf::from(dir).join("admin"));
        let written = file
            .filter(|_| has_kubectl)
            .filter(|file| std::fs::write(file, server.kubeconfig(&server.admin())).is_ok());
        Api {
            server,
            kubeconfig: written,
        }
    }

    /// Lets a node's daemon in, and gives the table of its configuration.
    pub fn admit(&self, node: &Node, index: u8) -> String {
        let token = self.server.service_account(role::ACCOUNT);
        node.write(KUBECONFIG, self.server.kubeconfig(&token));
        format!(
            "\n[kubernetes]\nkubeconfig = \"{KUBECONFIG}\"\nnode-name = \"{}\"\ngate = \"off\"\n\
             advertise = [\"load-balancer-ip\"]\n",
            name(index)
        )
    }

    fn apply(&self, object: &Value) -> Result<(), String> {
        // An address is given by a controller and not by kubectl: through the API in any case.
        if self.kubeconfig.is_some() {
            self.kubectl(
                &["apply", "--validate=false", "-f", "-"],
                &object.to_string(),
            )?;
        }
        self.server
            .apply(object)
            .map_err(|refusal| refusal.to_string())
    }

    fn delete(&self, object: &Value) -> Result<(), String> {
        if self.kubeconfig.is_some() {
            return self.kubectl(&["delete", "--wait=false", "-f", "-"], &object.to_string());
        }
        self.server
            .delete(object)
            .map_err(|refusal| refusal.to_string())
    }

    fn kubectl(&self, words: &[&str], input: &str) -> Result<(), String> {
        let mut command = Command::new("kubectl");
        if let Some(kubeconfig) = &self.kubeconfig {
            command.arg("--kubeconfig").arg(kubeconfig);
            command
                .arg("--cache-dir")
                .arg(kubeconfig.with_extension("cache"));
        }
        let mut child = command
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("kubectl: {error}"))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin
                .write_all(input.as_bytes())
                .map_err(|error| error.to_string())?;
        }
        let output = child
            .wait_with_output()
            .map_err(|error| error.to_string())?;
        match output.status.success() {
            true => Ok(()),
            false => Err(format!(
                "kubectl {}: {}",
                words.join(" "),
                String::from_utf8_lossy(&output.stderr)
            )),
        }
    }

    fn writer(&self) -> &'static str {
        match self.kubeconfig {
            Some(_) => "kubectl",
            None => "the API",
        }
    }
}

fn name(index: u8) -> String {
    format!("node{}", index - 2)
}

fn service() -> Value {
    local(load_balancer("shop", &["10.96.0.20"], &[ADDRESS]))
}

fn endpoints(nodes: &[&str]) -> Value {
    let ends: Vec<_> = nodes.iter().map(|node| ready(node)).collect();
    slice("shop", "a", &ends)
}

/// Waits for the gateways on both routers; how long it took since `started`.
fn gateways(stage: &Stage, nodes: &[u8], started: Instant) -> Result<String, String> {
    let mut figures = Vec::new();
    for router in &stage.routers {
        script::kernel(router, &format!("{ADDRESS}/32"), nodes)?;
        figures.push(format!(
            "{} {} ms",
            router.node.name(),
            started.elapsed().as_millis()
        ));
    }
    Ok(figures.join(", "))
}

/// A Service of type LoadBalancer with endpoints on all nodes.
pub fn appears(stage: &Stage) -> Result<String, String> {
    stage.api.apply(&service())?;
    let all = endpoints(&["node1", "node2", "node3"]);
    let started = Instant::now();
    stage.api.apply(&all)?;
    let figures = gateways(stage, &[3, 4, 5], started)?;
    Ok(format!("{figures}, {} included", stage.api.writer()))
}

/// `externalTrafficPolicy: Local`: a node without an endpoint is no way to it.
pub fn moves(stage: &Stage) -> Result<String, String> {
    let started = Instant::now();
    stage.api.apply(&endpoints(&["node2", "node3"]))?;
    gateways(stage, &[4, 5], started)
}

/// The Service is deleted.
pub fn vanishes(stage: &Stage) -> Result<String, String> {
    let started = Instant::now();
    stage.api.delete(&service())?;
    gateways(stage, &[], started)
}
