//! From a BGPPeer to a neighbor of this node, or why it is none.
//!
//! MetalLB's peers take nothing from the router: import rejects everything unless the file's own
//! neighbor or peer group says otherwise. A password that is asked for and not there leaves the
//! neighbor in place with its session held down, never run without (others fall back to none). What
//! is not built here is refused by name: sessions without addresses and sessions in a VRF; what is
//! passed on but not yet acted upon (BFD) is a warning.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::bfd::BfdProfile;
use super::peer::{Hidden, KEY_LEN_MAX, Peer, Remote};
use super::{EXPORT, IMPORT};
use crate::dialect::View;
use crate::object::{Meta, SecretData};
use crate::{Fault, Neighbor, PeerAsn, Secret, Severity};

/// FRR's `ebgp-multihop` without a number.
const MULTIHOP_TTL: u8 = 255;
/// The TTL of packets of MetalLB's own speaker, whose peers were always multihop: Linux's default.
const OLD_TTL: u8 = 64;
/// FRR's restart time, with which MetalLB's peers run.
const RESTART_TIME: Duration = Duration::from_secs(120);
/// The type of a secret with a password.
const BASIC_AUTH: &str = "kubernetes.io/basic-auth";
/// Its key.
const PASSWORD: &str = "password";

/// BFD profiles by namespace and name.
pub(super) type Profiles<'a> = BTreeMap<(&'a str, &'a str), &'a BfdProfile>;

/// A peer among the objects around it.
pub(super) struct Declared<'a> {
    pub(super) label: &'a str,
    pub(super) meta: &'a Meta,
    pub(super) peer: &'a Peer,
    /// It comes from the old ConfigMap.
    pub(super) is_old: bool,
}

