//! The virtual MAC address, and the truth about addresses on the wire (tests 15 and 17 of the
//! design): who says that an address is where, at every port, through stops, returns and crashes.
//!
//! The switch learns, and forwards to a port what it has learned there: a frame from the virtual
//! MAC that leaves the wrong router at the wrong time costs a client everything until the next
//! advert, so the bar of one lost packet is a test of silence too.

use std::net::IpAddr;

use interop::lab::{Lab, enter};
use interop::node::Node;
use interop::vrrp::truth::{Claim, How, Mac, Truth};
use interop::vrrp::{Group, Stream, start_ours, wait_master};
use interop::wait;

const HIGH: u8 = 200;
const LOW: u8 = 100;
/// Lost packets that a planned change may cost.
const LOST_MAX: u64 = 1;
const V4: Mac = [0, 0, 0x5e, 0, 1, 50];
const V6: Mac = [0, 0, 0x5e, 0, 2, 50];

/// What a group of routers promises.
struct Promise {
    addresses: Vec<IpAddr>,
    mac: Mac,
}

impl Promise {
    fn of(group: &Group, mac: Mac) -> Self {
        let address = |text: &String| -> IpAddr {
            let text = text.split('/').next().unwrap_or(text);
            text.parse().expect("an address")
        };
        Self {
            addresses: group.addresses.iter().map(address).collect(),
            mac,
        }
    }

    /// Nobody says of the addresses, or with the virtual MAC, anything but the promise.
    #[track_caller]
    fn is_kept(&self, claims: &[Claim]) {
        for claim in claims {
            let advert = claim.how == How::Advert;
            let about = self.addresses.contains(&claim.address);
            if about {
                assert_eq!((claim.mac, claim.source), (self.mac, self.mac), "{claim:?}");
            }
            if claim.mac == self.mac || claim.source == self.mac {
                assert!(about || advert, "the MAC of others: {claim:?}");
            }
            if advert && self.mac[0] == 0 {
                assert_eq!(claim.source, self.mac, "{claim:?}");
            }
        }
    }
}

fn with_virtual_mac(group: Group) -> Group {
    Group {
        more_ours: "virtual-mac = true\n".to_owned(),
        more_keepalived: "  use_vmac\n".to_owned(),
        ..group
    }
}

/// Something planned happens under a stream.
#[track_caller]
fn planned(group: &Group, client: &Node, what: &str, act: impl FnOnce()) {
    let stream = Stream::start(client, group, 4);
    act();
    let (sent, lost) = stream.finish();
    eprintln!("MEASURED {what}: {lost} of {sent} packets lost");
    assert!(sent > 500, "{what}: the stream ran");
    assert!(lost <= LOST_MAX, "{what}: {lost} of {sent} packets lost");
}

/// The MAC address `client` has for the group's address.
fn learned(client: &Node, group: &Group) -> String {
    let shown = client.json("ip", &["-j", "neigh", "show", "to", group.address()]);
    shown.unwrap_or_default()[0]["lladdr"].to_string()
}

/// Two of ours: stop, return, split, crash; nobody ever says anything but the truth.
fn story(lab: &mut Lab, group: &Group, mac: Mac) {
    let (one, two, client) = (lab.node("one"), lab.node("two"), lab.node("client"));
    let promise = Promise::of(group, mac);
    let truth = Truth::start(&[&one, &two]);
    group.ours(&one, HIGH);
    group.ours(&two, LOW);
    wait_master(group, &one, &two, 15);
    // Neighbors that know nothing ask: only the master answers.
    promise.is_kept(&truth.take());
    planned(group, &client, "nothing", || {});
    client.sh(&format!("ip neigh flush to {} || true", group.address()));
    planned(group, &client, "asking anew", || {});
    let heard = truth.take();
    promise.is_kept(&heard);
    assert!(heard.iter().all(|claim| claim.node == 0), "{heard:?}");
    let text = format!("\"{}\"", mac.map(|octet| format!("{octet:02x}")).join(":"));
    assert_eq!(learned(&client, group), text);
    planned(group, &client, "stop", || {
        one.signal("TERM", "wayfare-vrrpd");
        wait_master(group, &two, &one, 10);
        wait::until_true("it ends", 10, || !one.has_process("wayfare-vrrpd"));
    });
    assert_eq!(one.sh("ip -o link show type macvlan"), "", "no link stays");
    promise.is_kept(&truth.take());
    planned(group, &client, "return", || {
        start_ours(&one);
        wait_master(group, &one, &two, 15);
    });
    promise.is_kept(&truth.take());
    one.kill(&["wayfare-vrrpd"]);
    wait_master(group, &two, &one, 10);
    promise.is_kept(&truth.take());
    planned(group, &client, "return after a crash", || {
        start_ours(&one);
        wait_master(group, &one, &two, 15);
    });
    promise.is_kept(&truth.take());
}

#[test]
fn ipv4_answers_from_the_virtual_mac_alone() {
    enter("ipv4_answers_from_the_virtual_mac_alone", |lab| {
        story(lab, &with_virtual_mac(Group::new(3)), V4);
    });
}

#[test]
fn ipv6_answers_from_the_virtual_mac_alone() {
    enter("ipv6_answers_from_the_virtual_mac_alone", |lab| {
        let group = Group {
            addresses: vec!["fe80::50/64".to_owned(), "fd99::50/64".to_owned()],
            ..Group::new(3)
        };
        story(lab, &with_virtual_mac(group), V6);
    });
}
