//! The WAV file of a take that is recorded: reserved blocks, sound, header, end. Thread: committer.

mod change_mark;
mod last_data;
mod o_direct;
#[cfg(test)]
mod tests;

use super::capabilities::Capabilities;
use super::put_back;
use super::take_place::TakePlace;
use crate::file_system;
use crate::host::disk;
use crate::limits;
use crate::message::offset::{FileByte, FileStart, SpoolByte};
use crate::message::replica::{FilledGap, Gap};
use crate::message::take::{TakeEnd, TakePlan};
use crate::time::Frames;
use crate::wav::header::Header;
use last_data::{LastData, Tail, has_byte_before};
use memmap2::MmapMut;
use nix::errno::Errno;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use o_direct::{open_o_direct, size_refusal};
use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The note for file systems on which blocks cannot be reserved.
const NO_RESERVE: &str = "no fallocate here: blocks are not reserved, a full disk is noticed late";

/// Bytes of a header that tell it from every other one.
const HEADER_START_BYTES: usize = 128;

/// A change of a file by another program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The end of the sound that the file had.
    pub had: FileByte,
    /// Whether the file is shorter. Otherwise the program has written to it.
    pub is_shorter: bool,
    /// The byte at which the file was cut. `None`: it was not cut, or it has got longer since.
    pub cut_at: Option<FileByte>,
}

/// The sound that a header does not give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderLag {
    /// The header gives all of the sound.
    Nothing,
    /// So much is missing at the end.
    Part(Duration),
    /// The header gives no sound, or it must be written in any case.
    All,
}

/// The WAV file of an open take.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the file")]
pub struct TakeFile {
    /// Path of the file.
    pub path: PathBuf,
    /// Where the session finds the file.
    place: TakePlace,
    header: Header,
    /// For the header, which goes through the page cache: other programs see it at once, and the next sync makes it
    /// durable.
    file: Arc<File>,
    /// For sound, opened with `O_DIRECT`.
    o_direct_file: Option<File>,
    reserve: bool,
    page: MmapMut,
    /// End of the reserved blocks.
    reserved: FileByte,
    /// End of the sound in the file.
    written: FileByte,
    /// End of what was written to the file. A file that is shorter was cut by another program.
    stored: FileByte,
    /// Whether the disk refused the last header, or the last sync.
    header_refused: bool,
    /// An end of what was in the file at the last look for changes: the byte before it was written.
    looked_end: FileByte,
    /// The last bytes of the last write of sound, and of the last one before that look.
    tail: Option<Tail>,
    looked_tail: Option<Tail>,
    /// End of the sound that was in the file at the last successful sync.
    durable: FileByte,
    /// End of the sound according to the header.
    header_end: FileByte,
    /// Whether the last header that was written is surely the one in `page`.
    header_is_known: bool,
    /// Whether the header must be written again, because the file may have another one, or none.
    header_is_due: bool,
    /// Whether another program has changed the file, and its sound is being copied from the other replica.
    is_in_repair: bool,
    /// The bytes at which another program has cut the file, as long as that is so.
    repair_cuts: Vec<FileByte>,
    /// Whether the header on the disk may not say that another program has changed the file.
    mark_is_volatile: bool,
    /// Whether the file system gives a file that is removed no other name while it is open.
    keeps_no_removed_name: bool,
    /// Whether the last call of [`TakeFile::find_change`] found that the file has a name.
    has_name: bool,
    /// The folder could not be made durable after the file was made in it: a power cut may take the name.
    has_volatile_name: bool,
    /// Whether the end of the file has found that another program cut it. The next look reports it.
    was_cut_at_end: bool,
    /// The byte at which it was cut then, if that is known.
    cut_at_end: Option<FileByte>,
    /// Whether the file had more than one name. Then a single name need not be the one that the session lists.
    was_linked: bool,
    /// Whether sound was written since the last successful sync.
    unsynced: bool,
    /// Where the sound of this file begins in the take.
    start: FileStart,
    /// Gaps that were written since the last successful sync.
    filled: Vec<FilledGap>,
}

