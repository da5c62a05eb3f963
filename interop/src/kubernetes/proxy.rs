//! A kube-proxy that says what a test wants: the ports that the gate asks, inside a node.
//!
//! Each port is nobody's at first. [`Proxy::say`] makes it answer every request with one status;
//! [`Proxy::hang`] takes connections and answers nothing, as a process without CPU does;
//! [`Proxy::leave`] closes the port with all connections, as the end of the process does. Only the
//! listening sockets are made inside the node's network: a socket stays where it was made, so the
//! threads that serve it are ordinary ones.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use nix::sched::{CloneFlags, setns};
use nix::sys::socket;

use crate::node::Node;

/// Where kube-proxy says whether its rules are up to date.
pub const HEALTH: u16 = 10256;

/// A stub kube-proxy; see the module.
#[derive(Debug)]
pub struct Proxy {
    node: Node,
    ports: Mutex<BTreeMap<u16, Port>>,
}

/// An open port.
#[derive(Debug)]
struct Port {
    listener: Arc<TcpListener>,
    /// The status it answers with; `None`: no answer.
    status: Arc<Mutex<Option<u16>>>,
    connections: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    /// None of its ports is open yet.
    pub fn new(node: &Node) -> Proxy {
        Proxy {
            node: node.clone(),
            ports: Mutex::default(),
        }
    }

    /// Answers on `port` with `status` from now on.
    ///
    /// # Panics
    /// When the port cannot be opened.
    pub fn say(&self, port: u16, status: u16) {
        self.set(port, Some(status));
    }

    /// Takes connections on `port` and answers nothing.
    ///
    /// # Panics
    /// When the port cannot be opened.
    pub fn hang(&self, port: u16) {
        self.set(port, None);
    }

    /// Closes all ports and connections.
    pub fn leave(&self) {
        for port in std::mem::take(&mut *lock(&self.ports)).into_values() {
            // Wakes the thread that accepts; the port is free at once.
            let _ = socket::shutdown(port.listener.as_raw_fd(), socket::Shutdown::Both);
            for connection in lock(&port.connections).drain(..) {
                let _ = connection.shutdown(Shutdown::Both);
            }
        }
    }

    fn set(&self, port: u16, status: Option<u16>) {
        let mut ports = lock(&self.ports);
        let open = ports
            .entry(port)
            .or_insert_with(|| match Port::open(&self.node, port) {
                Ok(open) => open,
                Err(error) => panic!("port {port} of {}: {error}", self.node.name()),
            });
        *lock(&open.status) = status;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Port {
    fn open(node: &Node, port: u16) -> io::Result<Port> {
        let namespace = File::open(format!("/proc/{}/ns/net", node.pid()))?;
        // A thread enters the node's network for good, so one that ends right away.
        let entered = thread::spawn(move || {
            setns(namespace, CloneFlags::CLONE_NEWNET)?;
            TcpListener::bind(("0.0.0.0", port))
        });
        let listener = entered.join().unwrap_or_else(|_| {
            let text = "the thread that binds has panicked";
            Err(io::Error::other(text))
        });
        let open = Port {
            listener: Arc::new(listener?),
            status: Arc::default(),
            connections: Arc::default(),
        };
        let (listener, status) = (open.listener.clone(), open.status.clone());
        let connections = open.connections.clone();
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let Ok(kept) = stream.try_clone() else { return };
                lock(&connections).push(kept);
                let status = status.clone();
                thread::spawn(move || answer(stream, &status));
            }
        });
        Ok(open)
    }
}

/// Answers every request on one connection until it ends.
fn answer(mut stream: TcpStream, status: &Mutex<Option<u16>>) {
    let mut request = [0; 4096];
    while matches!(stream.read(&mut request), Ok(1..)) {
        let Some(code) = *lock(status) else { continue };
        let text = format!("HTTP/1.1 {code} x\r\ncontent-length: 2\r\n\r\n{{}}");
        if stream.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
