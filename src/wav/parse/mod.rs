//! Finds the sound in a WAV file of any program, complete or cut short. Thread: any. Pure.
//!
//! The file is not trusted: the number of chunks is limited, sizes are compared with the length of the file, and no
//! size in the file decides how much memory is allocated.

use crate::format::TakeFormat;
use crate::limits::CHANNEL_COUNT_MAX;
use crate::wav::WavError;
use crate::wav::bext::{self, Bext};
use std::io::{Read, Seek, SeekFrom};

/// Maximum number of chunks that are read. Normal files have fewer than twenty.
pub const CHUNK_COUNT_MAX: usize = 1024;

/// Bytes of a chunk's identity and size.
const CHUNK_HEAD_BYTES: u64 = 8;
/// Bytes of `RIFF`, its size and `WAVE`.
const RIFF_HEAD_BYTES: u64 = 12;
/// A size with the meaning "see ds64". Programs that were killed leave it as well.
const SIZE_UNKNOWN: u32 = u32::MAX;
/// `wFormatTag` of WAVEFORMATEXTENSIBLE: the sub-format defines the samples.
pub(super) const TAG_EXTENSIBLE: u16 = 0xfffe;
/// The last 14 bytes of a sub-format whose first two bytes are a format tag.
pub(super) const SUBFORMAT_TAIL: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];
/// The same for Ambisonic B format. Its samples are ordinary ones.
const AMBISONIC_TAIL: [u8; 14] = [0, 0, 0x21, 7, 0xd3, 0x11, 0x86, 0x44, 0xc8, 0xc1, 0xca, 0, 0, 0];

/// Sample format of a file: little endian, without padding between samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// 16-bit integers, or 9 to 15 bits left-justified in them.
    Pcm16,
    /// 24-bit integers, or 17 to 23 bits left-justified in them.
    Pcm24,
    /// 32-bit integers, or fewer bits left-justified in them.
    Pcm32,
    /// 32-bit IEEE floats, full scale at 1.0.
    Float32,
    /// 64-bit IEEE floats, full scale at 1.0.
    Float64,
}

impl Encoding {
    /// Bytes per sample.
    pub const fn bytes(self) -> usize {
        match self {
            Encoding::Pcm16 => 2,
            Encoding::Pcm24 => 3,
            Encoding::Pcm32 | Encoding::Float32 => 4,
            Encoding::Float64 => 8,
        }
    }

    /// The take format with the same bytes, if there is one.
    pub const fn take_format(self) -> Option<TakeFormat> {
        match self {
            Encoding::Pcm16 => Some(TakeFormat::S16),
            Encoding::Pcm24 => Some(TakeFormat::S24),
            Encoding::Pcm32 | Encoding::Float64 => None,
            Encoding::Float32 => Some(TakeFormat::F32),
        }
    }
}

impl From<TakeFormat> for Encoding {
    fn from(format: TakeFormat) -> Encoding {
        match format {
            TakeFormat::S16 => Encoding::Pcm16,
            TakeFormat::S24 => Encoding::Pcm24,
            TakeFormat::F32 => Encoding::Float32,
        }
    }
}

/// Format, length and position of the sound in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// 1 to [`CHANNEL_COUNT_MAX`].
    pub channels: u16,
    /// Frames per second, at least 1.
    pub rate: u32,
    pub encoding: Encoding,
    /// Offset of the first sample in bytes.
    pub data_offset: u64,
    /// Bytes of sound that the file really has. The last frame may be incomplete.
    pub data_bytes: u64,
    /// Whole frames in `data_bytes`.
    pub frames: u64,
    /// None if the file has no usable `bext` chunk.
    pub bext: Option<Bext>,
    /// Whether the header promises more sound than the file has, or has no length at all: the program that wrote the
    /// file did not finish it.
    pub truncated: bool,
}

impl Layout {
    pub fn frame_bytes(&self) -> usize {
        usize::from(self.channels) * self.encoding.bytes()
    }
}

