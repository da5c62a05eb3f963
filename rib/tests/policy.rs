//! Every match and every set of the policy language, through a whole RIB.
//!
//! A route with all kinds of attributes comes in, a policy of one rule is applied on import, and
//! what comes out is compared: `set_import` runs the kept Adj-RIB-In through it.

mod lab;

use std::sync::Arc;

use ipnet::IpNet;
use lab::{Lab, config};
use proto_codec::bgp::{AttrEdit, AttrSet, ExtCommunity, LargeCommunity, NextHop, Origin};
use rib::policy::{
    MatchDef, NextHopAction, PolicyDef, PrefixMatch, RpkiState, RuleDef, SetDef, Then,
};
use rib::{OriginRoute, PeerSlot, Policy};

const RT: [u8; 8] = [0, 2, 0xfd, 0xe9, 0, 0, 0, 5];

fn large(local2: u32) -> LargeCommunity {
    LargeCommunity {
        global: 65001,
        local1: 1,
        local2,
    }
}

/// A route with one of everything.
fn attrs() -> AttrSet {
    let mut edit = AttrEdit::new(Origin::Igp, NextHop::V4([192, 0, 2, 1].into()));
    edit.set_as_path(&[65001, 64600, 64601]);
    edit.set_med(Some(1));
    edit.add_community(65001 << 16 | 100);
    edit.add_community(65001 << 16 | 200);
    edit.add_large_community(large(3));
    edit.add_ext_community(ExtCommunity(RT));
    edit.finish()
}

fn rule(matches: MatchDef, set: SetDef, then: Then) -> RuleDef {
    RuleDef { matches, set, then }
}

fn policy(rules: Vec<RuleDef>) -> Arc<Policy> {
    let def = PolicyDef {
        name: "test".into(),
        rules,
    };
    Arc::new(Policy::compile(&def).unwrap())
}

fn lab() -> (Lab, PeerSlot, PeerSlot) {
    let mut lab = Lab::new(config());
    let (feeder, reader) = (lab.add(65001), lab.add(65002));
    lab.all_up();
    let net: IpNet = "10.1.2.0/24".parse().unwrap();
    lab.announce(feeder, &[net], &attrs());
    lab.drain();
    (lab, feeder, reader)
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|one| (*one).to_owned()).collect()
}

/// A match on one key; values are separated by commas.
fn matching(key: &str, values: &str) -> MatchDef {
    let list = || values.split(',').map(str::to_owned).collect::<Vec<_>>();
    let mut def = MatchDef::default();
    match key {
        "" => {}
        "prefix" => def.prefix.push(PrefixMatch {
            net: values.parse().unwrap(),
            ge: None,
            le: Some(24),
        }),
        "community" => def.community = list(),
        "large-community" => def.large_community = list(),
        "ext-community" => def.ext_community = list(),
        "as-path" => def.as_path = list(),
        "neighbor" => def.neighbor.push(values.parse().unwrap()),
        "rpki" if values == "valid" => def.rpki = Some(RpkiState::Valid),
        "rpki" => def.rpki = Some(RpkiState::NotFound),
        "origin-source" => def.origin_source = list(),
        "prefix-not" => def.prefix_not.push(PrefixMatch {
            net: values.parse().unwrap(),
            ge: None,
            le: Some(24),
        }),
        "learned" => def.learned = Some(values == "true"),
        "local-pref" => {
            let (least, most) = values.split_once('-').unwrap();
            def.local_pref = Some((least.parse().unwrap(), most.parse().unwrap()));
        }
        "next-hop" => def.next_hop = list().iter().map(|net| net.parse().unwrap()).collect(),
        other => unreachable!("{other}"),
    }
    def
}

