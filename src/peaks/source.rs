//! Reads the samples of a take, from its WAV or from its spool. Thread: peaks-build, peaks-live, peaks-read.

use super::live_take::{LiveTake, NAMELESS_SPOOL};
use crate::limits::PAGE_BYTES;
use crate::session::names::{AUDIO, TRASH};
use crate::spool_index::{self, Part, Shape, Table};
use crate::wav::WavError;
use crate::wav::header::{HEADER_BYTES, header_data_bytes};
use crate::wav::parse::Encoding;
use crate::wav::read::Reader;
use crate::wav::sample;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::unistd::{Whence, lseek64};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The current path of a take's file. The session may have moved it from `audio/` to `trash/` or back since the
/// request. Returns `path` unchanged if the file is in neither folder.
pub(super) fn current_path(path: &Path) -> PathBuf {
    if path.symlink_metadata().is_err()
        && let (Some(folder), Some(name)) = (path.parent(), path.file_name())
    {
        let other = match folder.file_name().and_then(|name| name.to_str()) {
            Some(AUDIO) => folder.with_file_name(TRASH),
            Some(TRASH) => folder.with_file_name(AUDIO),
            _ => return path.to_owned(),
        };
        if other.join(name).symlink_metadata().is_ok() {
            return other.join(name);
        }
    }
    path.to_owned()
}

/// Opens the finished WAV of a take.
pub(super) fn open_wav(path: &Path) -> Result<Reader, WavError> {
    Reader::open(&current_path(path))
}

/// Reads samples of a take that is being recorded.
///
/// The index of the spool lists the slots that hold windows of the take. The committer frees a slot only after its sound is
/// in the WAV. So bytes that were read from a slot are valid if the index lists the same *after* the read. Where it does
/// not, the WAV has the bytes. A lost window has no slot, and is zeros or beyond the end in the WAV, so it reads as
/// silence.
pub(super) struct LiveTakeReader {
    wav_path: PathBuf,
    spool_path: Option<PathBuf>,
    encoding: Encoding,
    channels: usize,
    data_offset: u64,
    take: u128,
    wav: Option<File>,
    spool: Option<Spool>,
    bytes: Vec<u8>,
}

/// An open spool file.
struct Spool {
    file: File,
    /// `None`: the file has no index. The WAV then has the sound, once the committer has written it.
    shape: Option<Shape>,
}

impl LiveTakeReader {
    /// Makes a reader. It opens the files at the first read.
    pub(super) fn new(take: &LiveTake) -> LiveTakeReader {
        LiveTakeReader {
            wav_path: take.wav.clone(),
            spool_path: take.spool.clone(),
            encoding: take.format.into(),
            channels: take.channels,
            data_offset: take.data_offset,
            take: take.take.as_u128(),
            wav: None,
            spool: None,
            bytes: Vec::new(),
        }
    }

    /// Reads interleaved frames from frame `at` on, full scale 1.0. Returns the number of frames: as many as `out`
    /// holds, fewer only if there is no spool, or none with a name, and the WAV ends.
    pub(super) fn read(&mut self, at: u64, out: &mut [f32]) -> io::Result<usize> {
        let frame_bytes = self.channels * self.encoding.bytes();
        let wanted = out.len() / self.channels;
        let offset = self.data_offset + at * frame_bytes as u64;
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        bytes.resize(wanted * frame_bytes, 0);
        let result = if self.spool_path.as_deref() == Some(Path::new(NAMELESS_SPOOL)) {
            self.read_claimed(offset, &mut bytes).map(|there| there / frame_bytes)
        } else if self.spool_path.is_some() {
            self.read_spool(offset, &mut bytes).map(|()| wanted)
        } else {
            self.read_wav(offset, &mut bytes).map(|there| there / frame_bytes)
        };
        if let Ok(frames) = result {
            let samples = frames * self.channels;
            sample::decode_to_f32(self.encoding, &bytes[..frames * frame_bytes], &mut out[..samples]);
        }
        self.bytes = bytes;
        result
    }

