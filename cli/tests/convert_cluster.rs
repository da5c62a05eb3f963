//! `wayfare convert` of what runs in a cluster, from the outside: every flag has its verdict, the
//! daemon takes what is written, and no password is told.
//!
//! Our own fixtures hold the exact output (`UPDATE_EXPECT=1` writes it anew). kube-router's own
//! manifests lie beside the checkout; where they are absent, that test is skipped by name.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/convert/cluster")
}

fn directory(name: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("wayfare-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).expect("writable");
    directory
}

/// Runs `convert` where the file is, so that messages have its bare name.
fn convert(file: &Path, options: &[&str]) -> Output {
    convert_from("kube-router", file, options)
}

fn convert_from(format: &str, file: &Path, options: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wayfare"));
    command.current_dir(file.parent().expect("a directory"));
    command.args(["convert", format]);
    command.arg(file.file_name().expect("a name")).args(options);
    command.output().expect("the binary is built")
}

/// The configuration in `output`, judged by the daemon's own reader.
#[track_caller]
fn good(output: &Path) -> bgpd::config::Config {
    let host = bgpd::config::Host {
        addresses: vec![bgpd::config::HostAddress {
            interface: "lo".to_owned(),
            loopback: true,
            address: [10, 0, 0, 1].into(),
        }],
        node_name: "node".to_owned(),
        cores: 1,
    };
    let loaded = bgpd::config::load(&output.join("bgpd.toml"), &host);
    loaded.unwrap_or_else(|faults| panic!("{faults}")).config
}

fn text(octets: Vec<u8>) -> String {
    String::from_utf8(octets).expect("text")
}

#[test]
fn a_manifest_becomes_what_is_expected() {
    let output = directory("kube-router");
    let file = fixtures().join("kube-router.yaml");
    let ran = convert(
        &file,
        &["--force", "--output", output.to_str().expect("a path")],
    );
    let report = text(ran.stderr);
    assert_eq!(ran.status.code(), Some(0), "{report}");
    let config = good(&output);
    let kubernetes = config.kubernetes.expect("a cluster");
    let flags = &kubernetes.options.kube_router;
    assert_eq!(config.router.asn, 64600);
    assert!(flags.advertise_loadbalancer_ip && !flags.full_mesh);
    let keys: Vec<&[u8]> = flags
        .peers
        .iter()
        .filter_map(|peer| peer.password.as_ref().map(|it| it.key.as_slice()))
        .collect();
    assert_eq!(keys, [b"SecretOne", b"SecretTwo"]);
    assert_eq!(kubernetes.options.external_ranges.len(), 1);

    let toml = std::fs::read_to_string(output.join("bgpd.toml")).expect("written");
    let told = format!("{report}{toml}");
    for secret in ["U2VjcmV0", "SecretOne"] {
        assert!(!told.contains(secret), "{told}");
    }
    let lines = report
        .lines()
        .filter(|line| !line.contains("chgrp wayfare"));
    let report: String = lines.map(|line| format!("{line}\n")).collect();
    let found = format!("{report}{toml}");
    let expected = fixtures().join("kube-router.expected");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&expected, &found).expect("writable");
    }
    let wanted = std::fs::read_to_string(&expected).expect("UPDATE_EXPECT=1 writes it");
    assert_eq!(found, wanted);
    std::fs::remove_dir_all(&output).expect("ours");
}

#[test]
fn bare_words_units_and_what_is_no_command_line() {
    let directory = directory("kube-router-words");
    let file = directory.join("words");
    for (words, code, told) in [
        (
            "--cluster-asn 64513 --run-firewall=false",
            0,
            ":1: taken    --cluster-asn=64513",
        ),
        (
            "[Service]\nExecStart=/usr/local/bin/kube-router \\\n  --bgp-port=1790\n",
            0,
            ":3: taken    --bgp-port=1790",
        ),
        ("- --enable-ibgp=false\n", 0, "no sessions between nodes"),
        ("--no-such-flag", 65, "no such flag"),
        ("--run-router=false", 0, "nothing is to convert"),
        ("hello", 65, "no flag of kube-router"),
        ("kind: DaemonSet\nspec: [", 65, "not YAML"),
        (
            "kind: Deployment\nmetadata: {name: web}\n",
            65,
            "no flag of kube-router",
        ),
        (
            "kind: Pod\nspec: {containers: [{name: kube-router, args: [--enable-ibgp=false]}]}\n\
             ---\nkind: Pod\nspec: {containers: [{name: kube-router, args: [-v=1]}]}\n",
            65,
            "a second command line",
        ),
        (
            "--peer-router-ips=$(HOST) --peer-router-asns=1",
            65,
            "put in by the kubelet",
        ),
    ] {
        std::fs::write(&file, words).expect("writable");
        let ran = convert(&file, &[]);
        let report = text(ran.stderr);
        assert_eq!(ran.status.code(), Some(code), "{words}: {report}");
        assert!(report.contains(told), "{words}: {report}");
        if code == 0 {
            std::fs::write(directory.join("bgpd.toml"), ran.stdout).expect("writable");
            good(&directory);
        }
    }
    std::fs::remove_dir_all(&directory).expect("ours");
}

