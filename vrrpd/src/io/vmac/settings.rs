//! The kernel's settings around a virtual MAC: set, verified, watched, given back.
//!
//! Written by netlink where it can be (IPv4: the service may not write to `/proc/sys`), read from
//! `/proc/sys`, which takes no lock. Where that is hidden (a sandbox may do that) nothing is known
//! and nothing is taken for granted: it is a fault of whoever wants a virtual MAC. The kernel
//! counts the greater of a link's own value and that of `all`, for some settings either of both,
//! so a host can be configured in a way that no link can undo: that is said, once, with the
//! setting's name.
//!
//! IPv6 has no such way to write. A link of ours makes no address of its own whatever the settings
//! (`addr_gen_mode none`, and no address is put there but ours); what is left is that a host which
//! takes router advertisements must not take them there a second time.

use std::{fs, io};

use rib::netlink::links::{Ipv4Setting, VirtualLinks, ipv4_now};

/// ARP is answered for the addresses of the link asked alone.
const ARP_IGNORE: i32 = 1;
/// Questions are asked in the name of an address of the link alone.
const ARP_ANNOUNCE: i32 = 2;
/// Loose: whoever sends must be reachable, over any link.
const RP_FILTER: i32 = 2;
/// No proxy ARP on this link, whatever `all` says.
const NO_PROXY: i32 = -1;

/// What a link of a virtual MAC is made with. It routes on what its parent would.
pub(super) fn of_a_virtual_link(parent: &str) -> Result<Vec<(Ipv4Setting, u32)>, String> {
    let forwarding = now(parent, Ipv4Setting::Forwarding)?;
    let mut list = vec![
        (Ipv4Setting::Forwarding, forwarding),
        (Ipv4Setting::AcceptLocal, 0),
        (Ipv4Setting::ArpAnnounce, ARP_ANNOUNCE),
    ];
    list.extend(WATCHED);
    Ok(raw(&list))
}

/// What a setting is now, or what to say of it.
fn now(link: &str, setting: Ipv4Setting) -> Result<i32, String> {
    ipv4_now(link, setting).map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::NotFound => " (the sandbox must show it: no ProcSubset=pid in the unit)",
            _ => "",
        };
        let name = setting.name();
        format!("net.ipv4.conf.{link}.{name} cannot be read: {error}{hint}")
    })
}

/// Those that decide who learns what.
const WATCHED: [(Ipv4Setting, i32); 3] = [
    (Ipv4Setting::ArpIgnore, ARP_IGNORE),
    (Ipv4Setting::RpFilter, RP_FILTER),
    (Ipv4Setting::MediumId, NO_PROXY),
];

/// Those of a parent, see [`Ipv4Setting::on_a_parent`].
const ON_A_PARENT: [Ipv4Setting; 2] = [Ipv4Setting::ArpIgnore, Ipv4Setting::ArpAnnounce];

fn raw(list: &[(Ipv4Setting, i32)]) -> Vec<(Ipv4Setting, u32)> {
    let each = list.iter();
    each.map(|(setting, value)| (*setting, value.cast_unsigned()))
        .collect()
}

/// Puts back what somebody changed on a link of ours.
pub(super) fn check_virtual_link(writer: &mut VirtualLinks, index: u32, name: &str) {
    let other = |(setting, value): &(Ipv4Setting, i32)| {
        ipv4_now(name, *setting).is_ok_and(|now| now != *value)
    };
    let changed: Vec<_> = WATCHED.into_iter().filter(other).collect();
    for (setting, value) in &changed {
        let setting = setting.name();
        tracing::warn!("net.ipv4.conf.{name}.{setting} was changed: set to {value} again");
    }
    if !changed.is_empty() {
        // Refused: told again with the next look.
        let _ = writer.set_ipv4(index, &raw(&changed));
    }
}

/// The settings of a parent, and what they were.
#[derive(Debug)]
pub(super) struct Guard {
    /// The parent of virtual MACs it is for.
    parent: u32,
    name: String,
    before: Vec<(Ipv4Setting, u32)>,
    set: bool,
}

impl Guard {
    /// Remembers what is now.
    pub(super) fn begin(parent: u32, name: &str) -> Result<Self, String> {
        let mut before = Vec::new();
        for setting in ON_A_PARENT {
            before.push((setting, now(name, setting)?.cast_unsigned()));
        }
        for text in doubts() {
            tracing::warn!("virtual MACs on {name}: {text}");
        }
        Ok(Self {
            parent,
            name: name.to_owned(),
            before,
            set: false,
        })
    }

