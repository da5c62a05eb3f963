//! Listening sockets: bind, keep the keys on them, accept.
//!
//! Each address of `router.listen` has a task of its own. A refused bind is no reason to stop a
//! router: sessions that we open ourselves work without it. So the task says once what is wrong and
//! what cures it, and tries again until the address is there (an address that comes up later, a
//! second daemon that goes away).
//!
//! Sockets for IPv6 are v6-only, so `0.0.0.0:179` and `[::]:179` do not fight over the port. The
//! backlog is [`BACKLOG`]: a cluster that powers up connects in the same second, and connections
//! that fall out of the queue come back only after the sender's retransmission timer.
//!
//! TCP-MD5 keys (RFC 2385) live on the listening socket, because the kernel checks the very first
//! segment. The TTL is 255 there too: a neighbor with GTSM (RFC 5082) drops any lower SYN+ACK.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;

use ipnet::IpNet;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::connector::apply_hop_limits;
use super::node::Node;
use super::{conn, sockopt};
use crate::speaker::port::{Admission, Md5Key};

/// Connections the kernel keeps for us until we accept them.
const BACKLOG: i32 = 4096;
/// First pause after a refused bind; it doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_secs(1);
/// Longest pause between two attempts to bind.
const RETRY_MAX: Duration = Duration::from_secs(15);
/// Pause after `accept` failed for lack of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// All listening sockets and the keys that belong on each of them.
#[derive(Debug, Default)]
pub struct Listeners {
    open: RefCell<BTreeMap<SocketAddr, Listener>>,
    keys: RefCell<BTreeMap<IpNet, Md5Key>>,
    /// Where and for whom the kernel refused a key: who would connect there without one.
    unprotected: RefCell<BTreeSet<(SocketAddr, IpNet)>>,
}

#[derive(Debug)]
struct Listener {
    stop: CancellationToken,
    socket: Option<Rc<TcpListener>>,
}

impl Listeners {
    /// Starts and stops tasks so that exactly `wanted` is listened on.
    pub fn set_addresses(&self, node: &Rc<Node>, wanted: &[SocketAddr]) {
        let mut open = self.open.borrow_mut();
        open.retain(|address, listener| {
            let keep = wanted.contains(address);
            if !keep {
                listener.stop.cancel();
            }
            keep
        });
        for &address in wanted {
            open.entry(address).or_insert_with(|| {
                let stop = CancellationToken::new();
                let task = listen(Rc::clone(node), address, stop.clone());
                tokio::task::spawn_local(task);
                Listener { stop, socket: None }
            });
        }
    }

    /// Sets or takes away the key for connections from `prefix`, on every socket there is or will
    /// be.
    pub fn set_key(&self, prefix: IpNet, key: Option<Md5Key>) {
        let mut keys = self.keys.borrow_mut();
        for (&address, listener) in self.open.borrow().iter() {
            if let Some(socket) = &listener.socket {
                self.apply_key(address, socket, prefix, key.as_ref());
            }
        }
        match key {
            Some(key) => keys.insert(prefix, key),
            None => keys.remove(&prefix),
        };
    }

    /// Stops all of it: no new connections while the daemon goes down.
    pub fn close(&self) {
        for listener in self.open.borrow().values() {
            listener.stop.cancel();
        }
    }

    fn opened(&self, address: SocketAddr, socket: &Rc<TcpListener>) {
        for (&prefix, key) in self.keys.borrow().iter() {
            self.apply_key(address, socket, prefix, Some(key));
        }
        if let Some(listener) = self.open.borrow_mut().get_mut(&address) {
            listener.socket = Some(Rc::clone(socket));
        }
    }

    fn apply_key(
        &self,
        address: SocketAddr,
        socket: &impl AsFd,
        prefix: IpNet,
        key: Option<&Md5Key>,
    ) {
        let same_family = address.is_ipv4() == matches!(prefix, IpNet::V4(_));
        if !same_family {
            return;
        }
        self.unprotected.borrow_mut().remove(&(address, prefix));
        let bytes = key.map(Md5Key::as_bytes);
        if let Err(error) = sockopt::set_md5_key(socket, prefix, bytes) {
            tracing::error!(%address, %prefix, %error, "TCP-MD5 key refused by the kernel");
            if key.is_some() {
                self.unprotected.borrow_mut().insert((address, prefix));
            }
        }
    }

