//! Folders and names of new sessions, and the removal of untouched ones. Thread: opener, closer.

use crate::session::names::{
    ADDED_TAKES_FILE, AUDIO, EARLIER_EVENTS_FILE, EVENTS_FILE, EXPORT, FOLDERS, HISTORY, LOCK_FILE, PEAKS,
    RESERVE_FILE, SESSION_FILE, TRASH,
};
use crate::session::session_file::is_kept_version;
use std::path::{Path, PathBuf};

/// The default folder for sessions: `Faultless` in the user's music folder. It may not exist.
pub fn default_folder() -> PathBuf {
    let base = dirs::audio_dir().or_else(|| dirs::home_dir().map(|home| home.join("Music")));
    base.unwrap_or_else(|| PathBuf::from("~/Music")).join("Faultless")
}

/// A path for a new session in `sessions` or the default folder: date and minute, with a number if that name is taken.
/// The error is a sentence for the user.
pub(super) fn new_session(sessions: Option<&Path>) -> Result<PathBuf, String> {
    if sessions.is_none() {
        home_check(dirs::home_dir().as_deref())?;
    }
    let base = sessions.map_or_else(default_folder, Path::to_path_buf);
    let name = jiff::Zoned::now().strftime("%Y-%m-%d %H.%M").to_string();
    Ok(unused(&base, &name))
}

/// Refuses a home folder that is missing: a session in a temporary folder in its place would be gone after a restart.
fn home_check(home: Option<&Path>) -> Result<(), String> {
    let advice = "set HOME, or choose a folder for sessions in the settings";
    match home {
        Some(home) if home.is_dir() => Ok(()),
        Some(home) => Err(format!("{}: the home folder does not exist; {advice}", home.display())),
        None => Err(format!("there is no home folder for new sessions; {advice}")),
    }
}

fn unused(base: &Path, name: &str) -> PathBuf {
    let numbered = (2..).map(|number| format!("{name} ({number})"));
    std::iter::once(name.to_owned())
        .chain(numbered)
        .map(|name| base.join(name))
        .find(|path| path.symlink_metadata().is_err())
        .unwrap_or_else(|| base.join(name))
}

/// Removes a session that holds no sound and only files that Faultless made. If anything else is in the folder or among the
/// kept versions, the session stays. Files that cannot be removed stay.
pub(super) fn remove_untouched(folder: &Path) {
    let is_ours = |name: &str| {
        matches!(name, SESSION_FILE | ADDED_TAKES_FILE | LOCK_FILE | RESERVE_FILE | EVENTS_FILE | EARLIER_EVENTS_FILE)
            || FOLDERS.contains(&name)
    };
    let names = |path: &Path| -> Option<Vec<String>> {
        let entries = std::fs::read_dir(path).ok()?;
        Some(entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
    };
    let Some(top) = names(folder) else { return };
    let versions = names(&folder.join(HISTORY)).unwrap_or_default();
    let sound =
        [AUDIO, TRASH, PEAKS, EXPORT].iter().any(|sub| names(&folder.join(sub)).is_some_and(|names| !names.is_empty()));
    if sound || !top.iter().all(|name| is_ours(name)) || !versions.iter().all(|name| is_kept_version(name)) {
        return;
    }
    for sub in [AUDIO, TRASH, PEAKS, EXPORT] {
        std::fs::remove_dir(folder.join(sub)).ok();
    }
    for name in versions {
        std::fs::remove_file(folder.join(HISTORY).join(name)).ok();
    }
    std::fs::remove_dir(folder.join(HISTORY)).ok();
    for name in top {
        std::fs::remove_file(folder.join(name)).ok();
    }
    std::fs::remove_dir(folder).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_name_gets_a_number() {
        let base = tempfile::tempdir().unwrap();
        let first = unused(base.path(), "2026-11-23 14.05");
        std::fs::create_dir(&first).unwrap();
        assert_eq!(unused(base.path(), "2026-11-23 14.05").file_name().unwrap(), "2026-11-23 14.05 (2)");
    }

    #[test]
    fn a_home_folder_that_is_missing_is_one_clear_sentence() {
        let base = tempfile::tempdir().unwrap();
        assert_eq!(home_check(Some(base.path())), Ok(()));
        let missing = base.path().join("gone");
        let said = home_check(Some(&missing)).unwrap_err();
        assert!(said.starts_with(&missing.display().to_string()) && said.contains("set HOME"), "{said}");
        assert!(home_check(None).unwrap_err().contains("set HOME"));
    }

    #[test]
    fn an_untouched_session_is_removed_completely() {
        use crate::session::session_file::OpenSession;
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("session");
        let (rate, format) = (crate::time::SampleRate(48_000), crate::format::TakeFormat::S24);
        drop(OpenSession::create(&folder, "session", rate, format).unwrap());
        remove_untouched(&folder);
        assert!(!folder.exists());
    }

    #[test]
    fn a_folder_that_holds_anything_else_is_left_alone() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("session");
        std::fs::create_dir_all(folder.join("audio")).unwrap();
        std::fs::write(folder.join("session.json"), "{}").unwrap();
        std::fs::write(folder.join("notes.txt"), "mine").unwrap();
        remove_untouched(&folder);
        assert!(folder.join("session.json").exists() && folder.join("notes.txt").exists());
        std::fs::remove_file(folder.join("notes.txt")).unwrap();
        std::fs::write(folder.join("audio/In 1-1.wav"), "sound").unwrap();
        remove_untouched(&folder);
        assert!(folder.join("audio/In 1-1.wav").exists() && folder.join("session.json").exists());
        std::fs::remove_file(folder.join("audio/In 1-1.wav")).unwrap();
        remove_untouched(&folder);
        assert!(!folder.exists());
    }

    /// Every file with "lock" in its name counted as a lock, and every file in `history` as a kept version.
    #[test]
    fn a_file_of_the_user_whose_name_has_a_lock_in_it_or_that_lies_among_the_versions_stays() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("session");
        std::fs::create_dir_all(folder.join("history")).unwrap();
        for name in ["session.json", "session.lock", "history/session-1.json"] {
            std::fs::write(folder.join(name), "{}").unwrap();
        }
        for mine in ["Glockenspiel.wav", "history/session-1 of Anna.json"] {
            std::fs::write(folder.join(mine), "mine").unwrap();
            remove_untouched(&folder);
            assert!(folder.join(mine).exists() && folder.join("session.json").exists(), "{mine}");
            std::fs::remove_file(folder.join(mine)).unwrap();
        }
        remove_untouched(&folder);
        assert!(!folder.exists());
    }
}
