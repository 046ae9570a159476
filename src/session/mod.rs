//! The session as data: tracks, takes, regions and markers. Thread: any; control owns the session and changes it,
//! other threads get copies.
//!
//! Only [`session_file`] does I/O. The caller passes in times, file names found on the disk and UUIDs. A field is
//! public where every value of it is valid; where a value could contradict another field, methods change it.
//!
//! A session has two parts. The *ledger* (takes, overflow folders, `next_id`) holds facts: recording and recovery add
//! to it, and nothing restores an older copy of it. The *arrangement* (name, format, tracks, markers, trash) is what
//! edits change and undo restores, see [`Arrangement`]. session.json holds both in one flat object.
#![warn(missing_docs)]
#![forbid(unsafe_code)]

mod arrangement;
mod edit;
pub mod file_name;
mod folder_copy;
pub mod history;
pub mod losses;
mod merge;
#[cfg(test)]
mod merge_tests;
pub mod names;
mod read;
mod region;
pub mod session_file;
mod shared;
mod spool_record;
#[cfg(test)]
mod place_tests;
#[cfg(test)]
pub(crate) mod tests;
mod validate;

pub use arrangement::{Arrangement, TrashList};
pub use edit::{EditError, NewTake};
pub use folder_copy::FolderCopies;
pub use merge::CopyKind;
pub use read::TakePlace;
pub use shared::Shared;
pub use spool_record::SpoolRecord;

use crate::format::TakeFormat;
use crate::time::{FramePos, Frames, SampleRate};
use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

/// Fields that a newer program wrote into a file of the same version. They are kept, so that saving here loses none.
type Other = serde_json::Map<String, serde_json::Value>;

/// The last position of the timeline and the longest length, in frames. The sum of two, and their bytes, stay far
/// from overflow, and a program that reads JSON numbers as doubles reads each of them exactly.
pub const POSITION_MAX: u64 = 1 << 53;

/// The largest value of `next_id`, the next identity to be given out.
pub const ID_MAX: u64 = 1 << 53;

/// Takes of a session, including those in the trash.
pub const TAKE_COUNT_MAX: usize = 256 * 1024;

/// Regions of one track.
pub const REGION_COUNT_MAX: usize = 64 * 1024;

/// Markers of a session.
pub const MARKER_COUNT_MAX: usize = 64 * 1024;

/// Losses that a take lists one by one. Further losses are only counted.
pub const LOSS_COUNT_MAX: usize = 1000;

/// Bytes of a folder's path: the most that the kernel accepts.
pub const FOLDER_BYTES_MAX: usize = 4096;

/// The largest latency of a take, in frames: more than a second at every rate.
pub const LATENCY_MAX: u64 = 1 << 20;

/// Overflow folders that a session remembers.
pub const OVERFLOW_FOLDER_COUNT_MAX: usize = 16;

/// Bytes of a name, of the cause of a loss or of a device's name.
pub const NAME_BYTES_MAX: usize = 256;

/// The largest number of a take on its track.
pub const TAKE_NUMBER_MAX: u32 = 1_000_000_000;

/// The lowest gain in decibels. A track with this gain is silent.
pub const GAIN_DB_MIN: f32 = -144.0;

/// The highest gain in decibels.
pub const GAIN_DB_MAX: f32 = 24.0;

const _: () = assert!(POSITION_MAX < u64::MAX / 64, "two positions add up, and count bytes of 8 to a frame");
const _: () = assert!(LOSS_COUNT_MAX < u32::MAX as usize);

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

id!(
    /// Identity of a track. A session never gives an identity twice.
    TrackId
);
id!(
    /// Identity of a take. A session never gives an identity twice.
    TakeId
);
id!(
    /// Identity of a region. A session never gives an identity twice.
    RegionId
);
id!(
    /// Identity of a marker. A session never gives an identity twice.
    MarkerId
);

