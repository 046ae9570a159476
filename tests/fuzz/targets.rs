//! The fuzz targets: functions that read input of other programs. Thread: test.
//!
//! No input may cause a panic or allocate more memory than in proportion to its length. Accepted input is checked
//! further.
//!
//! Each target is one function. `fuzz_targets/NAME.rs` passes it to libFuzzer. `tests/it/hostile/corpus.rs` runs it on
//! the files of `corpus/NAME` and on mutations of them.
#![allow(missing_docs, unreachable_pub, clippy::missing_panics_doc, reason = "a test of the test programs")]

mod sessions;

pub use sessions::session;

use faultless::app::settings::{Parsed, Settings, parse as parse_settings};
use faultless::butler::spool::{ProgressIdentity, SpoolIdentity};
use faultless::device::signal::{Signal, Source, read_wav};
use faultless::device::virtual_device::{VirtualDevice, spec};
use faultless::device::{Device, Wake};
use faultless::diagnostics::bench::load::LoadKind;
use faultless::export::position_text::parse_position;
use faultless::flight::record::Record;
use faultless::format::DeviceFormat;
use faultless::limits::{CHANNEL_COUNT_MAX, PAGE_BYTES, PEAK_FRAMES_MAX, SPOOL_SLOTS_MAX};
use faultless::link::protocol::{self, REQUEST_BYTES_MAX, Request};
use faultless::peaks::Column;
use faultless::peaks::cache::{self, Fingerprint};
use faultless::recovery::evidence::{Rejected, identity};
use faultless::recovery::length::{Basis, PassKnown, TakeKnown, length};
use faultless::recovery::page_losses::losses_of;
use faultless::session::POSITION_MAX;
use faultless::session::session_file::{difference, parse as parse_session, with_difference};
use faultless::spool_index::{Shape, Table};
use faultless::time::SampleRate;
#[cfg(feature = "gui")]
use faultless::ui::action::{KeyMap, parse as parse_keys};
use faultless::wav::bext::Bext;
use faultless::wav::header::{HEADER_BYTES, Header, header_data_bytes};
use faultless::wav::parse::{Layout, parse as parse_wav};
use faultless::wav::read::Reader;
use faultless::window::overrun_places::FIRST_PAGE_PLACES;
use faultless::window::progress_page::{LOSSES_MAX, Progress};
use std::cell::RefCell;
use std::fs::{self, File, OpenOptions};
use std::io::{Cursor, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;
use uuid::Uuid;

/// A target gets the bytes of one input.
pub type Target = fn(&[u8]);

/// Every target, with the name of its file and of its corpus.
pub const TARGETS: [(&str, Target); 10] = [
    ("wav", wav),
    ("session", session),
    ("peaks", peaks),
    ("spool", spool),
    ("settings", settings),
    ("text", text),
    ("device", device),
    ("signal", signal),
    ("events", events),
    ("link", link),
];

/// A WAV file: parses the header with both parsers and with wrong lengths of the file, then `bext`, then reads frames.
pub fn wav(bytes: &[u8]) {
    let len = bytes.len() as u64;
    if let Some(page) = bytes.first_chunk::<HEADER_BYTES>() {
        header_data_bytes(page);
    }
    // The length of the file may have changed by the time the header is read.
    for claimed_bytes in [0, len / 2, len + 1, len + 4096, u64::MAX] {
        if let Ok(layout) = parse_wav(&mut Cursor::new(bytes), claimed_bytes) {
            layout_check(&layout, claimed_bytes);
        }
    }
    let Ok(layout) = parse_wav(&mut Cursor::new(bytes), len) else { return };
    layout_check(&layout, len);
    if let Some(bext) = &layout.bext {
        header_check(bext, &layout);
    }
    let mut reader = Reader::from_file(on_disk(bytes), Path::new("x.wav")).expect("the same bytes");
    assert_eq!(reader.layout(), &layout);
    let channels = usize::from(layout.channels);
    // Space for fifty frames, and for all but one sample or byte of another one.
    let mut samples = vec![7.0; 51 * channels - 1];
    for at in [0, layout.frames / 2, layout.frames.saturating_sub(1), layout.frames, layout.frames + 1, u64::MAX] {
        let left = layout.frames.saturating_sub(at).min(50) as usize;
        assert_eq!(reader.read_frames(at, &mut samples).expect("it is there"), left);
        let mut stored = vec![0; 51 * layout.frame_bytes() - 1];
        assert_eq!(reader.read_bytes(at, &mut stored).expect("it is there"), left * layout.frame_bytes());
    }
    assert!(samples[50 * channels..].iter().all(|sample| *sample == 7.0), "no part of a frame");
}

fn layout_check(layout: &Layout, file_bytes: u64) {
    assert!((1..=CHANNEL_COUNT_MAX).contains(&usize::from(layout.channels)) && 1 <= layout.rate);
    let end = layout.data_offset.checked_add(layout.data_bytes).expect("within the file");
    assert!(end <= file_bytes, "sound beyond the end");
    assert_eq!(layout.frames, layout.data_bytes / layout.frame_bytes() as u64);
}

/// Builds a new header from `bext`, as recovery does. It must have the same time reference.
fn header_check(bext: &Bext, layout: &Layout) {
    let Some(format) = layout.encoding.take_format() else { return };
    let mut header = Header::new(layout.channels, layout.rate.min(384_000), format);
    header.bext = bext.clone();
    header.track_name.clone_from(&bext.description);
    header.data_bytes = layout.data_bytes / layout.frame_bytes() as u64 * layout.frame_bytes() as u64;
    let page = header.build();
    assert_eq!(header_data_bytes(&page), Some(header.data_bytes));
    let again = parse_wav(&mut Cursor::new(&page[..]), header.file_bytes().max(HEADER_BYTES as u64));
    let again = again.expect("what is made here can be read").bext.expect("it has its origin");
    assert_eq!(again.time_reference, bext.time_reference);
}

thread_local! {
    static FILE: RefCell<Option<File>> = const { RefCell::new(None) };
}

/// Writes the bytes into a file without a name. A thread uses the same file each time.
fn on_disk(bytes: &[u8]) -> File {
    FILE.with_borrow_mut(|cached| {
        let file = cached.get_or_insert_with(|| {
            let memory = Path::new("/dev/shm");
            let folder = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
            let thread = std::thread::current().id();
            let path = folder.join(format!("faultless-fuzz-{}-{thread:?}", std::process::id()));
            let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).expect("a file");
            fs::remove_file(&path).expect("its name");
            file
        });
        file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0))).and_then(|_| file.write_all(bytes)).expect("room");
        file.try_clone().expect("a second descriptor")
    })
}

