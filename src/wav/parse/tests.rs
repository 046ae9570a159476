//! Files that are complete, damaged, foreign and hostile. Thread: test.

use super::*;
use crate::wav::header::Header;
use proptest::prelude::*;
use std::io::Cursor;

fn chunk(id: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut bytes = id.to_vec();
    bytes.extend((payload.len() as u32).to_le_bytes());
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(2), 0);
    bytes
}

fn fmt(tag: u16, channels: u16, rate: u32, frame_bytes: u16, bits: u16) -> Vec<u8> {
    let mut payload = tag.to_le_bytes().to_vec();
    payload.extend(channels.to_le_bytes());
    payload.extend(rate.to_le_bytes());
    payload.extend((rate.wrapping_mul(u32::from(frame_bytes))).to_le_bytes());
    payload.extend(frame_bytes.to_le_bytes());
    payload.extend(bits.to_le_bytes());
    chunk(*b"fmt ", &payload)
}

fn riff(id: [u8; 4], chunks: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = id.to_vec();
    bytes.extend((4 + chunks.iter().map(Vec::len).sum::<usize>() as u32).to_le_bytes());
    bytes.extend(b"WAVE");
    bytes.extend(chunks.concat());
    bytes
}

fn parse_bytes(bytes: &[u8]) -> Result<Layout, WavError> {
    parse(&mut Cursor::new(bytes), bytes.len() as u64)
}

fn valid_file(format: TakeFormat, frames: u64) -> Vec<u8> {
    let mut header = Header::new(1, 48_000, format);
    header.data_bytes = frames * header.frame_bytes() as u64;
    header.track_name = "Voice".into();
    let mut file = header.build().to_vec();
    file.resize(header.file_bytes() as usize, 0x55);
    file
}

#[test]
fn unknown_chunks_are_skipped_with_their_pad_byte() {
    let file = riff(
        *b"RIFF",
        &[chunk(*b"LIST", b"odd"), fmt(1, 1, 44_100, 2, 16), chunk(*b"junk", b""), chunk(*b"data", b"abcd")],
    );
    let layout = parse_bytes(&file).unwrap();
    assert_eq!((layout.frames, layout.truncated, layout.bext), (2, false, None));
    assert_eq!(&file[layout.data_offset as usize..], b"abcd");
}

#[test]
fn format_and_bext_after_the_sound_are_found() {
    let bext = Bext { description: "late".into(), ..Bext::default() };
    let file = riff(*b"RIFF", &[chunk(*b"data", b"abc"), chunk(*b"bext", &bext.build()), fmt(1, 1, 48_000, 3, 24)]);
    let layout = parse_bytes(&file).unwrap();
    assert_eq!((layout.frames, layout.encoding, layout.bext), (1, Encoding::Pcm24, Some(bext)));
}

#[test]
fn without_a_length_the_sound_reaches_to_the_end_of_the_file() {
    for size in [0, u32::MAX] {
        for riff_size in [0, u32::MAX, 36] {
            let mut file = riff(*b"RIFF", &[fmt(1, 2, 48_000, 4, 16), chunk(*b"data", &[1; 4001])]);
            file[4..8].copy_from_slice(&u32::to_le_bytes(riff_size));
            file[40..44].copy_from_slice(&u32::to_le_bytes(size));
            let layout = parse_bytes(&file).unwrap();
            assert_eq!((layout.data_bytes, layout.frames, layout.truncated), (4002, 1000, true));
        }
    }
}

#[test]
fn a_finished_file_without_sound_stays_without_sound() {
    let file = riff(*b"RIFF", &[fmt(1, 1, 48_000, 2, 16), chunk(*b"data", b""), chunk(*b"LIST", b"INFOISFT")]);
    let layout = parse_bytes(&file).unwrap();
    assert_eq!((layout.frames, layout.truncated), (0, false));
}

#[test]
fn a_length_past_the_end_is_cut_to_the_file() {
    let mut file = valid_file(TakeFormat::S24, 100);
    file.truncate(4096 + 31);
    let layout = parse_bytes(&file).unwrap();
    assert_eq!((layout.data_bytes, layout.frames, layout.truncated), (31, 10, true));
}

#[test]
fn rf64_and_bw64_take_their_size_from_ds64() {
    for id in [*b"RF64", *b"BW64"] {
        let mut ds64 = [0; 28];
        ds64[8..16].copy_from_slice(&(5u64 << 30).to_le_bytes());
        let mut file = riff(id, &[chunk(*b"ds64", &ds64), fmt(3, 2, 96_000, 8, 32), chunk(*b"data", b"")]);
        let end = file.len();
        file[end - 4..].copy_from_slice(&[0xff; 4]);
        let layout = parse(&mut Cursor::new(&file), end as u64 + (5 << 30)).unwrap();
        assert_eq!((layout.data_bytes, layout.frames, layout.truncated), (5 << 30, 5 << 27, false));
    }
}

#[test]
fn a_ds64_in_a_riff_file_is_only_a_chunk() {
    let file = riff(*b"RIFF", &[chunk(*b"ds64", &[1; 28]), fmt(1, 1, 8_000, 2, 16), chunk(*b"data", b"ab")]);
    assert_eq!(parse_bytes(&file).unwrap().data_bytes, 2);
}

