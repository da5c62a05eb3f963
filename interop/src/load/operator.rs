//! Operators that ask while the daemon works: short questions one after another, the whole table,
//! and whoever looks at the first rows and leaves.
//!
//! Each is a thread of its own on the control socket. Frames (a 32-bit length, then JSON) are cut
//! but not parsed, so that what is measured is the daemon; the whole table is asked for with the
//! CLI as well, as an operator would, whose output is read and counted.
//!
//! What counts as latency: of a short question the time from sending it to the last octet of the
//! answer; of the table the time to its first row and the longest pause between two reads that
//! brought some.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::node::program_dir;

/// Between two questions of an operator who asks all the time.
const PAUSE: Duration = Duration::from_millis(2);
/// Between two looks at the first rows.
const PEEK_PAUSE: Duration = Duration::from_millis(20);
/// Nobody waits longer for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

const SUMMARY: &str = r#"{"showBgpSummary":{"family":null}}"#;
const TABLE: &str = r#"{"showBgpTable":{"family":"ipv4Unicast","filter":{}}}"#;
/// Other short questions, in turns.
const OTHERS: [&str; 4] = [
    r#""showVersion""#,
    r#""showMemory""#,
    r#"{"showBgpNeighbors":{"address":null}}"#,
    r#"{"explainRoute":{"prefix":"1.0.0.0/24","to":null}}"#,
];

/// A connection to the control socket.
#[derive(Debug)]
struct Line {
    stream: UnixStream,
    buffer: Vec<u8>,
}

impl Line {
    fn open(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let buffer = Vec::new();
        let mut line = Self { stream, buffer };
        line.frame()?;
        Ok(line)
    }

    fn send(&mut self, request: &str) -> io::Result<()> {
        let len = u32::try_from(request.len()).map_err(io::Error::other)?;
        let frame = [&len.to_be_bytes(), request.as_bytes()].concat();
        self.stream.write_all(&frame)
    }

    /// The body of the next frame.
    fn frame(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(header) = self.buffer.get(..4) {
                let len = u32::from_be_bytes([header[0], header[1], header[2], header[3]]);
                let end = 4 + usize::try_from(len).map_err(io::Error::other)?;
                if self.buffer.len() >= end {
                    let body = self.buffer[4..end].to_vec();
                    self.buffer.drain(..end);
                    return Ok(body);
                }
            }
            let mut chunk = [0; 16 << 10];
            match self.stream.read(&mut chunk)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => self.buffer.extend_from_slice(&chunk[..read]),
            }
        }
    }

    /// Asks and reads the answer to its end; how long that took.
    fn ask(&mut self, request: &str) -> io::Result<Duration> {
        let begin = Instant::now();
        self.send(request)?;
        while !is_end(&self.frame()?) {}
        Ok(begin.elapsed())
    }
}

fn is_end(body: &[u8]) -> bool {
    body.starts_with(b"{\"tail\"") || body.starts_with(b"{\"error\"")
}

/// What the operators saw.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Whole answers to `show bgp summary`.
    pub summary: Vec<Duration>,
    /// Whole answers to other short questions.
    pub others: Vec<Duration>,
    /// First rows of a table that is then left.
    pub first_rows: Vec<Duration>,
    /// Per whole table: time to its first octets, longest pause after that, and all of it.
    pub tables: Vec<[Duration; 3]>,
}

/// Operators at work.
#[derive(Debug)]
pub struct Operators {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<io::Result<Seen>>>,
}

impl Operators {
    /// Sets all of them to work on this control socket.
    pub fn start(socket: &Path) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let roles: [fn(&Path, &AtomicBool) -> io::Result<Seen>; 4] =
            [ask_summary, ask_others, peek, read_table];
        let start = |role: fn(&Path, &AtomicBool) -> io::Result<Seen>| {
            let (socket, stop): (PathBuf, _) = (socket.to_owned(), stop.clone());
            std::thread::spawn(move || role(&socket, &stop))
        };
        let threads = roles.into_iter().map(start).collect();
        Self { stop, threads }
    }

    /// Lets each finish what it is at, and tells what they saw.
    ///
    /// # Errors
    /// The daemon did not answer one of them.
    pub fn stop(self) -> Result<Seen, String> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Seen::default();
        for thread in self.threads {
            let seen = thread.join().map_err(|_| "an operator failed")?;
            let seen = seen.map_err(|error| format!("control socket: {error}"))?;
            all.summary.extend(seen.summary);
            all.others.extend(seen.others);
            all.first_rows.extend(seen.first_rows);
            all.tables.extend(seen.tables);
        }
        Ok(all)
    }
}