/// A whole session. `tracks` are in the order of the screen, `takes` in the order in which they were made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Identity of the session. Spool files and the copies of `session.json` in other folders carry it too.
    pub id: Uuid,
    #[serde(default)]
    name: String,
    #[serde(default)]
    created: String,
    rate: SampleRate,
    /// Sample format of takes that are recorded from now on.
    pub format: TakeFormat,
    next_id: u64,
    #[serde(default)]
    tracks: Vec<Track>,
    #[serde(default)]
    markers: Shared<Vec<Marker>>,
    #[serde(default)]
    takes: Shared<Vec<Take>>,
    /// Overflow folders in which this session has or had takes, as absolute paths, oldest first. Each has a copy of
    /// `session.json`, which may be newer than the one in the session's own folder when that disk was full.
    #[serde(rename = "beside", default, skip_serializing_if = "Vec::is_empty")]
    overflow_folders: Vec<String>,
    #[serde(flatten)]
    other: Other,
}

/// Whether a track lets its input or its recorded sound through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Monitor {
    /// The input while the track is armed and the transport stopped or recording, the recorded sound otherwise.
    #[default]
    Auto,
    /// Always the input.
    Input,
    /// Always the recorded sound.
    Disk,
}

/// A track of the session. A clone shares the fields until one of the two changes.
pub type Track = Shared<TrackFields>;

/// The fields of a [`Track`]. Its regions are sorted by start and do not overlap.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrackFields {
    id: TrackId,
    #[serde(default)]
    name: String,
    inputs: Vec<u32>,
    #[serde(default)]
    gain_db: f32,
    #[serde(default)]
    pan: f32,
    /// The track is silent.
    #[serde(default)]
    pub mute: bool,
    /// The track is audible. While any track is soloed, those that are not are silent.
    #[serde(default)]
    pub solo: bool,
    /// Input monitoring of the track.
    #[serde(default)]
    pub monitor: Monitor,
    /// The next pass records this track.
    #[serde(default)]
    pub armed: bool,
    /// Index of the colour in the theme's list, modulo the length of the list.
    #[serde(default)]
    pub colour: u8,
    #[serde(default)]
    regions: Shared<Vec<Region>>,
    #[serde(flatten)]
    other: Other,
}

/// A span of a take placed on a track. Only the methods of [`Session`] make and change regions, so a region always
/// lies inside its take and on the timeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Region {
    /// Identity of the region. When a region is split, the left part keeps it.
    pub id: RegionId,
    /// The take whose sound the region plays.
    pub take: TakeId,
    /// Position of the region's first frame on the timeline.
    pub start: FramePos,
    /// Position inside the take of the frame that plays at `start`.
    pub take_start: FramePos,
    /// Frames of the region, never zero.
    pub length: Frames,
    /// The region is on the timeline but silent.
    #[serde(default)]
    pub muted: bool,
    #[serde(flatten)]
    other: Other,
}

/// How far a take has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TakeState {
    /// The take is being recorded, or a crash ended it and it is not recovered yet.
    Recording,
    /// The committer has finished the take.
    Complete,
    /// Recovery has put the take together from its file and its spool at a later start.
    Recovered,
}

/// A recorded or imported file. Only the methods of [`Session`] make and change takes. A clone shares the fields until
/// one of the two changes.
pub type Take = Shared<TakeFields>;

