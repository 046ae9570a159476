//! The folder of a session against crashes, links, special files and hostile content. Thread: tests.

use super::*;
use crate::session::names::LOCK_FILE;
use crate::session::tests::{any_session, any_steps, apply, empty_session, recorded};
use crate::time::{FramePos, Frames};
use nix::sys::stat::Mode;
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::time::Instant;

fn made() -> (tempfile::TempDir, PathBuf, OpenSession, Session) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("Gig");
    let (open, session) = OpenSession::create(&path, "Gig", SampleRate(48_000), TakeFormat::S24).expect("made");
    (dir, path, open, session)
}

fn written(text: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let (dir, path, open, _) = made();
    drop(open);
    fs::write(path.join(SESSION_FILE), text).expect("written");
    (dir, path)
}

#[test]
fn a_session_is_a_folder_with_its_folders() {
    let (_dir, path, open, session) = made();
    for name in FOLDERS {
        assert!(path.join(name).is_dir(), "{name}");
    }
    assert_eq!(session.name(), "Gig");
    assert_eq!(session.created().len(), "2026-01-02T03:04:05+00:00".len());
    drop(open);
    let (open, again) = OpenSession::open(&path.join(SESSION_FILE)).expect("opened by its file");
    assert_eq!((again, open.path()), (session, path.as_path()));
}

#[test]
fn a_session_is_made_only_in_an_empty_place() {
    let (_dir, path, _open, _) = made();
    let again = |path: &Path| OpenSession::create(path, "x", SampleRate(48_000), TakeFormat::S16);
    assert!(matches!(again(&path), Err(SessionError::Exists { .. })));
    assert!(matches!(again(&path.join(SESSION_FILE)), Err(SessionError::Exists { .. })));
    let empty = path.join("export/inner");
    fs::create_dir_all(empty.join("audio")).expect("made");
    assert!(again(&empty).is_ok(), "what a killed creation left is in nobody's way");
}

#[test]
fn what_file_systems_and_desktops_make_by_themselves_is_not_in_the_way_of_a_session() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::create_dir(dir.path().join("lost+found")).expect("made");
    for name in [".Trash-1000", "$Recycle.Bin", ".TemporaryItems", ".DocumentRevisions-V100", ".Trash", ".stfolder"] {
        fs::create_dir(dir.path().join(name)).expect("made");
    }
    for name in ["._audio", ".hidden", ".localized", "Desktop.ini", "thumbs.db"] {
        fs::write(dir.path().join(name), "x").expect("written");
    }
    fs::write(dir.path().join(".directory"), "[Desktop Entry]").expect("written");
    fs::write(dir.path().join(".DS_Store"), "x").expect("written");
    let create = || OpenSession::create(dir.path(), "x", SampleRate(48_000), TakeFormat::S16);
    fs::write(dir.path().join("notes.txt"), "mine").expect("written");
    assert!(matches!(create(), Err(SessionError::Exists { .. })));
    fs::remove_file(dir.path().join("notes.txt")).expect("removed");
    create().expect("a session");
    assert_eq!(fs::read(dir.path().join(".directory")).expect("kept"), b"[Desktop Entry]");
}

#[test]
fn a_second_program_gets_the_process_number_of_the_first() {
    let (_dir, path, open, session) = made();
    let pid = match OpenSession::open(&path) {
        Err(SessionError::Locked { pid, .. }) => pid,
        other => panic!("{other:?}"),
    };
    assert_eq!(pid, Some(std::process::id()));
    assert!(matches!(restore(&path, 1), Err(SessionError::Locked { .. })));
    assert_eq!(open_read_only(&path).expect("reading needs no lock"), session);
    drop(open);
    OpenSession::open(&path).expect("the lock ended with its holder");
}

#[test]
fn the_last_versions_are_kept_and_come_back() {
    let (_dir, path, mut open, mut session) = made();
    for index in 1..=15 {
        session.add_track(&format!("Track {index}"), &[0]).expect("room");
        open.save(&session).expect("saved");
        open.save(&session).expect("nothing new, nothing kept");
    }
    drop(open);
    let numbers: Vec<_> = kept_versions(&path).expect("listed").iter().map(|version| version.number).collect();
    assert_eq!((numbers.len(), numbers[0], numbers[VERSION_COUNT_MAX - 1]), (VERSION_COUNT_MAX, 1, 15));
    restore(&path, 15).expect("restored");
    assert_eq!(open_read_only(&path).expect("read").tracks().len(), 14);
    restore(&path, 16).expect("what was replaced was kept in turn");
    assert_eq!(open_read_only(&path).expect("read"), session);
    let gone = (2..15).find(|number| !numbers.contains(number)).expect("15 were made");
    assert!(matches!(restore(&path, gone), Err(SessionError::Missing { .. })));
}

