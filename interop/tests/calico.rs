//! A cluster of Calico's BIRD and of ours, node by node.
//!
//! Three nodes run BIRD 1.6.8 with a configuration in the shape that Calico writes. Then the first
//! becomes one of ours, which reads the same cluster as objects from a folder. To the others
//! nothing may have changed: the same routes with the same attributes, path by path; and to the
//! machine neither: the same discard routes, the same next hops.
//!
//! A second test does it with a configuration of Calico's own, where the data beside the checkout
//! hold it.

#[path = "calico/bird1.rs"]
mod bird1;

use std::collections::BTreeSet;

use bird1::{NODES, Table, bird_conf};
use interop::lab;
use interop::node::Node;
use interop::peers::wayfare;
use interop::rootfs::shared_data;
use interop::wait;

const FOLDER: &str = "/run/node/manifests";

/// Our daemon on a node of this address and name, fed from the folder.
fn ours(node: &Node, name: &str, address: &str, port: u16) {
    let text = format!(
        "[router]\nasn = 64512\nrouter-id = \"{address}\"\nlisten = [\"{address}:{port}\"]\n\n\
         [kernel]\n\n[kubernetes]\nfrom = \"dir://{FOLDER}\"\nnode-name = \"{name}\"\n\
         sources = [\"calico\"]\ngate = \"off\"\n"
    );
    node.write(wayfare::CONFIG, text);
    wayfare::start(node);
}

/// What the kernel of a node holds: discarded prefixes, and prefixes with their gateways.
fn kernel(node: &Node) -> BTreeSet<String> {
    let route = |route: &serde_json::Value| {
        let text = |key: &str| route[key].as_str().unwrap_or_default().to_owned();
        let protocol = text("protocol");
        let is_ours = !["kernel", "boot", "static"].contains(&protocol.as_str());
        is_ours.then(|| format!("{} {} {}", text("type"), text("dst"), text("gateway")))
    };
    let all = node.routes("-d table main").expect("ip answers");
    all.iter().filter_map(route).collect()
}

#[test]
fn a_node_of_birds_mesh_becomes_ours_and_nobody_sees_it() {
    lab::enter(
        "a_node_of_birds_mesh_becomes_ours_and_nobody_sees_it",
        |lab| {
            let nodes: Vec<Node> = (1..=NODES).map(|i| lab.node(&format!("n{i}"))).collect();
            if !bird1::is_there(&nodes[0]) {
                eprintln!("SKIPPED mixed mesh: the peers' image has no BIRD 1.6");
                return;
            }
            for node in &nodes {
                node.write("/run/node/bird.conf", bird_conf(node.index()));
                bird1::start(node, "/run/node");
            }
            let seen_by = |node: &Node, count: usize| -> Table {
                wait::until(&format!("{} routes at {}", count, node.name()), 60, || {
                    let table = bird1::learned(node)?;
                    match table.len() == count {
                        true => Ok(table),
                        false => Err(format!("{table:#?}")),
                    }
                })
            };
            // Of each other node a block and the range of services.
            let before: Vec<Table> = nodes.iter().map(|node| seen_by(node, 4)).collect();
            let settled = wait::until("the first node's kernel", 20, || match kernel(&nodes[0]) {
                routes if routes.len() == 3 => Ok(routes),
                routes => Err(format!("{routes:?}")),
            });

            bird1::stop(&nodes[0]);
            nodes[0].sh("ip route flush proto bird");
            for (name, text) in bird1::manifests() {
                nodes[0].write(&format!("{FOLDER}/{name}.yaml"), text);
            }
            ours(&nodes[0], "n1", "10.99.0.1", 179);
            for (node, before) in nodes.iter().zip(&before).skip(1) {
                wait::until(&format!("the same table at {}", node.name()), 60, || {
                    let after = bird1::learned(node)?;
                    match &after == before {
                        true => Ok(()),
                        false => Err(format!("{after:#?}\nexpected {before:#?}")),
                    }
                });
            }
            wait::until("the same routes in our kernel", 30, || {
                match kernel(&nodes[0]) {
                    routes if routes == settled => Ok(()),
                    routes => Err(format!("{routes:#?}\nexpected {settled:#?}")),
                }
            });
            let shown = wayfare::show(&nodes[0], "show bgp ipv4 unicast").expect("our own table");
            let ours: BTreeSet<String> = shown["routes"]
                .as_object()
                .map(|routes| routes.keys().cloned().collect())
                .unwrap_or_default();
            let theirs: BTreeSet<String> = bird1::everything(&nodes[1]).expect("BIRD's own table");
            assert_eq!(ours, theirs, "identical tables on both sides");
        },
    );
}

