//! The last data of a file, before and after the calls that give the file its length. Thread: committer.
//!
//! A program that cuts the file while these calls wait for the disk leaves zeros, because the calls make the file longer again.
//! The length of the file does not show that.

use super::TakeFile;
use crate::host::disk;
use crate::limits::PAGE_BYTES;
use crate::message::offset::FileByte;
use nix::errno::Errno;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::unistd::Whence;
use std::fs::File;
use std::io;

/// The last page of a file that has data, up to where that ends.
pub(super) struct LastData {
    start: u64,
    bytes: Vec<u8>,
}

impl LastData {
    /// The last data before byte `end`. `sees_holes`: the file system tells holes from zeros that were written. Otherwise
    /// everything is data.
    pub(super) fn before(file: &File, end: u64, sees_holes: bool) -> io::Result<LastData> {
        let end = file.metadata()?.len().min(end);
        let end = if sees_holes { end_of_data(file, end)? } else { end };
        let start = end.saturating_sub(1) / PAGE_BYTES as u64 * PAGE_BYTES as u64;
        let mut bytes = vec![0; (end - start) as usize];
        disk::read_exact_at(file, &mut bytes, start)?;
        Ok(LastData { start, bytes })
    }

    /// Whether the file still has this data. `sees_holes`: see [`LastData::before`].
    pub(super) fn is_in(&self, file: &File, sees_holes: bool) -> io::Result<bool> {
        let mut bytes = vec![0; self.bytes.len()];
        disk::read_exact_at(file, &mut bytes, self.start)?;
        let end = self.start + bytes.len() as u64;
        Ok(bytes == self.bytes && (!sees_holes || has_byte_before(file, end)))
    }
}

/// The last bytes of a write of sound.
pub(super) struct Tail {
    start: FileByte,
    bytes: Vec<u8>,
}

/// Bytes of a [`Tail`].
const TAIL_BYTES: usize = 64;

impl TakeFile {
    /// The write of sound that ends at byte `end` had `bytes` at its end, all of them recorded sound.
    pub fn note_tail(&mut self, end: FileByte, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(TAIL_BYTES)..];
        self.tail = Some(Tail { start: FileByte(end.0 - bytes.len() as u64), bytes: bytes.to_vec() });
    }

    /// Begins to read what [`TakeFile::look_at_tail`] reads, so that several takes wait for a slow disk together.
    pub fn begin_look_at_tail(&self) {
        if let Some(tail) = &self.looked_tail {
            let (start, bytes) = (tail.start.0 as i64, tail.bytes.len() as i64);
            posix_fadvise(&*self.file, start, bytes, PosixFadviseAdvice::POSIX_FADV_WILLNEED).ok();
        }
    }

    /// Looks for a cut that came between the last look and a write behind it. The write makes the file long again, and a cut
    /// within the last page leaves no hole. The next call of [`TakeFile::find_change`] reports it. This reads the disk.
    pub fn look_at_tail(&mut self) {
        // The end of the take cuts off the rest of its last window.
        let is_sound = |tail: &&Tail| tail.start + tail.bytes.len() as u64 <= self.written.min(self.stored);
        if let Some(tail) = self.looked_tail.as_ref().filter(is_sound) {
            let mut there = vec![0; tail.bytes.len()];
            self.was_cut_at_end |=
                disk::read_exact_at(&self.file, &mut there, tail.start.0).is_ok() && there != tail.bytes;
        }
    }
}

/// The end of the last data before byte `end`.
fn end_of_data(file: &File, end: u64) -> io::Result<u64> {
    let mut found = 0;
    while found < end {
        match disk::seek(file, found, Whence::SeekData) {
            Ok(start) if start < end => found = disk::seek(file, start, Whence::SeekHole)?.min(end),
            Ok(_) | Err(Errno::ENXIO) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

/// Whether the byte before `end` is data of the file. A program that cuts the file while sound is being written behind `end` leaves
/// a hole there, and the length of the file does not show it.
pub(super) fn has_byte_before(file: &File, end: u64) -> bool {
    let Some(last) = end.checked_sub(1) else { return true };
    match disk::seek(file, last, Whence::SeekData) {
        // A file system without holes has data everywhere.
        Ok(at) => at == last,
        // `ENXIO`: there is no data behind either. Another error of the disk says nothing about other programs.
        Err(error) => error != Errno::ENXIO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    /// Whether the cut of a file at byte `cut` is seen after the file has got its length again.
    fn is_seen(write: impl Fn(&File), length: u64, cut: u64, sees_holes: bool) -> bool {
        let file = tempfile::tempfile().unwrap();
        write(&file);
        let last = LastData::before(&file, length, sees_holes).unwrap();
        file.set_len(length).unwrap();
        assert!(last.is_in(&file, sees_holes).unwrap(), "nobody has cut it");
        file.set_len(cut).unwrap();
        file.set_len(length).unwrap();
        !last.is_in(&file, sees_holes).unwrap()
    }

    /// Another program cut a take to its header at that moment, and the take counted as whole.
    #[test]
    fn a_cut_is_seen_wherever_it_was_and_however_much_lay_behind_the_end() {
        let sound = |file: &File| file.write_all_at(&vec![7; 20_000], 0).unwrap();
        for sees_holes in [false, true] {
            for length in [20_000, 17_001, 16_385, 8_192] {
                for cut in [0, 4_096, 5_000, 8_191] {
                    assert!(is_seen(sound, length, cut, sees_holes), "{length} {cut} {sees_holes}");
                }
            }
        }
        // The last frames were lost, and nobody wrote them.
        assert!(is_seen(sound, 90_000, 19_999, true) && is_seen(sound, 90_000, 19_999, false));
        // The take ends with silence, which is a hole.
        let silence = |file: &File| {
            sound(file);
            file.set_len(90_000).unwrap();
        };
        assert!(is_seen(silence, 80_000, 16_000, true));
        assert!(!is_seen(silence, 80_000, 30_000, true), "only silence was cut off");
    }
}
