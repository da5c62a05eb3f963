//! The requests that write: create, patch, delete, and the reading before them.
//!
//! One loop: when what is true has changed (at most once in [`PAUSE`]), or a period of Calico's is
//! over, the difference between what is wanted and what was written is carried out, some requests
//! at a time. What fails is kept and tried again with the next turn; what is forbidden is off for
//! [`OFF_TIME`] and said once.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use http::{Method, Request};
use kube::core::Status;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::news::{Journal, News};
use super::{Reality, wanted};
use crate::kubernetes::client::{Access, in_full};

/// Requests per second, in the long run.
pub const WRITES_PER_S: u32 = 10;
/// Changes are gathered for this long.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a kind is left alone after it was refused.
const OFF_TIME: Duration = Duration::from_secs(300);
/// How often `CalicoNodeStatus` objects are looked for.
const CALICO_LIST_TIME: Duration = Duration::from_secs(60);
/// Events that wait; older ones make room.
const NEWS_MAX: usize = 256;

/// Where `CalicoNodeStatus` objects are: the first that is served. A Calico with native `v3`
/// objects has no others.
const CALICO: [&str; 2] = [
    "/apis/crd.projectcalico.org/v1/caliconodestatuses",
    "/apis/projectcalico.org/v3/caliconodestatuses",
];

/// What is written, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportConfig {
    /// As `[kubernetes] kubeconfig`; `None` = in-cluster.
    pub kubeconfig: Option<PathBuf>,
    /// The name of this node's object.
    pub node: String,
    /// Write `ServiceBGPStatus`.
    pub metallb_status: bool,
    /// Write `CalicoNodeStatus`.
    pub calico_status: bool,
    /// Write events.
    pub events: bool,
}

/// The owner's end of the thread that writes. Dropping it ends the thread.
#[derive(Debug)]
pub struct Reporter {
    reality: watch::Sender<Option<Reality>>,
}

impl Reporter {
    /// Starts the thread.
    ///
    /// # Errors
    /// The thread cannot be made.
    pub fn start(config: ReportConfig) -> std::io::Result<Self> {
        let (reality, heard) = watch::channel(None);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name("status".into())
            .spawn(move || {
                let writer = Writer::new(config);
                tokio::task::LocalSet::new().block_on(&runtime, writer.run(heard));
                runtime.shutdown_background();
            })?;
        Ok(Self { reality })
    }

    /// Tells what is true now; the latest wins.
    pub fn tell(&self, reality: Reality) {
        self.reality.send_replace(Some(reality));
    }
}

struct Writer {
    config: ReportConfig,
    access: Access,
    journal: Journal,
    news: VecDeque<News>,
    /// `ServiceBGPStatus` objects as they are in the cluster; `None` until listed.
    written: Option<BTreeMap<String, Value>>,
    calico: Vec<CalicoObject>,
    /// Of [`CALICO`], the one that is served.
    calico_root: &'static str,
    calico_listed: Option<Instant>,
    /// Resources that refused us, until when.
    off: BTreeMap<&'static str, Instant>,
}

/// A `CalicoNodeStatus` that asks for this node.
struct CalicoObject {
    name: String,
    classes: Vec<String>,
    every: Duration,
    due: Instant,
}

/// Why a request did not happen.
#[derive(Debug)]
enum Failure {
    /// The resource is not ours to write, or not there.
    Off(u16),
    /// The one object is gone, or its namespace is going; others can be written.
    Absent,
    /// The server does not take it, now or later.
    Refused(String),
    /// It may work the next time.
    Later(String),
}

impl Writer {
    fn new(config: ReportConfig) -> Self {
        Self {
            access: Access::new(config.kubeconfig.clone()),
            config,
            journal: Journal::default(),
            news: VecDeque::new(),
            written: None,
            calico: Vec::new(),
            calico_root: CALICO[0],
            calico_listed: None,
            off: BTreeMap::new(),
        }
    }

