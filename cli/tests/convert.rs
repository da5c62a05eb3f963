//! `wayfare convert keepalived` from the outside: every line has its verdict, and what is written
//! is good to the daemon itself.
//!
//! Our own fixtures cover each construct and hold the exact output (`UPDATE_EXPECT=1` writes it
//! anew). The files of the field lie beside the checkout; where they are absent, that test is
//! skipped by name.

use std::fmt::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What is said of a key that the daemon cannot read.
const UNREAD: &str = "chgrp wayfare";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/convert")
}

fn directory(name: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("wayfare-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&directory);
    directory
}

/// Converts `file` into `output`, run where the file is so that messages have its bare name.
fn convert(file: &Path, output: &Path, options: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wayfare"));
    command.current_dir(file.parent().expect("a directory"));
    command.args(["convert", "keepalived"]);
    command.arg(file.file_name().expect("a name"));
    command.arg("--output").arg(output).args(options);
    command.output().expect("the binary is built")
}

/// The configuration in `output`, judged by the daemon.
#[track_caller]
fn good(output: &Path) -> vrrpd::config::Loaded {
    vrrpd::config::load(&output.join("vrrpd.toml")).unwrap_or_else(|faults| panic!("{faults}"))
}

/// Lines of `text` that say something and that no verdict of `report` is about.
fn unaccounted(text: &str, report: &str, name: &str) -> Vec<String> {
    let prefix = format!("{name}:");
    let judged: Vec<(usize, usize)> = report
        .lines()
        .filter_map(|line| {
            let (place, rest) = line.strip_prefix(&prefix)?.split_once(": ")?;
            let (first, last) = place.split_once('-').unwrap_or((place, place));
            let verdict = rest.split_whitespace().next()?;
            let known = ["taken", "changed", "dropped", "refused"].contains(&verdict);
            known.then_some((first.parse().ok()?, last.parse().ok()?))
        })
        .collect();
    let says = |line: &str| {
        let bare = line.split(['#', '!']).next().unwrap_or_default();
        bare.chars()
            .any(|c| !c.is_whitespace() && c != '{' && c != '}')
    };
    let missing = |number: &usize| !judged.iter().any(|(a, b)| (a..=b).contains(&number));
    text.lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line))
        .filter(|(number, line)| says(line) && missing(number))
        .map(|(number, line)| format!("{name}:{number}: {line}"))
        .collect()
}

/// All that a conversion wrote.
fn written(output: &Path) -> String {
    let mut names: Vec<PathBuf> = std::fs::read_dir(output)
        .expect("it is there")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    names.sort();
    let mut text = String::new();
    for path in names {
        let mode = std::fs::metadata(&path)
            .expect("a file")
            .permissions()
            .mode()
            & 0o777;
        // The daemon's group is on some hosts: a test of its own looks at that.
        let mode = match mode {
            0o600 | 0o640 => "secret".to_owned(),
            mode => format!("{mode:o}"),
        };
        let name = path.file_name().expect("a name").display().to_string();
        let content = std::fs::read_to_string(&path).expect("text");
        let _ = write!(text, "=== {name} {mode}\n{content}");
    }
    text
}

#[test]
fn each_construct_becomes_what_is_expected() {
    for (name, options, code) in [
        ("control-plane", &["--explain"][..], 0),
        ("firewall", &[], 65),
        ("modern", &[], 65),
        ("macros", &["--id", "high"], 65),
        ("strict", &[], 65),
        ("tracking", &[], 65),
        ("synced", &[], 65),
        ("broken", &[], 65),
    ] {
        let file = fixtures().join(format!("{name}.conf"));
        let output = directory(name);
        let ran = convert(&file, &output, options);
        let report = String::from_utf8(ran.stderr).expect("text");
        assert_eq!(ran.status.code(), Some(code), "{name}: {report}");
        let text = std::fs::read_to_string(&file).expect("a fixture");
        let lost = unaccounted(&text, &report, &format!("{name}.conf"));
        assert!(lost.is_empty(), "without a verdict: {lost:#?}");
        good(&output);
        let lines = report.lines().filter(|line| !line.contains(UNREAD));
        let report: String = lines.map(|line| format!("{line}\n")).collect();
        let found = format!("{report}{}", written(&output));
        let expected = fixtures().join(format!("{name}.expected"));
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&expected, &found).expect("writable");
        }
        let wanted = std::fs::read_to_string(&expected).expect("UPDATE_EXPECT=1 writes it");
        assert_eq!(found, wanted, "{name}");
        std::fs::remove_dir_all(&output).expect("ours");
    }
}

