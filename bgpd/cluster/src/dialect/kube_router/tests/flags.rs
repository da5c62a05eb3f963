//! Every flag, and every way to write one.

use super::super::flags::{Flags, Reading, RouterId, Verdict};
use super::super::rows::{ROWS, Take};

fn read(line: &str) -> (Flags, Vec<Reading>) {
    let words: Vec<&str> = line.split_whitespace().collect();
    Flags::parse(&words)
}

fn refused(readings: &[Reading]) -> Vec<String> {
    let text = |reading: &Reading| match &reading.verdict {
        Verdict::Refused(text) => Some(format!("{}: {text}", reading.word)),
        _ => None,
    };
    readings.iter().filter_map(text).collect()
}

/// The flags of a line that must be good.
fn good(line: &str) -> Flags {
    let (flags, readings) = read(line);
    assert_eq!(refused(&readings), Vec::<String>::new(), "{line}");
    flags
}

#[test]
fn the_table_is_sorted_and_free_of_doubles() {
    let names: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
    assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
}

#[test]
fn nothing_at_all_is_kube_routers_defaults() {
    let flags = good("");
    assert!(flags.run_router && flags.ibgp && flags.full_mesh && flags.advertise_pod_cidr);
    assert!(!flags.advertise_cluster_ip && !flags.graceful_restart && !flags.override_nexthop);
    assert_eq!(flags.cluster_asn, 64512);
    assert_eq!(flags.hold_time.as_secs(), 90);
    assert_eq!(flags.port, 179);
}

type Check = fn(&Flags) -> bool;

/// What a line is, and what it changes.
const TABLE: &[(&str, Check)] = &[
    ("--advertise-cluster-ip", |f| f.advertise_cluster_ip),
    ("--advertise-external-ip=true", |f| f.advertise_external_ip),
    ("--advertise-loadbalancer-ip=1", |f| {
        f.advertise_loadbalancer_ip
    }),
    ("--advertise-pod-cidr=false", |f| !f.advertise_pod_cidr),
    ("--run-router=False", |f| !f.run_router),
    ("--enable-ibgp=f", |f| !f.ibgp),
    ("--nodes-full-mesh=0", |f| !f.full_mesh),
    ("--cluster-asn=65001", |f| f.cluster_asn == 65001),
    ("--cluster-asn 4200000001", |f| {
        f.cluster_asn == 4_200_000_001
    }),
    ("--peer-router-multihop-ttl=5", |f| {
        f.multihop_ttl == Some(5)
    }),
    ("--peer-router-multihop-ttl=1", |f| f.multihop_ttl.is_none()),
    ("--bgp-graceful-restart", |f| f.graceful_restart),
    ("--bgp-graceful-restart-time=2m", |f| {
        f.restart_time.as_secs() == 120
    }),
    ("--bgp-holdtime=1h30m", |f| f.hold_time.as_secs() == 5400),
    ("--bgp-port 1179", |f| f.port == 1179),
    ("--router-id=10.0.0.1", |f| {
        f.router_id == RouterId::Given([10, 0, 0, 1].into())
    }),
    ("--router-id=generate", |f| {
        f.router_id == RouterId::Generate
    }),
    ("--override-nexthop", |f| f.override_nexthop),
    ("--enable-overlay=false", |f| !f.overlay),
    ("--overlay-type=full", |f| f.overlay_full),
    ("--overlay-encap=fou", |f| f.overlay_fou),
    ("--enable-bfd", |f| f.bfd),
    ("--bfd-desired-min-tx-interval=300", |f| {
        f.bfd_transmit.as_millis() == 300
    }),
    ("--bfd-required-min-rx-interval=400", |f| {
        f.bfd_receive.as_millis() == 400
    }),
    ("--bfd-detection-multiplier=5", |f| f.bfd_multiplier == 5),
    ("--bfd-port=3784", |f| !f.bfd),
    ("--enable-ipv4=false", |f| !f.ipv4),
    ("--enable-ipv6", |f| f.ipv6),
    ("--cluster-cidr=10.244.0.0/16", |f| f.pod_cidrs.len() == 1),
    ("--service-cluster-ip-range=10.96.0.0/12,fd00::/108", |f| {
        f.service_cidrs.len() == 2
    }),
    ("--service-external-ip-range=192.0.2.7/24", |f| {
        f.external_ranges == ["192.0.2.0/24".parse().expect("a range")]
    }),
    (
        "--loadbalancer-ip-range=192.0.2.0/25 --loadbalancer-ip-range=192.0.2.128/25",
        |f| f.load_balancer_ranges.len() == 2,
    ),
    ("--strict-external-ip-validation=false", |f| {
        f.strict == Some(false) && f.external_ranges().len() == 2
    }),
    ("--loadbalancer-default-class=false", |f| !f.default_class),
    ("--hostname-override=n7", |f| {
        f.node_name.as_deref() == Some("n7")
    }),
    ("--kubeconfig /etc/k", |f| {
        f.kubeconfig.as_deref() == Some("/etc/k")
    }),
    ("--metrics-port=8080 --metrics-addr=127.0.0.1", |f| {
        f.metrics_port == 8080 && f.metrics_address.is_some()
    }),
    ("--peer-router-passwords-file=/p", |f| {
        f.passwords_file.is_some()
    }),
    (
        "--peer-router-ips=\"10.0.0.1,fd00::1\" --peer-router-asns 65000,65001 \
             --peer-router-ports=179,1179 --peer-router-passwords=U2VjcmV0,",
        |f| {
            f.peers.len() == 2
                && f.peers[1].asn == 65001
                && f.peers[1].port == Some(1179)
                && f.peers[0]
                    .password
                    .as_ref()
                    .is_some_and(|it| it.key == b"Secret")
                && f.peers[1].password.is_none()
        },
    ),
];

