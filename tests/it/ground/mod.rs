//! Where sessions are and which programs use them: a second program, a lock that was left behind, a folder that is
//! moved, removed or has a strange name, and file systems that lack something. Thread: test.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod changed;
mod served;

use crate::record::{await_sound, setup};
use crate::util::{
    Checked, DEEP, PATIENCE, Started, check, contents, edit, faultless, is_root, new_session, place, record, run, skip,
    start,
};
use faultless::control::{Control, Purpose};
use faultless::format::TakeFormat;
use faultless::session::TakeState;
use faultless::session::session_file::{is_in_use, open_read_only};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Starts a program that records `inputs` inputs in real time, and waits until its takes have sound.
fn recording(folder: &Path, inputs: usize) -> Started {
    let program = start(record(folder, &format!("--device virtual --inputs {inputs} --seconds 600 {DEEP}")));
    await_sound(&folder.join(format!("audio/In {inputs}-1.wav")));
    program
}

/// Ends the program with a signal. Checks that the last pass in `folder` is complete, and returns it.
#[track_caller]
fn ended(program: Started, folder: &Path) -> Checked {
    program.signal("TERM");
    let run = program.wait(PATIENCE).done();
    let found = *check(folder).last().unwrap();
    assert_eq!((found.frames, found.lost), (run.json()["takes"][0]["frames"].as_u64().unwrap(), 0), "{}", run.err);
    assert!(open_read_only(folder).unwrap().takes().iter().all(|take| take.state == TakeState::Complete));
    found
}

/// Records a second of sound as fast as possible.
fn one_more(folder: &Path) -> Command {
    record(folder, "--device virtual:free --inputs 2 --seconds 1")
}

// ---- Others ----

#[test]
fn what_is_being_recorded_can_be_played_and_exported_and_nothing_else() {
    let place = place();
    let folder = place.path().join("session");
    run(one_more(&folder)).done();
    let program = start(record(&folder, &format!("--device virtual --inputs 2 --seconds 600 {DEEP}")));
    await_sound(&folder.join("audio/In 2-2.wav"));
    assert!(is_in_use(&folder));
    let holder = format!("process {}", program.pid());
    run(one_more(&folder)).refused(&["open in another program", &holder]);
    run(faultless("recover", &folder, "")).refused(&["open in another program", &holder]);
    let window = Control::open(setup(&folder, "free", 2, 48_000, TakeFormat::S24)).err().unwrap();
    assert!(window.to_string().contains(&holder), "{window}");
    let played = run(faultless("play", &folder, "--device virtual:free --json")).done();
    assert_eq!((played.json()["frames"].as_u64(), played.json()["dropouts"].as_u64()), (Some(48_000), Some(0)));
    assert!(!played.err.contains("cut off"), "{}", played.err);
    let to = place.path().join("to");
    run(faultless("export", &folder, &format!("--to {}", to.display()))).done();
    assert_eq!(contents(&to).len(), 2);
    assert_eq!(ended(program, &folder).takes, 2);
    assert_eq!(check(&folder).len(), 2);
}

#[test]
fn an_open_session_keeps_the_recorder_out_until_it_is_closed() {
    let place = place();
    let folder = place.path().join("session");
    let window = Control::open(setup(&folder, "free", 2, 48_000, TakeFormat::S24)).unwrap();
    run(one_more(&folder)).refused(&["open in another program", &format!("process {}", std::process::id())]);
    let viewer =
        faultless::control::Setup { purpose: Purpose::Play, ..setup(&folder, "free", 2, 48_000, TakeFormat::S24) };
    Control::open(viewer).unwrap().close();
    window.close();
    run(one_more(&folder)).done();
    assert_eq!(check(&folder)[0].frames, 48_000);
}

#[test]
fn two_sessions_are_recorded_at_once_from_one_device_through_one_spool() {
    let place = place();
    let folders = [place.path().join("one"), place.path().join("other")];
    let programs = folders.each_ref().map(|folder| recording(folder, 8));
    for (program, folder) in programs.into_iter().zip(&folders) {
        assert_eq!(ended(program, folder).takes, 8);
    }
}

