//! The messages of a recovery that has lost sound. Thread: test.

use super::*;
use crate::recovery::messages::{memory_not_seen, next_file_not_seen};
use crate::recovery::viewpoint::{Hidden, spool_record};

impl Scene {
    /// Names the memory of the takes, and the mirror, in the session.
    pub(super) fn name_memory(&self, mirror: Option<&Path>) {
        self.name_memory_in(&self.root(), mirror);
    }

    /// The same in the session or the copy of it in `folder`.
    pub(super) fn name_memory_in(&self, folder: &Path, mirror: Option<&Path>) {
        let (mut store, mut session) = OpenSession::open(folder).unwrap();
        let record = spool_record(&SpoolPlace::Folder(self.memory.path().to_owned()), mirror);
        for id in session.takes().iter().map(|take| take.id).collect::<Vec<_>>() {
            session.set_take_spool(id, record.clone()).unwrap();
        }
        store.save(&session).unwrap();
    }

    /// Takes the memory away, as a restart of the machine does.
    pub(super) fn lose_memory(&self) {
        for entry in fs::read_dir(self.memory.path()).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
    }
}

/// Losses of a take: first frame and length.
pub(super) fn losses_of(session: &Session, take: usize) -> Vec<(u64, u64)> {
    session.takes()[take].losses.iter().map(|loss| (loss.at.0, loss.frames.0)).collect()
}

/// The disk of the second take refused the end of the pass, and the machine was restarted. The message was "0.00 s came from
/// memory", without a caution.
#[test]
fn a_lost_end_is_named_also_if_another_take_of_the_pass_has_the_length() {
    let scene = Scene::new(&TWO, 3 * WINDOW);
    scene.name_memory(None);
    scene.write_wav(0, Cut { committed: 0, claimed: 3 * WINDOW }, 3 * WINDOW);
    let (mut store, mut session) = OpenSession::open(&scene.root()).unwrap();
    let first = session.takes()[0].id;
    session.finish_take(first, Frames(3 * WINDOW), TakeState::Complete, None).unwrap();
    store.save(&session).unwrap();
    drop(store);
    scene.lose_memory();
    let (report, session) = scene.recover();
    let pass = &report.passes[0];
    assert_eq!((pass.basis, pass.missing, pass.is_short()), (Basis::Finished, Frames(2 * WINDOW), true));
    assert_eq!(losses_of(&session, 1), [(WINDOW, 2 * WINDOW)]);
    let text = pass.to_string();
    let reason = "its memory is gone (its folder does not have it any more)";
    assert!(text.contains(reason) && text.contains("0.17 s that are neither on the disk nor in memory"), "{text}");
}

#[test]
fn a_lost_end_is_named_also_if_the_progress_page_has_the_length() {
    let scene = Scene::new(&TWO, 3 * WINDOW);
    scene.name_memory(None);
    fs::remove_file(scene.spool(0)).unwrap();
    let (report, session) = scene.recover();
    let pass = &report.passes[0];
    assert_eq!((pass.basis, pass.missing, pass.is_short()), (Basis::ProgressPage, Frames(WINDOW), true));
    assert_eq!(losses_of(&session, 0), [(2 * WINDOW, WINDOW)]);
    let text = pass.to_string();
    assert!(text.contains("0.17 s came from memory, and other memory of it is gone (its folder does not"), "{text}");
}

/// The default name of a session has a blank. A command with it that was copied recovered another folder, or none.
#[test]
fn a_command_in_a_message_names_its_folder_as_a_shell_reads_it_and_is_the_end_of_the_message() {
    let folder = Path::new("/m/2026-11-23 14.05");
    let record = spool_record(&SpoolPlace::Folder("/spool".into()), None);
    let hidden = Hidden { reason: "it is not there".to_owned(), advice: "recover it there".to_owned() };
    let command = "faultless recover '/m/2026-11-23 14.05'";
    for text in [memory_not_seen(folder, 2, &record, &hidden), next_file_not_seen(folder, 1, Path::new("/n"))] {
        assert!(text.starts_with("/m/2026-11-23 14.05: ") && text.ends_with(command), "{text}");
    }
}
