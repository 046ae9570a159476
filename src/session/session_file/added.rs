//! The file of takes that `session.json` does not list yet. Thread: any that may wait for the disk; the state belongs to the
//! open session.
//!
//! A pass waits until the session on the disk lists its takes. `session.json` of a large session has many megabytes, and to
//! write them takes longer than to create the WAV files. So a save that only adds takes writes these takes into a small file
//! beside `session.json`. Reading adds them to the session. The next save of any other change writes `session.json` with
//! them and removes the file.
//!
//! A power cut can bring a file back that was removed. Its takes may be listed otherwise by now. Each number is given once, so a
//! file whose next number is not larger than that of `session.json` is older than it, and adds nothing.

use super::bytes::{self, Fault};
use super::folder::{FileMark, Folder};
use super::{FILE_VERSION, SESSION_BYTES_MAX, SessionError};
use crate::session::names::{ADDED_TAKES_FILE, DAMAGED_ADDED_TAKES_FILE, NEW_ADDED_TAKES_FILE};
use crate::session::{Session, Take};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use uuid::Uuid;

/// The content of the file.
#[derive(Serialize, Deserialize)]
struct AddedTakes<'a> {
    version: u64,
    /// Identity of the session.
    id: Uuid,
    next_id: u64,
    takes: Cow<'a, [Take]>,
}

/// The state of the file, as the open session knows it.
#[derive(Debug, Default)]
pub(super) enum OnDisk {
    /// It may exist.
    #[default]
    Unknown,
    /// It does not exist.
    Missing,
    /// With it, `session.json` gives this session, if it still has this mark.
    Gives(Box<Session>, FileMark),
}

/// A new file that is durable and waits for its name, and the session that it gives with `session.json`.
pub(super) type Prepared = (Box<Session>, FileMark);

/// Adds the takes of the file to the session of `session.json`.
pub(super) fn add_to(folder: &Folder, session: &mut Session) -> Result<(), SessionError> {
    let Some(bytes) = folder.read(ADDED_TAKES_FILE, SESSION_BYTES_MAX)? else { return Ok(()) };
    let with =
        added(&bytes, session).map_err(|fault| fault.into_error(folder.path().join(ADDED_TAKES_FILE), folder))?;
    *session = with;
    Ok(())
}

/// `session` with the takes of a file of these bytes. The file of another session adds nothing.
fn added(bytes: &[u8], session: &Session) -> Result<Session, Fault> {
    bytes::check_version(bytes)?;
    let added: AddedTakes<'_> = serde_json::from_slice(bytes)?;
    if added.id != session.id {
        return Ok(session.clone());
    }
    if added.next_id <= session.next_id() {
        return Ok(session.clone());
    }
    let mut with = session.clone();
    with.add_listed_takes(&added.takes, added.next_id);
    with.validate().map_err(|reason| Fault::damaged(&reason))?;
    Ok(with)
}

/// Gives a file that cannot be read another name, so that it is in nobody's way and not lost.
pub(super) fn set_aside_if_damaged(folder: &Folder, session: &Session) -> Result<(), SessionError> {
    match add_to(folder, &mut session.clone()) {
        Err(SessionError::Damaged { .. }) => folder.replace(ADDED_TAKES_FILE, DAMAGED_ADDED_TAKES_FILE),
        _ => Ok(()),
    }
}

/// Makes a new file durable that gives `session` if `session.json` has `listed`. `None`: the difference is not only that
/// takes were added.
pub(super) fn prepare(folder: &Folder, listed: &Session, session: &Session) -> Result<Option<Prepared>, SessionError> {
    let Some(takes) = session.takes_added_to(listed) else { return Ok(None) };
    let path = || folder.path().join(ADDED_TAKES_FILE);
    session.validate().map_err(|reason| SessionError::Invalid { path: path(), reason })?;
    let file =
        AddedTakes { version: FILE_VERSION, id: session.id, next_id: session.next_id(), takes: Cow::Borrowed(takes) };
    let bytes =
        super::encode::to_lines(&file).map_err(|error| SessionError::Io { path: path(), call: "encode", error })?;
    folder.write(NEW_ADDED_TAKES_FILE, &bytes).inspect_err(|_| {
        // Half of a new file must not fill a full disk further.
        folder.remove(NEW_ADDED_TAKES_FILE).ok();
    })?;
    let mark = folder.mark(NEW_ADDED_TAKES_FILE)?;
    Ok(mark.map(|mark| (Box::new(session.clone()), mark)))
}

/// Gives a prepared file its name, and makes that durable. After an error, the file or the one before it is there.
pub(super) fn finish(folder: &Folder, prepared: Prepared) -> Result<OnDisk, SessionError> {
    let (session, _) = prepared;
    folder.replace(NEW_ADDED_TAKES_FILE, ADDED_TAKES_FILE).inspect_err(|_| {
        folder.remove(NEW_ADDED_TAKES_FILE).ok();
    })?;
    folder.sync()?;
    Ok(folder.mark(ADDED_TAKES_FILE)?.map_or(OnDisk::Unknown, |mark| OnDisk::Gives(session, mark)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::tests::recorded;
    use crate::time::{FramePos, Frames};

    #[test]
    fn a_list_that_is_older_than_the_session_adds_no_take_whose_file_is_another_take_s_by_now() {
        let mut session = Session::new(
            Uuid::from_u128(1),
            "Gig",
            "",
            crate::time::SampleRate(48_000),
            crate::format::TakeFormat::S24,
        );
        let track = session.add_track("Kick", &[0]).expect("room");
        let before = session.clone();
        let first = recorded(&mut session, track, FramePos(0), Frames(10));
        let takes: Vec<Take> = session.takes().to_vec();
        let list =
            AddedTakes { version: FILE_VERSION, id: session.id, next_id: session.next_id(), takes: takes.into() };
        let bytes = super::super::encode::to_lines(&list).expect("bytes");
        let with = added(&bytes, &before).expect("it is newer");
        assert!(with.takes().iter().any(|take| take.id == first));
        // The take was taken out, and its file's name was given to another one.
        let mut newer = before;
        newer.next_id = session.next_id();
        let second = recorded(&mut newer, track, FramePos(5), Frames(10));
        assert_eq!(newer.take(second).map(Take::path), session.take(first).map(Take::path));
        assert_eq!(added(&bytes, &newer).expect("it is older"), newer);
    }
}
