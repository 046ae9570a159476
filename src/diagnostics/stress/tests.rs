//! Tests of the judging, of the comparison, and of refused options and folders. Thread: test.

use super::scratch::ScratchFolder;
use super::sheet::{Sheet, StressFigures, misses};
use super::*;
use crate::device::signal::ramp;
use crate::format::TakeFormat;
use crate::session::session_file::OpenSession;
use crate::session::{NewTake, TakeState};
use crate::time::{FramePos, Frames, SampleRate};
use crate::wav::header::Header;
use std::collections::HashSet;
use std::path::Path;

fn options(scratch: &Path) -> Options {
    Options {
        scratch: scratch.to_path_buf(),
        kinds: vec![StressKind::None],
        seconds: 2.0,
        inputs: 2,
        period: 64,
        buffer: Some(960_000),
        may_freeze: false,
        keep: false,
    }
}

#[test]
fn every_stress_is_known_by_its_name_and_all_means_all() {
    for kind in StressKind::ALL {
        assert_eq!(kind.to_string().parse(), Ok(kind));
    }
    let named = |names: &[&str]| kinds(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    assert_eq!(named(&["unplug", "sync", "sync"]), Ok(vec![StressKind::Sync, StressKind::Unplug]));
    assert_eq!(named(&["all"]), Ok(StressKind::ALL.to_vec()));
    assert!(named(&["heat"]).unwrap_err().starts_with("heat: unknown stress"));
}

#[test]
fn a_folder_in_or_around_a_session_is_refused_and_left_unchanged() {
    let home = tempfile::tempdir().unwrap();
    let session = home.path().join("gig");
    std::fs::create_dir_all(session.join("audio/deep")).unwrap();
    std::fs::write(session.join("session.json"), "{}").unwrap();
    for scratch in [home.path().to_path_buf(), session.clone(), session.join("audio"), session.join("audio/new")] {
        let error = ScratchFolder::make(&scratch, false).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("is a session"), "{}: {error}", scratch.display());
    }
    assert!(!session.join("audio/new").exists());
    assert!(ScratchFolder::make(&home.path().join("no/such"), false).is_err());
    assert!(ScratchFolder::make(&session.join("session.json"), false).is_err());
}

#[test]
fn a_scratch_folder_removes_only_what_it_made() {
    let home = tempfile::tempdir().unwrap();
    let scratch = home.path().join("rehearsal");
    let made = ScratchFolder::make(&scratch, false).unwrap();
    std::fs::write(made.session("sync").unwrap().join("take.wav"), "x").unwrap();
    drop(made);
    assert!(!scratch.exists(), "the folder around it was made, too, and must go");
    std::fs::create_dir(&scratch).unwrap();
    std::fs::write(scratch.join("notes.txt"), "mine").unwrap();
    drop(ScratchFolder::make(&scratch, false).unwrap());
    assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 1);
    let kept = ScratchFolder::make(&scratch, true).unwrap();
    let path = kept.path().to_path_buf();
    drop(kept);
    assert!(path.is_dir());
}

/// A session with one take of the ramp, in which `spoil` may change bytes of the sound.
fn rehearsed(folder: &Path, losses: &[(u64, u64)], spoil: impl FnOnce(&mut [u8])) {
    const FRAMES: u64 = 200_000;
    const BEGAN: u64 = (1 << 24) - 1000;
    let (mut store, mut session) = OpenSession::create(folder, "test", SampleRate(RATE), TakeFormat::S24).unwrap();
    let track = session.add_track("In 6", &[5]).unwrap();
    let new = NewTake {
        uuid: uuid::Uuid::new_v4(),
        track,
        pass: 1,
        inputs: vec![5],
        channels: 1,
        rate: SampleRate(RATE),
        format: TakeFormat::S24,
        start: FramePos(0),
        started: String::new(),
    };
    let take = session.add_take(new, &mut HashSet::new().into_iter().collect()).unwrap();
    for (at, frames) in losses {
        session.add_loss(take, FramePos(*at), Frames(*frames), "unplugged").unwrap();
    }
    session.finish_take(take, Frames(FRAMES), TakeState::Complete, None).unwrap();
    store.save(&session).unwrap();
    let mut header = Header::new(1, RATE, TakeFormat::S24);
    header.data_bytes = FRAMES * 3;
    let mut sound: Vec<u8> = (0..FRAMES)
        .flat_map(|at| {
            let lost = losses.iter().any(|(from, frames)| (*from..from + frames).contains(&at));
            let value = if lost { 0 } else { ramp(BEGAN + at, 5) };
            <[u8; 3]>::try_from(&value.to_le_bytes()[..3]).unwrap()
        })
        .collect();
    spoil(&mut sound);
    let path = folder.join(session.take(take).unwrap().path());
    std::fs::write(path, [header.build().to_vec(), sound].concat()).unwrap();
}

