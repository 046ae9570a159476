//! Builds the first page of a WAV file: every chunk up to the sound. Thread: any. Pure.
//!
//! | byte | chunk | payload |
//! |---|---|---|
//! | 0 | `RIFF` or `RF64` | form `WAVE` |
//! | 12 | `JUNK` or `ds64` | 28: space for 64-bit sizes (EBU Tech 3306) |
//! | 48 | `bext` | 602 and the coding history (EBU Tech 3285) |
//! | | `fmt ` | 16: plain PCM; 18: float; 40: extensible, for more than two channels |
//! | | `fact` | 4: frames; float only |
//! | | `iXML` | the track's name, if it is not empty and fits; padded to its maximum length |
//! | | `JUNK` | zeros |
//! | 4088 | `data` | the sound, from byte 4096 |
//!
//! RIFF and RF64 have the same layout. So when a take exceeds 4 GiB, only this page is written again.

use crate::format::TakeFormat;
use crate::limits::{CHANNEL_COUNT_MAX, DATA_OFFSET, RATE_HZ_MAX, RIFF_BYTES_MAX};
use crate::wav::bext::{self, Bext};
use crate::wav::ixml;
use crate::wav::parse::{SUBFORMAT_TAIL, TAG_EXTENSIBLE};
use std::ops::Range;

/// Bytes of the page.
pub const HEADER_BYTES: usize = DATA_OFFSET as usize;

/// Bytes of a chunk's identity and size.
const CHUNK_HEAD_BYTES: usize = 8;
/// Bytes of `RIFF`, its size and `WAVE`.
const RIFF_HEAD_BYTES: usize = 12;
/// Bytes of the 64-bit sizes without a table.
const DS64_BYTES: usize = 28;
/// Bytes of the longest `fmt ` payload: WAVEFORMATEXTENSIBLE.
const FMT_BYTES_MAX: usize = 40;
/// `wFormatTag` of integers.
const TAG_PCM: u16 = 1;
/// `wFormatTag` of floats.
const TAG_FLOAT: u16 = 3;
/// Channels up to which a file has a plain tag.
const PLAIN_CHANNELS_MAX: u16 = 2;
/// Bytes of the `fact` payload.
const FACT_BYTES: usize = 4;
/// The value of a 32-bit size field if the size is in `ds64`.
const SIZE_IN_DS64: u32 = u32::MAX;

/// Bytes that remain for the iXML chunk if all other chunks have their maximum length. The coding history has a bound
/// of its own, so that the lines added at the end of a take never leave too little space for its name.
const IXML_BYTES_MAX: usize = HEADER_BYTES
    - RIFF_HEAD_BYTES
    - (CHUNK_HEAD_BYTES + DS64_BYTES)
    - (CHUNK_HEAD_BYTES + bext::FIXED_BYTES + bext::CODING_HISTORY_BYTES_MAX)
    - (CHUNK_HEAD_BYTES + FMT_BYTES_MAX)
    - (CHUNK_HEAD_BYTES + FACT_BYTES)
    - CHUNK_HEAD_BYTES // of iXML itself
    - CHUNK_HEAD_BYTES // of the padding
    - CHUNK_HEAD_BYTES; // of the sound
const _: () = assert!(IXML_BYTES_MAX >= 1024, "a track's name has room");
const _: () = assert!(IXML_BYTES_MAX.is_multiple_of(2), "the chunk needs no pad byte");
const _: () = assert!(
    RATE_HZ_MAX as u64 * CHANNEL_COUNT_MAX as u64 * 4 <= u32::MAX as u64,
    "bytes a second fit into their field"
);

/// The values in a header. The caller may change a value and build the page again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// 1 to [`CHANNEL_COUNT_MAX`].
    pub channels: u16,
    /// Frames per second, 1 to [`RATE_HZ_MAX`].
    pub rate: u32,
    pub format: TakeFormat,
    /// Bytes of sound, without the pad byte after an odd number.
    pub data_bytes: u64,
    pub bext: Bext,
    /// The track's name for the iXML chunk. Empty: no chunk. A name that is too long for the page is left out.
    pub track_name: String,
}

