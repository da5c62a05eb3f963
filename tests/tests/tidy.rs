//! The house rules that a program can check, checked.
//!
//! Each test walks the tracked Rust sources (or manifests) and collects every breach before it
//! fails, so that one run shows all of them. What is checked here is not repeated in review:
//! size of files and functions, line width, module essays, names, bare gap marks, the arrows
//! between crates, and what the sans-IO core may not touch (clock, sockets, runtime, panics).
//!
//! What clippy checks better (unwrap, indexing, narrowing casts) is checked by clippy; here we
//! only make sure that the crates and modules that read network input switch those lints on.

#[path = "tidy/source.rs"]
mod source;

use source::{Source, fail_with, manifest, sources};

/// Lines of one file, its tests included.
const FILE_LINES_MAX: usize = 500;
/// Lines of one function, from `fn` to its closing brace.
const FUNCTION_LINES_MAX: usize = 70;
/// Columns of one line.
const COLUMNS_MAX: usize = 100;
/// A module essay says what it owns, promises and refuses.
const ESSAY_LINES_MIN: usize = 3;

/// Crate, and the crates of ours that it may depend on (outside dev-dependencies).
const ARROWS: &[(&str, &[&str])] = &[
    ("proto-codec", &[]),
    ("rib", &["proto-codec"]),
    ("cli/ctl", &["proto-codec"]),
    ("cli", &["proto-codec", "ctl", "rib", "cluster"]),
    ("bgpd/cluster", &["rib"]),
    ("bgpd", &["proto-codec", "ctl", "rib", "cluster"]),
    ("vrrpd", &["proto-codec", "ctl", "rib"]),
    ("interop", &["proto-codec", "ctl"]),
];
const OURS: &[&str] = &[
    "proto-codec",
    "rib",
    "ctl",
    "cli",
    "bgpd",
    "cluster",
    "vrrpd",
    "interop",
    "wayfare-tests",
];

/// Where time, sockets and the runtime are passed in and never fetched.
const CORE: &[&str] = &[
    "proto-codec/src/",
    "rib/src/",
    "bgpd/src/session/",
    "bgpd/src/speaker/",
    "bgpd/src/ingress/",
    "bgpd/src/origin/",
    "bgpd/cluster/src/",
    "vrrpd/src/router/",
    "vrrpd/src/node/",
];
const CORE_EXEMPT: &[&str] = &["rib/src/netlink/"];
const CORE_BANNED: &[&str] = &[
    "Instant::now",
    "SystemTime::now",
    "tokio::",
    "socket2::",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "std::fs::",
    "thread::sleep",
];

/// Where nothing is shared between threads but what cannot change, and mail.
const UNSHARED: &[&str] = &[
    "proto-codec/src/",
    "rib/src/",
    "bgpd/src/session/",
    "bgpd/src/speaker/",
    "bgpd/src/engine/",
    "bgpd/src/origin/",
    "bgpd/cluster/src/",
];
/// A policy counts hits; each thread has a copy of its own.
const UNSHARED_EXEMPT: &[&str] = &["rib/src/policy/"];
const UNSHARED_BANNED: &[&str] = &["Mutex", "RwLock", "Condvar", "Atomic", "static mut"];

/// Files at whose top the lints against panics on network input are switched on.
const HARDENED: &[&str] = &[
    "proto-codec/src/lib.rs",
    "rib/src/lib.rs",
    "bgpd/src/session/mod.rs",
    "bgpd/cluster/src/lib.rs",
    "vrrpd/src/router/mod.rs",
];
const HARDENED_LINTS: &[&str] = &[
    "clippy::unwrap_used",
    "clippy::expect_used",
    "clippy::panic",
    "clippy::indexing_slicing",
    "clippy::cast_possible_truncation",
];

#[test]
fn files_hold_in_the_head() {
    fail_with("files too long", |out| {
        for file in sources() {
            let lines = file.text.lines().count();
            if lines > FILE_LINES_MAX {
                out.push(format!(
                    "{}: {lines} lines, at most {FILE_LINES_MAX}",
                    file.path
                ));
            }
        }
    });
}

#[test]
fn functions_hold_in_the_head() {
    fail_with("functions too long", |out| {
        for file in sources() {
            for function in file.functions() {
                if function.lines > FUNCTION_LINES_MAX {
                    out.push(format!(
                        "{}:{}: fn {} has {} lines, at most {FUNCTION_LINES_MAX}",
                        file.path, function.first_line, function.name, function.lines
                    ));
                }
            }
        }
    });
}

#[test]
fn lines_fit_the_screen() {
    fail_with("lines too wide", |out| {
        for file in sources() {
            for (number, line) in file.numbered() {
                // A string that cannot be broken (a wire dump, a sample) may be longer.
                let literal = line.trim_start().starts_with('"') || line.contains("r#\"");
                if line.chars().count() > COLUMNS_MAX && !literal {
                    out.push(format!("{}:{number}: wider than {COLUMNS_MAX}", file.path));
                }
            }
        }
    });
}

#[test]
fn modules_start_with_an_essay() {
    fail_with("modules without an essay", |out| {
        for file in sources() {
            let essay = file
                .text
                .lines()
                .skip_while(|line| line.starts_with("#!") || line.trim().is_empty())
                .take_while(|line| line.starts_with("//!"))
                .count();
            // A test file says in one line what it tests.
            let least = if file.is_test() { 1 } else { ESSAY_LINES_MIN };
            if essay < least {
                out.push(format!("{}: essay of {essay} lines", file.path));
            }
        }
    });
}

