//! Where a take's sound goes: its file, or another one because the disk refuses the file. Thread: control. Pure: it
//! sends nothing and waits for nothing; everything that is to be done is a returned effect.
//!
//! ```text
//!   InFile --- Stuck ---> Refused --- Listed ---> Listed --- Saved ---> Sent --- Done ---> InFile (the next file)
//!      ^                    |  ^                    |                    |
//!      +---- DiskWorks -----+  +--- Stuck, moved ---+--------------------+
//!                              +-- FolderChanged ---+                    |
//!                              +-- NameTaken ----------------------------+
//! ```
//!
//! `L` is the listed file with its plan: the machine hands it on and does not look into it.

use crate::message::disk::{Continuation, FilesRefused};
use crate::time::Frames;

/// The disk of a take rejects its sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::control) struct Refusal {
    /// First frame of the pass that may not be in the file.
    pub(in crate::control) from: Frames,
    /// Whether the file has reached the largest size that a file may have there.
    pub(in crate::control) is_size_limit: bool,
}

/// Where the sound of a take goes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::control) enum Placement<L> {
    /// Into the present file.
    #[default]
    InFile,
    /// The disk refuses the present file.
    Refused(Refusal),
    /// The session in memory lists the next file, which begins at the refused frame, since revision `listed_by`.
    Listed { refusal: Refusal, listing: L, listed_by: u64 },
    /// The committer was asked to continue in the next file. Its answer decides.
    Sent { refusal: Refusal, listing: L },
}

/// An input of the machine.
#[derive(Debug)]
pub(in crate::control) enum PlacementEvent<L> {
    /// The committer cannot write the take.
    Stuck(Refusal),
    /// The session's disk takes sound again.
    DiskWorks,
    /// The session in memory lists the next file.
    Listed { listing: L, listed_by: u64 },
    /// The user has named another folder for the next file, or none.
    FolderChanged,
    /// This revision of the session is on a disk.
    Saved(u64),
    /// The committer has answered.
    Answered(Continuation),
    /// The committer has answered that there is a file of the name of the next file.
    NameTaken,
}

/// Something that control is to do.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::control) enum PlacementEffect<L> {
    /// Ask the committer to continue the take in this file.
    Send(L),
    /// The take is in this file from now on.
    Continued(L),
    /// The file has no frame: remove it from the session.
    Forget(L),
    /// The folder of this next file cannot be used, for this reason.
    RefuseFolder { listing: L, reason: String },
}

impl<L: Clone> Placement<L> {
    /// The refusal for which no next file is listed yet.
    pub(in crate::control) fn unlisted(&self) -> Option<Refusal> {
        match self {
            Placement::Refused(refusal) => Some(*refusal),
            _ => None,
        }
    }

    /// The next file, if it is listed in a session that may not be on a disk yet.
    pub(in crate::control) fn waits_for_save(&self) -> Option<&L> {
        match self {
            Placement::Listed { listing, .. } => Some(listing),
            _ => None,
        }
    }

    /// The next file that the committer was asked to make.
    pub(in crate::control) fn sent(&self) -> Option<&L> {
        match self {
            Placement::Sent { listing, .. } => Some(listing),
            _ => None,
        }
    }

    /// Takes an event, and returns what is to be done, in order.
    pub(in crate::control) fn on(&mut self, event: PlacementEvent<L>) -> Vec<PlacementEffect<L>> {
        let (next, effects) = std::mem::take(self).next(event);
        *self = next;
        effects
    }

