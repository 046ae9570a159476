//! The commands to the disk side (butler, committers, read-ahead) and its events. Thread: any but audio.
//!
//! ```text
//!   control   --- ButlerCommand -----> butler
//!   butler    --- CommitCommand -----> committers (session, mirror)
//!   control   --- CommitCommand -----> committers (session, mirror)
//!   control   --- ReaderCommand -----> read-ahead
//!   control   <-- DiskEvent ---------- butler, committers, read-ahead
//! ```
//!
//! All of them also publish numbers: see [`stats`](super::stats).

use super::outbox::Message;
use super::replica::Replica;
use super::span_to_commit::SpanToCommit;
use super::spool_file::{MemoryFiles, ProgressFile, SpoolFile};
use super::take::{ContinuationPlan, PassKey, TakeEnd, TakeKey, TakePlan};
use super::{PlayPath, PlayRegion};
use crate::time::{FramePos, Frames};
use crate::window::capture::AudioCaptureWindows;
use crate::window::playback::ReaderPlaybackWindows;
use crate::window::progress_page::ProgressPage;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

/// A command to the butler.
pub enum ButlerCommand {
    /// Prepare a pass: make its spool files and fill its rings with windows. The butler answers with
    /// [`DiskEvent::PassReady`].
    Prepare {
        /// Key of the pass.
        pass: PassKey,
        /// The takes of the pass.
        takes: Vec<TakePlan>,
        /// The WAV files, in the order of `takes`. Used in `in-place` only, where windows map them.
        files: Vec<Arc<File>>,
        /// Sample rate in hertz.
        rate: u32,
        /// Whether the mirror's committer has created its files and gets every span too.
        mirrored: bool,
    },
    /// The audio thread has given every window back. The butler sends the remaining spans to the committers.
    Finish {
        /// Key of the pass.
        pass: PassKey,
        /// The end of each take.
        ends: Vec<(TakeKey, TakeEnd)>,
    },
    /// Remove these files. A session that lists their takes as complete is durable.
    RemoveMemory {
        /// The files of one take.
        memory: MemoryFiles,
    },
    /// End the thread after every pass is finished.
    Quit,
}

/// A command to a committer.
pub enum CommitCommand {
    /// Create the WAV files of a pass. The committer answers with [`DiskEvent::TakesOpened`].
    Open {
        /// Key of the pass.
        pass: PassKey,
        /// The takes of the pass.
        takes: Vec<TakePlan>,
    },
    /// A take that was opened has this spool file.
    Spooled {
        /// Key of the take.
        take: TakeKey,
        /// The spool file of the take.
        spool: Arc<SpoolFile>,
    },
    /// The progress page of a take's pass. The committer removes its file when the last take of the pass is complete.
    Progress {
        /// Key of the take.
        take: TakeKey,
        /// The file of the progress page.
        progress_page: Arc<ProgressFile>,
    },
    /// A span of captured sound to write.
    Captured {
        /// Key of the take.
        take: TakeKey,
        /// The span, shared with the other committer if there is a mirror.
        span: Arc<SpanToCommit>,
    },
    /// Continue a take that was reported as [`DiskEvent::Stuck`] in another file. The committer answers with
    /// [`DiskEvent::Continued`].
    Continue {
        /// The next file of the take. The committer creates it and its folders.
        plan: Box<ContinuationPlan>,
    },
    /// Remove the files that were created for a pass, which will not be recorded here. They contain no sound.
    Forget {
        /// Key of the pass.
        pass: PassKey,
    },
    /// The take has ended: no more spans will come.
    Finish {
        /// Key of the take.
        take: TakeKey,
        /// The end of the take.
        end: TakeEnd,
    },
    /// End the thread after every take is finished.
    Quit,
    /// Write everything that was received, then end the thread with takes open. Control sends it after the butler
    /// failed, because nobody will send how the takes end.
    Abandon,
}

/// A command to the read-ahead.
pub enum ReaderCommand {
    /// Supply a track's playback.
    Install {
        /// Index of the track's slot.
        slot: usize,
        /// The read-ahead's end of the rings of the track.
        windows: ReaderPlaybackWindows,
        /// Makes the regions on the track.
        regions: PlayRegions,
        /// `Some`: the player that is in the slot plays on meanwhile. The read-ahead supplies both and answers with
        /// [`DiskEvent::PlayerReady`] of this key. It drops the other one when the audio thread's end is gone.
        /// `None`: the read-ahead drops a player that is in the slot.
        replaces: Option<u64>,
    },
    /// Stop supplying a track's playback as soon as the audio thread's end is gone: until then it may fade out.
    Remove {
        /// Index of the track's slot.
        slot: usize,
    },
    /// Supply windows for another playhead. Control sends it before it sends the locate to the audio thread.
    Locate {
        /// The position to play from, and the range to loop.
        path: PlayPath,
        /// The number of the locate.
        epoch: u32,
    },
    /// End the thread.
    Quit,
}

impl Message for ButlerCommand {}

impl Message for CommitCommand {}

impl Message for ReaderCommand {
    fn replaces(&self, earlier: &ReaderCommand) -> bool {
        use ReaderCommand::{Install, Locate, Remove};
        match (self, earlier) {
            (Locate { .. }, Locate { .. }) => true,
            (Install { slot, .. } | Remove { slot }, Install { slot: of, .. } | Remove { slot: of }) => slot == of,
            _ => false,
        }
    }
}

