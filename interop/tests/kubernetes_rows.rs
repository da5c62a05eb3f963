//! When an address is announced, row by row, as a router sees it.
//!
//! One lab, many steps: each writes an object as a controller would and waits until the tables of
//! BIRD and FRR hold exactly what the rule says. The rule is kube-proxy's own, per address family;
//! where others get it wrong the step says so by its name.

use interop::kubernetes::objects::{
    self, End, leaving, load_balancer, local, node, ready, service, slice, unready, with,
};
use interop::kubernetes::rig::{NODE, Plan, Rig};
use interop::kubernetes::{Cluster, Flavor};
use interop::lab::Lab;
use interop::peers::Kind;
use interop::with_each_server;
use serde_json::json;

with_each_server!(
    rows,
    rows_with_own_server = Own,
    rows_with_mini = Mini,
    rows_with_full = Full,
    rows_with_given_cluster = Given,
);

const KUBERNETES: &str = r#"gate = "off"
advertise = ["pod-cidr", "cluster-ip", "external-ip", "load-balancer-ip"]
external-ranges = ["203.0.113.0/24", "2001:db8:e::/64"]
load-balancer-class = ["example.com/ours"]
"#;

const POOLS: &str = r#"
[[pool]]
name = "web"
addresses = ["192.0.2.0/25", "2001:db8:a::/64"]
community = ["64512:20"]

[[pool]]
name = "block"
addresses = ["198.51.100.0/24"]
aggregation-length = 28
"#;

const POD4: &str = "10.244.1.0/24";
const POD6: &str = "fd00:10:244:1::/64";
/// Cluster address of most steps' service.
const C4: &str = "10.96.0.10";
const C4_ROUTE: &str = "10.96.0.10/32";
const L4: &str = "192.0.2.10";
const L4_ROUTE: &str = "192.0.2.10/32";
const L6_ROUTE: &str = "2001:db8:a::10/128";

fn rows(lab: &mut Lab, cluster: Cluster) {
    let kinds = match lab.can_drop_privileges() {
        true => vec![Kind::Bird, Kind::Frr],
        false => vec![Kind::Bird],
    };
    let plan = Plan {
        kubernetes: KUBERNETES.to_owned(),
        rest: POOLS.to_owned(),
        routers: kinds,
        ..Plan::default()
    };
    let mut rig = Rig::start(lab, cluster, &plan);
    rig.wait_established();
    if rig.cluster.flavor() == Flavor::Given {
        rig.leave_out_others();
    }
    rig.expect("without objects nothing is announced", &[]);
    node_rows(&rig);
    cluster_ip_rows(&rig);
    external_ip_rows(&rig);
    load_balancer_rows(&rig);
    policy_rows(&rig);
    family_rows(&rig);
    slice_rows(&rig);
    exclusion_rows(&rig);
    pool_rows(&rig);
    last_rows(&rig);
}

/// The routes of the node beside those of a step.
fn besides<'a>(routes: &[&'a str]) -> Vec<&'a str> {
    [&[POD4, POD6], routes].concat()
}

fn node_rows(rig: &Rig) {
    let cluster = &rig.cluster;
    cluster.apply(&node("n2", "10.99.0.202", &["10.244.2.0/24"]));
    cluster.apply(&node(NODE, "10.99.0.1", &[POD4, POD6]));
    rig.expect(
        "pod CIDRs of this node, both families, of no other",
        &[POD4, POD6],
    );
    let held = with(
        node(NODE, "10.99.0.1", &[POD4, POD6]),
        "/metadata/finalizers",
        json!(["wayfare.dev/lab"]),
    );
    cluster.apply(&held);
    cluster.delete(&held);
    rig.expect("a node that is being deleted withdraws its pod CIDRs", &[]);
    // Without its finalizer it goes, and a node of the same name comes.
    cluster.apply(&node(NODE, "10.99.0.1", &[POD4, POD6]));
    cluster.apply(&node(NODE, "10.99.0.1", &[POD4, POD6]));
    rig.expect("the node is made again", &[POD4, POD6]);
}

