//! A host that writes down what it is told: links that are always there, an address thread that
//! answers when it may, a wire with packets on it, and a clock that only a test moves.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use proto_codec::vrrp::{Advert, Draft, Envelope};
use rib::netlink::hosts::{HostAddress, HostChange, HostLink};

use crate::config::parse;
use crate::io::driver::Driver;
use crate::io::estate::Found;
use crate::io::holder::Put;
use crate::io::host::{Host, Take, Wire};
use crate::io::keeper::{Answer, Order, Picture};
use crate::io::routes::Fate;
use crate::io::segment::Outgoing;
use crate::io::shared::Shared;
use crate::node::{Node, Slot};

/// The one link.
pub const LINK: u32 = 2;
/// Our address on it.
const OWN: &str = "10.0.0.2/24";

/// What the kernel knows, and what it was told.
#[derive(Debug, Default)]
pub struct World {
    /// What was done, in words and in order.
    pub acts: Vec<String>,
    /// Addresses on the link, or (`@51`) on that with the virtual MAC, and their protocol.
    pub addresses: Vec<(String, u8)>,
    pub changes: VecDeque<HostChange>,
    pub packets: VecDeque<(Envelope, Vec<u8>)>,
    /// Orders of the address thread that have no answer yet.
    pub orders: VecDeque<Order>,
    /// The address thread waits for the kernel's lock.
    pub stuck: bool,
    /// The address thread has ended.
    pub dead: bool,
    /// The process stood still: what was ordered before comes too late.
    pub too_late: bool,
    /// Why addresses are refused.
    pub refusal: Option<String>,
}

/// The link with the virtual MAC of `vrid`.
fn carrier(vrid: u8) -> u32 {
    100 + u32::from(vrid)
}

/// The world behind the driver's back.
#[derive(Clone, Debug)]
struct Fake(Rc<RefCell<World>>);

fn words(list: &[Put]) -> String {
    let each = list.iter().map(|(_, network)| network.addr().to_string());
    each.collect::<Vec<_>>().join(" ")
}

impl Wire for Fake {
    fn read(&self, most: usize, take: Take<'_>) -> bool {
        for _ in 0..most {
            let Some((envelope, message)) = self.0.borrow_mut().packets.pop_front() else {
                return false;
            };
            take(LINK, &envelope, &message);
        }
        !self.0.borrow().packets.is_empty()
    }

    fn send(&self, batch: &[Outgoing]) -> Vec<(usize, io::Error)> {
        let acts = &mut self.0.borrow_mut().acts;
        for one in batch {
            acts.push(format!("send {} of {}", one.message[2], one.message[1]));
        }
        Vec::new()
    }
}

impl Host for Fake {
    fn picture(&mut self) -> io::Result<Picture> {
        let link = HostLink {
            index: LINK,
            name: "eth0".to_owned(),
            usable: true,
            mac: Some([2, 0, 0, 0, 0, 1]),
        };
        let world = self.0.borrow();
        let addresses = world.addresses.iter().map(|(text, protocol)| {
            let (text, vrid) = text.split_once('@').unwrap_or((text, "0"));
            let vrid: u8 = vrid.parse().expect("a vrid");
            HostAddress {
                index: if vrid == 0 { LINK } else { carrier(vrid) },
                network: text.parse().expect("a network"),
                protocol: *protocol,
                usable: true,
            }
        });
        Ok((vec![link], addresses.collect()))
    }

    fn changes(&mut self) -> io::Result<Vec<HostChange>> {
        Ok(self.0.borrow_mut().changes.drain(..).collect())
    }

    fn link_towards(&mut self, _: IpAddr) -> Option<u32> {
        None
    }

    fn clean(&mut self, list: &[Put]) {
        if !list.is_empty() {
            let act = format!("clean {}", words(list));
            self.0.borrow_mut().acts.push(act);
        }
    }

    fn order(&mut self, order: Order) -> bool {
        let world = &mut *self.0.borrow_mut();
        if world.dead {
            return false;
        }
        match &order {
            Order::Put { list, .. } => world.acts.push(format!("put {}", words(list))),
            Order::Remove(list) => world.acts.push(format!("remove {}", words(list))),
            Order::Look => world.acts.push("look".to_owned()),
            Order::PutRoutes { list, .. } => {
                let list: Vec<_> = list.iter().map(|it| it.route.prefix.to_string()).collect();
                world.acts.push(format!("put routes {}", list.join(" ")));
            }
            Order::RemoveRoutes(list) => {
                let list: Vec<_> = list.iter().map(|it| it.prefix.to_string()).collect();
                world.acts.push(format!("remove routes {}", list.join(" ")));
            }
            Order::CleanRoutes(kept) if !kept.is_empty() => {
                let list: Vec<_> = kept.iter().map(|it| it.prefix.to_string()).collect();
                world.acts.push(format!("leave routes {}", list.join(" ")));
            }
            Order::Carry { .. } | Order::CleanRoutes(_) => {}
        }
        world.orders.push_back(order);
        true
    }

