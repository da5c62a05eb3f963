//! kube-router's dialect: its flags and its annotations of nodes and services.
//!
//! It has no objects of its own; the flags are given in `[kubernetes]` or by `wayfare convert`
//! from the manifest of its DaemonSet.

use super::{Offer, Peering, ServiceAddress, View};
use crate::object::Service;

/// The dialect, made ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KubeRouter {}

impl KubeRouter {
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

/// The flags of kube-router that concern routing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {}
