//! The BGP speaker without a network: peers, RIB and origins as one step machine.
//!
//! Inputs are connections and their bytes, timeouts, what the kernel says about next hops and
//! interfaces, commands of the operator and new configurations. Outputs are pulled:
//! [`Speaker::poll_action`] (dial, close, listen), [`Speaker::poll_transmit`] (bytes for one
//! connection), [`Speaker::poll_fib`] (routes for the kernel), [`Speaker::poll_event`] (what
//! happened), [`Speaker::poll_timeout`]. The driver in `io` and a simulator run the same thing.
//!
//! **Batches.** UPDATEs change the tables at once, but decisions, exports and kernel routes follow
//! when [`Speaker::settle`] is called: once for everything that came in together, which is what
//! makes the UPDATEs we send well packed. Whoever drives calls it when no input is waiting, and at
//! the latest at the deadline that `poll_timeout` names.
//!
//! **Order.** A session machine judges each message before a route is touched: an UPDATE outside
//! Established never reaches the tables (RFC 4271 §8.2.2). What a session needs while it is up
//! lives in [`peers::Up`] and goes with it, so nothing of a dead session can be used.
//!
//! The parts: `peers` (the table of neighbors), `conns` (connections and their framers),
//! `admission` (who may connect), `input` (bytes to tables), `lifecycle` (up, down, stale routes),
//! `neighbors` (add, remove, change), `staging` (neighbors of a cluster in a move), `reload`,
//! `operator` (clear, drain, pools), `restart` (when the tables are back), `assemble`.

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rib::fib::{FibChange, FibRoute};
use rib::{PeerSlot, RibConfig};

use crate::config::{Config, Host};
use crate::engine::Engine;
use crate::event::Event;
use crate::origin::{PoolBook, PoolState};

mod admission;
mod announced;
pub mod assemble;
mod complete;
mod conns;
mod deadline;
mod drain;
mod input;
mod interfaces;
mod lifecycle;
mod neighbors;
pub mod operator;
mod originate;
pub mod peers;
mod policies;
pub mod port;
mod refresh;
mod reload;
mod restart;
pub mod staging;
mod transmit;
mod wished;

use conns::Conns;
use deadline::Deadlines;
use drain::Drain;
use interfaces::Interfaces;
use peers::Peers;
use policies::PolicyTable;
use port::{Action, ConnId};
use restart::Resync;

pub use reload::{Prepared, ReloadError};
use wished::Wished;

/// Longest time a change may wait for others before it is decided and sent on.
pub const SETTLE_DELAY_MAX: Duration = Duration::from_millis(10);

/// Work done in one go on the routes of neighbors that are gone, as `Rib::continue_peer_down`
/// counts it: some eight thousand routes, a few milliseconds with all that follows.
const LEAVING_WORK: u32 = 64 << 10;

/// Events kept for the driver; it takes them out after each step, so this is only reached by a
/// driver that does not. The oldest go first.
const EVENTS_MAX: usize = 65_536;

/// What waits, and for whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// The session machine of a peer.
    Peer(PeerSlot),
    /// Stale routes of a peer that did not come back (RFC 4724 §4.2).
    Stale(PeerSlot),
    /// A table that a peer has asked for (RFC 2918).
    Refresh(PeerSlot),
    /// The tables count as complete after a start.
    Resync,
    /// End-of-RIB is held back no longer.
    Complete,
    /// A stage of a drain is over.
    Drain,
    /// Neighbors that were kept because something of them was needed.
    Needed,
}

/// What the speaker cannot find out for itself.
#[derive(Debug, Clone)]
pub struct Environment {
    /// Addresses, name and cores of the machine.
    pub host: Host,
    /// The one source of randomness; every use derives its own.
    pub seed: u64,
    /// Pool addresses in use before the last stop.
    pub pool_state: PoolState,
}

/// The BGP speaker; see the module.
#[derive(Debug)]
pub struct Speaker {
    /// In force: the file with what the cluster wants laid over it.
    config: Arc<Config>,
    wished: Wished,
    host: Host,
    seed: u64,
    rib: Engine,
    peers: Peers,
    conns: Conns,
    policies: PolicyTable,
    book: PoolBook,
    /// Sources the RIB has routes of.
    announced: BTreeSet<String>,
    interfaces: Interfaces,
    deadlines: Deadlines<Due>,
    resync: Resync,
    /// The kernel is to be told that the tables are complete, when it has them.
    handing_over: bool,
    out: Outbox,
    /// When the oldest unsettled change came in.
    pending_since: Option<Instant>,
    /// Session machines made so far; the next one's key.
    machines: u32,
    route_watchers: u32,
    drained: bool,
    drain: Drain,
    /// The objects of the cluster are not known yet.
    holds_end_of_rib: bool,
    stopping: bool,
    started: Instant,
}

