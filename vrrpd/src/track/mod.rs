//! Checks, run: on a thread and a runtime of their own.
//!
//! A TLS handshake or a script must never stand between a due advert and its sending, so nothing
//! here runs where the routers do. [`Runner`] starts the thread with the first check; without any
//! there is no thread and no TLS. Each distinct check is one task, however many instances track
//! it, and never runs twice at once. Answers come back as mail; `crate::node` makes verdicts of
//! them.
//!
//! Promises: an answer that takes longer than `timeout` is a bad one, and says what was waited
//! for; a script that is late is killed with everything it started; output and replies are read up
//! to a bound; certificates are judged at each connection. What cannot be ended (a look at a file
//! system that hangs, a script of a user whom nobody here may signal) is bad for as long as it
//! lasts, and not begun a second time.

mod bgp;
mod http;
mod process;
mod route;
mod script;
mod tcp;
mod tls;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use ctl::config::duration_text;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet, LocalSet};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::config::check::{Check, Probe};
use crate::io::shared::Shared;
use crate::node::checks::Outcome;

/// Answers under way. When it is full, checks wait: the loop that reads them has stood still.
const ANSWERS_MAX: usize = 64;

/// How long a stop waits for the thread to end its scripts.
const END_TIME_MAX: Duration = Duration::from_millis(200);

/// An answer and what was asked.
type Answer = (Check, Outcome);

/// The checks that are run.
#[derive(Debug)]
pub struct Runner {
    orders: Option<mpsc::UnboundedSender<BTreeSet<Check>>>,
    /// Closed when the thread has ended.
    ended: Option<std::sync::mpsc::Receiver<()>>,
    patience: Duration,
    answers: mpsc::Sender<Answer>,
    bgpd: PathBuf,
}

/// Starts what runs the checks of `shared`'s node, and brings their answers to it. bgpd is asked
/// on the socket beside `own_socket` unless a check names another.
pub fn start(shared: &Rc<Shared>, own_socket: &Path) {
    let (answers, mut inbox) = mpsc::channel(ANSWERS_MAX);
    shared.set_runner(Runner {
        orders: None,
        ended: None,
        patience: END_TIME_MAX,
        answers,
        bgpd: own_socket.with_file_name("bgpd.sock"),
    });
    let shared = Rc::clone(shared);
    tokio::task::spawn_local(async move {
        while let Some((check, outcome)) = inbox.recv().await {
            shared.step(|node, now| node.check_answered(now, &check, outcome));
        }
    });
}

impl Runner {
    /// Runs those of `wanted` and no others; unchanged ones go on as they are.
    pub fn set(&mut self, wanted: BTreeSet<Check>) {
        if wanted.is_empty() && self.orders.is_none() {
            return;
        }
        if self
            .orders
            .as_ref()
            .is_none_or(mpsc::UnboundedSender::is_closed)
        {
            self.orders = self.spawn();
        }
        if let Some(orders) = &self.orders {
            // Fails only when the thread is gone, and then it is said below.
            let _ = orders.send(wanted);
        }
    }

    /// Its end waits for the thread so long at most.
    pub fn hurry(&mut self, patience: Duration) {
        self.patience = patience;
    }

    fn spawn(&mut self) -> Option<mpsc::UnboundedSender<BTreeSet<Check>>> {
        let (orders, inbox) = mpsc::unbounded_channel();
        let (answers, bgpd) = (self.answers.clone(), self.bgpd.clone());
        let (alive, ended) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::Builder::new().name("checks".to_owned());
        let thread = thread.spawn(move || {
            let _alive = alive;
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            match runtime {
                Ok(runtime) => {
                    LocalSet::new().block_on(&runtime, serve(inbox, answers, bgpd));
                    // A look-up of a name that nobody answers is not waited for.
                    runtime.shutdown_background();
                }
                Err(error) => tracing::error!(%error, "no checks are run"),
            }
        });
        match thread {
            Ok(_) => {
                self.ended = Some(ended);
                Some(orders)
            }
            Err(error) => {
                tracing::error!(%error, "no thread to run checks: none is run");
                None
            }
        }
    }
}

/// Ends the thread, and with it the scripts that run.
impl Drop for Runner {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(ended) = &self.ended {
            // Nothing is sent: it waits for the other end to go.
            let _ = ended.recv_timeout(self.patience);
        }
    }
}

async fn serve(
    mut orders: mpsc::UnboundedReceiver<BTreeSet<Check>>,
    answers: mpsc::Sender<Answer>,
    bgpd: PathBuf,
) {
    let mut running: BTreeMap<Check, JoinHandle<()>> = BTreeMap::new();
    while let Some(wanted) = orders.recv().await {
        running.retain(|check, task| {
            let keep = wanted.contains(check);
            if !keep {
                task.abort();
            }
            keep
        });
        for check in wanted {
            running.entry(check).or_insert_with_key(|check| {
                let mail = Mail {
                    check: check.clone(),
                    answers: answers.clone(),
                };
                tokio::task::spawn_local(supervise(mail, bgpd.clone()))
            });
        }
    }
}

