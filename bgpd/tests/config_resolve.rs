//! What a file resolves to: defaults, inheritance, mesh, and a file of ten thousand neighbors.
//!
//! The machine is a made-up one with eth0, 10.0.0.11 and 2001:db8::11, unless a test needs another.
//! Defaults are spelled out here as in the reference: changing one is a change for every user.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use bgpd::config::{
    self, AddPath, AsnRule, Bfd, Config, GracefulRestart, Host, HostAddress, Loaded, Neighbor,
    NeighborAddress, NeighborOrigin, PolicyRef, PoolAdvertise, Role,
};
use rib::policy::{NextHopAction, PrefixMatch, RpkiState, Then};

fn addr(text: &str) -> IpAddr {
    text.parse().expect("address")
}

fn host(addresses: &[(&str, &str)]) -> Host {
    let one = |(interface, text): &(&str, &str)| HostAddress {
        interface: (*interface).to_owned(),
        loopback: *interface == "lo",
        address: addr(text),
    };
    Host {
        addresses: addresses.iter().map(one).collect(),
        node_name: "node1".into(),
        cores: 2,
    }
}

fn eth0() -> Host {
    host(&[
        ("lo", "127.0.0.1"),
        ("eth0", "10.0.0.11"),
        ("eth0", "2001:db8::11"),
    ])
}

fn load(text: &str, host: &Host) -> Loaded {
    config::parse("bgpd.toml", text, host).unwrap_or_else(|faults| panic!("{faults}"))
}

fn parse(text: &str) -> Config {
    load(&format!("[router]\nasn = 64512\n{text}"), &eth0()).config
}

fn neighbor<'c>(config: &'c Config, text: &str) -> &'c Neighbor {
    let wanted = Some(addr(text));
    config
        .neighbors
        .iter()
        .find(|n| n.address.addr() == wanted)
        .expect("a neighbor")
}

#[test]
fn an_almost_empty_file_has_the_documented_defaults() {
    let config = parse("");
    assert_eq!(config.router.router_id.to_string(), "10.0.0.11");
    assert_eq!(config.router.cluster_id, config.router.router_id);
    assert_eq!(
        config.router.listen,
        ["0.0.0.0:179", "[::]:179"].map(|s| s.parse().expect("s"))
    );
    assert_eq!(config.router.default_local_pref, 100);
    assert!(!config.router.multipath_relax);
    assert!(
        config.kernel.is_none(),
        "nothing is written without [kernel]"
    );
    assert_eq!(config.engine.threads, 1);
    let kernel = parse("[kernel]").kernel.expect("a kernel");
    assert_eq!(
        (
            kernel.table,
            kernel.metric,
            kernel.multipath,
            kernel.protocol
        ),
        (254, 20, 64, 186)
    );
}

#[test]
fn a_neighbor_has_the_documented_defaults() {
    let config = parse("[[neighbor]]\naddress = \"10.0.0.1\"\nasn = 64500");
    let settings = &config.neighbors[0].settings;
    assert_eq!(settings.asn, AsnRule::Exact(64500));
    assert!(!settings.internal && settings.enforce_first_as && settings.reject_as_sets);
    assert_eq!(
        settings.families,
        [true, false],
        "the family of its address"
    );
    assert_eq!(
        (settings.port, settings.passive, settings.shutdown),
        (179, false, false)
    );
    assert_eq!(settings.hold_time, Duration::from_secs(90));
    assert_eq!(settings.keepalive, Duration::from_secs(30));
    assert_eq!(settings.connect_retry, Duration::from_secs(5));
    assert_eq!(settings.graceful_restart, GracefulRestart::Helper);
    assert_eq!(settings.graceful_restart_time, Duration::from_secs(120));
    assert_eq!(settings.add_path, AddPath::default());
    assert!(!settings.extended_next_hop);
    // RFC 8212: an eBGP neighbor without policy exchanges nothing.
    assert_eq!(
        (&settings.import, &settings.export),
        (&PolicyRef::Missing, &PolicyRef::Missing)
    );
    assert_eq!(settings.import.name(), "reject-all");
    let config = parse("[[neighbor]]\naddress = \"2001:db8::1\"\nasn = \"internal\"");
    let settings = &config.neighbors[0].settings;
    assert_eq!(settings.families, [false, true]);
    assert!(settings.extended_next_hop && settings.internal && !settings.enforce_first_as);
    assert_eq!(settings.import.name(), "accept-all");
}

