//! The session: tracks, takes, regions and markers, as data. Thread: any; a face edits it, nobody shares it.
//!
//! Nothing here does I/O but [`session_file`]. Time, names on the disk and identities are passed in.
//! Fields are public where any value is valid; where a value could break another, a method keeps it.
#![warn(missing_docs)]
#![forbid(unsafe_code)]

mod edit;
pub mod file_name;
pub mod history;
mod read;
mod region;
pub mod session_file;
#[cfg(test)]
mod tests;
mod validate;

pub use edit::{EditError, NewTake};

use crate::format::TakeFormat;
use crate::time::{FramePos, Frames, SampleRate};
use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

/// Fields of a newer program of the same file version: kept, so that saving here loses none of them.
type Other = serde_json::Map<String, serde_json::Value>;

/// The furthest place and the longest length in a session. Sums of two and bytes of it stay far from
/// overflow, and a program that reads JSON numbers as doubles sees every one of them exactly.
pub const POSITION_MAX: u64 = 1 << 53;

/// The largest identity; one more always fits.
pub const ID_MAX: u64 = 1 << 53;

/// Takes of a session, those in the trash included.
pub const TAKE_COUNT_MAX: usize = 256 * 1024;

/// Regions of one track.
pub const REGION_COUNT_MAX: usize = 64 * 1024;

/// Markers of a session.
pub const MARKER_COUNT_MAX: usize = 64 * 1024;

/// Losses that a take lists one by one; the others are counted.
pub const LOSS_COUNT_MAX: usize = 1000;

/// Bytes of the path of a folder: what the kernel takes.
pub const FOLDER_BYTES_MAX: usize = 4096;

/// Folders on other disks that a session remembers.
pub const OVERFLOW_FOLDER_COUNT_MAX: usize = 16;

/// Bytes of a name, a cause or a device's name.
pub const NAME_BYTES_MAX: usize = 256;

/// Takes that one track can number.
pub const TAKE_NUMBER_MAX: u32 = 1_000_000_000;

/// Decibels of the lowest gain, at which a track is silent.
pub const GAIN_DB_MIN: f32 = -144.0;

/// Decibels of the highest gain.
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
    /// A track, for the life of its session; never given twice.
    TrackId
);
id!(
    /// A take, for the life of its session; never given twice.
    TakeId
);
id!(
    /// A region, for the life of its session; never given twice.
    RegionId
);
id!(
    /// A marker, for the life of its session; never given twice.
    MarkerId
);

/// One session. `tracks` stand in the order of the screen, `takes` in the order they were made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// What ties spool files to this session.
    pub id: Uuid,
    #[serde(default)]
    name: String,
    #[serde(default)]
    created: String,
    rate: SampleRate,
    /// How the next takes store their samples.
    pub format: TakeFormat,
    next_id: u64,
    #[serde(default)]
    tracks: Vec<Track>,
    #[serde(default)]
    markers: Vec<Marker>,
    #[serde(default)]
    takes: Vec<Take>,
    /// Folders on other disks in which takes may have gone on, absolute: each has a copy of this file, which is the newer one
    /// if the session's own disk took no more.
    #[serde(rename = "beside", default, skip_serializing_if = "Vec::is_empty")]
    overflow_folders: Vec<String>,
    #[serde(flatten)]
    other: Other,
}

/// What an unmuted, disarmed or armed track lets through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Monitor {
    /// The input while the track is armed and stopped or recording, the disk otherwise.
    #[default]
    Auto,
    /// Always the input.
    Input,
    /// Always the disk.
    Disk,
}

/// One track. Its regions are sorted by start and never overlap.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Track {
    id: TrackId,
    #[serde(default)]
    name: String,
    inputs: Vec<u32>,
    #[serde(default)]
    gain_db: f32,
    #[serde(default)]
    pan: f32,
    /// Not heard.
    #[serde(default)]
    pub mute: bool,
    /// Heard alone, with the others that are soloed.
    #[serde(default)]
    pub solo: bool,
    /// What is heard of it.
    #[serde(default)]
    pub monitor: Monitor,
    /// Takes part in the next pass.
    #[serde(default)]
    pub armed: bool,
    /// Index into the theme's colours, taken modulo their number.
    #[serde(default)]
    pub colour: u8,
    #[serde(default)]
    regions: Vec<Region>,
    #[serde(flatten)]
    other: Other,
}

