//! The folder of a session: opening, locking, saving, kept versions, the trash. Thread: any that may wait for the
//! disk; the open session belongs to the session saver.
//!
//! `session.json` is replaced as a whole or not at all, and its earlier versions are kept. A session that comes from
//! another computer cannot lead out of its folder, make the program wait for ever, or make it read without bound.

mod added;
mod bytes;
mod copies;
mod difference;
mod encode;
mod error;
mod folder;
mod folder_watch;
mod lock;
mod replace;
mod take_files;
mod take_folders;
mod trash;
mod unlisted;
mod unused;
mod versions;
#[cfg(test)]
mod tests;

pub use bytes::{Fault, VALUE_COUNT_MAX, parse};
pub use copies::{merge_copies, merge_losses_of_copies, takes_in_copies_only};
pub use difference::{difference, with_difference};
pub use encode::to_bytes;
pub use error::SessionError;
pub use folder_watch::{FolderChange, FolderWatch};
pub use lock::holder;
pub use take_files::{TakeFiles, TakeFolder};
pub use take_folders::sync_take_folders;
pub use unlisted::unlisted_files;
pub use versions::{KeptVersion, VERSION_COUNT_MAX, is_kept_version, kept_versions};

use super::names::{
    ADDED_TAKES_FILE, AUDIO, FOLDERS, HISTORY, NEW_ADDED_TAKES_FILE, NEW_SESSION_FILE, RESERVE_FILE, SESSION_FILE,
    TRASH,
};
use super::{Session, Take};
use crate::file_system;
use crate::format::TakeFormat;
use crate::host::{self, disk};
use crate::time::SampleRate;
use encode::Encoder;
use folder::{FileMark, Folder};
use lock::Lock;
use replace::{Previous, free_blocks, replace_session_file};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use trash::Settled;
use unused::unused_check;
use uuid::Uuid;
use versions::{numbers, thin_out, version_name};

/// The version of `session.json` that is written, and the newest that can be read.
pub const FILE_VERSION: u64 = 1;

/// Bytes of the largest `session.json`.
pub const SESSION_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Bytes of the smallest reserve.
const RESERVE_BYTES_MIN: u64 = 1024 * 1024;

/// Bytes at the start of `session.json` in which the identity of the session is looked for first. This program writes it
/// within the first hundred.
const ID_BYTES_MAX: u64 = 4096;

/// A session's folder, open for recording. While this exists, no other program has it open for recording. Dropping it
/// releases the lock; if the program dies, the kernel does.
#[derive(Debug)]
pub struct OpenSession {
    folder: Folder,
    lock: Lock,
    encoder: Encoder,
    on_disk: OnDisk,
    /// The new file that has the last encoded bytes and is durable, if a save was prepared.
    prepared: Option<FileMark>,
    /// The file of takes that `session.json` does not list yet.
    added: added::OnDisk,
    /// The next version of that file, if a save was prepared that only adds takes.
    prepared_takes: Option<added::Prepared>,
    settled: Settled,
}

/// The content of `session.json`, compared with the bytes that were encoded last.
#[derive(Clone, Copy, Debug)]
enum OnDisk {
    /// It was not read since the folder was opened, or the last save failed.
    Unknown,
    /// It has these bytes, if it still has this mark.
    Same(FileMark),
    /// It has other bytes.
    Other,
}

/// The copy of a session that was in a folder on another disk when it was opened.
#[derive(Debug, Default)]
pub struct FoundCopy {
    /// The copy. `None`: the folder is new, or nothing of its copy can be read.
    pub copy: Option<Session>,
    /// The notice about a copy that was damaged.
    pub damaged: Option<String>,
}

impl OpenSession {
    fn of(folder: Folder, lock: Lock) -> OpenSession {
        let (encoder, settled) = (Encoder::default(), Settled::default());
        let added = added::OnDisk::Unknown;
        OpenSession {
            folder,
            lock,
            encoder,
            on_disk: OnDisk::Unknown,
            prepared: None,
            added,
            prepared_takes: None,
            settled,
        }
    }

