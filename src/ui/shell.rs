//! The shell: the layout of all panels, the state that they keep between pictures, and the effects of actions. The
//! frame around the shell is in [`super::frame`]. Thread: ui.

use super::action::{Action, KeyMap};
use super::effect::{Effect, FrameRequest, Overlay};
use super::panel_context::PanelContext;
use super::panels::{device, keys, palette, settings};
use super::theme::{self, Theme};
use super::view::View;
use super::{bar, bottom_panel, dispatch, health_line, timeline, tracks};
use crate::app::LiveSources;
use crate::app::command::Command;
use crate::app::settings::ThemeChoice;
use crate::app::snapshot::Snapshot;
use egui::{Rect, Sense, Ui, UiBuilder, pos2, vec2};
use std::collections::BTreeMap;

/// Height that the bottom panel leaves to the timeline and the track list, in points.
const LANES_HEIGHT_MIN: f32 = 120.0;

/// The state of all panels. A snapshot of the app is the only other input of a picture.
#[derive(Default)]
pub struct Shell {
    /// `None` before the first picture.
    pub theme: Option<Theme>,
    keys: KeyMap,
    /// The key settings from which `keys` was made.
    changed_keys: Option<BTreeMap<String, String>>,
    /// Visible part of the timeline, and the selection.
    pub view: View,
    pub overlay: Overlay,
    pub bar: bar::BarState,
    pub tracks: tracks::TracksState,
    timeline: timeline::TimelineState,
    pub bottom: bottom_panel::BottomPanelState,
    palette: palette::PaletteState,
    device: device::DeviceState,
    settings: settings::SettingsState,
    keys_sheet: keys::KeysState,
    /// Requests that only the window's frame can carry out. The frame takes them after each picture.
    pub frame_requests: Vec<FrameRequest>,
    /// Whether `view` has the values of the settings. They apply once, at the start.
    has_view_settings: bool,
    /// Whether an overlay was open in the last picture. The click that opens an overlay must not close it.
    overlay_was_shown: bool,
}

impl Shell {
    /// Draws everything, applies the effects of actions, and returns commands for the app.
    pub fn show(&mut self, ui: &mut Ui, snapshot: &Snapshot, live_sources: LiveSources<'_>) -> Vec<Command> {
        self.apply_settings(ui, snapshot);
        let theme = self.theme.clone().unwrap_or_else(Theme::dark);
        let mut commands = Vec::new();
        let mut actions = self.keys.pressed(ui.ctx());
        let keys = self.keys.clone();
        let whole = ui.max_rect();
        let bottom_height = if self.bottom.open {
            let height_max = whole.height() - theme::BAR - theme::HEALTH - theme::RULER - LANES_HEIGHT_MIN;
            self.bottom.height.clamp(120.0, height_max.max(120.0))
        } else {
            bottom_panel::TABS_HEIGHT
        };
        let bar = Rect::from_min_size(whole.min, vec2(whole.width(), theme::BAR));
        let health = Rect::from_min_size(bar.left_bottom(), vec2(whole.width(), theme::HEALTH));
        let bottom = Rect::from_min_max(pos2(whole.left(), whole.bottom() - bottom_height), whole.max);
        let middle = Rect::from_min_max(health.left_bottom(), bottom.right_top());
        let tracks_right = middle.left() + theme::TRACKS;
        let head = Rect::from_min_max(middle.min, pos2(tracks_right, middle.top() + theme::RULER));
        let list = Rect::from_min_max(head.left_bottom(), pos2(tracks_right, middle.bottom()));
        let ruler = Rect::from_min_max(pos2(tracks_right, middle.top()), pos2(middle.right(), head.bottom()));
        let lanes = Rect::from_min_max(ruler.left_bottom(), middle.max);
        self.view.width = lanes.width();
        let mut context = PanelContext {
            snapshot,
            theme: &theme,
            now: ui.input(|input| input.time),
            waves: live_sources.waves,
            watcher: live_sources.watcher,
            keys: &keys,
            view: &mut self.view,
            commands: &mut commands,
            actions: &mut actions,
        };
        clipped_ui(ui, "bar", bar, |ui| bar::show(ui, &mut self.bar, bar, &mut context));
        clipped_ui(ui, "health", health, |ui| health_line::show(ui, health, &mut context));
        clipped_ui(ui, "timeline", ruler.union(lanes), |ui| {
            timeline::show(ui, &mut self.timeline, ruler, lanes, &mut context);
        });
        clipped_ui(ui, "tracks", head.union(list), |ui| tracks::show(ui, &mut self.tracks, head, list, &mut context));
        clipped_ui(ui, "lower", bottom, |ui| bottom_panel::show(ui, &mut self.bottom, &mut context));
        if self.bottom.open {
            self.bottom.height -= drag_upper_edge(ui, bottom);
        }
        self.show_overlay(ui, whole, &theme, snapshot, &keys, &mut commands, &mut actions);
        for action in actions {
            for effect in dispatch::dispatch(action, snapshot, &self.view) {
                self.apply(effect, &mut commands);
            }
        }
        commands
    }