#[test]
fn a_damaged_file_says_where_and_what_can_be_restored() {
    let (_dir, path, mut open, mut session) = made();
    session.add_track("Kick", &[0]).expect("room");
    open.save(&session).expect("saved");
    drop(open);
    let file = path.join(SESSION_FILE);
    let text = fs::read_to_string(&file).expect("read");
    fs::write(&file, &text[..text.len() / 2]).expect("torn");
    let error = OpenSession::open(&path).expect_err("torn");
    assert!(matches!(&error, SessionError::Damaged { place: Some((line, _)), kept, .. } if *line > 1 && kept == &[1]));
    assert!(error.to_string().starts_with(file.to_str().expect("utf-8")), "{error}");
    restore(&path, 1).expect("restored");
    assert_eq!(open_read_only(&path).expect("read").tracks().len(), 0);
    assert_eq!(fs::read(path.join("trash/session-damaged-1.json")).expect("kept"), &text.as_bytes()[..text.len() / 2]);
    fs::remove_file(&file).expect("removed");
    assert!(matches!(OpenSession::open(&path), Err(SessionError::Damaged { place: None, .. })));
}

#[test]
fn a_save_that_is_killed_at_any_point_does_no_harm() {
    let (_dir, path, mut open, mut session) = made();
    // Killed while writing the new file, or after it: half a file of the temporary name remains.
    fs::write(path.join(NEW_SESSION_FILE), b"{\"version\": 1, \"half").expect("left over");
    // Killed after the previous version was kept and before it was replaced.
    fs::hard_link(path.join(SESSION_FILE), path.join("history/session-1.json")).expect("left over");
    drop(open);
    let (reopened, again) = OpenSession::open(&path).expect("opened");
    assert_eq!(again, session);
    open = reopened;
    session.add_track("Kick", &[0]).expect("room");
    open.save(&session).expect("saved");
    assert!(!path.join(NEW_SESSION_FILE).exists());
    assert_eq!(open_read_only(&path).expect("read"), session);
    let kept = fs::read_to_string(path.join("history/session-1.json")).expect("kept");
    assert!(!kept.contains("Kick"), "the kept version is the old one");
}

#[test]
fn a_save_that_fails_leaves_the_file_as_it_was() {
    let (_dir, path, mut open, mut session) = made();
    let before = fs::read(path.join(SESSION_FILE)).expect("read");
    fs::remove_dir(path.join("history")).expect("removed");
    fs::write(path.join("history"), b"in the way").expect("written");
    session.add_track("Kick", &[0]).expect("room");
    open.save(&session).expect_err("no place for the previous version");
    assert_eq!(fs::read(path.join(SESSION_FILE)).expect("read"), before);
    assert!(!path.join(NEW_SESSION_FILE).exists());
}

#[test]
fn the_file_of_a_newer_program_is_not_called_damaged() {
    let (_dir, path) = written(b"{\"version\": 7, \"tracks\": \"something else entirely\"}");
    assert!(matches!(OpenSession::open(&path), Err(SessionError::NewerVersion { found: 7, known: 1, .. })));
}

#[test]
fn fields_of_a_newer_program_of_the_same_version_are_not_lost() {
    let (_dir, path, mut open, mut session) = made();
    let track = session.add_track("Kick", &[0]).expect("room");
    let take = recorded(&mut session, track, FramePos(0), Frames(10));
    session.choose_take(track, take, FramePos(0), FramePos(10)).expect("placed");
    open.save(&session).expect("saved");
    let file = path.join(SESSION_FILE);
    let text = fs::read_to_string(&file).expect("read");
    let fields = [
        ("\"created\"", "\"tempo\": {\"bpm\": 93.5}, "),
        ("\"mute\"", "\"group\": 3, "),
        ("\"take\"", "\"fade\": [1], "),
    ];
    let text = fields.iter().fold(text, |text, (at, field)| text.replace(at, &format!("{field}{at}")));
    fs::write(&file, text).expect("written");
    drop(open);
    let (mut open, mut session) = OpenSession::open(&path).expect("opened");
    session.rename("Other");
    open.save(&session).expect("saved");
    let value: serde_json::Value = serde_json::from_slice(&fs::read(&file).expect("read")).expect("JSON");
    assert_eq!(value["tempo"]["bpm"], 93.5);
    assert_eq!(value["tracks"][0]["group"], 3);
    assert_eq!(value["tracks"][0]["regions"][0]["fade"][0], 1);
    assert_eq!(value["version"], 1);
}

