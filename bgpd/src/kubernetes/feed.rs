//! The requests of one feed: what the machine asks is sent, what comes back is cut and handed in.
//!
//! One task per feed. It waits for the server, for the machine's deadline and for the hub's wish to
//! list again, and it waits for the owner while that is behind: nothing is read meanwhile, so the
//! server's own flow control holds the rest. Errors are counted by reason, and logged when the
//! reason changes, so a server that is away for a night costs a line and not a disk.

use std::rc::Rc;
use std::time::Instant;

use cluster::Change;
use http::Response;
use http_body_util::BodyExt;
use kube::client::Body;
use tokio::sync::Notify;
use tokio::time::timeout_at;

use super::client::{Access, Visit, get, in_full};
use super::hub::Hub;
use super::kinds::{FeedSpec, object_word};
use super::listing::{Listing, Piece};
use super::machine::{Ask, Input, Machine, Mark, State, Step};
use super::reduce::{Reduced, name_in, reduce};
use super::requests::{Refusal, path_of};
use super::watching::{Said, Watching};
use super::{FeedState, FeedStatus};
use crate::session::backoff::Jitter;

/// Objects of a list that are handed over together; events of a watch never wait.
const LIST_BATCH: usize = 256;

/// Reads one kind, or one object, for as long as its task lives.
pub(super) struct Feed {
    spec: FeedSpec,
    name: String,
    hub: Rc<Hub>,
    access: Rc<Access>,
    relist: Rc<Notify>,
    machine: Machine,
    jitter: Jitter,
    /// The visit of the last request: whose credentials a 401 is about.
    visit: Option<Visit>,
    /// Why the last request failed, in words.
    words: Option<String>,
    /// What was logged last.
    logged: &'static str,
}

/// What a step of an exchange came to.
enum Next {
    /// Read on.
    On,
    /// The exchange is over.
    Over(Step),
}

impl Feed {
    /// A feed that has asked nothing yet.
    pub fn new(spec: FeedSpec, hub: Rc<Hub>, access: Rc<Access>, seed: u64) -> Self {
        let relist = hub.join(&spec);
        Self {
            name: spec.name(),
            machine: Machine::new(spec.only.is_some(), Instant::now(), seed),
            spec,
            hub,
            access,
            relist,
            jitter: Jitter::new(!seed),
            visit: None,
            words: None,
            logged: "",
        }
    }

    /// Reads until the task is dropped.
    pub async fn run(mut self) {
        let mut step = Step::default();
        loop {
            let ask = step.ask.take();
            self.apply(&step).await;
            step = match ask {
                Some(ask) => self.exchange(&ask).await,
                None => self.wait().await,
            };
        }
    }

    async fn wait(&mut self) -> Step {
        let deadline = self.machine.deadline().into();
        match timeout_at(deadline, self.relist.notified()).await {
            Ok(()) => self.machine.relist(Instant::now()),
            Err(_) => self.machine.handle(Input::Timeout, Instant::now()),
        }
    }

    /// Sends a request and reads its answer to the point where the machine wants something else.
    async fn exchange(&mut self, ask: &Ask) -> Step {
        let answer = match self.request(ask).await {
            Ok(answer) => answer,
            Err(words) => {
                self.words = Some(words);
                return self.machine.handle(Input::Broken, Instant::now());
            }
        };
        let Some(answer) = answer else {
            self.words = Some("no answer".into());
            return self.machine.handle(Input::Timeout, Instant::now());
        };
        if answer.status() != http::StatusCode::OK {
            return self.refused(ask, answer).await;
        }
        self.machine.handle(Input::Accepted, Instant::now());
        self.show();
        match ask {
            Ask::List { .. } => self.read_list(answer.into_body()).await,
            Ask::Watch { .. } => self.read_watch(answer.into_body()).await,
            Ask::Get => self.read_object(answer.into_body()).await,
        }
    }