/// The fields of a [`Take`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TakeFields {
    /// Identity within the session.
    pub id: TakeId,
    /// Identity among all takes of all sessions. The WAV file and the spool file carry it too.
    pub uuid: Uuid,
    /// The track it was recorded on. That track may have been removed since.
    pub track: TrackId,
    /// Number of the pass that recorded it. The takes of one track in one pass follow each other without a gap: the
    /// first take and its continuations.
    pub pass: u32,
    /// Number of the take on its track, as in its file name.
    pub number: u32,
    /// `audio/NAME-NUMBER.wav`, also while the take is in the trash. [`Take::path`] gives the present path. The file can
    /// have another name on the disk; it carries [`TakeFields::uuid`], by which the next opening of the session finds it.
    pub file: String,
    /// Device channels that the take was recorded from. Empty for an imported file.
    #[serde(default)]
    pub inputs: Vec<u32>,
    /// Channels of the file, 1 or 2.
    pub channels: u32,
    /// Sample rate of the file.
    pub rate: SampleRate,
    /// Sample format of the file.
    pub format: TakeFormat,
    /// Position on the timeline at which its first frame was recorded.
    pub start: FramePos,
    /// Offset of the take's first frame in its pass, in frames: the pass began at `start` minus `offset`. It is 0 for
    /// the first take of a track in a pass. A continuation begins where the take before it ended because its disk
    /// took no more; that is 0 as well if the disk took nothing at all.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub offset: Frames,
    /// Frames by which the sound lies behind what was heard while it was recorded: the way from the program's outputs
    /// to its inputs. The sound of frame 0 belongs `latency` frames before `start`, see [`Take::place`]. It is 0 if
    /// nothing was played along, and the same in all takes of a pass.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub latency: Frames,
    /// The folder on another disk that holds `file`, as an absolute path. `None`: the folder of this session's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Frames of the file. While the take is being recorded this may be fewer than it has.
    pub frames: Frames,
    /// How far the take has come.
    pub state: TakeState,
    /// The user has deleted the take: no region plays it, and the next save moves its file to the trash folder. No
    /// sound is erased.
    #[serde(default)]
    pub trashed: bool,
    /// Time at which the take began, RFC 3339.
    #[serde(default)]
    pub started: String,
    /// The first [`LOSS_COUNT_MAX`] losses, each a span of silence in place of sound that was lost.
    #[serde(default)]
    pub losses: Vec<Loss>,
    /// Number of losses that are not in `losses`.
    #[serde(default)]
    pub losses_unlisted: u64,
    /// Faults and losses that recording it cost. `None` while it is recorded and for an imported file.
    #[serde(default)]
    pub accounts: Option<TakeAccounts>,
    /// The memory with the sound that the file does not have yet. `None` once the take is finished, and in files of
    /// earlier programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spool: Option<SpoolRecord>,
    #[serde(flatten)]
    other: Other,
}

/// A span of a take that was lost. The file has exact silence there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// Position of its first frame in the take.
    pub at: FramePos,
    /// Frames of silence.
    pub frames: Frames,
    /// Why the sound was lost, in words for the user.
    #[serde(default)]
    pub cause: String,
}

/// The numbers behind a take's zero-fault badge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TakeAccounts {
    /// Xruns of the device.
    pub xruns: u64,
    /// Frames of silence in place of lost sound.
    pub frames_lost: u64,
    /// Minor page faults of the audio thread.
    pub minor_faults: u64,
    /// Major page faults of the audio thread.
    pub major_faults: u64,
    /// Microseconds of the audio thread's longest cycle.
    pub cycle_us_max: u64,
    /// `spool` or `in-place`.
    pub capture_path: String,
    /// Name of the device.
    pub device: String,
    /// Sentences about the source of its inputs that a sound server took away, each with its time in the pass. From then on
    /// the take may have silence, or the sound of another source.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub source_losses: Vec<String>,
    /// Why the take may be too early or too late. Empty: it lies where the user heard the playback, as far as is known.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub placing: String,
    #[serde(flatten)]
    pub(crate) other: Other,
}

/// A named position of the timeline. Only the methods of [`Session`] make and change markers; they are sorted by
/// position.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Marker {
    /// Identity of the marker.
    pub id: MarkerId,
    /// Position on the timeline.
    pub at: FramePos,
    /// Name of the marker, empty until the user names it.
    #[serde(default)]
    pub name: String,
    #[serde(flatten)]
    other: Other,
}

impl Session {
    /// Makes a session without tracks. A `rate` outside the range of [`crate::limits`] is clamped to it.
    pub fn new(id: Uuid, name: &str, created: &str, rate: SampleRate, format: TakeFormat) -> Session {
        let rate = SampleRate(rate.0.clamp(crate::limits::RATE_HZ_MIN, crate::limits::RATE_HZ_MAX));
        Session {
            id,
            name: clean_name(name),
            created: clean_name(created),
            rate,
            format,
            next_id: 1,
            tracks: Vec::new(),
            markers: Shared::default(),
            takes: Shared::default(),
            overflow_folders: Vec::new(),
            other: Other::new(),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks it")]
fn is_zero(frames: &Frames) -> bool {
    *frames == Frames(0)
}

/// A name as the session stores it: control characters become spaces, and at most [`NAME_BYTES_MAX`] bytes remain.
fn clean_name(name: &str) -> String {
    let cut = name.floor_char_boundary(NAME_BYTES_MAX);
    name[..cut].chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
