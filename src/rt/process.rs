//! Limits, signals and memory of the process, and the memory of the machine. Thread: control.
//!
//! Functions whose names end in `_under` read below a given root instead of `/`.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most open files to request: a take has two, and a session may record and play 1,024 tracks.
const OPEN_FILES_MAX: u64 = 524_288;

/// Raises the soft limit of open files to the hard one. Returns the new soft limit.
pub fn raise_open_files() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let wanted = hard.min(OPEN_FILES_MAX).max(soft);
    if soft < wanted {
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)?;
    }
    Ok(wanted)
}

/// Open files beside those of takes: a program with more of them than this does not exist.
const OTHER_FILES_MAX: u64 = 32_768;

/// Whether this process may open so many files more. The error is the limit of open files. Reads `/proc` if the limit is
/// not far away.
pub fn open_files_check(more: u64) -> Result<(), u64> {
    let Ok((soft, _)) = getrlimit(Resource::RLIMIT_NOFILE) else { return Ok(()) };
    if more.saturating_add(OTHER_FILES_MAX) <= soft {
        return Ok(());
    }
    // Without a readable `/proc` the number is unknown.
    let Some(open) = open_files(soft) else { return Ok(()) };
    if open.saturating_add(more) <= soft { Ok(()) } else { Err(soft) }
}

/// The number of open files of this process. `limit`: the limit of open files, which is the number if no file can be opened to list
/// them. `None`: `/proc` cannot be read.
fn open_files(limit: u64) -> Option<u64> {
    const FOLDER: &str = "/proc/self/fd";
    // From Linux 6.2 on the length of the folder is their number. With thousands of files, listing them takes milliseconds.
    let counted = fs::metadata(FOLDER).ok()?.len();
    if 0 < counted {
        return Some(counted);
    }
    match fs::read_dir(FOLDER) {
        // One of them reads the folder.
        Ok(files) => Some(files.count() as u64 - 1),
        Err(error) => (error.raw_os_error() == Some(nix::libc::EMFILE)).then_some(limit),
    }
}

/// Prepares the process for any mode. `main` calls it first, because every mode may write files, and many files.
///
/// - A write beyond the file size limit fails with an error (`EFBIG`) and does not end the process by `SIGXFSZ`. A
///   handler does that as well as ignoring the signal, and programs that this one starts do not inherit a handler.
/// - As many files may be open as the system allows.
pub fn prepare() {
    signal_hook::flag::register(SIGXFSZ, Arc::default()).ok();
    raise_open_files().ok();
}

/// The signals that ask a program to end: Ctrl-C, a shutdown or log-out, a closed terminal.
const END_SIGNALS: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

/// The signals that end this program in order: `SIGINT`, `SIGTERM` and `SIGHUP`, without those that the program's
/// parent has set to be ignored (`nohup`, `trap ''`). An ignored signal must stay ignored, or `nohup` would not protect
/// a recording from the end of its terminal.
pub fn end_signals() -> Vec<i32> {
    end_signals_under(Path::new("/"))
}

/// [`end_signals`] below another root. Without a readable `/proc` no signal counts as ignored.
fn end_signals_under(root: &Path) -> Vec<i32> {
    let status = fs::read_to_string(root.join("proc/self/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    let is_ignored = |signal: &i32| mask.unwrap_or(0) >> (signal - 1) & 1 == 1;
    END_SIGNALS.into_iter().filter(|signal| !is_ignored(signal)).collect()
}

/// Bytes of the largest file that this process may write; `None` without a limit other than the file system's.
pub fn file_bytes_max() -> Option<u64> {
    let (soft, _) = getrlimit(Resource::RLIMIT_FSIZE).ok()?;
    (soft < nix::libc::RLIM_INFINITY).then_some(soft)
}

/// Bytes of memory in the machine.
pub fn memory_total() -> io::Result<u64> {
    kib_field(Path::new("/proc/meminfo"), "MemTotal:")
}

/// Bytes of memory that can be allocated now without swapping, as the kernel estimates it.
pub fn memory_available() -> io::Result<u64> {
    kib_field(Path::new("/proc/meminfo"), "MemAvailable:")
}

/// Most bytes of memory that this process can have: the machine's memory or the limit of its control group.
pub fn memory_bound() -> io::Result<u64> {
    let total = memory_total()?;
    Ok(cgroup_memory_limit().map_or(total, |limit| limit.min(total)))
}

/// Resident memory of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resident {
    /// Current bytes (`VmRSS`).
    pub now: u64,
    /// Largest number of bytes so far (`VmHWM`).
    pub peak: u64,
}

/// Resident memory of this process.
pub fn resident_bytes() -> io::Result<Resident> {
    let status = Path::new("/proc/self/status");
    Ok(Resident { now: kib_field(status, "VmRSS:")?, peak: kib_field(status, "VmHWM:")? })
}

/// Bytes of memory that the control groups of this process allow to all their processes together; `None` without a
/// limit.
pub fn cgroup_memory_limit() -> Option<u64> {
    cgroup_memory_limit_under(Path::new("/"))
}

/// [`cgroup_memory_limit`] below another root. Reads both versions of the interface, and returns the smallest limit of
/// the group and its ancestors.
pub fn cgroup_memory_limit_under(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mounts = root.join("sys/fs/cgroup");
    groups.lines().filter_map(|line| smallest_limit(&mounts, line)).min()
}

/// The smallest limit on the path of a line `ID:CONTROLLERS:PATH` of `/proc/self/cgroup`.
fn smallest_limit(mounts: &Path, line: &str) -> Option<u64> {
    /// Version 1 writes "unlimited" as a number larger than the memory of any machine.
    const NO_LIMIT: u64 = 1 << 60;
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, path) = (parts.next()?, parts.next()?);
    // Above `memory.high` the kernel makes the threads wait that need memory. Above the other ones it refuses or kills.
    let (mount, files): (_, &[&str]) = if controllers.is_empty() {
        (mounts.to_path_buf(), &["memory.max", "memory.high"])
    } else if controllers.split(',').any(|controller| controller == "memory") {
        (mounts.join("memory"), &["memory.limit_in_bytes"])
    } else {
        return None;
    };
    let own: PathBuf = mount.join(path.trim_start_matches('/'));
    own.ancestors()
        .take_while(|folder| folder.starts_with(&mount))
        .flat_map(|folder| files.iter().map(|file| folder.join(file)))
        .filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok())
        .filter(|limit| *limit < NO_LIMIT)
        .min()
}

