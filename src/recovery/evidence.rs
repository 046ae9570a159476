//! Opens the spool files and progress pages that a killed program has left, and checks each. Thread: any that may wait
//! for the disk.
//!
//! A file is accepted if it is a regular file of this user, closed to others, in a folder of which the same is true; if
//! no running program holds its lock; and if its first page names the take and the session in question. The callers put
//! bounds on everything else that it claims.

use crate::butler::spool::{
    NextFile, PROGRESS_VERSION, ProgressIdentity, SPOOL_VERSION, SPOOL_VERSION_FLAT, SpoolIdentity, is_private,
};
use crate::file_system::{OpenError, open_regular};
use crate::host::disk;
use crate::limits::{DATA_OFFSET, PAGE_BYTES};
use crate::spool_index::{HEADER_AT, Shape, Table, Target, WORDS_AT, WORDS_BYTES};
use crate::window::progress_page::{self, Progress};
use nix::errno::Errno;
use nix::unistd::{Whence, getuid};
use serde::de::DeserializeOwned;
use std::fmt;
use std::fs::{File, TryLockError};
use std::io;
use std::ops::Deref;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Bytes that are read at once.
const PIECE_BYTES: usize = 1 << 20;

/// A position beyond the end of any file.
pub(super) const BEYOND_ANY_FILE: u64 = i64::MAX as u64;

/// Why a file is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejected {
    /// The file does not exist.
    Missing,
    /// Not a regular file of this user, closed to others, in such a folder; or the file of another take.
    NotOurs(&'static str),
    /// A running program holds the lock of the file.
    InUse,
    /// The first page cannot be parsed, or has another version.
    Unreadable(String),
    /// The system refused to open or read the file.
    Io(String),
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rejected::Missing => f.write_str("it is not there"),
            Rejected::NotOurs(what) => write!(f, "rejected: {what}"),
            Rejected::InUse => f.write_str("a program that is running holds it"),
            Rejected::Unreadable(reason) => write!(f, "rejected: its first page cannot be read ({reason})"),
            Rejected::Io(reason) => f.write_str(reason),
        }
    }
}

/// An accepted file. It holds a shared lock on the file while it is open.
#[derive(Debug)]
pub struct Found<T> {
    pub path: PathBuf,
    /// The content of the first page.
    pub identity: T,
    file: File,
}

/// The spool file of a take. Offsets are those of the take's WAV file.
#[derive(Debug)]
pub struct FoundSpool {
    found: Found<SpoolIdentity>,
    /// The slots of the file. `None`: it is of an earlier program, and has the layout of the WAV file, byte for byte.
    slots: Option<Slots>,
}

/// The slots of a spool file, and what its index lists.
#[derive(Debug)]
struct Slots {
    shape: Shape,
    table: Table,
    targets: Vec<Target>,
}

/// The progress page of a pass.
pub type FoundProgress = Found<ProgressIdentity>;

/// A spool folder, and the user whose files in it are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolFolder {
    pub path: PathBuf,
    pub owner: u32,
}

impl SpoolFolder {
    /// A folder of the user who runs this program.
    pub fn own(path: &Path) -> SpoolFolder {
        SpoolFolder { path: path.to_owned(), owner: getuid().as_raw() }
    }
}

/// A range of a file that holds data: first byte, and the byte after the last one.
pub type Extent = (u64, u64);

impl Deref for FoundSpool {
    type Target = Found<SpoolIdentity>;

    fn deref(&self) -> &Found<SpoolIdentity> {
        &self.found
    }
}

impl FoundSpool {
    /// Opens a spool file of the user who runs this program.
    pub fn open(path: &Path) -> Result<FoundSpool, Rejected> {
        FoundSpool::open_of(path, getuid().as_raw())
    }

    /// Opens a spool file of user `owner`.
    pub fn open_of(path: &Path, owner: u32) -> Result<FoundSpool, Rejected> {
        let found: Found<SpoolIdentity> = open(path, owner)?;
        let slots = match found.identity.faultless_spool {
            SPOOL_VERSION_FLAT => None,
            _ => Some(Slots::read(&found.file, found.identity.take.as_u128())?),
        };
        Ok(FoundSpool { found, slots })
    }

    /// Number of slots that the index should list and that are not believed, because their words are damaged.
    pub fn damaged_slots(&self) -> usize {
        self.slots.as_ref().map_or(0, |slots| slots.table.damaged)
    }

    /// The file in which the take went on, if the committer has noted one.
    pub fn next_file(&self) -> Option<NextFile> {
        let mut page = vec![0; PAGE_BYTES];
        disk::read_exact_at(&self.file, &mut page, 0).ok()?;
        let line = page.split(|byte| *byte == b'\n').nth(1)?;
        serde_json::from_slice(line).ok().filter(|next: &NextFile| next.folder.is_absolute())
    }

