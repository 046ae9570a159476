//! The folder of the takes: its names, and their durability. Thread: committer.

use crate::file_system;
use crate::host::disk;
use crate::message::take::{ContinuationPlan, TakePlan};

/// Names of the files in the folder of a take.
pub(super) fn names_beside(plan: &TakePlan) -> Vec<String> {
    let names = plan.path.parent().map_or(Vec::new(), |folder| disk::list(folder).unwrap_or_default());
    names.into_iter().map(|name| name.to_string_lossy().into_owned()).collect()
}

/// Refuses the next file of a take in a folder that has no copy of the session any more: it was moved, or its disk was
/// unmounted. A folder that is made at the same path is another one, and a recovery takes no sound from it.
pub(super) fn copy_is_there(plan: &ContinuationPlan) -> Result<(), String> {
    match plan.copy.as_ref().filter(|copy| !file_system::is_there(copy)) {
        None => Ok(()),
        Some(copy) => {
            Err(format!("{}: it is gone, because its folder was moved, or its disk unmounted", copy.display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Rig, WINDOW};
    use crate::message::disk::Continuation;

    /// The folder was made at its old path, without a copy of the session, and a recovery took no sound from it.
    #[test]
    fn a_take_continues_in_a_folder_on_another_disk_only_if_the_copy_of_the_session_is_there() {
        let mut rig = Rig::new(2);
        rig.accept_up_to(WINDOW);
        rig.captured(0);
        rig.work();
        rig.captured(1);
        assert_eq!(rig.stuck(), Some(WINDOW));
        let copy = rig.folder.path().join("over/session.json");
        let path = rig.folder.path().join("over/audio/t-2.wav");
        let Continuation::Refused(reason) = rig.go_on_in(&path, Some(&copy), WINDOW) else { panic!("it continues") };
        assert!(reason.contains("over/session.json: it is gone"), "{reason}");
        assert!(!rig.folder.path().join("over").exists(), "no folder is made");
        std::fs::create_dir(rig.folder.path().join("over")).unwrap();
        std::fs::write(&copy, "{}").unwrap();
        assert!(matches!(rig.go_on_in(&path, Some(&copy), WINDOW), Continuation::Done) && path.exists());
    }
}
