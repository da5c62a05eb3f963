//! Links of our own: the macvlan that carries a virtual router's MAC address.
//!
//! A link is known as ours by its alias, which begins with [`ALIAS`] and says what settings of the
//! parent have to be put back one day: there it survives any end of the daemon. [`VirtualLinks`]
//! makes links that are down, speak no IPv6 of their own accord (`addr_gen_mode none`: a virtual
//! MAC must not feed interface identifiers, RFC 9568 §8.2.2) and are in mode *bridge*.
//!
//! The mode matters. A frame from the wire whose source is the MAC of a *private* macvlan is handed
//! to that macvlan alone: while two routers have the same virtual MAC up, the parent of each would
//! be deaf to the other's adverts, and the old holder's macvlan would hear, and may answer, the new
//! one's gratuitous ARP. In mode *bridge* such a frame goes to the parent and to no macvlan of
//! ours. Over a parent that is a macvlan itself the kernel puts ours beside it; there only mode
//! *vepa* lets the parent hear such frames.
//!
//! Settings of IPv4 on a link are written with the link (`IFLA_INET_CONF`), so that a daemon
//! without write access to `/proc/sys` can set them.

mod alias;
mod found;

use std::io;

use crate::fib::model::{OpError, errno};

use super::dump::Dumper;
use super::encode::{AF_INET, AF_INET6, Dump};
use super::socket::Netlink;
use super::wire::{
    NLM_F_CREATE, NLM_F_EXCL, NLMSG_ERROR, RTM_DELLINK, RTM_NEWLINK, Writer, answer, messages,
};

pub use alias::{SettingsOf, alias, settings_before};
pub use found::carrier_name;
use found::{decode, parse};

/// Every alias of a link of ours begins so.
pub const ALIAS: &str = "wayfare-vrrpd ";

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINK: u16 = 5;
const IFLA_LINKINFO: u16 = 18;
const IFLA_IFALIAS: u16 = 20;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_MACVLAN_MODE: u16 = 1;
const IFLA_INET_CONF: u16 = 1;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const ADDR_GEN_MODE_NONE: u8 = 1;
const IFLA_LINK_NETNSID: u16 = 37;
const MACVLAN_MODE_VEPA: u32 = 2;
const MACVLAN_MODE_BRIDGE: u32 = 4;
const IFF_UP: u32 = 1;
const NLA_F_NESTED: u16 = 0x8000;

/// A setting of IPv4 on one link, by the kernel's number (`IPV4_DEVCONF_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u16)]
pub enum Ipv4Setting {
    /// Packets that came in over the link are routed on.
    Forwarding = 1,
    /// Whether a source must be reachable: 0 no, 1 over this link, 2 over any.
    RpFilter = 8,
    /// ARP is answered over the link that the way back leads over alone.
    ArpFilter = 13,
    /// Links of one medium answer no ARP for each other; -1: the link is no proxy at all.
    MediumId = 14,
    /// Which of our addresses an ARP request of ours may tell.
    ArpAnnounce = 18,
    /// Which ARP requests are answered.
    ArpIgnore = 19,
    /// Packets that come from an address of ours are taken.
    AcceptLocal = 23,
}

impl Ipv4Setting {
    /// Its name under `/proc/sys/net/ipv4/conf/LINK`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Forwarding => "forwarding",
            Self::RpFilter => "rp_filter",
            Self::ArpFilter => "arp_filter",
            Self::MediumId => "medium_id",
            Self::ArpAnnounce => "arp_announce",
            Self::ArpIgnore => "arp_ignore",
            Self::AcceptLocal => "accept_local",
        }
    }

    /// What it must be on the parent of a virtual MAC, if it matters there: the parent answers ARP
    /// for the addresses of the link asked alone, and asks in the name of one of its own alone.
    #[must_use]
    pub fn on_a_parent(self) -> Option<i32> {
        match self {
            Self::ArpIgnore => Some(1),
            Self::ArpAnnounce => Some(2),
            _ => None,
        }
    }
}

