//! The WAV file of a take that was cut off, and the copy of sound into it. Thread: any that may wait for the disk.
//!
//! The file is opened inside the session's folder, never through a link. It is written only if its header carries the
//! take's identity. Every byte has only one place, so an interrupted recovery is completed by another one.

use super::Step;
use super::damage::is_copy;
use super::evidence::{BEYOND_ANY_FILE, Extent, FoundSpool};
use super::part_files::sound_end;
use super::ranges::holes;
use crate::file_system::{OpenError, knows_holes, open_regular, set_length};
use crate::host::disk;
use crate::limits::{DATA_OFFSET, PAGE_BYTES};
use crate::session::session_file::{OpenSession, SessionError};
use crate::session::{Session, Take, TakeState};
use crate::time::{FramePos, Frames};
use crate::wav::bext::{Bext, CHANGED_BY_OTHERS, EXPORT_REMARK, UNFINISHED, UNFINISHED_IN_PLACE, coding_history_line};
use crate::wav::header::{HEADER_BYTES, Header, has_reference, header_data_bytes, reference_in};
use crate::wav::parse::{Encoding, Layout, parse};
use nix::unistd::Whence;
use std::fs::File;
use std::io::{self, BufReader, Cursor};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use uuid::Uuid;

/// Bytes that are copied or compared at once.
pub(super) const PIECE_BYTES: usize = 1 << 20;

/// Part of the coding history of a take that a recovery has finished.
const RECOVERED: &str = "cut off and recovered";

/// A header claims the durable sound of one of the last four syncs. After a loss has ended, it can wait three seconds for a save.
const HEADER_LAG_SECONDS: u64 = 8;

/// The file of a take that was cut off.
#[derive(Debug)]
pub(super) struct TakeWav {
    pub(super) file: File,
    header: Header,
    /// Frames that a header claims and the file has: its own one, or that of another file of the take whose sound it got.
    pub(super) claimed: Frames,
    /// Those of them that its own header claims, or that of the replica in the mirror.
    sure: Frames,
    /// Whether the file may lack sound that its header claims: an earlier recovery has written the header, and was killed
    /// before it could save the session, or another program has changed the file while it was recorded, or the take was
    /// recorded in place, and its header claimed what was not durable.
    may_lack_claimed: bool,
    /// Whether the header is one that the recording of the take has written.
    is_of_recording: bool,
    /// Whether something says that another program has changed the file while it was recorded.
    is_changed: bool,
    /// The byte at which another program has cut the file, if its length says so.
    cut_at: Option<u64>,
    /// Frames of the pass before the first frame of this file.
    offset: Frames,
    /// Bytes of the file when it was opened, and the whole frames that fitted into it.
    pub(super) bytes_there: u64,
    there: Frames,
    /// Bytes that the file has at least, unless another program cuts it during the recovery.
    length: u64,
    latency: Frames,
    /// The header as it is on the disk.
    page: Box<[u8; HEADER_BYTES]>,
}

/// Why the file of a take is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unusable {
    /// The reason as a sentence, path first.
    pub(super) reason: String,
    /// The thing at the place of the file.
    pub(super) found: AtPlace,
}

/// The thing at the place of a take's file that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AtPlace {
    /// Nothing, although the folder exists.
    Nothing,
    /// The file of another program.
    Foreign,
    /// It is not known. The file may be there.
    Unknown,
}

impl TakeWav {
    /// Opens the file of a take.
    pub(super) fn open(store: &OpenSession, session: &Session, take: &Take) -> Result<TakeWav, Unusable> {
        let file = store.open_take_to_write(session, take).map_err(|error| {
            let is_missing = matches!(&error, SessionError::Missing { path } if path.ends_with(&take.file));
            match error {
                SessionError::Missing { path } if is_missing => Unusable {
                    reason: format!(
                        "{}: the file of this take is gone; put it back, and open the session again",
                        path.display()
                    ),
                    found: AtPlace::Nothing,
                },
                error => Unusable { reason: error.to_string(), found: AtPlace::Unknown },
            }
        })?;
        TakeWav::of(file, &store.path().join(take.path()), session, take, take.offset)
    }

