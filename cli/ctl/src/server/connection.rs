//! One control connection: read a request, check it, hand it over, write the answer.
//!
//! Rows are gathered into chunks of [`CHUNK_LEN`] before they are written: a full table costs one
//! system call per 64 KiB, and a lone row goes out at once because the chunk is flushed whenever
//! the daemon has nothing more to say right now.
//!
//! The read side is watched during an answer: a client that closes (Ctrl-C in a pager, a monitor
//! that ends) drops the reply channel, which the daemon sees as `Gone`.

use std::io;

use proto_codec::control::frame::{self, FRAME_LEN_MAX, LENGTH_LEN};
use proto_codec::control::{Fault, FaultKind, Hello, Reply, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use super::{Access, Call, Credentials, Replies};

/// Octets gathered before a write.
const CHUNK_LEN: usize = 64 * 1024;

/// Most octets of further requests kept while one is answered: one frame. A client that sends
/// more is not read until the answer is out.
const INBOX_LEN_MAX: usize = FRAME_LEN_MAX + LENGTH_LEN;

struct Inbox {
    reader: OwnedReadHalf,
    buffer: Vec<u8>,
}

impl Inbox {
    /// Reads some octets; `false` at the end of the stream.
    async fn fill(&mut self) -> io::Result<bool> {
        Ok(self.reader.read_buf(&mut self.buffer).await? > 0)
    }

    /// The next request, or `None` when the client closed.
    async fn next(&mut self) -> io::Result<Option<Result<Request, Fault>>> {
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
            if !self.fill().await? {
                return Ok(None);
            }
        }
    }
}

/// Serves a connection until the client closes it or breaks the protocol.
pub(super) async fn serve(
    stream: UnixStream,
    hello: &Hello,
    access: &Access,
    calls: &mpsc::Sender<Call>,
) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    let credentials = Credentials {
        uid: peer.uid(),
        gid: peer.gid(),
        pid: peer.pid(),
    };
    let (reader, mut writer) = stream.into_split();
    let mut inbox = Inbox {
        reader,
        buffer: Vec::new(),
    };
    let mut chunk = Vec::new();
    frame::encode(hello, &mut chunk).map_err(io::Error::other)?;
    writer.write_all(&chunk).await?;
    while let Some(request) = inbox.next().await? {
        let checked = request.and_then(|request| {
            access.check(credentials, &request)?;
            Ok(request)
        });
        let request = match checked {
            Ok(request) => request,
            Err(fault) => {
                write_one(&mut writer, &Reply::Error(fault)).await?;
                continue;
            }
        };
        let (replies, answer) = Replies::channel();
        if calls
            .send(Call {
                request,
                credentials,
                replies,
            })
            .await
            .is_err()
        {
            let fault = Fault::new(FaultKind::Busy, "the daemon is stopping");
            return write_one(&mut writer, &Reply::Error(fault)).await;
        }
        if !relay(answer, &mut inbox, &mut writer).await? {
            return Ok(());
        }
    }
    Ok(())
}

async fn write_one(writer: &mut OwnedWriteHalf, reply: &Reply) -> io::Result<()> {
    let mut chunk = Vec::new();
    frame::encode(reply, &mut chunk).map_err(io::Error::other)?;
    writer.write_all(&chunk).await
}

/// Writes one answer to its end; `false` when the client closed meanwhile.
async fn relay(
    mut answer: mpsc::Receiver<Reply>,
    inbox: &mut Inbox,
    writer: &mut OwnedWriteHalf,
) -> io::Result<bool> {
    let mut chunk = Vec::with_capacity(CHUNK_LEN);
    loop {
        let next = tokio::select! {
            next = answer.recv() => next,
            open = inbox.fill(), if inbox.buffer.len() < INBOX_LEN_MAX => {
                if open? { continue } else { return Ok(false) }
            }
        };
        let mut next = next.unwrap_or_else(dropped);
        loop {
            let last = matches!(next, Reply::Tail(_) | Reply::Error(_));
            append(&next, &mut chunk);
            if last {
                writer.write_all(&chunk).await?;
                return Ok(true);
            }
            match answer.try_recv() {
                Ok(reply) if chunk.len() < CHUNK_LEN => next = reply,
                Ok(reply) => {
                    writer.write_all(&chunk).await?;
                    chunk.clear();
                    next = reply;
                }
                Err(_) => break,
            }
        }
        writer.write_all(&chunk).await?;
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

fn dropped() -> Reply {
    Reply::Error(Fault::new(
        FaultKind::Busy,
        "the daemon gave the request up",
    ))
}
