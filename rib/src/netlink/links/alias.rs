//! What stands in the alias of a link of ours: whose it is, and what it changed elsewhere.
//!
//! The settings of the links under it are given back when the last virtual MAC leaves them. What
//! they were must survive a daemon that is killed, and be gone when the link is: the link itself is
//! the place for it. Entries are `; before on link INDEX: NAME=VALUE ...`, the parent first.

use super::{ALIAS, Ipv4Setting};

/// Begins what is remembered of the settings of a link below.
const BEFORE: &str = "; before on link ";
/// The kernel takes 255 octets.
const ALIAS_MAX: usize = 255;

/// Settings of a link, by its index.
pub type SettingsOf = (u32, Vec<(Ipv4Setting, u32)>);

/// What is written on a link of ours: who uses it, and what the settings of the links under it were
/// before.
#[must_use]
pub fn alias(owner: &str, before: &[SettingsOf]) -> String {
    let one = |(link, settings): &SettingsOf| {
        let list = settings.iter();
        let list = list.map(|(setting, value)| format!("{}={value}", setting.name()));
        format!("{BEFORE}{link}: {}", list.collect::<Vec<_>>().join(" "))
    };
    let before: String = before.iter().map(one).collect();
    let room = ALIAS_MAX.saturating_sub(ALIAS.len() + before.len());
    let owner: String = owner
        .char_indices()
        .take_while(|(at, one)| at + one.len_utf8() <= room)
        .map(|(_, one)| one)
        .collect();
    format!("{ALIAS}{owner}{before}")
}

/// What [`alias`] says of the links under it.
#[must_use]
pub fn settings_before(alias: &str) -> Vec<SettingsOf> {
    let known = [Ipv4Setting::ArpIgnore, Ipv4Setting::ArpAnnounce];
    let setting = |word: &str| {
        let (name, value) = word.split_once('=')?;
        let setting = known.into_iter().find(|it| it.name() == name)?;
        Some((setting, value.parse().ok()?))
    };
    let one = |text: &str| {
        let (link, list) = text.split_once(": ")?;
        let list = list.split(' ').filter_map(setting).collect();
        Some((link.parse().ok()?, list))
    };
    alias.split(BEFORE).skip(1).filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_remembers_what_links_below_had() {
        let before = [
            (
                3,
                vec![(Ipv4Setting::ArpIgnore, 0), (Ipv4Setting::ArpAnnounce, 1)],
            ),
            (2, vec![(Ipv4Setting::ArpIgnore, 8)]),
        ];
        for owner in ["vip", "a: b=7", &"é".repeat(200)] {
            let text = alias(owner, &before);
            assert!(text.len() <= ALIAS_MAX && text.starts_with(ALIAS));
            assert_eq!(settings_before(&text), before);
        }
        assert_eq!(settings_before(&alias("vip", &[])), []);
    }
}