fn cluster_ip_rows(rig: &Rig) {
    let cluster = &rig.cluster;
    let web = service("web", &[C4]);
    cluster.apply(&web);
    rig.expect(
        "a cluster IP without endpoints is not announced",
        &besides(&[]),
    );
    cluster.apply(&slice("web", "a", &[ready("n2")]));
    rig.expect(
        "a cluster IP with a ready endpoint anywhere is",
        &besides(&[C4_ROUTE]),
    );
    cluster.apply(&slice("web", "a", &[unready("n2")]));
    rig.expect(
        "an endpoint that is not ready does not count",
        &besides(&[]),
    );
    cluster.apply(&slice("web", "a", &[leaving("n2")]));
    rig.expect(
        "without a ready one, one that leaves and serves does",
        &besides(&[C4_ROUTE]),
    );
    let unserving = End {
        serving: Some(false),
        ..leaving("n2")
    };
    cluster.apply(&slice("web", "a", &[unserving]));
    rig.expect(
        "one that leaves and no longer serves does not",
        &besides(&[]),
    );
    let unknown = End {
        node: "n2",
        ready: None,
        serving: None,
        terminating: None,
    };
    cluster.apply(&slice("web", "a", &[unknown]));
    rig.expect(
        "an endpoint without conditions is ready",
        &besides(&[C4_ROUTE]),
    );
    internal_rows(rig, &web);
    cluster.delete(&slice("web", "a", &[]));
    rig.expect("the last slice of a service is deleted", &besides(&[]));
    cluster.apply(&slice("web", "a", &[ready("n2")]));
    rig.expect("and comes again", &besides(&[C4_ROUTE]));
    cluster.delete(&web);
    rig.expect("a service is deleted", &besides(&[]));
    nameless_rows(rig);
}

/// `internalTrafficPolicy`, with the service as it is.
fn internal_rows(rig: &Rig, web: &serde_json::Value) {
    let cluster = &rig.cluster;
    let internal = with(web.clone(), "/spec/internalTrafficPolicy", "Local");
    // Kubernetes 1.20 does not know the field and drops it.
    if !rig.cluster.is_old() {
        cluster.apply(&internal);
        rig.expect(
            "internalTrafficPolicy Local: no endpoint here",
            &besides(&[]),
        );
        cluster.apply(&slice("web", "a", &[ready("n2"), ready(NODE)]));
        rig.expect(
            "internalTrafficPolicy Local: one here",
            &besides(&[C4_ROUTE]),
        );
        cluster.apply(web);
    }
}

fn nameless_rows(rig: &Rig) {
    let cluster = &rig.cluster;
    let headless = with(
        service("quiet", &["None"]),
        "/spec/ipFamilies",
        json!(["IPv4"]),
    );
    cluster.apply(&headless);
    cluster.apply(&slice("quiet", "a", &[ready(NODE)]));
    let named = with(
        objects::named("v1", "Service", "default", "elsewhere"),
        "/spec",
        json!({ "type": "ExternalName", "externalName": "example.com" }),
    );
    cluster.apply(&named);
    rig.expect(
        "headless and ExternalName services have no address",
        &besides(&[]),
    );
    for gone in [
        headless,
        named,
        slice("quiet", "a", &[]),
        slice("web", "a", &[]),
    ] {
        cluster.delete(&gone);
    }
}

fn external_ip_rows(rig: &Rig) {
    let cluster = &rig.cluster;
    let outside = ["203.0.113.5", "172.20.0.5"];
    let web = with(service("web", &[C4]), "/spec/externalIPs", json!(outside));
    cluster.apply(&web);
    cluster.apply(&slice("web", "a", &[ready("n2")]));
    let routes = besides(&[C4_ROUTE, "203.0.113.5/32"]);
    rig.expect("external IPs inside the allowed ranges only", &routes);
    cluster.apply(&service("web", &[C4]));
    rig.expect("an external IP is taken away", &besides(&[C4_ROUTE]));
    cluster.delete(&web);
    rig.expect("and the service", &besides(&[]));
}

fn load_balancer_rows(rig: &Rig) {
    let cluster = &rig.cluster;
    let web = load_balancer("web", &[C4], &[L4]);
    cluster.apply(&web);
    rig.expect(
        "a load balancer's address with a ready endpoint",
        &besides(&[C4_ROUTE, L4_ROUTE]),
    );
    for router in &rig.routers {
        let path = router.wait_route(L4_ROUTE);
        assert!(
            path.communities.contains("64512:20"),
            "the pool's community: {path:?}"
        );
    }
    let stray = load_balancer("web", &[C4], &["192.0.2.200"]);
    cluster.apply(&stray);
    rig.expect(
        "an address outside every pool is not announced",
        &besides(&[C4_ROUTE]),
    );
    cluster.apply(&web);
    rig.expect("the address is back", &besides(&[C4_ROUTE, L4_ROUTE]));
    let mut proxied = web.clone();
    proxied["status"]["loadBalancer"]["ingress"][0]["ipMode"] = json!("Proxy");
    if !rig.cluster.is_old() {
        cluster.apply(&proxied);
        rig.expect(
            "ipMode Proxy: the address is not a node's",
            &besides(&[C4_ROUTE]),
        );
        cluster.apply(&web);
        rig.expect("ipMode VIP again", &besides(&[C4_ROUTE, L4_ROUTE]));
    }
    // The status of the old type may linger; the type decides.
    let mut plain = service("web", &[C4]);
    plain["status"] = web["status"].clone();
    cluster.apply(&plain);
    rig.expect(
        "a service that is no load balancer any more",
        &besides(&[C4_ROUTE]),
    );
    cluster.delete(&plain);
    let held = with(
        web.clone(),
        "/metadata/finalizers",
        json!(["service.kubernetes.io/load-balancer-cleanup"]),
    );
    cluster.apply(&held);
    rig.expect(
        "a service with a finalizer",
        &besides(&[C4_ROUTE, L4_ROUTE]),
    );
    cluster.delete(&held);
    rig.expect(
        "a service that is being deleted is withdrawn at once",
        &besides(&[]),
    );
    class_rows(rig, &web);
}

