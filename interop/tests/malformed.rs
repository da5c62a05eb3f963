//! Malformed and unusual messages against the running daemon: each causes what its RFC names.
//!
//! One fresh session per case. A route is announced well-formed, then the case's message is sent,
//! then a sentinel; an external observer tells whether the route was kept, replaced, withdrawn, or
//! went with the session. The observer reads with every check there is, so a malformed attribute
//! that is passed on fails the test too.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use interop::player::cases::{self, Case, Expect, Session};
use interop::player::daemon::Daemon;
use interop::player::strict::{Entry, Reading};
use interop::player::{Ended, Player, namespace, own_cases, wire};
use ipnet::IpNet;

const NAME: &str = "malformed_messages_cause_what_their_rfc_names";
const OWN_NAME: &str = "malformed_messages_of_our_own_cause_what_their_rfc_names";
const DAEMON: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 1, 0, 1)), 179);
const OBSERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 2, 1));
const ASN: u32 = 65002;
const PEER_ASN: u32 = 65200;
const OBSERVER_ASN: u32 = 65003;
/// Marks the route announced before the case, so that "kept" and "replaced" differ.
const MARK: [u8; 4] = [0xfe, 0xb0, 0x00, 0x01];
const BEFORE: &str = "198.18.7.0/24";

#[test]
fn malformed_messages_cause_what_their_rfc_names() {
    let cases = match cases::load() {
        Ok(cases) => cases,
        Err(reason) => return eprintln!("SKIPPED {NAME}: {reason}"),
    };
    if namespace::entered(NAME) {
        play_all(&cases);
    }
}

#[test]
fn malformed_messages_of_our_own_cause_what_their_rfc_names() {
    if namespace::entered(OWN_NAME) {
        play_all(&own_cases::all());
    }
}

fn play_all(cases: &[Case]) {
    namespace::run("ip", &["address", "add", "10.1.0.1/16", "dev", "lo"]);
    namespace::run("ip", &["address", "add", "10.1.2.1/32", "dev", "lo"]);
    for index in 0..cases.len() {
        let net = format!("{}/32", address(index));
        namespace::run("ip", &["address", "add", &net, "dev", "lo"]);
    }
    let mut daemon = Daemon::start("malformed", &config(cases));
    let mut observer = observe();
    let mut failures = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        let outcome = play(case, address(index), &observer);
        assert!(daemon.alive(), "the daemon died of {}", case.id);
        if let Err(got) = outcome {
            let demanded = format!("{:?} ({})", case.expect, case.why);
            failures.push(format!("{}: demanded {demanded}, got: {got}", case.id));
        }
        if observer.ended().is_some() {
            observer = observe();
        }
    }
    let passed = cases.len() - failures.len();
    eprintln!(
        "MEASURED malformed: {passed} of {} cases as the RFCs demand",
        cases.len()
    );
    assert!(
        failures.is_empty(),
        "{} cases differ:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

fn address(index: usize) -> IpAddr {
    let index = u8::try_from(index).expect("fewer than 256 cases");
    IpAddr::V4(Ipv4Addr::new(10, 1, 16, index))
}

fn config(cases: &[Case]) -> String {
    let mut text =
        format!("[router]\nasn = {ASN}\nrouter-id = \"10.1.0.1\"\nlisten = [\"10.1.0.1:179\"]\n");
    let observer = (OBSERVER, OBSERVER_ASN);
    let peers = cases.iter().enumerate().map(|(index, case)| {
        let asn = if case.session == Session::Ibgp {
            ASN
        } else {
            PEER_ASN
        };
        (address(index), asn)
    });
    for (address, asn) in std::iter::once(observer).chain(peers) {
        write!(
            text,
            "\n[[neighbor]]\naddress = \"{address}\"\nasn = {asn}\npassive = true\n\
             families = [\"ipv4-unicast\", \"ipv6-unicast\"]\n\
             import = \"accept-all\"\nexport = \"accept-all\"\n"
        )
        .expect("writing to a string");
    }
    text
}

fn observe() -> Player {
    let reading = Reading {
        four_octet_as: true,
        external: true,
    };
    let open = wire::open(
        OBSERVER_ASN,
        180,
        [10, 1, 2, 1],
        &capabilities(OBSERVER_ASN, true),
    );
    // The daemon may hold the neighbor back for a moment after a session that ended badly.
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        let mut observer = Player::connect(OBSERVER, DAEMON, reading).expect("the daemon listens");
        match observer.establish(&open) {
            Ok(()) => return observer,
            Err(ended) => assert!(std::time::Instant::now() < deadline, "observer: {ended:?}"),
        }
    }
}

