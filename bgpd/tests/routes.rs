//! Routes between whole speakers: exchange, RFC 8212, limits, graceful restart, reflection, drain.
//!
//! What a speaker believes is read from its RIB, what it would forward from the map that stands
//! for its kernel.

#[allow(dead_code)] // Each test binary uses its part of the lab.
mod lab;

use std::net::IpAddr;
use std::time::Duration;

use bgpd::session::State;
use bgpd::speaker::operator::{Clear, Target};
use ipnet::IpNet;
use lab::Lab;
use rib::PathView;
use rib::fib::{Interface, InterfaceChange, KernelEvent};

const A: &str = "10.0.0.1";
const B: &str = "10.0.0.2";
const C: &str = "10.0.0.3";
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const ACCEPT: &str = "import = \"accept-all\"\nexport = \"accept-all\"\n";

fn speaker(asn: u32, router_id: &str, rest: &str) -> String {
    format!("[router]\nasn = {asn}\nrouter-id = \"{router_id}\"\n[kernel]\n{rest}")
}

fn neighbor(address: &str, asn: u32, rest: &str) -> String {
    format!("[[neighbor]]\naddress = \"{address}\"\nasn = {asn}\n{rest}")
}

fn network(prefixes: &str) -> String {
    format!("[[advertise]]\nkind = \"network\"\nprefixes = [{prefixes}]\n")
}

fn is_up(lab: &Lab, at: usize, neighbor: &str) -> bool {
    lab.state(at, neighbor) == Some(State::Established)
}

fn paths(lab: &Lab, at: usize, prefix: &str) -> Vec<PathView> {
    let prefix: IpNet = prefix.parse().expect("a prefix");
    let route = lab.nodes[at].speaker.rib().lookup(prefix);
    route.map(|route| route.paths).unwrap_or_default()
}

fn best(lab: &Lab, at: usize, prefix: &str) -> Option<PathView> {
    paths(lab, at, prefix).into_iter().find(|path| path.best)
}

fn forwards(lab: &Lab, at: usize, prefix: &str) -> bool {
    let prefix: IpNet = prefix.parse().expect("a prefix");
    lab.nodes[at].kernel.contains_key(&prefix)
}

#[test]
fn ebgp_neighbors_exchange_routes_and_the_kernel_gets_them() {
    let mut lab = Lab::new();
    let a = lab.add(A, &speaker(64501, A, &neighbor(B, 64502, ACCEPT)));
    let rest = neighbor(A, 64501, ACCEPT) + &network("\"192.0.2.0/24\", \"198.51.100.0/24\"");
    let b = lab.add(B, &speaker(64502, B, &rest));
    assert!(lab.run_until(MINUTE, |lab| forwards(lab, a, "192.0.2.0/24")));
    let path = best(&lab, a, "198.51.100.0/24").expect("a best path");
    assert_eq!(path.attrs.as_path().to_string(), "64502");
    assert_eq!(
        path.attrs.next_hop().addr(),
        B.parse::<IpAddr>().expect("an address")
    );
    assert!(
        forwards(&lab, b, "192.0.2.0/24"),
        "an own aggregate is discarded where nothing fits"
    );

    lab.reload(
        b,
        &speaker(
            64502,
            B,
            &(neighbor(A, 64501, ACCEPT) + &network("\"192.0.2.0/24\"")),
        ),
    );
    assert!(lab.run_until(SECOND, |lab| !forwards(lab, a, "198.51.100.0/24")));
    assert!(forwards(&lab, a, "192.0.2.0/24"));
    lab.crash(b);
    assert!(lab.run_until(SECOND, |lab| !forwards(lab, a, "192.0.2.0/24")));
}

