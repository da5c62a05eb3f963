//! The history on disk: `show vrrp history` goes back over restarts and reboots.
//!
//! One line per entry is added to a file: milliseconds since 1970, instance, text, apart by tabs.
//! At [`FILE_MAX`] octets the file becomes `FILE.1`, in place of the one before, so that the two
//! hold at most twice that. A line that a crash cut short is passed over and ended. A thread
//! writes, so a disk that is slow costs no advert; entries that pile up beyond [`WAITING_MAX`] are
//! left out, and a disk that is full is told once: the history in memory goes on.

use std::fs::{DirBuilder, File, OpenOptions, rename};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use super::files::WARY;
use crate::node::Entry;

/// Octets of one of the two files: some five thousand entries.
const FILE_MAX: u64 = 512 << 10;
/// Entries that wait for the disk.
const WAITING_MAX: usize = 1024;
/// How long the end of the daemon waits for the disk, unless a successor waits for that end.
const PATIENCE: Duration = Duration::from_secs(1);

/// The daemon's side of the writing thread.
#[derive(Debug)]
pub struct Chronicle {
    entries: Option<SyncSender<Entry>>,
    /// Closed when all is written.
    written: Receiver<()>,
    patience: Duration,
    left_out: u64,
}

impl Chronicle {
    /// Goes on with the history in `path`; what is in it so far comes back, the oldest first.
    #[must_use]
    pub fn open(path: PathBuf) -> (Self, Vec<Entry>) {
        if let Some(directory) = path.parent() {
            // Without a service manager nobody may have made it; what fails is said when writing.
            let _ = DirBuilder::new().mode(0o750).create(directory);
        }
        let mut past = read(&before(&path));
        past.extend(read(&path));
        let (entries, inbox) = sync_channel(WAITING_MAX);
        let (done, written) = sync_channel(0);
        let work = move || {
            // Held until the end: whoever waits for it hears of it by its drop.
            let _done = done;
            write_all(&inbox, &path);
        };
        let thread = std::thread::Builder::new()
            .name("history".into())
            .spawn(work);
        if let Err(error) = &thread {
            tracing::error!(%error, "the history is not kept on disk: no thread");
        }
        let entries = thread.is_ok().then_some(entries);
        let chronicle = Self {
            entries,
            written,
            patience: PATIENCE,
            left_out: 0,
        };
        (chronicle, past)
    }

    /// Adds an entry, without waiting.
    pub fn add(&mut self, entry: Entry) {
        let Some(entries) = &self.entries else {
            return;
        };
        match entries.try_send(entry) {
            Ok(()) => self.left_out = 0,
            Err(TrySendError::Full(_)) => {
                if self.left_out == 0 {
                    tracing::warn!("the disk is slow: entries of the history are not kept on it");
                }
                self.left_out += 1;
            }
            Err(TrySendError::Disconnected(_)) => self.entries = None,
        }
    }

    /// Its end waits for the disk so long at most.
    pub fn hurry(&mut self, patience: Duration) {
        self.patience = patience;
    }
}

impl Drop for Chronicle {
    fn drop(&mut self) {
        self.entries = None;
        // Nothing is ever sent: it ends with the thread, or with patience.
        let _ = self.written.recv_timeout(self.patience);
    }
}

fn write_all(inbox: &Receiver<Entry>, path: &Path) {
    let mut failing = false;
    while let Ok(first) = inbox.recv() {
        let mut text = line(&first);
        for entry in inbox.try_iter().take(WAITING_MAX) {
            text += &line(&entry);
        }
        match append(path, &text) {
            Ok(()) if failing => {
                failing = false;
                tracing::info!(path = %path.display(), "the history is kept on disk again");
            }
            Err(error) if !failing => {
                failing = true;
                let path = path.display();
                tracing::error!(%path, %error, "the history is not kept on disk");
            }
            _ => {}
        }
    }
}

fn append(path: &Path, text: &str) -> io::Result<()> {
    let mut file = open(path)?;
    if file.metadata()?.len() >= FILE_MAX {
        rename(path, before(path))?;
        file = open(path)?;
    }
    let whole = file.metadata()?.len() == 0 || ends_line(&mut file)?;
    let text = if whole {
        text.to_owned()
    } else {
        format!("\n{text}")
    };
    file.write_all(text.as_bytes())
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .read(true)
        .append(true)
        .custom_flags(WARY)
        .open(path)
}

