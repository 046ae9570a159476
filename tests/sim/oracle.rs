//! The oracle: compares what a run has left on the disks with what was recorded. Every sample of the simulated card is a
//! number of a ramp, so the place of each frame can be read back from the files. Thread: the one of the run.

use crate::image::PAGE;
use crate::listed::ListedLosses;
use crate::mirror::{check_mirror, is_file_of, wav_files};
use crate::told::{Known, Told};
use faultless::device::signal::{RAMP_CHANNEL_STEP, ramp};
use faultless::format::TakeFormat;
use faultless::session::names::RESERVE_FILE;
use faultless::session::session_file::{SessionError, open_read_only, open_take};
use faultless::session::{Session, Take, TakeState, TrackId};
use faultless::wav::read::Reader;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use uuid::Uuid;

/// A pass as the user and the machine saw it while it was recorded.
#[derive(Clone, Debug, Default)]
pub(crate) struct SeenPass {
    /// Number of the pass in the session.
    pub(crate) number: u32,
    /// Tracks that were recorded.
    pub(crate) tracks: Vec<TrackId>,
    /// When the user began it.
    pub(crate) since: Duration,
    /// Frames that every take must have at least.
    pub(crate) frames_min: u64,
    /// Frames that had been recorded when the program ended within the pass. No take may have more.
    pub(crate) frames_max: Option<u64>,
    /// Where the files of its takes began on the timeline, by their identities, as the program showed it.
    pub(crate) starts: BTreeMap<Uuid, u64>,
    /// The frame of the device that is the first of the pass, by the clock, if nothing disturbs the device.
    pub(crate) first: Option<i64>,
    /// Frames that had been stored for as long as a power cut may cost when the program ended within the pass.
    pub(crate) frames_safe: u64,
    /// The exact length, if the report of the pass gave one.
    pub(crate) frames: Option<u64>,
    /// Frames of silence that the report gave.
    pub(crate) lost: Option<u64>,
    /// Whether the power was cut before the pass was recovered, while disks had trouble or soon after that.
    pub(crate) is_cut_in_trouble: bool,
    /// Whether the report named takes that are not whole on the disk.
    pub(crate) is_troubled: bool,
    /// The folder of the mirror that the report called whole.
    pub(crate) whole_mirror: Option<PathBuf>,
}

/// What a run knows for the judgement.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    pub(crate) passes: Vec<SeenPass>,
    /// Whether the power was cut.
    pub(crate) power_cut: bool,
    /// The fewest inputs that a device had during the run.
    pub(crate) inputs_min: Option<usize>,
    /// The notices of the program about takes whose files are gone.
    pub(crate) gone: Vec<String>,
    /// The number of notices that a recovery could not use a mirror, or not all of it.
    pub(crate) mirror_troubles: usize,
    /// The number of messages about a recovered pass.
    pub(crate) recoveries: usize,
    /// Whether a notice told a loss.
    pub(crate) has_told_loss: bool,
    /// The messages of the program about each pass.
    pub(crate) told: Told,
    /// Whether no disk, no other program and no busy machine disturbed the run.
    pub(crate) is_quiet: bool,
    /// The losses that the session listed before its takes were recovered.
    pub(crate) listed: ListedLosses,
}

impl SeenPass {
    /// The number that the pass has in `session` now. It gets another one if an overflow folder that could not be read had a pass
    /// of this number.
    fn number_in(&self, session: &Session) -> u32 {
        let take = session.takes().iter().find(|take| self.starts.contains_key(&take.uuid));
        take.map_or(self.number, |take| take.pass)
    }
}

impl Evidence {
    /// Whether the program has said that the file of a take is gone. Such a take stays as it is: another program may bring
    /// the file back.
    fn is_gone(&self, take: &Take) -> bool {
        let is_said = |reason: &str| self.gone.iter().any(|text| text.contains(&format!("{}: {reason}", take.path())));
        let is_told = take.state == TakeState::Recording
            && (is_said("the file of this take is gone") || is_said("not the file that was recorded; left as it is"));
        is_told || self.gone.iter().any(|text| text.contains(&format!("{}: not there, and several", take.path())))
    }

