//! The agent under exactly the rights that are shipped, and with one of them missing.

use std::collections::BTreeSet;

use interop::kubernetes::objects::{load_balancer, node, ready, slice};
use interop::kubernetes::rig::{NODE, Plan, Rig};
use interop::kubernetes::{Cluster, role};
use interop::lab::Lab;
use interop::{wait, with_each_server};
use serde_json::Value;

with_each_server!(
    shipped_role,
    shipped_role_with_own_server = Own,
    shipped_role_with_mini = Mini,
    shipped_role_with_full = Full,
);
with_each_server!(
    a_right_is_missing,
    a_right_is_missing_with_own_server = Own,
    a_right_is_missing_with_mini = Mini,
);

const POOL: &str = "\n[[pool]]\nname = \"web\"\naddresses = [\"192.0.2.0/24\"]\n";
const POD: &str = "10.244.1.0/24";
const WEB: &str = "192.0.2.10/32";

fn rig(lab: &mut Lab, cluster: Cluster, rules: (Vec<Value>, String)) -> Rig {
    let plan = Plan {
        kubernetes: "gate = \"off\"\nsources = [\"native\", \"metallb\", \"calico\"]\n\
                     advertise = [\"pod-cidr\", \"load-balancer-ip\"]\n"
            .to_owned(),
        rest: POOL.to_owned(),
        rules: Some(rules),
        ..Plan::default()
    };
    let rig = Rig::start(lab, cluster, &plan);
    for object in [
        node(NODE, "10.99.0.1", &[POD]),
        load_balancer("web", &["10.96.0.10"], &["192.0.2.10"]),
        slice("web", "a", &[ready(NODE)]),
    ] {
        rig.cluster.apply(&object);
    }
    rig.wait_established();
    rig
}

fn shipped_role(lab: &mut Lab, cluster: Cluster) {
    let rules = role::shipped().unwrap_or_else(|why| panic!("{why}"));
    // Roles of a namespace need theirs.
    for object in &rules.0 {
        if let Some(namespace) = object["metadata"]["namespace"].as_str() {
            cluster.apply(&interop::kubernetes::objects::namespace(namespace, &[]));
        }
    }
    let rig = rig(lab, cluster, rules);
    rig.expect("with the rights that are shipped", &[POD, WEB]);
    let Some(server) = rig.cluster.own() else {
        return;
    };
    let asked = server.take_asked();
    let refused: Vec<_> = asked.iter().filter(|one| one.code == 403).collect();
    assert!(
        refused.is_empty(),
        "asked for without a right: {refused:#?}"
    );
    let verbs: BTreeSet<&str> = asked
        .iter()
        .filter(|one| one.resource == "secrets")
        .map(|one| one.verb)
        .collect();
    assert!(
        !verbs.contains("list"),
        "secrets are read by name: {verbs:?}"
    );
}

fn a_right_is_missing(lab: &mut Lab, cluster: Cluster) {
    let mut rules = interop::kubernetes::objects::from_yaml(role::LEAST);
    for rule in rules[0]["rules"].as_array_mut().into_iter().flatten() {
        if let Some(resources) = rule["resources"].as_array_mut() {
            resources.retain(|name| name != "namespaces" && name != "bgppeers");
        }
    }
    let rig = rig(lab, cluster, (rules, role::ACCOUNT.to_owned()));
    rig.expect(
        "without the right to read namespaces and bgppeers",
        &[POD, WEB],
    );
    wait::until("it is said", 10, || {
        let log = rig.log();
        let said = log
            .lines()
            .filter(|line| line.contains("namespaces"))
            .count();
        match said {
            1 => Ok(()),
            count => Err(format!("{count} lines about namespaces:\n{log}")),
        }
    });
    assert!(rig.node.has_process("wayfare-bgpd"));
}
