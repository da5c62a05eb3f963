//! `wayfare-vrrpd` with the rights of its unit and none besides: another user, two capabilities,
//! no new privileges. Everything has to work with that: sockets, addresses, announcements, virtual
//! MACs, the rules of `accept = false`, real time where the limit allows it, the control socket,
//! state that outlives a restart, metrics. And what it leaves in the kernel when it is killed,
//! `cleanup vrrp` takes out.
//!
//! The user, the capabilities and the limits are read from the unit itself, so that the test and
//! the unit cannot drift apart. The labs run in a user namespace when nobody is root: then this is
//! the rootless case too.

use std::path::Path;

use interop::lab::{Lab, enter};
use interop::node::Node;
use interop::vrrp::{CONFIG, Group, Stream, holds, show, wait_master};
use interop::wait;

/// Number of the user in the nodes; the unit has it from sysusers.d.
const UID: &str = "990";
const WAYFARE: &str = "/opt/wayfare/wayfare";

/// The values of a key of the unit, all lines together.
fn unit(key: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/wayfare-vrrpd.service");
    let text = std::fs::read_to_string(path).expect("it is part of the source");
    let values = text.lines().filter_map(|line| line.strip_prefix(key));
    let words = values.flat_map(|value| value.split_whitespace());
    words.map(str::to_owned).collect()
}

/// `setpriv` with exactly what the unit grants.
fn start(node: &Node) {
    let capabilities: Vec<String> = unit("CapabilityBoundingSet=")
        .iter()
        .map(|name| format!("+{}", name.trim_start_matches("CAP_").to_lowercase()))
        .collect();
    assert_eq!(unit("AmbientCapabilities="), unit("CapabilityBoundingSet="));
    assert_eq!(unit("NoNewPrivileges="), ["yes"]);
    let set = format!("-all,{}", capabilities.join(","));
    let script = format!(
        "mkdir -p /run/wayfare /run/state && chown {UID}:{UID} /run/wayfare /run/state\n\
         chown -R {UID}:{UID} /run/node/vrrp*\n\
         prlimit --pid $$ --rtprio=1:1 2>/dev/null || true\n\
         umask 077\n\
         exec setpriv --reuid {UID} --regid {UID} --clear-groups --no-new-privs \
         --bounding-set={set} --inh-caps={set} --ambient-caps={set} \
         env STATE_DIRECTORY=/run/state RUNTIME_DIRECTORY=/run/wayfare \
         /opt/wayfare/wayfare-vrrpd --config {CONFIG}"
    );
    drop(node.spawn("vrrpd.log", "sh", &["-c", &script]));
    wait::until("wayfare-vrrpd answers", 15, || show(node));
}

/// Neither more nor less than the unit grants.
fn rights(node: &Node) {
    let pid = node
        .output("pgrep", &["-x", "wayfare-vrrpd"])
        .expect("it runs");
    let status = node.read(&format!("/proc/{}/status", pid.trim()));
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim().to_owned()
    };
    for set in ["CapPrm:", "CapEff:", "CapBnd:"] {
        // Bits 12 and 13: CAP_NET_ADMIN and CAP_NET_RAW.
        assert_eq!(field(set), "0000000000003000", "{set}\n{status}");
    }
    assert_eq!(field("NoNewPrivs:"), "1");
    assert!(field("Uid:").starts_with(UID), "{status}");
}

fn write(node: &Node, priority: u8, more: &str) {
    node.write(
        CONFIG,
        format!(
            "[metrics]\n\n[[instance]]\nname = \"vip\"\ninterface = \"eth0\"\nvrid = 50\n\
             priority = {priority}\nadvertise-interval = \"100ms\"\n\
             addresses = [\"10.99.0.50\"]\nauth-file = \"vrrp.key\"\n{more}"
        ),
    );
    node.write("/run/node/vrrp.key", format!("1 {SECRET}\n"));
}

/// A key that must be seen nowhere.
const SECRET: &str = "Tr0ub4dor-and-3-correct-horse-battery";

#[test]
fn the_rights_of_the_unit_are_enough() {
    enter("the_rights_of_the_unit_are_enough", |lab| {
        if !lab.can_drop_privileges() {
            return eprintln!("SKIPPED the_rights_of_the_unit_are_enough: one user id only");
        }
        let (one, two) = (lab.node("one"), lab.node("two"));
        let client = lab.node("client");
        let group = Group {
            addresses: vec!["10.99.0.50".to_owned()],
            ..Group::new(3)
        };
        for (node, priority) in [(&one, 200), (&two, 100)] {
            write(node, priority, "");
            start(node);
            rights(node);
        }
        wait_master(&group, &one, &two, 15);
        handed_over(&group, (&one, &two), &client);
        told(&one);
        closed(&group, (&one, &two));
        left_behind(&group, (&one, &two));
        for node in [&one, &two] {
            let log = node.read("/run/node/vrrpd.log");
            assert!(!log.contains(SECRET), "{log}");
            // A user namespace grants no real time, and the daemon says so.
            let refused = |line: &&str| {
                let refused = line.contains("ermission denied") || line.contains("not permitted");
                refused && !line.contains("real-time")
            };
            assert_eq!(log.lines().find(refused), None, "{log}");
        }
    });
}

