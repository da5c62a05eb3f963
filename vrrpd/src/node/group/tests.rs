//! Groups: what takes the members along, on one host and between two.

mod sim;

use std::time::Duration;

use proptest::prelude::*;

use super::super::SlotId;
use crate::router::{Action, Fault, Health, State};
use sim::{Plan, World};

/// A world in which host 0 is master of both segments.
fn settled() -> World {
    let mut world = World::new(Plan::default(), 7);
    world.run(Duration::from_secs(2));
    assert_eq!(world.master(), Some(0));
    world.log.clear();
    world
}

fn ids(world: &World, host: usize) -> Vec<SlotId> {
    let (group, ids) = world.nodes[host].meant_by("seg0");
    assert_eq!(group, Some("edge"));
    ids
}

fn faults(world: &World, host: usize, segment: usize) -> Vec<String> {
    let id = ids(world, host)[segment];
    let slot = world.nodes[host].slot(id).expect("it exists");
    slot.router.faults().map(ToString::to_string).collect()
}

fn weight(offset: i32) -> Health {
    Health {
        offset,
        ..Health::default()
    }
}

#[test]
fn the_fault_of_one_member_takes_all_along_and_its_end_brings_all_back() {
    let mut world = settled();
    world.down[0][1] = true;
    world.look(0);
    assert_eq!(world.state(0, 0), State::Initialize);
    assert_eq!(
        faults(&world, 0, 0),
        ["with seg1 of group edge: interface eth1 is down"]
    );
    assert_eq!(faults(&world, 0, 1), ["interface eth1 is down"]);
    assert!(world.holds[0][0], "it answers until a successor is heard");
    assert!(!world.holds[0][1]);
    world.run(Duration::from_millis(450));
    assert_eq!(world.master(), Some(1));
    assert!(!world.holds[0][0]);
    world.down[0][1] = false;
    world.look(0);
    assert!(faults(&world, 0, 0).is_empty());
    world.run(Duration::from_secs(1));
    assert_eq!(world.master(), Some(0), "the better one preempts with all");
}

#[test]
fn a_member_that_hears_only_silence_waits_for_the_others() {
    let mut world = settled();
    // Host 1 does not hear segment 1: alone it would be a second master there.
    world.cut[1][1] = true;
    world.run(Duration::from_secs(5));
    assert_eq!(world.master(), Some(0));
    let waiting = world.nodes[1].slot(ids(&world, 1)[1]).expect("it exists");
    assert!(waiting.router.wants());
    world.cut[1][0] = true;
    world.run(Duration::from_secs(1));
    assert_eq!(world.state(1, 0), State::Master);
    world.cut[1] = [false; 2];
    world.run(Duration::from_secs(1));
    assert_eq!(world.master(), Some(0));
}

#[test]
fn addresses_of_all_members_are_taken_before_anybody_hears_of_one() {
    let mut world = World::new(Plan::default(), 7);
    world.cut = [[true; 2]; 2];
    world.run(Duration::from_secs(2));
    let ours = world.log.iter().filter(|(host, _, _)| *host == 0);
    let first: Vec<&Action> = ours.map(|(_, _, action)| action).take(3).collect();
    assert_eq!(first[..2], [&Action::Take, &Action::Take]);
}

#[test]
fn a_refused_address_makes_nobody_master_not_even_for_a_packet() {
    let mut world = World::new(Plan::default(), 7);
    world.cut = [[true; 2]; 2];
    loop {
        let due = world.nodes[0].poll_timeout().expect("it waits");
        world.now = due;
        world.nodes[0].handle_timeout(due);
        if world.state(0, 0) == State::Master {
            break;
        }
    }
    let (id, _) = world.nodes[0].poll_output().expect("the first take");
    world.nodes[0].refuse(world.now, id, "10.0.0.50: no");
    world.log.clear();
    world.drain(0);
    let sends = |action: &Action| matches!(action, Action::Send { .. } | Action::Announce);
    assert!(world.log.iter().all(|(_, _, action)| !sends(action)));
    assert_eq!(world.holds[0], [false; 2]);
    assert_eq!(world.state(0, 1), State::Initialize);
}

#[test]
fn operators_move_the_whole_group() {
    let mut world = settled();
    let all = ids(&world, 0);
    let now = world.now;
    let released = world.nodes[0].with_routers(now, &all, |router| router.release(now));
    assert_eq!(released, [true, true]);
    world.drain(0);
    world.run(Duration::from_millis(300));
    assert_eq!(world.master(), Some(1));
    world.run(Duration::from_secs(3));
    assert_eq!(world.master(), Some(1), "left alone until resume");
    let now = world.now;
    world.nodes[0].with_routers(now, &all, |router| router.resume(now));
    world.run(Duration::from_secs(1));
    assert_eq!(world.master(), Some(0));
    assert_eq!(world.nodes[0].meant_by("edge").1, all);
    assert!(world.nodes[0].meant_by("nobody").1.is_empty());
}