impl Header {
    /// Makes a header without sound, origin and name.
    pub fn new(channels: u16, rate: u32, format: TakeFormat) -> Header {
        Header { channels, rate, format, data_bytes: 0, bext: Bext::default(), track_name: String::new() }
    }

    pub fn frame_bytes(&self) -> usize {
        usize::from(self.channels) * self.format.bytes()
    }

    /// Bytes of the whole file: header, sound and the pad byte of an odd number of bytes.
    pub fn file_bytes(&self) -> u64 {
        DATA_OFFSET + self.data_bytes + self.data_bytes % 2
    }

    /// Whether the file is too large for RIFF's 32-bit sizes.
    pub fn is_rf64(&self) -> bool {
        self.riff_bytes() > RIFF_BYTES_MAX
    }

    /// The first page of the file.
    pub fn build(&self) -> Box<[u8; HEADER_BYTES]> {
        assert!(1 <= self.channels && usize::from(self.channels) <= CHANNEL_COUNT_MAX);
        assert!(1 <= self.rate && self.rate <= RATE_HZ_MAX);
        let frames = self.data_bytes / self.frame_bytes() as u64;
        let short = |size: u64| if self.is_rf64() { SIZE_IN_DS64 } else { size as u32 };

        let mut page = Page { bytes: Box::new([0; HEADER_BYTES]), at: 0 };
        page.put(if self.is_rf64() { b"RF64" } else { b"RIFF" });
        page.put(&short(self.riff_bytes()).to_le_bytes());
        page.put(b"WAVE");
        if self.is_rf64() {
            page.chunk(*b"ds64", &self.ds64(frames));
        } else {
            page.chunk(*b"JUNK", &[0; DS64_BYTES]);
        }
        page.chunk(*b"bext", &self.bext.build());
        page.chunk(*b"fmt ", &self.fmt());
        if self.format == TakeFormat::F32 {
            page.chunk(*b"fact", &short(frames).to_le_bytes());
        }
        if !self.track_name.is_empty() {
            let mut xml = ixml::build(&self.track_name, self.channels);
            if xml.len() <= IXML_BYTES_MAX {
                // The spaces leave room for another name, see `set_names`.
                xml.resize(IXML_BYTES_MAX, b' ');
                page.chunk(*b"iXML", &xml);
            }
        }
        page.pad_to(HEADER_BYTES - CHUNK_HEAD_BYTES);
        page.put(b"data");
        page.put(&short(self.data_bytes).to_le_bytes());
        assert!(page.at == HEADER_BYTES);
        page.bytes
    }

    /// The value of the size field of `RIFF`: the number of bytes after it.
    fn riff_bytes(&self) -> u64 {
        self.file_bytes() - CHUNK_HEAD_BYTES as u64
    }

    /// `riffSize`, `dataSize`, `sampleCount` (frames) and an empty table.
    fn ds64(&self, frames: u64) -> [u8; DS64_BYTES] {
        let mut payload = [0; DS64_BYTES];
        payload[0..8].copy_from_slice(&self.riff_bytes().to_le_bytes());
        payload[8..16].copy_from_slice(&self.data_bytes.to_le_bytes());
        payload[16..24].copy_from_slice(&frames.to_le_bytes());
        payload
    }

    /// The payload of `fmt `. Files with one or two channels have the plain tags: the Broadcast Wave Format asks for
    /// them, and many readers and hardware players know no other. More channels need WAVEFORMATEXTENSIBLE.
    fn fmt(&self) -> Vec<u8> {
        let tag = match self.format {
            TakeFormat::S16 | TakeFormat::S24 => TAG_PCM,
            TakeFormat::F32 => TAG_FLOAT,
        };
        let is_extensible = self.channels > PLAIN_CHANNELS_MAX;
        let frame_bytes = self.frame_bytes() as u16;
        let mut fmt = Vec::with_capacity(FMT_BYTES_MAX);
        fmt.extend(if is_extensible { TAG_EXTENSIBLE } else { tag }.to_le_bytes());
        fmt.extend(self.channels.to_le_bytes());
        fmt.extend(self.rate.to_le_bytes());
        fmt.extend((self.rate * u32::from(frame_bytes)).to_le_bytes());
        fmt.extend(frame_bytes.to_le_bytes());
        fmt.extend(self.format.bits().to_le_bytes());
        if is_extensible {
            // The bytes that follow, the valid bits of a sample, and no speakers.
            fmt.extend(22u16.to_le_bytes());
            fmt.extend(self.format.bits().to_le_bytes());
            fmt.extend(0u32.to_le_bytes());
            fmt.extend(tag.to_le_bytes());
            fmt.extend(SUBFORMAT_TAIL);
        } else if tag != TAG_PCM {
            // Every tag but PCM has this length field.
            fmt.extend(0u16.to_le_bytes());
        }
        fmt
    }
}

