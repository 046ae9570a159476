//! A take that is recorded while something plays is placed where that was heard. So are punches, takes that a kill cut
//! off, and exports. The built-in device plays back to its own inputs. Thread: test.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use crate::record::setup;
use crate::recovery::await_frames;
use crate::util::{DEEP, PATIENCE, edit, faultless, place, read_wav, run, start, two_sides_of_the_ramp};
use faultless::control::Control;
use faultless::control::edit::Edit;
use faultless::device::signal::ramp;
use faultless::format::TakeFormat;
use faultless::session::session_file::open_read_only;
use faultless::session::{Session, Take};
use faultless::time::{FramePos, Frames};
use faultless::wav::parse::parse;
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

/// Frames of the session that is played.
const FRAMES: u64 = 96_000;

/// Frames at a beginning in which playback fades in.
const FADE: u64 = 2_000;

/// A device whose inputs hear its outputs 768 frames later, and which says so.
const LOOP: &str = "loop=768,latency=512+256";

/// The takes of the last pass.
fn overdubs(session: &Session) -> Vec<&Take> {
    let last = session.takes().iter().map(|take| take.pass).max().unwrap();
    session.takes().iter().filter(|take| take.pass == last).collect()
}

fn overdub(folder: &Path, device: &str, arguments: &str) -> serde_json::Value {
    let arguments = format!("--json --play-along --device virtual:{device} --inputs 2 {DEEP} {arguments}");
    run(faultless("record", folder, &arguments)).done().json()
}

/// Every sample of the overdubs is, at its place on the timeline, that of the track that was played. `from`: the first
/// position that is compared.
#[track_caller]
fn are_in_place(folder: &Path, from: u64) {
    let session = open_read_only(folder).unwrap();
    let stems = folder.join("stems");
    run(faultless("export", folder, &format!("--force --to {}", stems.display()))).done();
    for take in overdubs(&session) {
        let track = session.track(take.track).unwrap();
        let [region] = track.regions() else { panic!("{:?}", track.regions()) };
        let (_, samples) = read_wav(&folder.join(take.path()));
        assert_eq!(samples.len() as u64, take.frames.0, "the file has what was captured");
        let input = u64::from(take.inputs[0]);
        let end = region.end().0.min(FRAMES - FADE);
        assert!(from.max(region.start.0) + 10_000 < end, "{region:?}");
        for at in from.max(region.start.0)..end {
            let sample = samples[(region.take_start.0 + at - region.start.0) as usize];
            assert_eq!(sample, ramp(at, input), "frame {at} of the timeline, input {input}");
        }
        let position = session.tracks().iter().position(|other| other.id() == track.id()).unwrap();
        let mut stem = fs::read_dir(&stems).unwrap().map(|entry| entry.unwrap().path());
        let stem = stem.find(|path| path.to_string_lossy().contains(track.name())).unwrap();
        let (_, samples) = read_wav(&stem);
        let steady = from.max(region.start.0) + FADE;
        assert_eq!(samples[steady as usize], ramp(steady, input), "stem of track {position}");
    }
}

fn time_reference(path: &Path) -> u64 {
    let mut file = File::open(path).unwrap();
    let bytes = file.metadata().unwrap().len();
    parse(&mut file, bytes).unwrap().bext.unwrap().time_reference
}

#[test]
fn an_overdub_lies_where_it_was_heard_in_the_session_and_in_its_exports() {
    let place = place();
    let folder = place.path().join("session");
    two_sides_of_the_ramp(&folder, FRAMES);
    let told = overdub(&folder, LOOP, "--seconds 1.5");
    let wanted = serde_json::json!({
        "frames": 768, "output": 512, "input": 256, "offset": 0,
        "output_from": "built-in device", "input_from": "built-in device", "complete": true,
    });
    assert_eq!(told["latency"], wanted);
    let after = open_read_only(&folder).unwrap();
    for take in overdubs(&after) {
        assert_eq!((take.start, take.latency, take.frames), (FramePos(0), Frames(768), Frames(72_000)));
        let region = &after.track(take.track).unwrap().regions()[0];
        assert_eq!((region.start, region.take_start, region.length), (FramePos(0), FramePos(768), Frames(71_232)));
        assert_eq!(time_reference(&folder.join(take.path())), 0);
    }
    are_in_place(&folder, FADE);
}

