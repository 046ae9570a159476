//! Spool files and progress-page files: their place, identity and memory. Thread: butler (create), committer (punch,
//! remove).

use super::{logout, stored_path};
use crate::file_system::free_bytes;
use crate::format::TakeFormat;
use crate::host::{self, disk};
use crate::limits;
use crate::message::replica::Replica;
use crate::message::spool_file::{MemoryFiles, SpoolFile};
use crate::message::take::TakePlan;
use crate::spool_index::Shape;
use crate::window::progress_page;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use nix::unistd::getuid;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use uuid::Uuid;

/// Where spool files are created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SpoolPlace {
    /// In a private folder on a tmpfs: the files outlive the program.
    Folder(#[serde(with = "crate::serial::path")] PathBuf),
    /// In memory without a name (`memfd`), which does not outlive the program.
    Memory,
}

/// Format version of spool files: slots and an index ([`crate::spool_index`]).
pub const SPOOL_VERSION: u32 = 2;

/// Format version of the spool files of earlier programs: they have the layout of the WAV file, byte for byte. Recovery
/// reads them.
pub const SPOOL_VERSION_FLAT: u32 = 1;

/// Format version of progress-page files.
pub const PROGRESS_VERSION: u32 = 1;

/// Digits that make the name of a spool folder unknown to other users.
const RANDOM_DIGITS: usize = 12;

/// The identity in the first page of a spool file. The WAV file has its header there, which only the committer writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpoolIdentity {
    /// Format version: [`SPOOL_VERSION`], or that of an earlier program.
    pub faultless_spool: u32,
    /// Identity of the take in the session.
    pub take: Uuid,
    /// Identity of the session.
    pub session: Uuid,
    /// Absolute path of the WAV file when the spool was made. Recovery opens the file through the session. It compares
    /// the end of this path with the take's file name (`spool_of`), and looks here for another copy of the session
    /// (`recovery::another_copy`).
    #[serde(with = "stored_path")]
    pub wav: PathBuf,
    /// Bytes of one frame.
    pub frame_bytes: usize,
    /// Identity of the pass's first take, which the progress page is named after.
    pub pass: Uuid,
    /// Absolute path of the WAV file in the mirror.
    #[serde(default, with = "stored_path::optional")]
    pub mirror: Option<PathBuf>,
    /// Format of the sound. Files of earlier programs do not have it.
    #[serde(default)]
    pub sound: Option<SpoolSound>,
}

/// The format of the sound in a spool file, for a program that has no session and no WAV file beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpoolSound {
    /// Channels of the take.
    pub channels: u16,
    /// Frames per second.
    pub rate: u32,
    /// Format of each sample.
    pub format: TakeFormat,
}

impl SpoolSound {
    /// Bytes of one frame.
    pub fn frame_bytes(&self) -> usize {
        usize::from(self.channels) * self.format.bytes()
    }
}

/// The next file of a take that continues elsewhere. It stands in the second line of the first page of the take's spool
/// file. It is written before sound is written to that file, and before memory of that sound is freed. So a recovery finds
/// the file even if the disk of the session has accepted no session.json that lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextFile {
    /// Identity of the take that continues this one.
    pub take: Uuid,
    /// The session folder that has the file and a copy of session.json that lists it. Absolute.
    #[serde(with = "stored_path")]
    pub folder: PathBuf,
}

/// The identity in the first page of a progress-page file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressIdentity {
    /// Format version: [`PROGRESS_VERSION`].
    pub faultless_progress: u32,
    /// Identity of the pass's first take.
    pub pass: Uuid,
    /// Identity of the session.
    pub session: Uuid,
    /// Absolute path of that take's WAV file when the page was made.
    #[serde(with = "stored_path")]
    pub wav: PathBuf,
    /// Whether the takes of the pass have spool files. Without them, the sound is in the WAV files only.
    pub spooled: bool,
}

/// The folder for spool files, and the bytes free in it: a private folder (mode 0700) on a tmpfs that this user can
/// write to. `None`: there is no such tmpfs.
///
/// A folder that outlives the user's logout comes first, unless it has less than a quarter of the most free bytes: a
/// spool that is full loses sound too. Of several such folders the one with the most free bytes counts.
pub fn folder() -> Option<(PathBuf, u64)> {
    let found = usable_folders();
    let most = found.iter().map(|(_, free)| *free).max()?;
    let uid = getuid().as_raw();
    let rank = |(folder, free): &(PathBuf, u64)| (most / 4 <= *free && logout::effect(folder, uid).is_none(), *free);
    found.into_iter().max_by_key(rank)
}

