//! One neighbor of the cluster, resolved to settings like those of the file.
//!
//! The template of its kind and family comes first, what the object says is laid over it. A value
//! that BGP cannot take is left to the template, with a remark: one wrong number in an object must
//! not cost the session, still less the other neighbors.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use cluster::{NextHopMode, PeerAsn};
use rib::policy::{ACCEPT_ALL, REJECT_ALL};

use super::Remark;
use crate::config::{
    AddPath, AsnRule, Bfd, GracefulRestart, Kubernetes, Neighbor, NeighborAddress, NeighborObject,
    NeighborOrigin, Password, PolicyRef, Settings,
};

/// The kernel's `TCP_MD5SIG_MAXKEYLEN`.
const KEY_LEN_MAX: usize = 80;
/// The restart time is a 12-bit field (RFC 4724 §3).
const RESTART_TIME_MAX: Duration = Duration::from_secs(4095);

/// What a neighbor is resolved with.
pub(super) struct Subject<'a> {
    pub table: &'a Kubernetes,
    /// Our AS.
    pub asn: u32,
    /// Policies that exist, beside the predefined ones.
    pub policies: &'a BTreeSet<&'a str>,
}

impl Subject<'_> {
    /// The neighbor as it goes in force.
    pub fn resolve(&self, wanted: &cluster::Neighbor, remarks: &mut Vec<Remark>) -> Neighbor {
        let local_asn = wanted.local_asn.filter(|asn| *asn != self.asn);
        let asn = match wanted.asn {
            PeerAsn::Exact(asn) => AsnRule::Exact(asn),
            PeerAsn::Internal => AsnRule::Internal,
            PeerAsn::External => AsnRule::External,
        };
        // To show another AS to a neighbor of that AS is to be inside it.
        let internal = match asn {
            AsnRule::Exact(asn) => asn == local_asn.unwrap_or(self.asn),
            AsnRule::Internal => true,
            AsnRule::External => false,
        };
        let templates = &self.table.templates;
        let [v4, v6] = match internal {
            true => &templates.internal,
            false => &templates.external,
        };
        let template = if wanted.address.is_ipv4() { v4 } else { v6 };
        let mut settings = Settings {
            asn,
            internal,
            local_asn,
            import_guard: template.import_guard && !internal,
            guards_pods: wanted.import.is_none(),
            standing: Some(wanted.standing()),
            ..template.clone()
        };
        let mut say = |text: String| {
            let text = format!("{}: {text}", wanted.object);
            remarks.push(Remark::of(wanted.address, text));
        };
        session(wanted, &mut settings, &mut say);
        routes(wanted, &mut settings, &mut say);
        for (name, policy) in [
            (&wanted.import, &mut settings.import),
            (&wanted.export, &mut settings.export),
        ] {
            if let Some(name) = name {
                *policy = self.policy(name, &mut say);
            }
        }
        let held = self.hold(wanted, &mut settings, &mut say);
        Neighbor {
            address: NeighborAddress::Address(wanted.address),
            origin: NeighborOrigin::Cluster,
            peer_group: self.table.peer_group.clone(),
            object: Some(NeighborObject {
                name: wanted.object.to_string(),
                role: wanted.role,
                held,
            }),
            settings,
        }
    }

    fn policy(&self, name: &str, say: &mut impl FnMut(String)) -> PolicyRef {
        let known = self.policies.contains(name) || [ACCEPT_ALL, REJECT_ALL].contains(&name);
        if !known {
            say(format!("there is no policy {name}: nothing passes"));
        }
        PolicyRef::Named(if known { name } else { REJECT_ALL }.to_owned())
    }

    /// Sets the password, or keeps the session down and says why.
    fn hold(
        &self,
        wanted: &cluster::Neighbor,
        settings: &mut Settings,
        say: &mut impl FnMut(String),
    ) -> Option<String> {
        let held = if wanted.password_missing {
            Some("its password is not there".to_owned())
        } else if let Some(secret) = &wanted.password {
            let usable = (1..=KEY_LEN_MAX).contains(&secret.key.len());
            if usable {
                settings.password = Some(Password {
                    file: PathBuf::from(&*secret.object),
                    key: secret.key.clone(),
                });
                None
            } else {
                let len = secret.key.len();
                Some(format!(
                    "{} has {len} octets, TCP-MD5 takes 1 to {KEY_LEN_MAX}",
                    secret.object
                ))
            }
        } else {
            None
        };
        if let Some(why) = &held {
            settings.shutdown = true;
            say(format!("the session stays down: {why}"));
        }
        held
    }
}

