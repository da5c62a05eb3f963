//! A bad day of the API server, seen from the routers: nothing happens.
//!
//! Each fault is followed by a canary, a service that gets an endpoint and loses it again: it shows
//! that the agent reads once more. Between the two readings of the routers' counters they must have
//! been sent the canary's two messages and nothing else; a relist that clears and refills, or a
//! session that resets, would show there. That the fault was met at all is read from what our
//! server was asked.

use std::time::Duration;

use interop::apiserver::{Act, ApiServer, Break, Fault, Refusal, Verb};
use interop::kubernetes::objects::{load_balancer, node, ready, slice};
use interop::kubernetes::rig::{NODE, Plan, Rig};
use interop::kubernetes::{Cluster, role};
use interop::lab::Lab;
use interop::peers::Kind;
use interop::{wait, with_each_server};

with_each_server!(api_faults, api_faults_leave_the_routers_alone = Own);
with_each_server!(
    restarts,
    restarts_with_own_server = Own,
    restarts_with_mini = Mini,
    restarts_with_full = Full,
);
with_each_server!(
    agent_restarts_alone,
    agent_restarts_without_own_server = Own,
    agent_restarts_without_mini = Mini,
);

const POOL: &str = "\n[[pool]]\nname = \"web\"\naddresses = [\"192.0.2.0/24\"]\n";
const POD: &str = "10.244.1.0/24";
const WEB: &str = "192.0.2.10/32";
const TABLE: [&str; 2] = [POD, WEB];

/// An agent with a pod CIDR and a service, and routers that have both.
fn start(lab: &mut Lab, cluster: Cluster, neighbor: &str) -> Rig {
    let kinds = match lab.can_drop_privileges() {
        true => vec![Kind::Bird, Kind::Frr],
        false => vec![Kind::Bird],
    };
    let plan = Plan {
        // How long End-of-RIB waits for the API server: only where that does not come.
        kubernetes: "gate = \"off\"\nsync-time = \"4s\"\n".to_owned(),
        rest: POOL.to_owned(),
        neighbor: Some(neighbor.to_owned()),
        routers: kinds,
        ..Plan::default()
    };
    let rig = Rig::start(lab, cluster, &plan);
    for object in [
        node(NODE, "10.99.0.1", &[POD]),
        load_balancer("web", &["10.96.0.10"], &["192.0.2.10"]),
        load_balancer("canary", &["10.96.0.11"], &["192.0.2.11"]),
        slice("web", "a", &[ready(NODE)]),
    ] {
        rig.cluster.apply(&object);
    }
    rig.wait_established();
    rig.expect("before anything goes wrong", &TABLE);
    rig
}

/// The canary comes and goes; nothing else may have been sent since `before`.
#[track_caller]
fn only_the_canary(rig: &Rig, step: &str, before: &[u64]) {
    let canary = slice("canary", "a", &[ready(NODE)]);
    rig.cluster.apply(&canary);
    rig.expect(
        &format!("{step}: the canary comes"),
        &[POD, WEB, "192.0.2.11/32"],
    );
    rig.cluster.delete(&canary);
    rig.expect(&format!("{step}: the canary goes"), &TABLE);
    let wanted: Vec<u64> = before.iter().map(|count| count + 2).collect();
    assert_eq!(
        rig.updates(),
        wanted,
        "{step}: messages that each router has counted"
    );
}

/// What our server does, and an answer that shows that the agent has met it: verb and status.
type Weather = (&'static str, fn(&ApiServer), (&'static str, u16));

fn on_lists(server: &ApiServer, act: Act) {
    server.fault(Fault::on(Verb::List, act).times(3));
    server.strike(Break::Gone);
}

