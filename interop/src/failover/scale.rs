//! Hundreds of virtual routers: what they cost at rest, and how they move when their host dies.
//!
//! The cost is time on a processor over [`SPAN`] and memory of all processes of a daemon, on both
//! routers, with nothing else going on. Before it and after the crash one packet to each address
//! tells who answers; in between the client notes when it first hears each address announced
//! (gratuitous ARP), because a stream to a thousand addresses would be the load to be measured.

use std::collections::BTreeMap;
use std::io::{self, IoSliceMut};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::unistd::Pid;
use socket2::{Domain, Protocol, Socket, Type};

use super::figures::{Against, Bar, Failure, Outcome, Sample, Stat};
use super::ground::{Ground, NAME_A, NAME_B};
use super::pace::{Canary, realtime};
use super::pair::{Kind, Pair};
use super::plan::Plan;
use super::session::Session;
use super::stream::{PORT, in_namespace, socket_in};
use crate::lab::Lab;
use crate::load::runner::median;
use crate::wait;

/// How long the cost is taken.
const SPAN: Duration = Duration::from_secs(20);
/// Until all addresses have to be with the better router.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// Between the packets of a sweep, so that no queue overflows.
const SWEEP_PACE: Duration = Duration::from_micros(100);
/// For the answers of a sweep.
const SWEEP_WAIT: Duration = Duration::from_millis(500);
/// Of the time, what a hypervisor may take before a cost is not a cost any more.
const STOLEN_MAX: f64 = 0.01;
/// How often a crash is repeated.
const CRASHES_MAX: usize = 6;
/// What a machine may stand still while addresses move.
const STILL_MAX: Duration = Duration::from_millis(25);

/// So many virtual routers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// All of a link.
    Link,
    /// A thousand, on four links.
    Thousand,
}

impl Scale {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Link, Self::Thousand];

    /// As on the command line.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Link => "scale-255",
            Self::Thousand => "scale-1000",
        }
    }

    /// Whether it is run at this interval.
    #[must_use]
    pub fn suits(self, interval_ms: u32) -> bool {
        match self {
            Self::Link => interval_ms >= 100,
            Self::Thousand => interval_ms == 100,
        }
    }

    /// Its virtual routers.
    #[must_use]
    pub fn plan(self, interval_ms: u32) -> Plan {
        let (links, per_link) = match self {
            Self::Link => (1, 255),
            Self::Thousand => (4, 250),
        };
        Plan {
            interval_ms,
            links,
            per_link,
        }
    }

    /// Nothing run yet.
    #[must_use]
    pub fn outcome(self) -> Outcome {
        let bar = |figure, against| Bar {
            figure,
            stat: Stat::Median,
            against,
        };
        let as_keepalived = Against::Peer(Kind::Keepalived, 1.2, 0.0);
        let title = match self {
            Self::Link => "255 virtual routers on one link",
            Self::Thousand => "1,000 virtual routers on four links",
        };
        Outcome {
            key: self.key().to_owned(),
            title: title.to_owned(),
            bars: vec![
                bar("master CPU %", as_keepalived),
                bar("backup CPU %", as_keepalived),
                bar("master RSS MiB", as_keepalived),
                bar("backup RSS MiB", as_keepalived),
                bar("last moved ms", Against::Down(50.0)),
            ],
            cells: Vec::new(),
        }
    }

    /// Runs it once; crashes that noise has spoilt, and that were repeated within, are counted.
    ///
    /// # Errors
    /// It does not come up, or the machine was not quiet.
    pub fn run(
        self,
        lab: &Lab,
        ground: &Ground,
        (pair, interval_ms): (Pair, u32),
        spoilt: &mut usize,
    ) -> Result<Sample, Failure> {
        let plan = self.plan(interval_ms);
        let mut session = Session::start(lab, ground, pair, plan)?;
        let result = measure(&mut session, spoilt);
        session.finish();
        result
    }
}

