//! `faultless bench residency`: compares ways to keep a mapped file in memory, on this machine and file system. Thread:
//! the caller of [`run`], which starts and joins all others.
//!
//! [`scheme`] lists the ways ("schemes"). [`capture`] and [`playback`] run each scheme on the audio thread of
//! [`paced`], [`load`] puts the machine under load meanwhile, and [`report`] shows the measurements.
//!
//! `faultless bench samples` ([`samples`]) times the sample loops of the engine.

mod capture;
pub mod load;
mod paced;
mod playback;
pub mod report;
pub mod samples;
pub mod scheme;

use crate::limits;
use crate::window::budget::LockBudget;
use crate::window::lock_limit::{LockLimit, lock_limit, locked_bytes_now};
use load::{Load, LoadKind};
use nix::sys::statfs::{self, FsType, statfs};
use paced::RunContext;
use report::{BenchReport, Row};
use scheme::{LEAD_WINDOWS, Scheme, Shape, Side, WINDOW_BYTES};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// The options of a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder to measure in. The run makes a folder of its own inside it and removes it at the end.
    pub dir: PathBuf,
    /// The folder for spool files; it must be on a tmpfs.
    pub spool_dir: PathBuf,
    /// Number of tracks to record and to play.
    pub tracks: usize,
    /// Frames in a period.
    pub period: usize,
    /// Seconds to measure each row.
    pub seconds: f64,
    /// The load beside the measurement.
    pub load: LoadKind,
}

impl Options {
    /// The defaults: 24 tracks, periods of 64 frames, 10 seconds a row, no load.
    pub fn new(dir: PathBuf) -> Options {
        let spool_dir = PathBuf::from("/dev/shm");
        Options { dir, spool_dir, tracks: 24, period: 64, seconds: 10.0, load: LoadKind::None }
    }
}

/// The reason why a run gave no report.
#[derive(Debug)]
pub enum BenchError {
    /// An option is out of its range.
    Option(String),
    /// An operation on a file or folder failed.
    Path {
        path: PathBuf,
        /// The operation, as in "cannot open".
        tried: &'static str,
        error: io::Error,
    },
    /// The files of the run would not fit on the disk.
    Space {
        path: PathBuf,
        /// Bytes that the run needs.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// A thread could not be started.
    Thread(io::Error),
    /// A thread panicked.
    Lost(&'static str),
    /// The caller set `cancel`.
    Cancelled,
}

impl fmt::Display for BenchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BenchError::Option(text) => f.write_str(text),
            BenchError::Path { path, tried, error } => write!(f, "{}: {tried}: {error}", path.display()),
            BenchError::Space { path, needed, free } => {
                write!(f, "{}: the run needs {} MB and {} MB are free", path.display(), needed >> 20, free >> 20)
            }
            BenchError::Thread(error) => write!(f, "cannot start a thread: {error}"),
            BenchError::Lost(which) => write!(f, "the {which} thread of the bench panicked"),
            BenchError::Cancelled => f.write_str("cancelled"),
        }
    }
}

impl std::error::Error for BenchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BenchError::Path { error, .. } | BenchError::Thread(error) => Some(error),
            _ => None,
        }
    }
}

/// Makes a function for `map_err` that adds the path and the operation to an I/O error.
pub(crate) fn at_path(path: &Path, tried: &'static str) -> impl Fn(io::Error) -> BenchError {
    move |error| BenchError::Path { path: path.to_owned(), tried, error }
}

