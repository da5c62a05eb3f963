//! Nodes, links and the switch: a client, two routers, and up to four segments between them.
//!
//! The switch is the lab's own namespace, one bridge per segment, so that the tool can pull a plug
//! without asking anybody. Plugs are pulled through `ip` processes that wait for lines: starting
//! one takes longer than a failover at 10 ms. Routers do not forward: one that did would pass a
//! packet on to its successor, and hide what is to be measured.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::process::{Child, ChildStdin, Command, Stdio};

use super::plan::LINKS_MAX;
use super::stream::Responder;
use crate::lab::Lab;
use crate::node::Node;

/// What the better router's responder puts on an answer.
pub const NAME_A: u8 = b'a';
/// What the other one's does.
pub const NAME_B: u8 = b'b';

/// A command in the network and mount namespaces of a node, but among the processes of the lab: it
/// has no process of `nsenter` in between, so ending it ends it.
#[must_use]
pub fn inside(node: &Node, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command
        .args(["-t", &node.pid().to_string(), "-n", "-m", "-r", "-w", "--"])
        .arg(program)
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C.UTF-8")
        .stderr(Stdio::null());
    command
}

/// An `ip` that waits for lines; ends when dropped.
#[derive(Debug)]
pub struct Hand {
    child: Child,
    input: Option<ChildStdin>,
}

impl Hand {
    /// Starts it: `command` is an `ip` without arguments.
    fn new(mut command: Command) -> Self {
        command.args(["-force", "-batch", "-"]);
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        command.stderr(Stdio::null());
        let mut child = command.spawn().expect("ip is in the root");
        let input = child.stdin.take();
        Self { child, input }
    }

    /// Has a line carried out, at once.
    pub fn order(&mut self, line: &str) {
        let input = self.input.as_mut().expect("open until dropped");
        writeln!(input, "{line}").expect("ip reads its lines");
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// The place.
#[derive(Debug)]
pub struct Ground {
    /// Where the stream comes from.
    pub client: Node,
    /// The better router.
    pub a: Node,
    /// The one that takes over.
    pub b: Node,
    /// The lab's own address on the first segment, and that of its bridge.
    pub ear_index: u32,
    _responders: [Responder; 2],
}

impl Ground {
    /// Builds it.
    ///
    /// # Panics
    /// The kernel refuses what every lab needs.
    pub fn new(lab: &mut Lab) -> Self {
        let nodes = ["client", "a", "b"].map(|name| lab.node(name));
        for link in 1..=LINKS_MAX {
            let lan = format!("br{link}");
            lab.lan(&lan);
            lab.ip(&format!("addr add 10.{}.0.254/16 dev {lan}", 100 + link));
            for node in &nodes {
                let address = format!("{}/16", Self::address(node, link));
                lab.attach(node, &lan, &format!("eth{link}"), &[address]);
            }
        }
        let index = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
        let ear_index = index
            .lines()
            .find(|line| line.ends_with(" br1"))
            .and_then(|line| u32::from_str_radix(line.split_whitespace().nth(1)?, 16).ok())
            .or_else(|| nix::net::if_::if_nametoindex("br1").ok())
            .expect("br1 was just made");
        let [client, a, b] = nodes;
        let responder = |node: &Node, name| Responder::start(node, name).expect("a free port");
        let _responders = [responder(&a, NAME_A), responder(&b, NAME_B)];
        Self {
            client,
            a,
            b,
            ear_index,
            _responders,
        }
    }

    /// A node's address on a link.
    #[must_use]
    pub fn address(node: &Node, link: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 100 + link, 0, node.index())
    }

    /// Who moves the switch's ports.
    #[must_use]
    pub fn switch(lab: &Lab) -> Hand {
        Hand::new(lab.root_command("ip"))
    }

    /// Who moves a node's own links.
    #[must_use]
    pub fn hand(node: &Node) -> Hand {
        Hand::new(inside(node, "ip"))
    }

    /// The line that sets all of a node's ports on the switch up or down.
    #[must_use]
    pub fn ports(node: &Node, links: u8, state: &str) -> String {
        let mut text = String::new();
        for link in 1..=links {
            let port = Lab::port(node, &format!("eth{link}"));
            let _ = writeln!(text, "link set {port} {state}");
        }
        text.trim_end().to_owned()
    }
}
