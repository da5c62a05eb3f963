//! One plain session: opened, confirmed, and handed over as a blocking stream.
//!
//! For tests that play a few speakers in ways of their own, where [`super::fleet`], which drives
//! all speakers of a run in one thread, would be too much.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::player::wire::{self, HEADER_LEN, kind};

/// Opens a session from `local` and confirms it; returns when the daemon has confirmed, too.
///
/// # Errors
/// Those of the socket, and what the daemon sent instead of OPEN and KEEPALIVE.
pub fn open(local: Ipv4Addr, daemon: SocketAddr, asn: u32) -> io::Result<TcpStream> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match try_open(local, daemon, asn) {
            Ok(stream) => return Ok(stream),
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn try_open(local: Ipv4Addr, daemon: SocketAddr, asn: u32) -> io::Result<TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(local.into(), 0).into())?;
    socket.connect_timeout(&daemon.into(), Duration::from_secs(5))?;
    let mut stream: TcpStream = socket.into();
    stream.set_nodelay(true)?;
    let capabilities = [
        wire::multiprotocol(1, 1),
        wire::capability(65, &asn.to_be_bytes()),
    ];
    stream.write_all(&wire::open(asn, 180, local.octets(), &capabilities))?;
    expect(&mut stream, kind::OPEN)?;
    stream.write_all(&wire::keepalive())?;
    expect(&mut stream, kind::KEEPALIVE)?;
    Ok(stream)
}

fn expect(stream: &mut TcpStream, wanted: u8) -> io::Result<()> {
    let mut header = [0_u8; HEADER_LEN];
    stream.read_exact(&mut header)?;
    let len = usize::from(u16::from_be_bytes([header[16], header[17]]));
    let mut body = vec![0_u8; len.saturating_sub(HEADER_LEN)];
    stream.read_exact(&mut body)?;
    if header[18] == wanted {
        return Ok(());
    }
    let text = format!(
        "message of type {} instead of {wanted}: {body:02x?}",
        header[18]
    );
    Err(io::Error::other(text))
}
