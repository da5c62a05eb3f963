//! The operator CLI of Wayfare.

mod decode;

use std::io::Write;

fn main() -> std::io::Result<()> {
    let name = std::env::args().nth(3).unwrap_or_default();
    let mut input = decode::source::open(&name)?;
    let mut out = std::io::BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    decode::mrt::decode(
        &mut input,
        decode::Format::Bgpdump,
        &mut out,
        &mut std::io::stderr(),
    )?;
    out.flush()
}