#[test]
fn a_lock_that_was_left_locks_nobody_out() {
    let place = place();
    let folder = place.path().join("session");
    run(one_more(&folder)).done();
    // The process number of a running program that does not use the session, of one that cannot exist, and no number
    // at all.
    for text in ["1\n".to_owned(), std::process::id().to_string(), "999999999\n".to_owned(), "\0\u{ff}".repeat(9999)] {
        fs::write(folder.join("session.lock"), text).unwrap();
        assert!(!is_in_use(&folder));
        run(one_more(&folder)).done();
    }
    let program = start(record(&folder, &format!("--device virtual --inputs 2 --seconds 600 {DEEP}")));
    await_sound(&folder.join("audio/In 2-6.wav"));
    program.signal("KILL");
    program.wait(PATIENCE);
    assert!(!is_in_use(&folder));
    let told = run(one_more(&folder)).done();
    assert!(told.err.contains("Recovered 2 takes"), "{}", told.err);
    assert_eq!(check(&folder).len(), 7);
}

// ---- The folder moves ----

#[test]
fn a_session_is_whole_where_it_is_moved_or_copied_to() {
    let place = place();
    let (old, moved, copy) = (place.path().join("old"), place.path().join("far/away/new"), place.path().join("copy"));
    run(one_more(&old)).done();
    fs::create_dir_all(moved.parent().unwrap()).unwrap();
    fs::rename(&old, &moved).unwrap();
    assert!(Command::new("cp").arg("-r").arg(&moved).arg(&copy).status().unwrap().success());
    for folder in [&moved, &copy] {
        run(one_more(folder)).done();
        assert_eq!(check(folder).len(), 2);
        run(faultless("play", folder, "--device virtual:free")).done();
        run(faultless("export", folder, &format!("--to {}", folder.join("export").display()))).done();
    }
    assert!(!old.exists());
}

#[test]
fn a_session_that_is_moved_while_it_is_recorded_ends_where_it_is() {
    let place = place();
    let (old, new) = (place.path().join("old"), place.path().join("deep/new"));
    fs::create_dir(place.path().join("deep")).unwrap();
    let program = recording(&old, 24);
    fs::rename(&old, &new).unwrap();
    await_words(&program, "moved the session's folder");
    assert_eq!(ended(program, &new).takes, 24);
    assert!(!old.exists(), "nothing is made under the old name");
    let parts: Vec<_> = contents(&new).into_keys().filter(|path| path.to_string_lossy().contains(".new")).collect();
    assert!(parts.is_empty(), "{parts:?}");
    run(one_more(&new)).done();
    assert_eq!(check(&new).len(), 2);
}

#[test]
fn passes_after_a_move_go_where_the_session_is_and_not_to_what_has_its_old_name() {
    let place = place();
    let (old, new) = (place.path().join("old"), place.path().join("new"));
    let mut control = Control::open(setup(&old, "free", 2, 48_000, TakeFormat::S24)).unwrap();
    fs::rename(&old, &new).unwrap();
    fs::create_dir_all(old.join("audio")).unwrap();
    control.arm_inputs(2).unwrap();
    control.record(faultless::time::Frames(48_000)).unwrap();
    assert_eq!(control.folder(), new);
    let told = control.take_notice().map(|notice| notice.text).unwrap();
    assert!(told.contains("moved the session's folder"), "{told}");
    while control.is_recording() {
        control.poll();
        std::thread::sleep(Duration::from_millis(5));
    }
    let (reports, _) = control.close();
    assert_eq!((reports.len(), reports[0].frames), (1, 48_000));
    assert_eq!((check(&new)[0].takes, contents(&old).len()), (2, 0));
}

#[test]
fn a_session_that_is_removed_while_it_is_recorded_is_put_back_whole() {
    let place = place();
    let folder = place.path().join("session");
    let program = recording(&folder, 4);
    fs::remove_dir_all(&folder).unwrap();
    await_words(&program, "removed the session's folder");
    assert!(!folder.exists());
    assert_eq!(ended(program, &folder).takes, 4);
    run(one_more(&folder)).done();
    assert_eq!(check(&folder).len(), 2);
}

