//! The losses that a session on a disk has listed when the program ended. None of them may be forgotten: a recovery knows
//! more than the session then, never less. Thread: the one of the run.

use crate::oracle::is_listed;
use faultless::session::names::SESSION_FILE;
use faultless::session::session_file::parse;
use faultless::session::{Session, Take, TakeState};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use uuid::Uuid;

/// A loss: the identity of its take, and its first frame in the take.
type Place = (Uuid, u64);

/// The session that listed a loss, and the frames of the loss.
type Listed = (Uuid, u64);

/// Losses of takes that were being recorded, as the files of the session listed them.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListedLosses {
    /// Losses that a power cut has left.
    durable: BTreeMap<Place, Listed>,
    /// Losses that were in a file when the program was killed. A power cut may take the file back.
    seen: BTreeMap<Place, Listed>,
}

impl ListedLosses {
    /// Reads the files of the session in `folders` after the program was killed, or after a power cut.
    pub(crate) fn read(&mut self, folders: &[PathBuf], after_power_cut: bool) {
        if after_power_cut {
            self.seen.clear();
        }
        let losses = if after_power_cut { &mut self.durable } else { &mut self.seen };
        for folder in folders {
            let Some(session) = fs::read(folder.join(SESSION_FILE)).ok().and_then(|bytes| parse(&bytes).ok()) else {
                continue;
            };
            for take in session.takes().iter().filter(|take| take.state == TakeState::Recording) {
                // The silence of an absent input lasts, and gets its end later.
                for loss in take.losses.iter().filter(|loss| !loss.cause.contains("came back without input")) {
                    let (_, frames) = losses.entry((take.uuid, loss.at.0)).or_insert((session.id, 0));
                    *frames = loss.frames.0.max(*frames);
                }
            }
        }
    }

    /// The losses that `session` does not list any more, a sentence each.
    pub(crate) fn forgotten(&self, session: &Session) -> Vec<String> {
        let mut offences = Vec::new();
        for ((uuid, at), (id, frames)) in self.durable.iter().chain(&self.seen) {
            let ended =
                |take: &&Take| take.uuid == *uuid && take.state != TakeState::Recording && take.losses_unlisted == 0;
            let Some(take) = session.takes().iter().find(ended).filter(|_| session.id == *id) else { continue };
            let forgotten = (*at..(at + frames).min(take.frames.0)).filter(|frame| !is_listed(take, *frame)).count();
            if forgotten > 0 {
                let name = take.path();
                offences.push(format!(
                    "{name}: {forgotten} frames from frame {at} on were listed as lost and are not any more"
                ));
            }
        }
        offences.dedup();
        offences
    }
}
