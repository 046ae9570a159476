//! Everything that a face can ask for. Thread: control.
//!
//! A widget pushes a command; [`super::App::apply`] carries it out, in one place. A command that makes no sense
//! now changes nothing and is answered by a notice.

use super::jobs::{ExportRequest, StressRequest};
use super::settings::Settings;
use crate::control::edit::Edit;
use crate::time::FramePos;
use std::path::PathBuf;

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Record every armed track; if none is armed, arm all of them first. Locks: only [`Command::Stop`] ends it.
    Record,
    /// End the pass or the playback. A face asks for a long press first while a pass is on.
    Stop,
    /// Roll from where the playhead stands.
    Play,
    /// Play, or stop playing. Does nothing while a pass is on.
    PlayOrStop,
    /// Go to a place; a rolling transport rolls on there. Refused while recording.
    Locate(FramePos),
    /// Go to the start of the timeline.
    ToStart,
    /// Go to the end of the last region.
    ToEnd,
    /// Select a stretch of the timeline, or none. Loop, punch and export use it.
    Range(Option<(FramePos, FramePos)>),
    /// Whether playback repeats the selected stretch.
    Loop(bool),
    /// Whether recording begins and ends with the selected stretch, rolling in before it.
    Punch(bool),
    /// A change of the session, which can be undone.
    Edit(Edit),
    /// Drop a marker at the playhead; it is named later.
    Marker,
    /// Take the last change back.
    Undo,
    /// Do it again.
    Redo,
    /// Save now. Everything is saved by itself; this is for peace of mind and tells when it is done.
    Save,
    /// Open a new session named by date, in the folder for sessions.
    NewSession,
    /// Open a session.
    OpenSession(PathBuf),
    /// Go back to a kept version of a session whose file is damaged, and open it.
    RestoreVersion(u32),
    /// Close the device and open the one the settings name. Refused while recording.
    Reopen,
    /// Look again which devices are there.
    RescanDevices,
    /// Keep these settings. What takes a new device or new windows is applied at once when no pass is on.
    Settings(Box<Settings>),
    /// Let takes continue in this folder when their disk is full or fails, from now on. Audio that already waits in
    /// memory for such a disk goes there too.
    SetOverflowFolder(PathBuf),
    /// Export, on a thread of its own.
    Export(Box<ExportRequest>),
    /// Stop the export; what it had made is removed.
    CancelExport,
    /// Examine the machine.
    Doctor,
    /// Run the stress test.
    Stress(StressRequest),
    /// End it.
    CancelStress,
    /// Show the session's takes in the file manager.
    OpenFolder,
    /// Forget the notices that were shown, and the clip lamps' and losses' alarm.
    Acknowledge,
}
