//! Fuzzes the body of an UPDATE; the first octet picks the session it comes from.
//!
//! External, internal, two-octet, ADD-PATH and lenient sessions; see `check::context`. The body
//! is also read as a bare attribute block.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proto_codec_fuzz::check;

fuzz_target!(|data: &[u8]| {
    let Some((pick, body)) = data.split_first() else {
        return;
    };
    let ctx = check::context(*pick);
    check::update(body, &ctx);
    check::attributes(body, &ctx);
});
