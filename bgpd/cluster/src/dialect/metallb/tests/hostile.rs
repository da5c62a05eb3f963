//! Random objects: nothing panics, whatever is found where something else belongs.
//!
//! The trees use the keys that the readers ask for and the values that break parsers, so random
//! choice reaches deep; plain random text would stop at the first brace.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::dialect::metallb;

const KEYS: &[&str] = &[
    "myASN",
    "peerASN",
    "localASN",
    "dynamicASN",
    "peerAddress",
    "interface",
    "sourceAddress",
    "peerPort",
    "holdTime",
    "keepaliveTime",
    "connectTime",
    "routerID",
    "nodeSelectors",
    "password",
    "passwordSecret",
    "bfdProfile",
    "ebgpMultiHop",
    "vrf",
    "addresses",
    "serviceAllocation",
    "namespaceSelectors",
    "serviceSelectors",
    "aggregationLength",
    "aggregationLengthV6",
    "localPref",
    "communities",
    "ipAddressPools",
    "ipAddressPoolSelectors",
    "peers",
    "matchLabels",
    "matchExpressions",
    "key",
    "operator",
    "values",
    "name",
    "value",
    "protocol",
    "bgpAdvertisements",
    "receiveInterval",
    "detectMultiplier",
    "peers",
    "my-asn",
    "peer-asn",
    "peer-address",
    "address-pools",
    "bgp-advertisements",
    "bgp-communities",
    "bfd-profiles",
    "hold-time",
    "localpref",
    "aggregation-length",
    "node-selectors",
    "match-labels",
];
const TEXTS: &[&str] = &[
    "",
    "10.0.0.1",
    "10.0.0.0/8",
    "fd00::/8",
    "0.0.0.0-255.255.255.255",
    "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "10.0.0.9-fd00::",
    "-",
    "64512:1",
    "large:1:2:3",
    "large:::",
    "::::",
    "90s",
    "999999999999999999999h",
    ".",
    "1.s",
    "In",
    "Exists",
    "bgp",
    "layer2",
    "internal",
    "\u{0}",
    "ÄÖ_\u{1f600}",
    "lan",
];

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0..70_000_u64).prop_map(Value::from),
        any::<f64>().prop_map(|n| json!(n)),
        proptest::sample::select(TEXTS).prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        let key = proptest::sample::select(KEYS);
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((key, inner), 0..8).prop_map(|pairs| {
                let pairs = pairs
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value));
                Value::Object(pairs.collect())
            }),
        ]
    })
}

/// A table of keys on its way to being right.
fn spec() -> impl Strategy<Value = Value> {
    proptest::collection::vec((proptest::sample::select(KEYS), value()), 0..10).prop_map(|pairs| {
        let mut spec = json!({"myASN": 64512, "peerASN": 64500, "peerAddress": "10.0.0.1",
            "addresses": ["10.0.0.0/24"], "protocol": "bgp"});
        for (key, value) in pairs {
            spec[key] = value;
        }
        spec
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn objects_never_panic(specs in proptest::collection::vec((0..7_usize, spec()), 1..6)) {
        let mut snapshot = Snapshot::default();
        for (at, (kind, spec)) in specs.into_iter().enumerate() {
            let kind = metallb::Kind::ALL[kind];
            let meta = json!({"name": format!("o{at}"), "namespace": "metallb-system"});
            let object = json!({"metadata": meta, "spec": spec});
            match object_of(Kind::Metallb(kind), &object) {
                Ok(object) => {
                    snapshot.apply(Change::Put(object.key(), Ok(object)));
                }
                Err(fault) => prop_assert!(!fault.text.is_empty()),
            }
        }
        let options = Options::new("node1");
        let facts = Facts { asn: 64512, ..Facts::default() };
        let view = View { snapshot: &snapshot, options: &options, facts: &facts, node: None };
        let mut peering = Peering::default();
        let metallb = Metallb::prepare(&view, &mut peering);
        for address in ["10.0.0.1", "255.255.255.255", "::", "fd00::1"] {
            let address = ServiceAddress {
                kind: AddressKind::LoadBalancer,
                address: address.parse().unwrap(),
                is_local: true,
            };
            metallb.offer(&Service::default(), &address, &mut |offer| {
                if let Offer::Announce { prefix, .. } = offer {
                    assert!(prefix.contains(&address.address));
                }
            });
        }
    }

    #[test]
    fn config_maps_never_panic(config in spec(), text in ".{0,200}") {
        let mut map = crate::object::ConfigMap::default();
        for text in [config.to_string(), text] {
            map.data.insert("config".into(), text.into());
            let _ = metallb::from_config_map(&map);
        }
    }

    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for kind in metallb::Kind::ALL {
            let _ = Object::decode(Kind::Metallb(kind), &bytes);
        }
    }
}