    fn answer(&mut self) -> Option<Answer> {
        if self.0.borrow().stuck {
            return None;
        }
        loop {
            let order = self.0.borrow_mut().orders.pop_front()?;
            return Some(match order {
                Order::Put { ticket, list, .. } => {
                    let world = self.0.borrow();
                    let refused = world.refusal.iter();
                    let refused =
                        refused.flat_map(|why| list.iter().map(|one| (*one, why.clone())));
                    Answer::Put {
                        ticket,
                        refused: (!world.too_late).then(|| refused.collect()),
                    }
                }
                Order::Remove(_) | Order::RemoveRoutes(_) | Order::CleanRoutes(_) => continue,
                Order::PutRoutes { list, .. } => {
                    let late = self.0.borrow().too_late;
                    let fates = list.into_iter().map(|it| (it.route, Fate::There));
                    Answer::Routes((!late).then(|| fates.collect()))
                }
                Order::Look => Answer::Seen(self.picture()),
                Order::Carry { wanted, .. } => Answer::Carried {
                    carriers: wanted
                        .iter()
                        .map(|it| (it.key, Ok(carrier(it.key.2))))
                        .collect(),
                    gate: Ok(()),
                },
            });
        }
    }

    fn open(&mut self, _: &HostLink, _: bool) -> io::Result<Box<dyn Wire>> {
        Ok(Box::new(self.clone()))
    }

    fn send_frame(&mut self, _: u32, frame: &[u8]) -> io::Result<()> {
        if frame[12..14] == [8, 0] {
            let act = format!("send {} of {}", frame[36], frame[35]);
            self.0.borrow_mut().acts.push(act);
            return Ok(());
        }
        let target = IpAddr::from([frame[28], frame[29], frame[30], frame[31]]);
        self.0.borrow_mut().acts.push(format!("tell {target}"));
        Ok(())
    }
}

/// A driver in a world of its own.
pub struct Lab {
    pub world: Rc<RefCell<World>>,
    pub driver: Driver,
    pub shared: Rc<Shared>,
    clock: Rc<Cell<Instant>>,
    began: Instant,
}

impl Lab {
    /// With a configuration, on an empty link.
    pub fn new(config: &str) -> Self {
        Self::after(config, None, &[])
    }

    /// After a process that left `found`, with its `addresses` still there.
    pub fn after(config: &str, found: Option<&Found>, addresses: &[&str]) -> Self {
        let began = Instant::now();
        let clock = Rc::new(Cell::new(began));
        let ticking = Rc::clone(&clock);
        let path = PathBuf::from("vrrpd.toml");
        let shared = Shared::with_clock(Node::default(), path, Box::new(move || ticking.get()));
        let config = parse("vrrpd.toml", config).expect("a good file").config;
        shared.peek(|node, now| node.apply(now, config));
        let mut there = vec![(OWN.to_owned(), 0)];
        there.extend(addresses.iter().map(|one| ((*one).to_owned(), 112)));
        let world = Rc::new(RefCell::new(World {
            addresses: there,
            ..World::default()
        }));
        let host = Box::new(Fake(Rc::clone(&world)));
        let driver = Driver::new(Rc::clone(&shared), host, found).expect("the link is there");
        Self {
            world,
            driver,
            shared,
            clock,
            began,
        }
    }

    /// Moves the clock without a turn: the process stands still.
    pub fn stand_still(&self, for_so_long: Duration) {
        self.clock.set(self.clock.get() + for_so_long);
    }

    /// Runs for so long, turn by turn as they are due; `false`: the driver has ended.
    pub fn run(&mut self, for_so_long: Duration) -> bool {
        let end = self.clock.get() + for_so_long;
        for _ in 0..100_000 {
            if !self.driver.turn() {
                return false;
            }
            // The answer of the address thread wakes it.
            let world = self.world.borrow();
            if !world.stuck && !world.orders.is_empty() {
                continue;
            }
            drop(world);
            let due = self.driver.next_turn().filter(|due| *due < end);
            let Some(due) = due else {
                self.clock.set(end);
                return true;
            };
            self.clock.set(due.max(self.clock.get()));
        }
        panic!("it never rests");
    }

    /// Milliseconds since the start.
    pub fn ms(&self) -> u128 {
        self.clock.get().duration_since(self.began).as_millis()
    }

    /// What was done since the last call.
    pub fn acts(&self) -> Vec<String> {
        std::mem::take(&mut self.world.borrow_mut().acts)
    }

    /// Looks at the instance of this name.
    pub fn slot<R>(&self, name: &str, look: impl FnOnce(&Slot) -> R) -> R {
        self.shared.peek(|node, _| {
            let slot = node.slots().find(|(_, slot)| slot.instance.name == name);
            look(slot.expect("it exists").1)
        })
    }

    /// An advert of another router for the instance of this name is on the wire.
    pub fn advert(&self, name: &str, priority: u8) {
        let envelope = Envelope::multicast(IpAddr::from([10, 0, 0, 9]));
        let mut message = Vec::new();
        self.slot(name, |slot| {
            let settings = &slot.instance.settings;
            let draft = Draft {
                version: settings.version,
                vrid: settings.vrid,
                priority,
                interval: settings.interval,
                auth: settings.auth,
                checksum: settings.checksum,
                addresses: &settings.addresses,
            };
            Advert::encode(&draft, &envelope, &mut message);
        });
        self.world
            .borrow_mut()
            .packets
            .push_back((envelope, message));
    }
}
