//! Why a route is used, or not, and why a peer is told of it, or not.
//!
//! Every step calls the function that decided when the route came: the import policy over the
//! attributes as received, the decision process over the paths, the export rules and the export
//! policy over the best path. A second implementation that only explains would sooner or later
//! explain something else than what happens.

use std::net::IpAddr;

use ipnet::IpNet;
use proto_codec::afi::Family;
use proto_codec::prefix::PrefixKey;

use super::Rib;
use super::export::{may_go, own_choice, subject as export_subject};
use super::import::shown;
use super::plane::{RibFamily, for_family};
use super::view::{RouteView, route_view};
use crate::dest::Dest;
use crate::path::{Path, PathKind};
use crate::peer::PeerSlot;
use crate::policy::RuleTrace;

/// Where in the way of a route a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// The route is looked up.
    Received,
    /// Import policy.
    Import,
    /// The decision process.
    BestPath,
    /// Export rules and policy.
    Export,
}

impl Stage {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Received => "received",
            Stage::Import => "import",
            Stage::BestPath => "best path",
            Stage::Export => "export",
        }
    }
}

/// One step, what was tried, and what came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainStep {
    /// Where it is.
    pub stage: Stage,
    /// What it is about: `path from 192.0.2.1`, `to 192.0.2.2`.
    pub subject: String,
    /// The policy that was asked, if one was.
    pub policy: Option<String>,
    /// Its rules in the order they were tried.
    pub rules: Vec<RuleTrace>,
    /// What came out.
    pub verdict: String,
}

impl Rib {
    /// Follows a prefix through the tables, and, if `to` is given, out to that peer.
    pub fn explain(&self, prefix: IpNet, to: Option<PeerSlot>) -> Vec<ExplainStep> {
        for_family!(Family::of(&prefix), A => self.explain_in::<A>(prefix, to))
    }

    fn explain_in<A: RibFamily>(&self, prefix: IpNet, to: Option<PeerSlot>) -> Vec<ExplainStep> {
        let table = &A::plane(&self.planes).table;
        let found = A::Prefix::from_net(prefix).and_then(|key| {
            let id = table.find(key)?;
            table.get(id).filter(|dest| !dest.paths().is_empty())
        });
        let Some(dest) = found else {
            return vec![step(Stage::Received, prefix, "no path in the table")];
        };
        let mut steps: Vec<ExplainStep> = dest
            .paths()
            .iter()
            .map(|path| self.explain_import(prefix, path))
            .collect();
        let view = route_view::<A>(dest, &self.core);
        steps.push(step(Stage::BestPath, prefix, &best_verdict(&view)));
        if let Some(slot) = to {
            steps.push(self.explain_export::<A>(prefix, dest, slot));
        }
        steps
    }

    fn explain_import(&self, prefix: IpNet, path: &Path) -> ExplainStep {
        let peer = self.core.peers.get(path.source).map(|peer| &peer.session);
        let Some((session, set)) = peer.zip(self.core.attrs.get(path.received)) else {
            let source = self.core.origins.name(path.path_id).unwrap_or("?");
            let subject = format!("{prefix} from {source}");
            return step(
                Stage::Import,
                subject,
                "starts here, not subject to import policy",
            );
        };
        let attrs = shown(set, session);
        let subject = super::import::subject(prefix, &attrs, session);
        let (verdict, rules) = session.import.explain(subject);
        let mut words = policy_verdict(verdict.accept, verdict.rule);
        if !path.is_filtered() && !path.is_valid() {
            words.push_str("; its next hop ");
            words.push_str(&set.next_hop().addr().to_string());
            words.push_str(" is not reachable");
        }
        ExplainStep {
            policy: Some(session.import.name().to_owned()),
            rules,
            ..step(
                Stage::Import,
                format!("{prefix} from {}", session.address),
                &words,
            )
        }
    }

    fn explain_export<A: RibFamily>(
        &self,
        prefix: IpNet,
        dest: &Dest<A::Prefix>,
        slot: PeerSlot,
    ) -> ExplainStep {
        let family = A::FAMILY;
        let Some(peer) = self.core.peers.get(slot) else {
            return step(Stage::Export, prefix, "no such session");
        };
        let to: IpAddr = peer.session.address;
        let say = |verdict: &str| step(Stage::Export, format!("{prefix} to {to}"), verdict);
        let Some(group) = family.pick(peer.groups).and_then(|id| self.groups.get(id)) else {
            return say(&format!("{family} is not spoken with this neighbor"));
        };
        // Of our own paths the neighbor may have another one than the best.
        let best = dest.best().map(|best| match best.kind {
            PathKind::Local => own_choice(&group.key, dest, &self.core).unwrap_or(best),
            _ => best,
        });
        let Some((path, set)) =
            best.and_then(|path| Some((path, self.core.attrs.get(path.attrs)?)))
        else {
            return say("not told: there is no best path");
        };
        if path.source == slot {
            return say("not told: it is the neighbor's own route");
        }
        let source = self.core.peers.source(path.source);
        let hot = self.core.attrs.hot(path.attrs);
        if let Err(reason) = may_go(&group.key, path, source, hot) {
            return say(&format!("not told: {}", reason.as_str()));
        }
        let subject = export_subject(&group.key, prefix, path, set, &self.core);
        let (verdict, rules) = group.key.export.explain(subject);
        let words = policy_verdict(verdict.accept, verdict.rule);
        ExplainStep {
            policy: Some(group.key.export.name().to_owned()),
            rules,
            ..say(&words)
        }
    }
}

fn step(stage: Stage, subject: impl ToString, verdict: &str) -> ExplainStep {
    ExplainStep {
        stage,
        subject: subject.to_string(),
        policy: None,
        rules: Vec::new(),
        verdict: verdict.to_owned(),
    }
}

fn policy_verdict(accept: bool, rule: Option<u16>) -> String {
    let verdict = if accept { "accepted" } else { "rejected" };
    match rule {
        Some(rule) => format!("{verdict} by rule {}", u32::from(rule) + 1),
        None => format!("{verdict}: no rule decided"),
    }
}

fn best_verdict(view: &RouteView) -> String {
    let Some(best) = view.paths.iter().find(|path| path.best) else {
        return "no path is usable".to_owned();
    };
    let from = match (best.kind, best.peer, &best.origin_source) {
        (PathKind::Local, _, Some(source)) => format!("the route of {source}"),
        (_, Some(peer), _) => format!("the path from {peer}"),
        _ => "a local route".to_owned(),
    };
    let reason = best.reason.map_or("", |reason| reason.as_str());
    let beside = view.paths.iter().filter(|path| path.multipath).count();
    match beside {
        0 | 1 => format!("{from} is best ({reason})"),
        _ => format!("{from} is best ({reason}), {beside} paths in use"),
    }
}
