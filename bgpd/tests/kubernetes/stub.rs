//! An API server that plays a script: for each resource and verb the answers in turn, the last one
//! again and again. What no script says is an empty list, a watch that stays silent, or 404.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

/// What is done with the connection after the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The answer ends in order.
    End,
    /// The connection ends in the middle of the answer.
    Cut,
    /// Nothing more comes until the server stops or the script goes on.
    Hold,
}

#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// The body so many times.
    pub times: usize,
    pub then: Then,
}

impl Reply {
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            body: body.into(),
            times: 1,
            then: Then::End,
        }
    }

    pub fn status(status: u16) -> Self {
        let reason = if status == 404 { "NotFound" } else { "" };
        let body = format!(
            "{{\"kind\":\"Status\",\"code\":{status},\"reason\":\"{reason}\",\
             \"message\":\"as asked\"}}"
        );
        Self {
            status,
            ..Self::ok(body)
        }
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn then(self, then: Then) -> Self {
        Self { then, ..self }
    }

    pub fn times(self, times: usize) -> Self {
        Self { times, ..self }
    }

    /// A list of a kind, at a version, with a token for the next page or "".
    pub fn list(kind: &str, version: &str, next: &str, items: &[String]) -> Self {
        Self::ok(format!(
            "{{\"kind\":\"{kind}List\",\"apiVersion\":\"v1\",\"metadata\":\
             {{\"resourceVersion\":\"{version}\",\"continue\":\"{next}\"}},\"items\":[{}]}}",
            items.join(",")
        ))
    }

    /// A watch that says these lines and then nothing.
    pub fn watch(lines: &[String]) -> Self {
        let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
        Self::ok(body).then(Then::Hold)
    }
}

/// An object in a namespace ("" = cluster-wide), at a version, with a label.
pub fn object(kind: &str, name: (&str, &str), version: u32, label: &str) -> String {
    let (namespace, name) = name;
    format!(
        "{{\"kind\":\"{kind}\",\"apiVersion\":\"v1\",\"metadata\":{{\"namespace\":\"{namespace}\",\
         \"name\":\"{name}\",\"resourceVersion\":\"{version}\",\"labels\":{{\"l\":\"{label}\"}}}}}}"
    )
}

/// A node.
pub fn node(name: &str) -> String {
    object("Node", ("", name), 1, "")
}

/// A line of a watch.
pub fn event(kind: &str, object: &str) -> String {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}")
}

#[derive(Default)]
struct Script {
    replies: BTreeMap<String, VecDeque<Reply>>,
    /// Bearer token that is taken; any if `None`.
    token: Option<String>,
    /// Request lines, with the token.
    seen: Vec<(String, String)>,
    /// Raised by [`Stub::go_on`] and [`Stub::stop`].
    generation: u64,
    is_stopped: bool,
}

struct Shared {
    script: Mutex<Script>,
    bell: Condvar,
}

impl Shared {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().expect("no test thread panics with it")
    }
}

/// A running server; it stops when dropped.
pub struct Stub {
    shared: Arc<Shared>,
    pub address: SocketAddr,
    pub folder: PathBuf,
}

