//! `decode hex`: BGP messages written in hexadecimal.
//!
//! Taken as they are pasted: with or without blanks, colons, `0x`, line ends, `#` comments and the
//! offsets and text columns of `xxd` and `hexdump -C`. The octets of all lines make one stream of
//! messages; each is cut by its length field.

use std::io::{self, BufRead, Write};

use serde_json::{Value, json};

use super::Format;
use super::message::{describe, write_text};

/// Octets that are read: 16 MiB. What is pasted is smaller, and a capture has `decode pcap`.
const OCTETS_MAX: usize = 16 << 20;

/// Decodes the messages in `input`.
///
/// # Errors
/// The input is not hexadecimal text, or input or output fail.
pub fn decode(input: &mut dyn BufRead, format: Format, out: &mut dyn Write) -> io::Result<()> {
    let octets = read(input)?;
    let mut rest = octets.as_slice();
    let mut number = 0;
    while !rest.is_empty() {
        number += 1;
        let at = octets.len() - rest.len();
        let (mut value, used) = next_message(rest);
        rest = rest.get(used..).unwrap_or_default();
        value["message"] = json!(number);
        value["at"] = json!(at);
        match format {
            Format::Json => writeln!(out, "{value}")?,
            Format::Text | Format::Bgpdump => {
                let kind = value["type"].as_str().unwrap_or("not a message").to_owned();
                writeln!(out, "message {number} at octet {at}: {kind}")?;
                if let Value::Object(fields) = &mut value {
                    fields.retain(|key, _| !["message", "at", "type"].contains(&key.as_str()));
                }
                write_text(out, &value, 1)?;
            }
        }
    }
    Ok(())
}

/// Describes the message at the front and says how many octets it takes; without a believable
/// length it takes all.
fn next_message(octets: &[u8]) -> (Value, usize) {
    let value = describe(octets, None);
    let used = match value["length"].as_u64() {
        Some(len) if len > 0 => usize::try_from(len).unwrap_or(octets.len()),
        _ => octets.len(),
    };
    (value, used)
}

fn read(input: &mut dyn BufRead) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    let mut pending = None;
    for (index, line) in input.lines().enumerate() {
        let line = line?;
        for digit in digits(&line) {
            let value = digit
                .to_digit(16)
                .and_then(|value| u8::try_from(value).ok());
            let Some(value) = value else {
                let text = format!("line {}: `{digit}` is not a hexadecimal digit", index + 1);
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            };
            match pending.take() {
                Some(high) => octets.push(high << 4 | value),
                None => pending = Some(value),
            }
        }
        if octets.len() > OCTETS_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "more than 16 MiB",
            ));
        }
    }
    if pending.is_some() {
        let text = "the text ends in the middle of an octet";
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    Ok(octets)
}

/// The digits of a line, without comment, offset, text column and separators.
fn digits(line: &str) -> impl Iterator<Item = char> + '_ {
    let line = line.split('#').next().unwrap_or_default().trim();
    let line = line.split('|').next().unwrap_or_default();
    let is_hex = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_hexdigit());
    // `00000010: ffff ffff  ....` and `00000010  ff ff ff ff`.
    let line = match line.split_once(": ") {
        Some((offset, rest)) if is_hex(offset) && offset.len() >= 4 => {
            let rest = rest.trim_start();
            rest.split_once("  ").map_or(rest, |(columns, _)| columns)
        }
        _ => match line.split_once("  ") {
            Some((offset, rest)) if is_hex(offset) && offset.len() == 8 => rest,
            _ => line,
        },
    };
    let words = line.split(|c: char| c.is_whitespace() || c == ':' || c == ',');
    words.flat_map(|word| {
        let word = word
            .strip_prefix("0x")
            .or_else(|| word.strip_prefix("0X"))
            .unwrap_or(word);
        word.chars()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEPALIVE: &str = "ffffffffffffffffffffffffffffffff001304";

    fn json(text: &str) -> Vec<Value> {
        let mut out = Vec::new();
        decode(&mut text.as_bytes(), Format::Json, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn every_way_to_paste_is_read() {
        let spaced = "ff:ff:ff:ff 0xffffffff ffff ffff\n# comment\nFFFFFFFF 00 13 04 # end";
        let xxd = "00000000: ffff ffff ffff ffff ffff ffff ffff ffff  ................\n\
                   00000010: 0013 04                                  ...\n";
        let dump = "00000000  ff ff ff ff ff ff ff ff  ff ff ff ff ff ff ff ff  |........|\n\
                    00000010  00 13 04                                          |...|\n\
                    00000013\n";
        for text in [KEEPALIVE, spaced, xxd] {
            assert_eq!(json(text)[0]["type"], "KEEPALIVE", "{text}");
        }
        // The last line of `hexdump -C` is an offset alone, which nobody can tell from octets.
        let dump = dump.rsplit_once("00000013").unwrap().0;
        assert_eq!(json(dump)[0]["type"], "KEEPALIVE");
    }

    #[test]
    fn messages_are_cut_by_their_length() {
        let all = json(&format!("{KEEPALIVE}{KEEPALIVE}"));
        assert_eq!(all.len(), 2);
        assert_eq!(all[1]["at"], 19);
    }

    #[test]
    fn an_update_is_described_and_its_errors_placed() {
        // ORIGIN 9, AS_PATH 65001, NEXT_HOP 10.0.0.1, 192.0.2.0/24.
        let body = "0000 0014 400101 09 400206 0201 0000fde9 400304 0a000001 18c00002";
        let header = "ffffffffffffffffffffffffffffffff 002f 02";
        let value = &json(&format!("{header} {body}"))[0];
        assert_eq!(value["withdrawn"][0]["prefixes"][0], "192.0.2.0/24");
        assert_eq!(value["errors"][0]["attribute"], 1);
        assert_eq!(value["errors"][0]["offset"], 26);
        assert_eq!(value["errors"][0]["reaction"], "treated as withdraw");
    }

    #[test]
    fn what_is_no_hex_is_refused_with_its_line() {
        let error = decode(&mut "ff\nfg".as_bytes(), Format::Text, &mut Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "line 2: `g` is not a hexadecimal digit");
    }

    #[test]
    fn a_bad_marker_says_where_and_what_an_rfc_wants() {
        let value = &json("ff00ffffffffffffffffffffffffffffff001304")[0];
        assert_eq!(value["offset"], 1);
        assert_eq!(value["reaction"], "session reset 1/1");
    }
}
