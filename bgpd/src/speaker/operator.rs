//! What an operator can tell the speaker: clear (drain is in `drain`, pools are in `originate`).
//!
//! Each command is one step and answers with what it did, in sentences. Commands are idempotent
//! where their meaning allows it.
//!
//! **Clear soft in** re-evaluates what the Adj-RIB-In holds and also asks the neighbor to send
//! again (RFC 2918): if the two views ever differed, they agree afterwards.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use proto_codec::afi::Family;
use proto_codec::bgp::notification::CeaseSubcode;
use proto_codec::bgp::{Notification, RouteRefresh};
use rib::PeerSlot;

use super::Speaker;
use super::peers::Hold;
use crate::session::{Command, Restart};

/// Whom a command is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Everybody.
    All,
    /// One neighbor.
    Neighbor(IpAddr),
    /// All neighbors of a peer group.
    PeerGroup(String),
}

/// What to clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clear {
    /// The session itself (CEASE, Administrative Reset).
    Hard,
    /// What is received, what is sent.
    Soft {
        /// Import again.
        inbound: bool,
        /// Export again.
        outbound: bool,
    },
}

impl Speaker {
    /// Clears sessions or routes; answers with the neighbors it touched.
    pub fn clear(&mut self, now: Instant, target: &Target, clear: Clear) -> Vec<(IpAddr, String)> {
        let slots: Vec<PeerSlot> = self
            .peers
            .iter()
            .filter(|entry| match target {
                Target::All => true,
                Target::Neighbor(address) => entry.address == *address,
                Target::PeerGroup(name) => entry.neighbor.peer_group.as_ref() == Some(name),
            })
            .map(|entry| entry.slot)
            .collect();
        let mut done = Vec::new();
        for slot in slots {
            let Some(address) = self.peers.get(slot).map(|entry| entry.address) else {
                continue;
            };
            let text = match clear {
                Clear::Hard => self.clear_hard(now, slot),
                Clear::Soft { inbound, outbound } => self.clear_soft(now, slot, inbound, outbound),
            };
            done.push((address, text));
        }
        done
    }

    fn clear_hard(&mut self, now: Instant, slot: PeerSlot) -> String {
        let Some(entry) = self.peers.get_mut(slot) else {
            return String::new();
        };
        if entry.hold == Hold::Admin {
            return "shut down in the configuration: left alone".to_owned();
        }
        let held = std::mem::take(&mut entry.hold) == Hold::PrefixLimit;
        if entry.is_up() {
            let cease = Notification::cease(CeaseSubcode::AdministrativeReset);
            self.command(now, slot, Command::Reset(cease, Restart::AtOnce));
            "session reset".to_owned()
        } else {
            self.command(now, slot, Command::Start);
            if held {
                "prefix limit cleared, starting"
            } else {
                "starting"
            }
            .to_owned()
        }
    }

    fn clear_soft(
        &mut self,
        now: Instant,
        slot: PeerSlot,
        inbound: bool,
        outbound: bool,
    ) -> String {
        let Some(entry) = self.peers.get_mut(slot) else {
            return String::new();
        };
        let Some(up) = &entry.up else {
            return "not established".to_owned();
        };
        let families = up.established.negotiated.families;
        let mut said = Vec::new();
        if inbound {
            let import = Arc::clone(&entry.policies.import);
            let mut asked = false;
            for family in Family::ALL
                .into_iter()
                .filter(|family| family.pick(families))
            {
                asked |= entry
                    .peer
                    .send_refresh(RouteRefresh::request(family.afi_safi()))
                    .is_ok();
            }
            self.rib.set_import(slot, import);
            said.push(if asked {
                "routes requested again and re-evaluated"
            } else {
                "routes re-evaluated (the neighbor cannot refresh)"
            });
        }
        if outbound {
            for family in Family::ALL
                .into_iter()
                .filter(|family| family.pick(families))
            {
                self.rib.refresh_out(slot, family, false);
            }
            said.push("routes sent again");
        }
        self.touch(now);
        self.follow_up(now, slot);
        said.join(", ")
    }
}