    fn apply(&mut self, effect: Effect, commands: &mut Vec<Command>) {
        match effect {
            Effect::Send(command) => commands.push(command),
            Effect::AskFrame(request) => self.frame_requests.push(request),
            Effect::ToggleTab(tab) => self.bottom.toggle(tab),
            Effect::ToggleBottomPanel => self.bottom.open = !self.bottom.open,
            Effect::ToggleFreeze => self.bottom.residency.toggle_freeze(),
            Effect::ToggleOverlay(overlay) if self.overlay == overlay => self.overlay = Overlay::Nothing,
            Effect::ToggleOverlay(overlay) => self.overlay = overlay,
            Effect::EditSessionName => self.bar.rename = true,
            Effect::EditTrackName => self.tracks.rename = true,
            Effect::ResetClipLamps => {
                self.bar.acknowledge();
                self.tracks.acknowledge();
            }
            Effect::Zoom { factor, x } => self.view.zoom(factor, x),
            Effect::ShowRange { from, to } => self.view.show_range(from, to),
            Effect::SetFollow(on) => self.view.follow = on,
            Effect::SetTallRows(on) => self.view.tall = on,
            Effect::SelectTracks(tracks) => self.view.selected_tracks = tracks,
            Effect::DeselectRegions => self.view.selected_regions.clear(),
        }
    }

    /// Whether something moves although the snapshot stays the same: a falling meter, the ring of a long press.
    pub fn moves(&self) -> bool {
        self.bar.moves() || self.tracks.moves()
    }

    /// Applies the settings: colours and keys at every change, the view once at the start.
    fn apply_settings(&mut self, ui: &Ui, snapshot: &Snapshot) {
        let settings = &snapshot.settings;
        let dark = match settings.theme {
            ThemeChoice::Dark => true,
            ThemeChoice::Light => false,
            ThemeChoice::System => ui.ctx().system_theme() != Some(egui::Theme::Light),
        };
        if self.theme.as_ref().is_none_or(|theme| theme.dark != dark) {
            let theme = if dark { Theme::dark() } else { Theme::light() };
            theme.install(ui.ctx());
            self.theme = Some(theme);
        }
        if self.changed_keys.as_ref() != Some(&settings.keys) {
            self.keys = KeyMap::new(&settings.keys);
            self.changed_keys = Some(settings.keys.clone());
        }
        if !std::mem::replace(&mut self.has_view_settings, true) {
            self.view.follow = settings.follow;
            self.view.tall = settings.tall;
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the fields of a second context, because the first one borrows the view"
    )]
    fn show_overlay(
        &mut self,
        ui: &mut Ui,
        whole: Rect,
        theme: &Theme,
        snapshot: &Snapshot,
        keys: &KeyMap,
        commands: &mut Vec<Command>,
        actions: &mut Vec<Action>,
    ) {
        if self.overlay == Overlay::Nothing {
            return;
        }
        let mut context = PanelContext {
            snapshot,
            theme,
            now: ui.input(|input| input.time),
            waves: None,
            watcher: None,
            keys,
            view: &mut self.view,
            commands,
            actions,
        };
        let overlay = self.overlay;
        let width = if overlay == Overlay::Palette { 520.0_f32 } else { 760.0 }.min(whole.width() - 32.0);
        // The panels behind the overlay stay in use. A click outside the overlay closes it.
        let mut open = true;
        let area = egui::Area::new(egui::Id::unique("over"))
            .order(egui::Order::Foreground)
            .anchor(egui::Align2::CENTER_TOP, vec2(0.0, (whole.height() * 0.10).min(72.0)))
            .show(ui, |ui| {
                egui::Frame::popup(ui.style()).inner_margin(16).show(ui, |ui| {
                    ui.set_width(width);
                    ui.set_max_height(whole.height() * 0.8);
                    match overlay {
                        Overlay::Palette => open = palette::show(ui, &mut self.palette, &mut context),
                        Overlay::Keys => keys::show(ui, &mut self.keys_sheet, &mut context),
                        Overlay::Device => device::show(ui, &mut self.device, &mut context),
                        Overlay::Settings => settings::show(ui, &mut self.settings, &mut context),
                        Overlay::Nothing => {}
                    }
                });
            });
        let escaped = ui.input(|input| input.key_pressed(egui::Key::Escape));
        let pressed_outside = ui.input(|input| {
            input.pointer.any_pressed()
                && input.pointer.interact_pos().is_some_and(|at| !area.response.rect.contains(at))
        });
        let in_popup = egui::Popup::is_any_open(ui.ctx());
        if !open || escaped || (pressed_outside && !in_popup && self.overlay_was_shown) {
            self.overlay = Overlay::Nothing;
        }
        self.overlay_was_shown = self.overlay != Overlay::Nothing;
    }
}

