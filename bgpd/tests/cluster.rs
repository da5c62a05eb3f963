//! What a cluster wants, put in force between whole speakers: neighbors that come and go, marks per
//! neighbor, ranges of our own, End-of-RIB that waits for objects, and leaving in stages.

#[allow(dead_code)] // Each test binary uses its part of the lab.
mod lab;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use bgpd::overlay::Wish;
use bgpd::session::State;
use cluster::{Announcement, Marks, Neighbor, OwnRanges, PeerAsn};
use ipnet::IpNet;
use lab::Lab;
use rib::PathView;
use rib::fib::FibRoute;

const A: &str = "10.0.0.1";
const B: &str = "10.0.0.2";
const C: &str = "10.0.0.3";
const VIP: &str = "172.40.100.7/32";
const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);
const KUBERNETES: &str = "[[peer-group]]\nname = \"cluster\"\nimport = \"accept-all\"\n\
    export = \"accept-all\"\ngraceful-restart = \"full\"\n\
    [kubernetes]\nfrom = \"dir:///manifests\"\npeer-group = \"cluster\"\ndrain-time = \"20s\"\n\
    service-cidrs = [\"10.96.0.0/12\"]\n";

fn of_a(rest: &str) -> String {
    format!("[router]\nasn = 64512\nrouter-id = \"{A}\"\n[kernel]\n{rest}\n{KUBERNETES}")
}

/// The configuration of a router that knows A.
fn router(own: &str, a_asn: u32, rest: &str) -> String {
    format!(
        "[router]\nasn = 64500\nrouter-id = \"{own}\"\n[kernel]\n[[neighbor]]\n\
         address = \"{A}\"\nasn = {a_asn}\nimport = \"accept-all\"\nexport = \"accept-all\"\n{rest}"
    )
}

fn tor(address: &str) -> Neighbor {
    let address: IpAddr = address.parse().expect("an address");
    Neighbor::new(address, PeerAsn::Exact(64500), "BGPPeer tor")
}

fn wish(neighbors: Vec<Neighbor>) -> Wish {
    Wish {
        neighbors,
        ..Wish::default()
    }
}

fn net(text: &str) -> IpNet {
    text.parse().expect("a prefix")
}

fn route(community: u32, neighbors: Option<&[&str]>) -> Announcement {
    let parse = |text: &&str| text.parse().expect("an address");
    Announcement {
        prefix: net(VIP),
        source: "load-balancer-ip".into(),
        neighbors: neighbors.map(|list| list.iter().map(parse).collect()),
        marks: Marks {
            communities: vec![community],
            med: Some(7),
            ..Marks::default()
        },
        discard: false,
        objects: vec!["Service default/web".into()],
    }
}

fn want(lab: &mut Lab, at: usize, wish: Wish) -> usize {
    let now = lab.now;
    let plan = lab.nodes[at].speaker.set_wish(now, wish);
    plan.expect("it can be put in force").changes.len()
}

fn announce(lab: &mut Lab, at: usize, routes: Vec<Announcement>) {
    let changes = BTreeMap::from([(net(VIP), routes)]);
    let now = lab.now;
    lab.nodes[at].speaker.set_announcements(now, changes);
}

fn is_up(lab: &Lab, at: usize, neighbor: &str) -> bool {
    lab.state(at, neighbor) == Some(State::Established)
}

fn best(lab: &Lab, at: usize, prefix: &str) -> Option<PathView> {
    let route = lab.nodes[at].speaker.rib().lookup(net(prefix))?;
    route.paths.into_iter().find(|path| path.best)
}

fn communities(lab: &Lab, at: usize) -> Vec<u32> {
    best(lab, at, VIP).map_or(Vec::new(), |path| path.attrs.communities().collect())
}

