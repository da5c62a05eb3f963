//! How one check stands: its verdict, and how answers change it.
//!
//! `fall` bad answers in a row are bad, `rise` good ones good again; the first good answer of all
//! is good at once. A check that keeps failing and recovering would move the addresses each time,
//! so every further fall within [`CALM`] makes the way back longer: after the first none, then
//! [`HOLD_MIN`] without a single bad answer, doubled up to [`HOLD_MAX`]. A check that fails half
//! of the time is bad after two or three falls and stays so.

use std::time::{Duration, Instant};

/// A check that was good for so long has a clean past.
const CALM: Duration = Duration::from_secs(60);
/// The second fall costs so long without a bad answer,
const HOLD_MIN: Duration = Duration::from_secs(10);
/// and the worst so long.
const HOLD_MAX: Duration = Duration::from_secs(60);

/// What is known of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Nothing yet: neither good nor bad.
    #[default]
    Unknown,
    /// Good.
    Good,
    /// Bad.
    Bad,
}

/// An answer to a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// As wanted.
    pub good: bool,
    /// The number in a file; else 0.
    pub value: i32,
    /// What was found, one line.
    pub text: String,
}

impl Outcome {
    /// A good answer.
    #[must_use]
    pub fn good(text: impl Into<String>) -> Self {
        Self {
            good: true,
            value: 0,
            text: text.into(),
        }
    }

    /// A bad answer.
    #[must_use]
    pub fn bad(text: impl Into<String>) -> Self {
        Self {
            good: false,
            ..Self::good(text)
        }
    }
}

/// One check as it stands.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The verdict in force.
    pub verdict: Verdict,
    /// When it was reached.
    pub since: Instant,
    /// The last answer.
    pub last: Option<Outcome>,
    /// Good answers so far.
    pub passed: u64,
    /// Bad answers so far.
    pub failed: u64,
    /// How often it became bad.
    pub falls: u64,
    /// Answers of the same kind in a row.
    row: u32,
    /// Falls without [`CALM`] between them.
    recent: u32,
    /// It would be good, and has to stay so until then.
    pub held_until: Option<Instant>,
}

impl Standing {
    /// Nothing is known at `now`.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            verdict: Verdict::Unknown,
            since: now,
            last: None,
            passed: 0,
            failed: 0,
            falls: 0,
            row: 0,
            recent: 0,
            held_until: None,
        }
    }

    /// Takes an answer; `true`: the verdict is another one.
    pub fn answer(&mut self, now: Instant, outcome: Outcome, rise: u32, fall: u32) -> bool {
        let same = self.last.as_ref().map(|last| last.good) == Some(outcome.good);
        self.row = if same { self.row.saturating_add(1) } else { 1 };
        let good = outcome.good;
        self.last = Some(outcome);
        match good {
            true => self.passed += 1,
            false => self.failed += 1,
        }
        match (good, self.verdict) {
            (true, Verdict::Unknown) => self.become_good(now),
            (true, Verdict::Bad) if self.row >= rise => match self.hold() {
                Duration::ZERO => self.become_good(now),
                hold => {
                    self.held_until.get_or_insert(now + hold);
                    self.handle_timeout(now)
                }
            },
            (false, Verdict::Unknown | Verdict::Good) if self.row >= fall => {
                self.become_bad(now);
                true
            }
            (false, _) => {
                self.held_until = None;
                false
            }
            (true, _) => false,
        }
    }

    /// Does what is due; `true`: the verdict is another one.
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        match self.held_until {
            Some(due) if due <= now => self.become_good(now),
            _ => false,
        }
    }

    /// How long a bad check has to be without a bad answer.
    fn hold(&self) -> Duration {
        match self.recent {
            0 | 1 => Duration::ZERO,
            many => HOLD_MAX.min(HOLD_MIN * 2_u32.saturating_pow(many.min(8) - 2)),
        }
    }

    fn become_good(&mut self, now: Instant) -> bool {
        self.held_until = None;
        self.verdict = Verdict::Good;
        self.since = now;
        true
    }

    fn become_bad(&mut self, now: Instant) {
        let calm = now.saturating_duration_since(self.since) >= CALM;
        self.recent = match self.verdict {
            // Services start after the daemon: no fall to remember.
            Verdict::Unknown => 0,
            _ if calm => 1,
            _ => self.recent.saturating_add(1),
        };
        self.held_until = None;
        self.verdict = Verdict::Bad;
        self.since = now;
        self.falls += 1;
    }

    /// It is good, and the last answer was not.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        self.verdict == Verdict::Good && self.last.as_ref().is_some_and(|last| !last.good)
    }

    /// Bad answers in a row at the moment.
    #[must_use]
    pub fn failed_in_a_row(&self) -> u32 {
        let bad = self.last.as_ref().is_some_and(|last| !last.good);
        if bad { self.row } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_secs(1);

    /// Answers one per second (`+` and `-`); the verdict after each as a word.
    fn play(answers: &str) -> String {
        let mut now = Instant::now();
        let mut standing = Standing::new(now);
        let mut verdicts = String::new();
        for answer in answers.chars() {
            now += TICK;
            standing.handle_timeout(now);
            let outcome = match answer {
                '+' => Outcome::good("fine"),
                _ => Outcome::bad("broken"),
            };
            standing.answer(now, outcome, 2, 3);
            verdicts.push(match standing.verdict {
                Verdict::Unknown => '?',
                Verdict::Good => 'G',
                Verdict::Bad => 'B',
            });
        }
        verdicts
    }

    #[test]
    fn answers_in_a_row_decide() {
        for (answers, verdicts) in [
            ("+", "G"),
            ("--+", "??G"),
            ("---", "??B"),
            ("+--+--", "GGGGGG"),
            ("+---+++", "GGGBBGG"),
            ("+---+-++", "GGGBBBBG"),
        ] {
            assert_eq!(play(answers), verdicts, "{answers}");
        }
    }

    /// The second fall within a minute costs ten seconds without a bad answer.
    #[test]
    fn a_second_fall_takes_longer_to_forgive() {
        let twice = format!("+---++---{}", "+".repeat(14));
        let verdicts = play(&twice);
        assert_eq!(verdicts, format!("GGGBBGGGB{}GGG", "B".repeat(11)));
        let interrupted = format!("+---++---{}-{}", "+".repeat(9), "+".repeat(10));
        assert!(play(&interrupted).ends_with('B'));
        let calm = format!("+---++{}---++", "+".repeat(60));
        assert!(play(&calm).ends_with("BBG"));
    }

    /// A check that fails half of the time moves nothing after its first falls.
    #[test]
    fn half_of_the_answers_bad_does_not_flap() {
        let mut worst = 0;
        for seed in 1..200_u64 {
            let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let hour: String = (0..3600)
                .map(|_| {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    if random >> 40 & 1 == 0 { '+' } else { '-' }
                })
                .collect();
            let verdicts = play(&hour).into_bytes();
            let changes = verdicts.windows(2).filter(|two| two[0] != two[1]).count();
            worst = worst.max(changes);
        }
        assert!(worst <= 12, "{worst} changes in an hour");
    }
}