#[test]
fn a_session_with_more_values_than_can_be_read_is_not_written() {
    let bytes = |count: u32| format!("{{\"version\": 1, \"x\": [0{}]}}", ",0".repeat(count as usize - 1)).into_bytes();
    assert!(bytes::has_readable_size(&bytes(1000)));
    let most = bytes(VALUE_COUNT_MAX - 2);
    assert!(bytes::has_readable_size(&most) && matches!(parse(&most), Err(Fault::Damaged { place: Some(_), .. })));
    assert!(!bytes::has_readable_size(&bytes(VALUE_COUNT_MAX)));
}

#[test]
fn a_file_that_another_program_changed_is_replaced_by_the_next_save_and_kept() {
    let (_dir, path, mut open, mut session) = made();
    session.add_track("Kick", &[0]).expect("room");
    open.save(&session).expect("saved");
    fs::write(path.join(SESSION_FILE), "another program's").expect("written");
    open.save(&session).expect("saved again");
    assert_eq!(open_read_only(&path).expect("read"), session);
    assert_eq!(fs::read(path.join("history/session-2.json")).expect("kept"), b"another program's");
    drop(open);
    let (mut open, session) = OpenSession::open(&path).expect("opened");
    open.save(&session).expect("nothing to do");
    assert_eq!(kept_versions(&path).expect("listed").len(), 2, "a session that was only opened is not written");
}

#[test]
fn a_save_that_was_prepared_is_written_and_a_prepared_session_alone_is_not() {
    let (_dir, path, mut open, mut session) = made();
    open.save(&session).expect("saved");
    session.add_track("Kick", &[0]).expect("room");
    open.prepare_save(&session).expect("valid");
    assert_eq!(open_read_only(&path).expect("read").tracks().len(), 0);
    open.save(&session).expect("saved");
    assert_eq!(open_read_only(&path).expect("read"), session);
    let before = session.clone();
    session.add_track("Snare", &[0]).expect("room");
    open.prepare_save(&session).expect("valid");
    open.save(&before).expect("saved as it was");
    assert!(!path.join(NEW_SESSION_FILE).exists(), "the file that was prepared is gone");
    open.prepare_save(&before).expect("valid");
    open.save(&session).expect("saved");
    assert_eq!(open_read_only(&path).expect("read"), session);
    // Another program changes the file that was prepared.
    session.add_track("Hat", &[0]).expect("room");
    open.prepare_save(&session).expect("valid");
    fs::write(path.join(NEW_SESSION_FILE), "another program's").expect("written");
    open.save(&session).expect("saved");
    assert_eq!(open_read_only(&path).expect("read"), session);
}

#[test]
fn a_take_on_another_disk_whose_copy_is_large_is_found_by_the_start_of_the_copy() {
    let (_dir, path, _open, session) = made();
    let head = format!("{{\"name\": \"x\", \"other\": {{\"id\": 7}}, \"id\": \"{}\", \"rest\": [", session.id);
    fs::write(path.join(SESSION_FILE), &head).expect("written");
    let id = || id_in(&Folder::open(&path).expect("there")).expect("read");
    assert_eq!(id(), Some(session.id), "the rest is not read");
    fs::write(path.join(SESSION_FILE), format!("{{\"long\": \"{}\", {}", "x".repeat(9000), &head[1..]))
        .expect("written");
    assert_eq!(id(), Some(session.id));
    fs::write(path.join(SESSION_FILE), "{\"rest\": []}").expect("written");
    assert_eq!(id(), None);
}

