//! The list of leftover spool files, and their sound in WAV files of their own. Thread: test.

use super::*;
use crate::recovery::extract::{Extracted, extract};

const FRAMES: u64 = 3 * WINDOW + 77;

/// Takes the sound out of the memory of the scene, and returns the folder with it.
fn take_out(scene: &Scene, discard: bool) -> (TempDir, Vec<Extracted>) {
    let to = tempfile::tempdir().unwrap();
    let (extracted, troubles) = extract(&[scene.memory.path().to_owned()], &to.path().join("out"), discard);
    assert!(troubles.is_empty(), "{troubles:?}");
    (to, extracted)
}

#[test]
fn spools_of_a_session_that_is_gone_become_wav_files_and_leave_memory_only_on_request() {
    for discard in [false, true] {
        let scene = Scene::new(&TWO, FRAMES);
        fs::remove_dir_all(scene.root()).unwrap();
        let (_to, extracted) = take_out(&scene, discard);
        assert_eq!(extracted.len(), 2);
        for one in &extracted {
            let index = scene.plans.iter().position(|plan| one.spool == path_of(scene.memory.path(), plan.identity));
            let index = index.unwrap();
            let first = TWO[index].committed * WINDOW;
            assert_eq!((one.first_frame, one.frames, one.format_guessed), (first, FRAMES - first, false));
            let file = fs::read(one.wav.as_ref().unwrap()).unwrap();
            assert!(file[at(0) as usize..].starts_with(&sound(index, first..FRAMES)), "every frame");
            let wav = hound::WavReader::open(one.wav.as_ref().unwrap()).unwrap();
            assert_eq!((u64::from(wav.duration()), wav.spec().sample_rate), (FRAMES - first, 48_000));
        }
        assert_eq!(fs::read_dir(scene.memory.path()).unwrap().count(), if discard { 0 } else { 3 });
    }
}

#[test]
fn a_spool_that_a_recovery_can_bring_home_is_not_taken_out() {
    let scene = Scene::new(&TWO, FRAMES);
    let before = scene.files();
    let (_to, extracted) = take_out(&scene, true);
    assert!(extracted.is_empty(), "{extracted:?}");
    assert!(before == scene.files());
}

#[test]
fn a_file_that_exists_is_not_overwritten_and_the_spool_is_kept() {
    let scene = Scene::new(&TWO, FRAMES);
    fs::remove_dir_all(scene.root()).unwrap();
    let folders = [scene.memory.path().to_owned()];
    let to = tempfile::tempdir().unwrap();
    let (first, _) = extract(&folders, to.path(), false);
    let (again, troubles) = extract(&folders, to.path(), true);
    assert_eq!((first.len(), again.len(), troubles.len()), (2, 0, 2), "{troubles:?}");
    assert!(scene.spool(0).exists() && scene.spool(1).exists() && scene.progress_page().exists());
}

#[test]
fn a_spool_of_an_earlier_program_takes_its_format_from_the_file_of_its_take() {
    let scene = Scene::new(&TWO, FRAMES);
    // The take is not listed any more, and its spool says nothing of the format.
    for index in 0..2 {
        let file = OpenOptions::new().read(true).write(true).open(scene.spool(index)).unwrap();
        let mut page = vec![0; 4096];
        file.read_exact_at(&mut page, 0).unwrap();
        let end = page.iter().position(|byte| *byte == b'\n').unwrap();
        let mut identity: serde_json::Value = serde_json::from_slice(&page[..end]).unwrap();
        identity.as_object_mut().unwrap().remove("sound").unwrap();
        let mut text = serde_json::to_vec(&identity).unwrap();
        text.push(b'\n');
        file.write_all_at(&text, 0).unwrap();
    }
    fs::remove_file(scene.root().join("session.json")).unwrap();
    fs::remove_file(&scene.plans[1].path).unwrap();
    let (_to, extracted) = take_out(&scene, false);
    let guessed = |index: usize| extracted.iter().find(|one| one.spool == scene.spool(index)).unwrap().format_guessed;
    assert_eq!((guessed(0), guessed(1)), (false, true));
}

#[test]
fn spools_are_listed_with_what_is_to_be_done_and_stay() {
    let scene = Scene::new(&TWO, 3 * WINDOW);
    let memory = [scene.memory.path().to_owned()];
    fs::write(scene.memory.path().join("x.spool"), "noise").unwrap();
    let listed = leftover::list(&memory);
    assert_eq!(listed.len(), 3);
    let of = |path: &Path| listed.iter().find(|left| left.spool == path).unwrap();
    let first = of(&scene.spool(0));
    assert_eq!(first.state, format!("to be recovered: faultless recover {}", scene.root().display()));
    assert_eq!((first.session.clone(), first.wav.clone()), (Some(scene.root()), Some(scene.plans[0].path.clone())));
    assert!(WINDOW * BYTES <= first.bytes, "{first:?}");
    assert!(of(&scene.memory.path().join("x.spool")).state.contains("rejected"));
    fs::rename(scene.root(), scene.folder.path().join("moved")).unwrap();
    let listed = leftover::list(&memory);
    assert!(
        listed.iter().any(|left| left.state.contains("not at") && left.state.contains("recover FOLDER")),
        "{listed:?}"
    );
    assert!(scene.spool(0).exists());
}