/// What a link of ours is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Macvlan {
    /// Its name, at most 15 octets.
    pub name: String,
    /// The link under it.
    pub parent: u32,
    /// Its Ethernet address.
    pub mac: [u8; 6],
    /// The parent is a macvlan: the kernel puts this one beside it, on what is under both.
    pub over_macvlan: bool,
    /// What is known of it: begins with [`ALIAS`], at most 255 octets.
    pub alias: String,
}

/// A link of ours as the kernel holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundLink {
    /// The kernel's index.
    pub index: u32,
    /// What it is.
    pub link: Macvlan,
    /// Set up.
    pub up: bool,
    /// The mode, of a macvlan.
    mode: Option<u32>,
    /// Its parent is in another network namespace.
    elsewhere: bool,
}

impl FoundLink {
    /// Whether it is a macvlan of the mode it would be made with.
    #[must_use]
    pub fn is_as_made(&self) -> bool {
        self.mode == Some(mode(self.link.over_macvlan))
    }
}

/// What is under a macvlan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Below {
    /// The link, where it is in this network namespace.
    pub link: Option<(u32, String)>,
    /// It hears other macvlans of that link.
    pub talks: bool,
}

fn mode(over_macvlan: bool) -> u32 {
    match over_macvlan {
        false => MACVLAN_MODE_BRIDGE,
        true => MACVLAN_MODE_VEPA,
    }
}

/// Makes, changes and removes links. Calls wait for the kernel's answer.
#[derive(Debug)]
pub struct VirtualLinks {
    socket: Netlink,
    out: Writer,
    seq: u32,
}

