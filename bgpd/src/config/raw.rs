//! The file as it was written: one struct per section, every field optional and with its place.
//!
//! Nothing is inherited or defaulted here. What is required to make sense of a section at all (a
//! pool's name, a range's prefix) drops the section when absent, after the fault is recorded;
//! everything else is judged by the later stages.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ctl::config::{At, Field, Many, Table, Value};
use ipnet::IpNet;

use super::clusters::{self, RawCluster};
use super::kubernetes::{self, RawKubernetes};
use super::model::{AddPath, AddressRange, AdvertiseKind, GracefulRestart, PoolAdvertise, Role};
use super::model::{AsnRule, Bfd};
use super::policy::{RawPolicy, read_policies};
use super::values::{Asn, Community, FamilyIndex, LargeCommunity, MetricsCompat};

/// A whole file.
pub(super) struct Raw {
    pub router: Option<RawRouter>,
    pub kernel: Option<RawKernel>,
    pub policies: Vec<RawPolicy>,
    pub groups: Vec<RawGroup>,
    pub neighbors: Vec<RawNeighbor>,
    pub ranges: Vec<RawRange>,
    /// The settings of ranges without a usable prefix.
    pub unplaced: Vec<RawSettings>,
    pub mesh: Option<RawMesh>,
    pub advertise: Vec<RawAdvertise>,
    pub pools: Vec<RawPool>,
    pub clusters: Vec<RawCluster>,
    pub kubernetes: Option<RawKubernetes>,
    pub metrics: Option<RawMetrics>,
    pub threads: Option<At<u16>>,
}

/// `[router]`.
pub(super) struct RawRouter {
    pub asn: Option<At<Asn>>,
    /// Perhaps unreadably: its absence is then not worth a word.
    pub asn_written: bool,
    pub span: std::ops::Range<usize>,
    pub router_id: Option<At<Ipv4Addr>>,
    pub cluster_id: Option<At<Ipv4Addr>>,
    pub listen: Option<At<Many<SocketAddr>>>,
    pub default_local_pref: Option<At<u32>>,
    pub multipath_relax: Option<At<bool>>,
}

/// `[kernel]`.
pub(super) struct RawKernel {
    pub table: Option<At<u32>>,
    pub metric: Option<At<u32>>,
    pub multipath: Option<At<u16>>,
    pub protocol: Option<At<u8>>,
}

/// Declares what a group, a neighbor and a range have in common, how it is read and inherited.
/// One list of keys: a key cannot be read without being inherited, or the other way round.
macro_rules! settings {
    ($($field:ident: $kind:ty = $key:literal,)*) => {
        /// What a `[[peer-group]]` can hold; a neighbor and a range can hold it too.
        #[derive(Clone, Default)]
        pub(super) struct RawSettings {
            $(pub $field: Option<At<$kind>>,)*
            /// An AS is written, perhaps unreadably: its absence is then not worth a word.
            pub asn_written: bool,
        }

        impl RawSettings {
            fn read(table: &Table<'_>) -> Self {
                Self { $($field: table.get($key),)* asn_written: table.has("asn") }
            }

            /// Takes from `group` what is not given here.
            pub fn inherit(mut self, group: &Self) -> Self {
                $(if self.$field.is_none() { self.$field.clone_from(&group.$field); })*
                self.asn_written |= group.asn_written;
                self
            }
        }
    };
}

settings! {
    description: String = "description",
    shutdown: bool = "shutdown",
    asn: AsnRule = "asn",
    families: Many<FamilyIndex> = "families",
    port: u16 = "port",
    local_address: IpAddr = "local-address",
    passive: bool = "passive",
    hold_time: Duration = "hold-time",
    keepalive: Duration = "keepalive",
    connect_retry: Duration = "connect-retry",
    password_file: PathBuf = "password-file",
    ttl_security: u8 = "ttl-security",
    ebgp_multihop: u8 = "ebgp-multihop",
    local_as: Asn = "local-as",
    allow_own_as: u8 = "allow-own-as",
    route_reflector_client: bool = "route-reflector-client",
    next_hop_self: bool = "next-hop-self",
    next_hop_keep: bool = "next-hop-keep",
    next_hop: Many<IpAddr> = "next-hop",
    extended_next_hop: bool = "extended-next-hop",
    add_path: AddPath = "add-path",
    graceful_restart: GracefulRestart = "graceful-restart",
    graceful_restart_time: Duration = "graceful-restart-time",
    max_prefixes: u32 = "max-prefixes",
    max_prefixes_restart: Duration = "max-prefixes-restart",
    bfd: Bfd = "bfd",
    role: Role = "role",
    role_strict: bool = "role-strict",
    enforce_first_as: bool = "enforce-first-as",
    reject_as_sets: bool = "reject-as-sets",
    import_guard: bool = "import-guard",
    import: String = "import",
    export: String = "export",
}