/// A with a router that the cluster names.
fn pair() -> (Lab, usize, usize) {
    let mut lab = Lab::new();
    let a = lab.add(A, &of_a(""));
    let b = lab.add(B, &router(B, 64512, ""));
    want(&mut lab, a, wish(vec![tor(B)]));
    assert!(lab.run_until(MINUTE, |lab| is_up(lab, a, B) && is_up(lab, b, A)));
    (lab, a, b)
}

fn complete(lab: &mut Lab, at: usize) {
    let now = lab.now;
    lab.nodes[at].speaker.objects_complete(now);
}

#[test]
fn neighbors_of_the_cluster_come_change_and_go_without_touching_others() {
    let (mut lab, a, b) = pair();
    let c = lab.add(C, &router(C, 64512, ""));
    announce(&mut lab, a, vec![route(1, None)]);
    want(&mut lab, a, wish(vec![tor(B), tor(C)]));
    assert!(lab.run_until(MINUTE, |lab| best(lab, c, VIP).is_some()));
    let mut changed = tor(B);
    changed.export = Some("reject-all".into());
    assert_eq!(want(&mut lab, a, wish(vec![changed.clone(), tor(C)])), 1);
    assert!(lab.run_until(MINUTE, |lab| best(lab, b, VIP).is_none()));
    assert_eq!(
        want(&mut lab, a, wish(vec![changed, tor(C)])),
        0,
        "the same"
    );
    assert_eq!(
        (lab.ups(a, B), lab.ups(a, C)),
        (1, 1),
        "no session was reset"
    );
    want(&mut lab, a, wish(vec![tor(C)]));
    assert!(lab.run_until(MINUTE, |lab| !is_up(lab, b, A)));
    assert!(lab.state(a, B).is_none() && is_up(&lab, a, C));
}

#[test]
fn a_reload_of_the_file_composes_with_what_the_cluster_wants() {
    let (mut lab, a, b) = pair();
    announce(&mut lab, a, vec![route(1, None)]);
    lab.run_for(SECOND);
    let network = "[[advertise]]\nkind = \"network\"\nprefixes = \"10.1.0.0/16\"\n";
    let changes = lab.reload(a, &of_a(network));
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert!(lab.run_until(MINUTE, |lab| best(lab, b, "10.1.0.0/16").is_some()));
    assert!(best(&lab, b, VIP).is_some());
    let own = format!(
        "[[neighbor]]\naddress = \"{B}\"\nasn = 64500\ndescription = \"mine\"\n\
         import = \"accept-all\"\nexport = \"accept-all\"\ngraceful-restart = \"full\"\n"
    );
    lab.reload(a, &of_a(&own));
    assert_eq!(
        lab.ups(a, B),
        1,
        "the file takes the neighbor over as it is"
    );
    let remarks: Vec<_> = lab.nodes[a].speaker.remarks().collect();
    assert_eq!(remarks.len(), 1, "{remarks:?}");
}

#[test]
fn each_neighbor_gets_the_marks_that_were_made_for_it() {
    let (mut lab, a, b) = pair();
    let c = lab.add(C, &router(C, 64512, ""));
    want(&mut lab, a, wish(vec![tor(B), tor(C)]));
    announce(&mut lab, a, vec![route(1, Some(&[B])), route(2, None)]);
    assert!(lab.run_until(MINUTE, |lab| communities(lab, c) == [2]));
    assert_eq!(communities(&lab, b), [1]);
    let med = best(&lab, b, VIP).and_then(|path| path.attrs.med());
    assert_eq!(med, Some(7));
    announce(&mut lab, a, vec![]);
    assert!(lab.run_until(MINUTE, |lab| best(lab, c, VIP).is_none()));
    assert!(best(&lab, b, VIP).is_none());
}