/// A placed span of a take. Only the session hands out or changes regions, so what one holds is true.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Region {
    /// Its identity. When a region is split, the left part keeps it.
    pub id: RegionId,
    /// The take it plays.
    pub take: TakeId,
    /// Where it starts on the timeline.
    pub start: FramePos,
    /// The frame of the take that is heard at `start`.
    pub take_start: FramePos,
    /// Its length, never zero.
    pub length: Frames,
    /// Placed, but not heard.
    #[serde(default)]
    pub muted: bool,
    #[serde(flatten)]
    other: Other,
}

/// What became of a take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TakeState {
    /// Being recorded, or cut off by a crash and not recovered yet.
    Recording,
    /// Finished by its committer.
    Complete,
    /// Put together from its file and its spool at a later start.
    Recovered,
}

/// One recorded or imported file. Only the session changes takes, so what one holds is true.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Take {
    /// Its identity within the session.
    pub id: TakeId,
    /// Its identity in the world: the same in its file and its spool.
    pub uuid: Uuid,
    /// The track it was recorded on, which may since have been removed.
    pub track: TrackId,
    /// The pass it was recorded in; what its tracks recorded in it has one start and one length.
    pub pass: u32,
    /// Its number on its track, as in the file's name.
    pub number: u32,
    /// `audio/NAME-NUMBER.wav`. [`Take::path`] knows about the trash.
    pub file: String,
    /// Device channels it was recorded from; none if it was imported.
    #[serde(default)]
    pub inputs: Vec<u32>,
    /// Channels of the file, 1 or 2.
    pub channels: u32,
    /// Frames a second.
    pub rate: SampleRate,
    /// How it stores its samples.
    pub format: TakeFormat,
    /// Where it was recorded on the timeline.
    pub start: FramePos,
    /// Frames of its pass before its first one. Not 0: the take before it on its track goes on here, since its disk had no
    /// more room.
    #[serde(default, skip_serializing_if = "is_nought")]
    pub offset: Frames,
    /// The folder that `file` is in, absolute: another disk. `None`: the session's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Frames of its file, as far as known.
    pub frames: Frames,
    /// What became of it.
    pub state: TakeState,
    /// Moved to the trash folder: no region plays it, nothing of it is deleted.
    #[serde(default)]
    pub trashed: bool,
    /// When it was started, RFC 3339.
    #[serde(default)]
    pub started: String,
    /// The first [`LOSS_COUNT_MAX`] stretches that are silence because they were lost.
    #[serde(default)]
    pub losses: Vec<Loss>,
    /// Losses beyond those.
    #[serde(default)]
    pub losses_unlisted: u64,
    /// What recording it cost. None while it is recorded and after an import.
    #[serde(default)]
    pub accounts: Option<TakeAccounts>,
    #[serde(flatten)]
    other: Other,
}

/// A stretch that was lost and is exact silence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// Where in the take.
    pub at: FramePos,
    /// How long.
    pub frames: Frames,
    /// Why, in words.
    #[serde(default)]
    pub cause: String,
}

/// The figures behind a take's zero-fault badge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TakeAccounts {
    /// Times the device ran over.
    pub xruns: u64,
    /// Frames of silence in place of sound.
    pub frames_lost: u64,
    /// Minor faults of the audio thread.
    pub minor_faults: u64,
    /// Major faults of the audio thread.
    pub major_faults: u64,
    /// Microseconds of its worst cycle.
    pub cycle_us_max: u64,
    /// `spool` or `in-place`.
    pub capture_path: String,
    /// The device's name.
    pub device: String,
    #[serde(flatten)]
    pub(crate) other: Other,
}

/// A named place. Only the session changes markers; they are sorted by place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Marker {
    /// Its identity.
    pub id: MarkerId,
    /// Its place on the timeline.
    pub at: FramePos,
    /// Its name, empty until it is named.
    #[serde(default)]
    pub name: String,
    #[serde(flatten)]
    other: Other,
}

impl Session {
    /// A session without tracks. `rate` is brought into the range there is.
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
            markers: Vec::new(),
            takes: Vec::new(),
            overflow_folders: Vec::new(),
            other: Other::new(),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks it")]
fn is_nought(frames: &Frames) -> bool {
    *frames == Frames(0)
}

/// A name as the session keeps it: without control characters, at most [`NAME_BYTES_MAX`] bytes.
fn clean_name(name: &str) -> String {
    let cut = name.floor_char_boundary(NAME_BYTES_MAX);
    name[..cut].chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
