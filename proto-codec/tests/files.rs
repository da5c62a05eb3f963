//! Any octets of an archive, a capture or a control connection, and the kept corpus of each.
//!
//! The checks are those of the fuzz targets.

#[path = "../fuzz/src/files.rs"]
mod files;

use proptest::prelude::*;

/// One target's checks over one file.
type Check = fn(&[u8]);

proptest! {
    #[test]
    fn any_archive_is_read_or_refused(data in proptest::collection::vec(any::<u8>(), 0..600)) {
        files::archive(&data);
    }

    #[test]
    fn any_capture_is_read_or_refused(data in proptest::collection::vec(any::<u8>(), 0..600)) {
        files::capture(&data);
        // Behind a believable header, so that packets are reached.
        let header = [0xa1, 0xb2, 0xc3, 0xd4, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0];
        let rest = [0, 0, 0xff, 0xff, 0, 0, 0, 101];
        files::capture(&[&header[..], &rest, &data].concat());
    }

    #[test]
    fn any_control_frame_is_read_or_refused(body in "\\PC{0,200}") {
        let len = u32::try_from(body.len()).unwrap().to_be_bytes();
        files::control(&[&len[..], body.as_bytes()].concat());
    }
}

#[test]
fn the_corpus_still_passes() {
    let checks: [(&str, Check); 3] = [
        ("archive", files::archive),
        ("capture", files::capture),
        ("control", files::control),
    ];
    for (target, check) in checks {
        let dir = format!("{}/fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
        let mut seeds = 0;
        for entry in std::fs::read_dir(&dir).unwrap() {
            check(&std::fs::read(entry.unwrap().path()).unwrap());
            seeds += 1;
        }
        assert!(seeds > 0, "{dir} is empty");
    }
}
