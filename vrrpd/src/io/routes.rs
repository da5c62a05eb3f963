//! Routes that are there while an instance is master.
//!
//! They are put after the addresses and taken out before them, by the same thread, so that their
//! order is that of the orders. An IPv4 route gets the instance's first address as its source
//! unless told otherwise: when the address expires, because this daemon was killed, the kernel
//! takes the route out with it. An IPv6 route has a lifetime of its own. Both are written again
//! every [`REFRESH_EVERY`]: one that somebody took out comes back.
//!
//! Nothing of others is replaced. A place that is taken by somebody else's route is a problem that
//! is told once, shown for as long as it lasts, and tried again; the instance stays master.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use rib::netlink::hosts::{HostAddresses, HostRoute, RoutePut};

use super::host::Host;
use super::keeper::Order;
use crate::config::VirtualRoute;
use crate::node::{Hosts, Slot, SlotId};

/// Seconds an IPv6 route lives without a refresh; an IPv4 route goes with its source address.
const LIFETIME_S: u32 = 2;

/// Four refreshes fit in a lifetime.
const REFRESH_EVERY: Duration = Duration::from_millis(500);

/// A route to be put, and whether it was there before as ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The route.
    pub route: HostRoute,
    /// It has been put before: whatever is at its place is taken for it.
    pub known: bool,
    /// It is put for the first time: an earlier process may have left it there, and it is worth
    /// a look at the table.
    pub first: bool,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is there.
    There,
    /// It had gone, and is there again.
    PutBack,
    /// It is not there: why.
    Problem(String),
}

/// One route of an instance.
#[derive(Debug)]
struct Held {
    text: String,
    route: Option<HostRoute>,
    known: bool,
    tried: bool,
    problem: Option<String>,
}

/// The routes of masters.
#[derive(Debug, Default)]
pub struct Routes {
    held: BTreeMap<SlotId, Vec<Held>>,
    next_refresh: Option<Instant>,
    /// Orders that have no answer yet.
    under_way: usize,
}

impl Routes {
    /// Has the routes of a slot put; those it had before and does not any more are taken out.
    pub fn take(
        &mut self,
        host: &mut dyn Host,
        now: Instant,
        (id, slot, hosts): (SlotId, &Slot, &Hosts),
    ) {
        let mut before = self.held.remove(&id).unwrap_or_default();
        let wanted = slot.instance.routes.iter();
        let list: Vec<Held> = wanted
            .map(|route| {
                let (there, problem) = match resolve(route, slot, hosts) {
                    Ok(there) => (Some(there), None),
                    Err(problem) => (None, Some(problem)),
                };
                let same = before
                    .iter()
                    .position(|one| one.route == there && there.is_some());
                same.map(|at| before.swap_remove(at)).unwrap_or(Held {
                    text: route.to_string(),
                    route: there,
                    known: false,
                    tried: false,
                    problem,
                })
            })
            .collect();
        remove(host, &before);
        if list.is_empty() {
            return;
        }
        for one in &list {
            if let Some(problem) = &one.problem {
                tracing::error!(instance = slot.instance.name, route = one.text, "{problem}");
            }
        }
        self.held.insert(id, list);
        self.put(host, now, Some(id));
        self.next_refresh.get_or_insert(now + REFRESH_EVERY);
    }

    /// Has the routes of a slot taken out.
    pub fn let_go(&mut self, host: &mut dyn Host, id: SlotId) {
        let gone = self.held.remove(&id).unwrap_or_default();
        remove(host, &gone);
        if self.held.is_empty() {
            self.next_refresh = None;
        }
    }

    /// Those of a slot, as far as they can be put.
    #[must_use]
    pub fn of(slot: &Slot, hosts: &Hosts) -> Vec<HostRoute> {
        let all = slot.instance.routes.iter();
        all.filter_map(|it| resolve(it, slot, hosts).ok()).collect()
    }

    /// When the next refresh is due.
    #[must_use]
    pub fn next_refresh(&self) -> Option<Instant> {
        self.next_refresh
    }

    /// Writes what is held once more, when it is due and nothing is under way.
    pub fn refresh(&mut self, host: &mut dyn Host, now: Instant) {
        if self.next_refresh.is_some_and(|due| due <= now) {
            self.next_refresh = Some(now + REFRESH_EVERY);
            if self.under_way == 0 {
                self.put(host, now, None);
            }
        }
    }

    fn put(&mut self, host: &mut dyn Host, given: Instant, only: Option<SlotId>) {
        let held = self.held.iter_mut();
        let held = held.filter(|(id, _)| only.is_none_or(|only| only == **id));
        let mut list = Vec::new();
        for one in held.flat_map(|(_, list)| list) {
            if let Some(route) = &one.route {
                list.push(Wanted {
                    route: route.clone(),
                    known: one.known,
                    first: !std::mem::replace(&mut one.tried, true),
                });
            }
        }
        if !list.is_empty() && host.order(Order::PutRoutes { given, list }) {
            self.under_way += 1;
        }
    }

