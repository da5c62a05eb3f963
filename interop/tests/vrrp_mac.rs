//! The virtual MAC address, and the truth about addresses on the wire (tests 15 and 17 of the
//! design): who says that an address is where, at every port, through stops, returns and crashes.
//!
//! The switch learns, and forwards to a port what it has learned there: a frame from the virtual
//! MAC that leaves the wrong router at the wrong time costs a client everything until the next
//! advert, so the bar of one lost packet is a test of silence too. The kernel's settings are the
//! worst a host can have, as well as its defaults.

use std::net::IpAddr;
use std::time::Duration;

use interop::lab::{Lab, enter};
use interop::node::Node;
use interop::vrrp::truth::{Claim, How, Mac, Truth};
use interop::vrrp::watch::{Fact, Seen, Sign, Watch, now};
use interop::vrrp::{Group, Stream, holds, show, start_ours, wait_master};
use interop::wait;

const HIGH: u8 = 200;
const LOW: u8 = 100;
/// Lost packets that a planned change may cost.
const LOST_MAX: usize = 1;
const V4: Mac = [0, 0, 0x5e, 0, 1, 50];
const V6: Mac = [0, 0, 0x5e, 0, 2, 50];

/// What makes every link of a host answer for every address of it, and doubt who asks.
const HOSTILE: &str = "for link in all default eth0; do\n\
    cd /proc/sys/net/ipv4/conf/$link\n\
    echo 0 >arp_ignore; echo 0 >arp_announce; echo 1 >proxy_arp; echo 1 >accept_local\n\
    echo 1 >arp_accept; echo 1 >arp_notify; echo 1 >rp_filter\n\
    cd /proc/sys/net/ipv6/conf/$link\n\
    echo 2 >accept_ra; echo 1 >proxy_ndp; echo 1 >accept_dad; echo 1 >ndisc_notify\n\
    done\n";
/// The node's addresses move from `eth0` to the link `wan`.
const MOVE: &str = "ip addr flush dev eth0\n\
    ip addr add 10.99.0.$n/24 dev wan; ip addr add fd99::$n/64 dev wan nodad; ip link set wan up\n";

/// What a group of routers promises.
struct Promise {
    addresses: Vec<IpAddr>,
    /// Of each node.
    macs: Vec<Mac>,
}

impl Promise {
    fn of(group: &Group, nodes: [&Node; 2], mac: Option<Mac>) -> Self {
        let address = |text: &String| -> IpAddr {
            let text = text.split('/').next().unwrap_or(text);
            text.parse().expect("an address")
        };
        let own = |node: &Node| {
            let shown = node.json("ip", &["-j", "link", "show", group.interface]);
            let shown = shown.expect("the link is there");
            let octets = shown[0]["address"].as_str().unwrap_or_default().split(':');
            let octets: Vec<u8> = octets
                .filter_map(|it| u8::from_str_radix(it, 16).ok())
                .collect();
            octets.try_into().expect("six octets")
        };
        Self {
            addresses: group.addresses.iter().map(address).collect(),
            macs: nodes.map(|node| mac.unwrap_or_else(|| own(node))).to_vec(),
        }
    }

    /// Nobody says of the addresses, or with the virtual MAC, anything but the promise.
    #[track_caller]
    fn is_kept(&self, truth: &Truth) -> Vec<Claim> {
        let claims = truth.take();
        for claim in &claims {
            let mac = self.macs[claim.node];
            let advert = claim.how == How::Advert;
            let about = self.addresses.contains(&claim.address);
            if about || advert {
                assert_eq!((claim.mac, claim.source), (mac, mac), "{claim:?}");
            }
            let of_virtual = claim.mac[..4] == V4[..4] || claim.source[..4] == V4[..4];
            assert!(
                about || advert || !of_virtual,
                "the virtual MAC of others: {claim:?}"
            );
        }
        claims
    }
}

fn ipv4() -> Group {
    Group::new(3)
}