#[test]
fn a_neighbor_that_comes_after_a_route_that_names_it_is_told_it() {
    let (mut lab, a, b) = pair();
    let c = lab.add(C, &router(C, 64512, ""));
    announce(&mut lab, a, vec![route(1, Some(&[C, "192.0.2.1"]))]);
    lab.run_for(SECOND * 5);
    want(&mut lab, a, wish(vec![tor(B), tor(C)]));
    assert!(lab.run_until(MINUTE, |lab| communities(lab, c) == [1]));
    assert!(communities(&lab, b).is_empty());
    want(&mut lab, a, wish(vec![tor(B)]));
    lab.run_for(SECOND * 5);
    want(&mut lab, a, wish(vec![tor(B), tor(C)]));
    assert!(lab.run_until(MINUTE, |lab| communities(lab, c) == [1]));
}

#[test]
fn own_ranges_are_not_taken_from_outside_unless_the_file_says_so() {
    let mut lab = Lab::new();
    let a = lab.add(A, &of_a(""));
    let stolen = "[[advertise]]\nkind = \"network\"\n\
                  prefixes = [\"10.96.1.0/24\", \"10.0.0.0/8\", \"192.0.2.0/24\"]\n";
    lab.add(B, &router(B, 64512, stolen));
    want(&mut lab, a, wish(vec![tor(B)]));
    assert!(lab.run_until(MINUTE, |lab| best(lab, a, "192.0.2.0/24").is_some()));
    assert!(
        best(&lab, a, "10.0.0.0/8").is_some(),
        "what covers us is no theft"
    );
    assert!(best(&lab, a, "10.96.1.0/24").is_none());
    let speaker = &lab.nodes[a].speaker;
    let address: IpAddr = B.parse().expect("an address");
    let refused = speaker
        .peers()
        .by_address(address)
        .map(|it| it.own_range_refused);
    assert_eq!(refused, Some(1));
    let steps = speaker.rib().explain(net("10.96.1.0/24"), None);
    let policy = steps[0].policy.as_deref().unwrap_or_default();
    assert!(policy.contains("own ranges"), "{steps:?}");
    let mut wider = wish(vec![tor(B)]);
    wider.own_ranges = OwnRanges {
        pods: vec![net("192.0.2.0/24")],
        ..OwnRanges::default()
    };
    want(&mut lab, a, wider);
    assert!(lab.run_until(MINUTE, |lab| best(lab, a, "192.0.2.0/24").is_none()));
    let own = format!(
        "[[neighbor]]\naddress = \"{B}\"\nasn = 64500\nimport-guard = false\n\
         import = \"accept-all\"\nexport = \"accept-all\"\ngraceful-restart = \"full\"\n"
    );
    lab.reload(a, &of_a(&own));
    assert!(lab.run_until(MINUTE, |lab| best(lab, a, "10.96.1.0/24").is_some()));
    assert_eq!(lab.ups(a, B), 1);
}

/// Calico's racks and kube-router's external peers bring pods of other nodes over eBGP.
#[test]
fn an_object_that_decides_on_import_lets_pods_in_and_services_not() {
    let mut lab = Lab::new();
    let a = lab.add(A, &of_a(""));
    let told = "[[advertise]]\nkind = \"network\"\n\
                prefixes = [\"10.96.1.0/24\", \"10.244.7.0/24\"]\n";
    lab.add(B, &router(B, 64512, told));
    let mut rack = tor(B);
    rack.import = Some("accept-all".into());
    let mut wanted = wish(vec![rack]);
    wanted.own_ranges.pods = vec![net("10.244.0.0/16")];
    want(&mut lab, a, wanted);
    assert!(lab.run_until(MINUTE, |lab| best(lab, a, "10.244.7.0/24").is_some()));
    assert!(best(&lab, a, "10.96.1.0/24").is_none());
}

/// RFC 2385: a session that is to be protected and cannot be stays down.
#[test]
fn a_missing_password_keeps_the_session_down() {
    let mut lab = Lab::new();
    let a = lab.add(A, &of_a(""));
    lab.add(B, &router(B, 64512, ""));
    let mut protected = tor(B);
    protected.password_missing = true;
    want(&mut lab, a, wish(vec![protected]));
    lab.run_for(MINUTE);
    assert!(!is_up(&lab, a, B));
}

