//! How each daemon is told of the same virtual routers.
//!
//! Everybody gets its defaults, apart from what the measurement itself asks for: version 3,
//! the interval, the priorities; both routers start as backups, so that mastership is always
//! elected. keepalived runs without `-D`: the detailed log costs milliseconds per transition where
//! nobody reads it. FRR wants a macvlan with the virtual MAC and the address for each virtual
//! router, made beforehand, and `arp_ignore` and `arp_announce` set so that its routers do not
//! answer for each other.

use std::fmt::Write as _;

use super::pair::Kind;
use super::plan::{Instance, Plan};

/// Where the configuration lies in a router.
#[must_use]
pub fn file(kind: Kind) -> &'static str {
    match kind {
        Kind::Wayfare => "/run/node/vrrpd.toml",
        Kind::Keepalived => "/run/node/keepalived.conf",
        Kind::Frr => "/run/node/vrrpd.conf",
    }
}

/// The configuration.
#[must_use]
pub fn text(kind: Kind, plan: Plan, priority: u8) -> String {
    let head = match kind {
        Kind::Wayfare => "",
        Kind::Keepalived => "global_defs {\n  vrrp_version 3\n}\n",
        Kind::Frr => "frr defaults traditional\n",
    };
    let one = |instance| match kind {
        Kind::Wayfare => wayfare(instance, plan, priority),
        Kind::Keepalived => keepalived(instance, plan, priority),
        Kind::Frr => frr(instance, plan, priority),
    };
    plan.instances()
        .map(one)
        .fold(head.to_owned(), |text, part| text + &part)
}

fn wayfare(instance: Instance, plan: Plan, priority: u8) -> String {
    format!(
        "[[instance]]\nname = \"v{0}-{1}\"\ninterface = \"{2}\"\nvrid = {1}\n\
         priority = {priority}\nadvertise-interval = \"{3}ms\"\naddresses = [\"{4}\"]\n",
        instance.link,
        instance.vrid,
        instance.interface(),
        plan.interval_ms,
        instance.address()
    )
}

fn keepalived(instance: Instance, plan: Plan, priority: u8) -> String {
    format!(
        "vrrp_instance V{0}_{1} {{\n  state BACKUP\n  interface {2}\n  virtual_router_id {1}\n  \
         priority {priority}\n  advert_int {3}\n  virtual_ipaddress {{\n    {4}\n  }}\n}}\n",
        instance.link,
        instance.vrid,
        instance.interface(),
        f64::from(plan.interval_ms) / 1000.0,
        instance.address()
    )
}

fn frr(instance: Instance, plan: Plan, priority: u8) -> String {
    let vrid = instance.vrid;
    format!(
        "interface {}\n vrrp {vrid} version 3\n vrrp {vrid} priority {priority}\n \
         vrrp {vrid} advertisement-interval {}\n vrrp {vrid} ip {}\nexit\n",
        instance.interface(),
        plan.interval_ms,
        instance.address()
    )
}

/// What a daemon needs in the kernel before it starts, as lines of `ip -batch`.
#[must_use]
pub fn links(kind: Kind, plan: Plan) -> String {
    let mut lines = String::new();
    if kind != Kind::Frr {
        return lines;
    }
    for one in plan.instances() {
        let name = macvlan(one);
        let _ = write!(
            lines,
            "link add {name} link {} type macvlan mode bridge\n\
             link set dev {name} addrgenmode random\n\
             link set dev {name} address 00:00:5e:00:01:{:02x}\n\
             addr add {}/16 dev {name}\nlink set dev {name} up\n",
            one.interface(),
            one.vrid,
            one.address()
        );
    }
    lines
}

/// Takes everything out of the kernel that a daemon may have left there, as lines of `ip -batch`;
/// some of them fail because nothing is there.
#[must_use]
pub fn leftovers(kind: Kind, plan: Plan) -> String {
    let line = |one: Instance| match kind {
        Kind::Frr => format!("link del {}\n", macvlan(one)),
        _ => format!("addr del {}/32 dev {}\n", one.address(), one.interface()),
    };
    plan.instances().map(line).collect()
}

/// What is set in `/proc/sys` before a daemon starts.
#[must_use]
pub fn settings(kind: Kind) -> &'static str {
    match kind {
        Kind::Frr => {
            "sysctl -qw net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2 \
             net.ipv4.ip_forward=0"
        }
        _ => {
            "sysctl -qw net.ipv4.conf.all.arp_ignore=0 net.ipv4.conf.all.arp_announce=0 \
             net.ipv4.ip_forward=0"
        }
    }
}

fn macvlan(one: Instance) -> String {
    format!("v{}-{}", one.link, one.vrid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_told_the_same() {
        let plan = Plan {
            interval_ms: 100,
            links: 2,
            per_link: 3,
        };
        for kind in Kind::ALL {
            let text = text(kind, plan, 200);
            for part in ["eth1", "eth2", "10.101.1.1", "10.102.1.3", "200"] {
                assert!(text.contains(part), "{part} in {text}");
            }
        }
        assert!(text(Kind::Keepalived, plan, 200).contains("advert_int 0.1\n"));
        assert_eq!(links(Kind::Frr, plan).lines().count(), 30);
        assert_eq!(leftovers(Kind::Wayfare, plan).lines().count(), 6);
    }
}
