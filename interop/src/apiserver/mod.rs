//! A Kubernetes API server for tests: real HTTP, objects in memory, faults on demand.
//!
//! It speaks the part of the protocol that a node agent lives on: list with pages, watch with
//! resume, bookmarks and compaction, tokens with RBAC, writes with status subresources. What an
//! agent must survive can be switched on while it runs ([`Fault`], [`Break`]): both forms of 410,
//! 429 with `Retry-After`, 504, 500, 401, 403 for one kind, connections cut in the middle of a
//! line, answers that never come or come an octet at a time, a restart on the same port, a
//! compaction.
//!
//! It runs in the process of the test, on plain HTTP, so that a test needs no binaries, no
//! certificates and no seconds of start. What it answers is compared with a real API server in
//! `tests/kubernetes_server.rs`; where the two differ, the real one is right.
//!
//! Rooms: [`resources`] (which kinds are served), [`store`] (objects, their history, writes),
//! `rules` (what a write fills in), `http` (requests and answers), `serve` (which request means
//! what), `watch` (streams), `discovery` (what kubectl asks first), [`access`] (tokens and RBAC),
//! [`faults`].

pub mod access;
mod discovery;
pub mod faults;
mod http;
pub mod resources;
mod rules;
mod serve;
pub mod store;
mod watch;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

pub use self::faults::{Act, Break, Fault, Refusal, Verb};
use self::store::Store;

/// How long a port that was just left may refuse to be taken again.
const REBIND_LIMIT: Duration = Duration::from_secs(5);

/// One request as it was answered, for a test that asks what an agent did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Who, by the name RBAC knows.
    pub user: String,
    /// `list`, `watch`, `get`, `create`, `update`, `patch`, `delete`.
    pub verb: &'static str,
    /// `services`, `nodes/status`; empty for what is no resource.
    pub resource: String,
    /// Path and query.
    pub target: String,
    /// The status of the answer; 0 when none was given.
    pub code: u16,
}

/// What can be chosen.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Answer `sendInitialEvents` (Kubernetes 1.27 and later); else it is 422, as before.
    pub streaming_lists: bool,
    /// Between two bookmarks of a watch that asked for them.
    pub bookmark_every: Duration,
    /// Who brings no token at all is the administrator: kubectl sends none without TLS.
    pub is_open: bool,
    /// API groups that are not installed: 404.
    pub absent_groups: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            streaming_lists: false,
            bookmark_every: Duration::from_secs(1),
            is_open: false,
            absent_groups: Vec::new(),
        }
    }
}

pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) access: access::Access,
    pub(crate) faults: faults::Faults,
    pub(crate) settings: Mutex<Settings>,
    asked: Mutex<Vec<Asked>>,
    connections: Mutex<BTreeMap<u64, TcpStream>>,
    is_open: AtomicBool,
}

impl Shared {
    pub(crate) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::SeqCst)
    }

    pub(crate) fn note(&self, asked: Asked) {
        lock(&self.asked).push(asked);
    }
}

/// What a panic of another thread left behind is still data.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running server; it ends when dropped.
pub struct ApiServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    acceptor: Mutex<Option<JoinHandle<()>>>,
}

impl ApiServer {
    /// Starts a server on a free port of `address`.
    ///
    /// # Errors
    /// Those of the socket calls.
    pub fn start(address: IpAddr) -> io::Result<ApiServer> {
        let listener = TcpListener::bind((address, 0))?;
        let server = ApiServer {
            address: listener.local_addr()?,
            acceptor: Mutex::default(),
            shared: Arc::new(Shared {
                store: Store::new(),
                access: access::Access::default(),
                faults: faults::Faults::default(),
                settings: Mutex::default(),
                asked: Mutex::default(),
                connections: Mutex::default(),
                is_open: AtomicBool::new(true),
            }),
        };
        server.accept(listener);
        Ok(server)
    }

