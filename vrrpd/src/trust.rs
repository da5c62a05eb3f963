//! Whether a program is nobody else's to change.
//!
//! What the daemon starts runs with its rights, so everything that decides what will run must
//! belong to root, to the daemon's user, or to the one it runs as: the file, each directory and
//! each symbolic link on the way as it is written, and on the ways that links lead. A directory
//! that others may write is good only where nobody may replace what is another's (sticky). The
//! group of a file may be trusted by whoever wrote the mode; that is for the caller to say.
//!
//! It is judged when the configuration is read and again at each call: what is good today may be
//! replaced tomorrow, and what is missing today may come from anybody.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// Anybody may write.
const OTHERS_WRITE: u32 = 0o002;
/// Only the owner of a file may remove it from its directory.
const STICKY: u32 = 0o1000;
/// As many symbolic links as the kernel follows.
const LINKS_MAX: usize = 40;
/// Who is nobody in this user namespace, `/proc/sys/kernel/overflowuid` unless changed.
const OVERFLOW: u32 = 65534;

/// Why a program is not to be started.
#[derive(Debug)]
pub enum Distrust {
    /// It cannot be looked at.
    Absent(io::Error),
    /// Anybody may change what would run.
    Open(PathBuf),
    /// Somebody may.
    Foreign(PathBuf, u32),
}

impl fmt::Display for Distrust {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(error) => write!(out, "{error}"),
            Self::Open(path) => {
                let path = path.display();
                write!(out, "anybody may change what would run: {path}")
            }
            Self::Foreign(path, uid) => {
                let path = path.display();
                write!(out, "user {uid} may change what would run: {path}")
            }
        }
    }
}

impl std::error::Error for Distrust {}

impl Distrust {
    /// Whether the daemon may trust it where root, who asks now, does not: it is its own.
    #[must_use]
    pub fn is_of_the_unit(&self) -> bool {
        let Self::Foreign(_, uid) = self else {
            return false;
        };
        let unit = nix::unistd::User::from_name("wayfare").ok().flatten();
        nix::unistd::geteuid().is_root() && unit.is_some_and(|user| user.uid.as_raw() == *uid)
    }
}

/// Judges a program that runs as this process, or as `user`; what it is comes back.
///
/// # Errors
/// The first thing that is against it.
pub fn judge(program: &Path, user: Option<u32>) -> Result<Metadata, Distrust> {
    let own = nix::unistd::geteuid().as_raw();
    let ours =
        |uid: u32| uid == 0 || uid == own || user == Some(uid) || (uid == OVERFLOW && is_nested());
    let judge = |path: &Path, found: &Metadata| {
        let (mode, uid) = (found.mode(), found.uid());
        if !ours(uid) {
            return Err(Distrust::Foreign(path.to_owned(), uid));
        }
        let sticky = found.is_dir() && mode & STICKY != 0;
        match mode & OTHERS_WRITE != 0 && !sticky && !found.is_symlink() {
            true => Err(Distrust::Open(path.to_owned())),
            false => Ok(()),
        }
    };
    walk(program, judge)
}

/// Whether root of the host is nobody here, as in a container without root.
fn is_nested() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let mut words = map.split_whitespace().skip(2);
    words.next().is_some_and(|count| count != "4294967295")
}

/// Shows everything on the way to `path`, links and what they lead to included, to `judge`.
fn walk(
    path: &Path,
    judge: impl Fn(&Path, &Metadata) -> Result<(), Distrust>,
) -> Result<Metadata, Distrust> {
    let path = std::path::absolute(path).map_err(Distrust::Absent)?;
    let mut left = parts(&path);
    let mut at = PathBuf::from("/");
    let mut found = look(&at)?;
    judge(&at, &found)?;
    let mut links = 0;
    while let Some(part) = left.pop_front() {
        if part == ".." {
            at.pop();
            continue;
        }
        let next = at.join(part);
        found = look(&next)?;
        judge(&next, &found)?;
        if !found.is_symlink() {
            at = next;
            continue;
        }
        links += 1;
        if links > LINKS_MAX {
            let error = io::Error::from_raw_os_error(libc::ELOOP);
            return Err(Distrust::Absent(error));
        }
        let target = std::fs::read_link(&next).map_err(Distrust::Absent)?;
        if target.is_absolute() {
            at = PathBuf::from("/");
        }
        let mut first = parts(&target);
        first.append(&mut left);
        left = first;
    }
    look(&at)
}

fn look(path: &Path) -> Result<Metadata, Distrust> {
    std::fs::symlink_metadata(path).map_err(Distrust::Absent)
}

/// Names and `..`; where it begins is the caller's to know.
fn parts(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// A directory of its own, gone with the test, in one that is sticky for all.
    struct Room(PathBuf);

    impl Room {
        fn new(name: &str) -> Self {
            let room = format!("wayfare-trust-{name}-{}", std::process::id());
            let room = Self(std::env::temp_dir().join(room));
            fs::create_dir_all(room.0.join("open")).expect("writable");
            fs::create_dir_all(room.0.join("closed")).expect("writable");
            fs::set_permissions(room.0.join("open"), Permissions::from_mode(0o777)).expect("ours");
            for place in ["open/check", "closed/check"] {
                fs::write(room.0.join(place), "#!/bin/sh\n").expect("writable");
                fs::set_permissions(room.0.join(place), Permissions::from_mode(0o755))
                    .expect("ours");
            }
            room
        }
    }

    impl Drop for Room {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn every_step_of_the_way_counts() {
        let room = Room::new("way");
        let at = |name: &str| room.0.join(name);
        // From an open directory to a good program: who may replace the link decides.
        symlink(at("closed/check"), at("open/link")).expect("a link");
        // The same between two good places.
        symlink("../open", at("closed/through")).expect("a link");
        symlink("check", at("closed/link")).expect("a link");
        symlink("loop", at("closed/loop")).expect("a link");
        for (name, trusted) in [
            ("closed/check", true),
            ("closed/link", true),
            ("closed/../closed/check", true),
            ("open/check", false),
            ("open/link", false),
            ("closed/through/link", false),
            ("closed/through/../closed/check", false),
            ("closed/loop", false),
            ("closed/absent", false),
        ] {
            let judged = judge(&at(name), None);
            assert_eq!(judged.is_ok(), trusted, "{name}: {judged:?}");
        }
        let said = judge(&at("open/link"), None).expect_err("open").to_string();
        assert!(
            said.starts_with("anybody may change what would run: "),
            "{said}"
        );
        assert!(said.ends_with("/open"), "{said}");
    }

    #[test]
    fn only_root_the_daemon_and_its_user_are_trusted() {
        if !nix::unistd::geteuid().is_root() {
            return eprintln!("SKIPPED only_root_the_daemon_and_its_user_are_trusted: not root");
        }
        let room = Room::new("owner");
        let program = room.0.join("closed/check");
        std::os::unix::fs::chown(&program, Some(4242), None).expect("root may");
        let said = judge(&program, None).expect_err("foreign").to_string();
        assert!(
            said.starts_with("user 4242 may change what would run: "),
            "{said}"
        );
        assert!(judge(&program, Some(4242)).is_ok(), "it runs as its owner");
        std::os::unix::fs::chown(&program, Some(0), None).expect("root may");
        std::os::unix::fs::chown(room.0.join("closed"), Some(4242), None).expect("root may");
        assert!(judge(&program, None).is_err(), "its directory counts");
    }
}
