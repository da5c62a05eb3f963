//! One control connection: read a request, check it, hand it over, write the answer.
//!
//! Rows are gathered into chunks of [`CHUNK_LEN`] before they are written: a full table costs one
//! system call per 64 KiB, and a lone row goes out at once because the chunk is flushed whenever
//! the daemon has nothing more to say right now.
//!
//! The read side is watched during an answer: a client that closes (Ctrl-C in a pager, a monitor
//! that ends) drops the reply channel, which the daemon sees as `Gone`.
//!
//! Deadlines are for what no honest client does. A request that has begun must be complete within
//! [`REQUEST_TIME_MAX`]; one who has no rights is heard once, for as long. An answer may wait for
//! a person who reads it in a pager, but not for ever ([`STALL_TIME_MAX`]). Between two requests
//! a connection may be idle; when places are short it makes room (see `places`).

use std::io;
use std::time::{Duration, Instant};

use proto_codec::control::frame::{self, LENGTH_LEN};
use proto_codec::control::{Fault, FaultKind, Hello, Reply, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::places::Place;
use super::replies::Part;
use super::{Access, Call, Credentials, Replies};
use crate::access::Right;

/// Octets gathered before a write.
const CHUNK_LEN: usize = 64 * 1024;

/// Longest request: the longest there is names a peer group. A longer one ends the connection,
/// and while an answer is under way no more than this is read ahead of it.
const REQUEST_LEN_MAX: usize = 64 * 1024;

/// From the first octet of a request to its last. A client writes it in one call.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(10);

/// How long an answer waits for a client that takes nothing of it.
const STALL_TIME_MAX: Duration = Duration::from_secs(15 * 60);

struct Inbox<'a> {
    reader: OwnedReadHalf,
    buffer: Vec<u8>,
    place: &'a Place,
}

impl Inbox<'_> {
    /// Reads some octets; `false` at the end of the stream.
    async fn fill(&mut self) -> io::Result<bool> {
        let read = self.reader.read_buf(&mut self.buffer).await?;
        self.place.progress(Instant::now());
        Ok(read > 0)
    }

    /// The next request, begun whenever the client likes and then written without a pause.
    async fn next(&mut self) -> io::Result<Option<Result<Request, Fault>>> {
        if self.buffer.is_empty() && !self.fill().await? {
            return Ok(None);
        }
        timeout(REQUEST_TIME_MAX, self.complete()).await?
    }

    /// The request that has begun, or `None` when the client closed.
    async fn complete(&mut self) -> io::Result<Option<Result<Request, Fault>>> {
        loop {
            if let Some((body, used)) = frame::split(&self.buffer).map_err(io::Error::other)? {
                let request = frame::decode(body).map_err(|error| {
                    Fault::new(
                        FaultKind::Unsupported,
                        format!("request not understood: {error}"),
                    )
                });
                self.buffer.drain(..used);
                return Ok(Some(request));
            }
            if self.buffer.len() > REQUEST_LEN_MAX + LENGTH_LEN {
                return Err(io::Error::other("request too long"));
            }
            if !self.fill().await? {
                return Ok(None);
            }
        }
    }
}

/// The way to the client.
struct Outbox<'a> {
    writer: OwnedWriteHalf,
    place: &'a Place,
}

impl Outbox<'_> {
    /// Writes all of it, as long as the client takes some now and then.
    async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = timeout(STALL_TIME_MAX, self.writer.write(bytes)).await??;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.place.progress(Instant::now());
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    async fn write_one(&mut self, reply: &Reply) -> io::Result<()> {
        let mut chunk = Vec::new();
        frame::encode(reply, &mut chunk).map_err(io::Error::other)?;
        self.write(&chunk).await
    }
}

/// Who is at the other end.
///
/// # Errors
/// The kernel does not say; nothing can then be allowed.
pub(super) fn credentials_of(stream: &UnixStream) -> io::Result<Credentials> {
    let peer = stream.peer_cred()?;
    Ok(Credentials {
        uid: peer.uid(),
        gid: peer.gid(),
        pid: peer.pid(),
    })
}

