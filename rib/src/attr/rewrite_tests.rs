//! What each kind of peer gets of each kind of path.
//!
//! The sentences of RFC 4271 §5.1, RFC 4456 §8 and RFC 9234 §5, one test each.

use proto_codec::bgp::{AttrEdit, ExtCommunity, Origin};

use super::*;
use crate::attr::AttrId;

fn rewrite(kind: PeerKind) -> Rewrite {
    Rewrite {
        family: Family::Ipv4Unicast,
        kind,
        local_asn: 65000,
        local_v4: Some([10, 0, 0, 254].into()),
        local_v6: Some("2001:db8::fe".parse().unwrap()),
        local_link_local: None,
        cluster_id: [10, 0, 0, 254].into(),
        next_hop_self: false,
        next_hop_keep: false,
        ext_next_hop: false,
        role: None,
        default_local_pref: 100,
    }
}

fn from(kind: PathKind) -> SourceOfPath {
    SourceOfPath {
        kind,
        client: false,
        router_id: [10, 0, 0, 9].into(),
    }
}

fn received() -> AttrEdit {
    let mut edit = AttrEdit::new(Origin::Igp, NextHop::V4([192, 0, 2, 1].into()));
    edit.set_as_path(&[65001, 7]);
    edit
}

fn plain() -> OutAttr {
    OutAttr::new(AttrId::for_test(1), false, false)
}

fn apply(rewrite: &Rewrite, edit: &AttrEdit, kind: PathKind) -> AttrSet {
    rewrite.apply(plain(), &edit.finish(), from(kind)).unwrap()
}

#[test]
fn another_as_gets_our_as_and_address_and_nothing_internal() {
    let mut edit = received();
    edit.set_local_pref(Some(300));
    edit.set_med(Some(5));
    edit.set_originator_id([1, 1, 1, 1].into());
    edit.prepend_cluster_list([2, 2, 2, 2].into());
    edit.set_aigp(Some(9));
    edit.add_ext_community(ExtCommunity([0x40, 4, 0, 0, 0, 0, 0, 1]));
    edit.add_ext_community(ExtCommunity([0, 2, 0, 1, 0, 0, 0, 1]));
    let out = apply(&rewrite(PeerKind::External), &edit, PathKind::Internal);
    assert_eq!(out.as_path().to_string(), "65000 65001 7");
    assert_eq!(out.next_hop(), NextHop::V4([10, 0, 0, 254].into()));
    assert_eq!(
        (out.local_pref(), out.med(), out.originator_id()),
        (None, None, None)
    );
    assert_eq!((out.cluster_list().count(), out.aigp()), (0, None));
    assert_eq!(out.ext_communities().count(), 1, "the transitive one");
}

/// RFC 4271 §5.1.4: the MED of another AS is not passed on to a third; ours and policy's is.
#[test]
fn med_leaves_the_as_only_when_it_is_ours() {
    let mut edit = received();
    edit.set_med(Some(5));
    let external = rewrite(PeerKind::External);
    assert_eq!(apply(&external, &edit, PathKind::External).med(), None);
    assert_eq!(apply(&external, &edit, PathKind::Local).med(), Some(5));
    let by_policy = OutAttr::new(AttrId::for_test(1), false, true);
    let out = external.apply(by_policy, &edit.finish(), from(PathKind::External));
    assert_eq!(out.unwrap().med(), Some(5));
    assert_eq!(
        apply(&rewrite(PeerKind::Internal), &edit, PathKind::External).med(),
        Some(5)
    );
}

