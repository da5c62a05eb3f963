//! `wayfare decode mrt --format bgpdump` against the `bgpdump` tool itself, octet for octet: on
//! records built here, and on every archive of the real data where that is present.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Runs `bgpdump -m`, or says why the test is skipped.
fn bgpdump(test: &str, file: &Path) -> Option<Output> {
    match Command::new("bgpdump")
        .args(["-q", "-m"])
        .arg(file)
        .output()
    {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("SKIPPED {test}: bgpdump cannot be run: {error}");
            None
        }
    }
}

fn ours(file: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wayfare"))
        .args(["decode", "mrt", "--format", "bgpdump"])
        .arg(file)
        .output()
        .unwrap()
}

fn shared(test: &str, part: &str) -> Option<PathBuf> {
    let root = std::env::var_os("WAYFARE_SHARED").map(PathBuf::from);
    let root = root.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"));
    let path = root.join("data").join(part);
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("SKIPPED {test}: {} is not there", path.display());
    None
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.push(path);
        }
    }
    all.sort();
    all
}

fn assert_equal(test: &str, file: &Path) -> bool {
    let Some(theirs) = bgpdump(test, file) else {
        return false;
    };
    let got = ours(file);
    let (theirs, got) = (theirs.stdout, got.stdout);
    if theirs != got {
        let (theirs, got) = (
            String::from_utf8_lossy(&theirs),
            String::from_utf8_lossy(&got),
        );
        let differing = theirs
            .lines()
            .zip(got.lines())
            .find(|(theirs, got)| theirs != got);
        let counts = (theirs.lines().count(), got.lines().count());
        panic!(
            "{}: lines {counts:?}, first difference {differing:?}",
            file.display()
        );
    }
    true
}

#[test]
fn every_real_archive_prints_what_bgpdump_prints() {
    let test = "every_real_archive_prints_what_bgpdump_prints";
    let Some(dir) = shared(test, "mrt") else {
        return;
    };
    let compared = files(&dir)
        .iter()
        .filter(|file| assert_equal(test, file))
        .count();
    println!("{compared} files compared");
}

#[test]
fn the_full_table_prints_what_bgpdump_prints() {
    let test = "the_full_table_prints_what_bgpdump_prints";
    let Some(dir) = shared(test, "full-table") else {
        return;
    };
    for file in files(&dir)
        .iter()
        .filter(|file| file.to_string_lossy().contains(".mrt"))
    {
        assert_equal(test, file);
    }
}

fn record(kind: u16, subtype: u16, body: &[u8]) -> Vec<u8> {
    let mut octets = 1_700_000_000_u32.to_be_bytes().to_vec();
    octets.extend(kind.to_be_bytes());
    octets.extend(subtype.to_be_bytes());
    octets.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
    octets.extend(body);
    octets
}

/// ORIGIN, AS_PATH with a set and a confederation, NEXT_HOP, MED, LOCAL_PREF, ATOMIC_AGGREGATE,
/// AGGREGATOR, COMMUNITIES (three well-known), MP_REACH and MP_UNREACH as given.
fn attributes(four: bool, mp: &[u8]) -> Vec<u8> {
    let asn = |number: u32| -> Vec<u8> {
        let octets = number.to_be_bytes();
        if four {
            octets.to_vec()
        } else {
            octets[2..].to_vec()
        }
    };
    let path = [
        &[2, 2][..],
        &asn(65001),
        &asn(65002),
        &[1, 2],
        &asn(7),
        &asn(8),
        &[3, 1],
        &asn(64999),
    ]
    .concat();
    let mut all = vec![0x40, 1, 1, 2, 0x40, 2, u8::try_from(path.len()).unwrap()];
    all.extend(path);
    all.extend([0x40, 3, 4, 10, 0, 0, 9, 0x80, 4, 4, 0xff, 0xff, 0xff, 0xff]);
    all.extend([0x40, 5, 4, 0, 0, 0, 100, 0x40, 6, 0]);
    let aggregator = [asn(65001), vec![10, 9, 9, 9]].concat();
    all.extend([0xc0, 7, u8::try_from(aggregator.len()).unwrap()]);
    all.extend(aggregator);
    let communities = [
        0xfde9_0064_u32,
        0xffff_ff01,
        0xffff_ff02,
        0xffff_ff03,
        0xffff_029a,
    ];
    all.extend([0xc0, 8, 20]);
    all.extend(communities.iter().flat_map(|value| value.to_be_bytes()));
    all.extend(mp);
    all
}