fn usable_folders() -> Vec<(PathBuf, u64)> {
    tmpfs_candidates()
        .into_iter()
        // session.json names the folder as text, so that another user or program can find it.
        .filter(|tmpfs| tmpfs.to_str().is_some())
        .filter_map(|tmpfs| Some((folder_in(&tmpfs)?, free_bytes(&tmpfs)?)))
        .collect()
}

/// Every existing folder in which a program of this user may have left spool files. Creates none.
pub fn folders() -> Vec<PathBuf> {
    // Another tmpfs may have had the most free bytes when those files were made.
    let of_user = PathBuf::from(format!("/run/user/{}", getuid()));
    let mut folders: Vec<PathBuf> =
        tmpfs_candidates().into_iter().chain([of_user]).flat_map(|tmpfs| folders_in(&tmpfs)).collect();
    folders.sort();
    folders.dedup();
    folders
}

fn tmpfs_candidates() -> Vec<PathBuf> {
    if let Some(folders) = host::memory_folders() {
        return folders;
    }
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    runtime.into_iter().chain([PathBuf::from("/dev/shm")]).collect()
}

fn folder_name(tmpfs: &Path) -> PathBuf {
    tmpfs.join(format!("faultless-{}", getuid()))
}

/// Whether `folder` is a folder (not a symlink), belongs to this user, and is closed to everyone else. Otherwise the
/// program neither stores sound in it nor trusts its files.
pub fn is_ours(folder: &Path) -> bool {
    is_private(folder, getuid().as_raw())
}

/// Like [`is_ours`], for a folder of user `owner`.
pub fn is_private(folder: &Path, owner: u32) -> bool {
    disk::link_metadata(folder).is_ok_and(|found| found.is_dir() && found.uid() == owner && found.mode() & 0o077 == 0)
}

fn folder_in(tmpfs: &Path) -> Option<PathBuf> {
    if !statfs(tmpfs).is_ok_and(|stat| stat.filesystem_type() == TMPFS_MAGIC) {
        return None;
    }
    own_folder_in(tmpfs)
}

/// The folder for spools in `tmpfs`. Any user can make a folder of the usual name first. Then the program uses a name
/// that nobody can know before: an earlier one of its own, or a new one.
fn own_folder_in(tmpfs: &Path) -> Option<PathBuf> {
    let usual = folder_name(tmpfs);
    let make = |folder: &Path| {
        disk::make_private_folder(folder).ok();
        is_ours(folder)
    };
    if make(&usual) {
        return Some(usual);
    }
    folders_in(tmpfs).into_iter().next().or_else(|| {
        let random = host::new_uuid().simple().to_string();
        let mut name = usual.into_os_string();
        name.push(format!("-{}", &random[..RANDOM_DIGITS]));
        Some(PathBuf::from(name)).filter(|folder| make(folder))
    })
}

/// The existing spool folders of this user in a tmpfs: the one of the usual name, and those with a random one.
fn folders_in(tmpfs: &Path) -> Vec<PathBuf> {
    let usual = folder_name(tmpfs);
    let prefix = format!("faultless-{}-", getuid());
    let names = disk::list(tmpfs).unwrap_or_default().into_iter();
    let random = names.filter(|name| name.to_str().is_some_and(|name| name.starts_with(&prefix)));
    let paths = random.map(|name| tmpfs.join(name)).chain([usual]);
    let mut folders: Vec<PathBuf> = paths.filter(|it| is_ours(it)).collect();
    folders.sort();
    folders
}

/// Path of the spool file of a take in a spool folder.
pub fn path_of(folder: &Path, take: Uuid) -> PathBuf {
    folder.join(format!("{take}.spool"))
}

/// Path of the progress-page file of a pass in a spool folder.
pub fn progress_path_of(folder: &Path, pass: Uuid) -> PathBuf {
    folder.join(format!("{pass}.progress"))
}

/// The identity that the progress page of a pass is named after: its first take, which the session also lists first.
pub fn pass_of(takes: &[TakePlan]) -> Uuid {
    takes.first().map(|take| take.identity).unwrap_or_default()
}

/// Creates the spool file of a take of pass `pass`, whose windows have at most `slot_bytes` bytes. Fails if the file
/// exists.
pub fn create(place: &SpoolPlace, plan: &TakePlan, pass: Uuid, slot_bytes: usize) -> io::Result<SpoolFile> {
    let shape = Shape::new(plan.identity.as_u128(), slot_bytes);
    let identity = identity_of(plan, pass);
    // The header of the index lies in the second page.
    let made = make(place, |folder| path_of(folder, plan.identity), shape.file_bytes(), &identity, &shape.header())?;
    Ok(SpoolFile::new(made.file, made.path, shape))
}

