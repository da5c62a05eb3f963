//! The daemon's end of the control socket.
//!
//! [`Server::bind`] takes the socket, [`Server::recv`] yields one [`Call`] per request whose caller
//! has the right to make it. The daemon answers through [`Replies`], whenever it likes and from
//! wherever it likes; a task per connection turns replies into frames.
//!
//! Back-pressure: a reply channel holds [`REPLIES_MAX`] rows. When a client reads slowly the
//! channel fills, [`Replies::row`] waits (or [`Replies::try_row`] says `Full`), and the daemon's
//! scan simply stops there: nothing is queued for a pager. A daemon that scans a table keeps a
//! cursor and goes on when [`Replies::ready`] resolves.
//!
//! Bounds: [`CONNECTIONS_MAX`] connections, one request at a time on each, [`CALLS_MAX`] requests
//! waiting for the daemon. When all places are taken, `places` says who makes room. Two daemons on
//! one socket are refused by a lock file beside the socket, which the kernel releases when its
//! holder dies; a socket left by a dead daemon is removed.

mod connection;
mod places;
mod replies;
#[cfg(test)]
mod tests;

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proto_codec::control::{Hello, Request};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub use crate::access::{Access, Credentials};
use places::{Caller, IDLE_TIME_MIN, Place, Places, Seat};
pub use replies::{Gone, Replies, Rows, TryRowError};

/// Most connections at once. A further one displaces one that matters less or is idle, and is
/// refused when there is none.
pub const CONNECTIONS_MAX: usize = 64;

/// A shortage of places is logged at most this often.
const SHORTAGE_SAID_EVERY: Duration = Duration::from_secs(60);

/// Requests waiting for the daemon. When full, connections wait their turn.
const CALLS_MAX: usize = 16;

/// Replies of one request waiting to be written. When full, the sender waits.
pub const REPLIES_MAX: usize = 256;

/// One request with its caller and the way to answer it.
#[derive(Debug)]
pub struct Call {
    /// What is asked.
    pub request: Request,
    /// Who asks; already checked against [`Access`].
    pub credentials: Credentials,
    /// Where the answer goes.
    pub replies: Replies,
}

/// Why the socket could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another daemon holds it.
    #[error("{path}: another daemon is running on this socket; stop it or give --socket PATH")]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// The file system refuses.
    #[error("{path}: {source}")]
    Io {
        /// What could not be made.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A bound control socket. Dropping it closes it, removes it and frees the lock; answers under way
/// are still delivered.
#[derive(Debug)]
pub struct Server {
    calls: mpsc::Receiver<Call>,
    accept: JoinHandle<()>,
    path: PathBuf,
    _lock: File,
}

impl Server {
    /// Takes the socket at `path` and greets each client with `hello`. Must run in a tokio runtime.
    ///
    /// # Errors
    /// [`BindError::InUse`] when another daemon has it (exit 1), [`BindError::Io`] otherwise.
    pub fn bind(path: &Path, hello: Hello, access: Access) -> Result<Self, BindError> {
        let failed = |at: &Path| {
            let path = at.to_owned();
            move |source| BindError::Io { path, source }
        };
        if let Some(parent) = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
        {
            fs::create_dir_all(parent).map_err(failed(parent))?;
        }
        let lock = take_lock(path)?;
        // We hold the lock, so whatever is left here belongs to nobody.
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(path)(error));
            }
            _ => {}
        }
        let listener = UnixListener::bind(path).map_err(failed(path))?;
        // Rights are checked per request by credentials; the mode only keeps strangers out early.
        let mode = if access.is_shared() { 0o666 } else { 0o600 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed(path))?;
        let (sender, calls) = mpsc::channel(CALLS_MAX);
        let shared = Shared {
            hello,
            access,
            calls: sender,
        };
        let accept = tokio::spawn(accept_loop(listener, shared));
        Ok(Self {
            calls,
            accept,
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// The next request. Cancel-safe. Pends for ever only while nobody asks.
    pub async fn recv(&mut self) -> Call {
        match self.calls.recv().await {
            Some(call) => call,
            // The accept loop owns a sender and ends only when this server is dropped.
            None => std::future::pending().await,
        }
    }

    /// The socket's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accept.abort();
        // A failure leaves a stale socket, which the next start removes.
        let _ = fs::remove_file(&self.path);
    }
}

fn take_lock(socket: &Path) -> Result<File, BindError> {
    let mut name = socket.as_os_str().to_owned();
    name.push(".lock");
    let path = PathBuf::from(name);
    let io = |source| BindError::Io {
        path: path.clone(),
        source,
    };
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(BindError::InUse {
            path: socket.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(io(error)),
    }
}

/// What all connections have in common.
#[derive(Debug)]
struct Shared {
    hello: Hello,
    access: Access,
    calls: mpsc::Sender<Call>,
}

async fn accept_loop(listener: UnixListener, shared: Shared) {
    let shared = Arc::new(shared);
    let places = Places::new(CONNECTIONS_MAX);
    let mut said = None;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => admit(stream, &shared, &places, &mut said).await,
            Err(error) => {
                // Out of descriptors: let some connection end before trying again.
                tracing::warn!(%error, "control socket: accept failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Finds a place for a new connection and serves it there.
async fn admit(
    stream: UnixStream,
    shared: &Arc<Shared>,
    places: &Arc<Places>,
    said: &mut Option<Instant>,
) {
    let Ok(credentials) = connection::credentials_of(&stream) else {
        return;
    };
    let caller = Caller {
        right: shared.access.right(credentials),
        uid: credentials.uid,
    };
    let (place, gone) = seat(places, caller).await.unzip();
    let gone = gone.flatten();
    let now = Instant::now();
    let short = place.is_none() || gone.is_some();
    if short && said.is_none_or(|at| now >= at + SHORTAGE_SAID_EVERY) {
        *said = Some(now);
        let closed_uid = gone.map(|caller| caller.uid);
        let uid = caller.uid;
        tracing::warn!(uid, closed_uid, "control socket: all places are taken");
    }
    let Some(place) = place else {
        return connection::refuse(&stream, &shared.hello);
    };
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        tokio::select! {
            // A client that goes away is not worth a log line.
            _ = connection::serve(stream, credentials, &place, &shared) => {}
            () = place.displaced() => {}
        }
    });
}

/// A place, if there is one or one comes free while others are given the time to finish.
async fn seat(places: &Arc<Places>, caller: Caller) -> Option<(Place, Option<Caller>)> {
    // Longer than the idle need: who came in the same instant has not been idle for it yet.
    let recheck = tokio::time::interval(IDLE_TIME_MIN / 4);
    let end = tokio::time::sleep(IDLE_TIME_MIN * 2);
    tokio::pin!(recheck);
    tokio::pin!(end);
    loop {
        match places.take(caller, Instant::now()) {
            Seat::Taken(place, gone) => return Some((place, gone)),
            Seat::Full if end.is_elapsed() => return None,
            Seat::Full => {}
        }
        tokio::select! {
            () = places.freed() => {}
            _ = recheck.tick() => {}
            () = &mut end => {}
        }
    }
}
