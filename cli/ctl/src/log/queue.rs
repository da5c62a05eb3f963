//! Lines on their way to a reader who may not read.
//!
//! Whoever logs puts a line into a bounded channel and never waits. A thread of its own writes,
//! and may block for as long as it likes. A line that finds no room is lost and counted; the first
//! line that finds room again comes behind a note that says how many were. Lines that were lost
//! last are told of by the writer when it has nothing else to write.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Lines that wait; at the length of most that is a quarter of a megabyte.
const LINES_MAX: usize = 1024;
/// How often [`Queue::flush`] looks.
const LOOK_EVERY: Duration = Duration::from_millis(1);

type Note = Arc<dyn Fn(u64) -> String + Send + Sync>;

/// Where lines wait for their writer.
pub(super) struct Queue {
    lines: SyncSender<Vec<u8>>,
    counts: Arc<Counts>,
    note: Note,
}

#[derive(Default)]
struct Counts {
    /// Not yet told of.
    lost: AtomicU64,
    /// In the channel or being written.
    waiting: AtomicU64,
}

impl Queue {
    /// Starts the thread that writes to `to`; `note` makes a line that says how many were lost.
    pub(super) fn start(
        to: impl Write + Send + 'static,
        note: impl Fn(u64) -> String + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let (lines, inbox) = sync_channel(LINES_MAX);
        let queue = Self {
            lines,
            counts: Arc::default(),
            note: Arc::new(note),
        };
        let (counts, note) = (Arc::clone(&queue.counts), Arc::clone(&queue.note));
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write(to, &inbox, &counts, &note))?;
        Ok(queue)
    }

    /// Queues a line, or counts it as lost; never waits.
    pub(super) fn push(&self, line: &[u8]) {
        let lost = self.counts.lost.swap(0, Ordering::Relaxed);
        let missed = match lost {
            0 => 0,
            _ if self.send((self.note)(lost).into_bytes()) => 0,
            _ => lost,
        };
        // Behind lines that are not told of yet nothing may follow.
        let queued = missed == 0 && self.send(line.to_vec());
        let missed = missed + u64::from(!queued);
        self.counts.lost.fetch_add(missed, Ordering::Relaxed);
    }

    fn send(&self, line: Vec<u8>) -> bool {
        self.counts.waiting.fetch_add(1, Ordering::AcqRel);
        let sent = self.lines.try_send(line).is_ok();
        if !sent {
            self.counts.waiting.fetch_sub(1, Ordering::AcqRel);
        }
        sent
    }

    /// Waits until nothing waits any more, but no longer than `patience`.
    pub(super) fn flush(&self, patience: Duration) {
        let end = Instant::now() + patience;
        let rest = || {
            let Counts { lost, waiting } = &*self.counts;
            waiting.load(Ordering::Acquire) + lost.load(Ordering::Relaxed)
        };
        while rest() > 0 && Instant::now() < end {
            thread::sleep(LOOK_EVERY);
        }
    }
}

fn write(mut to: impl Write, inbox: &Receiver<Vec<u8>>, counts: &Counts, note: &Note) {
    while let Ok(line) = inbox.recv() {
        // A reader that has gone is no reason to end: standard error may not be one for ever.
        let _ = to.write_all(&line);
        if counts.waiting.fetch_sub(1, Ordering::AcqRel) == 1 {
            let lost = counts.lost.swap(0, Ordering::Relaxed);
            if lost > 0 {
                let _ = to.write_all(note(lost).as_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};

    use super::*;

    /// More than the pipe and the queue hold, and nobody reads: whoever logs goes on. Then
    /// somebody reads: what was kept is there in its order, and every other line is accounted for.
    #[test]
    fn a_pipe_that_nobody_reads_holds_up_nobody() {
        const ALL: u64 = 100_000;
        let (reader, writer) = io::pipe().expect("a pipe");
        let queue = Queue::start(writer, |lost| format!("lost {lost}\n")).expect("a thread");
        for number in 0..ALL {
            queue.push(format!("line {number}\n").as_bytes());
        }
        queue.flush(Duration::ZERO);
        let (mut next, mut lost) = (0, 0);
        let mut lines = BufReader::new(reader).lines();
        while next < ALL {
            let line = lines.next().expect("the pipe is open").expect("text");
            let (what, number) = line.split_once(' ').expect("two words");
            let number: u64 = number.parse().expect("a number");
            match what {
                "line" => {
                    assert_eq!(number, next, "in order, behind what was lost");
                    next += 1;
                }
                _ => {
                    next += number;
                    lost += number;
                }
            }
        }
        assert!(lost > ALL / 2, "{lost}");
        queue.push(b"line again\n");
        queue.flush(Duration::from_secs(60));
        assert_eq!(lines.next().expect("open").expect("text"), "line again");
    }
}
