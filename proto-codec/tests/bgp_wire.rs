//! Real messages with their meaning beside them: ExaBGP's own test files, read from the shared
//! data.
//!
//! A `.ci` file is a list of messages in hex, many followed by what they say in JSON; a file under
//! `decoding` is one message and its JSON. Each message must decode without an error, and for what
//! the suite carries (IPv4 and IPv6 unicast, every attribute it reads) the decoded values must be
//! those of the JSON. Messages of other families must be recognised as such and skipped; their
//! attributes are compared all the same. Next hops no route can use (255.255.255.255, ::1) must be
//! refused, and only they. Every announcement is written again and must decode to itself.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use bytes::BytesMut;
use proto_codec::bgp::frame::check_header;
use proto_codec::bgp::{
    Announce, AttrCache, AttrSet, DecodeContext, EncodeContext, MESSAGE_LEN_MAX, MessageType, Open,
    SegmentKind, Update, decode_attributes, decode_update, encode_announce,
};
use proto_codec::{ErrorKind, Family, V4, V6};
use serde_json::Value;

struct Case {
    name: String,
    message: Vec<u8>,
    json: Option<Value>,
}

fn shared(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("WAYFARE_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    Some(root.join(path)).filter(|path| path.exists())
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

/// Some files give the body of an UPDATE without its header.
fn with_header(octets: Vec<u8>) -> Vec<u8> {
    if octets.starts_with(&[0xff; 16]) {
        return octets;
    }
    let len = u16::try_from(octets.len() + 19).unwrap().to_be_bytes();
    [&[0xff; 16][..], &len, &[2], &octets].concat()
}

fn cases(root: &Path) -> Vec<Case> {
    let mut cases = Vec::new();
    for dir in ["qa/api", "qa/encoding"] {
        for file in files(&root.join(dir)) {
            let text = std::fs::read_to_string(&file).unwrap();
            for (n, line) in text.lines().enumerate() {
                let name = format!("{}:{}", file.file_name().unwrap().display(), n + 1);
                let Some((_, rest)) = line.split_once(':') else {
                    continue;
                };
                if let Some(hex) = rest.strip_prefix("raw:") {
                    cases.push(Case {
                        name,
                        message: unhex(hex),
                        json: None,
                    });
                } else if let (Some(json), Some(case)) =
                    (rest.strip_prefix("json:"), cases.last_mut())
                {
                    case.json = Some(serde_json::from_str(json).unwrap());
                }
            }
        }
    }
    for file in files(&root.join("qa/decoding")) {
        let text = std::fs::read_to_string(&file).unwrap();
        let mut lines = text.lines().filter(|line| !line.trim().is_empty()).skip(1);
        cases.push(Case {
            name: file.file_name().unwrap().display().to_string(),
            message: with_header(unhex(lines.next().unwrap())),
            json: lines.next().map(|json| serde_json::from_str(json).unwrap()),
        });
    }
    cases
}

/// The session of a case: ExaBGP speaks, so its "local" is our peer.
fn context(json: Option<&Value>) -> DecodeContext {
    let asn = |side: &str| {
        let found = json.and_then(|json| json["neighbor"]["asn"][side].as_u64());
        u32::try_from(found.unwrap_or(1)).unwrap()
    };
    let add_path = json.is_some_and(|json| json.to_string().contains("path-information"));
    DecodeContext {
        local_asn: asn("peer"),
        peer_asn: asn("local"),
        ebgp: asn("peer") != asn("local"),
        add_path_rx: [add_path; 2],
        ext_next_hop: true,
        ..DecodeContext::default()
    }
}

#[derive(Default, Debug)]
struct Tally {
    messages: usize,
    attributes: usize,
    routes: usize,
    refused: usize,
    other_families: usize,
    without_json: usize,
}

#[test]
fn every_message_means_what_stands_beside_it() {
    let Some(root) = shared("data/bgp-wire/Exa-Networks+exabgp") else {
        eprintln!("SKIPPED every_message_means_what_stands_beside_it: shared data absent");
        return;
    };
    let mut tally = Tally::default();
    for case in cases(&root) {
        let (kind, len) = check_header(case.message.first_chunk().unwrap(), MESSAGE_LEN_MAX)
            .unwrap_or_else(|error| panic!("{}: {error}", case.name));
        assert_eq!(len, case.message.len(), "{}", case.name);
        tally.messages += 1;
        match kind {
            MessageType::Update => compare_update(&case, &mut tally),
            MessageType::Open => {
                let open = Open::decode(&case.message[19..]).unwrap();
                assert_eq!(
                    Open::decode(&open.to_bytes()[19..]),
                    Ok(open),
                    "{}",
                    case.name
                );
            }
            other => panic!("{}: unexpected {other:?}", case.name),
        }
    }
    println!("MEASURED bgp-wire: {tally:?}");
    assert!(tally.messages >= 190 && tally.routes >= 60, "{tally:?}");
}

fn compare_update(case: &Case, tally: &mut Tally) {
    let ctx = context(case.json.as_ref());
    let body = &case.message[19..];
    let update = decode_update(body, &ctx, &mut AttrCache::new())
        .unwrap_or_else(|error| panic!("{}: {error}", case.name));
    for announce in &update.announce {
        assert_same_when_written_again(announce, &ctx, &case.name);
    }
    let Some(json) = &case.json else {
        tally.without_json += 1;
        let fine = update.errors.iter().all(|error| {
            matches!(
                error.kind,
                ErrorKind::NextHop | ErrorKind::FamilyNotNegotiated(_)
            )
        });
        assert!(fine, "{}: {:?}", case.name, update.errors);
        return;
    };
    let meaning = &json["neighbor"]["message"]["update"];
    compare_attributes(case, &ctx, &meaning["attribute"], tally);
    let expected = announced(meaning);
    let usable = |hop: &IpAddr| match hop {
        IpAddr::V4(hop) => !matches!(hop.octets()[0], 0 | 127 | 224..),
        IpAddr::V6(hop) => !(hop.is_loopback() || hop.is_multicast() || hop.is_unspecified()),
    };
    let (good, bad): (BTreeSet<Route>, BTreeSet<Route>) =
        expected.into_iter().partition(|(hop, ..)| usable(hop));
    assert_eq!(routes(&update), good, "{}: {:?}", case.name, update.errors);
    let gone: BTreeSet<(u32, String)> =
        update.withdraw.iter().flat_map(|nlri| text(nlri)).collect();
    let mut expected_gone = withdrawn(meaning);
    expected_gone.extend(bad.iter().map(|(_, id, net)| (*id, net.clone())));
    assert_eq!(gone, expected_gone, "{}", case.name);
    tally.routes += good.len() + gone.len();
    tally.refused += bad.len();
    let others = other_families(meaning);
    tally.other_families += others;
    let skipped = update
        .errors
        .iter()
        .filter(|error| matches!(error.kind, ErrorKind::FamilyNotNegotiated(_)))
        .count();
    assert_eq!(skipped, others, "{}", case.name);
    let count = |is: fn(&proto_codec::AttrError) -> bool| {
        update.errors.iter().filter(|error| is(error)).count()
    };
    let unusable = count(|error| error.kind == ErrorKind::NextHop);
    // BGP-LS attributes are discarded from whoever sends them (RFC 9552 §8.2.2).
    let explained = skipped + unusable + count(|error| error.type_code == 29);
    assert_eq!(explained, update.errors.len(), "{}: {update:?}", case.name);
    assert_eq!(unusable > 0, !bad.is_empty(), "{}", case.name);
}

type Route = (IpAddr, u32, String);

fn text(nlri: &proto_codec::bgp::Nlri<'_>) -> Vec<(u32, String)> {
    nlri.nets()
        .into_iter()
        .map(|(id, net)| (id, net.to_string()))
        .collect()
}

fn routes(update: &Update<'_>) -> BTreeSet<Route> {
    let mut routes = BTreeSet::new();
    for announce in &update.announce {
        let hop = announce.attrs.next_hop().addr();
        routes.extend(
            text(&announce.nlri)
                .into_iter()
                .map(|(id, net)| (hop, id, net)),
        );
    }
    routes
}

fn route_json(route: &Value) -> (u32, String) {
    let id = route["path-information"].as_str().map_or(0, |id| {
        id.parse::<std::net::Ipv4Addr>()
            .map_or_else(|_| id.parse().unwrap(), u32::from)
    });
    (id, route["nlri"].as_str().unwrap().to_owned())
}

fn unicast(meaning: &Value, what: &str) -> Vec<Value> {
    let families = ["ipv4 unicast", "ipv6 unicast"];
    families
        .iter()
        .map(|family| meaning[what][*family].clone())
        .collect()
}

fn announced(meaning: &Value) -> BTreeSet<Route> {
    let mut routes = BTreeSet::new();
    for family in unicast(meaning, "announce") {
        for (hop, list) in family.as_object().into_iter().flatten() {
            let hop: IpAddr = hop.parse().unwrap();
            for route in list.as_array().unwrap() {
                let (id, net) = route_json(route);
                routes.insert((hop, id, net));
            }
        }
    }
    routes
}

fn withdrawn(meaning: &Value) -> BTreeSet<(u32, String)> {
    let families = unicast(meaning, "withdraw");
    families
        .iter()
        .filter_map(Value::as_array)
        .flatten()
        .map(route_json)
        .collect()
}

fn other_families(meaning: &Value) -> usize {
    let mut others = 0;
    for what in ["announce", "withdraw"] {
        for family in meaning[what].as_object().into_iter().flatten() {
            others += usize::from(!matches!(
                family.0.as_str(),
                "ipv4 unicast" | "ipv6 unicast"
            ));
        }
    }
    others
}

fn compare_attributes(case: &Case, ctx: &DecodeContext, json: &Value, tally: &mut Tally) {
    let body = &case.message[19..];
    let withdrawn = usize::from(u16::from_be_bytes([body[0], body[1]]));
    let len = usize::from(u16::from_be_bytes([
        body[withdrawn + 2],
        body[withdrawn + 3],
    ]));
    let (set, errors) = decode_attributes(&body[withdrawn + 4..][..len], ctx);
    let errors: Vec<_> = errors
        .iter()
        .filter(|error| error.type_code != 29)
        .collect();
    assert!(errors.is_empty(), "{}: {errors:?}", case.name);
    for (name, expected) in json.as_object().into_iter().flatten() {
        let found = match name.as_str() {
            "origin" => set.origin().to_string().to_lowercase().into(),
            "med" => set.med().into(),
            "local-preference" => set.local_pref().into(),
            "as-path" => as_path(&set),
            "next-hop" => set.next_hop().addr().to_string().into(),
            "atomic-aggregate" => set.atomic_aggregate().into(),
            "aggregator" => set
                .aggregator()
                .map(|(asn, id)| Value::from(format!("{asn}:{id}")))
                .into(),
            "originator-id" => set.originator_id().map(|id| id.to_string()).into(),
            "cluster-list" => strings(set.cluster_list()),
            "community" => set
                .communities()
                .map(|one| vec![one >> 16, one & 0xffff])
                .collect(),
            "large-community" => set
                .large_communities()
                .map(|one| vec![one.global, one.local1, one.local2])
                .collect(),
            "extended-community" => {
                assert_eq!(ext_communities(expected), ext_octets(&set), "{}", case.name);
                expected.clone()
            }
            "extended-community-ipv6" => {
                assert_eq!(
                    set.ipv6_ext_communities().len(),
                    expected.as_array().unwrap().len()
                );
                expected.clone()
            }
            // Passed on unread.
            "bgp-prefix-sid" | "tunnel-encap" | "sr-policy" | "tunnel-encapsulation" => {
                assert!(
                    set.others().any(|attr| matches!(attr.type_code, 23 | 40)),
                    "{name}"
                );
                expected.clone()
            }
            "bgp-ls" => expected.clone(),
            other => panic!(
                "{}: attribute {other} of the data is not compared",
                case.name
            ),
        };
        assert_eq!(&found, expected, "{}: {name}", case.name);
        tally.attributes += 1;
    }
}

fn strings(items: impl Iterator<Item = impl ToString>) -> Value {
    items.map(|item| item.to_string()).collect()
}

fn as_path(set: &AttrSet) -> Value {
    let mut out = serde_json::Map::new();
    for (n, segment) in set.as_path().segments().enumerate() {
        let element = match segment.kind {
            SegmentKind::Sequence => "as-sequence",
            SegmentKind::Set => "as-set",
            SegmentKind::ConfedSequence => "confed-sequence",
            SegmentKind::ConfedSet => "confed-set",
        };
        let value: Vec<u32> = segment.asns().collect();
        out.insert(
            n.to_string(),
            serde_json::json!({ "element": element, "value": value }),
        );
    }
    Value::Object(out)
}

fn ext_communities(json: &Value) -> BTreeSet<[u8; 8]> {
    let list = json.as_array().unwrap().iter();
    list.map(|one| one["value"].as_u64().unwrap().to_be_bytes())
        .collect()
}

fn ext_octets(set: &AttrSet) -> BTreeSet<[u8; 8]> {
    set.ext_communities().collect()
}

fn assert_same_when_written_again(announce: &Announce<'_>, ctx: &DecodeContext, name: &str) {
    let encode = EncodeContext {
        add_path_tx: ctx.add_path_rx,
        ext_next_hop: true,
        ..EncodeContext::default()
    };
    let mut out = BytesMut::new();
    let attrs = &announce.attrs;
    match announce.nlri.family() {
        Family::Ipv4Unicast => {
            let mut nlri = announce.nlri.iter::<V4>().peekable();
            encode_announce::<V4>(&encode, attrs, &mut nlri, &mut out).unwrap();
        }
        Family::Ipv6Unicast => {
            let mut nlri = announce.nlri.iter::<V6>().peekable();
            encode_announce::<V6>(&encode, attrs, &mut nlri, &mut out).unwrap();
        }
    }
    let again = decode_update(&out[19..], ctx, &mut AttrCache::new()).unwrap();
    assert!(again.errors.is_empty(), "{name}: {:?}", again.errors);
    assert_eq!(again.announce.len(), 1, "{name}");
    assert_eq!(again.announce[0].attrs, announce.attrs, "{name}");
    assert_eq!(
        again.announce[0].nlri.nets(),
        announce.nlri.nets(),
        "{name}"
    );
}
