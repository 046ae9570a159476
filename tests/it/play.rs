//! Playing from end to end: every sample that reaches the outputs. Thread: test.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use crate::record::threads_setup;
use crate::util::{DEEP, PATIENCE, edit, faultless, new_session, place, read_wav, record, run, start};
use faultless::control::Control;
use faultless::control::playback::Players;
use faultless::device::signal::ramp;
use faultless::device::{Access, DelayReporters, Device, DeviceFacts, Input, Output, Pace, StartError, Wake};
use faultless::format::{DeviceFormat, TakeFormat};
use faultless::limits::DECLICK_FRAMES;
use faultless::message::disk::DiskEvent;
use faultless::message::{AudioCommand, AudioEvent, PlayPath};
use faultless::mixer::{PanGains, mix_of};
use faultless::session::session_file::open_read_only;
use faultless::session::{Session, TrackId};
use faultless::threads::{self, Threads};
use faultless::time::{FramePos, Frames, SampleRate};
use serde_json::json;
use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const PERIOD: usize = 64;
pub(crate) const DECLICK: usize = DECLICK_FRAMES as usize;
const FULL: f32 = 8_388_608.0;

/// An output device that stores what it gets. It runs as fast as the samples come, up to a frame that the test
/// allows.
struct Tap {
    facts: DeviceFacts,
    bytes: Vec<u8>,
    played: Arc<Mutex<Vec<[f32; 2]>>>,
    allowed: Arc<AtomicU64>,
    frame: u64,
}

impl Device for Tap {
    fn facts(&self) -> &DeviceFacts {
        &self.facts
    }

    fn start(&mut self) -> Result<(), StartError> {
        Ok(())
    }

    fn wait(&mut self, _: Duration) -> Wake {
        if self.frame < self.allowed.load(Relaxed) {
            return Wake::Ready;
        }
        std::thread::sleep(Duration::from_millis(1));
        Wake::Timeout
    }

    fn cycle(&mut self, process: &mut dyn FnMut(Input<'_>, Output<'_>)) -> usize {
        process(Input::none(PERIOD), Output::interleaved(&mut self.bytes, DeviceFormat::F32, 2));
        let sample = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().unwrap());
        let frames = self.bytes.chunks_exact(8).map(|frame| [sample(&frame[..4]), sample(&frame[4..])]);
        self.played.lock().unwrap().extend(frames);
        self.frame += PERIOD as u64;
        PERIOD
    }

    fn sleeps(&self) -> u64 {
        0
    }

    fn stop(&mut self) {}
}

/// A session that plays into a [`Tap`].
pub(crate) struct Player {
    pub(crate) running: Threads,
    players: Players,
    played: Arc<Mutex<Vec<[f32; 2]>>>,
    allowed: Arc<AtomicU64>,
    pub(crate) told: Vec<String>,
    /// Players that replaced another one.
    replaced: usize,
}

impl Player {
    pub(crate) fn open(folder: &Path) -> Player {
        let session = open_read_only(folder).unwrap();
        let (played, allowed) = (Arc::default(), Arc::new(AtomicU64::new(0)));
        let tap = Tap {
            facts: DeviceFacts {
                name: "tap".to_owned(),
                rate: SampleRate(48_000),
                period_frames: PERIOD,
                buffer_frames: 4 * PERIOD,
                inputs: 0,
                outputs: 2,
                input_format: DeviceFormat::F32,
                output_format: DeviceFormat::F32,
                access: Access::Mapped,
                pace: Pace::Free,
                linked: true,
                delays: DelayReporters::default(),
                notes: Vec::new(),
                source: None,
            },
            bytes: vec![0; PERIOD * 8],
            played: Arc::clone(&played),
            allowed: Arc::clone(&allowed),
            frame: 0,
        };
        let running = threads::start(Box::new(tap), threads_setup(64 << 20)).unwrap();
        let mut player =
            Player { running, players: Players::default(), played, allowed, told: Vec::new(), replaced: 0 };
        player.players.load(&Arc::new(session), folder, &mut player.running);
        player
    }

    pub(crate) fn locate(&mut self, to: u64) {
        self.players.locate(&mut self.running, FramePos(to));
    }

    pub(crate) fn roll(&mut self) {
        self.running.audio.send(AudioCommand::Roll).unwrap();
    }

