//! The daemon's end of one answer.
//!
//! [`Replies`] is a bounded channel with the grammar of an answer built in: a head, rows, and an
//! end that consumes it. A `Replies` dropped without an end tells the client that the daemon gave
//! up, so an operator never waits for a tail that cannot come.
//!
//! Long tables go as [`Rows`]: frames that the daemon has encoded itself, while it had its turn,
//! so that it knows what a listing costs. [`PIECES_MAX`] of them are on the way at most, and
//! further ones are only begun when the client has read.

use std::sync::Arc;

use proto_codec::control::{Fault, Head, Reply, Tail, View, frame};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Pieces of encoded rows between the daemon and the socket: one is written while the next one
/// is made. When both are there, [`Replies::piece`] waits.
const PIECES_MAX: usize = 2;
/// Octets for which a piece has room; a few more may fit. Below what the allocator asks the
/// kernel for one by one.
const PIECE_LEN: usize = 64 << 10;

/// The client went away; stop the scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client went away")]
pub struct Gone;

/// Why a row was not taken.
#[derive(Debug)]
pub enum TryRowError {
    /// The client reads slowly. Keep the row, go on when [`Replies::ready`] resolves.
    Full(Box<View>),
    /// The client went away; stop the scan.
    Gone,
}

/// One step of an answer on its way to the socket.
#[derive(Debug)]
pub(super) enum Part {
    One(Reply),
    Many(Rows),
}

/// Rows as frames.
#[derive(Debug)]
pub struct Rows {
    bytes: Vec<u8>,
    _place: OwnedSemaphorePermit,
}

impl Rows {
    /// Appends a row; one beyond the frame limit is replaced by a log line, because one oversized
    /// row must not cost the operator the rest of the table.
    pub fn push(&mut self, view: View) {
        if let Err(error) = frame::encode(&Reply::Row(Box::new(view)), &mut self.bytes) {
            tracing::error!(%error, "control socket: a row could not be sent");
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether it is time to send them.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= PIECE_LEN
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Where the answer to one request goes.
#[derive(Debug)]
pub struct Replies {
    sender: mpsc::Sender<Part>,
    pieces: Arc<Semaphore>,
}

impl Replies {
    pub(super) fn channel() -> (Self, mpsc::Receiver<Part>) {
        let (sender, receiver) = mpsc::channel(super::REPLIES_MAX);
        let pieces = Arc::new(Semaphore::new(PIECES_MAX));
        (Self { sender, pieces }, receiver)
    }

    /// An empty piece for rows; waits while the client reads slowly.
    ///
    /// # Errors
    /// [`Gone`]: stop.
    pub async fn piece(&self) -> Result<Rows, Gone> {
        let place = tokio::select! {
            place = Arc::clone(&self.pieces).acquire_owned() => place.map_err(|_| Gone)?,
            () = self.sender.closed() => return Err(Gone),
        };
        Ok(Rows {
            bytes: Vec::with_capacity(PIECE_LEN + PIECE_LEN / 16),
            _place: place,
        })
    }

    /// Sends the rows of a piece.
    ///
    /// # Errors
    /// [`Gone`]: stop.
    pub async fn rows(&self, rows: Rows) -> Result<(), Gone> {
        self.sender.send(Part::Many(rows)).await.map_err(|_| Gone)
    }

    /// Sends what belongs above the rows; waits while the client reads slowly.
    ///
    /// # Errors
    /// [`Gone`]: stop.
    pub async fn head(&self, head: Head) -> Result<(), Gone> {
        self.sender
            .send(Part::One(Reply::Head(head)))
            .await
            .map_err(|_| Gone)
    }

    /// Sends a row; waits while the client reads slowly.
    ///
    /// # Errors
    /// [`Gone`]: stop.
    pub async fn row(&self, view: View) -> Result<(), Gone> {
        self.sender
            .send(Part::One(Reply::Row(Box::new(view))))
            .await
            .map_err(|_| Gone)
    }

    /// Sends what belongs above the rows from code that must not wait. The channel of a new call
    /// is empty, so this only fails when the client is gone.
    ///
    /// # Errors
    /// [`Gone`]: stop.
    pub fn try_head(&self, head: Head) -> Result<(), Gone> {
        self.sender
            .try_send(Part::One(Reply::Head(head)))
            .map_err(|_| Gone)
    }

    /// Sends a row from code that must not wait.
    ///
    /// # Errors
    /// [`TryRowError::Full`] gives the row back.
    pub fn try_row(&self, view: View) -> Result<(), TryRowError> {
        match self.sender.try_send(Part::One(Reply::Row(Box::new(view)))) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(Part::One(Reply::Row(view)))) => Err(TryRowError::Full(view)),
            Err(_) => Err(TryRowError::Gone),
        }
    }

    /// Rows that fit without waiting.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.sender.capacity()
    }

    /// Resolves when at least one row fits. Cancel-safe.
    ///
    /// # Errors
    /// [`Gone`]: stop.
    pub async fn ready(&self) -> Result<(), Gone> {
        self.sender.reserve().await.map(drop).map_err(|_| Gone)
    }

    /// Whether the client went away.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.sender.is_closed()
    }

    /// Resolves when the client goes away: how a monitor learns that nobody watches.
    pub async fn gone(&self) {
        self.sender.closed().await;
    }

    /// Ends the answer.
    pub async fn finish(self, tail: Tail) {
        // Nobody is left to be told when the client is gone.
        let _ = self.sender.send(Part::One(Reply::Tail(tail))).await;
    }

    /// Ends the answer from code that must not wait; a task delivers the end.
    pub fn finish_soon(self, tail: Tail) {
        self.end_soon(Reply::Tail(tail));
    }

    /// Ends the answer with a fault.
    pub async fn fail(self, fault: Fault) {
        let _ = self.sender.send(Part::One(Reply::Error(fault))).await;
    }

    /// Ends the answer with a fault from code that must not wait; a task delivers it.
    pub fn fail_soon(self, fault: Fault) {
        self.end_soon(Reply::Error(fault));
    }

    fn end_soon(self, end: Reply) {
        if let Err(TrySendError::Full(end)) = self.sender.try_send(Part::One(end)) {
            tokio::spawn(async move {
                let _ = self.sender.send(end).await;
            });
        }
    }
}