impl VirtualLinks {
    /// Opens a netlink socket.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            socket: Netlink::for_requests()?,
            out: Writer::default(),
            seq: 0,
        })
    }

    /// Every link of ours in this network namespace.
    ///
    /// # Errors
    /// The dump fails.
    pub fn list(&self) -> io::Result<Vec<FoundLink>> {
        let mut found = Vec::new();
        Dumper::open()?.read_all(Dump::Links, |message| {
            if message.kind == RTM_NEWLINK {
                found.extend(decode(message.body));
            }
        })?;
        Ok(found)
    }

    /// What a link is a macvlan of, if it is one: the same segment, where ARP is answered too.
    ///
    /// # Errors
    /// The dump fails.
    pub fn below(&self, index: u32) -> io::Result<Option<Below>> {
        let (mut under, mut names) = (None, Vec::new());
        Dumper::open()?.read_all(Dump::Links, |message| {
            let Some(found) = parse(message.body).filter(|_| message.kind == RTM_NEWLINK) else {
                return;
            };
            if let Some(mode) = found.mode.filter(|_| found.index == index) {
                under = Some((found.link.parent, found.elsewhere, mode));
            }
            names.push((found.index, found.link.name));
        })?;
        Ok(under.map(|(under, elsewhere, mode)| {
            let mut names = names.into_iter().filter(|_| !elsewhere);
            Below {
                link: names.find(|(index, _)| *index == under),
                talks: matches!(mode, MACVLAN_MODE_BRIDGE | MACVLAN_MODE_VEPA),
            }
        }))
    }

    /// The name of any link; `None`: there is none with this index.
    ///
    /// # Errors
    /// The dump fails.
    pub fn name(&self, index: u32) -> io::Result<Option<String>> {
        let mut name = None;
        Dumper::open()?.read_all(Dump::Links, |message| {
            let found = parse(message.body).filter(|_| message.kind == RTM_NEWLINK);
            if let Some(found) = found.filter(|found| found.index == index) {
                name = Some(found.link.name);
            }
        })?;
        Ok(name)
    }

    /// Gives a link below the settings it had `before`, where what it has now is what we set: what
    /// somebody else has set since is not ours to change. One that is gone has no settings.
    ///
    /// # Errors
    /// They cannot be read or written.
    pub fn give_back(&mut self, index: u32, before: &[(Ipv4Setting, u32)]) -> Result<(), OpError> {
        let Some(name) = self.name(index).map_err(io_error)? else {
            return Ok(());
        };
        let mut back = Vec::new();
        for (setting, value) in before {
            let now = ipv4_now(&name, *setting).map_err(io_error)?;
            if Some(now) == setting.on_a_parent() && now.cast_unsigned() != *value {
                back.push((*setting, *value));
            }
        }
        match back.is_empty() {
            true => Ok(()),
            false => self.set_ipv4(index, &back),
        }
    }

    /// Makes a link, down and silent, with the given settings of IPv4.
    ///
    /// # Errors
    /// The kernel has no macvlan, the parent cannot carry one, the name is taken, no permission.
    /// Nothing is left behind then.
    pub fn create(
        &mut self,
        link: &Macvlan,
        settings: &[(Ipv4Setting, u32)],
    ) -> Result<(), OpError> {
        match self.begin_link(link) {
            Err(error) if error.errno == errno::EEXIST => {
                // A daemon that was killed before it was finished left it.
                let all = self.list().map_err(io_error)?;
                let mut left = all.iter().filter(|one| one.is_unfinished());
                let it = left.find(|one| one.link.name == link.name).ok_or(error)?;
                self.remove(it.index)?;
                self.begin_link(link)?;
            }
            other => other?,
        }
        // What follows is not taken in the same message: creation ignores it.
        let outcome = match self.finish_link(link, settings, true) {
            // A link without IPv6 (ipv6.disable=1, a small MTU) needs no silence.
            Err(error) if error.errno == libc::EAFNOSUPPORT => {
                self.finish_link(link, settings, false)
            }
            other => other,
        };
        if outcome.is_err() {
            self.begin(RTM_DELLINK, 0, 0, (0, 0));
            self.out.attr(IFLA_IFNAME, &with_nul(&link.name));
            self.end();
            // The first refusal is what is told.
            let _ = self.flush();
        }
        outcome
    }

    fn begin_link(&mut self, link: &Macvlan) -> Result<(), OpError> {
        self.begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, (0, 0));
        self.out.attr(IFLA_IFNAME, &with_nul(&link.name));
        self.out.attr_u32(IFLA_LINK, link.parent);
        self.out.attr(IFLA_ADDRESS, &link.mac);
        let mode = attr(IFLA_MACVLAN_MODE, &mode(link.over_macvlan).to_ne_bytes());
        let mut info = attr(IFLA_INFO_KIND, b"macvlan");
        info.extend(attr(IFLA_INFO_DATA | NLA_F_NESTED, &mode));
        self.out.attr(IFLA_LINKINFO | NLA_F_NESTED, &info);
        self.end();
        self.flush()
    }

    fn finish_link(
        &mut self,
        link: &Macvlan,
        settings: &[(Ipv4Setting, u32)],
        ipv6: bool,
    ) -> Result<(), OpError> {
        let mut spec = attr(u16::from(AF_INET) | NLA_F_NESTED, &conf(settings));
        if ipv6 {
            let quiet = attr(IFLA_INET6_ADDR_GEN_MODE, &[ADDR_GEN_MODE_NONE]);
            spec.extend(attr(u16::from(AF_INET6) | NLA_F_NESTED, &quiet));
        }
        self.begin(RTM_NEWLINK, 0, 0, (0, 0));
        self.out.attr(IFLA_IFNAME, &with_nul(&link.name));
        self.out.attr(IFLA_IFALIAS, link.alias.as_bytes());
        self.out.attr(IFLA_AF_SPEC | NLA_F_NESTED, &spec);
        self.end();
        self.flush()
    }

    /// Sets a link up or down.
    ///
    /// # Errors
    /// It is gone, its parent is down, or another link of the parent has its MAC address.
    pub fn set_up(&mut self, index: u32, up: bool) -> Result<(), OpError> {
        let flags = if up { IFF_UP } else { 0 };
        self.begin(RTM_NEWLINK, 0, index, (flags, IFF_UP));
        self.end();
        self.flush()
    }

    /// Writes settings of IPv4 on a link.
    ///
    /// # Errors
    /// It is gone, has no IPv4, or permission is missing.
    pub fn set_ipv4(&mut self, index: u32, settings: &[(Ipv4Setting, u32)]) -> Result<(), OpError> {
        let spec = attr(u16::from(AF_INET) | NLA_F_NESTED, &conf(settings));
        self.begin(RTM_NEWLINK, 0, index, (0, 0));
        self.out.attr(IFLA_AF_SPEC | NLA_F_NESTED, &spec);
        self.end();
        self.flush()
    }

    /// Removes a link; one that is gone is no fault.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn remove(&mut self, index: u32) -> Result<(), OpError> {
        self.begin(RTM_DELLINK, 0, index, (0, 0));
        self.end();
        match self.flush() {
            Err(error) if error.errno == errno::ENODEV => Ok(()),
            other => other,
        }
    }

    fn begin(&mut self, kind: u16, flags: u16, index: u32, (value, mask): (u32, u32)) {
        self.seq = self.seq.wrapping_add(1);
        self.out.clear();
        let mut header = [0; 4].to_vec();
        for word in [index, value, mask] {
            header.extend_from_slice(&word.to_ne_bytes());
        }
        self.out.begin(kind, flags, self.seq, &header);
    }

    fn end(&mut self) {
        self.out.end();
        self.out.want_ack();
    }

    /// Sends what was written and waits for the answer.
    fn flush(&mut self) -> Result<(), OpError> {
        self.socket.send(self.out.bytes()).map_err(io_error)?;
        loop {
            for message in messages(self.socket.receive().map_err(io_error)?) {
                if message.kind == NLMSG_ERROR && message.seq == self.seq {
                    return match answer(&message) {
                        (0, _) => Ok(()),
                        (errno, text) => Err(OpError { errno, text }),
                    };
                }
            }
        }
    }
}

