//! A process: its mappings of files by smaps and pagemap, and the faults of its threads. Thread: any but audio.
//!
//! `/proc/PID/smaps` and `/proc/PID/pagemap` may be read by the user of the process, unless it has changed its user or
//! forbids it (`prctl`), and by root. The kernel walks the page tables of the process for them and holds its memory map
//! meanwhile.

use super::lane::Lane;
use super::{FILES_MAX, FileLook, MappedLook, ProcessLook, ThreadLook, files};
use crate::limits::PAGE_BYTES;
use crate::window::kernel_pages::{PageEntry, Pagemap};
use procfs::ProcError;
use procfs::process::{MMapPath, MemoryMap, Process, VmFlags};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Pages of a mapped file that are looked at one by one: 64 GiB. Of a longer file only the sums are known.
const PAGES_MAX: u64 = 1 << 24;

const PAGE: u64 = PAGE_BYTES as u64;

/// A file by device and inode, as in `/proc/PID/maps`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct FileId {
    device: (u64, u64),
    inode: u64,
}

impl FileId {
    pub(super) fn of(file: &File) -> io::Result<FileId> {
        let metadata = file.metadata()?;
        let device = metadata.dev();
        let device = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
        Ok(FileId { device, inode: metadata.ino() })
    }
}

/// One mapping of a file.
#[derive(Clone, Debug)]
struct Span {
    address: u64,
    bytes: u64,
    /// Offset in the file.
    offset: u64,
    is_locked: bool,
    look: MappedLook,
}

/// The mappings of a process.
pub(super) struct Mapped {
    pid: i32,
    pagemap: Option<Pagemap>,
    pub(super) anonymous: Option<MappedLook>,
    files: BTreeMap<PathBuf, (FileId, Vec<Span>)>,
}

/// The mappings of one file, and the page table to look them up in.
pub(super) struct OfFile<'a> {
    spans: Vec<Span>,
    pagemap: Option<&'a mut Pagemap>,
}

/// Faults of the threads of a process, by thread.
#[derive(Debug, Default)]
pub(super) struct Faults(BTreeMap<i32, (String, u64, u64)>);

fn gone(pid: i32) -> String {
    format!("process {pid}: there is no such process, or it has ended")
}

/// Name of the process.
pub(super) fn look(pid: i32) -> Result<ProcessLook, String> {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => format!("process {pid}: not permitted; run as its user, or with sudo"),
        _ => gone(pid),
    })?;
    Ok(ProcessLook { pid, name: name.trim_end().to_owned(), anonymous: None, threads: Vec::new() })
}

/// Faults of each thread. A process that shows none to this user is noted.
pub(super) fn faults(pid: i32, notes: &mut Vec<String>) -> Result<Faults, String> {
    let tasks = Process::new(pid).and_then(|process| process.tasks()).map_err(|_| gone(pid))?;
    // A thread may end while it is read.
    let stats = tasks.flatten().filter_map(|task| Some((task.tid, task.stat().ok()?)));
    let faults = Faults(stats.map(|(tid, stat)| (tid, (stat.comm, stat.minflt, stat.majflt))).collect());
    if faults.0.is_empty() {
        notes.push(format!("process {pid}: the faults of its threads are not known; run as its user, or with sudo"));
    }
    Ok(faults)
}

impl Faults {
    /// The threads, those with most faults first: by rate, then by number.
    pub(super) fn looks(&self, before: Option<&Faults>, seconds: f64) -> Vec<ThreadLook> {
        let look = |(tid, (name, minor, major)): (&i32, &(String, u64, u64))| {
            let earlier = before.and_then(|before| before.0.get(tid)).filter(|_| seconds > 0.0);
            let rate = |now: u64, then: u64| (now.saturating_sub(then) as f64 / seconds * 10.0).round() / 10.0;
            ThreadLook {
                tid: *tid,
                name: name.clone(),
                minor_faults: *minor,
                major_faults: *major,
                minor_faults_per_second: earlier.map(|(_, then, _)| rate(*minor, *then)),
                major_faults_per_second: earlier.map(|(_, _, then)| rate(*major, *then)),
            }
        };
        let mut looks: Vec<ThreadLook> = self.0.iter().map(look).collect();
        let rank = |look: &ThreadLook| {
            let rate = |rate: Option<f64>| rate.unwrap_or(0.0);
            (rate(look.major_faults_per_second), rate(look.minor_faults_per_second))
        };
        looks.sort_by(|a, b| {
            let by_rate = rank(b).partial_cmp(&rank(a)).unwrap_or(std::cmp::Ordering::Equal);
            by_rate
                .then((b.major_faults, b.minor_faults).cmp(&(a.major_faults, a.minor_faults)))
                .then(a.tid.cmp(&b.tid))
        });
        looks
    }
}

