//! `decode pcap`: the BGP messages and VRRP adverts of a capture, with time and addresses.
//!
//! Segments are put in order per direction; streams count as BGP when one port is 179 or when they
//! start with a marker; VRRP is every IP packet of protocol 112. The OPENs of both sides, where
//! they were captured, decide how UPDATEs are read. After a gap or a malformed header the next
//! marker is looked for and the octets between are reported.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, BufRead, Write};
use std::net::SocketAddr;

use proto_codec::bgp::frame::check_header;
use proto_codec::bgp::{
    DecodeContext, EXTENDED_MESSAGE_LEN_MAX, HEADER_LEN, MessageType, Negotiated, Open, PORT,
};
use proto_codec::pcap::{Capture, Packet, Stream, datagram, of_datagram};
use proto_codec::vrrp;
use serde_json::{Value, json};

use super::Format;
use super::message::{describe, unknown_session, write_text};
use crate::render::format::timestamp;

/// Directions followed at once. When full, the one that began first is ended.
const STREAMS_MAX: usize = 4096;

/// Sender and receiver of one direction.
type Direction = (SocketAddr, SocketAddr);

const MARKER: [u8; 16] = [0xff; 16];

/// One direction with the octets that are no whole message yet.
#[derive(Debug, Default)]
struct Flow {
    stream: Stream,
    octets: Vec<u8>,
    open: Option<Open>,
    began: u64,
}

struct Decoder<'a> {
    out: &'a mut dyn Write,
    format: Format,
    flows: BTreeMap<Direction, Flow>,
    /// Counts flows, to find the oldest.
    begun: u64,
    messages: u64,
}

/// Prints the BGP messages and VRRP adverts of the capture `input`.
///
/// # Errors
/// The input is no capture, or input or output fail.
pub fn decode(
    input: &mut dyn BufRead,
    format: Format,
    out: &mut dyn Write,
    report: &mut dyn Write,
) -> io::Result<()> {
    let mut capture = Capture::new();
    let mut decoder = Decoder {
        out,
        format,
        flows: BTreeMap::new(),
        begun: 0,
        messages: 0,
    };
    let mut packets = 0;
    let mut last_ns = 0;
    loop {
        let octets = input.fill_buf()?;
        let len = octets.len();
        if len == 0 {
            break;
        }
        capture.push(octets);
        input.consume(len);
        while let Some(packet) = capture.next_packet().map_err(io::Error::other)? {
            packets += 1;
            last_ns = packet.time_ns;
            decoder.packet(&packet)?;
        }
    }
    decoder.finish(last_ns)?;
    if capture.buffered() > 0 {
        writeln!(report, "the capture is cut off after {packets} packets")?;
    }
    if decoder.messages == 0 {
        writeln!(report, "no BGP or VRRP message in {packets} packets")?;
    }
    Ok(())
}

