//! Everything that the control side, the butler, the read-ahead and the committer can say to each other.
//! Thread: any but audio.
//!
//! ```text
//!   control --- ButlerCommand -----> butler      --- CommitCommand --> committer
//!   control --- CommitCommand -----> committer, and that of the mirror
//!   control --- ReaderCommand -----> read-ahead
//!   control <-- DiskEvent ---------- all three
//!   anyone  <-- DiskPublished (atomics) -- all three
//! ```

use super::replica::Replica;
use super::span_to_commit::SpanToCommit;
use super::spool_file::{ProgressFile, SpoolFile};
use super::take::{PassKey, TakeEnd, TakeKey, TakePlan};
use super::{PlayPath, PlayRegion};
use crate::time::Frames;
use crate::window::capture::AudioCaptureWindows;
use crate::window::playback::ReaderPlaybackWindows;
use crate::window::progress_page::ProgressPage;
use std::fs::File;
use std::sync::Arc;

/// What the butler is asked to do.
pub enum ButlerCommand {
    /// Make the windows of a pass: spool files, rings, lead. Answered by [`DiskEvent::PassReady`].
    Prepare {
        /// The pass.
        pass: PassKey,
        /// Its takes.
        takes: Vec<TakePlan>,
        /// In `in-place`: the WAV files, open for reading and writing, reserved.
        files: Vec<Arc<File>>,
        /// Frames a second.
        rate: u32,
        /// Whether the mirror's committer has opened its replicas and gets the sound too.
        mirrored: bool,
    },
    /// The audio thread has given everything back. What is left goes to the committer.
    Finish {
        /// The pass.
        pass: PassKey,
        /// How each of its takes ends.
        ends: Vec<(TakeKey, TakeEnd)>,
    },
    /// Leave, when every pass is finished.
    Quit,
}

/// What the committer is asked to do.
pub enum CommitCommand {
    /// Make the WAV files of a pass. Answered by [`DiskEvent::TakesOpened`].
    Open {
        /// The pass.
        pass: PassKey,
        /// Its takes.
        takes: Vec<TakePlan>,
    },
    /// The spool files of takes that were opened.
    Spooled {
        /// The take.
        take: TakeKey,
        /// Its spool.
        spool: Arc<SpoolFile>,
    },
    /// Where it is kept how far the pass of a take has come. It goes when the last take of the pass is whole.
    Progress {
        /// The take.
        take: TakeKey,
        /// The progress page's file.
        progress_page: Arc<ProgressFile>,
    },
    /// Sound for the disk.
    Captured {
        /// The take.
        take: TakeKey,
        /// The sound.
        span: Arc<SpanToCommit>,
    },
    /// The take that was told as [`DiskEvent::Stuck`] goes on in another file. Answered by [`DiskEvent::Continued`].
    Continue {
        /// The take.
        take: TakeKey,
        /// The frame of the pass at which it is stuck.
        from: Frames,
        /// The file that it goes on in; made with its folders.
        plan: Box<TakePlan>,
    },
    /// The pass is not recorded here after all: files that were made for it go, nothing is in them.
    Forget {
        /// The pass.
        pass: PassKey,
    },
    /// No more sound comes for this take.
    Finish {
        /// The take.
        take: TakeKey,
        /// How it ends.
        end: TakeEnd,
    },
    /// Leave, when every take is finished.
    Quit,
    /// Write what there is and leave, whatever takes are open: nobody will say how they end.
    Abandon,
}

/// What the read-ahead is asked to do.
pub enum ReaderCommand {
    /// Play a track.
    Install {
        /// Its slot.
        slot: usize,
        /// Its ring.
        windows: ReaderPlaybackWindows,
        /// What is placed on it, in order, nothing twice.
        regions: Vec<PlayRegion>,
    },
    /// Play it no more.
    Remove {
        /// Its slot.
        slot: usize,
    },
    /// Be ready elsewhere. Sent before the audio thread is told.
    Locate {
        /// What to play from there.
        path: PlayPath,
        /// The locate's number.
        epoch: u32,
    },
    /// Leave.
    Quit,
}

/// What the disk side tells the control side.
pub enum DiskEvent {
    /// The files of a pass are made, or cannot be.
    TakesOpened {
        /// By whom.
        replica: Replica,
        /// The pass.
        pass: PassKey,
        /// The files, in the order of the takes; or what is wrong, path first.
        files: Result<Vec<Arc<File>>, String>,
        /// What could not be had, in words: no `O_DIRECT`, no reserve.
        notes: Vec<String>,
    },
    /// The windows of a pass are ready, or cannot be made.
    PassReady {
        /// The pass.
        pass: PassKey,
        /// What the audio thread gets; or what is wrong.
        windows: Result<PassWindows, String>,
        /// What could not be had, in words.
        notes: Vec<String>,
    },
    /// A take is on the disk, whole and final.
    TakeFinished {
        /// By whom.
        replica: Replica,
        /// The take.
        take: TakeKey,
        /// The length of the pass.
        frames: Frames,
        /// What is wrong with it, if something is: its sound is in the spool then.
        trouble: Option<String>,
    },
    /// A take cannot be written from a frame on. It is tried again and again; it can be sent elsewhere, too.
    Stuck {
        /// The take.
        take: TakeKey,
        /// The frame of the pass.
        from: Frames,
        /// The system's number for it.
        code: Option<i32>,
    },
    /// What became of [`CommitCommand::Continue`].
    Continued {
        /// The take.
        take: TakeKey,
        /// See there.
        outcome: Continuation,
    },
    /// A track cannot be played, or not wholly.
    PlaybackTrouble {
        /// The track's slot.
        slot: usize,
        /// What is wrong, path first.
        reason: String,
    },
    /// Something is wrong that is going on: a full disk, a failed write, a spool at its limit.
    Trouble {
        /// Whose disk; the spool is the session's.
        replica: Replica,
        /// In words, path first.
        reason: String,
    },
    /// What was told by `Trouble` is over.
    TroubleOver {
        /// Likewise.
        replica: Replica,
        /// In words.
        reason: String,
    },
}

/// Whether a take goes on in another file.
#[derive(Debug)]
pub enum Continuation {
    /// It does. What is wrong with the file that it was in before, if something is.
    Done(Option<String>),
    /// Its disk took sound again meanwhile: it stays.
    Needless,
    /// The file cannot be made: in words, path first.
    Refused(String),
}

/// What the audio thread gets for a pass.
#[derive(Debug)]
pub struct PassWindows {
    /// Its ends, in the order of the takes.
    pub takes: Vec<AudioCaptureWindows>,
    /// Where it keeps how far the pass has come.
    pub progress_page: ProgressPage,
}