    /// Makes a session in a folder that does not exist or is empty.
    pub fn create(
        path: &Path,
        name: &str,
        rate: SampleRate,
        format: TakeFormat,
    ) -> Result<(OpenSession, Session), SessionError> {
        let was_there = disk::link_metadata(path).is_ok();
        file_system::make_durable_folders(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => SessionError::Exists { path: path.into() },
            io::ErrorKind::ReadOnlyFilesystem => SessionError::ReadOnly { path: path.into() },
            _ => SessionError::Io { path: path.into(), call: "mkdir", error },
        })?;
        let folder = Folder::open(path)?;
        unused_check(&folder)?;
        trial(&folder).inspect_err(|_| {
            // The folder is as it was before.
            if !was_there {
                disk::remove_folder(path).ok();
            }
        })?;
        let lock = Lock::acquire(&folder)?;
        unused_check(&folder)?;
        for name in FOLDERS {
            folder.make_subfolder(name)?;
        }
        let created = host::zoned().strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
        let session = Session::new(host::new_uuid(), name, &created, rate, format);
        let mut open = OpenSession::of(folder, lock);
        open.save(&session)?;
        // Makes the folder's own name durable. Where the folder above cannot be opened, its file system does that in
        // its own time.
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Folder::open(parent).and_then(|parent| parent.sync()).ok();
        Ok((open, session))
    }

    /// Opens or makes a folder on another disk for takes of a session: a mirror or an overflow folder. It holds a
    /// copy of `session.json`, which identifies it. A folder with another session or with other files is refused.
    ///
    /// A copy that is there is returned and not replaced, because it may list takes that the session does not. In a new
    /// folder the session is saved.
    pub fn open_on_other_disk(path: &Path, session: &Session) -> Result<(OpenSession, FoundCopy), SessionError> {
        let io = |error| SessionError::Io { path: path.into(), call: "mkdir", error };
        file_system::make_durable_folders(path).map_err(io)?;
        let folder = Folder::open(path)?.resolved();
        let is_new = folder.kind(SESSION_FILE)?.is_none();
        if is_new {
            unused_check(&folder)?;
        } else if id_in(&folder)? != Some(session.id) {
            return Err(SessionError::Exists { path: path.into() });
        }
        trial(&folder)?;
        let lock = Lock::acquire(&folder)?;
        for name in FOLDERS {
            folder.make_subfolder(name)?;
        }
        let mut open = OpenSession::of(folder, lock);
        let found = if is_new {
            open.save(session)?;
            FoundCopy::default()
        } else {
            open.found_copy(session)?
        };
        Ok((open, found))
    }

    /// Reads the copy of a session in this folder. A copy that is damaged is kept in `history/`. The newest kept version that can be
    /// read takes its place and is returned, because it may list takes that the session does not; without one, the session
    /// takes its place.
    fn found_copy(&mut self, session: &Session) -> Result<FoundCopy, SessionError> {
        let reason = match load(&self.folder) {
            Ok(copy) => return Ok(FoundCopy { copy: Some(copy), damaged: None }),
            Err(reason @ (SessionError::Damaged { .. } | SessionError::TooLarge { .. })) => reason,
            Err(other) => return Err(other),
        };
        let history = self.folder.make_subfolder(HISTORY)?;
        added::set_aside_if_damaged(&self.folder, session)?;
        let read = |number: &u32| {
            let bytes = history.read(&version_name(*number), SESSION_BYTES_MAX).ok()??;
            let mut kept = parse(&bytes).ok().filter(|kept| kept.id == session.id)?;
            added::add_to(&self.folder, &mut kept).ok();
            Some(kept)
        };
        let copy = numbers(&self.folder)?.iter().rev().find_map(read);
        let (bytes, _) = encode_valid(&mut self.encoder, &self.folder, copy.as_ref().unwrap_or(session))?;
        replace_session_file(&self.folder, Some(bytes), Previous::Damaged)?;
        let (file, folder) = (self.folder.path().join(SESSION_FILE), history.path().display());
        let reason = match reason {
            SessionError::Damaged { reason, .. } => reason,
            _ => "it is too large".to_owned(),
        };
        let damaged = format!(
            "{}: the copy of the session was damaged ({reason}); it is kept in {folder}; if takes are missing, look into {}",
            file.display(),
            self.folder.path().join(AUDIO).display()
        );
        Ok(FoundCopy { copy, damaged: Some(damaged) })
    }

    /// Opens a session for recording. `path` is its folder or the `session.json` in it.
    pub fn open(path: &Path) -> Result<(OpenSession, Session), SessionError> {
        let folder = Folder::open(folder_of(path))?;
        // Checked before the lock: a folder that is no session gets no lock file.
        if folder.kind(SESSION_FILE)?.is_none() && numbers(&folder)?.is_empty() {
            return Err(folder.not_a_session(format!("it holds no {SESSION_FILE}")));
        }
        let lock = Lock::acquire(&folder)?;
        for name in FOLDERS {
            folder.make_subfolder(name)?;
        }
        let (session, bytes) = load_with_bytes(&folder)?;
        // The program that made the session may have been killed before the name of its file was durable. Each later save makes it
        // so, and keeps the version before.
        if numbers(&folder)?.is_empty() {
            folder.sync().ok();
        }
        let mut open = OpenSession::of(folder, lock);
        // So that the first pass does not wait for the whole file.
        if open.encoder.encode(&session).is_ok_and(|(encoded, _)| encoded == bytes) {
            open.on_disk = open.folder.mark(SESSION_FILE)?.map_or(OnDisk::Unknown, OnDisk::Same);
        }
        Ok((open, session))
    }

    /// The session's folder, as it was named when it was opened.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The path of the session's folder as the kernel knows it: absolute, without `..` and links.
    pub fn resolved_path(&self) -> io::Result<PathBuf> {
        file_system::path_of(&self.folder).map_or_else(|| std::path::absolute(self.path()), Ok)
    }

    /// A watch on the folder's path, which never waits for the disk.
    pub fn folder_watch(&self) -> Option<FolderWatch> {
        FolderWatch::of(self.folder.duplicate()?)
    }

    /// Tests whether the file system can do what a session needs. [`OpenSession::create`] has tested the folder of a
    /// new session.
    pub fn trial(&self) -> Result<(), SessionError> {
        trial(&self.folder)
    }

    /// The name of the file system.
    pub fn file_system(&self) -> Option<String> {
        file_system::name_of(&self.folder)
    }

    /// Whether the lock keeps out other computers as well.
    pub fn is_locked_by_file(&self) -> bool {
        self.lock.is_on_file()
    }

    /// Saves the session. Afterwards the new version is durable and the previous one is kept. After an error the file
    /// is as it was. A session that equals the file is not written. If only takes were added, they go into a file of
    /// their own, and the file of the session stays.
    pub fn save(&mut self, session: &Session) -> Result<(), SessionError> {
        self.save_only(session)?;
        self.clean_up();
        Ok(())
    }

    /// Thins out the kept versions and fills the reserve. Belongs after every save. A failure is no error: a version that
    /// cannot be removed does no harm, and without a reserve only a full disk is harder to save to.
    pub fn clean_up(&mut self) {
        thin_out(&self.folder).ok();
        let bytes = self.encoder.byte_count() as u64;
        self.folder.reserve(RESERVE_FILE, RESERVE_BYTES_MIN.max(2 * bytes)).ok();
    }

    /// The part of [`OpenSession::save`] that makes the session durable. `clean_up` is the rest.
    pub fn save_only(&mut self, session: &Session) -> Result<(), SessionError> {
        // If the takes alone cannot be saved, the whole file is tried, which also frees blocks of a full disk.
        if self.save_takes_only(session).is_ok_and(|is_saved| is_saved) {
            return self.folder.sync_new_names();
        }
        self.save_whole(session)?;
        // A file that has the right bytes may have its name from a save whose last sync failed.
        self.folder.sync_new_names()?;
        if !matches!(self.added, added::OnDisk::Missing) {
            let removed = self.folder.remove(ADDED_TAKES_FILE);
            self.added = removed.map_or(added::OnDisk::Unknown, |()| added::OnDisk::Missing);
        }
        Ok(())
    }

    /// Saves a session that has more takes than `session.json` and is the same otherwise. Returns whether it is saved.
    fn save_takes_only(&mut self, session: &Session) -> Result<bool, SessionError> {
        let prepared = self.prepared_takes.take();
        let listed = match (self.on_disk, self.encoder.last()) {
            (OnDisk::Same(saved), Some(listed)) if self.folder.mark(SESSION_FILE)? == Some(saved) => Some(listed),
            _ => None,
        };
        let Some(listed) = listed.filter(|listed| session.takes_added_to(listed).is_some()) else {
            if prepared.is_some() {
                self.folder.remove(NEW_ADDED_TAKES_FILE).ok();
            }
            return Ok(false);
        };
        if let added::OnDisk::Gives(given, mark) = &self.added
            && **given == *session
            && self.folder.mark(ADDED_TAKES_FILE)? == Some(*mark)
        {
            return Ok(true);
        }
        let found = self.folder.mark(NEW_ADDED_TAKES_FILE)?;
        let prepared = match prepared.filter(|(it, mark)| **it == *session && found == Some(*mark)) {
            Some(prepared) => Some(prepared),
            None => added::prepare(&self.folder, listed, session)?,
        };
        let Some(prepared) = prepared else { return Ok(false) };
        self.added = added::OnDisk::Unknown;
        self.added = added::finish(&self.folder, prepared)?;
        Ok(true)
    }

    fn save_whole(&mut self, session: &Session) -> Result<(), SessionError> {
        let before = std::mem::replace(&mut self.on_disk, OnDisk::Unknown);
        let prepared = self.prepared.take();
        let (bytes, differs) = encode_valid(&mut self.encoder, &self.folder, session)?;
        let mark = || self.folder.mark(SESSION_FILE).ok().flatten();
        let is_on_disk = match before {
            OnDisk::Same(saved) => !differs && mark() == Some(saved),
            OnDisk::Other => false,
            OnDisk::Unknown => {
                matches!(self.folder.read(SESSION_FILE, SESSION_BYTES_MAX), Ok(Some(now)) if now == *bytes)
            }
        };
        if !is_on_disk {
            let found = self.folder.mark(NEW_SESSION_FILE).ok().flatten();
            let is_prepared = !differs && found.is_some() && found == prepared;
            let mut saved = replace_session_file(&self.folder, (!is_prepared).then_some(bytes), Previous::Version);
            while matches!(&saved, Err(error) if error.is_disk_full()) && free_blocks(&self.folder, bytes.len() as u64)?
            {
                saved = replace_session_file(&self.folder, Some(bytes), Previous::Version);
            }
            saved?;
        } else if prepared.is_some() {
            self.folder.remove(NEW_SESSION_FILE).ok();
        }
        self.on_disk = mark().map_or(OnDisk::Unknown, OnDisk::Same);
        Ok(())
    }

    /// Prepares the save of a session that is going to be saved soon: makes a new file durable that has its bytes, or the
    /// takes that it adds. The save then only gives it its name.
    pub fn prepare_save(&mut self, session: &Session) -> Result<(), SessionError> {
        self.prepared_takes = match (self.on_disk, self.encoder.last()) {
            (OnDisk::Same(_), Some(listed)) => added::prepare(&self.folder, listed, session)?,
            _ => None,
        };
        if self.prepared_takes.is_some() {
            return Ok(());
        }
        self.prepared = None;
        let (bytes, differs) = encode_valid(&mut self.encoder, &self.folder, session)?;
        if !differs && matches!(self.on_disk, OnDisk::Same(_)) {
            return Ok(());
        }
        if differs && matches!(self.on_disk, OnDisk::Same(_)) {
            self.on_disk = OnDisk::Other;
        }
        self.folder.write(NEW_SESSION_FILE, bytes).inspect_err(|_| {
            // Half of a new file must not fill a full disk further.
            self.folder.remove(NEW_SESSION_FILE).ok();
        })?;
        self.prepared = self.folder.mark(NEW_SESSION_FILE)?;
        Ok(())
    }

    /// Whether the folder has another path than when it was opened, because another program has moved it or has unmounted its
    /// disk. Only for a folder on another disk: the session lists it by its path. A folder that was removed is not moved.
    pub fn is_moved(&self) -> bool {
        let was = self.folder.path();
        file_system::path_of(&self.folder)
            .is_some_and(|now| now != was && file_system::path_before_removal(&now).as_deref() != Some(was))
    }

    /// Opens the folder of the same path again, if another program has removed the folder. The committer may have made it
    /// again for its takes; with `makes_it` it is made here.
    pub fn reopen_if_removed(&mut self, makes_it: bool) -> Result<(), SessionError> {
        let Some(path) = file_system::path_of(&self.folder).and_then(|now| file_system::path_before_removal(&now))
        else {
            return Ok(());
        };
        if makes_it {
            let io = |error| SessionError::Io { path: path.clone(), call: "mkdir", error };
            file_system::make_durable_folders(&path).map_err(io)?;
        }
        let folder = Folder::open(&path)?;
        if folder.kind(SESSION_FILE)?.is_some() {
            return Err(SessionError::Exists { path });
        }
        self.lock = Lock::acquire(&folder)?;
        for name in FOLDERS {
            folder.make_subfolder(name)?;
        }
        (self.folder, self.on_disk, self.settled) = (folder, OnDisk::Unknown, Settled::default());
        (self.prepared, self.added, self.prepared_takes) = (None, added::OnDisk::Unknown, None);
        Ok(())
    }

    /// Names of the files in `audio/` and `trash/`, which no new take may get.
    pub fn file_names(&self) -> Result<Vec<String>, SessionError> {
        let mut names = self.folder.make_subfolder(AUDIO)?.names()?;
        names.extend(self.folder.make_subfolder(TRASH)?.names()?);
        Ok(names)
    }

    /// Opens a take's file for recovery: a regular file in the session's folder, or in a folder on another disk that
    /// holds a copy of this session.
    pub fn open_take_to_write(&self, session: &Session, take: &Take) -> Result<File, SessionError> {
        let missing = || SessionError::Missing { path: self.folder.path().join(take.path()) };
        let other = folder_on_other_disk(session, take)?;
        let folder = other.as_ref().unwrap_or(&self.folder);
        let subfolder = folder.subfolder(if take.trashed { TRASH } else { AUDIO })?.ok_or_else(missing)?;
        subfolder.open_file_to_write(take.file_name())?.ok_or_else(missing)
    }
}