    /// The answer's head; `None` when it takes too long.
    async fn request(&mut self, ask: &Ask) -> Result<Option<Response<Body>>, String> {
        let deadline = self.machine.deadline().into();
        let access = self.access.clone();
        let path = path_of(&self.spec, ask, self.jitter.next_u64());
        let asking = async {
            let visit = access.visit().await;
            self.hub.note(|status| match &visit {
                Ok(visit) => {
                    status.origin.clone_from(&visit.url);
                    status.trouble = None;
                }
                Err(trouble) => status.trouble = Some(trouble.clone()),
            });
            let visit = visit?;
            self.visit = Some(visit.clone());
            let answer = visit.client.send(get(&path)?).await;
            answer.map_err(|error| in_full(&error))
        };
        match timeout_at(deadline, asking).await {
            Ok(answer) => answer.map(Some),
            Err(_) => Ok(None),
        }
    }

    async fn refused(&mut self, ask: &Ask, answer: Response<Body>) -> Step {
        let deadline = self.machine.deadline().into();
        let reading = timeout_at(deadline, Refusal::read(answer));
        let refusal = reading.await.unwrap_or_default();
        if *ask == Ask::Get && refusal.is_not_found {
            return self.page(String::new(), String::new());
        }
        let input = self.input_of(&refusal);
        self.machine.handle(input, Instant::now())
    }

    /// A 404 is believed where it may be true: an API server always has the core kinds, so theirs
    /// is the word of whatever stands in its place.
    fn input_of(&mut self, refusal: &Refusal) -> Input {
        self.words = Some(refusal.words());
        match self.spec.is_optional() && refusal.is_absence() {
            true => Input::Absent,
            false => Input::Refused {
                code: refusal.code,
                retry_after: refusal.retry_after,
            },
        }
    }

    async fn read_list(&mut self, mut body: Body) -> Step {
        let mut listing = Listing::new(object_word(self.spec.kind));
        let mut changes = Vec::new();
        let ended = loop {
            let bytes = match self.next_bytes(&mut body).await {
                Ok(Some(bytes)) => bytes,
                Ok(None) => break Ok(listing.finish()),
                Err(step) => break Err(step),
            };
            let fed = listing.feed(&bytes, &mut |piece| self.take(piece, &mut changes));
            if let Err(wrong) = fed {
                break Ok(Err(wrong));
            }
            if changes.len() >= LIST_BATCH
                && let Next::Over(step) = self.deliver(std::mem::take(&mut changes)).await
            {
                return step;
            }
        };
        // What came before a fault counts: it is on the shelf already.
        let delivered = self.deliver(changes).await;
        match (ended, delivered) {
            (Err(step), _) | (_, Next::Over(step)) => step,
            (Ok(Ok(rest)), _) => self.page(rest.metadata.resource_version, rest.metadata.next),
            (Ok(Err(wrong)), _) => self.garbled(wrong.to_string()),
        }
    }

    async fn read_object(&mut self, mut body: Body) -> Step {
        let mut bytes = Vec::new();
        loop {
            match self.next_bytes(&mut body).await {
                Ok(Some(more)) if bytes.len() + more.len() <= super::listing::OBJECT_MAX => {
                    bytes.extend_from_slice(&more);
                }
                Ok(Some(_)) => return self.garbled("the object is too large".into()),
                Ok(None) => break,
                Err(step) => return step,
            }
        }
        let mut changes = Vec::new();
        if !self.take_only(&bytes, &mut changes) {
            return self.garbled("the answer is not the object that was asked for".into());
        }
        if let Next::Over(step) = self.deliver(changes).await {
            return step;
        }
        self.page(String::new(), String::new())
    }

    async fn read_watch(&mut self, mut body: Body) -> Step {
        let mut watching = Watching::new((self.spec.kind, self.spec.api_version()));
        loop {
            let bytes = match self.next_bytes(&mut body).await {
                Ok(Some(bytes)) => bytes,
                Ok(None) => {
                    self.words = Some("the watch ended at once".into());
                    return self.machine.handle(Input::Closed, Instant::now());
                }
                Err(step) => return step,
            };
            let mut changes = Vec::new();
            let mut over = None;
            for said in watching.feed(&bytes) {
                let step = self.hear(said, &mut changes);
                if step.hang_up {
                    over = Some(step);
                    break;
                }
            }
            if let Next::Over(step) = self.deliver(changes).await {
                return step;
            }
            if let Some(step) = over {
                return step;
            }
        }
    }