    /// Whether the program has named a file as one of several that have the sound of a take. The user decides.
    fn is_one_of_several(&self, file: &Path) -> bool {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        self.gone.iter().any(|text| text.contains("several files have the sound") && text.contains(&*name))
    }

    /// Whether the program has said that a take has no file, and nothing showed that its pass had begun.
    fn is_without_file(&self, take: &Take) -> bool {
        let name = format!("{}: no file of this take is there", take.path());
        take.frames.0 == 0 && self.gone.iter().any(|text| text.contains(&name))
    }
}

/// Judges a session folder. Returns every offence as a sentence.
pub(crate) fn judge(folder: &Path, others: &[PathBuf], evidence: &Evidence) -> Vec<String> {
    let session = match open_read_only(folder) {
        Ok(session) => session,
        Err(error) => return vec![format!("the session cannot be opened: {error}")],
    };
    let passes = evidence.passes.iter().map(|pass| SeenPass { number: pass.number_in(&session), ..pass.clone() });
    let evidence = &Evidence { passes: passes.collect(), ..evidence.clone() };
    let mut offences = Vec::new();
    if let Err(reason) = session.validate() {
        offences.push(format!("the session contradicts itself: {reason}"));
    }
    // The user finds the sound of a take by its track, or in the trash.
    let is_out_of_reach = |take: &&Take| !take.trashed && take.frames.0 > 0 && session.track(take.track).is_none();
    offences.extend(
        session.takes().iter().filter(is_out_of_reach).map(|take| format!("{}: its track is not there", take.path())),
    );
    let mut takes = takes_by_track(&session);
    let gone: BTreeSet<(u32, TrackId)> = takes
        .extract_if(.., |_, parts| parts.iter().any(|take| evidence.is_gone(take)))
        .map(|(place, _)| place)
        .collect();
    let mut starts: BTreeMap<u32, i64> = BTreeMap::new();
    let mut ends: BTreeMap<u32, u64> = BTreeMap::new();
    let mut silent: BTreeMap<u32, Vec<Range>> = BTreeMap::new();
    let mut uncovered: BTreeMap<u32, Vec<Range>> = BTreeMap::new();
    for ((pass, track), parts) in &takes {
        let name = format!("pass {pass}, track {track}");
        check_tiles(&name, parts, evidence, &mut offences);
        let end = parts.last().map_or(0, |take| take.offset.0 + take.frames.0);
        let common = *ends.entry(*pass).or_insert(end);
        if common != end {
            offences.push(format!("{name}: ends at frame {end}, another take of the pass at {common}"));
        }
        for take in parts.iter().filter(|take| !was_never_made(folder, take)) {
            let is_continued = parts.iter().any(|next| next.offset == take.offset + take.frames && next.id != take.id);
            let known = (starts.get(pass).copied(), is_continued);
            let found = check_sound(folder, take, known, evidence, &mut offences);
            if let Some(start) = found.start {
                starts.entry(*pass).or_insert(start);
            }
            let ranges = |ranges: Vec<(u64, u64)>| {
                ranges.into_iter().map(|(from, to)| (from, to, *track, take.path())).collect::<Vec<Range>>()
            };
            uncovered.entry(*pass).or_default().extend(ranges(found.uncovered));
            silent.entry(*pass).or_default().extend(ranges(found.silent));
        }
    }
    for (pass, ranges) in uncovered {
        let tracks = takes.keys().filter(|(number, _)| *number == pass).count();
        let in_trouble = evidence.passes.iter().any(|seen| seen.number == pass && seen.is_cut_in_trouble);
        check_uncovered(&ranges, &silent[&pass], tracks, in_trouble, &mut offences);
    }
    for pass in &evidence.passes {
        let left = SeenPass {
            tracks: pass.tracks.iter().copied().filter(|track| !gone.contains(&(pass.number, *track))).collect(),
            ..pass.clone()
        };
        if !left.tracks.is_empty() {
            check_pass(&left, &takes, &ends, &session, folder, evidence, &mut offences);
        }
    }
    if evidence.is_quiet {
        check_alike(&takes, &silent, &mut offences);
        let troubled = evidence.passes.iter().filter(|pass| pass.is_troubled);
        offences.extend(
            troubled.map(|pass| format!("pass {}: nothing disturbed it, and takes are not whole", pass.number)),
        );
    }
    for pass in &evidence.passes {
        check_report(pass, silent.get(&pass.number).map_or(&[], Vec::as_slice), &mut offences);
    }
    offences.extend(evidence.passes.iter().filter_map(|pass| wrong_first(pass, *starts.get(&pass.number)?)));
    offences.extend(untold_silence(evidence, &silent, &session));
    offences.extend(unlisted_files(folder, others, &session, evidence));
    offences.extend(evidence.listed.forgotten(&session));
    offences
}

