//! The fuzz corpus, replayed: what long fuzzing runs found worth keeping holds on every build.
//!
//! The files are the seeds of `examples/fuzz_seeds.rs` and what the fuzzers added to them; each is
//! run through the same checks as in the fuzz target it belongs to.

use std::fs;
use std::path::Path;

#[path = "../fuzz/src/check.rs"]
mod check;

fn replay(target: &str, run: impl Fn(&[u8])) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut count = 0;
    for entry in fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        run(&fs::read(&path).unwrap());
        count += 1;
    }
    assert!(count > 0, "no corpus in {}", dir.display());
}

#[test]
fn the_corpus_of_every_target_holds() {
    replay("open", check::open);
    replay("capability", check::capabilities);
    replay("notification", check::notification);
    replay("refresh", check::refresh);
    replay("framer", check::stream);
    replay("update", |data| {
        let Some((pick, body)) = data.split_first() else {
            return;
        };
        let ctx = check::context(*pick);
        check::update(body, &ctx);
        check::attributes(body, &ctx);
    });
}
