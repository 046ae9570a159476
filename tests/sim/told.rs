//! The messages of the program about each pass, as the user has read them. Thread: the one of the run.
//!
//! The message about a recovery gives no number of its pass. The simulator finds the pass by what it saw when the session
//! was opened: the passes that were recovered then, in the order of their numbers, and the length that the message gives.

use faultless::control::Severity;
use faultless::session::names::SESSION_FILE;
use faultless::session::session_file::parse;
use faultless::session::{Session, Take, TakeState};
use faultless::time::{Clock, Frames};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use uuid::Uuid;

/// The messages of a run, sorted by pass: which passes have a message about a loss or about a recovery.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// Passes of which a notice told a loss while they were recorded.
    losses: BTreeSet<u32>,
    /// Passes that a message about a recovery named, and whether such a message told a loss.
    recovered: BTreeMap<u32, bool>,
    /// Passes that were recovered, and of which no message came although the user looked.
    unnamed: BTreeSet<u32>,
    /// Passes that were recovered when the session was opened and whose messages have not come yet, with their lengths.
    awaited: Vec<(u32, String)>,
    /// Passes of which takes had ended before and are others now. A recovery can have opened them again, or a copy of the session
    /// knew more of them, and then there is no message.
    may_come: Vec<(u32, String)>,
}

/// Frames of each take that has ended, and those of its losses.
pub(crate) type Ended = BTreeMap<Uuid, (Frames, Frames)>;

impl Told {
    /// The session was opened. `ended`: the takes that had ended before, by [`ended_takes`].
    pub(crate) fn opened(&mut self, ended: &Ended, session: &Session) {
        let mut frames: BTreeMap<u32, u64> = BTreeMap::new();
        for take in session.takes() {
            let end = frames.entry(take.pass).or_default();
            *end = (take.offset.0 + take.frames.0).max(*end);
        }
        let recovered = session.takes().iter().filter(|take| take.state == TakeState::Recovered);
        let (again, first): (Vec<&Take>, Vec<&Take>) = recovered.partition(|take| ended.contains_key(&take.uuid));
        let passes: BTreeSet<u32> = first.iter().map(|take| take.pass).collect();
        let is_other = |take: &&&Take| ended.get(&take.uuid) != Some(&extent_of(take));
        let changed: BTreeSet<u32> = again.iter().filter(is_other).map(|take| take.pass).collect();
        let length = |pass: &u32| format!("{} each", Clock(Frames(frames[pass]).duration(session.rate())));
        // A kill may have come before the user saw the messages of an earlier opening.
        self.awaited = passes.iter().map(|pass| (*pass, length(pass))).collect();
        self.may_come = changed.difference(&passes).map(|pass| (*pass, length(pass))).collect();
    }

    /// A notice came. `current`: the pass that is recorded.
    pub(crate) fn notice(&mut self, severity: Severity, text: &str, current: Option<u32>) {
        let is_loss = severity == Severity::Loss;
        if is_about_recovery(text) {
            let lists = [&mut self.awaited, &mut self.may_come];
            let pass = lists.into_iter().find_map(|passes| {
                let at = passes.iter().position(|(_, length)| text.contains(length.as_str()))?;
                Some(passes.remove(at).0)
            });
            if let Some(pass) = pass {
                *self.recovered.entry(pass).or_default() |= is_loss;
            }
        } else if let Some(pass) = current.filter(|_| is_loss) {
            self.losses.insert(pass);
        }
    }

    /// The user has seen all messages of the opening.
    pub(crate) fn looked(&mut self) {
        self.unnamed.extend(self.awaited.drain(..).map(|(pass, _)| pass));
        self.may_come.clear();
    }

    /// The planted defect: no message about a recovery told a loss, and the other notices were about other passes.
    pub(crate) fn forget(&mut self) {
        self.recovered.values_mut().for_each(|told| *told = false);
        self.losses = self.losses.iter().map(|pass| pass + 1_000).collect();
    }

    /// The losses that messages have named in a pass that was cut off. `None`: the user has not read the messages about its
    /// recovery.
    pub(crate) fn of(&self, pass: u32) -> Option<Known> {
        let while_recorded = self.losses.contains(&pass);
        match self.recovered.get(&pass) {
            Some(true) => Some(Known::Loss),
            Some(false) if while_recorded => Some(Known::LossBefore),
            None if self.unnamed.contains(&pass) && while_recorded => Some(Known::Loss),
            None if !self.unnamed.contains(&pass) => None,
            _ => Some(Known::Nothing),
        }
    }
}

/// The losses that messages have named in a pass that was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Nothing,
    /// A message named a loss while the pass was recorded. The message about its recovery named none.
    LossBefore,
    Loss,
}

/// Whether a message is one about the recovery of a pass.
pub(crate) fn is_about_recovery(text: &str) -> bool {
    text.starts_with("Recovered") && text.contains("that was cut off")
}

/// The takes that have ended for the session on the disk.
pub(crate) fn ended_takes(folder: &Path) -> Ended {
    let session = fs::read(folder.join(SESSION_FILE)).ok().and_then(|bytes| parse(&bytes).ok());
    let takes = session.iter().flat_map(Session::takes);
    takes.filter(|take| take.state != TakeState::Recording).map(|take| (take.uuid, extent_of(take))).collect()
}

fn extent_of(take: &Take) -> (Frames, Frames) {
    (take.frames, Frames(take.losses.iter().map(|loss| loss.frames.0).sum()))
}
