//! Decides what an export writes: file names, lengths, and the segments of each file. Thread: any. Pure.

use super::ExportOptions;
use super::error::ExportError;
use super::source::sound_of;
use crate::engine::mix::BUS_COUNT;
use crate::format::TakeFormat;
use crate::mixer::{AudibleRegion, TrackGains, audible_regions, mix_of};
use crate::session::file_name::{FILE_NAME_BYTES_MAX, file_stem};
use crate::session::{Monitor, POSITION_MAX, Session, Take, TakeId, TakeState, Track, TrackId};
use crate::time::{FramePos, Frames, SampleRate};
use crate::wav::bext::{Bext, EXPORT_REMARK, coding_history_line};
use crate::wav::header::Header;
use crate::wav::take_sound::TakeProgress;
use crate::wav::write::Existing;
use crate::window::playback::Edges;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use uuid::Uuid;

/// Minimum number of digits of a track number in a file name.
const NUMBER_DIGITS_MIN: usize = 2;

/// The files of an export.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// In the order of writing. All names differ.
    pub files: Vec<PlannedFile>,
    /// Sentences for the user about tracks and takes that are left out.
    pub notes: Vec<String>,
}

/// One file to write.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedFile {
    /// The session's folder.
    pub(super) folder: PathBuf,
    /// The file to write.
    pub(super) path: PathBuf,
    pub(super) existing: Existing,
    pub(super) content: Content,
    pub(super) frames: u64,
    pub(super) header: Header,
}

/// The sound of a file.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Content {
    /// One track as it was recorded, without gain, pan and mute.
    Stem { track: usize, title: String, segments: Vec<Segment> },
    /// The tracks that are audible, with gain and pan.
    Mix(Vec<MixTrack>),
}

/// A track of the mix.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MixTrack {
    /// The track in notes.
    pub(super) title: String,
    pub(super) gains: TrackGains,
    pub(super) segments: Vec<Segment>,
}

/// The part of a region that lies in the exported range. Segments of one track are in order and do not overlap.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Segment {
    /// First frame in the exported file.
    pub(super) start: u64,
    /// Length in frames, never zero.
    pub(super) frames: u64,
    pub(super) take: Arc<Take>,
    /// Frame of the take that is at `start`.
    pub(super) take_start: u64,
    /// The frame at `start`, between the edges of its region. Only a mix fades there; a stem is as it was recorded.
    pub(super) edges: Edges,
}

impl Segment {
    /// The frame of the exported file behind the last one.
    pub(super) fn end(&self) -> u64 {
        self.start + self.frames
    }
}

impl PlannedFile {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of the track, from 1. None for the mix.
    pub fn track(&self) -> Option<usize> {
        match self.content {
            Content::Stem { track, .. } => Some(track),
            Content::Mix(_) => None,
        }
    }

    pub fn frames(&self) -> Frames {
        Frames(self.frames)
    }

    pub fn format(&self) -> TakeFormat {
        self.header.format
    }

    /// 1 or 2.
    pub fn channels(&self) -> u16 {
        self.header.channels
    }

    /// Bytes of sound that the file will have.
    pub fn sound_bytes(&self) -> u64 {
        self.frames.saturating_mul(self.header.frame_bytes() as u64)
    }

    /// Keeps the segments for which `keep` returns true. `keep` gets the title of the track, and may shorten the
    /// segment.
    pub(super) fn retain_segments(&mut self, mut keep: impl FnMut(&str, &mut Segment) -> bool) {
        match &mut self.content {
            Content::Stem { title, segments, .. } => segments.retain_mut(|segment| keep(title, segment)),
            Content::Mix(tracks) => {
                for MixTrack { title, segments, .. } in tracks {
                    segments.retain_mut(|segment| keep(title, segment));
                }
            }
        }
    }

    /// Every segment in the file.
    pub(super) fn segments(&self) -> impl Iterator<Item = &Segment> {
        let (stem, tracks) = match &self.content {
            Content::Stem { segments, .. } => (segments.as_slice(), [].as_slice()),
            Content::Mix(tracks) => ([].as_slice(), tracks.as_slice()),
        };
        stem.iter().chain(tracks.iter().flat_map(|track| &track.segments))
    }
}

/// Plans the files of an export. Opens and writes no file.
///
/// Every stem has the length of the whole range, so that stems line up. Tracks without sound in the range are left out,
/// and a note says so. With [`ExportOptions::mix`], the chosen tracks are mixed as they are played: with gain and pan,
/// and without the tracks that mute or solo silences.
pub fn plan(session: &Session, options: &ExportOptions) -> Result<Plan, ExportError> {
    let mut planner = Planner { session, options, range: export_range(session, options)?, takes: HashMap::new() };
    let numbers = numbers(session, options)?;
    let mut notes = unplaced_takes(session, &numbers);
    let files = if options.mix {
        planner.mix(&numbers, &mut notes)?.into_iter().collect()
    } else {
        planner.stems(&numbers, &mut notes)?
    };
    if files.is_empty() {
        return Err(ExportError::NoSound { session: options.folder.clone(), mix: options.mix });
    }
    Ok(Plan { files, notes })
}