#[test]
fn the_router_id_is_the_highest_of_the_loopback_or_else_of_the_first_interface() {
    for (addresses, expected) in [
        (
            &[
                ("lo", "127.0.0.1"),
                ("eth0", "10.0.0.9"),
                ("eth0", "10.0.0.11"),
            ][..],
            "10.0.0.11",
        ),
        (
            &[
                ("lo", "10.255.0.1"),
                ("lo", "10.255.0.7"),
                ("eth0", "192.168.0.1"),
            ],
            "10.255.0.7",
        ),
        (
            &[
                ("eth0", "169.254.1.1"),
                ("eth1", "10.0.0.3"),
                ("eth2", "172.16.0.1"),
            ],
            "10.0.0.3",
        ),
    ] {
        let loaded = load("[router]\nasn = 1", &host(addresses));
        assert_eq!(loaded.config.router.router_id.to_string(), expected);
    }
    let none = config::parse("bgpd.toml", "[router]\nasn = 1", &Host::default());
    let faults = none.expect_err("nothing to take it from");
    assert!(faults.to_string().contains("write router-id"), "{faults}");
}

#[test]
fn a_group_gives_what_the_neighbor_does_not_say() {
    let config = parse(
        r#"
        [[peer-group]]
        name = "tor"
        asn = 64500
        hold-time = "9s"
        families = ["ipv4-unicast", "ipv6-unicast"]
        import = "accept-all"
        next-hop = ["10.0.0.11", "2001:db8::11"]

        [[neighbor]]
        address = "10.0.0.1"
        peer-group = "tor"

        [[neighbor]]
        address = "10.0.0.2"
        peer-group = "tor"
        asn = 64501
        hold-time = "30s"
        families = "ipv6-unicast"
        "#,
    );
    let first = neighbor(&config, "10.0.0.1");
    assert_eq!(first.peer_group.as_deref(), Some("tor"));
    assert_eq!(first.settings.asn, AsnRule::Exact(64500));
    assert_eq!(first.settings.hold_time, Duration::from_secs(9));
    assert_eq!(first.settings.keepalive, Duration::from_secs(3));
    assert_eq!(first.settings.families, [true, true]);
    assert_eq!(
        first.settings.next_hop_v4.map(IpAddr::from),
        Some(addr("10.0.0.11"))
    );
    assert_eq!(
        first.settings.next_hop_v6.map(IpAddr::from),
        Some(addr("2001:db8::11"))
    );
    let second = neighbor(&config, "10.0.0.2");
    assert_eq!(second.settings.asn, AsnRule::Exact(64501));
    assert_eq!(second.settings.hold_time, Duration::from_secs(30));
    assert_eq!(
        second.settings.families,
        [false, true],
        "a list is replaced, not merged"
    );
    assert_eq!(second.settings.import.name(), "accept-all");
}

#[test]
fn mesh_members_become_neighbors_and_this_node_does_not() {
    let config = parse(
        r#"
        [[peer-group]]
        name = "nodes"
        hold-time = "9s"

        [mesh]
        members = ["10.0.0.11", "10.0.0.12", "10.0.0.13", "2001:db8::12", "2001:db8::11"]
        peer-group = "nodes"

        [[neighbor]]
        address = "10.0.0.13"
        asn = "internal"
        passive = true
        "#,
    );
    let list: Vec<String> = config
        .neighbors
        .iter()
        .map(|n| n.address.to_string())
        .collect();
    assert_eq!(
        list,
        ["10.0.0.13", "10.0.0.12", "2001:db8::12"],
        "a block of its own goes first"
    );
    let own_block = neighbor(&config, "10.0.0.13");
    assert_eq!(own_block.origin, NeighborOrigin::Configured);
    assert!(own_block.settings.passive);
    let member = neighbor(&config, "10.0.0.12");
    assert_eq!(member.origin, NeighborOrigin::Mesh);
    assert!(member.settings.internal);
    assert_eq!(member.settings.hold_time, Duration::from_secs(9));
    assert_eq!(
        member.settings.local_address,
        Some(addr("10.0.0.11")),
        "as the others expect it"
    );
    let v6 = neighbor(&config, "2001:db8::12");
    assert_eq!(v6.settings.local_address, Some(addr("2001:db8::11")));
}

