//! Routes of a virtual router: there with the master only, gone with a killed daemon, and never in
//! the place of somebody else's.

use std::time::{Duration, Instant};

use interop::lab::{Lab, enter};
use interop::node::Node;
use interop::vrrp::{CONFIG, show, start_ours};
use interop::wait;

const HIGH: u8 = 200;
const LOW: u8 = 100;

/// One instance per family, each with two routes.
fn ours(node: &Node, priority: u8) {
    let mut text = String::new();
    for (name, addresses, routes) in [
        (
            "v4",
            "\"10.99.0.50\"",
            "\"default via 10.99.0.3\", \"10.9.0.0/16 dev eth1 metric 5\"",
        ),
        (
            "v6",
            "\"fe80::50\", \"fd99::50\"",
            "\"default via fd99::3\", \"fd09::/64 via fd99::3 table 100\"",
        ),
    ] {
        text += &format!(
            "[[instance]]\nname = \"{name}\"\ninterface = \"eth0\"\nvrid = 50\n\
             priority = {priority}\nadvertise-interval = \"100ms\"\naddresses = [{addresses}]\n\
             routes = [{routes}]\n"
        );
    }
    node.write(CONFIG, text);
    start_ours(node);
}

/// The routes of ours that packets would take.
fn routes(node: &Node) -> Vec<String> {
    let mut found = Vec::new();
    for (words, probe) in [
        ("-4 route get 192.0.2.1", "192.0.2.1 via 10.99.0.3"),
        ("-4 route get 10.9.0.1", "10.9.0.1 dev eth1"),
        ("-6 route get 2001:db8::1", "via fd99::3"),
        ("-6 route show table 100", "fd09::/64 via fd99::3"),
    ] {
        let words: Vec<&str> = words.split(' ').collect();
        let output = node.run("ip", &words);
        let text = String::from_utf8_lossy(&output.stdout);
        // A route that has expired is listed for a while, and not used.
        let dead = text.contains("expires -") || text.contains("expires 0sec");
        if text.contains(probe) && !dead {
            found.push(probe.to_owned());
        }
    }
    found
}

#[track_caller]
fn wait_routes(node: &Node, count: usize, seconds: u64) {
    let what = format!("{} has {count} routes", node.name());
    wait::until(&what, seconds, || {
        let found = routes(node);
        if found.len() == count {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    });
}

fn routers(lab: &mut Lab) -> (Node, Node) {
    let nodes = (lab.node("one"), lab.node("two"));
    lab.lan("br1");
    for node in [&nodes.0, &nodes.1] {
        let address = format!("10.98.0.{}/24", node.index());
        lab.attach(node, "br1", "eth1", &[address]);
    }
    nodes
}

#[test]
fn routes_are_with_the_master_and_go_with_a_killed_daemon() {
    enter(
        "routes_are_with_the_master_and_go_with_a_killed_daemon",
        |lab| {
            let (one, two) = routers(lab);
            ours(&one, HIGH);
            wait_routes(&one, 4, 10);
            ours(&two, LOW);
            wait_routes(&two, 0, 5);
            // Longer than any lifetime.
            let since = Instant::now();
            while since.elapsed() < Duration::from_secs(3) {
                assert_eq!(routes(&one).len(), 4, "they are refreshed");
            }
            one.sh(
                "ip route del 10.9.0.0/16 dev eth1 metric 5; ip -6 route del default via fd99::3",
            );
            wait_routes(&one, 4, 2);
            one.sh("/opt/wayfare/wayfare vrrp release v4; /opt/wayfare/wayfare vrrp release v6");
            wait_routes(&two, 4, 5);
            wait_routes(&one, 0, 5);
            one.sh("/opt/wayfare/wayfare vrrp resume v4; /opt/wayfare/wayfare vrrp resume v6");
            wait_routes(&one, 4, 5);
            one.kill(&["wayfare-vrrpd"]);
            let killed = Instant::now();
            wait_routes(&one, 0, 4);
            let gone = killed.elapsed();
            eprintln!(
                "MEASURED routes gone after SIGKILL: {} ms",
                gone.as_millis()
            );
            assert!(gone < Duration::from_millis(2500), "{gone:?}");
            wait_routes(&two, 4, 5);
            // What is listed still, and used no more, is in nobody's way.
            start_ours(&one);
            wait_routes(&one, 4, 10);
            one.signal("TERM", "wayfare-vrrpd");
            wait_routes(&one, 0, 5);
        },
    );
}

#[test]
fn routes_of_others_stay_as_they_are() {
    enter("routes_of_others_stay_as_they_are", |lab| {
        let (one, _) = routers(lab);
        let theirs = "default via 10.99.0.2 dev eth0 proto static";
        one.sh(&format!("ip route add {theirs}"));
        one.sh("ip -6 route add default via fd99::2 proto static metric 1024");
        ours(&one, HIGH);
        wait_routes(&one, 2, 10);
        wait::until("the problem is shown", 5, || {
            let shown = show(&one)?;
            let problem = shown[0]["routeProblems"][0].as_str().unwrap_or_default();
            let said = "0.0.0.0/0 via 10.99.0.3: somebody else's route is at its place";
            if problem.starts_with(said) {
                Ok(())
            } else {
                Err(shown.to_string())
            }
        });
        let both = "ip route show default; ip -6 route show default proto static";
        let lines = one.sh(both);
        assert!(lines.contains(theirs), "{lines}");
        assert!(lines.contains("via fd99::2"), "{lines}");
        one.sh("ip route del default via 10.99.0.2; ip -6 route del default via fd99::2");
        wait_routes(&one, 4, 5);
        let shown = show(&one).expect("it answers");
        assert_eq!(shown[0]["routeProblems"], serde_json::json!([]), "{shown}");
        // Theirs is back while ours is there: neither is touched by the other's end.
        one.sh("ip route add default via 10.99.0.2 metric 50 proto static");
        one.signal("TERM", "wayfare-vrrpd");
        wait_routes(&one, 0, 8);
        let left = one.sh("ip route show default");
        assert!(left.contains("via 10.99.0.2"), "{left}");
    });
}
