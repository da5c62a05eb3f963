//! Commands that concern every daemon, against none, one and two that the test plays: who is asked,
//! how answers are told apart, and what counts when one says no.

use std::io::Write;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ctl::server::{Access, Call, Server};
use proto_codec::control::frame;
use proto_codec::control::view::{Event, EventKind, MetricFamily, MetricKind, MetricSample};
use proto_codec::control::view::{PlanChange, PlanImpact, Version};
use proto_codec::control::{Fault, FaultKind, Hello, MonitorTopic, Request, Tail, View};
use serde_json::Value;

fn run(socket: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wayfare"));
    command.arg("--socket").arg(socket).args(words);
    command.output().expect("it runs")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&out(output)).unwrap_or_else(|why| panic!("{why}: {}", out(output)))
}

/// Plays `daemons` in a directory of their own while `operator` works with it.
fn with(
    name: &str,
    daemons: &'static [&'static str],
    operator: impl FnOnce(&Path) + Send + 'static,
) {
    let dir: PathBuf =
        std::env::temp_dir().join(format!("wayfare-both-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        for daemon in daemons {
            let hello = Hello::new(daemon, "0.1.0");
            let path = dir.join(format!("{daemon}.sock"));
            let mut server = Server::bind(&path, hello, Access::default()).expect("it binds");
            tokio::spawn(async move {
                loop {
                    let call = server.recv().await;
                    tokio::spawn(answer(daemon, call));
                }
            });
        }
        let path = dir.clone();
        let outcome = tokio::task::spawn_blocking(move || operator(&path)).await;
        outcome.expect("the operator is content");
    });
    std::fs::remove_dir_all(&dir).expect("nobody else is there");
}

async fn answer(daemon: &str, call: Call) {
    let replies = call.replies;
    let row = match call.request {
        Request::ShowVersion => View::Version(Version {
            daemon: daemon.to_owned(),
            version: "0.1.0".to_owned(),
            pid: 1,
            uptime_ms: 0,
            config: format!("/etc/wayfare/{daemon}.toml"),
            config_epoch_ms: None,
        }),
        Request::ShowMetrics => View::MetricFamily(MetricFamily {
            name: format!("wayfare_{daemon}_up"),
            help: "It is.".to_owned(),
            kind: MetricKind::Gauge,
            samples: vec![MetricSample {
                labels: Vec::new(),
                value: 1.0,
            }],
        }),
        Request::Reload { check_only: true } => View::PlanChange(PlanChange {
            what: format!("something of {daemon}"),
            impact: PlanImpact::MayElect,
            neighbor: None,
            applied: false,
        }),
        Request::Reload { check_only: false } if daemon == "bgpd" => {
            let fault = Fault::new(FaultKind::BadConfig, "bgpd.toml: wrong");
            return replies.fail(fault).await;
        }
        Request::Reload { .. } => View::PlanChange(PlanChange {
            what: format!("something of {daemon}"),
            impact: PlanImpact::Hitless,
            neighbor: None,
            applied: true,
        }),
        Request::Monitor {
            topic: MonitorTopic::Log,
        } => View::Event(Event {
            epoch_ms: 0,
            kind: EventKind::Log,
            neighbor: None,
            prefix: None,
            text: format!("a line of {daemon}"),
        }),
        Request::ShowVrrp { .. } if daemon == "vrrpd" => {
            return replies.finish(Tail::default()).await;
        }
        other => {
            let text = format!("{daemon} was asked {other:?}");
            return replies.fail(Fault::new(FaultKind::Unsupported, text)).await;
        }
    };
    if replies.row(row).await.is_ok() {
        replies.finish(Tail::default()).await;
    }
}

#[test]
fn a_host_with_one_daemon_shows_just_that_one() {
    for daemon in [&["bgpd"], &["vrrpd"]] {
        with(daemon[0], daemon, |dir| {
            let daemon = if dir.join("bgpd.sock").exists() {
                "bgpd"
            } else {
                "vrrpd"
            };
            let text = out(&run(dir, &["show", "version"]));
            assert!(
                text.starts_with(&format!("Wayfare {daemon} 0.1.0")),
                "{text}"
            );
            let shown = json(&run(dir, &["show", "version", "json"]));
            assert_eq!(shown["daemon"], daemon);
            let metrics = out(&run(dir, &["show", "metrics"]));
            assert!(ctl::metrics::strict::read(&metrics).is_ok(), "{metrics}");
        });
    }
}

#[test]
fn both_are_asked_and_told_apart() {
    with("told", &["bgpd", "vrrpd"], |dir| {
        let text = out(&run(dir, &["show", "version"]));
        let (first, second) = text.split_once("vrrpd:\n").expect("two headings");
        assert!(first.starts_with("bgpd:\nWayfare bgpd"), "{text}");
        assert!(second.starts_with("Wayfare vrrpd"), "{text}");
        let shown = json(&run(dir, &["show", "version", "json"]));
        assert_eq!(shown["bgpd"]["config"], "/etc/wayfare/bgpd.toml");
        assert_eq!(shown["vrrpd"]["config"], "/etc/wayfare/vrrpd.toml");
        let metrics = out(&run(dir, &["show", "metrics"]));
        assert!(
            metrics.contains("# bgpd:\n# HELP wayfare_bgpd_up"),
            "{metrics}"
        );
        assert!(
            metrics.contains("# vrrpd:\n# HELP wayfare_vrrpd_up"),
            "{metrics}"
        );
        let plan = out(&run(dir, &["reload", "--check"]));
        assert!(
            plan.contains("something of bgpd: THE MASTER MAY CHANGE"),
            "{plan}"
        );
        assert!(plan.contains("something of vrrpd"), "{plan}");
    });
}

