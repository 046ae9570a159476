//! A disk that logs its writes: the only file of a FUSE file system, under a loop device. The log has every write and
//! every flush that reached the disk, and the progress of the recording at that time. Thread: two of its own, which
//! serve and answer requests.
//!
//! The disk has a cache and is as strict as a disk may be: a flush covers only the writes that were answered before
//! the flush arrived. Writes are answered with a delay, so that many are in progress at once.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use crate::waiting::{HELPER, finished, succeeds, unmount};
use crossbeam_channel::{Sender, unbounded};
use faultless::window::progress_page::PAGE_AT;
use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    InitFlags, KernelConfig, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry,
    ReplyOpen, ReplyWrite, Request, WriteFlags,
};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, UNIX_EPOCH};

/// Time from a write to its answer.
const WRITE: Duration = Duration::from_micros(300);

/// Time that a flush takes.
const FLUSH: Duration = Duration::from_millis(1);

/// The name of the only file.
const NAME: &str = "disk";
const NUMBER: INodeNo = INodeNo(2);
const FOREVER: Duration = Duration::from_secs(1 << 20);

/// The requests that end in an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fails {
    /// No request.
    Nothing,
    /// Writes so large that they can only be sound.
    LargeWrites,
    /// Every write and every flush.
    Everything,
}

/// Bytes of a large write.
const LARGE: usize = 64 << 10;

/// A logged event.
pub(super) enum What {
    /// A write of `bytes` at byte `at` arrived.
    Write { at: u64, bytes: Box<[u8]> },
    /// The write with this event number was answered.
    Answered(usize),
    /// A flush was answered. It had arrived when the log had `came` events, so it covers the writes that were
    /// answered by then.
    Flushed { came: usize },
}

/// A logged event and the progress of the recording at that time.
pub(super) struct Event {
    pub(super) what: What,
    /// Passes that had begun.
    pub(super) passes: usize,
    /// Frames recorded in the last of them.
    pub(super) frames: u64,
}

/// The events in order.
pub(super) struct Log {
    pub(super) events: Vec<Event>,
    /// The progress page of each pass.
    tallies: Vec<File>,
    /// The requests that fail now.
    fails: Fails,
    /// Writes and flushes that failed.
    failed: u64,
}

impl Log {
    fn new() -> Log {
        Log { events: Vec::new(), tallies: Vec::new(), fails: Fails::Nothing, failed: 0 }
    }

    /// Whether a write of `bytes` bytes fails now, or a flush if `bytes` is `None`. Counts the failures.
    fn fails(&mut self, bytes: Option<usize>) -> bool {
        let fails = match self.fails {
            Fails::Nothing => false,
            Fails::LargeWrites => bytes.is_some_and(|bytes| LARGE <= bytes),
            Fails::Everything => true,
        };
        self.failed += u64::from(fails);
        fails
    }

    fn note(&mut self, what: What) -> usize {
        let (passes, frames) = self.come();
        self.events.push(Event { what, passes, frames });
        self.events.len() - 1
    }

    /// Number of passes that have begun, and frames of the last one.
    pub(super) fn come(&self) -> (usize, u64) {
        (self.tallies.len(), self.tallies.last().map_or(0, frames_of))
    }
}

/// Frames that a progress page gives. The file is read, not mapped, so this also works after its program has ended.
fn frames_of(progress_page: &File) -> u64 {
    let mut word = [0; 8];
    progress_page.read_exact_at(&mut word, PAGE_AT).unwrap();
    u64::from_ne_bytes(word)
}

/// A write that is not answered yet.
struct OnItsWay {
    event: usize,
    bytes: u32,
    due: Instant,
    reply: ReplyWrite,
}

/// The FUSE file system with its only file.
struct Drive {
    file: File,
    bytes: u64,
    log: Arc<Mutex<Log>>,
    on_their_way: Sender<OnItsWay>,
}

impl Drive {
    fn new(file: File, log: &Arc<Mutex<Log>>) -> Drive {
        let (on_their_way, coming) = unbounded::<OnItsWay>();
        let answered = Arc::clone(log);
        std::thread::spawn(move || {
            for write in coming {
                std::thread::sleep(write.due.saturating_duration_since(Instant::now()));
                let mut log = answered.lock().unwrap();
                write.reply.written(write.bytes);
                log.note(What::Answered(write.event));
            }
        });
        Drive { bytes: file.metadata().unwrap().len(), file, log: Arc::clone(log), on_their_way }
    }

