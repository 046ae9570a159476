//! Recovers takes in the copy of a session that an overflow folder had when it was named again. Thread: session saver of
//! that folder.
//!
//! The session's own disk can fail before it lists the folder, and a power cut then leaves takes that only the copy lists.
//! The copy is recovered where it lies, because the session itself is open. Control then takes the result over.

use super::found_files::find_files;
use super::take_wav::{AtPlace, TakeWav};
use super::viewpoint::Viewpoint;
use super::{Report, StepHook, part_files, recover_passes};
use crate::session::session_file::OpenSession;
use crate::session::{Session, Take, TakeState};
use crate::time::Frames;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use uuid::Uuid;

/// Recovers the passes of `copy` of which the session `own` does not list all takes, and saves the copy. Leaves a pass
/// alone that is cut off in the session too: it may be the one that is being recorded now.
pub fn recover_copy(store: &mut OpenSession, copy: &mut Session, own: &Session, folders: &[PathBuf]) -> Report {
    let hook: StepHook<'_> = &mut |_| Ok(());
    let in_use: HashSet<Uuid> =
        own.takes().iter().filter(|take| take.state == TakeState::Recording).map(|take| take.uuid).collect();
    let is_in_use = |take: &Take| in_use.contains(&take.uuid);
    let parts = part_files::take_over_all(store.path(), copy, &is_in_use, hook);
    let searched = find_files(store.path(), copy);
    let mut report = Report { found: searched.found, troubles: searched.troubles, ..Report::default() };
    report.add_parts(parts);
    let passes = passes_to_recover(store, copy, own);
    if !passes.is_empty() {
        let view = Viewpoint::here(folders);
        recover_passes(store, copy, &view, passes, hook, &mut report);
    }
    report
}

/// Whether a take has sound, or a file of its own that may have some.
pub fn may_have_sound(store: &OpenSession, session: &Session, take: &Take) -> bool {
    let may_have_file = || match TakeWav::open(store, session, take) {
        Ok(_) => true,
        Err(unusable) => unusable.found == AtPlace::Unknown,
    };
    take.frames > Frames(0) || may_have_file()
}

fn passes_to_recover(store: &OpenSession, copy: &mut Session, own: &Session) -> BTreeSet<u32> {
    let known: HashMap<Uuid, TakeState> = own.takes().iter().map(|take| (take.uuid, take.state)).collect();
    // A take that the session does not list, and that it cannot have forgotten: it has sound, or it is newer. A newer one
    // without a file ends here without frames.
    let is_newer = |take: &Take| own.is_new_identity(take.id.0);
    let is_missing = |take: &&Take| {
        let is_wanted = || is_newer(take) || may_have_sound(store, copy, take);
        !known.contains_key(&take.uuid) && !own.is_needless(copy, take) && is_wanted()
    };
    let mut passes: BTreeSet<u32> = copy.takes().iter().filter(is_missing).map(|take| take.pass).collect();
    let is_in_use = |take: &&Take| known.get(&take.uuid) == Some(&TakeState::Recording);
    for take in copy.takes().iter().filter(is_in_use) {
        passes.remove(&take.pass);
    }
    // A recovery without this copy has given these takes another length.
    let was_recovered = |take: &&Take| known.get(&take.uuid) == Some(&TakeState::Recovered);
    let reopened = copy.takes().iter().filter(|take| passes.contains(&take.pass)).filter(was_recovered);
    for id in reopened.map(|take| take.id).collect::<Vec<_>>() {
        copy.reopen_take(id);
    }
    let cut_off: BTreeSet<u32> =
        copy.takes().iter().filter(|take| take.state == TakeState::Recording).map(|take| take.pass).collect();
    passes.intersection(&cut_off).copied().collect()
}
