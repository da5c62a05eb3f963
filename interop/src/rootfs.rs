//! Where the peers live: the unpacked root that `images/mkpeers.sh` builds, and who may use it.
//!
//! The script keeps one directory per suite in a cache and writes a manifest (`wayfare-peers`)
//! beside the root's files: which suite it is and which version of each peer. This module only
//! finds that directory and says what the present user can run from it; it never builds. A test
//! that finds no root is skipped by name with the reason, loudly, because a quiet skip reads as a
//! pass.
//!
//! Three kinds of users exist. Root unshares plainly. A user with `newuidmap` and a line in
//! `/etc/subuid` gets a full range of ids, which FRR and OpenBGPD need for their privilege drop. A
//! user without gets one id: BIRD and GoBGP run there, the other two do not.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How the lab's namespaces are made for the user who runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// Real root: no user namespace.
    Root,
    /// A user namespace with a range of subordinate ids (package `uidmap`).
    Mapped,
    /// A user namespace with the user's own id alone: no FRR, no OpenBGPD.
    Single,
}

impl Privilege {
    /// What the present user has.
    pub fn detect() -> Privilege {
        if nix::unistd::geteuid().is_root() {
            return Privilege::Root;
        }
        let user = env::var("USER").unwrap_or_default();
        let uid = nix::unistd::getuid().to_string();
        let ranges = fs::read_to_string("/etc/subuid").unwrap_or_default();
        let listed = ranges
            .lines()
            .filter_map(|line| line.split(':').next())
            .any(|owner| owner == user || owner == uid);
        if listed && Path::new("/usr/bin/newuidmap").exists() {
            Privilege::Mapped
        } else {
            Privilege::Single
        }
    }

    /// The options of `unshare` that make the user namespace.
    pub fn unshare_options(self) -> &'static [&'static str] {
        match self {
            Privilege::Root => &[],
            Privilege::Mapped => &["-U", "--map-root-user", "--map-auto"],
            Privilege::Single => &["-U", "--map-root-user"],
        }
    }
}

/// The unpacked root of the peers.
#[derive(Clone, Debug)]
pub struct Rootfs {
    /// The directory that becomes the lower layer of every node.
    pub path: PathBuf,
    /// The Debian suite it was built from, `sid` unless that could not be installed.
    pub suite: String,
    /// Who runs the lab.
    pub privilege: Privilege,
}

/// Why no lab can run here; what to do about it is part of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable(pub String);

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Rootfs {
    /// Finds the root: `WAYFARE_PEERS` if set, else the newest suite in the cache.
    pub fn find() -> Result<Rootfs, Unavailable> {
        let privilege = Privilege::detect();
        if let Some(path) = env::var_os("WAYFARE_PEERS") {
            return Rootfs::open(PathBuf::from(path), privilege);
        }
        let kind = if privilege == Privilege::Root {
            "root"
        } else {
            "user"
        };
        for suite in ["sid", "trixie", "bookworm", "noble"] {
            let path = cache_dir().join(format!("peers-{suite}-{kind}"));
            if path.join("usr/share/wayfare-peers").exists() {
                return Rootfs::open(path, privilege);
            }
        }
        Err(Unavailable(format!(
            "no peer image in {} (build it: interop/images/mkpeers.sh)",
            cache_dir().display()
        )))
    }

    /// What [`Rootfs::from_environment`] reads: inside the lab everybody looks like root.
    pub fn to_environment(&self) -> [(&'static str, OsString); 3] {
        let privilege = match self.privilege {
            Privilege::Root => "root",
            Privilege::Mapped => "mapped",
            Privilege::Single => "single",
        };
        [
            ("WAYFARE_LAB_ROOT", self.path.clone().into()),
            ("WAYFARE_LAB_SUITE", self.suite.clone().into()),
            ("WAYFARE_LAB_PRIVILEGE", privilege.into()),
        ]
    }

    /// The root the outer pass found.
    pub fn from_environment() -> Option<Rootfs> {
        let privilege = match env::var("WAYFARE_LAB_PRIVILEGE").ok()?.as_str() {
            "root" => Privilege::Root,
            "mapped" => Privilege::Mapped,
            _ => Privilege::Single,
        };
        let path = PathBuf::from(env::var_os("WAYFARE_LAB_ROOT")?);
        let suite = env::var("WAYFARE_LAB_SUITE").ok()?;
        Some(Rootfs {
            path,
            suite,
            privilege,
        })
    }

    fn open(path: PathBuf, privilege: Privilege) -> Result<Rootfs, Unavailable> {
        let manifest = fs::read_to_string(path.join("usr/share/wayfare-peers"))
            .map_err(|e| Unavailable(format!("{}: no peer image: {e}", path.display())))?;
        let suite = manifest
            .split_whitespace()
            .nth(1)
            .unwrap_or("unknown")
            .to_owned();
        let usable = Command::new("unshare")
            .args(privilege.unshare_options())
            .args(["-n", "-m", "-p", "-f", "--mount-proc", "true"])
            .output();
        match usable {
            Ok(out) if out.status.success() => Ok(Rootfs {
                path,
                suite,
                privilege,
            }),
            Ok(out) => Err(Unavailable(format!(
                "the kernel refuses namespaces to this user: {} (run as root, or allow user \
                 namespaces)",
                String::from_utf8_lossy(&out.stderr).trim()
            ))),
            Err(e) => Err(Unavailable(format!("unshare (package util-linux): {e}"))),
        }
    }
}

/// The cache directory, shared by all checkouts of one user: `WAYFARE_CACHE`, else below
/// `XDG_CACHE_HOME` or `~/.cache`. `mkpeers.sh` computes the same.
pub fn cache_dir() -> PathBuf {
    if let Some(dir) = env::var_os("WAYFARE_CACHE") {
        return PathBuf::from(dir);
    }
    let base = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
        .unwrap_or_else(|| PathBuf::from("/var/tmp"));
    base.join("wayfare")
}

/// Real data beside the checkout (`WAYFARE_SHARED`, default `../shared` of the workspace).
pub fn shared_data(relative: &str) -> Option<PathBuf> {
    let base = env::var_os("WAYFARE_SHARED")
        .map(PathBuf::from)
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"));
    let path = base.join("data").join(relative);
    path.exists().then_some(path)
}
