//! kube-router's command line, read as kube-router reads it.
//!
//! Every word gets a verdict: taken, ignored with the reason (what is its proxy's, its firewall's,
//! its CNI's), or refused. The grammar is pflag's: `--name=value`, `--name value`, `--switch`,
//! `--switch=false`; a switch never takes the next word; a list that is given twice grows. Faults
//! that stop kube-router (lists of unequal length, a public `--cluster-asn`) are refused here too,
//! so that nobody peers with half of what is written.
//!
//! Defaults are kube-router's. Two of them depend on its version: `--strict-external-ip-validation`
//! came with 2.9 and is on there. Left unsaid it counts for external addresses, which anyone who
//! may edit a service can write, and not for those that a load balancer gave.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ipnet::IpNet;

use super::rows::{self, Take};
use crate::{Options, Secret};

/// The AS of the nodes where nothing says so.
pub const ASN_DEFAULT: u32 = 64512;
/// Stands for a password in what is told.
const COVER: &str = "***";

/// The flags of kube-router that concern routing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flags {
    /// `--run-router`: without it kube-router speaks no BGP.
    pub run_router: bool,
    /// `--advertise-cluster-ip`.
    pub advertise_cluster_ip: bool,
    /// `--advertise-external-ip`.
    pub advertise_external_ip: bool,
    /// `--advertise-loadbalancer-ip`.
    pub advertise_loadbalancer_ip: bool,
    /// `--advertise-pod-cidr`, to routers outside; nodes are told anyway.
    pub advertise_pod_cidr: bool,
    /// `--enable-ibgp`.
    pub ibgp: bool,
    /// `--nodes-full-mesh`; without it each node's own AS counts, by annotation.
    pub full_mesh: bool,
    /// `--cluster-asn`.
    pub cluster_asn: u32,
    /// `--peer-router-ips` and the lists that go with it.
    pub peers: Vec<PeerFlag>,
    /// `--peer-router-passwords-file`, for who reads files; see [`Flags::set_passwords`].
    pub passwords_file: Option<Box<str>>,
    /// `--peer-router-multihop-ttl`, from 2.
    pub multihop_ttl: Option<u8>,
    /// `--bgp-graceful-restart`.
    pub graceful_restart: bool,
    /// `--bgp-graceful-restart-time`.
    pub restart_time: Duration,
    /// `--bgp-holdtime`, of the routers outside.
    pub hold_time: Duration,
    /// `--bgp-port`.
    pub port: u16,
    /// `--router-id`.
    pub router_id: RouterId,
    /// `--override-nexthop`.
    pub override_nexthop: bool,
    /// `--enable-overlay`.
    pub overlay: bool,
    /// `--overlay-type full`: between nodes of one subnet too.
    pub overlay_full: bool,
    /// `--overlay-encap fou`.
    pub overlay_fou: bool,
    /// `--enable-bfd`.
    pub bfd: bool,
    /// `--bfd-desired-min-tx-interval`.
    pub bfd_transmit: Duration,
    /// `--bfd-required-min-rx-interval`.
    pub bfd_receive: Duration,
    /// `--bfd-detection-multiplier`.
    pub bfd_multiplier: u8,
    /// `--enable-ipv4`.
    pub ipv4: bool,
    /// `--enable-ipv6`.
    pub ipv6: bool,
    /// `--cluster-cidr` of older versions.
    pub pod_cidrs: Vec<IpNet>,
    /// `--service-cluster-ip-range`, where it is given.
    pub service_cidrs: Vec<IpNet>,
    /// `--service-external-ip-range`.
    pub external_ranges: Vec<IpNet>,
    /// `--loadbalancer-ip-range`.
    pub load_balancer_ranges: Vec<IpNet>,
    /// `--strict-external-ip-validation`, where it is given.
    pub strict: Option<bool>,
    /// `--loadbalancer-default-class`.
    pub default_class: bool,
    /// `--hostname-override`.
    pub node_name: Option<Box<str>>,
    /// `--kubeconfig`.
    pub kubeconfig: Option<Box<str>>,
    /// `--metrics-addr`.
    pub metrics_address: Option<IpAddr>,
    /// `--metrics-port`; 0 = no metrics.
    pub metrics_port: u16,
}

/// A router outside, as the lists of flags or of annotations name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerFlag {
    /// Its address.
    pub address: IpAddr,
    /// Its AS.
    pub asn: u32,
    /// Its port.
    pub port: Option<u16>,
    /// TCP-MD5.
    pub password: Option<Secret>,
}

