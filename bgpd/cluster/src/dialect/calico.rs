//! Calico's dialect: BGPConfiguration, BGPPeer, BGPFilter, IPPool, BlockAffinity, node annotations.

use super::{Offer, Peering, ServiceAddress, View};
use crate::Fault;
use crate::object::{Meta, Service};

/// The dialect, made ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calico {}

impl Calico {
    /// Reads the objects that are not services.
    pub fn prepare(view: &View<'_>, out: &mut Peering) -> Self {
        let _ = (view, out);
        Self {}
    }

    /// What it offers for an address of a service.
    pub fn offer(&self, service: &Service, address: &ServiceAddress, each: &mut dyn FnMut(Offer)) {
        let _ = (service, address, each);
    }
}

/// The kinds of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `BGPConfiguration`.
    BgpConfiguration,
    /// `BGPPeer`.
    BgpPeer,
    /// `BGPFilter`.
    BgpFilter,
    /// `IPPool`.
    IpPool,
    /// `BlockAffinity`.
    BlockAffinity,
    /// `Node`.
    Node,
}

impl Kind {
    /// The kind of this name.
    #[must_use]
    pub fn of(kind: &str) -> Option<Self> {
        match kind {
            "BGPConfiguration" => Some(Self::BgpConfiguration),
            "BGPPeer" => Some(Self::BgpPeer),
            "BGPFilter" => Some(Self::BgpFilter),
            "IPPool" => Some(Self::IpPool),
            "BlockAffinity" => Some(Self::BlockAffinity),
            "Node" => Some(Self::Node),
            _ => None,
        }
    }
}

/// An object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    kind: Kind,
    meta: Meta,
}

impl Object {
    /// Reads an object.
    ///
    /// # Errors
    /// What is wrong with it, at which path.
    pub fn decode(kind: Kind, json: &[u8]) -> Result<Self, Fault> {
        let _ = json;
        Err(Fault::unreadable(
            crate::object::Kind::Calico(kind),
            "no reader for this kind",
        ))
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its name and labels.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        &self.meta
    }
}
