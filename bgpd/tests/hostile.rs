//! Neighbors that keep to the letter of the protocol and want to do harm by it.
//!
//! What a message costs must stand in proportion to its octets. These tests hand a speaker the
//! messages of an established neighbor that asks for expensive things all the time.

#[allow(dead_code)] // Each test binary uses its part of the lab.
mod lab;

use std::time::Duration;

use ipnet::IpNet;
use lab::Lab;
use proto_codec::afi::Family;
use proto_codec::bgp::{RefreshSubtype, RouteRefresh};

const A: &str = "10.0.0.1";
const B: &str = "10.0.0.2";
const NET: &str = "192.0.2.0/24";
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn speaker(asn: u32, router_id: &str, neighbor: &str, neighbor_asn: u32, rest: &str) -> String {
    format!(
        "[router]\nasn = {asn}\nrouter-id = \"{router_id}\"\n[kernel]\n\
         [[neighbor]]\naddress = \"{neighbor}\"\nasn = {neighbor_asn}\n\
         import = \"accept-all\"\nexport = \"accept-all\"\n{rest}"
    )
}

fn has_route(lab: &Lab, at: usize) -> bool {
    let prefix: IpNet = NET.parse().expect("a prefix");
    let route = lab.nodes[at].speaker.rib().lookup(prefix);
    route.is_some_and(|route| !route.paths.is_empty())
}

/// Hands `at` a message of its only neighbor.
fn say(lab: &mut Lab, at: usize, neighbor: &str, message: &[u8]) {
    let now = lab.now;
    let speaker = &mut lab.nodes[at].speaker;
    let address = neighbor.parse().expect("an address");
    let entry = speaker.peers().by_address(address);
    let conn = entry.and_then(|entry| entry.up.as_ref()).map(|up| up.conn);
    speaker.handle_bytes(now, conn.expect("a session"), message);
}

fn marker(subtype: RefreshSubtype) -> Vec<u8> {
    let afi_safi = Family::Ipv4Unicast.afi_safi();
    RouteRefresh { afi_safi, subtype }.to_bytes().to_vec()
}

/// RFC 7313 §4: each pair of markers makes us look at the whole table twice, for 46 octets. So
/// pairs in quick succession are taken for what they are without the capability: nothing.
#[test]
fn refresh_markers_in_quick_succession_cost_one_pass() {
    let mut lab = Lab::new();
    let a = lab.add(A, &speaker(64501, A, B, 64502, ""));
    let network = format!("[[advertise]]\nkind = \"network\"\nprefixes = [\"{NET}\"]\n");
    lab.add(B, &speaker(64502, B, A, 64501, &network));
    assert!(lab.run_until(MINUTE, |lab| has_route(lab, a)));
    let pair = [marker(RefreshSubtype::Begin), marker(RefreshSubtype::End)].concat();
    say(&mut lab, a, B, &pair);
    lab.run_for(SECOND);
    assert!(!has_route(&lab, a), "what is not repeated goes");

    let refresh = marker(RefreshSubtype::Request);
    let b = 1;
    say(&mut lab, b, A, &refresh);
    assert!(lab.run_until(MINUTE, |lab| has_route(lab, a)));
    say(&mut lab, a, B, &pair);
    lab.run_for(SECOND);
    assert!(has_route(&lab, a), "too soon after the first");
    lab.run_for(MINUTE);
    say(&mut lab, a, B, &pair);
    lab.run_for(SECOND);
    assert!(!has_route(&lab, a), "heard again after a pause");
}

/// RFC 2918 §4: 23 octets ask for a whole table. A thousand requests in a row are answered at once
/// and then once more, and the last one is not forgotten.
#[test]
fn requests_for_the_table_in_quick_succession_are_one_answer() {
    let mut lab = Lab::new();
    let network = format!("[[advertise]]\nkind = \"network\"\nprefixes = [\"{NET}\"]\n");
    let a = lab.add(A, &speaker(64501, A, B, 64502, &network));
    let b = lab.add(B, &speaker(64502, B, A, 64501, ""));
    assert!(lab.run_until(MINUTE, |lab| has_route(lab, b)));
    lab.run_for(SECOND);
    let sent = |lab: &Lab| {
        let address = B.parse().expect("an address");
        let entry = lab.nodes[a].speaker.peers().by_address(address);
        entry.expect("the neighbor").peer.stats().sent.update
    };
    let before = sent(&lab);
    for _ in 0..1_000 {
        say(&mut lab, a, B, &marker(RefreshSubtype::Request));
        lab.run_for(Duration::from_micros(10));
    }
    let route_and_markers = sent(&lab) - before;
    assert!((1..=3).contains(&route_and_markers), "{route_and_markers}");
    lab.run_for(MINUTE);
    assert_eq!(sent(&lab) - before, 2 * route_and_markers, "and once more");
}
