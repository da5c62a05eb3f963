//! A node of kube-router's cluster, as a router sees it: flags as `wayfare convert` hands them on,
//! annotations that count as soon as they are there.

use interop::kubernetes::Cluster;
use interop::kubernetes::objects::{load_balancer, node, ready, slice, with};
use interop::kubernetes::rig::{NODE, Plan, Rig};
use interop::lab::Lab;
use interop::with_each_server;
use serde_json::Value;

with_each_server!(
    flags_and_annotations,
    flags_and_annotations_with_own_server = Own,
    flags_and_annotations_with_mini = Mini,
);

const ARGS: &str = "gate = \"off\"\nsources = [\"kube-router\"]\npeer-group = \"quick\"\n\
kube-router-args = [\n  \"--cluster-asn=64512\",\n  \"--peer-router-ips=10.99.0.2\",\n  \
\"--peer-router-asns=64500\",\n  \"--advertise-loadbalancer-ip=true\",\n  \
\"--bgp-graceful-restart=true\",\n  \"--enable-overlay=false\",\n]\n";
const POD: &str = "10.244.1.0/24";
const CLUSTER_IP: &str = "10.96.0.10/32";
const BALANCED: &str = "198.51.100.7/32";

fn annotated(object: Value, annotations: &[(&str, &str)]) -> Value {
    let named = annotations
        .iter()
        .map(|(key, value)| (format!("kube-router.io/{key}"), Value::from(*value)));
    with(
        object,
        "/metadata/annotations",
        Value::Object(named.collect()),
    )
}

fn flags_and_annotations(lab: &mut Lab, cluster: Cluster) {
    let plan = Plan {
        kubernetes: ARGS.to_owned(),
        rest: "\n[[peer-group]]\nname = \"quick\"\nconnect-retry = \"1s\"\n".to_owned(),
        neighbor: None,
        ..Plan::default()
    };
    let rig = Rig::start(lab, cluster, &plan);
    let own = || node(NODE, "10.99.0.1", &[POD]);
    let web = || load_balancer("web", &["10.96.0.10"], &["198.51.100.7"]);
    let apply = |object: Value| rig.cluster.apply(&object);
    apply(own());
    apply(web());
    apply(slice("web", "a", &[ready(NODE)]));
    rig.wait_established();
    rig.expect("the flags", &[POD, BALANCED]);

    let name = "service.advertise.clusterip";
    apply(annotated(web(), &[(name, "true")]));
    rig.expect("opted in", &[POD, BALANCED, CLUSTER_IP]);
    apply(annotated(
        web(),
        &[
            ("service.advertise.loadbalancerip", "false"),
            (name, "true"),
        ],
    ));
    rig.expect("and out", &[POD, CLUSTER_IP]);
    apply(annotated(web(), &[("service.local", "true")]));
    rig.expect("local, served here", &[POD, BALANCED]);
    apply(slice("web", "a", &[ready("elsewhere")]));
    rig.expect("local, served elsewhere", &[POD]);
    apply(annotated(web(), &[("service.local", "false")]));
    rig.expect("anywhere", &[POD, BALANCED]);

    apply(annotated(
        own(),
        &[
            ("path-prepend.as", "65099"),
            ("path-prepend.repeat-n", "2"),
            ("node.bgp.communities", "65000:100"),
        ],
    ));
    let router = &rig.routers[0];
    interop::wait::until("annotations of the node, live", 20, || {
        let path = router.wait_route(POD);
        let is_there =
            path.as_path == [64512, 65099, 65099] && path.communities.contains("65000:100");
        is_there.then_some(()).ok_or_else(|| format!("{path:?}"))
    });
    apply(annotated(own(), &[("pod-cidr", "10.245.7.0/24")]));
    rig.expect("another pod CIDR", &["10.245.7.0/24", BALANCED]);
    rig.cluster.delete(&web());
    rig.expect("the service is gone", &["10.245.7.0/24"]);
}
