//! Virtual routers of others: adverts for a vrid that is not here.
//!
//! They are normal on a segment that several groups share, and they are also what a typing error in
//! `vrid` looks like, so they are counted per link, family and vrid. Whoever counts through all
//! vrids of all families fills no memory: [`STRANGERS_MAX`] are kept, the one heard longest ago
//! makes room, and the sum counts all.

use std::net::IpAddr;
use std::time::Instant;

/// Kept at once: more groups than segments have.
const STRANGERS_MAX: usize = 16;

/// A virtual router that is not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stranger {
    /// The link's index.
    pub link: u32,
    /// The link's name.
    pub interface: String,
    /// The family of its adverts.
    pub ipv6: bool,
    /// Its vrid.
    pub vrid: u8,
    /// The last sender.
    pub peer: IpAddr,
    /// How many adverts.
    pub count: u64,
    /// The last one.
    pub last: Instant,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct Strangers {
    list: Vec<Stranger>,
    total: u64,
}

impl Strangers {
    /// An advert; `interface` names its link.
    pub fn see(
        &mut self,
        now: Instant,
        (link, ipv6, vrid): (u32, bool, u8),
        peer: IpAddr,
        interface: impl FnOnce() -> String,
    ) {
        self.total += 1;
        let is_it = |one: &&mut Stranger| (one.link, one.ipv6, one.vrid) == (link, ipv6, vrid);
        if let Some(known) = self.list.iter_mut().find(is_it) {
            known.peer = peer;
            known.count += 1;
            known.last = now;
            return;
        }
        if self.list.len() >= STRANGERS_MAX {
            let oldest = self.list.iter().enumerate().min_by_key(|(_, one)| one.last);
            if let Some(at) = oldest.map(|(at, _)| at) {
                self.list.remove(at);
            }
        }
        self.list.push(Stranger {
            link,
            interface: interface(),
            ipv6,
            vrid,
            peer,
            count: 1,
            last: now,
        });
    }

    /// Those that are kept, in the order they were first heard.
    pub fn iter(&self) -> impl Iterator<Item = &Stranger> {
        self.list.iter()
    }

    /// All adverts.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn ever_new_ones_fill_no_memory_and_all_are_counted() {
        let mut strangers = Strangers::default();
        let start = Instant::now();
        let peer = IpAddr::from([10, 0, 0, 9]);
        for vrid in 0..=255 {
            let now = start + Duration::from_millis(u64::from(vrid));
            strangers.see(now, (2, false, vrid), peer, || "eth0".to_owned());
            strangers.see(now, (2, false, 255), peer, || "eth0".to_owned());
        }
        assert_eq!(strangers.iter().count(), STRANGERS_MAX);
        assert_eq!(strangers.total(), 512);
        let steady = strangers.iter().find(|one| one.vrid == 255);
        assert_eq!(steady.map(|one| one.count), Some(257));
    }
}
