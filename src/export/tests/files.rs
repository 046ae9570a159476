//! File names, errors, and the files that remain after an error. Thread: any.

use super::*;
use crate::wav::take_sound::TakeDefect;
use std::os::unix::fs::symlink;
use std::sync::atomic::Ordering::Relaxed;

/// A session of two tracks with sound and one without.
fn fixture() -> TestSession {
    let mut fixture = TestSession::new(TakeFormat::S24);
    fixture.mono("Kick in", TakeFormat::S24, 0, &noise(TakeFormat::S24, 100_000, 1));
    fixture.track("Empty", &[1]);
    fixture.mono("../AC/DC", TakeFormat::S24, 10, &noise(TakeFormat::S24, 90_000, 2));
    fixture
}

fn text(error: &ExportError) -> String {
    error.to_string()
}

#[test]
fn a_plan_names_its_files_and_the_tracks_it_leaves_out_and_writes_nothing() {
    let fixture = fixture();
    let plan = fixture.plan(&fixture.options()).unwrap();
    let files: Vec<_> =
        plan.files.iter().map(|planned| planned.path().file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(files, ["01 Kick in.wav", "03 ___AC_DC.wav"]);
    assert_eq!(plan.notes, ["track 2 (Empty): no sound there, left out"]);
    assert_eq!((plan.files[0].track(), plan.files[0].frames()), (Some(1), Frames(100_000)));
    assert_eq!((plan.files[0].format(), plan.files[0].sound_bytes()), (TakeFormat::S24, 300_000));
    assert!(!fixture.to().exists());
    fixture.export(&fixture.options()).unwrap();
    assert_eq!(names(&fixture.to()), files);
}

#[test]
fn an_unfinished_take_without_a_region_gets_a_note() {
    let mut fixture = fixture();
    let track = fixture.session.track_ids().next().unwrap();
    let take = fixture.take(track, TakeFormat::S24, 1, &[0.5; 10]);
    fixture.session.finish_take(take, Frames(0), TakeState::Recording, None).unwrap();
    let notes = fixture.plan(&fixture.options()).unwrap().notes;
    assert_eq!(notes[0], "track 1 (Kick in): audio/Kick in-2.wav is not finished and not on the timeline, left out");
}

#[test]
fn names_differ_however_alike_or_long_the_tracks_are_called() {
    let mut fixture = TestSession::new(TakeFormat::S16);
    for name in ["A", "a", "A", "", &"歌".repeat(200), &"歌".repeat(200)] {
        fixture.mono(name, TakeFormat::S16, 0, &[0.5]);
    }
    fixture.export(&fixture.options()).unwrap();
    let names = names(&fixture.to());
    assert_eq!(names.len(), 6);
    assert_eq!(names[..4], ["01 A.wav", "02 a.wav", "03 A.wav", "04 Track.wav"]);
}

#[test]
fn unknown_tracks_empty_ranges_and_silence_are_refused() {
    let fixture = fixture();
    let folder = fixture.folder();
    let says = |options: &ExportOptions, what: &str| {
        let message = text(&fixture.plan(options).unwrap_err());
        assert_eq!(message, format!("{}: {what}", folder.display()));
    };
    let tracks = |tracks: &[usize]| ExportOptions { tracks: Some(tracks.to_vec()), ..fixture.options() };
    says(&tracks(&[1, 4]), "there is no track 4; choose from 1 to 3");
    says(&tracks(&[0]), "there is no track 0; choose from 1 to 3");
    says(&tracks(&[2]), "no track has sound there; choose other tracks or another range");
    says(&fixture.range(5, 5), "nothing lies between frame 5 and frame 5; choose an end behind the start");
    says(&fixture.range(100_000, 100_001), "no track has sound there; choose other tracks or another range");
    says(&fixture.range(0, u64::MAX), "frame 18446744073709551615 lies beyond the timeline; choose an earlier end");
    assert_eq!(fixture.plan(&tracks(&[3, 1, 3])).unwrap().files.len(), 2);
    let empty = TestSession::new(TakeFormat::S16);
    assert!(matches!(empty.plan(&empty.options()), Err(ExportError::NoSound { .. })));
    assert!(matches!(empty.plan(&empty.range(0, 9)), Err(ExportError::NoSound { .. })));
}

#[test]
fn without_force_an_existing_file_is_kept_and_nothing_is_written() {
    let fixture = fixture();
    fs::create_dir(fixture.to()).unwrap();
    let theirs = fixture.to().join("03 ___AC_DC.wav");
    fs::write(&theirs, "mine").unwrap();
    let error = fixture.export(&fixture.options()).unwrap_err();
    assert_eq!(
        text(&error),
        format!("{}: the file exists and is kept; choose another folder, or --force", theirs.display())
    );
    assert_eq!(fs::read(&theirs).unwrap(), b"mine");
    assert_eq!(names(&fixture.to()).len(), 1);
    fixture.export(&ExportOptions { force: true, ..fixture.options() }).unwrap();
    assert_eq!(names(&fixture.to()).len(), 2);
    assert_eq!(Reader::open(&theirs).unwrap().layout().frames, 100_000);
}

#[test]
fn a_cancelled_export_leaves_no_file_and_no_folder() {
    let fixture = fixture();
    let to = fixture.to().join("a/b");
    let files = fixture.plan(&ExportOptions { to: to.clone(), ..fixture.options() }).unwrap().files;
    // Cancel early, in the second file, and after the last frame.
    for stop_at in [1, 120_000, 200_000] {
        let cancel = AtomicBool::new(false);
        let mut stop = |progress: Progress<'_>| {
            assert!(to.exists());
            if stop_at <= progress.frames.0 {
                cancel.store(true, Relaxed);
            }
        };
        let error = run(&files, &mut stop, &cancel).unwrap_err();
        assert!(matches!(error, ExportError::Cancelled { .. }), "{error}");
        assert!(!fixture.to().exists());
    }
}

