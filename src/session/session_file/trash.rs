//! Moves the files of takes into the trash and back. Thread: session saver.
//!
//! A take keeps the name of its file. If another program has made a file of that name meanwhile, that file gets another
//! name, as when it replaces a file that is being recorded. So the session need not change: a kill between the two renames
//! leaves the take's file where the next opening looks for it.

use super::folder::{Folder, Moved};
use super::{OpenSession, SessionError, folder_on_other_disk};
use crate::file_system::name_for_other;
use crate::session::names::{AUDIO, TRASH};
use crate::session::{Session, Shared, Take, TakeId};
use crate::wav::header::{HEADER_BYTES, has_reference};
use nix::errno::Errno;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// Names that are tried for the file of another program.
const NAME_COUNT_MAX: u32 = 1000;

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
    /// call tries it again. A file of another program that got another name is reported as an error too.
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
                    None => move_file(&audio, &trash, take, &mut errors),
                    Some(path) => other_folder(&mut others, path, session, take).and_then(|other| match other {
                        Some(other) => {
                            let (audio, trash) = (other.make_subfolder(AUDIO)?, other.make_subfolder(TRASH)?);
                            move_file(&audio, &trash, take, &mut errors)
                        }
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

/// Moves the file of a take, and adds to `notices` if a file of another program got another name for it. Returns whether
/// the take's file was moved.
fn move_file(
    audio: &Folder,
    trash: &Folder,
    take: &Take,
    notices: &mut Vec<SessionError>,
) -> Result<bool, SessionError> {
    let (from, to) = if take.trashed { (audio, trash) } else { (trash, audio) };
    let name = take.file_name();
    let taken = || to.io(name, "rename", Errno::EEXIST);
    match from.move_to(name, to, name)? {
        Moved::NameTaken => {}
        moved => return Ok(moved == Moved::Done),
    }
    if !is_file_of(from, take)? {
        // It was moved already, and the other program's file is where the take's was.
        return if is_file_of(to, take)? { Ok(false) } else { Err(taken()) };
    }
    let aside = move_aside(to, name)?.ok_or_else(taken)?;
    notices.push(SessionError::NameTaken { path: to.path().join(name), aside });
    match from.move_to(name, to, name)? {
        Moved::Done => Ok(true),
        // The other program has made it once more. The next save tries again.
        Moved::NameTaken | Moved::Missing => Err(taken()),
    }
}

/// Whether the file of a take's name in a folder has the take's identity.
fn is_file_of(folder: &Folder, take: &Take) -> Result<bool, SessionError> {
    let page = folder.read_start(take.file_name(), HEADER_BYTES as u64)?;
    Ok(page.is_some_and(|page| has_reference(&page, &take.uuid.simple().to_string())))
}

/// Gives the file of another program a name of its own. Returns its path; `None` if no name was free.
fn move_aside(folder: &Folder, name: &str) -> Result<Option<PathBuf>, SessionError> {
    let stem = Path::new(name).file_stem().unwrap_or(name.as_ref());
    for number in 1..=NAME_COUNT_MAX {
        let aside = name_for_other(stem, number);
        let aside = aside.to_string_lossy();
        if folder.move_to(name, folder, &aside)? != Moved::NameTaken {
            return Ok(Some(folder.path().join(&*aside)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::super::open_take;
    use super::*;
    use crate::format::TakeFormat;
    use crate::session::tests::recorded;
    use crate::time::{FramePos, Frames, SampleRate};
    use crate::wav::bext::Bext;
    use crate::wav::header::Header;
    use std::fs;

    const FOREIGN: &[u8] = b"of another program";

    /// A session with a take, its folder, and the content of the take's file, which lies in `audio`.
    fn scene() -> (tempfile::TempDir, OpenSession, Session, TakeId, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let made = OpenSession::create(&dir.path().join("Gig"), "Gig", SampleRate(48_000), TakeFormat::S24);
        let (open, mut session) = made.unwrap();
        let track = session.add_track("Kick", &[0]).unwrap();
        let id = recorded(&mut session, track, FramePos(0), Frames(10));
        let originator_reference = session.take(id).unwrap().uuid.simple().to_string();
        let bext = Bext { originator_reference, ..Bext::default() };
        let own = Header { bext, ..Header::new(1, 48_000, TakeFormat::S24) }.build().to_vec();
        fs::write(open.path().join("audio/Kick-1.wav"), &own).unwrap();
        (dir, open, session, id, own)
    }

    /// The take has its own file in the folder `place`, and the other program's file beside it is whole.
    #[track_caller]
    fn is_settled(open: &mut OpenSession, session: &Session, place: &str, own: &[u8]) {
        let told = open.move_trashed_files(session).unwrap_err();
        let [SessionError::NameTaken { path, aside }] = &told[..] else { panic!("{told:?}") };
        let folder = open.path().join(place);
        assert_eq!((path, aside), (&folder.join("Kick-1.wav"), &folder.join("Kick-1 (of another program 1).wav")));
        assert!(fs::read(path).unwrap() == own);
        assert_eq!(fs::read(aside).unwrap(), FOREIGN);
        assert!(open.move_trashed_files(session).is_ok(), "nothing is left to do");
        assert!(fs::read(path).unwrap() == own);
    }

    /// The session listed the take with the other program's file, and the take's sound stayed in the trash.
    #[test]
    fn a_take_comes_back_from_the_trash_though_another_program_has_made_a_file_of_its_name() {
        let (_dir, mut open, mut session, id, own) = scene();
        session.trash_take(id).unwrap();
        open.move_trashed_files(&session).unwrap();
        fs::write(open.path().join("audio/Kick-1.wav"), FOREIGN).unwrap();
        session.untrash_take(id).unwrap();
        is_settled(&mut open, &session, AUDIO, &own);
    }

    #[test]
    fn a_take_goes_to_the_trash_though_another_program_has_made_a_file_of_its_name_there() {
        let (_dir, mut open, mut session, id, own) = scene();
        fs::write(open.path().join("trash/Kick-1.wav"), FOREIGN).unwrap();
        session.trash_take(id).unwrap();
        is_settled(&mut open, &session, TRASH, &own);
    }

    /// The take was not moved to the trash because of the file there, and the user took it back.
    #[test]
    fn a_take_whose_file_is_in_its_place_stays_there_though_another_programs_file_is_in_the_trash() {
        let (_dir, mut open, session, _, own) = scene();
        fs::write(open.path().join("trash/Kick-1.wav"), FOREIGN).unwrap();
        open.move_trashed_files(&session).unwrap();
        assert!(fs::read(open.path().join("audio/Kick-1.wav")).unwrap() == own);
        assert_eq!(fs::read(open.path().join("trash/Kick-1.wav")).unwrap(), FOREIGN);
    }

    #[test]
    fn a_copy_of_a_take_that_another_program_puts_at_its_name_does_not_keep_the_take_in_the_trash() {
        let (_dir, mut open, mut session, id, mut own) = scene();
        session.trash_take(id).unwrap();
        open.move_trashed_files(&session).unwrap();
        fs::write(open.path().join("audio/Kick-1.wav"), &own).unwrap();
        own.push(1);
        fs::write(open.path().join("trash/Kick-1.wav"), &own).unwrap();
        session.untrash_take(id).unwrap();
        assert_eq!(open.move_trashed_files(&session).unwrap_err().len(), 1);
        assert!(fs::read(open.path().join("audio/Kick-1.wav")).unwrap() == own);
    }

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