impl Decoder<'_> {
    fn packet(&mut self, packet: &Packet) -> io::Result<()> {
        let Some(around) = datagram(packet.link, &packet.data) else {
            return Ok(());
        };
        if around.protocol == vrrp::PROTOCOL {
            let ends = (around.source, around.destination);
            return self.print(ends, packet.time_ns, super::vrrp::describe(&around));
        }
        let Some(found) = of_datagram(&around) else {
            return Ok(());
        };
        let direction = (found.source, found.destination);
        let on_port = found.source.port() == PORT || found.destination.port() == PORT;
        let known = self.flows.contains_key(&direction);
        if !known && !on_port && !found.payload.starts_with(&MARKER) {
            return Ok(());
        }
        if !known {
            self.make_room(packet.time_ns)?;
            self.begun += 1;
            let flow = Flow {
                began: self.begun,
                ..Flow::default()
            };
            self.flows.insert(direction, flow);
        }
        let Some(flow) = self.flows.get_mut(&direction) else {
            return Ok(());
        };
        if found.syn {
            flow.octets.clear();
            flow.open = None;
        }
        let chunks = flow.stream.push(found.sequence, found.syn, found.payload);
        for chunk in chunks {
            self.chunk(direction, packet.time_ns, chunk.gap, &chunk.data)?;
        }
        Ok(())
    }

    fn make_room(&mut self, time_ns: u64) -> io::Result<()> {
        if self.flows.len() < STREAMS_MAX {
            return Ok(());
        }
        let oldest = self.flows.iter().min_by_key(|(_, flow)| flow.began);
        match oldest.map(|(direction, _)| *direction) {
            Some(direction) => self.end(direction, time_ns),
            None => Ok(()),
        }
    }

    fn end(&mut self, direction: Direction, time_ns: u64) -> io::Result<()> {
        let Some(flow) = self.flows.get_mut(&direction) else {
            return Ok(());
        };
        for chunk in flow.stream.finish() {
            self.chunk(direction, time_ns, chunk.gap, &chunk.data)?;
        }
        let left = self
            .flows
            .remove(&direction)
            .map_or(0, |flow| flow.octets.len());
        if left > 0 {
            let text = format!("{left} octets at the end are no whole message");
            self.print(direction, time_ns, json!({"error": text}))?;
        }
        Ok(())
    }

    fn finish(&mut self, time_ns: u64) -> io::Result<()> {
        while let Some((&direction, _)) = self.flows.iter().min_by_key(|(_, flow)| flow.began) {
            self.end(direction, time_ns)?;
        }
        Ok(())
    }

    fn chunk(
        &mut self,
        direction: Direction,
        time_ns: u64,
        gap: u64,
        data: &[u8],
    ) -> io::Result<()> {
        if gap > 0 {
            if let Some(flow) = self.flows.get_mut(&direction) {
                flow.octets.clear();
            }
            let text = format!("{gap} octets were not captured");
            self.print(direction, time_ns, json!({"error": text}))?;
        }
        if let Some(flow) = self.flows.get_mut(&direction) {
            flow.octets.extend_from_slice(data);
        }
        while let Some(value) = self.next_message(direction) {
            self.print(direction, time_ns, value)?;
        }
        Ok(())
    }

    /// Takes the next message, or the octets before the next marker, off a flow.
    fn next_message(&mut self, direction: Direction) -> Option<Value> {
        let context = self.context(direction);
        let flow = self.flows.get_mut(&direction)?;
        let header = *flow.octets.first_chunk::<HEADER_LEN>()?;
        match check_header(&header, EXTENDED_MESSAGE_LEN_MAX) {
            Ok((_, len)) if flow.octets.len() < len => None,
            Ok((kind, len)) => {
                let message: Vec<u8> = flow.octets.drain(..len).collect();
                if kind == MessageType::Open {
                    flow.open = message
                        .get(HEADER_LEN..)
                        .and_then(|body| Open::decode(body).ok());
                }
                Some(describe(&message, context.as_ref()))
            }
            Err(_) => {
                let value = describe(&flow.octets, None);
                let rest = flow.octets.get(1..).unwrap_or_default();
                let next = rest
                    .windows(MARKER.len())
                    .position(|octets| octets == MARKER);
                // Fifteen octets may be the start of a marker.
                let keep = MARKER.len() - 1;
                let skip = next.map_or(flow.octets.len().saturating_sub(keep), |at| at + 1);
                flow.octets.drain(..skip.max(1));
                Some(with_skipped(value, skip.max(1)))
            }
        }
    }

    /// How messages of this direction are read, when both OPENs are known.
    fn context(&self, (from, to): Direction) -> Option<DecodeContext> {
        let theirs = self.flows.get(&(from, to))?.open.as_ref()?;
        let ours = self.flows.get(&(to, from))?.open.as_ref()?;
        let agreed = Negotiated::between(ours, theirs).decode_context();
        Some(DecodeContext {
            four_octet_as: agreed.four_octet_as,
            add_path_rx: agreed.add_path_rx,
            ..unknown_session()
        })
    }

    /// Prints what was found between two ends, which are addresses with or without a port.
    fn print<End: Display>(
        &mut self,
        (from, to): (End, End),
        time_ns: u64,
        mut value: Value,
    ) -> io::Result<()> {
        self.messages += u64::from(value.get("type").is_some());
        let time = timestamp(time_ns / 1_000_000);
        if self.format == Format::Json {
            let mut line = json!({"time": time, "from": from.to_string(), "to": to.to_string()});
            if let (Value::Object(line), Value::Object(fields)) = (&mut line, value) {
                line.extend(fields);
            }
            return writeln!(self.out, "{line}");
        }
        let kind = value["type"].as_str().unwrap_or("not a message").to_owned();
        writeln!(self.out, "{time} {from} > {to}: {kind}")?;
        if let Value::Object(fields) = &mut value {
            fields.shift_remove("type");
        }
        write_text(self.out, &value, 1)
    }
}

fn with_skipped(mut value: Value, skipped: usize) -> Value {
    value["skipped"] = json!(skipped);
    value
}
