//! What each action does: a command to the app, or a change of the window. Thread: ui.

use super::action::Action;
use super::bottom_panel::Tab;
use super::shell::{Overlay, Shell};
use crate::app::command::Command;
use crate::app::settings::{Settings, ThemeChoice};
use crate::app::snapshot::Snapshot;
use crate::control::edit::Edit;
use crate::session::TrackId;
use crate::time::{FramePos, Frames};

/// Part of the width that one key press zooms by.
const ZOOM_STEP: f64 = 1.4;

/// Carries it out.
pub fn act(shell: &mut Shell, action: Action, snapshot: &Snapshot, commands: &mut Vec<Command>) {
    if let Some(command) = plain(action) {
        commands.push(command);
        return;
    }
    match action {
        // A pass is locked: its end is held for, see `bar::hold`.
        Action::Stop if snapshot.transport.pass.is_none() => commands.push(Command::Stop),
        Action::NudgeBack => commands.push(nudge(snapshot, -1)),
        Action::NudgeForward => commands.push(nudge(snapshot, 1)),
        Action::NudgeBackFar => commands.push(nudge(snapshot, -10)),
        Action::NudgeForwardFar => commands.push(nudge(snapshot, 10)),
        Action::Loop => commands.push(Command::Loop(!snapshot.transport.loops)),
        Action::Punch => commands.push(Command::Punch(!snapshot.transport.punches)),
        Action::MarkerBefore | Action::MarkerAfter => {
            commands.extend(to_marker(snapshot, action == Action::MarkerAfter));
        }
        Action::RangeStart | Action::RangeEnd => commands.push(range_edge(snapshot, action == Action::RangeEnd)),
        Action::Residency => shell.bottom.toggle(Tab::Residency),
        Action::Stress => shell.bottom.toggle(Tab::Stress),
        Action::Doctor => shell.bottom.toggle(Tab::Doctor),
        Action::Events => shell.bottom.toggle(Tab::Events),
        Action::Takes => shell.bottom.toggle(Tab::Takes),
        Action::Export => shell.bottom.toggle(Tab::Export),
        Action::Lower => shell.bottom.open = !shell.bottom.open,
        Action::Freeze => shell.bottom.residency.toggle_freeze(),
        Action::Palette => shell.toggle(Overlay::Palette),
        Action::Keys => shell.toggle(Overlay::Keys),
        Action::Device => shell.toggle(Overlay::Device),
        Action::Settings => shell.toggle(Overlay::Settings),
        Action::RenameSession => shell.bar.rename = true,
        Action::RenameTrack => shell.tracks.rename = true,
        Action::Theme => settle(snapshot, commands, |settings| {
            settings.theme = if settings.theme == ThemeChoice::Light { ThemeChoice::Dark } else { ThemeChoice::Light };
        }),
        Action::Larger => settle(snapshot, commands, |settings| settings.zoom = (settings.zoom * 1.1).min(3.0)),
        Action::Smaller => settle(snapshot, commands, |settings| settings.zoom = (settings.zoom / 1.1).max(0.6)),
        Action::Acknowledge => {
            shell.bar.acknowledge();
            shell.tracks.acknowledge();
            commands.push(Command::Acknowledge);
        }
        Action::OpenSession | Action::GoOnElsewhere | Action::FullScreen | Action::Quit => {
            shell.frame_requests.push(action)
        }
        _ => zoom(shell, action, snapshot, commands),
    }
}

/// Actions that are a command and nothing else.
fn plain(action: Action) -> Option<Command> {
    Some(match action {
        Action::Record => Command::Record,
        Action::PlayOrStop => Command::PlayOrStop,
        Action::ToStart => Command::ToStart,
        Action::ToEnd => Command::ToEnd,
        Action::Marker => Command::Marker,
        Action::RangeClear => Command::Range(None),
        Action::Undo => Command::Undo,
        Action::Redo => Command::Redo,
        Action::Save => Command::Save,
        Action::NewSession => Command::NewSession,
        Action::OpenFolder => Command::OpenFolder,
        Action::AddTrack => Command::Edit(Edit::AddTrack(None)),
        _ => return None,
    })
}

