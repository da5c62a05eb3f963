//! How much of the thread operators get while routes come in.
//!
//! One thread does everything, so an answer is time that routes wait. Listings therefore work in
//! *turns* of at most [`TURN_TIME`] ([`FIRST_TURN_TIME`] before the first row), one at a time
//! whoever asks, and between two turns the runtime looks at all sockets. While nothing comes in or
//! goes out on the neighbors' connections the next turn follows at once. While something does,
//! turns are paid from an account that [`SHARE`] of the time flows into, so that a listing of a
//! million routes delays neither a KEEPALIVE nor convergence by more than that. The account holds
//! [`SAVINGS_MAX`] at most. First pages have an account of their own with [`FIRST_SAVINGS_MAX`]:
//! they cost less and come at once.
//!
//! Short answers (a summary, one prefix) are not cut into turns. They are paid from an account of
//! their own, at a flat price, so that a listing does not hold them up and a client that asks in a
//! loop is held back alone.

use std::cell::Cell;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Longest turn.
const TURN_TIME: Duration = Duration::from_micros(500);
/// Longest turn of a first page. Between two turns a busy router takes in some milliseconds' worth
/// of routes; in short turns the first row would wait for that a dozen times.
const FIRST_TURN_TIME: Duration = Duration::from_millis(3);
/// One part in so many of the time flows into each account.
const SHARE: u32 = 33;
/// What an account holds at most.
const SAVINGS_MAX: Duration = Duration::from_millis(5);
/// What the account of first pages holds at most: one page means a pass over the table, some
/// milliseconds where there are a million routes, and a few people may ask at the same time.
const FIRST_SAVINGS_MAX: Duration = Duration::from_millis(12);
/// So long after an octet from or to a neighbor there may be more work for routes.
const BUSY_TIME: Duration = Duration::from_millis(20);
/// The flat price of a short answer.
const SHORT_PRICE: Duration = Duration::from_micros(100);

/// Time saved and spent, as of some moment.
#[derive(Clone, Copy, Debug)]
struct Account {
    saved: Duration,
    most: Duration,
    owed: Duration,
    at: Instant,
}

impl Account {
    fn new(now: Instant, most: Duration) -> Self {
        Self {
            saved: most,
            most,
            owed: Duration::ZERO,
            at: now,
        }
    }

    /// What flowed in since the last time pays the debt first.
    fn credit(&mut self, now: Instant) {
        let income = now.saturating_duration_since(self.at) / SHARE;
        let rest = income.saturating_sub(self.owed);
        self.owed = self.owed.saturating_sub(income);
        self.saved = (self.saved + rest).min(self.most);
        self.at = now;
    }

    fn pay(&mut self, price: Duration) {
        self.owed += price.saturating_sub(self.saved);
        self.saved = self.saved.saturating_sub(price);
    }

    /// How long until there is no debt.
    fn wait(&self) -> Option<Duration> {
        (self.saved.is_zero() && !self.owed.is_zero()).then(|| self.owed * SHARE)
    }
}

/// Who may work for operators, and when.
#[derive(Debug)]
pub struct Turns {
    /// One turn at a time, in the order of asking.
    lane: Semaphore,
    listings: Cell<Account>,
    /// Of listings that have not shown a row yet: the next page of one must not hold up the first
    /// page of another.
    firsts: Cell<Account>,
    shorts: Cell<Account>,
    /// When octets last came from or went to a neighbor.
    traffic: Cell<Option<Instant>>,
}

impl Default for Turns {
    fn default() -> Self {
        let now = Instant::now();
        let account = |most| Cell::new(Account::new(now, most));
        Self {
            lane: Semaphore::new(1),
            listings: account(SAVINGS_MAX),
            firsts: account(FIRST_SAVINGS_MAX),
            shorts: account(SAVINGS_MAX),
            traffic: Cell::new(None),
        }
    }
}

/// A turn of a listing; its end is its drop.
#[derive(Debug)]
pub struct Turn<'a> {
    account: &'a Cell<Account>,
    begin: Instant,
    longest: Duration,
    _lane: Option<SemaphorePermit<'a>>,
}

impl Turn<'_> {
    /// Whether the work has to stop here.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.begin.elapsed() >= self.longest
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let now = Instant::now();
        charge(self.account, now, now.saturating_duration_since(self.begin));
    }
}

fn charge(account: &Cell<Account>, now: Instant, price: Duration) {
    let mut changed = account.get();
    changed.credit(now);
    changed.pay(price);
    account.set(changed);
}

impl Turns {
    /// Notes that octets came from or went to a neighbor.
    pub fn note_traffic(&self, now: Instant) {
        self.traffic.set(Some(now));
    }

    /// Waits for the next turn of a listing; `first`: it has not shown a row yet. Cancel-safe.
    pub async fn next(&self, first: bool) -> Turn<'_> {
        let (account, longest) = match first {
            true => (&self.firsts, FIRST_TURN_TIME),
            false => (&self.listings, TURN_TIME),
        };
        loop {
            self.wait(account).await;
            // Never closed.
            let lane = self.lane.acquire().await.ok();
            // Twice, because the runtime resumes this task before those whose sockets it has just
            // found ready.
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            let begin = Instant::now();
            if self.due(account, begin).is_none() {
                return Turn {
                    account,
                    begin,
                    longest,
                    _lane: lane,
                };
            }
        }
    }

    /// Waits until a short answer may be given, and pays for it. Cancel-safe.
    pub async fn short(&self) {
        self.wait(&self.shorts).await;
        charge(&self.shorts, Instant::now(), SHORT_PRICE);
    }

    async fn wait(&self, account: &Cell<Account>) {
        while let Some(time) = self.due(account, Instant::now()) {
            tokio::time::sleep(time).await;
        }
    }

    /// How long to wait, if at all.
    fn due(&self, account: &Cell<Account>, now: Instant) -> Option<Duration> {
        let traffic = self.traffic.get();
        let busy = traffic.is_some_and(|at| now.saturating_duration_since(at) < BUSY_TIME);
        let mut current = account.get();
        current.credit(now);
        account.set(current);
        let wait = current.wait().filter(|_| busy)?;
        // It may get quiet before the debt is paid.
        Some(wait.min(BUSY_TIME))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Turns of half a millisecond during a second full of routes.
    #[test]
    fn listings_get_their_share_and_no_more() {
        let turns = Turns::default();
        let start = Instant::now();
        let (mut now, mut spent) = (start, Duration::ZERO);
        while now < start + Duration::from_secs(1) {
            turns.note_traffic(now);
            match turns.due(&turns.listings, now) {
                Some(wait) => now += wait,
                None => {
                    now += TURN_TIME;
                    spent += TURN_TIME;
                    charge(&turns.listings, now, TURN_TIME);
                }
            }
        }
        let share = Duration::from_secs(1) / SHARE;
        assert!(spent >= share, "{spent:?}");
        assert!(spent <= share + SAVINGS_MAX + TURN_TIME * 2, "{spent:?}");
    }

    #[test]
    fn a_first_page_and_a_quiet_router_wait_for_nothing() {
        let turns = Turns::default();
        let now = Instant::now();
        turns.note_traffic(now);
        assert_eq!(turns.due(&turns.listings, now), None);
        charge(&turns.listings, now, SAVINGS_MAX * 2);
        assert!(turns.due(&turns.listings, now).is_some());
        assert_eq!(
            turns.due(&turns.shorts, now),
            None,
            "an account of their own"
        );
        assert_eq!(turns.due(&turns.listings, now + BUSY_TIME), None);
    }
}
