//! The list of cases.
//!
//! The input of a case is that of its directory, where not said otherwise, and after it what
//! `more` adds: Calico's driver changes objects between the steps of a case by hand. Blocks are
//! written by the driver too, the same in every case but for some without any: they stand in
//! `BLOCKS`.

/// A case.
pub struct Case {
    /// Its directory under `compiled_templates`.
    pub name: &'static str,
    /// Its manifests under `mock_data/calicoctl`, if they lie elsewhere.
    pub inputs: &'static [&'static str],
    /// Further objects.
    pub more: &'static str,
    /// Differences on purpose: a part of the text, and why.
    pub differs: &'static [(&'static str, &'static str)],
}

/// Blocks of the node of every case with IPv4, as the driver writes them.
pub const BLOCKS: [(&str, &str); 7] = [
    ("10.0.0.0/30", ""),
    ("10.1.0.0/24", ""),
    ("10.2.0.1/32", ""),
    ("192.168.221.192/26", ""),
    ("192.168.221.64/26", "confirmed"),
    ("192.168.221.128/26", "pending"),
    ("192.168.222.0/26", "pendingDeletion"),
];

/// Configurations whose objects are not in the data.
pub const WITHOUT_INPUT: [(&str, &str); 3] = [
    ("explicit_peering/local_bgp_peer", "pods as neighbors"),
    ("sourceaddr_gracefulrestart/step1", "only the configuration"),
    ("sourceaddr_gracefulrestart/step3", "only the configuration"),
];

const fn case(name: &'static str) -> Case {
    Case {
        name,
        inputs: &[],
        more: "",
        differs: &[],
    }
}

