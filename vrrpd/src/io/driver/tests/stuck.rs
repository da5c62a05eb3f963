//! An address thread that is slow, late or gone: who is known as master goes on with its adverts
//! for as long as its addresses live, and nobody speaks who is not master any more.

use rib::netlink::hosts::HostLink;

use super::*;
use crate::config::parse;
use crate::io::keeper::Order;

const BOTH: &str = "[[sync-group]]\nname = \"both\"\ninstances = [\"a\", \"b\"]\n";

fn stick(lab: &Lab, stuck: bool) {
    lab.world.borrow_mut().stuck = stuck;
}

fn take_off(lab: &Lab, network: &str) {
    let gone = HostAddress {
        index: LINK,
        network: network.parse().expect("a network"),
        protocol: 112,
        usable: true,
    };
    let change = HostChange::AddressGone(gone);
    lab.world.borrow_mut().changes.push_back(change);
}

fn count(acts: &[String], act: &str) -> usize {
    acts.iter().filter(|one| *one == act).count()
}

/// Its adverts do not wait for an address that is put back.
#[test]
fn a_master_advertises_while_its_address_is_put_back() {
    let mut lab = master(ONE);
    stick(&lab, true);
    take_off(&lab, "10.0.0.50/32");
    assert!(lab.run(ms(500)));
    let acts = lab.acts();
    assert_eq!(count(&acts, "send 100 of 50"), 5, "{acts:?}");
    assert_eq!(count(&acts, "tell 10.0.0.50"), 0, "{acts:?}");
    stick(&lab, false);
    assert!(lab.run(ms(1)));
    let acts = lab.acts();
    assert_eq!(count(&acts, "tell 10.0.0.50"), 1, "{acts:?}");
}

/// Nor for one that a reload adds.
#[test]
fn a_master_advertises_while_another_address_is_taken() {
    let mut lab = master(ONE);
    stick(&lab, true);
    let more = ONE.replace("\"10.0.0.50\"", "\"10.0.0.50\", \"10.0.0.60\"");
    let config = parse("vrrpd.toml", &more).expect("a good file").config;
    lab.shared.step(|node, now| node.apply(now, config));
    lab.shared.config_loaded();
    assert!(lab.run(ms(500)));
    let acts = lab.acts();
    assert!(count(&acts, "put 10.0.0.50 10.0.0.60") > 0, "{acts:?}");
    assert_eq!(count(&acts, "send 100 of 50"), 5, "{acts:?}");
    assert_eq!(count(&acts, "tell 10.0.0.60"), 0, "{acts:?}");
}

/// Nor for one of another member of its group.
#[test]
fn a_group_advertises_while_an_address_is_put_back() {
    let mut lab = master(&format!("{ONE}{TWO}{BOTH}"));
    assert_eq!(state(&lab, "b"), State::Master);
    stick(&lab, true);
    take_off(&lab, "10.0.0.51/32");
    assert!(lab.run(ms(500)));
    let acts = lab.acts();
    assert_eq!(count(&acts, "send 100 of 50"), 5, "{acts:?}");
    assert_eq!(count(&acts, "send 200 of 51"), 5, "{acts:?}");
}

/// A better router was heard while the addresses were being taken: not a word, though they come.
#[test]
fn who_steps_down_before_it_has_its_addresses_says_nothing() {
    let mut lab = Lab::new(ONE);
    stick(&lab, true);
    assert!(lab.run(ms(370)));
    assert_eq!(state(&lab, "a"), State::Master);
    let sent = |lab: &Lab| lab.slot("a", |slot| slot.router.stats().adverts_sent);
    lab.advert("a", 200);
    assert!(lab.run(ms(10)));
    assert_eq!(state(&lab, "a"), State::Backup);
    stick(&lab, false);
    assert!(lab.run(ms(100)));
    assert_eq!(lab.acts(), ["put 10.0.0.50", "remove 10.0.0.50"]);
    assert_eq!(sent(&lab), 0);
    // The operator's order: nobody knows of it, so there is nothing to hand over.
    let mut lab = Lab::new(ONE);
    stick(&lab, true);
    assert!(lab.run(ms(370)));
    lab.shared
        .step(|node, now| node.with_router("a", |router| router.release(now)));
    assert!(lab.run(ms(10)));
    stick(&lab, false);
    assert!(lab.run(ms(100)));
    assert_eq!(lab.acts(), ["put 10.0.0.50", "remove 10.0.0.50"]);
    assert_eq!(sent(&lab), 0);
}