fn measure(session: &mut Session<'_>, spoilt: &mut usize) -> Result<Sample, Failure> {
    let plan = session.plan;
    let count = plan.instances().count();
    let all_with = |who: u8| {
        let found = sweep(session.ground, plan).map_err(|error| error.to_string())?;
        let with = found.iter().filter(|one| **one == Some(who)).count();
        match with == count {
            true => Ok(()),
            false => Err(format!("{with} of {count} addresses")),
        }
    };
    wait::poll(READY_LIMIT, || all_with(NAME_A))?;
    // Bursts that follow a transition (announcements, repeated) are not the cost at rest.
    thread::sleep(plan.interval() * 5 + Duration::from_secs(6));
    let before = [session.a.cost(), session.b.cost()];
    let (start, stolen) = (Instant::now(), stolen_s());
    thread::sleep(SPAN);
    let span = start.elapsed().as_secs_f64();
    let stolen = stolen_s() - stolen;
    if stolen > STOLEN_MAX * span {
        let why = format!("the hypervisor took {stolen:.2} s of {span:.0}, which count as ours");
        return Err(Failure::Noise(why));
    }
    let after = [session.a.cost(), session.b.cost()];
    let percent = |index: usize| (after[index].cpu_s - before[index].cpu_s) / span * 100.0;
    let mut figures = vec![
        ("master CPU %", percent(0)),
        ("backup CPU %", percent(1)),
        ("master RSS MiB", after[0].rss_mib),
        ("backup RSS MiB", after[1].rss_mib),
        ("master PSS MiB", after[0].pss_mib),
        ("backup PSS MiB", after[1].pss_mib),
    ];
    // The cost is taken; only the crash is repeated where the machine stood still.
    let mut moved = crash(session);
    for _ in 0..CRASHES_MAX {
        let Err(Failure::Noise(why)) = &moved else {
            break;
        };
        println!("the crash is repeated: {why}");
        *spoilt += 1;
        session.settle()?;
        wait::poll(READY_LIMIT, || all_with(NAME_A))?;
        moved = crash(session);
    }
    figures.extend(moved?);
    if let Err(why) = wait::poll(Duration::from_secs(5), || all_with(NAME_B)) {
        return Err(Failure::Wrong(format!("after the crash: {why}")));
    }
    Ok(Sample(figures))
}

/// Kills the better router's host and notes when each address is announced by the other.
fn crash(session: &mut Session<'_>) -> Result<[(&'static str, f64); 3], Failure> {
    let plan = session.plan;
    let count = plan.instances().count();
    let listener = Listener::start(session.ground);
    let listener = listener.map_err(|error| format!("no ARP is heard: {error}"))?;
    let pids = session.a.all_pids();
    let ports = Ground::ports(&session.ground.a, plan.links, "down");
    let canary = Canary::start();
    session.aim(0)?;
    let at = Instant::now();
    session.switch.order(&ports);
    for pid in pids {
        // One that has just ended needs no signal.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    thread::sleep(plan.down_interval() + Duration::from_secs(1));
    let starved = canary.finish(at);
    let heard = listener.finish(at);
    // What was before the third advert that did not come makes no difference.
    if starved.between(at + plan.interval() * 2, Instant::now(), STILL_MAX) {
        let why = format!("an idle thread was late by {:?}", starved.worst());
        return Err(Failure::Noise(why));
    }
    let mut moved: Vec<f64> = plan
        .instances()
        .filter_map(|one| heard.get(&one.address()))
        .map(|seen| seen.duration_since(at).as_secs_f64() * 1e3)
        .collect();
    moved.sort_by(f64::total_cmp);
    let last = match moved.len() == count {
        true => moved.last().copied().unwrap_or(f64::INFINITY),
        false => f64::INFINITY,
    };
    Ok([
        (
            "first moved ms",
            moved.first().copied().unwrap_or(f64::INFINITY),
        ),
        ("median moved ms", median(moved).unwrap_or(f64::INFINITY)),
        ("last moved ms", last),
    ])
}

/// Time that the hypervisor gave to others while somebody here wanted to run: a process that was
/// running then is charged with it.
fn stolen_s() -> f64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks = text
        .lines()
        .next()
        .and_then(|line| line.split_whitespace().nth(8));
    // A hundred a second, whatever the kernel's own clock is.
    ticks
        .and_then(|word| word.parse::<f64>().ok())
        .unwrap_or_default()
        / 100.0
}