    /// Plays until `frames` frames came out since the start, and returns all of them.
    pub(crate) fn play_to(&mut self, frames: usize) -> Vec<[f32; 2]> {
        self.allowed.store(frames as u64, Relaxed);
        let until = Instant::now() + PATIENCE;
        while self.played.lock().unwrap().len() < frames {
            assert!(Instant::now() < until, "nothing comes");
            std::thread::sleep(Duration::from_millis(1));
        }
        self.listen();
        self.played.lock().unwrap().clone()
    }

    /// Makes the players those of `session` after frame `played`, and plays until one was replaced. Returns the frames since
    /// the start.
    fn change(&mut self, session: &Session, folder: &Path, mut played: usize) -> usize {
        self.players.update(&Arc::new(session.clone()), folder, &mut self.running);
        let replaced = self.replaced;
        while self.replaced == replaced {
            played = self.play_to(played + PERIOD).len();
        }
        played
    }

    fn listen(&mut self) {
        while let Some(event) = self.running.next_audio_event() {
            match event {
                AudioEvent::CutShort { slot, .. } => self.told.push(format!("cut {slot}")),
                AudioEvent::Dropout { slot, .. } => self.told.push(format!("dropout {slot}")),
                _ => {}
            }
        }
        while let Some(event) = self.running.next_disk_event() {
            match event {
                DiskEvent::PlaybackTrouble { reason, .. } => self.told.push(reason),
                DiskEvent::PlayerReady { slot, key } => {
                    self.players.player_ready(slot, key, &mut self.running);
                    self.replaced += 1;
                }
                _ => {}
            }
        }
    }
}

/// Makes a session with tracks of one input each, recorded from the device's frame 0 on.
pub(crate) fn recorded(folder: &Path, inputs: usize, frames: u64, format: &str) {
    let seconds = frames as f64 / 48_000.0;
    let arguments = format!("--device virtual:free --inputs {inputs} --format {format} --seconds {seconds}");
    assert_eq!(run(record(folder, &arguments)).done().json()["frames"], frames);
}

fn ids(session: &Session) -> Vec<TrackId> {
    session.track_ids().collect()
}

/// Pans the first track of a session of two to the left and the second one to the right.
fn pan_left_and_right(folder: &Path) {
    edit(folder, |session| {
        for (track, pan) in ids(session).into_iter().zip([-1.0, 1.0]) {
            session.track_mut(track).unwrap().set_pan(pan);
        }
    });
}

/// A sample of the ramp as a float.
pub(crate) fn wave(frame: usize, input: u64) -> f32 {
    ramp(frame as u64, input) as f32 / FULL
}

/// The gain of frame `at` after a start.
fn declick(at: usize) -> f32 {
    (at as f32 / DECLICK as f32).min(1.0)
}

/// The gain of frame `at` of a region of `frames` frames.
pub(crate) fn edge(at: usize, frames: usize) -> f32 {
    (at.min(frames - 1 - at) as f32 / 64.0).min(1.0)
}

#[track_caller]
fn is_near(found: f32, want: f32, place: &str) {
    assert!((found - want).abs() <= 2.0 / FULL, "{place}: {found} for {want}");
}

#[test]
fn what_was_recorded_is_what_is_played() {
    let place = place();
    for format in ["s24", "f32"] {
        let folder = place.path().join(format);
        recorded(&folder, 2, 100_000, format);
        pan_left_and_right(&folder);
        let mut player = Player::open(&folder);
        player.roll();
        let played = player.play_to(102_400);
        for (at, [left, right]) in played.iter().enumerate() {
            let want = if at < 100_000 { [0, 1].map(|input| wave(at, input) * edge(at, 100_000)) } else { [0.0; 2] };
            if at < DECLICK {
                is_near(*left, want[0] * declick(at), format);
                is_near(*right, want[1] * declick(at), format);
            } else {
                assert_eq!([*left, *right], want, "{format}: frame {at}");
            }
        }
        assert_eq!(player.told, Vec::<String>::new());
        assert_eq!(player.running.published.dropouts.load(Relaxed), 0);
    }
}

