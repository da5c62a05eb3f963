//! What the daemons and the operator CLI share: the control socket, logging, readiness, signals.
//!
//! - [`server`]: the daemon's end of the control socket; hands the daemon one [`server::Call`] at a
//!   time, with the caller's credentials already checked and a bounded channel for the answer.
//! - [`client`]: the CLI's end; blocking, one request at a time, answers as an iterator.
//! - [`config`]: reading a daemon's file, faults with line and cure.
//! - [`log`]: structured logging to standard error or the journal, and its tail for `monitor log`.
//! - [`metrics`]: families of samples, their text form and the exporter.
//! - [`notify`]: readiness, reload and watchdog messages to systemd.
//! - [`signals`]: reload and stop requests as an async stream.
//! - [`sole`]: one daemon of a kind per network namespace.
//!
//! The types that travel over the socket live in `proto_codec::control`. Nothing here knows what a
//! route is.

pub mod access;
pub mod client;
pub mod config;
pub mod log;
pub mod metrics;
pub mod notify;
pub mod server;
pub mod signals;
pub mod sole;

/// Where the BGP daemon listens unless told otherwise.
pub const BGPD_SOCKET: &str = "/run/wayfare/bgpd.sock";

/// Where the VRRP daemon listens unless told otherwise.
pub const VRRPD_SOCKET: &str = "/run/wayfare/vrrpd.sock";

/// What the one VRRP daemon of a network namespace is known by there, see [`sole`].
pub const VRRPD_NAME: &str = "wayfare-vrrpd";
