//! The binary from the outside: exit codes, streams, filters, help, against a daemon that the test
//! itself plays over the real socket server.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use ctl::server::{Access, Server};
use proto_codec::control::view::{Notice, Path as BgpPath, PathKind, Route};
use proto_codec::control::{Family, Fault, Head, Hello, Request, Tail, View};

fn wayfare(socket: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wayfare"));
    command.arg("--socket").arg(socket).args(args);
    command
}

fn run(socket: &Path, args: &[&str]) -> Output {
    wayfare(socket, args).output().unwrap()
}

fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).unwrap()
}

fn dir(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("wayfare-cli-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

fn head() -> Head {
    Head {
        family: Some(Family::Ipv4Unicast),
        router_id: "10.0.0.1".parse().unwrap(),
        asn: 65001,
        table_version: 1,
        default_local_pref: 100,
        now_epoch_ms: 0,
        host: String::new(),
    }
}

fn route(number: u32) -> View {
    let address = std::net::Ipv4Addr::from(0x0a00_0000 + (number << 8));
    let next_hop = "10.0.0.2".parse().unwrap();
    View::Route(Route {
        prefix: format!("{address}/24").parse().unwrap(),
        version: 1,
        paths: vec![BgpPath {
            kind: PathKind::External,
            peer: None,
            origin: 0,
            as_path: "65002".to_owned(),
            next_hop,
            next_hop_link_local: None,
            med: None,
            local_pref: None,
            weight: 0,
            valid: true,
            best: true,
            multipath: false,
            stale: false,
            rejected: false,
            reason: None,
            path_id_rx: 0,
            path_id_tx: 0,
            attrs: None,
        }],
    })
}

/// Plays a daemon with a table of `rows` routes while `operator` runs.
fn with_daemon<T: Send + 'static>(
    name: &str,
    rows: u32,
    operator: impl FnOnce(&Path) -> T + Send + 'static,
) -> T {
    let socket = dir(name).join("bgpd.sock");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let result = runtime.block_on(async {
        let hello = Hello::new("bgpd", "0.1.0");
        let mut server = Server::bind(&socket, hello, Access::default()).unwrap();
        let path = socket.clone();
        let mut operator = tokio::task::spawn_blocking(move || operator(&path));
        loop {
            tokio::select! {
                call = server.recv() => {
                    tokio::spawn(answer(call, rows));
                }
                done = &mut operator => return done.unwrap(),
            }
        }
    });
    std::fs::remove_dir_all(dir(name)).unwrap();
    result
}

async fn answer(call: ctl::server::Call, rows: u32) {
    let replies = call.replies;
    match call.request {
        Request::ShowBgpTable {
            family: Family::Ipv4Unicast,
            ..
        } => {
            let _ = replies.head(head()).await;
            for number in 0..rows {
                if replies.row(route(number)).await.is_err() {
                    return;
                }
            }
            replies
                .finish(Tail {
                    routes: rows.into(),
                    paths: rows.into(),
                })
                .await;
        }
        Request::Monitor { .. } | Request::Drain { .. } => {
            let _ = replies.row(notice("one")).await;
            replies.finish(Tail::default()).await;
        }
        _ => replies.fail(Fault::not_found("Network not in table")).await,
    }
}

fn notice(text: &str) -> View {
    View::Notice(Notice {
        subject: None,
        text: text.to_owned(),
    })
}

#[test]
fn a_daemon_that_is_not_there_is_69() {
    let output = run(
        Path::new("/nonexistent/bgpd.sock"),
        &["show", "bgp", "summary"],
    );
    assert_eq!(output.status.code(), Some(69));
    let message = text(&output.stderr);
    assert!(message.contains("Is the daemon running?"), "{message}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_line_that_is_no_command_is_2_and_says_where() {
    let output = run(Path::new("/nonexistent"), &["show", "bgp", "sumary"]);
    assert_eq!(output.status.code(), Some(2));
    let message = text(&output.stderr);
    assert!(
        message.contains("% Unknown command: show bgp sumary"),
        "{message}"
    );
    assert!(message.contains("did you mean `summary`?"), "{message}");
    let output = run(
        Path::new("/nonexistent"),
        &["show", "bgp", "|", "grep", "x"],
    );
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn help_and_completion_need_no_daemon() {
    let output = run(Path::new("/nonexistent"), &["show", "bgp", "?"]);
    assert!(output.status.success());
    let help = text(&output.stdout);
    assert!(help.contains("  summary "), "{help}");
    assert!(help.contains("  <cr> "), "{help}");
    let output = run(
        Path::new("/nonexistent"),
        &["complete-words", "show", "bgp", "s"],
    );
    assert!(text(&output.stdout).starts_with("summary\t"));
    let output = run(Path::new("/nonexistent"), &["man"]);
    assert!(text(&output.stdout).starts_with(".TH WAYFARE 1"));
}

#[test]
fn a_fault_of_the_daemon_is_1() {
    let output = with_daemon("fault", 0, |socket| {
        run(socket, &["show", "bgp", "10.0.0.0/8"])
    });
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), "% Network not in table\n");
}

/// Programs that ask for JSON get JSON, as from FRR; the exit code says that the answer is one.
#[test]
fn what_is_absent_is_json_when_json_was_asked() {
    let cases: [(&[&str], &str); 3] = [
        (&["show", "bgp", "10.0.0.0/8", "json"], "{}\n"),
        (
            &["show", "bgp", "neighbors", "10.0.0.9", "json"],
            "{\"bgpNoSuchNeighbor\":true}\n",
        ),
        (
            &["show", "bgp", "neighbors", "10.0.0.9", "routes", "json"],
            "{\"warning\":\"No such neighbor in this view/vrf\"}\n",
        ),
    ];
    for (words, wanted) in cases {
        let output = with_daemon("absent", 0, move |socket| run(socket, words));
        assert_eq!(text(&output.stdout), wanted);
        assert_eq!(output.status.code(), Some(0));
    }
    let output = with_daemon("absent", 0, |socket| {
        run(socket, &["pool", "use", "10.0.0.9", "json"])
    });
    assert_eq!(
        output.status.code(),
        Some(1),
        "what was not done is a failure"
    );
}

#[test]
fn a_table_is_streamed_and_filtered() {
    let rows = 20_000;
    let output = with_daemon("table", rows, |socket| {
        run(
            socket,
            &[
                "show", "bgp", "ipv4", "unicast", "|", "include", "*>", "|", "count",
            ],
        )
    });
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), format!("Count: {rows}\n"));
}

