//! RFC 4271 §8.2.2 as one table: every event in every state, the refused ones included.
//!
//! A row is an event, a column a state of a peer whose own dial led there (Idle: stopped). Cells:
//! `=` nothing at all happens; `-` the timer does not run in this state, so the event cannot
//! occur; `State` the state after; `State:c/s` the same with this NOTIFICATION sent; `State!` the
//! same with a refusal (event 15) of the new connection only. Each transition must carry the
//! event number of the row. Where we differ from the RFC the row says why.

use std::io::ErrorKind;

use proto_codec::bgp::Framer;

use super::*;

/// What happens to the peer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Input {
    Start,
    Stop,
    Reset,
    Expires(Timer),
    /// A connection of the peer is accepted.
    Accepted,
    /// Our dial succeeds.
    Acked,
    Fails,
    Open,
    HeaderErr,
    OpenErr,
    /// The neighbor's second connection wins the collision.
    CollisionDump,
    NotifVersion,
    Notif,
    Keepalive,
    Update,
    UpdateErr,
    Refresh,
}

type Row = (Input, u8, &'static str);

#[rustfmt::skip]
const TABLE: &[Row] = &[
    // event                        Idle    Connect  Active   OpenSent    OpenConfirm Established
    (Input::Start, 1,              "Connect =        =        =           =           ="),
    (Input::Stop, 2,               "=       Idle     Idle     Idle:6/2    Idle:6/2    Idle:6/2"),
    // A stopped peer stays stopped whatever the system wants.
    (Input::Reset, 8,              "=       Idle     Idle     Idle:6/4    Idle:6/4    Idle:6/4"),
    (Input::Expires(Timer::ConnectRetry), 9,
                                   "-       Connect  Connect  -           -           -"),
    (Input::Expires(Timer::Hold), 10,
                                   "-       -        -        Idle:4/0    Idle:4/0    Idle:4/0"),
    (Input::Expires(Timer::Keepalive), 11,
                                   "-       -        -        -           =           ="),
    // The column Idle is a stopped peer; a held-down one is in `time`.
    (Input::Expires(Timer::IdleHold), 13,
                                   "-       -        -        -           -           -"),
    (Input::Expires(Timer::SendHold), 29,
                                   "-       -        -        -           -           Idle:8/0"),
    // With a dial in Connect both connections go on; the collision is decided by the OPENs.
    (Input::Accepted, 17,
                                   "Idle!   OpenSent OpenSent OpenSent    OpenConfirm Established!"),
    (Input::Acked, 16,             "=       OpenSent =        =           =           ="),
    // Connect goes to Active, not to Idle: a peer that refuses our dial may still dial us. So do
    // BIRD and FRR.
    (Input::Fails, 18,             "=       Active   =        Active      Idle        Idle"),
    (Input::Open, 19,              "=       =        =        OpenConfirm Idle:5/2    Idle:5/3"),
    (Input::HeaderErr, 21,         "=       =        =        Idle:1/1    Idle:1/1    Idle:1/1"),
    (Input::OpenErr, 22,           "=       =        =        Idle:2/2    Idle:5/2    Idle:5/3"),
    // The winner's OPEN ends ours; in Established the newcomer is turned away before it.
    (Input::CollisionDump, 23,     "=       =        =        OpenConfirm OpenConfirm ="),
    (Input::NotifVersion, 24,      "=       =        =        Idle        Idle        Idle"),
    (Input::Notif, 25,             "=       =        =        Idle        Idle        Idle"),
    (Input::Keepalive, 26,         "=       =        =        Idle:5/1    Established ="),
    (Input::Update, 27,            "=       =        =        Idle:5/1    Idle:5/2    ="),
    (Input::UpdateErr, 28,         "=       =        =        Idle:3/1    Idle:3/1    Idle:3/1"),
    (Input::Refresh, 27,           "=       =        =        Idle:5/1    Idle:5/2    ="),
];

/// A peer in this state and the connection that led there; in states without one, a stale id.
fn reach(state: State) -> (Bench, ConnId) {
    let mut bench = match state {
        State::Idle => Bench::new(config()),
        State::Connect | State::Active => Bench::started(config()),
        _ => return Bench::dialled(config(), state),
    };
    let dial = bench.peer.dial.unwrap_or_else(|| bench.peer.accept_id());
    if state == State::Active {
        bench.conn(dial, ConnEvent::Failed(ErrorKind::ConnectionRefused));
    }
    assert_eq!(bench.peer.state(), state);
    bench.actions.clear();
    (bench, dial)
}

/// Plays the input; false when it cannot occur because its timer does not run.
fn play(bench: &mut Bench, conn: ConnId, input: Input) -> bool {
    let now = bench.now;
    match input {
        Input::Start => bench.command(Command::Start),
        Input::Stop => bench.command(Command::Stop(shutdown("maintenance"))),
        Input::Reset => bench.command(Command::Reset(reset(), Restart::Never)),
        Input::Expires(Timer::SendHold) => {
            let Some(at) = bench.peer.timer(Timer::SendHold) else {
                return false;
            };
            // Keep the peer's side of the session alive up to that moment.
            bench.now = at;
            bench.frame(conn, &KEEPALIVE);
            return bench.expire(Timer::SendHold);
        }
        Input::Expires(timer) => return bench.expire(timer),
        Input::Accepted => {
            bench.accept();
        }
        Input::Acked => bench.open(conn, Direction::Outbound),
        Input::Fails if bench.peer.state() == State::Connect => {
            bench.conn(conn, ConnEvent::Failed(ErrorKind::ConnectionRefused));
        }
        Input::Fails => bench.conn(conn, ConnEvent::Closed(Some(ErrorKind::ConnectionReset))),
        Input::HeaderErr => {
            let mut framer = Framer::new();
            framer.push_slice(&[0; 19]);
            let error = framer.next_frame().expect_err("no marker");
            bench.peer.handle_frame_error(now, conn, &error);
        }
        Input::CollisionDump => collide(bench, conn),
        Input::UpdateErr => bench
            .peer
            .send_notification(now, conn, Notification::new(3, 1)),
        _ => {
            bench.frame(conn, &message_of(input));
        }
    }
    bench.collect();
    true
}

fn message_of(input: Input) -> Vec<u8> {
    match input {
        Input::Open => remote_open().to_bytes().to_vec(),
        Input::OpenErr => Open {
            asn: 1,
            ..remote_open()
        }
        .to_bytes()
        .to_vec(),
        Input::NotifVersion => Notification::new(2, 1).to_bytes().to_vec(),
        Input::Notif => Notification::new(6, 4).to_bytes().to_vec(),
        Input::Keepalive => KEEPALIVE.to_vec(),
        Input::Update => update(),
        Input::Refresh => message(5, &[0, 1, 0, 1]),
        other => panic!("{other:?} is no message"),
    }
}

/// The neighbor has the higher identifier and shows an OPEN on a connection of its own.
fn collide(bench: &mut Bench, conn: ConnId) {
    if bench.peer.view().is_none() || bench.peer.state() == State::Established {
        return;
    }
    let open = Open {
        router_id: high_id(),
        ..remote_open()
    };
    let inbound = bench.accept();
    if bench.peer.state() == State::OpenSent {
        bench.frame(inbound, &open.to_bytes());
        // Nothing is lost before both have shown an OPEN.
        assert!(!bench.closed(conn));
        bench.actions.clear();
        bench.frame(conn, &open.to_bytes());
    } else {
        bench.actions.clear();
        bench.frame(inbound, &open.to_bytes());
    }
    assert!(bench.closed(conn) && !bench.closed(inbound));
    assert_eq!(code(bench.farewell()), Some((6, 7)));
    // Only the loser's end is compared with the row.
    bench.actions.retain(|action| {
        matches!(action, Action::Transition(t) if t.cause.event == Event::OpenCollisionDump)
    });
}

/// What happened, written as the table's cells are.
fn outcome(bench: &Bench) -> String {
    if bench.actions.is_empty() {
        return "=".to_owned();
    }
    let state = bench.peer.state().name();
    let refused = |t: &&Transition| t.cause.event == Event::TcpConnectionInvalid;
    if bench.transitions().iter().any(refused) {
        return format!("{state}!");
    }
    match bench.farewell() {
        Some(n) => format!("{state}:{}/{}", n.code, n.subcode),
        None => state.to_owned(),
    }
}

#[test]
fn every_event_in_every_state_rfc4271_8_2_2() {
    let mut wrong = Vec::new();
    for &(input, event, cells) in TABLE {
        for (state, expected) in State::ALL.into_iter().zip(cells.split_whitespace()) {
            let (mut bench, conn) = reach(state);
            let found = match play(&mut bench, conn, input) {
                true => outcome(&bench),
                false => "-".to_owned(),
            };
            // A late success of a dial given up is answered by a close, which is no transition.
            let found = match input {
                Input::Acked if bench.transitions().is_empty() => "=".to_owned(),
                _ => found,
            };
            if found != expected {
                wrong.push(format!(
                    "{input:?} in {state}: {found}, expected {expected}"
                ));
            }
            for transition in bench.transitions() {
                let refused = expected.ends_with('!');
                let number = match input {
                    _ if refused => 15,
                    // An OPEN that comes too late is refused unread.
                    Input::OpenErr if state > State::OpenSent => 19,
                    _ => event,
                };
                if transition.cause.event.number() != number {
                    wrong.push(format!("{input:?} in {state}: cause {}", transition.cause));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_input_is_in_the_table() {
    let timers = [
        Timer::ConnectRetry,
        Timer::Hold,
        Timer::Keepalive,
        Timer::IdleHold,
    ];
    for timer in timers.into_iter().chain([Timer::SendHold]) {
        assert!(
            TABLE
                .iter()
                .any(|(input, ..)| *input == Input::Expires(timer)),
            "{timer:?}"
        );
    }
    assert_eq!(TABLE.len(), 21);
}

#[test]
fn leaving_established_is_always_reported_before_the_close() {
    for &(input, _, cells) in TABLE {
        let (mut bench, conn) = reach(State::Established);
        play(&mut bench, conn, input);
        let left = cells
            .split_whitespace()
            .last()
            .is_some_and(|cell| cell.starts_with("Idle"));
        assert_eq!(bench.downs().len(), usize::from(left), "{input:?}");
        let down = bench
            .actions
            .iter()
            .position(|a| matches!(a, Action::Down(_)));
        let close = bench
            .actions
            .iter()
            .position(|a| matches!(a, Action::Close { .. }));
        if let (Some(down), Some(close)) = (down, close) {
            assert!(down < close, "{input:?}");
        }
    }
}

#[test]
fn unexpected_message_names_its_type_in_the_data_rfc6608_4() {
    for (state, kind, frame) in [
        (State::OpenSent, 4, KEEPALIVE.to_vec()),
        (State::OpenConfirm, 2, update()),
        (State::OpenConfirm, 1, remote_open().to_bytes().to_vec()),
        (State::Established, 1, remote_open().to_bytes().to_vec()),
    ] {
        let (mut bench, conn) = reach(state);
        bench.frame(conn, &frame);
        let farewell = bench.farewell().expect("an FSM error");
        assert_eq!(farewell.data.as_ref(), [kind], "{state}");
    }
}

#[test]
fn update_outside_established_never_reaches_the_caller() {
    for state in State::ALL {
        let (mut bench, conn) = reach(state);
        let consumed = bench.frame(conn, &update());
        assert_eq!(consumed, state != State::Established, "{state}");
    }
}