/// The bytes of a valid session that can be read again, and whether they differ from the last ones.
fn encode_valid<'a>(
    encoder: &'a mut Encoder,
    folder: &Folder,
    session: &Session,
) -> Result<(&'a [u8], bool), SessionError> {
    let path = || folder.path().join(SESSION_FILE);
    if !encoder.has_encoded(session) {
        session.validate().map_err(|reason| SessionError::Invalid { path: path(), reason })?;
    }
    let encoded = encoder.encode(session);
    let (bytes, differs) = encoded.map_err(|error| SessionError::Io { path: path(), call: "encode", error })?;
    if !bytes::has_readable_size(bytes) {
        let (bytes, bytes_max) = (bytes.len() as u64, SESSION_BYTES_MAX);
        return Err(SessionError::TooLarge { path: path(), bytes, bytes_max });
    }
    Ok((bytes, differs))
}

/// The name of the folder for a session on another disk if another session has its name there: with the first digits of
/// the identity.
pub fn other_name(name: &str, id: Uuid) -> String {
    let id = id.simple().to_string();
    format!("{name} {}", &id[..8])
}

/// The folder on another disk that holds a take's file. It must hold a copy of the session: so a session from another
/// computer cannot lead to other folders.
fn folder_on_other_disk(session: &Session, take: &Take) -> Result<Option<Folder>, SessionError> {
    let Some(path) = &take.folder else { return Ok(None) };
    let folder = Folder::open(Path::new(path))?;
    if id_in(&folder)? == Some(session.id) {
        return Ok(Some(folder));
    }
    Err(folder.not_a_session("it holds no copy of this session".into()))
}

