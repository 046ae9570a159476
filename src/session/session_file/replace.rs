//! Putting a new `session.json` in the place of the present one. Thread: any that may wait for the disk; the module owns
//! nothing.

use super::folder::Folder;
use super::versions::{numbers, version_name};
use super::{RESERVE_BYTES_MIN, SESSION_BYTES_MAX, SessionError};
use crate::session::names::{HISTORY, NEW_SESSION_FILE, RESERVE_FILE, SESSION_FILE, TRASH};

/// Where the file that is replaced goes.
#[derive(Clone, Copy)]
pub(super) enum Previous {
    /// The file becomes a kept version.
    Version,
    /// The file goes to the trash: it is damaged, and as a kept version it would replace a good one.
    Trash,
    /// The file is kept beside the versions, because it is the damaged copy in a folder on another disk.
    Damaged,
}

/// Replaces the session's file by a new one and makes that durable: two syncs. `bytes`: the content of the new file;
/// `None`: it is there already. After an error the file is as it was.
pub(super) fn replace_session_file(
    folder: &Folder,
    bytes: Option<&[u8]>,
    previous: Previous,
) -> Result<(), SessionError> {
    let replace = || {
        if let Some(bytes) = bytes {
            folder.write(NEW_SESSION_FILE, bytes)?;
        }
        if folder.kind(SESSION_FILE)?.is_some() {
            let (keeper, first, name): (_, _, fn(u32) -> String) = match previous {
                Previous::Version => {
                    let last = numbers(folder)?.last().copied();
                    (folder.make_subfolder(HISTORY)?, last.map_or(1, |last| last + 1), version_name)
                }
                Previous::Trash => (folder.make_subfolder(TRASH)?, 1, damaged_name),
                Previous::Damaged => (folder.make_subfolder(HISTORY)?, 1, damaged_name),
            };
            let mut number = first;
            while !folder.link(SESSION_FILE, &keeper, &name(number), SESSION_BYTES_MAX)? {
                number += 1;
            }
            // No sync for the name of a kept version: the journal of a file system has it before the rename that is made
            // durable below. Elsewhere a power cut may cost that version, never the session.
            if !matches!(previous, Previous::Version) {
                keeper.sync()?;
            }
        }
        folder.replace(NEW_SESSION_FILE, SESSION_FILE)?;
        folder.sync()
    };
    replace().inspect_err(|_| {
        // Half of a new file must not fill a full disk further. The first error is the one to report.
        folder.remove(NEW_SESSION_FILE).ok();
    })
}

/// The name of a damaged `session.json` that is kept.
fn damaged_name(number: u32) -> String {
    format!("session-damaged-{number}.json")
}

/// Frees disk blocks for `session.json` on a full disk: first a part of the reserve, no more than the file needs,
/// because the takes need blocks too; then the oldest kept version. Returns whether anything was freed.
pub(super) fn free_blocks(folder: &Folder, bytes: u64) -> Result<bool, SessionError> {
    if folder.shrink_reserve(RESERVE_FILE, 2 * bytes + RESERVE_BYTES_MIN / 16)? {
        return Ok(true);
    }
    let (Some(history), Some(oldest)) = (folder.subfolder(HISTORY)?, numbers(folder)?.first().copied()) else {
        return Ok(false);
    };
    history.remove(&version_name(oldest))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use crate::format::TakeFormat;
    use crate::host::disk::{DiskCall, Proceed};
    use crate::host::refusing::refusing;
    use crate::session::session_file::OpenSession;
    use crate::time::{FramePos, SampleRate};
    use nix::errno::Errno;
    use std::cell::Cell;
    use std::rc::Rc;

    /// The second attempt found the file with the right bytes and called it durable. A power cut brought the one before back.
    #[test]
    fn a_save_whose_last_sync_failed_counts_only_after_a_sync_of_the_folder_that_succeeds() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("Gig");
        let (mut open, mut session) =
            OpenSession::create(&path, "Gig", SampleRate(48_000), TakeFormat::S24).expect("made");
        session.add_marker(FramePos(7), "").expect("room");
        let (fails, synced) = (Rc::new(Cell::new(true)), Rc::new(Cell::new(0)));
        let (judged_fails, judged_synced) = (Rc::clone(&fails), Rc::clone(&synced));
        let installed = refusing(move |call| match call {
            DiskCall::SyncFolder { .. } if judged_fails.get() => Proceed::Fail(Errno::EIO),
            DiskCall::SyncFolder { .. } => {
                judged_synced.set(judged_synced.get() + 1);
                Proceed::Go
            }
            _ => Proceed::Go,
        });
        for _ in 0..3 {
            assert!(open.save(&session).is_err(), "the name is not durable");
        }
        fails.set(false);
        open.save(&session).expect("the disk works again");
        assert_eq!(synced.get(), 1);
        open.save(&session).expect("it is there already");
        assert_eq!(synced.get(), 1, "once only");
        drop(installed);
    }
}
