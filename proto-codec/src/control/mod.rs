//! The operator protocol: what the CLI and the daemons say to each other over the control socket.
//!
//! One connection carries, in this order: a [`Hello`] from the daemon, then any number of
//! exchanges. An exchange is one [`Request`] from the CLI and a stream of [`Reply`] from the
//! daemon: at most one `Head`, any number of `Row`, and exactly one `Tail` or `Error` that ends
//! it. Frames are a 32-bit big-endian length and that many bytes of JSON ([`frame`]).
//!
//! What this module promises:
//! - views carry raw facts (milliseconds, counts, addresses), never rendered text, so that the
//!   text and JSON renderers of the CLI cannot disagree;
//! - a new field has a serde default and an unknown one is ignored, so that a CLI and a daemon of
//!   neighbouring versions understand each other;
//! - the enums are matched exhaustively on both sides: a request without a handler or a view
//!   without a renderer does not compile.
//!
//! What it refuses: frames above [`frame::FRAME_LEN_MAX`], and anything that is not the JSON of
//! the expected type. Access rights are not its business; see `ctl::server`.

pub mod frame;
mod reply;
mod request;
pub mod view;

pub use frame::{FRAME_LEN_MAX, FrameError};
pub use reply::{Fault, FaultKind, Head, Hello, PROTOCOL, Reply, Tail};
pub use request::{
    AdjKind, ClearTarget, Family, KubernetesKind, MonitorTopic, PathFilter, Request, SoftDirection,
    TableFilter, VrrpOrder,
};
pub use view::View;