impl TakeFile {
    /// Creates the file for the sound from `start` on, reserves blocks and writes the first header, which
    /// [`TakeFile::make_durable`] makes durable. Fails if the file exists. Adds missing capabilities to `notes`.
    pub fn create(
        plan: &TakePlan,
        start: FileStart,
        capabilities: &Capabilities,
        ahead: Duration,
        notes: &mut Vec<String>,
    ) -> io::Result<TakeFile> {
        let file = disk::create(OpenOptions::new().read(true).write(true).mode(0o666), &plan.path)?;
        TakeFile::prepare(file, plan, start, capabilities, ahead, notes).inspect_err(|_| {
            // The file was created a moment ago, exclusively, and contains no sample. Remove it to free its blocks.
            disk::remove(&plan.path).ok();
        })
    }

    fn prepare(
        file: File,
        plan: &TakePlan,
        start: FileStart,
        capabilities: &Capabilities,
        ahead: Duration,
        notes: &mut Vec<String>,
    ) -> io::Result<TakeFile> {
        let mut take = TakeFile {
            path: plan.path.clone(),
            place: TakePlace::of(&plan.path),
            header: plan.header.clone(),
            keeps_no_removed_name: file_system::keeps_no_removed_name(&file),
            file: Arc::new(file),
            o_direct_file: None,
            reserve: capabilities.reserve,
            page: MmapMut::map_anon(limits::PAGE_BYTES)?,
            reserved: FileByte::DATA,
            written: FileByte::DATA,
            stored: FileByte::DATA,
            looked_end: FileByte::DATA,
            header_refused: false,
            durable: FileByte::DATA,
            header_end: FileByte::DATA,
            header_is_known: false,
            header_is_due: false,
            is_in_repair: false,
            repair_cuts: Vec::new(),
            mark_is_volatile: false,
            tail: None,
            looked_tail: None,
            has_name: false,
            has_volatile_name: false,
            was_cut_at_end: false,
            cut_at_end: None,
            was_linked: false,
            unsynced: false,
            start,
            filled: Vec::new(),
        };
        if !capabilities.reserve {
            notes.push(NO_RESERVE.to_owned());
        }
        take.reserve_ahead(ahead, notes)?;
        take.write_header(FileByte::DATA)?;
        Ok(take)
    }

    /// Makes a new file durable, and opens it with `O_DIRECT` if that is wanted and possible. A pass creates all files
    /// first: the file system then makes them durable at once, and not one after the other.
    pub fn make_durable(
        &mut self,
        capabilities: &Capabilities,
        o_direct: bool,
        notes: &mut Vec<String>,
    ) -> io::Result<()> {
        disk::sync_all(&self.file)?;
        if o_direct && capabilities.o_direct {
            self.o_direct_file = open_o_direct(&self.file, &self.page);
        }
        if o_direct && self.o_direct_file.is_none() {
            notes.push("no O_DIRECT here: takes are written through the page cache".to_owned());
        }
        Ok(())
    }

    /// The open file. In `in-place`, windows map it.
    pub fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Where the sound of this file begins in the take.
    pub fn start(&self) -> FileStart {
        self.start
    }

    /// Bytes of one frame.
    pub fn frame_bytes(&self) -> usize {
        self.header.frame_bytes()
    }

    /// Bytes of reserved blocks that contain no sound yet.
    pub fn reserved_bytes(&self) -> u64 {
        if self.reserve { self.reserved.0.saturating_sub(self.written.0) } else { 0 }
    }

    /// Bytes of sound in a second.
    pub fn speed(&self) -> u64 {
        u64::from(self.header.rate) * self.frame_bytes() as u64
    }

    /// End of the sound in the file.
    pub fn written(&self) -> FileByte {
        self.written
    }

    /// End of the sound that outlives a power cut.
    pub fn durable(&self) -> FileByte {
        self.durable
    }

    /// Whether sound in the file may not outlive a power cut.
    pub fn is_unsynced(&self) -> bool {
        // Silence that was passed over is in the file without a write. It counts as durable after a sync too.
        self.unsynced || self.durable < self.written
    }

