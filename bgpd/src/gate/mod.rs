//! The dataplane gate: an address is announced when the node forwards it, not when it is wanted.
//!
//! BGP is faster than kube-proxy: a router that hears of an address before the rules for it are
//! written sends packets into nothing. kube-proxy says itself when it is done, and so it is asked:
//!
//! - its health endpoint (`:10256/healthz`): 200 = the rules are at most one sync period old, 503 =
//!   they are older, or the node is being deleted (KEP-3836);
//! - the health-check node port of a service with `externalTrafficPolicy: Local`: 200 = endpoints
//!   on this node are programmed.
//!
//! [`Gate`] is the judge, without sockets or clocks: answers go in, [`Verdicts`] come out; `ask` is
//! the asking. What decides:
//!
//! - A 503 closes at once, a 200 opens at once. Both are the proxy's own words.
//! - *No answer* from a proxy that answered before is forgiven for [`SILENCE_MAX`]: the rules of a
//!   kube-proxy that restarts stay in the kernel and go on working. Longer, and they are stale.
//! - *No answer ever* leaves the gate closed while the node boots, because kube-proxy will come.
//!   With `gate = "auto"`, a node that is up for [`BOOT_TIME`] and where nobody listens has no
//!   kube-proxy (Cilium or Calico's eBPF do its work): the gate stands open. `gate = "on"` waits.
//! - A health-check node port where nobody listens says nothing: the endpoints alone decide. One
//!   that has not been asked yet is another matter: what it would say is waited for.
//!
//! Questions are rationed: [`PERIOD`] for the proxy, and node ports in turns, so that a thousand
//! services cost no more than [`QUESTIONS_PER_S`].

mod ask;
#[cfg(test)]
mod tests;

pub use ask::{GateTask, Target};

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use cluster::ProxyHealth;

/// Between two questions to the proxy, and between two to one node port where there are few.
pub const PERIOD: Duration = Duration::from_millis(100);
/// All node ports together are asked at most so often; the period of each grows instead.
pub const QUESTIONS_PER_S: u32 = 200;
/// How long a proxy that answered before may be silent: longer than a restart of its pod takes.
pub const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How long after the boot of the machine a kube-proxy may still be on its way.
pub const BOOT_TIME: Duration = Duration::from_secs(300);

/// When the gate is asked at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GateMode {
    /// Everything counts as programmed.
    Off,
    /// Nothing is announced before the proxy says so.
    On,
    /// As `On`, unless the node turns out to have no kube-proxy.
    #[default]
    Auto,
}

/// What came back to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An HTTP status.
    Status(u16),
    /// Nobody listens there.
    Refused,
    /// A connection, but no answer in time, or none that is HTTP.
    Silent,
}

/// What the answers amount to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdicts {
    /// The proxy.
    pub proxy: ProxyHealth,
    /// Node ports that answered: whether there are endpoints on this node.
    pub ports: BTreeMap<u16, bool>,
    /// Node ports that were asked and said nothing.
    pub silent: BTreeSet<u16>,
}

/// The judge; see the module.
#[derive(Debug)]
pub struct Gate {
    mode: GateMode,
    verdicts: Verdicts,
    /// The proxy has answered in this run.
    met: bool,
    /// Since when it is silent.
    silent_since: Option<Instant>,
    /// From when on a kube-proxy that nobody has seen counts as absent.
    booted_at: Instant,
    proxy_due: Instant,
    /// Node ports and when each is asked next.
    ports: BTreeMap<u16, Instant>,
}

/// Whom to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// The health endpoint of kube-proxy.
    Proxy,
    /// The health-check node port of a service.
    Port(u16),
}

impl Gate {
    /// A gate on a machine that has been up for `uptime`.
    #[must_use]
    pub fn new(mode: GateMode, now: Instant, uptime: Duration) -> Self {
        let proxy = match mode {
            GateMode::Off => ProxyHealth::Ungated,
            GateMode::On | GateMode::Auto => ProxyHealth::Unknown,
        };
        Self {
            mode,
            verdicts: Verdicts {
                proxy,
                ..Verdicts::default()
            },
            met: false,
            silent_since: None,
            booted_at: now + BOOT_TIME.saturating_sub(uptime),
            proxy_due: now,
            ports: BTreeMap::new(),
        }
    }

