//! Sound of takes that a mirror has and the session does not, because the session was recovered while the disk of the mirror was
//! away. Thread: session saver of the mirror, which the user has named again; a recovery. Any that may wait for the disk.
//!
//! The copy of the session in such a mirror lists the takes as being recorded, or as longer. If the session's list took the
//! place of that copy, nothing would lead to the sound any more.
//!
//! The sound lies behind the end of the session's take, or inside the take, where the session lists a loss.

use super::damage::restored_pages;
use super::listed_losses::note_losses_of_copy;
use super::ranges::read_as_far_as_possible;
use super::take_wav::{PIECE_BYTES, TakeWav};
use super::viewpoint::spool_record;
use crate::butler::spool::SpoolPlace;
use crate::file_system::open_regular;
use crate::host::disk;
use crate::limits::{DATA_OFFSET, PAGE_BYTES};
use crate::session::{Loss, POSITION_MAX, Session, Take, TakeState, TrackId};
use crate::time::{FramePos, Frames};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Takes that get sound from a mirror when they are recovered again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorGain {
    /// The session folder of the mirror.
    folder: PathBuf,
    /// All takes of the passes of which the mirror has more. They are opened again together, because the takes of a pass have
    /// one length.
    takes: BTreeSet<Uuid>,
}

/// Looks for takes of `session` of which the mirror in `folder` has more. `copy`: the copy of the session there. `own`: the
/// session's folder. An error is the message about takes that a recovery of the session would not complete from this mirror.
pub fn gain_of(folder: &Path, copy: &Session, session: &Session, own: &Path) -> Result<Option<MirrorGain>, String> {
    let (here, there) = (ends(session), ends(copy));
    let known: HashMap<Uuid, &Take> = session.takes().iter().map(|take| (take.uuid, take)).collect();
    let cut_off = copy.takes().iter().filter(|take| take.state == TakeState::Recording);
    let cut_off: BTreeSet<(u32, TrackId)> = cut_off.map(place).collect();
    let (mut passes, mut left): (BTreeSet<u32>, Vec<(&Take, Option<&str>)>) = (BTreeSet::new(), Vec::new());
    // The mirror has the whole pass of a track in the first file.
    for first in copy.takes().iter().filter(|take| take.offset.0 == 0 && take.folder.is_none()) {
        // A take that is being recorded, or was left as it is, names its mirror itself.
        let mine = known.get(&first.uuid).filter(|mine| mine.state != TakeState::Recording && !mine.trashed);
        let Some(mine) = mine else { continue };
        let end = here[&place(mine)];
        let losses = losses_not_found(session, mine);
        if losses.is_empty() && !cut_off.contains(&place(first)) && there[&place(first)] <= end {
            continue;
        }
        let Some(wav) = TakeWav::read_mirror(&folder.join(&first.file), copy, first) else { continue };
        let has_more = |claim: Frames| end < claim.0 || losses.iter().any(|loss| fills(&wav, claim, own, loss));
        let has_recorded_more = has_more(wav.recorded_claim());
        if has_recorded_more && is_recoverable(session, mine, own) {
            passes.insert(mine.pass);
        } else if has_more(wav.claimed) {
            left.push((first, absent_folder(session, mine).filter(|_| has_recorded_more)));
        }
    }
    if let Some((first, absent)) = left.iter().find(|(_, absent)| absent.is_some()).or(left.first()) {
        return Err(refusal(folder, left.len(), first, *absent));
    }
    let takes = session.takes().iter().filter(|take| passes.contains(&take.pass)).map(|take| take.uuid).collect();
    Ok((!passes.is_empty()).then(|| MirrorGain { folder: folder.to_owned(), takes }))
}

impl MirrorGain {
    /// Opens the takes again, and names their mirror, so that the next recovery copies the sound. Returns whether there were any.
    /// Takes over the losses that only `copy` lists, the mirror's copy of the session: the session's list replaces it.
    pub fn reopen_in(&self, session: &mut Session, copy: &Session) -> bool {
        let record = spool_record(&SpoolPlace::Memory, Some(&self.folder));
        let is_one = |take: &&Take| self.takes.contains(&take.uuid) && take.state == TakeState::Recovered;
        let ids: Vec<_> = session.takes().iter().filter(is_one).map(|take| take.id).collect();
        for id in &ids {
            session.reopen_take(*id);
            session.set_take_spool(*id, record.clone()).ok();
            let Some(take) = session.take(*id).cloned() else { continue };
            let Some(first) = session.takes().iter().find(|it| place(it) == place(&take) && it.offset.0 == 0) else {
                continue;
            };
            let (first, next) = (first.uuid, session.continuation_of(&take).map(|next| FramePos(next.offset.0)));
            note_losses_of_copy(session, copy, &take, first, next.unwrap_or(FramePos(POSITION_MAX)));
        }
        !ids.is_empty()
    }