    /// Takes over from an earlier process.
    pub(super) fn remembered(parent: u32, before: Vec<(Ipv4Setting, u32)>) -> Self {
        Self {
            parent,
            name: String::new(),
            before,
            set: false,
        }
    }

    pub(super) fn parent(&self) -> u32 {
        self.parent
    }

    pub(super) fn before(&self) -> Vec<(Ipv4Setting, u32)> {
        self.before.clone()
    }

    /// Sets what must be, and looks whether it is.
    pub(super) fn set(
        &mut self,
        writer: &mut VirtualLinks,
        (parent, name): (u32, &str),
    ) -> Result<(), String> {
        if self.set {
            return Ok(());
        }
        name.clone_into(&mut self.name);
        let wrong = self.wrong()?;
        if !wrong.is_empty() {
            let outcome = writer.set_ipv4(parent, &raw(&wrong));
            let text = |setting: Ipv4Setting| format!("net.ipv4.conf.{name}.{}", setting.name());
            if let Some((setting, value)) = self.wrong()?.first() {
                let reason = outcome.err().map_or(0, |error| error.errno);
                let reason = std::io::Error::from_raw_os_error(reason);
                return Err(format!(
                    "{} cannot be set to {value}: {reason}",
                    text(*setting)
                ));
            }
        }
        self.set = true;
        Ok(())
    }

    /// What is not as it must be, and what it must be.
    fn wrong(&self) -> Result<Vec<(Ipv4Setting, i32)>, String> {
        let mut list = Vec::new();
        for setting in ON_A_PARENT {
            let now = now(&self.name, setting)?;
            let good = match setting {
                // 1 and 2 answer for the link's own addresses, 8 for none.
                Ipv4Setting::ArpIgnore => matches!(now, 1 | 2 | 8),
                _ => setting.on_a_parent() == Some(now),
            };
            if let Some(value) = setting.on_a_parent().filter(|_| !good) {
                list.push((setting, value));
            }
        }
        Ok(list)
    }

    /// Puts back what somebody changed.
    pub(super) fn check(&mut self, writer: &mut VirtualLinks, parent: u32) {
        if !self.set {
            return;
        }
        // A parent that is gone has no settings.
        let wrong = self.wrong().unwrap_or_default();
        for (setting, value) in &wrong {
            let (name, setting) = (&self.name, setting.name());
            tracing::warn!("net.ipv4.conf.{name}.{setting} was changed: set to {value} again");
        }
        if !wrong.is_empty() {
            let _ = writer.set_ipv4(parent, &raw(&wrong));
        }
    }

    /// The last virtual MAC left the parent: what we set is what it was.
    pub(super) fn give_back(&self, writer: &mut VirtualLinks, link: u32) {
        if let Err(error) = writer.give_back(link, &self.before) {
            let reason = io::Error::from_raw_os_error(error.errno);
            tracing::error!(link, %reason, "settings of ARP cannot be given back");
        }
    }
}

/// What the host's own settings for all links make impossible.
fn doubts() -> Vec<&'static str> {
    let mut list = Vec::new();
    // Where one cannot be read none can, and the link's own are told.
    let all = |setting| ipv4_now("all", setting).unwrap_or_default();
    if all(Ipv4Setting::ArpFilter) != 0 {
        list.push("net.ipv4.conf.all.arp_filter is on: nobody is answered from a virtual MAC");
    }
    if all(Ipv4Setting::ArpIgnore) > 2 {
        list.push("net.ipv4.conf.all.arp_ignore is above 2: ARP is not answered as it must be");
    }
    list
}

/// No address from router advertisements, no second default route, and routing as on the parent.
pub(super) fn keep_ipv6_quiet(name: &str, parent: &str) {
    let path = |link: &str, what: &str| format!("/proc/sys/net/ipv6/conf/{link}/{what}");
    let read = |link: &str, what: &str| fs::read_to_string(path(link, what)).ok();
    let wanted = [
        ("accept_ra", Some("0".to_owned())),
        ("autoconf", Some("0".to_owned())),
        ("forwarding", read(parent, "forwarding")),
    ];
    for (what, value) in wanted {
        let (Some(value), Some(now)) = (value, read(name, what)) else {
            continue;
        };
        if now.trim() == value.trim() {
            continue;
        }
        if let Err(error) = fs::write(path(name, what), value.trim()) {
            tracing::warn!("net.ipv6.conf.{name}.{what} cannot be set: {error}");
        }
    }
}
