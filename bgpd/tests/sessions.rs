//! Whole speakers against each other, without sockets and without waiting: how sessions come up,
//! stay, and end; listen ranges and their limits.
//!
//! The lab moves time; nothing here sleeps, so ten minutes of hold timers take a millisecond.

#[allow(dead_code)] // Each test binary uses its part of the lab.
mod lab;

use std::time::Duration;

use bgpd::session::State;
use lab::Lab;

const A: &str = "10.0.0.1";
const B: &str = "10.0.0.2";
const MINUTE: Duration = Duration::from_secs(60);

fn speaker(asn: u32, router_id: &str, rest: &str) -> String {
    format!("[router]\nasn = {asn}\nrouter-id = \"{router_id}\"\n[kernel]\n{rest}")
}

fn ebgp(asn: u32, router_id: &str, neighbor: &str, neighbor_asn: u32) -> String {
    let rest = format!(
        "[[neighbor]]\naddress = \"{neighbor}\"\nasn = {neighbor_asn}\n\
         import = \"accept-all\"\nexport = \"accept-all\"\n"
    );
    speaker(asn, router_id, &rest)
}

fn established(lab: &Lab, at: usize, neighbor: &str) -> bool {
    lab.state(at, neighbor) == Some(State::Established)
}

#[test]
fn two_speakers_that_dial_at_once_end_with_one_session() {
    let mut lab = Lab::new();
    let a = lab.add(A, &ebgp(64501, A, B, 64502));
    let b = lab.add(B, &ebgp(64502, B, A, 64501));
    assert!(lab.run_until(MINUTE, |lab| established(lab, a, B)
        && established(lab, b, A)));
    lab.run_for(10 * MINUTE);
    assert_eq!((lab.ups(a, B), lab.ups(b, A)), (1, 1), "and it stays");
}

#[test]
fn a_silent_neighbor_is_given_up_after_the_hold_time() {
    let mut lab = Lab::new();
    let a = lab.add(A, &ebgp(64501, A, B, 64502));
    let b = lab.add(B, &ebgp(64502, B, A, 64501));
    assert!(lab.run_until(MINUTE, |lab| established(lab, a, B)
        && established(lab, b, A)));
    let before = lab.now;
    lab.cut(a, b);
    assert!(lab.run_until(10 * MINUTE, |lab| !established(lab, a, B)));
    let took = lab.now - before;
    assert!(
        took <= Duration::from_secs(90),
        "hold time 90 s, took {took:?}"
    );
    assert!(
        took >= Duration::from_secs(55),
        "not before the hold time, took {took:?}"
    );
}

#[test]
fn a_wrong_as_is_refused() {
    let mut lab = Lab::new();
    let a = lab.add(A, &ebgp(64501, A, B, 64999));
    let b = lab.add(B, &ebgp(64502, B, A, 64501));
    assert!(!lab.run_until(5 * MINUTE, |lab| established(lab, a, B)
        || established(lab, b, A)));
}

#[test]
fn a_shutdown_says_goodbye() {
    let mut lab = Lab::new();
    let a = lab.add(A, &ebgp(64501, A, B, 64502));
    let b = lab.add(B, &ebgp(64502, B, A, 64501));
    assert!(lab.run_until(MINUTE, |lab| established(lab, a, B)
        && established(lab, b, A)));
    let now = lab.now;
    lab.nodes[a].speaker.shut_down(now);
    assert!(lab.run_until(MINUTE, |lab| !established(lab, b, A)));
    let told = lab.nodes[b].events.iter().any(|event| {
        event.to_string().contains("Administrative Shutdown")
            && event.to_string().contains("stopping")
    });
    assert!(told, "{:?}", lab.nodes[b].events);
}

#[test]
fn a_listen_range_makes_neighbors_up_to_its_limit_and_forgets_them() {
    let range = "[[peer-group]]\nname = \"nodes\"\nasn = \"internal\"\n\
                 [[listen-range]]\nprefix = \"10.0.0.0/24\"\npeer-group = \"nodes\"\n\
                 max-neighbors = 2\n";
    let node = |id: &str| {
        let rest = format!("[[neighbor]]\naddress = \"{A}\"\nasn = \"internal\"\n");
        speaker(64500, id, &rest)
    };
    let mut lab = Lab::new();
    let a = lab.add(A, &speaker(64500, A, range));
    let members: Vec<usize> = ["10.0.0.11", "10.0.0.12", "10.0.0.13"]
        .iter()
        .map(|id| lab.add(id, &node(id)))
        .collect();
    lab.run_for(MINUTE);
    let up = |lab: &Lab| {
        members
            .iter()
            .filter(|at| established(lab, **at, A))
            .count()
    };
    assert_eq!(up(&lab), 2, "the third finds the range full");
    assert_eq!(lab.nodes[a].speaker.peers().len(), 2);
    let gone = *members
        .iter()
        .find(|at| established(&lab, **at, A))
        .expect("one is up");
    lab.crash(gone);
    lab.run_for(5 * MINUTE);
    assert_eq!(
        lab.nodes[a].speaker.peers().len(),
        2,
        "the place went to the third"
    );
}

#[test]
fn a_neighbor_that_cannot_be_reached_is_said_once() {
    let mut lab = Lab::new();
    let a = lab.add(A, &ebgp(64501, A, B, 64502));
    lab.run_for(10 * MINUTE);
    let said = |lab: &Lab| {
        let events = lab.nodes[a].events.iter();
        events
            .filter(|event| event.to_string().contains("cannot connect"))
            .count()
    };
    assert_eq!(said(&lab), 1, "{:?}", lab.nodes[a].events);
    let b = lab.add(B, &ebgp(64502, B, A, 64501));
    assert!(lab.run_until(5 * MINUTE, |lab| established(lab, a, B)));
    lab.crash(b);
    lab.run_for(10 * MINUTE);
    assert_eq!(said(&lab), 2, "and again after it was there");
}
