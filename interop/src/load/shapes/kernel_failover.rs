//! S8: how long packets keep going the wrong way when a next hop with many routes behind it
//! changes or dies.
//!
//! Two internal feeders announce the same prefixes, each with a next hop of its own that is
//! reached over its own link by a static route. Four things happen, each to a daemon and routes of
//! its own, and each is a figure of its own:
//!
//! * **moved**: the static route of the only next hop changes to the other link;
//! * **link**: of two equal next hops, the link of one goes down;
//! * **withdrawn**: of two equal paths, one is withdrawn for all prefixes;
//! * **switched**: the session of the better path's feeder is reset.
//!
//! A clock runs from the cause to the moment when a sample of the prefixes leads where it should
//! and nowhere else; then the daemon comes to rest, and every route is compared. The wall time of a
//! run is the sum of the four, its processor time what the daemon needed to come to rest.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::{IpNet, Ipv4Net};

use super::full_table::SESSIONS_LIMIT;
use super::kernel_write::{lead, protocol_of, v4};
use super::{Source, grouped};
use crate::load::bench::{Bar, Failure, Metric, Sample, Shape};
use crate::load::daemon::{Daemon, Running};
use crate::load::dialect::{ASN, Setup};
use crate::load::fleet::{Fleet, Speaker};
use crate::load::ground::Ground;
use crate::load::kernel_table::{PROTOCOL, RouteTable, check, interface};
use crate::load::race::Clock;
use crate::load::table;
use crate::player::feed;
use crate::player::rib_file::{Attribute, Attributes};

