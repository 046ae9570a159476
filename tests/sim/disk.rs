//! The simulated disks. The files are real files in a folder of a tmpfs; a disk decides before each call whether the call
//! waits, fails or is cut short, and keeps what a power cut would leave. Thread: the one of the run.
//!
//! A power cut leaves the sound, the headers and the names that were synced. Of what was not synced the seed keeps some
//! pages and some names.

pub(crate) use crate::fault::{Fault, Op, Planted, Trouble, Verdict};
use crate::image::{Image, PAGE, write_with_holes};
use crate::random::Random;
use nix::libc;
use nix::sys::stat::fstat;
use nix::sys::uio::{pread, pwrite};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A disk of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    Session,
    Mirror,
    Overflow,
}

pub(crate) const NAMES: [Name; 3] = [Name::Session, Name::Mirror, Name::Overflow];

impl Name {
    /// The folder of the disk below the folder of the run.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Name::Session => "session-disk",
            Name::Mirror => "mirror-disk",
            Name::Overflow => "overflow-disk",
        }
    }
}

/// A change of names that no sync of a folder has made durable.
#[derive(Clone, Debug)]
enum NameChange {
    Add(PathBuf, u64),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

impl NameChange {
    /// Whether a sync of `folder` makes the change durable. It makes the name of the folder itself durable too, and that of no
    /// folder above it.
    fn touches(&self, folder: &Path) -> bool {
        match self {
            NameChange::Add(path, IS_FOLDER) if folder == path => true,
            NameChange::Add(path, _) | NameChange::Remove(path) => path.parent() == Some(folder),
            NameChange::Rename(from, to) => from.parent() == Some(folder) || to.parent() == Some(folder),
        }
    }
}

/// Bytes of a block of a disk: a write with `O_DIRECT` has a whole number of them.
const BLOCK: u64 = 512;

/// Marks a folder among the durable names.
const IS_FOLDER: u64 = 0;

#[derive(Debug)]
struct Disk {
    name: Name,
    root: PathBuf,
    faults: Vec<Fault>,
    /// Bytes of the whole disk.
    size: u64,
    used: u64,
    /// By fault: the bytes in use when another program filled the disk.
    used_at: BTreeMap<usize, u64>,
    /// Names that a power cut leaves: the number of the file, or [`IS_FOLDER`].
    names: BTreeMap<PathBuf, u64>,
    changes: Vec<NameChange>,
}

/// All disks of a run.
#[derive(Debug, Default)]
pub(crate) struct Disks {
    each: Vec<Disk>,
    /// Files by their number, and the disk of each.
    images: BTreeMap<u64, (usize, Image)>,
    /// Files by their number: the name that each had first.
    first_names: BTreeMap<u64, String>,
    planted: Option<Planted>,
    /// How often a new session.json on the session's own disk was made durable.
    pub(crate) session_saves: u64,
    /// When another program has cut a file last.
    pub(crate) last_cut: Option<Duration>,
    sound_writes: u64,
    syncs: u64,
    /// Calls to disks of which about half fail.
    flaky_calls: u64,
    /// Files that were changed without having been created through the seam.
    pub(crate) strangers: Vec<String>,
    /// Numbers of files on no disk.
    in_memory: HashSet<u64>,
    /// Bytes of the largest file of a take.
    pub(crate) file_bytes_max: u64,
    /// Whether sound is written with `O_DIRECT`.
    pub(crate) o_direct: bool,
}

impl Disks {
    /// Disks with their folders below `root`.
    pub(crate) fn new(root: &Path, size: u64) -> Disks {
        let disk = |name: Name| {
            let root = root.join(name.folder());
            fs::create_dir_all(&root).expect("a folder of a disk");
            Disk {
                name,
                root,
                faults: Vec::new(),
                size,
                used: 0,
                used_at: BTreeMap::new(),
                names: BTreeMap::new(),
                changes: Vec::new(),
            }
        };
        Disks { each: NAMES.map(disk).into(), file_bytes_max: u64::MAX, ..Disks::default() }
    }

