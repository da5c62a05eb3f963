//! What is tracked moves the address: in time, at most one packet lost, and never to nobody.
//!
//! Two of our routers; a client streams to the address while something breaks on the master and is
//! mended. The HTTPS server stands in for an API server: it says what a file tells it to.

use std::time::Instant;

use interop::lab::enter;
use interop::node::Node;
use interop::peers::wayfare;
use interop::vrrp::{CONFIG, Group, Stream, holds, show, start_ours, wait_master};
use interop::wait;

const HIGH: u8 = 200;
const LOW: u8 = 100;
/// Lost packets that a planned change may cost (a packet under way is nobody's fault).
const LOST_MAX: usize = 1;

/// `/readyz` over TLS: the status in `/run/node/mood`, or `hang`.
const API: &str = r#"
import http.server, ssl, time
class Api(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        mood = open("/run/node/mood").read().strip()
        if mood == "hang":
            time.sleep(30)
            return
        self.send_response(int(mood))
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *words):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 6443), Api)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/run/node/good.pem", "/run/node/server.key")
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
"#;

/// Fault: three bad answers in 600 ms at most, and the skew of the other router.
const READYZ: &str = r#"
track = [
  { http = "https://127.0.0.1:6443/readyz", ca = "ca.pem", interval = "200ms", timeout = "300ms" },
]
"#;

fn fixture(node: &Node, name: &str) {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../vrrpd/tests/fixtures/tls/");
    let text = std::fs::read_to_string(format!("{root}{name}")).expect("part of the source");
    node.write(&format!("/run/node/{name}"), text);
}

fn mood(node: &Node, word: &str) {
    node.write("/run/node/mood", word);
}

fn api(node: &Node) {
    for name in ["ca.pem", "good.pem", "server.key"] {
        fixture(node, name);
    }
    node.write("/run/node/api.py", API);
    mood(node, "200");
    drop(node.spawn("api.log", "python3", &["/run/node/api.py"]));
    wait::until_true("the API listens", 15, || {
        node.sh("ss -Hltn sport = 6443").contains("6443")
    });
}

fn ours(node: &Node, group: &Group, priority: u8, more: &str) {
    group.write_ours(node, priority);
    let text = node.read(CONFIG) + more;
    node.write(CONFIG, text);
    start_ours(node);
}

/// Something happens to `from` under a stream, and `to` is master.
#[track_caller]
fn moves(group: &Group, client: &Node, what: &str, (from, to): (&Node, &Node), act: impl FnOnce()) {
    let stream = Stream::start(client, group);
    let begin = Instant::now();
    act();
    wait_master(group, to, from, 4);
    let took = begin.elapsed().as_millis();
    let what = format!("{what}, after {took} ms");
    stream.finish().demand(&what, LOST_MAX);
}

fn history(node: &Node) -> String {
    node.sh("/opt/wayfare/wayfare show vrrp history")
}

#[test]
fn an_api_server_that_is_not_ready_hands_over() {
    enter("an_api_server_that_is_not_ready_hands_over", |lab| {
        let group = Group::new(3);
        let (one, two, client) = (lab.node("one"), lab.node("two"), lab.node("client"));
        for (node, priority) in [(&one, HIGH), (&two, LOW)] {
            api(node);
            ours(node, &group, priority, READYZ);
        }
        wait_master(&group, &one, &two, 15);
        moves(&group, &client, "HTTP 500", (&one, &two), || {
            mood(&one, "500");
        });
        moves(&group, &client, "HTTP 200 again", (&two, &one), || {
            mood(&one, "200");
        });
        moves(&group, &client, "a server that hangs", (&one, &two), || {
            mood(&one, "hang");
        });
        // Bad twice within a minute: it is not at once what it was.
        mood(&one, "200");
        wait::until_true("it recovers, and is held", 5, || {
            let shown = show(&one).unwrap_or_default();
            let check = &shown[0]["checks"][0];
            check["state"] == "bad" && check["heldMs"].as_u64().is_some_and(|ms| ms > 5000)
        });
        assert!(holds(&two, &group), "the healthy one keeps the address");
        let told = history(&one);
        let wanted = "check https://127.0.0.1:6443/readyz failed 3 times: HTTP 500";
        assert!(told.contains(wanted), "{told}");
        assert!(
            told.contains("no answer within 300ms (HTTP reply)"),
            "{told}"
        );
    });
}

