//! A machine for tests that refuses disk calls or cuts them short. Everything else is real. Thread: test.

use super::disk::{DiskCall, Outcome, Proceed};
use super::{Host, HostThread, Installed, install};
use jiff::Timestamp;
use nix::errno::Errno;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use uuid::Uuid;

struct Refusing<F>(F);

/// Lets `judge` decide each disk call of the calling thread, until the result is dropped.
pub(crate) fn refusing(judge: impl Fn(&DiskCall<'_>) -> Proceed + 'static) -> Installed {
    install(Rc::new(Refusing(judge)))
}

/// The disk of the files for which `is_meant` is true has no holes, until the result is dropped.
pub(crate) fn without_holes(is_meant: impl Fn(BorrowedFd<'_>) -> bool + 'static) -> Installed {
    refusing(move |call| match call {
        // A search for the next data or the next hole. 0 says that the disk has no holes.
        DiskCall::Read { file, bytes: 0, .. } if is_meant(*file) => Proceed::Short(0),
        _ => Proceed::Go,
    })
}

/// No disk makes the names in a folder durable, until the result is dropped.
pub(crate) fn without_folder_syncs(errno: Errno) -> Installed {
    refusing(move |call| match call {
        DiskCall::SyncFolder { .. } => Proceed::Fail(errno),
        _ => Proceed::Go,
    })
}

impl<F: Fn(&DiskCall<'_>) -> Proceed> Host for Refusing<F> {
    fn time(&self) -> Duration {
        Duration::ZERO
    }

    fn wall_clock(&self) -> Timestamp {
        Timestamp::now()
    }

    fn random(&self) -> u128 {
        Uuid::new_v4().as_u128()
    }

    fn sleep(&self, _: Duration) {}

    fn pause(&self, _: Option<Duration>, _: bool) -> bool {
        false
    }

    fn spawn(&self, _: &'static str, _: usize, _: Box<dyn FnOnce() + Send>) -> io::Result<Box<dyn HostThread>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn before(&self, call: &DiskCall<'_>) -> Proceed {
        (self.0)(call)
    }

    fn after(&self, _: &DiskCall<'_>, _: Outcome<'_>) {}

    fn batch(&self, calls: &[DiskCall<'_>], carry_out: &mut dyn FnMut(usize, Proceed) -> Result<usize, Errno>) {
        for (at, call) in calls.iter().enumerate() {
            carry_out(at, self.before(call)).ok();
        }
    }

    fn free_bytes(&self, _: &Path) -> Option<u64> {
        None
    }

    fn memory_folders(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    fn boot(&self) -> String {
        String::new()
    }
}