/// The report of a pass does not give fewer lost frames than there are.
fn check_report(pass: &SeenPass, silent: &[Range], offences: &mut Vec<String>) {
    let Some(reported) = pass.lost.filter(|_| !pass.is_troubled) else { return };
    let mut by_track: BTreeMap<TrackId, u64> = BTreeMap::new();
    for (from, to, track, _) in silent {
        *by_track.entry(*track).or_default() += to - from;
    }
    for (track, frames) in by_track.into_iter().filter(|(_, frames)| reported < *frames) {
        let number = pass.number;
        offences.push(format!("pass {number}, track {track}: {frames} frames are silence, its report says {reported}"));
    }
}

/// Frames that a device may have delivered and the audio thread not yet taken when the user looks: the longest period of a run,
/// and the time until the thread wakes up.
const ON_THE_WAY: i64 = 512 + 64;

/// The takes of a pass begin with the frame that the device delivered then. Otherwise they lack their begin, all of them alike.
fn wrong_first(pass: &SeenPass, found: i64) -> Option<String> {
    let (number, by_clock) = (pass.number, pass.first?);
    let is_right = (-16..ON_THE_WAY).contains(&(by_clock - found));
    (!is_right)
        .then(|| format!("pass {number}: it begins with frame {found} of the device, by the clock with {by_clock}"))
}

/// A notice tells the user of silence in a pass that was cut off: the message about its recovery, or a notice of a loss while the
/// pass was recorded. A notice of another pass does not count. A kill may come before the user sees the message. The message gives
/// all losses of the pass, except for absent inputs that were listed before.
fn untold_silence(evidence: &Evidence, silent: &BTreeMap<u32, Vec<Range>>, session: &Session) -> Vec<String> {
    let cut_off: Vec<u32> =
        evidence.passes.iter().filter(|pass| pass.frames.is_none()).map(|pass| pass.number).collect();
    // A pass of which only a copy knew is recovered after the session is open. It is known if there is no other one.
    let is_only = cut_off.len() == 1 && evidence.recoveries == 1 && !evidence.has_told_loss;
    let mut offences = Vec::new();
    for pass in cut_off {
        let ranges = silent.get(&pass).map_or(&[][..], Vec::as_slice);
        let all = ranges.iter().map(|(from, to, ..)| to - from).sum::<u64>();
        let (frames, what) = match evidence.told.of(pass) {
            Some(Known::Nothing) => (all, "nothing told that"),
            None if is_only && is_only_recovered(session, pass) => (all, "nothing told that"),
            Some(Known::LossBefore) => {
                let absent = ranges.iter().map(|range| absent_frames(session, range)).sum::<u64>();
                (all - absent, "the message about its recovery tells no loss")
            }
            Some(Known::Loss) | None => (0, ""),
        };
        if 0 < frames {
            offences.push(format!("pass {pass}: its takes have {frames} frames of silence, and {what}"));
        }
    }
    offences
}

