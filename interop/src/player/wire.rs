//! BGP messages from parts, octet by octet (RFC 4271 §4).
//!
//! Nothing here checks what it builds: a malformed message is as easy to make as a good one. Only
//! lengths that the caller did not give are computed.

use ipnet::IpNet;

/// Message types (RFC 4271 §4.1, RFC 2918).
pub mod kind {
    /// OPEN.
    pub const OPEN: u8 = 1;
    /// UPDATE.
    pub const UPDATE: u8 = 2;
    /// NOTIFICATION.
    pub const NOTIFICATION: u8 = 3;
    /// KEEPALIVE.
    pub const KEEPALIVE: u8 = 4;
    /// ROUTE-REFRESH.
    pub const ROUTE_REFRESH: u8 = 5;
}

/// Octets of the message header.
pub const HEADER_LEN: usize = 19;

/// A whole message around `body`.
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(HEADER_LEN + body.len()).expect("tests build messages below 64 KiB");
    let mut out = vec![0xff; 16];
    out.extend_from_slice(&len.to_be_bytes());
    out.push(kind);
    out.extend_from_slice(body);
    out
}

/// A KEEPALIVE.
pub fn keepalive() -> Vec<u8> {
    message(kind::KEEPALIVE, &[])
}

/// One capability: code and value (RFC 5492).
pub fn capability(code: u8, value: &[u8]) -> Vec<u8> {
    let mut out = vec![
        code,
        u8::try_from(value.len()).expect("capability values are short"),
    ];
    out.extend_from_slice(value);
    out
}

/// The multiprotocol capability for an AFI and SAFI (RFC 4760 §8).
pub fn multiprotocol(afi: u16, safi: u8) -> Vec<u8> {
    let [hi, lo] = afi.to_be_bytes();
    capability(1, &[hi, lo, 0, safi])
}

/// An OPEN with all capabilities in one optional parameter.
pub fn open(asn: u32, hold_time_s: u16, router_id: [u8; 4], capabilities: &[Vec<u8>]) -> Vec<u8> {
    let short = u16::try_from(asn).unwrap_or(23456);
    let mut body = vec![4];
    body.extend_from_slice(&short.to_be_bytes());
    body.extend_from_slice(&hold_time_s.to_be_bytes());
    body.extend_from_slice(&router_id);
    let caps = capabilities.concat();
    if caps.is_empty() {
        body.push(0);
    } else {
        let len = u8::try_from(caps.len()).expect("capabilities fit one parameter");
        body.extend_from_slice(&[len + 2, 2, len]);
        body.extend_from_slice(&caps);
    }
    message(kind::OPEN, &body)
}

/// One path attribute; the extended length bit is set where the value needs it.
pub fn attribute(flags: u8, code: u8, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() + 4);
    if let Ok(len) = u8::try_from(value.len()) {
        out.extend_from_slice(&[flags, code, len]);
    } else {
        let len = u16::try_from(value.len()).expect("attribute values fit a message");
        out.extend_from_slice(&[flags | 0x10, code]);
        out.extend_from_slice(&len.to_be_bytes());
    }
    out.extend_from_slice(value);
    out
}

/// A prefix as NLRI: length in bits and as many octets as it needs.
pub fn nlri(net: IpNet) -> Vec<u8> {
    let octets = match net {
        IpNet::V4(net) => net.network().octets().to_vec(),
        IpNet::V6(net) => net.network().octets().to_vec(),
    };
    let len = net.prefix_len();
    let mut out = vec![len];
    out.extend_from_slice(&octets[..usize::from(len).div_ceil(8)]);
    out
}

/// An UPDATE from its three sections.
pub fn update(withdrawn: &[u8], attributes: &[u8], nlri: &[u8]) -> Vec<u8> {
    let section = |part: &[u8]| u16::try_from(part.len()).expect("sections fit a message");
    let mut body = section(withdrawn).to_be_bytes().to_vec();
    body.extend_from_slice(withdrawn);
    body.extend_from_slice(&section(attributes).to_be_bytes());
    body.extend_from_slice(attributes);
    body.extend_from_slice(nlri);
    message(kind::UPDATE, &body)
}

/// An AS_PATH value of one AS_SEQUENCE with 4-octet numbers.
pub fn as_sequence(asns: &[u32]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in asns.chunks(255) {
        out.extend_from_slice(&[2, u8::try_from(part.len()).expect("chunks of 255")]);
        part.iter()
            .for_each(|asn| out.extend_from_slice(&asn.to_be_bytes()));
    }
    out
}

/// An AS_PATH value of one AS_SEQUENCE with 2-octet numbers.
pub fn as_sequence_2(asns: &[u16]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in asns.chunks(255) {
        out.extend_from_slice(&[2, u8::try_from(part.len()).expect("chunks of 255")]);
        part.iter()
            .for_each(|asn| out.extend_from_slice(&asn.to_be_bytes()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keepalive_is_nineteen_octets() {
        let bytes = keepalive();
        assert_eq!(bytes.len(), HEADER_LEN);
        assert_eq!(&bytes[16..], [0, 19, 4]);
    }

    #[test]
    fn prefixes_take_the_octets_they_need() {
        assert_eq!(
            nlri("10.1.2.0/23".parse().expect("a prefix")),
            [23, 10, 1, 2]
        );
        assert_eq!(nlri("0.0.0.0/0".parse().expect("a prefix")), [0]);
        assert_eq!(
            nlri("2001:db8::/32".parse().expect("a prefix")),
            [32, 0x20, 1, 0xd, 0xb8]
        );
    }
}
