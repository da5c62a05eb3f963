//! Every renderer against a file of expected output. `UPDATE_EXPECT=1` writes the files anew; the
//! difference is then read in review.

use std::path::PathBuf;

use proto_codec::control::{AdjKind, KubernetesKind, MonitorTopic, PathFilter, TableFilter};

use super::fixtures::*;
use super::*;

fn rendered(requests: &[Request], answers: Vec<Vec<View>>, json: bool) -> String {
    let mut out = Vec::new();
    let mut renderer = renderer(requests, json).unwrap();
    for (request, views) in requests.iter().zip(answers) {
        let family = match request {
            Request::ShowBgpTable { family, .. } => *family,
            _ => V4,
        };
        renderer.head(&mut out, head(family)).unwrap();
        let routes = views.len() as u64;
        for view in views {
            renderer.row(&mut out, view).unwrap();
        }
        renderer.tail(&mut out, Tail { routes, paths: 0 }).unwrap();
    }
    renderer.finish(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// Compares both forms with `expect/NAME.txt` and `expect/NAME.json`.
fn check(name: &str, requests: &[Request], answers: Vec<Vec<View>>) {
    // What a test renders must also survive the wire.
    for view in answers.iter().flatten() {
        let wire = serde_json::to_vec(view).unwrap();
        assert_eq!(serde_json::from_slice::<View>(&wire).unwrap(), *view);
    }
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/render/expect");
    for (json, extension) in [(false, "txt"), (true, "json")] {
        let file = dir.join(format!("{name}.{extension}"));
        let got = rendered(requests, answers.clone(), json);
        if json {
            let values = serde_json::Deserializer::from_str(&got).into_iter();
            values.for_each(|value: serde_json::Result<serde_json::Value>| drop(value.unwrap()));
        }
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(&file, &got).unwrap();
        }
        let expected = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(got == expected, "{} differs; got:\n{got}", file.display());
    }
}

fn table_of(family: Family) -> Request {
    Request::ShowBgpTable {
        family,
        filter: TableFilter::default(),
    }
}

#[test]
fn summary_of_all_families() {
    check(
        "summary",
        &[Request::ShowBgpSummary { family: None }],
        vec![summary()],
    );
}

#[test]
fn summary_of_one_family_has_no_title() {
    let views = summary().into_iter().take(3).collect();
    check(
        "summary-ipv4",
        &[Request::ShowBgpSummary { family: Some(V4) }],
        vec![views],
    );
    check(
        "summary-empty",
        &[Request::ShowBgpSummary { family: Some(V4) }],
        vec![Vec::new()],
    );
}

#[test]
fn tables_of_one_and_both_families() {
    check("table-ipv4", &[table_of(V4)], vec![table()]);
    check(
        "table-both",
        &[table_of(V4), table_of(V6)],
        vec![table(), table6()],
    );
    check("table-empty", &[table_of(V4)], vec![Vec::new()]);
}

#[test]
fn routes_of_a_neighbor() {
    let request = |kind| Request::ShowNeighborRoutes {
        address: "10.0.0.2".parse().unwrap(),
        kind,
        family: V4,
    };
    check("received", &[request(AdjKind::Received)], vec![table()]);
    check("advertised", &[request(AdjKind::Advertised)], vec![table()]);
    check("accepted", &[request(AdjKind::Accepted)], vec![table()]);
}

#[test]
fn a_prefix_in_full() {
    let request = Request::ShowBgpPrefix {
        prefix: "203.0.113.0/24".parse().unwrap(),
        exact: true,
        paths: PathFilter::All,
    };
    check("prefix", &[request], vec![detail()]);
}

#[test]
fn a_neighbor_in_full() {
    check(
        "neighbor",
        &[Request::ShowBgpNeighbors { address: None }],
        vec![neighbor()],
    );
}

#[test]
fn routes_of_the_kernel() {
    let request = |prefix| Request::ShowIpRoute {
        family: V4,
        bgp_only: false,
        prefix,
    };
    check("ip-route", &[request(None)], vec![ip_routes()]);
    let one = ip_routes().split_off(3).into_iter().take(1).collect();
    let prefix = "203.0.113.0/24".parse().unwrap();
    check("ip-route-prefix", &[request(Some(prefix))], vec![one]);
}

#[test]
fn a_row_that_does_not_belong_is_refused() {
    let mut renderer = renderer(&[Request::ShowVersion], false).unwrap();
    let error = renderer
        .row(&mut Vec::new(), detail().remove(0))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the daemon sent a RouteDetail where it does not belong"
    );
}

#[test]
fn what_frr_does_not_have() {
    let one = |name: &str, request: Request, views: Vec<View>| check(name, &[request], vec![views]);
    let prefix = "172.40.100.7/32".parse().unwrap();
    one(
        "advertisements",
        Request::ShowAdvertisements,
        advertisements(),
    );
    one("pools", Request::ShowPools, pools());
    one(
        "explain",
        Request::ExplainRoute { prefix, to: None },
        explanation(),
    );
    one("reload", Request::Reload { check_only: true }, plan());
    one(
        "reload-nothing",
        Request::Reload { check_only: true },
        Vec::new(),
    );
    one("memory", Request::ShowMemory, memory());
    one("drain", Request::Drain { undo: false }, notices());
    one(
        "monitor",
        Request::Monitor {
            topic: MonitorTopic::Bgp,
        },
        events(),
    );
}

#[test]
fn the_cluster() {
    let one = |name: &str, request: Request, views: Vec<View>| check(name, &[request], vec![views]);
    let objects = |kind| Request::ShowKubernetesObjects { kind };
    one("kubernetes", Request::ShowKubernetes, cluster());
    one(
        "kubernetes-services",
        objects(KubernetesKind::Services),
        cluster_services(),
    );
    one(
        "kubernetes-nodes",
        objects(KubernetesKind::Nodes),
        cluster_nodes(),
    );
    one(
        "kubernetes-pools",
        objects(KubernetesKind::Pools),
        cluster_pools(),
    );
}
