//! Loads: activity of other programs, imitated while a scheme is measured. Thread: bench prepares and stops a load; its
//! own threads run it.

use super::{BenchError, at_path};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use serde::Serialize;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A kind of load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LoadKind {
    /// The machine is left alone.
    #[default]
    None,
    /// A thread calls `syncfs` without pause, as any program may. Each call writes back every dirty page, and the
    /// kernel write-protects a page while it does so.
    Sync,
    /// Two threads write random blocks of their own files and make each block durable.
    Disk,
    /// The process moves into a memory cgroup that is 30 MB larger than the windows, and a thread reads a file that
    /// does not fit into it.
    Memory,
}

impl fmt::Display for LoadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            LoadKind::None => "none",
            LoadKind::Sync => "sync",
            LoadKind::Disk => "disk",
            LoadKind::Memory => "memory",
        })
    }
}

impl FromStr for LoadKind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let kinds = [LoadKind::None, LoadKind::Sync, LoadKind::Disk, LoadKind::Memory];
        kinds
            .into_iter()
            .find(|kind| kind.to_string() == text)
            .ok_or_else(|| format!("{text}: unknown load; use none, sync, disk or memory"))
    }
}

const DISK_WRITERS: usize = 2;
const DISK_FILE_BYTES: u64 = 128 * 1024 * 1024;
const DISK_BLOCK_BYTES: usize = 64 * 1024;
/// Bytes that the memory cgroup allows beyond the windows and the program itself.
const MEMORY_SLACK_BYTES: u64 = 30_000_000;
const THRASH_BYTES_MIN: u64 = 128 * 1024 * 1024;
const THRASH_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Pause between two rounds of dropping the page cache. A round takes locks that a reader needs, too.
const DROP_PAUSE: Duration = Duration::from_millis(20);

/// A load that is ready to run, with its files and, for [`LoadKind::Memory`], its cgroup.
pub struct Load {
    kind: LoadKind,
    folder: PathBuf,
    files: Vec<PathBuf>,
    cgroup: Option<(MemoryCgroup, u64)>,
}

impl Load {
    /// Bytes of disk space that a load needs.
    pub fn file_bytes(kind: LoadKind) -> u64 {
        match kind {
            LoadKind::None | LoadKind::Sync => 0,
            LoadKind::Disk => DISK_WRITERS as u64 * DISK_FILE_BYTES,
            LoadKind::Memory => THRASH_BYTES_MAX,
        }
    }

    /// Makes the files of a load in `folder`. `window_bytes` is the memory of all windows of a scheme together.
    pub fn prepare(kind: LoadKind, folder: &Path, window_bytes: u64) -> Result<Load, BenchError> {
        let mut load = Load { kind, folder: folder.to_owned(), files: Vec::new(), cgroup: None };
        match kind {
            LoadKind::None | LoadKind::Sync => {}
            LoadKind::Disk => {
                for index in 0..DISK_WRITERS {
                    load.make_file(&format!("load-{index}"), DISK_FILE_BYTES)?;
                }
            }
            LoadKind::Memory => {
                if let Some(cgroup) = MemoryCgroup::enter() {
                    let limit = resident_bytes() + window_bytes + MEMORY_SLACK_BYTES;
                    load.make_file("load", (2 * limit).clamp(THRASH_BYTES_MIN, THRASH_BYTES_MAX))?;
                    load.cgroup = Some((cgroup, limit));
                }
            }
        }
        Ok(load)
    }

    fn make_file(&mut self, name: &str, bytes: u64) -> Result<(), BenchError> {
        let path = self.folder.join(name);
        let written = (|| -> io::Result<()> {
            let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
            let block = vec![0x5A; 1 << 20];
            for at in (0..bytes).step_by(block.len()) {
                file.write_all_at(&block, at)?;
            }
            file.sync_all()
        })();
        written.map_err(at_path(&path, "cannot write"))?;
        self.files.push(path);
        Ok(())
    }

    /// A warning for the report, if the load is weaker than intended.
    pub fn caveat(&self) -> Option<String> {
        let weaker = self.kind == LoadKind::Memory && self.cgroup.is_none();
        weaker.then(|| {
            "memory limit skipped: needs root or a delegated memory cgroup; the page cache is dropped over and over \
             instead, which writes mapped pages back but does not take them away"
                .to_owned()
        })
    }

