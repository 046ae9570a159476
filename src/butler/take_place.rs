//! The place in which a session finds the file of a take, and the way back for a file that another program has moved.
//! Thread: committer.
//!
//! A session finds its takes in its own folder `audio`. If another program moves the whole session, the files are still in
//! their place. If it moves or renames the folder of the takes, or moves a file out of it, the session lists a take whose
//! file it does not find. The end of the take moves the file back.

use super::put_back::{renamed_text, take_name};
use crate::file_system;
use crate::host::disk;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The result of [`TakePlace::bring_back`].
#[derive(Debug)]
pub(super) struct BroughtBack {
    /// The message for the user, if another program had moved or renamed the file.
    pub(super) text: Option<String>,
    /// Whether the name is known to be durable.
    pub(super) has_durable_name: bool,
}

/// The place of the file of a take.
pub(super) struct TakePlace {
    /// The path that control planned.
    planned: PathBuf,
    /// Device and inode of the session folder, because its path may change. `None`: they are not known.
    session: Option<(u64, u64)>,
}

impl TakePlace {
    /// The place of a file that is created now.
    pub(super) fn of(planned: &Path) -> TakePlace {
        TakePlace { planned: planned.to_owned(), session: session_folder(planned).and_then(identity) }
    }

    /// Moves an open file back to its place if another program has moved it elsewhere. A file that has another name in its
    /// folder stays there, because the session finds it by its identity. Fails if the file is elsewhere and cannot be moved.
    pub(super) fn bring_back(&self, file: &File) -> io::Result<BroughtBack> {
        let Some(now) = file_system::path_of(file).filter(|now| *now != self.planned) else {
            return Ok(BroughtBack { text: None, has_durable_name: true });
        };
        if self.session.is_none() || self.is_in_place(&now) {
            return Ok(BroughtBack { text: renamed_text(file, &self.planned), has_durable_name: true });
        }
        self.move_back(&now).map_err(|error| {
            io::Error::other(format!(
                "another program moved it to {}, where the session does not find it, and it cannot be moved back ({error}); \
                 move it to {}",
                now.display(),
                self.planned.display()
            ))
        })
    }

    /// Whether a file of this path is in the folder of the takes of its session.
    fn is_in_place(&self, path: &Path) -> bool {
        let name = |path: &Path| path.parent().and_then(Path::file_name).map(ToOwned::to_owned);
        let same_path = path.parent() == self.planned.parent();
        same_path || name(path) == name(&self.planned) && session_folder(path).is_some_and(|it| self.is_session(it))
    }

    fn is_session(&self, folder: &Path) -> bool {
        identity(folder) == self.session
    }

    /// Moves the file at `now` to its name in the folder of the takes, which is made again if it is gone. A file of that
    /// name gets another one.
    fn move_back(&self, now: &Path) -> io::Result<BroughtBack> {
        // Another program may have moved the session too.
        let mut folders = session_folder(&self.planned).into_iter().chain(now.ancestors().skip(1));
        let session = folders.find(|folder| self.is_session(folder)).ok_or(io::ErrorKind::NotFound)?;
        let names = (self.planned.parent().and_then(Path::file_name), self.planned.file_name());
        let (Some(folder), Some(name)) = names else { return Err(io::ErrorKind::InvalidInput.into()) };
        let folder = session.join(folder);
        file_system::make_durable_folders(&folder)?;
        // A session with a link in place of this folder is refused.
        if !disk::link_metadata(&folder)?.is_dir() {
            return Err(io::Error::other(format!("{} is a link", folder.display())));
        }
        take_name(&folder, now, name)?;
        let has_durable_name = disk::sync_folder_at(&folder).is_ok();
        let (path, now) = (folder.join(name), now.display());
        let text = format!("{}: another program moved it to {now}; it is moved back, whole", path.display());
        Ok(BroughtBack { text: Some(text), has_durable_name })
    }
}

/// The folder above the folder of a file.
fn session_folder(file: &Path) -> Option<&Path> {
    file.parent().and_then(Path::parent)
}

fn identity(folder: &Path) -> Option<(u64, u64)> {
    disk::metadata(folder).ok().map(|found| (found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A session folder with an open take.
    struct Rig {
        parent: tempfile::TempDir,
        file: File,
        place: TakePlace,
    }

    impl Rig {
        fn new() -> Rig {
            let parent = tempfile::tempdir().unwrap();
            let path = parent.path().join("session/audio/t.wav");
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "sound").unwrap();
            Rig { file: File::open(&path).unwrap(), place: TakePlace::of(&path), parent }
        }

        fn rename(&self, from: &str, to: &str) {
            fs::rename(self.parent.path().join(from), self.parent.path().join(to)).unwrap();
        }

        fn bring_back(&self) -> Option<String> {
            self.place.bring_back(&self.file).unwrap().text
        }

        fn has(&self, path: &str) -> bool {
            fs::read(self.parent.path().join(path)).is_ok_and(|bytes| bytes == b"sound")
        }
    }

    #[test]
    fn a_take_in_its_place_or_in_a_session_that_was_moved_stays_where_it_is() {
        let rig = Rig::new();
        assert_eq!(rig.bring_back(), None);
        rig.rename("session", "moved");
        fs::create_dir_all(rig.parent.path().join("session/audio")).unwrap();
        assert_eq!(rig.bring_back(), None);
        assert!(rig.has("moved/audio/t.wav"), "not into the folder that has the old path now");
        rig.rename("moved/audio/t.wav", "moved/audio/u.wav");
        assert!(rig.bring_back().unwrap().contains("renamed it") && rig.has("moved/audio/u.wav"));
    }

    #[test]
    fn a_take_whose_folder_or_itself_was_moved_comes_back() {
        let moves: [&[(&str, &str)]; 4] = [
            &[("session/audio", "session/audio2")],
            &[("session/audio", "audio")],
            &[("session/audio/t.wav", "session/t.wav")],
            &[("session", "moved"), ("moved/audio", "moved/audio2")],
        ];
        for moves in moves {
            let rig = Rig::new();
            for (from, to) in moves {
                rig.rename(from, to);
            }
            assert!(rig.bring_back().unwrap().contains("moved back"), "{moves:?}");
            let session = if moves.len() == 2 { "moved" } else { "session" };
            assert!(rig.has(&format!("{session}/audio/t.wav")), "{moves:?}");
            assert!(moves.len() == 2 || rig.bring_back().is_none(), "once only: {moves:?}");
        }
    }

    #[test]
    fn a_file_that_has_the_name_meanwhile_is_kept_under_another_one() {
        let rig = Rig::new();
        rig.rename("session/audio/t.wav", "t.wav");
        fs::write(rig.parent.path().join("session/audio/t.wav"), "of another program").unwrap();
        assert!(rig.bring_back().is_some() && rig.has("session/audio/t.wav"));
        let aside = rig.parent.path().join("session/audio/t (of another program 1).wav");
        assert_eq!(fs::read(aside).unwrap(), b"of another program");
    }

    #[test]
    fn a_take_that_cannot_come_back_is_an_error_that_names_both_places() {
        let rig = Rig::new();
        rig.rename("session/audio", "elsewhere");
        std::os::unix::fs::symlink("../elsewhere", rig.parent.path().join("session/audio")).unwrap();
        let error = rig.place.bring_back(&rig.file).unwrap_err().to_string();
        assert!(error.contains("elsewhere/t.wav") && error.contains("session/audio/t.wav"), "{error}");
        assert!(error.contains("is a link") && rig.has("elsewhere/t.wav"), "{error}");
    }
}
