//! A server that does all that servers do wrong, in virtual time: what is said, and how long until
//! the router steps down.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpListener;
use tokio::time::{Instant, interval, sleep};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::super::{Phase, in_time, tls};
use super::exchange;
use crate::config::check::{Check, Endpoint, HttpProbe, Probe, Tls};
use crate::node::checks::{Outcome, Standing, Verdict};

/// What the server does to one question.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Status(u16),
    /// Takes the question and says nothing.
    Hang,
    /// Does not even shake hands.
    Deaf,
    /// Goes away in the middle of its reply.
    Break,
    /// One octet every 100 ms.
    SlowLoris,
    Expired,
    Babble,
    /// A head without an end.
    Endless,
    Early,
}

fn fixture(name: &str) -> PathBuf {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls");
    PathBuf::from(root).join(name)
}

fn acceptor(certificate: &str) -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(fixture(certificate)).expect("a fixture");
    let chain = chain.collect::<Result<Vec<_>, _>>().expect("certificates");
    let key = PrivateKeyDer::from_pem_file(fixture("server.key")).expect("a key");
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("key and certificate fit");
    TlsAcceptor::from(Arc::new(config))
}

/// Answers one question on `stream`. Whoever hangs does so until the other side is gone.
async fn serve(stream: DuplexStream, mood: Mood) {
    if mood == Mood::Deaf {
        return sleep(Duration::from_secs(3600)).await;
    }
    let certificate = match mood {
        Mood::Expired => "expired.pem",
        _ => "good.pem",
    };
    let Ok(mut stream) = acceptor(certificate).accept(stream).await else {
        return;
    };
    let mut question = [0; 1024];
    let Ok(read) = stream.read(&mut question).await else {
        return;
    };
    let text = String::from_utf8_lossy(&question[..read]).into_owned();
    assert!(
        text.starts_with("GET /readyz HTTP/1.1\r\nHost: ready.example"),
        "{text}"
    );
    let reply: Vec<u8> = match mood {
        Mood::Status(code) => format!("HTTP/1.1 {code} Word\r\nX: y\r\n\r\nbody").into(),
        Mood::Break => b"HTTP/1.1 200 OK\r\nX: ".to_vec(),
        Mood::SlowLoris => b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n".repeat(2),
        Mood::Babble => b"SSH-2.0-babble\r\n".to_vec(),
        Mood::Endless => [b"HTTP/1.1 200 OK\r\n".to_vec(), b"X: y\r\n".repeat(5000)].concat(),
        Mood::Early => b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No\r\n\r\n".to_vec(),
        Mood::Hang | Mood::Deaf | Mood::Expired => {
            return sleep(Duration::from_secs(3600)).await;
        }
    };
    if mood == Mood::SlowLoris {
        for octet in reply {
            sleep(Duration::from_millis(100)).await;
            if stream.write_all(&[octet]).await.is_err() || stream.flush().await.is_err() {
                return;
            }
        }
    } else {
        let _ = stream.write_all(&reply).await;
        let _ = stream.flush().await;
    }
}

fn check(tls: Tls) -> Check {
    Check {
        probe: Probe::Http(HttpProbe {
            url: "https://ready.example/readyz".to_owned(),
            tls: Some(tls),
            endpoint: Endpoint {
                host: "ready.example".to_owned(),
                port: 443,
            },
            host: "ready.example".to_owned(),
            port_in_host: false,
            path: "/readyz".to_owned(),
            status: vec![(200, 299)],
        }),
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        rise: 2,
        fall: 3,
    }
}

fn probe(check: &Check) -> &HttpProbe {
    match &check.probe {
        Probe::Http(probe) => probe,
        _ => panic!("an HTTP check"),
    }
}

async fn ask(check: &Check, trust: &mut tls::Trust, mood: Mood) -> Outcome {
    let (ours, theirs) = duplex(64 << 10);
    let server = tokio::spawn(serve(theirs, mood));
    let phase = Phase::new("");
    let answer = exchange(ours, probe(check), trust, &phase);
    let outcome = in_time(check, &phase, answer).await;
    server.abort();
    outcome
}

fn trusting() -> Check {
    check(Tls::Ca(fixture("ca.pem")))
}

