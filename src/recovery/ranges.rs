//! Ranges of bytes of a file: those that were never written, and the difference of two lists. Thread: any that may wait for the
//! disk.
//!
//! exFAT, FAT, NTFS, sshfs and other file systems have no holes. There, a range that was never written reads as zeros, like
//! recorded silence. So pages of zeros count as never written, and silence may be listed as a loss.
//!
//! A list of gaps in the spool would tell the two apart. It is not used, for two reasons. Recovery must find the gaps also when
//! the spool is gone or rejected. And two committers and the butler would have to write the list in one order: a mistake there
//! is a loss that nobody sees, and a mistake with zeros is only silence that is listed as a loss.

use super::evidence::Extent;
use crate::file_system::knows_holes;
use crate::host::disk;
use crate::limits::PAGE_BYTES;
use nix::errno::Errno;
use nix::unistd::Whence;
use std::fs::File;
use std::io;

/// The parts from byte `from` to byte `end` of the pages of a file that were never written. Pages beyond the end of the file are
/// such pages, without the page in which the file ends. A file system that does not track holes reports none.
pub(super) fn holes(file: &File, from: u64, end: u64) -> io::Result<Vec<Extent>> {
    let page = PAGE_BYTES as u64;
    // The page that has byte `from` can be one of them.
    let (mut found, mut at) = (Vec::new(), from / page * page);
    let there = file.metadata()?.len();
    while at < end.min(there) {
        let hole = disk::seek(file, at, Whence::SeekHole)?;
        let data = match disk::seek(file, hole, Whence::SeekData) {
            Ok(data) => data,
            Err(Errno::ENXIO) => end,
            Err(errno) => return Err(errno.into()),
        };
        let hole = hole.next_multiple_of(page);
        if hole < data.min(end) {
            found.push((hole, data.min(end)));
        }
        at = data.max(at + 1);
    }
    if there < end && found.last().is_none_or(|(_, until)| *until < end) {
        found.push((there.next_multiple_of(page), end));
    }
    for (start, _) in &mut found {
        *start = from.max(*start);
    }
    found.retain(|(start, until)| start < until);
    Ok(found)
}

/// Bytes that are read at once.
const PIECE_BYTES: usize = 1 << 18;

/// Ranges of a file from byte `from` to byte `end` that were never written, in whole pages. Where the file system does not track
/// holes, these are the pages of zeros.
pub(super) fn never_written(file: &File, from: u64, end: u64) -> io::Result<Vec<Extent>> {
    if knows_holes(file) { holes(file, from, end) } else { Ok(pages_of_zeros(file, from, end)) }
}

/// The whole pages of a file from byte `from` to byte `end` that have zeros only. Pages that cannot be read, and bytes beyond the
/// end of the file, count as zeros: nobody can hear them.
pub(super) fn pages_of_zeros(file: &File, from: u64, end: u64) -> Vec<Extent> {
    let from = from.next_multiple_of(PAGE_BYTES as u64);
    let mut found: Vec<Extent> = Vec::new();
    let mut piece = vec![0; PIECE_BYTES.min(end.saturating_sub(from) as usize)];
    for at in (from..end).step_by(PIECE_BYTES) {
        let piece = &mut piece[..((end - at) as usize).min(PIECE_BYTES)];
        read_as_far_as_possible(file, piece, at);
        for (start, page) in (at..).step_by(PAGE_BYTES).zip(piece.chunks(PAGE_BYTES)) {
            let until = start + page.len() as u64;
            match found.last_mut() {
                _ if page.iter().any(|byte| *byte != 0) => {}
                Some(last) if last.1 == start => last.1 = until,
                _ => found.push((start, until)),
            }
        }
    }
    found
}

/// Fills `bytes` with the bytes of a file at `at`. A page that cannot be read, and what lies beyond the end of the file, is zeros.
pub(super) fn read_as_far_as_possible(file: &File, bytes: &mut [u8], at: u64) {
    bytes.fill(0);
    if disk::read_available(file, bytes, at).is_ok() {
        return;
    }
    for (at, page) in (at..).step_by(PAGE_BYTES).zip(bytes.chunks_mut(PAGE_BYTES)) {
        if disk::read_available(file, page, at).is_err() {
            page.fill(0);
        }
    }
}

/// The parts of `ranges` that are in none of `others`.
pub(super) fn without(ranges: Vec<Extent>, others: impl Iterator<Item = Extent>) -> Vec<Extent> {
    let mut rest = ranges;
    for (from, until) in others.filter(|(from, until)| from < until) {
        let parts = |(start, end): Extent| [(start, end.min(from)), (start.max(until), end)];
        rest = rest.into_iter().flat_map(parts).filter(|(start, end)| start < end).collect();
    }
    rest
}