/// Draws a panel into `rect`. The panel cannot draw outside.
fn clipped_ui(ui: &mut Ui, name: &str, rect: Rect, draw: impl FnOnce(&mut Ui)) {
    let mut child = ui.new_child(UiBuilder::new().max_rect(rect).id_salt(name));
    child.shrink_clip_rect(rect);
    draw(&mut child);
}

/// The upper edge of the bottom panel, which the user drags. Returns the points that it moved down.
fn drag_upper_edge(ui: &Ui, bottom: Rect) -> f32 {
    let rect = Rect::from_min_max(bottom.min - vec2(0.0, 3.0), pos2(bottom.right(), bottom.top() + 4.0));
    let response = ui.interact(rect, egui::Id::unique("grip"), Sense::drag());
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Splitter, true, "Height of the lower panel"));
    response.on_hover_and_drag_cursor(egui::CursorIcon::ResizeVertical).drag_delta().y
}

#[cfg(test)]
#[cfg(feature = "gui-tests")]
mod tests {
    use super::*;
    use crate::ui::demo;

    #[test]
    fn the_window_looks_as_it_did_stopped_recording_empty_and_in_trouble() {
        let small = [1024.0, 640.0];
        demo::picture("stopped", small, &demo::stopped(24, 60), |_| {});
        demo::picture("recording", small, &demo::recording(24, 2537), |shell| shell.view.start = 2530.0 * 48_000.0);
        demo::picture("first-start", small, &demo::stopped(2, 0), |_| {});
        let mut trouble = demo::recording(8, 75);
        trouble.device.gone = true;
        trouble.health = crate::app::snapshot::Health {
            severity: crate::control::Severity::Loss,
            head: "Scarlett 18i20 is gone.".to_owned(),
            parts: vec!["8 tracks".to_owned(), "48000 frames lost".to_owned()],
            advice: Some("The timeline counts on; plug it in again, or stop".to_owned()),
            safety: Vec::new(),
        };
        let settings = std::sync::Arc::make_mut(&mut trouble.settings);
        settings.theme = ThemeChoice::Light;
        demo::picture("trouble-light", small, &trouble, |_| {});
    }

    #[test]
    fn panels_look_as_they_did() {
        demo::picture("takes", [1024.0, 640.0], &demo::stopped(8, 10), |shell| {
            shell.bottom.open = true;
            shell.bottom.tab = bottom_panel::Tab::Takes;
        });
        demo::picture("events", [1024.0, 640.0], &demo::eventful(8), |shell| {
            shell.bottom.open = true;
            shell.bottom.tab = bottom_panel::Tab::Events;
        });
        demo::picture("residency-events", [1280.0, 640.0], &demo::eventful(8), |shell| shell.bottom.open = true);
        demo::picture("stress-lab", [1024.0, 640.0], &demo::stressed(8), |shell| {
            shell.bottom.open = true;
            shell.bottom.tab = bottom_panel::Tab::Stress;
        });
    }

    #[test]
    fn drawing_the_window_costs_milliseconds_at_most() {
        for (tracks, most_ms) in [(24, 8.0), (64, 12.0)] {
            let ctx = egui::Context::default();
            crate::ui::theme::install_fonts(&ctx);
            let (snapshot, mut shell) = (demo::recording(tracks, 2537), Shell::default());
            shell.bottom.open = true;
            let mut times = Vec::new();
            for frame in 0..120 {
                let input = egui::RawInput {
                    screen_rect: Some(Rect::from_min_size(pos2(0.0, 0.0), vec2(1440.0, 900.0))),
                    time: Some(f64::from(frame) / 30.0),
                    ..egui::RawInput::default()
                };
                let started = std::time::Instant::now();
                let mut out = ctx.run_ui(input, |ui| {
                    shell.show(ui, &snapshot, LiveSources::default());
                });
                let shapes = std::mem::take(&mut out.shapes);
                let meshes = ctx.tessellate(shapes, out.pixels_per_point);
                times.push(started.elapsed().as_secs_f64() * 1e3);
                std::hint::black_box(meshes);
                out.textures_delta.clear();
            }
            times.sort_by(f64::total_cmp);
            let median = times[times.len() / 2];
            println!("{tracks} tracks: {median:.2} ms a picture, ui and tessellation");
            // Far above the usual time, because a machine that runs tests is busy.
            assert!(median < most_ms, "{tracks} tracks: {median:.2} ms");
        }
    }
}
