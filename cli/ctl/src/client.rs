//! The CLI's end of the control socket: blocking, one request at a time.
//!
//! [`Client::connect`] reads the greeting, [`Client::call`] sends a request and yields the answer
//! reply by reply, so a table of any length passes through in constant memory. The read buffer
//! holds one frame at most, and frames are bounded by the protocol.
//!
//! A daemon that does not answer within [`ANSWER_TIMEOUT`] is reported as such rather than leaving
//! the operator in front of a silent prompt; `monitor` lifts that limit.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proto_codec::control::frame;
use proto_codec::control::{Fault, FrameError, Head, Hello, PROTOCOL, Reply, Request, Tail, View};

/// Longest silence of a daemon before it is reported as hanging.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Octets asked from the socket at a time.
const READ_LEN: usize = 64 * 1024;

/// Why there is no (complete) answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing listens there (exit 69).
    #[error("{path}: {source}{}", hint(path, source))]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The connection broke or timed out (exit 69).
    #[error("the daemon stopped answering: {0}")]
    Broken(io::Error),
    /// The other side does not speak this protocol (exit 69).
    #[error("{0}; are daemon and CLI of the same release?")]
    Protocol(String),
    /// The daemon says no (exit 1).
    #[error(transparent)]
    Fault(#[from] Fault),
}

fn hint(path: &Path, source: &io::Error) -> &'static str {
    let vrrpd = path.file_name().is_some_and(|name| name == "vrrpd.sock");
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused if vrrpd => {
            ". Is the daemon running? (systemctl status wayfare-vrrpd; --socket PATH if elsewhere)"
        }
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            ". Is the daemon running? (systemctl status wayfare-bgpd; --socket PATH if elsewhere)"
        }
        io::ErrorKind::PermissionDenied => {
            ". Run it as root or join the group wayfare-view or wayfare-admin"
        }
        _ => "",
    }
}

impl ClientError {
    /// Whether nobody listens there: the daemon does not run, or was never installed.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        let absent = |kind| {
            matches!(
                kind,
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            )
        };
        matches!(self, Self::Unreachable { source, .. } if absent(source.kind()))
    }
}

impl From<FrameError> for ClientError {
    fn from(error: FrameError) -> Self {
        Self::Protocol(error.to_string())
    }
}

/// A connection to a daemon.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    buffer: Vec<u8>,
    consumed: usize,
    hello: Hello,
}

impl Client {
    /// Connects and reads the greeting.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] when nothing listens, [`ClientError::Protocol`] when it is
    /// something else that does.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let unreachable = |source| ClientError::Unreachable {
            path: path.to_owned(),
            source,
        };
        let stream = UnixStream::connect(path).map_err(unreachable)?;
        stream
            .set_read_timeout(Some(ANSWER_TIMEOUT))
            .map_err(unreachable)?;
        let mut client = Self {
            stream,
            buffer: Vec::new(),
            consumed: 0,
            hello: Hello::new("", ""),
        };
        client.hello = client.read_frame()?;
        if client.hello.protocol != PROTOCOL {
            let theirs = client.hello.protocol;
            return Err(ClientError::Protocol(format!(
                "the daemon speaks control protocol {theirs}, this CLI {PROTOCOL}"
            )));
        }
        Ok(client)
    }

    /// The daemon's greeting.
    #[must_use]
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Waits for ever between two replies (`monitor`), or for [`ANSWER_TIMEOUT`].
    ///
    /// # Errors
    /// [`ClientError::Broken`] when the socket is gone.
    pub fn set_patient(&self, patient: bool) -> Result<(), ClientError> {
        let timeout = (!patient).then_some(ANSWER_TIMEOUT);
        self.stream
            .set_read_timeout(timeout)
            .map_err(ClientError::Broken)
    }

    /// Sends a request; the answer is read with [`Answer::next`].
    ///
    /// # Errors
    /// [`ClientError::Broken`] when the connection is gone.
    pub fn call(&mut self, request: &Request) -> Result<Answer<'_>, ClientError> {
        let mut wire = Vec::new();
        frame::encode(request, &mut wire)?;
        if let Err(error) = self.stream.write_all(&wire) {
            // A daemon that has closed may have said why before that.
            return Err(match self.read_frame() {
                Ok(Reply::Error(fault)) => fault.into(),
                _ => ClientError::Broken(error),
            });
        }
        Ok(Answer {
            client: self,
            ended: false,
        })
    }

    fn read_frame<T: serde::de::DeserializeOwned>(&mut self) -> Result<T, ClientError> {
        loop {
            if let Some((body, used)) = frame::split(&self.buffer[self.consumed..])? {
                let value = frame::decode(body)?;
                self.consumed += used;
                return Ok(value);
            }
            self.buffer.drain(..self.consumed);
            self.consumed = 0;
            let filled = self.buffer.len();
            self.buffer.resize(filled + READ_LEN, 0);
            let read = self.stream.read(&mut self.buffer[filled..]);
            self.buffer
                .truncate(filled + read.as_ref().map_or(0, |len| *len));
            match read {
                Ok(0) => {
                    let closed = io::ErrorKind::UnexpectedEof;
                    return Err(ClientError::Broken(io::Error::new(
                        closed,
                        "connection closed",
                    )));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let seconds = ANSWER_TIMEOUT.as_secs();
                    let text = format!("no answer within {seconds} s");
                    let late = io::Error::new(io::ErrorKind::TimedOut, text);
                    return Err(ClientError::Broken(late));
                }
                Err(error) => return Err(ClientError::Broken(error)),
            }
        }
    }
}

/// Part of an answer.
#[derive(Debug)]
pub enum Item {
    /// What belongs above the rows.
    Head(Head),
    /// One row.
    Row(Box<View>),
    /// The end.
    Tail(Tail),
}

/// The answer to one request, reply by reply.
#[derive(Debug)]
pub struct Answer<'a> {
    client: &'a mut Client,
    ended: bool,
}

impl Answer<'_> {
    /// The next part; `None` after the tail. A fault of the daemon is an error and ends the answer.
    #[allow(
        clippy::should_implement_trait,
        reason = "fails, so it is not an iterator's next"
    )]
    pub fn next(&mut self) -> Result<Option<Item>, ClientError> {
        if self.ended {
            return Ok(None);
        }
        match self.client.read_frame()? {
            Reply::Head(head) => Ok(Some(Item::Head(head))),
            Reply::Row(view) => Ok(Some(Item::Row(view))),
            Reply::Tail(tail) => {
                self.ended = true;
                Ok(Some(Item::Tail(tail)))
            }
            Reply::Error(fault) => {
                self.ended = true;
                Err(fault.into())
            }
        }
    }
}