/// Reads the chunks of a RIFF, RF64 or BW64 file of `file_bytes` bytes. Reads no sound.
pub fn parse(read: &mut (impl Read + Seek), file_bytes: u64) -> Result<Layout, WavError> {
    let riff = Riff::read(read, file_bytes)?;
    let mut chunks = KnownChunks::default();
    let mut at = RIFF_HEAD_BYTES;
    for _ in 0..CHUNK_COUNT_MAX {
        let payload_at = at.saturating_add(CHUNK_HEAD_BYTES);
        if payload_at > file_bytes {
            return chunks.layout();
        }
        let mut head = [0; CHUNK_HEAD_BYTES as usize];
        read_at(read, at, &mut head)?;
        let chunk = ChunkHead {
            id: [head[0], head[1], head[2], head[3]],
            size: le_u32(&head, 4),
            payload_at,
            present: file_bytes - payload_at,
        };
        let payload_bytes = chunks.read_chunk(read, &riff, &chunk)?;
        // A size past the end of the file ends the loop in the next round.
        at = payload_at.saturating_add(payload_bytes).saturating_add(payload_bytes % 2).min(file_bytes);
    }
    if chunks.data.is_none() { Err(WavError::TooManyChunks) } else { chunks.layout() }
}

/// The first twelve bytes of a file, and its real length.
struct Riff {
    /// The file is RF64 or BW64: 64-bit sizes may follow in `ds64`.
    is_rf64: bool,
    /// The size field of `RIFF`: the number of bytes after it.
    size: u32,
    file_bytes: u64,
}

impl Riff {
    fn read(read: &mut (impl Read + Seek), file_bytes: u64) -> Result<Riff, WavError> {
        if file_bytes < RIFF_HEAD_BYTES {
            return Err(WavError::NotWav);
        }
        let mut head = [0; RIFF_HEAD_BYTES as usize];
        read_at(read, 0, &mut head)?;
        let is_rf64 = match &head[0..4] {
            b"RIFF" => false,
            b"RF64" | b"BW64" => true,
            _ => return Err(WavError::NotWav),
        };
        if &head[8..12] != b"WAVE" {
            return Err(WavError::NotWav);
        }
        Ok(Riff { is_rf64, size: le_u32(&head, 4), file_bytes })
    }

    /// Whether the length in the header is that of the file: the program that wrote the file finished it.
    fn is_finished(&self, ds64: Option<&Ds64>) -> bool {
        let size = match ds64 {
            Some(ds64) if self.size == SIZE_UNKNOWN => ds64.riff_bytes,
            _ => u64::from(self.size),
        };
        // Some programs do not count the last pad byte, others do not write it.
        size.checked_add(CHUNK_HEAD_BYTES).is_some_and(|bytes| bytes.abs_diff(self.file_bytes) <= 1)
    }
}

/// Identifier, size and position of a chunk.
struct ChunkHead {
    id: [u8; 4],
    size: u32,
    payload_at: u64,
    /// Bytes from `payload_at` to the end of the file.
    present: u64,
}

impl ChunkHead {
    /// Bytes of the payload that the file has, at most `max`.
    fn readable(&self, max: usize) -> usize {
        u64::from(self.size).min(self.present).min(max as u64) as usize
    }
}

/// The 64-bit sizes of EBU Tech 3306. The table for other chunks is ignored, because no chunk that we read is that
/// long.
struct Ds64 {
    riff_bytes: u64,
    data_bytes: u64,
}

struct FormatChunk {
    channels: u16,
    rate: u32,
    encoding: Encoding,
}

struct DataChunk {
    at: u64,
    bytes: u64,
    truncated: bool,
}

/// The chunks that we read. If a file has several of a kind, the first one counts.
#[derive(Default)]
struct KnownChunks {
    ds64: Option<Ds64>,
    format: Option<FormatChunk>,
    bext: Option<Bext>,
    data: Option<DataChunk>,
}

impl KnownChunks {
    /// Reads a chunk. Returns the length of its payload, which may reach past the end of the file.
    fn read_chunk(&mut self, read: &mut (impl Read + Seek), riff: &Riff, chunk: &ChunkHead) -> Result<u64, WavError> {
        match &chunk.id {
            b"ds64" if riff.is_rf64 && self.ds64.is_none() => {
                let mut payload = [0; 24];
                if chunk.readable(payload.len()) == payload.len() {
                    read_at(read, chunk.payload_at, &mut payload)?;
                    self.ds64 = Some(Ds64 { riff_bytes: le_u64(&payload, 0), data_bytes: le_u64(&payload, 8) });
                }
            }
            b"fmt " if self.format.is_none() => {
                let mut payload = [0; 40];
                let bytes = chunk.readable(payload.len());
                read_at(read, chunk.payload_at, &mut payload[..bytes])?;
                self.format = Some(parse_format(&payload[..bytes])?);
            }
            b"bext" if self.bext.is_none() => {
                let bytes = chunk.readable(bext::FIXED_BYTES + bext::CODING_HISTORY_READ_BYTES_MAX);
                let mut payload = vec![0; bytes];
                read_at(read, chunk.payload_at, &mut payload)?;
                self.bext = Bext::parse(&payload);
            }
            b"data" if self.data.is_none() => {
                let data = self.measure(riff, chunk);
                let bytes = data.bytes;
                self.data = Some(data);
                return Ok(bytes);
            }
            _ => {}
        }
        Ok(u64::from(chunk.size))
    }

