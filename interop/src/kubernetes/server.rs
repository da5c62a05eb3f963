//! Real API servers: `kubeapi`, which builds and runs one, and `kubectl`, which writes to any.
//!
//! `kubectl --raw` is the client: it brings TLS and credentials, asks for no discovery, and takes
//! the same paths as everybody. Objects are written as a controller writes them: a request for the
//! object, another for its status.

use std::fs;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{Flavor, shared};
use crate::apiserver::resources::{self, RESOURCES};

/// URL, token, CA certificate.
pub type Credentials = (String, String, Option<String>);

/// A client with a kubeconfig.
#[derive(Debug)]
pub(super) struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    /// What every command is told beside the kubeconfig.
    options: Vec<String>,
}

impl Kubectl {
    /// The one for the cluster that the environment names.
    pub(super) fn given() -> Result<Kubectl, String> {
        let kubeconfig = std::env::var_os("WAYFARE_TEST_KUBECONFIG")
            .ok_or("WAYFARE_TEST_KUBECONFIG names no cluster")?;
        Ok(Kubectl {
            program: "kubectl".into(),
            kubeconfig: kubeconfig.into(),
            options: Vec::new(),
        })
    }

    /// The cluster as the kubeconfig has it.
    fn cluster(&self) -> Result<Value, String> {
        let words = [
            "config",
            "view",
            "--raw",
            "--flatten",
            "--minify",
            "-o",
            "json",
        ];
        let text = self.run(&words, None)?;
        let view: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        Ok(view["clusters"][0]["cluster"].clone())
    }

    /// `HOST:PORT` of the server.
    pub(super) fn server(&self) -> Result<String, String> {
        let cluster = self.cluster()?;
        let url = cluster["server"].as_str().unwrap_or_default();
        let authority = url.trim_start_matches("https://").trim_end_matches('/');
        Ok(match authority.rsplit_once(':') {
            Some(_) => authority.to_owned(),
            None => format!("{authority}:443"),
        })
    }

    /// The same, reached through another address; its certificate keeps its name.
    pub(super) fn through(mut self, address: SocketAddr) -> Result<Kubectl, String> {
        let server = self.server()?;
        let host = server
            .rsplit_once(':')
            .map_or(server.as_str(), |(host, _)| host);
        self.options = vec![
            format!("--server=https://{address}"),
            format!("--tls-server-name={host}"),
        ];
        Ok(self)
    }

    /// What a kubeconfig says of the server's certificate.
    pub(super) fn authority(&self) -> String {
        let cluster = self.cluster().unwrap_or_default();
        let data = cluster["certificate-authority-data"].as_str();
        let name = self
            .options
            .iter()
            .find_map(|option| option.strip_prefix("--tls-server-name="));
        let mut text = String::new();
        for (key, value) in [
            ("certificate-authority-data", data),
            ("tls-server-name", name),
        ] {
            if let Some(value) = value {
                text += &format!(", {key}: \"{value}\"");
            }
        }
        text
    }

    fn run(&self, words: &[&str], input: Option<&Value>) -> Result<String, String> {
        let mut command = Command::new(&self.program);
        command
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(&self.options)
            .args(words)
            .env_remove("http_proxy")
            .env_remove("https_proxy")
            .env_remove("HTTPS_PROXY")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if input.is_some() {
            command.args(["-f", "-"]);
        }
        let mut child = command
            .spawn()
            .map_err(|error| format!("kubectl: {error}"))?;
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
            let text = input.to_string();
            stdin
                .write_all(text.as_bytes())
                .map_err(|error| error.to_string())?;
        }
        let output = child
            .wait_with_output()
            .map_err(|error| error.to_string())?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => {
                let errors = String::from_utf8_lossy(&output.stderr).into_owned();
                Err(format!("kubectl {}: {errors}", words.join(" ")))
            }
        }
    }

    pub(super) fn get(&self, path: &str) -> Result<Value, String> {
        let text = self.run(&["get", "--raw", path], None)?;
        serde_json::from_str(&text).map_err(|error| format!("{path}: {error}: {text}"))
    }

    pub(super) fn apply(&self, object: &Value) -> Result<(), String> {
        let (collection, path, has_status) = paths(object)?;
        let mut wanted = object.clone();
        match self.get(&path) {
            Ok(old) => {
                wanted["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
                self.run(&["replace", "--raw", &path], Some(&wanted))?;
            }
            Err(why) if why.contains("NotFound") => {
                self.run(&["create", "--raw", &collection], Some(&wanted))?;
            }
            Err(why) => return Err(why),
        }
        if has_status && !object["status"].is_null() {
            let mut now = match self.get(&path) {
                // Its last finalizer was taken off: it is gone, as it should be.
                Err(why) if why.contains("NotFound") => return Ok(()),
                other => other?,
            };
            if now["status"] != object["status"] {
                now["status"] = object["status"].clone();
                self.run(&["replace", "--raw", &format!("{path}/status")], Some(&now))?;
            }
        }
        Ok(())
    }

    pub(super) fn delete(&self, object: &Value) -> Result<(), String> {
        let (_, path, _) = paths(object)?;
        self.run(&["delete", "--raw", &path], None).map(drop)
    }

    /// A token from a cluster that is not ours.
    pub(super) fn admit(&self, namespace: &str, name: &str) -> Result<Credentials, String> {
        let token = self.run(&["-n", namespace, "create", "token", name], None)?;
        let option = self
            .options
            .iter()
            .find_map(|option| option.strip_prefix("--server="));
        let url = match option {
            Some(url) => url.to_owned(),
            None => format!("https://{}", self.server()?),
        };
        Ok((url, token.trim().to_owned(), None))
    }
}

