//! The server asked over plain sockets: what an agent relies on, and each fault.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Act, ApiServer, Break, Fault, Refusal, Verb};

const SERVICES: &str = "/api/v1/services";

fn server() -> (ApiServer, String) {
    let server = ApiServer::start([127, 0, 0, 1].into()).expect("loopback has free ports");
    let token = server.admin();
    (server, token)
}

fn open(server: &ApiServer, token: &str, method: &str, path: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).expect("the server listens");
    let limit = Some(Duration::from_secs(10));
    stream
        .set_read_timeout(limit)
        .expect("a timeout above zero");
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/merge-patch+json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("the server reads");
    stream
}

/// Status, head and body of an answer that is whole.
fn ask(server: &ApiServer, token: &str, method: &str, path: &str, body: &str) -> (u16, Value) {
    let mut reader = BufReader::new(open(server, token, method, path, body));
    let (code, head) = head(&mut reader);
    let length = head
        .iter()
        .find_map(|line| line.strip_prefix("Content-Length: "));
    let length = length.and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut text = vec![0; length];
    reader.read_exact(&mut text).expect("the whole body");
    (code, serde_json::from_slice(&text).expect("JSON"))
}

fn head(reader: &mut impl BufRead) -> (u16, Vec<String>) {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a head");
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim_end().to_owned());
    }
    let code = lines
        .first()
        .and_then(|line| line.split(' ').nth(1)?.parse().ok());
    (code.unwrap_or(0), lines)
}

/// A watch, read event by event.
struct Stream(BufReader<TcpStream>);

impl Stream {
    fn open(server: &ApiServer, token: &str, path: &str) -> Stream {
        let mut reader = BufReader::new(open(server, token, "GET", path, ""));
        assert_eq!(head(&mut reader).0, 200, "{path}");
        Stream(reader)
    }

    /// The next event; `None` at the end, in order or not.
    fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.0.read_line(&mut line).ok()?;
        let len = usize::from_str_radix(line.trim(), 16)
            .ok()
            .filter(|len| *len > 0)?;
        let mut chunk = vec![0; len + 2];
        self.0.read_exact(&mut chunk).ok()?;
        serde_json::from_slice(&chunk).ok()
    }

    /// Type and name of the next event that is no bookmark.
    fn told(&mut self) -> (String, String) {
        loop {
            let event = self.next().expect("an event");
            let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            if event["type"] != "BOOKMARK" {
                return (
                    word(&event["type"]),
                    word(&event["object"]["metadata"]["name"]),
                );
            }
        }
    }
}

fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": name, "namespace": "default" },
        "spec": { "type": "LoadBalancer", "ports": [{ "port": 80 }] },
        "status": { "loadBalancer": { "ingress": [{ "ip": "192.0.2.1" }] } },
    })
}

fn pair(kind: &str, name: &str) -> (String, String) {
    (kind.to_owned(), name.to_owned())
}

#[test]
fn objects_are_made_changed_and_deleted() {
    let (server, token) = server();
    let path = "/api/v1/namespaces/default/services";
    let text = service("web").to_string();
    let (code, made) = ask(&server, &token, "POST", path, &text);
    assert_eq!(code, 201);
    // The address is given by the server, and the status is not taken from this request.
    assert!(made["spec"]["clusterIPs"][0].is_string());
    assert_eq!(made["status"], json!({ "loadBalancer": {} }));
    assert_eq!(ask(&server, &token, "POST", path, &text).0, 409);
    let one = format!("{path}/web");
    let patch = r#"{"spec":{"externalTrafficPolicy":"Local"}}"#;
    let (_, patched) = ask(&server, &token, "PATCH", &one, patch);
    assert!(patched["spec"]["healthCheckNodePort"].is_u64());
    let (_, with_status) = ask(&server, &token, "PUT", &format!("{one}/status"), &text);
    assert_eq!(with_status["status"], service("web")["status"]);
    assert_eq!(with_status["spec"], patched["spec"]);
    assert_eq!(
        ask(&server, &token, "PUT", &one, &made.to_string()).0,
        409,
        "an old version"
    );
    assert_eq!(ask(&server, &token, "DELETE", &one, "").0, 200);
    assert_eq!(ask(&server, &token, "GET", &one, "").0, 404);
}

#[test]
fn a_finalizer_holds_an_object() {
    let (server, _) = server();
    let mut web = service("web");
    web["metadata"]["finalizers"] = json!(["test/hold"]);
    server.apply(&web).expect("a new object");
    server.delete(&web).expect("it is there");
    let object = || server.store().object("v1", "Service", "default", "web");
    assert!(object().expect("held")["metadata"]["deletionTimestamp"].is_string());
    server
        .apply(&service("web"))
        .expect("without its finalizer");
    assert_eq!(object(), None);
}

