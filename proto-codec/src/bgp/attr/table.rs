//! RFC 7606 as a table: one row per attribute with its flags, length rule, scope and reaction.
//!
//! The decoder is a loop over attributes that looks up the row and obeys it; there is no other
//! place where "what if it is malformed" is decided. A row answers, in this order:
//! 1. *scope*: may this peer send it at all? If not, the attribute is discarded unread (RFC 7606
//!    §7.5, §7.9, §7.10; RFC 6793 §6; RFC 7311 §3.4; RFC 8669 §4; RFC 9552 §8.2.2).
//! 2. *flags*: Optional and Transitive as the RFC defines them; Partial only where it is legal
//!    (RFC 4271 §4.3, RFC 7606 §3 c). Mismatch: the row's flag reaction, normally
//!    treat-as-withdraw.
//! 3. *length* and *value*: the row's reaction.
//!
//! Attributes without a row are unknown: RFC 4271 §9 says what happens by their flags.

use std::sync::LazyLock;

use super::check::{PathRules, check_value};
use super::flag;
use super::read::Attributes;
use crate::error::ErrorKind;

const WELL_KNOWN: u8 = flag::TRANSITIVE;
const OPTIONAL: u8 = flag::OPTIONAL;
const OPTIONAL_TRANSITIVE: u8 = flag::OPTIONAL | flag::TRANSITIVE;

/// Who may send an attribute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// Any peer.
    Any,
    /// Internal peers; from others it is discarded.
    Internal,
    /// Peers with two-octet AS numbers; from others it is discarded (RFC 6793 §4.1).
    TwoOctet,
    /// Sessions with AIGP enabled (RFC 7311 §3.4).
    Aigp,
    /// Nobody: what it is for is not implemented and it must not be passed on.
    Nobody,
}

/// The length rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Length {
    /// Exactly this.
    Exact(usize),
    /// A multiple of this, and not zero.
    MultipleOf(usize),
    /// 6 with two-octet AS numbers, 8 with four-octet ones (RFC 6793 §4.1).
    Aggregator,
    /// Whatever [`Check`] makes of it.
    Any,
}

/// What the value is checked for beyond its length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Check {
    /// Nothing.
    None,
    /// 0 to 2, RFC 4271 §5.1.1.
    Origin,
    /// Segments of RFC 4271 §4.3 b; AS 0 (RFC 7607); sets (RFC 9774).
    AsPath,
    /// AS 0, RFC 7607 §2.
    Aggregator,
    /// TLVs with a two-octet length that includes the three octets of the head, RFC 7311 §3.
    Aigp,
    /// TLVs with one-octet type and two-octet length, RFC 8669 §3.
    PrefixSid,
    /// Tunnel TLVs and their sub-TLVs, RFC 9012 §2.
    TunnelEncap,
    /// Never well-formed here: the attribute may only come when a capability we do not offer was
    /// negotiated.
    Refused,
}

/// The reaction to a malformed attribute; resets are the MP attributes' alone and made where their
/// prefixes are decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Leave the attribute out.
    Discard,
    /// Treat the routes as withdrawn.
    Withdraw,
    /// Close the session (RFC 7606 §7.11).
    Reset,
}

/// One attribute's rules.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Attribute type code.
    pub code: u8,
    /// Name in the IANA registry.
    pub name: &'static str,
    /// Optional and Transitive bits.
    pub flags: u8,
    /// Who may send it.
    pub scope: Scope,
    /// How long it may be.
    pub length: Length,
    /// What its value must satisfy.
    pub check: Check,
    /// When length or value are wrong.
    pub malformed: Action,
    /// When flags are wrong.
    pub bad_flags: Action,
}

const fn row(code: u8, name: &'static str, flags: u8, length: Length, check: Check) -> Row {
    Row {
        code,
        name,
        flags,
        scope: Scope::Any,
        length,
        check,
        malformed: Action::Withdraw,
        bad_flags: Action::Withdraw,
    }
}

impl Row {
    const fn from(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }

    const fn discard(self) -> Self {
        Self {
            malformed: Action::Discard,
            ..self
        }
    }

    const fn discard_always(self) -> Self {
        Self {
            malformed: Action::Discard,
            bad_flags: Action::Discard,
            ..self
        }
    }

    const fn reset(self) -> Self {
        Self {
            malformed: Action::Reset,
            bad_flags: Action::Reset,
            ..self
        }
    }
}

use Length::{Exact, MultipleOf};

