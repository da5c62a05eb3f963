//! Which changes of a service are worth an event. Pure.
//!
//! An event tells a user of `kubectl describe service` what happened to the addresses: announced
//! (and to how many neighbors), withdrawn, or held back with the reason. What a daemon finds at its
//! start is no news, since every restart of every node would tell it again of every service. Nor is
//! that a session comes or goes: it would be news of all services at once, and sessions have their
//! own log. Only an announcement that nobody was there to hear is told of once more, when the first
//! neighbor was told.

use std::collections::BTreeMap;

use cluster::object::ObjectName;
use ipnet::IpNet;

use super::{Reality, ServiceReality};

/// A change worth telling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct News {
    /// The service.
    pub service: ObjectName,
    /// `Normal`, or `Warning` for what a user would not want.
    pub kind: &'static str,
    /// A word for machines: `Announced`, `Withdrawn`, `NotAnnounced`.
    pub reason: &'static str,
    /// A sentence for people.
    pub text: String,
}

/// What was told of last.
#[derive(Debug, Default)]
pub(super) struct Journal {
    known: Option<BTreeMap<ObjectName, Known>>,
}

/// A service as it was at the last look.
#[derive(Clone, Debug, Default)]
struct Known {
    announced: Vec<IpNet>,
    /// Some neighbor was told of what is announced.
    was_told: bool,
    held_back: Option<String>,
}

impl Known {
    fn of(service: &ServiceReality, before: Option<&Known>, is_first: bool) -> Self {
        let was_told =
            before.is_some_and(|before| before.was_told && before.announced == service.announced);
        Self {
            announced: service.announced.clone(),
            was_told: is_first || was_told || !service.told.is_empty(),
            held_back: service.held_back.clone(),
        }
    }
}

impl Journal {
    /// What is new since the last look.
    pub fn look(&mut self, node: &str, reality: &Reality) -> Vec<News> {
        let is_first = self.known.is_none();
        let known = self.known.take().unwrap_or_default();
        let none = Known::default();
        let mut news = Vec::new();
        for (name, service) in reality.services.iter() {
            let before = known.get(name).unwrap_or(&none);
            if !is_first && let Some((kind, reason, text)) = change(node, before, service) {
                news.push(News {
                    service: name.clone(),
                    kind,
                    reason,
                    text,
                });
            }
        }
        // A service that is gone takes its events with it: nobody reads them.
        let now = reality.services.iter().map(|(name, service)| {
            let now = Known::of(service, known.get(name), is_first);
            (name.clone(), now)
        });
        self.known = Some(now.collect());
        news
    }
}

fn change(
    node: &str,
    before: &Known,
    after: &ServiceReality,
) -> Option<(&'static str, &'static str, String)> {
    if !after.announced.is_empty() {
        let is_told = before.was_told || after.told.is_empty();
        let same = before.announced == after.announced && is_told;
        return (!same).then(|| {
            let told = match after.told.len() {
                0 => "no neighbor yet".to_owned(),
                1 => "1 neighbor".to_owned(),
                count => format!("{count} neighbors"),
            };
            let text = format!("{} announced from {node} to {told}", list(&after.announced));
            ("Normal", "Announced", text)
        });
    }
    let why = after.held_back.as_deref().unwrap_or("no longer wanted");
    if !before.announced.is_empty() {
        let text = format!("{} withdrawn from {node}: {why}", list(&before.announced));
        return Some(("Normal", "Withdrawn", text));
    }
    (after.held_back.is_some() && before.held_back != after.held_back).then(|| {
        (
            "Normal",
            "NotAnnounced",
            format!("not announced from {node}: {why}"),
        )
    })
}

fn list(prefixes: &[IpNet]) -> String {
    let texts: Vec<String> = prefixes.iter().map(ToString::to_string).collect();
    texts.join(", ")
}