fn ipv6() -> Group {
    Group {
        addresses: vec!["fe80::50/64".to_owned(), "fd99::50/64".to_owned()],
        ..Group::new(3)
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
    let stream = Stream::start(client, group);
    act();
    stream.finish().demand(what, LOST_MAX);
}

fn forget(client: &Node, group: &Group) {
    client.sh(&format!("ip neigh flush to {} || true", group.address()));
}

/// Two of ours: asked anew, stop, return; nobody ever says anything but the truth.
fn story<'g>(lab: &mut Lab, group: &'g Group, mac: Option<Mac>, prepare: &str) -> Stage<'g> {
    let (one, two, client) = (lab.node("one"), lab.node("two"), lab.node("client"));
    for node in [&one, &two] {
        node.sh(&format!("n={}\n{prepare}", node.index()));
    }
    let promise = Promise::of(group, [&one, &two], mac);
    let truth = Truth::start(&[&one, &two]);
    group.ours(&one, HIGH);
    group.ours(&two, LOW);
    wait_master(group, &one, &two, 15);
    promise.is_kept(&truth);
    forget(&client, group);
    planned(group, &client, "asking anew", || {});
    // Neighbors that know nothing ask: only the master answers.
    let heard = promise.is_kept(&truth);
    let about = |claim: &&Claim| promise.addresses.contains(&claim.address);
    let backup = heard.iter().filter(about).find(|claim| claim.node != 0);
    assert_eq!(backup, None);
    let answered = heard
        .iter()
        .filter(about)
        .any(|claim| matches!(claim.how, How::ArpReply | How::Advertisement));
    assert!(answered, "{heard:?}");
    planned(group, &client, "stop", || {
        one.signal("TERM", "wayfare-vrrpd");
        wait_master(group, &two, &one, 10);
        wait::until_true("it ends", 10, || !one.has_process("wayfare-vrrpd"));
    });
    promise.is_kept(&truth);
    planned(group, &client, "return", || {
        start_ours(&one);
        wait_master(group, &one, &two, 15);
    });
    promise.is_kept(&truth);
    Stage {
        group,
        one,
        two,
        client,
        promise,
        truth,
    }
}

/// Where a story goes on.
struct Stage<'g> {
    group: &'g Group,
    one: Node,
    two: Node,
    client: Node,
    promise: Promise,
    truth: Truth,
}

impl Stage<'_> {
    /// Killed, back, cut off and healed.
    fn goes_wrong(&self, lab: &Lab) {
        let (group, one, two) = (self.group, &self.one, &self.two);
        one.kill(&["wayfare-vrrpd"]);
        wait_master(group, two, one, 10);
        planned(group, &self.client, "return after a crash", || {
            start_ours(one);
            wait_master(group, one, two, 15);
        });
        self.promise.is_kept(&self.truth);
        // Two masters, for as long as they cannot hear each other.
        let port = Lab::port(two, "eth0");
        lab.lan("aside");
        lab.ip(&format!("link set {port} master aside"));
        wait::until_true("both are masters", 10, || {
            holds(one, group) && holds(two, group)
        });
        lab.ip(&format!("link set {port} master br0"));
        wait_master(group, one, two, 10);
        planned(group, &self.client, "after the split", || {});
        self.promise.is_kept(&self.truth);
        for node in [one, two] {
            let failed = node.sh("ip -o -6 addr show dadfailed; ip -o -6 addr show tentative");
            assert_eq!(failed, "", "test 17: no address failed");
        }
        one.signal("TERM", "wayfare-vrrpd");
        wait::until_true("it ends", 10, || !one.has_process("wayfare-vrrpd"));
        assert_eq!(one.sh("ip -o link show type macvlan"), "", "no link stays");
    }
}

#[test]
fn ipv4_is_at_its_virtual_mac_alone() {
    enter("ipv4_is_at_its_virtual_mac_alone", |lab| {
        let group = with_virtual_mac(ipv4());
        story(lab, &group, Some(V4), "").goes_wrong(lab);
    });
}

#[test]
fn ipv6_is_at_its_virtual_mac_alone() {
    enter("ipv6_is_at_its_virtual_mac_alone", |lab| {
        let group = with_virtual_mac(ipv6());
        story(lab, &group, Some(V6), "").goes_wrong(lab);
    });
}

#[test]
fn a_hostile_host_tells_the_truth_of_ipv4() {
    enter("a_hostile_host_tells_the_truth_of_ipv4", |lab| {
        let group = with_virtual_mac(ipv4());
        story(lab, &group, Some(V4), HOSTILE).goes_wrong(lab);
    });
}

#[test]
fn a_hostile_host_tells_the_truth_of_ipv6() {
    enter("a_hostile_host_tells_the_truth_of_ipv6", |lab| {
        let group = with_virtual_mac(ipv6());
        story(lab, &group, Some(V6), HOSTILE).goes_wrong(lab);
    });
}

