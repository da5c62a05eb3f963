//! Adverts of others: RFC 9568 §6.4.2 and §6.4.3, RFC 3768 §6.4.2 and §6.4.3.
//!
//! | state | priority 0 | better, or equal | worse |
//! |---|---|---|---|
//! | Backup | down timer = skew | learn, restart the down timer | preempt: ignore; else as better |
//! | Master | answer at once | better, or equal with higher address: Backup; else answer | answer |
//!
//! RFC 3768 is silent on answering a worse master; keepalived and RFC 9568 answer at once, which
//! ends a double mastership one interval earlier, so version 2 does so too. Answers are limited to
//! eight per interval and their announcements to ten per second: keepalived's lack of a limit made
//! 2,300 gratuitous ARPs in 3.6 s on a link that worked one way.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use proto_codec::vrrp::trailer::Trailer;
use proto_codec::vrrp::{Advert, ChecksumForm, Envelope, PRIORITY_OWNER, Version};

use super::super::conflict::{ConflictKind, TOLD_EVERY};
use super::super::event::{Event, State, Why};
use super::super::ladder::{self, Discard};
use super::health::PRIORITY_LAST_RESORT;
use super::{Master, Router};

/// Answers to other masters per interval.
const ANSWERS_PER_INTERVAL: u32 = 8;

/// Addresses of another list that are told: an advert holds 255.
const ADDRESSES_TOLD: usize = 8;

/// Time between announcements that answer another master.
const ANNOUNCE_GAP: Duration = Duration::from_millis(100);

impl Router {
    /// Takes an advert for this virtual router off the wire. Whatever is wrong with it, neither a
    /// timer nor the state changes.
    pub fn handle_advert(&mut self, now: Instant, envelope: &Envelope, message: &[u8]) {
        let source = envelope.source;
        let is_own = |one| self.primary == Some(one) || self.own.contains(&one);
        let judged = ladder::judge(&self.settings, is_own, envelope, message);
        let proven = judged.and_then(|(advert, trailer)| {
            self.prove(now, source, (&advert, trailer.as_ref()))?;
            Ok(advert)
        });
        match proven {
            Ok(advert) => self.heard(now, source, &advert),
            Err(reason) => self.discard(now, source, reason),
        }
    }

    /// The last rung, and a word about clocks before they are too far apart.
    fn prove(
        &mut self,
        now: Instant,
        source: IpAddr,
        signed: (&Advert<'_>, Option<&Trailer<'_>>),
    ) -> Result<(), Discard> {
        let Some(signing) = &self.settings.signing else {
            return Ok(());
        };
        let window = signing.window.map(|window| window.as_secs());
        let behind = self.signer.check(now, signing, source, signed);
        let behind = behind.map_err(Discard::Signature)?;
        if let Some(window) = window.filter(|window| behind.unsigned_abs() > window / 2) {
            self.conflict(now, source, ConflictKind::Clock, || {
                let side = if behind > 0 { "behind" } else { "before" };
                let seconds = behind.unsigned_abs();
                format!("its clock is {seconds} s {side} ours; beyond {window} s it is not heard")
            });
        }
        Ok(())
    }

    fn discard(&mut self, now: Instant, source: IpAddr, reason: Discard) {
        let name = reason.name();
        *self.stats.discarded.entry(name).or_default() += 1;
        if reason.is_from_the_segment() {
            self.expire_conflicts(now);
            let kind = ConflictKind::Discarded(name);
            self.conflict(now, source, kind, || format!("adverts discarded: {reason}"));
        }
        if let Some(count) = self.worth_telling(now, name) {
            self.events.push_back(Event::Discarded {
                source,
                reason,
                count,
            });
        }
    }

    /// Counts what is told at most once per [`TOLD_EVERY`]; `Some` with how many since, when it is.
    pub(super) fn worth_telling(&mut self, now: Instant, name: &'static str) -> Option<u64> {
        match self.told.get_mut(name) {
            Some((told, count)) if now.saturating_duration_since(*told) < TOLD_EVERY => {
                *count += 1;
                None
            }
            other => {
                let count = other.map_or(0, |(_, count)| *count) + 1;
                self.told.insert(name, (now, 0));
                Some(count)
            }
        }
    }

    fn heard(&mut self, now: Instant, source: IpAddr, advert: &Advert<'_>) {
        self.expire_conflicts(now);
        self.stats.adverts_received += 1;
        let releases = advert.priority == 0;
        self.stats.priority_zero_received += u64::from(releases);
        self.compare(now, source, advert);
        if self.awaiting_successor && self.cannot_be_successor(now, advert.priority) {
            return;
        }
        if self.awaiting_successor && !releases {
            self.successor_heard(now);
        }
        self.yield_when_late(now);
        match self.state {
            State::Initialize => {}
            State::Backup => self.backup_hears(now, source, advert),
            State::Master => self.master_hears(now, source, advert),
        }
    }

    fn backup_hears(&mut self, now: Instant, source: IpAddr, advert: &Advert<'_>) {
        if advert.priority == 0 {
            self.timers.down = Some(now + self.patience_after_release());
            self.pending = Some(Why::MasterReleased(source));
            return;
        }
        self.master = Some(Master {
            address: source,
            priority: advert.priority,
            interval: advert.interval,
            heard: now,
        });
        let worse = advert.priority < self.effective_priority();
        if worse && self.preempts(now, advert.priority) {
            self.pending = Some(Why::Preempt(source));
            return;
        }
        if !worse {
            self.worse_since = None;
        }
        self.together.content();
        self.pending = None;
        self.excused = false;
        self.learn(advert);
        let (_, down_interval) = self.intervals();
        self.timers.down = Some(now + down_interval);
    }