    /// The file of a take, open. `name`: its path, for messages. `offset`: frames of the pass before its first one.
    pub(super) fn of(
        file: File,
        name: &Path,
        session: &Session,
        take: &Take,
        offset: Frames,
    ) -> Result<TakeWav, Unusable> {
        let named = |error: io::Error| Unusable {
            reason: format!("{}: cannot be read: {error}", name.display()),
            found: AtPlace::Unknown,
        };
        let found = file.metadata().map_err(named)?;
        let mut page = Box::new([0; HEADER_BYTES]);
        let bytes = HEADER_BYTES.min(found.len() as usize);
        disk::read_exact_at(&file, &mut page[..bytes], 0).map_err(named)?;
        let fresh = initial_header(session, take);
        let there = Frames(found.len().saturating_sub(DATA_OFFSET) / fresh.frame_bytes() as u64);
        let wav = TakeWav {
            file,
            header: fresh,
            claimed: Frames(0),
            sure: Frames(0),
            may_lack_claimed: false,
            is_of_recording: false,
            is_changed: false,
            cut_at: None,
            offset,
            bytes_there: found.len(),
            there,
            length: found.len(),
            latency: take.latency,
            page,
        };
        // A power cut can leave a header of zeros. Without an identity in it, accept only a file that has no second
        // name.
        if wav.page.iter().all(|byte| *byte == 0) && found.nlink() == 1 {
            return Ok(TakeWav { is_changed: is_copy(&wav.file, take), ..wav });
        }
        let other = || Unusable {
            reason: format!("{}: not the file that was recorded; left as it is", name.display()),
            found: AtPlace::Foreign,
        };
        let claimed_bytes = header_data_bytes(&wav.page).ok_or_else(other)?;
        let bytes = claimed_bytes.min(found.len().saturating_sub(DATA_OFFSET));
        let bext = match parse(&mut Cursor::new(&wav.page[..]), HEADER_BYTES as u64) {
            Ok(layout) => own_bext(&layout, take),
            Err(_) => is_torn(&wav.page, take).then(|| wav.header.bext.clone()),
        };
        let bext = bext.ok_or_else(other)?;
        let claimed = Frames(bytes / wav.frame_bytes());
        let was_changed = bext.coding_history.contains(CHANGED_BY_OTHERS);
        // A header that is torn does not say how the take was recorded.
        let is_unknown = was_changed || bext.coding_history.is_empty();
        let is_of_recording = !is_unknown && !bext.coding_history.contains(RECOVERED);
        let may_lack_claimed = !is_of_recording || bext.coding_history.contains(UNFINISHED_IN_PLACE);
        // Nothing but another program makes a file shorter than its recording claims: that was durable before.
        let is_cut = !may_lack_claimed && bext.coding_history.contains(UNFINISHED) && bytes < claimed_bytes;
        let is_changed = was_changed || is_cut || is_copy(&wav.file, take);
        let cut_at = is_cut.then_some(found.len());
        let header = Header { bext, ..wav.header };
        Ok(TakeWav { header, claimed, sure: claimed, may_lack_claimed, is_of_recording, is_changed, cut_at, ..wav })
    }

    /// Writes into the header that another program has changed the file, if something says that one did. The sound that is written
    /// next can hide it from another recovery, if this one is stopped.
    pub(super) fn keep_change(&mut self, hook: &mut dyn FnMut(Step) -> io::Result<()>) -> io::Result<()> {
        if self.is_changed && !self.header.bext.coding_history.contains(CHANGED_BY_OTHERS) {
            hook(Step::Header)?;
            self.mark_changed()?;
        }
        Ok(())
    }

