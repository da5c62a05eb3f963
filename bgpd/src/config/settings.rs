//! The values of one neighbor: checked together and resolved.
//!
//! Runs after inheritance, because what contradicts (GTSM and multihop, a client outside the AS)
//! may come half from the group and half from the neighbor; the fault points at the half that
//! can be changed. A value a group hands to a thousand neighbors is judged a thousand times and
//! reported once, since equal faults of one place are one fault.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ctl::config::{At, Sink, did_you_mean};
use rib::policy::{ACCEPT_ALL, REJECT_ALL};

use super::host::Host;
use super::model::{AsnRule, GracefulRestart, Password, PolicyRef, Settings};
use super::raw::RawSettings;

/// The kernel's `TCP_MD5SIG_MAXKEYLEN`.
const KEY_LEN_MAX: usize = 80;
/// The restart time is a 12-bit field (RFC 4724 §3).
const RESTART_TIME_MAX_S: u64 = 4095;
const HOLD_TIME: Duration = Duration::from_secs(90);
const CONNECT_RETRY: Duration = Duration::from_secs(5);
const RESTART_TIME: Duration = Duration::from_secs(120);

/// What all neighbors of a file are judged against.
pub(super) struct Scope<'a> {
    pub sink: &'a Sink,
    pub host: &'a Host,
    /// Relative key files are relative to the configuration file.
    pub directory: PathBuf,
    /// Our AS, when it could be read.
    pub asn: Option<u32>,
    /// Whether we listen at all.
    pub listens: bool,
    /// Names of the policies of the file.
    pub policies: BTreeSet<&'a str>,
    /// Key files read so far: a key shared by many neighbors is read once.
    pub keys: RefCell<BTreeMap<PathBuf, Result<Vec<u8>, String>>>,
}

/// The neighbor whose values are judged.
pub(super) struct Subject<'a> {
    /// As it is called in messages: `neighbor 10.0.0.1`.
    pub title: String,
    /// Where faults of absence point.
    pub span: &'a Range<usize>,
    /// Its address (or any of the range's), when it has one.
    pub address: Option<IpAddr>,
    /// Whether its group does not exist, so that nothing is known to be absent.
    pub orphan: bool,
    /// Whether it only ever connects to us.
    pub dynamic: bool,
    /// Our address towards it, when the file implies one.
    pub local_address: Option<IpAddr>,
}