    /// Preempt_Mode, with the delay counted from when the worse master was first heard. The owner
    /// of the addresses always preempts (RFC 9568 §6.1), except when the operator released it. Who
    /// does not know whether it is healthy displaces nobody; who does displaces a last resort.
    fn preempts(&mut self, now: Instant, theirs: u8) -> bool {
        if self.settings.is_owner() {
            return !self.released;
        }
        if self.released || self.health.unsure {
            return false;
        }
        if theirs == PRIORITY_LAST_RESORT {
            return true;
        }
        if !self.settings.preempt {
            return false;
        }
        let since = *self.worse_since.get_or_insert(now);
        now.saturating_duration_since(since) >= self.settings.preempt_delay
    }

    fn master_hears(&mut self, now: Instant, source: IpAddr, advert: &Advert<'_>) {
        let own = self.effective_priority();
        if advert.priority == 0 {
            self.answer(now);
            self.timers.advert = Some(now + self.settings.interval);
            return;
        }
        if advert.priority == PRIORITY_OWNER && own == PRIORITY_OWNER {
            self.conflict(now, source, ConflictKind::TwoOwners, || {
                "claims to own the addresses, as we do (priority 255)".to_owned()
            });
        }
        let equal = advert.priority == own;
        // Addresses compare as unsigned numbers in network order.
        let higher_address = self.primary.is_some_and(|primary| source > primary);
        if advert.priority > own || (equal && higher_address) {
            let why = match equal {
                true => Why::HigherAddress(source),
                false => Why::HigherPriority {
                    peer: source,
                    priority: advert.priority,
                },
            };
            self.learn(advert);
            self.unsay();
            self.become_backup(now, why);
            self.master = Some(Master {
                address: source,
                priority: advert.priority,
                interval: advert.interval,
                heard: now,
            });
            self.successor_heard(now);
            return;
        }
        let priority = advert.priority;
        self.conflict(now, source, ConflictKind::TwoMasters, || {
            format!("is master too, with priority {priority}: it does not hear us or refuses us")
        });
        self.answer(now);
        if !self.announced_lately(now) {
            self.announce(now);
        }
    }

    /// The link has just been told: an answer to another master, or the next of a burst, would be
    /// one too many.
    pub(super) fn announced_lately(&self, now: Instant) -> bool {
        self.last_announced
            .is_some_and(|last| now.saturating_duration_since(last) < ANNOUNCE_GAP)
    }

    /// An advert at once, unless one has just gone out.
    fn answer(&mut self, now: Instant) {
        let gap = self.settings.interval / ANSWERS_PER_INTERVAL;
        let quiet = self
            .last_sent
            .is_none_or(|last| now.saturating_duration_since(last) >= gap);
        if quiet {
            self.send_adverts(now, self.effective_priority());
        }
    }

    /// Version 3 takes the master's interval as its own measure; version 2 never does.
    fn learn(&mut self, advert: &Advert<'_>) {
        self.master_interval = match self.settings.version {
            Version::V2 => self.settings.interval,
            Version::V3 => advert.interval,
        };
    }

    /// What differs without being a reason to discard.
    fn compare(&mut self, now: Instant, source: IpAddr, advert: &Advert<'_>) {
        let three = self.settings.version == Version::V3;
        if advert.interval != self.settings.interval {
            let (theirs, ours) = (advert.interval, self.settings.interval);
            self.conflict(now, source, ConflictKind::Interval, || {
                format!(
                    "advertises every {} ms, we every {} ms",
                    theirs.as_millis(),
                    ours.as_millis()
                )
            });
        }
        if three && !self.settings.ipv6() && advert.checksum != self.settings.checksum {
            self.stats.other_checksum_received += 1;
            let theirs = advert.checksum;
            self.conflict(now, source, ConflictKind::Checksum, || {
                let strict = match theirs {
                    ChecksumForm::Rfc5798 => "keepalived and FRR refuse ours",
                    ChecksumForm::Rfc9568 => "a strict router refuses ours",
                };
                format!("sends checksum {}; {strict}", theirs.word())
            });
        }
        let ours = &self.settings.addresses;
        if !advert.addresses.iter().eq(ours.iter().copied()) {
            let same_set = advert.addresses.len() == ours.len()
                && advert.addresses.iter().all(|one| ours.contains(&one));
            if !same_set {
                let shared = advert.addresses.iter().any(|one| ours.contains(&one));
                let kind = match shared {
                    true => ConflictKind::Addresses,
                    false => ConflictKind::Vrid,
                };
                self.conflict(now, source, kind, || {
                    let some = advert.addresses.iter().take(ADDRESSES_TOLD);
                    let theirs: Vec<_> = some.map(|one| one.to_string()).collect();
                    let more = advert.addresses.len().saturating_sub(ADDRESSES_TOLD);
                    let more = match more {
                        0 => String::new(),
                        more => format!(" and {more} more"),
                    };
                    let theirs = theirs.join(" ");
                    match shared {
                        true => format!("has other addresses: {theirs}{more}"),
                        false => format!("has our vrid and none of our addresses: {theirs}{more}"),
                    }
                });
            }
        }
    }

    fn conflict(
        &mut self,
        now: Instant,
        peer: IpAddr,
        kind: ConflictKind,
        detail: impl FnOnce() -> String,
    ) {
        let seen = self.conflicts.see(now, peer, kind, detail);
        self.events.extend(seen.map(Event::Conflict));
    }
}