/// A setting of IPv4 as it is now; `all` is the name of what counts for every link.
///
/// # Errors
/// The link is gone, or `/proc/sys` is hidden: then nothing is known, and nothing may be taken for
/// granted.
pub fn ipv4_now(link: &str, setting: Ipv4Setting) -> io::Result<i32> {
    let name = setting.name();
    let text = std::fs::read_to_string(format!("/proc/sys/net/ipv4/conf/{link}/{name}"))?;
    text.trim().parse().map_err(io::Error::other)
}

/// Removes every link of ours, whoever made it, and gives its parent back the settings it had
/// before. The daemon must not be running. Comes back with how many went and how many did not.
///
/// # Errors
/// The netlink sockets cannot be used.
pub fn cleanup_links() -> io::Result<(usize, usize)> {
    let mut links = VirtualLinks::open()?;
    let (mut removed, mut refused) = (0, 0);
    for found in links.list()? {
        match links.remove(found.index) {
            Ok(()) => removed += 1,
            Err(_) => refused += 1,
        }
        for (link, before) in settings_before(&found.link.alias) {
            refused += usize::from(links.give_back(link, &before).is_err());
        }
    }
    Ok((removed, refused))
}

fn io_error(error: io::Error) -> OpError {
    OpError {
        errno: error.raw_os_error().unwrap_or(libc::EIO),
        text: Some("netlink fails".to_owned()),
    }
}

/// An attribute apart, for nesting.
fn attr(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.attr(kind, value);
    writer.bytes().to_vec()
}

fn conf(settings: &[(Ipv4Setting, u32)]) -> Vec<u8> {
    let each = settings.iter();
    let list: Vec<u8> = each
        .flat_map(|(setting, value)| attr(*setting as u16, &value.to_ne_bytes()))
        .collect();
    attr(IFLA_INET_CONF | NLA_F_NESTED, &list)
}

fn with_nul(text: &str) -> Vec<u8> {
    let mut octets = text.as_bytes().to_vec();
    octets.push(0);
    octets
}

#[cfg(test)]
mod tests {
    use super::super::wire::{attrs, u32_at};
    use super::*;

    #[test]
    fn settings_carry_the_numbers_of_the_kernel() {
        let got = conf(&[(Ipv4Setting::ArpIgnore, 1), (Ipv4Setting::ArpAnnounce, 2)]);
        let (kind, list) = attrs(&got, 0).next().expect("one attribute");
        assert_eq!(kind, IFLA_INET_CONF);
        let list: Vec<_> = attrs(list, 0).map(|(k, v)| (k, u32_at(v, 0))).collect();
        assert_eq!(list, [(19, Some(1)), (18, Some(2))]);
    }
}
