//! From inside a lab to an API server outside: a lab has no network but its own.
//!
//! The test's first pass, which is outside, listens on a socket of the file system and hands each
//! connection on to the server; the second pass, inside, listens on the lab's seat and hands each
//! connection to that socket. TLS goes through untouched, so the name in the server's certificate
//! must be told to the client (`tls-server-name`).

use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread;

/// Where the two passes of a test meet.
fn meeting(test: &str) -> PathBuf {
    std::env::temp_dir().join(format!("wayfare-bridge-{test}"))
}

/// Hands connections on to `host:port`, outside.
///
/// # Errors
/// Those of the socket calls.
pub fn outside(test: &str, server: &str) -> io::Result<()> {
    let path = meeting(test);
    // A run that was killed leaves its end behind.
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(path)?;
    let server = server.to_owned();
    thread::spawn(move || {
        for near in listener.incoming().flatten() {
            // A server that is away is a connection that ends at once.
            if let Ok(far) = TcpStream::connect(&server) {
                join(near, far);
            }
        }
    });
    Ok(())
}

/// Hands connections on to the other end, inside; where it listens.
///
/// # Errors
/// Those of the socket calls.
pub fn inside(test: &str, address: IpAddr) -> io::Result<SocketAddr> {
    let path = meeting(test);
    let listener = TcpListener::bind((address, 0))?;
    let local = listener.local_addr()?;
    thread::spawn(move || {
        for near in listener.incoming().flatten() {
            if let Ok(far) = UnixStream::connect(&path) {
                join(far, near);
            }
        }
    });
    Ok(local)
}

/// Copies both ways until each side has ended.
fn join(unix: UnixStream, tcp: TcpStream) {
    let _ = tcp.set_nodelay(true);
    let (Ok(mut unix_reader), Ok(mut tcp_writer)) = (unix.try_clone(), tcp.try_clone()) else {
        return;
    };
    let (mut tcp_reader, mut unix_writer) = (tcp, unix);
    thread::spawn(move || {
        let _ = io::copy(&mut unix_reader, &mut tcp_writer);
        let _ = tcp_writer.shutdown(Shutdown::Write);
    });
    thread::spawn(move || {
        let _ = io::copy(&mut tcp_reader, &mut unix_writer);
        let _ = unix_writer.shutdown(Shutdown::Write);
    });
}
