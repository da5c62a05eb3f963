//! A pair of routers that runs, and is brought back to rest between two events.
//!
//! At rest the better router is the only master that the segment hears and the client is answered
//! by it. An event is fired at a chosen phase between two of its adverts: how long a crash goes
//! unnoticed depends on that, and so it is the same for all daemons, round by round.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use super::ear::Ear;
use super::figures::Failure;
use super::ground::{Ground, Hand};
use super::pace::sleep_until;
use super::pair::Pair;
use super::plan::{BETTER, Plan, WORSE};
use super::router::Router;
use crate::lab::Lab;
use crate::wait;

/// Phases of the rounds, as parts of an interval. The middle is the median, also of three rounds.
const PHASES: [f64; 5] = [0.5, 0.1, 0.9, 0.3, 0.7];
/// How often the tool tries to fire in time.
const AIMS: usize = 20;
/// Within it a started pair has to be at rest, apart from what its intervals need.
const REST_LIMIT: Duration = Duration::from_secs(15);

/// A running pair.
#[derive(Debug)]
pub struct Session<'a> {
    /// Where.
    pub ground: &'a Ground,
    /// Who.
    pub pair: Pair,
    /// Which virtual routers.
    pub plan: Plan,
    /// The better router.
    pub a: Router,
    /// The one that takes over.
    pub b: Router,
    /// On the first segment.
    pub ear: Ear,
    /// Moves ports of the switch.
    pub switch: Hand,
    /// Moves links of the better router.
    pub hand: Hand,
}

impl<'a> Session<'a> {
    /// Starts a pair: the worse router first, then the better one. Not yet at rest.
    ///
    /// # Errors
    /// The segment cannot be heard.
    pub fn start(lab: &Lab, ground: &'a Ground, pair: Pair, plan: Plan) -> Result<Self, String> {
        let senders = [&ground.a, &ground.b].map(|node| Ground::address(node, 1));
        let ear = Ear::open(ground.ear_index, senders);
        let mut session = Self {
            ground,
            pair,
            plan,
            a: Router::new(&ground.a, pair.better, plan, BETTER),
            b: Router::new(&ground.b, pair.worse, plan, WORSE),
            ear: ear.map_err(|error| format!("the segment cannot be heard: {error}"))?,
            switch: Ground::switch(lab),
            hand: Ground::hand(&ground.a),
        };
        session.b.start();
        session.a.start();
        Ok(session)
    }

    /// The better router's address on the first link.
    #[must_use]
    pub fn address_a(&self) -> Ipv4Addr {
        Ground::address(&self.ground.a, 1)
    }

    /// The other router's.
    #[must_use]
    pub fn address_b(&self) -> Ipv4Addr {
        Ground::address(&self.ground.b, 1)
    }

    /// The virtual address that the client uses.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        let first = self.plan.instances().next();
        first.map_or(Ipv4Addr::UNSPECIFIED, |one| one.address())
    }

    /// Brings the pair to rest: plugs in, daemons running, the better one master.
    ///
    /// # Errors
    /// It does not come to rest, and how it looks then.
    pub fn settle(&mut self) -> Result<(), String> {
        self.plug_in();
        for router in [&mut self.b, &mut self.a] {
            if !router.runs() {
                router.sweep();
                router.start();
            }
        }
        self.wait_master(self.address_a(), self.address_b())
    }

    /// Puts all plugs back.
    pub fn plug_in(&mut self) {
        for link in 1..=self.plan.links {
            self.hand.order(&format!("link set eth{link} up"));
        }
        let ports = Ground::ports(&self.ground.a, self.plan.links, "up");
        self.switch.order(&ports);
    }

    /// Waits until the segment has heard `master` and only it for more than two intervals.
    ///
    /// # Errors
    /// That did not come.
    pub fn wait_master(&self, master: Ipv4Addr, other: Ipv4Addr) -> Result<(), String> {
        let look = self.plan.interval() * 5 / 2 + Duration::from_millis(100);
        let limit = self.plan.down_interval() * 3 + REST_LIMIT;
        let vrid = self.plan.instances().next().map_or(1, |one| one.vrid);
        let calm = || {
            let since = Instant::now().checked_sub(look).ok_or("just booted")?;
            let mut heard = self.ear.since(since);
            heard.retain(|one| one.vrid == vrid);
            let of = |who| heard.iter().filter(|one| one.from == who).count();
            match (of(master), of(other)) {
                (2.., 0) => Ok(()),
                (mine, others) => Err(format!("{mine} adverts of {master}, {others} of {other}")),
            }
        };
        let waited = wait::poll(limit, calm).map_err(|why: String| {
            let logs = [&self.a, &self.b].map(|router| router.log());
            format!(
                "{}: {why}\na: {}\nb: {}",
                self.pair.name(),
                logs[0],
                logs[1]
            )
        });
        waited.map(|_| ())
    }

    /// Waits until it is time to fire in this round: so far after an advert of the better router.
    /// Comes back with when that was.
    ///
    /// # Errors
    /// It sends no adverts, or the tool is too late each time.
    pub fn aim(&self, round: usize) -> Result<Instant, Failure> {
        self.aim_at(self.address_a(), round)
    }

    /// [`Session::aim`] by the adverts of `master`.
    ///
    /// # Errors
    /// It sends no adverts, or the tool is too late each time.
    pub fn aim_at(&self, master: Ipv4Addr, round: usize) -> Result<Instant, Failure> {
        let limit = self.plan.interval() * 3 + Duration::from_secs(1);
        let phase = PHASES[round % PHASES.len()];
        for _ in 0..AIMS {
            let advert = self.ear.next(master, limit)?;
            let late = sleep_until(advert.at + self.plan.interval().mul_f64(phase));
            if late < self.plan.interval() / 10 {
                return Ok(Instant::now());
            }
        }
        Err(Failure::Noise(
            "the tool was late at each try to fire".to_owned(),
        ))
    }

    /// Ends both daemons and leaves the ground as it was.
    pub fn finish(mut self) {
        self.plug_in();
        self.a.clear();
        self.b.clear();
    }
}
