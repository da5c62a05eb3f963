//! The daemon's end of one answer.
//!
//! [`Replies`] is a bounded channel with the grammar of an answer built in: a head, rows, and an
//! end that consumes it. A `Replies` dropped without an end tells the client that the daemon gave
//! up, so an operator never waits for a tail that cannot come.

use proto_codec::control::{Fault, Head, Reply, Tail, View};
use tokio::sync::mpsc::{self, error::TrySendError};

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

/// Where the answer to one request goes.
#[derive(Debug)]
pub struct Replies {
    sender: mpsc::Sender<Reply>,
}

impl Replies {
    pub(super) fn channel() -> (Self, mpsc::Receiver<Reply>) {
        let (sender, receiver) = mpsc::channel(super::REPLIES_MAX);
        (Self { sender }, receiver)
    }

    /// Sends what belongs above the rows; waits while the client reads slowly.
    ///
    /// # Errors
    /// [`Gone`]: stop.
    pub async fn head(&self, head: Head) -> Result<(), Gone> {
        self.sender.send(Reply::Head(head)).await.map_err(|_| Gone)
    }

    /// Sends a row; waits while the client reads slowly.
    ///
    /// # Errors
    /// [`Gone`]: stop.
    pub async fn row(&self, view: View) -> Result<(), Gone> {
        self.sender
            .send(Reply::Row(Box::new(view)))
            .await
            .map_err(|_| Gone)
    }

    /// Sends what belongs above the rows from code that must not wait. The channel of a new call
    /// is empty, so this only fails when the client is gone.
    ///
    /// # Errors
    /// [`Gone`]: stop.
    pub fn try_head(&self, head: Head) -> Result<(), Gone> {
        self.sender.try_send(Reply::Head(head)).map_err(|_| Gone)
    }

    /// Sends a row from code that must not wait.
    ///
    /// # Errors
    /// [`TryRowError::Full`] gives the row back.
    pub fn try_row(&self, view: View) -> Result<(), TryRowError> {
        match self.sender.try_send(Reply::Row(Box::new(view))) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(Reply::Row(view))) => Err(TryRowError::Full(view)),
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
        let _ = self.sender.send(Reply::Tail(tail)).await;
    }

    /// Ends the answer from code that must not wait; a task delivers the end.
    pub fn finish_soon(self, tail: Tail) {
        self.end_soon(Reply::Tail(tail));
    }

    /// Ends the answer with a fault.
    pub async fn fail(self, fault: Fault) {
        let _ = self.sender.send(Reply::Error(fault)).await;
    }

    /// Ends the answer with a fault from code that must not wait; a task delivers it.
    pub fn fail_soon(self, fault: Fault) {
        self.end_soon(Reply::Error(fault));
    }

    fn end_soon(self, end: Reply) {
        if let Err(TrySendError::Full(end)) = self.sender.try_send(end) {
            tokio::spawn(async move {
                let _ = self.sender.send(end).await;
            });
        }
    }
}
