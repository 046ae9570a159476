//! Takes that do not have the sound that the session lists: playback says what an export says, counts the frames, and
//! fails. Thread: test.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use crate::play::{DECLICK, Player, edge, recorded, wave};
use crate::util::{Run, edit, faultless, place, record, run};
use faultless::device::signal::ramp;
use faultless::format::TakeFormat;
use faultless::session::TakeState;
use faultless::session::session_file::OpenSession;
use faultless::time::Frames;
use faultless::wav::header::Header;
use faultless::wav::write::{Existing, Writer};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::path::Path;

const FRAMES: u64 = 20_000;

/// A session with two tracks and the file of the first take.
fn session(place: &Path) -> (std::path::PathBuf, std::path::PathBuf) {
    let folder = place.join("session");
    recorded(&folder, 2, FRAMES, "s24");
    let file = folder.join("audio/In 1-1.wav");
    (folder, file)
}

fn pan(folder: &Path, track: usize, pan: f32) {
    edit(folder, |session| {
        let id = session.track_ids().nth(track).unwrap();
        session.track_mut(id).unwrap().set_pan(pan);
    });
}

fn cut_to(file: &Path, frames: u64) {
    File::options().write(true).open(file).unwrap().set_len(4096 + 3 * frames).unwrap();
}

/// Puts another file in the place of a take, as long as the take.
fn replaced_by(file: &Path, channels: u16, rate: u32, format: TakeFormat) {
    fs::remove_file(file).unwrap();
    let mut writer = Writer::create_new(file, Header::new(channels, rate, format), Existing::Keep).unwrap();
    writer.write_frames(&vec![0.25; FRAMES as usize * usize::from(channels)]).unwrap();
    writer.finish().unwrap();
}

fn play(folder: &Path, more: &str) -> Run {
    run(faultless("play", folder, &format!("--device virtual:free --json {more}")))
}

fn export(folder: &Path, to: &Path) -> Run {
    run(faultless("export", folder, &format!("--json --to {}", to.display())))
}

/// The line about the first take on standard error.
#[track_caller]
fn caution(run: &Run) -> String {
    let lines: Vec<&str> = run.err.lines().filter(|line| line.starts_with("caution: track ")).collect();
    let [line] = lines.as_slice() else { panic!("{}", run.err) };
    (*line).to_owned()
}

/// Playback was silent, or sounded at another speed, with status 0 and "0 frames not heard".
#[test]
fn a_take_that_an_export_cautions_about_is_named_by_play_in_the_same_words_and_its_frames_are_not_heard() {
    type Damage = fn(&Path);
    let cases: [(&str, Damage, u64); 6] = [
        ("missing", |file| fs::remove_file(file).unwrap(), FRAMES),
        ("short", |file| cut_to(file, 5000), FRAMES - 5000),
        ("no sound", |file| cut_to(file, 0), FRAMES),
        ("rate", |file| replaced_by(file, 1, 44_100, TakeFormat::S24), FRAMES),
        ("channels", |file| replaced_by(file, 2, 48_000, TakeFormat::S24), FRAMES),
        ("format", |file| replaced_by(file, 1, 48_000, TakeFormat::F32), FRAMES),
    ];
    for (name, damage, unheard) in cases {
        let place = place();
        let (folder, file) = session(place.path());
        damage(&file);
        let exported = export(&folder, &place.path().join("to"));
        let played = play(&folder, "");
        assert_eq!((played.code, exported.code), (Some(1), Some(1)), "{name}: {}", played.err);
        assert_eq!(caution(&played), caution(&exported), "{name}");
        assert_eq!(played.json()["frames_unheard"], unheard, "{name}: {}", played.err);
        assert!(played.err.lines().last().unwrap().ends_with("a track had no sound; see above"), "{}", played.err);
    }
}