/// One packet to each address: who answers.
fn sweep(ground: &Ground, plan: Plan) -> io::Result<Vec<Option<u8>>> {
    let socket = socket_in(&ground.client, 0)?;
    let mut found = vec![None; plan.instances().count()];
    for (index, one) in plan.instances().enumerate() {
        let number = index as u64;
        // No neighbor yet: the sweep is repeated.
        let _ = socket.send_to(&number.to_be_bytes(), (one.address(), PORT));
        thread::sleep(SWEEP_PACE);
    }
    let end = Instant::now() + SWEEP_WAIT;
    let mut octets = [0; 16];
    while Instant::now() < end {
        let Ok(9) = socket.recv(&mut octets) else {
            continue;
        };
        let number = u64::from_be_bytes(octets[..8].try_into().unwrap_or_default());
        if let Some(place) = usize::try_from(number)
            .ok()
            .and_then(|at| found.get_mut(at))
        {
            *place = Some(octets[8]);
        }
    }
    Ok(found)
}

/// Notes each gratuitous ARP that the client hears.
struct Listener {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<(Ipv4Addr, Instant)>>,
}

impl Listener {
    fn start(ground: &Ground) -> io::Result<Self> {
        let socket = in_namespace(&ground.client, || {
            // ETH_P_ARP, in the order of the network.
            let protocol = Protocol::from(i32::from(0x0806_u16.to_be()));
            let socket = Socket::new(Domain::PACKET, Type::RAW, Some(protocol))?;
            socket.set_read_timeout(Some(Duration::from_millis(20)))?;
            let _ = setsockopt(&socket, sockopt::RcvBufForce, &(16 << 20));
            setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
            Ok(socket)
        })?;
        let stop = Arc::new(AtomicBool::new(false));
        let ask = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            realtime();
            let mut heard = Vec::new();
            while !ask.load(Ordering::Relaxed) {
                heard.extend(hear(&socket));
            }
            heard
        });
        Ok(Self { stop, thread })
    }

    /// The first of each address after `at`.
    fn finish(self, at: Instant) -> BTreeMap<Ipv4Addr, Instant> {
        self.stop.store(true, Ordering::Relaxed);
        let heard = self.thread.join().unwrap_or_default();
        let mut first = BTreeMap::new();
        for (address, seen) in heard {
            if seen >= at {
                first.entry(address).or_insert(seen);
            }
        }
        first
    }
}

fn hear(socket: &Socket) -> Option<(Ipv4Addr, Instant)> {
    let mut octets = [0; 64];
    let mut parts = [IoSliceMut::new(&mut octets)];
    let mut control = nix::cmsg_space!(nix::sys::time::TimeSpec);
    let flags = MsgFlags::empty();
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags).ok()?;
    let stamp = message.cmsgs().ok()?.find_map(|one| match one {
        ControlMessageOwned::ScmTimestampns(stamp) => Some(Duration::from(stamp)),
        _ => None,
    });
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let age = wall.ok()?.saturating_sub(stamp?);
    let at = Instant::now().checked_sub(age)?;
    let sender = <[u8; 4]>::try_from(octets.get(28..32)?).ok()?;
    let target = <[u8; 4]>::try_from(octets.get(38..42)?).ok()?;
    (sender == target).then_some((sender.into(), at))
}