/// The cache file of a waveform, unchanged and with a correct checksum.
pub fn peaks(bytes: &[u8]) {
    let mut copy = bytes.to_vec();
    for checked in [false, true] {
        if checked {
            checksum(&mut copy);
        }
        let Some(header) = copy.first_chunk() else { return };
        let wav = Fingerprint::from_header(header);
        let Some(pyramid) = cache::read(Cursor::new(&copy), copy.len() as u64, wav) else { continue };
        let frames = pyramid.frames();
        assert!(frames <= PEAK_FRAMES_MAX && frames <= 64 * copy.len() as u64, "{frames} frames");
        let mut columns = [Column::EMPTY; 40];
        for (from, wide) in
            [(0.0, 1e-3), (0.0, 300.0), (-5e3, 1e3), (frames as f64 - 9.0, 1.0), (1e18, 1e18), (0.0, 1e12)]
        {
            for channel in 0..3 {
                pyramid.columns(channel, from, wide, &mut columns);
                for column in &columns {
                    assert!(column.is_empty() || (-1.0 <= column.min && column.max <= 1.0), "{column:?}");
                }
            }
        }
    }
}

/// Corrects the checksum: FNV-1a over the words of the header and of the lowest level, at the position that the header
/// gives.
fn checksum(bytes: &mut [u8]) {
    let long = |at: usize| bytes.get(at..at + 8).map_or(0, |word| u64::from_le_bytes(word.try_into().expect("eight")));
    let (channels, frames) = (long(8) >> 32, long(24));
    let at = frames.div_ceil(256).saturating_mul(4).saturating_mul(channels).saturating_add(64);
    let at = usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    let words = bytes.get(..56).unwrap_or_default().chunks_exact(4).chain(bytes[at..].chunks_exact(4));
    let sum = words.fold(0xcbf2_9ce4_8422_2325_u64, |sum, word| {
        (sum ^ u64::from(u32::from_le_bytes(word.try_into().expect("four")))).wrapping_mul(0x0000_0100_0000_01b3)
    });
    if let Some(field) = bytes.get_mut(56..64) {
        field.copy_from_slice(&sum.to_le_bytes());
    }
}

