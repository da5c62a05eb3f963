//! A naive BGP speaker, recomputed from scratch: the reference the engine is compared with.
//!
//! It keeps what each peer sent in one map, decides by filtering a list once per step of
//! RFC 4271 §9.1.2.2 and RFC 4456 §9, and computes what a peer should know with a chain of plain
//! conditions. The one thing it remembers is which path of a prefix is best, because RFC 5004
//! makes the outcome depend on it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use proto_codec::bgp::{AttrSet, NextHop};
use rib::{PeerKind, PeerSession, PeerSlot};

use crate::lab::ASN;

/// The cluster and identifier of the router.
pub const OWN_ID: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 254);
const GSHUT: u32 = 0xffff_0000;
const NO_EXPORT: u32 = 0xffff_ff01;
const NO_ADVERTISE: u32 = 0xffff_ff02;

/// Policies the model knows in its own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelPolicy {
    Accept,
    Reject,
    /// Rejects what is inside 10.1.0.0/16 or carries 65000:9; local-pref 300 and MED 7 where
    /// 65000:1.
    Picky,
}

/// What a route says, as far as the comparison goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub path: Vec<u32>,
    pub origin: u8,
    pub next_hop: IpAddr,
    pub med: Option<u32>,
    pub local_pref: Option<u32>,
    pub communities: Vec<u32>,
    pub originator: Option<Ipv4Addr>,
    pub clusters: Vec<Ipv4Addr>,
}

impl Facts {
    pub fn of(set: &AttrSet) -> Self {
        Self {
            path: set.as_path().asns().collect(),
            origin: set.origin().value(),
            next_hop: set.next_hop().addr(),
            med: set.med(),
            local_pref: set.local_pref(),
            communities: set.communities().collect(),
            originator: set.originator_id(),
            clusters: set.cluster_list().collect(),
        }
    }
}

pub struct Model {
    pub peers: Vec<ModelPeer>,
    /// Best path by prefix: the peer that sent it.
    best: BTreeMap<IpNet, PeerSlot>,
    /// Reachability of next hops; absent is reachable.
    pub dead: Vec<IpAddr>,
}

pub struct ModelPeer {
    pub session: PeerSession,
    pub up: bool,
    pub import: ModelPolicy,
    pub export: ModelPolicy,
    /// As received, in order of arrival.
    pub adj_in: BTreeMap<IpNet, Facts>,
}

impl Model {
    pub fn new(sessions: Vec<PeerSession>) -> Self {
        let peer = |session| ModelPeer {
            session,
            up: false,
            import: ModelPolicy::Accept,
            export: ModelPolicy::Accept,
            adj_in: BTreeMap::new(),
        };
        Self {
            peers: sessions.into_iter().map(peer).collect(),
            best: BTreeMap::new(),
            dead: Vec::new(),
        }
    }

    pub fn announce(&mut self, slot: PeerSlot, net: IpNet, set: &AttrSet) {
        let peer = &mut self.peers[slot.index()];
        let mut facts = Facts::of(set);
        if peer.session.kind == PeerKind::External {
            // RFC 4271 §5.1.5: not from another AS.
            facts.local_pref = None;
        }
        let looped = facts.path.contains(&ASN)
            || (peer.session.kind != PeerKind::External
                && (facts.originator == Some(OWN_ID) || facts.clusters.contains(&OWN_ID)));
        if looped {
            peer.adj_in.remove(&net);
        } else {
            peer.adj_in.insert(net, facts);
        }
        self.decide(net);
    }

    pub fn withdraw(&mut self, slot: PeerSlot, net: IpNet) {
        self.peers[slot.index()].adj_in.remove(&net);
        self.decide(net);
    }

    pub fn down(&mut self, slot: PeerSlot) {
        self.peers[slot.index()].up = false;
        for net in std::mem::take(&mut self.peers[slot.index()].adj_in).into_keys() {
            self.decide(net);
        }
    }

    pub fn decide_all(&mut self) {
        let nets: Vec<IpNet> = self
            .peers
            .iter()
            .flat_map(|peer| peer.adj_in.keys().copied())
            .collect();
        for net in nets {
            self.decide(net);
        }
    }

    /// The route of one peer after import policy; `None` when it is unusable.
    fn imported(&self, peer: &ModelPeer, net: IpNet) -> Option<Facts> {
        let facts = peer.adj_in.get(&net)?;
        let mut facts = apply(peer.import, net, facts)?;
        if peer.session.kind == PeerKind::External && facts.communities.contains(&GSHUT) {
            facts.local_pref = Some(0);
        }
        (!self.dead.contains(&facts.next_hop)).then_some(facts)
    }

