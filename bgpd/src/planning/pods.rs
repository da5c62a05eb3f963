//! Routes to pods that the kernel has: addresses that this node borrowed of others' blocks.
//!
//! Where a block is full, Calico gives a pod an address out of another node's block, and where a
//! virtual machine moves it keeps its address. Such an address has to be announced alone, and only
//! the kernel knows of it: Felix programs a host route to the pod's interface, `cali` and some
//! digits. BIRD scans the kernel every two seconds for them; so do we, and only under Calico.
//!
//! The kernel's own text in `/proc/self/net` is read, since nothing but prefix and interface is
//! wanted. Addresses inside the node's own blocks are in the list too: the rules leave them out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use cluster::{DialectName, Options};
use ipnet::IpNet;
use tokio::sync::watch;

/// As often as BIRD does it for Calico.
const SCAN_EVERY: Duration = Duration::from_secs(2);
/// How Calico names the interfaces of pods.
const INTERFACE: &str = "cali";

/// The kernel's lists, under the process's own folder: `ProcSubset=pid` hides `/proc/net`.
const FILES: [(&str, Parse); 2] = [
    ("/proc/self/net/route", ipv4),
    ("/proc/self/net/ipv6_route", ipv6),
];

/// What reads a line of a list.
type Parse = fn(&str) -> Option<IpNet>;

/// Scans for ever; looks at nothing while Calico's objects are not read.
///
/// A list that cannot be read leaves the last one in force: an empty list would withdraw every
/// address that this node borrowed.
pub(super) async fn scan(options: watch::Receiver<Options>, out: watch::Sender<Vec<IpNet>>) {
    let mut is_told = false;
    loop {
        let is_on = options.borrow().speaks(DialectName::Calico);
        let read = if is_on { routes(FILES) } else { Ok(Vec::new()) };
        match read {
            Ok(now) => {
                is_told = false;
                out.send_if_modified(|known| {
                    let is_new = *known != now;
                    *known = now;
                    is_new
                });
            }
            Err(error) if !is_told => {
                is_told = true;
                tracing::warn!(%error, "routes to pods cannot be read: the last ones stay");
            }
            Err(_) => {}
        }
        tokio::time::sleep(SCAN_EVERY).await;
    }
}

fn routes(files: [(&str, Parse); 2]) -> std::io::Result<Vec<IpNet>> {
    let mut list = Vec::new();
    for (index, (path, parse)) in files.into_iter().enumerate() {
        match std::fs::read_to_string(path) {
            Ok(text) => list.extend(text.lines().filter_map(parse)),
            // Without IPv6 the second file is not there.
            Err(error) if index > 0 && error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(std::io::Error::other(format!("{path}: {error}"))),
        }
    }
    list.sort();
    list.dedup();
    Ok(list)
}

/// `Iface Destination Gateway Flags RefCnt Use Metric Mask`, addresses as octets lie in memory.
fn ipv4(line: &str) -> Option<IpNet> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [interface, destination, _, _, _, _, _, mask, ..] = words[..] else {
        return None;
    };
    if !interface.starts_with(INTERFACE) || mask != "FFFFFFFF" {
        return None;
    }
    let octets = u32::from_str_radix(destination, 16).ok()?.to_ne_bytes();
    Some(IpNet::from(IpAddr::V4(Ipv4Addr::from(octets))))
}

/// `destination length source length next-hop metric`, and last the interface, in hexadecimal.
fn ipv6(line: &str) -> Option<IpNet> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [destination, length, .., interface] = words[..] else {
        return None;
    };
    if !interface.starts_with(INTERFACE) || length != "80" {
        return None;
    }
    let address = Ipv6Addr::from(u128::from_str_radix(destination, 16).ok()?);
    let is_of_link = address.is_unicast_link_local() || address.is_multicast();
    (!is_of_link).then(|| IpNet::from(IpAddr::V6(address)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_read_where_proc_is_narrow() {
        crate::narrow_proc::run("routes to pods", || {
            assert!(!std::path::Path::new("/proc/net").exists());
            assert!(routes(FILES).is_ok());
        });
    }

    #[test]
    fn a_list_that_is_missing_is_no_empty_list() {
        let absent = "/proc/self/net/absent";
        let [v4, v6] = FILES;
        assert!(routes([(absent, ipv4), v6]).is_err());
        assert!(routes([v4, (absent, ipv6)]).is_ok(), "no IPv6 here");
    }

    #[test]
    fn host_routes_to_pods_are_found_and_nothing_else() {
        let octets = u32::from_ne_bytes([192, 168, 5, 9]);
        let line = |name: &str, mask: &str| {
            format!("{name}\t{octets:08X}\t00000000\t0005\t0\t0\t1024\t{mask}\t0\t0\t0")
        };
        let expected = Some("192.168.5.9/32".parse().unwrap());
        assert_eq!(ipv4(&line("cali123", "FFFFFFFF")), expected);
        assert_eq!(ipv4(&line("eth0", "FFFFFFFF")), None);
        assert_eq!(ipv4(&line("cali123", "00FFFFFF")), None);
        assert_eq!(ipv4("Iface\tDestination\tGateway"), None);
        let line = |destination: &str, length: &str| {
            let zero = "0".repeat(32);
            format!("{destination} {length} {zero} 00 {zero} 00000400 00000001 00000000 1 cali1")
        };
        let pod = "fd000000000000000000000000000009";
        assert_eq!(ipv6(&line(pod, "80")), Some("fd00::9/128".parse().unwrap()));
        assert_eq!(ipv6(&line(pod, "40")), None);
        assert_eq!(ipv6(&line("fe800000000000000000000000000009", "80")), None);
    }
}