/// Greets a client that finds no place, and says so. It never waits: a new socket takes both.
pub(super) fn refuse(stream: &UnixStream, hello: &Hello) {
    let text = "all places of the control socket are taken by others at work; try again";
    let busy = Reply::Error(Fault::new(FaultKind::Busy, text));
    let mut chunk = Vec::new();
    if frame::encode(hello, &mut chunk).is_ok() && frame::encode(&busy, &mut chunk).is_ok() {
        // A client that does not hear it sees the connection close.
        let _ = stream.try_write(&chunk);
    }
}

/// Serves a connection until the client closes it, breaks the protocol or misses a deadline.
pub(super) async fn serve(
    stream: UnixStream,
    credentials: Credentials,
    place: &Place,
    server: &super::Shared,
) -> io::Result<()> {
    let (reader, writer) = stream.into_split();
    let buffer = Vec::new();
    let mut inbox = Inbox {
        reader,
        buffer,
        place,
    };
    let mut outbox = Outbox { writer, place };
    let mut chunk = Vec::new();
    frame::encode(&server.hello, &mut chunk).map_err(io::Error::other)?;
    // No progress of the client's: the socket takes it for a silent one too.
    outbox.writer.write_all(&chunk).await?;
    if server.access.right(credentials) == Right::None {
        return hear_stranger(&mut inbox, &mut outbox, &server.access, credentials).await;
    }
    while let Some(request) = inbox.next().await? {
        let checked = request.and_then(|request| {
            server.access.check(credentials, &request)?;
            Ok(request)
        });
        let request = match checked {
            Ok(request) => request,
            Err(fault) => {
                outbox.write_one(&Reply::Error(fault)).await?;
                continue;
            }
        };
        let (replies, answer) = Replies::channel();
        let call = Call {
            request,
            credentials,
            replies,
        };
        if server.calls.send(call).await.is_err() {
            let fault = Fault::new(FaultKind::Busy, "the daemon is stopping");
            return outbox.write_one(&Reply::Error(fault)).await;
        }
        if !relay(answer, &mut inbox, &mut outbox).await? {
            return Ok(());
        }
    }
    Ok(())
}

/// Tells one who has no rights how to get them, once, and is done with him.
async fn hear_stranger(
    inbox: &mut Inbox<'_>,
    outbox: &mut Outbox<'_>,
    access: &Access,
    credentials: Credentials,
) -> io::Result<()> {
    let Some(request) = timeout(REQUEST_TIME_MAX, inbox.next()).await?? else {
        return Ok(());
    };
    match request.and_then(|request| access.check(credentials, &request)) {
        Err(fault) => outbox.write_one(&Reply::Error(fault)).await,
        Ok(()) => Ok(()),
    }
}

/// Writes one answer to its end; `false` when the client closed meanwhile.
async fn relay(
    mut answer: mpsc::Receiver<Part>,
    inbox: &mut Inbox<'_>,
    outbox: &mut Outbox<'_>,
) -> io::Result<bool> {
    let mut chunk = Vec::with_capacity(CHUNK_LEN);
    loop {
        let next = tokio::select! {
            next = answer.recv() => next,
            open = inbox.fill(), if inbox.buffer.len() < REQUEST_LEN_MAX => {
                if open? { continue } else { return Ok(false) }
            }
        };
        let mut next = next.unwrap_or_else(dropped);
        loop {
            match &next {
                Part::One(reply) => append(reply, &mut chunk),
                Part::Many(rows) => {
                    outbox.write(&chunk).await?;
                    chunk.clear();
                    outbox.write(rows.as_bytes()).await?;
                }
            }
            if matches!(next, Part::One(Reply::Tail(_) | Reply::Error(_))) {
                outbox.write(&chunk).await?;
                return Ok(true);
            }
            match answer.try_recv() {
                Ok(reply) if chunk.len() < CHUNK_LEN => next = reply,
                Ok(reply) => {
                    outbox.write(&chunk).await?;
                    chunk.clear();
                    next = reply;
                }
                Err(_) => break,
            }
        }
        outbox.write(&chunk).await?;
        chunk.clear();
    }
}

/// Appends a reply; a row beyond the frame limit is replaced by nothing but a log line, because one
/// oversized row must not cost the operator the rest of the table.
fn append(reply: &Reply, chunk: &mut Vec<u8>) {
    if let Err(error) = frame::encode(reply, chunk) {
        tracing::error!(%error, "control socket: a row could not be sent");
    }
}

fn dropped() -> Part {
    Part::One(Reply::Error(Fault::new(
        FaultKind::Busy,
        "the daemon gave the request up",
    )))
}