/// The value of a line `NAME   123 kB` of a file in `/proc`, in bytes.
fn kib_field(path: &Path, name: &str) -> io::Result<u64> {
    let text = fs::read_to_string(path)?;
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok())
        .map(|kib| kib * 1024)
        .ok_or_else(|| io::Error::other(format!("{}: no {name} in it", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn the_smallest_limit_of_a_control_group_and_its_ancestors_counts() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "proc/self/cgroup", "0::/user.slice/app.scope\n");
        write(root.path(), "sys/fs/cgroup/user.slice/app.scope/memory.max", "max\n");
        assert_eq!(cgroup_memory_limit_under(root.path()), None);
        write(root.path(), "sys/fs/cgroup/user.slice/memory.max", "1000000\n");
        assert_eq!(cgroup_memory_limit_under(root.path()), Some(1_000_000));
        write(root.path(), "sys/fs/cgroup/user.slice/app.scope/memory.max", "999\n");
        assert_eq!(cgroup_memory_limit_under(root.path()), Some(999));
        write(root.path(), "sys/fs/cgroup/user.slice/memory.high", "500\n");
        assert_eq!(cgroup_memory_limit_under(root.path()), Some(500), "from there on the kernel makes threads wait");
    }

    #[test]
    fn both_versions_of_control_groups_are_read() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "proc/self/cgroup", "8:pids:/a\n4:memory:/a:b\n0::/\n");
        write(root.path(), "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(cgroup_memory_limit_under(root.path()), None);
        write(root.path(), "sys/fs/cgroup/memory/a:b/memory.limit_in_bytes", "62914560\n");
        assert_eq!(cgroup_memory_limit_under(root.path()), Some(62_914_560));
    }

    #[test]
    fn without_control_groups_there_is_no_limit() {
        assert_eq!(cgroup_memory_limit_under(tempfile::tempdir().unwrap().path()), None);
    }

    #[test]
    fn the_soft_limit_of_open_files_becomes_the_hard_one() {
        let now = raise_open_files().unwrap();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!(now, soft);
        assert!(soft == hard || OPEN_FILES_MAX <= soft);
    }

    #[test]
    fn more_files_than_the_limit_are_refused_with_the_limit() {
        // First, because another test raises the limit.
        let soft = raise_open_files().unwrap();
        assert_eq!(open_files_check(1), Ok(()));
        assert_eq!(open_files_check(soft), Err(soft), "some are open");
        assert_eq!(open_files_check(u64::MAX), Err(soft));
        // Other tests open and close files meanwhile.
        let before = open_files(soft).unwrap();
        let files: Vec<_> = (0..1000).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        assert!((900..1100).contains(&(open_files(soft).unwrap() - before)), "{} files", files.len());
    }

    #[test]
    fn a_signal_that_was_ignored_at_the_start_does_not_end_the_program() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(end_signals_under(root.path()), [SIGINT, SIGTERM, SIGHUP]);
        write(root.path(), "proc/self/status", "Name:\tfaultless\nSigIgn:\t0000000000001000\n");
        assert_eq!(end_signals_under(root.path()), [SIGINT, SIGTERM, SIGHUP]);
        // As `nohup` starts a program, and as a shell without job control starts one in the background.
        write(root.path(), "proc/self/status", "SigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n");
        assert_eq!(end_signals_under(root.path()), [SIGINT, SIGTERM]);
        write(root.path(), "proc/self/status", "SigIgn:\t0000000000000006\nSigCgt:\tffffffffffffffff\n");
        assert_eq!(end_signals_under(root.path()), [SIGTERM, SIGHUP]);
    }

    #[test]
    fn memory_figures_are_in_bytes_and_in_order() {
        let (total, available) = (memory_total().unwrap(), memory_available().unwrap());
        let resident = resident_bytes().unwrap();
        assert!(available < total && memory_bound().unwrap() <= total);
        assert!(0 < resident.now && resident.now <= resident.peak && resident.peak < total);
    }
}
