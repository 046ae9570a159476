//! Spool files: where they live, whose they are, and how their memory comes back. Thread: butler (make),
//! committer (punch, remove).

use crate::limits;
use crate::message::disk::{SpoolFile, TakePlan};
use crate::rt::process;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use nix::sys::statvfs::statvfs;
use nix::unistd::getuid;
use serde::{Deserialize, Serialize};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Where spool files live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpoolPlace {
    /// A folder of ours on a tmpfs: what is in it outlives the program.
    Folder(PathBuf),
    /// Memory without a name (`memfd`): it does not.
    Memory,
}

/// Bytes that a spool file may cover: a file of that size holds no memory, only its windows do.
const SPOOL_FILE_BYTES: u64 = 1 << 42;

/// What the first page of a spool file says about itself. The page of the WAV that lies there is
/// written by the committer alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpoolIdentity {
    /// 1.
    pub faultless_spool: u32,
    /// The take, as the session knows it.
    pub take: Uuid,
    /// The session.
    pub session: Uuid,
    /// The WAV file that it belongs to, absolute when it was made.
    pub wav: PathBuf,
    /// Bytes of one frame.
    pub frame_bytes: usize,
}

/// The folder for spool files and the bytes free in it: on the roomiest tmpfs that this user can write,
/// mode 0700, ours. `None`: there is none.
pub fn folder() -> Option<(PathBuf, u64)> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let places = runtime.into_iter().chain([PathBuf::from("/dev/shm")]);
    places.filter_map(|place| Some((folder_in(&place)?, free_bytes(&place)?))).max_by_key(|(_, free)| *free)
}

fn folder_in(place: &Path) -> Option<PathBuf> {
    if !statfs(place).is_ok_and(|stat| stat.filesystem_type() == TMPFS_MAGIC) {
        return None;
    }
    let folder = place.join(format!("faultless-{}", getuid()));
    DirBuilder::new().mode(0o700).create(&folder).ok();
    // Made by somebody else, or a link to elsewhere: not to be trusted with sound.
    let found = std::fs::symlink_metadata(&folder).ok()?;
    (found.is_dir() && found.uid() == getuid().as_raw() && found.mode() & 0o077 == 0).then_some(folder)
}

/// Bytes that an ordinary user can still write on the file system of `path`.
pub fn free_bytes(path: &Path) -> Option<u64> {
    let stat = statvfs(path).ok()?;
    if stat.blocks() == 0 {
        // A tmpfs mounted without a limit: memory is the limit.
        return process::memory_available().ok();
    }
    Some(stat.blocks_available() * stat.fragment_size())
}

/// The spool file of a take, in a spool folder.
pub fn path_of(folder: &Path, take: Uuid) -> PathBuf {
    folder.join(format!("{take}.spool"))
}

/// Makes the spool of a take. Fails if a file of that name is there.
pub fn create(place: &SpoolPlace, plan: &TakePlan) -> io::Result<SpoolFile> {
    let spool = match place {
        SpoolPlace::Memory => {
            let file = File::from(memfd_create(c"faultless-spool", MFdFlags::MFD_CLOEXEC)?);
            SpoolFile { file, path: None }
        }
        SpoolPlace::Folder(folder) => {
            let path = path_of(folder, plan.identity);
            let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
            SpoolFile { file, path: Some(path) }
        }
    };
    spool.file.set_len(SPOOL_FILE_BYTES)?;
    let identity = SpoolIdentity {
        faultless_spool: 1,
        take: plan.identity,
        session: plan.session,
        wav: plan.path.clone(),
        frame_bytes: plan.frame_bytes(),
    };
    let mut page = serde_json::to_vec(&identity)?;
    if limits::PAGE_BYTES <= page.len() {
        return Err(io::Error::other("the path of the take is too long"));
    }
    page.push(b'\n');
    spool.file.write_all_at(&page, 0)?;
    Ok(spool)
}

/// Makes sure that storing to a span cannot fail for want of memory, where touching pages is all there is.
pub fn reserve(spool: &File, offset: u64, bytes: usize) -> io::Result<()> {
    Ok(fallocate(spool, FallocateFlags::empty(), offset as i64, bytes as i64)?)
}

/// Gives the memory of a span back. What it held must be on the disk.
pub fn punch(spool: &File, offset: u64, bytes: usize) -> io::Result<()> {
    let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    Ok(fallocate(spool, flags, offset as i64, bytes as i64)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::TakeFormat;
    use crate::message::disk::TakeKey;
    use crate::wav::header::Header;

    fn plan() -> TakePlan {
        TakePlan {
            key: TakeKey(1),
            identity: Uuid::new_v4(),
            session: Uuid::new_v4(),
            path: PathBuf::from("/x/audio/Åska-1.wav"),
            header: Header::new(1, 48_000, TakeFormat::S24),
        }
    }

    #[test]
    fn a_spool_says_whose_it_is_and_is_never_made_twice() {
        let Some((folder, free)) = folder() else { return };
        assert!(free > 0);
        let (place, plan) = (SpoolPlace::Folder(folder), plan());
        let spool = create(&place, &plan).unwrap();
        let mut page = vec![0; limits::PAGE_BYTES];
        spool.file.read_exact_at(&mut page, 0).unwrap();
        let end = page.iter().position(|byte| *byte == b'\n').unwrap();
        let identity: SpoolIdentity = serde_json::from_slice(&page[..end]).unwrap();
        assert_eq!((identity.take, identity.session, &identity.wav), (plan.identity, plan.session, &plan.path));
        assert_eq!(create(&place, &plan).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        std::fs::remove_file(spool.path.unwrap()).unwrap();
    }

    #[test]
    fn a_folder_that_is_no_tmpfs_is_no_place_for_a_spool() {
        assert_eq!(folder_in(Path::new("/proc")), None);
        assert_eq!(folder_in(Path::new("/nowhere")), None);
    }

    #[test]
    fn a_punched_span_holds_no_memory() {
        let spool = create(&SpoolPlace::Memory, &plan()).unwrap();
        let blocks = |file: &File| file.metadata().unwrap().blocks();
        let before = blocks(&spool.file);
        spool.file.write_all_at(&[1; 8192], 4096).unwrap();
        assert_eq!(blocks(&spool.file), before + 16);
        punch(&spool.file, 4096, 8192).unwrap();
        assert_eq!(blocks(&spool.file), before);
    }
}
