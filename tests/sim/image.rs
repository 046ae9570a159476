//! A file of a simulated disk: its content that is durable, and its blocks. Thread: the one of the run.

use crate::random::Random;
use nix::sys::stat::fstat;
use nix::sys::uio::{pread, pwrite};
use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

pub(crate) const PAGE: u64 = 4096;

const ZEROS: [u8; PAGE as usize] = [0; PAGE as usize];

/// A file with what a power cut would leave of it.
#[derive(Debug, Default)]
pub(crate) struct Image {
    /// The durable content up to its last byte that was written. The rest of the file, as a reserve of blocks, is zeros.
    durable: Vec<u8>,
    /// Bytes of the durable file.
    length: u64,
    /// Ranges that were written since the last sync.
    pub(crate) dirty: Vec<(u64, u64)>,
    /// Pages that have blocks.
    blocks: Vec<bool>,
    /// Whether the last call wrote sound or made it durable: the file grows. Not after it got a length or a name.
    pub(crate) is_recorded: bool,
}

impl Image {
    /// The image of a file that is durable as a whole, and the number of bytes of its blocks.
    pub(crate) fn whole(written: Vec<u8>, length: u64) -> (Image, u64) {
        let mut image = Image { durable: written, length, ..Image::default() };
        let used = image.take_blocks(0, length);
        (image, used)
    }

    pub(crate) fn new_blocks(&self, offset: u64, bytes: u64) -> u64 {
        let pages = offset / PAGE..(offset + bytes).div_ceil(PAGE);
        pages.filter(|page| !self.blocks.get(*page as usize).copied().unwrap_or(false)).count() as u64 * PAGE
    }

    pub(crate) fn take_blocks(&mut self, offset: u64, bytes: u64) -> u64 {
        let new = self.new_blocks(offset, bytes);
        let end = (offset + bytes).div_ceil(PAGE) as usize;
        if self.blocks.len() < end {
            self.blocks.resize(end, false);
        }
        self.blocks[(offset / PAGE) as usize..end].fill(true);
        new
    }

    pub(crate) fn give_blocks(&mut self, from: u64) -> u64 {
        let first = (from.div_ceil(PAGE) as usize).min(self.blocks.len());
        let given = self.blocks[first..].iter().filter(|has| **has).count() as u64 * PAGE;
        self.blocks.truncate(first);
        given
    }

    /// Another program has cut the file to `length` bytes. Returns the bytes of the blocks that are free now.
    pub(crate) fn cut(&mut self, length: u64) -> u64 {
        self.durable.truncate(length as usize);
        self.length = self.length.min(length);
        self.dirty.retain_mut(|(from, to)| {
            *to = length.min(*to);
            from < to
        });
        self.give_blocks(length)
    }

    /// A sync has succeeded.
    pub(crate) fn sync(&mut self, file: BorrowedFd<'_>) {
        let length = length_of(file);
        self.length = length;
        self.durable.truncate(length as usize);
        // For a file that is open to be written only.
        let mut again = None;
        for (from, to) in self.dirty.drain(..) {
            let to = to.min(length);
            if from < to {
                if (self.durable.len() as u64) < to {
                    self.durable.resize(to as usize, 0);
                }
                let bytes = &mut self.durable[from as usize..to as usize];
                if again.is_some() || pread(file, bytes, from as i64).is_err() {
                    let open = || fs::File::open(format!("/proc/self/fd/{}", file.as_raw_fd()));
                    let again = again.get_or_insert_with(|| open().expect("the file can be opened"));
                    again.read_exact_at(bytes, from).expect("the file can be read");
                }
            }
        }
    }

    /// A sync has failed: the kernel drops the pages that it could not write, so that some of them have the old content.
    pub(crate) fn fail_sync(&mut self, file: BorrowedFd<'_>, random: &mut Random) {
        for (from, to) in self.dirty.drain(..) {
            let mut at = from / PAGE * PAGE;
            while at < to {
                if random.chance(500) {
                    let mut page = vec![0; PAGE as usize];
                    let known = self.durable.len() as u64;
                    if at < known {
                        let bytes = (known - at).min(PAGE) as usize;
                        page[..bytes].copy_from_slice(&self.durable[at as usize..at as usize + bytes]);
                    }
                    let length = length_of(file);
                    let bytes = length.saturating_sub(at).min(PAGE) as usize;
                    pwrite(file, &page[..bytes], at as i64).ok();
                }
                at += PAGE;
            }
        }
    }

    /// Returns the bytes that the file has after a power cut, and its length; zeros follow the bytes. Everything that was synced
    /// is there, and some of the other pages. `path`: the name of the file, if it still has one.
    pub(crate) fn after_cut(&self, path: Option<&Path>, random: &mut Random) -> io::Result<(Vec<u8>, u64)> {
        // The content that the program has seen, up to the last page that was not synced.
        let end = self.dirty.iter().map(|(_, to)| to.next_multiple_of(PAGE)).max().unwrap_or(0);
        let (mut bytes, mut length) = (self.durable.clone(), self.length);
        let Some(seen) = path.map(|path| read_up_to(path, end)).transpose()? else { return Ok((bytes, length)) };
        let kept_per_mille = *random.pick(&[0, 300, 1000]);
        for (from, to) in &self.dirty {
            let mut at = from / PAGE * PAGE;
            while at < *to {
                let end = (at + PAGE).min(seen.len() as u64);
                if at < end && random.chance(kept_per_mille) {
                    if (bytes.len() as u64) < end {
                        bytes.resize(end as usize, 0);
                    }
                    bytes[at as usize..end as usize].copy_from_slice(&seen[at as usize..end as usize]);
                    length = length.max(end);
                }
                at += PAGE;
            }
        }
        Ok((bytes, length))
    }
}

/// The first `end` bytes of a file, or fewer if it has fewer.
fn read_up_to(path: &Path, end: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if end > 0 {
        fs::File::open(path)?.take(end).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// Writes a file of `length` bytes, which are zeros after `bytes`. Pages of zeros are holes: blocks that were reserved and
/// never written look like that. Returns its number.
pub(crate) fn write_with_holes(path: &Path, bytes: &[u8], length: u64) -> io::Result<u64> {
    let file = fs::File::create(path)?;
    file.set_len(length)?;
    for (at, page) in bytes.chunks(PAGE as usize).enumerate() {
        if page != &ZEROS[..page.len()] {
            file.write_all_at(page, at as u64 * PAGE)?;
        }
    }
    Ok(file.metadata()?.ino())
}

fn length_of(file: BorrowedFd<'_>) -> u64 {
    fstat(file).map_or(0, |found| found.st_size as u64)
}
