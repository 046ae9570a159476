//! Words in memory that this process writes and other processes read: a sealed file without a name. Thread: any.
//!
//! Its seals make the file safe to read. Nobody can cut it short, so a reader takes no SIGBUS, also when the writer is
//! gone. From Linux 5.1 on, nobody but the writer's own mapping can change it. On older kernels a program of the same user
//! could. The writer reads nothing back that it relies on, and a reader bounds each value.
#![expect(unsafe_code, reason = "words of memory that another process writes, and a descriptor that a socket brings")]

use super::map::Mapping;
use crate::limits::PAGE_BYTES;
use memmap2::{MmapOptions, MmapRaw};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// The bytes of a file with so many words: whole pages.
fn file_bytes(words: usize) -> usize {
    (words * size_of::<u64>()).next_multiple_of(PAGE_BYTES)
}

/// The writer's end.
#[derive(Debug)]
pub struct SharedWords {
    map: Mapping,
    file: File,
}

impl SharedWords {
    /// Makes a file of `words` words, all zero.
    pub fn new(name: &CStr, words: usize) -> io::Result<SharedWords> {
        let file = File::from(memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?);
        file.set_len(file_bytes(words) as u64)?;
        let map = Mapping::writable(&file, 0, file_bytes(words))?;
        let size = SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK;
        let seal = |seals| fcntl(&file, FcntlArg::F_ADD_SEALS(seals));
        match seal(size | SealFlag::F_SEAL_FUTURE_WRITE) {
            // The kernel does not know the seal against writing.
            Err(Errno::EINVAL) => seal(size)?,
            sealed => sealed?,
        };
        seal(SealFlag::F_SEAL_SEAL)?;
        Ok(SharedWords { map, file })
    }

    /// A word. One thread writes it.
    pub fn word(&self, index: usize) -> &AtomicU64 {
        self.map.word(index)
    }

    /// The file, to send it to a reader.
    pub fn file(&self) -> &File {
        &self.file
    }
}

/// A reader's end. Holding one tells you: every word can be read, without a fault that ends the program, for as long as
/// this value lives. The values are those of another process, so bound them.
#[derive(Debug)]
pub struct SeenWords {
    raw: MmapRaw,
}

impl SeenWords {
    /// Maps a file that [`SharedWords`] of another process has made with `words` words. Any other file is refused.
    pub fn of(file: &File, words: usize) -> io::Result<SeenWords> {
        let refused = |reason| Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        // Only files in memory have seals.
        let seals = SealFlag::from_bits_retain(fcntl(file, FcntlArg::F_GET_SEALS)?);
        if !seals.contains(SealFlag::F_SEAL_SHRINK) {
            return refused("the shared memory of the recorder can be cut short");
        }
        // Asked after the seals: from then on it gets no shorter.
        if file.metadata()?.len() != file_bytes(words) as u64 {
            return refused("the shared memory of the recorder has another size");
        }
        Ok(SeenWords { raw: MmapOptions::new().len(file_bytes(words)).map_raw_read_only(file)? })
    }

    /// Loads a word. Nothing is ordered by it: see [`std::sync::atomic::fence`].
    pub fn load(&self, index: usize) -> u64 {
        assert!(index < self.raw.len() / size_of::<u64>(), "inside the mapping");
        #[expect(clippy::cast_ptr_alignment, reason = "a mapping begins with a page")]
        let word = self.raw.as_mut_ptr().cast::<u64>();
        // SAFETY: in bounds by the assertion; aligned, because mappings begin with a page; alive and readable as long as
        // `self`, as the file cannot be cut short. The memory is read-only here. A relaxed load of 8 bytes never stores on
        // the processors that this program is built for.
        unsafe { AtomicU64::from_ptr(word.add(index)) }.load(Relaxed)
    }
}

/// Sends a file to the process on the other side, with one byte. Waits as a write does.
pub fn send_file(to: &UnixStream, file: &File) -> io::Result<()> {
    let files = [file.as_raw_fd()];
    let with = [ControlMessage::ScmRights(&files)];
    loop {
        match sendmsg::<()>(to.as_raw_fd(), &[IoSlice::new(&[0])], &with, MsgFlags::MSG_NOSIGNAL, None) {
            Err(Errno::EINTR) => {}
            sent => return Ok(sent.map(|_| ())?),
        }
    }
}

/// Receives the byte and the file that [`send_file`] sends. Call it where the stream has them next: another read would
/// drop the file.
pub fn receive_file(from: &UnixStream) -> io::Result<File> {
    let mut byte = [0];
    let mut space = nix::cmsg_space!(RawFd);
    let (bytes, files) = loop {
        let mut bytes = [IoSliceMut::new(&mut byte)];
        match recvmsg::<()>(from.as_raw_fd(), &mut bytes, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC) {
            Err(Errno::EINTR) => {}
            received => {
                let received = received?;
                break (received.bytes, owned(received.cmsgs()?));
            }
        }
    };
    if bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let file = files.into_iter().next();
    file.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the recorder has sent no shared memory"))
}

/// Every file of a message, so that those that nobody uses are closed.
fn owned(messages: impl Iterator<Item = ControlMessageOwned>) -> Vec<File> {
    let mut files = Vec::new();
    for message in messages {
        if let ControlMessageOwned::ScmRights(descriptors) = message {
            // SAFETY: the kernel has just made these descriptors for this message, and nothing else has them.
            files.extend(descriptors.into_iter().map(|descriptor| unsafe { File::from_raw_fd(descriptor) }));
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn words_are_read_through_a_file_that_a_socket_brought() {
        let words = SharedWords::new(c"test", 700).unwrap();
        let (one, other) = UnixStream::pair().unwrap();
        send_file(&one, words.file()).unwrap();
        let seen = SeenWords::of(&receive_file(&other).unwrap(), 700).unwrap();
        words.word(699).store(7, Relaxed);
        assert_eq!((seen.load(0), seen.load(699)), (0, 7));
        // The writer is gone, and the words are still there.
        drop((words, one));
        assert_eq!(seen.load(699), 7);
        assert_eq!(receive_file(&other).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn nobody_who_gets_the_file_can_change_it_or_cut_it_short() {
        let words = SharedWords::new(c"test", 10).unwrap();
        let file = words.file().try_clone().unwrap();
        assert!(file.set_len(0).is_err() && file.set_len(1 << 20).is_err());
        assert!(file.write_all_at(&[1; 8], 0).is_err(), "it can be written");
        assert!(MmapOptions::new().len(PAGE_BYTES).map_raw(&file).is_err(), "it can be mapped for writing");
        // The writer still can.
        words.word(3).store(5, Relaxed);
        assert_eq!(SeenWords::of(&file, 10).unwrap().load(3), 5);
    }

    #[test]
    fn a_file_of_another_kind_or_size_is_not_read() {
        let plain = tempfile::tempfile().unwrap();
        plain.set_len(PAGE_BYTES as u64).unwrap();
        assert!(SeenWords::of(&plain, 10).is_err());
        let unsealed = File::from(memfd_create(c"test", MFdFlags::MFD_ALLOW_SEALING).unwrap());
        unsealed.set_len(PAGE_BYTES as u64).unwrap();
        assert!(SeenWords::of(&unsealed, 10).is_err(), "it could be cut short");
        assert!(SeenWords::of(SharedWords::new(c"test", 10).unwrap().file(), 513).is_err());
    }

    #[test]
    fn a_byte_without_a_file_is_an_error() {
        use std::io::Write;
        let (mut one, other) = UnixStream::pair().unwrap();
        one.write_all(&[0]).unwrap();
        assert_eq!(receive_file(&other).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