#[test]
fn json_of_both_families_is_one_document() {
    let output = with_daemon("json", 3, |socket| run(socket, &["show", "bgp", "--json"]));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let table: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(table["routes"].as_object().unwrap().len(), 3);
    assert_eq!(table["routes"]["10.0.1.0/24"][0]["bestpath"], true);
    assert_eq!(table["totalRoutes"], 3);
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let (line, status) = with_daemon("pipe", 200_000, |socket| {
        let mut child = wayfare(socket, &["show", "bgp", "ipv4", "unicast"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        drop(reader);
        let mut errors = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut errors)
            .unwrap();
        assert_eq!(errors, "");
        (line, child.wait().unwrap())
    });
    assert!(line.starts_with("BGP table version is 1"), "{line}");
    assert_eq!(status.code(), Some(0));
}

#[test]
fn commands_repeat_and_stop_at_the_first_failure() {
    let output = with_daemon("repeat", 2, |socket| {
        run(
            socket,
            &[
                "-c",
                "sh bgp ipv4 uni | count",
                "-c",
                "drain",
                "-c",
                "bogus",
                "-c",
                "list",
            ],
        )
    });
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output.stdout), "Count: 13\none\n");
}

#[test]
fn hexadecimal_text_is_read_from_standard_input() {
    decodes_a_keepalive(&["decode", "hex", "-", "--format", "json"]);
    decodes_a_keepalive(&["decode", "hex", "-", "json"]);
}

fn decodes_a_keepalive(words: &[&str]) {
    let mut child = wayfare(Path::new("/nonexistent"), words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, b"ffffffffffffffffffffffffffffffff001304\n").unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(text(&output.stdout).contains("\"type\":\"KEEPALIVE\""));
}
