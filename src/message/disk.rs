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

use super::captured::CapturedSpan;
use super::replica::{Replica, ReplicaPair};
use crate::format::TakeFormat;
use crate::message::PlayPath;
use crate::time::{FramePos, Frames};
use crate::wav::header::Header;
use crate::window::capture::AudioCaptureWindows;
use crate::window::playback::ReaderPlaybackWindows;
use crate::window::progress_page::ProgressPage;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// A take, among those that are open. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TakeKey(pub u64);

/// A pass, likewise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PassKey(pub u64);

/// A take that is about to be recorded.
#[derive(Clone, Debug)]
pub struct TakePlan {
    /// Its key.
    pub key: TakeKey,
    /// Its identity and its session's, kept in session and spool alike: a spool is believed only by them.
    pub identity: uuid::Uuid,
    /// See [`TakePlan::identity`].
    pub session: uuid::Uuid,
    /// The WAV file, which must not exist.
    pub path: PathBuf,
    /// Its header, without sound.
    pub header: Header,
    /// Its copy on another disk, if there is to be one.
    pub pair: Option<Arc<ReplicaPair>>,
}

impl TakePlan {
    /// Bytes of one frame.
    pub fn frame_bytes(&self) -> usize {
        self.header.frame_bytes()
    }

    /// Where the file before this one began, which had `frames` frames up to frame `from` of the pass.
    pub fn began_before(&self, from: Frames, frames: Frames) -> FramePos {
        debug_assert!(frames <= from);
        FramePos(self.header.bext.time_reference.saturating_sub(frames.0))
    }

    /// Bytes a second.
    pub fn speed(&self) -> u64 {
        u64::from(self.header.rate) * self.frame_bytes() as u64
    }

    /// How its samples are stored.
    pub fn format(&self) -> TakeFormat {
        self.header.format
    }
}

/// How a take ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TakeEnd {
    /// Its length.
    pub frames: Frames,
    /// Where on the timeline it began.
    pub began: FramePos,
    /// The history in its header: what it went through and what it cost.
    pub history: String,
}

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
        span: Arc<CapturedSpan>,
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

/// A span of a take, placed on the timeline.
#[derive(Clone, Debug)]
pub struct PlayRegion {
    /// Where it begins.
    pub start: FramePos,
    /// How long it is.
    pub length: Frames,
    /// Frame of the take that is heard first.
    pub take_start: FramePos,
    /// The take's file.
    pub path: Arc<PathBuf>,
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

/// The file of a pass's progress page.
#[derive(Debug)]
pub struct ProgressFile {
    /// Open, and locked against a recovery, as long as this program lives.
    pub file: File,
    /// Its name; `None` for memory without a name.
    pub path: Option<PathBuf>,
    /// Takes of the pass that are not whole on the disk yet.
    pub unfinished: AtomicUsize,
}

/// A spool file: the same layout as the WAV, in memory that no disk can hold up.
#[derive(Debug)]
pub struct SpoolFile {
    /// The open file.
    pub file: File,
    /// Its name; `None` for memory without a name, which does not outlive the program.
    pub path: Option<PathBuf>,
}

/// Numbers of the disk side.
#[derive(Debug, Default)]
pub struct DiskPublished {
    /// Frames of lead of the take that has least, now. `u64::MAX` while none is recorded.
    pub lead_frames: AtomicU64,
    /// The least that ever was in this pass.
    pub lead_frames_min: AtomicU64,
    /// What is aimed at in this pass: the lead that memory and locks allow.
    pub lead_frames_aim: AtomicU64,
    /// Bytes that windows and what waits for the disk hold in the spool.
    pub spool_bytes: AtomicU64,
    /// The most that it ever was.
    pub spool_bytes_peak: AtomicU64,
    /// Bytes that wait for the disk.
    pub backlog_bytes: AtomicU64,
    /// Spans among them that are mapped: the kernel allows only so many mappings.
    pub spans_mapped: AtomicU64,
    /// Bytes of takes that went the way to the disk, silence included.
    pub committed_bytes: AtomicU64,
    /// The longest write of one run, in microseconds.
    pub commit_us_max: AtomicU64,
    /// The longest durable header, in microseconds.
    pub sync_us_max: AtomicU64,
    /// Takes whose sound up to now is durable as of this many milliseconds after the program's start.
    pub durable_ms: AtomicU64,
    /// The longest that the butler needed to make one window, in microseconds.
    pub supply_us_max: AtomicU64,
    /// Capture windows that went out unlocked.
    pub windows_unlocked: AtomicU64,
    /// Milliseconds of sound for which the disk of each copy has room, by [`Replica::index`]: what is free, and what is reserved.
    /// 0: not known.
    pub room_ms: [AtomicU64; 2],
    /// Bytes that wait for the mirror's disk.
    pub mirror_backlog_bytes: AtomicU64,
    /// Frames that are ready for the track that has least, in playback. `u64::MAX` while none plays.
    pub play_lead_frames: AtomicU64,
}

impl DiskPublished {
    /// Raises a maximum.
    pub fn raise(cell: &AtomicU64, value: u64) {
        cell.fetch_max(value, Relaxed);
    }
}
