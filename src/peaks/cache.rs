//! The cache file of a take's waveform, `peaks/<take>.peaks`. Thread: peaks-build (writes), peaks-read (reads).
//!
//! | byte | content, little endian |
//! |---|---|
//! | 0 | `FLTPEAKS` |
//! | 8 | version 1, channels, rate, frames of a base entry: 32 bits each |
//! | 24 | frames; bytes of the WAV; its modification time in seconds and nanoseconds: 64 bits each |
//! | 56 | checksum of the bytes before it and of the lowest level of the pyramid: 64 bits |
//! | 64 | the base: blocks of 4096 entries, in each block channel after channel; the last block is shorter |
//! | | the lowest level of the pyramid, channel after channel |
//!
//! peaks-build writes the base block by block while it grows, and peaks-read reads it block by block on request. When a
//! take is opened, only the level above the base, a quarter as long, is read. The file gets its name when it is
//! complete. A reader accepts a file only if its length fits its header, its header fits the WAV, and the
//! checksum is correct. It ignores any other file.

use super::block::{Block, Scale};
use super::entry::Entry;
use super::pyramid::{Pyramid, level_frames};
use crate::file_system::open_regular;
use crate::limits::{PEAK_BASE_FRAMES, PEAK_BLOCK_ENTRIES, PEAK_FRAMES_MAX, TAKE_CHANNEL_COUNT_MAX};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use uuid::Uuid;

const MAGIC: &[u8; 8] = b"FLTPEAKS";
const VERSION: u32 = 1;
/// Bytes of the header.
pub const HEADER_BYTES: usize = 64;
const CHECKSUM_AT: usize = 56;
const ENTRY_BYTES: u64 = 4;
/// Bytes of the shortest sample that a WAV can have.
const SAMPLE_BYTES_MIN: u64 = 2;

/// Size and modification time of a WAV file. A cache belongs to the file only while both are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    bytes: u64,
    seconds: i64,
    nanos: i64,
}

impl Fingerprint {
    pub fn of(data: &Metadata) -> Fingerprint {
        Fingerprint { bytes: data.len(), seconds: data.mtime(), nanos: data.mtime_nsec() }
    }

    /// The fingerprint of the WAV for which a cache was made.
    pub fn from_header(header: &[u8; HEADER_BYTES]) -> Fingerprint {
        Fingerprint { bytes: long(header, 32), seconds: long(header, 40) as i64, nanos: long(header, 48) as i64 }
    }
}

/// The path of a take's cache file in the folder `peaks`.
pub fn path_of(peaks: &Path, take: Uuid) -> PathBuf {
    peaks.join(format!("{take}.peaks"))
}

/// The path of the cache file while it is incomplete.
pub fn part_path_of(peaks: &Path, take: Uuid) -> PathBuf {
    peaks.join(format!(".{take}.peaks.part"))
}

/// Removes the incomplete cache files that a killed program left.
pub fn remove_parts(peaks: &Path) {
    if !is_folder(peaks) {
        return;
    }
    let Ok(entries) = fs::read_dir(peaks) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let part = name.to_str().and_then(|name| name.strip_prefix('.')?.strip_suffix(".peaks.part"));
        if part.is_some_and(|take| Uuid::try_parse(take).is_ok()) {
            fs::remove_file(entry.path()).ok();
        }
    }
}

/// Where the levels lie in a cache file.
struct CacheLayout {
    channels: usize,
    base: u64,
    lowest: u64,
}

impl CacheLayout {
    /// The caller has checked `channels` and `frames` against their limits, so no calculation here overflows.
    fn new(channels: usize, frames: u64) -> CacheLayout {
        CacheLayout {
            channels,
            base: frames.div_ceil(PEAK_BASE_FRAMES as u64),
            lowest: frames.div_ceil(level_frames(0)),
        }
    }

    fn lowest_at(&self) -> u64 {
        HEADER_BYTES as u64 + self.channels as u64 * self.base * ENTRY_BYTES
    }

    fn file_bytes(&self) -> u64 {
        self.lowest_at() + self.channels as u64 * self.lowest * ENTRY_BYTES
    }

    fn block_at(&self, index: u64) -> u64 {
        HEADER_BYTES as u64 + index * PEAK_BLOCK_ENTRIES as u64 * self.channels as u64 * ENTRY_BYTES
    }
}