/// The mappings of a process. If they are not permitted, there are none, and a note says how to get them.
pub(super) fn mapped(pid: i32, notes: &mut Vec<String>) -> Result<Mapped, String> {
    let mut mapped = Mapped { pid, pagemap: None, anonymous: None, files: BTreeMap::new() };
    let maps = match Process::new(pid).and_then(|process| process.smaps()) {
        Ok(maps) => maps,
        Err(ProcError::NotFound(_)) => return Err(gone(pid)),
        Err(error) => {
            let reason = match error {
                ProcError::PermissionDenied(_) => "not permitted".to_owned(),
                other => other.to_string(),
            };
            notes.push(format!("process {pid}: its mappings are not known: {reason}; run as its user, or with sudo"));
            return Ok(mapped);
        }
    };
    let mut anonymous = MappedLook::default();
    for map in maps.0 {
        let span = Span::of(&map);
        let MMapPath::Path(path) = &map.pathname else {
            anonymous.add(&span.look);
            continue;
        };
        // Memory that a program wrote to a private mapping of a file counts to the file, as in smaps.
        let device = (map.dev.0 as u64, map.dev.1 as u64);
        let id = FileId { device, inode: map.inode };
        mapped.files.entry(path.clone()).or_insert((id, Vec::new())).1.push(span);
    }
    mapped.anonymous = Some(anonymous);
    mapped.pagemap = Pagemap::of(pid).ok();
    if mapped.pagemap.is_none() {
        notes.push(format!("process {pid}: /proc/{pid}/pagemap is not permitted; lanes show the page cache only"));
    }
    Ok(mapped)
}

impl MappedLook {
    fn add(&mut self, other: &MappedLook) {
        self.mapped_bytes += other.mapped_bytes;
        self.in_page_tables_bytes += other.in_page_tables_bytes;
        self.locked_bytes += other.locked_bytes;
        self.swapped_bytes += other.swapped_bytes;
    }
}

impl Span {
    fn of(map: &MemoryMap) -> Span {
        let field = |name: &str| map.extension.map.get(name).copied().unwrap_or(0);
        let is_locked = map.extension.vm_flags.contains(VmFlags::LO);
        let bytes = map.address.1.saturating_sub(map.address.0);
        let look = MappedLook {
            mapped_bytes: bytes,
            in_page_tables_bytes: field("Rss"),
            // The field `Locked` counts a page that several processes map only in part.
            locked_bytes: if is_locked { field("Rss") } else { 0 },
            swapped_bytes: field("Swap"),
        };
        Span { address: map.address.0, bytes, offset: map.offset, is_locked, look }
    }
}