const WEATHER: [Weather; 14] = [
    (
        "watches end in order",
        |s| s.strike(Break::End),
        ("watch", 200),
    ),
    (
        "watches are reset in a line",
        |s| s.strike(Break::Reset),
        ("watch", 200),
    ),
    (
        "watches are half closed in a line",
        |s| s.strike(Break::HalfClose),
        ("watch", 200),
    ),
    (
        "500 in the streams",
        |s| s.strike(Break::Error),
        ("watch", 200),
    ),
    (
        "410 in the streams",
        |s| s.strike(Break::Gone),
        ("list", 200),
    ),
    (
        "410 as a status",
        |s| {
            s.fault(Fault::on(Verb::Watch, Act::Refuse(Refusal::gone())).times(4));
            s.strike(Break::End);
        },
        ("watch", 410),
    ),
    (
        "429 on lists",
        |s| on_lists(s, Act::Refuse(Refusal::busy(1))),
        ("list", 429),
    ),
    (
        "504 on lists",
        |s| on_lists(s, Act::Refuse(Refusal::too_large_version())),
        ("list", 504),
    ),
    (
        "500 on lists",
        |s| on_lists(s, Act::Refuse(Refusal::broken())),
        ("list", 500),
    ),
    (
        "lists are cut in half",
        |s| on_lists(s, Act::Cut),
        ("list", 200),
    ),
    (
        "lists are half closed",
        |s| on_lists(s, Act::HalfClose),
        ("list", 200),
    ),
    (
        "lists drip",
        |s| on_lists(s, Act::Drip(100, Duration::from_millis(20))),
        ("list", 200),
    ),
    (
        "403 for a kind that can be done without",
        |s| {
            let forbidden = Act::Refuse(Refusal::forbidden("namespaces"));
            s.fault(Fault::on(Verb::Any, forbidden).of("namespaces"));
            s.strike(Break::Gone);
        },
        ("list", 403),
    ),
    (
        "422 on watches that ask for more than this server has",
        |s| {
            let invalid = Act::Refuse(Refusal::invalid("not here"));
            s.fault(Fault::on(Verb::Watch, invalid).times(2));
            s.strike(Break::End);
        },
        ("watch", 422),
    ),
];

fn api_faults(lab: &mut Lab, cluster: Cluster) {
    let rig = start(lab, cluster, "");
    let server = rig.cluster.expect_own();
    server.configure(|settings| settings.bookmark_every = Duration::from_millis(200));
    for (step, act, (verb, code)) in WEATHER {
        let before = rig.updates();
        server.take_asked();
        act(server);
        let mut asked = Vec::new();
        wait::until(&format!("{step}: the agent meets it"), 30, || {
            asked.extend(server.take_asked());
            let is_met = asked.iter().any(|one| one.verb == verb && one.code == code);
            is_met
                .then_some(())
                .ok_or_else(|| format!("no {verb} with {code} in {asked:?}"))
        });
        only_the_canary(&rig, step, &before);
        server.heal();
    }
    stalled_lists(&rig, server);
    forbidden_services(&rig, server);
    token_rotation(&rig);
    changes_meanwhile(&rig, server);
}

/// Lists that never end; meanwhile the table stays.
fn stalled_lists(rig: &Rig, server: &ApiServer) {
    let before = rig.updates();
    server.take_asked();
    server.fault(Fault::on(Verb::List, Act::Stall));
    server.strike(Break::Gone);
    wait::until_true("lists stall", 30, || {
        server
            .take_asked()
            .iter()
            .any(|one| one.verb == "list" && one.code == 0)
    });
    rig.expect("lists stall", &TABLE);
    server.heal();
    only_the_canary(rig, "lists that stalled", &before);
}

/// The right to read services is taken away for a while: what is announced stays.
fn forbidden_services(rig: &Rig, server: &ApiServer) {
    let before = rig.updates();
    server.take_asked();
    let forbidden = Act::Refuse(Refusal::forbidden("services"));
    server.fault(Fault::on(Verb::Any, forbidden).of("services").times(2));
    server.strike(Break::Gone);
    wait::until_true("services are forbidden", 30, || {
        server.take_asked().iter().any(|one| one.code == 403)
    });
    rig.expect("services are forbidden", &TABLE);
    only_the_canary(rig, "services forbidden", &before);
    server.heal();
}