    /// What the answers amount to now.
    #[must_use]
    pub fn verdicts(&self) -> &Verdicts {
        &self.verdicts
    }

    /// The node ports to ask; what was learned of the others is forgotten. `true` if that changed
    /// the verdicts.
    pub fn set_ports(&mut self, now: Instant, wanted: &BTreeSet<u16>) -> bool {
        if self.mode == GateMode::Off {
            return false;
        }
        let known = |verdicts: &Verdicts| (verdicts.ports.len(), verdicts.silent.len());
        let before = known(&self.verdicts);
        self.ports.retain(|port, _| wanted.contains(port));
        self.verdicts.ports.retain(|port, _| wanted.contains(port));
        self.verdicts.silent.retain(|port| wanted.contains(port));
        for port in wanted {
            self.ports.entry(*port).or_insert(now);
        }
        known(&self.verdicts) != before
    }

    /// When the next question is due; `None` while the gate is off.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.mode == GateMode::Off {
            return None;
        }
        let port = self.ports.values().min().copied();
        port.into_iter().chain([self.proxy_due]).min()
    }

    /// A question that is due; it counts as asked.
    pub fn poll_question(&mut self, now: Instant) -> Option<Question> {
        if self.mode == GateMode::Off {
            return None;
        }
        if self.proxy_due <= now {
            self.proxy_due = now + PERIOD;
            return Some(Question::Proxy);
        }
        let every = self.port_period();
        let (port, due) = self.ports.iter_mut().min_by_key(|(_, due)| **due)?;
        if *due > now {
            return None;
        }
        *due = now + every;
        Some(Question::Port(*port))
    }

    /// How often each node port is asked.
    fn port_period(&self) -> Duration {
        let ports = u32::try_from(self.ports.len()).unwrap_or(u32::MAX);
        PERIOD.max(Duration::from_secs(1) / QUESTIONS_PER_S * ports)
    }

    /// Takes an answer; `true` if the verdicts changed.
    pub fn handle_answer(&mut self, now: Instant, question: Question, answer: Answer) -> bool {
        match question {
            Question::Proxy => self.handle_proxy(now, answer),
            Question::Port(port) => self.handle_port(port, answer),
        }
    }

    fn handle_proxy(&mut self, now: Instant, answer: Answer) -> bool {
        let health = match answer {
            Answer::Status(200) => Some(ProxyHealth::Healthy),
            Answer::Status(503) => Some(ProxyHealth::Unhealthy),
            Answer::Status(_) | Answer::Refused | Answer::Silent => None,
        };
        let health = match health {
            Some(health) => {
                self.met = true;
                self.silent_since = None;
                health
            }
            None => self.judge_silence(now, answer),
        };
        let old = std::mem::replace(&mut self.verdicts.proxy, health);
        old != health
    }

    fn judge_silence(&mut self, now: Instant, answer: Answer) -> ProxyHealth {
        let since = *self.silent_since.get_or_insert(now);
        if self.met {
            return if now.saturating_duration_since(since) > SILENCE_MAX {
                ProxyHealth::Unhealthy
            } else {
                self.verdicts.proxy
            };
        }
        let absent = answer == Answer::Refused && now >= self.booted_at;
        match self.mode {
            GateMode::Auto if absent => ProxyHealth::Ungated,
            _ => self.verdicts.proxy,
        }
    }

    fn handle_port(&mut self, port: u16, answer: Answer) -> bool {
        if !self.ports.contains_key(&port) {
            return false;
        }
        let verdict = match answer {
            Answer::Status(200) => Some(true),
            Answer::Status(503) => Some(false),
            // A moment without an answer changes nothing; nobody there says nothing.
            Answer::Status(_) | Answer::Silent if self.verdicts.ports.contains_key(&port) => {
                return false;
            }
            Answer::Status(_) | Answer::Silent | Answer::Refused => None,
        };
        let silenced = match verdict {
            Some(_) => self.verdicts.silent.remove(&port),
            None => self.verdicts.silent.insert(port),
        };
        let old = match verdict {
            Some(verdict) => self.verdicts.ports.insert(port, verdict),
            None => self.verdicts.ports.remove(&port),
        };
        old != verdict || silenced
    }
}