    fn accept(&self, listener: TcpListener) {
        let shared = Arc::clone(&self.shared);
        let acceptor = thread::spawn(move || {
            for (stream, number) in listener.incoming().zip(0_u64..) {
                let Ok(stream) = stream else { continue };
                if !shared.is_open() {
                    return;
                }
                if let Ok(copy) = stream.try_clone() {
                    lock(&shared.connections).insert(number, copy);
                }
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    // The copy goes first: the last handle that is closed is what closes.
                    let ended = serve::connection(&shared, stream);
                    lock(&shared.connections).remove(&number);
                    drop(ended);
                });
            }
        });
        *lock(&self.acceptor) = Some(acceptor);
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The objects, for a test that writes them without HTTP.
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// A kubeconfig for a token.
    pub fn kubeconfig(&self, token: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\n\
             clusters: [{{name: test, cluster: {{server: \"http://{}\"}}}}]\n\
             users: [{{name: user, user: {{token: \"{token}\"}}}}]\n\
             contexts: [{{name: test, context: {{cluster: test, user: user}}}}]\n\
             current-context: test\n",
            self.address
        )
    }

    /// A token that may do everything.
    pub fn admin(&self) -> String {
        self.shared.access.token("admin", &["system:masters"])
    }

    /// A token of the service account `NAMESPACE/NAME`; RBAC objects in the store decide.
    pub fn service_account(&self, account: &str) -> String {
        self.shared.access.service_account(account)
    }

    /// Forgets all tokens: the next request of each gets 401.
    pub fn revoke(&self) {
        self.shared.access.revoke();
    }

    /// Changes what can be chosen.
    pub fn configure(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut lock(&self.shared.settings));
    }

    /// From now on requests meet this fault; the first that fits is applied.
    pub fn fault(&self, fault: Fault) {
        self.shared.faults.add(fault);
    }

    /// Takes all faults away; answers that stall are let go.
    pub fn heal(&self) {
        self.shared.faults.clear();
        self.shared.store.wake();
    }

    /// Does this to every watch that is open now.
    pub fn strike(&self, how: Break) {
        self.shared.store.strike(how);
    }

    /// Forgets the history: a watch from before is 410.
    pub fn compact(&self) {
        self.shared.store.compact();
    }

    /// Closes the port and cuts every connection. The objects stay.
    pub fn stop(&self) {
        if !self.shared.is_open.swap(false, Ordering::SeqCst) {
            return;
        }
        // The acceptor looks at the switch once somebody comes.
        let mut to = self.address;
        if to.ip().is_unspecified() {
            to.set_ip(IpAddr::from([127, 0, 0, 1]));
        }
        let _ = TcpStream::connect_timeout(&to, Duration::from_secs(1));
        if let Some(acceptor) = lock(&self.acceptor).take() {
            let _ = acceptor.join();
        }
        for stream in std::mem::take(&mut *lock(&self.shared.connections)).values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.shared.store.wake();
    }

    /// Listens again, on the same port.
    ///
    /// # Errors
    /// Somebody else has taken the port.
    pub fn start_again(&self) -> io::Result<()> {
        let deadline = Instant::now() + REBIND_LIMIT;
        let listener = loop {
            match TcpListener::bind(self.address) {
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => thread::yield_now(),
                Ok(listener) => break listener,
            }
        };
        self.shared.is_open.store(true, Ordering::SeqCst);
        self.accept(listener);
        Ok(())
    }

    /// What was asked since the last call.
    pub fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut lock(&self.shared.asked))
    }

    /// How many watches are open.
    pub fn watches(&self) -> usize {
        self.shared.store.watches()
    }

    /// Makes or replaces an object, its status included, as `kubectl apply` and a controller would.
    ///
    /// # Errors
    /// What the server answers to the request that failed.
    pub fn apply(&self, object: &Value) -> Result<(), Refusal> {
        self.shared.store.apply(object).map(drop)
    }

    /// Deletes an object; `metadata` and kind name it.
    ///
    /// # Errors
    /// What the server answers.
    pub fn delete(&self, object: &Value) -> Result<(), Refusal> {
        self.shared.store.delete_object(object).map(drop)
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests;
