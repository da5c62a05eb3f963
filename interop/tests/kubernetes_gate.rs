//! The dataplane gate, as a router sees it: no service before kube-proxy says that its rules are
//! written, none after it says that they are stale, and nothing at all while it restarts.

use std::time::{Duration, Instant};

use interop::kubernetes::Cluster;
use interop::kubernetes::objects::{load_balancer, local, node, ready, slice, with};
use interop::kubernetes::proxy::{HEALTH, Proxy};
use interop::kubernetes::rig::{NODE, Plan, Rig};
use interop::lab::Lab;
use interop::{wait, with_each_server};

with_each_server!(
    gate_is_on,
    gate_is_on_with_own_server = Own,
    gate_is_on_with_mini = Mini,
);
with_each_server!(gate_is_automatic, gate_is_automatic_with_own_server = Own);

const POOL: &str = "\n[[pool]]\nname = \"web\"\naddresses = [\"192.0.2.0/24\"]\n";
const POD: &str = "10.244.1.0/24";
const ANYWHERE: &str = "192.0.2.10/32";
const HERE: &str = "192.0.2.20/32";
const NODE_PORT: u16 = 31234;

fn rig(lab: &mut Lab, cluster: Cluster, gate: &str) -> Rig {
    let plan = Plan {
        kubernetes: format!(
            "gate = \"{gate}\"\nadvertise = [\"pod-cidr\", \"load-balancer-ip\"]\n"
        ),
        rest: POOL.to_owned(),
        ..Plan::default()
    };
    let rig = Rig::prepare(lab, cluster, &plan);
    let here = local(load_balancer("here", &["10.96.0.20"], &["192.0.2.20"]));
    for object in [
        node(NODE, "10.99.0.1", &[POD]),
        load_balancer("anywhere", &["10.96.0.10"], &["192.0.2.10"]),
        slice("anywhere", "a", &[ready(NODE)]),
        with(here, "/spec/healthCheckNodePort", NODE_PORT),
        slice("here", "a", &[ready(NODE)]),
    ] {
        rig.cluster.apply(&object);
    }
    rig
}

/// Waits until the agent names this rule as the one that holds the service back, so that a table
/// without the service is the gate's doing and not that of an agent that knows nothing yet.
#[track_caller]
fn expect_held(rig: &Rig, service: &str, words: &str) {
    wait::until(&format!("{service} is held back"), 20, || {
        let shown = rig.show(&format!("explain service default/{service}"))?;
        match shown.to_string().contains(words) {
            true => Ok(()),
            false => Err(format!("no {words:?} in {shown:#}")),
        }
    });
}

/// Looks at the router's counters for so long, and finds them as they were.
#[track_caller]
fn expect_quiet(rig: &Rig, step: &str, seconds: u64) {
    let before = rig.updates();
    let moved = wait::poll(Duration::from_secs(seconds), || {
        let now = rig.updates();
        match now == before {
            true => Err("nothing was sent"),
            false => Ok(now),
        }
    });
    if let Ok((now, after)) = moved {
        panic!("{step}: {before:?} updates before, {now:?} after {after:?}");
    }
    eprintln!("ok {step}: not one update in {seconds} s");
}

/// Says a status, waits for the table, and prints how long that took; the router's tool and the
/// pause between two looks are part of the figure.
#[track_caller]
fn say(rig: &Rig, proxy: &Proxy, (port, status): (u16, u16), wanted: &[&str]) {
    let step = format!("{status} on {port}");
    let started = Instant::now();
    proxy.say(port, status);
    rig.expect(&step, wanted);
    eprintln!(
        "MEASURED {step} to the router's table: {:?}",
        started.elapsed()
    );
}

fn gate_is_on(lab: &mut Lab, cluster: Cluster) {
    let rig = rig(lab, cluster, "on");
    let proxy = Proxy::new(&rig.node);
    rig.start_agent();
    rig.wait_established();
    rig.expect("no kube-proxy yet", &[POD]);
    for service in ["anywhere", "here"] {
        expect_held(&rig, service, "kube-proxy has not answered yet");
    }
    expect_quiet(&rig, "no kube-proxy yet", 3);
    proxy.say(NODE_PORT, 503);
    proxy.say(HEALTH, 503);
    expect_held(&rig, "anywhere", "kube-proxy is not healthy");
    expect_held(&rig, "here", "sees no endpoints here yet");
    expect_quiet(&rig, "kube-proxy has begun", 2);

    say(&rig, &proxy, (HEALTH, 200), &[POD, ANYWHERE]);
    say(&rig, &proxy, (NODE_PORT, 200), &[POD, ANYWHERE, HERE]);
    let before = rig.updates()[0];
    say(&rig, &proxy, (NODE_PORT, 503), &[POD, ANYWHERE]);
    assert_eq!(rig.updates()[0], before + 1, "one withdrawal and no more");
    say(&rig, &proxy, (NODE_PORT, 200), &[POD, ANYWHERE, HERE]);

    proxy.leave();
    expect_quiet(&rig, "kube-proxy restarts", 5);
    proxy.say(HEALTH, 200);
    proxy.say(NODE_PORT, 200);
    expect_quiet(&rig, "and is back", 2);
    proxy.hang(HEALTH);
    proxy.hang(NODE_PORT);
    expect_quiet(&rig, "kube-proxy has no CPU", 5);
    proxy.say(NODE_PORT, 200);

    say(&rig, &proxy, (HEALTH, 503), &[POD]);
    say(&rig, &proxy, (HEALTH, 200), &[POD, ANYWHERE, HERE]);
}

fn gate_is_automatic(lab: &mut Lab, cluster: Cluster) {
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds = uptime.split('.').next().and_then(|text| text.parse().ok());
    if seconds.unwrap_or(0) < 300 {
        return eprintln!("SKIPPED gate_is_automatic: the machine has just booted");
    }
    let rig = rig(lab, cluster, "auto");
    let proxy = Proxy::new(&rig.node);
    rig.start_agent();
    rig.wait_established();
    rig.expect("a node without kube-proxy", &[POD, ANYWHERE, HERE]);
    proxy.say(HEALTH, 503);
    rig.expect("one came, and is not ready", &[POD]);
    say(&rig, &proxy, (HEALTH, 200), &[POD, ANYWHERE, HERE]);
    proxy.leave();
    expect_quiet(&rig, "it restarts", 5);

    rig.kill_agent();
    proxy.say(HEALTH, 503);
    rig.start_agent();
    rig.wait_established();
    rig.expect("the agent came after it", &[POD]);
    expect_held(&rig, "anywhere", "kube-proxy is not healthy");
    say(&rig, &proxy, (HEALTH, 200), &[POD, ANYWHERE, HERE]);
}
