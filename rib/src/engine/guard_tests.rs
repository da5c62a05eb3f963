//! One case per reason to refuse, and what passes.
//!
//! RFC 9234 §5 has a table of its own: every role with and without the attribute.

use proto_codec::bgp::{AttrEdit, NextHop, Origin};

use super::*;
use crate::peer::PeerSlot;

fn config() -> RibConfig {
    RibConfig {
        own_addresses: vec!["203.0.113.1".parse().unwrap()],
        ..RibConfig::new([10, 0, 0, 254].into(), 65000)
    }
}

fn session(asn: u32) -> PeerSession {
    PeerSession::new(PeerSlot(0), "10.0.0.1".parse().unwrap(), asn, &config())
}

fn attrs(path: &[u32]) -> AttrEdit {
    let mut edit = AttrEdit::new(Origin::Igp, NextHop::V4([192, 0, 2, 1].into()));
    edit.set_as_path(path);
    edit
}

fn verdict(edit: &AttrEdit, session: &PeerSession) -> Result<(), Reject> {
    check(&edit.finish(), session, &config())
}

#[test]
fn loops_are_refused() {
    let (external, internal) = (session(65001), session(65000));
    assert_eq!(verdict(&attrs(&[65001, 7]), &external), Ok(()));
    assert_eq!(
        verdict(&attrs(&[65001, 65000]), &external),
        Err(Reject::AsLoop)
    );
    assert_eq!(verdict(&attrs(&[7, 65000]), &internal), Err(Reject::AsLoop));
    let mut other = session(65001);
    other.local_asn = 64999;
    assert_eq!(
        verdict(&attrs(&[65001, 64999]), &other),
        Err(Reject::AsLoop)
    );
    let mut own = attrs(&[]);
    own.set_originator_id([10, 0, 0, 254].into());
    assert_eq!(verdict(&own, &internal), Err(Reject::OriginatorLoop));
    let mut reflected = attrs(&[]);
    reflected.prepend_cluster_list([10, 0, 0, 254].into());
    reflected.prepend_cluster_list([10, 0, 0, 9].into());
    assert_eq!(verdict(&reflected, &internal), Err(Reject::ClusterLoop));
    assert_eq!(verdict(&attrs(&[]), &internal), Ok(()));
}

#[test]
fn the_first_as_must_be_the_neighbors() {
    let mut external = session(65001);
    assert_eq!(
        verdict(&attrs(&[7, 65001]), &external),
        Err(Reject::FirstAs)
    );
    assert_eq!(verdict(&attrs(&[]), &external), Err(Reject::FirstAs));
    external.enforce_first_as = false;
    assert_eq!(verdict(&attrs(&[7, 65001]), &external), Ok(()));
}

#[test]
fn next_hops_nobody_can_send_to_are_refused() {
    let external = session(65001);
    let cases = [
        ("10.0.0.254", false),
        ("203.0.113.1", false),
        ("0.0.0.0", false),
        ("127.0.0.1", false),
        ("224.0.0.1", false),
        ("255.255.255.255", false),
        ("192.0.2.7", true),
        ("10.0.0.1", true),
    ];
    for (addr, passes) in cases {
        let addr: IpAddr = addr.parse().unwrap();
        let mut edit = attrs(&[65001]);
        edit.set_next_hop(addr);
        assert_eq!(verdict(&edit, &external).is_ok(), passes, "{addr}");
    }
}

/// RFC 9234 §5, ingress.
#[test]
fn only_to_customer_shows_leaks() {
    let cases = [
        // Our role, OTC as received, leak, OTC added.
        (Role::Provider, Some(7), true, None),
        (Role::Provider, None, false, None),
        (Role::RouteServer, Some(7), true, None),
        (Role::Peer, Some(65001), false, None),
        (Role::Peer, Some(7), true, None),
        (Role::Peer, None, false, Some(65001)),
        (Role::Customer, Some(7), false, None),
        (Role::Customer, None, false, Some(65001)),
        (Role::RouteServerClient, None, false, Some(65001)),
    ];
    for (role, otc, leak, added) in cases {
        let mut session = session(65001);
        session.role = Some(role);
        let mut edit = attrs(&[65001]);
        edit.set_otc(otc);
        let expected = if leak { Err(Reject::RouteLeak) } else { Ok(()) };
        assert_eq!(verdict(&edit, &session), expected, "{role:?} {otc:?}");
        assert_eq!(
            otc_to_add(&edit.finish(), &session),
            added,
            "{role:?} {otc:?}"
        );
    }
}

#[test]
fn refusals_are_counted_by_reason() {
    let mut rejects = Rejects::default();
    rejects.add(Reject::AsLoop, 3);
    rejects.add(Reject::NextHop, 1);
    rejects.add(Reject::AsLoop, 1);
    assert_eq!(rejects.total(), 5);
    let counted = |reason| rejects.iter().find(|(of, _)| *of == reason).map(|(_, n)| n);
    assert_eq!(counted(Reject::AsLoop), Some(4));
    assert_eq!(counted(Reject::RouteLeak), Some(0));
}