#[test]
fn every_kind_of_match_takes_and_leaves() {
    let cases = [
        ("", "", true),
        ("prefix", "10.0.0.0/8", true),
        ("prefix", "11.0.0.0/8", false),
        ("community", "65001:100", true),
        ("community", "65001:300,65002:*", false),
        ("community", "65001:*", true),
        ("large-community", "65001:1:3", true),
        ("large-community", "*:*:4", false),
        ("ext-community", "rt:65001:5", true),
        ("ext-community", "rt:65001:6", false),
        ("as-path", "_64600_", true),
        ("as-path", "^64600_,64601$", true),
        ("as-path", "^64600_", false),
        ("neighbor", "10.0.0.1", true),
        ("neighbor", "10.0.0.2", false),
        ("rpki", "not-found", true),
        ("rpki", "valid", false),
        ("origin-source", "*", false),
        ("prefix-not", "10.0.0.0/8", false),
        ("prefix-not", "11.0.0.0/8", true),
        ("learned", "true", true),
        ("learned", "false", false),
        // The route has none, so that of every route without.
        ("local-pref", "100-100", true),
        ("local-pref", "0-99", false),
        ("local-pref", "101-4294967295", false),
        ("next-hop", "10.9.0.0/16,192.0.2.0/24", true),
        ("next-hop", "192.0.2.2/32", false),
    ];
    let (mut lab, feeder, reader) = lab();
    for (key, values, taken) in cases {
        let rule = rule(matching(key, values), SetDef::default(), Then::Accept);
        let policy = policy(vec![rule]);
        lab.rib.set_import(feeder, Policy::accept_all());
        lab.rib.set_import(feeder, Arc::clone(&policy));
        lab.drain();
        assert_eq!(lab.nets(reader).len(), usize::from(taken), "{key} {values}");
        assert_eq!(policy.hits(), [u64::from(taken)], "{key} {values}");
    }
}

/// The route after a policy that sets what `change` says.
fn after(change: impl FnOnce(&mut SetDef)) -> Arc<AttrSet> {
    let (mut lab, feeder, _) = lab();
    let mut set = SetDef::default();
    change(&mut set);
    let rule = rule(MatchDef::default(), set, Then::Accept);
    lab.rib.set_import(feeder, policy(vec![rule]));
    let view = lab.rib.lookup("10.1.2.0/24".parse().unwrap()).unwrap();
    Arc::clone(&view.paths[0].attrs)
}

#[test]
fn numbers_and_next_hops_are_set() {
    assert_eq!(*after(|_| ()), attrs());
    assert_eq!(after(|set| set.local_pref = Some(7)).local_pref(), Some(7));
    assert_eq!(after(|set| set.med = Some(7)).med(), Some(7));
    let prepended = after(|set| set.prepend = Some(2));
    assert_eq!(
        prepended.as_path().to_string(),
        "65001 65001 65001 64600 64601"
    );
    let prepended = after(|set| set.prepend_path = vec![64512, 64513]);
    assert_eq!(
        prepended.as_path().to_string(),
        "64512 64513 65001 64600 64601"
    );
    let hop = |action| {
        let set = after(|set| set.next_hop = Some(action));
        set.next_hop().addr().to_string()
    };
    assert_eq!(hop(NextHopAction::Addr([9, 9, 9, 9].into())), "9.9.9.9");
    // Ourselves as the next hop of what we learn would be a route nobody can follow.
    assert_eq!(hop(NextHopAction::SelfAddr), "192.0.2.1");
    assert_eq!(hop(NextHopAction::Unchanged), "192.0.2.1");
}

#[test]
fn communities_of_all_kinds_are_replaced_removed_and_added() {
    let low =
        |set: Arc<AttrSet>| -> Vec<u32> { set.communities().map(|one| one & 0xffff).collect() };
    let larges =
        |set: Arc<AttrSet>| -> Vec<u32> { set.large_communities().map(|one| one.local2).collect() };
    let added = after(|set| set.community_add = strings(&["65001:100", "1:7"]));
    assert_eq!(low(added), [100, 200, 7]);
    assert_eq!(
        low(after(|set| set.community_remove = strings(&["*:100"]))),
        [200]
    );
    assert_eq!(
        low(after(|set| set.community_set = Some(strings(&["1:7"])))),
        [7]
    );
    assert!(low(after(|set| set.community_set = Some(Vec::new()))).is_empty());
    let added = after(|set| set.large_community_add = strings(&["1:2:9"]));
    assert_eq!(larges(added), [3, 9]);
    let removed = after(|set| set.large_community_remove = strings(&["65001:*:*"]));
    assert!(larges(removed).is_empty());
    let replaced = after(|set| set.large_community_set = Some(strings(&["1:2:8"])));
    assert_eq!(larges(replaced), [8]);
    let removed = after(|set| set.ext_community_remove = strings(&["rt:65001:5"]));
    assert_eq!(removed.ext_communities().count(), 0);
    let added = after(|set| set.ext_community_add = strings(&["soo:65001:5"]));
    assert_eq!(added.ext_communities().count(), 2);
}