#[test]
fn only_frames_that_were_to_be_heard_are_counted() {
    let place = place();
    let (folder, file) = session(place.path());
    cut_to(&file, 5000);
    let before = play(&folder, "--seconds 0.1").done();
    assert_eq!(before.json()["frames_unheard"], 0, "the file has these frames");
    assert_eq!(play(&folder, "--from 0.3").json()["frames_unheard"], FRAMES - 14_400);
    // Both tracks lack the same frames.
    cut_to(&folder.join("audio/In 2-1.wav"), 5000);
    assert_eq!(play(&folder, "").json()["frames_unheard"], FRAMES - 5000);
    edit(&folder, |session| {
        let ids: Vec<_> = session.track_ids().collect();
        for id in ids {
            session.track_mut(id).unwrap().mute = true;
        }
    });
    assert_eq!(play(&folder, "").done().json()["frames_unheard"], 0, "muted tracks are not to be heard");
}

#[test]
fn a_take_of_another_rate_than_its_session_is_silent_and_named_and_not_played_at_another_speed() {
    for all in [false, true] {
        let place = place();
        let (folder, _) = session(place.path());
        let path = folder.join("session.json");
        let mut session: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        if all {
            session["rate"] = 44_100.into();
        } else {
            session["takes"][0]["rate"] = 44_100.into();
        }
        fs::write(&path, serde_json::to_vec(&session).unwrap()).unwrap();
        let played = play(&folder, "");
        let words = if all { "48000 Hz in a session of 44100 Hz" } else { "44100 Hz in a session of 48000 Hz" };
        let told = played.err.lines().filter(|line| line.contains(words)).count();
        assert_eq!((played.code, told), (Some(1), if all { 2 } else { 1 }), "{}", played.err);
        assert_eq!(played.json()["frames_unheard"], FRAMES);
        export(&folder, &place.path().join("to")).refused(&[words]);
    }
}

#[test]
fn a_recording_along_with_a_take_that_is_missing_is_complete_and_fails() {
    let place = place();
    let (folder, file) = session(place.path());
    fs::remove_file(&file).unwrap();
    let found = run(record(&folder, "--device virtual:free --inputs 2 --seconds 0.25 --play-along"));
    assert!(found.code == Some(1) && found.err.contains("track 1 (In 1), silent there: "), "{}", found.err);
    assert_eq!(found.json()["audio_thread"]["frames_unheard"], 12_000);
    assert_eq!(found.json()["frames"], 12_000);
}

/// `problems` was empty and the status 0, though the end of the take was not in the export.
#[test]
fn a_take_that_was_cut_off_fails_play_and_export_also_while_the_session_is_open() {
    let place = place();
    let (folder, file) = session(place.path());
    edit(&folder, |session| {
        let take = session.takes()[0].id;
        session.finish_take(take, Frames(FRAMES), TakeState::Recording, None).unwrap();
    });
    cut_to(&file, 5000);
    let words = "In 1-1.wav: not finished; silence from its frame 5000 to frame 20000";
    let exported = export(&folder, &place.path().join("to"));
    let found = exported.json();
    let problems = found["problems"].as_array().unwrap();
    assert!(problems.len() == 1 && problems[0].as_str().unwrap().contains(words), "{problems:?}");
    let played = play(&folder, "");
    assert_eq!((exported.code, played.code), (Some(1), Some(1)), "{}{}", exported.err, played.err);
    assert_eq!(caution(&played), caution(&exported));
    assert_eq!(played.json()["frames_unheard"], FRAMES - 5000);
    // A program that has the session open does not record the rest: the take got its frames at the end of its pass.
    let _open = OpenSession::open(&folder).unwrap();
    let exported = export(&folder, &place.path().join("during"));
    let played = play(&folder, "");
    assert_eq!((exported.code, played.code), (Some(1), Some(1)), "{}{}", exported.err, played.err);
    assert!(
        exported.err.contains("a pass of it was cut off: end the program that has the session open"),
        "{}",
        exported.err
    );
    assert_eq!(caution(&played), caution(&exported));
    assert_eq!(played.json()["frames_unheard"], FRAMES - 5000);
}

/// A plain WAV header without any sound behind it.
fn header(tag: u16, channels: u16, bits: u16, data_bytes: u32) -> Vec<u8> {
    let align = channels.wrapping_mul(bits.div_ceil(8));
    let mut bytes = b"RIFF\xff\xff\xff\x7fWAVEfmt \x10\0\0\0".to_vec();
    bytes.extend(tag.to_le_bytes());
    bytes.extend(channels.to_le_bytes());
    bytes.extend(48_000_u32.to_le_bytes());
    bytes.extend((48_000 * u32::from(align)).to_le_bytes());
    bytes.extend(align.to_le_bytes());
    bytes.extend(bits.to_le_bytes());
    bytes.extend(b"data");
    bytes.extend(data_bytes.to_le_bytes());
    bytes
}