#[test]
fn each_row_changes_what_it_says() {
    for (line, check) in TABLE {
        assert!(check(&good(line)), "{line}");
    }
    // A row without a line above is one that is not ours.
    for row in ROWS {
        let flag = format!("--{}", row.name);
        let names = |line: &&str| {
            line.split_whitespace()
                .any(|word| word.split('=').next() == Some(&*flag))
        };
        let is_tested = TABLE.iter().any(|(line, _)| names(line));
        let is_foreign = matches!(row.take, Take::NotASwitch(_) | Take::NotAValue(_));
        assert!(is_tested != is_foreign, "{flag}");
    }
}

#[test]
fn what_is_not_ours_is_ignored_with_its_reason() {
    for row in ROWS {
        let line = match row.take {
            Take::NotASwitch(_) => format!("--{}=true --enable-ibgp=false", row.name),
            Take::NotAValue(_) => format!("--{} $(X) --enable-ibgp=false", row.name),
            _ => continue,
        };
        let (flags, readings) = read(&line);
        assert_eq!(readings.len(), 2, "{line}");
        assert!(matches!(readings[0].verdict, Verdict::Ignored(_)), "{line}");
        assert!(!flags.ibgp, "the next flag of {line} was eaten");
    }
    assert_eq!(read("-v 2 -v=3 -v4 --v=5").1.len(), 4);
}

