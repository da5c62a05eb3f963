//! The two capture file formats, cut into packets.
//!
//! ```text
//! pcap:   magic version zone sigfigs snaplen link | seconds fraction captured original data | …
//! pcapng: type length body length | …       (lengths count the whole block, padded to four)
//! ```
//!
//! Both exist in either byte order, told from the magic number. A pcapng file may hold several
//! sections, each with its own byte order and interfaces.

use super::PACKET_LEN_MAX;

const MAGIC_MICRO: u32 = 0xa1b2_c3d4;
const MAGIC_NANO: u32 = 0xa1b2_3c4d;
const BLOCK_SECTION: u32 = 0x0a0d_0d0a;
const SECTION_MAGIC: u32 = 0x1a2b_3c4d;
const PCAP_HEADER_LEN: usize = 24;
const RECORD_HEADER_LEN: usize = 16;
const BLOCK_OVERHEAD: usize = 12;

/// Interfaces of one section that are kept; a file with more is refused.
const INTERFACES_MAX: usize = 1024;

/// A captured packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// When, nanoseconds since 1970.
    pub time_ns: u64,
    /// Link-layer type (LINKTYPE_ETHERNET is 1).
    pub link: u32,
    /// What was captured of it.
    pub data: Vec<u8>,
}

/// Why a capture cannot be read on. What was read before stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PcapError {
    /// Neither format.
    #[error("neither pcap nor pcapng: the file starts with {0:#010x}")]
    Magic(u32),
    /// A length that cannot be meant.
    #[error("a packet or block of {0} octets, at most {PACKET_LEN_MAX} expected")]
    Length(usize),
    /// A packet of an interface that was not described.
    #[error("packet of interface {0}, which the file does not describe")]
    Interface(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Big,
    Little,
}

impl Order {
    fn u32(self, octets: &[u8], at: usize) -> u32 {
        let field = octets
            .get(at..)
            .and_then(|rest| rest.first_chunk::<4>())
            .copied();
        match self {
            Self::Big => u32::from_be_bytes(field.unwrap_or_default()),
            Self::Little => u32::from_le_bytes(field.unwrap_or_default()),
        }
    }

    fn u16(self, octets: &[u8], at: usize) -> u16 {
        let field = octets
            .get(at..)
            .and_then(|rest| rest.first_chunk::<2>())
            .copied();
        match self {
            Self::Big => u16::from_be_bytes(field.unwrap_or_default()),
            Self::Little => u16::from_le_bytes(field.unwrap_or_default()),
        }
    }

    fn len(self, octets: &[u8], at: usize) -> usize {
        usize::try_from(self.u32(octets, at)).unwrap_or(usize::MAX)
    }
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link: u32,
    /// Ticks of a second.
    resolution: u64,
}

#[derive(Debug)]
enum Kind {
    Unknown,
    Pcap {
        order: Order,
        link: u32,
        nano: bool,
    },
    Pcapng {
        order: Order,
        interfaces: Vec<Interface>,
    },
}

/// What a step found.
enum Step {
    Packet(Packet),
    Skipped,
    NeedsMore,
}

/// A capture file in the reading.
#[derive(Debug)]
pub struct Capture {
    buffer: Vec<u8>,
    /// Octets at the front that are done with; they go when more are pushed.
    consumed: usize,
    kind: Kind,
}

impl Default for Capture {
    fn default() -> Self {
        Self::new()
    }
}

impl Capture {
    /// Nothing read yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            buffer: Vec::new(),
            consumed: 0,
            kind: Kind::Unknown,
        }
    }

    /// Adds octets of the file.
    pub fn push(&mut self, octets: &[u8]) {
        self.buffer.drain(..self.consumed.min(self.buffer.len()));
        self.consumed = 0;
        self.buffer.extend_from_slice(octets);
    }

    /// Octets that were pushed and do not make a whole packet; at the end of a file, more than 0
    /// means that it is cut off.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffer.len().saturating_sub(self.consumed)
    }

    /// The next packet; `None` when more octets are needed.
    ///
    /// # Errors
    /// [`PcapError`]; nothing after that point can be trusted.
    pub fn next_packet(&mut self) -> Result<Option<Packet>, PcapError> {
        loop {
            let rest = self.buffer.get(self.consumed..).unwrap_or_default();
            let (used, step) = match &mut self.kind {
                Kind::Unknown => {
                    let Some((used, kind)) = recognise(rest)? else {
                        return Ok(None);
                    };
                    self.kind = kind;
                    (used, Step::Skipped)
                }
                Kind::Pcap { order, link, nano } => record(rest, *order, *link, *nano)?,
                Kind::Pcapng { order, interfaces } => block(rest, order, interfaces)?,
            };
            self.consumed += used;
            match step {
                Step::Packet(packet) => return Ok(Some(packet)),
                Step::Skipped => {}
                Step::NeedsMore => return Ok(None),
            }
        }
    }
}