#[test]
fn calicos_own_configuration_and_ours_hold_the_same() {
    lab::enter("calicos_own_configuration_and_ours_hold_the_same", |lab| {
        let base = "k8s/projectcalico+calico/confd/tests";
        let Some(base) = shared_data(base) else {
            eprintln!("SKIPPED Calico's own configuration: the data are not beside the checkout");
            return;
        };
        let (master, node) = (lab.node("kube-master"), lab.node("kube-node-1"));
        if !bird1::is_there(&master) {
            eprintln!("SKIPPED Calico's own configuration: the image has no BIRD 1.6");
            return;
        }
        golden(&base, &master, &node);
    });
}

fn golden(base: &std::path::Path, master: &Node, node: &Node) {
    let case = "mesh/communities";
    for (host, last) in [(master, 2), (node, 3)] {
        host.sh(&format!("ip addr add 10.192.0.{last}/16 dev eth0"));
    }
    for part in ["", "_aggr", "_ipam"] {
        let file = base.join(format!("compiled_templates/{case}/bird{part}.cfg"));
        let text = std::fs::read_to_string(file).expect("the data are whole");
        master.write(&format!("/run/node/bird{part}.cfg"), text);
    }
    master.sh("mv /run/node/bird.cfg /run/node/bird.conf");
    bird1::start(master, "/run/node");
    let input = base.join(format!("mock_data/calicoctl/{case}/input.yaml"));
    let input = std::fs::read_to_string(input).expect("the data are whole");
    node.write(&format!("{FOLDER}/input.yaml"), input);
    let block = "apiVersion: projectcalico.org/v3\nkind: BlockAffinity\n\
                 metadata: { name: ours }\n\
                 spec: { cidr: 192.168.7.0/26, node: kube-node-1, state: confirmed }\n";
    node.write(&format!("{FOLDER}/block.yaml"), block);
    ours(node, "kube-node-1", "10.192.0.3", 177);
    let wanted: BTreeSet<String> = [
        "10.0.0.0/30",
        "10.1.0.0/24",
        "192.168.7.0/26",
        "192.168.221.64/26",
        "192.168.221.192/26",
    ]
    .map(str::to_owned)
    .into();
    wait::until("the routes of both at us", 60, || {
        let shown = wayfare::show(node, "show bgp ipv4 unicast")?;
        let routes = shown["routes"].as_object().cloned().unwrap_or_default();
        let found: BTreeSet<String> = routes.keys().cloned().collect();
        match found == wanted {
            true => Ok(()),
            false => Err(format!("{found:?}")),
        }
    });
    wait::until("the routes of both at BIRD", 30, || {
        let found: BTreeSet<String> = bird1::everything(master)?;
        // Its own interface's subnets are in its table too, and go nowhere.
        let found = found
            .iter()
            .filter(|net| !net.starts_with("10.99.") && !net.starts_with("10.192."));
        let found: BTreeSet<String> = found.cloned().collect();
        match found == wanted {
            true => Ok(()),
            false => Err(format!("{found:?}")),
        }
    });
    let learned = bird1::learned(master).expect("birdc answers");
    let (net, path) = learned.first().expect("our block");
    assert_eq!(net, "192.168.7.0/26");
    assert_eq!(path.local_pref, Some(2_147_482_623));
    assert_eq!(
        path.next_hops,
        ["10.192.0.3".parse::<std::net::IpAddr>().unwrap()]
    );
    let communities = ["100:6532", "5663:12"].map(str::to_owned);
    assert_eq!(path.communities, communities.into());
    assert_eq!(path.large_communities, ["100:555:107".to_owned()].into());
    let shown = wayfare::show(node, "show bgp ipv4 unicast 192.168.221.64/26").expect("a route");
    let theirs = &shown["paths"][0];
    assert_eq!(theirs["localpref"], 2_147_482_623);
    assert_eq!(theirs["community"]["string"], "100:6532 5663:12");
    wait::until("our block as a discard route", 20, || match kernel(node) {
        routes if routes.contains("blackhole 192.168.7.0/26 ") => Ok(()),
        routes => Err(format!("{routes:?}")),
    });
}
