//! `decode mrt`: walks the records of an archive and prints each in the format asked for.
//!
//! Memory is one record. A record that cannot be read is reported on standard error and skipped;
//! an archive that is cut off ends with a report after the last whole record, as `bgpdump` does it.

use std::fmt;
use std::io::{self, BufRead, Read, Write};

use proto_codec::mrt::{self, HEADER_LEN, Header, PeerIndexTable, RECORD_LEN_MAX, Record};

use super::source::read_full;
use super::{Format, bgpdump, record as full};

/// When a record was written.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// Seconds since 1970.
    pub time_s: u32,
    /// Microseconds, in the extended form.
    pub micros: Option<u32>,
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.micros {
            Some(micros) => write!(f, "{}.{micros:06}", self.time_s),
            None => write!(f, "{}", self.time_s),
        }
    }
}

/// What an archive was like.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    /// Records read.
    pub records: u64,
    /// Of those, records that could not be understood.
    pub refused: u64,
    /// The last record is cut off, or what follows is not MRT.
    pub cut_off: bool,
}

/// Prints the records of `input` to `out`; reports go to `report`.
///
/// # Errors
/// Those of `input` and `out`.
pub fn decode(
    input: &mut dyn BufRead,
    format: Format,
    out: &mut dyn Write,
    report: &mut dyn Write,
) -> io::Result<Summary> {
    let mut summary = Summary::default();
    let mut peers = PeerIndexTable::default();
    let mut body = Vec::new();
    while let Some((header, stamp)) = next_record(input, &mut body, &mut summary, report)? {
        summary.records += 1;
        match mrt::decode(&header, &body) {
            Ok(record) => {
                if format == Format::Bgpdump {
                    print_lines(out, &stamp, &record, &peers)?;
                } else {
                    full::print(out, format, (&header, &stamp), &record, &peers)?;
                }
                if let Record::PeerIndex(table) = record {
                    peers = table;
                }
            }
            Err(error) => {
                summary.refused += 1;
                let number = summary.records;
                writeln!(report, "record {number}, time {stamp}: {error}; skipped")?;
            }
        }
    }
    Ok(summary)
}

fn print_lines(
    out: &mut dyn Write,
    stamp: &Stamp,
    record: &Record<'_>,
    peers: &PeerIndexTable,
) -> io::Result<()> {
    match record {
        Record::TableDump(route) => bgpdump::table_dump(out, stamp, route),
        Record::PeerIndex(_) => Ok(()),
        Record::Rib(prefix) => bgpdump::rib(out, stamp, prefix, peers),
        Record::StateChange(change) => bgpdump::state_change(out, stamp, change),
        Record::Message(message) => bgpdump::message(out, stamp, message),
    }
}

/// Reads the next record into `body`; `None` at the end of what can be read.
fn next_record(
    input: &mut dyn BufRead,
    body: &mut Vec<u8>,
    summary: &mut Summary,
    report: &mut dyn Write,
) -> io::Result<Option<(Header, Stamp)>> {
    let mut octets = [0; HEADER_LEN];
    let read = read_full(input, &mut octets)?;
    if read == 0 {
        return Ok(None);
    }
    let header = Header::decode(&octets);
    let number = summary.records + 1;
    if read < HEADER_LEN || header.len == 0 || header.len > RECORD_LEN_MAX {
        summary.cut_off = true;
        let len = header.len;
        let what = if read < HEADER_LEN {
            "cut off in its header".to_owned()
        } else {
            format!("{len} octets long, 1 to {RECORD_LEN_MAX} expected")
        };
        writeln!(report, "record {number} is {what}; is this an MRT file?")?;
        return Ok(None);
    }
    let mut rest = header.len;
    let mut micros = None;
    if header.is_extended() {
        let mut octets = [0; 4];
        read_full(input, &mut octets)?;
        micros = Some(u32::from_be_bytes(octets));
        rest = rest.saturating_sub(4);
    }
    body.clear();
    let read = input.take(u64::from(rest)).read_to_end(body)?;
    if read < rest as usize {
        summary.cut_off = true;
        writeln!(
            report,
            "record {number} is cut off: {read} of {rest} octets are there"
        )?;
        return Ok(None);
    }
    Ok(Some((
        header,
        Stamp {
            time_s: header.time_s,
            micros,
        },
    )))
}
