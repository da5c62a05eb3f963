//! Routes that start here with several sets of marks: each neighbor is told the one made for it.
//!
//! A prefix may be announced by two services or two pools with different neighbors; the decision
//! process of the router itself prefers one of the paths, and that must not be what decides what
//! others are told.

mod lab;

use std::sync::Arc;

use ipnet::IpNet;
use lab::{Lab, address, config};
use rib::{AddPathTx, OriginRoute, PeerSlot};

const PREFIX: &str = "10.9.0.1/32";

fn prefix() -> IpNet {
    PREFIX.parse().expect("a prefix")
}

/// A route with one community, for some neighbors or for all.
fn marked(community: u32, neighbors: Option<&[PeerSlot]>) -> OriginRoute {
    let mut attrs = OriginRoute::base_attrs(&prefix());
    attrs.add_community(community);
    attrs.set_local_pref(Some(100 + community));
    OriginRoute {
        attrs: Arc::new(attrs.finish()),
        neighbors: neighbors.map(|slots| slots.iter().map(|slot| address(slot.0)).collect()),
        ..OriginRoute::new(prefix())
    }
}

fn told(lab: &mut Lab, slot: PeerSlot) -> Vec<u32> {
    let peer = lab.peer(slot);
    let sets = peer.table.values().flat_map(|set| set.communities());
    sets.collect()
}

fn three() -> (Lab, [PeerSlot; 3]) {
    let mut lab = Lab::new(config());
    let slots = [lab.add(65001), lab.add(65002), lab.add(65003)];
    (lab, slots)
}

fn all(lab: &mut Lab, slots: [PeerSlot; 3]) -> [Vec<u32>; 3] {
    lab.drain();
    slots.map(|slot| told(lab, slot))
}

#[test]
fn each_neighbor_is_told_the_route_that_names_it_and_the_others_the_rest() {
    let (mut lab, slots) = three();
    lab.all_up();
    let [one, two, _] = slots;
    // The route for everybody has the highest LOCAL_PREF, so the router itself prefers it.
    let routes = vec![
        marked(1, Some(&[one])),
        marked(2, Some(&[two])),
        marked(3, None),
    ];
    lab.rib
        .originate_prefixes(vec![("pool:web".into(), vec![(prefix(), routes)])]);
    lab.rib.settle();
    assert_eq!(all(&mut lab, slots), [vec![1], vec![2], vec![3]]);
    let steps = lab.rib.explain(prefix(), Some(one));
    let last = steps.last().expect("it was exported");
    assert!(last.verdict.starts_with("accepted"), "{last:?}");
}

#[test]
fn a_route_that_is_not_the_best_may_change_and_go() {
    let (mut lab, slots) = three();
    lab.all_up();
    let [one, two, _] = slots;
    let tell = |lab: &mut Lab, routes: Vec<OriginRoute>| {
        lab.rib
            .originate_prefixes(vec![("pool:web".into(), vec![(prefix(), routes)])]);
        lab.rib.settle();
        all(lab, slots)
    };
    let before = tell(
        &mut lab,
        vec![marked(1, Some(&[one])), marked(9, Some(&[two]))],
    );
    assert_eq!(before, [vec![1], vec![9], vec![]]);
    let changed = tell(
        &mut lab,
        vec![marked(4, Some(&[one])), marked(9, Some(&[two]))],
    );
    assert_eq!(changed, [vec![4], vec![9], vec![]]);
    let gone = tell(&mut lab, vec![marked(9, Some(&[two]))]);
    assert_eq!(gone, [vec![], vec![9], vec![]]);
    let rest = tell(&mut lab, vec![marked(9, Some(&[two])), marked(5, None)]);
    assert_eq!(rest, [vec![5], vec![9], vec![5]]);
    assert!(tell(&mut lab, vec![]).iter().all(Vec::is_empty));
    assert_eq!(lab.rib.origins().map(|(_, count)| count).sum::<usize>(), 0);
}