#[test]
fn an_edit_of_a_region_fades_over_while_the_other_tracks_play_on_without_a_gap() {
    let place = place();
    let folder = place.path().join("session");
    recorded(&folder, 2, 400_000, "s24");
    pan_left_and_right(&folder);
    let mut player = Player::open(&folder);
    player.roll();
    let mut to = player.play_to(20_032).len();
    let mut session = open_read_only(&folder).unwrap();
    let region = session.tracks()[1].regions()[0].id;
    let mut edits = Vec::new();
    for muted in [true, false, true] {
        session.mute_regions(&[region], muted).unwrap();
        to = player.change(&session, &folder, to);
        edits.push((to, muted));
        to = player.play_to(to + 5056).len();
    }
    let played = player.play_to(to);
    assert_eq!(player.replaced, 3, "the other track keeps its player");
    for (at, [left, _]) in played.iter().enumerate().skip(DECLICK) {
        assert_eq!(*left, wave(at, 0) * edge(at, 400_000), "frame {at}");
    }
    for (told_at, muted) in edits {
        // The audio thread takes the player at the start of the next period, or of the one after it.
        let right = |at: usize| played[at][1];
        let gain = |at: usize, from: usize| if muted { 1.0 - declick(at - from) } else { declick(at - from) };
        let fits = |from: &usize| {
            (told_at..told_at + 5000).all(|at| {
                let want = wave(at, 1) * if at < *from { f32::from(muted) } else { gain(at, *from) };
                (right(at) - want).abs() <= 4.0 / FULL
            })
        };
        let from = (told_at - 2 * PERIOD..=told_at + 4 * PERIOD).step_by(PERIOD).find(fits);
        assert!(from.is_some(), "at {told_at} the track does not fade over");
    }
    assert_eq!((player.told, player.running.published.dropouts.load(Relaxed)), (Vec::new(), 0));
}

/// The waveform was back, and the track was silent until its regions changed again.
#[test]
fn a_take_that_undo_brings_back_is_heard_before_its_file_has_left_the_trash() {
    let place = place();
    let folder = place.path().join("session");
    recorded(&folder, 2, 400_000, "s24");
    pan_left_and_right(&folder);
    let mut player = Player::open(&folder);
    player.roll();
    let mut to = player.play_to(20_032).len();
    let whole = open_read_only(&folder).unwrap();
    let take = whole.takes()[1].clone();
    let mut without = whole.clone();
    without.trash_take(take.id).unwrap();
    let trashed = without.take(take.id).unwrap().path();
    fs::create_dir_all(folder.join("trash")).unwrap();
    for session in [without, whole] {
        to = player.change(&session, &folder, to);
        // The read-ahead closes the files of the player that was replaced.
        to = player.play_to(to + 10_048).len();
        std::thread::sleep(Duration::from_millis(100));
        // The file leaves `audio` with the save of the discard. The save of the undo is still to come.
        if folder.join(take.path()).exists() {
            fs::rename(folder.join(take.path()), folder.join(&trashed)).unwrap();
        }
    }
    fs::rename(folder.join(&trashed), folder.join(take.path())).unwrap();
    let played = player.play_to(to + 100_032);
    let from = to + DECLICK + 4 * PERIOD;
    for (at, found) in played.iter().enumerate().skip(from) {
        assert_eq!(*found, [0, 1].map(|input| wave(at, input) * edge(at, 400_000)), "frame {at}");
    }
    assert_eq!(player.told, Vec::<String>::new());
}

#[test]
fn a_stereo_take_is_played_unchanged() {
    let place = place();
    let folder = place.path().join("session");
    new_session(&folder, 48_000, TakeFormat::S24, &[&[1, 0]]);
    let device = faultless::device::virtual_device::spec("free", 2, faultless::device::signal::Signal::Ramp);
    let run = threads_setup(64 << 20);
    let format = TakeFormat::S24;
    let mut control = Control::open(faultless::control::Setup {
        folder: folder.clone(),
        purpose: faultless::control::Purpose::Record,
        device,
        format,
        run,
    })
    .unwrap();
    control.record(Frames(30_000)).unwrap();
    while control.is_recording() {
        control.poll();
        std::thread::sleep(Duration::from_millis(2));
    }
    control.close();
    let mut player = Player::open(&folder);
    player.roll();
    let played = player.play_to(30_016);
    for (at, frame) in played.iter().enumerate().take(30_000).skip(DECLICK) {
        assert_eq!(*frame, [1, 0].map(|input| wave(at, input) * edge(at, 30_000)), "frame {at}");
    }
}

