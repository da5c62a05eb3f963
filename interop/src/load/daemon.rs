//! Who is measured: `wayfare-bgpd` beside this program, BIRD 3 of the peers' image, or any BIRD
//! of the machine itself.
//!
//! The configurations say the same in each language: sessions from where the tool speaks, import
//! and export of everything, no kernel. BIRD's delays are at their least; `wayfare-bgpd` has none.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};

use crate::node::Node;
use crate::player::daemon::{Usage, usage};

/// The daemon's own AS.
pub const ASN: u32 = 65000;

/// A daemon to measure.
#[derive(Clone, Debug)]
pub enum Kind {
    /// `wayfare-bgpd`, built beside this program.
    Wayfare,
    /// BIRD 3 of the image, with two threads.
    Bird3,
    /// A BIRD of the machine: the path of the program.
    HostBird(String),
}

impl Kind {
    /// Its name for the table.
    pub fn name(&self) -> String {
        match self {
            Kind::Wayfare => "wayfare-bgpd".to_owned(),
            Kind::Bird3 => "BIRD 3".to_owned(),
            Kind::HostBird(path) => {
                let output = Command::new(path).arg("--version").output();
                let text = output.map(|output| [output.stdout, output.stderr].concat());
                let text = text.unwrap_or_default();
                String::from_utf8_lossy(&text)
                    .trim()
                    .replace(" version", "")
            }
        }
    }
}

/// Sessions that the daemon accepts.
#[derive(Clone, Copy, Debug)]
pub enum Peers {
    /// Two external neighbors with their AS numbers.
    External([(Ipv4Addr, u32); 2]),
    /// Reflector clients anywhere in 10.99.0.0/24.
    Clients,
}

/// A running daemon.
#[derive(Debug)]
pub struct Running {
    child: Child,
    node: Node,
    in_node: bool,
}

impl Running {
    /// Starts `kind` in `node`.
    pub fn start(kind: &Kind, node: &Node, local: Ipv4Addr, peers: Peers) -> Self {
        let config = "/run/node/load.conf";
        let child = match kind {
            Kind::Wayfare => {
                node.write(config, wayfare(local, peers));
                let program = "/opt/wayfare/wayfare-bgpd";
                node.spawn("load.log", program, &["--config", config])
            }
            Kind::Bird3 => {
                node.write(config, format!("threads 2;\n{}", bird(local, peers)));
                node.spawn(
                    "load.log",
                    "bird",
                    &["-f", "-c", config, "-s", "/run/load.ctl"],
                )
            }
            Kind::HostBird(path) => {
                node.write(config, bird(local, peers));
                let outside = node.path(config);
                // A socket left by the run before is no daemon that lives.
                let control = node.path("/run/host.ctl");
                let _ = std::fs::remove_file(&control);
                let log = std::fs::File::create(node.path("/run/node/load.log"));
                Command::new("nsenter")
                    .args(["-t", &node.pid().to_string(), "-n"])
                    .args([path.as_str(), "-f", "-c"])
                    .arg(outside)
                    .arg("-s")
                    .arg(control)
                    .stdout(Stdio::null())
                    .stderr(log.expect("the node's tmpfs is writable"))
                    .spawn()
                    .expect("nsenter is part of util-linux")
            }
        };
        Self {
            child,
            node: node.clone(),
            in_node: !matches!(kind, Kind::HostBird(_)),
        }
    }

    /// What it has used so far. `nsenter` executes the program, or forks it when it enters a
    /// process namespace: all descendants count.
    pub fn usage(&self) -> Usage {
        let mut whole = Usage::default();
        let mut pids = vec![self.child.id()];
        while let Some(pid) = pids.pop() {
            let used = usage(pid);
            whole.cpu_s += used.cpu_s;
            whole.peak_kib = whole.peak_kib.max(used.peak_kib);
            let children = format!("/proc/{pid}/task/{pid}/children");
            let text = std::fs::read_to_string(children).unwrap_or_default();
            pids.extend(
                text.split_whitespace()
                    .filter_map(|pid| pid.parse::<u32>().ok()),
            );
        }
        whole
    }

    /// The daemon's log.
    pub fn log(&self) -> String {
        self.node.read("/run/node/load.log")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // In the node, `nsenter` ends when the daemon has; the port is free only then.
        match self.in_node {
            true => self.node.kill(&["wayfare-bgpd", "bird"]),
            false => drop(self.child.kill()),
        }
        let _ = self.child.wait();
    }
}

fn wayfare(local: Ipv4Addr, peers: Peers) -> String {
    let mut text = format!("[router]\nasn = {ASN}\nrouter-id = \"{local}\"\n");
    match peers {
        Peers::External(neighbors) => {
            for (address, asn) in neighbors {
                let _ = write!(
                    text,
                    "\n[[neighbor]]\naddress = \"{address}\"\nasn = {asn}\npassive = true\n\
                     import = \"accept-all\"\nexport = \"accept-all\"\n"
                );
            }
        }
        Peers::Clients => {
            text += "\n[[peer-group]]\nname = \"clients\"\nasn = \"internal\"\n\
                     route-reflector-client = true\n\n[[listen-range]]\n\
                     prefix = \"10.99.0.0/24\"\npeer-group = \"clients\"\n";
        }
    }
    text
}

fn bird(local: Ipv4Addr, peers: Peers) -> String {
    let mut text =
        format!("log stderr all;\nrouter id {local};\nprotocol device {{ scan time 60; }}\n");
    let channel = "ipv4 { import all; export where source = RTS_BGP; }; passive;";
    match peers {
        Peers::External(neighbors) => {
            for (index, (address, asn)) in neighbors.into_iter().enumerate() {
                let _ = writeln!(
                    text,
                    "protocol bgp n{index} {{ local {local} as {ASN}; neighbor {address} as \
                     {asn}; {channel} }}"
                );
            }
        }
        Peers::Clients => {
            text += "protocol direct { ipv4; }\n";
            let _ = writeln!(
                text,
                "protocol bgp clients {{ local {local} as {ASN}; neighbor range 10.99.0.0/24 as \
                 {ASN}; direct; rr client; {channel} }}"
            );
        }
    }
    text
}
