//! The adverts a router sends, encoded once and sent many times.
//!
//! What goes out every interval is the same until a setting or the effective priority changes, so
//! the octets are kept. Unicast peers each have their own, because the destination is under the
//! checksum. Where adverts are signed, each is signed anew: its number grows.

use std::net::IpAddr;

use bytes::Bytes;
use proto_codec::vrrp::trailer::{Stamp, TRAILER_LEN, sign};
use proto_codec::vrrp::{Advert, Draft, Envelope, GROUP_V4, GROUP_V6, HOP_LIMIT, Version};

use super::settings::Settings;

/// Encoded adverts with the priority they carry.
#[derive(Clone, Debug, Default)]
pub(super) struct Prepared {
    priority: Option<u8>,
    messages: Vec<(IpAddr, Bytes)>,
}

impl Prepared {
    /// What was encoded is no longer true.
    pub fn forget(&mut self) {
        self.priority = None;
    }

    /// The messages with `priority`, one per destination.
    pub fn messages(
        &mut self,
        settings: &Settings,
        source: IpAddr,
        priority: u8,
    ) -> &[(IpAddr, Bytes)] {
        if self.priority != Some(priority) {
            self.messages = destinations(settings)
                .map(|to| (to, encode(settings, (source, to), priority)))
                .collect();
            self.priority = Some(priority);
        }
        &self.messages
    }
}

fn destinations(settings: &Settings) -> impl Iterator<Item = IpAddr> + '_ {
    let group: IpAddr = match settings.ipv6() {
        false => GROUP_V4.into(),
        true => GROUP_V6.into(),
    };
    let group = settings.unicast_peers.is_empty().then_some(group);
    group
        .into_iter()
        .chain(settings.unicast_peers.iter().copied())
}

fn encode(settings: &Settings, (source, destination): (IpAddr, IpAddr), priority: u8) -> Bytes {
    let draft = Draft {
        version: settings.version,
        vrid: settings.vrid,
        priority,
        interval: settings.interval,
        auth: settings.auth,
        checksum: settings.checksum,
        addresses: &settings.addresses,
    };
    let envelope = Envelope {
        source,
        destination,
        hop_limit: HOP_LIMIT,
    };
    let mut message = Vec::new();
    Advert::encode(&draft, &envelope, &mut message);
    message.into()
}

/// `message` with its trailer. Only version 3 is signed.
pub(super) fn signed(
    message: &Bytes,
    (source, destination): (IpAddr, IpAddr),
    stamp: &Stamp<'_>,
) -> Bytes {
    let envelope = Envelope {
        source,
        destination,
        hop_limit: HOP_LIMIT,
    };
    let mut signed = Vec::with_capacity(message.len() + TRAILER_LEN);
    signed.extend_from_slice(message);
    sign(&mut signed, 0, Version::V3, &envelope, stamp);
    signed.into()
}
