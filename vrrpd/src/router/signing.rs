//! Adverts that prove who sent them: keys, clock and sequence numbers of one virtual router.
//!
//! The trailer behind an advert (draft-cassen-vrrp-auth-hmac) carries a sequence number made of the
//! time. A receiver asks that it is near its own clock (the window), that it grew since the last
//! one of the same sender, and that the code is right; in this order, because the first costs
//! nothing and the mark of a sender must not move before the code is known to be right.
//!
//! **A clock that jumps must not make two masters.** The system's clock is taken at the start and
//! followed while it drifts. A jump is not followed: the time goes on as if it had not happened,
//! and adverts that fit either reading are heard. The first proven advert that fits the new
//! reading alone shows that the others live there, and it is taken over. So neither an hour set by
//! mistake nor the correction of a wrong start leaves a router unheard for longer than one advert.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use proto_codec::vrrp::trailer::{KEY_MAX, KEY_MIN, Stamp, Trailer};
use proto_codec::vrrp::{Advert, Version};

/// Drift between two looks at the clock that is followed; more is a jump.
const DRIFT_MAX: Duration = Duration::from_secs(1);

/// Senders whose sequence numbers are remembered. Only proven ones are, so strangers cannot push
/// others out, and a virtual router of nine is one that nobody runs.
const SENDERS_MAX: usize = 8;

/// A key that the routers share. It is shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// Tells keys apart while one replaces another; 1 to 255.
    pub id: u8,
    octets: Vec<u8>,
}

impl Key {
    /// `None` unless `octets` are 32 to 64.
    #[must_use]
    pub fn new(id: u8, octets: Vec<u8>) -> Option<Self> {
        let fits = (KEY_MIN..=KEY_MAX).contains(&octets.len());
        fits.then_some(Self { id, octets })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id)
    }
}

/// Who signs and who must: three sweeps over the routers bring a group from none to all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Signs nothing, and refuses what is signed wrongly.
    ReceiveOnly,
    /// Signs, and hears unsigned adverts too.
    Permissive,
    /// Signs, and refuses what is not signed.
    #[default]
    Enforce,
}

impl Mode {
    /// The words of the configuration.
    pub const WORDS: [(&'static str, Self); 3] = [
        ("receive-only", Self::ReceiveOnly),
        ("permissive", Self::Permissive),
        ("enforce", Self::Enforce),
    ];

    /// The word of this one.
    #[must_use]
    pub fn word(self) -> &'static str {
        let word = Self::WORDS.iter().find(|(_, mode)| *mode == self);
        word.map_or("", |(word, _)| word)
    }
}

/// How the adverts of a virtual router are authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signing {
    /// At least one; the first signs, all verify.
    pub keys: Vec<Key>,
    /// What is asked of others.
    pub mode: Mode,
    /// How far a sender's clock may be off; `None`: clocks are not compared, numbers only grow.
    pub window: Option<Duration>,
}

impl Signing {
    /// The window when none is given: three intervals, at least five seconds.
    #[must_use]
    pub fn window_default(interval: Duration) -> Duration {
        (3 * interval).clamp(Duration::from_secs(5), Duration::from_secs(300))
    }
}

/// Why a trailer is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is none.
    Missing,
    /// Another scheme, or reserved octets that are not zero.
    Malformed,
    /// A key we do not have.
    UnknownKey(u8),
    /// The code is wrong: another key of this id, or not who it says.
    Code,
    /// Its clock is off by so many seconds (positive: behind ours).
    Stale(i64),
    /// Heard before, or older than what was heard.
    Replay,
}

impl Refusal {
    /// The name of its counter, stable.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "auth-missing",
            Self::Malformed => "auth-malformed",
            Self::UnknownKey(_) => "auth-unknown-key",
            Self::Code => "auth-hmac",
            Self::Stale(_) => "auth-stale",
            Self::Replay => "auth-replay",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("not signed: it has no key, or mode receive-only"),
            Self::Malformed => f.write_str("signed in a way that is not HMAC-SHA256"),
            Self::UnknownKey(id) => write!(f, "signed with key {id}, which is not in our file"),
            Self::Code => f.write_str("signature is wrong: its key differs from ours"),
            Self::Stale(seconds @ 0..) => {
                write!(
                    f,
                    "signed {seconds} s ago: a repeated advert, or clocks differ"
                )
            }
            Self::Stale(seconds) => {
                write!(f, "signed {} s in the future: clocks differ", -seconds)
            }
            Self::Replay => f.write_str("signed advert that was heard before"),
        }
    }
}

/// The time of day as this router counts it.
#[derive(Clone, Copy, Debug)]
struct Clock {
    at: Instant,
    /// Since 1970, at `at`.
    time: Duration,
    /// What the system's clock said at `at`, when it has jumped.
    jumped: Option<Duration>,
}

impl Clock {
    fn observe(&mut self, now: Instant, system: Duration) {
        let time = self.read(now);
        self.at = now;
        let drifted = time.abs_diff(system) <= DRIFT_MAX;
        self.time = if drifted { system } else { time };
        self.jumped = (!drifted).then_some(system);
    }

    fn read(&self, now: Instant) -> Duration {
        self.time + now.saturating_duration_since(self.at)
    }
}

#[derive(Clone, Copy, Debug)]
struct Sender {
    address: IpAddr,
    sequence: u64,
    heard: Instant,
}

/// What a virtual router remembers about time and senders.
#[derive(Clone, Debug, Default)]
pub(super) struct Signer {
    clock: Option<Clock>,
    /// The last number that was sent.
    sequence: u64,
    senders: Vec<Sender>,
}

