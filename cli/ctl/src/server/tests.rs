//! The socket end to end: greeting, answers in order, refusals, a second daemon, a leftover socket.
//!
//! Each test runs a server on a current-thread runtime and a blocking client on a thread of its
//! own, as in production. Deadlines are tested with a clock that jumps to them.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use proto_codec::control::view::Notice;
use proto_codec::control::{FaultKind, Head, frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::client::{Client, ClientError, Item};
use proto_codec::control::{Fault, Tail, View};

/// A socket path in a directory that goes with it.
struct Place(PathBuf);

impl std::ops::Deref for Place {
    type Target = PathBuf;

    fn deref(&self) -> &PathBuf {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(dir) = self.0.parent() {
            let _ = fs::remove_dir_all(dir);
        }
    }
}

fn socket(name: &str) -> Place {
    let dir = std::env::temp_dir().join(format!("ctl-test-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    Place(dir.join("d.sock"))
}

fn bind(path: &Path) -> Result<Server, BindError> {
    Server::bind(path, Hello::new("bgpd", "0.1.0"), Access::default())
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

fn head() -> Head {
    Head {
        family: None,
        router_id: Ipv4Addr::new(10, 0, 0, 1),
        asn: 64512,
        table_version: 1,
        default_local_pref: 100,
        now_epoch_ms: 0,
        host: String::new(),
    }
}

fn notice(number: u64) -> View {
    View::Notice(Notice {
        subject: None,
        text: number.to_string(),
    })
}

/// Reads an answer to its end: the numbers of its rows, and how it ended.
fn read_all(path: &Path, request: &Request) -> (Vec<u64>, Result<Tail, ClientError>) {
    let mut rows = Vec::new();
    let mut client = match Client::connect(path) {
        Ok(client) => client,
        Err(error) => return (rows, Err(error)),
    };
    let mut answer = client.call(request).unwrap();
    loop {
        match answer.next() {
            Ok(Some(Item::Row(view))) => match *view {
                View::Notice(notice) => rows.push(notice.text.parse().unwrap()),
                other => panic!("{other:?}"),
            },
            Ok(Some(Item::Tail(tail))) => return (rows, Ok(tail)),
            Ok(Some(Item::Head(_))) => {}
            Ok(None) => panic!("ended without a tail"),
            Err(error) => return (rows, Err(error)),
        }
    }
}

#[test]
fn rows_arrive_in_order_through_a_bounded_channel() {
    let path = socket("rows");
    let rows = (REPLIES_MAX * 20) as u64;
    run(async {
        let mut server = bind(&path).unwrap();
        let reader = tokio::task::spawn_blocking({
            let path = path.to_path_buf();
            move || read_all(&path, &Request::ShowVersion)
        });
        let call = server.recv().await;
        assert_eq!(call.request, Request::ShowVersion);
        call.replies.head(head()).await.unwrap();
        let mut next = 0;
        while next < rows {
            match call.replies.try_row(notice(next)) {
                Ok(()) => next += 1,
                Err(TryRowError::Full(_)) => call.replies.ready().await.unwrap(),
                Err(TryRowError::Gone) => panic!("client gone"),
            }
        }
        call.replies
            .finish(Tail {
                routes: rows,
                paths: 0,
            })
            .await;
        let (seen, tail) = reader.await.unwrap();
        assert_eq!(seen, (0..rows).collect::<Vec<_>>());
        assert_eq!(tail.unwrap().routes, rows);
    });
}

#[test]
fn a_dropped_request_is_an_error_not_a_silence() {
    let path = socket("dropped");
    run(async {
        let mut server = bind(&path).unwrap();
        let reader = tokio::task::spawn_blocking({
            let path = path.to_path_buf();
            move || read_all(&path, &Request::ShowMemory)
        });
        let call = server.recv().await;
        call.replies.row(notice(7)).await.unwrap();
        drop(call);
        let (seen, end) = reader.await.unwrap();
        assert_eq!(seen, [7]);
        assert!(matches!(end, Err(ClientError::Fault(fault)) if fault.kind == FaultKind::Busy));
    });
}

#[test]
fn a_fault_reaches_the_client_with_its_kind() {
    let path = socket("fault");
    run(async {
        let mut server = bind(&path).unwrap();
        let reader = tokio::task::spawn_blocking({
            let path = path.to_path_buf();
            move || read_all(&path, &Request::ShowMemory)
        });
        server
            .recv()
            .await
            .replies
            .fail_soon(Fault::not_found("no such thing"));
        let (_, end) = reader.await.unwrap();
        assert_eq!(end.unwrap_err().to_string(), "no such thing");
    });
}

#[test]
fn a_client_that_leaves_is_noticed() {
    let path = socket("leaves");
    run(async {
        let mut server = bind(&path).unwrap();
        let reader = tokio::task::spawn_blocking({
            let path = path.to_path_buf();
            move || {
                let mut client = Client::connect(&path).unwrap();
                client.call(&Request::ShowMemory).unwrap();
            }
        });
        let call = server.recv().await;
        reader.await.unwrap();
        call.replies.gone().await;
        assert!(call.replies.is_gone());
        assert_eq!(call.replies.row(notice(1)).await, Err(Gone));
    });
}

#[test]
fn two_daemons_on_one_socket_are_refused() {
    let path = socket("two");
    run(async {
        let first = bind(&path).unwrap();
        assert!(matches!(bind(&path), Err(BindError::InUse { .. })));
        drop(first);
        assert!(!path.exists());
        bind(&path).unwrap();
    });
}

#[test]
fn a_socket_left_by_a_dead_daemon_is_replaced() {
    let path = socket("stale");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    drop(std::os::unix::net::UnixListener::bind(&*path).unwrap());
    assert!(matches!(
        Client::connect(&path),
        Err(ClientError::Unreachable { .. })
    ));
    run(async {
        bind(&path).unwrap();
    });
}

/// All places held by clients that say nothing: the next one is served all the same.
#[test]
fn silent_clients_do_not_shut_others_out() {
    let path = socket("silent");
    run(async {
        let mut server = bind(&path).unwrap();
        let silent: Vec<_> = (0..CONNECTIONS_MAX)
            .map(|_| std::os::unix::net::UnixStream::connect(&*path).unwrap())
            .collect();
        let reader = tokio::task::spawn_blocking({
            let path = path.to_path_buf();
            move || read_all(&path, &Request::ShowVersion)
        });
        server.recv().await.replies.finish(Tail::default()).await;
        assert!(reader.await.unwrap().1.is_ok());
        drop(silent);
    });
}

/// The same when all of them came before the daemon looked.
#[test]
fn a_crowd_that_came_in_the_same_instant_makes_room() {
    let path = socket("crowd");
    run(async {
        let mut server = bind(&path).unwrap();
        let silent: Vec<_> = (0..CONNECTIONS_MAX)
            .map(|_| std::os::unix::net::UnixStream::connect(&*path).unwrap())
            .collect();
        let mut last = std::os::unix::net::UnixStream::connect(&*path).unwrap();
        let mut wire = Vec::new();
        frame::encode(&Request::ShowVersion, &mut wire).unwrap();
        std::io::Write::write_all(&mut last, &wire).unwrap();
        let patience = Duration::from_secs(20);
        let call = tokio::time::timeout(patience, server.recv()).await;
        assert_eq!(call.unwrap().request, Request::ShowVersion);
        drop(silent);
    });
}

/// As [`run`], with a clock that jumps to the next deadline when nobody has anything to do.
fn run_with_jumping_clock<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(future)
}

#[test]
fn a_request_that_is_never_finished_ends_the_connection() {
    let path = socket("half");
    run_with_jumping_clock(async {
        let _server = bind(&path).unwrap();
        let mut client = UnixStream::connect(&*path).await.unwrap();
        client.write_all(&[0, 0, 0, 9, b'{']).await.unwrap();
        let mut greeting = Vec::new();
        client.read_to_end(&mut greeting).await.unwrap();
        assert!(!greeting.is_empty(), "greeted, then closed");
    });
}

#[test]
fn an_answer_nobody_reads_is_given_up() {
    let path = socket("unread");
    run_with_jumping_clock(async {
        let mut server = bind(&path).unwrap();
        let mut client = UnixStream::connect(&*path).await.unwrap();
        let mut wire = Vec::new();
        frame::encode(&Request::ShowMemory, &mut wire).unwrap();
        client.write_all(&wire).await.unwrap();
        let call = server.recv().await;
        let mut rows = 0;
        while call.replies.row(notice(rows)).await.is_ok() {
            rows += 1;
        }
        assert!(rows > 0 && call.replies.is_gone());
    });
}

#[test]
fn a_request_longer_than_any_is_not_collected() {
    let path = socket("long");
    run_with_jumping_clock(async {
        let _server = bind(&path).unwrap();
        let mut client = UnixStream::connect(&*path).await.unwrap();
        let announced = u32::try_from(frame::FRAME_LEN_MAX).unwrap().to_be_bytes();
        let mut wire = announced.to_vec();
        wire.resize(frame::FRAME_LEN_MAX, b' ');
        let sent = client.write_all(&wire).await;
        assert!(sent.is_err(), "closed before it was all taken");
    });
}
