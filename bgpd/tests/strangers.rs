//! Those who connect without being expected, or not the way they are expected.
//!
//! A listen range is open to everybody inside of it, so these tests play a crowd that connects and
//! says nothing, and look whether real neighbors still come up and stay. The others play somebody
//! with the right address in the wrong place.

#[allow(dead_code)] // Each test binary uses its part of the lab.
mod lab;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bgpd::session::State;
use bgpd::speaker::port::{Action, Admission, ConnId};
use lab::Lab;
use rib::fib::{Interface, InterfaceChange, KernelEvent};

const A: &str = "10.0.0.1";
const MINUTE: Duration = Duration::from_secs(60);

fn speaker(asn: u32, router_id: &str, rest: &str) -> String {
    format!("[router]\nasn = {asn}\nrouter-id = \"{router_id}\"\n{rest}")
}

/// A listen range with room for this many.
fn range(max: usize) -> String {
    let rest = format!(
        "[[peer-group]]\nname = \"nodes\"\nasn = \"internal\"\n\
         [[listen-range]]\nprefix = \"10.0.0.0/16\"\npeer-group = \"nodes\"\n\
         max-neighbors = {max}\n"
    );
    speaker(64500, A, &rest)
}

fn node(router_id: &str) -> String {
    let rest = format!("[[neighbor]]\naddress = \"{A}\"\nasn = \"internal\"\n");
    speaker(64500, router_id, &rest)
}

fn ends(local: &str, remote: &str) -> (SocketAddr, SocketAddr) {
    let address = |text: &str| -> IpAddr { text.parse().expect("an address") };
    let local = SocketAddr::new(address(local), 179);
    (local, SocketAddr::new(address(remote), 40_000))
}

/// Somebody connects; what comes of it.
fn connect(lab: &mut Lab, at: usize, (local, remote): (SocketAddr, SocketAddr)) -> Option<ConnId> {
    let now = lab.now;
    match lab.nodes[at].speaker.handle_accept(now, local, remote) {
        Admission::Accepted { conn, .. } => Some(conn),
        Admission::Refused => None,
    }
}

/// A crowd that connects from one address each and says nothing.
fn crowd(lab: &mut Lab, at: usize, size: u16) {
    for number in 0..size {
        let [high, low] = number.to_be_bytes();
        let stranger = format!("10.0.{}.{low}", 100 + high);
        connect(lab, at, ends(A, &stranger));
    }
}

fn established(lab: &Lab, at: usize, neighbor: &str) -> bool {
    lab.state(at, neighbor) == Some(State::Established)
}

#[test]
fn silent_strangers_leave_room_for_a_real_neighbor() {
    let mut lab = Lab::new();
    let a = lab.add(A, &range(8));
    crowd(&mut lab, a, 1_000);
    assert_eq!(lab.nodes[a].speaker.peers().len(), 8, "bounded");
    let b = lab.add("10.0.0.11", &node("10.0.0.11"));
    assert!(lab.run_until(MINUTE, |lab| established(lab, b, A)));
}

#[test]
fn a_crowd_takes_no_place_of_a_session() {
    let mut lab = Lab::new();
    let a = lab.add(A, &range(2));
    let b = lab.add("10.0.0.11", &node("10.0.0.11"));
    let c = lab.add("10.0.0.12", &node("10.0.0.12"));
    assert!(lab.run_until(MINUTE, |lab| established(lab, b, A)
        && established(lab, c, A)));
    crowd(&mut lab, a, 1_000);
    lab.run_for(10 * MINUTE);
    assert_eq!((lab.ups(b, A), lab.ups(c, A)), (1, 1));
    assert!(established(&lab, b, A) && established(&lab, c, A));
}

/// Who announced too much and never came back does not keep its place once its pause is over.
#[test]
fn a_punished_stranger_gives_its_place_to_the_next() {
    let mut lab = Lab::new();
    let limit = "asn = \"internal\"\nmax-prefixes = 1\nmax-prefixes-restart = \"30s\"\n";
    let text = range(1).replace("asn = \"internal\"\n", limit);
    let a = lab.add(A, &text);
    let networks = "[[advertise]]\nkind = \"network\"\n\
                    prefixes = [\"192.0.2.0/24\", \"198.51.100.0/24\"]\n";
    let b = lab.add("10.0.0.11", &(node("10.0.0.11") + networks));
    let held = |lab: &Lab| {
        let mut entries = lab.nodes[a].speaker.peers().iter();
        entries.any(|entry| entry.is_held())
    };
    assert!(lab.run_until(MINUTE, held), "over the limit");
    lab.crash(b);
    lab.run_for(MINUTE);
    let c = lab.add("10.0.0.12", &node("10.0.0.12"));
    assert!(lab.run_until(MINUTE, |lab| established(lab, c, A)));
}

/// RFC 4271 §8.2.2 suggests four minutes for neighbors that somebody has configured.
#[test]
fn who_says_nothing_is_forgotten_within_seconds() {
    let mut lab = Lab::new();
    let a = lab.add(A, &range(8));
    crowd(&mut lab, a, 5);
    lab.run_for(Duration::from_secs(16));
    assert_eq!(lab.nodes[a].speaker.peers().len(), 0);
}