#[test]
fn foreign_formats_are_named() {
    for (format, tag, bits) in
        [(fmt(1, 1, 8_000, 1, 8), 1, 8), (fmt(0x11, 1, 8_000, 256, 4), 0x11, 4), (fmt(3, 1, 8_000, 2, 16), 3, 16)]
    {
        let error = parse_bytes(&riff(*b"RIFF", &[format, chunk(*b"data", b"ab")])).unwrap_err();
        assert!(matches!(error, WavError::Unsupported { tag: t, bits: b } if (t, b) == (tag, bits)), "{error}");
    }
}

#[test]
fn impossible_formats_are_refused() {
    for (channels, rate, frame_bytes) in [(0, 48_000, 0), (1, 0, 2), (2, 48_000, 2), (5_000, 48_000, 10_000)] {
        let error = parse_bytes(&riff(*b"RIFF", &[fmt(1, channels, rate, frame_bytes, 16)])).unwrap_err();
        assert!(matches!(error, WavError::BadFormat { .. }), "{error}");
    }
    let error = parse_bytes(&riff(*b"RIFF", &[chunk(*b"fmt ", b"short"), chunk(*b"data", b"ab")])).unwrap_err();
    assert!(matches!(error, WavError::NoFormat));
}

#[test]
fn a_file_that_is_no_wav_is_refused() {
    for bytes in [&b""[..], b"RIFF", b"RIFX\0\0\0\0WAVE", b"RIFF\0\0\0\0AVI LIST", b"fLaC\0\0\0\x22xxxx"] {
        assert!(matches!(parse_bytes(bytes), Err(WavError::NotWav)));
    }
    assert!(matches!(parse_bytes(&riff(*b"RIFF", &[])), Err(WavError::NoData)));
    assert!(matches!(parse_bytes(&riff(*b"RIFF", &[chunk(*b"data", b"ab")])), Err(WavError::NoFormat)));
}

#[test]
fn the_number_of_chunks_is_limited() {
    let file = riff(*b"RIFF", &[vec![0; 8 << 20]]);
    assert!(matches!(parse_bytes(&file), Err(WavError::TooManyChunks)));
    let file = riff(*b"RIFF", &[fmt(1, 1, 48_000, 2, 16), chunk(*b"data", b"ab"), vec![0; 1 << 20]]);
    assert_eq!(parse_bytes(&file).unwrap().frames, 1);
}

#[test]
fn a_bext_of_gigabytes_is_read_to_the_end_of_the_file() {
    let mut file = riff(*b"RIFF", &[fmt(1, 1, 48_000, 2, 16), chunk(*b"data", b"ab"), chunk(*b"bext", &[b'x'; 700])]);
    let at = file.windows(4).position(|w| w == b"bext").unwrap() + 4;
    file[at..at + 4].copy_from_slice(&0xffff_fff0u32.to_le_bytes());
    assert_eq!(parse_bytes(&file).unwrap().bext.unwrap().coding_history, "x".repeat(98));
}

/// Checks the conditions that hold for every layout.
fn check(layout: &Layout, file_bytes: u64) {
    assert!(layout.data_offset + layout.data_bytes <= file_bytes);
    assert!(1 <= layout.channels && usize::from(layout.channels) <= CHANNEL_COUNT_MAX);
    assert!(layout.rate > 0);
    assert_eq!(layout.frames, layout.data_bytes / layout.frame_bytes() as u64);
}

proptest! {
    #[test]
    fn a_file_cut_anywhere_gives_the_rest_or_an_error(frames in 0u64..2_000, cut: prop::sample::Index) {
        let whole = valid_file(TakeFormat::S24, frames);
        let file = &whole[..cut.index(whole.len() + 1)];
        match parse_bytes(file) {
            Ok(layout) => {
                check(&layout, file.len() as u64);
                prop_assert_eq!(layout.data_bytes, (file.len() as u64 - 4096).min(3 * frames));
            }
            Err(_) => prop_assert!(file.len() < 4096),
        }
    }

    #[test]
    fn flipped_bytes_never_panic(
        rf64: bool, flips in prop::collection::vec((0usize..4096, any::<u8>()), 1..24), claimed in 0u64..(1 << 40),
    ) {
        let mut header = Header::new(2, 48_000, TakeFormat::F32);
        header.data_bytes = if rf64 { 1 << 33 } else { 800 };
        let mut file = header.build().to_vec();
        file.resize(4096 + 800, 0x55);
        for (at, byte) in flips {
            // Three of four flips hit the first 800 bytes, where most chunks are.
            let at = if at % 4 == 0 { at } else { at % 800 };
            file[at] = byte;
        }
        if let Ok(layout) = parse_bytes(&file) {
            check(&layout, file.len() as u64);
        }
        if let Ok(layout) = parse(&mut Cursor::new(&file), claimed) {
            check(&layout, claimed);
        }
    }

    #[test]
    fn random_chunks_never_panic(
        id in prop::sample::select(vec![*b"RIFF", *b"RF64", *b"BW64"]),
        chunks in prop::collection::vec(
            (prop::sample::select(vec![*b"fmt ", *b"data", *b"bext", *b"ds64", *b"LIST", *b"\0\0\0\0"]),
             prop_oneof![Just(0u32), Just(u32::MAX), 0u32..100, any::<u32>()],
             prop::collection::vec(any::<u8>(), 0..80)), 0..12),
    ) {
        let mut file = id.to_vec();
        file.extend(b"\xff\xff\xff\xffWAVE");
        for (id, size, payload) in chunks {
            file.extend(id);
            file.extend(size.to_le_bytes());
            file.extend(payload);
        }
        if let Ok(layout) = parse_bytes(&file) {
            check(&layout, file.len() as u64);
        }
    }
}
