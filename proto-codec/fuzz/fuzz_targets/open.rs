//! Fuzzes the body of an OPEN, parameters and capabilities included.
//!
//! What must hold is in `proto_codec_fuzz::check`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proto_codec_fuzz::check;

fuzz_target!(|data: &[u8]| check::open(data));
