//! The choice of the effects of an action, from the snapshot and the view. Pure: nothing here changes the window.
//! Thread: ui.

use super::action::Action;
use super::bottom_panel::Tab;
use super::effect::{Effect, FrameRequest, Overlay};
use super::view::View;
use crate::app::command::Command;
use crate::app::settings::{Settings, ThemeChoice};
use crate::app::snapshot::Snapshot;
use crate::control::edit::Edit;
use crate::session::names::AUDIO;
use crate::session::{Region, RegionId, Track, TrackId};
use crate::time::{FramePos, Frames};

/// Factor of one step of zoom.
const ZOOM_STEP: f64 = 1.4;

/// Factor of one step of the size of everything, and the least and the largest size.
const SIZE_STEP: f32 = 1.1;
const SIZES: (f32, f32) = (0.6, 3.0);

/// Returns what the shell must do for `action`, in order. Empty if the action has no effect in this state.
///
/// The match has one arm for each action and no `_` arm, so that a new action does not compile until it has an effect.
pub fn dispatch(action: Action, snapshot: &Snapshot, view: &View) -> Vec<Effect> {
    let transport = &snapshot.transport;
    let all = || snapshot.session.track_ids().collect::<Vec<TrackId>>();
    match action {
        Action::Record => send(Command::Record),
        // A recording is locked: only a long press of the key or of the button ends it, see `bar::hold`.
        Action::Stop if transport.pass.is_some() => Vec::new(),
        Action::Stop => send(Command::Stop),
        Action::PlayOrStop => send(Command::PlayOrStop),
        Action::ToStart => send(Command::ToStart),
        Action::ToEnd => send(Command::ToEnd),
        Action::Loop => send(Command::Loop(!transport.loops)),
        Action::Punch => send(Command::Punch(!transport.punches)),
        Action::NudgeBack => send(nudge(snapshot, -1)),
        Action::NudgeForward => send(nudge(snapshot, 1)),
        Action::NudgeBackFar => send(nudge(snapshot, -10)),
        Action::NudgeForwardFar => send(nudge(snapshot, 10)),
        Action::Marker => send(Command::Marker),
        Action::MarkerBefore => to_marker(snapshot, false).map_or_else(Vec::new, send),
        Action::MarkerAfter => to_marker(snapshot, true).map_or_else(Vec::new, send),
        Action::RangeStart => send(range_edge(snapshot, false)),
        Action::RangeEnd => send(range_edge(snapshot, true)),
        Action::RangeClear => send(Command::Range(None)),
        Action::ZoomIn => vec![zoom(snapshot, view, 1.0 / ZOOM_STEP)],
        Action::ZoomOut => vec![zoom(snapshot, view, ZOOM_STEP)],
        Action::ZoomAll => vec![show_session(snapshot)],
        Action::ZoomRange => transport.range.into_iter().map(|(from, to)| Effect::ShowRange { from, to }).collect(),
        Action::Follow => {
            let on = !view.follow;
            vec![Effect::SetFollow(on), change_settings(snapshot, |settings| settings.follow = on)]
        }
        Action::Tall => {
            let on = !view.tall;
            vec![Effect::SetTallRows(on), change_settings(snapshot, |settings| settings.tall = on)]
        }
        Action::Undo => send(Command::Undo),
        Action::Redo => send(Command::Redo),
        Action::Save => send(Command::Save),
        Action::NewSession => send(Command::NewSession),
        Action::OpenSession => vec![Effect::AskFrame(FrameRequest::OpenSession)],
        Action::RenameSession => vec![Effect::EditSessionName],
        Action::OpenFolder => open_folder(snapshot),
        Action::ChooseOverflowFolder => vec![Effect::AskFrame(FrameRequest::ChooseOverflowFolder)],
        Action::AddTrack => edit(Edit::AddTrack(None)),
        Action::DuplicateTracks => duplicate(snapshot, view),
        Action::RemoveSelected => remove_selected(snapshot, view),
        Action::SelectAll => vec![Effect::SelectTracks(snapshot.session.track_ids().collect())],
        Action::SelectNone => vec![Effect::SelectTracks([].into()), Effect::DeselectRegions],
        Action::SelectAbove => select_neighbour(snapshot, view, false),
        Action::SelectBelow => select_neighbour(snapshot, view, true),
        Action::RenameTrack => vec![Effect::EditTrackName],
        Action::ArmAll => edit(Edit::Arm(all(), true)),
        Action::ArmNone => edit(Edit::Arm(all(), false)),
        Action::ArmSelected => switch_selected(snapshot, view, |track| track.armed, Edit::Arm),
        Action::MuteSelected => switch_selected(snapshot, view, |track| track.mute, Edit::Mute),
        Action::SoloSelected => switch_selected(snapshot, view, |track| track.solo, Edit::Solo),
        Action::Unsolo => edit(Edit::Solo(all(), false)),
        Action::Split => split(snapshot, view),
        Action::Residency => vec![Effect::ToggleTab(Tab::Residency)],
        Action::Stress => vec![Effect::ToggleTab(Tab::Stress)],
        Action::Doctor => vec![Effect::ToggleTab(Tab::Doctor)],
        Action::Events => vec![Effect::ToggleTab(Tab::Events)],
        Action::Takes => vec![Effect::ToggleTab(Tab::Takes)],
        Action::Export => vec![Effect::ToggleTab(Tab::Export)],
        Action::Lower => vec![Effect::ToggleBottomPanel],
        Action::Freeze => vec![Effect::ToggleFreeze],
        Action::NextFault => vec![Effect::ShowNextFault],
        Action::Device => vec![Effect::ToggleOverlay(Overlay::Device)],
        Action::Settings => vec![Effect::ToggleOverlay(Overlay::Settings)],
        Action::Theme => vec![change_settings(snapshot, switch_theme)],
        Action::Larger => {
            vec![change_settings(snapshot, |settings| settings.zoom = (settings.zoom * SIZE_STEP).min(SIZES.1))]
        }
        Action::Smaller => {
            vec![change_settings(snapshot, |settings| settings.zoom = (settings.zoom / SIZE_STEP).max(SIZES.0))]
        }
        Action::FullScreen => vec![Effect::AskFrame(FrameRequest::ToggleFullScreen)],
        Action::Acknowledge => vec![Effect::ResetClipLamps, Effect::Send(Command::Acknowledge)],
        Action::Palette => vec![Effect::ToggleOverlay(Overlay::Palette)],
        Action::Keys => vec![Effect::ToggleOverlay(Overlay::Keys)],
        Action::Quit => vec![Effect::AskFrame(FrameRequest::Quit)],
    }
}

