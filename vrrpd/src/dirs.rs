//! Where the daemon keeps what outlives it.
//!
//! systemd says it (`RUNTIME_DIRECTORY=`, `STATE_DIRECTORY=`). Without it the directory of the
//! control socket decides, so that two daemons with different sockets never share a file and
//! neither a lab nor a rootless run needs an option: a socket in `/run/wayfare` means
//! `/var/lib/wayfare`, any other means its own directory. Files carry the name of the socket.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The directory of the socket unless told otherwise, and what belongs to it.
const USUAL: (&str, &str) = ("/run/wayfare", "/var/lib/wayfare");

/// The file with this ending for what lives until the next boot.
#[must_use]
pub fn runtime_file(socket: &Path, ending: &str) -> PathBuf {
    let told = std::env::var_os("RUNTIME_DIRECTORY");
    file(
        socket,
        ending,
        first(told).unwrap_or_else(|| beside(socket)),
    )
}

/// The file with this ending for what is kept for ever.
#[must_use]
pub fn state_file(socket: &Path, ending: &str) -> PathBuf {
    let told = std::env::var_os("STATE_DIRECTORY");
    let usual = || match beside(socket) {
        beside if beside == Path::new(USUAL.0) => PathBuf::from(USUAL.1),
        beside => beside,
    };
    file(socket, ending, first(told).unwrap_or_else(usual))
}

fn beside(socket: &Path) -> PathBuf {
    socket.parent().unwrap_or(Path::new(".")).to_owned()
}

/// systemd separates several by colons; ours comes first.
fn first(told: Option<OsString>) -> Option<PathBuf> {
    let told = told.filter(|told| !told.is_empty())?;
    std::env::split_paths(&told).next()
}

fn file(socket: &Path, ending: &str, directory: PathBuf) -> PathBuf {
    let name = socket.file_stem().unwrap_or("vrrpd".as_ref());
    directory.join(name).with_extension(ending)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_decides_where_nobody_else_does() {
        let usual = Path::new("/run/wayfare/vrrpd.sock");
        assert_eq!(
            file(usual, "told", beside(usual)),
            Path::new("/run/wayfare/vrrpd.told")
        );
        assert_eq!(
            state_file(usual, "history"),
            Path::new("/var/lib/wayfare/vrrpd.history")
        );
        let lab = Path::new("/tmp/x/a.sock");
        assert_eq!(state_file(lab, "history"), Path::new("/tmp/x/a.history"));
        assert_eq!(first(Some("/a:/b".into())), Some(PathBuf::from("/a")));
    }
}