    async fn run(mut self, mut heard: watch::Receiver<Option<Reality>>) {
        loop {
            let reality = heard.borrow_and_update().clone();
            if let Some(reality) = reality {
                self.turn(&reality).await;
            }
            tokio::time::sleep(PAUSE).await;
            let next_look = tokio::time::sleep(self.idle_time());
            tokio::select! {
                changed = heard.changed() => if changed.is_err() { return },
                () = next_look => {}
            }
        }
    }

    /// How long nothing happens by itself.
    fn idle_time(&self) -> Duration {
        let now = Instant::now();
        let due = self.calico.iter().map(|object| object.due);
        let waits = !self.news.is_empty();
        let retry = waits.then(|| now + PAUSE);
        let soonest = due.chain(retry).min().unwrap_or(now + CALICO_LIST_TIME);
        soonest.saturating_duration_since(now).min(CALICO_LIST_TIME)
    }

    async fn turn(&mut self, reality: &Reality) {
        if self.config.events {
            self.news
                .extend(self.journal.look(&self.config.node, reality));
            let surplus = self.news.len().saturating_sub(NEWS_MAX);
            self.news.drain(..surplus);
            let outcome = self.write_events().await;
            self.note("events", outcome);
        }
        if self.config.metallb_status && !self.is_off("servicebgpstatuses") {
            let outcome = self.write_services(reality).await;
            self.note("servicebgpstatuses", outcome);
        }
        if self.config.calico_status && !self.is_off("caliconodestatuses") {
            let outcome = self.write_calico(reality).await;
            self.note("caliconodestatuses", outcome);
        }
    }

    fn is_off(&self, resource: &'static str) -> bool {
        self.off
            .get(resource)
            .is_some_and(|until| Instant::now() < *until)
    }

    fn note(&mut self, resource: &'static str, outcome: Result<(), Failure>) {
        match outcome {
            Ok(()) => {}
            Err(Failure::Off(code)) => {
                let is_first = self
                    .off
                    .insert(resource, Instant::now() + OFF_TIME)
                    .is_none();
                if is_first {
                    tracing::warn!(resource, code, "not ours to write, or absent: left alone");
                }
            }
            Err(Failure::Absent) => tracing::debug!(resource, "not written yet: it is gone"),
            Err(Failure::Refused(text)) => tracing::warn!(resource, "not written: {text}"),
            Err(Failure::Later(text)) => tracing::debug!(resource, "not written yet: {text}"),
        }
    }

    async fn write_events(&mut self) -> Result<(), Failure> {
        if self.is_off("events") {
            self.news.clear();
            return Ok(());
        }
        while let Some(news) = self.news.front().cloned() {
            let (namespace, name) = (&news.service.namespace, &news.service.name);
            let path = format!("/api/v1/namespaces/{namespace}/services/{name}");
            // `kubectl describe` looks for events by the uid of the object.
            let service = self.request(Method::GET, &path, None).await;
            if let Ok(Some(service)) = service {
                let event = event(&self.config.node, &news, &service["metadata"]["uid"]);
                let path = format!("/api/v1/namespaces/{namespace}/events");
                match self.request(Method::POST, &path, Some(&event)).await {
                    // The service goes with its namespace.
                    Ok(_) | Err(Failure::Absent) => {}
                    Err(failure) => {
                        if matches!(failure, Failure::Refused(_)) {
                            self.news.pop_front();
                        }
                        return Err(failure);
                    }
                }
            } else {
                service?;
            }
            self.news.pop_front();
        }
        Ok(())
    }

    async fn write_services(&mut self, reality: &Reality) -> Result<(), Failure> {
        let root = format!(
            "/apis/metallb.io/v1beta1/namespaces/{}/servicebgpstatuses",
            wanted::METALLB
        );
        let mut written = match self.written.take() {
            Some(written) => written,
            None => self.list_services(&root).await?,
        };
        let wanted = wanted::service_statuses(&self.config.node, reality);
        let outcome = self.bring_over(&root, &mut written, &wanted).await;
        // Until it is tried again, others may do what they like with the objects.
        let is_off = matches!(outcome, Err(Failure::Off(_)));
        self.written = (!is_off).then_some(written);
        outcome
    }

