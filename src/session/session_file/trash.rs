//! Moves the files of takes into the trash and back. Thread: session saver.

use super::folder::Folder;
use super::{OpenSession, SessionError, folder_on_other_disk};
use crate::session::names::{AUDIO, TRASH};
use crate::session::{Session, Shared, Take, TakeId};
use std::collections::{BTreeSet, HashMap};

/// The takes whose files are where the session says they are.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// The last session whose files were moved; `None`: none since the folder was opened.
    session: Option<Session>,
    /// Takes of it whose files could not be moved.
    unmoved: BTreeSet<TakeId>,
}

impl Settled {
    /// The takes of `session` whose files may be in the wrong folder. At first these are all takes, because a program
    /// may have been killed between a save and the moves; later those that went into the trash or out of it.
    fn outdated<'a>(&self, session: &'a Session) -> Vec<&'a Take> {
        let Some(settled) = &self.session else { return session.takes().iter().collect() };
        let place = |take: &Take| (take.trashed, take.folder.clone(), take.file.clone());
        let mut old = settled.takes().iter().peekable();
        let mut found = Vec::new();
        for take in session.takes() {
            // Both lists are sorted by identity.
            while old.next_if(|old| !Shared::is_same(old, take) && old.id < take.id).is_some() {}
            let is_same = old.next_if(|old| Shared::is_same(old, take)).is_some();
            let was_at = || settled.take(take.id).map(place);
            if self.unmoved.contains(&take.id) || (!is_same && was_at() != Some(place(take))) {
                found.push(take);
            }
        }
        found
    }
}

impl OpenSession {
    /// Moves the files of takes to where the session says they are: into the trash or back. The caller does so after
    /// a save and after opening. A second call changes nothing. Each file that cannot be moved is an error, and the next
    /// call tries it again.
    pub fn move_trashed_files(&mut self, session: &Session) -> Result<(), Vec<SessionError>> {
        let takes = self.settled.outdated(session);
        let mut errors = Vec::new();
        let mut unmoved = BTreeSet::new();
        if !takes.is_empty() {
            let folders = || Ok((self.folder.make_subfolder(AUDIO)?, self.folder.make_subfolder(TRASH)?));
            let (audio, trash) = folders().map_err(|error| vec![error])?;
            // Folders on other disks, by path. To open one means to read the copy of the session in it.
            let mut others: HashMap<&str, Option<Folder>> = HashMap::new();
            let mut moved = false;
            for take in takes {
                let done = match take.folder.as_deref() {
                    None => move_file(&audio, &trash, take),
                    Some(path) => other_folder(&mut others, path, session, take).and_then(|other| match other {
                        Some(other) => move_file(&other.make_subfolder(AUDIO)?, &other.make_subfolder(TRASH)?, take),
                        // The disk is not connected. Its files are moved when the session is opened with it.
                        None => Ok(false),
                    }),
                };
                match done {
                    Ok(one) => moved |= one,
                    Err(error) => {
                        unmoved.insert(take.id);
                        errors.push(error);
                    }
                }
            }
            if moved {
                errors.extend([audio.sync(), trash.sync()].into_iter().filter_map(Result::err));
            }
        }
        self.settled = Settled { session: Some(session.clone()), unmoved };
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}

/// The folder `path` of a take on another disk, opened once for all takes. `None`: its disk is not connected.
fn other_folder<'a, 'b>(
    others: &'a mut HashMap<&'b str, Option<Folder>>,
    path: &'b str,
    session: &Session,
    take: &Take,
) -> Result<Option<&'a Folder>, SessionError> {
    if !others.contains_key(path) {
        let folder = match folder_on_other_disk(session, take) {
            Err(SessionError::Missing { .. }) => None,
            found => found?,
        };
        others.insert(path, folder);
    }
    Ok(others.get(path).and_then(Option::as_ref))
}

fn move_file(audio: &Folder, trash: &Folder, take: &Take) -> Result<bool, SessionError> {
    let (from, to) = if take.trashed { (audio, trash) } else { (trash, audio) };
    from.move_to(to, take.file_name())
}

#[cfg(test)]
mod tests {
    use super::super::open_take;
    use super::*;
    use crate::format::TakeFormat;
    use crate::session::tests::recorded;
    use crate::time::{FramePos, Frames, SampleRate};
    use std::fs;

    /// An export right after the undo of a discard did not find the take.
    #[test]
    fn a_take_is_read_while_its_file_is_still_in_the_folder_that_it_is_going_to_leave() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("Gig");
        let made = OpenSession::create(&path, "Gig", SampleRate(48_000), TakeFormat::S24);
        let (_open, mut session) = made.expect("made");
        let track = session.add_track("Kick", &[0]).expect("room");
        let id = recorded(&mut session, track, FramePos(0), Frames(10));
        let take = session.take(id).expect("made").clone();
        fs::write(path.join(take.earlier_path()), "sound").expect("written");
        let file = open_take(&path, &take).expect("found");
        assert_eq!(file.metadata().expect("open").len(), 5);
        session.trash_take(id).expect("complete");
        let trashed = session.take(id).expect("made").clone();
        assert_eq!((trashed.path(), trashed.earlier_path()), (take.earlier_path(), take.path()));
        fs::rename(path.join(take.earlier_path()), path.join(take.path())).expect("moved");
        assert!(open_take(&path, &take).is_ok() && open_take(&path, &trashed).is_ok());
    }
}
