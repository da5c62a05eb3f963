//! The daemon's own small files: opened so that nobody can put another in their place.
//!
//! Their directories belong to the daemon, but root may run it in one that does not, and `/run` of
//! a host has many users. So the last step never follows a symbolic link, nothing is waited for (a
//! pipe would be), only plain files count, and what is to be believed must be written by this user
//! alone. What is written is a new file in the place of the old.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Write for the group or others.
const OTHERS_WRITE: u32 = 0o022;

/// Flags for a file whose name somebody else may have taken.
pub const WARY: i32 = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;

/// Reads a file of ours of `most` octets or less; `None`: there is none.
///
/// # Errors
/// It is no plain file of this user's alone, is too large, or cannot be read.
pub fn read_own(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    let opened = OpenOptions::new().read(true).custom_flags(WARY).open(path);
    let file = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {
            return Err(io::Error::other("it is a symbolic link"));
        }
        other => other?,
    };
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    if found.uid() != nix::unistd::geteuid().as_raw() {
        let text = format!("it belongs to user {}", found.uid());
        return Err(io::Error::other(text));
    }
    if found.mode() & OTHERS_WRITE != 0 {
        return Err(io::Error::other("others may write it"));
    }
    let mut octets = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut octets)?;
    match octets.len() as u64 > most {
        true => Err(io::Error::other("it is too large")),
        false => Ok(Some(octets)),
    }
}

/// Makes `path` a file with these octets, whatever was there.
///
/// # Errors
/// The directory or the disk refuses.
pub fn replace(path: &Path, octets: &[u8]) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = Path::new(&new);
    let mut file = create(new)?;
    file.write_all(octets)?;
    fs::rename(new, path)
}

/// A new file for this user alone, in the place of what was there.
///
/// # Errors
/// The directory refuses.
pub fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    #[test]
    fn only_what_this_user_wrote_is_read() {
        let room = std::env::temp_dir().join(format!("wayfare-files-{}", std::process::id()));
        fs::create_dir_all(&room).expect("a directory");
        let (own, link) = (room.join("own"), room.join("link"));
        let said = |path: &Path| read_own(path, 4).expect_err("refused").to_string();
        assert!(read_own(&own, 4).expect("nothing is wrong").is_none());
        replace(&own, b"mine").expect("writable");
        assert_eq!(
            read_own(&own, 4).expect("ours").as_deref(),
            Some(&b"mine"[..])
        );
        assert!(
            read_own(&own, 3)
                .expect_err("refused")
                .to_string()
                .contains("too large")
        );
        symlink(&own, &link).expect("a link");
        assert!(said(&link).contains("symbolic link"));
        // What a link leads to stays as it is.
        replace(&link, b"new").expect("writable");
        assert_eq!(fs::read(&own).expect("still there"), b"mine");
        assert_eq!(
            read_own(&link, 4).expect("ours").as_deref(),
            Some(&b"new"[..])
        );
        fs::set_permissions(&own, Permissions::from_mode(0o620)).expect("ours");
        assert!(said(&own).contains("others may write"));
        fs::set_permissions(&own, Permissions::from_mode(0o600)).expect("ours");
        assert!(said(&room).contains("no file"));
        match chown(&own, Some(4242), None) {
            Ok(()) => assert!(said(&own).contains("belongs to user 4242")),
            Err(_) => eprintln!("SKIPPED the file of another user: only root may give one away"),
        }
        fs::remove_dir_all(&room).expect("ours");
    }
}