fn send(command: Command) -> Vec<Effect> {
    vec![Effect::Send(command)]
}

fn edit(edit: Edit) -> Vec<Effect> {
    send(Command::Edit(edit))
}

/// Opens the folder of the session's takes.
fn open_folder(snapshot: &Snapshot) -> Vec<Effect> {
    if snapshot.folder.as_os_str().is_empty() {
        return send(Command::Refusal("folder of the takes: no session is open".to_owned()));
    }
    vec![Effect::AskFrame(FrameRequest::OpenFolder(snapshot.folder.join(AUDIO)))]
}

/// Sends the changes of settings that `change` makes.
fn change_settings(snapshot: &Snapshot, change: impl FnOnce(&mut Settings)) -> Effect {
    let mut settings = (*snapshot.settings).clone();
    change(&mut settings);
    Effect::Send(Command::Settings(settings.changes_since(&snapshot.settings)))
}

fn switch_theme(settings: &mut Settings) {
    settings.theme = if settings.theme == ThemeChoice::Light { ThemeChoice::Dark } else { ThemeChoice::Light };
}

/// Zooms around the playhead, or around the middle if the playhead is out of view.
fn zoom(snapshot: &Snapshot, view: &View, factor: f64) -> Effect {
    let playhead = view.x_of(snapshot.transport.position);
    let x = if (0.0..=view.width).contains(&playhead) { playhead } else { view.width / 2.0 };
    Effect::Zoom { factor, x }
}

/// Shows the whole session, at least its first ten seconds.
fn show_session(snapshot: &Snapshot) -> Effect {
    let end = snapshot.session.end().max(snapshot.transport.position);
    let ten_seconds = FramePos(u64::from(snapshot.transport.rate.0) * 10);
    Effect::ShowRange { from: FramePos(0), to: end.max(ten_seconds) }
}

/// The selected tracks in the order of the session.
fn selected(snapshot: &Snapshot, view: &View) -> Vec<TrackId> {
    snapshot.session.track_ids().filter(|id| view.selected_tracks.contains(id)).collect()
}

/// Duplicates the selected tracks in one step of undo.
fn duplicate(snapshot: &Snapshot, view: &View) -> Vec<Effect> {
    let ids = selected(snapshot, view);
    if ids.is_empty() { Vec::new() } else { edit(Edit::DuplicateTracks(ids)) }
}

/// Switches a property of the selected tracks: off if any of them has it, else on.
fn switch_selected(
    snapshot: &Snapshot,
    view: &View,
    is_on: fn(&Track) -> bool,
    change: fn(Vec<TrackId>, bool) -> Edit,
) -> Vec<Effect> {
    let ids = selected(snapshot, view);
    if ids.is_empty() {
        return Vec::new();
    }
    let on = !ids.iter().filter_map(|id| snapshot.session.track(*id)).any(is_on);
    edit(change(ids, on))
}

