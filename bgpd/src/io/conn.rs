//! One TCP connection: its two halves, and how it ends.
//!
//! Whoever opened it, a connection lives in one local task that runs reader and writer side by
//! side and reports the end to the speaker exactly once. There are three ends. The other side
//! closes or the socket fails: the speaker hears of it and the task is done. The speaker closes:
//! the last messages are flushed, our direction is shut down, and what still arrives is read and
//! thrown away for a moment. Without that last step the kernel answers unread bytes with a reset,
//! and a reset makes the receiver drop the NOTIFICATION that was to explain everything.
//!
//! Whoever connects again and again to be refused again and again could collect sockets that
//! linger. So [`LINGERING_MAX`] do; a further one is written its last words as far as the socket
//! takes them at once, and closed.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::node::Node;
use super::reader::{ReadEnd, read_until_end};
use super::writer::{FLUSH_TIME_MAX, write_until_end};
use crate::speaker::port::ConnId;

/// How long a closed connection may linger for the other side's FIN.
const LINGER_TIME_MAX: Duration = Duration::from_millis(500);

/// Connections that are flushed and drained at a time: more than a router has neighbors to say
/// goodbye to in the same half second, and a few MiB at most.
const LINGERING_MAX: usize = 1024;

/// What the rest of the process holds of a connection.
#[derive(Debug, Clone, Default)]
pub struct ConnHandle {
    /// Signalled when the speaker may have something to send.
    pub wake: Rc<Notify>,
    /// Cancelled when our side closes.
    pub closing: CancellationToken,
    /// What is written before an orderly close.
    pub farewell: Rc<RefCell<Bytes>>,
    /// Cancelled when the connection has to go at once, without a last word.
    pub abort: CancellationToken,
}

impl ConnHandle {
    /// Starts the end: `farewell` is written first, unless the connection is to be reset.
    pub fn close(&self, farewell: Bytes, abort: bool) {
        if abort {
            self.abort.cancel();
        } else {
            *self.farewell.borrow_mut() = farewell;
            self.closing.cancel();
        }
    }
}

/// Starts the task of a connection that is open.
pub fn spawn(node: &Rc<Node>, conn: ConnId, stream: TcpStream) {
    let handle = ConnHandle::default();
    node.conns.borrow_mut().insert(conn, handle.clone());
    // The first message is the OPEN; Nagle's algorithm would only delay what is already batched.
    let _ = stream.set_nodelay(true);
    let node = Rc::clone(node);
    tokio::task::spawn_local(async move {
        let end = run(&node, conn, &stream, &handle).await;
        node.conns.borrow_mut().remove(&conn);
        node.step(|speaker, now| speaker.handle_closed(now, conn, end));
    });
}

/// Runs both halves; the answer is the error the connection ended with, if it was one.
async fn run(
    node: &Rc<Node>,
    conn: ConnId,
    stream: &TcpStream,
    handle: &ConnHandle,
) -> Option<io::ErrorKind> {
    let reader = read_until_end(node, conn, stream, &handle.closing);
    let writer = write_until_end(node, conn, stream, handle);
    tokio::pin!(writer);
    let read_end = tokio::select! {
        read_end = reader => read_end,
        written = &mut writer => {
            return match written {
                Ok(()) => {
                    if let Some(_place) = Lingering::begin(&node.lingering) {
                        linger(stream).await;
                    }
                    None
                }
                Err(error) => Some(error.kind()),
            };
        }
        () = handle.abort.cancelled() => {
            // Linger 0 turns the close into a reset: the send queue is dropped at once.
            let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
            return None;
        }
    };
    match read_end {
        ReadEnd::Cancelled => {
            let place = Lingering::begin(&node.lingering);
            let patience = place.as_ref().map_or(Duration::ZERO, |_| FLUSH_TIME_MAX);
            // Even without patience the writer has one turn, which a short farewell is done in.
            let _ = tokio::time::timeout(patience, writer).await;
            if place.is_some() {
                linger(stream).await;
            }
            None
        }
        ReadEnd::Eof => None,
        ReadEnd::Failed(error) => Some(error.kind()),
    }
}

/// A place among the connections that linger, free again when dropped.
#[derive(Debug)]
struct Lingering<'a>(&'a Cell<usize>);

impl<'a> Lingering<'a> {
    fn begin(count: &'a Cell<usize>) -> Option<Self> {
        (count.get() < LINGERING_MAX).then(|| {
            count.set(count.get() + 1);
            Self(count)
        })
    }
}

impl Drop for Lingering<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// Sends our FIN and reads what is left, so that no reset overtakes the last message.
async fn linger(stream: &TcpStream) {
    let _ = socket2::SockRef::from(stream).shutdown(std::net::Shutdown::Write);
    let drain = async {
        let mut rest = [0_u8; 4096];
        loop {
            if stream.readable().await.is_err() {
                return;
            }
            match stream.try_read(&mut rest) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    };
    let _ = tokio::time::timeout(LINGER_TIME_MAX, drain).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_connections_linger_than_there_is_room_for() {
        let count = Cell::new(0);
        let mut places: Vec<_> = (0..LINGERING_MAX)
            .map(|_| Lingering::begin(&count))
            .collect();
        assert!(places.iter().all(Option::is_some));
        assert!(Lingering::begin(&count).is_none());
        places.pop();
        assert!(Lingering::begin(&count).is_some());
        places.clear();
        assert_eq!(count.get(), 0);
    }
}
