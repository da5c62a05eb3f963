//! The exporter: a minimal HTTP/1.1 server for `/metrics`, `/healthz` and `/readyz`.
//!
//! It has a thread and a runtime of its own, so that neither a scraper that reads slowly nor the
//! making of a long text is ever between a timer of the daemon and what is due. The daemon's
//! thread is only asked for facts, over a short channel ([`Ask`]); what it answered is kept for
//! [`FRESH_FOR`], so that it is asked four times a second however many scrapers there are.
//!
//! One request per connection: `Connection: close` is always said. Bounds: [`CONNECTIONS_MAX`]
//! connections (a further one is told 503), [`REQUEST_LEN_MAX`] octets of request (431),
//! [`REQUEST_TIME_MAX`] for it (408), [`ANSWER_TIME_MAX`] for reading the answer. Bodies are not
//! read; whatever is no GET or HEAD is told 405.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proto_codec::control::view::MetricFamily;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::exposition;

/// Connections at once.
const CONNECTIONS_MAX: usize = 16;
/// Request line and headers.
const REQUEST_LEN_MAX: usize = 8 * 1024;
/// For sending the request.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(5);
/// For reading the answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// For the daemon's thread to answer: longer, and it hangs.
const DAEMON_TIME_MAX: Duration = Duration::from_secs(3);
/// An answer of the daemon serves all who ask within this.
const FRESH_FOR: Duration = Duration::from_millis(250);
/// Media type of the text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Whether the daemon does its work, or what is in the way.
pub type Ready = Result<(), String>;

/// What the exporter wants to know from the daemon.
#[derive(Debug)]
pub enum Ask {
    /// All families.
    Metrics(oneshot::Sender<Vec<MetricFamily>>),
    /// Whether it is ready.
    Ready(oneshot::Sender<Ready>),
}

/// A server that runs; it ends when dropped.
#[derive(Debug)]
pub struct Exporter {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    /// Closed when the thread has let go of everything.
    ended: oneshot::Receiver<()>,
}

impl Exporter {
    /// Listens on `listen` and asks `daemon` for whatever is scraped.
    ///
    /// # Errors
    /// The address cannot be listened on (yet); no thread or descriptor is left.
    pub fn start(listen: SocketAddr, daemon: mpsc::Sender<Ask>) -> io::Result<Self> {
        let listener = StdListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let (alive, ended) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("metrics".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        // The sender is never used: its end is the signal.
                        _ = stopped => {}
                        () = serve(listener, daemon) => {}
                    }
                });
                drop(runtime);
                drop(alive);
            })?;
        Ok(Self {
            address,
            stop,
            ended,
        })
    }

    /// Ends it, and waits until its address is free for another.
    pub async fn stop(self) {
        drop(self.stop);
        // Nothing is sent: its end is the signal.
        let _ = self.ended.await;
    }

    /// Where it listens; the port is the real one when 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// What connections share.
struct Shared {
    daemon: mpsc::Sender<Ask>,
    kept: Mutex<Option<(Instant, Arc<str>)>>,
}

async fn serve(listener: StdListener, daemon: mpsc::Sender<Ask>) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "metrics cannot be served"),
    };
    let shared = Arc::new(Shared {
        daemon,
        kept: Mutex::new(None),
    });
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let mut stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // No descriptor is left, mostly; others will free some.
                tracing::warn!(%error, "metrics: no connection");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            let answer = Answer::plain(503, "too many connections\n").octets(true);
            // What does not fit the socket's buffer at once is not worth a place.
            let _ = timeout(Duration::from_millis(50), stream.write_all(&answer)).await;
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            converse(&mut stream, &shared).await;
            drop(place);
        });
    }
}

async fn converse(stream: &mut TcpStream, shared: &Shared) {
    let request = match timeout(REQUEST_TIME_MAX, read_request(stream)).await {
        Ok(Ok(request)) => request,
        Ok(Err(Some(answer))) => return send(stream, &answer, true).await,
        // Closed, or broken.
        Ok(Err(None)) => return,
        Err(_) => {
            let answer = Answer::plain(408, "the request took too long\n");
            return send(stream, &answer, true).await;
        }
    };
    let with_body = request.method != "HEAD";
    let answer = match request.path.as_str() {
        _ if !matches!(request.method.as_str(), "GET" | "HEAD") => {
            Answer::plain(405, "only GET and HEAD\n")
        }
        "/metrics" => metrics(shared).await,
        "/healthz" => ready(shared).await.0,
        "/readyz" => ready(shared).await.1,
        "/" => Answer::plain(200, "/metrics\n/healthz\n/readyz\n"),
        _ => Answer::plain(404, "not found; there is /metrics\n"),
    };
    send(stream, &answer, with_body).await;
}