    /// Makes `written` what is `wanted`; what was done before a failure is done.
    async fn bring_over(
        &mut self,
        root: &str,
        written: &mut BTreeMap<String, Value>,
        wanted: &BTreeMap<String, Value>,
    ) -> Result<(), Failure> {
        for (name, object) in wanted {
            if written.get(name) == Some(&object["status"]) {
                continue;
            }
            let path = format!("{root}/{name}/status");
            let patch = json!({ "status": object["status"] });
            if written.contains_key(name) {
                match self.request(Method::PATCH, &path, Some(&patch)).await {
                    // Somebody deleted it: it is made again.
                    Err(Failure::Absent) => written.remove(name),
                    outcome => {
                        outcome?;
                        written.insert(name.clone(), object["status"].clone());
                        continue;
                    }
                };
            }
            self.request(Method::POST, root, Some(object)).await?;
            let patched = self.request(Method::PATCH, &path, Some(&patch)).await;
            // Just made, and has no status: the server has it in a way that we cannot write.
            patched.map_err(|failure| match failure {
                Failure::Absent => Failure::Off(404),
                other => other,
            })?;
            written.insert(name.clone(), object["status"].clone());
        }
        let is_gone = |name: &&String| !wanted.contains_key(*name);
        let gone: Vec<String> = written.keys().filter(is_gone).cloned().collect();
        for name in gone {
            let path = format!("{root}/{name}");
            self.request(Method::DELETE, &path, None).await?;
            written.remove(&name);
        }
        Ok(())
    }

    /// What this node wrote in an earlier life.
    async fn list_services(&mut self, root: &str) -> Result<BTreeMap<String, Value>, Failure> {
        let path = format!(
            "{root}?labelSelector={}%3D{}",
            wanted::NODE_LABEL,
            self.config.node
        );
        let list = self
            .request(Method::GET, &path, None)
            .await?
            .unwrap_or_default();
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let of = |item: Value| {
            let name = item["metadata"]["name"].as_str()?.to_owned();
            Some((name, item["status"].clone()))
        };
        Ok(items.into_iter().filter_map(of).collect())
    }