/// Next hops of the two feeders.
const NEXT_HOPS: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];
/// The gateways to them, on the benchmark's link and on the lab's.
const GATEWAYS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 98, 1, 200), Ipv4Addr::new(10, 99, 0, 200)];
/// The second gateway's interface.
const SECOND_LINK: &str = "eth0";
/// A daemon that has used no processor time for so long has come to rest.
const REST: Duration = Duration::from_millis(300);
/// The metric that the bar is about; the others are held to the same.
const CAUSES: [(Cause, &str); 4] = [
    (Cause::Moved, "moved ms"),
    (Cause::Link, "link ms"),
    (Cause::Withdrawn, "withdrawn ms"),
    (Cause::Switched, "switched ms"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Moved,
    Link,
    Withdrawn,
    Switched,
}

impl Cause {
    /// Both next hops are in use before.
    fn is_of_two(self) -> bool {
        matches!(self, Self::Link | Self::Withdrawn)
    }
}

/// The workload, made ready.
#[derive(Debug)]
pub struct KernelFailover {
    nets: Vec<Ipv4Net>,
    /// Of the first feeder, of the second, of the first with a better path.
    tables: [Arc<[u8]>; 3],
    withdrawals: Arc<[u8]>,
}

impl KernelFailover {
    /// With this many prefixes.
    pub fn new(prefixes: usize) -> Self {
        let mut routes = table::build(prefixes);
        let announced = |index: usize, routes: &[(IpNet, Attributes)]| {
            let source = Source {
                address: NEXT_HOPS[index],
                ..Source::internal(0)
            };
            source.announce(routes)
        };
        prefer(&mut routes, 100);
        let (first, second) = (announced(0, &routes), announced(1, &routes));
        let nets = v4(&routes);
        prefer(&mut routes, 200);
        let all: Vec<IpNet> = nets.iter().copied().map(IpNet::V4).collect();
        Self {
            tables: [first, second, announced(0, &routes)],
            withdrawals: feed::withdraw(&all).into(),
            nets,
        }
    }

    /// One daemon, one cause; what it took.
    fn fail(&self, cause: Cause, ground: &Ground, daemon: &Daemon) -> Result<Sample, Failure> {
        let text = |error: std::io::Error| error.to_string();
        let mut kernel = RouteTable::open(ground.node.pid()).map_err(text)?;
        for (next_hop, gateway) in NEXT_HOPS.into_iter().zip(GATEWAYS) {
            let host = Ipv4Net::from(next_hop);
            kernel.lead(host, gateway).map_err(text)?;
        }
        let neighbors = [0, 1].map(|index| (Source::internal(index).address, ASN));
        let setup = Setup {
            neighbors: neighbors.to_vec(),
            kernel: true,
            ..Setup::default()
        };
        let protocol = protocol_of(daemon);
        let running = daemon.start(ground, &setup)?;
        let speakers = neighbors.map(|(address, asn)| Speaker::new(address, asn, 4096));
        let mut fleet = Fleet::new(&speakers, running.address()).map_err(text)?;
        fleet.establish(SESSIONS_LIMIT)?;
        let better = if cause == Cause::Switched { 2 } else { 0 };
        fleet.send(0, self.tables[better].clone());
        if cause != Cause::Moved {
            fleet.send(1, self.tables[1].clone());
        }
        let limit = ground.limit(self);
        let before = &GATEWAYS[..if cause.is_of_two() { 2 } else { 1 }];
        lead(&mut fleet, &mut kernel, &self.nets, before, limit)?;
        rest(&mut fleet, &running)?;
        check(&mut kernel, protocol, &self.nets, before)?;

        let link = interface(&ground.node, SECOND_LINK);
        let clock = Clock::start(&running);
        let after = match cause {
            Cause::Moved => {
                let host = Ipv4Net::from(NEXT_HOPS[0]);
                kernel.lead(host, GATEWAYS[1]).map_err(text)?;
                GATEWAYS[1]
            }
            Cause::Link => {
                kernel.set_link(link, false).map_err(text)?;
                GATEWAYS[0]
            }
            Cause::Withdrawn => {
                fleet.send(0, self.withdrawals.clone());
                GATEWAYS[1]
            }
            Cause::Switched => {
                fleet.reset(0).map_err(text)?;
                GATEWAYS[1]
            }
        };
        let led = lead(&mut fleet, &mut kernel, &self.nets, &[after], limit);
        let rested = rest(&mut fleet, &running);
        let sample = led.map(|end| clock.stop(end, &running, 2 * self.nets.len()));
        let checked = check(&mut kernel, protocol, &self.nets, &[after]);
        let log = running.log();
        drop(running);
        if cause == Cause::Link {
            kernel.set_link(link, true).map_err(text)?;
        }
        kernel.clear(&self.nets, protocol);
        kernel.clear(&NEXT_HOPS.map(Ipv4Net::from), PROTOCOL);
        rested?;
        checked.map_err(|why| format!("{cause:?}: {why}\n{log}"))?;
        sample
    }
}

impl Shape for KernelFailover {
    fn key(&self) -> String {
        "s8-failover".to_owned()
    }

    fn title(&self) -> String {
        let prefixes = grouped(self.nets.len());
        format!("kernel: a next hop with {prefixes} routes behind it moves or dies")
    }

    fn suits(&self, daemon: &Daemon) -> bool {
        daemon.is_ours()
    }

    fn bars(&self) -> Vec<Bar> {
        let bar = |(_, name)| Bar::fixed(Metric::Extra(name), 100.0);
        CAUSES.map(bar).to_vec()
    }

    fn run(&self, ground: &Ground, daemon: &Daemon) -> Result<Sample, Failure> {
        let mut whole = Sample::default();
        for (cause, name) in CAUSES {
            let one = self.fail(cause, ground, daemon)?;
            whole.wall_s += one.wall_s;
            whole.cpu_s += one.cpu_s;
            whole.tool_cpu_s += one.tool_cpu_s;
            whole.peak_mib = whole.peak_mib.max(one.peak_mib);
            whole.paths = one.paths;
            whole.extra.push((name, one.wall_s * 1e3));
        }
        Ok(whole)
    }
}

/// Drives the speakers until the daemon needs no processor time any more.
fn rest(fleet: &mut Fleet, daemon: &Running) -> Result<(), Failure> {
    let (mut used, mut since) = (daemon.usage().cpu_s, Instant::now());
    while since.elapsed() < REST {
        fleet.turn(Duration::from_millis(50))?;
        let now = daemon.usage().cpu_s;
        if now > used {
            (used, since) = (now, Instant::now());
        }
    }
    Ok(())
}

/// Gives the table a LOCAL_PREF, as internal sessions carry it; sets stay shared.
fn prefer(routes: &mut [(IpNet, Attributes)], local_pref: u32) {
    let mut made: BTreeMap<*const Vec<Attribute>, Attributes> = BTreeMap::new();
    let before: Vec<Attributes> = routes.iter().map(|(_, set)| set.clone()).collect();
    for ((_, attributes), before) in routes.iter_mut().zip(&before) {
        let with = made.entry(Arc::as_ptr(before)).or_insert_with(|| {
            let mut with: Vec<Attribute> = before.to_vec();
            with.retain(|(_, code, _)| *code != 5);
            with.push((0x40, 5, local_pref.to_be_bytes().to_vec()));
            with.sort_by_key(|(_, code, _)| *code);
            Attributes::from(with)
        });
        *attributes = with.clone();
    }
}