/// Files in memory: the identity pages of a spool and of a progress file, the progress page, and the lengths in the
/// headers of the takes.
pub fn spool(bytes: &[u8]) {
    let mut rest = bytes;
    let mut page = || {
        let (page, after) = rest.split_at(rest.len().min(PAGE_BYTES));
        rest = after;
        page
    };
    let (first, second, third) = (page(), page(), page());
    for page in [first, second] {
        if let Err(rejected) = identity::<SpoolIdentity>(page) {
            check_one_line(&rejected);
        }
        if let Err(rejected) = identity::<ProgressIdentity>(page) {
            check_one_line(&rejected);
        }
    }
    let shape = Shape::of_header(second, 0).unwrap_or(Shape::new(0, 61_440));
    let mut index = Table::default();
    index.add(&shape, u32::from(first.first().copied().unwrap_or(0)) << 9, bytes);
    index.sort();
    let (mut end, slot_bytes) = (PAGE_BYTES as u64, shape.slot_bytes() as u64);
    for part in index.parts() {
        assert!(end <= part.offset && part.bytes <= slot_bytes && part.slot < SPOOL_SLOTS_MAX, "{part:?}");
        end = part.end();
    }
    assert!(index.parts().len() + index.damaged <= bytes.len() / 8);
    let mut whole = third.to_vec();
    whole.resize(PAGE_BYTES, 0);
    let progress = Progress::read(&whole).expect("a whole page");
    assert!(progress.marks.len() <= LOSSES_MAX);
    assert!(losses_of(&progress, Uuid::nil()).len() <= LOSSES_MAX + FIRST_PAGE_PLACES);
    let mut numbers = rest.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().expect("eight")));
    let clock = numbers.next();
    let mut known = PassKnown { takes: Vec::new(), progress_page: Some(progress.frames.0), clock };
    while let (Some(claimed_frames), Some(memory_end)) = (numbers.next(), numbers.next()) {
        let memory_end = (memory_end % 3 > 0).then_some(memory_end);
        known.takes.push(TakeKnown { claimed_frames, memory_end, finished: None });
    }
    let memory_end = known.takes.iter().filter_map(|take| take.memory_end).max();
    let disk = known.takes.iter().map(|take| take.claimed_frames).max().unwrap_or(0);
    let least = known.takes.iter().map(|take| take.claimed_frames).min().unwrap_or(0);
    let last_sound = || Ok::<_, Rejected>(memory_end.unwrap_or(0));
    let (frames, basis) = length(&known, last_sound).expect("nothing failed");
    let most = disk.max(memory_end.unwrap_or(0)).max(clock.unwrap_or(0));
    assert!(least <= frames && frames <= most, "{frames} frames by {basis}: {known:?}");
    assert!(basis != Basis::Finished);
}

fn check_one_line(rejected: &Rejected) {
    let text = rejected.to_string();
    assert!(!text.contains(char::is_control), "{text:?}");
}

/// The settings file.
pub fn settings(bytes: &[u8]) {
    match parse_settings(bytes) {
        Ok(Parsed { settings, left_out }) => {
            assert!(left_out.iter().all(|line| !line.contains(char::is_control)), "{left_out:?}");
            assert_eq!(settings, settings.clone().clamped());
            #[cfg(feature = "gui")]
            drop(KeyMap::new(&settings.keys));
            let stored = serde_json::to_vec(&settings).expect("JSON");
            let again = parse_settings(&stored).expect("settings");
            assert_eq!((again.settings, again.left_out), (settings, Vec::new()));
            assert!(Settings::default().clamped() == Settings::default());
        }
        Err(reason) => assert!(!reason.contains(char::is_control), "{reason:?}"),
    }
}