fn zoom(shell: &mut Shell, action: Action, snapshot: &Snapshot, commands: &mut Vec<Command>) {
    let view = &mut shell.view;
    let playhead = view.x_of(snapshot.transport.position);
    let centre = if (0.0..=view.width).contains(&playhead) { playhead } else { view.width / 2.0 };
    match action {
        Action::ZoomIn => view.zoom(1.0 / ZOOM_STEP, centre),
        Action::ZoomOut => view.zoom(ZOOM_STEP, centre),
        Action::ZoomAll => {
            let end = snapshot.session.end().max(snapshot.transport.position);
            view.show(FramePos(0), end.max(FramePos(u64::from(snapshot.transport.rate.0) * 10)));
        }
        Action::ZoomRange => {
            if let Some((from, to)) = snapshot.transport.range {
                view.show(from, to);
            }
        }
        Action::Follow => {
            view.follow = !view.follow;
            let follow = view.follow;
            settle(snapshot, commands, |settings| settings.follow = follow);
        }
        Action::Tall => {
            view.tall = !view.tall;
            let tall = view.tall;
            settle(snapshot, commands, |settings| settings.tall = tall);
        }
        _ => tracks(shell, action, snapshot, commands),
    }
}

fn tracks(shell: &mut Shell, action: Action, snapshot: &Snapshot, commands: &mut Vec<Command>) {
    let session = &snapshot.session;
    let all: Vec<TrackId> = session.track_ids().collect();
    let selected: Vec<TrackId> = all.iter().copied().filter(|id| shell.view.tracks.contains(id)).collect();
    let any = |of: &dyn Fn(&crate::session::Track) -> bool, ids: &[TrackId]| {
        ids.iter().filter_map(|id| session.track(*id)).any(of)
    };
    match action {
        Action::SelectAll => shell.view.tracks = all.into_iter().collect(),
        Action::SelectNone => {
            shell.view.tracks.clear();
            shell.view.regions.clear();
        }
        Action::SelectAbove | Action::SelectBelow => select_beside(shell, &all, action == Action::SelectBelow),
        Action::ArmAll => commands.push(Command::Edit(Edit::Arm(all, true))),
        Action::ArmNone => commands.push(Command::Edit(Edit::Arm(all, false))),
        Action::Unsolo => commands.push(Command::Edit(Edit::Solo(all, false))),
        Action::Split => {
            let at = snapshot.transport.position;
            let under: Vec<_> = session
                .regions_at(at)
                .filter(|(track, region)| region.start < at && (selected.is_empty() || selected.contains(track)))
                .map(|(_, region)| Command::Edit(Edit::SplitRegion(region.id, at)))
                .collect();
            commands.extend(under);
        }
        Action::RemoveSelected if !shell.view.regions.is_empty() => {
            let regions = std::mem::take(&mut shell.view.regions).into_iter().collect();
            commands.push(Command::Edit(Edit::RemoveRegions(regions)));
        }
        _ if selected.is_empty() => {}
        Action::RemoveSelected => {
            shell.view.tracks.clear();
            commands.push(Command::Edit(Edit::RemoveTracks(selected)));
        }
        Action::DuplicateTracks => {
            commands.extend(selected.into_iter().map(|id| Command::Edit(Edit::DuplicateTrack(id))));
        }
        Action::ArmSelected => {
            let on = !any(&|track| track.armed, &selected);
            commands.push(Command::Edit(Edit::Arm(selected, on)));
        }
        Action::MuteSelected => {
            let on = !any(&|track| track.mute, &selected);
            commands.push(Command::Edit(Edit::Mute(selected, on)));
        }
        Action::SoloSelected => {
            let on = !any(&|track| track.solo, &selected);
            commands.push(Command::Edit(Edit::Solo(selected, on)));
        }
        _ => {}
    }
}

fn select_beside(shell: &mut Shell, all: &[TrackId], below: bool) {
    let at = |id: &TrackId| all.iter().position(|other| other == id);
    let now = shell.view.tracks.iter().filter_map(at);
    let next = match (now.clone().min(), now.max()) {
        (Some(_), Some(last)) if below => last + 1,
        (Some(first), _) => first.saturating_sub(1),
        _ => 0,
    };
    if let Some(id) = all.get(next.min(all.len().saturating_sub(1))) {
        shell.view.tracks = std::iter::once(*id).collect();
    }
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

fn settle(snapshot: &Snapshot, commands: &mut Vec<Command>, change: impl FnOnce(&mut Settings)) {
    let mut settings = (*snapshot.settings).clone();
    change(&mut settings);
    commands.push(Command::Settings(Box::new(settings)));
}

impl Shell {
    fn toggle(&mut self, overlay: Overlay) {
        self.overlay = if self.overlay == overlay { Overlay::Nothing } else { overlay };
    }
}
