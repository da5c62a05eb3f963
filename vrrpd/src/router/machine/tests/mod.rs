//! Tests of the virtual router: the table of every state and event, the receive ladder, time, and
//! several routers on a simulated segment.

mod health;
mod ladder;
mod model;
mod signed;
mod sim;
mod table;
mod time;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use proto_codec::vrrp::{Advert, Auth, ChecksumForm, Draft, Envelope, Version};

use super::super::event::{Action, Event, State};
use super::super::settings::Settings;
use super::Router;
use super::health::Health;

const OWN: &str = "10.0.0.2";
const VIP: &str = "10.0.0.50";
/// What tests start with: priority 100, one second, preemption.
const PRIORITY: u8 = 100;
const SECOND: Duration = Duration::from_secs(1);

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn settings() -> Settings {
    Settings {
        vrid: 5,
        version: Version::V3,
        priority: PRIORITY,
        interval: SECOND,
        preempt: true,
        preempt_delay: Duration::ZERO,
        start_delay: Duration::ZERO,
        addresses: vec![ip(VIP)],
        checksum: ChecksumForm::Rfc5798,
        auth: Auth::None,
        signing: None,
        virtual_mac: false,
        unicast_peers: Vec::new(),
    }
}

/// A router that was started at `now`.
fn started(settings: Settings, now: Instant) -> Router {
    let mut router = Router::new(settings, now);
    router.set_primary(Some(ip(OWN)));
    router.start(now);
    router
}

/// What others send: our settings, with another priority.
fn advert(settings: &Settings, source: &str, priority: u8) -> (Envelope, Vec<u8>) {
    let envelope = Envelope::multicast(ip(source));
    let draft = Draft {
        version: settings.version,
        vrid: settings.vrid,
        priority,
        interval: settings.interval,
        auth: settings.auth,
        checksum: settings.checksum,
        addresses: &settings.addresses,
    };
    let mut message = Vec::new();
    Advert::encode(&draft, &envelope, &mut message);
    (envelope, message)
}

fn hear(router: &mut Router, now: Instant, source: &str, priority: u8) {
    let (envelope, message) = advert(router.settings(), source, priority);
    router.handle_advert(now, &envelope, &message);
}

fn weigh(router: &mut Router, now: Instant, offset: i32) {
    let health = Health {
        offset,
        ..Health::default()
    };
    router.set_health(now, health, Vec::new());
}

/// What a router asked for, in words: `take`, `announce`, `send 100`, `let go`.
fn actions(router: &mut Router) -> Vec<String> {
    let word = |action| match action {
        Action::Take => "take".to_owned(),
        Action::Keep => "keep".to_owned(),
        Action::Announce => "announce".to_owned(),
        Action::LetGo => "let go".to_owned(),
        Action::Send { message, .. } => format!("send {}", message[2]),
    };
    std::iter::from_fn(|| router.poll_action())
        .map(word)
        .collect()
}

fn events(router: &mut Router) -> Vec<Event> {
    std::iter::from_fn(|| router.poll_event()).collect()
}

/// A router in `state` and the time it is then.
fn in_state(state: State, settings: Settings, start: Instant) -> (Router, Instant) {
    let mut now = start;
    let mut router = Router::new(settings, now);
    router.set_primary(Some(ip(OWN)));
    if state != State::Initialize {
        router.start(now);
    }
    if state == State::Master {
        now = router.timers.down.expect("a backup waits");
        router.handle_timeout(now);
    }
    assert_eq!(router.state(), state);
    actions(&mut router);
    events(&mut router);
    (router, now)
}
