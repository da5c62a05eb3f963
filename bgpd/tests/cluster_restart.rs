//! A node of a cluster that stops and starts: what neighbors keep meanwhile, who it then says that
//! it is, and a drain that was there before.

#[allow(dead_code)] // Each test binary uses its part of the lab.
mod lab;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use bgpd::overlay::Wish;
use bgpd::session::State;
use cluster::{Announcement, Marks, Neighbor, PeerAsn};
use ipnet::IpNet;
use lab::Lab;
use rib::PathView;

const A: &str = "10.0.0.1";
const B: &str = "10.0.0.2";
const VIP: &str = "172.40.100.7/32";
const MINUTE: Duration = Duration::from_secs(60);

/// A node whose drain takes so long; its identifier is the cluster's business.
fn node(drain_time: &str) -> String {
    format!(
        "[router]\nasn = 64512\n[kernel]\n[[peer-group]]\nname = \"cluster\"\n\
         import = \"accept-all\"\nexport = \"accept-all\"\ngraceful-restart = \"full\"\n\
         [kubernetes]\nfrom = \"dir:///manifests\"\npeer-group = \"cluster\"\n\
         drain-time = \"{drain_time}\"\n"
    )
}

fn net(text: &str) -> IpNet {
    text.parse().expect("a prefix")
}

fn wish() -> Wish {
    let address: IpAddr = B.parse().expect("an address");
    Wish {
        neighbors: vec![Neighbor::new(address, PeerAsn::Exact(64500), "BGPPeer tor")],
        ..Wish::default()
    }
}

fn want(lab: &mut Lab, at: usize, wish: Wish) {
    let now = lab.now;
    let plan = lab.nodes[at].speaker.set_wish(now, wish);
    plan.expect("it can be put in force");
}

/// Tells all there is, and that it is all.
fn tell(lab: &mut Lab, at: usize) {
    let route = Announcement {
        prefix: net(VIP),
        source: "load-balancer-ip".into(),
        neighbors: None,
        marks: Marks::default(),
        discard: false,
        objects: vec!["Service default/web".into()],
    };
    let (now, speaker) = (lab.now, &mut lab.nodes[at].speaker);
    speaker.set_announcements(now, BTreeMap::from([(net(VIP), vec![route])]));
    speaker.objects_complete(now);
}

fn best(lab: &Lab, at: usize) -> Option<PathView> {
    let route = lab.nodes[at].speaker.rib().lookup(net(VIP))?;
    route.paths.into_iter().find(|path| path.best)
}

fn is_up(lab: &Lab, at: usize, neighbor: &str) -> bool {
    lab.state(at, neighbor) == Some(State::Established)
}

/// A node that announces to a router.
fn pair(text: &str, wish: Wish) -> (Lab, usize, usize) {
    let mut lab = Lab::new();
    let a = lab.add(A, text);
    let router = format!(
        "[router]\nasn = 64500\nrouter-id = \"{B}\"\n[[neighbor]]\naddress = \"{A}\"\n\
         asn = 64512\nimport = \"accept-all\"\nexport = \"accept-all\"\n"
    );
    let b = lab.add(B, &router);
    want(&mut lab, a, wish);
    tell(&mut lab, a);
    assert!(lab.run_until(MINUTE, |lab| best(lab, b).is_some()));
    (lab, a, b)
}

/// RFC 4724 §4.2: what a NOTIFICATION ends is not kept.
#[test]
fn a_stop_without_a_drain_leaves_the_routes_with_neighbors_that_keep_them() {
    let text = node("0s");
    let (mut lab, a, b) = pair(&text, wish());
    let now = lab.now;
    assert_eq!(lab.nodes[a].speaker.begin_leaving(now), None);
    lab.nodes[a].speaker.shut_down(now);
    assert!(lab.run_until(MINUTE, |lab| !is_up(lab, b, A)));
    assert!(best(&lab, b).is_some(), "kept over the restart");
    lab.crash_and_restart(a, &text);
    want(&mut lab, a, wish());
    let is_lost = lab.run_until(MINUTE, |lab| best(lab, b).is_none() || is_up(lab, b, A));
    assert!(is_lost && best(&lab, b).is_some());
    tell(&mut lab, a);
    assert!(!lab.run_until(5 * MINUTE, |lab| best(lab, b).is_none()));
}

#[test]
fn a_stop_without_a_drain_says_goodbye_to_neighbors_that_keep_nothing() {
    let text = node("0s").replace("\"full\"", "\"helper\"");
    let (mut lab, a, b) = pair(&text, wish());
    let now = lab.now;
    lab.nodes[a].speaker.shut_down(now);
    assert!(lab.run_until(MINUTE, |lab| !is_up(lab, b, A)));
    assert!(best(&lab, b).is_none());
}

/// kube-router's `--router-id`, Calico's annotation: known with the objects, before any OPEN.
#[test]
fn the_cluster_says_who_we_are_before_neighbors_hear_of_us() {
    let mut named = wish();
    let (id, later) = (Some([1, 2, 3, 4].into()), Some([1, 2, 3, 5].into()));
    named.router.router_id = id;
    let (mut lab, a, b) = pair(&node("20s"), named.clone());
    let heard = |lab: &Lab| best(lab, b).map(|path| path.router_id);
    assert_eq!(heard(&lab), id);
    let router = &lab.nodes[a].speaker.config().router;
    assert_eq!(Some(router.cluster_id), id, "it follows");
    assert_eq!(lab.nodes[a].speaker.facts(lab.now).router_id, id);
    named.router.router_id = later;
    want(&mut lab, a, named);
    lab.run_for(MINUTE);
    assert_eq!(
        (heard(&lab), lab.ups(a, B)),
        (id, 1),
        "too late for another"
    );
    assert_eq!(lab.nodes[a].speaker.remarks().count(), 1);
}

#[test]
fn a_drain_of_before_the_start_needs_no_second_wait() {
    let (mut lab, a, _) = pair(&node("20s"), wish());
    let (now, speaker) = (lab.now, &mut lab.nodes[a].speaker);
    speaker.drain_for_cluster(now, Some("taint wayfare.dev/drain".into()));
    assert!(!speaker.facts(now).is_drained);
    speaker.drain_goes_on(now);
    assert!(speaker.facts(now).is_drained && speaker.facts(now).is_draining);
    speaker.drain_for_cluster(now, None);
    assert!(!speaker.facts(now).is_drained);
}
