//! Commands that change something: clear, drain, reload, pools.
//!
//! Who may send them is checked before they get here (see `ctl::access`). Each answers with a
//! sentence per thing it touched, so that "nothing happened" and "it was done" look different.

use std::net::IpAddr;

use ctl::server::Replies;
use proto_codec::control::view::{Notice, PlanChange, PlanImpact};
use proto_codec::control::{ClearTarget, Fault, FaultKind, SoftDirection, Tail, View};

use super::{Answer, Context, send};
use crate::config::Impact;
use crate::daemon::ReloadFailure;
use crate::origin::PoolError;
use crate::speaker::operator::{Clear, Target};

fn notice(subject: Option<String>, text: impl Into<String>) -> View {
    View::Notice(Notice {
        subject,
        text: text.into(),
    })
}

/// `clear bgp …`.
pub(super) async fn clear(
    context: &Context,
    replies: &Replies,
    target: ClearTarget,
    soft: Option<SoftDirection>,
) -> Answer {
    let (target, missing) = match target {
        ClearTarget::All => (Target::All, "there are no neighbors".to_owned()),
        ClearTarget::Neighbor(address) => (
            Target::Neighbor(address),
            format!("there is no neighbor {address}"),
        ),
        ClearTarget::PeerGroup(name) => {
            let missing = format!("no neighbor belongs to a peer group {name}");
            (Target::PeerGroup(name), missing)
        }
    };
    let clear = match soft {
        None => Clear::Hard,
        Some(direction) => Clear::Soft {
            inbound: direction != SoftDirection::Out,
            outbound: direction != SoftDirection::In,
        },
    };
    let done = context
        .node
        .step(|speaker, now| speaker.clear(now, &target, clear));
    if done.is_empty() {
        return Ok(Err(Fault::not_found(missing)));
    }
    let rows = done
        .into_iter()
        .map(|(address, text)| notice(Some(address.to_string()), text));
    send(replies, rows).await?;
    Ok(Ok(Tail::default()))
}

/// `drain [undo]`.
pub(super) async fn drain(context: &Context, replies: &Replies, undo: bool) -> Answer {
    let (changed, cluster, wait) = context.node.step(|speaker, now| {
        let changed = speaker.drain(now, !undo);
        let cluster = speaker.drained_by_cluster().map(str::to_owned);
        let table = speaker.config().kubernetes.as_ref();
        (changed, cluster, table.map(|table| table.drain_time))
    });
    let text = match (undo, changed) {
        (false, true) => "draining: everything is announced with GRACEFUL_SHUTDOWN (RFC 8326)",
        (false, false) => "already drained",
        (true, true) => "drain taken back",
        (true, false) => "not drained",
    };
    let mut rows = vec![notice(None, text)];
    // Services of a drained node are not announced again by a restart.
    if wait.is_some()
        && let Err(error) = context.node.pool_state.save_drained(!undo)
    {
        rows.push(notice(None, format!("a restart will forget this: {error}")));
    }
    if let (Some(wait), false, true) = (wait, undo, changed) {
        let wait = ctl::config::duration_text(wait);
        let text = format!("what services ask for is withdrawn after {wait}");
        rows.push(notice(None, text));
    }
    if let Some(why) = cluster {
        rows.push(notice(None, format!("the cluster drains this node: {why}")));
    }
    send(replies, rows).await?;
    Ok(Ok(Tail::default()))
}

/// `reload [--check]`.
pub(super) async fn reload(context: &Context, replies: &Replies, check_only: bool) -> Answer {
    let plan = match crate::daemon::reload(&context.node, &context.config_path, check_only) {
        Ok(plan) => plan,
        Err(ReloadFailure::Config(faults)) => {
            return Ok(Err(Fault::new(FaultKind::BadConfig, faults.render(false))));
        }
        Err(error) => return Ok(Err(Fault::new(FaultKind::Refused, error.to_string()))),
    };
    let rows = plan.changes.into_iter().map(|change| {
        View::PlanChange(PlanChange {
            what: change.what,
            impact: match change.impact {
                Impact::Hitless => PlanImpact::Hitless,
                Impact::SoftIn => PlanImpact::SoftIn,
                Impact::SoftOut => PlanImpact::SoftOut,
                Impact::NextSession => PlanImpact::NextSession,
                Impact::SessionReset => PlanImpact::SessionReset,
                Impact::Restart => PlanImpact::Restart,
            },
            neighbor: change.neighbor,
            applied: !check_only && change.impact != Impact::Restart,
        })
    });
    send(replies, rows).await?;
    Ok(Ok(Tail::default()))
}

/// `pool use ADDRESS`.
pub(super) async fn pool_use(context: &Context, replies: &Replies, address: IpAddr) -> Answer {
    let outcome = context
        .node
        .step(|speaker, now| speaker.pool_use(now, address));
    let text = match outcome {
        Ok(pool) => format!("in use, of pool {pool}"),
        // Said twice is as good as once: whoever asks for it has it.
        Err(PoolError::InUse(_, pool)) => format!("in use already, of pool {pool}"),
        Err(error) => return Ok(Err(Fault::not_found(error.to_string()))),
    };
    pool_changed(context, replies, address, text).await
}

/// `pool release ADDRESS`.
pub(super) async fn pool_release(context: &Context, replies: &Replies, address: IpAddr) -> Answer {
    let outcome = context
        .node
        .step(|speaker, now| speaker.pool_release(now, address));
    match outcome {
        Ok(pool) => {
            let text = format!("given back to pool {pool}");
            pool_changed(context, replies, address, text).await
        }
        Err(error) => Ok(Err(Fault::not_found(error.to_string()))),
    }
}

/// Keeps the change over a restart before it is confirmed.
async fn pool_changed(
    context: &Context,
    replies: &Replies,
    address: IpAddr,
    text: String,
) -> Answer {
    let state = context.node.peek(|speaker, _| speaker.book().state());
    let subject = Some(address.to_string());
    let saved = context.node.pool_state.save(&state);
    send(replies, [notice(subject.clone(), text)]).await?;
    if let Err(error) = saved {
        let path = context.node.pool_state.path().display().to_string();
        let text = format!("will be forgotten at the next restart: {path}: {error}");
        send(replies, [notice(subject, text)]).await?;
    }
    Ok(Ok(Tail::default()))
}
