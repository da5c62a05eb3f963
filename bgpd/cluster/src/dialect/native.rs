//! Our own dialect: annotations on nodes and services, pools and neighbors of the file.
//!
//! Annotations start with `wayfare.dev/`. What the cluster does not say, `bgpd.toml` does, so a
//! cluster without a single annotation announces its services under the pools of the file.
//! Neighbors from nodes (mesh, reflectors) are made by [`crate::mesh`].

mod annotations;
mod services;

pub(crate) use annotations::service_faults;

use super::{Offer, Peering, ServiceAddress, View};
use crate::object::Service;

/// The dialect, made ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Native {
    services: services::Services,
}

impl Native {
    /// Reads the objects that are not services.
    pub fn prepare(view: &View<'_>, out: &mut Peering) -> Self {
        crate::mesh::prepare(view, out);
        Self {
            services: services::prepare(view, out),
        }
    }

    /// What it offers for an address of a service.
    pub fn offer(&self, service: &Service, address: &ServiceAddress, each: &mut dyn FnMut(Offer)) {
        each(self.services.offer(service, address));
    }
}
