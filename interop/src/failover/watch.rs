//! Addresses as the kernel of a node tells of them: put, and taken off.
//!
//! `ip monitor` inside the node writes a line per change and a thread stamps each as it comes. The
//! stamps are late by a fraction of a millisecond, which is nothing against the second and a half
//! that an address left behind may live.

use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use super::ground::inside;
use super::pace::realtime;
use crate::node::Node;

/// One change.
#[derive(Clone, Debug)]
struct Change {
    at: Instant,
    deleted: bool,
    address: Ipv4Addr,
}

/// A watch under way; ends when dropped.
#[derive(Debug)]
pub struct Watch {
    child: Child,
    seen: Arc<Mutex<Vec<Change>>>,
}

impl Watch {
    /// Starts to watch `node`.
    #[must_use]
    pub fn start(node: &Node) -> Self {
        let mut command = inside(node, "ip");
        command.args(["-o", "-4", "monitor", "address"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("ip is in the root");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (output, write) = (child.stdout.take(), Arc::clone(&seen));
        thread::spawn(move || {
            realtime();
            let lines = BufReader::new(output.expect("it is piped")).lines();
            for line in lines.map_while(Result::ok) {
                if let Some(change) = parse(&line, Instant::now()) {
                    write.lock().expect("no one panics with it").push(change);
                }
            }
        });
        Self { child, seen }
    }

    /// When `address` was taken off for the last time, if that was after `since` and it has not
    /// come back.
    #[must_use]
    pub fn gone(&self, address: Ipv4Addr, since: Instant) -> Option<Instant> {
        let seen = self.seen.lock().expect("no one panics with it");
        let mut mine = seen.iter().filter(|change| change.address == address);
        let last = mine.next_back()?;
        (last.deleted && last.at >= since).then_some(last.at)
    }

    /// When `address` was put for the first time after `since`.
    #[must_use]
    pub fn put(&self, address: Ipv4Addr, since: Instant) -> Option<Instant> {
        let seen = self.seen.lock().expect("no one panics with it");
        let mut mine = seen.iter().filter(|change| change.address == address);
        mine.find(|change| !change.deleted && change.at >= since)
            .map(|change| change.at)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn parse(line: &str, at: Instant) -> Option<Change> {
    let deleted = line.starts_with("Deleted");
    let mut words = line.split_whitespace();
    words.find(|word| *word == "inet")?;
    let address = words.next()?.split('/').next()?.parse().ok()?;
    Some(Change {
        at,
        deleted,
        address,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_ip_monitor_are_read() {
        let now = Instant::now();
        let put = parse(
            "3: eth1    inet 10.101.1.1/32 scope global eth1\\  valid",
            now,
        );
        assert!(put.is_some_and(|one| !one.deleted && one.address.octets()[3] == 1));
        let gone = parse(
            "Deleted 3: eth1    inet 10.101.1.9/32 scope global eth1",
            now,
        );
        assert!(gone.is_some_and(|one| one.deleted && one.address.octets()[3] == 9));
        assert!(parse("3: eth1 inet6 fe80::1/64", now).is_none());
    }
}