/// RFC 8212 §3: without policy an eBGP neighbor's routes are not eligible and nothing is sent.
#[test]
fn without_policy_ebgp_exchanges_nothing() {
    let mut lab = Lab::new();
    let rest = neighbor(B, 64502, "") + &network("\"203.0.113.0/24\"");
    let a = lab.add(A, &speaker(64501, A, &rest));
    let rest = neighbor(A, 64501, ACCEPT) + &network("\"192.0.2.0/24\"");
    let b = lab.add(B, &speaker(64502, B, &rest));
    assert!(lab.run_until(MINUTE, |lab| is_up(lab, a, B) && is_up(lab, b, A)));
    lab.run_for(MINUTE);
    assert!(best(&lab, a, "192.0.2.0/24").is_none());
    assert!(paths(&lab, b, "203.0.113.0/24").is_empty());
    let with_policy = speaker(
        64501,
        A,
        &(neighbor(B, 64502, ACCEPT) + &network("\"203.0.113.0/24\"")),
    );
    lab.reload(a, &with_policy);
    assert!(
        lab.run_until(SECOND, |lab| best(lab, a, "192.0.2.0/24").is_some()
            && best(lab, b, "203.0.113.0/24").is_some())
    );
    assert_eq!(
        (lab.ups(a, B), lab.ups(b, A)),
        (1, 1),
        "policy needs no new session"
    );
}

/// RFC 4486 §4: one prefix too many ends the session with 6/1; it comes back when told to.
#[test]
fn too_many_prefixes_end_the_session_until_it_is_cleared() {
    let mut lab = Lab::new();
    let limit = format!("{ACCEPT}max-prefixes = 2\n");
    let a = lab.add(A, &speaker(64501, A, &neighbor(B, 64502, &limit)));
    let three = network("\"192.0.2.0/24\", \"198.51.100.0/24\", \"203.0.113.0/24\"");
    let two = network("\"192.0.2.0/24\", \"198.51.100.0/24\"");
    let with = |networks: &str| speaker(64502, B, &(neighbor(A, 64501, ACCEPT) + networks));
    let b = lab.add(B, &with(&three));
    lab.run_for(5 * MINUTE);
    assert_eq!(lab.state(a, B), Some(State::Idle));
    assert!(
        paths(&lab, a, "192.0.2.0/24").is_empty(),
        "its routes are gone"
    );
    let told = lab.nodes[b]
        .events
        .iter()
        .any(|event| event.to_string().contains("6/1"));
    assert!(told, "{:?}", lab.nodes[b].events);

    lab.reload(b, &with(&two));
    lab.run_for(5 * MINUTE);
    assert!(!is_up(&lab, a, B), "not before the operator says so");
    let (now, target) = (lab.now, Target::All);
    lab.nodes[a].speaker.clear(now, &target, Clear::Hard);
    assert!(lab.run_until(5 * MINUTE, |lab| forwards(lab, a, "192.0.2.0/24")));
}

#[test]
fn too_many_prefixes_come_back_after_the_configured_time() {
    let mut lab = Lab::new();
    let limit = format!("{ACCEPT}max-prefixes = 1\nmax-prefixes-restart = \"10m\"\n");
    let a = lab.add(A, &speaker(64501, A, &neighbor(B, 64502, &limit)));
    let with = |networks: &str| speaker(64502, B, &(neighbor(A, 64501, ACCEPT) + networks));
    let b = lab.add(B, &with(&network("\"192.0.2.0/24\", \"198.51.100.0/24\"")));
    lab.run_for(5 * MINUTE);
    assert_eq!(lab.state(a, B), Some(State::Idle));
    lab.reload(b, &with(&network("\"192.0.2.0/24\"")));
    assert!(!lab.run_until(4 * MINUTE, |lab| is_up(lab, a, B)));
    assert!(lab.run_until(10 * MINUTE, |lab| forwards(lab, a, "192.0.2.0/24")));
}

/// RFC 4724 §4.2: the helper keeps the routes while the neighbor restarts, and drops what the
/// neighbor did not send again once it says End-of-RIB.
#[test]
fn a_helper_keeps_routes_over_a_restart_of_the_neighbor() {
    let mut lab = Lab::new();
    let a = lab.add(A, &speaker(64501, A, &neighbor(B, 64502, ACCEPT)));
    let full = format!("{ACCEPT}graceful-restart = \"full\"\n");
    let with = |networks: &str| speaker(64502, B, &(neighbor(A, 64501, &full) + networks));
    let b = lab.add(B, &with(&network("\"192.0.2.0/24\", \"198.51.100.0/24\"")));
    assert!(lab.run_until(MINUTE, |lab| forwards(lab, a, "192.0.2.0/24")));
    lab.run_for(MINUTE);

    lab.crash_and_restart(b, &with(&network("\"192.0.2.0/24\"")));
    let mut gap = false;
    let back = lab.run_until(5 * MINUTE, |lab| {
        gap |= !forwards(lab, a, "192.0.2.0/24");
        lab.ups(a, B) == 2 && !forwards(lab, a, "198.51.100.0/24")
    });
    assert!(
        back,
        "stale routes go with End-of-RIB: {:?}",
        lab.nodes[a].events
    );
    assert!(!gap, "a route that is still there is never gone");
}

