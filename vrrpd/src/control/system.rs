//! The daemon itself: version and memory.
//!
//! Memory of single parts is not measured: a virtual router is some kilobytes, and what may grow
//! is bounded and counted here. The resident set is the whole, as the system counts it; it is what
//! the daemon promises to keep small, and what the comparison with others is about.

use proto_codec::control::View;
use proto_codec::control::view::{Memory, Version};

use crate::io::shared::Shared;

/// `show version`.
pub(super) fn version(shared: &Shared) -> Version {
    let uptime = shared.started.elapsed().as_millis();
    Version {
        daemon: "vrrpd".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        uptime_ms: u64::try_from(uptime).unwrap_or(u64::MAX),
        config: shared.config_path.display().to_string(),
        config_epoch_ms: Some(shared.config_epoch_ms()),
    }
}

/// `show memory`: what there is, and what the process really has.
pub(super) fn memory(shared: &Shared) -> Vec<View> {
    let (routers, entries) =
        shared.peek(|node, _| (node.slots().count(), node.history().iter().count()));
    let part = |name: &str, count: usize| Memory {
        name: name.to_owned(),
        count: u64::try_from(count).unwrap_or(u64::MAX),
        bytes: 0,
    };
    let mut rows = vec![
        part("virtual routers", routers),
        part("history entries", entries),
    ];
    if let Some(bytes) = ctl::metrics::resident_set() {
        rows.push(Memory {
            name: "resident set".to_owned(),
            count: 0,
            bytes,
        });
    }
    rows.into_iter().map(View::Memory).collect()
}
