//! Tracks that are renamed while they are recorded, and files that have another name than the session lists. Thread: test.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use crate::record::setup;
use crate::recovery::await_frames;
use crate::util::{PATIENCE, check, faultless, place, record, run, start};
use faultless::control::edit::Edit;
use faultless::control::recording::PassReport;
use faultless::control::{Control, Notice, Severity};
use faultless::format::TakeFormat;
use faultless::session::session_file::{kept_versions, open_read_only, restore};
use faultless::session::{Take, TakeState, TrackId};
use faultless::time::Frames;
use faultless::wav::parse::parse;
use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::time::{Duration, Instant};

fn opened(folder: &Path, inputs: usize) -> Control {
    let mut control = Control::open(setup(folder, "free", inputs, 48_000, TakeFormat::S24)).unwrap();
    control.arm_inputs(inputs).unwrap();
    control
}

fn poll_until(control: &mut Control, mut done: impl FnMut(&Control) -> bool) {
    let until = Instant::now() + PATIENCE;
    while !done(control) {
        assert!(Instant::now() < until, "it does not come to pass");
        control.poll();
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Records, gives the tracks these names meanwhile, and ends the pass.
fn record_and_rename(control: &mut Control, names: &[&str]) {
    control.record(Frames(u64::MAX)).unwrap();
    poll_until(control, |control| control.pass_status().is_some_and(|status| status.frames > Frames(10_000)));
    let tracks: Vec<TrackId> = control.session().track_ids().collect();
    for (track, name) in tracks.into_iter().zip(names) {
        control.edit(Edit::Name(track, (*name).to_owned())).unwrap();
    }
    // An older session.json that lists the names before.
    control.save_now();
    let revision = control.revision();
    poll_until(control, |control| revision <= control.saved_revision());
    control.stop();
    poll_until(control, |control| !control.is_recording());
}

fn listed(folder: &Path) -> Vec<String> {
    open_read_only(folder).unwrap().takes().iter().map(|take| take.file_name().to_owned()).collect()
}

/// The names of the WAV files in a session folder.
fn wavs(folder: &Path) -> Vec<String> {
    wavs_in(&folder.join("audio"))
}

fn wavs_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn files(report: &PassReport) -> Vec<&str> {
    report.takes.iter().map(|take| take.file.as_str()).collect()
}

fn cautions(notices: &[Notice]) -> Vec<&str> {
    notices.iter().filter(|notice| notice.severity != Severity::Info).map(|notice| notice.text.as_str()).collect()
}

#[test]
fn a_track_that_is_renamed_while_it_is_recorded_gives_its_file_the_new_name() {
    let place = place();
    let (folder, mirror) = (place.path().join("session"), place.path().join("mirror"));
    let mut control = opened(&folder, 3);
    control.set_mirror(Some(&mirror));
    poll_until(&mut control, Control::companions_are_known);
    record_and_rename(&mut control, &["Kick in", "In 2", "Vox/left"]);
    let report = control.take_report().unwrap();
    assert_eq!(files(&report), ["audio/Kick in-1.wav", "audio/In 2-1.wav", "audio/Vox_left-1.wav"]);
    assert!(report.mirror.as_ref().is_some_and(|mirror| mirror.whole), "{report:?}");
    // The next take has the next number.
    control.record(Frames(5_000)).unwrap();
    poll_until(&mut control, |control| !control.is_recording());
    let names = ["Kick in-1.wav", "In 2-1.wav", "Vox_left-1.wav", "Kick in-2.wav", "In 2-2.wav", "Vox_left-2.wav"];
    let (_, notices) = control.close();
    assert!(cautions(&notices).iter().all(|text| !text.contains("wav")), "{notices:?}");
    let mirror = mirror.join("session");
    for folder in [&folder, &mirror] {
        assert_eq!(listed(folder), names, "{}", folder.display());
        // The header has the name too.
        for (file, track, description) in
            [(0, "Kick in", "Kick in take 1"), (1, "In 2", "In 2 take 1"), (5, "Vox/left", "Vox/left take 2")]
        {
            let bytes = fs::read(folder.join("audio").join(names[file])).unwrap();
            let layout = parse(&mut Cursor::new(&bytes), bytes.len() as u64).unwrap();
            assert_eq!(layout.bext.unwrap().description, description);
            let xml = String::from_utf8_lossy(&bytes[..4096]);
            assert_eq!(xml.matches("<NAME>").count(), 1);
            assert!(xml.contains(&format!("<NAME>{track}</NAME>")), "{track}");
        }
        let mut sorted = names.map(str::to_owned);
        sorted.sort();
        assert_eq!(wavs(folder), sorted, "{}", folder.display());
        assert_eq!(check(folder).iter().map(|pass| (pass.takes, pass.lost)).collect::<Vec<_>>(), [(3, 0), (3, 0)]);
    }
}

#[test]
fn a_file_that_has_the_new_name_is_kept_and_the_take_keeps_its_own() {
    let place = place();
    let folder = place.path().join("session");
    let mut control = opened(&folder, 2);
    control.record(Frames(u64::MAX)).unwrap();
    poll_until(&mut control, |control| control.pass_status().is_some_and(|status| status.frames > Frames(10_000)));
    fs::write(folder.join("audio/Kick-1.wav"), "of another program").unwrap();
    let tracks: Vec<TrackId> = control.session().track_ids().collect();
    control.edit(Edit::Name(tracks[0], "Kick".to_owned())).unwrap();
    // The name of another take of the pass.
    control.edit(Edit::Name(tracks[1], "in 1".to_owned())).unwrap();
    control.stop();
    poll_until(&mut control, |control| !control.is_recording());
    let (reports, notices) = control.close();
    assert_eq!(files(&reports[0]), ["audio/In 1-1.wav", "audio/In 2-1.wav"]);
    let cautions = cautions(&notices);
    assert!(cautions.iter().any(|text| text.contains("audio/In 1-1.wav") && text.contains("keeps its name")));
    assert!(cautions.iter().any(|text| text.contains("audio/In 2-1.wav") && text.contains("keeps its name")));
    assert_eq!(fs::read(folder.join("audio/Kick-1.wav")).unwrap(), b"of another program");
    assert_eq!(check(&folder)[0].takes, 2);
}

#[test]
fn a_session_of_before_the_rename_that_is_restored_lists_the_take_whole() {
    let place = place();
    let folder = place.path().join("session");
    let mut control = opened(&folder, 2);
    record_and_rename(&mut control, &["Kick", "Snare"]);
    let frames = control.take_report().unwrap().frames;
    control.record(Frames(1_000)).unwrap();
    poll_until(&mut control, |control| !control.is_recording());
    control.close();
    let names = ["Kick-1.wav", "Snare-1.wav"];
    let mut restored = 0;
    for version in kept_versions(&folder).unwrap() {
        let before = place.path().join(format!("before-{}", version.number));
        let copied = std::process::Command::new("cp").arg("-r").args([&folder, &before]).status().unwrap();
        assert!(copied.success());
        restore(&before, version.number).unwrap();
        let old = listed(&before);
        if old.len() < 2 || old[0] != "In 1-1.wav" {
            continue;
        }
        restored += 1;
        let mut control = Control::open(setup(&before, "free", 2, 48_000, TakeFormat::S24)).unwrap();
        let notices: Vec<Notice> = std::iter::from_fn(|| control.take_notice()).collect();
        let found = "take 'audio/In 1-1.wav' was found as 'audio/Kick-1.wav'";
        assert!(notices.iter().any(|notice| notice.text == found), "{notices:?}");
        control.close();
        assert_eq!(listed(&before)[..2], names);
        let pass = check(&before)[0];
        assert_eq!((pass.takes, pass.frames, pass.lost), (2, frames, 0), "version {}", version.number);
    }
    assert!(restored > 0, "a version that lists the old names was kept");
}

#[test]
fn a_restored_version_says_which_files_of_takes_it_does_not_list() {
    let place = place();
    let folder = place.path().join("session");
    run(record(&folder, "--device virtual:free --inputs 6 --seconds 0.2")).done();
    let restore = |number: u32| run(faultless("recover", &folder, &format!("--restore {number}"))).done();
    // The first version is that of the new session.
    let told = restore(1).err;
    assert!(told.contains("does not list these files") && told.contains("In 1-1.wav"), "{told}");
    assert!(told.contains("and 2 more"), "{told}");
    let latest = kept_versions(&folder).unwrap().iter().map(|version| version.number).max().unwrap();
    let told = restore(latest).err;
    assert!(!told.contains("does not list"), "every take is listed again: {told}");
}

/// The state that a kill between the rename of a file and the save of the session leaves.
#[test]
fn a_recording_that_was_killed_after_its_file_was_renamed_is_whole() {
    let place = place();
    let folder = place.path().join("session");
    let mut program = start(record(&folder, "--device virtual --inputs 2 --seconds 600"));
    await_frames(&folder, &mut program, 30_000);
    program.signal("KILL");
    program.wait(PATIENCE);
    fs::rename(folder.join("audio/In 1-1.wav"), folder.join("audio/Kick-1.wav")).unwrap();
    let done = run(faultless("recover", &folder, "")).done();
    assert!(done.err.contains("take 'audio/In 1-1.wav' was found as 'audio/Kick-1.wav'"), "{}", done.err);
    assert_eq!(listed(&folder), ["Kick-1.wav", "In 2-1.wav"]);
    let pass = check(&folder)[0];
    assert!((pass.takes, pass.lost) == (2, 0) && 30_000 <= pass.frames, "{pass:?}");
    let session = open_read_only(&folder).unwrap();
    assert!(session.takes().iter().all(|take: &Take| take.state == TakeState::Recovered));
    // A file that was renamed by hand is exported too, and nothing is written into the session.
    fs::rename(folder.join("audio/In 2-1.wav"), folder.join("audio/by hand.wav")).unwrap();
    let exported = place.path().join("exported");
    let done = run(faultless("export", &folder, &format!("--to {}", exported.display()))).done();
    assert!(done.err.contains("found as 'audio/by hand.wav'"), "{}", done.err);
    assert_eq!((wavs_in(&exported).len(), listed(&folder)[1].as_str()), (2, "In 2-1.wav"));
}
