//! Two routers of one virtual router on a segment, and what is done to them.
//!
//! The better of the two is master whenever it is there. The story lets each of them start first,
//! stop, return, crash and return again, and judges every act from the wire and both kernels
//! ([`super::verdict`]); a client on the segment must reach the address after each. What the RFC's
//! timers allow is computed here, per act.

use std::cell::RefCell;
use std::time::Duration;

use crate::lab::Lab;
use crate::node::Node;
use crate::wait;

use super::peer::{Kind, Party};
use super::verdict::{Act, Verdict, judge};
use super::watch::{Fact, Seen, Sign, Watch, now};
use super::{Group, frr};

/// Turns of processes, on a machine that does other things too.
const SLACK: Duration = Duration::from_millis(250);
/// A frame is stamped a little later than its sender looked at the clock.
const EARLY_MAX: Duration = Duration::from_millis(5);
/// When an act that has not settled is given up; what is too slow is found in what was seen.
const GIVEN_UP: Duration = Duration::from_secs(60);
/// How long two may hold the addresses: ours outlive the advert of a successor by 20 ms, and a busy
/// machine takes its time to run a process. The RFC's own bound is an interval.
const OVERLAP_MAX: Duration = Duration::from_millis(100);
/// An advert that crossed that of the new master on the wire.
const STRAYS_MAX: usize = 1;

/// What an act does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Start,
    Stop,
    Crash,
    ComeBack,
}

impl Measured {
    fn see(&mut self, overlap: Duration) {
        self.overlap_max = self.overlap_max.max(overlap);
    }
}

/// The pair, and the watch over it.
pub struct Duel<'l> {
    lab: &'l Lab,
    group: Group,
    client: Node,
    /// The better one first.
    parties: [Party; 2],
    watch: Watch,
    measured: RefCell<Measured>,
}

/// What a duel adds to the record.
#[derive(Debug, Default)]
struct Measured {
    overlap_max: Duration,
    /// What was done, how long until it was taken over, and how long the RFC gives.
    takeovers: Vec<(Deed, Duration, Duration)>,
}

impl<'l> Duel<'l> {
    /// A pair of which nobody is started, the better one first, and a client beside them.
    #[must_use]
    pub fn new(lab: &'l Lab, group: &Group, parties: [Party; 2], client: Node) -> Self {
        let sign = |party: &Party| match party.kind {
            Kind::Frr(_) => Sign::LinkUp(frr::macvlan(group).to_owned()),
            _ => Sign::Address(group.address().parse().expect("the group has an address")),
        };
        let watched = parties.each_ref().map(|party| (&party.node, sign(party)));
        Self {
            watch: Watch::start(&watched),
            lab,
            group: group.clone(),
            client,
            parties,
            measured: RefCell::default(),
        }
    }

    /// All of it: either starts first, stops, returns, crashes, and returns again.
    pub fn play(&self) {
        const BETTER: usize = 0;
        const WORSE: usize = 1;
        self.act(WORSE, Deed::Start, WORSE);
        self.act(BETTER, Deed::Start, BETTER);
        self.act(BETTER, Deed::Stop, WORSE);
        self.act(BETTER, Deed::Start, BETTER);
        self.act(BETTER, Deed::Crash, WORSE);
        self.act(BETTER, Deed::ComeBack, BETTER);
        self.act(WORSE, Deed::Stop, BETTER);
        self.act(WORSE, Deed::Start, BETTER);
        self.act(WORSE, Deed::Crash, BETTER);
        self.act(WORSE, Deed::ComeBack, BETTER);
        self.tell_measured();
    }

    fn tell_measured(&self) {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        let measured = self.measured.borrow();
        let takeovers = measured.takeovers.iter().map(|(deed, after, allowed)| {
            let (after, allowed) = (ms(*after), ms(*allowed));
            format!(", {deed:?} taken over in {after:.1} ms (RFC {allowed:.1})")
        });
        let [better, worse] = self.parties.each_ref().map(|party| party.kind);
        eprintln!(
            "MEASURED {better:?} better than {worse:?}, {}: two kernels held it for {:.1} ms at \
             most{}",
            self.group,
            ms(measured.overlap_max),
            takeovers.collect::<String>()
        );
    }

    /// Does it to `who`; afterwards `master` must be the only one, and stay it.
    #[track_caller]
    fn act(&self, who: usize, deed: Deed, master: usize) {
        let party = &self.parties[who];
        let before = self.watch.since(Duration::ZERO);
        let from = now();
        let mut act = Act {
            from,
            done: from,
            master,
            other_is_dead: deed == Deed::Crash && who != master,
            patience: 3 * self.interval(),
        };
        match deed {
            Deed::Start => party.start(),
            Deed::Stop => party.stop(),
            Deed::Crash => party.crash(self.lab),
            Deed::ComeBack => party.come_back(self.lab),
        }
        act.done = now();
        // Who joins and does not hear the master would show it within its down interval.
        let quiet = match deed {
            Deed::Start | Deed::ComeBack if who != master => 4,
            _ => 2,
        };
        let name = format!("{deed:?} of {:?} ({who})", party.kind);
        let settled = wait::poll(GIVEN_UP, || {
            let verdict = judge(&act, &self.watch.since(Duration::ZERO), now());
            match verdict.converged {
                Some(_) if verdict.adverts_since >= quiet => Ok(verdict),
                _ => Err(format!("{verdict:?}")),
            }
        });
        let verdict = match settled {
            Ok((verdict, _)) => verdict,
            Err(why) => panic!("{name}: {why}\n{}", self.tell(&act)),
        };
        let faults = self.faults(&act, (who, deed), &before, &verdict);
        assert!(
            faults.is_empty(),
            "{name}: {}\n{verdict:?}\n{}",
            faults.join("; "),
            self.tell(&act)
        );
        self.reach(&name);
    }