    fn hear(&mut self, said: Said, changes: &mut Vec<Change>) -> Step {
        let now = Instant::now();
        let input = match said {
            Said::Put(object) => {
                let version = object.version.clone();
                self.hub.put(&self.spec, *object, changes);
                self.heard_event(&version, now);
                Input::Object { version }
            }
            Said::Remove { name, version } => {
                self.hub.remove(&self.spec, &name, changes);
                self.heard_event(&version, now);
                Input::Object { version }
            }
            Said::Broken(Some(name)) => {
                self.hub.put_broken(&self.spec, name, changes);
                Input::Object {
                    version: String::new(),
                }
            }
            Said::Bookmark { version } => {
                self.note_version(&version);
                Input::Bookmark { version }
            }
            Said::Error(refusal) => self.input_of(&refusal),
            Said::Broken(None) => {
                self.words = Some("the watch sent something that is no event".into());
                Input::Garbled
            }
        };
        self.machine.handle(input, now)
    }

    fn note_version(&self, version: &str) {
        self.hub.note_feed(&self.name, |feed| {
            version.clone_into(&mut feed.resource_version);
        });
    }

    fn heard_event(&self, version: &str, now: Instant) {
        self.note_version(version);
        self.hub.note_feed(&self.name, |feed| {
            feed.events += 1;
            feed.last_event = Some(now);
        });
    }

    /// An object of a list.
    fn take(&self, piece: Piece<'_>, changes: &mut Vec<Change>) {
        let bytes = match piece {
            Piece::Whole(bytes) | Piece::Head(bytes) => bytes,
        };
        let read = match piece {
            Piece::Whole(bytes) => serde_json::from_slice(bytes).ok(),
            Piece::Head(_) => None,
        };
        let (kind, version) = (self.spec.kind, self.spec.api_version());
        let is_ours = |o: &Reduced| o.kind.is_empty() || o.kind == object_word(kind);
        match read.and_then(|object| reduce((kind, version), object).ok()) {
            Some(object) if is_ours(&object) => self.hub.put(&self.spec, object, changes),
            _ => match name_in(bytes) {
                Some(name) => self.hub.put_broken(&self.spec, name, changes),
                None => self.hub.veil(&self.spec),
            },
        }
    }

    /// The one object that was asked for; whether it is that.
    fn take_only(&self, bytes: &[u8], changes: &mut Vec<Change>) -> bool {
        let (kind, version) = (self.spec.kind, self.spec.api_version());
        let read = serde_json::from_slice(bytes).ok();
        let read = read.and_then(|object| reduce((kind, version), object).ok());
        let only = self.spec.only.as_ref();
        let is_it = |o: &Reduced| o.kind == object_word(kind) && Some(&o.name) == only;
        let put = |object| self.hub.put(&self.spec, object, changes);
        read.filter(is_it).map(put).is_some()
    }

    fn page(&mut self, version: String, next: String) -> Step {
        let next = (!next.is_empty()).then_some(next);
        let page = Input::Page { version, next };
        self.machine.handle(page, Instant::now())
    }

    fn garbled(&mut self, words: String) -> Step {
        self.words = Some(words);
        self.machine.handle(Input::Garbled, Instant::now())
    }

    /// The next bytes of an answer; `None` at its end; `Err` when the machine wants something else.
    async fn next_bytes(&mut self, body: &mut Body) -> Result<Option<bytes::Bytes>, Step> {
        loop {
            let deadline = self.machine.deadline().into();
            let read = tokio::select! {
                biased;
                () = self.relist.notified() => {
                    return Err(self.machine.relist(Instant::now()));
                }
                read = timeout_at(deadline, body.frame()) => read,
            };
            let now = Instant::now();
            let step = match read {
                Ok(Some(Ok(frame))) => {
                    let step = self.machine.handle(Input::Progress, now);
                    match frame.into_data() {
                        Ok(bytes) if !step.hang_up => return Ok(Some(bytes)),
                        _ => step,
                    }
                }
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => {
                    self.words = Some(in_full(&error));
                    self.machine.handle(Input::Broken, now)
                }
                Err(_) => {
                    self.words = Some("nothing came for too long".into());
                    self.machine.handle(Input::Timeout, now)
                }
            };
            if step.hang_up || step.ask.is_some() {
                return Err(step);
            }
        }
    }