#[test]
fn what_is_recorded_alone_stays_where_it_was_recorded() {
    let place = place();
    let folder = place.path().join("session");
    let told = overdub(&folder, LOOP, "--seconds 0.5");
    assert_eq!(told["latency"]["frames"], 0, "the session had no sound");
    assert!(told["latency"]["complete"].is_null(), "{told}");
    let session = open_read_only(&folder).unwrap();
    assert!(overdubs(&session).iter().all(|take| take.latency == Frames(0)));
}

#[test]
fn an_offset_that_the_user_has_set_is_kept_for_its_device_rate_and_period() {
    let place = place();
    let (folder, home) = (place.path().join("session"), place.path().join("home"));
    two_sides_of_the_ramp(&folder, FRAMES);
    let overdub = |device: &str, arguments: &str| {
        let arguments =
            format!("--json --play-along --device virtual:{device} --inputs 2 --seconds 1.5 {DEEP} {arguments}");
        let mut recorder = faultless("record", &folder, &arguments);
        recorder.env("HOME", &home).env("XDG_CONFIG_HOME", home.join("config"));
        let told = run(recorder).done().json();
        (told["latency"]["frames"].as_u64().unwrap(), told["latency"]["offset"].as_i64().unwrap())
    };
    // The device does not know all of its latency.
    assert_eq!(overdub("loop=900,latency=512+256", "--offset 132"), (900, 132));
    are_in_place(&folder, FADE);
    assert_eq!(overdub("loop=900,latency=512+256", ""), (900, 132), "it was kept");
    assert_eq!(overdub("loop=900,latency=512+256", "--period 128"), (768, 0), "for this period only");
    assert_eq!(overdub("loop=900,latency=512+256", "--offset 0"), (768, 0));
    assert_eq!(overdub("loop=900,latency=512+256", ""), (768, 0), "it was forgotten");
}

#[test]
fn an_offset_may_be_negative() {
    let place = place();
    let folder = place.path().join("session");
    two_sides_of_the_ramp(&folder, FRAMES);
    let arguments = format!(
        "--json --play-along --device virtual:loop=700,latency=512+256 --inputs 2 --seconds 1.5 {DEEP} --offset -68"
    );
    let mut recorder = faultless("record", &folder, &arguments);
    recorder.env("XDG_CONFIG_HOME", place.path().join("config"));
    assert_eq!(run(recorder).done().json()["latency"]["frames"], 700);
    are_in_place(&folder, FADE);
}

