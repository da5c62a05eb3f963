//! `[metrics]`: where the exporter listens. Without the table there is none.
//!
//! ```toml
//! [metrics]
//! listen = "127.0.0.1:9342"
//! ```
//!
//! The figures tell who is master of what and nothing secret, but whoever reaches the port may ask
//! for them, so that the default is this host alone.

use std::net::{Ipv4Addr, SocketAddr};

use ctl::config::{At, Sink, Table};

/// Port of the exporter when none is given.
const PORT_DEFAULT: u16 = 9342;

/// `[metrics]` as written.
pub(super) struct RawMetrics {
    listen: Option<At<SocketAddr>>,
}

pub(super) fn read(table: Table<'_>) -> RawMetrics {
    let metrics = RawMetrics {
        listen: table.get("listen"),
    };
    table.finish();
    metrics
}

pub(super) fn resolve(raw: Option<&RawMetrics>, sink: &Sink) -> Option<SocketAddr> {
    let listen = raw?.listen.as_ref();
    if let Some(at) = listen.filter(|at| at.value.port() == 0) {
        sink.error(
            &at.span,
            "port 0 is another one at each start",
            "write listen = \"127.0.0.1:9342\"",
        );
    }
    let default = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT_DEFAULT));
    Some(listen.map_or(default, |at| at.value))
}