    /// The ranges that have memory, from the first byte of sound up to byte `end`.
    pub fn extents(&self, end: u64) -> io::Result<Vec<Extent>> {
        let Some(slots) = &self.slots else { return data_of(&self.file, DATA_OFFSET, end) };
        let mut extents: Vec<Extent> = Vec::new();
        for part in slots.table.within(DATA_OFFSET, end) {
            match extents.last_mut() {
                Some(last) if last.1 == part.offset => last.1 = part.end(),
                _ => extents.push((part.offset, part.end())),
            }
        }
        Ok(extents)
    }

    /// Reads bytes that lie in an extent.
    pub fn read(&self, at: u64, bytes: &mut [u8]) -> io::Result<()> {
        let Some(slots) = &self.slots else { return disk::read_exact_at(&self.file, bytes, at) };
        let mut done = 0;
        for part in slots.table.within(at, at + bytes.len() as u64) {
            let piece = &mut bytes[(part.offset - at) as usize..][..part.bytes as usize];
            disk::read_exact_at(&self.file, piece, slots.shape.part_at(&part))?;
            done += piece.len();
        }
        if done == bytes.len() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// The frame after the last one that has memory, sound or not.
    pub fn memory_end(&self) -> io::Result<u64> {
        let end = self.extents(BEYOND_ANY_FILE)?.last().map_or(DATA_OFFSET, |(_, end)| *end);
        Ok((end - DATA_OFFSET) / self.identity.frame_bytes as u64)
    }

    /// The frame after the last one that is not silent.
    pub fn last_sound(&self) -> io::Result<u64> {
        let mut piece = vec![0; PIECE_BYTES];
        for (start, end) in self.extents(BEYOND_ANY_FILE)?.into_iter().rev() {
            let mut until = end;
            while start < until {
                let from = until.saturating_sub(PIECE_BYTES as u64).max(start);
                let bytes = &mut piece[..(until - from) as usize];
                self.read(from, bytes)?;
                if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
                    let sound = from + last as u64 + 1 - DATA_OFFSET;
                    return Ok(sound.div_ceil(self.identity.frame_bytes as u64));
                }
                until = from;
            }
        }
        Ok(0)
    }

    /// Bytes of memory that the file holds.
    pub fn memory_bytes(&self) -> u64 {
        self.file.metadata().map_or(0, |found| found.blocks() * 512)
    }
}

impl FoundProgress {
    /// Opens a progress page of user `owner`.
    pub fn open_of(path: &Path, owner: u32) -> Result<FoundProgress, Rejected> {
        open(path, owner)
    }

    /// Reads the record position and the losses from the pages.
    pub fn read(&self) -> Result<Progress, Rejected> {
        let unreadable = |error: io::Error| Rejected::Unreadable(error.to_string());
        let bytes = self.file.metadata().map_err(unreadable)?.len();
        let mut pages = vec![0; progress_page::bytes_of_pages(bytes)];
        disk::read_exact_at(&self.file, &mut pages, progress_page::PAGE_AT).map_err(unreadable)?;
        Progress::read(&pages).ok_or_else(|| Rejected::Unreadable("it is cut short".to_owned()))
    }
}

/// Files in a spool folder whose names end in `.ending`, sorted. None if the folder is not closed to other users.
pub fn files_named(folder: &SpoolFolder, ending: &str) -> Vec<PathBuf> {
    if !is_private(&folder.path, folder.owner) {
        return Vec::new();
    }
    let entries = disk::list(&folder.path).unwrap_or_default().into_iter().map(|name| folder.path.join(name));
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == ending)).collect();
    files.sort();
    files
}

impl FoundSpool {
    /// Whether the committer has seen that another program changed a file whose first byte is byte `bytes_before` of the take.
    pub(super) fn says_changed(&self, bytes_before: u64) -> bool {
        let mut targets = self.slots.iter().flat_map(|slots| &slots.targets);
        targets.any(|target| target.bytes_before == bytes_before && target.is_changed)
    }

    /// Whether the file with this number is not the one that the sound from byte `bytes_before` of the take on was written to.
    /// `false`: it is, or that file is not known. A file without sound has the start of the one behind it.
    pub(super) fn names_another_file(&self, number: u64, bytes_before: u64) -> bool {
        let all = self.slots.iter().flat_map(|slots| &slots.targets);
        let mut targets = all.filter(|target| target.bytes_before == bytes_before).peekable();
        targets.peek().is_some() && targets.all(|target| target.file != number)
    }
}

