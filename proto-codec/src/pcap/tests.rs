//! Both formats in both byte orders, every link layer, and segments in all orders.

use super::*;

/// An IPv4 packet with a TCP segment from port 179.
fn ipv4(sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let total = u16::try_from(40 + payload.len()).unwrap();
    let mut packet = vec![0x45, 0];
    packet.extend(total.to_be_bytes());
    packet.extend([0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    packet.extend(tcp(sequence, flags, payload));
    packet
}

fn tcp(sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut segment = vec![0, 179, 0x80, 0];
    segment.extend(sequence.to_be_bytes());
    segment.extend([0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(payload);
    segment
}

fn pcap(big: bool, link: u32, packets: &[Vec<u8>]) -> Vec<u8> {
    let u32s = |value: u32| {
        if big {
            value.to_be_bytes()
        } else {
            value.to_le_bytes()
        }
    };
    let mut file = u32s(0xa1b2_c3d4).to_vec();
    file.extend([0; 16]);
    file.extend(u32s(link));
    for packet in packets {
        let len = u32s(u32::try_from(packet.len()).unwrap());
        file.extend([u32s(100), u32s(7), len, len].concat());
        file.extend(packet);
    }
    file
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    body.resize(body.len().next_multiple_of(4), 0);
    let len = u32::try_from(body.len() + 12).unwrap().to_le_bytes();
    [&kind.to_le_bytes()[..], &len, &body, &len].concat()
}

fn pcapng(packet: &[u8]) -> Vec<u8> {
    let len = u32::try_from(packet.len()).unwrap().to_le_bytes();
    let section = [
        &0x1a2b_3c4d_u32.to_le_bytes()[..],
        &[1, 0, 0, 0],
        &[0xff; 8],
    ]
    .concat();
    // Link type 1, snap length 0, if_tsresol 10^-9.
    let interface = [1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0];
    let enhanced = [
        &[0; 4][..],
        &[0; 4],
        &42_u32.to_le_bytes(),
        &len,
        &len,
        packet,
    ]
    .concat();
    [
        block(0x0a0d_0d0a, &section),
        block(1, &interface),
        block(5, &[0; 8]),
        block(6, &enhanced),
    ]
    .concat()
}

fn packets(file: &[u8]) -> Vec<Packet> {
    let mut capture = Capture::new();
    let mut all = Vec::new();
    // Octet by octet, as a slow pipe may deliver it.
    for octet in file {
        capture.push(&[*octet]);
        while let Some(packet) = capture.next_packet().unwrap() {
            all.push(packet);
        }
    }
    assert_eq!(capture.buffered(), 0);
    all
}

#[test]
fn pcap_of_both_byte_orders_is_cut_into_packets() {
    for big in [true, false] {
        let file = pcap(big, 101, &[vec![1, 2, 3], vec![4]]);
        let all = packets(&file);
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].time_ns, all[0].link), (100_000_007_000, 101));
        assert_eq!(all[1].data, [4]);
    }
}

#[test]
fn pcapng_is_cut_into_packets_with_its_resolution() {
    let all = packets(&pcapng(&[1, 2, 3, 4, 5]));
    assert_eq!(
        all,
        [Packet {
            time_ns: 42,
            link: 1,
            data: vec![1, 2, 3, 4, 5]
        }]
    );
}

#[test]
fn what_is_no_capture_is_refused() {
    let mut capture = Capture::new();
    capture.push(b"#!/bin/sh");
    assert!(matches!(capture.next_packet(), Err(PcapError::Magic(_))));
    let mut capture = Capture::new();
    let mut file = pcap(true, 1, &[]);
    file.extend([0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    capture.push(&file);
    assert!(matches!(capture.next_packet(), Err(PcapError::Length(_))));
}

#[test]
fn segments_are_found_in_every_link_layer() {
    let ip = ipv4(5, 0x18, b"hi");
    let mut ipv6 = vec![0x60, 0, 0, 0];
    ipv6.extend(u16::try_from(8 + 20 + 2).unwrap().to_be_bytes());
    ipv6.extend([60, 64]);
    ipv6.extend([0; 32]);
    ipv6.extend([6, 0, 0, 0, 0, 0, 0, 0]);
    ipv6.extend(tcp(5, 0x18, b"hi"));
    let framed = |head: &[u8], packet: &[u8]| [head, packet].concat();
    let ethernet = [&[0; 12][..], &[8, 0]].concat();
    let vlan = [&[0; 12][..], &[0x81, 0, 0, 1, 0x86, 0xdd]].concat();
    let cooked = [&[0; 14][..], &[8, 0]].concat();
    let cooked2 = [&[8, 0][..], &[0; 18]].concat();
    for (link, data) in [
        (1, framed(&ethernet, &ip)),
        (1, framed(&vlan, &ipv6)),
        (101, ip.clone()),
        (113, framed(&cooked, &ip)),
        (276, framed(&cooked2, &ip)),
        (0, framed(&[2, 0, 0, 0], &ip)),
        (108, framed(&[0, 0, 0, 24], &ipv6)),
    ] {
        let found = segment(link, &data).unwrap_or_else(|| panic!("link {link}"));
        assert_eq!(
            (found.payload, found.sequence, found.source.port()),
            (&b"hi"[..], 5, 179)
        );
        for len in 0..data.len() {
            let _ = segment(link, &data[..len]);
        }
    }
}

#[test]
fn ethernet_padding_is_not_payload() {
    let mut packet = [&[0; 12][..], &[8, 0], &ipv4(5, 0x18, b"hi")].concat();
    packet.extend([0; 4]);
    assert_eq!(segment(1, &packet).unwrap().payload, b"hi");
}

fn text(chunks: Vec<Chunk>) -> String {
    chunks
        .into_iter()
        .map(|chunk| {
            let gap = if chunk.gap > 0 {
                format!("[{}]", chunk.gap)
            } else {
                String::new()
            };
            gap + std::str::from_utf8(&chunk.data).unwrap()
        })
        .collect()
}

#[test]
fn segments_come_out_in_order_whatever_order_they_arrive_in() {
    let mut stream = Stream::default();
    let start = u32::MAX - 2;
    assert_eq!(text(stream.push(start.wrapping_sub(1), true, b"")), "");
    assert_eq!(text(stream.push(start.wrapping_add(4), false, b"ef")), "");
    assert_eq!(text(stream.push(start, false, b"ab")), "ab");
    assert_eq!(text(stream.push(start, false, b"abc")), "c");
    assert_eq!(
        text(stream.push(start.wrapping_add(2), false, b"cde")),
        "def"
    );
    assert_eq!(text(stream.push(start, false, b"ab")), "");
}

#[test]
fn a_gap_is_given_up_at_the_end_and_when_too_much_waits() {
    let mut stream = Stream::default();
    assert_eq!(text(stream.push(10, false, b"a")), "a");
    assert_eq!(text(stream.push(14, false, b"e")), "");
    assert_eq!(text(stream.finish()), "[3]e");
    let mut stream = Stream::default();
    stream.push(0, false, b"a");
    let big = vec![b'x'; 600_000];
    assert!(stream.push(10, false, &big).is_empty());
    let ready = stream.push(600_010, false, &big);
    assert_eq!(
        ready.iter().map(|chunk| chunk.gap).collect::<Vec<_>>(),
        [9, 0]
    );
}

#[test]
fn a_new_connection_starts_over() {
    let mut stream = Stream::default();
    stream.push(1, false, b"abc");
    assert_eq!(text(stream.push(9000, true, b"")), "");
    assert_eq!(text(stream.push(9001, false, b"new")), "new");
}
