//! FRR's `vrrpd`, beside its `zebra`.
//!
//! FRR takes part only where the operator has made a macvlan with the virtual MAC address and the
//! virtual addresses before; it is master while that link is up, and backup while it is held down
//! (`protodown`). The macvlan gets a random interface identifier: with the one made of the virtual
//! MAC two routers would send from one address, and both would stay master.
//!
//! A backup of FRR goes on receiving for the virtual addresses, and with the kernel's defaults
//! answers ARP for them with its own MAC address. `arp_ignore` and `arp_announce` are therefore set
//! as FRR's documentation says.

use crate::node::Node;
use crate::wait;

use super::peer::Edition;
use super::{Group, VRID};

/// All that runs.
pub(super) const PROGRAMS: &[&str] = &["vrrpd", "zebra", "mgmtd"];

/// The macvlan of a group.
#[must_use]
pub fn macvlan(group: &Group) -> &'static str {
    match group.ipv6() {
        false => "vrrp4-50",
        true => "vrrp6-50",
    }
}

/// Makes the macvlan, if it is not there, and starts what does not run. `zebra` must know the link
/// before `vrrpd` asks for it.
pub(super) fn start(node: &Node, edition: Edition, priority: u8, group: &Group) {
    let link = macvlan(group);
    let family = if group.ipv6() { 2 } else { 1 };
    let mut script = format!(
        "ip link show {link} >/dev/null 2>&1 || {{\n\
         sysctl -qw net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2\n\
         ip link add {link} link eth0 type macvlan mode bridge\n\
         ip link set {link} addrgenmode random\n\
         ip link set {link} address 00:00:5e:00:0{family}:{VRID:02x} protodown on\n"
    );
    for address in &group.addresses {
        let nodad = if group.ipv6() { "nodad" } else { "" };
        script += &format!("ip addr add {address} dev {link} {nodad}\n");
    }
    script += &format!("ip link set {link} up\n}}\n");
    node.sh(&script);
    node.write("/run/node/frr-vrrpd.conf", configuration(group, priority));
    let before = edition.words(node).join(" ");
    node.sh(&format!(
        "exec >>/run/node/frr-start.log 2>&1\n\
         for dir in run var/run; do\n\
         mkdir -p {root}/$dir/frr && chown frr:frr {root}/$dir/frr\n\
         done\n\
         for daemon in mgmtd zebra; do\n\
         [ -x {root}/usr/lib/frr/$daemon ] || continue\n\
         pgrep -x $daemon >/dev/null || {before} /usr/lib/frr/$daemon -d -A 127.0.0.1\n\
         done\n\
         {before} /usr/lib/frr/vrrpd -d -A 127.0.0.1 -f /run/node/frr-vrrpd.conf \
         --log file:/run/node/frr-vrrpd.log\n",
        root = edition.words(node).last().unwrap_or(&"")
    ));
    wait::until_true("vrrpd runs", 10, || node.has_process("vrrpd"));
}

/// What a loss of power takes.
pub(super) fn forget(node: &Node) {
    node.sh(
        "for link in vrrp4-50 vrrp6-50; do ip link del $link 2>/dev/null || true; done\n\
         rm -rf /run/frr /usr/local/lib/bookworm/var/run/frr",
    );
}

fn configuration(group: &Group, priority: u8) -> String {
    let mut text = format!(
        "interface eth0\n vrrp {VRID} version {}\n vrrp {VRID} priority {priority}\n \
         vrrp {VRID} advertisement-interval {}\n",
        group.version, group.interval_ms
    );
    if group.checksum == "rfc9568" {
        text += &format!(" no vrrp {VRID} checksum-with-ipv4-pseudoheader\n");
    }
    let word = if group.ipv6() { "ipv6" } else { "ip" };
    for address in &group.addresses {
        let address = address.split('/').next().unwrap_or(address);
        text += &format!(" vrrp {VRID} {word} {address}\n");
    }
    text + "exit\n"
}
