//! kube-proxy's `CategorizeEndpoints`, row by row: which endpoints make an address announced.

use super::cluster::*;
use crate::object::Kind;

struct Row {
    name: &'static str,
    policy: &'static str,
    /// Slices: family and endpoints.
    slices: &'static [(&'static str, &'static [&'static str])],
    /// IPv4 and IPv6 address announced.
    announced: (bool, bool),
}

const fn row(
    name: &'static str,
    policy: &'static str,
    slices: &'static [(&'static str, &'static [&'static str])],
    announced: (bool, bool),
) -> Row {
    Row {
        name,
        policy,
        slices,
        announced,
    }
}

const NONE: (bool, bool) = (false, false);
const V4: (bool, bool) = (true, false);
const V6: (bool, bool) = (false, true);
const BOTH: (bool, bool) = (true, true);

const ROWS: &[Row] = &[
    row("no slices", "Cluster", &[], NONE),
    row("an empty slice", "Cluster", &[("IPv4", &[])], NONE),
    row("ready elsewhere", "Cluster", &[("IPv4", &["n2:ready"])], V4),
    row("ready absent is ready", "Cluster", &[("IPv4", &["n2"])], V4),
    row("not ready", "Cluster", &[("IPv4", &["n2:!ready"])], NONE),
    row(
        "not ready, serving, not terminating",
        "Cluster",
        &[("IPv4", &["n2:!ready:serving"])],
        NONE,
    ),
    row(
        "serving while terminating counts where none is ready",
        "Cluster",
        &[("IPv4", &["n2:!ready:serving:terminating"])],
        V4,
    ),
    row(
        "terminating and no longer serving",
        "Cluster",
        &[("IPv4", &["n2:!ready:!serving:terminating"])],
        NONE,
    ),
    row(
        "serving absent is as ready: a terminating one that is not ready does not serve",
        "Cluster",
        &[("IPv4", &["n2:!ready:terminating"])],
        NONE,
    ),
    row(
        "ready while terminating (publishNotReadyAddresses) is not re-interpreted",
        "Cluster",
        &[("IPv4", &["n2:ready:serving:terminating"])],
        V4,
    ),
    row(
        "family by family: IPv4 endpoints",
        "Cluster",
        &[("IPv4", &["n1"])],
        V4,
    ),
    row(
        "family by family: IPv6 endpoints",
        "Cluster",
        &[("IPv6", &["n1"])],
        V6,
    ),
    row(
        "both families",
        "Cluster",
        &[("IPv4", &["n1"]), ("IPv6", &["n1"])],
        BOTH,
    ),
    row("names never count", "Cluster", &[("FQDN", &["n1"])], NONE),
    row(
        "a hand-written slice without nodes",
        "Cluster",
        &[("IPv4", &["-"])],
        V4,
    ),
    row(
        "Local: a hand-written slice without nodes",
        "Local",
        &[("IPv4", &["-"])],
        NONE,
    ),
    row("Local: ready here", "Local", &[("IPv4", &["n1", "n2"])], V4),
    row(
        "Local: ready elsewhere",
        "Local",
        &[("IPv4", &["n2"])],
        NONE,
    ),
    row(
        "Local: not ready here",
        "Local",
        &[("IPv4", &["n1:!ready", "n2"])],
        NONE,
    ),
    row(
        "Local: the last here serves while it terminates, others elsewhere are ready",
        "Local",
        &[("IPv4", &["n1:!ready:serving:terminating", "n2:ready"])],
        V4,
    ),
    row(
        "Local is independent of the other family",
        "Local",
        &[("IPv4", &["n2"]), ("IPv6", &["n1"])],
        V6,
    ),
    row(
        "several slices of one family add up",
        "Local",
        &[
            ("IPv4", &["n1"]),
            ("IPv4", &["n2"]),
            ("IPv4", &["n3:!ready"]),
        ],
        V4,
    ),
];

#[test]
fn each_row_of_the_rule() {
    for row in ROWS {
        let mut cluster = Cluster::native();
        cluster.put(
            Kind::Service,
            &balanced("web", row.policy, &["192.0.2.1", "2001:db8::1"]),
        );
        for (index, (family, endpoints)) in row.slices.iter().enumerate() {
            let name = format!("web-{index}");
            cluster.put(Kind::EndpointSlice, &slice(&name, "web", family, endpoints));
        }
        let routes = cluster.routes();
        let has = |prefix: &str| routes.iter().any(|route| route.starts_with(prefix));
        let announced = (has("192.0.2.1/32"), has("2001:db8::1/128"));
        assert_eq!(announced, row.announced, "{}", row.name);
    }
}

/// `internalTrafficPolicy` is the cluster address's own key, `externalTrafficPolicy` that of the
/// others.
#[test]
fn each_kind_of_address_has_its_policy() {
    let rows = [
        (
            "Cluster",
            "Cluster",
            "n2",
            "192.0.2.1/32 198.51.100.1/32 10.9.0.1/32",
        ),
        ("Local", "Cluster", "n2", "10.9.0.1/32"),
        ("Cluster", "Local", "n2", "192.0.2.1/32 198.51.100.1/32"),
        ("Local", "Local", "n2", ""),
        (
            "Local",
            "Local",
            "n1",
            "192.0.2.1/32 198.51.100.1/32 10.9.0.1/32",
        ),
    ];
    for (external, internal, node, expected) in rows {
        let mut cluster = Cluster::native();
        cluster.options(|options| {
            options.external_ranges = vec!["198.51.100.0/24".parse().unwrap()];
        });
        let spec = format!(
            r#"{{"type":"LoadBalancer","clusterIPs":["10.9.0.1"],"externalIPs":["198.51.100.1"],
            "externalTrafficPolicy":"{external}","internalTrafficPolicy":"{internal}"}}"#
        );
        let json = service("web", "{}", &spec, r#"[{"ip":"192.0.2.1"}]"#);
        cluster.put(Kind::Service, &json);
        cluster.put(Kind::EndpointSlice, &slice("a", "web", "IPv4", &[node]));
        let routes = cluster.routes();
        let mut expected: Vec<&str> = expected.split_whitespace().collect();
        expected.sort_unstable();
        let mut prefixes: Vec<&str> = routes
            .iter()
            .filter_map(|route| route.split(' ').next())
            .collect();
        prefixes.sort_unstable();
        assert_eq!(
            prefixes, expected,
            "external {external}, internal {internal}, on {node}"
        );
    }
}
