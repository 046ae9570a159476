//! The marks that another program leaves in the file of a take: zeros where sound was, and a file that is younger than the
//! take. Thread: any that may wait for the disk.
//!
//! A file system need not say which parts of a file were never written. A copy has no such parts at all. So these are looked
//! for in the bytes.

use super::evidence::Extent;
use super::ranges::read_as_far_as_possible;
use crate::file_system::{self, Kind};
use crate::host::{self, disk};
use crate::limits::PAGE_BYTES;
use crate::session::Take;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::time::{Duration, SystemTime};

/// Bytes that are read at once.
const PIECE_BYTES: usize = 1 << 18;

/// The files of a take are made this long after the time that the take has as its start, at the most. The take's time has
/// whole seconds.
const MADE_WITHIN: Duration = Duration::from_secs(3);

/// Runs of at least `least` zero bytes in a file from byte `from` to byte `end`. Bytes beyond the end of the file are zeros.
pub(super) fn zero_runs(file: &File, from: u64, end: u64, least: u64) -> io::Result<Vec<Extent>> {
    zeros_in(|bytes, at| disk::read_at(file, bytes, at), from, end, least)
}

/// Runs of zeros as [`zero_runs`] finds them. A page that cannot be read counts as zeros.
pub(super) fn zeros_or_unreadable(file: &File, from: u64, end: u64, least: u64) -> Vec<Extent> {
    let read = |bytes: &mut [u8], at: u64| {
        // Whole pages of the file, because one bad page spoils no other one.
        let rest_of_page = PAGE_BYTES - at as usize % PAGE_BYTES;
        let bytes_max = if rest_of_page < PAGE_BYTES { bytes.len().min(rest_of_page) } else { bytes.len() };
        read_as_far_as_possible(file, &mut bytes[..bytes_max], at);
        Ok(bytes_max)
    };
    zeros_in(read, from, end, least).unwrap_or_else(|_| vec![(from, end)])
}

/// Runs of at least `least` zero bytes among those that `read` reads from byte `from` to byte `end`.
fn zeros_in(
    read: impl Fn(&mut [u8], u64) -> io::Result<usize>,
    from: u64,
    end: u64,
    least: u64,
) -> io::Result<Vec<Extent>> {
    let (mut runs, mut piece) = (Vec::new(), vec![0; PIECE_BYTES.min(end.saturating_sub(from) as usize)]);
    let (mut at, mut begin) = (from, None);
    while at < end {
        let want = piece.len().min((end - at) as usize);
        let read = read(&mut piece[..want], at)?;
        if read == 0 {
            begin = begin.or(Some(at));
            break;
        }
        let mut rest = 0;
        while rest < read {
            let is_zero = piece[rest] == 0;
            let bytes = &piece[rest..read];
            let length = bytes.iter().position(|byte| (*byte == 0) != is_zero).unwrap_or(bytes.len());
            let start = at + rest as u64;
            match (is_zero, begin) {
                (true, None) => begin = Some(start),
                (false, Some(first)) => {
                    // Short runs are many: most sound has a byte of zero now and then.
                    runs.extend((least <= start - first).then_some((first, start)));
                    begin = None;
                }
                _ => {}
            }
            rest += length;
        }
        at += read as u64;
    }
    runs.extend(begin.map(|first| (first, end)).filter(|(first, last)| least <= last - first));
    Ok(runs)
}

/// The pages of `ours` that the sound of another replica, `theirs`, restores: where the two differ, `ours` has zeros. Adjacent
/// pages are joined.
pub(super) fn restored_pages(ours: &[u8], theirs: &[u8]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for at in (0..theirs.len()).step_by(PAGE_BYTES) {
        let end = (at + PAGE_BYTES).min(theirs.len());
        let (there, theirs) = (ours.get(at..end.min(ours.len())).unwrap_or_default(), &theirs[at..end]);
        // Bytes beyond the end of a file are zeros.
        let bytes = || there.iter().chain(std::iter::repeat(&0)).zip(theirs);
        let lacks_sound =
            bytes().any(|(ours, theirs)| ours != theirs) && bytes().all(|(ours, theirs)| *ours == 0 || ours == theirs);
        match found.last_mut() {
            _ if !lacks_sound => {}
            Some(last) if last.end == at => last.end = end,
            _ => found.push(at..end),
        }
    }
    found
}

/// Whether a file was made when its take was recorded already, so it is a copy. A continuation is made later than its pass
/// begins, and a file system need not know when a file was made, or know it by another clock: then the answer is no.
pub(super) fn is_copy(file: &File, take: &Take) -> bool {
    let began = || take.started.parse::<jiff::Timestamp>().ok().map(SystemTime::from);
    let made = || file.metadata().ok()?.created().ok();
    // A simulated clock has nothing in common with the times of files.
    take.offset.0 == 0
        && !host::is_simulated()
        && began()
            .zip(made())
            .is_some_and(|(began, made)| made.duration_since(began).is_ok_and(|later| MADE_WITHIN < later))
        && file_system::name_of(file).is_none_or(|name| has_clock_of_this_machine(&name))
}

/// Whether the times of files on the file system with this kernel name are those of this machine's clock. Another machine or
/// program that serves the files gives them its own time, which may be ahead.
fn has_clock_of_this_machine(name: &str) -> bool {
    name != "virtiofs" && !matches!(Kind::of(name), Kind::Network | Kind::Served)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn runs_of_zeros_are_found_wherever_they_lie() {
        let file = tempfile::tempfile().unwrap();
        let mut bytes = vec![1; 2 * PIECE_BYTES];
        bytes[..100].fill(0);
        bytes[200..299].fill(0);
        bytes[PIECE_BYTES - 70..PIECE_BYTES + 70].fill(0);
        file.write_all_at(&bytes, 10).unwrap();
        let (at, end) = (10 + PIECE_BYTES as u64, 10 + bytes.len() as u64);
        assert_eq!(zero_runs(&file, 0, end, 100).unwrap(), [(0, 110), (at - 70, at + 70)]);
        assert_eq!(
            zero_runs(&file, 50, end + 40, 40).unwrap(),
            [(50, 110), (210, 309), (at - 70, at + 70), (end, end + 40)]
        );
        assert!(zero_runs(&file, 100, 100, 1).unwrap().is_empty());
    }

    #[test]
    fn the_other_replica_restores_zeros_and_nothing_else() {
        let theirs = vec![5; 4 * PAGE_BYTES + 10];
        let mut ours = theirs.clone();
        assert!(restored_pages(&ours, &theirs).is_empty());
        ours[100..PAGE_BYTES].fill(0);
        ours[PAGE_BYTES..2 * PAGE_BYTES].fill(0);
        ours[3 * PAGE_BYTES] = 4;
        ours[3 * PAGE_BYTES + 1] = 0;
        let two_pages = 0..2 * PAGE_BYTES;
        assert_eq!(restored_pages(&ours, &theirs), std::slice::from_ref(&two_pages), "the fourth has other sound");
        ours.truncate(3 * PAGE_BYTES);
        assert_eq!(restored_pages(&ours, &theirs), [two_pages, 3 * PAGE_BYTES..4 * PAGE_BYTES + 10]);
    }

    #[test]
    fn a_server_whose_clock_is_ahead_makes_no_copies() {
        for name in ["cifs", "nfs4", "fuse.sshfs", "fuse", "fuseblk", "9p", "virtiofs"] {
            assert!(!has_clock_of_this_machine(name), "{name}");
        }
        for name in ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "exfat", "vfat"] {
            assert!(has_clock_of_this_machine(name), "{name}");
        }
    }
}
