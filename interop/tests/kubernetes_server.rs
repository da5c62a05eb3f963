//! Our API server against real ones: the same questions, the same answers.
//!
//! What is compared is what an agent decides by: status codes and reasons, kinds and versions of
//! lists, pages, the order and type of a watch's events, which fields a write keeps. Numbers and
//! names that a server makes up are left out.

use std::io::Write;
use std::process::{Command, Stdio};

use interop::kubernetes::objects::{load_balancer, named, namespace, node, ready, slice, with};
use interop::kubernetes::{Cluster, Credentials, Flavor, role};
use serde_json::{Value, json};

/// A watch of a test ends by itself after so many seconds.
const WATCH: &str = "watch=1&timeoutSeconds=1";

#[test]
fn mini_answers_as_ours_does() {
    same_answers("mini_answers_as_ours_does", Flavor::Mini);
}

#[test]
fn full_answers_as_ours_does() {
    same_answers("full_answers_as_ours_does", Flavor::Full);
}

fn same_answers(test: &str, flavor: Flavor) {
    if let Err(why) = Cluster::is_there(flavor) {
        return eprintln!("SKIPPED {test}: {why}");
    }
    if Command::new("curl").arg("--version").output().is_err() {
        return eprintln!("SKIPPED {test}: no curl");
    }
    let ours = answers(Flavor::Own);
    let theirs = answers(flavor);
    assert_eq!(ours.len(), theirs.len());
    for ((question, our), (_, their)) in ours.iter().zip(&theirs) {
        assert_eq!(our, their, "{question}: ours, then {}'s", flavor.name());
    }
}

/// Asks everything; in the order in which the questions build upon each other.
fn answers(flavor: Flavor) -> Vec<(String, Value)> {
    let loopback = [127, 0, 0, 1].into();
    let cluster = Cluster::start(flavor, loopback).unwrap_or_else(|why| panic!("{why}"));
    cluster.manifest(role::LEAST);
    let agent = Client(cluster.credentials(role::ACCOUNT));
    cluster.apply(&namespace("default", &[]));
    for index in 1..=3 {
        let name = format!("n{index}");
        let pods = format!("10.244.{index}.0/24");
        cluster.apply(&node(&name, &format!("192.0.2.{index}"), &[&pods]));
    }
    let web = load_balancer("web", &["10.96.0.10"], &["192.0.2.10"]);
    cluster.apply(&web);
    cluster.apply(&slice("web", "a", &[ready("n1")]));
    let mut told = Vec::new();
    let mut tell = |question: &str, answer: Value| told.push((question.to_owned(), answer));
    for path in [
        "/api/v1/nodes",
        "/api/v1/nodes?limit=2",
        "/api/v1/services?fieldSelector=metadata.name%3Dweb",
        "/api/v1/services?labelSelector=tier%3Dedge",
        "/apis/discovery.k8s.io/v1/endpointslices",
        "/api/v1/nodes/absent",
        "/api/v1/namespaces/default/services/web",
        "/api/v1/secrets",
        "/apis/metallb.io/v1beta9/bgppeers",
    ] {
        tell(path, agent.get(path));
    }
    let stranger = Client((agent.0.0.clone(), "nobody".to_owned(), agent.0.2.clone()));
    tell("a token of nobody", stranger.get("/api/v1/nodes"));
    tell(
        "the rest of a page",
        agent.next_page("/api/v1/nodes?limit=2"),
    );
    let version = agent.version("/apis/discovery.k8s.io/v1/endpointslices");
    cluster.apply(&slice("web", "a", &[ready("n2")]));
    cluster.apply(&with(
        slice("web", "b", &[]),
        "/metadata/labels/tier",
        "edge",
    ));
    cluster.delete(&slice("web", "a", &[]));
    let slices = "/apis/discovery.k8s.io/v1/endpointslices";
    let from = format!("{slices}?{WATCH}&resourceVersion={version}");
    tell("a watch from a version", agent.watch(&from));
    tell(
        "a watch from now",
        agent.watch(&format!("{slices}?{WATCH}")),
    );
    let labelled = format!("{slices}?{WATCH}&resourceVersion={version}&labelSelector=tier%3Dedge");
    tell("a watch with a selector", agent.watch(&labelled));
    let late = "/api/v1/nodes?resourceVersion=99999999";
    tell("a version that is not there yet", agent.get(late));
    assert!(cluster.stop());
    cluster.start_again(true);
    tell("a watch from a compacted version", agent.watch(&from));
    cluster.apply(&named("v1", "ConfigMap", "default", "last"));
    told
}

