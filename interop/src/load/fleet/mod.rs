//! All speakers of a run, driven by one thread.
//!
//! While the clock runs the tool competes with the daemon for two cores, so it does as little as it
//! can: `epoll` says who is ready; octets go straight from the socket into a buffer that was made
//! and touched before, and stay there; of a message only its length and the number of its prefixes
//! are looked at. What is sent was encoded before and is written in pieces as large as the socket
//! takes. Whether the right things arrived is looked at from the kept octets ([`super::expect`]),
//! each read of which has its time ([`inbox::Inbox::time_of`]), so that the clock can be stopped in
//! hindsight.
//!
//! A speaker whose session ends before it is up, or is refused, tries again after a second, as
//! routers do. A session that ends later is an error of the run, unless the run ended it.

pub mod inbox;
mod link;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use inbox::Inbox;
use link::{Link, State};

use super::bench::Failure;

/// One speaker, as it shall behave.
#[derive(Clone, Debug)]
pub struct Speaker {
    /// Its address and router id.
    pub address: Ipv4Addr,
    /// Its AS number.
    pub asn: u32,
    /// How long after the fleet's start it connects for the first time.
    pub delay: Duration,
    /// What it sends as soon as its session is up.
    pub greeting: Arc<[u8]>,
    /// How many octets it is likely to receive: the size of its buffer.
    pub receives: usize,
}

impl Speaker {
    /// One that connects at once and says nothing by itself.
    pub fn new(address: Ipv4Addr, asn: u32, receives: usize) -> Self {
        Self {
            address,
            asn,
            delay: Duration::ZERO,
            greeting: Arc::new([]),
            receives,
        }
    }
}

/// KEEPALIVEs go out this often; the hold time is three times as long and more.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(30);
/// Between the connections of [`Fleet::establish`].
const ESTABLISH_STEP: Duration = Duration::from_millis(5);
/// When all sessions are up and less than so many octets came at once, the next look is put off so
/// long: less than a socket's buffer takes to fill.
const GATHER_LEN: usize = 64 << 10;
const GATHER: Duration = Duration::from_micros(100);
/// After a refused or broken attempt.
const RETRY: Duration = Duration::from_secs(1);

/// The speakers of a run.
#[derive(Debug)]
pub struct Fleet {
    links: Vec<Link>,
    epoll: Epoll,
    events: Vec<EpollEvent>,
    daemon: SocketAddr,
    keepalive_at: Instant,
    /// When the last UPDATE was read by anybody.
    pub last_update: Instant,
    /// Attempts that had to be repeated.
    pub retries: usize,
}

impl Fleet {
    /// Speakers that have not connected yet; they start to in the first [`Fleet::turn`].
    ///
    /// # Errors
    /// Those of `epoll`.
    pub fn new(speakers: &[Speaker], daemon: SocketAddr) -> io::Result<Self> {
        let links: Vec<Link> = speakers.iter().cloned().map(Link::new).collect();
        let now = Instant::now();
        let mut fleet = Self {
            links,
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            events: vec![EpollEvent::empty(); 512],
            daemon,
            keepalive_at: now + KEEPALIVE_EVERY,
            last_update: now,
            retries: 0,
        };
        fleet.start(now);
        Ok(fleet)
    }

    /// Starts the clock of the speakers' delays again, before the first turn.
    pub fn start(&mut self, now: Instant) {
        for link in &mut self.links {
            link.state = State::Idle(now + link.speaker.delay);
        }
    }

    /// How many sessions are up.
    pub fn up(&self) -> usize {
        self.links
            .iter()
            .filter(|link| link.state == State::Up)
            .count()
    }

    /// Whether nobody is still to connect.
    fn settled(&self) -> bool {
        let settled = |link: &Link| matches!(link.state, State::Up | State::Gone);
        self.links.iter().all(settled)
    }

    /// What speaker `index` has received.
    pub fn inbox(&self, index: usize) -> &Inbox {
        &self.links[index].inbox
    }

    /// Whether everything that was to be sent has been taken by the kernel.
    pub fn all_sent(&self) -> bool {
        self.links.iter().all(|link| link.out.is_empty())
    }

    /// Lets speaker `index` send `octets`, whole messages, in the turns to come.
    pub fn send(&mut self, index: usize, octets: Arc<[u8]>) {
        self.links[index].out.push(octets);
        self.arm(index);
    }

