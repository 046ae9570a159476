//! Reads the kernel's tracepoints of writeback and sync, and makes [`DiskWork`] of them. Thread: watcher.
//!
//! The tracepoints of system calls are not used: while one is open, each call of each thread of the machine takes the
//! kernel's slow path, and the audio thread's calls too. Writeback and the file systems have tracepoints of their own.

use super::disk_work::{DiskWork, DiskWorkLog, WorkKind};
use super::ledger::Ledger;
use crate::file_system::name_of as file_system_of;
use crate::rt::page_faults::Refusal;
use crate::rt::tracepoint_format::TracepointFormat;
use crate::rt::tracepoints::{MachineEvent, MachineEvents};
use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Weak};

/// A tracepoint that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Point {
    WritebackBegins,
    WritebackEnds,
    /// The pages of one file were written.
    FileWritten,
    /// A process asks for writeback.
    WritebackAsked,
    FileSyncBegins,
    FileSyncEnds,
    /// The sync of a file, of whose end the file system has no tracepoint.
    FileSync,
    FileSystemSync,
}

/// The tracepoints, by the type of file system that has them; empty: the kernel itself.
const POINTS: [(&str, &str, Point); 11] = [
    ("", "writeback/writeback_start", Point::WritebackBegins),
    ("", "writeback/writeback_written", Point::WritebackEnds),
    ("", "writeback/writeback_single_inode", Point::FileWritten),
    ("", "writeback/writeback_queue", Point::WritebackAsked),
    ("ext4", "ext4/ext4_sync_file_enter", Point::FileSyncBegins),
    ("ext4", "ext4/ext4_sync_file_exit", Point::FileSyncEnds),
    ("ext4", "ext4/ext4_sync_fs", Point::FileSystemSync),
    ("xfs", "xfs/xfs_file_fsync", Point::FileSync),
    ("xfs", "xfs/xfs_fs_sync_fs", Point::FileSystemSync),
    ("btrfs", "btrfs/btrfs_sync_file", Point::FileSync),
    ("btrfs", "btrfs/btrfs_sync_fs", Point::FileSystemSync),
];

/// Names of processes, begun runs and begun syncs that are kept at the most, each.
const KEPT_MAX: usize = 2048;

/// Work of one kind by one process is one piece if it continues within this time.
const GAP_NS: u64 = 50_000_000;

/// The tracepoints of this machine, open.
#[derive(Debug)]
pub struct DiskWorkReader {
    events: MachineEvents,
    points: Vec<Point>,
    /// The types of file systems whose syncs are seen.
    seen: BTreeSet<&'static str>,
    /// The files of the takes whose file systems were looked at last. Nothing here keeps them open.
    looked_at: Vec<Weak<File>>,
    /// Names of processes that have become another program.
    names: HashMap<i32, String>,
    runs: Runs,
    /// The disk as the kernel's writeback calls it, for a device number.
    disks: HashMap<u64, Option<String>>,
}