    /// How much of the sound before `end` the header does not give.
    pub fn header_lag(&self, end: FileByte) -> HeaderLag {
        if self.header_is_due {
            return HeaderLag::All;
        }
        match end.0.saturating_sub(self.header_end.0) {
            0 => HeaderLag::Nothing,
            _ if self.header_end == FileByte::DATA => HeaderLag::All,
            bytes => HeaderLag::Part(Duration::from_millis(bytes * 1000 / self.speed().max(1))),
        }
    }

    /// Whether the header must be written again, whatever it gives.
    pub fn is_header_due(&self) -> bool {
        self.header_is_due
    }

    /// Reserves blocks for the sound of the next `ahead`, at most [`limits::RESERVE_SECONDS`]. Returns whether anything
    /// was done.
    pub fn reserve_ahead(&mut self, ahead: Duration, notes: &mut Vec<String>) -> io::Result<bool> {
        let ahead = ahead.as_millis() as u64 * self.speed() / 1000;
        if self.written + ahead / 2 < self.reserved {
            return Ok(false);
        }
        let page = limits::PAGE_BYTES as u64;
        let end = FileByte((self.written + ahead).0.next_multiple_of(page)).max(self.reserved + page);
        if self.reserve {
            match disk::reserve(&self.file, self.reserved.0, end - self.reserved) {
                Ok(()) => {}
                Err(nix::errno::Errno::EOPNOTSUPP | nix::errno::Errno::ENOSYS) => {
                    self.reserve = false;
                    notes.push(NO_RESERVE.to_owned());
                }
                Err(error) => return Err(error.into()),
            }
        }
        if !self.reserve {
            match disk::set_length(&self.file, end.0) {
                // On this file system a file gets longer by writes only.
                Err(error) if file_system::is_growth_refused(&error) => {}
                other => other?,
            }
        }
        self.reserved = end;
        Ok(true)
    }

    /// The file to write sound to.
    pub fn sound_file(&self) -> &File {
        self.o_direct_file.as_ref().unwrap_or(&self.file)
    }

    /// Sound is going to be written.
    pub fn begin_write(&mut self) {
        self.unsynced = true;
    }

    /// The number of bytes of a write of sound that count. 0: write them again. `end`: the end of the bytes that were to be
    /// written. The error is `EFBIG` if no file may become that large.
    pub fn accepted(&self, result: Result<usize, Errno>, end: FileByte) -> io::Result<u64> {
        let is_o_direct = self.o_direct_file.is_some();
        match result {
            // Count whole pages only: a write with O_DIRECT that was cut short continues at the start of a page.
            Ok(bytes) if is_o_direct && limits::PAGE_BYTES <= bytes => {
                Ok((bytes / limits::PAGE_BYTES * limits::PAGE_BYTES) as u64)
            }
            Ok(bytes) if !is_o_direct && bytes > 0 => Ok(bytes as u64),
            Ok(_) => Err(size_refusal(&self.file, end).unwrap_or_else(|| io::ErrorKind::WriteZero.into())),
            Err(Errno::EINTR) => Ok(0),
            Err(error @ Errno::EINVAL) => Err(size_refusal(&self.file, end).unwrap_or_else(|| error.into())),
            Err(error) => Err(error.into()),
        }
    }

    /// The sound before `end` was stored through a mapping of the file, in `in-place`.
    pub fn note_stored(&mut self, end: FileByte) {
        self.stored = self.stored.max(end);
    }

    /// The `bytes` bytes from `offset` on are written.
    pub fn end_write(&mut self, offset: FileByte, bytes: u64) {
        self.stored = self.stored.max(offset + bytes);
        if self.o_direct_file.is_none() {
            // Start writing back now: the page cache should not hold much of a take.
            crate::window::map::write_behind(&self.file, offset.0, bytes).ok();
        }
    }