/// `[[peer-group]]`.
pub(super) struct RawGroup {
    pub name: At<String>,
    pub settings: RawSettings,
}

/// `[[neighbor]]`.
pub(super) struct RawNeighbor {
    pub header: At<()>,
    /// Neither address nor interface is written, not even unreadably.
    pub anonymous: bool,
    pub address: Option<At<IpAddr>>,
    pub interface: Option<At<String>>,
    pub peer_group: Option<At<String>>,
    pub settings: RawSettings,
}

/// `[[listen-range]]`.
pub(super) struct RawRange {
    pub prefix: At<IpNet>,
    pub peer_group: Option<At<String>>,
    pub max_neighbors: Option<At<u16>>,
    pub settings: RawSettings,
}

/// `[mesh]`.
pub(super) struct RawMesh {
    pub members: At<Many<IpAddr>>,
    pub peer_group: Option<At<String>>,
}

/// What routes that start here carry.
pub(super) struct RawMarks {
    pub community: Many<Community>,
    pub large_community: Many<LargeCommunity>,
    pub local_pref: Option<At<u32>>,
    pub neighbors: Option<At<Many<IpAddr>>>,
}

/// `[[advertise]]`.
pub(super) struct RawAdvertise {
    pub kind: At<AdvertiseKind>,
    pub prefixes: At<Many<IpNet>>,
    pub marks: RawMarks,
}

/// `[[pool]]`.
pub(super) struct RawPool {
    pub name: At<String>,
    pub addresses: At<Many<AddressRange>>,
    pub aggregation_length: Option<At<u8>>,
    pub aggregation_length_v6: Option<At<u8>>,
    pub advertise: Option<At<PoolAdvertise>>,
    pub marks: RawMarks,
}

/// `[metrics]`.
pub(super) struct RawMetrics {
    pub listen: Option<At<SocketAddr>>,
    pub compat: Option<At<Many<MetricsCompat>>>,
}

/// Reads all sections; unknown keys and wrong values are in the table's sink afterwards.
pub(super) fn read(top: Table<'_>) -> Raw {
    let mut unplaced = Vec::new();
    let raw = Raw {
        router: top.table("router").map(read_router),
        kernel: top.table("kernel").map(read_kernel),
        policies: read_policies(top.tables("policy")),
        groups: top
            .tables("peer-group")
            .into_iter()
            .filter_map(read_group)
            .collect(),
        neighbors: top
            .tables("neighbor")
            .into_iter()
            .map(read_neighbor)
            .collect(),
        ranges: top
            .tables("listen-range")
            .into_iter()
            .filter_map(|table| read_range(table, &mut unplaced))
            .collect(),
        unplaced,
        mesh: top.table("mesh").and_then(read_mesh),
        advertise: top
            .tables("advertise")
            .into_iter()
            .filter_map(read_advertise)
            .collect(),
        pools: top
            .tables("pool")
            .into_iter()
            .filter_map(read_pool)
            .collect(),
        clusters: top
            .tables("cluster")
            .into_iter()
            .filter_map(clusters::read)
            .collect(),
        kubernetes: top.table("kubernetes").map(kubernetes::read),
        metrics: top.table("metrics").map(read_metrics),
        threads: top.table("engine").and_then(|table| {
            let threads = table.get("threads");
            table.finish();
            threads
        }),
    };
    top.finish();
    raw
}

fn read_router(table: Table<'_>) -> RawRouter {
    let router = RawRouter {
        asn: table.get("asn"),
        asn_written: table.has("asn"),
        span: table.span().clone(),
        router_id: table.get("router-id"),
        cluster_id: table.get("cluster-id"),
        listen: table.get("listen"),
        default_local_pref: table.get("default-local-pref"),
        multipath_relax: table.get("multipath-relax"),
    };
    table.finish();
    router
}

fn read_kernel(table: Table<'_>) -> RawKernel {
    let kernel = RawKernel {
        table: table.get("table"),
        metric: table.get("metric"),
        multipath: table.get("multipath"),
        protocol: table.get("protocol"),
    };
    table.finish();
    kernel
}

