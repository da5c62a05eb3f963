//! Framing of the operator protocol: a 32-bit big-endian length, then that many bytes of JSON.
//!
//! The functions here work on byte slices only; who owns the socket reads into a buffer, asks
//! [`split`] whether a whole frame is there, and gives the body to [`decode`]. A frame longer than
//! [`FRAME_LEN_MAX`] is refused before a byte of it is buffered, so neither side can make the
//! other allocate without bound. JSON was chosen over a binary form because a support engineer
//! can read it in `strace` and the cost is paid only while somebody looks.

use serde::{Serialize, de::DeserializeOwned};

/// Octets of the length field before each frame.
pub const LENGTH_LEN: usize = 4;

/// Longest body of a frame: 1 MiB. The largest row is one prefix with all of its paths; 1 MiB holds
/// over 2,000 paths with every attribute. A longer row is sent as several rows of the same prefix.
pub const FRAME_LEN_MAX: usize = 1 << 20;

/// Why a frame cannot be read or written. The connection is closed after any of these.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The length field names more than [`FRAME_LEN_MAX`] octets.
    #[error("frame of {0} octets, at most {FRAME_LEN_MAX} expected")]
    TooLong(usize),
    /// The body is not the JSON of the expected type.
    #[error("frame is not what the protocol expects here: {0}")]
    Json(#[from] serde_json::Error),
}

/// Appends `value` to `out` as one frame.
///
/// # Errors
/// [`FrameError::TooLong`] when the body exceeds [`FRAME_LEN_MAX`]; `out` is then as before.
pub fn encode<T: Serialize>(value: &T, out: &mut Vec<u8>) -> Result<(), FrameError> {
    let start = out.len();
    out.extend_from_slice(&[0; LENGTH_LEN]);
    if let Err(error) = serde_json::to_writer(&mut *out, value) {
        out.truncate(start);
        return Err(error.into());
    }
    let len = out.len() - start - LENGTH_LEN;
    if len > FRAME_LEN_MAX {
        out.truncate(start);
        return Err(FrameError::TooLong(len));
    }
    let prefix = u32::try_from(len)
        .map_err(|_| FrameError::TooLong(len))?
        .to_be_bytes();
    if let Some(field) = out.get_mut(start..start + LENGTH_LEN) {
        field.copy_from_slice(&prefix);
    }
    Ok(())
}

/// Splits one frame off the front of `buffer`: its body and the octets it takes with its length
/// field, or `None` while the frame is still incomplete.
///
/// # Errors
/// [`FrameError::TooLong`] as soon as the length field is there and too large.
pub fn split(buffer: &[u8]) -> Result<Option<(&[u8], usize)>, FrameError> {
    let Some((field, rest)) = buffer.split_first_chunk::<LENGTH_LEN>() else {
        return Ok(None);
    };
    let len = usize::try_from(u32::from_be_bytes(*field)).unwrap_or(usize::MAX);
    if len > FRAME_LEN_MAX {
        return Err(FrameError::TooLong(len));
    }
    Ok(rest.get(..len).map(|body| (body, LENGTH_LEN + len)))
}

/// Reads the JSON body of a frame.
///
/// # Errors
/// [`FrameError::Json`] says where the body differs from the expected type.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, FrameError> {
    Ok(serde_json::from_slice(body)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Hello, Request};

    #[test]
    fn a_frame_comes_back_and_leaves_the_next_one() {
        let mut wire = Vec::new();
        encode(&Request::ShowVersion, &mut wire).unwrap();
        let first = wire.len();
        encode(&Hello::new("bgpd", "0.1.0"), &mut wire).unwrap();
        let (body, used) = split(&wire).unwrap().unwrap();
        assert_eq!(used, first);
        assert_eq!(decode::<Request>(body).unwrap(), Request::ShowVersion);
    }

    #[test]
    fn a_truncated_frame_is_incomplete_at_every_length() {
        let mut wire = Vec::new();
        encode(&Hello::new("bgpd", "0.1.0"), &mut wire).unwrap();
        for len in 0..wire.len() {
            assert!(split(&wire[..len]).unwrap().is_none(), "at {len}");
        }
    }

    #[test]
    fn an_oversized_length_is_refused_before_the_body() {
        assert!(matches!(split(&[0xff; 4]), Err(FrameError::TooLong(_))));
        let mut wire = vec![1, 2];
        assert!(encode(&"x".repeat(FRAME_LEN_MAX), &mut wire).is_err());
        assert_eq!(wire, [1, 2]);
    }
}