#[test]
fn a_copy_on_another_disk_is_read_and_a_damaged_one_is_kept_and_said() {
    let (dir, _, open, session) = made();
    drop(open);
    let other = dir.path().join("other");
    let (mut store, found) = OpenSession::open_on_other_disk(&other, &session).expect("a new folder");
    assert!(found.copy.is_none() && found.damaged.is_none());
    let mut newer = session.clone();
    newer.add_track("Kick", &[0]).expect("room");
    store.save(&newer).expect("saved");
    newer.add_track("Snare", &[1]).expect("room");
    store.save(&newer).expect("saved");
    drop(store);
    let file = other.join(SESSION_FILE);
    let text = fs::read(&file).expect("there");
    let (store, found) = OpenSession::open_on_other_disk(&other, &session).expect("opened");
    assert_eq!((found.copy, found.damaged), (Some(newer), None));
    assert_eq!(fs::read(&file).expect("there"), text, "it is not replaced");
    drop(store);
    let torn = &text[..text.len() / 2];
    fs::write(&file, torn).expect("torn");
    let (store, found) = OpenSession::open_on_other_disk(&other, &session).expect("opened");
    let kept = found.copy.expect("the newest kept version, which nothing else lists yet");
    assert_eq!(kept.tracks().len(), 1);
    let said = found.damaged.expect("a sentence");
    assert!(said.starts_with(&*file.to_string_lossy()) && said.contains("history"), "{said}");
    assert_eq!(fs::read(other.join("history/session-damaged-1.json")).expect("kept"), torn);
    drop(store);
    assert_eq!(open_read_only(&other).expect("whole"), kept);
    // The copy of a newer program, and another session, are not touched.
    // The version is the first number.
    fs::write(&file, String::from_utf8_lossy(&text).replacen('1', "99", 1)).expect("written");
    assert!(matches!(OpenSession::open_on_other_disk(&other, &session), Err(SessionError::NewerVersion { .. })));
    assert!(matches!(OpenSession::open_on_other_disk(&other, &empty_session()), Err(SessionError::Exists { .. })));
}

#[test]
fn numbers_of_a_newer_program_do_not_drift_from_save_to_save() {
    let session = String::from_utf8(to_bytes(&empty_session()).expect("JSON")).expect("UTF-8");
    for number in [-4.5e300, 0.1, 1.797_693_134_862_315_7e308, 5e-324, 93.500_000_000_000_01] {
        let mut text = session.replacen('{', &format!("{{\"newer\": {number:e},"), 1);
        for _ in 0..3 {
            let kept = to_bytes(&parse(text.as_bytes()).expect("valid")).expect("JSON");
            let value: serde_json::Value = serde_json::from_slice(&kept).expect("JSON");
            assert_eq!(value["newer"].as_f64(), Some(number));
            text = String::from_utf8(kept).expect("UTF-8");
        }
    }
}

#[test]
fn links_out_of_the_folder_are_refused() {
    for name in [SESSION_FILE, LOCK_FILE, "audio", "history", "trash"] {
        let (dir, path, open, _) = made();
        drop(open);
        let (own, elsewhere) = (path.join(name), dir.path().join("elsewhere"));
        fs::rename(&own, &elsewhere).expect("moved");
        symlink(&elsewhere, &own).expect("linked");
        assert!(matches!(OpenSession::open(&path), Err(SessionError::NotASession { .. })), "{name}");
        if matches!(name, SESSION_FILE | "audio") {
            assert!(matches!(open_read_only(&path), Err(SessionError::NotASession { .. })), "{name}");
        }
    }
}

#[test]
fn special_files_are_refused_without_waiting() {
    let begun = Instant::now();
    for name in [SESSION_FILE, LOCK_FILE] {
        let (_dir, path, open, _) = made();
        drop(open);
        fs::remove_file(path.join(name)).expect("removed");
        nix::unistd::mkfifo(&path.join(name), Mode::S_IRWXU).expect("made");
        assert!(matches!(OpenSession::open(&path), Err(SessionError::NotASession { .. })), "{name}");
    }
    let (_dir, path, open, mut session) = made();
    let track = session.add_track("Kick", &[0]).expect("room");
    let id = recorded(&mut session, track, FramePos(0), Frames(10));
    let take = session.take(id).expect("made");
    assert!(matches!(open_take(&path, take), Err(SessionError::Missing { .. })));
    nix::unistd::mkfifo(&path.join(&take.file), Mode::S_IRWXU).expect("made");
    assert!(matches!(open_take(&path, take), Err(SessionError::NotASession { .. })));
    drop(open);
    assert!(matches!(OpenSession::open(Path::new("/dev/null")), Err(SessionError::NotASession { .. })));
    assert!(begun.elapsed().as_secs() < 5);
}

