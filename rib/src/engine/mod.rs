//! The engine: one struct that owns the tables and is driven by its caller.
//!
//! Input: [`Rib::peer_up`], [`Rib::update`], [`Rib::originate`], [`Rib::next_hop_changed`] and a
//! few more. Then [`Rib::settle`]. Output, pulled: [`Rib::poll_ready`] names peers with something
//! to read, [`Rib::poll_transmit`] yields their bytes, [`Rib::poll_fib`] kernel routes,
//! [`Rib::poll_next_hop_interest`] next hops to watch.
//!
//! ```text
//!  update ─► guard ─► import policy ─► table ─► decision ─► changed ─┐ settle
//!                                                                    ├─► export ─► groups ─► bytes
//!  originate ────────────────────────► table ─► decision ─► changed ─┘
//!                                                                    └─► kernel queue
//! ```
//! Nothing here knows the time beyond the seconds it is told, opens a socket, or blocks.

mod core;
mod coverage;
mod explain;
pub(crate) mod export;
mod fib;
mod groups;
mod guard;
mod import;
mod ingest;
mod originate;
mod own;
mod plane;
mod purge;
mod query;
mod runs;
mod scan;
mod session;
mod settle;
mod view;

pub use coverage::{Coverage, Staying};
pub use explain::{ExplainStep, Stage};
pub use export::Withheld;
pub use guard::{Reject, Rejects};
pub use ingest::UpdateOutcome;
pub use scan::ScanCursor;
pub use view::{PathView, PeerStats, RouteView, SharedStats, TableStats};

use self::core::Core;
use crate::peer::RibConfig;
use groups::Groups;
use plane::Planes;
use purge::Purge;

/// The routing information bases of one router.
#[derive(Debug)]
pub struct Rib {
    core: Core,
    planes: Planes,
    groups: Groups,
    purge: Purge,
    recent_fib: fib::RecentFib,
}

impl Rib {
    /// An empty RIB.
    pub fn new(config: RibConfig) -> Self {
        let core = Core::new(config);
        Self {
            planes: Planes::new(&core.seed),
            groups: Groups::new(core.seed.clone()),
            purge: Purge::default(),
            recent_fib: None,
            core,
        }
    }

    /// What it was configured with.
    pub fn config(&self) -> &RibConfig {
        &self.core.config
    }

    /// Tells the time in seconds of the caller's choice; paths that come from now on bear it.
    pub fn set_time(&mut self, now_s: u32) {
        self.core.now_s = now_s;
    }
}
