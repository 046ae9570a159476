//! Whether another file of a take may need the memory of the take, because the session was copied. Thread: any that may wait
//! for the disk.

use super::evidence::FoundSpool;
use super::take_wav::{TakeWav, own_bext};
use crate::file_system::{OpenError, open_regular};
use crate::host::disk;
use crate::session::Take;
use crate::wav::header::HEADER_BYTES;
use crate::wav::parse::parse;
use std::fs::File;
use std::io::Cursor;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Another file of a take than the one that is recovered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OtherFile {
    /// There is none, or nothing says that there is one.
    None,
    /// A file of the take is at the place of the recording, and is another one.
    There,
    /// This file is a copy, and the file that was recorded is not at its place. Its disk may be away.
    Away,
}

/// Looks for another file of the take of `spool`. `wav`: the file that is recovered.
///
/// An absent file proves nothing where this file is a copy: it may have sound that the copy lacks, and need the memory for the rest.
/// A session that was renamed has its own files, so their absence at the earlier place says that no other file exists.
pub(super) fn other_file(spool: &FoundSpool, take: &Take, wav: Option<&TakeWav>) -> OtherFile {
    let is_copy = || wav.is_some_and(|wav| wav.is_changed() || wav.is_other_than(spool) || wav.is_mirror_of(spool));
    match open_regular(&spool.identity.wav) {
        Ok(file) if is_another(&file, take, wav.and_then(TakeWav::file_id)) => OtherFile::There,
        Err(OpenError::Open(_) | OpenError::Stat(_)) if is_copy() => OtherFile::Away,
        _ => OtherFile::None,
    }
}

/// Whether the file at `path` is the recorded file of `take` and another one than `file_id`. Then the session was
/// copied, and that copy may need the memory too.
pub(super) fn is_in_another_copy(path: &Path, take: &Take, file_id: Option<(u64, u64)>) -> bool {
    open_regular(path).is_ok_and(|file| is_another(&file, take, file_id))
}

fn is_another(file: &File, take: &Take, file_id: Option<(u64, u64)>) -> bool {
    let Ok(found) = file.metadata() else { return false };
    let mut page = [0; HEADER_BYTES];
    if Some((found.dev(), found.ino())) == file_id || disk::read_exact_at(file, &mut page, 0).is_err() {
        return false;
    }
    parse(&mut Cursor::new(&page[..]), HEADER_BYTES as u64).is_ok_and(|layout| own_bext(&layout, take).is_some())
}
