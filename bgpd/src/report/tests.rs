//! Objects and news, compared as a whole.

use serde_json::json;

use super::news::Journal;
use super::*;

const NODE: &str = "node-1";

fn name() -> ObjectName {
    ObjectName::new("shop", "web")
}

fn neighbor(object: &str, state: &'static str, role: cluster::NeighborRole) -> NeighborReality {
    NeighborReality {
        object: object.to_owned(),
        role,
        state,
        since: Some(SystemTime::UNIX_EPOCH),
    }
}

pub(super) fn reality(service: ServiceReality) -> Reality {
    reality_of([(name(), service)])
}

pub(super) fn reality_of(
    services: impl IntoIterator<Item = (ObjectName, ServiceReality)>,
) -> Reality {
    use cluster::NeighborRole::{Configured, Mesh};
    Reality {
        services: Arc::new(services.into_iter().collect()),
        neighbors: BTreeMap::from([
            (
                "10.0.0.1".parse().expect("address"),
                neighbor("BGPPeer metallb-system/tor", "Established", Configured),
            ),
            (
                "10.0.0.2".parse().expect("address"),
                neighbor("BGPPeer metallb-system/spare", "Active", Configured),
            ),
            (
                "2001:db8::2".parse().expect("address"),
                neighbor("Node node-2", "Established", Mesh),
            ),
        ]),
        router_id: Ipv4Addr::new(10, 0, 0, 11),
        started: SystemTime::UNIX_EPOCH,
        configured: SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000),
    }
}

pub(super) fn announced(told: &[&str]) -> ServiceReality {
    ServiceReality {
        announced: vec!["203.0.113.7/32".parse().expect("prefix")],
        told: told.iter().map(|a| a.parse().expect("address")).collect(),
        held_back: None,
    }
}

pub(super) fn held_back(why: &str) -> ServiceReality {
    ServiceReality {
        held_back: Some(why.to_owned()),
        ..ServiceReality::default()
    }
}

#[test]
fn a_service_names_the_peers_that_were_told() {
    let statuses = wanted::service_statuses(NODE, &reality(announced(&["10.0.0.1", "10.0.0.2"])));
    let (object, value) = statuses.iter().next().expect("one");
    assert_eq!(value["metadata"]["name"], json!(object));
    assert_eq!(
        value["metadata"]["labels"],
        json!({
            "metallb.io/node": "node-1",
            "metallb.io/service-name": "web",
            "metallb.io/service-namespace": "shop",
        })
    );
    // The spare's session is not up: it was not told, whatever is configured.
    assert_eq!(
        value["status"],
        json!({
            "node": "node-1",
            "serviceName": "web",
            "serviceNamespace": "shop",
            "peers": ["tor"],
        })
    );
    assert!(wanted::service_statuses(NODE, &reality(announced(&[]))).is_empty());
    let other = wanted::service_statuses("node-2", &reality(announced(&["10.0.0.1"])));
    assert_ne!(other.keys().next(), Some(object), "each node has its own");
}

#[test]
fn calico_is_told_what_it_asks_for() {
    let reality = reality(announced(&[]));
    let all = ["Agent".to_owned(), "BGP".to_owned()];
    let status = wanted::calico_status(&all, &reality, "2026-01-01T00:00:00Z");
    assert_eq!(status["lastUpdated"], "2026-01-01T00:00:00Z");
    assert_eq!(status["agent"]["birdV4"]["state"], "Ready");
    assert_eq!(status["agent"]["birdV4"]["routerID"], "10.0.0.11");
    assert_eq!(
        status["agent"]["birdV6"]["lastReconfigurationTime"],
        "2023-11-14T22:13:20Z"
    );
    let bgp = &status["bgp"];
    assert_eq!(
        json!([
            bgp["numberEstablishedV4"],
            bgp["numberNotEstablishedV4"],
            bgp["numberEstablishedV6"],
            bgp["numberNotEstablishedV6"]
        ]),
        json!([1, 1, 1, 0])
    );
    assert_eq!(
        bgp["peersV6"],
        json!([{
            "peerIP": "2001:db8::2",
            "type": "NodeMesh",
            "state": "Established",
            "since": "1970-01-01T00:00:00Z",
        }])
    );
    let only = wanted::calico_status(&["Agent".to_owned()], &reality, "");
    assert_eq!(only.get("bgp"), None);
}

/// Each step of a service's life, and the event it makes.
#[test]
fn news_are_made_by_changes_only() {
    let gate = "kube-proxy is not healthy";
    let rows: &[(ServiceReality, Option<(&str, &str)>)] = &[
        // What a restart finds announced is no news.
        (announced(&["10.0.0.1"]), None),
        (announced(&["10.0.0.1"]), None),
        // Nor is that a session comes or goes: it would be news of every service.
        (announced(&[]), None),
        (announced(&["10.0.0.1", "10.0.0.2"]), None),
        (
            held_back(gate),
            Some((
                "Withdrawn",
                "203.0.113.7/32 withdrawn from node-1: kube-proxy is not healthy",
            )),
        ),
        (held_back(gate), None),
        (
            held_back("no endpoint is ready"),
            Some((
                "NotAnnounced",
                "not announced from node-1: no endpoint is ready",
            )),
        ),
        (
            announced(&[]),
            Some((
                "Announced",
                "203.0.113.7/32 announced from node-1 to no neighbor yet",
            )),
        ),
        (
            announced(&["10.0.0.1"]),
            Some((
                "Announced",
                "203.0.113.7/32 announced from node-1 to 1 neighbor",
            )),
        ),
        // Told of once, whatever the neighbor does then.
        (announced(&[]), None),
        (announced(&["10.0.0.1"]), None),
    ];
    let mut journal = Journal::default();
    for (index, (service, wanted)) in rows.iter().enumerate() {
        let news = journal.look(NODE, &reality(service.clone()));
        let told = news.first().map(|news| (news.reason, news.text.as_str()));
        assert_eq!(told, *wanted, "row {index}");
        assert!(news.len() <= 1);
    }
}

#[test]
fn what_is_there_at_the_start_is_no_news() {
    let mut journal = Journal::default();
    let before = journal.look(NODE, &reality(held_back("no endpoint is ready")));
    assert_eq!(before, []);
    let news = journal.look(NODE, &reality(announced(&["10.0.0.1"])));
    assert_eq!(news.len(), 1);
    assert_eq!(news[0].reason, "Announced");
}
