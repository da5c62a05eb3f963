//! What is found is what was written, and nothing that is not of this boot, this network and this
//! format.

use super::*;
use crate::node::Node;
use std::time::Instant;

/// A directory of its own for each test, gone with it.
struct Room(PathBuf);

impl Room {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wayfare-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory for temporary files");
        Self(path)
    }

    fn file(&self) -> EstateFile {
        let mut file = EstateFile::beside(&self.0.join("vrrpd.sock"));
        // As if it were another process.
        file.session.push('x');
        file
    }

    fn state(&self) -> PathBuf {
        self.0.join("vrrpd.state")
    }

    /// Changes what is written.
    fn edit(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.state()).expect("it was written");
        assert!(text.contains(from), "{text}");
        fs::write(self.state(), text.replacen(from, to, 1)).expect("it can be written");
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn some() -> Vec<Left> {
    let text = "[[instance]]\nname = \"a\"\ninterface = \"eth0\"\naddresses = [\"10.0.0.50\"]\n";
    let path = std::env::temp_dir().join(format!("wayfare-estate-{}.toml", std::process::id()));
    fs::write(&path, text).expect("a file");
    let loaded = crate::config::load(&path).expect("a good file");
    let mut node = Node::default();
    let now = Instant::now();
    node.apply(now, loaded.config);
    node.estate(now)
}

#[test]
fn what_was_left_is_found_once() {
    let room = Room::new("once");
    assert!(room.file().take().is_none(), "nothing was left");
    room.file().write(some(), true);
    let found = room.file().take().expect("it is there");
    assert_eq!(found.instances, some());
    assert_eq!(found.gap.silent, None, "the last act of its process");
    assert!(found.gap.written < Duration::from_secs(5));
    assert!(room.file().take().is_none(), "it is gone");
}

#[test]
fn a_killed_process_has_left_a_sign_of_life() {
    let room = Room::new("sign");
    let mut file = room.file();
    file.write(some(), false);
    file.beat();
    file.beat();
    let found = room.file().take().expect("it is there");
    let silent = found.gap.silent.expect("not its last act");
    assert!(silent <= found.gap.written);
    // The sign of another process is none.
    let (mut old, mut new) = (room.file(), room.file());
    new.session.push('y');
    old.write(some(), false);
    new.beat();
    let found = room.file().take().expect("it is there");
    assert_eq!(found.gap.silent.map(|it| it > Duration::ZERO), Some(true));
}

#[test]
fn what_is_doubtful_is_not_used() {
    let cases = [
        ("\"version\":1", "\"version\":2"),
        ("\"boot\":\"", "\"boot\":\"0"),
        ("\"namespace\":\"", "\"namespace\":\"0"),
        ("{", "["),
    ];
    for (from, to) in cases {
        let room = Room::new("doubtful");
        room.file().write(some(), true);
        room.edit(from, to);
        assert!(room.file().take().is_none(), "{to}");
        assert!(!room.state().exists(), "{to}: it is gone");
    }
    let room = Room::new("link");
    std::os::unix::fs::symlink("/dev/zero", room.state()).expect("a link");
    assert!(room.file().take().is_none(), "a link is not followed");
    room.file().write(some(), true);
    match std::os::unix::fs::chown(room.state(), Some(4242), None) {
        Ok(()) => assert!(
            room.file().take().is_none(),
            "another user's is not believed"
        ),
        Err(_) => eprintln!("SKIPPED another user's state: only root may give one away"),
    }
}
