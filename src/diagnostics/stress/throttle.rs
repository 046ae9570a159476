//! Makes the disk slow for this process only, with a control group of its own that limits block I/O. Thread: the stress
//! test's.

use crate::diagnostics::bench::load::cgroup_places;
use crate::file_system::Mount;
use nix::sys::stat::{major, minor};
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Files of a control group that limit writing to a disk, in version 1 and 2.
const FILES: [&str; 2] = ["blkio.throttle.write_bps_device", "io.max"];

/// The file of version 1 that limits reading.
const READS: &str = "blkio.throttle.read_bps_device";

/// A control group that this process has moved into. Dropping it moves the process back and removes the group.
pub(super) struct Throttle {
    group: PathBuf,
    home: PathBuf,
    file: &'static str,
    /// `MAJOR:MINOR` of the disk, not of a partition.
    disk: String,
}

impl Throttle {
    /// Moves this process into a control group of its own. The error is the reason why that is not possible.
    pub(super) fn enter(mount: &Mount) -> Result<Throttle, String> {
        if !nix::unistd::geteuid().is_root() {
            return Err("needs root".to_owned());
        }
        let disk = disk_of(&mount.source).ok_or_else(|| {
            format!("{} is on {}, which is no disk whose speed could be set", mount.at.display(), mount.source)
        })?;
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let entered = cgroup_places(&own, "blkio", FILES).into_iter().find_map(|(home, parent, file)| {
            let group = parent.join(format!("faultless-stress-{}", std::process::id()));
            fs::create_dir(&group).ok()?;
            // From here on, dropping `throttle` removes the group.
            let throttle = Throttle { group, home, file, disk: disk.clone() };
            let usable = throttle.group.join(file).exists();
            (usable && join(&throttle.group).is_ok()).then_some(throttle)
        });
        entered
            .ok_or_else(|| "no control group with a block throttle (blkio of v1, io.max of v2) can be made".to_owned())
    }

    /// Limits reading and writing to this many bytes per second each; `None`: no limit.
    pub(super) fn set(&self, bytes_per_second: Option<u64>) -> io::Result<()> {
        let disk = &self.disk;
        if self.file == FILES[0] {
            let line = format!("{disk} {}", bytes_per_second.unwrap_or(0));
            fs::write(self.group.join(READS), &line)?;
            return fs::write(self.group.join(self.file), line);
        }
        let speed = bytes_per_second.map_or_else(|| "max".to_owned(), |bytes| bytes.to_string());
        fs::write(self.group.join(self.file), format!("{disk} rbps={speed} wbps={speed}"))
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        // Nothing can be done about a failure, and an empty group harms nobody.
        self.set(None).ok();
        join(&self.home).ok();
        fs::remove_dir(&self.group).ok();
    }
}

fn join(group: &Path) -> io::Result<()> {
    fs::write(group.join("cgroup.procs"), std::process::id().to_string())
}

/// `MAJOR:MINOR` of the disk behind a device file. A partition cannot be throttled, so its disk is returned.
fn disk_of(source: &str) -> Option<String> {
    let data = fs::metadata(source).ok().filter(|data| data.file_type().is_block_device())?;
    let own = format!("{}:{}", major(data.rdev()), minor(data.rdev()));
    let known = PathBuf::from("/sys/dev/block").join(&own).canonicalize().ok()?;
    if !known.join("partition").exists() {
        return Some(own);
    }
    fs::read_to_string(known.parent()?.join("dev")).ok().map(|text| text.trim().to_owned())
}
