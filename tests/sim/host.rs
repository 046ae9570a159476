//! The program's host in the simulation: every call of the program that would reach the machine comes here. Thread: the
//! one of the run.

use crate::disk::{self, Op, Trouble, Verdict};
use crate::image::PAGE;
use crate::world::{Kill, World};
use faultless::host::disk::{DiskCall, Name, Outcome, Proceed};
use faultless::host::{Host, HostThread};
use faultless::session::names::LOCK_FILE;
use nix::errno::Errno;
use nix::sys::stat::fstat;
use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The wall clock at the start of each run: seconds since 1970.
const WALL_CLOCK_SECONDS: i64 = 1_790_000_000;

/// Bytes that are free in memory for spools.
const MEMORY_BYTES: u64 = 1 << 34;

/// A call, as the simulated disks know it.
pub(crate) struct Call<'a> {
    pub(crate) op: Op,
    /// An open file and its number.
    pub(crate) file: Option<(BorrowedFd<'a>, u64)>,
    path: Option<PathBuf>,
}

/// The paths of open folders, by the numbers of their disk and themselves. No folder of a run moves.
#[derive(Default)]
pub(crate) struct Folders(HashMap<(u64, u64), PathBuf>);

impl Folders {
    /// The path of an open folder, which the kernel knows.
    fn path_of(&mut self, folder: BorrowedFd<'_>) -> Option<PathBuf> {
        let ask = || fs::read_link(format!("/proc/self/fd/{}", folder.as_raw_fd())).ok();
        match fstat(folder) {
            Ok(found) if 0 < found.st_nlink => match self.0.entry((found.st_dev, found.st_ino)) {
                Entry::Occupied(known) => Some(known.get().clone()),
                Entry::Vacant(place) => Some(place.insert(ask()?).clone()),
            },
            // It was removed.
            _ => ask(),
        }
    }

    fn resolved(&mut self, name: &Name<'_>) -> PathBuf {
        let folder = name.folder.and_then(|folder| self.path_of(folder));
        folder.map_or_else(|| name.path.to_owned(), |folder| folder.join(name.path))
    }
}

/// Whether a call changes something.
fn changes(call: &DiskCall<'_>) -> bool {
    !matches!(
        call,
        DiskCall::Open { .. }
            | DiskCall::List { .. }
            | DiskCall::Stat { .. }
            | DiskCall::Read { .. }
            | DiskCall::Lock { .. }
    )
}

impl<'a> Call<'a> {
    fn of(call: &DiskCall<'a>, folders: &mut Folders) -> Call<'a> {
        let on_file = |op, file: BorrowedFd<'a>| Call { op, file: Some((file, disk::number_of(file))), path: None };
        let mut resolved = |name: &Name<'_>| folders.resolved(name);
        match call {
            DiskCall::Create { name, .. } => Call::on_path(Op::Create, resolved(name)),
            DiskCall::Open { name } => Call::on_path(Op::Open, resolved(name)),
            DiskCall::Write { file, offset, parts } => {
                let bytes = parts.iter().map(|part| part.len() as u64).sum();
                on_file(Op::Write { offset: *offset, bytes }, *file)
            }
            DiskCall::SyncData { file } | DiskCall::SyncAll { file } => on_file(Op::SyncFile, *file),
            DiskCall::SyncFolder { folder } => {
                let path = folders.path_of(*folder);
                Call { op: Op::SyncFolder, file: None, path }
            }
            DiskCall::SetLength { file, bytes } => on_file(Op::SetLength(*bytes), *file),
            DiskCall::Reserve { file, offset, bytes } => on_file(Op::Reserve { offset: *offset, bytes: *bytes }, *file),
            DiskCall::Punch { file, offset, bytes } => on_file(Op::Punch { offset: *offset, bytes: *bytes }, *file),
            DiskCall::Rename { from, to, .. } => Call::on_path(Op::Rename(resolved(to)), resolved(from)),
            DiskCall::Link { from, to } => Call::on_path(Op::Link(resolved(to)), resolved(from)),
            DiskCall::Remove { name } | DiskCall::RemoveFolder { name } => Call::on_path(Op::Remove, resolved(name)),
            DiskCall::MakeFolder { name, .. } => Call::on_path(Op::MakeFolder, resolved(name)),
            DiskCall::List { name } => Call::on_path(Op::Ask("list"), resolved(name)),
            DiskCall::Stat { name } => Call::on_path(Op::Ask("stat"), resolved(name)),
            DiskCall::Read { file, .. } => on_file(Op::Ask("read"), *file),
            DiskCall::Lock { file } => on_file(Op::Ask("lock"), *file),
        }
    }

    fn on_path(op: Op, path: PathBuf) -> Call<'a> {
        Call { op, file: None, path: Some(path) }
    }

