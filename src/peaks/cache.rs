//! The file that keeps a take's waveform, `peaks/<take>.peaks`. Thread: peaks-build (write), peaks-read (read).
//!
//! | byte | what, little endian |
//! |---|---|
//! | 0 | `FLTPEAKS` |
//! | 8 | version 1, channels, rate, frames of a base entry: 32 bits each |
//! | 24 | frames; bytes of the WAV; its time of change in seconds and nanoseconds: 64 bits each |
//! | 56 | checksum of all before it and of the lowest level in memory: 64 bits |
//! | 64 | the base: blocks of 4096 entries, channel after channel in each, the last one shorter |
//! | | the lowest level in memory, channel after channel |
//!
//! The base is written while it grows and read block by block when somebody looks; only the level above it, a
//! quarter as long, is read when a session is opened. The file gets its name when it is whole. What it says is
//! believed if it fits its own length and the WAV beside it; anything else is as good as no file.

use super::block::{Block, Scale};
use super::pyramid::{Entry, Pyramid, level_frames};
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
/// Bytes of the shortest sample that a WAV has.
const SAMPLE_BYTES_MIN: u64 = 2;

/// The state of a WAV file that a cache belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    bytes: u64,
    seconds: i64,
    nanos: i64,
}

impl Fingerprint {
    /// Of a file as it is now.
    pub fn of(data: &Metadata) -> Fingerprint {
        Fingerprint { bytes: data.len(), seconds: data.mtime(), nanos: data.mtime_nsec() }
    }

    /// That of the WAV which the header of a cache names.
    pub fn told(header: &[u8; HEADER_BYTES]) -> Fingerprint {
        Fingerprint { bytes: long(header, 32), seconds: long(header, 40) as i64, nanos: long(header, 48) as i64 }
    }
}

/// The cache of a take in the folder `peaks`.
pub fn path_of(peaks: &Path, take: Uuid) -> PathBuf {
    peaks.join(format!("{take}.peaks"))
}

/// What the cache is called until it is whole.
pub fn part_path_of(peaks: &Path, take: Uuid) -> PathBuf {
    peaks.join(format!(".{take}.peaks.part"))
}

/// Removes what a program that was killed left unfinished.
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

/// How the rest of a file is divided.
struct Shape {
    channels: usize,
    base: u64,
    lowest: u64,
}

impl Shape {
    /// `channels` and `frames` are within their limits, so nothing overflows.
    fn new(channels: usize, frames: u64) -> Shape {
        Shape { channels, base: frames.div_ceil(PEAK_BASE_FRAMES as u64), lowest: frames.div_ceil(level_frames(0)) }
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

/// Reads the cache at `path` of a WAV file that looks like `wav`. None: there is none that can be believed. Takes
/// memory in proportion to the file, whatever it says.
pub fn open(path: &Path, wav: Fingerprint) -> Option<Pyramid> {
    let file = open_regular(path).ok()?;
    let file_bytes = file.metadata().ok()?.len();
    read(file, file_bytes, wav)
}

/// The same from an open file of `file_bytes` bytes, at its start.
pub fn read(mut file: impl Read + Seek, file_bytes: u64, wav: Fingerprint) -> Option<Pyramid> {
    let mut header = [0; HEADER_BYTES];
    file.read_exact(&mut header).ok()?;
    let (channels, frames) = (word(&header, 12) as usize, long(&header, 24));
    if &header[..8] != MAGIC
        || word(&header, 8) != VERSION
        || word(&header, 20) != PEAK_BASE_FRAMES as u32
        || !(1..=TAKE_CHANNEL_COUNT_MAX).contains(&channels)
        || PEAK_FRAMES_MAX < frames
        || Fingerprint::told(&header) != wav
    {
        return None;
    }
    let shape = Shape::new(channels, frames);
    // A file of holes is as long as anybody likes, but the WAV beside it must have the sound.
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

/// Reads block `index` of the base of a take of `frames`, from its cache or the unfinished one.
pub(super) fn read_block(path: &Path, channels: usize, frames: u64, index: u64) -> io::Result<Block> {
    let shape = Shape::new(channels, frames);
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

/// A cache that is being written. Dropped before it is whole, it vanishes.
pub(super) struct Writer {
    file: File,
    part: PathBuf,
    path: PathBuf,
    blocks: u64,
    done: bool,
}

impl Writer {
    /// Begins the cache of a take.
    pub(super) fn create(peaks: &Path, take: Uuid) -> io::Result<Writer> {
        if !is_folder(peaks) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let (part, path) = (part_path_of(peaks, take), path_of(peaks, take));
        fs::remove_file(&part).ok();
        let file = OpenOptions::new().write(true).create_new(true).open(&part)?;
        Ok(Writer { file, part, path, blocks: 0, done: false })
    }

    /// Blocks that are in it; what is next.
    pub(super) fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Adds the next block. Only the last may be shorter than the others.
    pub(super) fn append(&mut self, channels: usize, block: &Block) -> io::Result<()> {
        let len = block.len();
        let entries = (0..channels).flat_map(|channel| (0..len).map(move |at| block.get(channel, at)));
        let bytes: Vec<u8> = entries.flat_map(|entry| entry.pack().to_le_bytes()).collect();
        // The place does not depend on the length of the take.
        self.file.write_all_at(&bytes, Shape::new(channels, 0).block_at(self.blocks))?;
        self.blocks += 1;
        Ok(())
    }

    /// Adds what is left, makes it durable and gives it its name. All blocks of `pyramid` are in it.
    pub(super) fn finish(mut self, pyramid: &Pyramid, rate: u32, wav: Fingerprint) -> io::Result<()> {
        let (channels, frames) = (pyramid.channels(), pyramid.frames());
        debug_assert!(self.blocks == frames.div_ceil(Scale::Base.block_frames()));
        let shape = Shape::new(channels, frames);
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
        // A name that leads to zeros after a power cut would show silence where there is sound.
        self.file.sync_data()?;
        fs::rename(&self.part, &self.path)?;
        self.done = true;
        Ok(())
    }
}

impl Drop for Writer {
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

/// Whether caches may be kept there. A link is no folder: it may lead out of the session.
fn is_folder(peaks: &Path) -> bool {
    peaks.symlink_metadata().is_ok_and(|found| found.is_dir())
}
