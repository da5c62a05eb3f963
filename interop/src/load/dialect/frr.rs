//! FRR's bgpd without zebra, typed into `vtysh`.
//!
//! Its default delays would cost it most of its figures (`coalesce-time` alone seconds), so all of
//! them are off; the input queue is unlimited, because a speaker that never pauses overruns it.

use std::fmt::Write as _;

use super::{ASN, HOLD_TIME_S, Setup};
use crate::load::ground::LOCAL;

pub(super) fn config(setup: &Setup) -> String {
    let mut text = format!(
        "frr defaults datacenter\nbgp input-queue-limit 4294967295\n\
         bgp output-queue-limit 4294967295\nrouter bgp {ASN}\n bgp router-id {LOCAL}\n \
         no bgp ebgp-requires-policy\n no bgp default ipv4-unicast\n \
         no bgp network import-check\n no bgp enforce-first-as\n no bgp suppress-duplicates\n \
         bgp graceful-restart-disable\n coalesce-time 0\n \
         neighbor SPEAKERS peer-group\n neighbor SPEAKERS passive\n \
         neighbor SPEAKERS advertisement-interval 0\n \
         neighbor SPEAKERS timers {} {HOLD_TIME_S}\n",
        HOLD_TIME_S / 3
    );
    if setup.as_sets {
        text += " no bgp reject-as-sets\n";
    }
    for (address, asn) in &setup.neighbors {
        let _ = write!(
            text,
            " neighbor {address} remote-as {asn}\n neighbor {address} peer-group SPEAKERS\n"
        );
    }
    text += " address-family ipv4 unicast\n  neighbor SPEAKERS activate\n";
    if setup.reflector {
        text += "  neighbor SPEAKERS route-reflector-client\n";
    }
    text + " exit-address-family\nexit\n"
}