/// The table. Comments name the section that gives the reaction.
pub static ROWS: [Row; 23] = [
    row(1, "ORIGIN", WELL_KNOWN, Exact(1), Check::Origin), // RFC 7606 §7.1
    row(2, "AS_PATH", WELL_KNOWN, Length::Any, Check::AsPath), // §7.2
    row(3, "NEXT_HOP", WELL_KNOWN, Exact(4), Check::None), // §7.3; the address: see update.rs
    row(4, "MULTI_EXIT_DISC", OPTIONAL, Exact(4), Check::None), // §7.4
    row(5, "LOCAL_PREF", WELL_KNOWN, Exact(4), Check::None).from(Scope::Internal), // §7.5
    row(6, "ATOMIC_AGGREGATE", WELL_KNOWN, Exact(0), Check::None).discard(), // §7.6
    row(
        7,
        "AGGREGATOR",
        OPTIONAL_TRANSITIVE,
        Length::Aggregator,
        Check::Aggregator,
    )
    .discard(), // §7.7
    row(
        8,
        "COMMUNITIES",
        OPTIONAL_TRANSITIVE,
        MultipleOf(4),
        Check::None,
    ), // §7.8
    row(9, "ORIGINATOR_ID", OPTIONAL, Exact(4), Check::None).from(Scope::Internal), // §7.9
    row(10, "CLUSTER_LIST", OPTIONAL, MultipleOf(4), Check::None).from(Scope::Internal), // §7.10
    row(14, "MP_REACH_NLRI", OPTIONAL, Length::Any, Check::None).reset(), // §7.11
    row(15, "MP_UNREACH_NLRI", OPTIONAL, Length::Any, Check::None).reset(), // §7.12
    row(
        16,
        "EXTENDED COMMUNITIES",
        OPTIONAL_TRANSITIVE,
        MultipleOf(8),
        Check::None,
    ), // §7.14
    // RFC 6793 §6
    row(
        17,
        "AS4_PATH",
        OPTIONAL_TRANSITIVE,
        Length::Any,
        Check::AsPath,
    )
    .from(Scope::TwoOctet)
    .discard(),
    row(
        18,
        "AS4_AGGREGATOR",
        OPTIONAL_TRANSITIVE,
        Exact(8),
        Check::Aggregator,
    )
    .from(Scope::TwoOctet)
    .discard(),
    // RFC 9012 §13
    row(
        23,
        "TUNNEL_ENCAPSULATION",
        OPTIONAL_TRANSITIVE,
        Length::Any,
        Check::TunnelEncap,
    ),
    // RFC 7606 §7.15
    row(
        25,
        "IPV6 EXTENDED COMMUNITIES",
        OPTIONAL_TRANSITIVE,
        MultipleOf(20),
        Check::None,
    ),
    // RFC 7311 §3.2 and §3.4
    row(26, "AIGP", OPTIONAL, Length::Any, Check::Aigp)
        .from(Scope::Aigp)
        .discard_always(),
    // RFC 9552 §8.2.2
    row(29, "BGP-LS", OPTIONAL, Length::Any, Check::None)
        .from(Scope::Nobody)
        .discard_always(),
    // RFC 8092 §6
    row(
        32,
        "LARGE_COMMUNITY",
        OPTIONAL_TRANSITIVE,
        MultipleOf(12),
        Check::None,
    ),
    // RFC 8205 §5.2: never negotiated here, so it can only be an error.
    row(33, "BGPsec_PATH", OPTIONAL, Length::Any, Check::Refused),
    // RFC 9234 §5
    row(
        35,
        "ONLY_TO_CUSTOMER",
        OPTIONAL_TRANSITIVE,
        Exact(4),
        Check::None,
    ),
    // RFC 8669 §6; from outside the SR domain §4
    row(
        40,
        "BGP Prefix-SID",
        OPTIONAL_TRANSITIVE,
        Length::Any,
        Check::PrefixSid,
    )
    .from(Scope::Internal)
    .discard(),
];

// Rows by type code, so that the decoder's lookup is one load.
static INDEX: LazyLock<[Option<&'static Row>; 64]> = LazyLock::new(|| {
    let mut index = [None; 64];
    for row in &ROWS {
        if let Some(place) = index.get_mut(usize::from(row.code)) {
            *place = Some(row);
        }
    }
    index
});

/// The row of a type code.
#[inline]
pub fn find(code: u8) -> Option<&'static Row> {
    *INDEX.get(usize::from(code))?
}

/// Name of an attribute, for those with a row and a few that are only passed through.
pub fn attribute_name(code: u8) -> Option<&'static str> {
    match code {
        22 => Some("PMSI_TUNNEL"),
        24 => Some("TRAFFIC_ENGINEERING"),
        27 => Some("PE_DISTINGUISHER_LABELS"),
        34 => Some("BGP_COMMUNITY_CONTAINER"),
        36 => Some("BGP_DOMAIN_PATH"),
        39 => Some("BGP_NEXT_HOP_DEPENDENT_CHARACTERISTICS"),
        128 => Some("ATTR_SET"),
        _ => find(code).map(|row| row.name),
    }
}

/// Whether [`super::AttrSet`] has an accessor for it. The others are "other" attributes.
pub(crate) fn is_known(code: u8) -> bool {
    matches!(code, 1..=10 | 16 | 25 | 26 | 32 | 35)
}

/// Checks flags: the error, or nothing.
pub(crate) fn check_flags(row: &Row, flags: u8) -> Result<(), ErrorKind> {
    let wrong = (flags ^ row.flags) & OPTIONAL_TRANSITIVE != 0;
    // RFC 4271 §4.3: Partial is for optional transitive attributes alone.
    let partial = flags & flag::PARTIAL != 0 && row.flags != OPTIONAL_TRANSITIVE;
    if wrong || partial {
        return Err(ErrorKind::Flags {
            found: flags,
            expected: row.flags,
        });
    }
    Ok(())
}

/// Whether every attribute in `block` is well-formed for a four-octet peer. What re-encoding must
/// hold.
pub fn block_is_well_formed(block: &[u8]) -> bool {
    let rules = PathRules {
        four_octet: true,
        accept_sets: true,
    };
    let mut attributes = Attributes { octets: block };
    let fine = attributes.by_ref().all(|attr| match find(attr.type_code) {
        Some(row) => {
            check_flags(row, attr.flags).is_ok() && check_value(row, attr.value, rules).is_ok()
        }
        None => attr.flags & OPTIONAL_TRANSITIVE == OPTIONAL_TRANSITIVE,
    });
    fine && attributes.octets.is_empty()
}