    pub(crate) fn plant(&mut self, planted: Planted) {
        self.planted = Some(planted);
    }

    pub(crate) fn planted(&self) -> Option<Planted> {
        self.planted
    }

    pub(crate) fn add_fault(&mut self, name: Name, fault: Fault) {
        self.each.iter_mut().filter(|disk| disk.name == name).for_each(|disk| disk.faults.push(fault));
    }

    /// All disks are repaired and have room.
    pub(crate) fn repair(&mut self) {
        self.file_bytes_max = u64::MAX;
        for disk in &mut self.each {
            disk.faults.clear();
            disk.size = u64::MAX;
        }
    }

    pub(crate) fn root(&self, name: Name) -> &Path {
        self.each.iter().find(|disk| disk.name == name).map_or(Path::new(""), |disk| &disk.root)
    }

    /// The disk that a path lies on.
    pub(crate) fn of_path(&self, path: &Path) -> Option<usize> {
        self.each.iter().position(|disk| is_below(path, &disk.root))
    }

    /// Whether no disk has a trouble now.
    pub(crate) fn is_quiet(&self, now: Duration) -> bool {
        self.each.iter().flat_map(|disk| &disk.faults).all(|fault| now < fault.from || fault.to <= now)
    }

    /// Whether files of a disk cannot be read or opened now.
    pub(crate) fn is_unreadable(&self, now: Duration) -> bool {
        let mut faults = self.each.iter().flat_map(|disk| &disk.faults);
        let is_unreadable = |trouble| matches!(trouble, Trouble::Unreadable(_) | Trouble::AskFails(_));
        faults.any(|fault| is_unreadable(fault.trouble) && fault.from <= now && now < fault.to)
    }

    /// The trouble of a disk with the question how much room it has.
    pub(crate) fn room_trouble(&self, disk: usize, now: Duration) -> Option<Trouble> {
        let faults = self.each[disk].faults.iter().filter(|fault| fault.from <= now && now < fault.to);
        let is_of_room =
            |trouble: &Trouble| matches!(trouble, Trouble::RoomUnknown | Trouble::RoomSlow(_) | Trouble::SaysFull);
        faults.map(|fault| fault.trouble).find(is_of_room)
    }

    /// The disk of a file of this number.
    pub(crate) fn of_file(&self, number: u64) -> Option<usize> {
        self.images.get(&number).map(|(disk, _)| *disk)
    }

    /// Whether a disk has had no trouble since `from`.
    pub(crate) fn is_calm_since(&self, name: Name, from: Duration, now: Duration) -> bool {
        let mut faults = self.each.iter().filter(|disk| disk.name == name).flat_map(|disk| &disk.faults);
        faults.all(|fault| fault.to < from || now < fault.from)
    }

    /// The name of the file of this number for the trace.
    pub(crate) fn name_of(&self, number: u64) -> &str {
        self.first_names.get(&number).map_or("memory", String::as_str)
    }

    /// A path for the trace: without the folder of the run.
    pub(crate) fn short_name(&self, path: &Path) -> String {
        let run = self.each.first().and_then(|disk| disk.root.parent()).unwrap_or(Path::new("/"));
        path.strip_prefix(run).unwrap_or(path).display().to_string()
    }

    /// Notes a file on a disk that was changed and not seen when it was made.
    pub(crate) fn check_stranger(&mut self, file: Option<(BorrowedFd<'_>, u64)>) {
        let Some((file, number)) = file.filter(|(_, number)| !self.in_memory.contains(number)) else { return };
        let Ok(path) = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())) else { return };
        if self.of_path(&path).is_some() {
            self.strangers.push(self.short_name(&path));
        } else {
            self.in_memory.insert(number);
        }
    }