#[test]
fn a_take_of_the_ramp_is_right_and_one_wrong_sample_is_seen() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    rehearsed(&at("right"), &[], |_| {});
    let found = check::check(&at("right"));
    assert_eq!((found.takes, found.frames, found.samples_wrong, found.frames_lost), (1, 200_000, 0, 0), "{found:?}");
    rehearsed(&at("lost"), &[(0, 64), (100_000, 64)], |_| {});
    let found = check::check(&at("lost"));
    assert_eq!((found.samples_wrong, found.frames_lost, found.problems.len()), (0, 128, 0), "{found:?}");
    rehearsed(&at("bit"), &[], |sound| sound[3 * 150_000] ^= 1);
    assert_eq!(check::check(&at("bit")).samples_wrong, 1);
    // A duplicated frame shifts all frames after it.
    rehearsed(&at("shift"), &[], |sound| sound.copy_within(3 * 100_000..3 * 199_999, 3 * 100_001));
    assert_eq!(check::check(&at("shift")).samples_wrong, 99_999);
    // Within a listed loss, anything but silence is wrong.
    rehearsed(&at("filled"), &[(500, 10)], |sound| sound[3 * 505] = 1);
    assert_eq!(check::check(&at("filled")).samples_wrong, 1);
    assert!(!check::check(&at("absent")).problems.is_empty());
}

#[test]
fn every_broken_promise_is_reported() {
    let good = StressFigures {
        minor_faults: Some(0),
        major_faults: Some(0),
        voluntary_switches: Some(0),
        ..StressFigures::default()
    };
    assert!(misses(&good).is_empty());
    let bad = [
        StressFigures { samples_wrong: 1, ..good.clone() },
        StressFigures { minor_faults: Some(1), ..good.clone() },
        StressFigures { major_faults: Some(1), ..good.clone() },
        StressFigures { minor_faults: None, ..good.clone() },
        StressFigures { voluntary_switches: Some(2), ..good.clone() },
        StressFigures { xruns: 1, ..good.clone() },
        StressFigures { frames_lost: 64, ..good.clone() },
        StressFigures { frames_lost: 64, frames_lost_wanted: 128, ..good.clone() },
    ];
    for figures in bad {
        assert_eq!(misses(&figures).len(), 1, "{figures:?}");
    }
    let unplugged = StressFigures { frames_lost: 24_000, frames_lost_wanted: 24_000, ..good };
    assert!(misses(&unplugged).is_empty());
}

#[test]
fn options_out_of_range_are_refused_before_anything_is_made() {
    let home = tempfile::tempdir().unwrap();
    let scratch = home.path().join("rehearsal");
    let cancel = AtomicBool::new(false);
    let base = options(&scratch);
    for wrong in [
        Options { kinds: Vec::new(), ..base.clone() },
        Options { inputs: 0, ..base.clone() },
        Options { inputs: limits::TRACK_COUNT_MAX + 1, ..base.clone() },
        Options { period: 1, ..base.clone() },
        Options { seconds: 0.1, ..base.clone() },
        Options { seconds: f64::NAN, ..base },
    ] {
        let error = run(&wrong, &mut |_| {}, &cancel).err().map(|error| error.to_string());
        assert!(error.as_ref().is_some_and(|error| error.starts_with("--")), "{error:?}");
    }
    assert!(!scratch.exists());
}

#[test]
fn a_stress_test_that_is_stopped_leaves_nothing() {
    let home = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let cancel = AtomicBool::new(false);
    let options =
        Options { kinds: vec![StressKind::None, StressKind::Unplug], seconds: 60.0, ..options(&home.path().join("r")) };
    let mut stop = |update: Update<'_>| {
        if matches!(&update, Update::Doing { doing, .. } if doing.contains("recorded")) {
            cancel.store(true, Relaxed);
        }
    };
    assert!(matches!(run(&options, &mut stop, &cancel), Err(StressError::Cancelled)));
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn a_sheet_is_read_back_from_its_json_and_prints_every_row() {
    let row =
        Row { stress: StressKind::Freeze, verdict: Verdict::Skipped, reason: "needs root".to_owned(), figures: None };
    let passed = Row {
        stress: StressKind::Sync,
        verdict: Verdict::Passed,
        reason: "90 syncs".to_owned(),
        figures: Some(StressFigures { minor_faults: Some(0), major_faults: Some(0), ..StressFigures::default() }),
    };
    let sheet = Sheet {
        folder: "/r".into(),
        file_system: "ext4".to_owned(),
        kernel: "6".to_owned(),
        program: "0".to_owned(),
        inputs: 24,
        rate: RATE,
        period: 64,
        seconds: 10.0,
        scheduling: "fifo".to_owned(),
        rows: vec![passed, row],
    };
    let json = serde_json::to_string(&sheet).unwrap();
    assert_eq!(serde_json::from_str::<Sheet>(&json).unwrap(), sheet);
    let text = sheet.to_string();
    assert!(text.ends_with("1 passed, 0 failed, 1 skipped") && text.contains("freeze  skipped"), "{text}");
    assert_eq!(text.lines().count(), 5, "{text}");
}