fn recognise(buffer: &[u8]) -> Result<Option<(usize, Kind)>, PcapError> {
    let Some(magic) = buffer.first_chunk::<4>() else {
        return Ok(None);
    };
    let big = u32::from_be_bytes(*magic);
    if big == BLOCK_SECTION {
        return Ok(Some((
            0,
            Kind::Pcapng {
                order: Order::Big,
                interfaces: Vec::new(),
            },
        )));
    }
    let (order, nano) = match (big, u32::from_le_bytes(*magic)) {
        (MAGIC_MICRO, _) => (Order::Big, false),
        (MAGIC_NANO, _) => (Order::Big, true),
        (_, MAGIC_MICRO) => (Order::Little, false),
        (_, MAGIC_NANO) => (Order::Little, true),
        _ => return Err(PcapError::Magic(big)),
    };
    if buffer.len() < PCAP_HEADER_LEN {
        return Ok(None);
    }
    // The upper bits of the link field tell about frame check sequences.
    let link = order.u32(buffer, 20) & 0x0fff_ffff;
    Ok(Some((PCAP_HEADER_LEN, Kind::Pcap { order, link, nano })))
}

fn record(buffer: &[u8], order: Order, link: u32, nano: bool) -> Result<(usize, Step), PcapError> {
    if buffer.len() < RECORD_HEADER_LEN {
        return Ok((0, Step::NeedsMore));
    }
    let len = order.len(buffer, 8);
    if len > PACKET_LEN_MAX {
        return Err(PcapError::Length(len));
    }
    let Some(data) = buffer.get(RECORD_HEADER_LEN..RECORD_HEADER_LEN + len) else {
        return Ok((0, Step::NeedsMore));
    };
    let fraction = u64::from(order.u32(buffer, 4)) * if nano { 1 } else { 1000 };
    let time_ns = u64::from(order.u32(buffer, 0)) * 1_000_000_000 + fraction;
    let packet = Packet {
        time_ns,
        link,
        data: data.to_vec(),
    };
    Ok((RECORD_HEADER_LEN + len, Step::Packet(packet)))
}

fn block(
    buffer: &[u8],
    order: &mut Order,
    interfaces: &mut Vec<Interface>,
) -> Result<(usize, Step), PcapError> {
    if buffer.len() < BLOCK_OVERHEAD {
        return Ok((0, Step::NeedsMore));
    }
    let kind = order.u32(buffer, 0);
    // The type of a section header reads the same in both orders; its magic tells the order.
    if kind == BLOCK_SECTION {
        *order = if Order::Big.u32(buffer, 8) == SECTION_MAGIC {
            Order::Big
        } else {
            Order::Little
        };
        interfaces.clear();
    }
    let len = order.len(buffer, 4);
    if !(BLOCK_OVERHEAD..=PACKET_LEN_MAX + 1024).contains(&len) {
        return Err(PcapError::Length(len));
    }
    let Some(body) = buffer.get(8..len - 4) else {
        return Ok((0, Step::NeedsMore));
    };
    if buffer.len() < len {
        return Ok((0, Step::NeedsMore));
    }
    let step = match kind {
        1 => {
            if interfaces.len() >= INTERFACES_MAX {
                return Err(PcapError::Length(interfaces.len()));
            }
            interfaces.push(interface(body, *order));
            Step::Skipped
        }
        3 => {
            let found = interfaces.first().ok_or(PcapError::Interface(0))?;
            let data = body.get(4..).unwrap_or_default();
            let len = order.len(body, 0).min(data.len());
            let data = data.get(..len).unwrap_or_default().to_vec();
            Step::Packet(Packet {
                time_ns: 0,
                link: found.link,
                data,
            })
        }
        6 => enhanced(body, *order, interfaces)?,
        _ => Step::Skipped,
    };
    Ok((len, step))
}

fn enhanced(body: &[u8], order: Order, interfaces: &[Interface]) -> Result<Step, PcapError> {
    let number = order.u32(body, 0);
    let index = usize::try_from(number).unwrap_or(usize::MAX);
    let interface = interfaces.get(index).ok_or(PcapError::Interface(number))?;
    let ticks = u64::from(order.u32(body, 4)) << 32 | u64::from(order.u32(body, 8));
    let data = body.get(20..).unwrap_or_default();
    let len = order.len(body, 12).min(data.len());
    let per_second = interface.resolution.max(1);
    let (seconds, rest) = (ticks / per_second, ticks % per_second);
    let rest_ns = u128::from(rest) * 1_000_000_000 / u128::from(per_second);
    let time_ns = seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::try_from(rest_ns).unwrap_or(0));
    let data = data.get(..len).unwrap_or_default().to_vec();
    Ok(Step::Packet(Packet {
        time_ns,
        link: interface.link,
        data,
    }))
}

/// Reads an interface description; the option `if_tsresol` (9) is a power of ten, or of two with
/// the high bit set.
fn interface(body: &[u8], order: Order) -> Interface {
    let link = u32::from(order.u16(body, 0));
    let mut resolution = 1_000_000;
    let mut options = body.get(8..).unwrap_or_default();
    while options.len() >= 4 {
        let (code, len) = (order.u16(options, 0), usize::from(order.u16(options, 2)));
        if code == 0 {
            break;
        }
        if let (9, Some(&value)) = (code, options.get(4)) {
            let exponent = u32::from(value & 0x7f);
            let base: u64 = if value & 0x80 != 0 { 2 } else { 10 };
            resolution = base.checked_pow(exponent).unwrap_or(resolution);
        }
        options = options
            .get(4 + len.next_multiple_of(4)..)
            .unwrap_or_default();
    }
    Interface { link, resolution }
}