    /// Starts the load. It runs until the returned value is stopped or dropped.
    pub fn start(&self) -> Result<RunningLoad<'_>, BenchError> {
        let mut running = RunningLoad { load: self, stop: Arc::default(), rounds: Arc::default(), threads: Vec::new() };
        match (self.kind, &self.cgroup) {
            (LoadKind::None, _) => {}
            (LoadKind::Sync, _) => {
                let folder = File::open(&self.folder).map_err(at_path(&self.folder, "cannot open"))?;
                running.repeat(move |_| Ok(nix::unistd::syncfs(&folder)?))?;
            }
            (LoadKind::Disk, _) => {
                for (index, path) in self.files.iter().enumerate() {
                    let file = OpenOptions::new().write(true).open(path).map_err(at_path(path, "cannot open"))?;
                    let block = vec![0xA5; DISK_BLOCK_BYTES];
                    let mut random = 0x9E37_79B9_7F4A_7C15 ^ (index as u64 + 1);
                    running.repeat(move |_| {
                        random = next_random(random);
                        let at = random % (DISK_FILE_BYTES / DISK_BLOCK_BYTES as u64) * DISK_BLOCK_BYTES as u64;
                        file.write_all_at(&block, at)?;
                        file.sync_data()
                    })?;
                }
            }
            (LoadKind::Memory, Some((cgroup, limit))) => {
                cgroup.limit(Some(*limit)).map_err(at_path(&cgroup.folder, "cannot set its limit"))?;
                for path in &self.files {
                    let mut file = File::open(path).map_err(at_path(path, "cannot open"))?;
                    let mut block = vec![0; 1 << 20];
                    running.repeat(move |stop| {
                        file.seek(SeekFrom::Start(0))?;
                        while !stop.load(Ordering::Relaxed) && file.read(&mut block)? > 0 {}
                        Ok(())
                    })?;
                }
            }
            (LoadKind::Memory, None) => {
                let files = files_of(&self.folder).map_err(at_path(&self.folder, "cannot list"))?;
                running.repeat(move |_| {
                    for file in &files {
                        posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
                    }
                    thread::sleep(DROP_PAUSE);
                    Ok(())
                })?;
            }
        }
        Ok(running)
    }
}

/// A load while it runs.
pub struct RunningLoad<'a> {
    load: &'a Load,
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicU64>,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

impl RunningLoad<'_> {
    /// Starts a thread that repeats `work` until the load is stopped or `work` fails.
    fn repeat(
        &mut self,
        mut work: impl FnMut(&AtomicBool) -> io::Result<()> + Send + 'static,
    ) -> Result<(), BenchError> {
        let (stop, rounds) = (Arc::clone(&self.stop), Arc::clone(&self.rounds));
        let thread = thread::Builder::new().name("bench-load".into()).spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                work(&stop)?;
                rounds.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        self.threads.push(thread.map_err(BenchError::Thread)?);
        Ok(())
    }

    /// Ends the load. Returns a description of how much it did.
    pub fn stop(mut self) -> String {
        let failed = self.end();
        let rounds = self.rounds.load(Ordering::Relaxed);
        let mut text = match (self.load.kind, &self.load.cgroup) {
            (LoadKind::None, _) => String::new(),
            (LoadKind::Sync, _) => format!("{rounds} syncs"),
            (LoadKind::Disk, _) => format!("{rounds} blocks of 64 KiB made durable"),
            (LoadKind::Memory, Some((cgroup, limit))) => {
                format!("limit {} MB hit {} times", limit / 1_000_000, cgroup.hits())
            }
            (LoadKind::Memory, None) => {
                format!("limit skipped: needs root or a delegated memory cgroup; cache dropped {rounds} times")
            }
        };
        if let Some(error) = failed {
            text = format!("{text}; the load failed: {error}");
        }
        text
    }

    /// How often the memory limit was reached so far; `None`: there is no limit.
    pub fn limit_hits(&self) -> Option<u64> {
        self.load.cgroup.as_ref().map(|(cgroup, _)| cgroup.hits())
    }

    fn end(&mut self) -> Option<io::Error> {
        self.stop.store(true, Ordering::Relaxed);
        // Join all threads before looking for a failure.
        let ended: Vec<_> = self.threads.drain(..).map(JoinHandle::join).collect();
        let failed = ended.into_iter().find_map(|ended| ended.ok()?.err());
        if let Some((cgroup, _)) = &self.load.cgroup
            && let Err(error) = cgroup.limit(None)
        {
            return Some(error);
        }
        failed
    }
}

impl Drop for RunningLoad<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

fn next_random(mut state: u64) -> u64 {
    state ^= state << 13;
    state ^= state >> 7;
    state ^ (state << 17)
}

fn files_of(folder: &Path) -> io::Result<Vec<File>> {
    fs::read_dir(folder)?.map(|entry| File::open(entry?.path())).collect()
}

/// Bytes that the program has in memory. The kernel charges pages from before the move to the old cgroup, so a limit
/// from this figure is rather too large than too small.
fn resident_bytes() -> u64 {
    fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|statm| statm.split(' ').nth(1)?.parse::<u64>().ok())
        .map_or(0, |pages| pages * crate::limits::PAGE_BYTES as u64)
}

