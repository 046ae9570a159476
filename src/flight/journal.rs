//! `events.jsonl`: appended to, never beyond a size, one earlier file kept. Thread: flight.

use super::record::{Record, Severity};
use crate::limits;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::Mode;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The file.
pub(super) const NAME: &str = "events.jsonl";

/// What it becomes when it is full.
pub(super) const EARLIER: &str = "events.1.jsonl";

/// See the module.
pub(super) struct Journal {
    /// The folder, held open: the session may be renamed under our feet.
    folder: File,
    path: PathBuf,
    file: File,
    bytes: u64,
    /// Whether the file may end within a line.
    torn: bool,
    /// Events that the disk did not take.
    failed: u64,
}

impl Journal {
    /// Goes on with the file in `folder`, or begins one.
    pub(super) fn open(folder: &Path) -> io::Result<Journal> {
        let path = folder.join(NAME);
        let folder = File::open(folder)?;
        let (file, bytes) = open(&folder)?;
        let torn = bytes > 0 && {
            let mut last = [0];
            file.read_exact_at(&mut last, bytes - 1)?;
            last != *b"\n"
        };
        Ok(Journal { folder, path, file, bytes, torn, failed: 0 })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes them, in one call where they fit; durable if one of them matters.
    pub(super) fn append(&mut self, records: &[Record]) -> io::Result<()> {
        let done = self.try_append(records);
        match &done {
            Ok(()) => self.failed = 0,
            Err(_) => {
                self.torn = true;
                self.failed += records.len() as u64;
            }
        }
        done
    }

    fn try_append(&mut self, records: &[Record]) -> io::Result<()> {
        let mut text = Vec::new();
        if self.failed > 0 {
            let text_of_failed =
                format!("flight recorder: {} events were not kept, the disk did not take them", self.failed);
            let count = [("events", self.failed)];
            text.extend(Record::new(super::Kind::Dropped, Severity::Caution, &text_of_failed, &count).line());
        }
        for record in records {
            text.extend(record.line());
            if text.len() as u64 >= limits::FLIGHT_BYTES_MAX / 4 {
                self.put(&std::mem::take(&mut text))?;
            }
        }
        self.put(&text)?;
        if records.iter().any(|record| record.severity > Severity::Info || record.kind.is_synced()) {
            self.file.sync_data()?;
        }
        Ok(())
    }

    fn put(&mut self, text: &[u8]) -> io::Result<()> {
        if limits::FLIGHT_BYTES_MAX < self.bytes + text.len() as u64 {
            self.rotate()?;
        }
        if std::mem::take(&mut self.torn) {
            // What stands there is no event: it ends here.
            self.file.write_all(b"\n")?;
            self.bytes += 1;
        }
        self.file.write_all(text)?;
        self.bytes += text.len() as u64;
        Ok(())
    }

    /// The file becomes the earlier one, in place of that; a new one is begun.
    fn rotate(&mut self) -> io::Result<()> {
        renameat(&self.folder, NAME, &self.folder, EARLIER)?;
        (self.file, self.bytes) = open(&self.folder)?;
        self.torn = false;
        Ok(())
    }
}

/// A regular file with one name, ours to append to: a session may come from anywhere, and a link in it must not have us
/// write elsewhere.
fn open(folder: &File) -> io::Result<(File, u64)> {
    let flags =
        OFlag::O_RDWR | OFlag::O_APPEND | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = File::from(openat(folder, NAME, flags, Mode::from_bits_truncate(0o644))?);
    let data = file.metadata()?;
    if !data.is_file() || data.nlink() != 1 {
        return Err(io::Error::other("it is a link or no ordinary file"));
    }
    Ok((file, data.len()))
}
