//! Writes and syncs of many files in one call of the kernel (io_uring). Thread: the one that made the ring: a committer.
//! Control and the doctor make one to find out whether they can.
//!
//! A call for each write and each sync of many files costs a committer half of its processor time. The kernel takes a
//! batch of them in one call, and wakes the thread once, when the batch is done.
//!
//! [`IoRing::run`] returns when the kernel has finished every operation that it took. So the memory that the kernel reads
//! is borrowed until then, no operation is ever cancelled, and a ring that is dropped has nothing to do. A disk that
//! stands still delays the caller, as it does in a call for one file.
#![expect(unsafe_code, reason = "the kernel reads memory by its address")]
#![warn(missing_docs)]

use io_uring::{IoUring, Probe, opcode, squeue, types};
use std::fs;
use std::io::{self, IoSlice};
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// Operations that the kernel has at one time.
const ENTRIES: u32 = 256;

/// Pause after the kernel refused to be asked for results.
const REFUSED_PAUSE: Duration = Duration::from_millis(10);

/// The setting that permits io_uring.
const DISABLED: &str = "/proc/sys/kernel/io_uring_disabled";

/// A write or a sync of one file.
#[derive(Clone, Copy, Debug)]
pub enum Operation<'a> {
    /// Writes `parts` one after the other from `offset` on.
    Write {
        /// An open file; it must permit writing.
        file: BorrowedFd<'a>,
        /// The memory to write.
        parts: &'a [IoSlice<'a>],
        /// Where the first byte goes.
        offset: u64,
    },
    /// Makes the bytes of a file durable (`fdatasync`).
    SyncData {
        /// An open file of a disk.
        file: BorrowedFd<'a>,
    },
}

/// The end of an operation: the number of bytes, which may be smaller, or the error. `None`: the kernel did not take
/// the operation, and nothing happened.
pub type Completion = Option<Result<usize, i32>>;

/// The reason why there is no io_uring, and the command that permits it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why the kernel permits no ring, in words.
    pub reason: String,
    /// A shell command, if one helps.
    pub fix: Option<&'static str>,
}

/// A ring that the calling thread shares with the kernel.
///
/// Only the thread that made it uses it. The ring is made with that promise to the kernel, which therefore interrupts no
/// other thread.
pub struct IoRing {
    ring: IoUring,
    /// Whether the kernel refused a batch. Operations that it did not take are still in the queue, so nothing may be
    /// submitted any more.
    is_broken: bool,
    /// The type stays on its thread.
    thread: PhantomData<*const ()>,
}

/// The number of operations that the kernel may still work on.
///
/// While it is not 0 the kernel reads memory of the caller. A panic would free that memory, so it ends the program: sound
/// that is not durable lies in the files of the spool, and a recovery finds it.
struct InFlight(usize);

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.0 > 0 {
            std::process::abort();
        }
    }
}

impl IoRing {
    /// Makes a ring, and tries it.
    pub fn new() -> Result<IoRing, Refusal> {
        let refused = |error: io::Error| refusal(&error, fs::read_to_string(DISABLED).ok().as_deref());
        let mut ring = build().map_err(refused)?;
        let mut probe = Probe::new();
        ring.submitter().register_probe(&mut probe).map_err(refused)?;
        if ![opcode::Writev::CODE, opcode::Fsync::CODE].iter().all(|code| probe.is_supported(*code)) {
            return Err(refused(io::Error::from_raw_os_error(libc::ENOSYS)));
        }
        // SAFETY: the operation uses no memory and no file.
        unsafe { ring.submission().push(&opcode::Nop::new().build()) }
            .map_err(|_| refused(io::Error::other("full")))?;
        ring.submit_and_wait(1).map_err(refused)?;
        ring.completion().for_each(drop);
        Ok(IoRing { ring, is_broken: false, thread: PhantomData })
    }

