//! One of a hundred reflector clients reads a kilobyte a second while the table changes again and
//! again: the others notice nothing, the daemon spends nothing on it but a bounded buffer, and when
//! it reads on it gets the table as it is by then.
//!
//! The same is played twice, with and without the slow client, and the two are compared. Nothing
//! is judged by the clock: a round of changes ends when all others have it, and each change carries
//! the number of its round in the AS path. The daemon may hold for the slow client what the writer
//! has pulled ahead of the socket (256 KiB, `bgpd::io::writer`) and the log of the update group
//! (4 MiB, `rib::group`): a fraction of what the others are sent meanwhile.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use interop::player::daemon::{Daemon, Usage};
use interop::player::strict::{Reading, Table};
use interop::player::wire::{self, HEADER_LEN, kind};
use interop::player::{feed, namespace};
use ipnet::{IpNet, Ipv4Net};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

const NAME: &str = "one_slow_reader_costs_the_others_nothing";
const ASN: u32 = 65000;
const DAEMON: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
const FEEDER: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 1);
const NEXT_HOP: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 9);
const CLIENTS: u8 = 100;
const PREFIXES: u32 = 2000;
const ROUNDS: u32 = 40;
/// Attributes of a path are made this long, so that few prefixes make many octets.
const COMMUNITIES: u32 = 60;
/// What the daemon may hold on account of the slow client: what was pulled ahead and the log, and
/// as much again for what the allocator makes of it.
const BUFFERS_KIB: u64 = 2 * (256 + (4 << 10));
/// Octets the slow client takes at once, and how often it does.
const SIP_LEN: usize = 1024;
const SIP_EVERY: Duration = Duration::from_secs(1);
/// The slow client's receive buffer.
const SLOW_WINDOW: usize = 16 << 10;
/// Longest wait for anything that has to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which round each prefix was last announced in.
type Rounds = BTreeMap<u32, u32>;

#[test]
fn one_slow_reader_costs_the_others_nothing() {
    if !namespace::entered(NAME) {
        return;
    }
    namespace::run("ip", &["address", "add", "10.1.0.1/16", "dev", "lo"]);
    let without = play(None);
    let with = play(Some(CLIENTS - 1));
    eprintln!("MEASURED without a slow client: {without:?}\nMEASURED with one: {with:?}");
    let extra = with.peak_kib.saturating_sub(without.peak_kib);
    assert!(extra <= BUFFERS_KIB, "{extra} KiB more than without it");
    assert!(
        with.cpu_s <= without.cpu_s * 1.5 + 0.2,
        "{} s of processor time instead of {} s",
        with.cpu_s,
        without.cpu_s
    );
}

/// All rounds against a fresh daemon; what it used by the time the others had everything.
fn play(slow: Option<u8>) -> Usage {
    let daemon = Daemon::start("slow-reader", &config());
    let mut clients: Vec<Client> = (0..CLIENTS)
        .map(|index| Client::new(open(Ipv4Addr::new(10, 1, 2, index)), slow == Some(index)))
        .collect();
    let mut feeder = open(FEEDER);
    let mut model = Rounds::new();
    for round in 1..=ROUNDS {
        let octets = changes(round, &mut model);
        std::thread::scope(|scope| {
            let feeder = &mut feeder;
            scope.spawn(move || feeder.write_all(&octets).expect("the daemon reads"));
            read_until(&mut clients, |client| {
                client.is_slow || client.rounds == model
            });
        });
    }
    let used = daemon.usage();
    if let Some(slow) = slow {
        let history = clients[0].octets;
        let slow = &mut clients[usize::from(slow)];
        assert_ne!(slow.rounds, model, "it would have been fast enough");
        slow.is_slow = false;
        set_window(&slow.stream, 1 << 20);
        slow.strict = Some(Table::default());
        // A refresh tells it everything again, to be read strictly; it also ends the wait of a
        // daemon that would have forgotten this client.
        read_until(std::slice::from_mut(slow), |client| client.rounds == model);
        let told = slow.octets;
        assert!(
            told * 2 < history,
            "{told} octets of {history}: not coalesced"
        );
        slow.stream
            .set_nonblocking(false)
            .and_then(|()| {
                slow.stream
                    .write_all(&wire::message(kind::ROUTE_REFRESH, &[0, 1, 0, 1]))
            })
            .expect("the daemon reads");
        slow.stream.set_nonblocking(true).expect("a socket");
        let complete = |client: &Client| {
            let routes = client.strict.as_ref().map(|table| table.routes.len());
            routes == Some(model.len())
        };
        read_until(std::slice::from_mut(slow), complete);
        check(slow, &model);
    }
    used
}