    /// Bytes that are free on a disk.
    pub(crate) fn free(&mut self, disk: usize, now: Duration) -> u64 {
        let disk = &mut self.each[disk];
        let mut free = disk.size.saturating_sub(disk.used);
        for (index, fault) in disk.faults.iter().enumerate() {
            if let Trouble::Full(left) = fault.trouble
                && fault.from <= now
                && now < fault.to
            {
                let used_at = *disk.used_at.entry(index).or_insert(disk.used);
                free = free.min(left.saturating_sub(disk.used.saturating_sub(used_at)));
            }
        }
        free
    }

    /// Decides about a call.
    pub(crate) fn judge(&mut self, disk: usize, number: Option<u64>, op: &Op, now: Duration) -> Verdict {
        let free = self.free(disk, now);
        // The number of a file is another one in each run.
        let name = number.and_then(|number| self.first_names.get(&number)).map_or("", String::as_str);
        let is_every = |every: u64| name.bytes().map(u64::from).sum::<u64>().is_multiple_of(every);
        let is_take = Path::new(&name).extension().is_some_and(|it| it == "wav");
        let is_header = matches!(op, Op::Write { offset, .. } if *offset < PAGE) && is_take;
        let at = disk;
        let disk = &mut self.each[at];
        let mut fails = None;
        let mut spent = None;
        for (index, fault) in disk.faults.iter().enumerate() {
            if now < fault.from || fault.to <= now {
                continue;
            }
            match fault.trouble {
                Trouble::Stands => return Verdict::Wait(fault.to),
                Trouble::Fails(code) if op.changes() => fails = Some(code),
                Trouble::FailsOnce(code) if op.changes() => (fails, spent) = (Some(code), Some(index)),
                Trouble::Flaky(code) if op.changes() => {
                    self.flaky_calls += 1;
                    let is_bad = self.flaky_calls.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 63 == 0;
                    fails = fails.or(is_bad.then_some(code));
                }
                Trouble::Unreadable(every) if matches!(op, Op::Ask("read")) => {
                    fails = fails.or(is_every(every).then_some(libc::EIO));
                }
                Trouble::NoNewFiles if matches!(op, Op::Create | Op::MakeFolder) => fails = Some(libc::EACCES),
                Trouble::KeepsNames if matches!(op, Op::Rename(_)) => fails = Some(libc::EPERM),
                Trouble::Headers(code) if is_header => fails = Some(code),
                Trouble::FolderSyncs(code) if matches!(op, Op::SyncFolder) => fails = Some(code),
                Trouble::AskFails(name) if name == op.name() => fails = Some(libc::EIO),
                _ => {}
            }
        }
        if let Some(index) = spent {
            // It keeps its place, because others are known by theirs.
            disk.faults[index].to = now;
        }
        if let Some(code) = fails {
            return Verdict::Fail(code);
        }
        let length = match op {
            Op::Write { offset, bytes } | Op::Reserve { offset, bytes } => offset + bytes,
            Op::SetLength(length) => *length,
            _ => 0,
        };
        if is_take && self.file_bytes_max < length {
            // The kernel cuts a write at the largest size, and `O_DIRECT` refuses a rest that is no whole number of blocks.
            return match op {
                Op::Write { offset, .. } if *offset < self.file_bytes_max => match self.file_bytes_max - offset {
                    rest if self.o_direct && !rest.is_multiple_of(BLOCK) => Verdict::Fail(libc::EINVAL),
                    rest => Verdict::Short(rest),
                },
                _ => Verdict::Fail(libc::EFBIG),
            };
        }
        let image = number.and_then(|number| self.images.get(&number)).map(|(_, image)| image);
        let needed = match (op, image) {
            (Op::Write { offset, bytes } | Op::Reserve { offset, bytes }, Some(image)) => {
                image.new_blocks(*offset, *bytes)
            }
            (Op::Create | Op::MakeFolder | Op::Link(_), _) => PAGE,
            _ => 0,
        };
        if needed <= free {
            return Verdict::Go;
        }
        match (op, image) {
            (Op::Write { offset, bytes }, Some(image)) => {
                let mut fits = 0;
                while fits + PAGE <= *bytes && image.new_blocks(*offset, fits + PAGE) <= free {
                    fits += PAGE;
                }
                if fits == 0 { Verdict::Fail(libc::ENOSPC) } else { Verdict::Short(fits) }
            }
            _ => Verdict::Fail(libc::ENOSPC),
        }
    }