#[test]
fn a_file_without_bound_is_not_read() {
    let (_dir, path) = written(b"");
    File::options().write(true).open(path.join(SESSION_FILE)).and_then(|file| file.set_len(1 << 40)).expect("sparse");
    assert!(matches!(open_read_only(&path), Err(SessionError::TooLarge { .. })));
}

#[test]
fn a_folder_that_is_no_session_is_left_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    assert!(matches!(OpenSession::open(dir.path()), Err(SessionError::NotASession { .. })));
    assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 0);
    assert!(matches!(OpenSession::open(&dir.path().join("none")), Err(SessionError::Missing { .. })));
}

#[test]
fn a_folder_that_cannot_be_written_opens_for_playback() {
    let (_dir, path, open, session) = made();
    drop(open);
    fs::remove_file(path.join(LOCK_FILE)).expect("removed");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o555)).expect("set");
    assert_eq!(open_read_only(&path).expect("read"), session);
    match OpenSession::open(&path) {
        Err(SessionError::ReadOnly { .. }) => {}
        Ok(_) => assert!(nix::unistd::geteuid().is_root(), "only root writes where it may not"),
        Err(other) => panic!("{other}"),
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("set back");
}

#[test]
fn a_trashed_take_moves_to_the_trash_and_back_and_over_nothing() {
    let (_dir, path, mut open, mut session) = made();
    let track = session.add_track("Kick", &[0]).expect("room");
    let id = recorded(&mut session, track, FramePos(0), Frames(10));
    fs::write(path.join("audio/Kick-1.wav"), b"sound").expect("written");
    session.trash_take(id).expect("complete");
    open.move_trashed_files(&session).expect("moved");
    open.move_trashed_files(&session).expect("nothing left to do");
    assert_eq!(fs::read(path.join("trash/Kick-1.wav")).expect("there"), b"sound");
    assert!(open.file_names().expect("listed").contains(&"Kick-1.wav".to_owned()));
    fs::write(path.join("audio/Kick-1.wav"), b"another").expect("written");
    session.untrash_take(id).expect("there");
    assert_eq!(open.move_trashed_files(&session).expect_err("in the way").len(), 1);
    assert_eq!(fs::read(path.join("audio/Kick-1.wav")).expect("there"), b"another");
}

