//! The keys of a neighbor and what changing each of them costs.
//!
//! One row per key. The struct is taken apart without `..`, so a new key does not compile until
//! it has a row here.

use std::fmt::Display;
use std::time::Duration;

use ctl::config::duration_text;

use super::Impact;
use super::Impact::{Hitless, NextSession, SessionReset, SoftIn, SoftOut};
use crate::config::model::{
    AddPath, AsnRule, Bfd, GracefulRestart, Password, PolicyRef, Role, Settings,
};

/// How a value is shown in a plan.
trait Shown: PartialEq {
    fn shown(&self) -> String;
}

/// The keys that differ, as `key old -> new`, with their impacts.
pub(super) fn differences(old: &Settings, new: &Settings) -> Vec<(String, Impact)> {
    let mut found = Vec::new();
    // `internal` follows from `asn` here and from the router's AS elsewhere.
    let internal_stays = old.internal == new.internal;
    macro_rules! rows {
        ($($field:ident: $key:literal = $impact:expr,)*) => {
            let Settings { internal: _, asn: _, $($field: _,)* } = new;
            $(if old.$field != new.$field {
                let (a, b) = (old.$field.shown(), new.$field.shown());
                found.push((format!("{} {a} -> {b}", $key), $impact));
            })*
        };
    }
    // `asn = 64512` and `asn = "internal"` may say the same.
    if old.asn != new.asn && !(old.internal && new.internal) || !internal_stays {
        let (a, b) = (old.asn.shown(), new.asn.shown());
        found.push((format!("asn {a} -> {b}"), SessionReset));
    }
    // Coming up is no reset.
    let shutdown = if new.shutdown { SessionReset } else { Hitless };
    rows! {
        description: "description" = Hitless,
        shutdown: "shutdown" = shutdown,
        families: "families" = NextSession,
        port: "port" = NextSession,
        local_address: "local-address" = SessionReset,
        passive: "passive" = NextSession,
        hold_time: "hold-time" = NextSession,
        keepalive: "keepalive" = NextSession,
        connect_retry: "connect-retry" = Hitless,
        password: "password-file" = SessionReset,
        ttl_security: "ttl-security" = SessionReset,
        ebgp_multihop: "ebgp-multihop" = SessionReset,
        local_asn: "local-as" = SessionReset,
        allow_own_as: "allow-own-as" = SoftIn,
        route_reflector_client: "route-reflector-client" = SoftOut,
        next_hop_self: "next-hop-self" = SoftOut,
        next_hop_keep: "next-hop-keep" = SoftOut,
        next_hop_v4: "next-hop (IPv4)" = SoftOut,
        next_hop_v6: "next-hop (IPv6)" = SoftOut,
        extended_next_hop: "extended-next-hop" = NextSession,
        add_path: "add-path" = NextSession,
        graceful_restart: "graceful-restart" = NextSession,
        graceful_restart_time: "graceful-restart-time" = NextSession,
        max_prefixes: "max-prefixes" = Hitless,
        max_prefixes_restart: "max-prefixes-restart" = Hitless,
        bfd: "bfd" = Hitless,
        role: "role" = NextSession,
        role_strict: "role-strict" = NextSession,
        enforce_first_as: "enforce-first-as" = NextSession,
        reject_as_sets: "reject-as-sets" = NextSession,
        import_guard: "import-guard" = SoftIn,
        guards_pods: "guard of pod ranges" = SoftIn,
        import: "import" = SoftIn,
        export: "export" = SoftOut,
        standing: "standing" = SoftOut,
    }
    found
}

impl<T: Shown> Shown for Option<T> {
    fn shown(&self) -> String {
        self.as_ref().map_or("none".to_owned(), Shown::shown)
    }
}

macro_rules! shown_as_text {
    ($($kind:ty),*) => {
        $(impl Shown for $kind {
            fn shown(&self) -> String {
                plain(self)
            }
        })*
    };
}
shown_as_text!(
    bool,
    u8,
    u16,
    u32,
    String,
    std::net::IpAddr,
    std::net::Ipv4Addr
);
shown_as_text!(std::net::Ipv6Addr);

fn plain(value: &impl Display) -> String {
    value.to_string()
}

impl Shown for Duration {
    fn shown(&self) -> String {
        duration_text(*self)
    }
}

impl Shown for [bool; 2] {
    fn shown(&self) -> String {
        let names = ["ipv4-unicast", "ipv6-unicast"].iter().zip(self);
        let on: Vec<_> = names
            .filter(|(_, on)| **on)
            .map(|(name, _)| *name)
            .collect();
        on.join("+")
    }
}

impl Shown for AsnRule {
    fn shown(&self) -> String {
        match self {
            Self::Exact(asn) => asn.to_string(),
            Self::Internal => "internal".to_owned(),
            Self::External => "external".to_owned(),
        }
    }
}

impl Shown for Password {
    fn shown(&self) -> String {
        // The key itself may have changed behind the same name; it is never shown.
        format!("key of {}", self.file.display())
    }
}

impl Shown for PolicyRef {
    fn shown(&self) -> String {
        match self {
            Self::Named(name) => name.clone(),
            Self::Default => "none (accept-all)".to_owned(),
            Self::Missing => "none (RFC 8212: reject-all)".to_owned(),
        }
    }
}

impl Shown for AddPath {
    fn shown(&self) -> String {
        let word = match (self.send, self.receive) {
            (false, false) => "off",
            (true, false) => "send",
            (false, true) => "receive",
            (true, true) => "both",
        };
        word.to_owned()
    }
}

impl Shown for GracefulRestart {
    fn shown(&self) -> String {
        let word = match self {
            Self::Off => "off",
            Self::Helper => "helper",
            Self::Full => "full",
        };
        word.to_owned()
    }
}

impl Shown for Bfd {
    fn shown(&self) -> String {
        let (transmit, receive) = (duration_text(self.transmit), duration_text(self.receive));
        format!("{transmit}/{receive} x{}", self.multiplier)
    }
}

impl Shown for cluster::Standing {
    fn shown(&self) -> String {
        use cluster::{NeighborRole, Stage};
        let role = match self.role {
            NeighborRole::Configured => "configured",
            NeighborRole::Mesh => "mesh",
            NeighborRole::Reflector => "reflector",
            NeighborRole::Client => "client",
        };
        let stage = match (self.stage, self.retires) {
            (Stage::Stays, _) => "",
            (Stage::Ends, false) => ", to end",
            (Stage::Ends, true) => ", to end, not needed here",
            (Stage::StopsReflecting, false) => ", to reflect no more",
            (Stage::StopsReflecting, true) => ", to reflect no more, not needed here",
            (Stage::Released, _) => ", to be released",
        };
        format!("{role}{stage}")
    }
}

impl Shown for Role {
    fn shown(&self) -> String {
        let word = match self {
            Self::Provider => "provider",
            Self::RouteServer => "rs",
            Self::RouteServerClient => "rs-client",
            Self::Customer => "customer",
            Self::Peer => "peer",
        };
        word.to_owned()
    }
}
