//! Ranges of bytes of a file: those that were never written, and the difference of two lists. Thread: any that may wait for the
//! disk.

use super::evidence::Extent;
use crate::host::disk;
use crate::limits::PAGE_BYTES;
use nix::errno::Errno;
use nix::unistd::Whence;
use std::fs::File;
use std::io;

/// Ranges of a file from byte `from` to byte `end` that were never written, in whole pages. Bytes beyond the end of the
/// file are such a range. A file system that does not track holes reports none.
pub(super) fn holes(file: &File, from: u64, end: u64) -> io::Result<Vec<Extent>> {
    let (mut found, mut at, page) = (Vec::new(), from, PAGE_BYTES as u64);
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
        found.push((there.max(from).next_multiple_of(page), end));
    }
    found.retain(|(start, until)| start < until);
    Ok(found)
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