/// Whether recoveries ended takes of this pass and of no other one. Otherwise the only message may be about another pass: this one
/// had ended before the kill, or the kill came before the user saw its message.
fn is_only_recovered(session: &Session, pass: u32) -> bool {
    let recovered = session.takes().iter().filter(|take| take.state == TakeState::Recovered);
    recovered.map(|take| take.pass).collect::<BTreeSet<u32>>() == BTreeSet::from([pass])
}

/// Frames of a range in which the device did not have the input of the take.
fn absent_frames(session: &Session, (from, to, _, path): &Range) -> u64 {
    let Some(take) = session.takes().iter().find(|take| take.path() == *path) else { return 0 };
    let is_absent = |frame: &u64| {
        let mut losses = take.losses.iter().filter(|loss| loss.cause.contains("came back without input"));
        losses.any(|loss| (loss.at.0..loss.at.0 + loss.frames.0).contains(frame))
    };
    (*from..*to).map(|place| place.saturating_sub(take.offset.0)).filter(is_absent).count() as u64
}

/// A range of a pass, a track, and the file.
type Range = (u64, u64, TrackId, String);

/// The ranges of each track, of which those that follow each other are one.
fn joined(ranges: &[Range]) -> Vec<(u64, u64, TrackId)> {
    let mut sorted: Vec<(u64, u64, TrackId)> = ranges.iter().map(|(from, to, track, _)| (*from, *to, *track)).collect();
    sorted.sort_by_key(|(from, _, track)| (*track, *from));
    let mut joined: Vec<(u64, u64, TrackId)> = Vec::new();
    for (from, to, track) in sorted {
        match joined.last_mut() {
            Some((_, end, last)) if *last == track && from <= *end => *end = to.max(*end),
            _ => joined.push((from, to, track)),
        }
    }
    joined
}

/// Silence that no loss covers is an offence. One exception: if the session could not be saved before a power cut, it does
/// not know the last losses of the device, because the progress page is gone. They are the same in all takes of the pass. A
/// silence can lie in two files of a take, and each take continues in its next file at a frame of its own.
fn check_uncovered(uncovered: &[Range], silent: &[Range], tracks: usize, in_trouble: bool, offences: &mut Vec<String>) {
    let silent = joined(silent);
    for (from, to, _, file) in uncovered {
        let alike: BTreeSet<TrackId> =
            silent.iter().filter(|(start, end, _)| start <= from && to <= end).map(|other| other.2).collect();
        if !in_trouble || alike.len() != tracks {
            let frames = to - from;
            let place = format!("{frames} frames from frame {from} of the pass on");
            offences.push(format!("{file}: {place} are silence that no loss covers"));
        }
    }
}

/// The causes of losses that a recovery lists because it finds the sound nowhere.
const NOWHERE: [&str; 2] = ["neither on the disk nor in memory", "what was in memory is gone"];

/// If nothing disturbs the disks, a recovery finds as much of each take of a pass: one take has no loss at a frame that
/// another one has.
fn check_alike(takes: &Parts<'_>, silent: &BTreeMap<u32, Vec<Range>>, offences: &mut Vec<String>) {
    for ((pass, track), parts) in takes {
        let silent = joined(silent.get(pass).map_or(&[], Vec::as_slice));
        let is_silent = |track: TrackId, frame: u64| {
            silent.iter().any(|(from, to, of)| *of == track && (*from..*to).contains(&frame))
        };
        let others: Vec<TrackId> =
            takes.keys().filter(|(of, other)| of == pass && other != track).map(|it| it.1).collect();
        let mut frames = 0;
        for take in parts {
            for loss in take.losses.iter().filter(|loss| NOWHERE.contains(&loss.cause.as_str())) {
                let end = (loss.at.0 + loss.frames.0).min(take.frames.0);
                let places = (loss.at.0..end).map(|frame| take.offset.0 + frame);
                let is_lost_alone =
                    |frame: &u64| is_silent(*track, *frame) && others.iter().any(|other| !is_silent(*other, *frame));
                frames += places.filter(is_lost_alone).count();
            }
        }
        if frames > 0 {
            offences.push(format!("pass {pass}, track {track}: {frames} frames are lost that another take has"));
        }
    }
}

