//! The second open file of a take, whose writes go past the page cache. Thread: committer.

use crate::host::disk;
use crate::message::offset::FileByte;
use nix::libc;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

/// Opens a file a second time with `O_DIRECT`, if its file system can do that. `header`: the header in the file.
pub(super) fn open_o_direct(file: &File, header: &[u8]) -> Option<File> {
    // Write the header as a test: some file systems accept the flag and refuse the write. Open by descriptor, not by
    // path: another program may have moved the folder.
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let file = disk::open(OpenOptions::new().read(true).write(true).custom_flags(libc::O_DIRECT), path.as_ref());
    file.ok().filter(|file| disk::write_all_at(file, header, 0).is_ok())
}

/// `EFBIG`, if the file may not have `end` bytes. The largest size on FAT is one byte less than whole pages, and that of a
/// process (`ulimit -f`) can be any. The kernel cuts a write there, and refuses the rest with `EINVAL` if `O_DIRECT` does
/// not allow its length. So the error of a write does not tell the cause. The error of a call that makes the file
/// longer does.
pub(super) fn size_refusal(file: &File, end: FileByte) -> Option<io::Error> {
    file.metadata().ok().filter(|found| found.len() < end.0)?;
    disk::set_length(file, end.0).err().filter(|error| error.raw_os_error() == Some(libc::EFBIG))
}