/// Nor does an OPEN with a hold time of zero buy a place for ever.
#[test]
fn who_stops_after_an_open_is_forgotten_within_seconds() {
    let mut lab = Lab::new();
    let a = lab.add(A, &range(8));
    let conn = connect(&mut lab, a, ends(A, "10.0.0.66")).expect("inside the range");
    let mut open = vec![0xff; 16];
    open.extend([0, 29, 1, 4, 0xfb, 0xf4, 0, 0, 10, 0, 0, 66, 0]);
    let now = lab.now;
    lab.nodes[a].speaker.handle_bytes(now, conn, &open);
    assert_eq!(lab.state(a, "10.0.0.66"), Some(State::OpenConfirm));
    lab.run_for(Duration::from_secs(16));
    assert_eq!(lab.nodes[a].speaker.peers().len(), 0);
}

#[test]
fn a_neighbor_must_come_to_its_local_address() {
    let neighbor = |rest: &str| {
        let text = format!("[[neighbor]]\naddress = \"10.0.0.2\"\nasn = 64502\n{rest}");
        speaker(64501, A, &text)
    };
    let mut lab = Lab::new();
    let strict = lab.add(A, &neighbor("local-address = \"10.0.0.1\"\n"));
    assert_eq!(
        connect(&mut lab, strict, ends("192.0.2.1", "10.0.0.2")),
        None
    );
    let mut events = std::iter::from_fn(|| lab.nodes[strict].speaker.poll_event());
    assert!(events.any(|event| event.to_string().contains("local-address")));
    assert!(connect(&mut lab, strict, ends(A, "10.0.0.2")).is_some());
    let any = lab.add("10.0.0.3", &neighbor(""));
    assert!(connect(&mut lab, any, ends("192.0.2.1", "10.0.0.2")).is_some());
}

fn interface(index: u32, name: &str) -> KernelEvent {
    KernelEvent::Interface(InterfaceChange::Present(Interface {
        index,
        name: name.to_owned(),
        usable: true,
        loopback: false,
        mtu: 1500,
        addresses: Vec::new(),
    }))
}

fn over(scope: u32) -> (SocketAddr, SocketAddr) {
    let end = |text: &str, port| {
        let address = text.parse().expect("an address");
        SocketAddr::V6(std::net::SocketAddrV6::new(address, port, 0, scope))
    };
    (end("fe80::1", 179), end("fe80::2", 40_000))
}

/// RFC 4007 §6: a link-local address is somebody else on every link.
#[test]
fn a_link_local_neighbor_comes_over_its_own_link() {
    let mut lab = Lab::new();
    let neighbor = "[[neighbor]]\naddress = \"fe80::2\"\ninterface = \"eth1\"\nasn = 64502\n";
    let a = lab.add(A, &speaker(64501, A, neighbor));
    let now = lab.now;
    for event in [interface(3, "eth1"), interface(4, "eth2")] {
        lab.nodes[a].speaker.handle_kernel(now, event);
    }
    assert_eq!(connect(&mut lab, a, over(4)), None);
    // Ours is open already: both have dialled at once (RFC 4271 §6.8).
    let actions = std::iter::from_fn(|| lab.nodes[a].speaker.poll_action());
    let dialled = actions.into_iter().find_map(|action| match action {
        Action::Connect(request) => Some(request.conn),
        _ => None,
    });
    let (local, remote) = over(3);
    let ours = dialled.expect("an attempt");
    lab.nodes[a]
        .speaker
        .handle_connected(now, ours, local, remote);
    assert!(connect(&mut lab, a, over(3)).is_some());
}

#[test]
fn nobody_on_another_link_takes_the_place_of_a_link_local_neighbor() {
    let mut lab = Lab::new();
    let text = "[[listen-range]]\nprefix = \"fe80::/10\"\nasn = \"external\"\n";
    let a = lab.add(A, &speaker(64501, A, text));
    assert!(connect(&mut lab, a, over(3)).is_some());
    assert_eq!(connect(&mut lab, a, over(4)), None);
}

/// RFC 5082 §3: without the check of the TTL the session must not come up.
#[test]
fn a_refused_ttl_check_keeps_the_session_down_and_says_the_cure() {
    let mut lab = Lab::new();
    let neighbor = "[[neighbor]]\naddress = \"10.0.0.2\"\nasn = 64502\nttl-security = 1\n\
                    passive = true\n";
    let a = lab.add(A, &speaker(64501, A, neighbor));
    for _ in 0..3 {
        let conn = connect(&mut lab, a, ends(A, "10.0.0.2")).expect("a neighbor");
        let now = lab.now;
        let error = std::io::ErrorKind::Unsupported;
        lab.nodes[a].speaker.handle_accept_failed(now, conn, error);
        lab.run_for(MINUTE);
        assert!(lab.state(a, "10.0.0.2") < Some(State::OpenSent));
    }
    let said = lab.nodes[a].events.iter().map(ToString::to_string);
    let said: Vec<String> = said.filter(|text| text.contains("ttl-security")).collect();
    assert_eq!(said.len(), 1, "once: {said:?}");
}
