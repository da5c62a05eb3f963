//! `wayfare-bgpd`: everything into one peer group.
//!
//! It has no delays to switch off. External neighbors need their policies named (RFC 8212);
//! internal ones get the same, which is their default.

use std::fmt::Write as _;

use super::{ASN, HOLD_TIME_S, Setup};
use crate::load::ground::LOCAL;

pub(super) fn config(setup: &Setup, threads: Option<u16>) -> String {
    let mut text = format!("[router]\nasn = {ASN}\nrouter-id = \"{LOCAL}\"\n");
    if let Some(threads) = threads {
        let _ = write!(text, "\n[engine]\nthreads = {threads}\n");
    }
    if setup.kernel {
        text += "\n[kernel]\n";
    }
    let _ = write!(
        text,
        "\n[[peer-group]]\nname = \"speakers\"\npassive = true\nhold-time = \"{HOLD_TIME_S}s\"\n\
         graceful-restart = \"off\"\nimport = \"accept-all\"\nexport = \"accept-all\"\n"
    );
    if setup.as_sets {
        text += "reject-as-sets = false\n";
    }
    if setup.reflector {
        text += "route-reflector-client = true\n";
    }
    for (address, asn) in &setup.neighbors {
        let _ = write!(
            text,
            "\n[[neighbor]]\naddress = \"{address}\"\nasn = {asn}\npeer-group = \"speakers\"\n"
        );
    }
    text
}