impl Declared<'_> {
    fn fault(&self, severity: Severity, path: &str, text: impl Into<Box<str>>) -> Fault {
        Fault {
            object: self.label.into(),
            path: path.into(),
            severity,
            text: text.into(),
        }
    }

    /// The neighbor that it makes, if any; what is wrong goes to `faults`.
    pub(super) fn neighbor(
        &self,
        view: &View<'_>,
        profiles: &Profiles<'_>,
        faults: &mut Vec<Fault>,
    ) -> Option<Neighbor> {
        let peer = self.peer;
        let address = match self.remote() {
            Ok(address) => address,
            Err(fault) => {
                faults.push(*fault);
                return None;
            }
        };
        let mut neighbor = Neighbor::new(address, peer.asn, self.label);
        neighbor.local_asn = self.local_asn(view, faults);
        neighbor.port = peer.port;
        neighbor.local_address = peer.source_address;
        self.check_source(view, faults);
        neighbor.hold_time = peer.hold_time;
        // `timers 0 540` of FRR means a third of the hold time as well.
        neighbor.keepalive = peer.keepalive.filter(|time| !time.is_zero());
        neighbor.connect_retry = peer.connect_time;
        match self.password(view) {
            Ok(password) => neighbor.password = password,
            Err(fault) => {
                faults.push(*fault);
                neighbor.password_missing = true;
            }
        }
        neighbor.ebgp_multihop = match (peer.multihop, self.is_old) {
            (true, _) => Some(MULTIHOP_TTL),
            (false, true) if peer.asn != PeerAsn::Exact(peer.my_asn) => Some(OLD_TTL),
            _ => None,
        };
        neighbor.families = match (peer.dual_stack, peer.disable_mp) {
            (true, _) => Some([true, true]),
            (false, true) => Some([address.is_ipv4(), address.is_ipv6()]),
            (false, false) => None,
        };
        neighbor.graceful_restart = peer.graceful_restart.then_some(RESTART_TIME);
        neighbor.bfd = self.bfd(profiles, faults);
        neighbor.import = Some(IMPORT.into());
        neighbor.export = Some(EXPORT.into());
        Some(neighbor)
    }

    fn remote(&self) -> Result<IpAddr, Box<Fault>> {
        let error = |path, text: String| Box::new(self.fault(Severity::Error, path, text));
        if let Some(vrf) = &self.peer.vrf {
            let text = format!(
                "sessions in a VRF (here \"{vrf}\") are not built; the peer is left out on every \
                 node. Run a second bgpd in that VRF, or leave the key out"
            );
            return Err(error("spec.vrf", text));
        }
        match &self.peer.remote {
            Remote::Address(address) => Ok(*address),
            Remote::Interface(name) => {
                let text = format!(
                    "sessions without addresses (here over \"{name}\") are not built; write \
                     peerAddress"
                );
                Err(error("spec.interface", text))
            }
        }
    }

    /// The AS that we show, where it is not the router's own.
    fn local_asn(&self, view: &View<'_>, faults: &mut Vec<Fault>) -> Option<u32> {
        if let Some(asn) = self.peer.local_asn {
            return Some(asn);
        }
        let (wanted, ours) = (self.peer.my_asn, view.facts.asn);
        if ours == 0 || wanted == ours {
            return None;
        }
        let path = if self.is_old { "my-asn" } else { "spec.myASN" };
        let text = format!(
            "our AS is {ours}; towards this peer we show {wanted} (local-as), so it will do, but \
             one AS for the whole router is simpler: [router] asn = {wanted}"
        );
        faults.push(self.fault(Severity::Warning, path, text));
        Some(wanted)
    }

    fn check_source(&self, view: &View<'_>, faults: &mut Vec<Fault>) {
        let known = &view.facts.addresses;
        if let Some(source) = self.peer.source_address
            && !known.is_empty()
            && !known.contains(&source)
        {
            let text = format!(
                "{source} is no address of this node, so the session cannot come up here; give \
                 the peer nodeSelectors, or leave the key out"
            );
            faults.push(self.fault(Severity::Warning, "spec.sourceAddress", text));
        }
    }

    fn bfd(
        &self,
        profiles: &Profiles<'_>,
        faults: &mut Vec<Fault>,
    ) -> Option<(Duration, Duration, u8)> {
        let name = self.peer.bfd_profile.as_deref()?;
        let path = if self.is_old {
            "bfd-profile"
        } else {
            "spec.bfdProfile"
        };
        let Some(profile) = profiles.get(&(&*self.meta.namespace, name)) else {
            let text = format!("no BFDProfile \"{name}\"; the session runs without BFD");
            faults.push(self.fault(Severity::Error, path, text));
            return None;
        };
        let beyond = match profile.beyond() {
            list if list.is_empty() => String::new(),
            list => format!(" ({} of the profile: not built)", list.join(", ")),
        };
        let text = format!(
            "BFD is not built yet: the hold time alone finds a dead peer. The timers of \
             \"{name}\" are kept{beyond}"
        );
        faults.push(self.fault(Severity::Warning, path, text));
        Some(profile.timers())
    }

    fn password(&self, view: &View<'_>) -> Result<Option<Secret>, Box<Fault>> {
        let down = "; the session stays down";
        if let Some(Hidden(text)) = &self.peer.password {
            let path = if self.is_old {
                "password"
            } else {
                "spec.password"
            };
            let object = format!("{}, {path}", self.label);
            return self.key(path, &object, text.as_bytes()).map(Some);
        }
        let Some((name, namespace)) = &self.peer.password_secret else {
            return Ok(None);
        };
        let path = "spec.passwordSecret";
        let error = |text: String| {
            let text = format!("{text}{down}");
            Err(Box::new(self.fault(Severity::Error, path, text)))
        };
        // MetalLB reads secrets of its own namespace only, whatever is written; so whoever may
        // write a BGPPeer cannot make us use the secrets of others.
        let home = &self.meta.namespace;
        if namespace.as_ref().is_some_and(|wanted| wanted != home) {
            return error(format!(
                "the secret must be in the peer's namespace, {home}"
            ));
        }
        let Some(secret) = view.snapshot.secret(home, name) else {
            return error(format!("Secret {home}/{name} is not there"));
        };
        self.secret_key(secret, path)
    }

    fn secret_key(&self, secret: &SecretData, path: &str) -> Result<Option<Secret>, Box<Fault>> {
        let object = format!("Secret {}, key {PASSWORD}", secret.meta.object_name());
        let error = |text: String| {
            let text = format!("{text}; the session stays down");
            Err(Box::new(self.fault(Severity::Error, path, text)))
        };
        if &*secret.kind != BASIC_AUTH {
            let text = format!("{object}: type \"{}\", {BASIC_AUTH} expected", secret.kind);
            return error(text);
        }
        match secret.data.get(PASSWORD) {
            Some(key) => self.key(path, &object, key).map(Some),
            None => error(format!("{object} is not there")),
        }
    }

    fn key(&self, path: &str, object: &str, key: &[u8]) -> Result<Secret, Box<Fault>> {
        if key.is_empty() || key.len() > KEY_LEN_MAX {
            let text = format!(
                "{} octets; TCP-MD5 takes 1 to {KEY_LEN_MAX}; the session stays down",
                key.len()
            );
            return Err(Box::new(self.fault(Severity::Error, path, text)));
        }
        Ok(Secret {
            object: object.into(),
            key: key.to_vec(),
        })
    }
}
