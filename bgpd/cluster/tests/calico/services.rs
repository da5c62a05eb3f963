//! Services, blocks, and who writes which route.
//!
//! n1 is the node. Cluster addresses are 10.96.0.0/16, external ones 203.0.113.0/24, load-balancer
//! ones 198.51.100.0/24, and 192.0.2.9 stands alone.

use cluster::TunnelMode;
use ipnet::IpNet;

use crate::scene::Scene;

const BASE: &str = "
    Node n1 10.0.0.10
    CoreNode n1 { labels: {} }
    IPPool pods { cidr: 192.168.0.0/16, ipipMode: Never }
    BGPConfiguration default { serviceClusterIPs: [{ cidr: 10.96.0.0/16 }], \
    serviceExternalIPs: [{ cidr: 203.0.113.0/24 }, { cidr: 192.0.2.9/32 }], \
    serviceLoadBalancerIPs: [{ cidr: 198.51.100.0/24 }] }
";
const RANGES: [&str; 3] = ["10.96.0.0/16", "198.51.100.0/24", "203.0.113.0/24"];
const EXCLUDE: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

fn service(policy: &str, more: &str) -> String {
    format!(
        "Service web {{ spec: {{ type: LoadBalancer, clusterIP: 10.96.0.7, \
         clusterIPs: [10.96.0.7], externalTrafficPolicy: {policy}{more} }}, \
         status: {{ loadBalancer: {{ ingress: [{{ ip: 198.51.100.7 }}] }} }} }}"
    )
}

fn slice(node: &str, ready: bool) -> String {
    format!(
        "EndpointSlice web-1 {{ addressType: IPv4, endpoints: [{{ addresses: [192.168.1.1], \
         nodeName: {node}, conditions: {{ ready: {ready} }} }}] }}"
    )
}

fn with(extra: &[&str]) -> Vec<String> {
    let mut all: Vec<IpNet> = RANGES
        .iter()
        .chain(extra)
        .map(|net| net.parse().unwrap())
        .collect();
    all.sort();
    all.iter().map(IpNet::to_string).collect()
}

#[test]
fn ranges_stand_for_services_of_policy_cluster() {
    let mut scene = Scene::new(BASE);
    assert_eq!(scene.announced(), with(&[]), "without any service");
    scene.add(&service("Cluster", ""));
    scene.add(&slice("n2", true));
    assert_eq!(scene.announced(), with(&[]));
    // A single address as a range: alone, and nothing of the service beside it.
    scene.add(&service(
        "Cluster",
        ", externalIPs: [192.0.2.9, 203.0.113.4, 8.8.8.8]",
    ));
    assert_eq!(scene.announced(), with(&["192.0.2.9/32"]));
    scene.add(&slice("n2", false));
    assert_eq!(scene.announced(), with(&[]), "no endpoint, no address");
}

#[test]
fn addresses_of_policy_local_stand_alone_where_endpoints_are() {
    let mut scene = Scene::new(BASE);
    scene.add(&service("Local", ", externalIPs: [203.0.113.4, 8.8.8.8]"));
    scene.add(&slice("n2", true));
    assert_eq!(scene.announced(), with(&[]));
    scene.add(&slice("n1", true));
    let alone = ["10.96.0.7/32", "198.51.100.7/32", "203.0.113.4/32"];
    assert_eq!(scene.announced(), with(&alone));
    // The slice goes: not the next event of the service withdraws, but this one.
    scene.add("EndpointSlice web-1 { addressType: IPv4, endpoints: [] }");
    assert_eq!(scene.announced(), with(&[]));
    // Endpoints of the other family serve nothing here.
    scene.add(
        &slice("n1", true)
            .replace("IPv4", "IPv6")
            .replace("192.168.1.1", "'fd00::1'"),
    );
    assert_eq!(scene.announced(), with(&[]));
}

#[test]
fn without_aggregation_every_served_address_stands_alone() {
    let mut scene = Scene::new(BASE);
    let split = BASE.replace(
        "serviceLoadBalancerIPs",
        "serviceLoadBalancerAggregation: Disabled, serviceLoadBalancerIPs",
    );
    scene.add(&split);
    let ranges = ["10.96.0.0/16", "203.0.113.0/24"];
    assert_eq!(scene.announced(), ranges);
    scene.add(&service("Cluster", ""));
    scene.add(&slice("n2", true));
    assert_eq!(
        scene.announced(),
        ["10.96.0.0/16", "198.51.100.7/32", "203.0.113.0/24"]
    );
}

