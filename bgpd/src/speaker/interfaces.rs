//! Interfaces as the kernel reports them, and the sessions that hang on them.
//!
//! An eBGP session to a directly connected router cannot outlive its link. Waiting for the hold
//! timer would send packets into nothing for a minute and a half, so a link that goes down ends
//! the sessions on it in the same step (what others call fast external fallover). Sessions over
//! several hops and iBGP stay: another way may exist, and their own timers judge.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use proto_codec::bgp::Notification;
use proto_codec::bgp::notification::CeaseSubcode;
use rib::PeerSlot;
use rib::fib::{Interface, InterfaceChange, KernelEvent};

use super::Speaker;
use super::assemble::single_hop;
use super::peers::Entry;
use crate::config::HostAddress;
use crate::session::{Command, Restart};

/// `errno` of a missing capability.
const EPERM: i32 = 1;

/// The interfaces there are, by index.
#[derive(Debug, Default)]
pub struct Interfaces {
    by_index: BTreeMap<u32, Interface>,
}

impl Interfaces {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Interface> {
        self.by_index.values()
    }

    /// Whether the kernel has told of any yet.
    pub fn any(&self) -> bool {
        !self.by_index.is_empty()
    }

    /// The name of the interface with this index.
    pub fn name_of(&self, index: u32) -> Option<&String> {
        Some(&self.by_index.get(&index)?.name)
    }
}

impl Speaker {
    /// Something the kernel thread saw or did.
    pub fn handle_kernel(&mut self, now: Instant, event: KernelEvent) {
        match event {
            KernelEvent::NextHop { addr, state } => {
                self.rib.next_hop_changed(addr, state);
                self.touch(now);
            }
            KernelEvent::Interface(change) => self.interface_changed(now, change),
            KernelEvent::Restored { what, cause } => {
                let text = format!("{what} restored: somebody else had it {cause:?}");
                self.out.attention(None, text.to_lowercase());
            }
            KernelEvent::Failed {
                what,
                errno,
                text,
                retry_in,
            } => {
                let error = std::io::Error::from_raw_os_error(errno);
                let cure = if errno == EPERM {
                    " (needs CAP_NET_ADMIN)"
                } else {
                    ""
                };
                let text = text.unwrap_or_default();
                let again = retry_in.as_secs_f32();
                let text =
                    format!("kernel refused {what}: {error} {text}{cure}; again in {again} s");
                self.out.attention(None, text);
            }
            KernelEvent::Conflict { prefix, protocol } => {
                let text = format!("route {prefix} waits: protocol {protocol} holds the same");
                self.out.attention(None, text);
            }
            KernelEvent::Ready { adopted } => {
                let text =
                    format!("kernel tables read; {adopted} routes of ours are there already");
                self.out.notice(None, text);
            }
            KernelEvent::StaleRemoved { count } if count > 0 => {
                self.out.notice(
                    None,
                    format!("{count} stale routes removed from the kernel"),
                );
            }
            KernelEvent::AuditRepaired { routes } => {
                let text = format!("{routes} routes in the kernel differed and were repaired");
                self.out.attention(None, text);
            }
            KernelEvent::Disconnected { errno } => {
                let error = std::io::Error::from_raw_os_error(errno);
                self.out
                    .attention(None, format!("netlink sockets lost: {error}"));
            }
            KernelEvent::Overrun
            | KernelEvent::StaleRemoved { .. }
            | KernelEvent::Installed { .. } => {}
        }
    }

    /// All interfaces as they are now, after events about them were lost: whatever differs from
    /// what was told before counts as told now.
    pub fn handle_interfaces(&mut self, now: Instant, all: &[Interface]) {
        let gone = self.interfaces.by_index.values();
        let gone = gone.filter(|known| all.iter().all(|found| found.index != known.index));
        let gone: Vec<(u32, String)> = gone.map(|one| (one.index, one.name.clone())).collect();
        for (index, name) in gone {
            self.interface_changed(now, InterfaceChange::Gone { index, name });
        }
        for interface in all {
            if self.interfaces.by_index.get(&interface.index) != Some(interface) {
                self.interface_changed(now, InterfaceChange::Present(interface.clone()));
            }
        }
    }

    fn interface_changed(&mut self, now: Instant, change: InterfaceChange) {
        let lost = match change {
            InterfaceChange::Present(interface) => {
                let before = self
                    .interfaces
                    .by_index
                    .insert(interface.index, interface.clone());
                let was_usable = before.as_ref().is_some_and(|before| before.usable);
                let down = (was_usable && !interface.usable).then_some(interface);
                down.map(|mut interface| {
                    // A link that goes down may lose its addresses in the same breath.
                    interface
                        .addresses
                        .extend(before.into_iter().flat_map(|old| old.addresses));
                    interface
                })
            }
            InterfaceChange::Gone { index, .. } => self.interfaces.by_index.remove(&index),
        };
        self.refresh_host(now);
        let Some(lost) = lost else { return };
        for slot in self.sessions_on(&lost) {
            let message = format!("interface {} is down", lost.name);
            let neighbor = self.peers.get(slot).map(|entry| entry.address);
            self.out.attention(neighbor, message.clone());
            let cease =
                Notification::cease_with_message(CeaseSubcode::AdministrativeReset, &message);
            self.command(now, slot, Command::Reset(cease, Restart::Damped));
        }
    }

    /// The single-hop eBGP sessions that run over an interface.
    fn sessions_on(&self, interface: &Interface) -> Vec<PeerSlot> {
        self.peers
            .iter()
            .filter(|entry| single_hop(&entry.neighbor) && runs_over(entry, interface))
            .map(|entry| entry.slot)
            .collect()
    }

    /// Keeps the list of own addresses in step: for next hops we announce, and for those that are
    /// announced to us.
    fn refresh_host(&mut self, now: Instant) {
        let addresses = self.interfaces.iter().flat_map(|interface| {
            interface.addresses.iter().map(|address| HostAddress {
                interface: interface.name.clone(),
                loopback: interface.loopback,
                address: address.addr(),
            })
        });
        let addresses: Vec<HostAddress> = addresses.collect();
        if addresses == self.host.addresses {
            return;
        }
        self.host.addresses = addresses;
        self.own_addresses_changed(now);
    }

    /// Tells the tables which addresses are ours.
    pub(super) fn own_addresses_changed(&mut self, now: Instant) {
        let own = self.host.addresses.iter().map(|own| own.address);
        self.rib.set_own_addresses(own.collect());
        self.touch(now);
    }
}

fn runs_over(entry: &Entry, interface: &Interface) -> bool {
    let Some((local, remote)) = entry.endpoints() else {
        return false;
    };
    if let SocketAddr::V6(remote) = remote
        && remote.scope_id() != 0
    {
        return remote.scope_id() == interface.index;
    }
    let local: IpAddr = local.ip();
    interface
        .addresses
        .iter()
        .any(|address| address.addr() == local)
}