/// Measures every scheme, one after the other. `progress` receives the name of each step. Files and cgroup are removed
/// before it returns, also after an error or when `cancel` is set.
pub fn run(options: &Options, progress: &mut dyn FnMut(&str), cancel: &AtomicBool) -> Result<BenchReport, BenchError> {
    check(options)?;
    let shape = Shape::new(options.tracks, options.period, options.seconds);
    let file_system = file_system(&options.dir)?;
    check_space(options, shape)?;
    let folder = Scratch::create(&options.dir)?;
    let limit = match lock_limit() {
        LockLimit::Unlimited => u64::MAX,
        LockLimit::Bytes(bytes) => bytes.saturating_sub(locked_bytes_now()),
    };
    let budget = LockBudget::new(limit);
    progress("preparing");
    let window_bytes = (options.tracks * WINDOW_BYTES * (LEAD_WINDOWS + 2)) as u64;
    let load = Load::prepare(options.load, &folder.path, window_bytes)?;
    let context =
        RunContext { shape, folder: &folder.path, spool: &options.spool_dir, load: &load, budget: &budget, cancel };
    let mut report = BenchReport {
        dir: options.dir.clone(),
        warnings: warnings(&file_system, &load),
        file_system,
        kernel: nix::sys::utsname::uname()
            .map_or_else(|_| "unknown".to_owned(), |name| name.release().to_string_lossy().into_owned()),
        tracks: options.tracks,
        period: options.period,
        seconds: options.seconds,
        load: options.load,
        scheduling: String::new(),
        rows: Vec::new(),
    };
    for scheme in Scheme::CAPTURE {
        begin_row(&context, progress, Side::Capture, scheme)?;
        let (measurements, note) = capture::row(&context, scheme)?;
        report.scheduling.clone_from(&measurements.scheduling);
        report.rows.push(Row::new(Side::Capture, scheme, measurements, &note));
    }
    progress("writing the files that are played");
    let paths = playback::prepare(&context)?;
    for scheme in Scheme::PLAYBACK {
        begin_row(&context, progress, Side::Playback, scheme)?;
        let (measurements, note) = playback::row(&context, scheme, &paths)?;
        report.rows.push(Row::new(Side::Playback, scheme, measurements, &note));
    }
    for row in report.rows.iter_mut().filter(|row| row.cycles < shape.cycles) {
        row.note = format!("ended early, far behind; {}", row.note);
    }
    Ok(report)
}

/// Shows the next row and syncs the file system, so that the dirty pages of one row do not slow the next.
fn begin_row(
    context: &RunContext<'_>,
    progress: &mut dyn FnMut(&str),
    side: Side,
    scheme: Scheme,
) -> Result<(), BenchError> {
    if context.cancel.load(Ordering::Relaxed) {
        return Err(BenchError::Cancelled);
    }
    progress(&format!("{side} {scheme}"));
    let folder = fs::File::open(context.folder).map_err(at_path(context.folder, "cannot open"))?;
    nix::unistd::syncfs(&folder).map_err(|error| at_path(context.folder, "cannot sync")(error.into()))
}

fn check(options: &Options) -> Result<(), BenchError> {
    let refused = |text: String| Err(BenchError::Option(text));
    if !(1..=limits::TRACK_COUNT_MAX).contains(&options.tracks) {
        return refused(format!("{} tracks: use 1 to {}", options.tracks, limits::TRACK_COUNT_MAX));
    }
    let periods = limits::PERIOD_FRAMES_MIN..=limits::PERIOD_FRAMES_MAX;
    if !periods.contains(&options.period) {
        return refused(format!("period of {} frames: use {} to {}", options.period, periods.start(), periods.end()));
    }
    if !(0.1..=3600.0).contains(&options.seconds) {
        return refused(format!("{} seconds: use 0.1 to 3600", options.seconds));
    }
    let spool = file_system(&options.spool_dir)?;
    if spool != "tmpfs" {
        return refused(format!("{}: is {spool}; spool files need a tmpfs", options.spool_dir.display()));
    }
    Ok(())
}

fn check_space(options: &Options, shape: Shape) -> Result<(), BenchError> {
    let space = nix::sys::statvfs::statvfs(&options.dir)
        .map_err(|error| at_path(&options.dir, "cannot ask for its free space")(error.into()))?;
    let needed = shape.tracks as u64 * shape.file_bytes() + Load::file_bytes(options.load);
    let free = space.blocks_available() * space.fragment_size();
    if needed <= free {
        return Ok(());
    }
    Err(BenchError::Space { path: options.dir.clone(), needed, free })
}

fn warnings(file_system: &str, load: &Load) -> Vec<String> {
    let mut warnings = Vec::new();
    if matches!(file_system, "tmpfs" | "ramfs") {
        warnings.push(format!(
            "{file_system} is never written back, so nothing here is write-protected: the figures of `touch`, \
             `populate`, `locked` and above all `in-place` prove nothing; use a folder on a disk"
        ));
    }
    warnings.extend(load.caveat());
    warnings
}