/// Removes the selected regions; if no region is selected, the selected tracks.
fn remove_selected(snapshot: &Snapshot, view: &View) -> Vec<Effect> {
    if !view.selected_regions.is_empty() {
        let regions = view.selected_regions.iter().copied().collect();
        return vec![Effect::DeselectRegions, Effect::Send(Command::Edit(Edit::RemoveRegions(regions)))];
    }
    let ids = selected(snapshot, view);
    if ids.is_empty() {
        return Vec::new();
    }
    vec![Effect::SelectTracks([].into()), Effect::Send(Command::Edit(Edit::RemoveTracks(ids)))]
}

/// Splits the regions under the playhead in one step of undo: those of the selected tracks, or of all tracks if none is
/// selected.
fn split(snapshot: &Snapshot, view: &View) -> Vec<Effect> {
    let (at, selected) = (snapshot.transport.position, selected(snapshot, view));
    let is_split =
        |track: &TrackId, region: &Region| region.start < at && (selected.is_empty() || selected.contains(track));
    let under = snapshot.session.regions_at(at).filter(|(track, region)| is_split(track, region));
    let ids: Vec<RegionId> = under.map(|(_, region)| region.id).collect();
    if ids.is_empty() { Vec::new() } else { edit(Edit::SplitRegions(ids, at)) }
}

/// Selects the track above the first selected one, or the track below the last selected one.
fn select_neighbour(snapshot: &Snapshot, view: &View, below: bool) -> Vec<Effect> {
    let all: Vec<TrackId> = snapshot.session.track_ids().collect();
    let row = |id: &TrackId| all.iter().position(|other| other == id);
    let rows = view.selected_tracks.iter().filter_map(row);
    let next = match (rows.clone().min(), rows.max()) {
        (Some(_), Some(last)) if below => last + 1,
        (Some(first), _) => first.saturating_sub(1),
        _ => 0,
    };
    let id = all.get(next.min(all.len().saturating_sub(1)));
    id.map_or_else(Vec::new, |id| vec![Effect::SelectTracks([*id].into())])
}

fn nudge(snapshot: &Snapshot, seconds: i64) -> Command {
    let (at, rate) = (snapshot.transport.position.0, i64::from(snapshot.transport.rate.0));
    Command::Locate(FramePos(at.saturating_add_signed(seconds * rate)))
}

fn to_marker(snapshot: &Snapshot, after: bool) -> Option<Command> {
    let at = snapshot.transport.position;
    // A playhead that rolls has just left the marker that it was sent to.
    let slack = Frames(if snapshot.transport.motion == crate::message::Motion::Rolling { 24_000 } else { 0 });
    let mut markers = snapshot.session.markers().iter().map(|marker| marker.at);
    let to = if after { markers.find(|marker| at < *marker) } else { markers.rfind(|marker| *marker + slack < at) };
    to.or((!after).then_some(FramePos(0))).map(Command::Locate)
}

fn range_edge(snapshot: &Snapshot, end: bool) -> Command {
    let (at, range) = (snapshot.transport.position, snapshot.transport.range);
    Command::Range(match (range, end) {
        (Some((from, _)), true) if from < at => Some((from, at)),
        (Some((_, to)), false) if at < to => Some((at, to)),
        (_, true) if at > FramePos(0) => Some((FramePos(0), at)),
        (_, false) if at < snapshot.session.end() => Some((at, snapshot.session.end())),
        (range, _) => range,
    })
}

#[cfg(test)]
#[cfg(feature = "gui-tests")]
mod tests {
    use super::*;
    use crate::app::settings_change::SettingsChange;
    use crate::app::snapshot::{PassPhase, PassView};
    use crate::ui::demo;
    use std::sync::Arc;

    fn ids(snapshot: &Snapshot) -> Vec<TrackId> {
        snapshot.session.track_ids().collect()
    }

