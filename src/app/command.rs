//! Commands: everything that a front end can ask the app to do. Thread: control.
//!
//! A widget pushes a command and [`super::App::apply`] carries it out. A command that the present state does not allow
//! changes nothing, and the window shows the reason as a card
//! ([`Snapshot::refusal`](super::snapshot::Snapshot::refusal)). A command is a plain value without references, so it
//! can travel between threads.

use super::jobs::{ExportRequest, StressRequest};
use super::settings_change::SettingsChange;
use crate::control::Severity;
use crate::control::edit::Edit;
use crate::time::FramePos;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A request of the front end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// Record every armed track; if none is armed, arm all of them first. Only [`Command::Stop`] ends a pass.
    Record,
    /// End the pass or the playback. While a pass runs, the window sends this after a long press or "Stop and quit" only.
    Stop,
    /// Play from the playhead; after a recording, and at the end of the session, play what was recorded last. Refused while
    /// a pass runs.
    Play,
    /// Play, or stop playing. Refused while a pass runs.
    PlayOrStop,
    /// Move the playhead. A rolling transport keeps rolling from the new position. Refused while recording.
    Locate(FramePos),
    /// Move the playhead to the start of the timeline.
    ToStart,
    /// Move the playhead to the end of the last region.
    ToEnd,
    /// Select a range of the timeline, or none. Loop, punch and export use it. An empty range changes nothing.
    Range(Option<(FramePos, FramePos)>),
    /// Whether playback loops over the selected range.
    Loop(bool),
    /// Whether recording punches in and out at the selected range, with a pre-roll.
    Punch(bool),
    /// Arm the tracks whose inputs the device has, and no others. If no track has one, give the inputs to the first ones.
    UseInputs,
    /// A change of the session, which can be undone.
    Edit(Edit),
    /// Add a marker at the playhead. Its name is the next number.
    Marker,
    Undo,
    Redo,
    /// Save now and post a notice when the session is saved. Every change is saved without this command, too.
    Save,
    /// Open a new session, named by date, in the folder for sessions. Refused while recording.
    NewSession,
    /// Open the session in this folder. Refused while recording.
    OpenSession(#[serde(with = "crate::serial::path")] PathBuf),
    /// Restore this kept version of a session whose file is damaged, and open it.
    RestoreVersion(u32),
    /// Close the device and open the one that the settings name. Refused while recording.
    Reopen,
    /// List the sound devices again.
    RescanDevices,
    /// Change these settings. Settings of the device and of memory take effect with the next [`Command::Reopen`].
    Settings(Vec<SettingsChange>),
    /// Let takes continue in this folder when their disk is full or fails, from now on. Audio that already waits in
    /// memory for such a disk goes there too.
    SetOverflowFolder(#[serde(with = "crate::serial::path")] PathBuf),
    Export(Box<ExportRequest>),
    /// Stop the export and remove the files that it has written.
    CancelExport,
    /// Let the doctor examine the machine.
    Doctor,
    /// Run the stress test.
    Stress(StressRequest),
    CancelStress,
    /// Mark all notices as seen and end the alarm for losses.
    Acknowledge,
    /// Mark what the health line shows as seen. The line then shows the next condition.
    AcknowledgeLine,
    /// Show a notice of the front end and record it as an event of the session.
    Notice(Severity, String),
    /// Show why the front end could not do something, as after a command that is refused.
    Refusal(String),
}
