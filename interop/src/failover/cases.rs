//! What happens to the better router, and what the client sees of it.
//!
//! Each case starts from rest, under the stream, and fires at the round's phase. The stream goes
//! on until the case is over for the client, and a while longer, so that what comes after a
//! takeover (an old master that lets go, a return) is seen too.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::figures::{Against, Bar, Failure, Sample, Stat};
use super::flood;
use super::ground::{Ground, NAME_A, NAME_B};
use super::pace::Canary;
use super::pair::Kind;
use super::session::Session;
use super::stream::{Stream, Traffic};
use super::watch::Watch;
use crate::wait;

/// Answers before anything happens.
const WARM: u64 = 60;
/// The stream goes on for so long when all is over, intervals apart.
const TAIL: Duration = Duration::from_millis(300);
/// What is left behind for longer is left behind for good.
const GONE_LIMIT: Duration = Duration::from_millis(3500);
/// The tool's own packets may be late by so much.
const STREAM_LATE_MAX: Duration = Duration::from_millis(3);
/// An ordinary thread may be kept from running for so long.
const CANARY_LATE_MAX: Duration = Duration::from_millis(8);
/// The same for both, where seconds are measured and not packets.
const COARSE_LATE_MAX: Duration = Duration::from_millis(40);

/// An event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// The host dies: its processes and its link in the same moment.
    Crash,
    /// The router's own link is set down.
    Link,
    /// The switch's port is set down.
    Port,
    /// SIGTERM.
    Stop,
    /// The stopped daemon is started again and takes back what is its.
    Return,
    /// What a package upgrade does.
    Restart,
    /// SIGKILL; the host lives.
    Kill,
    /// SIGSTOP; the host lives.
    Hang,
    /// So many invalid packets a second, at both routers.
    Flood(u32),
}

impl Case {
    /// All, in an order that wastes few elections.
    pub const ALL: [Self; 10] = [
        Self::Return,
        Self::Restart,
        Self::Stop,
        Self::Crash,
        Self::Link,
        Self::Port,
        Self::Kill,
        Self::Hang,
        Self::Flood(33),
        Self::Flood(10_000),
    ];

    /// As on the command line.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::Link => "link",
            Self::Port => "port",
            Self::Stop => "stop",
            Self::Return => "return",
            Self::Restart => "restart",
            Self::Kill => "kill",
            Self::Hang => "hang",
            Self::Flood(0..100) => "flood-33",
            Self::Flood(_) => "flood-10000",
        }
    }

    /// In one line.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Crash => "the master's host dies: processes killed and link cut at once",
            Self::Link => "the master's own link is set down",
            Self::Port => "the switch's port towards the master is set down",
            Self::Stop => "the master is stopped (SIGTERM)",
            Self::Return => "the better router is started again and takes over",
            Self::Restart => {
                "the master is restarted (ours with SIGUSR2, as its unit does; the others with \
                 SIGTERM)"
            }
            Self::Kill => "the master's processes are killed (SIGKILL), its host lives",
            Self::Hang => "the master's processes stand still (SIGSTOP), its host lives",
            Self::Flood(0..100) => "33 invalid packets a second at both routers, for 10 s",
            Self::Flood(_) => "10,000 invalid packets a second at both routers, for 10 s",
        }
    }

    /// What is demanded of ours.
    #[must_use]
    pub fn bars(self) -> Vec<Bar> {
        let bar = |figure, stat, against| Bar {
            figure,
            stat,
            against,
        };
        let as_keepalived = Against::Peer(Kind::Keepalived, 1.0, 0.0);
        match self {
            Self::Crash => vec![
                bar("lost", Stat::Median, as_keepalived),
                bar("lost", Stat::Worst, Against::Down(0.0)),
            ],
            Self::Link => vec![
                bar("lost", Stat::Worst, Against::Down(0.0)),
                bar("gone ms", Stat::Worst, Against::Fixed(50.0)),
            ],
            Self::Port => vec![bar("lost", Stat::Worst, Against::Down(0.0))],
            Self::Stop | Self::Return => vec![bar("lost", Stat::Worst, Against::Fixed(1.0))],
            Self::Restart => vec![
                bar("lost", Stat::Worst, Against::Fixed(0.0)),
                bar("switches", Stat::Worst, Against::Fixed(0.0)),
            ],
            Self::Kill | Self::Hang => {
                vec![bar("gone ms", Stat::Worst, Against::Fixed(2000.0))]
            }
            Self::Flood(_) => vec![
                bar("jitter ms", Stat::Worst, Against::Interval(0.1)),
                bar("transitions", Stat::Worst, Against::Fixed(0.0)),
            ],
        }
    }

    /// Whether it is run at this interval.
    #[must_use]
    pub fn suits(self, interval_ms: u32) -> bool {
        interval_ms == 100 || !matches!(self, Self::Flood(_))
    }

    /// Runs the case once, from rest.
    ///
    /// # Errors
    /// It went wrong, or the machine did.
    pub fn run(self, session: &mut Session<'_>, round: usize) -> Result<Sample, Failure> {
        match self {
            Self::Stop => stop(session, round),
            Self::Return => comes_back(session, round),
            Self::Restart => restart(session, round),
            Self::Crash | Self::Link | Self::Port => cut(self, session, round),
            Self::Kill | Self::Hang => left_alone(self, session, round),
            Self::Flood(rate) => flood::run(session, rate),
        }
    }
}

