//! OpenBGPD: one group of passive neighbors.
//!
//! Next hops are checked against the kernel's table, where the link is. There is no delay to switch
//! off: what it gathers before it sends is its own affair.

use std::fmt::Write as _;

use super::{ASN, HOLD_TIME_S, Setup};
use crate::load::ground::LOCAL;

pub(super) fn config(setup: &Setup) -> String {
    let kernel = if setup.kernel { "yes" } else { "no" };
    let mut text = format!(
        "AS {ASN}\nrouter-id {LOCAL}\nfib-update {kernel}\nholdtime {HOLD_TIME_S}\n\
         group \"speakers\" {{\n  passive\n  announce IPv4 unicast\n"
    );
    if setup.reflector {
        text += "  route-reflector\n";
    }
    for (address, asn) in &setup.neighbors {
        let _ = writeln!(text, "  neighbor {address} {{ remote-as {asn} }}");
    }
    text + "}\nallow from any\nallow to any\n"
}
