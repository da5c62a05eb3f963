//! The virtual router: what it knows, its inputs from the operator and the clock, its outputs.
//!
//! Transitions are in `transit`, adverts of others in `hear`. The order of [`Action`]s is part of
//! the promise: addresses are taken, then announced, then the advert goes out, so that a peer that
//! hands over on the advert lets go of addresses that already answer elsewhere.

pub(super) mod health;
mod hear;
pub(super) mod inherit;
#[cfg(test)]
mod tests;
mod together;
mod transit;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proto_codec::vrrp::PRIORITY_OWNER;

use super::advertise::Prepared;
use super::conflict::{Conflict, Conflicts, GONE_AFTER};
use super::event::{Action, Event, Fault, State, Why};
use super::settings::Settings;
use super::signing::Signer;
use super::stats::Stats;
use super::timers::{Timers, take_due};
use health::{Health, PRIORITY_LAST_RESORT};
use inherit::Inheritance;
pub use together::Patience;
use together::Together;

/// The master as this router last heard it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Master {
    /// Its primary address.
    pub address: IpAddr,
    /// The priority it sends.
    pub priority: u8,
    /// The interval it sends.
    pub interval: Duration,
    /// When it was last heard.
    pub heard: Instant,
}

/// One virtual router (RFC 9568 §6, RFC 3768 §6).
#[derive(Clone, Debug)]
pub struct Router {
    settings: Settings,
    state: State,
    /// When the state was entered.
    since: Instant,
    /// Between startup and shutdown.
    started: bool,
    faults: BTreeSet<Fault>,
    /// The operator asked to hand over: a worse master is left alone until `resume`.
    released: bool,
    /// What the checks say.
    health: Health,
    /// The address we send from.
    primary: Option<IpAddr>,
    /// The addresses of this host: who sends from one of them is this host, or has stolen it.
    own: Arc<BTreeSet<IpAddr>>,
    master: Option<Master>,
    /// Active_Adver_Interval.
    master_interval: Duration,
    /// Why the down timer will have run out, when it is not silence.
    pending: Option<Why>,
    /// Since when a worse master is heard, for the preempt delay.
    worse_since: Option<Instant>,
    /// The addresses were taken and not let go.
    holding: bool,
    /// As master it has sent an advert: others know of it.
    known: bool,
    /// Priority 0 was sent and no successor heard.
    awaiting_successor: bool,
    last_sent: Option<Instant>,
    /// An heir that has sent nothing yet.
    unheard: bool,
    last_announced: Option<Instant>,
    /// A late down timer was excused once.
    excused: bool,
    together: Together,
    timers: Timers,
    /// What an earlier process left, until this one begins.
    inherited: Option<Inheritance>,
    prepared: Prepared,
    signer: Signer,
    conflicts: Conflicts,
    /// Per reason: when it was last told, and how many since.
    told: BTreeMap<&'static str, (Instant, u64)>,
    stats: Stats,
    actions: VecDeque<Action>,
    events: VecDeque<Event>,
}

