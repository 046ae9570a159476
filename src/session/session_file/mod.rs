//! The folder of a session: opening, locking, saving, kept versions, the trash. Thread: any that may wait for the disk.
//!
//! `session.json` is replaced as a whole or not at all, and what it held before is kept. A session that
//! came from elsewhere can't lead out of its folder, hang the program or make it read without bound.

mod bytes;
mod error;
mod folder;
mod lock;
mod folder_watch;
#[cfg(test)]
mod tests;

pub use bytes::{Fault, VALUE_COUNT_MAX, parse, to_bytes};
pub use error::SessionError;
pub use folder_watch::{FolderChange, FolderWatch};

use super::{Session, Take};
use crate::file_system;
use crate::format::TakeFormat;
use crate::time::SampleRate;
use folder::Folder;
use lock::{LOCK_FILE, Lock};
use serde::Deserialize;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::SystemTime;
use uuid::Uuid;

/// The version of the file that is written here, and the newest that is read.
pub const FILE_VERSION: u64 = 1;

/// Bytes of the largest `session.json`.
pub const SESSION_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Previous versions that are kept.
pub const VERSION_COUNT_MAX: usize = 10;

/// The session's file.
pub const SESSION_FILE: &str = "session.json";

const NEW_FILE: &str = ".session.json.new";
/// Blocks that are there for the session's file on the day the disk is full.
const RESERVE_FILE: &str = ".session.reserve";
const RESERVE_BYTES_MIN: u64 = 1024 * 1024;
const FOLDERS: [&str; 5] = ["audio", "peaks", "export", "history", "trash"];

/// The highest number of a kept version that is looked at; numbers above it are somebody else's.
const VERSION_NUMBER_MAX: u32 = 1_000_000_000;

/// A session's folder, open for recording. Holding this tells you: no other program has it open so.
/// Dropping it gives it up; if the program dies, the system does.
#[derive(Debug)]
pub struct OpenSession {
    folder: Folder,
    lock: Lock,
}

/// A previous version of a session's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptVersion {
    /// Its number; higher is newer.
    pub number: u32,
    /// Its size.
    pub bytes: u64,
    /// When it was saved, if the file system knows.
    pub saved: Option<SystemTime>,
}

