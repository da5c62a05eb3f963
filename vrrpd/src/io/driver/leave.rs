//! Leaving for a successor, and finding what a predecessor left.
//!
//! The state is written when an instance has moved, at most every [`WRITE_GAP`], and every
//! [`WRITE_EVERY`] for the counters; while it is out of date there is no sign of life, so that
//! nobody inherits what is no longer true. Asked to leave (SIGUSR2), the driver refreshes the
//! addresses, lets every master say once more that it is there, writes the state and ends: the
//! next process has two seconds, or two intervals, whatever is less.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rib::netlink::hosts::HostAddress;

use super::Driver;
use crate::io::estate::{EstateFile, Found};
use crate::io::holder::{ADDRESS_PROTOCOL, Put};
use crate::io::keeper::Order;

/// The state is written at most so often.
const WRITE_GAP: Duration = Duration::from_millis(100);
/// And at least so often.
const WRITE_EVERY: Duration = Duration::from_secs(10);
/// Signs of life are left at most so often: less than the shortest interval.
const BEAT_GAP: Duration = Duration::from_millis(5);

/// The files, and what is yet to be written to them.
#[derive(Debug)]
pub struct Estate {
    file: EstateFile,
    /// The state on file is not that of the instances.
    outdated: bool,
    written: Option<Instant>,
    beaten: Option<Instant>,
}

impl Estate {
    /// With nothing written yet.
    #[must_use]
    pub fn new(file: EstateFile) -> Self {
        Self {
            file,
            outdated: true,
            written: None,
            beaten: None,
        }
    }

    /// What an earlier process left.
    pub fn take(&mut self) -> Option<Found> {
        self.file.take()
    }

    /// When the state is to be written next.
    fn due(&self) -> Option<Instant> {
        let gap = if self.outdated {
            WRITE_GAP
        } else {
            WRITE_EVERY
        };
        self.written.map(|written| written + gap)
    }
}

impl Driver {
    /// Makes the instances heirs of what was found; they begin with the next picture.
    pub(super) fn inherit(&mut self, found: &Found, addresses: &[HostAddress]) {
        let ours = addresses
            .iter()
            .filter(|one| one.protocol == ADDRESS_PROTOCOL);
        let ours: BTreeSet<Put> = ours.map(|one| (one.index, one.network)).collect();
        let heirs = self
            .shared
            .peek(|node, now| node.inherit(now, &found.instances, (found.gap, &ours)));
        let (all, away) = (found.instances.len(), found.gap.written);
        let away_ms = u64::try_from(found.gap.silent.unwrap_or(away).as_millis());
        let away_ms = away_ms.unwrap_or(u64::MAX);
        tracing::info!(
            away_ms,
            "goes on with {heirs} of {all} virtual routers as they were"
        );
    }

    /// What the heirs hold: it stays on its link.
    pub(super) fn inherited(&self) -> BTreeSet<Put> {
        self.shared.peek(|node, _| {
            let held = node.slots().filter(|(_, slot)| slot.router.is_holding());
            let held = held.filter_map(|(id, _)| Some((id, node.carrier_of(id)?)));
            let puts = held.map(|(id, link)| {
                let networks = node.networks_to_put(id).into_iter();
                networks.map(move |one| (link, one)).collect::<Vec<_>>()
            });
            puts.flatten().collect()
        })
    }

    pub(super) fn still_to_inherit(&self) -> BTreeSet<Put> {
        self.shared.peek(|node, _| node.still_to_inherit())
    }

    /// The links with virtual MACs are found: who has not begun by now starts as anybody does.
    pub(super) fn end_waiting(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        self.shared.peek(|node, _| node.end_inheritance(true));
        self.inform_due = true;
        if let Some(estate) = &mut self.estate {
            // What is on file is still the predecessor's.
            (estate.outdated, estate.written) = (true, None);
        }
        let held = self.inherited();
        let waiting = std::mem::take(&mut self.waiting);
        let gone: Vec<Put> = waiting.difference(&held).copied().collect();
        if !gone.is_empty() {
            self.host.order(Order::Remove(gone));
        }
    }

    /// Something moved: the state on file is out of date.
    pub(super) fn moved(&mut self) {
        if let Some(estate) = &mut self.estate {
            estate.outdated = true;
        }
    }

    /// Writes what is to be written, at the end of a turn.
    pub(super) fn keep_estate(&mut self) {
        let now = self.shared.now();
        let Some(estate) = &mut self.estate else {
            return;
        };
        if estate.due().is_none_or(|due| due <= now) {
            let instances = self.shared.peek(|node, now| node.estate(now));
            estate.file.write(instances, false);
            estate.written = Some(now);
            estate.outdated = false;
        }
        let quiet = estate.beaten.is_none_or(|beaten| now >= beaten + BEAT_GAP);
        if quiet && !estate.outdated {
            estate.file.beat();
            estate.beaten = Some(now);
        }
    }

    /// When [`Driver::keep_estate`] has something to do.
    pub(super) fn estate_due(&self) -> Option<Instant> {
        self.estate.as_ref().and_then(Estate::due)
    }

    /// There is nothing to inherit.
    pub(super) fn end_estate(&mut self) {
        if let Some(estate) = &mut self.estate {
            estate.file.remove();
        }
    }

    /// Whether the loop has ended for the sake of a successor, who waits.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.left
    }

    /// Leaves everything as it is for a successor; the loop is to end.
    pub fn leave(&mut self) {
        if self.stop_by.is_some() {
            return;
        }
        tracing::info!("leaving for a successor: addresses stay");
        for id in self.shared.peek(|node, _| node.lingering()) {
            self.let_go(id);
        }
        self.holder.refresh_now(&mut *self.host, self.shared.now());
        self.shared.peek(|node, now| node.advertise(now));
        self.carry_out();
        if let Some(estate) = &mut self.estate {
            let instances = self.shared.peek(|node, now| node.estate(now));
            estate.file.write(instances, true);
        }
        self.left = true;
    }
}
