//! The asking: GETs over kept connections on loopback, one task for all questions.
//!
//! Questions that are due are asked side by side, a few at a time; none waits longer than
//! [`PATIENCE`]. The client is hyper's, as the API server's is.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Answer, Gate, GateMode, Question, Verdicts};

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// Questions under way at a time.
const AT_ONCE: usize = 16;
/// Longest sleep, so that a change of the wanted ports is seen.
const SLEEP_MAX: Duration = Duration::from_secs(1);
/// Of the body this much is read, so that the connection can be kept; with more it is closed.
const BODY_MAX: usize = 16 << 10;

/// Whom the gate asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// When it is asked at all.
    pub mode: GateMode,
    /// kube-proxy's health endpoint, as `http://127.0.0.1:10256/healthz`.
    pub proxy: hyper::Uri,
    /// The address at which node ports answer.
    pub node: IpAddr,
}

impl Default for Target {
    fn default() -> Self {
        Self {
            mode: GateMode::Auto,
            proxy: hyper::Uri::from_static("http://127.0.0.1:10256/healthz"),
            node: Ipv4Addr::LOCALHOST.into(),
        }
    }
}

/// The task that asks and judges; see the module.
#[derive(Debug)]
pub struct GateTask {
    target: Target,
    gate: Gate,
    ports: watch::Receiver<BTreeSet<u16>>,
    verdicts: watch::Sender<Verdicts>,
}

impl GateTask {
    /// A task that asks the node ports of `ports`, and where its verdicts are heard.
    #[must_use]
    pub fn new(
        target: Target,
        ports: watch::Receiver<BTreeSet<u16>>,
    ) -> (Self, watch::Receiver<Verdicts>) {
        let gate = Gate::new(target.mode, Instant::now(), uptime());
        let (verdicts, heard) = watch::channel(gate.verdicts().clone());
        let task = Self {
            target,
            gate,
            ports,
            verdicts,
        };
        (task, heard)
    }

    /// Asks until nobody listens to the verdicts or nobody can want ports any more.
    pub async fn run(mut self) {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(PATIENCE));
        connector.set_nodelay(true);
        let client: HttpClient = Client::builder(TokioExecutor::new()).build(connector);
        let mut asked: JoinSet<(Question, Answer)> = JoinSet::new();
        let mut under_way: Vec<Question> = Vec::new();
        loop {
            let wanted = self.ports.borrow_and_update().clone();
            if self.gate.set_ports(Instant::now(), &wanted) {
                self.verdicts.send_replace(self.gate.verdicts().clone());
            }
            while asked.len() < AT_ONCE {
                let Some(question) = self.gate.poll_question(Instant::now()) else {
                    break;
                };
                // A slow answer is waited for, not doubled.
                if !under_way.contains(&question) {
                    under_way.push(question);
                    asked.spawn(ask(client.clone(), question, self.uri(question)));
                }
            }
            let until = match self.gate.poll_timeout() {
                Some(due) if asked.len() < AT_ONCE => due.min(Instant::now() + SLEEP_MAX),
                _ => Instant::now() + SLEEP_MAX,
            };
            tokio::select! {
                () = tokio::time::sleep_until(until.into()) => {}
                changed = self.ports.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                () = self.verdicts.closed() => return,
                Some(Ok((question, answer))) = asked.join_next() => {
                    under_way.retain(|other| *other != question);
                    if self.gate.handle_answer(Instant::now(), question, answer) {
                        self.verdicts.send_replace(self.gate.verdicts().clone());
                    }
                }
            }
        }
    }

    fn uri(&self, question: Question) -> hyper::Uri {
        match question {
            Question::Proxy => self.target.proxy.clone(),
            Question::Port(port) => {
                let authority = SocketAddr::new(self.target.node, port);
                let text = format!("http://{authority}/");
                text.parse().unwrap_or_else(|_| self.target.proxy.clone())
            }
        }
    }
}

type HttpClient = Client<HttpConnector, Empty<Bytes>>;

async fn ask(client: HttpClient, question: Question, uri: hyper::Uri) -> (Question, Answer) {
    let answer = match tokio::time::timeout(PATIENCE, client.get(uri)).await {
        Ok(Ok(response)) => {
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), BODY_MAX);
            // The status has decided; a body that breaks off costs the connection only.
            let _ = tokio::time::timeout(PATIENCE, body.collect()).await;
            Answer::Status(status)
        }
        Ok(Err(error)) if error.is_connect() && is_refused(&error) => Answer::Refused,
        Ok(Err(_)) | Err(_) => Answer::Silent,
    };
    (question, answer)
}

/// Whether nobody listens there; anything else about a connection is silence.
fn is_refused(error: &hyper_util::client::legacy::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            return io.kind() == std::io::ErrorKind::ConnectionRefused;
        }
        cause = inner.source();
    }
    false
}

/// How long the machine has been up; a machine that does not say has just booted. Asked of the
/// kernel and not of `/proc/uptime`, which `ProcSubset=pid` hides.
fn uptime() -> Duration {
    nix::sys::sysinfo::sysinfo().map_or(Duration::ZERO, |machine| machine.uptime())
}

#[cfg(test)]
mod tests {
    use cluster::ProxyHealth;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Answers every request with the status that is in force, on as many connections as come.
    async fn proxy(listener: TcpListener, status: watch::Receiver<u16>) {
        loop {
            let Ok((mut stream, _)) = listener.accept().await else {
                return;
            };
            let status = status.clone();
            tokio::spawn(async move {
                let mut request = vec![0; 4096];
                while matches!(stream.read(&mut request).await, Ok(1..)) {
                    let code = *status.borrow();
                    let text = format!("HTTP/1.1 {code} x\r\ncontent-length: 2\r\n\r\n{{}}");
                    if stream.write_all(text.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    }

    async fn heard(verdicts: &mut watch::Receiver<Verdicts>, wanted: ProxyHealth) {
        let of = |verdicts: &Verdicts| verdicts.proxy == wanted;
        verdicts.wait_for(of).await.expect("the task goes on");
    }

    #[test]
    fn the_machine_says_how_long_it_is_up_where_proc_is_narrow() {
        crate::narrow_proc::run("gate uptime", || {
            assert!(!std::path::Path::new("/proc/uptime").exists());
            assert_ne!(uptime(), Duration::ZERO);
        });
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_gate_follows_the_answers() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let (status, statuses) = watch::channel(503);
        tokio::spawn(proxy(listener, statuses));
        let target = Target {
            mode: GateMode::On,
            proxy: format!("http://127.0.0.1:{port}/healthz")
                .parse()
                .expect("a URI"),
            ..Target::default()
        };
        let (ports, wanted) = watch::channel(BTreeSet::from([port]));
        let (task, mut verdicts) = GateTask::new(target, wanted);
        assert_eq!(verdicts.borrow().proxy, ProxyHealth::Unknown);
        tokio::spawn(task.run());
        heard(&mut verdicts, ProxyHealth::Unhealthy).await;
        status.send_replace(200);
        heard(&mut verdicts, ProxyHealth::Healthy).await;
        let has_local = |verdicts: &Verdicts| verdicts.ports.get(&port) == Some(&true);
        verdicts.wait_for(has_local).await.expect("it goes on");
        status.send_replace(503);
        heard(&mut verdicts, ProxyHealth::Unhealthy).await;
        ports.send_replace(BTreeSet::new());
        verdicts
            .wait_for(|v| v.ports.is_empty())
            .await
            .expect("it goes on");
    }
}