    /// What became of routes that were to be put; `None` when it was too late for all: those that
    /// are held still are put anew. When problems came or went, all of them, with whose they are.
    pub fn answered(
        &mut self,
        now: Instant,
        fates: Option<&[(HostRoute, Fate)]>,
    ) -> Option<Vec<(SlotId, String)>> {
        self.under_way = self.under_way.saturating_sub(1);
        let Some(fates) = fates else {
            self.next_refresh = self.next_refresh.map(|due| due.min(now));
            for one in self.held.values_mut().flatten() {
                one.tried &= one.known;
            }
            return None;
        };
        let mut different = false;
        for (route, fate) in fates {
            let mut all = self.held.values_mut().flatten();
            let Some(one) = all.find(|one| one.route.as_ref() == Some(route)) else {
                continue;
            };
            let problem = match fate {
                Fate::Problem(text) => Some(text.clone()),
                Fate::There | Fate::PutBack => None,
            };
            match (&one.problem, &problem) {
                (before, Some(text)) if before.as_ref() != Some(text) => {
                    tracing::error!(route = one.text, "not put: {text}; tried again");
                }
                (Some(_), None) => tracing::info!(route = one.text, "put at last"),
                (None, None) if *fate == Fate::PutBack && one.known => {
                    tracing::warn!(route = one.text, "was taken out: put back");
                }
                _ => {}
            }
            different |= one.problem != problem;
            one.known = problem.is_none();
            one.problem = problem;
        }
        different.then(|| self.problems())
    }

    fn problems(&self) -> Vec<(SlotId, String)> {
        let all = self.held.iter();
        let all = all.flat_map(|(id, list)| list.iter().map(move |one| (*id, one)));
        let problems = all.filter_map(|(id, one)| {
            let problem = one.problem.as_ref()?;
            Some((id, format!("{}: {problem}", one.text)))
        });
        problems.collect()
    }
}

fn remove(host: &mut dyn Host, list: &[Held]) {
    // One that never was ours is not taken out: the number may be somebody else's too.
    let ours = list.iter().filter(|one| one.known || one.problem.is_none());
    let list: Vec<HostRoute> = ours.filter_map(|one| one.route.clone()).collect();
    if !list.is_empty() {
        host.order(Order::RemoveRoutes(list));
    }
}

/// Names become numbers, and what is left out becomes what the instance has.
fn resolve(route: &VirtualRoute, slot: &Slot, hosts: &Hosts) -> Result<HostRoute, String> {
    let link = match (&route.dev, route.via) {
        (Some(name), _) => match hosts.link_named(name) {
            Some(link) => Some(link.index),
            None => return Err(format!("interface {name} does not exist")),
        },
        (None, Some(IpAddr::V6(via))) if via.is_unicast_link_local() => slot.link,
        (None, Some(_)) => None,
        (None, None) => slot.link,
    };
    let ipv6 = route.prefix.addr().is_ipv6();
    let first = slot.instance.settings.addresses.first().copied();
    Ok(HostRoute {
        prefix: route.prefix,
        gateway: route.via,
        link,
        source: route.src.or(first.filter(|_| !ipv6)),
        metric: route.metric,
        table: route.table,
    })
}

/// The address thread's part.
pub(super) fn put(writer: &mut HostAddresses, list: Vec<Wanted>) -> Vec<(HostRoute, Fate)> {
    let put = |one: Wanted| {
        let fate = put_one(writer, &one);
        let fate = fate.unwrap_or_else(|error| Fate::Problem(format!("netlink fails: {error}")));
        (one.route, fate)
    };
    list.into_iter().map(put).collect()
}

fn put_one(writer: &mut HostAddresses, one: &Wanted) -> io::Result<Fate> {
    Ok(match writer.put_route(&one.route, LIFETIME_S)? {
        RoutePut::Added => Fate::PutBack,
        RoutePut::Taken if one.known || (one.first && writer.has_route(&one.route)?) => {
            writer.refresh_route(&one.route, LIFETIME_S)?;
            Fate::There
        }
        RoutePut::Taken => Fate::Problem(
            "somebody else's route is at its place: take that out, or write another metric".into(),
        ),
        RoutePut::Refused(error) => {
            let reason = io::Error::from_raw_os_error(error.errno);
            let more = error
                .text
                .map_or_else(String::new, |text| format!(": {text}"));
            Fate::Problem(format!("{reason}{more}"))
        }
    })
}

/// The address thread's part; what stays is told here.
pub(super) fn take_out(writer: &mut HostAddresses, list: &[HostRoute]) {
    for route in list {
        let prefix = route.prefix;
        match writer.remove_route(route) {
            Ok(None) => {}
            Ok(Some(error)) => {
                let reason = io::Error::from_raw_os_error(error.errno);
                tracing::error!(%prefix, %reason, "virtual route stays");
            }
            Err(error) => tracing::error!(%prefix, %error, "virtual route stays"),
        }
    }
}

/// The address thread's part: what an earlier process left and no heir of it has.
pub(super) fn clean(writer: &mut HostAddresses, kept: &[HostRoute]) {
    match writer.remove_other_routes(kept) {
        Ok(removed) => {
            for prefix in removed {
                tracing::info!(%prefix, "an earlier process left this route: taken out");
            }
        }
        Err(error) => tracing::error!(%error, "routes of an earlier process may be left"),
    }
}