#[test]
fn a_range_makes_neighbors_that_never_dial() {
    let config = parse("[[listen-range]]\nprefix = \"10.1.0.0/24\"\nasn = \"external\"");
    let range = &config.listen_ranges[0];
    assert_eq!(range.max_neighbors, 256);
    let dynamic = range.neighbor(addr("10.1.0.7"));
    assert_eq!(dynamic.origin, NeighborOrigin::Dynamic);
    assert_eq!(dynamic.address, NeighborAddress::Address(addr("10.1.0.7")));
    assert!(dynamic.settings.passive && !dynamic.settings.internal);
}

#[test]
fn a_link_local_neighbor_keeps_its_interface() {
    let loaded = load(
        "[router]\nasn = 1\n[[neighbor]]\naddress = \"fe80::1\"\ninterface = \"eth0\"\n\
         asn = \"internal\"",
        &eth0(),
    );
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    assert_eq!(
        loaded.config.neighbors[0].address.to_string(),
        "fe80::1%eth0"
    );
}

#[test]
fn a_rule_may_name_a_group_and_never_turns_into_a_rule_for_everybody() {
    let config = parse(
        r#"
        [[policy]]
        name = "p"
        rules = [
          { match = { neighbor = "tor" }, then = "accept" },
          { match = { neighbor = "none" }, then = "accept" },
          { match = { prefix = "10.0.0.0/8 ge 16" }, set.next-hop = "10.0.0.1", then = "next" },
        ]
        [[peer-group]]
        name = "tor"
        asn = "internal"
        [[peer-group]]
        name = "none"
        [[neighbor]]
        address = "10.0.0.1"
        peer-group = "tor"
        [[neighbor]]
        address = "10.0.0.2"
        peer-group = "tor"
        "#,
    );
    let rules = &config.policies[0].rules;
    assert_eq!(
        rules[0].matches.neighbor,
        [addr("10.0.0.1"), addr("10.0.0.2")]
    );
    assert_eq!(
        rules[1].matches.neighbor,
        [addr("0.0.0.0")],
        "nobody has this address"
    );
    let net = "10.0.0.0/8".parse().expect("prefix");
    assert_eq!(
        rules[2].matches.prefix,
        [PrefixMatch {
            net,
            ge: Some(16),
            le: None
        }]
    );
    assert_eq!(
        rules[2].set.next_hop,
        Some(NextHopAction::Addr(addr("10.0.0.1")))
    );
    assert_eq!(rules[2].then, Then::Next);
}

/// The whole example of the documented surface, every key with a value of its own.
fn documented() -> Config {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config/good");
    let loaded = config::load(&path.join("everything.toml"), &eth0());
    loaded.unwrap_or_else(|faults| panic!("{faults}")).config
}

#[test]
fn every_documented_key_arrives() {
    let config = documented();
    let rule = &config.policies[0].rules[0];
    assert_eq!(rule.matches.as_path, ["^64500 "]);
    assert_eq!(rule.matches.rpki, Some(RpkiState::Valid));
    assert_eq!(rule.matches.origin_source, ["pool:my-ip-space"]);
    assert_eq!(
        (rule.set.local_pref, rule.set.med, rule.set.prepend),
        (Some(200), Some(10), Some(2))
    );
    assert_eq!(rule.set.next_hop, Some(NextHopAction::SelfAddr));
    let tor = neighbor(&config, "10.0.0.1");
    assert_eq!(tor.settings.families, [true, true]);
    assert_eq!(tor.settings.ttl_security, Some(1));
    assert_eq!(
        tor.settings.ebgp_multihop, None,
        "ttl-security counts the hops"
    );
    assert_eq!(tor.settings.max_prefixes, Some(1000));
    let fifty = Duration::from_millis(50);
    assert_eq!(
        tor.settings.bfd,
        Some(Bfd {
            transmit: fifty,
            receive: fifty,
            multiplier: 3
        })
    );
    let key = tor.settings.password.as_ref().expect("a key");
    assert_eq!(
        key.key, b"secret",
        "the file holds the key alone, and a line end"
    );
    assert!(
        !format!("{tor:?}").contains("115, 101"),
        "a key is never shown"
    );
}