/// Several routers: a directory each, and their weights are compared.
#[test]
fn routers_of_a_group_are_compared() {
    let output = directory("routers");
    std::fs::create_dir_all(&output).expect("writable");
    let config = |priority: u8, weight: i8| {
        format!(
            "vrrp_script up {{\n script /bin/up\n weight {weight}\n}}\nvrrp_instance A {{\n \
             virtual_router_id 7\n interface eth0\n priority {priority}\n virtual_ipaddress {{\n \
             10.0.0.7\n }}\n track_script {{\n up\n }}\n}}\n"
        )
    };
    std::fs::write(output.join("a.conf"), config(120, -10)).expect("writable");
    std::fs::write(output.join("b.conf"), config(100, -10)).expect("writable");
    let run = |extra: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wayfare"));
        command
            .current_dir(&output)
            .args(["convert", "keepalived", "a.conf", "b.conf"]);
        command.args(extra).output().expect("the binary is built")
    };
    assert_eq!(
        run(&[]).status.code(),
        Some(2),
        "several files on one output"
    );
    let ran = run(&["--output=out"]);
    assert_eq!(ran.status.code(), Some(0));
    let report = String::from_utf8(ran.stderr).expect("text");
    let weak = "110 is left of 120 when it fails, still more than the 100 of the others";
    assert!(report.contains(weak), "{report}");
    for name in ["a", "b"] {
        assert_eq!(
            good(&output.join("out").join(name)).config.instances.len(),
            1
        );
    }
    std::fs::remove_dir_all(&output).expect("ours");
}

/// A password or key, in a line of its own or wherever people put it.
#[test]
fn no_password_is_told() {
    let file = fixtures().join("secrets.conf");
    let output = directory("secrets");
    let ran = convert(&file, &output, &[]);
    let bare = Command::new(env!("CARGO_BIN_EXE_wayfare"))
        .args(["convert", "keepalived"])
        .arg(&file)
        .output()
        .expect("the binary is built");
    for text in [ran.stdout, ran.stderr, bare.stdout, bare.stderr] {
        let text = String::from_utf8(text).expect("text");
        let told: Vec<&str> = text.lines().filter(|it| it.contains("geheim")).collect();
        assert!(told.is_empty(), "{told:#?}");
    }
    let key = |name: &str| std::fs::read_to_string(output.join(name)).expect("a key");
    assert_eq!(key("A.key"), "geheim01\n");
    assert_eq!(key("C.key"), "1 geheim03geheim03geheim03geheim03\n");
    std::fs::remove_dir_all(&output).expect("ours");
}

/// The daemon is no root: its unit has a user, and the key that user's group.
#[test]
fn a_key_is_for_the_daemon_or_it_is_said() {
    let output = directory("key-access");
    let ran = convert(&fixtures().join("control-plane.conf"), &output, &[]);
    let report = String::from_utf8(ran.stderr).expect("text");
    let key = std::fs::metadata(output.join("control-plane.key")).expect("a key");
    match key.permissions().mode() & 0o777 {
        0o640 => {
            let groups = std::fs::read_to_string("/etc/group").expect("a file");
            let own = |line: &&str| line.starts_with("wayfare:");
            let line = groups.lines().find(own).expect("the group");
            assert_eq!(line.split(':').nth(2), Some(&*key.gid().to_string()));
            assert!(!report.contains(UNREAD), "{report}");
        }
        0o600 => assert!(report.contains(UNREAD), "{report}"),
        mode => panic!("mode {mode:o}"),
    }
    std::fs::remove_dir_all(&output).expect("ours");
}