#[test]
fn what_stops_kube_router_is_refused_with_a_cure() {
    for (line, text) in [
        ("--cluster-asn=65000000", "is not private"),
        ("--peer-router-ips=10.0.0.1", "0 for 1 in --peer-router-ips"),
        ("--peer-router-ips=<CHANGE", "`<CHANGE` is not an address"),
        (
            "--peer-router-asns=23456 --peer-router-ips=10.0.0.1",
            "AS 23456 is reserved",
        ),
        (
            "--peer-router-ips=10.0.0.1 --peer-router-asns=1 --peer-router-ports=1,2",
            "2 for 1",
        ),
        (
            "--peer-router-ips=10.0.0.1 --peer-router-asns=1 --peer-router-passwords=a,b",
            "2 passwords for 1",
        ),
        ("--bgp-holdtime=2s", "3s at least"),
        ("--bgp-holdtime=90", "is not a time"),
        ("--bgp-port=0", "port 0"),
        ("--router-id=::1", "an IPv4 address, or generate"),
        ("--overlay-encap=vxlan", "ipip or fou"),
        ("--enable-ibgp=no", "neither true nor false"),
        ("--enable-ibgp false", "write --flag=false"),
        (
            "--advertise_cluster_ip",
            "did you mean --advertise-cluster-ip?",
        ),
        ("--peer-router-asn=1", "did you mean --peer-router-asns?"),
        ("--no-such", "no such flag"),
        ("--bgp-port", "its value is missing"),
        ("--router-id=$(NODE_IP)", "put in by the kubelet"),
        ("--bfd-port=3785", "is on 3784"),
        ("word", "not a flag"),
    ] {
        let faults = refused(&read(line).1);
        assert!(
            faults.iter().any(|it| it.contains(text)),
            "{line}: {faults:?}"
        );
    }
}

#[test]
fn passwords_are_never_told() {
    let secret = "U2VjcmV0";
    let line =
        format!("--peer-router-ips=10.0.0.1 --peer-router-asns=1 --peer-router-passwords={secret}");
    let (flags, readings) = read(&line);
    let told = format!("{flags:?} {readings:?}");
    assert!(
        !told.contains(secret) && !told.contains("Secret(\""),
        "{told}"
    );
    assert!(told.contains("--peer-router-passwords=***"));
    let (_, readings) =
        read("--peer-router-ips=10.0.0.1 --peer-router-asns=1 --peer-router-passwords pw");
    let told = format!("{readings:?}");
    assert!(
        !told.contains("pw\"") && told.contains("not base64"),
        "{told}"
    );
}

#[test]
fn passwords_of_a_file_are_those_of_the_flag() {
    let mut flags = good("--peer-router-ips=10.0.0.1,10.0.0.2 --peer-router-asns=1,2");
    flags.set_passwords(",U2VjcmV0\n").expect("one for each");
    assert!(flags.peers[0].password.is_none());
    assert!(flags.peers[1].password.is_some());
    assert!(flags.set_passwords("U2VjcmV0").is_err(), "one for two");
}

/// Each argument of the manifests that kube-router ships has a verdict.
#[test]
fn the_manifests_of_kube_router() {
    let shared = std::env::var("WAYFARE_SHARED")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared").to_owned());
    let folder = format!("{shared}/data/k8s/cloudnativelabs+kube-router/daemonset");
    let Ok(folder) = std::fs::read_dir(&folder) else {
        eprintln!("SKIPPED the_manifests_of_kube_router: no {folder}");
        return;
    };
    let mut files = 0;
    for file in folder.flatten() {
        let text = std::fs::read_to_string(file.path()).expect("readable");
        let args = text.lines().filter_map(|line| {
            let word = line.trim_start().strip_prefix("- ")?.trim_matches('"');
            word.starts_with("--").then_some(word)
        });
        let args: Vec<&str> = args.collect();
        let (_, readings) = Flags::parse(&args);
        let name = file.file_name().into_string().expect("a name");
        let open: Vec<String> = refused(&readings)
            .into_iter()
            .filter(|text| !text.contains("CHANGE ME"))
            .collect();
        assert_eq!(open, Vec::<String>::new(), "{name}");
        assert!(!args.is_empty() && readings.len() >= args.len(), "{name}");
        files += 1;
    }
    assert_eq!(files, 12);
}

#[test]
fn what_a_blank_cuts_off_a_password_list_is_covered() {
    let line = "--peer-router-ips=10.0.0.1,10.0.0.2 --peer-router-asns=1,2 \
                --peer-router-passwords=U2VjcmV0, T3RoZXI=";
    let told = format!("{:?}", read(line).1);
    assert!(!told.contains("T3RoZXI") && told.contains("***"), "{told}");
}
