//! Runs the stresses: prepare, start, stop. Thread: the stress test's owns them; each stress has one or two threads of
//! its own.

use super::freeze::{Freeze, Frozen};
use super::scratch::{self, ScratchFolder};
use super::throttle::Throttle;
use super::{Options, RATE, SAMPLE_BYTES, StressKind};
use crate::diagnostics::bench::load::{Load, LoadKind, RunningLoad};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;

/// Speed of the throttled disk; more if the recording itself needs more.
const SLOW_BYTES_PER_SECOND: u64 = 20_000_000;

/// Least and most bytes of the file that fills the page cache.
const CACHE_BYTES_RANGE: (u64, u64) = (64 << 20, 512 << 20);

const FREEZE_SECONDS_MAX: f64 = 30.0;

/// Free space that must be left.
const SPARE_BYTES: u64 = 64 << 20;

/// A stress that is ready to start.
pub(super) enum Disturbance {
    Nothing,
    Load(Load),
    Cache(PathBuf),
    Slow { throttle: Throttle, neighbours: Load, bytes_per_second: u64 },
    Freeze(Freeze),
}

/// A stress that runs. Dropping it ends it.
pub(super) enum RunningDisturbance<'a> {
    Nothing,
    Load(RunningLoad<'a>),
    Cache(Reader),
    Slow { throttle: &'a Throttle, neighbours: RunningLoad<'a>, bytes_per_second: u64 },
    Freeze(Frozen),
}

/// Duration of a freeze: most of the rehearsal. Its end is recorded on a disk that works again.
pub(super) fn freeze_seconds(seconds: f64) -> f64 {
    (0.6 * seconds).min(FREEZE_SECONDS_MAX)
}

impl Disturbance {
    /// Makes the files that the stress needs, beside the folder `session` that will be recorded into. The error is the
    /// reason why the stress cannot run here.
    pub(super) fn prepare(
        kind: StressKind,
        options: &Options,
        scratch: &ScratchFolder,
        session: &Path,
    ) -> Result<Disturbance, String> {
        let speed = options.inputs as u64 * SAMPLE_BYTES * u64::from(RATE);
        let takes = (options.seconds * speed as f64) as u64 + SPARE_BYTES;
        let load = |kind: LoadKind| {
            let needed = takes + Load::file_bytes(kind);
            check_free_space(scratch, needed)?;
            let folder = load_folder(session)?;
            // Two seconds of sound: the windows of the lead, and sound that waits for the disk.
            Load::prepare(kind, &folder, 2 * speed).map_err(|error| error.to_string())
        };
        match kind {
            StressKind::None | StressKind::Unplug => check_free_space(scratch, takes).map(|()| Disturbance::Nothing),
            StressKind::Sync => load(LoadKind::Sync).map(Disturbance::Load),
            StressKind::Disk => load(LoadKind::Disk).map(Disturbance::Load),
            StressKind::Memory => {
                let memory = load(LoadKind::Memory)?;
                match memory.caveat() {
                    Some(_) => Err("needs root or a delegated memory control group".to_owned()),
                    None => Ok(Disturbance::Load(memory)),
                }
            }
            StressKind::Cache => {
                let bytes = (scratch.free_bytes() / 4).clamp(CACHE_BYTES_RANGE.0, CACHE_BYTES_RANGE.1);
                check_free_space(scratch, takes + bytes)?;
                let path = load_folder(session)?.join("cache");
                write_file(&path, bytes).map_err(|error| format!("{}: cannot be written: {error}", path.display()))?;
                Ok(Disturbance::Cache(path))
            }
            StressKind::Slow => {
                let mount = scratch.mount().ok_or("where the folder is mounted is not known")?;
                let throttle = Throttle::enter(mount)?;
                let neighbours = load(LoadKind::Disk)?;
                Ok(Disturbance::Slow { throttle, neighbours, bytes_per_second: SLOW_BYTES_PER_SECOND.max(3 * speed) })
            }
            StressKind::Freeze => {
                check_free_space(scratch, takes)?;
                let seconds = freeze_seconds(options.seconds);
                Freeze::permitted(scratch.mount(), options.may_freeze, seconds).map(Disturbance::Freeze)
            }
        }
    }