/// Addresses, announcements and sockets: a planned hand-over costs a client nothing.
fn handed_over(group: &Group, (one, two): (&Node, &Node), client: &Node) {
    let stream = Stream::start(client, group);
    one.output(WAYFARE, &["vrrp", "release", "vip"])
        .expect("root may order");
    wait_master(group, two, one, 10);
    one.output(WAYFARE, &["vrrp", "resume", "vip"])
        .expect("root may order");
    wait_master(group, one, two, 10);
    stream.finish().demand("unprivileged hand-over and back", 2);
}

/// The control socket, the exporter and the log say what there is, and no secret.
fn told(node: &Node) {
    let scrape = node
        .output("curl", &["-sS", "http://127.0.0.1:9342/metrics"])
        .or_else(|_| {
            // The root may lack curl; a shell with /dev/tcp does not.
            let script = "exec 3<>/dev/tcp/127.0.0.1/9342; \
                          printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3";
            node.output("bash", &["-c", script])
        })
        .expect("the exporter answers");
    let wanted =
        "wayfare_vrrp_state{name=\"vip\",interface=\"eth0\",vrid=\"50\",state=\"master\"} 1";
    assert!(scrape.contains(wanted), "{scrape}");
    let shown = node
        .output(WAYFARE, &["show", "metrics"])
        .expect("it answers");
    assert!(shown.contains(wanted), "{shown}");
    assert!(
        !shown.contains("# bgpd:"),
        "a host with vrrpd alone: {shown}"
    );
    let version = node.json(WAYFARE, &["show", "version", "json"]);
    assert_eq!(version.expect("it answers")["daemon"], "vrrpd");
    let memory = node
        .output(WAYFARE, &["show", "memory"])
        .expect("it answers");
    assert!(memory.contains("resident set"), "{memory}");
    let plan = node
        .output(WAYFARE, &["reload", "--check"])
        .expect("it answers");
    assert!(plan.contains("nothing changes"), "{plan}");
    for words in [
        &["show", "vrrp", "eth0", "50"][..],
        &["show", "vrrp", "json"],
    ] {
        let text = node.output(WAYFARE, words).expect("it answers");
        assert!(!text.contains(SECRET), "{text}");
    }
}

/// Virtual MACs, the rules of nftables and the settings that go with them, put in force by a
/// reload, with the plan said before; and `monitor vrrp` says what happens meanwhile.
fn closed(group: &Group, (one, two): (&Node, &Node)) {
    let monitor = two.spawn("monitor.txt", WAYFARE, &["monitor", "vrrp"]);
    let lines = two.spawn("monitor.json", WAYFARE, &["monitor", "vrrp", "json"]);
    write(two, 250, "accept = false\n");
    let plan = two
        .output(WAYFARE, &["reload", "--check"])
        .expect("it answers");
    assert!(plan.contains("THE MASTER MAY CHANGE"), "{plan}");
    assert!(plan.contains("priority 100 -> 250"), "{plan}");
    two.output(WAYFARE, &["reload"]).expect("it is good");
    wait_master(group, two, one, 15);
    wait::until_true("the monitors tell it", 10, || {
        let told = |name: &str| two.read(&format!("/run/node/{name}"));
        told("monitor.txt").contains("vip: Backup -> Master: preempts")
            && told("monitor.json").contains("\"text\":\"Backup -> Master: preempts")
    });
    drop((monitor, lines));
    let tables = two.sh("nft list tables 2>/dev/null || true");
    assert!(
        tables.is_empty() || tables.contains("wayfare-vrrp"),
        "{tables}"
    );
}

/// Killed, with what keeps its addresses alive no longer there; root cleans up.
fn left_behind(group: &Group, (one, two): (&Node, &Node)) {
    let refused = two.run(WAYFARE, &["cleanup", "vrrp"]);
    assert_eq!(refused.status.code(), Some(1), "it runs");
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(text.contains("wayfare-vrrpd is running"), "{text}");
    two.kill(&["wayfare-vrrpd"]);
    wait::until_true("it is gone", 5, || !two.has_process("wayfare-vrrpd"));
    // As one of an earlier kernel or with a longer lifetime would be.
    two.sh("ip addr add 10.99.0.77/32 dev eth0 proto 112 2>/dev/null || true");
    let cleaned = two.output(WAYFARE, &["cleanup", "vrrp"]).expect("it may");
    assert!(
        cleaned.contains("addresses of protocol 112 removed"),
        "{cleaned}"
    );
    assert!(!holds(two, group), "{cleaned}");
    let left = two.sh("ip addr show dev eth0");
    assert!(!left.contains("10.99.0.77"), "{left}");
    assert!(
        left.contains(&Lab::address(two.index()).to_string()),
        "{left}"
    );
    let tables = two.sh("nft list tables 2>/dev/null || true");
    assert!(!tables.contains("wayfare-vrrp"), "{tables}");
    wait_master(group, one, two, 15);
}