    /// Writes `parts` one after the other from `offset` on: whole pages.
    pub fn write_run(&mut self, offset: FileByte, mut parts: &mut [IoSlice]) -> io::Result<()> {
        let (mut at, end) = (offset, offset + parts.iter().map(|part| part.len() as u64).sum::<u64>());
        debug_assert!(at.0.is_multiple_of(limits::PAGE_BYTES as u64));
        self.begin_write();
        // This also removes empty slices at the end.
        IoSlice::advance_slices(&mut parts, 0);
        while !parts.is_empty() {
            let bytes = self.accepted(disk::write_parts_at(self.sound_file(), parts, at.0), end)?;
            at = at + bytes;
            IoSlice::advance_slices(&mut parts, bytes as usize);
        }
        self.end_write(offset, at - offset);
        Ok(())
    }

    /// Everything since the last successful sync is to be written again.
    pub fn forget_unsynced(&mut self) {
        self.written = self.durable;
    }

    /// Forgets gaps that were written and are not durable: they remain gaps, of the next file too.
    pub fn forget_filled(&mut self) {
        self.filled.clear();
    }

    /// Writes the sound of a gap. The gap counts as filled when the next sync has succeeded.
    pub fn fill(&mut self, gap: Gap, bytes: &[u8]) -> io::Result<()> {
        let start = self.start;
        let filled = gap.write_to(start, |at| self.write_run(at, &mut [IoSlice::new(bytes)]))?;
        self.note_written(start.to_file(filled.end()));
        self.filled.push(filled);
        Ok(())
    }

    /// Whether another program has changed the file since the last call, as far as its length and its header show. `is_cut`: an
    /// access to a mapping of the file has found that it is shorter.
    pub fn find_change(&mut self, is_cut: bool) -> Option<Change> {
        self.has_name = false;
        let found = self.file.metadata().ok()?;
        self.was_linked |= 1 < found.nlink();
        self.has_name = self.keeps_no_removed_name && found.nlink() == 1 && !self.was_linked;
        let length = FileByte(found.len()).max(FileByte::DATA);
        let had = self.stored.min(self.written);
        // Other file systems can keep written zeros as a hole. The file systems that keep no removed name track holes too.
        let is_holed = self.keeps_no_removed_name
            && self.looked_end < self.stored
            && !has_byte_before(&self.file, self.looked_end.0);
        let is_shorter = is_cut || std::mem::take(&mut self.was_cut_at_end) || length < had || is_holed;
        self.stored = self.stored.min(length);
        self.looked_tail = self.tail.take().or(self.looked_tail.take()).filter(|_| !is_shorter);
        // The last page may have been written whole. Where more lies behind `written`, what is before it may be a gap.
        let is_known = self.stored.0 < self.written.0 + limits::PAGE_BYTES as u64;
        self.looked_end = if is_known && !is_shorter { self.end_to_look_at() } else { FileByte::DATA };
        if is_shorter {
            // The blocks behind the cut are not reserved any more.
            let page = limits::PAGE_BYTES as u64;
            self.reserved = self.reserved.min(FileByte(length.0 / page * page));
        }
        let cut_at = Some(length).filter(|length| *length < had).or(self.cut_at_end.take());
        let has_other_header = self.header_is_known && !self.has_own_header();
        self.header_is_known &= !has_other_header;
        (is_shorter || has_other_header).then_some(Change { had, is_shorter, cut_at })
    }

    /// The byte before the end is data, and a cut makes a hole of it. The next write may begin with the last page again and fill that
    /// hole, so it lies before that page, unless silence does.
    fn end_to_look_at(&self) -> FileByte {
        let end = self.stored.min(self.written);
        let page = FileByte(end.0 / limits::PAGE_BYTES as u64 * limits::PAGE_BYTES as u64);
        if self.keeps_no_removed_name && has_byte_before(&self.file, page.0) { page } else { end }
    }

    /// The number by which a recovery knows the file. `None`: on this file system it can be another one after some time.
    pub fn lasting_number(&self) -> Option<u64> {
        let found = self.keeps_no_removed_name.then(|| self.file.metadata().ok()).flatten();
        found.map(|found| found.ino())
    }

    /// Whether the disk refused the last header, or the last sync. A disk that is full refuses sound and takes headers.
    pub fn header_refused(&self) -> bool {
        self.header_refused
    }

