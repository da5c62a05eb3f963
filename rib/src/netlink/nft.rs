//! A table of nftables of our own: what is addressed to an address and not to be taken.
//!
//! [`Table::replace`] writes the whole table in one transaction, so that there is no moment without
//! it and none with half of it; it is small and changes with the configuration alone. The same as
//! text:
//!
//! ```text
//! table inet wayfare-vrrp {
//!     set ipv4 { type ipv4_addr; elements = { 10.0.50.20 } }
//!     set ipv6 { type ipv6_addr; elements = { fe80::50 } }
//!     chain input {
//!         type filter hook input priority -10; policy accept;
//!         icmpv6 type 133-137 accept          # never neighbor discovery (RFC 9568 §6.4.3)
//!         ip daddr @ipv4 counter drop
//!         ip6 daddr @ipv6 counter drop
//!     }
//! }
//! ```
//!
//! What is routed on is not seen by the hook `input`, and ARP is seen by no hook of this family. A
//! table left behind drops what is for addresses that are no longer there: it does nothing.
//!
//! Written by hand: the libraries for it are bindings of libnftnl, and this takes six messages.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use crate::fib::model::OpError;

use super::socket::Netlink;
use super::wire::{NLM_F_CREATE, NLM_F_DUMP, NLMSG_DONE, NLMSG_ERROR, Writer, answer, messages};

/// Its name.
pub const TABLE: &str = "wayfare-vrrp";

const CHAIN: &str = "input";
const SET_IPV4: &str = "ipv4";
const SET_IPV6: &str = "ipv6";
/// Rules of the chain, for whoever counts them.
const RULES: usize = 3;

const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
const NFNL_MSG_BATCH_END: u16 = 0x11;
const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFT_MSG_NEWTABLE: u16 = 0;
const NFT_MSG_DELTABLE: u16 = 2;
const NFT_MSG_NEWCHAIN: u16 = 3;
const NFT_MSG_NEWRULE: u16 = 6;
const NFT_MSG_GETRULE: u16 = 7;
const NFT_MSG_NEWSET: u16 = 9;
const NFT_MSG_NEWSETELEM: u16 = 12;
const NLM_F_APPEND: u16 = 0x800;
const NFPROTO_UNSPEC: u8 = 0;
const NFPROTO_INET: u8 = 1;
const NFPROTO_IPV4: u8 = 2;
const NFPROTO_IPV6: u8 = 10;
const NF_INET_LOCAL_IN: u32 = 1;
const NF_DROP: u32 = 0;
const NF_ACCEPT: u32 = 1;
/// A little before the chains of most firewalls, which stand at 0.
const PRIORITY: i32 = -10;
const META_NFPROTO: u32 = 15;
const META_L4PROTO: u32 = 16;
const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;
const CMP_EQ: u32 = 0;
const CMP_LTE: u32 = 3;
const CMP_GTE: u32 = 5;
const ICMPV6: u8 = 58;
/// Router and neighbor solicitation and advertisement, redirect (RFC 4861 §4).
const ND_TYPES: (u8, u8) = (133, 137);
/// `nft` shows elements by these numbers of types.
const TYPE_IPV4: u32 = 7;
const TYPE_IPV6: u32 = 8;
const NLA_F_NESTED: u16 = 0x8000;

/// The table of this network namespace. Calls wait for the kernel's answer.
#[derive(Debug)]
pub struct Table {
    socket: Netlink,
    out: Writer,
    seq: u32,
}