impl Signer {
    /// The system's clock says `system` since 1970.
    pub fn set_clock(&mut self, now: Instant, system: Duration) {
        match &mut self.clock {
            Some(clock) => clock.observe(now, system),
            None => {
                self.clock = Some(Clock {
                    at: now,
                    time: system,
                    jumped: None,
                });
            }
        }
    }

    /// The last number that was sent.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Another process has sent `sequence`.
    pub fn go_on_after(&mut self, sequence: u64) {
        self.sequence = sequence;
    }

    /// What the next advert is signed with: the time, or one more than the last number where the
    /// clock stood. Numbers far ahead of the clock would be refused, so they begin anew.
    pub fn stamp<'s>(&mut self, now: Instant, signing: &'s Signing) -> Option<Stamp<'s>> {
        if signing.mode == Mode::ReceiveOnly {
            return None;
        }
        let key = signing.keys.first()?;
        let clock = self.clock.map_or(0, |clock| number(clock.read(now)));
        let ahead = seconds_between(self.sequence, clock);
        let stranded = signing.window.is_some_and(|window| ahead > whole(window));
        self.sequence = match is_after(clock, self.sequence) || stranded {
            true => clock,
            false => self.sequence.wrapping_add(1),
        };
        Some(Stamp {
            key_id: key.id,
            key: &key.octets,
            sequence: self.sequence,
        })
    }

    /// Judges the trailer of an advert from `source`. The answer is how many seconds its clock is
    /// behind ours.
    pub fn check(
        &mut self,
        now: Instant,
        signing: &Signing,
        source: IpAddr,
        (advert, trailer): (&Advert<'_>, Option<&Trailer<'_>>),
    ) -> Result<i64, Refusal> {
        let Some(trailer) = trailer else {
            return match signing.mode {
                Mode::Enforce => Err(Refusal::Missing),
                Mode::ReceiveOnly | Mode::Permissive => Ok(0),
            };
        };
        if !trailer.is_well_formed() {
            return Err(Refusal::Malformed);
        }
        let (behind, jumped) = self.nearness(now, signing.window, trailer.sequence)?;
        let key = signing.keys.iter().find(|key| key.id == trailer.key_id);
        let key = key.ok_or(Refusal::UnknownKey(trailer.key_id))?;
        if !trailer.verify(&key.octets, Version::V3, advert.vrid, source) {
            return Err(Refusal::Code);
        }
        self.raise_mark(now, signing.window, source, trailer.sequence)?;
        if let (true, Some(clock)) = (jumped, &mut self.clock) {
            clock.time = clock.jumped.take().unwrap_or(clock.time);
        }
        Ok(behind)
    }

    /// Seconds that `sequence` is behind the clock, and whether only the jumped one fits.
    fn nearness(
        &self,
        now: Instant,
        window: Option<Duration>,
        sequence: u64,
    ) -> Result<(i64, bool), Refusal> {
        let (Some(window), Some(clock)) = (window, self.clock) else {
            return Ok((0, false));
        };
        let behind = |time| seconds_between(number(time), sequence);
        let first = behind(clock.read(now));
        if first.abs() <= whole(window) {
            return Ok((first, false));
        }
        let since = now.saturating_duration_since(clock.at);
        let jumped = clock.jumped.map(|time| behind(time + since));
        match jumped.filter(|seconds| seconds.abs() <= whole(window)) {
            Some(seconds) => Ok((seconds, true)),
            None => Err(Refusal::Stale(first)),
        }
    }

    /// Each number counts once. A mark outside the window orders only what the window refuses, so
    /// it is forgotten: the sender's clock was put right.
    fn raise_mark(
        &mut self,
        now: Instant,
        window: Option<Duration>,
        source: IpAddr,
        sequence: u64,
    ) -> Result<(), Refusal> {
        let clock = self.clock.map(|clock| number(clock.read(now)));
        let known = self.senders.iter_mut().find(|one| one.address == source);
        if let Some(sender) = known {
            let expired = window.zip(clock).is_some_and(|(window, clock)| {
                seconds_between(clock, sender.sequence).abs() > whole(window)
            });
            if !expired && !is_after(sequence, sender.sequence) {
                return Err(Refusal::Replay);
            }
            (sender.sequence, sender.heard) = (sequence, now);
            return Ok(());
        }
        let sender = Sender {
            address: source,
            sequence,
            heard: now,
        };
        if self.senders.len() < SENDERS_MAX {
            self.senders.push(sender);
        } else if let Some(oldest) = self.senders.iter_mut().min_by_key(|one| one.heard) {
            *oldest = sender;
        }
        Ok(())
    }
}

/// A time as a sequence number: seconds, 1/65536 of one, counter 0.
fn number(time: Duration) -> u64 {
    let fraction = (u64::from(time.subsec_nanos()) << 16) / 1_000_000_000;
    (time.as_secs() << 32) | (fraction << 16)
}

/// Serial number arithmetic (RFC 1982): the seconds wrap in 2106.
fn is_after(one: u64, other: u64) -> bool {
    one.wrapping_sub(other).cast_signed() > 0
}

fn seconds_between(one: u64, other: u64) -> i64 {
    let seconds = |number: u64| u32::try_from(number >> 32).unwrap_or(u32::MAX);
    let difference = seconds(one).wrapping_sub(seconds(other));
    i64::from(difference.cast_signed())
}

fn whole(window: Duration) -> i64 {
    i64::try_from(window.as_secs()).unwrap_or(i64::MAX)
}