#[test]
fn a_take_that_is_removed_while_it_is_recorded_is_put_back_whole() {
    let place = place();
    let folder = place.path().join("session");
    let program = recording(&folder, 4);
    fs::remove_file(folder.join("audio/In 2-1.wav")).unwrap();
    assert_eq!(ended(program, &folder).takes, 4);
}

#[test]
fn takes_whose_folder_is_moved_while_they_are_recorded_are_moved_back() {
    for to in ["session/audio2", "audio", "moved"] {
        let place = place();
        let folder = place.path().join("session");
        let program = recording(&folder, 4);
        fs::rename(folder.join("audio"), place.path().join(to)).unwrap();
        assert_eq!(ended(program, &folder).takes, 4, "{to}");
        run(one_more(&folder)).done();
        assert_eq!(check(&folder).len(), 2, "{to}");
    }
}

#[test]
fn a_take_that_cannot_be_moved_back_is_not_called_whole() {
    let place = place();
    let folder = place.path().join("session");
    let program = recording(&folder, 2);
    fs::rename(folder.join("audio"), place.path().join("moved")).unwrap();
    symlink("../moved", folder.join("audio")).unwrap();
    program.signal("TERM");
    let run = program.wait(PATIENCE);
    assert_eq!(run.code, Some(1), "{}", run.err);
    assert!(run.err.contains("moved it to") && run.err.contains("not whole"), "{}", run.err);
    fs::remove_file(folder.join("audio")).unwrap();
    fs::rename(place.path().join("moved"), folder.join("audio")).unwrap();
    assert_eq!(crate::util::run(faultless("recover", &folder, "")).done().code, Some(0));
    assert_eq!(check(&folder).len(), 1, "it is whole when it is back");
}

/// Waits until a program prints `words`.
fn await_words(program: &Started, words: &str) {
    let until = Instant::now() + PATIENCE;
    while !program.said().contains(words) {
        assert!(Instant::now() < until, "it does not say '{words}': {}", program.said());
        std::thread::sleep(Duration::from_millis(20));
    }
}

// ---- What it is called, and by whom ----

#[test]
fn a_folder_may_be_called_anything() {
    let place = place();
    let names: [&OsStr; 6] = [
        OsStr::new("two\nlines\r\u{1b}[2J"),
        OsStr::new("Gesang (Zoë) 歌 🎤"),
        OsStr::new(" blanks and 'quotes\" "),
        OsStr::new("-x"),
        OsStr::from_bytes(b"no \xff text \xfe"),
        OsStr::from_bytes(&[b'n'; 255]),
    ];
    for name in names {
        let folder = place.path().join(name);
        let made = run(one_more(&folder)).done();
        assert_eq!(made.json()["takes"].as_array().unwrap().len(), 2, "{name:?}");
        let program = start(record(&folder, &format!("--device virtual --inputs 2 --seconds 600 {DEEP}")));
        await_sound(&folder.join("audio/In 2-2.wav"));
        program.signal("KILL");
        program.wait(PATIENCE);
        let told = run(faultless("recover", &folder, "--json")).done();
        assert_eq!(told.json()["takes"].as_array().unwrap().len(), 2, "{name:?}");
        let played = run(faultless("play", &folder, "--device virtual:free --json")).done();
        assert_eq!(played.json()["dropouts"], 0);
        let mut export = faultless("export", &folder, "--json --to");
        export.arg(folder.join("export"));
        run(export).done();
        assert_eq!(check(&folder).len(), 2, "{name:?}");
        // An error is one line, whatever name the folder has.
        fs::write(folder.join("session.json"), "{").unwrap();
        run(one_more(&folder)).refused(&["damaged"]);
    }
}

