//! What must hold for any input of a decoder: shared by the fuzz targets and the property tests.
//!
//! "No panic" is the least of it. A reset names a NOTIFICATION and an octet inside the message;
//! a decoded UPDATE obeys its own reactions; whatever was accepted is well-formed when written
//! again and decodes to itself, on a four-octet and on a two-octet session; the cache gives what
//! parsing gives; everything can be printed.

use bytes::BytesMut;
use proto_codec::bgp::attr::table;
use proto_codec::bgp::capability::{decode_capabilities, encode_capability};
use proto_codec::bgp::{
    Announce, AttrCache, AttrSet, Capability, DecodeContext, EncodeContext, Framer, Notification,
    Open, RouteRefresh, Update, decode_attributes, decode_update, encode_announce, encode_withdraw,
};
use proto_codec::{AddressFamily, DecodeError, Family, Reaction, V4, V6};

/// The contexts an UPDATE is fuzzed in, picked by one octet: external, internal, two-octet
/// internal, with path identifiers, two-octet external with everything lenient.
pub fn context(pick: u8) -> DecodeContext {
    let external = DecodeContext {
        local_asn: 65003,
        peer_asn: 65200,
        ..DecodeContext::default()
    };
    let internal = DecodeContext {
        ebgp: false,
        peer_asn: 65003,
        aigp: true,
        ..external.clone()
    };
    match pick % 5 {
        0 => external,
        1 => internal,
        2 => DecodeContext {
            four_octet_as: false,
            ..internal
        },
        3 => DecodeContext {
            add_path_rx: [true; 2],
            ext_next_hop: true,
            ..internal
        },
        _ => DecodeContext {
            four_octet_as: false,
            ext_next_hop: true,
            reject_as_sets: false,
            enforce_first_as: false,
            ..external
        },
    }
}

fn check_error(error: &DecodeError, body: &[u8]) {
    let n = error.notification().expect("a decode error resets");
    assert!(n.code != 0, "{error}");
    assert!(error.offset <= 19 + body.len(), "{error}");
    assert!(n.data.len() <= 4096 - 21, "{error}");
    // What is sent for it can be read.
    let sent = n.to_bytes();
    assert_eq!(Notification::decode(&sent[19..]).as_ref(), Ok(n));
    let _ = format!("{error} {n}");
}

/// The body of an UPDATE.
pub fn update(body: &[u8], ctx: &DecodeContext) {
    let mut cache = AttrCache::new();
    let update = match decode_update(body, ctx, &mut cache) {
        Ok(update) => update,
        Err(error) => return check_error(&error, body),
    };
    check_reactions(&update, body);
    let again = decode_update(body, ctx, &mut cache).expect("it decoded before");
    assert_eq!(format!("{again:?}"), format!("{update:?}"));
    for announce in &update.announce {
        check_attributes(&announce.attrs);
        match announce.nlri.family() {
            Family::Ipv4Unicast => written_again::<V4>(announce, ctx),
            Family::Ipv6Unicast => written_again::<V6>(announce, ctx),
        }
    }
    for nlri in &update.withdraw {
        assert_eq!(nlri.nets().len(), nlri.count());
    }
}

fn check_reactions(update: &Update<'_>, body: &[u8]) {
    for error in &update.errors {
        assert!(error.offset <= 19 + body.len(), "{error}");
        assert!(!matches!(error.reaction, Reaction::Reset(_)), "{error}");
        let _ = error.to_string();
    }
    if update.end_of_rib.is_some() {
        assert!(update.announce.is_empty() && update.withdraw.is_empty());
    }
    // A next hop that is bad costs its own routes; any other error all of them.
    let withdraw = update.errors.iter().any(|error| {
        error.reaction == Reaction::TreatAsWithdraw && !matches!(error.type_code, 3 | 14)
    });
    assert!(!withdraw || update.announce.is_empty());
}

fn check_attributes(set: &AttrSet) {
    let block = set.wire_block();
    assert!(table::block_is_well_formed(block), "{block:02x?}");
    assert_eq!(set.edit().finish(), *set);
    let _ = format!("{set} {:?}", set.as_path());
    // Export to another AS keeps it well-formed.
    let mut edit = set.edit();
    edit.prepend(65003, 3).drop_non_transitive().set_med(None);
    edit.add_community(65003 << 16 | 1);
    let exported = edit.finish();
    assert!(table::block_is_well_formed(exported.wire_block()));
    assert!(exported.as_path().contains(65003));
    let partial = |set: &AttrSet| -> Vec<u8> {
        set.attributes()
            .filter(|attr| attr.flags & 0x20 != 0 && !matches!(attr.type_code, 16 | 25))
            .map(|attr| attr.type_code)
            .collect()
    };
    assert_eq!(
        partial(set),
        partial(&exported),
        "RFC 4271 §5: Partial stays"
    );
}