    /// Whether the file surely had a name at the last call of [`TakeFile::find_change`]. The question which name it has costs
    /// as much as a write of the header.
    pub fn has_name(&self) -> bool {
        self.has_name
    }

    /// Whether the header is the one that was written last. A program that saves an older copy over the file, or a file of its
    /// own, leaves another one.
    fn has_own_header(&self) -> bool {
        // The length of the sound is there, and changes with each header.
        let mut start = [0; HEADER_START_BYTES];
        match disk::read_exact_at(&self.file, &mut start, 0) {
            Ok(()) => start == self.page[..HEADER_START_BYTES],
            // A file that is shorter is found by its length. An error of the disk says nothing about other programs.
            Err(_) => true,
        }
    }

    /// End of the gaps that were written and are not durable yet; the start of the file if there is none.
    pub fn filled_end(&self) -> SpoolByte {
        self.filled.iter().map(FilledGap::end).max().unwrap_or(self.start.0)
    }

    /// The sound before `end` is in the file.
    pub fn note_written(&mut self, end: FileByte) {
        self.written = self.written.max(end);
    }

    /// Writes a header that gives sound up to `end`, so that other programs see the sound. A header never gives less than the
    /// one before: after a power cut, a recovery would cut off what an earlier header has claimed.
    ///
    /// Returns whether it was written. A header of another program stays until [`TakeFile::find_change`] has seen it, because
    /// nothing else shows that this program has changed the file.
    pub fn write_header(&mut self, end: FileByte) -> io::Result<bool> {
        if self.header_is_known && !self.has_own_header() {
            self.header_is_due = true;
            return Ok(false);
        }
        let (end, frame_bytes) = (end.max(self.header_end), self.frame_bytes() as u64);
        self.header.data_bytes = (end - FileByte::DATA) / frame_bytes * frame_bytes;
        let mut header = Cow::Borrowed(&self.header);
        if self.is_in_repair {
            self.note_repair(&mut header.to_mut().bext);
        }
        self.page.copy_from_slice(&*header.build());
        (self.header_is_known, self.header_refused) = (false, true);
        disk::write_all_at(&*self.file, &self.page, 0)?;
        (self.header_is_known, self.header_refused) = (true, false);
        self.header_end = end;
        // A header that replaces another one must be durable even if no sound follows.
        self.unsynced |= std::mem::take(&mut self.header_is_due);
        if self.o_direct_file.is_some() {
            // Only the header goes through the page cache, and its page contains no sound.
            crate::window::map::write_behind(&self.file, 0, limits::DATA_OFFSET).ok();
        }
        Ok(true)
    }

    /// Makes everything in the file durable. Returns the gaps that are filled now.
    pub fn sync(&mut self) -> io::Result<Vec<FilledGap>> {
        let result = disk::sync_data(&self.file);
        self.synced(result)
    }

    /// The file was made durable, with this result, and nothing was written meanwhile. Returns the gaps that are filled
    /// now. After an error, everything written since the last success may be lost: the kernel reports a failure once and
    /// drops the pages. So gaps that were written since then remain gaps.
    pub fn synced(&mut self, result: io::Result<()>) -> io::Result<Vec<FilledGap>> {
        let (written, filled) = (self.written, std::mem::take(&mut self.filled));
        if let Err(error) = result {
            self.written = self.durable;
            // The kernel may have dropped the page of the header, too.
            (self.header_is_known, self.header_is_due, self.header_refused) = (false, true, true);
            self.mark_is_volatile = true;
            (self.tail, self.looked_tail, self.looked_end) = (None, None, FileByte::DATA);
            return Err(error);
        }
        (self.durable, self.unsynced, self.header_refused) = (written, false, false);
        self.mark_is_volatile &= self.header_is_due;
        if self.o_direct_file.is_none() {
            posix_fadvise(&*self.file, 0, written.0 as i64, PosixFadviseAdvice::POSIX_FADV_DONTNEED).ok();
        }
        Ok(filled)
    }