#[test]
fn a_hostile_host_tells_the_truth_of_its_own_mac() {
    enter("a_hostile_host_tells_the_truth_of_its_own_mac", |lab| {
        story(lab, &ipv4(), None, HOSTILE);
    });
}

#[test]
fn a_hostile_host_tells_the_truth_of_its_own_mac_in_ipv6() {
    enter(
        "a_hostile_host_tells_the_truth_of_its_own_mac_in_ipv6",
        |lab| {
            story(lab, &ipv6(), None, HOSTILE).goes_wrong(lab);
        },
    );
}

/// A link of another kind under the virtual router.
fn on_a(lab: &mut Lab, kind: &str, make: &str, virtual_mac: bool) {
    let probe = format!("link add probe {}", make.replace("$over", "link br0"));
    let output = lab
        .root_command("ip")
        .args(probe.split_whitespace())
        .output();
    let output = output.expect("ip is in the root");
    if !output.status.success() {
        return eprintln!("SKIPPED parent {kind}: not in this kernel");
    }
    lab.ip("link del probe");
    let enslave = if make.contains("$over") {
        ""
    } else {
        "ip link set eth0 down\n\
        ip link set eth0 master wan\nip link set eth0 up\n"
    };
    let make = make.replace("$over", "link eth0");
    let prepare = format!("ip link add wan {make}\n{enslave}{MOVE}");
    let group = Group {
        interface: "wan",
        ..ipv4()
    };
    let (group, mac) = match virtual_mac {
        true => (with_virtual_mac(group), Some(V4)),
        false => (group, None),
    };
    story(lab, &group, mac, &prepare);
}

#[test]
fn a_bridge_as_parent() {
    enter("a_bridge_as_parent", |lab| {
        on_a(lab, "bridge", "type bridge", true)
    });
}

#[test]
fn a_bridge_as_interface() {
    enter("a_bridge_as_interface", |lab| {
        on_a(lab, "bridge", "type bridge", false)
    });
}

#[test]
fn a_macvlan_as_parent() {
    enter("a_macvlan_as_parent", |lab| {
        on_a(lab, "macvlan", "$over type macvlan mode bridge", true);
    });
}

#[test]
fn a_bond_as_parent() {
    enter("a_bond_as_parent", |lab| {
        on_a(lab, "bond", "type bond mode active-backup miimon 100", true);
    });
}

#[test]
fn a_vlan_as_parent() {
    enter("a_vlan_as_parent", |lab| {
        on_a(lab, "vlan", "$over type vlan id 7", true);
    });
}

/// Settings and links are as they must be whatever somebody does to them, and given back.
#[test]
fn what_is_set_is_watched_and_given_back() {
    enter("what_is_set_is_watched_and_given_back", |lab| {
        let group = with_virtual_mac(ipv4());
        let one = lab.node("one");
        let client = lab.node("client");
        let setting = |link: &str, name: &str| {
            let path = format!("/proc/sys/net/ipv4/conf/{link}/{name}");
            one.sh(&format!("cat {path}")).trim().to_owned()
        };
        let parent = || {
            (
                setting("eth0", "arp_ignore"),
                setting("eth0", "arp_announce"),
            )
        };
        let pair = |one: &str, two: &str| (one.to_owned(), two.to_owned());
        group.ours(&one, HIGH);
        let answered = || client.output("ping", &["-c1", "-W1", group.address()]);
        wait::until("the address answers", 15, answered);
        assert_eq!(parent(), pair("1", "2"));
        let link = one.sh("ip -o link show type macvlan | cut -d: -f2 | cut -d@ -f1");
        let link = link.trim();
        assert!(link.starts_with("vrrp4-50-"), "{link}");
        one.sh("echo 0 >/proc/sys/net/ipv4/conf/eth0/arp_ignore");
        one.sh(&format!(
            "echo 0 >/proc/sys/net/ipv4/conf/{link}/arp_ignore"
        ));
        wait::until_true("settings are back", 5, || {
            parent() == pair("1", "2") && setting(link, "arp_ignore") == "1"
        });
        one.sh(&format!("ip link set {link} down"));
        wait::until("the link is up again", 5, answered);
        one.sh(&format!("ip link del {link}"));
        wait::until("the link is made again", 5, answered);
        assert_eq!(show(&one).expect("it answers")[0]["state"], "Master");
        // A crash leaves a link without addresses; a start without a wish for it removes it.
        one.kill(&["wayfare-vrrpd"]);
        wait::until_true("the address expires", 5, || !holds(&one, &group));
        assert_ne!(one.sh("ip -o link show type macvlan"), "");
        ipv4().ours(&one, HIGH);
        wait::until_true("it is removed, and settings are given back", 5, || {
            let links = one.sh("ip -o link show type macvlan");
            links.is_empty() && parent() == pair("0", "0")
        });
        one.kill(&["wayfare-vrrpd"]);
        wait::until_true("it is gone", 10, || !one.has_process("wayfare-vrrpd"));
        group.ours(&one, HIGH);
        assert_eq!(parent(), pair("1", "2"));
        one.signal("TERM", "wayfare-vrrpd");
        wait::until_true("it ends", 10, || !one.has_process("wayfare-vrrpd"));
        assert_eq!(parent(), pair("0", "0"));
        assert_eq!(one.sh("ip -o link show type macvlan"), "");
    });
}

