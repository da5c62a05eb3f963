//! BIRD 2 and 3: one protocol per neighbor from one template.
//!
//! `protocol direct` brings in the link, else internal next hops never resolve. The waits after a
//! failed session are at their least, so that a speaker that comes back at once is let in.

use std::fmt::Write as _;

use super::{ASN, HOLD_TIME_S, Setup};
use crate::load::ground::LOCAL;

pub(super) fn config(setup: &Setup, threads: Option<u16>) -> String {
    let mut text = String::new();
    if let Some(threads) = threads {
        let _ = writeln!(text, "threads {threads};");
    }
    let sets = if setup.as_sets { "allow as sets; " } else { "" };
    let reflect = if setup.reflector { "rr client; " } else { "" };
    let _ = write!(
        text,
        "log stderr {{ warning, error, fatal, bug }};\nrouter id {LOCAL};\n\
         protocol device {{ scan time 60; }}\nprotocol direct {{ ipv4; }}\n\
         template bgp speaker {{\n  local {LOCAL} as {ASN};\n  direct; passive; {reflect}{sets}\n  \
         hold time {HOLD_TIME_S};\n  graceful restart off;\n  error wait time 1, 1;\n  \
         connect delay time 1;\n  ipv4 {{ import all; export where source = RTS_BGP; }};\n}}\n"
    );
    if setup.kernel {
        text += "protocol kernel { ipv4 { import none; export where source = RTS_BGP; }; }\n";
    }
    for (index, (address, asn)) in setup.neighbors.iter().enumerate() {
        let _ = writeln!(
            text,
            "protocol bgp n{index} from speaker {{ neighbor {address} as {asn}; }}"
        );
    }
    text
}