/// A session from `local`, confirmed by both sides.
fn open(local: Ipv4Addr) -> TcpStream {
    let target = SocketAddr::new(DAEMON.into(), 179);
    let deadline = Instant::now() + PATIENCE;
    let mut stream: TcpStream = loop {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.expect("a socket");
        let address = SocketAddr::new(local.into(), 0);
        socket.bind(&address.into()).expect("an address of ours");
        match socket.connect(&target.into()) {
            Ok(()) => break socket.into(),
            // Its control socket was there before it listened.
            Err(_) if Instant::now() < deadline => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    };
    let capabilities = [
        wire::multiprotocol(1, 1),
        wire::capability(65, &ASN.to_be_bytes()),
    ];
    let greeting = wire::open(ASN, 180, local.octets(), &capabilities);
    for (ours, theirs) in [(greeting, kind::OPEN), (wire::keepalive(), kind::KEEPALIVE)] {
        stream.write_all(&ours).expect("the daemon reads");
        let mut header = [0; HEADER_LEN];
        stream.read_exact(&mut header).expect("the daemon answers");
        assert_eq!(header[18], theirs);
        let len = usize::from(u16::from_be_bytes([header[16], header[17]]));
        let mut body = vec![0; len - HEADER_LEN];
        stream.read_exact(&mut body).expect("the daemon answers");
    }
    stream
}

fn config() -> String {
    format!(
        "[router]\nasn = {ASN}\nrouter-id = \"{DAEMON}\"\nlisten = [\"{DAEMON}:179\"]\n\
         \n[[peer-group]]\nname = \"clients\"\nasn = \"internal\"\nroute-reflector-client = true\n\
         \n[[listen-range]]\nprefix = \"10.1.0.0/16\"\npeer-group = \"clients\"\n"
    )
}

fn net(index: u32) -> IpNet {
    let address = Ipv4Addr::from((20 << 24) + (index << 8));
    Ipv4Net::new(address, 24).expect("a length below 32").into()
}

fn communities(index: u32, round: u32) -> Vec<u8> {
    let values = (0..COMMUNITIES).map(|n| (n + 1) << 16 | (index + round) & 0xffff);
    values.flat_map(u32::to_be_bytes).collect()
}

/// Every prefix anew, but for one in twenty, which goes.
fn changes(round: u32, model: &mut Rounds) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut gone = Vec::new();
    for index in 0..PREFIXES {
        if index % 20 == round % 20 {
            gone.push(net(index));
            model.remove(&index);
            continue;
        }
        let attributes = [
            wire::attribute(0x40, 1, &[0]),
            wire::attribute(0x40, 2, &wire::as_sequence(&[65001, round])),
            wire::attribute(0x40, 3, &NEXT_HOP.octets()),
            wire::attribute(0x40, 5, &100_u32.to_be_bytes()),
            wire::attribute(0xc0, 8, &communities(index, round)),
        ];
        octets.extend(wire::update(
            &[],
            &attributes.concat(),
            &wire::nlri(net(index)),
        ));
        model.insert(index, round);
    }
    octets.extend(feed::withdraw(&gone));
    octets
}

/// What the kernel may keep for a client: without, the slow one would be as fast as its kernel.
fn set_window(stream: &TcpStream, len: usize) {
    let socket = socket2::SockRef::from(stream);
    socket.set_recv_buffer_size(len).expect("a socket");
}

/// One reflector client.
struct Client {
    stream: TcpStream,
    is_slow: bool,
    /// When a slow one reads next.
    due: Instant,
    carry: Vec<u8>,
    rounds: Rounds,
    octets: usize,
    strict: Option<Table>,
}

