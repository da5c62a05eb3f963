//! Links of virtual MACs, lengths of subnets, and closed addresses.

use super::*;

const VIRTUAL: &str = "[[instance]]\nname = \"a\"\naddresses = [\"10.0.0.50/24\"]\n\
                       virtual-mac = true\n\
                       [[instance]]\nname = \"b\"\naddresses = [\"10.1.0.50\"]\naccept = false\n";
const KEY: Key = (2, false, 50);

fn carried(index: u32) -> Carriers {
    Carriers::from([(KEY, Ok(index))])
}

/// Until its link is there an instance takes no part; the others do not wait for it.
#[test]
fn an_instance_waits_for_the_link_of_its_virtual_mac() {
    let now = Instant::now();
    let mut node = node(VIRTUAL, now);
    assert_eq!(faults(&node, "a"), ["virtual MAC: its link is being made"]);
    assert_eq!(faults(&node, "b"), Vec::<String>::new());
    let wanted = node.wanted_carriers();
    assert_eq!(wanted.len(), 1);
    assert_eq!((wanted[0].key, wanted[0].parent.as_str()), (KEY, "eth0"));
    let refused = Carriers::from([(KEY, Err("eth0: no".to_owned()))]);
    node.set_carriers(now, refused);
    assert_eq!(faults(&node, "a"), ["virtual MAC: eth0: no"]);
    assert_eq!(node.carrier_of(id(&node, "a")), None);
    node.set_carriers(now, carried(9));
    assert_eq!(slot(&node, "a").router.state(), State::Backup);
    assert_eq!(node.carrier_of(id(&node, "a")), Some(9));
    assert_eq!(node.carrier_of(id(&node, "b")), Some(3));
    assert_eq!((node.parent_of(9), node.parent_of(3)), (2, 3));
    assert!(!node.is_carrying(9));
}

/// Somebody removes the link under a master: its addresses go on the new one.
#[test]
fn addresses_follow_their_link() {
    let now = Instant::now();
    let mut node = node(VIRTUAL, now);
    node.set_carriers(now, carried(9));
    let due = now + Duration::from_secs(4);
    node.handle_timeout(due);
    outputs(&mut node);
    assert!(node.is_carrying(9));
    node.set_carriers(due, carried(9));
    assert!(outputs(&mut node).is_empty());
    node.set_carriers(due, carried(10));
    let done = outputs(&mut node);
    let took = |(_, it): &(SlotId, Output)| matches!(it, Output::Do(Action::Take));
    assert!(done.iter().any(took), "{done:?}");
    assert_eq!(slot(&node, "a").router.state(), State::Master);
}

/// With its length the kernel would make the host's address or the virtual one a secondary, and
/// take it off with the other (audit M4); an IPv6 subnet's route would get two seconds to live.
#[test]
fn an_address_whose_subnet_the_host_has_goes_there_alone() {
    let now = Instant::now();
    let text = "[[instance]]\nname = \"a\"\ninterface = \"eth0\"\n\
                addresses = [\"10.0.0.50/24\", \"10.9.0.50/24\"]\n\
                [[instance]]\nname = \"six\"\ninterface = \"eth1\"\n\
                addresses = [\"fe80::50/64\", \"fd00::50/64\"]\n\
                [[instance]]\nname = \"own-link\"\ninterface = \"eth1\"\nvrid = 51\n\
                virtual-mac = true\naddresses = [\"fe80::51\"]\n";
    let node = node(text, now);
    let put = |name: &str| -> Vec<String> {
        let list = node.networks_to_put(id(&node, name));
        list.iter().map(ToString::to_string).collect()
    };
    assert_eq!(put("a"), ["10.0.0.50/32", "10.9.0.50/24"]);
    assert_eq!(put("six"), ["fe80::50/128", "fd00::50/64"]);
    // There the route to its neighbors comes with the address alone.
    assert_eq!(put("own-link"), ["fe80::51/64"]);
}

/// A promise about what is open is not kept by a warning.
#[test]
fn addresses_that_cannot_be_closed_are_a_fault() {
    let now = Instant::now();
    let mut node = node(VIRTUAL, now);
    let closed: Vec<IpAddr> = node.closed_addresses().into_iter().collect();
    assert_eq!(closed, [IpAddr::from([10, 1, 0, 50])]);
    node.set_carriers(now, carried(9));
    node.set_filter_fault(now, Some("nftables: no"));
    assert_eq!(
        faults(&node, "b"),
        ["`accept = false` cannot be kept: nftables: no"]
    );
    assert_eq!(faults(&node, "a"), Vec::<String>::new());
    node.set_filter_fault(now, None);
    assert_eq!(slot(&node, "b").router.state(), State::Backup);
}
