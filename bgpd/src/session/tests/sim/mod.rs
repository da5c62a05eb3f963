//! Two peers and a model network: whatever happens, one session in the end.
//!
//! [`net::World`] carries bytes between two real machines over model TCP connections: random
//! latency and chunks, dials from both sides at once, dials that vanish, resets that one side sees
//! before the other, half-open connections after a crash, operators who stop, start and clear.
//! After the troubles the network is left alone, and within a bounded time both machines must be
//! Established on the same connection, with nothing else open, and stay so.
//!
//! A failure names its seed; `WAYFARE_SEED=n` runs that one alone.

mod net;

use std::net::Ipv4Addr;
use std::time::Duration;

use super::super::*;
use net::{Troubles, World};

/// Seeds of each test; enough to meet every interleaving of two dials many times over.
const SEEDS: u64 = 300;
/// The longest anything may be stuck once the network is well: a lost OPEN (4 min), then the
/// longest idle hold and dial backoff (1 min each), rounded up.
const SETTLE: Duration = Duration::from_secs(420);
/// The longest a session may be away that both sides lost to a reset.
const RECOVERY: Duration = Duration::from_secs(3);
/// How long the session must then last.
const CALM: Duration = Duration::from_secs(600);

fn seeds() -> Vec<u64> {
    match std::env::var("WAYFARE_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
    {
        Some(seed) => vec![seed],
        None => (0..SEEDS).collect(),
    }
}

/// The two ends, different in whatever the seed says.
fn configs(seed: u64) -> [PeerConfig; 2] {
    let id = |last| Ipv4Addr::new(10, 0, 0, last);
    let ids = match seed % 3 {
        0 => [id(1), id(2)],
        1 => [id(9), id(3)],
        // RFC 6286: only the AS numbers tell them apart.
        _ => [id(5), id(5)],
    };
    let mut configs = [
        PeerConfig::new(64512, ids[0], AsnRule::Exact(64513)),
        PeerConfig::new(64513, ids[1], AsnRule::External),
    ];
    configs[0].passive = seed % 7 == 1;
    configs[1].passive = seed % 7 == 2;
    // Without keepalives nobody can tell that a silent peer has died, and with the other side
    // passive nobody dials either: that pair is left to TCP's own keepalive.
    let dialling = configs.iter().all(|config| !config.passive);
    configs[0].hold_time_s = [90, 9, if dialling { 0 } else { 30 }][(seed % 3) as usize];
    if seed % 5 == 1 {
        for config in &mut configs {
            config.offer.graceful_restart = Some(GracefulRestartOffer {
                restart_time_s: 120,
                restarting: false,
                notification: seed.is_multiple_of(2),
                families: [Some(true), None],
            });
        }
    }
    configs
}

/// Runs one seed to its end and checks what must be true then.
fn run(seed: u64, troubles: Troubles) -> World {
    let mut world = World::new(configs(seed), seed, troubles);
    world.start();
    world.run_for(troubles.lasting);
    world.calm_down();
    world.run_for(SETTLE);
    world.check_one_session(&format!("seed {seed} after the troubles"));
    let before = world.established();
    world.run_for(CALM);
    world.check_one_session(&format!("seed {seed} in calm"));
    assert_eq!(
        world.established(),
        before,
        "seed {seed}: the session was lost in calm"
    );
    world
}

#[test]
fn both_dial_at_once_and_one_session_remains() {
    let mut collisions = 0;
    for seed in seeds() {
        let world = run(seed, Troubles::NONE);
        collisions += world.collisions();
        assert_eq!(
            world.established(),
            [1, 1],
            "seed {seed}: up once and for all"
        );
    }
    // Otherwise the test tests nothing.
    assert!(
        collisions > 50 || seeds().len() == 1,
        "{collisions} collisions"
    );
}

#[test]
fn lost_session_is_back_within_seconds() {
    for seed in seeds() {
        let mut world = run(seed, Troubles::NONE);
        world.break_a_link(2);
        world.run_for(RECOVERY);
        world.check_one_session(&format!("seed {seed} after a reset"));
    }
}

#[test]
fn resets_lost_dials_crashes_and_operators_end_in_one_session() {
    let (mut ups, mut crashes) = (0, 0);
    for seed in seeds() {
        let world = run(seed, Troubles::ALL);
        ups += world.established().iter().sum::<u64>();
        crashes += world.crashes;
    }
    assert!(
        ups > 2 * seeds().len() as u64,
        "sessions came and went: {ups}"
    );
    assert!(crashes > 0 || seeds().len() == 1, "nobody crashed");
}

#[test]
fn same_seed_same_story() {
    for seed in [3, 11] {
        let tell = || run(seed, Troubles::ALL).story();
        assert_eq!(tell(), tell());
    }
}
