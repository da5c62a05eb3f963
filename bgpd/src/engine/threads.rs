//! Shards on threads of their own.
//!
//! One thread per shard, and one bounded queue in each direction. A shard thread sleeps until mail
//! comes, takes all there is, and works it off: what is urgent first, then one order, then a look
//! into the queue again. It never waits for room: it only reports while it has credit, and the
//! queue of reports is as long as the credit. The speaker's thread never waits for room either:
//! [`Sharded`](rib::shard::Sharded) keeps what does not fit and says that it is congested. The one
//! wait there is goes from the speaker to the shards, for the answer to a question, and a shard
//! waits for nobody, so nobody waits in a circle.
//!
//! A thread that panics takes the process with it: a daemon that serves half of the prefixes is
//! worse than one that its supervisor starts again.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rib::RibConfig;
use rib::shard::{Mail, Question, REPORTS_AHEAD, Report, SHARDS_MAX, Shard, Transport, Urgent};
use tokio::sync::Notify;

/// Mail to a shard that may be in its queue: the orders there may be, credit, and requests for
/// octets of about a thousand peers. What does not fit waits with the sender.
const QUEUE_LEN: usize = 1024;
/// Longest wait for an answer. A shard is at one order at a time; the longest, a peer that goes
/// down with millions of routes, takes a second or two.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// The threads and the queues to and from them.
#[derive(Debug)]
pub struct Threads {
    shards: Vec<Handle>,
}

struct Handle {
    /// `None` once the thread is told to end.
    inbox: Option<SyncSender<Mail>>,
    reports: Receiver<Report>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("shard thread")
    }
}

impl Threads {
    /// Starts `count` shards; each signals `wake` when it has reported.
    ///
    /// # Errors
    /// The system grants no thread.
    pub fn start(config: &RibConfig, count: usize, wake: &Arc<Notify>) -> std::io::Result<Self> {
        let mut shards = Vec::new();
        for number in 0..count.clamp(1, SHARDS_MAX) {
            let (inbox, mail) = sync_channel(QUEUE_LEN);
            let (outbox, reports) = sync_channel(usize::try_from(REPORTS_AHEAD).unwrap_or(1));
            let (config, wake) = (config.clone(), Arc::clone(wake));
            let thread = std::thread::Builder::new()
                .name(format!("shard-{number}"))
                .spawn(move || {
                    let _bomb = Bomb;
                    run(Shard::new(config), &mail, &outbox, &wake);
                })?;
            shards.push(Handle {
                inbox: Some(inbox),
                reports,
                thread: Some(thread),
            });
        }
        Ok(Self { shards })
    }
}

/// Ends the process when its thread panics.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The panic has been printed by now.
            std::process::abort();
        }
    }
}

/// The life of a shard thread: until nobody can send it anything any more.
fn run(mut shard: Shard, mail: &Receiver<Mail>, reports: &SyncSender<Report>, wake: &Notify) {
    loop {
        loop {
            match mail.try_recv() {
                Ok(one) => shard.push(one),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return,
            }
        }
        if !shard.step() {
            match mail.recv() {
                Ok(one) => shard.push(one),
                Err(_) => return,
            }
            continue;
        }
        let mut reported = false;
        while let Some(report) = shard.poll_report() {
            // There is room for as many as there is credit; without a receiver it is all over.
            if reports.try_send(report).is_err() {
                return;
            }
            reported = true;
        }
        if reported {
            wake.notify_one();
        }
    }
}

impl Transport for Threads {
    fn shards(&self) -> usize {
        self.shards.len()
    }

    fn send(&mut self, shard: usize, mail: Mail) -> Result<(), Mail> {
        let inbox = self.shards.get(shard).and_then(|one| one.inbox.as_ref());
        match inbox.map(|inbox| inbox.try_send(mail)) {
            Some(Err(TrySendError::Full(mail))) => Err(mail),
            // To a thread that is gone nothing matters any more.
            Some(Ok(()) | Err(TrySendError::Disconnected(_))) | None => Ok(()),
        }
    }

    fn receive(&mut self, shard: usize) -> Option<Report> {
        self.shards.get(shard)?.reports.try_recv().ok()
    }

    fn ask(&self, questions: Vec<(usize, Question)>) -> bool {
        let (done, answers) = channel();
        let mut asked = 0;
        for (shard, question) in questions {
            let done = done.clone();
            let question = move |rib: &rib::Rib| {
                question(rib);
                // Nobody waits any more when this is late.
                let _ = done.send(());
            };
            let mail = Mail::Urgent(Urgent::Ask(Box::new(question)));
            let inbox = self.shards.get(shard).and_then(|one| one.inbox.as_ref());
            // A full queue is emptied by a thread that waits for nobody.
            asked += usize::from(inbox.is_some_and(|inbox| inbox.send(mail).is_ok()));
        }
        let until = Instant::now() + ANSWER_TIME_MAX;
        let left = || until.saturating_duration_since(Instant::now());
        let answered = (0..asked).all(|_| answers.recv_timeout(left()).is_ok());
        if !answered {
            tracing::error!("a shard does not answer: what is shown is not all");
        }
        answered
    }
}

impl Drop for Threads {
    /// Ends the threads and waits for them, so that nothing of them outlives the speaker.
    fn drop(&mut self) {
        for shard in &mut self.shards {
            shard.inbox = None;
        }
        for shard in &mut self.shards {
            if let Some(thread) = shard.thread.take()
                && thread.join().is_err()
            {
                tracing::error!("a shard thread ended badly");
            }
        }
    }
}
