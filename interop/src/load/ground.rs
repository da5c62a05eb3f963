//! Where the benchmark takes place: the daemon in one node, the tool outside of it, one link.
//!
//! The link is a plain veth pair of its own, without the lab's switch in between: the tool's end
//! has all the addresses of the speakers, the daemon's end has [`LOCAL`]. Neighbor entries are
//! permanent on both sides, because the table of them is shared by all namespaces of a machine and
//! a thousand speakers overflow it. Everybody is on one network, so sessions are direct for
//! everyone and every next hop is on the link.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::bench::Shape;
use crate::lab::Lab;
use crate::node::Node;

/// The daemon's address on the link, its router id and its next hop.
pub const LOCAL: Ipv4Addr = Ipv4Addr::new(10, 98, 0, 1);
/// The link's network, as `prefix/length`.
pub const NETWORK: &str = "10.98.0.0/16";
/// Most speakers at once.
pub const SPEAKERS_MAX: usize = 1100;

const OUTER_MAC: &str = "02:00:00:98:00:02";
const INNER_MAC: &str = "02:00:00:98:00:01";

/// The address of speaker `index`, from 0. The order of addresses is the order of router ids.
pub fn speaker(index: usize) -> Ipv4Addr {
    let index = u16::try_from(index).expect("at most SPEAKERS_MAX speakers");
    let [high, low] = index.to_be_bytes();
    Ipv4Addr::new(10, 98, 1 + high, low)
}

/// The daemon's side of the link. The tool speaks from the lab's own namespace.
#[derive(Debug)]
pub struct Ground {
    /// Where the daemon runs.
    pub node: Node,
    /// No run may take longer than this, whatever its shape would allow.
    pub limit: Duration,
}

impl Ground {
    /// How long a run of `shape` may take from the clock's start.
    pub fn limit(&self, shape: &dyn Shape) -> Duration {
        self.limit.min(shape.limit())
    }
}

impl Ground {
    /// Lays the link; no run will take longer than `limit`.
    pub fn new(lab: &mut Lab, limit: Duration) -> Self {
        let node = lab.node("daemon");
        lab.ip(&format!(
            "link add bench address {OUTER_MAC} type veth peer name bench0 address {INNER_MAC} \
             netns {}",
            node.pid()
        ));
        let mut outside = format!(
            "addr add 10.98.255.254/16 dev bench\nlink set bench up\n\
             neigh replace {LOCAL} lladdr {INNER_MAC} nud permanent dev bench\n"
        );
        let mut inside = format!("addr add {LOCAL}/16 dev bench0\nlink set bench0 up\n");
        for index in 0..SPEAKERS_MAX {
            let address = speaker(index);
            let _ = writeln!(outside, "addr add {address}/32 dev bench");
            let _ = writeln!(
                inside,
                "neigh replace {address} lladdr {OUTER_MAC} nud permanent dev bench0"
            );
        }
        let done = lab.ip_batch(&outside);
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        node.write("/run/node/link", inside);
        node.sh("ip -batch /run/node/link");
        Self { node, limit }
    }
}