    fn decide(&mut self, net: IpNet) {
        let mut list: Vec<(&ModelPeer, Facts)> = self
            .peers
            .iter()
            .filter_map(|peer| Some((peer, self.imported(peer, net)?)))
            .collect();
        keep_least(&mut list, |(_, f)| u32::MAX - f.local_pref.unwrap_or(100));
        keep_least(&mut list, |(_, f)| f.path.len());
        keep_least(&mut list, |(_, f)| f.origin);
        let meds: Vec<(Option<u32>, u32)> = list
            .iter()
            .map(|(_, f)| (f.path.first().copied(), f.med.unwrap_or(0)))
            .collect();
        list.retain(|(_, f)| {
            let own = (f.path.first().copied(), f.med.unwrap_or(0));
            !meds.iter().any(|other| other.0 == own.0 && other.1 < own.1)
        });
        keep_least(&mut list, |(peer, _)| {
            peer.session.kind != PeerKind::External
        });
        let current = self.best.get(&net).copied();
        let all_external = list
            .iter()
            .all(|(peer, _)| peer.session.kind == PeerKind::External);
        if all_external
            && list
                .iter()
                .any(|(peer, _)| Some(peer.session.slot) == current)
        {
            list.retain(|(peer, _)| Some(peer.session.slot) == current);
        }
        keep_least(&mut list, |(peer, f)| {
            f.originator.unwrap_or(peer.session.router_id)
        });
        keep_least(&mut list, |(_, f)| f.clusters.len());
        keep_least(&mut list, |(peer, _)| peer.session.address);
        match list.first().map(|(peer, _)| peer.session.slot) {
            Some(slot) => self.best.insert(net, slot),
            None => self.best.remove(&net),
        };
    }

    /// What a peer should know.
    pub fn expected(&self, to: PeerSlot) -> BTreeMap<IpNet, Facts> {
        let to = &self.peers[to.index()];
        let told = |(net, from): (&IpNet, &PeerSlot)| {
            let from = &self.peers[from.index()];
            let facts = self.imported(from, *net)?;
            Some((*net, exported(from, to, *net, facts)?))
        };
        self.best.iter().filter_map(told).collect()
    }
}

fn keep_least<T, V: Ord>(list: &mut Vec<T>, value: impl Fn(&T) -> V) {
    if let Some(least) = list.iter().map(&value).min() {
        list.retain(|one| value(one) == least);
    }
}

fn apply(policy: ModelPolicy, net: IpNet, facts: &Facts) -> Option<Facts> {
    let mut facts = facts.clone();
    match policy {
        ModelPolicy::Accept => {}
        ModelPolicy::Reject => return None,
        ModelPolicy::Picky => {
            let inside: IpNet = "10.1.0.0/16".parse().unwrap();
            if inside.contains(&net) || facts.communities.contains(&(65000 << 16 | 9)) {
                return None;
            }
            if facts.communities.contains(&(65000 << 16 | 1)) {
                facts.local_pref = Some(300);
                facts.med = Some(7);
            }
        }
    }
    Some(facts)
}

fn exported(from: &ModelPeer, to: &ModelPeer, net: IpNet, facts: Facts) -> Option<Facts> {
    let client = |peer: &ModelPeer| peer.session.kind == PeerKind::InternalClient;
    let internal = |peer: &ModelPeer| peer.session.kind != PeerKind::External;
    if from.session.slot == to.session.slot
        || (internal(from) && internal(to) && !client(from) && !client(to))
        || facts.communities.contains(&NO_ADVERTISE)
        || (!internal(to) && facts.communities.contains(&NO_EXPORT))
    {
        return None;
    }
    let set_med = to.export == ModelPolicy::Picky && facts.communities.contains(&(65000 << 16 | 1));
    let mut facts = apply(to.export, net, &facts)?;
    if internal(to) {
        facts.local_pref = Some(facts.local_pref.unwrap_or(100));
        if internal(from) {
            facts.originator = facts.originator.or(Some(from.session.router_id));
            facts.clusters.insert(0, OWN_ID);
        }
        return Some(facts);
    }
    facts.path.insert(0, ASN);
    facts.local_pref = None;
    facts.originator = None;
    facts.clusters.clear();
    facts.med = facts.med.filter(|_| set_med);
    facts.next_hop = match net {
        IpNet::V4(_) => NextHop::V4(OWN_ID).addr(),
        IpNet::V6(_) => "2001:db8::fe".parse().unwrap(),
    };
    Some(facts)
}
