//! Packets: tcpdump in a node, tshark over the file.
//!
//! A capture starts before the daemons do and is flushed packet by packet, so it can be read while
//! it runs. [`Capture::complaints`] asks tshark, an independent decoder, whether anything we sent
//! is malformed; what the other side sends is its own affair and is left out.

use std::net::IpAddr;
use std::process::{Child, Command};

use crate::node::Node;
use crate::wait;

/// A running tcpdump.
pub struct Capture {
    node: Node,
    file: String,
    child: Child,
}

impl Capture {
    /// Captures BGP on `interface` of `node`.
    pub fn start(node: &Node, interface: &str) -> Capture {
        Self::of(node, interface, "bgp", "tcp port 179")
    }

    /// Captures what a filter of tcpdump lets through, into a file called `name`.
    pub fn of(node: &Node, interface: &str, name: &str, filter: &str) -> Capture {
        let file = format!("/run/node/{name}.pcap");
        let log = format!("tcpdump-{name}.log");
        let arguments = [
            "-Z",
            "root",
            "--immediate-mode",
            "-U",
            "-n",
            "-s",
            "0",
            "-i",
            interface,
            "-w",
            &file,
            filter,
        ];
        let child = node.spawn(&log, "tcpdump", &arguments);
        wait::until_true("tcpdump listens", 10, || {
            node.read(&format!("/run/node/{log}"))
                .contains("listening on")
        });
        Capture {
            node: node.clone(),
            file,
            child,
        }
    }

    /// Lines of `tshark -r` with a display filter and the given fields, tab separated.
    pub fn fields(&self, filter: &str, fields: &[&str]) -> Vec<String> {
        self.fields_preferring(&[], filter, fields)
    }

    /// The same with preferences of tshark (`vrrp.v3_checksum_as_in_v2:TRUE`).
    pub fn fields_preferring(
        &self,
        preferences: &[&str],
        filter: &str,
        fields: &[&str],
    ) -> Vec<String> {
        let mut command = self.tshark();
        for preference in preferences {
            command.args(["-o", preference]);
        }
        command.args(["-Y", filter, "-T", "fields"]);
        for field in fields {
            command.args(["-e", field]);
        }
        let output = command.output().expect("chroot is part of coreutils");
        let errors = String::from_utf8_lossy(&output.stderr);
        // A capture that still runs may end in half a packet, which tshark says with status 2.
        let cut_short = errors.contains("cut short");
        assert!(
            output.status.success() || cut_short,
            "tshark -Y '{filter}': {errors}"
        );
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().map(str::to_owned).collect()
    }

    /// What tshark finds wrong with the BGP messages `source` sent: malformed packets and expert
    /// notes of level error. Empty is good.
    pub fn complaints(&self, source: IpAddr) -> Vec<String> {
        let address = if source.is_ipv4() {
            "ip.src"
        } else {
            "ipv6.src"
        };
        let filter = format!(
            "{address} == {source} && bgp && (_ws.malformed || _ws.expert.severity == error)"
        );
        self.fields(
            &filter,
            &["frame.number", "_ws.col.info", "_ws.expert.message"],
        )
    }

    /// How many packets match.
    pub fn count(&self, filter: &str) -> usize {
        self.fields(filter, &["frame.number"]).len()
    }

    fn tshark(&self) -> Command {
        let mut command = self.node.command("tshark");
        command.args(["-n", "-r", &self.file]).env("HOME", "/tmp");
        command
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // The lab's end would kill it too; a second capture in the same node needs it gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
