//! What is asked for: a feed for each kind that a configured dialect reads.
//!
//! A feed is a path of the API and how it is read. Most are lists of the whole cluster. ConfigMaps
//! and Secrets are read one by one and by name (`get` and `watch`, never `list`), so that the role
//! may name them and the daemon never sees another secret.
//!
//! Calico stores its objects under `crd.projectcalico.org/v1` and serves them, where its API server
//! or the newer CRDs are installed, under `projectcalico.org/v3` too. Both are read; an object that
//! is in both counts as the latter has it.

use cluster::DialectName;
use cluster::dialect::{calico, metallb};
use cluster::object::{Kind, ObjectName};

use super::requests::escape;

/// The old configuration of MetalLB.
const METALLB_CONFIG: (&str, &str) = ("metallb-system", "config");

/// All kinds, as the snapshot on disk writes them: API group and `kind`.
const WORDS: &[(Kind, &str)] = &[
    (Kind::Node, "v1/Node"),
    (Kind::Service, "v1/Service"),
    (Kind::EndpointSlice, "discovery.k8s.io/EndpointSlice"),
    (Kind::Namespace, "v1/Namespace"),
    (Kind::ServiceCidr, "networking.k8s.io/ServiceCIDR"),
    (Kind::ConfigMap, "v1/ConfigMap"),
    (Kind::Secret, "v1/Secret"),
    (Kind::Metallb(metallb::Kind::BgpPeer), "metallb.io/BGPPeer"),
    (
        Kind::Metallb(metallb::Kind::BgpAdvertisement),
        "metallb.io/BGPAdvertisement",
    ),
    (
        Kind::Metallb(metallb::Kind::IpAddressPool),
        "metallb.io/IPAddressPool",
    ),
    (
        Kind::Metallb(metallb::Kind::AddressPool),
        "metallb.io/AddressPool",
    ),
    (
        Kind::Metallb(metallb::Kind::L2Advertisement),
        "metallb.io/L2Advertisement",
    ),
    (
        Kind::Metallb(metallb::Kind::BfdProfile),
        "metallb.io/BFDProfile",
    ),
    (
        Kind::Metallb(metallb::Kind::Community),
        "metallb.io/Community",
    ),
    (
        Kind::Calico(calico::Kind::BgpConfiguration),
        "projectcalico.org/BGPConfiguration",
    ),
    (
        Kind::Calico(calico::Kind::BgpPeer),
        "projectcalico.org/BGPPeer",
    ),
    (
        Kind::Calico(calico::Kind::BgpFilter),
        "projectcalico.org/BGPFilter",
    ),
    (
        Kind::Calico(calico::Kind::IpPool),
        "projectcalico.org/IPPool",
    ),
    (
        Kind::Calico(calico::Kind::BlockAffinity),
        "projectcalico.org/BlockAffinity",
    ),
    (Kind::Calico(calico::Kind::Node), "projectcalico.org/Node"),
];

/// How the snapshot on disk writes a kind.
pub(super) fn word_of(kind: Kind) -> Option<&'static str> {
    let row = WORDS.iter().find(|(known, _)| *known == kind);
    row.map(|(_, word)| *word)
}

/// The kind that the snapshot on disk writes so.
pub(super) fn kind_of(word: &str) -> Option<Kind> {
    let row = WORDS.iter().find(|(_, known)| *known == word);
    row.map(|(kind, _)| *kind)
}

/// `kind` of the objects of a kind, as `BGPPeer`.
pub(super) fn object_word(kind: Kind) -> &'static str {
    let word = word_of(kind).unwrap_or_default();
    word.split_once('/').map_or(word, |(_, kind)| kind)
}

/// Something that is listed and watched, or got and watched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FeedSpec {
    /// The kind of its objects.
    pub kind: Kind,
    /// Of two feeds of one kind the higher rank says what an object is.
    pub rank: u8,
    /// `/api/v1` or `/apis/GROUP/VERSION`.
    pub root: &'static str,
    /// The resource, as `bgppeers`.
    pub plural: &'static str,
    /// Only this object.
    pub only: Option<ObjectName>,
}

impl FeedSpec {
    const fn new(kind: Kind, root: &'static str, plural: &'static str) -> Self {
        Self {
            kind,
            rank: 0,
            root,
            plural,
            only: None,
        }
    }

    fn ranked(self, rank: u8) -> Self {
        Self { rank, ..self }
    }

    /// A secret, by name.
    pub fn secret(name: ObjectName) -> Self {
        Self {
            only: Some(name),
            ..Self::new(Kind::Secret, "/api/v1", "secrets")
        }
    }

    fn config_map((namespace, name): (&str, &str)) -> Self {
        Self {
            only: Some(ObjectName::new(namespace, name)),
            ..Self::new(Kind::ConfigMap, "/api/v1", "configmaps")
        }
    }

    /// Whether an API server may do without the kind: it comes with a CRD or with a version.
    pub fn is_optional(&self) -> bool {
        matches!(
            self.kind,
            Kind::Metallb(_) | Kind::Calico(_) | Kind::ServiceCidr
        )
    }

