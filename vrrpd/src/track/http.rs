//! A GET over HTTP/1.1 (RFC 9112), for its status code and nothing else.
//!
//! One connection per question: what is asked is whether somebody new would be served. The reply
//! is read up to the end of its head and at most [`HEAD_MAX`] octets; interim replies (1xx) are
//! passed over, redirects are not followed, a body is not waited for.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{Phase, tcp, tls};
use crate::config::check::HttpProbe;
use crate::node::checks::Outcome;

/// Longest head of a reply.
const HEAD_MAX: usize = 16 << 10;

pub(super) async fn ask(probe: &HttpProbe, trust: &mut tls::Trust, phase: &Phase) -> Outcome {
    let stream = match tcp::connect(&probe.endpoint, phase).await {
        Ok(stream) => stream,
        Err(text) => return Outcome::bad(text),
    };
    exchange(stream, probe, trust, phase).await
}

/// Asks over a connection.
async fn exchange<S>(stream: S, probe: &HttpProbe, trust: &mut tls::Trust, phase: &Phase) -> Outcome
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let status = match &probe.tls {
        None => get(stream, probe, phase).await,
        Some(tls) => {
            phase.set("TLS handshake");
            match trust.handshake(tls, &probe.host, stream).await {
                Ok(stream) => get(stream, probe, phase).await,
                Err(text) => Err(text),
            }
        }
    };
    judge(probe, status)
}

fn judge(probe: &HttpProbe, status: Result<u16, String>) -> Outcome {
    let accepted = |code: &u16| probe.status.iter().any(|(a, b)| (a..=b).contains(&code));
    match status {
        Ok(code) if accepted(&code) => Outcome::good(format!("HTTP {code}")),
        Ok(code) => Outcome::bad(format!("HTTP {code}")),
        Err(text) => Outcome::bad(text),
    }
}

/// Asks over `stream`, and reads the status code.
async fn get<S>(mut stream: S, probe: &HttpProbe, phase: &Phase) -> Result<u16, String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    phase.set("HTTP reply");
    let broken = |error: std::io::Error| format!("connection broke: {error}");
    let request = request(probe);
    stream.write_all(request.as_bytes()).await.map_err(broken)?;
    stream.flush().await.map_err(broken)?;
    let mut head = Vec::new();
    loop {
        if let Some(status) = status(&mut head)? {
            return Ok(status);
        }
        if head.len() >= HEAD_MAX {
            return Err("the head of the reply does not end".to_owned());
        }
        let read = stream.read_buf(&mut head).await.map_err(broken)?;
        if read == 0 {
            return Err("connection closed before the reply was whole".to_owned());
        }
    }
}

fn request(probe: &HttpProbe) -> String {
    let host = match probe.host.contains(':') {
        true => format!("[{}]", probe.host),
        false => probe.host.clone(),
    };
    let port = match probe.port_in_host {
        true => format!(":{}", probe.endpoint.port),
        false => String::new(),
    };
    format!(
        "GET {} HTTP/1.1\r\nHost: {host}{port}\r\nUser-Agent: wayfare-vrrpd/{}\r\n\
         Accept: */*\r\nConnection: close\r\n\r\n",
        probe.path,
        env!("CARGO_PKG_VERSION")
    )
}

/// The status code once the head is whole; an interim reply is taken out and the next waited for.
fn status(head: &mut Vec<u8>) -> Result<Option<u16>, String> {
    loop {
        let line = &head[..head.len().min(12)];
        let text = std::str::from_utf8(line).unwrap_or_default();
        if line.len() >= 5 && !text.starts_with("HTTP/") {
            return Err("what answers speaks no HTTP".to_owned());
        }
        let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let code = text.get(9..12).and_then(|code| code.parse::<u16>().ok());
        match code {
            Some(100..=199) => drop(head.drain(..end + 4)),
            Some(code) => return Ok(Some(code)),
            None => return Err("the status line of the reply has no code".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests;