    /// Until when a disk stands still, if it does.
    pub(crate) fn stands_until(&self, disk: usize, now: Duration) -> Option<Duration> {
        let faults = self.each.get(disk)?.faults.iter();
        let stands = faults.filter(|fault| fault.trouble == Trouble::Stands && fault.from <= now && now < fault.to);
        stands.map(|fault| fault.to).max()
    }

    /// The longest delay of a call.
    pub(crate) fn delay_max(&self, disk: usize, now: Duration) -> Duration {
        let faults = self.each[disk].faults.iter().filter(|fault| fault.from <= now && now < fault.to);
        let slow = faults.filter_map(|fault| match fault.trouble {
            Trouble::Slow(time) => Some(time),
            _ => None,
        });
        slow.max().unwrap_or(Duration::ZERO)
    }

    /// Carries out the planted defect after a write of sound, if this is the write.
    fn spoil_write(&mut self, file: BorrowedFd<'_>, offset: u64, bytes: u64) {
        if offset < PAGE {
            return;
        }
        self.sound_writes += 1;
        let mut sound = vec![0; bytes as usize];
        match self.planted {
            Some(Planted::SkippedWrite(n)) if n == self.sound_writes => {
                pwrite(file, &sound, offset as i64).ok();
            }
            Some(Planted::WrongOffset(n)) if n == self.sound_writes => {
                pread(file, &mut sound, offset as i64).ok();
                pwrite(file, &sound, (offset + PAGE) as i64).ok();
            }
            _ => {}
        }
    }

    /// Whether the planted defect is that this sync does nothing.
    fn is_sync_idle(&mut self) -> bool {
        self.syncs += 1;
        matches!(self.planted, Some(Planted::IdleSync(n)) if n <= self.syncs)
    }

    /// A file was created.
    pub(crate) fn created(&mut self, path: &Path, number: u64) {
        let Some(disk) = self.of_path(path) else { return };
        self.first_names.insert(number, self.short_name(path));
        self.images.entry(number).or_insert_with(|| (disk, Image::default()));
        self.each[disk].changes.push(NameChange::Add(path.to_owned(), number));
    }

    /// Another program has made or replaced a file, and made it durable.
    pub(crate) fn foreign_file(&mut self, path: &Path) {
        let (Some(disk), Ok(bytes), Ok(found)) = (self.of_path(path), fs::read(path), fs::metadata(path)) else {
            return;
        };
        self.first_names.insert(found.ino(), self.short_name(path));
        let length = bytes.len() as u64;
        let (image, used) = Image::whole(bytes, length);
        self.each[disk].used += used;
        self.images.insert(found.ino(), (disk, image));
        apply(&mut self.each[disk].names, NameChange::Add(path.to_owned(), found.ino()));
    }

    /// Another program has given a file another name, and made that durable.
    pub(crate) fn foreign_rename(&mut self, from: &Path, to: &Path) {
        if let Some(disk) = self.of_path(from) {
            apply(&mut self.each[disk].names, NameChange::Rename(from.to_owned(), to.to_owned()));
        }
    }

    /// Another program has cut a file to `length` bytes, and made that durable.
    pub(crate) fn foreign_cut(&mut self, path: &Path, length: u64) {
        let number = fs::metadata(path).map_or(0, |found| found.ino());
        if let Some((disk, image)) = self.images.get_mut(&number) {
            self.each[*disk].used = self.each[*disk].used.saturating_sub(image.cut(length));
        }
    }

