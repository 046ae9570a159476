//! Takes that an earlier recovery has ended and that this one opens again, because it sees more. Thread: any that may wait for the
//! disk.

use super::recover_pass::PassRecovery;
use super::take_wav::TakeWav;
use crate::session::session_file::merge_losses_of_copies;
use crate::session::{Take, TakeId, TakeState};

impl PassRecovery<'_> {
    /// Opens the files of a pass again that an earlier recovery left longer than the session says, because it could not open the
    /// next file of the take. This one can, and takes over what that file lacks.
    pub(super) fn reopen_longer_files(&mut self, pass: u32) {
        let opened = |take: &Take| TakeWav::open(self.store, self.session, take).ok();
        let is_longer = |take: &&Take| {
            let next = self.session.continuation_of(take).filter(|next| next.state == TakeState::Recording);
            next.and_then(opened).is_some() && opened(take).is_some_and(|wav| take.frames < wav.claimed)
        };
        let ended = |take: &&Take| take.pass == pass && take.state == TakeState::Recovered;
        let longer: Vec<TakeId> =
            self.session.takes().iter().filter(ended).filter(is_longer).map(|take| take.id).collect();
        for id in longer {
            self.session.reopen_take(id);
        }
    }

    /// Opens the file before a withdrawn continuation again, if a recovery has ended it where the continuation began: it is
    /// the last file of the take now, and may have more.
    pub(super) fn reopen_last_of(&mut self, withdrawn: &Take) {
        let of_take =
            self.session.takes().iter().filter(|take| (take.pass, take.track) == (withdrawn.pass, withdrawn.track));
        let last = of_take.max_by_key(|take| (take.offset, take.id));
        if let Some(last) = last.filter(|take| take.state == TakeState::Recovered).map(|take| take.id) {
            self.session.reopen_take(last);
            // The copies can list losses behind the old end of the take. They were left out when the copies were merged.
            merge_losses_of_copies(self.store, self.session, last);
        }
    }
}