pub(crate) type Parts<'a> = BTreeMap<(u32, TrackId), Vec<&'a Take>>;

pub(crate) fn takes_by_track(session: &Session) -> Parts<'_> {
    let mut takes: Parts = BTreeMap::new();
    for take in session.takes() {
        takes.entry((take.pass, take.track)).or_default().push(take);
    }
    for parts in takes.values_mut() {
        parts.sort_by_key(|take| (take.offset, take.id));
    }
    takes
}

/// Whether the program was killed before it had made the file of a take, or the power was cut before the file's name was durable.
/// The session lists the take, and no frame of it was recorded: a pass begins when all its files are made. Recovery ends the take
/// without a frame. Another program may make a file of that name later, which is no WAV file.
fn was_never_made(folder: &Path, take: &Take) -> bool {
    let is_foreign =
        || open_take(folder, take).is_ok_and(|file| Reader::from_file(file, Path::new(&take.file)).is_err());
    take.frames.0 == 0 && (matches!(open_take(folder, take), Err(SessionError::Missing { .. })) || is_foreign())
}

/// The parts of a take follow each other from frame 0 without gap or overlap. Where another program has removed the file of a part,
/// the program says so, and nobody knows how long it was.
fn check_tiles(name: &str, parts: &[&Take], evidence: &Evidence, offences: &mut Vec<String>) {
    let (mut at, mut is_known) = (0, true);
    for take in parts {
        if take.offset.0 != at && is_known {
            offences.push(format!("{name}: {} begins at frame {} of the pass, not {at}", take.file, take.offset.0));
        }
        if take.state == TakeState::Recording {
            offences.push(format!("{name}: {} still counts as being recorded", take.file));
        }
        (at, is_known) = (take.offset.0 + take.frames.0, !evidence.is_without_file(take));
    }
    let begins: BTreeSet<u64> = parts.iter().map(|take| take.start.0.wrapping_sub(take.offset.0)).collect();
    if 1 < begins.len() {
        offences.push(format!("{name}: its parts disagree about the start of the pass: {begins:?}"));
    }
}

#[derive(Default)]
struct Found {
    /// The device's frame that is frame 0 of the pass.
    start: Option<i64>,
    /// Ranges of the pass that are silence.
    silent: Vec<(u64, u64)>,
    /// Ranges of the pass that are silence and that no loss covers.
    uncovered: Vec<(u64, u64)>,
}

/// Marks a frame that is silence without a loss, beside the number of its silent channels: a take has one or two.
const UNCOVERED: u8 = 0x80;

/// The losses of a pass that have places. Those behind them are only counted.
const LOSS_PLACES: usize = 64;

