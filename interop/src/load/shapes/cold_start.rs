//! S4: a cluster powers up. Every client of a reflector connects, announces its own prefixes and
//! the anycast addresses that all of them serve, and has to learn those of all others.
//!
//! The clock starts with the first connection, so the daemon's handshakes count, and so does the
//! second that a client waits after a refused or broken attempt. Clients connect in an order that
//! has nothing to do with their router ids: the best path of the anycast prefixes, which is the one
//! of the lowest router id (RFC 4271 §9.1.2.2 f), changes a few times on the way. Its owner must
//! not have it back.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::{IpNet, Ipv4Net};

use super::{Source, octets_of};
use crate::load::bench::{Bar, Failure, Metric, Sample, Shape};
use crate::load::daemon::Daemon;
use crate::load::dialect::{ASN, Setup};
use crate::load::expect::{self, Checker, Expected};
use crate::load::fleet::{Fleet, Speaker};
use crate::load::ground::Ground;
use crate::load::race::{Clock, Finish};
use crate::load::table::Dice;
use crate::player::rib_file::{Attribute, Attributes};

const OWN: u32 = 4;
const ANYCAST: u32 = 200;

/// The workload, made ready.
#[derive(Debug)]
pub struct ColdStart {
    clients: usize,
    spread: Duration,
    speakers: Vec<Speaker>,
    expected: Expected,
}

/// The four /26 of a client.
fn own(index: usize) -> Vec<IpNet> {
    let first = u32::from(Ipv4Addr::new(100, 64, 0, 0));
    let index = u32::try_from(index).expect("at most SPEAKERS_MAX clients");
    nets(first + index * OWN * 64, 64, 26, OWN)
}

fn anycast() -> Vec<IpNet> {
    nets(u32::from(Ipv4Addr::new(198, 18, 0, 1)), 1, 32, ANYCAST)
}

fn nets(first: u32, step: u32, len: u8, count: u32) -> Vec<IpNet> {
    let addresses = (0..count).map(|number| Ipv4Addr::from(first + number * step));
    let nets = addresses.map(|address| Ipv4Net::new(address, len).expect("a length below 33"));
    nets.map(IpNet::V4).collect()
}

fn attributes() -> Vec<Attribute> {
    let local_pref = (0x40, 5, 100_u32.to_be_bytes().to_vec());
    vec![(0x40, 1, vec![0]), (0x40, 2, Vec::new()), local_pref]
}

impl ColdStart {
    /// So many clients, which connect within `spread`, evenly, or all at once.
    pub fn new(clients: usize, spread: Duration) -> Self {
        let mut expected = Expected::new(false);
        let mut speakers = Vec::new();
        for index in 0..clients {
            let source = Source::internal(index);
            let block = expected.block(&expect::reflected(&attributes(), source.address));
            for net in own(index) {
                expected.insert(net, block, source.address);
            }
            if index == 0 {
                let nets = anycast().into_iter();
                nets.for_each(|net| expected.insert(net, block, source.address));
            }
            let greeting = [greeting(source, &own(index)), greeting(source, &anycast())];
            let routes = clients * OWN as usize * 4 + ANYCAST as usize * 8;
            let mut speaker = Speaker::new(source.address, ASN, octets_of(routes));
            speaker.greeting = greeting.concat().into();
            speakers.push(speaker);
        }
        let mut order: Vec<usize> = (0..clients).collect();
        Dice::new(4).shuffle(&mut order);
        let count = u32::try_from(clients).expect("at most SPEAKERS_MAX clients");
        for (rank, index) in (0..count).zip(order) {
            speakers[index].delay = spread * rank / count;
        }
        // The fleet connects in the order of the list where delays are the same.
        Dice::new(5).shuffle(&mut speakers);
        Self {
            clients,
            spread,
            speakers,
            expected,
        }
    }

    /// What a receiver has to get: all but what it announced itself and nobody does better.
    fn checker(&self, speaker: &Speaker) -> Checker {
        let index = (0..self.clients)
            .find(|index| Source::internal(*index).address == speaker.address)
            .expect("all speakers are clients");
        let back = if index == 0 { anycast() } else { Vec::new() };
        let own = own(index).into_iter().chain(back);
        Checker::new(&self.expected).except(&self.expected, own)
    }
}

