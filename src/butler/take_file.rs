//! One take's WAV file while it is recorded: reserve, runs of sound, header, end. Thread: committer.

use super::capabilities::Capabilities;
use crate::file_system;
use crate::limits;
use crate::message::offset::FileByte;
use crate::message::take::{TakeEnd, TakePlan};
use crate::time::Frames;
use crate::wav::header::Header;
use memmap2::MmapMut;
use nix::fcntl::{FallocateFlags, PosixFadviseAdvice, fallocate, posix_fadvise};
use nix::sys::uio::pwritev;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What is said where blocks cannot be had ahead.
const NO_RESERVE: &str = "no fallocate here: blocks are not reserved, a full disk is noticed late";

/// The file of a take that is open.
pub struct TakeFile {
    /// Where it is.
    pub path: PathBuf,
    header: Header,
    /// For the header, which goes through the page cache: readers see it at once and the sync's sync writes it.
    file: Arc<File>,
    /// For sound, opened with `O_DIRECT`.
    o_direct_file: Option<File>,
    reserve: bool,
    page: MmapMut,
    /// Bytes of the file for which there are blocks.
    reserved: FileByte,
    /// End of the sound that was written, a byte of the file.
    written: FileByte,
    /// The same when it was last made durable.
    durable: FileByte,
    /// What the header says.
    header_end: FileByte,
    /// Whether anything was written since.
    unsynced: bool,
}