impl Router {
    /// A router that waits for [`Router::start`].
    #[must_use]
    pub fn new(settings: Settings, now: Instant) -> Self {
        Self {
            master_interval: settings.interval,
            settings,
            state: State::Initialize,
            since: now,
            started: false,
            faults: BTreeSet::new(),
            released: false,
            health: Health::default(),
            primary: None,
            own: Arc::default(),
            master: None,
            pending: None,
            worse_since: None,
            holding: false,
            known: false,
            awaiting_successor: false,
            last_sent: None,
            unheard: false,
            last_announced: None,
            excused: false,
            together: Together::default(),
            timers: Timers::default(),
            inherited: None,
            prepared: Prepared::default(),
            signer: Signer::default(),
            conflicts: Conflicts::default(),
            told: BTreeMap::new(),
            stats: Stats::default(),
            actions: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Startup of RFC 9568 §6.4.1, after the start delay.
    pub fn start(&mut self, now: Instant) {
        self.started = true;
        if self.settings.start_delay.is_zero() {
            self.begin(now);
        } else {
            self.timers.start = Some(now + self.settings.start_delay);
        }
    }

    /// Shutdown of RFC 9568 §6.4.2 and §6.4.3: a master tells and hands over. Wait for
    /// [`Router::is_idle`] before the sockets go.
    pub fn shut_down(&mut self, now: Instant) {
        self.started = false;
        self.timers.start = None;
        self.leave(now, Why::Shutdown);
    }

    /// Something is at fault: no part is taken until [`Router::clear_fault`].
    pub fn set_fault(&mut self, now: Instant, fault: Fault) {
        if self.faults.insert(fault.clone()) {
            self.leave(now, Why::Fault(fault));
        }
    }

    /// The kernel does not take the addresses: a master without them is none. One that has not
    /// told anybody yet goes silently, so that the router that works does not notice.
    pub fn refuse(&mut self, now: Instant, text: String) {
        self.set_fault(now, Fault::Refused(text));
    }

    /// An advert of ours did not leave this host.
    pub fn not_sent(&mut self, now: Instant, reason: &str) {
        self.stats.adverts_sent = self.stats.adverts_sent.saturating_sub(1);
        self.stats.unsent += 1;
        if let Some(count) = self.worth_telling(now, "unsent") {
            let reason = reason.to_owned();
            self.events.push_back(Event::Unsent { reason, count });
        }
    }

    /// A fault is gone; without another one the router starts again.
    pub fn clear_fault(&mut self, now: Instant, fault: &Fault) {
        self.retain_faults(now, |one| one != fault);
    }

    /// Clears every fault that `keep` does not want.
    pub fn retain_faults(&mut self, now: Instant, keep: impl Fn(&Fault) -> bool) {
        let before = self.faults.len();
        self.faults.retain(keep);
        if self.faults.is_empty() && before > 0 && (self.timers.start.is_none() || self.is_heir()) {
            self.begin(now);
        }
    }

    /// Hands over and leaves a worse master alone until [`Router::resume`], or until there is none.
    /// `false`: it is not master, so there is nothing to release.
    pub fn release(&mut self, now: Instant) -> bool {
        if self.yield_when_late(now) || self.state != State::Master {
            return false;
        }
        self.released = true;
        self.hand_over(now, self.patience().told);
        self.become_backup(now, Why::Operator);
        true
    }

    /// Takes no part until [`Router::resume`].
    pub fn hold(&mut self, now: Instant) {
        self.set_fault(now, Fault::Held);
    }

    /// Takes back [`Router::release`] and [`Router::hold`].
    pub fn resume(&mut self, now: Instant) {
        self.released = false;
        self.clear_fault(now, &Fault::Held);
    }

    /// The system's clock says `time` since 1970. Only signed adverts ask for it; it is to be told
    /// whenever packets were read or timers are due, before they are handed in.
    pub fn set_clock(&mut self, now: Instant, time: Duration) {
        self.signer.set_clock(now, time);
    }

    /// The address of the interface that adverts are sent from.
    pub fn set_primary(&mut self, primary: Option<IpAddr>) {
        if self.primary != primary {
            self.primary = primary;
            self.prepared.forget();
        }
    }

    /// The addresses of this host that adverts of others cannot come from.
    pub fn set_own(&mut self, own: Arc<BTreeSet<IpAddr>>) {
        self.own = own;
    }

    /// Puts other settings in force without an election. Interface, vrid, version and family are
    /// what a virtual router *is*: for those the caller makes another one.
    pub fn reconfigure(&mut self, now: Instant, settings: Settings) {
        // A process that stood still may find the reload before it finds that it is late.
        self.yield_when_late(now);
        let addresses_changed = self.settings.addresses != settings.addresses;
        self.settings = settings;
        self.prepared.forget();
        if self.state == State::Master {
            let next = now + self.settings.interval;
            self.timers.advert = self.timers.advert.map(|due| due.min(next));
        }
        if addresses_changed && self.holding {
            self.actions.push_back(Action::Take);
            if self.state == State::Master {
                self.announce(now);
                self.timers.begin_announcing(now, self.settings.virtual_mac);
            }
        }
    }

    /// The lengths of their subnets changed: the addresses are put there anew.
    pub fn take_again(&mut self) {
        if self.holding {
            self.actions.push_back(Action::Take);
        }
    }

    /// Addresses are gone from the interface. `true`: they are put back, and the link is told
    /// again. `false`: they are not ours any more, because they went while this process stood
    /// still and somebody else has taken over.
    pub fn take_back(&mut self, now: Instant) -> bool {
        let late = self.yield_when_late(now);
        if late || !self.holding || self.timers.let_go.is_some_and(|due| due <= now) {
            return false;
        }
        // Hundreds may go at once; they come back together.
        if !self.actions.contains(&Action::Take) {
            self.actions.push_back(Action::Take);
            if self.state == State::Master {
                self.announce(now);
                self.timers.begin_announcing(now, self.settings.virtual_mac);
            }
        }
        true
    }

    /// A master says that it is there, before its time: it is about to be silent.
    pub fn advertise(&mut self, now: Instant) {
        if self.state == State::Master && !self.yield_when_late(now) {
            self.send_adverts(now, self.effective_priority());
        }
    }

    /// The next time [`Router::handle_timeout`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Does what is due. The caller reads what waits in its sockets first: a stopped process must
    /// not take the adverts it has not read for silence.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.expire_conflicts(now);
        if take_due(&mut self.timers.start, now).is_some() {
            self.begin(now);
        }
        if take_due(&mut self.timers.let_go, now).is_some() {
            self.let_go();
        }
        if let Some(due) = take_due(&mut self.timers.down, now) {
            self.down_timer_expired(now, due);
        }
        if let Some(due) = take_due(&mut self.timers.advert, now) {
            self.advert_timer_expired(now, due);
        }
        if take_due(&mut self.timers.announce, now).is_some() {
            if !self.announced_lately(now) {
                self.announce(now);
            }
            self.timers.announce_again(now);
        }
    }

    /// What it does was held up: of adverts and announcements that piled up, one of each counts.
    pub fn catch_up(&mut self) {
        let mut kept: VecDeque<Action> = VecDeque::new();
        for action in self.actions.drain(..) {
            let again = matches!(action, Action::Send { .. } | Action::Announce);
            if again && kept.contains(&action) {
                let sent = u64::from(action != Action::Announce);
                self.stats.adverts_sent = self.stats.adverts_sent.saturating_sub(sent);
                continue;
            }
            kept.push_back(action);
        }
        self.actions = kept;
    }

    /// The next thing to do; drain after every input.
    pub fn poll_action(&mut self) -> Option<Action> {
        let next = self.actions.pop_front();
        let sent = matches!(next, Some(Action::Send { .. }));
        self.known |= sent && self.state == State::Master;
        next
    }

    /// The next advert of a master that others know of already, past what has to wait for its
    /// addresses: silence would have them take over.
    pub fn poll_advert(&mut self) -> Option<Action> {
        let is_advert = |one: &Action| matches!(one, Action::Send { .. });
        let at = self.actions.iter().position(is_advert);
        at.filter(|_| self.known)
            .and_then(|at| self.actions.remove(at))
    }

    /// The next thing to tell; drain after every input.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn expire_conflicts(&mut self, now: Instant) {
        let gone_after = GONE_AFTER.max(4 * self.settings.interval);
        let ended = self.conflicts.expire(now, gone_after);
        self.events.extend(ended.into_iter().map(Event::Resolved));
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The state.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// When the state was entered.
    #[must_use]
    pub fn since(&self) -> Instant {
        self.since
    }

    /// The priority that is advertised and that skew is computed from: 255 for an owner, 1 for who
    /// is sick, else up to 254. Weights alone do not make a last resort: they stop at 2.
    #[must_use]
    pub fn effective_priority(&self) -> u8 {
        if self.settings.is_owner() {
            return PRIORITY_OWNER;
        }
        if self.health.sick.is_some() {
            return PRIORITY_LAST_RESORT;
        }
        let sum = i32::from(self.settings.priority).saturating_add(self.health.offset);
        let least = i32::from(self.settings.priority).min(i32::from(PRIORITY_LAST_RESORT) + 1);
        u8::try_from(sum.clamp(least, 254)).unwrap_or(PRIORITY_LAST_RESORT)
    }

    /// The address adverts are sent from.
    #[must_use]
    pub fn primary(&self) -> Option<IpAddr> {
        self.primary
    }

    /// The master as last heard; `None` while we are it, or nobody was heard.
    #[must_use]
    pub fn master(&self) -> Option<&Master> {
        self.master.as_ref()
    }

    /// Active_Adver_Interval and Active_Down_Interval as they are now.
    #[must_use]
    pub fn intervals(&self) -> (Duration, Duration) {
        let interval = self.master_interval;
        let priority = self.effective_priority();
        (interval, self.settings.down_interval(priority, interval))
    }

    /// What keeps the router from taking part.
    pub fn faults(&self) -> impl Iterator<Item = &Fault> {
        self.faults.iter()
    }

    /// Whether the operator's `release` is in force.
    #[must_use]
    pub fn is_released(&self) -> bool {
        self.released
    }

    /// Whether the virtual addresses are on the interface.
    #[must_use]
    pub fn is_holding(&self) -> bool {
        self.holding
    }

    /// After [`Router::shut_down`]: the successor has taken over, or none came.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.state == State::Initialize && !self.holding
    }

    /// The conflicts worth telling.
    pub fn conflicts(&self) -> impl Iterator<Item = &Conflict> {
        self.conflicts.iter()
    }

    /// Sightings of conflicts that were too many to keep.
    #[must_use]
    pub fn untold_conflicts(&self) -> u64 {
        self.conflicts.untold()
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }
}