/// The identity of the session whose file is in a folder. Reads the start of the file, and the whole file only if the
/// identity is not there.
fn id_in(folder: &Folder) -> Result<Option<Uuid>, SessionError> {
    let start = folder.read_start(SESSION_FILE, ID_BYTES_MAX)?;
    match start.as_deref().and_then(bytes::id_at_start) {
        Some(id) => Ok(Some(id)),
        None => Ok(folder.read(SESSION_FILE, SESSION_BYTES_MAX)?.as_deref().and_then(bytes::id_at_start)),
    }
}

/// Reads a session for playback or export. It writes nothing and takes no lock, so it works on a read-only folder and
/// while another program records into the session.
pub fn open_read_only(path: &Path) -> Result<Session, SessionError> {
    let folder = Folder::open(folder_of(path))?;
    folder.subfolder(AUDIO)?;
    load(&folder)
}

/// Whether a running program has the session open for recording. False where that cannot be known.
pub fn is_in_use(path: &Path) -> bool {
    Folder::open(folder_of(path)).is_ok_and(|folder| lock::is_taken(&folder))
}

/// Opens a take's file to read it: a regular file in the session's folder, or in the folder on another disk that the
/// session names. The file may still be in the trash, or not there yet: the session saver moves it after a save.
pub fn open_take(path: &Path, take: &Take) -> Result<File, SessionError> {
    let folder = Folder::open(take.folder.as_ref().map_or(folder_of(path), Path::new))?;
    let missing = || SessionError::Missing { path: folder_of(path).join(take.path()) };
    let (own, other) = if take.trashed { (TRASH, AUDIO) } else { (AUDIO, TRASH) };
    // Its own folder twice, because the saver may move the file between the first two looks.
    for name in [own, other, own] {
        let Some(subfolder) = folder.subfolder(name)? else { continue };
        if let Some(file) = subfolder.open_file(take.file_name())? {
            return Ok(file);
        }
    }
    Err(missing())
}

