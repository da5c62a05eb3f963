//! Which changes of a service are worth an event. Pure.
//!
//! An event tells a user of `kubectl describe service` what happened to the addresses: announced
//! (and to how many neighbors), withdrawn, or held back with the reason. A service that has always
//! been held back is told of once; a daemon that starts tells of nothing that a restart did not
//! change, which is why the first look makes no news of what is announced.

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
    known: Option<BTreeMap<ObjectName, ServiceReality>>,
}

impl Journal {
    /// What is new since the last look.
    pub fn look(&mut self, node: &str, reality: &Reality) -> Vec<News> {
        let is_first = self.known.is_none();
        let known = self.known.take().unwrap_or_default();
        let none = ServiceReality::default();
        let mut news = Vec::new();
        for (name, service) in &reality.services {
            let before = known.get(name).unwrap_or(&none);
            if is_first && service.held_back.is_none() {
                continue;
            }
            if let Some((kind, reason, text)) = change(node, before, service) {
                news.push(News {
                    service: name.clone(),
                    kind,
                    reason,
                    text,
                });
            }
        }
        // A service that is gone takes its events with it: nobody reads them.
        self.known = Some(reality.services.clone());
        news
    }
}

fn change(
    node: &str,
    before: &ServiceReality,
    after: &ServiceReality,
) -> Option<(&'static str, &'static str, String)> {
    if !after.announced.is_empty() {
        let same = before.announced == after.announced && before.told.len() == after.told.len();
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
