//! The four cases: an event, the memory, the start, the API server away.
//!
//! Each starts an agent of its own that remembers nothing, and ends it. What is waited for is the
//! router's table; what it was sent is counted at the router too. A case that cannot be judged is a
//! failure with the agent's last words, never a figure.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::figures::{Figure, Found, quantile};
use super::{ALL_LIMIT, Ground, crowd};
use crate::apiserver::ApiServer;
use crate::player::Player;

/// How much of everything; `quick` is the first.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Events that are measured.
    pub events: usize,
    /// Starts that are measured.
    pub starts: usize,
    /// How long the API server is away.
    pub away: Duration,
}

/// A case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// From the write to the UPDATE.
    Event,
    /// With 5,000 services and without Kubernetes.
    Memory,
    /// From the start to the last of 5,000 routes.
    Start,
    /// Away, restarted, compacted.
    Away,
}

impl Case {
    /// All of them.
    pub const ALL: [Case; 4] = [Case::Event, Case::Memory, Case::Start, Case::Away];

    /// Its name.
    pub fn key(self) -> &'static str {
        match self {
            Case::Event => "event",
            Case::Memory => "memory",
            Case::Start => "start",
            Case::Away => "away",
        }
    }

    /// Plays it.
    pub fn run(self, ground: &Ground, size: &Size) -> Found {
        let (title, outcome) = match self {
            Case::Event => (
                format!(
                    "{} events one after the other with 1,000 Nodes, 3,000 Services and 3,000 \
                     EndpointSlices, and ten heartbeats of nodes per second: from the write at the \
                     API server to the UPDATE at the router.",
                    size.events
                ),
                events(ground, size.events),
            ),
            Case::Memory => (
                "500 Nodes, 5,000 Services, 5,000 EndpointSlices, all announced; and the same \
                 daemon without `[kubernetes]`."
                    .to_owned(),
                memory(ground),
            ),
            Case::Start => (
                format!(
                    "From the start of the process to the last of 5,000 routes at the router, \
                     without a snapshot on disk; {} starts.",
                    size.starts
                ),
                starts(ground, size.starts),
            ),
            Case::Away => (
                format!(
                    "The API server is away for {} s, restarted and compacted, with 500 Nodes and \
                     5,000 Services announced.",
                    size.away.as_secs()
                ),
                away(ground, size.away),
            ),
        };
        ground.stop_agent();
        let mut found = Found {
            title,
            ..Found::default()
        };
        match outcome {
            Ok(figures) => found.figures = figures,
            Err(why) => found.failure = Some(format!("{why}\n{}", ground.last_words())),
        }
        found
    }
}

/// Waits until the router has so many routes.
fn all(router: &Player, count: usize) -> Result<(), String> {
    match router.wait_for(ALL_LIMIT, |seen| seen.table.routes.len() == count) {
        true => Ok(()),
        false => {
            let seen = router.seen();
            let (found, ended) = (seen.table.routes.len(), &seen.ended);
            Err(format!("{found} of {count} routes, the session: {ended:?}"))
        }
    }
}

fn write(server: &ApiServer, object: &serde_json::Value) -> Result<(), String> {
    server.apply(object).map_err(|refusal| refusal.to_string())
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn events(ground: &Ground, count: usize) -> Result<Vec<Figure>, String> {
    const NODES: usize = 1000;
    const SERVICES: usize = 3000;
    let server = ground.server(NODES, SERVICES)?;
    ground.start_agent(true);
    let router = ground.router();
    all(&router, SERVICES + 1)?;
    let over = AtomicBool::new(false);
    let mut taken = std::thread::scope(|scope| {
        scope.spawn(|| {
            for beat in 0.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                // What a node says of itself changes all the time and means nothing here.
                let _ = server.apply(&crowd::heartbeat(1 + beat % (NODES - 1), beat));
                std::thread::park_timeout(Duration::from_millis(100));
            }
        });
        let taken = one_by_one(&server, &router, (count, SERVICES));
        over.store(true, Ordering::Relaxed);
        taken
    })?;
    taken.sort_by(f64::total_cmp);
    Ok(vec![
        Figure::plain("events", f64::from(u32::try_from(taken.len()).unwrap_or(0))),
        Figure::plain("median, ms", quantile(&taken, 0.5)),
        Figure::plain("p90, ms", quantile(&taken, 0.9)),
        Figure::below("p99, ms", quantile(&taken, 0.99), 50.0),
        Figure::plain("largest, ms", quantile(&taken, 1.0)),
    ])
}