#[test]
fn another_as_can_be_shown_and_our_own_allowed() {
    let mut lab = Lab::new();
    let a = lab.add(A, &of_a(""));
    let b = lab.add(B, &router(B, 65001, ""));
    let mut shown = tor(B);
    shown.local_asn = Some(65001);
    want(&mut lab, a, wish(vec![shown]));
    announce(&mut lab, a, vec![route(1, None)]);
    assert!(lab.run_until(MINUTE, |lab| best(lab, b, VIP).is_some()));
    let path = best(&lab, b, VIP).map(|path| path.attrs.as_path().to_string());
    assert_eq!(path.as_deref(), Some("65001"));
    // A second node of our AS behind the same router: its routes come with our AS in the path.
    let c = lab.add(C, &of_a("").replace(A, C));
    lab.reload(
        b,
        &format!(
            "{}\n[[neighbor]]\naddress = \"{C}\"\nasn = 64512\n\
                            import = \"accept-all\"\nexport = \"accept-all\"",
            router(B, 65001, "")
        ),
    );
    want(&mut lab, c, wish(vec![tor(B)]));
    lab.run_for(MINUTE);
    assert!(best(&lab, c, VIP).is_some(), "the router shows 65001 only");
    let other = Announcement {
        prefix: net("172.40.100.9/32"),
        ..route(3, None)
    };
    let now = lab.now;
    let changes = BTreeMap::from([(other.prefix, vec![other])]);
    lab.nodes[c].speaker.set_announcements(now, changes);
    lab.run_for(MINUTE);
    assert!(best(&lab, a, "172.40.100.9/32").is_none(), "a loop");
    let mut allowing = tor(B);
    allowing.local_asn = Some(65001);
    allowing.allow_own_as = 1;
    want(&mut lab, a, wish(vec![allowing]));
    let now = lab.now;
    let target = bgpd::speaker::operator::Target::All;
    let soft = bgpd::speaker::operator::Clear::Soft {
        inbound: true,
        outbound: false,
    };
    lab.nodes[a].speaker.clear(now, &target, soft);
    assert!(lab.run_until(MINUTE, |lab| best(lab, a, "172.40.100.9/32").is_some()));
}

/// RFC 4724 §4.1: End-of-RIB says that all is told; with objects that come later it has to wait,
/// or the neighbor drops every service of a node that restarts.
#[test]
fn a_restart_loses_nothing_although_the_objects_come_late() {
    let (mut lab, a, b) = pair();
    announce(&mut lab, a, vec![route(1, None)]);
    complete(&mut lab, a);
    assert!(lab.run_until(MINUTE, |lab| best(lab, b, VIP).is_some()));
    lab.crash_and_restart(a, &of_a(""));
    want(&mut lab, a, wish(vec![tor(B)]));
    let kept = lab.run_until(MINUTE, |lab| {
        is_up(lab, a, B) || best(lab, b, VIP).is_none()
    });
    assert!(kept && best(&lab, b, VIP).is_some());
    let lost = lab.run_until(30 * SECOND, |lab| best(lab, b, VIP).is_none());
    assert!(!lost && lab.nodes[a].speaker.waits_for_objects());
    announce(&mut lab, a, vec![route(1, None)]);
    complete(&mut lab, a);
    let lost = lab.run_until(10 * MINUTE, |lab| best(lab, b, VIP).is_none());
    assert!(!lost, "it was told again before End-of-RIB");
}

