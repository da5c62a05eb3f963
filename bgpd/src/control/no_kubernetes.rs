//! `show kubernetes` and `explain service` of a build that reads no cluster.
//!
//! The commands exist in every build, so that the CLI is one; here each has one answer, which says
//! what is missing.

use ctl::metrics::Collector;
use ctl::server::Replies;
use proto_codec::control::{Fault, FaultKind, KubernetesKind};

use super::{Answer, Context};
use crate::io::node::Node;

/// `show kubernetes`.
pub(super) async fn status(_: &Context, _: &Replies) -> Answer {
    Ok(Err(off()))
}

/// `show kubernetes services|nodes|pools`.
pub(super) async fn objects(_: &Context, _: &Replies, _: KubernetesKind) -> Answer {
    Ok(Err(off()))
}

/// `explain service NAMESPACE/NAME`.
pub(super) async fn service(_: &Context, _: &Replies, _: (String, String)) -> Answer {
    Ok(Err(off()))
}

/// No samples.
pub(super) fn samples(_: &Node, _: &mut Collector) {}

fn off() -> Fault {
    let text = "this build reads no cluster: it has no feature `kubernetes`";
    Fault::new(FaultKind::Unsupported, text)
}