#[test]
fn names_say_what_is_inside() {
    let banned = [
        "utils", "util", "helpers", "helper", "common", "misc", "manager",
    ];
    fail_with("names that say nothing", |out| {
        for file in sources() {
            let stem = file
                .path
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .trim_end_matches(".rs");
            if stem.split('_').any(|word| banned.contains(&word)) {
                out.push(file.path.clone());
            }
        }
    });
}

#[test]
fn gaps_cite_their_requirement() {
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X:"),
    ];
    fail_with("gaps without a requirement", |out| {
        for file in sources() {
            for (number, line) in file.numbered() {
                let Some(mark) = marks.iter().find(|mark| line.contains(**mark)) else {
                    continue;
                };
                if !line.contains(&format!("{mark}(rfc")) {
                    out.push(format!("{}:{number}: {}", file.path, line.trim()));
                }
            }
        }
    });
}

#[test]
fn tests_neither_sleep_nor_hide() {
    let ignore = concat!("#[ig", "nore");
    fail_with("tests that are ignored or sleep", |out| {
        for file in sources() {
            let in_tests = file.path.contains("/tests/") && !file.path.starts_with("interop/");
            for (number, line) in file.numbered() {
                let sleeps = in_tests && line.contains(concat!("thread::", "sleep("));
                if line.contains(ignore) || sleeps {
                    out.push(format!("{}:{number}: {}", file.path, line.trim()));
                }
            }
        }
    });
}

#[test]
fn arrows_between_crates_point_down() {
    fail_with("forbidden arrows", |out| {
        for (name, allowed) in ARROWS {
            let manifest = manifest(name);
            for section in ["dependencies", "build-dependencies"] {
                let Some(table) = manifest.get(section).and_then(|t| t.as_table()) else {
                    continue;
                };
                for ours in table.keys().filter(|key| OURS.contains(&key.as_str())) {
                    if !allowed.contains(&ours.as_str()) {
                        out.push(format!("{name} → {ours} ({section})"));
                    }
                }
            }
        }
    });
}

#[test]
fn core_is_sans_io() {
    fail_with("clock, sockets or runtime in the core", |out| {
        for file in sources() {
            let core = CORE.iter().any(|dir| file.path.starts_with(dir));
            let exempt = CORE_EXEMPT.iter().any(|dir| file.path.starts_with(dir));
            if !core || exempt || file.is_test() {
                continue;
            }
            for (number, line) in file.production_lines() {
                if let Some(word) = CORE_BANNED.iter().find(|word| line.contains(**word)) {
                    out.push(format!("{}:{number}: {word}", file.path));
                }
            }
        }
    });
}

#[test]
fn threads_share_nothing_but_mail() {
    fail_with("locks and shared counters in the core", |out| {
        for file in sources() {
            let core = UNSHARED.iter().any(|dir| file.path.starts_with(dir));
            let exempt = UNSHARED_EXEMPT.iter().any(|dir| file.path.starts_with(dir));
            if !core || exempt || file.is_test() {
                continue;
            }
            for (number, line) in file.production_lines() {
                let code = line.split("//").next().unwrap_or_default();
                if let Some(word) = UNSHARED_BANNED.iter().find(|word| code.contains(**word)) {
                    out.push(format!("{}:{number}: {word}", file.path));
                }
            }
        }
    });
}

#[test]
fn network_input_cannot_panic() {
    fail_with("hardening lints missing", |out| {
        let all: Vec<Source> = sources();
        for path in HARDENED {
            let Some(file) = all.iter().find(|file| file.path == *path) else {
                out.push(format!("{path}: missing"));
                continue;
            };
            for lint in HARDENED_LINTS {
                if !file.text.contains(lint) {
                    out.push(format!("{path}: does not deny {lint}"));
                }
            }
        }
    });
}

#[test]
fn hardening_is_not_switched_off() {
    let lints = [
        "unwrap_used",
        "expect_used",
        "indexing_slicing",
        "cast_possible_truncation",
    ];
    fail_with("hardening lints switched off", |out| {
        for file in sources() {
            let core = CORE.iter().any(|dir| file.path.starts_with(dir)) && !file.is_test();
            let exempt = CORE_EXEMPT.iter().any(|dir| file.path.starts_with(dir));
            if !core || exempt {
                continue;
            }
            for (number, line) in file.production_lines() {
                if line.contains("allow(") && lints.iter().any(|lint| line.contains(lint)) {
                    out.push(format!("{}:{number}: {}", file.path, line.trim()));
                }
            }
        }
    });
}

#[test]
fn unsafe_has_one_room_per_crate() {
    let rooms = [
        "bgpd/src/io/sockopt.rs",
        "vrrpd/src/io/sockopt.rs",
        "rib/src/netlink/",
    ];
    fail_with("unsafe outside its room", |out| {
        for file in sources() {
            if rooms.iter().any(|room| file.path.starts_with(room)) || file.is_test() {
                continue;
            }
            for (number, line) in file.production_lines() {
                let code = line.split("//").next().unwrap_or_default();
                if code.contains("unsafe {") || code.contains("allow(unsafe_code)") {
                    out.push(format!("{}:{number}: {}", file.path, line.trim()));
                }
            }
        }
    });
}