impl OpenSession {
    /// Makes a session in a folder that does not exist yet, or is empty.
    pub fn create(
        path: &Path,
        name: &str,
        rate: SampleRate,
        format: TakeFormat,
    ) -> Result<(OpenSession, Session), SessionError> {
        let was_there = path.symlink_metadata().is_ok();
        fs::create_dir_all(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => SessionError::Exists { path: path.into() },
            io::ErrorKind::ReadOnlyFilesystem => SessionError::ReadOnly { path: path.into() },
            _ => SessionError::Io { path: path.into(), call: "mkdir", error },
        })?;
        let folder = Folder::open(path)?;
        unused_check(&folder)?;
        trial(&folder).inspect_err(|_| {
            // Nothing was begun, and nothing of it is to be left.
            if !was_there {
                fs::remove_dir(path).ok();
            }
        })?;
        let lock = Lock::take(&folder)?;
        unused_check(&folder)?;
        for name in FOLDERS {
            folder.sub_made(name)?;
        }
        let created = jiff::Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
        let session = Session::new(Uuid::new_v4(), name, &created, rate, format);
        let mut open = OpenSession { folder, lock };
        open.save(&session)?;
        // The folder's own name. Where the folder above can't be opened, its owner syncs it in time.
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Folder::open(parent).and_then(|parent| parent.sync()).ok();
        Ok((open, session))
    }

    /// Opens the folder that holds takes of a session on another disk, or makes it: there is a copy of the session's file in
    /// it, by which it is known. A folder that is in use otherwise is refused.
    pub fn companion(path: &Path, session: &Session) -> Result<OpenSession, SessionError> {
        let io = |error| SessionError::Io { path: path.into(), call: "mkdir", error };
        fs::create_dir_all(path).map_err(io)?;
        let folder = Folder::open(path)?;
        if folder.kind(SESSION_FILE)?.is_none() {
            unused_check(&folder)?;
        } else if id_in(&folder)? != Some(session.id) {
            return Err(SessionError::Exists { path: path.into() });
        }
        trial(&folder)?;
        let lock = Lock::take(&folder)?;
        for name in FOLDERS {
            folder.sub_made(name)?;
        }
        let mut open = OpenSession { folder, lock };
        open.save(session)?;
        Ok(open)
    }

    /// Opens a session to record into it. `path` is its folder, or the `session.json` in it.
    pub fn open(path: &Path) -> Result<(OpenSession, Session), SessionError> {
        let folder = Folder::open(folder_of(path))?;
        // Looked for first: a folder that is no session gets no lock file from us.
        if folder.kind(SESSION_FILE)?.is_none() && numbers(&folder)?.is_empty() {
            return Err(folder.refuse(format!("it holds no {SESSION_FILE}")));
        }
        let lock = Lock::take(&folder)?;
        for name in FOLDERS {
            folder.sub_made(name)?;
        }
        let session = load(&folder)?;
        Ok((OpenSession { folder, lock }, session))
    }

    /// The session's folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where the folder is from now on, for those who must not wait for the disk.
    pub fn folder_watch(&self) -> Option<FolderWatch> {
        FolderWatch::of(self.folder.held()?)
    }

    /// Tries whether the file system has what a session needs. A new session was tried when it was made.
    pub fn trial(&self) -> Result<(), SessionError> {
        trial(&self.folder)
    }

    /// What the file system is called.
    pub fn file_system(&self) -> Option<String> {
        file_system::name_of(&self.folder)
    }

    /// Whether the lock would keep out other computers, too.
    pub fn is_locked_by_file(&self) -> bool {
        self.lock.is_of_the_file()
    }

    /// Saves the session: afterwards the new version is durable and the previous one is kept. On an
    /// error the file is as it was. What has not changed is not saved again.
    pub fn save(&mut self, session: &Session) -> Result<(), SessionError> {
        let path = || self.folder.path().join(SESSION_FILE);
        session.validate().map_err(|reason| SessionError::Invalid { path: path(), reason })?;
        let bytes = to_bytes(session).map_err(|error| SessionError::Io { path: path(), call: "encode", error })?;
        if SESSION_BYTES_MAX < bytes.len() as u64 {
            let (bytes, bytes_max) = (bytes.len() as u64, SESSION_BYTES_MAX);
            return Err(SessionError::TooLarge { path: path(), bytes, bytes_max });
        }
        if matches!(self.folder.read(SESSION_FILE, SESSION_BYTES_MAX), Ok(Some(current)) if current == bytes) {
            return Ok(());
        }
        let mut saved = put(&self.folder, &bytes, Previous::Version);
        while matches!(&saved, Err(error) if error.is_no_room()) && make_room(&self.folder, bytes.len() as u64)? {
            saved = put(&self.folder, &bytes, Previous::Version);
        }
        // Without it a full disk is worse, and that is all.
        self.folder.reserve(RESERVE_FILE, RESERVE_BYTES_MIN.max(2 * bytes.len() as u64)).ok();
        saved
    }

    /// Opens the folder anew, under its old name, if another program has removed it and takes were put back there since.
    pub fn follow(&mut self) -> Result<(), SessionError> {
        let Some(path) = file_system::path_of(&self.folder).and_then(|now| file_system::removed_from(&now)) else {
            return Ok(());
        };
        let folder = Folder::open(&path)?;
        if folder.kind(SESSION_FILE)?.is_some() {
            return Err(SessionError::Exists { path });
        }
        self.lock = Lock::take(&folder)?;
        for name in FOLDERS {
            folder.sub_made(name)?;
        }
        self.folder = folder;
        Ok(())
    }

    /// Names of the files in `audio/` and `trash/`, which no new take may get.
    pub fn file_names(&self) -> Result<Vec<String>, SessionError> {
        let mut names = self.folder.sub_made("audio")?.names()?;
        names.extend(self.folder.sub_made("trash")?.names()?);
        Ok(names)
    }

    /// Opens the file of a take to mend it: a regular file inside the session's folder, or inside one on another disk that
    /// holds a copy of this session; or an error.
    pub fn open_take_to_write(&self, session: &Session, take: &Take) -> Result<File, SessionError> {
        let missing = || SessionError::Missing { path: self.folder.path().join(take.path()) };
        let other = other_disk(session, take)?;
        let folder = other.as_ref().unwrap_or(&self.folder);
        let sub = folder.sub(if take.trashed { "trash" } else { "audio" })?.ok_or_else(missing)?;
        sub.open_file_to_write(take.file_name())?.ok_or_else(missing)
    }

    /// Moves the files of takes to where the session says they are: into the trash or back. To be done
    /// after a save and after opening; doing it twice does nothing. Each file that can't be moved is an error.
    pub fn settle_trash(&mut self, session: &Session) -> Result<(), Vec<SessionError>> {
        let folders = || Ok((self.folder.sub_made("audio")?, self.folder.sub_made("trash")?));
        let (audio, trash) = folders().map_err(|error| vec![error])?;
        let mut moved = false;
        let mut errors = Vec::new();
        for take in session.takes() {
            let (from, to) = if take.trashed { (&audio, &trash) } else { (&trash, &audio) };
            let done = match other_disk(session, take) {
                Ok(None) => from.move_to(to, take.file_name()),
                Ok(Some(other)) => settle_elsewhere(&other, take),
                // A disk that is not here is looked at again when it is.
                Err(SessionError::Missing { .. }) => Ok(false),
                Err(error) => Err(error),
            };
            match done {
                Ok(one) => moved |= one,
                Err(error) => errors.push(error),
            }
        }
        if moved {
            errors.extend([audio.sync(), trash.sync()].into_iter().filter_map(Result::err));
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}

/// Has a session learn from the copies of its file on other disks what it could not be told when its own disk took no more.
/// Whether there was anything. A disk that is not here is passed over.
pub fn catch_up(store: &OpenSession, session: &mut Session) -> bool {
    let own = std::path::absolute(store.path()).map_or_else(|_| String::new(), |own| own.display().to_string());
    let mut learnt = false;
    for there in session.overflow_folders().to_vec() {
        let Ok(folder) = Folder::open(Path::new(&there)) else { continue };
        if let Ok(copy) = load(&folder)
            && copy.id == session.id
            && there != own
        {
            let before = session.clone();
            learnt |= session.catch_up_with(&copy.seen_from(&own, &there));
            if session.validate().is_err() {
                *session = before;
            }
        }
    }
    learnt
}

/// The folder on another disk that holds the file of a take: believed only if it holds a copy of the session, so that a
/// session that came from elsewhere leads nowhere.
fn other_disk(session: &Session, take: &Take) -> Result<Option<Folder>, SessionError> {
    let Some(path) = &take.folder else { return Ok(None) };
    let folder = Folder::open(Path::new(path))?;
    if id_in(&folder)? == Some(session.id) {
        return Ok(Some(folder));
    }
    Err(folder.refuse("it holds no copy of this session".into()))
}

/// The session whose file is in a folder.
fn id_in(folder: &Folder) -> Result<Option<Uuid>, SessionError> {
    #[derive(Deserialize)]
    struct Head {
        id: Uuid,
    }
    let bytes = folder.read(SESSION_FILE, SESSION_BYTES_MAX)?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice::<Head>(&bytes).ok()).map(|head| head.id))
}

