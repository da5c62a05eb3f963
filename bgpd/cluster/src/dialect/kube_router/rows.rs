//! The table of kube-router's flags.
//!
//! One row a flag: where its value goes and what it means here, or why it is not needed. The flags
//! are those of the current version and of older ones whose manifests are still about.

use super::flags::{Draft, Flags, Verdict};
use super::values::{
    address, asn, bfd_port, bounded, cluster_asn, encap, hold_time, list, metrics_address,
    milliseconds, multiplier, number, overlay, port, ranges, router_id, switch, text,
};

/// A flag.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) take: Take,
}

/// What is done with its value.
pub(super) enum Take {
    /// A switch, and what it means when it is on and when it is off.
    Switch(fn(&mut Flags) -> &mut bool, &'static str, &'static str),
    /// A value, and what it means.
    Value(fn(&mut Draft, &str) -> Result<(), String>, &'static str),
    /// `--strict-external-ip-validation`: that it is said counts.
    Strict,
    /// `--peer-router-passwords`.
    Passwords,
    /// A switch that is not ours, and whose it is.
    NotASwitch(&'static str),
    /// A value that is not ours, and whose it is.
    NotAValue(&'static str),
}

const PROXY: &str =
    "of its service proxy; kube-proxy, or kube-router with --run-router=false, does that";
const FIREWALL: &str =
    "of its network policies; kube-router with --run-router=false goes on with them";
const CNI: &str = "of its pod network on the node itself; the CNI plugin does that";
const POLL: &str = "nothing is polled: a change takes effect when it is seen";
const ADMIN: &str = "there is no GoBGP: `wayfare` asks the daemon through its socket";
const HEALTH: &str = "/healthz and /readyz are on the port of [metrics]";

use Take::{NotASwitch, NotAValue, Passwords, Strict, Switch, Value};

/// All flags, by name.
pub(super) const ROWS: &[Row] = &[
    row(
        "advertise-cluster-ip",
        Switch(
            |f| &mut f.advertise_cluster_ip,
            "cluster addresses go to the routers outside",
            "only those of services that are annotated",
        ),
    ),
    row(
        "advertise-external-ip",
        Switch(
            |f| &mut f.advertise_external_ip,
            "external addresses go to the routers outside",
            "only those of services that are annotated",
        ),
    ),
    row(
        "advertise-loadbalancer-ip",
        Switch(
            |f| &mut f.advertise_loadbalancer_ip,
            "load balancer addresses go to the routers outside",
            "only those of services that are annotated",
        ),
    ),
    row(
        "advertise-pod-cidr",
        Switch(
            |f| &mut f.advertise_pod_cidr,
            "pod CIDRs go to the routers outside too",
            "pod CIDRs go to nodes alone",
        ),
    ),
    row("auto-mtu", NotASwitch(CNI)),
    row(
        "bfd-desired-min-tx-interval",
        Value(
            |d, v| milliseconds(v).map(|t| d.flags.bfd_transmit = t),
            "BFD's transmit interval",
        ),
    ),
    row(
        "bfd-detection-multiplier",
        Value(
            |d, v| multiplier(v).map(|m| d.flags.bfd_multiplier = m),
            "BFD's multiplier",
        ),
    ),
    row(
        "bfd-port",
        Value(|_, v| bfd_port(v), "BFD's port is 3784 (RFC 5881 §4)"),
    ),
    row(
        "bfd-required-min-rx-interval",
        Value(
            |d, v| milliseconds(v).map(|t| d.flags.bfd_receive = t),
            "BFD's receive interval",
        ),
    ),
    row(
        "bgp-graceful-restart",
        Switch(
            |f| &mut f.graceful_restart,
            "graceful restart with all neighbors",
            "no graceful restart",
        ),
    ),
    row(
        "bgp-graceful-restart-deferral-time",
        NotAValue(
            "routes are not held back: End-of-RIB goes out once the cluster is read, at the latest after sync-time",
        ),
    ),
    row(
        "bgp-graceful-restart-time",
        Value(
            |d, v| bounded(v, 4095).map(|t| d.flags.restart_time = t),
            "the restart time that is told",
        ),
    ),
    row(
        "bgp-holdtime",
        Value(
            |d, v| hold_time(v).map(|t| d.flags.hold_time = t),
            "hold time of the routers outside",
        ),
    ),
    row(
        "bgp-port",
        Value(
            |d, v| port(v).map(|p| d.flags.port = p),
            "the port listened on and of the other nodes",
        ),
    ),
    row(
        "cache-sync-timeout",
        NotAValue("sync-time bounds the wait for the lists"),
    ),
    row(
        "cleanup-config",
        NotASwitch("a command of its own; ours is `wayfare cleanup`"),
    ),
    row(
        "cluster-asn",
        Value(
            |d, v| cluster_asn(v).map(|a| d.flags.cluster_asn = a),
            "the AS of the nodes",
        ),
    ),
    row(
        "cluster-cidr",
        Value(
            |d, v| ranges(v).map(|r| d.flags.pod_cidrs.extend(r)),
            "the pods of the cluster: not accepted from outside",
        ),
    ),
    row("config-sync-period", NotAValue(POLL)),
    row(
        "disable-source-dest-check",
        NotASwitch("a setting of AWS instances; make it there"),
    ),
    row(
        "enable-bfd",
        Switch(|f| &mut f.bfd, "BFD with the routers outside", "no BFD"),
    ),
    row("enable-cni", NotASwitch(CNI)),
    row(
        "enable-ibgp",
        Switch(
            |f| &mut f.ibgp,
            "sessions between nodes of one AS",
            "no sessions between nodes",
        ),
    ),
    row(
        "enable-ipv4",
        Switch(|f| &mut f.ipv4, "IPv4 in every session", "no IPv4"),
    ),
    row(
        "enable-ipv6",
        Switch(|f| &mut f.ipv6, "IPv6 in every session", "no IPv6"),
    ),
    row(
        "enable-overlay",
        Switch(
            |f| &mut f.overlay,
            "routes to nodes of other subnets go through a tunnel",
            "no tunnels",
        ),
    ),
    row(
        "enable-pod-egress",
        NotASwitch("SNAT of pods; the CNI plugin or ip-masq-agent does that"),
    ),
    row("enable-pprof", NotASwitch("a debugging port of its own")),
    row("excluded-cidrs", NotAValue(PROXY)),
    row("gobgp-admin-address", NotAValue(ADMIN)),
    row("gobgp-admin-port", NotAValue(ADMIN)),
    row("hairpin-mode", NotASwitch(PROXY)),
    row("health-addr", NotAValue(HEALTH)),
    row("health-port", NotAValue(HEALTH)),
    row("help", NotASwitch("prints the flags")),
    row(
        "hostname-override",
        Value(
            |d, v| text(v).map(|t| d.flags.node_name = t),
            "the node's name",
        ),
    ),
    row("injected-routes-sync-period", NotAValue(POLL)),
    row("iptables-sync-period", NotAValue(FIREWALL)),
    row("ipvs-graceful-period", NotAValue(PROXY)),
    row("ipvs-graceful-termination", NotASwitch(PROXY)),
    row("ipvs-permit-all", NotASwitch(PROXY)),
    row("ipvs-sync-period", NotAValue(PROXY)),
    row(
        "kubeconfig",
        Value(
            |d, v| text(v).map(|t| d.flags.kubeconfig = t),
            "how the API server is reached",
        ),
    ),
    row(
        "loadbalancer-default-class",
        Switch(
            |f| &mut f.default_class,
            "services without a class count",
            "services without a class do not count",
        ),
    ),
    row(
        "loadbalancer-ip-range",
        Value(
            |d, v| ranges(v).map(|r| d.flags.load_balancer_ranges.extend(r)),
            "load balancer addresses outside are not announced",
        ),
    ),
    row("loadbalancer-sync-period", NotAValue(POLL)),
    row("masquerade-all", NotASwitch(PROXY)),
    row("master", NotAValue("the kubeconfig names the server")),
    row(
        "metrics-addr",
        Value(
            |d, v| metrics_address(v).map(|a| d.flags.metrics_address = a),
            "where metrics are",
        ),
    ),
    row("metrics-path", NotAValue("the path is /metrics")),
    row(
        "metrics-port",
        Value(
            |d, v| number(v).map(|p| d.flags.metrics_port = p),
            "the port of the metrics",
        ),
    ),
    row("netpol-default-deny", NotASwitch(FIREWALL)),
    row("nodeport-bindon-all-ip", NotASwitch(PROXY)),
    row(
        "nodes-full-mesh",
        Switch(
            |f| &mut f.full_mesh,
            "every node with every node, in one AS",
            "only nodes of the same kube-router.io/node.asn",
        ),
    ),
    row(
        "overlay-encap",
        Value(
            |d, v| encap(v).map(|fou| d.flags.overlay_fou = fou),
            "what packets are wrapped in",
        ),
    ),
    row(
        "overlay-encap-port",
        NotAValue("FoU tunnels are not made here"),
    ),
    row(
        "overlay-type",
        Value(
            |d, v| overlay(v).map(|full| d.flags.overlay_full = full),
            "when packets are wrapped",
        ),
    ),
    row(
        "override-nexthop",
        Switch(
            |f| &mut f.override_nexthop,
            "the next hop is our address towards each router",
            "the next hop is as BGP has it",
        ),
    ),
    row(
        "peer-router-asns",
        Value(
            |d, v| list(v, asn).map(|l| d.asns.extend(l)),
            "the AS of each router outside",
        ),
    ),
    row(
        "peer-router-ips",
        Value(
            |d, v| list(v, address).map(|l| d.ips.extend(l)),
            "the routers outside",
        ),
    ),
    row(
        "peer-router-multihop-ttl",
        Value(
            |d, v| number::<u8>(v).map(|t| d.flags.multihop_ttl = (t >= 2).then_some(t)),
            "routers several hops away; counts from 2",
        ),
    ),
    row("peer-router-passwords", Passwords),
    row(
        "peer-router-passwords-file",
        Value(
            |d, v| text(v).map(|t| d.flags.passwords_file = t),
            "the passwords of the routers outside",
        ),
    ),
    row(
        "peer-router-ports",
        Value(
            |d, v| list(v, port).map(|l| d.ports.extend(l)),
            "the port of each router outside",
        ),
    ),
    row(
        "router-id",
        Value(
            |d, v| router_id(v).map(|r| d.flags.router_id = r),
            "the BGP Identifier",
        ),
    ),
    row("routes-sync-period", NotAValue(POLL)),
    row("run-firewall", NotASwitch(FIREWALL)),
    row(
        "run-loadbalancer",
        NotASwitch(
            "gives addresses to services; MetalLB's controller, or kube-router with --run-router=false, does that",
        ),
    ),
    row(
        "run-router",
        Switch(|f| &mut f.run_router, "this is what we do", "no BGP at all"),
    ),
    row("run-service-proxy", NotASwitch(PROXY)),
    row("runtime-endpoint", NotAValue(PROXY)),
    row(
        "service-cluster-ip-range",
        Value(
            |d, v| ranges(v).map(|r| d.flags.service_cidrs.extend(r)),
            "cluster addresses: not accepted from outside",
        ),
    ),
    row(
        "service-external-ip-range",
        Value(
            |d, v| ranges(v).map(|r| d.flags.external_ranges.extend(r)),
            "external addresses outside are not announced",
        ),
    ),
    row("service-node-port-range", NotAValue(PROXY)),
    row("service-tcp-timeout", NotAValue(PROXY)),
    row("service-tcpfin-timeout", NotAValue(PROXY)),
    row("service-udp-timeout", NotAValue(PROXY)),
    row("strict-external-ip-validation", Strict),
    row("use-nftables-for-netpol", NotASwitch(FIREWALL)),
    row("v", NotAValue("the log is the daemon's")),
    row("version", NotASwitch("prints the version")),
];

const fn row(name: &'static str, take: Take) -> Row {
    Row { name, take }
}

/// The flag of this name.
pub(super) fn find(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name == name)
}

/// The flag that was probably meant.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let name = name.replace('_', "-").to_ascii_lowercase();
    let same = |row: &&Row| {
        let (a, b) = (row.name.replace('-', ""), name.replace('-', ""));
        a == b || format!("{a}s") == b || format!("{b}s") == a
    };
    ROWS.iter().find(same).map(|row| row.name)
}

impl Take {
    /// Reads a value.
    pub(super) fn read(&self, draft: &mut Draft, value: Option<&str>) -> Verdict {
        if value.is_some_and(|value| value.contains("$(")) && !self.is_foreign() {
            let text = "its value is put in by the kubelet, from the pod's environment: write it";
            return Verdict::Refused(text.into());
        }
        let taken = match self {
            Self::Switch(field, on, off) => switch(value).map(|is_on| {
                *field(&mut draft.flags) = is_on;
                if is_on { *on } else { *off }
            }),
            Self::Strict => switch(value).map(|is_on| {
                draft.flags.strict = Some(is_on);
                match is_on {
                    true => "addresses outside the ranges that are named are not announced",
                    false => "any external address is announced",
                }
            }),
            Self::Passwords => {
                let all = value.unwrap_or_default().split(',');
                draft.passwords.extend(all.map(|one| one.trim().into()));
                Ok("TCP-MD5 with the routers outside")
            }
            Self::Value(put, text) => put(draft, value.unwrap_or_default()).map(|()| *text),
            Self::NotASwitch(why) | Self::NotAValue(why) => {
                return Verdict::Ignored((*why).into());
            }
        };
        match taken {
            Ok(text) => Verdict::Taken(text.into()),
            Err(text) => Verdict::Refused(text.into()),
        }
    }

    fn is_foreign(&self) -> bool {
        matches!(self, Self::NotASwitch(_) | Self::NotAValue(_))
    }
}
