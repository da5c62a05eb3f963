//! The operator's side of the daemon: one handler per request of the control socket.
//!
//! A call is answered by a local task of its own, so that a slow reader holds up nobody. Handlers
//! look at the speaker for one step at a time and never across a wait; what they send is a copy
//! of facts, the CLI makes columns of it. Tables are walked with a cursor, in turns that leave the
//! thread to sessions and routes while those need it (`io::listings`); a pager that stops reading
//! stops the walk. A walk therefore shows each prefix as it is when the walk gets there.
//!
//! Each request has its own function; the `match` in [`answer`] is exhaustive, so a request without
//! a handler does not compile.

use std::path::PathBuf;
use std::rc::Rc;

use ctl::server::{Call, Gone, Replies, Server};
use proto_codec::control::{Fault, FaultKind, Head, Request, Tail, View};

use crate::io::events::epoch_ms;
use crate::io::node::Node;

mod change;
mod explain;
#[cfg(feature = "kubernetes")]
mod kubernetes;
#[cfg(not(feature = "kubernetes"))]
#[path = "no_kubernetes.rs"]
mod kubernetes;
pub mod metrics;
mod monitor;
mod paths;
mod show_peer;
mod show_route;
mod summary;
mod system;

/// Prefixes looked at before a turn looks at the clock again.
pub const ROWS_PER_STEP: usize = 64;

/// What every handler has at hand.
#[derive(Debug, Clone)]
struct Context {
    node: Rc<Node>,
    /// The configuration file.
    config_path: PathBuf,
}

/// How an answer ended.
type Answer = Result<Result<Tail, Fault>, Gone>;

/// Answers calls until the server is dropped.
pub async fn serve(node: Rc<Node>, mut server: Server, config_path: PathBuf) {
    let context = Context { node, config_path };
    loop {
        let call = server.recv().await;
        tokio::task::spawn_local(answer(context.clone(), call));
    }
}

async fn answer(context: Context, call: Call) {
    let Call {
        request,
        credentials,
        replies,
    } = call;
    if request.changes() {
        tracing::info!(
            uid = credentials.uid,
            pid = credentials.pid,
            "operator: {request:?}"
        );
    }
    context.node.operators.short().await;
    match dispatch(&context, request, &replies).await {
        Ok(Ok(tail)) => replies.finish(tail).await,
        Ok(Err(fault)) => replies.fail(fault).await,
        Err(Gone) => {}
    }
}

async fn dispatch(context: &Context, request: Request, replies: &Replies) -> Answer {
    match request {
        Request::ShowBgpSummary { family } => summary::show(context, replies, family).await,
        Request::ShowBgpTable { family, filter } => {
            show_route::table(context, replies, family, filter).await
        }
        Request::ShowBgpPrefix {
            prefix,
            exact,
            paths,
        } => show_route::prefix(context, replies, (prefix, exact), paths).await,
        Request::ShowBgpNeighbors { address } => {
            show_peer::neighbors(context, replies, address).await
        }
        Request::ShowNeighborRoutes {
            address,
            kind,
            family,
        } => show_route::of_neighbor(context, replies, address, (kind, family)).await,
        Request::ShowAdvertisements => system::advertisements(context, replies).await,
        Request::ShowIpRoute {
            family,
            bgp_only,
            prefix,
        } => system::ip_route(context, replies, family, (bgp_only, prefix)).await,
        Request::ShowVersion => system::version(context, replies).await,
        Request::ShowMemory => system::memory(context, replies).await,
        Request::ShowMetrics => metrics::show(context, replies).await,
        Request::ExplainRoute { prefix, to } => explain::route(context, replies, prefix, to).await,
        Request::ExplainService { namespace, name } => {
            kubernetes::service(context, replies, (namespace, name)).await
        }
        Request::ShowKubernetes => kubernetes::status(context, replies).await,
        Request::ShowKubernetesObjects { kind } => {
            kubernetes::objects(context, replies, kind).await
        }
        Request::ClearBgp { target, soft } => change::clear(context, replies, target, soft).await,
        Request::Drain { undo } => change::drain(context, replies, undo).await,
        Request::Reload { check_only } => change::reload(context, replies, check_only).await,
        Request::PoolUse { address } => change::pool_use(context, replies, address).await,
        Request::PoolRelease { address } => change::pool_release(context, replies, address).await,
        Request::ShowPools => system::pools(context, replies).await,
        Request::ShowVrrp { .. } | Request::ShowVrrpHistory | Request::Vrrp { .. } => {
            let text = "this is bgpd; virtual routers are vrrpd's";
            Ok(Err(Fault::new(FaultKind::Unsupported, text)))
        }
        Request::Monitor { topic } => monitor::watch(context, replies, topic).await,
    }
}

impl Context {
    /// What belongs above the rows of an answer.
    fn head(&self, family: Option<proto_codec::control::Family>) -> Head {
        self.node.peek(|speaker, _| Head {
            family,
            router_id: speaker.config().router.router_id,
            asn: speaker.config().router.asn,
            table_version: family.map_or(0, |family| {
                speaker.rib().table_stats(internal(family)).version
            }),
            default_local_pref: speaker.config().router.default_local_pref,
            now_epoch_ms: epoch_ms(),
            host: speaker.host().node_name.clone(),
        })
    }
}

/// Sends rows, waiting while the client reads slowly.
async fn send(replies: &Replies, rows: impl IntoIterator<Item = View>) -> Result<(), Gone> {
    for row in rows {
        replies.row(row).await?;
    }
    Ok(())
}

/// A family as the operator names it, in the words of the codec.
fn internal(family: proto_codec::control::Family) -> proto_codec::afi::Family {
    match family {
        proto_codec::control::Family::Ipv4Unicast => proto_codec::afi::Family::Ipv4Unicast,
        proto_codec::control::Family::Ipv6Unicast => proto_codec::afi::Family::Ipv6Unicast,
    }
}

/// A family as the operator names it.
fn shown(family: proto_codec::afi::Family) -> proto_codec::control::Family {
    match family {
        proto_codec::afi::Family::Ipv4Unicast => proto_codec::control::Family::Ipv4Unicast,
        proto_codec::afi::Family::Ipv6Unicast => proto_codec::control::Family::Ipv6Unicast,
    }
}