#[test]
fn a_list_comes_in_pages_of_one_moment() {
    let (server, token) = server();
    for number in 0..7 {
        server
            .apply(&service(&format!("s{number}")))
            .expect("a new object");
    }
    let mut next = String::new();
    let mut names = Vec::new();
    let mut versions = Vec::new();
    loop {
        let path = format!("{SERVICES}?limit=3{next}");
        let (_, page) = ask(&server, &token, "GET", &path, "");
        // What is deleted meanwhile belongs to the list's own moment all the same.
        let _ = server.delete(&service("s6"));
        for item in page["items"].as_array().expect("items") {
            names.push(
                item["metadata"]["name"]
                    .as_str()
                    .expect("a name")
                    .to_owned(),
            );
        }
        versions.push(page["metadata"]["resourceVersion"].clone());
        match page["metadata"]["continue"].as_str() {
            Some(token) => next = format!("&continue={token}"),
            None => break,
        }
    }
    assert_eq!(names, ["s0", "s1", "s2", "s3", "s4", "s5", "s6"]);
    versions.dedup();
    assert_eq!(versions.len(), 1);
    let (_, page) = ask(&server, &token, "GET", &format!("{SERVICES}?limit=3"), "");
    let next = page["metadata"]["continue"]
        .as_str()
        .expect("more")
        .to_owned();
    server.compact();
    let path = format!("{SERVICES}?limit=3&continue={next}");
    assert_eq!(ask(&server, &token, "GET", &path, "").0, 410);
}

#[test]
fn a_watch_resumes_and_says_what_changed_for_its_selector() {
    let (server, token) = server();
    server.apply(&service("web")).expect("a new object");
    let version = server.store().version();
    server.apply(&service("other")).expect("a new object");
    let path = format!("{SERVICES}?watch=1&resourceVersion={version}");
    let mut all = Stream::open(&server, &token, &path);
    assert_eq!(all.told(), pair("ADDED", "other"));
    let path = format!("{SERVICES}?watch=1&fieldSelector=metadata.name%3Dweb");
    let mut one = Stream::open(&server, &token, &path);
    assert_eq!(one.told(), pair("ADDED", "web"));
    let path = format!("{SERVICES}?watch=1&labelSelector=tier%3Dedge");
    let mut labelled = Stream::open(&server, &token, &path);
    let mut web = service("web");
    web["metadata"]["labels"] = json!({ "tier": "edge" });
    server.apply(&web).expect("it is there");
    assert_eq!(one.told(), pair("MODIFIED", "web"));
    assert_eq!(labelled.told(), pair("ADDED", "web"));
    server.apply(&service("web")).expect("it is there");
    assert_eq!(labelled.told(), pair("DELETED", "web"));
    server.delete(&web).expect("it is there");
    assert_eq!(one.told(), pair("MODIFIED", "web"));
    assert_eq!(one.told(), pair("DELETED", "web"));
}

#[test]
fn bookmarks_and_initial_events_come_where_they_are_asked_for() {
    let (server, token) = server();
    server.configure(|settings| settings.bookmark_every = Duration::from_millis(20));
    server.apply(&service("web")).expect("a new object");
    let path = format!("{SERVICES}?watch=1&allowWatchBookmarks=true&resourceVersion=1000");
    let mut marked = Stream::open(&server, &token, &path);
    let kinds: Vec<Value> = (0..3)
        .filter_map(|_| Some(marked.next()?["type"].clone()))
        .collect();
    assert_eq!(kinds.last(), Some(&json!("BOOKMARK")));
    let path =
        format!("{SERVICES}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan");
    assert_eq!(ask(&server, &token, "GET", &path, "").0, 422);
    server.configure(|settings| settings.streaming_lists = true);
    let mut streamed = Stream::open(&server, &token, &path);
    assert_eq!(streamed.next().expect("an event")["type"], "ADDED");
    let end = streamed.next().expect("an event");
    let noted = &end["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"];
    assert_eq!(noted, "true");
}

#[test]
fn both_forms_of_gone() {
    let (server, token) = server();
    server.apply(&service("web")).expect("a new object");
    let version = server.store().version();
    server.compact();
    let path = format!("{SERVICES}?watch=1&resourceVersion={version}");
    let mut stream = Stream::open(&server, &token, &path);
    let event = stream.next().expect("an event");
    assert_eq!(
        (&event["type"], &event["object"]["code"]),
        (&json!("ERROR"), &json!(410))
    );
    assert_eq!(stream.next(), None);
    server.fault(Fault::on(Verb::Watch, Act::Refuse(Refusal::gone())).times(1));
    assert_eq!(ask(&server, &token, "GET", &path, "").0, 410);
    let future = format!("{SERVICES}?resourceVersion=99999999");
    let (code, status) = ask(&server, &token, "GET", &future, "");
    assert_eq!((code, &status["reason"]), (504, &json!("Timeout")));
}

