//! Without any API server: manifests in a folder, and what a node says when it leaves.

use interop::apiserver::ApiServer;
use interop::kubernetes::Cluster;
use interop::kubernetes::objects::{load_balancer, node, ready, slice};
use interop::kubernetes::rig::{NODE, Plan, Rig};
use interop::lab::Lab;
use interop::peers::wayfare;
use interop::wait;
use interop::with_each_server;

with_each_server!(manifests, manifests_of_a_folder_are_read_again = Own);
with_each_server!(drain, a_drained_node_warns_first_and_withdraws_then = Own);

const POOL: &str = "\n[[pool]]\nname = \"web\"\naddresses = [\"192.0.2.0/24\"]\n";
const POD: &str = "10.244.1.0/24";
const WEB: &str = "192.0.2.10/32";
const FOLDER: &str = "/run/node/manifests";
/// GRACEFUL_SHUTDOWN (RFC 8326).
const GRACEFUL_SHUTDOWN: &str = "65535:0";

fn manifests(lab: &mut Lab, cluster: Cluster) {
    let plan = Plan {
        kubernetes: format!("gate = \"off\"\nfrom = \"dir://{FOLDER}\"\n"),
        rest: POOL.to_owned(),
        ..Plan::default()
    };
    let rig = Rig::prepare(lab, cluster, &plan);
    let file = |name: &str, object: &serde_json::Value| {
        rig.node
            .write(&format!("{FOLDER}/{name}"), object.to_string());
    };
    file("node.yaml", &node(NODE, "10.99.0.1", &[POD]));
    file(
        "web.yaml",
        &load_balancer("web", &["10.96.0.10"], &["192.0.2.10"]),
    );
    rig.start_agent();
    rig.wait_established();
    rig.expect("what the folder holds at the start", &[POD]);
    file("slice.json", &slice("web", "a", &[ready(NODE)]));
    rig.expect("a file appears", &[POD, WEB]);
    file("slice.json", &slice("web", "a", &[]));
    rig.expect("a file changes", &[POD]);
    file("slice.json", &slice("web", "a", &[ready(NODE)]));
    rig.expect("and changes back", &[POD, WEB]);
    rig.node
        .write(&format!("{FOLDER}/broken.yaml"), "kind: [Service\n");
    rig.node.write(
        &format!("{FOLDER}/other.yaml"),
        "kind: Pod\napiVersion: v1\n",
    );
    let before = rig.updates();
    rig.node.sh(&format!("rm {FOLDER}/web.yaml"));
    rig.expect("a file goes, beside a broken one", &[POD]);
    assert_eq!(
        rig.updates(),
        before.iter().map(|count| count + 1).collect::<Vec<_>>()
    );
    // Nobody asked the API server for anything.
    let asked = rig
        .cluster
        .own()
        .map(ApiServer::take_asked)
        .unwrap_or_default();
    assert!(asked.is_empty(), "{asked:?}");
}

fn drain(lab: &mut Lab, cluster: Cluster) {
    let plan = Plan {
        kubernetes: "gate = \"off\"\ndrain-time = \"2s\"\n".to_owned(),
        rest: POOL.to_owned(),
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
    rig.expect("before", &[POD, WEB]);
    let router = &rig.routers[0];
    wayfare::wayfare(&rig.node, "drain").unwrap_or_else(|why| panic!("{why}"));
    wait::until("the routes carry GRACEFUL_SHUTDOWN", 10, || {
        let paths = router.paths(WEB)?;
        let warned = paths
            .iter()
            .any(|path| path.communities.contains(GRACEFUL_SHUTDOWN));
        warned.then_some(()).ok_or_else(|| format!("{paths:?}"))
    });
    rig.expect("what services ask for is withdrawn then", &[POD]);
    // Pods that stay on a drained node are still reached, by those who have no other way.
    let path = router.wait_route(POD);
    assert!(path.communities.contains(GRACEFUL_SHUTDOWN), "{path:?}");
    wayfare::wayfare(&rig.node, "drain undo").unwrap_or_else(|why| panic!("{why}"));
    rig.expect("the drain is undone", &[POD, WEB]);
    let path = router.wait_route(WEB);
    assert!(!path.communities.contains(GRACEFUL_SHUTDOWN), "{path:?}");
}