/// Reads the cache at `path` for a WAV file with the fingerprint `wav`. None if there is no valid cache. Memory use is
/// proportional to the real length of the file, whatever its header says.
pub fn open(path: &Path, wav: Fingerprint) -> Option<Pyramid> {
    let file = open_regular(path).ok()?;
    let file_bytes = file.metadata().ok()?.len();
    read(file, file_bytes, wav)
}

/// Like [`open()`], from a file of `file_bytes` bytes that is positioned at its start.
pub fn read(mut file: impl Read + Seek, file_bytes: u64, wav: Fingerprint) -> Option<Pyramid> {
    let mut header = [0; HEADER_BYTES];
    file.read_exact(&mut header).ok()?;
    let (channels, frames) = (word(&header, 12) as usize, long(&header, 24));
    if &header[..8] != MAGIC
        || word(&header, 8) != VERSION
        || word(&header, 20) != PEAK_BASE_FRAMES as u32
        || !(1..=TAKE_CHANNEL_COUNT_MAX).contains(&channels)
        || PEAK_FRAMES_MAX < frames
        || Fingerprint::from_header(&header) != wav
    {
        return None;
    }
    let shape = CacheLayout::new(channels, frames);
    // A sparse file can have any length at no cost, so the WAV must be long enough for the frames as well.
    if shape.file_bytes() != file_bytes || wav.bytes / (SAMPLE_BYTES_MIN * channels as u64) < frames {
        return None;
    }
    let mut checksum = Checksum::of_header(&header);
    file.seek(SeekFrom::Start(shape.lowest_at())).ok()?;
    let mut lowest = BufReader::with_capacity(64 * 1024, file);
    let pyramid = Pyramid::from_lowest(channels, frames, |_, _| {
        let mut bytes = [0; ENTRY_BYTES as usize];
        lowest.read_exact(&mut bytes).ok()?;
        let bits = u32::from_le_bytes(bytes);
        checksum.add(bits);
        Some(Entry::unpack(bits)).filter(|entry| entry.is_valid())
    })?;
    (checksum.0 == long(&header, CHECKSUM_AT)).then_some(pyramid)
}