/// The exported part of the timeline.
#[derive(Clone, Copy)]
struct Range {
    from: FramePos,
    /// The frame behind the last one.
    until: FramePos,
}

fn export_range(session: &Session, options: &ExportOptions) -> Result<Range, ExportError> {
    let folder = || options.folder.clone();
    let range = Range { from: options.from.unwrap_or_default(), until: options.until.unwrap_or_else(|| session.end()) };
    if POSITION_MAX < range.until.0 {
        return Err(ExportError::BeyondTimeline { session: folder(), until: range.until });
    }
    if session.end() == FramePos(0) {
        return Err(ExportError::NoSound { session: folder(), mix: options.mix });
    }
    if range.until <= range.from {
        return Err(ExportError::EmptyRange { session: folder(), from: range.from, until: range.until });
    }
    Ok(range)
}

/// The numbers of the chosen tracks, each once, in the order of the screen.
fn numbers(session: &Session, options: &ExportOptions) -> Result<BTreeSet<usize>, ExportError> {
    let count = session.tracks().len();
    let Some(chosen) = &options.tracks else { return Ok((1..=count).collect()) };
    match chosen.iter().find(|number| !(1..=count).contains(*number)) {
        Some(&number) => Err(ExportError::UnknownTrack { session: options.folder.clone(), number, count }),
        None => Ok(chosen.iter().copied().collect()),
    }
}

/// Notes about takes that are not finished and have no region yet. The user might miss their sound in the export.
fn unplaced_takes(session: &Session, numbers: &BTreeSet<usize>) -> Vec<String> {
    let mut notes = Vec::new();
    // One pass over the takes and one over the regions: the time grows with their sum and not with their product.
    let mut unfinished: HashMap<TrackId, Vec<&Take>> = HashMap::new();
    for take in session.takes().iter().filter(|take| take.state == TakeState::Recording && !take.trashed) {
        unfinished.entry(take.track).or_default().push(take);
    }
    for &number in numbers {
        let track = &session.tracks()[number - 1];
        let Some(takes) = unfinished.get(&track.id()) else { continue };
        let placed: HashSet<TakeId> = track.regions().iter().map(|region| region.take).collect();
        for take in takes.iter().filter(|take| !placed.contains(&take.id)) {
            let title = track.title(number);
            notes.push(format!("{title}: {} is not finished and not on the timeline, left out", take.path()));
        }
    }
    notes
}

struct Planner<'a> {
    session: &'a Session,
    options: &'a ExportOptions,
    range: Range,
    takes: HashMap<TakeId, Arc<Take>>,
}