const fn on(name: &'static str, inputs: &'static [&'static str], more: &'static str) -> Case {
    Case {
        name,
        inputs,
        more,
        differs: &[],
    }
}

impl Case {
    const fn but(mut self, differs: &'static [(&'static str, &'static str)]) -> Self {
        self.differs = differs;
        self
    }
}

const NO_PASSWORD: &str = "without the password that is asked for, the session stays down";
const NO_SUBNET: &str = "a node without an address has no routes of pools to leave to Felix";
const ONE_SESSION: &str = "an address has one session, whatever its ports";

/// All of them.
pub const CASES: &[Case] = &[
    case("bgpfilter/as_path_and_priority"),
    case("bgpfilter/communities_and_operations"),
    case("bgpfilter/export_only/explicit_peer"),
    case("bgpfilter/export_only/global_peer"),
    case("bgpfilter/large_community"),
    case("bgpfilter/match_interface"),
    case("bgpfilter/match_operators"),
    case("bgpfilter/multi_filter/explicit_peer"),
    case("bgpfilter/multi_filter/global_peer"),
    case("bgpfilter/node_mesh"),
    on(
        "bgpfilter/node_mesh/priority1",
        &["bgpfilter/node_mesh"],
        "",
    ),
    on(
        "bgpfilter/node_mesh/priority2",
        &["bgpfilter/node_mesh"],
        PRIORITY_V4,
    ),
    on(
        "bgpfilter/node_mesh/priority3",
        &["bgpfilter/node_mesh"],
        PRIORITY_BOTH,
    ),
    case("bgpfilter/single_filter/explicit_peer"),
    case("bgpfilter/single_filter/global_peer"),
    case("cluster_routes/default"),
    case("cluster_routes/ipip-only"),
    case("explicit_peering/global").but(&[("10.192.0.1 port 166", ONE_SESSION)]),
    case("explicit_peering/global-external").but(&[("10.192.0.4 port 166", ONE_SESSION)]),
    case("explicit_peering/keepnexthop-global"),
    case("explicit_peering/local-as-global").but(&[("10.192.0.1 port 166", ONE_SESSION)]),
    case("explicit_peering/route_reflector_v6_by_ip"),
    case("explicit_peering/specific_node"),
    case("felix_cluster_routing"),
    case("ignored_interfaces"),
    case("mesh/communities"),
    on(
        "mesh/communities/step2",
        &["mesh/communities", "mesh/communities/step2"],
        "",
    ),
    case("mesh/ipip-cross-subnet"),
    case("mesh/ipip-off"),
    case("mesh/restart-time"),
    on(
        "mesh/restart-time/pcr-disabled",
        &["mesh/restart-time"],
        DISABLED,
    ),
    on(
        "mesh/restart-time/pcr-enabled",
        &["mesh/restart-time"],
        ENABLED,
    ),
    on(
        "mesh/restart-time/pcr-ipip-only",
        &["mesh/restart-time"],
        IPIP_ONLY,
    ),
    case("mesh/static-routes-exclude-node"),
    on(
        "mesh/static-routes-exclude-node/step2",
        &[
            "mesh/static-routes-exclude-node",
            "mesh/static-routes-exclude-node/step2",
        ],
        "",
    ),
    case("mesh/static-routes-no-ipv4-address").but(&[
        ("kernel 192.168.", NO_SUBNET),
        ("discard false, expected true", NO_SUBNET),
    ]),
    on("password/step2", &["password"], PASSWORD_B).but(&[
        ("10.24.0.2: password", NO_PASSWORD),
        ("10.24.10.10: password", NO_PASSWORD),
    ]),
    on("password/step3", &["password"], PASSWORDS),
    on("password/step4", &["password"], PASSWORDS_AB)
        .but(&[("10.24.10.10: password", NO_PASSWORD)]),
    on("password/step5", &["password"], NEW_PASSWORDS)
        .but(&[("10.24.10.10: password", NO_PASSWORD)]),
    case("reachable_by/route_reflectors"),
    case("reverse_peering/auto"),
    case("ttl_security/explicit_node"),
    case("ttl_security/global"),
];

const PRIORITY_V4: &str = r#"
apiVersion: projectcalico.org/v3
kind: BGPConfiguration
metadata: { name: default }
spec: { nodeToNodeMeshEnabled: true, ipv4NormalRoutePriority: 5000 }
"#;

const PRIORITY_BOTH: &str = r#"
apiVersion: projectcalico.org/v3
kind: BGPConfiguration
metadata: { name: default }
spec: { nodeToNodeMeshEnabled: true, ipv4NormalRoutePriority: 5000, ipv6NormalRoutePriority: 80 }
"#;

const DISABLED: &str = r#"
apiVersion: projectcalico.org/v3
kind: BGPConfiguration
metadata: { name: default }
spec: { nodeMeshMaxRestartTime: 10s, programClusterRoutes: Disabled }
"#;

const ENABLED: &str = r#"
apiVersion: projectcalico.org/v3
kind: BGPConfiguration
metadata: { name: default }
spec: { nodeMeshMaxRestartTime: 10s, programClusterRoutes: Enabled }
"#;

const IPIP_ONLY: &str = r#"
apiVersion: projectcalico.org/v3
kind: BGPConfiguration
metadata: { name: default }
spec: { nodeMeshMaxRestartTime: 10s, programClusterRoutes: EnabledIPIPOnly }
"#;

const PASSWORD_B: &str = r#"
apiVersion: v1
kind: Secret
metadata: { name: my-secrets-1, namespace: kube-system }
stringData: { b: password-b }
"#;

const PASSWORDS: &str = r#"
apiVersion: v1
kind: Secret
metadata: { name: my-secrets-1, namespace: kube-system }
stringData: { a: password-a, b: password-b }
---
apiVersion: v1
kind: Secret
metadata: { name: my-secrets-2, namespace: kube-system }
stringData: { c: password-c }
"#;

const PASSWORDS_AB: &str = r#"
apiVersion: v1
kind: Secret
metadata: { name: my-secrets-1, namespace: kube-system }
stringData: { a: password-a, b: password-b }
"#;

const NEW_PASSWORDS: &str = r#"
apiVersion: v1
kind: Secret
metadata: { name: my-secrets-1, namespace: kube-system }
stringData: { a: new-password-a, b: new-password-b }
"#;