/// Records until `ends`, with `begun` called after the first frame, and returns the latency of the takes.
fn latency_of_pass(control: &mut Control, begun: impl FnOnce(&mut Control), ends: u64) -> Vec<Frames> {
    let until = Instant::now() + PATIENCE;
    let poll_until = |control: &mut Control, is_done: &dyn Fn(&Control) -> bool| {
        while !is_done(control) {
            control.poll();
            assert!(Instant::now() < until, "it does not come to pass");
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    poll_until(control, &Control::is_ready_to_roll);
    control.record(Frames(u64::MAX)).unwrap();
    poll_until(control, &|control| control.pass_status().is_some_and(|pass| pass.has_begun()));
    begun(control);
    poll_until(control, &|control| control.pass_status().is_some_and(|pass| Frames(ends) <= pass.frames));
    control.stop();
    poll_until(control, &|control| !control.is_recording());
    overdubs(control.session()).iter().map(|take| take.latency).collect()
}

fn control_of(folder: &Path) -> Control {
    let mut setup = setup(folder, LOOP, 2, 48_000, TakeFormat::S24);
    (setup.device.outputs, setup.device.buffer_frames) = (Some(2), Some(96_000));
    let mut control = Control::open(setup).unwrap();
    control.arm_inputs(2).unwrap();
    control.set_monitoring(false);
    control.enable_playback();
    control
}

/// The take was not moved: nothing could be heard when Record was pressed.
#[test]
fn a_track_that_is_unmuted_after_the_recording_has_begun_is_what_the_take_is_placed_to() {
    let place = place();
    let folder = place.path().join("session");
    two_sides_of_the_ramp(&folder, FRAMES);
    let mut control = control_of(&folder);
    let played: Vec<_> = control.session().takes().iter().map(|take| take.track).collect();
    control.edit(Edit::Mute(played.clone(), true)).unwrap();
    let unmute = |control: &mut Control| control.edit(Edit::Mute(played.clone(), false)).unwrap();
    assert_eq!(latency_of_pass(&mut control, unmute, 24_000), [Frames(768); 2]);
    control.close();
}

/// The take was moved, and its first frames were cut off: something could be heard somewhere behind its end.
#[test]
fn a_track_that_is_silent_up_to_the_end_of_the_recording_moves_no_take() {
    let place = place();
    let folder = place.path().join("session");
    two_sides_of_the_ramp(&folder, FRAMES);
    edit(&folder, |session| {
        let takes: Vec<_> = session.takes().iter().map(|take| (take.track, take.id)).collect();
        for (track, take) in takes {
            let region = session.track(track).unwrap().regions()[0].id;
            session.remove_region(region).unwrap();
            session.place_region(track, take, FramePos(480_000), FramePos(0), Frames(FRAMES)).unwrap();
        }
    });
    let mut control = control_of(&folder);
    assert_eq!(latency_of_pass(&mut control, |_| (), 24_000), [Frames(0); 2]);
    control.close();
}

#[test]
fn a_punch_is_whole_and_exact_after_it_was_placed() {
    let place = place();
    let folder = place.path().join("session");
    two_sides_of_the_ramp(&folder, FRAMES);
    let mut setup = setup(&folder, LOOP, 2, 48_000, TakeFormat::S24);
    (setup.device.outputs, setup.device.buffer_frames) = (Some(2), Some(96_000));
    let mut control = Control::open(setup).unwrap();
    control.arm_inputs(2).unwrap();
    // An armed track that lets its input through would play what it hears of itself.
    control.set_monitoring(false);
    control.enable_playback();
    let until = Instant::now() + PATIENCE;
    let poll_while = |control: &mut Control, busy: fn(&Control) -> bool| {
        while busy(control) {
            control.poll();
            assert!(Instant::now() < until, "it does not come to pass");
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    poll_while(&mut control, |control| !control.is_ready_to_roll());
    control.punch(FramePos(24_000), FramePos(48_000), Frames(12_000)).unwrap();
    poll_while(&mut control, Control::is_recording);
    let after = control.session().clone();
    for take in overdubs(&after) {
        assert_eq!((take.start, take.frames, take.latency), (FramePos(24_768), Frames(24_000), Frames(768)));
        let [region] = after.track(take.track).unwrap().regions() else { panic!("one region") };
        assert_eq!((region.start, region.end(), region.take_start), (FramePos(24_000), FramePos(48_000), FramePos(0)));
        assert_eq!(time_reference(&folder.join(take.path())), 24_000);
    }
    control.close();
    are_in_place(&folder, 0);
}

#[test]
fn an_overdub_that_was_killed_lies_where_it_was_heard_after_its_recovery() {
    let place = place();
    let folder = place.path().join("session");
    two_sides_of_the_ramp(&folder, FRAMES);
    let arguments = format!("--play-along --device virtual:{LOOP} --inputs 2 {DEEP}");
    let mut recorder = start(faultless("record", &folder, &arguments));
    await_frames(&folder, &mut recorder, 60_000);
    recorder.signal("KILL");
    recorder.wait(PATIENCE);
    run(faultless("recover", &folder, "")).done();
    are_in_place(&folder, FADE);
}
