//! Fuzzes the body of a ROUTE-REFRESH.
//!
//! What must hold is in `proto_codec_fuzz::check`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proto_codec_fuzz::check;

fuzz_target!(|data: &[u8]| check::refresh(data));
