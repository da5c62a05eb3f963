//! A neighbor of bgpd, asked for over bgpd's control socket.
//!
//! Good is Established. A bgpd that is not there, or does not answer, or does not know the
//! neighbor, is not Established, and the answer says which.

use std::net::IpAddr;
use std::path::Path;

use proto_codec::control::view::PeerState;
use proto_codec::control::{Hello, Reply, Request, View, frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::Phase;
use crate::node::checks::Outcome;

pub(super) async fn ask(socket: &Path, neighbor: IpAddr, phase: &Phase) -> Outcome {
    phase.set("bgpd");
    match state_of(socket, neighbor).await {
        Ok(PeerState::Established) => Outcome::good("Established"),
        Ok(state) => Outcome::bad(format!("{state:?}")),
        Err(text) => Outcome::bad(text),
    }
}

async fn state_of(socket: &Path, neighbor: IpAddr) -> Result<PeerState, String> {
    let absent = |error: std::io::Error| format!("bgpd at {}: {error}", socket.display());
    let mut stream = UnixStream::connect(socket).await.map_err(absent)?;
    let mut buffer = Vec::new();
    let _: Hello = read(&mut stream, &mut buffer).await?;
    let request = Request::ShowBgpNeighbors {
        address: Some(neighbor),
    };
    let mut wire = Vec::new();
    frame::encode(&request, &mut wire).map_err(|error| error.to_string())?;
    stream.write_all(&wire).await.map_err(absent)?;
    loop {
        match read(&mut stream, &mut buffer).await? {
            Reply::Row(view) => {
                if let View::Neighbor(found) = *view {
                    return Ok(found.state);
                }
            }
            Reply::Head(_) => {}
            Reply::Tail(_) => return Err(format!("bgpd has no neighbor {neighbor}")),
            Reply::Error(fault) => return Err(format!("bgpd: {fault}")),
        }
    }
}

/// The next frame. Its length is bounded by the protocol.
async fn read<T>(stream: &mut UnixStream, buffer: &mut Vec<u8>) -> Result<T, String>
where
    T: serde::de::DeserializeOwned,
{
    loop {
        let split = frame::split(buffer).map_err(|error| error.to_string())?;
        if let Some((body, used)) = split {
            let value = frame::decode(body).map_err(|error| error.to_string())?;
            buffer.drain(..used);
            return Ok(value);
        }
        match stream.read_buf(buffer).await {
            Ok(0) => return Err("bgpd closed the connection".to_owned()),
            Ok(_) => {}
            Err(error) => return Err(format!("bgpd: {error}")),
        }
    }
}