/// The check fails everywhere: nobody is better than the master, so it stays, and no packet is
/// lost. Then the backup alone is healthy again, and takes over.
#[test]
fn what_all_routers_fail_moves_nothing() {
    enter("what_all_routers_fail_moves_nothing", |lab| {
        let group = Group::new(3);
        let (one, two, client) = (lab.node("one"), lab.node("two"), lab.node("client"));
        for (node, priority) in [(&one, HIGH), (&two, LOW)] {
            api(node);
            let careful = format!("preempt = false\n{READYZ}");
            ours(node, &group, priority, &careful);
            if priority == HIGH {
                wait::until_true("one is master", 15, || holds(&one, &group));
            }
        }
        moves(&group, &client, "all bad at once", (&two, &one), || {
            mood(&two, "503");
            mood(&one, "503");
            let resort = "last resort: no healthy router answers";
            wait::until_true("it is the last resort", 4, || {
                history(&one).contains(resort)
            });
        });
        let shown = show(&one).expect("it answers");
        assert_eq!(shown[0]["state"], "Master", "{shown}");
        assert_eq!(shown[0]["effectivePriority"], 1, "{shown}");
        assert_eq!(shown[0]["checks"][0]["state"], "bad", "{shown}");
        assert_eq!(shown[0]["checks"][0]["lastResult"], "HTTP 503", "{shown}");
        moves(&group, &client, "the backup is well", (&one, &two), || {
            mood(&two, "200");
        });
        // Both are healthy: nobody takes over from a healthy master without preemption.
        mood(&one, "200");
        wait::until_true("one is well", 10, || {
            show(&one).is_ok_and(|shown| shown[0]["checks"][0]["state"] == "good")
        });
        assert!(holds(&two, &group) && !holds(&one, &group));
    });
}

/// Every other kind, by weight or as a fault; what is broken, and how it is mended.
const KINDS: [(&str, &str, &str); 6] = [
    ("interface", "ip link set far0 down", "ip link set far0 up"),
    (
        "route",
        "ip route del 192.0.2.0/24",
        "ip route add 192.0.2.0/24 dev track1",
    ),
    ("script", "rm /run/node/well", "touch /run/node/well"),
    ("file", "rm /run/node/ready", "touch /run/node/ready"),
    (
        "process",
        "pkill -x worker",
        "/run/node/worker 10000 >/dev/null 2>&1 &",
    ),
    (
        "tcp",
        "pkill -x listener",
        "/run/node/listener -m http.server 8080 >/dev/null 2>&1 &",
    ),
];

const ALL: &str = r#"
track = [
  { interface = "track0" },
  { route = "192.0.2.0/24", weight = -150 },
  { script = "/run/node/check", user = "nobody", interval = "200ms", fall = 2 },
  { file = "/run/node/ready", weight = -150, interval = "200ms" },
  { process = "worker" },
  { tcp = "127.0.0.1:8080", weight = -150, interval = "200ms", fall = 2, rise = 1 },
]
"#;