/// keepalived sends the first eight octets, whatever they are.
#[test]
fn a_password_is_octets() {
    let output = directory("octets");
    std::fs::create_dir_all(&output).expect("writable");
    let config = |pass: &[u8]| {
        let head = "vrrp_instance A {\n virtual_router_id 7\n interface eth0\n authentication {\n \
                    auth_type PASS\n auth_pass ";
        let tail = "\n }\n virtual_ipaddress {\n 10.0.0.7\n }\n}\n";
        [head.as_bytes(), pass, tail.as_bytes()].concat()
    };
    let file = output.join("a.conf");
    let word = "aäöüß".as_bytes();
    std::fs::write(&file, config(word)).expect("writable");
    let ran = convert(&file, &output.join("cut"), &[]);
    assert_eq!(ran.status.code(), Some(0));
    let key = std::fs::read(output.join("cut/A.key")).expect("a key");
    assert_eq!(key, [&word[..8], b"\n"].concat());
    good(&output.join("cut"));

    std::fs::write(&file, config(b"caf\xe9")).expect("writable");
    let ran = convert(&file, &output.join("latin"), &[]);
    assert_eq!(ran.status.code(), Some(65));
    let report = String::from_utf8(ran.stderr).expect("text");
    assert!(report.contains("not text in UTF-8"), "{report}");
    std::fs::remove_dir_all(&output).expect("ours");
}

/// Somebody may have edited what was converted yesterday.
#[test]
fn what_is_there_is_replaced_only_when_asked() {
    let output = directory("standing");
    let file = fixtures().join("control-plane.conf");
    assert_eq!(convert(&file, &output, &[]).status.code(), Some(0));
    let converted = written(&output);
    for name in ["vrrpd.toml", "control-plane.key"] {
        let edited = output.join(name);
        let before = std::fs::read_to_string(&edited).expect("text");
        std::fs::write(&edited, "mine").expect("writable");
        let ran = convert(&file, &output, &[]);
        assert_eq!(ran.status.code(), Some(1));
        let text = String::from_utf8(ran.stderr).expect("text");
        assert!(text.contains("is there already"), "{text}");
        assert_eq!(std::fs::read_to_string(&edited).expect("text"), "mine");
        std::fs::write(&edited, before).expect("writable");
    }
    let key = output.join("control-plane.key");
    std::fs::remove_file(output.join("vrrpd.toml")).expect("ours");
    std::fs::write(&key, "mine").expect("writable");
    let ran = convert(&file, &output, &[]);
    assert_eq!(ran.status.code(), Some(1), "a key alone is kept too");
    assert!(!output.join("vrrpd.toml").exists());
    let ran = convert(&file, &output, &["--force"]);
    assert_eq!(ran.status.code(), Some(0));
    assert_eq!(written(&output), converted);
    std::fs::remove_dir_all(&output).expect("ours");
}

#[test]
fn other_formats_and_missing_files_are_refused_plainly() {
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wayfare"));
        let ran = command
            .arg("convert")
            .args(words)
            .output()
            .expect("it is built");
        (
            ran.status.code(),
            String::from_utf8(ran.stderr).expect("text"),
        )
    };
    let (code, text) = run(&["keepalived", "/nowhere/keepalived.conf"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("/nowhere/keepalived.conf"), "{text}");
    for format in ["frr", "bird"] {
        let (code, text) = run(&[format, "x"]);
        assert_eq!(code, Some(2));
        assert!(text.contains("not converted in this version"), "{text}");
    }
}

/// Test 13 of the design: the files of the field.
#[test]
fn every_known_file_is_converted_or_its_lines_named() {
    let shared = std::env::var_os("WAYFARE_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    let mut files = Vec::new();
    collect(&shared.join("data/keepalived"), &mut files);
    files.retain(|path| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.contains("vrrp_instance")
    });
    files.sort();
    if files.is_empty() {
        eprintln!("SKIPPED every_known_file_is_converted_or_its_lines_named: no shared data");
        return;
    }
    for (at, file) in files.iter().enumerate() {
        let output = directory(&format!("known-{at}"));
        let name = file.file_name().expect("a name").display().to_string();
        let ran = convert(file, &output, &[]);
        let report = String::from_utf8(ran.stderr).expect("text");
        let code = ran.status.code();
        assert!(
            [Some(0), Some(65)].contains(&code),
            "{name}: {code:?} {report}"
        );
        assert_eq!(code == Some(65), report.contains(": refused "), "{name}");
        let text = std::fs::read_to_string(file).expect("a file");
        let lost = unaccounted(&text, &report, &name);
        assert!(lost.is_empty(), "without a verdict: {lost:#?}");
        let instances = good(&output).config.instances.len();
        let sums = report.lines().last().unwrap_or_default();
        eprintln!("CONVERTED {instances} instances, {sums}");
        std::fs::remove_dir_all(&output).expect("ours");
    }
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => collect(&path, files),
            false => files.push(path),
        }
    }
}
