//! The files of takes in one folder: their names, reading one, giving one another name. Thread: any that may wait for the
//! disk; the caller owns the open folder.

use super::folder::{Folder, Moved};
use super::{SessionError, folder_of, folder_on_other_disk, id_in};
use crate::session::file_name::is_file_name;
use crate::session::names::{AUDIO, TRASH};
use crate::session::{Session, Take};
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// The subfolder that has the file of a take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakeFolder {
    /// The folder of takes that are not deleted.
    Audio,
    /// The folder of takes that the user has deleted.
    Trash,
}

impl TakeFolder {
    fn name(self) -> &'static str {
        match self {
            TakeFolder::Audio => AUDIO,
            TakeFolder::Trash => TRASH,
        }
    }
}

/// An open folder with files of takes: a session's own folder, or one on another disk.
#[derive(Debug)]
pub struct TakeFiles {
    folder: Folder,
}

impl TakeFiles {
    /// The folder of a session, given that folder or the `session.json` in it.
    pub fn of_session(path: &Path) -> Result<TakeFiles, SessionError> {
        Folder::open(folder_of(path)).map(|folder| TakeFiles { folder })
    }

    /// The folder that holds the file of `take`. `path` is the session's own.
    pub fn of_take(path: &Path, session: &Session, take: &Take) -> Result<TakeFiles, SessionError> {
        match folder_on_other_disk(session, take)? {
            Some(folder) => Ok(TakeFiles { folder }),
            None => TakeFiles::of_session(path),
        }
    }

    /// The folder `path`. It must hold a session.json of the session `id`: the session or a copy of it.
    pub fn with_copy_of(path: &Path, id: Uuid) -> Result<TakeFiles, SessionError> {
        let folder = Folder::open(path)?;
        if id_in(&folder)? != Some(id) {
            return Err(folder.not_a_session("it holds no copy of this session".into()));
        }
        Ok(TakeFiles { folder })
    }

    /// The names of the WAV files, as far as a take can have them.
    pub fn names(&self) -> Result<Vec<(TakeFolder, String)>, SessionError> {
        let is_wav =
            |name: &str| Path::new(name).extension().is_some_and(|it| it.eq_ignore_ascii_case(OsStr::new("wav")));
        let mut found = Vec::new();
        for place in [TakeFolder::Audio, TakeFolder::Trash] {
            let names = self.folder.subfolder(place.name())?.map(|folder| folder.names()).transpose()?;
            let names = names.unwrap_or_default().into_iter().filter(|name| is_wav(name) && is_file_name(name));
            found.extend(names.map(|name| (place, name)));
        }
        Ok(found)
    }

    /// The path of a file.
    pub fn path(&self, place: TakeFolder, name: &str) -> PathBuf {
        self.folder.path().join(place.name()).join(name)
    }

    /// Opens a regular file to read. `None` if there is none of that name.
    pub fn open(&self, place: TakeFolder, name: &str) -> Result<Option<File>, SessionError> {
        match self.folder.subfolder(place.name())? {
            Some(folder) => folder.open_file(name),
            None => Ok(None),
        }
    }

    /// Opens a file in `audio/` to read and write. `None` if there is none.
    pub fn open_to_write(&self, name: &str) -> Result<Option<File>, SessionError> {
        self.audio()?.open_file_to_write(name)
    }

    /// Gives a file in `audio/` another name, and never replaces a file. Where the file system cannot do that in one step,
    /// this is an error. [`TakeFiles::sync`] makes the name durable.
    pub fn rename(&self, from: &str, to: &str) -> Result<(), SessionError> {
        self.audio()?.rename(from, to)
    }

    /// Gives a file in `audio/` another name, unless a file has that name. Returns whether it did.
    pub fn rename_to_free_name(&self, from: &str, to: &str) -> Result<bool, SessionError> {
        let audio = self.audio()?;
        match audio.move_to(from, &audio, to)? {
            Moved::Done => Ok(true),
            Moved::NameTaken => Ok(false),
            Moved::Missing => Err(SessionError::Missing { path: audio.path().join(from) }),
        }
    }

    /// Makes the names in `audio/` durable.
    pub fn sync(&self) -> Result<(), SessionError> {
        self.audio()?.sync()
    }

    fn audio(&self) -> Result<Folder, SessionError> {
        let missing = || SessionError::Missing { path: self.folder.path().join(AUDIO) };
        self.folder.subfolder(AUDIO)?.ok_or_else(missing)
    }
}
