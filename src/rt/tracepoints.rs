//! Events of the whole machine at tracepoints of the kernel, each with its process (`perf_event_open(2)`). Thread: watcher,
//! never audio.
//!
//! Each processor has a ring for each tracepoint, because one ring cannot take the events of several processors. The kernel
//! writes the records; nobody waits for them, and records beyond the size of a ring are counted.

use super::page_faults::Refusal;
use super::tracepoint_format::TracepointFormat;
use perf_event::events::{Software, Tracepoint};
use perf_event::{Builder, Clock, SampleFlag, Sampler};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Bytes of the ring of a tracepoint on one processor: some 130 records.
const RING_BYTES: usize = 4 * 4096;

/// Bytes of the ring of the names of new programs on one processor.
const NAMES_BYTES: usize = 4 * 4096;

/// Rings at the most: each is a file descriptor and 20 KiB of the kernel's memory.
const RINGS_MAX: usize = 512;

/// Types of records.
const RECORD_LOST: u32 = 2;
const RECORD_COMM: u32 = 3;
const RECORD_SAMPLE: u32 = 9;

/// Folders in which distributions mount tracefs, below the root.
const FOLDERS: [&str; 2] = ["sys/kernel/tracing", "sys/kernel/debug/tracing"];

/// A passage of a tracepoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineEvent {
    /// Nanoseconds of the monotonic clock.
    pub at_ns: u64,
    pub pid: i32,
    pub tid: i32,
    /// Index of the tracepoint in the list that was opened.
    pub tracepoint: usize,
    /// Its fields, see [`MachineEvents::format`].
    pub record: Vec<u8>,
}

/// The events since the last look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// In the order of their times.
    pub events: Vec<MachineEvent>,
    /// Processes that became another program, with its name.
    pub names: Vec<(i32, String)>,
    /// Events that did not fit into the rings.
    pub lost: u64,
}

/// The open events of all processors.
pub struct MachineEvents {
    formats: Vec<Option<TracepointFormat>>,
    rings: Vec<(usize, Sampler)>,
    names: Vec<Sampler>,
}

impl std::fmt::Debug for MachineEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MachineEvents").field("rings", &self.rings.len()).finish_non_exhaustive()
    }
}

impl MachineEvents {
    /// Opens the tracepoints `names`, as `writeback/writeback_start`, on all processors. Leaves out those that this kernel
    /// does not have.
    pub fn open(names: &[&str]) -> Result<MachineEvents, Refusal> {
        Self::try_open(Path::new("/"), names).map_err(|failure| refusal(&failure, Path::new("/")))
    }

    fn try_open(root: &Path, names: &[&str]) -> Result<MachineEvents, Failure> {
        let formats = formats(root, names)?;
        let processors = fs::read_to_string(root.join("sys/devices/system/cpu/online")).unwrap_or_default();
        let processors = listed(&processors);
        if RINGS_MAX < processors.len() * (formats.iter().flatten().count() + 1) {
            return Err(Failure::TooLarge(processors.len()));
        }
        let (mut rings, mut comms) = (Vec::new(), Vec::new());
        for cpu in processors {
            for (at, format) in formats.iter().enumerate() {
                let Some(format) = format else { continue };
                match open_one(Tracepoint::with_id(format.id), cpu) {
                    Ok(ring) => rings.push((at, ring)),
                    // The processor has been switched off since.
                    Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {}
                    Err(error) => return Err(Failure::Perf(error)),
                }
            }
            comms.extend(open_names(cpu));
        }
        Ok(MachineEvents { formats, rings, names: comms })
    }

    /// The layout of the records of a tracepoint, by its index. `None`: this kernel does not have it.
    pub fn format(&self, tracepoint: usize) -> Option<&TracepointFormat> {
        self.formats.get(tracepoint)?.as_ref()
    }

    /// The events since the last call. Takes at most what the rings hold.
    pub fn drain(&mut self) -> Drained {
        let mut drained = Drained::default();
        for (tracepoint, ring) in &mut self.rings {
            while let Some(record) = ring.next_record() {
                match (record.ty(), record.to_contiguous()) {
                    (RECORD_SAMPLE, bytes) => drained.events.extend(sample(*tracepoint, &bytes)),
                    (RECORD_LOST, bytes) => drained.lost += word(&bytes, 8).unwrap_or(0),
                    _ => {}
                }
            }
        }
        for ring in &mut self.names {
            while let Some(record) = ring.next_record() {
                if record.ty() == RECORD_COMM {
                    drained.names.extend(name(&record.to_contiguous()));
                }
            }
        }
        drained.events.sort_by_key(|event| event.at_ns);
        drained
    }
}