/// The daemon with the bad file keeps nobody else from reloading, and its code is the one.
#[test]
fn one_that_says_no_does_not_keep_the_other_from_it() {
    with("no", &["bgpd", "vrrpd"], |dir| {
        let output = run(dir, &["reload"]);
        assert_eq!(output.status.code(), Some(78), "{}", err(&output));
        assert!(
            err(&output).contains("bgpd: bgpd.toml: wrong"),
            "{}",
            err(&output)
        );
        assert!(
            out(&output).contains("something of vrrpd"),
            "{}",
            out(&output)
        );
        let alone = run(&dir.join("vrrpd.sock"), &["reload"]);
        assert_eq!(
            alone.status.code(),
            Some(0),
            "the one named, and nobody else"
        );
    });
}

#[test]
fn lines_of_both_logs_say_whose_they_are() {
    with("log", &["bgpd", "vrrpd"], |dir| {
        let text = out(&run(dir, &["monitor", "log"]));
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        assert!(
            lines[0].starts_with("bgpd  ") && lines[0].ends_with("a line of bgpd"),
            "{text}"
        );
        assert!(lines[1].starts_with("vrrpd ") && lines[1].ends_with("a line of vrrpd"));
        let text = out(&run(dir, &["monitor", "log", "json"]));
        let mut daemons: Vec<String> = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("a line each"))
            .filter_map(|line| line["daemon"].as_str().map(str::to_owned))
            .collect();
        daemons.sort();
        assert_eq!(daemons, ["bgpd", "vrrpd"]);
    });
}

#[test]
fn commands_of_one_daemon_go_to_it_alone() {
    with("one", &["bgpd", "vrrpd"], |dir| {
        let output = run(dir, &["show", "vrrp"]);
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        let output = run(dir, &["show", "bgp", "pools"]);
        assert!(
            err(&output).contains("bgpd was asked ShowPools"),
            "{}",
            err(&output)
        );
        for words in [&["cleanup", "vrrp"][..], &["cleanup", "bgp"], &["cleanup"]] {
            let output = run(dir, words);
            assert_eq!(output.status.code(), Some(1));
            assert!(err(&output).contains("stop it first"), "{}", err(&output));
        }
    });
}

/// What cannot be asked may be running: nothing is taken from it.
#[test]
fn cleanup_takes_only_silence_for_a_daemon_that_is_stopped() {
    let dir = std::env::temp_dir().join(format!("wayfare-later-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    for (daemon, whose) in [("bgpd", "bgp"), ("vrrpd", "vrrp")] {
        let mut hello = Hello::new(daemon, "9.0.0");
        hello.protocol += 1;
        let mut greeting = Vec::new();
        frame::encode(&hello, &mut greeting).expect("it fits");
        let listener = UnixListener::bind(dir.join(format!("{daemon}.sock"))).expect("it binds");
        let greeter = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("somebody comes");
            stream.write_all(&greeting)
        });
        let output = run(&dir, &["cleanup", whose]);
        assert_eq!(output.status.code(), Some(1), "{}", out(&output));
        let text = err(&output);
        assert!(text.contains("control protocol"), "{text}");
        assert!(text.contains("stop it first"), "{text}");
        let greeted = greeter.join().expect("it ends");
        greeted.expect("somebody listens");
    }
    std::fs::remove_dir_all(&dir).expect("nobody else is there");
}

/// A reload of one daemon is of that one alone.
#[test]
fn each_unit_reloads_its_own_daemon() {
    for daemon in ["bgpd", "vrrpd"] {
        let path = format!("../packaging/wayfare-{daemon}.service");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let text = std::fs::read_to_string(path).expect("it is part of the source");
        let mut lines = text.lines();
        let reload = lines.find_map(|line| line.strip_prefix("ExecReload="));
        let wanted = format!("/usr/bin/wayfare --socket /run/wayfare/{daemon}.sock reload");
        assert_eq!(reload, Some(wanted.as_str()));
    }
}

#[test]
fn without_a_daemon_both_are_named() {
    with("none", &[], |dir| {
        let output = run(dir, &["show", "version"]);
        assert_eq!(output.status.code(), Some(69));
        let text = err(&output);
        assert!(text.contains("systemctl status wayfare-bgpd"), "{text}");
        assert!(text.contains("systemctl status wayfare-vrrpd"), "{text}");
        let text = err(&run(dir, &["show", "vrrp"]));
        assert!(!text.contains("bgpd"), "{text}");
    });
}
