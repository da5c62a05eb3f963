//! The judgement on the peer's OPEN: RFC 4271 §6.2, RFC 5492 §5, RFC 6286 §2.2, RFC 9234 §4.2.
//!
//! Each test sends an OPEN to a machine in OpenSent and looks at the answer, so that decoder,
//! judgement and state machine are tested as the neighbor meets them: together. What the OPEN we
//! send ourselves contains is tested at the end.

use proto_codec::bgp::capability::Role;

use super::*;

/// What the machine answers to this OPEN: the NOTIFICATION, or `None` for OpenConfirm.
fn answer(config: PeerConfig, open: &[u8]) -> Option<Notification> {
    let (mut bench, conn) = Bench::dialled(config, State::OpenSent);
    bench.frame(conn, open);
    match bench.peer.state() {
        State::OpenConfirm => None,
        State::Idle => Some(bench.farewell().expect("a NOTIFICATION")),
        other => panic!("{other}"),
    }
}

fn refused(config: PeerConfig, open: Open) -> Option<(u8, u8)> {
    code(answer(config, &open.to_bytes()))
}

#[test]
fn version_other_than_4_is_2_1_with_ours_as_data_rfc4271_6_2() {
    let mut open = remote_open().to_bytes().to_vec();
    open[19] = 3;
    let n = answer(config(), &open).expect("refused");
    assert_eq!((n.code, n.subcode, n.data.as_ref()), (2, 1, &[0, 4][..]));
}

#[test]
fn peer_as_must_satisfy_the_rule_2_2() {
    let from = |asn| {
        let capabilities = vec![Capability::FourOctetAs(asn)];
        Open {
            asn,
            capabilities,
            ..remote_open()
        }
    };
    let cases = [
        (AsnRule::Exact(REMOTE_ASN), REMOTE_ASN, true),
        (AsnRule::Exact(REMOTE_ASN), 65000, false),
        (AsnRule::Exact(REMOTE_ASN), 4_200_000_000, false),
        (AsnRule::Exact(4_200_000_000), 4_200_000_000, true),
        (AsnRule::Internal, LOCAL_ASN, true),
        (AsnRule::Internal, REMOTE_ASN, false),
        (AsnRule::External, REMOTE_ASN, true),
        (AsnRule::External, LOCAL_ASN, false),
        (AsnRule::Any, LOCAL_ASN, true),
        (AsnRule::Any, REMOTE_ASN, true),
    ];
    for (rule, asn, accepted) in cases {
        let found = refused(
            PeerConfig {
                remote_asn: rule,
                ..config()
            },
            from(asn),
        );
        let expected = (!accepted).then_some((OPEN_CODE, 2));
        assert_eq!(found, expected, "{rule:?} {asn}");
    }
}

#[test]
fn identifier_zero_or_ours_inside_the_as_is_2_3_rfc6286_2_2() {
    let mut zero = remote_open().to_bytes().to_vec();
    zero[24..28].fill(0);
    assert_eq!(code(answer(config(), &zero)), Some((2, 3)));
    let twin = Open {
        router_id: local_id(),
        ..remote_open()
    };
    assert_eq!(refused(config(), twin.clone()), None, "legal between ASes");
    let internal = PeerConfig {
        remote_asn: AsnRule::Internal,
        ..config()
    };
    let capabilities = vec![Capability::FourOctetAs(LOCAL_ASN)];
    let twin = Open {
        asn: LOCAL_ASN,
        capabilities,
        ..twin
    };
    assert_eq!(refused(internal, twin), Some((2, 3)));
}

#[test]
fn hold_time_1_and_2_or_below_our_minimum_is_2_6() {
    for hold_time_s in [1, 2] {
        let mut open = remote_open().to_bytes().to_vec();
        open[22..24].copy_from_slice(&[0, hold_time_s]);
        assert_eq!(code(answer(config(), &open)), Some((2, 6)));
    }
    let strict = PeerConfig {
        hold_time_min_s: 30,
        ..config()
    };
    let open = |hold_time_s| Open {
        hold_time_s,
        ..remote_open()
    };
    assert_eq!(refused(strict.clone(), open(29)), Some((2, 6)));
    assert_eq!(refused(strict.clone(), open(30)), None);
    assert_eq!(
        refused(strict, open(0)),
        None,
        "zero means no keepalives, not short ones"
    );
}

#[test]
fn required_capability_missing_is_2_7_with_the_capability_as_data_rfc5492_5() {
    let strict = PeerConfig {
        required_capabilities: vec![65],
        ..config()
    };
    let bare = Open {
        capabilities: vec![],
        ..remote_open()
    };
    let n = answer(strict.clone(), &bare.to_bytes()).expect("refused");
    assert_eq!((n.code, n.subcode), (2, 7));
    assert_eq!(n.data.as_ref(), [65, 4, 0, 0, 0xfc, 0]);
    assert_eq!(refused(strict, remote_open()), None);
    assert_eq!(
        refused(config(), bare),
        None,
        "two-octet speakers are welcome, RFC 6793 §4.1"
    );
}

