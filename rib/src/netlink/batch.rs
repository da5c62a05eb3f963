//! Batches of operations: many messages in one `send`, answers by sequence number.
//!
//! The kernel works through a datagram during the system call and answers errors one by one; only
//! the last message asks for an acknowledgement, so its arrival means that all others succeeded
//! or have been heard of. One acknowledgement for each message instead costs two and a half
//! times as much.

use std::io;

use crate::fib::KernelConfig;
use crate::fib::model::{KernelOp, OpError};

use super::encode::operation;
use super::socket::Netlink;
use super::wire::{NLMSG_ERROR, Writer, answer, messages};

/// Operations asked of the reconciler at once. Larger ones gained nothing when measured; each is
/// also the longest that a link event waits behind writing (under two milliseconds). As many
/// errors fit into a receive buffer of the default size.
pub(super) const BATCH_MAX: usize = 512;
/// Bytes of one datagram, well under the socket's send buffer. Inline multipath routes are large.
const DATAGRAM_MAX: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct BatchWriter {
    socket: Netlink,
    out: Writer,
    seq: u32,
}

impl BatchWriter {
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self {
            socket: Netlink::for_requests()?,
            out: Writer::default(),
            seq: 1,
        })
    }

    pub(super) fn port(&self) -> u32 {
        self.socket.port()
    }

    /// Sends all operations in order and returns which failed, by place.
    ///
    /// # Errors
    /// The socket failed, so that some outcomes are unknown: the caller compares with the kernel.
    pub(super) fn write(
        &mut self,
        ops: &[KernelOp],
        config: &KernelConfig,
    ) -> io::Result<Vec<(usize, OpError)>> {
        let mut errors = Vec::new();
        let mut done = 0;
        while done < ops.len() {
            self.out.clear();
            let first_seq = self.seq;
            let first = done;
            while let Some(op) = ops.get(done) {
                operation(&mut self.out, op, config, self.seq);
                self.seq = self.seq.wrapping_add(1);
                done += 1;
                if self.out.bytes().len() >= DATAGRAM_MAX {
                    break;
                }
            }
            self.out.want_ack();
            self.socket.send(self.out.bytes())?;
            self.collect(first_seq, first, done - first, &mut errors)?;
        }
        Ok(errors)
    }

    /// Reads answers until that of the last message.
    fn collect(
        &mut self,
        first_seq: u32,
        first: usize,
        count: usize,
        errors: &mut Vec<(usize, OpError)>,
    ) -> io::Result<()> {
        loop {
            for message in messages(self.socket.receive()?) {
                let nth = usize::try_from(message.seq.wrapping_sub(first_seq));
                let Some(nth) = nth.ok().filter(|nth| *nth < count) else {
                    continue;
                };
                if message.kind != NLMSG_ERROR {
                    continue;
                }
                let (errno, text) = answer(&message);
                if errno != 0 {
                    errors.push((first + nth, OpError { errno, text }));
                }
                if nth + 1 == count {
                    return Ok(());
                }
            }
        }
    }
}
