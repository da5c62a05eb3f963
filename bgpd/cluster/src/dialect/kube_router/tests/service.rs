//! Services: each flag and annotation, for each kind of address.

use super::super::flags::Flags;
use super::super::{KubeRouter, source};
use crate::dialect::AddressKind::{self, Cluster, External, LoadBalancer};
use crate::dialect::{Offer, ServiceAddress};
use crate::object::Service;

/// What is offered: the source, or why nothing is.
fn offered(flags: &str, annotations: &[(&str, &str)], kind: AddressKind) -> Result<String, String> {
    let words: Vec<&str> = flags.split_whitespace().collect();
    let (flags, readings) = Flags::parse(&words);
    assert!(!format!("{readings:?}").contains("Refused"), "{readings:?}");
    let mut service = Service::default();
    for (key, value) in annotations {
        let key = format!("kube-router.io/{key}");
        service.meta.annotations.insert(key.into(), (*value).into());
    }
    let address = ServiceAddress {
        kind,
        address: [192, 0, 2, 7].into(),
        is_local: false,
    };
    let mut offers = Vec::new();
    let mut each = |offer| offers.push(offer);
    KubeRouter { flags }.offer(&service, &address, &mut each);
    assert_eq!(offers.len(), 1);
    match offers.remove(0) {
        Offer::Announce { prefix, source, .. } => {
            assert_eq!(prefix.to_string(), "192.0.2.7/32");
            Ok(source.into())
        }
        Offer::Decline(why) => Err(why.into()),
        Offer::Covered(by) => panic!("covered by {by}"),
    }
}

const KINDS: [(AddressKind, &str, &str); 3] = [
    (
        Cluster,
        "--advertise-cluster-ip",
        "service.advertise.clusterip",
    ),
    (
        External,
        "--advertise-external-ip",
        "service.advertise.externalip",
    ),
    (
        LoadBalancer,
        "--advertise-loadbalancer-ip",
        "service.advertise.loadbalancerip",
    ),
];
const RANGE: &str = "--service-external-ip-range=192.0.2.0/24";

#[test]
fn a_flag_says_what_is_usual_and_an_annotation_what_is_not() {
    for (kind, flag, annotation) in KINDS {
        for (is_on, said, wanted) in [
            (false, None, false),
            (true, None, true),
            (false, Some("true"), true),
            (false, Some("1"), true),
            (true, Some("false"), false),
            (true, Some("yes"), false),
            (true, Some(""), false),
        ] {
            let flags = format!("{flag}={is_on} {RANGE}");
            let annotations: Vec<(&str, &str)> = said.iter().map(|it| (annotation, *it)).collect();
            let offer = offered(&flags, &annotations, kind);
            assert_eq!(offer.is_ok(), wanted, "{flags} {said:?}: {offer:?}");
            if wanted {
                assert_eq!(offer.as_deref(), Ok(source(kind)));
            }
        }
        // The flag and the annotation of one kind say nothing of another.
        for (other, _, _) in KINDS.iter().filter(|(other, ..)| *other != kind) {
            assert!(offered(&format!("{flag} {RANGE}"), &[(annotation, "true")], *other).is_err());
        }
        let flags = format!("{flag} {RANGE} --run-router=false");
        assert!(offered(&flags, &[], kind).is_err());
    }
}

#[test]
fn skiplbips_is_deprecated_and_counts() {
    for (value, kind, wanted) in [
        ("", LoadBalancer, false),
        ("false", LoadBalancer, false),
        ("true", External, true),
    ] {
        let flags = format!("--advertise-external-ip --advertise-loadbalancer-ip {RANGE}");
        let offer = offered(&flags, &[("service.skiplbips", value)], kind);
        assert_eq!(offer.is_ok(), wanted, "{value} {kind:?}");
    }
}

#[test]
fn addresses_stay_in_their_ranges() {
    let external = "--advertise-external-ip";
    let balanced = "--advertise-loadbalancer-ip";
    let strict = "--strict-external-ip-validation";
    for (flags, kind, wanted) in [
        (external.to_owned(), External, false),
        (format!("{external} {RANGE}"), External, true),
        (
            format!("{external} --service-external-ip-range=10.0.0.0/8"),
            External,
            false,
        ),
        (format!("{external} {strict}=false"), External, true),
        (balanced.to_owned(), LoadBalancer, true),
        (format!("{balanced} {strict}"), LoadBalancer, false),
        (
            format!("{balanced} --loadbalancer-ip-range=10.0.0.0/8"),
            LoadBalancer,
            false,
        ),
        (
            format!("{balanced} --loadbalancer-ip-range=192.0.2.0/24"),
            LoadBalancer,
            true,
        ),
        (
            format!("{balanced} --loadbalancer-ip-range=10.0.0.0/8 {strict}=false"),
            LoadBalancer,
            true,
        ),
        (
            "--advertise-cluster-ip --service-cluster-ip-range=10.0.0.0/8".to_owned(),
            Cluster,
            true,
        ),
    ] {
        assert_eq!(offered(&flags, &[], kind).is_ok(), wanted, "{flags}");
    }
}
