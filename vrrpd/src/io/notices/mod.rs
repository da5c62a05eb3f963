//! `notify`: programs that are told of every state, as keepalived calls them.
//!
//! `PROGRAM INSTANCE|GROUP name MASTER|BACKUP|FAULT|STOP priority`, and more in the environment.
//! Calls are in the order of what happened, one at a time, whatever they are about: keepalived
//! starts them all at once, and the last one to end has the say. A call is made when its state has
//! been reached: addresses are taken before MASTER is told. What is told, and how the queue is
//! bounded, is in [`queue`]; the thread that makes the calls, in [`run`].
//!
//! What was told last, to the end of its program, is kept in a file beside the control socket, so
//! that a daemon that goes on where the last one was does not tell it again. For a successor
//! nothing is waited for: what runs is ended, and told again by the successor with what waits.

pub mod queue;
mod run;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use queue::{Notice, Queue, Word};
use tokio::sync::oneshot;

use super::files;

/// Longest wait for a program that is just being started, to end it.
const STARTING_MAX: Duration = Duration::from_millis(5);
/// Octets of what was told: 10,000 subjects are less than one megabyte.
const TOLD_MAX: u64 = 4 << 20;

/// What the thread and its employer share. The lock is held for moments only.
#[derive(Debug, Default)]
struct Shared {
    desk: Mutex<Desk>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Desk {
    queue: Queue,
    /// No more will come.
    closed: bool,
    /// What runs is to end now.
    hurried: bool,
    /// A program is being started.
    starting: bool,
    /// The program that runs.
    running: Option<u32>,
}

impl Shared {
    /// A desk is a few plain lists: a panic while it was open leaves nothing half done.
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The employer's side.
#[derive(Debug)]
pub struct Notices {
    shared: Arc<Shared>,
    told_file: PathBuf,
    /// The thread, once there was something to tell: it says when it has ended.
    ended: Option<oneshot::Receiver<()>>,
}

impl Notices {
    /// Goes on after what `told_file` says was told.
    #[must_use]
    pub fn new(told_file: PathBuf) -> Self {
        let told = files::read_own(&told_file, TOLD_MAX).unwrap_or_else(|error| {
            let path = told_file.display();
            tracing::warn!(%path, %error, "what notify told last is not known: told again");
            None
        });
        let told = String::from_utf8(told.unwrap_or_default()).unwrap_or_default();
        let shared = Shared::default();
        shared.desk().queue = Queue::after(Queue::parse_begun(&told));
        Self {
            shared: Arc::new(shared),
            told_file,
            ended: None,
        }
    }

    /// What was last told of a subject, or waits to be told.
    #[must_use]
    pub fn told(&self, subject: &queue::Subject) -> Option<Word> {
        self.shared.desk().queue.told(subject)
    }

    /// Has a state told, unless it was the last that was.
    pub fn push(&mut self, notice: Notice) {
        if !self.shared.desk().queue.push(notice) {
            return;
        }
        if self.ended.is_none() {
            self.ended = self.hire();
        }
        self.shared.more.notify_one();
    }

    fn hire(&self) -> Option<oneshot::Receiver<()>> {
        let (tell, ended) = oneshot::channel();
        let (shared, told_file) = (Arc::clone(&self.shared), self.told_file.clone());
        let work = move || {
            work(&shared, &told_file);
            // Nobody may be waiting.
            let _ = tell.send(());
        };
        match thread::Builder::new().name("notify".to_owned()).spawn(work) {
            Ok(_) => Some(ended),
            Err(error) => {
                tracing::error!(%error, "nobody is notified: no thread");
                None
            }
        }
    }

    /// Tells what waits, for so long at most.
    pub async fn finish(&mut self, patience: Duration) {
        self.shared.desk().closed = true;
        self.shared.more.notify_one();
        let Some(ended) = &mut self.ended else {
            return;
        };
        if tokio::time::timeout(patience, &mut *ended).await.is_err() {
            tracing::error!("notify takes too long: what waits is not told");
            self.shared.desk().hurried = true;
            // It has only to be killed.
            let _ = tokio::time::timeout(Duration::from_millis(200), ended).await;
        }
    }

    /// Ends what runs and tells nothing more, at once: a successor tells it.
    pub fn leave(&mut self) {
        let mut desk = self.shared.desk();
        (desk.closed, desk.hurried) = (true, true);
        let starting = |desk: &mut Desk| desk.starting;
        let more = &self.shared.more;
        let waited = more.wait_timeout_while(desk, STARTING_MAX, starting);
        let (desk, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if let Some(program) = desk.running {
            run::kill(program);
        }
        drop(desk);
        self.shared.more.notify_all();
    }
}

/// Makes the calls until no more will come.
fn work(shared: &Shared, told_file: &Path) {
    loop {
        let (notice, told) = {
            let mut desk = shared.desk();
            loop {
                if desk.hurried {
                    return;
                }
                if let Some(notice) = desk.queue.pop() {
                    desk.starting = true;
                    break (notice, desk.queue.begun_text());
                }
                if desk.closed {
                    return;
                }
                let left_out = desk.queue.take_left_out();
                if left_out > 0 {
                    tracing::warn!(left_out, "notify was slower than states changed");
                }
                desk = shared
                    .more
                    .wait(desk)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        };
        call(&notice, shared);
        if shared.desk().hurried {
            return;
        }
        // Without the file the next daemon tells the same again, which is no harm.
        let _ = files::replace(told_file, told.as_bytes());
    }
}

fn call(notice: &Notice, shared: &Shared) {
    let (name, state) = (&notice.subject.1, notice.word.name());
    let program = notice.program.display();
    let started = run::start(notice);
    let mut desk = shared.desk();
    desk.starting = false;
    desk.running = started.as_ref().ok().map(|(child, _)| child.id());
    drop(desk);
    shared.more.notify_all();
    let hurried = || shared.desk().hurried;
    let ended =
        started.and_then(|(mut child, mut output)| run::wait(&mut child, &mut output, hurried));
    shared.desk().running = None;
    match ended {
        Ok((output, status)) => {
            for line in String::from_utf8_lossy(&output).lines() {
                tracing::info!(name, state, "notify: {line}");
            }
            if let Some(ending) = run::ending(status) {
                tracing::error!(name, state, %program, "notify: {ending}");
            }
        }
        Err(error) => tracing::error!(name, state, %program, %error, "notify cannot run"),
    }
}