impl Planner<'_> {
    fn stems(&mut self, numbers: &BTreeSet<usize>, notes: &mut Vec<String>) -> Result<Vec<PlannedFile>, ExportError> {
        let mut files = Vec::new();
        for &number in numbers {
            let track = &self.session.tracks()[number - 1];
            let segments = self.segments(track)?;
            if segments.is_empty() {
                notes.push(format!("{}: no sound there, left out", track.title(number)));
                continue;
            }
            // A take may be stereo on a track that has become mono since.
            let channels = segments.iter().map(|segment| segment.take.channels as usize).max().unwrap_or(1);
            let channels = channels.max(track.inputs().len()) as u16;
            let widest = segments.iter().map(|segment| segment.take.format).max_by_key(|format| format.bytes());
            let format = self.options.format.or(widest).unwrap_or(self.session.format);
            let shrinks = segments.iter().any(|segment| format.bytes() < segment.take.format.bytes());
            let name = self.stem_name(number, track);
            let title = track.title(number);
            let first = segments.iter().min_by(|a, b| a.take.started.cmp(&b.take.started)).map(|segment| &segment.take);
            let reference = first.map_or(self.session.id, |take| take.uuid);
            let header = Header {
                bext: self.bext(&title, reference, first.map_or("", |take| &take.started)),
                track_name: track.name().to_owned(),
                ..Header::new(channels, self.rate().0, format)
            };
            let frames = self.range.until.since(self.range.from).0;
            files.push(self.file(&name, Content::Stem { track: number, title, segments }, header, (frames, shrinks)));
        }
        Ok(files)
    }

    fn mix(&mut self, numbers: &BTreeSet<usize>, notes: &mut Vec<String>) -> Result<Option<PlannedFile>, ExportError> {
        let mut tracks = Vec::new();
        for &number in numbers {
            let track = &self.session.tracks()[number - 1];
            let mix = mix_of(track, self.session);
            if track.monitor == Monitor::Input {
                notes.push(format!("{}: its input is monitored, so its takes are not heard", track.title(number)));
            }
            if !mix.disk || mix.gains == TrackGains::SILENT {
                continue;
            }
            let segments = self.segments(track)?;
            if !segments.is_empty() {
                tracks.push(MixTrack { title: track.title(number), gains: mix.gains, segments });
            }
        }
        if tracks.is_empty() {
            return Ok(None);
        }
        let segments = || tracks.iter().flat_map(|track| &track.segments);
        let whole = self.range.until.since(self.range.from).0;
        // Without an end on request, the mix ends with its last sound: a track that is muted or not chosen adds no
        // silence. Stems have the length of the session, so that they line up.
        let last = segments().map(Segment::end).max().unwrap_or(whole);
        let frames = if self.options.until.is_some() { whole } else { last };
        let started = segments().map(|segment| segment.take.started.as_str()).min().unwrap_or_default();
        let format = self.options.format.unwrap_or(self.session.format);
        let name = if self.session.name().trim().is_empty() { "Session" } else { self.session.name() };
        let header = Header {
            bext: self.bext(&format!("mix of {} tracks", tracks.len()), self.session.id, started),
            track_name: format!("{name} mix"),
            ..Header::new(BUS_COUNT as u16, self.rate().0, format)
        };
        let tail = " mix.wav";
        let file_name = format!("{}{tail}", file_stem(name, FILE_NAME_BYTES_MAX - tail.len()));
        Ok(Some(self.file(&file_name, Content::Mix(tracks), header, (frames, format != TakeFormat::F32))))
    }

    /// A file of `frames` frames. `shrinks`: whether some samples lose depth.
    fn file(&self, name: &str, content: Content, mut header: Header, (frames, shrinks): (u64, bool)) -> PlannedFile {
        let remark = if shrinks { format!("{EXPORT_REMARK}; dithered") } else { EXPORT_REMARK.to_owned() };
        header.bext.coding_history = coding_history_line(header.format, header.rate, header.channels, &remark);
        PlannedFile {
            folder: self.options.folder.clone(),
            path: self.options.to.join(name),
            existing: if self.options.force { Existing::Replace } else { Existing::Keep },
            content,
            frames,
            header,
        }
    }

    /// The segments of a track in the range, without muted regions.
    fn segments(&mut self, track: &Track) -> Result<Vec<Segment>, ExportError> {
        let Range { from, until } = self.range;
        let mut segments = Vec::new();
        for AudibleRegion { region, take, fades } in audible_regions(track, self.session) {
            if region.end() <= from || until <= region.start {
                continue;
            }
            let take = self.take(take)?;
            let (start, end) = (region.start.max(from), region.end().min(until));
            segments.push(Segment {
                start: start.since(from).0,
                frames: end.since(start).0,
                take,
                take_start: (region.take_start + start.since(region.start)).0,
                edges: Edges::new(fades, region.length.0).after(start.since(region.start).0),
            });
        }
        Ok(segments)
    }

    fn take(&mut self, take: &Take) -> Result<Arc<Take>, ExportError> {
        if let Some(take) = self.takes.get(&take.id) {
            return Ok(Arc::clone(take));
        }
        let path = || self.options.folder.join(take.path());
        let sound = sound_of(take, TakeProgress::Finished);
        sound.rate_check(self.rate().0).map_err(|defect| ExportError::Take { path: path(), defect })?;
        let take = Arc::new(take.clone());
        self.takes.insert(take.id, Arc::clone(&take));
        Ok(take)
    }

    /// For example `01 Kick in.wav`. The number makes names unique and sorts them like the tracks on the screen.
    fn stem_name(&self, number: usize, track: &Track) -> String {
        let digits = self.session.tracks().len().to_string().len().max(NUMBER_DIGITS_MIN);
        let (head, tail) = (format!("{number:0digits$} "), ".wav");
        format!("{head}{}{tail}", file_stem(track.name(), FILE_NAME_BYTES_MAX - head.len() - tail.len()))
    }

    /// `started`: the time at which the first take in the file began, RFC 3339. Not the time of the export, because an
    /// export can be repeated bit for bit.
    fn bext(&self, what: &str, reference: Uuid, started: &str) -> Bext {
        let name = self.session.name();
        let (date, time) = date_and_time(started).unwrap_or_default();
        Bext {
            date: date.to_owned(),
            time: time.to_owned(),
            originator_reference: reference.simple().to_string(),
            description: if name.is_empty() { what.to_owned() } else { format!("{name}, {what}") },
            originator: "Faultless".to_owned(),
            time_reference: self.range.from.0,
            ..Bext::default()
        }
    }

    fn rate(&self) -> SampleRate {
        self.session.rate()
    }
}

/// Local date `yyyy-mm-dd` and time `hh:mm:ss` of a moment in RFC 3339; `None` for any other text.
fn date_and_time(moment: &str) -> Option<(&str, &str)> {
    let (date, rest) = moment.split_once('T')?;
    let time = rest.get(..8)?;
    let is = |text: &str, pattern: &str| {
        let fits = |(byte, wanted): (u8, u8)| if wanted == b'0' { byte.is_ascii_digit() } else { byte == wanted };
        text.len() == pattern.len() && text.bytes().zip(pattern.bytes()).all(fits)
    };
    (is(date, "0000-00-00") && is(time, "00:00:00")).then_some((date, time))
}