impl Stub {
    /// Starts on a free port, with a folder of its own.
    pub fn start(name: &str) -> Self {
        let name = format!("wayfare-stub-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("the temporary directory is writable");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared {
            script: Mutex::default(),
            bell: Condvar::new(),
        });
        let stub = Self {
            shared,
            address,
            folder,
        };
        stub.listen(listener);
        stub
    }

    fn listen(&self, listener: TcpListener) {
        let shared = self.shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.script().is_stopped {
                    return;
                }
                let shared = shared.clone();
                std::thread::spawn(move || serve(&stream, &shared));
            }
        });
    }

    /// Stops: nobody answers at the address any more.
    pub fn stop(&self) {
        let mut script = self.shared.script();
        script.is_stopped = true;
        script.generation += 1;
        drop(script);
        self.shared.bell.notify_all();
        // Lets the listener see it.
        let _ = TcpStream::connect(self.address);
    }

    /// Answers again, at the same address.
    pub fn resume(&self) {
        self.shared.script().is_stopped = false;
        let listener = TcpListener::bind(self.address).expect("the port was ours");
        self.listen(listener);
    }

    /// The answers to `list nodes`, `watch nodes`, `get secrets/tor`.
    pub fn on(&self, what: &str, replies: impl IntoIterator<Item = Reply>) -> &Self {
        let mut script = self.shared.script();
        let replies = replies.into_iter().collect();
        script.replies.insert(what.into(), replies);
        self
    }

    /// Ends what is held.
    pub fn go_on(&self) {
        self.shared.script().generation += 1;
        self.shared.bell.notify_all();
    }

    /// Takes only this token from now on.
    pub fn want_token(&self, token: &str) {
        self.shared.script().token = Some(token.into());
    }

    /// How often something was asked.
    pub fn count(&self, what: &str) -> usize {
        let script = self.shared.script();
        script.seen.iter().filter(|(seen, _)| seen == what).count()
    }

    /// Writes a kubeconfig with these fields of the user; its path.
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        let path = self.folder.join("kubeconfig");
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
             clusters: [{{name: c, cluster: {{server: \"http://{}\"}}}}]\n\
             users: [{{name: u, user: {{{user}}}}}]\n\
             contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n",
            self.address
        );
        std::fs::write(&path, text).expect("writable");
        path
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.stop();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn serve(stream: &TcpStream, shared: &Shared) {
    let mut reader = BufReader::new(stream);
    loop {
        let Some((what, token)) = read_request(&mut reader) else {
            return;
        };
        let (reply, generation) = {
            let mut script = shared.script();
            script.seen.push((what.clone(), token.clone()));
            let is_known = script.token.as_ref().is_none_or(|wanted| *wanted == token);
            let reply = match is_known {
                true => choose(&mut script, &what),
                false => Reply::status(401),
            };
            (reply, script.generation)
        };
        if answer(stream, &reply).is_err() {
            return;
        }
        if reply.then == Then::Hold {
            let script = shared.script();
            let held = |script: &mut Script| script.generation == generation;
            drop(shared.bell.wait_while(script, held));
        }
        if reply.then == Then::Cut || shared.script().is_stopped {
            let _ = stream.shutdown(std::net::Shutdown::Both);
            return;
        }
        let mut stream = stream;
        if stream.write_all(b"0\r\n\r\n").is_err() {
            return;
        }
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<(String, String)> {
    let mut first = String::new();
    reader.read_line(&mut first).ok().filter(|n| *n > 0)?;
    let mut token = String::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        if let Some(value) = line.to_lowercase().strip_prefix("authorization: bearer ") {
            token = value.trim().into();
        }
        if line == "\r\n" {
            break;
        }
    }
    let target = first.split(' ').nth(1)?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut parts = path.rsplit('/');
    let last = parts.next()?;
    let is_single = path.contains("/secrets/") || path.contains("/configmaps/");
    Some((
        match (is_single, query.contains("watch=1")) {
            (_, true) => format!("watch {last}"),
            (true, false) => format!("get {}/{last}", parts.next()?),
            (false, false) => format!("list {last}"),
        },
        token,
    ))
}

fn choose(script: &mut Script, what: &str) -> Reply {
    let core = ["nodes", "services", "endpointslices", "namespaces"];
    let Some(replies) = script.replies.get_mut(what) else {
        return match what.split_once(' ') {
            Some(("watch", _)) => Reply::watch(&[]),
            Some(("list", last)) if core.contains(&last) => Reply::list("", "1", "", &[]),
            _ => Reply::status(404),
        };
    };
    match replies.len() {
        0 => Reply::status(404),
        1 => replies[0].clone(),
        _ => replies.pop_front().expect("two or more"),
    }
}

fn answer(mut stream: &TcpStream, reply: &Reply) -> std::io::Result<()> {
    let mut head = format!(
        "HTTP/1.1 {} X\r\nTransfer-Encoding: chunked\r\n",
        reply.status
    );
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    for _ in 0..reply.times {
        if !reply.body.is_empty() {
            stream.write_all(format!("{:x}\r\n", reply.body.len()).as_bytes())?;
            stream.write_all(&reply.body)?;
            stream.write_all(b"\r\n")?;
        }
    }
    stream.flush()
}
