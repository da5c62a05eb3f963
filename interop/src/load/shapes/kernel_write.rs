//! S8: how fast routes reach the kernel's table.
//!
//! One external feeder announces the table, the daemon writes it; the clock runs from the first
//! octet sent to the moment the last prefix can be looked up in the kernel. Right before, in the
//! same node, the same prefixes are written by one thread with messages made before, in datagrams
//! of the size that proved best, each route naming a next-hop group: what the kernel itself takes.
//! The bar is the quotient of the two.
//!
//! Lookups are single ones, some thousand to a run: dumping the table while it is written would
//! cost the writer more than it tells. After the clock has stopped the whole table is dumped and
//! every prefix compared.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::{IpNet, Ipv4Net};

use super::full_table::SESSIONS_LIMIT;
use super::{Source, grouped};
use crate::load::bench::{Bar, Failure, Metric, Sample, Shape};
use crate::load::daemon::Daemon;
use crate::load::dialect::Setup;
use crate::load::fleet::{Fleet, Speaker};
use crate::load::ground::Ground;
use crate::load::kernel_table::{PROTOCOL, RouteTable, check, interface, requests};
use crate::load::race::Clock;
use crate::load::table;
use crate::node::Node;

/// Routes to a datagram of the baseline: measured from 32 to 1024, larger ones gain nothing more.
const RAW_BATCH: usize = 512;
/// Ids of the baseline's next hop and group.
const RAW_IDS: (u32, u32) = (1, 2);
/// Prefixes looked up in one run, beside the last.
const SAMPLES: usize = 1000;
/// Between two looks, so that looking costs the writer nothing it could notice.
const LOOK_PAUSE: Duration = Duration::from_millis(1);

/// The workload, made ready.
#[derive(Debug)]
pub struct KernelWrite {
    nets: Vec<Ipv4Net>,
    octets: Arc<[u8]>,
}

impl KernelWrite {
    /// With this many prefixes.
    pub fn new(prefixes: usize) -> Self {
        let routes = table::build(prefixes);
        Self {
            octets: Source::external(0).announce(&routes),
            nets: v4(&routes),
        }
    }

    /// The same prefixes without a daemon; seconds.
    fn raw(&self, kernel: &mut RouteTable, node: &Node) -> std::io::Result<f64> {
        let datagrams = requests(&self.nets, Some(RAW_IDS.1), PROTOCOL, RAW_BATCH);
        let gateway = Source::external(0).address;
        kernel.make_group(RAW_IDS, gateway, interface(node, "bench0"))?;
        let begin = Instant::now();
        kernel.write(&datagrams)?;
        let took = begin.elapsed();
        let checked = check(kernel, PROTOCOL, &self.nets, &[gateway]);
        kernel.delete_next_hop(RAW_IDS.1)?;
        kernel.delete_next_hop(RAW_IDS.0)?;
        checked.map_err(std::io::Error::other)?;
        Ok(took.as_secs_f64())
    }
}

impl Shape for KernelWrite {
    fn key(&self) -> String {
        let size = if self.nets.len() > 100_000 {
            "1m"
        } else {
            "100k"
        };
        format!("s8-{size}")
    }

    fn title(&self) -> String {
        let prefixes = grouped(self.nets.len());
        format!("kernel: {prefixes} prefixes from one feeder, written as routes")
    }

    fn suits(&self, daemon: &Daemon) -> bool {
        daemon.is_ours() || matches!(daemon, Daemon::Bird2 | Daemon::Bird3)
    }

    fn runs_max(&self) -> usize {
        5
    }

    fn bars(&self) -> Vec<Bar> {
        vec![Bar::fixed(Metric::Extra("× raw netlink"), 1.3)]
    }

    fn run(&self, ground: &Ground, daemon: &Daemon) -> Result<Sample, Failure> {
        let text = |error: std::io::Error| error.to_string();
        let mut kernel = RouteTable::open(ground.node.pid()).map_err(text)?;
        let raw_s = self.raw(&mut kernel, &ground.node).map_err(text)?;
        let source = Source::external(0);
        let setup = Setup {
            neighbors: vec![(source.address, source.asn)],
            kernel: true,
            ..Setup::default()
        };
        let protocol = protocol_of(daemon);
        let daemon = daemon.start(ground, &setup)?;
        let speakers = [Speaker::new(source.address, source.asn, 4096)];
        let mut fleet = Fleet::new(&speakers, daemon.address()).map_err(text)?;
        fleet.establish(SESSIONS_LIMIT)?;
        let clock = Clock::start(&daemon);
        fleet.send(0, self.octets.clone());
        let limit = ground.limit(self);
        let led = lead(
            &mut fleet,
            &mut kernel,
            &self.nets,
            &[source.address],
            limit,
        );
        let sample = led.map(|end| clock.stop(end, &daemon, self.nets.len()));
        let checked = check(&mut kernel, protocol, &self.nets, &[source.address]);
        let log = daemon.log();
        drop(daemon);
        kernel.clear(&self.nets, protocol);
        let mut sample = sample?;
        checked.map_err(|why| format!("{why}\n{log}"))?;
        sample.extra.push(("raw s", raw_s));
        sample.extra.push(("× raw netlink", sample.wall_s / raw_s));
        Ok(sample)
    }
}

/// The protocol number of a daemon's routes.
pub(super) fn protocol_of(daemon: &Daemon) -> u8 {
    if daemon.is_ours() { 186 } else { 12 }
}

/// The IPv4 prefixes of a table.
pub(super) fn v4(routes: &[(IpNet, crate::player::rib_file::Attributes)]) -> Vec<Ipv4Net> {
    let nets = routes.iter().filter_map(|(net, _)| match net {
        IpNet::V4(net) => Some(*net),
        IpNet::V6(_) => None,
    });
    nets.collect()
}

/// Drives the speakers until a sample of the prefixes, the last among them, leads through
/// `gateways` and nothing else; when that was so.
///
/// # Errors
/// `limit` passed first, or a session ended.
pub(super) fn lead(
    fleet: &mut Fleet,
    kernel: &mut RouteTable,
    nets: &[Ipv4Net],
    gateways: &[Ipv4Addr],
    limit: Duration,
) -> Result<Instant, Failure> {
    let begin = Instant::now();
    let step = (nets.len() / SAMPLES).max(1);
    let mut samples = nets.iter().step_by(step).chain(nets.last()).peekable();
    loop {
        fleet.turn(LOOK_PAUSE)?;
        while let Some(net) = samples.peek() {
            let found = kernel
                .lookup(net.addr())
                .map_err(|error| error.to_string())?;
            if !matches!(&found, Some((of, found)) if of == *net && found == gateways) {
                if begin.elapsed() > limit {
                    let text = format!("{net}: {found:?} instead of {gateways:?}");
                    return Err(Failure::TooSlow(text));
                }
                break;
            }
            samples.next();
        }
        if samples.peek().is_none() {
            return Ok(Instant::now());
        }
    }
}