fn class_rows(rig: &Rig, web: &serde_json::Value) {
    let cluster = &rig.cluster;
    cluster.apply(web);
    if rig.cluster.is_old() {
        return;
    }
    for (class, routes) in [
        ("example.com/theirs", vec![C4_ROUTE]),
        ("example.com/ours", vec![C4_ROUTE, L4_ROUTE]),
    ] {
        // The class cannot be changed while a service lives.
        let classed = with(web.clone(), "/spec/loadBalancerClass", class);
        cluster.apply(&classed);
        rig.expect(&format!("loadBalancerClass {class}"), &besides(&routes));
        cluster.delete(&classed);
        rig.expect("and gone", &besides(&[]));
    }
}

fn policy_rows(rig: &Rig) {
    let cluster = &rig.cluster;
    let web = local(load_balancer("web", &[C4], &[L4]));
    cluster.apply(&web);
    rig.expect(
        "externalTrafficPolicy Local: no endpoint here",
        &besides(&[C4_ROUTE]),
    );
    let all = besides(&[C4_ROUTE, L4_ROUTE]);
    cluster.apply(&slice("web", "a", &[ready("n2"), ready(NODE)]));
    rig.expect("externalTrafficPolicy Local: one here", &all);
    cluster.apply(&slice("web", "a", &[ready("n2"), unready(NODE)]));
    rig.expect("the one here is not ready", &besides(&[C4_ROUTE]));
    cluster.apply(&slice("web", "a", &[ready("n2"), leaving(NODE)]));
    rig.expect(
        "the one here leaves but serves: a rolling update stays up",
        &all,
    );
    cluster.apply(&slice("web", "a", &[ready("n2"), leaving(NODE), ready("")]));
    rig.expect("an endpoint of no node takes nothing away", &all);
    cluster.apply(&slice("web", "a", &[ready("")]));
    rig.expect(
        "an endpoint of no node is Cluster's, never Local's",
        &besides(&[C4_ROUTE]),
    );
    cluster.apply(&load_balancer("web", &[C4], &[L4]));
    rig.expect("Local becomes Cluster", &all);
    cluster.apply(&web);
    rig.expect("Cluster becomes Local", &besides(&[C4_ROUTE]));
    cluster.delete(&web);
    cluster.delete(&slice("web", "a", &[]));
    rig.expect("gone", &besides(&[]));
}

fn family_rows(rig: &Rig) {
    let cluster = &rig.cluster;
    let (both, given) = (["10.96.0.11", "fd00:10:96::11"], [L4, "2001:db8:a::10"]);
    let web = load_balancer("dual", &both, &given);
    cluster.apply(&web);
    cluster.apply(&slice("dual", "a", &[ready("n2")]));
    let v4 = ["10.96.0.11/32", L4_ROUTE];
    rig.expect("endpoints of IPv4 announce IPv4 only", &besides(&v4));
    cluster.apply(&slice("dual", "b6", &[ready("n2")]));
    let v6 = ["fd00:10:96::11/128", L6_ROUTE];
    rig.expect(
        "endpoints of both announce both",
        &besides(&[v4, v6].concat()),
    );
    cluster.delete(&slice("dual", "a", &[]));
    rig.expect("IPv4's slice goes and IPv6 stays", &besides(&v6));
    cluster.delete(&web);
    cluster.delete(&slice("dual", "b6", &[]));
    rig.expect("gone", &besides(&[]));
}