fn ask_summary(socket: &Path, stop: &AtomicBool) -> io::Result<Seen> {
    let mut line = Line::open(socket)?;
    let mut seen = Seen::default();
    while !stop.load(Ordering::Relaxed) {
        seen.summary.push(line.ask(SUMMARY)?);
        std::thread::sleep(PAUSE);
    }
    Ok(seen)
}

fn ask_others(socket: &Path, stop: &AtomicBool) -> io::Result<Seen> {
    let mut line = Line::open(socket)?;
    let mut seen = Seen::default();
    for request in OTHERS.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        seen.others.push(line.ask(request)?);
        std::thread::sleep(PAUSE);
    }
    Ok(seen)
}

/// Asks for the table, reads until the first row is there, and hangs up.
fn peek(socket: &Path, stop: &AtomicBool) -> io::Result<Seen> {
    let mut seen = Seen::default();
    while !stop.load(Ordering::Relaxed) {
        let mut line = Line::open(socket)?;
        let begin = Instant::now();
        line.send(TABLE)?;
        let mut body = line.frame()?;
        while !body.starts_with(b"{\"row\"") && !is_end(&body) {
            body = line.frame()?;
        }
        // An empty table has no first row.
        if !is_end(&body) {
            seen.first_rows.push(begin.elapsed());
        }
        std::thread::sleep(PEEK_PAUSE);
    }
    Ok(seen)
}

/// `show bgp ipv4 unicast json`, from when there are rows; the last one is read to its end.
fn read_table(socket: &Path, stop: &AtomicBool) -> io::Result<Seen> {
    let mut seen = Seen::default();
    let mut line = Line::open(socket)?;
    while !stop.load(Ordering::Relaxed) {
        line.send(TABLE)?;
        let (mut body, mut rows) = (Vec::new(), false);
        while !is_end(&body) {
            body = line.frame()?;
            rows |= body.starts_with(b"{\"row\"");
            if rows {
                line = Line::open(socket)?;
                break;
            }
        }
        match rows {
            true => seen.tables.push(run_cli(socket)?),
            false => std::thread::sleep(PAUSE),
        }
    }
    Ok(seen)
}

fn run_cli(socket: &Path) -> io::Result<[Duration; 3]> {
    let begin = Instant::now();
    let mut child = Command::new(program_dir().join("wayfare"))
        .arg("--socket")
        .arg(socket)
        .args(["show", "bgp", "ipv4", "unicast", "json"])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut output = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let mut chunk = vec![0; 1 << 16];
    let (mut first, mut pause, mut last) = (None, Duration::ZERO, begin);
    loop {
        let read = output.read(&mut chunk)?;
        let now = Instant::now();
        match first {
            None => first = Some(now - begin),
            Some(_) => pause = pause.max(now - last),
        }
        last = now;
        if read == 0 {
            break;
        }
    }
    match child.wait()?.success() {
        true => Ok([first.unwrap_or_default(), pause, begin.elapsed()]),
        false => Err(io::Error::other("the CLI failed")),
    }
}

/// The value below which `percent` of all are; nothing of nothing.
pub fn percentile(values: &[Duration], percent: usize) -> Option<Duration> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_values_there_are() {
        let values: Vec<Duration> = (1..=200).rev().map(Duration::from_millis).collect();
        let at = |percent| percentile(&values, percent).map(|value| value.as_millis());
        assert_eq!([at(50), at(99), at(100)], [Some(100), Some(198), Some(200)]);
        assert_eq!(percentile(&[], 99), None);
    }
}
