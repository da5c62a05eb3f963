//! Anything may arrive, in any order: no panic, no growth, and the invariants hold.
//!
//! Random bytes as frames, and random sequences of every input. After each step: at most two
//! connections, an Established one is alone, Up and Down alternate, and once the outputs are
//! drained nothing is left that a timer or an input would not bring back.

use proptest::prelude::*;

use super::*;

/// One arbitrary input.
#[derive(Clone, Debug)]
enum Step {
    Start,
    Stop,
    Reset(u8),
    Accept,
    DialSucceeds,
    DialFails,
    Close(u8),
    Frame(u8, Vec<u8>),
    Open(u8, bool),
    Keepalive(u8),
    Update(u8),
    Notification(u8, u8, u8),
    Pass(u16),
    Refresh,
}

fn step() -> impl Strategy<Value = Step> {
    use Step::*;
    prop_oneof![
        Just(Start),
        Just(Stop),
        any::<u8>().prop_map(Reset),
        Just(Accept),
        Just(DialSucceeds),
        Just(DialFails),
        any::<u8>().prop_map(Close),
        (any::<u8>(), arbitrary_frame()).prop_map(|(conn, frame)| Frame(conn, frame)),
        (any::<u8>(), any::<bool>()).prop_map(|(conn, high)| Open(conn, high)),
        (any::<u8>(), any::<bool>()).prop_map(|(conn, high)| Open(conn, high)),
        any::<u8>().prop_map(Keepalive),
        any::<u8>().prop_map(Keepalive),
        any::<u8>().prop_map(Update),
        (any::<u8>(), 0..9u8, 0..12u8).prop_map(|(conn, c, s)| Notification(conn, c, s)),
        (0..400u16).prop_map(Pass),
        Just(Refresh),
    ]
}

/// A header of any type with any body, or no frame at all.
fn arbitrary_frame() -> impl Strategy<Value = Vec<u8>> {
    let body = prop::collection::vec(any::<u8>(), 0..80);
    prop_oneof![
        (0..8u8, body.clone()).prop_map(|(kind, body)| message(kind, &body)),
        body,
    ]
}

fn pick(bench: &mut Bench, choice: u8) -> ConnId {
    let conns: Vec<_> = bench.peer.conns.iter().map(|conn| conn.id).collect();
    match conns.get(usize::from(choice) % (conns.len() + 1)) {
        Some(conn) => *conn,
        None => ConnId {
            peer: 7,
            serial: u32::from(choice),
        },
    }
}

fn play(bench: &mut Bench, step: Step) {
    match step {
        Step::Start => bench.command(Command::Start),
        Step::Stop => bench.command(Command::Stop(shutdown("bye"))),
        Step::Reset(n) => {
            let restart = match n % 4 {
                0 => Restart::AtOnce,
                1 => Restart::Damped,
                2 => Restart::After(Duration::from_secs(30)),
                _ => Restart::Never,
            };
            bench.command(Command::Reset(reset(), restart));
        }
        Step::Accept => {
            bench.accept();
        }
        Step::DialSucceeds | Step::DialFails => {
            let Some(dial) = bench.peer.dial else { return };
            match step {
                Step::DialSucceeds => bench.open(dial, Direction::Outbound),
                _ => bench.conn(dial, ConnEvent::Failed(std::io::ErrorKind::TimedOut)),
            }
        }
        Step::Close(n) => {
            let conn = pick(bench, n);
            bench.conn(conn, ConnEvent::Closed(None));
        }
        Step::Frame(n, frame) => frame_to(bench, n, &frame),
        Step::Open(n, high) => {
            let router_id = if high { high_id() } else { low_id() };
            frame_to(
                bench,
                n,
                &Open {
                    router_id,
                    ..remote_open()
                }
                .to_bytes(),
            );
        }
        Step::Keepalive(n) => frame_to(bench, n, &KEEPALIVE),
        Step::Update(n) => frame_to(bench, n, &update()),
        Step::Notification(n, c, s) => frame_to(bench, n, &Notification::new(c, s).to_bytes()),
        Step::Pass(seconds) => bench.pass(Duration::from_secs(u64::from(seconds))),
        Step::Refresh => {
            let refresh = proto_codec::bgp::RouteRefresh::request(AfiSafi::IPV4_UNICAST);
            let _ = bench.peer.send_refresh(refresh);
        }
    }
}

fn frame_to(bench: &mut Bench, choice: u8, frame: &[u8]) {
    let conn = pick(bench, choice);
    bench.frame(conn, frame);
}

fn check(bench: &mut Bench, up: &mut Option<ConnId>) {
    for action in std::mem::take(&mut bench.actions) {
        match action {
            Action::Up(established) => assert_eq!(up.replace(established.conn), None),
            Action::Down(down) => assert_eq!(up.take(), Some(down.conn)),
            _ => {}
        }
    }
    let peer = &bench.peer;
    let established = peer
        .conns
        .iter()
        .filter(|c| c.state() == State::Established)
        .count();
    assert!(peer.conns.len() <= 2);
    assert!(established == 0 || peer.conns.len() == 1 && peer.dial.is_none());
    assert_eq!(peer.state() == State::Established, up.is_some());
    if peer.state() == State::Idle {
        assert!(peer.dial.is_none());
    }
    // Whoever wants a session either has a way forward by time, or waits for the other side.
    let waiting = peer.state() == State::Active && peer.config.passive;
    if matches!(peer.state(), State::Connect | State::Active) && !waiting {
        assert!(peer.poll_timeout().is_some(), "stuck in {}", peer.state());
    }
    for conn in peer.conns.iter().map(|conn| conn.id).collect::<Vec<_>>() {
        assert!(bench.sent(conn).len() <= OUTBOX_MAX);
    }
}

fn settings() -> ProptestConfig {
    ProptestConfig {
        cases: 512,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(settings())]

    #[test]
    fn any_sequence_of_inputs_keeps_the_invariants(
        steps in prop::collection::vec(step(), 0..80),
        passive in any::<bool>(),
    ) {
        let mut bench = Bench::new(PeerConfig { passive, ..config() });
        let mut up = None;
        for step in steps {
            play(&mut bench, step);
            check(&mut bench, &mut up);
        }
    }

    #[test]
    fn any_bytes_in_any_state_are_answered_without_a_panic(
        state in 3..6usize,
        frames in prop::collection::vec(arbitrary_frame(), 1..10),
    ) {
        let (mut bench, conn) = Bench::dialled(config(), State::ALL[state]);
        for frame in frames {
            bench.frame(conn, &frame);
        }
        bench.pass(Duration::from_secs(600));
    }

    #[test]
    fn mutated_opens_end_in_openconfirm_or_in_an_open_error(
        at in 19..60usize, value in any::<u8>(),
    ) {
        let (mut bench, conn) = Bench::dialled(config(), State::OpenSent);
        let mut open = remote_open().to_bytes().to_vec();
        if let Some(octet) = open.get_mut(at) {
            *octet = value;
        }
        bench.frame(conn, &open);
        match bench.peer.state() {
            State::OpenConfirm => {}
            State::Idle => assert_eq!(bench.farewell().map(|n| n.code), Some(OPEN_CODE)),
            other => panic!("{other}"),
        }
    }
}