#[test]
fn hostile_values_are_refused_by_name() {
    let mut session = empty_session();
    let track = session.add_track("Kick", &[0]).expect("room");
    let take = recorded(&mut session, track, FramePos(5), Frames(10));
    session.choose_take(track, take, FramePos(5), FramePos(15)).expect("placed");
    let sound = serde_json::to_value(&session).expect("JSON");
    let far = serde_json::json!(u64::MAX);
    let hostile = [
        ("/takes/0/file", serde_json::json!("/etc/passwd")),
        ("/takes/0/file", serde_json::json!("audio/../../x.wav")),
        ("/takes/0/file", serde_json::json!("audio/..")),
        ("/takes/0/file", serde_json::json!("audio/")),
        ("/takes/0/file", serde_json::json!("audio/a/b.wav")),
        ("/takes/0/file", serde_json::json!("audio/a\u{0}.wav")),
        ("/takes/0/file", serde_json::json!("audio/a\n.wav")),
        ("/takes/0/file", serde_json::json!("peaks/a.wav")),
        ("/takes/0/channels", serde_json::json!(0)),
        ("/takes/0/channels", serde_json::json!(3)),
        ("/takes/0/start", far.clone()),
        ("/takes/0/frames", far.clone()),
        ("/takes/0/frames", serde_json::json!(9)),
        ("/takes/0/rate", serde_json::json!(0)),
        ("/takes/0/trashed", serde_json::json!(true)),
        ("/takes/0/id", serde_json::json!(1)),
        ("/tracks/0/inputs", serde_json::json!([])),
        ("/tracks/0/inputs", serde_json::json!([0, 1, 2])),
        ("/tracks/0/inputs", serde_json::json!([100_000])),
        ("/tracks/0/gain_db", serde_json::json!(1e39)),
        ("/tracks/0/pan", serde_json::json!(1.5)),
        ("/tracks/0/name", serde_json::json!("x".repeat(1000))),
        ("/tracks/0/regions/0/start", far.clone()),
        ("/tracks/0/regions/0/take_start", far.clone()),
        ("/tracks/0/regions/0/length", far.clone()),
        ("/tracks/0/regions/0/length", serde_json::json!(0)),
        ("/tracks/0/regions/0/take", serde_json::json!(77)),
        ("/next_id", serde_json::json!(1)),
        ("/next_id", far),
        ("/rate", serde_json::json!(0)),
    ];
    for (place, value) in hostile {
        let mut copy = sound.clone();
        copy["version"] = serde_json::json!(1);
        *copy.pointer_mut(place).unwrap_or_else(|| panic!("{place}")) = value.clone();
        let fault = parse(copy.to_string().as_bytes());
        assert!(matches!(fault, Err(Fault::Damaged { .. })), "{place} = {value}: {fault:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_session_survives_being_saved_and_opened(session in any_session()) {
        let (_dir, path, mut open, _) = made();
        open.save(&session).expect("saved");
        drop(open);
        let (_open, again) = OpenSession::open(&path).expect("opened");
        prop_assert_eq!(&again, &session);
        prop_assert_eq!(to_bytes(&again).expect("JSON"), to_bytes(&session).expect("JSON"));
    }

    #[test]
    fn bytes_that_are_no_session_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        parse(&bytes).ok();
    }

    #[test]
    fn a_damaged_session_is_refused_or_valid_and_can_then_be_edited(
        session in any_session(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..8usize), 1..4),
        steps in any_steps(),
    ) {
        let mut bytes = to_bytes(&session).expect("JSON");
        for (at, byte, cut) in cuts {
            let at = at.index(bytes.len());
            let end = (at + cut).min(bytes.len());
            bytes.splice(at..end, [byte]);
        }
        if let Ok(mut session) = parse(&bytes) {
            for step in steps {
                apply(&mut session, step).ok();
            }
            prop_assert_eq!(session.validate(), Ok(()));
        }
    }

    #[test]
    fn hostile_numbers_never_panic(session in any_session(), which in any::<prop::sample::Index>(), number in any::<i64>()) {
        let text = String::from_utf8(to_bytes(&session).expect("JSON")).expect("UTF-8");
        let starts: Vec<usize> = text.match_indices(": ").map(|(at, _)| at + 2).collect();
        let at = starts[which.index(starts.len())];
        let end = text[at..].find([',', '\n']).map_or(text.len(), |end| at + end);
        let text = format!("{}{number}{}", &text[..at], &text[end..]);
        if let Ok(session) = parse(text.as_bytes()) {
            prop_assert_eq!(session.validate(), Ok(()));
        }
    }
}

/// A session of two tracks that is saved and has a take beside `session.json`.
fn with_added_take() -> (tempfile::TempDir, PathBuf, OpenSession, Session, Vec<u8>) {
    let (dir, path, mut open, mut session) = made();
    let track = session.add_track("Kick", &[0]).expect("room");
    recorded(&mut session, track, FramePos(0), Frames(10));
    open.save(&session).expect("saved");
    let whole = fs::read(path.join(SESSION_FILE)).expect("there");
    recorded(&mut session, track, FramePos(10), Frames(10));
    open.prepare_save(&session).expect("valid");
    assert_ne!(open_read_only(&path).expect("read"), session, "prepared only");
    open.save(&session).expect("saved");
    (dir, path, open, session, whole)
}

#[test]
fn a_save_that_only_adds_takes_leaves_the_large_file_as_it_is() {
    let (_dir, path, mut open, mut session, whole) = with_added_take();
    let now = || fs::read(path.join(SESSION_FILE)).expect("there");
    assert_eq!(now(), whole);
    assert_eq!(open_read_only(&path).expect("read"), session);
    assert!(!path.join(NEW_ADDED_TAKES_FILE).exists());
    // Without a preparation too, with the take before it.
    let track = session.tracks()[0].id();
    recorded(&mut session, track, FramePos(20), Frames(10));
    open.save(&session).expect("saved");
    assert_eq!((now(), open_read_only(&path).expect("read")), (whole, session.clone()));
    let written = fs::metadata(path.join(ADDED_TAKES_FILE)).expect("there").modified().expect("a time");
    open.save(&session).expect("nothing to do");
    assert_eq!(fs::metadata(path.join(ADDED_TAKES_FILE)).expect("there").modified().expect("a time"), written);
    // Any other change writes the session with them.
    session.rename("Other");
    open.save(&session).expect("saved");
    assert!(!path.join(ADDED_TAKES_FILE).exists());
    assert_eq!(parse(&now()).expect("whole"), session);
}