struct HttpRequest {
    method: String,
    path: String,
}

/// Reads to the end of the headers. `Err(None)`: the connection is gone.
async fn read_request(stream: &mut TcpStream) -> Result<HttpRequest, Option<Answer>> {
    let mut buffer = Vec::new();
    let mut piece = [0; 1024];
    while !buffer.windows(4).any(|end| end == b"\r\n\r\n") {
        if buffer.len() >= REQUEST_LEN_MAX {
            return Err(Some(Answer::plain(431, "the request is too long\n")));
        }
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return Err(None),
            Ok(len) => buffer.extend_from_slice(piece.get(..len).unwrap_or_default()),
        }
    }
    let bad = || Some(Answer::plain(400, "this is no HTTP/1 request\n"));
    let head = std::str::from_utf8(&buffer).map_err(|_| bad())?;
    let line = head.lines().next().ok_or_else(bad)?;
    let words: Vec<&str> = line.split(' ').collect();
    let [method, target, version] = words.as_slice() else {
        return Err(bad());
    };
    if !version.starts_with("HTTP/1.") || !target.starts_with('/') {
        return Err(bad());
    }
    let path = target.split('?').next().unwrap_or_default();
    Ok(HttpRequest {
        method: (*method).to_owned(),
        path: path.to_owned(),
    })
}

async fn metrics(shared: &Shared) -> Answer {
    // Held while asking: whoever comes meanwhile gets the same answer.
    let mut kept = shared.kept.lock().await;
    if let Some((at, text)) = kept.as_ref()
        && at.elapsed() < FRESH_FOR
    {
        return Answer::metrics(text);
    }
    let (sender, receiver) = oneshot::channel();
    let Some(families) = asked(shared, Ask::Metrics(sender), receiver).await else {
        return Answer::plain(503, "the daemon does not answer\n");
    };
    let mut text = String::new();
    for family in &families {
        exposition(family, &mut text);
    }
    let text = Arc::from(text);
    *kept = Some((Instant::now(), Arc::clone(&text)));
    Answer::metrics(&text)
}

/// The answers to `/healthz` (does it answer at all) and `/readyz` (does it do its work).
async fn ready(shared: &Shared) -> (Answer, Answer) {
    let (sender, receiver) = oneshot::channel();
    let hangs = || Answer::plain(503, "the daemon does not answer\n");
    match asked(shared, Ask::Ready(sender), receiver).await {
        None => (hangs(), hangs()),
        Some(Ok(())) => (Answer::plain(200, "ok\n"), Answer::plain(200, "ok\n")),
        Some(Err(why)) => (
            Answer::plain(200, "ok\n"),
            Answer::plain(503, &format!("{why}\n")),
        ),
    }
}

async fn asked<T>(shared: &Shared, ask: Ask, receiver: oneshot::Receiver<T>) -> Option<T> {
    let answer = async {
        shared.daemon.send(ask).await.ok()?;
        receiver.await.ok()
    };
    timeout(DAEMON_TIME_MAX, answer).await.ok()?
}

struct Answer {
    status: u16,
    media: &'static str,
    body: Arc<str>,
}

impl Answer {
    fn plain(status: u16, text: &str) -> Self {
        Self {
            status,
            media: "text/plain; charset=utf-8",
            body: Arc::from(text),
        }
    }

    fn metrics(text: &Arc<str>) -> Self {
        Self {
            status: 200,
            media: TEXT_FORMAT,
            body: Arc::clone(text),
        }
    }

    fn octets(&self, with_body: bool) -> Vec<u8> {
        let reason = match self.status {
            200 => "OK",
            400 => "Bad Request",
            404 => "Not Found",
            405 => "Method Not Allowed",
            408 => "Request Timeout",
            431 => "Request Header Fields Too Large",
            _ => "Service Unavailable",
        };
        let (status, media, len) = (self.status, self.media, self.body.len());
        let mut octets = format!(
            "HTTP/1.1 {status} {reason}\r\nContent-Type: {media}\r\nContent-Length: {len}\r\n\
             Connection: close\r\n\r\n"
        )
        .into_bytes();
        if with_body {
            octets.extend_from_slice(self.body.as_bytes());
        }
        octets
    }
}

/// A reader that is too slow, or gone, gets what it took.
async fn send(stream: &mut TcpStream, answer: &Answer, with_body: bool) {
    let octets = answer.octets(with_body);
    let writing = async {
        stream.write_all(&octets).await?;
        stream.shutdown().await
    };
    let _ = timeout(ANSWER_TIME_MAX, writing).await;
}
