//! Virtual routers in a lab: ours and keepalived's, from one description.
//!
//! A [`Group`] says what all routers of a virtual router share; [`Group::ours`] and
//! [`Group::keepalived`] write it in each one's words and start it. Who is master is judged by
//! what the kernel of the node holds, never by the daemon's own word; how long nobody answered, by
//! a stream of echo requests from a third node.
//!
//! [`peer`] knows how each implementation is started, stopped and crashed.

pub mod duel;
mod frr;
pub mod peer;
mod stream;
pub mod truth;
pub mod verdict;
pub mod watch;

use std::fmt;

use serde_json::Value;

use crate::node::Node;
use crate::wait;

pub use stream::{Echoes, Stream};

/// Where our daemon's configuration lies in a node.
pub const CONFIG: &str = "/run/node/vrrpd.toml";
/// The virtual router of every group.
const VRID: u8 = 50;

/// What the routers of a virtual router agree on.
#[derive(Clone, Debug)]
pub struct Group {
    /// 2 or 3.
    pub version: u8,
    /// Milliseconds; whole seconds in version 2.
    pub interval_ms: u32,
    /// Virtual addresses with their lengths.
    pub addresses: Vec<String>,
    /// A password (version 2).
    pub password: Option<String>,
    /// The checksum form ours sends; keepalived is set to it too.
    pub checksum: &'static str,
    /// The routers' own addresses, when they speak unicast.
    pub unicast: Vec<String>,
    /// Where ours runs.
    pub interface: &'static str,
    /// More lines of our instance.
    pub more_ours: String,
    /// More lines of keepalived's.
    pub more_keepalived: String,
}

impl Group {
    /// IPv4 over multicast, as both sides do by default.
    #[must_use]
    pub fn new(version: u8) -> Self {
        Self {
            version,
            interval_ms: if version == 2 { 1000 } else { 100 },
            addresses: vec!["10.99.0.50/24".to_owned()],
            password: None,
            checksum: "rfc5798",
            unicast: Vec::new(),
            interface: "eth0",
            more_ours: String::new(),
            more_keepalived: String::new(),
        }
    }

    /// The address that clients use, without its length.
    #[must_use]
    pub fn address(&self) -> &str {
        let last = self.addresses.last().map_or("", String::as_str);
        last.split('/').next().unwrap_or(last)
    }

    fn peers_of(&self, node: &Node) -> Vec<&String> {
        let own = format!(".{}", node.index());
        let others = self.unicast.iter().filter(|one| !one.ends_with(&own));
        others.collect()
    }

    /// Whether the virtual addresses are IPv6.
    #[must_use]
    pub fn ipv6(&self) -> bool {
        self.address().contains(':')
    }

    /// Writes our configuration and starts our daemon; returns once it answers.
    pub fn ours(&self, node: &Node, priority: u8) {
        self.write_ours(node, priority);
        start_ours(node);
    }

    /// Writes our configuration.
    pub fn write_ours(&self, node: &Node, priority: u8) {
        let list = |items: Vec<String>| format!("[{}]", items.join(", "));
        let quoted = |text: &String| format!("\"{text}\"");
        let mut text = format!(
            "[[instance]]\nname = \"vip\"\ninterface = \"{}\"\nvrid = {VRID}\nversion = {}\n\
             priority = {priority}\nadvertise-interval = \"{}ms\"\naddresses = {}\n",
            self.interface,
            self.version,
            self.interval_ms,
            list(self.addresses.iter().map(quoted).collect()),
        );
        if self.version == 3 && !self.ipv6() {
            text += &format!("checksum = \"{}\"\n", self.checksum);
        }
        if let Some(password) = &self.password {
            node.write("/run/node/vrrp.key", password);
            text += "auth-file = \"vrrp.key\"\n";
        }
        let peers = self.peers_of(node);
        if !peers.is_empty() {
            let peers = list(peers.into_iter().map(quoted).collect());
            text += &format!("unicast-peers = {peers}\n");
        }
        text += &self.more_ours;
        node.write(CONFIG, text);
    }

    /// Writes keepalived's configuration and starts it.
    pub fn keepalived(&self, node: &Node, priority: u8) {
        self.write_keepalived(node, priority);
        start_keepalived(node);
    }