#[test]
fn a_helper_gives_up_after_the_restart_time() {
    let mut lab = Lab::new();
    let a = lab.add(A, &speaker(64501, A, &neighbor(B, 64502, ACCEPT)));
    let full = format!("{ACCEPT}graceful-restart = \"full\"\ngraceful-restart-time = \"60s\"\n");
    let rest = neighbor(A, 64501, &full) + &network("\"192.0.2.0/24\"");
    let b = lab.add(B, &speaker(64502, B, &rest));
    assert!(lab.run_until(MINUTE, |lab| forwards(lab, a, "192.0.2.0/24")));
    lab.run_for(MINUTE);
    lab.crash(b);
    lab.run_for(50 * SECOND);
    assert!(
        forwards(&lab, a, "192.0.2.0/24"),
        "kept for the restart time"
    );
    assert!(best(&lab, a, "192.0.2.0/24").is_some_and(|path| path.stale));
    assert!(lab.run_until(20 * SECOND, |lab| !forwards(lab, a, "192.0.2.0/24")));
}

/// A reload that would reset the session finds none while the neighbor restarts: what was kept for
/// it still has an end.
#[test]
fn a_reload_during_a_restart_keeps_no_stale_route_for_ever() {
    let mut lab = Lab::new();
    let plain = speaker(64501, A, &neighbor(B, 64502, ACCEPT));
    let a = lab.add(A, &plain);
    let full = format!("{ACCEPT}graceful-restart = \"full\"\ngraceful-restart-time = \"60s\"\n");
    let rest = neighbor(A, 64501, &full) + &network("\"192.0.2.0/24\"");
    let b = lab.add(B, &speaker(64502, B, &rest));
    assert!(lab.run_until(MINUTE, |lab| forwards(lab, a, "192.0.2.0/24")));
    lab.run_for(MINUTE);
    lab.crash(b);
    lab.run_for(50 * SECOND);
    assert!(forwards(&lab, a, "192.0.2.0/24"), "kept while it restarts");
    let keyed = format!("{ACCEPT}hold-time = \"30s\"\nlocal-address = \"10.0.0.1\"\n");
    lab.reload(a, &speaker(64501, A, &neighbor(B, 64502, &keyed)));
    lab.run_for(10 * MINUTE);
    assert!(
        !forwards(&lab, a, "192.0.2.0/24"),
        "the restart time is over"
    );
}

/// A restart of our own: the kernel's old routes may go once the neighbors have sent everything.
#[test]
fn the_tables_count_as_back_after_end_of_rib() {
    let mut lab = Lab::new();
    let config = speaker(64501, A, &neighbor(B, 64502, ACCEPT));
    let a = lab.add(A, &config);
    let rest = neighbor(A, 64501, ACCEPT) + &network("\"192.0.2.0/24\"");
    let b = lab.add(B, &speaker(64502, B, &rest));
    assert!(lab.run_until(MINUTE, |lab| lab.nodes[a].resynced));
    assert!(
        forwards(&lab, a, "192.0.2.0/24"),
        "routes come before the sweep"
    );
    lab.crash(b);
    lab.crash_and_restart(a, &config);
    let start = lab.now;
    assert!(
        lab.run_until(10 * MINUTE, |lab| lab.nodes[a].resynced),
        "the deadline"
    );
    assert!(
        lab.now - start >= MINUTE,
        "waited for the neighbor that does not come"
    );
}