fn capabilities(asn: u32, four_octets: bool) -> Vec<Vec<u8>> {
    let mut found = vec![
        wire::multiprotocol(1, 1),
        wire::multiprotocol(2, 1),
        wire::capability(2, &[]),
    ];
    if four_octets {
        found.push(wire::capability(65, &asn.to_be_bytes()));
    }
    found
}

fn open(case: &Case) -> Vec<u8> {
    let asn = if case.session == Session::Ibgp {
        ASN
    } else {
        PEER_ASN
    };
    let four_octets = case.session != Session::As2;
    wire::open(asn, 180, [10, 1, 1, 9], &capabilities(asn, four_octets))
}

/// Attributes of a well-formed route on the case's session.
fn attributes(case: &Case, mark: Option<[u8; 4]>) -> Vec<u8> {
    let path = match case.session {
        Session::Ebgp => wire::as_sequence(&[PEER_ASN]),
        Session::Ibgp => Vec::new(),
        Session::As2 => wire::as_sequence_2(&[65200]),
    };
    let mut attrs = wire::attribute(0x40, 1, &[0]);
    attrs.extend(wire::attribute(0x40, 2, &path));
    attrs.extend(wire::attribute(0x40, 3, &[10, 1, 1, 9]));
    if case.session == Session::Ibgp {
        attrs.extend(wire::attribute(0x40, 5, &100_u32.to_be_bytes()));
    }
    if let Some(mark) = mark {
        attrs.extend(wire::attribute(0xc0, 8, &mark));
    }
    attrs
}

fn net(text: &str) -> IpNet {
    text.parse().expect("a prefix")
}

/// The prefix that the case is about, and whether it was announced before the case.
fn target(case: &Case) -> (IpNet, bool) {
    match case.id.as_str() {
        "nlri-default" => return (net("0.0.0.0/0"), false),
        "nlri-127" => return (net("127.0.0.0/24"), false),
        _ if case.hex.ends_with("18c61207") => return (net(BEFORE), true),
        _ => {}
    }
    match case.hex.rsplit_once("3020010db8") {
        Some((_, third)) => (net(&format!("2001:db8:{}::/48", &third[..4])), false),
        None => (net(BEFORE), true),
    }
}

/// Plays one case; the error says what happened instead of what is demanded.
fn play(case: &Case, local: IpAddr, observer: &Player) -> Result<(), String> {
    let four_octet_as = case.session != Session::As2;
    let reading = Reading {
        four_octet_as,
        external: case.session != Session::Ibgp,
    };
    let mut player = Player::connect(local, DAEMON, reading).map_err(|error| error.to_string())?;
    if case.group == "open" {
        return judge_open(case, player.establish(&case.bytes()));
    }
    player
        .establish(&open(case))
        .map_err(|ended| format!("no session: {ended:?}"))?;
    let update = wire::update(&[], &attributes(case, Some(MARK)), &wire::nlri(net(BEFORE)));
    player.send(&update).map_err(|error| error.to_string())?;
    if !observer.wait(|seen| seen.table.routes.contains_key(&net(BEFORE))) {
        return Err(format!(
            "the good route did not arrive; observer {:?}",
            observer.ended()
        ));
    }
    let result = judge(case, &mut player, observer);
    drop(player);
    let gone = observer.wait(|seen| seen.table.routes.is_empty());
    if gone {
        result
    } else {
        Err(format!("{result:?}; routes outlived the session"))
    }
}