/// A stream that is being answered by `who`, and what watches over the tool.
struct Scene {
    stream: Stream,
    canary: Canary,
    warm: Instant,
}

impl Scene {
    fn open(session: &Session<'_>, who: u8) -> Result<Self, String> {
        let stream = Stream::start(&session.ground.client, session.address());
        let stream = stream.map_err(|error| format!("no stream: {error}"))?;
        let answered = || match stream.answers() >= WARM && stream.last() == who {
            true => Ok(()),
            false => Err(format!("{} answers before the event", stream.answers())),
        };
        wait::poll(Duration::from_secs(3), answered)?;
        Ok(Self {
            stream,
            canary: Canary::start(),
            warm: Instant::now(),
        })
    }

    /// Ends it. An error when the tool or the machine was too late for the figures to be true.
    fn close(self, at: Instant) -> Result<Traffic, Failure> {
        self.close_within(at, STREAM_LATE_MAX, CANARY_LATE_MAX)
    }

    fn close_within(
        self,
        at: Instant,
        stream_max: Duration,
        canary_max: Duration,
    ) -> Result<Traffic, Failure> {
        let starved = self.canary.finish(self.warm).worst();
        let traffic = self.stream.finish();
        let late = traffic.late(self.warm);
        let early = traffic.lost(self.warm).saturating_sub(traffic.lost(at));
        quiet((late, stream_max), (starved, canary_max), early)?;
        Ok(traffic)
    }
}

/// Whether a scene counts: by how much stream and idle thread were late and may be, and what was
/// lost before the event. A daemon that loses packets at rest goes wrong; only a machine that shows
/// that it stood still takes the blame.
fn quiet(
    (late, late_max): (Duration, Duration),
    (starved, starved_max): (Duration, Duration),
    early: usize,
) -> Result<(), Failure> {
    if late > late_max || starved > starved_max {
        return Err(Failure::Noise(format!(
            "the stream was late by {late:?}, an idle thread by {starved:?}"
        )));
    }
    match early {
        0 => Ok(()),
        _ => Err(Failure::Wrong(format!("{early} lost before the event"))),
    }
}

fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Polls `done` until it holds or `limit` is over, whichever comes first.
fn within(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let look = || if done() { Ok(()) } else { Err("not yet") };
    wait::poll(limit, look).is_ok()
}

fn ms(time: Option<Duration>) -> f64 {
    time.map_or(f64::INFINITY, |time| time.as_secs_f64() * 1e3)
}

/// The first advert of `from` after `at`, in milliseconds.
fn first_advert(session: &Session<'_>, from: std::net::Ipv4Addr, at: Instant) -> f64 {
    let heard = session.ear.since(at);
    let first = heard
        .iter()
        .find(|one| one.from == from && one.priority > 0);
    ms(first.map(|one| one.at.saturating_duration_since(at)))
}

fn lost(traffic: &Traffic, at: Instant) -> (&'static str, f64) {
    ("lost", traffic.lost(at) as f64)
}

/// Crash, link, port: the better router is out of reach from one moment to the next.
fn cut(case: Case, session: &mut Session<'_>, round: usize) -> Result<Sample, Failure> {
    let watch = Watch::start(&session.ground.a);
    let pids = session.a.all_pids();
    let ports = Ground::ports(&session.ground.a, 1, "down");
    let scene = Scene::open(session, NAME_A)?;
    let at = session.aim(round)?;
    match case {
        Case::Link => session.hand.order("link set eth1 down"),
        Case::Port => session.switch.order(&ports),
        _ => {
            session.switch.order(&ports);
            send(&pids, Signal::SIGKILL);
        }
    }
    let limit = session.plan.down_interval() + GONE_LIMIT;
    within(limit, || scene.stream.last() == NAME_B);
    pause(TAIL);
    let traffic = scene.close(at)?;
    let mut figures = vec![
        lost(&traffic, at),
        ("b answers ms", ms(traffic.first_by(NAME_B, at))),
        (
            "b's advert ms",
            first_advert(session, session.address_b(), at),
        ),
    ];
    if case == Case::Link {
        let gone = watch.gone(session.address(), at);
        figures.push(("gone ms", ms(gone.map(|gone| gone.duration_since(at)))));
    }
    Ok(Sample(figures))
}