/// RFC 4456: a reflector passes routes between its clients; a client that dies takes its routes.
#[test]
fn a_reflector_connects_clients_that_do_not_know_each_other() {
    let client = "route-reflector-client = true\n";
    let mut lab = Lab::new();
    let rest = neighbor(B, 64500, client) + &neighbor(C, 64500, client);
    let a = lab.add(A, &speaker(64500, A, &rest));
    let rest = neighbor(A, 64500, "") + &network("\"192.0.2.0/24\"");
    let b = lab.add(B, &speaker(64500, B, &rest));
    let c = lab.add(C, &speaker(64500, C, &neighbor(A, 64500, "")));
    assert!(lab.run_until(MINUTE, |lab| best(lab, c, "192.0.2.0/24").is_some()));
    let path = best(&lab, c, "192.0.2.0/24").expect("a best path");
    assert_eq!(
        path.attrs.originator_id(),
        Some("10.0.0.2".parse().expect("an address"))
    );
    assert_eq!(path.attrs.cluster_list().count(), 1);
    lab.crash(b);
    assert!(lab.run_until(SECOND, |lab| best(lab, c, "192.0.2.0/24").is_none()));
    assert!(is_up(&lab, a, C));
}

/// RFC 4456 §6: who becomes a client, or is none any more, keeps its session and its routes.
#[test]
fn a_reflector_is_made_and_unmade_without_a_reset() {
    let mut lab = Lab::new();
    let peers = |keys: &str| neighbor(B, 64500, keys) + &neighbor(C, 64500, keys);
    let (plain, client) = (peers(""), peers("route-reflector-client = true\n"));
    let a = lab.add(A, &speaker(64500, A, &plain));
    let rest = neighbor(A, 64500, "") + &network("\"192.0.2.0/24\"");
    let b = lab.add(B, &speaker(64500, B, &rest));
    let c = lab.add(C, &speaker(64500, C, &neighbor(A, 64500, "")));
    assert!(lab.run_until(MINUTE, |lab| best(lab, a, "192.0.2.0/24").is_some()));
    lab.run_for(SECOND);
    assert!(best(&lab, c, "192.0.2.0/24").is_none(), "not reflected");
    let plan = lab.reload(a, &speaker(64500, A, &client));
    assert!(
        plan.iter().all(|line| line.starts_with("SoftOut")),
        "{plan:?}"
    );
    assert!(lab.run_until(SECOND, |lab| best(lab, c, "192.0.2.0/24").is_some()));
    lab.reload(a, &speaker(64500, A, &plain));
    assert!(lab.run_until(SECOND, |lab| best(lab, c, "192.0.2.0/24").is_none()));
    assert!(best(&lab, a, "192.0.2.0/24").is_some());
    for (at, other) in [(a, B), (a, C), (b, A), (c, A)] {
        assert_eq!(lab.ups(at, other), 1, "no session was reset");
    }
}

#[test]
fn a_mesh_leaves_out_its_own_address_and_everybody_meets() {
    let mesh = "[mesh]\nmembers = [\"10.0.0.1\", \"10.0.0.2\", \"10.0.0.3\"]\n";
    let mut lab = Lab::new();
    let nodes: Vec<usize> = [A, B, C]
        .iter()
        .enumerate()
        .map(|(at, id)| {
            let own = network(&format!("\"10.244.{at}.0/24\""));
            lab.add(id, &speaker(64500, id, &format!("{mesh}{own}")))
        })
        .collect();
    assert!(lab.run_until(MINUTE, |lab| {
        nodes.iter().all(|at| {
            (0..3).all(|prefix| best(lab, *at, &format!("10.244.{prefix}.0/24")).is_some())
        })
    }));
}

/// RFC 4271 §5.1.3: an address that moves here takes the routes through it along.
#[test]
fn routes_through_an_address_that_becomes_ours_are_dropped() {
    let mut lab = Lab::new();
    let a = lab.add(A, &speaker(64501, A, &neighbor(B, 64502, ACCEPT)));
    let rest = neighbor(A, 64501, ACCEPT) + &network("\"192.0.2.0/24\"");
    lab.add(B, &speaker(64502, B, &rest));
    assert!(lab.run_until(MINUTE, |lab| forwards(lab, a, "192.0.2.0/24")));
    let now = lab.now;
    let interface = Interface {
        index: 7,
        name: "vrrp0".to_owned(),
        usable: true,
        loopback: false,
        mtu: 1500,
        addresses: vec![format!("{B}/32").parse().expect("an address")],
    };
    let change = KernelEvent::Interface(InterfaceChange::Present(interface));
    lab.nodes[a].speaker.handle_kernel(now, change);
    lab.run_for(SECOND);
    assert!(!forwards(&lab, a, "192.0.2.0/24"));
}

