//! What runs in a cluster to `bgpd.toml`.
//!
//! What other speakers keep in objects stays there: `wayfare-bgpd` reads the very objects and
//! annotations, so the file says where and whose. What they keep on a command line is converted,
//! a verdict on each flag. The readers are those of the daemon (`cluster`): what is taken here is
//! taken there, and in the same sense.

mod kube_router;
pub(crate) mod manifest;
mod objects;

pub(super) use kube_router::convert as kube_router;
pub(super) use objects::convert as objects;