impl Message for DiskEvent {
    fn replaces(&self, earlier: &DiskEvent) -> bool {
        use DiskEvent::{Trouble, TroubleOver};
        match (self, earlier) {
            (
                Trouble { replica, .. } | TroubleOver { replica, .. },
                Trouble { replica: of, .. } | TroubleOver { replica: of, .. },
            ) => replica == of,
            _ => false,
        }
    }
}

/// Makes the list of a track's regions: in order, without overlap.
pub type PlayRegions = Box<dyn FnOnce() -> Vec<PlayRegion> + Send>;

/// Why the files of a pass, or the next file of a take, could not be created.
#[derive(Debug)]
pub struct FilesRefused {
    /// The reason, path first.
    pub reason: String,
    /// Names of the files that are in the folder of the takes now. One of them may be the name of a take.
    pub names: Vec<String>,
}

/// An event from the disk side to control.
pub enum DiskEvent {
    /// The answer to [`CommitCommand::Open`].
    TakesOpened {
        /// The committer that answers.
        replica: Replica,
        /// Key of the pass.
        pass: PassKey,
        /// The files in the order of the takes, or why they could not be created.
        files: Result<Vec<Arc<File>>, FilesRefused>,
        /// Missing capabilities in words: no `O_DIRECT`, no reserve, a folder that could not be synced.
        notes: Vec<String>,
    },
    /// The answer to [`ButlerCommand::Prepare`].
    PassReady {
        /// Key of the pass.
        pass: PassKey,
        /// The windows for the audio thread; or the reason why they could not be made.
        windows: Result<PassWindows, String>,
        /// Missing capabilities in words.
        notes: Vec<String>,
    },
    /// A take has ended: its file is complete and durable, or its `trouble` says why not.
    TakeFinished {
        /// The committer that finished the take.
        replica: Replica,
        /// Key of the take.
        take: TakeKey,
        /// Length of the pass.
        frames: Frames,
        /// The problem with the file, if there is one. It names the spool file if a recovery finds there what the file lacks.
        trouble: Option<String>,
        /// The files in memory that are not needed any more as soon as a session that lists the take as complete is
        /// durable. Control has them removed then. `None`: they stay for a recovery, or the replica has none.
        memory: Option<MemoryFiles>,
    },
    /// A file of a take that has continued in another one is whole and durable, or its `trouble` says why not. Comes once
    /// for each such file, after `Continued` and before `TakeFinished`.
    EarlierFileFinished {
        /// Key of the take.
        take: TakeKey,
        /// Number of files of the take before this one.
        index: usize,
        /// The problem with the file, if there is one.
        trouble: Option<String>,
    },
    /// Another program removed or replaced a file that is being recorded. The file has its name again, and is whole.
    PutBack {
        /// The replica whose file it is.
        replica: Replica,
        /// The message for the user, path first.
        text: String,
    },
    /// A take cannot be written. The committer tries again; control may send [`CommitCommand::Continue`].
    Stuck {
        /// Key of the take.
        take: TakeKey,
        /// First frame of the pass that may not be in the file.
        from: Frames,
        /// Whether the file has reached the largest size that a file may have there.
        is_size_limit: bool,
    },
    /// The answer to [`CommitCommand::Continue`].
    Continued {
        /// Key of the take.
        take: TakeKey,
        /// Result of the attempt.
        outcome: Continuation,
    },
    /// The first windows of a player that replaces another one are filled, or a locate came before that: the audio thread
    /// can have it.
    PlayerReady {
        /// Index of the track's slot.
        slot: usize,
        /// The key of the [`ReaderCommand::Install`].
        key: u64,
    },
    /// Some or all of a track cannot be played.
    PlaybackTrouble {
        /// Index of the track's slot.
        slot: usize,
        /// `replaces` of the [`ReaderCommand::Install`] of the player.
        install: Option<u64>,
        /// The problem, path first.
        reason: String,
        /// The parts of the timeline where the track is silent because of it.
        silent: Vec<Range<FramePos>>,
    },
    /// A problem began that lasts: a full disk, a failed write, a spool at its limit.
    Trouble {
        /// The replica whose disk it is. Problems of the spool are reported for the session.
        replica: Replica,
        /// The problem, path first.
        reason: String,
    },
    /// The problem reported by `Trouble` is over.
    TroubleOver {
        /// The replica whose disk it is.
        replica: Replica,
        /// The reason in words.
        reason: String,
    },
}

/// Result of [`CommitCommand::Continue`].
#[derive(Debug)]
pub enum Continuation {
    /// The take continues in the new file, at the frame of its plan. `EarlierFileFinished` follows for the file before.
    Done,
    /// The disk accepts writes again: the take stays in its file.
    Needless,
    /// The disk has accepted sound since, and refuses the take from this frame of the pass on. The plan is for another
    /// frame, so its file was not created. The take waits some seconds for a plan for this frame.
    Moved(Frames),
    /// The new file could not be created.
    Refused(FilesRefused),
}

/// The windows and the progress page of a pass, for the audio thread.
#[derive(Debug)]
pub struct PassWindows {
    /// The audio thread's ends of the window rings, in the order of the takes.
    pub takes: Vec<AudioCaptureWindows>,
    /// The page to which the audio thread stores the length of the pass.
    pub progress_page: ProgressPage,
    /// The file of that page: if the audio thread ends without the pass, the page has its length.
    pub progress_file: Arc<ProgressFile>,
}
