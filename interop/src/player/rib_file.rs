//! A real table from an MRT file: TABLE_DUMP_V2, one path per prefix (RFC 6396 §4.3).
//!
//! Only what a feeder needs is read: the prefix, and the attributes without the next hop, which
//! becomes the feeder's own. `bzip2` unpacks on a second core while the records are read.

use std::collections::HashMap;
use std::io::Read;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// One path attribute: flags (without extended length), type, value.
pub type Attribute = (u8, u8, Vec<u8>);

/// The attributes of a path, shared between the prefixes that have the same.
pub type Attributes = Arc<Vec<Attribute>>;

/// The table of `path`, in the order of the file.
///
/// # Errors
/// Why the file cannot be read, in words.
pub fn read(path: &Path) -> Result<Vec<(IpNet, Attributes)>, String> {
    let mut child = Command::new("bzip2")
        .arg("-dc")
        .arg(path)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("bzip2: {error}"))?;
    let mut bytes = Vec::new();
    let mut stdout = child.stdout.take().ok_or("bzip2 has no output")?;
    stdout
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if !child.wait().is_ok_and(|status| status.success()) {
        return Err(format!("bzip2 cannot read {}", path.display()));
    }
    records(&bytes)
}

fn records(mut bytes: &[u8]) -> Result<Vec<(IpNet, Attributes)>, String> {
    let mut known: HashMap<&[u8], Attributes> = HashMap::new();
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (header, rest) = bytes
            .split_at_checked(12)
            .ok_or("record header cut short")?;
        let kind = u16::from_be_bytes([header[4], header[5]]);
        let subtype = u16::from_be_bytes([header[6], header[7]]);
        let len = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
        let len = usize::try_from(len).map_err(|error| error.to_string())?;
        let (body, rest) = rest.split_at_checked(len).ok_or("record cut short")?;
        bytes = rest;
        let v6 = match (kind, subtype) {
            (13, 2) => false,
            (13, 4) => true,
            _ => continue,
        };
        let (net, octets) = entry(body, v6).ok_or("RIB entry cut short")?;
        let attributes = match known.get(octets) {
            Some(attributes) => attributes.clone(),
            None => {
                let parsed = Arc::new(split(octets).ok_or("attributes cut short")?);
                known.insert(octets, parsed.clone());
                parsed
            }
        };
        found.push((net, attributes));
    }
    Ok(found)
}

/// Prefix and attributes of the first path of a RIB record.
fn entry(body: &[u8], v6: bool) -> Option<(IpNet, &[u8])> {
    let len = *body.get(4)?;
    let octets = usize::from(len).div_ceil(8);
    let mut full = [0_u8; 16];
    full.get_mut(..octets)?
        .copy_from_slice(body.get(5..5 + octets)?);
    let net = if v6 {
        IpNet::V6(Ipv6Net::new(Ipv6Addr::from(full), len).ok()?)
    } else {
        let [a, b, c, d, ..] = full;
        IpNet::V4(Ipv4Net::new(Ipv4Addr::new(a, b, c, d), len).ok()?)
    };
    let path = body.get(5 + octets + 2..)?;
    let attrs_len = usize::from(u16::from_be_bytes([*path.get(6)?, *path.get(7)?]));
    Some((net, path.get(8..8 + attrs_len)?))
}

/// The attributes, sorted by type, without NEXT_HOP and MP_REACH_NLRI.
fn split(mut bytes: &[u8]) -> Option<Vec<Attribute>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (flags, code) = (*bytes.first()?, *bytes.get(1)?);
        let (len, start) = if flags & 0x10 == 0 {
            (usize::from(*bytes.get(2)?), 3)
        } else {
            (
                usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?])),
                4,
            )
        };
        let value = bytes.get(start..start + len)?;
        if !matches!(code, 3 | 14) {
            found.push((flags & 0xe0, code, value.to_vec()));
        }
        bytes = &bytes[start + len..];
    }
    found.sort_by_key(|(_, code, _)| *code);
    Some(found)
}