fn read_group(table: Table<'_>) -> Option<RawGroup> {
    let name = table.require("name", "write name = \"tor\"");
    let settings = RawSettings::read(&table);
    table.finish();
    Some(RawGroup {
        name: name?,
        settings,
    })
}

fn read_neighbor(table: Table<'_>) -> RawNeighbor {
    let neighbor = RawNeighbor {
        header: At {
            value: (),
            span: table.span().clone(),
        },
        anonymous: !table.has("address") && !table.has("interface"),
        address: table.get("address"),
        interface: table.get("interface"),
        peer_group: table.get("peer-group"),
        settings: RawSettings::read(&table),
    };
    table.finish();
    neighbor
}

fn read_range(table: Table<'_>, unplaced: &mut Vec<RawSettings>) -> Option<RawRange> {
    let prefix = table.require("prefix", "write prefix = \"10.0.0.0/24\"");
    let range = |prefix| RawRange {
        prefix,
        peer_group: table.get("peer-group"),
        max_neighbors: table.get("max-neighbors"),
        settings: RawSettings::read(&table),
    };
    // Reading marks the keys as known, so it happens even when the prefix is unusable.
    let nowhere = At {
        value: IpNet::default(),
        span: table.span().clone(),
    };
    let usable = prefix.is_some();
    let range = range(prefix.unwrap_or(nowhere));
    table.finish();
    if !usable {
        unplaced.push(range.settings);
        return None;
    }
    Some(range)
}

fn read_mesh(table: Table<'_>) -> Option<RawMesh> {
    let members = table.require("members", "write members = [\"10.0.0.11\", \"10.0.0.12\"]");
    let peer_group = table.get("peer-group");
    table.finish();
    Some(RawMesh {
        members: members?,
        peer_group,
    })
}

fn read_marks(table: &Table<'_>) -> RawMarks {
    RawMarks {
        community: table
            .get("community")
            .map(|at| at.value)
            .unwrap_or_default(),
        large_community: table
            .get("large-community")
            .map(|at| at.value)
            .unwrap_or_default(),
        local_pref: table.get("local-pref"),
        neighbors: table.get("neighbors"),
    }
}

fn read_advertise(table: Table<'_>) -> Option<RawAdvertise> {
    let kind = table.require("kind", "write kind = \"network\"");
    let prefixes = table.require("prefixes", "write prefixes = [\"10.244.1.0/24\"]");
    let marks = read_marks(&table);
    table.finish();
    Some(RawAdvertise {
        kind: kind?,
        prefixes: prefixes?,
        marks,
    })
}

fn read_pool(table: Table<'_>) -> Option<RawPool> {
    let name = table.require("name", "write name = \"my-ip-space\"");
    let addresses = table.require("addresses", "write addresses = [\"10.0.50.0/24\"]");
    let aggregation_length = table.get("aggregation-length");
    let aggregation_length_v6 = table.get("aggregation-length-v6");
    let advertise = table.get("advertise");
    let marks = read_marks(&table);
    table.finish();
    let (name, addresses) = (name?, addresses?);
    Some(RawPool {
        name,
        addresses,
        aggregation_length,
        aggregation_length_v6,
        advertise,
        marks,
    })
}

fn read_metrics(table: Table<'_>) -> RawMetrics {
    let metrics = RawMetrics {
        listen: table.get("listen"),
        compat: table.get("compat"),
    };
    table.finish();
    metrics
}

impl Value for Bfd {
    fn read(field: &Field<'_>) -> Option<Self> {
        let table = field.table()?;
        let transmit = table.get::<Duration>("transmit");
        let receive = table.get::<Duration>("receive");
        let multiplier = table.get::<u8>("multiplier");
        let sink = table.sink();
        table.finish();
        for interval in [&transmit, &receive].into_iter().flatten() {
            let ms = interval.value.as_millis();
            if !(10..=60_000).contains(&ms) {
                let cure = "write a value from 10ms to 60s";
                sink.error(&interval.span, "BFD interval out of range", cure);
            }
        }
        if let Some(zero) = multiplier.as_ref().filter(|at| at.value == 0) {
            sink.error(
                &zero.span,
                "`multiplier` is 0",
                "write a number from 1 to 255",
            );
        }
        let interval =
            |at: Option<At<Duration>>| at.map_or(Duration::from_millis(300), |at| at.value);
        Some(Self {
            transmit: interval(transmit),
            receive: interval(receive),
            multiplier: multiplier.map_or(3, |at| at.value),
        })
    }
}
