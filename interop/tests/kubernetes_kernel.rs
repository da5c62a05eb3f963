//! The kernel of a node in a cluster: what other nodes announce, and what the node itself does.
//!
//! The node is in a mesh with two nodes that run another implementation. What becomes of a packet
//! of a client on the node is the kernel's answer to `ip route get`, not what our tables say.

use interop::kubernetes::objects::{load_balancer, node, ready, slice};
use interop::lab::{self, Lab};
use interop::node::Node;
use interop::peers::{Kind, Router, wayfare};
use interop::speaker::{Neighbor, Speaker};
use interop::wait;

const ASN: u32 = 64512;
const FOLDER: &str = "/run/node/manifests";
/// Announced by both of the others.
const VIP: &str = "198.51.100.10/32";
const PODS: &str = "10.244.9.0/24";
/// An address of a service, announced by both of the others too.
const SERVICE: &str = "10.96.0.7/32";
const CONFIG: &str = "[router]\nasn = 64512\nrouter-id = \"10.99.0.1\"\n\n\
    [kernel]\nmultipath = 8\n\n\
    [[peer-group]]\nname = \"nodes\"\nimport = \"accept-all\"\nexport = \"accept-all\"\n\n\
    [kubernetes]\nfrom = \"dir:///run/node/manifests\"\nnode-name = \"n1\"\ngate = \"off\"\n\
    mesh = \"full\"\npeer-group = \"nodes\"\nservice-cidrs = [\"10.96.0.0/16\"]\n\
    advertise = [\"pod-cidr\", \"load-balancer-ip\"]\n\n\
    [[pool]]\nname = \"web\"\naddresses = [\"192.0.2.0/24\"]\naggregation-length = 24\n";

/// A node of ours and two others, all announcements there.
fn cluster(lab: &mut Lab) -> (Node, Vec<Router>) {
    let own = lab.node("n1");
    own.sh("mkdir -p /var/lib/wayfare");
    own.sh("ip route add default via 10.99.0.2");
    for (name, object) in [
        ("n1", node("n1", "10.99.0.1", &["10.244.1.0/24"])),
        ("n2", node("n2", "10.99.0.2", &[])),
        ("n3", node("n3", "10.99.0.3", &[])),
        (
            "web",
            load_balancer("web", &["10.96.0.10"], &["192.0.2.10"]),
        ),
        ("slice", slice("web", "a", &[ready("n1")])),
    ] {
        own.write(&format!("{FOLDER}/{name}.json"), object.to_string());
    }
    own.write(wayfare::CONFIG, CONFIG);
    let mut starts = Vec::new();
    for name in ["n2", "n3"] {
        let host = lab.node(name);
        let local = Lab::address(host.index());
        let mut speaker = Speaker::new(ASN, local);
        for prefix in [VIP, PODS, SERVICE] {
            speaker = speaker.network(prefix);
        }
        let neighbor = Neighbor::new(local, Lab::address(1), ASN);
        starts.push((Kind::Bird, host, speaker.neighbor(neighbor)));
    }
    let others = Router::start_all(starts);
    wayfare::start(&own);
    for other in &others {
        other.wait_established(Lab::address(1));
    }
    (own, others)
}

/// What `ip route show` says of a prefix: its gateways, sorted.
fn gateways(node: &Node, prefix: &str) -> Result<Vec<String>, String> {
    let text = node.output("ip", &["route", "show", prefix, "proto", "186"])?;
    let words: Vec<&str> = text.split_whitespace().collect();
    let vias = words.windows(2).filter(|pair| pair[0] == "via");
    let mut found: Vec<String> = vias.map(|pair| pair[1].to_owned()).collect();
    found.sort();
    Ok(found)
}

fn wait_gateways(node: &Node, prefix: &str, wanted: &[&str]) {
    wait::until(
        &format!("{prefix} over {wanted:?}"),
        20,
        || match gateways(node, prefix)? {
            found if found == wanted => Ok(()),
            found => Err(format!("{found:?}")),
        },
    );
}

#[test]
fn nodes_that_announce_the_same_share_its_packets() {
    lab::enter("nodes_that_announce_the_same_share_its_packets", |lab| {
        let (own, others) = cluster(lab);
        for prefix in [VIP, PODS] {
            wait_gateways(&own, prefix, &["10.99.0.2", "10.99.0.3"]);
        }
        // BGP has the service, the kernel does not: kube-proxy answers for it.
        wait::until("both announce the service", 20, || {
            let known = wayfare::show(&own, &format!("show bgp ipv4 unicast {SERVICE}"))?;
            match known["paths"].as_array().map(Vec::len) {
                Some(2) => Ok(()),
                _ => Err(known.to_string()),
            }
        });
        assert_eq!(gateways(&own, SERVICE), Ok(Vec::new()));
        let why = wayfare::wayfare(&own, &format!("explain route {SERVICE}"));
        let why = why.expect("an explanation");
        assert!(
            why.contains("left to kube-proxy: cluster addresses, 10.96.0.0/16"),
            "{why}"
        );
        others[1].kill();
        for prefix in [VIP, PODS] {
            wait_gateways(&own, prefix, &["10.99.0.2"]);
        }
    });
}

/// The pool's aggregate goes out, and a client on the node still gets out to its addresses: the
/// translation of a service comes after the route was looked up.
#[test]
fn an_aggregate_hides_no_address_from_the_node_itself() {
    lab::enter(
        "an_aggregate_hides_no_address_from_the_node_itself",
        |lab| {
            let (own, others) = cluster(lab);
            others[0].wait_route("192.0.2.0/24");
            for address in ["192.0.2.10", "192.0.2.77"] {
                let way = own.sh(&format!("ip route get {address}"));
                assert!(way.contains("via 10.99.0.2"), "{way}");
            }
            // Pods of this node are another matter: what no pod takes is dropped.
            wait::until("the discard route of the node's own pods", 20, || {
                let text = own.output("ip", &["route", "show", "type", "blackhole"])?;
                let lines: Vec<&str> = text.lines().collect();
                match lines.as_slice() {
                    [line] if line.contains("10.244.1.0/24") => Ok(()),
                    _ => Err(text),
                }
            });
        },
    );
}
