//! Links as the kernel tells them, and which of them are ours.
//!
//! Whole ones are known by their alias. The kernel takes no alias with the request that makes a
//! link, so a daemon that is killed between the two requests leaves one without: it is known by
//! what nobody else would put together, its name of vrid and parent, the virtual router's MAC, its
//! mode, and that it is down and says nothing of itself. Such a link is never used, only removed.

use super::super::wire::{attrs, text_of, u8_at, u32_at};
use super::{
    ALIAS, FoundLink, IFF_UP, IFLA_ADDRESS, IFLA_IFALIAS, IFLA_IFNAME, IFLA_INFO_DATA,
    IFLA_INFO_KIND, IFLA_LINK, IFLA_LINK_NETNSID, IFLA_LINKINFO, IFLA_MACVLAN_MODE,
    MACVLAN_MODE_VEPA, Macvlan,
};

/// Longest name of a link.
const NAME_MAX: usize = 15;
/// A virtual router's MAC (RFC 9568 §7.3) up to the octet that tells the family.
const VIRTUAL_MAC: [u8; 4] = [0, 0, 0x5e, 0];

/// `vrrp4-51-2`: family, vrid and the parent's index, which no other name of ours can have.
#[must_use]
pub fn carrier_name(parent: u32, ipv6: bool, vrid: u8) -> String {
    let family = if ipv6 { 6 } else { 4 };
    let name = format!("vrrp{family}-{vrid}-{parent}");
    match name.len() <= NAME_MAX {
        true => name,
        // Long-lived hosts count their links into the millions.
        false => format!("v{family}-{vrid}-{parent:x}"),
    }
}

impl FoundLink {
    /// Whether whoever made it did not come to write its alias.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        let Some(&[family @ (1 | 2), vrid]) = self.link.mac.strip_prefix(&VIRTUAL_MAC) else {
            return false;
        };
        let quiet = !self.up && self.link.alias.is_empty() && self.is_as_made();
        let (name, ipv6) = (&self.link.name, family == 2);
        // Beside a macvlan the kernel tells what is under both as the parent.
        let beside = || {
            let begin = format!("vrrp{}-{vrid}-", if ipv6 { 6 } else { 4 });
            let parent = name.strip_prefix(&begin).map(str::parse::<u32>);
            self.link.over_macvlan && parent.is_some_and(|it| it.is_ok())
        };
        quiet && (*name == carrier_name(self.link.parent, ipv6, vrid) || beside())
    }
}

/// A link of ours, whole or unfinished.
pub(super) fn decode(body: &[u8]) -> Option<FoundLink> {
    parse(body).filter(|found| found.link.alias.starts_with(ALIAS) || found.is_unfinished())
}

/// Any link.
pub(super) fn parse(body: &[u8]) -> Option<FoundLink> {
    if u8_at(body, 0)? != 0 {
        return None;
    }
    let mut found = FoundLink {
        index: u32_at(body, 4)?,
        link: Macvlan {
            name: String::new(),
            parent: 0,
            mac: [0; 6],
            over_macvlan: false,
            alias: String::new(),
        },
        up: u32_at(body, 8)? & IFF_UP != 0,
        mode: None,
        elsewhere: false,
    };
    for (kind, value) in attrs(body, 16) {
        match kind {
            IFLA_IFNAME => found.link.name = text_of(value),
            IFLA_IFALIAS => found.link.alias = text_of(value),
            IFLA_LINK => found.link.parent = u32_at(value, 0)?,
            IFLA_ADDRESS => found.link.mac = value.try_into().unwrap_or_default(),
            IFLA_LINK_NETNSID => found.elsewhere = true,
            IFLA_LINKINFO => found.mode = macvlan(value),
            _ => {}
        }
    }
    found.link.over_macvlan = found.mode == Some(MACVLAN_MODE_VEPA);
    Some(found)
}