/// What is waiting to be carried out.
#[derive(Debug, Default)]
struct Outbox {
    actions: VecDeque<Action>,
    ready: VecDeque<ConnId>,
    events: VecDeque<Event>,
}

impl Outbox {
    fn event(&mut self, event: Event) {
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    fn notice(&mut self, neighbor: Option<IpAddr>, text: String) {
        self.event(Event::Notice { neighbor, text });
    }

    fn attention(&mut self, neighbor: Option<IpAddr>, text: String) {
        self.event(Event::Attention { neighbor, text });
    }
}

impl Speaker {
    /// A speaker with this configuration, its neighbors started, and its tables in its own thread.
    ///
    /// # Errors
    /// A policy that does not compile; `config::load` has refused it before.
    pub fn new(now: Instant, config: Config, env: Environment) -> Result<Self, ReloadError> {
        let rib = Engine::collapsed(rib_config(&config, &env));
        Self::with_tables(now, config, env, rib)
    }

    /// The same, with tables that were made of its [`rib_config`].
    ///
    /// # Errors
    /// A policy that does not compile.
    pub fn with_tables(
        now: Instant,
        config: Config,
        env: Environment,
        rib: Engine,
    ) -> Result<Self, ReloadError> {
        let policies = PolicyTable::compile(&config, None)?;
        let mut book = PoolBook::new(&config.pools);
        let lost = book.restore(&env.pool_state);
        let mut speaker = Self {
            rib,
            seed: env.seed,
            host: env.host,
            peers: Peers::default(),
            conns: Conns::default(),
            policies,
            book,
            announced: BTreeSet::new(),
            interfaces: Interfaces::default(),
            deadlines: Deadlines::default(),
            resync: Resync::default(),
            handing_over: false,
            out: Outbox::default(),
            pending_since: None,
            machines: 0,
            route_watchers: 0,
            drained: false,
            drain: Drain::default(),
            holds_end_of_rib: false,
            stopping: false,
            started: now,
            wished: Wished::new(config.clone()),
            config: Arc::new(config),
        };
        let config = Arc::clone(&speaker.config);
        speaker
            .out
            .actions
            .push_back(Action::Listen(config.router.listen.clone()));
        speaker.set_range_keys(&[], &config.listen_ranges);
        speaker.begin_resync(now);
        speaker.begin_completion(now);
        for neighbor in &config.neighbors {
            speaker.add_neighbor(now, neighbor.clone());
        }
        for address in lost {
            let text = format!("{address} was in use and is in no pool any more");
            speaker.out.attention(None, text);
        }
        speaker.originate(now);
        Ok(speaker)
    }

    /// When [`handle_timeout`](Self::handle_timeout) and [`settle`](Self::settle) want to be
    /// called next.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        let settle = self.pending_since.map(|since| since + SETTLE_DELAY_MAX);
        self.deadlines.next().into_iter().chain(settle).min()
    }

