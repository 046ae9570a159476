//! Changes of the session that a face can ask for, each of which can be undone. Thread: control.

use crate::format::TakeFormat;
use crate::session::{MarkerId, Monitor, RegionId, TakeId, TrackId};
use crate::time::FramePos;

/// A change of the session. Those that name a list of tracks change all of them in one step.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// Arm or disarm. Never touches a pass that is on.
    Arm(Vec<TrackId>, bool),
    /// Mute.
    Mute(Vec<TrackId>, bool),
    /// Solo.
    Solo(Vec<TrackId>, bool),
    /// What is heard.
    Monitor(Vec<TrackId>, Monitor),
    /// Device channels, counted from 0: one or two.
    Inputs(TrackId, Vec<u32>),
    /// Gain in decibels, track by track. Changes of one drag are one step.
    /// Gain in decibels, track by track. Changes of one drag are one step.
    Gain(Vec<(TrackId, f32)>),
    /// Pan, -1 to 1. Changes of one drag are one step.
    Pan(Vec<TrackId>, f32),
    /// Name.
    Name(TrackId, String),
    /// Index into the theme's colours.
    Colour(Vec<TrackId>, u8),
    /// To another place among the tracks, counted from 0.
    MoveTrack(TrackId, usize),
    /// A track for these device channels; `None`: for the first input that no track has.
    AddTrack(Option<Vec<u32>>),
    /// A track like this one, without its regions, below it.
    DuplicateTrack(TrackId),
    /// Take tracks out. Their takes go to the trash; undo brings both back.
    RemoveTracks(Vec<TrackId>),
    /// A marker.
    AddMarker(FramePos, String),
    /// Name of a marker.
    RenameMarker(MarkerId, String),
    /// Place of a marker.
    MoveMarker(MarkerId, FramePos),
    /// Take a marker out.
    RemoveMarker(MarkerId),
    /// Name of the session; its folder keeps its name.
    RenameSession(String),
    /// How the next takes store their samples.
    Format(TakeFormat),
    /// What of a take is heard where it was recorded: all of it.
    ChooseTake(TakeId),
    /// To the trash.
    TrashTake(TakeId),
    /// Out of the trash.
    UntrashTake(TakeId),
    /// A region to another place, perhaps on another track.
    MoveRegion(RegionId, TrackId, FramePos),
    /// A region from and to other places.
    TrimRegion(RegionId, FramePos, FramePos),
    /// A region in two.
    SplitRegion(RegionId, FramePos),
    /// Take regions out; their takes stay.
    RemoveRegions(Vec<RegionId>),
    /// Placed, but not heard.
    MuteRegions(Vec<RegionId>, bool),
}
