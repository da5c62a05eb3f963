//! A TCP connection: made, and ended at once.
//!
//! A name is looked up each time, and all its addresses are tried in turn within the patience of
//! the check. Nothing is sent: what accepts connections and does not serve is for `http`.

use tokio::net::{TcpStream, lookup_host};

use super::Phase;
use crate::config::check::Endpoint;
use crate::node::checks::Outcome;

pub(super) async fn ask(endpoint: &Endpoint, phase: &Phase) -> Outcome {
    match connect(endpoint, phase).await {
        Ok(_) => Outcome::good("accepts connections"),
        Err(text) => Outcome::bad(text),
    }
}

/// A connection, or why there is none.
pub(super) async fn connect(endpoint: &Endpoint, phase: &Phase) -> Result<TcpStream, String> {
    phase.set("looking up the name");
    let found = lookup_host((endpoint.host.as_str(), endpoint.port)).await;
    let addresses = found.map_err(|error| format!("{}: {error}", endpoint.host))?;
    phase.set("connecting");
    let mut last = format!("{} has no address", endpoint.host);
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // A question is one small packet.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => last = error.to_string(),
        }
    }
    Err(last)
}
