//! When to look again at what is true. Pure.
//!
//! A busy node has thousands of inputs a second, nearly all of them routes of others. A look at all
//! services for each would cost more than what is reported. So there are cheap [`Signs`] of what
//! matters: the cluster's routes and the sessions. When they change, who was told is looked at, and
//! once more a turn later, since neighbors are told shortly after. What the signs do not show (a
//! policy that now refuses a route, a reason that is another one) is found by looks that are far
//! apart, and only while anything happens at all.

use std::time::{Duration, Instant};

/// Between two looks at all services that no sign asked for.
pub(super) const SERVICES_EVERY: Duration = Duration::from_secs(30);
/// Between two looks at the reasons of all services.
pub(super) const REASONS_EVERY: Duration = Duration::from_secs(10);

/// What a change shows by, as cheap to read as a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Signs {
    /// How many inputs there were.
    pub steps: u64,
    /// How often the cluster's routes changed.
    pub routes: u64,
    /// Who is up and since when, as a hash.
    pub sessions: u64,
}

/// What is to be looked at now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Turn {
    /// Who was told of which service.
    pub services: bool,
    /// Why services are held back.
    pub reasons: bool,
}

/// The looks so far.
#[derive(Debug, Default)]
pub(super) struct Pace {
    seen: Option<Signs>,
    services: Looks,
    reasons: Looks,
    /// A sign changed in the last turn: neighbors may have been told since.
    settles: bool,
}

/// The looks at one thing.
#[derive(Debug, Default)]
struct Looks {
    last: Option<Instant>,
    /// Something happened since.
    is_old: bool,
}

impl Looks {
    /// Whether to look now.
    fn turn(&mut self, now: Instant, every: Duration, is_due: bool) -> bool {
        let has_waited = self.last.is_none_or(|last| now >= last + every);
        let looks = is_due || (self.is_old && has_waited);
        if looks {
            self.last = Some(now);
            self.is_old = false;
        }
        looks
    }
}

impl Pace {
    /// What to look at, now that the signs are these; `None`: nothing has happened.
    pub fn turn(&mut self, now: Instant, signs: Signs) -> Option<Turn> {
        let before = self.seen.replace(signs);
        let is_stirred = before != Some(signs);
        let is_changed = before.is_none_or(|before| {
            (before.routes, before.sessions) != (signs.routes, signs.sessions)
        });
        self.services.is_old |= is_stirred;
        self.reasons.is_old |= is_stirred;
        let settles = std::mem::replace(&mut self.settles, is_changed);
        let turn = Turn {
            services: self
                .services
                .turn(now, SERVICES_EVERY, is_changed || settles),
            reasons: self.reasons.turn(now, REASONS_EVERY, before.is_none()),
        };
        (is_stirred || turn != Turn::default()).then_some(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A turn each two seconds; how many looks there were at services and at reasons.
    fn looks(turns: u64, signs: impl Fn(u64) -> Signs) -> (usize, usize) {
        let start = Instant::now();
        let mut pace = Pace::default();
        let turns = (0..turns).filter_map(|turn| {
            let now = start + Duration::from_secs(2 * turn);
            pace.turn(now, signs(turn))
        });
        let turns: Vec<Turn> = turns.collect();
        let services = turns.iter().filter(|turn| turn.services).count();
        (services, turns.iter().filter(|turn| turn.reasons).count())
    }

    #[test]
    fn routes_of_others_cost_few_looks() {
        // Ten minutes of inputs without end, and nothing of the cluster changes.
        let (services, reasons) = looks(300, |turn| Signs {
            steps: turn,
            ..Signs::default()
        });
        assert!(services <= 22, "{services} looks");
        assert!(reasons <= 60, "{reasons} looks");
    }

    #[test]
    fn a_quiet_node_is_not_looked_at() {
        let (services, reasons) = looks(300, |_| Signs::default());
        assert_eq!((services, reasons), (2, 1), "at the start");
    }

    #[test]
    fn a_change_is_looked_at_at_once_and_once_more() {
        for changed in [
            |turn: u64| Signs {
                routes: u64::from(turn >= 5),
                ..Signs::default()
            },
            |turn: u64| Signs {
                sessions: u64::from(turn >= 5),
                ..Signs::default()
            },
        ] {
            assert_eq!(looks(5, changed).0, 2);
            assert_eq!(looks(6, changed).0, 3);
            assert_eq!(looks(7, changed).0, 4);
            assert_eq!(looks(15, changed), (4, 2));
        }
    }
}