/// The neighbors are not known before the objects are: nobody may call the tables complete then.
#[test]
fn the_kernel_keeps_its_routes_until_the_cluster_names_the_neighbors() {
    let mut lab = Lab::new();
    let (a, prefix) = (lab.add(A, &of_a("")), "192.0.2.0/24");
    let network = format!("[[advertise]]\nkind = \"network\"\nprefixes = \"{prefix}\"\n");
    let b = lab.add(B, &router(B, 64512, &network));
    want(&mut lab, a, wish(vec![tor(B)]));
    complete(&mut lab, a);
    let has = |lab: &Lab| lab.nodes[a].kernel.contains_key(&net(prefix));
    assert!(lab.run_until(MINUTE, has));
    lab.crash_and_restart(a, &of_a(""));
    let is_lost = lab.run_until(20 * SECOND, |lab| !has(lab) || lab.nodes[a].resynced);
    assert!(!is_lost, "the objects take their time");
    want(&mut lab, a, wish(vec![tor(B)]));
    complete(&mut lab, a);
    let is_lost = lab.run_until(MINUTE, |lab| !has(lab) || is_up(lab, b, A));
    assert!(is_lost && has(&lab) && is_up(&lab, b, A));
    assert!(lab.run_until(2 * MINUTE, |lab| lab.nodes[a].resynced) && has(&lab));
}

/// The clock of `sync-time` is the planner's, who calls complete what it has told before.
#[test]
fn what_is_told_when_the_sync_time_ends_comes_before_end_of_rib() {
    let (mut lab, a, b) = pair();
    announce(&mut lab, a, vec![route(1, None)]);
    complete(&mut lab, a);
    assert!(lab.run_until(MINUTE, |lab| best(lab, b, VIP).is_some()));
    lab.crash_and_restart(a, &of_a(""));
    want(&mut lab, a, wish(vec![tor(B)]));
    let is_lost = lab.run_until(61 * SECOND, |lab| best(lab, b, VIP).is_none());
    announce(&mut lab, a, vec![route(1, None)]);
    complete(&mut lab, a);
    assert!(!is_lost && !lab.run_until(MINUTE, |lab| best(lab, b, VIP).is_none()));
}

#[test]
fn end_of_rib_is_held_for_the_sync_time_at_most() {
    let (mut lab, a, b) = pair();
    announce(&mut lab, a, vec![route(1, None)]);
    complete(&mut lab, a);
    assert!(lab.run_until(MINUTE, |lab| best(lab, b, VIP).is_some()));
    lab.crash_and_restart(a, &of_a(""));
    want(&mut lab, a, wish(vec![tor(B)]));
    assert!(lab.run_until(MINUTE, |lab| is_up(lab, a, B)));
    let lost = lab.run_until(50 * SECOND, |lab| best(lab, b, VIP).is_none());
    assert!(!lost);
    let lost = lab.run_until(20 * SECOND, |lab| best(lab, b, VIP).is_none());
    assert!(lost, "what was not told again is gone after End-of-RIB");
}

#[test]
fn routes_to_neighbors_behind_a_gateway_are_in_the_kernel() {
    let (mut lab, a, _) = pair();
    let mut behind = wish(vec![tor(B)]);
    let prefix = net("10.8.0.1/32");
    let via = C.parse().expect("an address");
    behind.static_routes = vec![cluster::StaticRoute { prefix, via }];
    want(&mut lab, a, behind);
    assert!(lab.run_until(MINUTE, |lab| lab.nodes[a].kernel.contains_key(&prefix)));
    want(&mut lab, a, wish(vec![tor(B)]));
    assert!(lab.run_until(MINUTE, |lab| !lab.nodes[a].kernel.contains_key(&prefix)));
}