#[test]
fn every_kind_of_check_moves_the_address() {
    enter("every_kind_of_check_moves_the_address", |lab| {
        let group = Group::new(3);
        let (one, two, client) = (lab.node("one"), lab.node("two"), lab.node("client"));
        one.sh("for i in 0 1; do
                 ip link add track$i type veth peer name far$i
                 ip link set track$i up; ip link set far$i up
             done
             ip route add 192.0.2.0/24 dev track1
             touch /run/node/well /run/node/ready; chmod 755 /run/node
             printf '#!/bin/sh\\nid -un\\ntest -e /run/node/well\\n' >/run/node/check
             chmod 755 /run/node/check
             cp /bin/sleep /run/node/worker; ln -s /usr/bin/python3 /run/node/listener");
        for (kind, _, mend) in KINDS {
            if matches!(kind, "process" | "tcp") {
                one.sh(mend);
            }
        }
        wait::until_true("it listens", 15, || {
            one.sh("ss -Hltn sport = 8080").contains("8080")
        });
        ours(&one, &group, HIGH, ALL);
        ours(&two, &group, LOW, "");
        wait_master(&group, &one, &two, 15);
        let shown = show(&one).expect("it answers");
        assert_eq!(shown[0]["effectivePriority"], HIGH, "{shown}");
        for (kind, break_it, mend) in KINDS {
            let what = format!("{kind} breaks");
            moves(&group, &client, &what, (&one, &two), || {
                one.sh(break_it);
            });
            let what = format!("{kind} is mended");
            moves(&group, &client, &what, (&two, &one), || {
                one.sh(mend);
            });
        }
        let told = history(&one);
        assert!(told.contains("failed 2 times: exit 1: nobody"), "{told}");
        assert!(told.contains("check route 192.0.2.0/24 failed"), "{told}");
    });
}

/// A neighbor of the router's own bgpd, over its control socket.
#[test]
fn a_bgp_neighbor_that_is_lost_hands_over() {
    enter("a_bgp_neighbor_that_is_lost_hands_over", |lab| {
        let group = Group::new(3);
        let (one, two, client) = (lab.node("one"), lab.node("two"), lab.node("client"));
        let spine = lab.node("spine");
        let speak = |node: &Node, asn: u32, other: &Node, remote: u32| {
            node.write(
                wayfare::CONFIG,
                format!(
                    "[router]\nasn = {asn}\nrouter-id = \"10.99.0.{}\"\n[[neighbor]]\n\
                     address = \"10.99.0.{}\"\nasn = {remote}\nconnect-retry = \"1s\"\n\
                     import = \"accept-all\"\nexport = \"accept-all\"\n",
                    node.index(),
                    other.index()
                ),
            );
            wayfare::start(node);
        };
        speak(&one, 65001, &spine, 65004);
        speak(&spine, 65004, &one, 65001);
        let neighbor = format!("10.99.0.{}", spine.index());
        let track = format!("track = [{{ bgp = \"{neighbor}\", interval = \"200ms\" }}]\n");
        ours(&one, &group, HIGH, &track);
        ours(&two, &group, LOW, "");
        wait_master(&group, &one, &two, 30);
        moves(
            &group,
            &client,
            "the neighbor is lost",
            (&one, &two),
            || {
                spine.signal("KILL", "wayfare-bgpd");
            },
        );
        wayfare::start(&spine);
        wait_master(&group, &one, &two, 30);
        moves(&group, &client, "bgpd is away", (&one, &two), || {
            one.signal("KILL", "wayfare-bgpd");
        });
        let told = history(&one);
        let wanted = format!("check bgp {neighbor} failed: ");
        assert!(told.contains(&wanted), "{told}");
        assert!(told.contains("bgpd at /run/wayfare/bgpd.sock: "), "{told}");
    });
}

/// keepalived knows nothing of health: priority 0 is what it understands.
#[test]
fn keepalived_takes_over_from_who_is_sick() {
    enter("keepalived_takes_over_from_who_is_sick", |lab| {
        let group = Group::new(3);
        let (one, other, client) = (lab.node("one"), lab.node("ka"), lab.node("client"));
        api(&one);
        ours(&one, &group, HIGH, READYZ);
        wait::until_true("one is master", 15, || holds(&one, &group));
        group.keepalived(&other, LOW);
        wait::until_true("keepalived runs", 15, || other.has_process("keepalived"));
        moves(
            &group,
            &client,
            "sick beside keepalived",
            (&one, &other),
            || {
                mood(&one, "500");
            },
        );
        moves(
            &group,
            &client,
            "well beside keepalived",
            (&other, &one),
            || {
                mood(&one, "200");
            },
        );
    });
}
