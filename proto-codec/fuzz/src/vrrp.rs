//! What must hold for any octets as a VRRP advert: shared by the fuzz target and the property
//! tests.
//!
//! The first octet picks the family of the envelope. Whatever is accepted obeys the bounds of the
//! RFC and is written again as it came, the reserved bits of version 3 and zeroes of the other
//! sign in the checksum apart; whatever is refused has a reason that can be printed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proto_codec::vrrp::{Advert, Auth, Draft, Envelope, Version, trailer};

/// Any octets as an advert.
pub fn advert(data: &[u8]) {
    let Some((pick, message)) = data.split_first() else {
        return;
    };
    let source: IpAddr = match pick % 2 {
        0 => Ipv4Addr::new(10, 0, 0, 1).into(),
        _ => Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1).into(),
    };
    let envelope = Envelope::multicast(source);
    match Advert::decode(message, &envelope) {
        Ok(advert) => written_again(&advert, message, &envelope),
        Err(flaw) => assert!(!flaw.name().is_empty() && !flaw.to_string().is_empty()),
    }
    signed(message, &envelope);
    // The same octets with the sum they need reach further.
    if let Some(field) = message.get(6..8)
        && message.len() < 4096
    {
        let mut summed = message.to_vec();
        summed[6..8].copy_from_slice(&[0, 0]);
        let sum = sum_of(&summed);
        if field != sum {
            summed[6..8].copy_from_slice(&sum);
            if let Ok(advert) = Advert::decode(&summed, &envelope) {
                written_again(&advert, &summed, &envelope);
            }
        }
    }
}

/// With keys, what is accepted is what is accepted without them, or that and a trailer; no trailer
/// verifies by accident, and what we sign verifies.
fn signed(message: &[u8], envelope: &Envelope) {
    let key = [7; trailer::KEY_MIN];
    let Ok((advert, tail)) = Advert::decode_signed(message, envelope) else {
        assert!(Advert::decode(message, envelope).is_err());
        return;
    };
    let verifies = |advert: &Advert<'_>, tail: &trailer::Trailer<'_>| {
        tail.verify(&key, advert.version, advert.vrid, envelope.source)
    };
    if let Some(tail) = tail {
        assert!(!verifies(&advert, &tail), "a code by accident");
        return;
    }
    assert_eq!(Advert::decode(message, envelope), Ok(advert));
    let stamp = trailer::Stamp {
        key_id: 7,
        key: &key,
        sequence: 1 << 32,
    };
    let mut out = message.to_vec();
    trailer::sign(&mut out, 0, advert.version, envelope, &stamp);
    let (again, tail) = Advert::decode_signed(&out, envelope).expect("ours is read");
    let tail = tail.expect("with its trailer");
    assert_eq!(
        (again.vrid, tail.key_id, tail.sequence),
        (advert.vrid, 7, 1 << 32)
    );
    assert!(tail.is_well_formed() && verifies(&again, &tail));
}

/// The checksum of version 2, written naively as an independent opinion.
fn sum_of(message: &[u8]) -> [u8; 2] {
    let mut total = 0u32;
    for pair in message.chunks(2) {
        total += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low));
        total = (total & 0xffff) + (total >> 16);
    }
    (!u16::try_from(total).expect("folded")).to_be_bytes()
}

fn written_again(advert: &Advert<'_>, message: &[u8], envelope: &Envelope) {
    let addresses: Vec<IpAddr> = advert.addresses.iter().collect();
    assert_eq!(addresses.len(), advert.addresses.len());
    assert_eq!(addresses.len(), usize::from(message[3]));
    let ipv6 = envelope.source.is_ipv6();
    assert!(addresses.iter().all(|address| address.is_ipv6() == ipv6));
    assert!(advert.version == Version::V2 || advert.auth == Auth::None);
    assert!(advert.version == Version::V2 || !advert.interval.is_zero());
    let draft = Draft {
        version: advert.version,
        vrid: advert.vrid,
        priority: advert.priority,
        interval: advert.interval,
        auth: advert.auth,
        checksum: advert.checksum,
        addresses: &addresses,
    };
    let mut again = Vec::new();
    Advert::encode(&draft, envelope, &mut again);
    let second = Advert::decode(&again, envelope);
    // Version 2 with interval 0 is read, to be refused as "other interval", but never written.
    let interval = match advert.interval.is_zero() {
        true => std::time::Duration::from_secs(1),
        false => advert.interval,
    };
    assert_eq!(
        second,
        Ok(Advert {
            interval,
            ..*advert
        })
    );
}
