//! The folder of the takes: its names, and their durability. Thread: committer.

use crate::file_system;
use crate::host::disk;
use crate::message::take::{ContinuationPlan, TakePlan};
use std::ffi::OsStr;
use std::io;

/// Names of the files in the folder of a take. `refused`: the take whose file could not be made, and the error. Its name is among
/// them if it is taken, also on a disk that refuses to list its folders.
pub(super) fn names_beside(plan: &TakePlan, refused: Option<(&TakePlan, &io::Error)>) -> Vec<String> {
    let mut names = plan.path.parent().map_or(Vec::new(), |folder| disk::list(folder).unwrap_or_default());
    let taken = refused.filter(|(_, error)| error.kind() == io::ErrorKind::AlreadyExists);
    names.extend(taken.and_then(|(plan, _)| plan.path.file_name().map(OsStr::to_owned)));
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
        let mut rig = Rig::stuck_behind_one_window(2);
        let copy = rig.folder.path().join("over/session.json");
        let path = rig.folder.path().join("over/audio/t-2.wav");
        let Continuation::Refused(refused) = rig.go_on_in(&path, Some(&copy), WINDOW) else { panic!("it continues") };
        assert!(refused.reason.contains("over/session.json: it is gone"), "{}", refused.reason);
        assert!(!rig.folder.path().join("over").exists(), "no folder is made");
        std::fs::create_dir(rig.folder.path().join("over")).unwrap();
        std::fs::write(&copy, "{}").unwrap();
        assert!(matches!(rig.go_on_in(&path, Some(&copy), WINDOW), Continuation::Done) && path.exists());
    }

    /// The folder counted as one that cannot be used, for all takes, and its next name stayed the one that was taken.
    #[test]
    fn a_take_that_does_not_continue_because_the_name_is_taken_gives_the_names_that_are_there() {
        let mut rig = Rig::stuck_behind_one_window(2);
        let folder = rig.folder.path().join("over");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("t-2.wav"), "of an older session").unwrap();
        let refused = rig.go_on_in(&folder.join("t-2.wav"), None, WINDOW);
        let Continuation::Refused(refused) = refused else { panic!("it continues") };
        assert!(refused.names.iter().all(|name| name == "t-2.wav") && !refused.names.is_empty());
        assert_eq!(std::fs::read(folder.join("t-2.wav")).unwrap(), b"of an older session");
        assert_eq!(rig.stuck(), Some(WINDOW), "it is reported again");
        assert!(matches!(rig.go_on_in(&folder.join("t-3.wav"), None, WINDOW), Continuation::Done));
    }
}