/// Opens a file of a mirror's folder `audio` for recovery. The mirror must hold a copy of this session.
pub fn open_copy_to_write(path: &Path, session: &Session) -> Result<File, SessionError> {
    let missing = || SessionError::Missing { path: path.into() };
    let audio = path.parent().ok_or_else(missing)?;
    let folder = Folder::open(audio.parent().ok_or_else(missing)?)?;
    if id_in(&folder)? != Some(session.id) {
        return Err(folder.not_a_session("it holds no copy of this session".into()));
    }
    let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(missing)?;
    let subfolder = folder.subfolder(AUDIO)?.ok_or_else(missing)?;
    subfolder.open_file_to_write(name)?.ok_or_else(missing)
}

/// Makes a kept version the session's file again. The present file becomes a kept version, or goes to the trash if it
/// is damaged. The session must not be open.
pub fn restore(path: &Path, number: u32) -> Result<(), SessionError> {
    let folder = Folder::open(folder_of(path))?;
    let _lock = Lock::acquire(&folder)?;
    let history = folder.make_subfolder(HISTORY)?;
    let name = version_name(number);
    let bytes = history
        .read(&name, SESSION_BYTES_MAX)?
        .ok_or_else(|| SessionError::Missing { path: history.path().join(&name) })?;
    let kept = parse(&bytes).map_err(|fault| fault.into_error(history.path().join(&name), &folder))?;
    added::set_aside_if_damaged(&folder, &kept)?;
    let present = folder.read(SESSION_FILE, SESSION_BYTES_MAX);
    let sound = matches!(present, Ok(Some(present)) if parse(&present).is_ok());
    replace_session_file(&folder, Some(&bytes), if sound { Previous::Version } else { Previous::Trash })?;
    thin_out(&folder).ok();
    Ok(())
}

