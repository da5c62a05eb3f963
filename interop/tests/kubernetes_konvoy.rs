//! The snippets of the Konvoy documents, unchanged: an operator's files must work as they are.
//!
//! MetalLB's old ConfigMap in BGP mode (pool `my-ip-space`, peer 64500), the subnets of pods and
//! services, a node pool of route reflectors.

use interop::kubernetes::Cluster;
use interop::kubernetes::objects::{load_balancer, node, ready, slice};
use interop::kubernetes::rig::{NODE, Plan, Rig};
use interop::lab::Lab;
use interop::peers::Kind;
use interop::with_each_server;

with_each_server!(
    metallb_in_bgp_mode,
    metallb_in_bgp_mode_with_own_server = Own,
    metallb_in_bgp_mode_with_mini = Mini,
    metallb_in_bgp_mode_with_full = Full,
);

/// As in the document, but for the peer's address, which is the lab's router.
const CONFIG_MAP: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata:
  namespace: metallb-system
  name: config
data:
  config: |
    peers:
    - my-asn: 64500
      peer-asn: 64500
      peer-address: 10.99.0.2
    address-pools:
    - name: my-ip-space
      protocol: bgp
      addresses:
      - 172.40.100.0/24
"#;

fn metallb_in_bgp_mode(lab: &mut Lab, cluster: Cluster) {
    let plan = Plan {
        kubernetes: "gate = \"off\"\nsources = [\"metallb\", \"native\"]\npeer-group = \"tor\"\n\
                     advertise = [\"pod-cidr\", \"load-balancer-ip\"]\n"
            .to_owned(),
        rest: "\n[[peer-group]]\nname = \"tor\"\nconnect-retry = \"1s\"\n".to_owned(),
        neighbor: None,
        routers: vec![Kind::Bird],
        node_asn: 64500,
        router_asn: 64500,
        ..Plan::default()
    };
    cluster.manifest("apiVersion: v1\nkind: Namespace\nmetadata: { name: metallb-system }\n");
    cluster.manifest(CONFIG_MAP);
    let rig = Rig::start(lab, cluster, &plan);
    rig.cluster
        .apply(&node(NODE, "10.99.0.1", &["192.168.1.0/24"]));
    rig.wait_established();
    let web = load_balancer("web", &["10.0.51.10"], &["172.40.100.1"]);
    let web = match rig.cluster.own() {
        Some(_) => web,
        // A real server gives cluster addresses of its own range only.
        None => load_balancer("web", &["10.96.0.10"], &["172.40.100.1"]),
    };
    rig.cluster.apply(&web);
    rig.cluster.apply(&slice("web", "a", &[ready(NODE)]));
    rig.expect(
        "the pool's address in use",
        &["192.168.1.0/24", "172.40.100.1/32"],
    );
    rig.cluster.delete(&slice("web", "a", &[]));
    rig.expect("and without an endpoint", &["192.168.1.0/24"]);
}
