//! The decision process, step by step.
//!
//! Each line sends the best path of every prefix again with one community changed, so the choice
//! among all paths is made anew and ends at the step the bench is named after. Less the line of
//! `only_path`, where there is nothing to choose, it is what the choice costs. All prefixes share
//! one attribute set, and nobody is told.

use std::net::{IpAddr, Ipv4Addr};

use bytes::BytesMut;
use divan::Bencher;
use proto_codec::afi::V4;
use proto_codec::bgp::{
    AttrEdit, AttrSet, DecodeContext, EncodeContext, NextHop, Origin, encode_announce,
};
use proto_codec::prefix::PrefixKey;
use rib::route::NextHopState;
use rib::{PeerKind, PeerSession, Reason, Rib, RibConfig};

use crate::feed;
use crate::stage::{Updates, decoded, feed_all, per_prefix};

const PREFIXES: u32 = 20_000;

/// A peer and what it says of every prefix.
#[derive(Clone, Copy)]
struct Voice {
    internal: bool,
    asn: u32,
    local_pref: Option<u32>,
    hops: u32,
    origin: Origin,
    med: Option<u32>,
    originator: Option<u32>,
    clusters: u32,
}

const EXTERNAL: Voice = Voice {
    internal: false,
    asn: 65_001,
    local_pref: None,
    hops: 3,
    origin: Origin::Igp,
    med: None,
    originator: None,
    clusters: 0,
};
const INTERNAL: Voice = Voice {
    internal: true,
    asn: feed::ASN,
    local_pref: Some(100),
    ..EXTERNAL
};

impl Voice {
    fn attrs(&self, peer: u32, variant: u32) -> AttrSet {
        let next_hop = NextHop::V4(Ipv4Addr::from(0xc000_0201 + peer));
        let mut edit = AttrEdit::new(self.origin, next_hop);
        let first = if self.internal { 64_999 } else { self.asn };
        let path: Vec<u32> = (0..self.hops)
            .map(|n| if n == 0 { first } else { n })
            .collect();
        edit.set_as_path(&path)
            .set_med(self.med)
            .set_local_pref(self.local_pref)
            .add_community(1_000_000 + variant);
        if let Some(id) = self.originator {
            edit.set_originator_id(Ipv4Addr::from(id));
        }
        for n in 0..self.clusters {
            edit.prepend_cluster_list(Ipv4Addr::from(0x0b00_0000 + n));
        }
        edit.finish()
    }

    fn updates(&self, peer: u32, variant: u32) -> Updates {
        let attrs = self.attrs(peer, variant);
        let (mut out, mut messages) = (BytesMut::new(), Vec::new());
        let mut nlri = (0..PREFIXES).map(|n| (0, feed::prefix(n))).peekable();
        while nlri.peek().is_some() {
            encode_announce::<V4>(&EncodeContext::default(), &attrs, &mut nlri, &mut out)
                .expect("it fits");
            messages.push(out.split().freeze());
        }
        let context = DecodeContext {
            ebgp: !self.internal,
            local_asn: feed::ASN,
            peer_asn: self.asn,
            ..DecodeContext::default()
        };
        decoded(messages, &context)
    }

    fn session(&self, peer: u32, rib: &Rib) -> PeerSession {
        let address = IpAddr::V4(Ipv4Addr::from(0x0a01_0000 + peer));
        let kind = match self.internal {
            true => PeerKind::Internal,
            false => PeerKind::External,
        };
        PeerSession {
            kind,
            ..PeerSession::new(feed::slot(peer), address, self.asn, rib.config())
        }
    }
}

/// The first voice has the best path, for `reason`, and says so again.
fn decide(bencher: Bencher<'_, '_>, voices: &[Voice], reason: Reason) {
    decide_with(bencher, voices, reason, |config| config);
}

fn decide_with(
    bencher: Bencher<'_, '_>,
    voices: &[Voice],
    reason: Reason,
    configure: impl Fn(RibConfig) -> RibConfig,
) {
    let feeds: Vec<Updates> = (0u32..)
        .zip(voices)
        .map(|(peer, voice)| voice.updates(peer, 0))
        .collect();
    let again = voices[0].updates(0, 1);
    let make = || {
        let mut rib = Rib::new(configure(feed::router()));
        for (peer, voice) in (0u32..).zip(voices) {
            let session = voice.session(peer, &rib);
            rib.peer_up(session);
            let state = NextHopState {
                reachable: true,
                igp_metric: 10 * peer,
            };
            feed_all(&mut rib, feed::slot(peer), &feeds[peer as usize]);
            rib.next_hop_changed(IpAddr::V4(Ipv4Addr::from(0xc000_0201 + peer)), state);
        }
        rib.settle();
        while rib.poll_fib().is_some() {}
        let view = rib.lookup(feed::prefix(3).to_net()).expect("a route");
        let best = view.paths.iter().find_map(|path| path.reason);
        assert_eq!(best, Some(reason), "the bench measures another step");
        rib
    };
    let work = |rib: &mut Rib| {
        feed_all(rib, feed::slot(0), &again);
        if rib.config().fib {
            rib.settle();
            while let Some(change) = rib.poll_fib() {
                divan::black_box(change);
            }
        }
    };
    per_prefix(bencher, PREFIXES, make, work);
}

