//! BIRD 1.6 as Calico runs it, in the peers' image.
//!
//! The configuration is written here in the shape that Calico's templates have, and says the same
//! as the manifests beside it: a mesh, a pool, a block of each node, a range of cluster addresses,
//! communities for the pool. Which side of the mesh
//! waits for the other follows the text of the addresses.

use std::collections::BTreeSet;
use std::fmt::Write;

use interop::node::Node;
use interop::peers::bird::parse_routes;
use interop::speaker::Path;
use interop::wait;

/// Nodes of the cluster.
pub const NODES: u8 = 3;
const HOME: &str = "/usr/local/lib/bird1/usr/sbin";
const SOCKET: &str = "/run/node/bird.ctl";

/// Learned routes: prefix and path, sorted.
pub type Table = Vec<(String, Path)>;

/// Whether the image holds it.
pub fn is_there(node: &Node) -> bool {
    node.run("test", &["-x", &format!("{HOME}/bird")])
        .status
        .success()
}

/// Starts it on `bird.conf` of a directory, from where it finds what that includes.
pub fn start(node: &Node, dir: &str) {
    node.sh(&format!(
        "cd {dir} && {HOME}/bird -c {dir}/bird.conf -s {SOCKET} -P {dir}/bird.pid"
    ));
    wait::until("BIRD 1.6 answers", 10, || birdc(node, "show status"));
}

/// Ends it without a farewell.
pub fn stop(node: &Node) {
    node.kill(&["bird"]);
    wait::until_true("BIRD is gone", 10, || !node.has_process("bird"));
}

fn birdc(node: &Node, command: &str) -> Result<String, String> {
    node.output(
        "sh",
        &[
            "-c",
            &format!("{HOME}/birdc -r -s {SOCKET} '{command}' </dev/null"),
        ],
    )
}

/// What it learned over BGP.
pub fn learned(node: &Node) -> Result<Table, String> {
    let text = birdc(node, "show route all where source = RTS_BGP")?;
    let routes = parse_routes(&text).into_iter();
    let mut table: Table = routes
        .filter_map(|(net, path)| Some((net?.to_string(), path)))
        .collect();
    table.sort_by_key(|(net, path)| (net.clone(), path.next_hops.first().copied()));
    Ok(table)
}

/// Every prefix of its table that is BGP's or its own.
pub fn everything(node: &Node) -> Result<BTreeSet<String>, String> {
    let text = birdc(node, "show route where source ~ [RTS_BGP, RTS_STATIC]")?;
    let first = |line: &str| line.split_whitespace().next()?.parse().ok();
    let nets = text.lines().filter_map(first);
    Ok(nets.map(|net: ipnet::IpNet| net.to_string()).collect())
}

/// The block of a node.
fn block(index: u8) -> String {
    format!("192.168.{index}.0/26")
}

/// The configuration of a node.
pub fn bird_conf(index: u8) -> String {
    let own = format!("10.99.0.{index}");
    let block = block(index);
    let mut text = format!(
        "log \"/run/node/bird.log\" all;\nrouter id {own};\n\
         function mark_pods() {{ if net ~ 192.168.0.0/16 then {{\n\
           bgp_community.add((64512, 7)); bgp_large_community.add((64512, 1, 7)); }} }}\n\
         function own_block() {{\n\
           if net = {block} then accept;\n\
           if net ~ {block} && krt_metric < 1024 then accept;\n\
           if net ~ {block} then reject; }}\n\
         function tell() {{ mark_pods(); own_block();\n\
           if net ~ 10.101.0.0/16 then accept;\n\
           if net ~ 192.168.0.0/16 then accept; }}\n\
         filter programming {{\n\
           if net ~ 10.101.0.0/16 then reject;\n\
           if source = RTS_BGP && !defined(krt_metric) then krt_metric = 1024;\n\
           accept; }}\n\
         protocol static {{ route {block} blackhole; route 10.101.0.0/16 blackhole; }}\n\
         protocol kernel {{ learn; persist; scan time 2; import all;\n\
           export filter programming; graceful restart; merge paths on; }}\n\
         protocol device {{ scan time 2; }}\n\
         protocol direct {{ interface -\"cali*\", \"*\"; }}\n\
         template bgp node_peer {{ local as 64512; multihop; gateway recursive; add paths on;\n\
           graceful restart; connect delay time 1; connect retry time 2; error wait time 1,2; }}\n"
    );
    for other in (1..=NODES).filter(|other| *other != index) {
        let address = format!("10.99.0.{other}");
        let passive = if address > own { "passive on;" } else { "" };
        let _ = write!(
            text,
            "protocol bgp Mesh_{other} from node_peer {{\n\
               neighbor {address} as 64512; source address {own}; {passive}\n\
               import all;\n\
               export filter {{\n\
                 if source = RTS_BGP && defined(bgp_local_pref) then\n\
                   krt_metric = 2147483647 - bgp_local_pref;\n\
                 else {{\n\
                   if !defined(krt_metric) then krt_metric = 1024;\n\
                   bgp_local_pref = 2147483647 - krt_metric; }}\n\
                 tell(); reject; }};\n\
             }}\n"
        );
    }
    text
}

/// The same cluster as objects, by the names of their files.
pub fn manifests() -> Vec<(String, String)> {
    let api = "apiVersion: projectcalico.org/v3\n";
    let mut list = vec![
        (
            "configuration".to_owned(),
            format!(
                "{api}kind: BGPConfiguration\nmetadata: {{ name: default }}\nspec:\n\
                 \x20 asNumber: 64512\n\
                 \x20 serviceClusterIPs: [{{ cidr: 10.101.0.0/16 }}]\n\
                 \x20 communities: [{{ name: pods, value: \"64512:1:7\" }}]\n\
                 \x20 prefixAdvertisements:\n\
                 \x20   - {{ cidr: 192.168.0.0/16, communities: [pods, \"64512:7\"] }}\n"
            ),
        ),
        (
            "pool".to_owned(),
            format!(
                "{api}kind: IPPool\nmetadata: {{ name: pods }}\n\
                 spec: {{ cidr: 192.168.0.0/16, ipipMode: Never, vxlanMode: Never }}\n"
            ),
        ),
    ];
    for index in 1..=NODES {
        list.push((
            format!("node-{index}"),
            format!(
                "{api}kind: Node\nmetadata: {{ name: n{index} }}\n\
                 spec: {{ bgp: {{ ipv4Address: 10.99.0.{index}/24 }} }}\n"
            ),
        ));
        list.push((
            format!("block-{index}"),
            format!(
                "{api}kind: BlockAffinity\nmetadata: {{ name: n{index}-block }}\n\
                 spec: {{ cidr: {}, node: n{index}, state: confirmed }}\n",
                block(index)
            ),
        ));
    }
    list
}