    fn read_spool(&mut self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let (Some(path), end) = (&self.spool_path, offset + bytes.len() as u64) else { return Ok(()) };
        if self.spool.is_none() {
            self.spool = Some(Spool::open(path, self.take)?);
        }
        let Some(spool) = &self.spool else { return Ok(()) };
        let before = spool.table(offset, end)?;
        for part in &before {
            spool.read(part, &mut bytes[(part.offset - offset) as usize..][..part.bytes as usize])?;
        }
        // The index is read after the sound: a part that is listed twice was there during the read.
        let after = if before.is_empty() { Vec::new() } else { spool.table(offset, end)? };
        let (mut holes, mut at) = (Vec::new(), offset);
        for part in before.iter().filter(|part| after.contains(part)) {
            holes.push(at..part.offset);
            at = part.end();
        }
        holes.push(at..end);
        holes.retain(|hole| hole.start < hole.end);
        for hole in holes {
            let bytes = &mut bytes[(hole.start - offset) as usize..(hole.end - offset) as usize];
            // The WAV may end inside the hole. Bytes that the WAV lacks are silence, not what the spool held before.
            bytes.fill(0);
            self.read_wav(hole.start, bytes)?;
        }
        Ok(())
    }

    /// Fills `bytes` as far as the header of the WAV claims: behind that, the file is longer than its sound. Returns the number
    /// of bytes.
    fn read_claimed(&mut self, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        let mut page = [0; HEADER_BYTES];
        if self.read_wav(0, &mut page)? < HEADER_BYTES {
            return Ok(0);
        }
        let claimed = self.data_offset + header_data_bytes(&page).unwrap_or(0);
        let there = claimed.saturating_sub(offset).min(bytes.len() as u64) as usize;
        self.read_wav(offset, &mut bytes[..there])
    }

    /// Fills `bytes` as far as the WAV reaches. Returns the number of bytes.
    fn read_wav(&mut self, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        if self.wav.is_none() {
            let file = open_through_links(&self.wav_path)?;
            // Readahead would compete with the committer for the disk.
            posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_RANDOM).ok();
            self.wav = Some(file);
        }
        match &self.wav {
            Some(file) => read_available(file, offset, bytes),
            None => Ok(0),
        }
    }
}

impl Spool {
    fn open(path: &Path, take: u128) -> io::Result<Spool> {
        let file = open_through_links(path)?;
        let mut page = [0; PAGE_BYTES];
        let read = read_available(&file, spool_index::HEADER_AT, &mut page)?;
        let shape = Shape::of_header(&page[..read], take);
        Ok(Spool { file, shape })
    }

    /// The parts of the bytes `from..end` of the take that the index lists.
    fn table(&self, from: u64, end: u64) -> io::Result<Vec<Part>> {
        let (Some(shape), mut table) = (&self.shape, Table::default()) else { return Ok(Vec::new()) };
        // The butler uses the slots from the first one on, so the words in use have no hole before them.
        let used = seek_hole(&self.file, spool_index::WORDS_AT)?.saturating_sub(spool_index::WORDS_AT);
        let mut words = vec![0; used.min(spool_index::WORDS_BYTES) as usize];
        let read = read_available(&self.file, spool_index::WORDS_AT, &mut words)?;
        table.add(shape, 0, &words[..read]);
        table.sort();
        Ok(table.within(from, end).collect())
    }

    fn read(&self, part: &Part, bytes: &mut [u8]) -> io::Result<()> {
        let Some(shape) = &self.shape else { return Ok(()) };
        read_available(&self.file, shape.part_at(part), bytes).map(drop)
    }
}

/// The first hole from byte `at` on; `at` if nothing follows it.
fn seek_hole(file: &File, at: u64) -> io::Result<u64> {
    match lseek64(file, at as i64, Whence::SeekHole) {
        Ok(found) => Ok(found as u64),
        Err(nix::errno::Errno::ENXIO) => Ok(at),
        Err(error) => Err(error.into()),
    }
}

/// Reads until `bytes` is full or the file ends. Returns the number of bytes.
fn read_available(file: &File, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < bytes.len() {
        match file.read_at(&mut bytes[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Opens a regular file to read. A link is followed, unlike in [`crate::file_system::open_regular`]: this program made
/// both files, for a take that it records.
fn open_through_links(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}
