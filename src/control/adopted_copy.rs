//! The copy of the session in a folder that was named as mirror or overflow folder again, if it lists takes that the session
//! does not. Thread: the saver of that folder reads the copy and recovers its takes; control takes them over.

use super::Control;
use super::recording::counted;
use crate::butler::spool;
use crate::recovery::Report;
use crate::recovery::copy::{may_have_sound, recover_copy};
use crate::recovery::mirror_gain::{MirrorGain, gain_of, take_over_losses};
use crate::session::session_file::{FoundCopy, OpenSession};
use crate::session::{CopyKind, Session, Take, TakeState};
use std::collections::HashSet;
use std::path::Path;
use uuid::Uuid;

/// The result of opening a folder that has a copy of the session.
pub(super) struct AdoptedCopy {
    /// The copy as a copy of the session in its own folder, if it lists more than the session.
    copy: Option<Session>,
    /// The folder of the copy.
    folder: String,
    is_mirror: bool,
    /// Takes with sound, or with a file.
    with_sound: HashSet<Uuid>,
    report: Report,
    damaged: Option<String>,
    /// Takes of which this mirror has more than the session.
    gain: Option<MirrorGain>,
}

/// Recovers the takes that only the copy in a folder lists, and finds those of which a mirror has more. `None`: there are none.
/// The saver of the folder calls this before it saves anything. After an error it must save nothing: the copy leads to sound that
/// the session does not have.
pub(super) fn adopt(
    store: &mut OpenSession,
    found: FoundCopy,
    session: &Session,
    own: &Path,
    is_mirror: bool,
) -> Result<Option<AdoptedCopy>, String> {
    let FoundCopy { copy, damaged } = found;
    let folder = store.path().display().to_string();
    let mut adopted = AdoptedCopy {
        copy: None,
        folder: folder.clone(),
        is_mirror,
        with_sound: HashSet::new(),
        report: Report::default(),
        damaged,
        gain: None,
    };
    if let Some(mut copy) = copy {
        if is_mirror {
            adopted.gain = gain_of(store.path(), &copy, session, own)?;
        } else {
            adopted.report = recover_copy(store, &mut copy, session, &spool::folders());
        }
        let may_have_sound = |take: &&Take| may_have_sound(store, &copy, take);
        adopted.with_sound = copy.takes().iter().filter(may_have_sound).map(|take| take.uuid).collect();
        adopted.copy = Some(copy.copy_for_folder(&own.display().to_string(), &folder));
        if !adopted.merge(&mut session.clone()) {
            adopted.copy = None;
        }
    }
    let has_news = adopted.copy.is_some() || adopted.damaged.is_some();
    Ok(has_news.then_some(adopted))
}

impl AdoptedCopy {
    /// Adds the takes to the session that only the copy lists, opens those again of which the mirror has more, and lists the losses
    /// that only the copy of a mirror lists. Returns whether there were any.
    pub(super) fn merge(&self, session: &mut Session) -> bool {
        let Some(copy) = &self.copy else { return false };
        let kind = if self.is_mirror { CopyKind::Mirror(&self.folder) } else { CopyKind::Recovered };
        let is_merged = session.merge_newer_takes(copy, kind, |take| self.with_sound.contains(&take.uuid));
        let has_losses = self.is_mirror && take_over_losses(session, copy);
        self.gain.as_ref().is_some_and(|gain| gain.reopen_in(session, copy)) || is_merged || has_losses
    }
}

/// The notice about takes that were taken over.
fn adopted_text(folder: &str, count: usize) -> String {
    let (were, them) = if count == 1 { ("was", "it") } else { ("were", "them") };
    let takes = counted(count as u64, "take");
    format!("{folder}: {takes} of this session that it did not list {were} found here; it lists {them} now")
}

