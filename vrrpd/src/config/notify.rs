//! `notify`: the program that is told of every state, of an instance or of a sync group.
//!
//! It runs with the rights of the daemon, so nobody else may be able to change it: a file that
//! others may write, or that lies where others may put another in its place, is refused. A file
//! that is not there is only a warning, because a configuration may be checked on another host.

use std::fs::Metadata;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ctl::config::{At, Sink};

/// Anybody may write.
const OTHERS_WRITE: u32 = 0o002;
/// Only the owner of a file may remove it from its directory.
const STICKY: u32 = 0o1000;

/// The program, when it may be used; what is against it is said.
pub(super) fn resolve(at: Option<&At<PathBuf>>, directory: &Path, sink: &Sink) -> Option<PathBuf> {
    let at = at?;
    let path = directory.join(&at.value);
    let shown = path.display();
    match std::fs::metadata(&path) {
        Err(error) => {
            let message = format!("nobody will be notified: {shown}: {error}");
            sink.warning(&at.span, message, "`notify` is the path of a program");
        }
        Ok(found) if found.is_dir() || found.permissions().mode() & 0o111 == 0 => {
            let message = format!("{shown} is no program");
            sink.error(&at.span, message, "make the file executable: chmod 755");
        }
        Ok(found) => {
            if let Some(open) = open_to_others(&path, &found) {
                let message = format!("anybody may change what would run: {}", open.display());
                let cure = "take the right to write from others: chmod o-w";
                sink.error(&at.span, message, cure);
            } else if found.permissions().mode() & 0o020 != 0 {
                let message = format!("its group may change {shown}, which runs as this daemon");
                let cure = "take the right to write from the group: chmod g-w";
                sink.warning(&at.span, message, cure);
            }
        }
    }
    Some(path)
}

/// What of the way to a program others may write.
fn open_to_others(path: &Path, found: &Metadata) -> Option<PathBuf> {
    if found.permissions().mode() & OTHERS_WRITE != 0 {
        return Some(path.to_owned());
    }
    let real = path.canonicalize().ok()?;
    let open = |directory: &&Path| {
        let mode = std::fs::metadata(directory).map_or(0, |it| it.permissions().mode());
        mode & OTHERS_WRITE != 0 && mode & STICKY == 0
    };
    real.ancestors().skip(1).find(open).map(Path::to_owned)
}
