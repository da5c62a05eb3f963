//! Connections that we open.
//!
//! The session machine decides when to dial and how long to wait (ConnectRetryTimer, RFC 4271
//! §8.2.2); the connector only does it. Keys and hop limits are set before the SYN leaves, because
//! the other side judges that very packet: TCP-MD5 (RFC 2385), GTSM (RFC 5082: TTL 255 out, a
//! minimum on what comes in). A local address is bound without a port and with
//! `IP_BIND_ADDRESS_NO_PORT` left to the kernel's default; the port is free to choose.
//!
//! An attempt that the speaker gives up (timer, operator, collision) is aborted through its handle
//! like an open connection, so there is one way to end both.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::rc::Rc;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpSocket, TcpStream};

use super::conn::{self, ConnHandle};
use super::node::Node;
use super::sockopt;
use crate::speaker::port::{ConnectRequest, SocketOptions};

/// Starts dialling; the outcome reaches the speaker as an event.
pub fn spawn(node: &Rc<Node>, request: ConnectRequest) {
    let handle = ConnHandle::default();
    node.conns.borrow_mut().insert(request.conn, handle.clone());
    let node = Rc::clone(node);
    tokio::task::spawn_local(async move {
        let outcome = tokio::select! {
            outcome = connect(&request) => outcome,
            () = handle.abort.cancelled() => Err(io::ErrorKind::ConnectionAborted.into()),
            () = handle.closing.cancelled() => Err(io::ErrorKind::ConnectionAborted.into()),
        };
        node.conns.borrow_mut().remove(&request.conn);
        match outcome.and_then(|stream| Ok((stream.local_addr()?, stream.peer_addr()?, stream))) {
            // The socket's own idea of the other end: it knows the scope of a link-local address.
            Ok((local, remote, stream)) => {
                let wanted = node.step(|speaker, now| {
                    speaker.handle_connected(now, request.conn, local, remote)
                });
                // Given up in the very moment it succeeded: dropping the stream closes it.
                if wanted {
                    conn::spawn(&node, request.conn, stream);
                }
            }
            Err(error) => {
                let kind = error.kind();
                tracing::debug!(remote = %request.remote, %error, "cannot connect");
                node.step(|speaker, now| speaker.handle_connect_failed(now, request.conn, kind));
            }
        }
    });
}

async fn connect(request: &ConnectRequest) -> io::Result<TcpStream> {
    let socket = Socket::new(
        Domain::for_address(request.remote),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    if let Some(key) = &request.options.md5_key {
        let host = ipnet::IpNet::from(request.remote.ip());
        sockopt::set_md5_key(&socket, host, Some(key.as_bytes()))?;
    }
    apply_hop_limits(&socket, &request.options)?;
    let remote = with_scope(request.remote, request.interface.as_deref())?;
    if let Some(local) = request.local {
        let local = with_scope(SocketAddr::new(local, 0), request.interface.as_deref())?;
        socket.bind(&local.into())?;
    }
    TcpSocket::from_std_stream(socket.into())
        .connect(remote)
        .await
}

/// Sets TTL and least TTL, on sockets that dial and on those that were accepted.
///
/// # Errors
/// `Unsupported`, with what the kernel says: the connection would not keep what the configuration
/// promises and must not be used. A session without the check that GTSM (RFC 5082 §3) is would be
/// open to everybody whom it was to keep out.
pub fn apply_hop_limits(socket: &impl AsFd, options: &SocketOptions) -> io::Result<()> {
    let refused = |error: io::Error| io::Error::new(io::ErrorKind::Unsupported, error);
    if let Some(ttl) = options.ttl {
        sockopt::set_ttl(socket, ttl).map_err(refused)?;
    }
    if let Some(ttl_min) = options.ttl_min {
        sockopt::set_ttl_min(socket, ttl_min).map_err(refused)?;
    }
    Ok(())
}

/// A link-local address means nothing without its interface.
fn with_scope(address: SocketAddr, interface: Option<&str>) -> io::Result<SocketAddr> {
    match (address, interface) {
        (SocketAddr::V6(mut v6), Some(interface)) if v6.ip().is_unicast_link_local() => {
            v6.set_scope_id(nix::net::if_::if_nametoindex(interface)?);
            Ok(SocketAddr::V6(v6))
        }
        _ => Ok(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel that refuses the option is played by a socket that has no TTL.
    #[test]
    fn a_refused_hop_limit_is_no_connection() {
        let (socket, _other) = std::os::unix::net::UnixStream::pair().expect("a pair");
        let options = SocketOptions {
            ttl_min: Some(255),
            ..SocketOptions::default()
        };
        let error = apply_hop_limits(&socket, &options).expect_err("no TTL here");
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert!(apply_hop_limits(&socket, &SocketOptions::default()).is_ok());
    }
}