#[test]
fn a_folder_is_the_same_by_any_path() {
    let place = place();
    let folder = place.path().join("session");
    symlink(&folder, place.path().join("link")).unwrap();
    let within = |path: &str| {
        let mut command = record(Path::new(path), "--device virtual:free --inputs 2 --seconds 0.5");
        command.current_dir(place.path());
        command
    };
    for (count, path) in
        ["session", "./session/", "session/../session", "link", "session/session.json"].iter().enumerate()
    {
        run(within(path)).done();
        assert_eq!(check(&folder).len(), count + 1, "{path}");
    }
    // From inside the folder, while it is moved.
    let mut inside = record(Path::new("."), &format!("--device virtual --inputs 2 --seconds 600 {DEEP}"));
    inside.current_dir(&folder);
    let program = start(inside);
    await_sound(&folder.join("audio/In 2-6.wav"));
    run(within("link")).refused(&["open in another program"]);
    let moved = place.path().join("moved");
    fs::rename(&folder, &moved).unwrap();
    await_words(&program, "moved the session's folder");
    ended(program, &moved);
    assert_eq!(check(&moved).len(), 6);
}

#[test]
fn without_a_home_and_the_folders_of_a_desktop_all_works() {
    let place = place();
    let folder = place.path().join("session");
    let bare = |command: Command| {
        let mut bare = Command::new(command.get_program());
        bare.args(command.get_args()).env_clear();
        bare
    };
    run(bare(one_more(&folder))).done();
    run(bare(faultless("play", &folder, "--device virtual:free"))).done();
    run(bare(faultless("recover", &folder, ""))).done();
    let mut nowhere = one_more(&folder);
    for name in ["HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"] {
        nowhere.env(name, "/nowhere/at/all");
    }
    run(nowhere).done();
    assert_eq!(check(&folder).len(), 2);
}

// ---- What it lies on ----

#[test]
fn a_session_in_memory_works_and_reports_that_it_is_in_memory() {
    let Ok(memory) = tempfile::tempdir_in("/dev/shm") else {
        return skip("a_session_in_memory", "/dev/shm cannot be written");
    };
    let folder = memory.path().join("session");
    let told = run(one_more(&folder)).done();
    assert!(told.err.contains("tmpfs is memory: takes are gone when the machine stops"), "{}", told.err);
    assert_eq!(check(&folder)[0].frames, 48_000);
    let program = recording(&memory.path().join("other"), 8);
    program.signal("KILL");
    program.wait(PATIENCE);
    run(faultless("recover", &memory.path().join("other"), "")).done();
    assert_eq!(check(&memory.path().join("other"))[0].takes, 8);
}

#[test]
fn a_plain_disk_is_not_mentioned() {
    let place = place();
    let told = run(one_more(&place.path().join("session"))).done();
    let own = faultless::file_system::name_at(place.path()).unwrap();
    if matches!(own.as_str(), "ext4" | "xfs" | "btrfs" | "overlay") {
        assert!(!told.err.contains(&own), "{}", told.err);
    }
}

#[test]
fn a_limit_on_file_sizes_is_reported_before_and_ends_the_take_and_not_the_program() {
    let place = place();
    let folder = place.path().join("session");
    // The limit allows session.json, and not 30 seconds of a take.
    let limited = crate::util::before("prlimit --fsize=2000000 --", &one_more(&folder));
    let told = run(limited);
    assert!(told.err.contains("no file above 1 MiB: a mono take ends after 13 s"), "{}", told.err);
    assert_eq!(told.code, Some(1), "an error and no signal: {}", told.err);
    assert!(told.err.contains("no file may become that large"), "{}", told.err);
    run(one_more(&folder)).done();
    assert_eq!(check(&folder).len(), 1);
}

/// Builds the library that makes the named system calls fail.
fn refusing(place: &Path) -> Option<PathBuf> {
    let library = place.join("refuse.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/file_system/refuse.c");
    let made = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-w", "-o"]).arg(&library).arg(source).status();
    made.is_ok_and(|status| status.success()).then_some(library)
}

fn without(mut command: Command, library: &Path, calls: &str) -> Command {
    command.env("LD_PRELOAD", library).env("FILE_SYSTEM_REFUSES", calls);
    command
}

