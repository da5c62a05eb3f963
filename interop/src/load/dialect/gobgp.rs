//! GoBGP: one TOML table per neighbor.
//!
//! It has no kernel and no delays to switch off; sessions take no options but their timers.

use std::fmt::Write as _;

use super::{ASN, HOLD_TIME_S, Setup};
use crate::load::ground::LOCAL;

pub(super) fn config(setup: &Setup) -> String {
    let mut text =
        format!("[global.config]\n  as = {ASN}\n  router-id = \"{LOCAL}\"\n  port = 179\n");
    for (address, asn) in &setup.neighbors {
        let _ = write!(
            text,
            "[[neighbors]]\n  [neighbors.config]\n    neighbor-address = \"{address}\"\n    \
             peer-as = {asn}\n  [neighbors.timers.config]\n    hold-time = {HOLD_TIME_S}\n    \
             keepalive-interval = {}\n    idle-hold-time-after-reset = 1\n  \
             [neighbors.transport.config]\n    passive-mode = true\n",
            HOLD_TIME_S / 3
        );
        if setup.reflector {
            let _ = write!(
                text,
                "  [neighbors.route-reflector.config]\n    route-reflector-client = true\n    \
                 route-reflector-cluster-id = \"{LOCAL}\"\n"
            );
        }
        text += "  [[neighbors.afi-safis]]\n    [neighbors.afi-safis.config]\n      \
                 afi-safi-name = \"ipv4-unicast\"\n";
    }
    text
}
