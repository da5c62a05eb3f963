//! The keywords of `vrrp_instance`.
//!
//! Those that code reads come first, then what the daemon does by itself, then what it does not do.

use super::Fate::{Drop, Own, Refuse};
use super::{BFD, BUFFERS, DEBUG, GARP, LVS, MAIL, Words};

/// `vrrp_instance`.
pub const INSTANCE: Words = &[
    (
        &[
            "state",
            "interface",
            "virtual_router_id",
            "priority",
            "version",
            "advert_int",
            "native_ipv6",
            "virtual_ipaddress",
            "virtual_ipaddress_excluded",
            "virtual_routes",
            "authentication",
            "auth_hmac",
            "unicast_peer",
            "unicast_src_ip",
            "mcast_src_ip",
            "use_vmac",
            "preempt",
            "nopreempt",
            "preempt_delay",
            "accept",
            "no_accept",
            "strict_mode",
            "v3_checksum_as_v2",
            "track_interface",
            "track_script",
            "track_file",
            "track_process",
            "notify",
            "notify_master",
            "notify_backup",
            "notify_fault",
            "notify_stop",
            "down_timer_adverts",
            "no_virtual_ipaddress",
            "unicast_ttl",
            "mcast_dst_ip",
        ],
        Own,
    ),
    (
        &[
            "garp_master_delay",
            "garp_master_refresh",
            "garp_master_repeat",
            "garp_master_refresh_repeat",
            "garp_lower_prio_delay",
            "garp_lower_prio_repeat",
            "garp_extra_if",
            "vmac_garp_intvl",
        ],
        GARP,
    ),
    (&["smtp_alert"], MAIL),
    (&["lvs_sync_daemon_interface"], LVS),
    (&["debug"], DEBUG),
    (&["track_bfd"], BFD),
    (
        &["dont_track_primary"],
        Drop("the own interface is always tracked: nothing can be sent on a link that is down"),
    ),
    (
        &["skip_check_adv_addr"],
        Drop("another address list is logged and no reason to discard an advert"),
    ),
    (
        &["check_unicast_src"],
        Drop("always so: only listed peers are listened to"),
    ),
    (
        &["unicast_fault_no_peer", "track_src_ip"],
        Drop("a fault of the interface or its addresses is told and tried again"),
    ),
    (
        &["old_unicast_checksum"],
        Refuse(
            "the checksum of keepalived before 1.3 is not sent",
            "update the peers that need it",
        ),
    ),
    (
        &["vmac_xmit_base", "use_vmac_addr"],
        Drop("`virtual-mac` decides what is sent from where"),
    ),
    (
        &["use_ipvlan", "vrf"],
        Refuse("not supported", "name the interface that has the subnet"),
    ),
    (
        &["virtual_rules"],
        Refuse(
            "no routing rules are bound to an instance",
            "make them fixed, or set them in `notify`",
        ),
    ),
    (
        &[
            "lower_prio_no_advert",
            "higher_prio_send_advert",
            "owner_ignore_adverts",
        ],
        Drop("RFC 9568 §6.4 decides what is answered"),
    ),
    (
        &["timer_expired_backup", "thread_timer_expired"],
        Drop("always so: a daemon that was late yields before it sends anything"),
    ),
    (&["kernel_rx_buf_size"], BUFFERS),
    (
        &["promote_secondaries"],
        Drop("an address belongs to one instance and takes no other with it"),
    ),
    (
        &["linkbeat_use_polling"],
        Drop("the kernel tells the state of a link"),
    ),
    (
        &[
            "notify_deleted",
            "notify_master_rx_lower_pri",
            "notify_priority_changes",
        ],
        Refuse(
            "not told to scripts",
            "watch `wayfare monitor vrrp` or the metrics",
        ),
    ),
];