#[test]
fn gain_pan_mute_and_solo_are_what_the_mixer_says() {
    type Change = fn(&mut Session, &[TrackId]);
    let cases: [(&str, Change); 5] = [
        ("as it is", |_, _| ()),
        ("gain and pan", |session, ids| {
            session.track_mut(ids[0]).unwrap().set_gain_db(-7.5);
            session.track_mut(ids[1]).unwrap().set_pan(0.3);
        }),
        ("mute", |session, ids| session.track_mut(ids[1]).unwrap().mute = true),
        ("solo", |session, ids| session.track_mut(ids[2]).unwrap().solo = true),
        ("solo and mute", |session, ids| {
            session.track_mut(ids[0]).unwrap().solo = true;
            session.track_mut(ids[2]).unwrap().solo = true;
            session.track_mut(ids[2]).unwrap().mute = true;
        }),
    ];
    let place = place();
    let folder = place.path().join("session");
    recorded(&folder, 3, 20_000, "s24");
    for (name, change) in cases {
        edit(&folder, |session| {
            for id in ids(session) {
                let track = session.track_mut(id).unwrap();
                (track.mute, track.solo) = (false, false);
                track.set_pan(0.0);
                // The sum of three tracks stays below full scale.
                track.set_gain_db(-12.0);
            }
            change(session, &ids(session));
        });
        let session = open_read_only(&folder).unwrap();
        let gains: Vec<PanGains> = session.tracks().iter().map(|track| mix_of(track, &session).gains.mono).collect();
        let silent = gains.iter().filter(|gains| **gains == [[0.0; 2]; 2]).count();
        assert_eq!(silent, [("mute", 1), ("solo", 2), ("solo and mute", 2)].map_or_none(name));
        let mut player = Player::open(&folder);
        player.roll();
        let played = player.play_to(19_968);
        for (at, frame) in played.iter().enumerate() {
            for (side, found) in frame.iter().enumerate() {
                let sum: f32 =
                    gains.iter().enumerate().map(|(track, gains)| wave(at, track as u64) * gains[0][side]).sum();
                is_near(*found, sum * edge(at, 20_000) * declick(at), &format!("{name}, frame {at}"));
            }
        }
    }
}

/// The number of tracks that a case silences.
trait Named {
    fn map_or_none(&self, name: &str) -> usize;
}

impl<const N: usize> Named for [(&str, usize); N] {
    fn map_or_none(&self, name: &str) -> usize {
        self.iter().find(|(key, _)| *key == name).map_or(0, |(_, count)| *count)
    }
}

/// The first frame after a locate to `to` that was sent when `from` frames had come out. The audio thread takes the
/// command at the start of the next period, or of the one after it.
#[track_caller]
pub(crate) fn landing(played: &[[f32; 2]], from: usize, to: usize) -> usize {
    let lands = [from + DECLICK, from + DECLICK + PERIOD];
    let found = lands.into_iter().find(|lands| played[lands + DECLICK][0] == wave(to + DECLICK, 0));
    found.unwrap_or_else(|| panic!("to {to}: it does not land"))
}

#[test]
fn a_locate_while_rolling_lands_on_the_frame() {
    let place = place();
    let folder = place.path().join("session");
    recorded(&folder, 1, 400_000, "s24");
    edit(&folder, |session| session.track_mut(ids(session)[0]).unwrap().set_pan(-1.0));
    let mut player = Player::open(&folder);
    player.roll();
    let mut from = player.play_to(20_032).len();
    for to in [300_001_u64, 17, 399_000 - 20_000, 123_457] {
        player.locate(to);
        let played = player.play_to(from + 10_048);
        // The old position fades out, the rest of that period is silent, and the next period begins at the new
        // position.
        let lands = landing(&played, from, to as usize);
        for (at, [found, _]) in played[lands..].iter().enumerate() {
            let want = wave(to as usize + at, 0) * edge(to as usize + at, 400_000);
            if at < DECLICK {
                is_near(*found, want * declick(at), &format!("to {to}, {at} after"));
            } else {
                assert_eq!(*found, want, "to {to}, {at} after");
            }
        }
        from = played.len();
    }
    assert_eq!(player.told, Vec::<String>::new());
}