#[test]
fn a_cancelled_export_leaves_foreign_files_alone() {
    let fixture = fixture();
    fs::create_dir(fixture.to()).unwrap();
    fs::write(fixture.to().join("notes.txt"), "mine").unwrap();
    let files = fixture.plan(&fixture.options()).unwrap().files;
    let cancel = AtomicBool::new(false);
    let mut stop = |progress: Progress<'_>| {
        if progress.file_index == 1 {
            // Another program replaces the finished file.
            fs::remove_file(files[0].path()).unwrap_or_default();
            fs::write(files[0].path(), "theirs").unwrap();
            cancel.store(true, Relaxed);
        }
    };
    run(&files, &mut stop, &cancel).unwrap_err();
    assert_eq!(names(&fixture.to()), ["01 Kick in.wav", "notes.txt"]);
    assert_eq!(fs::read(files[0].path()).unwrap(), b"theirs");
}

#[test]
fn progress_only_grows_and_ends_at_the_total() {
    let fixture = fixture();
    let files = fixture.plan(&fixture.options()).unwrap().files;
    let mut seen = Vec::new();
    let mut note = |progress: Progress<'_>| {
        assert_eq!((progress.file_count, progress.frames_total), (2, Frames(200_000)));
        assert_eq!(progress.file, files[progress.file_index].path());
        seen.push(progress.frames.0);
    };
    run(&files, &mut note, &AtomicBool::new(false)).unwrap();
    assert!(seen.is_sorted() && seen.last() == Some(&200_000) && 10 < seen.len());
}

#[test]
fn a_missing_short_or_foreign_take_is_named_and_costs_its_own_place_only() {
    type Damage = fn(&Path);
    let cases: [(Damage, &str); 5] = [
        (|file| fs::remove_file(file).unwrap(), "the take's file is missing; bring "),
        (|file| fs::write(file, "no sound").unwrap(), "not a wav file; "),
        (
            |file| fs::OpenOptions::new().write(true).open(file).unwrap().set_len(4_096 + 3 * 999).unwrap(),
            "the file ends at frame 999, and the session plays it up to frame 90000; bring ",
        ),
        (
            |file| {
                fs::remove_file(file).unwrap();
                let header = Header::new(2, 44_100, TakeFormat::F32);
                Writer::create_new(file, header, Existing::Keep).unwrap().finish().unwrap();
            },
            "the file holds 2 channels, 44100 Hz, f32, and the take 1 channels, 48000 Hz, s24; bring ",
        ),
        (
            |file| {
                let target = file.parent().unwrap().join("target.wav");
                fs::rename(file, &target).unwrap();
                symlink(target, file).unwrap();
            },
            "not a session: ___AC_DC-1.wav is a link or a special file; ",
        ),
    ];
    for (damage, reason) in cases {
        for mix in [false, true] {
            let fixture = fixture();
            let file = fixture.file(fixture.session.takes()[1].id);
            damage(&file);
            let outcome = fixture.outcome(&ExportOptions { mix, ..fixture.options() }).unwrap();
            let [problem] = outcome.problems.as_slice() else { panic!("{:?}", outcome.problems) };
            assert!(problem.starts_with("track 3 (../AC/DC), silent there: ") && problem.contains(reason), "{problem}");
            let left = names(&fixture.to());
            let short = reason.contains("frame 999");
            let wanted: &[&str] = match (mix, short) {
                (true, _) => &["Demo mix.wav"],
                (false, true) => &["01 Kick in.wav", "03 ___AC_DC.wav"],
                (false, false) => &["01 Kick in.wav"],
            };
            assert_eq!(left, wanted);
            if short && !mix {
                let sound = decoded(&fixture.to().join(wanted[1]));
                assert_eq!(sound[10..1_009], noise(TakeFormat::S24, 90_000, 2)[..999]);
                assert!(sound.len() == 100_000 && sound[1_009..].iter().all(|sample| *sample == 0.0));
            }
            assert_eq!(outcome.files.len(), left.len());
        }
    }
    // The sound of all takes is gone: nothing is written.
    let fixture = fixture();
    for take in fixture.session.takes() {
        fs::remove_file(fixture.file(take.id)).unwrap();
    }
    let error = fixture.export(&fixture.options()).unwrap_err();
    let is_missing = matches!(error, ExportError::Take { defect: TakeDefect::Missing, .. });
    assert!(is_missing && !fixture.to().exists(), "{error}");
}