    /// The notice that the takes are recovered when the session is opened again.
    pub fn notice(&self) -> String {
        let (takes, they, get) =
            if self.takes.len() == 1 { ("a take", "it", "gets") } else { ("some takes", "they", "get") };
        format!(
            "{}: this mirror has more of {takes} than the session, which was recovered without it; close the session and open it again with this mirror connected: {they} then {get} that sound",
            self.folder.display()
        )
    }
}

/// Writes the losses that only the copy of the session in a mirror lists into the takes that were recovered here without it, and into
/// those that are still to be recovered. Returns whether there were any. The session's own list replaces the copy, or the copy
/// stays as it is.
pub fn take_over_losses(session: &mut Session, copy: &Session) -> bool {
    let before = session.takes().to_vec();
    for take in before.iter().filter(|take| take.state != TakeState::Complete) {
        let is_first = |first: &&Take| (first.pass, first.track, first.offset.0) == (take.pass, take.track, 0);
        let until = match take.state {
            TakeState::Recording => session.continuation_of(take).map_or(POSITION_MAX, |next| next.offset.0),
            _ => (take.offset + take.frames).0,
        };
        if let Some(first) = before.iter().find(is_first) {
            note_losses_of_copy(session, copy, take, first.uuid, FramePos(until));
        }
    }
    session.takes() != before
}

/// `absent`: the folder of a file that is not there, and that a recovery needs.
fn refusal(folder: &Path, takes: usize, first: &Take, absent: Option<&str>) -> String {
    let of = if takes == 1 { first.file.clone() } else { format!("{takes} takes, for example of {}", first.file) };
    let has_more = format!("{}: this mirror has more of {of} than the session", folder.display());
    match absent {
        Some(absent) => format!(
            "{has_more}, and other parts are in '{absent}', which is not there; connect it, and name the mirror again"
        ),
        None => format!(
            "{has_more}, which cannot take that sound over; open it as a session to use it, and name another folder as mirror"
        ),
    }
}

fn place(take: &Take) -> (u32, TrackId) {
    (take.pass, take.track)
}

/// The losses of the track of `take` in its pass that a recovery has listed because it did not find the sound, each with the
/// take that lists it.
fn losses_not_found<'a>(session: &'a Session, take: &Take) -> Vec<(&'a Take, &'a Loss)> {
    let files = session.takes().iter().filter(|other| place(other) == place(take));
    files.flat_map(|file| file.losses.iter().filter(|loss| loss.is_not_found()).map(move |loss| (file, loss))).collect()
}

/// Whether the file of the mirror, as far as it claims sound, has sound at a loss where the session's file has zeros. This is what
/// a recovery would copy. A file of the session that cannot be read has zeros.
fn fills(mirror: &TakeWav, claim: Frames, own: &Path, (take, loss): &(&Take, &Loss)) -> bool {
    let begin = Frames(loss.at.0);
    let end = (begin + loss.frames).min(claim - take.offset);
    let page = PAGE_BYTES as u64;
    // A recovery compares whole pages.
    let from = (DATA_OFFSET + mirror.bytes_of(begin)) / page * page;
    let until = DATA_OFFSET + mirror.bytes_of(end);
    let file = open_regular(&own.join(take.path())).ok();
    let mut pieces = (from..until).step_by(PIECE_BYTES);
    pieces.any(|at| {
        let bytes = (until - at).min(PIECE_BYTES as u64) as usize;
        let (mut ours, mut theirs) = (vec![0; bytes], vec![0; bytes]);
        if let Some(file) = &file {
            read_as_far_as_possible(file, &mut ours, at);
        }
        read_as_far_as_possible(&mirror.file, &mut theirs, at + mirror.bytes_of(take.offset));
        !restored_pages(&ours, &theirs).is_empty()
    })
}

/// The end of each track in each pass, in frames of the pass.
fn ends(session: &Session) -> HashMap<(u32, TrackId), u64> {
    let mut ends = HashMap::new();
    for take in session.takes() {
        let end: &mut u64 = ends.entry(place(take)).or_default();
        *end = (take.offset + take.frames).0.max(*end);
    }
    ends
}

/// Whether another recovery of the pass of a take can make it longer: no file of the pass was finished in order, and all of them
/// are there.
fn is_recoverable(session: &Session, take: &Take, own: &Path) -> bool {
    let has_file = |take: &Take| disk::metadata(&own.join(take.path())).is_ok();
    let mut of_pass = session.takes().iter().filter(|other| other.pass == take.pass);
    of_pass.all(|take| take.state == TakeState::Recovered && has_file(take))
}

/// The overflow folder that a recovery of the pass of a take needs, and that is not there. `None`: there is none, or the pass
/// cannot be recovered again with it either.
fn absent_folder<'a>(session: &'a Session, take: &Take) -> Option<&'a str> {
    let of_pass = || session.takes().iter().filter(|other| other.pass == take.pass);
    let is_absent = |folder: &&str| disk::metadata(Path::new(folder)).is_err();
    let absent = of_pass().filter_map(|take| take.folder.as_deref()).find(is_absent)?;
    of_pass().all(|take| take.state == TakeState::Recovered).then_some(absent)
}
