//! Writes what was converted.
//!
//! Nothing that is there already is written over, unless that is asked for; each file is written
//! beside its place and put there whole. Passwords and keys are for the daemon and nobody else:
//! its unit runs it as a user of its own (packaging/wayfare.sysusers), so they belong to that
//! user's group. Where there is no such group they are for their owner alone, and what to do is
//! said.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use super::keepalived::SideFile;

/// The group of the daemon.
pub const GROUP: &str = "wayfare";
/// The number of the daemon's group on this host. Packages make it, so it is in the file.
pub fn group() -> Option<u32> {
    number(&fs::read_to_string("/etc/group").ok()?, GROUP)
}

fn number(groups: &str, name: &str) -> Option<u32> {
    let mut lines = groups.lines().map(|line| line.split(':'));
    let mut fields = lines.find_map(|mut fields| (fields.next()? == name).then_some(fields))?;
    fields.nth(1)?.parse().ok()
}

/// The first of the files that is there already.
pub fn standing(directory: &Path, config: &str, files: &[SideFile]) -> Option<PathBuf> {
    let names = files.iter().map(|file| file.name.as_str());
    let mut paths = names.chain([config]).map(|name| directory.join(name));
    paths.find(|path| path.symlink_metadata().is_ok())
}

/// Writes the configuration and its files: the paths of those that the daemon could not read.
///
/// # Errors
/// A file cannot be written; its name is said.
pub fn all(
    directory: &Path,
    (config, text): (&str, &str),
    files: &[SideFile],
    group: Option<u32>,
) -> io::Result<Vec<PathBuf>> {
    fs::create_dir_all(directory).map_err(|error| named(directory, &error))?;
    let mut unread = Vec::new();
    for file in files {
        let path = directory.join(&file.name);
        let access = match file.secret {
            true => Access::Secret(group),
            false => Access::Program,
        };
        if !one(&path, &file.text, access).map_err(|error| named(&path, &error))? {
            unread.push(path);
        }
    }
    let path = directory.join(config);
    one(&path, text.as_bytes(), Access::Everybody).map_err(|error| named(&path, &error))?;
    Ok(unread)
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Who may read a file, and run it.
#[derive(Clone, Copy)]
enum Access {
    Everybody,
    Program,
    Secret(Option<u32>),
}

/// Written beside its place, for nobody else until it is whole; whether the daemon can read it.
fn one(path: &Path, octets: &[u8], access: Access) -> io::Result<bool> {
    let name = path.file_name().unwrap_or_default().display().to_string();
    let beside = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600);
    let file = file.open(&beside)?;
    let written = fill(file, octets, access).and_then(|read| {
        fs::rename(&beside, path)?;
        Ok(read)
    });
    if written.is_err() {
        // The error that is told is that of the writing.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn fill(mut file: File, octets: &[u8], access: Access) -> io::Result<bool> {
    file.write_all(octets)?;
    let (mode, read) = match access {
        Access::Everybody => (0o644, true),
        Access::Program => (0o755, true),
        Access::Secret(Some(group)) if fchown(&file, None, Some(group)).is_ok() => (0o640, true),
        Access::Secret(_) => (0o600, false),
    };
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()?;
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_key_belongs_to_the_group_of_the_daemon() {
        let directory = std::env::temp_dir().join(format!("wayfare-write-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("writable");
        // A group that everybody may give files to: the own one.
        let own = fs::metadata(&directory).expect("it is there").gid();
        let files = [SideFile {
            name: "a.key".to_owned(),
            text: b"1\xff\n".to_vec(),
            secret: true,
        }];
        let key = directory.join("a.key");
        let mode = || fs::metadata(&key).expect("a key").mode() & 0o777;
        assert_eq!(standing(&directory, "a.toml", &files), None);

        let unread = all(&directory, ("a.toml", ""), &files, Some(own)).expect("writable");
        assert!(unread.is_empty());
        assert_eq!(mode(), 0o640);
        assert_eq!(fs::metadata(&key).expect("a key").gid(), own);
        assert_eq!(fs::read(&key).expect("readable"), b"1\xff\n");
        assert_eq!(standing(&directory, "a.toml", &files), Some(key.clone()));

        let unread = all(&directory, ("a.toml", ""), &files, None).expect("writable");
        assert_eq!(unread, std::slice::from_ref(&key));
        assert_eq!(mode(), 0o600);
        let names = fs::read_dir(&directory).expect("it is there").count();
        assert_eq!(names, 2, "something is left behind");
        fs::remove_dir_all(&directory).expect("ours");
    }

    #[test]
    fn the_group_is_looked_up_by_its_name() {
        let groups = "root:x:0:\nwayfare-view:x:7:a\nwayfare:x:998:\n";
        assert_eq!(number(groups, GROUP), Some(998));
        assert_eq!(number("root:x:0:\n", GROUP), None);
        assert_eq!(number("wayfare\n", GROUP), None);
    }
}
