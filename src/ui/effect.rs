//! Effects: the changes of the window and the requests to others that an action leads to. Thread: ui.
//!
//! [`super::dispatch`] chooses the effects of an action; [`super::shell::Shell`] applies them.

use super::bottom_panel::Tab;
use crate::app::command::Command;
use crate::session::TrackId;
use crate::time::FramePos;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// A thing that the shell does because of an action.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Return a command to the app.
    Send(Command),
    /// Ask the window's frame.
    AskFrame(FrameRequest),
    /// Show a tab of the bottom panel; close the panel if it shows this tab.
    ToggleTab(Tab),
    /// Open or close the bottom panel, at the tab that it showed last.
    ToggleBottomPanel,
    /// Freeze the residency map, or let it follow the watcher again.
    ToggleFreeze,
    /// Show the next page fault in the residency map.
    ShowNextFault,
    /// Open an overlay in place of the open one; close it if it is the open one.
    ToggleOverlay(Overlay),
    /// Start to edit the session's name in the transport bar.
    EditSessionName,
    /// Start to edit the selected track's name in the track list.
    EditTrackName,
    /// Switch off the clip lamps of all meters.
    ResetClipLamps,
    /// Multiply the frames per point by `factor`; the position at `x` points keeps its place on the screen.
    Zoom { factor: f64, x: f32 },
    /// Show this range of the timeline.
    ShowRange { from: FramePos, to: FramePos },
    /// Keep the rolling playhead in view, or not.
    SetFollow(bool),
    /// Draw tall track rows, or compact ones.
    SetTallRows(bool),
    /// Select these tracks and no others.
    SelectTracks(BTreeSet<TrackId>),
    /// Select no region.
    DeselectRegions,
}

/// A panel in front of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overlay {
    /// No overlay is open.
    #[default]
    Nothing,
    /// The search for an action.
    Palette,
    /// The sheet of keys.
    Keys,
    /// The device chooser.
    Device,
    /// The panel of settings.
    Settings,
}

/// A request that only the window's frame can carry out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrameRequest {
    /// Ask for a session's folder, and open that session.
    OpenSession,
    /// Ask for the overflow folder.
    ChooseOverflowFolder,
    /// Open this folder in the file manager of the desktop.
    OpenFolder(PathBuf),
    /// Switch full screen on or off.
    ToggleFullScreen,
    /// Close the window, after the question if a take is being recorded.
    Quit,
}
