//! What makes peers share an update group.
//!
//! Two peers are in one group when everything that decides what they are told, and how it is
//! written, is equal. All of that is one struct with derived comparison, built by one function:
//! a new knob that is forgotten here does not compile into `GroupKey::of`, whereas FRR keeps a
//! hash, a comparison and a printer in step by hand.
//!
//! The address of the peer is part of the key only where export policy asks for it.

use std::net::IpAddr;
use std::sync::Arc;

use proto_codec::afi::Family;
use proto_codec::bgp::EncodeContext;

use crate::attr::Rewrite;
use crate::origin::RestrictId;
use crate::peer::{AddPathTx, PeerSession, RibConfig};
use crate::policy::Policy;

/// The identity of an update group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct GroupKey {
    /// How attributes are rewritten; holds family and kind of peer.
    pub rewrite: Rewrite,
    /// How messages are encoded.
    pub encode: EncodeContext,
    /// How many paths are told.
    pub add_path: AddPathTx,
    /// What is told.
    pub export: Arc<Policy>,
    /// The peer itself, where `export` matches on it.
    pub neighbor: Option<IpAddr>,
    /// Restricted routes of ours this peer may have.
    pub restricts: Vec<RestrictId>,
}

impl GroupKey {
    /// The group a session belongs to.
    pub fn of(
        session: &PeerSession,
        family: Family,
        config: &RibConfig,
        restricts: Vec<RestrictId>,
    ) -> Self {
        let rewrite = Rewrite {
            family,
            kind: session.kind,
            local_asn: session.local_asn,
            local_v4: session.local_v4,
            local_v6: session.local_v6,
            local_link_local: session.local_link_local,
            cluster_id: config.cluster_id,
            next_hop_self: session.next_hop_self,
            next_hop_keep: session.next_hop_keep,
            ext_next_hop: session.encode.ext_next_hop,
            role: session.role.filter(|_| !session.kind.is_internal()),
            default_local_pref: config.default_local_pref,
        };
        Self {
            rewrite,
            encode: session.encode,
            add_path: family.pick(session.add_path_tx),
            export: Arc::clone(&session.export),
            neighbor: session.export.uses_neighbor.then_some(session.address),
            restricts,
        }
    }

    /// The family of the group.
    pub fn family(&self) -> Family {
        self.rewrite.family
    }
}