    /// Puts the file back if another program has removed or replaced it. A file whose folder was removed as well is put
    /// back by [`TakeFile::finish`]: somebody may be removing the whole session at this moment. Returns the message for the user. The next sync
    /// makes what was copied durable.
    pub fn put_back_if_removed(&mut self) -> io::Result<Option<String>> {
        let end = self.written.0.max(limits::DATA_OFFSET);
        let Some(put_back) = put_back::put_back(&self.file, &self.path, end, false)? else { return Ok(None) };
        let text = put_back.text();
        self.has_volatile_name = !put_back.has_durable_name;
        self.path = put_back.path;
        // The copy ends with the written sound.
        (self.tail, self.looked_tail) = (None, None);
        self.file = Arc::new(put_back.file);
        self.o_direct_file = self.o_direct_file.take().and_then(|_| open_o_direct(&self.file, &self.page));
        (self.reserved, self.unsynced) = (FileByte(end), true);
        self.stored = self.stored.min(self.reserved);
        Ok(Some(text))
    }

    /// Ends the file: exact length, final header, durable, with a name, in its place. `frames` is the length of this file.
    /// Returns the message for the user if the file was put back or moved back.
    pub fn finish(&mut self, frames: Frames, end: &TakeEnd) -> io::Result<Option<String>> {
        self.header.data_bytes = frames.0 * self.frame_bytes() as u64;
        self.header.bext.time_reference = end.began.0.saturating_sub(end.latency.0);
        if !end.history.is_empty() {
            let before = self.header.bext.clone();
            end.history.clone_into(&mut self.header.bext.coding_history);
            self.header.bext.keep_changes(&before);
        }
        let end = self.header.file_bytes();
        let end_of_sound = limits::DATA_OFFSET + self.header.data_bytes;
        let last = LastData::before(&self.file, end_of_sound, self.keeps_no_removed_name)?;
        let length = self.file.metadata()?.len();
        let was_cut = length < self.stored.min(self.written).0.min(end_of_sound);
        // The file gets longer only if its last frames were lost and never written: they are silence. Two steps, so
        // that the pad byte is 0 and not the first byte of the part that was cut off.
        file_system::set_length(&self.file, end_of_sound)?;
        file_system::set_length(&self.file, end)?;
        // On a slow disk another program can cut the file between the last look and these calls, which then fill it with zeros.
        if was_cut || !last.is_in(&self.file, self.keeps_no_removed_name)? {
            self.was_cut_at_end = true;
            self.cut_at_end = was_cut.then_some(FileByte(length).max(FileByte::DATA));
            return Err(io::Error::other("another program cut it short"));
        }
        if self.header_is_known && !self.has_own_header() {
            return Err(io::Error::other("another program wrote to it"));
        }
        self.stored = self.stored.min(FileByte(end));
        self.page.copy_from_slice(&*self.header.build());
        self.header_is_known = false;
        disk::write_all_at(&*self.file, &self.page, 0)?;
        disk::sync_all(&self.file)?;
        self.header_is_known = true;
        let put_back = put_back::put_back(&self.file, &self.path, u64::MAX, true)?;
        let text = put_back.as_ref().map(put_back::PutBack::text);
        if let Some(put_back) = put_back {
            self.file = Arc::new(put_back.file);
            self.has_volatile_name |= !put_back.has_durable_name;
        }
        let brought_back = self.place.bring_back(&self.file)?;
        self.has_volatile_name |= !brought_back.has_durable_name;
        let text = brought_back.text.or(text);
        self.make_name_durable()?;
        Ok(text)
    }

    /// The folder of the file could not be made durable. [`TakeFile::make_name_durable`] does it.
    pub fn note_volatile_name(&mut self) {
        self.has_volatile_name = true;
    }

    /// Makes the folder of the file durable, if that has failed before. Until then a power cut can cost the whole file.
    pub fn make_name_durable(&mut self) -> io::Result<()> {
        if self.has_volatile_name {
            // Another program may have moved the folder.
            let now = file_system::path_of(&self.file);
            let folder = now.as_deref().unwrap_or(&self.path).parent().ok_or(io::ErrorKind::NotFound)?;
            disk::sync_folder_at(folder)?;
            self.has_volatile_name = false;
        }
        Ok(())
    }
}