/// Events about interfaces can be lost on a full queue: what they would have done is done when the
/// interfaces are asked for again, and nothing else.
#[test]
fn a_link_whose_end_was_not_heard_ends_its_sessions_when_asked() {
    let mut lab = Lab::new();
    let a = lab.add(A, &speaker(64501, A, &neighbor(B, 64502, ACCEPT)));
    let b = lab.add(B, &speaker(64502, B, &neighbor(A, 64501, ACCEPT)));
    let interface = Interface {
        index: 2,
        name: "eth0".to_owned(),
        usable: true,
        loopback: false,
        mtu: 1500,
        addresses: vec![format!("{A}/24").parse().expect("an address")],
    };
    let all = [interface];
    let now = lab.now;
    lab.nodes[a].speaker.handle_interfaces(now, &all);
    assert!(lab.run_until(MINUTE, |lab| lab.ups(b, A) == 1));
    let now = lab.now;
    lab.nodes[a].speaker.handle_interfaces(now, &all);
    lab.run_for(MINUTE);
    assert_eq!(lab.ups(b, A), 1);
    let now = lab.now;
    lab.nodes[a].speaker.handle_interfaces(now, &[]);
    assert!(lab.run_until(MINUTE * 5, |lab| lab.ups(b, A) == 2));
}

/// RFC 8326 §4: a drained router marks everything it announces; undone, nothing is left of it.
#[test]
fn drain_marks_what_is_announced_and_undo_unmarks_it() {
    let mut lab = Lab::new();
    let rest = neighbor(B, 64502, ACCEPT) + &network("\"192.0.2.0/24\"");
    let a = lab.add(A, &speaker(64501, A, &rest));
    let b = lab.add(B, &speaker(64502, B, &neighbor(A, 64501, ACCEPT)));
    assert!(lab.run_until(MINUTE, |lab| best(lab, b, "192.0.2.0/24").is_some()));
    let marked = |lab: &Lab| {
        let path = best(lab, b, "192.0.2.0/24");
        path.is_some_and(|path| {
            path.attrs
                .communities()
                .any(|community| community == 0xffff_0000)
        })
    };
    assert!(!marked(&lab));
    let now = lab.now;
    assert!(lab.nodes[a].speaker.drain(now, true));
    assert!(lab.run_until(SECOND, |lab| marked(lab)));
    let now = lab.now;
    assert!(lab.nodes[a].speaker.drain(now, false));
    assert!(lab.run_until(SECOND, |lab| !marked(lab)));
    assert_eq!(lab.ups(b, A), 1);
}

/// RFC 2918, RFC 7313: both directions of a soft clear leave tables as they were.
#[test]
fn soft_clear_refreshes_and_loses_nothing() {
    let mut lab = Lab::new();
    let rest = neighbor(B, 64502, ACCEPT) + &network("\"203.0.113.0/24\"");
    let a = lab.add(A, &speaker(64501, A, &rest));
    let rest = neighbor(A, 64501, ACCEPT) + &network("\"192.0.2.0/24\"");
    let b = lab.add(B, &speaker(64502, B, &rest));
    assert!(
        lab.run_until(MINUTE, |lab| best(lab, a, "192.0.2.0/24").is_some()
            && best(lab, b, "203.0.113.0/24").is_some())
    );
    let now = lab.now;
    let both = Clear::Soft {
        inbound: true,
        outbound: true,
    };
    let done = lab.nodes[a]
        .speaker
        .clear(now, &Target::Neighbor(B.parse().expect("ip")), both);
    assert_eq!(done.len(), 1);
    lab.run_for(MINUTE);
    assert!(best(&lab, a, "192.0.2.0/24").is_some_and(|path| !path.stale));
    assert!(best(&lab, b, "203.0.113.0/24").is_some_and(|path| !path.stale));
    let address: IpAddr = A.parse().expect("an address");
    let entry = lab.nodes[b]
        .speaker
        .peers()
        .by_address(address)
        .expect("the neighbor");
    assert_eq!(entry.peer.stats().received.route_refresh, 1, "B was asked");
    assert_eq!((lab.ups(a, B), lab.ups(b, A)), (1, 1));
}