struct Client(Credentials);

impl Client {
    fn curl(&self, path: &str) -> (u16, String) {
        let (url, token, ca) = &self.0;
        let mut command = Command::new("curl");
        command.args([
            "-sN",
            "--noproxy",
            "*",
            "--max-time",
            "20",
            "-w",
            "\n%{http_code}",
        ]);
        command.args(["-H", &format!("Authorization: Bearer {token}")]);
        if ca.is_some() {
            command.args(["--cacert", "/dev/stdin"]);
        }
        command.arg(format!("{url}{path}"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("curl was there a moment ago");
        if let (Some(mut stdin), Some(ca)) = (child.stdin.take(), ca) {
            stdin
                .write_all(ca.as_bytes())
                .expect("curl reads the certificate");
        }
        let output = child.wait_with_output().expect("curl ends");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, code) = text.rsplit_once('\n').expect("the code is the last line");
        (code.parse().expect("a number"), body.to_owned())
    }

    fn value(&self, path: &str) -> (u16, Value) {
        let (code, body) = self.curl(path);
        // Where nothing is registered the answer is plain text.
        (code, serde_json::from_str(&body).unwrap_or(Value::Null))
    }

    fn get(&self, path: &str) -> Value {
        let (code, value) = self.value(path);
        json!({ "code": code, "answer": essence(&value) })
    }

    fn next_page(&self, path: &str) -> Value {
        let (_, page) = self.value(path);
        let next = page["metadata"]["continue"]
            .as_str()
            .expect("there is more");
        self.get(&format!("{path}&continue={next}"))
    }

    fn version(&self, path: &str) -> String {
        let (_, list) = self.value(path);
        let version = list["metadata"]["resourceVersion"].as_str();
        version.expect("a list has a version").to_owned()
    }

    /// Types and names of a watch's events, or the refusal in whichever form it came.
    fn watch(&self, path: &str) -> Value {
        let (_, body) = self.curl(path);
        let mut events = Vec::new();
        for line in body.lines().filter(|line| !line.trim().is_empty()) {
            let event: Value = serde_json::from_str(line).expect("a line is an event");
            match event["kind"].as_str().or(event["type"].as_str()) {
                Some("BOOKMARK") => {}
                Some("Status") => events.push(json!(event["code"])),
                Some("ERROR") => events.push(json!(event["object"]["code"])),
                _ => events.push(json!([event["type"], event["object"]["metadata"]["name"]])),
            }
        }
        json!(events)
    }
}

/// What an agent looks at.
fn essence(value: &Value) -> Value {
    match value["kind"].as_str() {
        Some("Status") => json!({ "reason": value["reason"], "code": value["code"] }),
        Some(kind) if kind.ends_with("List") => {
            let items = value["items"].as_array().cloned().unwrap_or_default();
            let names: Vec<&Value> = items.iter().map(|item| &item["metadata"]["name"]).collect();
            // Some servers write an empty one where there is no more.
            let next = value["metadata"]["continue"].as_str();
            json!({
                "kind": kind, "apiVersion": value["apiVersion"], "names": names,
                "more": next.is_some_and(|next| !next.is_empty()),
            })
        }
        _ => {
            let spec = &value["spec"];
            json!({
                "name": value["metadata"]["name"], "status": value["status"],
                "type": spec["type"], "clusterIPs": spec["clusterIPs"],
                "families": spec["ipFamilies"], "policy": spec["externalTrafficPolicy"],
            })
        }
    }
}