    /// What is not as it must be after any act.
    fn faults(
        &self,
        act: &Act,
        (who, deed): (usize, Deed),
        before: &[Seen],
        verdict: &Verdict,
    ) -> Vec<String> {
        let held = |node: usize| {
            let changes = before.iter().rev().filter(|one| one.node == node);
            let mut changes = changes.map(|one| &one.fact);
            changes.find(|it| matches!(it, Fact::Holds(_))) == Some(&Fact::Holds(true))
        };
        let other = 1 - act.master;
        let takes_over = !held(act.master);
        let moves = (
            usize::from(takes_over),
            usize::from(held(other) && !act.other_is_dead),
        );
        let overlap_max = self.overlap_max(act.master) + verdict.paused;
        let strays_max = if takes_over { STRAYS_MAX } else { 0 };
        self.measured.borrow_mut().see(verdict.overlap);
        let mut faults = Vec::new();
        if verdict.moves != moves {
            faults.push(format!("moves are to be {moves:?}: it flapped"));
        }
        if verdict.overlap > overlap_max {
            let overlap = verdict.overlap;
            faults.push(format!(
                "two masters for {overlap:?}, {overlap_max:?} allowed"
            ));
        }
        if verdict.strays > strays_max {
            faults.push("the other went on advertising".to_owned());
        }
        if takes_over && who == other {
            faults.extend(self.faults_of_succession(act, deed, verdict));
        }
        faults
    }

    /// What is not as the timers have it when a master stopped or died.
    fn faults_of_succession(&self, act: &Act, deed: Deed, verdict: &Verdict) -> Vec<String> {
        let [gone, successor] = [1 - act.master, act.master].map(|at| &self.parties[at]);
        let (since, allowed) = match deed {
            Deed::Stop => (verdict.released, self.skew(successor.priority)),
            _ => (
                verdict.last_claim,
                3 * self.interval() + self.skew(successor.priority),
            ),
        };
        let (Some(since), Some(first)) = (since, verdict.first_advert) else {
            return vec!["it said nothing before it went".to_owned()];
        };
        let after = first.saturating_sub(since);
        let mut measured = self.measured.borrow_mut();
        measured.takeovers.push((deed, after, allowed));
        let mut faults = Vec::new();
        if after > allowed + SLACK + verdict.paused {
            faults.push(format!("taken over after {after:?}, {allowed:?} allowed"));
        }
        if successor.kind == Kind::Ours && after + EARLY_MAX < allowed {
            faults.push(format!("taken over after {after:?}, too early"));
        }
        // Make before break: the addresses stay until the successor has spoken.
        if deed == Deed::Stop
            && gone.kind == Kind::Ours
            && verdict.other_let_go.is_none_or(|let_go| let_go < first)
        {
            faults.push("let go before the successor was there".to_owned());
        }
        faults
    }

    /// FRR's first advert over IPv6 does not leave (its link has just come up), so that it takes
    /// the addresses an interval before anybody can hear of it.
    fn overlap_max(&self, master: usize) -> Duration {
        let frr = matches!(self.parties[master].kind, Kind::Frr(_));
        match frr && self.group.ipv6() {
            true => self.interval() + OVERLAP_MAX,
            false => self.interval().min(OVERLAP_MAX),
        }
    }

    fn interval(&self) -> Duration {
        Duration::from_millis(u64::from(self.group.interval_ms))
    }

    /// Skew_Time of RFC 9568 §6.1, or of RFC 3768 §6.1.
    fn skew(&self, priority: u8) -> Duration {
        let unit = match self.group.version {
            2 => Duration::from_secs(1),
            _ => self.interval(),
        };
        unit * (256 - u32::from(priority)) / 256
    }

    /// A client of the segment has an answer from the address.
    #[track_caller]
    fn reach(&self, name: &str) {
        let address = self.group.address();
        wait::until(&format!("{name}: {address} answers"), 5, || {
            let words = ["-n", "-q", "-c", "1", "-W", "1", address];
            self.client.output("ping", &words).map(drop)
        });
    }

    /// The act as it was seen, for a failed test.
    fn tell(&self, act: &Act) -> String {
        let from = act.from.saturating_sub(Duration::from_millis(500));
        let mut text = "   at ms, node: what was seen (the better one is 0)\n".to_owned();
        for one in self.watch.since(from).iter().take(200) {
            let at = one.at.as_secs_f64() - act.from.as_secs_f64();
            text += &format!("{:9.1}, {}: {:?}\n", at * 1000.0, one.node, one.fact);
        }
        text
    }
}