impl Table {
    /// Opens a socket to the packet filter; writes nothing.
    ///
    /// # Errors
    /// The kernel has no netlink for packet filters.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            socket: Netlink::for_filter()?,
            out: Writer::default(),
            seq: 0,
        })
    }

    /// From now on nothing that is sent to `closed` is taken, but neighbor discovery.
    ///
    /// # Errors
    /// No nftables in this kernel, or no permission: nothing has changed.
    pub fn replace(&mut self, closed: &BTreeSet<IpAddr>) -> Result<(), OpError> {
        self.transaction(|batch| {
            batch.table(NFT_MSG_NEWTABLE);
            batch.table(NFT_MSG_DELTABLE);
            batch.table(NFT_MSG_NEWTABLE);
            for (id, name, ipv6) in [(1, SET_IPV4, false), (2, SET_IPV6, true)] {
                batch.set(id, name, ipv6);
                let list = closed.iter().filter(|one| one.is_ipv6() == ipv6);
                batch.elements((id, name), &list.copied().collect::<Vec<_>>());
            }
            batch.chain();
            batch.rule(&neighbor_discovery());
            batch.rule(&to_one_of((1, SET_IPV4), (NFPROTO_IPV4, 16, 4)));
            batch.rule(&to_one_of((2, SET_IPV6), (NFPROTO_IPV6, 24, 16)));
        })
    }

    /// Removes the table; one that is not there is no fault.
    ///
    /// # Errors
    /// As [`Table::replace`].
    pub fn remove(&mut self) -> Result<(), OpError> {
        self.transaction(|batch| {
            // Created first, so that there is something to delete.
            batch.table(NFT_MSG_NEWTABLE);
            batch.table(NFT_MSG_DELTABLE);
        })
    }

    /// Whether the rules are there: others may flush all tables.
    ///
    /// # Errors
    /// The socket fails.
    pub fn is_whole(&mut self) -> io::Result<bool> {
        self.seq = self.seq.wrapping_add(1);
        self.out.clear();
        let header = family(NFPROTO_INET, 0);
        self.out
            .begin(of_nft(NFT_MSG_GETRULE), NLM_F_DUMP, self.seq, &header);
        self.out.attr(1, &with_nul(TABLE));
        self.out.end();
        self.socket.send(self.out.bytes())?;
        let mut rules = 0;
        loop {
            for message in messages(self.socket.receive()?) {
                match message.kind {
                    _ if message.seq != self.seq => {}
                    NLMSG_DONE | NLMSG_ERROR => return Ok(rules == RULES),
                    kind => rules += usize::from(kind == of_nft(NFT_MSG_NEWRULE)),
                }
            }
        }
    }

    fn transaction(&mut self, write: impl FnOnce(&mut Batch<'_>)) -> Result<(), OpError> {
        let first = self.seq.wrapping_add(1);
        self.out.clear();
        let mut batch = Batch {
            out: &mut self.out,
            seq: first,
        };
        batch.edge(NFNL_MSG_BATCH_BEGIN);
        write(&mut batch);
        // The last message of the batch proper: its answer comes after all others.
        batch.out.want_ack();
        let last = batch.seq.wrapping_sub(1);
        batch.edge(NFNL_MSG_BATCH_END);
        self.seq = batch.seq;
        self.socket.send(self.out.bytes()).map_err(io_error)?;
        let mut outcome = Ok(());
        loop {
            for message in messages(self.socket.receive().map_err(io_error)?) {
                let nth = message.seq.wrapping_sub(first);
                if message.kind != NLMSG_ERROR || nth > last.wrapping_sub(first) {
                    continue;
                }
                let (errno, text) = answer(&message);
                if errno != 0 && outcome.is_ok() {
                    outcome = Err(OpError { errno, text });
                }
                // A refusal of the first means the whole batch.
                if message.seq == last || nth == 0 {
                    return outcome;
                }
            }
        }
    }
}

/// Removes the table if it is there. The daemon must not be running. `true`: it was there.
///
/// # Errors
/// The packet filter cannot be used at all, or refuses.
pub fn cleanup_filter() -> io::Result<bool> {
    let mut table = Table::open()?;
    let before = table.is_whole()?;
    match table.remove() {
        Ok(()) => Ok(before),
        // No nftables, no table.
        Err(error) if error.errno == libc::EOPNOTSUPP => Ok(false),
        Err(error) => Err(io::Error::from_raw_os_error(error.errno)),
    }
}