/// Where the answers of one check go.
#[derive(Clone)]
struct Mail {
    check: Check,
    answers: mpsc::Sender<Answer>,
}

impl Mail {
    async fn send(&self, outcome: Outcome) {
        // Fails only when the daemon ends.
        let _ = self.answers.send((self.check.clone(), outcome)).await;
    }
}

/// A check that ends by a fault of ours is bad and begun again: what it said last holds no longer.
async fn supervise(mail: Mail, bgpd: PathBuf) {
    loop {
        // Ended with this task, wherever that is.
        let mut task = JoinSet::new();
        task.spawn_local(run(mail.clone(), bgpd.clone()));
        if let Some(Err(error)) = task.join_next().await {
            tracing::error!(check = %mail.check, %error, "a check ended by itself");
        }
        mail.send(Outcome::bad("the check ended by itself")).await;
        sleep(mail.check.interval).await;
    }
}

async fn run(mail: Mail, bgpd: PathBuf) {
    match mail.check.probe.clone() {
        Probe::Process(name) => process::watch(&mail, &name).await,
        Probe::Route(prefix) => route::watch(&mail, prefix).await,
        _ => ask_for_ever(&mail, &bgpd).await,
    }
}

/// Asks every interval. An answer that is late delays the next question: never two at once.
async fn ask_for_ever(mail: &Mail, bgpd: &Path) {
    let mut ticks = interval(mail.check.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut kept = Kept::default();
    loop {
        ticks.tick().await;
        mail.send(ask(&mail.check, bgpd, &mut kept).await).await;
    }
}

/// What a check keeps between its questions.
#[derive(Default)]
struct Kept {
    trust: tls::Trust,
    /// A look that did not end in time; its thread waits for the file system.
    look: Option<JoinHandle<Outcome>>,
    /// A script that could not be ended.
    script: script::Left,
}

impl Kept {
    /// Looks from another thread. The last look has to be back before: each that is out is a
    /// thread, and the threads are everybody's.
    async fn look(&mut self, look: impl FnOnce() -> Outcome + Send + 'static) -> Outcome {
        if let Some(last) = &mut self.look {
            // What it says is about a time that has gone.
            let _ = last.await;
        }
        let begun = self.look.insert(tokio::task::spawn_blocking(look));
        let outcome = begun.await;
        self.look = None;
        outcome.unwrap_or_else(|error| Outcome::bad(error.to_string()))
    }
}

/// What is being waited for, to be named when time runs out.
type Phase = Cell<&'static str>;

/// One question and its answer.
async fn ask(check: &Check, bgpd: &Path, kept: &mut Kept) -> Outcome {
    let phase = Phase::new("");
    let answer = async {
        match &check.probe {
            Probe::Tcp(endpoint) => tcp::ask(endpoint, &phase).await,
            Probe::Http(http) => http::ask(http, &mut kept.trust, &phase).await,
            Probe::Script(script) => script::ask(script, &kept.script).await,
            Probe::File(path) => {
                // A file system that hangs must not take the other checks along.
                phase.set("file system");
                let path = path.clone();
                kept.look(move || file(&path)).await
            }
            Probe::Bgp { neighbor, socket } => {
                bgp::ask(socket.as_deref().unwrap_or(bgpd), *neighbor, &phase).await
            }
            Probe::Interface(_) | Probe::Process(_) | Probe::Route(_) => {
                Outcome::bad("is not asked for")
            }
        }
    };
    in_time(check, &phase, answer).await
}

/// The answer, or what was waited for when time ran out.
async fn in_time(check: &Check, phase: &Phase, answer: impl Future<Output = Outcome>) -> Outcome {
    match timeout(check.timeout, answer).await {
        Ok(outcome) => outcome,
        Err(_) => {
            let waited = duration_text(check.timeout);
            match phase.get() {
                "" => Outcome::bad(format!("did not end within {waited}: killed")),
                what => Outcome::bad(format!("no answer within {waited} ({what})")),
            }
        }
    }
}

/// Whether the file is there, and its number where it holds one.
fn file(path: &Path) -> Outcome {
    /// A number has three digits, a sign and a newline.
    const CONTENT_MAX: u64 = 16;
    match std::fs::metadata(path) {
        Err(error) => Outcome::bad(error.to_string()),
        Ok(found) => {
            let text = (found.is_file() && found.len() <= CONTENT_MAX)
                .then(|| std::fs::read_to_string(path).ok())
                .flatten();
            let number = text.and_then(|text| text.trim().parse::<i32>().ok());
            match number {
                Some(number) => Outcome {
                    good: true,
                    value: number.clamp(-253, 253),
                    text: format!("holds {number}"),
                },
                None => Outcome::good("exists"),
            }
        }
    }
}

#[cfg(test)]
mod tests;
