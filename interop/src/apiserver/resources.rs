//! Which kinds the server knows: group, version, plural, and where their objects live.
//!
//! A table and two ways to look things up: by the path of a request and by an object's own
//! `apiVersion` and `kind`. Versions of one kind (`metallb.io/v1beta1` and `v1beta2`) share their
//! objects, as they share them in a real server's storage; there is no conversion.

/// A kind that is served.
#[derive(Debug, PartialEq, Eq)]
pub struct Resource {
    /// The API group, empty for the core.
    pub group: &'static str,
    /// Its versions, the preferred one first.
    pub versions: &'static [&'static str],
    /// As in paths.
    pub plural: &'static str,
    /// As in objects.
    pub kind: &'static str,
    /// Objects live in namespaces.
    pub namespaced: bool,
    /// `status` is written by a request of its own.
    pub has_status: bool,
}

impl Resource {
    /// `v1`, `discovery.k8s.io/v1`.
    pub fn api_version(&self) -> String {
        group_version(self.group, self.versions[0])
    }
}

/// `v1`, `discovery.k8s.io/v1`.
pub fn group_version(group: &str, version: &str) -> String {
    match group {
        "" => version.to_owned(),
        group => format!("{group}/{version}"),
    }
}

const V1: &[&str] = &["v1"];
const CALICO: &str = "projectcalico.org";
const CALICO_CRD: &str = "crd.projectcalico.org";
const METALLB: &str = "metallb.io";
const RBAC: &str = "rbac.authorization.k8s.io";

const fn core(plural: &'static str, kind: &'static str, namespaced: bool) -> Resource {
    of("", plural, kind, namespaced)
}

const fn of(
    group: &'static str,
    plural: &'static str,
    kind: &'static str,
    namespaced: bool,
) -> Resource {
    Resource {
        group,
        versions: V1,
        plural,
        kind,
        namespaced,
        has_status: false,
    }
}

const fn calico(plural: &'static str, kind: &'static str) -> Resource {
    Resource {
        group: CALICO,
        versions: &["v3"],
        plural,
        kind,
        namespaced: false,
        has_status: false,
    }
}

const fn metallb(plural: &'static str, kind: &'static str) -> Resource {
    Resource {
        group: METALLB,
        versions: &["v1beta1"],
        plural,
        kind,
        namespaced: true,
        has_status: true,
    }
}

const fn with_status(mut resource: Resource) -> Resource {
    resource.has_status = true;
    resource
}

/// All of them; an index into this names a kind inside the server.
pub static RESOURCES: [Resource; 38] = [
    with_status(core("nodes", "Node", false)),
    with_status(core("services", "Service", true)),
    with_status(core("namespaces", "Namespace", false)),
    core("configmaps", "ConfigMap", true),
    core("secrets", "Secret", true),
    core("events", "Event", true),
    core("serviceaccounts", "ServiceAccount", true),
    with_status(core("pods", "Pod", true)),
    of("discovery.k8s.io", "endpointslices", "EndpointSlice", true),
    of("events.k8s.io", "events", "Event", true),
    with_status(of(
        "networking.k8s.io",
        "servicecidrs",
        "ServiceCIDR",
        false,
    )),
    of("coordination.k8s.io", "leases", "Lease", true),
    with_status(of("apps", "daemonsets", "DaemonSet", true)),
    of(RBAC, "clusterroles", "ClusterRole", false),
    of(RBAC, "clusterrolebindings", "ClusterRoleBinding", false),
    of(RBAC, "roles", "Role", true),
    of(RBAC, "rolebindings", "RoleBinding", true),
    Resource {
        versions: &["v1beta2", "v1beta1"],
        ..metallb("bgppeers", "BGPPeer")
    },
    metallb("bgpadvertisements", "BGPAdvertisement"),
    metallb("ipaddresspools", "IPAddressPool"),
    metallb("l2advertisements", "L2Advertisement"),
    metallb("bfdprofiles", "BFDProfile"),
    metallb("communities", "Community"),
    metallb("servicebgpstatuses", "ServiceBGPStatus"),
    metallb("servicel2statuses", "ServiceL2Status"),
    metallb("configurationstates", "ConfigurationState"),
    calico("bgpconfigurations", "BGPConfiguration"),
    calico("bgppeers", "BGPPeer"),
    calico("bgpfilters", "BGPFilter"),
    calico("ippools", "IPPool"),
    calico("blockaffinities", "BlockAffinity"),
    with_status(calico("caliconodestatuses", "CalicoNodeStatus")),
    of(CALICO_CRD, "bgpconfigurations", "BGPConfiguration", false),
    of(CALICO_CRD, "bgppeers", "BGPPeer", false),
    of(CALICO_CRD, "bgpfilters", "BGPFilter", false),
    of(CALICO_CRD, "ippools", "IPPool", false),
    of(CALICO_CRD, "blockaffinities", "BlockAffinity", false),
    with_status(of(
        CALICO_CRD,
        "caliconodestatuses",
        "CalicoNodeStatus",
        false,
    )),
];

/// The kind under this group, version and plural.
pub fn by_path(group: &str, version: &str, plural: &str) -> Option<usize> {
    RESOURCES.iter().position(|resource| {
        resource.group == group && resource.plural == plural && resource.versions.contains(&version)
    })
}

/// The kind that an object says it is.
pub fn by_kind(api_version: &str, kind: &str) -> Option<usize> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    RESOURCES.iter().position(|resource| {
        resource.group == group && resource.kind == kind && resource.versions.contains(&version)
    })
}