    pub(super) fn start(&self) -> Result<RunningDisturbance<'_>, String> {
        match self {
            Disturbance::Nothing => Ok(RunningDisturbance::Nothing),
            Disturbance::Load(load) => load.start().map(RunningDisturbance::Load).map_err(|error| error.to_string()),
            Disturbance::Cache(path) => Reader::start(path)
                .map(RunningDisturbance::Cache)
                .map_err(|error| format!("{}: {error}", path.display())),
            Disturbance::Slow { throttle, neighbours, bytes_per_second } => {
                throttle
                    .set(Some(*bytes_per_second))
                    .map_err(|error| format!("the throttle cannot be set: {error}"))?;
                let neighbours = neighbours.start().map_err(|error| error.to_string())?;
                Ok(RunningDisturbance::Slow { throttle, neighbours, bytes_per_second: *bytes_per_second })
            }
            Disturbance::Freeze(freeze) => freeze.start().map(RunningDisturbance::Freeze),
        }
    }
}

impl RunningDisturbance<'_> {
    /// Ends the stress. Returns a description of its effect, or the reason why it proves nothing.
    pub(super) fn stop(self) -> Result<String, String> {
        match self {
            RunningDisturbance::Nothing => Ok(String::new()),
            RunningDisturbance::Load(running) => {
                let hits = running.limit_hits();
                let effect = running.stop();
                if hits == Some(0) { Err(format!("the limit was never reached ({effect})")) } else { Ok(effect) }
            }
            RunningDisturbance::Cache(reader) => reader.stop(),
            RunningDisturbance::Slow { throttle, neighbours, bytes_per_second } => {
                // Lift the throttle first: a thread that waits for the slow disk does not end.
                let lifted = throttle.set(None);
                let effect = neighbours.stop();
                lifted.map_err(|error| format!("the throttle cannot be lifted: {error}"))?;
                Ok(format!("{} MB/s, {effect}", bytes_per_second / 1_000_000))
            }
            RunningDisturbance::Freeze(frozen) => frozen.stop(),
        }
    }
}

fn check_free_space(scratch: &ScratchFolder, needed: u64) -> Result<(), String> {
    let free = scratch.free_bytes();
    if needed <= free {
        return Ok(());
    }
    Err(format!("needs {} MiB, {} MiB are free", needed >> 20, free >> 20))
}

/// Makes the folder for the files of a stress.
fn load_folder(session: &Path) -> Result<PathBuf, String> {
    let folder = scratch::load_folder(session);
    fs::create_dir(&folder).map_err(|error| format!("{}: cannot be made: {error}", folder.display()))?;
    Ok(folder)
}

fn write_file(path: &Path, bytes: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let block = vec![0x5A; 1 << 20];
    for at in (0..bytes).step_by(block.len()) {
        file.write_all_at(&block, at)?;
    }
    file.sync_all()
}

/// A thread that reads a file again and again, each time from the disk and through the page cache.
pub(super) struct Reader {
    stop: Arc<AtomicBool>,
    bytes: Arc<AtomicU64>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Reader {
    fn start(path: &Path) -> io::Result<Reader> {
        let mut file = File::open(path)?;
        let (stop, bytes) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (ended, read) = (Arc::clone(&stop), Arc::clone(&bytes));
        let thread = std::thread::Builder::new().name("stress-cache".to_owned()).spawn(move || {
            let mut block = vec![0; 1 << 20];
            while !ended.load(Relaxed) {
                file.seek(SeekFrom::Start(0))?;
                posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
                loop {
                    let got = file.read(&mut block)?;
                    read.fetch_add(got as u64, Relaxed);
                    if got == 0 || ended.load(Relaxed) {
                        break;
                    }
                }
            }
            Ok(())
        })?;
        Ok(Reader { stop, bytes, thread: Some(thread) })
    }

    fn stop(mut self) -> Result<String, String> {
        let ended = self.end();
        let read = self.bytes.load(Relaxed) >> 20;
        match ended {
            Some(Ok(Err(error))) => Err(format!("the reader failed after {read} MiB: {error}")),
            Some(Err(_)) => Err("the reader failed".to_owned()),
            _ => Ok(format!("{read} MiB read")),
        }
    }

    fn end(&mut self) -> Option<std::thread::Result<io::Result<()>>> {
        self.stop.store(true, Relaxed);
        self.thread.take().map(JoinHandle::join)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.end();
    }
}