    #[test]
    fn actions_have_their_effects_in_a_stopped_session() {
        let snapshot = demo::stopped(3, 60);
        let tracks = ids(&snapshot);
        let view = View { selected_tracks: [tracks[1]].into(), ..View::default() };
        let taller = vec![SettingsChange::Tall(false)];
        let table = [
            (Action::Record, send(Command::Record)),
            (Action::Stop, send(Command::Stop)),
            (Action::NudgeForward, send(Command::Locate(FramePos(48_000)))),
            (Action::NudgeBack, send(Command::Locate(FramePos(0)))),
            (Action::MarkerAfter, Vec::new()),
            (Action::ZoomRange, Vec::new()),
            (Action::Tall, vec![Effect::SetTallRows(false), Effect::Send(Command::Settings(taller))]),
            (Action::ArmAll, edit(Edit::Arm(tracks.clone(), true))),
            (Action::MuteSelected, edit(Edit::Mute(vec![tracks[1]], true))),
            (Action::SelectBelow, vec![Effect::SelectTracks([tracks[2]].into())]),
            (
                Action::RemoveSelected,
                vec![Effect::SelectTracks([].into()), Effect::Send(Command::Edit(Edit::RemoveTracks(vec![tracks[1]])))],
            ),
            (Action::Events, vec![Effect::ToggleTab(Tab::Events)]),
            (Action::Keys, vec![Effect::ToggleOverlay(Overlay::Keys)]),
            (Action::Acknowledge, vec![Effect::ResetClipLamps, Effect::Send(Command::Acknowledge)]),
            (Action::Quit, vec![Effect::AskFrame(FrameRequest::Quit)]),
        ];
        for (action, effects) in table {
            assert_eq!(dispatch(action, &snapshot, &view), effects, "{action:?}");
        }
    }

    #[test]
    fn actions_for_selected_tracks_do_nothing_without_a_selection() {
        let (snapshot, view) = (demo::stopped(3, 60), View::default());
        for action in [
            Action::RemoveSelected,
            Action::DuplicateTracks,
            Action::ArmSelected,
            Action::MuteSelected,
            Action::SoloSelected,
        ] {
            assert_eq!(dispatch(action, &snapshot, &view), [], "{action:?}");
        }
    }

    /// One press of X in a session of 64 tracks was 64 of the 200 steps of undo.
    #[test]
    fn one_press_of_a_key_that_splits_or_duplicates_is_one_edit_for_all_tracks() {
        let mut snapshot = demo::stopped(3, 60);
        snapshot.transport.position = FramePos(48_000);
        let tracks = ids(&snapshot);
        let regions = |tracks: &[TrackId]| -> Vec<RegionId> {
            tracks.iter().map(|id| snapshot.session.track(*id).unwrap().regions()[0].id).collect()
        };
        let at = FramePos(48_000);
        assert_eq!(
            dispatch(Action::Split, &snapshot, &View::default()),
            edit(Edit::SplitRegions(regions(&tracks), at))
        );
        let view = View { selected_tracks: tracks[..2].iter().copied().collect(), ..View::default() };
        assert_eq!(dispatch(Action::Split, &snapshot, &view), edit(Edit::SplitRegions(regions(&tracks[..2]), at)));
        assert_eq!(
            dispatch(Action::DuplicateTracks, &snapshot, &view),
            edit(Edit::DuplicateTracks(tracks[..2].to_vec()))
        );
        snapshot.transport.position = FramePos(0);
        assert_eq!(dispatch(Action::Split, &snapshot, &view), []);
    }

    #[test]
    fn the_folder_of_the_takes_is_opened_by_the_window_and_not_by_the_engine() {
        let mut snapshot = demo::stopped(1, 60);
        snapshot.folder = "/music/gig".into();
        let opened = Effect::AskFrame(FrameRequest::OpenFolder("/music/gig/audio".into()));
        assert_eq!(dispatch(Action::OpenFolder, &snapshot, &View::default()), [opened]);
        snapshot.folder = std::path::PathBuf::new();
        let effects = dispatch(Action::OpenFolder, &snapshot, &View::default());
        assert!(matches!(&effects[..], [Effect::Send(Command::Refusal(text))] if text.contains("no session is open")));
    }

    #[test]
    fn stop_does_not_end_a_recording() {
        let mut snapshot = demo::stopped(1, 0);
        snapshot.transport.pass = Some(PassView {
            phase: PassPhase::Recording,
            start: FramePos(0),
            head: Frames(0),
            frames: Frames(48_000),
            takes: Arc::default(),
            losses: Arc::default(),
            spool: None,
        });
        assert_eq!(dispatch(Action::Stop, &snapshot, &View::default()), []);
    }

    #[test]
    fn selected_regions_are_removed_before_selected_tracks() {
        let snapshot = demo::stopped(1, 60);
        let region = snapshot.session.tracks()[0].regions()[0].id;
        let view = View {
            selected_tracks: ids(&snapshot).into_iter().collect(),
            selected_regions: [region].into(),
            ..View::default()
        };
        let removal = Effect::Send(Command::Edit(Edit::RemoveRegions(vec![region])));
        assert_eq!(dispatch(Action::RemoveSelected, &snapshot, &view), [Effect::DeselectRegions, removal]);
    }
}