/// Every turn of a loop was a step in the sound.
#[test]
fn a_loop_inside_a_region_has_no_step_at_its_turns_and_is_exact_elsewhere() {
    let place = place();
    let folder = place.path().join("session");
    recorded(&folder, 1, 100_000, "s24");
    edit(&folder, |session| session.track_mut(ids(session)[0]).unwrap().set_pan(-1.0));
    let mut player = Player::open(&folder);
    let (from, to) = (20_000, 50_007);
    let path = PlayPath { start: FramePos(15_000), loop_range: Some((FramePos(from), FramePos(to))) };
    player.players.set_loop(path.loop_range);
    player.locate(path.start.0);
    player.roll();
    let played = player.play_to(150_016);
    let begins = |at: &usize| played[at + DECLICK][0] == wave(15_000 + DECLICK, 0);
    let begin = (0..10_000).step_by(PERIOD).find(begins).unwrap();
    let first_turn = (to - path.start.0) as usize;
    for (stream, [left, _]) in played[begin..].iter().enumerate().skip(DECLICK) {
        let at = path.at(stream as u64).0;
        let fade_in = if stream < first_turn { u64::MAX } else { at - from };
        let gain = |frames: u64| (frames as f32 / 64.0).min(1.0);
        assert_eq!(*left, wave(at as usize, 0) * gain(fade_in) * gain(to - 1 - at), "frame {stream}, place {at}");
    }
    assert_eq!(player.told, Vec::<String>::new());
}

/// The last track was cut off, although it stayed, and was silent until its new player had windows.
#[test]
fn a_track_that_is_removed_while_others_play_leaves_no_hole_and_no_step_in_them() {
    let place = place();
    let folder = place.path().join("session");
    recorded(&folder, 3, 400_000, "s24");
    edit(&folder, |session| {
        for (track, pan) in ids(session).into_iter().zip([-1.0, -1.0, 1.0]) {
            session.track_mut(track).unwrap().set_pan(pan);
        }
    });
    let mut player = Player::open(&folder);
    player.roll();
    let played = player.play_to(20_032).len();
    let mut session = open_read_only(&folder).unwrap();
    session.remove_track(ids(&session)[1]).unwrap();
    let moved = player.change(&session, &folder, played);
    let alone = player.play_to(moved + 10_048).len();
    session.remove_track(ids(&session)[1]).unwrap();
    player.players.update(&Arc::new(session), &folder, &mut player.running);
    let played = player.play_to(alone + 10_048);
    // The gain of the last track: it moves to another slot, and then it is removed.
    let loud = (DECLICK..played.len()).filter(|at| 0.05 < wave(*at, 2).abs());
    let gains: Vec<(usize, f32)> = loud.map(|at| (at, played[at][1] / wave(at, 2))).collect();
    for pair in gains.windows(2) {
        let ((before, from), (at, to)) = (pair[0], pair[1]);
        assert!((to - from).abs() <= (at - before) as f32 / DECLICK as f32 + 1e-3, "frame {at}: {from} to {to}");
        assert!(alone <= at || 0.999 < to, "frame {at}: {to}");
    }
    for (at, [left, right]) in played.iter().enumerate().skip(moved + 4 * PERIOD + DECLICK) {
        assert_eq!(*left, wave(at, 0), "frame {at}");
        assert!(at < alone + 4 * PERIOD + DECLICK || *right == 0.0, "frame {at}: {right}");
    }
    assert_eq!((player.told, player.running.published.dropouts.load(Relaxed)), (Vec::new(), 0));
}

#[test]
fn a_gap_between_regions_is_silence_and_regions_are_exact() {
    let place = place();
    let folder = place.path().join("session");
    recorded(&folder, 1, 50_000, "s24");
    let regions = [(100, 7, 900), (1000, 5, 1), (5003, 20_000, 12_345), (40_000, 49_000, 1000)];
    edit(&folder, |session| {
        let track = ids(session)[0];
        session.track_mut(track).unwrap().set_pan(-1.0);
        let (region, take) = (session.track(track).unwrap().regions()[0].id, session.takes()[0].id);
        session.remove_region(region).unwrap();
        for (start, take_start, length) in regions {
            session.place_region(track, take, FramePos(start), FramePos(take_start), Frames(length)).unwrap();
        }
    });
    let mut player = Player::open(&folder);
    player.roll();
    let played = player.play_to(50_048);
    for (at, [left, right]) in played.iter().enumerate() {
        let region = regions.iter().find(|(start, _, length)| (*start..start + length).contains(&(at as u64)));
        let want = region.map_or(0.0, |(start, take_start, length)| {
            let inside = at - *start as usize;
            wave(inside + *take_start as usize, 0) * edge(inside, *length as usize)
        });
        if at < DECLICK {
            is_near(*left, want * declick(at), "start");
        } else {
            assert_eq!((*left, *right), (want, 0.0), "frame {at}");
        }
    }
    assert_eq!(player.told, Vec::<String>::new());
}

