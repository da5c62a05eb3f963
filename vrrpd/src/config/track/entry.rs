//! One entry of `track`: which keys it has, and what it resolves to.
//!
//! Keys that mean nothing for what is asked are faults, because who wrote `ca` beside `tcp`
//! believes that something is verified.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ctl::config::{At, Many, Sink, Table};
use ipnet::IpNet;
use nix::unistd;

use super::super::check::{Check, HttpProbe, Probe, ScriptProbe, Tls, Tracked, User, Weight};
use super::target::{EndpointWord, StatusWord, UrlWord, WeightWord, words};

const INTERVAL_DEFAULT: Duration = Duration::from_secs(1);
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(2);
const RISE_DEFAULT: u32 = 2;
const FALL_DEFAULT: u32 = 3;
/// Shortest interval: a check is no advert.
const INTERVAL_MIN: Duration = Duration::from_millis(50);
/// Longest of either: beyond it the verdict is of another day.
const INTERVAL_MAX: Duration = Duration::from_secs(3600);
/// Most answers in a row.
const ROW_MAX: u32 = 100;

/// An entry with everything it may have.
pub(in crate::config) struct Entry {
    pub(super) target: Target,
    pub(super) interval: Option<At<Duration>>,
    timeout: Option<At<Duration>>,
    rise: Option<At<u32>>,
    fall: Option<At<u32>>,
    pub(super) weight: Option<At<WeightWord>>,
    status: Option<At<Many<StatusWord>>>,
    pub(super) ca: Option<At<PathBuf>>,
    pub(super) insecure: Option<At<bool>>,
    host: Option<At<String>>,
    pub(super) user: Option<At<String>>,
    socket: Option<At<PathBuf>>,
}

/// What is asked, as it is written.
pub(super) enum Target {
    Interface(String),
    Tcp(EndpointWord),
    Http(UrlWord),
    Script(Vec<String>),
    File(PathBuf),
    Process(String),
    Route(IpNet),
    Bgp(std::net::IpAddr),
}

pub(super) fn read(table: Table<'_>) -> Option<At<Entry>> {
    let span = table.span().clone();
    let target = target(&table);
    let entry = target.map(|target| Entry {
        target,
        interval: table.get("interval"),
        timeout: table.get("timeout"),
        rise: table.get("rise"),
        fall: table.get("fall"),
        weight: table.get("weight"),
        status: table.get("status"),
        ca: table.get("ca"),
        insecure: table.get("insecure"),
        host: table.get("host"),
        user: table.get("user"),
        socket: table.get("socket"),
    });
    if let Some(entry) = &entry {
        entry.refuse_idle_keys(table.sink());
        table.finish();
    }
    entry.map(|value| At { value, span })
}

/// Exactly one key says what is asked.
fn target(table: &Table<'_>) -> Option<Target> {
    const KEYS: [&str; 8] = [
        "interface",
        "tcp",
        "http",
        "script",
        "file",
        "process",
        "route",
        "bgp",
    ];
    let cure = "write one of interface, tcp, http, script, file, process, route, bgp";
    let given: Vec<&str> = KEYS.into_iter().filter(|key| table.has(key)).collect();
    if given.len() != 1 {
        let message = match given.as_slice() {
            [] => "a check that asks nothing".to_owned(),
            many => format!("a check asks one thing, not {}", many.join(" and ")),
        };
        table.sink().error(table.span(), message, cure);
        return None;
    }
    // Every one is asked for, so that the list of known keys is whole.
    let interface = table.get("interface").map(|at| Target::Interface(at.value));
    let tcp = table.get("tcp").map(|at| Target::Tcp(at.value));
    let http = table.get("http").map(|at| Target::Http(at.value));
    let script = table
        .get::<Many<String>>("script")
        .map(|at| Target::Script(at.value.into_iter().map(|word| word.value).collect()));
    let file = table.get("file").map(|at| Target::File(at.value));
    let process = table.get("process").map(|at| Target::Process(at.value));
    let route = table.get("route").map(|at| Target::Route(at.value));
    let bgp = table.get("bgp").map(|at| Target::Bgp(at.value));
    let found = interface.or(tcp).or(http).or(script);
    found.or(file).or(process).or(route).or(bgp)
}