#[test]
fn a_session_that_is_opened_again_has_the_takes_beside_its_file() {
    let (_dir, path, open, session, _) = with_added_take();
    drop(open);
    let (mut open, again) = OpenSession::open(&path).expect("opened");
    assert_eq!(again, session);
    open.save(&again).expect("saved");
    assert!(!path.join(ADDED_TAKES_FILE).exists());
    assert_eq!(parse(&fs::read(path.join(SESSION_FILE)).expect("there")).expect("whole"), session);
}

#[test]
fn a_session_that_was_only_opened_saves_added_takes_beside_its_file() {
    let (_dir, path, mut open, mut session) = made();
    let track = session.add_track("Kick", &[0]).expect("room");
    open.save(&session).expect("saved");
    drop(open);
    let (mut open, mut session) = OpenSession::open(&path).expect("opened");
    recorded(&mut session, track, FramePos(0), Frames(10));
    open.save(&session).expect("saved");
    assert!(path.join(ADDED_TAKES_FILE).exists());
}

#[test]
fn takes_that_are_in_the_session_already_are_not_added_again() {
    let (_dir, path, mut open, mut session, _) = with_added_take();
    let added = fs::read(path.join(ADDED_TAKES_FILE)).expect("there");
    session.rename("Other");
    let last = session.takes().last().expect("a take").id;
    session.trash_take(last).expect("trashed");
    open.save(&session).expect("saved");
    // A power cut has brought the file back.
    fs::write(path.join(ADDED_TAKES_FILE), &added).expect("written");
    assert_eq!(open_read_only(&path).expect("read"), session);
    // An earlier version gets the takes: no restoring of an arrangement takes a recorded take away.
    drop(open);
    restore(&path, 1).expect("restored");
    assert!(open_read_only(&path).expect("read").takes().iter().any(|take| take.id == last));
}

#[test]
fn a_list_of_added_takes_that_cannot_be_read_is_reported_and_set_aside_by_a_restored_version() {
    let (_dir, path, open, _, whole) = with_added_take();
    drop(open);
    let file = path.join(ADDED_TAKES_FILE);
    let added = fs::read(&file).expect("there");
    fs::write(&file, &added[..added.len() / 2]).expect("torn");
    let error = open_read_only(&path).expect_err("torn");
    assert!(matches!(&error, SessionError::Damaged { path, .. } if *path == file), "{error}");
    let other = String::from_utf8(added).expect("text").replace("\"version\": 1", "\"version\": 9");
    fs::write(&file, other).expect("written");
    assert!(matches!(open_read_only(&path), Err(SessionError::NewerVersion { found: 9, .. })));
    fs::write(&file, "{}").expect("written");
    restore(&path, 1).expect("restored");
    assert!(!file.exists() && path.join("session.takes-damaged.json").exists());
    assert!(open_read_only(&path).is_ok());
    // The list of another session adds nothing.
    fs::write(path.join(SESSION_FILE), &whole).expect("written");
    let foreign = format!("{{\"version\": 1, \"id\": \"{}\", \"next_id\": 900, \"takes\": []}}", Uuid::from_u128(7));
    fs::write(&file, foreign).expect("written");
    assert_eq!(open_read_only(&path).expect("read"), parse(&whole).expect("whole"));
}

#[test]
fn a_save_of_the_whole_session_follows_if_the_added_takes_cannot_be_saved() {
    let (_dir, path, mut open, mut session, _) = with_added_take();
    // A folder in the way of the file.
    fs::remove_file(path.join(ADDED_TAKES_FILE)).expect("removed");
    fs::create_dir(path.join(ADDED_TAKES_FILE)).expect("made");
    let track = session.tracks()[0].id();
    recorded(&mut session, track, FramePos(20), Frames(10));
    open.save(&session).expect("saved");
    assert_eq!(parse(&fs::read(path.join(SESSION_FILE)).expect("there")).expect("whole"), session);
}