/// Messages of one transaction.
struct Batch<'o> {
    out: &'o mut Writer,
    seq: u32,
}

impl Batch<'_> {
    fn edge(&mut self, kind: u16) {
        let header = family(NFPROTO_UNSPEC, NFNL_SUBSYS_NFTABLES);
        self.out.begin(kind, 0, self.seq, &header);
        self.seq = self.seq.wrapping_add(1);
        self.out.end();
    }

    fn message(&mut self, kind: u16, flags: u16, attrs: &[u8]) {
        let mut header = family(NFPROTO_INET, 0).to_vec();
        header.extend_from_slice(attrs);
        self.out.begin(of_nft(kind), flags, self.seq, &header);
        self.seq = self.seq.wrapping_add(1);
        self.out.end();
    }

    fn table(&mut self, kind: u16) {
        let flags = if kind == NFT_MSG_NEWTABLE {
            NLM_F_CREATE
        } else {
            0
        };
        self.message(kind, flags, &text(1, TABLE));
    }

    fn set(&mut self, id: u32, name: &str, ipv6: bool) {
        let (kind, len) = if ipv6 {
            (TYPE_IPV6, 16)
        } else {
            (TYPE_IPV4, 4)
        };
        let mut attrs = [text(1, TABLE), text(2, name)].concat();
        for (attribute, value) in [(3, 0), (4, kind), (5, len), (10, id)] {
            attrs.extend(number(attribute, value));
        }
        self.message(NFT_MSG_NEWSET, NLM_F_CREATE, &attrs);
    }

    fn elements(&mut self, (id, name): (u32, &str), list: &[IpAddr]) {
        // Each is well under 40 octets, and one attribute holds 64 KiB.
        for some in list.chunks(1024) {
            let each = some.iter().map(|address| {
                let octets = match address {
                    IpAddr::V4(v4) => v4.octets().to_vec(),
                    IpAddr::V6(v6) => v6.octets().to_vec(),
                };
                nested(1, &nested(1, &attr(1, &octets)))
            });
            let list: Vec<u8> = each.flatten().collect();
            let mut attrs = [text(1, TABLE), text(2, name)].concat();
            attrs.extend(nested(3, &list));
            attrs.extend(number(4, id));
            self.message(NFT_MSG_NEWSETELEM, NLM_F_CREATE, &attrs);
        }
    }

    fn chain(&mut self) {
        let hook = [
            number(1, NF_INET_LOCAL_IN),
            number(2, PRIORITY.cast_unsigned()),
        ];
        let attrs = [
            text(1, TABLE),
            text(3, CHAIN),
            nested(4, &hook.concat()),
            number(5, NF_ACCEPT),
            text(7, "filter"),
        ];
        self.message(NFT_MSG_NEWCHAIN, NLM_F_CREATE, &attrs.concat());
    }

    fn rule(&mut self, expressions: &[Vec<u8>]) {
        let list: Vec<u8> = expressions.iter().flat_map(|one| nested(1, one)).collect();
        let attrs = [text(1, TABLE), text(2, CHAIN), nested(4, &list)];
        self.message(
            NFT_MSG_NEWRULE,
            NLM_F_CREATE | NLM_F_APPEND,
            &attrs.concat(),
        );
    }
}

/// `icmpv6 type 133-137 accept`
fn neighbor_discovery() -> Vec<Vec<u8>> {
    vec![
        meta(META_NFPROTO),
        compare(CMP_EQ, &[NFPROTO_IPV6]),
        meta(META_L4PROTO),
        compare(CMP_EQ, &[ICMPV6]),
        payload(TRANSPORT_HEADER, 0, 1),
        compare(CMP_GTE, &[ND_TYPES.0]),
        compare(CMP_LTE, &[ND_TYPES.1]),
        verdict(NF_ACCEPT),
    ]
}

