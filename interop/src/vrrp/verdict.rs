//! Whether what a segment showed is what the RFC's timers allow.
//!
//! An *act* is one thing that is done to a pair of routers (a start, a stop, a crash) and all that
//! is seen until the next. Its verdict is computed from the kernels and the wire alone:
//!
//! - *converged* is the moment of the last thing that moved: a kernel took or lost the addresses,
//!   the master sent its first advert, the other one its last;
//! - *overlap* is how long both kernels held the addresses, and were both masters. A master that
//!   fell silent for longer than its backup waits, and spoke again, was starved by the machine: its
//!   backup had to take over, and that time is no fault of either. What happened while the watch
//!   itself stood still is not counted either. Both need evidence on the record;
//! - *moves* is how often a kernel took or lost them: more than the act asks for is a flap.

use std::time::Duration;

use super::watch::{Fact, Seen};

/// What an act does to a pair of routers.
#[derive(Clone, Copy, Debug)]
pub struct Act {
    /// When it began, since 1970.
    pub from: Duration,
    /// When it was done; adverts of the master count from here.
    pub done: Duration,
    /// Who is master afterwards: a place among the nodes watched, of which there are two.
    pub master: usize,
    /// The other one has lost its power: what its kernel does matters to nobody.
    pub other_is_dead: bool,
    /// How long a backup of the pair waits at least (3 intervals).
    pub patience: Duration,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// When the last thing moved; `None`: not yet as it should be.
    pub converged: Option<Duration>,
    /// How long both were masters.
    pub overlap: Duration,
    /// Adverts of the other that claim the addresses, after the master's first one.
    pub strays: usize,
    /// How often the kernel of the master, and that of the other, took or lost the addresses.
    pub moves: (usize, usize),
    /// Adverts of the master since it converged and all was done.
    pub adverts_since: usize,
    /// The first advert of the master in this act.
    pub first_advert: Option<Duration>,
    /// The last one of the other that claims the addresses, before that.
    pub last_claim: Option<Duration>,
    /// When the other let go by priority 0.
    pub released: Option<Duration>,
    /// When the kernel of the other lost them.
    pub other_let_go: Option<Duration>,
    /// How long the watch itself stood still.
    pub paused: Duration,
}

type Span = (Duration, Duration);

/// Judges an act by all that was seen from the beginning until now.
#[must_use]
pub fn judge(act: &Act, seen: &[Seen], now: Duration) -> Verdict {
    let other = 1 - act.master;
    let in_act = || seen.iter().filter(|one| one.at >= act.from);
    let claims = |node: usize| {
        let those = in_act().filter(move |one| one.node == node);
        those.filter(|one| matches!(one.fact, Fact::Advert(1..)))
    };
    let changes = |node: usize| {
        in_act().filter(move |one| one.node == node && matches!(one.fact, Fact::Holds(_)))
    };
    let first_advert = claims(act.master).next().map(|one| one.at);
    let mut verdict = Verdict {
        first_advert,
        moves: (changes(act.master).count(), changes(other).count()),
        last_claim: last_before(seen, other, first_advert.unwrap_or(now)),
        released: in_act()
            .find(|one| one.node == other && one.fact == Fact::Advert(0))
            .map(|one| one.at),
        other_let_go: changes(other)
            .rfind(|one| one.fact == Fact::Holds(false))
            .map(|one| one.at),
        paused: in_act().map(|one| pause(one).1 - pause(one).0).sum(),
        ..Verdict::default()
    };
    if act.other_is_dead {
        verdict.moves.1 = 0;
    } else {
        verdict.overlap = overlap(act, seen, now);
    }
    let Some(first) = first_advert else {
        return verdict;
    };
    let strays: Vec<Duration> = claims(other)
        .map(|one| one.at)
        .filter(|at| *at > first && !act.other_is_dead)
        .collect();
    verdict.strays = strays.len();
    let held = |node: usize| held_at_end(seen, node);
    if held(act.master) && (act.other_is_dead || !held(other)) {
        let moved = |one: &&Seen| !(act.other_is_dead && one.node == other);
        let last_change = in_act()
            .filter(|one| matches!(one.fact, Fact::Holds(_)))
            .filter(moved)
            .map(|one| one.at);
        let converged = last_change.chain(strays).fold(first, Duration::max);
        verdict.converged = Some(converged);
        let quiet = converged.max(act.done);
        verdict.adverts_since = claims(act.master).filter(|one| one.at > quiet).count();
    }
    verdict
}

/// The last advert of `node` before `limit` that claims the addresses, in any act.
fn last_before(seen: &[Seen], node: usize, limit: Duration) -> Option<Duration> {
    let mut those = seen.iter().rev();
    those
        .find(|one| one.node == node && one.at < limit && matches!(one.fact, Fact::Advert(1..)))
        .map(|one| one.at)
}

fn held_at_end(seen: &[Seen], node: usize) -> bool {
    let mut changes = seen.iter().rev();
    let last = changes.find(|one| one.node == node && matches!(one.fact, Fact::Holds(_)));
    last.is_some_and(|one| one.fact == Fact::Holds(true))
}

fn pause(one: &Seen) -> Span {
    match one.fact {
        Fact::Pause(length) => (one.at.saturating_sub(length), one.at),
        _ => (one.at, one.at),
    }
}

fn overlap(act: &Act, seen: &[Seen], now: Duration) -> Duration {
    let one = mastership(act, seen, now, act.master);
    let two = mastership(act, seen, now, 1 - act.master);
    let mut both: Vec<Span> = Vec::new();
    for (a, b) in &one {
        both.extend(two.iter().map(|(c, d)| (*a.max(c), *b.min(d))));
    }
    let pauses: Vec<Span> = seen.iter().map(pause).collect();
    let both = without(both, &pauses);
    both.iter().map(|(from, to)| to.saturating_sub(*from)).sum()
}

