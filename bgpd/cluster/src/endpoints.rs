//! kube-proxy's own rule for which endpoints count (`CategorizeEndpoints`), per address family.
//!
//! ```text
//! ready(e)       = conditions.ready != false            absent = true
//! serving(e)     = conditions.serving, else ready(e)
//! terminating(e) = conditions.terminating, else false
//! usable(X)      = the ready of X, or if there are none, the serving and terminating of X
//! Cluster        = usable(all) is not empty
//! Local          = usable(those on this node) is not empty, whatever Cluster says
//! ```
//!
//! All slices of a family add up. The fallback keeps a node announcing while its last pod goes:
//! with one replica per node and policy Local, a rolling update would go dark without it. A
//! hand-written endpoint without a node counts for Cluster and never for Local. Slices of names
//! (`FQDN`) never count. `publishNotReadyAddresses` is not read: the controller already wrote
//! `ready` accordingly.

/// How many endpoints of a service, of one family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub all: u32,
    /// Ready, anywhere.
    pub ready: u32,
    /// Not ready, yet serving while they terminate.
    pub leaving: u32,
    /// On this node, in whatever state.
    pub local: u32,
    /// Ready, on this node.
    pub local_ready: u32,
    /// Serving while they terminate, on this node.
    pub local_leaving: u32,
}

impl Counts {
    /// Whether anything answers: anywhere, or on this node.
    #[must_use]
    pub fn is_served(&self, is_local: bool) -> bool {
        if is_local {
            self.local_ready > 0 || self.local_leaving > 0
        } else {
            self.ready > 0 || self.leaving > 0
        }
    }

    /// How many answer.
    #[must_use]
    pub fn usable(&self, is_local: bool) -> u32 {
        let (ready, leaving) = if is_local {
            (self.local_ready, self.local_leaving)
        } else {
            (self.ready, self.leaving)
        };
        if ready > 0 { ready } else { leaving }
    }
}

/// The endpoints of a service: IPv4, IPv6.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    v4: Counts,
    v6: Counts,
}

impl Endpoints {
    /// Counts one more endpoint.
    pub(crate) fn add(&mut self, is_ipv6: bool, is_here: bool, is_ready: bool, is_leaving: bool) {
        let counts = if is_ipv6 { &mut self.v6 } else { &mut self.v4 };
        counts.all += 1;
        counts.ready += u32::from(is_ready);
        counts.leaving += u32::from(is_leaving);
        counts.local += u32::from(is_here);
        counts.local_ready += u32::from(is_here && is_ready);
        counts.local_leaving += u32::from(is_here && is_leaving);
    }

    /// Those of one family.
    #[must_use]
    pub fn family(&self, is_ipv6: bool) -> Counts {
        if is_ipv6 { self.v6 } else { self.v4 }
    }
}
