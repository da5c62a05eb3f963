//! ADD-PATH (RFC 7911) with each implementation, received and sent: two speakers announce one
//! prefix to the sender, and the receiver holds both paths; a path's end is passed on too.

use interop::lab::Lab;
use interop::peers::{Kind, Router};
use interop::scenario::{Draft, PEER_ASN, plain_update, speak};
use interop::speaker::{AddPath, Neighbor, Speaker};
use interop::with_each;

with_each!(
    receive,
    [],
    add_path_receive_with_bird = Bird,
    add_path_receive_with_frr = Frr
);
with_each!(receive, [], add_path_receive_with_gobgp = Gobgp);
with_each!(receive, [], add_path_receive_with_openbgpd = Openbgpd);
with_each!(
    send,
    [],
    add_path_send_with_bird = Bird,
    add_path_send_with_frr = Frr
);
with_each!(
    send,
    [],
    add_path_send_with_gobgp = Gobgp,
    add_path_send_with_openbgpd = Openbgpd
);

const PREFIX: &str = "192.0.2.0/24";
const FEEDERS: [(u8, u32); 2] = [(201, 65101), (202, 65102)];

fn receive(lab: &mut Lab, kind: Kind) {
    let mut draft = Draft::new(lab, kind, PEER_ASN)
        .dut_side(|n| n.add_path(AddPath::Receive))
        .peer_side(|n| n.add_path(AddPath::Send));
    draft.peer = with_feeders(draft.peer, 2);
    let pair = draft.start();
    pair.wait_established();
    two_paths(lab, &pair.peer, &pair.dut, PEER_ASN);
    pair.check_packets();
}

fn send(lab: &mut Lab, kind: Kind) {
    let mut draft = Draft::new(lab, kind, PEER_ASN)
        .dut_side(|n| n.add_path(AddPath::Send))
        .peer_side(|n| n.add_path(AddPath::Receive));
    draft.dut = with_feeders(draft.dut, 1);
    let pair = draft.start();
    pair.wait_established();
    two_paths(lab, &pair.dut, &pair.peer, pair.dut.speaker.asn);
    pair.check_packets();
}

fn with_feeders(mut speaker: Speaker, node: u8) -> Speaker {
    for (number, asn) in FEEDERS {
        let feeder = Neighbor::new(Lab::address(node), Lab::address(number), asn).passive();
        speaker = speaker.neighbor(feeder.only_ipv4());
    }
    speaker
}

/// Feeds two paths to `sender` and looks at `receiver`; then takes one back.
fn two_paths(lab: &Lab, sender: &Router, receiver: &Router, sender_asn: u32) {
    let address = sender.speaker.neighbors[0].local;
    let mut feeders: Vec<_> = FEEDERS
        .iter()
        .map(|(number, asn)| {
            let mut feeder = speak(lab, *number, address, *asn, true);
            let update = plain_update(PREFIX, &[*asn], Lab::address(*number), &[]);
            feeder.send(&update).expect("the router reads");
            feeder
        })
        .collect();
    let mut paths: Vec<_> = receiver
        .wait_paths(PREFIX, 2)
        .into_iter()
        .map(|path| path.as_path)
        .collect();
    paths.sort();
    assert_eq!(paths, [[sender_asn, 65101], [sender_asn, 65102]]);
    drop(feeders.remove(0));
    let left = receiver.wait_paths(PREFIX, 1);
    assert_eq!(left[0].as_path, [sender_asn, 65102]);
}