    /// Hands changes over. The time that the owner took does not count as the server's silence.
    async fn deliver(&mut self, changes: Vec<Change>) -> Next {
        if changes.is_empty() {
            return Next::On;
        }
        self.hub.count(&self.spec);
        self.hub.send(changes).await;
        let step = self.machine.handle(Input::Progress, Instant::now());
        match step.hang_up {
            true => Next::Over(step),
            false => Next::On,
        }
    }

    /// Does what a step says beside asking, and says how the feed is doing.
    async fn apply(&mut self, step: &Step) {
        let mut changes = Vec::new();
        match step.mark {
            Some(Mark::Begin) => self.hub.begin(&self.spec),
            Some(Mark::Complete) => {
                self.hub.complete(&self.spec, &mut changes);
                self.hub.note_feed(&self.name, |feed| {
                    feed.lists += 1;
                    feed.is_complete = true;
                });
            }
            // A page of somebody else's comes for the core kinds too.
            Some(Mark::Gone) if !self.hub.is_core_heard() => {}
            Some(Mark::Gone) => {
                self.hub.begin(&self.spec);
                self.hub.complete(&self.spec, &mut changes);
            }
            Some(Mark::Distrust) => {
                if let Some(visit) = &self.visit {
                    self.access.distrust(visit).await;
                }
            }
            None => {}
        }
        if let Some(reason) = step.error {
            self.count_error(reason).await;
        }
        if matches!(self.machine.state(), State::Off { .. }) {
            self.hub.switch_off(&self.spec, &mut changes);
        }
        self.show();
        self.hub.send(changes).await;
        self.hub.check_synced().await;
    }

    async fn count_error(&mut self, reason: &'static str) {
        let words = self.words.take();
        let text = words.clone().unwrap_or_else(|| reason.into());
        self.hub.note_feed(&self.name, |feed| {
            *feed.errors.entry(reason).or_default() += 1;
            feed.last_error = Some(text.clone());
        });
        // Address, CA or client certificate may have changed in the file.
        if reason == "connect"
            && self.machine.is_failing()
            && let Some(visit) = &self.visit
        {
            self.access.distrust(visit).await;
        }
        let is_trouble = !matches!(reason, "silent" | "expired");
        if is_trouble && self.logged != reason {
            self.logged = reason;
            self.log(reason, &text);
        }
    }

    fn log(&self, reason: &'static str, text: &str) {
        let feed = &self.name;
        match reason {
            "forbidden" => tracing::warn!(
                feed,
                text,
                "not allowed: the kind is off until the role has get, list and watch"
            ),
            "absent" => tracing::info!(
                feed,
                text,
                "the cluster has no such kind: it is off until its CRD is there"
            ),
            _ => tracing::warn!(feed, reason, text, "what is known of the cluster stays"),
        }
    }

    /// Shows the machine's state.
    fn show(&mut self) {
        let now = Instant::now();
        let state = match self.machine.state() {
            State::Listing { .. } => FeedState::Listing,
            State::Watching { .. } => FeedState::Watching,
            State::Waiting { reason: "", .. } => FeedState::Starting,
            &State::Waiting { until, reason, .. } => FeedState::Backoff { reason, until },
            &State::Off { until, reason, .. } => FeedState::Off { reason, until },
        };
        let watched = match self.machine.state() {
            State::Watching {
                version,
                is_accepted: true,
                ..
            } => Some(version.clone()),
            _ => None,
        };
        if watched.is_some() && !self.logged.is_empty() {
            tracing::info!(feed = self.name, "read again");
            self.logged = "";
        }
        self.hub.note_feed(&self.name, |feed: &mut FeedStatus| {
            feed.state = state;
            match watched {
                Some(version) => {
                    feed.watches += u64::from(feed.stale_since.is_some() || feed.watches == 0);
                    feed.resource_version = version;
                    feed.stale_since = None;
                    feed.last_error = None;
                }
                None => feed.stale_since = feed.stale_since.or(Some(now)),
            }
        });
    }
}