impl Entry {
    fn refuse_idle_keys(&self, sink: &Sink) {
        let http = matches!(self.target, Target::Http(_));
        let https = matches!(&self.target, Target::Http(url) if url.https);
        let watched = matches!(self.target, Target::Interface(_) | Target::Route(_));
        let keys = [
            ("status", self.status.as_ref().map(|at| &at.span), http),
            ("host", self.host.as_ref().map(|at| &at.span), http),
            ("ca", self.ca.as_ref().map(|at| &at.span), https),
            ("insecure", self.insecure.as_ref().map(|at| &at.span), https),
            (
                "user",
                self.user.as_ref().map(|at| &at.span),
                matches!(self.target, Target::Script(_)),
            ),
            (
                "socket",
                self.socket.as_ref().map(|at| &at.span),
                matches!(self.target, Target::Bgp(_)),
            ),
            (
                "interval",
                self.interval.as_ref().map(|at| &at.span),
                !watched,
            ),
            (
                "timeout",
                self.timeout.as_ref().map(|at| &at.span),
                !watched,
            ),
            ("rise", self.rise.as_ref().map(|at| &at.span), !watched),
            ("fall", self.fall.as_ref().map(|at| &at.span), !watched),
        ];
        for (key, span, means) in keys {
            let cure = match key {
                "ca" | "insecure" => "write https://, or remove it",
                "interval" | "timeout" | "rise" | "fall" => {
                    "remove it: the kernel tells at once of interfaces and routes"
                }
                _ => "remove it",
            };
            if let Some(span) = span.filter(|_| !means) {
                sink.error(span, format!("`{key}` means nothing for this check"), cure);
            }
        }
        let content = |at: &&At<WeightWord>| at.value.0 == Weight::Content;
        if let Some(at) = self.weight.as_ref().filter(content)
            && !matches!(self.target, Target::File(_))
        {
            sink.error(
                &at.span,
                "only a file has a content to weigh",
                "write a number, or leave `weight` out",
            );
        }
    }

    /// The check it comes to.
    pub(super) fn resolve(&self, directory: &Path, sink: &Sink) -> Option<Tracked> {
        let probe = self.probe(directory, sink)?;
        // An answer over the network may be lost; what this host knows of itself is so.
        let known = !matches!(probe, Probe::Tcp(_) | Probe::Http(_) | Probe::Script(_));
        let row = |at: Option<&At<u32>>, default: u32| match at {
            Some(at) if at.value == 0 || at.value > ROW_MAX => {
                sink.error(
                    &at.span,
                    format!("{} answers in a row", at.value),
                    "write a number from 1 to 100",
                );
                default
            }
            Some(at) => at.value,
            None if known => 1,
            None => default,
        };
        let interval = span_of_time(self.interval.as_ref(), INTERVAL_DEFAULT, sink);
        Some(Tracked {
            check: Check {
                probe,
                interval,
                timeout: span_of_time(self.timeout.as_ref(), TIMEOUT_DEFAULT.min(interval), sink),
                rise: row(self.rise.as_ref(), RISE_DEFAULT),
                fall: row(self.fall.as_ref(), FALL_DEFAULT),
            },
            weight: self.weight.as_ref().map_or(Weight::Fault, |at| at.value.0),
        })
    }

    fn probe(&self, directory: &Path, sink: &Sink) -> Option<Probe> {
        Some(match &self.target {
            Target::Interface(name) => Probe::Interface(name.clone()),
            Target::Tcp(word) => Probe::Tcp(word.0.clone()),
            Target::Http(url) => Probe::Http(self.http(url, directory)),
            Target::Script(list) => Probe::Script(ScriptProbe {
                command: words(list),
                user: match &self.user {
                    Some(at) => Some(user(at, sink)?),
                    None => None,
                },
            }),
            Target::File(path) => Probe::File(directory.join(path)),
            Target::Process(name) => Probe::Process(name.clone()),
            Target::Route(prefix) => Probe::Route(*prefix),
            Target::Bgp(neighbor) => Probe::Bgp {
                neighbor: *neighbor,
                socket: self.socket.as_ref().map(|at| directory.join(&at.value)),
            },
        })
    }

    fn http(&self, url: &UrlWord, directory: &Path) -> HttpProbe {
        let insecure = self.insecure.as_ref().is_some_and(|at| at.value);
        let tls = url.https.then(|| match &self.ca {
            _ if insecure => Tls::Insecure,
            Some(at) => Tls::Ca(directory.join(&at.value)),
            None => Tls::System,
        });
        let host = self.host.as_ref().map(|at| at.value.clone());
        let status = self.status.as_ref();
        HttpProbe {
            url: url.text.clone(),
            tls,
            endpoint: url.endpoint.clone(),
            port_in_host: url.port_given && host.is_none(),
            host: host.unwrap_or_else(|| url.endpoint.host.clone()),
            path: url.path.clone(),
            status: status.map_or(vec![(200, 299)], |at| {
                at.value.iter().map(|one| one.value.0).collect()
            }),
        }
    }
}

fn span_of_time(at: Option<&At<Duration>>, default: Duration, sink: &Sink) -> Duration {
    let Some(at) = at else {
        return default;
    };
    if !(INTERVAL_MIN..=INTERVAL_MAX).contains(&at.value) {
        let message = format!("a check of {}", ctl::config::duration_text(at.value));
        sink.error(&at.span, message, "write a duration from 50ms to 1h");
        return default;
    }
    at.value
}

fn user(at: &At<String>, sink: &Sink) -> Option<User> {
    if let Ok(Some(found)) = unistd::User::from_name(&at.value) {
        return Some(User {
            name: found.name,
            uid: found.uid.as_raw(),
            gid: found.gid.as_raw(),
        });
    }
    let message = format!("there is no user `{}` on this host", at.value);
    sink.error(
        &at.span,
        message,
        "name one of /etc/passwd, such as \"nobody\"",
    );
    None
}