impl TakeFile {
    /// Makes the file, its reserve and its first header. Nothing that was there is touched. Says in
    /// `notes` what could not be had.
    pub fn create(
        plan: &TakePlan,
        capabilities: &Capabilities,
        o_direct: bool,
        ahead: Duration,
        notes: &mut Vec<String>,
    ) -> io::Result<TakeFile> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o644).open(&plan.path)?;
        TakeFile::prepare(file, plan, capabilities, o_direct, ahead, notes).inspect_err(|_| {
            // Made a moment ago, exclusively, and without a sample in it: what it holds of the disk goes back.
            std::fs::remove_file(&plan.path).ok();
        })
    }

    fn prepare(
        file: File,
        plan: &TakePlan,
        capabilities: &Capabilities,
        o_direct: bool,
        ahead: Duration,
        notes: &mut Vec<String>,
    ) -> io::Result<TakeFile> {
        let mut take = TakeFile {
            path: plan.path.clone(),
            header: plan.header.clone(),
            file: Arc::new(file),
            o_direct_file: None,
            reserve: capabilities.reserve,
            page: MmapMut::map_anon(limits::PAGE_BYTES)?,
            reserved: FileByte::DATA,
            written: FileByte::DATA,
            durable: FileByte::DATA,
            header_end: FileByte::DATA,
            unsynced: false,
        };
        if !capabilities.reserve {
            notes.push(NO_RESERVE.to_owned());
        }
        take.reserve_ahead(ahead, notes)?;
        take.write_header(FileByte::DATA)?;
        take.file.sync_all()?;
        if o_direct && capabilities.o_direct {
            // Tried with the header, since some file systems accept the flag and refuse the write.
            // Not by its path: another program may have moved the folder.
            let path = format!("/proc/self/fd/{}", take.file.as_raw_fd());
            let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_DIRECT).open(path);
            take.o_direct_file = file.ok().filter(|file| file.write_all_at(&take.page, 0).is_ok());
        }
        if o_direct && take.o_direct_file.is_none() {
            notes.push("no O_DIRECT here: takes are written through the page cache".to_owned());
        }
        Ok(take)
    }

    /// The open file, for `in-place` windows.
    pub fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Bytes of one frame.
    pub fn frame_bytes(&self) -> usize {
        self.header.frame_bytes()
    }

    /// Bytes for which there are blocks and no sound yet.
    pub fn reserved_bytes(&self) -> u64 {
        if self.reserve { self.reserved.0.saturating_sub(self.written.0) } else { 0 }
    }

    /// Bytes a second.
    pub fn speed(&self) -> u64 {
        u64::from(self.header.rate) * self.frame_bytes() as u64
    }

    /// End of the sound that is in the file, a byte of it.
    pub fn written(&self) -> FileByte {
        self.written
    }

    /// End of the sound that outlives a power cut, a byte of the file.
    pub fn durable(&self) -> FileByte {
        self.durable
    }

    /// Whether something of it may not outlive a power cut.
    pub fn is_unsynced(&self) -> bool {
        self.unsynced
    }

    /// Whether the header says less than up to byte `end`.
    pub fn header_ends_before(&self, end: FileByte) -> bool {
        self.header_end < end
    }

    /// Sees to it that there are blocks for what comes in the next time, at most [`limits::RESERVE_SECONDS`]. Returns
    /// whether anything was done.
    pub fn reserve_ahead(&mut self, ahead: Duration, notes: &mut Vec<String>) -> io::Result<bool> {
        let ahead = ahead.as_millis() as u64 * self.speed() / 1000;
        if self.written + ahead / 2 < self.reserved {
            return Ok(false);
        }
        let page = limits::PAGE_BYTES as u64;
        let end = FileByte((self.written + ahead).0.next_multiple_of(page)).max(self.reserved + page);
        if self.reserve {
            let (from, bytes) = (self.reserved.0 as i64, (end - self.reserved) as i64);
            match fallocate(&*self.file, FallocateFlags::empty(), from, bytes) {
                Ok(()) => {}
                Err(nix::errno::Errno::EOPNOTSUPP | nix::errno::Errno::ENOSYS) => {
                    self.reserve = false;
                    notes.push(NO_RESERVE.to_owned());
                }
                Err(error) => return Err(error.into()),
            }
        }
        if !self.reserve {
            match self.file.set_len(end.0) {
                // There a file grows by being written, and by nothing else.
                Err(error) if file_system::grows_by_writes(&error) => {}
                other => other?,
            }
        }
        self.reserved = end;
        Ok(true)
    }

    /// Writes `parts` side by side, from byte `offset` on: whole pages.
    pub fn write_run(&mut self, offset: FileByte, mut parts: &mut [IoSlice]) -> io::Result<()> {
        let (began, mut offset) = (offset.0, offset.0);
        debug_assert!(offset.is_multiple_of(limits::PAGE_BYTES as u64));
        self.unsynced = true;
        // Empty ones at the end go too.
        IoSlice::advance_slices(&mut parts, 0);
        while !parts.is_empty() {
            let file = self.o_direct_file.as_ref().unwrap_or(&self.file);
            let done = match pwritev(file, parts, offset as i64) {
                // Whole pages only: what O_DIRECT has cut short goes again from a page's start.
                Ok(bytes) if self.o_direct_file.is_some() => bytes / limits::PAGE_BYTES * limits::PAGE_BYTES,
                Ok(bytes) => bytes,
                Err(nix::errno::Errno::EINTR) => continue,
                Err(error) => return Err(error.into()),
            };
            if done == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            offset += done as u64;
            IoSlice::advance_slices(&mut parts, done);
        }
        if self.o_direct_file.is_none() {
            // The page cache is for those who will read it soon: start to write, keep nothing for long.
            crate::window::map::write_behind(&self.file, began, offset - began).ok();
        }
        Ok(())
    }

    /// Sound up to byte `end` of the file is in it.
    pub fn note_written(&mut self, end: FileByte) {
        self.written = self.written.max(end);
    }

    /// Has the header say that there is sound up to byte `end`, so that other programs see it.
    pub fn write_header(&mut self, end: FileByte) -> io::Result<()> {
        let frame_bytes = self.frame_bytes() as u64;
        self.header.data_bytes = (end - FileByte::DATA) / frame_bytes * frame_bytes;
        self.page.copy_from_slice(&*self.header.build());
        self.file.write_all_at(&self.page, 0)?;
        self.header_end = end;
        if self.o_direct_file.is_some() {
            // Only the header goes through the page cache, and its page holds no sound.
            crate::window::map::write_behind(&self.file, 0, limits::DATA_OFFSET).ok();
        }
        Ok(())
    }

    /// Makes durable what was written. After an error nothing is known of what was written since the last success: the
    /// kernel tells of a failure once and forgets the pages.
    pub fn sync(&mut self) -> io::Result<()> {
        let written = self.written;
        self.file.sync_data()?;
        (self.durable, self.unsynced) = (written, false);
        if self.o_direct_file.is_none() {
            posix_fadvise(&*self.file, 0, written.0 as i64, PosixFadviseAdvice::POSIX_FADV_DONTNEED).ok();
        }
        Ok(())
    }

    /// The take ends: exact length, final header, durable, under a name. `frames` are those of this file. Returns the name
    /// if another program had taken it away.
    pub fn finish(&mut self, frames: Frames, end: &TakeEnd) -> io::Result<Option<PathBuf>> {
        self.header.data_bytes = frames.0 * self.frame_bytes() as u64;
        self.header.bext.time_reference = end.began.0;
        if !end.history.is_empty() {
            end.history.clone_into(&mut self.header.bext.coding_history);
        }
        let end = self.header.file_bytes();
        // Longer only when the last stretch was lost and never written: silence. In two steps: a pad byte is nought, not
        // the first byte of what was cut off.
        file_system::set_length(&self.file, limits::DATA_OFFSET + self.header.data_bytes)?;
        file_system::set_length(&self.file, end)?;
        self.page.copy_from_slice(&*self.header.build());
        self.file.write_all_at(&self.page, 0)?;
        self.file.sync_all()?;
        restore_removed_file(&self.file)
    }
}

