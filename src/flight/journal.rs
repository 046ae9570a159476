//! Appends to `events.jsonl`. At its size limit the file becomes `events.1.jsonl`, which replaces the one before.
//! Thread: flight.

use super::record::{Record, Severity};
use crate::file_system::{OpenError, open_regular_at};
use crate::limits;
use crate::session::names::{EARLIER_EVENTS_FILE, EVENTS_FILE};
use nix::fcntl::{OFlag, renameat};
use nix::sys::stat::Mode;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The open events file.
pub(super) struct Journal {
    /// The session's folder. It is kept open, because another program may rename it.
    folder: File,
    path: PathBuf,
    file: File,
    /// Size of `file`.
    bytes: u64,
    /// Whether the file may end in the middle of a line.
    torn: bool,
    /// Events that could not be written since the last successful write.
    failed: u64,
}

impl Journal {
    /// Opens the file in `folder`, or creates it.
    pub(super) fn open(folder: &Path) -> io::Result<Journal> {
        let path = folder.join(EVENTS_FILE);
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

    /// Writes the events, in one call if they fit. Makes them durable if one of them is a warning or must outlive a
    /// power cut.
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
            // End the incomplete line, so that the next event has a line of its own.
            self.file.write_all(b"\n")?;
            self.bytes += 1;
        }
        self.file.write_all(text)?;
        self.bytes += text.len() as u64;
        Ok(())
    }

    /// Renames the file to `events.1.jsonl`, which replaces the one before, and creates a new file.
    fn rotate(&mut self) -> io::Result<()> {
        renameat(&self.folder, EVENTS_FILE, &self.folder, EARLIER_EVENTS_FILE)?;
        (self.file, self.bytes) = open(&self.folder)?;
        self.torn = false;
        Ok(())
    }
}

/// Opens the file to append. Accepts only a regular file with one name: a session may come from anywhere, and a link in
/// it must not make the program write into another file.
fn open(folder: &File) -> io::Result<(File, u64)> {
    let not_ours = || io::Error::other("it is a link or no ordinary file");
    let access = OFlag::O_RDWR | OFlag::O_APPEND | OFlag::O_CREAT;
    let file = match open_regular_at(folder, EVENTS_FILE, access, Mode::from_bits_truncate(0o666)) {
        Err(OpenError::NotRegular) => return Err(not_ours()),
        opened => opened?,
    };
    let data = file.metadata()?;
    if data.nlink() == 1 { Ok((file, data.len())) } else { Err(not_ours()) }
}