fn slice_rows(rig: &Rig) {
    let cluster = &rig.cluster;
    let web = local(load_balancer("web", &[C4], &[L4]));
    let all = besides(&[C4_ROUTE, L4_ROUTE]);
    cluster.apply(&web);
    cluster.apply(&slice("web", "a", &[ready("n2")]));
    cluster.apply(&slice("web", "b", &[ready(NODE)]));
    cluster.apply(&slice("web", "c", &[unready("n2")]));
    rig.expect("slices of one service add up", &all);
    cluster.apply(&slice("web", "c", &[]));
    rig.expect("a later slice without endpoints takes nothing away", &all);
    cluster.delete(&slice("web", "b", &[]));
    rig.expect(
        "the slice with the local endpoint goes",
        &besides(&[C4_ROUTE]),
    );
    let mut moved = slice("web", "b", &[ready(NODE)]);
    moved["metadata"]["labels"]["kubernetes.io/service-name"] = json!("other");
    cluster.apply(&moved);
    rig.expect(
        "the label says whose slice it is, not its name",
        &besides(&[C4_ROUTE]),
    );
    for suffix in ["a", "b", "c"] {
        cluster.delete(&slice("web", suffix, &[]));
    }
    rig.expect("all slices are gone", &besides(&[]));
    cluster.delete(&web);
}

fn exclusion_rows(rig: &Rig) {
    let cluster = &rig.cluster;
    cluster.apply(&load_balancer("web", &[C4], &[L4]));
    cluster.apply(&slice("web", "a", &[ready(NODE)]));
    let all = besides(&[C4_ROUTE, L4_ROUTE]);
    rig.expect("before", &all);
    let plain = node(NODE, "10.99.0.1", &[POD4, POD6]);
    let label = "/metadata/labels/node.kubernetes.io~1exclude-from-external-load-balancers";
    cluster.apply(&with(plain.clone(), label, ""));
    rig.expect(
        "an excluded node (the label's value is empty)",
        &besides(&[C4_ROUTE]),
    );
    cluster.apply(&plain);
    rig.expect("and back", &all);
    cluster.apply(&with(plain.clone(), "/spec/unschedulable", true));
    rig.expect("a cordoned node goes on", &all);
    let conditions = json!([{ "type": "Ready", "status": "False" }]);
    cluster.apply(&with(plain.clone(), "/status/conditions", conditions));
    rig.expect("a node that is not Ready goes on", &all);
    cluster.apply(&plain);
    cluster.apply(&node("n2", "10.99.0.203", &["10.244.2.0/24"]));
    rig.expect("another node changes", &all);
    cluster.delete(&service("web", &[]));
    cluster.delete(&slice("web", "a", &[]));
    rig.expect("gone", &besides(&[]));
}

fn pool_rows(rig: &Rig) {
    let cluster = &rig.cluster;
    let one = load_balancer("one", &["10.96.0.21"], &["198.51.100.17"]);
    let two = load_balancer("two", &["10.96.0.22"], &["198.51.100.18"]);
    for (service, name) in [(&one, "one"), (&two, "two")] {
        cluster.apply(service);
        cluster.apply(&slice(name, "a", &[ready("n2")]));
    }
    let (c1, c2, block) = ("10.96.0.21/32", "10.96.0.22/32", "198.51.100.16/28");
    rig.expect(
        "an aggregate once one address of it is in use",
        &besides(&[c1, c2, block]),
    );
    cluster.delete(&slice("two", "a", &[]));
    rig.expect("and as long as one is", &besides(&[c1, block]));
    cluster.apply(&slice("two", "a", &[ready("n2")]));
    cluster.apply(&local(two.clone()));
    let taken_apart = besides(&[c1, c2, "198.51.100.17/32"]);
    rig.expect(
        "an aggregate is taken apart for a Local service not here",
        &taken_apart,
    );
    cluster.apply(&slice("two", "a", &[ready(NODE)]));
    rig.expect("and made again when it is here", &besides(&[c1, c2, block]));
    // Two services share an address: either may serve it.
    let shared = load_balancer("one", &["10.96.0.21"], &["198.51.100.18"]);
    cluster.apply(&shared);
    cluster.delete(&slice("one", "a", &[]));
    rig.expect(
        "a shared address, one owner without endpoints",
        &besides(&[c2, block]),
    );
    for gone in [&one, &two] {
        cluster.delete(gone);
    }
    cluster.delete(&slice("two", "a", &[]));
    rig.expect("gone", &besides(&[]));
}

fn last_rows(rig: &Rig) {
    let cluster = &rig.cluster;
    cluster.apply(&load_balancer("web", &[C4], &[L4]));
    cluster.apply(&slice("web", "a", &[ready("n2")]));
    rig.expect(
        "a load balancer before the node's object goes",
        &besides(&[C4_ROUTE, L4_ROUTE]),
    );
    let opted_out = with(
        load_balancer("web", &[C4], &[L4]),
        "/metadata/annotations/wayfare.dev~1advertise",
        "none",
    );
    cluster.apply(&opted_out);
    rig.expect("a service that opts out by annotation", &besides(&[]));
}
