//! The rule of the session's file: after a regular end it equals the session in memory. Thread: the one of the run.

use crate::disk::Planted;
use crate::world::World;
use crate::wrong_fact;
use faultless::session::Session;
use faultless::session::session_file::open_read_only;
use std::path::Path;

/// The difference of the file of the session from the session in memory, as a sentence.
pub(crate) fn difference(world: &World, folder: &Path, in_memory: &Session) -> Option<String> {
    if world.disks.borrow().planted() == Some(Planted::OtherFile) {
        wrong_fact::rename_session(folder);
    }
    match open_read_only(folder) {
        Ok(on_disk) if on_disk == with_folders_of(in_memory, &on_disk) => None,
        Ok(on_disk) => Some(format!(
            "after the end, session.json differs from the session in memory: {}",
            first_difference(&on_disk, &with_folders_of(in_memory, &on_disk))
        )),
        // The simulator reads from the same disk.
        Err(_) if world.disks.borrow().is_unreadable(world.time()) => None,
        Err(error) => Some(format!("after the end, session.json cannot be read: {error}")),
    }
}

/// `session` with the overflow folders of `file`. After the simulator has looked at the session in memory, one that opens
/// while the program closes is listed in the file, and one that is refused is taken out, if no take lies there.
fn with_folders_of(session: &Session, file: &Session) -> Session {
    let mut session = session.clone();
    for folder in file.overflow_folders() {
        session.remember_overflow_folder(folder.clone());
    }
    let others: Vec<String> = session.overflow_folders().to_vec();
    for folder in others.iter().filter(|folder| !file.overflow_folders().contains(folder)) {
        session.forget_overflow_folder(folder);
    }
    session
}

/// The place where two sessions differ first, as both have it.
fn first_difference(on_disk: &Session, in_memory: &Session) -> String {
    let [on_disk, in_memory] = [on_disk, in_memory].map(|session| format!("{session:?}"));
    let same = on_disk.bytes().zip(in_memory.bytes()).take_while(|(one, other)| one == other).count();
    let part = |text: &str| text.chars().skip(same.saturating_sub(60)).take(140).collect::<String>();
    format!("\"{}\" and \"{}\"", part(&on_disk), part(&in_memory))
}