    /// What the driver is to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        if let Some(action) = self.out.actions.pop_front() {
            return Some(action);
        }
        if let Some(action) = self.poll_resync_complete() {
            return Some(action);
        }
        let (address, on) = self.rib.poll_next_hop_interest()?;
        Some(Action::TrackNextHop { address, on })
    }

    /// A connection that may have something to send.
    pub fn poll_ready(&mut self) -> Option<ConnId> {
        while let Some(conn) = self.out.ready.pop_front() {
            if self.conns.clear_ready(conn) {
                return Some(conn);
            }
        }
        loop {
            let slot = self.rib.poll_ready()?;
            if let Some(up) = self.peers.get(slot).and_then(|entry| entry.up.as_ref()) {
                return Some(up.conn);
            }
        }
    }

    /// Something that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.out.events.pop_front()
    }

    /// A route for the kernel: what a prefix should be from now on. Nothing while stopping: the
    /// sessions go then, but the routes stay for the next start, so that a restart costs no
    /// packet.
    pub fn poll_fib(&mut self) -> Option<FibChange> {
        if self.stopping {
            return None;
        }
        if let Some(change) = self.wished.kernel.pop_front() {
            return Some(change);
        }
        let change = self.rib.poll_fib()?;
        if self.route_watchers > 0 {
            self.out.event(Event::Route {
                prefix: change.prefix,
                text: describe(&change),
            });
        }
        Some(self.config.cluster.kernel.apply(change))
    }

    /// Somebody starts or stops to watch best paths change; only then are they told as events.
    pub fn watch_routes(&mut self, on: bool) {
        let step = if on {
            self.route_watchers.checked_add(1)
        } else {
            self.route_watchers.checked_sub(1)
        };
        self.route_watchers = step.unwrap_or(0);
    }

    /// Fires what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(due) = self.deadlines.pop_due(now) {
            match due {
                Due::Peer(slot) => {
                    let conns = self.conns.of_peer(slot);
                    let waits = |conn: &&ConnId| {
                        let conn = self.conns.get(**conn);
                        conn.is_some_and(|conn| conn.input_waits)
                    };
                    if let Some(entry) = self.peers.get_mut(slot) {
                        for conn in conns.iter().filter(waits) {
                            entry.peer.handle_input_pending(now, *conn);
                        }
                        entry.peer.handle_timeout(now);
                    }
                    self.follow_up(now, slot);
                }
                Due::Stale(slot) => self.drop_stale(now, slot),
                Due::Refresh(slot) => self.answer_refreshes(now, slot),
                Due::Resync => self.look_at_resync(now),
                Due::Complete => self.release_end_of_rib(now),
                Due::Drain => self.drain_on(now),
                Due::Needed => self.wish_again(now),
            }
        }
    }

    /// Decides and exports everything that changed since the last call, and takes out some of the
    /// routes of neighbors that are gone; what is left of them is due at once.
    pub fn settle(&mut self, now: Instant) {
        if self.pending_since.take().is_none() {
            return;
        }
        // Who stops tells nobody what to use instead.
        let more = !self.stopping && self.rib.continue_peer_down(LEAVING_WORK);
        self.rib.settle();
        if more {
            self.pending_since = Some(now.checked_sub(SETTLE_DELAY_MAX).unwrap_or(now));
        }
    }

    /// Paths that come now are stamped with the seconds since the start.
    fn tell_time(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.started).as_secs();
        self.rib.set_time(u32::try_from(age).unwrap_or(u32::MAX));
    }

    /// Marks the tables as changed.
    fn touch(&mut self, now: Instant) {
        self.tell_time(now);
        self.pending_since.get_or_insert(now);
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// The tables, for queries.
    #[must_use]
    pub fn rib(&self) -> &Engine {
        &self.rib
    }

    /// Whether the tables have enough to do: read no more from neighbors until that is over.
    #[must_use]
    pub fn is_congested(&self) -> bool {
        self.rib.is_congested()
    }

    /// The neighbors, for queries.
    #[must_use]
    pub fn peers(&self) -> &Peers {
        &self.peers
    }

    /// The pools and advertised prefixes, for queries.
    #[must_use]
    pub fn book(&self) -> &PoolBook {
        &self.book
    }

    /// The machine, as it was last looked at.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// When the speaker was made.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Whether everything is announced for draining (RFC 8326).
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.drained
    }

    /// Whether the tables are back after the start, as far as the kernel is concerned.
    #[must_use]
    pub fn is_resynced(&self) -> bool {
        self.resync.is_done()
    }

    /// The machine's addresses changed.
    pub fn set_host(&mut self, now: Instant, host: Host) {
        self.host = host;
        self.own_addresses_changed(now);
    }

    /// UPDATEs handed out for a peer of which its socket has not taken anything yet.
    #[must_use]
    pub fn unwritten(&self, slot: PeerSlot) -> u64 {
        let conns = self.conns.of_peer(slot);
        let conns = conns.iter().filter_map(|conn| self.conns.get(*conn));
        conns.map(|conn| conn.updates_out).sum()
    }

    /// The address a connection came from or went to, and whose it is.
    #[must_use]
    pub fn owner_of(&self, key: ConnId) -> Option<(PeerSlot, SocketAddr)> {
        let conn = self.conns.get(key)?;
        Some((conn.slot, conn.remote))
    }
}

/// What a prefix is from now on, for a monitor.
fn describe(change: &FibChange) -> String {
    match &change.route {
        None => "no route".to_owned(),
        Some(FibRoute::Discard) => "starts here".to_owned(),
        Some(FibRoute::Unicast(next_hops)) => {
            let via: Vec<String> = next_hops
                .iter()
                .map(|hop| hop.gateway.to_string())
                .collect();
            format!("via {}", via.join(" "))
        }
    }
}

/// What the tables of a speaker are made of.
#[must_use]
pub fn rib_config(config: &Config, env: &Environment) -> RibConfig {
    RibConfig {
        router_id: config.router.router_id,
        asn: config.router.asn,
        cluster_id: config.router.cluster_id,
        multipath: config.kernel.as_ref().map_or(64, |kernel| kernel.multipath),
        multipath_relax: config.router.multipath_relax,
        default_local_pref: config.router.default_local_pref,
        track_next_hops: config.kernel.is_some(),
        own_addresses: env.host.addresses.iter().map(|own| own.address).collect(),
        fib: config.kernel.is_some(),
        seed: env.seed,
        ..RibConfig::new(config.router.router_id, config.router.asn)
    }
}
