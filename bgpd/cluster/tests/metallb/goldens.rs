//! Peers, announced routes and attributes equal what the goldens say.
//!
//! Sessions in a VRF are refused by name (`vrf`), so of those goldens the neighbors outside VRFs
//! are compared and those inside must be absent from ours with their fault. A router identifier
//! is one for the whole router; where a golden has two, the difference is a fault.

use std::collections::BTreeSet;

use cluster::{Neighbor, PeerAsn};

use crate::fixtures::{self, Fixture};
use crate::{Carried, Expected, Peer, Scene, files_below, frr, frrk8s, shared};

/// Our neighbor, in the words of an expected configuration.
fn ours(scene: &Scene, neighbor: &Neighbor, fixture: &Fixture) -> Peer {
    let remote = match neighbor.asn {
        PeerAsn::Exact(asn) => asn.to_string(),
        PeerAsn::Internal => "internal".to_owned(),
        PeerAsn::External => "external".to_owned(),
    };
    let address = neighbor.address;
    let families = neighbor
        .families
        .unwrap_or([address.is_ipv4(), address.is_ipv6()]);
    let mut peer = Peer {
        my_asn: neighbor.local_asn.unwrap_or(scene.asn),
        remote,
        is_multihop: neighbor.ebgp_multihop.is_some(),
        port: neighbor.port,
        timers: neighbor
            .hold_time
            .zip(neighbor.keepalive)
            .map(|(hold, keepalive)| (hold.as_secs(), keepalive.as_secs())),
        connect_s: neighbor.connect_retry.map(|time| time.as_secs()),
        password: neighbor
            .password
            .as_ref()
            .map(|secret| String::from_utf8(secret.key.clone()).expect("text")),
        source: neighbor.local_address,
        graceful_restart: neighbor.graceful_restart.is_some(),
        bfd_profile: None,
        families,
        ..Peer::default()
    };
    for (prefix, marks) in scene.told(address, &fixture.addresses) {
        if !families[usize::from(prefix.network().is_ipv6())] {
            continue;
        }
        let plain = marks.communities.iter();
        let large = marks.large_communities.iter();
        let communities: BTreeSet<String> = plain
            .map(|value| format!("{}:{}", value >> 16, value & 0xffff))
            .chain(large.map(|[a, b, c]| format!("{a}:{b}:{c}")))
            .collect();
        let carried = Carried {
            communities,
            local_pref: marks.local_pref,
        };
        peer.routes.insert(prefix, carried);
    }
    peer
}

fn compare(name: &str, expected: &Expected, fixture: &Fixture) {
    let scene = Scene::of(&fixture.manifests, fixture.asn);
    let mut have = BTreeSet::new();
    for neighbor in &scene.peering.neighbors {
        let key = (String::new(), neighbor.address);
        let mut wanted = expected.peers.get(&key).cloned().unwrap_or_default();
        // Hold times of one second: see the fixtures.
        wanted.timers = wanted
            .timers
            .map(|(hold, keepalive)| (hold.max(3), keepalive));
        if let Some(profile) = wanted.bfd_profile.take() {
            let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).expect("ms");
            let bfd = neighbor.bfd.map(|(tx, rx, n)| (millis(tx), millis(rx), n));
            assert_eq!(bfd.as_ref(), expected.profiles.get(&profile), "{name}: BFD");
        }
        assert_eq!(
            ours(&scene, neighbor, fixture),
            wanted,
            "{name}: {}",
            neighbor.address
        );
        have.insert(key);
    }
    for (vrf, address) in expected.peers.keys() {
        match &**vrf {
            "" => assert!(
                have.contains(&(String::new(), *address)),
                "{name}: {address}"
            ),
            _ => assert!(
                scene
                    .peering
                    .faults
                    .iter()
                    .any(|fault| &*fault.path == "spec.vrf"),
                "{name}: VRF {vrf} not refused by name"
            ),
        }
    }
    if expected.peers.keys().any(|(vrf, _)| !vrf.is_empty()) {
        without_vrf(name, expected, fixture);
    }
    // A profile is seen through a peer that names it.
    for (profile, timers) in &expected.profiles {
        let peer = format!(
            "---\napiVersion: metallb.io/v1beta2\nkind: BGPPeer\nmetadata: {{name: p, namespace: \
             metallb-system}}\nspec: {{myASN: 1, peerASN: 2, peerAddress: 192.0.2.1, bfdProfile: \
             {profile}}}\n"
        );
        let scene = Scene::of(&format!("{}{peer}", fixture.manifests), 1);
        let all = &scene.peering.neighbors;
        let one = all
            .iter()
            .find(|one| one.address.to_string() == "192.0.2.1");
        let (tx, rx, n) = one.and_then(|one| one.bfd).expect("timers");
        let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).expect("ms");
        assert_eq!(
            (millis(tx), millis(rx), n),
            *timers,
            "{name}: profile {profile}"
        );
    }
}

/// Were the key left out, the sessions in VRFs would be what the golden says of them.
fn without_vrf(name: &str, expected: &Expected, fixture: &Fixture) {
    let mut plain = Expected::default();
    for ((_, address), peer) in &expected.peers {
        let key = (String::new(), *address);
        if plain.peers.insert(key, peer.clone()).is_some() {
            return; // One address in two tables has no such form.
        }
    }
    let fixture = Fixture {
        manifests: fixture.manifests.replace(", vrf: red", ""),
        asn: fixture.asn,
        addresses: fixture.addresses.clone(),
    };
    compare(&format!("{name} without its VRF"), &plain, &fixture);
}

#[test]
fn peers_routes_and_attributes_equal_the_goldens() {
    let test = "peers_routes_and_attributes_equal_the_goldens";
    let Some(root) = shared(test, "k8s") else {
        return;
    };
    let mut compared = 0;
    let mut routes = 0;
    for path in files_below(&root) {
        let shown = path.display().to_string();
        if path.extension().is_none_or(|ext| ext != "golden") || !shown.contains("/internal/") {
            continue;
        }
        if !shown.contains("metallb+") {
            continue;
        }
        let mut parts = shown.rsplit('/').skip(2);
        let folder = parts.next().expect("a folder");
        let is_frr_k8s = shown.contains("metallb+frr-k8s");
        let folder = if is_frr_k8s { "frr-k8s" } else { folder };
        let name = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .expect("a name");
        match fixtures::of(folder, name) {
            Err(why) => {
                assert_ne!(why, "no fixture", "{shown}");
                eprintln!("{folder}/{name}: not compared: {why}");
            }
            Ok(fixture) => {
                let text = std::fs::read_to_string(&path).expect("a file");
                let expected = match folder {
                    "frrk8s" => frrk8s::read(&text),
                    _ => frr::read(&text, !is_frr_k8s),
                };
                compare(&format!("{folder}/{name}"), &expected, &fixture);
                let peers = expected.peers.iter();
                let outside: Vec<&Peer> = peers
                    .filter(|((vrf, _), _)| vrf.is_empty())
                    .map(|(_, peer)| peer)
                    .collect();
                let count: usize = outside.iter().map(|peer| peer.routes.len()).sum();
                let (peers, refused) = (outside.len(), expected.peers.len() - outside.len());
                let profiles = expected.profiles.len();
                eprintln!(
                    "{folder}/{name}: equal: {peers} peers, {count} routes, {profiles} profiles; \
                     {refused} in VRFs refused by name"
                );
                compared += 1;
                routes += count;
            }
        }
    }
    assert!(
        compared >= 30 && routes >= 15,
        "{compared} goldens, {routes} routes"
    );
}