/// `--router-id`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RouterId {
    /// Not given: the node's IPv4 address.
    #[default]
    Unset,
    /// `generate`: made from the node's address.
    Generate,
    /// This one.
    Given(Ipv4Addr),
}

impl Default for Flags {
    fn default() -> Self {
        Self {
            run_router: true,
            advertise_cluster_ip: false,
            advertise_external_ip: false,
            advertise_loadbalancer_ip: false,
            advertise_pod_cidr: true,
            ibgp: true,
            full_mesh: true,
            cluster_asn: ASN_DEFAULT,
            peers: Vec::new(),
            passwords_file: None,
            multihop_ttl: None,
            graceful_restart: false,
            restart_time: Duration::from_secs(90),
            hold_time: Duration::from_secs(90),
            port: 179,
            router_id: RouterId::Unset,
            override_nexthop: false,
            overlay: true,
            overlay_full: false,
            overlay_fou: false,
            bfd: false,
            bfd_transmit: Duration::from_secs(1),
            bfd_receive: Duration::from_secs(1),
            bfd_multiplier: 3,
            ipv4: true,
            ipv6: false,
            pod_cidrs: Vec::new(),
            service_cidrs: Vec::new(),
            external_ranges: Vec::new(),
            load_balancer_ranges: Vec::new(),
            strict: None,
            default_class: true,
            node_name: None,
            kubeconfig: None,
            metrics_address: None,
            metrics_port: 0,
        }
    }
}

/// What becomes of a flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It counts; what it means here.
    Taken(Box<str>),
    /// It does not concern routing, or nothing here needs it; why.
    Ignored(Box<str>),
    /// It cannot be followed; cause and cure.
    Refused(Box<str>),
}

/// A flag as it was given, passwords covered, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Which of the words it is; `None` for what is wrong with several together.
    pub at: Option<usize>,
    /// The flag.
    pub word: Box<str>,
    /// What becomes of it.
    pub verdict: Verdict,
}

/// The flags while they are read: the lists that belong together are joined at the end.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    pub(super) flags: Flags,
    pub(super) ips: Vec<IpAddr>,
    pub(super) asns: Vec<u32>,
    pub(super) ports: Vec<u16>,
    pub(super) passwords: Vec<Box<str>>,
}

impl Flags {
    /// Reads a command line (without the program's name).
    ///
    /// The flags hold what could be read; they are only to be used where no reading is
    /// [`Verdict::Refused`].
    #[must_use]
    pub fn parse<W: AsRef<str>>(words: &[W]) -> (Self, Vec<Reading>) {
        let mut draft = Draft::default();
        let mut readings = Vec::new();
        let mut words = words.iter().map(AsRef::as_ref).enumerate();
        // A password list with blanks in it falls apart into words.
        let mut is_after_secret = false;
        while let Some((at, word)) = words.next() {
            let Some((name, value)) = split(word) else {
                let word = if is_after_secret { COVER } else { word };
                readings.push(stray(at, word));
                continue;
            };
            is_after_secret = false;
            let Some(row) = rows::find(name) else {
                let text = match rows::nearest(name) {
                    Some(near) => format!("kube-router has no such flag; did you mean --{near}?"),
                    None => "kube-router has no such flag".to_owned(),
                };
                readings.push(Reading::refused(Some(at), word, &text));
                continue;
            };
            let value = match value {
                Some(value) => Some(value),
                None if row.take.is_switch() => None,
                None => match words.next() {
                    Some((_, value)) => Some(value),
                    None => {
                        readings.push(Reading::refused(Some(at), word, "its value is missing"));
                        continue;
                    }
                },
            };
            let shown = match value {
                Some(_) if row.take.is_secret() => format!("--{}={COVER}", row.name),
                Some(value) => format!("--{}={value}", row.name),
                None => format!("--{}", row.name),
            };
            is_after_secret = row.take.is_secret();
            let verdict = row.take.read(&mut draft, value);
            readings.push(Reading {
                at: Some(at),
                word: shown.into(),
                verdict,
            });
        }
        readings.extend(draft.join());
        (draft.flags, readings)
    }

    /// Sets the passwords of the peers from what `--peer-router-passwords-file` names.
    ///
    /// # Errors
    /// Not as many as there are peers, or not base64.
    pub fn set_passwords(&mut self, text: &str) -> Result<(), String> {
        let list: Vec<Box<str>> = text.split(',').map(|one| one.trim().into()).collect();
        let file = self.passwords_file.clone().unwrap_or_default();
        assign(&mut self.peers, &list, &format!("file {file}"))
    }