#[test]
fn rules_decide_who_may_what() {
    let (server, admin) = server();
    let token = server.service_account("kube-system/agent");
    assert_eq!(ask(&server, &token, "GET", SERVICES, "").0, 403);
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": { "name": "agent" },
        "rules": [
            { "apiGroups": [""], "resources": ["services"], "verbs": ["list", "watch"] },
            { "apiGroups": [""], "resources": ["secrets"], "verbs": ["get"],
              "resourceNames": ["tor"] },
        ],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": { "name": "agent" },
        "roleRef": { "kind": "ClusterRole", "name": "agent" },
        "subjects": [{ "kind": "ServiceAccount", "name": "agent", "namespace": "kube-system" }],
    });
    server.apply(&role).expect("a new object");
    server.apply(&binding).expect("a new object");
    let secret = |name: &str| format!("/api/v1/namespaces/m/secrets/{name}");
    for (method, path, code) in [
        ("GET", SERVICES, 200),
        ("GET", "/api/v1/services?limit=1", 200),
        ("GET", "/api/v1/nodes", 403),
        ("GET", "/api/v1/namespaces/default/services/web", 403),
        ("GET", &secret("tor"), 404),
        ("GET", &secret("other"), 403),
        ("DELETE", &secret("tor"), 403),
    ] {
        assert_eq!(
            ask(&server, &token, method, path, "").0,
            code,
            "{method} {path}"
        );
    }
    server.revoke();
    assert_eq!(ask(&server, &token, "GET", SERVICES, "").0, 401);
    assert_eq!(ask(&server, &admin, "GET", SERVICES, "").0, 401);
}

#[test]
fn refusals_meet_whom_they_are_meant_for() {
    let (server, token) = server();
    server.fault(
        Fault::on(Verb::List, Act::Refuse(Refusal::busy(3)))
            .of("services")
            .times(1),
    );
    let mut reader = BufReader::new(open(&server, &token, "GET", "/api/v1/nodes", ""));
    assert_eq!(head(&mut reader).0, 200);
    let mut reader = BufReader::new(open(&server, &token, "GET", SERVICES, ""));
    let (code, lines) = head(&mut reader);
    assert_eq!(code, 429);
    assert!(lines.contains(&"Retry-After: 3".to_owned()), "{lines:?}");
    assert_eq!(ask(&server, &token, "GET", SERVICES, "").0, 200);
}

#[test]
fn answers_break_off_and_drip() {
    let (server, token) = server();
    server.apply(&service("web")).expect("a new object");
    for act in [Act::Cut, Act::HalfClose] {
        server.fault(Fault::on(Verb::List, act).times(1));
        let mut text = Vec::new();
        let mut stream = open(&server, &token, "GET", SERVICES, "");
        // After a reset what came before may be lost with it.
        let _ = stream.read_to_end(&mut text);
        assert!(serde_json::from_slice::<Value>(&text).is_err());
    }
    server.fault(Fault::on(Verb::List, Act::Drip(50, Duration::from_millis(1))).times(1));
    assert_eq!(ask(&server, &token, "GET", SERVICES, "").0, 200);
    server.fault(Fault::on(Verb::List, Act::Stall));
    let mut stream = open(&server, &token, "GET", SERVICES, "");
    let limit = Some(Duration::from_millis(200));
    stream
        .set_read_timeout(limit)
        .expect("a timeout above zero");
    let started = Instant::now();
    assert!(stream.read(&mut [0; 1]).is_err());
    assert!(started.elapsed() >= Duration::from_millis(150));
    server.heal();
    assert_eq!(ask(&server, &token, "GET", SERVICES, "").0, 200);
}

#[test]
fn open_watches_are_struck() {
    let (server, token) = server();
    let path = format!("{SERVICES}?watch=1");
    for (how, is_told) in [
        (Break::Gone, true),
        (Break::Error, true),
        (Break::Reset, false),
        (Break::HalfClose, false),
        (Break::End, false),
    ] {
        let mut stream = Stream::open(&server, &token, &path);
        server.strike(how);
        let event = stream.next();
        assert_eq!(
            event.is_some_and(|event| event["type"] == "ERROR"),
            is_told,
            "{how:?}"
        );
        assert_eq!(stream.next(), None, "{how:?}");
    }
}

#[test]
fn a_restart_keeps_the_port_and_the_objects() {
    let (server, token) = server();
    server.apply(&service("web")).expect("a new object");
    let mut stream = Stream::open(&server, &token, &format!("{SERVICES}?watch=1"));
    assert_eq!(stream.told(), pair("ADDED", "web"));
    server.stop();
    assert_eq!(stream.next(), None);
    assert!(TcpStream::connect(server.address()).is_err());
    server.start_again().expect("the port is still ours");
    let (_, list) = ask(&server, &token, "GET", SERVICES, "");
    assert_eq!(list["items"][0]["metadata"]["name"], "web");
}
