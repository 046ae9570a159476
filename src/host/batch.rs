//! Writes and syncs of several files that the system gets at once. Thread: a committer; each has a [`Batcher`] of its own.
//!
//! The calls of a batch have no order among each other, and each has its own result: a batch may fail in part. The caller
//! waits until all of them have ended. On a simulated machine the host decides about each call and about their order.

use super::disk::{self, DiskCall, Proceed};
use super::{Host, elapsed, host, now};
use crate::io_ring::{IoRing, Operation, Refusal};
use nix::errno::Errno;
use std::fs::File;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// A write of a batch.
#[derive(Clone, Copy, Debug)]
pub struct BatchWrite<'a> {
    /// An open file; it must permit writing.
    pub file: BorrowedFd<'a>,
    /// Where the first byte goes.
    pub offset: u64,
    /// The memory to write.
    pub parts: &'a [IoSlice<'a>],
}

impl<'a> BatchWrite<'a> {
    fn call(&self) -> DiskCall<'a> {
        let &BatchWrite { file, offset, parts } = self;
        DiskCall::Write { file, offset, parts }
    }
}

/// The way in which a thread makes the calls of a batch.
pub struct Batcher {
    way: Way,
    /// Why the calls are not made at once, although they were to be.
    refusal: Option<String>,
    /// The longest wait for writes since it was last asked for.
    longest_wait: Duration,
}

enum Way {
    /// A call after the other.
    OneByOne,
    /// The host of a simulated machine makes them at once.
    Simulated,
    /// The kernel makes them at once.
    Ring(Box<IoRing>),
}

impl Batcher {
    /// The way of the calling thread, which alone may use it. `at_once`: the kernel gets the calls of a batch at once, if it
    /// takes them (io_uring).
    pub fn new(at_once: bool) -> Batcher {
        let (way, refusal) = match host() {
            _ if !at_once => (Way::OneByOne, None),
            Some(_) => (Way::Simulated, None),
            None => match IoRing::new() {
                Ok(ring) => (Way::Ring(Box::new(ring)), None),
                Err(Refusal { reason, .. }) => (Way::OneByOne, Some(reason)),
            },
        };
        Batcher { way, refusal, longest_wait: Duration::ZERO }
    }

    /// Why the calls of a batch are not made at once, although they were to be.
    pub fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    /// Makes writes. Returns the number of bytes of each, which may be smaller.
    pub fn write(&mut self, writes: &[BatchWrite<'_>]) -> Vec<Result<usize, Errno>> {
        let calls: Vec<DiskCall> = writes.iter().map(BatchWrite::call).collect();
        let (results, longest_wait) = self.make(&calls);
        self.longest_wait = self.longest_wait.max(longest_wait);
        results
    }

    /// Makes the bytes of files durable.
    pub fn sync_files(&mut self, files: &[&File]) -> Vec<Result<usize, Errno>> {
        let calls: Vec<DiskCall> = files.iter().map(|file| DiskCall::SyncData { file: file.as_fd() }).collect();
        self.make(&calls).0
    }

    /// The longest time that a write took, or a batch of writes, since this was last asked for.
    pub fn longest_wait(&mut self) -> Duration {
        std::mem::take(&mut self.longest_wait)
    }

    /// Makes calls. Returns the result of each, and the longest time that one of them took, or the batch.
    fn make(&mut self, calls: &[DiskCall<'_>]) -> (Vec<Result<usize, Errno>>, Duration) {
        let mut began = now();
        let mut longest = Duration::ZERO;
        let mut waited = || longest = longest.max(elapsed(std::mem::replace(&mut began, now())));
        let results = match (&mut self.way, host()) {
            // One call costs less without a ring.
            (Way::Ring(ring), None) if calls.len() > 1 => {
                let results = in_ring(ring, calls);
                if ring.is_broken() {
                    (self.way, self.refusal) = (Way::OneByOne, Some("the kernel has refused a batch".to_owned()));
                }
                waited();
                results
            }
            (Way::Simulated, Some(host)) if calls.len() > 1 => {
                let results = simulated(&*host, calls);
                waited();
                results
            }
            _ => calls.iter().map(by_itself).inspect(|_| waited()).collect(),
        };
        (results, longest)
    }
}

/// Makes a call by itself.
fn by_itself(call: &DiskCall<'_>) -> Result<usize, Errno> {
    match *call {
        DiskCall::Write { file, offset, parts } => disk::write_parts_at(file, parts, offset),
        DiskCall::SyncData { file } => disk::sync_data(file).map(|()| 0).map_err(|error| disk::errno(&error)),
        _ => Err(Errno::EINVAL),
    }
}

fn simulated(host: &dyn Host, calls: &[DiskCall<'_>]) -> Vec<Result<usize, Errno>> {
    let mut results = vec![Err(Errno::ECANCELED); calls.len()];
    host.batch(calls, &mut |at, proceed| {
        let result = match (proceed, calls[at]) {
            (Proceed::Fail(errno), _) => Err(errno),
            (Proceed::Go, DiskCall::Write { file, offset, parts }) => disk::real_write(file, parts, offset, usize::MAX),
            (Proceed::Short(bytes), DiskCall::Write { file, offset, parts }) => {
                disk::real_write(file, parts, offset, bytes)
            }
            (_, DiskCall::SyncData { file }) => disk::real_sync(file).map(|()| 0),
            _ => Err(Errno::EINVAL),
        };
        results[at] = result;
        result
    });
    results
}

fn in_ring(ring: &mut IoRing, calls: &[DiskCall<'_>]) -> Vec<Result<usize, Errno>> {
    let operations: Option<Vec<Operation>> = calls.iter().map(operation).collect();
    let completions = operations.map_or_else(|| vec![None; calls.len()], |operations| ring.run(&operations));
    let result = |(call, completion): (&DiskCall<'_>, Option<Result<usize, i32>>)| match completion {
        // The kernel did not take it, or did not begin with it.
        None | Some(Err(libc::EAGAIN | libc::ECANCELED | libc::EINTR)) => by_itself(call),
        Some(result) => result.map_err(Errno::from_raw),
    };
    calls.iter().zip(completions).map(result).collect()
}

fn operation<'a>(call: &DiskCall<'a>) -> Option<Operation<'a>> {
    match *call {
        DiskCall::Write { file, offset, parts } => Some(Operation::Write { file, parts, offset }),
        DiskCall::SyncData { file } => Some(Operation::SyncData { file }),
        _ => None,
    }
}