    async fn write_calico(&mut self, reality: &Reality) -> Result<(), Failure> {
        let now = Instant::now();
        let listed = self.calico_listed;
        if listed.is_none_or(|at| now.saturating_duration_since(at) >= CALICO_LIST_TIME) {
            let list = self.list_calico().await?;
            self.calico = calico_objects(&list, &self.config.node, &self.calico, now);
            self.calico_listed = Some(now);
        }
        for index in 0..self.calico.len() {
            let object = &self.calico[index];
            if object.due > now {
                continue;
            }
            let stamp = rfc3339(SystemTime::now());
            let status = wanted::calico_status(&object.classes, reality, &stamp);
            let path = format!("{}/{}/status", self.calico_root, object.name);
            self.calico[index].due = now + object.every;
            let patch = json!({ "status": status });
            match self.request(Method::PATCH, &path, Some(&patch)).await {
                // The next list no longer has it.
                Ok(_) | Err(Failure::Absent) => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    /// The objects of the first group that is served.
    async fn list_calico(&mut self) -> Result<Value, Failure> {
        for root in CALICO {
            match self.request(Method::GET, root, None).await {
                Err(Failure::Off(404)) => {}
                outcome => {
                    self.calico_root = root;
                    return Ok(outcome?.unwrap_or_default());
                }
            }
        }
        Err(Failure::Off(404))
    }

    /// One request, with its share of the ration. `None`: the object is not there.
    async fn request(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Option<Value>, Failure> {
        tokio::time::sleep(Duration::from_secs(1) / WRITES_PER_S).await;
        let visit = self.access.visit().await.map_err(Failure::Later)?;
        let content_type = match method {
            Method::PATCH => "application/merge-patch+json",
            _ => "application/json",
        };
        let request = Request::builder()
            .method(method.clone())
            .uri(path)
            .header(http::header::CONTENT_TYPE, content_type)
            .body(body.map(Value::to_string).unwrap_or_default().into_bytes())
            .map_err(|error| Failure::Later(error.to_string()))?;
        match visit.client.request::<Value>(request).await {
            Ok(value) => Ok(Some(value)),
            Err(kube::Error::Api(status)) if status.code == 401 => {
                self.access.distrust(&visit).await;
                Err(Failure::Later("unauthorized".into()))
            }
            Err(kube::Error::Api(status)) => judge(&method, path, &status),
            Err(error) => Err(Failure::Later(in_full(&error))),
        }
    }
}

/// What a refusal means.
fn judge(method: &Method, path: &str, status: &Status) -> Result<Option<Value>, Failure> {
    let is_core = !path.starts_with("/apis");
    match (status.code, method) {
        // Made by an earlier life of ours: the status is written next.
        (409, _) | (404, &Method::DELETE) => Ok(None),
        (404, &Method::GET) if is_core => Ok(None),
        (404, &Method::PATCH) => Err(Failure::Absent),
        // No namespace: core resources themselves are always there.
        (404, &Method::POST) if is_core => Err(Failure::Absent),
        (403, _) if is_ending(status) => Err(Failure::Absent),
        (code @ (403 | 404), _) => Err(Failure::Off(code)),
        (code @ (400 | 422), _) => Err(Failure::Refused(format!("{code}: {}", status.message))),
        (code, _) => Err(Failure::Later(format!("{code}: {}", status.message))),
    }
}

/// Whether it is forbidden only because the namespace is being deleted.
fn is_ending(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes
        .into_iter()
        .any(|cause| cause.reason == "NamespaceTerminating")
}

/// The `CalicoNodeStatus` objects that ask for this node; those known keep their turn.
fn calico_objects(
    list: &Value,
    node: &str,
    known: &[CalicoObject],
    now: Instant,
) -> Vec<CalicoObject> {
    let items = list["items"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let of = |item: &Value| {
        let name = item["metadata"]["name"].as_str()?.to_owned();
        let spec = &item["spec"];
        let seconds = spec["updatePeriodSeconds"].as_u64().filter(|s| *s > 0)?;
        let classes = spec["classes"].as_array()?.iter();
        let due = known
            .iter()
            .find(|object| object.name == name)
            .map_or(now, |o| o.due);
        (spec["node"].as_str() == Some(node)).then(|| CalicoObject {
            classes: classes
                .filter_map(|c| c.as_str().map(str::to_owned))
                .collect(),
            every: Duration::from_secs(seconds.min(86_400)),
            name,
            due,
        })
    };
    items.iter().filter_map(of).collect()
}

fn event(node: &str, news: &News, uid: &Value) -> Value {
    let time = SystemTime::now();
    let since_1970 = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let now = rfc3339(time);
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": format!("{}.{:x}", news.service.name, since_1970.as_nanos()),
            "namespace": news.service.namespace,
        },
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Service",
            "namespace": news.service.namespace,
            "name": news.service.name,
            "uid": uid,
        },
        "type": news.kind,
        "reason": news.reason,
        "message": news.text,
        "source": { "component": "wayfare-bgpd", "host": node },
        "reportingComponent": "wayfare-bgpd",
        "reportingInstance": node,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    })
}

/// A time as Kubernetes writes it: UTC, whole seconds.
pub(super) fn rfc3339(time: SystemTime) -> String {
    let stamp = k8s_openapi::jiff::Timestamp::try_from(time).unwrap_or_default();
    stamp.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests;