impl Control {
    /// Takes over the takes that only the copy lists. An error if they contradict the session; the copy must then not be
    /// replaced.
    pub(super) fn adopt_copy(&mut self, adopted: &AdoptedCopy) -> Result<(), String> {
        if let Some(text) = &adopted.damaged {
            self.caution(text.clone());
        }
        let mut merged = Session::clone(&self.session);
        if !adopted.merge(&mut merged) {
            return Ok(());
        }
        let folder = &adopted.folder;
        if let Err(reason) = merged.validate() {
            return Err(format!("{folder}: the takes of the copy of the session there cannot be taken over: {reason}"));
        }
        let count = merged.takes().len() - self.session.takes().len();
        let open = merged.takes().iter().filter(|take| take.state == TakeState::Recording).count();
        let was_open = self.session.takes().iter().filter(|take| take.state == TakeState::Recording).count();
        *self.session = merged;
        self.players_outdated = self.playback_enabled;
        self.save_at_once();
        for pass in &adopted.report.passes {
            if pass.is_short() {
                self.loss(pass.to_string());
            } else {
                self.info(pass.to_string());
            }
        }
        for text in &adopted.report.found {
            self.info(text.clone());
        }
        for text in &adopted.report.troubles {
            self.caution(text.clone());
        }
        if count > 0 {
            self.info(adopted_text(folder, count));
        }
        if let Some(gain) = &adopted.gain {
            self.caution(gain.notice());
        } else if was_open < open {
            self.caution(format!("{folder}: takes that were cut off are not recovered yet; open the session again"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::TakeFormat;
    use crate::session::tests::recording;
    use crate::time::{FramePos, Frames, SampleRate};
    use crate::wav::bext::Bext;
    use crate::wav::header::Header;
    use std::path::PathBuf;

    /// The folder of a mirror, and a session without the sound that the mirror has: `claimed` frames, by a header with this remark.
    fn mirror_with_more(place: &Path, remark: &str, claimed: u64) -> (PathBuf, Session) {
        let (own, mirror) = (place.join("own"), place.join("mirror"));
        let mut session = Session::new(Uuid::from_u128(7), "Test", "", SampleRate(48_000), TakeFormat::S24);
        let track = session.add_track("Kick", &[0]).unwrap();
        let id = recording(&mut session, track, FramePos(0));
        OpenSession::open_on_other_disk(&mirror, &session).unwrap();
        let take = session.take(id).unwrap().clone();
        let bext = Bext {
            originator_reference: take.uuid.simple().to_string(),
            coding_history: format!("A=PCM,T=Faultless; {remark}"),
            ..Bext::default()
        };
        let header = Header { bext, data_bytes: claimed * 3, ..Header::new(1, 48_000, TakeFormat::S24) };
        let file = [&header.build()[..], &vec![1; claimed as usize * 3]].concat();
        std::fs::create_dir_all(own.join("audio")).unwrap();
        for folder in [&own, &mirror] {
            std::fs::write(folder.join(&take.file), &file).unwrap();
        }
        session.finish_take(id, Frames(100), TakeState::Recovered, None).unwrap();
        (mirror, session)
    }

    fn adopted(place: &Path, mirror: &Path, session: &Session) -> Result<Option<AdoptedCopy>, String> {
        let (mut store, found) = OpenSession::open_on_other_disk(mirror, session).unwrap();
        adopt(&mut store, found, session, &place.join("own"), true)
    }

    #[test]
    fn a_mirror_that_has_more_of_a_take_is_adopted_by_opening_the_take_again_or_is_refused() {
        for (claimed, remark, is_adopted) in
            [(150, "being recorded", true), (100, "being recorded", false), (150, "cut off and recovered", false)]
        {
            let place = tempfile::tempdir().unwrap();
            let (mirror, mut session) = mirror_with_more(place.path(), remark, claimed);
            let found = adopted(place.path(), &mirror, &session);
            match found {
                Ok(Some(found)) => {
                    assert!(is_adopted && found.merge(&mut session));
                    let take = &session.takes()[0];
                    assert_eq!((take.state, take.frames), (TakeState::Recording, Frames(100)));
                    let named = take.spool.as_ref().and_then(|spool| spool.mirror.clone());
                    assert_eq!(named.map(PathBuf::from), Some(mirror.canonicalize().unwrap()));
                }
                Ok(None) => assert_eq!(claimed, 100),
                Err(reason) => {
                    assert!(remark.contains("recovered") && reason.contains("open it as a session"), "{reason}");
                }
            }
        }
    }

    /// One take was "1 takes".
    #[test]
    fn one_take_that_is_taken_over_is_counted_as_one() {
        let text = "/m: 1 take of this session that it did not list was found here; it lists it now";
        assert_eq!(adopted_text("/m", 1), text);
        assert!(adopted_text("/m", 2).contains("2 takes of this session that it did not list were found"));
    }
}