/// The UPDATE in which a client announces `nets`; its AS path is empty, as everything is internal.
fn greeting(source: Source, nets: &[IpNet]) -> Vec<u8> {
    use crate::player::wire::{attribute, nlri, update};
    let next_hop = attribute(0x40, 3, &source.address.octets());
    let set: Attributes = Arc::new(attributes());
    let mut octets: Vec<u8> = Vec::new();
    for (flags, code, value) in set.iter() {
        octets.extend(attribute(*flags, *code, value));
        if *code == 2 {
            octets.extend(&next_hop);
        }
    }
    let announced: Vec<u8> = nets.iter().flat_map(|net| nlri(*net)).collect();
    update(&[], &octets, &announced)
}

impl Shape for ColdStart {
    fn key(&self) -> String {
        let at_once = if self.spread.is_zero() { "" } else { "-spread" };
        format!("s4-{}{at_once}", self.clients)
    }

    fn title(&self) -> String {
        let how = match self.spread.as_secs() {
            0 => "all connecting at once".to_owned(),
            seconds => format!("connecting over {seconds} s (in the wall time)"),
        };
        format!(
            "cold start: a reflector, {} clients with {OWN} /26 each and the same {ANYCAST} anycast \
             /32, {how}",
            self.clients
        )
    }

    fn bars(&self) -> Vec<Bar> {
        let mut bars = vec![
            Bar::best(Metric::Cpu, 1.0 / 2.0),
            Bar::best(Metric::Peak, 1.0),
        ];
        if self.spread.is_zero() {
            bars.insert(0, Bar::best(Metric::Wall, 1.0 / 2.0));
        } else {
            bars.insert(
                0,
                Bar::best(Metric::Extra("s after the last connect"), 1.0 / 2.0),
            );
        }
        bars
    }

    fn limit(&self) -> Duration {
        // Ten times what those need who can do it at all; the others may take minutes.
        Duration::from_secs(30)
    }

    fn suits(&self, daemon: &Daemon) -> bool {
        // It makes no limit here; once is enough to show it.
        *daemon != Daemon::Gobgp || self.clients <= 500 && self.spread.is_zero()
    }

    fn runs_max(&self) -> usize {
        if self.clients > 500 { 3 } else { usize::MAX }
    }

    fn run(&self, ground: &Ground, daemon: &Daemon) -> Result<Sample, Failure> {
        let setup = Setup {
            neighbors: self
                .speakers
                .iter()
                .map(|one| (one.address, one.asn))
                .collect(),
            reflector: true,
            ..Setup::default()
        };
        let daemon = daemon.start(ground, &setup)?;
        let receivers = self
            .speakers
            .iter()
            .map(|one| self.checker(one))
            .enumerate();
        let mut finish = Finish::new(&self.expected, []);
        finish.receivers = receivers.collect();
        let mut fleet =
            Fleet::new(&self.speakers, daemon.address()).map_err(|error| error.to_string())?;
        let clock = Clock::start(&daemon);
        fleet.start(Instant::now());
        let paths = self.clients * (OWN + ANYCAST) as usize;
        let mut sample = finish.run(&mut fleet, (clock, ground.limit(self)), (&daemon, paths))?;
        if !self.spread.is_zero() {
            let last = self.speakers.iter().map(|one| one.delay).max();
            let tail = sample.wall_s - last.unwrap_or_default().as_secs_f64();
            sample.extra.push(("s after the last connect", tail));
        }
        let retries = fleet.retries as f64;
        sample.extra.push(("connects repeated", retries));
        Ok(sample)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_expects_the_routes_of_all_others() {
        let shape = ColdStart::new(10, Duration::ZERO);
        assert_eq!(shape.expected.len(), 10 * 4 + 200);
        let delays = ColdStart::new(10, Duration::from_secs(2));
        let mut delays: Vec<_> = delays
            .speakers
            .iter()
            .map(|one| one.delay.as_millis())
            .collect();
        delays.sort_unstable();
        assert_eq!(delays[..3], [0, 200, 400]);
    }
}