/// Its addresses have expired: a master without them is none, until the thread answers again.
#[test]
fn a_thread_that_does_not_answer_ends_the_mastership() {
    let mut lab = master(ONE);
    stick(&lab, true);
    assert!(lab.run(ms(700)));
    assert_eq!(state(&lab, "a"), State::Master, "they are still there");
    assert!(lab.run(ms(1200)));
    assert_eq!(state(&lab, "a"), State::Initialize);
    assert_eq!(count(&lab.acts(), "send 0 of 50"), 1);
    assert!(lab.run(ms(15_000)));
    let acts = lab.acts();
    let told = acts.iter().any(|act| act.starts_with(['t', 's']));
    assert!(!told, "{acts:?}");
    stick(&lab, false);
    assert!(lab.run(ms(500)));
    assert_eq!(state(&lab, "a"), State::Master);
    let acts = lab.acts();
    assert!(count(&acts, "send 100 of 50") > 0, "{acts:?}");
}

#[test]
fn without_the_thread_nobody_is_master() {
    let mut lab = Lab::new(ONE);
    lab.world.borrow_mut().dead = true;
    assert!(lab.run(ms(15_000)));
    assert_eq!(state(&lab, "a"), State::Initialize);
    assert!(lab.acts().is_empty());
    // It ends while somebody is: it hands over while the addresses still live.
    let mut lab = master(ONE);
    lab.world.borrow_mut().dead = true;
    assert!(lab.run(ms(700)));
    assert_eq!(state(&lab, "a"), State::Initialize);
    assert_eq!(count(&lab.acts(), "send 0 of 50"), 1);
}

/// Frozen for five seconds, and the first thing it finds is the operator's order: priority 0 would
/// go into the mastership of another.
#[test]
fn who_stood_still_hands_nothing_over() {
    let mut lab = master(ONE);
    lab.stand_still(ms(5000));
    lab.driver.stop();
    while lab.run(ms(10)) {}
    assert_eq!(lab.acts(), ["remove 10.0.0.50"]);
    for hold in [false, true] {
        let mut lab = master(ONE);
        lab.stand_still(ms(5000));
        lab.shared.step(|node, now| {
            node.with_router("a", |router| match hold {
                true => router.hold(now),
                false => assert!(!router.release(now), "it is not master any more"),
            })
        });
        assert!(lab.driver.turn());
        assert_eq!(lab.acts(), ["remove 10.0.0.50"]);
    }
}

/// Orders do not pile up behind a kernel that is slow, and those that come too late are given again
/// by who is still master.
#[test]
fn routes_are_ordered_once_at_a_time() {
    let mut lab = master(&format!("{ONE}routes = [\"default via 10.0.0.1\"]\n"));
    stick(&lab, true);
    assert!(lab.run(ms(900)));
    assert!(count(&lab.acts(), "put routes 0.0.0.0/0") <= 1);
    lab.world.borrow_mut().too_late = true;
    stick(&lab, false);
    assert!(lab.driver.turn());
    lab.world.borrow_mut().too_late = false;
    assert!(lab.run(ms(1)));
    assert_eq!(count(&lab.acts(), "put routes 0.0.0.0/0"), 1);
    // No longer than the addresses live, and then not at all.
    stick(&lab, true);
    assert!(lab.run(ms(10_000)));
    assert!(count(&lab.acts(), "put routes 0.0.0.0/0") <= 1);
}

/// That a link with a virtual MAC has gone may be among what was lost.
#[test]
fn lost_notifications_have_links_looked_at() {
    let mut lab = master(ONE);
    stick(&lab, true);
    lab.world.borrow_mut().changes.push_back(HostChange::Lost);
    assert!(lab.driver.turn());
    let looks = |order: &Order| matches!(order, Order::Carry { look: true, .. });
    assert!(lab.world.borrow().orders.iter().any(looks));
}

/// Links of others come and go: nothing is placed anew, and all is known.
#[test]
fn links_of_others_move_nobody() {
    let track = "track = [{ interface = \"eth7\", weight = -10 }]\n";
    let mut lab = master(&format!("{ONE}{track}"));
    let mut change = |change: HostChange| {
        lab.world.borrow_mut().changes.push_back(change);
        assert!(lab.driver.turn());
        let carries = |order: &Order| matches!(order, Order::Carry { .. });
        lab.world.borrow().orders.iter().any(carries)
    };
    let link = |index, name: &str| {
        HostChange::Link(HostLink {
            index,
            name: name.to_owned(),
            usable: true,
            mac: None,
        })
    };
    assert!(!change(link(7, "veth7")), "placed for a link of others");
    assert!(change(link(7, "eth7")), "a check is for this one");
    assert!(change(HostChange::LinkGone(7)));
    assert!(!change(link(8, "veth8")) && !change(HostChange::LinkGone(8)));
    assert!(!change(link(9, "veth9")));
    let known = |name: &str| {
        lab.shared
            .peek(|node, _| node.hosts().link_named(name).is_some())
    };
    assert_eq!(["veth9", "veth8"].map(known), [true, false]);
}