    /// The call as it was carried out: a write of fewer bytes.
    pub(crate) fn cut_to(mut self, done: u64) -> Call<'a> {
        if let Op::Write { bytes, .. } = &mut self.op {
            *bytes = done;
        }
        self
    }

    fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }
}

impl World {
    /// A call of the program, as the simulated disks know it.
    pub(crate) fn call_of<'a>(&self, call: &DiskCall<'a>) -> Call<'a> {
        Call::of(call, &mut self.folders.borrow_mut())
    }

    /// The disk of a call, and the number of its file.
    fn place_of(&self, call: &Call<'_>) -> Option<(usize, Option<u64>)> {
        let disks = self.disks.borrow();
        match (call.file, call.path()) {
            (Some((_, number)), _) => disks.of_file(number).map(|disk| (disk, Some(number))),
            (None, Some(path)) => disks.of_path(path).map(|disk| (disk, None)),
            (None, None) => None,
        }
    }

    /// Whether a recovery writes sound. Nothing else on the main thread does.
    fn is_recovery(&self, call: &Call<'_>) -> bool {
        let Some((_, number)) = call.file else { return false };
        matches!(call.op, Op::Write { offset, .. } if PAGE <= offset)
            && self.name_of_current() == "main"
            && Path::new(&self.disks.borrow().name_of(number)).extension().is_some_and(|it| it == "wav")
    }

    /// Takes the time of a call, and decides about it.
    fn judge(&self, call: &Call<'_>) -> Proceed {
        if call.op.changes() {
            if self.is_recovery(call) {
                self.count_from_here(Kill::AfterRecovery);
            }
            self.count_call();
        }
        let Some((disk, _)) = self.place_of(call) else {
            // The spool: memory, which is never in trouble.
            return Proceed::Go;
        };
        let slow = self.disks.borrow().delay_max(disk, self.time());
        if call.op.changes() || !slow.is_zero() {
            self.take_time(slow);
        }
        loop {
            match self.judge_now(call) {
                Ok(proceed) => return proceed,
                Err(until) => self.wait_until(until),
            }
        }
    }

    /// Decides about a call. `Err`: the disk stands still until this moment.
    pub(crate) fn judge_now(&self, call: &Call<'_>) -> Result<Proceed, Duration> {
        let Some((disk, number)) = self.place_of(call) else { return Ok(Proceed::Go) };
        let verdict = self.disks.borrow_mut().judge(disk, number, &call.op, self.time());
        Ok(match verdict {
            Verdict::Wait(until) => return Err(until),
            Verdict::Go => Proceed::Go,
            Verdict::Short(bytes) => {
                self.trace_call(call, &format!("only {bytes} bytes fit"));
                Proceed::Short(bytes as usize)
            }
            Verdict::Fail(code) => {
                let error = io::Error::from_raw_os_error(code);
                self.trace_call(call, &error.to_string());
                if let (Op::SyncFile, Some((file, number))) = (&call.op, call.file) {
                    self.disks.borrow_mut().sync_failed(file, number, &mut self.random());
                }
                Proceed::Fail(Errno::from_raw(code))
            }
        })
    }

    /// How much longer a call may take now, because its disk is slow.
    pub(crate) fn delay_of(&self, call: &Call<'_>) -> Duration {
        self.place_of(call).map_or(Duration::ZERO, |(disk, _)| self.disks.borrow().delay_max(disk, self.time()))
    }

    pub(crate) fn trace_call(&self, call: &Call<'_>, result: &str) {
        let disks = self.disks.borrow();
        let name = match (call.file, call.path()) {
            (Some((_, number)), _) => Cow::Borrowed(disks.name_of(number)),
            (None, Some(path)) => Cow::Owned(disks.short_name(path)),
            (None, None) => Cow::Borrowed(""),
        };
        let (who, what) = (self.name_of_current(), call.op.name());
        match &call.op {
            // The file has the number of the process, which can be longer or shorter.
            Op::Write { .. } if name.ends_with(LOCK_FILE) => self.note(who, format_args!("{what} {name}: {result}")),
            Op::Write { offset, bytes } | Op::Reserve { offset, bytes } | Op::Punch { offset, bytes } => {
                self.note(who, format_args!("{what} {name} {offset}+{bytes}: {result}"));
            }
            Op::SetLength(length) => self.note(who, format_args!("{what} {name} {length}: {result}")),
            Op::Rename(to) | Op::Link(to) => {
                self.note(who, format_args!("{what} {name} to {}: {result}", disks.short_name(to)));
            }
            _ => self.note(who, format_args!("{what} {name}: {result}")),
        }
    }

    pub(crate) fn call_done(&self, call: &Call<'_>) {
        if call.op.changes() {
            self.trace_call(call, "done");
        }
        let mut disks = self.disks.borrow_mut();
        if let (Op::Create, Some(path)) = (&call.op, call.path()) {
            if let Ok(found) = fs::symlink_metadata(path) {
                disks.created(path, found.ino());
            }
            return;
        }
        let place = match (call.file, call.path()) {
            (Some((_, number)), _) => disks.of_file(number),
            (None, Some(path)) => disks.of_path(path),
            (None, None) => None,
        };
        match place {
            Some(disk) => disks.done(disk, call.file, call.path(), &call.op),
            None if call.op.changes() => disks.check_stranger(call.file),
            None => {}
        }
    }
}

