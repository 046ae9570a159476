//! Whether a folder can be the mirror or the overflow folder of a session. Thread: any that may wait for the disk; the
//! module owns nothing.
//!
//! The folder of the session in such a folder has the session's own name.

use crate::file_system::{is_missing_above, resolved};
use std::fmt;
use std::path::{Path, PathBuf};

/// The use of a folder that the user names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Mirror,
    Overflow,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Mirror => "mirror",
            Role::Overflow => "overflow folder",
        })
    }
}

/// The name of a session's folder, which its folders on other disks have too.
pub(super) fn folder_name(session_folder: &Path) -> PathBuf {
    session_folder.file_name().map_or_else(|| PathBuf::from("session"), PathBuf::from)
}

/// Refuses `dir` as a folder of this role where a copy would protect nothing: inside the session, around it, or where
/// one of `others`, the folders of the other role, is. Refuses a path whose folder above does not exist too, because it is
/// mistyped, or its disk is not mounted. Makes nothing. The error is a sentence that begins with the path.
pub fn place_check(role: Role, dir: &Path, session_folder: &Path, others: &[PathBuf]) -> Result<(), String> {
    let (place, own) = (resolved(dir), resolved(session_folder));
    let inner = |dir: &Path| dir.join(folder_name(&own));
    let refused = |reason: String| Err(format!("{}: {reason}", dir.display()));
    let advice = "choose a folder on another disk";
    if place.starts_with(&own) {
        return refused(format!("the {role} lies inside the session; {advice}"));
    }
    if own == inner(&place) {
        return refused(format!("the session itself is in this folder, so it cannot be the {role}; {advice}"));
    }
    if own.starts_with(inner(&place)) {
        return refused(format!("the session lies inside the {role}; {advice}"));
    }
    for other in others.iter().map(|other| resolved(other)) {
        if other == place {
            return refused(format!(
                "the mirror and the overflow folder are the same folder; {advice} for one of them"
            ));
        }
        if place.starts_with(inner(&other)) || other.starts_with(inner(&place)) {
            return refused(format!("the mirror and the overflow folder lie in each other; {advice} for one of them"));
        }
    }
    if is_missing_above(dir) {
        return refused("the folder above it does not exist; check the path, or make that folder".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_in_the_session_around_it_or_in_the_overflow_folder_is_refused_however_its_path_is_written() {
        let place = tempfile::tempdir().unwrap();
        let at = |path: &str| place.path().join(path);
        for dir in ["song/audio", "other", "a/song/b"] {
            std::fs::create_dir_all(at(dir)).unwrap();
        }
        std::os::unix::fs::symlink(at("song"), at("link")).unwrap();
        let reason = |dir: &str, session: &str, other: &str| {
            place_check(Role::Mirror, &at(dir), &at(session), &[at(other)])
                .map_or_else(|reason| reason, |()| String::new())
        };
        for dir in ["song", "song/audio", "song/new", "link", "link/audio", "other/../song"] {
            assert!(reason(dir, "song", "o").contains("the mirror lies inside the session; choose"), "{dir}");
        }
        for (dir, session) in [("", "song"), ("song/..", "song"), ("", "link")] {
            let said = reason(dir, session, "o");
            assert!(said.contains("the session itself is in this folder"), "{dir} {session}: {said}");
        }
        assert!(reason("a", "a/song/b/song", "o").contains("the session lies inside the mirror"));
        assert!(reason("other", "song", "link/../other").contains("are the same folder"));
        assert!(reason("other", "song", "other/song/x").contains("lie in each other"));
        assert!(reason("other/song", "song", "other").contains("lie in each other"));
        assert!(reason("gone/mirror", "song", "o").contains("the folder above it does not exist"));
        assert!(!at("gone").exists());
        for dir in ["other", "new", "a", "other/deeper"] {
            assert_eq!(reason(dir, "song", "o"), "", "{dir}");
        }
    }

    #[test]
    fn an_overflow_folder_is_called_by_its_name() {
        let place = tempfile::tempdir().unwrap();
        let said =
            place_check(Role::Overflow, &place.path().join("song/x"), &place.path().join("song"), &[]).unwrap_err();
        assert!(said.contains("song/x: the overflow folder lies inside the session"), "{said}");
    }
}