impl DiskWorkReader {
    /// Opens the tracepoints of writeback, and those of the file systems that are mounted.
    pub fn open() -> Result<DiskWorkReader, Refusal> {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let mounted = |kind: &str| mounts.lines().any(|line| line.split(' ').nth(2) == Some(kind));
        let wanted: Vec<_> = POINTS.iter().filter(|(kind, _, _)| kind.is_empty() || mounted(kind)).collect();
        let names: Vec<&str> = wanted.iter().map(|(_, name, _)| *name).collect();
        let events = MachineEvents::open(&names)?;
        // A kernel may lack a tracepoint.
        let is_open = |(at, _): &(usize, &&(&'static str, &str, Point))| events.format(*at).is_some();
        let is_sync = |point: Point| matches!(point, Point::FileSyncBegins | Point::FileSync);
        let seen = wanted.iter().enumerate().filter(is_open).filter(|(_, (_, _, point))| is_sync(*point));
        Ok(DiskWorkReader {
            seen: seen.map(|(_, (kind, _, _))| *kind).collect(),
            looked_at: Vec::new(),
            events,
            points: wanted.iter().map(|(_, _, point)| *point).collect(),
            names: HashMap::new(),
            runs: Runs::new(std::process::id() as i32),
            disks: HashMap::new(),
        })
    }

    /// Moves the work since the last call into the log.
    pub(super) fn read(&mut self, ledger: &Ledger, log: &DiskWorkLog) {
        self.look_at_file_systems(ledger, log);
        let drained = self.events.drain();
        if KEPT_MAX < self.names.len() + drained.names.len() {
            self.names.clear();
        }
        self.names.extend(drained.names);
        if drained.events.is_empty() {
            if drained.lost > 0 {
                log.push(Vec::new(), drained.lost);
            }
            return;
        }
        let takes = self.takes(ledger);
        for event in &drained.events {
            let Some(point) = self.points.get(event.tracepoint) else { continue };
            if let Some(format) = self.events.format(event.tracepoint) {
                self.runs.add(event, *point, format, &takes);
            }
        }
        let mut found = self.runs.finish();
        let mut alive = HashMap::new();
        for work in &mut found {
            let name = alive.entry(work.pid).or_insert_with(|| name_of(work.pid));
            work.program = name.clone().or_else(|| self.names.get(&work.pid).cloned()).unwrap_or_default();
        }
        log.push(found, drained.lost);
    }

    /// Notes in the log if syncs on the file systems of the takes are not seen. Asks when other takes are recorded.
    fn look_at_file_systems(&mut self, ledger: &Ledger, log: &DiskWorkLog) {
        let files: Vec<Arc<File>> = ledger.takes().iter().filter_map(|take| take.wav()).collect();
        let is_known = files.len() == self.looked_at.len()
            && files.iter().zip(&self.looked_at).all(|(now, before)| Arc::as_ptr(now) == before.as_ptr());
        if is_known {
            return;
        }
        let mut devices = BTreeSet::new();
        let is_new = |file: &&Arc<File>| file.metadata().is_ok_and(|metadata| devices.insert(metadata.dev()));
        let kinds: BTreeSet<String> = files.iter().filter(is_new).filter_map(file_system_of).collect();
        // The files of the last takes stay the ones that the log of the last minute is about.
        if !files.is_empty() {
            log.set_unseen(unseen(&kinds, &self.seen));
        }
        self.looked_at = files.iter().map(Arc::downgrade).collect();
    }

    /// Number and disk of the takes that are recorded.
    fn takes(&mut self, ledger: &Ledger) -> Takes {
        let takes = ledger.takes();
        let metadata = takes.iter().filter_map(|take| take.wav()?.metadata().ok());
        let known = metadata.map(|metadata| {
            let device = metadata.dev();
            let disk = self.disks.entry(device).or_insert_with(|| disk_of(device)).clone();
            (metadata.ino(), (device_name(device), disk))
        });
        Takes(known.collect())
    }
}

/// Why syncs on file systems of these types are not seen; `None`: all are. `seen`: the types whose tracepoints are
/// open.
fn unseen(kinds: &BTreeSet<String>, seen: &BTreeSet<&str>) -> Option<String> {
    let is_seen = |kind: &str| seen.iter().any(|seen| kind.starts_with(seen));
    // A sync of tmpfs does nothing.
    let blind = || kinds.iter().filter(|kind| *kind != "tmpfs" && !is_seen(kind)).map(String::as_str);
    let has_points = |kind: &str| POINTS.iter().any(|(of, name, _)| *of == kind && name.contains("sync"));
    let (late, never): (Vec<&str>, Vec<&str>) = blind().partition(|kind| has_points(kind));
    let late = (!late.is_empty()).then(|| {
        let kinds = late.join(" and ");
        format!("syncs on {kinds} are not seen, as no such disk was mounted when the session was opened; open it again")
    });
    let never = (!never.is_empty()).then(|| format!("the kernel does not report syncs on {}", never.join(" and ")));
    let reasons: Vec<String> = late.into_iter().chain(never).collect();
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// Why tracepoints cannot be opened; `None` if they can.
pub fn examine() -> Option<Refusal> {
    DiskWorkReader::open().err()
}

/// The takes by their numbers: the device, and the disk as the kernel's writeback calls it.
#[derive(Debug, Default)]
struct Takes(HashMap<u64, (String, Option<String>)>);

impl Takes {
    fn has(&self, inode: u64, disk: &str) -> bool {
        self.0.get(&inode).is_some_and(|(device, of_writeback)| {
            disk.is_empty() || device == disk || of_writeback.as_ref().is_none_or(|name| name == disk)
        })
    }
}

fn device_name(device: u64) -> String {
    format!("{}:{}", nix::sys::stat::major(device), nix::sys::stat::minor(device))
}

/// The name of the disk of a device: of a partition, that of the whole disk. `None`: it has none, as on btrfs.
fn disk_of(device: u64) -> Option<String> {
    let folder = format!("/sys/dev/block/{}", device_name(device));
    let link = fs::read_link(format!("{folder}/bdi")).or_else(|_| fs::read_link(format!("{folder}/../bdi"))).ok()?;
    Some(link.file_name()?.to_string_lossy().into_owned())
}

/// The name of a living process. That of a thread of the kernel is without the work that it has at this moment.
fn name_of(pid: i32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    let name = name.trim_end();
    let is_worker = name.starts_with("kworker/");
    Some(name.split(['-', '+']).next().filter(|_| is_worker).unwrap_or(name).to_owned())
}

/// Makes work of events: pairs begins with ends, and joins what continues.
#[derive(Debug)]
struct Runs {
    /// This process. What it does itself is not the work of others.
    own: i32,
    /// Runs of writeback by their threads: begin, and pages so far.
    begun: HashMap<i32, (u64, u64)>,
    /// Begins of syncs by their threads.
    syncs: HashMap<i32, u64>,
    found: Vec<DiskWork>,
}

impl Runs {
    fn new(own: i32) -> Runs {
        Runs { own, begun: HashMap::new(), syncs: HashMap::new(), found: Vec::new() }
    }

    fn add(&mut self, event: &MachineEvent, point: Point, format: &TracepointFormat, takes: &Takes) {
        if event.pid == self.own {
            return;
        }
        // The end of a thread's run or sync is lost if the ring was full.
        if KEPT_MAX < self.begun.len() + self.syncs.len() {
            (self.begun, self.syncs) = (HashMap::new(), HashMap::new());
        }
        let record = &event.record;
        let number = |field: &str| format.number(record, field);
        let disk = format.text(record, "name").or_else(|| number("dev").map(|dev| kernel_device(dev as u64)));
        let inode = number("ino").unwrap_or(0) as u64;
        let reason = || format.word(record, "reason").unwrap_or_default().to_owned();
        let work = |kind, word: &str, took_ns, pages| DiskWork {
            at_ns: event.at_ns,
            took_ns,
            kind,
            pid: event.pid,
            program: String::new(),
            word: word.to_owned(),
            disk: disk.clone().unwrap_or_default(),
            inode: 0,
            is_take: false,
            pages,
            count: 1,
        };
        let is_take = || takes.has(inode, disk.as_deref().unwrap_or_default());
        match point {
            Point::WritebackBegins => drop(self.begun.insert(event.tid, (event.at_ns, 0))),
            Point::FileWritten => {
                let pages = number("wrote").unwrap_or(0) as u64;
                if let Some((_, of_run)) = self.begun.get_mut(&event.tid) {
                    *of_run += pages;
                }
                if pages > 0 && is_take() {
                    self.join(DiskWork { inode, is_take: true, ..work(WorkKind::TakeWriteback, "", 0, pages) });
                }
            }
            Point::WritebackEnds => {
                let Some((began_ns, pages)) = self.begun.remove(&event.tid) else { return };
                if pages > 0 {
                    let took_ns = event.at_ns.saturating_sub(began_ns);
                    let run = work(WorkKind::Writeback, &reason(), took_ns, pages);
                    self.give_reason(&run, began_ns);
                    self.join(run);
                }
            }
            Point::WritebackAsked if reason() == "sync" => self.join(work(WorkKind::SystemSync, "sync", 0, 0)),
            Point::WritebackAsked => {}
            Point::FileSystemSync => self.join(work(WorkKind::SystemSync, "sync", 0, 0)),
            Point::FileSyncBegins | Point::FileSync => {
                if point == Point::FileSyncBegins {
                    self.syncs.insert(event.tid, event.at_ns);
                }
                let word = if number("datasync").is_some_and(|only| only != 0) { "fdatasync" } else { "fsync" };
                self.join(DiskWork { inode, is_take: is_take(), ..work(WorkKind::FileSync, word, 0, 0) });
            }
            Point::FileSyncEnds => {
                let Some(began_ns) = self.syncs.remove(&event.tid) else { return };
                let is_it = |work: &&mut DiskWork| work.pid == event.pid && work.kind == WorkKind::FileSync;
                if let Some(work) = self.found.iter_mut().rev().find(is_it) {
                    work.took_ns += event.at_ns.saturating_sub(began_ns.max(work.at_ns));
                    work.at_ns = event.at_ns;
                }
            }
        }
    }

    /// The writeback of a take has the reason of the run that it was part of.
    fn give_reason(&mut self, run: &DiskWork, began_ns: u64) {
        let is_part = |work: &&mut DiskWork| {
            work.kind == WorkKind::TakeWriteback
                && work.pid == run.pid
                && began_ns <= work.at_ns
                && work.word.is_empty()
        };
        self.found.iter_mut().filter(is_part).for_each(|work| work.word.clone_from(&run.word));
    }

    /// Adds work to a piece that it continues, or as a new piece.
    fn join(&mut self, next: DiskWork) {
        let began_ns = next.at_ns.saturating_sub(next.took_ns);
        let continues = |last: &&mut DiskWork| {
            let is_same =
                (last.kind, last.pid, last.is_take, &last.word) == (next.kind, next.pid, next.is_take, &next.word);
            let is_same_file = last.inode == next.inode || (next.kind == WorkKind::FileSync && !next.is_take);
            is_same && is_same_file && began_ns.saturating_sub(last.at_ns) <= GAP_NS
        };
        match self.found.iter_mut().rev().find(continues) {
            Some(last) => {
                last.took_ns += next.at_ns.saturating_sub(last.at_ns);
                last.at_ns = last.at_ns.max(next.at_ns);
                last.pages += next.pages;
                last.count = last.count.saturating_add(1);
                if last.inode != next.inode {
                    last.inode = 0;
                }
            }
            None => self.found.push(next),
        }
    }

    /// The work since the last call, in the order of its ends.
    fn finish(&mut self) -> Vec<DiskWork> {
        let mut found = std::mem::take(&mut self.found);
        found.sort_by_key(|work| work.at_ns);
        found
    }
}

/// A device number as the kernel has it within itself.
fn kernel_device(device: u64) -> String {
    format!("{}:{}", device >> 20, device & 0xF_FFFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syncs_on_a_file_system_without_tracepoints_and_on_one_that_was_mounted_later_are_called_unseen() {
        let unseen = |kinds: &[&str], seen: &[&'static str]| {
            let kinds = kinds.iter().map(|kind| (*kind).to_owned()).collect();
            unseen(&kinds, &seen.iter().copied().collect())
        };
        assert_eq!(unseen(&["ext4", "tmpfs"], &["ext4"]), None);
        assert_eq!(unseen(&["exfat", "ext4"], &["ext4"]).unwrap(), "the kernel does not report syncs on exfat");
        let later = unseen(&["ext4"], &["btrfs"]).unwrap();
        assert!(later.starts_with("syncs on ext4 are not seen") && later.ends_with("open it again"), "{later}");
        assert_eq!(unseen(&["f2fs", "ntfs3"], &[]).unwrap(), "the kernel does not report syncs on f2fs and ntfs3");
    }
}
