//! What must hold for any octets as a VRRP advert: shared by the fuzz target and the property
//! tests.
//!
//! The first octet picks the family of the envelope. Whatever is accepted obeys the bounds of the
//! RFC and is written again as it came, the reserved bits of version 3 and zeroes of the other
//! sign in the checksum apart; whatever is refused has a reason that can be printed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proto_codec::vrrp::{Advert, Auth, Draft, Envelope, Version};

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
