//! Malformed messages of our own making: one for each kind of reaction of each attribute that can
//! cause it, so that the daemon's behavior is covered where no other list is at hand.
//!
//! Each case is a well-formed announcement of 198.18.7.0/24 with one thing changed, as RFC 7606
//! (and for OPEN and the header RFC 4271 §6.1 and §6.2) describes it. Where the reaction does not
//! depend on the kind of session, the case is played on an external and an internal one.

use super::cases::{Case, Expect, Session};
use super::wire::{self, attribute};

const PREFIX: [u8; 4] = [24, 198, 18, 7];
const PEER_ASN: u32 = 65200;
const LOCAL_ASN: u32 = 65002;

/// Path attributes that a case changes.
type Attributes = Vec<(u8, Vec<u8>)>;

/// Name, what replaces or follows the good attributes (type and whole octets), reaction, rule.
type Row = (&'static str, u8, Vec<u8>, Expect, &'static str);

/// All cases.
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for session in [Session::Ebgp, Session::Ibgp] {
        let rows = values()
            .into_iter()
            .chain(lengths(session))
            .chain(added_lengths(session))
            .chain(headers());
        for (name, code, octets, expect, why) in rows {
            let mut attributes = good(session);
            attributes.retain(|(known, _)| *known != code);
            attributes.push((code, octets));
            let message = update(&attributes, &PREFIX);
            cases.push(case(name, ("attr", session), (expect, why), &message));
        }
        cases.extend(whole_updates(session));
    }
    cases.extend(framing());
    cases.extend(opens());
    cases
}

fn case(
    name: &str,
    (group, session): (&str, Session),
    (expect, why): (Expect, &str),
    message: &[u8],
) -> Case {
    let prefix = if session == Session::Ibgp { "i:" } else { "" };
    Case {
        id: format!("{prefix}{name}"),
        group: group.to_owned(),
        session,
        expect,
        why: why.to_owned(),
        hex: message.iter().map(|octet| format!("{octet:02x}")).collect(),
    }
}

fn good(session: Session) -> Attributes {
    let path = match session {
        Session::Ibgp => Vec::new(),
        _ => wire::as_sequence(&[PEER_ASN]),
    };
    let mut attributes = vec![
        (1, attribute(0x40, 1, &[0])),
        (2, attribute(0x40, 2, &path)),
        (3, attribute(0x40, 3, &[10, 1, 1, 9])),
    ];
    if session == Session::Ibgp {
        attributes.push((5, attribute(0x40, 5, &[0, 0, 0, 100])));
    }
    attributes
}

fn update(attributes: &Attributes, nlri: &[u8]) -> Vec<u8> {
    let octets: Vec<u8> = attributes
        .iter()
        .flat_map(|(_, octets)| octets.clone())
        .collect();
    wire::update(&[], &octets, nlri)
}

/// Values that no sender may use, RFC 7606 §7.
fn values() -> Vec<Row> {
    use Expect::TreatAsWithdraw as Withdraw;
    vec![
        (
            "own-origin-value",
            1,
            attribute(0x40, 1, &[3]),
            Withdraw,
            "7606 7.1",
        ),
        (
            "own-path-type",
            2,
            attribute(0x40, 2, &[6, 1, 0, 0, 0xfe, 0xb0]),
            Withdraw,
            "7606 7.2",
        ),
        (
            "own-path-overrun",
            2,
            attribute(0x40, 2, &[2, 3, 0, 0, 0xfe, 0xb0]),
            Withdraw,
            "7.2",
        ),
        (
            "own-path-empty-segment",
            2,
            attribute(0x40, 2, &[2, 0]),
            Withdraw,
            "7606 7.2",
        ),
        (
            "own-path-zero",
            2,
            attribute(0x40, 2, &[2, 1, 0, 0, 0, 0]),
            Withdraw,
            "7607 2",
        ),
        (
            "own-hop-class-e",
            3,
            attribute(0x40, 3, &[241, 1, 1, 1]),
            Withdraw,
            "7606 7.3",
        ),
    ]
}