/// Each argument of each manifest that kube-router ships has a verdict, and the daemon takes what
/// comes out.
#[test]
fn the_manifests_of_kube_router() {
    let shared = std::env::var_os("WAYFARE_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    let folder = shared.join("data/k8s/cloudnativelabs+kube-router/daemonset");
    let Ok(files) = std::fs::read_dir(&folder) else {
        eprintln!(
            "SKIPPED the_manifests_of_kube_router: no {}",
            folder.display()
        );
        return;
    };
    let output = directory("kube-router-known");
    for file in files.flatten().map(|entry| entry.path()) {
        let ran = convert(
            &file,
            &["--force", "--output", output.to_str().expect("a path")],
        );
        let report = text(ran.stderr);
        let name = file.display();
        // One of them is a template: `<CHANGE ME>` is refused, and by name.
        let open = report.matches("<CHANGE ME>: it cannot be followed").count();
        assert_eq!(
            ran.status.code(),
            Some(if open > 0 { 65 } else { 0 }),
            "{name}: {report}"
        );
        assert_eq!(
            report.matches(": refused ").count(),
            open,
            "{name}: {report}"
        );
        good(&output);
        let manifest = std::fs::read_to_string(&file).expect("readable");
        let args = manifest.lines().enumerate().filter(|(_, line)| {
            let word = line
                .trim_start()
                .trim_start_matches("- ")
                .trim_start_matches('"');
            word.starts_with("--") && word != "---"
        });
        for (at, line) in args {
            let place = format!(":{}: ", at + 1);
            assert!(report.contains(&place), "{name}: no verdict on {line}");
        }
    }
    std::fs::remove_dir_all(&output).expect("ours");
}

/// Objects stay objects: the file says whose, and each has a verdict by the daemon's own reader.
#[test]
fn objects_are_read_as_the_daemon_reads_them() {
    let directory = directory("objects");
    let file = directory.join("objects.yaml");
    let metallb = r#"
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: { name: tor, namespace: metallb-system }
spec: { myASN: 64513, peerASN: 64500, peerAddress: 192.0.2.1 }
---
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: { name: web, namespace: metallb-system }
spec: { addresses: [nonsense] }
---
apiVersion: apps/v1
kind: DaemonSet
metadata: { name: speaker }
"#;
    let calico = r#"
apiVersion: projectcalico.org/v3
kind: BGPConfiguration
metadata: { name: default }
spec: { asNumber: 64514 }
"#;
    for (format, text, code, asn, told) in [
        (
            "metallb",
            metallb,
            65,
            64513,
            "IPAddressPool metallb-system/web",
        ),
        ("metallb", calico, 0, 64512, "another source's"),
        ("calico", calico, 0, 64514, "the daemon reads it as it is"),
        ("calico", "kind: [", 65, 64512, "not YAML"),
    ] {
        std::fs::write(&file, text).expect("writable");
        let ran = convert_from(format, &file, &["--force", "--output", "."]);
        let report = self::text(ran.stderr);
        assert_eq!(ran.status.code(), Some(code), "{format}: {report}");
        assert!(report.contains(told), "{format}: {report}");
        let config = good(&directory);
        assert_eq!(config.router.asn, asn, "{format}");
        assert_eq!(
            config.kubernetes.expect("a cluster").options.dialects.len(),
            1
        );
    }
    std::fs::remove_dir_all(&directory).expect("ours");
}