    fn next(self, event: PlacementEvent<L>) -> (Placement<L>, Vec<PlacementEffect<L>>) {
        use PlacementEffect::{Continued, Forget, RefuseFolder, Send};
        use PlacementEvent::{Answered, DiskWorks, FolderChanged, NameTaken, Saved, Stuck};
        match (self, event) {
            (Placement::InFile | Placement::Refused(_), Stuck(refusal)) => (Placement::Refused(refusal), Vec::new()),
            (Placement::Refused(_), DiskWorks) => (Placement::InFile, Vec::new()),
            // The disk has accepted some sound since: the listed file would begin at the wrong frame.
            (Placement::Listed { refusal: before, listing, .. }, Stuck(refusal)) if refusal.from != before.from => {
                (Placement::Refused(refusal), vec![Forget(listing)])
            }
            // The committer has not got the file.
            (Placement::Listed { refusal, listing, .. }, FolderChanged) => {
                (Placement::Refused(refusal), vec![Forget(listing)])
            }
            (Placement::Refused(refusal), PlacementEvent::Listed { listing, listed_by })
            | (Placement::Listed { listing, listed_by, .. }, Stuck(refusal)) => {
                (Placement::Listed { refusal, listing, listed_by }, Vec::new())
            }
            (Placement::Listed { refusal, listing, listed_by }, Saved(revision)) if listed_by <= revision => {
                (Placement::Sent { refusal, listing: listing.clone() }, vec![Send(listing)])
            }
            (Placement::Sent { listing, .. }, Stuck(refusal)) => (Placement::Sent { refusal, listing }, Vec::new()),
            (Placement::Sent { refusal, listing }, Answered(answer)) => match answer {
                Continuation::Done => (Placement::InFile, vec![Continued(listing)]),
                Continuation::Needless => (Placement::InFile, vec![Forget(listing)]),
                Continuation::Moved(from) => (Placement::Refused(Refusal { from, ..refusal }), vec![Forget(listing)]),
                // The committer reports the take again if its disk still refuses it.
                Continuation::Refused(FilesRefused { reason, .. }) => {
                    (Placement::InFile, vec![Forget(listing.clone()), RefuseFolder { listing, reason }])
                }
            },
            // The next listing has another name.
            (Placement::Sent { refusal, listing }, NameTaken) => (Placement::Refused(refusal), vec![Forget(listing)]),
            // A listed take keeps its refusal when the disk works again: the committer decides whether the next file is
            // still needed.
            (state, DiskWorks | FolderChanged | PlacementEvent::Listed { .. } | Saved(_) | Answered(_) | NameTaken) => {
                (state, Vec::new())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PlacementEffect::{Continued, Forget, RefuseFolder, Send};

    type Effects = Vec<PlacementEffect<u8>>;

    fn refusal(from: u64) -> Refusal {
        Refusal { from: Frames(from), is_size_limit: false }
    }

    fn state(name: &str) -> Placement<u8> {
        match name {
            "in file" => Placement::InFile,
            "refused" => Placement::Refused(refusal(100)),
            "refused later" => Placement::Refused(refusal(150)),
            "listed" => Placement::Listed { refusal: refusal(100), listing: 3, listed_by: 7 },
            "sent" => Placement::Sent { refusal: refusal(100), listing: 3 },
            "sent, stuck later" => Placement::Sent { refusal: refusal(150), listing: 3 },
            other => panic!("no state {other}"),
        }
    }

    fn event(name: &str) -> PlacementEvent<u8> {
        match name {
            "stuck" => PlacementEvent::Stuck(refusal(100)),
            "stuck later" => PlacementEvent::Stuck(refusal(150)),
            "disk works" => PlacementEvent::DiskWorks,
            "listed" => PlacementEvent::Listed { listing: 3, listed_by: 7 },
            "folder changed" => PlacementEvent::FolderChanged,
            "saved before" => PlacementEvent::Saved(6),
            "saved" => PlacementEvent::Saved(7),
            "done" => PlacementEvent::Answered(Continuation::Done),
            "needless" => PlacementEvent::Answered(Continuation::Needless),
            "moved" => PlacementEvent::Answered(Continuation::Moved(Frames(150))),
            "not made" => PlacementEvent::Answered(Continuation::Refused(FilesRefused {
                reason: "reason".to_owned(),
                names: Vec::new(),
            })),
            "name taken" => PlacementEvent::NameTaken,
            other => panic!("no event {other}"),
        }
    }

    /// Every pair that changes something. Every other pair changes nothing.
    #[expect(clippy::match_same_arms, reason = "a table has a row for each pair")]
    #[rustfmt::skip]
    fn row(state: &str, event: &str) -> Option<(Effects, &'static str)> {
        Some(match (state, event) {
            ("in file" | "refused", "stuck") => (vec![], "refused"),
            ("in file" | "refused", "stuck later") => (vec![], "refused later"),
            ("refused", "disk works") => (vec![], "in file"),
            ("refused", "listed") => (vec![], "listed"),
            ("listed", "stuck later") => (vec![Forget(3)], "refused later"),
            // The disk of the folder before hung, and the committer waited for it.
            ("listed", "folder changed") => (vec![Forget(3)], "refused"),
            ("listed", "saved") => (vec![Send(3)], "sent"),
            ("sent", "stuck later") => (vec![], "sent, stuck later"),
            ("sent", "done") => (vec![Continued(3)], "in file"),
            ("sent", "needless") => (vec![Forget(3)], "in file"),
            ("sent", "moved") => (vec![Forget(3)], "refused later"),
            ("sent", "not made") => (vec![Forget(3), RefuseFolder { listing: 3, reason: "reason".to_owned() }], "in file"),
            ("sent", "name taken") => (vec![Forget(3)], "refused"),
            _ => return None,
        })
    }

    #[test]
    fn every_event_in_every_state_does_what_the_table_says() {
        let events = [
            "stuck",
            "stuck later",
            "disk works",
            "listed",
            "folder changed",
            "saved before",
            "saved",
            "done",
            "needless",
            "moved",
            "not made",
            "name taken",
        ];
        for name in ["in file", "refused", "listed", "sent"] {
            for input in events {
                let mut found = state(name);
                let effects = found.on(event(input));
                let (wanted, next) = row(name, input).unwrap_or((Vec::new(), name));
                assert_eq!((effects, found), (wanted, state(next)), "{name}: {input}");
            }
        }
    }

    #[test]
    fn only_a_refusal_without_a_listed_file_is_listed() {
        let unlisted: Vec<_> = ["in file", "refused", "listed", "sent"].map(|name| state(name).unlisted()).into();
        assert_eq!(unlisted, [None, Some(refusal(100)), None, None]);
    }
}