/// Lengths that an attribute cannot have, RFC 7606 §7 and the attributes' own RFCs.
fn lengths(session: Session) -> Vec<Row> {
    use Expect::{AttributeDiscard as Discard, TreatAsWithdraw as Withdraw};
    let internal = session == Session::Ibgp;
    // External neighbors have no business with it: it is dropped unread.
    let local_pref = if internal { Withdraw } else { Expect::Accept };
    vec![
        (
            "own-origin-length",
            1,
            attribute(0x40, 1, &[0, 0]),
            Withdraw,
            "7606 7.1",
        ),
        (
            "own-hop-length",
            3,
            attribute(0x40, 3, &[10, 1, 1, 9, 9]),
            Withdraw,
            "7606 7.3",
        ),
        (
            "own-med-length",
            4,
            attribute(0x80, 4, &[0, 1, 2]),
            Withdraw,
            "7606 7.4",
        ),
        (
            "own-pref-length",
            5,
            attribute(0x40, 5, &[0, 0, 100]),
            local_pref,
            "7606 7.5",
        ),
        (
            "atomicagg-own-length",
            6,
            attribute(0x40, 6, &[1, 2]),
            Discard,
            "7606 7.6",
        ),
        (
            "aggregator-own-length",
            7,
            attribute(0xc0, 7, &[0; 5]),
            Discard,
            "7606 7.7",
        ),
    ]
}

/// The same for attributes that came after RFC 4271.
fn added_lengths(session: Session) -> Vec<Row> {
    use Expect::{AttributeDiscard as Discard, TreatAsWithdraw as Withdraw};
    // External neighbors have no business with these two: they are dropped unread.
    let inside = if session == Session::Ibgp {
        Withdraw
    } else {
        Discard
    };
    vec![
        (
            "own-community-length",
            8,
            attribute(0xc0, 8, &[1; 7]),
            Withdraw,
            "7606 7.8",
        ),
        (
            "originator-own-length",
            9,
            attribute(0x80, 9, &[9; 6]),
            inside,
            "7606 7.9",
        ),
        (
            "own-cluster-length",
            10,
            attribute(0x80, 10, &[9; 6]),
            inside,
            "7606 7.10",
        ),
        (
            "own-ext-length",
            16,
            attribute(0xc0, 16, &[1; 12]),
            Withdraw,
            "7606 7.14",
        ),
        (
            "own-large-length",
            32,
            attribute(0xc0, 32, &[1; 16]),
            Withdraw,
            "8092 6",
        ),
        (
            "own-otc-length",
            35,
            attribute(0xc0, 35, &[0; 8]),
            Withdraw,
            "9234 5",
        ),
    ]
}

/// Flags, missing and repeated attributes, unknown ones: RFC 7606 §3 and §4.
fn headers() -> Vec<Row> {
    use Expect::{Accept, SessionReset as Reset, TreatAsWithdraw as Withdraw};
    let twice = |octets: Vec<u8>| octets.repeat(2);
    let reach = attribute(0x80, 14, &[0, 1, 1, 4, 10, 1, 1, 9, 0, 24, 198, 18, 9]);
    vec![
        (
            "own-origin-flags",
            1,
            attribute(0xc0, 1, &[0]),
            Withdraw,
            "7606 3c",
        ),
        (
            "own-med-flags",
            4,
            attribute(0x40, 4, &[0; 4]),
            Withdraw,
            "7606 3c",
        ),
        ("own-no-origin", 1, Vec::new(), Withdraw, "7606 3d"),
        ("own-no-hop", 3, Vec::new(), Withdraw, "7606 3d"),
        (
            "own-overrun",
            8,
            vec![0xc0, 8, 200, 1, 2, 3, 4],
            Withdraw,
            "7606 4",
        ),
        ("own-header-cut", 8, vec![0xd0, 8], Withdraw, "7606 4"),
        (
            "own-med-twice",
            4,
            twice(attribute(0x80, 4, &[0; 4])),
            Accept,
            "7606 3g",
        ),
        ("own-reach-twice", 14, twice(reach), Reset, "3/1 7606 3g"),
        (
            "own-unknown-mandatory",
            211,
            attribute(0x40, 211, &[1]),
            Withdraw,
            "7606 3",
        ),
        (
            "own-unknown-transitive",
            211,
            attribute(0xc0, 211, &[1, 2]),
            Accept,
            "4271 9",
        ),
        (
            "own-unknown-local",
            211,
            attribute(0x80, 211, &[1, 2]),
            Accept,
            "4271 9",
        ),
    ]
}