/// Slices lose their endpoints and get them back, services go and come.
fn one_by_one(
    server: &ApiServer,
    router: &Player,
    (count, services): (usize, usize),
) -> Result<Vec<f64>, String> {
    let mut taken = Vec::with_capacity(count);
    for event in 0..count {
        // Two events in a row are about one service: away and back. A prime spreads them.
        let index = event / 2 * 7919 % services;
        let is_there = event % 2 == 1;
        let route = crowd::route(index);
        let is_service = event / 2 % 4 == 3;
        let object = match is_service {
            true => crowd::service(index),
            false => crowd::slice(index, is_there),
        };
        let started = Instant::now();
        match is_service && !is_there {
            true => server
                .delete(&object)
                .map_err(|refusal| refusal.to_string())?,
            false => write(server, &object)?,
        }
        let seen = router.wait(|seen| seen.table.routes.contains_key(&route) == is_there);
        if !seen {
            return Err(format!("event {event}: {route} does not become {is_there}"));
        }
        taken.push(milliseconds(started.elapsed()));
        // Not in step with anything that ticks.
        let pause = 3 + u64::try_from(event * 37 % 11).unwrap_or(0);
        std::thread::park_timeout(Duration::from_millis(pause));
    }
    Ok(taken)
}

fn memory(ground: &Ground) -> Result<Vec<Figure>, String> {
    const SERVICES: usize = 5000;
    ground.start_agent(false);
    let router = ground.router();
    settle(ground)?;
    let without = ground.memory()?;
    drop(router);
    ground.stop_agent();
    let server = ground.server(500, SERVICES)?;
    ground.start_agent(true);
    let router = ground.router();
    all(&router, SERVICES + 1)?;
    settle(ground)?;
    let with = ground.memory()?;
    // The lists again: what they leave behind counts too.
    server.strike(crate::apiserver::Break::Gone);
    settle(ground)?;
    let again = ground.memory()?;
    Ok(vec![
        Figure::plain("without Kubernetes, RSS MiB", without.resident),
        Figure::plain("with, RSS MiB", with.resident),
        Figure::plain("after a relist of everything, RSS MiB", again.resident),
        Figure::plain("largest RSS, MiB", again.peak),
        Figure::below(
            "more than without, MiB",
            with.resident - without.resident,
            40.0,
        ),
        Figure::below(
            "more than without, after the relist, MiB",
            again.resident - without.resident,
            40.0,
        ),
    ])
}

/// Waits until the agent's memory has not moved for two seconds.
fn settle(ground: &Ground) -> Result<(), String> {
    let mut last = ground.memory()?;
    let mut since = Instant::now();
    let deadline = Instant::now() + ALL_LIMIT;
    while since.elapsed() < Duration::from_secs(2) && Instant::now() < deadline {
        std::thread::park_timeout(Duration::from_millis(200));
        let now = ground.memory()?;
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    Ok(())
}

fn starts(ground: &Ground, count: usize) -> Result<Vec<Figure>, String> {
    const SERVICES: usize = 5000;
    let _server = ground.server(500, SERVICES)?;
    let mut taken = Vec::new();
    for start in 0..count {
        if start > 0 {
            ground.stop_agent();
        }
        let started = Instant::now();
        ground.start_agent(true);
        let router = ground.router();
        all(&router, SERVICES + 1)?;
        taken.push(started.elapsed().as_secs_f64());
    }
    taken.sort_by(f64::total_cmp);
    Ok(vec![
        Figure::plain("fastest, s", quantile(&taken, 0.0)),
        Figure::below("median, s", quantile(&taken, 0.5), 3.0),
        Figure::below("slowest, s", quantile(&taken, 1.0), 3.0),
    ])
}

fn away(ground: &Ground, how_long: Duration) -> Result<Vec<Figure>, String> {
    const SERVICES: usize = 5000;
    let server = ground.server(500, SERVICES)?;
    ground.start_agent(true);
    let router = ground.router();
    all(&router, SERVICES + 1)?;
    // End-of-RIB and the like are behind us once the lists were read and nothing moves.
    settle(ground)?;
    let count = || router.seen().table.updates;
    let before = count();
    server.stop();
    let back = Instant::now() + how_long;
    while let left = back.saturating_duration_since(Instant::now())
        && !left.is_zero()
    {
        std::thread::park_timeout(left);
    }
    let while_away = count() - before;
    server.compact();
    let started = Instant::now();
    server.start_again().map_err(|error| error.to_string())?;
    // The agent reads again when this one arrives; what else was sent until then is counted.
    write(&server, &crowd::slice(0, false))?;
    let route = crowd::route(0);
    let read = router.wait_for(ALL_LIMIT, |seen| !seen.table.routes.contains_key(&route));
    if !read {
        return Err("the agent does not read again".to_owned());
    }
    let caught_up = started.elapsed();
    settle(ground)?;
    let after = count() - before - while_away;
    let float = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    Ok(vec![
        Figure::below("UPDATEs while it was away", float(while_away), 1.0),
        Figure::below(
            "UPDATEs after it, beside the one that was due",
            float(after.saturating_sub(1)),
            1.0,
        ),
        Figure::plain(
            "from its return to the UPDATE that was due, s",
            caught_up.as_secs_f64(),
        ),
    ])
}