/// The mode of a macvlan.
fn macvlan(info: &[u8]) -> Option<u32> {
    let of = |kind: u16| attrs(info, 0).find(|(found, _)| *found == kind);
    let (_, data) = of(IFLA_INFO_KIND)
        .filter(|(_, value)| text_of(value) == "macvlan")
        .and_then(|_| of(IFLA_INFO_DATA))?;
    let mode = attrs(data, 0).find(|(kind, _)| *kind == IFLA_MACVLAN_MODE);
    u32_at(mode?.1, 0)
}

#[cfg(test)]
mod tests {
    use super::super::{MACVLAN_MODE_BRIDGE, attr};
    use super::*;

    #[test]
    fn names_fit_and_differ() {
        assert_eq!(carrier_name(2, false, 51), "vrrp4-51-2");
        assert_eq!(carrier_name(2, true, 51), "vrrp6-51-2");
        assert_eq!(carrier_name(99_999, true, 255), "vrrp6-255-99999");
        let long = carrier_name(u32::MAX >> 1, false, 255);
        assert!(long.len() <= NAME_MAX, "{long}");
    }

    /// What the kernel would send for a link of this alias and mode.
    fn told(alias: &str, mode: u32) -> Vec<u8> {
        let mut body = vec![0; 16];
        body[4..8].copy_from_slice(&7_u32.to_ne_bytes());
        body[8..12].copy_from_slice(&IFF_UP.to_ne_bytes());
        body.extend(attr(IFLA_IFNAME, b"vrrp4-51-2\0"));
        body.extend(attr(IFLA_IFALIAS, alias.as_bytes()));
        body.extend(attr(IFLA_LINK, &2_u32.to_ne_bytes()));
        body.extend(attr(IFLA_ADDRESS, &[0, 0, 0x5e, 0, 1, 51]));
        let mut info = attr(IFLA_INFO_KIND, b"macvlan\0");
        let data = attr(IFLA_MACVLAN_MODE, &mode.to_ne_bytes());
        info.extend(attr(IFLA_INFO_DATA, &data));
        body.extend(attr(IFLA_LINKINFO, &info));
        body
    }

    #[test]
    fn links_of_ours_are_known_by_their_alias() {
        let found = decode(&told("wayfare-vrrpd vip", 4)).expect("ours");
        assert_eq!((found.index, found.link.parent, found.up), (7, 2, true));
        assert_eq!(found.link.name, "vrrp4-51-2");
        assert_eq!(found.link.mac, [0, 0, 0x5e, 0, 1, 51]);
        assert!(found.is_as_made() && !found.link.over_macvlan);
        let vepa = decode(&told("wayfare-vrrpd vip", 2)).expect("ours");
        assert!(vepa.is_as_made() && vepa.link.over_macvlan);
        let private = decode(&told("wayfare-vrrpd vip", 1)).expect("ours");
        assert!(!private.is_as_made());
        assert_eq!(decode(&told("somebody else", 4)), None);
        for len in 0..16 {
            assert_eq!(decode(&told("wayfare-vrrpd vip", 4)[..len]), None);
        }
    }

    /// Another daemon's macvlan may have a virtual MAC too.
    #[test]
    fn an_unfinished_link_is_ours_only_when_all_of_it_is() {
        let mut link = decode(&told("wayfare-vrrpd vip", MACVLAN_MODE_BRIDGE)).expect("ours");
        assert!(!link.is_unfinished());
        link.link.alias.clear();
        assert!(!link.is_unfinished(), "somebody uses it");
        link.up = false;
        assert!(link.is_unfinished());
        for change in [
            |it: &mut FoundLink| it.link.mac[5] = 50,
            |it: &mut FoundLink| it.link.mac[4] = 3,
            |it: &mut FoundLink| it.link.parent = 3,
            |it: &mut FoundLink| it.link.name = "vrrp4-2-1".to_owned(),
            |it: &mut FoundLink| it.link.alias = "uplink".to_owned(),
            |it: &mut FoundLink| it.mode = Some(1),
        ] {
            let mut other = link.clone();
            change(&mut other);
            assert!(!other.is_unfinished(), "{other:?}");
        }
    }
}