impl Client {
    fn new(stream: TcpStream, is_slow: bool) -> Self {
        stream.set_nonblocking(true).expect("a socket");
        if is_slow {
            set_window(&stream, SLOW_WINDOW);
        }
        Self {
            stream,
            is_slow,
            due: Instant::now(),
            carry: Vec::new(),
            rounds: Rounds::new(),
            octets: 0,
            strict: None,
        }
    }

    /// Reads what is there, or a sip of it.
    fn read(&mut self, buffer: &mut [u8]) {
        let mut room = buffer.len();
        if self.is_slow {
            if Instant::now() < self.due {
                return;
            }
            self.due = Instant::now() + SIP_EVERY;
            room = SIP_LEN;
        }
        match self.stream.read(&mut buffer[..room]) {
            Ok(0) => panic!("the daemon closed a session"),
            Ok(len) => self.take(&buffer[..len]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
    }

    fn take(&mut self, octets: &[u8]) {
        self.octets += octets.len();
        self.carry.extend_from_slice(octets);
        let mut at = 0;
        while let Some(header) = self.carry.get(at..at + HEADER_LEN) {
            let len = usize::from(u16::from_be_bytes([header[16], header[17]]));
            let kind = header[18];
            let Some(body) = self.carry.get(at + HEADER_LEN..at + len) else {
                break;
            };
            assert_ne!(kind, kind::NOTIFICATION, "{body:02x?}");
            if kind == kind::UPDATE {
                note(&mut self.rounds, body);
                if let Some(table) = &mut self.strict {
                    let reading = Reading {
                        four_octet_as: true,
                        external: false,
                    };
                    table.read(body, reading).expect("well-formed");
                }
            }
            at += len;
        }
        self.carry.drain(..at);
    }
}

/// What an UPDATE changes, by the last AS of its path.
fn note(rounds: &mut Rounds, body: &[u8]) {
    let section = |at: usize| usize::from(u16::from_be_bytes([body[at], body[at + 1]]));
    let (withdrawn, rest) = body[2..].split_at(section(0));
    let attributes = &rest[2..][..section(2 + withdrawn.len())];
    let announced = &rest[2 + attributes.len()..];
    for prefix in indices(withdrawn) {
        rounds.remove(&prefix);
    }
    // ORIGIN takes 4 octets, then AS_PATH: 3 of header, type, length and two numbers.
    if let Some(last) = attributes.get(13..17) {
        let round = u32::from_be_bytes([last[0], last[1], last[2], last[3]]);
        rounds.extend(indices(announced).map(|prefix| (prefix, round)));
    }
}

/// Prefixes of NLRI, all of them /24.
fn indices(nlri: &[u8]) -> impl Iterator<Item = u32> {
    nlri.chunks_exact(4).map(|nlri| {
        assert_eq!(nlri[..2], [24, 20], "{nlri:02x?}");
        u32::from(u16::from_be_bytes([nlri[2], nlri[3]]))
    })
}

fn read_until(clients: &mut [Client], done: impl Fn(&Client) -> bool) {
    let mut buffer = vec![0; 1 << 18];
    let deadline = Instant::now() + PATIENCE;
    while !clients.iter().all(&done) {
        assert!(Instant::now() < deadline, "what is missing does not come");
        let fast = clients.iter().filter(|client| !client.is_slow);
        let mut polled: Vec<PollFd<'_>> = fast
            .map(|client| PollFd::new(client.stream.as_fd(), PollFlags::POLLIN))
            .collect();
        poll(&mut polled, PollTimeout::from(1000_u16)).expect("sockets");
        for client in clients.iter_mut() {
            client.read(&mut buffer);
        }
    }
}

/// What the refresh told the slow client is the model's table in every attribute.
fn check(client: &Client, model: &Rounds) {
    let table = client.strict.as_ref().expect("read strictly");
    for (index, round) in model {
        let entry = table.routes.get(&net(*index)).expect("in the model");
        assert_eq!(entry.next_hop, NEXT_HOP);
        let path = wire::as_sequence(&[65001, *round]);
        assert_eq!(entry.attribute(2), Some((0x40, &path[..])));
        let communities = communities(*index, *round);
        assert_eq!(entry.attribute(8), Some((0xc0, &communities[..])));
    }
}