/// RFC 4456 §8: what is reflected carries our cluster, which the cluster's objects may name later.
#[test]
fn the_cluster_we_reflect_for_may_come_later() {
    let mut lab = Lab::new();
    let a = lab.add(A, &of_a(""));
    let inside = |own: &str, rest: &str| {
        format!(
            "[router]\nasn = 64512\nrouter-id = \"{own}\"\n[[neighbor]]\naddress = \"{A}\"\n\
             asn = \"internal\"\n{rest}"
        )
    };
    let network = "[[advertise]]\nkind = \"network\"\nprefixes = \"10.1.0.0/16\"\n";
    lab.add(B, &inside(B, network));
    let c = lab.add(C, &inside(C, ""));
    let client = |at: &str| {
        let mut client = tor(at);
        client.asn = PeerAsn::Internal;
        client.route_reflector_client = true;
        client
    };
    let clients = || wish(vec![client(B), client(C)]);
    want(&mut lab, a, clients());
    let list = |lab: &Lab| -> Vec<String> {
        let path = best(lab, c, "10.1.0.0/16");
        let text = |path: PathView| path.attrs.cluster_list().map(|id| id.to_string()).collect();
        path.map_or(Vec::new(), text)
    };
    assert!(lab.run_until(MINUTE, |lab| list(lab) == [A]));
    let mut later = clients();
    later.router.cluster_id = Some("244.0.0.1".parse().expect("an identifier"));
    want(&mut lab, a, later);
    assert!(lab.run_until(MINUTE, |lab| list(lab) == ["244.0.0.1"]));
    assert_eq!((lab.ups(a, B), lab.ups(a, C)), (1, 1));
    want(&mut lab, a, clients());
    assert!(lab.run_until(MINUTE, |lab| list(lab) == [A]));
}

const GRACEFUL_SHUTDOWN: u32 = 0xffff_0000;

/// RFC 8326 §4.2, then RFC 9003.
#[test]
fn a_daemon_leaves_in_stages() {
    let (mut lab, a, b) = pair();
    let mut vip = route(1, None);
    vip.discard = true;
    announce(&mut lab, a, vec![vip]);
    assert!(lab.run_until(MINUTE, |lab| best(lab, b, VIP).is_some()));
    let now = lab.now;
    let time = lab.nodes[a].speaker.begin_leaving(now);
    assert_eq!(time, Some(21 * SECOND));
    lab.run_for(SECOND);
    assert_eq!(communities(&lab, b), [1, GRACEFUL_SHUTDOWN]);
    lab.run_for(18 * SECOND);
    assert!(best(&lab, b, VIP).is_some() && !lab.nodes[a].speaker.has_left());
    lab.run_for(3 * SECOND);
    assert!(best(&lab, b, VIP).is_none(), "withdrawn");
    let discarded = lab.nodes[a].kernel.get(&net(VIP));
    assert_eq!(discarded, Some(&FibRoute::Discard), "the kernel keeps it");
    assert!(lab.nodes[a].speaker.has_left() && is_up(&lab, b, A));
    announce(&mut lab, a, vec![route(2, None)]);
    lab.run_for(SECOND);
    assert!(best(&lab, b, VIP).is_none(), "nothing comes back");
    let now = lab.now;
    lab.nodes[a].speaker.shut_down(now);
    assert!(lab.run_until(MINUTE, |lab| !is_up(lab, b, A)));
}

#[test]
fn a_drained_node_says_so_to_the_rules_after_the_wait() {
    let (mut lab, a, b) = pair();
    announce(&mut lab, a, vec![route(1, None)]);
    lab.run_for(SECOND);
    let now = lab.now;
    let speaker = &mut lab.nodes[a].speaker;
    speaker.drain_for_cluster(now, Some("taint wayfare.dev/drain".into()));
    let facts = speaker.facts(now);
    assert!(facts.is_draining && !facts.is_drained);
    lab.run_for(25 * SECOND);
    let facts = lab.nodes[a].speaker.facts(lab.now);
    assert!(facts.is_drained && best(&lab, b, VIP).is_some());
    let now = lab.now;
    lab.nodes[a].speaker.drain_for_cluster(now, None);
    let facts = lab.nodes[a].speaker.facts(now);
    assert!(!facts.is_draining && !facts.is_drained);
    assert!(lab.run_until(MINUTE, |lab| communities(lab, b) == [1]));
}