/// The identity of the spool file of a take.
pub fn identity_of(plan: &TakePlan, pass: Uuid) -> SpoolIdentity {
    SpoolIdentity {
        faultless_spool: SPOOL_VERSION,
        take: plan.identity,
        session: plan.session,
        wav: plan.path.clone(),
        frame_bytes: plan.frame_bytes(),
        pass,
        mirror: plan.pair.as_ref().map(|pair| pair.first_path(Replica::Mirror).to_owned()),
        sound: Some(SpoolSound { channels: plan.header.channels, rate: plan.header.rate, format: plan.header.format }),
    }
}

/// A file that was made in a spool folder, or without a name.
pub struct MadeFile {
    /// The open, locked file.
    pub file: File,
    /// Path of the file; `None` for memory without a name.
    pub path: Option<PathBuf>,
}

/// Creates the progress-page file of a pass over `takes`. Fails if the file exists.
pub fn create_progress(place: &SpoolPlace, takes: &[TakePlan], spooled: bool) -> io::Result<MadeFile> {
    let first = takes.first().ok_or_else(|| io::Error::other("a pass without takes"))?;
    let identity = ProgressIdentity {
        faultless_progress: PROGRESS_VERSION,
        pass: first.identity,
        session: first.session,
        wav: first.path.clone(),
        spooled,
    };
    let bytes = progress_page::file_bytes(takes.len());
    make(place, |folder| progress_path_of(folder, first.identity), bytes, &identity, &[])
}

/// Creates a file of `bytes` bytes whose first page contains `identity`, and whose next bytes are `then`.
fn make(
    place: &SpoolPlace,
    name: impl FnOnce(&Path) -> PathBuf,
    bytes: u64,
    identity: &impl Serialize,
    then: &[u8],
) -> io::Result<MadeFile> {
    let mut page = serde_json::to_vec(identity)?;
    if limits::PAGE_BYTES <= page.len() {
        return Err(io::Error::other("the path of the take is too long"));
    }
    page.push(b'\n');
    if !then.is_empty() {
        page.resize(limits::PAGE_BYTES, 0);
        page.extend_from_slice(then);
    }
    let made = match place {
        SpoolPlace::Memory => {
            let file = File::from(memfd_create(c"faultless-spool", MFdFlags::MFD_CLOEXEC)?);
            MadeFile { file, path: None }
        }
        SpoolPlace::Folder(folder) => {
            let path = name(folder);
            let file = disk::create(OpenOptions::new().read(true).write(true).mode(0o600), &path)?;
            lock_against_recovery(&file);
            MadeFile { file, path: Some(path) }
        }
    };
    disk::set_length(&made.file, bytes)?;
    disk::write_all_at(&made.file, &page, 0)?;
    Ok(made)
}

/// Writes into a spool file that its take continues in the file of `plan`. Only the last such file is kept: the session
/// that lists it lists the files before it too.
pub fn note_next_file(spool: &File, plan: &TakePlan) -> io::Result<()> {
    let folder = plan.path.parent().and_then(Path::parent).unwrap_or(Path::new("/"));
    let mut line = serde_json::to_vec(&NextFile { take: plan.identity, folder: folder.to_owned() })?;
    line.push(b'\n');
    let mut page = vec![0; limits::PAGE_BYTES];
    disk::read_exact_at(spool, &mut page, 0)?;
    let at = page.iter().position(|byte| *byte == b'\n').map_or(limits::PAGE_BYTES, |end| end + 1);
    let rest = page[at..].get_mut(..line.len()).ok_or_else(|| io::Error::other("the path of the take is too long"))?;
    rest.copy_from_slice(&line);
    page[at + line.len()..].fill(0);
    // One call inside one page: after a kill the page has the line before or this one, and no mixture.
    disk::write_all_at(spool, &page[at..], at as u64)
}

/// Locks a new file, so that no recovery uses it while this program lives. The kernel releases the lock when the
/// program dies. A program that searches the folder may hold the lock for a moment. Without this lock, the session's
/// lock has to protect the file.
fn lock_against_recovery(file: &File) {
    const TRIES: u32 = 50;
    for _ in 0..TRIES {
        match disk::try_lock(file) {
            Err(TryLockError::WouldBlock) => host::sleep(Duration::from_millis(1)),
            _ => return,
        }
    }
}

