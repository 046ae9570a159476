//! The copies of a session in its overflow folders, which can list takes that the session does not. Thread: any that may wait
//! for the disk.

use super::folder::Folder;
use super::{OpenSession, SessionError, folder_of, load, other_name};
use crate::session::{CopyKind, Session, Take, TakeId};
use std::path::Path;
use uuid::Uuid;

/// Takes over what the copies of the session in its overflow folders know and the session does not, because its own
/// disk was full when they were saved. Returns whether there was anything. A folder whose disk is not connected is
/// left out. `may_be_file_of` says whether a file is that of a take: the name of a take that was taken out of the session
/// may have been used by another program since. Adds a message to `troubles` for each copy that is there and cannot be read.
pub fn merge_copies(
    store: &OpenSession,
    session: &mut Session,
    may_be_file_of: impl Fn(&Path, &Take) -> bool,
    troubles: &mut Vec<String>,
) -> bool {
    let own = store.resolved_path().map_or_else(|_| String::new(), |own| own.display().to_string());
    merge_copies_into(&own, session, may_be_file_of, troubles)
}

/// Lists the losses that the copies of the session in its overflow folders list for a take. The take was opened again since the
/// copies were merged, and may get longer than it was. A copy that cannot be read is left out.
pub fn merge_losses_of_copies(store: &OpenSession, session: &mut Session, take: TakeId) {
    let own = store.resolved_path().map_or_else(|_| String::new(), |own| own.display().to_string());
    for path in session.overflow_folders().to_vec() {
        for path in [path.clone(), other_name(&path, session.id)] {
            if path != own
                && let Ok(Some(copy)) = copy_in(&path, session.id)
            {
                session.merge_losses_of_take(&copy.copy_for_folder(&own, &path), take);
            }
        }
    }
}

/// The takes that the copies of a session in its overflow folders list and the session at `path` does not. The next opening
/// for recording takes them over.
pub fn takes_in_copies_only(path: &Path, session: &Session, may_be_file_of: impl Fn(&Path, &Take) -> bool) -> usize {
    let Ok(folder) = Folder::open(folder_of(path)) else { return 0 };
    let mut merged = session.clone();
    merge_copies_into(&folder.resolved().path().display().to_string(), &mut merged, may_be_file_of, &mut Vec::new());
    merged.takes().len().saturating_sub(session.takes().len())
}

fn merge_copies_into(
    own: &str,
    session: &mut Session,
    may_be_file_of: impl Fn(&Path, &Take) -> bool,
    troubles: &mut Vec<String>,
) -> bool {
    let folder_of = |take: &Take| Path::new(take.folder.as_deref().unwrap_or(own)).join(take.path());
    let has_file = |take: &Take| may_be_file_of(&folder_of(take), take);
    let mut changed = false;
    let mut asked = Vec::new();
    // A copy can name further folders.
    while let Some(path) = session.overflow_folders().iter().find(|path| !asked.contains(*path)).cloned() {
        for path in [path.clone(), other_name(&path, session.id)] {
            if path == own {
                continue;
            }
            let copy = match copy_in(&path, session.id) {
                Ok(Some(copy)) => copy,
                Ok(None) => continue,
                Err(error) => {
                    troubles.push(format!(
                        "{error}; if it is a copy of this session, it may list takes and losses that the session does not"
                    ));
                    continue;
                }
            };
            let mut merged = session.clone();
            if merged.merge_newer_takes(&copy.copy_for_folder(own, &path), CopyKind::Found, has_file)
                && merged.validate().is_ok()
            {
                (*session, changed) = (merged, true);
            }
        }
        asked.push(path);
    }
    changed
}

/// The copy of the session with this identity in a folder. `None`: the folder is not there, or has another session or none.
fn copy_in(path: &str, id: Uuid) -> Result<Option<Session>, SessionError> {
    match Folder::open(Path::new(path)).and_then(|folder| load(&folder)) {
        Ok(copy) => Ok(Some(copy).filter(|copy| copy.id == id)),
        Err(SessionError::Missing { .. } | SessionError::NotASession { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