/// When `node` held the addresses in this act, without the times in which it was starved.
fn mastership(act: &Act, seen: &[Seen], now: Duration, node: usize) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut since = None;
    for one in seen.iter().filter(|one| one.node == node) {
        match (&one.fact, since) {
            (Fact::Holds(true), None) => since = Some(one.at),
            (Fact::Holds(false), Some(from)) => {
                spans.push((from, one.at));
                since = None;
            }
            _ => {}
        }
    }
    spans.extend(since.map(|from| (from, now)));
    for span in &mut spans {
        span.0 = span.0.max(act.from);
    }
    let adverts: Vec<Duration> = seen
        .iter()
        .filter(|one| one.node == node && matches!(one.fact, Fact::Advert(1..)))
        .map(|one| one.at)
        .collect();
    let starved: Vec<Span> = adverts
        .windows(2)
        .filter(|pair| pair[1] - pair[0] > act.patience)
        .map(|pair| (pair[0] + act.patience, pair[1]))
        .collect();
    without(spans, &starved)
}

/// Takes `holes` out of `spans`; empty ones go.
fn without(spans: Vec<Span>, holes: &[Span]) -> Vec<Span> {
    let mut left = spans;
    for (from, to) in holes.iter().filter(|(from, to)| from < to) {
        left = left
            .into_iter()
            .flat_map(|(a, b)| [(a, b.min(*from)), (a.max(*to), b)])
            // Empty ones would double with every hole: a long act took all memory.
            .filter(|(a, b)| a < b)
            .collect();
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(at: u64) -> Duration {
        Duration::from_millis(at)
    }

    fn seen(list: &[(u64, usize, Fact)]) -> Vec<Seen> {
        let one = |(at, node, fact): &(u64, usize, Fact)| Seen {
            at: ms(*at),
            node: *node,
            fact: fact.clone(),
        };
        list.iter().map(one).collect()
    }

    fn act(from: u64) -> Act {
        Act {
            from: ms(from),
            done: ms(from),
            master: 0,
            other_is_dead: false,
            patience: ms(300),
        }
    }

    use Fact::{Advert, Holds, Pause};

    /// Each hole leaves at most one span more.
    #[test]
    fn many_holes_make_few_spans() {
        let holes: Vec<Span> = (0..200).map(|at| (ms(at * 10), ms(at * 10 + 1))).collect();
        let left = without(vec![(ms(500), ms(1000)), (ms(5000), ms(6000))], &holes);
        assert_eq!(left.len(), 51, "{left:?}");
        assert_eq!(left.first(), Some(&(ms(501), ms(510))));
    }

    /// 1 is master; 0 comes at 1000, takes over at 1400, and 1 lets go 5 ms later.
    #[test]
    fn a_takeover_is_measured_in_both_kernels_and_on_the_wire() {
        let seen = seen(&[
            (100, 1, Holds(true)),
            (101, 1, Advert(100)),
            (1350, 1, Advert(100)),
            (1400, 0, Holds(true)),
            (1401, 0, Advert(200)),
            (1405, 1, Holds(false)),
            (1501, 0, Advert(200)),
        ]);
        let verdict = judge(&act(1000), &seen, ms(1600));
        assert_eq!(verdict.converged, Some(ms(1405)));
        assert_eq!(verdict.overlap, ms(5));
        assert_eq!((verdict.strays, verdict.moves), (0, (1, 1)));
        assert_eq!(verdict.adverts_since, 1);
        assert_eq!(verdict.last_claim, Some(ms(1350)));
        assert_eq!(verdict.other_let_go, Some(ms(1405)));
    }

    #[test]
    fn two_masters_do_not_converge_and_their_time_is_summed() {
        let seen = seen(&[
            (100, 1, Holds(true)),
            (150, 1, Advert(100)),
            (1000, 0, Holds(true)),
            (1001, 0, Advert(200)),
            (1050, 1, Advert(100)),
            (1150, 1, Advert(100)),
        ]);
        let verdict = judge(&act(500), &seen, ms(1200));
        assert_eq!(verdict.converged, None);
        assert_eq!(verdict.strays, 2);
        // 1 was silent from 150 to 1050, longer than anybody waits: until then it was none.
        assert_eq!(verdict.overlap, ms(150));
    }

    #[test]
    fn what_nobody_watched_is_not_counted() {
        let seen = seen(&[
            (100, 1, Holds(true)),
            (900, 0, Holds(true)),
            (1000, 1, Holds(false)),
            (1000, 0, Pause(ms(70))),
        ]);
        let verdict = judge(&act(500), &seen, ms(1200));
        assert_eq!((verdict.overlap, verdict.paused), (ms(30), ms(70)));
    }

    #[test]
    fn the_dead_do_not_count() {
        let mut act = act(500);
        act.other_is_dead = true;
        let seen = seen(&[
            (100, 1, Holds(true)),
            (800, 0, Holds(true)),
            (801, 0, Advert(100)),
            (900, 1, Holds(false)),
            (901, 0, Advert(100)),
        ]);
        let verdict = judge(&act, &seen, ms(1200));
        assert_eq!(verdict.converged, Some(ms(801)));
        assert_eq!((verdict.overlap, verdict.moves), (ms(0), (1, 0)));
        assert_eq!(verdict.adverts_since, 1);
    }
}