#[tokio::test(start_paused = true)]
async fn every_mood_has_its_answer() {
    let check = trusting();
    let mut trust = tls::Trust::default();
    for (mood, good, text) in [
        (Mood::Status(200), true, "HTTP 200"),
        (Mood::Status(299), true, "HTTP 299"),
        (Mood::Status(500), false, "HTTP 500"),
        // Not followed.
        (Mood::Status(302), false, "HTTP 302"),
        (Mood::Early, true, "HTTP 204"),
        (Mood::Hang, false, "no answer within 1s (HTTP reply)"),
        (Mood::SlowLoris, false, "no answer within 1s (HTTP reply)"),
        (Mood::Deaf, false, "no answer within 1s (TLS handshake)"),
        (
            Mood::Break,
            false,
            "connection broke: peer closed connection without sending",
        ),
        (
            Mood::Expired,
            false,
            "TLS: invalid peer certificate: certificate expired",
        ),
        (Mood::Babble, false, "what answers speaks no HTTP"),
        (Mood::Endless, false, "the head of the reply does not end"),
    ] {
        let begin = Instant::now();
        let outcome = ask(&check, &mut trust, mood).await;
        let said = (outcome.good, outcome.text.starts_with(text));
        assert_eq!(said, (good, true), "{mood:?}: {}", outcome.text);
        assert!(
            begin.elapsed() <= check.timeout + Duration::from_millis(2),
            "{mood:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn whom_it_trusts_is_as_configured() {
    let good = Mood::Status(200);
    for (tls, mood, text) in [
        (Tls::Ca(fixture("ca.pem")), good, "HTTP 200"),
        (
            Tls::Ca(fixture("other-ca.pem")),
            good,
            "TLS: invalid peer certificate: UnknownIssuer",
        ),
        (Tls::Insecure, good, "HTTP 200"),
        (Tls::Ca(fixture("absent.pem")), good, "/"),
    ] {
        let outcome = ask(&check(tls), &mut tls::Trust::default(), mood).await;
        assert!(outcome.text.starts_with(text), "{}", outcome.text);
    }
    // The name counts, too.
    let mut other = trusting();
    if let Probe::Http(probe) = &mut other.probe {
        probe.host = "other.example".to_owned();
    }
    let (ours, theirs) = duplex(64 << 10);
    tokio::spawn(serve(theirs, good));
    let mut trust = tls::Trust::default();
    let outcome = exchange(ours, probe(&other), &mut trust, &Phase::new("")).await;
    assert!(
        outcome.text.contains("not valid for name"),
        "{}",
        outcome.text
    );
}

/// Asks once per interval while the server turns from good to `mood`; how long until it is bad.
async fn until_bad(mood: Mood) -> Duration {
    let check = trusting();
    let mut trust = tls::Trust::default();
    let mut standing = Standing::new(Instant::now().into_std());
    let mut ticks = interval(check.interval);
    let mut turned = None;
    for asked in 0..20 {
        ticks.tick().await;
        if asked == 3 {
            turned = Some(Instant::now());
        }
        let now = if turned.is_some() {
            mood
        } else {
            Mood::Status(200)
        };
        let outcome = ask(&check, &mut trust, now).await;
        standing.answer(Instant::now().into_std(), outcome, check.rise, check.fall);
        match (standing.verdict, turned) {
            (Verdict::Bad, Some(turned)) => return turned.elapsed(),
            (verdict, None) => assert_eq!(verdict, Verdict::Good),
            _ => {}
        }
    }
    panic!("{mood:?} is never bad");
}

/// Within `interval` × `fall` and one `timeout`, whatever the server does.
#[tokio::test(start_paused = true)]
async fn a_server_that_turns_bad_is_known_to_be_bad_in_time() {
    let bound = trusting().detection();
    for mood in [
        Mood::Status(500),
        Mood::Hang,
        Mood::Deaf,
        Mood::Break,
        Mood::SlowLoris,
        Mood::Expired,
        Mood::Babble,
    ] {
        let took = until_bad(mood).await;
        assert!(took <= bound, "{mood:?}: {took:?}, at most {bound:?}");
    }
}

/// On a real socket: a reset is an answer at once, and so is a closed port.
#[tokio::test]
async fn a_reset_is_bad_without_waiting() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let mut check = trusting();
    check.timeout = Duration::from_secs(600);
    if let Probe::Http(probe) = &mut check.probe {
        probe.endpoint = Endpoint {
            host: "127.0.0.1".to_owned(),
            port,
        };
    }
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("somebody asks");
        let stream = stream.into_std().expect("a socket");
        let linger = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        linger.expect("an option");
    });
    let mut kept = super::super::Kept::default();
    let nowhere = std::path::Path::new("/nonexistent");
    let reset = super::super::ask(&check, nowhere, &mut kept).await;
    server.await.expect("it was asked");
    assert!(
        !reset.good && reset.text.contains("reset"),
        "{}",
        reset.text
    );
    let refused = super::super::ask(&check, nowhere, &mut kept).await;
    assert!(refused.text.contains("refused"), "{}", refused.text);
}