#[test]
fn within_the_as_the_next_hop_stays_unless_told_otherwise() {
    let mut internal = rewrite(PeerKind::Internal);
    let own = NextHop::V4([10, 0, 0, 254].into());
    let theirs = NextHop::V4([192, 0, 2, 1].into());
    let out = apply(&internal, &received(), PathKind::External);
    assert_eq!((out.next_hop(), out.local_pref()), (theirs, Some(100)));
    assert_eq!(out.as_path().to_string(), "65001 7");
    internal.next_hop_self = true;
    assert_eq!(
        apply(&internal, &received(), PathKind::External).next_hop(),
        own
    );
    // RFC 4456 §10: a reflector does not change the next hop of what it reflects.
    assert_eq!(
        apply(&internal, &received(), PathKind::Internal).next_hop(),
        theirs
    );
    let local = AttrEdit::new(Origin::Igp, NextHop::V4(Ipv4Addr::UNSPECIFIED));
    assert_eq!(apply(&internal, &local, PathKind::Local).next_hop(), own);
    assert_eq!(
        apply(&internal, &received(), PathKind::Local).next_hop(),
        theirs
    );
}

/// RFC 4456 §8.
#[test]
fn a_reflected_route_names_its_originator_and_the_clusters() {
    let client = rewrite(PeerKind::InternalClient);
    let out = apply(&client, &received(), PathKind::Internal);
    assert_eq!(out.originator_id(), Some([10, 0, 0, 9].into()));
    let clusters: Vec<Ipv4Addr> = out.cluster_list().collect();
    assert_eq!(clusters, [Ipv4Addr::new(10, 0, 0, 254)]);
    let again = apply(&client, &out.edit(), PathKind::Internal);
    assert_eq!(again.originator_id(), Some([10, 0, 0, 9].into()), "kept");
    assert_eq!(again.cluster_list().count(), 2);
    let fresh = apply(&client, &received(), PathKind::External);
    assert_eq!(
        (fresh.originator_id(), fresh.cluster_list().count()),
        (None, 0)
    );
}

#[test]
fn only_to_customer_is_added_on_the_way_down() {
    let mut external = rewrite(PeerKind::External);
    for (role, added) in [
        (Role::Provider, true),
        (Role::RouteServer, true),
        (Role::Peer, true),
        (Role::Customer, false),
        (Role::RouteServerClient, false),
    ] {
        external.role = Some(role);
        let out = apply(&external, &received(), PathKind::External);
        assert_eq!(out.otc(), added.then_some(65000), "{role:?}");
    }
    external.role = Some(Role::Provider);
    let mut marked = received();
    marked.set_otc(Some(7));
    assert_eq!(
        apply(&external, &marked, PathKind::External).otc(),
        Some(7),
        "kept"
    );
}

#[test]
fn a_next_hop_the_peer_cannot_use_is_replaced_by_ours_or_not_told() {
    let v6: NextHop = NextHop::from("2001:db8::1".parse::<IpAddr>().unwrap());
    let mut edit = received();
    edit.set_next_hop(v6);
    let mut internal = rewrite(PeerKind::Internal);
    let own = NextHop::V4([10, 0, 0, 254].into());
    assert_eq!(apply(&internal, &edit, PathKind::External).next_hop(), own);
    internal.ext_next_hop = true;
    assert_eq!(apply(&internal, &edit, PathKind::External).next_hop(), v6);
    let link_local: IpAddr = "fe80::1".parse().unwrap();
    edit.set_next_hop(NextHop::from(link_local));
    assert_eq!(apply(&internal, &edit, PathKind::External).next_hop(), own);
    internal.local_v4 = None;
    internal.local_v6 = None;
    assert_eq!(
        internal.apply(plain(), &edit.finish(), from(PathKind::External)),
        None
    );
    let mut unnumbered = rewrite(PeerKind::External);
    unnumbered.local_v4 = None;
    unnumbered.local_v6 = None;
    unnumbered.local_link_local = Some("fe80::fe".parse().unwrap());
    unnumbered.ext_next_hop = true;
    let out = apply(&unnumbered, &received(), PathKind::External);
    assert_eq!(
        out.next_hop().link_local(),
        Some("fe80::fe".parse().unwrap())
    );
}

#[test]
fn policy_may_keep_the_next_hop_towards_another_as() {
    let external = rewrite(PeerKind::External);
    let kept = OutAttr::new(AttrId::for_test(1), true, false);
    let out = external.apply(kept, &received().finish(), from(PathKind::External));
    assert_eq!(out.unwrap().next_hop(), NextHop::V4([192, 0, 2, 1].into()));
}