/// SIGKILL, SIGSTOP: the host lives on and may keep the address.
fn left_alone(case: Case, session: &mut Session<'_>, round: usize) -> Result<Sample, Failure> {
    let watch = Watch::start(&session.ground.a);
    let pids = session.a.all_pids();
    let address = session.address();
    let scene = Scene::open(session, NAME_A)?;
    let at = session.aim(round)?;
    let signal = match case {
        Case::Kill => Signal::SIGKILL,
        _ => Signal::SIGSTOP,
    };
    send(&pids, signal);
    let limit = session.plan.down_interval() + GONE_LIMIT;
    within(limit, || {
        let gone = watch.gone(address, at).is_some() || at.elapsed() > GONE_LIMIT;
        gone && scene.stream.last() == NAME_B
    });
    pause(TAIL);
    let gone = watch.gone(address, at);
    let advert = first_advert(session, session.address_b(), at);
    let closed = scene.close_within(at, COARSE_LATE_MAX, COARSE_LATE_MAX);
    session.a.resume();
    let traffic = closed?;
    Ok(Sample(vec![
        ("gone ms", ms(gone.map(|gone| gone.duration_since(at)))),
        lost(&traffic, at),
        ("b answers ms", ms(traffic.first_by(NAME_B, at))),
        ("b's advert ms", advert),
    ]))
}

fn stop(session: &mut Session<'_>, round: usize) -> Result<Sample, Failure> {
    let scene = Scene::open(session, NAME_A)?;
    let at = session.aim(round)?;
    session.a.signal(Signal::SIGTERM);
    let limit = session.plan.down_interval() + GONE_LIMIT;
    within(limit, || scene.stream.last() == NAME_B && !session.a.runs());
    pause(TAIL + session.plan.interval());
    let traffic = scene.close(at)?;
    Ok(Sample(vec![
        lost(&traffic, at),
        ("b answers ms", ms(traffic.first_by(NAME_B, at))),
        (
            "b's advert ms",
            first_advert(session, session.address_b(), at),
        ),
        ("switches", traffic.switches() as f64),
    ]))
}

fn comes_back(session: &mut Session<'_>, round: usize) -> Result<Sample, Failure> {
    session.a.signal(Signal::SIGTERM);
    session.a.wait_end()?;
    session.wait_master(session.address_b(), session.address_a())?;
    let scene = Scene::open(session, NAME_B)?;
    let at = session.aim_at(session.address_b(), round)?;
    session.a.start();
    let limit = session.plan.down_interval() * 2 + GONE_LIMIT;
    within(limit, || scene.stream.last() == NAME_A);
    pause(TAIL + session.plan.interval() * 3 / 2);
    let traffic = scene.close(at)?;
    Ok(Sample(vec![
        lost(&traffic, at),
        ("a answers ms", ms(traffic.first_by(NAME_A, at))),
        ("switches", traffic.switches() as f64),
    ]))
}

fn restart(session: &mut Session<'_>, round: usize) -> Result<Sample, Failure> {
    let scene = Scene::open(session, NAME_A)?;
    let at = session.aim(round)?;
    session.a.signal(match session.a.kind {
        Kind::Wayfare => Signal::SIGUSR2,
        Kind::Keepalived | Kind::Frr => Signal::SIGTERM,
    });
    session.a.wait_end()?;
    session.a.start();
    let started = Instant::now();
    let limit = session.plan.down_interval() * 2 + GONE_LIMIT;
    let a = session.address_a();
    within(limit, || {
        scene.stream.last() == NAME_A && first_advert(session, a, started).is_finite()
    });
    // Whoever was not told of the restart takes over within this.
    pause(TAIL + session.plan.down_interval());
    let traffic = scene.close(at)?;
    Ok(Sample(vec![
        lost(&traffic, at),
        ("switches", traffic.switches() as f64),
        ("a's advert ms", first_advert(session, a, started)),
    ]))
}

fn send(pids: &[i32], signal: Signal) {
    for pid in pids {
        // One that has just ended needs no signal.
        let _ = kill(Pid::from_raw(*pid), signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_at_rest_is_the_daemons_unless_the_machine_stood_still() {
        let ms = Duration::from_millis;
        let close = |late, starved, early| {
            let found = quiet(
                (ms(late), STREAM_LATE_MAX),
                (ms(starved), CANARY_LATE_MAX),
                early,
            );
            match found {
                Ok(()) => "counts",
                Err(Failure::Noise(_)) => "noise",
                Err(Failure::Wrong(_)) => "wrong",
            }
        };
        assert_eq!(close(3, 8, 0), "counts");
        assert_eq!(close(3, 8, 1), "wrong");
        assert_eq!((close(4, 0, 1), close(0, 9, 1)), ("noise", "noise"));
    }
}