/// The reason for which tracepoints cannot be opened.
enum Failure {
    /// No folder of tracefs exists.
    NoFolder,
    /// Its files may not be read.
    Unreadable(PathBuf),
    /// The kernel has none of the tracepoints.
    None,
    /// The machine has so many processors.
    TooLarge(usize),
    Perf(io::Error),
}

/// The layouts of the tracepoints.
fn formats(root: &Path, names: &[&str]) -> Result<Vec<Option<TracepointFormat>>, Failure> {
    let mut found = Err(Failure::NoFolder);
    for folder in FOLDERS.map(|folder| root.join(folder)) {
        let read = |name: &&str| TracepointFormat::read(&folder.join("events").join(name));
        let all: Vec<io::Result<TracepointFormat>> = names.iter().map(read).collect();
        let is_refused = |one: &io::Result<TracepointFormat>| {
            one.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
        };
        if all.iter().any(Result::is_ok) {
            return Ok(all.into_iter().map(Result::ok).collect());
        }
        if all.iter().any(is_refused) {
            found = Err(Failure::Unreadable(folder));
        } else if folder.join("events").is_dir() {
            found = Err(Failure::None);
        }
    }
    found
}

fn open_one(tracepoint: Tracepoint, cpu: usize) -> io::Result<Sampler> {
    let mut builder = Builder::new(tracepoint);
    builder.any_pid().one_cpu(cpu).include_kernel().enabled(true).sample_period(1).clockid(Clock::MONOTONIC);
    builder.wakeup_watermark(RING_BYTES);
    builder.sample(SampleFlag::TID | SampleFlag::TIME | SampleFlag::RAW);
    builder.build()?.sampled(RING_BYTES)
}

/// The names of programs that processes become. A program that syncs and ends is gone when somebody looks for its name.
fn open_names(cpu: usize) -> Option<Sampler> {
    let mut builder = Builder::new(Software::DUMMY);
    builder.any_pid().one_cpu(cpu).enabled(true).comm(true).wakeup_watermark(NAMES_BYTES);
    builder.build().ok()?.sampled(NAMES_BYTES).ok()
}

/// Parses a list as `0-3,6`.
fn listed(processors: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse::<usize>().ok()?..=last.trim().parse().ok()?)
    };
    processors.trim().split(',').filter_map(range).flatten().collect()
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn half_word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Parses process, thread, time, length and bytes of a record: in the order of the bits of their flags.
fn sample(tracepoint: usize, bytes: &[u8]) -> Option<MachineEvent> {
    let length = half_word(bytes, 16)? as usize;
    let record = bytes.get(20..20 + length)?.to_vec();
    let (pid, tid) = (half_word(bytes, 0)? as i32, half_word(bytes, 4)? as i32);
    Some(MachineEvent { at_ns: word(bytes, 8)?, pid, tid, tracepoint, record })
}

/// Parses process, thread and name of a record. The name of a thread that is not the first one of its process is none.
fn name(bytes: &[u8]) -> Option<(i32, String)> {
    let (pid, tid) = (half_word(bytes, 0)? as i32, half_word(bytes, 4)? as i32);
    let text = bytes.get(8..)?.split(|byte| *byte == 0).next()?;
    (pid == tid).then(|| (pid, String::from_utf8_lossy(text).into_owned()))
}

