//! VRRP adverts as JSON values: one description for the text and the JSON of `decode pcap`.
//!
//! What a receiver would refuse is described as far as it can be told, with the reason; a hop limit
//! other than 255 is worth a word of its own, because multicast receivers discard it (RFC 9568
//! §7.1).

use proto_codec::pcap::Datagram;
use proto_codec::vrrp::{Advert, Auth, Envelope, HOP_LIMIT, PASS_LEN};
use serde_json::{Map, Value, json};

/// Describes the advert in a datagram of protocol 112.
pub fn describe(datagram: &Datagram<'_>) -> Value {
    let envelope = Envelope {
        source: datagram.source,
        destination: datagram.destination,
        hop_limit: datagram.hop_limit,
    };
    let mut fields = Map::new();
    let mut put = |key: &str, value: Value| {
        fields.insert(key.to_owned(), value);
    };
    put("type", json!("VRRP ADVERTISEMENT"));
    put("length", json!(datagram.payload.len()));
    match Advert::decode_signed(datagram.payload, &envelope) {
        Ok((advert, trailer)) => {
            put("version", json!(advert.version.number()));
            put("vrid", json!(advert.vrid));
            put("priority", json!(advert.priority));
            put("intervalMs", json!(advert.interval.as_millis()));
            if let Auth::Pass(word) = advert.auth {
                put("password", json!(printable(word)));
            }
            if advert.version.number() == 3 && datagram.source.is_ipv4() {
                put("checksum", json!(advert.checksum.word()));
            }
            let addresses: Vec<_> = advert.addresses.iter().collect();
            put("addresses", json!(addresses));
            if let Some(trailer) = trailer {
                put("keyId", json!(trailer.key_id));
                put("signedAt", json!(trailer.seconds()));
            }
        }
        Err(flaw) => {
            put("refused", json!(flaw.name()));
            put("error", json!(flaw.to_string()));
        }
    }
    if datagram.hop_limit != HOP_LIMIT {
        put("hopLimit", json!(datagram.hop_limit));
    }
    Value::Object(fields)
}

/// A password without its padding; what is no text is escaped.
fn printable(word: [u8; PASS_LEN]) -> String {
    let end = word.iter().rposition(|octet| *octet != 0);
    let text = word.get(..end.map_or(0, |at| at + 1)).unwrap_or_default();
    text.escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 10.0.0.1 to the group, version 3, vrid 5, priority 200, 1 s, 10.0.0.50.
    const GOOD: [u8; 12] = [0x31, 5, 200, 1, 0, 100, 0x11, 0xd3, 10, 0, 0, 50];

    fn described(payload: &[u8], hop_limit: u8) -> Value {
        describe(&Datagram {
            source: [10, 0, 0, 1].into(),
            destination: [224, 0, 0, 18].into(),
            protocol: 112,
            hop_limit,
            payload,
        })
    }

    #[test]
    fn an_advert_is_described_in_full() {
        let value = described(&GOOD, 255);
        assert_eq!(value["vrid"], 5);
        assert_eq!(value["intervalMs"], 1000);
        assert_eq!(value["checksum"], "rfc5798");
        assert_eq!(value["addresses"], json!(["10.0.0.50"]));
        assert!(value.get("hopLimit").is_none());
    }

    /// The key is not known here: the trailer says which one it was, and when.
    #[test]
    fn a_trailer_is_described() {
        let mut signed = GOOD.to_vec();
        signed.extend([1, 9, 0, 0, 0x68, 0, 0, 0]);
        signed.extend([0; 20]);
        let value = described(&signed, 255);
        assert_eq!(value["keyId"], 9);
        assert_eq!(value["signedAt"], 0x6800_0000);
    }

    #[test]
    fn what_receivers_refuse_has_its_reason() {
        let value = described(&GOOD[..10], 3);
        assert_eq!(value["refused"], "length");
        assert_eq!(value["hopLimit"], 3);
    }

    #[test]
    fn a_password_is_shown_without_its_padding() {
        assert_eq!(printable(*b"secret\0\0"), "secret");
        assert_eq!(printable([0; 8]), "");
        assert_eq!(printable([0x07, b'a', 0, b'b', 0, 0, 0, 0]), "\\x07a\\x00b");
    }
}