/// `ip daddr @SET counter drop`
fn to_one_of((id, set): (u32, &str), (family, offset, len): (u8, u32, u32)) -> Vec<Vec<u8>> {
    let lookup = [text(1, set), number(2, 1), number(4, id)].concat();
    vec![
        meta(META_NFPROTO),
        compare(CMP_EQ, &[family]),
        payload(NETWORK_HEADER, offset, len),
        expression("lookup", &lookup),
        expression("counter", &[]),
        verdict(NF_DROP),
    ]
}

/// Loads into register 1.
fn meta(key: u32) -> Vec<u8> {
    expression("meta", &[number(1, 1), number(2, key)].concat())
}

/// Loads into register 1.
fn payload(base: u32, offset: u32, len: u32) -> Vec<u8> {
    let fields = [(1, 1), (2, base), (3, offset), (4, len)];
    let attrs: Vec<u8> = fields
        .iter()
        .flat_map(|(at, value)| number(*at, *value))
        .collect();
    expression("payload", &attrs)
}

/// Compares register 1.
fn compare(operation: u32, value: &[u8]) -> Vec<u8> {
    let data = nested(3, &attr(1, value));
    expression("cmp", &[number(1, 1), number(2, operation), data].concat())
}

fn verdict(code: u32) -> Vec<u8> {
    let data = nested(2, &nested(2, &number(1, code)));
    expression("immediate", &[number(1, 0), data].concat())
}

fn expression(name: &str, data: &[u8]) -> Vec<u8> {
    [text(1, name), nested(2, data)].concat()
}

fn of_nft(message: u16) -> u16 {
    NFNL_SUBSYS_NFTABLES << 8 | message
}

/// `struct nfgenmsg`: family, version, resource in network byte order.
fn family(family: u8, resource: u16) -> [u8; 4] {
    let [high, low] = resource.to_be_bytes();
    [family, 0, high, low]
}

fn attr(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.attr(kind, value);
    writer.bytes().to_vec()
}

fn nested(kind: u16, value: &[u8]) -> Vec<u8> {
    attr(kind | NLA_F_NESTED, value)
}

/// Numbers of nftables are in network byte order.
fn number(kind: u16, value: u32) -> Vec<u8> {
    attr(kind, &value.to_be_bytes())
}

fn text(kind: u16, value: &str) -> Vec<u8> {
    attr(kind, &with_nul(value))
}

fn with_nul(text: &str) -> Vec<u8> {
    let mut octets = text.as_bytes().to_vec();
    octets.push(0);
    octets
}

fn io_error(error: io::Error) -> OpError {
    OpError {
        errno: error.raw_os_error().unwrap_or(libc::EIO),
        text: Some("netlink fails".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::wire::{attrs, u16_at};

    /// One transaction between its edges, in the order the kernel needs.
    #[test]
    fn a_batch_begins_ends_and_counts() {
        let mut out = Writer::default();
        let mut batch = Batch {
            out: &mut out,
            seq: 5,
        };
        batch.edge(NFNL_MSG_BATCH_BEGIN);
        batch.table(NFT_MSG_NEWTABLE);
        batch.rule(&neighbor_discovery());
        batch.edge(NFNL_MSG_BATCH_END);
        let got: Vec<_> = messages(out.bytes())
            .map(|one| (one.kind, one.seq))
            .collect();
        assert_eq!(got, [(0x10, 5), (0x0a00, 6), (0x0a06, 7), (0x11, 8)]);
        let first = messages(out.bytes()).next().expect("one");
        assert_eq!(u16_at(first.body, 2).map(u16::from_be), Some(10));
    }

    #[test]
    fn expressions_are_named_and_nested() {
        let bytes = verdict(NF_DROP);
        let got: Vec<_> = attrs(&bytes, 0)
            .map(|(kind, value)| (kind, value.len()))
            .collect();
        assert_eq!(got, [(1, 10), (2, 24)]);
    }
}