/// The number of data bytes in a page that [`Header::build`] has built. None for any other page. Unlike
/// [`crate::wav::parse`] it accepts a size of 0: the file of a take before its first sync has a size of 0 in its header
/// and preallocated blocks behind it.
pub fn header_data_bytes(page: &[u8; HEADER_BYTES]) -> Option<u64> {
    const DATA_AT: usize = HEADER_BYTES - CHUNK_HEAD_BYTES;
    const DS64_AT: usize = RIFF_HEAD_BYTES;
    const DATA_BYTES_AT: usize = DS64_AT + CHUNK_HEAD_BYTES + 8;
    let riff = &page[..4];
    if (riff != b"RIFF" && riff != b"RF64") || &page[8..12] != b"WAVE" || &page[DATA_AT..DATA_AT + 4] != b"data" {
        return None;
    }
    if riff == b"RF64" {
        let long = page[DATA_BYTES_AT..].first_chunk()?;
        return (&page[DS64_AT..DS64_AT + 4] == b"ds64").then_some(u64::from_le_bytes(*long));
    }
    Some(u64::from(u32::from_le_bytes(*page.last_chunk()?)))
}

/// The memory of the originator reference in a page that [`Header::build`] has built. `None`: the page was not built so. The
/// reference is found even in a page that a power cut has left with sectors of two versions: it is at the same place in both.
pub fn reference_in(page: &[u8]) -> Option<&[u8]> {
    const BEXT_AT: usize = RIFF_HEAD_BYTES + CHUNK_HEAD_BYTES + DS64_BYTES;
    // After the head of the chunk, the description and the originator.
    const REFERENCE_AT: usize = BEXT_AT + CHUNK_HEAD_BYTES + 256 + 32;
    const REFERENCE_BYTES: usize = 32;
    page.get(BEXT_AT..).filter(|rest| rest.starts_with(b"bext"))?;
    page.get(REFERENCE_AT..REFERENCE_AT + REFERENCE_BYTES)
}

/// Whether a page that [`Header::build`] has built has this originator reference.
pub fn has_reference(page: &[u8], reference: &str) -> bool {
    reference_in(page).is_some_and(|found| found.starts_with(reference.as_bytes()))
}

/// Gives a page that [`Header::build`] has built another description and another name of the track. Both have a place of fixed
/// length, so no chunk changes its place or its length: a page that a power cut leaves with sectors of both versions can be
/// read. Returns whether the page has the new names. It is unchanged if it was not built so, or if the name does not fit.
pub fn set_names(page: &mut [u8; HEADER_BYTES], description: &str, track_name: &str) -> bool {
    const BEXT_AT: usize = RIFF_HEAD_BYTES + CHUNK_HEAD_BYTES + DS64_BYTES;
    if header_data_bytes(page).is_none() {
        return false;
    }
    let (bext, fmt, name) = (chunk_in(page, *b"bext"), chunk_in(page, *b"fmt "), chunk_in(page, *b"iXML"));
    let Some(bext) = bext.filter(|bext| bext.start == BEXT_AT + CHUNK_HEAD_BYTES && bext::FIXED_BYTES <= bext.len())
    else {
        return false;
    };
    // A page without that chunk had a name that did not fit.
    if let Some(name) = name {
        let channels = fmt.and_then(|fmt| page.get(fmt.start + 2..)?.first_chunk::<2>().copied());
        let mut xml = ixml::build(track_name, u16::from_le_bytes(channels.unwrap_or_default()));
        if name.len() < xml.len() {
            return false;
        }
        xml.resize(name.len(), b' ');
        page[name].copy_from_slice(&xml);
    }
    bext::set_description(&mut page[bext], description);
    true
}