    fn attributes(&self, number: INodeNo) -> FileAttr {
        let folder = number == INodeNo::ROOT;
        FileAttr {
            ino: number,
            size: if folder { 0 } else { self.bytes },
            blocks: if folder { 0 } else { self.bytes / 512 },
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind: if folder { FileType::Directory } else { FileType::RegularFile },
            perm: if folder { 0o700 } else { 0o600 },
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}

impl Filesystem for Drive {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        config.add_capabilities(InitFlags::FUSE_ASYNC_DIO).map_err(|_| io::ErrorKind::Unsupported.into())
    }

    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if name == NAME {
            reply.entry(&FOREVER, &self.attributes(NUMBER), Generation(0));
        } else {
            reply.error(Errno::ENOENT);
        }
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&FOREVER, &self.attributes(number));
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let mut bytes = vec![0; u64::from(size).min(self.bytes.saturating_sub(offset)) as usize];
        match self.file.read_exact_at(&mut bytes, offset) {
            Ok(()) => reply.data(&bytes),
            Err(_) => reply.error(Errno::EIO),
        }
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        bytes: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let fails = self.log.lock().unwrap().fails(Some(bytes.len()));
        if fails || self.file.write_all_at(bytes, offset).is_err() {
            return reply.error(Errno::EIO);
        }
        let event = self.log.lock().unwrap().note(What::Write { at: offset, bytes: bytes.into() });
        let write = OnItsWay { event, bytes: bytes.len() as u32, due: Instant::now() + WRITE, reply };
        self.on_their_way.send(write).unwrap();
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let came = self.log.lock().unwrap().events.len();
        std::thread::sleep(FLUSH);
        let mut log = self.log.lock().unwrap();
        if log.fails(None) {
            return reply.error(Errno::EIO);
        }
        reply.ok();
        log.note(What::Flushed { came });
    }
}

/// A mounted file system on a disk that logs its writes. Dropping it unmounts everything.
pub(super) struct Disk {
    place: PathBuf,
    device: Option<String>,
    served: Option<BackgroundSession>,
    log: Arc<Mutex<Log>>,
}

impl Disk {
    /// Mounts `image` in a folder of its own inside `place` and writes to it. The error says why it cannot be
    /// mounted.
    pub(super) fn up(place: &Path, image: &Path, options: &str) -> Result<Disk, String> {
        let log = Arc::new(Mutex::new(Log::new()));
        let file = File::options().read(true).write(true).open(image).unwrap();
        let drive = Drive::new(file, &log);
        let mut disk = Disk { place: place.to_owned(), device: None, served: None, log };
        fs::create_dir_all(disk.drive()).unwrap();
        fs::create_dir_all(disk.path()).unwrap();
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("faultless-power".to_owned()), MountOption::NoDev];
        disk.served = Some(fuser::spawn_mount(drive, disk.drive(), &config).unwrap());
        let mut attach = Command::new("losetup");
        attach.args(["--direct-io=on", "--find", "--show"]).arg(disk.drive().join(NAME));
        let device = finished(&mut attach, HELPER)?;
        assert!(device.status.success(), "{device:?}");
        let device = String::from_utf8(device.stdout).unwrap().trim().to_owned();
        disk.device = Some(device.clone());
        mount(&["-o", options, &device], &disk.path())?;
        Ok(disk)
    }

    fn drive(&self) -> PathBuf {
        self.place.join("drive")
    }

    /// The mount point.
    pub(super) fn path(&self) -> PathBuf {
        self.place.join("mounted")
    }

    pub(super) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap()
    }

    /// Makes these requests fail from now on.
    pub(super) fn fail(&self, fails: Fails) {
        self.log().fails = fails;
    }

    /// Number of writes and flushes that failed.
    pub(super) fn failed(&self) -> u64 {
        self.log().failed
    }

    /// Starts a pass whose progress page is `progress_page`.
    pub(super) fn begins(&self, progress_page: File) {
        self.log().tallies.push(progress_page);
    }

    /// Unmounts the disk and returns all events.
    pub(super) fn down(mut self) -> Vec<Event> {
        self.take_down();
        std::mem::take(&mut self.log().events)
    }

    fn take_down(&mut self) {
        unmount(&self.path());
        if let Some(device) = self.device.take() {
            // The kernel detaches it when its last user has left.
            succeeds(Command::new("losetup").args(["--detach", &device]));
        }
        if let Some(served) = self.served.take() {
            unmount(&self.drive());
            let until = Instant::now() + HELPER;
            while !served.guard.is_finished() {
                if until < Instant::now() {
                    // The kernel keeps a file system that is in use. Its thread ends with this process.
                    return eprintln!("{}: still in use; its thread is left alone", self.drive().display());
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            served.join().ok();
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.take_down();
    }
}

/// Mounts something on a folder. The error says why it cannot be mounted.
pub(super) fn mount(what: &[&str], folder: &Path) -> Result<(), String> {
    // btrfs remembers the same file system in another image, where it was newer. Without btrfs this command fails,
    // which does no harm.
    succeeds(Command::new("btrfs").args(["device", "scan", "--forget"]));
    let done = finished(Command::new("mount").args(what).arg(folder), HELPER)?;
    let told = || format!("it cannot be mounted: {}", String::from_utf8_lossy(&done.stderr).trim());
    if done.status.success() { Ok(()) } else { Err(told()) }
}