    /// Writes into the header that another program has changed the file, so that a recovery does not rely on its claim.
    pub(super) fn mark_changed(&mut self) -> io::Result<()> {
        self.header.data_bytes = self.claimed.0 * self.frame_bytes();
        self.header.bext.note_change(self.cut_at);
        disk::write_all_at(&self.file, &*self.header.build(), 0)?;
        disk::sync_all(&self.file)
    }

    /// Device and inode number, equal for two names of the same file.
    pub(super) fn file_id(&self) -> Option<(u64, u64)> {
        self.file.metadata().ok().map(|found| (found.dev(), found.ino()))
    }

    /// Whether something says that another program has changed this file, or that the file is a copy.
    pub(super) fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// Whether the memory of the take names another file than this one.
    pub(super) fn is_other_than(&self, spool: &FoundSpool) -> bool {
        let number = self.file.metadata().map(|found| found.ino());
        number.is_ok_and(|number| spool.names_another_file(number, self.offset_bytes()))
    }

    /// Whether this file is the one of the mirror, which is opened as a session.
    pub(super) fn is_mirror_of(&self, spool: &FoundSpool) -> bool {
        let found = spool.identity.mirror.as_ref().and_then(|path| disk::link_metadata(path).ok());
        found.is_some_and(|found| Some((found.dev(), found.ino())) == self.file_id())
    }

    /// Copies the sound of this file's `frames` frames from the spool and makes it durable. Returns the number of
    /// frames that the spool had, silence included.
    pub(super) fn copy_from_spool(
        &self,
        spool: &FoundSpool,
        frames: Frames,
        hook: &mut dyn FnMut(Step) -> io::Result<()>,
    ) -> io::Result<Frames> {
        let extents = self.extents(spool, frames)?;
        let (mut piece, mut bytes) = (piece_for(&extents), 0);
        for (start, hole) in extents {
            for at in (start..hole).step_by(PIECE_BYTES) {
                let piece = &mut piece[..(hole - at).min(PIECE_BYTES as u64) as usize];
                spool.read(at, piece)?;
                for (from, run) in runs_of_sound(piece) {
                    hook(Step::Sound)?;
                    disk::write_all_at(&self.file, run, at - self.offset_bytes() + from as u64)?;
                }
            }
            bytes += hole - start;
        }
        if bytes > 0 {
            // Durable before any header claims it.
            hook(Step::Durable)?;
            disk::sync_data(&self.file)?;
        }
        Ok(Frames(bytes.div_ceil(self.frame_bytes())))
    }

    /// Sets the length to `frames` frames, writes the header for a pass that began at `began`, and makes the file
    /// durable. `spool`: the memory whose sound was copied.
    pub(super) fn finish(
        &mut self,
        frames: Frames,
        began: FramePos,
        spool: Option<&FoundSpool>,
        hook: &mut dyn FnMut(Step) -> io::Result<()>,
    ) -> io::Result<()> {
        self.silence_torn_frames(frames, spool)?;
        let header = &mut self.header;
        header.data_bytes = frames.0 * header.frame_bytes() as u64;
        header.bext.time_reference = (began + self.offset).0.saturating_sub(self.latency.0);
        let before = header.bext.clone();
        // A file that its committer had finished keeps its history.
        if before.coding_history.is_empty() || before.coding_history.contains(UNFINISHED) {
            let remark = format!("Faultless; {RECOVERED}");
            header.bext.coding_history = coding_history_line(header.format, header.rate, header.channels, &remark);
            header.bext.keep_changes(&before);
        }
        if self.is_changed {
            header.bext.note_change(None);
        }
        hook(Step::Length)?;
        // In two steps, so that the pad byte is zero and not the first byte after the cut.
        set_length(&self.file, DATA_OFFSET + header.data_bytes)?;
        set_length(&self.file, header.file_bytes())?;
        let page = header.build();
        // Also if it is the same: after a failed sync a file can read as a header that is not on the disk.
        hook(Step::Header)?;
        disk::write_all_at(&self.file, &*page, 0)?;
        self.page = page;
        hook(Step::Durable)?;
        disk::sync_all(&self.file)
    }

