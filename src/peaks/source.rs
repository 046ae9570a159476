//! Reads the samples of a take, from its WAV or from its spool. Thread: peaks-build, peaks-live, peaks-read.

use super::live_take::LiveTake;
use crate::session::names::{AUDIO, TRASH};
use crate::wav::WavError;
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
/// Byte n of the spool is byte n of the WAV. The committer punches a span out of the spool only after the span is in
/// the WAV. So bytes that were read from the spool are valid if the span is no hole *after* the read. Where it is a
/// hole, the WAV has the bytes. A lost span is a hole in the spool, and zeros or beyond the end in the WAV, so it reads
/// as silence.
pub(super) struct LiveTakeReader {
    wav_path: PathBuf,
    spool_path: Option<PathBuf>,
    encoding: Encoding,
    channels: usize,
    data_offset: u64,
    wav: Option<File>,
    spool: Option<File>,
    bytes: Vec<u8>,
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
            wav: None,
            spool: None,
            bytes: Vec::new(),
        }
    }

    /// Reads interleaved frames from frame `at` on, full scale 1.0. Returns the number of frames: as many as `out`
    /// holds, fewer only if there is no spool and the WAV ends.
    pub(super) fn read(&mut self, at: u64, out: &mut [f32]) -> io::Result<usize> {
        let frame_bytes = self.channels * self.encoding.bytes();
        let wanted = out.len() / self.channels;
        let offset = self.data_offset + at * frame_bytes as u64;
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        bytes.resize(wanted * frame_bytes, 0);
        let result = if self.spool_path.is_some() {
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
            self.spool = Some(open_through_links(path)?);
        }
        let Some(spool) = &self.spool else { return Ok(()) };
        read_available(spool, offset, bytes)?;
        // The search for holes follows the read: a span that is data after the read was data during it.
        let mut holes = Vec::new();
        let mut at = offset;
        while at < end {
            let hole = seek(spool, at, Whence::SeekHole)?.unwrap_or(end).min(end);
            let data = if hole < end { seek(spool, hole, Whence::SeekData)?.unwrap_or(end).min(end) } else { end };
            if hole < data {
                holes.push(hole..data);
            }
            at = data;
        }
        for hole in holes {
            let bytes = &mut bytes[(hole.start - offset) as usize..(hole.end - offset) as usize];
            // The WAV may end inside the hole. Bytes that the WAV lacks are silence, not what the spool held before.
            bytes.fill(0);
            self.read_wav(hole.start, bytes)?;
        }
        Ok(())
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

/// The start of the next hole, or of the next data, from byte `at` on. None: there is none before the end of the file.
fn seek(file: &File, at: u64, whence: Whence) -> io::Result<Option<u64>> {
    let holes = matches!(whence, Whence::SeekHole);
    match lseek64(file, at as i64, whence) {
        Ok(found) => Ok(Some(found as u64)),
        // `at` is behind the last data or behind the end of the file: everything from there on is a hole.
        Err(nix::errno::Errno::ENXIO) => Ok(holes.then_some(at)),
        Err(error) => Err(error.into()),
    }
}

/// Opens a regular file to read. A link is followed, unlike in [`crate::file_system::open_regular`]: this program made
/// both files, for a take that it records.
fn open_through_links(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}