#[test]
fn what_is_played_can_be_recorded_along_and_is_the_same() {
    const DELAY: usize = 300;
    let place = place();
    let folder = place.path().join("session");
    recorded(&folder, 2, 48_000, "s24");
    pan_left_and_right(&folder);
    let arguments = format!("--device virtual:free,loop={DELAY} --inputs 2 --seconds 0.9 --play-along");
    run(record(&folder, &arguments)).done();
    for (input, name) in ["In 1", "In 2"].into_iter().enumerate() {
        let (_, first) = read_wav(&folder.join(format!("audio/{name}-1.wav")));
        let (_, second) = read_wav(&folder.join(format!("audio/{name}-2.wav")));
        assert_eq!(second.len(), 43_200);
        assert!(second[..DELAY].iter().all(|sample| *sample == 0));
        let exact = DELAY + DECLICK;
        assert_eq!(second[exact..], first[DECLICK..43_200 - DELAY], "input {input}");
    }
}

#[test]
fn the_program_plays_24_tracks_without_a_dropout_and_says_so() {
    let place = place();
    let folder = place.path().join("session");
    recorded(&folder, 24, 96_000, "s24");
    let found = run(faultless("play", &folder, "--device virtual:free --json")).done().json();
    let members = "audio_thread device dropouts frames frames_dropped frames_unheard locked_bytes_peak period playback_xruns rate \
                   seconds session tracks xruns";
    let keys: Vec<&str> = found.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, members.split_whitespace().collect::<Vec<_>>());
    let numbers = ["frames", "dropouts", "frames_dropped", "xruns", "tracks"].map(|key| found[key].clone());
    assert_eq!(json!(numbers), json!([96_000, 0, 0, 0, 24]));
    let part = run(faultless("play", &folder, "--device virtual:free --from 0:01 --seconds 0.25 --json")).done();
    assert_eq!((&part.json()["frames"], &part.json()["seconds"]), (&json!(12_000), &json!(0.25)));
    let real = run(faultless("play", &folder, &format!("--device virtual --seconds 1 --json {DEEP}"))).done().json();
    assert_eq!((&real["frames"], &real["xruns"]), (&json!(48_000), &json!(0)));
    run(faultless("play", &folder, "--device virtual:free --from 2")).refused(&["nothing to play"]);
}

#[test]
fn a_take_cut_short_under_the_playhead_falls_silent_and_the_other_plays_on() {
    let place = place();
    let folder = place.path().join("session");
    recorded(&folder, 2, 400_000, "s24");
    pan_left_and_right(&folder);
    let mut player = Player::open(&folder);
    player.roll();
    player.play_to(48_000);
    File::options().write(true).open(folder.join("audio/In 1-1.wav")).unwrap().set_len(4096 + 3 * 1000).unwrap();
    let played = player.play_to(400_000);
    for (at, [left, right]) in played.iter().enumerate().skip(48_000) {
        assert_eq!((*left, *right), (0.0, wave(at, 1) * edge(at, 400_000)), "frame {at}");
    }
    assert_eq!(player.told, ["cut 0"]);
}

#[test]
fn the_program_survives_a_take_cut_short_and_says_why_it_is_silent() {
    let place = place();
    let folder = place.path().join("session");
    recorded(&folder, 2, 480_000, "s24");
    let program = start(faultless("play", &folder, &format!("--device virtual --seconds 3 --json {DEEP}")));
    std::thread::sleep(Duration::from_millis(800));
    File::options().write(true).open(folder.join("audio/In 1-1.wav")).unwrap().set_len(5000).unwrap();
    let run = program.wait(PATIENCE);
    assert!(run.err.contains("In 1") && run.err.contains("cut short by another program"), "{}", run.err);
    assert_eq!((run.code, &run.json()["frames"]), (Some(1), &json!(144_000)));
    let unheard = run.json()["frames_unheard"].as_u64().unwrap();
    assert!(0 < unheard && unheard < 144_000, "{unheard}");
}
