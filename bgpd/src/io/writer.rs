//! The writing half of a connection: messages from the speaker into the socket.
//!
//! The writer pulls. As long as the socket takes bytes it asks the speaker for the next message,
//! which hands out session messages (OPEN, KEEPALIVE, NOTIFICATION) first and then shared UPDATE
//! segments. At most [`PULL_LEN_MAX`] bytes are taken ahead of the socket, so a neighbor that does
//! not read holds up nobody, costs no memory that grows, and still gets its KEEPALIVE as the very
//! next message once it reads again.
//!
//! Progress is reported to the speaker: a socket that takes nothing for the send hold time ends
//! the session (RFC 9687). When the connection is closed from our side, what is pending (the
//! NOTIFICATION) is still written, for at most [`FLUSH_TIME_MAX`].

use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice};
use std::rc::Rc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::conn::ConnHandle;
use super::node::Node;
use crate::speaker::port::ConnId;

/// Bytes pulled ahead of the socket. One full send buffer; more would only delay a KEEPALIVE.
const PULL_LEN_MAX: usize = 256 * 1024;
/// Segments of one `writev`; the kernel takes 1,024, and 64 of them already fill a send buffer.
const SEGMENTS_MAX: usize = 64;
/// How long a closing connection may take to send its last messages.
pub const FLUSH_TIME_MAX: Duration = Duration::from_secs(2);

/// Messages pulled from the speaker that the socket has not taken yet.
#[derive(Debug, Default)]
struct Pulled {
    segments: VecDeque<Bytes>,
}

impl Pulled {
    fn refill(&mut self, node: &Rc<Node>, conn: ConnId) {
        let mut len = 0;
        node.peek(|speaker, _| {
            while len < PULL_LEN_MAX && self.segments.len() < SEGMENTS_MAX {
                let Some(segment) = speaker.poll_transmit(conn) else {
                    break;
                };
                len += segment.len();
                self.segments.push_back(segment);
            }
        });
    }

    fn try_write(&mut self, stream: &TcpStream) -> std::io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); SEGMENTS_MAX];
        let mut count = 0;
        for (slice, segment) in slices.iter_mut().zip(&self.segments) {
            *slice = IoSlice::new(segment);
            count += 1;
        }
        stream.try_write_vectored(&slices[..count])
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(first) = self.segments.front_mut() {
            if written < first.len() {
                first.advance(written);
                return;
            }
            written -= first.len();
            self.segments.pop_front();
        }
    }
}

/// Writes until the socket fails, or until the connection is closed from our side and nothing is
/// left to send.
///
/// # Errors
/// Whatever the socket reports; the connection is then of no more use.
pub async fn write_until_end(
    node: &Rc<Node>,
    conn: ConnId,
    stream: &TcpStream,
    handle: &ConnHandle,
) -> std::io::Result<()> {
    let mut pulled = Pulled::default();
    loop {
        if pulled.segments.is_empty() {
            pulled.refill(node, conn);
        }
        if pulled.segments.is_empty() {
            let farewell = std::mem::take(&mut *handle.farewell.borrow_mut());
            if !farewell.is_empty() {
                pulled.segments.push_back(farewell);
                continue;
            }
            if handle.closing.is_cancelled() {
                return Ok(());
            }
            wait_for_work(handle).await;
            continue;
        }
        match pulled.try_write(stream) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => {
                pulled.advance(written);
                node.peek(|speaker, now| {
                    node.operators.note_traffic(now);
                    speaker.handle_written(now, conn, written);
                });
                tokio::task::yield_now().await;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                stream.writable().await?;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

async fn wait_for_work(handle: &ConnHandle) {
    let closing: &CancellationToken = &handle.closing;
    tokio::select! {
        () = handle.wake.notified() => {}
        () = closing.cancelled() => {}
    }
}