    /// Another program has removed a file.
    pub(crate) fn foreign_remove(&mut self, path: &Path) {
        if let Some(disk) = self.of_path(path) {
            apply(&mut self.each[disk].names, NameChange::Remove(path.to_owned()));
        }
    }

    /// Whether sound was written to a file and not synced yet, so that it is being recorded.
    pub(crate) fn is_open_for_sound(&self, path: &Path) -> bool {
        let number = fs::metadata(path).map_or(0, |data| data.ino());
        self.images.get(&number).is_some_and(|(_, image)| image.is_recorded)
    }

    /// A call has succeeded.
    pub(crate) fn done(&mut self, disk: usize, file: Option<(BorrowedFd<'_>, u64)>, path: Option<&Path>, op: &Op) {
        match (op, file, path) {
            (Op::Write { offset, bytes }, Some((file, number)), _) => {
                self.spoil_write(file, *offset, *bytes);
                if let Some((_, image)) = self.images.get_mut(&number) {
                    let used = image.take_blocks(*offset, *bytes);
                    image.dirty.push((*offset, *offset + *bytes));
                    image.is_recorded |= PAGE <= *offset;
                    self.each[disk].used += used;
                }
            }
            (Op::Reserve { offset, bytes }, Some((_, number)), _) => {
                if let Some((_, image)) = self.images.get_mut(&number) {
                    let used = image.take_blocks(*offset, *bytes);
                    self.each[disk].used += used;
                }
            }
            (Op::SetLength(length), Some((_, number)), _) => {
                if let Some((_, image)) = self.images.get_mut(&number) {
                    let given = image.give_blocks(*length);
                    // A take gets its length at its end.
                    image.is_recorded = false;
                    self.each[disk].used = self.each[disk].used.saturating_sub(given);
                }
            }
            (Op::SyncFile, Some((file, number)), _) if !self.is_sync_idle() => self.synced(file, number),
            (Op::SyncFolder, _, Some(folder)) => {
                let is_rename = |it: &NameChange| matches!(it, NameChange::Rename(..)) && it.touches(folder);
                let is_save = self.each[disk].name == Name::Session
                    && folder.ends_with("song")
                    && self.each[disk].changes.iter().any(is_rename);
                self.session_saves += u64::from(is_save);
                self.sync_names(disk, folder);
            }
            (Op::Rename(to), _, Some(from)) => {
                self.each[disk].changes.push(NameChange::Rename(from.to_owned(), to.clone()));
                // A file that is put back can be one of a take that has ended.
                let number = fs::metadata(to).map_or(0, |data| data.ino());
                if let Some((_, image)) = self.images.get_mut(&number) {
                    image.is_recorded = false;
                }
            }
            (Op::Link(to), _, Some(_)) => {
                if let Ok(found) = fs::symlink_metadata(to) {
                    self.each[disk].changes.push(NameChange::Add(to.clone(), found.ino()));
                }
            }
            (Op::Remove, _, Some(path)) => self.each[disk].changes.push(NameChange::Remove(path.to_owned())),
            (Op::MakeFolder, _, Some(path)) => {
                let disk = &mut self.each[disk];
                let mut folders: Vec<&Path> =
                    path.ancestors().filter(|it| *it != disk.root && it.starts_with(&disk.root)).collect();
                folders.reverse();
                let new = folders.into_iter().filter(|folder| !disk.names.contains_key(*folder));
                disk.changes.extend(new.map(|folder| NameChange::Add(folder.to_owned(), IS_FOLDER)));
            }
            _ => {}
        }
    }

    fn synced(&mut self, file: BorrowedFd<'_>, number: u64) {
        if let Some((_, image)) = self.images.get_mut(&number) {
            image.sync(file);
        }
    }

    /// A sync has failed.
    pub(crate) fn sync_failed(&mut self, file: BorrowedFd<'_>, number: u64, random: &mut Random) {
        if let Some((_, image)) = self.images.get_mut(&number) {
            image.fail_sync(file, random);
        }
    }

    fn sync_names(&mut self, disk: usize, folder: &Path) {
        let disk = &mut self.each[disk];
        let (now, later): (Vec<_>, Vec<_>) = disk.changes.drain(..).partition(|change| change.touches(folder));
        disk.changes = later;
        for change in now {
            apply(&mut disk.names, change);
        }
    }

    /// The power is cut: every disk is as it would be found afterwards. No file is open any more.
    pub(crate) fn cut_power(&mut self, random: &mut Random) -> io::Result<()> {
        for at in 0..self.each.len() {
            let changes = std::mem::take(&mut self.each[at].changes);
            let kept = random.below(changes.len() as u64 + 1) as usize;
            for change in changes.into_iter().take(kept) {
                apply(&mut self.each[at].names, change);
            }
            let mut files = Vec::new();
            let names = self.each[at].names.clone();
            let present = present_names(&self.each[at].root)?;
            for (path, number) in &names {
                let Some((_, image)) = self.images.get(number) else { continue };
                files.push((path.clone(), image.after_cut(present.get(number).map(PathBuf::as_path), random)?));
            }
            let root = self.each[at].root.clone();
            fs::remove_dir_all(&root)?;
            fs::create_dir_all(&root)?;
            for folder in names.iter().filter(|(_, number)| **number == IS_FOLDER).map(|(path, _)| path) {
                fs::create_dir_all(folder)?;
            }
            self.images.retain(|_, (disk, _)| *disk != at);
            self.each[at].names.retain(|_, number| *number == IS_FOLDER);
            self.each[at].used = 0;
            for (path, (bytes, length)) in files {
                if !path.parent().is_some_and(Path::is_dir) {
                    continue;
                }
                let number = write_with_holes(&path, &bytes, length)?;
                let (image, used) = Image::whole(bytes, length);
                self.each[at].used += used;
                self.images.insert(number, (at, image));
                self.first_names.insert(number, self.short_name(&path));
                self.each[at].names.insert(path, number);
            }
        }
        Ok(())
    }

    pub(crate) fn clear(&mut self) {
        self.each.clear();
        self.images.clear();
    }
}

/// `path.starts_with(folder)`. Compares bytes, because that costs much less than the components; nobody here writes a path in
/// two ways.
fn is_below(path: &Path, folder: &Path) -> bool {
    let (path_bytes, folder_bytes) = (path.as_os_str().as_bytes(), folder.as_os_str().as_bytes());
    match path_bytes.strip_prefix(folder_bytes) {
        Some(rest) => rest.is_empty() || rest.starts_with(b"/"),
        None => false,
    }
}

/// The number of an open file; 0 if it has none.
pub(crate) fn number_of(file: BorrowedFd<'_>) -> u64 {
    fstat(file).map_or(0, |found| found.st_ino)
}

fn apply(names: &mut BTreeMap<PathBuf, u64>, change: NameChange) {
    match change {
        NameChange::Add(path, number) => {
            names.insert(path, number);
        }
        NameChange::Remove(path) => {
            names.remove(&path);
        }
        NameChange::Rename(from, to) => {
            if let Some(number) = names.remove(&from) {
                names.insert(to, number);
            }
        }
    }
}

/// The names below `root` of the files by their numbers.
fn present_names(root: &Path) -> io::Result<HashMap<u64, PathBuf>> {
    let (mut folders, mut names) = (vec![root.to_owned()], HashMap::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            match entry.file_type()?.is_dir() {
                true => folders.push(entry.path()),
                false => drop(names.insert(entry.ino(), entry.path())),
            }
        }
    }
    Ok(names)
}