/// Every frame of a take is the ramp's at its place, or silence that a loss covers. `is_continued`: the take continues in another file.
/// A recovery that could not open that file leaves this one longer than the session says.
fn check_sound(
    folder: &Path,
    take: &Take,
    (known_start, is_continued): (Option<i64>, bool),
    evidence: &Evidence,
    offences: &mut Vec<String>,
) -> Found {
    let mut found = Found { start: known_start, ..Found::default() };
    let name = take.path();
    let path = take.folder.as_ref().map_or(folder.to_owned(), PathBuf::from).join(&name);
    let opened = open_take(folder, take).map_err(|error| error.to_string());
    let reader = opened.and_then(|file| Reader::from_file(file, &path).map_err(|error| error.to_string()));
    let reader = match reader {
        Ok(reader) => reader,
        Err(reason) => {
            offences.push(format!("{name}: cannot be read: {reason}"));
            return found;
        }
    };
    let layout = reader.layout();
    let is_longer = is_continued && take.frames.0 < layout.frames;
    if (layout.frames != take.frames.0 && !is_longer) || layout.truncated {
        let cut = if layout.truncated { ", cut short" } else { "" };
        offences
            .push(format!("{name}: the file has {} frames{cut}, the session says {}", layout.frames, take.frames.0));
        return found;
    }
    if u32::from(layout.channels) != take.channels || layout.rate != take.rate.0 {
        offences.push(format!("{name}: the file has other channels or another rate than the session says"));
        return found;
    }
    if let Some(bext) = &layout.bext
        && bext.time_reference != take.place().start.0
        && take.frames.0 > 0
    {
        offences.push(format!(
            "{name}: the file says it begins at {}, the session {}",
            bext.time_reference,
            take.place().start.0
        ));
    }
    let frame_bytes = layout.frame_bytes();
    let mut bytes = vec![0; frame_bytes * take.frames.0 as usize];
    if let Err(error) = reader.read_bytes(0, &mut bytes) {
        offences.push(format!("{name}: cannot be read: {error}"));
        return found;
    }
    // An input that a device did not have any more is silent, and its take lists that. A kill may come before the list.
    let is_reported = evidence.passes.iter().any(|pass| pass.number == take.pass && pass.frames.is_some());
    let inputs_min = evidence.inputs_min.filter(|_| !is_reported);
    let heard = |input: u32| inputs_min.is_none_or(|inputs| (input as usize) < inputs);
    let mut wrong: Option<(u64, i32, i32)> = None;
    let channels = take.inputs.len();
    // By frame: in how many channels it is silence, and [`UNCOVERED`] if a loss is missing for it.
    let mut zeros = vec![0_u8; take.frames.0 as usize];
    let mut values = Vec::with_capacity(take.frames.0 as usize);
    for (channel, input) in take.inputs.iter().enumerate() {
        let mut expected: Option<i32> = None;
        samples(take.format, &bytes, frame_bytes, channel, &mut values);
        for (at, value) in values.iter().copied().enumerate() {
            if expected == Some(value) && value != 0 {
                expected = Some(value + 1);
                continue;
            }
            let place = take.offset.0 + at as u64;
            if value == 0 {
                expected = None;
                zeros[at] += 1;
                if heard(*input) && !is_listed(take, at as u64) {
                    zeros[at] |= UNCOVERED;
                }
                continue;
            }
            if take.format == TakeFormat::S16 {
                // The low bits are missing: the number is the same in 256 frames.
                // Where the number rises, the low bits are known.
                let rises = at > 0 && values[at - 1] != 0 && value == values[at - 1] + 1;
                if found.start.is_none() && rises {
                    found.start = Some(device_frame((value << 8) - 128, *input) - place as i64);
                }
                if let Some(start) = found.start {
                    let want = (ramp((start + place as i64) as u64, u64::from(*input)) + 128) >> 8;
                    if value != want.min(32_767) && wrong.is_none() {
                        wrong = Some((at as u64, value, want));
                    }
                }
                continue;
            }
            // The edge of a page that was never written may lie within a frame. The frame counts as lost then, and silence is
            // beside it.
            let is_edge = values.get(at + 1).is_none_or(|next| *next == 0) || (at > 0 && values[at - 1] == 0);
            let is_lost_edge = is_edge && (take.losses_unlisted > 0 || is_listed(take, at as u64));
            let want = match (expected, found.start) {
                (Some(value), _) => value,
                (None, Some(start)) => ramp((start + place as i64) as u64, u64::from(*input)),
                (None, None) if is_lost_edge => continue,
                (None, None) => {
                    found.start = Some(device_frame(value, *input) - place as i64);
                    value
                }
            };
            let is_torn = value != want && is_lost_edge;
            if value != want && !is_torn && wrong.is_none() {
                wrong = Some((at as u64, value, want));
            }
            expected = (!is_torn).then_some(value + 1);
        }
    }
    for (at, state) in zeros.into_iter().enumerate().filter(|(_, state)| *state != 0) {
        let place = take.offset.0 + at as u64;
        if usize::from(state & !UNCOVERED) == channels {
            extend(&mut found.silent, place);
        }
        if state & UNCOVERED != 0 {
            extend(&mut found.uncovered, place);
        }
    }
    // Each loss that is only counted, because there were no more places, may be one silence.
    if found.uncovered.len() as u64 <= take.losses_unlisted && LOSS_PLACES <= take.losses.len() {
        found.uncovered.clear();
    }
    if let Some((at, value, want)) = wrong {
        let shift = value - want;
        offences.push(format!("{name}: frame {at} is {value}, not {want}: it is {shift} frames off"));
    }
    found
}

