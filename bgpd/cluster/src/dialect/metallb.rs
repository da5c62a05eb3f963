//! MetalLB's dialect: its custom resources, and the ConfigMap of its first years.

use super::{Offer, Peering, ServiceAddress, View};
use crate::Fault;
use crate::object::{Meta, Service};

/// The dialect, made ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metallb {}

impl Metallb {
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
    /// `BGPPeer`.
    BgpPeer,
    /// `BGPAdvertisement`.
    BgpAdvertisement,
    /// `IPAddressPool`.
    IpAddressPool,
    /// `L2Advertisement`.
    L2Advertisement,
    /// `BFDProfile`.
    BfdProfile,
    /// `Community`.
    Community,
}

impl Kind {
    /// The kind of this name.
    #[must_use]
    pub fn of(kind: &str) -> Option<Self> {
        match kind {
            "BGPPeer" => Some(Self::BgpPeer),
            "BGPAdvertisement" => Some(Self::BgpAdvertisement),
            "IPAddressPool" => Some(Self::IpAddressPool),
            "L2Advertisement" => Some(Self::L2Advertisement),
            "BFDProfile" => Some(Self::BfdProfile),
            "Community" => Some(Self::Community),
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
            crate::object::Kind::Metallb(kind),
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
