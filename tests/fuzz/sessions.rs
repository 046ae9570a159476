//! The fuzz target of `session.json`: parses it and then plays, exports and edits the session. Thread: test.

use faultless::butler::plan::{PlaySpan, map_span, play_span};
use faultless::export::ExportOptions;
use faultless::export::plan::plan;
use faultless::format::TakeFormat;
use faultless::limits::WINDOW_BYTES_DEFAULT;
use faultless::message::{PlayFile, PlayPath, PlayRegion};
use faultless::mixer::mix_of;
use faultless::session::history::History;
use faultless::session::session_file::{Fault, parse, to_bytes};
use faultless::session::{EditError, NewTake, POSITION_MAX, Session, TakeId, TakeState, Track, TrackId};
use faultless::time::{FramePos, Frames, SampleRate};
use faultless::wav::take_sound::{TakeProgress, TakeSound};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// Number of edits and of playback steps per input.
const STEPS: usize = 24;

/// A session file is refused with a reason of one line, or it is valid. A valid session can be stored, played, exported
/// and edited.
pub fn session(bytes: &[u8]) {
    match parse(bytes) {
        Err(Fault::Newer(version)) => assert!(1 < version),
        Err(Fault::Damaged { reason, .. }) => {
            assert!(reason.chars().count() <= 210 && !reason.contains(char::is_control), "{reason:?}");
        }
        Ok(session) => {
            assert_eq!(session.validate(), Ok(()));
            let stored = to_bytes(&session).expect("JSON");
            let again = parse(&stored).expect("an accepted session can be stored");
            let again = to_bytes(&again).expect("JSON");
            assert!(again == stored, "storing it twice gives another file: {}", String::from_utf8_lossy(&again));
            check_session(&session);
            check_edits(session, bytes);
        }
    }
}

fn check_session(session: &Session) {
    session.next_pass();
    for take in session.takes() {
        let parts: Vec<_> =
            Path::new(&take.path()).components().map(|part| matches!(part, Component::Normal(_))).collect();
        assert_eq!(parts, [true, true], "{} leads out of the session", take.path());
        assert!(take.place().end().0 <= POSITION_MAX && session.take(take.id) == Some(take));
    }
    for track in session.tracks() {
        let mix = mix_of(track, session);
        assert!([mix.gains.mono, mix.gains.stereo].iter().flatten().flatten().all(|gain| gain.is_finite()));
        session.takes_of(track.id()).count();
        check_playback(track, session);
    }
    for mix in [false, true] {
        for (from, until) in [(None, None), (Some(FramePos(1)), Some(session.end())), (None, Some(FramePos::END))] {
            let folder = PathBuf::from("session");
            let to = PathBuf::from("to");
            let options = ExportOptions { folder, to, tracks: None, from, until, format: None, mix, force: false };
            let Ok(plan) = plan(session, &options) else { continue };
            for planned in &plan.files {
                assert_eq!(planned.path().parent(), Some(Path::new("to")), "{}", planned.path().display());
                assert!(planned.frames().0 <= POSITION_MAX && planned.sound_bytes() < u64::MAX);
            }
        }
    }
}

/// Plans the playback of a track from several positions on. Each step must advance and stay within the take.
fn check_playback(track: &Track, session: &Session) {
    let sound = TakeSound { channels: 1, rate: 48_000, format: TakeFormat::S24, progress: TakeProgress::Finished };
    let file = Arc::new(PlayFile { path: Arc::new(PathBuf::from("x")), earlier_path: PathBuf::new(), sound });
    let region = |region: &faultless::session::Region| PlayRegion {
        start: region.start,
        length: region.length,
        take_start: region.take_start,
        file: Arc::clone(&file),
        edges: faultless::window::playback::Edges::NONE,
    };
    let regions: Vec<PlayRegion> = track.regions().iter().map(region).collect();
    for (at, current) in track.regions().iter().enumerate() {
        let inside = current.end().0 - 1;
        assert_eq!(track.region_at(current.start), Some(current));
        assert_eq!(track.region_at(FramePos(inside)), Some(current));
        assert_eq!(track.regions_in(current.start, current.end()).len(), 1);
        assert!(at == 0 || track.regions()[at - 1].end() <= current.start);
    }
    let middle = regions.get(regions.len() / 2).map_or(FramePos(7), |region| region.start);
    let short_loop = Some((middle, middle + Frames(3)));
    for (start, loop_range) in
        [(FramePos(0), None), (middle, None), (FramePos(0), short_loop), (FramePos(POSITION_MAX), None)]
    {
        let (path, mut stream) = (PlayPath { start, loop_range }, 0_u64);
        for _ in 0..STEPS {
            let frames = match play_span(&regions, &path, stream) {
                PlaySpan::Gap { frames } => frames,
                PlaySpan::Sound { region, take_frame, frames } => {
                    let take = session.take(track.regions()[region].take).expect("a region has its take");
                    assert!(take_frame + frames <= take.frames.0, "beyond the take");
                    let bytes = take.format.bytes() * take.channels as usize;
                    let span = map_span(take_frame, frames, bytes, 4096, WINDOW_BYTES_DEFAULT);
                    assert!(0 < span.frames && span.frames <= frames && span.bytes <= 2 * WINDOW_BYTES_DEFAULT);
                    frames
                }
            };
            assert!(0 < frames, "no progress at {stream}");
            let Some(next) = stream.checked_add(frames) else { break };
            stream = next;
        }
    }
}