fn trial(folder: &Folder) -> Result<(), SessionError> {
    file_system::trial(folder).map_err(|flaw| SessionError::Unfit {
        path: folder.path().into(),
        file_system: file_system::name_of(folder).unwrap_or_else(|| "the file system".to_owned()),
        reason: flaw.to_string(),
    })
}

/// The folder of a session, given that folder or the `session.json` in it.
pub(crate) fn folder_of(path: &Path) -> &Path {
    if path.file_name().is_some_and(|name| name == SESSION_FILE)
        && !disk::metadata(path).is_ok_and(|found| found.is_dir())
    {
        match path.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
            None => path,
        }
    } else {
        path
    }
}

fn load(folder: &Folder) -> Result<Session, SessionError> {
    load_with_bytes(folder).map(|(session, _)| session)
}

/// Reads a session, and the bytes of its `session.json`.
fn load_with_bytes(folder: &Folder) -> Result<(Session, Vec<u8>), SessionError> {
    let path = folder.path().join(SESSION_FILE);
    match folder.read(SESSION_FILE, SESSION_BYTES_MAX)? {
        Some(bytes) => {
            let mut session = parse(&bytes).map_err(|fault| fault.into_error(path, folder))?;
            added::add_to(folder, &mut session)?;
            Ok((session, bytes))
        }
        None if numbers(folder)?.is_empty() => Err(folder.not_a_session(format!("it holds no {SESSION_FILE}"))),
        None => Err(Fault::Damaged { place: None, reason: "it is missing".into() }.into_error(path, folder)),
    }
}
