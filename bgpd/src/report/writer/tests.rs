//! The requests, against a server that answers by a function.

use std::rc::Rc;

use cluster::object::ObjectName;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

use super::super::tests::{announced, held_back, reality, reality_of};
use super::*;

/// From `METHOD PATH`, and how often it was asked before, to status and body.
type Answer = fn(&str, usize) -> (u16, Value);

/// What was asked, in its order.
type Log = Rc<std::cell::RefCell<Vec<String>>>;

const STATUSES: &str = "/apis/metallb.io/v1beta1/namespaces/metallb-system/servicebgpstatuses";
const EVENTS: &str = "/api/v1/namespaces/shop/events";

/// A 404 as the API server words it.
fn not_found() -> (u16, Value) {
    (404, failure(404, "NotFound"))
}

fn failure(code: u16, reason: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "code": code, "reason": reason, "message": reason,
    })
}

async fn serve(stream: TcpStream, answer: Answer, log: Log) {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut request, mut line, mut size) = (String::new(), String::new(), 0);
        while stream.read_line(&mut line).await.unwrap_or(0) > 2 {
            if request.is_empty() {
                let words: Vec<&str> = line.split([' ', '?']).take(2).collect();
                request = words.join(" ");
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                size = value.trim().parse().expect("a number");
            }
            line.clear();
        }
        if request.is_empty() {
            return;
        }
        let mut body = vec![0; size];
        stream.read_exact(&mut body).await.expect("a body");
        let is_same = |known: &&String| **known == request;
        let before = log.borrow().iter().filter(is_same).count();
        let (code, value) = answer(&request, before);
        log.borrow_mut().push(request);
        let text = value.to_string();
        let head = format!(
            "HTTP/1.1 {code} x\r\ncontent-length: {}\r\n\r\n",
            text.len()
        );
        let reply = head + &text;
        stream.write_all(reply.as_bytes()).await.expect("heard");
    }
}

/// Runs `turns` with a writer whose server answers so; what was asked.
fn asked(
    name: &str,
    answer: Answer,
    turns: impl AsyncFnOnce(&mut Writer, &Log) + 'static,
) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let log = Log::default();
    let told = log.clone();
    let name = format!("wayfare-writer-{name}-{}", std::process::id());
    let kubeconfig = std::env::temp_dir().join(name);
    LocalSet::new().block_on(&runtime, async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let server = format!("http://{}", listener.local_addr().expect("bound"));
        let text = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{ "name": "it", "cluster": { "server": server } }],
            "contexts": [{ "name": "it", "context": { "cluster": "it", "user": "it" } }],
            "users": [{ "name": "it", "user": {} }],
        });
        std::fs::write(&kubeconfig, text.to_string()).expect("writable");
        let heard = log.clone();
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::task::spawn_local(serve(stream, answer, heard.clone()));
            }
        });
        let mut writer = Writer::new(ReportConfig {
            kubeconfig: Some(kubeconfig.clone()),
            node: "node-1".to_owned(),
            metallb_status: false,
            calico_status: false,
            events: false,
        });
        turns(&mut writer, &log).await;
        std::fs::remove_file(kubeconfig).expect("ours");
    });
    told.take()
}

/// The methods of what was asked, in its order.
fn methods(asked: &[String]) -> Vec<&str> {
    let first = |line: &'_ String| line.find(' ').unwrap_or(line.len());
    asked.iter().map(|line| &line[..first(line)]).collect()
}

#[test]
fn a_status_object_that_somebody_deleted_is_made_again() {
    let answer = |request: &str, before: usize| match request.split_once(' ') {
        // The second status is for an object that is no longer there.
        Some(("PATCH", _)) if before == 1 => not_found(),
        Some(("GET", _)) => (200, json!({ "items": [] })),
        _ => (200, json!({})),
    };
    let asked = asked("deleted", answer, async |writer, _| {
        writer.config.metallb_status = true;
        writer.turn(&reality(announced(&["10.0.0.1"]))).await;
        writer.turn(&reality(announced(&["2001:db8::2"]))).await;
        assert!(writer.off.is_empty(), "the others can be written");
        writer.turn(&reality(announced(&["2001:db8::2"]))).await;
    });
    let wanted = ["GET", "POST", "PATCH", "PATCH", "POST", "PATCH"];
    assert_eq!(methods(&asked), wanted, "{asked:?}");
}