/// A memory cgroup that this process has moved into. Dropping it moves the process back and removes the cgroup.
struct MemoryCgroup {
    folder: PathBuf,
    home: PathBuf,
    limit_file: &'static str,
    hits_before: AtomicU64,
}

impl MemoryCgroup {
    /// Makes a cgroup at the first place where this process may, and moves into it.
    fn enter() -> Option<MemoryCgroup> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        cgroup_places(&own, "memory", MEMORY_LIMITS).into_iter().find_map(|(home, parent, limit_file)| {
            let folder = parent.join(format!("faultless-bench-{}", std::process::id()));
            fs::create_dir(&folder).ok()?;
            // From here on, dropping `cgroup` removes it.
            let cgroup = MemoryCgroup { folder, home, limit_file, hits_before: AtomicU64::new(0) };
            let usable = cgroup.folder.join(limit_file).exists();
            (usable && fs::write(cgroup.folder.join("cgroup.procs"), std::process::id().to_string()).is_ok())
                .then_some(cgroup)
        })
    }

    fn limit(&self, bytes: Option<u64>) -> io::Result<()> {
        let none = if self.limit_file == "memory.max" { "max" } else { "-1" };
        if bytes.is_some() {
            self.hits_before.store(self.hits_ever(), Ordering::Relaxed);
        }
        let path = self.folder.join(self.limit_file);
        fs::write(path, bytes.map_or_else(|| none.to_owned(), |bytes| bytes.to_string()))
    }

    /// How often the limit was reached since it was set.
    fn hits(&self) -> u64 {
        self.hits_ever() - self.hits_before.load(Ordering::Relaxed)
    }

    fn hits_ever(&self) -> u64 {
        let failcnt = fs::read_to_string(self.folder.join("memory.failcnt")).ok();
        let events = fs::read_to_string(self.folder.join("memory.events")).ok();
        let from_events = events.and_then(|text| text.lines().find_map(|line| line.strip_prefix("max ")?.parse().ok()));
        failcnt.and_then(|text| text.trim().parse().ok()).or(from_events).unwrap_or(0)
    }
}

impl Drop for MemoryCgroup {
    fn drop(&mut self) {
        // Nothing can be done about a failure, and an empty cgroup harms nobody.
        fs::write(self.home.join("cgroup.procs"), std::process::id().to_string()).ok();
        fs::remove_dir(&self.folder).ok();
    }
}

/// Files of a cgroup that limit memory, in version 1 and 2.
const MEMORY_LIMITS: [&str; 2] = ["memory.limit_in_bytes", "memory.max"];

/// Reads the text of `/proc/self/cgroup`. Each result is the cgroup of this process, a folder in which a cgroup with
/// `controller` might be made, and the limit file of that version from `files`. Version 1 comes first: if both versions
/// are mounted, the controllers are in version 1.
pub(crate) fn cgroup_places(
    own: &str,
    controller: &str,
    files: [&'static str; 2],
) -> Vec<(PathBuf, PathBuf, &'static str)> {
    let mut places = Vec::new();
    for line in own.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let path = path.trim_start_matches('/');
        if controllers.split(',').any(|name| name == controller) {
            let home = Path::new("/sys/fs/cgroup").join(controller).join(path);
            places.insert(0, (home.clone(), home, files[0]));
        } else if controllers.is_empty() {
            let home = Path::new("/sys/fs/cgroup").join(path);
            // A cgroup of version 2 that contains processes cannot give controllers to its children. So try beside it
            // first, then inside.
            if let Some(parent) = home.parent().filter(|_| !path.is_empty()) {
                places.push((home.clone(), parent.to_owned(), files[1]));
            }
            places.push((home.clone(), home, files[1]));
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_load_is_known_by_its_name() {
        for kind in [LoadKind::None, LoadKind::Sync, LoadKind::Disk, LoadKind::Memory] {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert!("heat".parse::<LoadKind>().is_err());
    }

    #[test]
    fn a_cgroup_is_sought_where_the_process_is() {
        let places = cgroup_places("3:cpu:/a\n2:memory:/a/b\n0::/\n", "memory", MEMORY_LIMITS);
        let home = PathBuf::from("/sys/fs/cgroup/memory/a/b");
        assert_eq!(places[0], (home.clone(), home, "memory.limit_in_bytes"));
        let unified = cgroup_places("0::/user.slice/app\n", "memory", MEMORY_LIMITS);
        let parents: Vec<_> = unified.iter().map(|place| place.1.to_str().unwrap()).collect();
        assert_eq!(parents, ["/sys/fs/cgroup/user.slice", "/sys/fs/cgroup/user.slice/app"]);
    }
}
