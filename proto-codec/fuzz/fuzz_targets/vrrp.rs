//! Fuzzes a VRRP advert; the first octet picks the address family.
//!
//! What must hold is in `proto_codec_fuzz::vrrp`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proto_codec_fuzz::vrrp;

fuzz_target!(|data: &[u8]| vrrp::advert(data));
