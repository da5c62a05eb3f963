//! Graceful restart as far as the session knows it: may the routes of a lost session stay?
//!
//! The machine offers the capability (see `open`) and, when a session ends, says in
//! [`StaleRoutes`] which families' routes the peer asked us to keep and for how long. Keeping,
//! marking and removing them is the speaker's work.
//!
//! RFC 4724 §4.2 keeps routes when the TCP connection is lost, not when a NOTIFICATION was
//! exchanged. RFC 8538 §4 extends that to NOTIFICATIONs and the hold timer when both sides set the
//! N bit, and gives a way out: the Hard Reset (6/9) always removes. What ends a session for good
//! (shutdown, removal, an operator's reset, too many prefixes, a path that BFD calls dead) goes out
//! as a Hard Reset; RFC 8538 §5 leaves the choice open, this is FRR's.

use std::time::Duration;

use proto_codec::afi::Family;
use proto_codec::bgp::Notification;
use proto_codec::bgp::notification::{CeaseSubcode, code};

use super::api::StaleRoutes;
use super::conn::Handshake;
use super::state::DownReason;

/// Whether both sides set the N bit (RFC 8538 §2).
pub(super) fn notifications_covered(handshake: &Handshake) -> bool {
    let ours = handshake
        .local_open
        .graceful_restart()
        .is_some_and(|gr| gr.notification);
    let theirs = handshake
        .negotiated
        .graceful_restart
        .as_ref()
        .is_some_and(|gr| gr.notification);
    ours && theirs
}

/// Which routes may stay after a session with `handshake` ended for `reason`.
pub(super) fn stale_routes(handshake: &Handshake, reason: &DownReason) -> StaleRoutes {
    let Some(offer) = &handshake.negotiated.graceful_restart else {
        return StaleRoutes::default();
    };
    let covered = match reason {
        DownReason::Closed | DownReason::Failed(_) | DownReason::Reconnected => true,
        DownReason::Sent(n) | DownReason::Received(n) => {
            notifications_covered(handshake) && !n.is_hard_reset()
        }
        DownReason::Abandoned => false,
    };
    if !covered {
        return StaleRoutes::default();
    }
    let listed = |family: Family| {
        offer
            .families
            .iter()
            .any(|f| f.afi_safi == family.afi_safi())
    };
    let mut keep = handshake.negotiated.families;
    for (slot, family) in keep.iter_mut().zip(Family::ALL) {
        *slot = *slot && listed(family);
    }
    StaleRoutes {
        keep,
        restart_time: Duration::from_secs(u64::from(offer.restart_time_s)),
    }
}

/// What is really sent for `notification`: wrapped in a Hard Reset where routes must not linger.
pub(super) fn on_the_wire(handshake: &Handshake, notification: Notification) -> Notification {
    const FINAL: [CeaseSubcode; 5] = [
        CeaseSubcode::MaximumPrefixes,
        CeaseSubcode::AdministrativeShutdown,
        CeaseSubcode::PeerDeconfigured,
        CeaseSubcode::AdministrativeReset,
        CeaseSubcode::BfdDown,
    ];
    let is_final = notification.code == code::CEASE
        && FINAL
            .iter()
            .any(|subcode| subcode.value() == notification.subcode);
    if is_final && notifications_covered(handshake) {
        return Notification::hard_reset(&notification);
    }
    notification
}