/// Adds a frame to the last of the ranges, or begins a new one.
fn extend(ranges: &mut Vec<(u64, u64)>, place: u64) {
    match ranges.last_mut() {
        Some((_, end)) if *end == place => *end += 1,
        _ => ranges.push((place, place + 1)),
    }
}

/// The samples of a channel as numbers of the ramp; of a 16-bit take, its upper bits.
fn samples(format: TakeFormat, bytes: &[u8], frame_bytes: usize, channel: usize, values: &mut Vec<i32>) {
    values.clear();
    let at = channel * format.bytes();
    let frames = bytes.chunks_exact(frame_bytes);
    match format {
        TakeFormat::S16 => values.extend(frames.map(|it| i32::from(i16::from_le_bytes([it[at], it[at + 1]])))),
        TakeFormat::S24 => {
            values.extend(frames.map(|it| i32::from_le_bytes([0, it[at], it[at + 1], it[at + 2]]) >> 8));
        }
        TakeFormat::F32 => values.extend(
            frames.map(|it| (f32::from_le_bytes([it[at], it[at + 1], it[at + 2], it[at + 3]]) * 8_388_608.0) as i32),
        ),
    }
}

/// The frame of the device at which the ramp of an input has this value.
fn device_frame(value: i32, input: u32) -> i64 {
    (i64::from(value) + (1 << 23) - (u64::from(input) * RAMP_CHANNEL_STEP) as i64).rem_euclid(1 << 24)
}

/// Whether a loss that the take lists covers a frame.
pub(crate) fn is_listed(take: &Take, frame: u64) -> bool {
    take.losses.iter().any(|loss| (loss.at.0..loss.at.0 + loss.frames.0).contains(&frame))
}

/// A pass that was seen is in the session with all its tracks and its length.
fn check_pass(
    pass: &SeenPass,
    takes: &Parts<'_>,
    ends: &BTreeMap<u32, u64>,
    session: &Session,
    folder: &Path,
    evidence: &Evidence,
    offences: &mut Vec<String>,
) {
    let number = pass.number;
    let frames = ends.get(&number).copied().unwrap_or(0);
    if pass.frames_min == 0 && pass.frames.is_none_or(|frames| frames == 0) {
        return;
    }
    for track in &pass.tracks {
        if !takes.contains_key(&(number, *track)) {
            offences.push(format!("pass {number}: the session has no take of track {track}"));
        }
    }
    if let Some(most) = pass.frames_max
        && most < frames
    {
        offences.push(format!("pass {number}: it has {frames} frames, and {most} were recorded"));
    }
    let mut of_pass = session.takes().iter().filter(|take| take.pass == number);
    if frames < pass.frames_min && !of_pass.any(|take| evidence.is_without_file(take)) {
        offences.push(format!("pass {number}: {frames} frames are left of at least {}", pass.frames_min));
    }
    if let Some(reported) = pass.frames
        && reported != frames
        && !(evidence.power_cut && pass.is_troubled)
    {
        offences.push(format!("pass {number}: its report says {reported} frames, the session {frames}"));
    }
    let parts = takes.iter().filter(|((of, _), _)| *of == number).flat_map(|(_, parts)| parts);
    for take in parts.filter(|_| !evidence.power_cut) {
        if let Some(shown) = pass.starts.get(&take.uuid).filter(|shown| **shown != take.start.0) {
            let start = take.start.0;
            offences.push(format!("{}: it begins at {start}, and the program showed {shown}", take.path()));
        }
    }
    if let Some(mirror) = &pass.whole_mirror {
        // The memory had what the session's disk refused, and the power cut took it. The mirror still has it, and a recovery
        // takes it from there, unless it says that it could not use the mirror.
        let may_lack = evidence.power_cut && pass.is_troubled && 0 < evidence.mirror_troubles;
        check_mirror(number, mirror, (session, folder), may_lack, offences);
    }
}

