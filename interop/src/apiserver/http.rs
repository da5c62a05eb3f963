//! Requests read and answers written, octet by octet, so that a fault can stop anywhere.
//!
//! HTTP/1.1 with `Content-Length` both ways and chunks for streams (RFC 9112 §6, §7); connections
//! are kept until one side closes them. Nothing else of HTTP is needed here, and a library would
//! hide the very places where a test wants to break off.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::faults::{Act, Refusal};

/// Nobody writes objects larger than this.
const BODY_LEN_MAX: usize = 16 << 20;

/// A request.
#[derive(Debug, Default)]
pub(super) struct Request {
    pub(super) method: String,
    /// Path and query as they came.
    pub(super) target: String,
    pub(super) authorization: Option<String>,
    pub(super) content_type: String,
    pub(super) body: Vec<u8>,
}

impl Request {
    /// Reads the next one; `None` when the client has closed.
    pub(super) fn read(reader: &mut BufReader<TcpStream>) -> io::Result<Option<Request>> {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split_whitespace().map(str::to_owned);
        let mut request = Request {
            method: words.next().unwrap_or_default(),
            target: words.next().unwrap_or_default(),
            ..Request::default()
        };
        let mut length = 0;
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            match name.to_ascii_lowercase().as_str() {
                "authorization" => request.authorization = Some(value.trim().to_owned()),
                "content-type" => value.trim().clone_into(&mut request.content_type),
                "content-length" => length = value.trim().parse().unwrap_or(0),
                _ => {}
            }
        }
        request.body = vec![0; length.min(BODY_LEN_MAX)];
        reader.read_exact(&mut request.body)?;
        Ok(Some(request))
    }

    /// The path without its query.
    pub(super) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// A parameter of the query.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        query.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key == name).then(|| decode(value))
        })
    }

    /// Whether a parameter says yes.
    pub(super) fn has(&self, name: &str) -> bool {
        let value = self.parameter(name);
        value.is_some_and(|value| matches!(value.as_str(), "true" | "1"))
    }
}

/// Takes `%2F` and `+` apart.
fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes().iter();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = [rest.next(), rest.next()].map(|digit| digit.copied().unwrap_or(b'0'));
                let text = String::from_utf8_lossy(&digits).into_owned();
                bytes.push(u8::from_str_radix(&text, 16).unwrap_or(b'?'));
            }
            byte => bytes.push(*byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An answer that is whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) code: u16,
    retry_after_s: Option<u32>,
    body: String,
    is_json: bool,
}

impl Answer {
    pub(super) fn json(code: u16, body: String) -> Answer {
        Answer {
            code,
            retry_after_s: None,
            body,
            is_json: true,
        }
    }

    pub(super) fn value(code: u16, value: &Value) -> Answer {
        Answer::json(code, value.to_string())
    }

    pub(super) fn text(body: &str) -> Answer {
        Answer {
            is_json: false,
            ..Answer::json(200, body.to_owned())
        }
    }

    /// A real server says so in plain text where no handler is registered: no group, no version.
    pub(super) fn no_page() -> Answer {
        Answer {
            code: 404,
            ..Answer::text("404 page not found\n")
        }
    }

    pub(super) fn refusal(refusal: &Refusal) -> Answer {
        Answer {
            retry_after_s: refusal.retry_after_s,
            ..Answer::value(refusal.code, &refusal.status())
        }
    }

    /// Writes it; whether the connection may go on.
    pub(super) fn write(&self, stream: &mut TcpStream, fault: Option<&Act>) -> io::Result<bool> {
        let kind = match self.is_json {
            true => "application/json",
            false => "text/plain",
        };
        let retry = self.retry_after_s.map(|s| format!("Retry-After: {s}\r\n"));
        let text = format!(
            "HTTP/1.1 {} {}\r\nContent-Type: {kind}\r\n{}Content-Length: {}\r\n\r\n{}",
            self.code,
            if self.code < 400 { "OK" } else { "Refused" },
            retry.unwrap_or_default(),
            self.body.len(),
            self.body
        );
        let bytes = text.as_bytes();
        match fault {
            Some(Act::Cut) => {
                stream.write_all(bytes.get(..bytes.len() / 2).unwrap_or(bytes))?;
                reset(stream);
                Ok(false)
            }
            Some(Act::HalfClose) => {
                stream.write_all(bytes.get(..bytes.len() / 2).unwrap_or(bytes))?;
                stream.shutdown(Shutdown::Write)?;
                Ok(false)
            }
            Some(Act::Drip(len, pause)) => drip(stream, bytes, *len, *pause).map(|()| true),
            _ => stream.write_all(bytes).map(|()| true),
        }
    }
}

/// So many octets at a time.
pub(super) fn drip(
    stream: &mut TcpStream,
    bytes: &[u8],
    len: usize,
    pause: Duration,
) -> io::Result<()> {
    for piece in bytes.chunks(len.max(1)) {
        stream.write_all(piece)?;
        thread::sleep(pause);
    }
    Ok(())
}

/// Closes with RST instead of FIN.
pub(super) fn reset(stream: &TcpStream) {
    let socket = socket2::SockRef::from(stream);
    // What cannot linger is closed in order; the client sees half an answer all the same.
    let _ = socket.set_linger(Some(Duration::ZERO));
}

/// The head of a stream of chunks.
pub(super) fn begin_stream(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
    )
}

/// One chunk; an empty one is the end.
pub(super) fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}
