//! The reading half of a connection: bytes from the socket into the speaker.
//!
//! A reader holds no buffer of its own. All readers share one, because only one of them runs at a
//! time: thousands of idle sessions cost nothing, and a busy one reads up to [`READ_LEN_MAX`] per
//! system call. The speaker takes the bytes in the same step, before anything else is read. When
//! it is busy (a full table arriving on ten sessions at once) the sockets fill and the senders'
//! windows close; nothing queues up inside the process.
//!
//! Where the tables are on other threads, a reader waits for its turn while they have enough to do:
//! then, too, what was not read stays in the socket.
//!
//! After each step the reader yields once. Other readers, writers with KEEPALIVEs and the timers
//! get their turn between two chunks, whatever one neighbor sends.

use std::rc::Rc;

use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::node::Node;
use crate::speaker::port::ConnId;

/// Most bytes taken from one socket in one step: about ten thousand prefixes, a few milliseconds.
pub const READ_LEN_MAX: usize = 256 * 1024;

/// Why a reader ended.
#[derive(Debug)]
pub enum ReadEnd {
    /// The connection is being closed from our side.
    Cancelled,
    /// The other side closed, in order.
    Eof,
    /// The socket failed.
    Failed(std::io::Error),
}

/// Reads until the connection ends, whoever ends it.
pub async fn read_until_end(
    node: &Rc<Node>,
    conn: ConnId,
    stream: &TcpStream,
    cancel: &CancellationToken,
) -> ReadEnd {
    loop {
        tokio::select! {
            biased;
            () = cancel.cancelled() => return ReadEnd::Cancelled,
            ready = stream.readable() => {
                if let Err(error) = ready {
                    return ReadEnd::Failed(error);
                }
            }
        }
        // Only who has something to read stands in line: a turn given to a silent socket is lost.
        node.peek(|speaker, _| speaker.note_waiting_input(conn));
        tokio::select! {
            biased;
            () = cancel.cancelled() => return ReadEnd::Cancelled,
            () = node.turn() => {}
        }
        let read = node.read_into_speaker(conn, stream);
        node.pass_turn();
        match read {
            Ok(0) => return ReadEnd::Eof,
            Ok(_) => tokio::task::yield_now().await,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return ReadEnd::Failed(error),
        }
    }
}
