//! The files by which a process finds its predecessor's virtual routers as they were.
//!
//! Two lie beside the control socket (or in `RUNTIME_DIRECTORY`), both on memory: the *state*, a
//! JSON document replaced as a whole whenever something moved and every ten seconds, and the *sign
//! of life*, the time of the last turn, overwritten in place. A process that is asked to leave for
//! a successor writes the state as its last act; one that was killed has left a sign of life.
//!
//! They are taken at their word only if the same host has not been started anew since (boot id),
//! in the same network namespace, in the version of the format that this program writes. They are
//! read once and removed. Times are of `CLOCK_BOOTTIME`: no clock that is set, and no machine that
//! slept, makes an old state look young.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::files;
use crate::dirs::runtime_file;
use crate::node::Left;
use crate::router::Gap;

/// Of the format: another program's state is not read.
const VERSION: u32 = 1;

/// Larger files are nobody's of ours: 10,000 instances are some five megabytes.
const LEN_MAX: u64 = 64 << 20;
/// Of the sign of life.
const ALIVE_MAX: u64 = 256;

/// The state, as it is written.
#[derive(Debug, Serialize, Deserialize)]
struct Document {
    version: u32,
    program: String,
    boot: String,
    namespace: String,
    /// The process that wrote it: its sign of life has the same.
    session: String,
    written_ns: u64,
    /// It was the last act of that process.
    last: bool,
    instances: Vec<Left>,
}

/// Only what must be known before the rest can be understood.
#[derive(Deserialize)]
struct Heading {
    version: u32,
    program: String,
}

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// What the instances left.
    pub instances: Vec<Left>,
    /// How long ago.
    pub gap: Gap,
}

/// The files of this process.
#[derive(Debug)]
pub struct EstateFile {
    state: PathBuf,
    alive: PathBuf,
    session: String,
    beat: Option<File>,
    /// A failure was told.
    failed: bool,
}

impl EstateFile {
    /// The files of the daemon with this control socket.
    #[must_use]
    pub fn beside(socket: &Path) -> Self {
        Self {
            state: runtime_file(socket, "state"),
            alive: runtime_file(socket, "alive"),
            session: format!("{}-{}", std::process::id(), boot_ns()),
            beat: None,
            failed: false,
        }
    }

    /// Reads what an earlier process left, once: it is gone then. What cannot be used is told.
    pub fn take(&mut self) -> Option<Found> {
        let outcome = self.read();
        self.remove();
        match outcome {
            Ok(found) => found,
            Err(why) => {
                tracing::warn!("the state of an earlier process is not used: {why}");
                None
            }
        }
    }

    fn read(&self) -> Result<Option<Found>, String> {
        let octets = match files::read_own(&self.state, LEN_MAX) {
            Ok(Some(octets)) => octets,
            Ok(None) => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let heading: Heading =
            serde_json::from_slice(&octets).map_err(|error| error.to_string())?;
        if heading.version != VERSION {
            return Err(format!(
                "{} wrote format {}, this is format {VERSION}",
                heading.program, heading.version
            ));
        }
        let document: Document =
            serde_json::from_slice(&octets).map_err(|error| error.to_string())?;
        if boot_id().is_empty() {
            return Err("the number of this boot cannot be read".to_owned());
        }
        if document.boot != boot_id() || document.namespace != namespace() {
            return Err("it is of another boot or another network namespace".to_owned());
        }
        let since = |then: u64| Duration::from_nanos(boot_ns().saturating_sub(then));
        let silent = match document.last {
            true => None,
            false => Some(since(self.last_sign(&document))),
        };
        Ok(Some(Found {
            gap: Gap {
                written: since(document.written_ns),
                silent,
            },
            instances: document.instances,
        }))
    }

    /// When the process of `document` was last alive: not before it wrote that.
    fn last_sign(&self, document: &Document) -> u64 {
        let octets = files::read_own(&self.alive, ALIVE_MAX).ok().flatten();
        let text = String::from_utf8(octets.unwrap_or_default()).unwrap_or_default();
        let sign = text.split_once(' ');
        let own = sign.filter(|(session, _)| *session == document.session);
        let stamp = own.and_then(|(_, stamp)| stamp.trim().parse::<u64>().ok());
        stamp.unwrap_or_default().max(document.written_ns)
    }

    /// Writes the state; `last`: nothing comes after.
    pub fn write(&mut self, instances: Vec<Left>, last: bool) {
        let document = Document {
            version: VERSION,
            program: format!("wayfare-vrrpd {}", env!("CARGO_PKG_VERSION")),
            boot: boot_id(),
            namespace: namespace(),
            session: self.session.clone(),
            written_ns: boot_ns(),
            last,
            instances,
        };
        let outcome = serde_json::to_vec(&document).map_err(io::Error::from);
        let outcome = outcome.and_then(|octets| files::replace(&self.state, &octets));
        self.note(outcome);
    }

    /// Leaves a sign of life.
    pub fn beat(&mut self) {
        let text = format!("{} {:020}\n", self.session, boot_ns());
        let outcome = match &self.beat {
            Some(file) => file.write_all_at(text.as_bytes(), 0),
            None => self.first_beat(text.as_bytes()),
        };
        self.note(outcome);
    }

    fn first_beat(&mut self, text: &[u8]) -> io::Result<()> {
        let file = files::create(&self.alive)?;
        file.write_all_at(text, 0)?;
        self.beat = Some(file);
        Ok(())
    }

    /// There is nothing to inherit: every router has handed over.
    pub fn remove(&mut self) {
        for path in [&self.state, &self.alive] {
            // What is not there, or cannot be taken away, is judged when it is read.
            let _ = fs::remove_file(path);
        }
        self.beat = None;
    }

    /// Without these files a restart is an election, and that is all: said once.
    fn note(&mut self, outcome: io::Result<()>) {
        if let Err(error) = outcome
            && !std::mem::replace(&mut self.failed, true)
        {
            let path = self.state.display();
            tracing::warn!(%path, %error, "the state for a restart cannot be written");
        }
    }
}

fn boot_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from);
    u64::try_from(now.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}

fn boot_id() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    text.map(|text| text.trim().to_owned()).unwrap_or_default()
}

fn namespace() -> String {
    let link = fs::read_link("/proc/self/ns/net");
    link.map(|path| path.display().to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
