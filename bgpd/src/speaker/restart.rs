//! When the tables are back after a start.
//!
//! The kernel still holds the routes of the last life. They carry packets while the sessions come
//! up again, and must go once it is known what is true now: when every neighbor has sent its
//! End-of-RIB (RFC 4724 §2), or at the latest after [`RESYNC_TIME_MAX`]. Too early would cut
//! routes that are about to be learned; too late only keeps routes that lead where they led before.
//!
//! A neighbor that does not announce graceful restart need not send End-of-RIB. It counts as
//! complete when it has been quiet for [`QUIET_TIME`] after its session came up. Neighbors that are
//! not there (shut down, unreachable, dynamic) are waited for until the deadline. With
//! `[kubernetes]` it is not even known who they are before the objects are: nothing is complete
//! while End-of-RIB waits for them.

use std::time::{Duration, Instant};

use proto_codec::afi::Family;

use super::peers::{Entry, Hold, Up};
use super::port::Action;
use super::{Due, Speaker};

/// Longest wait for the neighbors. A router that boots needs a minute; after two, it is down.
pub const RESYNC_TIME_MAX: Duration = Duration::from_secs(120);
/// A neighbor that sends no End-of-RIB is complete after this much silence.
const QUIET_TIME: Duration = Duration::from_secs(5);
/// How often silence is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Whether the tables are back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Resync {
    /// Waiting until then at most.
    Waiting(Instant),
    /// They are.
    #[default]
    Done,
}

impl Resync {
    /// Whether the tables are back.
    #[must_use]
    pub fn is_done(self) -> bool {
        self == Self::Done
    }
}

impl Speaker {
    /// Starts to wait for the tables, if a kernel table depends on it.
    pub(super) fn begin_resync(&mut self, now: Instant) {
        if self.config.kernel.is_none() {
            return;
        }
        self.resync = Resync::Waiting(now + RESYNC_TIME_MAX);
        self.deadlines.set(Due::Resync, Some(now + LOOK_EVERY));
    }

    /// Looks whether everybody is done.
    pub(super) fn look_at_resync(&mut self, now: Instant) {
        let Resync::Waiting(until) = self.resync else {
            return;
        };
        if now >= until {
            self.finish_resync(now, "not all neighbors came back in time");
        } else if self.nobody_expected() && self.peers.iter().all(|entry| is_complete(entry, now)) {
            self.finish_resync(now, "all neighbors have sent their tables");
        } else {
            self.deadlines
                .set(Due::Resync, Some((now + LOOK_EVERY).min(until)));
        }
    }

    /// Listen ranges bring neighbors nobody can count; with them the deadline decides. Those that
    /// the cluster names are known with its objects.
    fn nobody_expected(&self) -> bool {
        self.config.listen_ranges.is_empty() && !self.waits_for_objects()
    }

    fn finish_resync(&mut self, now: Instant, why: &str) {
        self.resync = Resync::Done;
        // From here on our OPENs no longer say that we have just restarted.
        for slot in self.peers.slots() {
            let Some(neighbor) = self.peers.get(slot).map(|entry| entry.neighbor.clone()) else {
                continue;
            };
            let config = self.machine_config(&neighbor);
            if let Some(entry) = self.peers.get_mut(slot) {
                entry.peer.update_config(now, config);
            }
        }
        self.deadlines.set(Due::Resync, None);
        self.rib.hand_over();
        self.handing_over = true;
        self.out.notice(None, format!("tables are complete: {why}"));
    }

    /// Says that the tables are complete when all of their routes have been handed over.
    pub(super) fn poll_resync_complete(&mut self) -> Option<Action> {
        let complete = self.handing_over && self.rib.is_handed_over();
        self.handing_over &= !complete;
        complete.then_some(Action::ResyncComplete)
    }
}

fn is_complete(entry: &Entry, now: Instant) -> bool {
    match &entry.up {
        Some(up) => Family::ALL
            .iter()
            .all(|family| family_complete(up, *family, now)),
        None => entry.hold != Hold::None,
    }
}

fn family_complete(up: &Up, family: Family, now: Instant) -> bool {
    let negotiated = &up.established.negotiated;
    if !family.pick(negotiated.families) || family.pick(up.end_of_rib) {
        return true;
    }
    let announces_restart = up.established.remote_open.graceful_restart().is_some();
    !announces_restart && now.saturating_duration_since(up.last_update) >= QUIET_TIME
}