    /// An error if another program has cut the file since it was opened. A new length would make zeros of what was cut off.
    pub(super) fn check_length(&self) -> io::Result<()> {
        let is_cut = self.file.metadata()?.len() < self.length;
        if is_cut { Err(io::Error::other("another program cut it short during the recovery")) } else { Ok(()) }
    }

    /// The sound of this take was copied to the file.
    pub(super) fn note_length(&mut self) -> io::Result<()> {
        self.length = self.length.max(self.file.metadata()?.len());
        Ok(())
    }

    /// Whether this file may have sound of the pass that belongs to `next`, the file in which the take continues: that one may never
    /// have been made, or this one is that of a mirror, which has the whole pass.
    pub(super) fn may_have_part(&self, next: &Take) -> bool {
        let is_unmade = next.state == TakeState::Recording || next.frames == Frames(0);
        is_unmade || next.offset < self.offset + self.recorded_claim()
    }

    /// The frames of the file up to its last sound, whatever its header claims. None of a file that cannot be read.
    pub(super) fn frames_of_sound(&self) -> Frames {
        let end = sound_end(&self.file).unwrap_or_default().max(DATA_OFFSET);
        Frames((end - DATA_OFFSET).div_ceil(self.frame_bytes()))
    }

    /// Whether the file has all of the spool's sound for its `frames` frames.
    pub(super) fn has_all_of(&self, spool: &FoundSpool, frames: Frames) -> io::Result<bool> {
        let extents = self.extents(spool, frames)?;
        let (mut ours, mut theirs) = (piece_for(&extents), piece_for(&extents));
        for (start, hole) in extents {
            for at in (start..hole).step_by(PIECE_BYTES) {
                let bytes = (hole - at).min(PIECE_BYTES as u64) as usize;
                spool.read(at, &mut theirs[..bytes])?;
                match disk::read_exact_at(&self.file, &mut ours[..bytes], at - self.offset_bytes()) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
                    Err(error) => return Err(error),
                }
                if runs_of_sound(&theirs[..bytes]).iter().any(|(from, run)| !ours[*from..].starts_with(run)) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// The file has the first `pass_frames` frames of the pass now, from the other replica. `are_sure`: none of them was missing
    /// there. `frames`: the length of this file. Returns whether its header claimed fewer.
    pub(super) fn has_now(&mut self, pass_frames: Frames, are_sure: bool, frames: Frames) -> bool {
        let here = self.frames_here(pass_frames).min(frames);
        let is_more = self.claimed < here;
        self.claimed = self.claimed.max(here);
        if are_sure {
            self.sure = self.sure.max(here);
        }
        is_more
    }

    /// The file has the sound of an earlier file of the take up to frame `pass_frames` of the pass now. What was never written
    /// of it is a loss, because a recovery has made the earlier file so long.
    pub(super) fn has_from_earlier(&mut self, pass_frames: Frames) {
        self.claimed = self.claimed.max(self.frames_here(pass_frames));
    }

    /// The frame of the pass up to which this file has sound that does not come from an earlier file of the take.
    pub(super) fn own_end(&self) -> FramePos {
        FramePos((self.offset + self.sure).0)
    }

    /// The end of the file as it was opened, if it had fewer than `frames` frames.
    pub(super) fn short_of(&self, frames: Frames) -> Option<Frames> {
        Some(self.there).filter(|there| *there < frames)
    }

    /// Frames of this file that its recording has claimed and that are surely in the file. An earlier recovery claims all frames.
    pub(super) fn vouched(&self) -> Frames {
        if self.may_lack_claimed { Frames(0) } else { self.sure }
    }

    /// Frames of this file that its recording has claimed. In a take that was recorded in place, some of them need not be in the
    /// file.
    pub(super) fn recorded_claim(&self) -> Frames {
        if self.is_of_recording { self.claimed } else { Frames(0) }
    }

    /// Whether the take was recorded in place, as the header of its recording says.
    pub(super) fn is_in_place(&self) -> bool {
        self.is_of_recording && self.may_lack_claimed
    }

    /// Compares the file with the memory of the take, which names the file. Another one at its place is a copy. A header claims
    /// what was durable a moment before the memory begins, or before the take continued in another file at frame `until` of the
    /// pass. One that claims much less is of an older copy of the file. `lost`: the lost frames of the pass. No header claims
    /// anything behind a loss that has not ended.
    ///
    /// With a mirror, the header says nothing. If the session's disk is slow, the mirror's committer frees memory that this file
    /// still needs: the memory begins behind the gap, and the header claims the frames before the gap.
    pub(super) fn compare_with_memory(
        &mut self,
        spool: &FoundSpool,
        lost: Frames,
        until: Option<Frames>,
    ) -> io::Result<()> {
        let is_own = !self.is_mirror_of(spool);
        self.is_changed |= is_own && self.is_other_than(spool);
        if is_own
            && (spool.says_changed(self.offset_bytes()) || self.lacks_what_was_written(spool, until).unwrap_or(false))
        {
            // Nothing in the file is sure, whatever its header claims.
            (self.is_changed, self.may_lack_claimed) = (true, true);
        }
        if spool.identity.mirror.is_some() {
            return Ok(());
        }
        let byte = |frames: Frames| DATA_OFFSET.saturating_add(self.bytes_of(frames));
        let first = spool.extents(BEYOND_ANY_FILE)?.first().map_or(0, |(start, _)| *start);
        let first = until.map_or(first, |until| first.min(byte(until)));
        let lag_max = self.bytes_of(Frames(HEADER_LAG_SECONDS * u64::from(self.header.rate)) + lost);
        self.is_changed |= byte(self.offset + self.claimed) + lag_max < first;
        Ok(())
    }

    /// Whether sound that is in memory is missing in this file in front of sound that was written later. Sound is written in order,
    /// so another program has cut the file in between. Without holes in the file nothing shows that.
    fn lacks_what_was_written(&self, spool: &FoundSpool, until: Option<Frames>) -> io::Result<bool> {
        if !knows_holes(&self.file) {
            return Ok(false);
        }
        let length = self.file.metadata()?.len();
        let last = self.frames_here(until.unwrap_or(Frames(u64::MAX / self.frame_bytes() / 2)));
        for (start, end) in self.in_memory(last, Some(spool))? {
            let holes = holes(&self.file, start, end.min(length))?;
            for (from, to) in holes {
                let has_data_behind = to < length && disk::seek(&self.file, to, Whence::SeekData).is_ok();
                for at in (from..to).step_by(PIECE_BYTES).filter(|_| has_data_behind) {
                    let mut piece = vec![0; (to - at).min(PIECE_BYTES as u64) as usize];
                    spool.read(at + self.offset_bytes(), &mut piece)?;
                    if piece.iter().any(|byte| *byte != 0) {
                        return Ok(true);
                    }
                }
            }
        }
        Ok(false)
    }

    /// Ranges of bytes of this file as first frame and length. A frame at the edge that has other bytes too is in the range: it is
    /// not what was recorded.
    pub(super) fn in_frames(&self, ranges: Vec<Extent>) -> Vec<(Frames, Frames)> {
        let (frame_bytes, byte) = (self.frame_bytes(), |at: u64| at - DATA_OFFSET);
        let whole = |(start, end): Extent| (byte(start) / frame_bytes, byte(end).div_ceil(frame_bytes));
        ranges.into_iter().map(whole).map(|(from, to)| (Frames(from), Frames(to - from))).collect()
    }

    /// The bytes at which another program has cut this file, as far as its header says.
    pub(super) fn cuts(&self) -> impl Iterator<Item = u64> {
        self.header.bext.cuts()
    }

    /// The frames that the take has lost, as its header says if the take has ended. Its other files count too.
    pub(super) fn lost_by_header(&self) -> Option<Frames> {
        let history = &self.header.bext.coding_history;
        let (_, told) = history.split_once("frames_lost=").filter(|_| !history.contains(UNFINISHED))?;
        let digits = told.split(|letter: char| !letter.is_ascii_digit()).next()?;
        digits.parse().ok().map(Frames)
    }

    /// Ranges of this file that have memory in the spool, up to frame `frames`.
    pub(super) fn in_memory(&self, frames: Frames, spool: Option<&FoundSpool>) -> io::Result<Vec<Extent>> {
        let extents = spool.map_or(Ok(Vec::new()), |spool| self.extents(spool, frames))?;
        let here = |(start, end): Extent| (start - self.offset_bytes(), end - self.offset_bytes());
        Ok(extents.into_iter().map(here).collect())
    }

    /// Ranges of the spool that have memory for the `frames` frames of this file.
    fn extents(&self, spool: &FoundSpool, frames: Frames) -> io::Result<Vec<Extent>> {
        let (first, end) = (
            DATA_OFFSET.saturating_add(self.offset_bytes()),
            DATA_OFFSET.saturating_add(self.bytes_of(self.offset + frames)),
        );
        let found = spool.extents(end)?.into_iter().map(|(start, hole)| (start.max(first), hole));
        Ok(found.filter(|(start, hole)| start < hole).collect())
    }

    /// Bytes of the pass before the first byte of this file: spool byte minus file byte.
    pub(super) fn offset_bytes(&self) -> u64 {
        self.bytes_of(self.offset)
    }

    /// The frames of this file that lie before frame `pass_frames` of the pass.
    pub(super) fn frames_here(&self, pass_frames: Frames) -> Frames {
        pass_frames - self.offset
    }

    pub(super) fn frame_bytes(&self) -> u64 {
        self.header.frame_bytes() as u64
    }

    pub(super) fn bytes_of(&self, frames: Frames) -> u64 {
        frames.0.saturating_mul(self.frame_bytes())
    }
}

/// Whether there is a file at `path` that may be the one of `take`. The file of another program is none.
pub(super) fn may_be_file_of(path: &Path, take: &Take) -> bool {
    match open_regular(path) {
        Ok(file) => may_be_take(&file, take),
        Err(OpenError::Open(error)) => error.kind() != io::ErrorKind::NotFound,
        Err(_) => true,
    }
}

/// Whether an open file may be the one of `take`.
pub(super) fn may_be_take(file: &File, take: &Take) -> bool {
    let mut page = [0; HEADER_BYTES];
    let bytes = file.metadata().map_or(0, |found| HEADER_BYTES.min(found.len() as usize));
    let is_read = disk::read_exact_at(file, &mut page[..bytes], 0).is_ok();
    // A power cut can leave a header of zeros.
    let is_empty = page.iter().all(|byte| *byte == 0);
    let names_take = |layout: &Layout| own_bext(layout, take).is_some();
    let is_own = || parse(&mut Cursor::new(&page[..]), HEADER_BYTES as u64).is_ok_and(|layout| names_take(&layout));
    !is_read || is_empty || is_torn(&page, take) || is_own()
}

/// Memory for the pieces in which extents are copied. Short ones need little.
pub(super) fn piece_for(extents: &[Extent]) -> Vec<u8> {
    let longest = extents.iter().map(|(start, end)| end - start).max().unwrap_or(0);
    vec![0; longest.min(PIECE_BYTES as u64) as usize]
}

/// The identity of the take that a file carries. `None`: it carries none, is exported from the take, or cannot be read.
pub(super) fn identity_of(file: &File) -> Option<Uuid> {
    let mut page = Box::new([0; HEADER_BYTES]);
    let bytes = HEADER_BYTES.min(file.metadata().ok()?.len() as usize);
    disk::read_exact_at(file, &mut page[..bytes], 0).ok()?;
    let reference = match parse(&mut Cursor::new(&page[..]), HEADER_BYTES as u64) {
        Ok(layout) => {
            let bext = layout.bext.filter(|bext| !bext.coding_history.contains(EXPORT_REMARK))?;
            bext.originator_reference
        }
        // See `is_torn`.
        Err(_) => String::from_utf8(reference_in(&page[..])?.to_vec()).ok()?,
    };
    Uuid::try_parse(&reference).ok()
}

/// Whether an open file that carries the identity of `take` has all of its sound: the frames that the session lists. A take
/// that was cut off has as many as a recovery finds.
pub(super) fn is_whole(file: &File, take: &Take) -> bool {
    let Ok(found) = file.metadata() else { return false };
    if take.state == TakeState::Recording {
        return may_be_take(file, take);
    }
    let layout = parse(&mut BufReader::new(disk::Reading::of(file)), found.len());
    layout.is_ok_and(|layout| own_bext(&layout, take).is_some() && take.frames.0 <= layout.frames)
}

/// The pages of a piece that are not all zeros, adjacent ones joined, each with its offset in the piece.
///
/// Recovery never writes zeros. Either the file has zeros there (blocks without data read as zeros), or it has
/// committed sound there: the committer of an earlier program punched the spool page, and the kernel cleared it without
/// freeing it, as it does inside a huge page.
fn runs_of_sound(piece: &[u8]) -> Vec<(usize, &[u8])> {
    let silent = |page: &[u8]| page.iter().all(|byte| *byte == 0);
    let pages: Vec<bool> = piece.chunks(PAGE_BYTES).map(silent).collect();
    let runs = pages.chunk_by(|a, b| a == b).scan(0, |at, run| {
        let from = *at;
        *at = (from + run.len() * PAGE_BYTES).min(piece.len());
        Some((run[0], from, *at))
    });
    runs.filter(|(silent, ..)| !silent).map(|(_, from, end)| (from, &piece[from..end])).collect()
}

/// The `bext` chunk, if the file is the take's own: format as in the session, and the take's identity as reference.
pub(super) fn own_bext(layout: &Layout, take: &Take) -> Option<Bext> {
    let alike = u32::from(layout.channels) == take.channels
        && layout.rate == take.rate.0
        && layout.encoding == Encoding::from(take.format);
    let bext = layout.bext.clone()?;
    (alike && bext.originator_reference == take.uuid.simple().to_string()).then_some(bext)
}

/// Whether a header that cannot be parsed is the take's own. A power cut can leave sectors of two headers whose chunks
/// differ in length. The identity and the start of the sound are at the same offset in all headers.
fn is_torn(page: &[u8; HEADER_BYTES], take: &Take) -> bool {
    has_reference(page, &take.uuid.simple().to_string())
}

/// The header that the take had at its start, rebuilt from the session.
fn initial_header(session: &Session, take: &Take) -> Header {
    let name = session.track(take.track).map_or("", |track| track.name());
    let (date, time) = take.started.split_at_checked(10).unwrap_or_default();
    Header {
        bext: Bext {
            description: format!("{name} take {}", take.number),
            originator: "Faultless".to_owned(),
            originator_reference: take.uuid.simple().to_string(),
            date: date.to_owned(),
            time: time.get(1..9).unwrap_or_default().to_owned(),
            ..Bext::default()
        },
        track_name: name.to_owned(),
        ..Header::new(take.channels as u16, take.rate.0, take.format)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_passed_over_page_by_page() {
        let mut piece = vec![0; 5 * PAGE_BYTES + 10];
        piece[PAGE_BYTES] = 1;
        piece[3 * PAGE_BYTES - 1] = 1;
        piece[5 * PAGE_BYTES + 9] = 1;
        let runs: Vec<_> = runs_of_sound(&piece).iter().map(|(from, run)| (*from, run.len())).collect();
        assert_eq!(runs, [(PAGE_BYTES, 2 * PAGE_BYTES), (5 * PAGE_BYTES, 10)]);
        assert!(runs_of_sound(&[0; 3 * PAGE_BYTES]).is_empty() && runs_of_sound(&[]).is_empty());
    }
}