/// Sections and prefixes that cannot be told apart: RFC 4271 §6.3, RFC 7606 §5.3.
fn whole_updates(session: Session) -> Vec<Case> {
    let attributes = good(session);
    let mut beyond = update(&attributes, &PREFIX);
    beyond[wire::HEADER_LEN + 2] = 0x7f;
    let mut withdrawn = update(&attributes, &PREFIX);
    withdrawn[wire::HEADER_LEN] = 0x7f;
    let long = update(&attributes, &[33, 198, 18, 7, 0, 0]);
    let cut = update(&attributes, &[24, 198]);
    let reset = Expect::SessionReset;
    vec![
        case(
            "own-attributes-beyond",
            ("attr", session),
            (reset, "3/1 4271 6.3"),
            &beyond,
        ),
        case(
            "own-withdrawn-beyond",
            ("attr", session),
            (reset, "3/1 4271 6.3"),
            &withdrawn,
        ),
        case(
            "own-prefix-33",
            ("attr", session),
            (reset, "3/10 7606 5.3"),
            &long,
        ),
        case(
            "own-prefix-cut",
            ("attr", session),
            (reset, "3/10 7606 5.3"),
            &cut,
        ),
    ]
}

/// Message headers, RFC 4271 §6.1.
fn framing() -> Vec<Case> {
    let with = |at: usize, octets: &[u8]| {
        let mut message = wire::keepalive();
        message[at..at + octets.len()].copy_from_slice(octets);
        message
    };
    let reset = |name: &str, why: &str, message: &[u8]| {
        case(
            name,
            ("framing", Session::Ebgp),
            (Expect::SessionReset, why),
            message,
        )
    };
    vec![
        reset("own-marker", "1/1 4271 6.1", &with(7, &[0xfe])),
        reset("own-length-18", "1/2 4271 6.1", &with(16, &[0, 18])),
        reset(
            "own-length-4097",
            "1/2 4271 6.1",
            &with(16, &[0x10, 0x01, 2]),
        ),
        reset(
            "own-keepalive-20",
            "1/2 4271 6.1",
            &[&with(16, &[0, 20])[..], &[0]].concat(),
        ),
        reset("own-type-77", "1/3 4271 6.1", &with(18, &[77])),
    ]
}

/// OPENs, RFC 4271 §6.2.
fn opens() -> Vec<Case> {
    let capabilities = [
        wire::multiprotocol(1, 1),
        wire::capability(65, &PEER_ASN.to_be_bytes()),
    ];
    let open = |asn: u32, hold: u16, id: [u8; 4]| wire::open(asn, hold, id, &capabilities);
    let mut version = open(PEER_ASN, 180, [10, 1, 1, 9]);
    version[wire::HEADER_LEN] = 9;
    let stranger = wire::open(LOCAL_ASN + 7, 180, [10, 1, 1, 9], &capabilities[..1]);
    let reset = |name: &str, why: &str, message: &[u8]| {
        case(
            name,
            ("open", Session::Ebgp),
            (Expect::SessionReset, why),
            message,
        )
    };
    vec![
        reset("own-open-version", "2/1 4271 6.2", &version),
        reset("own-open-asn", "2/2 4271 6.2", &stranger),
        reset("own-open-id", "2/3 4271 6.2", &open(PEER_ASN, 180, [0; 4])),
        reset(
            "own-open-hold",
            "2/6 4271 6.2",
            &open(PEER_ASN, 2, [10, 1, 1, 9]),
        ),
        case(
            "own-open-unknown-capability",
            ("open", Session::Ebgp),
            (Expect::Accept, "5492 3"),
            &wire::open(
                PEER_ASN,
                180,
                [10, 1, 1, 9],
                &[capabilities.concat(), wire::capability(201, &[1, 2, 3])],
            ),
        ),
    ]
}