impl Host for World {
    fn time(&self) -> Duration {
        World::time(self)
    }

    fn wall_clock(&self) -> jiff::Timestamp {
        let seconds = WALL_CLOCK_SECONDS + World::time(self).as_secs() as i64;
        jiff::Timestamp::new(seconds, World::time(self).subsec_nanos() as i32).unwrap_or_default()
    }

    fn random(&self) -> u128 {
        let mut random = self.random();
        u128::from(random.next()) << 64 | u128::from(random.next())
    }

    fn sleep(&self, time: Duration) {
        self.sleep_about(time);
    }

    fn pause(&self, until: Option<Duration>, found_nothing: bool) -> bool {
        self.wait_for_change(until, found_nothing);
        true
    }

    fn spawn(
        &self,
        name: &'static str,
        _stack_bytes: usize,
        body: Box<dyn FnOnce() + Send>,
    ) -> io::Result<Box<dyn HostThread>> {
        Ok(Box::new(self.start_thread(name, body)))
    }

    fn before(&self, call: &DiskCall<'_>) -> Proceed {
        // A call that changes nothing costs no time and always succeeds on a disk without trouble.
        if !changes(call) && self.disks.borrow().is_quiet(self.time()) {
            return Proceed::Go;
        }
        let proceed = self.judge(&self.call_of(call));
        if !matches!(proceed, Proceed::Fail(_)) {
            self.ambush(call);
        }
        proceed
    }

    fn after(&self, call: &DiskCall<'_>, outcome: Outcome<'_>) {
        if !changes(call) {
            return;
        }
        let call = self.call_of(call);
        match outcome {
            Outcome::Failed(error) => {
                if call.op.changes() {
                    self.trace_call(&call, &error.to_string());
                }
            }
            Outcome::Bytes(bytes) => self.call_done(&call.cut_to(bytes as u64)),
            Outcome::Done | Outcome::Opened(_) => self.call_done(&call),
        }
    }

    fn batch(&self, calls: &[DiskCall<'_>], carry_out: &mut dyn FnMut(usize, Proceed) -> Result<usize, Errno>) {
        self.run_batch(calls, carry_out);
    }

    fn free_bytes(&self, path: &Path) -> Option<u64> {
        let Some(disk) = self.disks.borrow().of_path(path) else { return Some(MEMORY_BYTES) };
        loop {
            let until = self.disks.borrow().stands_until(disk, World::time(self));
            let Some(until) = until else { break };
            self.wait_until(until);
        }
        let trouble = self.disks.borrow().room_trouble(disk, World::time(self));
        match trouble {
            Some(Trouble::RoomUnknown) => return None,
            Some(Trouble::SaysFull) => return Some(0),
            Some(Trouble::RoomSlow(time)) => self.take_time(time),
            _ => {}
        }
        Some(self.disks.borrow_mut().free(disk, World::time(self)))
    }

    fn memory_folders(&self) -> Vec<PathBuf> {
        vec![self.memory_folder.borrow().clone()]
    }

    fn boot(&self) -> String {
        format!("boot-{}", self.boot.get())
    }
}