/// One member held by hand holds the group, and says so on the other.
#[test]
fn tracking_and_holds_of_one_member_count_for_all() {
    let mut world = settled();
    let all = ids(&world, 0);
    let now = world.now;
    world.nodes[0].with_routers(now, &all[1..], |router| {
        router.set_health(now, weight(-150), Vec::new());
    });
    for id in &all {
        let slot = world.nodes[0].slot(*id).expect("it exists");
        assert_eq!(slot.router.effective_priority(), 50);
    }
    world.run(Duration::from_secs(2));
    assert_eq!(world.master(), Some(1));
    let now = world.now;
    world.nodes[0].with_routers(now, &all[1..], |router| router.set_fault(now, Fault::Held));
    assert_eq!(
        faults(&world, 0, 0),
        ["with seg1 of group edge: held by the operator"]
    );
}

/// Both are better on one segment each: by turns both would step down for ever.
#[test]
fn groups_that_lose_on_different_segments_do_not_swing() {
    let crossed = [
        Plan {
            priority: [[200, 100], [100, 200]],
            ..Plan::default()
        },
        Plan {
            priority: [[100; 2]; 2],
            octet: [[1, 2], [2, 1]],
            ..Plan::default()
        },
    ];
    for plan in crossed {
        for latency in [(20, 520), (100, 100)] {
            // Both start in the same moment, and become masters in the same moment.
            let mut world = World::new(plan.clone(), 7);
            world.latency = latency;
            world.run(10 * world.down_interval());
            let master = world.master();
            assert!(master.is_some(), "{plan:?} {latency:?}");
            world.log.clear();
            world.run(Duration::from_secs(5));
            assert_eq!(world.master(), master);
            assert!(!world.log.iter().any(|(_, _, it)| *it == Action::Take));
        }
    }
}

fn set_health(world: &mut World, host: usize, segment: usize, sick: bool) {
    let member = &ids(world, host)[segment..=segment];
    let now = world.now;
    let health = Health {
        sick: sick.then(|| "a check".to_owned()),
        ..Health::default()
    };
    world.nodes[host].with_routers(now, member, |router| {
        router.set_health(now, health.clone(), Vec::new());
    });
    world.drain(host);
}

/// A member whose checks fail takes the others along to a healthy router, and nowhere else.
#[test]
fn a_sick_member_moves_the_group_only_where_it_is_healthy() {
    let mut world = settled();
    set_health(&mut world, 0, 1, true);
    assert!(world.holds[0] == [true; 2], "it answers meanwhile");
    world.run(Duration::from_secs(1));
    assert_eq!(world.master(), Some(1));
    set_health(&mut world, 1, 0, true);
    world.run(Duration::from_secs(2));
    assert_eq!(world.master(), Some(1), "all are sick: nothing moves");
    assert_eq!(world.holds, [[false; 2], [true; 2]]);
    set_health(&mut world, 0, 1, false);
    world.run(Duration::from_secs(2));
    assert_eq!(world.master(), Some(0));
}

/// Random plans, losses, cuts, faults and restarts; then all heals.
fn story(plan: Plan, seed: u64) {
    let mut world = World::new(plan, seed);
    for _ in 0..12 {
        let (host, segment) = (world.random(2) as usize, world.random(2) as usize);
        match world.random(8) {
            0 => world.loss = world.random(60),
            1 => world.cut[host][segment] = !world.cut[host][segment],
            2 => world.cut = [[true, false], [true, false]],
            3 => {
                world.down[host][segment] = !world.down[host][segment];
                world.look(host);
            }
            4 => world.start(host),
            5 | 6 => {
                let sick = world.random(2) == 0;
                set_health(&mut world, host, segment, sick);
            }
            _ => {
                let all = ids(&world, host);
                let now = world.now;
                world.nodes[host].with_routers(now, &all, |router| router.release(now));
                world.drain(host);
            }
        }
        let length = world.random(900);
        world.run(Duration::from_millis(length));
        world.assert_together();
    }
    world.loss = 0;
    world.cut = [[false; 2]; 2];
    world.down = [[false; 2]; 2];
    for (host, segment) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        set_health(&mut world, host, segment, false);
    }
    world.look(0);
    world.look(1);
    world.run(12 * world.down_interval());
    let master = world.master();
    assert!(master.is_some(), "no router has all members");
    for _ in 0..20 {
        world.run(world.down_interval() / 4);
        assert_eq!(world.master(), master, "it swings");
    }
    for segment in 0..2 {
        let holders = (0..2).filter(|host| world.holds[*host][segment]);
        assert_eq!(
            holders.collect::<Vec<_>>(),
            master.into_iter().collect::<Vec<_>>()
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn after_healing_one_router_has_all_members(
        priority in prop_oneof![
            Just([[200u8, 200], [100, 100]]),
            Just([[100, 100], [100, 100]]),
            Just([[150, 50], [50, 150]]),
            any::<[[u8; 2]; 2]>().prop_map(|all| all.map(|of| of.map(|one| one.clamp(1, 254)))),
        ],
        octet in prop_oneof![Just([[1u8, 1], [2, 2]]), Just([[1, 2], [2, 1]])],
        interval in prop_oneof![Just([10u16, 10]), Just([1, 10]), Just([3, 5])],
        preempt in any::<bool>(),
        seed in any::<u64>(),
    ) {
        story(Plan { priority, octet, interval, preempt }, seed);
    }
}