#[test]
fn after_a_refusal_what_is_there_is_listed_again() {
    let answer = |request: &str, _: usize| match request.split_once(' ') {
        Some(("GET", _)) => (200, json!({ "items": [] })),
        _ => (403, failure(403, "Forbidden")),
    };
    let asked = asked("refused", answer, async |writer, _| {
        writer.config.metallb_status = true;
        writer.turn(&reality(announced(&["10.0.0.1"]))).await;
        assert!(writer.is_off("servicebgpstatuses"));
        writer.off.clear();
        writer.turn(&reality(announced(&["10.0.0.1"]))).await;
    });
    assert_eq!(asked[2], format!("GET {STATUSES}"));
    assert_eq!(methods(&asked), ["GET", "POST", "GET", "POST"]);
}

/// The API server forbids new objects in a namespace that is being deleted.
#[test]
fn a_namespace_that_ends_costs_its_own_events_only() {
    let answer = |request: &str, _: usize| {
        let mut terminating = failure(403, "Forbidden");
        terminating["details"] = json!({ "causes": [{ "reason": "NamespaceTerminating" }] });
        match request {
            "POST /api/v1/namespaces/ending/events" => (403, terminating),
            "POST /api/v1/namespaces/gone/events" => not_found(),
            _ => (200, json!({ "metadata": { "uid": "u" } })),
        }
    };
    let asked = asked("ending", answer, async |writer, _| {
        writer.config.events = true;
        let names = ["ending", "gone", "shop"].map(|namespace| ObjectName::new(namespace, "web"));
        let all =
            |service: &_| reality_of(names.iter().map(|n| (n.clone(), Clone::clone(service))));
        writer.turn(&all(&held_back("no endpoint is ready"))).await;
        writer.turn(&all(&announced(&["10.0.0.1"]))).await;
        assert!(writer.off.is_empty() && writer.news.is_empty());
    });
    let last = asked.last().map(String::as_str);
    assert_eq!(last, Some(format!("POST {EVENTS}").as_str()), "{asked:?}");
    assert_eq!(asked.len(), 6);
}

#[test]
fn rights_that_are_missing_are_told_once() {
    let answer = |request: &str, _: usize| match request.split_once(' ') {
        Some(("POST", _)) => (403, failure(403, "Forbidden")),
        _ => (200, json!({ "metadata": { "uid": "u" } })),
    };
    let asked = asked("rights", answer, async |writer, _| {
        writer.config.events = true;
        writer
            .turn(&reality(held_back("no endpoint is ready")))
            .await;
        writer.turn(&reality(announced(&["10.0.0.1"]))).await;
        assert!(writer.is_off("events"));
        writer
            .turn(&reality(held_back("no endpoint is ready")))
            .await;
    });
    assert_eq!(methods(&asked), ["GET", "POST"]);
}

/// Calico without its API server has `crd.projectcalico.org/v1`, one with native `v3` has not.
#[test]
fn calicos_objects_are_found_in_the_group_that_is_served() {
    let answer = |request: &str, _: usize| match request.split_once(' ') {
        Some(("GET", path)) if path.contains("/apis/projectcalico.org/v3/") => {
            let spec = json!({
                "node": "node-1", "classes": ["BGP"], "updatePeriodSeconds": 10,
            });
            let item = json!({ "metadata": { "name": "mine" }, "spec": spec });
            (200, json!({ "items": [item] }))
        }
        Some(("GET", _)) => not_found(),
        _ => (200, json!({})),
    };
    let asked = asked("calico", answer, async |writer, _| {
        writer.config.calico_status = true;
        writer.turn(&reality(announced(&[]))).await;
        assert!(!writer.is_off("caliconodestatuses"));
    });
    let last = "PATCH /apis/projectcalico.org/v3/caliconodestatuses/mine/status";
    assert_eq!(asked.last().map(String::as_str), Some(last), "{asked:?}");
}
