//! Two routers of one virtual router on a segment, and what is done to them.
//!
//! The better of the two is master whenever it is there. The story lets each of them start first,
//! stop, return, crash and return again, and judges every act from the wire and both kernels
//! ([`super::verdict`]); a client on the segment must reach the address after each. What the RFC's
//! timers allow is computed here, per act.

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
/// A daemon's start, from the command to its first timer; FRR is three of them.
const START_UP: Duration = Duration::from_secs(5);
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

/// The pair, and the watch over it.
pub struct Duel<'l> {
    lab: &'l Lab,
    group: Group,
    /// The better one first.
    parties: [Party; 2],
    watch: Watch,
}

impl<'l> Duel<'l> {
    /// A pair of which nobody is started. `better` goes first in all that is watched.
    #[must_use]
    pub fn new(lab: &'l Lab, group: &Group, better: Party, worse: Party) -> Self {
        let sign = |party: &Party| match party.kind {
            Kind::Frr(_) => Sign::LinkUp(frr::macvlan(group).to_owned()),
            _ => Sign::Address(group.address().parse().expect("the group has an address")),
        };
        let watched: [(&Node, Sign); 2] =
            [(&better.node, sign(&better)), (&worse.node, sign(&worse))];
        Self {
            watch: Watch::start(&watched),
            lab,
            group: group.clone(),
            parties: [better, worse],
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
    }

    /// Does it to `who`; afterwards `master` must be the only one, and stay it.
    #[track_caller]
    fn act(&self, who: usize, deed: Deed, master: usize) {
        let party = &self.parties[who];
        let before = self.watch.since(Duration::ZERO);
        let act = Act {
            from: now(),
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
        // Somebody who joins or is not master would show it within its down interval.
        let quiet = match deed {
            Deed::Start | Deed::ComeBack if who != master => 5,
            _ => 2,
        };
        let name = format!("{deed:?} of {:?} ({who})", party.kind);
        let limit = START_UP + 8 * self.interval() + Duration::from_secs(3);
        let settled = wait::poll(limit, || {
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

    /// What is not as the timers of the RFC have it.
    fn faults(
        &self,
        act: &Act,
        (who, deed): (usize, Deed),
        before: &[Seen],
        verdict: &Verdict,
    ) -> Vec<String> {
        let mut faults = Vec::new();
        let mut must = |holds: bool, what: String| {
            if !holds {
                faults.push(what);
            }
        };
        let held = |node: usize| {
            let changes = before.iter().rev().filter(|one| one.node == node);
            let last = changes
                .map(|one| &one.fact)
                .find(|it| matches!(it, Fact::Holds(_)));
            last == Some(&Fact::Holds(true))
        };
        let other = 1 - act.master;
        let slack = SLACK + verdict.paused;
        let wanted = (
            usize::from(!held(act.master)),
            usize::from(held(other) && !act.other_is_dead),
        );
        must(
            verdict.moves == wanted,
            format!("moves are to be {wanted:?}: it flapped"),
        );
        let overlap_max = self.interval();
        must(
            verdict.overlap <= overlap_max,
            format!(
                "two masters for {:?}, {overlap_max:?} allowed",
                verdict.overlap
            ),
        );
        let strays = if wanted.0 == 0 { 0 } else { STRAYS_MAX };
        must(
            verdict.strays <= strays,
            "the other went on advertising".to_owned(),
        );
        let took_over = who == other && matches!(deed, Deed::Stop | Deed::Crash);
        if let (true, true, Some(first)) = (took_over, wanted.0 == 1, verdict.first_advert) {
            let priority = self.parties[act.master].priority;
            let (since, allowed) = match deed {
                Deed::Stop => (verdict.released, self.skew(priority)),
                _ => (
                    verdict.last_claim,
                    3 * self.interval() + self.skew(priority),
                ),
            };
            must(since.is_some(), "it said nothing before".to_owned());
            let after = first.saturating_sub(since.unwrap_or_default());
            eprintln!(
                "MEASURED {deed:?} of {:?}: taken over after {after:?}, {allowed:?} by the RFC",
                self.parties[who].kind
            );
            must(
                after <= allowed + slack,
                format!("taken over after {after:?}"),
            );
            let ours = self.parties[act.master].kind == Kind::Ours;
            must(
                !ours || after + Duration::from_millis(5) >= allowed,
                "too early".to_owned(),
            );
            if deed == Deed::Stop && self.parties[who].kind == Kind::Ours {
                // Make before break: the addresses stay until the successor has spoken.
                let let_go = verdict.other_let_go.unwrap_or_default();
                must(
                    let_go >= first,
                    format!("let go {:?} too early", first - let_go.min(first)),
                );
            }
        }
        faults
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
            let mut ping = self.lab.root_command("ping");
            ping.args(["-n", "-q", "-c", "1", "-W", "1", address]);
            let output = ping.output().map_err(|e| e.to_string())?;
            match output.status.success() {
                true => Ok(()),
                false => Err(String::from_utf8_lossy(&output.stdout).into_owned()),
            }
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
