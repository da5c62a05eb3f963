//! What an instance tracks, resolved: what is asked, how often, and what a bad answer costs.
//!
//! A [`Check`] is what is asked and how; equal ones of several instances are run once. What the
//! answer is worth stands beside it, in [`Tracked`], because each instance decides that itself.
//! The query of a URL and the arguments of a program may be secrets: `Display` leaves them out,
//! because it is what goes into the log, the history and the metrics.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Probe {
    /// This interface is up and has a carrier.
    Interface(String),
    /// A TCP connection is accepted.
    Tcp(Endpoint),
    /// A GET is answered with an accepted status.
    Http(HttpProbe),
    /// A program exits with 0.
    Script(ScriptProbe),
    /// The file exists; with [`Weight::Content`] it holds a number.
    File(PathBuf),
    /// A process of this name runs.
    Process(String),
    /// The main table has a route to exactly this prefix.
    Route(IpNet),
    /// This neighbor of bgpd is Established.
    Bgp {
        /// The neighbor's address.
        neighbor: IpAddr,
        /// The control socket of bgpd, where it is not beside ours.
        socket: Option<PathBuf>,
    },
}

/// A host, by address or name, and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// Address without brackets, or name.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// A GET.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HttpProbe {
    /// As it is written in the file.
    pub url: String,
    /// `None`: plain HTTP.
    pub tls: Option<Tls>,
    /// Whom to connect to.
    pub endpoint: Endpoint,
    /// What the Host header says, and the server's name in TLS.
    pub host: String,
    /// The port goes into the Host header: it is not the scheme's own.
    pub port_in_host: bool,
    /// From the first slash.
    pub path: String,
    /// Accepted status codes, first to last.
    pub status: Vec<(u16, u16)>,
}

impl HttpProbe {
    /// The URL without what may be a secret in it; user names are refused before.
    fn shown(&self) -> &str {
        self.url.split('?').next().unwrap_or_default()
    }
}

/// Whom to trust.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tls {
    /// The certificate must lead to one of this file.
    Ca(PathBuf),
    /// To one of the system.
    System,
    /// Any certificate will do.
    Insecure,
}

/// A program, its arguments and who runs it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScriptProbe {
    /// The program, absolute, and its arguments.
    pub command: Vec<String>,
    /// `None`: as the daemon.
    pub user: Option<User>,
}

/// A user of the system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct User {
    /// Its name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Its own group.
    pub gid: u32,
}

/// What is asked, and how.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Check {
    /// What.
    pub probe: Probe,
    /// From the beginning of one to the beginning of the next.
    pub interval: Duration,
    /// An answer that takes longer is a bad one.
    pub timeout: Duration,
    /// Good answers in a row until a bad check is good.
    pub rise: u32,
    /// Bad answers in a row until it is bad.
    pub fall: u32,
}

impl Check {
    /// How long it takes at most until what has just become bad is known to be bad.
    #[must_use]
    pub fn detection(&self) -> Duration {
        match self.is_watched() {
            true => Duration::ZERO,
            false => self.interval * self.fall + self.timeout,
        }
    }

    /// The kernel tells of it: nothing is asked, and nothing is counted.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        matches!(self.probe, Probe::Interface(_) | Probe::Route(_))
    }
}

/// What a verdict is worth to an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Bad: this router hands over to any that is healthy.
    Fault,
    /// Negative: added to the priority while bad; positive: while good.
    Points(i32),
    /// The number in the file is added to the priority.
    Content,
}

/// A check of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracked {
    /// What is asked.
    pub check: Check,
    /// What the answer is worth.
    pub weight: Weight,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.probe {
            Probe::Interface(name) => write!(f, "interface {name}"),
            Probe::Tcp(endpoint) => write!(f, "tcp {endpoint}"),
            Probe::Http(http) => f.write_str(http.shown()),
            Probe::Script(script) => {
                write!(f, "script {}", script.command.first().map_or("", |it| it))
            }
            Probe::File(path) => write!(f, "file {}", path.display()),
            Probe::Process(name) => write!(f, "process {name}"),
            Probe::Route(prefix) => write!(f, "route {prefix}"),
            Probe::Bgp { neighbor, .. } => write!(f, "bgp {neighbor}"),
        }
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault => f.write_str("fault"),
            Self::Points(points) => write!(f, "{points:+}"),
            Self::Content => f.write_str("content"),
        }
    }
}
