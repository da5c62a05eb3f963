//! The snippets of the Konvoy documents, unchanged in form: MetalLB's ConfigMap in BGP and in
//! layer-2 mode.

use super::*;

const BGP: &str = "
apiVersion: v1
kind: ConfigMap
metadata:
  namespace: metallb-system
  name: config
data:
  config: |
    peers:
    - my-asn: 64500
      peer-asn: 64500
      peer-address: 172.17.0.4
    address-pools:
    - name: my-ip-space
      protocol: bgp
      addresses:
      - 172.40.100.0/24
";

const LAYER2: &str = "
apiVersion: v1
kind: ConfigMap
metadata:
  namespace: metallb-system
  name: config
data:
  config: |
    address-pools:
    - name: default
      protocol: layer2
      addresses:
      - 10.0.50.25-10.0.50.50
";

#[test]
fn the_config_map_in_bgp_mode_works_unchanged() {
    let scene = scene_with(BGP, &Options::new("node1"), 64500);
    let neighbor = scene.neighbor();
    assert_eq!(neighbor.address.to_string(), "172.17.0.4");
    assert_eq!(neighbor.asn, crate::PeerAsn::Exact(64500));
    assert_eq!(neighbor.local_asn, None);
    assert_eq!(neighbor.hold_time, Some(std::time::Duration::from_secs(90)));
    assert_eq!(neighbor.import.as_deref(), Some("metallb:import"));
    assert_eq!(scene.peering.router.asn, Some(64500));
    assert_eq!(
        scene.routes("172.40.100.7", &[]),
        [
            "172.40.100.7/32 pool:my-ip-space (IPAddressPool metallb-system/my-ip-space, \
          BGPAdvertisement metallb-system/bgpadvertisement1)"
        ]
    );
    assert_eq!(
        scene.routes("172.40.101.7", &[]),
        ["no: no IPAddressPool has 172.40.101.7"]
    );
    // The one thing to know: LOCAL_PREF.
    assert_eq!(scene.faults.len(), 1, "{:?}", scene.fault_lines());
    assert_eq!(&*scene.faults[0].path, "localpref");
}

#[test]
fn the_config_map_in_layer_2_mode_announces_nothing_and_says_why() {
    let scene = scene(LAYER2);
    assert!(scene.peering.neighbors.is_empty());
    assert_eq!(
        scene.routes("10.0.50.30", &[]),
        [
            "no: IPAddressPool metallb-system/default: announced by ARP and NDP \
          (L2Advertisement metallb-system/l2advertisement1), by no BGPAdvertisement"
        ]
    );
    assert_eq!(scene.fault_lines(), Vec::<String>::new());
}