/// Moves a file that is on another disk into that disk's trash, or back.
fn settle_elsewhere(other: &Folder, take: &Take) -> Result<bool, SessionError> {
    let (audio, trash) = (other.sub_made("audio")?, other.sub_made("trash")?);
    let (from, to) = if take.trashed { (&audio, &trash) } else { (&trash, &audio) };
    from.move_to(to, take.file_name())
}

/// Reads a session to play or export it. Writes nothing and takes no lock, so it works on a folder
/// that can't be written and beside a program that records into it.
pub fn open_read_only(path: &Path) -> Result<Session, SessionError> {
    let folder = Folder::open(folder_of(path))?;
    folder.sub("audio")?;
    load(&folder)
}

/// Whether a program that lives has the session open to record into it. False where that cannot be known.
pub fn is_in_use(path: &Path) -> bool {
    Folder::open(folder_of(path)).is_ok_and(|folder| lock::is_taken(&folder))
}

/// Opens the file of a take to read it: a regular file inside the session's folder, or where the session says that it is
/// on another disk; or an error.
pub fn open_take(path: &Path, take: &Take) -> Result<File, SessionError> {
    let folder = Folder::open(take.folder.as_ref().map_or(folder_of(path), Path::new))?;
    let missing = || SessionError::Missing { path: folder_of(path).join(take.path()) };
    let sub = folder.sub(if take.trashed { "trash" } else { "audio" })?.ok_or_else(missing)?;
    sub.open_file(take.file_name())?.ok_or_else(missing)
}