fn judge_open(case: &Case, result: Result<(), Option<Ended>>) -> Result<(), String> {
    match (case.expect, result) {
        (Expect::Accept, Ok(())) => Ok(()),
        (Expect::SessionReset, Err(Some(ended))) => judge_reset(case, &ended),
        (_, other) => Err(format!("{other:?}")),
    }
}

fn judge_reset(case: &Case, ended: &Ended) -> Result<(), String> {
    match (ended, case.notification()) {
        (Ended::Notification(code, subcode, _), Some(named)) if (*code, *subcode) != named => {
            Err(format!("NOTIFICATION {code}/{subcode}"))
        }
        (Ended::Notification(2, 1, data), _) if data != &[0, 4] => {
            Err(format!("NOTIFICATION 2/1 with data {data:02x?}"))
        }
        (Ended::Notification(..), _) => Ok(()),
        // A NOTIFICATION is answered by closing the connection, not by another one.
        (Ended::Closed, _) if case.id.starts_with("notif-") => Ok(()),
        _ => Err(format!("{ended:?}")),
    }
}

/// Sends the case and two sentinels, one after the other: when the second has arrived at the
/// observer, so has all that came with the first.
fn judge(case: &Case, player: &mut Player, observer: &Player) -> Result<(), String> {
    player
        .send(&case.bytes())
        .map_err(|error| error.to_string())?;
    for sentinel in ["198.18.100.0/24", "198.18.101.0/24"].map(net) {
        let update = wire::update(&[], &attributes(case, None), &wire::nlri(sentinel));
        // A session that was reset refuses this; the wait below sees its end.
        let _ = player.send(&update);
        let step = Duration::from_millis(5);
        while !observer.wait_for(step, |seen| seen.table.routes.contains_key(&sentinel)) {
            if let Some(ended) = player.ended() {
                return match case.expect {
                    Expect::SessionReset => judge_reset(case, &ended),
                    _ => Err(format!("the session ended: {ended:?}")),
                };
            }
            if let Some(ended) = observer.ended() {
                return Err(format!("the observer's session ended: {ended:?}"));
            }
        }
    }
    judge_route(case, observer)
}

fn judge_route(case: &Case, observer: &Player) -> Result<(), String> {
    let (target, before) = target(case);
    let seen = observer.seen();
    let entry = seen.table.routes.get(&target);
    let marked = entry.is_some_and(|e| e.attribute(8).is_some_and(|(_, value)| value == MARK));
    // No unicast route is in these messages: that the session lives on is all there is to see.
    let no_route = case.group == "framing" || case.id.contains("flowspec");
    match (case.expect, entry) {
        (Expect::SessionReset, _) => Err("the session lived on".to_owned()),
        (_, _) if no_route => Ok(()),
        (Expect::TreatAsWithdraw, None) => Ok(()),
        (Expect::Accept, Some(_)) if !before || !marked => Ok(()),
        (Expect::AttributeDiscard, Some(entry)) if !marked => discarded(case, entry),
        (_, Some(_)) if marked => Err("the message had no effect".to_owned()),
        (_, Some(_)) => Err("the route was accepted".to_owned()),
        (_, None) => Err("the route was withdrawn".to_owned()),
    }
}

/// The attribute that was to be discarded did not travel on.
fn discarded(case: &Case, entry: &Entry) -> Result<(), String> {
    let codes = [
        ("atomicagg", 6),
        ("aggregator", 7),
        ("as4path", 17),
        ("as4agg", 18),
        ("originator", 9),
        ("ls29", 29),
        ("psid40", 40),
    ];
    for (name, code) in codes {
        if case.id.trim_start_matches("i:").starts_with(name) && entry.attribute(code).is_some() {
            return Err(format!("attribute {code} was passed on"));
        }
    }
    if case.id.ends_with("dup-origin") && entry.attribute(1).is_none_or(|(_, v)| v != [0]) {
        return Err("the second ORIGIN won".to_owned());
    }
    Ok(())
}