    /// Ends the session of speaker `index` with a TCP reset, as if its machine had died and come
    /// back.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn reset(&mut self, index: usize) -> io::Result<()> {
        self.links[index].reset()
    }

    /// Connects all speakers, one after the other, and returns when all sessions are up. In the
    /// same instant they would overrun the listen queue of some, which is a shape of its own.
    ///
    /// # Errors
    /// `limit` passed first.
    pub fn establish(&mut self, limit: Duration) -> Result<(), Failure> {
        let start = Instant::now();
        for (link, rank) in self.links.iter_mut().zip(0_u32..) {
            link.state = State::Idle(start + ESTABLISH_STEP * rank);
        }
        while self.up() < self.links.len() {
            self.turn(Duration::from_millis(100))?;
            if start.elapsed() > limit {
                let text = format!("{} of {} sessions", self.up(), self.links.len());
                return Err(Failure::TooSlow(text));
            }
        }
        Ok(())
    }

    /// Waits for events, at most this long, and handles them.
    ///
    /// # Errors
    /// A session that was up and ended by itself, or a NOTIFICATION.
    pub fn turn(&mut self, longest: Duration) -> Result<(), String> {
        let now = Instant::now();
        let wait = self
            .connect_due(now)
            .map_or(longest, |due| longest.min(due));
        if now >= self.keepalive_at {
            self.keepalive_at = now + KEEPALIVE_EVERY;
            for index in 0..self.links.len() {
                if self.links[index].keep_alive() {
                    self.arm(index);
                }
            }
        }
        let millis = u16::try_from(wait.as_millis().max(1)).unwrap_or(1000);
        let mut events = std::mem::take(&mut self.events);
        let ready = match self.epoll.wait(&mut events, EpollTimeout::from(millis)) {
            Ok(ready) => ready,
            Err(nix::errno::Errno::EINTR) => 0,
            Err(error) => return Err(error.to_string()),
        };
        let mut read = 0;
        for event in &events[..ready] {
            let index = usize::try_from(event.data()).map_err(|error| error.to_string())?;
            let before = self.links[index].inbox.len();
            self.handle(index, event.events())?;
            read += self.links[index].inbox.len().saturating_sub(before);
        }
        self.events = events;
        // A daemon that sends in small pieces would keep us busy with waking up.
        if ready > 0 && read < GATHER_LEN && self.settled() {
            std::thread::sleep(GATHER);
        }
        Ok(())
    }

    /// Starts the connections that are due; tells how long until the next one is.
    fn connect_due(&mut self, now: Instant) -> Option<Duration> {
        let mut next: Option<Duration> = None;
        for index in 0..self.links.len() {
            let State::Idle(at) = self.links[index].state else {
                continue;
            };
            if at > now {
                let wait = at - now;
                next = Some(next.map_or(wait, |known| known.min(wait)));
                continue;
            }
            let link = &mut self.links[index];
            let data = u64::try_from(index).unwrap_or_default();
            let begun = link.connect(self.daemon).and_then(|socket| {
                let interest = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT, data);
                self.epoll.add(socket, interest).map_err(io::Error::from)
            });
            if begun.is_err() {
                link.state = State::Idle(now + RETRY);
                self.retries += 1;
            }
        }
        next
    }

    fn handle(&mut self, index: usize, flags: EpollFlags) -> Result<(), String> {
        let link = &mut self.links[index];
        let was_up = link.state == State::Up;
        let armed = link.wants_to_write();
        let now = Instant::now();
        let result = link.handle(flags, now);
        match result {
            Ok(updates) => {
                if updates {
                    self.last_update = now;
                }
            }
            Err(why) if was_up => return Err(format!("{}: {why}", link.speaker.address)),
            Err(_) => {
                // Closing the socket took it out of epoll.
                link.retry(now + RETRY);
                self.retries += 1;
                return Ok(());
            }
        }
        if armed != link.wants_to_write() || !was_up {
            self.arm(index);
        }
        Ok(())
    }

    /// Tells epoll whether speaker `index` has something to write.
    fn arm(&mut self, index: usize) {
        let link = &self.links[index];
        let Some(socket) = &link.socket else { return };
        let mut flags = EpollFlags::EPOLLIN;
        if link.wants_to_write() {
            flags |= EpollFlags::EPOLLOUT;
        }
        let mut event = EpollEvent::new(flags, u64::try_from(index).unwrap_or_default());
        // It is registered since it connected; a socket that just died is met at the next event.
        let _ = self.epoll.modify(socket, &mut event);
    }
}