/// Random numbers whose seed is the input, so that the same input gives the same numbers.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        // SplitMix64 (Steele, Lea and Flood 2014).
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn of(&mut self, count: usize) -> usize {
        if count == 0 { 0 } else { (self.next() % count as u64) as usize }
    }

    /// A position: an edge of a region, an end of the timeline, or any other frame.
    fn position(&mut self, session: &Session) -> FramePos {
        let track = session.tracks().get(self.of(session.tracks().len()));
        let region = track.and_then(|track| track.regions().get(self.of(track.regions().len())));
        FramePos(match (self.of(8), region) {
            (0, _) => 0,
            (1, _) => POSITION_MAX,
            (2, _) => u64::MAX,
            (3, Some(region)) => region.start.0,
            (4, Some(region)) => region.end().0,
            (5, Some(region)) => region.start.0.midpoint(region.end().0),
            (6, _) => self.next(),
            _ => self.next() % 100_000,
        })
    }
}

/// Edits the session with valid and invalid numbers, then undoes and redoes all edits. The session must be valid after
/// each step.
fn check_edits(session: Session, bytes: &[u8]) {
    let mut dice =
        Dice(bytes.iter().fold(bytes.len() as u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte))));
    let (mut history, mut now) = (History::default(), session);
    for _ in 0..STEPS {
        let before = now.clone();
        let done = step(&mut now, &mut dice);
        assert_eq!(now.validate(), Ok(()));
        match done {
            Ok(()) => history.push("step", before.arrangement()),
            // A refused edit has changed no track, but it may have used up identities.
            Err(_) => assert_eq!(now.tracks(), before.tracks()),
        }
    }
    // A step is refused if a take of a track that would go is being recorded.
    while history.undo(&mut now) == Ok(true) {
        assert_eq!(now.validate(), Ok(()));
    }
    while history.redo(&mut now) == Ok(true) {
        assert_eq!(now.validate(), Ok(()));
    }
}

fn step(session: &mut Session, dice: &mut Dice) -> Result<(), EditError> {
    let track = session.tracks().get(dice.of(session.tracks().len())).map_or(TrackId(dice.next()), Track::id);
    let take = session.takes().get(dice.of(session.takes().len())).map_or(TakeId(dice.next()), |take| take.id);
    let regions = session.track(track).map_or(&[][..], Track::regions);
    let region =
        regions.get(dice.of(regions.len())).map_or(faultless::session::RegionId(dice.next()), |region| region.id);
    let marker = session.markers().get(dice.of(session.markers().len())).map(|marker| marker.id);
    let (a, b) = (dice.position(session), dice.position(session));
    match dice.of(16) {
        0 => session.add_track("a\n\u{202e}\u{0}b", &[dice.of(1030) as u32]).map(drop),
        1 => session.remove_track(track).map(drop),
        2 => session.move_track(track, dice.of(9)),
        3 => session.place_region(track, take, a, FramePos(0), Frames(dice.next() >> dice.of(64))).map(drop),
        4 => session.choose_take(track, take, a, b).map(drop),
        5 => session.move_region(region, track, a),
        6 => session.trim_region(region, a, b),
        7 => session.split_region(region, a).map(drop),
        8 => session.remove_region(region).map(drop),
        9 => session.trash_take(take),
        10 => session.untrash_take(take),
        11 => session.set_take_frames(take, Frames(a.0)),
        12 => session.add_loss(take, a, Frames(b.0), "x\n"),
        13 => match marker {
            Some(marker) => session.move_marker(marker, a),
            None => session.add_marker(a, "m").map(drop),
        },
        14 => {
            let new = NewTake {
                uuid: uuid(dice),
                track,
                pass: session.next_pass(),
                inputs: vec![0],
                channels: 1,
                rate: SampleRate(48_000),
                format: session.format,
                start: a,
                started: "2026-01-01T00:00:00Z".to_owned(),
            };
            let mut names = session.taken_names();
            session.add_take(new, &mut names).map(drop)
        }
        _ => session.finish_take(take, Frames(b.0), TakeState::Recovered, None),
    }
}

fn uuid(dice: &mut Dice) -> uuid::Uuid {
    uuid::Uuid::from_u128(u128::from(dice.next()) << 64 | u128::from(dice.next()))
}