fn attribute(type_code: u8, value: &[u8]) -> Vec<u8> {
    let mut all = vec![0x90, type_code];
    all.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
    all.extend(value);
    all
}

fn update(four: bool, add_path: bool) -> Vec<u8> {
    let id: &[u8] = if add_path { &[0, 0, 0, 7] } else { &[] };
    let v4 = [id, &[24, 203, 0, 113][..]].concat();
    let v6 = [id, &[48, 0x20, 1, 0xd, 0xb8, 0, 1][..]].concat();
    let next_hop6 = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 9];
    let reach6 = [&[0, 2, 1, 16][..], &next_hop6, &[0], &v6].concat();
    let reach4 = [&[0, 1, 2, 4, 10, 0, 0, 8, 0][..], &v4].concat();
    let mp = [
        attribute(14, &reach6),
        attribute(15, &[&[0, 2, 1][..], &v6].concat()),
        attribute(15, &[&[0, 1, 1][..], &v4].concat()),
        attribute(14, &reach4),
        attribute(32, &[0; 12]),
        attribute(99, &[1, 2]),
    ]
    .concat();
    let attributes = attributes(four, &mp);
    let mut body = u16::try_from(v4.len()).unwrap().to_be_bytes().to_vec();
    body.extend(&v4);
    body.extend(u16::try_from(attributes.len()).unwrap().to_be_bytes());
    body.extend(attributes);
    body.extend([id, &[12, 172, 31][..]].concat());
    body
}

/// A BGP4MP record body: session, then the message of type `kind`.
fn session(four: bool, v6: bool, kind: u8, message: &[u8]) -> Vec<u8> {
    let asn = |number: u16| {
        if four {
            u32::from(number).to_be_bytes().to_vec()
        } else {
            number.to_be_bytes().to_vec()
        }
    };
    let mut body = [
        asn(65001),
        asn(65002),
        vec![0, 0, 0, if v6 { 2 } else { 1 }],
    ]
    .concat();
    if v6 {
        body.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        body.extend([0; 12]);
        body.extend([10, 1, 2, 3]);
    } else {
        body.extend([10, 0, 0, 1, 10, 0, 0, 2]);
    }
    body.extend([0xff; 16]);
    body.extend(u16::try_from(message.len() + 19).unwrap().to_be_bytes());
    body.push(kind);
    body.extend(message);
    body
}

fn table_dump(v6: bool, four: bool) -> Vec<u8> {
    let mut body = vec![0, 0, 0, 1];
    let address = |octet: u8| if v6 { vec![octet; 16] } else { vec![octet; 4] };
    body.extend(address(0x20));
    body.extend([24, 1, 0, 0, 0, 9]);
    body.extend(address(0x21));
    body.extend(if four {
        vec![0, 1, 0, 1]
    } else {
        vec![0xfd, 0xe9]
    });
    let next_hop = [&[16][..], &[0x22; 16]].concat();
    let mp = if v6 {
        attribute(14, &next_hop)
    } else {
        Vec::new()
    };
    let attributes = attributes(four, &mp);
    body.extend(u16::try_from(attributes.len()).unwrap().to_be_bytes());
    body.extend(attributes);
    body
}