#[test]
fn every_documented_origin_arrives() {
    let config = documented();
    assert_eq!(config.listen_ranges[0].peer_group.as_deref(), Some("nodes"));
    assert_eq!(config.advertise[0].marks.communities, [64512 << 16 | 10]);
    let pool = &config.pools[0];
    assert_eq!(
        pool.ranges
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["172.40.100.0/24", "10.0.50.25-10.0.50.50"]
    );
    assert_eq!(
        (pool.aggregation_length, pool.aggregation_length_v6),
        (32, 128)
    );
    assert_eq!(
        (pool.marks.local_pref, pool.advertise),
        (Some(150), PoolAdvertise::InUse)
    );
    assert_eq!(
        pool.marks.neighbors.as_deref(),
        Some(&[addr("10.0.0.1")][..])
    );
    let kubernetes = config.kubernetes.expect("asked for");
    use cluster::DialectName::{Calico, KubeRouter, Metallb, Native};
    assert_eq!(
        kubernetes.options.dialects,
        [Native, Metallb, Calico, KubeRouter]
    );
    assert_eq!(kubernetes.options.pools[0].neighbors, pool.marks.neighbors);
    assert_eq!(
        config.metrics.expect("asked for").compat,
        ["metallb", "frr"]
    );
    assert_eq!(config.engine.threads, 2);
}

#[test]
fn neighbors_of_the_cluster_begin_with_their_group() {
    let config = parse(
        "[[peer-group]]\nname = \"nodes\"\nhold-time = \"9s\"\n\
         [kubernetes]\nfrom = \"dir:///etc/manifests\"\npeer-group = \"nodes\"\n\
         mesh = \"full\"\nexclude-label = \"ignore\"\ncordon = \"withdraw\"\ngate = \"off\"",
    );
    let table = config.kubernetes.expect("asked for");
    let [inside, outside] = [&table.templates.internal[1], &table.templates.external[0]];
    assert_eq!(inside.hold_time, std::time::Duration::from_secs(9));
    assert_eq!(
        (inside.families, outside.families),
        ([false, true], [true, false])
    );
    assert!(inside.internal && !inside.import_guard && outside.import_guard);
    let directory = std::path::PathBuf::from("/etc/manifests");
    assert_eq!(table.from, bgpd::config::ObjectSource::Directory(directory));
    assert!(table.options.cordon_withdraws && table.gate == bgpd::config::GateWord::Off);
    assert_eq!(
        table.options.advertise.len(),
        2,
        "pod CIDRs and load balancers"
    );
}

#[test]
fn roles_are_for_the_relationship_and_a_route_server_is_not_first() {
    let config = parse(
        "[[neighbor]]\naddress = \"10.0.0.1\"\nasn = 64500\nrole = \"rs-client\"\n\
         role-strict = true\nimport = \"accept-all\"\nexport = \"reject-all\"",
    );
    let settings = &config.neighbors[0].settings;
    assert_eq!(settings.role, Some(Role::RouteServerClient));
    assert!(settings.role_strict && !settings.enforce_first_as);
}

/// 82 ms unoptimised on one core; anything quadratic would be noticed by whoever waits for it.
#[test]
fn ten_thousand_neighbors_are_read_at_once() {
    let mut text =
        String::from("[router]\nasn = 64512\n[[peer-group]]\nname = \"n\"\nasn = 64500\n");
    text.push_str("import = \"accept-all\"\nexport = \"accept-all\"\n");
    for index in 0..10_000u32 {
        let address = std::net::Ipv4Addr::from(0x0a01_0000 + index);
        text.push_str(&format!(
            "[[neighbor]]\naddress = \"{address}\"\npeer-group = \"n\"\n"
        ));
        text.push_str("description = \"one of many\"\nhold-time = \"30s\"\n");
    }
    let loaded = load(&text, &eth0());
    assert_eq!(loaded.config.neighbors.len(), 10_000);
}
