//! `explain route`: every decision about a prefix, in the order it is made.
//!
//! The RIB explains with the functions that decide (see `rib`), so what is said here is what
//! happened. What the kernel has been asked for comes last.

use std::net::IpAddr;

use ctl::server::Replies;
use ipnet::IpNet;
use proto_codec::control::view::{ExplainStep, RuleVerdict};
use proto_codec::control::{Fault, Tail, View};

use super::{Answer, Context, send};
use crate::speaker::Speaker;

/// `explain route PREFIX [to ADDRESS]`.
pub(super) async fn route(
    context: &Context,
    replies: &Replies,
    prefix: IpNet,
    to: Option<IpAddr>,
) -> Answer {
    let steps = context.node.peek(|speaker, _| steps(speaker, prefix, to));
    match steps {
        Err(fault) => Ok(Err(fault)),
        Ok(steps) => {
            send(replies, steps.into_iter().map(View::ExplainStep)).await?;
            Ok(Ok(Tail::default()))
        }
    }
}

fn steps(speaker: &Speaker, prefix: IpNet, to: Option<IpAddr>) -> Result<Vec<ExplainStep>, Fault> {
    let unknown = |address| Fault::not_found(format!("there is no neighbor {address}"));
    let slot = match to {
        None => None,
        Some(address) => Some(
            speaker
                .peers()
                .slot_of(address)
                .ok_or_else(|| unknown(address))?,
        ),
    };
    let is_host = prefix.prefix_len() == prefix.max_prefix_len();
    let found = match speaker.rib().lookup(prefix) {
        None if is_host => speaker.rib().longest_match(prefix.addr()),
        exact => exact,
    };
    let prefix = found.as_ref().map_or(prefix, |route| route.prefix);
    let mut steps: Vec<ExplainStep> = speaker
        .rib()
        .explain(prefix, slot)
        .into_iter()
        .map(|step| ExplainStep {
            stage: step.stage.as_str().to_owned(),
            subject: step.subject,
            rules: step
                .rules
                .into_iter()
                .map(|rule| RuleVerdict {
                    policy: step.policy.clone().unwrap_or_default(),
                    rule: u32::try_from(rule.rule).unwrap_or(u32::MAX),
                    matched: rule.matched,
                    detail: rule.detail,
                })
                .collect(),
            verdict: step.verdict,
        })
        .collect();
    let best = found.is_some_and(|route| route.paths.iter().any(|path| path.best));
    let verdict = match (&speaker.config().kernel, best) {
        (None, _) => "nothing is written: there is no [kernel] in the configuration".to_owned(),
        (Some(_), false) => "nothing is asked for: there is no best path".to_owned(),
        (Some(kernel), true) => match speaker.left_out(&prefix) {
            Some(reason) => reason,
            None => format!("asked for in table {}", kernel.table),
        },
    };
    steps.push(ExplainStep {
        stage: "kernel".to_owned(),
        subject: prefix.to_string(),
        rules: Vec::new(),
        verdict,
    });
    Ok(steps)
}