    /// As people write it: `nodes`, `bgppeers.metallb.io`, `secrets metallb-system/tor`.
    pub fn name(&self) -> String {
        let group = self.root.strip_prefix("/apis/");
        let group = group.and_then(|rest| rest.split('/').next());
        let mut name = self.plural.to_owned();
        if let Some(group) = group.filter(|group| !group.ends_with(".k8s.io")) {
            name = format!("{name}.{group}");
        }
        match &self.only {
            Some(only) => format!("{name} {only}"),
            None => name,
        }
    }

    /// `v1`, `metallb.io/v1beta2`.
    pub fn api_version(&self) -> &'static str {
        let root = self.root.strip_prefix("/apis/");
        root.or(self.root.strip_prefix("/api/")).unwrap_or_default()
    }

    /// The path of the collection.
    pub fn path(&self) -> String {
        match &self.only {
            Some(only) if !only.namespace.is_empty() => {
                let namespace = escape(&only.namespace);
                format!("{}/namespaces/{namespace}/{}", self.root, self.plural)
            }
            _ => format!("{}/{}", self.root, self.plural),
        }
    }
}

/// All feeds that these dialects need.
pub(crate) fn feeds(dialects: &[DialectName]) -> Vec<FeedSpec> {
    let mut feeds = vec![
        FeedSpec::new(Kind::Node, "/api/v1", "nodes"),
        FeedSpec::new(Kind::Service, "/api/v1", "services"),
        FeedSpec::new(
            Kind::EndpointSlice,
            "/apis/discovery.k8s.io/v1",
            "endpointslices",
        ),
        FeedSpec::new(Kind::Namespace, "/api/v1", "namespaces"),
        FeedSpec::new(
            Kind::ServiceCidr,
            "/apis/networking.k8s.io/v1",
            "servicecidrs",
        ),
    ];
    if dialects.contains(&DialectName::Metallb) {
        feeds.extend(metallb_feeds());
    }
    if dialects.contains(&DialectName::Calico) {
        feeds.extend(calico_feeds());
    }
    feeds
}

fn metallb_feeds() -> Vec<FeedSpec> {
    use metallb::Kind as M;
    const BETA1: &str = "/apis/metallb.io/v1beta1";
    const BETA2: &str = "/apis/metallb.io/v1beta2";
    let kinds = [
        (M::BgpPeer, BETA2, "bgppeers"),
        (M::BgpAdvertisement, BETA1, "bgpadvertisements"),
        (M::IpAddressPool, BETA1, "ipaddresspools"),
        (M::L2Advertisement, BETA1, "l2advertisements"),
        (M::BfdProfile, BETA1, "bfdprofiles"),
        (M::Community, BETA1, "communities"),
    ];
    let mut feeds: Vec<_> = kinds
        .into_iter()
        .map(|(kind, root, plural)| FeedSpec::new(Kind::Metallb(kind), root, plural))
        .collect();
    feeds.push(FeedSpec::config_map(METALLB_CONFIG));
    feeds
}

fn calico_feeds() -> Vec<FeedSpec> {
    use calico::Kind as C;
    let kinds = [
        (C::BgpConfiguration, "bgpconfigurations"),
        (C::BgpPeer, "bgppeers"),
        (C::BgpFilter, "bgpfilters"),
        (C::IpPool, "ippools"),
        (C::BlockAffinity, "blockaffinities"),
    ];
    let roots = [
        (0, "/apis/crd.projectcalico.org/v1"),
        (1, "/apis/projectcalico.org/v3"),
    ];
    kinds
        .into_iter()
        .flat_map(|(kind, plural)| {
            roots.map(|(rank, root)| FeedSpec::new(Kind::Calico(kind), root, plural).ranked(rank))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_word_that_leads_back() {
        let all = [
            DialectName::Native,
            DialectName::Metallb,
            DialectName::Calico,
            DialectName::KubeRouter,
        ];
        for feed in feeds(&all) {
            let word = word_of(feed.kind).unwrap_or_else(|| panic!("{:?}", feed.kind));
            assert_eq!(kind_of(word), Some(feed.kind));
            let named = Kind::of(feed.api_version(), object_word(feed.kind));
            assert_eq!(named, Some(feed.kind), "{word}");
        }
    }

    #[test]
    fn only_what_a_dialect_reads_is_asked_for_and_names_are_people_s() {
        let names = |dialect| -> Vec<String> {
            let feeds = feeds(&[dialect]);
            feeds.iter().map(FeedSpec::name).collect()
        };
        let core = [
            "nodes",
            "services",
            "endpointslices",
            "namespaces",
            "servicecidrs",
        ];
        assert_eq!(names(DialectName::Native), core);
        assert_eq!(names(DialectName::KubeRouter), core);
        let metallb = names(DialectName::Metallb);
        assert!(metallb.contains(&"bgppeers.metallb.io".into()));
        assert!(metallb.contains(&"configmaps metallb-system/config".into()));
        let calico = names(DialectName::Calico);
        assert!(calico.contains(&"ippools.crd.projectcalico.org".into()));
        assert!(calico.contains(&"ippools.projectcalico.org".into()));
        let secret = FeedSpec::secret(ObjectName::new("m", "tor"));
        assert_eq!(secret.path(), "/api/v1/namespaces/m/secrets");
        assert_eq!(secret.name(), "secrets m/tor");
    }
}
