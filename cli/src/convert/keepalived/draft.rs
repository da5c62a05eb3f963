//! What is going to be written: instances and groups in our words, with what needs eyes beside it.
//!
//! A draft holds values that `vrrpd.toml` has keys for, nothing of keepalived's any more. Notes
//! become comments above the key they are about.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::report::Place;

/// The daemon's patience with an answer.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(2);

/// A whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// `[[instance]]`.
    pub instances: Vec<Instance>,
    /// `[[sync-group]]`.
    pub groups: Vec<Group>,
    /// Files that the configuration names.
    pub files: Vec<SideFile>,
}

/// A file beside the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SideFile {
    /// Its name.
    pub name: String,
    /// What is in it.
    pub text: Vec<u8>,
    /// A password or keys; else a program.
    pub secret: bool,
}

/// A virtual address as written: with or without a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vip {
    /// The address.
    pub address: IpAddr,
    /// The length of its subnet, when one is written.
    pub length: Option<u8>,
}

/// `[[instance]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// `name`.
    pub name: String,
    /// Where the original begins.
    pub at: Place,
    /// `interface`.
    pub interface: Option<String>,
    /// `vrid`; 0 while none is known.
    pub vrid: u8,
    /// `version`.
    pub version: u8,
    /// `priority`.
    pub priority: u8,
    /// `advertise-interval`.
    pub interval: Duration,
    /// `preempt`.
    pub preempt: bool,
    /// `preempt-delay`.
    pub preempt_delay: Duration,
    /// `start-delay`.
    pub start_delay: Duration,
    /// `addresses`.
    pub addresses: Vec<Vip>,
    /// `accept`.
    pub accept: bool,
    /// `unicast-peers`.
    pub unicast_peers: Vec<IpAddr>,
    /// `virtual-mac`.
    pub virtual_mac: bool,
    /// `checksum = "rfc9568"`.
    pub plain_checksum: bool,
    /// `auth-file`.
    pub auth_file: Option<String>,
    /// `auth-mode`, where it is not the default.
    pub auth_mode: Option<&'static str>,
    /// `auth-window`, where it is given.
    pub auth_window: Option<Duration>,
    /// `routes`.
    pub routes: Vec<String>,
    /// `track`.
    pub track: Vec<Check>,
    /// `notify`.
    pub notify: Option<String>,
    /// Comments: key, and what is said above it; the empty key is the instance.
    pub notes: BTreeMap<&'static str, Vec<String>>,
}

impl Instance {
    /// One with keepalived's defaults.
    pub fn new(name: &str, at: Place) -> Self {
        Self {
            name: name.to_owned(),
            at,
            interface: None,
            vrid: 0,
            version: 2,
            priority: 100,
            interval: Duration::from_secs(1),
            preempt: true,
            preempt_delay: Duration::ZERO,
            start_delay: Duration::ZERO,
            addresses: Vec::new(),
            accept: true,
            unicast_peers: Vec::new(),
            virtual_mac: false,
            plain_checksum: false,
            auth_file: None,
            auth_mode: None,
            auth_window: None,
            routes: Vec::new(),
            track: Vec::new(),
            notify: None,
            notes: BTreeMap::new(),
        }
    }

    /// Says `text` above `key`.
    pub fn note(&mut self, key: &'static str, text: impl Into<String>) {
        let notes = self.notes.entry(key).or_default();
        let text = text.into();
        if !notes.contains(&text) {
            notes.push(text);
        }
    }

    /// Whether its addresses are IPv6.
    pub fn ipv6(&self) -> bool {
        self.addresses
            .first()
            .is_some_and(|vip| vip.address.is_ipv6())
    }

    /// The priority while all checks are good.
    pub fn healthy(&self) -> u8 {
        let gained = self.track.iter().map(|check| match check.weight {
            Weight::Points(points) => points.max(0),
            Weight::Fault | Weight::Content => 0,
        });
        match self.priority {
            255 => 255,
            own => {
                u8::try_from((i32::from(own) + gained.sum::<i32>()).clamp(2, 254)).unwrap_or(254)
            }
        }
    }

    /// How long a backup of this priority waits for a dead master (RFC 9568 §6.1, RFC 3768
    /// §6.1).
    pub fn down_interval(&self) -> Duration {
        self.interval * 3 + self.skew()
    }

    /// How long it waits for a master that let go.
    pub fn skew(&self) -> Duration {
        let unit = match self.version {
            2 => Duration::from_secs(1),
            _ => self.interval,
        };
        unit * (256 - u32::from(self.healthy())) / 256
    }
}

/// What a check looks at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A link.
    Interface(String),
    /// A program and its arguments.
    Script(Vec<String>),
    /// The octets of a file.
    File(String),
    /// A process by name.
    Process(String),
    /// A URL; certificates of the API server are rarely known to the host.
    Http {
        /// Where.
        url: String,
        /// Certificates are not checked.
        insecure: bool,
    },
    /// A TCP port.
    Tcp(String),
}

impl Target {
    /// The key of `track`, and its value for people.
    pub fn key(&self) -> (&'static str, String) {
        match self {
            Self::Interface(name) => ("interface", name.clone()),
            Self::Script(command) => ("script", command.join(" ")),
            Self::File(path) => ("file", path.clone()),
            Self::Process(name) => ("process", name.clone()),
            Self::Http { url, .. } => ("http", url.clone()),
            Self::Tcp(address) => ("tcp", address.clone()),
        }
    }
}

/// What an answer is worth: as keepalived has it, word for word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Bad: a fault.
    Fault,
    /// Added to the priority: a negative number while bad, a positive one while good.
    Points(i32),
    /// The number in a file is added.
    Content,
}

/// One entry of `track`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What it looks at.
    pub target: Target,
    /// How often.
    pub interval: Option<Duration>,
    /// How long an answer may take.
    pub timeout: Option<Duration>,
    /// Good answers in a row until it counts as good.
    pub rise: Option<u32>,
    /// Bad answers in a row until it counts as bad.
    pub fall: Option<u32>,
    /// What the answer is worth.
    pub weight: Weight,
    /// Who runs the script.
    pub user: Option<String>,
}

impl Check {
    /// A check that is a fault when it fails, with the daemon's timers.
    pub fn new(target: Target) -> Self {
        Self {
            target,
            interval: None,
            timeout: None,
            rise: None,
            fall: None,
            weight: Weight::Fault,
            user: None,
        }
    }

    /// How long it takes at most until a failure counts.
    pub fn detection(&self) -> Duration {
        let once = self.interval.unwrap_or_default();
        once * self.fall.unwrap_or(1) + self.timeout()
    }

    /// How long an answer may take: as the daemon does where nothing is written.
    pub fn timeout(&self) -> Duration {
        let once = self.interval.unwrap_or_default();
        self.timeout.unwrap_or(once.min(TIMEOUT_DEFAULT))
    }
}

/// `[[sync-group]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// `name`.
    pub name: String,
    /// `instances`.
    pub instances: Vec<String>,
    /// `notify`.
    pub notify: Option<String>,
    /// Comments above it.
    pub notes: Vec<String>,
}