#[test]
fn no_family_in_common_is_2_7_with_ours_as_data() {
    let mut v6_only = config();
    v6_only.offer.families = [false, true];
    let n = answer(v6_only, &remote_open().to_bytes()).expect("refused");
    assert_eq!(
        (n.code, n.subcode, n.data.as_ref()),
        (2, 7, &[1, 4, 0, 2, 0, 1][..])
    );
}

#[test]
fn roles_must_fit_rfc9234_4_2() {
    let cases = [
        // ours, theirs, strict, accepted
        (Some(Role::Customer), Some(Role::Provider), false, true),
        (Some(Role::Customer), Some(Role::Customer), false, false),
        (Some(Role::Peer), Some(Role::Peer), true, true),
        (Some(Role::Peer), Some(Role::Unknown(9)), false, false),
        (Some(Role::Peer), None, false, true),
        (Some(Role::Peer), None, true, false),
        (None, Some(Role::Provider), true, true),
    ];
    for (ours, theirs, role_strict, accepted) in cases {
        let mut config = PeerConfig {
            role_strict,
            ..config()
        };
        config.offer.role = ours;
        let mut open = remote_open();
        open.capabilities.extend(theirs.map(Capability::Role));
        let expected = (!accepted).then_some((2, 11));
        assert_eq!(
            refused(config, open),
            expected,
            "{ours:?} {theirs:?} {role_strict}"
        );
    }
    let mut config = config();
    config.offer.role = Some(Role::Peer);
    let mut open = remote_open();
    open.capabilities
        .extend([Role::Peer, Role::Provider].map(Capability::Role));
    assert_eq!(refused(config, open), Some((2, 11)), "conflicting roles");
}

#[test]
fn roles_are_an_affair_of_ebgp_rfc9234_4_1() {
    let mut internal = PeerConfig {
        remote_asn: AsnRule::Internal,
        ..config()
    };
    internal.offer.role = Some(Role::Provider);
    internal.role_strict = true;
    let capabilities = vec![Capability::FourOctetAs(LOCAL_ASN)];
    let open = Open {
        asn: LOCAL_ASN,
        capabilities,
        ..remote_open()
    };
    assert_eq!(refused(internal, open), None);
}

#[test]
fn malformed_parameters_are_2_0_and_unknown_ones_2_4() {
    let mut open = remote_open().to_bytes().to_vec();
    open[28] += 1;
    assert_eq!(code(answer(config(), &open)), Some((2, 0)));
    let mut open = remote_open().to_bytes().to_vec();
    open[29] = 1;
    assert_eq!(code(answer(config(), &open)), Some((2, 4)));
}

#[test]
fn our_open_offers_what_is_configured_and_nothing_else() {
    let mut full = config();
    full.offer.families = [true, true];
    full.offer.extended_next_hop = true;
    full.offer.add_path = [
        AddPathOffer::default(),
        AddPathOffer {
            receive: true,
            send: false,
        },
    ];
    full.offer.role = Some(Role::Customer);
    full.offer.fqdn = Some(("node1".to_owned(), String::new()));
    full.offer.graceful_restart = Some(GracefulRestartOffer {
        restart_time_s: 5000,
        restarting: true,
        notification: true,
        families: [Some(true), None],
    });
    let codes = |config: &PeerConfig| {
        let open = open::build(config);
        let decoded = Open::decode(&open.to_bytes()[19..]).expect("our own");
        assert_eq!(decoded, open);
        open.capabilities
            .iter()
            .map(Capability::code)
            .collect::<Vec<_>>()
    };
    assert_eq!(codes(&full), [1, 1, 2, 5, 6, 9, 64, 65, 69, 70, 73]);
    let restart = open::build(&full)
        .graceful_restart()
        .cloned()
        .expect("offered");
    assert_eq!(
        (restart.restart_time_s, restart.families.len()),
        (4095, 1),
        "twelve bits"
    );
    let mut bare = config();
    bare.offer.four_octet_as = false;
    bare.offer.route_refresh = false;
    bare.offer.enhanced_refresh = false;
    bare.offer.extended_messages = false;
    assert_eq!(codes(&bare), [1]);
}

#[test]
fn open_is_refused_in_full_before_any_collision_is_decided() {
    let (mut bench, conn) = Bench::dialled(config(), State::OpenConfirm);
    let second = bench.accept();
    let wrong = Open {
        asn: 1,
        router_id: high_id(),
        ..remote_open()
    };
    bench.frame(second, &wrong.to_bytes());
    assert!(bench.closed(second) && !bench.closed(conn));
    assert_eq!(bench.peer.state(), State::OpenConfirm);
}