impl Scope<'_> {
    /// Judges and resolves `raw`, which has already inherited.
    pub fn resolve(&self, raw: &RawSettings, subject: &Subject<'_>) -> Settings {
        let asn = self.asn_rule(raw, subject);
        let internal = match asn {
            AsnRule::Internal => true,
            AsnRule::External => false,
            AsnRule::Exact(asn) => self.asn == Some(asn),
        };
        self.check_kind(raw, internal);
        self.check_hops(raw, internal);
        self.check_address(raw, subject);
        self.check_built(raw);
        let (hold_time, keepalive) = self.timers(raw);
        let by_peer = |v6: bool| subject.address.is_none_or(|addr| addr.is_ipv6() == v6);
        let families = match &raw.families {
            Some(list) => [0, 1].map(|index| list.value.iter().any(|at| at.value.0 == index)),
            None => [by_peer(false), by_peer(true)],
        };
        let (next_hop_v4, next_hop_v6) = self.next_hops(raw);
        let role = value(&raw.role);
        Settings {
            description: raw.description.as_ref().map(|at| at.value.clone()),
            shutdown: value(&raw.shutdown).unwrap_or(false),
            asn,
            internal,
            families,
            port: value(&raw.port).unwrap_or(179),
            local_address: value(&raw.local_address).or(subject.local_address),
            passive: subject.dynamic || value(&raw.passive).unwrap_or(false),
            hold_time,
            keepalive,
            connect_retry: value(&raw.connect_retry).unwrap_or(CONNECT_RETRY),
            password: raw.password_file.as_ref().and_then(|at| self.password(at)),
            ttl_security: value(&raw.ttl_security),
            ebgp_multihop: value(&raw.ebgp_multihop)
                .filter(|_| !internal && raw.ttl_security.is_none()),
            local_asn: self.local_asn(raw, internal),
            allow_own_as: value(&raw.allow_own_as).unwrap_or(0),
            route_reflector_client: value(&raw.route_reflector_client).unwrap_or(false),
            next_hop_self: value(&raw.next_hop_self).unwrap_or(false),
            next_hop_keep: value(&raw.next_hop_keep).unwrap_or(false),
            next_hop_v4,
            next_hop_v6,
            extended_next_hop: value(&raw.extended_next_hop).unwrap_or(by_peer(true)),
            add_path: value(&raw.add_path).unwrap_or_default(),
            graceful_restart: value(&raw.graceful_restart).unwrap_or_default(),
            graceful_restart_time: value(&raw.graceful_restart_time).unwrap_or(RESTART_TIME),
            max_prefixes: value(&raw.max_prefixes),
            max_prefixes_restart: value(&raw.max_prefixes_restart),
            bfd: value(&raw.bfd),
            role,
            role_strict: value(&raw.role_strict).unwrap_or(false),
            // A route server does not put its own AS in front (RFC 7947 §2.2.2.1).
            enforce_first_as: value(&raw.enforce_first_as)
                .unwrap_or(!internal && role != Some(super::model::Role::RouteServerClient)),
            reject_as_sets: value(&raw.reject_as_sets).unwrap_or(true),
            import_guard: !internal && value(&raw.import_guard).unwrap_or(true),
            guards_pods: true,
            import: self.policy(&raw.import, internal),
            export: self.policy(&raw.export, internal),
            standing: None,
        }
    }

    /// Judges values that no neighbor may ever have: a group's, of a range without a prefix. What
    /// depends on the neighbor is left out; what is wrong for a member too is said once.
    pub fn judge(&self, raw: &RawSettings) {
        self.check_hops(raw, false);
        self.check_built(raw);
        self.timers(raw);
        self.next_hops(raw);
        self.policy(&raw.import, false);
        self.policy(&raw.export, false);
        if let Some(at) = &raw.password_file {
            self.password(at);
        }
    }

    fn asn_rule(&self, raw: &RawSettings, subject: &Subject<'_>) -> AsnRule {
        if let Some(at) = &raw.asn {
            return at.value;
        }
        if raw.asn_written || subject.orphan {
            return AsnRule::Internal;
        }
        let message = format!("{} has no `asn`", subject.title);
        let cure = "write asn = 64500, \"internal\" or \"external\", here or in its peer-group";
        self.sink.error(subject.span, message, cure);
        AsnRule::Internal
    }

    /// What only makes sense inside the AS, or only outside.
    fn check_kind(&self, raw: &RawSettings, internal: bool) {
        if let Some(client) = raw.route_reflector_client.as_ref().filter(|at| at.value)
            && !internal
        {
            let cure =
                "only iBGP neighbors are reflected to: remove it or write asn = \"internal\"";
            self.sink.error(
                &client.span,
                "an eBGP neighbor cannot be a reflector client",
                cure,
            );
        }
        if let Some(role) = &raw.role
            && internal
        {
            let message = "roles are for eBGP neighbors (RFC 9234)";
            self.sink.error(&role.span, message, "remove `role`");
        }
        if let Some(strict) = raw.role_strict.as_ref().filter(|at| at.value)
            && raw.role.is_none()
        {
            let message = "`role-strict` needs a role";
            self.sink.error(
                &strict.span,
                message,
                "add role = \"customer\" or another role",
            );
        }
        if let Some(restart) = &raw.max_prefixes_restart
            && raw.max_prefixes.is_none()
        {
            let message = "`max-prefixes-restart` does nothing without `max-prefixes`";
            self.sink.warning(
                &restart.span,
                message,
                "add max-prefixes = 1000 or remove it",
            );
        }
        if let Some(zero) = raw.max_prefixes.as_ref().filter(|at| at.value == 0) {
            let cure = "write a number from 1; to accept nothing write import = \"reject-all\"";
            self.sink.error(&zero.span, "`max-prefixes` is 0", cure);
        }
    }

    /// The AS shown instead of ours. Showing our own is showing nothing else.
    fn local_asn(&self, raw: &RawSettings, internal: bool) -> Option<u32> {
        let at = raw.local_as.as_ref()?;
        if internal {
            let message = "an iBGP neighbor has our AS, so `local-as` cannot be shown to it";
            self.sink.error(&at.span, message, "remove `local-as`");
        }
        if let (Some(AsnRule::Exact(asn)), false) = (value(&raw.asn), internal)
            && asn == at.value.0
        {
            let message = "`local-as` is the neighbor's own AS";
            let cure = "remove it, or make the neighbor internal by its `asn`";
            self.sink.error(&at.span, message, cure);
        }
        Some(at.value.0).filter(|asn| self.asn != Some(*asn))
    }

    fn check_hops(&self, raw: &RawSettings, internal: bool) {
        if let Some(bad) = raw
            .ttl_security
            .as_ref()
            .filter(|at| !(1..=254).contains(&at.value))
        {
            let cure = "write the number of hops, 1 for a neighbor on the same link";
            self.sink
                .error(&bad.span, "`ttl-security` is out of range", cure);
        }
        let Some(multihop) = &raw.ebgp_multihop else {
            return;
        };
        if multihop.value == 0 {
            self.sink.error(
                &multihop.span,
                "`ebgp-multihop` is 0",
                "write a number from 1 to 255",
            );
        }
        if let Some(security) = &raw.ttl_security {
            let hops = security.value.max(multihop.value);
            let message = "`ebgp-multihop` does nothing beside `ttl-security`, which counts hops";
            let cure = format!("keep one of them, such as ttl-security = {hops}");
            self.sink.warning(&multihop.span, message, &cure);
        } else if internal {
            let message = "`ebgp-multihop` does nothing for an iBGP neighbor";
            self.sink.warning(&multihop.span, message, "remove it");
        }
    }

    fn check_address(&self, raw: &RawSettings, subject: &Subject<'_>) {
        if let Some(zero) = raw.port.as_ref().filter(|at| at.value == 0) {
            self.sink
                .error(&zero.span, "`port` is 0", "write a number from 1 to 65535");
        }
        if let Some(empty) = raw.families.as_ref().filter(|at| at.value.is_empty()) {
            let cure = "write families = [\"ipv4-unicast\", \"ipv6-unicast\"] or one of them";
            self.sink.error(&empty.span, "`families` is empty", cure);
        }
        if let Some(passive) = raw.passive.as_ref().filter(|at| at.value)
            && !self.listens
        {
            let message = "a passive neighbor never comes up while `listen` is empty";
            self.sink.error(
                &passive.span,
                message,
                "remove `passive`, or listen on an address",
            );
        }
        let Some(local) = &raw.local_address else {
            return;
        };
        if let Some(address) = subject.address {
            if local.value.is_ipv4() != address.is_ipv4() {
                let message = format!("`local-address` is not of the family of {address}");
                let wanted = if address.is_ipv4() {
                    "an IPv4"
                } else {
                    "an IPv6"
                };
                self.sink
                    .error(&local.span, message, &format!("write {wanted} address"));
            } else if local.value == address {
                let message = "`local-address` is the neighbor's own address";
                self.sink
                    .error(&local.span, message, "write an address of this machine");
            }
        }
        let here = &self.host.addresses;
        if !here.is_empty() && !local.value.is_loopback() && !self.host.owns(local.value) {
            let message = format!("{} is not an address of this machine now", local.value);
            let cure = "the session waits until it is; check for a typing error";
            self.sink.warning(&local.span, message, cure);
        }
    }

    /// Names what this version accepts but does not do.
    fn check_built(&self, raw: &RawSettings) {
        if let Some(bfd) = &raw.bfd {
            let message = "`bfd` is not built in this version: the session is not guarded by BFD";
            self.sink.warning(
                &bfd.span,
                message,
                "a shorter `hold-time` notices a failure sooner",
            );
        }
    }

    /// Hold time and keepalive interval.
    fn timers(&self, raw: &RawSettings) -> (Duration, Duration) {
        let hold = value(&raw.hold_time).unwrap_or(HOLD_TIME);
        if let Some(at) = &raw.hold_time {
            let seconds = at.value.as_secs();
            let whole = at.value.subsec_nanos() == 0;
            if !whole || !(seconds == 0 || (3..=65535).contains(&seconds)) {
                let message = "`hold-time` is 0 or from 3 to 65535 whole seconds (RFC 4271 §4.2)";
                let cure = "write \"3s\" or more; for faster detection use BFD";
                self.sink.error(&at.span, message, cure);
            }
        }
        if let Some(at) = &raw.keepalive
            && (at.value < Duration::from_secs(1) || (at.value >= hold && !hold.is_zero()))
        {
            let message = "`keepalive` must be at least 1s and shorter than the hold time";
            let third = (hold.as_secs() / 3).max(1);
            self.sink.error(
                &at.span,
                message,
                &format!("write \"{third}s\" or leave it out"),
            );
        }
        let range = Duration::from_millis(100)..=Duration::from_secs(65535);
        for (at, key) in [
            (&raw.connect_retry, "connect-retry"),
            (&raw.max_prefixes_restart, "max-prefixes-restart"),
        ] {
            if let Some(at) = at.as_ref().filter(|at| !range.contains(&at.value)) {
                let message = format!("`{key}` is out of range");
                self.sink.error(
                    &at.span,
                    message,
                    "write a value from \"100ms\" to \"65535s\"",
                );
            }
        }
        if let Some(at) = &raw.graceful_restart_time {
            if at.value.subsec_nanos() != 0 || at.value.as_secs() > RESTART_TIME_MAX_S {
                let message = "`graceful-restart-time` is 0 to 4095 whole seconds (RFC 4724 §3)";
                self.sink.error(&at.span, message, "write \"120s\"");
            }
            if value(&raw.graceful_restart) == Some(GracefulRestart::Off) {
                let message = "`graceful-restart-time` does nothing: graceful restart is off";
                self.sink.warning(&at.span, message, "remove it");
            }
        }
        (hold, value(&raw.keepalive).unwrap_or(hold / 3))
    }

    fn next_hops(
        &self,
        raw: &RawSettings,
    ) -> (Option<std::net::Ipv4Addr>, Option<std::net::Ipv6Addr>) {
        let (mut v4, mut v6) = (None, None);
        for at in raw.next_hop.iter().flat_map(|list| &list.value) {
            let twice = match at.value {
                IpAddr::V4(addr) => v4.replace(addr).is_some(),
                IpAddr::V6(addr) => v6.replace(addr).is_some(),
            };
            if twice {
                let message = "`next-hop` has two addresses of one family";
                self.sink.error(
                    &at.span,
                    message,
                    "keep one IPv4 and one IPv6 address at most",
                );
            }
        }
        (v4, v6)
    }

    fn policy(&self, at: &Option<At<String>>, internal: bool) -> PolicyRef {
        let Some(at) = at else {
            return if internal {
                PolicyRef::Default
            } else {
                PolicyRef::Missing
            };
        };
        let predefined = [ACCEPT_ALL, REJECT_ALL];
        let name = at.value.as_str();
        if !self.policies.contains(name) && !predefined.contains(&name) {
            let known = || self.policies.iter().copied().chain(predefined);
            let cure = did_you_mean(name, known(), || {
                format!("known policies: {}", known().collect::<Vec<_>>().join(", "))
            });
            self.sink
                .error(&at.span, format!("there is no policy `{name}`"), &cure);
        }
        PolicyRef::Named(at.value.clone())
    }

    fn password(&self, at: &At<PathBuf>) -> Option<Password> {
        let file = self.directory.join(&at.value);
        let mut keys = self.keys.borrow_mut();
        let key = keys.entry(file.clone()).or_insert_with(|| read_key(&file));
        match key {
            Ok(key) => Some(Password {
                file,
                key: key.clone(),
            }),
            Err(message) => {
                let cure = "the file holds the key alone, 1 to 80 octets in one line";
                self.sink.error(&at.span, message.clone(), cure);
                None
            }
        }
    }
}

fn value<T: Copy>(at: &Option<At<T>>) -> Option<T> {
    at.as_ref().map(|at| at.value)
}

/// The key of a file: its one line, without the line end.
fn read_key(file: &Path) -> Result<Vec<u8>, String> {
    let shown = file.display();
    let mut key = std::fs::read(file).map_err(|error| format!("cannot read {shown}: {error}"))?;
    while matches!(key.last(), Some(b'\n' | b'\r')) {
        key.pop();
    }
    match key.len() {
        0 => Err(format!("{shown} is empty")),
        _ if key.contains(&b'\n') => Err(format!("{shown} holds more than one line")),
        len if len > KEY_LEN_MAX => Err(format!(
            "the key in {shown} has {len} octets, TCP-MD5 takes {KEY_LEN_MAX}"
        )),
        _ => Ok(key),
    }
}