/// A daemon that is killed while it makes a link leaves one without a name tag.
#[test]
fn an_unfinished_link_is_no_obstacle() {
    enter("an_unfinished_link_is_no_obstacle", |lab| {
        let group = with_virtual_mac(ipv4());
        let (one, client) = (lab.node("one"), lab.node("client"));
        let add = |name: &str, mac: &str| {
            format!("ip link add {name} link eth0 address {mac} type macvlan mode bridge")
        };
        let own = "vrrp4-50-$(ip -o link show eth0 | cut -d: -f1)";
        let unfinished = add(own, "00:00:5e:00:01:32");
        let links = || one.sh("ip -o link show type macvlan");
        one.sh(&unfinished);
        // As FRR's manual has it: another's.
        one.sh(&add("vrrp4-2-1", "00:00:5e:00:01:05"));
        one.sh("/opt/wayfare/wayfare cleanup vrrp");
        assert!(!links().contains("vrrp4-50-"), "{}", links());
        assert!(links().contains("vrrp4-2-1"), "{}", links());
        one.sh(&unfinished);
        group.ours(&one, HIGH);
        let answered = || client.output("ping", &["-c1", "-W1", group.address()]);
        wait::until("the address answers", 15, answered);
        assert!(links().contains("alias wayfare-vrrpd"), "{}", links());
    });
}

/// keepalived's virtual MAC on the other side: it answers requests for its address whoever asks,
/// from the same MAC, until it has let go. As a successor it sends its advert, which turns the
/// switch, before it has the address: what is lost in between is its own, and is measured.
#[test]
fn beside_keepalived_with_its_virtual_mac() {
    enter("beside_keepalived_with_its_virtual_mac", |lab| {
        let group = with_virtual_mac(ipv4());
        let (ours, theirs, client) = (lab.node("ours"), lab.node("ka"), lab.node("client"));
        let address = group.address().parse().expect("an address");
        let watch = Watch::start(&[(&theirs, Sign::Address(address))]);
        group.keepalived(&theirs, LOW);
        wait_master(&group, &theirs, &ours, 15);
        planned(&group, &client, "first takeover", || {
            group.ours(&ours, HIGH);
            wait_master(&group, &ours, &theirs, 15);
        });
        let stream = Stream::start(&client, &group);
        let from = now();
        ours.signal("TERM", "wayfare-vrrpd");
        wait_master(&group, &theirs, &ours, 10);
        let echoes = stream.finish();
        let gap = without_address(&watch.since(from));
        eprintln!("MEASURED stop: {gap:?} of keepalived's own");
        let excused = usize::try_from(gap.as_millis()).expect("it is short");
        echoes.demand("stop beside keepalived", LOST_MAX + excused);
        wait::until_true("it ends", 10, || !ours.has_process("wayfare-vrrpd"));
        planned(&group, &client, "return", || {
            start_ours(&ours);
            wait_master(&group, &ours, &theirs, 15);
        });
    });
}

/// From the first advert of a new master until its kernel has the address.
fn without_address(seen: &[Seen]) -> Duration {
    let advert = seen
        .iter()
        .find(|one| matches!(one.fact, Fact::Advert(1..)));
    let holds = seen.iter().find(|one| one.fact == Fact::Holds(true));
    let (advert, holds) = (advert.expect("it spoke"), holds.expect("it took over"));
    // A stream of one packet per millisecond rounds in our disfavour.
    holds.at.saturating_sub(advert.at) + Duration::from_micros(999)
}