impl Mapped {
    /// The mappings of one file. Some file systems (btrfs, overlay) show another device number in the mappings than in
    /// the status of the file; there inode and path must fit.
    pub(super) fn of_file(&mut self, path: &Path, id: FileId) -> OfFile<'_> {
        let fits = |(found, of): &(&PathBuf, &(FileId, Vec<Span>))| {
            of.0 == id || (of.0.inode == id.inode && found.as_path() == path)
        };
        let found = self.files.iter().filter(fits);
        OfFile { spans: found.flat_map(|(_, (_, spans))| spans.clone()).collect(), pagemap: self.pagemap.as_mut() }
    }

    /// All files that are mapped, those with most locked memory first, then those with most memory in the page tables.
    pub(super) fn looks(&mut self, cells: usize, notes: &mut Vec<String>) -> Vec<FileLook> {
        let sum = |spans: &[Span]| {
            let mut sum = MappedLook::default();
            for span in spans {
                sum.add(&span.look);
            }
            sum
        };
        let mut files: Vec<(PathBuf, FileId, MappedLook)> =
            self.files.iter().map(|(path, (id, spans))| (path.clone(), *id, sum(spans))).collect();
        files.sort_by_key(|(_, _, look)| std::cmp::Reverse((look.locked_bytes, look.in_page_tables_bytes)));
        if FILES_MAX < files.len() {
            notes.push(format!("{} more files are mapped and not shown", files.len() - FILES_MAX));
            files.truncate(FILES_MAX);
        }
        // One sentence about all files of other users, in place of one for each.
        let (mut private_notes, mut refused) = (Vec::new(), 0);
        let mut looks = Vec::new();
        for (path, id, sum) in files {
            let name = path.display().to_string();
            match self.open(&path, id) {
                Ok(file) => {
                    let look = files::look(name, &file, cells, Some(self.of_file(&path, id)), &mut private_notes);
                    refused += usize::from(look.cached_bytes.is_none());
                    looks.push(look);
                }
                Err(problem) => looks.push(files::without_file(name, sum, problem)),
            }
        }
        if refused > 0 {
            notes.push(format!(
                "{refused} of the files: the kernel tells their page cache only to their owner and to those who may write \
                 them; run with sudo"
            ));
        } else {
            notes.extend(private_notes.into_iter().filter(|note| !note.contains("in memory only")));
        }
        looks
    }

    /// Opens a mapped file: through the process, because its path may be removed, or mean another file here.
    fn open(&self, path: &Path, id: FileId) -> Result<File, String> {
        let spans = self.files.get(path).map(|(_, spans)| spans.as_slice()).unwrap_or_default();
        let by_address = spans.first().map(|span| {
            PathBuf::from(format!("/proc/{}/map_files/{:x}-{:x}", self.pid, span.address, span.address + span.bytes))
        });
        let below = Path::new("/proc").join(self.pid.to_string()).join("root");
        let by_path = below.join(path.strip_prefix("/").unwrap_or(path));
        let mut reason = "its file is gone, and only root may look at it";
        for candidate in [Some(by_path), by_address].into_iter().flatten() {
            // The status is asked for first: opening a device can have effects.
            let Ok(metadata) = std::fs::metadata(&candidate) else { continue };
            if !metadata.is_file() {
                reason = "it is no regular file";
                continue;
            }
            match File::open(&candidate) {
                Ok(file) if FileId::of(&file).is_ok_and(|found| found.inode == id.inode) => return Ok(file),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    reason = "it may not be read by this user; run with sudo";
                }
                Ok(_) | Err(_) => {}
            }
        }
        Err(reason.to_owned())
    }
}

impl OfFile<'_> {
    /// The part of the file from the first mapped byte to the last; `None` if nothing is mapped.
    pub(super) fn range(&self) -> Option<(u64, u64)> {
        let from = self.spans.iter().map(|span| span.offset).min()?;
        let to = self.spans.iter().map(|span| span.offset + span.bytes).max()?;
        Some((from, to))
    }

    /// Adds the pages of the process to a lane of the file. Returns the sums.
    pub(super) fn add_to(self, lane: &mut Lane, notes: &mut Vec<String>) -> MappedLook {
        let mut sum = MappedLook::default();
        self.spans.iter().for_each(|span| sum.add(&span.look));
        let pages: u64 = lane.cells.iter().map(|cell| cell.pages).sum();
        let Some(pagemap) = self.pagemap.filter(|_| !self.spans.is_empty()) else { return sum };
        if PAGES_MAX < pages {
            let gib = (pages * PAGE) >> 30;
            notes.push(format!("{gib} GiB of one file are too long to look at each page; the sums are exact"));
            return sum;
        }
        // A page that is mapped in several places counts once.
        let mut found = vec![PageEntry::default(); pages as usize];
        for span in &self.spans {
            let first = (span.offset.saturating_sub(lane.first_byte) / PAGE).min(pages);
            // A mapping may be longer than its file.
            let count = (span.bytes / PAGE).min(pages - first) as usize;
            let Ok(entries) = pagemap.entries(span.address as usize, count) else { continue };
            for (entry, found) in entries.zip(&mut found[first as usize..]) {
                found.present |= entry.present;
                found.swapped |= entry.swapped;
                found.locked |= entry.present && span.is_locked;
            }
        }
        for (page, entry) in found.iter().enumerate().filter(|(_, entry)| **entry != PageEntry::default()) {
            if let Some(cell) = lane.cell_at(lane.first_byte + page as u64 * PAGE) {
                cell.in_page_tables += u64::from(entry.present);
                cell.locked += u64::from(entry.locked);
                cell.swapped += u64::from(entry.swapped);
            }
        }
        sum
    }
}