/// WAV files with sound that no session lists.
fn unlisted_files(folder: &Path, others: &[PathBuf], session: &Session, evidence: &Evidence) -> Vec<String> {
    let mut listed: BTreeSet<PathBuf> = BTreeSet::new();
    for take in session.takes() {
        let place = take.folder.as_ref().map_or(folder.to_owned(), PathBuf::from);
        listed.insert(place.join(take.path()));
        // A mirror has the same names.
        for other in others {
            for place in ["audio", "trash"] {
                listed.insert(other.join(place).join(take.file_name()));
            }
        }
    }
    // In a mirror, a file may have the name that its track had before.
    let is_replica = |path: &Path| {
        others.iter().any(|other| path.starts_with(other)) && session.takes().iter().any(|take| is_file_of(path, take))
    };
    // Another program had put an older copy into the place of a take, and the user gave the copy a name. The take is listed.
    let adds_nothing = |path: &Path| {
        let mut of_it = session.takes().iter().filter(|take| is_file_of(path, take));
        of_it.any(|take| has_sound_of(&take.folder.as_ref().map_or(folder, Path::new).join(take.path()), path))
    };
    let mut offences = Vec::new();
    for folder in std::iter::once(folder).chain(others.iter().map(PathBuf::as_path)) {
        for path in ["audio", "trash"].iter().flat_map(|place| wav_files(&folder.join(place))) {
            // A copy that another program had put into the place of a take.
            let is_foreign =
                path.to_string_lossy().contains("(of another program") || evidence.is_one_of_several(&path);
            if !listed.contains(&path) && !is_foreign && has_sound(&path) && !is_replica(&path) && !adds_nothing(&path)
            {
                offences.push(format!("{}: has sound, and the session does not list it", path.display()));
            }
        }
    }
    offences
}

/// Whether a file has all bytes of sound of another one at their places.
fn has_sound_of(path: &Path, other: &Path) -> bool {
    let (Ok(bytes), Ok(others)) = (fs::read(path), fs::read(other)) else { return false };
    let at = |at: usize| bytes.get(at).copied().unwrap_or(0);
    others.iter().enumerate().skip(PAGE as usize).all(|(index, byte)| *byte == 0 || *byte == at(index))
}

fn has_sound(path: &Path) -> bool {
    fs::read(path).is_ok_and(|bytes| bytes.iter().skip(4096).any(|byte| *byte != 0))
}

/// Everything in the folders that a second recovery must not change: the names and a number for the content.
pub(crate) fn content_of(folders: &[PathBuf]) -> BTreeMap<PathBuf, u64> {
    let mut content = BTreeMap::new();
    let mut left: Vec<PathBuf> = folders.to_vec();
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                left.push(path);
            } else if !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("events")) {
                let number = match path.ends_with(RESERVE_FILE) {
                    // It has blocks and no content.
                    true => fs::metadata(&path).map_or(0, |found| found.len()),
                    false => number_of(&fs::read(&path).unwrap_or_default()),
                };
                content.insert(path, number);
            }
        }
    }
    content
}

/// A number for bytes.
fn number_of(bytes: &[u8]) -> u64 {
    let step = |hash: u64, word: u64| (hash ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23);
    let (words, rest) = bytes.as_chunks::<8>();
    let mut hash = bytes.len() as u64;
    for word in words {
        hash = step(hash, u64::from_le_bytes(*word));
    }
    for byte in rest {
        hash = step(hash, u64::from(*byte));
    }
    hash
}