    /// Length and position of the sound. The length in the header counts, but never more than the file has. If the
    /// header has no length, the sound reaches to the end of the file.
    fn measure(&self, riff: &Riff, chunk: &ChunkHead) -> DataChunk {
        let promised = match (&self.ds64, chunk.size) {
            (Some(ds64), 0 | SIZE_UNKNOWN) => ds64.data_bytes,
            (_, SIZE_UNKNOWN) => u64::MAX,
            (_, size) => u64::from(size),
        };
        // A length of 0 is true only if the file is otherwise complete.
        let unknown = promised == u64::MAX || promised == 0 && !riff.is_finished(self.ds64.as_ref());
        let bytes = if unknown { chunk.present } else { promised.min(chunk.present) };
        DataChunk { at: chunk.payload_at, bytes, truncated: unknown || bytes < promised }
    }

    fn layout(self) -> Result<Layout, WavError> {
        let data = self.data.ok_or(WavError::NoData)?;
        let format = self.format.ok_or(WavError::NoFormat)?;
        let mut layout = Layout {
            channels: format.channels,
            rate: format.rate,
            encoding: format.encoding,
            data_offset: data.at,
            data_bytes: data.bytes,
            frames: 0,
            bext: self.bext,
            truncated: data.truncated,
        };
        layout.frames = layout.data_bytes / layout.frame_bytes() as u64;
        Ok(layout)
    }
}

/// Parses WAVEFORMAT, WAVEFORMATEX or WAVEFORMATEXTENSIBLE, depending on the length of the payload.
fn parse_format(payload: &[u8]) -> Result<FormatChunk, WavError> {
    if payload.len() < 16 {
        return Err(WavError::NoFormat);
    }
    let (channels, rate) = (le_u16(payload, 2), le_u32(payload, 4));
    let (frame_bytes, bits) = (le_u16(payload, 12), le_u16(payload, 14));
    let tag = match le_u16(payload, 0) {
        TAG_EXTENSIBLE if payload.len() >= 40 && [SUBFORMAT_TAIL, AMBISONIC_TAIL].contains(&tail_of(payload)) => {
            le_u16(payload, 24)
        }
        tag => tag,
    };
    let encoding = match (tag, bits) {
        (1, 9..=16) => Encoding::Pcm16,
        (1, 17..=24) => Encoding::Pcm24,
        (1, 25..=32) => Encoding::Pcm32,
        (3, 32) => Encoding::Float32,
        (3, 64) => Encoding::Float64,
        _ => return Err(WavError::Unsupported { tag, bits }),
    };
    let bad = |field, value| Err(WavError::BadFormat { field, value });
    if channels == 0 || usize::from(channels) > CHANNEL_COUNT_MAX {
        return bad("channels", u64::from(channels));
    }
    if rate == 0 {
        return bad("frames a second", 0);
    }
    if usize::from(frame_bytes) != usize::from(channels) * encoding.bytes() {
        return bad("bytes a frame", u64::from(frame_bytes));
    }
    Ok(FormatChunk { channels, rate, encoding })
}

/// The last 14 bytes of the sub-format in a payload of at least 40 bytes.
fn tail_of(payload: &[u8]) -> [u8; 14] {
    let mut tail = [0; 14];
    tail.copy_from_slice(&payload[26..40]);
    tail
}

fn read_at(read: &mut (impl Read + Seek), at: u64, bytes: &mut [u8]) -> Result<(), WavError> {
    read.seek(SeekFrom::Start(at)).map_err(WavError::io("read the header"))?;
    read.read_exact(bytes).map_err(WavError::io("read the header"))
}

fn le_u16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn le_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from(le_u16(bytes, at)) | u32::from(le_u16(bytes, at + 2)) << 16
}

fn le_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from(le_u32(bytes, at)) | u64::from(le_u32(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests;