/// Text that a user types: positions, keys, kinds of stress. The first byte selects the rate.
pub fn text(bytes: &[u8]) {
    let Some((rate, text)) = bytes.split_first() else { return };
    let text = String::from_utf8_lossy(text);
    let rate = [8_000, 44_100, 48_000, 384_000][usize::from(rate % 4)];
    if let Ok(at) = parse_position(&text, SampleRate(rate)) {
        assert!(at.0 <= POSITION_MAX);
    }
    #[cfg(feature = "gui")]
    if let Some(keys) = parse_keys(&text) {
        assert!(!keys.logical_key.name().is_empty());
    }
    if let Ok(kind) = text.parse::<LoadKind>() {
        assert_eq!(kind.to_string(), text);
    }
}

/// The options in the name of the built-in device. If it opens, its cycles have the right length.
pub fn device(bytes: &[u8]) {
    // `free`: the device has no clock, so the test does not wait.
    let options = format!("free,{}", String::from_utf8_lossy(bytes));
    let Ok(mut device) = VirtualDevice::open(&spec(&options, 2, Signal::Ramp), &options) else { return };
    if device.start().is_err() {
        return;
    }
    for _ in 0..20 {
        match device.wait(Duration::ZERO) {
            Wake::Ready => assert_eq!(device.cycle(&mut |_, output| output.bytes.fill(0)), 64),
            Wake::Lost { frames, .. } => assert!(frames <= POSITION_MAX, "{frames} frames lost"),
            Wake::Gone => return,
            Wake::Timeout | Wake::PlaybackXrun | Wake::Changed => {}
        }
    }
}

/// A WAV file as the input signal of the built-in device.
pub fn signal(bytes: &[u8]) {
    let rate = SampleRate(48_000);
    let Ok(source) = read_wav(&mut Cursor::new(bytes), bytes.len() as u64, rate) else { return };
    let channels = source.channels().expect("a file has channels");
    assert!((1..=CHANNEL_COUNT_MAX).contains(&channels));
    let mut source = source.for_inputs(channels, rate);
    for (format, width) in [(DeviceFormat::S32, 4), (DeviceFormat::S24In3, 3), (DeviceFormat::S16, 2)] {
        let mut out = vec![0; 10 * channels * width];
        for frame in [0, 7, u64::from(u32::MAX), POSITION_MAX] {
            Source::fill(&mut source, &mut out, format, frame);
        }
    }
}

/// The flight recorder's file. An accepted event must give one line, from which the same event is parsed.
pub fn events(bytes: &[u8]) {
    for line in bytes.split(|byte| *byte == b'\n') {
        let Some(record) = Record::parse(line) else { continue };
        let again = record.line();
        assert_eq!(again.iter().position(|byte| *byte == b'\n'), Some(again.len() - 1));
        assert_eq!(Record::parse(&again[..again.len() - 1]).as_ref(), Some(&record));
        assert!(record.stamp().is_some() && !format!("{:<14}", record.kind).is_empty());
    }
}

/// The session that a window has when a difference comes.
const SESSION: &[u8] =
    br#"{"version":1,"id":"00000000-0000-0000-0000-000000000001","rate":48000,"format":"s24","next_id":9,
"tracks":[{"id":1,"inputs":[0]},{"id":2,"inputs":[1]}],"markers":[{"id":3,"at":480}]}"#;

/// What a client sends to an engine: a greeting and frames. An accepted request is written as bytes that are the same
/// request. Also the differences of sessions that an engine sends: what is accepted is a valid session, and has a
/// difference itself.
pub fn link(bytes: &[u8]) {
    protocol::read_greeting(&mut &*bytes).ok();
    let (mut from, mut frame) = (bytes, Vec::new());
    while let Ok(kind) = protocol::receive(&mut from, REQUEST_BYTES_MAX, &mut frame) {
        assert!(frame.len() <= bytes.len());
        if kind == protocol::Kind::Difference {
            let before = parse_session(SESSION).expect("a session");
            let Ok(now) = with_difference(&before, &frame) else { continue };
            now.validate().expect("a window's session is valid");
            let again = difference(&before, &now).expect("it can be written").expect("one session");
            assert_eq!(with_difference(&before, &again).expect("it can be read"), now);
            continue;
        }
        let Ok(request) = protocol::parse::<Request>(&frame) else { continue };
        let written = protocol::message(&request).expect("a request can be written");
        let again = protocol::parse::<Request>(&written[5..]).expect("a request that was written can be read");
        assert_eq!(protocol::message(&again).expect("a request can be written"), written);
        if let Request::Command(command) = &request {
            protocol::is_possible(command);
        }
    }
}