#[test]
fn foreign_hostile_and_missing_takes_are_silent_with_one_line() {
    let place = place();
    let sound = vec![1_u8; 3000];
    let with_sound = |mut head: Vec<u8>| {
        head.extend(&sound);
        head
    };
    let cases: Vec<(&str, Option<Vec<u8>>)> = vec![
        ("missing", None),
        ("empty", Some(Vec::new())),
        ("text", Some(b"this is no sound at all, whatever its name says".to_vec())),
        ("zeros", Some(vec![0; 10_000])),
        ("ones", Some(vec![0xff; 10_000])),
        ("half a header", Some(header(1, 1, 24, 300)[..30].to_vec())),
        ("a-law", Some(with_sound(header(6, 1, 8, 3000)))),
        ("float of 64 bits", Some(with_sound(header(3, 1, 64, 3000)))),
        ("32-bit integers", Some(with_sound(header(1, 1, 32, 3000)))),
        ("no channels", Some(with_sound(header(1, 0, 24, 3000)))),
        ("four channels", Some(with_sound(header(1, 4, 24, 3000)))),
        ("65535 channels", Some(with_sound(header(1, 65_535, 24, 3000)))),
        ("no bits", Some(with_sound(header(1, 1, 0, 3000)))),
    ];
    let folder = place.path().join("session");
    recorded(&folder, 2, 20_000, "s24");
    pan(&folder, 1, 1.0);
    let file = folder.join("audio/In 1-1.wav");
    for (name, bytes) in cases {
        fs::remove_file(&file).ok();
        if let Some(bytes) = &bytes {
            fs::write(&file, bytes).unwrap();
        }
        let mut player = Player::open(&folder);
        player.roll();
        let played = player.play_to(19_968);
        for (at, frame) in played.iter().enumerate().skip(DECLICK) {
            assert_eq!(*frame, [0.0, wave(at, 1) * edge(at, 20_000)], "{name}: frame {at}");
        }
        assert_eq!(player.told.len(), 1, "{name}: {:?}", player.told);
        let told = &player.told[0];
        assert!(told.starts_with(&format!("{}: ", file.display())), "{name}: {told}");
    }
    let run = run(faultless("play", &folder, "--device virtual:free --json"));
    let lines: Vec<&str> = run.err.lines().filter(|line| line.contains("In 1-1.wav")).collect();
    assert_eq!((lines.len(), run.code, &run.json()["frames"]), (1, Some(1), &json!(20_000)), "{}", run.err);
}

#[test]
fn takes_that_promise_too_much_play_what_they_have() {
    let place = place();
    let folder = place.path().join("session");
    recorded(&folder, 1, 20_000, "s24");
    pan(&folder, 0, -1.0);
    let file = folder.join("audio/In 1-1.wav");
    // The header claims 20,000 frames, and the file ends after 5,000 frames and a part of one.
    File::options().write(true).open(&file).unwrap().set_len(4096 + 15_001).unwrap();
    let mut player = Player::open(&folder);
    player.roll();
    let played = player.play_to(19_968);
    for (at, [left, _]) in played.iter().enumerate().skip(DECLICK) {
        assert_eq!(*left, if at < 5000 { wave(at, 0) } else { 0.0 }, "frame {at}");
    }
    // The header of another program: the sound begins where the header says, not at a page.
    let mut foreign = header(1, 1, 24, 9000);
    foreign.extend((0..3000_u64).flat_map(|frame| ramp(frame + 50, 0).to_le_bytes()[..3].to_vec()));
    fs::write(&file, foreign).unwrap();
    let mut player = Player::open(&folder);
    player.roll();
    let played = player.play_to(19_968);
    for (at, [left, _]) in played.iter().enumerate().skip(DECLICK) {
        assert_eq!(*left, if at < 3000 { wave(at + 50, 0) } else { 0.0 }, "frame {at}");
    }
}
