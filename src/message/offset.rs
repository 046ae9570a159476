//! Byte offsets of a take, as types: in the spool and in a WAV file. Thread: any but audio. Pure.
//!
//! A place in a take is the offset that it would have if the take were one WAV file: sound begins at byte
//! [`limits::DATA_OFFSET`]. The index of the spool lists slots by such places. A take whose disk rejects writes continues in
//! a further WAV file. The sound of that file begins in the middle of the take, so that the two offsets of a frame differ.
//! [`FileStart`] converts between them.

use crate::limits;
use std::ops::{Add, Sub};

/// A place in a take, as a byte offset. `DATA_OFFSET` is the take's first byte of sound. The index of the spool says in
/// which slot the byte lies.
///
/// In `in-place` there is no spool file. The same number is then an offset in the only WAV file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SpoolByte(pub u64);

/// A byte offset in one WAV file of a take. `DATA_OFFSET` is the first byte of sound in that file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileByte(pub u64);

/// The offset in the spool at which the sound of one WAV file begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStart(pub SpoolByte);

impl SpoolByte {
    /// The first byte of sound.
    pub const DATA: SpoolByte = SpoolByte(limits::DATA_OFFSET);
}

impl FileByte {
    /// The first byte of sound.
    pub const DATA: FileByte = FileByte(limits::DATA_OFFSET);
}

impl FileStart {
    /// The first WAV file of a take: it begins with the take.
    pub const FIRST: FileStart = FileStart(SpoolByte::DATA);

    /// Bytes of sound that lie in earlier files.
    pub fn bytes_before(self) -> u64 {
        self.0.0 - limits::DATA_OFFSET
    }

    /// The offset in this file of the sound at `at`, which must not lie in an earlier file.
    pub fn to_file(self, at: SpoolByte) -> FileByte {
        debug_assert!(self.0 <= at, "the sound lies in an earlier file");
        FileByte(at.0 - self.bytes_before())
    }

    /// The offset in the spool of the sound at `at` in this file.
    pub fn to_spool(self, at: FileByte) -> SpoolByte {
        debug_assert!(FileByte::DATA <= at, "a header has no place in the spool");
        SpoolByte(at.0 + self.bytes_before())
    }
}

impl Add<u64> for SpoolByte {
    type Output = SpoolByte;
    fn add(self, bytes: u64) -> SpoolByte {
        SpoolByte(self.0 + bytes)
    }
}

impl Sub<u64> for SpoolByte {
    type Output = SpoolByte;
    fn sub(self, bytes: u64) -> SpoolByte {
        SpoolByte(self.0 - bytes)
    }
}

impl Sub for SpoolByte {
    type Output = u64;
    fn sub(self, earlier: SpoolByte) -> u64 {
        self.0 - earlier.0
    }
}

impl Add<u64> for FileByte {
    type Output = FileByte;
    fn add(self, bytes: u64) -> FileByte {
        FileByte(self.0 + bytes)
    }
}

impl Sub for FileByte {
    type Output = u64;
    fn sub(self, earlier: FileByte) -> u64 {
        self.0 - earlier.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_agree_in_the_first_file_and_differ_in_a_later_one() {
        let at = SpoolByte(12_288);
        assert_eq!(FileStart::FIRST.to_file(at), FileByte(12_288));
        let second = FileStart(SpoolByte(8192));
        assert_eq!((second.to_file(SpoolByte(8192)), second.bytes_before()), (FileByte::DATA, 4096));
        assert_eq!(second.to_spool(second.to_file(at)), at);
    }
}