    /// Whether a connection from `remote` to the socket at `address` came without the key that it
    /// should have: the kernel, out of room for keys (`net.core.optmem_max`), cannot ask for it.
    fn lacks_key(&self, address: SocketAddr, remote: IpAddr) -> bool {
        let unprotected = self.unprotected.borrow();
        let mut here = unprotected.iter().filter(|(at, _)| *at == address);
        here.any(|(_, prefix)| prefix.contains(&remote))
    }

    fn closed(&self, address: SocketAddr, socket: &Rc<TcpListener>) {
        // The address may have been taken away and given again: then this is a newer socket.
        if let Some(listener) = self.open.borrow_mut().get_mut(&address)
            && listener
                .socket
                .as_ref()
                .is_some_and(|open| Rc::ptr_eq(open, socket))
        {
            listener.socket = None;
        }
    }
}

/// Binds (again and again if need be) and accepts until stopped.
async fn listen(node: Rc<Node>, address: SocketAddr, stop: CancellationToken) {
    let mut pause = RETRY_MIN;
    let mut said: Option<ErrorKind> = None;
    loop {
        match bind(address) {
            Ok(socket) => {
                tracing::info!(%address, "listening");
                (pause, said) = (RETRY_MIN, None);
                let socket = Rc::new(socket);
                node.listeners.opened(address, &socket);
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = accept(&node, &socket, address) => {}
                }
                node.listeners.closed(address, &socket);
            }
            Err(error) => {
                if said != Some(error.kind()) {
                    let cure = cure(&error, address);
                    tracing::error!(%address, %error, cure, "cannot listen; trying again");
                    said = Some(error.kind());
                }
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (pause * 2).min(RETRY_MAX);
            }
        }
        if stop.is_cancelled() {
            return;
        }
    }
}

/// What an operator can do about a refused bind.
fn cure(error: &io::Error, address: SocketAddr) -> &'static str {
    match error.kind() {
        ErrorKind::PermissionDenied if address.port() < 1024 => {
            "ports below 1024 need CAP_NET_BIND_SERVICE: run as the unit does, \
             or set another port in router.listen"
        }
        ErrorKind::AddrInUse => "another program listens there: `ss -ltnp` names it",
        ErrorKind::AddrNotAvailable => "no interface has this address yet",
        _ => "listen = [] in [router] turns listening off",
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
        socket.set_unicast_hops_v6(255)?;
    } else {
        socket.set_ttl_v4(255)?;
    }
    // A restart must not wait for connections of the last life in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

async fn accept(node: &Rc<Node>, socket: &TcpListener, address: SocketAddr) {
    loop {
        match socket.accept().await {
            // Dropped as the kernel would have done, had it taken the key.
            Ok((_, remote)) if node.listeners.lacks_key(address, remote.ip()) => {
                tracing::debug!(%remote, "connection refused: the kernel did not take its key");
            }
            Ok((stream, remote)) => admit(node, stream, remote),
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn admit(node: &Rc<Node>, stream: TcpStream, remote: SocketAddr) {
    let Ok(local) = stream.local_addr() else {
        return;
    };
    match node.step(|speaker, now| speaker.handle_accept(now, local, remote)) {
        Admission::Accepted { conn, options } => {
            // Refused options close the connection: dropping the stream does.
            if let Err(error) = apply_hop_limits(&stream, &options) {
                tracing::debug!(%remote, %error, "socket options refused");
                let kind = error.kind();
                node.step(|speaker, now| speaker.handle_accept_failed(now, conn, kind));
                return;
            }
            conn::spawn(node, conn, stream);
        }
        // Dropping the stream closes it. RFC 4271 §8.2.1.1: connections from addresses that are
        // not configured are refused without a word, so that a scan learns nothing.
        Admission::Refused => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key the kernel has no room for must not open the door to everybody.
    #[test]
    fn nobody_gets_in_without_a_key_that_the_kernel_refused() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = socket.local_addr().expect("bound");
        let listeners = Listeners::default();
        let prefix: IpNet = "10.0.0.0/24".parse().expect("a prefix");
        // Longer than a key may be: refused wherever the test runs.
        let key = Md5Key::new(&[b'k'; 200]);
        listeners.apply_key(address, &socket, prefix, Some(&key));
        let inside = "10.0.0.9".parse().expect("an address");
        assert!(listeners.lacks_key(address, inside));
        assert!(!listeners.lacks_key(address, "10.0.1.9".parse().expect("an address")));
        listeners.apply_key(address, &socket, prefix, None);
        assert!(
            !listeners.lacks_key(address, inside),
            "no key is asked for any more"
        );
    }
}