/// The name of the file system that holds `dir`, or its magic number.
fn file_system(dir: &Path) -> Result<String, BenchError> {
    let found = statfs(dir).map_err(|error| at_path(dir, "cannot ask for its file system")(error.into()))?;
    Ok(file_system_name(found.filesystem_type()))
}

fn file_system_name(kind: FsType) -> String {
    const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);
    let names = [
        (statfs::EXT4_SUPER_MAGIC, "ext4"),
        (statfs::XFS_SUPER_MAGIC, "xfs"),
        (statfs::BTRFS_SUPER_MAGIC, "btrfs"),
        (statfs::F2FS_SUPER_MAGIC, "f2fs"),
        (statfs::TMPFS_MAGIC, "tmpfs"),
        (RAMFS_MAGIC, "ramfs"),
        (statfs::OVERLAYFS_SUPER_MAGIC, "overlay"),
        (statfs::FUSE_SUPER_MAGIC, "fuse"),
        (statfs::NFS_SUPER_MAGIC, "nfs"),
        (statfs::MSDOS_SUPER_MAGIC, "vfat"),
    ];
    names.iter().find(|(magic, _)| *magic == kind).map_or_else(|| format!("{:#x}", kind.0), |(_, name)| (*name).into())
}

/// The run's own folder. Dropping it removes the folder.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn create(dir: &Path) -> Result<Scratch, BenchError> {
        let path = dir.join(format!(".faultless-bench-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir(&path).map_err(at_path(&path, "cannot create"))?;
        Ok(Scratch { path })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing can be done about a failure. The folder's name tells the user what it is.
        fs::remove_dir_all(&self.path).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quick(dir: &Path) -> Options {
        Options { tracks: 2, seconds: 0.3, ..Options::new(dir.to_owned()) }
    }

    #[test]
    fn a_short_run_has_every_row_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut lines = Vec::new();
        let report = run(&quick(dir.path()), &mut |line| lines.push(line.to_owned()), &AtomicBool::new(false)).unwrap();
        let rows: Vec<_> = report.rows.iter().map(|row| format!("{} {}", row.side, row.scheme)).collect();
        let expected = [
            "capture touch",
            "capture populate",
            "capture locked",
            "capture in-place",
            "capture spool",
            "playback touch",
            "playback populate",
            "playback locked",
        ];
        assert_eq!(rows, expected);
        assert!(expected.iter().all(|row| lines.iter().any(|line| line == row)), "{lines:?}");
        for row in &report.rows {
            assert_eq!((row.cycles, row.windows_missing, row.frames_wrong), (225, 0, 0), "{report}");
        }
        assert!(0 < report.rows[0].faults(), "who maps for himself takes faults\n{report}");
        assert_eq!(report.rows[4].faults(), 0, "{report}");
        let json: serde_json::Value = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
        assert_eq!((&json["rows"][4]["scheme"], &json["load"]), (&"spool".into(), &"none".into()));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "the folder is empty again");
    }

    #[test]
    fn a_cancelled_run_leaves_nothing() {
        let (dir, cancel) = (tempfile::tempdir().unwrap(), AtomicBool::new(false));
        let stop_at = &mut |line: &str| cancel.store(line == "capture locked", Ordering::Relaxed);
        assert!(matches!(run(&quick(dir.path()), stop_at, &cancel), Err(BenchError::Cancelled)));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_cannot_be_measured_is_refused_before_a_file_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let none = Options { tracks: 0, ..quick(dir.path()) };
        let endless = Options { seconds: f64::NAN, ..quick(dir.path()) };
        let large = Options { tracks: 1024, seconds: 3600.0, ..quick(dir.path()) };
        for options in [none, endless, large] {
            let error = run(&options, &mut |_| (), &AtomicBool::new(false)).unwrap_err();
            assert!(matches!(error, BenchError::Option(_) | BenchError::Space { .. }), "{error}");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn file_systems_have_their_names() {
        assert_eq!(file_system_name(statfs::EXT4_SUPER_MAGIC), "ext4");
        assert_eq!(file_system_name(FsType(0x1234)), "0x1234");
    }
}
