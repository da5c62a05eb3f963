//! The text form read back strictly, and the exporter against clients of every kind.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::{Ask, Collector, Exporter, Metric, exposition, strict};

const STATE: Metric = Metric::gauge("wayfare_state", "The state.");
const SENT: Metric = Metric::counter("wayfare_sent_total", "What was sent, \\ and more.");

fn families() -> Vec<proto_codec::control::view::MetricFamily> {
    let mut collector = Collector::default();
    collector.count(&SENT, &[("who", "a \"b\" \\ c\nd")], 7);
    collector.add(&STATE, &[], 0.5);
    collector.count(&SENT, &[("who", "b"), ("empty", "")], 1 << 40);
    collector.finish()
}

fn text() -> String {
    let mut text = String::new();
    for family in families() {
        exposition(&family, &mut text);
    }
    text
}

#[test]
fn what_is_written_reads_back_whatever_labels_hold() {
    let samples = strict::read(&text()).expect("strictly right");
    assert_eq!(samples.len(), 3, "samples of a family stand together");
    assert_eq!(samples[0].label("who"), "a \"b\" \\ c\nd");
    assert!((samples[1].value - 1_099_511_627_776.0).abs() < 0.5);
    assert_eq!(samples[1].labels.len(), 1, "an empty label is left out");
    assert_eq!(samples[2].name, "wayfare_state");
}

#[test]
fn the_strict_reader_finds_what_it_is_for() {
    let head = "# HELP wayfare_a A.\n# TYPE wayfare_a gauge\n";
    let wrong = [
        "wayfare_a 1\n".to_owned(),
        format!("{head}wayfare_a 1"),
        format!("{head}wayfare_a{{x=\"1\",x=\"2\"}} 1\n"),
        format!("{head}wayfare_a{{x=\"1\"}} 1\nwayfare_a{{x=\"1\"}} 2\n"),
        format!("{head}wayfare_a{{x=\"\\t\"}} 1\n"),
        format!("{head}wayfare_a{{1x=\"1\"}} 1\n"),
        format!("{head}wayfare_a one\n"),
        format!("{head}{head}wayfare_a 1\n"),
        head.to_owned(),
        "# TYPE wayfare_a gauge\nwayfare_a 1\n".to_owned(),
        "# HELP wayfare_a A.\n# TYPE wayfare_a counter\nwayfare_a 1\n".to_owned(),
        "# HELP wayfare_a_total A.\n# TYPE wayfare_a_total counter\nwayfare_a_total -1\n"
            .to_owned(),
    ];
    for text in wrong {
        assert!(strict::read(&text).is_err(), "{text}");
    }
    assert!(strict::read(&format!("{head}wayfare_a 1\n")).is_ok());
}

/// Moved to another address of the same port: the old one has let go of it before.
#[tokio::test]
async fn whoever_is_stopped_has_let_go_of_its_port() {
    for _ in 0..20 {
        let (sender, _asks) = mpsc::channel(4);
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let first = Exporter::start(any, sender.clone()).expect("a port is free");
        let everywhere = SocketAddr::from(([0, 0, 0, 0], first.address().port()));
        first.stop().await;
        let second = Exporter::start(everywhere, sender).expect("the port is free again");
        second.stop().await;
    }
}

/// An exporter whose daemon answers as `ready` says; `None`: it does not answer at all.
fn exporter(ready: Option<Result<(), String>>) -> (Exporter, mpsc::Receiver<Ask>) {
    let (sender, mut receiver) = mpsc::channel(4);
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let exporter = Exporter::start(any, sender).expect("a port is free");
    let Some(ready) = ready else {
        return (exporter, receiver);
    };
    let (_, unused) = mpsc::channel(1);
    std::thread::spawn(move || {
        while let Some(ask) = receiver.blocking_recv() {
            match ask {
                Ask::Metrics(reply) => drop(reply.send(families())),
                Ask::Ready(reply) => drop(reply.send(ready.clone())),
            }
        }
    });
    (exporter, unused)
}

fn talk(exporter: &Exporter, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(exporter.address()).expect("it listens");
    stream.write_all(request).expect("it reads");
    let mut answer = Vec::new();
    // A reset after the answer (what was not read of a request) is no matter here.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).expect("text")
}

fn get(exporter: &Exporter, path: &str) -> (String, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let answer = talk(exporter, request.as_bytes());
    let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
    (head.to_owned(), body.to_owned())
}

#[test]
fn a_scrape_is_served_whole() {
    let (exporter, _receiver) = exporter(Some(Ok(())));
    let (head, body) = get(&exporter, "/metrics?x=1");
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert!(head.contains("version=0.0.4"), "{head}");
    assert!(head.contains(&format!("Content-Length: {}", body.len())));
    assert_eq!(body, text());
    assert!(get(&exporter, "/healthz").0.contains(" 200 "));
    assert!(get(&exporter, "/readyz").0.contains(" 200 "));
    assert!(get(&exporter, "/other").0.contains(" 404 "));
    let head = talk(&exporter, b"HEAD /metrics HTTP/1.0\r\n\r\n");
    assert!(head.ends_with("\r\n\r\n"), "no body: {head}");
}

#[test]
fn one_that_is_not_ready_lives_all_the_same() {
    let (exporter, _receiver) = exporter(Some(Err("it stops".to_owned())));
    assert!(get(&exporter, "/healthz").0.contains(" 200 "));
    let (head, body) = get(&exporter, "/readyz");
    assert!(head.contains(" 503 "), "{head}");
    assert_eq!(body, "it stops\n");
}

#[test]
fn what_is_no_request_is_refused() {
    let (exporter, _receiver) = exporter(Some(Ok(())));
    let cases: [(&[u8], &str); 5] = [
        (b"POST /metrics HTTP/1.1\r\n\r\n", " 405 "),
        (b"\xff\xfe\r\n\r\n", " 400 "),
        (b"GET metrics HTTP/1.1\r\n\r\n", " 400 "),
        (b"GET / HTTP/2.0\r\n\r\n", " 400 "),
        (&[b'x'; 20_000], " 431 "),
    ];
    for (request, status) in cases {
        let answer = talk(&exporter, request);
        assert!(answer.contains(status), "{status}: {answer}");
    }
}

/// Sixteen that say nothing keep nobody out for longer than their time, and take no more room.
#[test]
fn connections_are_bounded() {
    let (exporter, _receiver) = exporter(Some(Ok(())));
    let idle: Vec<TcpStream> = (0..16)
        .map(|_| TcpStream::connect(exporter.address()).expect("it listens"))
        .collect();
    let begun = Instant::now();
    let mut refused = false;
    while !refused && begun.elapsed() < Duration::from_secs(4) {
        refused = talk(&exporter, b"").contains(" 503 ");
    }
    assert!(refused, "the seventeenth is told so");
    drop(idle);
    let served = || get_if(&exporter).is_some_and(|text| text.contains(" 200 "));
    while !served() {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "places come back"
        );
    }
}

fn get_if(exporter: &Exporter) -> Option<String> {
    Some(talk(exporter, b"GET /healthz HTTP/1.1\r\n\r\n")).filter(|text| !text.is_empty())
}

#[test]
fn a_daemon_that_hangs_is_said_to() {
    let (exporter, receiver) = exporter(None);
    let (head, _) = get(&exporter, "/healthz");
    assert!(head.contains(" 503 "), "{head}");
    drop(receiver);
    let (head, _) = get(&exporter, "/metrics");
    assert!(head.contains(" 503 "), "{head}");
}
