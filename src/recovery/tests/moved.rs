//! Copies of a session that list its files in a folder that is gone: the session was moved, or its disk is dead and the
//! mirror is opened in its place. Thread: test.

use super::*;

const FRAMES: u64 = 3 * WINDOW;

/// The folder that the session had when the copy was saved.
const GONE: &str = "/a folder that is gone/session";

/// Two takes without memory, with all of their sound in their files.
fn scene() -> (Scene, PathBuf) {
    let scene = Scene::bare(2);
    for index in 0..2 {
        scene.write_wav(index, Cut { committed: 3, claimed: FRAMES }, FRAMES);
    }
    let overflow = scene.folder.path().join("overflow");
    (scene, overflow)
}

/// Saves a session in the overflow folder, as it was saved when the session was in the folder that is gone.
fn save_copy(session: &Session, overflow: &Path) {
    let copy = session.copy_for_folder(&overflow.display().to_string(), GONE);
    drop(OpenSession::open_on_other_disk(overflow, &copy).unwrap());
}

/// The session listed the file of the dead disk as complete, and its own whole file was neither finished nor listed.
#[test]
fn a_take_that_has_ended_in_a_copy_stays_in_the_file_of_the_session_that_is_opened() {
    let (scene, overflow) = scene();
    let (mut store, mut session) = OpenSession::open(&scene.root()).unwrap();
    session.remember_overflow_folder(overflow.display().to_string());
    store.save(&session).unwrap();
    drop(store);
    for id in session.takes().iter().map(|take| take.id).collect::<Vec<_>>() {
        session.finish_take(id, Frames(FRAMES), TakeState::Complete, None).unwrap();
    }
    save_copy(&session, &overflow);
    let (report, session) = scene.recover();
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    assert!(session.takes().iter().all(|take| take.folder.is_none()));
    scene.check(&session, FRAMES, whole);
    let before = scene.files();
    let (report, again) = scene.recover();
    assert!(report.passes.is_empty() && again == session && before == scene.files());
}

/// The takes were listed in the folder that is gone, and nothing said that they were missing.
#[test]
fn takes_that_only_a_copy_lists_are_found_in_the_session_that_was_moved() {
    let (scene, overflow) = scene();
    let (_, session) = scene.recover();
    save_copy(&session, &overflow);
    // The user restores an earlier version, which has none of the takes.
    let file = scene.root().join("session.json");
    let mut earlier: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    earlier["takes"] = serde_json::json!([]);
    earlier["tracks"].as_array_mut().unwrap().iter_mut().for_each(|track| track["regions"] = serde_json::json!([]));
    earlier["beside"] = serde_json::json!([overflow]);
    fs::write(&file, earlier.to_string()).unwrap();
    let (report, session) = scene.recover();
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    let found = |name: &str| format!("take '{GONE}/audio/{name}' was found as 'audio/{name}'");
    assert_eq!(report.found, ["In 1-1.wav", "In 2-1.wav"].map(found));
    assert!(session.takes().iter().all(|take| take.folder.is_none()));
    scene.check(&session, FRAMES, whole);
}

/// The tracks were added after the version that the user restored.
#[test]
fn a_take_that_is_recovered_without_its_track_brings_it_back() {
    let (scene, _) = scene();
    let file = scene.root().join("session.json");
    let mut earlier: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    earlier["tracks"] = serde_json::json!([]);
    fs::write(&file, earlier.to_string()).unwrap();
    let (report, session) = scene.recover();
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    let tracks: Vec<_> = session.tracks().iter().map(|track| (track.id(), track.name())).collect();
    assert_eq!(
        tracks,
        session.takes().iter().zip(["In 1", "In 2"]).map(|(it, name)| (it.track, name)).collect::<Vec<_>>()
    );
    scene.check(&session, FRAMES, whole);
}
