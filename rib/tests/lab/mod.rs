//! A RIB with peers around it, for tests that look at what peers would see.
//!
//! Routes go in as encoded UPDATEs through the decoder, and what comes out is decoded into a table
//! per peer: nothing of the engine's inside is looked at. A peer reads only when the test says so,
//! which is how slow peers are made.
#![allow(dead_code)] // Every test binary uses another part.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use ipnet::IpNet;
use proto_codec::afi::{AddressFamily, Family, V4, V6};
use proto_codec::bgp::{
    AttrCache, AttrSet, DecodeContext, EncodeContext, HEADER_LEN, decode_update, encode_announce,
    encode_withdraw,
};
use proto_codec::prefix::PrefixKey;
use rib::{PeerKind, PeerSession, PeerSlot, Rib, RibConfig, UpdateOutcome};

/// AS of the router under test.
pub const ASN: u32 = 65000;

/// A peer and what it knows.
pub struct LabPeer {
    pub session: PeerSession,
    pub up: bool,
    /// Path identifiers in what it sends and receives.
    pub add_path: bool,
    /// Its table, as told.
    pub table: BTreeMap<(IpNet, u32), Arc<AttrSet>>,
    /// End-of-RIB seen, per family.
    pub end_of_rib: [bool; 2],
    /// How often, both families together.
    pub ends: usize,
    /// Not repeated since BoRR (RFC 7313 §4).
    stale: BTreeSet<(IpNet, u32)>,
    /// Octets of messages received.
    pub octets: usize,
    /// UPDATEs received.
    pub updates: usize,
    /// Route refresh messages received, subtypes.
    pub refreshes: Vec<u8>,
    rx: AttrCache,
}

/// A router and its peers.
pub struct Lab {
    pub rib: Rib,
    pub peers: Vec<LabPeer>,
}

pub fn config() -> RibConfig {
    RibConfig {
        seed: 7,
        ..RibConfig::new(Ipv4Addr::new(10, 0, 0, 254), ASN)
    }
}

/// Address of the peer in slot `slot`.
pub fn address(slot: u16) -> IpAddr {
    let [high, low] = (slot + 1).to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(10, 0, high, low))
}

impl Lab {
    pub fn new(config: RibConfig) -> Self {
        Self {
            rib: Rib::new(config),
            peers: Vec::new(),
        }
    }

    /// Adds a peer of an AS; not yet up.
    pub fn add(&mut self, asn: u32) -> PeerSlot {
        let slot = PeerSlot(u16::try_from(self.peers.len()).unwrap());
        let mut session = PeerSession::new(slot, address(slot.0), asn, self.rib.config());
        session.local_v6 = Some("2001:db8::fe".parse().unwrap());
        self.peers.push(LabPeer {
            session,
            up: false,
            add_path: false,
            table: BTreeMap::new(),
            end_of_rib: [false; 2],
            ends: 0,
            stale: BTreeSet::new(),
            octets: 0,
            updates: 0,
            refreshes: Vec::new(),
            rx: AttrCache::new(),
        });
        slot
    }

    /// Adds an iBGP client.
    pub fn add_client(&mut self) -> PeerSlot {
        let slot = self.add(ASN);
        self.peer(slot).session.kind = PeerKind::InternalClient;
        slot
    }

    pub fn peer(&mut self, slot: PeerSlot) -> &mut LabPeer {
        &mut self.peers[slot.index()]
    }

    pub fn up(&mut self, slot: PeerSlot) {
        let peer = &mut self.peers[slot.index()];
        peer.begin();
        self.rib.peer_up(peer.session.clone());
    }

    pub fn all_up(&mut self) {
        for slot in 0..self.peers.len() {
            self.up(PeerSlot(u16::try_from(slot).unwrap()));
        }
    }

    pub fn down(&mut self, slot: PeerSlot) {
        self.peer(slot).up = false;
        self.rib.peer_down(slot, false);
    }

    /// Announces prefixes of one family in one UPDATE.
    pub fn announce(&mut self, slot: PeerSlot, nets: &[IpNet], attrs: &AttrSet) -> UpdateOutcome {
        let paths: Vec<(u32, IpNet)> = nets.iter().map(|net| (0, *net)).collect();
        self.announce_paths(slot, &paths, attrs)
    }

    pub fn announce_paths(
        &mut self,
        slot: PeerSlot,
        paths: &[(u32, IpNet)],
        attrs: &AttrSet,
    ) -> UpdateOutcome {
        let message = match Family::of(&paths[0].1) {
            Family::Ipv4Unicast => self.encode::<V4>(slot, paths, Some(attrs)),
            Family::Ipv6Unicast => self.encode::<V6>(slot, paths, Some(attrs)),
        };
        self.feed(slot, &message)
    }

    pub fn withdraw(&mut self, slot: PeerSlot, nets: &[IpNet]) -> UpdateOutcome {
        let paths: Vec<(u32, IpNet)> = nets.iter().map(|net| (0, *net)).collect();
        self.withdraw_paths(slot, &paths)
    }

    pub fn withdraw_paths(&mut self, slot: PeerSlot, paths: &[(u32, IpNet)]) -> UpdateOutcome {
        let message = match Family::of(&paths[0].1) {
            Family::Ipv4Unicast => self.encode::<V4>(slot, paths, None),
            Family::Ipv6Unicast => self.encode::<V6>(slot, paths, None),
        };
        self.feed(slot, &message)
    }

