//! What survives a restart: the pool addresses in use, and whether the operator drains the node.
//!
//! A small JSON file in the state directory, written whole and renamed into place, so that a
//! crash leaves the old or the new one and never half of one. It is written on every `pool use`
//! and `pool release` before the answer goes out: what was confirmed is kept.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::origin::PoolState;

/// Where the state directory is when systemd does not say.
const STATE_DIRECTORY: &str = "/var/lib/wayfare";
const FILE_NAME: &str = "pool.json";
/// It is there while the operator drains a node of a cluster.
const DRAINED: &str = "drained";

/// The file a [`PoolState`] is kept in.
#[derive(Clone, Debug)]
pub struct StateFile(PathBuf);

impl StateFile {
    /// The file in `$STATE_DIRECTORY` (the first, if systemd names several), else in
    /// `/var/lib/wayfare`.
    pub fn from_environment() -> Self {
        let named = std::env::var("STATE_DIRECTORY").ok();
        let first = named.as_deref().and_then(|list| list.split(':').next());
        let directory = first
            .filter(|name| !name.is_empty())
            .unwrap_or(STATE_DIRECTORY);
        Self::at(Path::new(directory))
    }

    /// The file in `directory`.
    pub fn at(directory: &Path) -> Self {
        Self(directory.join(FILE_NAME))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What was saved last; nothing when nothing ever was.
    ///
    /// # Errors
    /// The file exists and cannot be read or understood. Start with nothing in use and say so.
    pub fn load(&self) -> io::Result<PoolState> {
        match fs::read(&self.0) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(PoolState::default()),
            Err(error) => Err(error),
        }
    }

    /// Replaces what is saved.
    ///
    /// # Errors
    /// The directory is missing or not writable. The change holds until the daemon ends; tell
    /// the operator that it will not outlive it.
    pub fn save(&self, state: &PoolState) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(state)?;
        text.push(b'\n');
        let new = self.0.with_extension("json.new");
        let mut file = File::create(&new)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&new, &self.0)
    }

    /// Whether the operator had drained the node.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.0.with_file_name(DRAINED).exists()
    }

    /// Keeps that the operator drains the node, or no longer.
    ///
    /// # Errors
    /// The directory is missing or not writable.
    pub fn save_drained(&self, is_drained: bool) -> io::Result<()> {
        let path = self.0.with_file_name(DRAINED);
        match is_drained {
            true => File::create(path)?.sync_all(),
            false => match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_loaded_and_nothing_is_no_error() {
        let name = format!("wayfare-pool-state-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).expect("the temporary directory is writable");
        let file = StateFile::at(&directory);
        assert_eq!(file.load().expect("absence is fine"), PoolState::default());
        let in_use = ["10.0.50.25", "2001:db8::1"]
            .map(|a| a.parse().expect("address"))
            .to_vec();
        let state = PoolState { in_use };
        file.save(&state).expect("writable");
        assert_eq!(file.load().expect("readable"), state);
        let text = fs::read_to_string(file.path()).expect("readable");
        assert!(text.contains("\"in-use\""), "{text}");
        for is_drained in [true, true, false, false] {
            file.save_drained(is_drained).expect("writable");
            assert_eq!(file.is_drained(), is_drained);
        }
        fs::write(file.path(), "{").expect("writable");
        let error = file.load().expect_err("half a file");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        fs::remove_dir_all(&directory).expect("ours");
        assert!(file.save(&state).is_err(), "the directory is gone");
    }
}
