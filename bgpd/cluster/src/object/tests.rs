//! Objects as the API server and hands write them, right and wrong.

use super::*;

fn decode(kind: Kind, json: &str) -> Result<Object, Fault> {
    Object::decode(kind, json.as_bytes())
}

fn service(json: &str) -> Service {
    match decode(Kind::Service, json) {
        Ok(Object::Service(service)) => service,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_service_keeps_what_rules_read() {
    let service = service(
        r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"web","namespace":"shop",
        "uid":"x","creationTimestamp":"2026-01-02T03:04:05Z","labels":{"app":"web"},
        "annotations":{"wayfare.dev/communities":"64500:1","other/thing":"x",
        "metallb.universe.tf/address-pool":"a"}},
        "spec":{"type":"LoadBalancer","clusterIP":"10.96.0.10",
        "clusterIPs":["10.96.0.10","fd00:96::a"],"externalIPs":["010.001.0.9"],
        "externalTrafficPolicy":"Local","internalTrafficPolicy":"Cluster",
        "healthCheckNodePort":31000,"loadBalancerIP":"not one",
        "ports":[{"port":80}]},
        "status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.1","ipMode":"VIP"},
        {"hostname":"lb.example"},{"ip":"::ffff:192.0.2.2","ipMode":"Proxy"}]}}}"#,
    );
    let annotations: Vec<&str> = service.meta.annotations.keys().map(AsRef::as_ref).collect();
    assert_eq!(
        annotations,
        [
            "metallb.universe.tf/address-pool",
            "wayfare.dev/communities"
        ]
    );
    assert_eq!(service.cluster_ips.len(), 2);
    assert_eq!(
        service.external_ips,
        ["10.1.0.9".parse::<std::net::IpAddr>().unwrap()]
    );
    assert_eq!(service.external_policy, Policy::Local);
    assert_eq!(service.health_check_node_port, Some(31000));
    assert_eq!(service.load_balancer_ip, None);
    assert_eq!(service.ingress.len(), 2);
    assert_eq!(service.ingress[1].address.to_string(), "192.0.2.2");
    assert!(service.ingress[1].is_proxied);
}

#[test]
fn null_is_absent_everywhere() {
    let service = service(
        r#"{"metadata":{"name":"a","namespace":"b","labels":null,"annotations":null,
        "creationTimestamp":null},"spec":{"clusterIPs":null,"externalIPs":null,"type":null,
        "healthCheckNodePort":null},"status":{"loadBalancer":{"ingress":null}}}"#,
    );
    assert_eq!(service.cluster_ips.len(), 0);
    decode(
        Kind::Service,
        r#"{"metadata":{"name":"a"},"spec":null,"status":null}"#,
    )
    .unwrap();
    let slice = r#"{"metadata":{"name":"a","labels":null},"addressType":"IPv4","endpoints":null}"#;
    decode(Kind::EndpointSlice, slice).unwrap();
    decode(
        Kind::Node,
        r#"{"metadata":{"name":"a"},"spec":{"taints":null,"podCIDRs":null}}"#,
    )
    .unwrap();
    decode(
        Kind::Namespace,
        r#"{"metadata":{"name":"a"},"spec":{"finalizers":["x"]}}"#,
    )
    .unwrap();
}