fn ends_line(file: &mut File) -> io::Result<bool> {
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

fn before(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    name.into()
}

/// The entries of a file; one that is not there has none. Somebody else may have made it large, so
/// no more than its end is read.
fn read(path: &Path) -> Vec<Entry> {
    let mut text = Vec::new();
    let opened = OpenOptions::new().read(true).custom_flags(WARY).open(path);
    let found = opened.and_then(|mut file| {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(2 * FILE_MAX)))?;
        file.take(2 * FILE_MAX).read_to_end(&mut text)
    });
    if let Err(error) = found
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::error!(path = %path.display(), %error, "the history cannot be read");
    }
    let text = String::from_utf8_lossy(&text);
    let whole = text
        .split_inclusive('\n')
        .filter_map(|line| line.strip_suffix('\n'));
    whole.filter_map(parse).collect()
}

fn line(entry: &Entry) -> String {
    let plain = |text: &str| text.replace(['\t', '\n', '\r'], " ");
    format!(
        "{}\t{}\t{}\n",
        entry.epoch_ms,
        plain(&entry.instance),
        plain(&entry.text)
    )
}

fn parse(line: &str) -> Option<Entry> {
    let mut parts = line.splitn(3, '\t');
    Some(Entry {
        epoch_ms: parts.next()?.parse().ok()?,
        instance: parts.next()?.to_owned(),
        text: parts.next()?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at: u64) -> Entry {
        Entry {
            epoch_ms: at,
            instance: "vip".to_owned(),
            text: format!("Backup -> Master: number {at}\tof\nmany"),
        }
    }

    /// A path in a directory of its own, empty.
    fn path(name: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("wayfare-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("writable");
        for old in ["history", "history.1"] {
            // It is mostly not there.
            let _ = std::fs::remove_file(directory.join(old));
        }
        directory.join("history")
    }

    fn times(entries: &[Entry]) -> Vec<u64> {
        entries.iter().map(|one| one.epoch_ms).collect()
    }

    #[test]
    fn what_was_written_is_there_at_the_next_start_but_for_a_torn_line() {
        let path = path("torn");
        for start in 0..2 {
            let (mut chronicle, past) = Chronicle::open(path.clone());
            assert_eq!(past.len(), start * 3);
            for at in 0..3 {
                chronicle.add(entry(at));
            }
        }
        assert_eq!(read(&path)[0].text, "Backup -> Master: number 0 of many");
        let whole = std::fs::read(&path).expect("written");
        std::fs::write(&path, &whole[..whole.len() - 5]).expect("writable");
        let (mut chronicle, past) = Chronicle::open(path.clone());
        assert_eq!(times(&past), [0, 1, 2, 0, 1]);
        chronicle.add(entry(9));
        drop(chronicle);
        let last = read(&path);
        assert_eq!(last.last(), parse(line(&entry(9)).trim_end()).as_ref());
        std::fs::remove_dir_all(path.parent().expect("a directory")).expect("ours");
    }

    #[test]
    fn two_files_hold_the_latest_and_are_bounded() {
        let path = path("rotation");
        let text: String = (0..1000).map(|at| line(&entry(at))).collect();
        for _ in 0..60 {
            append(&path, &text).expect("writable");
        }
        for file in [&path, &before(&path)] {
            let length = std::fs::metadata(file).expect("both are there").len();
            assert!(length <= FILE_MAX + text.len() as u64, "{length}");
        }
        let (_chronicle, past) = Chronicle::open(path.clone());
        assert!(past.len() > 5000);
        assert_eq!(times(&past).last(), Some(&999));
        std::fs::remove_dir_all(path.parent().expect("a directory")).expect("ours");
    }

    /// A directory that is not there, a disk that is full: the daemon goes on.
    #[test]
    fn a_disk_that_takes_nothing_is_no_reason_to_stop() {
        for path in ["/nowhere/at/all/history", "/dev/full"] {
            let (mut chronicle, past) = Chronicle::open(path.into());
            assert!(past.is_empty());
            for at in 0..5000 {
                chronicle.add(entry(at));
            }
        }
    }
}