fn peers() -> Vec<u8> {
    let mut body = vec![10, 0, 0, 9, 0, 0, 0, 2];
    body.extend([2, 1, 1, 1, 1, 10, 0, 0, 1, 0, 1, 0, 1]);
    body.extend([1, 2, 2, 2, 2]);
    body.extend([0x20, 1, 0xd, 0xb8, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    body.extend([0xfd, 0xe9]);
    body
}

fn rib(prefix: &[u8], add_path: bool, mp: &[u8]) -> Vec<u8> {
    let mut body = vec![0, 0, 0, 1];
    body.extend(prefix);
    body.extend([0, 2]);
    for peer in 0..2 {
        body.extend([0, peer, 0, 0, 0, 5]);
        if add_path {
            body.extend([0, 0, 0, 3]);
        }
        let attributes = attributes(true, mp);
        body.extend(u16::try_from(attributes.len()).unwrap().to_be_bytes());
        body.extend(attributes);
    }
    body
}

/// Every record form, in both families and both widths.
fn archive() -> Vec<u8> {
    let mut all = Vec::new();
    for v6 in [false, true] {
        for (subtype, four, add_path) in [
            (1, false, false),
            (4, true, false),
            (6, false, false),
            (7, true, false),
        ]
        .into_iter()
        .chain([
            (8, false, true),
            (9, true, true),
            (10, false, true),
            (11, true, true),
        ]) {
            let body = session(four, v6, 2, &update(four, add_path));
            all.extend(record(16, subtype, &body));
            let extended = [&[0, 0, 0x30, 0x39][..], &body].concat();
            all.extend(record(17, subtype, &extended));
        }
        all.extend(record(16, 1, &session(false, v6, 4, &[])));
        let mut state = session(true, v6, 4, &[]);
        state.truncate(if v6 { 44 } else { 20 });
        state.extend([0, 3, 0, 6]);
        all.extend(record(16, 5, &state));
        all.extend(record(17, 5, &[&[0, 0, 0, 1][..], &state].concat()));
    }
    for (subtype, v6, four) in [(1, false, false), (2, true, false), (3, false, true)] {
        all.extend(record(12, subtype, &table_dump(v6, four)));
    }
    all.extend(record(13, 1, &peers()));
    let short = attribute(14, &[&[16][..], &[0x22; 16]].concat());
    for (subtype, add_path) in [(2, false), (8, true)] {
        all.extend(record(13, subtype, &rib(&[20, 10, 1, 0x20], add_path, &[])));
    }
    for (subtype, add_path) in [(4, false), (10, true)] {
        all.extend(record(
            13,
            subtype,
            &rib(&[32, 0x20, 1, 0xd, 0xb8], add_path, &short),
        ));
    }
    let legacy = [
        &[0xfd, 0xe9, 10, 0, 0, 1, 0xfd, 0xea, 10, 0, 0, 2][..],
        &update(false, false),
    ];
    all.extend(record(5, 1, &legacy.concat()));
    all.extend(record(5, 3, &[0xfd, 0xe9, 10, 0, 0, 1, 0, 1, 0, 2]));
    all.extend(record(99, 0, &[1]));
    all.extend([0, 0, 0, 1, 0, 16, 0, 1, 0, 0, 0, 50, 1, 2]);
    all
}

#[test]
fn every_record_form_prints_what_bgpdump_prints() {
    let dir = std::env::temp_dir().join(format!("wayfare-bgpdump-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("archive.mrt");
    std::fs::write(&file, archive()).unwrap();
    let output = ours(&file);
    let text = String::from_utf8(output.stdout).unwrap();
    // Without the tool, at least the number of lines and one line of each form must be there.
    assert_eq!(
        text.lines().count(),
        2 * 8 * 2 * 6 + 4 + 3 + 8 + 2 + 1,
        "{text}"
    );
    for line in [
        "BGP4MP|1700000000|W|10.0.0.1|65001|203.0.113.0/24",
        "BGP4MP_ET_AP|1700000000.012345|W|10.0.0.1|65001|203.0.113.0/24|7",
        "BGP4MP|1700000000|STATE|10.0.0.1|65001|3|6",
        "BGP|1700000000|STATE|10.0.0.1|65001|1|2",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    assert_equal("every_record_form_prints_what_bgpdump_prints", &file);
    std::fs::remove_dir_all(dir).unwrap();
}