/// Opens a file of the folder `audio` that `path` names to mend it, if a copy of the session is beside that folder: a mirror.
pub fn open_copy_to_write(path: &Path, session: &Session) -> Result<File, SessionError> {
    let missing = || SessionError::Missing { path: path.into() };
    let audio = path.parent().ok_or_else(missing)?;
    let folder = Folder::open(audio.parent().ok_or_else(missing)?)?;
    if id_in(&folder)? != Some(session.id) {
        return Err(folder.refuse("it holds no copy of this session".into()));
    }
    let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(missing)?;
    let sub = folder.sub("audio")?.ok_or_else(missing)?;
    sub.open_file_to_write(name)?.ok_or_else(missing)
}

/// The previous versions of a session's file, oldest first.
pub fn kept_versions(path: &Path) -> Result<Vec<KeptVersion>, SessionError> {
    let folder = Folder::open(folder_of(path))?;
    let Some(history) = folder.sub("history")? else { return Ok(Vec::new()) };
    let mut versions = Vec::new();
    for number in numbers(&folder)? {
        let Some(file) = history.open_file(&version_name(number))? else { continue };
        let stat = file.metadata().map_err(|error| history.io_error(&version_name(number), "stat", error))?;
        versions.push(KeptVersion { number, bytes: stat.len(), saved: stat.modified().ok() });
    }
    Ok(versions)
}

/// Makes a kept version the session's file again. The present file becomes a kept version in turn, or,
/// if it is damaged, goes to the trash. The session must not be open.
pub fn restore(path: &Path, number: u32) -> Result<(), SessionError> {
    let folder = Folder::open(folder_of(path))?;
    let _lock = Lock::take(&folder)?;
    let history = folder.sub_made("history")?;
    let name = version_name(number);
    let bytes = history
        .read(&name, SESSION_BYTES_MAX)?
        .ok_or_else(|| SessionError::Missing { path: history.path().join(&name) })?;
    parse(&bytes).map_err(|fault| fault.at(history.path().join(&name), &folder))?;
    let present = folder.read(SESSION_FILE, SESSION_BYTES_MAX);
    let sound = matches!(present, Ok(Some(present)) if parse(&present).is_ok());
    put(&folder, &bytes, if sound { Previous::Version } else { Previous::Trash })
}

fn trial(folder: &Folder) -> Result<(), SessionError> {
    file_system::trial(folder).map_err(|flaw| SessionError::Unfit {
        path: folder.path().into(),
        file_system: file_system::name_of(folder).unwrap_or_else(|| "the file system".to_owned()),
        reason: flaw.to_string(),
    })
}

/// What becomes of the file that is replaced.
#[derive(Clone, Copy)]
enum Previous {
    /// It is kept as a version.
    Version,
    /// It is damaged: it would only push good versions out.
    Trash,
}

