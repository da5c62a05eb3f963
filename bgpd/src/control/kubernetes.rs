//! `show kubernetes` and `explain service`: what is read of the cluster, and what comes of it.

use ctl::server::Replies;
use proto_codec::control::{Fault, FaultKind, KubernetesKind};

use super::{Answer, Context};

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

/// Without `[kubernetes]` there is nothing to show.
fn off() -> Fault {
    let text = "no cluster is read: there is no [kubernetes] in the configuration";
    Fault::new(FaultKind::Unsupported, text)
}