#[test]
fn a_peer_that_comes_later_is_told_the_same() {
    let (mut lab, slots) = three();
    let routes = vec![marked(1, Some(&slots[..1])), marked(9, None)];
    lab.rib
        .originate_prefixes(vec![("pool:web".into(), vec![(prefix(), routes)])]);
    lab.all_up();
    assert_eq!(all(&mut lab, slots), [vec![1], vec![9], vec![9]]);
}

/// RFC 7911: more than one path may be told, but not one that was made for somebody else.
#[test]
fn a_peer_with_add_path_is_told_its_own_alone() {
    let (mut lab, slots) = three();
    for slot in slots {
        let peer = lab.peer(slot);
        peer.add_path = true;
        peer.session.add_path_tx = [AddPathTx::All; 2];
        peer.session.encode.add_path_tx = [true; 2];
    }
    let routes = vec![marked(1, Some(&slots[..1])), marked(9, None)];
    lab.rib
        .originate_prefixes(vec![("pool:web".into(), vec![(prefix(), routes)])]);
    lab.all_up();
    assert_eq!(all(&mut lab, slots), [vec![1], vec![9], vec![9]]);
}

#[test]
fn one_prefix_is_replaced_and_all_others_stay() {
    let (mut lab, slots) = three();
    lab.all_up();
    let net = |n: u8| IpNet::from(std::net::IpAddr::from([10, 9, 0, n]));
    let plain = |n: u8| (net(n), vec![OriginRoute::new(net(n))]);
    lab.rib
        .originate_prefixes(vec![("a".into(), (1..200).map(plain).collect())]);
    lab.rib.originate("a", vec![OriginRoute::new(net(250))]);
    lab.drain();
    assert_eq!(lab.nets(slots[0]).len(), 200);
    let before = lab.peer(slots[0]).updates;
    lab.rib
        .originate_prefixes(vec![("a".into(), vec![(net(7), vec![])])]);
    lab.rib.settle();
    lab.drain();
    assert_eq!(lab.nets(slots[0]).len(), 199);
    assert_eq!(lab.peer(slots[0]).updates - before, 1);
}

#[test]
fn a_set_that_comes_late_reaches_its_neighbor_however_many_came_before() {
    let (mut lab, slots) = three();
    lab.all_up();
    let [one, two, _] = slots;
    for n in 0..70_000u32 {
        let stranger = std::net::Ipv4Addr::from(0x0a80_0000 + n).into();
        let mut route = marked(1, Some(&[two]));
        route.neighbors.get_or_insert_default().push(stranger);
        lab.rib
            .originate_prefixes(vec![("pool:web".into(), vec![(prefix(), vec![route])])]);
    }
    assert_eq!(all(&mut lab, slots), [vec![], vec![1], vec![]]);
    let routes = vec![marked(2, Some(&[one])), marked(3, Some(&[one, two]))];
    lab.rib
        .originate_prefixes(vec![("pool:web".into(), vec![(prefix(), routes)])]);
    assert_eq!(all(&mut lab, slots), [vec![3], vec![3], vec![]]);
}

#[test]
fn a_prefix_that_moves_to_another_source_and_set_is_not_withdrawn_on_its_way() {
    let (mut lab, slots) = three();
    lab.all_up();
    let [one, two, three] = slots;
    let first = marked(1, Some(&[one, two]));
    lab.rib.originate_prefixes(vec![(
        "load-balancer-ip".into(),
        vec![(prefix(), vec![first])],
    )]);
    assert_eq!(all(&mut lab, slots), [vec![1], vec![1], vec![]]);
    let before = slots.map(|slot| lab.peer(slot).updates);
    let second = marked(2, Some(&[one, three]));
    lab.rib.originate_prefixes(vec![
        ("load-balancer-ip".into(), vec![(prefix(), vec![])]),
        ("pool:x".into(), vec![(prefix(), vec![second])]),
    ]);
    assert_eq!(all(&mut lab, slots), [vec![2], vec![], vec![2]]);
    let updates = slots.map(|slot| lab.peer(slot).updates);
    assert_eq!(updates, before.map(|updates| updates + 1), "one each");
}