#[test]
fn the_first_rule_that_decides_wins_and_next_goes_on_with_the_changes() {
    let (mut lab, feeder, reader) = lab();
    let community = |text: &str| MatchDef {
        community: strings(&[text]),
        ..MatchDef::default()
    };
    let mark = SetDef {
        community_add: strings(&["65000:1"]),
        ..SetDef::default()
    };
    let prefer = SetDef {
        local_pref: Some(250),
        ..SetDef::default()
    };
    let import = policy(vec![
        rule(community("65001:999"), SetDef::default(), Then::Reject),
        rule(community("65001:100"), mark, Then::Next),
        rule(community("65000:1"), prefer, Then::Accept),
        rule(MatchDef::default(), SetDef::default(), Then::Reject),
    ]);
    lab.rib.set_import(feeder, Arc::clone(&import));
    lab.drain();
    let view = lab.rib.lookup("10.1.2.0/24".parse().unwrap()).unwrap();
    assert_eq!(view.paths[0].attrs.local_pref(), Some(250));
    assert_eq!(
        view.paths[0].received.local_pref(),
        None,
        "kept as received"
    );
    assert_eq!(import.hits(), [0, 1, 1, 0]);
    lab.rib.set_import(feeder, policy(Vec::new()));
    lab.drain();
    assert!(lab.nets(reader).is_empty(), "a policy ends in reject");
    let stats = lab.rib.peer_stats(feeder).unwrap();
    assert_eq!((stats.received[0], stats.accepted[0]), (1, 0));
}

/// RFC 8326 §4: the route of a router that is about to go is the last choice.
#[test]
fn graceful_shutdown_lowers_the_local_preference() {
    let (mut lab, feeder, _) = lab();
    let mut edit = attrs().edit();
    edit.add_community(0xffff_0000);
    lab.announce(feeder, &["10.1.2.0/24".parse().unwrap()], &edit.finish());
    let view = lab.rib.lookup("10.1.2.0/24".parse().unwrap()).unwrap();
    assert_eq!(view.paths[0].attrs.local_pref(), Some(0));
}

#[test]
fn export_policy_sees_sources_and_neighbors_and_sets_what_leaves() {
    let (mut lab, feeder, reader) = lab();
    let from_pool = MatchDef {
        origin_source: strings(&["pool:a"]),
        ..MatchDef::default()
    };
    let to_reader = MatchDef {
        neighbor: vec![lab::address(reader.0)],
        ..MatchDef::default()
    };
    let set = SetDef {
        med: Some(55),
        prepend: Some(2),
        next_hop: Some(NextHopAction::Unchanged),
        ..SetDef::default()
    };
    let export = policy(vec![
        rule(from_pool, SetDef::default(), Then::Accept),
        rule(to_reader, set, Then::Accept),
    ]);
    let local = |prefix: &str| OriginRoute::new(prefix.parse().unwrap());
    lab.rib.originate("pool:a", vec![local("172.16.0.0/24")]);
    lab.rib.originate("pool:b", vec![local("172.16.1.0/24")]);
    for slot in [feeder, reader] {
        lab.rib.set_export(slot, Arc::clone(&export));
    }
    lab.drain();
    assert_eq!(lab.nets(feeder), ["172.16.0.0/24"]);
    assert_eq!(
        lab.nets(reader),
        ["10.1.2.0/24", "172.16.0.0/24", "172.16.1.0/24"]
    );
    let told = lab.told(reader, "10.1.2.0/24").unwrap();
    assert_eq!(
        told.as_path().to_string(),
        "65000 65000 65000 65001 64600 64601"
    );
    assert_eq!(
        (told.med(), told.next_hop()),
        (Some(55), NextHop::V4([192, 0, 2, 1].into()))
    );
    assert_eq!(lab.told(reader, "172.16.0.0/24").unwrap().med(), None);
}