    /// Puts into `options` what the flags say for all dialects; what `options` has already stays.
    pub fn settle(&self, options: &mut Options) {
        let fill = |own: &mut Vec<IpNet>, from: &[IpNet]| {
            if own.is_empty() {
                own.extend_from_slice(from);
            }
        };
        fill(&mut options.pod_cidrs, &self.pod_cidrs);
        fill(&mut options.service_cidrs, &self.service_cidrs);
        fill(&mut options.external_ranges, &self.external_ranges());
        options.is_default_class &= self.default_class;
    }

    /// Where external addresses may be; empty = nowhere.
    #[must_use]
    pub fn external_ranges(&self) -> Vec<IpNet> {
        match self.strict {
            Some(false) => ["0.0.0.0/0", "::/0"]
                .iter()
                .filter_map(|range| range.parse().ok())
                .collect(),
            _ => self.external_ranges.clone(),
        }
    }
}

impl Reading {
    pub(super) fn refused(at: Option<usize>, word: &str, text: &str) -> Self {
        Self {
            at,
            word: word.into(),
            verdict: Verdict::Refused(text.into()),
        }
    }
}

impl Draft {
    /// Joins the lists of the routers outside.
    fn join(&mut self) -> Option<Reading> {
        let unequal = |word: &str, count: usize| {
            let text = format!(
                "{count} for {} in --peer-router-ips: one for each, empty ones between commas",
                self.ips.len()
            );
            Some(Reading::refused(None, word, &text))
        };
        if self.asns.len() != self.ips.len() {
            return unequal("--peer-router-asns", self.asns.len());
        }
        if !self.ports.is_empty() && self.ports.len() != self.ips.len() {
            return unequal("--peer-router-ports", self.ports.len());
        }
        let peers = self.ips.iter().zip(&self.asns).enumerate();
        let mut peers: Vec<PeerFlag> = peers
            .map(|(at, (&address, &asn))| PeerFlag {
                address,
                asn,
                port: self.ports.get(at).copied(),
                password: None,
            })
            .collect();
        let flag = "--peer-router-passwords";
        if !self.passwords.is_empty()
            && let Err(text) = assign(&mut peers, &self.passwords, flag)
        {
            return Some(Reading::refused(None, flag, &text));
        }
        self.flags.peers = peers;
        None
    }
}

/// Gives each peer its password.
fn assign(peers: &mut [PeerFlag], passwords: &[Box<str>], object: &str) -> Result<(), String> {
    if passwords.len() != peers.len() {
        return Err(format!(
            "{} passwords for {} peers: one for each, empty ones between commas",
            passwords.len(),
            peers.len()
        ));
    }
    for (peer, text) in peers.iter_mut().zip(passwords) {
        peer.password = match &**text {
            "" => None,
            text => Some(super::password(object, text)?),
        };
    }
    Ok(())
}

/// Name and value of a word; `None` for a word that is no flag.
fn split(word: &str) -> Option<(&str, Option<&str>)> {
    if let Some(long) = word.strip_prefix("--") {
        return match long.split_once('=') {
            _ if long.is_empty() => None,
            Some((name, value)) => Some((name, Some(value))),
            None => Some((long, None)),
        };
    }
    // `-v 2`, `-v=2`, `-v2`.
    let mut rest = word.strip_prefix('-')?.chars();
    let letter = rest.next()?;
    let name = match letter {
        'v' => "v",
        'V' => "version",
        'h' => "help",
        _ => return None,
    };
    let value = rest.as_str();
    let value = value.strip_prefix('=').unwrap_or(value);
    Some((name, (!value.is_empty()).then_some(value)))
}

fn stray(at: usize, word: &str) -> Reading {
    match word {
        "true" | "false" => Reading::refused(
            Some(at),
            word,
            "kube-router reads a switch without `=` as true and drops this word: write --flag=false",
        ),
        _ => Reading::refused(Some(at), word, "not a flag; flags begin with --"),
    }
}

impl Take {
    /// Takes no value from the next word.
    fn is_switch(&self) -> bool {
        matches!(self, Self::Switch(..) | Self::Strict | Self::NotASwitch(_))
    }

    /// Its value is never told.
    fn is_secret(&self) -> bool {
        matches!(self, Self::Passwords)
    }
}