/// Gives a file that another program has removed while it was open its name again, with a copy of what is in it. Returns
/// the name; `None`: it has one.
fn restore_removed_file(file: &File) -> io::Result<Option<PathBuf>> {
    let Some(path) = file_system::path_of(file).and_then(|now| file_system::removed_from(&now)) else {
        return Ok(None);
    };
    let folder = path.parent().ok_or(io::ErrorKind::NotFound)?;
    std::fs::create_dir_all(folder)?;
    let mut replica = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path)?;
    let copied = io::copy(&mut io::BufReader::new(file), &mut replica).and_then(|_| replica.sync_all());
    copied.inspect_err(|_| {
        // What is half there would be taken for the take.
        std::fs::remove_file(&path).ok();
    })?;
    File::open(folder).and_then(|folder| folder.sync_all()).ok();
    Ok(Some(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::TakeFormat;
    use crate::message::offset::FileByte;
    use crate::message::take::TakeKey;
    use crate::time::FramePos;
    use uuid::Uuid;

    fn plan(folder: &std::path::Path) -> TakePlan {
        TakePlan {
            key: TakeKey(1),
            identity: Uuid::new_v4(),
            session: Uuid::new_v4(),
            path: folder.join("t-1.wav"),
            header: Header::new(1, 48_000, TakeFormat::S24),
            pair: None,
        }
    }

    #[test]
    fn a_take_is_readable_while_it_grows_and_exact_at_its_end_with_every_means() {
        for without in [vec![], vec!["o_direct".to_owned()], vec!["o_direct".to_owned(), "fallocate".to_owned()]] {
            let folder = tempfile::tempdir().unwrap();
            let (capabilities, mut notes) = (Capabilities::probe(&without), Vec::new());
            let mut take =
                TakeFile::create(&plan(folder.path()), &capabilities, true, Duration::from_secs(30), &mut notes)
                    .unwrap();
            assert_eq!(notes.is_empty(), without.is_empty(), "{notes:?}");
            let memory = MmapMut::map_anon(12_288).unwrap();
            take.write_run(FileByte(4096), &mut [IoSlice::new(&memory[..4096]), IoSlice::new(&memory[4096..])])
                .unwrap();
            take.note_written(FileByte(4096 + 12_288));
            take.sync().unwrap();
            assert!(!take.is_unsynced() && take.header_ends_before(take.durable()));
            take.write_header(take.durable()).unwrap();
            assert_eq!(hound::WavReader::open(&take.path).unwrap().duration(), 4096);
            let end = TakeEnd { frames: Frames(4095), began: FramePos(7), history: "A=PCM".to_owned() };
            take.finish(end.frames, &end).unwrap();
            let reader = hound::WavReader::open(&take.path).unwrap();
            assert_eq!((reader.duration(), reader.spec().bits_per_sample), (4095, 24));
            assert_eq!(
                std::fs::metadata(&take.path).unwrap().len(),
                4096 + 4095 * 3 + 1,
                "a pad byte after an odd size"
            );
        }
    }

    #[test]
    fn a_file_that_is_there_is_never_touched() {
        let folder = tempfile::tempdir().unwrap();
        let plan = plan(folder.path());
        std::fs::write(&plan.path, "mine").unwrap();
        let error = TakeFile::create(&plan, &Capabilities::probe(&[]), true, Duration::from_secs(30), &mut Vec::new())
            .err()
            .unwrap();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&plan.path).unwrap(), b"mine");
    }
}
