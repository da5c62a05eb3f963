//! keepalived's keywords, and what becomes of those that need no reading.
//!
//! Every keyword of keepalived 2.4 that may stand in a section of ours is listed, so that a word
//! that is not listed is a mistake and can be answered with the nearest one that is. `Own` words
//! have code that reads them; the others have their verdict here, with its reason.

mod global;
mod instance;

use ctl::config::nearest;

pub use global::GLOBAL;
pub use instance::INSTANCE;

/// What becomes of a keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Code reads it.
    Own,
    /// Nothing here needs it, and why.
    Drop(&'static str),
    /// Somebody must act: cause and cure.
    Refuse(&'static str, &'static str),
}

use Fate::{Drop, Own, Refuse};

/// A section's keywords.
pub type Words = &'static [(&'static [&'static str], Fate)];

const GARP: Fate =
    Drop("gratuitous ARP and unsolicited NA are sent in a burst and repeated slowly");
const MAIL: Fate = Drop("no mail is sent: metrics, events and `notify` tell what happened");
const SCHEDULE: Fate = Drop("scheduling belongs to the unit (systemd)");
const SNMP: Fate = Drop("no SNMP or D-Bus: metrics and `show vrrp json`");
const BUFFERS: Fate = Drop("buffers are sized by the daemon");
const LVS: Fate = Drop("about IPVS, which is not ours");
const BFD: Fate = Refuse(
    "BFD sessions are not tracked",
    "track a route or a BGP neighbor instead",
);
const STATIC: Fate = Refuse(
    "not bound to a virtual router: keepalived sets it at its start",
    "put it in the network configuration of the host",
);
const BALANCER: Fate = Refuse(
    "a load balancer (IPVS) is not part of this",
    "leave it to keepalived started with --check, ipvsadm or haproxy",
);
const DEBUG: Fate = Drop("the log level is the daemon's");

/// Sections and lines of the file itself.
pub const ROOT: Words = &[
    (
        &[
            "global_defs",
            "vrrp_instance",
            "vrrp_script",
            "vrrp_sync_group",
            "vrrp_track_process",
            "vrrp_track_file",
            "track_file",
        ],
        Own,
    ),
    (
        &["static_ipaddress", "static_routes", "static_rules"],
        STATIC,
    ),
    (&["virtual_server", "virtual_server_group", "SSL"], BALANCER),
    (&["bfd_instance"], BFD),
    (&["garp_group"], GARP),
    (
        &["net_namespace", "net_namespace_ipvs"],
        Refuse(
            "a daemon runs in the namespace it is started in",
            "write NetworkNamespacePath= in a drop-in of its unit",
        ),
    ),
    (
        &["track_group"],
        Drop("about static addresses and routes, which are not ours"),
    ),
    (
        &[
            "linkbeat_interfaces",
            "linkbeat_use_polling",
            "interface_up_down_delays",
        ],
        Drop("the kernel tells the state of a link"),
    ),
    (
        &[
            "use_pid_dir",
            "instance",
            "namespace_with_ipsets",
            "child_wait_time",
        ],
        Drop("about keepalived's own processes"),
    ),
];

/// `vrrp_sync_group`.
pub const GROUP: Words = &[
    (
        &[
            "group",
            "track_interface",
            "track_script",
            "track_file",
            "track_process",
            "notify",
            "notify_master",
            "notify_backup",
            "notify_fault",
            "notify_stop",
            "global_tracking",
            "sync_group_tracking_weight",
        ],
        Own,
    ),
    (&["smtp_alert"], MAIL),
    (&["track_bfd"], BFD),
    (
        &["notify_priority_changes"],
        Refuse(
            "not told to scripts",
            "watch `wayfare monitor vrrp` or the metrics",
        ),
    ),
];

/// `vrrp_script`.
pub const SCRIPT: Words = &[(
    &[
        "script",
        "interval",
        "timeout",
        "weight",
        "rise",
        "fall",
        "user",
        "init_fail",
    ],
    Own,
)];

/// `vrrp_track_process`.
pub const PROCESS: Words = &[(
    &[
        "process",
        "param_match",
        "weight",
        "quorum",
        "quorum_max",
        "delay",
        "terminate_delay",
        "fork_delay",
        "full_command",
    ],
    Own,
)];

/// `vrrp_track_file`.
pub const FILE: Words = &[(&["file", "weight", "init_file"], Own)];

/// Whether `word` begins a section and nothing else, so that it cannot stand in a block.
pub fn begins_section(word: &str) -> bool {
    const SECTIONS: [&str; 12] = [
        "global_defs",
        "vrrp_instance",
        "vrrp_script",
        "vrrp_sync_group",
        "vrrp_track_process",
        "vrrp_track_file",
        "static_ipaddress",
        "static_routes",
        "static_rules",
        "virtual_server",
        "virtual_server_group",
        "bfd_instance",
    ];
    SECTIONS.contains(&word)
}

/// What becomes of `word` in a section; `None`: it is unknown there.
pub fn fate(section: Words, word: &str) -> Option<Fate> {
    let row = section.iter().find(|row| row.0.contains(&word))?;
    Some(row.1)
}

/// Whether `word` is keepalived's, wherever it may stand.
pub fn is_known(word: &str) -> bool {
    const DEEPER: [&str; 4] = ["auth_type", "auth_pass", "key", "active_key"];
    let sections = [ROOT, GLOBAL, INSTANCE, GROUP, SCRIPT, PROCESS, FILE];
    DEEPER.contains(&word) || sections.into_iter().any(|it| fate(it, word).is_some())
}

/// What to write instead of an unknown word.
pub fn cure(section: Words, word: &str) -> String {
    let known = section.iter().flat_map(|row| row.0.iter().copied());
    match nearest(word, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "remove it: keepalived only logs it and goes on".to_owned(),
    }
}
