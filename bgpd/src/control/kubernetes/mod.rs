//! `show kubernetes`, its lists, and `explain service`: what is read of the cluster, and what comes
//! of it.
//!
//! The planner lives on a thread of its own and is asked there, between two plans. A list of
//! thousands of services is asked for in pages of [`PAGE`], so that an event that comes meanwhile
//! waits for a page and not for the list.

mod objects;
mod status;

use cluster::object::ObjectName;
use cluster::{AddressExplained, ServiceExplained};
use ctl::server::Replies;
use proto_codec::control::view::{ExplainStep, RuleVerdict};
use proto_codec::control::{Fault, FaultKind, KubernetesKind, Tail, View};

use super::{Answer, Context, send};
use crate::planning::PlannerHandle;

pub(super) use status::samples;

/// Services that are looked at in one go: some milliseconds.
const PAGE: usize = 128;

/// `show kubernetes`.
pub(super) async fn status(context: &Context, replies: &Replies) -> Answer {
    let Some(planner) = context.node.planner() else {
        return Ok(Err(off()));
    };
    let Some(rows) = status::rows(&context.node, planner).await else {
        return Ok(Err(gone()));
    };
    send(replies, rows).await?;
    Ok(Ok(Tail::default()))
}

/// `show kubernetes services|nodes|pools`.
pub(super) async fn objects(context: &Context, replies: &Replies, kind: KubernetesKind) -> Answer {
    let Some(planner) = context.node.planner() else {
        return Ok(Err(off()));
    };
    let rows = match kind {
        KubernetesKind::Services => return services(planner, replies).await,
        KubernetesKind::Nodes => objects::nodes(&context.node, planner).await,
        KubernetesKind::Pools => objects::pools(planner).await,
    };
    let Some(rows) = rows else {
        return Ok(Err(gone()));
    };
    send(replies, rows).await?;
    Ok(Ok(Tail::default()))
}

async fn services(planner: &PlannerHandle, replies: &Replies) -> Answer {
    let mut after: Option<ObjectName> = None;
    loop {
        let from = after.take();
        let page = planner.ask(move |planner| objects::services(planner, from.as_ref(), PAGE));
        let Some((rows, next)) = page.await else {
            return Ok(Err(gone()));
        };
        send(replies, rows).await?;
        after = next;
        if after.is_none() {
            return Ok(Ok(Tail::default()));
        }
    }
}

/// `explain service NAMESPACE/NAME`.
pub(super) async fn service(
    context: &Context,
    replies: &Replies,
    (namespace, name): (String, String),
) -> Answer {
    let Some(planner) = context.node.planner() else {
        return Ok(Err(off()));
    };
    let object = ObjectName::new(&namespace, &name);
    let found = planner.ask(move |planner| planner.explain_service(&object));
    let Some(found) = found.await else {
        return Ok(Err(gone()));
    };
    let Some(explained) = found else {
        let text = format!("there is no service {namespace}/{name}");
        return Ok(Err(Fault::not_found(text)));
    };
    send(replies, steps(explained).into_iter().map(View::ExplainStep)).await?;
    Ok(Ok(Tail::default()))
}

/// A step for each address, and one for what is wrong with the object.
fn steps(explained: ServiceExplained) -> Vec<ExplainStep> {
    let mut steps: Vec<ExplainStep> = explained.addresses.iter().map(address_step).collect();
    if !explained.faults.is_empty() {
        steps.push(ExplainStep {
            stage: "faults".to_owned(),
            subject: explained.service.to_string(),
            rules: Vec::new(),
            verdict: explained
                .faults
                .iter()
                .map(|fault| match &*fault.path {
                    "" => fault.text.to_string(),
                    path => format!("{path}: {}", fault.text),
                })
                .collect::<Vec<_>>()
                .join("; "),
        });
    }
    steps
}

/// The rules about an address of a service, as a step.
pub(super) fn address_step(address: &AddressExplained) -> ExplainStep {
    let rules = address.verdicts.iter().map(|verdict| RuleVerdict {
        policy: verdict.rule.id().to_owned(),
        rule: 0,
        matched: verdict.holds,
        detail: match &*verdict.object {
            "" => verdict.text.to_string(),
            object => format!("{} [{object}]", verdict.text),
        },
    });
    ExplainStep {
        stage: address.kind.as_str().to_owned(),
        subject: format!("{} of {}", address.address, address.service),
        rules: rules.collect(),
        verdict: outcome(address),
    }
}

/// What came out for an address.
fn outcome(address: &AddressExplained) -> String {
    let list = |routes: &[cluster::Announcement]| {
        let mut prefixes: Vec<String> = routes.iter().map(|r| r.prefix.to_string()).collect();
        prefixes.dedup();
        prefixes.join(", ")
    };
    match (address.is_announced(), address.covered_by.is_empty()) {
        (true, _) => format!("announced: {}", list(&address.announced)),
        (false, false) => format!("covered by {}", list(&address.covered_by)),
        (false, true) => format!("not announced: {}", address.why_not()),
    }
}

/// Without `[kubernetes]` there is nothing to show.
fn off() -> Fault {
    let text = "no cluster is read: there is no [kubernetes] in the configuration";
    Fault::new(FaultKind::Unsupported, text)
}

fn gone() -> Fault {
    Fault::new(FaultKind::Busy, "the planner does not answer")
}
