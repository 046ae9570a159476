//! The durability of the names of takes' files. Thread: any that may wait for the disk; a recovery.

use super::{OpenSession, SessionError, folder_on_other_disk};
use crate::session::names::{AUDIO, TRASH};
use crate::session::{Session, Take};

/// Makes the names of takes' files durable in their folders. A program that was killed may have made a file a moment before,
/// and not have made its name durable.
pub fn sync_take_folders<'a>(
    store: &OpenSession,
    session: &Session,
    takes: impl Iterator<Item = &'a Take>,
) -> Result<(), SessionError> {
    let mut done: Vec<(Option<&str>, bool)> = Vec::new();
    for take in takes {
        let place = (take.folder.as_deref(), take.trashed);
        if done.contains(&place) {
            continue;
        }
        let other = folder_on_other_disk(session, take)?;
        let folder = other.as_ref().unwrap_or(&store.folder);
        if let Some(subfolder) = folder.subfolder(if take.trashed { TRASH } else { AUDIO })? {
            subfolder.sync()?;
        }
        done.push(place);
    }
    Ok(())
}
