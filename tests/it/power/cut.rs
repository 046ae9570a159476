//! The content of a disk after a power cut: every write that a flush covers, and a random part of the others. Thread:
//! test.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use super::disk::{Event, What, mount};
use crate::waiting::unmount;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Bytes that a disk writes completely or not at all.
const SECTOR: usize = 512;

/// Pseudo-random numbers, the same for the same seed (splitmix64).
pub(super) struct Chance(pub(super) u64);

impl Chance {
    /// A number from 0 up to, not including, `below`.
    pub(super) fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }

    fn heads(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// The fate of the writes that no flush covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// All are lost.
    Gone,
    /// All are on the disk.
    There,
    /// Each is on the disk or lost.
    Some,
    /// Each is on the disk, lost, or torn: then each of its sectors is on the disk or lost.
    Torn,
}

impl Rest {
    /// Chooses one of the four.
    pub(super) fn any(chance: &mut Chance) -> Rest {
        [Rest::Gone, Rest::There, Rest::Some, Rest::Torn][chance.below(4) as usize]
    }
}

/// A power cut before event `at` of the log, on a disk with sectors of `sector` bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    pub(super) at: usize,
    pub(super) rest: Rest,
    pub(super) sector: usize,
}

/// Number of the first events of a log that the last flush covers.
fn covered(events: &[Event]) -> usize {
    let flushes =
        events.iter().filter_map(|event| if let What::Flushed { came } = event.what { Some(came) } else { None });
    flushes.max().unwrap_or(0)
}

/// Changes `image`, a copy of the disk before the first event, to what the disk holds after the cut.
pub(super) fn replay(events: &[Event], cut: Cut, chance: &mut Chance, image: &File) {
    let events = &events[..cut.at];
    let mut sure = vec![false; events.len()];
    for event in &events[..covered(events)] {
        if let What::Answered(write) = event.what {
            sure[write] = true;
        }
    }
    for (event, sure) in events.iter().zip(sure) {
        let What::Write { at, bytes } = &event.what else { continue };
        let whole = match cut.rest {
            _ if sure => true,
            Rest::Gone => false,
            Rest::There => true,
            Rest::Some => chance.heads(),
            Rest::Torn => match chance.below(3) {
                0 => false,
                1 => true,
                _ => {
                    for (index, sector) in bytes.chunks(cut.sector).enumerate() {
                        if chance.heads() {
                            image.write_all_at(sector, at + (index * cut.sector) as u64).unwrap();
                        }
                    }
                    false
                }
            },
        };
        if whole {
            image.write_all_at(bytes, *at).unwrap();
        }
    }
}

/// The disk after the cut, mounted, so that the file system has repaired itself.
pub(super) struct After {
    at: PathBuf,
    image: PathBuf,
}

impl After {
    /// Mounts the image. The error says why it cannot be mounted.
    pub(super) fn mount(place: &Path, image: PathBuf) -> Result<After, String> {
        let at = place.join("after");
        fs::create_dir_all(&at).unwrap();
        mount(&["-o", "loop", &image.to_string_lossy()], &at)?;
        Ok(After { at, image })
    }

    pub(super) fn path(&self) -> &Path {
        &self.at
    }
}

impl Drop for After {
    fn drop(&mut self) {
        unmount(&self.at);
        fs::remove_file(&self.image).ok();
    }
}

/// A sparse copy of an image.
pub(super) fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").args(["--sparse=always", "--reflink=auto"]).arg(from).arg(to).status().unwrap();
    assert!(done.success());
}

/// Makes a file system in an image of `bytes` bytes. `false`: this computer cannot make it.
pub(super) fn make(fs: &str, bytes: u64, image: &Path) -> bool {
    File::create(image).unwrap().set_len(bytes).unwrap();
    let mut make = Command::new(format!("mkfs.{fs}"));
    if fs == "ext4" {
        // mkfs writes the tables now, so that no kernel thread writes them during the test.
        make.args(["-E", "lazy_itable_init=0,lazy_journal_init=0"]);
    }
    make.arg("-q").arg(image).output().is_ok_and(|made| made.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(list: Vec<What>) -> Vec<Event> {
        list.into_iter().map(|what| Event { what, passes: 0, frames: 0 }).collect()
    }

    fn write(at: u64, byte: u8) -> What {
        What::Write { at, bytes: vec![byte; 2 * SECTOR].into() }
    }

    /// First byte of each of the disk's first four sectors.
    fn held(events: &[Event], at: usize, rest: Rest, seed: u64) -> [u8; 4] {
        let image = tempfile::tempfile().unwrap();
        image.set_len(4 * SECTOR as u64).unwrap();
        replay(events, Cut { at, rest, sector: SECTOR }, &mut Chance(seed), &image);
        std::array::from_fn(|sector| {
            let mut byte = [0];
            image.read_exact_at(&mut byte, (sector * SECTOR) as u64).unwrap();
            byte[0]
        })
    }

    #[test]
    fn a_flush_covers_what_was_answered_before_it_came_and_nothing_else() {
        let log =
            events(vec![write(0, 1), What::Answered(0), write(1024, 2), What::Answered(2), What::Flushed { came: 3 }]);
        assert_eq!(held(&log, 4, Rest::Gone, 0), [0; 4], "before the flush");
        assert_eq!(held(&log, 4, Rest::There, 0), [1, 1, 2, 2]);
        assert_eq!(held(&log, 5, Rest::Gone, 0), [1, 1, 0, 0], "the second was answered after it came");
    }

    #[test]
    fn the_rest_is_any_part_of_what_was_written() {
        let log = events(vec![write(0, 1), write(1024, 2)]);
        let found = |rest| {
            let mut found: Vec<_> = (0..200).map(|seed| held(&log, 2, rest, seed)).collect();
            found.sort_unstable();
            found.dedup();
            found.len()
        };
        assert_eq!((found(Rest::Some), found(Rest::Torn)), (4, 16));
    }
}