#[test]
fn without_file_locks_a_second_program_is_kept_out_all_the_same() {
    let place = place();
    let folder = place.path().join("session");
    let Some(library) = refusing(place.path()) else { return skip("without_file_locks", "needs a C compiler") };
    // ENOLCK, EOPNOTSUPP, ENOSYS
    for (count, errno) in [37, 95, 38].into_iter().enumerate() {
        let calls = format!("flock={errno}");
        let arguments = format!("--device virtual --inputs 2 --seconds 600 {DEEP}");
        let program = start(without(record(&folder, &arguments), &library, &calls));
        await_sound(&folder.join(format!("audio/In 2-{}.wav", count + 1)));
        let refused = run(without(one_more(&folder), &library, &calls));
        refused.refused(&["open in another program", &format!("process {}", program.pid())]);
        let played = run(without(faultless("play", &folder, "--device virtual:free"), &library, &calls));
        assert!(!played.err.contains("cut off"), "{}", played.err);
        program.signal("TERM");
        let told = program.wait(PATIENCE).done();
        assert!(told.err.contains("has no file locks"), "{}", told.err);
    }
    assert_eq!(check(&folder).len(), 3);
}

#[test]
fn without_links_and_safe_renames_sessions_are_saved_and_exports_replace_nothing() {
    let place = place();
    let (folder, to) = (place.path().join("session"), place.path().join("to"));
    let Some(library) = refusing(place.path()) else { return skip("without_links", "needs a C compiler") };
    let calls = "link=1,rename2=22";
    run(without(one_more(&folder), &library, calls)).done();
    run(without(one_more(&folder), &library, calls)).done();
    assert!(fs::read_dir(folder.join("history")).unwrap().count() > 2, "versions are kept");
    let export = || without(faultless("export", &folder, &format!("--to {}", to.display())), &library, calls);
    run(export()).done();
    let before = contents(&to);
    assert_eq!(before.len(), 2);
    run(export()).refused(&["In 1", "the file exists"]);
    assert!(before == contents(&to));
    run(without(faultless("export", &folder, &format!("--force --to {}", to.display())), &library, calls)).done();
    assert_eq!(contents(&to).len(), 2, "nothing is left over");
}

#[test]
fn a_file_system_that_cannot_hold_a_session_is_refused_by_name_and_nothing_is_made() {
    let place = place();
    let folder = place.path().join("session");
    let Some(library) = refusing(place.path()) else { return skip("a_file_system_that_cannot", "needs a C compiler") };
    let name = faultless::file_system::name_at(place.path()).unwrap();
    let words = [name.as_str(), "cannot hold a session", "cannot be cut", "local disk"];
    run(without(one_more(&folder), &library, "truncate=95")).refused(&words);
    assert!(!folder.exists());
    run(one_more(&folder)).done();
    let before = contents(&folder);
    run(without(one_more(&folder), &library, "truncate=95")).refused(&words);
    assert!(before == contents(&folder));
}

#[test]
fn root_an_overlay_holds_a_session() {
    assert!(is_root());
    let image = crate::util::Image::up("ext4", "256M");
    let at = image.path().join("merged");
    for name in ["lower", "upper", "work", "merged"] {
        fs::create_dir(image.path().join(name)).unwrap();
    }
    new_session(&image.path().join("lower/session"), 48_000, TakeFormat::S24, &[&[0], &[1]]);
    let options = ["lower", "upper", "work"].map(|name| format!("{name}dir={}", image.path().join(name).display()));
    let mounted =
        Command::new("mount").args(["-t", "overlay", "overlay", "-o", &options.join(",")]).arg(&at).status().unwrap();
    if !mounted.success() {
        return skip("root_an_overlay", "mount -t overlay refused");
    }
    let _mounted = served::Mounted::at(&at);
    // The session's file is in the lower layer and is copied up. The lock is on the file in the upper layer.
    let folder = at.join("session");
    edit(&folder, |session| session.rename("upper"));
    run(one_more(&folder)).done();
    let program = recording(&at.join("other"), 8);
    run(one_more(&at.join("other"))).refused(&["open in another program"]);
    program.signal("KILL");
    program.wait(PATIENCE);
    run(faultless("recover", &at.join("other"), "")).done();
    assert_eq!((check(&folder).len(), check(&at.join("other"))[0].takes), (1, 8));
}