#[divan::bench(sample_count = 25, sample_size = 1)]
fn only_path(bencher: Bencher<'_, '_>) {
    decide(bencher, &[EXTERNAL], Reason::OnlyPath);
}

#[divan::bench(sample_count = 25, sample_size = 1)]
fn step_1_local_pref(bencher: Bencher<'_, '_>) {
    let local_pref = Some(200);
    let best = Voice {
        local_pref,
        ..INTERNAL
    };
    decide(bencher, &[best, INTERNAL], Reason::LocalPref);
}

#[divan::bench(sample_count = 25, sample_size = 1)]
fn step_2_as_path(bencher: Bencher<'_, '_>) {
    let longer = Voice {
        hops: 4,
        ..EXTERNAL
    };
    decide(bencher, &[EXTERNAL, longer], Reason::AsPath);
}

#[divan::bench(sample_count = 25, sample_size = 1)]
fn step_3_origin(bencher: Bencher<'_, '_>) {
    let origin = Origin::Incomplete;
    let worse = Voice { origin, ..EXTERNAL };
    decide(bencher, &[EXTERNAL, worse], Reason::Origin);
}

fn med(asn: u32, med: u32) -> Voice {
    let med = Some(med);
    Voice {
        asn,
        med,
        ..EXTERNAL
    }
}

#[divan::bench(sample_count = 25, sample_size = 1)]
fn step_4_med(bencher: Bencher<'_, '_>) {
    decide(bencher, &[med(65_001, 10), med(65_001, 20)], Reason::Med);
}

/// Ten paths of three neighboring ASes, each with MEDs of its own; the last step decides among
/// the three that are left.
#[divan::bench(sample_count = 25, sample_size = 1)]
fn step_4_med_10_paths_3_groups(bencher: Bencher<'_, '_>) {
    let voices: Vec<Voice> = (0..10).map(|n| med(65_001 + n % 3, 10 * n)).collect();
    decide(bencher, &voices, Reason::OlderPath);
}

#[divan::bench(sample_count = 25, sample_size = 1)]
fn step_5_peer_type(bencher: Bencher<'_, '_>) {
    decide(bencher, &[EXTERNAL, INTERNAL], Reason::PeerType);
}

#[divan::bench(sample_count = 25, sample_size = 1)]
fn step_6_igp_metric(bencher: Bencher<'_, '_>) {
    let tracked = |config| RibConfig {
        track_next_hops: true,
        ..config
    };
    decide_with(bencher, &[INTERNAL; 2], Reason::IgpMetric, tracked);
}

#[divan::bench(sample_count = 25, sample_size = 1)]
fn step_7_older_path(bencher: Bencher<'_, '_>) {
    decide(bencher, &[EXTERNAL; 2], Reason::OlderPath);
}

#[divan::bench(sample_count = 25, sample_size = 1)]
fn step_8_router_id(bencher: Bencher<'_, '_>) {
    decide(bencher, &[INTERNAL; 2], Reason::RouterId);
}

fn reflected(clusters: u32) -> Voice {
    let originator = Some(0x0a09_0909);
    Voice {
        originator,
        clusters,
        ..INTERNAL
    }
}

#[divan::bench(sample_count = 25, sample_size = 1)]
fn step_9_cluster_length(bencher: Bencher<'_, '_>) {
    let voices = [reflected(1), reflected(2)];
    decide(bencher, &voices, Reason::ClusterLength);
}

#[divan::bench(sample_count = 25, sample_size = 1)]
fn step_10_neighbor_address(bencher: Bencher<'_, '_>) {
    let voices = [reflected(1); 2];
    decide(bencher, &voices, Reason::NeighborAddress);
}

/// Eight equal paths become one route of eight next hops for the kernel, read with `poll_fib`.
#[divan::bench(sample_count = 25, sample_size = 1)]
fn ecmp_of_8(bencher: Bencher<'_, '_>) {
    let multipath = |config| RibConfig {
        multipath: 8,
        fib: true,
        ..config
    };
    decide_with(bencher, &[EXTERNAL; 8], Reason::OlderPath, multipath);
}

/// The same with the kernel's route and a single path.
#[divan::bench(sample_count = 25, sample_size = 1)]
fn ecmp_of_1(bencher: Bencher<'_, '_>) {
    let multipath = |config| RibConfig {
        multipath: 8,
        fib: true,
        ..config
    };
    decide_with(bencher, &[EXTERNAL], Reason::OnlyPath, multipath);
}