/// Removes the files in memory of a take, of which a session that is durable says that it is complete. The take that
/// comes last removes the progress page: recovery of any other take of the pass needs it.
pub fn remove(memory: &MemoryFiles) {
    if let Some(path) = memory.spool.as_ref().and_then(|spool| spool.path.as_ref()) {
        disk::remove(path).ok();
    }
    if let Some(page) = &memory.progress_page
        && page.unfinished.fetch_sub(1, Relaxed) == 1
        && let Some(path) = &page.path
    {
        disk::remove(path).ok();
    }
}

/// Allocates the memory of a slot, so that a store to it cannot fail for lack of memory. Needed where pages are populated
/// by touching them.
pub fn reserve(spool: &SpoolFile, slot: u32) -> io::Result<()> {
    Ok(disk::reserve(&spool.file, spool.shape.slot_at(slot), spool.shape.slot_bytes() as u64)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::take::TakeKey;
    use crate::spool_index;
    use crate::wav::header::Header;
    use std::fs::DirBuilder;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{DirBuilderExt, FileExt};

    const SLOT: usize = 12_288;

    fn plan() -> TakePlan {
        TakePlan {
            key: TakeKey(1),
            identity: Uuid::new_v4(),
            session: Uuid::new_v4(),
            path: PathBuf::from("/x/audio/Åska-1.wav"),
            header: Header::new(1, 48_000, TakeFormat::S24),
            pair: None,
            head: crate::time::Frames(0),
        }
    }

    #[test]
    fn a_spool_file_contains_its_identity_and_is_never_created_twice() {
        let Some((folder, free)) = folder() else { return };
        assert!(free > 0);
        let (place, plan) = (SpoolPlace::Folder(folder), plan());
        let spool = create(&place, &plan, plan.identity, SLOT).unwrap();
        let mut page = vec![0; limits::PAGE_BYTES];
        spool.file.read_exact_at(&mut page, 0).unwrap();
        let end = page.iter().position(|byte| *byte == b'\n').unwrap();
        let identity: SpoolIdentity = serde_json::from_slice(&page[..end]).unwrap();
        assert_eq!((identity.take, identity.session, &identity.wav), (plan.identity, plan.session, &plan.path));
        spool.file.read_exact_at(&mut page, spool_index::HEADER_AT).unwrap();
        assert_eq!(Shape::of_header(&page, plan.identity.as_u128()), Some(spool.shape));
        assert_eq!(create(&place, &plan, plan.identity, SLOT).err().unwrap().kind(), io::ErrorKind::AlreadyExists);
        std::fs::remove_file(spool.path.unwrap()).unwrap();
    }

    #[test]
    fn a_folder_outside_of_tmpfs_is_refused_for_spools() {
        assert_eq!(folder_in(Path::new("/proc")), None);
        assert_eq!(folder_in(Path::new("/nowhere")), None);
    }

    #[test]
    fn another_user_who_makes_the_spool_folder_first_does_not_push_the_spool_into_nameless_memory() {
        let tmpfs = tempfile::tempdir().unwrap();
        // The program trusts neither a folder of another user nor its own one that others may enter.
        DirBuilder::new().mode(0o755).create(folder_name(tmpfs.path())).unwrap();
        std::fs::set_permissions(folder_name(tmpfs.path()), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        let folder = own_folder_in(tmpfs.path()).unwrap();
        assert_ne!(folder, folder_name(tmpfs.path()));
        assert!(is_ours(&folder));
        assert_eq!(own_folder_in(tmpfs.path()), Some(folder.clone()), "the next start uses it again");
        assert_eq!(folders_in(tmpfs.path()), [folder], "a recovery without a session finds it too");
    }

    #[test]
    fn a_path_that_is_not_text_is_stored_byte_for_byte() {
        let path = |bytes: &[u8]| PathBuf::from(std::ffi::OsStr::from_bytes(bytes));
        for (wav, mirror) in [
            (path(b"/a/b.wav"), None),
            (path(b"/a/\xff/b.wav"), Some(path(b"/m/\xe9\x01/b.wav"))),
            (path("/Åska/b.wav".as_bytes()), Some(path(b"/m/b.wav"))),
        ] {
            let identity = SpoolIdentity {
                faultless_spool: SPOOL_VERSION,
                take: Uuid::nil(),
                session: Uuid::nil(),
                wav,
                frame_bytes: 3,
                pass: Uuid::nil(),
                mirror,
                sound: None,
            };
            let text = serde_json::to_string(&identity).unwrap();
            assert_eq!(serde_json::from_str::<SpoolIdentity>(&text).unwrap(), identity, "{text}");
        }
    }
}
