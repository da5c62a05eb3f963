//! Fuzzes the records of an archive.
//!
//! What must hold is in `proto_codec_fuzz::files`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proto_codec_fuzz::files;

fuzz_target!(|data: &[u8]| files::archive(data));