/// The reason in words, and what to do. Settings are read below `root`.
fn refusal(failure: &Failure, root: &Path) -> Refusal {
    let permit = || {
        Some(
            "sudo sysctl kernel.perf_event_paranoid=-1 && sudo mount -o remount,mode=750,gid=$(id -g) \
             /sys/kernel/tracing"
                .to_owned(),
        )
    };
    let (reason, fix) = match failure {
        Failure::NoFolder => (
            "tracefs, which describes the kernel's tracepoints, is not mounted".to_owned(),
            Some("sudo mount -t tracefs tracefs /sys/kernel/tracing".to_owned()),
        ),
        Failure::Unreadable(folder) => (format!("only root may read {}", folder.display()), permit()),
        Failure::TooLarge(processors) => (format!("{processors} processors would need too many rings"), None),
        Failure::None => ("this kernel has no tracepoints of writeback".to_owned(), None),
        Failure::Perf(error) => match error.raw_os_error() {
            Some(libc::EACCES | libc::EPERM) => {
                let setting = fs::read_to_string(root.join("proc/sys/kernel/perf_event_paranoid"));
                let level = setting.ok().and_then(|text| text.trim().parse::<i64>().ok());
                match level {
                    Some(level) if -1 < level => (
                        format!(
                            "kernel.perf_event_paranoid is {level}, and only root or a program with the capability \
                             PERFMON may see other programs then"
                        ),
                        permit(),
                    ),
                    _ => (
                        "a filter of system calls (seccomp), as of a container, forbids perf_event_open; start the \
                         container with the capability PERFMON"
                            .to_owned(),
                        None,
                    ),
                }
            }
            Some(libc::EMFILE | libc::ENFILE) => (format!("there are too few file descriptors ({error})"), None),
            Some(libc::ENOSYS | libc::ENOENT | libc::EOPNOTSUPP) => {
                (format!("this kernel has no perf events ({error})"), None)
            }
            _ => (format!("perf_event_open failed: {error}"), None),
        },
    };
    Refusal { reason, fix }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(parts: &[&[u8]]) -> Vec<u8> {
        parts.concat()
    }

    /// Records as a kernel 6.18 wrote them, without their headers.
    #[test]
    fn recorded_bytes_of_a_tracepoint_and_of_a_name_are_read() {
        let record = [7_u8; 12];
        let raw = bytes(&[
            &100_u32.to_ne_bytes(),
            &101_u32.to_ne_bytes(),
            &5_000_u64.to_ne_bytes(),
            &12_u32.to_ne_bytes(),
            &record,
        ]);
        let wanted = MachineEvent { at_ns: 5000, pid: 100, tid: 101, tracepoint: 3, record: record.to_vec() };
        assert_eq!(sample(3, &raw), Some(wanted));
        assert_eq!(sample(3, &raw[..30]), None, "cut short");
        let comm = bytes(&[&9_u32.to_ne_bytes(), &9_u32.to_ne_bytes(), b"dpkg\0\0\0\0"]);
        assert_eq!(name(&comm), Some((9, "dpkg".to_owned())));
        let thread = bytes(&[&9_u32.to_ne_bytes(), &10_u32.to_ne_bytes(), b"worker\0\0"]);
        assert_eq!(name(&thread), None);
    }

    #[test]
    fn a_list_of_processors_is_read() {
        assert_eq!(listed("0-3,6\n"), [0, 1, 2, 3, 6]);
        assert_eq!((listed("0\n"), listed("")), (vec![0], vec![]));
    }

    #[test]
    fn each_refusal_says_why_and_what_to_do() {
        let root = tempfile::tempdir().unwrap();
        let names = ["writeback/writeback_start"];
        let of = |root: &Path| MachineEvents::try_open(root, &names).map(|_| ()).map_err(|why| refusal(&why, root));
        let unmounted = of(root.path()).unwrap_err();
        assert!(unmounted.reason.contains("not mounted") && unmounted.fix.unwrap().contains("mount -t tracefs"));
        fs::create_dir_all(root.path().join("sys/kernel/tracing/events")).unwrap();
        assert!(of(root.path()).unwrap_err().reason.contains("no tracepoints"));
        let point = root.path().join("sys/kernel/tracing/events").join(names[0]);
        let cpus = root.path().join("sys/devices/system/cpu");
        fs::create_dir_all(&point).unwrap();
        fs::create_dir_all(&cpus).unwrap();
        fs::write(point.join("format"), "ID: 7\n").unwrap();
        fs::write(cpus.join("online"), "0-4095\n").unwrap();
        assert!(of(root.path()).unwrap_err().reason.contains("4096 processors"));
        let setting = root.path().join("proc/sys/kernel");
        fs::create_dir_all(&setting).unwrap();
        let perf = |errno, level: &str| {
            fs::write(setting.join("perf_event_paranoid"), level).unwrap();
            refusal(&Failure::Perf(io::Error::from_raw_os_error(errno)), root.path())
        };
        let strict = perf(libc::EACCES, "2\n");
        assert!(strict.reason.contains("perf_event_paranoid is 2") && strict.fix.unwrap().contains("paranoid=-1"));
        assert!(perf(libc::EPERM, "-1\n").reason.contains("seccomp"));
        assert!(perf(libc::EMFILE, "2\n").reason.contains("too few"));
        let unreadable = refusal(&Failure::Unreadable("/sys/kernel/tracing".into()), root.path());
        assert!(unreadable.reason.contains("only root") && unreadable.fix.unwrap().contains("remount"));
    }
}
