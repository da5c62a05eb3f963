//! The operator's side of the daemon: one handler per request of the control socket.
//!
//! A call is answered by a local task of its own. Handlers look at the node for one step and never
//! across a wait; what they send is a copy of facts, the CLI makes columns of it. Requests that
//! are bgpd's are refused by name.

use std::rc::Rc;
use std::time::Instant;

use ctl::server::{Call, Gone, Replies, Server};
use proto_codec::control::view::{Notice, PlanChange, PlanImpact, VrrpEvent};
use proto_codec::control::{Fault, FaultKind, MonitorTopic, Request, Tail, View, VrrpOrder};

use crate::config::Impact;
use crate::io::shared::Shared;
use crate::metrics;
use crate::node::{Entry, Node};

mod monitor;
pub(crate) mod show;
mod system;

/// How an answer ended.
type Answer = Result<Result<Tail, Fault>, Gone>;

/// Answers calls until the server is dropped.
pub async fn serve(shared: Rc<Shared>, mut server: Server) {
    loop {
        let call = server.recv().await;
        tokio::task::spawn_local(answer(Rc::clone(&shared), call));
    }
}

async fn answer(shared: Rc<Shared>, call: Call) {
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
    match dispatch(&shared, request, &replies).await {
        Ok(Ok(tail)) => replies.finish(tail).await,
        Ok(Err(fault)) => replies.fail(fault).await,
        Err(Gone) => {}
    }
}

async fn dispatch(shared: &Shared, request: Request, replies: &Replies) -> Answer {
    match request {
        Request::ShowVrrp { interface, vrid } => {
            let rows = show::rows(shared, interface.as_deref(), vrid).await;
            if rows.is_empty() && interface.is_some() {
                return Ok(Err(Fault::not_found("no such virtual router")));
            }
            let strangers =
                shared.peek(|node, now| show::strangers(node, now, interface.as_deref()));
            send(replies, rows.into_iter().chain(strangers).collect()).await
        }
        Request::ShowVrrpHistory => send(replies, shared.peek(|node, _| history(node))).await,
        Request::Vrrp { name, order } => {
            match shared.step(|node, now| obey(node, now, &name, order)) {
                Some((subject, text)) => send(replies, vec![notice(subject, &text)]).await,
                None => {
                    let text = format!("no instance and no sync group `{name}`");
                    Ok(Err(Fault::not_found(text)))
                }
            }
        }
        Request::Reload { check_only } => reload(shared, replies, check_only).await,
        Request::ShowVersion => send(replies, vec![View::Version(system::version(shared))]).await,
        Request::ShowMemory => send(replies, system::memory(shared)).await,
        Request::ShowMetrics => {
            let families = metrics::gather(shared).await.into_iter();
            send(replies, families.map(View::MetricFamily).collect()).await
        }
        Request::Monitor {
            topic: MonitorTopic::Vrrp,
        } => monitor::events(shared, replies).await,
        Request::Monitor {
            topic: MonitorTopic::Log,
        } => monitor::log(replies).await,
        _ => {
            let text = "this is vrrpd; ask bgpd for that";
            Ok(Err(Fault::new(FaultKind::Unsupported, text)))
        }
    }
}

async fn send(replies: &Replies, rows: Vec<View>) -> Answer {
    for row in rows {
        replies.row(row).await?;
    }
    Ok(Ok(Tail::default()))
}

fn history(node: &Node) -> Vec<View> {
    let entries = node.history().iter();
    entries.map(event_row).collect()
}

fn event_row(entry: &Entry) -> View {
    View::VrrpEvent(VrrpEvent {
        epoch_ms: entry.epoch_ms,
        name: entry.instance.clone(),
        text: entry.text.clone(),
    })
}

fn notice(subject: String, text: &str) -> View {
    View::Notice(Notice {
        subject: Some(subject),
        text: text.to_owned(),
    })
}

/// `vrrp (release|hold|resume) NAME`, for an instance or a whole sync group: who was meant, and
/// what follows. `None`: there is no such name.
fn obey(node: &mut Node, now: Instant, name: &str, order: VrrpOrder) -> Option<(String, String)> {
    let (group, ids) = node.meant_by(name);
    let subject = match group {
        None => name.to_owned(),
        Some(group) if group == name => format!("sync group {group}"),
        Some(group) => format!("sync group {group} ({name} moves with it)"),
    };
    let text = node.with_routers(now, &ids, |router| match order {
        VrrpOrder::Release if router.release(now) => {
            "released: the best backup takes over and is left alone until resume"
        }
        VrrpOrder::Release => "is not master: nothing to release",
        VrrpOrder::Hold => {
            router.hold(now);
            "held: takes no part until resume"
        }
        VrrpOrder::Resume => {
            router.resume(now);
            "takes part again"
        }
    });
    Some((subject, (*text.first()?).to_owned()))
}

async fn reload(shared: &Shared, replies: &Replies, check_only: bool) -> Answer {
    let plan = crate::daemon::reload(shared, &shared.config_path, check_only);
    let plan = tokio::select! {
        // Who only wanted to know may leave the queue; an order is carried out.
        () = replies.gone(), if check_only => return Err(Gone),
        plan = plan => plan,
    };
    let plan = match plan {
        Ok(plan) => plan,
        Err(faults) => {
            return Ok(Err(Fault::new(FaultKind::BadConfig, faults.render(false))));
        }
    };
    let rows = plan.changes.into_iter().map(|change| {
        View::PlanChange(PlanChange {
            what: format!("{}: {}", change.instance, change.what),
            impact: match change.impact {
                Impact::Hitless => PlanImpact::Hitless,
                Impact::MayElect => PlanImpact::MayElect,
                Impact::Restart => PlanImpact::HandsOver,
            },
            neighbor: None,
            applied: !check_only,
        })
    });
    send(replies, rows.collect()).await
}