fn written_again<A: AddressFamily>(announce: &Announce<'_>, ctx: &DecodeContext) {
    for four_octet_as in [true, false] {
        let encode = EncodeContext {
            four_octet_as,
            add_path_tx: ctx.add_path_rx,
            ext_next_hop: true,
            max_len: 65535,
        };
        let read = DecodeContext {
            four_octet_as,
            ext_next_hop: true,
            ..ctx.clone()
        };
        let mut out = BytesMut::new();
        let mut nlri = announce.nlri.iter::<A>().peekable();
        // Only attributes that grow beyond a message on the way to a two-octet peer do not fit.
        if encode_announce::<A>(&encode, &announce.attrs, &mut nlri, &mut out).is_err() {
            assert!(announce.attrs.heap_len() > 30_000);
            continue;
        }
        let mut cache = AttrCache::new();
        let len = usize::from(u16::from_be_bytes([out[16], out[17]]));
        assert_eq!(len, out.len());
        let update = decode_update(&out[19..], &read, &mut cache).expect("we wrote it");
        assert!(update.errors.is_empty(), "{:?}", update.errors);
        let [decoded] = &update.announce[..] else {
            panic!("one announcement written, {} read", update.announce.len());
        };
        let sent: Vec<_> = announce
            .nlri
            .iter::<A>()
            .take(decoded.nlri.count())
            .collect();
        assert!(decoded.nlri.iter::<A>().eq(sent));
        // A path with sets, written with AS_TRANS, is merged by hops; its text may differ.
        if four_octet_as {
            assert_eq!(decoded.attrs, announce.attrs);
        }
    }
    let encode = EncodeContext {
        add_path_tx: ctx.add_path_rx,
        ..EncodeContext::default()
    };
    let mut out = BytesMut::new();
    let mut nlri = announce.nlri.iter::<A>().peekable();
    let count = encode_withdraw::<A>(&encode, &mut nlri, &mut out);
    let mut cache = AttrCache::new();
    let update = decode_update(&out[19..], ctx, &mut cache).expect("we wrote it");
    assert_eq!(update.withdraw[0].count(), count);
}

/// Path attributes without a message around them.
pub fn attributes(block: &[u8], ctx: &DecodeContext) {
    let (set, errors) = decode_attributes(block, ctx);
    assert!(
        table::block_is_well_formed(set.wire_block()) || set.next_hop().addr().is_unspecified()
    );
    assert!(errors.iter().all(|error| error.offset <= block.len()));
    let _ = set.to_string();
}

/// The body of an OPEN.
pub fn open(body: &[u8]) {
    match Open::decode(body) {
        Err(error) => check_error(&error, body),
        Ok(open) => {
            let _ = format!("{open:?}");
            let first = Open::decode(&open.to_bytes()[19..]).expect("we wrote it");
            assert_eq!((open.asn, open.router_id), (first.asn, first.router_id));
            // Texts over 64 octets are cut once; from then on nothing changes.
            assert_eq!(Open::decode(&first.to_bytes()[19..]), Ok(first));
        }
    }
}

/// The value of an OPEN parameter.
pub fn capabilities(octets: &[u8]) {
    let mut decoded = Vec::new();
    if let Err((_, offset)) = decode_capabilities(octets, &mut decoded) {
        assert!(offset <= octets.len());
    }
    let mut out = BytesMut::new();
    for capability in &decoded {
        let _ = capability.to_string();
        assert!(!matches!(
            capability,
            Capability::Unknown {
                code: 1 | 2 | 65,
                ..
            }
        ));
        encode_capability(capability, &mut out);
    }
    let mut again = Vec::new();
    decode_capabilities(&out, &mut again).expect("we wrote it");
    assert_eq!(again.len(), decoded.len());
}

/// The body of a NOTIFICATION.
pub fn notification(body: &[u8]) {
    match Notification::decode(body) {
        Err(error) => check_error(&error, body),
        Ok(n) => {
            let text = n.to_string();
            assert!(!text.chars().any(char::is_control), "{text:?}");
            let sent = n.to_bytes();
            assert_eq!(Notification::decode(&sent[19..]), Ok(n));
        }
    }
}

/// The body of a ROUTE-REFRESH.
pub fn refresh(body: &[u8]) {
    match RouteRefresh::decode(body) {
        Err(error) => check_error(&error, body),
        Ok(refresh) => assert_eq!(RouteRefresh::decode(&refresh.to_bytes()[19..]), Ok(refresh)),
    }
}

/// A stream, read whole and octet by octet: the same frames, the same error.
pub fn stream(octets: &[u8]) {
    let read = |framer: &mut Framer| -> (Vec<Vec<u8>>, Option<DecodeError>) {
        let mut frames = Vec::new();
        loop {
            match framer.next_frame() {
                Ok(Some(frame)) => frames.push(frame.to_vec()),
                Ok(None) => return (frames, None),
                Err(error) => return (frames, Some(error)),
            }
        }
    };
    for max_len in [4096, 65535] {
        let mut whole = Framer::new();
        whole.set_max_len(max_len);
        whole.push_slice(octets);
        let (frames, error) = read(&mut whole);
        let mut single = Framer::new();
        single.set_max_len(max_len);
        let mut seen = Vec::new();
        let mut failed = None;
        for octet in octets {
            single.push(BytesMut::from(&[*octet][..]));
            let (more, error) = read(&mut single);
            seen.extend(more);
            failed = error;
            if failed.is_some() {
                break;
            }
        }
        assert_eq!((seen, failed), (frames.clone(), error));
        assert!(
            frames
                .iter()
                .all(|frame| (19..=max_len).contains(&frame.len()))
        );
    }
}