/// The payload of a chunk in a page that [`Header::build`] has built.
fn chunk_in(page: &[u8; HEADER_BYTES], id: [u8; 4]) -> Option<Range<usize>> {
    let mut at = RIFF_HEAD_BYTES;
    loop {
        let head = page.get(at..at + CHUNK_HEAD_BYTES)?;
        let bytes = u32::from_le_bytes(*head.last_chunk()?) as usize;
        let payload = at + CHUNK_HEAD_BYTES..(at + CHUNK_HEAD_BYTES).checked_add(bytes)?;
        if head.starts_with(&id) {
            return (payload.end <= HEADER_BYTES).then_some(payload);
        }
        at = payload.end;
    }
}

/// The page while it is being filled.
struct Page {
    bytes: Box<[u8; HEADER_BYTES]>,
    at: usize,
}

impl Page {
    fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    /// Adds a chunk. The length of the payload must be even, because no pad byte is added.
    fn chunk(&mut self, id: [u8; 4], payload: &[u8]) {
        assert!(payload.len().is_multiple_of(2));
        self.put(&id);
        self.put(&(payload.len() as u32).to_le_bytes());
        self.put(payload);
    }

    /// Adds a `JUNK` chunk of zeros that ends at `end`.
    fn pad_to(&mut self, end: usize) {
        assert!(self.at + CHUNK_HEAD_BYTES <= end);
        self.put(b"JUNK");
        self.put(&((end - self.at - 4) as u32).to_le_bytes());
        self.at = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wav::parse::{Encoding, parse};
    use proptest::prelude::*;
    use std::io::Cursor;

    fn formats() -> impl Strategy<Value = TakeFormat> {
        prop_oneof![Just(TakeFormat::S16), Just(TakeFormat::S24), Just(TakeFormat::F32)]
    }

    fn headers() -> impl Strategy<Value = Header> {
        let bext = ("[ -~]{0,256}", "[ -~]{1,3000}", any::<u64>()).prop_map(|(description, coding_history, time)| {
            Bext { description, coding_history, time_reference: time, ..Bext::default() }
        });
        (1u16..=2, 8_000u32..=384_000, formats(), bext, "\\PC{0,400}").prop_map(
            |(channels, rate, format, bext, track_name)| Header {
                bext,
                track_name,
                ..Header::new(channels, rate, format)
            },
        )
    }

    #[test]
    fn the_data_bytes_of_a_page_are_read_back() {
        for bytes in [0, 3, 1 << 31, 3 << 31, 3 << 40] {
            let header = Header { data_bytes: bytes, ..Header::new(1, 48_000, TakeFormat::S24) };
            assert_eq!(header_data_bytes(&header.build()), Some(bytes));
        }
        assert_eq!(header_data_bytes(&[0; HEADER_BYTES]), None);
    }

    #[test]
    fn the_placeholder_becomes_ds64_and_nothing_else_moves() {
        let small = Header::new(1, 48_000, TakeFormat::S24);
        let large = Header { data_bytes: 3 * (1 << 31), ..small.clone() };
        let (small, large) = (small.build(), large.build());
        assert_eq!((&small[0..4], &small[12..16], &small[16..20]), (&b"RIFF"[..], &b"JUNK"[..], &[28, 0, 0, 0][..]));
        assert_eq!((&large[0..8], &large[12..16]), (&b"RF64\xff\xff\xff\xff"[..], &b"ds64"[..]));
        assert_eq!(small[48..4092], large[48..4092]);
        assert_eq!(&large[4088..], b"data\xff\xff\xff\xff");
    }

    #[test]
    fn riff_ends_where_rf64_begins() {
        let mut header = Header::new(2, 48_000, TakeFormat::S16);
        header.data_bytes = RIFF_BYTES_MAX - 1 - 4088;
        assert!(!header.is_rf64());
        assert_eq!(&header.build()[..8], b"RIFF\xfe\xff\xff\xff");
        header.data_bytes += 1;
        assert!(header.is_rf64(), "its pad byte no longer fits");
        header.data_bytes += 1;
        assert!(header.is_rf64());
    }

    #[test]
    fn a_name_that_does_not_fit_is_left_out_and_the_history_stays() {
        let mut header = Header::new(1, 48_000, TakeFormat::F32);
        header.bext.coding_history = "h".repeat(10_000);
        header.track_name = "n".repeat(700);
        let page = header.build();
        assert!(page.windows(4).any(|w| w == b"iXML"));
        header.track_name = "n".repeat(4_000);
        let page = header.build();
        assert!(!page.windows(4).any(|w| w == b"iXML"));
        assert!(page.windows(2_000).any(|w| w.iter().all(|&b| b == b'h')));
    }

    /// A take whose file was renamed kept the old name of its track in its header.
    #[test]
    fn a_header_with_other_names_is_the_one_that_would_have_been_built_with_them() {
        for (format, channels) in [(TakeFormat::S24, 1), (TakeFormat::F32, 2)] {
            let named = |name: &str| {
                let bext = Bext {
                    description: format!("{name} take 3"),
                    coding_history: "A=PCM,F=48000".to_owned(),
                    originator_reference: "0123456789abcdef0123456789abcdef".to_owned(),
                    ..Bext::default()
                };
                let header = Header {
                    bext,
                    track_name: name.to_owned(),
                    data_bytes: 600,
                    ..Header::new(channels, 48_000, format)
                };
                header.build()
            };
            let names = ["In 1", "Kick & \"Snare\" <left>", "x", &"声".repeat(60)];
            for (from, to) in names.iter().flat_map(|from| names.iter().map(move |to| (from, to))) {
                let mut page = named(from);
                assert!(set_names(&mut page, &format!("{to} take 3"), to));
                assert!(page == named(to), "{from} to {to}");
                // A power cut leaves each sector of the old or of the new page.
                let (old, new) = (named(from), named(to));
                for torn_at in (512..HEADER_BYTES).step_by(512) {
                    let torn = [&old[..torn_at], &new[torn_at..]].concat();
                    let layout = parse(&mut Cursor::new(&torn), HEADER_BYTES as u64 + 600).unwrap();
                    assert_eq!((layout.channels, layout.data_offset, layout.data_bytes), (channels, DATA_OFFSET, 600));
                    assert!(has_reference(&torn, "0123456789abcdef0123456789abcdef"));
                }
            }
            let (mut page, before) = (named("In 1"), named("In 1"));
            assert!(!set_names(&mut page, "long", &"n".repeat(4000)) && page == before, "it does not fit");
        }
        let mut foreign = Box::new([0; HEADER_BYTES]);
        assert!(!set_names(&mut foreign, "a", "b") && *foreign == [0; HEADER_BYTES]);
        let mut nameless = Header { data_bytes: 6, ..Header::new(1, 48_000, TakeFormat::S24) }.build();
        assert!(set_names(&mut nameless, "Kick take 1", "Kick"));
        assert!(!nameless.windows(4).any(|bytes| bytes == b"iXML"), "it has no place for a name of the track");
    }

    /// The payload of the `fmt ` chunk of a page.
    fn fmt_of(page: &[u8]) -> &[u8] {
        let at = page.windows(4).position(|bytes| bytes == b"fmt ").unwrap();
        let bytes = u32::from_le_bytes(page[at + 4..at + 8].try_into().unwrap()) as usize;
        &page[at + 8..at + 8 + bytes]
    }

    #[test]
    fn one_and_two_channels_have_the_plain_tag_and_more_the_extensible_one() {
        for (format, tag, bytes) in [(TakeFormat::S16, 1, 16), (TakeFormat::S24, 1, 16), (TakeFormat::F32, 3, 18)] {
            for channels in 1..=2 {
                let page = Header::new(channels, 48_000, format).build();
                let fmt = fmt_of(&*page);
                assert_eq!((fmt.len(), u16::from_le_bytes([fmt[0], fmt[1]])), (bytes, tag), "{format:?}");
            }
            let page = Header::new(4, 48_000, format).build();
            let fmt = fmt_of(&*page);
            assert_eq!((fmt.len(), &fmt[..2], &fmt[24..26]), (40, &[0xfe, 0xff][..], &[tag as u8, 0][..]));
            let layout = parse(&mut Cursor::new(&page[..]), HEADER_BYTES as u64).unwrap();
            assert_eq!((layout.channels, layout.encoding), (4, Encoding::from(format)));
        }
    }

    #[test]
    fn a_page_of_an_earlier_program_with_the_extensible_tag_is_read_alike() {
        let header = Header { data_bytes: 300, ..Header::new(1, 48_000, TakeFormat::S24) };
        let mut file = header.build().to_vec();
        let at = file.windows(4).position(|bytes| bytes == b"fmt ").unwrap();
        let mut chunk = b"fmt ".to_vec();
        chunk.extend(40u32.to_le_bytes());
        chunk.extend(TAG_EXTENSIBLE.to_le_bytes());
        chunk.extend(&file[at + 10..at + 24]);
        chunk.extend([22, 0, 24, 0, 4, 0, 0, 0, 1, 0]);
        chunk.extend(SUBFORMAT_TAIL);
        let end = at + chunk.len();
        file[at..end].copy_from_slice(&chunk);
        file[end..end + 4].copy_from_slice(b"JUNK");
        file[end + 4..end + 8].copy_from_slice(&((4088 - end - 8) as u32).to_le_bytes());
        file.resize(4096 + 300, 0);
        let old = parse(&mut Cursor::new(&file), file.len() as u64).unwrap();
        let mut new = header.build().to_vec();
        new.resize(4096 + 300, 0);
        assert_eq!(old, parse(&mut Cursor::new(&new), new.len() as u64).unwrap());
        assert_eq!(header_data_bytes(file[..4096].try_into().unwrap()), Some(300));
    }

    proptest! {
        #[test]
        fn a_header_comes_back_from_our_parser_and_from_hound(mut header in headers(), frames in 0u64..1000) {
            header.data_bytes = frames * header.frame_bytes() as u64;
            let mut file = header.build().to_vec();
            file.resize(header.file_bytes() as usize, 0);

            let layout = parse(&mut Cursor::new(&file), file.len() as u64).unwrap();
            prop_assert_eq!((layout.channels, layout.rate), (header.channels, header.rate));
            prop_assert_eq!(layout.encoding, Encoding::from(header.format));
            prop_assert_eq!((layout.data_offset, layout.data_bytes), (DATA_OFFSET, header.data_bytes));
            prop_assert_eq!((layout.frames, layout.truncated), (frames, false));
            let bext = layout.bext.unwrap();
            prop_assert_eq!(&bext.description, &header.bext.description);
            prop_assert!(header.bext.coding_history.starts_with(&bext.coding_history));

            let hound = hound::WavReader::new(Cursor::new(&file)).unwrap();
            prop_assert_eq!(u64::from(hound.duration()), frames);
            prop_assert_eq!(hound.spec().channels, header.channels);
            prop_assert_eq!(hound.spec().sample_rate, header.rate);
            prop_assert_eq!(hound.spec().bits_per_sample, header.format.bits());
            prop_assert_eq!(hound.spec().sample_format == hound::SampleFormat::Float, header.format == TakeFormat::F32);
        }

        #[test]
        fn a_header_beyond_4_gib_comes_back_from_our_parser(mut header in headers(), frames in (1u64 << 32)..(1 << 45)) {
            header.data_bytes = frames * header.frame_bytes() as u64;
            prop_assert!(header.is_rf64());
            let page = header.build();
            let layout = parse(&mut Cursor::new(&page[..]), header.file_bytes()).unwrap();
            prop_assert_eq!((layout.data_offset, layout.data_bytes), (DATA_OFFSET, header.data_bytes));
            prop_assert_eq!((layout.frames, layout.truncated), (frames, false));
        }
    }
}