/// Replaces the session's file. On an error it is as it was.
fn put(folder: &Folder, bytes: &[u8], previous: Previous) -> Result<(), SessionError> {
    let put = || {
        folder.write(NEW_FILE, bytes)?;
        let history = folder.sub_made("history")?;
        if folder.kind(SESSION_FILE)?.is_some() {
            let (saver, first, name): (_, _, fn(u32) -> String) = match previous {
                Previous::Version => (&history, numbers(folder)?.last().map_or(1, |last| last + 1), version_name),
                Previous::Trash => (&folder.sub_made("trash")?, 1, |number| format!("session-damaged-{number}.json")),
            };
            let mut number = first;
            while !folder.link(SESSION_FILE, saver, &name(number), SESSION_BYTES_MAX)? {
                number += 1;
            }
            saver.sync()?;
        }
        folder.replace(NEW_FILE, SESSION_FILE)?;
        folder.sync()?;
        Ok(history)
    };
    match put() {
        Ok(history) => {
            // The save has happened. A version too many does no harm and goes next time.
            if let Ok(numbers) = numbers(folder) {
                let gone = numbers.len().saturating_sub(VERSION_COUNT_MAX);
                for number in &numbers[..gone] {
                    history.remove(&version_name(*number)).ok();
                }
            }
            Ok(())
        }
        Err(error) => {
            // A disk that is full shall not hold half a session as well; the first error is the one to tell.
            folder.remove(NEW_FILE).ok();
            Err(error)
        }
    }
}

/// Gives up what a full disk leaves for the session's own file: a part of what was kept for this day, and no more than it
/// needs, since the takes want it too; and then versions, from the oldest on. Whether there was anything.
fn make_room(folder: &Folder, bytes: u64) -> Result<bool, SessionError> {
    if folder.give_up(RESERVE_FILE, 2 * bytes + RESERVE_BYTES_MIN / 16)? {
        return Ok(true);
    }
    let (Some(history), Some(oldest)) = (folder.sub("history")?, numbers(folder)?.first().copied()) else {
        return Ok(false);
    };
    history.remove(&version_name(oldest))?;
    Ok(true)
}

/// Numbers of the kept versions, oldest first.
fn numbers(folder: &Folder) -> Result<Vec<u32>, SessionError> {
    let Some(history) = folder.sub("history")? else { return Ok(Vec::new()) };
    let mut numbers: Vec<u32> = history.names()?.iter().filter_map(|name| version_number(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn version_name(number: u32) -> String {
    format!("session-{number}.json")
}

fn version_number(name: &str) -> Option<u32> {
    let number = name.strip_prefix("session-")?.strip_suffix(".json")?.parse().ok()?;
    (number < VERSION_NUMBER_MAX && version_name(number) == name).then_some(number)
}

/// The folder meant by the path of a folder or of the `session.json` in it.
pub(crate) fn folder_of(path: &Path) -> &Path {
    if path.file_name().is_some_and(|name| name == SESSION_FILE) && !path.is_dir() {
        match path.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
            None => path,
        }
    } else {
        path
    }
}

/// Refuses a folder in which anything would be in the way of a new session.
fn unused_check(folder: &Folder) -> Result<(), SessionError> {
    for name in folder.names()? {
        let ours = match name.as_str() {
            LOCK_FILE | NEW_FILE | RESERVE_FILE | file_system::TRIAL_FILE => true,
            name if FOLDERS.contains(&name) => match folder.sub(name)? {
                Some(sub) => sub.names()?.is_empty(),
                None => true,
            },
            _ => false,
        };
        if !ours {
            return Err(SessionError::Exists { path: folder.path().into() });
        }
    }
    Ok(())
}

fn load(folder: &Folder) -> Result<Session, SessionError> {
    let path = folder.path().join(SESSION_FILE);
    match folder.read(SESSION_FILE, SESSION_BYTES_MAX)? {
        Some(bytes) => parse(&bytes).map_err(|fault| fault.at(path, folder)),
        None if numbers(folder)?.is_empty() => Err(folder.refuse(format!("it holds no {SESSION_FILE}"))),
        None => Err(Fault::Damaged { place: None, reason: "it is missing".into() }.at(path, folder)),
    }
}