    /// Whether the kernel has refused a batch. The ring then takes no operation any more.
    pub fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Carries out operations, in any order. Returns the end of each, when all of them are finished. A sync does not
    /// wait for a write of the same batch.
    pub fn run(&mut self, operations: &[Operation<'_>]) -> Vec<Completion> {
        let mut completions = vec![None; operations.len()];
        let mut in_flight = InFlight(0);
        let mut next = 0;
        while in_flight.0 > 0 || (next < operations.len() && !self.is_broken) {
            while let Some(operation) = operations.get(next).filter(|_| !self.is_broken) {
                let entry = entry(operation).user_data(next as u64);
                // SAFETY: file and memory of the operation are borrowed by the caller, and this function returns only when
                // the kernel has finished the operation. A panic before that ends the program (`InFlight`).
                let pushed = in_flight.0 < ENTRIES as usize && unsafe { self.ring.submission().push(&entry) }.is_ok();
                if !pushed {
                    break;
                }
                (in_flight.0, next) = (in_flight.0 + 1, next + 1);
            }
            // While more operations wait, half of the ring is filled again at a time.
            let wanted = if next < operations.len() { in_flight.0.div_ceil(2) } else { in_flight.0 };
            in_flight.0 -= self.enter(wanted);
            for entry in self.ring.completion() {
                let result = entry.result();
                if let Some(place) = completions.get_mut(entry.user_data() as usize) {
                    *place = Some(usize::try_from(result).map_err(|_| -result));
                    in_flight.0 -= 1;
                }
            }
        }
        completions
    }

    /// Gives the operations in the queue to the kernel and waits for `wanted` of all that are in flight. Returns the number
    /// of operations that the kernel did not take and never will.
    fn enter(&mut self, wanted: usize) -> usize {
        if self.is_broken {
            // SAFETY: nothing is submitted, and no memory is passed.
            let waited = unsafe {
                let flags = io_uring::EnterFlags::GETEVENTS.bits();
                self.ring.submitter().enter::<libc::sigset_t>(0, wanted as u32, flags, None)
            };
            if waited.is_err_and(|error| error.kind() != io::ErrorKind::Interrupted) {
                std::thread::sleep(REFUSED_PAUSE);
            }
            return 0;
        }
        match self.ring.submit_and_wait(wanted) {
            Ok(_) => 0,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(_) => {
                // The kernel lacks memory, or a filter of system calls came into force.
                self.is_broken = true;
                self.ring.submission().len()
            }
        }
    }
}

fn build() -> io::Result<IoUring> {
    // A completion then waits until the thread asks for it (Linux 6.1), and does not interrupt it.
    match IoUring::builder().setup_single_issuer().setup_defer_taskrun().build(ENTRIES) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => IoUring::new(ENTRIES),
        other => other,
    }
}

fn entry(operation: &Operation<'_>) -> squeue::Entry {
    match operation {
        Operation::Write { file, parts, offset } => {
            // An `IoSlice` has the layout of an `iovec`.
            let vectors = parts.as_ptr().cast::<libc::iovec>();
            opcode::Writev::new(types::Fd(file.as_raw_fd()), vectors, parts.len() as u32).offset(*offset).build()
        }
        Operation::SyncData { file } => {
            opcode::Fsync::new(types::Fd(file.as_raw_fd())).flags(types::FsyncFlags::DATASYNC).build()
        }
    }
}