fn word(header: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

fn long(header: &[u8; HEADER_BYTES], at: usize) -> u64 {
    u64::from(word(header, at)) | u64::from(word(header, at + 4)) << 32
}

/// Reads block `index` of the base of a take of `frames` frames, from its complete or incomplete cache file.
pub(super) fn read_block(path: &Path, channels: usize, frames: u64, index: u64) -> io::Result<Block> {
    let shape = CacheLayout::new(channels, frames);
    let first = index.saturating_mul(PEAK_BLOCK_ENTRIES as u64);
    let len = shape.base.saturating_sub(first).min(PEAK_BLOCK_ENTRIES as u64) as usize;
    let mut bytes = vec![0; channels * len * ENTRY_BYTES as usize];
    open_regular(path)?.read_exact_at(&mut bytes, shape.block_at(index))?;
    let block = Block::entries(channels, len);
    for (at, bits) in bytes.as_chunks().0.iter().enumerate() {
        let entry = Entry::unpack(u32::from_le_bytes(*bits));
        if !entry.is_valid() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        block.set(at / len, at % len, entry);
    }
    block.set_len(len);
    Ok(block)
}

/// Reads block `index` of one of the coarser `scale`s of a take of `frames` frames, from its complete cache file. The
/// entries are made from those of the lowest level.
pub(super) fn read_level_block(
    path: &Path,
    channels: usize,
    frames: u64,
    scale: Scale,
    index: u64,
) -> io::Result<Block> {
    let shape = CacheLayout::new(channels, frames);
    let ratio = scale.frames() / level_frames(0);
    let first = index.saturating_mul(PEAK_BLOCK_ENTRIES as u64 * ratio);
    let lowest = shape.lowest.saturating_sub(first).min(PEAK_BLOCK_ENTRIES as u64 * ratio);
    let len = lowest.div_ceil(ratio) as usize;
    let block = Block::entries(channels, len);
    let file = open_regular(path)?;
    let mut bytes = vec![0; lowest as usize * ENTRY_BYTES as usize];
    for channel in 0..channels {
        let at = shape.lowest_at() + (channel as u64 * shape.lowest + first) * ENTRY_BYTES;
        file.read_exact_at(&mut bytes, at)?;
        for (at, part) in bytes.as_chunks().0.chunks(ratio as usize).enumerate() {
            let entries = part.iter().map(|bits| Entry::unpack(u32::from_le_bytes(*bits)));
            let entry = entries.fold(Entry::NONE, Entry::merge);
            if !entry.is_valid() {
                return Err(io::ErrorKind::InvalidData.into());
            }
            block.set(channel, at, entry);
        }
    }
    block.set_len(len);
    Ok(block)
}

/// Writes a cache file. Dropping the writer before [`CacheWriter::finish`] removes the file.
pub(super) struct CacheWriter {
    file: File,
    part: PathBuf,
    path: PathBuf,
    blocks: u64,
    done: bool,
}

impl CacheWriter {
    /// Creates the incomplete cache file of a take.
    pub(super) fn create(peaks: &Path, take: Uuid) -> io::Result<CacheWriter> {
        if !is_folder(peaks) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let (part, path) = (part_path_of(peaks, take), path_of(peaks, take));
        fs::remove_file(&part).ok();
        let file = OpenOptions::new().write(true).create_new(true).open(&part)?;
        Ok(CacheWriter { file, part, path, blocks: 0, done: false })
    }

    /// Number of blocks written, which is the index of the next block.
    pub(super) fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Appends the next block. Only the last block may be shorter than the others.
    pub(super) fn append(&mut self, channels: usize, block: &Block) -> io::Result<()> {
        let len = block.len();
        let entries = (0..channels).flat_map(|channel| (0..len).map(move |at| block.get(channel, at)));
        let bytes: Vec<u8> = entries.flat_map(|entry| entry.pack().to_le_bytes()).collect();
        // The offset of a block does not depend on the length of the take, so 0 frames will do.
        self.file.write_all_at(&bytes, CacheLayout::new(channels, 0).block_at(self.blocks))?;
        self.blocks += 1;
        Ok(())
    }

    /// Writes the lowest level and the header, syncs the file and renames it. All blocks of `pyramid` must be written.
    pub(super) fn finish(mut self, pyramid: &Pyramid, rate: u32, wav: Fingerprint) -> io::Result<()> {
        let (channels, frames) = (pyramid.channels(), pyramid.frames());
        debug_assert!(self.blocks == frames.div_ceil(Scale::Base.block_frames()));
        let shape = CacheLayout::new(channels, frames);
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(MAGIC);
        for (at, word) in [VERSION, channels as u32, rate, PEAK_BASE_FRAMES as u32].into_iter().enumerate() {
            header[8 + at * 4..][..4].copy_from_slice(&word.to_le_bytes());
        }
        for (at, long) in [frames, wav.bytes, wav.seconds as u64, wav.nanos as u64].into_iter().enumerate() {
            header[24 + at * 8..][..8].copy_from_slice(&long.to_le_bytes());
        }
        let mut checksum = Checksum::of_header(&header);
        let mut bytes = Vec::new();
        for channel in 0..channels {
            for at in 0..shape.lowest {
                let bits = pyramid.lowest(channel, at).pack();
                checksum.add(bits);
                bytes.extend_from_slice(&bits.to_le_bytes());
            }
        }
        header[CHECKSUM_AT..].copy_from_slice(&checksum.0.to_le_bytes());
        self.file.write_all_at(&bytes, shape.lowest_at())?;
        self.file.write_all_at(&header, 0)?;
        // Sync before the rename: otherwise a power cut could leave zeros under the name, which would show silence
        // where there is sound.
        self.file.sync_data()?;
        fs::rename(&self.part, &self.path)?;
        self.done = true;
        Ok(())
    }
}

impl Drop for CacheWriter {
    fn drop(&mut self) {
        if !self.done {
            fs::remove_file(&self.part).ok();
        }
    }
}

/// FNV-1a over 32-bit words.
struct Checksum(u64);

impl Checksum {
    fn of_header(header: &[u8; HEADER_BYTES]) -> Checksum {
        let mut checksum = Checksum(0xcbf2_9ce4_8422_2325);
        for word in header[..CHECKSUM_AT].as_chunks().0 {
            checksum.add(u32::from_le_bytes(*word));
        }
        checksum
    }

    fn add(&mut self, word: u32) {
        self.0 = (self.0 ^ u64::from(word)).wrapping_mul(0x0000_0100_0000_01b3);
    }
}

/// Whether `peaks` is a folder. A symlink does not count: it may lead out of the session.
fn is_folder(peaks: &Path) -> bool {
    peaks.symlink_metadata().is_ok_and(|found| found.is_dir())
}