/// What concerns the session itself.
fn session(wanted: &cluster::Neighbor, settings: &mut Settings, say: &mut impl FnMut(String)) {
    if let Some(port) = wanted.port.filter(|port| *port != 0) {
        settings.port = port;
    }
    match wanted.local_address {
        Some(local) if local.is_ipv4() != wanted.address.is_ipv4() => {
            say(format!("source address {local} is of the other family"));
        }
        Some(local) => settings.local_address = Some(local),
        None => {}
    }
    if let Some(passive) = wanted.passive {
        settings.passive = passive;
    }
    timers(wanted, settings, say);
    if let Some(hops) = wanted.ttl_security {
        match hops {
            0 | 255 => say(format!("{hops} hops are out of range for TTL security")),
            _ => settings.ttl_security = Some(hops),
        }
    }
    if let Some(hops) = wanted.ebgp_multihop.filter(|hops| *hops != 0) {
        settings.ebgp_multihop = Some(hops);
    }
    if settings.internal || settings.ttl_security.is_some() {
        settings.ebgp_multihop = None;
    }
    match wanted.families {
        Some([false, false]) => say("no family is left".to_owned()),
        Some(families) => settings.families = families,
        None => {}
    }
    if let Some((transmit, receive, multiplier)) = wanted.bfd {
        settings.bfd = Some(Bfd {
            transmit,
            receive,
            multiplier,
        });
        say("BFD is asked for and not built in this version".to_owned());
    }
    if let Some(time) = wanted.graceful_restart {
        settings.graceful_restart = GracefulRestart::Full;
        settings.graceful_restart_time = time.min(RESTART_TIME_MAX);
    }
    if wanted.add_path {
        settings.add_path = AddPath {
            send: true,
            receive: true,
        };
    }
}

/// Hold time 0 or 3 s to 65,535 s (RFC 4271 §4.2), the keepalive shorter than it.
fn timers(wanted: &cluster::Neighbor, settings: &mut Settings, say: &mut impl FnMut(String)) {
    if let Some(hold) = wanted.hold_time {
        let whole = Duration::from_secs(hold.as_secs());
        if whole.is_zero() && hold.is_zero() || (3..=65_535).contains(&hold.as_secs()) {
            settings.hold_time = whole;
            settings.keepalive = whole / 3;
        } else {
            let ms = hold.as_millis();
            say(format!("hold time {ms} ms is not 0 or from 3 s to 65535 s"));
        }
    }
    if let Some(keepalive) = wanted.keepalive {
        let hold = settings.hold_time;
        if keepalive >= Duration::from_secs(1) && keepalive < hold {
            settings.keepalive = keepalive;
        } else if !hold.is_zero() {
            let ms = keepalive.as_millis();
            say(format!(
                "keepalive {ms} ms is not between 1 s and the hold time"
            ));
        }
    }
    if let Some(retry) = wanted.connect_retry {
        let range = Duration::from_millis(100)..=Duration::from_secs(65_535);
        settings.connect_retry = retry.clamp(*range.start(), *range.end());
    }
}

/// What concerns the routes of the session.
fn routes(wanted: &cluster::Neighbor, settings: &mut Settings, say: &mut impl FnMut(String)) {
    match (wanted.route_reflector_client, settings.internal) {
        (true, false) => say("only iBGP neighbors are reflected to".to_owned()),
        (true, true) => settings.route_reflector_client = true,
        (false, _) => {}
    }
    match wanted.next_hop {
        NextHopMode::Auto => {}
        NextHopMode::SelfAddr => settings.next_hop_self = true,
        NextHopMode::Keep => settings.next_hop_keep = true,
    }
    if wanted.allow_own_as > 0 {
        settings.allow_own_as = wanted.allow_own_as;
    }
}