#[test]
fn an_excluded_node_says_nothing_of_services() {
    let mut scene = Scene::new(BASE);
    scene.add(&service("Local", ""));
    scene.add(&slice("n1", true));
    scene.add(&format!(
        "CoreNode n1 {{ labels: {{ {EXCLUDE}: 'true' }} }}"
    ));
    assert!(scene.announced().is_empty(), "{:?}", scene.announced());
    // kubeadm labels control planes without a value; Calico announces from them.
    scene.add(&format!("CoreNode n1 {{ labels: {{ {EXCLUDE}: '' }} }}"));
    assert_eq!(
        scene.announced(),
        with(&["10.96.0.7/32", "198.51.100.7/32"])
    );
}

#[test]
fn blocks_are_announced_by_their_state() {
    let mut scene =
        Scene::new("Node n1 10.0.0.10\nIPPool pods { cidr: 192.168.0.0/16, ipipMode: Never }");
    scene.add(
        "BlockAffinity a { cidr: 192.168.1.0/26, node: n1, state: confirmed, deleted: 'false' }
         BlockAffinity b { cidr: 192.168.2.0/26, node: n1 }
         BlockAffinity c { cidr: 192.168.3.0/26, node: n1, state: pending }
         BlockAffinity d { cidr: 192.168.4.0/26, node: n1, state: confirmed, deleted: 'true' }
         BlockAffinity e { cidr: 192.168.5.0/26, node: n2, state: confirmed }
         BlockAffinity f { cidr: 192.168.6.1/32, node: n1, state: confirmed }
         BlockAffinity g { cidr: 192.168.7.0/26, node: n1, state: confirmed, type: virtual }",
    );
    scene.facts(|facts| {
        let nets = ["192.168.5.9/32", "192.168.1.9/32", "10.9.9.9/32"];
        facts.borrowed = nets.map(|net| net.parse().unwrap()).into();
    });
    let expected = [
        "192.168.1.0/26",
        "192.168.2.0/26",
        "192.168.5.9/32",
        "192.168.6.1/32",
    ];
    assert_eq!(scene.announced(), expected);
    let discards = scene.desired().announcements;
    let discards: Vec<bool> = discards.iter().map(|one| one.discard).collect();
    assert_eq!(discards, [true, true, false, false]);
    let pref = scene.desired().announcements[0].marks.local_pref;
    assert_eq!(pref, Some(2_147_482_623));
    // A pool that is being emptied is routed until it is; one that is not to be seen is not told.
    scene.add("IPPool pods { cidr: 192.168.0.0/16, ipipMode: Never, disabled: true }");
    assert_eq!(scene.announced().len(), 4);
    scene.add("IPPool pods { cidr: 192.168.0.0/16, ipipMode: Never, disableBGPExport: true }");
    let told = scene.desired().announcements;
    assert!(
        told.iter().all(|one| one.neighbors == Some(Vec::new())),
        "{told:?}"
    );
}

#[test]
fn who_writes_a_pools_routes_follows_its_encapsulation() {
    let mut scene = Scene::new("Node n1 10.0.0.10");
    scene.add(
        "IPPool a { cidr: 10.1.0.0/16, vxlanMode: CrossSubnet }
         IPPool b { cidr: 10.2.0.0/16, ipipMode: CrossSubnet }
         IPPool c { cidr: 10.3.0.0/16 }",
    );
    let left_out = |scene: &mut Scene| -> Vec<String> {
        let tunnels = scene.desired().tunnels;
        let felix = tunnels.iter().filter(|one| one.device.is_none());
        felix.map(|one| one.range.to_string()).collect()
    };
    assert_eq!(left_out(&mut scene), ["10.1.0.0/16", "10.2.0.0/16"]);
    scene.add("BGPConfiguration default { programClusterRoutes: Enabled }");
    assert_eq!(left_out(&mut scene), ["10.1.0.0/16"]);
    let tunnel = scene.desired().tunnels.remove(1);
    assert_eq!(tunnel.device.as_deref(), Some("tunl0"));
    assert_eq!(tunnel.mode, TunnelMode::CrossSubnet);
    assert_eq!(tunnel.subnets, ["10.0.0.0/16".parse().unwrap()]);
    scene.add("BGPConfiguration default { programClusterRoutes: Disabled }");
    assert_eq!(
        left_out(&mut scene),
        ["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"]
    );
}

#[test]
fn own_ranges_are_guarded_only_where_all_of_the_cluster_is_inside() {
    let mut scene = Scene::new(BASE);
    assert_eq!(scene.desired().own_ranges.pods.len(), 1);
    scene.add("Node n2 { bgp: { ipv4Address: 10.0.0.9/16, asNumber: 64999 } }");
    assert!(
        scene.desired().own_ranges.pods.is_empty(),
        "racks with an AS each"
    );
}
