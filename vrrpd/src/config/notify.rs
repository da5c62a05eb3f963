//! `notify`: the program that is told of every state, of an instance or of a sync group.
//!
//! It runs with the rights of the daemon, so nobody else may be able to change it (see
//! [`crate::trust`]): that is judged here and again at each call. A file that is not there is only
//! a warning, because a configuration may be checked on another host.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ctl::config::{At, Sink};

use crate::trust::{self, Distrust};

/// The program, when it may be used; what is against it is said.
pub(super) fn resolve(at: Option<&At<PathBuf>>, directory: &Path, sink: &Sink) -> Option<PathBuf> {
    let at = at?;
    let path = directory.join(&at.value);
    let shown = path.display();
    match trust::judge(&path, None) {
        Err(Distrust::Absent(error)) => {
            let message = format!("nobody will be notified: {shown}: {error}");
            sink.warning(&at.span, message, "`notify` is the path of a program");
        }
        Err(why) if why.is_of_the_unit() => {
            let cure = "good where the daemon is that user; better: chown root";
            sink.warning(&at.span, why.to_string(), cure);
        }
        Err(why) => {
            let cure = match why {
                Distrust::Open(_) => "take the right to write from others: chmod o-w",
                _ => "give it to root: chown root",
            };
            sink.error(&at.span, why.to_string(), cure);
        }
        Ok(found) if found.is_dir() || found.permissions().mode() & 0o111 == 0 => {
            let message = format!("{shown} is no program");
            sink.error(&at.span, message, "make the file executable: chmod 755");
        }
        Ok(found) if found.permissions().mode() & 0o020 != 0 => {
            let message = format!("its group may change {shown}, which runs as this daemon");
            let cure = "take the right to write from the group: chmod g-w";
            sink.warning(&at.span, message, cure);
        }
        Ok(_) => {}
    }
    Some(path)
}
