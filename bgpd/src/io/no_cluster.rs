//! The port of a planner that is not there: this build reads no objects of a cluster.
//!
//! Built without the feature `kubernetes`, the daemon runs on its file alone. The port keeps the
//! driver's loop the same in both builds. A `[kubernetes]` table is then refused at the start: a
//! router that silently announces nothing would be found out by its users.

use std::convert::Infallible;
use std::rc::Rc;
use std::time::Instant;

use super::node::Node;

/// No planner was there before either.
pub type Early = Infallible;

/// No planner.
#[derive(Debug, Default)]
pub struct ClusterPort;

impl ClusterPort {
    /// Nothing to start.
    ///
    /// # Errors
    /// The configuration asks for objects of a cluster.
    pub fn start(node: &Rc<Node>, _: Option<Early>) -> std::io::Result<Self> {
        match node.peek(|speaker, _| speaker.config().kubernetes.is_some()) {
            false => Ok(Self),
            true => Err(std::io::Error::new(
                std::io::ErrorKind::Unsupported,
                "this build has no feature `kubernetes`: remove [kubernetes]",
            )),
        }
    }

    /// Never anything.
    pub async fn next(&mut self) -> Option<Infallible> {
        std::future::pending().await
    }

    /// Nothing comes.
    pub fn take(&mut self, _: &Rc<Node>, news: Infallible) {
        match news {}
    }

    /// Never.
    #[must_use]
    pub fn due(&self, _: &Node) -> Option<Instant> {
        None
    }

    /// Nobody listens.
    pub fn tell(&mut self, _: &Rc<Node>, _: bool) {}
}