#[test]
fn nothing_is_exported_among_the_sessions_own_files() {
    let fixture = fixture();
    let audio = fixture.folder().join("audio");
    let before = names(&audio);
    let link = fixture.dir.path().join("link");
    symlink(&audio, &link).unwrap();
    let ways =
        [audio.clone(), audio.join("new/deep"), link.clone(), link.join("x"), fixture.folder().join("new/../audio")];
    for to in ways {
        let error = fixture.export(&ExportOptions { to: to.clone(), force: true, ..fixture.options() }).unwrap_err();
        assert_eq!(
            text(&error),
            format!("{}: the session keeps its own files here; choose another folder", to.display())
        );
        assert_eq!(names(&audio), before);
        assert_eq!(names(&fixture.folder()), ["audio"]);
    }
    fixture.export(&ExportOptions { to: fixture.folder().join("export"), ..fixture.options() }).unwrap();
}

#[test]
fn a_session_may_be_given_as_its_file() {
    let fixture = fixture();
    let file = fixture.folder().join("session.json");
    fs::write(&file, "").unwrap();
    let options = ExportOptions { folder: file, ..fixture.options() };
    assert_eq!(fixture.export(&options).unwrap().len(), 2);
    let error = fixture.export(&ExportOptions { to: fixture.folder().join("audio"), ..options }).unwrap_err();
    assert!(matches!(error, ExportError::OwnFolder { .. }), "{error}");
}

#[test]
fn a_target_that_is_no_folder_is_named() {
    let fixture = fixture();
    fs::write(fixture.to(), "mine").unwrap();
    let message = text(&fixture.export(&fixture.options()).unwrap_err());
    assert!(message.starts_with(&format!("{}: cannot write here: ", fixture.to().display())), "{message}");
    let to = fixture.to().join("deeper");
    let message = text(&fixture.export(&ExportOptions { to: to.clone(), ..fixture.options() }).unwrap_err());
    assert!(message.starts_with(&format!("{}: cannot make this folder: ", to.display())), "{message}");
}

#[test]
fn exported_files_serialize_to_json() {
    let fixture = fixture();
    let exported = fixture.export(&ExportOptions { mix: true, ..fixture.options() }).unwrap();
    let json = serde_json::to_value(&exported).unwrap();
    assert_eq!(json[0]["file"], fixture.to().join("Demo mix.wav").to_str().unwrap());
    assert_eq!((&json[0]["track"], &json[0]["format"]), (&serde_json::Value::Null, &"s24".into()));
    assert_eq!((json[0]["frames"].as_u64(), json[0]["bytes"].as_u64()), (Some(100_000), Some(604_096)));
}

#[test]
fn a_file_that_a_second_parser_reads_otherwise_fails_the_export() {
    let fixture = fixture();
    fixture.export(&fixture.options()).unwrap();
    let mut planned = fixture.plan(&ExportOptions { force: true, ..fixture.options() }).unwrap().files.remove(0);
    let bytes = fs::metadata(planned.path()).unwrap().len();
    second_reader::check(&planned, bytes).unwrap();
    planned.frames += 1;
    let said = text(&second_reader::check(&planned, bytes).unwrap_err());
    assert!(said.contains("01 Kick in.wav: a second WAV parser") && said.contains("100000"), "{said}");
    fs::write(planned.path(), "no sound").unwrap();
    assert!(second_reader::check(&planned, 8).is_err());
    // RF64, which hound does not know.
    second_reader::check(&planned, u64::from(u32::MAX)).unwrap();
}