impl Slots {
    /// Reads the index of the spool file of take `take`.
    fn read(file: &File, take: u128) -> Result<Slots, Rejected> {
        let failed = |error: io::Error| Rejected::Io(format!("its index cannot be read: {error}"));
        let mut page = [0; PAGE_BYTES];
        disk::read_exact_at(file, &mut page, HEADER_AT)
            .map_err(|_| Rejected::Unreadable("it is shorter than its index".to_owned()))?;
        let damaged = || Rejected::Unreadable("the header of its index is damaged".to_owned());
        let shape = Shape::of_header(&page, take).ok_or_else(damaged)?;
        let mut table = Table::default();
        for (start, end) in data_of(file, WORDS_AT, WORDS_AT + WORDS_BYTES).map_err(failed)? {
            let mut words = vec![0; (end - start) as usize];
            disk::read_exact_at(file, &mut words, start).map_err(failed)?;
            table.add(&shape, ((start - WORDS_AT) / size_of::<u64>() as u64) as u32, &words);
        }
        table.sort();
        Ok(Slots { shape, table, targets: shape.targets_in(&page) })
    }
}

/// The ranges of a file between byte `from` and byte `end` that hold data.
fn data_of(file: &File, from: u64, end: u64) -> io::Result<Vec<Extent>> {
    let (mut extents, mut at) = (Vec::new(), from);
    while at < end {
        let start = match disk::seek(file, at, Whence::SeekData) {
            Ok(start) => start,
            Err(Errno::ENXIO) => break,
            Err(errno) => return Err(errno.into()),
        };
        let hole = disk::seek(file, start, Whence::SeekHole)?;
        if end <= start || hole <= start {
            break;
        }
        extents.push((start, hole.min(end)));
        at = hole;
    }
    Ok(extents)
}

fn check_version(found: u32, known: &[u32]) -> Result<(), Rejected> {
    if known.contains(&found) { Ok(()) } else { Err(Rejected::Unreadable(format!("version {found}"))) }
}

fn open<T: Identity>(path: &Path, owner: u32) -> Result<Found<T>, Rejected> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    match disk::link_metadata(parent) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Rejected::Missing),
        Err(error) => return Err(Rejected::Io(error.to_string())),
        Ok(_) if !is_private(parent, owner) => {
            return Err(Rejected::NotOurs("its folder is not a folder of its user, closed to others"));
        }
        Ok(_) => {}
    }
    let file = open_regular(path).map_err(|error| match error {
        OpenError::Link => Rejected::NotOurs("it is a link"),
        OpenError::NotRegular => Rejected::NotOurs("it is no regular file"),
        OpenError::Open(error) if error.kind() == io::ErrorKind::NotFound => Rejected::Missing,
        // The error for a socket.
        OpenError::Open(error) if error.raw_os_error() == Some(libc::ENXIO) => {
            Rejected::NotOurs("it is no regular file")
        }
        OpenError::Open(error) | OpenError::Stat(error) => Rejected::Io(error.to_string()),
    })?;
    let found = file.metadata().map_err(|error| Rejected::Io(error.to_string()))?;
    if found.uid() != owner {
        return Err(Rejected::NotOurs("it belongs to another user"));
    }
    if found.mode() & 0o077 != 0 {
        return Err(Rejected::NotOurs("others may read or write it"));
    }
    if found.nlink() != 1 {
        return Err(Rejected::NotOurs("it has a second name"));
    }
    // A shared lock: two programs that only read do not take each other for a recorder.
    if let Err(TryLockError::WouldBlock) = disk::try_lock_shared(&file) {
        return Err(Rejected::InUse);
    }
    let mut page = vec![0; PAGE_BYTES];
    disk::read_exact_at(&file, &mut page, 0)
        .map_err(|_| Rejected::Unreadable("it is shorter than a page".to_owned()))?;
    Ok(Found { path: path.to_owned(), identity: identity(&page)?, file })
}

/// Parses the first page of a spool file or progress page.
pub fn identity<T: Identity>(page: &[u8]) -> Result<T, Rejected> {
    let end = page.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    // The error text quotes the page, which may hold any character.
    let unreadable =
        |error: serde_json::Error| Rejected::Unreadable(error.to_string().replace(char::is_control, "\u{fffd}"));
    let identity: T = serde_json::from_slice(&page[..end]).map_err(unreadable)?;
    identity.check()?;
    Ok(identity)
}

/// The content of a first page.
pub trait Identity: DeserializeOwned {
    /// Rejects another version and impossible values.
    fn check(&self) -> Result<(), Rejected>;
}

impl Identity for SpoolIdentity {
    fn check(&self) -> Result<(), Rejected> {
        check_version(self.faultless_spool, &[SPOOL_VERSION_FLAT, SPOOL_VERSION])?;
        if (1..=8).contains(&self.frame_bytes) {
            Ok(())
        } else {
            Err(Rejected::Unreadable(format!("{} bytes a frame", self.frame_bytes)))
        }
    }
}

impl Identity for ProgressIdentity {
    fn check(&self) -> Result<(), Rejected> {
        check_version(self.faultless_progress, &[PROGRESS_VERSION])
    }
}