/// All tokens are dropped; the file gets a new one.
fn token_rotation(rig: &Rig) {
    let before = rig.updates();
    assert!(rig.cluster.revoke());
    if let Some(server) = rig.cluster.own() {
        server.take_asked();
        server.strike(Break::End);
        wait::until_true("the old token is refused", 30, || {
            server.take_asked().iter().any(|one| one.code == 401)
        });
    }
    rig.expect("the token is refused", &TABLE);
    rig.cluster.admit(&rig.node, role::ACCOUNT);
    only_the_canary(rig, "a new token", &before);
}

/// While the server is away, one service loses its endpoint and another gets one.
fn changes_meanwhile(rig: &Rig, server: &ApiServer) {
    let before = rig.updates();
    server.stop();
    rig.cluster.delete(&slice("web", "a", &[]));
    rig.cluster.apply(&slice("canary", "a", &[ready(NODE)]));
    rig.expect("the server is away and nobody can know", &TABLE);
    assert_eq!(rig.updates(), before);
    rig.cluster.start_again(true);
    rig.expect(
        "it is back, compacted, and the difference is made",
        &[POD, "192.0.2.11/32"],
    );
    let wanted: Vec<u64> = before.iter().map(|count| count + 2).collect();
    assert_eq!(rig.updates(), wanted, "the difference and nothing else");
}

fn restarts(lab: &mut Lab, cluster: Cluster) {
    let rig = start(lab, cluster, "");
    for (step, compacted) in [("a restart", false), ("a compaction and a restart", true)] {
        let before = rig.updates();
        assert!(rig.cluster.stop());
        rig.expect(&format!("{step}: the server is away"), &TABLE);
        rig.cluster.start_again(compacted);
        only_the_canary(&rig, step, &before);
    }
    if rig.cluster.flavor() == interop::kubernetes::Flavor::Mini {
        let before = rig.updates();
        assert!(rig.cluster.revoke());
        rig.cluster.admit(&rig.node, role::ACCOUNT);
        only_the_canary(&rig, "tokens are revoked", &before);
    }
}

/// The server is away and the agent dies: it comes back with the same set, and no router's kernel
/// loses a route in between (RFC 4724).
fn agent_restarts_alone(lab: &mut Lab, cluster: Cluster) {
    let rig = start(lab, cluster, "graceful-restart = \"full\"\n");
    let bird = &rig.routers[0];
    for prefix in TABLE {
        bird.wait_kernel(prefix, &[Lab::address(1).into()]);
    }
    drop(
        bird.node
            .spawn("monitor.log", "ip", &["-o", "monitor", "route"]),
    );
    wait::until_true("the snapshot is on disk", 20, || {
        let text = rig.node.read("/var/lib/wayfare/cluster.json");
        ["n1", "web", "web-a"]
            .iter()
            .all(|name| text.contains(&format!("\"{name}\"")))
    });
    assert!(rig.cluster.stop());
    rig.kill_agent();
    rig.start_agent();
    bird.wait_established(Lab::address(1));
    assert!(
        bird.neighbor_text(Lab::address(1))
            .is_ok_and(|text| text.contains("graceful restart"))
    );
    for prefix in TABLE {
        // The path is there anew, not only kept as stale.
        wait::until(&format!("{prefix} is announced again"), 30, || {
            let agent = Lab::address(1);
            let text = bird.neighbor_text(agent)?;
            let is_over = text.contains("BGP state:          Established")
                && !text.contains("graceful restart active");
            let paths = bird.paths(prefix)?;
            match is_over && paths.len() == 1 {
                true => Ok(()),
                false => Err(format!("{paths:?}\n{text}")),
            }
        });
    }
    rig.expect("the agent is back, the server is not", &TABLE);
    let monitored = bird.node.read("/run/node/monitor.log");
    let changes: Vec<&str> = monitored
        .lines()
        .filter(|line| line.contains("10.244.1.0") || line.contains("192.0.2.10"))
        .collect();
    assert!(
        changes.is_empty(),
        "BIRD's kernel saw changes: {changes:#?}"
    );
    rig.cluster.start_again(false);
    let canary = slice("canary", "a", &[ready(NODE)]);
    rig.cluster.apply(&canary);
    let routes = [POD, WEB, "192.0.2.11/32"];
    rig.expect("the server is back and is read again", &routes);
}
