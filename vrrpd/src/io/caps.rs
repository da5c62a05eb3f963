//! Capabilities: what a daemon that was started as root does not need, it gives away.
//!
//! As a unit it has two and no more (`CAP_NET_ADMIN` for addresses, links and rules, `CAP_NET_RAW`
//! for adverts and announcements). Started as root it keeps those, what real time, other users'
//! scripts and files of other owners need, and gives up the rest before its first packet: whoever
//! finds a hole in the handling of packets then owns a network, but loads no module, traces no
//! process and mounts nothing. Programs that it starts as root are root's own affair: they get
//! what root gets, unless the unit says `NoNewPrivileges=`.
//!
//! It happens once, while there is one thread, and cannot fail for want of a right: giving up needs
//! none.

use super::sockopt;

/// `linux/capability.h`: DAC_OVERRIDE, KILL, SETGID, SETUID, NET_ADMIN, NET_RAW, IPC_LOCK,
/// SYS_NICE.
const KEPT: [u32; 8] = [1, 5, 6, 7, 12, 13, 14, 23];

/// Gives up everything but what is [`KEPT`].
pub fn give_up() {
    let mask = KEPT.iter().fold(0_u64, |mask, bit| mask | 1 << bit);
    if let Err(error) = sockopt::keep_capabilities(mask) {
        // A sandbox that forbids the call: nothing is worse than it was.
        tracing::info!("capabilities stay as they are: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mask of `/proc/thread-self/status` under `name`.
    fn mask(name: &str) -> u64 {
        let status = std::fs::read_to_string("/proc/thread-self/status").expect("procfs");
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        u64::from_str_radix(line.expect("it is there").trim(), 16).expect("hexadecimal")
    }

    #[test]
    fn what_is_not_needed_is_gone_and_nothing_comes_on_top() {
        // A thread has capabilities of its own, so that other tests keep theirs.
        let thread = std::thread::spawn(|| {
            let before = mask("CapPrm:");
            give_up();
            let kept = KEPT.iter().fold(0_u64, |mask, bit| mask | 1 << bit);
            assert_eq!(mask("CapPrm:"), before & kept);
            assert_eq!(mask("CapEff:"), mask("CapPrm:"));
            assert_eq!(mask("CapInh:") & !kept, 0);
        });
        thread.join().expect("it holds");
    }
}