/// The refusal behind an error. `disabled`: the content of the kernel's setting.
fn refusal(error: &io::Error, disabled: Option<&str>) -> Refusal {
    let disabled = disabled.map_or("0", str::trim);
    match error.raw_os_error() {
        Some(libc::ENOSYS) => {
            Refusal { reason: "the kernel has none (before 5.6, or built without)".to_owned(), fix: None }
        }
        Some(libc::EPERM | libc::EACCES) if disabled != "0" => Refusal {
            reason: format!("kernel.io_uring_disabled is {disabled}"),
            fix: Some("sudo sysctl kernel.io_uring_disabled=0"),
        },
        Some(libc::EPERM | libc::EACCES) => Refusal {
            reason: "a filter of system calls forbids it, as containers have it (seccomp)".to_owned(),
            fix: None,
        },
        _ => Refusal { reason: error.to_string(), fix: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd;
    use std::os::unix::fs::FileExt;

    fn ring() -> Option<IoRing> {
        IoRing::new().inspect_err(|refusal| eprintln!("SKIPPED io_uring: {}", refusal.reason)).ok()
    }

    #[test]
    fn more_operations_than_the_ring_holds_are_all_carried_out_each_with_its_own_result() {
        let Some(mut ring) = ring() else { return };
        let folder = tempfile::tempdir().unwrap();
        let full = File::options().write(true).open("/dev/full").unwrap();
        let closed = File::open("/dev/null").unwrap();
        let files: Vec<File> = (0..3)
            .map(|number| {
                File::options().read(true).write(true).create_new(true).open(folder.path().join(format!("{number}")))
            })
            .collect::<Result<_, _>>()
            .unwrap();
        let bytes: Vec<[u8; 8]> = (0..3 * ENTRIES as u64 + 7).map(u64::to_ne_bytes).collect();
        let parts: Vec<[IoSlice; 2]> =
            bytes.iter().map(|word| [IoSlice::new(&word[..3]), IoSlice::new(&word[3..])]).collect();
        let operations: Vec<Operation> = parts
            .iter()
            .enumerate()
            .map(|(at, parts)| match at % 50 {
                9 => Operation::Write { file: full.as_fd(), parts, offset: 0 },
                19 => Operation::Write { file: closed.as_fd(), parts, offset: 0 },
                29 => Operation::SyncData { file: files[at % 3].as_fd() },
                _ => Operation::Write { file: files[at % 3].as_fd(), parts, offset: at as u64 * 8 },
            })
            .collect();
        for _ in 0..3 {
            let completions = ring.run(&operations);
            for (at, found) in completions.into_iter().enumerate() {
                let expected = match at % 50 {
                    9 => Err(libc::ENOSPC),
                    19 => Err(libc::EBADF),
                    29 => Ok(0),
                    _ => Ok(8),
                };
                assert_eq!(found, Some(expected), "{at}");
                if expected == Ok(8) {
                    let mut word = [0; 8];
                    files[at % 3].read_exact_at(&mut word, at as u64 * 8).unwrap();
                    assert_eq!(word, bytes[at]);
                }
            }
        }
        assert!(!ring.is_broken() && ring.run(&[]).is_empty());
    }

    #[test]
    fn a_batch_of_which_one_write_waits_ends_when_that_write_has_ended() {
        use std::io::{Read, Write};
        let Some(mut ring) = ring() else { return };
        let (mut reader, writer) = std::io::pipe().unwrap();
        let file = tempfile::tempfile().unwrap();
        // The pipe is full, so that the next write waits for the reader.
        let held = nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_GETPIPE_SZ).unwrap() as usize;
        (&writer).write_all(&vec![0; held]).unwrap();
        let sound: Vec<u8> = (0..3000_u32).map(|at| (at % 251) as u8).collect();
        let parts = [IoSlice::new(&sound)];
        let began = std::time::Instant::now();
        let (waited, read) = std::thread::scope(|scope| {
            let other = scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(300));
                let mut bytes = Vec::new();
                // The pipe is closed after the batch.
                reader.read_to_end(&mut bytes).unwrap();
                bytes
            });
            let operations = [
                Operation::Write { file: writer.as_fd(), parts: &parts, offset: 0 },
                Operation::Write { file: file.as_fd(), parts: &parts, offset: 0 },
                Operation::SyncData { file: file.as_fd() },
            ];
            let completions = ring.run(&operations);
            let waited = began.elapsed();
            drop(writer);
            assert_eq!(completions, [Some(Ok(3000)), Some(Ok(3000)), Some(Ok(0))]);
            (waited, other.join().unwrap())
        });
        assert!(Duration::from_millis(250) < waited, "{waited:?}");
        assert_eq!(read[held..], sound, "the kernel read the memory of the batch until its end");
    }

    #[test]
    fn a_ring_that_the_kernel_refuses_takes_nothing_and_finishes_what_it_has() {
        let Some(mut ring) = ring() else { return };
        let file = tempfile::tempfile().unwrap();
        let parts = [IoSlice::new(b"sound")];
        let write = Operation::Write { file: file.as_fd(), parts: &parts, offset: 0 };
        ring.is_broken = true;
        assert_eq!(ring.run(&[write, write]), [None, None]);
        assert_eq!(file.metadata().unwrap().len(), 0);
    }

    #[test]
    fn a_refusal_names_its_reason() {
        let error = io::Error::from_raw_os_error;
        assert!(refusal(&error(libc::EPERM), Some("2\n")).reason.contains("io_uring_disabled is 2"));
        assert!(refusal(&error(libc::EPERM), Some("2\n")).fix.is_some());
        assert!(refusal(&error(libc::EPERM), Some("0\n")).reason.contains("seccomp"));
        assert!(refusal(&error(libc::ENOSYS), None).reason.contains("5.6"));
        assert!(refusal(&error(libc::ENOMEM), None).fix.is_none());
    }
}
