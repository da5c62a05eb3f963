//! Opening what is to be decoded: a file or standard input, compressed or not.
//!
//! Compression is told from the first octets, not from the name, because archives get renamed.
//! gzip (also several members in a row, as collectors append them) and bzip2 are read as a stream
//! in constant memory. xz is refused with the command that helps: nothing in the suite needs it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use bzip2::read::MultiBzDecoder;
use flate2::read::MultiGzDecoder;

/// Octets read from the file at a time.
const BUFFER_LEN: usize = 256 * 1024;

/// Opens `name`, `-` being standard input, and undoes compression.
///
/// # Errors
/// The file cannot be opened or read, or is compressed in a way that is not read.
pub fn open(name: &str) -> io::Result<Box<dyn BufRead>> {
    let raw: Box<dyn Read> = if name == "-" {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(name)?)
    };
    let mut reader = BufReader::with_capacity(BUFFER_LEN, raw);
    let start = reader.fill_buf()?;
    let buffered = |inner: Box<dyn Read>| -> Box<dyn BufRead> {
        Box::new(BufReader::with_capacity(BUFFER_LEN, inner))
    };
    if start.starts_with(&[0x1f, 0x8b]) {
        Ok(buffered(Box::new(MultiGzDecoder::new(reader))))
    } else if start.starts_with(b"BZh") {
        Ok(buffered(Box::new(MultiBzDecoder::new(reader))))
    } else if start.starts_with(&[0xfd, b'7', b'z', b'X', b'Z']) {
        let text = format!("xz is not read here; use `xz -dc {name} | wayfare decode … -`");
        Err(io::Error::new(io::ErrorKind::InvalidInput, text))
    } else {
        Ok(Box::new(reader))
    }
}

/// Reads until `buffer` is full or the input ends: how many octets there were.
///
/// # Errors
/// As the input's.
pub fn read_full(reader: &mut dyn BufRead, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(len) => filled += len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