    fn encode<A: AddressFamily>(
        &self,
        slot: PeerSlot,
        paths: &[(u32, IpNet)],
        attrs: Option<&AttrSet>,
    ) -> Bytes {
        let context = EncodeContext {
            add_path_tx: [self.peers[slot.index()].add_path; 2],
            ..EncodeContext::default()
        };
        let mut nlri = paths
            .iter()
            .map(|(id, net)| (*id, A::Prefix::from_net(*net).unwrap()))
            .peekable();
        let mut out = BytesMut::new();
        let count = match attrs {
            Some(attrs) => encode_announce::<A>(&context, attrs, &mut nlri, &mut out).unwrap(),
            None => encode_withdraw::<A>(&context, &mut nlri, &mut out),
        };
        assert_eq!(count, paths.len(), "a test's UPDATE fits one message");
        out.freeze()
    }

    /// Feeds one whole UPDATE message from a peer.
    pub fn feed(&mut self, slot: PeerSlot, message: &[u8]) -> UpdateOutcome {
        let peer = &self.peers[slot.index()];
        let context = DecodeContext {
            ebgp: peer.session.kind == PeerKind::External,
            local_asn: ASN,
            peer_asn: peer.session.asn,
            add_path_rx: [peer.add_path; 2],
            enforce_first_as: false,
            ..DecodeContext::default()
        };
        let mut cache = AttrCache::new();
        let update = decode_update(&message[HEADER_LEN..], &context, &mut cache).unwrap();
        assert!(update.errors.is_empty(), "{:?}", update.errors);
        self.rib.update(slot, &update)
    }

    /// Lets a peer read at most `polls` times; whether there was more.
    pub fn read(&mut self, slot: PeerSlot, polls: usize) -> bool {
        for _ in 0..polls {
            let Some(bytes) = self.rib.poll_transmit(slot) else {
                return false;
            };
            self.peer(slot).receive(&bytes);
        }
        true
    }

    /// Settles, and lets every peer that is up read until nothing is left.
    pub fn drain(&mut self) {
        self.rib.settle();
        let mut busy = true;
        while busy {
            busy = false;
            for slot in 0..self.peers.len() {
                let slot = PeerSlot(u16::try_from(slot).unwrap());
                if self.peers[slot.index()].up {
                    busy |= self.read(slot, 4);
                }
            }
        }
    }

    /// The prefixes a peer has been told.
    pub fn nets(&mut self, slot: PeerSlot) -> Vec<String> {
        let table = &self.peer(slot).table;
        table.keys().map(|(net, _)| net.to_string()).collect()
    }

    /// The attributes a peer has been told of a prefix.
    pub fn told(&mut self, slot: PeerSlot, net: &str) -> Option<Arc<AttrSet>> {
        let key = (net.parse().unwrap(), 0);
        self.peer(slot).table.get(&key).cloned()
    }
}

impl LabPeer {
    /// A session begins: the peer knows nothing.
    pub fn begin(&mut self) {
        self.up = true;
        self.table.clear();
        self.end_of_rib = [false; 2];
        self.ends = 0;
        self.stale.clear();
        self.refreshes.clear();
    }

    /// BoRR and EoRR as RFC 7313 §4 tells the receiver to take them.
    fn refresh(&mut self, message: &[u8]) {
        let (v6, subtype) = (message[20] == 2, message[21]);
        let of_family = |key: &&(IpNet, u32)| matches!(key.0, IpNet::V6(_)) == v6;
        match subtype {
            1 => self.stale.extend(self.table.keys().filter(of_family)),
            2 => {
                for key in self.stale.iter().filter(of_family) {
                    self.table.remove(key);
                }
                self.stale.retain(|key| !of_family(&key));
            }
            _ => {}
        }
        self.refreshes.push(subtype);
    }

    /// Decodes messages into the table.
    pub fn receive(&mut self, mut bytes: &[u8]) {
        self.octets += bytes.len();
        let context = DecodeContext {
            ebgp: self.session.kind == PeerKind::External,
            local_asn: self.session.asn,
            peer_asn: ASN,
            add_path_rx: self.session.encode.add_path_tx,
            four_octet_as: self.session.encode.four_octet_as,
            enforce_first_as: false,
            ..DecodeContext::default()
        };
        while !bytes.is_empty() {
            let len = usize::from(u16::from_be_bytes([bytes[16], bytes[17]]));
            let (message, rest) = bytes.split_at(len);
            bytes = rest;
            if message[18] == 5 {
                self.refresh(message);
                continue;
            }
            self.updates += 1;
            let body = &message[HEADER_LEN..];
            let update = decode_update(body, &context, &mut self.rx).unwrap();
            assert!(update.errors.is_empty(), "{:?}", update.errors);
            for nlri in &update.withdraw {
                for (id, net) in nlri.nets() {
                    self.table.remove(&(net, id));
                }
            }
            for announce in &update.announce {
                for (id, net) in announce.nlri.nets() {
                    self.stale.remove(&(net, id));
                    self.table.insert((net, id), Arc::clone(&announce.attrs));
                }
            }
            if let Some(family) = update.end_of_rib {
                self.end_of_rib[family.index()] = true;
                self.ends += 1;
            }
        }
    }
}
