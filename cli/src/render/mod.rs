//! From views to what an operator reads: FRR's columns, or FRR's JSON.
//!
//! A [`Renderer`] is fed an answer as it arrives and writes at once; only what a column needs to
//! know ahead (the longest name of a summary block) is kept. [`renderer`] has one arm per request,
//! and each renderer one arm per view it can get, so a new request without a form does not
//! compile.

pub mod detail;
#[cfg(test)]
mod fixtures;
pub mod format;
pub mod json;
pub mod kubernetes;
pub mod metrics;
pub mod neighbor;
pub mod neighbor_json;
pub mod plain;
pub mod route;
pub mod summary;
pub mod table;
#[cfg(test)]
mod tests;
pub mod vrrp;

use std::io::{self, Write};

use proto_codec::control::{Family, Head, Request, Tail, View};

/// Writes the answers to one command.
pub trait Renderer {
    /// The head of an answer.
    fn head(&mut self, out: &mut dyn Write, head: Head) -> io::Result<()>;

    /// A row.
    fn row(&mut self, out: &mut dyn Write, view: View) -> io::Result<()>;

    /// The end of an answer; others may follow.
    fn tail(&mut self, _out: &mut dyn Write, _tail: Tail) -> io::Result<()> {
        Ok(())
    }

    /// The end of the last answer.
    fn finish(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

/// The renderer of a command that asks `requests`, which are all of one kind.
pub fn renderer(requests: &[Request], json: bool) -> Option<Box<dyn Renderer>> {
    let first = requests.first()?;
    Some(if json {
        json_renderer(first)
    } else {
        text_renderer(first, requests.len() > 1)
    })
}

fn text_renderer(request: &Request, several: bool) -> Box<dyn Renderer> {
    match request {
        Request::ShowBgpSummary { family } => Box::new(summary::Text::new(family.is_none())),
        Request::ShowBgpTable { .. } | Request::ShowNeighborRoutes { .. } => {
            Box::new(table::Text::new(table::Kind::of(request), several))
        }
        Request::ShowBgpPrefix { .. } => Box::new(detail::Text::default()),
        Request::ShowBgpNeighbors { .. } => Box::new(neighbor::Text),
        Request::ShowIpRoute { family, prefix, .. } => Box::new(route::Text::new(
            prefix.is_some(),
            *family == Family::Ipv6Unicast,
        )),
        Request::ShowAdvertisements => Box::new(plain::Text::new("nothing starts here")),
        Request::ShowPools => Box::new(plain::Text::new("no pool is configured")),
        Request::ExplainRoute { .. } => Box::new(plain::Text::new("nothing is known of it")),
        Request::ExplainService { .. } => Box::new(plain::Text::new(
            "it has no address that could be announced",
        )),
        Request::ShowKubernetes => Box::new(kubernetes::Text::new("")),
        Request::ShowKubernetesObjects { .. } => {
            Box::new(kubernetes::Text::new("there is none, or none that is read"))
        }
        Request::Reload { .. } => Box::new(plain::Text::new("nothing changes")),
        Request::ClearBgp { .. } => Box::new(plain::Text::new("no neighbor matches")),
        Request::ShowVrrp { interface, .. } => Box::new(vrrp::Text::new(interface.is_some())),
        Request::ShowVrrpHistory => Box::new(vrrp::HistoryText::default()),
        Request::ShowMetrics => Box::new(metrics::Text),
        Request::ShowVersion
        | Request::ShowMemory
        | Request::Drain { .. }
        | Request::PoolUse { .. }
        | Request::PoolRelease { .. }
        | Request::Vrrp { .. }
        | Request::Monitor { .. } => Box::new(plain::Text::default()),
    }
}

fn json_renderer(request: &Request) -> Box<dyn Renderer> {
    match request {
        Request::ShowBgpSummary { family } => Box::new(summary::Json::new(family.is_none())),
        Request::ShowBgpTable { .. } | Request::ShowNeighborRoutes { .. } => {
            Box::new(table::Json::new(table::Kind::of(request)))
        }
        Request::ShowBgpPrefix { .. } => Box::new(detail::Json::default()),
        Request::ShowBgpNeighbors { .. } => Box::new(neighbor_json::Json::default()),
        Request::ShowIpRoute { .. } => Box::new(route::Json::default()),
        Request::ShowKubernetes => Box::new(kubernetes::Json::default()),
        Request::ShowVersion => Box::new(plain::Json::new(plain::Wrap::One)),
        Request::Monitor { .. } => Box::new(plain::Json::new(plain::Wrap::Lines)),
        Request::ShowAdvertisements
        | Request::ShowPools
        | Request::ExplainRoute { .. }
        | Request::ExplainService { .. }
        | Request::ShowKubernetesObjects { .. }
        | Request::Reload { .. }
        | Request::ClearBgp { .. }
        | Request::ShowMemory
        | Request::ShowMetrics
        | Request::Drain { .. }
        | Request::PoolUse { .. }
        | Request::PoolRelease { .. }
        | Request::ShowVrrp { .. }
        | Request::ShowVrrpHistory
        | Request::Vrrp { .. } => Box::new(plain::Json::new(plain::Wrap::Array)),
    }
}

/// A row that does not belong to the command: daemon and CLI are of different minds.
fn unexpected(view: &View) -> io::Result<()> {
    let text = format!("{view:?}");
    let name = text.split(['(', ' ']).next().unwrap_or_default();
    Err(io::Error::other(format!(
        "the daemon sent a {name} where it does not belong"
    )))
}