#[test]
fn headless_has_no_cluster_address() {
    for spec in [
        r#"{"clusterIP":"None"}"#,
        r#"{"clusterIP":"None","clusterIPs":["None"]}"#,
    ] {
        let service = service(&format!(r#"{{"metadata":{{"name":"a"}},"spec":{spec}}}"#));
        assert!(service.is_headless, "{spec}");
        assert_eq!(service.cluster_ips.len(), 0, "{spec}");
    }
}

#[test]
fn pod_cidrs_come_from_the_list_else_from_the_single_field() {
    let rows = [
        (
            r#"{"podCIDR":"10.1.0.0/24","podCIDRs":["10.1.0.0/24","fd00::/64"]}"#,
            2,
        ),
        (r#"{"podCIDR":"10.1.0.0/24"}"#, 1),
        (r#"{"podCIDR":"","podCIDRs":[]}"#, 0),
        (r#"{}"#, 0),
    ];
    for (spec, count) in rows {
        let json = format!(r#"{{"metadata":{{"name":"n"}},"spec":{spec}}}"#);
        let Ok(Object::Node(node)) = decode(Kind::Node, &json) else {
            panic!("{spec}");
        };
        assert_eq!(node.pod_cidrs.len(), count, "{spec}");
    }
}

/// Each row: what is wrong, the kind, and the path that the fault names.
#[test]
fn a_wrong_object_is_a_fault_with_name_and_path() {
    let rows = [
        (
            Kind::Service,
            r#""spec":{"clusterIPs":["10.0.0.1",7]}"#,
            "spec.clusterIPs[1]",
        ),
        (
            Kind::Service,
            r#""spec":{"clusterIPs":"10.0.0.1"}"#,
            "spec.clusterIPs",
        ),
        (
            Kind::Service,
            r#""spec":{"externalIPs":["x"]}"#,
            "spec.externalIPs[0]",
        ),
        (Kind::Service, r#""spec":{"type":"Other"}"#, "spec.type"),
        (
            Kind::Service,
            r#""spec":{"externalTrafficPolicy":"Near"}"#,
            "spec.externalTrafficPolicy",
        ),
        (
            Kind::Service,
            r#""spec":{"healthCheckNodePort":70000}"#,
            "spec.healthCheckNodePort",
        ),
        (
            Kind::Service,
            r#""status":{"loadBalancer":{"ingress":[{"ip":"1.2.3"}]}}"#,
            "status.loadBalancer.ingress[0].ip",
        ),
        (
            Kind::Service,
            r#""status":{"loadBalancer":{"ingress":[{"ip":"1.2.3.4"},{"ip":{}}]}}"#,
            "status.loadBalancer.ingress[1].ip",
        ),
        (
            Kind::EndpointSlice,
            r#""addressType":"IPv4","endpoints":[{"conditions":{"ready":"yes"}}]"#,
            "endpoints[0].conditions.ready",
        ),
        (Kind::EndpointSlice, r#""addressType":"IPX""#, "addressType"),
        (
            Kind::Node,
            r#""spec":{"podCIDRs":["10.0.0.0/99"]}"#,
            "spec.podCIDRs[0]",
        ),
        (
            Kind::ServiceCidr,
            r#""spec":{"cidrs":["10.96.0.0"]}"#,
            "spec.cidrs[0]",
        ),
        (Kind::Secret, r#""data":{"password":"%%"}"#, "data.password"),
    ];
    for (kind, part, path) in rows {
        let json = format!(r#"{{"metadata":{{"name":"web","namespace":"shop"}},{part}}}"#);
        let fault = decode(kind, &json).unwrap_err();
        assert_eq!(
            (&*fault.path, &*fault.object),
            (path, &*format!("{kind} shop/web")),
            "{fault:?}"
        );
    }
}

#[test]
fn hostile_text_is_refused_and_never_panics() {
    let deep = "[".repeat(100_000);
    let huge = format!(r#"{{"metadata":{{"name":"{}"}}}}"#, "x".repeat(5 << 20));
    let cases = [
        "",
        "null",
        "[]",
        "7",
        "{",
        "{}",
        r#"{"metadata":null}"#,
        r#"{"metadata":{}}"#,
        r#"{"metadata":{"name":7}}"#,
        "\u{0}",
        r#"{"metadata":{"name":"\ud800"}}"#,
        &deep,
        &huge,
    ];
    for kind in [
        Kind::Node,
        Kind::Service,
        Kind::EndpointSlice,
        Kind::Namespace,
        Kind::Secret,
        Kind::ServiceCidr,
        Kind::ConfigMap,
    ] {
        for case in cases {
            decode(kind, case).unwrap_err();
        }
    }
}

#[test]
fn a_secret_is_decoded_and_never_shown() {
    let json = r#"{"metadata":{"name":"s"},"type":"kubernetes.io/basic-auth",
        "data":{"password":"c2VjcmV0\n","empty":""},"stringData":{"user":"me"}}"#;
    let Ok(Object::Secret(secret)) = decode(Kind::Secret, json) else {
        panic!();
    };
    assert_eq!(secret.data["password"], b"secret");
    assert_eq!(secret.data["user"], b"me");
    assert!(!format!("{secret:?}").contains("secret\""));
}

#[test]
fn what_is_wrong_with_a_secret_is_said_without_its_values() {
    for part in [
        r#""data":"hunter2""#,
        r#""data":{"password":["hunter2"]}"#,
        r#""data":{"password":"c2Vj"},"type":{"hunter2":"hunter2"}"#,
        r#""stringData":"hunter2""#,
        r#""data":{"password":hunter2}"#,
        r#""data":{"password":"hunter2!"}"#,
    ] {
        let json = format!(r#"{{"metadata":{{"name":"s","namespace":"m"}},{part}}}"#);
        if let Err(fault) = decode(Kind::Secret, &json) {
            assert!(!fault.text.contains("hunter2"), "{fault:?}");
            assert!(
                fault.path.is_empty() || !fault.path.contains("hunter2"),
                "{fault:?}"
            );
        }
    }
}