/// The path of an object's collection, its own, and whether it has a status of its own.
fn paths(object: &Value) -> Result<(String, String, bool), String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
    let index = resources::by_kind(&version, &kind)
        .ok_or_else(|| format!("no kind {kind} of {version}"))?;
    let resource = &RESOURCES[index];
    let root = if version.contains('/') {
        "/apis"
    } else {
        "/api"
    };
    let metadata = &object["metadata"];
    let place = match (resource.namespaced, metadata["namespace"].as_str()) {
        (false, _) => String::new(),
        (true, namespace) => format!("/namespaces/{}", namespace.unwrap_or("default")),
    };
    let collection = format!("{root}/{version}{place}/{}", resource.plural);
    let path = format!("{collection}/{}", text(&metadata["name"]));
    // MetalLB's own definitions give a status to some kinds only; tests never write those.
    let has_status = resource.has_status && resource.group.is_empty();
    Ok((collection, path, has_status))
}

/// A server that `kubeapi` runs; taken down when dropped.
#[derive(Debug)]
pub(super) struct Kubeapi {
    dir: PathBuf,
    pub(super) kubectl: Kubectl,
}

fn program() -> PathBuf {
    shared().join("tools/kubeapi/kubeapi")
}

fn cache() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    std::env::var_os("KUBEAPI_CACHE")
        .map_or_else(|| cache.unwrap_or_else(home).join("kubeapi"), PathBuf::from)
}

fn kubeapi(words: &[&Path]) -> Result<String, String> {
    let output = Command::new(program())
        .args(words)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("kubeapi: {error}"))?;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("kubeapi {words:?}: {errors}")),
    }
}

impl Kubeapi {
    pub(super) fn is_there(flavor: Flavor) -> Result<(), String> {
        if !program().is_file() {
            return Err(format!("no {}", program().display()));
        }
        let built = cache().join(flavor.name()).join("bin/kubectl");
        match built.is_file() {
            true => Ok(()),
            false => Err(format!("kubeapi build {}: not done", flavor.name())),
        }
    }

    pub(super) fn start(flavor: Flavor, address: IpAddr) -> Result<Kubeapi, String> {
        // The lab's own file system vanishes with it, whatever happens.
        let parent = std::env::var_os("WAYFARE_LAB").map_or_else(std::env::temp_dir, PathBuf::from);
        let dir = parent.join(format!("kubeapi-{}", std::process::id()));
        let listen = address.to_string();
        let words = ["up", "-s", flavor.name(), "-l", &listen];
        let mut words: Vec<&Path> = words.iter().map(Path::new).collect();
        words.push(&dir);
        let kubeconfig = kubeapi(&words)?;
        Ok(Kubeapi {
            kubectl: Kubectl {
                program: cache().join(flavor.name()).join("bin/kubectl"),
                kubeconfig: kubeconfig.trim().into(),
                options: Vec::new(),
            },
            dir,
        })
    }

    pub(super) fn custom_kinds(&self) -> Result<(), String> {
        let crds = shared().join("data/crds");
        if !crds.is_dir() {
            return Err(format!("no {}", crds.display()));
        }
        let (metallb, calico) = (crds.join("metallb"), crds.join("calico"));
        let words = [Path::new("crds"), &self.dir, &metallb, &calico];
        kubeapi(&words).map(drop)
    }

    pub(super) fn admit(&self, account: &str) -> Result<Credentials, String> {
        let words = [Path::new("token"), &self.dir, Path::new(account)];
        let token = kubeapi(&words)?.trim().to_owned();
        let file = self.dir.join("admin.kubeconfig");
        let text = fs::read_to_string(&file).map_err(|error| error.to_string())?;
        let url = text
            .split("server: \"")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        let url = url.ok_or("no server in kubeapi's kubeconfig")?.to_owned();
        let ca = fs::read_to_string(self.dir.join("ca.crt"));
        Ok((url, token, Some(ca.map_err(|error| error.to_string())?)))
    }

    pub(super) fn revoke(&self) {
        // The next request says whether it worked.
        let _ = kubeapi(&[Path::new("revoke"), &self.dir]);
    }

    pub(super) fn stop(&self) {
        self.kill("api");
    }

    /// kubeapi ends a server in order, which takes it half a minute while watches are open.
    fn kill(&self, name: &str) {
        let pid = fs::read_to_string(self.dir.join(format!("{name}.pid"))).unwrap_or_default();
        let pid = pid.trim().to_owned();
        if pid.is_empty() {
            return;
        }
        let _ = Command::new("kill").args(["-9", &pid]).status();
        // One that has ended and was not waited for has no program any more.
        crate::wait::until_true("the API server ends", 60, || {
            fs::read_link(Path::new("/proc").join(&pid).join("exe")).is_err()
        });
    }

    pub(super) fn start_again(&self, compacted: bool) -> Result<(), String> {
        let mut words = vec![Path::new("restart")];
        if compacted {
            words.push(Path::new("-c"));
        }
        words.push(&self.dir);
        kubeapi(&words).map(drop)
    }
}

impl Drop for Kubeapi {
    fn drop(&mut self) {
        self.kill("api");
        self.kill("etcd");
        // What is left lies in a directory of the lab's own or of the machine's for such things.
        let _ = fs::remove_dir_all(&self.dir);
    }
}
