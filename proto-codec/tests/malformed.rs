//! Malformed messages with the right reaction: the cases of the shared data, one message each.
//!
//! Every case goes through the same path as in a session: header check, then the decoder of its
//! type, in the context of the peer it is about (external, internal, two-octet). What comes out is
//! reduced to the words the cases use and compared. Nothing that is kept may be malformed when
//! written again, and no Partial bit may get lost (RFC 4271 §5, RFC 7606 §3). Cases whose verdict
//! needs more than the codec are listed below with who decides them.

use std::path::PathBuf;

use proto_codec::bgp::attr::table;
use proto_codec::bgp::frame::check_header;
use proto_codec::bgp::{
    AttrCache, DecodeContext, MESSAGE_LEN_MAX, MessageType, Notification, Open, RouteRefresh,
    decode_update,
};
use proto_codec::{DecodeError, Reaction};

const LOCAL_ASN: u32 = 65003;
const PEER_ASN: u32 = 65200;

/// Not the codec's to decide, or not clear-cut for a speaker of our families; and why.
const NOT_HERE: [(&str, &str); 5] = [
    (
        "notif-shutdown-msg",
        "a NOTIFICATION is not malformed: the session closes because it came",
    ),
    (
        "notif-shutdown-overlen",
        "a NOTIFICATION is not malformed: the session closes because it came",
    ),
    ("i:nexthop-ourself", "ingress knows our addresses"),
    (
        "flowspec-type14",
        "flow specification is never negotiated: skipped like every other family",
    ),
    (
        "i:flowspec-type14",
        "flow specification is never negotiated: skipped like every other family",
    ),
];

fn shared(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("WAYFARE_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    Some(root.join(path)).filter(|path| path.exists())
}

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn context(session: &str) -> DecodeContext {
    DecodeContext {
        ebgp: session != "ibgp",
        four_octet_as: session != "as2",
        local_asn: LOCAL_ASN,
        peer_asn: if session == "ibgp" {
            LOCAL_ASN
        } else {
            PEER_ASN
        },
        aigp: session == "ibgp",
        ..DecodeContext::default()
    }
}

/// The cases' word for what happened.
fn verdict(message: &[u8], session: &str) -> (String, String) {
    match decode(message, session) {
        Ok((word, detail)) => (word.into(), detail),
        Err(error) => {
            let n = error
                .notification()
                .unwrap_or(&Notification::new(0, 0))
                .clone();
            assert!(
                error.offset <= message.len().max(19),
                "offset outside the message: {error}"
            );
            (
                "session-reset".into(),
                format!("{}/{} {error}", n.code, n.subcode),
            )
        }
    }
}

fn decode(message: &[u8], session: &str) -> Result<(&'static str, String), DecodeError> {
    let header = message
        .first_chunk::<19>()
        .expect("cases have a whole header");
    let (kind, len) = check_header(header, MESSAGE_LEN_MAX)?;
    let body = &message[19..len.min(message.len())];
    match kind {
        MessageType::Open => Open::decode(body).map(|open| ("accept", format!("{open:?}"))),
        MessageType::Update => update(body, session),
        MessageType::Notification => {
            Notification::decode(body).map(|n| ("session-reset", n.to_string()))
        }
        MessageType::Keepalive => Ok(("accept", String::new())),
        MessageType::RouteRefresh => {
            RouteRefresh::decode(body).map(|refresh| ("accept", format!("{refresh:?}")))
        }
    }
}

fn update(body: &[u8], session: &str) -> Result<(&'static str, String), DecodeError> {
    let ctx = context(session);
    let mut cache = AttrCache::new();
    let update = decode_update(body, &ctx, &mut cache)?;
    for announce in &update.announce {
        let block = announce.attrs.wire_block();
        assert!(table::block_is_well_formed(block), "{:02x?}", block);
        partial_bits_persist(body, block);
    }
    let again = decode_update(body, &ctx, &mut cache)?;
    assert_eq!(
        format!("{:?}", again.announce),
        format!("{:?}", update.announce)
    );
    let detail: Vec<String> = update.errors.iter().map(ToString::to_string).collect();
    let word = match update.worst() {
        None => "accept",
        Some(Reaction::Discard) => "attribute-discard",
        Some(Reaction::TreatAsWithdraw) => {
            assert!(update.announce.is_empty() && !update.withdraw.is_empty());
            "treat-as-withdraw"
        }
        Some(Reaction::Reset(_)) => panic!("a reset must be an error return"),
    };
    Ok((word, detail.join("; ")))
}

/// Every attribute that came with Partial and is kept still has it.
fn partial_bits_persist(body: &[u8], block: &[u8]) {
    let withdrawn = usize::from(u16::from_be_bytes([body[0], body[1]]));
    let mut attrs = &body[withdrawn + 4..];
    while let [flags, code, rest @ ..] = attrs {
        let (len, rest) = match (flags & 0x10, rest) {
            (0, [len, rest @ ..]) => (usize::from(*len), rest),
            (_, [hi, lo, rest @ ..]) => (usize::from(*hi) << 8 | usize::from(*lo), rest),
            _ => break,
        };
        if flags & 0xe0 == 0xe0 && len > 0 && rest.len() >= len {
            let kept = find(block, *code);
            assert!(
                kept.is_none_or(|flags| flags & 0x20 != 0),
                "Partial lost on {code}"
            );
        }
        attrs = rest.get(len..).unwrap_or_default();
    }
}

fn find(block: &[u8], wanted: u8) -> Option<u8> {
    let mut left = block;
    while let [flags, code, rest @ ..] = left {
        if *code == wanted {
            return Some(*flags);
        }
        let (len, head) = match flags & 0x10 {
            0 => (usize::from(rest[0]), 1),
            _ => (usize::from(rest[0]) << 8 | usize::from(rest[1]), 2),
        };
        left = &rest[head + len..];
    }
    None
}

#[test]
fn every_case_gets_the_reaction_of_the_rfc() {
    let Some(path) = shared("data/malformed/cases.json") else {
        eprintln!("SKIPPED every_case_gets_the_reaction_of_the_rfc: shared data absent");
        return;
    };
    let text = std::fs::read_to_string(path).unwrap();
    let cases: serde_json::Value = serde_json::from_str(&text).unwrap();
    let (mut compared, mut wrong) = (0, Vec::new());
    for case in cases["cases"].as_array().unwrap() {
        let text = |key: &str| case[key].as_str().unwrap();
        let (id, session) = (text("id"), text("session"));
        let (word, detail) = verdict(&unhex(text("hex")), session);
        if NOT_HERE.iter().any(|(elsewhere, _)| *elsewhere == id) {
            continue;
        }
        compared += 1;
        // An attribute that was discarded leaves the routes accepted; the cases say "accept" where
        // they only look at the route.
        let same =
            word == text("expect") || (word == "attribute-discard" && text("expect") == "accept");
        if !same {
            wrong.push(format!(
                "{id} ({}): {word} [{detail}], expected {}",
                text("why"),
                text("expect")
            ));
        }
        assert!(id != "open-v3" || detail.starts_with("2/1"), "{detail}");
    }
    println!(
        "MEASURED malformed messages: {compared} compared, {} left to others",
        NOT_HERE.len()
    );
    assert!(
        wrong.is_empty(),
        "{} of {compared}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
