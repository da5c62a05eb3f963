//! TCP-MD5 and TTL rules on the loopback interface, as a neighbor would meet them.
//!
//! Loopback routes do not decrement the TTL, so distance is simulated by sending with a lower
//! one. A refused segment is dropped without an answer; each refusal is therefore a connection
//! attempt with a short time limit, never a sleep.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use socket2::{Socket, Type};

use super::*;

const REFUSED_AFTER: Duration = Duration::from_millis(400);
const ACCEPTED_WITHIN: Duration = Duration::from_secs(10);

fn net(text: &str) -> IpNet {
    text.parse().expect("a prefix")
}

fn stream(address: SocketAddr) -> Socket {
    Socket::new(Domain::for_address(address), Type::STREAM, None).expect("socket")
}

fn listener(address: &str) -> (Socket, SocketAddr) {
    let address: SocketAddr = address.parse().expect("an address");
    let socket = stream(address);
    if address.is_ipv6() {
        socket.set_only_v6(false).expect("dual stack");
    }
    socket.bind(&address.into()).expect("bind");
    socket.listen(8).expect("listen");
    let bound = socket
        .local_addr()
        .expect("bound")
        .as_socket()
        .expect("inet");
    (socket, bound)
}

/// Sets a key, or says that this kernel has no TCP-MD5 and returns false.
fn key(name: &str, socket: &Socket, peer: &str, key: &[u8]) -> bool {
    match set_md5_key(socket, net(peer), Some(key)) {
        Ok(()) => true,
        Err(e) if e.raw_os_error() == Some(libc::ENOPROTOOPT) => {
            eprintln!("SKIPPED {name}: this kernel has no TCP-MD5");
            false
        }
        Err(e) => panic!("{name}: {e}"),
    }
}

/// Dials with an optional key for `peer`; whether the connection came up.
fn dial(to: SocketAddr, peer: &str, md5: Option<&[u8]>, within: Duration) -> bool {
    let socket = stream(to);
    if let Some(md5) = md5 {
        set_md5_key(&socket, net(peer), Some(md5)).expect("key on the dialling socket");
    }
    match socket.connect_timeout(&to.into(), within) {
        Ok(()) => true,
        Err(e) if e.kind() == ErrorKind::TimedOut => false,
        Err(e) => panic!("dial {to}: {e}"),
    }
}

/// The three dials every key must decide alike: right key, wrong key, none.
fn check_key(name: &str, listen: &str, key_for: &str, dial_to: Option<Ipv4Addr>, peer: &str) {
    let (socket, mut to) = listener(listen);
    if let Some(v4) = dial_to {
        to.set_ip(v4.into());
    }
    if !key(name, &socket, key_for, b"secret") {
        return;
    }
    assert!(
        dial(to, peer, Some(b"secret"), ACCEPTED_WITHIN),
        "right key"
    );
    assert!(
        !dial(to, peer, Some(b"wrong"), REFUSED_AFTER),
        "wrong key must be refused"
    );
    assert!(
        !dial(to, peer, None, REFUSED_AFTER),
        "no key must be refused"
    );
}

#[test]
fn md5_key_of_an_ipv4_address_rfc2385() {
    check_key(
        "md5_v4",
        "127.0.0.1:0",
        "127.0.0.1/32",
        None,
        "127.0.0.1/32",
    );
}

#[test]
fn md5_key_of_an_ipv6_address_rfc2385() {
    check_key("md5_v6", "[::1]:0", "::1/128", None, "::1/128");
}

#[test]
fn md5_key_of_an_ipv4_prefix() {
    check_key(
        "md5_prefix_v4",
        "127.0.0.1:0",
        "127.0.0.0/8",
        None,
        "127.0.0.1/32",
    );
}

#[test]
fn md5_key_of_an_ipv6_prefix() {
    check_key("md5_prefix_v6", "[::1]:0", "::/64", None, "::1/128");
}

#[test]
fn md5_key_of_an_ipv4_neighbor_on_a_dual_stack_listener() {
    let v4 = Some(Ipv4Addr::LOCALHOST);
    check_key("md5_mapped", "[::]:0", "127.0.0.1/32", v4, "127.0.0.1/32");
}

#[test]
fn md5_key_is_removed_by_none() {
    let (socket, to) = listener("127.0.0.1:0");
    if !key("md5_removed", &socket, "127.0.0.1/32", b"secret") {
        return;
    }
    set_md5_key(&socket, net("127.0.0.1/32"), None).expect("remove");
    assert!(dial(to, "127.0.0.1/32", None, ACCEPTED_WITHIN));
    let again = set_md5_key(&socket, net("127.0.0.1/32"), None).expect_err("nothing to remove");
    assert_eq!(again.kind(), ErrorKind::NotFound);
}

#[test]
fn md5_key_too_long_is_refused_before_the_kernel() {
    let (socket, _) = listener("127.0.0.1:0");
    let long = [7; MD5_KEY_LEN_MAX + 1];
    let error = set_md5_key(&socket, net("127.0.0.1/32"), Some(&long)).expect_err("81 octets");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

/// Whether a byte sent with `ttl` arrives at an accepted socket with the minimum `ttl_min`.
fn byte_arrives(listen: &str, ttl: u8, ttl_min: u8) -> bool {
    let (listening, to) = listener(listen);
    set_ttl(&listening, 255).expect("listener");
    let mut dialler = stream(to);
    set_ttl(&dialler, ttl).expect("TTL");
    dialler
        .connect_timeout(&to.into(), ACCEPTED_WITHIN)
        .expect("connect");
    let (mut accepted, _) = listening.accept().expect("accept");
    set_ttl_min(&accepted, ttl_min).expect("minimum");
    let limit = if ttl >= ttl_min {
        ACCEPTED_WITHIN
    } else {
        REFUSED_AFTER
    };
    accepted.set_read_timeout(Some(limit)).expect("limit");
    dialler.write_all(b"x").expect("write");
    matches!(accepted.read(&mut [0; 1]), Ok(1))
}

#[test]
fn gtsm_drops_what_comes_from_far_away_rfc5082_3() {
    for listen in ["127.0.0.1:0", "[::1]:0"] {
        assert!(byte_arrives(listen, 255, 255), "{listen} same link");
        assert!(!byte_arrives(listen, 64, 255), "{listen} TTL 64");
        assert!(!byte_arrives(listen, 253, 254), "{listen} one hop too far");
        assert!(byte_arrives(listen, 254, 254), "{listen} two hops");
        assert!(byte_arrives(listen, 1, 0), "{listen} no minimum");
    }
}

#[test]
fn gtsm_dialler_is_answered_by_a_listener_with_ttl_255() {
    for listen in ["127.0.0.1:0", "[::1]:0"] {
        let (listening, to) = listener(listen);
        set_ttl(&listening, 255).expect("listener");
        let dialler = stream(to);
        set_ttl(&dialler, 255).expect("TTL");
        set_ttl_min(&dialler, 255).expect("minimum");
        dialler
            .connect_timeout(&to.into(), ACCEPTED_WITHIN)
            .expect("the SYN-ACK has TTL 255");
    }
}