    /// Writes keepalived's configuration.
    pub fn write_keepalived(&self, node: &Node, priority: u8) {
        let mut text = format!(
            "global_defs {{\n  vrrp_version {}\n  vrrp_garp_master_delay 1\n}}\n\
             vrrp_instance VIP {{\n  state BACKUP\n  interface eth0\n  virtual_router_id {VRID}\n  \
             priority {priority}\n  advert_int {}\n",
            self.version,
            f64::from(self.interval_ms) / 1000.0
        );
        if self.checksum == "rfc9568" {
            text += "  v3_checksum_as_v2\n";
        }
        if let Some(password) = &self.password {
            text += &format!(
                "  authentication {{\n    auth_type PASS\n    auth_pass {password}\n  }}\n"
            );
        }
        let peers = self.peers_of(node);
        if !peers.is_empty() {
            text += "  unicast_peer {\n";
            for peer in peers {
                text += &format!("    {peer}\n");
            }
            text += "  }\n";
        }
        text += &self.more_keepalived;
        text += "  virtual_ipaddress {\n";
        for address in &self.addresses {
            text += &format!("    {address}\n");
        }
        text += "  }\n}\n";
        node.write("/run/node/keepalived.conf", text);
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "version {}", self.version)?;
        let traits = [
            (self.ipv6(), "IPv6"),
            (self.password.is_some(), "password"),
            (self.checksum == "rfc9568", "plain checksum"),
            (!self.unicast.is_empty(), "unicast"),
        ];
        let mut those = traits.iter().filter(|(has, _)| *has);
        those.try_for_each(|(_, name)| write!(f, " {name}"))
    }
}

/// Starts our daemon on the configuration already written.
pub fn start_ours(node: &Node) {
    let words = ["--config", CONFIG];
    drop(node.spawn("vrrpd.log", "/opt/wayfare/wayfare-vrrpd", &words));
    wait::until("wayfare-vrrpd answers", 15, || show(node));
}

/// Starts keepalived on the configuration already written.
pub fn start_keepalived(node: &Node) {
    start_keepalived_with(node, &[]);
}

/// The same, with words before its path. Without detailed logging, which costs keepalived 4 ms at
/// each transition.
fn start_keepalived_with(node: &Node, before: &[&str]) {
    let mut words = before.to_vec();
    words.extend(["/usr/sbin/keepalived", "-n", "-l", "--vrrp"]);
    words.extend(["-f", "/run/node/keepalived.conf"]);
    words.extend(["-p", "/run/node/keepalived.pid", "-r", "/run/node/vrrp.pid"]);
    drop(node.spawn("keepalived.log", words[0], &words[1..]));
}

/// `show vrrp json` of our daemon.
///
/// # Errors
/// It does not answer.
pub fn show(node: &Node) -> Result<Value, String> {
    node.json("/opt/wayfare/wayfare", &["show", "vrrp", "json"])
}

/// Whether the kernel of `node` holds the group's address.
#[must_use]
pub fn holds(node: &Node, group: &Group) -> bool {
    let shown = node.json("ip", &["-j", "addr", "show"]);
    let links = shown.unwrap_or_default();
    let addresses = links.as_array().into_iter().flatten();
    let mut addresses =
        addresses.flat_map(|link| link["addr_info"].as_array().into_iter().flatten());
    addresses.any(|one| one["local"].as_str() == Some(group.address()))
}

/// Takes an address off `eth0`, whatever its length is; nothing when it is not there.
pub fn strip(node: &Node, address: &str) {
    let address = address.split('/').next().unwrap_or(address);
    node.sh(&format!(
        "for length in 24 32 64 128\n\
         do ip addr del {address}/$length dev eth0 2>/dev/null || true; done"
    ));
}

/// Waits until `master` holds the address and `backup` does not.
#[track_caller]
pub fn wait_master(group: &Group, master: &Node, backup: &Node, seconds: u64) {
    let what = format!("{} is the only master", master.name());
    wait::until(&what, seconds, || {
        match (holds(master, group), holds(backup, group)) {
            (true, false) => Ok(()),
            (held, other) => Err(format!("it holds: {held}, the other: {other}")),
        }
    });
}
